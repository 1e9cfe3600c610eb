/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dml.c: statements that write. Rows come from the plan's read, become images here, and go out in batches; the last batch
 * commits with it where nothing follows.
 *
 * A scan must not meet what the statement has written. UPDATE and DELETE of one table read a chunk of rows in the order of the key,
 * write it, and go on behind it; if rows may move, or come out of a join, all of them are read before the first write. So does an
 * INSERT from the table that it goes to; others stream.
 */
#include <string.h>

#include "sql/exec/exec_internal.h"

/* A row that RETURNING is to show, kept until it is asked for. */
struct shown {
    struct shown *next;
    struct value *v;
};

struct dml_run {
    struct writes writes;
    struct shown *first, **last;
    struct value *read_row; /* of the table: the row before */
    struct map seen;        /* keys of rows that were changed: each once */
    uint32_t pending;
    /* Keys that nobody declared: those of rows that go out together are neighbours, batches lie anywhere. */
    uint64_t place[2];
    uint32_t placed;
};

struct seen_row {
    struct map_node node;
    size_t n;
    uint8_t key[];
};

static enum rc nomem(struct err *err) {
    return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
}

/* ---- RETURNING --------------------------------------------------------------------------------------------------- */

static enum rc show(struct exec *e, const struct value *new, const struct value *read, struct err *err) {
    const struct dml *d = e->write;
    struct row_values row = {.new = new, .read = read};
    if (d->returnings == 0)
        return RC_OK;
    struct shown *s = arena_new(&e->arena, struct shown);
    struct value *v = arena_array(&e->row_arena, d->returnings, sizeof *v);
    if (!s || !v)
        return nomem(err);
    for (uint32_t i = 0; i < d->returnings; i++) {
        enum rc rc = exec_run_prog(e, d->returning[i], &row, &v[i], err);
        if (rc)
            return rc;
    }
    enum rc rc = exec_keep(e, v, d->returnings, &s->v, err);
    if (rc)
        return rc;
    *e->dml->last = s;
    e->dml->last = &s->next;
    return RC_OK;
}

/* ---- a row ------------------------------------------------------------------------------------------------------- */

static enum rc hidden_key(struct exec *e, struct value *ret, struct err *err) {
    struct dml_run *x = e->dml;
    uint8_t *p = arena_alloc(&e->row_arena, 16);
    if (!p)
        return nomem(err);
    if (x->placed == 0) {
        x->place[0] = e->fn.random(e->fn.ctx);
        x->place[1] = e->fn.random(e->fn.ctx);
    }
    set_u64be(p, x->place[0]);
    set_u64be(p + 8, (x->place[1] & ~(uint64_t)UINT32_MAX) | x->placed++);
    *ret = value_blob(p, 16);
    return RC_OK;
}

/* The image of set over the row before (NULL: there is none), kept in the run's arena. */
static enum rc image(struct exec *e, const struct set_col *set, const struct value *old, const struct value *read,
                     const struct value *excluded, struct value **ret, struct err *err) {
    const struct cat_table *t = e->write->table;
    struct row_values row = {.read = read, .excluded = excluded};
    struct value *v = arena_array(&e->row_arena, t->columns + 1u, sizeof *v);
    if (!v)
        return nomem(err);
    for (uint16_t i = 0; i < t->columns; i++) {
        enum rc rc = RC_OK;
        if (t->column[i].dropped)
            v[i] = value_null();
        else if (t->column[i].hidden && !t->column[i].generated_sql && !old && e->write->kind == QUERY_INSERT &&
                 e->fn.random)
            rc = hidden_key(e, &v[i], err);
        else if (set[i].from == SET_READ)
            v[i] = read[set[i].place];
        else if (set[i].from == SET_PROG)
            rc = exec_run_prog(e, set[i].prog, &row, &v[i], err);
        else
            v[i] = set[i].from == SET_KEEP && old ? old[i] : value_null();
        if (rc)
            return rc;
    }
    struct row_values made = {.new = v};
    for (uint32_t i = 0; i < e->write->rules; i++) {
        const struct dml_rule *r = &e->write->rule[i];
        enum rc rc = r->computes ? exec_run_prog(e, r->prog, &made, &v[r->col], err) : RC_OK;
        if (rc)
            return rc;
    }
    return exec_keep_image(e, v, t->columns, ret, err);
}

static enum rc flush(struct exec *e, bool end, struct err *err) {
    struct dml_run *x = e->dml;
    x->pending = x->placed = 0;
    return writes_send(&x->writes, end && e->env->last && !e->part_of, err);
}

