/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and messages between stores: of the own process, of others, in good times and when somebody goes away. */
#include "shard/net/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "tests/unit/net/testnode.h"

static struct store_addr at(uint32_t node, uint16_t store) {
    return (struct store_addr){node, store};
}

/* ---- the three ways ---------------------------------------------------------------------------------------------- */

struct probe {
    const ProtobufCMessage *seen;
    const struct arena *arena;
};

static enum rc serve_probe(void *ctx, struct rpc_request *q, ProtobufCMessage **ret_response, struct err *err) {
    struct probe *p = ctx;
    (void)err;
    p->seen = q->message;
    p->arena = q->arena;
    Netcheck__Answer *out = arena_new(q->arena, Netcheck__Answer);
    netcheck__answer__init(out);
    *ret_response = &out->base;
    return RC_OK;
}

/* The own store's handler gets the caller's very message and arena. */
static void own_store_body(struct rpc *rpc, void *arg) {
    static const struct rpc_service service = {.type = 100,
                                               .name = "test.probe",
                                               .request = &netcheck__ask__descriptor,
                                               .response = &netcheck__answer__descriptor,
                                               .call = serve_probe};
    struct probe p = {0};
    struct arena a;
    struct err err = {0};
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    (void)arg;
    arena_init(&a, 0);
    EQ_INT(rpc_register(rpc, &service, &p), RC_OK);
    EQ_INT(ask(rpc, rpc_self(rpc), 100, &in, &a, DEADLINE_NONE, NULL, &err), RC_OK);
    OK(p.seen == &in.base);
    OK(p.arena == &a);
    arena_done(&a);
    EQ_INT(echo(rpc, rpc_self(rpc), "to myself", SECOND, &err), RC_OK);
    EQ_INT(counter_get(&peers_stats(rpc_peers(rpc))->frames_out), 0);
}

static void own_store(void) {
    struct testnode *n = testnode_start(&(struct testnode_conf){.node = 1});
    testnode_run(n, own_store_body, n);
    testnode_stop(n);
}

/* A sibling gets the arena with the message in it, and sends it back with the answer behind it. */
static void sibling_body(struct rpc *rpc, void *arg) {
    struct arena a;
    struct err err = {0};
    const Netcheck__Answer *out = NULL;
    (void)arg;
    arena_init(&a, 0);
    Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
    netcheck__ask__init(in);
    in->data = (ProtobufCBinaryData){5, (uint8_t *)arena_strdup(&a, "hello")};
    const uint8_t *data = in->data.data;
    EQ_INT(ask(rpc, at(1, 2), TYPE_ECHO, in, &a, SECOND, &out, &err), RC_OK);
    OK(out->data.data == data); /* neither packed nor copied */
    EQ_INT(out->store, 2);
    OK(a.bytes > 0);
    arena_done(&a);
    for (uint16_t s = 0; s < 3; s++)
        for (int i = 0; i < 100; i++)
            EQ_INT(echo(rpc, at(1, s), "hi", 10LL * SECOND, &err), RC_OK);
    EQ_INT(echo(rpc, at(1, 3), "hi", SECOND, &err), RC_UNREACHABLE);
    Netcheck__Ask bad = NETCHECK__ASK__INIT;
    bad.rc = RC_BUSY;
    arena_init(&a, 0);
    EQ_INT(ask(rpc, at(1, 1), TYPE_ECHO, &bad, &a, SECOND, NULL, &err), RC_BUSY);
    EQ_STR(err.hint, "Ask for something else.");
    EQ_INT(ask(rpc, at(1, 1), TYPE_ABROAD, &bad, &a, SECOND, NULL, &err), RC_UNSUPPORTED);
    rpc_set_opening(rpc, true); /* it may come yet */
    EQ_INT(ask(rpc, rpc_self(rpc), TYPE_ABROAD, &bad, &a, SECOND, NULL, &err), RC_UNREACHABLE);
    rpc_set_opening(rpc, false);
    arena_done(&a);
    EQ_INT(counter_get(&peers_stats(rpc_peers(rpc))->bytes_out), 0);
}

