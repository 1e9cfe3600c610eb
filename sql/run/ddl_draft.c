/* SPDX-License-Identifier: Apache-2.0 */
/* ddl_draft.c: tables under construction, and what becomes of them: descriptors for the catalog and for tablets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/run/ddl.h"

enum rc ddl_nomem(struct err *err) {
    return err_set(err, RC_NOMEM, "out of memory for a change of the catalog");
}

char *ddl_printf(struct ddl *d, const char *fmt, ...) {
    va_list ap;
    struct buf b;
    char *s = NULL;
    buf_init(&b, 0);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (buf_cstr(&b))
        s = arena_strdup(d->a, buf_cstr(&b));
    buf_done(&b);
    return s;
}

static enum rc grow_from(struct ddl *d, const void *from, size_t n, size_t cap, size_t size, void *ret) {
    void *p = arena_array(d->a, cap + 1, size);
    if (!p)
        return RC_NOMEM;
    memset(p, 0, (cap + 1) * size);
    if (n)
        memcpy(p, from, n * size);
    *(void **)ret = p;
    return RC_OK;
}

enum rc draft_begin(struct ddl *d, struct draft *f, const struct cat_table *from, size_t columns, size_t indexes,
                    size_t checks, struct err *err) {
    static const struct cat_table blank;
    const struct cat_table *t = from ? from : &blank;
    *f = (struct draft){.t = *t, .store_version = 1, .next_column = 1};
    if (t->columns + columns > TABLE_COLUMNS_MAX)
        return err_sql(err, "54011", "tables can have at most %d columns", TABLE_COLUMNS_MAX);
    if (t->indexes + indexes > TABLE_INDEXES_MAX)
        return err_sql(err, "54000", "tables can have at most %d indexes", TABLE_INDEXES_MAX);
    f->columns_cap = (uint16_t)(t->columns + columns);
    f->indexes_cap = (uint16_t)(t->indexes + indexes);
    f->checks_cap = (uint16_t)(t->checks + checks);
    if (grow_from(d, t->column, t->columns, f->columns_cap, sizeof *f->column, &f->column) ||
        grow_from(d, t->key, t->keys, TABLE_KEY_MAX, sizeof *f->key, &f->key) ||
        grow_from(d, t->index, t->indexes, f->indexes_cap, sizeof *f->index, &f->index) ||
        grow_from(d, t->check, t->checks, f->checks_cap, sizeof *f->check, &f->check))
        return ddl_nomem(err);
    f->t.column = f->column;
    f->t.key = f->key;
    f->t.index = f->index;
    f->t.check = f->check;
    if (from) {
        f->store_id = from->store->id;
        f->store_version = from->store->version;
        f->t.version++;
        f->parent = NULL;
    }
    for (uint16_t i = 0; i < t->columns; i++)
        if (t->column[i].id >= f->next_column)
            f->next_column = t->column[i].id + 1;
    return RC_OK;
}

int draft_column(const struct draft *f, const char *name) {
    return cat_column_find(&f->t, name);
}

/* ---- what tablets know ------------------------------------------------------------------------------------------------ */

static enum rc parts_of(struct ddl *d, const struct cat_part *p, uint16_t n, const struct table_part **ret) {
    struct table_part *to = arena_array(d->a, n + 1u, sizeof *to);
    if (!to)
        return RC_NOMEM;
    for (uint16_t i = 0; i < n; i++)
        to[i] = (struct table_part){.col = p[i].col, .desc = p[i].desc};
    *ret = to;
    return RC_OK;
}

