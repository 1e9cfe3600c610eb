/* SPDX-License-Identifier: Apache-2.0 */
/* Connections in bad company: garbage, foreign clusters, bad certificates, peers that stall, storms. */
#include "shard/net/peer.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/net/status.h"
#include "tests/lib/tap.h"
#include "tests/unit/net/testnode.h"
#include "truetime/base/buf.h"
#include "truetime/base/rng.h"

static struct store_addr at(uint32_t node, uint16_t store) {
    return (struct store_addr){node, store};
}

static const struct peers_stats *stats_of(struct rpc *rpc) {
    return peers_stats(rpc_peers(rpc));
}

/* After a while the node has no more connections than `conns`, and nothing left to do. */
struct calm {
    struct rpc *rpc;
    int64_t conns;
};

static bool is_calm(void *arg) {
    const struct calm *c = arg;
    return gauge_get(&stats_of(c->rpc)->conns) <= c->conns && gauge_get(&stats_of(c->rpc)->queue_bytes) == 0 &&
           gauge_get(&rpc_stats(c->rpc)->handlers_now) == 0;
}

static void calm_body(struct rpc *rpc, void *arg) {
    struct calm c = {rpc, *(int *)arg};
    OK(wait_until(rpc, is_calm, &c));
}

static void expect_calm(struct testnode *n, int conns) {
    testnode_run(n, calm_body, &conns);
}

static void echo_body(struct rpc *rpc, void *arg) {
    struct err err = {0};
    OKF(echo(rpc, at(*(uint32_t *)arg, 0), "still fine", 10LL * SECOND, &err) == RC_OK, "%s", err.message);
}

static void expect_echo(struct testnode *n, uint32_t to) {
    testnode_run(n, echo_body, &to);
}

static int refused(struct testnode *n, enum peer_refusal r) {
    return (int)counter_get(&stats_of(n->rpc[0])->refused[r]);
}

/* ---- garbage ----------------------------------------------------------------------------------------------------- */

/* Says a preamble and hello as node 9 and waits for the answer. */
static int raw_member(struct testnode *n) {
    uint8_t out[600], in[FRAME_HEAD_BYTES + 4096];
    int fd = raw_connect(n->addr);
    OK(fd >= 0 && raw_write(fd, out, raw_hello(out, 9, n->conf.node, "c1", true)));
    if (!EQ_INT(raw_read(fd, in, FRAME_HEAD_BYTES), FRAME_HEAD_BYTES))
        return fd;
    size_t rest = frame_length(in) - FRAME_HEAD_BYTES;
    EQ_INT(raw_read(fd, in + FRAME_HEAD_BYTES, rest), rest);
    EQ_INT(in[14], FRAME_HELLO);
    return fd;
}

/* What is not our protocol is shown the door, with one line, and nobody else notices. */
static void garbage(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    struct rng rng;
    uint8_t block[3000];
    testnode_meet(a, b);
    expect_echo(a, 2);
    rng_init(&rng, 11);
    for (int i = 0; i < 10; i++) {
        int fd = raw_connect(b->addr);
        for (size_t j = 0; j < sizeof block; j++)
            block[j] = (uint8_t)rng_u64(&rng);
        raw_write(fd, block, sizeof block);
        OK(raw_ended(fd));
        close(fd);
    }
    EQ_INT(refused(b, REFUSED_PREAMBLE), 10);
    EQ_INT(testnode_count(testnode_diag(b), "does not speak our protocol"), 10);
    /* The right preamble, then garbage. */
    for (int i = 0; i < 10; i++) {
        int fd = raw_connect(b->addr);
        memcpy(block, "MRD1\0\0\0\0", 8);
        set_u32le(block + 8, (uint32_t)rng_below(&rng, 200000));
        raw_write(fd, block, sizeof block);
        if (frame_length(block + 8) < sizeof block - 8 || frame_length(block + 8) > 5000)
            OK(raw_ended(fd));
        close(fd);
    }
    /* An HTTP client, and one who says nothing and goes. */
    int fd = raw_connect(b->addr);
    raw_write(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    OK(raw_ended(fd));
    close(fd);
    close(raw_connect(b->addr));
    expect_calm(b, 1);
    expect_echo(a, 2);
    EQ_INT(counter_get(&stats_of(a->rpc[0])->dials), 1);
    testnode_stop(a);
    testnode_stop(b);
}

struct spoilt {
    const char *what, *reason;
    enum peer_refusal refusal;
};

/* What a member sends is checked as well: each of these ends its connection, with one line that says why. */
static void corrupt_frames(void) {
    static const struct spoilt cases[] = {
        {"bit", "bad checksum", REFUSED_CRC},
        {"oversize", "oversize", REFUSED_OVERSIZE},
        {"short", "length below that of a header", REFUSED_MALFORMED},
        {"kind", "unknown kind", REFUSED_MALFORMED},
        {"store", "a frame of another store", REFUSED_MALFORMED},
        {"hello", "a second hello", REFUSED_MALFORMED},
        {"bye", "bye out of place", REFUSED_MALFORMED},
    };
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    testnode_meet(a, b);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *what = cases[i].what;
        uint8_t out[600];
        int fd = raw_member(b), before = refused(b, cases[i].refusal);
        size_t n = raw_frame(out, FRAME_PING, 0, 1, NULL, 0);
        if (strcmp(what, "bit") == 0)
            out[24] ^= 4;
        else if (strcmp(what, "oversize") == 0)
            set_u32le(out, FRAME_HEAD_BYTES + FRAME_PAYLOAD_BYTES_MAX + 1);
        else if (strcmp(what, "short") == 0)
            set_u32le(out, 51);
        else if (strcmp(what, "kind") == 0)
            out[14] = 200, frame_seal(out, 0, 0);
        else if (strcmp(what, "store") == 0)
            out[16] = 1, frame_seal(out, 0, 0);
        else if (strcmp(what, "hello") == 0)
            n = raw_hello(out, 9, 2, "c1", false);
        else
            out[14] = FRAME_BYE, frame_seal(out, 0, 0);
        if (strcmp(what, "bye") == 0) /* that one is in order, and answered in kind */
            OK(raw_write(fd, out, n) && raw_read(fd, out, FRAME_HEAD_BYTES) == FRAME_HEAD_BYTES &&
               out[14] == FRAME_BYE);
        else
            OK(raw_write(fd, out, n));
        OKF(raw_ended(fd), "%s", what);
        close(fd);
        if (strcmp(what, "bye") == 0)
            continue;
        EQ_INT(refused(b, cases[i].refusal), before + 1);
        char reason[100];
        snprintf(reason, sizeof reason, "peer=\"n9/0 127.0.0.1:");
        OKF(testnode_says(b, reason), "%s", what);
        snprintf(reason, sizeof reason, "reason=\"%s\"", cases[i].reason);
        OKF(testnode_count(testnode_diag(b), reason) == 1, "%s", what);
    }
    expect_calm(b, 0);
    expect_echo(a, 2);
    testnode_stop(a);
    testnode_stop(b);
}

