/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.c: the final stage: SQLite in memory, over the rows of fragments.
 */
#include "sql/exec/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/pgnum.h"

enum rc stage_error(sqlite3 *db, const char *doing, struct err *err) {
    switch (db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM) {
    case SQLITE_NOMEM:
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    case SQLITE_TOOBIG:
        return err_set(err, RC_LIMIT, "%s: a value or a statement is too long", doing);
    default:
        return err_set(err, RC_INTERNAL, "%s: %s", doing, sqlite3_errmsg(db));
    }
}

/* ---- pgone: a subquery that may give one row --------------------------------------------------------------------- */

struct one {
    bool there;
    sqlite3_value *value;
};

static void one_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    struct one *one = sqlite3_aggregate_context(ctx, sizeof *one);
    (void)argc;
    if (!one) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (one->there) {
        sqlite3_result_error(ctx, "21000:more than one row returned by a subquery used as an expression", -1);
        return;
    }
    one->there = true;
    one->value = sqlite3_value_dup(argv[0]);
    if (!one->value)
        sqlite3_result_error_nomem(ctx);
}

static void one_final(sqlite3_context *ctx) {
    struct one *one = sqlite3_aggregate_context(ctx, 0);
    if (!one || !one->value)
        return;
    sqlite3_result_value(ctx, one->value);
    sqlite3_value_free(one->value);
    one->value = NULL;
}

enum rc exec_ext_open(sqlite3 *db, void *ctx, struct err *err) {
    (void)ctx;
    int code = sqlite3_create_function_v2(db, "pgone", 1, SQLITE_UTF8 | SQLITE_INNOCUOUS | SQLITE_DETERMINISTIC, NULL,
                                          NULL, one_step, one_final, NULL);
    enum rc rc = code == SQLITE_OK ? sortkey_register(db, err) : stage_error(db, "register pgone", err);
    return rc ? rc : anyfn_register(db, err);
}

/* ---- a stage ----------------------------------------------------------------------------------------------------- */

/* Why SQLite failed: what a source said, what a function said, or what SQLite says itself. */
enum rc stage_failed(struct stage *g, const char *doing, struct err *err) {
    struct err of_function;
    if (g->rc) {
        if (err && err != &g->err)
            *err = g->err;
        return g->rc;
    }
    int code = sqlite3_errcode(g->db) & 0xff;
    if (g->scratch && (code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_CANTOPEN)) {
        enum rc rc = scratch_failed(g->scratch, err);
        if (rc)
            return rc;
    }
    if (pgx_sqlite_error(g->db, &of_function)) {
        if (err)
            *err = of_function;
        return of_function.rc;
    }
    if ((sqlite3_errcode(g->db) & 0xff) == SQLITE_INTERRUPT) {
        struct reactor *r = g->e->env->store->reactor;
        enum rc rc = fiber_cancelled(r) ? RC_CANCELLED : RC_TIMEOUT;
        return err_set(err, rc, "%s", rc_text(rc));
    }
    if (strstr(sqlite3_errmsg(g->db), "parser stack overflow")) {
        err_set(err, RC_LIMIT, "the statement is nested too deeply");
        err_state(err, "54001");
        return RC_LIMIT;
    }
    return stage_error(g->db, doing, err);
}

