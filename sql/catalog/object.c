/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.c: objects of the catalog, and their bytes (docs/formats.md):
 *
 *     format (1), owner (4), comment (text), then by kind:
 *     sequence   start, increment, min, max, cache (8 each), type, cycle (1 each), owner_table, owner_column (4 each)
 *     role       flags (1), verifier (text)
 *     table      id, version (4 each), kind (1), lists with their counts: columns, key, indexes, checks, foreign keys,
 *                then parent (4), placement, view (texts), the tablets' descriptor (bytes; table.h)
 *
 * A text or a run of bytes is its length (4, all bits set: there is none) and its bytes. All little-endian.
 */
#include "sql/catalog/object.h"

#include <stdlib.h>
#include <string.h>

enum {
    FORMAT = 1,
    NO_TEXT = -1,
    ROLE_LOGIN = 1,
    ROLE_SUPERUSER = 2,
    ROLE_CREATEDB = 4,
    ROLE_CREATEROLE = 8,
    COLUMN_NOT_NULL = 1,
    COLUMN_HIDDEN = 2,
    COLUMN_DROPPED = 4,
    INDEX_UNIQUE = 1,
    INDEX_NULLS_SAME = 2,
    INDEX_CONSTRAINT = 4,
    FOREIGN_DEFERRABLE = 1,
    FOREIGN_DEFERRED = 2,
    CHECKS_MAX = 1000,
    ARENA_BYTES_MAX = 16 << 20,
};

/* ---- objects ------------------------------------------------------------------------------------------------------ */

enum rc cat_object_new(const struct cat_object *from, struct cat_object **ret, struct err *err) {
    size_t comment = from->comment ? strlen(from->comment) + 1 : 0;
    struct cat_object *o = malloc(sizeof *o + comment);
    if (!o)
        return err_set(err, RC_NOMEM, "out of memory for an object of the catalog");
    *o = *from;
    o->refs = 1;
    o->comment = NULL;
    if (comment)
        o->comment = memcpy(o + 1, from->comment, comment);
    if (o->kind == CAT_OBJECT_TABLE && o->table)
        cat_table_ref(o->table);
    *ret = o;
    return RC_OK;
}

struct cat_object *cat_object_ref(struct cat_object *o) {
    o->refs++;
    return o;
}

