/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ddl_alter.c: ALTER TABLE and RENAME. Each command is one new version of the table; what rows must be checked for is checked
 * under an exclusive lock of the table. A primary key that is added to a table without one moves its rows into a new table of keys.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sql/run/ddl.h"

/* ---- looking at expressions and rows ----------------------------------------------------------------------------------- */

static bool expr_any(const struct expr *e, bool (*is)(const struct expr *e, int arg), int arg) {
    if (!e)
        return false;
    if (is(e, arg))
        return true;
    for (uint32_t i = 0; i < e->args; i++)
        if (expr_any(e->arg[i], is, arg))
            return true;
    return false;
}

static bool is_volatile(const struct expr *e, int arg) {
    (void)arg;
    return e->kind == EXPR_CALL && e->call.fn && e->call.fn->volatility == FN_VOLATILE;
}

static bool is_column(const struct expr *e, int arg) {
    return e->kind == EXPR_COL && e->col.levels == 0 && (int)e->col.col == arg;
}

static enum rc parse_expr(struct ddl *d, const char *sql, PgQuery__ParseResult **ret_tree, const PgQuery__Node **ret,
                          const char **ret_text, struct err *err) {
    char *text = ddl_printf(d, "SELECT %s", sql);
    enum rc rc = text ? parse_text(d->s->e->reactor, d->a, text, strlen(text), ret_tree, err) : ddl_nomem(err);
    if (!rc) {
        *ret = (*ret_tree)->stmts[0]->stmt->select_stmt->target_list[0]->res_target->val;
        *ret_text = text;
    }
    return rc;
}

static enum rc check_uses(struct ddl *d, const struct cat_table *t, const char *sql, int column, bool *ret,
                          struct err *err) {
    PgQuery__ParseResult *tree;
    const PgQuery__Node *node;
    struct analyse_in in;
    struct expr *e;
    const char *text;
    enum rc rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = parse_expr(d, sql, &tree, &node, &text, err);
    if (rc)
        return rc;
    in.text = text;
    in.bytes = strlen(text);
    rc = analyse_expression(&in, node, t, col_of(COL_BOOL), &e, err);
    if (!rc)
        *ret = expr_any(e, is_column, column);
    return rc;
}

static enum rc note_row(void *ctx, const struct value *v, struct err *err) {
    (void)v, (void)err;
    *(bool *)ctx = true;
    return RC_OK;
}

/* Is there a row of the table, under its lock, for which the condition (NULL: any) holds? */
static enum rc any_row(struct ddl *d, const struct cat_table *t, const char *where, bool *ret, struct err *err) {
    const char *schema = ddl_quote(d, t->schema_name), *name = ddl_quote(d, t->name);
    char *text = schema && name ? ddl_printf(d, "SELECT 1 FROM %s.%s%s%s LIMIT 1", schema, name, where ? " WHERE " : "",
                                             where ? where : "")
                                : NULL;
    *ret = false;
    enum rc rc = text ? ddl_lock_table(d, t->store, err) : ddl_nomem(err);
    return rc ? rc : sess_run_text(d->s, text, note_row, ret, NULL, err);
}

/* ---- one command -------------------------------------------------------------------------------------------------------------- */

struct alter {
    struct ddl *d;
    const struct cat_table *from; /* a reference */
    uint32_t schema;
    struct draft f;
    bool dirty;    /* the draft differs from the table: to be written when all commands are done */
    bool physical; /* its columns do */
};

static enum rc finish(struct alter *a, struct err *err) {
    (void)err;
    a->dirty = true;
    return RC_OK;
}

/* The draft as the new version: tablets hear of it, so that no gateway goes on with the old one; of a new table there is none. */
static enum rc write_out(struct alter *a, struct err *err) {
    struct cat_table *t = NULL;
    if (!a->dirty)
        return RC_OK;
    a->dirty = false;
    bool tell = a->physical || !ddl_is_new_store(a->d->s, a->from->store->id);
    a->f.store_version = a->from->store->version + tell;
    enum rc rc = draft_table(a->d, &a->f, &t, err);
    if (!rc && tell)
        rc = ddl_change_store(a->d, t->store, false, err);
    if (!rc)
        rc = ddl_put_table(a->d, NULL, t, a->schema, err);
    cat_table_unref(t);
    return rc;
}

static enum rc find_column(struct alter *a, const char *name, int *ret, struct err *err) {
    *ret = draft_column(&a->f, name);
    if (*ret >= 0 && !a->f.column[*ret].hidden)
        return RC_OK;
    return err_sql(err, "42703", "column \"%.63s\" of relation \"%.63s\" does not exist", name, a->from->name);
}

static enum rc new_foreigns(struct alter *a, const PgQuery__ColumnDef *def, struct err *err);

