/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ddl_view.c: views, and what depends on what.
 *
 * The catalog keeps a view as text in which nothing is left to the time of use: relations have their schemas, stars their columns,
 * and it means the same under any search_path, which is tried before it is kept. What a view reads is found by analysing it; so a
 * table can be asked who reads it, and nothing has to be kept in two places.
 *
 * No tablet has a view, so none can tell a gateway that its copy is old. A view that is replaced or dropped therefore makes a new
 * version of each table that it reads (no rows of it change): a gateway that uses the old one is told RC_STALE there.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/run/ddl.h"

/* ---- the text -------------------------------------------------------------------------------------------------------- */

/* Stars of SELECT lists give way to what they stand for. Trees are at most PARSE_DEPTH_MAX deep. */
static bool replace_stars(struct arena *a, const struct analyse_names *names, ProtobufCMessage *m) {
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        char *base = (char *)m;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(size_t *)(void *)(base + f->quantifier_offset);
            ProtobufCMessage **v = *(ProtobufCMessage ***)(void *)(base + f->offset);
            for (size_t k = 0; k < n; k++)
                if (!replace_stars(a, names, v[k]))
                    return false;
            continue;
        }
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(uint32_t *)(void *)(base + f->quantifier_offset) != f->id)
            continue;
        ProtobufCMessage *sub = *(ProtobufCMessage **)(void *)(base + f->offset);
        if (sub && !replace_stars(a, names, sub))
            return false;
    }
    if (m->descriptor != &pg_query__select_stmt__descriptor)
        return true;
    PgQuery__SelectStmt *s = (PgQuery__SelectStmt *)m;
    size_t n = 0, at = 0;
    for (size_t i = 0; i < s->n_target_list; i++) {
        n++;
        for (uint32_t k = 0; k < names->stars; k++)
            if (names->star[k].target == s->target_list[i])
                n += names->star[k].n;
    }
    PgQuery__Node **to = arena_array(a, n + 1, sizeof *to);
    for (size_t i = 0; to && i < s->n_target_list; i++) {
        const struct analyse_star *star = NULL;
        for (uint32_t k = 0; k < names->stars; k++)
            if (names->star[k].target == s->target_list[i])
                star = &names->star[k];
        for (size_t k = 0; star && k < star->n; k++)
            to[at++] = star->into[k];
        if (!star)
            to[at++] = s->target_list[i];
    }
    s->target_list = to;
    s->n_target_list = at;
    return to != NULL;
}

/* A tree of our own of the statement under way, to be changed. */
static enum rc own_tree(struct ddl *d, PgQuery__ParseResult **ret_tree, PgQuery__Node **ret, struct err *err) {
    const struct sess_script *script = d->u->script;
    size_t index = 0;
    while (index < script->tree->n_stmts && script->tree->stmts[index]->stmt != d->u->node)
        index++;
    if (index == script->tree->n_stmts)
        return err_set(err, RC_UNSUPPORTED, "this statement cannot stand inside of another one");
    enum rc rc = parse_text(d->s->e->reactor, d->a, script->text, script->bytes, ret_tree, err);
    if (!rc)
        *ret = (*ret_tree)->stmts[index]->stmt;
    return rc;
}

/* What the catalog's text is, analysed where no name is found without its schema. */
static enum rc analyse_kept(struct ddl *d, const char *sql, struct analysed *ret, struct err *err) {
    PgQuery__ParseResult *tree;
    struct analyse_in in;
    enum rc rc = ddl_analyse_in(d, &in, err);
    in.text = sql;
    in.bytes = strlen(sql);
    in.search_paths = 0;
    if (!rc)
        rc = parse_text(d->s->e->reactor, d->a, sql, strlen(sql), &tree, err);
    if (!rc && tree->n_stmts != 1)
        rc = err_set(err, RC_CORRUPT, "a view is not one statement");
    return rc ? rc : analyse_statement(&in, tree->stmts[0]->stmt, ret, err);
}