static void sibling_store(void) {
    struct testnode *n = testnode_start(&(struct testnode_conf){.node = 1, .stores = 3});
    testnode_run(n, sibling_body, n);
    testnode_run_on(n, 2, sibling_body, n);
    testnode_stop(n);
}

static void remote_body(struct rpc *rpc, void *arg) {
    struct err err = {0};
    struct arena a;
    const Netcheck__Answer *out = NULL;
    (void)arg;
    for (uint16_t s = 0; s < 2; s++)
        EQ_INT(echo(rpc, at(2, s), "over there", 10LL * SECOND, &err), RC_OK);
    /* A megabyte and more there and back. */
    arena_init(&a, 0);
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    in.data.len = 1500000;
    in.data.data = arena_zalloc(&a, in.data.len);
    in.answer_bytes = 2000000;
    EQ_INT(ask(rpc, at(2, 1), TYPE_ECHO, &in, &a, 10LL * SECOND, &out, &err), RC_OK);
    EQ_INT(out->data.len, 3500000);
    EQ_INT(ask(rpc, at(2, 1), TYPE_BIG, &in, &a, 10LL * SECOND, &out, &err), RC_OK);
    /* Too large a question, too large an answer. */
    in.data.len = 100;
    in.answer_bytes = FRAME_PAYLOAD_BYTES_MAX;
    EQ_INT(ask(rpc, at(2, 1), TYPE_ECHO, &in, &a, 10LL * SECOND, &out, &err), RC_LIMIT);
    in.data.len = FRAME_PAYLOAD_BYTES_MAX;
    in.data.data = arena_zalloc(&a, in.data.len);
    EQ_INT(ask(rpc, at(2, 1), TYPE_ECHO, &in, &a, 10LL * SECOND, &out, &err), RC_LIMIT);
    /* An answer that is more than the caller's arena may hold. */
    arena_done(&a);
    arena_init(&a, 100000);
    in.data.len = 0;
    in.answer_bytes = 200000;
    EQ_INT(ask(rpc, at(2, 0), TYPE_ECHO, &in, &a, 10LL * SECOND, &out, &err), RC_LIMIT);
    arena_done(&a);
    EQ_INT(echo(rpc, at(2, 7), "nobody", 10LL * SECOND, &err), RC_UNREACHABLE);
}

static void remote(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2});
    testnode_meet(a, b);
    testnode_run(a, remote_body, b);
    OK(testnode_says(b, "no such store"));
    testnode_stop(a);
    testnode_stop(b);
}

/* Three nodes of two stores each: everybody asks everybody, at once. */
struct asker {
    struct rpc *rpc;
    struct fiber_group *group;
    struct store_addr to;
    int good;
};

static void ask_forty(void *arg) {
    struct asker *k = arg;
    char text[40];
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "%u/%u %d", k->to.node, k->to.store, i);
        k->good += echo(k->rpc, k->to, text, 20LL * SECOND, NULL) == RC_OK;
    }
}

static void all_body(struct rpc *rpc, void *arg) {
    struct asker k[6];
    struct fiber_group g;
    (void)arg;
    fiber_group_init(&g);
    for (int i = 0; i < 6; i++) {
        k[i] = (struct asker){rpc, &g, at((uint32_t)(1 + i / 2), (uint16_t)(i % 2)), 0};
        EQ_INT(fiber_spawn(rpc_reactor(rpc), &g, FIBER_SMALL, "asker", ask_forty, &k[i]), RC_OK);
    }
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &g, DEADLINE_NONE), RC_OK);
    for (int i = 0; i < 6; i++)
        EQ_INT(k[i].good, 40);
}

static void three_nodes(void) {
    struct testnode *n[3];
    for (uint32_t i = 0; i < 3; i++)
        n[i] = testnode_start(&(struct testnode_conf){.node = i + 1, .stores = 2});
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < i; j++)
            testnode_meet(n[i], n[j]);
    for (int i = 0; i < 3; i++)
        for (uint16_t s = 0; s < 2; s++)
            testnode_run_on(n[i], s, all_body, NULL);
    for (int i = 0; i < 3; i++)
        testnode_stop(n[i]);
}

/* ---- outcomes ---------------------------------------------------------------------------------------------------- */

