/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_conn.c: any conversation with a node, through the real network code in the simulator.
 *
 * One node serves a call, a message and a stream. A stranger or a member (first byte) sends it what the input says: frames
 * whose checksums are right and whose fields and payloads are the fuzzer's, or plain bytes. Whatever it was: a third node's call
 * is answered right, and once the talker has gone nothing of it is left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/sim/sim.h"
#include "shard/net/rpc.h"
#include "shard/net/stream.h"
#include "shard/runtime/wait.h"
#include "tests/unit/net/testnode.h"
#include "truetime/base/buf.h"

enum { NODES = 3, SERVER = 0, TALKER = 1, FRIEND = 2, TYPE_CALL = 1, TYPE_MESSAGE = 2, TYPE_STREAM = 3 };
enum { OP_RAW = 250, KIND_OFFSET = 14, TALK_BYTES_MAX = 64 << 10, PATIENCE_S = 60 };

struct node {
    struct world *world;
    uint32_t id;
    struct sim_node *sim;
    struct reactor *reactor;
    struct rpc *rpc;
};

struct world {
    struct sim *sim;
    struct node node[NODES];
    const uint8_t *data;
    size_t size;
    bool talked, answered;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what is served ---------------------------------------------------------------------------------------------- */

static enum rc serve_call(void *ctx, struct rpc_request *q, ProtobufCMessage **ret_response, struct err *err) {
    Netcheck__Answer *out = arena_new(q->arena, Netcheck__Answer);
    (void)ctx;
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    netcheck__answer__init(out);
    out->data = ((const Netcheck__Ask *)q->message)->data;
    *ret_response = &out->base;
    return RC_OK;
}

static void serve_message(void *ctx, struct rpc_request *q) {
    (void)ctx, (void)q;
}

static enum rc serve_stream(void *ctx, struct rpc_request *q, struct rpc_stream *s, struct err *err) {
    const void *p;
    size_t n = 0;
    enum rc rc;
    (void)ctx, (void)q;
    while ((rc = rpc_stream_read(s, &p, &n, DEADLINE_NONE, err)) == RC_OK && n > 0)
        if ((rc = rpc_stream_write(s, p, n, DEADLINE_NONE, err)) != RC_OK)
            break;
    return rc;
}

/* ---- who talks --------------------------------------------------------------------------------------------------- */

static size_t take(struct rd *in, uint8_t *to, size_t max) {
    size_t n = rd_u8(in), left = rd_left(in);
    n = n > left ? left : n;
    n = n > max ? max : n;
    const uint8_t *p = rd_bytes(in, n);
    if (n)
        memcpy(to, p, n);
    return n;
}

/* The next thing to say, from the input. */
static size_t next_words(struct rd *in, uint8_t *to) {
    uint8_t op = rd_u8(in), payload[256];
    if (op >= OP_RAW)
        return take(in, to, 255);
    struct frame f = {.kind = FRAME_REQUEST, .flags = op / 128, .type = rd_u8(in) % 6, .id = rd_u8(in)};
    f.timeout_ns = (uint64_t)rd_u8(in) * 10 * MS;
    f.payload_bytes = take(in, payload, sizeof payload);
    frame_put_head(to, &f);
    to[KIND_OFFSET] = op % (FRAME_KIND_END + 1); /* also none that there is */
    if (f.payload_bytes)
        memcpy(to + FRAME_HEAD_BYTES, payload, f.payload_bytes);
    return frame_seal(to, op & 1 ? INT64_MAX : 0, op & 2 ? INT64_MIN : 0);
}

static void talk(struct world *w, struct fiber_stream *fs, struct reactor *r) {
    uint8_t words[1024];
    struct rd in;
    rd_init(&in, w->data + 1, w->size - 1);
    enum rc rc = RC_OK;
    size_t n =
        raw_hello(words, TALKER + 1, w->data[0] & 2 ? SERVER + 1 : w->data[0] >> 4, w->data[0] & 1 ? "c1" : "c2", true);
    if (!(w->data[0] & 4))
        rc = fiber_stream_write(fs, words, n, reactor_deadline(r, SECOND));
    while (!rc && rd_left(&in) > 0) {
        n = next_words(&in, words);
        rc = fiber_stream_write(fs, words, n, reactor_deadline(r, SECOND));
        if (!rc && n % 7 == 0)
            rc = fiber_sleep(r, MS);
    }
    while (!rc || rc == RC_TIMEOUT) { /* what it says to that */
        rc = fiber_stream_read(fs, words, sizeof words, reactor_deadline(r, 100LL * MS), &n);
        if (rc == RC_TIMEOUT)
            break;
    }
}

static void talker_main(void *arg) {
    struct node *n = arg;
    struct env_stream *s = NULL;
    struct fiber_stream fs;
    if (env_connect(reactor_env(n->reactor), "n1:1", &s, NULL) == RC_OK) {
        fiber_stream_init(&fs, n->reactor, s);
        if (fiber_stream_wait_open(&fs, reactor_deadline(n->reactor, SECOND), NULL) == RC_OK)
            talk(n->world, &fs, n->reactor);
        fiber_stream_close(&fs);
    }
    n->world->talked = true;
}

static void friend_main(void *arg) {
    struct node *n = arg;
    struct arena a;
    struct err err = {0};
    ProtobufCMessage *answer = NULL;
    arena_init(&a, 1 << 16);
    Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
    netcheck__ask__init(in);
    in->data = (ProtobufCBinaryData){5, (uint8_t *)(uintptr_t) "hello"};
    enum rc rc = rpc_call(n->rpc, (struct store_addr){SERVER + 1, 0}, TYPE_CALL, &in->base, &a,
                          reactor_deadline(n->reactor, 10LL * SECOND), &answer, &err);
    CHECKF(rc == RC_OK, "%s", err_message(&err));
    const Netcheck__Answer *out = (const Netcheck__Answer *)answer;
    CHECK(out->data.len == 5 && memcmp(out->data.data, "hello", 5) == 0);
    arena_done(&a);
    n->world->answered = true;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static bool resolve(void *ctx, uint32_t node, char *ret_addr, size_t bytes) {
    (void)ctx;
    snprintf(ret_addr, bytes, "n%u:1", node);
    return node >= 1 && node <= NODES;
}

static void boot_rpc(struct node *n) {
    static const struct rpc_service services[] = {
        {.type = TYPE_CALL,
         .name = "fuzz.call",
         .request = &netcheck__ask__descriptor,
         .response = &netcheck__answer__descriptor,
         .call = serve_call},
        {.type = TYPE_MESSAGE, .name = "fuzz.message", .request = &netcheck__ask__descriptor, .message = serve_message},
        {.type = TYPE_STREAM, .name = "fuzz.stream", .request = &netcheck__ask__descriptor, .stream = serve_stream},
    };
    struct rpc_conf conf = {.peers = {.cluster = "c1",
                                      .cluster_bytes = 2,
                                      .node = n->id,
                                      .incarnation = 1,
                                      .clock_scale = "tai",
                                      .resolve = resolve}};
    char addr[16];
    snprintf(addr, sizeof addr, "n%u:1", n->id);
    CHECK(rpc_new(n->reactor, &conf, &n->rpc, NULL) == RC_OK && rpc_link(&n->rpc, 1) == RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        CHECK(rpc_register(n->rpc, &services[i], NULL) == RC_OK);
    CHECK(rpc_listen(n->rpc, addr, NULL) == RC_OK);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct node *n = arg;
    (void)count, (void)err;
    CHECK(reactor_new(stores[0], NULL, &n->reactor) == RC_OK);
    boot_rpc(n);
    if (n->id == TALKER + 1)
        CHECK(fiber_spawn(n->reactor, NULL, FIBER_SMALL, "talker", talker_main, n) == RC_OK);
    *ret_state = n;
    return RC_OK;
}

static void stop(void *state, uint16_t store) {
    struct node *n = state;
    (void)store;
    rpc_stop(n->rpc);
    reactor_stop(n->reactor);
}

static bool stopped(void *state, uint16_t store) {
    const struct node *n = state;
    (void)store;
    return reactor_idle(n->reactor) && rpc_idle(n->rpc);
}

static void done(void *state) {
    struct node *n = state;
    rpc_free(n->rpc);
    reactor_free(n->reactor);
}

static const struct program program = {boot, stop, stopped, done};

static bool has_talked(void *ctx) {
    return ((struct world *)ctx)->talked;
}

static bool was_answered(void *ctx) {
    return ((struct world *)ctx)->answered;
}

/* Nothing of the talker is left at the server. */
static bool is_calm(void *ctx) {
    const struct world *w = ctx;
    const struct rpc *rpc = w->node[SERVER].rpc;
    const struct peers_stats *stats = peers_stats(rpc_peers(rpc));
    return gauge_get(&stats->conns) == 0 && gauge_get(&stats->queue_bytes) == 0 &&
           gauge_get(&rpc_stats(rpc)->handlers_now) == 0 && gauge_get(&rpc_stats(rpc)->streams_now) == 0;
}

/* A turn of the reactor follows. */
static void nudge(struct env_post *p) {
    (void)p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sim_conf conf = {.seed = 1, .level = DIAG_OFF};
    struct env_post post = {.fn = nudge};
    if (size == 0 || size > TALK_BYTES_MAX)
        return 0;
    struct world w = {.sim = sim_new(&conf), .data = data, .size = size};
    sim_chance_off(w.sim);
    for (unsigned i = 0; i < NODES; i++) {
        char name[8];
        w.node[i] = (struct node){.world = &w, .id = i + 1};
        snprintf(name, sizeof name, "n%u", i + 1);
        w.node[i].sim = sim_node_new(w.sim, name, 1, &program, &w.node[i]);
        CHECK(sim_node_start(w.node[i].sim, NULL) == RC_OK);
    }
    CHECK(sim_run_until(w.sim, has_talked, &w, sim_now(w.sim) + PATIENCE_S * (int64_t)SECOND));
    CHECK(sim_run_until(w.sim, is_calm, &w, sim_now(w.sim) + PATIENCE_S * (int64_t)SECOND));
    CHECK(fiber_spawn(w.node[FRIEND].reactor, NULL, FIBER_SMALL, "friend", friend_main, &w.node[FRIEND]) == RC_OK);
    env_post(sim_node_env(w.node[FRIEND].sim, 0), &post);
    CHECK(sim_run_until(w.sim, was_answered, &w, sim_now(w.sim) + PATIENCE_S * (int64_t)SECOND));
    sim_free(w.sim);
    return 0;
}