static bool same_type(const struct col *a, const struct col *b) {
    return a->type == b->type && a->elem == b->elem && a->typmod == b->typmod;
}

static bool same_targets(const struct query *a, const struct query *b) {
    uint32_t n = 0, m = 0;
    for (uint32_t i = 0; i < a->targets; i++)
        n += !a->target[i].junk;
    for (uint32_t i = 0; i < b->targets; i++)
        m += !b->target[i].junk;
    for (uint32_t i = 0; i < n && n == m; i++) {
        const struct target *x = &a->target[i], *y = &b->target[i];
        if (strcmp(x->name, y->name) != 0 || !same_type(&x->expr->type, &y->expr->type))
            return false;
    }
    return n == m;
}

/* The text that means what the analysed query means, whoever asks. */
static enum rc kept_text(struct ddl *d, PgQuery__ParseResult *tree, const PgQuery__Node *query,
                         const struct analyse_names *names, const struct query *q, const char **ret, struct err *err) {
    struct analysed again;
    struct err why = {0};
    if (!replace_stars(d->a, names, &tree->base))
        return ddl_nomem(err);
    enum rc rc = ddl_deparse_statement(d, query, ret, err);
    if (rc)
        return rc;
    rc = analyse_kept(d, *ret, &again, &why);
    if (rc && rc != RC_SQL && rc != RC_UNSUPPORTED) {
        if (err)
            *err = why;
        return rc;
    }
    bool same = !rc && same_targets(q, again.query);
    if (!rc)
        analysed_done(&again);
    if (same)
        return RC_OK;
    rc = err_set(err, RC_UNSUPPORTED, "a view of this query is not supported");
    if (err && why.rc)
        err_detail(err, "Written out it would be: %s", err_message(&why));
    return rc;
}

/* ---- who reads what -------------------------------------------------------------------------------------------------- */

enum rc ddl_views_of(struct ddl *d, uint32_t id, int column, struct cat_list *ret, struct err *err) {
    struct cat_view v = ddl_view(d);
    struct cat_list all;
    *ret = (struct cat_list){0};
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, d->s->database, &all, err);
    if (rc)
        return rc;
    ret->v = calloc(all.n + 1, sizeof *ret->v);
    if (!ret->v)
        rc = ddl_nomem(err);
    for (size_t i = 0; i < all.n && !rc; i++) {
        struct analysed a;
        struct err why = {0};
        bool reads = false;
        if (all.v[i]->table->kind != CAT_VIEW || all.v[i]->id == id)
            continue;
        rc = analyse_kept(d, all.v[i]->table->view_sql, &a, &why);
        if (rc == RC_SQL || rc == RC_UNSUPPORTED) { /* it cannot be used any more, whatever becomes of the table */
            rc = RC_OK;
            continue;
        }
        if (rc) {
            if (err)
                *err = why;
            break;
        }
        for (size_t k = 0; k < a.tables; k++)
            reads = reads || a.table[k]->id == id;
        if (reads && column >= 0)
            reads = analysed_reads_column(&a, id, (uint32_t)column);
        analysed_done(&a);
        if (reads)
            ret->v[ret->n++] = cat_object_ref(all.v[i]);
    }
    cat_list_done(&all);
    if (rc) {
        cat_list_done(ret);
        *ret = (struct cat_list){0};
    }
    return rc;
}

enum rc ddl_column_free(struct ddl *d, const struct cat_table *t, int column, const char *what, struct err *err) {
    struct cat_list l;
    enum rc rc = ddl_views_of(d, t->id, column, &l, err);
    if (!rc && l.n > 0) {
        rc = err_sql(err, "0A000", "%s", what);
        if (err)
            err_detail(err, "view %.63s depends on column \"%.63s\" of table %.63s", l.v[0]->name,
                       t->column[column].name, t->name);
    }
    cat_list_done(&l);
    return rc;
}

