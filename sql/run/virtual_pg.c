/* SPDX-License-Identifier: Apache-2.0 */
/* virtual_pg.c: pg_catalog's relations that have rows: what psql's \d family, drivers and ORMs join. */
#include <stdio.h>
#include <string.h>

#include "sql/run/ddl.h"
#include "sql/run/virtual.h"

enum {
    OID_BTREE = 403,
    OID_HEAP = 2,
    OID_INTERNAL = 12,
    OID_COLLATION_DEFAULT = 100,
    OID_TABLESPACE = 1663,
    ENCODING_UTF8 = 6,
    OPCLASS = 1978,
    OPERATOR_EQUAL = 96
};

/* ---- namespaces, databases, roles ------------------------------------------------------------------------------------- */

/* Where they stand as a new database has them, pg_dump has nothing to say of the schema. */
static void public_rights(struct virt *x, const char *owner) {
    const char *const v[] = {virt_printf(x, "%s=UC/%s", owner, owner), virt_printf(x, "=U/%s", owner)};
    if (v[0] && v[1])
        virt_texts(x, v, ARRAY_LEN(v));
    else
        virt_null(x);
}

static void namespaces(struct virt *x) {
    static const uint32_t system[] = {CAT_ID_PG_CATALOG, CAT_ID_INFORMATION_SCHEMA, CAT_ID_MERIDIAN_SCHEMA};
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_SCHEMA, false, &l))
        return;
    for (size_t i = 0; i < ARRAY_LEN(system) + l.n; i++) {
        const struct cat_object *o = i < ARRAY_LEN(system) ? NULL : l.v[i - ARRAY_LEN(system)];
        virt_int(x, o ? o->id : system[i]);
        virt_text(x, o ? o->name : virt_schema_name(x, system[i]));
        virt_int(x, o ? o->owner : CAT_ID_ROLE_MERIDIAN);
        if (o && strcmp(o->name, "public") == 0)
            public_rights(x, virt_role_name(x, o->owner));
        else
            virt_null(x);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

static void databases(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_DATABASE, true, &l))
        return;
    for (size_t i = 0; i < l.n; i++) {
        virt_int(x, l.v[i]->id);
        virt_text(x, l.v[i]->name);
        virt_int(x, l.v[i]->owner);
        virt_int(x, ENCODING_UTF8);
        virt_char(x, 'c');
        virt_bool(x, false);
        virt_bool(x, true);
        virt_int(x, -1);
        virt_int(x, 0);
        virt_int(x, 1);
        virt_int(x, OID_TABLESPACE);
        virt_text(x, "C");
        virt_text(x, "C");
        virt_nulls(x, 3);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

/* verifiers: a superuser sees what stands for passwords, as pg_dumpall writes it out; nobody else sees anything of them. */
static void role_rows(struct virt *x, bool verifiers) {
    const struct cat_object *me = cat_view_get(&x->view, x->s->role);
    bool see = me && me->kind == CAT_OBJECT_ROLE && me->role.superuser;
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_ROLE, true, &l))
        return;
    for (size_t i = 0; i < l.n; i++) {
        const struct cat_role *r = &l.v[i]->role;
        virt_text(x, l.v[i]->name);
        virt_bool(x, r->superuser);
        virt_bool(x, true);
        virt_bool(x, r->createrole || r->superuser);
        virt_bool(x, r->createdb || r->superuser);
        virt_bool(x, r->login);
        virt_bool(x, false);
        virt_int(x, -1);
        virt_text(x, !verifiers ? "********" : see && r->verifier[0] ? r->verifier : NULL);
        virt_null(x);
        virt_bool(x, r->superuser);
        virt_null(x);
        virt_int(x, l.v[i]->id);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

static void roles(struct virt *x) {
    role_rows(x, false);
}

static void authids(struct virt *x) {
    role_rows(x, true);
}

static void users(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_ROLE, true, &l))
        return;
    for (size_t i = 0; i < l.n; i++) {
        const struct cat_role *r = &l.v[i]->role;
        if (!r->login)
            continue;
        virt_text(x, l.v[i]->name);
        virt_int(x, l.v[i]->id);
        virt_bool(x, r->createdb || r->superuser);
        virt_bool(x, r->superuser);
        virt_bool(x, false);
        virt_bool(x, r->superuser);
        virt_text(x, "********");
        virt_nulls(x, 2);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

/* ---- relations ------------------------------------------------------------------------------------------------------------ */

struct class_of {
    uint32_t oid, schema, owner, am;
    const char *name;
    char kind;
    uint16_t columns, checks;
    bool indexes, triggers;
    double rows; /* -1: nobody has counted */
};

static bool class_row(struct virt *x, const struct class_of *r) {
    virt_int(x, r->oid);
    virt_text(x, r->name);
    virt_int(x, r->schema);
    virt_int(x, 0);
    virt_int(x, 0);
    virt_int(x, r->owner);
    virt_int(x, r->am);
    virt_int(x, r->oid);
    virt_int(x, 0);
    virt_int(x, 0);
    virt_real(x, (double)(float)r->rows);
    virt_int(x, 0);
    virt_int(x, 0);
    virt_bool(x, r->indexes);
    virt_bool(x, false);
    virt_char(x, 'p');
    virt_char(x, r->kind);
    virt_int(x, r->columns);
    virt_int(x, r->checks);
    virt_bool(x, r->kind == 'v');
    virt_bool(x, r->triggers);
    virt_bool(x, false);
    virt_bool(x, false);
    virt_bool(x, false);
    virt_bool(x, true);
    virt_char(x, 'd');
    virt_bool(x, false);
    virt_int(x, 0);
    virt_int(x, 0);
    virt_int(x, 1);
    virt_nulls(x, 3);
    return virt_end(x);
}

static bool class_indexes(struct virt *x, const struct cat_table *t) {
    struct class_of r = {.schema = t->schema, .owner = t->owner, .am = OID_BTREE, .kind = 'i', .rows = -1};
    if (t->key_name) {
        r.oid = virt_pkey_oid(t);
        r.name = t->key_name;
        r.columns = t->keys;
        if (!class_row(x, &r))
            return false;
    }
    for (uint16_t i = 0; i < t->indexes; i++) {
        r.oid = t->index[i].id;
        r.name = t->index[i].name;
        r.columns = (uint16_t)(t->index[i].parts + t->index[i].includes);
        if (!class_row(x, &r))
            return false;
    }
    return true;
}

static uint16_t visible_columns(const struct cat_table *t) {
    uint16_t n = 0;
    for (uint16_t i = 0; i < t->columns; i++)
        n = (uint16_t)(n + !t->column[i].hidden);
    return n;
}

/* psql looks for foreign keys only where there are triggers. */
static bool is_referred_to(const struct cat_list *l, uint32_t id) {
    for (size_t i = 0; i < l->n; i++)
        for (uint16_t k = 0; k < l->v[i]->table->foreign_keys; k++)
            if (l->v[i]->table->foreign_key[k].table == id)
                return true;
    return false;
}

static void classes(struct virt *x) {
    struct cat_list l, q;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    bool more = true;
    for (size_t i = 0; i < l.n && more; i++) {
        const struct cat_table *t = l.v[i]->table;
        struct class_of r = {.oid = t->id,
                             .schema = t->schema,
                             .owner = t->owner,
                             .am = t->kind == CAT_VIEW ? 0 : OID_HEAP,
                             .name = t->name,
                             .kind = (char)t->kind,
                             .columns = visible_columns(t),
                             .checks = t->checks,
                             .triggers = t->foreign_keys || is_referred_to(&l, t->id),
                             .indexes = t->key_name || t->indexes,
                             .rows = t->store ? counts_known(x->s->e->counts, t->store->id) : -1};
        more = class_row(x, &r) && class_indexes(x, t);
    }
    cat_list_done(&l);
    if (!more || !virt_list(x, CAT_OBJECT_SEQUENCE, false, &q))
        return;
    for (size_t i = 0; i < q.n && more; i++) {
        struct class_of r = {.oid = q.v[i]->id,
                             .schema = q.v[i]->schema,
                             .owner = q.v[i]->owner,
                             .name = q.v[i]->name,
                             .kind = 'S',
                             .rows = -1,
                             .columns = 3};
        more = class_row(x, &r);
    }
    cat_list_done(&q);
    for (size_t i = 0; i < virtual_count() && more; i++) {
        const struct cat_table *t = virtual_at(x->s->e, i);
        if (!t)
            continue;
        struct class_of r = {.oid = t->id,
                             .schema = t->schema,
                             .owner = t->owner,
                             .name = t->name,
                             .kind = t->schema == CAT_ID_PG_CATALOG ? 'r' : 'v',
                             .columns = visible_columns(t),
                             .rows = -1};
        more = class_row(x, &r);
    }
}

/* ---- columns ---------------------------------------------------------------------------------------------------------------- */

static bool attribute_row(struct virt *x, uint32_t rel, const struct cat_column *c, uint16_t number) {
    struct col type = c->type;
    bool text = type.type == COL_TEXT || type.type == COL_VARCHAR || type.type == COL_CHAR;
    char *gone = c->dropped ? virt_printf(x, "........pg.dropped.%u........", number) : NULL;
    virt_int(x, rel);
    virt_text(x, c->dropped ? gone : c->name);
    virt_int(x, c->dropped ? 0 : type_oid(&type));
    virt_int(x, -1);
    virt_int(x, type_length(&type));
    virt_int(x, number);
    virt_int(x, type.type == COL_ARRAY ? 1 : 0);
    virt_int(x, -1);
    virt_int(x, type.typmod);
    virt_bool(x, type_length(&type) > 0 && type_length(&type) <= 8);
    virt_char(x, 'i');
    virt_char(x, type_length(&type) > 0 ? 'p' : 'x');
    virt_text(x, "");
    virt_bool(x, c->not_null);
    virt_bool(x, (c->default_sql && !c->identity) || c->generated_sql);
    virt_bool(x, false);
    if (c->identity)
        virt_char(x, c->identity);
    else
        virt_text(x, "");
    virt_text(x, c->generated_sql ? "s" : "");
    virt_bool(x, c->dropped);
    virt_bool(x, true);
    virt_int(x, 0);
    virt_int(x, text ? OID_COLLATION_DEFAULT : 0);
    virt_nulls(x, 4);
    return virt_end(x);
}

static bool part_columns(struct virt *x, uint32_t oid, const struct cat_table *t, const struct cat_part *part,
                         uint16_t n) {
    for (uint16_t i = 0; i < n; i++) {
        bool hidden = t->column[part[i].col].hidden;
        struct cat_column c = {.name = hidden ? "expr" : t->column[part[i].col].name,
                               .type = t->column[part[i].col].type};
        if (!attribute_row(x, oid, &c, (uint16_t)(i + 1)))
            return false;
    }
    return true;
}

/* Numbers are places from 1; a hidden key has none that anybody sees. */
static bool table_columns(struct virt *x, const struct cat_table *t) {
    for (uint16_t i = 0; i < t->columns; i++)
        if (!t->column[i].hidden && !attribute_row(x, t->id, &t->column[i], (uint16_t)(i + 1)))
            return false;
    if (t->key_name && !part_columns(x, virt_pkey_oid(t), t, t->key, t->keys))
        return false;
    for (uint16_t i = 0; i < t->indexes; i++)
        if (!part_columns(x, t->index[i].id, t, t->index[i].part, t->index[i].parts))
            return false;
    return true;
}

static void attributes(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    bool more = true;
    for (size_t i = 0; i < l.n && more; i++)
        more = table_columns(x, l.v[i]->table);
    cat_list_done(&l);
    for (size_t i = 0; i < virtual_count() && more; i++) {
        const struct cat_table *t = virtual_at(x->s->e, i);
        for (uint16_t k = 0; t && k < t->columns && more; k++)
            more = t->column[k].hidden || attribute_row(x, t->id, &t->column[k], (uint16_t)(k + 1));
    }
}

static void defaults(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    bool more = true;
    for (size_t i = 0; i < l.n && more; i++) {
        const struct cat_table *t = l.v[i]->table;
        for (uint16_t k = 0; k < t->columns && more; k++) {
            const struct cat_column *c = &t->column[k];
            if ((!c->generated_sql && (!c->default_sql || c->identity)) || c->hidden || c->dropped)
                continue;
            virt_int(x, virt_default_oid(t, k));
            virt_int(x, t->id);
            virt_int(x, k + 1);
            virt_text(x, c->generated_sql ? c->generated_sql : c->default_sql);
            more = virt_end(x);
        }
    }
    cat_list_done(&l);
}

/* ---- indexes and constraints -------------------------------------------------------------------------------------------------- */

static bool index_row(struct virt *x, const struct cat_table *t, const struct cat_index *i, bool primary) {
    int64_t key[2 * TABLE_INDEX_COLUMNS_MAX], zero[2 * TABLE_INDEX_COLUMNS_MAX] = {0},
                                                       option[2 * TABLE_INDEX_COLUMNS_MAX] = {0},
                                                       opclass[2 * TABLE_INDEX_COLUMNS_MAX];
    size_t n = 0;
    for (uint16_t k = 0; k < i->parts; k++) {
        option[n] = i->part[k].desc ? 3 : 0;
        opclass[n] = OPCLASS;
        key[n++] = t->column[i->part[k].col].hidden ? 0 : i->part[k].col + 1;
    }
    for (uint16_t k = 0; k < i->includes; k++)
        key[n++] = i->include[k] + 1;
    virt_int(x, i->id);
    virt_int(x, t->id);
    virt_int(x, (int64_t)n);
    virt_int(x, i->parts);
    virt_bool(x, i->unique);
    virt_bool(x, i->nulls_not_distinct);
    virt_bool(x, primary);
    virt_bool(x, false);
    virt_bool(x, true);
    virt_bool(x, false);
    virt_bool(x, i->state == CAT_PUBLIC);
    virt_bool(x, false);
    virt_bool(x, true);
    virt_bool(x, true);
    virt_bool(x, false);
    virt_int2s(x, key, n);
    virt_oids(x, zero, i->parts);
    virt_oids(x, opclass, i->parts);
    virt_int2s(x, option, i->parts);
    virt_null(x);
    virt_text(x, i->where_sql);
    return virt_end(x);
}

static void indexes(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    bool more = true;
    for (size_t i = 0; i < l.n && more; i++) {
        const struct cat_table *t = l.v[i]->table;
        struct cat_index primary = {
            .id = virt_pkey_oid(t), .unique = true, .state = CAT_PUBLIC, .parts = t->keys, .part = t->key};
        if (t->key_name)
            more = index_row(x, t, &primary, true);
        for (uint16_t k = 0; k < t->indexes && more; k++)
            more = index_row(x, t, &t->index[k], false);
    }
    cat_list_done(&l);
}

static bool constraint_row(struct virt *x, const struct cat_table *t, uint32_t oid, const char *name, char type,
                           uint32_t index, const struct cat_part *part, uint16_t parts, const char *check) {
    int64_t key[TABLE_INDEX_COLUMNS_MAX];
    for (uint16_t i = 0; i < parts; i++)
        key[i] = part[i].col + 1;
    virt_int(x, oid);
    virt_text(x, name);
    virt_int(x, t->schema);
    virt_char(x, type);
    virt_bool(x, false);
    virt_bool(x, false);
    virt_bool(x, true);
    virt_int(x, t->id);
    virt_int(x, 0);
    virt_int(x, index);
    virt_int(x, 0);
    virt_int(x, 0);
    virt_text(x, " ");
    virt_text(x, " ");
    virt_text(x, " ");
    virt_bool(x, true);
    virt_int(x, 0);
    virt_bool(x, true);
    if (parts)
        virt_int2s(x, key, parts);
    else
        virt_null(x);
    virt_nulls(x, 6);
    virt_text(x, check);
    return virt_end(x);
}

static uint32_t index_of_key(const struct cat_list *l, const struct cat_foreign_key *k) {
    for (size_t i = 0; i < l->n; i++) {
        const struct cat_table *t = l->v[i]->table;
        if (t->id != k->table)
            continue;
        if (ddl_key_rests_on(k, t, NULL))
            return virt_pkey_oid(t);
        for (uint16_t x = 0; x < t->indexes; x++)
            if (ddl_key_rests_on(k, t, &t->index[x]))
                return t->index[x].id;
    }
    return 0;
}

static bool foreign_row(struct virt *x, const struct cat_list *l, const struct cat_table *t, uint16_t i) {
    const struct cat_foreign_key *k = &t->foreign_key[i];
    int64_t col[TABLE_KEY_MAX], ref[TABLE_KEY_MAX], op[TABLE_KEY_MAX];
    for (uint16_t c = 0; c < k->cols; c++) {
        col[c] = k->col[c] + 1;
        ref[c] = k->ref[c] + 1;
        op[c] = OPERATOR_EQUAL;
    }
    virt_int(x, virt_foreign_oid(t, i));
    virt_text(x, k->name);
    virt_int(x, t->schema);
    virt_char(x, 'f');
    virt_bool(x, k->deferrable);
    virt_bool(x, k->deferred);
    virt_bool(x, true);
    virt_int(x, t->id);
    virt_int(x, 0);
    virt_int(x, index_of_key(l, k));
    virt_int(x, 0);
    virt_int(x, k->table);
    virt_char(x, k->on_update);
    virt_char(x, k->on_delete);
    virt_char(x, 's');
    virt_bool(x, true);
    virt_int(x, 0);
    virt_bool(x, true);
    virt_int2s(x, col, k->cols);
    virt_int2s(x, ref, k->cols);
    for (int n = 0; n < 3; n++)
        virt_oids(x, op, k->cols);
    virt_nulls(x, 3);
    return virt_end(x);
}

static void constraints(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    bool more = true;
    for (size_t i = 0; i < l.n && more; i++) {
        const struct cat_table *t = l.v[i]->table;
        if (t->key_name)
            more = constraint_row(x, t, virt_pkey_constraint_oid(t), t->key_name, 'p', virt_pkey_oid(t), t->key,
                                  t->keys, NULL);
        for (uint16_t k = 0; k < t->indexes && more; k++)
            if (t->index[k].constraint)
                more = constraint_row(x, t, virt_unique_oid(&t->index[k]), t->index[k].name, 'u', t->index[k].id,
                                      t->index[k].part, t->index[k].parts, NULL);
        for (uint16_t k = 0; k < t->checks && more; k++)
            more = constraint_row(x, t, virt_check_oid(t, k), t->check[k].name, 'c', 0, NULL, 0, t->check[k].sql);
        for (uint16_t k = 0; k < t->foreign_keys && more; k++)
            more = foreign_row(x, &l, t, k);
    }
    cat_list_done(&l);
}

/* ---- types ------------------------------------------------------------------------------------------------------------------------ */

struct type_of {
    uint32_t oid, elem, array;
    const char *name;
    int length;
    char kind, category;
};

static bool type_row(struct virt *x, const struct type_of *t) {
    bool text = t->category == 'S';
    virt_int(x, t->oid);
    virt_text(x, t->name);
    virt_int(x, CAT_ID_PG_CATALOG);
    virt_int(x, CAT_ID_ROLE_MERIDIAN);
    virt_int(x, t->length);
    virt_bool(x, t->length > 0 && t->length <= 8);
    virt_char(x, t->kind);
    virt_char(x, t->category);
    virt_bool(x, t->oid == 16 || t->oid == 25 || t->oid == 701 || t->oid == 1184 || t->oid == 1186 || t->oid == 26);
    virt_bool(x, true);
    virt_char(x, ',');
    virt_int(x, 0);
    virt_int(x, 0);
    virt_int(x, t->elem);
    virt_int(x, t->array);
    char *io[4];
    static const char *const forms[] = {"in", "out", "recv", "send"};
    for (int i = 0; i < 4; i++)
        io[i] = t->category == 'A' ? virt_printf(x, "array_%s", forms[i]) : virt_printf(x, "%s%s", t->name, forms[i]);
    for (int i = 0; i < 4; i++)
        virt_text(x, io[i]);
    virt_text(x, "-");
    virt_text(x, "-");
    virt_text(x, "-");
    virt_char(x, 'i');
    virt_char(x, t->length > 0 ? 'p' : 'x');
    virt_bool(x, false);
    virt_int(x, 0);
    virt_int(x, -1);
    virt_int(x, 0);
    virt_int(x, text ? OID_COLLATION_DEFAULT : 0);
    virt_nulls(x, 3);
    return virt_end(x);
}

static const struct {
    uint8_t type;
    const char *name;
    char category;
} type_names[] = {{COL_BOOL, "bool", 'B'},
                  {COL_INT2, "int2", 'N'},
                  {COL_INT4, "int4", 'N'},
                  {COL_INT8, "int8", 'N'},
                  {COL_FLOAT4, "float4", 'N'},
                  {COL_FLOAT8, "float8", 'N'},
                  {COL_NUMERIC, "numeric", 'N'},
                  {COL_TEXT, "text", 'S'},
                  {COL_VARCHAR, "varchar", 'S'},
                  {COL_CHAR, "bpchar", 'S'},
                  {COL_BYTEA, "bytea", 'U'},
                  {COL_DATE, "date", 'D'},
                  {COL_TIME, "time", 'D'},
                  {COL_TIMESTAMP, "timestamp", 'D'},
                  {COL_TIMESTAMPTZ, "timestamptz", 'D'},
                  {COL_INTERVAL, "interval", 'T'},
                  {COL_UUID, "uuid", 'U'},
                  {COL_JSON, "json", 'U'},
                  {COL_JSONB, "jsonb", 'U'},
                  {COL_OID, "oid", 'N'}};

static void types(struct virt *x) {
    static const struct type_of others[] = {
        {19, 18, 1003, "name", 64, 'b', 'S'},       {18, 0, 1002, "char", 1, 'b', 'Z'},
        {2205, 0, 2210, "regclass", 4, 'b', 'N'},   {2206, 0, 2211, "regtype", 4, 'b', 'N'},
        {24, 0, 1008, "regproc", 4, 'b', 'N'},      {4089, 0, 4090, "regnamespace", 4, 'b', 'N'},
        {22, 21, 1006, "int2vector", -1, 'b', 'A'}, {30, 26, 1013, "oidvector", -1, 'b', 'A'},
        {705, 0, 0, "unknown", -2, 'p', 'X'},       {2278, 0, 0, "void", 4, 'p', 'P'},
        {2249, 0, 0, "record", -1, 'p', 'P'},       {2276, 0, 0, "any", 4, 'p', 'P'},
        {2277, 0, 0, "anyarray", -1, 'p', 'P'},     {2283, 0, 0, "anyelement", 4, 'p', 'P'},
        {2275, 0, 0, "cstring", -2, 'p', 'P'},      {2279, 0, 0, "trigger", 4, 'p', 'P'},
        {2281, 0, 0, "internal", 8, 'p', 'P'}};
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
        struct col c = col_of(type_names[i].type), a = col_array_of(c);
        struct type_of t = {type_oid(&c),    0,   type_oid(&a),          type_names[i].name,
                            type_length(&c), 'b', type_names[i].category};
        char name[40];
        snprintf(name, sizeof name, "_%s", type_names[i].name);
        struct type_of array = {t.array, t.oid, 0, name, -1, 'b', 'A'};
        if (!type_row(x, &t) || !type_row(x, &array))
            return;
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (!type_row(x, &others[i]))
            return;
}

/* ---- functions and operators --------------------------------------------------------------------------------------------------------- */

static int64_t type_number(uint16_t type) {
    struct col c = col_of((enum col_type)type);
    if (type & 0xff00) {
        c = col_of(COL_ARRAY);
        c.elem = (uint8_t)(type >> 8);
        return type_oid(&c);
    }
    switch (type) {
    case FN_ANY:
        return 2276;
    case FN_ANYELEMENT:
    case FN_ANYCOMPATIBLE:
        return 2283;
    case FN_ANYARRAY:
        return 2277;
    case FN_UNKNOWN:
        return 705;
    case FN_RECORD:
        return 2249;
    case FN_VOID:
        return 2278;
    case FN_NAME:
        return 19;
    case FN_REGCLASS:
        return 2205;
    case FN_REGTYPE:
        return 2206;
    case FN_REGPROC:
        return 24;
    case FN_REGNAMESPACE:
        return 4089;
    default:
        return type > 0 && type < COL_TYPE_END && type != COL_ARRAY ? type_oid(&c) : 2276;
    }
}

static void procs(struct virt *x) {
    for (size_t i = 0; i < fn_count(); i++) {
        const struct fn *f = fn_at(i);
        static const char ours[] = "meridian."; /* part of the names of functions in that schema */
        int64_t arg[FN_ARGS_MAX];
        size_t n = f->args < FN_ARGS_MAX ? f->args : FN_ARGS_MAX;
        bool in_ours = strncmp(f->name, ours, sizeof ours - 1) == 0;
        if (f->name[0] == '$') /* nobody can call it by name */
            continue;
        for (size_t k = 0; k < n; k++)
            arg[k] = type_number(f->arg[k < ARRAY_LEN(f->arg) ? k : ARRAY_LEN(f->arg) - 1]);
        virt_int(x, f->oid);
        virt_text(x, in_ours ? f->name + sizeof ours - 1 : f->name);
        virt_int(x, in_ours ? CAT_ID_MERIDIAN_SCHEMA : CAT_ID_PG_CATALOG);
        virt_int(x, CAT_ID_ROLE_MERIDIAN);
        virt_int(x, OID_INTERNAL);
        virt_real(x, 1);
        virt_real(x, f->kind == FN_SET ? 1000 : 0);
        virt_int(x, f->variadic ? 2276 : 0);
        virt_int(x, 0);
        virt_char(x, f->kind == FN_AGGREGATE ? 'a' : f->kind == FN_WINDOW ? 'w' : 'f');
        virt_bool(x, false);
        virt_bool(x, false);
        virt_bool(x, f->strict);
        virt_bool(x, f->kind == FN_SET);
        virt_char(x, f->volatility == FN_IMMUTABLE ? 'i' : f->volatility == FN_STABLE ? 's' : 'v');
        virt_char(x, 's');
        virt_int(x, (int64_t)n);
        virt_int(x, 0);
        virt_int(x, type_number(f->ret));
        virt_oids(x, arg, n);
        virt_nulls(x, 5);
        virt_text(x, f->name);
        virt_nulls(x, 4);
        if (!virt_end(x))
            return;
    }
}

static void operators(struct virt *x) {
    for (size_t i = 0; i < fn_count(); i++) {
        const struct fn *f = fn_at(i);
        if (!f->op || f->args < 1 || f->args > 2)
            continue;
        bool equal = strcmp(f->op, "=") == 0;
        virt_int(x, f->oid);
        virt_text(x, f->op);
        virt_int(x, CAT_ID_PG_CATALOG);
        virt_int(x, CAT_ID_ROLE_MERIDIAN);
        virt_char(x, f->args == 1 ? 'l' : 'b');
        virt_bool(x, equal);
        virt_bool(x, equal);
        virt_int(x, f->args == 1 ? 0 : type_number(f->arg[0]));
        virt_int(x, type_number(f->arg[f->args - 1]));
        virt_int(x, type_number(f->ret));
        virt_int(x, 0);
        virt_int(x, 0);
        virt_int(x, f->oid);
        virt_int(x, 0);
        virt_int(x, 0);
        if (!virt_end(x))
            return;
    }
}

/* ---- small ones ----------------------------------------------------------------------------------------------------------------------- */

static void access_methods(struct virt *x) {
    virt_int(x, OID_HEAP);
    virt_text(x, "heap");
    virt_text(x, "heap_tableam_handler");
    virt_char(x, 't');
    if (!virt_end(x))
        return;
    virt_int(x, OID_BTREE);
    virt_text(x, "btree");
    virt_text(x, "bthandler");
    virt_char(x, 'i');
    virt_end(x);
}

/* Functions are built in. */
static void languages(struct virt *x) {
    virt_int(x, OID_INTERNAL);
    virt_text(x, "internal");
    virt_int(x, CAT_ID_ROLE_MERIDIAN);
    virt_bool(x, false);
    virt_bool(x, false);
    virt_int(x, 0);
    virt_int(x, 0);
    virt_int(x, 2246);
    virt_null(x);
    virt_end(x);
}

static void collations(struct virt *x) {
    static const struct {
        uint32_t oid;
        const char *name;
    } all[] = {{100, "default"}, {950, "C"}, {951, "POSIX"}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        virt_int(x, all[i].oid);
        virt_text(x, all[i].name);
        virt_int(x, CAT_ID_PG_CATALOG);
        virt_int(x, CAT_ID_ROLE_MERIDIAN);
        virt_char(x, i ? 'c' : 'd');
        virt_bool(x, true);
        virt_int(x, -1);
        virt_text(x, i ? all[i].name : NULL);
        virt_text(x, i ? all[i].name : NULL);
        virt_nulls(x, 2);
        if (!virt_end(x))
            return;
    }
}

static void tablespaces(struct virt *x) {
    virt_int(x, OID_TABLESPACE);
    virt_text(x, "pg_default");
    virt_int(x, CAT_ID_ROLE_MERIDIAN);
    virt_nulls(x, 2);
    virt_end(x);
}

static void descriptions(struct virt *x) {
    static const struct {
        uint8_t kind;
        uint32_t class_oid;
    } kinds[] = {{CAT_OBJECT_TABLE, 1259}, {CAT_OBJECT_SEQUENCE, 1259}, {CAT_OBJECT_SCHEMA, 2615}};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct cat_list l;
        if (!virt_list(x, kinds[k].kind, false, &l))
            return;
        bool more = true;
        for (size_t i = 0; i < l.n && more; i++) {
            const struct cat_object *o = l.v[i];
            uint16_t columns = o->kind == CAT_OBJECT_TABLE ? o->table->columns : 0;
            for (uint16_t c = 0; c <= columns && more; c++) {
                const char *text = c ? o->table->column[c - 1].comment : o->comment;
                if (!text)
                    continue;
                virt_int(x, o->id);
                virt_int(x, kinds[k].class_oid);
                virt_int(x, c);
                virt_text(x, text);
                more = virt_end(x);
            }
        }
        cat_list_done(&l);
        if (!more)
            return;
    }
}

