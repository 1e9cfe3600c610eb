/* SPDX-License-Identifier: Apache-2.0 */
/* pgx_sqlite.c: programs as the SQL functions pgx and pgxv, and what tablets' handles get. */
#include <stdlib.h>
#include <string.h>

#include "shard/store/ext.h"
#include "sql/functions/pgx_internal.h"

void pgx_result_err(sqlite3_context *ctx, enum rc rc, struct err *err) {
    char text[EXT_ERROR_BYTES];
    if (rc == RC_NOMEM) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (err->rc != rc)
        err_set(err, rc, "%s", rc_text(rc));
    sqlite3_result_error(ctx, text, ext_error_print(err, text));
}

static void free_program(void *p) {
    pgx_free(p);
}

static enum rc arguments(struct arena *a, int argc, sqlite3_value **argv, struct value **arg, size_t small,
                         struct err *err) {
    if ((size_t)argc > small) {
        *arg = arena_array(a, (size_t)argc, sizeof **arg);
        if (!*arg)
            return err_set(err, RC_NOMEM, "out of memory for %d arguments", argc);
    }
    for (int i = 0; i < argc; i++) {
        enum rc rc = value_from_sqlite(argv[i], &(*arg)[i]);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    return RC_OK;
}

static void run_pgx(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    struct pgx_handle *h = sqlite3_user_data(ctx);
    struct fn_env env = *h->env;
    struct value small[16], *arg = small, out;
    struct err err;
    err.rc = RC_OK;
    struct pgx *p = sqlite3_get_auxdata(ctx, 0), *loaded = NULL;
    enum rc rc = RC_OK;
    env.arena = &h->scratch;
    env.regexes = h->regexes;
    if (argc < 1)
        rc = err_set(&err, RC_INVAL, "pgx: which program?");
    if (!rc && !p) {
        rc = pgx_load(sqlite3_value_blob(argv[0]), (size_t)sqlite3_value_bytes(argv[0]), &loaded, &err);
        p = loaded;
    }
    if (!rc && pgx_args(p) > (size_t)(argc - 1))
        rc = err_set(&err, RC_INVAL, "pgx: the program wants %zu arguments, it got %d", pgx_args(p), argc - 1);
    if (!rc)
        rc = arguments(env.arena, argc - 1, argv + 1, &arg, ARRAY_LEN(small), &err);
    if (!rc)
        rc = pgx_run(p, &env, arg, &out, &err);
    if (rc)
        pgx_result_err(ctx, rc, &err);
    else
        value_result(ctx, &out);
    if (h->scratch.chunk)
        arena_reset(&h->scratch);
    if (loaded)
        sqlite3_set_auxdata(ctx, 0, loaded, free_program); /* may free it at once: not used any more */
}

static void free_handle(void *handle) {
    struct pgx_handle *h = handle;
    arena_done(&h->scratch);
    fn_regexes_free(h->regexes);
    free(h);
}

enum rc pgx_register(sqlite3 *db, const struct fn_env *env, struct err *err) {
    enum { PURE = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS };
    struct pgx_handle *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(err, RC_NOMEM, "out of memory for SQL functions");
    h->env = env;
    h->regexes = fn_regexes_new();
    arena_init(&h->scratch, FN_RESULT_BYTES_MAX + (FN_RESULT_BYTES_MAX >> 1));
    int rc = pgx_register_aggs(db, h);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function_v2(db, "pgxv", -1, SQLITE_UTF8 | SQLITE_INNOCUOUS, h, run_pgx, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        free_handle(h); /* what is registered already is never called: the handle is not used */
    else
        rc = sqlite3_create_function_v2(db, "pgx", -1, PURE, h, run_pgx, NULL, NULL, free_handle);
    if (rc == SQLITE_OK)
        return RC_OK;
    return err_set(err, RC_NOMEM, "SQLite does not take our functions: %s", sqlite3_errstr(rc));
}

bool pgx_sqlite_error(sqlite3 *db, struct err *ret) {
    return (sqlite3_errcode(db) & 0xff) == SQLITE_ERROR && ext_error_parse(sqlite3_errmsg(db), ret);
}

/* ---- tablets ------------------------------------------------------------------------------------------------------ */

struct pgx_ext {
    struct arena arena;
    struct type_session types;
    struct fn_env env;
};

struct pgx_ext *pgx_ext_new(void) {
    struct pgx_ext *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    arena_init(&x->arena, 0);
    x->types.zone = zone_fixed(&x->arena, "UTC", 0);
    x->env.types = &x->types;
    if (!x->types.zone) {
        pgx_ext_free(x);
        return NULL;
    }
    return x;
}

void pgx_ext_free(struct pgx_ext *x) {
    if (!x)
        return;
    arena_done(&x->arena);
    free(x);
}

enum rc pgx_ext_open(sqlite3 *db, void *x, struct err *err) {
    return pgx_register(db, &((struct pgx_ext *)x)->env, err);
}
