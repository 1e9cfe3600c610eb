/* SPDX-License-Identifier: Apache-2.0 */
/* virtual.c: see virtual.h: descriptors from their texts, rows out of their makers, made-up numbers. */
#include "sql/run/virtual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct virt_table *const tables[] = {&virt_pg,          &virt_pg_more,  &virt_depend,
                                                  &virt_information, &virt_meridian, &virt_activity};

/* ---- descriptors ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    uint8_t type, elem;
} type_names[] = {{"oid", COL_OID, 0},
                  {"name", COL_TEXT, 0},
                  {"text", COL_TEXT, 0},
                  {"char", COL_TEXT, 0},
                  {"bool", COL_BOOL, 0},
                  {"int2", COL_INT2, 0},
                  {"int4", COL_INT4, 0},
                  {"int8", COL_INT8, 0},
                  {"float4", COL_FLOAT4, 0},
                  {"float8", COL_FLOAT8, 0},
                  {"timestamptz", COL_TIMESTAMPTZ, 0},
                  {"text[]", COL_ARRAY, COL_TEXT},
                  {"oid[]", COL_ARRAY, COL_OID},
                  {"int2[]", COL_ARRAY, COL_INT2},
                  {"int2vector", COL_ARRAY, COL_INT2},
                  {"oidvector", COL_ARRAY, COL_OID}};

static struct col type_of(const char *text, size_t n) {
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
        if (strlen(type_names[i].name) == n && memcmp(type_names[i].name, text, n) == 0) {
            struct col c = col_of(type_names[i].type);
            c.elem = type_names[i].elem;
            if (c.elem && !strchr(type_names[i].name, '['))
                c.typmod = COL_TYPMOD_VECTOR;
            return c;
        }
    CHECKF(false, "no type %.*s", (int)n, text);
    return col_of(COL_TEXT);
}

static const char *schema_of(uint32_t id) {
    return id == CAT_ID_PG_CATALOG ? "pg_catalog" : id == CAT_ID_INFORMATION_SCHEMA ? "information_schema" : "meridian";
}

static enum rc describe(const struct virt_def *d, struct cat_table **ret) {
    struct cat_column column[64];
    struct arena a;
    struct cat_table t = {.id = d->id,
                          .schema = d->schema,
                          .owner = CAT_ID_ROLE_MERIDIAN,
                          .version = 1,
                          .name = d->name,
                          .schema_name = schema_of(d->schema),
                          .kind = CAT_SYSTEM,
                          .column = column};
    arena_init(&a, 0);
    for (const char *at = d->columns; *at;) {
        size_t name = strcspn(at, " ");
        const char *type = at + name + 1;
        size_t n = strcspn(type, ",");
        CHECK(t.columns < ARRAY_LEN(column));
        char *copy = arena_printf(&a, "%.*s", (int)name, at);
        if (!copy) {
            arena_done(&a);
            return RC_NOMEM;
        }
        column[t.columns] = (struct cat_column){.name = copy, .id = t.columns + 1u, .type = type_of(type, n)};
        t.columns++;
        at = type + n + strspn(type + n, ", ");
    }
    CHECK(t.columns < ARRAY_LEN(column));
    column[t.columns] = (struct cat_column){
        .name = "tableoid", .id = t.columns + 1u, .type = col_of(COL_OID), .not_null = true, .hidden = true};
    t.columns++;
    enum rc rc = cat_table_new(&t, ret, NULL);
    arena_done(&a);
    return rc;
}

size_t virtual_count(void) {
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        n += tables[i]->n;
    return n;
}

static const struct virt_def *def_at(size_t i) {
    for (size_t k = 0; k < ARRAY_LEN(tables); k++) {
        if (i < tables[k]->n)
            return &tables[k]->def[i];
        i -= tables[k]->n;
    }
    return NULL;
}

/* Two relations of one number would be taken for each other. */
static void check_numbers(void) {
    for (size_t i = 0; i < virtual_count(); i++)
        for (size_t k = 0; k < i; k++)
            CHECKF(def_at(i)->id != def_at(k)->id, "%s and %s have one number", def_at(i)->name, def_at(k)->name);
}

const struct cat_table *virtual_at(struct sess_engine *e, size_t i) {
    if (!e->virtuals) {
        check_numbers();
        e->virtuals = calloc(virtual_count(), sizeof(struct cat_table *));
        if (!e->virtuals)
            return NULL;
    }
    struct cat_table *t = e->virtuals[i];
    if (!t && describe(def_at(i), &t) == RC_OK)
        e->virtuals[i] = t;
    return e->virtuals[i];
}

void virtual_done(struct sess_engine *e) {
    for (size_t i = 0; e->virtuals && i < virtual_count(); i++)
        cat_table_unref(e->virtuals[i]);
    free(e->virtuals);
}

