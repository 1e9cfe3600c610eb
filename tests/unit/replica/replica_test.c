/* SPDX-License-Identifier: Apache-2.0 */
/* One store with one replica a group, on this machine's own clock, loop and disk. What several stores do together is tested in
 * the simulator (tests/sim/replica_sim_test.c). */
#include "shard/replica/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/env_real.h"
#include "tests/lib/pxhost.h"
#include "tests/lib/tap.h"

enum { MS = 1000000 };
static const int64_t SECOND = 1000000000;

struct world {
    struct process *process;
    struct pxhost host;
    void (*body)(struct pxhost *h);
    bool clean;
    char dir[300];
};

static void body(void *ctx, struct pxhost *h) {
    struct world *w = ctx;
    w->body(h);
    if (w->clean)
        replicas_stop(h->replicas, reactor_deadline(h->reactor, 5 * SECOND));
    process_stop(w->process);
}

static void on_failed(void *ctx, struct pxhost *h, enum rc rc, const char *why) {
    struct world *w = ctx;
    if (!h->ready) {
        OKF(false, "%s: %s", rc_name(rc), why);
        process_stop(w->process);
    }
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct world *w = arg;
    struct pxhost_conf conf = {.node = 1,
                               .nodes = 1,
                               .addr = {"127.0.0.1:0"},
                               .dir = w->dir,
                               .clock = "fixed:100us",
                               .groups = 2,
                               .voters = 1,
                               .incarnation = 1,
                               .checkpoint_every = 100,
                               .body = body,
                               .on_failed = on_failed,
                               .ctx = w};
    (void)count;
    *ret_state = w;
    return pxhost_boot(&w->host, &conf, stores[0], err);
}

static void stop(void *state, uint16_t store) {
    (void)store;
    pxhost_stop(&((struct world *)state)->host);
}

static bool stopped(void *state, uint16_t store) {
    (void)store;
    return pxhost_stopped(&((struct world *)state)->host);
}

static void done(void *state) {
    pxhost_done(&((struct world *)state)->host);
}

static void run(const char *name, bool clean, void (*fn)(struct pxhost *h)) {
    static const struct program program = {boot, stop, stopped, done};
    struct process_conf conf = {.stores = 1, .level = DIAG_ERROR};
    struct world w = {.body = fn, .clean = clean};
    struct err err = {0};
    snprintf(w.dir, sizeof w.dir, "%s/%s", tap_dir(), name);
    OKF(process_new(&conf, &w.process, &err) == RC_OK, "%s", err.message);
    OKF(process_run(w.process, &program, &w, &err) == RC_OK, "%s", err.message);
    process_free(w.process);
}

static struct replica *leading(struct pxhost *h, uint64_t group) {
    for (int i = 0; i < 1000; i++) {
        struct replica *r = pxhost_replica(h, group);
        if (r && replica_leads(r))
            return r;
        IGNORE(fiber_sleep(h->reactor, 10 * MS));
    }
    OKF(false, "group %llu got no leader", (unsigned long long)group);
    return NULL;
}

static enum rc set(struct pxhost *h, uint64_t group, uint32_t reg, uint64_t to, px_slot *ret_slot, struct err *err) {
    struct px_value *v = regs_command(to, reg, false, to, REGS_COMMAND_BYTES);
    struct replica *r = leading(h, group);
    uint64_t sum = 0;
    int64_t ts = 0, now = tt_now(&h->clock).latest;
    enum rc rc = replica_propose(r, v, now, reactor_deadline(h->reactor, 5 * SECOND), &sum, ret_slot, &ts, err);
    if (rc == RC_OK)
        OK(sum != 0 && ts >= now && replica_applied(r) >= *ret_slot); /* N-8 */
    px_value_unref(v);
    return rc;
}

/* ---- writing and reading ----------------------------------------------------------------------------------------- */

static void some_writes(struct pxhost *h) {
    px_slot slot = 0, last = 0;
    struct err err = {0};
    for (uint32_t i = 0; i < 250; i++) {
        OKF(set(h, 1, i % 8, i + 1, &slot, &err) == RC_OK, "%s", err.message);
        OK(slot > last);
        last = slot;
    }
    EQ_INT(pxhost_group(h, 1)->regs->value[249 % 8], 250);
    OK(set(h, 2, 1, 77, &slot, &err) == RC_OK);
}

static void they_are_there(struct pxhost *h) {
    leading(h, 1);
    leading(h, 2);
    const struct regs *g = pxhost_group(h, 1)->regs;
    for (uint32_t i = 0; i < 8; i++)
        OK(g->value[i] >= 242 && g->value[i] <= 250);
    EQ_INT(pxhost_group(h, 2)->regs->value[1], 77);
}

