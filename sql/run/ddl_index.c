/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ddl_index.c: indexes: CREATE and DROP INDEX, UNIQUE constraints, on tables that have rows too.
 *
 * A global index on a filled table: the table is locked exclusively (writers wait, snapshot reads go on), the index's own table of
 * keys is made and filled from a snapshot in transactions of its own, and the catalog names it with the statement's commit. A
 * local one is made by each tablet itself when it takes the new descriptor.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/store/key.h"
#include "sql/run/ddl.h"

/* ---- the index -------------------------------------------------------------------------------------------------------- */

static enum rc part_of(struct ddl *d, const struct draft *f, const PgQuery__Node *n, const struct index_spec *spec,
                       struct cat_part *ret, struct err *err) {
    const char *name = n->node_case == PG_QUERY__NODE__NODE_STRING ? n->string->sval : n->index_elem->name;
    bool desc = false;
    if (n->node_case == PG_QUERY__NODE__NODE_INDEX_ELEM) {
        const PgQuery__IndexElem *e = n->index_elem;
        if (e->expr || !name || !name[0])
            return sess_unsupported(d->u->script, spec->location, err, "indexes on expressions are not supported");
        desc = e->ordering == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
        for (size_t i = 0; i < e->n_collation; i++) {
            const char *c = e->collation[i]->string->sval;
            if (strcmp(c, "C") != 0 && strcmp(c, "default") != 0 && strcmp(c, "pg_catalog") != 0)
                return sess_unsupported(d->u->script, spec->location, err, "collation \"%.40s\" is not supported", c);
        }
        /* NULLs stand first in ascending order here: NULLS FIRST and LAST change no result, only the order that comes free. */
    }
    int place = draft_column(f, name);
    if (place < 0)
        return spec->constraint
                   ? ddl_error(d, spec->location, err, "42703", "column \"%.63s\" named in key does not exist", name)
                   : err_sql(err, "42703", "column \"%.63s\" does not exist", name);
    *ret = (struct cat_part){.col = (uint16_t)place, .desc = desc};
    return key_supports(&f->column[place].type, name, err);
}

static enum rc choose_name(struct ddl *d, struct draft *f, const struct index_spec *spec, const struct cat_index *x,
                           char name[static CAT_NAME_BYTES_MAX + 1], struct err *err) {
    struct buf b;
    if (spec->name) {
        enum rc rc = ddl_name_free(d, f->t.schema, spec->name, err);
        if (!rc)
            snprintf(name, CAT_NAME_BYTES_MAX + 1, "%s", spec->name);
        return rc;
    }
    buf_init(&b, 0);
    for (uint16_t i = 0; i < x->parts; i++) {
        const struct cat_column *c = &f->column[x->part[i].col];
        buf_printf(&b, "%s%s", i ? "_" : "", c->hidden && c->generated_sql ? ddl_expression_name(d, c) : c->name);
    }
    enum rc rc = buf_cstr(&b)
                     ? ddl_free_name(d, f, f->t.name, buf_cstr(&b), spec->constraint ? "key" : "idx", name, err)
                     : ddl_nomem(err);
    buf_done(&b);
    return rc;
}

static enum rc where_of(struct ddl *d, struct draft *f, const struct index_spec *spec, struct cat_index *x,
                        struct err *err) {
    struct analyse_in in;
    struct cat_table *t;
    struct expr *e;
    if (!spec->where)
        return RC_OK;
    enum rc rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = draft_table(d, f, &t, err);
    if (rc)
        return rc;
    rc = analyse_expression(&in, spec->where, t, col_of(COL_BOOL), &e, err);
    if (!rc)
        rc = ddl_deparse(d, spec->where, &x->where_sql, err);
    cat_table_unref(t);
    return rc;
}

