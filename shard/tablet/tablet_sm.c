/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet_sm.c: a tablet as a state machine: chosen entries into its file.
 *
 * A run becomes one stretch of slots in mvcc's batch. What an entry says is either done or, where its generation is not the
 * tablet's any more, not done, and that is the same on every replica; an error on the way is this replica's own (its disk, its
 * memory) and takes the whole batch back: nothing is ever skipped.
 */
#include "shard/tablet/tablet_internal.h"

/* What a command asks for cannot be done: on every replica alike. */
static enum rc refuse(struct tablet *t, struct tablet_own *own, enum rc rc, const struct err *why) {
    diag_tablet(&t->ts->env->diag, DIAG_WARN, t->id, "tablet: a command was not done", "reason=\"%s\"",
                err_message(why));
    if (own) {
        own->rc = rc;
        own->err = *why;
    }
    return RC_OK;
}

static enum rc apply_rows(struct tablet *t, const struct command *c, int64_t ts, struct tablet_own *own,
                          struct err *err) {
    struct mvcc_mutation *rows;
    struct err why = {0};
    size_t n;
    enum rc rc = mvcc_mutations_decode(c->body.p, c->body.n, &t->scratch, &rows, &n, err);
    if (rc)
        return rc;
    rc = mvcc_check_write(t->m, rows, n, &why);
    if (rc == RC_INVAL)
        return refuse(t, own, rc, &why);
    return mvcc_write(t->m, ts, rows, n, err);
}

static enum rc apply_table(struct tablet *t, const struct command *c, struct tablet_own *own, struct err *err) {
    struct table *table;
    struct err why = {0};
    enum rc rc = table_decode(c->body.p, c->body.n, &table, err);
    if (rc)
        return rc;
    const struct table *old = mvcc_table(t->m, table->id);
    if (old && old->version >= table->version) {
        rc = err_set(&why, RC_EXISTS, "table %llu has version %u already", (unsigned long long)table->id, old->version);
        rc = refuse(t, own, rc, &why);
    } else if (old && table_follows(old, table, &why) == RC_INVAL)
        rc = refuse(t, own, RC_INVAL, &why);
    else
        rc = mvcc_put_table(t->m, table, err);
    table_unref(table);
    return rc;
}

/* A row command, a change of tables, ...: all that is not the layer above's. */
static enum rc apply_own(struct tablet *t, const struct command *c, int64_t ts, struct tablet_own *own,
                         struct err *err) {
    struct rd r;
    enum rc rc;
    rd_init(&r, c->body.p, c->body.n);
    switch (c->kind) {
    case COMMAND_ROWS:
        return apply_rows(t, c, ts, own, err);
    case COMMAND_TABLE:
        return apply_table(t, c, own, err);
    case COMMAND_DROP: {
        uint64_t id = varint_get(&r);
        return r.bad ? err_set(err, RC_CORRUPT, "a drop in the log names no table") : mvcc_drop_table(t->m, id, err);
    }
    case COMMAND_GC_RAISE: {
        int64_t threshold = (int64_t)rd_u64le(&r);
        return r.bad ? err_set(err, RC_CORRUPT, "a threshold in the log is cut off") : gc_raise(t->m, threshold, err);
    }
    case COMMAND_GC_DELETE: {
        struct gc_step step = {.table = varint_get(&r)};
        step.below_hi = (int64_t)rd_u64le(&r);
        return r.bad ? err_set(err, RC_CORRUPT, "a step of version removal in the log is cut off")
                     : gc_delete(t->m, &step, err);
    }
    case COMMAND_RANGE: {
        struct mvcc_bytes start = {NULL, 0}, end = {NULL, 0};
        rc = command_bytes(&r, MVCC_KEY_BYTES_MAX, &start, err);
        if (!rc)
            rc = command_bytes(&r, MVCC_KEY_BYTES_MAX, &end, err);
        uint64_t generation = rd_u64le(&r);
        if (!rc && r.bad)
            rc = err_set(err, RC_CORRUPT, "a range in the log is cut off");
        return rc ? rc : mvcc_set_range(t->m, start, end, generation, err);
    }
    default:
        return err_set(err, RC_UNSUPPORTED, "the log has a command of kind %u, which this program does not know",
                       c->kind);
    }
}

