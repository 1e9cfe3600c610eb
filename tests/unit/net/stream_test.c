/* SPDX-License-Identifier: Apache-2.0 */
/* Bulk streams: both directions, all distances, slow readers, resets, broken connections, peers that cheat. */
#include "shard/net/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "tests/unit/net/testnode.h"
#include "truetime/base/buf.h"

static struct store_addr at(uint32_t node, uint16_t store) {
    return (struct store_addr){node, store};
}

static void fill(uint8_t *p, size_t bytes, uint64_t from) {
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(from + i);
}

/* Writes `bytes` in chunks of `chunk`, ends, and checks the count that comes back. */
static enum rc upload(struct rpc *rpc, struct store_addr to, size_t bytes, size_t chunk, int64_t sleep_ns,
                      struct err *err) {
    struct rpc_stream *s = NULL;
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    uint8_t *block = malloc(chunk);
    const void *data;
    size_t n = 0;
    in.sleep_ns = sleep_ns;
    enum rc rc = rpc_stream_open(rpc, to, TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s, err);
    for (size_t sent = 0; sent < bytes && !rc; sent += chunk) {
        size_t now = bytes - sent < chunk ? bytes - sent : chunk;
        fill(block, now, sent);
        rc = rpc_stream_write(s, block, now, DEADLINE_NONE, err);
    }
    if (!rc)
        rc = rpc_stream_end(s, err);
    if (!rc)
        rc = rpc_stream_read(s, &data, &n, DEADLINE_NONE, err);
    if (!rc && (n != 8 || get_u64le(data) != bytes))
        rc = err_set(err, RC_CORRUPT, "%zu bytes came back", n);
    if (!rc)
        rc = rpc_stream_read(s, &data, &n, DEADLINE_NONE, err);
    if (!rc && n != 0)
        rc = err_set(err, RC_CORRUPT, "no end");
    rpc_stream_close(s);
    free(block);
    return rc;
}

static enum rc download(struct rpc *rpc, struct store_addr to, uint32_t bytes, int64_t pause_ns, struct err *err) {
    struct rpc_stream *s = NULL;
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    const void *data;
    size_t n = 1, got = 0;
    in.answer_bytes = bytes;
    enum rc rc = rpc_stream_open(rpc, to, TYPE_DOWNLOAD, &in.base, DEADLINE_NONE, &s, err);
    while (!rc && n) {
        if (pause_ns)
            rc = fiber_sleep(rpc_reactor(rpc), pause_ns);
        if (!rc)
            rc = rpc_stream_read(s, &data, &n, DEADLINE_NONE, err);
        for (size_t i = 0; !rc && i < n; i++)
            if (((const uint8_t *)data)[i] != (uint8_t)(got + i))
                rc = err_set(err, RC_CORRUPT, "byte %zu is wrong", got + i);
        got += rc ? 0 : n;
    }
    if (!rc && got != bytes)
        rc = err_set(err, RC_CORRUPT, "%zu bytes came", got);
    rpc_stream_close(s);
    return rc;
}

static void ways_body(struct rpc *rpc, void *arg) {
    static const size_t chunks[] = {1, 1000, 65536, RPC_STREAM_CHUNK_BYTES_MAX};
    (void)arg;
    for (int way = 0; way < 4; way++) {
        struct store_addr to = way == 0 ? at(1, 0) : way == 1 ? at(1, 1) : at(2, (uint16_t)(way - 2));
        struct err err = {0};
        for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
            OKF(upload(rpc, to, i ? 3500000 : 5000, chunks[i], 0, &err) == RC_OK, "way %d: %s", way, err.message);
        OKF(upload(rpc, to, 0, 1, 0, &err) == RC_OK, "way %d: %s", way, err.message);
        OKF(download(rpc, to, 5000000, 0, &err) == RC_OK, "way %d: %s", way, err.message);
        OKF(download(rpc, to, 0, 0, &err) == RC_OK, "way %d: %s", way, err.message);
        EQ_INT(gauge_get(&rpc_stats(rpc)->streams_now), 0);
    }
    /* Two connections to each store of node 2: one for bulk, which echoes do not use. */
    EQ_INT(echo(rpc, at(2, 0), "beside it", 5LL * SECOND, NULL), RC_OK);
    EQ_INT(counter_get(&peers_stats(rpc_peers(rpc))->dials), 3);
}