/* Tables that a view reads get a new version each. */
static enum rc renew_tables(struct ddl *d, const char *sql, struct err *err) {
    struct analysed a;
    struct err why = {0};
    enum rc rc = analyse_kept(d, sql, &a, &why);
    if (rc == RC_SQL || rc == RC_UNSUPPORTED)
        return RC_OK; /* nobody can use it */
    if (rc) {
        if (err)
            *err = why;
        return rc;
    }
    for (size_t i = 0; i < a.tables && !rc; i++)
        if (a.table[i]->kind == CAT_TABLE)
            rc = ddl_renew_table(d, a.table[i]->id, err);
    analysed_done(&a);
    return rc;
}

enum rc ddl_renew_table(struct ddl *d, uint32_t id, struct err *err) {
    struct cat_view v = ddl_view(d);
    const struct cat_object *o = cat_view_get(&v, id);
    struct cat_table *t = NULL;
    struct draft f;
    if (!o || o->kind != CAT_OBJECT_TABLE || o->table->kind != CAT_TABLE || ddl_is_new_store(d->s, o->table->store->id))
        return RC_OK;
    const struct cat_table *from = cat_table_ref(o->table);
    uint32_t schema = o->schema;
    enum rc rc = draft_begin(d, &f, from, 0, 0, 0, err);
    f.store_version++;
    if (!rc)
        rc = draft_table(d, &f, &t, err);
    if (!rc)
        rc = ddl_change_store(d, t->store, false, err);
    if (!rc)
        rc = ddl_put_table(d, NULL, t, schema, err);
    cat_table_unref(t);
    cat_table_unref(from);
    return rc;
}

/* ---- CREATE VIEW ----------------------------------------------------------------------------------------------------- */

static enum rc view_columns(struct ddl *d, const PgQuery__ViewStmt *v, const struct query *q, struct cat_table *t,
                            struct err *err) {
    struct cat_column *c = arena_array(d->a, q->targets + 1u, sizeof *c);
    if (!c)
        return ddl_nomem(err);
    for (uint32_t i = 0; i < q->targets; i++) {
        const struct target *from = &q->target[i];
        if (from->junk)
            continue;
        c[t->columns] = (struct cat_column){.name = t->columns < v->n_aliases ? v->aliases[t->columns]->string->sval
                                                    : from->name              ? from->name
                                                                              : "?column?",
                                            .id = t->columns + 1u,
                                            .type = from->expr->type};
        for (uint16_t k = 0; k < t->columns; k++)
            if (strcmp(c[k].name, c[t->columns].name) == 0)
                return err_sql(err, "42701", "column \"%.63s\" specified more than once", c[k].name);
        t->columns++;
    }
    if (v->n_aliases > t->columns)
        return err_sql(err, "42601", "CREATE VIEW specifies more column names than columns");
    t->column = c;
    return RC_OK;
}

/* What stands on the old one must stand on the new one: its columns stay, new ones come behind them. */
static enum rc may_replace(const struct cat_table *old, const struct cat_table *new, struct err *err) {
    char was[COL_NAME_BYTES], is[COL_NAME_BYTES];
    if (old->kind != CAT_VIEW)
        return err_sql(err, "42809", "\"%.63s\" is not a view", old->name);
    if (new->columns < old->columns)
        return err_sql(err, "42P16", "cannot drop columns from view");
    for (uint16_t i = 0; i < old->columns; i++) {
        const struct cat_column *a = &old->column[i], *b = &new->column[i];
        if (strcmp(a->name, b->name) != 0) {
            enum rc rc =
                err_sql(err, "42P16", "cannot change name of view column \"%.63s\" to \"%.63s\"", a->name, b->name);
            if (err)
                err_hint(err, "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.");
            return rc;
        }
        if (!same_type(&a->type, &b->type))
            return err_sql(err, "42P16", "cannot change data type of view column \"%.63s\" from %s to %s", a->name,
                           col_name(&a->type, was), col_name(&b->type, is));
    }
    return RC_OK;
}

