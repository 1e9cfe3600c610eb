/* SPDX-License-Identifier: Apache-2.0 */
/* virtual_info.c: information_schema, as far as ORMs ask it. */
#include <stdio.h>
#include <string.h>

#include "sql/run/ddl.h"
#include "sql/run/virtual.h"

static void schemata(struct virt *x) {
    static const uint32_t system[] = {CAT_ID_PG_CATALOG, CAT_ID_INFORMATION_SCHEMA, CAT_ID_MERIDIAN_SCHEMA};
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_SCHEMA, false, &l))
        return;
    for (size_t i = 0; i < ARRAY_LEN(system) + l.n; i++) {
        const struct cat_object *o = i < ARRAY_LEN(system) ? NULL : l.v[i - ARRAY_LEN(system)];
        virt_text(x, x->s->database_name);
        virt_text(x, o ? o->name : virt_schema_name(x, system[i]));
        virt_text(x, virt_role_name(x, o ? o->owner : CAT_ID_ROLE_MERIDIAN));
        virt_nulls(x, 4);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

/* Calls on for each table of the database and each relation of the system until it says false. */
static void each_table(struct virt *x, bool system, bool (*on)(struct virt *x, const struct cat_table *t)) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    bool more = true;
    for (size_t i = 0; i < l.n && more; i++)
        more = on(x, l.v[i]->table);
    cat_list_done(&l);
    for (size_t i = 0; system && i < virtual_count() && more; i++) {
        const struct cat_table *t = virtual_at(x->s->e, i);
        more = !t || on(x, t);
    }
}

static bool table_row(struct virt *x, const struct cat_table *t) {
    virt_text(x, x->s->database_name);
    virt_text(x, t->schema_name);
    virt_text(x, t->name);
    virt_text(x, t->kind == CAT_TABLE || t->schema == CAT_ID_PG_CATALOG ? "BASE TABLE" : "VIEW");
    virt_nulls(x, 5);
    virt_text(x, t->kind == CAT_TABLE ? "YES" : "NO");
    virt_text(x, "NO");
    virt_null(x);
    return virt_end(x);
}

static void tables(struct virt *x) {
    each_table(x, true, table_row);
}

/* The type's name without what stands in parentheses. */
static const char *data_type(const struct col *c, char name[static COL_NAME_BYTES]) {
    struct col plain = *c;
    if (c->type == COL_ARRAY)
        return "ARRAY";
    plain.typmod = COL_TYPMOD_NONE;
    return col_name(&plain, name);
}

static const char *udt_name(struct virt *x, const struct col *c) {
    static const struct {
        uint8_t type;
        const char *name;
    } names[] = {{COL_BOOL, "bool"},
                 {COL_INT2, "int2"},
                 {COL_INT4, "int4"},
                 {COL_INT8, "int8"},
                 {COL_FLOAT4, "float4"},
                 {COL_FLOAT8, "float8"},
                 {COL_VARCHAR, "varchar"},
                 {COL_CHAR, "bpchar"},
                 {COL_TIME, "time"},
                 {COL_TIMESTAMP, "timestamp"},
                 {COL_TIMESTAMPTZ, "timestamptz"}};
    char full[COL_NAME_BYTES];
    uint8_t type = c->type == COL_ARRAY ? c->elem : c->type;
    struct col elem = col_of((enum col_type)type);
    const char *name = col_name(&elem, full);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].type == type)
            name = names[i].name;
    return virt_printf(x, "%s%s", c->type == COL_ARRAY ? "_" : "", name);
}

static void number_columns(struct virt *x, const struct col *c) {
    int precision, scale;
    static const struct {
        uint8_t type;
        int bits;
        int radix;
        int scale;
    } numbers[] = {{COL_INT2, 16, 2, 0},
                   {COL_INT4, 32, 2, 0},
                   {COL_INT8, 64, 2, 0},
                   {COL_FLOAT4, 24, 2, -1},
                   {COL_FLOAT8, 53, 2, -1}};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i].type == c->type) {
            virt_int(x, numbers[i].bits);
            virt_int(x, numbers[i].radix);
            if (numbers[i].scale < 0)
                virt_null(x);
            else
                virt_int(x, numbers[i].scale);
            return;
        }
    if (c->type == COL_NUMERIC) {
        bool limits = col_numeric_limits(c, &precision, &scale);
        if (limits)
            virt_int(x, precision);
        else
            virt_null(x);
        virt_int(x, 10);
        if (limits)
            virt_int(x, scale);
        else
            virt_null(x);
        return;
    }
    virt_nulls(x, 3);
}