/* Own store, sibling, other node: the same. */
static void all_ways(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1, .stores = 2});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2});
    testnode_meet(a, b);
    testnode_run(a, ways_body, NULL);
    OK(testnode_says(b, "accepted=bulk"));
    testnode_stop(a);
    testnode_stop(b);
}

struct mover {
    struct rpc *rpc;
    int index, good;
    struct err err;
};

static void move_main(void *arg) {
    struct mover *m = arg;
    enum rc rc = m->index % 2 ? upload(m->rpc, at(2, 0), 2000000, 30000, 0, &m->err)
                              : download(m->rpc, at(2, 0), 2000000, 0, &m->err);
    m->good = rc == RC_OK;
}

static void many_body(struct rpc *rpc, void *arg) {
    enum { MOVERS = 20 };
    struct mover *m = calloc(MOVERS, sizeof *m);
    struct fiber_group g;
    (void)arg;
    fiber_group_init(&g);
    for (int i = 0; i < MOVERS; i++) {
        m[i] = (struct mover){.rpc = rpc, .index = i};
        EQ_INT(fiber_spawn(rpc_reactor(rpc), &g, FIBER_SMALL, "mover", move_main, &m[i]), RC_OK);
    }
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &g, DEADLINE_NONE), RC_OK);
    for (int i = 0; i < MOVERS; i++)
        OKF(m[i].good, "mover %d: %s", i, m[i].err.message);
    OK(counter_get(&peers_stats(rpc_peers(rpc))->overloads) > 0); /* the queue's bound was felt */
    free(m);
}

/* Both directions at once through queues much smaller than what is moved. */
static void many(void) {
    struct testnode_conf ca = {.node = 1}, cb = {.node = 2};
    ca.rpc.peers.queue_bytes_max[PEER_BULK] = cb.rpc.peers.queue_bytes_max[PEER_BULK] = 100000;
    struct testnode *a = testnode_start(&ca), *b = testnode_start(&cb);
    testnode_meet(a, b);
    testnode_run(a, many_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

struct slow {
    struct testnode *other;
    _Atomic uint64_t written;
    struct rpc *rpc;
    struct fiber_group g;
    enum rc rc;
};

static void slow_writer(void *arg) {
    struct slow *w = arg;
    struct rpc_stream *s = NULL;
    struct err err = {0};
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    uint8_t block[10000];
    in.sleep_ns = 3600LL * SECOND; /* it reads when it is cancelled: never */
    EQ_INT(rpc_stream_open(w->rpc, at(2, 0), TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s, &err), RC_OK);
    fill(block, sizeof block, 0);
    while ((w->rc = rpc_stream_write(s, block, sizeof block, DEADLINE_NONE, &err)) == RC_OK)
        atomic_fetch_add(&w->written, sizeof block);
    rpc_stream_close(s);
}

static bool writer_stands(void *arg) {
    return atomic_load(&((struct slow *)arg)->written) >= 190000;
}

static void slow_body(struct rpc *rpc, void *arg) {
    struct slow *w = arg;
    w->rpc = rpc;
    fiber_group_init(&w->g);
    EQ_INT(fiber_spawn(rpc_reactor(rpc), &w->g, FIBER_SMALL, "writer", slow_writer, w), RC_OK);
    OK(wait_until(rpc, writer_stands, w));
    /* It goes no further, while others are served: other streams too, over the same connection. */
    for (int i = 0; i < 5; i++) {
        struct err err = {0};
        OKF(download(rpc, at(2, 0), 1000000, 0, &err) == RC_OK, "%s", err.message);
        EQ_INT(echo(rpc, at(2, 0), "quick", 5LL * SECOND, NULL), RC_OK);
    }
    uint64_t at_most = atomic_load(&w->written);
    OKF(at_most < 200000, "written=%llu", (unsigned long long)at_most);
    OK(gauge_get(&peers_stats(rpc_peers(rpc))->queue_bytes) < 100000);
    fiber_group_cancel(&w->g);
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &w->g, DEADLINE_NONE), RC_OK);
    EQ_INT(w->rc, RC_CANCELLED);
}

/* A reader that does not read stops its writer at the window, and nobody else. */
static void slow_reader(void) {
    struct testnode_conf conf = {.node = 2};
    struct slow w = {0};
    conf.rpc.stream_window_bytes = 200000;
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&conf);
    testnode_meet(a, b);
    testnode_run(a, slow_body, &w);
    testnode_stop(a);
    testnode_stop(b);
}

