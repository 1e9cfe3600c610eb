/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual table of ground.h: each step to the next row lets the other fibers run, in the middle of SQLite; now and then it
 * waits there. */
#include "tests/unit/store/ground.h"

enum { PAUSE_ROWS = 16, PAUSE_NS_MAX = 4000000 };

struct scan {
    sqlite3_vtab base;
    sqlite3 *db;
    struct ground *g;
};

struct cursor {
    sqlite3_vtab_cursor base;
    sqlite3_stmt *rows;
    bool end;
};

static int x_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **ret, char **why) {
    (void)argc, (void)argv, (void)why;
    struct scan *s = sqlite3_malloc(sizeof *s);
    if (!s)
        return SQLITE_NOMEM;
    *s = (struct scan){.db = db, .g = aux};
    *ret = &s->base;
    return sqlite3_declare_vtab(db, "CREATE TABLE scan(id INTEGER, k INTEGER, bytes BLOB)");
}

static int x_disconnect(sqlite3_vtab *t) {
    sqlite3_free(t);
    return SQLITE_OK;
}

static int x_best_index(sqlite3_vtab *t, sqlite3_index_info *info) {
    (void)t;
    info->estimatedCost = 1000;
    return SQLITE_OK;
}

static int x_open(sqlite3_vtab *t, sqlite3_vtab_cursor **ret) {
    struct cursor *c = sqlite3_malloc(sizeof *c);
    if (!c)
        return SQLITE_NOMEM;
    *c = (struct cursor){0};
    int code =
        sqlite3_prepare_v2(((struct scan *)t)->db, "SELECT id, k, bytes FROM row ORDER BY id", -1, &c->rows, NULL);
    if (code != SQLITE_OK) {
        sqlite3_free(c);
        return code;
    }
    *ret = &c->base;
    return SQLITE_OK;
}

static int x_close(sqlite3_vtab_cursor *base) {
    struct cursor *c = (struct cursor *)base;
    sqlite3_finalize(c->rows);
    sqlite3_free(c);
    return SQLITE_OK;
}

static int next_row(struct cursor *c) {
    int code = sqlite3_step(c->rows);
    c->end = code != SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int x_next(sqlite3_vtab_cursor *base) {
    struct ground *g = ((struct scan *)base->pVtab)->g;
    uint64_t dice = env_random(reactor_env(g->r));
    int64_t pause_ns = dice % PAUSE_ROWS == 0 ? 1 + (int64_t)((dice >> 8) % PAUSE_NS_MAX) : 0;
    if ((pause_ns ? fiber_sleep(g->r, pause_ns) : fiber_yield(g->r)) != RC_OK)
        return SQLITE_INTERRUPT;
    g->yields++;
    return next_row((struct cursor *)base);
}

static int x_filter(sqlite3_vtab_cursor *base, int index, const char *text, int argc, sqlite3_value **argv) {
    (void)index, (void)text, (void)argc, (void)argv;
    sqlite3_reset(((struct cursor *)base)->rows);
    return next_row((struct cursor *)base);
}

static int x_eof(sqlite3_vtab_cursor *base) {
    return ((struct cursor *)base)->end;
}

static int x_column(sqlite3_vtab_cursor *base, sqlite3_context *to, int column) {
    sqlite3_result_value(to, sqlite3_column_value(((struct cursor *)base)->rows, column));
    return SQLITE_OK;
}

static int x_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret) {
    *ret = sqlite3_column_int64(((struct cursor *)base)->rows, 0);
    return SQLITE_OK;
}

enum rc ground_scan_add(struct ground *g, sqlite3 *db, struct err *err) {
    static const sqlite3_module module = {
        .xConnect = x_connect, /* no xCreate: the table is there by itself, under the module's name */
        .xBestIndex = x_best_index,
        .xDisconnect = x_disconnect,
        .xOpen = x_open,
        .xClose = x_close,
        .xFilter = x_filter,
        .xNext = x_next,
        .xEof = x_eof,
        .xColumn = x_column,
        .xRowid = x_rowid,
    };
    return sqlite3_create_module(db, "scan", &module, g) == SQLITE_OK ? RC_OK : err_sqlite(err, db, "module");
}