/* A payload that is no such message spoils its request, not the connection. */
static void bad_payload(void) {
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    uint8_t out[200], in[1000];
    int fd = raw_member(b);
    for (unsigned kind = FRAME_REQUEST; kind <= FRAME_STREAM_OPEN; kind++)
        OK(raw_write(fd, out,
                     raw_frame(out, (uint8_t)kind, TYPE_ECHO, 100 + kind, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9)));
    for (int answer = 0; answer < 2; answer++) {
        struct frame f;
        struct err err;
        size_t used;
        raw_read(fd, in, FRAME_HEAD_BYTES);
        raw_read(fd, in + FRAME_HEAD_BYTES, frame_length(in) - FRAME_HEAD_BYTES);
        EQ_INT(frame_parse(in, sizeof in, 1000, &f, &used), FRAME_OK);
        EQ_INT(f.kind, answer == 0 ? FRAME_ERROR : FRAME_STREAM_RESET);
        EQ_INT(f.id, 100 + (answer == 0 ? FRAME_REQUEST : FRAME_STREAM_OPEN));
        EQ_INT(status_parse(f.payload, f.payload_bytes, &err), answer == 0 ? RC_PROTOCOL : RC_UNSUPPORTED);
    }
    OK(raw_write(fd, out, raw_frame(out, FRAME_PING, 0, 0, NULL, 0)));
    OK(raw_read(fd, in, FRAME_HEAD_BYTES) == FRAME_HEAD_BYTES && in[14] == FRAME_PONG);
    close(fd);
    expect_calm(b, 0);
    testnode_stop(b);
}

/* Answers that were never asked for, cancels of nothing, strays of streams: dropped. A byte at a time: understood. */
static void strays(void) {
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    uint8_t out[2000], in[FRAME_HEAD_BYTES];
    size_t n = 0;
    int fd = raw_member(b);
    static const uint8_t kinds[] = {FRAME_RESPONSE,   FRAME_ERROR,        FRAME_CANCEL,
                                    FRAME_STREAM_END, FRAME_STREAM_RESET, FRAME_PONG};
    for (size_t i = 0; i < sizeof kinds; i++)
        n += raw_frame(out + n, kinds[i], TYPE_ECHO, i, "12345678", 8);
    n += raw_frame(out + n, FRAME_PING, 0, 0, NULL, 0);
    for (size_t i = 0; i < n; i++)
        OK(raw_write(fd, out + i, 1));
    OK(raw_read(fd, in, FRAME_HEAD_BYTES) == FRAME_HEAD_BYTES && in[14] == FRAME_PONG);
    EQ_INT(counter_get(&rpc_stats(b->rpc[0])->late_answers), 2);
    close(fd);
    testnode_stop(b);
}

/* ---- who may speak with whom ------------------------------------------------------------------------------------- */

struct wanted {
    enum rc rc;
    const char *message;
    int tries;
};

static void refused_body(struct rpc *rpc, void *arg) {
    const struct wanted *w = arg;
    for (int i = 0; i < w->tries; i++) {
        struct err err = {0};
        EQ_INT(echo(rpc, at(2, 0), "may I", 10LL * SECOND, &err), w->rc);
        OKF(strstr(err.message, w->message) != NULL, "%s", err.message);
        EQ_INT(note(rpc, at(2, 0), TYPE_NOTE, 1), w->rc);
    }
}

static void expect_refused(const struct testnode_conf *ca, const struct testnode_conf *cb, const struct wanted *w,
                           const char *reason_a, const char *reason_b) {
    struct testnode *a = testnode_start(ca), *b = testnode_start(cb);
    testnode_meet(a, b);
    testnode_run(a, refused_body, (void *)(uintptr_t)w);
    if (reason_a)
        OKF(testnode_says(a, reason_a), "%s in %s", reason_a, testnode_diag(a));
    if (reason_b)
        OKF(testnode_says(b, reason_b), "%s in %s", reason_b, testnode_diag(b));
    testnode_stop(a);
    testnode_stop(b);
}

/* The caller hears of the foreign cluster, also while the next attempt is held back; both sides have it in their
 * diagnostics. */
static void wrong_cluster(void) {
    struct testnode_conf a = {.node = 1}, b = {.node = 2, .cluster = "c2"};
    struct wanted w = {RC_WRONG_CLUSTER, "belongs to another cluster than", 5};
    a.rpc.peers.backoff_ns_min = a.rpc.peers.backoff_ns_max = SECOND;
    expect_refused(&a, &b, &w,
                   "net: connection refused peer=\"n2/0 127.0.0.1:", "net: connection refused peer=\"127.0.0.1:");
}