/* The handler's error arrives with all its words, whatever the way. */
static void errors_body(struct rpc *rpc, void *arg) {
    struct arena a;
    (void)arg;
    for (uint32_t node = 1; node <= 2; node++) {
        struct err err = {0};
        Netcheck__Ask in = NETCHECK__ASK__INIT;
        arena_init(&a, 0);
        in.rc = RC_BUSY;
        EQ_INT(ask(rpc, at(node, 0), TYPE_ECHO, &in, &a, SECOND, NULL, &err), RC_BUSY);
        EQ_INT(err.rc, RC_BUSY);
        EQ_STR(err.message, "as you wish");
        EQ_STR(err.detail, "sleep_ns=0");
        EQ_STR(err.hint, "Ask for something else.");
        EQ_INT(ask(rpc, at(node, 0), TYPE_ECHO, &in, &a, SECOND, NULL, NULL), RC_BUSY);
        EQ_INT(ask(rpc, at(node, 0), TYPE_ABROAD, &in, &a, SECOND, NULL, &err), RC_UNSUPPORTED);
        OKF(strstr(err.message, "type 7") != NULL, "%s", err.message);
        arena_done(&a);
    }
}

static void errors(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    testnode_meet(a, b);
    testnode_run(a, errors_body, b);
    testnode_stop(a);
    testnode_stop(b);
}

/* The deadline travels, bounds the handler, and ends the call on time; the late answer harms nobody. */
static void deadlines_body(struct rpc *rpc, void *arg) {
    struct testnode *other = arg;
    struct reactor *r = rpc_reactor(rpc);
    for (uint32_t way = 0; way < 3; way++) {
        struct store_addr to = way == 0 ? at(1, 0) : way == 1 ? at(1, 1) : at(2, 0);
        struct arena a;
        struct err err = {0};
        const Netcheck__Answer *out = NULL;
        arena_init(&a, 0);
        Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
        netcheck__ask__init(in);
        EQ_INT(ask(rpc, to, TYPE_ECHO, in, &a, 30LL * SECOND, &out, &err), RC_OK);
        OK(out->left_ns > 20LL * SECOND && out->left_ns <= 30LL * SECOND);
        arena_reset(&a);
        in = arena_new(&a, Netcheck__Ask);
        netcheck__ask__init(in);
        EQ_INT(ask(rpc, to, TYPE_ECHO, in, &a, DEADLINE_NONE, &out, &err), RC_OK);
        EQ_INT(out->left_ns, -1);
        arena_reset(&a);
        in = arena_new(&a, Netcheck__Ask);
        netcheck__ask__init(in);
        in->sleep_ns = 60LL * SECOND;
        int64_t began = reactor_now(r);
        EQ_INT(ask(rpc, to, TYPE_ECHO, in, &a, 30 * MS, &out, &err), RC_TIMEOUT);
        OK(reactor_now(r) - began >= 30 * MS);
        EQ_INT(ask(rpc, to, TYPE_ECHO, &(Netcheck__Ask)NETCHECK__ASK__INIT, &a, 0, &out, &err), RC_TIMEOUT);
        arena_done(&a);
        /* The fiber's own deadline counts too. */
        int64_t old = fiber_set_deadline(r, reactor_deadline(r, 20 * MS));
        arena_init(&a, 0);
        in = arena_new(&a, Netcheck__Ask);
        netcheck__ask__init(in);
        in->sleep_ns = 60LL * SECOND;
        EQ_INT(ask(rpc, to, TYPE_ECHO, in, &a, DEADLINE_NONE, &out, &err), RC_TIMEOUT);
        fiber_set_deadline(r, old);
        arena_done(&a);
        EQ_INT(echo(rpc, to, "still there", 10LL * SECOND, &err), RC_OK);
    }
    OK(atomic_load(&other->started) >= 4);
}

static bool nothing_runs(void *arg) {
    return gauge_get(&rpc_stats(arg)->handlers_now) == 0;
}

static void drained_body(struct rpc *rpc, void *arg) {
    (void)arg;
    OK(wait_until(rpc, nothing_runs, rpc));
}