static bool column_row(struct virt *x, const struct cat_table *t, uint16_t i) {
    const struct cat_column *c = &t->column[i];
    char name[COL_NAME_BYTES];
    bool time = c->type.type == COL_TIME || c->type.type == COL_TIMESTAMP || c->type.type == COL_TIMESTAMPTZ ||
                c->type.type == COL_INTERVAL;
    virt_text(x, x->s->database_name);
    virt_text(x, t->schema_name);
    virt_text(x, t->name);
    virt_text(x, c->name);
    virt_int(x, i + 1);
    virt_text(x, c->identity ? NULL : c->default_sql);
    virt_text(x, c->not_null ? "NO" : "YES");
    virt_text(x, data_type(&c->type, name));
    if (col_length_max(&c->type) >= 0)
        virt_int(x, col_length_max(&c->type));
    else
        virt_null(x);
    if (c->type.type == COL_TEXT || c->type.type == COL_VARCHAR || c->type.type == COL_CHAR)
        virt_int(x, 1073741824);
    else
        virt_null(x);
    number_columns(x, &c->type);
    if (time)
        virt_int(x, col_fraction(&c->type));
    else if (c->type.type == COL_DATE)
        virt_int(x, 0);
    else
        virt_null(x);
    virt_nulls(x, 2);
    virt_text(x, x->s->database_name);
    virt_text(x, "pg_catalog");
    virt_text(x, udt_name(x, &c->type));
    virt_text(x, c->identity ? "YES" : "NO");
    virt_text(x, c->identity == 'a' ? "ALWAYS" : c->identity ? "BY DEFAULT" : NULL);
    virt_text(x, c->generated_sql ? "ALWAYS" : "NEVER");
    virt_text(x, c->generated_sql);
    virt_text(x, t->kind == CAT_TABLE ? "YES" : "NO");
    return virt_end(x);
}

static bool table_columns(struct virt *x, const struct cat_table *t) {
    for (uint16_t i = 0; i < t->columns; i++)
        if (!t->column[i].hidden && !t->column[i].dropped && !column_row(x, t, i))
            return false;
    return true;
}

static void columns(struct virt *x) {
    each_table(x, true, table_columns);
}

static const struct cat_table *table_of(struct virt *x, uint32_t id) {
    const struct cat_object *o = cat_view_get(&x->view, id);
    return o && o->kind == CAT_OBJECT_TABLE ? o->table : NULL;
}

/* The constraint or index of the table referred to that a foreign key rests on, and a column's place in it from 1. */
static const char *rests_on(const struct cat_table *t, const struct cat_foreign_key *k, uint16_t ref, int *ret_place) {
    const struct cat_part *part = t->key;
    const char *name = ddl_key_rests_on(k, t, NULL) ? t->key_name : NULL;
    for (uint16_t i = 0; i < t->indexes && !name; i++)
        if (ddl_key_rests_on(k, t, &t->index[i])) {
            name = t->index[i].name;
            part = t->index[i].part;
        }
    *ret_place = 0;
    for (uint16_t i = 0; name && i < k->cols; i++)
        if (part[i].col == ref)
            *ret_place = i + 1;
    return name;
}

static bool key_rows(struct virt *x, const struct cat_table *t, const char *name, const struct cat_part *part,
                     uint16_t n) {
    for (uint16_t i = 0; i < n; i++) {
        virt_text(x, x->s->database_name);
        virt_text(x, t->schema_name);
        virt_text(x, name);
        virt_text(x, x->s->database_name);
        virt_text(x, t->schema_name);
        virt_text(x, t->name);
        virt_text(x, t->column[part[i].col].name);
        virt_int(x, i + 1);
        virt_null(x);
        if (!virt_end(x))
            return false;
    }
    return true;
}

static bool foreign_key_rows(struct virt *x, const struct cat_table *t, const struct cat_foreign_key *k) {
    const struct cat_table *p = table_of(x, k->table);
    for (uint16_t i = 0; i < k->cols && p; i++) {
        int place;
        (void)rests_on(p, k, k->ref[i], &place);
        virt_text(x, x->s->database_name);
        virt_text(x, t->schema_name);
        virt_text(x, k->name);
        virt_text(x, x->s->database_name);
        virt_text(x, t->schema_name);
        virt_text(x, t->name);
        virt_text(x, t->column[k->col[i]].name);
        virt_int(x, i + 1);
        virt_int(x, place);
        if (!virt_end(x))
            return false;
    }
    return true;
}