/* Whoever answers at an address is asked who it is. */
static void wrong_hello(void) {
    struct testnode_conf a = {.node = 1}, scale = {.node = 2, .scale = "utc"};
    expect_refused(&a, &scale, &(struct wanted){RC_PROTOCOL, "counts time on scale", 2}, "scale", "scale");
    /* Node 3 lives where node 2 did; node 2's namesake; a node that has our own number. */
    struct testnode *x = testnode_start(&a);
    struct testnode *y = testnode_start(&(struct testnode_conf){.node = 3});
    struct testnode *z = testnode_start(&(struct testnode_conf){.node = 1});
    testnode_tell(x, 2, y->addr);
    testnode_tell(y, 2, z->addr);
    testnode_run(x, refused_body, &(struct wanted){RC_UNREACHABLE, "node 2", 2});
    testnode_run(y, refused_body, &(struct wanted){RC_UNREACHABLE, "node 2", 2});
    testnode_stop(x);
    testnode_stop(y);
    testnode_stop(z);
}

/* An older incarnation of a node that is known in a newer one is somebody who should be dead. */
static void old_incarnation(void) {
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    struct testnode *new = testnode_start(&(struct testnode_conf){.node = 1, .incarnation = 5});
    struct testnode *old = testnode_start(&(struct testnode_conf){.node = 1, .incarnation = 4});
    testnode_meet(new, b);
    expect_echo(new, 2);
    testnode_tell(old, 2, b->addr);
    testnode_run(old, refused_body, &(struct wanted){RC_PROTOCOL, "older incarnation", 1});
    expect_echo(new, 2);
    testnode_stop(old);
    testnode_stop(new);
    testnode_stop(b);
}

/* Each side checks for itself: here the other one is a liar, or a fool, made by hand. */
static void careless_dialler(void) {
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    uint8_t out[600], in[FRAME_HEAD_BYTES + 4096];
    int fd = raw_connect(b->addr);
    struct frame f;
    size_t used;
    OK(raw_write(fd, out, raw_hello(out, 9, 5, "c1", true))); /* believes that this is node 5 */
    raw_read(fd, in, FRAME_HEAD_BYTES);
    raw_read(fd, in + FRAME_HEAD_BYTES, frame_length(in) - FRAME_HEAD_BYTES);
    EQ_INT(frame_parse(in, sizeof in, 4096, &f, &used), FRAME_OK);
    Wire__Hello *h = wire__hello__unpack(NULL, f.payload_bytes, f.payload);
    OK(h && h->refusal && strcmp(h->refusal->name, "UNREACHABLE") == 0);
    wire__hello__free_unpacked(h, NULL);
    OK(raw_ended(fd));
    close(fd);
    OK(testnode_says(b, "node 5 store 0 was wanted, this is node 2 store 0"));
    testnode_stop(b);
}

static void no_address_body(struct rpc *rpc, void *arg) {
    struct err err = {0};
    (void)arg;
    EQ_INT(echo(rpc, at(77, 0), "where", SECOND, &err), RC_UNREACHABLE);
    OKF(strstr(err.message, "no address is known") != NULL, "%s", err.message);
    rpc_set_address(rpc, 77, "nonsense");
    EQ_INT(echo(rpc, at(77, 0), "where", SECOND, &err), RC_UNREACHABLE);
    rpc_set_address(rpc, 77, "127.0.0.1:1");
    EQ_INT(echo(rpc, at(77, 0), "where", SECOND, &err), RC_UNREACHABLE);
    OKF(strstr(err.message, "refused") != NULL, "%s", err.message);
    rpc_set_address(rpc, 77, NULL);
    EQ_INT(echo(rpc, at(77, 0), "where", SECOND, &err), RC_UNREACHABLE);
    EQ_INT(note(rpc, at(77, 0), TYPE_NOTE, 0), RC_UNREACHABLE);
}

static void no_address(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    testnode_run(a, no_address_body, NULL);
    testnode_stop(a);
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

#define GOOD .cert = "n.pem", .key = "n.key", .ca = "ca.pem"
#define EVIL .cert = "evil.pem", .key = "evil.key", .ca = "ca.pem"

static void tls_body(struct rpc *rpc, void *arg) {
    struct arena a;
    struct err err = {0};
    const Netcheck__Answer *out = NULL;
    (void)arg;
    for (uint16_t s = 0; s < 2; s++)
        OKF(echo(rpc, at(2, s), "in private", 10LL * SECOND, &err) == RC_OK, "%s", err.message);
    arena_init(&a, 0);
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    in.data.len = 2000000;
    in.data.data = arena_zalloc(&a, in.data.len);
    in.answer_bytes = 1000000;
    EQ_INT(ask(rpc, at(2, 1), TYPE_ECHO, &in, &a, 20LL * SECOND, &out, &err), RC_OK);
    arena_done(&a);
}

static void tls(void) {
    make_certs();
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1, GOOD});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2, GOOD});
    testnode_meet(a, b);
    testnode_run(a, tls_body, NULL);
    expect_echo(b, 1);
    OK(testnode_says(b, "accepted=ordinary tls"));
    testnode_stop(a);
    testnode_stop(b);
    /* Who has no certificate of our CA, or none, or wants none, gets nowhere. */
    expect_refused(&(struct testnode_conf){.node = 1, EVIL}, &(struct testnode_conf){.node = 2, GOOD},
                   &(struct wanted){RC_UNREACHABLE, "n2/0", 2}, NULL, "self-signed certificate");
    expect_refused(&(struct testnode_conf){.node = 1, GOOD}, &(struct testnode_conf){.node = 2, EVIL},
                   &(struct wanted){RC_UNREACHABLE, "self-signed certificate", 2}, "self-signed certificate", NULL);
    expect_refused(&(struct testnode_conf){.node = 1}, &(struct testnode_conf){.node = 2, GOOD},
                   &(struct wanted){RC_UNREACHABLE, "n2/0", 2}, NULL, "does not use TLS");
    expect_refused(&(struct testnode_conf){.node = 1, GOOD}, &(struct testnode_conf){.node = 2},
                   &(struct wanted){RC_UNREACHABLE, "n2/0", 2}, NULL, "wants TLS, which is off here");
}