void cat_object_unref(struct cat_object *o) {
    if (!o || --o->refs > 0)
        return;
    if (o->kind == CAT_OBJECT_TABLE)
        cat_table_unref(o->table);
    free(o);
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static void put_bytes(struct buf *to, const void *p, size_t n) {
    buf_put_u32le(to, (uint32_t)n);
    buf_put(to, p, n);
}

static void put_text(struct buf *to, const char *s) {
    if (s)
        put_bytes(to, s, strlen(s));
    else
        buf_put_u32le(to, (uint32_t)NO_TEXT);
}

static void put_store(struct buf *to, const struct table *t) {
    struct buf b;
    if (!t) {
        put_text(to, NULL);
        return;
    }
    buf_init(&b, TABLE_BYTES_MAX);
    table_encode(t, &b);
    if (buf_rc(&b))
        to->rc = buf_rc(&b);
    else
        put_bytes(to, b.data, b.len);
    buf_done(&b);
}

static void put_part(struct buf *to, const struct cat_part *p) {
    buf_put_u16le(to, p->col);
    buf_putc(to, p->desc);
}

static void put_column(struct buf *to, const struct cat_column *c) {
    put_text(to, c->name);
    buf_put_u32le(to, c->id);
    buf_putc(to, c->type.type);
    buf_putc(to, c->type.elem);
    buf_put_u32le(to, (uint32_t)c->type.typmod);
    buf_put_u32le(to, c->type.type_id);
    buf_putc(to, (uint8_t)((c->not_null ? COLUMN_NOT_NULL : 0) | (c->hidden ? COLUMN_HIDDEN : 0) |
                           (c->dropped ? COLUMN_DROPPED : 0)));
    put_text(to, c->default_sql);
    buf_put_u32le(to, c->sequence);
    buf_putc(to, (uint8_t)c->identity);
    put_text(to, c->generated_sql);
    put_text(to, c->comment);
}

static void put_index(struct buf *to, const struct cat_index *x) {
    put_text(to, x->name);
    buf_put_u32le(to, x->id);
    buf_putc(to, x->kind);
    buf_putc(to, x->state);
    buf_putc(to, (uint8_t)((x->unique ? INDEX_UNIQUE : 0) | (x->nulls_not_distinct ? INDEX_NULLS_SAME : 0) |
                           (x->constraint ? INDEX_CONSTRAINT : 0)));
    buf_put_u16le(to, x->parts);
    for (uint16_t i = 0; i < x->parts; i++)
        put_part(to, &x->part[i]);
    buf_put_u16le(to, x->includes);
    for (uint16_t i = 0; i < x->includes; i++)
        buf_put_u16le(to, x->include[i]);
    put_text(to, x->where_sql);
    put_store(to, x->store);
}

static void put_foreign_key(struct buf *to, const struct cat_foreign_key *f) {
    put_text(to, f->name);
    buf_put_u32le(to, f->table);
    buf_put_u16le(to, f->cols);
    for (uint16_t i = 0; i < f->cols; i++) {
        buf_put_u16le(to, f->col[i]);
        buf_put_u16le(to, f->ref[i]);
    }
    buf_putc(to, (uint8_t)f->on_update);
    buf_putc(to, (uint8_t)f->on_delete);
    buf_putc(to, (uint8_t)((f->deferrable ? FOREIGN_DEFERRABLE : 0) | (f->deferred ? FOREIGN_DEFERRED : 0)));
}

static void put_table(struct buf *to, const struct cat_table *t) {
    buf_put_u32le(to, t->id);
    buf_put_u32le(to, t->version);
    buf_putc(to, t->kind);
    put_text(to, t->schema_name);
    buf_put_u16le(to, t->columns);
    for (uint16_t i = 0; i < t->columns; i++)
        put_column(to, &t->column[i]);
    buf_put_u16le(to, t->keys);
    for (uint16_t i = 0; i < t->keys; i++)
        put_part(to, &t->key[i]);
    put_text(to, t->key_name);
    buf_put_u16le(to, t->indexes);
    for (uint16_t i = 0; i < t->indexes; i++)
        put_index(to, &t->index[i]);
    buf_put_u16le(to, t->checks);
    for (uint16_t i = 0; i < t->checks; i++) {
        put_text(to, t->check[i].name);
        put_text(to, t->check[i].sql);
        buf_putc(to, t->check[i].validated);
    }
    buf_put_u16le(to, t->foreign_keys);
    for (uint16_t i = 0; i < t->foreign_keys; i++)
        put_foreign_key(to, &t->foreign_key[i]);
    buf_put_u32le(to, t->parent);
    put_text(to, t->placement);
    put_text(to, t->view_sql);
    put_store(to, t->store);
}

void cat_object_encode(const struct cat_object *o, struct buf *to) {
    if (o->dropped)
        return;
    buf_putc(to, FORMAT);
    buf_put_u32le(to, o->owner);
    put_text(to, o->comment);
    if (o->kind == CAT_OBJECT_SEQUENCE) {
        const struct cat_sequence *s = &o->sequence;
        const int64_t n[] = {s->start, s->increment, s->min, s->max, s->cache};
        for (size_t i = 0; i < ARRAY_LEN(n); i++)
            buf_put_u64le(to, (uint64_t)n[i]);
        buf_putc(to, s->type);
        buf_putc(to, s->cycle);
        buf_put_u32le(to, s->owner_table);
        buf_put_u32le(to, s->owner_column);
    } else if (o->kind == CAT_OBJECT_ROLE) {
        const struct cat_role *r = &o->role;
        buf_putc(to, (uint8_t)((r->login ? ROLE_LOGIN : 0) | (r->superuser ? ROLE_SUPERUSER : 0) |
                               (r->createdb ? ROLE_CREATEDB : 0) | (r->createrole ? ROLE_CREATEROLE : 0)));
        put_text(to, r->verifier);
    } else if (o->kind == CAT_OBJECT_TABLE) {
        put_table(to, o->table);
    }
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

struct reader {
    struct rd rd;
    struct arena *a;
    struct err *err;
    bool bad, nomem;
    struct table *store[TABLE_INDEXES_MAX + 1]; /* references to be dropped: cat_table_new takes its own */
    size_t stores;
};

static void *room(struct reader *r, size_t count, size_t size) {
    void *p = arena_array(r->a, count + 1, size);
    if (!p)
        r->nomem = true;
    else
        memset(p, 0, (count + 1) * size);
    return p;
}

/* A text of at most max bytes without zeros in it, or NULL where there is none. */
static const char *get_text(struct reader *r, size_t max) {
    uint32_t n = rd_u32le(&r->rd);
    if (n == (uint32_t)NO_TEXT || r->rd.bad)
        return NULL;
    const uint8_t *p = n <= max ? rd_bytes(&r->rd, n) : NULL;
    if (!p || memchr(p, 0, n)) {
        r->bad = true;
        return NULL;
    }
    char *s = arena_alloc(r->a, n + 1u);
    if (!s) {
        r->nomem = true;
        return NULL;
    }
    memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

static const char *get_name(struct reader *r) {
    const char *s = get_text(r, CAT_NAME_BYTES_MAX);
    if (!s)
        r->bad = true;
    return s ? s : "";
}

static uint16_t get_count(struct reader *r, uint16_t max) {
    uint16_t n = rd_u16le(&r->rd);
    if (n > max) {
        r->bad = true;
        return 0;
    }
    return n;
}

static uint8_t get_flags(struct reader *r, uint8_t known) {
    uint8_t f = rd_u8(&r->rd);
    if (f & ~known)
        r->bad = true;
    return f;
}

static bool get_ok(const struct reader *r) {
    return !r->bad && !r->nomem && !r->rd.bad;
}

static const struct table *get_store(struct reader *r) {
    uint32_t n = rd_u32le(&r->rd);
    if (n == (uint32_t)NO_TEXT || r->rd.bad)
        return NULL;
    const uint8_t *p = n <= TABLE_BYTES_MAX ? rd_bytes(&r->rd, n) : NULL;
    struct table *t;
    if (!p || r->stores == ARRAY_LEN(r->store)) {
        r->bad = true;
        return NULL;
    }
    enum rc rc = table_decode(p, n, &t, r->err);
    if (rc) {
        r->nomem = r->nomem || rc == RC_NOMEM;
        r->bad = true;
        return NULL;
    }
    r->store[r->stores++] = t;
    return t;
}

static struct cat_part *get_parts(struct reader *r, uint16_t *ret_count, uint16_t columns) {
    uint16_t n = get_count(r, TABLE_KEY_MAX);
    struct cat_part *p = room(r, n, sizeof *p);
    for (uint16_t i = 0; i < n && get_ok(r); i++) {
        p[i] = (struct cat_part){rd_u16le(&r->rd), get_flags(r, 1)};
        if (p[i].col >= columns)
            r->bad = true;
    }
    *ret_count = n;
    return p;
}

static struct cat_column *get_columns(struct reader *r, uint16_t *ret_count) {
    uint16_t n = get_count(r, TABLE_COLUMNS_MAX);
    struct cat_column *c = room(r, n, sizeof *c);
    for (uint16_t i = 0; i < n && get_ok(r); i++) {
        c[i].name = get_name(r);
        c[i].id = rd_u32le(&r->rd);
        c[i].type.type = rd_u8(&r->rd);
        c[i].type.elem = rd_u8(&r->rd);
        c[i].type.typmod = (int32_t)rd_u32le(&r->rd);
        c[i].type.type_id = rd_u32le(&r->rd);
        uint8_t flags = get_flags(r, COLUMN_NOT_NULL | COLUMN_HIDDEN | COLUMN_DROPPED);
        c[i].not_null = flags & COLUMN_NOT_NULL;
        c[i].hidden = flags & COLUMN_HIDDEN;
        c[i].dropped = flags & COLUMN_DROPPED;
        c[i].default_sql = get_text(r, CAT_OBJECT_BYTES_MAX);
        c[i].sequence = rd_u32le(&r->rd);
        c[i].identity = (char)rd_u8(&r->rd);
        c[i].generated_sql = get_text(r, CAT_OBJECT_BYTES_MAX);
        c[i].comment = get_text(r, CAT_COMMENT_BYTES_MAX);
        if (get_ok(r) && (col_valid(&c[i].type, r->err) || (c[i].identity && !strchr("ad", c[i].identity))))
            r->bad = true;
    }
    *ret_count = n;
    return c;
}

static struct cat_index *get_indexes(struct reader *r, uint16_t *ret_count, uint16_t columns) {
    uint16_t n = get_count(r, TABLE_INDEXES_MAX);
    struct cat_index *x = room(r, n, sizeof *x);
    for (uint16_t i = 0; i < n && get_ok(r); i++) {
        x[i].name = get_name(r);
        x[i].id = rd_u32le(&r->rd);
        x[i].kind = rd_u8(&r->rd);
        x[i].state = rd_u8(&r->rd);
        uint8_t flags = get_flags(r, INDEX_UNIQUE | INDEX_NULLS_SAME | INDEX_CONSTRAINT);
        x[i].unique = flags & INDEX_UNIQUE;
        x[i].nulls_not_distinct = flags & INDEX_NULLS_SAME;
        x[i].constraint = flags & INDEX_CONSTRAINT;
        x[i].part = get_parts(r, &x[i].parts, columns);
        x[i].includes = get_count(r, TABLE_INDEX_COLUMNS_MAX);
        uint16_t *include = room(r, x[i].includes, sizeof *include);
        for (uint16_t k = 0; k < x[i].includes && get_ok(r); k++) {
            include[k] = rd_u16le(&r->rd);
            if (include[k] >= columns)
                r->bad = true;
        }
        x[i].include = include;
        x[i].where_sql = get_text(r, CAT_OBJECT_BYTES_MAX);
        x[i].store = get_store(r);
        if (x[i].kind > CAT_INDEX_GLOBAL || x[i].state > CAT_PUBLIC || (x[i].kind == CAT_INDEX_GLOBAL && !x[i].store))
            r->bad = true;
    }
    *ret_count = n;
    return x;
}

static struct cat_check *get_checks(struct reader *r, uint16_t *ret_count) {
    uint16_t n = get_count(r, CHECKS_MAX);
    struct cat_check *c = room(r, n, sizeof *c);
    for (uint16_t i = 0; i < n && get_ok(r); i++) {
        c[i].name = get_name(r);
        c[i].sql = get_text(r, CAT_OBJECT_BYTES_MAX);
        c[i].validated = get_flags(r, 1);
        if (!c[i].sql)
            r->bad = true;
    }
    *ret_count = n;
    return c;
}

static struct cat_foreign_key *get_foreign_keys(struct reader *r, uint16_t *ret_count, uint16_t columns) {
    uint16_t n = get_count(r, CHECKS_MAX);
    struct cat_foreign_key *f = room(r, n, sizeof *f);
    for (uint16_t i = 0; i < n && get_ok(r); i++) {
        f[i].name = get_name(r);
        f[i].table = rd_u32le(&r->rd);
        f[i].cols = get_count(r, TABLE_KEY_MAX);
        uint16_t *col = room(r, f[i].cols, sizeof *col), *ref = room(r, f[i].cols, sizeof *ref);
        for (uint16_t k = 0; k < f[i].cols && get_ok(r); k++) {
            col[k] = rd_u16le(&r->rd);
            ref[k] = rd_u16le(&r->rd);
            if (col[k] >= columns || ref[k] >= TABLE_COLUMNS_MAX)
                r->bad = true;
        }
        f[i].col = col;
        f[i].ref = ref;
        f[i].on_update = (char)rd_u8(&r->rd);
        f[i].on_delete = (char)rd_u8(&r->rd);
        uint8_t flags = get_flags(r, FOREIGN_DEFERRABLE | FOREIGN_DEFERRED);
        f[i].deferrable = flags & FOREIGN_DEFERRABLE;
        f[i].deferred = flags & FOREIGN_DEFERRED;
    }
    *ret_count = n;
    return f;
}

static void get_table(struct reader *r, struct cat_object *o) {
    struct cat_table t = {.owner = o->owner, .schema = o->schema, .name = o->name, .comment = o->comment};
    t.id = rd_u32le(&r->rd);
    t.version = rd_u32le(&r->rd);
    t.kind = rd_u8(&r->rd);
    t.schema_name = get_name(r);
    t.column = get_columns(r, &t.columns);
    t.key = get_parts(r, &t.keys, t.columns);
    t.key_name = get_text(r, CAT_NAME_BYTES_MAX);
    t.index = get_indexes(r, &t.indexes, t.columns);
    t.check = get_checks(r, &t.checks);
    t.foreign_key = get_foreign_keys(r, &t.foreign_keys, t.columns);
    t.parent = rd_u32le(&r->rd);
    t.placement = get_text(r, CAT_OBJECT_BYTES_MAX);
    t.view_sql = get_text(r, CAT_OBJECT_BYTES_MAX);
    t.store = get_store(r);
    if (t.id != o->id || (t.kind != CAT_TABLE && t.kind != CAT_VIEW) || (t.kind == CAT_TABLE && !t.store))
        r->bad = true;
    struct cat_table *made;
    if (get_ok(r)) {
        enum rc rc = cat_table_new(&t, &made, r->err);
        if (rc == RC_NOMEM)
            r->nomem = true;
        else if (rc)
            r->bad = true;
        else
            o->table = made;
    }
}

static void get_sequence(struct reader *r, struct cat_sequence *s) {
    s->start = (int64_t)rd_u64le(&r->rd);
    s->increment = (int64_t)rd_u64le(&r->rd);
    s->min = (int64_t)rd_u64le(&r->rd);
    s->max = (int64_t)rd_u64le(&r->rd);
    s->cache = (int64_t)rd_u64le(&r->rd);
    s->type = rd_u8(&r->rd);
    s->cycle = get_flags(r, 1);
    s->owner_table = rd_u32le(&r->rd);
    s->owner_column = rd_u32le(&r->rd);
    if (s->increment == 0 || s->min > s->max || s->start < s->min || s->start > s->max || s->cache < 1 ||
        (s->type != COL_INT2 && s->type != COL_INT4 && s->type != COL_INT8))
        r->bad = true;
}

static void get_role(struct reader *r, struct cat_role *role) {
    uint8_t flags = get_flags(r, ROLE_LOGIN | ROLE_SUPERUSER | ROLE_CREATEDB | ROLE_CREATEROLE);
    const char *verifier = get_text(r, CAT_VERIFIER_BYTES - 1);
    role->login = flags & ROLE_LOGIN;
    role->superuser = flags & ROLE_SUPERUSER;
    role->createdb = flags & ROLE_CREATEDB;
    role->createrole = flags & ROLE_CREATEROLE;
    if (verifier)
        memcpy(role->verifier, verifier, strlen(verifier) + 1);
    else
        r->bad = true;
}

enum rc cat_object_decode(const struct cat_object *head, const void *body, size_t bytes, struct cat_object **ret,
                          struct err *err) {
    struct err why = {0};
    struct arena a;
    struct cat_object o = *head;
    if (head->kind == CAT_OBJECT_VERSION || head->kind >= CAT_OBJECT_KINDS || bytes > CAT_OBJECT_BYTES_MAX)
        return err_set(err, RC_CORRUPT, "object %u of the catalog is of kind %u, %zu bytes", head->id, head->kind,
                       bytes);
    o.comment = NULL;
    o.dropped = bytes == 0;
    memset(&o.role, 0, sizeof o.role);
    if (o.kind == CAT_OBJECT_TABLE)
        o.table = NULL;
    if (o.dropped)
        return cat_object_new(&o, ret, err);
    arena_init(&a, ARENA_BYTES_MAX);
    struct reader r = {.a = &a, .err = &why};
    rd_init(&r.rd, body, bytes);
    uint8_t format = rd_u8(&r.rd);
    enum rc rc = RC_OK;
    o.owner = rd_u32le(&r.rd);
    o.comment = get_text(&r, CAT_COMMENT_BYTES_MAX);
    if (format != FORMAT)
        rc = err_set(err, RC_UNSUPPORTED, "object %u of the catalog is of a newer format, %u", head->id, format);
    else if (o.kind == CAT_OBJECT_TABLE)
        get_table(&r, &o);
    else if (o.kind == CAT_OBJECT_SEQUENCE)
        get_sequence(&r, &o.sequence);
    else if (o.kind == CAT_OBJECT_ROLE)
        get_role(&r, &o.role);
    if (!rc && r.nomem)
        rc = err_set(err, RC_NOMEM, "out of memory for object %u of the catalog", head->id);
    if (!rc && !get_ok(&r)) {
        rc = err_set(err, RC_CORRUPT, "object %u of the catalog, \"%s\", is damaged", head->id, head->name);
        if (err && why.rc)
            err_detail(err, "%s", err_message(&why));
    }
    if (!rc)
        rc = cat_object_new(&o, ret, err);
    if (o.kind == CAT_OBJECT_TABLE)
        cat_table_unref(o.table);
    for (size_t i = 0; i < r.stores; i++)
        table_unref(r.store[i]);
    arena_done(&a);
    return rc;
}
