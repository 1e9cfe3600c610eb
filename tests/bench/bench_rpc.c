/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RPC on loopback between two nodes of this process: the round trip of one call at a time, beside two threads that play
 * ping-pong with bare sockets and epoll, and as many bytes; then how many small frames a second go through one connection.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/bench.h"
#include "tests/lib/tap.h"
#include "tests/unit/net/testnode.h"

enum { CALLS = 20000, NOTES = 600000, CALLERS = 256, MANY_CALLS = 200000, PING_BYTES = FRAME_HEAD_BYTES + 8 };

static struct bench_figure call_us, bare_us, note_rate, many_rate, tls_us; /* one benchmark a process */

static void must(enum rc rc) {
    CHECKF(rc == RC_OK, "%s", rc_text(rc));
}

/* ---- bare sockets ------------------------------------------------------------------------------------------------ */

struct side {
    int fd, epoll;
};

static struct side side_of(int fd) {
    struct side s = {fd, epoll_create1(0)};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    int one = 1;
    CHECK(s.epoll >= 0 && epoll_ctl(s.epoll, EPOLL_CTL_ADD, fd, &ev) == 0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    return s;
}

static void side_send(struct side *s, const char *p) {
    CHECK(send(s->fd, p, PING_BYTES, MSG_NOSIGNAL) == PING_BYTES);
}

/* False: the other side is gone. */
static bool side_receive(struct side *s, char *p) {
    for (size_t got = 0; got < PING_BYTES;) {
        struct epoll_event ev;
        ssize_t n = recv(s->fd, p + got, PING_BYTES - got, MSG_DONTWAIT);
        if (n == 0)
            return false;
        if (n > 0)
            got += (size_t)n;
        else
            CHECK(epoll_wait(s->epoll, &ev, 1, -1) == 1);
    }
    return true;
}

static void *pong_main(void *arg) {
    struct side *s = arg;
    char p[PING_BYTES];
    while (side_receive(s, p))
        side_send(s, p);
    return NULL;
}

static double ping_pong(void) {
    char addr[ENV_ADDR_BYTES], p[PING_BYTES] = {1};
    int listener = raw_listen(addr, sizeof addr), fd = raw_connect(addr), other = accept(listener, NULL, NULL);
    struct side a = side_of(fd), b = side_of(other);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, pong_main, &b) == 0);
    int64_t began = bench_now_ns();
    for (int i = 0; i < CALLS; i++) {
        side_send(&a, p);
        CHECK(side_receive(&a, p));
    }
    double us = (double)(bench_now_ns() - began) / CALLS / 1000;
    CHECK(shutdown(fd, SHUT_WR) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    close(a.epoll), close(b.epoll), close(fd), close(other), close(listener);
    return us;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static const struct store_addr there = {2, 0};

static void call_once(struct rpc *rpc, struct arena *a) {
    ProtobufCMessage *answer = NULL;
    struct err err = {0};
    Netcheck__Ask *in = arena_new(a, Netcheck__Ask);
    netcheck__ask__init(in);
    in->data = (ProtobufCBinaryData){6, (uint8_t *)(uintptr_t) "666666"};
    CHECKF(rpc_call(rpc, there, TYPE_ECHO, &in->base, a, reactor_deadline(rpc_reactor(rpc), 10LL * SECOND), &answer,
                    &err) == RC_OK,
           "%s", err_message(&err));
    CHECK(((const Netcheck__Answer *)answer)->data.len == 6);
}

static void calls(struct rpc *rpc, int count) {
    struct arena a;
    arena_init(&a, 1 << 16);
    for (int i = 0; i < count; i++) {
        call_once(rpc, &a);
        arena_reset(&a);
    }
    arena_done(&a);
}

static void round_trips(struct rpc *rpc, void *arg) {
    double *us = arg;
    calls(rpc, 100); /* the connection is there */
    int64_t began = bench_now_ns();
    calls(rpc, CALLS);
    *us = (double)(bench_now_ns() - began) / CALLS / 1000;
}

static void caller(void *arg) {
    calls(arg, MANY_CALLS / CALLERS);
}

static void many(struct rpc *rpc, void *arg) {
    double *rate = arg;
    struct fiber_group g;
    fiber_group_init(&g);
    int count = MANY_CALLS / CALLERS * CALLERS;
    int64_t began = bench_now_ns();
    for (int i = 0; i < CALLERS; i++)
        must(fiber_spawn(rpc_reactor(rpc), &g, FIBER_SMALL, "caller", caller, rpc));
    must(fiber_group_join(rpc_reactor(rpc), &g, DEADLINE_NONE));
    *rate = (double)count * 1e9 / (double)(bench_now_ns() - began);
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

struct flood {
    struct testnode *to;
    double rate;
};

/* One-way messages, as many as the queue takes; until the last is there. */
static void flood(struct rpc *rpc, void *arg) {
    struct flood *f = arg;
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    uint64_t before = atomic_load(&f->to->notes_now);
    int64_t began = bench_now_ns();
    in.sleep_ns = 1;
    for (int i = 0; i < NOTES;) {
        enum rc rc = rpc_send(rpc, there, TYPE_NOTE_NOW, &in.base, NULL, NULL);
        i += rc == RC_OK;
        if (rc)
            CHECKF(rc == RC_OVERLOAD, "%s", rc_text(rc));
        if (rc || i % 1000 == 0)
            must(fiber_yield(rpc_reactor(rpc)));
    }
    while (atomic_load(&f->to->notes_now) < before + NOTES)
        must(fiber_sleep(rpc_reactor(rpc), MS));
    f->rate = (double)NOTES * 1e9 / (double)(bench_now_ns() - began);
}

static void with_tls(void) {
    struct testnode_conf conf[2] = {{.node = 1, .cert = "n.pem", .key = "n.key", .ca = "ca.pem"}, {0}};
    conf[1] = conf[0];
    conf[1].node = 2;
    make_certs();
    struct testnode *a = testnode_start(&conf[0]), *b = testnode_start(&conf[1]);
    testnode_meet(a, b);
    for (int run = 0; run < BENCH_RUNS; run++)
        testnode_run(a, round_trips, &tls_us.run[run]);
    testnode_stop(a);
    testnode_stop(b);
}

int main(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    struct flood f = {.to = b};
    testnode_meet(a, b);
    for (int run = 0; run < BENCH_RUNS; run++) {
        bare_us.run[run] = ping_pong();
        testnode_run(a, round_trips, &call_us.run[run]);
        testnode_run(a, many, &many_rate.run[run]);
        testnode_run(a, flood, &f);
        note_rate.run[run] = f.rate;
    }
    testnode_stop(a);
    testnode_stop(b);
    with_tls();
    bench_compare("rpc: round trip", &call_us, "us", "epoll ping-pong", &bare_us, BENCH_AT_MOST, 1.5);
    bench_compare("rpc: round trip with mutual TLS", &tls_us, "us", "epoll ping-pong", &bare_us, BENCH_SHOW, 0);
    bench_report("rpc: calls, 256 at a time", &many_rate, "/s", BENCH_SHOW, 0);
    bench_report("rpc: small frames through one connection", &note_rate, "/s", BENCH_AT_LEAST, 200000);
    tap_done();
    return 0;
}
