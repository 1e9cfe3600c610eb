/* SPDX-License-Identifier: Apache-2.0 */
/* utility.c: statements that are no queries: which there are, what they return, and where each of them is done. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/run/foreign.h"

/* ---- what they return ------------------------------------------------------------------------------------------------ */

bool utility_ends_block(const PgQuery__Node *node) {
    if (node->node_case != PG_QUERY__NODE__NODE_TRANSACTION_STMT)
        return false;
    switch (node->transaction_stmt->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
        return true;
    default:
        return false;
    }
}

/* Standing alone, an aborted one may simply be run again. */
bool utility_retries(const PgQuery__Node *node) {
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
    case PG_QUERY__NODE__NODE_COPY_STMT:
    case PG_QUERY__NODE__NODE_FETCH_STMT:
        return false;
    default:
        return true;
    }
}

static enum rc one_text(struct stmt *st, const char *name, struct err *err) {
    struct sess_column *c = arena_zalloc(&st->arena, sizeof *c);
    if (c)
        c->name = arena_strdup(&st->arena, name);
    if (!c || !c->name)
        return err_set(err, RC_NOMEM, "out of memory for the statement");
    c->type = col_of(COL_TEXT);
    st->pub.rows = true;
    st->pub.columns = 1;
    st->pub.column = c;
    return RC_OK;
}

