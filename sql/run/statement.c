/* SPDX-License-Identifier: Apache-2.0 */
/* statement.c: texts to statements: parsed, told apart, planned if they are queries. */
#include <stdlib.h>
#include <string.h>

#include "sql/run/sess_internal.h"

/* ---- scripts -------------------------------------------------------------------------------------------------------- */

enum rc script_new(struct sess *s, const char *text, size_t bytes, struct sess_script **ret, struct err *err) {
    struct sess_script *sc = calloc(1, sizeof *sc);
    if (!sc)
        return err_set(err, RC_NOMEM, "out of memory for the statement");
    sc->refs = 1;
    sc->e = s->e;
    arena_init(&sc->arena, SESS_ARENA_BYTES_MAX);
    sc->text = bytes <= SESS_SCRIPT_BYTES_MAX ? arena_alloc(&sc->arena, bytes + 1) : NULL;
    enum rc rc = RC_OK;
    if (!sc->text) {
        rc = err_set(err, bytes > SESS_SCRIPT_BYTES_MAX ? RC_LIMIT : RC_NOMEM, "the statement is too long");
    } else {
        memcpy(sc->text, text, bytes);
        sc->text[bytes] = '\0';
        sc->bytes = bytes;
        if (!plans_know(s, text, bytes))
            rc = script_parse(s, sc, err);
    }
    if (rc) {
        script_unref(sc);
        sess_failed(s);
        return rc;
    }
    *ret = sc;
    return RC_OK;
}

void script_unref(struct sess_script *sc) {
    if (!sc || --sc->refs > 0)
        return;
    arena_done(&sc->arena);
    free(sc);
}

enum rc script_parse(struct sess *s, struct sess_script *sc, struct err *err) {
    if (sc->tree)
        return RC_OK;
    int64_t began = env_now_ns(s->e->env);
    enum rc rc = parse_text(s->e->reactor, &sc->arena, sc->text, sc->bytes, &sc->tree, err);
    s->parsing_ns += env_now_ns(s->e->env) - began;
    return rc;
}

const char *script_slice(const struct sess_script *sc, size_t index, size_t *ret_bytes) {
    size_t from = 0, n = sc->bytes;
    if (sc->tree && index < sc->tree->n_stmts) {
        const PgQuery__RawStmt *raw = sc->tree->stmts[index];
        from = raw->stmt_location > 0 ? (size_t)raw->stmt_location : 0;
        n = raw->stmt_len > 0 ? (size_t)raw->stmt_len : sc->bytes - from;
    }
    while (n > 0 && strchr(" \t\r\n\f", sc->text[from])) {
        from++;
        n--;
    }
    *ret_bytes = n;
    return sc->text + from;
}

int32_t sess_position(const struct sess_script *sc, int32_t location) {
    int32_t chars = 0;
    if (location < 0 || (size_t)location > sc->bytes)
        return 0;
    for (int32_t i = 0; i < location; i++)
        chars += ((unsigned char)sc->text[i] & 0xc0) != 0x80;
    return chars + 1;
}

enum rc sess_unsupported(const struct sess_script *sc, int32_t location, struct err *err, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, RC_UNSUPPORTED, fmt, ap);
    va_end(ap);
    if (err && sc)
        err_position(err, sess_position(sc, location));
    return RC_UNSUPPORTED;
}

/* ---- statements ------------------------------------------------------------------------------------------------------- */

struct stmt *stmt_of(struct sess_stmt *pub) {
    return container_of(pub, struct stmt, pub);
}

void stmt_unref(struct stmt *st) {
    if (!st || --st->refs > 0)
        return;
    planned_unref(st->planned);
    script_unref(st->script);
    arena_done(&st->arena);
    free(st);
}

static bool is_query(const PgQuery__Node *n) {
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        return !n->select_stmt->into_clause;
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT:
        return true;
    default:
        return false;
    }
}

/* The public head of a planned statement, in the statement's own arena: a new plan may come. */
static enum rc describe(struct stmt *st, struct err *err) {
    const struct plan *p = st->planned->plan;
    struct col *param = arena_array(&st->arena, plan_params(p) + 1, sizeof *param);
    struct sess_column *column = arena_array(&st->arena, plan_columns(p) + 1, sizeof *column);
    if (!param || !column)
        return err_set(err, RC_NOMEM, "out of memory for the statement");
    memcpy(param, plan_param(p), plan_params(p) * sizeof *param);
    for (size_t i = 0; i < plan_columns(p); i++) {
        column[i] = st->planned->column[i];
        column[i].name = arena_strdup(&st->arena, column[i].name ? column[i].name : "?column?");
        if (!column[i].name)
            return err_set(err, RC_NOMEM, "out of memory for the statement");
    }
    st->pub = (struct sess_stmt){.params = plan_params(p),
                                 .columns = plan_columns(p),
                                 .param = param,
                                 .column = column,
                                 .rows = plan_kind(p) == QUERY_SELECT || plan_columns(p) > 0};
    return RC_OK;
}

