/* SPDX-License-Identifier: Apache-2.0 */
/* ddl_write.c: how changes reach the catalog and the tablets; rows moved from one table of keys to another. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/rowbatch.h"
#include "sql/run/ddl.h"
#include "sql/run/lanes.h"

enum {
    TRIES = 20,
    COPY_ROWS = 2000,
    COPY_BYTES = 1 << 20,
    COPY_LANES = 3,
    COPY_NOTICE_ROWS = 200000,
    ORPHANS_MAX = 10000
};

#define EARLY_NS INT64_C(30000000000)
#define OWN_LOCKS_NS INT64_C(300000000)
#define PLACE_NS INT64_C(10000000000)

enum rc ddl_begin(struct ddl *d, struct utility *u, const char *what, struct err *err) {
    struct sess *s = u->s;
    *d = (struct ddl){.u = u, .s = s, .a = &s->scratch};
    enum rc rc = sess_may_write(s, what, err);
    if (!rc)
        rc = sess_txn(s, NULL, err);
    if (!rc && s->reads_only_now)
        rc = err_sql(err, "25006", "cannot execute %s in a read-only transaction", what);
    if (!rc && !s->change) {
        rc = cat_change_begin(s->e->catalog, s->txn, &s->change, err);
        s->refreshed = !rc;
    }
    if (!rc) {
        counter_inc(&s->e->stats.ddl);
        s->path_version = 0;
        rc = sess_paths(s, err);
    }
    return rc;
}

struct cat_view ddl_view(struct ddl *d) {
    return sess_view(d->s);
}

int32_t ddl_at(const struct ddl *d, int32_t location) {
    return sess_position(d->u->script, location);
}

enum rc ddl_error(struct ddl *d, int32_t location, struct err *err, const char *state, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, RC_SQL, fmt, ap);
    va_end(ap);
    if (err) {
        err_state(err, state);
        if (location >= 0)
            err_position(err, ddl_at(d, location));
    }
    return RC_SQL;
}

/* ---- the catalog ------------------------------------------------------------------------------------------------------ */

enum rc ddl_put(struct ddl *d, const struct cat_object *o, struct err *err) {
    d->s->path_version = 0;
    return cat_change_put(d->s->change, o, err);
}

enum rc ddl_put_table(struct ddl *d, const struct cat_object *was, const struct cat_table *t, uint32_t schema,
                      struct err *err) {
    struct cat_object o = {.id = t->id,
                           .kind = CAT_OBJECT_TABLE,
                           .database = was ? was->database : d->s->database,
                           .schema = schema,
                           .owner = t->owner,
                           .comment = t->comment,
                           .table = t};
    snprintf(o.name, sizeof o.name, "%s", t->name);
    return ddl_put(d, &o, err);
}

enum rc ddl_drop_object(struct ddl *d, const struct cat_object *was, struct err *err) {
    struct cat_object o = *was;
    o.dropped = true;
    o.comment = NULL;
    if (o.kind == CAT_OBJECT_TABLE)
        o.table = NULL;
    return ddl_put(d, &o, err);
}

/* ---- tablets ------------------------------------------------------------------------------------------------------------- */

static enum rc schema_alone(struct sess *s, const struct table *t, bool drop, int64_t lock_wait_ns, struct err *err) {
    struct txn_options o = {.mode = TXN_READ_WRITE,
                            .deadline = reactor_deadline(s->e->reactor, EARLY_NS),
                            .lock_wait_ns = lock_wait_ns,
                            .label = drop ? "drop a table's rows" : "a new table"};
    struct txn *x = NULL;
    enum rc rc = txn_begin(s->e->conf.txns, &o, &x, err);
    for (int tries = 0; !rc; tries++) {
        rc = txn_schema(x, t, drop, err);
        if (!rc)
            rc = txn_commit(x, NULL, err);
        if (!rc || rc_retry(rc) != RETRY_YES || tries == TRIES || sess_pause(s, tries))
            break;
        rc = txn_restart(x, err);
    }
    txn_free(x);
    return rc;
}

