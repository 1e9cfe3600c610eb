/* SPDX-License-Identifier: Apache-2.0 */
/* ddl.c: statements that change the catalog, told apart; what is small is done here: databases, schemas, DROP, COMMENT, owners. */
#include "sql/run/ddl.h"

#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/runtime/wait.h"

/* ---- options of statements --------------------------------------------------------------------------------------------- */

const char *sess_def_text(const PgQuery__DefElem *d) {
    const PgQuery__Node *n = d->arg;
    if (!n)
        return "";
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_STRING:
        return n->string->sval;
    case PG_QUERY__NODE__NODE_FLOAT:
        return n->float_->fval;
    case PG_QUERY__NODE__NODE_TYPE_NAME:
        return n->type_name->n_names ? n->type_name->names[n->type_name->n_names - 1]->string->sval : "";
    case PG_QUERY__NODE__NODE_BOOLEAN:
        return n->boolean->boolval ? "true" : "false";
    case PG_QUERY__NODE__NODE_A_CONST:
        return n->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL ? n->a_const->sval->sval : "";
    default:
        return "";
    }
}

bool sess_def_int(const PgQuery__DefElem *d, int64_t *ret) {
    const PgQuery__Node *n = d->arg;
    char *end;
    if (!n)
        return false;
    if (n->node_case == PG_QUERY__NODE__NODE_INTEGER) {
        *ret = n->integer->ival;
        return true;
    }
    if (n->node_case == PG_QUERY__NODE__NODE_FLOAT || n->node_case == PG_QUERY__NODE__NODE_STRING) {
        const char *text = sess_def_text(d);
        *ret = strtoll(text, &end, 10);
        return end != text && !*end;
    }
    return false;
}

bool sess_def_is_false(const PgQuery__DefElem *d) {
    int64_t n;
    if (sess_def_int(d, &n))
        return n == 0;
    const char *t = sess_def_text(d);
    return strcasecmp(t, "false") == 0 || strcasecmp(t, "off") == 0 || strcasecmp(t, "no") == 0;
}

static enum rc done(struct ddl *d, const char *tag) {
    snprintf(d->u->done->tag, sizeof d->u->done->tag, "%s", tag);
    return RC_OK;
}

/* ---- expressions ------------------------------------------------------------------------------------------------------------ */

struct deparse {
    PgQueryProtobuf in;
    PgQueryDeparseResult out;
};

static void deparse_run(void *arg) {
    struct deparse *x = arg;
    x->out = pg_query_deparse_protobuf(x->in);
}

enum rc ddl_deparse_statement(struct ddl *d, const PgQuery__Node *node, const char **ret, struct err *err) {
    PgQuery__RawStmt raw = PG_QUERY__RAW_STMT__INIT, *raws = &raw;
    PgQuery__ParseResult tree = PG_QUERY__PARSE_RESULT__INIT;
    raw.stmt = (PgQuery__Node *)(uintptr_t)node;
    tree.version = 150001;
    tree.n_stmts = 1;
    tree.stmts = &raws;
    size_t n = pg_query__parse_result__get_packed_size(&tree);
    uint8_t *bytes = arena_alloc(d->a, n + 1);
    if (!bytes)
        return ddl_nomem(err);
    pg_query__parse_result__pack(&tree, bytes);
    struct deparse x = {.in = {.len = n, .data = (char *)bytes}};
    enum rc rc = big_stack_run(d->s->e->reactor, deparse_run, &x);
    if (rc)
        return err_set(err, rc, "an expression could not be printed");
    if (x.out.error || !x.out.query)
        rc = err_set(err, RC_UNSUPPORTED, "this expression cannot be kept: %.200s",
                     x.out.error ? x.out.error->message : "");
    else if (!(*ret = arena_strdup(d->a, x.out.query)))
        rc = ddl_nomem(err);
    pg_query_free_deparse_result(x.out);
    return rc;
}