/* ---- silence ----------------------------------------------------------------------------------------------------- */

/* A node that listens, says hello (as node 9), and then never reads or writes again. */
struct mute {
    int listener, fd;
    uint32_t node;
    char addr[64];
};

static void mute_start(struct mute *m) {
    m->node = 9;
    m->listener = raw_listen(m->addr, sizeof m->addr);
}

static void mute_accept(struct mute *m) {
    uint8_t out[600], in[8 + FRAME_HEAD_BYTES + 4096];
    m->fd = accept(m->listener, NULL, NULL);
    EQ_INT(raw_read(m->fd, in, 8 + FRAME_HEAD_BYTES), 8 + FRAME_HEAD_BYTES);
    EQ_MEM(in, 4, "MRD1", 4);
    size_t rest = frame_length(in + 8) - FRAME_HEAD_BYTES;
    EQ_INT(raw_read(m->fd, in + 8 + FRAME_HEAD_BYTES, rest), rest);
    OK(raw_write(m->fd, out, raw_hello(out, m->node, 1, "c1", false)));
}

struct talk {
    struct fiber_group g;
    struct rpc *rpc;
    const char *addr;
    enum rc rc;
    struct err err;
    int64_t took_ns;
};

static void talk_to_mute(void *arg) {
    struct talk *t = arg;
    int64_t began = reactor_now(rpc_reactor(t->rpc));
    t->rc = echo(t->rpc, at(9, 0), "hello?", DEADLINE_NONE, &t->err);
    t->took_ns = reactor_now(rpc_reactor(t->rpc)) - began;
}

static void talk_begin(struct rpc *rpc, void *arg) {
    struct talk *t = arg;
    t->rpc = rpc;
    rpc_set_address(rpc, 9, t->addr);
    fiber_group_init(&t->g);
    EQ_INT(fiber_spawn(rpc_reactor(rpc), &t->g, FIBER_SMALL, "talk", talk_to_mute, t), RC_OK);
}

static void talk_end(struct rpc *rpc, void *arg) {
    struct talk *t = arg;
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &t->g, reactor_deadline(rpc_reactor(rpc), 10LL * SECOND)), RC_OK);
}

/* Meanwhile: floods the mute one with messages, and asks another node, which is as quick as ever. */
static void talk_on(struct rpc *rpc, void *arg) {
    struct talk *t = arg;
    struct arena a;
    struct err err = {0};
    Netcheck__Ask m = NETCHECK__ASK__INIT;
    uint64_t overloads = 0;
    arena_init(&a, 0);
    m.data.len = 20000;
    m.data.data = arena_zalloc(&a, m.data.len);
    while (t->g.count > 0) {
        for (int i = 0; i < 50 && t->g.count; i++)
            overloads += rpc_send(rpc, at(9, 0), TYPE_NOTE, &m.base, NULL, &err) == RC_OVERLOAD;
        if (gauge_get(&stats_of(rpc)->queue_bytes) > 1100000)
            OK(false);
        EQ_INT(echo(rpc, at(2, 0), "are you there", SECOND, &err), RC_OK);
    }
    OK(overloads > 0);
    EQ_INT(t->rc, RC_CLOSED);
    OKF(strstr(t->err.message, "silent") != NULL, "%s", t->err.message);
    OK(t->took_ns >= 950 * MS);
    EQ_INT(counter_get(&stats_of(rpc)->silent), 1);
    EQ_INT(counter_get(&stats_of(rpc)->dials), 2);
    arena_done(&a);
}

/* A peer that took the connection and then says and reads nothing: the heartbeat finds it, its queue stays within its
 * bound, and others do not notice. */
static void half_open(void) {
    struct testnode_conf conf = {.node = 1};
    struct mute m;
    struct talk t = {.addr = m.addr};
    conf.rpc.peers.heartbeat_ns = 250 * MS;
    conf.rpc.peers.dead_ns = SECOND;
    conf.rpc.peers.backoff_ns_min = conf.rpc.peers.backoff_ns_max = 100LL * SECOND;
    conf.rpc.peers.queue_bytes_max[PEER_ORDINARY] = 1000000;
    struct testnode *a = testnode_start(&conf);
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    mute_start(&m);
    testnode_meet(a, b);
    testnode_run(a, talk_begin, &t);
    mute_accept(&m);
    testnode_run(a, talk_on, &t);
    OK(testnode_says(a, "silent for too long"));
    OK(raw_ended(m.fd));
    close(m.fd);
    close(m.listener);
    testnode_stop(a);
    testnode_stop(b);
}

struct outcome {
    struct rpc *rpc;
    enum rc rc;
};

static void big_call(void *arg) {
    struct outcome *o = arg;
    struct arena a;
    arena_init(&a, 0);
    Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
    netcheck__ask__init(in);
    in->data.len = 1000000;
    in->data.data = arena_zalloc(&a, in->data.len);
    o->rc = ask(o->rpc, at(9, 0), TYPE_ECHO, in, &a, DEADLINE_NONE, NULL, NULL);
    arena_done(&a);
}

struct outcomes {
    struct outcome of[60];
    struct fiber_group g;
    const char *addr;
};

static void outcomes_begin(struct rpc *rpc, void *arg) {
    struct outcomes *o = arg;
    rpc_set_address(rpc, 9, o->addr);
    fiber_group_init(&o->g);
    for (size_t i = 0; i < ARRAY_LEN(o->of); i++) {
        o->of[i].rpc = rpc;
        EQ_INT(fiber_spawn(rpc_reactor(rpc), &o->g, FIBER_SMALL, "big call", big_call, &o->of[i]), RC_OK);
    }
}

