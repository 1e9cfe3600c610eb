/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.c: what is chosen goes into the state machines.
 *
 *     chosen, gate passed -> apply_queue -> a worker takes the group -> apply(run) -> px_applied, proposals answered
 *
 * A few fibers serve all groups of the store: a group waits in the queue, not on a fiber of its own. An entry whose timestamp
 * has not passed yet (the gate, T-4) keeps its group out of the queue until a timer says so: no fiber waits for time. One
 * group is applied by one worker at a time.
 *
 * A run that fails leaves the data as before it, or further back: the replica stops leading, the state machine says where its
 * data stand, and what is missing is read again from the log, then from the core.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/replica/replica_internal.h"

enum { RUN_ENTRIES_MAX = 256, RUN_BYTES_MAX = 1 << 20, BACKOFF_SHIFT_MAX = 6 };
static const int64_t LINGER_NS = 1000000000, BACKOFF_NS = 50000000, GATE_POLL_NS = 1000000;

struct run {
    struct replica_entry entry[RUN_ENTRIES_MAX];
    struct px_value *value[RUN_ENTRIES_MAX]; /* referenced */
    size_t count, bytes;
    struct replica_state after;
};

/* ---- what can be applied ----------------------------------------------------------------------------------------- */

/* The gate of the next entry is open; else *ret_ns is when to look again. */
static bool gate_open(struct replica *r, px_slot slot, const struct px_value *v, int64_t *ret_ns) {
    if (!r->ops->gate)
        return true;
    int64_t ts = r->ops->gate(r->sm, slot, v);
    if (!ts || env_mutant(r->rs->env, "T-4: no gate before apply"))
        return true;
    struct px_now now = replicas_now(r->rs);
    if (px_after(now.tt, ts))
        return true;
    int64_t wait = tt_is_known(now.tt) ? ts - now.tt.earliest + 1 : GATE_POLL_NS;
    *ret_ns = now.mono_ns + (wait < GATE_POLL_NS ? GATE_POLL_NS / 4 + wait : wait);
    return false;
}

static bool run_add(struct run *run, const struct px_entry *e) {
    if (run->count == RUN_ENTRIES_MAX || (run->count && run->bytes + e->value->bytes > RUN_BYTES_MAX))
        return false;
    run->value[run->count] = px_value_ref(e->value);
    run->entry[run->count++] = (struct replica_entry){e->slot, e->value, NULL};
    run->bytes += e->value->bytes;
    run->after.applied = e->slot;
    run->after.origin = e->value->origin;
    int64_t floor = e->value->ts, x;
    if ((e->value->kind == PX_START || e->value->kind == PX_RELEASE) && e->value->bytes == sizeof x) {
        memcpy(&x, e->value->data, sizeof x);
        floor = x > floor ? x : floor;
    }
    if (floor > run->after.floor)
        run->after.floor = floor;
    struct px_config c;
    if (e->value->kind == PX_CONFIG && px_config_decode(e->value->data, e->value->bytes, &c) == RC_OK &&
        c.epoch > run->after.config.epoch)
        run->after.config = c;
    return true;
}

static void run_drop(struct run *run) {
    for (size_t i = 0; i < run->count; i++)
        px_value_unref(run->value[i]);
    run->count = 0;
}

/* After a reload: what the core thinks applied, read from the log. */
static enum rc gather_again(struct replica *r, struct run *run, struct err *err) {
    struct px_entry e[RUN_ENTRIES_MAX];
    size_t n = 0, want = (size_t)(r->told - r->state.applied);
    enum rc rc = wal_read(r->rs->wal, r->group, r->state.applied + 1, RUN_BYTES_MAX, e,
                          want < RUN_ENTRIES_MAX ? want : RUN_ENTRIES_MAX, &n, err);
    bool room = true;
    for (size_t i = 0; i < n; i++) {
        room = room && run_add(run, &e[i]);
        px_value_unref(e[i].value);
    }
    return rc;
}

/* Chosen entries whose gates are open; none: the timer is set if time is what is missing. */
static enum rc gather(struct replica *r, struct run *run, struct err *err) {
    const struct px_entry *e;
    int64_t at = INT64_MAX;
    run->count = run->bytes = 0;
    run->after = r->state;
    if (r->state.applied < r->told)
        return gather_again(r, run, err);
    while ((e = px_next(r->g, run->after.applied))) {
        if (!gate_open(r, e->slot, e->value, &at)) {
            r->gate_ns = at;
            replica_touch(r); /* sets the timer */
            break;
        }
        if (!run_add(run, e))
            break;
    }
    return RC_OK;
}