enum rc ddl_deparse(struct ddl *d, const PgQuery__Node *node, const char **ret, struct err *err) {
    static const char head[] = "SELECT ";
    PgQuery__ResTarget target = PG_QUERY__RES_TARGET__INIT;
    PgQuery__SelectStmt select = PG_QUERY__SELECT_STMT__INIT;
    PgQuery__Node target_node = PG_QUERY__NODE__INIT, select_node = PG_QUERY__NODE__INIT;
    PgQuery__Node *targets = &target_node;
    target.val = (PgQuery__Node *)(uintptr_t)node;
    target_node.node_case = PG_QUERY__NODE__NODE_RES_TARGET;
    target_node.res_target = &target;
    select.n_target_list = 1;
    select.target_list = &targets;
    select.limit_option = PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_DEFAULT;
    select.op = PG_QUERY__SET_OPERATION__SETOP_NONE;
    select_node.node_case = PG_QUERY__NODE__NODE_SELECT_STMT;
    select_node.select_stmt = &select;
    enum rc rc = ddl_deparse_statement(d, &select_node, ret, err);
    if (!rc && strncmp(*ret, head, strlen(head)) != 0)
        rc = err_set(err, RC_UNSUPPORTED, "this expression cannot be kept: %.200s", *ret);
    if (!rc)
        *ret += strlen(head);
    return rc;
}

enum rc ddl_analyse_in(struct ddl *d, struct analyse_in *ret, struct err *err) {
    enum rc rc = sess_paths(d->s, err);
    *ret = (struct analyse_in){.arena = d->a,
                               .catalog = &d->s->catalog.source,
                               .text = d->u->script->text,
                               .bytes = d->u->script->bytes,
                               .search_path = d->s->path,
                               .search_paths = d->s->paths,
                               .env = &d->s->env,
                               .reactor = d->s->e->reactor};
    return rc;
}

/* ---- databases and schemas ------------------------------------------------------------------------------------------------------ */

static enum rc put_named(struct ddl *d, enum cat_kind kind, uint32_t database, const char *name, uint32_t *ret_id,
                         struct err *err) {
    struct cat_object o = {.kind = (uint8_t)kind, .database = database, .owner = d->s->role};
    if (strlen(name) > CAT_NAME_BYTES_MAX)
        return err_sql(err, "42622", "identifier \"%.63s...\" is too long", name);
    memcpy(o.name, name, strlen(name) + 1);
    if (kind == CAT_OBJECT_SCHEMA && strcmp(name, "public") == 0)
        o.comment = CAT_PUBLIC_COMMENT;
    enum rc rc = cat_change_id(d->s->change, &o.id, err);
    if (!rc)
        rc = ddl_put(d, &o, err);
    if (!rc && ret_id)
        *ret_id = o.id;
    return rc;
}

static enum rc create_database(struct utility *u, const PgQuery__CreatedbStmt *c, struct err *err) {
    struct ddl d;
    uint32_t id;
    enum rc rc = sess_no_block(u->s, "CREATE DATABASE", err);
    for (size_t i = 0; i < c->n_options && !rc; i++) {
        const PgQuery__DefElem *o = c->options[i]->def_elem;
        const char *text = sess_def_text(o);
        bool utf8 = strcasecmp(text, "utf8") == 0 || strcasecmp(text, "utf-8") == 0 || strcasecmp(text, "unicode") == 0;
        bool plain = strcasecmp(text, "C") == 0 || strcasecmp(text, "POSIX") == 0 || !text[0];
        if ((strcmp(o->defname, "encoding") == 0 && !utf8 && text[0]) ||
            ((strcmp(o->defname, "lc_collate") == 0 || strcmp(o->defname, "lc_ctype") == 0 ||
              strcmp(o->defname, "locale") == 0) &&
             !plain))
            rc = sess_unsupported(u->script, o->location, err, "databases have encoding UTF8 and collation C");
    }
    if (!rc)
        rc = ddl_begin(&d, u, "CREATE DATABASE", err);
    if (rc)
        return rc;
    struct cat_view v = ddl_view(&d);
    if (cat_view_database(&v, c->dbname))
        return err_sql(err, "42P04", "database \"%.63s\" already exists", c->dbname);
    rc = put_named(&d, CAT_OBJECT_DATABASE, 0, c->dbname, &id, err);
    if (!rc)
        rc = put_named(&d, CAT_OBJECT_SCHEMA, id, "public", NULL, err);
    return rc ? rc : done(&d, "CREATE DATABASE");
}

static enum rc drop_with_dependents(struct ddl *d, const struct cat_object *o, bool cascade, struct err *err);

