/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ddl_generated.c: columns that are computed from the others of their row: GENERATED ALWAYS AS (...) STORED, and hidden ones, which
 * are what an index on an expression is an index on. A hidden one is made once for an expression and stays with its table.
 */
#include <string.h>

#include "sql/run/ddl.h"

/* ---- GENERATED ------------------------------------------------------------------------------------------------------- */

struct uses {
    const struct cat_table *t;
    int column; /* -1: any generated one */
    int found;  /* -1: none */
};

static void find_uses(const struct expr *e, struct uses *u) {
    if (!e)
        return;
    if (e->kind == EXPR_COL && e->col.levels == 0 &&
        (u->column >= 0 ? (int)e->col.col == u->column : u->t->column[e->col.col].generated_sql != NULL))
        u->found = (int)e->col.col;
    for (uint32_t i = 0; i < e->args; i++)
        find_uses(e->arg[i], u);
}

enum rc draft_generate(struct ddl *d, struct draft *f, int place, const PgQuery__Node *node, int32_t location,
                       struct err *err) {
    struct cat_column *c = &f->column[place];
    struct analyse_in in;
    struct cat_table *t = NULL;
    struct expr *e;
    if (c->default_sql && !c->identity)
        return ddl_error(d, location, err, "42601",
                         "both default and generation expression specified for column \"%.63s\" of table \"%.63s\"",
                         c->name, f->t.name);
    if (c->identity)
        return ddl_error(d, location, err, "42601",
                         "both identity and generation expression specified for column \"%.63s\" of table \"%.63s\"",
                         c->name, f->t.name);
    c->generated_sql = "NULL"; /* so that it does not refer to itself */
    enum rc rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = draft_table(d, f, &t, err);
    if (!rc)
        rc = analyse_expression(&in, node, t, c->type, &e, err);
    if (!rc && expr_volatility(e) != FN_IMMUTABLE)
        rc = err_sql(err, "42P17", "generation expression is not immutable");
    struct uses u = {t, -1, -1};
    if (!rc)
        find_uses(e, &u);
    if (!rc && u.found >= 0) {
        rc = ddl_error(d, -1, err, "42P17", "cannot use generated column \"%.63s\" in column generation expression",
                       t->column[u.found].name);
        if (err)
            err_detail(err, "A generated column cannot reference another generated column.");
    }
    if (!rc)
        rc = ddl_deparse(d, node, &c->generated_sql, err);
    cat_table_unref(t);
    return rc;
}

enum rc ddl_generated_by(struct ddl *d, const struct cat_table *t, int column, int *ret, struct err *err) {
    enum rc rc = RC_OK;
    *ret = -1;
    for (uint16_t i = 0; i < t->columns && !rc && *ret < 0; i++) {
        const struct cat_column *c = &t->column[i];
        const PgQuery__Node *node;
        struct analyse_in in;
        struct expr *e;
        struct uses u = {t, column, -1};
        if (!c->generated_sql || c->dropped)
            continue;
        rc = ddl_parse_kept(d, c->generated_sql, &in, &node, err);
        if (!rc)
            rc = analyse_expression(&in, node, t, c->type, &e, err);
        if (!rc)
            find_uses(e, &u);
        if (u.found >= 0)
            *ret = i;
    }
    return rc;
}

/* ---- hidden ones ----------------------------------------------------------------------------------------------------- */

/* What an index's name has of an expression: its function's name, or "expr". */
const char *ddl_expression_name(struct ddl *d, const struct cat_column *c) {
    size_t n = strspn(c->generated_sql, "abcdefghijklmnopqrstuvwxyz0123456789_");
    char *name = n && c->generated_sql[n] == '(' ? ddl_printf(d, "%.*s", (int)n, c->generated_sql) : NULL;
    return name ? name : "expr";
}

/* The column of the expression, or -1. */
static int find_hidden(const struct cat_table *t, const char *sql) {
    for (uint16_t i = 0; i < t->columns; i++)
        if (t->column[i].hidden && !t->column[i].dropped && t->column[i].generated_sql &&
            strcmp(t->column[i].generated_sql, sql) == 0)
            return i;
    return -1;
}

/* Makes it, and fills it in the rows that are there. */
static enum rc make_hidden(struct ddl *d, const struct cat_table *from, uint32_t schema, const PgQuery__Node *node,
                           const char *sql, const char **ret, struct err *err) {
    struct draft f;
    struct analyse_in in;
    struct expr *e;
    char *name = NULL;
    enum rc rc = draft_begin(d, &f, from, 1, 0, 0, err);
    if (!rc)
        rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = analyse_expression(&in, node, from, (struct col){.type = COL_NONE, .typmod = COL_TYPMOD_NONE}, &e, err);
    if (rc)
        return rc;
    if (expr_volatility(e) != FN_IMMUTABLE)
        return err_sql(err, "42P17", "functions in index expression must be marked IMMUTABLE");
    for (int i = 1; !name || draft_column(&f, name) >= 0; i++)
        if (!(name = ddl_printf(d, "_expr%d", i)))
            return ddl_nomem(err);
    f.column[f.t.columns++] =
        (struct cat_column){.name = name, .id = f.next_column++, .type = e->type, .hidden = true, .generated_sql = sql};
    *ret = name;
    return ddl_rewrite(d, &f, from, schema, f.t.columns - 1, f.column[f.t.columns - 1].type, e, err);
}

enum rc ddl_index_expressions(struct ddl *d, const PgQuery__RangeVar *r, PgQuery__Node **column, size_t columns,
                              struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < columns && !rc; i++) {
        PgQuery__IndexElem *e = column[i]->node_case == PG_QUERY__NODE__NODE_INDEX_ELEM ? column[i]->index_elem : NULL;
        const struct cat_object *o;
        const char *sql, *name;
        if (!e || !e->expr)
            continue;
        rc = sess_relation(d->s, r->catalogname, r->schemaname, r->relname, &o, err);
        if (!rc)
            rc = ddl_deparse(d, e->expr, &sql, err);
        if (rc)
            return rc;
        const struct cat_table *t = cat_table_ref(o->table);
        int place = find_hidden(t, sql);
        if (place >= 0)
            name = arena_strdup(d->a, t->column[place].name);
        else
            rc = make_hidden(d, t, o->schema, e->expr, sql, &name, err);
        cat_table_unref(t);
        if (!rc && !name)
            rc = ddl_nomem(err);
        if (rc)
            return rc;
        PgQuery__IndexElem *plain = arena_alloc(d->a, sizeof *plain);
        PgQuery__Node *n = arena_alloc(d->a, sizeof *n);
        if (!plain || !n)
            return ddl_nomem(err);
        *plain = *e;
        plain->expr = NULL;
        plain->name = (char *)(uintptr_t)name;
        *n = *column[i];
        n->index_elem = plain;
        column[i] = n;
    }
    return rc;
}