const struct cat_table *virtual_find(struct sess_engine *e, uint32_t schema, const char *name) {
    for (size_t i = 0; i < virtual_count(); i++) {
        const struct virt_def *d = def_at(i);
        if (d->schema == schema && strcmp(d->name, name) == 0)
            return virtual_at(e, i);
    }
    return NULL;
}

/* ---- values ------------------------------------------------------------------------------------------------------------- */

static void put(struct virt *x, struct value v) {
    CHECKF(x->n < x->t->columns, "%s has %u columns", x->t->name, x->t->columns);
    x->v[x->n++] = v;
}

void virt_int(struct virt *x, int64_t i) {
    put(x, value_int(i));
}

void virt_real(struct virt *x, double r) {
    put(x, value_float(r));
}

void virt_bool(struct virt *x, bool b) {
    put(x, value_int(b));
}

void virt_text(struct virt *x, const char *s) {
    char *copy = s ? arena_strdup(&x->a, s) : NULL;
    if (s && !copy)
        x->rc = RC_NOMEM;
    put(x, copy ? value_text(copy, strlen(copy)) : value_null());
}

void virt_char(struct virt *x, char c) {
    char s[2] = {c, '\0'};
    virt_text(x, s);
}

void virt_null(struct virt *x) {
    put(x, value_null());
}

void virt_nulls(struct virt *x, unsigned n) {
    while (n--)
        virt_null(x);
}

char *virt_printf(struct virt *x, const char *fmt, ...) {
    va_list ap;
    struct buf b;
    char *s = NULL;
    buf_init(&b, 0);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (buf_cstr(&b))
        s = arena_strdup(&x->a, buf_cstr(&b));
    buf_done(&b);
    if (!s)
        x->rc = RC_NOMEM;
    return s;
}

static bool vector_now(const struct virt *x) {
    return col_is_vector(&x->t->column[x->n].type);
}

/* Vectors count from 0. */
static void array_head(struct virt *x, struct buf *b, uint32_t oid, size_t n) {
    if (n && vector_now(x)) {
        buf_put_u32be(b, 1);
        buf_put_u32be(b, 0);
        buf_put_u32be(b, oid);
        buf_put_u32be(b, (uint32_t)n);
        buf_put_u32be(b, 0);
        return;
    }
    buf_put_u32be(b, n ? 1 : 0);
    buf_put_u32be(b, 0);
    buf_put_u32be(b, oid);
    if (n) {
        buf_put_u32be(b, (uint32_t)n);
        buf_put_u32be(b, 1);
    }
}

static void put_array(struct virt *x, struct buf *b) {
    void *p = buf_rc(b) ? NULL : arena_copy(&x->a, b->data, b->len);
    if (!p)
        x->rc = RC_NOMEM;
    put(x, p ? value_blob(p, b->len) : value_null());
    buf_done(b);
}

void virt_int2s(struct virt *x, const int64_t *v, size_t n) {
    struct buf b;
    buf_init(&b, 0);
    array_head(x, &b, 21, n);
    for (size_t i = 0; i < n; i++) {
        buf_put_u32be(&b, 2);
        buf_put_u16be(&b, (uint16_t)v[i]);
    }
    put_array(x, &b);
}

void virt_oids(struct virt *x, const int64_t *v, size_t n) {
    struct buf b;
    buf_init(&b, 0);
    array_head(x, &b, 26, n);
    for (size_t i = 0; i < n; i++) {
        buf_put_u32be(&b, 4);
        buf_put_u32be(&b, (uint32_t)v[i]);
    }
    put_array(x, &b);
}

void virt_texts(struct virt *x, const char *const *v, size_t n) {
    struct buf b;
    buf_init(&b, 0);
    array_head(x, &b, 25, n);
    for (size_t i = 0; i < n; i++) {
        buf_put_u32be(&b, (uint32_t)strlen(v[i]));
        buf_puts(&b, v[i]);
    }
    put_array(x, &b);
}

bool virt_end(struct virt *x) {
    put(x, value_int(x->t->id)); /* tableoid */
    CHECKF(x->n == x->t->columns, "a row of %s has %u columns, not %u", x->t->name, x->n, x->t->columns);
    if (!x->rc)
        x->rc = x->on_row(x->to, x->v, x->err);
    else
        err_set(x->err, x->rc, "out of memory for a row of %s", x->t->name);
    x->n = 0;
    arena_reset(&x->a);
    return !x->rc;
}

/* ---- sequences -------------------------------------------------------------------------------------------------- */

