/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/testnode.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/net/wire.pb-c.h"
#include "shard/runtime/env_real.h"
#include "tests/lib/tap.h"

enum { PATIENCE_MS = 10000 };

/* ---- services ---------------------------------------------------------------------------------------------------- */

static enum rc serve_echo(void *ctx, struct rpc_request *q, ProtobufCMessage **ret_response, struct err *err) {
    struct testnode *n = ctx;
    const Netcheck__Ask *in = (const Netcheck__Ask *)q->message;
    struct reactor *r = rpc_reactor(q->rpc);
    atomic_fetch_add(&n->started, 1);
    if (in->sleep_ns) {
        enum rc rc = fiber_sleep(r, in->sleep_ns);
        if (rc == RC_CANCELLED)
            atomic_fetch_add(&n->cancelled, 1);
        if (rc)
            return err_set(err, rc, "slept badly: %s", rc_text(rc));
    }
    if (in->rc) {
        err_set(err, (enum rc)in->rc, "as you wish");
        err_detail(err, "sleep_ns=%lld", (long long)in->sleep_ns);
        err_hint(err, "Ask for something else.");
        return (enum rc)in->rc;
    }
    Netcheck__Answer *out = arena_new(q->arena, Netcheck__Answer);
    CHECK(out);
    netcheck__answer__init(out);
    out->node = rpc_self(q->rpc).node;
    out->store = rpc_self(q->rpc).store;
    out->left_ns = q->deadline == DEADLINE_NONE ? -1 : q->deadline - reactor_now(r);
    out->data = in->data; /* in the same arena */
    if (in->answer_bytes) {
        out->data.len = in->data.len + in->answer_bytes;
        out->data.data = arena_zalloc(q->arena, out->data.len);
        CHECK(out->data.data);
        if (in->data.len)
            memcpy(out->data.data, in->data.data, in->data.len);
    }
    *ret_response = &out->base;
    return RC_OK;
}

static void serve_note(void *ctx, struct rpc_request *q) {
    struct testnode *n = ctx;
    if (fiber_self(rpc_reactor(q->rpc)))
        atomic_store(&n->note_from_fiber, true);
    atomic_fetch_add(&n->note_sum, (uint64_t)((const Netcheck__Ask *)q->message)->sleep_ns);
    atomic_fetch_add(&n->notes, 1);
}

static void serve_note_now(void *ctx, struct rpc_request *q) {
    struct testnode *n = ctx;
    CHECK(fiber_self(rpc_reactor(q->rpc)) == NULL);
    atomic_fetch_add(&n->note_sum, (uint64_t)((const Netcheck__Ask *)q->message)->sleep_ns);
    atomic_fetch_add(&n->notes_now, 1);
}

static enum rc serve_upload(void *ctx, struct rpc_request *q, struct rpc_stream *s, struct err *err) {
    struct testnode *n = ctx;
    const Netcheck__Ask *in = (const Netcheck__Ask *)q->message;
    uint64_t total = 0;
    const void *data;
    size_t bytes;
    atomic_fetch_add(&n->started, 1);
    for (;;) {
        if (in->sleep_ns) {
            enum rc rc = fiber_sleep(rpc_reactor(q->rpc), in->sleep_ns);
            if (rc)
                return err_set(err, rc, "upload: %s", rc_text(rc));
        }
        if (in->rc && total)
            return err_set(err, (enum rc)in->rc, "upload refused");
        enum rc rc = rpc_stream_read(s, &data, &bytes, DEADLINE_NONE, err);
        if (rc == RC_CANCELLED)
            atomic_fetch_add(&n->cancelled, 1);
        if (rc)
            return rc;
        if (bytes == 0)
            break;
        const uint8_t *p = data;
        for (size_t i = 0; i < bytes; i++)
            if (p[i] != (uint8_t)(total + i))
                return err_set(err, RC_CORRUPT, "byte %zu behind %llu is wrong", i, (unsigned long long)total);
        total += bytes;
    }
    uint64_t le = htole64(total);
    return rpc_stream_write(s, &le, sizeof le, DEADLINE_NONE, err);
}