enum rc draft_add_index(struct ddl *d, struct draft *f, const struct index_spec *spec, struct cat_index **ret,
                        struct err *err) {
    char name[CAT_NAME_BYTES_MAX + 1];
    CHECK(f->t.indexes < f->indexes_cap);
    struct cat_index *x = &f->index[f->t.indexes];
    struct cat_part *part = arena_array(d->a, spec->columns + 1, sizeof *part);
    uint16_t *include = arena_array(d->a, spec->includes + 1, sizeof *include);
    if (!part || !include)
        return ddl_nomem(err);
    if (spec->columns > TABLE_INDEX_COLUMNS_MAX || spec->includes > TABLE_INDEX_COLUMNS_MAX)
        return err_sql(err, "54011", "cannot use more than %d columns in an index", TABLE_INDEX_COLUMNS_MAX);
    if (spec->local && spec->unique)
        return err_set(err, RC_UNSUPPORTED, "a unique index cannot be local: other tablets may hold the same key");
    if (spec->local && (spec->includes || spec->where))
        return err_set(err, RC_UNSUPPORTED, "INCLUDE and WHERE are not supported for local indexes");
    *x = (struct cat_index){.kind = spec->local ? CAT_INDEX_LOCAL : CAT_INDEX_GLOBAL,
                            .state = CAT_PUBLIC,
                            .unique = spec->unique,
                            .constraint = spec->constraint,
                            .nulls_not_distinct = spec->nulls_not_distinct,
                            .parts = (uint16_t)spec->columns,
                            .part = part,
                            .includes = (uint16_t)spec->includes,
                            .include = include};
    enum rc rc = RC_OK;
    for (size_t i = 0; i < spec->columns && !rc; i++) {
        rc = part_of(d, f, spec->column[i], spec, &part[i], err);
        for (size_t k = 0; k < i && !rc; k++)
            if (part[k].col == part[i].col)
                rc = ddl_error(d, spec->location, err, "42701", "column \"%.63s\" appears twice in %s",
                               f->column[part[i].col].name, spec->constraint ? "unique constraint" : "the index");
    }
    for (size_t i = 0; i < spec->includes && !rc; i++) {
        struct cat_part p;
        rc = part_of(d, f, spec->include[i], spec, &p, err);
        include[i] = p.col;
    }
    if (!rc)
        rc = where_of(d, f, spec, x, err);
    if (!rc)
        rc = choose_name(d, f, spec, x, name, err);
    if (!rc)
        rc = cat_change_id(d->s->change, &x->id, err);
    if (!rc) {
        x->name = arena_strdup(d->a, name);
        rc = x->name ? RC_OK : ddl_nomem(err);
    }
    if (!rc) {
        f->t.indexes++;
        *ret = x;
    }
    return rc;
}

/* ---- filling ------------------------------------------------------------------------------------------------------------- */

struct fill {
    struct ddl *d;
    const struct cat_table *table;
    const struct cat_index *index;
    struct pgx *where;
    struct value *arg; /* of where: places in the table's rows are not known here, so it reads them by column */
    int *arg_place;    /* in the index's row */
    size_t args;
};

static enum rc keep_row(void *ctx, const struct value *row, bool *ret_keep, struct err *err) {
    struct fill *x = ctx;
    struct value v;
    struct arena a;
    /* NULLs are not equal: a unique index has no row where a part is NULL. Its parts come first. */
    for (uint16_t i = 0; i < x->index->parts && x->index->unique && !x->index->nulls_not_distinct; i++)
        if (row[i].kind == VALUE_NULL) {
            *ret_keep = false;
            return RC_OK;
        }
    if (!x->where)
        return RC_OK;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    struct fn_env env = x->d->s->env;
    env.arena = &a;
    for (size_t i = 0; i < x->args; i++)
        x->arg[i] = row[x->arg_place[i]];
    enum rc rc = pgx_run(x->where, &env, x->arg, &v, err);
    *ret_keep = !rc && v.kind == VALUE_INT && v.i != 0;
    arena_done(&a);
    return rc;
}

static enum rc not_unique(void *ctx, const struct value *row, struct err *err) {
    const struct fill *x = ctx;
    struct buf b, names;
    enum rc rc = err_sql(err, "23505", "could not create unique index \"%.63s\"", x->index->name);
    buf_init(&b, 0);
    buf_init(&names, 0);
    for (uint16_t i = 0; i < x->index->parts; i++) {
        const struct cat_column *c = &x->table->column[x->index->part[i].col];
        buf_printf(&names, "%s%s", i ? ", " : "", c->hidden && c->generated_sql ? c->generated_sql : c->name);
        if (i)
            buf_puts(&b, ", ");
        if (row[i].kind == VALUE_NULL)
            buf_puts(&b, "null");
        else if (type_print(&x->d->s->types, &c->type, &row[i], &b, NULL))
            buf_puts(&b, "?");
    }
    if (err && buf_cstr(&b) && buf_cstr(&names))
        err_detail(err, "Key (%s)=(%s) is duplicated.", buf_cstr(&names), buf_cstr(&b));
    buf_done(&b);
    buf_done(&names);
    return rc;
}