static void deadlines(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1, .stores = 2});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    testnode_meet(a, b);
    testnode_run(a, deadlines_body, b);
    testnode_run(b, drained_body, NULL);
    testnode_run_on(a, 1, drained_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

struct sleeper {
    struct rpc *rpc;
    struct store_addr to;
    struct fiber *fiber;
    enum rc rc;
    struct err err;
};

static void sleep_call(void *arg) {
    struct sleeper *s = arg;
    struct arena a;
    s->fiber = fiber_self(rpc_reactor(s->rpc));
    arena_init(&a, 0);
    Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
    netcheck__ask__init(in);
    in->sleep_ns = 600LL * SECOND;
    s->rc = ask(s->rpc, s->to, TYPE_ECHO, in, &a, DEADLINE_NONE, NULL, &s->err);
    arena_done(&a);
}

/* A caller that is cancelled comes back at once, and its handler is cancelled wherever it runs. */
static void cancels_body(struct rpc *rpc, void *arg) {
    struct testnode **nodes = arg;
    for (uint64_t way = 0; way < 3; way++) {
        struct testnode *where = nodes[way == 2];
        struct sleeper s = {.rpc = rpc, .to = way == 0 ? at(1, 0) : way == 1 ? at(1, 1) : at(2, 0)};
        struct fiber_group g;
        uint64_t started = atomic_load(&where->started), cancelled = atomic_load(&where->cancelled);
        fiber_group_init(&g);
        EQ_INT(fiber_spawn(rpc_reactor(rpc), &g, FIBER_SMALL, "sleeper", sleep_call, &s), RC_OK);
        OK(wait_for(rpc, &where->started, started + 1));
        fiber_cancel(s.fiber);
        EQ_INT(fiber_group_join(rpc_reactor(rpc), &g, reactor_deadline(rpc_reactor(rpc), 10LL * SECOND)), RC_OK);
        EQ_INT(s.rc, RC_CANCELLED);
        OK(wait_for(rpc, &where->cancelled, cancelled + 1));
    }
}

static void cancels(void) {
    struct testnode *n[2] = {testnode_start(&(struct testnode_conf){.node = 1, .stores = 2}),
                             testnode_start(&(struct testnode_conf){.node = 2})};
    testnode_meet(n[0], n[1]);
    testnode_run(n[0], cancels_body, n);
    testnode_run(n[1], drained_body, NULL);
    testnode_stop(n[0]);
    testnode_stop(n[1]);
}

struct fallen {
    struct sleeper s[20];
    struct fiber_group g;
};

static void fall_begin(struct rpc *rpc, void *arg) {
    struct fallen *f = arg;
    fiber_group_init(&f->g);
    for (int i = 0; i < 20; i++) {
        f->s[i] = (struct sleeper){.rpc = rpc, .to = at(2, (uint16_t)(i % 2))};
        EQ_INT(fiber_spawn(rpc_reactor(rpc), &f->g, FIBER_SMALL, "sleeper", sleep_call, &f->s[i]), RC_OK);
    }
}

static void fall_started(struct rpc *rpc, void *arg) {
    OK(wait_for(rpc, &((struct testnode *)arg)->started, 20));
}

static void fall_end(struct rpc *rpc, void *arg) {
    struct fallen *f = arg;
    struct err err = {0};
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &f->g, reactor_deadline(rpc_reactor(rpc), 10LL * SECOND)), RC_OK);
    for (int i = 0; i < 20; i++) {
        EQ_INT(f->s[i].rc, RC_CLOSED);
        OKF(strstr(f->s[i].err.message, "n2/") == f->s[i].err.message, "%s", f->s[i].err.message);
    }
    EQ_INT(rc_retry(RC_CLOSED), RETRY_ASK);
    /* Nobody listens there now: what is asked from here on surely did not leave. */
    for (int i = 0; i < 5; i++) {
        EQ_INT(echo(rpc, at(2, 0), "gone", 5LL * SECOND, &err), RC_UNREACHABLE);
        OKF(strstr(err.message, "n2/0") == err.message, "%s", err.message);
    }
    EQ_INT(rc_retry(RC_UNREACHABLE), RETRY_YES);
}