enum rc ddl_make_store(struct ddl *d, const struct table *t, bool early, struct err *err) {
    struct sess *s = d->s;
    if (!early && !sess_in_block(s) && s->final)
        return txn_schema(s->txn, t, false, err);
    if (s->orphans == s->orphan_cap) {
        size_t cap = s->orphan_cap ? s->orphan_cap * 2 : 4;
        struct table **grown = cap <= ORPHANS_MAX ? realloc(s->orphan, cap * sizeof(struct table *)) : NULL;
        if (!grown)
            return ddl_nomem(err);
        s->orphan = grown;
        s->orphan_cap = cap;
    }
    enum rc rc = schema_alone(s, t, false, 0, err);
    if (!rc)
        s->orphan[s->orphans++] = table_ref((struct table *)(uintptr_t)t);
    return rc;
}

enum rc ddl_place(struct ddl *d, const char *placement, const struct table *store, struct err *err) {
    struct node_store *s = d->s->e->conf.store;
    if (!placement || !placement[0] || store->group != store->id) /* an interleaved table lies where its parent does */
        return RC_OK;
    int64_t deadline = d->s->deadline == DEADLINE_NONE ? reactor_deadline(s->reactor, PLACE_NS) : d->s->deadline;
    enum rc rc = node_place_group(s, store->group, placement, deadline, err);
    if (rc != RC_NOTFOUND)
        return rc;
    rc = err_sql(err, "42704", "placement \"%.63s\" does not exist", placement);
    if (err)
        err_hint(err, "Make it: SELECT meridian.set_placement(NAME, REGIONS, LEADERS, VOTERS).");
    return rc;
}

enum rc ddl_change_store(struct ddl *d, const struct table *t, bool drop, struct err *err) {
    struct sess *s = d->s;
    if (drop || !ddl_is_new_store(s, t->id))
        return txn_schema(s->txn, t, drop, err);
    /* Nobody else knows the table: it changes at once, unless this very transaction has rows in it. */
    struct err why = {0};
    enum rc rc = schema_alone(s, t, false, OWN_LOCKS_NS, &why);
    if (rc == RC_TIMEOUT || rc == RC_ABORTED)
        return err_set(
            err, RC_UNSUPPORTED,
            "a table that was made in this transaction and has rows of it cannot be changed before the commit");
    if (rc && err)
        *err = why;
    return rc;
}

void ddl_drop_orphan(struct sess *s, const struct table *t) {
    struct err err;
    if (schema_alone(s, t, true, 0, &err))
        diag_warn(&s->e->env->diag, "sql", "table=%" PRIu64 " of a failed transaction was not dropped: %s", t->id,
                  err_message(&err));
}

/* Whoever reads the past between the two moments would find a table, or an index, that is half full. */
static enum rc confirm_store(struct sess *s, const struct table *t, struct err *err) {
    return t && ddl_is_new_store(s, t->id) ? txn_schema(s->txn, t, false, err) : RC_OK;
}

static enum rc confirm_table(struct sess *s, const struct cat_table *t, struct err *err) {
    enum rc rc = confirm_store(s, t->store, err);
    for (uint16_t i = 0; i < t->indexes && !rc; i++)
        if (t->index[i].kind == CAT_INDEX_GLOBAL)
            rc = confirm_store(s, t->index[i].store, err);
    return rc;
}

enum rc ddl_confirm(struct sess *s, struct err *err) {
    enum rc rc = RC_OK;
    if (s->orphans == 0 || !s->change || env_mutant(s->e->env, "INV-H1: a table counts as made when its rows are"))
        return RC_OK;
    for (size_t i = 0; i < cat_change_size(s->change) && !rc; i++) {
        struct cat_view v = sess_view(s);
        const struct cat_object *o = cat_change_at(s->change, i);
        if (o->kind != CAT_OBJECT_TABLE || o->dropped || cat_view_get(&v, o->id) != o)
            continue;
        const struct cat_table *t = cat_table_ref(o->table);
        rc = confirm_table(s, t, err);
        cat_table_unref(t);
    }
    return rc;
}

bool ddl_is_new_store(const struct sess *s, uint64_t id) {
    for (size_t i = 0; i < s->orphans; i++)
        if (s->orphan[i]->id == id)
            return true;
    return false;
}

enum rc ddl_table_span(struct arena *a, const struct table *t, struct span *ret, struct err *err) {
    struct buf b;
    buf_init(&b, 0);
    enum rc rc = table_key_put(&b, t, NULL, 0, err);
    if (!rc)
        rc = span_prefix(a, key_of_buf(&b), ret);
    if (!rc)
        rc = span_copy(a, *ret, ret);
    buf_done(&b);
    return rc;
}

/* ---- dropping ---------------------------------------------------------------------------------------------------------------- */