static void outcomes_end(struct rpc *rpc, void *arg) {
    struct outcomes *o = arg;
    size_t left = 0, total = ARRAY_LEN(o->of);
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &o->g, reactor_deadline(rpc_reactor(rpc), 60LL * SECOND)), RC_OK);
    while (left < total && o->of[left].rc == RC_CLOSED)
        left++;
    for (size_t i = left; i < total; i++)
        EQ_INT(o->of[i].rc, RC_UNREACHABLE);
    OKF(left > 0 && left < total, "left=%zu", left);
}

/* More requests than a socket holds, to one that does not read: when it is given up, those that were written whole
 * may have been executed; the one in the middle and those behind it surely were not. */
static void outcomes(void) {
    struct testnode_conf conf = {.node = 1};
    struct mute m;
    struct outcomes o = {.addr = m.addr};
    conf.rpc.peers.heartbeat_ns = 100 * MS;
    conf.rpc.peers.dead_ns = 400 * MS;
    conf.rpc.peers.queue_bytes_max[PEER_ORDINARY] = 64 << 20;
    struct testnode *a = testnode_start(&conf);
    mute_start(&m);
    testnode_run(a, outcomes_begin, &o);
    mute_accept(&m);
    testnode_run(a, outcomes_end, &o);
    close(m.fd);
    close(m.listener);
    testnode_stop(a);
}

/* Another node answers at the address, and does not mind. */
static void careless_acceptor(void) {
    struct mute m;
    struct talk t = {.addr = m.addr};
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    mute_start(&m);
    m.node = 8;
    testnode_run(a, talk_begin, &t);
    mute_accept(&m);
    testnode_run(a, talk_end, &t);
    EQ_INT(t.rc, RC_UNREACHABLE);
    OKF(strstr(t.err.message, "node 8 store 0 answers at the address of node 9") != NULL, "%s", t.err.message);
    OK(raw_ended(m.fd));
    close(m.fd);
    close(m.listener);
    testnode_stop(a);
}

struct forged {
    struct talk t;
    uint64_t late;
};

static bool nobody_fooled(void *arg) {
    const struct forged *f = arg;
    return counter_get(&rpc_stats(f->t.rpc)->late_answers) >= f->late;
}

static void still_waits(struct rpc *rpc, void *arg) {
    struct forged *f = arg;
    OK(wait_until(rpc, nobody_fooled, f));
    EQ_INT(f->t.g.count, 1);
}

static void answered(struct rpc *rpc, void *arg) {
    struct forged *f = arg;
    talk_end(rpc, &f->t);
    EQ_INT(f->t.rc, RC_BUSY);
    EQ_STR(f->t.err.message, "the real one");
    OK(wait_until(rpc, nobody_fooled, f));
}

/* An answer counts if it comes from who was asked, is of the right type, and is the first. */
static void forged_answers(void) {
    struct mute m;
    struct forged f = {.t = {.addr = m.addr}};
    uint8_t in[1000], out[1000], status[200];
    Wire__Status s = WIRE__STATUS__INIT;
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    mute_start(&m);
    testnode_run(a, talk_begin, &f.t);
    mute_accept(&m);
    raw_read(m.fd, in, FRAME_HEAD_BYTES);
    raw_read(m.fd, in + FRAME_HEAD_BYTES, frame_length(in) - FRAME_HEAD_BYTES);
    EQ_INT(in[14], FRAME_REQUEST);
    uint64_t id = get_u64le(in + 20);
    /* Somebody else, who knows the id. */
    int other = raw_connect(a->addr);
    OK(raw_write(other, out, raw_hello(out, 8, 1, "c1", true)));
    OK(raw_write(other, out, raw_frame(out, FRAME_RESPONSE, TYPE_ECHO, id, NULL, 0)));
    f.late = 1;
    testnode_run(a, still_waits, &f);
    OK(raw_write(m.fd, out, raw_frame(out, FRAME_RESPONSE, TYPE_JOIN, id, NULL, 0)));
    OK(raw_write(m.fd, out, raw_frame(out, FRAME_RESPONSE, TYPE_ECHO, id + 1, NULL, 0)));
    f.late = 3;
    testnode_run(a, still_waits, &f);
    s.name = (char *)(uintptr_t) "BUSY";
    s.message = (char *)(uintptr_t) "the real one";
    size_t n = raw_frame(out, FRAME_ERROR, TYPE_ECHO, id, status, wire__status__pack(&s, status));
    n += raw_frame(out + n, FRAME_RESPONSE, TYPE_ECHO, id, NULL, 0);
    OK(raw_write(m.fd, out, n));
    f.late = 4;
    testnode_run(a, answered, &f);
    close(other);
    close(m.fd);
    close(m.listener);
    testnode_stop(a);
}

static void talk_until_lost(void *arg) {
    struct talk *t = arg;
    struct reactor *r = rpc_reactor(t->rpc);
    int64_t began = reactor_now(r);
    while (counter_get(&stats_of(t->rpc)->lost) < 5 && reactor_now(r) - began < 20LL * SECOND) {
        (void)!echo(t->rpc, at(9, 0), "hello?", SECOND, NULL);
        if (fiber_sleep(r, MS))
            break;
    }
    t->took_ns = reactor_now(r) - began;
}

static void flap_begin(struct rpc *rpc, void *arg) {
    struct talk *t = arg;
    t->rpc = rpc;
    rpc_set_address(rpc, 9, t->addr);
    fiber_group_init(&t->g);
    EQ_INT(fiber_spawn(rpc_reactor(rpc), &t->g, FIBER_SMALL, "talk", talk_until_lost, t), RC_OK);
}

/* One that shakes hands and hangs up, again and again, is dialled ever more slowly: at least 20 + 40 + 80 + 160 ms. */
static void flapping(void) {
    struct testnode_conf conf = {.node = 1};
    struct mute m;
    struct talk t = {.addr = m.addr};
    conf.rpc.peers.backoff_ns_min = 40 * MS;
    struct testnode *a = testnode_start(&conf);
    mute_start(&m);
    testnode_run(a, flap_begin, &t);
    for (int i = 0; i < 5; i++) {
        mute_accept(&m);
        shutdown(m.fd, SHUT_WR);
        OK(raw_ended(m.fd));
        close(m.fd);
    }
    testnode_run(a, talk_end, &t);
    OKF(t.took_ns >= 300LL * MS && t.took_ns < 20LL * SECOND, "%lld ms", (long long)(t.took_ns / MS));
    close(m.listener);
    testnode_stop(a);
}