/* All of a kind that lies in a database or a schema. */
static enum rc drop_within(struct ddl *d, enum cat_kind kind, uint32_t database, uint32_t schema, size_t *ret_count,
                           bool do_it, struct err *err) {
    struct cat_view v = ddl_view(d);
    struct cat_list l;
    enum rc rc = cat_view_list(&v, kind, database, &l, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < l.n && !rc; i++) {
        v = ddl_view(d);
        if ((schema && l.v[i]->schema != schema) || !cat_view_get(&v, l.v[i]->id))
            continue;
        ++*ret_count;
        if (do_it)
            rc =
                kind == CAT_OBJECT_TABLE ? drop_with_dependents(d, l.v[i], true, err) : ddl_drop_object(d, l.v[i], err);
    }
    cat_list_done(&l);
    return rc;
}

static enum rc drop_database(struct utility *u, const PgQuery__DropdbStmt *c, struct err *err) {
    struct ddl d;
    size_t n = 0;
    enum rc rc = sess_no_block(u->s, "DROP DATABASE", err);
    if (!rc)
        rc = ddl_begin(&d, u, "DROP DATABASE", err);
    if (rc)
        return rc;
    struct cat_view v = ddl_view(&d);
    const struct cat_object *o = cat_view_database(&v, c->dbname);
    if (!o && c->missing_ok) {
        sess_notice(d.s, "NOTICE", "00000", "database \"%.63s\" does not exist, skipping", c->dbname);
        return done(&d, "DROP DATABASE");
    }
    if (!o)
        return err_sql(err, "3D000", "database \"%.63s\" does not exist", c->dbname);
    if (o->id == d.s->database)
        return err_sql(err, "55006", "cannot drop the currently open database");
    uint32_t id = o->id;
    rc = drop_within(&d, CAT_OBJECT_TABLE, id, 0, &n, true, err);
    if (!rc)
        rc = drop_within(&d, CAT_OBJECT_SEQUENCE, id, 0, &n, true, err);
    if (!rc)
        rc = drop_within(&d, CAT_OBJECT_SCHEMA, id, 0, &n, true, err);
    v = ddl_view(&d);
    if (!rc)
        rc = ddl_drop_object(&d, cat_view_get(&v, id), err);
    return rc ? rc : done(&d, "DROP DATABASE");
}

static enum rc create_schema(struct utility *u, const PgQuery__CreateSchemaStmt *c, struct err *err) {
    struct ddl d;
    enum rc rc = ddl_begin(&d, u, "CREATE SCHEMA", err);
    if (rc)
        return rc;
    const char *name = c->schemaname && c->schemaname[0]      ? c->schemaname
                       : c->authrole && c->authrole->rolename ? c->authrole->rolename
                                                              : d.s->user;
    if (c->n_schema_elts)
        return err_set(err, RC_UNSUPPORTED, "CREATE SCHEMA with objects in it is not supported");
    if (strncmp(name, "pg_", 3) == 0) {
        rc = err_sql(err, "42939", "unacceptable schema name \"%.63s\"", name);
        if (err)
            err_detail(err, "The prefix \"pg_\" is reserved for system schemas.");
        return rc;
    }
    if (sess_schema_id(d.s, name)) {
        if (!c->if_not_exists)
            return err_sql(err, "42P06", "schema \"%.63s\" already exists", name);
        sess_notice(d.s, "NOTICE", "42P06", "schema \"%.63s\" already exists, skipping", name);
        return done(&d, "CREATE SCHEMA");
    }
    rc = put_named(&d, CAT_OBJECT_SCHEMA, d.s->database, name, NULL, err);
    return rc ? rc : done(&d, "CREATE SCHEMA");
}

static enum rc drop_schema(struct ddl *d, const char *name, const PgQuery__DropStmt *x, struct err *err) {
    struct cat_view v = ddl_view(d);
    const struct cat_object *o = cat_view_schema(&v, d->s->database, name);
    size_t n = 0;
    if (!o && x->missing_ok) {
        sess_notice(d->s, "NOTICE", "00000", "schema \"%.63s\" does not exist, skipping", name);
        return RC_OK;
    }
    if (!o)
        return err_sql(err, "3F000", "schema \"%.63s\" does not exist", name);
    uint32_t id = o->id;
    bool cascade = x->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
    enum rc rc = drop_within(d, CAT_OBJECT_TABLE, d->s->database, id, &n, cascade, err);
    if (!rc)
        rc = drop_within(d, CAT_OBJECT_SEQUENCE, d->s->database, id, &n, cascade, err);
    if (!rc && n > 0 && !cascade) {
        rc = err_sql(err, "2BP01", "cannot drop schema %.63s because other objects depend on it", name);
        if (err)
            err_hint(err, "Use DROP ... CASCADE to drop the dependent objects too.");
    }
    v = ddl_view(d);
    return rc ? rc : ddl_drop_object(d, cat_view_get(&v, id), err);
}