static enum rc apply_command(struct tablet *t, const struct replica_entry *e, struct err *err) {
    struct tablet_own *own = e->own;
    struct command c;
    enum rc rc = command_parse(e->value->data, e->value->bytes, &c, err);
    if (rc)
        return rc;
    if (c.kind >= COMMAND_UPPER) {
        if (!t->ts->conf.ops)
            return err_set(err, RC_UNSUPPORTED, "the log has a transaction's command, and there is no layer for it");
        return t->ts->conf.ops->apply(t->upper, e->slot, e->value->ts, &c, own ? own->upper : NULL, err);
    }
    if (c.generation != mvcc_state(t->m)->generation) {
        counter_inc(&t->ts->stats.moved);
        if (c.kind == COMMAND_SPLIT)
            tablet_split_cancel(t);
        if (own)
            own->rc =
                err_set(&own->err, RC_MOVED, "tablet %llu has generation %llu now, not %llu", (unsigned long long)t->id,
                        (unsigned long long)mvcc_state(t->m)->generation, (unsigned long long)c.generation);
        return RC_OK;
    }
    return apply_own(t, &c, e->value->ts, own, err);
}

static int64_t sm_gate(void *sm, px_slot slot, const struct px_value *v);

static enum rc apply_one(struct tablet *t, const struct replica_entry *e, struct err *err) {
    const struct px_value *v = e->value;
    uint8_t ballot[24];
    struct command c;
    if (v->kind == PX_COMMAND && command_parse(v->data, v->bytes, &c, NULL) == RC_OK && c.kind == COMMAND_SPLIT &&
        c.generation == mvcc_state(t->m)->generation)
        return tablet_apply_split(t, e, &c, err);
    int64_t floor = tablet_entry_floor(v), gate = sm_gate(t, e->slot, v);
    /* What waits for a time writes at that time: an outcome's is older than its entry, and no entry behind it is below (N-4). */
    enum rc rc = mvcc_slot_begin(t->m, (int64_t)e->slot, tablet_ballot_bytes(&v->origin, ballot),
                                 floor > gate ? floor : gate, err);
    if (!rc && v->kind == PX_COMMAND)
        rc = apply_command(t, e, err);
    else if (!rc && v->kind == PX_CONFIG)
        rc = mvcc_set_config(t->m, (struct mvcc_bytes){v->data, v->bytes}, err);
    return rc ? rc : mvcc_slot_end(t->m, err);
}

static enum rc sm_apply(void *sm, const struct replica_entry *run, size_t count, const struct replica_state *after,
                        struct err *err) {
    struct tablet *t = sm;
    enum rc rc = RC_OK;
    if (!t->m)
        return err_set(err, RC_IO, "tablet %llu has no file", (unsigned long long)t->id);
    uint64_t generation = mvcc_state(t->m)->generation;
    tablet_use(t);
    for (size_t i = 0; i < count && !rc; i++) {
        rc = apply_one(t, &run[i], err);
        if (rc)
            err_wrap(err, "tablet %llu, slot %llu", (unsigned long long)t->id, (unsigned long long)run[i].slot);
    }
    arena_reset(&t->scratch);
    t->suspect |= rc == RC_CORRUPT;
    if (!rc) {
        CHECK(mvcc_state(t->m)->slot == (int64_t)after->applied);
        tablet_dirty(t);
        t->gc_after = 0;
        if (mvcc_state(t->m)->generation != generation) {
            tablet_index(t);
            if (t->ts->conf.on_change)
                t->ts->conf.on_change(t->ts->conf.ctx, t->id);
        }
        if (t->ts->conf.ops)
            t->ts->conf.ops->applied(t->upper, after->applied);
        waitq_wake_all(&t->progress, RC_OK);
    }
    tablet_release(t);
    return rc;
}

static int64_t sm_gate(void *sm, px_slot slot, const struct px_value *v) {
    struct tablet *t = sm;
    struct command c;
    (void)slot;
    if (v->kind != PX_COMMAND || command_parse(v->data, v->bytes, &c, NULL) != RC_OK)
        return 0; /* what cannot be read is told by apply */
    if (c.kind >= COMMAND_UPPER)
        return t->ts->conf.ops ? t->ts->conf.ops->gate(t->upper, v->ts, &c) : 0;
    return v->ts;
}