static enum rc add_column(struct alter *a, const PgQuery__AlterTableCmd *c, struct err *err) {
    struct ddl *d = a->d;
    const PgQuery__ColumnDef *def = c->def->column_def;
    struct draft *f = &a->f;
    struct cat_schema schema = {.id = a->schema};
    bool rows = false, keys = false;
    snprintf(schema.name, sizeof schema.name, "%s", a->from->schema_name);
    a->physical = true;
    if (draft_column(f, def->colname) >= 0) {
        if (!c->missing_ok)
            return err_sql(err, "42701", "column \"%.63s\" of relation \"%.63s\" already exists", def->colname,
                           a->from->name);
        sess_notice(d->s, "NOTICE", "42701", "column \"%.63s\" of relation \"%.63s\" already exists, skipping",
                    def->colname, a->from->name);
        return RC_OK;
    }
    enum rc rc = draft_add_column(d, f, def, &schema, err);
    if (rc)
        return rc;
    struct cat_column *column = &f->column[f->t.columns - 1];
    if (!f->missing) {
        f->missing = arena_array(d->a, f->columns_cap + 1u, sizeof *f->missing);
        if (!f->missing)
            return ddl_nomem(err);
        for (uint16_t i = 0; i < f->columns_cap; i++)
            f->missing[i] = value_null();
    }
    for (size_t i = 0; i < def->n_constraints && !rc; i++) {
        const PgQuery__Constraint *k = def->constraints[i]->constraint;
        keys = keys || k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY ||
               k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE;
        if (k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK)
            rc = draft_add_check(d, f, k, err);
        if (rc || k->contype != PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT)
            continue;
        const char *sql;
        struct expr *e;
        rc = ddl_default(d, column, k->raw_expr, &sql, &e, err);
        if (!rc && !expr_any(e, is_volatile, 0))
            rc = sess_eval(d->s, d->u->script, k->raw_expr, column->type, d->a, &f->missing[f->t.columns - 1], err);
    }
    if (keys)
        return sess_unsupported(d->u->script, def->location, err,
                                "ADD COLUMN with a key is not supported: add the column, then the constraint");
    if (!rc)
        rc = draft_column_generated(d, f, def, err);
    if (!rc && column->generated_sql) {
        rc = any_row(d, a->from, NULL, &rows, err);
        if (!rc && rows)
            rc = sess_unsupported(d->u->script, def->location, err,
                                  "ADD COLUMN of a generated column is not supported for a table with rows");
        return rc ? rc : finish(a, err);
    }
    bool given = f->missing[f->t.columns - 1].kind != VALUE_NULL;
    if (!rc && !given && (column->not_null || column->default_sql || f->t.checks > a->from->checks))
        rc = any_row(d, a->from, NULL, &rows, err);
    if (!rc && rows && !given && column->default_sql && strcasecmp(column->default_sql, "null") != 0)
        return sess_unsupported(
            d->u->script, def->location, err,
            "ADD COLUMN with a default that differs from row to row is not supported for a table with rows");
    if (!rc && rows && !given && column->not_null) {
        rc = err_sql(err, "23502", "column \"%.63s\" of relation \"%.63s\" contains null values", column->name,
                     a->from->name);
        err_about(err, ERR_TABLE, a->from->name);
        err_about(err, ERR_COLUMN, column->name);
    }
    if (!rc)
        rc = new_foreigns(a, def, err);
    return rc ? rc : finish(a, err);
}

/* Keys of the table's own that the column belongs to go with it. */
static enum rc forget_foreign(struct alter *a, const char *name, int column, bool *ret_any, struct err *err) {
    struct draft *f = &a->f;
    struct cat_foreign_key *left = arena_array(a->d->a, f->t.foreign_keys + 1u, sizeof *left);
    uint16_t n = 0;
    if (!left)
        return ddl_nomem(err);
    for (uint16_t i = 0; i < f->t.foreign_keys; i++) {
        const struct cat_foreign_key *k = &f->t.foreign_key[i];
        bool goes = name && strcmp(k->name, name) == 0;
        for (uint16_t c = 0; c < k->cols; c++)
            goes = goes || (column >= 0 && k->col[c] == column);
        if (!goes)
            left[n++] = *k;
    }
    *ret_any = n < f->t.foreign_keys;
    f->t.foreign_key = left;
    f->t.foreign_keys = n;
    return RC_OK;
}

