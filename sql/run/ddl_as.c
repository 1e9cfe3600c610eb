/* SPDX-License-Identifier: Apache-2.0 */
/* ddl_as.c: CREATE TABLE AS and SELECT INTO: a table with a query's columns, and the query's rows. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sql/run/ddl.h"

static enum rc not_ours(struct ddl *d, const PgQuery__Node *query, const PgQuery__IntoClause *into, struct err *err) {
    const PgQuery__RangeVar *r = into->rel;
    const struct sess_script *sc = d->u->script;
    if (r->relpersistence && r->relpersistence[0] == 't')
        return sess_unsupported(sc, r->location, err, "temporary tables are not supported");
    if (query->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return sess_unsupported(sc, r->location, err, "CREATE TABLE AS of anything but a SELECT is not supported");
    for (size_t i = 0; i < into->n_options; i++)
        if (strcmp(into->options[i]->def_elem->defname, "fillfactor") != 0)
            return sess_unsupported(sc, into->options[i]->def_elem->location, err,
                                    "CREATE TABLE AS with the parameter \"%.40s\" is not supported",
                                    into->options[i]->def_elem->defname);
    return RC_OK;
}

static enum rc take_columns(struct ddl *d, struct draft *f, const PgQuery__IntoClause *into, const struct query *q,
                            struct err *err) {
    uint16_t n = 0;
    for (uint32_t i = 0; i < q->targets; i++) {
        const struct target *t = &q->target[i];
        if (t->junk)
            continue;
        const char *name = n < into->n_col_names ? into->col_names[n]->string->sval : t->name ? t->name : "?column?";
        if (strlen(name) > CAT_NAME_BYTES_MAX)
            return err_sql(err, "42622", "identifier \"%.63s...\" is too long", name);
        if (draft_column(f, name) >= 0)
            return err_sql(err, "42701", "column \"%.63s\" specified more than once", name);
        f->column[f->t.columns++] =
            (struct cat_column){.name = arena_strdup(d->a, name), .id = f->next_column++, .type = t->expr->type};
        n++;
    }
    return into->n_col_names > n ? err_sql(err, "42601", "too many column names were specified") : RC_OK;
}

static enum rc fill(struct ddl *d, const struct cat_table *t, const PgQuery__Node *query, uint64_t *ret_rows,
                    struct err *err) {
    const char *select;
    struct buf b;
    enum rc rc = ddl_deparse_statement(d, query, &select, err);
    if (rc)
        return rc;
    buf_init(&b, 0);
    buf_puts(&b, "INSERT INTO ");
    sess_quote_ident(&b, t->schema_name);
    buf_putc(&b, '.');
    sess_quote_ident(&b, t->name);
    const char *before = " (";
    for (uint16_t i = 0; i < t->columns; i++) {
        if (t->column[i].hidden)
            continue;
        buf_puts(&b, before);
        sess_quote_ident(&b, t->column[i].name);
        before = ", ";
    }
    buf_printf(&b, ") %s", select);
    rc = buf_cstr(&b) ? sess_run_text(d->s, buf_cstr(&b), NULL, NULL, ret_rows, err) : ddl_nomem(err);
    buf_done(&b);
    return rc;
}

/* The draft as a table that the statement can write to at once. */
static enum rc make(struct ddl *d, struct draft *f, struct cat_table **ret, struct err *err) {
    enum rc rc = cat_change_id(d->s->change, &f->t.id, err);
    f->store_id = f->t.id;
    if (!rc)
        rc = draft_hidden_key(d, f, err);
    if (!rc)
        rc = draft_table(d, f, ret, err);
    if (!rc)
        rc = ddl_make_store(d, (*ret)->store, true, err);
    return rc ? rc : ddl_put_table(d, NULL, *ret, f->t.schema, err);
}

enum rc ddl_create_as(struct ddl *d, const PgQuery__Node *query, const PgQuery__IntoClause *into, bool if_not_exists,
                      struct err *err) {
    struct cat_schema schema;
    struct cat_table *t = NULL;
    struct analyse_in in;
    struct analysed a;
    struct draft f;
    uint64_t rows = 0;
    uint16_t index;
    const char *name = into->rel->relname;
    enum rc rc = not_ours(d, query, into, err);
    if (!rc)
        rc = sess_create_schema(d->s, into->rel, &schema, err);
    if (rc)
        return rc;
    struct cat_view v = ddl_view(d);
    if (if_not_exists && (cat_view_relation(&v, schema.id, name) || cat_view_index(&v, schema.id, name, &index))) {
        sess_notice(d->s, "NOTICE", "42P07", "relation \"%.63s\" already exists, skipping", name);
        snprintf(d->u->done->tag, sizeof d->u->done->tag, "CREATE TABLE AS");
        return RC_OK;
    }
    rc = ddl_name_free(d, schema.id, name, err);
    if (!rc)
        rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = analyse_statement(&in, query, &a, err);
    if (rc)
        return rc;
    if (a.params > 0)
        rc = err_sql(err, "42P02", "there is no parameter $1");
    if (!rc)
        rc = draft_begin(d, &f, NULL, a.query->targets + 1u, 0, 0, err);
    if (!rc) {
        f.t.name = name;
        f.t.schema = schema.id;
        f.t.schema_name = schema.name;
        f.t.kind = CAT_TABLE;
        f.t.owner = d->s->role;
        f.t.version = 1;
        rc = take_columns(d, &f, into, a.query, err);
    }
    if (!rc)
        rc = make(d, &f, &t, err);
    analysed_done(&a);
    if (!rc && !into->skip_data)
        rc = fill(d, t, query, &rows, err);
    cat_table_unref(t);
    if (!rc && into->skip_data)
        snprintf(d->u->done->tag, sizeof d->u->done->tag, "CREATE TABLE AS");
    else if (!rc)
        snprintf(d->u->done->tag, sizeof d->u->done->tag, "SELECT %" PRIu64, rows);
    return rc;
}

enum rc ddl_select_into(struct ddl *d, const PgQuery__SelectStmt *s, struct err *err) {
    PgQuery__SelectStmt plain = *s;
    PgQuery__Node node = PG_QUERY__NODE__INIT;
    plain.into_clause = NULL;
    node.node_case = PG_QUERY__NODE__NODE_SELECT_STMT;
    node.select_stmt = &plain;
    return ddl_create_as(d, &node, s->into_clause, false, err);
}