/* ---- DROP ------------------------------------------------------------------------------------------------------------------------- */

/* The last one to three of a list of names. */
static void names_of(const PgQuery__Node *n, const char **database, const char **schema, const char **name) {
    *database = *schema = NULL;
    *name = "";
    if (n->node_case == PG_QUERY__NODE__NODE_STRING) {
        *name = n->string->sval;
    } else if (n->node_case == PG_QUERY__NODE__NODE_LIST && n->list->n_items >= 1) {
        size_t k = n->list->n_items;
        PgQuery__Node **item = n->list->items;
        *name = item[k - 1]->string->sval;
        *schema = k > 1 ? item[k - 2]->string->sval : NULL;
        *database = k > 2 ? item[k - 3]->string->sval : NULL;
    }
}

static enum rc skip(struct ddl *d, const PgQuery__DropStmt *x, const char *what, const char *name, struct err *err) {
    if (!x->missing_ok)
        return err_sql(err, strcmp(what, "index") == 0 ? "42704" : "42P01", "%s \"%.63s\" does not exist", what, name);
    sess_notice(d->s, "NOTICE", "00000", "%s \"%.63s\" does not exist, skipping", what, name);
    return RC_OK;
}

static const struct cat_object *index_by_path(struct ddl *d, const char *schema, const char *name, uint16_t *ret) {
    struct cat_view v = ddl_view(d);
    if (schema) {
        uint32_t id = sess_schema_id(d->s, schema);
        return id ? cat_view_index(&v, id, name, ret) : NULL;
    }
    for (size_t i = 0; i < d->s->paths; i++) {
        const struct cat_object *o = cat_view_index(&v, d->s->path[i], name, ret);
        if (o)
            return o;
    }
    return NULL;
}

static enum rc stands_in_the_way(const char *kind, const char *name, struct err *err, const char *what,
                                 const char *dependent, const char *how) {
    enum rc rc = err_sql(err, "2BP01", "cannot drop %s %.63s because other objects depend on it", kind, name);
    if (err) {
        err_detail(err, "%s %.63s %s %s %.63s", what, dependent, how, kind, name);
        err_hint(err, "Use DROP ... CASCADE to drop the dependent objects too.");
    }
    return rc;
}

static bool is_dropped_too(const struct ddl *d, uint32_t id) {
    for (size_t i = 0; i < d->droppings; i++)
        if (d->dropping[i] == id)
            return true;
    return false;
}

static bool still_there(struct ddl *d, uint32_t id) {
    struct cat_view v = ddl_view(d);
    return cat_view_get(&v, id) != NULL;
}