/* One that takes the connection and does not even say hello. */
static void no_hello(void) {
    struct testnode_conf conf = {.node = 1};
    struct mute m;
    struct talk t = {.addr = m.addr};
    conf.rpc.peers.heartbeat_ns = 40 * MS;
    conf.rpc.peers.handshake_ns = 200 * MS;
    struct testnode *a = testnode_start(&conf);
    mute_start(&m);
    testnode_run(a, talk_begin, &t);
    int fd = accept(m.listener, NULL, NULL);
    OK(raw_ended(fd));
    close(fd);
    testnode_run(a, talk_end, &t); /* by itself: it has no deadline */
    expect_calm(a, 0);
    EQ_INT(t.rc, RC_UNREACHABLE); /* it never left */
    OKF(strstr(t.err.message, "handshake timed out") != NULL, "%s", t.err.message);
    /* And the other way round: one who connects and says nothing, or half a preamble. */
    int x = raw_connect(a->addr), y = raw_connect(a->addr);
    raw_write(y, "MRD", 3);
    OK(raw_ended(x) && raw_ended(y));
    close(x);
    close(y);
    close(m.listener);
    expect_calm(a, 0);
    testnode_stop(a);
}

/* A member that asks for much and never reads the answers. */
struct greedy {
    struct testnode *node;
    int fd;
    uint8_t ask[300];
    size_t bytes;
};

static void greedy_start(struct greedy *g, const struct testnode_conf *conf, uint32_t answer_bytes) {
    uint8_t packed[100];
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    in.answer_bytes = answer_bytes;
    g->node = testnode_start(conf);
    g->fd = raw_member(g->node);
    g->bytes = raw_frame(g->ask, FRAME_REQUEST, TYPE_ECHO, 1, packed, netcheck__ask__pack(&in, packed));
}

static bool greedy_ask(struct greedy *g, uint64_t id) {
    set_u64le(g->ask + 20, id);
    frame_seal(g->ask, 0, 0);
    return raw_write(g->fd, g->ask, g->bytes);
}

/* Requests 1 .. n, so that one read gets them all. */
static bool greedy_ask_together(struct greedy *g, uint64_t n) {
    uint8_t all[8000];
    size_t bytes = 0;
    CHECK(n * g->bytes <= sizeof all);
    for (uint64_t id = 1; id <= n; id++, bytes += g->bytes) {
        memcpy(all + bytes, g->ask, g->bytes);
        set_u64le(all + bytes + 20, id);
        frame_seal(all + bytes, 0, 0);
    }
    return raw_write(g->fd, all, bytes);
}

/* It asks on and on: what it can make us hold is bounded, and in the end it is shown the door. */
static void never_reads_answers(void) {
    struct testnode_conf conf = {.node = 2};
    struct greedy g;
    conf.rpc.peers.queue_bytes_max[PEER_ORDINARY] = 1 << 20;
    greedy_start(&g, &conf, 100000);
    uint64_t sent = 0;
    int64_t worst = 0;
    while (sent < 1000000 && greedy_ask(&g, ++sent)) {
        int64_t q = gauge_get(&stats_of(g.node->rpc[0])->queue_bytes);
        worst = q > worst ? q : worst;
    }
    OKF(sent < 1000000, "sent=%llu", (unsigned long long)sent);
    OKF(worst <= (4 << 20) + 200, "worst=%lld", (long long)worst);
    OK(testnode_says(g.node, "does not read its answers"));
    close(g.fd);
    expect_calm(g.node, 0);
    testnode_stop(g.node);
}

/* All handlers have begun, and the socket has taken what it takes: how much that is differs from machine to machine. */
struct stuck {
    struct greedy *g;
    uint64_t bytes_out;
    int same;
};

static bool is_stuck(void *arg) {
    struct stuck *s = arg;
    const struct peers_stats *stats = stats_of(s->g->node->rpc[0]);
    uint64_t bytes_out = counter_get(&stats->bytes_out);
    s->same = bytes_out == s->bytes_out ? s->same + 1 : 0;
    s->bytes_out = bytes_out;
    return s->same >= 20 && atomic_load(&s->g->node->started) == 20 && counter_get(&stats->overloads) > 0;
}

static bool one_refused(void *arg) {
    return counter_get(&rpc_stats(((struct greedy *)arg)->node->rpc[0])->overloads) == 1;
}

static void stuck_body(struct rpc *rpc, void *arg) {
    struct stuck s = {.g = arg};
    OK(wait_until(rpc, is_stuck, &s));
}

static void refused_one_body(struct rpc *rpc, void *arg) {
    OK(wait_until(rpc, one_refused, arg));
}

/* While its answers do not go out nothing new is begun for it. Once it reads, it gets all of them. */
static void reads_late(void) {
    struct testnode_conf conf = {.node = 2};
    struct greedy g;
    int answers = 0, errors = 0;
    uint8_t *in = malloc(2100000);
    conf.rpc.peers.queue_bytes_max[PEER_ORDINARY] = 1 << 20;
    greedy_start(&g, &conf, 2000000);
    OK(greedy_ask_together(&g, 20));
    testnode_run(g.node, stuck_body, &g);
    OK(greedy_ask(&g, 21));
    testnode_run(g.node, refused_one_body, &g);
    while (answers + errors < 21) {
        if (!EQ_INT(raw_read(g.fd, in, FRAME_HEAD_BYTES), FRAME_HEAD_BYTES))
            break;
        size_t rest = frame_length(in) - FRAME_HEAD_BYTES;
        EQ_INT(raw_read(g.fd, in + FRAME_HEAD_BYTES, rest), rest);
        answers += in[14] == FRAME_RESPONSE;
        errors += in[14] == FRAME_ERROR;
    }
    EQ_INT(answers, 20);
    EQ_INT(errors, 1);
    close(g.fd);
    expect_calm(g.node, 0);
    testnode_stop(g.node);
    free(in);
}

