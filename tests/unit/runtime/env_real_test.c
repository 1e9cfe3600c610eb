/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/runtime/env_real.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"

enum { MS = 1000000, SECOND = 1000000000 };

static void path_of(char *to, size_t bytes, const char *name) {
    snprintf(to, bytes, "%s/%s", tap_dir(), name);
}

static void count_name(void *ctx, const char *name) {
    char *all = ctx;
    strcat(strcat(all, name), " ");
}

static void files_body(struct reactor *r) {
    struct env *env = reactor_env(r);
    struct env_file *f = NULL, *g = NULL;
    struct err err = {0};
    char path[600], other[600], back[32], names[200] = "";
    size_t n = 0;
    int64_t size = 0;
    path_of(path, sizeof path, "a");
    path_of(other, sizeof other, "b");
    EQ_INT(env_file_open(env, path, 0, &f, &err), RC_NOTFOUND);
    OK(strstr(err.message, "No such file") != NULL);
    EQ_INT(env_file_open(env, path, ENV_OPEN_CREATE, &f, &err), RC_OK);
    EQ_INT(env_file_open(env, path, ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &g, &err), RC_EXISTS);
    EQ_INT(env_file_write(f, "hello", 5, 3, &err), RC_OK);
    EQ_INT(env_file_size(f, &size, &err), RC_OK);
    EQ_INT(size, 8);
    EQ_INT(env_file_read(f, back, sizeof back, 0, &n, &err), RC_OK);
    EQ_MEM(back, n, "\0\0\0hello", 8);
    struct iovec iov[2] = {{(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "cdef", 4}};
    EQ_INT(file_write_sync(r, ENV_LANE_LOG, f, iov, 2, 8, &err), RC_OK);
    EQ_INT(env_file_read(f, back, 6, 8, &n, &err), RC_OK);
    EQ_MEM(back, n, "abcdef", 6);
    EQ_INT(file_allocate(r, f, 0, 3 << 20, &err), RC_OK);
    EQ_INT(env_file_size(f, &size, &err), RC_OK);
    EQ_INT(size, 3 << 20);
    EQ_INT(env_file_truncate(f, 1, &err), RC_OK);
    EQ_INT(file_sync(r, ENV_LANE_BULK, f, &err), RC_OK);
    env_file_close(f);
    EQ_INT(env_rename(env, path, other, &err), RC_OK);
    EQ_INT(dir_sync(r, tap_dir(), &err), RC_OK);
    EQ_INT(dir_sync(r, "/no/such/place", &err), RC_NOTFOUND);
    EQ_INT(file_replace(r, tap_dir(), "c", "one", 3, &err), RC_OK);
    EQ_INT(file_replace(r, tap_dir(), "c", "two", 3, &err), RC_OK);
    EQ_INT(env_dir_list(env, tap_dir(), count_name, names, &err), RC_OK);
    EQ_STR(names, "b c ");
    EQ_INT(env_unlink(env, other, &err), RC_OK);
    EQ_INT(env_unlink(env, other, &err), RC_NOTFOUND);
    EQ_INT(env_disk_free(env, tap_dir(), &size, &err), RC_OK);
    OK(size > 0);
    struct env_dir_lock *lock = NULL, *second = NULL;
    EQ_INT(env_dir_lock(env, tap_dir(), &lock, &err), RC_OK);
    EQ_INT(env_dir_lock(env, tap_dir(), &second, &err), RC_BUSY);
    env_dir_unlock(lock);
    EQ_INT(env_dir_lock(env, tap_dir(), &second, &err), RC_OK);
    env_dir_unlock(second);
}

static void files(void) {
    on_fiber(DIAG_WARN, files_body);
}

struct appender {
    struct reactor *r;
    struct env_file *f;
    int index;
    int64_t *done;
};

static void append_loop(void *arg) {
    struct appender *a = arg;
    char block[512];
    struct iovec iov = {block, sizeof block};
    memset(block, a->index, sizeof block);
    for (int i = 0; i < 20; i++) {
        EQ_INT(file_write_sync(a->r, ENV_LANE_LOG, a->f, &iov, 1, (a->index * 20 + i) * 512, NULL), RC_OK);
        ++*a->done;
    }
}

/* Many appenders at once: all is there at the end. */
static void group_commit_body(struct reactor *r) {
    struct appender a[32];
    struct fiber_group g;
    struct env_file *f = NULL;
    struct err err = {0};
    char path[600], back[512];
    int64_t done = 0;
    size_t n;
    path_of(path, sizeof path, "log");
    EQ_INT(env_file_open(reactor_env(r), path, ENV_OPEN_CREATE, &f, &err), RC_OK);
    fiber_group_init(&g);
    for (int i = 0; i < 32; i++) {
        a[i] = (struct appender){r, f, i, &done};
        EQ_INT(fiber_spawn(r, &g, FIBER_SMALL, "appender", append_loop, &a[i]), RC_OK);
    }
    EQ_INT(fiber_group_join(r, &g, DEADLINE_NONE), RC_OK);
    EQ_INT(done, 640);
    for (int i = 0; i < 640; i++)
        if (!OK(env_file_read(f, back, 512, i * 512, &n, &err) == RC_OK && n == 512 && back[0] == i / 20))
            break;
    env_file_close(f);
}

static void group_commit(void) {
    on_fiber(DIAG_WARN, group_commit_body);
}

/* ---- streams ---- */

struct echo {
    struct reactor *r;
    struct env_stream *accepted;
    struct waitq arrival;
    struct fiber_group group;
    struct env_tls *server_tls, *client_tls;
};

static void on_accept(void *ctx, struct env_stream *s) {
    struct echo *e = ctx;
    e->accepted = s;
    waitq_wake_one(&e->arrival, RC_OK);
}

static void echo_server(void *arg) {
    struct echo *e = arg;
    struct fiber_stream fs;
    char *block = malloc(70000);
    size_t n;
    if (!e->accepted)
        EQ_INT(waitq_wait(e->r, &e->arrival, DEADLINE_NONE), RC_OK);
    fiber_stream_init(&fs, e->r, e->accepted);
    if (e->server_tls)
        EQ_INT(fiber_stream_tls(&fs, e->server_tls, true, reactor_deadline(e->r, 5LL * SECOND), NULL), RC_OK);
    while (fiber_stream_read(&fs, block, 70000, DEADLINE_NONE, &n) == RC_OK)
        if (fiber_stream_write(&fs, block, n, DEADLINE_NONE) != RC_OK)
            break;
    fiber_stream_close(&fs);
    free(block);
}

static void send_pattern(void *arg) {
    struct fiber_stream *fs = arg;
    uint32_t *block = malloc(1 << 20);
    for (uint32_t part = 0; part < 8; part++) {
        for (uint32_t i = 0; i < 1 << 18; i++)
            block[i] = part << 18 | i;
        EQ_INT(fiber_stream_write(fs, block, 1 << 20, DEADLINE_NONE), RC_OK);
    }
    free(block);
}

/* 8 MiB there and back through an echo, more than any socket buffers. */
static void echo_once(struct reactor *r, struct env_tls *server_tls, struct env_tls *client_tls) {
    struct echo e = {.r = r, .server_tls = server_tls, .client_tls = client_tls};
    struct env_listener *l = NULL;
    struct env_stream *c = NULL;
    struct fiber_stream fs;
    struct err err = {0};
    uint32_t *back = malloc(1 << 16);
    waitq_init(&e.arrival);
    fiber_group_init(&e.group);
    EQ_INT(env_listen(reactor_env(r), "127.0.0.1:0", on_accept, &e, &l, &err), RC_OK);
    EQ_INT(fiber_spawn(r, &e.group, FIBER_SMALL, "echo", echo_server, &e), RC_OK);
    EQ_INT(env_connect(reactor_env(r), env_listener_addr(l), &c, &err), RC_OK);
    fiber_stream_init(&fs, r, c);
    EQ_INT(fiber_stream_wait_open(&fs, DEADLINE_NONE, &err), RC_OK);
    if (client_tls)
        EQ_INT(fiber_stream_tls(&fs, client_tls, false, reactor_deadline(r, 5LL * SECOND), &err), RC_OK);
    struct fiber_group sender;
    fiber_group_init(&sender);
    EQ_INT(fiber_spawn(r, &sender, FIBER_SMALL, "sender", send_pattern, &fs), RC_OK);
    uint32_t next = 0;
    bool same = true;
    size_t held = 0;
    while (next < 8u << 18) {
        size_t n = 0;
        if (!OK(fiber_stream_read(&fs, (char *)back + held, (1 << 16) - held, reactor_deadline(r, 20LL * SECOND), &n) ==
                RC_OK))
            break;
        held += n;
        for (size_t i = 0; i < held / 4; i++)
            same &= back[i] == next++;
        memmove(back, back + held / 4, held % 4);
        held %= 4;
    }
    OK(same);
    EQ_INT(fiber_group_join(r, &sender, DEADLINE_NONE), RC_OK);
    fiber_stream_close(&fs);
    EQ_INT(fiber_group_join(r, &e.group, reactor_deadline(r, 5LL * SECOND)), RC_OK);
    env_listener_close(l);
    free(back);
}

static void streams_body(struct reactor *r) {
    echo_once(r, NULL, NULL);
}

static void streams(void) {
    on_fiber(DIAG_WARN, streams_body);
}

static void make_certs(void) {
    char cmd[2000];
    const char *d = tap_dir();
    snprintf(
        cmd, sizeof cmd,
        "cd %s && exec >/dev/null 2>&1 && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2"
        " -subj /CN=test-ca && openssl req -newkey rsa:2048 -nodes -keyout n.key -out n.csr -subj /CN=n1 &&"
        " openssl x509 -req -in n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out n.pem -days 2 &&"
        " openssl req -x509 -newkey rsa:2048 -nodes -keyout evil.key -out evil.pem -days 2 -subj /CN=evil",
        d);
    OK(system(cmd) == 0);
}

static void tls_body(struct reactor *r) {
    struct env_tls *good = NULL, *evil = NULL, *none = NULL;
    struct env *env = reactor_env(r);
    struct err err = {0};
    char ca[600], cert[600], key[600], ecert[600], ekey[600];
    make_certs();
    path_of(ca, sizeof ca, "ca.pem");
    path_of(cert, sizeof cert, "n.pem");
    path_of(key, sizeof key, "n.key");
    path_of(ecert, sizeof ecert, "evil.pem");
    path_of(ekey, sizeof ekey, "evil.key");
    struct env_tls_conf conf = {cert, key, ca, true}, bad = {ecert, ekey, NULL, false}, mixed = {cert, ekey, ca, true};
    EQ_INT(env_tls_new(env, &conf, &good, &err), RC_OK);
    EQ_INT(env_tls_new(env, &bad, &evil, &err), RC_OK);
    EQ_INT(env_tls_new(env, &mixed, &none, &err), RC_INVAL);
    OKF(strstr(err.message, "TLS:") == err.message, "%s", err.message);
    echo_once(r, good, good);

    /* A client that the CA does not vouch for is refused, and told why. */
    struct echo e = {.r = r};
    struct env_listener *l = NULL;
    struct env_stream *c = NULL;
    struct fiber_stream client, server;
    size_t n;
    char byte;
    waitq_init(&e.arrival);
    EQ_INT(env_listen(env, "127.0.0.1:0", on_accept, &e, &l, &err), RC_OK);
    EQ_INT(env_connect(env, env_listener_addr(l), &c, &err), RC_OK);
    fiber_stream_init(&client, r, c);
    EQ_INT(fiber_stream_wait_open(&client, DEADLINE_NONE, &err), RC_OK);
    if (!e.accepted)
        EQ_INT(waitq_wait(r, &e.arrival, DEADLINE_NONE), RC_OK);
    fiber_stream_init(&server, r, e.accepted);
    EQ_INT(env_stream_tls(client.stream, evil, false, &err), RC_OK);
    EQ_INT(fiber_stream_tls(&server, good, true, reactor_deadline(r, 5LL * SECOND), &err), RC_CLOSED);
    OKF(strstr(err.message, "certificate") != NULL, "%s", err.message);
    fiber_stream_close(&server);
    OK(fiber_stream_read(&client, &byte, 1, reactor_deadline(r, 5LL * SECOND), &n) != RC_OK);
    fiber_stream_close(&client);
    env_listener_close(l);
    env_tls_free(env, good);
    env_tls_free(env, evil);
}

static void tls(void) {
    on_fiber(DIAG_WARN, tls_body);
}

static void refused_body(struct reactor *r) {
    struct env_listener *l = NULL, *same = NULL;
    struct env_stream *c = NULL;
    struct fiber_stream fs;
    struct err err = {0};
    char addr[200];
    struct env *env = reactor_env(r);
    EQ_INT(env_listen(env, "127.0.0.1:0", on_accept, NULL, &l, &err), RC_OK);
    snprintf(addr, sizeof addr, "%s", env_listener_addr(l));
    EQ_INT(env_listen(env, addr, on_accept, NULL, &same, &err), RC_BUSY);
    env_listener_close(l);
    EQ_INT(env_connect(env, addr, &c, &err), RC_OK);
    fiber_stream_init(&fs, r, c);
    EQ_INT(fiber_stream_wait_open(&fs, reactor_deadline(r, 5LL * SECOND), &err), RC_UNREACHABLE);
    OKF(strstr(err.message, "refused") != NULL, "%s", err.message);
    fiber_stream_close(&fs);
    const char *bad[] = {"nohost", "127.0.0.1:", ":1",  "127.0.0.1:99999", "127.0.0.1:7x", "::1:80",
                         "",       "fd:999",     "fd:x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        EQ_INT(env_listen(env, bad[i], on_accept, NULL, &l, &err), RC_INVAL);
    EQ_INT(env_connect(env, "nohost", &c, &err), RC_INVAL);
    EQ_INT(env_connect(env, "localhost:1", &c, &err), RC_OK); /* a name: looked up elsewhere */
    fiber_stream_init(&fs, r, c);
    OK(fiber_stream_wait_open(&fs, reactor_deadline(r, 5LL * SECOND), &err) == RC_UNREACHABLE);
    fiber_stream_close(&fs);
    EQ_INT(env_connect(env, "localhost:1", &c, &err), RC_OK);
    env_stream_close(c); /* while the name is being looked up */
}

static void refused(void) {
    on_fiber(DIAG_WARN, refused_body);
}

static void big_frame(void *arg) {
    volatile char block[40 << 20];
    for (size_t i = 0; i < sizeof block; i += 4096)
        block[i] = 1;
    *(int *)arg = block[4096];
}

static void big_stack_body(struct reactor *r) {
    int out = 0;
    EQ_INT(big_stack_run(r, big_frame, &out), RC_OK);
    EQ_INT(out, 1);
    uint8_t a[16] = {0}, b[16] = {0};
    env_secret(reactor_env(r), a, sizeof a);
    env_secret(reactor_env(r), b, sizeof b);
    OK(memcmp(a, b, sizeof a) != 0);
    OK(env_clock_ns(reactor_env(r), ENV_CLOCK_REAL) > 1700000000LL * SECOND);
}

static void big_stack(void) {
    on_fiber(DIAG_WARN, big_stack_body);
}

int main(void) {
    RUN(files);
    RUN(group_commit);
    RUN(streams);
    RUN(tls);
    RUN(refused);
    RUN(big_stack);
    return tap_done();
}