static bool reaches_again(void *arg) {
    return echo(arg, at(2, 1), "back", SECOND, NULL) == RC_OK;
}

static void fall_again(struct rpc *rpc, void *arg) {
    (void)arg;
    OK(wait_until(rpc, reaches_again, rpc));
}

/* A node dies in the middle of calls: their outcome is unknown. Later ones never left. It comes back on the same
 * port, as a newer incarnation, and all is well. */
static void peer_dies(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2});
    struct fallen f;
    char addr[ENV_ADDR_BYTES];
    testnode_meet(a, b);
    testnode_run(a, fall_begin, &f);
    testnode_run(b, fall_started, b);
    snprintf(addr, sizeof addr, "%s", b->addr);
    testnode_stop(b);
    testnode_run(a, fall_end, &f);
    b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2, .listen = addr, .incarnation = 2});
    testnode_run(a, fall_again, NULL);
    testnode_stop(b);
    testnode_stop(a);
}

/* The other way round: the caller's node dies, and its handlers here are cancelled. */
static void caller_dies_body(struct rpc *rpc, void *arg) {
    struct testnode *b = arg;
    OK(wait_for(rpc, &b->cancelled, 20));
    OK(wait_until(rpc, nothing_runs, rpc));
}

static void caller_dies(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2});
    struct fallen f;
    testnode_meet(a, b);
    testnode_run(a, fall_begin, &f);
    testnode_run(b, fall_started, b);
    testnode_stop(a);
    testnode_run(b, caller_dies_body, b);
    testnode_stop(b);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

struct crowd {
    struct rpc *rpc;
    struct store_addr to;
    int good, overloaded, other;
    _Atomic uint64_t left;
};

static void one_of_crowd(void *arg) {
    struct crowd *c = arg;
    struct arena a;
    struct err err = {0};
    arena_init(&a, 0);
    Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
    netcheck__ask__init(in);
    in->sleep_ns = 50 * MS;
    enum rc rc = ask(c->rpc, c->to, TYPE_FEW, in, &a, 10LL * SECOND, NULL, &err);
    *(rc == RC_OK ? &c->good : rc == RC_OVERLOAD ? &c->overloaded : &c->other) += 1;
    arena_done(&a);
}

/* A service takes as many at once as it says; the rest hear "overloaded" at once. */
static void limits_body(struct rpc *rpc, void *arg) {
    (void)arg;
    for (int way = 0; way < 3; way++) {
        struct crowd c = {.rpc = rpc, .to = way == 0 ? at(1, 0) : way == 1 ? at(1, 1) : at(2, 0)};
        struct fiber_group g;
        fiber_group_init(&g);
        EQ_INT(echo(rpc, c.to, "warm", 5LL * SECOND, NULL), RC_OK);
        for (int i = 0; i < 10; i++)
            EQ_INT(fiber_spawn(rpc_reactor(rpc), &g, FIBER_SMALL, "crowd", one_of_crowd, &c), RC_OK);
        EQ_INT(fiber_group_join(rpc_reactor(rpc), &g, DEADLINE_NONE), RC_OK);
        EQ_INT(c.good, 2);
        EQ_INT(c.overloaded, 8);
        EQ_INT(c.other, 0);
    }
}

static void limits(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1, .stores = 2});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    testnode_meet(a, b);
    testnode_run(a, limits_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

static void large_answer(void *arg) {
    struct crowd *c = arg;
    struct arena a;
    const Netcheck__Answer *out = NULL;
    arena_init(&a, 0);
    Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
    netcheck__ask__init(in);
    in->answer_bytes = 100000;
    enum rc rc = ask(c->rpc, c->to, TYPE_ECHO, in, &a, 60LL * SECOND, &out, NULL);
    *(rc == RC_OK && out->data.len == 100000 ? &c->good : &c->other) += 1;
    arena_done(&a);
}

static void large_body(struct rpc *rpc, void *arg) {
    struct crowd c = {.rpc = rpc, .to = at(2, 0)};
    struct fiber_group g;
    (void)arg;
    fiber_group_init(&g);
    for (int i = 0; i < 200; i++)
        EQ_INT(fiber_spawn(rpc_reactor(rpc), &g, FIBER_SMALL, "large", large_answer, &c), RC_OK);
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &g, DEADLINE_NONE), RC_OK);
    EQ_INT(c.good, 200);
}

