/* SPDX-License-Identifier: Apache-2.0 */
/* tablet_propose.c: commands into a tablet's log, and the answer once they are applied here (N-8). */
#include "shard/tablet/tablet_internal.h"

static enum rc not_here(uint64_t id, struct err *err) {
    return err_set(err, RC_MOVED, "tablet %llu is not on this store", (unsigned long long)id);
}

enum rc tablet_propose(struct tablets *ts, uint64_t id, const void *command, size_t bytes, int64_t min_ts, void *own,
                       int64_t deadline, int64_t *ret_ts, struct err *err) {
    struct tablet *t = tablets_find(ts, id);
    struct tablet_own mine = {.upper = own};
    int64_t began = reactor_now(ts->reactor);
    if (!t || !t->rep || t->draining)
        return not_here(id, err);
    if (bytes > REPLICA_COMMAND_BYTES_MAX)
        return err_set(err, RC_LIMIT, "a command of %zu bytes; %d fit into one entry", bytes,
                       REPLICA_COMMAND_BYTES_MAX);
    struct px_value *v = px_value_new(PX_COMMAND, command, bytes);
    if (!v)
        return err_set(err, RC_NOMEM, "out of memory for a command of %zu bytes", bytes);
    tablet_use(t);
    enum rc rc = replica_propose(t->rep, v, min_ts, deadline, &mine, NULL, ret_ts, err);
    tablet_release(t);
    px_value_unref(v);
    counter_inc(&ts->stats.proposals);
    hist_add(&ts->stats.propose_ns, reactor_now(ts->reactor) - began);
    if (rc)
        return rc;
    if (mine.rc && err)
        *err = mine.err;
    return mine.rc;
}

enum rc tablet_write(struct tablets *ts, uint64_t id, uint64_t generation, const struct mvcc_mutation *m, size_t n,
                     int64_t deadline, int64_t *ret_ts, struct err *err) {
    struct tablet *t = tablets_find(ts, id);
    struct buf b;
    if (!t || !t->rep)
        return not_here(id, err);
    enum rc rc = tablet_check(t, generation, err);
    if (rc)
        return rc;
    /* The start rule: not below this node's latest, read after the request came (T-3, C-1). */
    tt_interval now = tt_now(ts->conf.clock);
    if (!tt_is_known(now))
        return err_set(err, RC_UNSYNCED, "the clock is not synchronised: no timestamp can be given");
    buf_init(&b, REPLICA_COMMAND_BYTES_MAX);
    command_begin(&b, COMMAND_ROWS, mvcc_state(t->m)->generation);
    mvcc_mutations_encode(m, n, &b);
    rc = buf_rc(&b);
    if (rc)
        err_set(err, rc, "the rows do not fit into one entry of %d bytes", REPLICA_COMMAND_BYTES_MAX);
    else
        rc = tablet_propose(ts, id, b.data, b.len, now.latest, NULL, deadline, ret_ts, err);
    buf_done(&b);
    return rc;
}

enum rc tablet_lock(struct tablets *ts, uint64_t id, int64_t deadline, uint64_t *ret_replica, struct err *err) {
    for (;;) {
        struct tablet *t = tablets_find(ts, id);
        if (!t || t->draining)
            return not_here(id, err);
        if (!t->locked) {
            t->locked = true;
            *ret_replica = t->replica_id;
            return RC_OK;
        }
        tablet_use(t);
        enum rc rc = waitq_wait(ts->reactor, &t->lock, deadline);
        tablet_release(t);
        if (rc)
            return err_set(err, rc, "tablet %llu is locked: %s", (unsigned long long)id, rc_text(rc));
    }
}

void tablet_unlock(struct tablets *ts, uint64_t id, uint64_t replica) {
    struct tablet *t = tablets_find(ts, id);
    if (!t || t->replica_id != replica)
        return; /* the replica was removed, and another one made, while the lock was held */
    CHECK(t->locked);
    t->locked = false;
    waitq_wake_one(&t->lock, RC_OK);
}