static enum rc drop_column(struct alter *a, const PgQuery__AlterTableCmd *c, struct err *err) {
    struct draft *f = &a->f;
    int place = draft_column(f, c->name);
    uint16_t n = 0;
    struct cat_list views;
    a->physical = true;
    enum rc rc = RC_OK;
    if (place < 0 && c->missing_ok) {
        sess_notice(a->d->s, "NOTICE", "00000", "column \"%.63s\" of relation \"%.63s\" does not exist, skipping",
                    c->name, a->from->name);
        return RC_OK;
    }
    rc = find_column(a, c->name, &place, err);
    if (rc)
        return rc;
    for (uint16_t i = 0; i < a->from->keys; i++)
        if (a->from->key[i].col == place)
            return err_set(err, RC_UNSUPPORTED, "a column of the primary key cannot be dropped");
    rc = ddl_views_of(a->d, a->from->id, place, &views, err);
    if (!rc && views.n > 0) {
        rc = err_sql(err, "2BP01", "cannot drop column %.63s of table %.63s because other objects depend on it",
                     c->name, a->from->name);
        if (err) {
            err_detail(err, "view %.63s depends on column %.63s of table %.63s", views.v[0]->name, c->name,
                       a->from->name);
            err_hint(err, "Drop the view first, and make it again afterwards.");
        }
    }
    cat_list_done(&views);
    bool any;
    int user = -1;
    if (!rc)
        rc = ddl_generated_by(a->d, a->from, place, &user, err);
    if (!rc && user >= 0 && a->from->column[user].hidden)
        rc = err_set(err, RC_UNSUPPORTED, "a column that an index on an expression has used cannot be dropped");
    else if (!rc && user >= 0) {
        rc = err_sql(err, "2BP01", "cannot drop column %.63s of table %.63s because other objects depend on it",
                     c->name, a->from->name);
        if (err) {
            err_detail(err, "column %.63s of table %.63s depends on column %.63s of table %.63s",
                       a->from->column[user].name, a->from->name, c->name, a->from->name);
            err_hint(err, "Drop that column first.");
        }
    }
    if (!rc)
        rc = forget_foreign(a, NULL, place, &any, err);
    if (!rc)
        rc = ddl_unrefer(a->d, a->from, place, NULL, "column", c->name,
                         c->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE, err);
    if (rc)
        return rc;
    for (uint16_t i = 0; i < f->t.checks; i++) {
        bool uses = false;
        rc = check_uses(a->d, a->from, f->check[i].sql, place, &uses, err);
        if (rc)
            return rc;
        if (!uses)
            f->check[n++] = f->check[i];
    }
    f->t.checks = n;
    n = 0;
    uint16_t indexes = f->t.indexes;
    for (uint16_t i = 0; i < indexes && !rc; i++) {
        const struct cat_index kept = f->index[i], *x = &kept;
        bool uses = false;
        for (uint16_t k = 0; k < x->parts; k++)
            uses = uses || x->part[k].col == place;
        for (uint16_t k = 0; k < x->includes; k++)
            uses = uses || x->include[k] == place;
        if (!uses && x->where_sql)
            rc = check_uses(a->d, a->from, x->where_sql, place, &uses, err);
        if (!uses)
            f->index[n++] = *x;
        else if (!rc && x->kind == CAT_INDEX_GLOBAL)
            rc = ddl_change_store(a->d, x->store, true, err);
    }
    f->t.indexes = n;
    uint32_t sequence = f->column[place].sequence;
    f->column[place] =
        (struct cat_column){.name = "", .id = f->column[place].id, .type = f->column[place].type, .dropped = true};
    if (!rc && sequence) {
        struct cat_view v = ddl_view(a->d);
        const struct cat_object *o = cat_view_get(&v, sequence);
        rc = o ? ddl_drop_object(a->d, o, err) : RC_OK;
    }
    return rc ? rc : finish(a, err);
}

static enum rc column_default(struct alter *a, const PgQuery__AlterTableCmd *c, struct err *err) {
    int place;
    enum rc rc = find_column(a, c->name, &place, err);
    if (rc)
        return rc;
    struct cat_column *column = &a->f.column[place];
    if (column->identity)
        return err_sql(err, "42601", "column \"%.63s\" of relation \"%.63s\" is an identity column", c->name,
                       a->from->name);
    if (column->generated_sql)
        return err_sql(err, "42601", "column \"%.63s\" of relation \"%.63s\" is a generated column", c->name,
                       a->from->name);
    column->default_sql = NULL;
    if (c->def)
        rc = ddl_default(a->d, column, c->def, &column->default_sql, NULL, err);
    return rc ? rc : finish(a, err);
}

static enum rc add_identity(struct alter *a, const PgQuery__AlterTableCmd *c, struct err *err) {
    struct cat_schema schema = {.id = a->schema};
    const char *why = NULL;
    int place;
    enum rc rc = find_column(a, c->name, &place, err);
    if (rc)
        return rc;
    struct cat_column *column = &a->f.column[place];
    if (!column->not_null)
        why = "must be declared NOT NULL before identity can be added";
    else if (column->identity)
        why = "is already an identity column";
    else if (column->default_sql || column->generated_sql)
        why = "already has a default value";
    if (why)
        return err_sql(err, "55000", "column \"%.63s\" of relation \"%.63s\" %s", c->name, a->from->name, why);
    snprintf(schema.name, sizeof schema.name, "%s", a->from->schema_name);
    rc = draft_identity(a->d, &a->f, column, c->def->constraint, &schema, err);
    return rc ? rc : finish(a, err);
}

static enum rc column_null(struct alter *a, const PgQuery__AlterTableCmd *c, bool not_null, struct err *err) {
    int place;
    bool rows = false;
    enum rc rc = find_column(a, c->name, &place, err);
    if (rc)
        return rc;
    for (uint16_t i = 0; i < a->from->keys && !not_null; i++)
        if (a->from->key[i].col == place)
            return err_sql(err, "42P16", "column \"%.63s\" is in a primary key", c->name);
    if (!not_null && a->f.column[place].identity)
        return err_sql(err, "42601", "column \"%.63s\" of relation \"%.63s\" is an identity column", c->name,
                       a->from->name);
    const char *quoted = ddl_quote(a->d, c->name);
    char *where = quoted ? ddl_printf(a->d, "%s IS NULL", quoted) : NULL;
    if (!where)
        return ddl_nomem(err);
    bool fresh = place >= a->from->columns; /* added by this statement: all rows have the same in it */
    bool given = fresh && a->f.missing && a->f.missing[place].kind != VALUE_NULL;
    if (not_null && !given)
        rc = any_row(a->d, a->from, fresh ? NULL : where, &rows, err);
    if (!rc && rows) {
        rc = err_sql(err, "23502", "column \"%.63s\" of relation \"%.63s\" contains null values", c->name,
                     a->from->name);
        err_about(err, ERR_TABLE, a->from->name);
        err_about(err, ERR_COLUMN, c->name);
    }
    a->f.column[place].not_null = not_null;
    return rc ? rc : finish(a, err);
}

/* ---- a primary key for a table that has none ------------------------------------------------------------------------------------ */

struct rekey {
    struct alter *a;
    const struct table *to;
};

