/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.c: descriptors: their checks and their copies.
 *
 * A descriptor is one block of memory: the struct with its count, then an arena that holds what it points to.
 */
#include "sql/catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

enum { IDENTITY_ALWAYS = 'a', IDENTITY_DEFAULT = 'd' };

struct counted {
    struct cat_table t; /* first */
    struct arena arena;
};

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static enum rc check_name(const char *name, const char *what, struct err *err) {
    if (!name || !*name || strlen(name) > CAT_NAME_BYTES_MAX)
        return err_set(err, RC_INVAL, "the name of a %s is empty or too long", what);
    return RC_OK;
}

static enum rc check_columns(const struct cat_table *t, struct err *err) {
    if (t->columns > TABLE_COLUMNS_MAX)
        return err_set(err, RC_INVAL, "%u columns", t->columns);
    for (uint16_t i = 0; i < t->columns; i++) {
        const struct cat_column *c = &t->column[i];
        enum rc rc = c->dropped ? RC_OK : check_name(c->name, "column", err);
        if (!rc)
            rc = col_valid(&c->type, err);
        if (!rc && (c->id == 0 || (c->identity && c->identity != IDENTITY_ALWAYS && c->identity != IDENTITY_DEFAULT) ||
                    (c->identity && !c->sequence)))
            rc = err_set(err, RC_INVAL, "column %u does not hold together", c->id);
        if (rc)
            return rc;
        for (uint16_t j = 0; j < i; j++) {
            const struct cat_column *d = &t->column[j];
            if (d->id == c->id || (!c->dropped && !d->dropped && strcmp(c->name, d->name) == 0))
                return err_set(err, RC_INVAL, "two columns with id %u or one name", c->id);
        }
    }
    return RC_OK;
}

static enum rc check_part(const struct cat_table *t, uint16_t col, struct err *err) {
    if (col >= t->columns || t->column[col].dropped)
        return err_set(err, RC_INVAL, "column %u of a key, an index or a constraint is not there", col);
    return RC_OK;
}

static enum rc check_index(const struct cat_table *t, const struct cat_index *x, struct err *err) {
    enum rc rc = check_name(x->name, "index", err);
    if (!rc && (x->id == 0 || x->parts == 0 || x->parts > TABLE_INDEX_COLUMNS_MAX ||
                x->includes > TABLE_INDEX_COLUMNS_MAX || x->kind > CAT_INDEX_GLOBAL || x->state > CAT_PUBLIC))
        rc = err_set(err, RC_INVAL, "index \"%s\" does not hold together", x->name);
    for (uint16_t i = 0; i < x->parts && !rc; i++)
        rc = check_part(t, x->part[i].col, err);
    for (uint16_t i = 0; i < x->includes && !rc; i++)
        rc = check_part(t, x->include[i], err);
    return rc;
}

static enum rc check_foreign_key(const struct cat_table *t, const struct cat_foreign_key *k, struct err *err) {
    enum rc rc = check_name(k->name, "constraint", err);
    if (!rc && (k->table == 0 || k->cols == 0 || k->cols > TABLE_KEY_MAX))
        rc = err_set(err, RC_INVAL, "foreign key \"%s\" does not hold together", k->name);
    for (uint16_t i = 0; i < k->cols && !rc; i++)
        rc = check_part(t, k->col[i], err);
    return rc;
}

/* What tablets know of the table must be what its users see. */
static enum rc check_store(const struct cat_table *t, struct err *err) {
    const struct table *s = t->store;
    if (!s)
        return t->kind == CAT_TABLE ? err_set(err, RC_INVAL, "a table without a store") : RC_OK;
    if (s->n_cols != t->columns || s->n_key != t->keys)
        return err_set(err, RC_INVAL, "the store has another number of columns");
    for (uint16_t i = 0; i < t->columns; i++)
        if (s->cols[i].id != t->column[i].id || s->cols[i].col.type != t->column[i].type.type)
            return err_set(err, RC_INVAL, "the store has another column %u", i);
    for (uint16_t i = 0; i < t->keys; i++)
        if (s->key[i].col != t->key[i].col || s->key[i].desc != t->key[i].desc)
            return err_set(err, RC_INVAL, "the store has another key");
    return RC_OK;
}

static enum rc check(const struct cat_table *t, struct err *err) {
    enum rc rc = check_name(t->name, "table", err);
    if (!rc)
        rc = check_name(t->schema_name, "schema", err);
    if (!rc && (t->id == 0 || t->schema == 0 || t->version == 0))
        rc = err_set(err, RC_INVAL, "table \"%s\" without an id, a schema or a version", t->name);
    if (!rc && t->kind != CAT_TABLE && t->kind != CAT_VIEW && t->kind != CAT_SYSTEM)
        rc = err_set(err, RC_INVAL, "table \"%s\" is of no kind", t->name);
    if (!rc)
        rc = check_columns(t, err);
    if (!rc && (t->keys > TABLE_KEY_MAX || (t->kind == CAT_TABLE && t->keys == 0)))
        rc = err_set(err, RC_INVAL, "a key of %u columns", t->keys);
    for (uint16_t i = 0; i < t->keys && !rc; i++)
        rc = check_part(t, t->key[i].col, err);
    for (uint16_t i = 0; i < t->indexes && !rc; i++)
        rc = check_index(t, &t->index[i], err);
    for (uint16_t i = 0; i < t->checks && !rc; i++) {
        rc = check_name(t->check[i].name, "constraint", err);
        if (!rc && !t->check[i].sql)
            rc = err_set(err, RC_INVAL, "check \"%s\" says nothing", t->check[i].name);
    }
    for (uint16_t i = 0; i < t->foreign_keys && !rc; i++)
        rc = check_foreign_key(t, &t->foreign_key[i], err);
    return rc ? rc : check_store(t, err);
}