static bool queue_bounded(void *arg) {
    return gauge_get(&peers_stats(rpc_peers(arg))->queue_bytes) <= 410000;
}

static void bounded_body(struct rpc *rpc, void *arg) {
    (void)arg;
    OK(queue_bounded(rpc));
}

/* Answers that are together far more than the queue may hold wait for room, and all arrive. */
static void large_answers(void) {
    struct testnode_conf conf = {.node = 2};
    conf.rpc.peers.queue_bytes_max[PEER_ORDINARY] = 400000;
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&conf);
    testnode_meet(a, b);
    testnode_run(a, large_body, NULL);
    testnode_run(b, bounded_body, NULL);
    EQ_INT(counter_get(&peers_stats(rpc_peers(a->rpc[0]))->lost), 0);
    OK(counter_get(&peers_stats(rpc_peers(b->rpc[0]))->overloads) > 0); /* the bound was felt */
    testnode_stop(a);
    testnode_stop(b);
}

static void one_of_thousand(void *arg) {
    struct crowd *c = arg;
    char text[40];
    snprintf(text, sizeof text, "number %llu", (unsigned long long)atomic_fetch_add(&c->left, 1));
    *(echo(c->rpc, c->to, text, 60LL * SECOND, NULL) == RC_OK ? &c->good : &c->other) += 1;
}

static bool queue_empty(void *arg) { /* but for a sign of life, now and then */
    return gauge_get(&peers_stats(rpc_peers(arg))->queue_bytes) == 0;
}

/* A thousand calls at once over one connection. */
static void thousand_body(struct rpc *rpc, void *arg) {
    struct crowd c = {.rpc = rpc, .to = at(2, 0)};
    struct fiber_group g;
    (void)arg;
    fiber_group_init(&g);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            EQ_INT(fiber_spawn(rpc_reactor(rpc), &g, FIBER_SMALL, "one", one_of_thousand, &c), RC_OK);
        EQ_INT(fiber_group_join(rpc_reactor(rpc), &g, DEADLINE_NONE), RC_OK);
    }
    EQ_INT(c.good, 3000);
    EQ_INT(c.other, 0);
    const struct peers_stats *s = peers_stats(rpc_peers(rpc));
    EQ_INT(counter_get(&s->dials), 1);
    OK(wait_until(rpc, queue_empty, rpc));
    /* What gathers in a turn leaves in one write. */
    OKF(counter_get(&s->writes) < counter_get(&s->frames_out) / 4, "writes=%llu frames=%llu",
        (unsigned long long)counter_get(&s->writes), (unsigned long long)counter_get(&s->frames_out));
}

static void thousand_calls(void) {
    struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    testnode_meet(a, b);
    testnode_run(a, thousand_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

/* calls_max and the queue's bytes are limits too. */
static void full_body(struct rpc *rpc, void *arg) {
    struct fallen f;
    struct err err = {0};
    (void)arg;
    fall_begin(rpc, &f);
    EQ_INT(fiber_yield(rpc_reactor(rpc)), RC_OK);
    EQ_INT(fiber_yield(rpc_reactor(rpc)), RC_OK);
    EQ_INT(echo(rpc, at(2, 0), "one more", SECOND, &err), RC_OVERLOAD);
    fiber_group_cancel(&f.g);
    EQ_INT(fiber_group_join(rpc_reactor(rpc), &f.g, DEADLINE_NONE), RC_OK);
    EQ_INT(echo(rpc, at(2, 0), "room again", 5LL * SECOND, &err), RC_OK);
    /* Nothing leaves within a turn: the queue fills, and says so. */
    enum rc rc = RC_OK;
    size_t n = 0;
    struct arena a;
    arena_init(&a, 0);
    Netcheck__Ask m = NETCHECK__ASK__INIT;
    m.data.len = 1000;
    m.data.data = arena_zalloc(&a, 1000);
    while (!rc && n < 1000) {
        rc = rpc_send(rpc, at(2, 0), TYPE_NOTE_NOW, &m.base, NULL, &err);
        n += rc == RC_OK;
    }
    EQ_INT(rc, RC_OVERLOAD);
    OK(n > 80 && n < 100);
    OKF(gauge_get(&peers_stats(rpc_peers(rpc))->queue_bytes) <= 110000, "queue_bytes=%lld",
        (long long)gauge_get(&peers_stats(rpc_peers(rpc))->queue_bytes));
    arena_done(&a);
}

static void full_queues(void) {
    struct testnode_conf conf = {.node = 1};
    conf.rpc.calls_max = 20;
    conf.rpc.peers.queue_bytes_max[PEER_ORDINARY] = 100000;
    struct testnode *a = testnode_start(&conf);
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2});
    testnode_meet(a, b);
    testnode_run(a, full_body, NULL);
    testnode_stop(a);
    testnode_stop(b);
}