static bool is_one_of(const char *word, const char *a, const char *b) {
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static bool explains_as_json(const PgQuery__ExplainStmt *x) {
    bool json = false;
    for (size_t i = 0; i < x->n_options; i++) {
        const PgQuery__DefElem *d = x->options[i]->def_elem;
        if (strcmp(d->defname, "format") == 0)
            json = strcmp(sess_def_text(d), "json") == 0;
    }
    return json;
}

static enum rc explain_columns(struct stmt *st, const PgQuery__ExplainStmt *x, struct err *err) {
    enum rc rc = one_text(st, "QUERY PLAN", err);
    if (!rc && explains_as_json(x))
        ((struct sess_column *)st->pub.column)->type = col_of(COL_JSON);
    return rc;
}

static enum rc show_columns(struct sess *s, struct stmt *st, const char *name, struct err *err) {
    if (strcasecmp(name, "all") != 0) {
        const char *given = guc_get(s->gucs, name);
        if (!given)
            return err_sql(err, "42704", "unrecognized configuration parameter \"%.64s\"", name);
        for (size_t i = 0; i < guc_count(s->gucs); i++)
            if (strcasecmp(guc_at(s->gucs, i).name, strcasecmp(name, "timezone") == 0 ? "TimeZone" : name) == 0)
                name = guc_at(s->gucs, i).name;
        return one_text(st, name, err);
    }
    static const char *const names[] = {"name", "setting", "description"};
    struct sess_column *c = arena_zalloc(&st->arena, ARRAY_LEN(names) * sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory for the statement");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        c[i] = (struct sess_column){.name = names[i], .type = col_of(COL_TEXT)};
    st->pub.rows = true;
    st->pub.columns = ARRAY_LEN(names);
    st->pub.column = c;
    return RC_OK;
}

static struct named_stmt *prepared_find(struct sess *s, const char *name) {
    for (struct map_node *n = map_first(&s->prepared, hash_str(name, 0)); n; n = map_next(n))
        if (strcmp(container_of(n, struct named_stmt, node)->name, name) == 0)
            return container_of(n, struct named_stmt, node);
    return NULL;
}

static struct named_portal *cursor_find(struct sess *s, const char *name) {
    for (struct map_node *n = map_first(&s->cursors, hash_str(name, 0)); n; n = map_next(n))
        if (strcmp(container_of(n, struct named_portal, node)->name, name) == 0)
            return container_of(n, struct named_portal, node);
    return NULL;
}

const struct sess_stmt *sess_cursor(struct sess *s, const char *name) {
    const struct named_portal *c = cursor_find(s, name);
    return c ? &c->portal->stmt->pub : NULL;
}

static enum rc no_prepared(const char *name, struct err *err) {
    return err_sql(err, "26000", "prepared statement \"%.63s\" does not exist", name);
}

static enum rc no_cursor(const char *name, struct err *err) {
    return err_sql(err, "34000", "cursor \"%.63s\" does not exist", name);
}

/* The columns of another statement, in st's own memory. */
static enum rc same_columns(struct stmt *st, const struct sess_stmt *as, struct err *err) {
    struct sess_column *c = arena_array(&st->arena, as->columns + 1, sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory for the statement");
    for (size_t i = 0; i < as->columns; i++) {
        c[i] = as->column[i];
        c[i].name = arena_strdup(&st->arena, as->column[i].name);
        if (!c[i].name)
            return err_set(err, RC_NOMEM, "out of memory for the statement");
    }
    st->pub.rows = as->rows;
    st->pub.columns = as->columns;
    st->pub.column = c;
    return RC_OK;
}

enum rc utility_columns(struct sess *s, struct stmt *st, struct err *err) {
    switch (st->node->node_case) {
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
        return show_columns(s, st, st->node->variable_show_stmt->name, err);
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        return explain_columns(st, st->node->explain_stmt, err);
    case PG_QUERY__NODE__NODE_EXECUTE_STMT: {
        const struct named_stmt *p = prepared_find(s, st->node->execute_stmt->name);
        return p ? same_columns(st, p->stmt, err) : no_prepared(st->node->execute_stmt->name, err);
    }
    case PG_QUERY__NODE__NODE_FETCH_STMT: {
        const struct named_portal *c = cursor_find(s, st->node->fetch_stmt->portalname);
        if (!c)
            return no_cursor(st->node->fetch_stmt->portalname, err);
        return st->node->fetch_stmt->ismove ? RC_OK : same_columns(st, &c->portal->stmt->pub, err);
    }
    default:
        return RC_OK;
    }
}

/* ---- SHOW ---------------------------------------------------------------------------------------------------------------- */

static enum rc send_text(struct sess *s, const char *text, struct err *err) {
    struct value v = value_text(text, strlen(text));
    s->sent = true;
    return s->client->row(s->ctx, &v, err);
}

static enum rc show(struct utility *u, const char *name, struct err *err) {
    struct sess *s = u->s;
    char text[GUC_VALUE_BYTES_MAX];
    snprintf(u->done->tag, sizeof u->done->tag, "SHOW");
    if (strcasecmp(name, "all") != 0) {
        guc_show(s->gucs, name, text, sizeof text);
        return send_text(s, text, err);
    }
    enum rc rc = RC_OK;
    for (size_t i = 0; i < guc_count(s->gucs) && !rc; i++) {
        struct guc_info g = guc_at(s->gucs, i);
        guc_show(s->gucs, g.name, text, sizeof text);
        struct value v[3] = {value_text(g.name, strlen(g.name)), value_text(text, strlen(text)),
                             value_text(g.about, strlen(g.about))};
        s->sent = true;
        rc = s->client->row(s->ctx, v, err);
    }
    return rc;
}

/* ---- PREPARE, EXECUTE ------------------------------------------------------------------------------------------------------- */

static enum rc prepare(struct utility *u, const PgQuery__PrepareStmt *p, struct err *err) {
    struct sess *s = u->s;
    struct analyse_in in = {.arena = &s->scratch,
                            .catalog = &s->catalog.source,
                            .text = u->script->text,
                            .bytes = u->script->bytes,
                            .env = &s->env,
                            .reactor = s->e->reactor};
    struct stmt *st;
    if (prepared_find(s, p->name))
        return err_sql(err, "42P05", "prepared statement \"%.63s\" already exists", p->name);
    if (s->prepared.count >= 10000)
        return err_set(err, RC_LIMIT, "a session may have 10000 prepared statements");
    uint32_t *oid = arena_array(&s->scratch, p->n_argtypes + 1, sizeof *oid);
    enum rc rc = oid ? RC_OK : err_set(err, RC_NOMEM, "out of memory for a prepared statement");
    for (size_t i = 0; i < p->n_argtypes && !rc; i++) {
        struct col c;
        rc = analyse_type(&in, p->argtypes[i]->type_name, &c, err);
        if (!rc)
            oid[i] = type_oid(&c);
    }
    if (!rc)
        rc = stmt_new_inner(s, u->script, p->query, oid, p->n_argtypes, &st, err);
    if (rc)
        return rc;
    struct named_stmt *n = calloc(1, sizeof *n + strlen(p->name) + 1);
    if (!n) {
        stmt_unref(st);
        return err_set(err, RC_NOMEM, "out of memory for a prepared statement");
    }
    memcpy(n->name, p->name, strlen(p->name) + 1);
    n->stmt = &st->pub;
    n->made_us = s->statement_us;
    map_put(&s->prepared, &n->node, hash_str(n->name, 0));
    snprintf(u->done->tag, sizeof u->done->tag, "PREPARE");
    return RC_OK;
}

/* A constant expression as a value of a type. */
enum rc sess_eval(struct sess *s, const struct sess_script *script, const PgQuery__Node *node, struct col want,
                  struct arena *a, struct value *ret, struct err *err) {
    struct fn_env env = s->env;
    struct expr *e;
    struct expr_program prog;
    struct pgx *pgx;
    env.arena = a;
    struct analyse_in in = {.arena = a,
                            .catalog = &s->catalog.source,
                            .text = script->text,
                            .bytes = script->bytes,
                            .search_path = s->path,
                            .search_paths = s->paths,
                            .env = &env,
                            .reactor = s->e->reactor};
    enum rc rc = sess_paths(s, err);
    if (!rc)
        rc = analyse_expression(&in, node, NULL, want, &e, err);
    if (!rc)
        rc = expr_compile(a, e, &prog, err);
    if (!rc && prog.cols > 0)
        rc = err_sql(err, "0A000", "only constants can stand here");
    if (!rc)
        rc = pgx_load(prog.bytes, prog.n, &pgx, err);
    if (rc)
        return rc;
    rc = pgx_run(pgx, &env, NULL, ret, err);
    if (!rc)
        rc = value_copy(a, ret) ? err_set(err, RC_NOMEM, "out of memory for a value") : RC_OK;
    pgx_free(pgx);
    return rc;
}

/* Values of EXECUTE's arguments, in the arena. */
static enum rc arguments(struct utility *u, const struct sess_stmt *st, const PgQuery__ExecuteStmt *x, struct arena *a,
                         const struct value **ret, struct err *err) {
    struct value *v = arena_array(a, st->params + 1, sizeof *v);
    if (!v)
        return err_set(err, RC_NOMEM, "out of memory for the parameters");
    if (x->n_params != st->params) {
        enum rc rc = err_sql(err, "42601", "wrong number of parameters for prepared statement \"%.63s\"", x->name);
        if (err)
            err_detail(err, "Expected %zu parameters but got %zu.", st->params, x->n_params);
        return rc;
    }
    enum rc rc = RC_OK;
    for (size_t i = 0; i < st->params && !rc; i++)
        rc = sess_eval(u->s, u->script, x->params[i], st->param[i], a, &v[i], err);
    *ret = v;
    return rc;
}

static enum rc execute(struct utility *u, const PgQuery__ExecuteStmt *x, struct err *err) {
    struct sess *s = u->s;
    struct named_stmt *p = prepared_find(s, x->name);
    const struct value *v;
    struct sess_portal *inner;
    struct arena a;
    if (!p)
        return no_prepared(x->name, err);
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    enum rc rc = arguments(u, p->stmt, x, &a, &v, err);
    if (!rc)
        rc = portal_new(s, stmt_of(p->stmt), v, &inner, err);
    arena_done(&a);
    if (rc)
        return rc;
    rc = portal_query(inner, 0, s->final, u->done, err);
    portal_close(inner);
    return rc;
}

static void prepared_drop(struct sess *s, struct named_stmt *p) {
    map_del(&s->prepared, &p->node);
    stmt_unref(stmt_of(p->stmt));
    free(p);
}

/* All that have a name, whoever gave it. */
static void forget_prepared(struct sess *s) {
    sess_forget_named(s, false);
    if (s->client->deallocate)
        s->client->deallocate(s->ctx, NULL);
}

static enum rc deallocate(struct utility *u, const char *name, struct err *err) {
    struct sess *s = u->s;
    snprintf(u->done->tag, sizeof u->done->tag, name && name[0] ? "DEALLOCATE" : "DEALLOCATE ALL");
    if (!name || !name[0]) {
        forget_prepared(s);
        return RC_OK;
    }
    struct named_stmt *p = prepared_find(s, name);
    if (!p && s->client->deallocate && s->client->deallocate(s->ctx, name))
        return RC_OK;
    if (!p)
        return no_prepared(name, err);
    prepared_drop(s, p);
    return RC_OK;
}

/* ---- cursors ------------------------------------------------------------------------------------------------------------------ */

static void cursor_drop(struct sess *s, struct named_portal *c) {
    map_del(&s->cursors, &c->node);
    portal_close(c->portal);
    free(c);
}

void sess_forget_cursors(struct sess *s) {
    map_for_each(it, &s->cursors)
        cursor_drop(s, container_of(it, struct named_portal, node));
}

void sess_forget_named(struct sess *s, bool cursors) {
    if (cursors)
        sess_forget_cursors(s);
    map_for_each(it, &s->prepared)
        prepared_drop(s, container_of(it, struct named_stmt, node));
}

enum { CURSOR_SCROLL = 2, CURSOR_HOLD = 32 };

static enum rc declare(struct utility *u, const PgQuery__DeclareCursorStmt *d, struct err *err) {
    struct sess *s = u->s;
    struct stmt *st;
    struct sess_portal *p = NULL;
    if (!sess_in_block(s))
        return err_sql(err, "25P01", "DECLARE CURSOR can only be used in transaction blocks");
    if (d->options & CURSOR_HOLD)
        return err_set(err, RC_UNSUPPORTED, "cursors WITH HOLD are not supported");
    if (d->options & CURSOR_SCROLL)
        return err_set(err, RC_UNSUPPORTED, "SCROLL cursors are not supported");
    if (cursor_find(s, d->portalname))
        return err_sql(err, "42P03", "cursor \"%.63s\" already exists", d->portalname);
    if (s->cursors.count >= SESS_CURSORS_MAX)
        return err_set(err, RC_LIMIT, "a session may have %d cursors", SESS_CURSORS_MAX);
    enum rc rc = stmt_new_inner(s, u->script, d->query, NULL, 0, &st, err);
    if (rc)
        return rc;
    if (plan_writes(st->planned->plan) > 0) {
        stmt_unref(st);
        return err_set(err, RC_UNSUPPORTED, "DECLARE CURSOR must not contain data-modifying statements in WITH");
    }
    struct named_portal *c = calloc(1, sizeof *c + strlen(d->portalname) + 1);
    rc = c ? portal_new(s, st, NULL, &p, err) : err_set(err, RC_NOMEM, "out of memory for a cursor");
    if (!rc)
        rc = sess_txn(s, NULL, err);
    if (!rc)
        rc = portal_open(p, false, err);
    stmt_unref(st);
    if (rc) {
        portal_close(p);
        free(c);
        return rc;
    }
    memcpy(c->name, d->portalname, strlen(d->portalname) + 1);
    c->portal = p;
    map_put(&s->cursors, &c->node, hash_str(c->name, 0));
    snprintf(u->done->tag, sizeof u->done->tag, "DECLARE CURSOR");
    return RC_OK;
}

static enum rc drop_row(void *ctx, const struct value *v, struct err *err) {
    (void)ctx, (void)v, (void)err;
    return RC_OK;
}

static enum rc fetch(struct utility *u, const PgQuery__FetchStmt *f, struct err *err) {
    struct sess *s = u->s;
    struct named_portal *c = cursor_find(s, f->portalname);
    uint64_t rows = 0;
    bool more;
    if (!c)
        return no_cursor(f->portalname, err);
    bool relative_one = f->direction == PG_QUERY__FETCH_DIRECTION__FETCH_RELATIVE && f->how_many == 1;
    if ((f->direction != PG_QUERY__FETCH_DIRECTION__FETCH_FORWARD && !relative_one) || f->how_many < 0) {
        enum rc rc = err_sql(err, "55000", "cursor can only scan forward");
        if (err)
            err_hint(err, "Declare it with SCROLL option to enable backward scan.");
        return rc;
    }
    enum rc rc = RC_OK;
    if (f->how_many > 0 && !c->portal->finished) {
        uint64_t max = f->how_many >= INT32_MAX ? 0 : (uint64_t)f->how_many;
        rc = portal_pull(c->portal, max, f->ismove ? drop_row : NULL, NULL, &rows, &more, err);
        if (!rc && !more)
            c->portal->finished = true;
    }
    snprintf(u->done->tag, sizeof u->done->tag, "%s %" PRIu64, f->ismove ? "MOVE" : "FETCH", rows);
    return rc;
}

static enum rc close_cursor(struct utility *u, const char *name, struct err *err) {
    snprintf(u->done->tag, sizeof u->done->tag, name && name[0] ? "CLOSE CURSOR" : "CLOSE CURSOR ALL");
    if (!name || !name[0]) {
        sess_forget_cursors(u->s);
        return RC_OK;
    }
    struct named_portal *c = cursor_find(u->s, name);
    if (!c)
        return no_cursor(name, err);
    cursor_drop(u->s, c);
    return RC_OK;
}

/* ---- others -------------------------------------------------------------------------------------------------------------------- */

static enum rc discard(struct utility *u, const PgQuery__DiscardStmt *d, struct err *err) {
    static const char *const tags[] = {"", "DISCARD ALL", "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMP"};
    struct sess *s = u->s;
    if ((size_t)d->target < ARRAY_LEN(tags))
        snprintf(u->done->tag, sizeof u->done->tag, "%s", tags[d->target]);
    if (d->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL) {
        enum rc rc = sess_no_block(s, "DISCARD ALL", err);
        if (rc)
            return rc;
        sess_forget_cursors(s);
        forget_prepared(s);
        guc_reset_all(s->gucs);
        rc = sess_settings(s, err);
        if (rc)
            return rc;
    }
    if (d->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL || d->target == PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES)
        sess_forget_sequences(s);
    return RC_OK;
}

static enum rc lock_table(struct utility *u, const PgQuery__LockStmt *l, struct err *err) {
    enum { ACCESS_SHARE = 1, ROW_EXCLUSIVE = 3, ACCESS_EXCLUSIVE = 8 };
    struct sess *s = u->s;
    if (!sess_in_block(s))
        return err_sql(err, "25P01", "LOCK TABLE can only be used in transaction blocks");
    enum rc rc = sess_txn(s, NULL, err);
    for (size_t i = 0; i < l->n_relations && !rc; i++) {
        const PgQuery__RangeVar *v = l->relations[i]->range_var;
        const struct cat_object *o;
        struct span span;
        rc = sess_relation(s, v->catalogname, v->schemaname, v->relname, &o, err);
        if (!rc && !o)
            rc = err_sql(err, "42P01", "relation \"%.63s\" does not exist", v->relname);
        if (!rc && (o->kind != CAT_OBJECT_TABLE || o->table->kind != CAT_TABLE))
            rc = err_sql(err, "42809", "\"%.63s\" is not a table", v->relname);
        /* The weakest modes keep nobody from reading or writing rows: they promise nothing here. */
        if (!rc && l->mode > ROW_EXCLUSIVE) {
            rc = ddl_table_span(&s->scratch, o->table->store, &span, err);
            if (!rc)
                rc = txn_lock_spans(s->txn, &span, 1, l->mode >= ACCESS_EXCLUSIVE ? LOCK_EXCLUSIVE : LOCK_SHARED, err);
        }
    }
    snprintf(u->done->tag, sizeof u->done->tag, "LOCK TABLE");
    return rc;
}

static enum rc explain_line(void *ctx, const char *line, struct err *err) {
    return send_text(ctx, line, err);
}

enum rc explain_run(struct utility *u, const PgQuery__ExplainStmt *x, struct err *err) {
    struct sess *s = u->s;
    bool analyze = false, verbose = false;
    const PgQuery__Node *query = x->query;
    const struct value *v = NULL;
    struct stmt *st = NULL;
    struct sess_portal *p = NULL;
    uint64_t rows;
    bool more;
    enum rc rc = RC_OK;
    for (size_t i = 0; i < x->n_options; i++) {
        const PgQuery__DefElem *d = x->options[i]->def_elem;
        bool on = !d->arg || !sess_def_is_false(d);
        if (strcmp(d->defname, "analyze") == 0)
            analyze = on;
        else if (strcmp(d->defname, "verbose") == 0)
            verbose = on;
        else if (strcmp(d->defname, "format") == 0 && !is_one_of(sess_def_text(d), "text", "json"))
            return is_one_of(sess_def_text(d), "xml", "yaml")
                       ? sess_unsupported(u->script, d->location, err, "EXPLAIN as XML or YAML is not supported")
                       : err_sql(err, "22023", "unrecognized value for EXPLAIN option \"%s\": \"%s\"", d->defname,
                                 sess_def_text(d));
    }
    if (query->node_case == PG_QUERY__NODE__NODE_EXECUTE_STMT) {
        struct named_stmt *named = prepared_find(s, query->execute_stmt->name);
        if (!named)
            return no_prepared(query->execute_stmt->name, err);
        rc = arguments(u, named->stmt, query->execute_stmt, &s->scratch, &v, err);
        st = stmt_of(named->stmt);
        st->refs++;
    } else {
        rc = stmt_new_inner(s, u->script, query, NULL, 0, &st, err);
    }
    if (!rc && st->pub.params > 0 && !v)
        rc = err_sql(err, "42P02", "there is no parameter $1");
    if (!rc)
        rc = portal_new(s, st, v, &p, err);
    if (!rc)
        rc = sess_txn(s, !sess_in_block(s) && s->final ? st->planned->plan : NULL, err);
    if (!rc && analyze)
        rc = portal_open(p, false, err);
    if (!rc && analyze)
        rc = portal_pull(p, 0, drop_row, NULL, &rows, &more, err);
    if (!rc) {
        struct exec_env env = p->env;
        env.store = s->e->conf.store;
        env.txn = s->txn;
        env.fn = &s->env;
        env.virtuals = (struct exec_virtual){virtual_rows, s};
        rc = exec_explain(st->planned->plan, p->exec, &env, p->param, verbose, explains_as_json(x), explain_line, s,
                          err);
    }
    portal_close(p);
    stmt_unref(st);
    snprintf(u->done->tag, sizeof u->done->tag, "EXPLAIN");
    return rc;
}

/* What we do not have, by its name in SQL; what has none here, by its name in the grammar. */
static const char *statement_name(const PgQuery__Node *n) {
    static const struct {
        PgQuery__Node__NodeCase node;
        const char *name;
    } names[] = {{PG_QUERY__NODE__NODE_LISTEN_STMT, "LISTEN"},
                 {PG_QUERY__NODE__NODE_NOTIFY_STMT, "NOTIFY"},
                 {PG_QUERY__NODE__NODE_DO_STMT, "DO"},
                 {PG_QUERY__NODE__NODE_CALL_STMT, "CALL"},
                 {PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT, "CREATE FUNCTION"},
                 {PG_QUERY__NODE__NODE_CREATE_TRIG_STMT, "CREATE TRIGGER"},
                 {PG_QUERY__NODE__NODE_CREATE_ENUM_STMT, "CREATE TYPE"},
                 {PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT, "CREATE TYPE"},
                 {PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT, "CREATE DOMAIN"},
                 {PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT, "CREATE EXTENSION"},
                 {PG_QUERY__NODE__NODE_CREATE_POLICY_STMT, "CREATE POLICY"},
                 {PG_QUERY__NODE__NODE_CREATE_CAST_STMT, "CREATE CAST"},
                 {PG_QUERY__NODE__NODE_CREATE_PUBLICATION_STMT, "CREATE PUBLICATION"},
                 {PG_QUERY__NODE__NODE_CREATE_SUBSCRIPTION_STMT, "CREATE SUBSCRIPTION"},
                 {PG_QUERY__NODE__NODE_RULE_STMT, "CREATE RULE"},
                 {PG_QUERY__NODE__NODE_DEFINE_STMT, "CREATE AGGREGATE, OPERATOR or TYPE"},
                 {PG_QUERY__NODE__NODE_CREATE_STATS_STMT, "CREATE STATISTICS"},
                 {PG_QUERY__NODE__NODE_SELECT_STMT, "SELECT INTO"},
                 {PG_QUERY__NODE__NODE_LOAD_STMT, "LOAD"},
                 {PG_QUERY__NODE__NODE_CLUSTER_STMT, "CLUSTER"},
                 {PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT, "REFRESH MATERIALIZED VIEW"},
                 {PG_QUERY__NODE__NODE_ALTER_ROLE_SET_STMT, "ALTER ROLE SET"},
                 {PG_QUERY__NODE__NODE_ALTER_DATABASE_SET_STMT, "ALTER DATABASE SET"},
                 {PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT, "ALTER SYSTEM"},
                 {PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT, "ALTER ... SET SCHEMA"},
                 {PG_QUERY__NODE__NODE_ALTER_DEFAULT_PRIVILEGES_STMT, "ALTER DEFAULT PRIVILEGES"},
                 {PG_QUERY__NODE__NODE_DROP_OWNED_STMT, "DROP OWNED"},
                 {PG_QUERY__NODE__NODE_REASSIGN_OWNED_STMT, "REASSIGN OWNED"},
                 {PG_QUERY__NODE__NODE_SEC_LABEL_STMT, "SECURITY LABEL"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].node == n->node_case)
            return names[i].name;
    return ((const ProtobufCMessage *)n->alias)->descriptor->short_name; /* every one of the union is a message */
}

static enum rc nothing(struct utility *u, const char *tag) {
    snprintf(u->done->tag, sizeof u->done->tag, "%s", tag);
    return RC_OK;
}

/* ANALYZE: how many rows there are, for this store's planner and for pg_class. */
static enum rc count_table(struct sess *s, const struct cat_table *t, struct err *err) {
    struct table *store = table_ref((struct table *)(uintptr_t)t->store);
    enum rc rc = counts_take(s->e->counts, store, TXN_READ_STRONG, s->deadline, err);
    table_unref(store);
    return rc == RC_STALE ? RC_OK : rc; /* somebody changes it: another time */
}

static enum rc count_tables(struct sess *s, struct err *err) {
    struct cat_view v = sess_view(s);
    struct cat_list l;
    size_t n = 0;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, 0, &l, err);
    if (rc)
        return rc;
    const struct cat_table **t = arena_array(&s->scratch, l.n + 1, sizeof *t);
    for (size_t i = 0; i < l.n && t; i++)
        if (l.v[i]->database == s->database && l.v[i]->table->store)
            t[n++] = cat_table_ref(l.v[i]->table);
    cat_list_done(&l);
    if (!t)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (size_t i = 0; i < n; i++) {
        rc = rc ? rc : count_table(s, t[i], err);
        cat_table_unref(t[i]);
    }
    return rc;
}

static enum rc vacuum(struct utility *u, const PgQuery__VacuumStmt *v, struct err *err) {
    bool analyzes = !v->is_vacuumcmd;
    for (size_t i = 0; i < v->n_options; i++)
        analyzes |= strcmp(v->options[i]->def_elem->defname, "analyze") == 0;
    enum rc rc = v->is_vacuumcmd ? sess_no_block(u->s, "VACUUM", err) : RC_OK;
    for (size_t i = 0; i < v->n_rels && !rc; i++) {
        const PgQuery__RangeVar *r = v->rels[i]->vacuum_relation->relation;
        const struct cat_object *o;
        rc = sess_relation(u->s, r->catalogname, r->schemaname, r->relname, &o, err);
        if (!rc && !o)
            rc = err_sql(err, "42P01", "relation \"%.63s\" does not exist", r->relname);
        if (!rc && analyzes && o->kind == CAT_OBJECT_TABLE && o->table->store)
            rc = count_table(u->s, o->table, err);
    }
    if (!rc && analyzes && v->n_rels == 0)
        rc = count_tables(u->s, err);
    return rc ? rc : nothing(u, v->is_vacuumcmd ? "VACUUM" : "ANALYZE");
}

/* Indexes are never bloated or damaged by themselves, so there is nothing to do but to know the name. */
static enum rc reindex(struct utility *u, const PgQuery__ReindexStmt *re, struct err *err) {
    const PgQuery__RangeVar *r = re->relation;
    const struct cat_object *o;
    if (r) {
        enum rc rc = sess_relation(u->s, r->catalogname, r->schemaname, r->relname, &o, err);
        if (rc || !o)
            return rc ? rc : err_sql(err, "42P01", "relation \"%.63s\" does not exist", r->relname);
    }
    return nothing(u, "REINDEX");
}

enum rc utility_run(struct utility *u, struct err *err) {
    const PgQuery__Node *n = u->node;
    struct sess *s = u->s;
    char *tag = u->done->tag;
    bool known = true;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
        return block_statement(s, n->transaction_stmt, tag, err);
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
        return set_run(s, n->variable_set_stmt, tag, err);
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
        return show(u, n->variable_show_stmt->name, err);
    case PG_QUERY__NODE__NODE_PREPARE_STMT:
        return prepare(u, n->prepare_stmt, err);
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
        return execute(u, n->execute_stmt, err);
    case PG_QUERY__NODE__NODE_DEALLOCATE_STMT:
        return deallocate(u, n->deallocate_stmt->name, err);
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
        return declare(u, n->declare_cursor_stmt, err);
    case PG_QUERY__NODE__NODE_FETCH_STMT:
        return fetch(u, n->fetch_stmt, err);
    case PG_QUERY__NODE__NODE_CLOSE_PORTAL_STMT:
        return close_cursor(u, n->close_portal_stmt->portalname, err);
    case PG_QUERY__NODE__NODE_DISCARD_STMT:
        return discard(u, n->discard_stmt, err);
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        return explain_run(u, n->explain_stmt, err);
    case PG_QUERY__NODE__NODE_COPY_STMT:
        return copy_run(u, n->copy_stmt, err);
    case PG_QUERY__NODE__NODE_LOCK_STMT:
        return lock_table(u, n->lock_stmt, err);
    case PG_QUERY__NODE__NODE_VACUUM_STMT:
        return vacuum(u, n->vacuum_stmt, err);
    case PG_QUERY__NODE__NODE_CHECK_POINT_STMT:
        return nothing(u, "CHECKPOINT");
    case PG_QUERY__NODE__NODE_UNLISTEN_STMT:
        return nothing(u, "UNLISTEN"); /* nobody listens */
    case PG_QUERY__NODE__NODE_REINDEX_STMT:
        return reindex(u, n->reindex_stmt, err);
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT:
        snprintf(tag, sizeof u->done->tag, "SET CONSTRAINTS");
        return foreign_set_constraints(s, n->constraints_set_stmt, err);
    default:
        break;
    }
    enum rc rc = ddl_run(u, &known, err);
    if (known)
        return rc;
    int32_t at = u->portal ? u->script->tree->stmts[u->portal->stmt->index]->stmt_location : 0;
    return sess_unsupported(u->script, at, err, "%s is not supported", statement_name(n));
}