static enum rc not_ours(struct ddl *d, const PgQuery__ViewStmt *v, struct err *err) {
    const PgQuery__RangeVar *r = v->view;
    if (r->relpersistence && r->relpersistence[0] == 't')
        return sess_unsupported(d->u->script, r->location, err, "temporary views are not supported");
    if (v->with_check_option > PG_QUERY__VIEW_CHECK_OPTION__NO_CHECK_OPTION)
        return sess_unsupported(d->u->script, r->location, err, "WITH CHECK OPTION is not supported");
    if (v->n_options)
        return sess_unsupported(d->u->script, v->options[0]->def_elem->location, err,
                                "the view option \"%.40s\" is not supported", v->options[0]->def_elem->defname);
    if (strlen(r->relname) > CAT_NAME_BYTES_MAX)
        return err_sql(err, "42622", "identifier \"%.63s...\" is too long", r->relname);
    return RC_OK;
}

/* The view's table but for its id, out of the query; text and columns in the statement's arena. */
static enum rc make_view(struct ddl *d, const PgQuery__ViewStmt *v, PgQuery__ParseResult *tree, struct cat_table *t,
                         struct err *err) {
    struct analyse_names names = {0};
    struct analyse_in in;
    struct analysed a;
    enum rc rc = ddl_analyse_in(d, &in, err);
    in.names = &names;
    if (!rc)
        rc = analyse_statement(&in, v->query, &a, err);
    if (rc)
        return rc;
    if (a.params > 0)
        rc = err_sql(err, "42P02", "there is no parameter $1");
    for (size_t i = 0; i < a.tables && !rc; i++)
        if (t->id && a.table[i]->id == t->id)
            rc = err_sql(err, "42P17", "infinite recursion detected in rules for relation \"%.63s\"", v->view->relname);
    if (!rc)
        rc = view_columns(d, v, a.query, t, err);
    if (!rc)
        rc = kept_text(d, tree, v->query, &names, a.query, &t->view_sql, err);
    if (!rc && strlen(t->view_sql) > DDL_VIEW_BYTES_MAX)
        rc = err_set(err, RC_LIMIT, "a view can have %d bytes", DDL_VIEW_BYTES_MAX);
    analysed_done(&a);
    return rc;
}

enum rc ddl_create_view(struct ddl *d, struct err *err) {
    PgQuery__ParseResult *tree;
    PgQuery__Node *node = NULL;
    struct cat_schema schema;
    struct cat_table *made = NULL;
    enum rc rc = own_tree(d, &tree, &node, err);
    if (rc)
        return rc;
    const PgQuery__ViewStmt *v = node->view_stmt;
    rc = not_ours(d, v, err);
    if (!rc)
        rc = sess_create_schema(d->s, v->view, &schema, err);
    if (rc)
        return rc;
    struct cat_view view = ddl_view(d);
    const struct cat_object *o = v->replace ? cat_view_relation(&view, schema.id, v->view->relname) : NULL;
    if (o && o->kind != CAT_OBJECT_TABLE)
        return err_sql(err, "42809", "\"%.63s\" is not a view", v->view->relname);
    const struct cat_table *old = o ? cat_table_ref(o->table) : NULL;
    struct cat_table t = {.id = old ? old->id : 0,
                          .schema = schema.id,
                          .owner = old ? old->owner : d->s->role,
                          .version = old ? old->version + 1 : 1,
                          .name = v->view->relname,
                          .schema_name = schema.name,
                          .kind = CAT_VIEW,
                          .comment = old ? old->comment : NULL};
    if (!old)
        rc = ddl_name_free(d, schema.id, t.name, err);
    if (!rc)
        rc = make_view(d, v, tree, &t, err);
    if (!rc && old)
        rc = may_replace(old, &t, err);
    if (!rc && old)
        rc = renew_tables(d, old->view_sql, err);
    if (!rc && !old)
        rc = cat_change_id(d->s->change, &t.id, err);
    if (!rc)
        rc = cat_table_new(&t, &made, err);
    if (!rc)
        rc = ddl_put_table(d, NULL, made, schema.id, err);
    cat_table_unref(made);
    cat_table_unref(old);
    return rc;
}