/* False: this row was changed before by this statement. */
static enum rc first_time(struct exec *e, const struct value *row, bool *ret, struct err *err) {
    const struct table *t = e->write->table->store;
    struct value key[TABLE_KEY_MAX];
    struct buf b;
    *ret = true;
    for (uint16_t i = 0; i < t->n_key; i++)
        key[i] = row[t->key[i].col];
    buf_init(&b, 0);
    enum rc rc = table_key_put(&b, t, key, t->n_key, err);
    uint64_t hash = hash_bytes(b.data, b.len, 0);
    struct map *m = &e->dml->seen;
    for (struct map_node *n = rc ? NULL : map_first(m, hash); n; n = map_next(n)) {
        struct seen_row *s = container_of(n, struct seen_row, node);
        if (s->n == b.len && memcmp(s->key, b.data, b.len) == 0)
            *ret = false;
    }
    if (!rc && *ret) {
        struct seen_row *s = arena_alloc(&e->arena, sizeof *s + b.len);
        if (s) {
            s->n = b.len;
            memcpy(s->key, b.data, b.len);
            map_put(m, &s->node, hash);
        } else {
            rc = nomem(err);
        }
    }
    buf_done(&b);
    return rc;
}

/* ---- UPDATE, DELETE ---------------------------------------------------------------------------------------------- */

static enum rc change(struct exec *e, const struct value *read, struct err *err) {
    const struct dml *d = e->write;
    struct dml_run *x = e->dml;
    struct value *old = NULL, *new = NULL;
    bool first = true;
    /* One table's rows come once each; a join may bring a row several times. */
    enum rc rc = d->read.sources > 1 || d->read.only_final ? first_time(e, read, &first, err) : RC_OK;
    if (rc || !first)
        return rc;
    rc = exec_keep_image(e, read, d->read.columns, &old, err);
    if (!rc && d->kind == QUERY_UPDATE) {
        rc = image(e, d->set, old, old, NULL, &new, err);
        if (!rc)
            rc = write_check(e, d, new, err);
    }
    if (!rc)
        rc = show(e, new, old, err);
    if (!rc)
        rc = writes_add(&x->writes, old, new, err);
    e->affected += !rc;
    return rc;
}

/* ---- INSERT ------------------------------------------------------------------------------------------------------ */

/* The row that a fragment finds by a key, kept; *ret NULL: there is none. Its key is locked from now on. */
static enum rc find_row(struct exec *e, const struct fragment *f, const struct table *t, const struct value *key,
                        uint16_t n, struct value **ret, uint16_t *ret_n, struct err *err) {
    struct text text = {.fragment = *f};
    struct txn_table table = {t->id, t->version};
    struct span span;
    struct feed feed = {0};
    const struct value *row = NULL;
    enum rc rc = span_of_row(&e->arena, t, key, n, &span, err);
    struct txn_scan_conf how = {.fragment = f,
                                .params = key,
                                .tables = &table,
                                .n_tables = 1,
                                .spans = &span,
                                .n_spans = 1,
                                .lock = LOCK_EXCLUSIVE,
                                .locked = true};
    *ret = NULL;
    if (!rc)
        rc = feed_open(&feed, e, &how, &text, err);
    if (feed.note)
        feed.note = NULL; /* text is not the plan's */
    if (!rc)
        rc = feed_next(&feed, e, &row, err);
    if (!rc && row) {
        *ret_n = feed.columns;
        rc = exec_keep(e, row, feed.columns, ret, err);
    }
    feed_close(&feed);
    return rc;
}

static enum rc key_values(const struct table *t, const struct value *row, struct value *ret) {
    for (uint16_t i = 0; i < t->n_key; i++)
        ret[i] = row[t->key[i].col];
    return RC_OK;
}

/* The row of the table that stands in the way of `new` in an index (NULL: the primary key). */
static enum rc find_conflict(struct exec *e, const struct cat_index *x, const struct value *new, struct value **ret,
                             struct err *err) {
    const struct dml *d = e->write;
    const struct table *t = d->table->store;
    struct value key[TABLE_KEY_MAX], *found = NULL, *image_of = NULL;
    bool there = true;
    uint16_t n = 0;
    *ret = NULL;
    if (!x) {
        (void)key_values(t, new, key);
        return find_row(e, &d->by_key, t, key, t->n_key, ret, &n, err);
    }
    enum rc rc = write_index_row(e, d, x, new, &image_of, &there, err);
    for (uint16_t i = 0; i < x->parts && !rc && there; i++)
        if (new[x->part[i].col].kind == VALUE_NULL && !x->nulls_not_distinct)
            there = false;
    if (rc || !there)
        return rc;
    for (uint16_t i = 0; i < x->parts; i++)
        key[i] = new[x->part[i].col];
    rc = find_row(e, &d->by_index[x - d->table->index], x->store, key, x->parts, &found, &n, err);
    if (rc || !found)
        return rc;
    return find_row(e, &d->by_key, t, found, t->n_key, ret, &n, err);
}

/* Any of the unique constraints. */
static enum rc find_any_conflict(struct exec *e, const struct value *new, struct value **ret, struct err *err) {
    const struct cat_table *t = e->write->table;
    enum rc rc = find_conflict(e, NULL, new, ret, err);
    for (uint16_t i = 0; i < t->indexes && !rc && !*ret; i++)
        if (t->index[i].unique && t->index[i].kind == CAT_INDEX_GLOBAL && t->index[i].store)
            rc = find_conflict(e, &t->index[i], new, ret, err);
    return rc;
}