/* Interleaved tables, and views. */
static enum rc dependents(struct ddl *d, const struct cat_object *o, bool cascade, struct err *err) {
    struct cat_view v = ddl_view(d);
    const char *kind = o->table->kind == CAT_VIEW ? "view" : "table";
    struct cat_list l, views = {0};
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, d->s->database, &l, err);
    if (rc)
        return rc;
    rc = ddl_views_of(d, o->id, -1, &views, err);
    while (!rc) {
        struct cat_object *child;
        const struct cat_foreign_key *k;
        rc = ddl_referring(d, o->table, -1, NULL, false, &child, &k, err);
        if (rc || !child)
            break;
        bool too = is_dropped_too(d, child->id);
        if (!cascade && !too) {
            rc = stands_in_the_way(kind, o->name, err, "constraint", k->name, "on another table depends on");
            if (err)
                err_detail(err, "constraint %.63s on table %.63s depends on table %.63s", k->name, child->name,
                           o->name);
        } else if (!too) {
            sess_notice(d->s, "NOTICE", "00000", "drop cascades to constraint %.63s on table %.63s", k->name,
                        child->name);
        }
        if (!rc)
            rc = ddl_drop_foreign(d, child, k->name, err);
        cat_object_unref(child);
    }
    for (size_t i = 0; i < views.n && !rc; i++) {
        if (is_dropped_too(d, views.v[i]->id) || !still_there(d, views.v[i]->id))
            continue;
        if (!cascade)
            rc = stands_in_the_way(kind, o->name, err, "view", views.v[i]->name, "depends on");
        else
            sess_notice(d->s, "NOTICE", "00000", "drop cascades to view %.63s", views.v[i]->name);
        if (!rc)
            rc = drop_with_dependents(d, views.v[i], true, err);
    }
    for (size_t i = 0; i < l.n && !rc; i++) {
        if (l.v[i]->table->parent != o->id || !still_there(d, l.v[i]->id))
            continue;
        if (!cascade && !is_dropped_too(d, l.v[i]->id))
            rc = stands_in_the_way(kind, o->name, err, "table", l.v[i]->name, "is interleaved in");
        else
            sess_notice(d->s, "NOTICE", "00000", "drop cascades to table %.63s", l.v[i]->name);
        if (!rc)
            rc = drop_with_dependents(d, l.v[i], cascade, err);
    }
    cat_list_done(&views);
    cat_list_done(&l);
    return rc;
}

static enum rc drop_with_dependents(struct ddl *d, const struct cat_object *o, bool cascade, struct err *err) {
    struct cat_object *kept = cat_object_ref((struct cat_object *)(uintptr_t)o);
    enum rc rc = dependents(d, kept, cascade, err);
    if (!rc && still_there(d, kept->id))
        rc = ddl_drop_table(d, kept->id, err);
    cat_object_unref(kept);
    return rc;
}

static const char *kind_of(const struct cat_object *o) {
    return o->kind == CAT_OBJECT_SEQUENCE ? "sequence" : o->table->kind == CAT_VIEW ? "view" : "table";
}

static enum rc drop_relation(struct ddl *d, const PgQuery__DropStmt *x, const PgQuery__Node *n, const char *want,
                             struct err *err) {
    const char *database, *schema, *name;
    const struct cat_object *o;
    bool cascade = x->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
    names_of(n, &database, &schema, &name);
    enum rc rc = sess_relation(d->s, database, schema, name, &o, err);
    if (rc)
        return rc;
    if (!o)
        return skip(d, x, want, name, err);
    const char *kind = kind_of(o);
    if (strcmp(kind, want) != 0) {
        rc = err_sql(err, "42809", "\"%.63s\" is not a %s", name, want);
        if (err)
            err_hint(err, "Use DROP %s to remove a %s.",
                     *kind == 's'   ? "SEQUENCE"
                     : *kind == 'v' ? "VIEW"
                                    : "TABLE",
                     kind);
        return rc;
    }
    if (o->kind == CAT_OBJECT_TABLE)
        return drop_with_dependents(d, o, cascade, err);
    if (o->sequence.owner_table && !cascade) {
        rc = err_sql(err, "2BP01", "cannot drop sequence %.63s because other objects depend on it", name);
        if (err)
            err_hint(err, "Use DROP ... CASCADE to drop the dependent objects too.");
        return rc;
    }
    return ddl_drop_object(d, o, err);
}

/* Which relations a DROP names, as far as they are there. */
static enum rc note_droppings(struct ddl *d, const PgQuery__DropStmt *x, struct err *err) {
    uint32_t *id = arena_array(d->a, x->n_objects + 1, sizeof *id);
    enum rc rc = id ? RC_OK : ddl_nomem(err);
    for (size_t i = 0; i < x->n_objects && !rc; i++) {
        const char *database, *schema, *name;
        const struct cat_object *o;
        names_of(x->objects[i], &database, &schema, &name);
        rc = sess_relation(d->s, database, schema, name, &o, err);
        if (!rc && o)
            id[d->droppings++] = o->id;
    }
    d->dropping = id;
    return rc;
}