/* Which proposals of ours are in the run: they cannot be abandoned while it is being applied. */
static void claim(struct replica *r, struct run *run) {
    size_t i = 0;
    ilist_for_each(it, &r->proposals) {
        struct replica_proposal *p = ilist_entry(it, struct replica_proposal, link);
        while (i < run->count && run->entry[i].slot < p->slot)
            i++;
        if (i == run->count)
            return;
        if (run->entry[i].slot != p->slot || px_ballot_cmp(&run->entry[i].value->origin, &p->origin) != 0)
            continue;
        p->applying = true;
        p->apply_ns = reactor_now(r->rs->reactor);
        run->entry[i].own = p->own;
    }
}

static void unclaim(struct replica *r) {
    ilist_for_each(it, &r->proposals)
        ilist_entry(it, struct replica_proposal, link)->applying = false;
}

/* ---- proposals whose fate is known ------------------------------------------------------------------------------- */

void proposal_done(struct replica_proposal *p, enum rc rc) {
    struct replicas *rs = p->replica->rs;
    ilist_del(&p->link);
    p->applying = false;
    rs->proposals--;
    gauge_set(&rs->stats.proposals, (int64_t)rs->proposals);
    if (!rc)
        hist_add(&rs->stats.commit_ns, reactor_now(rs->reactor) - p->since_ns);
    p->on_done(p, rc);
}

void proposals_end(struct replica *r, px_slot upto, enum rc rc) {
    struct replica_proposal *p;
    while ((p = ilist_first(&r->proposals, struct replica_proposal, link)) && p->slot <= upto)
        proposal_done(p, rc);
}

static void answer(struct replica *r, const struct run *run) {
    for (size_t i = 0; i < run->count; i++) {
        const struct replica_entry *e = &run->entry[i];
        struct replica_proposal *p;
        while ((p = ilist_first(&r->proposals, struct replica_proposal, link)) && p->slot <= e->slot) {
            bool ours = p->slot == e->slot && px_ballot_cmp(&e->value->origin, &p->origin) == 0;
            /* Another value stands in its slot, and it was proposed for no other: it never was chosen. */
            proposal_done(p, ours ? RC_OK : RC_NOT_LEADER);
        }
        /* Nor was what an older ballot of ours proposed above a slot that a newer one filled first (P5). */
        while ((p = ilist_first(&r->proposals, struct replica_proposal, link)) &&
               px_ballot_cmp(&p->origin, &e->value->origin) < 0)
            proposal_done(p, RC_NOT_LEADER);
    }
}

/* ---- applying ---------------------------------------------------------------------------------------------------- */

static void applied(struct replica *r, struct run *run) {
    struct replicas *rs = r->rs;
    uint64_t epoch = r->state.config.epoch;
    r->state = run->after;
    r->apply_failures = 0;
    counter_add(&rs->stats.applied, run->count);
    if (r->state.applied > r->told) {
        struct px_now now = replicas_now(rs);
        r->told = r->state.applied;
        px_applied(r->g, &now, r->told);
    }
    answer(r, run);
    if (r->state.config.epoch != epoch && r->ops->on_config)
        r->ops->on_config(r->sm, &r->state.config);
    replica_wake(r);
}

/* The data do not show the run. */
static void failed(struct replica *r, enum rc rc, const struct err *err) {
    struct replicas *rs = r->rs;
    struct err why = {0};
    counter_inc(&rs->stats.apply_failures);
    env_probe(rs->env, "replica: a run could not be applied");
    diag_tablet(&rs->env->diag, DIAG_ERROR, r->group, "replica: a run could not be applied", "slot=%llu reason=\"%s\"",
                (unsigned long long)r->state.applied + 1, err->message[0] ? err->message : rc_text(rc));
    replica_resign(r, "its state machine cannot apply");
    struct replica_state st = {0};
    rc = r->ops->reload(r->sm, &st, &why);
    if (r->gone || rs->killed)
        return;
    if (!rc && st.applied > px_commit(r->g))
        rc = err_set(&why, RC_CORRUPT, "the data claim slot %llu, and %llu is chosen", (unsigned long long)st.applied,
                     (unsigned long long)px_commit(r->g));
    if (!rc) {
        counter_inc(&rs->stats.reloads);
        if (st.applied > r->told) { /* the error came after the data had it all: nobody knows what became of it */
            struct px_now now = replicas_now(rs);
            r->told = st.applied;
            px_applied(r->g, &now, r->told);
            proposals_end(r, st.applied, RC_CLOSED);
        }
        r->state = st;
        r->failed = false;
    } else {
        r->failed = true;
        diag_tablet(&rs->env->diag, DIAG_ERROR, r->group, "replica: a state machine could not be reloaded",
                    "reason=\"%s\"", why.message);
    }
    unsigned shift = r->apply_failures++ < BACKOFF_SHIFT_MAX ? r->apply_failures : BACKOFF_SHIFT_MAX;
    r->retry_ns = reactor_now(rs->reactor) + (BACKOFF_NS << shift);
}

