/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every place at which two-phase commit can be cut: a transaction writes the same value to a row on each of two tablets, and one of
 * the three nodes (its gateway, a leader, a follower) dies at its k-th write to the disk, or gives up what it leads at the k-th
 * step. Afterwards both rows have the value or neither has; who was told "committed" finds it, who was told "aborted" does not;
 * nothing is left prepared, locked or unsettled.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/lib/txnworld.h"

static const int64_t SECOND = 1000000000, MS = 1000000;

enum { ROUNDS = 24 };

struct order {
    uint32_t gateway; /* who is to do it; 0: nobody */
    bool write, taken, done;
    int64_t value, seen[2];
    enum rc rc;
    char why[200];
};

static void do_write(struct txnworld *w, struct txn_client *c, struct reactor *r, struct order *o) {
    struct txn_options how = {.mode = TXN_READ_WRITE, .deadline = reactor_deadline(r, 20 * SECOND)};
    struct txn *t;
    struct err err = {0};
    enum rc rc = txn_begin(c, &how, &t, &err);
    if (rc) {
        o->rc = RC_ABORTED;
        return;
    }
    for (int64_t k = 0; k < 2 && !rc; k++)
        rc = txnworld_put(w, t, k, o->value, &err);
    bool tried = !rc;
    if (!rc)
        rc = txn_commit(t, NULL, &err);
    o->rc = rc && (!tried || txn_phase(t) != TXN_DONE) ? RC_ABORTED : rc;
    snprintf(o->why, sizeof o->why, "%s: %.150s", rc_name(rc), err.message);
    txn_free(t);
}

static void do_read(struct txnworld *w, struct txn_client *c, struct reactor *r, struct order *o) {
    struct txn_options how = {.mode = TXN_READ_STRONG, .deadline = reactor_deadline(r, 10 * SECOND)};
    struct txn *t;
    struct err err = {0};
    enum rc rc = txn_begin(c, &how, &t, &err);
    if (!rc) {
        for (int64_t k = 0; k < 2 && !rc; k++)
            rc = txnworld_get(w, t, k, LOCK_NONE, &o->seen[k], &err);
        txn_free(t);
    }
    o->rc = rc;
    snprintf(o->why, sizeof o->why, "%s: %.150s", rc_name(rc), err.message);
}

static void client(struct txnworld_node *n, struct txn_client *c, uint32_t session) {
    struct txnworld *w = n->w;
    struct order *o = w->conf.ctx;
    struct reactor *r = node_store(n->node, 0)->reactor;
    (void)session;
    while (!w->over && fiber_sleep(r, 2 * MS) == RC_OK) {
        if (!n->node)
            return;
        txnworld_duties(n);
        if (o->gateway != n->number || o->taken)
            continue;
        o->taken = true;
        if (o->write)
            do_write(w, c, r, o);
        else
            do_read(w, c, r, o);
        o->done = true;
    }
}

static bool order_done(void *ctx) {
    struct txnworld *w = ctx;
    const struct order *o = w->conf.ctx;
    return o->done || w->broken[0];
}

static void check_clean(void *ctx, struct tablet *t) {
    struct txnworld *w = ctx;
    struct txn_host *h = tablet_upper(t);
    struct site_stats st;
    if (!h)
        return;
    site_check(h->site);
    if (!site_leads(h->site))
        return; /* it may still be catching up */
    site_stats(h->site, &st);
    if (st.active || st.preparing || st.prepared || st.promised || st.coordinating || st.unsettled)
        txnworld_broke(w, "tablet %d: active %d prepared %d promised %d coordinating %d unsettled %d", (int)h->id,
                       (int)st.active, (int)st.prepared, (int)st.promised, (int)st.coordinating, (int)st.unsettled);
}

static void one_round(struct txnworld *w, struct order *o, int round, int64_t *value) {
    uint32_t gateway = 1 + (uint32_t)(round % 3), victim = 1 + (uint32_t)(round / 3 % 3);
    *o = (struct order){.gateway = gateway, .write = true, .value = *value + 1};
    if (round % 4 == 3) {
        sim_run(w->sim, sim_now(w->sim) + (round % 7) * MS);
        w->n[victim].give_up = true;
    } else {
        sim_node_crash_at_io(w->n[victim].sim, round % 2 ? SIM_KILL : SIM_POWER, 1 + rng_below(w->rng, 14));
    }
    bool ended = false;
    for (int i = 0; i < 60 && !ended; i++) {
        ended = sim_run_until(w->sim, order_done, w, sim_now(w->sim) + SECOND);
        if (!ended && (!o->taken || i > 20)) /* it died before it could begin; or the others wait for it */
            txnworld_restart(w);
    }
    if (!ended)
        txnworld_broke(w, "round %d: the commit never ended: taken %d", round, o->taken);
    sim_run(w->sim, sim_now(w->sim) + SECOND);
    txnworld_restart(w);
    enum rc told = o->rc;
    char why[200];
    snprintf(why, sizeof why, "%s", o->why);
    for (int tries = 0; tries < 10 && !w->broken[0]; tries++) { /* the simulator loses answers on purpose */
        *o = (struct order){.gateway = 1 + (uint32_t)((round + 1 + tries) % 3)};
        if (!sim_run_until(w->sim, order_done, w, sim_now(w->sim) + 60 * SECOND))
            txnworld_broke(w, "round %d: a read never ended", round);
        if (!o->rc)
            break;
    }
    if (o->rc)
        txnworld_broke(w, "round %d: the rows cannot be read: %s", round, o->why);
    if (o->seen[0] != o->seen[1])
        txnworld_broke(w, "round %d: half a transaction: %lld and %lld (%s)", round, (long long)o->seen[0],
                       (long long)o->seen[1], why);
    if (told == RC_OK && o->seen[0] != *value + 1)
        txnworld_broke(w, "round %d: a committed transaction is gone: %lld", round, (long long)o->seen[0]);
    if (told == RC_ABORTED && o->seen[0] == *value + 1)
        txnworld_broke(w, "round %d: an aborted transaction is there (%s)", round, why);
    *value += 1;
    sim_run(w->sim, sim_now(w->sim) + 12 * SECOND); /* quiet: silence ends what its gateway has left */
    for (int i = 1; i <= w->conf.nodes; i++)
        if (w->n[i].node)
            tablets_each(node_store(w->n[i].node, 0)->tablets, check_clean, w);
    if (w->broken[0])
        txnworld_broke(w, "round %d", round);
}

static uint64_t committed, aborted;

static void one_seed(uint64_t seed) {
    struct order o = {.gateway = 0};
    struct txnworld_conf conf = {.nodes = 3, .clients = 1, .two = true, .client = client, .ctx = &o};
    struct txnworld *w = txnworld_new(seed, &conf);
    int64_t value = 0;
    txnworld_ready(w);
    w->go = true;
    for (int round = 0; round < ROUNDS && !w->broken[0]; round++) {
        one_round(w, &o, round, &value);
        committed += o.rc == RC_OK && o.seen[0] == value;
        aborted += o.rc == RC_OK && o.seen[0] != value;
    }
    OKF(!w->broken[0], "seed %llu: %s", (unsigned long long)seed, w->broken);
    txnworld_free(w);
}

static void a_crash_at_each_place(void) {
    simkit_seeds("txn_crash_sim_test", 3, one_seed);
    OK(committed > 0 && aborted > 0);
    tap_note("%llu committed, %llu aborted", (unsigned long long)committed, (unsigned long long)aborted);
}

int main(void) {
    RUN(a_crash_at_each_place);
    return tap_done();
}