/* Of an interleaved table: its parent's ancestors, then the parent. */
static enum rc ancestors_of(struct ddl *d, const struct draft *f, struct table *t, struct err *err) {
    const struct table *was = f->t.store;
    if (!f->parent && was) {
        t->ancestors = was->ancestors;
        t->n_ancestors = was->n_ancestors;
        if (was->n_ancestors)
            t->group = was->group;
        return RC_OK;
    }
    if (!f->parent)
        return RC_OK;
    const struct table *p = f->parent;
    if (p->n_ancestors == TABLE_ANCESTORS_MAX)
        return err_sql(err, "54000", "tables can be interleaved %d levels deep", TABLE_ANCESTORS_MAX);
    struct table_ancestor *to = arena_array(d->a, p->n_ancestors + 1u, sizeof *to);
    if (!to)
        return ddl_nomem(err);
    if (p->n_ancestors)
        memcpy(to, p->ancestors, p->n_ancestors * sizeof *to);
    to[p->n_ancestors] = (struct table_ancestor){.table = p->id, .n_key = p->n_key};
    t->ancestors = to;
    t->n_ancestors = (uint16_t)(p->n_ancestors + 1);
    t->group = p->group;
    return RC_OK;
}

enum rc draft_store(struct ddl *d, const struct draft *f, struct table **ret, struct err *err) {
    struct table_col *col = arena_array(d->a, f->t.columns + 1u, sizeof *col);
    struct table_index *index = arena_array(d->a, f->t.indexes + 1u, sizeof *index);
    struct table t = {.id = f->store_id,
                      .group = f->store_id,
                      .version = f->store_version,
                      .n_cols = f->t.columns,
                      .n_key = f->t.keys,
                      .cols = col,
                      .indexes = index};
    const struct table *was = f->t.store;
    if (!col || !index)
        return ddl_nomem(err);
    for (uint16_t i = 0; i < f->t.columns; i++) {
        const struct cat_column *c = &f->column[i];
        int place = was ? table_find_col(was, c->id) : -1;
        col[i] = (struct table_col){.id = c->id,
                                    .col = c->type,
                                    .not_null = place >= 0 ? was->cols[place].not_null : c->not_null,
                                    .hidden = c->hidden,
                                    .dropped = c->dropped,
                                    .missing = place >= 0 ? was->cols[place].missing : value_null()};
        if (f->missing && f->missing[i].kind != VALUE_NULL)
            col[i].missing = f->missing[i];
    }
    for (uint16_t i = 0; i < f->t.keys; i++)
        col[f->key[i].col].not_null = true;
    for (uint16_t i = 0; i < f->t.indexes; i++) {
        const struct cat_index *x = &f->index[i];
        if (x->kind != CAT_INDEX_LOCAL)
            continue;
        struct table_index *to = &index[t.n_indexes++];
        *to = (struct table_index){.id = x->id, .n_parts = x->parts};
        if (parts_of(d, x->part, x->parts, &to->parts))
            return ddl_nomem(err);
    }
    if (parts_of(d, f->key, f->t.keys, &t.key))
        return ddl_nomem(err);
    enum rc rc = ancestors_of(d, f, &t, err);
    return rc ? rc : table_new(&t, ret, err);
}

/* The parts, then the rest of the table's key, then what is included: each column once, under its own number. The key of a
 * unique index is its parts alone: the tablet keeps duplicates out. */
enum rc draft_index_store(struct ddl *d, const struct draft *f, const struct cat_index *x, uint64_t id,
                          uint32_t version, struct table **ret, struct err *err) {
    size_t most = (size_t)x->parts + f->t.keys + x->includes;
    struct table_col *col = arena_array(d->a, most + 1, sizeof *col);
    struct table_part *key = arena_array(d->a, most + 1, sizeof *key);
    struct table t = {.id = id, .group = id, .version = version, .cols = col, .key = key};
    if (!col || !key)
        return ddl_nomem(err);
    for (size_t i = 0; i < most; i++) {
        bool part = i < x->parts, in_key = i < (size_t)x->parts + f->t.keys;
        uint16_t place = part     ? x->part[i].col
                         : in_key ? f->key[i - x->parts].col
                                  : x->include[i - x->parts - f->t.keys];
        const struct cat_column *c = &f->column[place];
        bool there = false;
        for (uint16_t k = 0; k < t.n_cols; k++)
            there = there || col[k].id == c->id;
        if (there)
            continue;
        bool key_column = false;
        for (uint16_t k = 0; k < f->t.keys; k++)
            key_column = key_column || f->key[k].col == place;
        if (part || (in_key && !x->unique)) {
            if (t.n_key == TABLE_KEY_MAX)
                return err_sql(err, "54011", "an index and its table's key can have %d columns together",
                               TABLE_KEY_MAX);
            key[t.n_key++] =
                (struct table_part){.col = t.n_cols, .desc = part ? x->part[i].desc : f->key[i - x->parts].desc};
        }
        /* A column that is NOT NULL today may not be so tomorrow; the key's stay. */
        col[t.n_cols++] = (struct table_col){
            .id = c->id, .col = c->type, .not_null = key_column, .hidden = c->hidden, .missing = value_null()};
    }
    return table_new(&t, ret, err);
}