static bool lost_one(void *arg) {
    return counter_get(&stats_of(((struct greedy *)arg)->node->rpc[0])->silent) == 1;
}

static void reads_nothing_body(struct rpc *rpc, void *arg) {
    struct greedy *g = arg;
    struct reactor *r = rpc_reactor(rpc);
    int64_t end = reactor_deadline(r, 10LL * SECOND);
    uint8_t ping[FRAME_HEAD_BYTES];
    raw_frame(ping, FRAME_PING, 0, 0, NULL, 0);
    OK(gauge_get(&rpc_stats(rpc)->handlers_now) >= 0);
    while (!lost_one(g) && reactor_now(r) < end) {
        (void)!send(g->fd, ping, sizeof ping, MSG_NOSIGNAL | MSG_DONTWAIT);
        EQ_INT(fiber_sleep(r, 20 * MS), RC_OK);
    }
    OK(lost_one(g));
}

/* It shows signs of life, but reads nothing: given up too, and its handlers with it. */
static void reads_nothing(void) {
    struct testnode_conf conf = {.node = 2};
    struct greedy g;
    conf.rpc.peers.heartbeat_ns = 300 * MS;
    conf.rpc.peers.dead_ns = 1500 * MS;
    greedy_start(&g, &conf, 1000000);
    for (uint64_t i = 1; i <= 60; i++)
        OK(greedy_ask(&g, i));
    testnode_run(g.node, reads_nothing_body, &g);
    OK(testnode_says(g.node, "reads nothing"));
    close(g.fd);
    expect_calm(g.node, 0);
    testnode_stop(g.node);
}

/* ---- storms and restarts ----------------------------------------------------------------------------------------- */

/* Five hundred connections that stop halfway: the oldest give way, and a member still gets through. */
static void storm(void) {
    struct testnode_conf conf = {.node = 2};
    conf.rpc.peers.handshakes_max = 30;
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&conf);
    int fd[500];
    uint8_t hello[600];
    testnode_meet(a, b);
    for (int i = 0; i < 500; i++) {
        fd[i] = raw_connect(b->addr);
        if (i % 3 == 0)
            raw_write(fd[i], "MRD1", 4);
        else if (i % 3 == 1)
            raw_write(fd[i], hello, raw_hello(hello, 9, 2, "c1", true) - 5);
        if (i % 100 == 99)
            expect_echo(a, 2);
    }
    expect_echo(a, 2);
    OK(gauge_get(&stats_of(b->rpc[0])->conns) <= 31);
    OK(refused(b, REFUSED_LIMIT) >= 400);
    for (int i = 0; i < 500; i++)
        close(fd[i]);
    expect_calm(b, 1);
    testnode_stop(a);
    testnode_stop(b);
}

/* No more connections than conns_max, also of well-behaved members. */
static void too_many(void) {
    struct testnode_conf conf = {.node = 2};
    conf.rpc.peers.conns_max = 3;
    struct testnode *b = testnode_start(&conf);
    struct testnode *n[5];
    int good = 0;
    for (uint32_t i = 0; i < 5; i++) {
        n[i] = testnode_start(&(struct testnode_conf){.node = 10 + i});
        testnode_meet(n[i], b);
    }
    for (int i = 0; i < 3; i++)
        expect_echo(n[i], 2);
    for (int i = 3; i < 5; i++)
        testnode_run(n[i], refused_body, &(struct wanted){RC_UNREACHABLE, "n2/0", 1});
    for (int i = 0; i < 3; i++)
        expect_echo(n[i], 2), good++;
    EQ_INT(good, 3);
    for (int i = 0; i < 5; i++)
        testnode_stop(n[i]);
    testnode_stop(b);
}

/* The same member connects again and again: the newest connection takes the place of the one before. */
static void replaced(void) {
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    int before = -1;
    for (int i = 0; i < 20; i++) {
        int fd = raw_member(b);
        if (before >= 0) {
            OK(raw_ended(before));
            close(before);
        }
        before = fd;
    }
    OK(gauge_get(&stats_of(b->rpc[0])->conns) == 1);
    close(before);
    expect_calm(b, 0);
    testnode_stop(b);
}

struct both {
    struct rpc *rpc;
    _Atomic uint64_t *gate;
    uint32_t other;
    int good;
};

struct duel {
    _Atomic uint64_t gate;
    struct fiber_group g[2];
    struct both side[2];
};

static void duel_ask(void *arg) {
    struct both *s = arg;
    atomic_fetch_add(s->gate, 1);
    while (atomic_load(s->gate) < 2) /* both dial in the same moment */
        ;
    for (int i = 0; i < 50; i++)
        s->good += echo(s->rpc, at(s->other, 0), "you or me", 10LL * SECOND, NULL) == RC_OK;
}

static void duel_begin(struct rpc *rpc, void *arg) {
    struct duel *d = arg;
    int i = rpc_self(rpc).node == 1 ? 0 : 1;
    d->side[i] = (struct both){rpc, &d->gate, i ? 1 : 2, 0};
    fiber_group_init(&d->g[i]);
    EQ_INT(fiber_spawn(rpc_reactor(rpc), &d->g[i], FIBER_SMALL, "duel", duel_ask, &d->side[i]), RC_OK);
}

static bool one_left(void *arg) {
    return gauge_get(&stats_of(arg)->conns) == 1;
}

static void duel_end(struct rpc *rpc, void *arg) {
    struct duel *d = arg;
    int i = rpc_self(rpc).node == 1 ? 0 : 1;
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &d->g[i], DEADLINE_NONE), RC_OK);
    EQ_INT(d->side[i].good, 50);
    OK(wait_until(rpc, one_left, rpc));
    EQ_INT(echo(rpc, at(d->side[i].other, 0), "after", 5LL * SECOND, NULL), RC_OK);
    EQ_INT(counter_get(&stats_of(rpc)->lost), 0);
    OK(counter_get(&stats_of(rpc)->dials) <= 1);
}