static enum rc drop(struct utility *u, const PgQuery__DropStmt *x, struct err *err) {
    struct ddl d;
    static const struct {
        PgQuery__ObjectType type;
        const char *tag;
    } kinds[] = {{PG_QUERY__OBJECT_TYPE__OBJECT_TABLE, "DROP TABLE"},
                 {PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE, "DROP SEQUENCE"},
                 {PG_QUERY__OBJECT_TYPE__OBJECT_VIEW, "DROP VIEW"},
                 {PG_QUERY__OBJECT_TYPE__OBJECT_INDEX, "DROP INDEX"},
                 {PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA, "DROP SCHEMA"},
                 {PG_QUERY__OBJECT_TYPE__OBJECT_TYPE, "DROP TYPE"},
                 {PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION, "DROP EXTENSION"},
                 {PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION, "DROP FUNCTION"},
                 {PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW, "DROP MATERIALIZED VIEW"}};
    size_t k = 0;
    while (k < ARRAY_LEN(kinds) && kinds[k].type != x->remove_type)
        k++;
    if (k == ARRAY_LEN(kinds))
        return err_set(err, RC_UNSUPPORTED, "this kind of DROP is not supported");
    static const char *const relations[] = {"table", "sequence", "view"};
    enum rc rc = ddl_begin(&d, u, kinds[k].tag, err);
    if (!rc && k < ARRAY_LEN(relations))
        rc = note_droppings(&d, x, err);
    for (size_t i = 0; i < x->n_objects && !rc; i++) {
        const char *database, *schema, *name;
        uint16_t index;
        names_of(x->objects[i], &database, &schema, &name);
        if (k < ARRAY_LEN(relations)) {
            rc = drop_relation(&d, x, x->objects[i], relations[k], err);
        } else if (k == 3) {
            const struct cat_object *o = index_by_path(&d, schema, name, &index);
            if (o && o->table->index[index].constraint) {
                rc =
                    err_sql(err, "2BP01", "cannot drop index %.63s because constraint %.63s on table %.63s requires it",
                            name, name, o->name);
                if (err)
                    err_hint(err, "You can drop constraint %.63s on table %.63s instead.", name, o->name);
            } else if (o)
                rc = ddl_unrefer(&d, o->table, -1, &o->table->index[index], "index", name,
                                 x->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE, err);
            o = index_by_path(&d, schema, name, &index);
            if (!rc)
                rc = o ? ddl_drop_index(&d, o, index, err) : skip(&d, x, "index", name, err);
        } else if (k == 4) {
            rc = drop_schema(&d, name, x, err);
        } else if (x->missing_ok) {
            rc = skip(&d, x, kinds[k].tag + 5, name, err); /* there can be none */
        } else {
            rc = err_set(err, RC_UNSUPPORTED, "%s is not supported", kinds[k].tag);
        }
    }
    return rc ? rc : done(&d, kinds[k].tag);
}

/* ---- COMMENT, owners, GRANT ----------------------------------------------------------------------------------------------------------- */

static enum rc comment_column(struct ddl *d, const PgQuery__CommentStmt *c, struct err *err) {
    const PgQuery__Node *n = c->object;
    const struct cat_object *o;
    struct draft f;
    struct cat_table *t;
    if (n->node_case != PG_QUERY__NODE__NODE_LIST || n->list->n_items < 2)
        return err_sql(err, "42601", "column name must be qualified");
    size_t k = n->list->n_items;
    const char *column = n->list->items[k - 1]->string->sval, *table = n->list->items[k - 2]->string->sval;
    enum rc rc = sess_relation(d->s, NULL, k > 2 ? n->list->items[k - 3]->string->sval : NULL, table, &o, err);
    if (rc)
        return rc;
    if (!o || o->kind != CAT_OBJECT_TABLE)
        return err_sql(err, "42P01", "relation \"%.63s\" does not exist", table);
    if (o->table->kind == CAT_VIEW)
        return err_set(err, RC_UNSUPPORTED, "COMMENT on columns of views is not supported");
    int place = cat_column_find(o->table, column);
    if (place < 0)
        return err_sql(err, "42703", "column \"%.63s\" of relation \"%.63s\" does not exist", column, table);
    rc = draft_begin(d, &f, o->table, 0, 0, 0, err);
    if (rc)
        return rc;
    f.column[place].comment = c->comment && c->comment[0] ? c->comment : NULL;
    uint32_t schema = o->schema;
    rc = draft_table(d, &f, &t, err);
    if (rc)
        return rc;
    rc = ddl_put_table(d, NULL, t, schema, err);
    cat_table_unref(t);
    return rc;
}