static enum rc no_fill(void *ctx, uint16_t column, struct value *ret) {
    (void)ctx, (void)column, (void)ret;
    return RC_INTERNAL;
}

static enum rc key_present(void *ctx, const struct value *row, bool *ret_keep, struct err *err) {
    const struct rekey *r = ctx;
    *ret_keep = true;
    for (uint16_t i = 0; i < r->to->n_key; i++)
        if (row[r->to->key[i].col].kind == VALUE_NULL) {
            const char *name = r->a->f.column[r->to->key[i].col].name;
            enum rc rc = err_sql(err, "23502", "column \"%.63s\" of relation \"%.63s\" contains null values", name,
                                 r->a->from->name);
            err_about(err, ERR_TABLE, r->a->from->name);
            err_about(err, ERR_COLUMN, name);
            return rc;
        }
    return RC_OK;
}

static enum rc key_twice(void *ctx, const struct value *row, struct err *err) {
    const struct rekey *r = ctx;
    struct buf b;
    enum rc rc = err_sql(err, "23505", "could not create unique index \"%.63s\"", r->a->f.t.key_name);
    buf_init(&b, 0);
    buf_puts(&b, "Key (");
    for (uint16_t i = 0; i < r->to->n_key; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", r->a->f.column[r->to->key[i].col].name);
    buf_puts(&b, ")=(");
    for (uint16_t i = 0; i < r->to->n_key; i++) {
        if (i)
            buf_puts(&b, ", ");
        if (type_print(&r->a->d->s->types, &r->a->f.column[r->to->key[i].col].type, &row[r->to->key[i].col], &b, NULL))
            buf_puts(&b, "?");
    }
    if (err && buf_cstr(&b))
        err_detail(err, "%s) is duplicated.", buf_cstr(&b));
    buf_done(&b);
    return rc;
}

/* Columns keep their places; the hidden key is dropped. */
static enum rc move_rows(struct alter *a, struct cat_table **ret, struct err *err) {
    struct ddl *d = a->d;
    struct draft *f = &a->f;
    struct cat_table *t;
    uint64_t rows;
    for (uint16_t i = 0; i < f->t.columns; i++)
        if (f->column[i].hidden && !f->column[i].generated_sql)
            f->column[i] =
                (struct cat_column){.name = "", .id = f->column[i].id, .type = f->column[i].type, .dropped = true};
    uint32_t id;
    enum rc rc = cat_change_id(d->s->change, &id, err);
    if (rc)
        return rc;
    f->store_id = id;
    f->store_version = 1;
    f->t.store = NULL; /* nothing of the old descriptor: rows are written whole */
    rc = draft_table(d, f, &t, err);
    if (rc)
        return rc;
    int *column = arena_array(d->a, t->store->n_cols + 1u, sizeof *column);
    for (uint16_t i = 0; column && i < t->store->n_cols; i++)
        column[i] = i;
    struct rekey r = {a, t->store};
    struct ddl_copy c = {.from = a->from->store,
                         .to = t->store,
                         .column = column,
                         .fill = no_fill,
                         .check = key_present,
                         .duplicate = key_twice,
                         .ctx = &r,
                         .what = f->t.key_name};
    rc = column ? ddl_make_store(d, t->store, true, err) : ddl_nomem(err);
    if (!rc)
        rc = ddl_place(d, t->placement, t->store, err);
    if (!rc)
        rc = ddl_copy_rows(d, &c, &rows, err);
    if (rc)
        cat_table_unref(t);
    else
        *ret = t;
    return rc;
}

static enum rc add_primary(struct alter *a, const PgQuery__Constraint *k, struct err *err) {
    struct draft *f = &a->f;
    struct cat_table *t = NULL;
    struct cat_view v = ddl_view(a->d);
    struct cat_list l;
    if (a->from->key_name)
        return err_sql(err, "42P16", "multiple primary keys for table \"%.63s\" are not allowed", a->from->name);
    if (k->indexname && k->indexname[0])
        return sess_unsupported(a->d->u->script, k->location, err, "PRIMARY KEY USING INDEX is not supported");
    if (a->from->indexes > 0)
        return sess_unsupported(
            a->d->u->script, k->location, err,
            "a primary key must be added before indexes: drop them, and make them again afterwards");
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, a->d->s->database, &l, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < l.n && !rc; i++)
        if (l.v[i]->table->parent == a->from->id)
            rc = sess_unsupported(a->d->u->script, k->location, err, "tables are interleaved in this one");
    cat_list_done(&l);
    if (!rc)
        rc = ddl_key_of(a->d, f, k->keys, k->n_keys, k->conname, k->location, err);
    if (!rc)
        rc = ddl_lock_table(a->d, a->from->store, err);
    if (!rc)
        rc = move_rows(a, &t, err);
    if (!rc)
        rc = ddl_change_store(a->d, a->from->store, true, err);
    if (!rc)
        rc = ddl_put_table(a->d, NULL, t, a->schema, err);
    cat_table_unref(t);
    return rc;
}