enum rc draft_table(struct ddl *d, struct draft *f, struct cat_table **ret, struct err *err) {
    struct table *store, *index_store[TABLE_INDEXES_MAX] = {NULL};
    enum rc rc = draft_store(d, f, &store, err);
    if (rc)
        return rc;
    struct cat_table t = f->t;
    t.store = store;
    for (uint16_t i = 0; i < f->t.indexes && !rc; i++)
        if (f->index[i].kind == CAT_INDEX_GLOBAL && !f->index[i].store) {
            rc = draft_index_store(d, f, &f->index[i], f->index[i].id, 1, &index_store[i], err);
            f->index[i].store = index_store[i];
        }
    if (!rc)
        rc = cat_table_new(&t, ret, err);
    for (uint16_t i = 0; i < f->t.indexes; i++)
        if (index_store[i]) {
            f->index[i].store = NULL;
            table_unref(index_store[i]);
        }
    table_unref(store);
    return rc;
}

/* ---- names -------------------------------------------------------------------------------------------------------------- */

static bool taken(struct ddl *d, const struct draft *f, uint32_t schema, const char *name) {
    struct cat_view v = ddl_view(d);
    uint16_t i;
    if (cat_view_relation(&v, schema, name) || cat_view_index(&v, schema, name, &i))
        return true;
    if (!f)
        return false;
    if (strcmp(f->t.name, name) == 0 || (f->t.key_name && strcmp(f->t.key_name, name) == 0))
        return true;
    for (i = 0; i < f->t.indexes; i++)
        if (strcmp(f->index[i].name, name) == 0)
            return true;
    for (i = 0; i < f->t.checks; i++)
        if (strcmp(f->check[i].name, name) == 0)
            return true;
    return false;
}

enum rc ddl_name_free(struct ddl *d, uint32_t schema, const char *name, struct err *err) {
    if (strlen(name) > CAT_NAME_BYTES_MAX)
        return err_sql(err, "42622", "identifier \"%.63s...\" is too long", name);
    return taken(d, NULL, schema, name) ? err_sql(err, "42P07", "relation \"%.63s\" already exists", name) : RC_OK;
}

/* Cut between characters. */
static size_t cut(const char *s, size_t max) {
    size_t n = strlen(s);
    if (n <= max)
        return n;
    while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
        max--;
    return max;
}

enum rc ddl_free_name(struct ddl *d, const struct draft *f, const char *base, const char *columns, const char *label,
                      char ret[static CAT_NAME_BYTES_MAX + 1], struct err *err) {
    for (int i = 0; i < 10000; i++) {
        char tail[32];
        if (i)
            snprintf(tail, sizeof tail, "_%s%d", label, i);
        else
            snprintf(tail, sizeof tail, "_%s", label);
        size_t room = CAT_NAME_BYTES_MAX - strlen(tail), b = strlen(base), c = columns ? strlen(columns) + 1 : 0;
        while (b + c > room) {
            if (b >= c)
                b--;
            else
                c--;
        }
        b = cut(base, b);
        snprintf(ret, CAT_NAME_BYTES_MAX + 1, "%.*s%s%.*s%s", (int)b, base, c > 1 ? "_" : "",
                 c > 1 ? (int)cut(columns, c - 1) : 0, columns ? columns : "", tail);
        if (!taken(d, f, f->t.schema, ret))
            return RC_OK;
    }
    return err_sql(err, "42710", "no free name like \"%.40s_%s\"", base, label);
}