static enum rc drop_stores(struct ddl *d, const struct cat_table *t, struct err *err) {
    enum rc rc = t->store ? ddl_change_store(d, t->store, true, err) : RC_OK;
    for (uint16_t i = 0; i < t->indexes && !rc; i++)
        if (t->index[i].kind == CAT_INDEX_GLOBAL)
            rc = ddl_change_store(d, t->index[i].store, true, err);
    return rc;
}

static enum rc drop_sequences(struct ddl *d, uint32_t table, struct err *err) {
    struct cat_view v = ddl_view(d);
    struct cat_list l;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_SEQUENCE, 0, &l, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < l.n && !rc; i++)
        if (l.v[i]->sequence.owner_table == table)
            rc = ddl_drop_object(d, l.v[i], err);
    cat_list_done(&l);
    return rc;
}

enum rc ddl_drop_table(struct ddl *d, uint32_t id, struct err *err) {
    struct cat_view v = ddl_view(d);
    const struct cat_object *o = cat_view_get(&v, id);
    if (!o || o->kind != CAT_OBJECT_TABLE)
        return err_set(err, RC_INTERNAL, "table %u is gone", id);
    const struct cat_table *t = cat_table_ref(o->table);
    enum rc rc = t->kind == CAT_VIEW ? ddl_forget_view(d, t, err) : RC_OK;
    o = cat_view_get(&v, id);
    if (!rc)
        rc = ddl_drop_object(d, o, err);
    if (!rc)
        rc = drop_stores(d, t, err);
    if (!rc)
        rc = drop_sequences(d, id, err);
    cat_table_unref(t);
    return rc;
}

/* ---- moving rows --------------------------------------------------------------------------------------------------------------- */

/* Rows on their way. */
struct chunk {
    struct mover *m;
    struct arena a;
    struct value *row; /* COPY_ROWS * to->n_cols */
    struct txn_write *write;
    size_t rows;
};

struct mover {
    struct ddl *d;
    bool inside; /* in a block: it may have rows of its own, which only its own transaction sees */
    const struct ddl_copy *c;
    struct chunk chunk[COPY_LANES], *now;
    struct lanes lanes;
    uint64_t total, told;
};

static enum rc write_alone(struct chunk *k, size_t *ret_conflict, struct err *err) {
    struct sess *s = k->m->d->s;
    struct txn_options o = {.mode = TXN_READ_WRITE, .deadline = s->deadline, .label = "backfill"};
    struct txn *t = NULL;
    enum rc rc = txn_begin(s->e->conf.txns, &o, &t, err);
    for (int tries = 0; !rc; tries++) {
        rc = txn_write_commit(t, k->write, k->rows, ret_conflict, NULL, err);
        if (!rc || rc_retry(rc) != RETRY_YES || tries == TRIES || sess_pause(s, tries))
            break;
        rc = txn_restart(t, err);
    }
    txn_free(t);
    return rc;
}

static enum rc chunk_write(void *ctx, struct err *err) {
    struct chunk *k = ctx;
    struct mover *m = k->m;
    size_t conflict = 0;
    enum rc rc =
        m->inside ? txn_write(m->d->s->txn, k->write, k->rows, &conflict, err) : write_alone(k, &conflict, err);
    if (rc == RC_EXISTS && m->c->duplicate)
        rc = m->c->duplicate(m->c->ctx, k->write[conflict].values, err);
    m->total += rc ? 0 : k->rows;
    return rc;
}

static enum rc mover_next(struct mover *m, struct err *err) {
    size_t i;
    m->now = NULL;
    enum rc rc = lanes_take(&m->lanes, &i, err);
    if (rc)
        return rc;
    struct chunk *k = m->now = &m->chunk[i];
    k->rows = 0;
    arena_reset(&k->a);
    if (!k->row) {
        k->row = calloc((size_t)COPY_ROWS * m->c->to->n_cols, sizeof *k->row);
        k->write = calloc(COPY_ROWS, sizeof *k->write);
    }
    if (!k->row || !k->write)
        return ddl_nomem(err);
    if (m->total - m->told >= COPY_NOTICE_ROWS) {
        m->told = m->total;
        sess_notice(m->d->s, "NOTICE", "00000", "%s: %" PRIu64 " rows so far", m->c->what, m->total);
    }
    return RC_OK;
}

static enum rc mover_write(struct mover *m, struct err *err) {
    if (m->now->rows == 0)
        return RC_OK;
    lanes_start(&m->lanes, (size_t)(m->now - m->chunk), chunk_write, m->now);
    return mover_next(m, err);
}