/* The last key of the draft, against the rows that are there. */
static enum rc new_foreign(struct alter *a, int32_t location, struct err *err) {
    const struct cat_foreign_key *k = &a->f.t.foreign_key[a->f.t.foreign_keys - 1];
    bool rows = false, fresh = false, null = false;
    enum rc rc;
    for (uint16_t i = 0; i < k->cols; i++) {
        bool new = k->col[i] >= a->from->columns;
        fresh = fresh || new;
        null = null || (new && (!a->f.missing || a->f.missing[k->col[i]].kind == VALUE_NULL));
    }
    if (null) /* MATCH SIMPLE: all rows keep it */
        return finish(a, err);
    if (!fresh) {
        rc = ddl_check_foreign(a->d, a->from, k, err);
        return rc ? rc : finish(a, err);
    }
    rc = any_row(a->d, a->from, NULL, &rows, err);
    if (!rc && rows)
        rc = sess_unsupported(a->d->u->script, location, err,
                              "a foreign key of a new column with a default is not supported for a table with rows");
    return rc ? rc : finish(a, err);
}

static enum rc new_foreigns(struct alter *a, const PgQuery__ColumnDef *def, struct err *err) {
    enum rc rc = RC_OK;
    uint16_t first = a->f.t.foreign_keys, all;
    rc = draft_column_foreign(a->d, &a->f, def, err);
    all = a->f.t.foreign_keys;
    for (uint16_t i = first; i < all && !rc; i++) {
        a->f.t.foreign_keys = (uint16_t)(i + 1);
        rc = new_foreign(a, def->location, err);
    }
    a->f.t.foreign_keys = all;
    return rc;
}

static enum rc add_constraint(struct alter *a, const struct cat_object *o, const PgQuery__Constraint *k,
                              struct err *err) {
    bool rows = false;
    enum rc rc;
    switch (k->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
        return add_primary(a, k, err);
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
        if (k->indexname && k->indexname[0])
            return sess_unsupported(a->d->u->script, k->location, err, "UNIQUE USING INDEX is not supported");
        return ddl_add_unique(a->d, o, k, err);
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: {
        rc = draft_add_check(a->d, &a->f, k, err);
        if (rc)
            return rc;
        const struct cat_check *c = &a->f.check[a->f.t.checks - 1];
        char *where = ddl_printf(a->d, "NOT (%s)", c->sql);
        bool fresh = a->f.t.columns > a->from->columns; /* rows cannot be asked for columns that they do not have yet */
        rc = where ? any_row(a->d, a->from, fresh ? NULL : where, &rows, err) : ddl_nomem(err);
        if (!rc && rows && fresh)
            return sess_unsupported(a->d->u->script, k->location, err,
                                    "a check that comes with a new column is not supported for a table with rows");
        if (!rc && rows) {
            rc = err_sql(err, "23514", "check constraint \"%.63s\" of relation \"%.63s\" is violated by some row",
                         c->name, a->from->name);
            err_about(err, ERR_TABLE, a->from->name);
            err_about(err, ERR_CONSTRAINT, c->name);
        }
        return rc ? rc : finish(a, err);
    }
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        rc = draft_add_foreign(a->d, &a->f, k, k->fk_attrs, k->n_fk_attrs, err);
        return rc ? rc : new_foreign(a, k->location, err);
    default:
        return sess_unsupported(a->d->u->script, k->location, err, "this kind of constraint is not supported");
    }
}

static enum rc drop_constraint(struct alter *a, const struct cat_object *o, const PgQuery__AlterTableCmd *c,
                               struct err *err) {
    struct draft *f = &a->f;
    for (uint16_t i = 0; i < f->t.checks; i++)
        if (strcmp(f->check[i].name, c->name) == 0) {
            f->t.checks--;
            for (; i < f->t.checks; i++)
                f->check[i] = f->check[i + 1];
            return finish(a, err);
        }
    bool any;
    enum rc rc = forget_foreign(a, c->name, -1, &any, err);
    if (rc || any)
        return rc ? rc : finish(a, err);
    for (uint16_t i = 0; i < f->t.indexes; i++) {
        if (!f->index[i].constraint || strcmp(f->index[i].name, c->name) != 0)
            continue;
        rc = ddl_unrefer(a->d, a->from, -1, &a->from->index[i], "constraint", c->name,
                         c->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE, err);
        return rc ? rc : ddl_drop_index(a->d, o, i, err);
    }
    if (f->t.key_name && strcmp(f->t.key_name, c->name) == 0)
        return err_set(err, RC_UNSUPPORTED, "a primary key cannot be dropped");
    if (c->missing_ok) {
        sess_notice(a->d->s, "NOTICE", "00000", "constraint \"%.63s\" of relation \"%.63s\" does not exist, skipping",
                    c->name, a->from->name);
        return RC_OK;
    }
    return err_sql(err, "42704", "constraint \"%.63s\" of relation \"%.63s\" does not exist", c->name, a->from->name);
}

static enum rc change_owner(struct alter *a, const struct cat_object *o, const PgQuery__AlterTableCmd *c,
                            struct err *err) {
    struct cat_object n = *o;
    struct cat_table *t;
    enum rc rc = ddl_role(a->d, c->newowner, &n.owner, err);
    if (rc)
        return rc;
    a->f.t.owner = n.owner;
    rc = draft_table(a->d, &a->f, &t, err);
    if (rc)
        return rc;
    rc = ddl_put_table(a->d, o, t, a->schema, err);
    cat_table_unref(t);
    return rc;
}