/* The WHERE of a partial index as a program over the columns of the index's rows, which then must have them. */
static enum rc load_where(struct fill *x, const struct table *wide, struct err *err) {
    struct ddl *d = x->d;
    struct analyse_in in;
    PgQuery__ParseResult *tree;
    struct expr *e;
    struct expr_program prog;
    char *text = ddl_printf(d, "SELECT %s", x->index->where_sql);
    enum rc rc = text ? ddl_analyse_in(d, &in, err) : ddl_nomem(err);
    if (!rc)
        rc = parse_text(d->s->e->reactor, d->a, text, strlen(text), &tree, err);
    if (rc)
        return rc;
    in.text = text;
    in.bytes = strlen(text);
    const PgQuery__Node *node = tree->stmts[0]->stmt->select_stmt->target_list[0]->res_target->val;
    rc = analyse_expression(&in, node, x->table, col_of(COL_BOOL), &e, err);
    if (!rc)
        rc = expr_compile(d->a, e, &prog, err);
    if (!rc)
        rc = pgx_load(prog.bytes, prog.n, &x->where, err);
    if (rc)
        return rc;
    x->args = prog.cols;
    x->arg = arena_array(d->a, prog.cols + 1u, sizeof *x->arg);
    x->arg_place = arena_array(d->a, prog.cols + 1u, sizeof *x->arg_place);
    if (!x->arg || !x->arg_place)
        return ddl_nomem(err);
    for (uint32_t i = 0; i < prog.cols; i++) {
        x->arg_place[i] = table_find_col(wide, x->table->column[prog.col[i]->col.col].id);
        if (x->arg_place[i] < 0)
            return err_set(
                err, RC_UNSUPPORTED,
                "a partial index on a table with rows must have the columns of its condition: INCLUDE \"%s\"",
                x->table->column[prog.col[i]->col.col].name);
    }
    return RC_OK;
}

static enum rc never(void *ctx, uint16_t column, struct value *ret) {
    (void)ctx, (void)column, (void)ret;
    return RC_INTERNAL;
}

enum rc draft_fill_index(struct ddl *d, const struct draft *f, const struct cat_table *from, const struct cat_index *x,
                         struct err *err) {
    struct table *to;
    struct fill fill = {.d = d, .table = from, .index = x};
    uint64_t rows = 0;
    enum rc rc = draft_index_store(d, f, x, x->id, 1, &to, err);
    if (rc)
        return rc;
    int *column = arena_array(d->a, to->n_cols + 1u, sizeof *column);
    if (!column)
        rc = ddl_nomem(err);
    for (uint16_t i = 0; i < to->n_cols && !rc; i++)
        column[i] = table_find_col(from->store, to->cols[i].id);
    if (!rc && x->where_sql)
        rc = load_where(&fill, to, err);
    if (!rc)
        rc = ddl_make_store(d, to, true, err);
    if (!rc)
        rc = ddl_place(d, from->placement, to, err);
    if (!rc) {
        struct ddl_copy c = {.from = from->store,
                             .to = to,
                             .column = column,
                             .fill = never,
                             .check = keep_row,
                             .duplicate = not_unique,
                             .ctx = &fill,
                             .what = x->name};
        rc = ddl_copy_rows(d, &c, &rows, err);
    }
    pgx_free(fill.where);
    table_unref(to);
    return rc;
}

/* ---- statements -------------------------------------------------------------------------------------------------------------- */

enum rc ddl_lock_table(struct ddl *d, const struct table *t, struct err *err) {
    struct span span;
    if (env_mutant(d->s->e->env, "SQL-5: an index is filled beside writers"))
        return RC_OK;
    enum rc rc = ddl_table_span(d->a, t, &span, err);
    return rc ? rc : txn_lock_spans(d->s->txn, &span, 1, LOCK_EXCLUSIVE, err);
}

static enum rc index_options(struct ddl *d, const PgQuery__IndexStmt *x, struct index_spec *spec, struct err *err) {
    for (size_t i = 0; i < x->n_options; i++) {
        const PgQuery__DefElem *o = x->options[i]->def_elem;
        if (strcmp(o->defname, "scope") == 0) {
            const char *scope = sess_def_text(o);
            if (strcasecmp(scope, "local") != 0 && strcasecmp(scope, "global") != 0)
                return ddl_error(d, o->location, err, "22023", "scope is local or global, not \"%.40s\"", scope);
            spec->local = strcasecmp(scope, "local") == 0;
        } else if (strcmp(o->defname, "fillfactor") != 0 && strcmp(o->defname, "deduplicate_items") != 0) {
            return ddl_error(d, o->location, err, "22023", "unrecognized parameter \"%.63s\"", o->defname);
        }
    }
    if (x->access_method && x->access_method[0] && strcmp(x->access_method, "btree") != 0 &&
        strcmp(x->access_method, "hash") != 0)
        return sess_unsupported(d->u->script, -1, err, "access method \"%.40s\" is not supported", x->access_method);
    return RC_OK;
}

