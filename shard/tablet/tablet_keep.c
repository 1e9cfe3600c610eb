/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet_keep.c: what a store does for its tablets by itself: committing batches that nobody asks for, checkpoints (and with
 * them the cutting of the log), and the removal of versions that are older than they are kept.
 *
 * Only tablets to which something was applied since their last checkpoint are looked at, and those whose oldest version has
 * become too old: thousands of idle ones cost a comparison every ten seconds.
 */
#include "shard/store/rangecopy.h"
#include "shard/tablet/tablet_internal.h"

static const int64_t LOOK_NS = 100000000, GC_EVERY_NS = INT64_C(10000000000), TRIM_PAUSE_NS = 3000000;
enum { GC_STEPS_MAX = 4, TRIM_ROWS = 100, TRIM_STEPS_MAX = 20 };

enum rc tablet_checkpoint(struct tablet *t, bool reset, struct err *err) {
    int64_t slot;
    ilist_del(&t->dirty_link); /* what is applied from here on makes it dirty again */
    enum rc rc = mvcc_checkpoint(t->m, reset, &slot, err);
    if (rc) {
        counter_inc(&t->ts->stats.checkpoint_failures);
        return rc;
    }
    counter_inc(&t->ts->stats.checkpoints);
    if (t->rep && !t->removed)
        replica_checkpointed(t->rep, (px_slot)slot);
    return RC_OK;
}

static enum rc propose(struct tablet *t, const struct buf *b, int64_t min_ts, struct err *err) {
    int64_t deadline = reactor_deadline(t->ts->reactor, GC_EVERY_NS), ts;
    return buf_rc(b) ? buf_rc(b) : tablet_propose(t->ts, t->id, b->data, b->len, min_ts, NULL, deadline, &ts, err);
}

/* Two logged steps (N-4): the threshold first, a later entry removes what only reads below it could see. */
static enum rc collect(struct tablet *t, struct err *err) {
    struct buf b;
    struct gc_step step;
    bool any = true;
    tt_interval now = tt_now(t->ts->conf.clock);
    int64_t threshold = tt_is_known(now) ? now.earliest - t->ts->conf.gc_ns : 0;
    int64_t lowest = INT64_MAX;
    enum rc rc = gc_lowest(t->m, &lowest, err);
    if (rc || lowest >= threshold)
        return rc; /* nothing to remove: an idle tablet gets no entries for that */
    buf_init(&b, REPLICA_COMMAND_BYTES_MAX);
    if (threshold > mvcc_state(t->m)->gc_threshold) {
        command_begin(&b, COMMAND_GC_RAISE, mvcc_state(t->m)->generation);
        buf_put_u64le(&b, (uint64_t)threshold);
        rc = propose(t, &b, threshold, err); /* an idle tablet's floor rises above it with this entry */
    }
    for (int i = 0; i < GC_STEPS_MAX && !rc && any && t->leading && t->m; i++) {
        rc = gc_plan(t->m, GC_ROWS_DEFAULT, &step, &any, err);
        if (rc || !any)
            break;
        buf_reset(&b, 4096);
        command_begin(&b, COMMAND_GC_DELETE, mvcc_state(t->m)->generation);
        varint_put(&b, step.table);
        buf_put_u64le(&b, (uint64_t)step.below_hi);
        rc = propose(t, &b, 0, err);
        counter_inc(&t->ts->stats.gc_steps);
    }
    buf_done(&b);
    return rc;
}

/* What left with the right half of a split, a little at a time. *ret_more: come again. */
static enum rc trim(struct tablet *t, bool *ret_more, struct err *err) {
    struct reactor *r = t->ts->reactor;
    enum rc rc = RC_OK;
    *ret_more = true;
    for (int i = 0; i < TRIM_STEPS_MAX && !rc && *ret_more && !t->removed && t->m; i++) {
        rc = rangecopy_trim(t->m, TRIM_ROWS, ret_more, err);
        if (!rc && *ret_more && fiber_sleep(r, TRIM_PAUSE_NS) != RC_OK)
            break;
    }
    return rc;
}

/* A tablet to which nothing happens: its versions grow old all the same. */
static enum rc collect_idle(struct tablet *t, int64_t now, struct err *err) {
    int64_t lowest = INT64_MAX;
    enum rc rc = RC_OK;
    if (t->gc_after == 0 && !(rc = gc_lowest(t->m, &lowest, err)))
        t->gc_after = lowest == INT64_MAX ? INT64_MAX : lowest + t->ts->conf.gc_ns + 1;
    return !rc && t->gc_after <= now ? collect(t, err) : rc;
}

