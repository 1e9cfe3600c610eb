/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c: descriptors: their checks, their bytes, and the SQL that makes them true in a file.
 *
 * A descriptor is one block of memory: the struct with its reference count, then an arena that holds its arrays.
 */
#include "shard/store/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/key.h"
#include "shard/store/rowbatch.h"

enum { FORMAT = 1, COL_NOT_NULL = 1, COL_HIDDEN = 2, COL_DROPPED = 4, COL_FLAGS = 7, PART_DESC = 1 };

struct counted {
    struct table t; /* first */
    unsigned refs;
    struct arena arena;
};

static struct counted *counted_of(struct table *t) {
    return (struct counted *)t;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static enum rc check_cols(const struct table *t, struct err *err) {
    if (t->n_cols == 0 || t->n_cols > TABLE_COLUMNS_MAX)
        return err_set(err, RC_INVAL, "a table of %u columns", t->n_cols);
    for (uint16_t i = 0; i < t->n_cols; i++) {
        const struct table_col *c = &t->cols[i];
        enum rc rc = c->id == 0 ? err_set(err, RC_INVAL, "column id 0") : col_valid(&c->col, err);
        if (!rc)
            rc = col_check(&c->col, &c->missing, err);
        if (!rc && c->missing.kind == VALUE_TEXT && memchr(c->missing.p, 0, c->missing.bytes))
            rc = err_set(err, RC_INVAL, "a zero byte in the default of column %u", c->id); /* SQL's text ends there */
        if (rc)
            return rc;
        for (uint16_t j = 0; j < i; j++)
            if (t->cols[j].id == c->id)
                return err_set(err, RC_INVAL, "two columns with id %u", c->id);
    }
    return RC_OK;
}

static enum rc check_parts(const struct table *t, const struct table_part *parts, uint16_t n, bool key,
                           struct err *err) {
    for (uint16_t i = 0; i < n; i++) {
        if (parts[i].col >= t->n_cols || (key && t->cols[parts[i].col].dropped))
            return err_set(err, RC_INVAL, "column %u of a key or an index is not there", parts[i].col);
        for (uint16_t j = 0; j < i; j++)
            if (parts[j].col == parts[i].col)
                return err_set(err, RC_INVAL, "column %u twice in a key or an index", parts[i].col);
    }
    return RC_OK;
}

static enum rc check_indexes(const struct table *t, struct err *err) {
    if (t->n_indexes > TABLE_INDEXES_MAX)
        return err_set(err, RC_INVAL, "%u local indexes", t->n_indexes);
    for (uint16_t i = 0; i < t->n_indexes; i++) {
        const struct table_index *x = &t->indexes[i];
        if (x->id == 0 || x->n_parts == 0 || x->n_parts > TABLE_INDEX_COLUMNS_MAX)
            return err_set(err, RC_INVAL, "index %u of %u columns", x->id, x->n_parts);
        for (uint16_t j = 0; j < i; j++)
            if (t->indexes[j].id == x->id)
                return err_set(err, RC_INVAL, "two indexes with id %u", x->id);
        enum rc rc = check_parts(t, x->parts, x->n_parts, true, err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static enum rc check_ancestors(const struct table *t, struct err *err) {
    if (t->n_ancestors > TABLE_ANCESTORS_MAX)
        return err_set(err, RC_INVAL, "interleaved %u deep", t->n_ancestors);
    for (uint16_t i = 0; i < t->n_ancestors; i++) {
        uint16_t before = i == 0 ? 0 : t->ancestors[i - 1].n_key;
        if (t->ancestors[i].table == 0 || t->ancestors[i].table > UINT32_MAX || t->ancestors[i].n_key <= before ||
            t->ancestors[i].n_key >= t->n_key)
            return err_set(err, RC_INVAL, "the key does not continue that of its parents");
    }
    return RC_OK;
}

static enum rc check(const struct table *t, struct err *err) {
    if (t->id == 0 || t->id > UINT32_MAX || t->version == 0 || t->group == 0 || t->group > UINT32_MAX)
        return err_set(err, RC_INVAL, "table %" PRIu64 ", version %u", t->id, t->version);
    enum rc rc = check_cols(t, err);
    if (!rc && (t->n_key == 0 || t->n_key > TABLE_KEY_MAX))
        rc = err_set(err, RC_INVAL, "a key of %u columns", t->n_key);
    if (!rc)
        rc = check_parts(t, t->key, t->n_key, true, err);
    for (uint16_t i = 0; i < t->n_key && !rc; i++)
        rc = key_supports(&t->cols[t->key[i].col].col, NULL, err);
    if (!rc)
        rc = check_indexes(t, err);
    return rc ? rc : check_ancestors(t, err);
}

static enum table_layout layout_of(const struct table *t) {
    for (uint16_t i = 0; i < t->n_key; i++)
        if (!t->cols[t->key[i].col].not_null)
            return TABLE_HEAP;
    uint8_t type = t->cols[t->key[0].col].col.type;
    if (t->n_key == 1 && (type == COL_INT2 || type == COL_INT4 || type == COL_INT8))
        return TABLE_ROWID;
    return TABLE_CLUSTERED;
}

enum rc table_follows(const struct table *from, const struct table *to, struct err *err) {
    if (from->id != to->id || from->group != to->group || from->version >= to->version)
        return err_set(err, RC_INVAL, "version %u of table %" PRIu64 " does not follow %u", to->version, to->id,
                       from->version);
    if (to->n_cols < from->n_cols || to->n_key != from->n_key || to->n_ancestors != from->n_ancestors ||
        to->layout != from->layout)
        return err_set(err, RC_INVAL, "a column, the key or its parents went");
    for (uint16_t i = 0; i < from->n_cols; i++) {
        const struct table_col *a = &from->cols[i], *b = &to->cols[i];
        bool same = a->id == b->id && strcmp(col_decl(&a->col), col_decl(&b->col)) == 0 && (!a->dropped || b->dropped);
        if (!same || !value_same(&a->missing, &b->missing))
            return err_set(err, RC_INVAL, "column %u changed its place or form", a->id);
    }
    for (uint16_t i = from->n_cols; i < to->n_cols; i++)
        if (table_key_place(to, i) >= 0)
            return err_set(err, RC_INVAL, "a new column in the key");
    for (uint16_t i = 0; i < from->n_key; i++)
        if (from->key[i].col != to->key[i].col || from->key[i].desc != to->key[i].desc)
            return err_set(err, RC_INVAL, "the key changed");
    for (uint16_t i = 0; i < from->n_ancestors; i++)
        if (from->ancestors[i].table != to->ancestors[i].table || from->ancestors[i].n_key != to->ancestors[i].n_key)
            return err_set(err, RC_INVAL, "a parent changed");
    return RC_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static enum rc copy_cols(struct counted *c, const struct table *from) {
    struct table_col *cols = arena_copy(&c->arena, from->cols, from->n_cols * sizeof *cols);
    for (uint16_t i = 0; cols && i < from->n_cols; i++)
        if (value_copy(&c->arena, &cols[i].missing))
            return RC_NOMEM;
    c->t.cols = cols;
    return cols ? RC_OK : RC_NOMEM;
}

static enum rc copy_indexes(struct counted *c, const struct table *from) {
    struct table_index *x = arena_copy(&c->arena, from->indexes, from->n_indexes * sizeof *x);
    for (uint16_t i = 0; x && i < from->n_indexes; i++) {
        x[i].parts = arena_copy(&c->arena, x[i].parts, x[i].n_parts * sizeof *x[i].parts);
        if (!x[i].parts)
            return RC_NOMEM;
    }
    c->t.indexes = x;
    return x ? RC_OK : RC_NOMEM;
}

enum rc table_new(const struct table *from, struct table **ret, struct err *err) {
    enum rc rc = check(from, err);
    if (rc)
        return rc;
    struct counted *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    c->refs = 1;
    arena_init(&c->arena, 0);
    c->t = *from;
    c->t.layout = layout_of(from);
    rc = copy_cols(c, from);
    if (!rc)
        rc = copy_indexes(c, from);
    c->t.key = arena_copy(&c->arena, from->key, from->n_key * sizeof *from->key);
    c->t.ancestors = arena_copy(&c->arena, from->ancestors, from->n_ancestors * sizeof *from->ancestors);
    if (rc || !c->t.key || !c->t.ancestors) {
        table_unref(&c->t);
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    }
    *ret = &c->t;
    return RC_OK;
}

struct table *table_ref(struct table *t) {
    counted_of(t)->refs++;
    return t;
}

void table_unref(struct table *t) {
    if (!t)
        return;
    struct counted *c = counted_of(t);
    CHECK(c->refs > 0);
    if (--c->refs > 0)
        return;
    arena_done(&c->arena);
    free(c);
}

int table_find_col(const struct table *t, uint32_t id) {
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (t->cols[i].id == id)
            return i;
    return -1;
}

const struct table_index *table_find_index(const struct table *t, uint32_t id) {
    for (uint16_t i = 0; i < t->n_indexes; i++)
        if (t->indexes[i].id == id)
            return &t->indexes[i];
    return NULL;
}

int table_key_place(const struct table *t, uint16_t col) {
    for (uint16_t i = 0; i < t->n_key; i++)
        if (t->key[i].col == col)
            return i;
    return -1;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void put_parts(struct buf *to, const struct table_part *parts, uint16_t n) {
    varint_put(to, n);
    for (uint16_t i = 0; i < n; i++) {
        varint_put(to, parts[i].col);
        buf_putc(to, parts[i].desc ? PART_DESC : 0);
    }
}

void table_encode(const struct table *t, struct buf *to) {
    buf_putc(to, FORMAT);
    varint_put(to, t->id);
    varint_put(to, t->group);
    varint_put(to, t->version);
    varint_put(to, t->n_cols);
    for (uint16_t i = 0; i < t->n_cols; i++) {
        const struct table_col *c = &t->cols[i];
        varint_put(to, c->id);
        buf_putc(to, (uint8_t)((c->not_null ? COL_NOT_NULL : 0) | (c->hidden ? COL_HIDDEN : 0) |
                               (c->dropped ? COL_DROPPED : 0)));
        buf_putc(to, c->col.type);
        buf_putc(to, c->col.elem);
        buf_put_u32le(to, (uint32_t)c->col.typmod);
        varint_put(to, c->col.type_id);
        value_put(to, &c->missing);
    }
    put_parts(to, t->key, t->n_key);
    varint_put(to, t->n_indexes);
    for (uint16_t i = 0; i < t->n_indexes; i++) {
        varint_put(to, t->indexes[i].id);
        put_parts(to, t->indexes[i].parts, t->indexes[i].n_parts);
    }
    varint_put(to, t->n_ancestors);
    for (uint16_t i = 0; i < t->n_ancestors; i++) {
        varint_put(to, t->ancestors[i].table);
        varint_put(to, t->ancestors[i].n_key);
    }
    if (t->since)
        varint_put(to, (uint64_t)t->since);
}

bool table_same(const struct table *a, const struct table *b) {
    struct table x = *a, y = *b;
    struct buf p, q;
    buf_init(&p, TABLE_BYTES_MAX);
    buf_init(&q, TABLE_BYTES_MAX);
    x.since = y.since = 0;
    table_encode(&x, &p);
    table_encode(&y, &q);
    bool same = !buf_rc(&p) && !buf_rc(&q) && p.len == q.len && memcmp(p.data, q.data, p.len) == 0;
    buf_done(&p);
    buf_done(&q);
    return same;
}

/* A count, at most max, of things that take at least a byte each. */
static uint16_t get_count(struct rd *r, uint16_t max) {
    uint64_t n = varint_get(r);
    if (n > max || n > rd_left(r))
        r->bad = true;
    return r->bad ? 0 : (uint16_t)n;
}

static uint32_t get_u32(struct rd *r) {
    uint64_t x = varint_get(r);
    if (x > UINT32_MAX)
        r->bad = true;
    return r->bad ? 0 : (uint32_t)x;
}

/* Room for n things; NULL and a bad cursor when there is no memory, so that the caller stops. */
static void *array(struct arena *a, uint16_t n, size_t size, struct rd *r, bool *nomem) {
    void *p = arena_array(a, n ? n : 1, size);
    if (!p)
        r->bad = *nomem = true;
    else
        memset(p, 0, (n ? n : 1) * size);
    return p;
}

static const struct table_part *get_parts(struct rd *r, struct arena *a, uint16_t max, uint16_t *ret_n, bool *nomem) {
    uint16_t n = get_count(r, max);
    struct table_part *parts = array(a, n, sizeof *parts, r, nomem);
    for (uint16_t i = 0; i < n && !r->bad; i++) {
        parts[i].col = (uint16_t)(get_u32(r) & UINT16_MAX);
        uint8_t flags = rd_u8(r);
        parts[i].desc = flags & PART_DESC;
        if (flags & ~PART_DESC)
            r->bad = true;
    }
    *ret_n = n;
    return parts;
}

static void get_cols(struct rd *r, struct arena *a, struct table *t, bool *nomem) {
    t->n_cols = get_count(r, TABLE_COLUMNS_MAX);
    struct table_col *cols = array(a, t->n_cols, sizeof *cols, r, nomem);
    t->cols = cols;
    for (uint16_t i = 0; i < t->n_cols && !r->bad; i++) {
        cols[i].id = get_u32(r);
        uint8_t flags = rd_u8(r);
        cols[i].not_null = flags & COL_NOT_NULL;
        cols[i].hidden = flags & COL_HIDDEN;
        cols[i].dropped = flags & COL_DROPPED;
        cols[i].col.type = rd_u8(r);
        cols[i].col.elem = rd_u8(r);
        cols[i].col.typmod = (int32_t)rd_u32le(r);
        cols[i].col.type_id = get_u32(r);
        if (flags & ~COL_FLAGS || value_get(r, &cols[i].missing))
            r->bad = true;
    }
}

static void get_all(struct rd *r, struct arena *a, struct table *t, bool *nomem) {
    if (rd_u8(r) != FORMAT)
        r->bad = true;
    t->id = varint_get(r);
    t->group = varint_get(r);
    t->version = get_u32(r);
    get_cols(r, a, t, nomem);
    t->key = get_parts(r, a, TABLE_KEY_MAX, &t->n_key, nomem);
    t->n_indexes = get_count(r, TABLE_INDEXES_MAX);
    struct table_index *indexes = array(a, t->n_indexes, sizeof *indexes, r, nomem);
    t->indexes = indexes;
    for (uint16_t i = 0; i < t->n_indexes && !r->bad; i++) {
        indexes[i].id = get_u32(r);
        indexes[i].parts = get_parts(r, a, TABLE_INDEX_COLUMNS_MAX, &indexes[i].n_parts, nomem);
    }
    t->n_ancestors = get_count(r, TABLE_ANCESTORS_MAX);
    struct table_ancestor *ancestors = array(a, t->n_ancestors, sizeof *ancestors, r, nomem);
    t->ancestors = ancestors;
    for (uint16_t i = 0; i < t->n_ancestors && !r->bad; i++) {
        ancestors[i].table = varint_get(r);
        ancestors[i].n_key = (uint16_t)(get_u32(r) & UINT16_MAX);
    }
    if (rd_left(r) > 0) /* older ones end here */
        t->since = (int64_t)varint_get(r);
}

enum rc table_decode(const void *bytes, size_t n, struct table **ret, struct err *err) {
    struct arena a;
    struct rd r;
    struct table t = {.id = 0};
    struct err why = {0};
    bool nomem = false;
    if (n > TABLE_BYTES_MAX)
        return err_set(err, RC_CORRUPT, "a table's descriptor of %zu bytes", n);
    arena_init(&a, 0);
    rd_init(&r, bytes, n);
    get_all(&r, &a, &t, &nomem);
    enum rc rc = nomem   ? err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM))
                 : r.bad ? err_set(err, RC_CORRUPT, "a table's descriptor is damaged")
                         : table_new(&t, ret, &why);
    if (rc && why.rc)
        rc = err_set(err, rc == RC_NOMEM ? rc : RC_CORRUPT, "a table's descriptor: %s", err_message(&why));
    arena_done(&a);
    return rc;
}

/* ---- SQL --------------------------------------------------------------------------------------------------------- */

/* What ALTER TABLE ADD COLUMN takes as a default: a literal, signed at most. */
static void put_default(struct buf *to, const struct value *v) {
    const char *p = v->kind == VALUE_TEXT || v->kind == VALUE_BLOB ? v->p : NULL;
    switch (v->kind) {
    case VALUE_NULL:
        buf_puts(to, "NULL");
        break;
    case VALUE_INT:
        buf_printf(to, "%" PRId64, v->i);
        break;
    case VALUE_REAL: /* 9e999 is infinity */
        if (isinf(v->r))
            buf_puts(to, v->r > 0 ? "9e999" : "-9e999");
        else
            buf_printf(to, "%.17e", v->r);
        break;
    case VALUE_TEXT:
        buf_putc(to, '\'');
        for (uint32_t i = 0; i < v->bytes; i++)
            buf_puts(to, p[i] == '\'' ? "''" : (char[]){p[i], '\0'});
        buf_putc(to, '\'');
        break;
    case VALUE_BLOB:
        buf_puts(to, "x'");
        for (uint32_t i = 0; i < v->bytes; i++)
            buf_printf(to, "%02x", (uint8_t)p[i]);
        buf_puts(to, "'");
        break;
    }
}

static void put_part_names(struct buf *to, const struct table *t, const struct table_part *parts, uint16_t n) {
    for (uint16_t i = 0; i < n; i++)
        buf_printf(to, "%sc%u%s", i ? "," : "", t->cols[parts[i].col].id, parts[i].desc ? " DESC" : "");
}

static void put_index(struct buf *to, const struct table *t, const struct table_index *x) {
    buf_printf(to, "CREATE INDEX t%" PRIu64 "_i%u ON t%" PRIu64 "(", t->id, x->id, t->id);
    put_part_names(to, t, x->parts, x->n_parts);
    buf_puts(to, ");");
}

void table_sql_create(const struct table *t, struct buf *to) {
    buf_printf(to, "CREATE TABLE t%" PRIu64 "(", t->id);
    for (uint16_t i = 0; i < t->n_cols; i++) {
        bool rowid = t->layout == TABLE_ROWID && i == t->key[0].col;
        buf_printf(to, "c%u %s,", t->cols[i].id, rowid ? "INTEGER PRIMARY KEY" : col_decl(&t->cols[i].col));
    }
    buf_puts(to, "_ts INTEGER NOT NULL");
    if (t->layout == TABLE_CLUSTERED) {
        buf_puts(to, ",PRIMARY KEY(");
        put_part_names(to, t, t->key, t->n_key);
        buf_puts(to, "))STRICT,WITHOUT ROWID;");
    } else {
        buf_puts(to, ")STRICT;");
    }
    if (t->layout == TABLE_HEAP) {
        buf_printf(to, "CREATE INDEX t%" PRIu64 "_k ON t%" PRIu64 "(", t->id, t->id);
        put_part_names(to, t, t->key, t->n_key);
        buf_puts(to, ");");
    }
    buf_printf(to, "CREATE TABLE t%" PRIu64 "_h(_id INTEGER PRIMARY KEY,", t->id);
    for (uint16_t i = 0; i < t->n_cols; i++)
        buf_printf(to, "c%u %s,", t->cols[i].id, col_decl(&t->cols[i].col));
    buf_puts(to, "_ts INTEGER NOT NULL,_end INTEGER NOT NULL,_hi INTEGER NOT NULL)STRICT;");
    buf_printf(to, "CREATE INDEX t%" PRIu64 "_hk ON t%" PRIu64 "_h(", t->id, t->id);
    put_part_names(to, t, t->key, t->n_key);
    buf_puts(to, ",_end);");
    for (uint16_t i = 0; i < t->n_indexes; i++)
        put_index(to, t, &t->indexes[i]);
}

static void put_add_column(struct buf *to, const struct table *t, const char *suffix, const struct table_col *c) {
    buf_printf(to, "ALTER TABLE t%" PRIu64 "%s ADD COLUMN c%u %s", t->id, suffix, c->id, col_decl(&c->col));
    if (c->missing.kind != VALUE_NULL) {
        buf_puts(to, " DEFAULT ");
        put_default(to, &c->missing);
    }
    buf_puts(to, ";");
}

void table_sql_alter(const struct table *from, const struct table *to, struct buf *out) {
    for (uint16_t i = 0; i < from->n_indexes; i++)
        if (!table_find_index(to, from->indexes[i].id))
            buf_printf(out, "DROP INDEX t%" PRIu64 "_i%u;", to->id, from->indexes[i].id);
    for (uint16_t i = from->n_cols; i < to->n_cols; i++) {
        put_add_column(out, to, "", &to->cols[i]);
        put_add_column(out, to, "_h", &to->cols[i]);
    }
    for (uint16_t i = 0; i < to->n_indexes; i++)
        if (!table_find_index(from, to->indexes[i].id))
            put_index(out, to, &to->indexes[i]);
}

void table_sql_drop(const struct table *t, struct buf *to) {
    buf_printf(to, "DROP TABLE t%" PRIu64 ";DROP TABLE t%" PRIu64 "_h;", t->id, t->id);
}
