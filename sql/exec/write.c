/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.c: row images: of the table and of the indexes that are tables of their own; and what speaks against them.
 *
 * An index's row has the columns of its store, which are the table's, by column id. A unique index whose key is its parts
 * alone keeps out a second row by TXN_INSERT; it has no row where a part is NULL, since NULLs are not equal (unless NULLS NOT
 * DISTINCT). Deletions of a statement go before its insertions, so that values may move from row to row.
 */
#include <string.h>

#include "sql/exec/exec_internal.h"

/* Where a write comes from: what to say if its row exists. */
struct write_origin {
    const struct cat_index *index; /* NULL: the table itself */
    const struct value *row;       /* the table's */
};

static enum rc nomem(struct err *err) {
    return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void about(struct err *err, const struct cat_table *t) {
    err_about(err, ERR_SCHEMA, t->schema_name);
    err_about(err, ERR_TABLE, t->name);
}

static void print_value(struct exec *e, const struct col *c, const struct value *v, size_t max, struct buf *to) {
    struct type_session s = {.zone = zone_fixed(&e->row_arena, "GMT", 0)};
    struct buf one;
    if (v->kind == VALUE_NULL) {
        buf_puts(to, "null");
        return;
    }
    buf_init(&one, 0);
    if (s.zone && type_print(&s, c, v, &one, NULL) == RC_OK) {
        size_t n = one.len;
        bool cut = max && n > max;
        if (cut)
            for (n = max; n > 0 && (one.data[n] & 0xc0) == 0x80;)
                n--;
        buf_put(to, one.data, n);
        if (cut)
            buf_puts(to, "...");
    }
    buf_done(&one);
}

/* "Failing row contains (1, null)." */
static void detail_row(struct exec *e, const struct cat_table *t, const struct value *row, struct err *err) {
    struct buf b;
    const char *between = "";
    buf_init(&b, ERR_DETAIL_BYTES * 4);
    for (uint16_t i = 0; i < t->columns; i++) {
        if (t->column[i].dropped || t->column[i].hidden)
            continue;
        buf_puts(&b, between);
        print_value(e, &t->column[i].type, &row[i], 64, &b);
        between = ", ";
    }
    const char *text = buf_cstr(&b);
    err_detail(err, "Failing row contains (%s).", text ? text : "...");
    buf_done(&b);
}

static enum rc exists(struct exec *e, const struct cat_table *t, const struct write_origin *o, struct err *err) {
    const struct cat_index *x = o->index;
    const struct cat_part *part = x ? x->part : t->key;
    uint16_t n = x ? x->parts : t->keys;
    const char *name = x ? x->name : t->key_name ? t->key_name : t->name;
    struct buf cols, vals;
    buf_init(&cols, 0);
    buf_init(&vals, 0);
    err_clear(err);
    (void)err_sql(err, "23505", "duplicate key value violates unique constraint \"%s\"", name);
    for (uint16_t i = 0; i < n; i++) {
        const struct cat_column *k = &t->column[part[i].col];
        buf_printf(&cols, "%s%s", i ? ", " : "", k->hidden && k->generated_sql ? k->generated_sql : k->name);
        buf_puts(&vals, i ? ", " : "");
        print_value(e, &t->column[part[i].col].type, &o->row[part[i].col], 0, &vals);
    }
    const char *c = buf_cstr(&cols), *v = buf_cstr(&vals);
    err_detail(err, "Key (%s)=(%s) already exists.", c ? c : "", v ? v : "");
    about(err, t);
    err_about(err, ERR_CONSTRAINT, name);
    buf_done(&cols);
    buf_done(&vals);
    return RC_SQL;
}

enum rc write_check(struct exec *e, const struct dml *d, const struct value *new, struct err *err) {
    const struct cat_table *t = d->table;
    struct row_values row = {.new = new};
    for (uint16_t i = 0; i < t->columns; i++) {
        const struct cat_column *c = &t->column[i];
        if (c->not_null && !c->dropped && new[i].kind == VALUE_NULL) {
            (void)err_sql(err, "23502", "null value in column \"%s\" of relation \"%s\" violates not-null constraint",
                          c->name, t->name);
            detail_row(e, t, new, err);
            about(err, t);
            err_about(err, ERR_COLUMN, c->name);
            return RC_SQL;
        }
        enum rc rc = col_check(&c->type, &new[i], err);
        if (rc)
            return rc;
    }
    for (uint32_t i = 0; i < d->rules; i++) {
        struct value ok;
        if (d->rule[i].index || d->rule[i].computes)
            continue;
        enum rc rc = exec_run_prog(e, d->rule[i].prog, &row, &ok, err);
        if (rc)
            return rc;
        if (ok.kind == VALUE_INT && ok.i == 0) {
            (void)err_sql(err, "23514", "new row for relation \"%s\" violates check constraint \"%s\"", t->name,
                          d->rule[i].name);
            detail_row(e, t, new, err);
            about(err, t);
            err_about(err, ERR_CONSTRAINT, d->rule[i].name);
            return RC_SQL;
        }
    }
    return RC_OK;
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

static int column_by_id(const struct cat_table *t, uint32_t id) {
    for (uint16_t i = 0; i < t->columns; i++)
        if (t->column[i].id == id)
            return i;
    return -1;
}

static enum rc in_index(struct exec *e, const struct dml *d, const struct cat_index *x, const struct value *row,
                        bool *ret, struct err *err) {
    struct row_values values = {.new = row};
    *ret = true;
    for (uint16_t i = 0; x->unique && !x->nulls_not_distinct && x->store->n_key == x->parts && i < x->parts; i++)
        if (row[x->part[i].col].kind == VALUE_NULL)
            *ret = false;
    for (uint32_t i = 0; i < d->rules && *ret; i++) {
        struct value ok;
        if (d->rule[i].index != x || d->rule[i].computes)
            continue;
        enum rc rc = exec_run_prog(e, d->rule[i].prog, &values, &ok, err);
        if (rc)
            return rc;
        *ret = ok.kind == VALUE_INT && ok.i != 0;
    }
    return RC_OK;
}

enum rc write_index_row(struct exec *e, const struct dml *d, const struct cat_index *x, const struct value *row,
                        struct value **ret, bool *ret_there, struct err *err) {
    const struct table *s = x->store;
    enum rc rc = in_index(e, d, x, row, ret_there, err);
    if (rc || !*ret_there)
        return rc;
    struct value *v = arena_array(e->images, s->n_cols, sizeof *v);
    if (!v)
        return nomem(err);
    for (uint16_t i = 0; i < s->n_cols; i++) {
        int c = column_by_id(d->table, s->cols[i].id);
        v[i] = c < 0 ? value_null() : row[c];
    }
    *ret = v;
    return RC_OK;
}

static enum rc key_of_row(struct exec *e, const struct table *t, const struct value *row, struct value **ret,
                          struct err *err) {
    struct value *v = arena_array(e->images, t->n_key, sizeof *v);
    if (!v)
        return nomem(err);
    for (uint16_t i = 0; i < t->n_key; i++)
        v[i] = row[t->key[i].col];
    *ret = v;
    return RC_OK;
}

static bool same_key(const struct table *t, const struct value *a, const struct value *b) {
    for (uint16_t i = 0; i < t->n_key; i++)
        if (!value_same(&a[t->key[i].col], &b[t->key[i].col]))
            return false;
    return true;
}

static bool same_row(const struct table *t, const struct value *a, const struct value *b) {
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (!value_same(&a[i], &b[i]))
            return false;
    return true;
}

static enum rc add(struct writes *w, enum txn_write_kind kind, const struct table *t, const struct value *v, uint16_t n,
                   const struct cat_index *x, const struct value *row, struct err *err) {
    if (w->n == w->max) {
        size_t max = w->max ? w->max * 2 : 8;
        struct txn_write *more = arena_array(w->e->images, max, sizeof *more);
        struct write_origin *from = arena_array(w->e->images, max, sizeof *from);
        if (!more || !from)
            return nomem(err);
        if (w->n) {
            memcpy(more, w->w, w->n * sizeof *more);
            memcpy(from, w->origin, w->n * sizeof *from);
        }
        w->w = more;
        w->origin = from;
        w->max = max;
    }
    w->w[w->n] = (struct txn_write){.kind = kind, .table = t, .values = v, .n = n};
    w->origin[w->n++] = (struct write_origin){x, row};
    return RC_OK;
}

static enum rc add_delete(struct writes *w, const struct table *t, const struct value *row, const struct cat_index *x,
                          struct err *err) {
    struct value *key = NULL;
    enum rc rc = key_of_row(w->e, t, row, &key, err);
    return rc ? rc : add(w, TXN_DELETE, t, key, t->n_key, x, row, err);
}

/* An index whose key is its parts alone holds one row for each. */
static enum txn_write_kind index_write(const struct writes *w, const struct cat_index *x) {
    if (env_mutant(w->e->env->store->env, "SQL-2: nobody looks whether a key is taken"))
        return TXN_PUT;
    return x->unique && x->store->n_key == x->parts ? TXN_INSERT : TXN_PUT;
}

static enum rc add_index(struct writes *w, const struct cat_index *x, const struct value *old, const struct value *new,
                         struct err *err) {
    struct value *was = NULL, *is = NULL;
    bool had = false, has = false;
    enum rc rc = old ? write_index_row(w->e, w->dml, x, old, &was, &had, err) : RC_OK;
    if (!rc && new && x->state >= CAT_WRITE_ONLY)
        rc = write_index_row(w->e, w->dml, x, new, &is, &has, err);
    if (rc)
        return rc;
    bool stays = had && has && same_key(x->store, was, is);
    if (stays && same_row(x->store, was, is))
        return RC_OK;
    if (had && !stays)
        rc = add_delete(w, x->store, was, x, err);
    if (!rc && has)
        rc = add(w, stays ? TXN_PUT : index_write(w, x), x->store, is, x->store->n_cols, x, new, err);
    return rc;
}

enum rc writes_add(struct writes *w, const struct value *old, const struct value *new, struct err *err) {
    const struct cat_table *t = w->dml->table;
    const struct table *s = t->store;
    const struct exec_watch *watch = &w->e->env->watch;
    bool stays = old && new &&same_key(s, old, new);
    enum rc rc = watch->row ? watch->row(watch->ctx, t, old, new, err) : RC_OK;
    if (!rc && old && !stays)
        rc = add_delete(w, s, old, NULL, err);
    if (!rc && new)
        rc = add(w, stays ? TXN_PUT : TXN_INSERT, s, new, s->n_cols, NULL, new, err);
    for (uint16_t i = 0; i < t->indexes && !rc; i++) {
        const struct cat_index *x = &t->index[i];
        if (x->kind == CAT_INDEX_GLOBAL && x->store && x->state != CAT_ABSENT &&
            !(old && new &&env_mutant(w->e->env->store->env, "SQL-1: an update leaves the indexes as they were")))
            rc = add_index(w, x, old, new, err);
    }
    return rc;
}

/* Deletions first. */
static enum rc sorted(struct writes *w, struct err *err) {
    size_t deletes = 0, at = 0, rest;
    for (size_t i = 0; i < w->n; i++)
        deletes += w->w[i].kind == TXN_DELETE;
    if (deletes == 0 || deletes == w->n)
        return RC_OK;
    struct txn_write *to = arena_array(w->e->images, w->n, sizeof *to);
    struct write_origin *from = arena_array(w->e->images, w->n, sizeof *from);
    if (!to || !from)
        return nomem(err);
    rest = deletes;
    for (size_t i = 0; i < w->n; i++) {
        size_t k = w->w[i].kind == TXN_DELETE ? at++ : rest++;
        to[k] = w->w[i];
        from[k] = w->origin[i];
    }
    w->w = to;
    w->origin = from;
    return RC_OK;
}

enum rc writes_send(struct writes *w, bool commit, struct err *err) {
    size_t conflict = 0;
    struct exec *e = w->e;
    enum rc rc = sorted(w, err);
    if (rc || w->n == 0)
        return rc;
    if (commit)
        rc = txn_write_commit(e->env->txn, w->w, w->n, &conflict, &e->commit_ts, err);
    else
        rc = txn_write(e->env->txn, w->w, w->n, &conflict, err);
    if (rc == RC_EXISTS && conflict < w->n)
        return exists(e, w->dml->table, &w->origin[conflict], err);
    e->committed = e->committed || (!rc && commit);
    *w = (struct writes){.e = e, .dml = w->dml};
    if (e->images == &e->batch)
        arena_reset(&e->batch);
    return rc;
}
