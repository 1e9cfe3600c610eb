/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet_read.c: which timestamp may be read here, and when.
 *
 * Leader, at ts:     promise that nothing at or below ts is assigned any more (S-1: the floor rises, within the lease); then
 *                    what was assigned before must be applied, and what is prepared below ts must be decided.
 * Follower, at ts:   ts must be at or below the floor of what is applied here, since every later entry has a higher timestamp
 *                    or at or below what an idle group's leader has closed behind what is applied here (closed.h); and
 *                    prepared transactions as above, from the records in this replica's data.
 * Leader, strong:    ts = latest of a clock read after the request came. Where nothing is prepared on the range and nothing
 *                    assigned waits for its application, what is applied is all there is: then no timestamp is needed (N-8).
 */
#include "shard/tablet/tablet_internal.h"

static const int64_t FOLLOWER_WAIT_NS = 200000000, FOLLOWER_LAG_NS = 1000000000, FUTURE_NS_MAX = 500000000,
                     POLL_NS = 5000000;

/* What fragment_run carries through: the caller's batches, and what must still hold when the snapshot is fixed. */
struct pinned {
    struct tablets *ts;
    uint64_t id, generation;
    const struct tablet_read *how;
    bool must_lead;
    bool quiet; /* nothing was prepared or on its way: the newest is everything; must be so at the pin too */
    bool again; /* it was not */
};

static bool upper_covers(const struct tablet *t, const struct tablet_read *how, int64_t ts) {
    const struct tablet_ops *ops = t->ts->conf.ops;
    return !ops || ops->safe_cap(t->upper, how->start, how->end) >= ts;
}

/* N-8: nothing assigned waits for its application, nothing is prepared on the range. */
static bool is_quiet(const struct tablet *t, const struct tablet_read *how) {
    struct px_status px;
    replica_status(t->rep, &px);
    return px.last == replica_applied(t->rep) && upper_covers(t, how, INT64_MAX);
}

/* The snapshot is fixed: does what was true before the wait still hold? */
static enum rc on_pin(int64_t slot, void *ctx, struct err *err) {
    struct pinned *f = ctx;
    struct tablet *t = tablets_find(f->ts, f->id);
    (void)slot;
    if (!t || !t->rep)
        return err_set(err, RC_MOVED, "tablet %llu is not on this store any more", (unsigned long long)f->id);
    enum rc rc = tablet_check(t, f->generation, err);
    if (!rc && f->must_lead && !replica_leads(t->rep))
        rc = err_set(err, RC_NOT_LEADER, "tablet %llu: this replica does not lead it any more",
                     (unsigned long long)f->id);
    if (!rc && f->quiet && !is_quiet(t, f->how)) {
        f->again = true;
        rc = err_set(err, RC_OVERLOAD, "tablet %llu: written to at this moment", (unsigned long long)f->id);
    }
    return rc;
}

static enum rc on_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    const struct fragment_run *run = &((struct pinned *)ctx)->how->run;
    return run->on_batch(batch, last, run->ctx, err);
}

static enum rc upper_wait(struct tablet *t, const struct tablet_read *how, int64_t ts, int64_t deadline,
                          struct err *err) {
    if (upper_covers(t, how, ts))
        return RC_OK;
    counter_inc(&t->ts->stats.reads_waited);
    enum rc rc = t->ts->conf.ops->safe_wait(t->upper, how->start, how->end, ts, deadline);
    return rc ? err_set(err, rc, "a transaction that is being decided is in the way: %s", rc_text(rc)) : RC_OK;
}

/* C-5: a timestamp from outside may not push the floor into the future. */
static enum rc not_future(struct tablets *ts, int64_t at, struct err *err) {
    tt_interval now = tt_now(ts->conf.clock);
    if (!tt_is_known(now))
        return err_set(err, RC_UNSYNCED, "the clock is not synchronised: nothing can be read at a timestamp");
    if (at > now.latest + FUTURE_NS_MAX)
        return err_set(err, RC_INVAL, "the timestamp to read at lies %.3f s in the future",
                       (double)(at - now.latest) / 1e9);
    return RC_OK;
}

/* Until the leader may promise ts: a lease that does not reach so far is renewed soon. */
static enum rc leader_serve(struct tablet *t, int64_t ts, int64_t deadline, struct err *err) {
    struct reactor *r = t->ts->reactor;
    for (;;) {
        enum rc rc = replica_serve(t->rep, ts, err);
        if (rc != RC_UNSYNCED || !replica_leads(t->rep) || reactor_now(r) >= deadline)
            return rc;
        rc = fiber_sleep(r, POLL_NS);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
        if (t->removed)
            return err_set(err, RC_MOVED, "tablet %llu left this store", (unsigned long long)t->id);
    }
}

static enum rc leader_at(struct tablet *t, const struct tablet_read *how, int64_t ts, int64_t deadline,
                         struct err *err) {
    struct px_status px;
    enum rc rc = leader_serve(t, ts, deadline, err);
    if (rc)
        return rc;
    replica_status(t->rep, &px);
    if (px.last > replica_applied(t->rep)) {
        counter_inc(&t->ts->stats.reads_waited);
        rc = replica_wait_applied(t->rep, px.last, deadline);
        if (rc)
            return err_set(err, rc, "tablet %llu: what is being written is not applied yet: %s",
                           (unsigned long long)t->id, rc_text(rc));
    }
    return upper_wait(t, how, ts, deadline, err);
}

