/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setfn.c: functions that give rows, as a table of SQLite's: pgset(call, argument, ...) AS r.
 *
 * call is a place in select.set, which knows the function and its types. The columns are the value, its number from 1 (WITH
 * ORDINALITY), and the second value of functions that give two. A function that gives one value gives one row.
 */
#include <stdlib.h>

#include "sql/exec/stage.h"

enum { SET_ARGS_MAX = 8, COL_SECOND = 2, COL_CALL = 3 };

struct setfn_vtab {
    sqlite3_vtab base;
    struct stage *stage;
};

struct setfn_cursor {
    sqlite3_vtab_cursor base;
    struct stage *stage;
    struct arena arena;
    struct fn_rows *rows;
    struct value value;
    struct value arg[SET_ARGS_MAX];
    bool end;
    sqlite3_int64 number;
};

static int fail(struct stage *g, enum rc rc) {
    g->rc = rc;
    if (g->err.rc != rc)
        err_set(&g->err, rc, "%s", rc_text(rc));
    return rc == RC_NOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
}

static int on_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **ret, char **message) {
    (void)argc, (void)argv, (void)message;
    int code =
        sqlite3_declare_vtab(db, "CREATE TABLE x(c0, c1, c2, call HIDDEN, a0 HIDDEN, a1 HIDDEN, a2 HIDDEN, a3 HIDDEN, "
                                 "a4 HIDDEN, a5 HIDDEN, a6 HIDDEN, a7 HIDDEN)");
    if (code != SQLITE_OK)
        return code;
    struct setfn_vtab *t = calloc(1, sizeof *t);
    if (!t)
        return SQLITE_NOMEM;
    t->stage = aux;
    *ret = &t->base;
    return SQLITE_OK;
}

static int on_disconnect(sqlite3_vtab *vt) {
    free(vt);
    return SQLITE_OK;
}

/* The hidden columns come as arguments, in their order: all of them, or this plan is none. */
static int on_best_index(sqlite3_vtab *vt, sqlite3_index_info *info) {
    int place[SET_ARGS_MAX + 1], n = 0;
    (void)vt;
    for (int i = 0; i <= SET_ARGS_MAX; i++)
        place[i] = -1;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        if (c->iColumn < COL_CALL || c->op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        if (!c->usable)
            return SQLITE_CONSTRAINT;
        place[c->iColumn - COL_CALL] = i;
    }
    for (int i = 0; i <= SET_ARGS_MAX && place[i] >= 0; i++) {
        info->aConstraintUsage[place[i]].argvIndex = ++n;
        info->aConstraintUsage[place[i]].omit = 1;
    }
    info->estimatedCost = 100;
    info->estimatedRows = 100;
    return SQLITE_OK;
}

static int on_open(sqlite3_vtab *vt, sqlite3_vtab_cursor **ret) {
    struct setfn_cursor *c = calloc(1, sizeof *c);
    if (!c)
        return SQLITE_NOMEM;
    c->stage = ((struct setfn_vtab *)vt)->stage;
    arena_init(&c->arena, 0);
    *ret = &c->base;
    return SQLITE_OK;
}

static int on_close(sqlite3_vtab_cursor *vc) {
    struct setfn_cursor *c = (struct setfn_cursor *)vc;
    fn_set_close(c->rows);
    arena_done(&c->arena);
    free(c);
    return SQLITE_OK;
}

static int next_row(struct setfn_cursor *c) {
    struct stage *g = c->stage;
    struct fn_env env = g->fn;
    env.arena = &c->arena;
    c->number++;
    if (!c->rows) {
        c->end = c->number > 1;
        return SQLITE_OK;
    }
    arena_reset(&c->arena);
    enum rc rc = fn_set_next(c->rows, &env, &c->value, &c->end, &g->err);
    return rc ? fail(g, rc) : SQLITE_OK;
}

static int on_filter(sqlite3_vtab_cursor *vc, int number, const char *text, int argc, sqlite3_value **argv) {
    struct setfn_cursor *c = (struct setfn_cursor *)vc;
    struct stage *g = c->stage;
    (void)number, (void)text;
    fn_set_close(c->rows);
    c->rows = NULL;
    c->end = true;
    c->number = 0;
    arena_reset(&c->arena);
    int64_t at = argc > 0 ? sqlite3_value_int64(argv[0]) : -1;
    if (at < 0 || at >= (int64_t)g->select->sets || argc - 1 > SET_ARGS_MAX)
        return fail(g, RC_INTERNAL);
    const struct set_call *call = &g->select->set[at];
    for (int i = 1; i < argc; i++) {
        if (value_from_sqlite(argv[i], &c->arg[i - 1]) || value_copy(&c->arena, &c->arg[i - 1]))
            return SQLITE_NOMEM;
        if (call->fn && call->fn->strict && c->arg[i - 1].kind == VALUE_NULL)
            return SQLITE_OK; /* no rows */
    }
    if (!call->fn) {
        c->value = argc > 1 ? c->arg[0] : value_null();
        return next_row(c);
    }
    struct fn_env env = g->fn;
    env.arena = &c->arena;
    enum rc rc = fn_set_open(&env, call->fn, &call->types, c->arg, (size_t)argc - 1, &c->rows, &g->err);
    return rc ? fail(g, rc) : next_row(c);
}

static int on_next(sqlite3_vtab_cursor *vc) {
    return next_row((struct setfn_cursor *)vc);
}

static int on_eof(sqlite3_vtab_cursor *vc) {
    return ((struct setfn_cursor *)vc)->end;
}

static int on_column(sqlite3_vtab_cursor *vc, sqlite3_context *ctx, int col) {
    struct setfn_cursor *c = (struct setfn_cursor *)vc;
    if (col == 0)
        value_result(ctx, &c->value);
    else if (col == 1)
        sqlite3_result_int64(ctx, c->number);
    else if (col == COL_SECOND && c->rows) {
        struct value v = fn_set_second(c->rows);
        value_result(ctx, &v);
    }
    return SQLITE_OK;
}

static int on_rowid(sqlite3_vtab_cursor *vc, sqlite3_int64 *ret) {
    *ret = ((struct setfn_cursor *)vc)->number;
    return SQLITE_OK;
}

enum rc setfn_register(struct stage *g, struct err *err) {
    static const sqlite3_module module = {
        .iVersion = 2,
        .xConnect = on_connect,
        .xBestIndex = on_best_index,
        .xDisconnect = on_disconnect,
        .xOpen = on_open,
        .xClose = on_close,
        .xFilter = on_filter,
        .xNext = on_next,
        .xEof = on_eof,
        .xColumn = on_column,
        .xRowid = on_rowid,
    };
    int code = sqlite3_create_module_v2(g->db, "pgset", &module, g, NULL);
    return code == SQLITE_OK ? RC_OK : stage_error(g->db, "register pgset", err);
}