static bool table_keys(struct virt *x, const struct cat_table *t) {
    if (t->key_name && !key_rows(x, t, t->key_name, t->key, t->keys))
        return false;
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].constraint && !key_rows(x, t, t->index[i].name, t->index[i].part, t->index[i].parts))
            return false;
    for (uint16_t i = 0; i < t->foreign_keys; i++)
        if (!foreign_key_rows(x, t, &t->foreign_key[i]))
            return false;
    return true;
}

static void key_column_usage(struct virt *x) {
    each_table(x, false, table_keys);
}

static bool constraint_row(struct virt *x, const struct cat_table *t, const char *name, const char *type,
                           const struct cat_foreign_key *k) {
    virt_text(x, x->s->database_name);
    virt_text(x, t->schema_name);
    virt_text(x, name);
    virt_text(x, x->s->database_name);
    virt_text(x, t->schema_name);
    virt_text(x, t->name);
    virt_text(x, type);
    virt_text(x, k && k->deferrable ? "YES" : "NO");
    virt_text(x, k && k->deferred ? "YES" : "NO");
    virt_text(x, "YES");
    virt_null(x);
    return virt_end(x);
}

static bool table_constraint_rows(struct virt *x, const struct cat_table *t) {
    if (t->key_name && !constraint_row(x, t, t->key_name, "PRIMARY KEY", NULL))
        return false;
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].constraint && !constraint_row(x, t, t->index[i].name, "UNIQUE", NULL))
            return false;
    for (uint16_t i = 0; i < t->checks; i++)
        if (!constraint_row(x, t, t->check[i].name, "CHECK", NULL))
            return false;
    for (uint16_t i = 0; i < t->foreign_keys; i++)
        if (!constraint_row(x, t, t->foreign_key[i].name, "FOREIGN KEY", &t->foreign_key[i]))
            return false;
    return true;
}

static void table_constraints(struct virt *x) {
    each_table(x, false, table_constraint_rows);
}

static bool usage_rows(struct virt *x, const struct cat_table *t, const char *name, const struct cat_part *part,
                       uint16_t n) {
    for (uint16_t i = 0; i < n; i++) {
        virt_text(x, x->s->database_name);
        virt_text(x, t->schema_name);
        virt_text(x, t->name);
        virt_text(x, t->column[part[i].col].name);
        virt_text(x, x->s->database_name);
        virt_text(x, t->schema_name);
        virt_text(x, name);
        if (!virt_end(x))
            return false;
    }
    return true;
}

static bool constraint_columns(struct virt *x, const struct cat_table *t) {
    if (t->key_name && !usage_rows(x, t, t->key_name, t->key, t->keys))
        return false;
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].constraint && !usage_rows(x, t, t->index[i].name, t->index[i].part, t->index[i].parts))
            return false;
    for (uint16_t i = 0; i < t->foreign_keys; i++) {
        const struct cat_foreign_key *k = &t->foreign_key[i];
        const struct cat_table *p = table_of(x, k->table);
        struct cat_part part[TABLE_KEY_MAX];
        for (uint16_t c = 0; c < k->cols; c++)
            part[c] = (struct cat_part){.col = k->ref[c]};
        if (p && !usage_rows(x, p, k->name, part, k->cols))
            return false;
    }
    return true;
}

static void constraint_column_usage(struct virt *x) {
    each_table(x, false, constraint_columns);
}

static bool referential_rows(struct virt *x, const struct cat_table *t) {
    static const struct {
        char action;
        const char *name;
    } rules[] = {{'a', "NO ACTION"}, {'r', "RESTRICT"}, {'c', "CASCADE"}, {'n', "SET NULL"}, {'d', "SET DEFAULT"}};
    for (uint16_t i = 0; i < t->foreign_keys; i++) {
        const struct cat_foreign_key *k = &t->foreign_key[i];
        const struct cat_table *p = table_of(x, k->table);
        const char *update = NULL, *delete = NULL;
        int place;
        for (size_t r = 0; r < ARRAY_LEN(rules); r++) {
            update = rules[r].action == k->on_update ? rules[r].name : update;
            delete = rules[r].action == k->on_delete ? rules[r].name : delete;
        }
        virt_text(x, x->s->database_name);
        virt_text(x, t->schema_name);
        virt_text(x, k->name);
        virt_text(x, x->s->database_name);
        virt_text(x, p ? p->schema_name : NULL);
        virt_text(x, p ? rests_on(p, k, k->ref[0], &place) : NULL);
        virt_text(x, "NONE");
        virt_text(x, update);
        virt_text(x, delete);
        if (!virt_end(x))
            return false;
    }
    return true;
}