/* Takes the draft to the catalog: a new local index goes to the tablets, a global one is filled. */
static enum rc add_to(struct ddl *d, const struct cat_object *o, const struct index_spec *spec, struct err *err) {
    const struct cat_table *from = cat_table_ref(o->table);
    uint32_t schema = o->schema;
    struct draft f;
    struct cat_index *x;
    struct cat_table *t = NULL;
    bool bump = true;
    enum rc rc = draft_begin(d, &f, from, 0, 1, 0, err);
    if (!rc)
        rc = draft_add_index(d, &f, spec, &x, err);
    if (!rc)
        rc = ddl_lock_table(d, from->store, err);
    if (!rc) {
        /* Every writer must know of the index; of a table that is new there are none. */
        bump = x->kind == CAT_INDEX_LOCAL || !ddl_is_new_store(d->s, from->store->id);
        f.store_version += bump;
        if (x->kind == CAT_INDEX_GLOBAL)
            rc = draft_fill_index(d, &f, from, x, err);
    }
    if (!rc)
        rc = draft_table(d, &f, &t, err);
    if (!rc && bump)
        rc = ddl_change_store(d, t->store, false, err);
    if (!rc)
        rc = ddl_put_table(d, NULL, t, schema, err);
    cat_table_unref(t);
    cat_table_unref(from);
    return rc;
}

enum rc ddl_create_index(struct ddl *d, const PgQuery__IndexStmt *x, struct err *err) {
    const struct cat_object *o;
    uint16_t there;
    const PgQuery__RangeVar *r = x->relation;
    struct index_spec spec = {.name = x->idxname && x->idxname[0] ? x->idxname : NULL,
                              .unique = x->unique,
                              .nulls_not_distinct = x->nulls_not_distinct,
                              .column = x->index_params,
                              .columns = x->n_index_params,
                              .include = x->index_including_params,
                              .includes = x->n_index_including_params,
                              .where = x->where_clause,
                              .location = r->location};
    enum rc rc = x->concurrent ? sess_no_block(d->s, "CREATE INDEX CONCURRENTLY", err) : RC_OK;
    if (!rc)
        rc = sess_relation(d->s, r->catalogname, r->schemaname, r->relname, &o, err);
    if (rc)
        return rc;
    if (!o)
        return ddl_error(d, -1, err, "42P01", "relation \"%.63s\" does not exist", r->relname);
    if (o->kind != CAT_OBJECT_TABLE || o->table->kind != CAT_TABLE)
        return err_sql(err, "42809", "cannot create index on relation \"%.63s\"", r->relname);
    struct cat_view v = ddl_view(d);
    if (spec.name && x->if_not_exists &&
        (cat_view_index(&v, o->schema, spec.name, &there) || cat_view_relation(&v, o->schema, spec.name))) {
        sess_notice(d->s, "NOTICE", "42P07", "relation \"%.63s\" already exists, skipping", spec.name);
        return RC_OK;
    }
    rc = index_options(d, x, &spec, err);
    PgQuery__Node **column = arena_array(d->a, x->n_index_params + 1, sizeof *column);
    if (!rc && !column)
        rc = ddl_nomem(err);
    if (rc)
        return rc;
    memcpy(column, x->index_params, x->n_index_params * sizeof *column);
    spec.column = column;
    rc = ddl_index_expressions(d, r, column, x->n_index_params, err);
    if (!rc)
        rc = sess_relation(d->s, r->catalogname, r->schemaname, r->relname, &o, err);
    return rc ? rc : add_to(d, o, &spec, err);
}

enum rc ddl_add_unique(struct ddl *d, const struct cat_object *o, const PgQuery__Constraint *k, struct err *err) {
    struct index_spec spec = {.name = k->conname && k->conname[0] ? k->conname : NULL,
                              .unique = true,
                              .constraint = true,
                              .nulls_not_distinct = k->nulls_not_distinct,
                              .column = k->keys,
                              .columns = k->n_keys,
                              .include = k->including,
                              .includes = k->n_including,
                              .location = k->location};
    return add_to(d, o, &spec, err);
}

enum rc ddl_drop_index(struct ddl *d, const struct cat_object *o, uint16_t index, struct err *err) {
    struct draft f;
    struct cat_table *t = NULL;
    const struct cat_table *from = cat_table_ref(o->table);
    uint32_t schema = o->schema;
    enum rc rc = draft_begin(d, &f, from, 0, 0, 0, err);
    if (!rc) {
        f.t.indexes--;
        for (uint16_t i = index; i < f.t.indexes; i++)
            f.index[i] = f.index[i + 1];
        f.store_version++;
        rc = draft_table(d, &f, &t, err);
    }
    if (!rc)
        rc = ddl_change_store(d, t->store, false, err);
    if (!rc && from->index[index].kind == CAT_INDEX_GLOBAL)
        rc = ddl_change_store(d, from->index[index].store, true, err);
    if (!rc)
        rc = ddl_put_table(d, NULL, t, schema, err);
    cat_table_unref(t);
    cat_table_unref(from);
    return rc;
}