static enum rc serve_download(void *ctx, struct rpc_request *q, struct rpc_stream *s, struct err *err) {
    struct testnode *n = ctx;
    const Netcheck__Ask *in = (const Netcheck__Ask *)q->message;
    uint8_t block[10000];
    atomic_fetch_add(&n->started, 1);
    for (uint64_t at = 0; at < in->answer_bytes;) {
        size_t bytes = in->answer_bytes - at < sizeof block ? (size_t)(in->answer_bytes - at) : sizeof block;
        for (size_t i = 0; i < bytes; i++)
            block[i] = (uint8_t)(at + i);
        enum rc rc = rpc_stream_write(s, block, bytes, DEADLINE_NONE, err);
        if (rc)
            return rc;
        at += bytes;
        atomic_store(&n->note_sum, at);
    }
    return RC_OK;
}

#define ASK .request = &netcheck__ask__descriptor
#define ANSWER .response = &netcheck__answer__descriptor
static const struct rpc_service services[] = {
    {.type = TYPE_ECHO, .name = "test.echo", ASK, ANSWER, .call = serve_echo, .handlers_max = 5000},
    {.type = TYPE_NOTE, .name = "test.note", ASK, .message = serve_note},
    {.type = TYPE_NOTE_NOW, .name = "test.note_now", ASK, .message = serve_note_now, .direct = true},
    {.type = TYPE_UPLOAD, .name = "test.upload", ASK, .stream = serve_upload},
    {.type = TYPE_DOWNLOAD, .name = "test.download", ASK, .stream = serve_download},
    {.type = TYPE_JOIN, .name = "test.join", ASK, ANSWER, .call = serve_echo, .strangers = true},
    {.type = TYPE_ABROAD, .name = "test.abroad", ASK, ANSWER},
    {.type = TYPE_FEW, .name = "test.few", ASK, ANSWER, .call = serve_echo, .handlers_max = 2},
    {.type = TYPE_BIG, .name = "test.big", ASK, ANSWER, .call = serve_echo, .size = FIBER_LARGE},
};