static void shared_descriptions(struct virt *x) {
    for (int k = 0; k < 2; k++) {
        struct cat_list l;
        if (!virt_list(x, k ? CAT_OBJECT_ROLE : CAT_OBJECT_DATABASE, true, &l))
            return;
        bool more = true;
        for (size_t i = 0; i < l.n && more; i++) {
            if (!l.v[i]->comment)
                continue;
            virt_int(x, l.v[i]->id);
            virt_int(x, k ? 1260 : 1262);
            virt_text(x, l.v[i]->comment);
            more = virt_end(x);
        }
        cat_list_done(&l);
        if (!more)
            return;
    }
}

static void settings(struct virt *x) {
    const struct guc_vars *g = x->s->gucs;
    for (size_t i = 0; i < guc_count(g); i++) {
        struct guc_info v = guc_at(g, i);
        virt_text(x, v.name);
        virt_text(x, v.value);
        virt_text(x, v.unit);
        virt_text(x, strncmp(v.name, "meridian.", 9) == 0 ? "Meridian" : "PostgreSQL");
        virt_text(x, v.about);
        virt_null(x);
        virt_text(x, v.internal ? "internal" : "user");
        virt_text(x, v.type);
        virt_text(x, strcmp(v.value, v.start) == 0 ? "default" : "session");
        virt_nulls(x, 3);
        virt_text(x, v.start);
        virt_text(x, v.start);
        virt_nulls(x, 2);
        virt_bool(x, false);
        if (!virt_end(x))
            return;
    }
}