/* ---- one-way ----------------------------------------------------------------------------------------------------- */

static void notes_body(struct rpc *rpc, void *arg) {
    struct testnode *n[2] = {((struct testnode **)arg)[0], ((struct testnode **)arg)[1]};
    uint64_t sum = 0;
    struct err err = {0};
    EQ_INT(echo(rpc, at(2, 0), "warm", 5LL * SECOND, &err), RC_OK);
    for (int i = 1; i <= 100; i++) {
        EQ_INT(note(rpc, at(2, 0), TYPE_NOTE, i), RC_OK);
        EQ_INT(note(rpc, at(2, 0), TYPE_NOTE_NOW, i), RC_OK);
        sum += 2 * (uint64_t)i;
    }
    OK(wait_for(rpc, &n[1]->notes, 100));
    OK(wait_for(rpc, &n[1]->notes_now, 100));
    EQ_INT(atomic_load(&n[1]->note_sum), sum);
    OK(atomic_load(&n[1]->note_from_fiber));
    /* The own store and a sibling, with a borrowed message and with one whose arena goes along. */
    for (uint16_t store = 0; store < 2; store++)
        for (int i = 1; i <= 10; i++) {
            struct arena a;
            EQ_INT(note(rpc, at(1, store), TYPE_NOTE, i), RC_OK);
            arena_init(&a, 1000000);
            Netcheck__Ask *m = arena_new(&a, Netcheck__Ask);
            netcheck__ask__init(m);
            m->sleep_ns = i;
            EQ_INT(rpc_send(rpc, at(1, store), TYPE_NOTE_NOW, &m->base, &a, &err), RC_OK);
            OK(a.chunk == NULL && a.bytes_max == 1000000);
        }
    OK(wait_for(rpc, &n[0]->notes, 20));
    OK(wait_for(rpc, &n[0]->notes_now, 20));
    EQ_INT(atomic_load(&n[0]->note_sum), 4 * 55);
    EQ_INT(note(rpc, at(1, 5), TYPE_NOTE, 1), RC_UNREACHABLE);
    EQ_INT(note(rpc, at(9, 0), TYPE_NOTE, 1), RC_UNREACHABLE);
    /* To a service that is none for messages: dropped and counted there, and nobody minds. */
    EQ_INT(note(rpc, at(2, 0), TYPE_ECHO, 1), RC_OK);
    EQ_INT(echo(rpc, at(2, 0), "fine", 5LL * SECOND, &err), RC_OK);
}

static void notes(void) {
    struct testnode *n[2] = {testnode_start(&(struct testnode_conf){.node = 1, .stores = 2}),
                             testnode_start(&(struct testnode_conf){.node = 2})};
    testnode_meet(n[0], n[1]);
    testnode_run(n[0], notes_body, n);
    testnode_stop(n[0]);
    testnode_stop(n[1]);
}

/* ---- clocks, strangers ------------------------------------------------------------------------------------------- */