/* ---- changes --------------------------------------------------------------------------------------------------------- */

enum rc ddl_forget_view(struct ddl *d, const struct cat_table *t, struct err *err) {
    return renew_tables(d, t->view_sql, err);
}

/* What is called `from` in the schema is called `to`; what names its columns by its name goes on doing so. */
static void rename_relations(ProtobufCMessage *m, const char *schema, const char *from, char *to,
                             PgQuery__Alias *alias) {
    if (m->descriptor == &pg_query__range_var__descriptor) {
        PgQuery__RangeVar *v = (PgQuery__RangeVar *)m;
        if (strcmp(v->schemaname, schema) == 0 && strcmp(v->relname, from) == 0) {
            v->relname = to;
            if (!v->alias)
                v->alias = alias;
        }
        return;
    }
    if (m->descriptor == &pg_query__column_ref__descriptor) {
        PgQuery__ColumnRef *c = (PgQuery__ColumnRef *)m;
        if (c->n_fields == 3 && strcmp(c->fields[0]->string->sval, schema) == 0 &&
            strcmp(c->fields[1]->string->sval, from) == 0) {
            c->fields++;
            c->n_fields--;
        }
        return;
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        char *base = (char *)m;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(size_t *)(void *)(base + f->quantifier_offset);
            ProtobufCMessage **v = *(ProtobufCMessage ***)(void *)(base + f->offset);
            for (size_t k = 0; k < n; k++)
                rename_relations(v[k], schema, from, to, alias);
            continue;
        }
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(uint32_t *)(void *)(base + f->quantifier_offset) != f->id)
            continue;
        ProtobufCMessage *sub = *(ProtobufCMessage **)(void *)(base + f->offset);
        if (sub)
            rename_relations(sub, schema, from, to, alias);
    }
}

static enum rc put_view_text(struct ddl *d, const struct cat_object *o, const char *name, const char *sql,
                             struct err *err) {
    struct cat_table t = *o->table, *made;
    uint32_t schema = o->schema;
    t.version++;
    t.name = name;
    t.view_sql = sql;
    enum rc rc = cat_table_new(&t, &made, err);
    if (rc)
        return rc;
    rc = ddl_put_table(d, NULL, made, schema, err);
    cat_table_unref(made);
    return rc;
}

enum rc ddl_views_follow(struct ddl *d, const struct cat_table *t, const char *to, struct err *err) {
    struct cat_list l;
    enum rc rc = ddl_views_of(d, t->id, -1, &l, err);
    for (size_t i = 0; i < l.n && !rc; i++) {
        PgQuery__ParseResult *tree;
        PgQuery__Alias alias = PG_QUERY__ALIAS__INIT;
        const char *sql = l.v[i]->table->view_sql;
        alias.aliasname = (char *)(uintptr_t)t->name;
        rc = parse_text(d->s->e->reactor, d->a, sql, strlen(sql), &tree, err);
        if (rc)
            break;
        rename_relations(&tree->base, t->schema_name, t->name, (char *)(uintptr_t)to, &alias);
        rc = ddl_deparse_statement(d, tree->stmts[0]->stmt, &sql, err);
        if (!rc)
            rc = put_view_text(d, l.v[i], l.v[i]->name, sql, err);
    }
    cat_list_done(&l);
    return rc;
}

enum rc ddl_rename_view(struct ddl *d, const struct cat_object *o, const char *to, struct err *err) {
    struct cat_object *kept = cat_object_ref((struct cat_object *)(uintptr_t)o);
    enum rc rc = ddl_views_follow(d, kept->table, to, err);
    if (!rc)
        rc = ddl_forget_view(d, kept->table, err);
    if (!rc)
        rc = put_view_text(d, kept, to, kept->table->view_sql, err);
    cat_object_unref(kept);
    return rc;
}