static void referential_constraints(struct virt *x) {
    each_table(x, false, referential_rows);
}

static bool view_row(struct virt *x, const struct cat_table *t) {
    if (t->kind != CAT_VIEW)
        return true;
    virt_text(x, x->s->database_name);
    virt_text(x, t->schema_name);
    virt_text(x, t->name);
    virt_text(x, virt_printf(x, " %s;", t->view_sql));
    virt_text(x, "NONE");
    for (int i = 0; i < 5; i++)
        virt_text(x, "NO");
    return virt_end(x);
}

static void views(struct virt *x) {
    each_table(x, false, view_row);
}

static void catalog_name(struct virt *x) {
    virt_text(x, x->s->database_name);
    virt_end(x);
}

#define INFO(id_, name_, rows_, columns_)                                                                              \
    { .id = (id_), .schema = CAT_ID_INFORMATION_SCHEMA, .name = (name_), .columns = (columns_), .rows = (rows_) }

static const struct virt_def defs[] = {
    INFO(12201, "schemata", schemata,
         "catalog_name name, schema_name name, schema_owner name, default_character_set_catalog name, "
         "default_character_set_schema name, default_character_set_name name, sql_path text"),
    INFO(12202, "tables", tables,
         "table_catalog name, table_schema name, table_name name, table_type text, self_referencing_column_name name, "
         "reference_generation text, user_defined_type_catalog name, user_defined_type_schema name, "
         "user_defined_type_name "
         "name, is_insertable_into text, is_typed text, commit_action text"),
    INFO(12203, "columns", columns,
         "table_catalog name, table_schema name, table_name name, column_name name, ordinal_position int4, "
         "column_default text, "
         "is_nullable text, data_type text, character_maximum_length int4, character_octet_length int4, "
         "numeric_precision int4, "
         "numeric_precision_radix int4, numeric_scale int4, datetime_precision int4, collation_name name, domain_name "
         "name, "
         "udt_catalog name, udt_schema name, udt_name name, is_identity text, identity_generation text, is_generated "
         "text, "
         "generation_expression text, is_updatable text"),
    INFO(
        12204, "key_column_usage", key_column_usage,
        "constraint_catalog name, constraint_schema name, constraint_name name, table_catalog name, table_schema name, "
        "table_name name, column_name name, ordinal_position int4, position_in_unique_constraint int4"),
    INFO(
        12205, "table_constraints", table_constraints,
        "constraint_catalog name, constraint_schema name, constraint_name name, table_catalog name, table_schema name, "
        "table_name name, constraint_type text, is_deferrable text, initially_deferred text, enforced text, "
        "nulls_distinct "
        "text"),
    INFO(12206, "constraint_column_usage", constraint_column_usage,
         "table_catalog name, table_schema name, table_name name, column_name name, constraint_catalog name, "
         "constraint_schema "
         "name, constraint_name name"),
    INFO(12207, "referential_constraints", referential_constraints,
         "constraint_catalog name, constraint_schema name, constraint_name name, unique_constraint_catalog name, "
         "unique_constraint_schema name, unique_constraint_name name, match_option text, update_rule text, delete_rule "
         "text"),
    INFO(12208, "views", views,
         "table_catalog name, table_schema name, table_name name, view_definition text, check_option text, "
         "is_updatable text, is_insertable_into text, is_trigger_updatable text, is_trigger_deletable text, "
         "is_trigger_insertable_into text"),
    INFO(12209, "routines", NULL,
         "specific_catalog name, specific_schema name, specific_name name, routine_name name, routine_type text"),
    INFO(12210, "triggers", NULL,
         "trigger_catalog name, trigger_schema name, trigger_name name, event_object_table name"),
    INFO(12211, "information_schema_catalog_name", catalog_name, "catalog_name name"),
};

const struct virt_table virt_information = {defs, ARRAY_LEN(defs)};
