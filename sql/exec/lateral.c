/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lateral.c: subqueries of FROM that refer to what stands before them, and several functions side by side, as tables of SQLite's:
 * pglat<N>(value, ...) AS r. SQLite has nothing of the kind; but a virtual table may run a statement of its own on the same
 * connection, over the same sources, for each row that SQLite joins it to. The values are bound behind the text's slots.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sql/exec/stage.h"

struct lat_module {
    struct stage *stage;
    const struct lateral *lateral;
};

struct lat_vtab {
    sqlite3_vtab base;
    const struct lat_module *module;
};

struct lat_cursor {
    sqlite3_vtab_cursor base;
    const struct lat_module *module;
    sqlite3_stmt *stmt;
    bool end;
    sqlite3_int64 number;
};

static int fail(struct stage *g, enum rc rc) {
    g->rc = rc;
    return rc == RC_NOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
}

static int on_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **ret, char **message) {
    const struct lat_module *m = aux;
    (void)argc, (void)argv, (void)message;
    int code = sqlite3_declare_vtab(db, m->lateral->shape);
    if (code != SQLITE_OK)
        return code;
    struct lat_vtab *t = calloc(1, sizeof *t);
    if (!t)
        return SQLITE_NOMEM;
    t->module = m;
    *ret = &t->base;
    return SQLITE_OK;
}

static int on_disconnect(sqlite3_vtab *vt) {
    free(vt);
    return SQLITE_OK;
}

/* The hidden columns come as arguments, all of them, or this plan is none. */
static int on_best_index(sqlite3_vtab *vt, sqlite3_index_info *info) {
    const struct lateral *l = ((struct lat_vtab *)vt)->module->lateral;
    uint32_t seen = 0;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        if (c->iColumn < (int)l->cols || c->op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        if (!c->usable)
            return SQLITE_CONSTRAINT;
        if (info->aConstraintUsage[i].argvIndex)
            continue;
        info->aConstraintUsage[i].argvIndex = c->iColumn - (int)l->cols + 1;
        info->aConstraintUsage[i].omit = 1;
        seen++;
    }
    if (seen != l->args)
        return SQLITE_CONSTRAINT;
    info->estimatedCost = 1000;
    info->estimatedRows = 25;
    return SQLITE_OK;
}

static int on_open(sqlite3_vtab *vt, sqlite3_vtab_cursor **ret) {
    struct lat_cursor *c = calloc(1, sizeof *c);
    if (!c)
        return SQLITE_NOMEM;
    c->module = ((struct lat_vtab *)vt)->module;
    *ret = &c->base;
    return SQLITE_OK;
}

static int on_close(sqlite3_vtab_cursor *vc) {
    struct lat_cursor *c = (struct lat_cursor *)vc;
    sqlite3_finalize(c->stmt);
    free(c);
    return SQLITE_OK;
}

static int step(struct lat_cursor *c) {
    struct stage *g = c->module->stage;
    int code = sqlite3_step(c->stmt);
    c->number++;
    c->end = code == SQLITE_DONE;
    return code == SQLITE_ROW || c->end ? SQLITE_OK : fail(g, stage_failed(g, "a lateral subquery", &g->err));
}

static int on_filter(sqlite3_vtab_cursor *vc, int number, const char *text, int argc, sqlite3_value **argv) {
    struct lat_cursor *c = (struct lat_cursor *)vc;
    struct stage *g = c->module->stage;
    const struct text *t = &c->module->lateral->text;
    (void)number, (void)text;
    if (!c->stmt && sqlite3_prepare_v2(g->db, t->sql, -1, &c->stmt, NULL) != SQLITE_OK)
        return fail(g, stage_failed(g, "prepare a lateral subquery", &g->err));
    sqlite3_reset(c->stmt);
    c->number = 0;
    for (uint32_t i = 0; i < t->slots; i++)
        if (value_bind(c->stmt, (int)i + 1, &g->e->calc[t->slot[i]], VALUE_BORROWED))
            return SQLITE_NOMEM;
    for (int i = 0; i < argc; i++)
        if (sqlite3_bind_value(c->stmt, LATERAL_ARGS_FROM + i, argv[i]) != SQLITE_OK)
            return SQLITE_NOMEM;
    return step(c);
}

static int on_next(sqlite3_vtab_cursor *vc) {
    return step((struct lat_cursor *)vc);
}

static int on_eof(sqlite3_vtab_cursor *vc) {
    return ((struct lat_cursor *)vc)->end;
}

static int on_column(sqlite3_vtab_cursor *vc, sqlite3_context *ctx, int col) {
    struct lat_cursor *c = (struct lat_cursor *)vc;
    if (col >= 0 && col < (int)c->module->lateral->cols)
        sqlite3_result_value(ctx, sqlite3_column_value(c->stmt, col));
    return SQLITE_OK;
}

static int on_rowid(sqlite3_vtab_cursor *vc, sqlite3_int64 *ret) {
    *ret = ((struct lat_cursor *)vc)->number;
    return SQLITE_OK;
}

enum rc lateral_register(struct stage *g, uint32_t number, struct err *err) {
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
    char name[24];
    struct lat_module *m = arena_new(&g->e->arena, struct lat_module);
    if (!m)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    *m = (struct lat_module){g, &g->select->lateral[number]};
    snprintf(name, sizeof name, "pglat%u", number);
    int code = sqlite3_create_module_v2(g->db, name, &module, m, NULL);
    return code == SQLITE_OK ? RC_OK : stage_error(g->db, "register a lateral subquery", err);
}