static enum rc sm_reload(void *sm, struct replica_state *ret, struct err *err) {
    struct tablet *t = sm;
    counter_inc(&t->ts->stats.broken);
    struct err why = {0};
    tablet_use(t);
    enum rc rc = tablet_reopen(t, &why);
    if (!rc)
        rc = tablet_state_read(t->m, ret, &why);
    if (!rc && t->suspect) { /* SQLite called it damaged: is it, or was it a command? */
        struct mvcc_reader *rd = NULL;
        t->suspect = false;
        rc = mvcc_reader_open(t->m, &rd, &why);
        if (!rc)
            rc = mvcc_verify(rd, true, &why);
        mvcc_reader_close(rd);
    }
    tablet_release(t);
    if (rc == RC_CORRUPT)
        tablet_give_up(t, err_message(&why));
    if (rc && err)
        *err = why;
    return rc;
}

static void sm_lead_begin(void *sm, const struct px_ballot *ballot, int64_t floor) {
    struct tablet *t = sm;
    (void)ballot;
    t->leading = true;
    t->lead_floor = floor;
    gauge_add(&t->ts->stats.leading, 1);
    if (t->ts->conf.ops)
        t->ts->conf.ops->lead_begin(t->upper, floor);
    if (t->ts->conf.on_change)
        t->ts->conf.on_change(t->ts->conf.ctx, t->id);
}

static void sm_lead_end(void *sm, const struct px_ballot *ballot) {
    struct tablet *t = sm;
    (void)ballot;
    if (!t->leading)
        return;
    t->leading = t->split_begun = false;
    gauge_add(&t->ts->stats.leading, -1);
    if (t->ts->conf.ops)
        t->ts->conf.ops->lead_end(t->upper);
    waitq_wake_all(&t->progress, RC_OK);
}

static void sm_config(void *sm, const struct px_config *config) {
    struct tablet *t = sm;
    (void)config;
    t->checkpoint_soon = true; /* who left may go once a quorum holds this durably (P-22) */
    tablet_dirty(t);
    if (t->leading && t->ts->conf.on_change)
        t->ts->conf.on_change(t->ts->conf.ctx, t->id);
}

/* P-22: the log forgets it first, then the file goes; a crash between the two leaves a file that is not let in again. */
static void removed_main(void *arg) {
    struct tablet *t = arg;
    struct tablets *ts = t->ts;
    struct err err = {0};
    enum rc rc = replica_remove(ts->rs, t->id, &err);
    if (rc) {
        diag_tablet(&ts->env->diag, DIAG_WARN, t->id, "tablet: removal failed", "reason=\"%s\"", err_message(&err));
        return;
    }
    t->rep = NULL;
    tablet_half_drop(t);
    tablet_drain(t);
    tablet_unindex(t);
    tablet_upper_close(t);
    mvcc_close(t->m);
    t->m = NULL;
    rc = mvcc_remove(ts->conf.store, t->path, &err);
    if (rc)
        diag_tablet(&ts->env->diag, DIAG_WARN, t->id, "tablet: its file stays", "reason=\"%s\"", err_message(&err));
    diag_tablet(&ts->env->diag, DIAG_INFO, t->id, "tablet: replica removed", "replica=%llu",
                (unsigned long long)t->replica_id);
    tablet_free(t);
}

static void sm_removed(void *sm) {
    struct tablet *t = sm;
    if (t->removed)
        return;
    t->removed = true;
    sm_lead_end(t, NULL);
    /* Without a fiber now the file stays until the next start, which does not let it in. */
    IGNORE(fiber_spawn(t->ts->reactor, &t->ts->fibers, FIBER_LARGE, "tablet removal", removed_main, t));
}

const struct replica_sm_ops tablet_sm_ops = {
    .apply = sm_apply,
    .gate = sm_gate,
    .reload = sm_reload,
    .on_lead_begin = sm_lead_begin,
    .on_lead_end = sm_lead_end,
    .on_config = sm_config,
    .on_removed = sm_removed,
    .image_open = tablet_image_open,
    .image_read = tablet_image_read,
    .image_close = tablet_image_close,
    .load_begin = tablet_load_begin,
    .load_write = tablet_load_write,
    .load_end = tablet_load_end,
};