enum rc virtual_sequence(const struct cat_object *o, const struct cat_table **ret, struct err *err) {
    static const struct cat_column column[] = {
        {.name = "last_value", .id = 1, .type = {.type = COL_INT8, .typmod = COL_TYPMOD_NONE}, .not_null = true},
        {.name = "log_cnt", .id = 2, .type = {.type = COL_INT8, .typmod = COL_TYPMOD_NONE}, .not_null = true},
        {.name = "is_called", .id = 3, .type = {.type = COL_BOOL, .typmod = COL_TYPMOD_NONE}, .not_null = true}};
    struct cat_table t = {.id = o->id,
                          .schema = o->schema,
                          .owner = o->owner,
                          .version = 1,
                          .name = o->name,
                          .schema_name = "public", /* nobody prints it */
                          .kind = CAT_SYSTEM,
                          .columns = ARRAY_LEN(column),
                          .column = column};
    struct cat_table *made;
    enum rc rc = cat_table_new(&t, &made, err);
    if (!rc)
        *ret = made;
    return rc;
}

static enum rc sequence_row(struct sess *s, const struct cat_table *t, portal_row *on_row, void *to, struct err *err) {
    struct cat_view v = sess_view(s);
    const struct cat_object *found = cat_view_get(&v, t->id);
    int64_t last = 0;
    bool called = false;
    if (!found || found->kind != CAT_OBJECT_SEQUENCE)
        return err_set(err, RC_STALE, "relation %u is gone", t->id);
    struct cat_object *o = cat_object_ref((struct cat_object *)(uintptr_t)found);
    enum rc rc = cat_sequence_last(s->e->catalog, o, s->deadline, &last, &called, err);
    cat_object_unref(o);
    struct value row[3] = {value_int(last), value_int(0), value_int(called)};
    return rc ? rc : on_row(to, row, err);
}

enum rc virtual_rows(void *ctx, const struct cat_table *t, portal_row *on_row, void *to, struct err *err) {
    struct sess *s = ctx;
    const struct virt_def *d = NULL;
    for (size_t i = 0; i < virtual_count() && !d; i++)
        if (def_at(i)->id == t->id)
            d = def_at(i);
    if (!d)
        return sequence_row(s, t, on_row, to, err);
    if (!d->rows)
        return RC_OK;
    struct virt x = {.s = s, .view = sess_view(s), .t = t, .on_row = on_row, .to = to, .err = err};
    arena_init(&x.a, SESS_ARENA_BYTES_MAX);
    x.v = calloc(t->columns + 1u, sizeof *x.v);
    if (!x.v)
        return err_set(err, RC_NOMEM, "out of memory for a row");
    d->rows(&x);
    free(x.v);
    arena_done(&x.a);
    return x.rc;
}

/* ---- helpers -------------------------------------------------------------------------------------------------------------- */

bool virt_list(struct virt *x, enum cat_kind kind, bool all_databases, struct cat_list *ret) {
    x->rc = cat_view_list(&x->view, kind, all_databases ? 0 : x->s->database, ret, x->err);
    return !x->rc;
}

const char *virt_role_name(struct virt *x, uint32_t id) {
    const struct cat_object *o = cat_view_get(&x->view, id);
    return o && o->kind == CAT_OBJECT_ROLE ? o->name : "meridian";
}

const char *virt_schema_name(struct virt *x, uint32_t id) {
    const struct cat_object *o = cat_view_get(&x->view, id);
    return o && o->kind == CAT_OBJECT_SCHEMA ? o->name : schema_of(id);
}

enum {
    PKEY = 1u << 30,
    PKEY_CONSTRAINT = 1u << 29,
    UNIQUE = 1u << 28,
    CHECKS = 3u << 28,
    FOREIGN = 5u << 28,
    LOW = (1u << 28) - 1,
    CHECKS_EACH = 64
};

uint32_t virt_pkey_oid(const struct cat_table *t) {
    return (t->id & LOW) | PKEY;
}

uint32_t virt_pkey_constraint_oid(const struct cat_table *t) {
    return (t->id & LOW) | PKEY_CONSTRAINT;
}

uint32_t virt_unique_oid(const struct cat_index *x) {
    return (x->id & LOW) | UNIQUE;
}

uint32_t virt_check_oid(const struct cat_table *t, uint16_t i) {
    return ((t->id * CHECKS_EACH + i) & LOW) | CHECKS;
}

uint32_t virt_foreign_oid(const struct cat_table *t, uint16_t i) {
    return ((t->id * CHECKS_EACH + i) & LOW) | FOREIGN;
}

uint32_t virt_default_oid(const struct cat_table *t, uint16_t column) {
    return ((t->id << 8) | column) & 0x7fffffff;
}

const struct cat_object *virtual_pkey_table(const struct cat_view *v, uint32_t oid) {
    if ((oid & ~(uint32_t)LOW) != PKEY)
        return NULL;
    const struct cat_object *o = cat_view_get(v, oid & LOW);
    return o && o->kind == CAT_OBJECT_TABLE && o->table->key_name ? o : NULL;
}