/* One run; true if there may be more. */
static bool apply_run(struct replica *r, struct run *run) {
    struct err err = {0};
    enum rc rc = RC_OK;
    if (r->failed) { /* an earlier reload failed */
        failed(r, RC_IO, &err);
        return false;
    }
    rc = gather(r, run, &err);
    if (!rc && !run->count)
        return false;
    if (!rc) {
        claim(r, run);
        rc = r->ops->apply(r->sm, run->entry, run->count, &run->after, &err);
    }
    if (r->gone || r->rs->killed) {
        unclaim(r);
        run_drop(run);
        return false;
    }
    if (rc) {
        unclaim(r);
        failed(r, rc, &err);
    } else {
        applied(r, run);
    }
    run_drop(run);
    return !rc;
}

static bool ready(const struct replica *r) {
    return !r->gone && !r->applying && !r->installing && r->retry_ns == INT64_MAX && r->gate_ns == INT64_MAX &&
           px_commit(r->g) > r->state.applied;
}

static void apply_group(struct replica *r, struct run *run) {
    replica_ref(r);
    r->applying = true;
    r->apply_since_ns = reactor_now(r->rs->reactor);
    while (apply_run(r, run) && !r->gone && !r->installing && !r->rs->killed) {
        r->apply_since_ns = reactor_now(r->rs->reactor);
        replica_touch(r);
        if (!r->never_waits && fiber_slice_over(r->rs->reactor))
            break; /* others have a share too */
    }
    r->applying = false;
    r->apply_since_ns = 0;
    replica_wake(r);
    if (!r->gone)
        replica_after_event(r);
    replica_unref(r);
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void worker(void *arg) {
    struct replicas *rs = arg;
    struct run *run = malloc(sizeof *run);
    while (run && !rs->killed) {
        struct ilist *n = ilist_pop_front(&rs->apply_queue);
        if (n) {
            struct replica *r = ilist_entry(n, struct replica, apply_link);
            if (ready(r))
                apply_group(r, run);
            if (fiber_slice_over(rs->reactor))
                IGNORE(fiber_yield(rs->reactor)); /* cancelled: rs->killed says so too */
            continue;
        }
        rs->workers_idle++;
        enum rc rc = waitq_wait(rs->reactor, &rs->idle_workers, reactor_deadline(rs->reactor, LINGER_NS));
        rs->workers_idle--;
        if (rc)
            break;
    }
    for (struct ilist *n; !run && (n = ilist_pop_front(&rs->apply_queue));) { /* out of memory: the timer comes back */
        struct replica *r = ilist_entry(n, struct replica, apply_link);
        r->retry_ns = reactor_now(rs->reactor) + BACKOFF_NS;
        replica_set_timer(r);
    }
    if (!run)
        replicas_set_timer(rs);
    free(run);
    rs->workers--;
}

void apply_later(struct replica *r) {
    struct replicas *rs = r->rs;
    if (!ready(r) || rs->killed || rs->phase == REPLICAS_OPENING)
        return;
    if (r->never_waits) {
        struct run run;
        apply_group(r, &run);
        return;
    }
    if (!ilist_linked(&r->apply_link))
        ilist_push_back(&rs->apply_queue, &r->apply_link);
    if (waitq_wake_one(&rs->idle_workers, RC_OK) || rs->workers >= rs->conf.workers_max)
        return;
    if (fiber_spawn(rs->reactor, &rs->fibers, FIBER_LARGE, "apply", worker, rs) == RC_OK)
        rs->workers++;
    else
        r->retry_ns = reactor_now(rs->reactor) + BACKOFF_NS; /* the timer comes back here */
}

void apply_stop(struct replicas *rs) {
    struct ilist *n;
    while ((n = ilist_pop_front(&rs->apply_queue)))
        continue;
    waitq_wake_all(&rs->idle_workers, RC_SHUTDOWN);
}
