/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ddl_rewrite.c: ALTER COLUMN TYPE: the table's rows move to a new table of keys in which a column is another.
 *
 * The old one is locked exclusively (writers wait, snapshot reads go on); rows and those global indexes that have the column are
 * written anew, and the catalog names them with the statement's commit, which drops the old ones.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sql/run/ddl.h"

/* A program over rows: of the old table or of the new one. */
struct row_prog {
    struct pgx *pgx;
    const uint16_t *place;
    size_t args;
    const char *name; /* of a CHECK */
};

struct rewrite {
    struct ddl *d;
    const struct cat_table *to;
    uint16_t column; /* that is made anew */
    struct row_prog value;
    struct row_prog *check;
    size_t checks;
};

static enum rc load_prog(struct rewrite *w, const struct expr *e, struct row_prog *ret, struct err *err) {
    struct ddl *d = w->d;
    struct expr_program prog;
    enum rc rc = expr_compile(d->a, e, &prog, err);
    if (rc)
        return rc;
    uint16_t *place = arena_array(d->a, prog.cols + 1u, sizeof *place);
    if (!place)
        return ddl_nomem(err);
    for (uint32_t i = 0; i < prog.cols; i++) {
        if (prog.col[i]->kind != EXPR_COL)
            return err_set(err, RC_UNSUPPORTED,
                           "a transform expression with a subquery or a parameter is not supported");
        place[i] = (uint16_t)prog.col[i]->col.col;
    }
    ret->place = place;
    ret->args = prog.cols;
    return pgx_load(prog.bytes, prog.n, &ret->pgx, err);
}

static enum rc run_prog(struct rewrite *w, const struct row_prog *p, const struct value *row, struct arena *a,
                        struct value *ret, struct err *err) {
    struct fn_env env = w->d->s->env;
    struct value *arg = arena_array(a, p->args + 1, sizeof *arg);
    if (!arg)
        return ddl_nomem(err);
    for (size_t i = 0; i < p->args; i++)
        arg[i] = row[p->place[i]];
    env.arena = a;
    return pgx_run(p->pgx, &env, arg, ret, err);
}

static enum rc new_value(void *ctx, const struct value *from, uint16_t column, struct arena *a, struct value *ret,
                         struct err *err) {
    struct rewrite *w = ctx;
    (void)column;
    return run_prog(w, &w->value, from, a, ret, err);
}

static enum rc row_is_good(void *ctx, const struct value *row, bool *ret_keep, struct err *err) {
    struct rewrite *w = ctx;
    const struct cat_column *c = &w->to->column[w->column];
    struct arena a;
    enum rc rc = col_check(&c->type, &row[w->column], err);
    *ret_keep = true;
    if (!rc && c->not_null && row[w->column].kind == VALUE_NULL) {
        rc = err_sql(err, "23502", "column \"%.63s\" of relation \"%.63s\" contains null values", c->name, w->to->name);
        err_about(err, ERR_TABLE, w->to->name);
        err_about(err, ERR_COLUMN, c->name);
    }
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    for (size_t i = 0; i < w->checks && !rc; i++) {
        struct value ok = value_null();
        rc = run_prog(w, &w->check[i], row, &a, &ok, err);
        if (rc || ok.kind != VALUE_INT || ok.i)
            continue;
        rc = err_sql(err, "23514", "check constraint \"%.63s\" of relation \"%.63s\" is violated by some row",
                     w->check[i].name, w->to->name);
        err_about(err, ERR_TABLE, w->to->name);
        err_about(err, ERR_CONSTRAINT, w->check[i].name);
    }
    arena_done(&a);
    return rc;
}

static enum rc key_twice(void *ctx, const struct value *row, struct err *err) {
    const struct rewrite *w = ctx;
    (void)row;
    return err_sql(err, "23505", "could not create unique index \"%.63s\"", w->to->key_name);
}

enum rc ddl_parse_kept(struct ddl *d, const char *sql, struct analyse_in *in, const PgQuery__Node **ret,
                       struct err *err) {
    PgQuery__ParseResult *tree;
    char *text = ddl_printf(d, "SELECT %s", sql);
    enum rc rc = text ? parse_text(d->s->e->reactor, d->a, text, strlen(text), &tree, err) : ddl_nomem(err);
    if (!rc)
        rc = ddl_analyse_in(d, in, err);
    if (rc)
        return rc;
    in->text = text;
    in->bytes = strlen(text);
    *ret = tree->stmts[0]->stmt->select_stmt->target_list[0]->res_target->val;
    return RC_OK;
}

