/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c: names to objects for a session: its own uncommitted changes, the store's copy, relations that are no tables. What is
 * not found is looked for again after a strong read of the catalog, once a statement.
 */
#include <string.h>

#include "sql/run/sess_internal.h"

struct cat_view sess_view(struct sess *s) {
    return (struct cat_view){s->e->catalog, s->change};
}

enum rc sess_refresh(struct sess *s, struct err *err) {
    enum rc rc = cat_cache_refresh(s->e->catalog, s->deadline, err);
    if (!rc) {
        s->refreshed = true;
        rc = sess_paths(s, err);
    }
    return rc;
}

/* Again after a strong read? Only the first miss of a statement pays. */
static bool look_again(struct sess *s, enum rc *rc, struct err *err) {
    if (s->refreshed)
        return false;
    *rc = sess_refresh(s, err);
    return !*rc;
}

static enum rc source_schema(struct cat_source *source, const char *name, struct cat_schema *ret, struct err *err) {
    struct sess *s = container_of(source, struct sess_catalog, source)->s;
    enum rc rc = RC_OK;
    uint32_t id = strlen(name) <= CAT_NAME_BYTES_MAX ? sess_schema_id(s, name) : 0;
    if (!id && look_again(s, &rc, err))
        id = strlen(name) <= CAT_NAME_BYTES_MAX ? sess_schema_id(s, name) : 0;
    if (rc)
        return rc;
    struct cat_view view = sess_view(s);
    const struct cat_object *o =
        id >= CAT_ID_USER || id == CAT_ID_PUBLIC || id == CAT_ID_PUBLIC_POSTGRES ? cat_view_get(&view, id) : NULL;
    *ret = (struct cat_schema){.id = id, .owner = o ? o->owner : CAT_ID_ROLE_MERIDIAN};
    if (id)
        memcpy(ret->name, name, strlen(name) + 1);
    return RC_OK;
}

static bool is_system_schema(uint32_t id) {
    return id == CAT_ID_PG_CATALOG || id == CAT_ID_INFORMATION_SCHEMA || id == CAT_ID_MERIDIAN_SCHEMA;
}

static enum rc source_table(struct cat_source *source, uint32_t schema, const char *name, const struct cat_table **ret,
                            struct err *err) {
    struct sess *s = container_of(source, struct sess_catalog, source)->s;
    enum rc rc = RC_OK;
    *ret = NULL;
    if (is_system_schema(schema)) {
        const struct cat_table *t = virtual_find(s->e, schema, name);
        /* What such a relation shows is as strong as any other name. */
        if (t)
            (void)look_again(s, &rc, err); /* rc tells */
        *ret = t && !rc ? cat_table_ref(t) : NULL;
        return rc;
    }
    struct cat_view view = sess_view(s);
    const struct cat_object *o = cat_view_relation(&view, schema, name);
    if (!o && look_again(s, &rc, err)) {
        view = sess_view(s);
        o = cat_view_relation(&view, schema, name);
    }
    if (!rc && o && o->kind == CAT_OBJECT_SEQUENCE)
        return virtual_sequence(o, ret, err);
    if (o && o->kind == CAT_OBJECT_TABLE)
        *ret = cat_table_ref(o->table);
    return rc;
}

static enum rc source_table_by_id(struct cat_source *source, uint32_t id, const struct cat_table **ret,
                                  struct err *err) {
    struct sess *s = container_of(source, struct sess_catalog, source)->s;
    struct cat_view view = sess_view(s);
    enum rc rc = RC_OK;
    const struct cat_object *o = cat_view_get(&view, id);
    if (!o && look_again(s, &rc, err)) {
        view = sess_view(s);
        o = cat_view_get(&view, id);
    }
    *ret = o && o->kind == CAT_OBJECT_TABLE ? cat_table_ref(o->table) : NULL;
    return rc;
}

static uint32_t relation_id(struct sess *s, uint32_t schema, const char *name) {
    struct cat_view view = sess_view(s);
    uint16_t index;
    const struct cat_object *o = cat_view_relation(&view, schema, name);
    if (o)
        return o->id;
    o = cat_view_index(&view, schema, name, &index);
    return o ? o->table->index[index].id : virtual_pkey_named(&view, schema, name);
}

static enum rc source_relation(struct cat_source *source, uint32_t schema, const char *name, uint32_t *ret,
                               struct err *err) {
    struct sess *s = container_of(source, struct sess_catalog, source)->s;
    enum rc rc = RC_OK;
    if (is_system_schema(schema)) {
        const struct cat_table *t = virtual_find(s->e, schema, name);
        *ret = t ? t->id : 0;
        return RC_OK;
    }
    *ret = relation_id(s, schema, name);
    if (!*ret && look_again(s, &rc, err))
        *ret = relation_id(s, schema, name);
    return rc;
}

const struct cat_source_ops sess_catalog_ops = {
    .table = source_table, .table_by_id = source_table_by_id, .schema = source_schema, .relation = source_relation};

/* ---- for DDL ----------------------------------------------------------------------------------------------------------- */

static enum rc same_database(struct sess *s, const char *database, struct err *err) {
    if (!database || !database[0] || strcmp(database, s->database_name) == 0)
        return RC_OK;
    return err_sql(err, "0A000", "cross-database references are not implemented: \"%.63s\"", database);
}

enum rc sess_create_schema(struct sess *s, const PgQuery__RangeVar *v, struct cat_schema *ret, struct err *err) {
    enum rc rc = same_database(s, v->catalogname, err);
    if (!rc)
        rc = sess_paths(s, err);
    if (rc)
        return rc;
    if (v->schemaname && v->schemaname[0]) {
        rc = source_schema(&s->catalog.source, v->schemaname, ret, err);
        if (!rc && !ret->id)
            rc = err_sql(err, "3F000", "schema \"%.63s\" does not exist", v->schemaname);
        if (!rc && is_system_schema(ret->id))
            rc = err_sql(err, "42501", "permission denied to create \"%.63s.%.63s\"", v->schemaname, v->relname);
        return rc;
    }
    struct cat_view view = sess_view(s);
    for (size_t i = 0; i < s->paths; i++) {
        const struct cat_object *o = is_system_schema(s->path[i]) ? NULL : cat_view_get(&view, s->path[i]);
        if (!o)
            continue;
        *ret = (struct cat_schema){.id = o->id, .owner = o->owner};
        memcpy(ret->name, o->name, sizeof ret->name);
        return RC_OK;
    }
    return err_sql(err, "3F000", "no schema has been selected to create in");
}

static const struct cat_object *by_path(struct sess *s, uint32_t schema, const char *name) {
    struct cat_view view = sess_view(s);
    if (schema)
        return cat_view_relation(&view, schema, name);
    for (size_t i = 0; i < s->paths; i++) {
        const struct cat_object *o = is_system_schema(s->path[i]) ? NULL : cat_view_relation(&view, s->path[i], name);
        if (o)
            return o;
    }
    return NULL;
}

enum rc sess_relation(struct sess *s, const char *database, const char *schema, const char *name,
                      const struct cat_object **ret, struct err *err) {
    struct cat_schema sc = {0};
    enum rc rc = same_database(s, database, err);
    if (!rc)
        rc = sess_paths(s, err);
    if (!rc && schema && schema[0]) {
        rc = source_schema(&s->catalog.source, schema, &sc, err);
        if (!rc && !sc.id) {
            *ret = NULL;
            return RC_OK;
        }
    }
    if (rc)
        return rc;
    *ret = by_path(s, sc.id, name);
    if (!*ret && look_again(s, &rc, err))
        *ret = by_path(s, sc.id, name);
    return rc;
}