static enum rc comment(struct utility *u, const PgQuery__CommentStmt *c, struct err *err) {
    struct ddl d;
    const struct cat_object *o = NULL;
    const char *database, *schema, *name;
    enum rc rc = ddl_begin(&d, u, "COMMENT", err);
    if (rc)
        return rc;
    if (c->comment && strlen(c->comment) > CAT_COMMENT_BYTES_MAX)
        return err_set(err, RC_LIMIT, "a comment can have %d bytes", CAT_COMMENT_BYTES_MAX);
    names_of(c->object, &database, &schema, &name);
    struct cat_view v = ddl_view(&d);
    switch (c->objtype) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
        rc = comment_column(&d, c, err);
        return rc ? rc : done(&d, "COMMENT");
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
        rc = sess_relation(d.s, database, schema, name, &o, err);
        if (!rc && !o)
            rc = err_sql(err, "42P01", "relation \"%.63s\" does not exist", name);
        break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE:
        o = cat_view_database(&v, name);
        break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA:
        o = cat_view_schema(&v, d.s->database, name);
        break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROLE:
        o = cat_view_role(&v, name);
        break;
    default:
        return err_set(err, RC_UNSUPPORTED, "COMMENT on this kind of object is not supported");
    }
    if (!rc && !o)
        rc = err_sql(err, "42704", "\"%.63s\" does not exist", name);
    if (rc)
        return rc;
    struct cat_object n = *o;
    struct cat_table *t = NULL;
    n.comment = c->comment && c->comment[0] ? c->comment : NULL;
    if (n.kind == CAT_OBJECT_TABLE) {
        struct cat_table with = *o->table;
        with.comment = n.comment;
        rc = cat_table_new(&with, &t, err);
        n.table = t;
    }
    if (!rc)
        rc = ddl_put(&d, &n, err);
    cat_table_unref(t);
    return rc ? rc : done(&d, "COMMENT");
}

/* Privileges and tables must be there, though nothing is done with them. */
static enum rc grant_known(struct utility *u, const PgQuery__GrantStmt *g, struct err *err) {
    static const char *const known[] = {"select",  "insert", "update",   "delete",      "truncate", "references",
                                        "trigger", "usage",  "execute",  "connect",     "create",   "temporary",
                                        "temp",    "set",    "maintain", "alter system"};
    for (size_t i = 0; i < g->n_privileges; i++) {
        const char *name = g->privileges[i]->access_priv->priv_name;
        bool ok = !name || !name[0];
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            ok = ok || strcmp(name, known[k]) == 0;
        if (!ok)
            return err_sql(err, "42601", "unrecognized privilege type \"%.63s\"", name);
    }
    for (size_t i = 0; i < g->n_objects && g->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_OBJECT; i++) {
        const struct cat_object *o;
        if (g->objects[i]->node_case != PG_QUERY__NODE__NODE_RANGE_VAR)
            continue;
        const PgQuery__RangeVar *v = g->objects[i]->range_var;
        enum rc rc = sess_relation(u->s, v->catalogname, v->schemaname, v->relname, &o, err);
        if (!rc && !o)
            rc = err_sql(err, "42P01", "relation \"%.63s\" does not exist", v->relname);
        if (rc)
            return rc;
    }
    return RC_OK;
}

/* Everybody may do everything that is not kept for superusers: privileges are taken and mean nothing yet. */
static enum rc grant(struct utility *u, const char *tag, struct err *err) {
    (void)err;
    snprintf(u->done->tag, sizeof u->done->tag, "%s", tag);
    sess_notice(u->s, "NOTICE", "00000", "privileges are not enforced: every role may use every table");
    return RC_OK;
}

static enum rc owner(struct utility *u, const PgQuery__AlterOwnerStmt *a, struct err *err) {
    struct ddl d;
    const char *database, *schema, *name;
    uint32_t role;
    enum rc rc = ddl_begin(&d, u, "ALTER", err);
    if (rc)
        return rc;
    struct cat_view v = ddl_view(&d);
    names_of(a->object, &database, &schema, &name);
    bool is_database = a->object_type == PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE;
    if (!is_database && a->object_type != PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA)
        return err_set(err, RC_UNSUPPORTED, "ALTER ... OWNER of this kind of object is not supported");
    const struct cat_object *o = is_database ? cat_view_database(&v, name) : cat_view_schema(&v, d.s->database, name);
    if (!o)
        return err_sql(err, is_database ? "3D000" : "3F000", "%s \"%.63s\" does not exist",
                       is_database ? "database" : "schema", name);
    rc = ddl_role(&d, a->newowner, &role, err);
    struct cat_object n = *o;
    n.owner = role;
    if (!rc)
        rc = ddl_put(&d, &n, err);
    return rc ? rc : done(&d, is_database ? "ALTER DATABASE" : "ALTER SCHEMA");
}