static enum rc load_checks(struct rewrite *w, struct err *err) {
    struct ddl *d = w->d;
    enum rc rc = RC_OK;
    w->check = arena_array(d->a, w->to->checks + 1u, sizeof *w->check);
    if (!w->check)
        return ddl_nomem(err);
    for (uint16_t i = 0; i < w->to->checks && !rc; i++) {
        const PgQuery__Node *node;
        struct analyse_in in;
        struct expr *e;
        w->check[i] = (struct row_prog){.name = w->to->check[i].name};
        w->checks = i + 1u;
        rc = ddl_parse_kept(d, w->to->check[i].sql, &in, &node, err);
        if (!rc)
            rc = analyse_expression(&in, node, w->to, col_of(COL_BOOL), &e, err);
        if (!rc)
            rc = load_prog(w, e, &w->check[i], err);
    }
    return rc;
}

/* The new value as an expression over the old row. */
static enum rc transform(struct ddl *d, const struct cat_table *from, const PgQuery__ColumnDef *def, struct col type,
                         struct expr **ret, struct err *err) {
    struct analyse_in in;
    struct err why = {0};
    char name[COL_NAME_BYTES];
    const PgQuery__Node *node = def->raw_default;
    char *quoted = ddl_quote(d, def->colname);
    enum rc rc = quoted ? RC_OK : ddl_nomem(err);
    if (!rc)
        rc = node ? ddl_analyse_in(d, &in, err) : ddl_parse_kept(d, quoted, &in, &node, err);
    if (rc)
        return rc;
    rc = analyse_expression(&in, node, from, type, ret, &why);
    if (rc == RC_SQL && strcmp(why.state, "42804") == 0) {
        rc = err_sql(err, "42804", "%s\"%.63s\" cannot be cast automatically to type %s",
                     def->raw_default ? "result of USING clause for column " : "column ", def->colname,
                     col_name(&type, name));
        if (err)
            err_hint(err,
                     def->raw_default ? "You might need to add an explicit cast."
                                      : "You might need to specify \"USING %s::%s\".",
                     def->colname, name);
    } else if (rc && err) {
        *err = why;
    }
    return rc;
}

static enum rc default_fits(struct ddl *d, const struct cat_column *c, struct col type, struct err *err) {
    struct analyse_in in;
    struct err why = {0};
    struct expr *e;
    const PgQuery__Node *node;
    char name[COL_NAME_BYTES];
    if (!c->default_sql)
        return RC_OK;
    enum rc rc = ddl_parse_kept(d, c->default_sql, &in, &node, err);
    if (rc)
        return rc;
    rc = analyse_expression(&in, node, NULL, type, &e, &why);
    if (rc == RC_SQL)
        return err_sql(err, "42804", "default for column \"%.63s\" cannot be cast automatically to type %s", c->name,
                       col_name(&type, name));
    if (rc && err)
        *err = why;
    return rc;
}

/* Can the rows get a table of keys of their own? */
static enum rc may_move(struct ddl *d, const struct cat_table *t, struct err *err) {
    struct cat_view v = ddl_view(d);
    struct cat_list l;
    bool children = t->parent != 0;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, d->s->database, &l, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < l.n; i++)
        children = children || l.v[i]->table->parent == t->id;
    cat_list_done(&l);
    if (children)
        return err_set(err, RC_UNSUPPORTED, "writing interleaved tables anew is not supported");
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].kind == CAT_INDEX_LOCAL)
            return err_set(err, RC_UNSUPPORTED, "writing a table with a local index anew is not supported");
    return RC_OK;
}

static enum rc may_rewrite(struct ddl *d, const struct cat_table *t, int place, const PgQuery__ColumnDef *def,
                           struct err *err) {
    const struct sess_script *sc = d->u->script;
    struct cat_object *other = NULL;
    const struct cat_foreign_key *key;
    bool foreign = false;
    enum rc rc = ddl_column_free(d, t, place, "cannot alter type of a column used by a view or rule", err);
    if (rc)
        return rc;
    for (uint16_t i = 0; i < t->foreign_keys; i++)
        for (uint16_t k = 0; k < t->foreign_key[i].cols; k++)
            foreign = foreign || t->foreign_key[i].col[k] == place;
    rc = ddl_referring(d, t, place, NULL, false, &other, &key, err);
    if (!rc && (foreign || other))
        rc =
            sess_unsupported(sc, def->location, err, "ALTER COLUMN TYPE of a column in a foreign key is not supported");
    cat_object_unref(other);
    if (!rc && t->column[place].generated_sql)
        rc = sess_unsupported(sc, def->location, err, "ALTER COLUMN TYPE of a generated column is not supported");
    return rc;
}

static bool has_column(const struct cat_index *x, uint32_t id) {
    return table_find_col(x->store, id) >= 0;
}