/* tablets may come and go while one is looked at: from the id after the last one on. */
static struct tablet *next_idle(struct tablets *ts, uint64_t last, int64_t now) {
    struct tablet *next = NULL;
    map_for_each(it, &ts->map) {
        struct tablet *t = container_of(it, struct tablet, node);
        if (t->id > last && t->leading && t->m && !t->removed && !ilist_linked(&t->dirty_link) && t->gc_after <= now &&
            !mvcc_broken(t->m) && (!next || t->id < next->id))
            next = t;
    }
    return next;
}

static void idle_round(struct tablets *ts) {
    struct tablet *t;
    tt_interval now = tt_now(ts->conf.clock);
    if (!tt_is_known(now))
        return;
    for (uint64_t last = 0; (t = next_idle(ts, last, now.earliest)) && !fiber_cancelled(ts->reactor);) {
        struct err err = {0};
        last = t->id;
        tablet_use(t);
        enum rc rc = collect_idle(t, now.earliest, &err);
        if (rc && rc != RC_NOT_LEADER && rc != RC_MOVED && rc != RC_UNSYNCED && rc != RC_CANCELLED && rc != RC_SHUTDOWN)
            diag_tablet(&ts->env->diag, DIAG_WARN, t->id, "tablet: old versions stay", "reason=\"%s\"",
                        err_message(&err));
        tablet_release(t);
    }
}

static void keep(struct tablet *t) {
    struct tablets *ts = t->ts;
    struct err err = {0};
    int64_t now = reactor_now(ts->reactor);
    enum rc rc = mvcc_broken(t->m) ? RC_OK : mvcc_flush(t->m, &err);
    if (!rc && !mvcc_broken(t->m) &&
        (mvcc_wal_bytes(t->m) >= ts->conf.checkpoint_bytes || now - t->dirty_since >= ts->conf.checkpoint_ns ||
         t->checkpoint_soon)) {
        t->checkpoint_soon = false;
        rc = tablet_checkpoint(t, true, &err);
        if (rc && t->m && !t->removed)
            tablet_dirty(t); /* later again */
    }
    bool more = false;
    if (!rc && t->m && !t->removed && !mvcc_broken(t->m))
        rc = trim(t, &more, &err);
    if (more)
        tablet_dirty(t);
    if (!rc && t->leading && !t->removed && t->m && now >= t->gc_at) {
        t->gc_at = now + GC_EVERY_NS;
        rc = collect(t, &err);
        if (rc == RC_NOT_LEADER || rc == RC_MOVED || rc == RC_UNSYNCED)
            rc = RC_OK; /* its next leader does it */
    }
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN)
        diag_tablet(&ts->env->diag, DIAG_WARN, t->id, "tablet: upkeep failed", "reason=\"%s\"", err_message(&err));
}

/* Tablets may come and go while it waits: what is left for this round is a list of its own. */
static void round_of(struct tablets *ts) {
    struct ilist todo;
    ilist_init(&todo);
    ilist_splice_back(&todo, &ts->dirty);
    while (!ilist_empty(&todo)) {
        struct tablet *t = container_of(ilist_pop_front(&todo), struct tablet, dirty_link);
        if (t->removed || !t->m)
            continue;
        ilist_push_back(&ts->dirty, &t->dirty_link);
        tablet_use(t);
        keep(t);
        tablet_release(t);
        if (fiber_cancelled(ts->reactor))
            ilist_splice_back(&ts->dirty, &todo);
    }
}

void tablets_housekeeper(void *arg) {
    struct tablets *ts = arg;
    int64_t idle_at = reactor_deadline(ts->reactor, GC_EVERY_NS);
    while (!fiber_cancelled(ts->reactor)) {
        if (ilist_empty(&ts->dirty)) {
            enum rc rc = waitq_wait(ts->reactor, &ts->housekeeper, idle_at);
            if (rc != RC_OK && rc != RC_TIMEOUT)
                return;
        }
        if (fiber_sleep(ts->reactor, LOOK_NS) != RC_OK)
            return;
        round_of(ts);
        if (reactor_now(ts->reactor) >= idle_at) {
            idle_round(ts);
            idle_at = reactor_deadline(ts->reactor, GC_EVERY_NS);
        }
    }
}