/* Nothing that is not applied here has a timestamp at or below it. */
static int64_t safe_paxos(const struct tablet *t) {
    int64_t floor = mvcc_state(t->m)->floor, closed = t->leading ? 0 : closed_ts(t->ts->closed, t);
    if (env_mutant(t->ts->env, "R-1: a follower believes that it has everything"))
        return INT64_MAX;
    return closed > floor ? closed : floor;
}

int64_t tablet_safe_ts(struct tablet *t, struct mvcc_bytes start, struct mvcc_bytes end) {
    int64_t floor = safe_paxos(t);
    int64_t cap = t->ts->conf.ops ? t->ts->conf.ops->safe_cap(t->upper, start, end) : INT64_MAX;
    return floor < cap ? floor : cap;
}

static enum rc follower_at(struct tablet *t, const struct tablet_read *how, int64_t ts, int64_t deadline,
                           struct err *err) {
    struct reactor *r = t->ts->reactor;
    int64_t until = reactor_deadline(r, how->wait_ns ? how->wait_ns : FOLLOWER_WAIT_NS);
    if (until > deadline)
        until = deadline;
    while (safe_paxos(t) < ts) {
        if (ts - safe_paxos(t) > FOLLOWER_LAG_NS && !how->wait_ns)
            until = 0; /* it lags by more than such a wait is good for: others are asked at once */
        if (!ilist_linked(&t->reading_link))
            ilist_push_back(&t->ts->reading, &t->reading_link);
        enum rc rc = t->leading ? RC_TIMEOUT : waitq_wait(r, &t->progress, until);
        if (waitq_empty(&t->progress))
            ilist_del(&t->reading_link);
        if (!t->m || t->draining)
            return err_set(err, RC_MOVED, "tablet %llu left this store", (unsigned long long)t->id);
        if (rc == RC_TIMEOUT)
            return err_set(err, RC_NOT_LEADER, "tablet %llu: this replica does not know yet what was committed by then",
                           (unsigned long long)t->id);
        if (rc)
            return err_set(err, rc, "tablet %llu: %s", (unsigned long long)t->id, rc_text(rc));
    }
    return upper_wait(t, how, ts, until, err);
}

/* The timestamp for a read by mode; RC_OK: it may begin. */
static enum rc prepare(struct tablet *t, const struct tablet_read *how, struct pinned *f, int64_t deadline,
                       int64_t *ret_ts, struct err *err) {
    struct tablets *ts = t->ts;
    bool leads = replica_leads(t->rep);
    if (!leads && how->mode != TABLET_READ_AT)
        return err_set(err, RC_NOT_LEADER, "tablet %llu: this replica does not lead it", (unsigned long long)t->id);
    counter_inc(leads ? &ts->stats.reads_leader : &ts->stats.reads_follower);
    if (how->mode == TABLET_READ_LATEST) {
        f->must_lead = true;
        *ret_ts = 0;
        return RC_OK;
    }
    if (how->mode == TABLET_READ_STRONG) {
        f->quiet = !f->again && is_quiet(t, how);
        if (f->quiet) {
            f->must_lead = true;
            *ret_ts = 0;
            return RC_OK;
        }
        tt_interval now = tt_now(ts->conf.clock);
        if (!tt_is_known(now))
            return err_set(err, RC_UNSYNCED, "the clock is not synchronised: nothing can be read at a timestamp");
        *ret_ts = now.latest;
        return leader_at(t, how, *ret_ts, deadline, err);
    }
    enum rc rc = not_future(ts, how->ts, err);
    if (rc)
        return rc;
    *ret_ts = how->ts;
    if (safe_paxos(t) >= how->ts && upper_covers(t, how, how->ts))
        return RC_OK; /* known here, whoever leads */
    return leads ? leader_at(t, how, how->ts, deadline, err) : follower_at(t, how, how->ts, deadline, err);
}

enum rc tablet_read(struct tablets *ts, uint64_t id, struct tablet_read *how, int64_t deadline, int64_t *ret_ts,
                    struct fragment_result *ret, struct err *err) {
    struct tablet *t = tablets_find(ts, id);
    int64_t began = reactor_now(ts->reactor), at;
    if (!t || !t->rep)
        return err_set(err, RC_MOVED, "tablet %llu is not on this store", (unsigned long long)id);
    enum rc rc = tablet_check(t, how->generation, err);
    if (rc)
        return rc;
    struct pinned f = {.ts = ts, .id = id, .generation = mvcc_state(t->m)->generation, .how = how};
    tablet_use(t);
    do {
        bool retry = f.again;
        f.quiet = f.must_lead = false;
        rc = prepare(t, how, &f, deadline, &at, err);
        f.again = false;
        if (!rc && (t->removed || !t->m))
            rc = err_set(err, RC_MOVED, "tablet %llu left this store", (unsigned long long)id);
        if (!rc) {
            struct fragment_run run = how->run;
            run.ts = at ? at : FRAGMENT_LATEST;
            run.on_pin = on_pin;
            run.on_batch = on_batch;
            run.ctx = &f;
            rc = fragment_run(t->m, &run, ret, err);
        }
        CHECK(!f.again || !retry); /* the second time it reads at a timestamp */
    } while (f.again);
    tablet_release(t);
    counter_inc(&ts->stats.reads);
    hist_add(&ts->stats.read_ns, reactor_now(ts->reactor) - began);
    if (!rc)
        *ret_ts = at;
    return rc;
}
