/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtual_depend.c: pg_depend, what goes with what, for those who put the objects of a database in an order (pg_dump): a sequence
 * with its column, a default with its sequence, a view with what it reads. And pg_extension: what a node brings with it is of one
 * extension, so that nobody takes the schema meridian for the user's.
 */
#include <string.h>

#include "sql/analyse/analyse.h"
#include "sql/parse/parse.h"
#include "sql/run/virtual.h"

enum {
    OID_CLASS = 1259,
    OID_PROC = 1255,
    OID_ATTRDEF = 2604,
    OID_CONSTRAINT = 2606,
    OID_NAMESPACE = 2615,
    OID_PG_EXTENSION = 3079,
    OID_EXTENSION = 13000, /* ours; below 16384 it is no user's */
};

static bool depend_row(struct virt *x, uint32_t class, uint32_t object, uint32_t on_class, uint32_t on, uint32_t column,
                       char type) {
    virt_int(x, class);
    virt_int(x, object);
    virt_int(x, 0);
    virt_int(x, on_class);
    virt_int(x, on);
    virt_int(x, column);
    virt_char(x, type);
    return virt_end(x);
}

static bool of_system(struct virt *x) {
    if (!depend_row(x, OID_NAMESPACE, CAT_ID_MERIDIAN_SCHEMA, OID_PG_EXTENSION, OID_EXTENSION, 0, 'e'))
        return false;
    for (size_t i = 0; i < virtual_count(); i++) {
        const struct cat_table *t = virtual_at(x->s->e, i);
        if (t && t->schema == CAT_ID_MERIDIAN_SCHEMA &&
            !depend_row(x, OID_CLASS, t->id, OID_PG_EXTENSION, OID_EXTENSION, 0, 'e'))
            return false;
    }
    for (size_t i = 0; i < fn_count(); i++)
        if (strncmp(fn_at(i)->name, "meridian.", 9) == 0 &&
            !depend_row(x, OID_PROC, fn_at(i)->oid, OID_PG_EXTENSION, OID_EXTENSION, 0, 'e'))
            return false;
    return true;
}

static bool of_sequence(struct virt *x, const struct cat_object *q) {
    const struct cat_object *o = q->sequence.owner_table ? cat_view_get(&x->view, q->sequence.owner_table) : NULL;
    if (!o || o->kind != CAT_OBJECT_TABLE)
        return true;
    for (uint16_t i = 0; i < o->table->columns; i++)
        if (o->table->column[i].id == q->sequence.owner_column)
            return depend_row(x, OID_CLASS, q->id, OID_CLASS, o->id, i + 1u,
                              o->table->column[i].identity && o->table->column[i].sequence == q->id ? 'i' : 'a');
    return true;
}

/* The sequence that a default begins to ask with nextval('...'). */
static uint32_t sequence_in(struct virt *x, const char *sql) {
    char name[2 * CAT_NAME_BYTES_MAX + 8];
    const struct cat_object *o = NULL;
    struct err why = {0};
    if (sess_nextval_name(sql, name, sizeof name) == 0 || sess_relation_text(x->s, name, &o, &why) != RC_OK)
        return 0;
    return o && o->kind == CAT_OBJECT_SEQUENCE ? o->id : 0;
}

static bool of_table(struct virt *x, const struct cat_table *t) {
    for (uint16_t i = 0; i < t->columns; i++) {
        const struct cat_column *c = &t->column[i];
        if ((!c->generated_sql && (!c->default_sql || c->identity)) || c->hidden || c->dropped)
            continue;
        uint32_t sequence = c->generated_sql ? 0 : c->sequence ? c->sequence : sequence_in(x, c->default_sql);
        if (!depend_row(x, OID_ATTRDEF, virt_default_oid(t, i), OID_CLASS, t->id, i + 1u,
                        c->generated_sql ? 'i' : 'a') ||
            (sequence && !depend_row(x, OID_ATTRDEF, virt_default_oid(t, i), OID_CLASS, sequence, 0, 'n')))
            return false;
    }
    /* A key is added before the indexes, which hold it. */
    for (uint16_t i = 0; i < t->indexes && t->key_name; i++)
        if (t->index[i].constraint && !depend_row(x, OID_CONSTRAINT, virt_unique_oid(&t->index[i]), OID_CONSTRAINT,
                                                  virt_pkey_constraint_oid(t), 0, 'n'))
            return false;
    return true;
}

/* A view that cannot be used any more depends on nothing that we could tell. */
static bool of_view(struct virt *x, const struct cat_table *t) {
    PgQuery__ParseResult *tree;
    struct analysed a;
    struct err why = {0};
    struct arena arena;
    bool more = true;
    arena_init(&arena, SESS_ARENA_BYTES_MAX);
    struct fn_env env = x->s->env;
    env.arena = &arena;
    struct analyse_in in = {.arena = &arena,
                            .catalog = &x->s->catalog.source,
                            .text = t->view_sql,
                            .bytes = strlen(t->view_sql),
                            .env = &env,
                            .reactor = x->s->e->reactor};
    enum rc rc = parse_text(x->s->e->reactor, &arena, in.text, in.bytes, &tree, &why);
    if (!rc && tree->n_stmts != 1)
        rc = err_set(&why, RC_CORRUPT, "a view is not one statement");
    if (!rc)
        rc = analyse_statement(&in, tree->stmts[0]->stmt, &a, &why);
    for (size_t i = 0; !rc && i < a.tables && more; i++)
        more = depend_row(x, OID_CLASS, t->id, OID_CLASS, a.table[i]->id, 0, 'n');
    if (!rc)
        analysed_done(&a);
    arena_done(&arena);
    if (rc && rc != RC_SQL && rc != RC_UNSUPPORTED) {
        x->rc = rc;
        *x->err = why;
        return false;
    }
    return more;
}

static void depends(struct virt *x) {
    struct cat_list l;
    bool more = of_system(x);
    if (!more || !virt_list(x, CAT_OBJECT_SEQUENCE, false, &l))
        return;
    for (size_t i = 0; i < l.n && more; i++)
        more = of_sequence(x, l.v[i]);
    cat_list_done(&l);
    if (!more || !virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    for (size_t i = 0; i < l.n && more; i++)
        more = l.v[i]->table->kind == CAT_VIEW ? of_view(x, l.v[i]->table) : of_table(x, l.v[i]->table);
    cat_list_done(&l);
}

static void extensions(struct virt *x) {
    const char *version = x->s->e->conf.version;
    virt_int(x, OID_EXTENSION);
    virt_text(x, "meridian");
    virt_int(x, CAT_ID_ROLE_MERIDIAN);
    virt_int(x, CAT_ID_PG_CATALOG);
    virt_bool(x, false);
    virt_text(x, version ? version : "");
    virt_nulls(x, 2);
    virt_end(x);
}

#define PG(id_, name_, rows_, columns_)                                                                                \
    { .id = (id_), .schema = CAT_ID_PG_CATALOG, .name = (name_), .columns = (columns_), .rows = (rows_) }

static const struct virt_def defs[] = {
    PG(2608, "pg_depend", depends,
       "classid oid, objid oid, objsubid int4, refclassid oid, refobjid oid, refobjsubid int4, deptype char"),
    PG(OID_PG_EXTENSION, "pg_extension", extensions,
       "oid oid, extname name, extowner oid, extnamespace oid, extrelocatable bool, extversion text, extconfig oid[], "
       "extcondition text[]"),
};

const struct virt_table virt_depend = {defs, ARRAY_LEN(defs)};
