/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/px_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct w_conf conf;
    struct lab *lab;
    struct rng rng;
    bool watches; /* asks for every lease at every step, which makes all of it count as used */
    int64_t paused_until[LAB_NODES_MAX];
    uint64_t was_member[LAB_NODES_MAX]; /* the replica there that has seen a configuration with itself in it */
};

static const int64_t MS = LAB_MS, SECOND = LAB_SECOND;

static bool lose(struct lab *l, const struct lab_msg *m) {
    struct world *w = l->ctx;
    (void)m;
    return rng_chance(&w->rng, w->conf.loss);
}

static void wander(struct world *w, struct lab_node *n) {
    int64_t e = w->conf.clock_error_ns;
    n->err_lo = rng_range(&w->rng, 0, e);
    n->err_hi = rng_range(&w->rng, 0, e);
    n->unsynced = rng_chance(&w->rng, 0.02);
    n->lie = w->conf.lab.clocks_lie && rng_chance(&w->rng, 0.1) ? rng_range(&w->rng, -5 * SECOND, 5 * SECOND) : 0;
}

static struct lab_node *some_node(struct world *w) {
    return &w->lab->node[rng_below(&w->rng, w->conf.lab.nodes)];
}

static void propose(struct world *w, struct lab_node *n) {
    struct px_now now = lab_now(n);
    uint64_t id = ++w->lab->next_command;
    px_slot slot;
    int64_t ts, ahead = rng_chance(&w->rng, 0.1) ? rng_range(&w->rng, 0, 3 * SECOND) : 0;
    bool timed = tt_is_known(now.tt) && rng_chance(&w->rng, 0.8);
    IGNORE(lab_propose(n, &id, sizeof id, timed ? now.tt.latest + ahead : 0, &slot, &ts));
}

static void serve(struct world *w, struct lab_node *n) {
    struct px_now now = lab_now(n);
    if (tt_is_known(now.tt))
        IGNORE(lab_serve(n, now.tt.latest + (rng_chance(&w->rng, 0.3) ? rng_range(&w->rng, 0, 2 * SECOND) : 0)));
}

/* Learners come and go, voters are promoted, demoted and swapped. */
static void reconfigure(struct world *w, struct lab_node *n) {
    struct px_now now = lab_now(n);
    struct px_config c = *px_config_now(n->g);
    struct lab_node *other = some_node(w);
    const struct px_member *m = px_config_find(&c, other->id);
    uint32_t at = m ? (uint32_t)(m - c.member) : c.count;
    if (!m) { /* as a learner first */
        for (c.count++; at > 0 && c.member[at - 1].store > other->id; at--)
            c.member[at] = c.member[at - 1];
        c.member[at] = (struct px_member){other->id, other->replica, 0};
    } else if (rng_chance(&w->rng, 0.4)) {
        c.member[at].flags ^= PX_OLD;      /* promote or demote */
    } else if (rng_chance(&w->rng, 0.5)) { /* swap: one in, one out, in one step */
        c.member[at].flags = PX_OLD;
        for (uint32_t k = 0; k < c.count; k++)
            if (k != at && c.member[k].store != n->id && px_is_voter(&c.member[k])) {
                c.member[k].flags = 0;
                break;
            }
    } else if (!px_is_voter(m) && other != n) {
        memmove(&c.member[at], &c.member[at + 1], (c.count - at - 1) * sizeof c.member[0]);
        c.count--;
    }
    IGNORE(px_reconfigure(n->g, &now, &c, NULL));
}

static void campaign_maybe(struct world *w, struct lab_node *n) {
    struct px_status st;
    struct px_now now = lab_now(n);
    px_status(n->g, &st);
    if (!st.leader || rng_chance(&w->rng, 0.05))
        IGNORE(px_campaign(n->g, &now));
}

static void checkpoint_maybe(struct world *w, struct lab_node *n) {
    if (!rng_chance(&w->rng, 0.3))
        return;
    lab_checkpoint(n);
    px_slot keep = rng_below(&w->rng, 20);
    if (n->applied > keep)
        lab_truncate(n, n->applied - keep);
}

