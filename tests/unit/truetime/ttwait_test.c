/* SPDX-License-Identifier: Apache-2.0 */
/* Commit wait: never too early, hardly ever late, and bounded when the clock knows nothing. */
#include "shard/runtime/ttwait.h"

#include <stdlib.h>

#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "truetime/poller.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

struct node {
    struct simkit_node kit;
    struct tt_poller *poller;
    struct tt_clock clock;
    struct sim *s;
    struct sim_node *node;
    uint64_t waits, early, turns;
    int64_t late_ns, late_max_ns;
    enum rc last;
    int64_t deadline_ns; /* of a single wait */
    bool done;
};

static void waits(struct simkit_store *st) {
    struct node *n = st->node->arg;
    struct rng rng;
    rng_init(&rng, sim_seed(n->s));
    if (tt_wait_synced(st->r, &n->clock, DEADLINE_NONE) != RC_OK)
        return;
    for (int i = 0; i < 300; i++) {
        tt_interval now = tt_now(&n->clock);
        int64_t ts = now.latest + (rng_chance(&rng, 0.2) ? rng_range(&rng, 0, 3 * SEC) : 0);
        if (tt_wait_until_after(st->r, &n->clock, ts, DEADLINE_NONE) != RC_OK)
            return;
        n->waits++;
        n->early += sim_true_ns(n->s) <= ts || !tt_after(&n->clock, ts);
        int64_t late = tt_now(&n->clock).earliest - ts;
        n->late_ns += late;
        n->late_max_ns = late > n->late_max_ns ? late : n->late_max_ns;
    }
    n->done = true;
}

static void one_wait(struct simkit_store *st) {
    struct node *n = st->node->arg;
    n->last = RC_INTERNAL;
    n->last = tt_wait_until_after(st->r, &n->clock, sim_true_ns(n->s) + 100 * MS, reactor_now(st->r) + n->deadline_ns);
    n->done = true;
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct node *n = ((struct simkit_node *)arg)->arg;
    struct tt_poller_conf conf = {.page_path = NULL};
    CHECK(tt_spec_parse("sim;sim;sim", &conf.spec, err) == RC_OK);
    CHECK(tt_poller_new(stores[0], &conf, &n->poller, err) == RC_OK);
    CHECK(tt_clock_init(&n->clock, stores[0], tt_poller_page(n->poller), err) == RC_OK);
    return simkit_program.boot(stores, count, arg, ret_state, err);
}

static void stop(void *state, uint16_t store) {
    simkit_program.stop(state, store);
}

static bool stopped(void *state, uint16_t store) {
    return simkit_program.stopped(state, store);
}

static void done(void *state) {
    struct node *n = ((struct simkit_node *)state)->arg;
    tt_clock_done(&n->clock);
    tt_poller_free(n->poller);
    simkit_program.done(state);
}

static const struct program program = {boot, stop, stopped, done};

static void start(struct node *n, uint64_t seed, void (*body)(struct simkit_store *)) {
    struct sim_conf conf = simkit_conf(seed);
    *n = (struct node){.kit = {.body = body}, .s = sim_new(&conf)};
    n->kit.arg = n;
    n->node = sim_node_new(n->s, "n1", 1, &program, &n->kit);
}

static void not_too_early_seed(uint64_t seed) {
    struct node n;
    start(&n, seed, waits);
    sim_clock_drift(n.node, rng_range(sim_rng(n.s), -199000, 199000));
    OK(sim_node_start(n.node, NULL) == RC_OK);
    for (int i = 0; i < 60 && !n.done; i++) {
        sim_run(n.s, sim_now(n.s) + SEC * (1 + i));
        if (seed % 2 && i % 5 == 3)
            sim_node_pause(n.node, SIM_STALL, 700 * MS);
        if (seed % 2 && i % 7 == 5) {
            for (unsigned u = 0; u < 3; u++)
                sim_truth(n.node, u)->lost = !sim_truth(n.node, u)->lost;
        }
    }
    for (unsigned u = 0; u < 3; u++)
        sim_truth(n.node, u)->lost = false;
    sim_run(n.s, sim_now(n.s) + 600 * SEC);
    OK(n.done);
    EQ_INT(n.waits, 300);
    EQ_INT(n.early, 0);
    /* The second look costs little: on average it is late by a fix that moved earliest on. */
    if (seed % 2 == 0)
        OKF(n.late_ns / 300 < 100 * US, "late by %lld ns on average", (long long)(n.late_ns / 300));
    sim_free(n.s);
}

static void not_too_early(void) {
    simkit_seeds("ttwait_test", 60, not_too_early_seed);
}

/* It sleeps: the number of events of a wait does not depend on its length. */
static void no_polling(void) {
    struct node n;
    start(&n, 5, one_wait);
    n.deadline_ns = 10 * SEC;
    sim_node_start(n.node, NULL) == RC_OK ? (void)0 : (void)OK(false);
    sim_run(n.s, 2 * SEC);
    OK(n.done);
    EQ_INT(n.last, RC_OK);
    const struct reactor_stats *st = reactor_stats(n.kit.stores[0].r);
    OKF(counter_get(&st->switches) < 40, "%llu switches", (unsigned long long)counter_get(&st->switches));
    sim_free(n.s);
}

static void unsynced_is_bounded(void) {
    struct node n;
    start(&n, 6, one_wait);
    for (unsigned u = 0; u < 3; u++)
        sim_truth(n.node, u)->lost = true;
    n.deadline_ns = 3 * SEC;
    OK(sim_node_start(n.node, NULL) == RC_OK);
    sim_run(n.s, 2900 * MS);
    OK(!n.done);
    sim_run(n.s, 3100 * MS);
    OK(n.done);
    EQ_INT(n.last, RC_UNSYNCED);
    sim_free(n.s);
    /* It comes back in time: the wait goes on and succeeds. */
    start(&n, 7, one_wait);
    for (unsigned u = 0; u < 3; u++)
        sim_truth(n.node, u)->lost = true;
    n.deadline_ns = 60 * SEC;
    OK(sim_node_start(n.node, NULL) == RC_OK);
    sim_run(n.s, 10 * SEC);
    OK(!n.done);
    for (unsigned u = 0; u < 3; u++)
        sim_truth(n.node, u)->lost = false;
    sim_run(n.s, 11 * SEC);
    OK(n.done);
    EQ_INT(n.last, RC_OK);
    sim_free(n.s);
    /* A deadline before the moment, with a good clock. */
    start(&n, 8, one_wait);
    n.deadline_ns = 20 * MS;
    OK(sim_node_start(n.node, NULL) == RC_OK);
    sim_run(n.s, SEC);
    OK(n.done);
    EQ_INT(n.last, RC_TIMEOUT);
    sim_free(n.s);
}

int main(void) {
    RUN(not_too_early);
    RUN(no_polling);
    RUN(unsynced_is_bounded);
    return tap_done();
}