static enum rc one(struct alter *a, const struct cat_object *o, const PgQuery__AlterTableCmd *c, struct err *err) {
    switch (c->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn:
        return add_column(a, c, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
        return drop_column(a, c, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
        return column_default(a, c, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
        return column_null(a, c, true, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity:
        return add_identity(a, c, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
        return column_null(a, c, false, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint:
        return add_constraint(a, o, c->def->constraint, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint:
        return drop_constraint(a, o, c, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner:
        return change_owner(a, o, c, err);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ReplicaIdentity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ClusterOn:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint:
        return RC_OK; /* they change nothing here */
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
        return ddl_column_type(a->d, &a->f, a->from, a->schema, c, err);
    default:
        return err_set(err, RC_UNSUPPORTED, "this form of ALTER TABLE is not supported (%d)", (int)c->subtype);
    }
}

static size_t checks_in(const PgQuery__AlterTableCmd *c) {
    return c->def && c->def->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF ? c->def->column_def->n_constraints : 1;
}

/* Does a command write the table by itself, from what is committed? */
static bool stands_alone(const PgQuery__AlterTableCmd *c) {
    if (c->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint ||
        c->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType ||
        c->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner)
        return true;
    if (c->subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint)
        return false;
    PgQuery__ConstrType type = c->def->constraint->contype;
    return type == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY || type == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE;
}

static enum rc alter_sequence_owner(struct ddl *d, const struct cat_object *o, const PgQuery__AlterTableCmd *c,
                                    struct err *err) {
    struct cat_object n = *o;
    if (c->subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner)
        return err_sql(err, "42809", "\"%.63s\" is not a table", o->name);
    enum rc rc = ddl_role(d, c->newowner, &n.owner, err);
    return rc ? rc : ddl_put(d, &n, err);
}

static enum rc alter_view_owner(struct ddl *d, const struct cat_object *o, const PgQuery__AlterTableCmd *c,
                                struct err *err) {
    struct cat_object n = *o;
    struct cat_table t = *o->table, *made;
    enum rc rc = ddl_role(d, c->newowner, &n.owner, err);
    t.owner = n.owner;
    if (!rc)
        rc = cat_table_new(&t, &made, err);
    if (rc)
        return rc;
    n.table = made;
    rc = ddl_put(d, &n, err);
    cat_table_unref(made);
    return rc;
}

/* A run of commands that need no other look at the table than the first: one new version. */
static enum rc alter_run(struct ddl *d, const PgQuery__AlterTableStmt *s, size_t from, size_t to, struct err *err) {
    const PgQuery__RangeVar *r = s->relation;
    const struct cat_object *o;
    size_t columns = 0, checks = 0;
    enum rc rc = sess_relation(d->s, r->catalogname, r->schemaname, r->relname, &o, err);
    if (rc)
        return rc;
    if (!o && s->missing_ok) {
        sess_notice(d->s, "NOTICE", "00000", "relation \"%.63s\" does not exist, skipping", r->relname);
        return RC_OK;
    }
    if (!o)
        return ddl_error(d, -1, err, "42P01", "relation \"%.63s\" does not exist", r->relname);
    if (o->kind == CAT_OBJECT_SEQUENCE)
        return alter_sequence_owner(d, o, s->cmds[from]->alter_table_cmd, err);
    if (o->table->kind == CAT_VIEW) {
        const PgQuery__AlterTableCmd *c = s->cmds[from]->alter_table_cmd;
        if (c->subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner)
            return sess_unsupported(d->u->script, r->location, err, "this form of ALTER VIEW is not supported");
        return alter_view_owner(d, o, c, err);
    }
    struct cat_object *kept = cat_object_ref((struct cat_object *)(uintptr_t)o);
    struct alter a = {.d = d, .from = cat_table_ref(o->table), .schema = o->schema};
    for (size_t i = from; i < to; i++) {
        columns += 1;
        checks += checks_in(s->cmds[i]->alter_table_cmd);
    }
    rc = draft_begin(d, &a.f, a.from, columns, 1, checks, err);
    for (size_t i = from; i < to && !rc; i++)
        rc = one(&a, kept, s->cmds[i]->alter_table_cmd, err);
    if (!rc)
        rc = write_out(&a, err);
    if (!rc && a.f.t.foreign_keys > a.from->foreign_keys)
        rc = ddl_renew_parents(d, &a.f.t, a.from->foreign_keys, err);
    cat_table_unref(a.from);
    cat_object_unref(kept);
    return rc;
}

enum rc ddl_alter_table(struct ddl *d, const PgQuery__AlterTableStmt *s, struct err *err) {
    enum rc rc = RC_OK;
    if (s->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE && s->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_VIEW &&
        s->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE && s->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX)
        return sess_unsupported(d->u->script, s->relation->location, err, "this kind of ALTER is not supported");
    size_t alone = 0;
    for (size_t i = 0; i < s->n_cmds; i++)
        alone += stands_alone(s->cmds[i]->alter_table_cmd);
    if (alone && s->n_cmds > 1 && alone < s->n_cmds)
        return sess_unsupported(d->u->script, s->relation->location, err,
                                "keys and other changes in one ALTER TABLE are not supported: write two");
    for (size_t i = 0; alone && i < s->n_cmds && !rc; i++)
        rc = alter_run(d, s, i, i + 1, err);
    return alone ? rc : alter_run(d, s, 0, s->n_cmds, err);
}

/* ---- RENAME --------------------------------------------------------------------------------------------------------------------- */

/* Every column of that name in a parse tree, by way of the messages' own descriptions. Trees are at most PARSE_DEPTH_MAX deep. */
static void rename_in(ProtobufCMessage *m, const char *from, char *to) {
    if (m->descriptor == &pg_query__column_ref__descriptor) {
        PgQuery__ColumnRef *c = (PgQuery__ColumnRef *)m;
        PgQuery__Node *last = c->n_fields ? c->fields[c->n_fields - 1] : NULL;
        if (last && last->node_case == PG_QUERY__NODE__NODE_STRING && strcmp(last->string->sval, from) == 0)
            last->string->sval = to;
        return;
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        char *base = (char *)m;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(size_t *)(void *)(base + f->quantifier_offset);
            ProtobufCMessage **v = *(ProtobufCMessage ***)(void *)(base + f->offset);
            for (size_t k = 0; k < n; k++)
                rename_in(v[k], from, to);
            continue;
        }
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(uint32_t *)(void *)(base + f->quantifier_offset) != f->id)
            continue;
        ProtobufCMessage *sub = *(ProtobufCMessage **)(void *)(base + f->offset);
        if (sub)
            rename_in(sub, from, to);
    }
}

static enum rc rename_expr(struct ddl *d, const char **sql, const char *from, const char *to, struct err *err) {
    PgQuery__ParseResult *tree;
    const PgQuery__Node *node;
    const char *text;
    enum rc rc = parse_expr(d, *sql, &tree, &node, &text, err);
    if (rc)
        return rc;
    rename_in(&tree->base, from, (char *)(uintptr_t)to);
    return ddl_deparse(d, node, sql, err);
}

static enum rc rename_column(struct ddl *d, const struct cat_object *o, const PgQuery__RenameStmt *r, struct err *err) {
    struct alter a = {.d = d, .from = cat_table_ref(o->table), .schema = o->schema};
    int place;
    enum rc rc = draft_begin(d, &a.f, a.from, 0, 0, 0, err);
    if (!rc && find_column(&a, r->subname, &place, NULL) != RC_OK)
        rc = err_sql(err, "42703", "column \"%.63s\" does not exist", r->subname);
    if (!rc && strlen(r->newname) > CAT_NAME_BYTES_MAX)
        rc = err_sql(err, "42622", "identifier \"%.63s...\" is too long", r->newname);
    if (!rc)
        rc = ddl_column_free(d, a.from, place, "renaming a column used by a view or rule is not supported", err);
    if (!rc && cat_column_find(a.from, r->newname) >= 0)
        rc = err_sql(err, "42701", "column \"%.63s\" of relation \"%.63s\" already exists", r->newname, a.from->name);
    for (uint16_t i = 0; i < a.f.t.checks && !rc; i++)
        rc = rename_expr(d, &a.f.check[i].sql, r->subname, r->newname, err);
    for (uint16_t i = 0; i < a.f.t.indexes && !rc; i++)
        if (a.f.index[i].where_sql)
            rc = rename_expr(d, &a.f.index[i].where_sql, r->subname, r->newname, err);
    for (uint16_t i = 0; i < a.f.t.columns && !rc; i++)
        if (a.f.column[i].generated_sql)
            rc = rename_expr(d, &a.f.column[i].generated_sql, r->subname, r->newname, err);
    if (!rc) {
        a.f.column[place].name = r->newname;
        a.dirty = true;
        rc = write_out(&a, err);
    }
    cat_table_unref(a.from);
    return rc;
}

static enum rc rename_constraint(struct ddl *d, const struct cat_object *o, const char *from, const char *to,
                                 struct err *err) {
    struct alter a = {.d = d, .from = cat_table_ref(o->table), .schema = o->schema};
    bool found = false;
    enum rc rc = draft_begin(d, &a.f, a.from, 0, 0, 0, err);
    for (uint16_t i = 0; i < a.f.t.checks && !rc; i++)
        if (strcmp(a.f.check[i].name, from) == 0) {
            a.f.check[i].name = to;
            found = true;
        }
    for (uint16_t i = 0; i < a.f.t.indexes && !rc; i++)
        if (strcmp(a.f.index[i].name, from) == 0) {
            a.f.index[i].name = to;
            found = true;
        }
    struct cat_foreign_key *keys = arena_array(d->a, a.from->foreign_keys + 1u, sizeof *keys);
    if (!rc && !keys)
        rc = ddl_nomem(err);
    for (uint16_t i = 0; i < a.from->foreign_keys && !rc; i++) {
        keys[i] = a.from->foreign_key[i];
        if (strcmp(keys[i].name, from) == 0) {
            keys[i].name = to;
            found = true;
        }
    }
    a.f.t.foreign_key = keys;
    if (!rc && a.f.t.key_name && strcmp(a.f.t.key_name, from) == 0) {
        a.f.t.key_name = to;
        found = true;
    }
    if (!rc && !found)
        rc = err_sql(err, "42704", "constraint \"%.63s\" for table \"%.63s\" does not exist", from, a.from->name);
    a.dirty = true;
    if (!rc)
        rc = write_out(&a, err);
    cat_table_unref(a.from);
    return rc;
}

/* Its sequences' defaults name it by schema and name, so a sequence's new name must reach the column that asks it. */
static enum rc rename_sequence(struct ddl *d, const struct cat_object *o, const char *to, struct err *err) {
    struct cat_object n = *o;
    uint32_t table = o->sequence.owner_table, id = o->id;
    snprintf(n.name, sizeof n.name, "%s", to);
    enum rc rc = ddl_put(d, &n, err);
    struct cat_view v = ddl_view(d);
    const struct cat_object *t = table && !rc ? cat_view_get(&v, table) : NULL;
    if (!t)
        return rc;
    struct alter a = {.d = d, .from = cat_table_ref(t->table), .schema = t->schema};
    rc = draft_begin(d, &a.f, a.from, 0, 0, 0, err);
    for (uint16_t i = 0; i < a.f.t.columns && !rc; i++) {
        if (a.f.column[i].sequence != id)
            continue;
        char *full = ddl_qualified(d, a.from->schema_name, to);
        a.f.column[i].default_sql = full ? ddl_sequence_default(d, full) : NULL;
        a.dirty = true;
        rc = a.f.column[i].default_sql ? write_out(&a, err) : ddl_nomem(err);
    }
    cat_table_unref(a.from);
    return rc;
}

static enum rc rename_relation(struct ddl *d, const struct cat_object *o, const char *to, struct err *err) {
    enum rc rc = ddl_name_free(d, o->schema, to, err);
    if (rc)
        return rc;
    if (o->kind == CAT_OBJECT_SEQUENCE)
        return rename_sequence(d, o, to, err);
    if (o->table->kind == CAT_VIEW)
        return ddl_rename_view(d, o, to, err);
    struct alter a = {.d = d, .from = cat_table_ref(o->table), .schema = o->schema};
    rc = ddl_views_follow(d, a.from, to, err);
    if (!rc)
        rc = draft_begin(d, &a.f, a.from, 0, 0, 0, err);
    a.f.t.name = to;
    a.dirty = true;
    if (!rc)
        rc = write_out(&a, err);
    cat_table_unref(a.from);
    return rc;
}

static enum rc rename_index(struct ddl *d, const PgQuery__RenameStmt *r, struct err *err) {
    struct cat_view v = ddl_view(d);
    uint16_t index;
    for (size_t i = 0; i < d->s->paths; i++) {
        const struct cat_object *o = cat_view_index(&v, d->s->path[i], r->relation->relname, &index);
        if (!o)
            continue;
        enum rc rc = ddl_name_free(d, o->schema, r->newname, err);
        return rc ? rc : rename_constraint(d, o, r->relation->relname, r->newname, err);
    }
    return err_sql(err, "42P01", "relation \"%.63s\" does not exist", r->relation->relname);
}

static enum rc rename_named(struct ddl *d, const PgQuery__RenameStmt *r, struct err *err) {
    struct cat_view v = ddl_view(d);
    bool role = r->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_ROLE;
    const struct cat_object *o = role ? cat_view_role(&v, r->subname) : cat_view_database(&v, r->subname);
    if (!o)
        return err_sql(err, role ? "42704" : "3D000", "%s \"%.63s\" does not exist", role ? "role" : "database",
                       r->subname);
    if (role ? cat_view_role(&v, r->newname) : cat_view_database(&v, r->newname))
        return err_sql(err, role ? "42710" : "42P04", "%s \"%.63s\" already exists", role ? "role" : "database",
                       r->newname);
    if (!role && o->id == d->s->database)
        return err_sql(err, "0A000", "current database cannot be renamed");
    struct cat_object n = *o;
    snprintf(n.name, sizeof n.name, "%s", r->newname);
    return ddl_put(d, &n, err);
}

enum rc ddl_rename(struct ddl *d, const PgQuery__RenameStmt *r, struct err *err) {
    const struct cat_object *o;
    static const struct {
        PgQuery__ObjectType type;
        const char *tag;
    } tags[] = {{PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE, "ALTER SEQUENCE"},
                {PG_QUERY__OBJECT_TYPE__OBJECT_INDEX, "ALTER INDEX"},
                {PG_QUERY__OBJECT_TYPE__OBJECT_VIEW, "ALTER VIEW"},
                {PG_QUERY__OBJECT_TYPE__OBJECT_ROLE, "ALTER ROLE"},
                {PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE, "ALTER DATABASE"}};
    if (strlen(r->newname) > CAT_NAME_BYTES_MAX)
        return err_sql(err, "42622", "identifier \"%.63s...\" is too long", r->newname);
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        if (tags[i].type == r->rename_type)
            snprintf(d->u->done->tag, sizeof d->u->done->tag, "%s", tags[i].tag);
    switch (r->rename_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT:
        break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
        return rename_index(d, r, err);
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE:
        return rename_named(d, r, err);
    default:
        return err_set(err, RC_UNSUPPORTED, "RENAME of this kind of object is not supported");
    }
    const PgQuery__RangeVar *v = r->relation;
    enum rc rc = sess_relation(d->s, v->catalogname, v->schemaname, v->relname, &o, err);
    if (rc)
        return rc;
    if (!o && r->missing_ok) {
        sess_notice(d->s, "NOTICE", "00000", "relation \"%.63s\" does not exist, skipping", v->relname);
        return RC_OK;
    }
    if (!o)
        return err_sql(err, "42P01", "relation \"%.63s\" does not exist", v->relname);
    if (r->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN ||
        r->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT) {
        if (o->kind != CAT_OBJECT_TABLE)
            return err_sql(err, "42809", "\"%.63s\" is not a table", v->relname);
        if (o->table->kind == CAT_VIEW)
            return sess_unsupported(d->u->script, v->location, err, "renaming columns of views is not supported");
        return r->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN
                   ? rename_column(d, o, r, err)
                   : rename_constraint(d, o, r->subname, r->newname, err);
    }
    if (r->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_VIEW &&
        (o->kind != CAT_OBJECT_TABLE || o->table->kind != CAT_VIEW))
        return err_sql(err, "42809", "\"%.63s\" is not a view", v->relname);
    return rename_relation(d, o, r->newname, err);
}