static enum rc blank(struct sess *s, struct sess_script *script, size_t index, const uint32_t *oid, size_t oids,
                     struct stmt **ret, struct err *err) {
    struct stmt *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(err, RC_NOMEM, "out of memory for the statement");
    st->refs = 1;
    st->s = s;
    st->index = index;
    st->script = script;
    script->refs++;
    arena_init(&st->arena, SESS_ARENA_BYTES_MAX);
    st->oid = arena_array(&st->arena, oids + 1, sizeof *st->oid);
    if (!st->oid) {
        stmt_unref(st);
        return err_set(err, RC_NOMEM, "out of memory for the statement");
    }
    if (oids)
        memcpy(st->oid, oid, oids * sizeof *oid);
    st->oids = oids;
    *ret = st;
    return RC_OK;
}

/* A failed block takes nothing but its end. */
static enum rc failed_block(const struct sess *s, const PgQuery__Node *node, struct err *err) {
    if (s->state != SESS_FAILED || (node && utility_ends_block(node)))
        return RC_OK;
    return err_sql(err, "25P02", "current transaction is aborted, commands ignored until end of transaction block");
}

enum rc stmt_new(struct sess *s, struct sess_script *script, size_t index, const uint32_t *oid, size_t oids,
                 struct stmt **ret, struct err *err) {
    struct stmt *st;
    int64_t began = env_now_ns(s->e->env);
    enum rc rc = blank(s, script, index, oid, oids, &st, err);
    if (rc)
        return rc;
    if (script->tree && index >= script->tree->n_stmts) {
        st->pub.empty = true;
        *ret = st;
        return RC_OK;
    }
    const PgQuery__Node *node = script->tree ? script->tree->stmts[index]->stmt : NULL;
    rc = failed_block(s, node, err);
    if (!rc && (!node || is_query(node))) {
        rc = plans_get(s, script, index, NULL, st->oid, oids, &st->planned, err);
        if (!rc)
            rc = describe(st, err);
        s->parsing_ns += env_now_ns(s->e->env) - began;
    } else if (!rc) {
        st->node = node;
        rc = utility_columns(s, st, err);
    }
    if (rc) {
        stmt_unref(st);
        return rc;
    }
    st->pub.bytes = sizeof *st + st->arena.bytes + script->arena.bytes;
    if (st->planned)
        st->pub.bytes += plan_bytes(st->planned->plan);
    *ret = st;
    return RC_OK;
}

enum rc stmt_new_inner(struct sess *s, struct sess_script *script, const PgQuery__Node *node, const uint32_t *oid,
                       size_t oids, struct stmt **ret, struct err *err) {
    struct stmt *st;
    if (!is_query(node))
        return sess_unsupported(script, -1, err, "only SELECT, INSERT, UPDATE and DELETE are supported here");
    enum rc rc = blank(s, script, 0, oid, oids, &st, err);
    if (rc)
        return rc;
    st->node = node;
    rc = plans_get(s, script, 0, node, st->oid, oids, &st->planned, err);
    if (!rc)
        rc = describe(st, err);
    if (rc) {
        stmt_unref(st);
        return rc;
    }
    *ret = st;
    return RC_OK;
}

enum rc stmt_from_text(struct sess *s, const char *text, struct stmt **ret, struct err *err) {
    struct sess_script *script;
    enum rc rc = script_new(s, text, strlen(text), &script, err);
    if (rc)
        return rc;
    rc = stmt_new(s, script, 0, NULL, 0, ret, err);
    script_unref(script);
    return rc;
}

static bool same_columns(const struct stmt *st, const struct planned *p) {
    if (st->pub.columns != plan_columns(p->plan) || st->pub.params != plan_params(p->plan))
        return false;
    for (size_t i = 0; i < st->pub.columns; i++)
        if (type_oid(&st->pub.column[i].type) != type_oid(&p->column[i].type) ||
            strcmp(st->pub.column[i].name, p->column[i].name ? p->column[i].name : "?column?") != 0)
            return false;
    return true;
}

enum rc stmt_replan(struct stmt *st, bool stale, struct err *err) {
    struct sess *s = st->s;
    struct planned *p;
    if (!st->planned || (!stale && !s->change && st->planned->catalog == cat_cache_version(s->e->catalog)))
        return RC_OK;
    if (stale) {
        enum rc rc = sess_refresh(s, err);
        if (rc)
            return rc;
    }
    enum rc rc = plans_get(s, st->script, st->index, st->node, st->oid, st->oids, &p, err);
    if (rc)
        return rc;
    counter_inc(&s->e->stats.replanned);
    if (!same_columns(st, p)) {
        planned_unref(p);
        return err_sql(err, "0A000", "cached plan must not change result type");
    }
    planned_unref(st->planned);
    st->planned = p;
    return RC_OK;
}