static void intervals_body(struct rpc *rpc, void *arg) {
    struct testnode **n = arg;
    EQ_INT(echo(rpc, at(2, 0), "what time is it", 5LL * SECOND, NULL), RC_OK);
    OK(atomic_load(&n[0]->intervals) >= 2); /* its hello and its answer */
    EQ_INT(atomic_load(&n[0]->last_interval_node), 2);
    EQ_INT(atomic_load(&n[0]->last_earliest), 2000);
    OK(atomic_load(&n[1]->intervals) >= 2);
    EQ_INT(atomic_load(&n[1]->last_interval_node), 1);
    EQ_INT(atomic_load(&n[1]->last_earliest), 1000);
    /* One without a clock sends none. */
    uint64_t before = atomic_load(&n[0]->intervals);
    EQ_INT(echo(rpc, at(3, 0), "and you", 5LL * SECOND, NULL), RC_OK);
    EQ_INT(atomic_load(&n[0]->intervals), before);
}

/* Every frame carries its sender's clock interval, put in when it leaves (C-4). */
static void intervals(void) {
    struct testnode *n[3] = {testnode_start(&(struct testnode_conf){.node = 1, .clock = true}),
                             testnode_start(&(struct testnode_conf){.node = 2, .clock = true}),
                             testnode_start(&(struct testnode_conf){.node = 3})};
    testnode_meet(n[0], n[1]);
    testnode_meet(n[0], n[2]);
    testnode_run(n[0], intervals_body, n);
    for (int i = 0; i < 3; i++)
        testnode_stop(n[i]);
}

static void stranger_body(struct rpc *rpc, void *arg) {
    struct testnode *b = arg;
    struct store_addr seed = at(PEER_NODE_SEED + 4, 0);
    struct arena a;
    struct err err = {0};
    const Netcheck__Answer *out = NULL;
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    arena_init(&a, 0);
    rpc_set_address(rpc, seed.node, b->addr);
    EQ_INT(ask(rpc, seed, TYPE_JOIN, &in, &a, 5LL * SECOND, &out, &err), RC_OK);
    EQ_INT(out->node, 2);
    EQ_INT(ask(rpc, seed, TYPE_ECHO, &in, &a, 5LL * SECOND, &out, &err), RC_WRONG_CLUSTER);
    OKF(strstr(err.message, "members") != NULL, "%s", err.message);
    /* It learned who it is and where. */
    rpc_set_identity(rpc, "c1", 2, 7);
    rpc_set_address(rpc, 2, b->addr);
    EQ_INT(rpc_self(rpc).node, 7);
    EQ_INT(echo(rpc, at(2, 0), "as a member", 5LL * SECOND, &err), RC_OK);
    EQ_INT(echo(rpc, at(7, 0), "my new self", 5LL * SECOND, &err), RC_OK);
    EQ_INT(ask(rpc, seed, TYPE_ECHO, &in, &a, 5LL * SECOND, &out, &err), RC_OK);
    arena_done(&a);
}

/* A node that is in no cluster yet may ask what is open to strangers, by address alone, and nothing else. */
static void strangers(void) {
    struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2});
    struct testnode *j = testnode_start(&(struct testnode_conf){.cluster = ""});
    testnode_run(j, stranger_body, b);
    testnode_stop(j);
    testnode_stop(b);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* Both sides stop while calls fly in both directions and between siblings: everything unwinds, nothing leaks. */
static void stops(void) {
    for (int round = 0; round < 10; round++) {
        struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1, .stores = 2});
        struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2});
        struct fallen f[3];
        testnode_meet(a, b);
        testnode_run(a, fall_begin, &f[0]);
        testnode_run_on(a, 1, fall_begin, &f[1]);
        testnode_run_on(b, 1, fall_begin, &f[2]); /* to its own store and its sibling */
        if (round % 2)
            testnode_run(b, fall_started, b);
        testnode_stop(round % 4 < 2 ? a : b);
        testnode_stop(round % 4 < 2 ? b : a);
    }
}

int main(void) {
    RUN(own_store);
    RUN(sibling_store);
    RUN(remote);
    RUN(three_nodes);
    RUN(errors);
    RUN(deadlines);
    RUN(cancels);
    RUN(peer_dies);
    RUN(caller_dies);
    RUN(limits);
    RUN(large_answers);
    RUN(thousand_calls);
    RUN(full_queues);
    RUN(notes);
    RUN(intervals);
    RUN(strangers);
    RUN(stops);
    return tap_done();
}