static enum rc mover_row(struct mover *m, const struct value *from, struct err *err) {
    const struct ddl_copy *c = m->c;
    const struct table *to = c->to;
    struct chunk *k = m->now;
    struct value *row = &k->row[k->rows * to->n_cols];
    bool keep = true;
    enum rc rc = RC_OK;
    for (uint16_t i = 0; i < to->n_cols && !rc; i++) {
        if (c->column[i] >= 0)
            row[i] = from[c->column[i]];
        else if (c->fill_row)
            rc = c->fill_row(c->ctx, from, i, &k->a, &row[i], err);
        else
            rc = c->fill(c->ctx, i, &row[i]);
        if (rc && c->fill_row)
            return rc;
        if (!rc)
            rc = value_copy(&k->a, &row[i]);
    }
    if (rc)
        return err_set(err, rc, "out of memory for a row");
    if (c->check)
        rc = c->check(c->ctx, row, &keep, err);
    if (rc || !keep)
        return rc;
    k->write[k->rows] = (struct txn_write){.kind = TXN_INSERT, .table = to, .values = row, .n = to->n_cols};
    k->rows++;
    return k->rows == COPY_ROWS || k->a.bytes > COPY_BYTES ? mover_write(m, err) : RC_OK;
}

static enum rc mover_scan(struct mover *m, struct txn *t, struct err *err) {
    const struct table *from = m->c->from;
    struct txn_table version = {from->id, from->version};
    struct span span;
    struct buf sql;
    struct txn_scan *scan = NULL;
    struct value *v = arena_array(m->d->a, from->n_cols + 1u, sizeof *v);
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT ");
    for (uint16_t i = 0; i < from->n_cols; i++)
        buf_printf(&sql, "%sc%u", i ? ", " : "", from->cols[i].id);
    buf_printf(&sql, " FROM {%" PRIu64 "}", from->id);
    struct fragment f = {.sql = buf_cstr(&sql), .simple = true};
    enum rc rc = f.sql && v ? ddl_table_span(m->d->a, from, &span, err) : ddl_nomem(err);
    if (!rc) {
        struct txn_scan_conf how = {.fragment = &f, .tables = &version, .n_tables = 1, .spans = &span, .n_spans = 1};
        rc = txn_scan_open(t, &how, &scan, err);
    }
    while (!rc) {
        struct txn_batch batch;
        struct rowbatch_reader r;
        rc = txn_scan_next(scan, &batch, err);
        if (rc || batch.end)
            break;
        rc = rowbatch_open(&r, batch.rows.p, batch.rows.n, err);
        if (!rc && r.n_cols != from->n_cols)
            rc = err_set(err, RC_CORRUPT, "a row of %u columns", r.n_cols);
        while (!rc && !(rc = rowbatch_next(&r, v, err)))
            rc = mover_row(m, v, err);
        if (rc == RC_NOTFOUND)
            rc = RC_OK;
    }
    txn_scan_close(scan);
    buf_done(&sql);
    return rc ? rc : mover_write(m, err);
}

enum rc ddl_copy_rows(struct ddl *d, const struct ddl_copy *c, uint64_t *ret_rows, struct err *err) {
    struct sess *s = d->s;
    struct txn_options o = {.mode = TXN_READ_STRONG, .deadline = s->deadline, .label = "backfill"};
    struct mover m = {.d = d, .c = c, .inside = sess_in_block(s) || !s->final};
    struct txn *t = NULL;
    lanes_init(&m.lanes, s->e->reactor, m.inside ? 1 : COPY_LANES);
    for (size_t i = 0; i < COPY_LANES; i++) {
        m.chunk[i].m = &m;
        arena_init(&m.chunk[i].a, SESS_ARENA_BYTES_MAX);
    }
    enum rc rc = mover_next(&m, err);
    if (!rc && !m.inside)
        rc = txn_begin(s->e->conf.txns, &o, &t, err);
    if (!rc)
        rc = mover_scan(&m, m.inside ? s->txn : t, err);
    rc = lanes_end(&m.lanes, rc, err);
    txn_free(t);
    for (size_t i = 0; i < COPY_LANES; i++) {
        free(m.chunk[i].row);
        free(m.chunk[i].write);
        arena_done(&m.chunk[i].a);
    }
    if (!rc && ret_rows)
        *ret_rows = m.total;
    return rc;
}