static void send_snapshot(struct world *w, struct lab_node *n, bool surely) {
    struct px_now now = lab_now(n);
    if (!n->snapshot_to)
        return;
    px_store to = (px_store)__builtin_ctz(n->snapshot_to);
    n->snapshot_to &= n->snapshot_to - 1;
    if (surely || rng_chance(&w->rng, 0.8))
        IGNORE(lab_install(n, &w->lab->node[to - 1]));
    px_snapshot_sent(n->g, &now, to, true);
}

static void fetch_snapshot(struct world *w, struct lab_node *n) {
    if (!n->snapshot_from)
        return;
    if (rng_chance(&w->rng, 0.5))
        IGNORE(lab_install(&w->lab->node[n->snapshot_from - 1], n));
    else
        px_snapshot_failed(n->g);
}

static void end_maybe(struct world *w, struct lab_node *n) {
    if (rng_chance(&w->rng, w->conf.crash)) {
        size_t pending = n->disk.count - n->disk.durable;
        lab_crash(n, rng_below(&w->rng, pending + 1));
    } else if (w->conf.ends && rng_chance(&w->rng, w->conf.crash / 2)) {
        lab_stop(n);
    }
}

static void admin(struct world *w, struct lab_node *n) {
    struct px_now now = lab_now(n);
    if (w->conf.changes && rng_chance(&w->rng, 0.2))
        IGNORE(px_transfer(n->g, &now, some_node(w)->id));
    else if (w->conf.changes && rng_chance(&w->rng, 0.3))
        reconfigure(w, n);
    else if (rng_chance(&w->rng, 0.01))
        px_resign(n->g, &now);
    else if (rng_chance(&w->rng, 0.1))
        px_ask(n->g);
}

static void node_step(struct world *w, struct lab_node *n) {
    struct px_status st;
    uint32_t i = (uint32_t)(n - w->lab->node);
    if (!n->up) {
        if (rng_chance(&w->rng, 0.2))
            lab_start(n);
        return;
    }
    if (n->frozen && w->lab->now < w->paused_until[i])
        return;
    n->frozen = false;
    px_status(n->g, &st);
    if (!st.removed)
        w->was_member[i] = n->replica;
    /* A removed replica deletes its data; should its store be added again, that is another replica. A learner that catches up
     * through configurations from before its time is not removed: whoever leads counts on it. */
    if (st.removed && w->was_member[i] == n->replica && rng_chance(&w->rng, 0.1)) {
        lab_wipe(n);
        return;
    }
    switch (rng_below(&w->rng, 16)) {
    case 0:
    case 1:
    case 2:
        lab_sync(n);
        break;
    case 3:
    case 4:
        lab_apply(n, rng_chance(&w->rng, 0.5));
        break;
    case 5:
        propose(w, n);
        break;
    case 6:
        serve(w, n);
        break;
    case 7:
        wander(w, n);
        break;
    case 8:
        campaign_maybe(w, n);
        break;
    case 9:
        checkpoint_maybe(w, n);
        break;
    case 10:
        send_snapshot(w, n, false);
        fetch_snapshot(w, n);
        break;
    case 11:
        end_maybe(w, n);
        break;
    case 12:
        if (rng_chance(&w->rng, w->conf.cut))
            n->cut = !n->cut;
        else if (rng_chance(&w->rng, w->conf.pause)) {
            n->frozen = true;
            w->paused_until[i] = w->lab->now + rng_range(&w->rng, 0, 8 * SECOND);
        }
        break;
    case 13:
        admin(w, n);
        break;
    default:
        lab_tick(n);
    }
    if (n->up && !n->frozen)
        lab_pump(n);
}