/* ---- copies -------------------------------------------------------------------------------------------------------- */

static void *copy_array(struct arena *a, const void *from, size_t count, size_t size, bool *ok) {
    void *to = count ? arena_array(a, count, size) : NULL;
    if (to)
        memcpy(to, from, count * size);
    else if (count)
        *ok = false;
    return to;
}

static const char *copy_text(struct arena *a, const char *s, bool *ok) {
    char *to = s ? arena_strdup(a, s) : NULL;
    if (s && !to)
        *ok = false;
    return to;
}

#define COPY_ARRAY(a, from, count, ok) copy_array((a), (from), (count), sizeof *(from), (ok))

static bool copy_columns(struct arena *a, struct cat_table *t) {
    bool ok = true;
    struct cat_column *c = COPY_ARRAY(a, t->column, t->columns, &ok);
    for (uint16_t i = 0; i < t->columns && ok; i++) {
        c[i].name = copy_text(a, c[i].name, &ok);
        c[i].default_sql = copy_text(a, c[i].default_sql, &ok);
        c[i].generated_sql = copy_text(a, c[i].generated_sql, &ok);
        c[i].comment = copy_text(a, c[i].comment, &ok);
    }
    t->column = c;
    t->key = COPY_ARRAY(a, t->key, t->keys, &ok);
    return ok;
}

/* Stores are referenced last, when nothing can fail any more. */
static bool copy_indexes(struct arena *a, struct cat_table *t) {
    bool ok = true;
    struct cat_index *x = COPY_ARRAY(a, t->index, t->indexes, &ok);
    for (uint16_t i = 0; i < t->indexes && ok; i++) {
        x[i].name = copy_text(a, x[i].name, &ok);
        x[i].part = COPY_ARRAY(a, x[i].part, x[i].parts, &ok);
        x[i].include = COPY_ARRAY(a, x[i].include, x[i].includes, &ok);
        x[i].where_sql = copy_text(a, x[i].where_sql, &ok);
    }
    t->index = x;
    return ok;
}

static bool copy_constraints(struct arena *a, struct cat_table *t) {
    bool ok = true;
    struct cat_check *c = COPY_ARRAY(a, t->check, t->checks, &ok);
    for (uint16_t i = 0; i < t->checks && ok; i++) {
        c[i].name = copy_text(a, c[i].name, &ok);
        c[i].sql = copy_text(a, c[i].sql, &ok);
    }
    t->check = c;
    struct cat_foreign_key *k = COPY_ARRAY(a, t->foreign_key, t->foreign_keys, &ok);
    for (uint16_t i = 0; i < t->foreign_keys && ok; i++) {
        k[i].name = copy_text(a, k[i].name, &ok);
        k[i].col = COPY_ARRAY(a, k[i].col, k[i].cols, &ok);
        k[i].ref = COPY_ARRAY(a, k[i].ref, k[i].cols, &ok);
    }
    t->foreign_key = k;
    return ok;
}

/* Only the count changes, which is nobody's to see. */
static const struct table *store_ref(const struct table *s) {
    return s ? table_ref((struct table *)(uintptr_t)s) : NULL;
}

static void store_unref(const struct table *s) {
    table_unref((struct table *)(uintptr_t)s);
}

enum rc cat_table_new(const struct cat_table *from, struct cat_table **ret, struct err *err) {
    enum rc rc = check(from, err);
    if (rc)
        return rc;
    struct counted *c = malloc(sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory for a table's description");
    c->t = *from;
    c->t.refs = 1;
    struct arena *a = &c->arena;
    arena_init(a, 0);
    bool ok = true;
    c->t.name = copy_text(a, from->name, &ok);
    c->t.schema_name = copy_text(a, from->schema_name, &ok);
    c->t.key_name = copy_text(a, from->key_name, &ok);
    c->t.placement = copy_text(a, from->placement, &ok);
    c->t.view_sql = copy_text(a, from->view_sql, &ok);
    c->t.comment = copy_text(a, from->comment, &ok);
    if (!ok || !copy_columns(a, &c->t) || !copy_indexes(a, &c->t) || !copy_constraints(a, &c->t)) {
        arena_done(a);
        free(c);
        return err_set(err, RC_NOMEM, "out of memory for a table's description");
    }
    (void)store_ref(c->t.store);
    for (uint16_t i = 0; i < c->t.indexes; i++)
        (void)store_ref(c->t.index[i].store);
    *ret = &c->t;
    return RC_OK;
}

struct cat_table *cat_table_ref(const struct cat_table *t) {
    struct cat_table *own = (struct cat_table *)(uintptr_t)t;
    CHECK(own->refs > 0 && own->refs < UINT32_MAX);
    own->refs++;
    return own;
}

void cat_table_unref(const struct cat_table *t) {
    if (!t)
        return;
    struct counted *c = (struct counted *)(uintptr_t)t;
    CHECK(c->t.refs > 0);
    if (--c->t.refs)
        return;
    store_unref(t->store);
    for (uint16_t i = 0; i < t->indexes; i++)
        store_unref(t->index[i].store);
    arena_done(&c->arena);
    free(c);
}

int cat_column_find(const struct cat_table *t, const char *name) {
    for (uint16_t i = 0; i < t->columns; i++)
        if (!t->column[i].dropped && strcmp(t->column[i].name, name) == 0)
            return i;
    return -1;
}