/* Rows to the new table, then its new indexes from there. */
static enum rc move(struct ddl *d, struct draft *f, const struct cat_table *from, struct rewrite *w, struct err *err) {
    const struct cat_table *t = w->to;
    uint64_t rows;
    int *column = arena_array(d->a, t->store->n_cols + 1u, sizeof *column);
    for (uint16_t i = 0; column && i < t->store->n_cols; i++)
        column[i] = i == w->column ? -1 : i;
    struct ddl_copy c = {.from = from->store,
                         .to = t->store,
                         .column = column,
                         .fill_row = new_value,
                         .check = row_is_good,
                         .duplicate = key_twice,
                         .ctx = w,
                         .what = from->name};
    enum rc rc = column ? ddl_make_store(d, t->store, true, err) : ddl_nomem(err);
    if (!rc)
        rc = ddl_place(d, t->placement, t->store, err);
    if (!rc)
        rc = ddl_copy_rows(d, &c, &rows, err);
    for (uint16_t i = 0; i < t->indexes && !rc; i++)
        if (has_column(&from->index[i], t->column[w->column].id))
            rc = draft_fill_index(d, f, t, &t->index[i], err);
    return rc;
}

static enum rc drop_old(struct ddl *d, const struct cat_table *from, uint32_t column, struct err *err) {
    enum rc rc = ddl_change_store(d, from->store, true, err);
    for (uint16_t i = 0; i < from->indexes && !rc; i++)
        if (has_column(&from->index[i], column))
            rc = ddl_change_store(d, from->index[i].store, true, err);
    return rc;
}

/* The table as it is to be: new numbers for what is written anew. */
static enum rc new_table(struct ddl *d, struct draft *f, const struct cat_table *from, int place, struct col type,
                         struct cat_table **ret, struct err *err) {
    uint32_t id = 0;
    enum rc rc = cat_change_id(d->s->change, &id, err);
    f->store_id = id;
    f->store_version = 1;
    f->t.store = NULL; /* nothing of the old descriptor: rows are written whole */
    f->column[place].type = type;
    for (uint16_t i = 0; i < f->t.indexes && !rc; i++) {
        if (!has_column(&from->index[i], f->column[place].id))
            continue;
        for (uint16_t k = 0; k < f->index[i].parts && !rc; k++)
            if (f->index[i].part[k].col == place)
                rc = key_supports(&type, f->column[place].name, err);
        if (!rc)
            rc = cat_change_id(d->s->change, &f->index[i].id, err);
        f->index[i].store = NULL;
    }
    for (uint16_t i = 0; i < f->t.keys && !rc; i++)
        if (f->key[i].col == place)
            rc = key_supports(&type, f->column[place].name, err);
    return rc ? rc : draft_table(d, f, ret, err);
}

enum rc ddl_rewrite(struct ddl *d, struct draft *f, const struct cat_table *from, uint32_t schema, int place,
                    struct col type, const struct expr *e, struct err *err) {
    struct rewrite w = {.d = d, .column = (uint16_t)place};
    struct cat_table *t = NULL;
    enum rc rc = may_move(d, from, err);
    if (!rc)
        rc = ddl_lock_table(d, from->store, err);
    if (!rc)
        rc = new_table(d, f, from, place, type, &t, err);
    w.to = t;
    if (!rc)
        rc = load_prog(&w, e, &w.value, err);
    if (!rc)
        rc = load_checks(&w, err);
    if (!rc)
        rc = move(d, f, from, &w, err);
    if (!rc)
        rc = drop_old(d, from, t->column[place].id, err);
    if (!rc)
        rc = ddl_put_table(d, NULL, t, schema, err);
    pgx_free(w.value.pgx);
    for (size_t i = 0; i < w.checks; i++)
        pgx_free(w.check[i].pgx);
    cat_table_unref(t);
    return rc;
}

enum rc ddl_column_type(struct ddl *d, struct draft *f, const struct cat_table *from, uint32_t schema,
                        const PgQuery__AlterTableCmd *c, struct err *err) {
    const PgQuery__ColumnDef *def = c->def->column_def;
    struct analyse_in in;
    struct col type;
    struct expr *e;
    int place = draft_column(f, c->name), user = -1;
    if (place < 0 || f->column[place].hidden)
        return err_sql(err, "42703", "column \"%.63s\" of relation \"%.63s\" does not exist", c->name, from->name);
    PgQuery__ColumnDef named = *def;
    named.colname = c->name;
    enum rc rc = may_rewrite(d, from, place, &named, err);
    if (!rc)
        rc = ddl_generated_by(d, from, place, &user, err);
    if (!rc && user >= 0)
        rc = sess_unsupported(d->u->script, def->location, err, "cannot alter type of a column used by %s",
                              from->column[user].hidden ? "an index on an expression" : "a generated column");
    if (!rc)
        rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = analyse_type(&in, def->type_name, &type, err);
    if (!rc)
        rc = transform(d, from, &named, type, &e, err);
    if (!rc)
        rc = default_fits(d, &from->column[place], type, err);
    return rc ? rc : ddl_rewrite(d, f, from, schema, place, type, e, err);
}