uint32_t virtual_pkey_named(const struct cat_view *v, uint32_t schema, const char *name) {
    struct cat_list l;
    uint32_t id = 0;
    if (cat_view_list(v, CAT_OBJECT_TABLE, 0, &l, NULL))
        return 0;
    for (size_t i = 0; i < l.n && !id; i++)
        if (l.v[i]->schema == schema && l.v[i]->table->key_name && strcmp(l.v[i]->table->key_name, name) == 0)
            id = virt_pkey_oid(l.v[i]->table);
    cat_list_done(&l);
    return id;
}

static void put_columns(struct buf *to, const struct cat_table *t, const struct cat_part *part, uint16_t n) {
    buf_putc(to, '(');
    for (uint16_t i = 0; i < n; i++) {
        if (i)
            buf_puts(to, ", ");
        sess_quote_ident(to, t->column[part[i].col].name);
    }
    buf_putc(to, ')');
}

static void put_places(struct buf *b, const struct cat_table *t, const uint16_t *col, uint16_t n) {
    for (uint16_t i = 0; i < n; i++) {
        buf_puts(b, i ? ", " : "(");
        sess_quote_ident(b, t->column[col[i]].name);
    }
    buf_putc(b, ')');
}

static const char *action_name(char action) {
    return action == 'r'   ? "RESTRICT"
           : action == 'c' ? "CASCADE"
           : action == 'n' ? "SET NULL"
           : action == 'd' ? "SET DEFAULT"
                           : "NO ACTION";
}

static bool foreign_def(const struct sess *s, const struct cat_view *v, const struct cat_table *t,
                        const struct cat_foreign_key *k, struct buf *to) {
    const struct cat_object *p = cat_view_get(v, k->table);
    bool visible = false;
    if (!p || p->kind != CAT_OBJECT_TABLE)
        return false;
    for (size_t i = 0; i < s->paths; i++) {
        const struct cat_object *o = cat_view_relation(v, s->path[i], p->name);
        if (o) {
            visible = o == p;
            break;
        }
    }
    buf_puts(to, "FOREIGN KEY ");
    put_places(to, t, k->col, k->cols);
    buf_puts(to, " REFERENCES ");
    if (!visible) {
        sess_quote_ident(to, p->table->schema_name);
        buf_putc(to, '.');
    }
    sess_quote_ident(to, p->name);
    put_places(to, p->table, k->ref, k->cols);
    if (k->on_update != 'a')
        buf_printf(to, " ON UPDATE %s", action_name(k->on_update));
    if (k->on_delete != 'a')
        buf_printf(to, " ON DELETE %s", action_name(k->on_delete));
    buf_puts(to, k->deferrable ? " DEFERRABLE" : "");
    buf_puts(to, k->deferred ? " INITIALLY DEFERRED" : "");
    return true;
}

bool virtual_constraint_def(const struct sess *s, const struct cat_view *v, uint32_t oid, bool pretty, struct buf *to) {
    uint32_t kind = oid & ~(uint32_t)LOW;
    const struct cat_object *o;
    if (kind == PKEY_CONSTRAINT) {
        o = cat_view_get(v, oid & LOW);
        if (!o || o->kind != CAT_OBJECT_TABLE || !o->table->key_name)
            return false;
        buf_puts(to, "PRIMARY KEY ");
        put_columns(to, o->table, o->table->key, o->table->keys);
        return true;
    }
    if (kind == UNIQUE) {
        uint16_t i;
        o = cat_view_index_by_id(v, oid & LOW, &i);
        if (!o)
            return false;
        const struct cat_index *x = &o->table->index[i];
        buf_printf(to, "UNIQUE %s", x->nulls_not_distinct ? "NULLS NOT DISTINCT " : "");
        put_columns(to, o->table, x->part, x->parts);
        return true;
    }
    if (kind == CHECKS) {
        uint32_t table = (oid & LOW) / CHECKS_EACH, i = (oid & LOW) % CHECKS_EACH;
        o = cat_view_get(v, table);
        if (!o || o->kind != CAT_OBJECT_TABLE || i >= o->table->checks)
            return false;
        buf_printf(to, pretty ? "CHECK (%s)" : "CHECK ((%s))", o->table->check[i].sql);
        return true;
    }
    if (kind == FOREIGN) {
        uint32_t table = (oid & LOW) / CHECKS_EACH, i = (oid & LOW) % CHECKS_EACH;
        o = cat_view_get(v, table);
        return o && o->kind == CAT_OBJECT_TABLE && i < o->table->foreign_keys &&
               foreign_def(s, v, o->table, &o->table->foreign_key[i], to);
    }
    return false;
}