/* A sorter takes as much memory as the cache of "main" may have; there are rarely more than a few of them. */
static enum rc set_memory(struct stage *g, struct err *err) {
    enum { PARTS = 4, PART_KIB_MIN = 256 };
    char sql[80];
    size_t kib = g->e->memory_max / PARTS >> 10;
    snprintf(sql, sizeof sql, "PRAGMA temp_store = %s; PRAGMA cache_size = -%zu", g->scratch ? "FILE" : "MEMORY",
             kib > PART_KIB_MIN ? kib : PART_KIB_MIN);
    int code = sqlite3_exec(g->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : stage_error(g->db, "set up the final stage", err);
}

static enum rc open_db(struct stage *g, struct err *err) {
    const struct exec_env *env = g->e->env;
    if (env->scratch && scratch_attach(env->scratch, env->temp_max, &g->scratch))
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    int code = sqlite3_open_v2(":memory:", &g->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                               g->scratch ? scratch_name(g->scratch) : NULL);
    if (code != SQLITE_OK)
        return stage_error(g->db, "open the final stage", err);
    (void)sqlite3_db_config(g->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(g->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    enum rc rc = set_memory(g, err);
    if (!rc)
        rc = pgnum_register(g->db, err);
    if (!rc)
        rc = pgx_register(g->db, &g->fn, err);
    if (!rc)
        rc = exec_ext_open(g->db, NULL, err);
    if (!rc && g->select->sets > 0)
        rc = setfn_register(g, err);
    for (uint32_t i = 0; i < g->select->laterals && !rc; i++)
        rc = lateral_register(g, i, err);
    if (!rc)
        vfs_set_yield(g->db, g->e->env->store->reactor);
    return rc;
}

static enum rc bind_slots(struct stage *g, struct err *err) {
    const struct text *t = &g->select->final;
    for (uint32_t i = 0; i < t->slots; i++) {
        enum rc rc = value_bind(g->stmt, (int)i + 1, &g->e->calc[t->slot[i]], VALUE_BORROWED);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    return RC_OK;
}

static enum rc prepare(struct stage *g, struct err *err) {
    const char *sql = g->select->final.sql;
    int code = sqlite3_prepare_v2(g->db, sql, -1, &g->stmt, NULL);
    if (code == SQLITE_OK)
        return bind_slots(g, err);
    enum rc rc = stage_failed(g, "prepare the final stage", err);
    err_detail(err, "%.300s", sql);
    return rc;
}

enum rc stage_open(struct exec *e, const struct select *s, struct stage **ret, struct err *err) {
    struct stage *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    g->e = e;
    g->select = s;
    arena_init(&g->fn_arena, 0);
    g->fn = *e->env->fn;
    g->fn.arena = &g->fn_arena;
    g->source = arena_array(&e->arena, s->sources + 1, sizeof *g->source);
    g->row = arena_array(&e->arena, s->columns + 1, sizeof *g->row);
    enum rc rc = g->source && g->row ? open_db(g, err) : err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (uint32_t i = 0; g->source && i < s->sources; i++)
        vsource_init(&g->source[i], g, &s->source[i]);
    for (uint32_t i = 0; i < s->sources && !rc; i++)
        rc = vsource_register(&g->source[i], err);
    if (!rc)
        rc = prepare(g, err);
    if (rc)
        stage_close(g);
    else
        *ret = g;
    return rc;
}

enum rc stage_next(struct stage *g, const struct value **ret, struct err *err) {
    int code = sqlite3_step(g->stmt);
    *ret = NULL;
    if (code == SQLITE_DONE) {
        sqlite3_reset(g->stmt); /* the scans end */
        return RC_OK;
    }
    if (code != SQLITE_ROW)
        return stage_failed(g, "the final stage", err);
    for (uint32_t i = 0; i < g->select->columns; i++)
        if (value_column(g->stmt, (int)i, &g->row[i]))
            return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    *ret = g->row;
    return RC_OK;
}

enum rc stage_read_early(struct stage *g, struct err *err) {
    for (uint32_t i = 0; i < g->select->sources; i++) {
        enum rc rc = g->select->source[i].early ? vsource_load(&g->source[i]) : RC_OK;
        if (rc) {
            *err = g->err;
            return rc;
        }
    }
    return RC_OK;
}

void stage_close(struct stage *g) {
    if (!g)
        return;
    sqlite3_finalize(g->stmt);
    sqlite3_close(g->db);
    scratch_detach(g->scratch);
    for (uint32_t i = 0; g->source && i < g->select->sources; i++)
        vsource_done(&g->source[i]);
    arena_done(&g->fn_arena);
    free(g);
}
