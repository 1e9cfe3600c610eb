/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anyfn.c: the elements of an array as rows: pgany(array, element's type, its number) AS r, for c = ANY(array).
 *
 * c IN (SELECT v FROM pgany(...)) goes through a key or an index of c, on tablets as well as in the final stage, where a function
 * of c would have to see all rows. An array that is NULL gives one row of NULL: the comparison is NULL then, as it should be.
 */
#include <stdlib.h>

#include "sql/exec/exec_internal.h"
#include "sql/exec/stage.h"

enum { ANY_ARGS = 3, COL_ARGS = 1 };

struct any_cursor {
    sqlite3_vtab_cursor base;
    struct arena arena;
    struct array_elements all;
    size_t at;
};

enum rc array_elements(struct arena *a, const struct col *elem, const struct value *array, struct array_elements *ret,
                       struct err *err) {
    enum { DIMENSIONS_MAX = 6 };
    struct rd r;
    *ret = (struct array_elements){0};
    rd_init(&r, array->p, array->bytes);
    uint32_t dims = rd_u32be(&r);
    (void)rd_u32be(&r), (void)rd_u32be(&r);
    uint64_t n = dims > 0 ? 1 : 0;
    if (dims > DIMENSIONS_MAX)
        return err_set(err, RC_CORRUPT, "an array of %u dimensions", dims);
    for (uint32_t i = 0; i < dims; i++) {
        n *= rd_u32be(&r);
        (void)rd_u32be(&r);
        if (n > array->bytes)
            return err_set(err, RC_CORRUPT, "an array that is cut off");
    }
    ret->v = arena_array(a, n + 1, sizeof *ret->v);
    if (!ret->v)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (uint64_t i = 0; i < n && !r.bad; i++) {
        int32_t bytes = (int32_t)rd_u32be(&r);
        if (bytes < 0) {
            ret->nulls = true;
            continue;
        }
        const uint8_t *p = rd_bytes(&r, (size_t)bytes);
        enum rc rc = p ? type_recv(elem, p, (size_t)bytes, a, &ret->v[ret->n], err) : RC_OK;
        if (rc)
            return rc;
        ret->n += p != NULL;
    }
    return r.bad ? err_set(err, RC_CORRUPT, "an array that is cut off") : RC_OK;
}

static int on_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **ret, char **message) {
    (void)aux, (void)argc, (void)argv, (void)message;
    int code = sqlite3_declare_vtab(db, "CREATE TABLE x(v, a0 HIDDEN, a1 HIDDEN, a2 HIDDEN)");
    if (code != SQLITE_OK)
        return code;
    (void)sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    *ret = calloc(1, sizeof **ret);
    return *ret ? SQLITE_OK : SQLITE_NOMEM;
}

static int on_disconnect(sqlite3_vtab *vt) {
    free(vt);
    return SQLITE_OK;
}

/* All arguments, or this plan is none. */
static int on_best_index(sqlite3_vtab *vt, sqlite3_index_info *info) {
    int given = 0;
    (void)vt;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        if (c->iColumn < COL_ARGS || c->op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        if (!c->usable)
            return SQLITE_CONSTRAINT;
        info->aConstraintUsage[i].argvIndex = c->iColumn - COL_ARGS + 1;
        info->aConstraintUsage[i].omit = 1;
        given++;
    }
    info->estimatedCost = 10;
    info->estimatedRows = 10;
    return given == ANY_ARGS ? SQLITE_OK : SQLITE_CONSTRAINT;
}

static int on_open(sqlite3_vtab *vt, sqlite3_vtab_cursor **ret) {
    struct any_cursor *c = calloc(1, sizeof *c);
    (void)vt;
    if (!c)
        return SQLITE_NOMEM;
    arena_init(&c->arena, 0);
    *ret = &c->base;
    return SQLITE_OK;
}

static int on_close(sqlite3_vtab_cursor *vc) {
    struct any_cursor *c = (struct any_cursor *)vc;
    arena_done(&c->arena);
    free(c);
    return SQLITE_OK;
}

static int fail(sqlite3_vtab_cursor *vc, enum rc rc, const struct err *err) {
    char text[EXT_ERROR_BYTES];
    if (rc == RC_NOMEM)
        return SQLITE_NOMEM;
    (void)ext_error_print(err, text);
    sqlite3_free(vc->pVtab->zErrMsg);
    vc->pVtab->zErrMsg = sqlite3_mprintf("%s", text);
    return SQLITE_ERROR;
}

static int on_filter(sqlite3_vtab_cursor *vc, int number, const char *text, int argc, sqlite3_value **argv) {
    struct any_cursor *c = (struct any_cursor *)vc;
    struct value array;
    struct err err = {0};
    (void)number, (void)text;
    arena_reset(&c->arena);
    c->all = (struct array_elements){0};
    c->at = 0;
    if (argc != ANY_ARGS || value_from_sqlite(argv[0], &array) || value_copy(&c->arena, &array))
        return SQLITE_NOMEM;
    c->all.nulls = array.kind == VALUE_NULL;
    if (array.kind != VALUE_BLOB)
        return SQLITE_OK;
    struct col elem = {.type = (uint8_t)sqlite3_value_int(argv[1]),
                       .typmod = COL_TYPMOD_NONE,
                       .type_id = (uint32_t)sqlite3_value_int64(argv[2])};
    enum rc rc = array_elements(&c->arena, &elem, &array, &c->all, &err);
    return rc ? fail(vc, rc, &err) : SQLITE_OK;
}

static int on_next(sqlite3_vtab_cursor *vc) {
    ((struct any_cursor *)vc)->at++;
    return SQLITE_OK;
}

/* NULLs count once, behind the others. */
static int on_eof(sqlite3_vtab_cursor *vc) {
    const struct any_cursor *c = (struct any_cursor *)vc;
    return c->at >= c->all.n + c->all.nulls;
}

static int on_column(sqlite3_vtab_cursor *vc, sqlite3_context *ctx, int col) {
    struct any_cursor *c = (struct any_cursor *)vc;
    if (col == 0 && c->at < c->all.n)
        value_result(ctx, &c->all.v[c->at]);
    return SQLITE_OK;
}

static int on_rowid(sqlite3_vtab_cursor *vc, sqlite3_int64 *ret) {
    *ret = (sqlite3_int64)((struct any_cursor *)vc)->at;
    return SQLITE_OK;
}

enum rc anyfn_register(sqlite3 *db, struct err *err) {
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
    int code = sqlite3_create_module_v2(db, "pgany", &module, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : stage_error(db, "register pgany", err);
}