static void a_store_remembers(void) {
    run("remembers", false, some_writes); /* as after a kill */
    run("remembers", false, they_are_there);
    run("remembers", true, they_are_there);
    run("remembers", true, they_are_there); /* after a clean stop */
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void never_done(struct replica_proposal *p, enum rc rc) {
    (void)p;
    OKF(false, "an abandoned proposal ended with %s", rc_name(rc));
}

static uint64_t done_ok, done_otherwise;

static void count_done(struct replica_proposal *p, enum rc rc) {
    (void)p;
    done_ok += rc == RC_OK;
    done_otherwise += rc != RC_OK;
}

static void refusals(struct pxhost *h) {
    struct replica *r = leading(h, 1);
    struct err err = {0};
    struct px_value *big = px_value_new(PX_COMMAND, NULL, REPLICA_COMMAND_BYTES_MAX + 1);
    struct px_value *v = regs_command(5, 5, false, 5, REGS_COMMAND_BYTES);
    px_slot slot;
    EQ_INT(replica_propose(r, big, 0, DEADLINE_NONE, NULL, NULL, NULL, &err), RC_LIMIT);
    px_value_unref(big);
    /* A timestamp far ahead of the lease is waited for, not given. */
    int64_t far = tt_now(&h->clock).latest + 100 * SECOND, began = reactor_now(h->reactor);
    EQ_INT(replica_propose(r, v, far, reactor_deadline(h->reactor, 100 * MS), NULL, NULL, NULL, &err), RC_UNSYNCED);
    OK(reactor_now(h->reactor) - began >= 90 * MS);
    EQ_INT(replica_serve(r, far, &err), RC_UNSYNCED);
    int64_t soon = tt_now(&h->clock).latest;
    EQ_INT(replica_serve(r, soon, &err), RC_OK);
    OK(replica_floor(r) >= soon && replica_lease_end(r) > soon);
    /* Abandoned: it may be chosen, and nobody hears of it. */
    struct replica_proposal p = {.on_done = never_done};
    OK(replica_submit(r, v, 0, &p, &err) == RC_OK);
    OK(replica_abandon(&p));
    OK(replica_abandon(&p));
    EQ_INT(set(h, 1, 6, 6, &slot, &err), RC_OK);
    OK(slot > p.slot);
    EQ_INT(pxhost_group(h, 1)->regs->value[5], 5);
    /* Many at once, without a fiber each. */
    enum { MANY = 500 };
    struct replica_proposal *q = calloc(MANY, sizeof *q);
    for (int i = 0; i < MANY; i++) {
        q[i] = (struct replica_proposal){.on_done = count_done};
        OK(replica_submit(r, v, 0, &q[i], &err) == RC_OK);
    }
    EQ_INT(set(h, 1, 7, 7, &slot, &err), RC_OK);
    EQ_INT(done_ok, MANY); /* in slot order, so these before */
    EQ_INT(done_otherwise, 0);
    free(q);
    px_value_unref(v);
}

static void what_is_refused_never_happens(void) {
    run("refusals", true, refusals);
}

static void resigned(struct pxhost *h) {
    struct replica *r = leading(h, 1);
    struct err err = {0};
    struct px_value *v = regs_command(9, 9, false, 9, REGS_COMMAND_BYTES);
    replica_resign(r, "a test");
    EQ_INT(replica_propose(r, v, 0, DEADLINE_NONE, NULL, NULL, NULL, &err), RC_NOT_LEADER);
    EQ_INT(replica_serve(r, 1, &err), RC_NOT_LEADER);
    OK(!replica_leads(r) && replica_lease_end(r) == 0);
    EQ_INT(replica_transfer(r, 0x20000, DEADLINE_NONE, &err), RC_NOT_LEADER);
    px_value_unref(v);
    leading(h, 1); /* it comes back by itself */
}

static void a_resigned_leader_says_so(void) {
    run("resigned", true, resigned);
}

/* ---- removal ----------------------------------------------------------------------------------------------------- */

static void removed(struct pxhost *h) {
    struct err err = {0};
    struct replica *r = leading(h, 2);
    uint64_t id = replica_id(r);
    struct regs *g = pxhost_group(h, 2)->regs;
    EQ_INT(replica_remove(h->replicas, 2, &err), RC_OK);
    OK(replicas_find(h->replicas, 2) == NULL);
    EQ_INT(replica_remove(h->replicas, 2, &err), RC_NOTFOUND);
    g->replica = NULL;
    /* Neither this id nor an older one comes back; a newer one does. */
    struct replica_conf conf = {
        .group = 2, .replica = id, .state = {.config = g->state.config}, .ops = &regs_ops, .sm = g};
    EQ_INT(replicas_add(h->replicas, &conf, &r, &err), RC_INVAL);
    conf.group = 1;
    EQ_INT(replicas_add(h->replicas, &conf, &r, &err), RC_EXISTS);
    conf.group = 0;
    EQ_INT(replicas_add(h->replicas, &conf, &r, &err), RC_INVAL);
    conf.group = 2;
    conf.replica = id + 1;
    g->state.applied = 0; /* it begins anew, and being alone it leads at once */
    conf.state.config.member[0].replica = id + 1;
    OKF(replicas_add(h->replicas, &conf, &r, &err) == RC_OK, "%s", err.message);
    EQ_INT(replica_remove(h->replicas, 2, &err), RC_OK);
}

static void still_removed(struct pxhost *h) {
    OK(replicas_find(h->replicas, 2) == NULL); /* pxhost met RC_INVAL, and deleted the data */
    OK(pxhost_group(h, 2) == NULL);
    leading(h, 1);
}

static void a_removed_replica_stays_removed(void) {
    run("removed", false, removed);
    run("removed", true, still_removed);
    run("removed", true, still_removed);
}

int main(void) {
    RUN(a_store_remembers);
    RUN(what_is_refused_never_happens);
    RUN(a_resigned_leader_says_so);
    RUN(a_removed_replica_stays_removed);
    return tap_done();
}