static enum rc update_instead(struct exec *e, const struct value *old, const struct value *excluded, struct err *err) {
    const struct dml *d = e->write;
    const struct dml_conflict *c = d->conflict;
    struct row_values row = {.read = old, .excluded = excluded};
    struct value *new = NULL;
    bool first = true;
    enum rc rc = first_time(e, old, &first, err);
    if (!rc && !first) {
        (void)err_sql(err, "21000", "ON CONFLICT DO UPDATE command cannot affect row a second time");
        err_hint(err, "Ensure that no rows proposed for insertion within the same command have duplicate constrained "
                      "values.");
        return RC_SQL;
    }
    if (!rc && c->where) {
        struct value yes;
        rc = exec_run_prog(e, c->where, &row, &yes, err);
        if (rc || yes.kind != VALUE_INT || yes.i == 0)
            return rc;
    }
    if (!rc)
        rc = image(e, c->set, old, old, excluded, &new, err);
    if (!rc)
        rc = write_check(e, d, new, err);
    if (!rc)
        rc = show(e, new, old, err);
    if (!rc)
        rc = writes_add(&e->dml->writes, old, new, err);
    e->affected += !rc;
    return rc;
}

/* ON CONFLICT looks before it writes: what was written before has been sent. */
static enum rc insert_or(struct exec *e, struct value *new, bool *ret_done, struct err *err) {
    const struct dml_conflict *c = e->write->conflict;
    struct value *old = NULL;
    bool first;
    *ret_done = false;
    if (!c)
        return RC_OK;
    enum rc rc = c->any ? find_any_conflict(e, new, &old, err) : find_conflict(e, c->index, new, &old, err);
    if (rc || !old)
        return rc ? rc : first_time(e, new, &first, err);
    *ret_done = true;
    return c->update ? update_instead(e, old, new, err) : RC_OK;
}

static enum rc insert(struct exec *e, const struct value *read, struct err *err) {
    const struct dml *d = e->write;
    struct dml_run *x = e->dml;
    struct value *new = NULL;
    bool done = false;
    enum rc rc = d->conflict && x->writes.n > 0 ? flush(e, false, err) : RC_OK;
    if (!rc)
        rc = image(e, d->set, NULL, read, NULL, &new, err);
    if (!rc)
        rc = write_check(e, d, new, err);
    if (!rc)
        rc = insert_or(e, new, &done, err);
    if (rc || done)
        return rc;
    rc = show(e, new, NULL, err);
    if (!rc)
        rc = writes_add(&x->writes, NULL, new, err);
    e->affected += !rc;
    x->pending++;
    if (!rc && !d->reads_itself && (x->pending > EXEC_WRITE_ROWS || e->batch.bytes > EXEC_WRITE_BYTES))
        rc = flush(e, false, err);
    return rc;
}

/* ---- a statement ------------------------------------------------------------------------------------------------- */

enum rc dml_run(struct exec *e, struct err *err) {
    const struct dml *d = e->write;
    struct dml_run *x = arena_new(&e->arena, struct dml_run);
    if (!x)
        return nomem(err);
    e->dml = x;
    x->writes = (struct writes){.e = e, .dml = d};
    x->last = &x->first;
    map_init(&x->seen);
    /* Rows that do not move can be written while those behind them are still to be read. */
    uint64_t chunk = e->env->chunk_rows ? e->env->chunk_rows : EXEC_CHUNK_ROWS;
    bool chunks = d->kind != QUERY_INSERT && d->read.spread.after.sql && !d->key_changes;
    if ((d->kind == QUERY_INSERT && !d->reads_itself) || chunks)
        e->images = &e->batch;
    enum rc rc = read_open(&e->read, e, &d->read, chunks ? chunk : 0, err);
    while (!rc) {
        const struct value *row = NULL;
        bool more = false;
        rc = read_next(&e->read, &row, err);
        if (!rc && !row) {
            if (e->read.chunk > 0 && e->read.chunk_rows == e->read.chunk)
                rc = flush(e, false, err);
            if (!rc)
                rc = read_next_chunk(&e->read, &more, err);
            if (!rc && more)
                continue;
        }
        if (rc || !row)
            break;
        rc = d->kind == QUERY_INSERT ? insert(e, row, err) : change(e, row, err);
        arena_reset(&e->row_arena);
    }
    read_close(&e->read);
    if (!rc)
        rc = flush(e, true, err);
    map_done(&x->seen);
    if (!rc && e->env->watch.end && !e->part_of)
        rc = e->env->watch.end(e->env->watch.ctx, err);
    return rc;
}

enum rc dml_next(struct exec *e, const struct value **ret, struct err *err) {
    if (!e->dml) {
        enum rc rc = dml_run(e, err);
        if (rc)
            return rc;
    }
    struct shown *s = e->dml->first;
    *ret = s ? s->v : NULL;
    if (s)
        e->dml->first = s->next;
    return RC_OK;
}