static void sequences(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_SEQUENCE, false, &l))
        return;
    for (size_t i = 0; i < l.n; i++) {
        const struct cat_sequence *q = &l.v[i]->sequence;
        virt_int(x, l.v[i]->id);
        virt_int(x, type_number(q->type));
        virt_int(x, q->start);
        virt_int(x, q->increment);
        virt_int(x, q->max);
        virt_int(x, q->min);
        virt_int(x, q->cache);
        virt_bool(x, q->cycle);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

static void sequence_views(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_SEQUENCE, false, &l))
        return;
    for (size_t i = 0; i < l.n; i++) {
        const struct cat_sequence *q = &l.v[i]->sequence;
        char name[COL_NAME_BYTES];
        struct col c = col_of((enum col_type)q->type);
        int64_t last = 0;
        bool called = false;
        x->rc = cat_sequence_last(x->s->e->catalog, l.v[i], x->s->deadline, &last, &called, x->err);
        if (x->rc)
            break;
        virt_text(x, virt_schema_name(x, l.v[i]->schema));
        virt_text(x, l.v[i]->name);
        virt_text(x, virt_role_name(x, l.v[i]->owner));
        virt_text(x, col_name(&c, name));
        virt_int(x, q->start);
        virt_int(x, q->min);
        virt_int(x, q->max);
        virt_int(x, q->increment);
        virt_bool(x, q->cycle);
        virt_int(x, q->cache);
        if (called)
            virt_int(x, last);
        else
            virt_null(x);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

static void table_views(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    for (size_t i = 0; i < l.n; i++) {
        const struct cat_table *t = l.v[i]->table;
        if (t->kind != CAT_TABLE)
            continue;
        virt_text(x, t->schema_name);
        virt_text(x, t->name);
        virt_text(x, virt_role_name(x, t->owner));
        virt_null(x);
        virt_bool(x, t->key_name || t->indexes);
        virt_bool(x, false);
        virt_bool(x, false);
        virt_bool(x, false);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

static void view_views(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    for (size_t i = 0; i < l.n; i++) {
        const struct cat_table *t = l.v[i]->table;
        if (t->kind != CAT_VIEW)
            continue;
        virt_text(x, t->schema_name);
        virt_text(x, t->name);
        virt_text(x, virt_role_name(x, t->owner));
        virt_text(x, virt_printf(x, " %s;", t->view_sql));
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

static bool index_view(struct virt *x, const struct cat_table *t, const struct cat_index *i) {
    struct buf b;
    buf_init(&b, 0);
    sess_index_def(&b, t, i);
    virt_text(x, t->schema_name);
    virt_text(x, t->name);
    virt_text(x, i->name);
    virt_null(x);
    virt_text(x, buf_cstr(&b));
    buf_done(&b);
    return virt_end(x);
}

static void index_views(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    bool more = true;
    for (size_t i = 0; i < l.n && more; i++) {
        const struct cat_table *t = l.v[i]->table;
        struct cat_index primary = {
            .name = t->key_name, .unique = true, .kind = CAT_INDEX_GLOBAL, .parts = t->keys, .part = t->key};
        if (t->key_name)
            more = index_view(x, t, &primary);
        for (uint16_t k = 0; k < t->indexes && more; k++)
            more = index_view(x, t, &t->index[k]);
    }
    cat_list_done(&l);
}

#define PG(id_, name_, rows_, columns_)                                                                                \
    { .id = (id_), .schema = CAT_ID_PG_CATALOG, .name = (name_), .columns = (columns_), .rows = (rows_) }

static const struct virt_def defs[] = {
    PG(1259, "pg_class", classes,
       "oid oid, relname name, relnamespace oid, reltype oid, reloftype oid, relowner oid, relam oid, relfilenode oid, "
       "reltablespace oid, relpages int4, reltuples float4, relallvisible int4, reltoastrelid oid, relhasindex bool, "
       "relisshared bool, relpersistence char, relkind char, relnatts int2, relchecks int2, relhasrules bool, "
       "relhastriggers "
       "bool, relhassubclass bool, relrowsecurity bool, relforcerowsecurity bool, relispopulated bool, relreplident "
       "char, "
       "relispartition bool, relrewrite oid, relfrozenxid int8, relminmxid int8, relacl text[], reloptions text[], "
       "relpartbound text"),
    PG(2615, "pg_namespace", namespaces, "oid oid, nspname name, nspowner oid, nspacl text[]"),
    PG(1249, "pg_attribute", attributes,
       "attrelid oid, attname name, atttypid oid, attstattarget int4, attlen int2, attnum int2, attndims int4, "
       "attcacheoff "
       "int4, atttypmod int4, attbyval bool, attalign char, attstorage char, attcompression char, attnotnull bool, "
       "atthasdef "
       "bool, atthasmissing bool, attidentity char, attgenerated char, attisdropped bool, attislocal bool, attinhcount "
       "int4, "
       "attcollation oid, attacl text[], attoptions text[], attfdwoptions text[], attmissingval text"),
    PG(1247, "pg_type", types,
       "oid oid, typname name, typnamespace oid, typowner oid, typlen int2, typbyval bool, typtype char, typcategory "
       "char, "
       "typispreferred bool, typisdefined bool, typdelim char, typrelid oid, typsubscript oid, typelem oid, typarray "
       "oid, "
       "typinput text, typoutput text, typreceive text, typsend text, typmodin text, typmodout text, typanalyze text, "
       "typalign "
       "char, typstorage char, typnotnull bool, typbasetype oid, typtypmod int4, typndims int4, typcollation oid, "
       "typdefaultbin text, typdefault text, typacl text[]"),
    PG(2610, "pg_index", indexes,
       "indexrelid oid, indrelid oid, indnatts int2, indnkeyatts int2, indisunique bool, indnullsnotdistinct bool, "
       "indisprimary bool, indisexclusion bool, indimmediate bool, indisclustered bool, indisvalid bool, indcheckxmin "
       "bool, "
       "indisready bool, indislive bool, indisreplident bool, indkey int2vector, indcollation oidvector, indclass "
       "oidvector, "
       "indoption "
       "int2vector, indexprs text, indpred text"),
    PG(2606, "pg_constraint", constraints,
       "oid oid, conname name, connamespace oid, contype char, condeferrable bool, condeferred bool, convalidated "
       "bool, "
       "conrelid oid, contypid oid, conindid oid, conparentid oid, confrelid oid, confupdtype char, confdeltype char, "
       "confmatchtype char, conislocal bool, coninhcount int4, connoinherit bool, conkey int2[], confkey int2[], "
       "conpfeqop "
       "oid[], conppeqop oid[], conffeqop oid[], confdelsetcols int2[], conexclop oid[], conbin text"),
    PG(2604, "pg_attrdef", defaults, "oid oid, adrelid oid, adnum int2, adbin text"),
    PG(1262, "pg_database", databases,
       "oid oid, datname name, datdba oid, encoding int4, datlocprovider char, datistemplate bool, datallowconn bool, "
       "datconnlimit int4, datfrozenxid int8, datminmxid int8, dattablespace oid, datcollate text, datctype text, "
       "daticulocale text, datcollversion text, datacl text[]"),
    PG(12101, "pg_roles", roles,
       "rolname name, rolsuper bool, rolinherit bool, rolcreaterole bool, rolcreatedb bool, rolcanlogin bool, "
       "rolreplication "
       "bool, rolconnlimit int4, rolpassword text, rolvaliduntil timestamptz, rolbypassrls bool, rolconfig text[], oid "
       "oid"),
    PG(1260, "pg_authid", authids,
       "rolname name, rolsuper bool, rolinherit bool, rolcreaterole bool, rolcreatedb bool, rolcanlogin bool, "
       "rolreplication "
       "bool, rolconnlimit int4, rolpassword text, rolvaliduntil timestamptz, rolbypassrls bool, rolconfig text[], oid "
       "oid"),
    PG(12102, "pg_user", users,
       "usename name, usesysid oid, usecreatedb bool, usesuper bool, userepl bool, usebypassrls bool, passwd text, "
       "valuntil "
       "timestamptz, useconfig text[]"),
    PG(1255, "pg_proc", procs,
       "oid oid, proname name, pronamespace oid, proowner oid, prolang oid, procost float4, prorows float4, "
       "provariadic oid, "
       "prosupport oid, prokind char, prosecdef bool, proleakproof bool, proisstrict bool, proretset bool, provolatile "
       "char, "
       "proparallel char, pronargs int2, pronargdefaults int2, prorettype oid, proargtypes oidvector, proallargtypes "
       "oid[], "
       "proargmodes text[], proargnames text[], proargdefaults text, protrftypes oid[], prosrc text, probin text, "
       "prosqlbody "
       "text, proconfig text[], proacl text[]"),
    PG(2617, "pg_operator", operators,
       "oid oid, oprname name, oprnamespace oid, oprowner oid, oprkind char, oprcanmerge bool, oprcanhash bool, "
       "oprleft oid, "
       "oprright oid, oprresult oid, oprcom oid, oprnegate oid, oprcode oid, oprrest oid, oprjoin oid"),
    PG(2601, "pg_am", access_methods, "oid oid, amname name, amhandler text, amtype char"),
    PG(2612, "pg_language", languages,
       "oid oid, lanname name, lanowner oid, lanispl bool, lanpltrusted bool, lanplcallfoid oid, laninline oid, "
       "lanvalidator "
       "oid, lanacl text[]"),
    PG(3456, "pg_collation", collations,
       "oid oid, collname name, collnamespace oid, collowner oid, collprovider char, collisdeterministic bool, "
       "collencoding "
       "int4, collcollate text, collctype text, colliculocale text, collversion text"),
    PG(1213, "pg_tablespace", tablespaces, "oid oid, spcname name, spcowner oid, spcacl text[], spcoptions text[]"),
    PG(2609, "pg_description", descriptions, "objoid oid, classoid oid, objsubid int4, description text"),
    PG(2396, "pg_shdescription", shared_descriptions, "objoid oid, classoid oid, description text"),
    PG(12103, "pg_settings", settings,
       "name text, setting text, unit text, category text, short_desc text, extra_desc text, context text, vartype "
       "text, "
       "source text, min_val text, max_val text, enumvals text[], boot_val text, reset_val text, sourcefile text, "
       "sourceline "
       "int4, pending_restart bool"),
    PG(2224, "pg_sequence", sequences,
       "seqrelid oid, seqtypid oid, seqstart int8, seqincrement int8, seqmax int8, seqmin int8, seqcache int8, "
       "seqcycle bool"),
    PG(12104, "pg_sequences", sequence_views,
       "schemaname name, sequencename name, sequenceowner name, data_type text, start_value int8, min_value int8, "
       "max_value "
       "int8, increment_by int8, cycle bool, cache_size int8, last_value int8"),
    PG(12105, "pg_tables", table_views,
       "schemaname name, tablename name, tableowner name, tablespace name, hasindexes bool, hasrules bool, hastriggers "
       "bool, "
       "rowsecurity bool"),
    PG(12121, "pg_views", view_views, "schemaname name, viewname name, viewowner name, definition text"),
    PG(12106, "pg_indexes", index_views,
       "schemaname name, tablename name, indexname name, tablespace name, indexdef text"),
};

const struct virt_table virt_pg = {defs, ARRAY_LEN(defs)};