/* ---- all of them ---------------------------------------------------------------------------------------------------------------------------- */

#define DDL(what, call)                                                                                                \
    do {                                                                                                               \
        struct ddl d;                                                                                                  \
        enum rc rc_ = ddl_begin(&d, u, what, err);                                                                     \
        if (!rc_)                                                                                                      \
            rc_ = (call);                                                                                              \
        return rc_ || u->done->tag[0] ? rc_ : done(&d, what);                                                          \
    } while (0)

enum rc ddl_run(struct utility *u, bool *ret_known, struct err *err) {
    const PgQuery__Node *n = u->node;
    *ret_known = true;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT:
        DDL("CREATE TABLE", ddl_create_table(&d, n->create_stmt, err));
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        DDL("ALTER TABLE", ddl_alter_table(&d, n->alter_table_stmt, err));
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        DDL("ALTER TABLE", ddl_rename(&d, n->rename_stmt, err));
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        DDL("CREATE INDEX", ddl_create_index(&d, n->index_stmt, err));
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT:
        DDL("TRUNCATE TABLE", ddl_truncate(&d, n->truncate_stmt, err));
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT:
        DDL("CREATE SEQUENCE", ddl_create_sequence(&d, n->create_seq_stmt, err));
    case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT:
        DDL("ALTER SEQUENCE", ddl_alter_sequence(&d, n->alter_seq_stmt, err));
    case PG_QUERY__NODE__NODE_CREATE_ROLE_STMT:
        DDL("CREATE ROLE", ddl_create_role(&d, n->create_role_stmt, err));
    case PG_QUERY__NODE__NODE_ALTER_ROLE_STMT:
        DDL("ALTER ROLE", ddl_alter_role(&d, n->alter_role_stmt, err));
    case PG_QUERY__NODE__NODE_DROP_ROLE_STMT:
        DDL("DROP ROLE", ddl_drop_role(&d, n->drop_role_stmt, err));
    case PG_QUERY__NODE__NODE_CREATEDB_STMT:
        return create_database(u, n->createdb_stmt, err);
    case PG_QUERY__NODE__NODE_DROPDB_STMT:
        return drop_database(u, n->dropdb_stmt, err);
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT:
        return create_schema(u, n->create_schema_stmt, err);
    case PG_QUERY__NODE__NODE_DROP_STMT:
        return drop(u, n->drop_stmt, err);
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
        return comment(u, n->comment_stmt, err);
    case PG_QUERY__NODE__NODE_ALTER_OWNER_STMT:
        return owner(u, n->alter_owner_stmt, err);
    case PG_QUERY__NODE__NODE_GRANT_STMT:
        if (grant_known(u, n->grant_stmt, err) != RC_OK)
            return err ? err->rc : RC_SQL;
        return grant(u, n->grant_stmt->is_grant ? "GRANT" : "REVOKE", err);
    case PG_QUERY__NODE__NODE_GRANT_ROLE_STMT:
        return grant(u, n->grant_role_stmt->is_grant ? "GRANT ROLE" : "REVOKE ROLE", err);
    case PG_QUERY__NODE__NODE_VIEW_STMT:
        DDL("CREATE VIEW", ddl_create_view(&d, err));
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
        if (n->create_table_as_stmt->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE)
            return sess_unsupported(u->script, n->create_table_as_stmt->into->rel->location, err,
                                    "CREATE MATERIALIZED VIEW is not supported");
        DDL("CREATE TABLE AS", ddl_create_as(&d, n->create_table_as_stmt->query, n->create_table_as_stmt->into,
                                             n->create_table_as_stmt->if_not_exists, err));
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        if (n->select_stmt->into_clause)
            DDL("SELECT INTO", ddl_select_into(&d, n->select_stmt, err));
        *ret_known = false;
        return RC_OK;
    default:
        *ret_known = false;
        return RC_OK;
    }
}