static void trickle_body(struct rpc *rpc, void *arg) {
    struct err err = {0};
    (void)arg;
    /* Small windows, slow steps: every chunk waits for credit, all arrive. */
    OKF(upload(rpc, at(2, 0), 300000, 10000, MS, &err) == RC_OK, "%s", err.message);
    OKF(download(rpc, at(2, 0), 300000, MS, &err) == RC_OK, "%s", err.message);
    OKF(upload(rpc, at(2, 0), 3000, 1, 0, &err) == RC_OK, "%s", err.message); /* a chunk costs more than its byte */
}

static void trickle(void) {
    struct testnode_conf a_conf = {.node = 1}, b_conf = {.node = 2};
    a_conf.rpc.stream_window_bytes = b_conf.rpc.stream_window_bytes = 25000;
    struct testnode *a = testnode_start(&a_conf), *b = testnode_start(&b_conf);
    testnode_meet(a, b);
    testnode_run(a, trickle_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

static void nobody_home_body(struct rpc *rpc, void *arg) {
    struct rpc_stream *s = NULL;
    struct err err = {0};
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    int64_t soon = reactor_deadline(rpc_reactor(rpc), 50 * MS);
    rpc_set_address(rpc, 9, arg);
    EQ_INT(rpc_stream_open(rpc, at(9, 0), TYPE_UPLOAD, &in.base, soon, &s, &err), RC_TIMEOUT);
    OK(s == NULL);
    EQ_INT(echo(rpc, at(9, 0), "anybody", 50 * MS, &err), RC_TIMEOUT);
    OKF(strstr(err.message, "n9/0") != NULL, "%s", err.message);
}

/* The deadline passes while the connection is still being made: both it and its cancel wait, and go with it. */
static void nobody_home(void) {
    char addr[64];
    int fd = raw_listen(addr, sizeof addr); /* the kernel takes the connection, and nobody else */
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    testnode_run(a, nobody_home_body, addr);
    testnode_stop(a);
    close(fd);
}

static bool no_streams(void *arg) {
    return gauge_get(&rpc_stats(arg)->streams_now) == 0 && gauge_get(&rpc_stats(arg)->handlers_now) == 0;
}

static void drained_body(struct rpc *rpc, void *arg) {
    (void)arg;
    OK(wait_until(rpc, no_streams, rpc));
}

static void resets_body(struct rpc *rpc, void *arg) {
    struct testnode *b = arg;
    struct rpc_stream *s = NULL;
    struct err err = {0};
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    const void *data;
    size_t n;
    /* Not served there; not open to anybody; nobody there. */
    EQ_INT(rpc_stream_open(rpc, at(2, 0), TYPE_ECHO, &in.base, DEADLINE_NONE, &s, &err), RC_UNSUPPORTED);
    EQ_INT(rpc_stream_open(rpc, at(2, 0), 999, &in.base, DEADLINE_NONE, &s, &err), RC_UNSUPPORTED);
    EQ_INT(rpc_stream_open(rpc, at(5, 0), TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s, &err), RC_UNREACHABLE);
    OK(s == NULL);
    /* The handler fails in the middle: the writer learns why. */
    in.rc = RC_NOSPACE;
    EQ_INT(rpc_stream_open(rpc, at(2, 0), TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s, &err), RC_OK);
    enum rc rc = RC_OK;
    uint8_t block[1000];
    for (uint64_t at_byte = 0; !rc; at_byte += sizeof block) {
        fill(block, sizeof block, at_byte);
        rc = rpc_stream_write(s, block, sizeof block, DEADLINE_NONE, &err);
    }
    EQ_INT(rc, RC_NOSPACE);
    EQ_STR(err.message, "upload refused");
    EQ_INT(rpc_stream_end(s, &err), RC_NOSPACE);
    EQ_INT(rpc_stream_read(s, &data, &n, DEADLINE_NONE, &err), RC_NOSPACE);
    rpc_stream_close(s);
    /* We fail in the middle: the handler learns why. */
    in.rc = 0;
    EQ_INT(rpc_stream_open(rpc, at(2, 0), TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s, &err), RC_OK);
    EQ_INT(rpc_stream_write(s, "\0\1\2", 3, DEADLINE_NONE, &err), RC_OK);
    err_set(&err, RC_CORRUPT, "a bad page");
    rpc_stream_reset(s, RC_CORRUPT, &err);
    EQ_INT(rpc_stream_write(s, "\3", 1, DEADLINE_NONE, &err), RC_CORRUPT);
    rpc_stream_close(s);
    /* Closed by the opener while the other side writes. */
    in.answer_bytes = 1 << 30;
    EQ_INT(rpc_stream_open(rpc, at(2, 0), TYPE_DOWNLOAD, &in.base, DEADLINE_NONE, &s, &err), RC_OK);
    EQ_INT(rpc_stream_read(s, &data, &n, DEADLINE_NONE, &err), RC_OK);
    EQ_INT(n, 10000);
    rpc_stream_close(s);
    rpc_stream_close(NULL);
    /* Nothing comes: the reader's deadline. */
    in.answer_bytes = 0;
    EQ_INT(rpc_stream_open(rpc, at(2, 0), TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s, &err), RC_OK);
    EQ_INT(rpc_stream_read(s, &data, &n, reactor_deadline(rpc_reactor(rpc), 20 * MS), &err), RC_TIMEOUT);
    EQ_INT(rpc_stream_write(s, "\0", 1, DEADLINE_NONE, &err), RC_OK); /* a timeout breaks nothing */
    EQ_INT(rpc_stream_end(s, &err), RC_OK);
    EQ_INT(rpc_stream_read(s, &data, &n, DEADLINE_NONE, &err), RC_OK);
    EQ_INT(n, 8);
    rpc_stream_close(s);
    OK(atomic_load(&b->started) == 4);
    OK(wait_until(rpc, no_streams, rpc));
}

static void resets(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    testnode_meet(a, b);
    testnode_run(a, resets_body, b);
    testnode_run(b, drained_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

static bool opens_again(void *arg) {
    struct rpc_stream *s = NULL;
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    enum rc rc = rpc_stream_open(arg, at(2, 0), TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s, NULL);
    rpc_stream_close(s);
    return rc == RC_OK;
}

static void limit_body(struct rpc *rpc, void *arg) {
    struct rpc_stream *s[4] = {NULL};
    struct err err = {0};
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    (void)arg;
    for (int i = 0; i < 3; i++)
        EQ_INT(rpc_stream_open(rpc, at(2, 0), TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s[i], &err), RC_OK);
    EQ_INT(rpc_stream_open(rpc, at(2, 0), TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s[3], &err), RC_OVERLOAD);
    for (int i = 0; i < 4; i++)
        rpc_stream_close(s[i]);
    OK(wait_until(rpc, opens_again, rpc)); /* once the handlers of the first three have unwound */
}

static void limits(void) {
    struct testnode_conf conf = {.node = 2};
    conf.rpc.streams_max = 3;
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&conf);
    testnode_meet(a, b);
    testnode_run(a, limit_body, NULL);
    testnode_run(b, drained_body, NULL);
    testnode_stop(a);
    /* The same limit on the opener's side. */
    conf.node = 1;
    a = testnode_start(&conf);
    testnode_meet(a, b);
    testnode_run(a, limit_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

static void cut_begin(struct rpc *rpc, void *arg) {
    struct slow *w = arg;
    w->rpc = rpc;
    fiber_group_init(&w->g);
    EQ_INT(fiber_spawn(rpc_reactor(rpc), &w->g, FIBER_SMALL, "writer", slow_writer, w), RC_OK);
    OK(wait_until(rpc, writer_stands, w));
}

static void cut_end(struct rpc *rpc, void *arg) {
    struct slow *w = arg;
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &w->g, reactor_deadline(rpc_reactor(rpc), 10LL * SECOND)), RC_OK);
    EQ_INT(w->rc, RC_CLOSED);
}

/* Either end dies in the middle. */
static void cut(void) {
    struct slow w = {0}, v = {0};
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    testnode_meet(a, b);
    testnode_run(a, cut_begin, &w);
    testnode_stop(b);
    testnode_run(a, cut_end, &w);
    b = testnode_start(&(struct testnode_conf){.node = 2, .incarnation = 2});
    testnode_meet(a, b);
    testnode_run(a, cut_begin, &v);
    testnode_stop(a);
    testnode_run(b, drained_body, NULL);
    EQ_INT(v.rc, RC_CLOSED);
    testnode_stop(b);
}

/* ---- a peer that cheats ------------------------------------------------------------------------------------------ */

static int cheat_connect(struct testnode *n) {
    uint8_t out[700], in[FRAME_HEAD_BYTES + 4096];
    int fd = raw_connect(n->addr);
    OK(raw_write(fd, out, raw_hello_bulk(out, 9, n->conf.node)));
    EQ_INT(raw_read(fd, in, FRAME_HEAD_BYTES), FRAME_HEAD_BYTES);
    raw_read(fd, in + FRAME_HEAD_BYTES, frame_length(in) - FRAME_HEAD_BYTES);
    return fd;
}

/* A stream frame with its number; an OPEN asks for a reader that does not read. */
static size_t cheat_frame(uint8_t *to, uint8_t kind, uint64_t id, uint64_t number, size_t bytes) {
    uint8_t request[20];
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    in.sleep_ns = 3600LL * SECOND;
    if (kind == FRAME_STREAM_OPEN)
        bytes = netcheck__ask__pack(&in, request);
    struct frame f = {
        .kind = kind, .type = TYPE_UPLOAD, .flags = FRAME_FLAG_OPENER, .id = id, .payload_bytes = 8 + bytes};
    frame_put_head(to, &f);
    set_u64le(to + FRAME_HEAD_BYTES, number);
    memset(to + FRAME_HEAD_BYTES + 8, 0, bytes);
    if (kind == FRAME_STREAM_OPEN)
        memcpy(to + FRAME_HEAD_BYTES + 8, request, bytes);
    return frame_seal(to, 0, 0);
}

struct chunk_sent {
    uint64_t number;
    size_t bytes;
};

/* Opens a stream, gets its credit, sends up to two chunks, of which one breaks a rule, and expects a reset. */
static void cheat(int fd, uint64_t id, const struct chunk_sent *c, uint8_t *block) {
    uint8_t head[FRAME_HEAD_BYTES + 1000];
    static const uint8_t want[] = {FRAME_STREAM_CREDIT, FRAME_STREAM_RESET};
    OK(raw_write(fd, block, cheat_frame(block, FRAME_STREAM_OPEN, id, 1 << 20, 0)));
    for (int i = 0; i < 2; i++)
        if (c[i].bytes || c[i].number)
            OK(raw_write(fd, block, cheat_frame(block, FRAME_STREAM_CHUNK, id, c[i].number, c[i].bytes)));
    for (int i = 0; i < 2; i++) {
        struct frame f;
        size_t used;
        raw_read(fd, head, FRAME_HEAD_BYTES);
        raw_read(fd, head + FRAME_HEAD_BYTES, frame_length(head) - FRAME_HEAD_BYTES);
        EQ_INT(frame_parse(head, sizeof head, 1000, &f, &used), FRAME_OK);
        EQ_INT(f.id, id);
        EQ_INT(f.kind, want[i]);
    }
}

/* Each of these resets its stream; the connection stays. */
static void cheats(void) {
    static const struct chunk_sent cases[][2] = {
        {{1, 10}},                                                          /* a gap at once */
        {{0, 10}, {2, 10}},                                                 /* a gap */
        {{0, 10}, {0, 10}},                                                 /* a double */
        {{0, RPC_STREAM_CHUNK_BYTES_MAX + 1}},                              /* too large */
        {{0, RPC_STREAM_CHUNK_BYTES_MAX}, {1, RPC_STREAM_CHUNK_BYTES_MAX}}, /* more than was granted */
        {{0, 10}, {1, 0}},                                                  /* nothing in it */
    };
    struct testnode_conf conf = {.node = 2};
    conf.rpc.stream_window_bytes = 3 << 19;
    struct testnode *b = testnode_start(&conf);
    uint8_t *block = malloc(FRAME_HEAD_BYTES + 8 + (2 << 20)), ping[FRAME_HEAD_BYTES];
    int fd = cheat_connect(b);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cheat(fd, 100 + i, cases[i], block);
    OK(raw_write(fd, ping, raw_frame(ping, FRAME_PING, 0, 0, NULL, 0)));
    OK(raw_read(fd, ping, FRAME_HEAD_BYTES) == FRAME_HEAD_BYTES && ping[14] == FRAME_PONG);
    close(fd);
    testnode_run(b, drained_body, NULL);
    testnode_stop(b);
    free(block);
}

int main(void) {
    RUN(all_ways);
    RUN(many);
    RUN(slow_reader);
    RUN(trickle);
    RUN(nobody_home);
    RUN(resets);
    RUN(limits);
    RUN(cut);
    RUN(cheats);
    return tap_done();
}