void testnode_services(struct rpc *rpc, struct testnode *n) {
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        CHECK(rpc_register(rpc, &services[i], n) == RC_OK);
    CHECK(rpc_register(rpc, &services[0], n) == RC_EXISTS);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static void clock_now(void *ctx, int64_t *ret_earliest, int64_t *ret_latest) {
    struct testnode *n = ctx;
    if (!n->conf.clock)
        return;
    *ret_earliest = 1000 * (int64_t)n->conf.node;
    *ret_latest = *ret_earliest + 500;
}

static void on_interval(void *ctx, uint32_t node, int64_t earliest, int64_t latest) {
    struct testnode *n = ctx;
    if (latest != earliest + 500)
        return;
    atomic_store(&n->last_interval_node, node);
    atomic_store(&n->last_earliest, earliest);
    atomic_fetch_add(&n->intervals, 1);
}

static enum rc tls_of(struct testnode *n, struct env *env, struct err *err) {
    char cert[600], key[600], ca[600];
    snprintf(cert, sizeof cert, "%s/%s", tap_dir(), n->conf.cert);
    snprintf(key, sizeof key, "%s/%s", tap_dir(), n->conf.key);
    snprintf(ca, sizeof ca, "%s/%s", tap_dir(), n->conf.ca);
    struct env_tls_conf tls = {cert, key, ca, true};
    return env_tls_new(env, &tls, &n->tls, err);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct testnode *n = arg;
    struct rpc_conf conf = n->conf.rpc;
    const char *cluster = n->conf.cluster ? n->conf.cluster : "c1";
    enum rc rc = n->conf.cert ? tls_of(n, stores[0], err) : RC_OK;
    if (!conf.peers.dead_ns) /* a turn with a thousand fibers takes long under a sanitizer on a busy machine */
        conf.peers.dead_ns = 60LL * SECOND;
    conf.peers.node = n->conf.node;
    conf.peers.incarnation = n->conf.incarnation ? n->conf.incarnation : 1;
    conf.peers.cluster_bytes = strlen(cluster);
    memcpy(conf.peers.cluster, cluster, conf.peers.cluster_bytes);
    snprintf(conf.peers.clock_scale, sizeof conf.peers.clock_scale, "%s", n->conf.scale ? n->conf.scale : "tai");
    conf.peers.tls = n->tls;
    conf.peers.clock = clock_now;
    conf.peers.on_interval = on_interval;
    conf.peers.ctx = n;
    for (uint16_t i = 0; i < count && !rc; i++) {
        snprintf(stores[i]->diag.who, sizeof stores[i]->diag.who, "n%u/%u", n->conf.node, i);
        rc = reactor_new(stores[i], NULL, &n->reactor[i]);
        if (!rc)
            rc = rpc_new(n->reactor[i], &conf, &n->rpc[i], err);
        if (!rc)
            testnode_services(n->rpc[i], n);
    }
    if (!rc)
        rc = rpc_link(n->rpc, count);
    if (!rc)
        rc = rpc_listen(n->rpc[0], n->conf.listen ? n->conf.listen : "127.0.0.1:0", err);
    if (!rc)
        snprintf(n->addr, sizeof n->addr, "%s", rpc_listen_addr(n->rpc[0]));
    *ret_state = n;
    return rc;
}

static void stop(void *state, uint16_t store) {
    struct testnode *n = state;
    rpc_stop(n->rpc[store]);
    reactor_stop(n->reactor[store]);
}

static bool stopped(void *state, uint16_t store) {
    struct testnode *n = state;
    return reactor_idle(n->reactor[store]) && rpc_idle(n->rpc[store]);
}

static void done(void *state) {
    struct testnode *n = state;
    for (int i = 0; i < TESTNODE_STORES_MAX; i++) {
        rpc_free(n->rpc[i]);
        reactor_free(n->reactor[i]);
    }
}

struct testnode *testnode_start(const struct testnode_conf *conf) {
    static const struct program program = {boot, stop, stopped, done};
    struct testnode *n = calloc(1, sizeof *n);
    struct err err = {0};
    CHECK(n);
    n->conf = *conf;
    CHECK(pipe(n->diag_pipe) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(fcntl(n->diag_pipe[i], F_SETFL, O_NONBLOCK) == 0);
    struct process_conf pc = {
        .stores = conf->stores ? conf->stores : 1, .level = DIAG_INFO, .diag_fd = n->diag_pipe[1]};
    CHECKF(process_new(&pc, &n->process, &err) == RC_OK, "%s", err.message);
    CHECKF(process_start(n->process, &program, n, &err) == RC_OK, "%s", err.message);
    return n;
}

void testnode_stop(struct testnode *n) {
    process_stop(n->process);
    process_join(n->process);
    if (n->tls)
        env_tls_free(process_env(n->process, 0), n->tls);
    process_free(n->process);
    if (tap_failing() || tap_env("NET_PRINT", 0))
        fprintf(stderr, "%s", testnode_diag(n));
    close(n->diag_pipe[0]);
    close(n->diag_pipe[1]);
    free(n);
}

const char *testnode_diag(struct testnode *n) {
    ssize_t got;
    while (n->diag_bytes < sizeof n->diag - 1 &&
           (got = read(n->diag_pipe[0], n->diag + n->diag_bytes, sizeof n->diag - 1 - n->diag_bytes)) > 0)
        n->diag_bytes += (size_t)got;
    n->diag[n->diag_bytes] = '\0';
    return n->diag;
}

bool testnode_says(struct testnode *n, const char *what) {
    while (!strstr(testnode_diag(n), what)) {
        struct pollfd p = {.fd = n->diag_pipe[0], .events = POLLIN};
        if (poll(&p, 1, PATIENCE_MS) != 1)
            return false;
    }
    return true;
}

int testnode_count(const char *text, const char *what) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

struct body {
    struct env_post post;
    struct testnode *node;
    uint16_t store;
    void (*fn)(struct rpc *rpc, void *arg);
    void *arg;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
};

static void body_main(void *arg) {
    struct body *b = arg;
    b->fn(b->node->rpc[b->store], b->arg);
    pthread_mutex_lock(&b->mutex);
    b->done = true;
    pthread_cond_signal(&b->cond);
    pthread_mutex_unlock(&b->mutex);
}

static void body_start(struct env_post *p) {
    struct body *b = container_of(p, struct body, post);
    CHECK(fiber_spawn(b->node->reactor[b->store], NULL, FIBER_LARGE, "body", body_main, b) == RC_OK);
}

void testnode_run_on(struct testnode *n, uint16_t store, void (*body)(struct rpc *rpc, void *arg), void *arg) {
    struct body b = {.post.fn = body_start, .node = n, .store = store, .fn = body, .arg = arg};
    pthread_mutex_init(&b.mutex, NULL);
    pthread_cond_init(&b.cond, NULL);
    env_post(process_env(n->process, store), &b.post);
    pthread_mutex_lock(&b.mutex);
    while (!b.done)
        pthread_cond_wait(&b.cond, &b.mutex);
    pthread_mutex_unlock(&b.mutex);
    pthread_mutex_destroy(&b.mutex);
    pthread_cond_destroy(&b.cond);
}

void testnode_run(struct testnode *n, void (*body)(struct rpc *rpc, void *arg), void *arg) {
    testnode_run_on(n, 0, body, arg);
}

struct introduction {
    uint32_t node;
    const char *addr;
};

static void introduce(struct rpc *rpc, void *arg) {
    const struct introduction *in = arg;
    rpc_set_address(rpc, in->node, in->addr);
}

void testnode_tell(struct testnode *n, uint32_t node, const char *addr) {
    struct introduction in = {node, addr};
    for (uint16_t i = 0; i < process_stores(n->process); i++)
        testnode_run_on(n, i, introduce, &in);
}

void testnode_meet(struct testnode *a, struct testnode *b) {
    testnode_tell(a, b->conf.node, b->addr);
    testnode_tell(b, a->conf.node, a->addr);
}

bool wait_until(struct rpc *rpc, bool (*pred)(void *arg), void *arg) {
    struct reactor *r = rpc_reactor(rpc);
    int64_t end = reactor_deadline(r, (int64_t)PATIENCE_MS * MS);
    while (!pred(arg))
        if (reactor_now(r) > end || fiber_sleep(r, MS) != RC_OK)
            return false;
    return true;
}

struct reaching {
    _Atomic uint64_t *v;
    uint64_t want;
};

static bool reached(void *arg) {
    const struct reaching *x = arg;
    return atomic_load(x->v) >= x->want;
}

bool wait_for(struct rpc *rpc, _Atomic uint64_t *v, uint64_t want) {
    struct reaching x = {v, want};
    return wait_until(rpc, reached, &x);
}

enum rc ask(struct rpc *rpc, struct store_addr to, uint16_t type, const Netcheck__Ask *request, struct arena *a,
            int64_t deadline_ns, const Netcheck__Answer **ret, struct err *err) {
    ProtobufCMessage *answer = NULL;
    struct reactor *r = rpc_reactor(rpc);
    enum rc rc =
        rpc_call(rpc, to, type, &request->base, a,
                 deadline_ns == DEADLINE_NONE ? DEADLINE_NONE : reactor_deadline(r, deadline_ns), &answer, err);
    if (!rc && ret)
        *ret = (const Netcheck__Answer *)answer;
    return rc;
}

enum rc echo(struct rpc *rpc, struct store_addr to, const char *data, int64_t deadline_ns, struct err *err) {
    struct arena a;
    arena_init(&a, 1 << 20);
    Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
    const Netcheck__Answer *out = NULL;
    netcheck__ask__init(in);
    if (data)
        in->data = (ProtobufCBinaryData){strlen(data), (uint8_t *)arena_strdup(&a, data)};
    enum rc rc = ask(rpc, to, TYPE_ECHO, in, &a, deadline_ns, &out, err);
    if (!rc && (out->node != to.node || out->store != to.store || out->data.len != (data ? strlen(data) : 0) ||
                (data && memcmp(out->data.data, data, strlen(data)) != 0)))
        rc = err_set(err, RC_INTERNAL, "the wrong answer");
    arena_done(&a);
    return rc;
}

enum rc note(struct rpc *rpc, struct store_addr to, uint16_t type, int64_t value) {
    Netcheck__Ask m = NETCHECK__ASK__INIT;
    m.sleep_ns = value;
    return rpc_send(rpc, to, type, &m.base, NULL, NULL);
}

void make_certs(void) {
    char cmd[2000];
    snprintf(cmd, sizeof cmd,
             "cd %s && exec >/dev/null 2>&1 && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem "
             "-days 2 -subj /CN=test-ca && openssl req -newkey rsa:2048 -nodes -keyout n.key -out n.csr -subj /CN=n1 &&"
             " openssl x509 -req -in n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out n.pem -days 2 &&"
             " openssl req -x509 -newkey rsa:2048 -nodes -keyout evil.key -out evil.pem -days 2 -subj /CN=evil",
             tap_dir());
    OK(system(cmd) == 0);
}

/* ---- raw peers --------------------------------------------------------------------------------------------------- */

static struct sockaddr_in sockaddr_of(const char *addr) {
    char host[64];
    const char *colon = strrchr(addr, ':');
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    snprintf(host, sizeof host, "%.*s", (int)(colon - addr), addr);
    CHECK(inet_pton(AF_INET, host, &sa.sin_addr) == 1);
    return sa;
}

int raw_connect(const char *addr) {
    struct sockaddr_in sa = sockaddr_of(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int raw_listen(char *ret_addr, size_t bytes) {
    struct sockaddr_in sa = sockaddr_of("127.0.0.1:0");
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
    snprintf(ret_addr, bytes, "127.0.0.1:%u", ntohs(sa.sin_port));
    return fd;
}

bool raw_write(int fd, const void *p, size_t bytes) {
    const char *at = p;
    while (bytes) {
        ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

size_t raw_read(int fd, void *to, size_t bytes) {
    size_t at = 0;
    while (at < bytes) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, PATIENCE_MS) != 1)
            break;
        ssize_t n = recv(fd, (char *)to + at, bytes - at, 0);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    return at;
}

bool raw_ended(int fd) {
    char block[4096];
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, PATIENCE_MS) != 1)
            return false;
        if (recv(fd, block, sizeof block, 0) <= 0)
            return true;
    }
}

size_t raw_frame(uint8_t *to, uint8_t kind, uint16_t type, uint64_t id, const void *payload, size_t bytes) {
    struct frame f = {.kind = kind, .type = type, .id = id, .payload_bytes = bytes};
    frame_put_head(to, &f);
    if (bytes)
        memcpy(to + FRAME_HEAD_BYTES, payload, bytes);
    return frame_seal(to, 0, 0);
}

static size_t hello(uint8_t *to, uint32_t node, uint32_t to_node, const char *cluster, enum peer_class purpose) {
    uint8_t packed[512];
    Wire__Hello h = WIRE__HELLO__INIT;
    h.cluster = (ProtobufCBinaryData){strlen(cluster), (uint8_t *)(uintptr_t)cluster};
    h.node = node;
    h.to_node = to_node;
    h.incarnation = 1;
    h.version = h.version_min = PEER_VERSION;
    h.clock_scale = (char *)(uintptr_t) "tai";
    h.purpose = (uint32_t)purpose;
    return raw_frame(to, FRAME_HELLO, 0, 0, packed, wire__hello__pack(&h, packed));
}

size_t raw_hello(uint8_t *to, uint32_t node, uint32_t to_node, const char *cluster, bool preamble) {
    if (preamble)
        memcpy(to, "MRD1\0\0\0\0", 8);
    return (preamble ? 8 : 0) + hello(to + (preamble ? 8 : 0), node, to_node, cluster, PEER_ORDINARY);
}

size_t raw_hello_bulk(uint8_t *to, uint32_t node, uint32_t to_node) {
    memcpy(to, "MRD1\0\0\0\1", 8);
    return 8 + hello(to + 8, node, to_node, "c1", PEER_BULK);
}