/* Mostly in order, sometimes not. */
static void deliver_some(struct world *w) {
    struct lab *l = w->lab;
    if (!l->pooled)
        return;
    size_t i = rng_chance(&w->rng, 0.7) ? 0 : rng_below(&w->rng, l->pooled);
    if (lab_arrives(l, i))
        lab_deliver(l, i, rng_chance(&w->rng, w->conf.duplicate));
    else if (rng_chance(&w->rng, 0.01)) /* the connection to a stopped process breaks in the end */
        lab_drop(l, i);
}

static void one_step(struct world *w) {
    struct lab *l = w->lab;
    l->now += rng_chance(&w->rng, 0.002) ? rng_range(&w->rng, 0, 4 * SECOND) : rng_range(&w->rng, 0, 2 * MS);
    if (rng_chance(&w->rng, 0.6))
        deliver_some(w);
    else
        node_step(w, some_node(w));
    if (w->watches || rng_chance(&w->rng, 0.01))
        lab_check_leases(l);
}

bool world_run(struct world *w, uint64_t steps) {
    for (uint64_t i = 0; i < steps && !w->lab->broken[0]; i++)
        one_step(w);
    lab_check_timestamps(w->lab);
    return !w->lab->broken[0];
}

/* ---- settling ---------------------------------------------------------------------------------------------------- */

static void quiet_step(struct world *w, bool proposing) {
    struct lab *l = w->lab;
    l->now += rng_range(&w->rng, 0, 2 * MS);
    for (int k = 0; k < 8 && l->pooled; k++)
        lab_deliver(l, rng_chance(&w->rng, 0.7) ? 0 : rng_below(&w->rng, l->pooled), false);
    for (uint32_t i = 0; i < w->conf.lab.nodes; i++) {
        struct lab_node *n = &l->node[i];
        struct px_status st;
        struct px_now now = lab_now(n);
        while (lab_sync(n)) {
        }
        lab_apply(n, true);
        px_status(n->g, &st);
        if (!st.leader && !st.removed && rng_chance(&w->rng, 0.002))
            IGNORE(px_campaign(n->g, &now));
        if (rng_chance(&w->rng, 0.001))
            px_ask(n->g);
        if (proposing && rng_chance(&w->rng, 0.0005))
            propose(w, n);
        send_snapshot(w, n, true);
        fetch_snapshot(w, n);
        lab_tick(n);
    }
    if (w->watches || rng_chance(&w->rng, 0.01))
        lab_check_leases(l);
}

bool world_settle(struct world *w) {
    struct lab *l = w->lab;
    w->conf.loss = 0;
    for (uint32_t i = 0; i < w->conf.lab.nodes; i++) {
        struct lab_node *n = &l->node[i];
        if (!n->up)
            lab_start(n);
        n->cut = n->unsynced = n->frozen = false;
        n->lie = 0;
    }
    /* A clock that lied goes on no slower than time once it is right again. */
    int64_t until = l->now + 60 * SECOND;
    while (l->now < until && !l->broken[0]) {
        bool proposing = until - l->now > 30 * SECOND;
        quiet_step(w, proposing);
        if (!proposing && lab_agreed(l))
            break;
    }
    lab_check_timestamps(l);
    if (!l->broken[0] && !lab_agreed(l)) {
        if (getenv("SIM_PRINT"))
            lab_dump(l);
        lab_break(l, "LIVE-1: no leader, or replicas that differ, 60 s after the last fault");
    }
    return !l->broken[0];
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

struct world *world_new(const struct w_conf *conf) {
    static const struct lab_ops ops = {.lose = lose};
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    w->conf = *conf;
    rng_init(&w->rng, conf->lab.seed);
    w->watches = rng_chance(&w->rng, 0.5);
    w->lab = lab_new(&conf->lab, &ops, w);
    for (uint32_t i = 0; i < conf->lab.nodes; i++)
        wander(w, &w->lab->node[i]);
    return w;
}

void world_free(struct world *w) {
    lab_free(w->lab);
    free(w);
}

struct lab *world_lab(struct world *w) {
    return w->lab;
}