/* Both sides dial at once: no request is lost, and one of the two connections retires. */
static void simultaneous(void) {
    uint64_t retired = 0;
    for (int round = 0; round < 10; round++) {
        struct testnode_conf conf = {.node = 1}, other = {.node = 2};
        struct duel d = {0};
        conf.rpc.peers.heartbeat_ns = other.rpc.peers.heartbeat_ns = 20 * MS;
        struct testnode *a = testnode_start(&conf), *b = testnode_start(&other);
        testnode_meet(a, b);
        testnode_run(a, duel_begin, &d);
        testnode_run(b, duel_begin, &d);
        testnode_run(a, duel_end, &d);
        testnode_run(b, duel_end, &d);
        retired += counter_get(&stats_of(a->rpc[0])->retired) + counter_get(&stats_of(b->rpc[0])->retired);
        testnode_stop(a);
        testnode_stop(b);
    }
    tap_note("connections retired: %llu", (unsigned long long)retired);
}

static void disconnect_body(struct rpc *rpc, void *arg) {
    struct fiber_group g;
    struct talk t = {.rpc = rpc};
    (void)arg;
    for (int i = 0; i < 20; i++) {
        EQ_INT(echo(rpc, at(2, 0), "again", 5LL * SECOND, NULL), RC_OK);
        rpc_disconnect(rpc, 2);
    }
    EQ_INT(counter_get(&stats_of(rpc)->dials), 20);
    /* While it is still dialling. */
    fiber_group_init(&g);
    rpc_set_address(rpc, 9, "127.0.0.1:1");
    EQ_INT(fiber_spawn(rpc_reactor(rpc), &g, FIBER_SMALL, "talk", talk_to_mute, &t), RC_OK);
    EQ_INT(fiber_yield(rpc_reactor(rpc)), RC_OK);
    rpc_disconnect(rpc, 9);
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &g, reactor_deadline(rpc_reactor(rpc), 5LL * SECOND)), RC_OK);
    EQ_INT(t.rc, RC_UNREACHABLE);
}

static void disconnects(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    testnode_meet(a, b);
    testnode_run(a, disconnect_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

/* The counters reach the dump under their names. */
static void metrics(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    struct buf out;
    const struct metrics *all[] = {&reactor_env(a->reactor[0])->metrics};
    testnode_meet(a, b);
    expect_echo(a, 2);
    buf_init(&out, 0);
    metrics_dump(all, 1, &out);
    const char *text = buf_cstr(&out);
    OK(strstr(text, "meridian_net_dials_total{store=\"0\"} 1\n") != NULL);
    OK(strstr(text, "meridian_net_refused_total{store=\"0\",reason=\"checksum\"} 0\n") != NULL);
    OK(strstr(text, "meridian_rpc_calls_total{store=\"0\",way=\"remote\"} 1\n") != NULL);
    OK(strstr(text, "meridian_rpc_latency_seconds_count{store=\"0\"} 1\n") != NULL);
    buf_done(&out);
    testnode_stop(a);
    testnode_stop(b);
}

/* ---- distances ---------------------------------------------------------------------------------------------------- */

static _Atomic int64_t test_delay_ns;

static int64_t delay_now(void *ctx, uint32_t node) {
    (void)ctx, (void)node;
    return atomic_load(&test_delay_ns);
}

static void timed_echo(struct rpc *rpc, void *arg) {
    struct err err = {0};
    int64_t began = reactor_now(rpc_reactor(rpc));
    OKF(echo(rpc, at(2, 0), "far away", 10LL * SECOND, &err) == RC_OK, "%s", err.message);
    *(int64_t *)arg = reactor_now(rpc_reactor(rpc)) - began;
}

static void cut_echo(struct rpc *rpc, void *arg) {
    struct err err = {0};
    (void)arg;
    EQ_INT(echo(rpc, at(2, 0), "nobody hears", 300LL * MS, &err), RC_TIMEOUT);
}

/* What is queued leaves so much later, in order; a cut line holds it back and lets it go when it is mended. */
static void send_delay(void) {
    struct rpc_conf conf = {.peers = {.send_delay = delay_now}};
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1, .rpc = conf});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .rpc = conf});
    int64_t took = 0;
    testnode_meet(a, b);
    expect_echo(a, 2);
    atomic_store(&test_delay_ns, 40 * MS);
    testnode_run(a, timed_echo, &took);
    OKF(took >= 80 * MS, "a round trip of 2 x 40 ms took %.1f ms", (double)took / 1e6);
    atomic_store(&test_delay_ns, PEER_DELAY_CUT);
    testnode_run(a, cut_echo, NULL);
    atomic_store(&test_delay_ns, 0);
    expect_echo(a, 2);
    EQ_INT(counter_get(&stats_of(a->rpc[0])->dials), 1); /* nobody had to connect again */
    testnode_stop(a);
    testnode_stop(b);
}

int main(void) {
    RUN(garbage);
    RUN(corrupt_frames);
    RUN(bad_payload);
    RUN(strays);
    RUN(wrong_cluster);
    RUN(wrong_hello);
    RUN(old_incarnation);
    RUN(careless_dialler);
    RUN(careless_acceptor);
    RUN(no_address);
    RUN(tls);
    RUN(half_open);
    RUN(outcomes);
    RUN(forged_answers);
    RUN(flapping);
    RUN(no_hello);
    RUN(never_reads_answers);
    RUN(reads_late);
    RUN(reads_nothing);
    RUN(storm);
    RUN(too_many);
    RUN(replaced);
    RUN(simultaneous);
    RUN(disconnects);
    RUN(metrics);
    RUN(send_delay);
    return tap_done();
}
