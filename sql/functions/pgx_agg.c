/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgx_agg.c: aggregates as the SQL functions pgagg and pgwin.
 *
 * Spec, integers little-endian:
 *
 *     0  1  version (1)
 *     1  1  1: DISTINCT
 *     2  2  arguments
 *     4  2  sort keys
 *     6     a type (pgx_internal.h) for each argument and for the result, then for each key a type and
 *           a byte: 1 descending, 2 NULLs first
 *
 * Rows go straight into the aggregate's state unless they must be sorted (ORDER BY, DISTINCT, which PostgreSQL also does by
 * sorting) or taken out again (a window's frame moves on and the aggregate has no inverse): then they are kept, and the state is
 * made of them when it is asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/functions/pgx_internal.h"

enum {
    SPEC_VERSION = 1,
    SPEC_HEAD = 6,
    SPEC_ARGS_MAX = FN_ARGS_MAX,
    STATE_INLINE = 160,
    AGG_BYTES_MAX = 512 << 20,
};

struct row {
    struct row *next;
    struct value v[]; /* arguments, then keys */
};

struct agg {
    enum rc rc; /* it has failed: nothing is done any more */
    bool begun, keep, dirty;
    enum pgx_mode mode;
    const struct fn *fn;
    struct pgx_agg spec;
    uint8_t *want;
    struct arena arena; /* what the state points to */
    void *state;
    _Alignas(16) uint8_t small[STATE_INLINE];
    struct row *first, **last;
    size_t rows;
};

/* ---- the spec ----------------------------------------------------------------------------------------------------- */

enum rc pgx_agg_spec(struct arena *a, const struct pgx_agg *agg, struct value *ret) {
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_putc(&b, SPEC_VERSION);
    buf_putc(&b, agg->distinct);
    buf_put_u16le(&b, (uint16_t)agg->args);
    buf_put_u16le(&b, (uint16_t)agg->orders);
    for (size_t i = 0; i < agg->args; i++)
        pgx_put_col(&b, &agg->call.arg[i]);
    pgx_put_col(&b, &agg->call.ret);
    for (size_t i = 0; i < agg->orders; i++) {
        pgx_put_col(&b, &agg->order[i].type);
        buf_putc(&b, (uint8_t)(agg->order[i].desc | agg->order[i].nulls_first << 1));
    }
    const void *p = buf_rc(&b) ? NULL : arena_copy(a, b.data, b.len);
    if (p)
        *ret = value_blob(p, b.len);
    enum rc rc = buf_rc(&b) ? buf_rc(&b) : p ? RC_OK : RC_NOMEM;
    buf_done(&b);
    return rc;
}

enum rc pgx_types(struct arena *a, const struct fn_call *call, size_t args, struct value *ret) {
    struct pgx_agg agg = {.call = *call, .args = args};
    return pgx_agg_spec(a, &agg, ret);
}

static enum rc load_spec(struct agg *g, const void *p, size_t n, struct err *err) {
    struct rd r;
    rd_init(&r, p ? p : "", n);
    uint8_t version = rd_u8(&r);
    g->spec.distinct = rd_u8(&r) & 1;
    g->spec.args = rd_u16le(&r);
    g->spec.orders = rd_u16le(&r);
    if (r.bad || g->spec.args > SPEC_ARGS_MAX || g->spec.orders > SPEC_ARGS_MAX)
        return err_set(err, RC_CORRUPT, "an aggregate's types are damaged");
    if (version != SPEC_VERSION)
        return err_set(err, RC_UNSUPPORTED, "an aggregate's types of version %u; this one knows %d", version,
                       SPEC_VERSION);
    struct col *types = arena_array(&g->arena, g->spec.args + 1, sizeof *types);
    struct pgx_order *order = arena_array(&g->arena, g->spec.orders, sizeof *order);
    g->want = arena_alloc(&g->arena, g->spec.args + g->spec.orders);
    if (!types || !order || !g->want)
        return RC_NOMEM;
    enum rc rc = RC_OK;
    for (size_t i = 0; i <= g->spec.args && !rc; i++) {
        rc = pgx_load_col(&r, &types[i], err);
        if (!rc && i < g->spec.args)
            g->want[i] = (uint8_t)pgx_want_of(&types[i], true);
    }
    for (size_t i = 0; i < g->spec.orders && !rc; i++) {
        rc = pgx_load_col(&r, &order[i].type, err);
        uint8_t flags = rd_u8(&r);
        order[i].desc = flags & 1;
        order[i].nulls_first = flags & 2;
        if (!rc)
            g->want[g->spec.args + i] = (uint8_t)pgx_want_of(&order[i].type, true);
    }
    if (rc)
        return rc;
    g->spec.call = (struct fn_call){.arg = types, .ret = types[g->spec.args]};
    g->spec.order = order;
    return pgx_check_types(g->fn, &g->spec.call, g->spec.args, err);
}

/* ---- the state ---------------------------------------------------------------------------------------------------- */

static struct fn_env env_with(const struct pgx_handle *h, struct arena *a) {
    struct fn_env env = *h->env;
    env.arena = a;
    env.regexes = h->regexes;
    return env;
}

static enum rc begin(struct agg *g, sqlite3_value **argv, int argc, bool window, struct err *err) {
    if (argc < 3)
        return err_set(err, RC_INVAL, "pgagg: which aggregate?");
    g->last = &g->first;
    arena_init(&g->arena, AGG_BYTES_MAX);
    g->begun = true;
    g->fn = fn_by_id((uint32_t)sqlite3_value_int64(argv[0]));
    if (!g->fn || g->fn->kind != FN_AGGREGATE)
        return err_set(err, RC_UNSUPPORTED, "aggregate %lld is not known in this version",
                       (long long)sqlite3_value_int64(argv[0]));
    int mode = sqlite3_value_int(argv[2]);
    if (mode < PGX_WHOLE || mode > PGX_MERGE_PART || (window && mode != PGX_WHOLE) ||
        (mode != PGX_WHOLE && !g->fn->agg->merge))
        return err_set(err, RC_INVAL, "aggregate %s: mode %d", g->fn->name, mode);
    g->mode = (enum pgx_mode)mode;
    const void *spec = sqlite3_value_blob(argv[1]);
    enum rc rc = load_spec(g, spec, (size_t)sqlite3_value_bytes(argv[1]), err);
    if (rc)
        return rc;
    bool merges = g->mode == PGX_MERGE || g->mode == PGX_MERGE_PART, sorts = g->spec.distinct || g->spec.orders;
    if ((size_t)(argc - 3) != (merges ? 1 : g->spec.args + g->spec.orders) || (g->mode != PGX_WHOLE && sorts))
        return err_set(err, RC_INVAL, "aggregate %s with %d arguments in mode %d", g->fn->name, argc - 3, mode);
    g->keep = sorts || (window && !g->fn->agg->inverse);
    g->dirty = sorts;
    g->state = g->small;
    if (g->fn->agg->state_bytes > sizeof g->small) {
        g->state = arena_zalloc(&g->arena, g->fn->agg->state_bytes);
        rc = g->state ? RC_OK : RC_NOMEM;
    }
    return rc;
}

static bool skipped(const struct agg *g, const struct value *arg) {
    for (size_t i = 0; i < g->spec.args && g->fn->strict; i++)
        if (arg[i].kind == VALUE_NULL)
            return true;
    return false;
}

static enum rc check(const struct agg *g, const struct value *v, size_t n, struct err *err) {
    for (size_t i = 0; i < n; i++)
        if (v[i].kind != VALUE_NULL && !pgx_fits((enum pgx_want)g->want[i], &v[i]))
            return err_set(err, RC_CORRUPT, "aggregate %s was given %s where its type says otherwise", g->fn->name,
                           value_kind_name(v[i].kind));
    return RC_OK;
}

static enum rc keep_row(struct agg *g, const struct value *v, size_t n) {
    struct row *r = arena_alloc(&g->arena, sizeof *r + n * sizeof *v);
    if (!r)
        return RC_NOMEM;
    r->next = NULL;
    for (size_t i = 0; i < n; i++) {
        r->v[i] = v[i];
        if (value_copy(&g->arena, &r->v[i]))
            return RC_NOMEM;
    }
    *g->last = r;
    g->last = &r->next;
    g->rows++;
    return RC_OK;
}

static enum rc step(struct agg *g, struct pgx_handle *h, const struct value *v, size_t n, struct err *err) {
    struct fn_env env = env_with(h, &g->arena);
    if (g->mode == PGX_MERGE || g->mode == PGX_MERGE_PART)
        return v[0].kind == VALUE_NULL ? RC_OK : g->fn->agg->merge(&env, &g->spec.call, g->state, &v[0], err);
    enum rc rc = check(g, v, n, err);
    if (!rc && g->keep)
        rc = keep_row(g, v, n);
    if (rc || g->dirty || skipped(g, v))
        return rc;
    return g->fn->agg->step(&env, &g->spec.call, g->state, v, g->spec.args, err);
}

/* ---- sorting ------------------------------------------------------------------------------------------------------ */

static int compare_key(const struct col *type, bool desc, bool nulls_first, const struct value *a,
                       const struct value *b) {
    bool x = a->kind == VALUE_NULL, y = b->kind == VALUE_NULL;
    if (x || y)
        return x == y ? 0 : x == nulls_first ? -1 : 1;
    int c = fn_value_compare(type, a, b);
    return desc ? -c : c;
}

/* By the keys; DISTINCT: then by the arguments. */
static int compare_rows(const struct agg *g, const struct row *a, const struct row *b) {
    int c = 0;
    for (size_t i = 0; i < g->spec.orders && !c; i++) {
        const struct pgx_order *o = &g->spec.order[i];
        c = compare_key(&o->type, o->desc, o->nulls_first, &a->v[g->spec.args + i], &b->v[g->spec.args + i]);
    }
    for (size_t i = 0; i < g->spec.args && !c && g->spec.distinct; i++)
        c = compare_key(&g->spec.call.arg[i], false, false, &a->v[i], &b->v[i]);
    return c;
}

/* Merges runs that double in length: stable, in place, without recursion. */
static void sort_rows(struct agg *g) {
    for (size_t run = 1; run < g->rows; run *= 2) {
        struct row *left = g->first, **to = &g->first;
        while (left) {
            struct row *right = left;
            size_t n = 0, m = run;
            for (; n < run && right; n++)
                right = right->next;
            while (n || (m && right)) {
                bool take_left = n && !(m && right && compare_rows(g, left, right) > 0);
                struct row **from = take_left ? &left : &right;
                *to = *from;
                *from = (*from)->next;
                to = &(*to)->next;
                n -= take_left;
                m -= !take_left;
            }
            left = right;
        }
        *to = NULL;
        g->last = to;
    }
}

/* The state anew, of the rows that are kept. */
static enum rc rebuild(struct agg *g, struct pgx_handle *h, struct err *err) {
    struct fn_env env = env_with(h, &g->arena);
    const struct row *before = NULL;
    if (g->spec.distinct || g->spec.orders)
        sort_rows(g);
    memset(g->state, 0, g->fn->agg->state_bytes);
    for (const struct row *r = g->first; r; r = r->next) {
        bool again = g->spec.distinct && before && compare_rows(g, before, r) == 0;
        before = r;
        if (again || skipped(g, r->v))
            continue;
        enum rc rc = g->fn->agg->step(&env, &g->spec.call, g->state, r->v, g->spec.args, err);
        if (rc)
            return rc;
    }
    g->dirty = g->spec.distinct || g->spec.orders;
    return RC_OK;
}

/* ---- in SQLite ---------------------------------------------------------------------------------------------------- */

/* SQLite's own memory for it is not aligned well enough, so that holds a pointer. */
static struct agg *of(sqlite3_context *ctx, bool make) {
    struct agg **at = sqlite3_aggregate_context(ctx, make ? sizeof *at : 0);
    if (at && !*at && make)
        *at = calloc(1, sizeof **at);
    return at ? *at : NULL;
}

static void on_step(sqlite3_context *ctx, int argc, sqlite3_value **argv, bool window) {
    struct pgx_handle *h = sqlite3_user_data(ctx);
    struct agg *g = of(ctx, true);
    struct value small[8], *arg = small;
    struct err err;
    err.rc = RC_OK;
    if (!g) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (g->rc)
        return;
    enum rc rc = g->begun ? RC_OK : begin(g, argv, argc, window, &err);
    size_t n = argc > 3 ? (size_t)(argc - 3) : 0;
    if (!rc && n > ARRAY_LEN(small)) {
        arg = arena_array(&h->scratch, n, sizeof *arg);
        rc = arg ? RC_OK : RC_NOMEM;
    }
    for (size_t i = 0; i < n && !rc; i++)
        rc = value_from_sqlite(argv[i + 3], &arg[i]);
    if (!rc)
        rc = step(g, h, arg, n, &err);
    if (arg != small)
        arena_reset(&h->scratch);
    g->rc = rc;
    if (rc)
        pgx_result_err(ctx, rc, &err);
}

static void agg_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    on_step(ctx, argc, argv, false);
}

static void win_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    on_step(ctx, argc, argv, true);
}

/* The result of what came so far. */
static void give(sqlite3_context *ctx, struct agg *g) {
    struct pgx_handle *h = sqlite3_user_data(ctx);
    struct err err;
    err.rc = RC_OK;
    struct value out = value_null();
    if (!g || !g->begun || g->rc) {
        sqlite3_result_null(ctx); /* no row at all; or the error has been told */
        return;
    }
    struct fn_env env = env_with(h, &h->scratch);
    enum rc rc = g->dirty ? rebuild(g, h, &err) : RC_OK;
    if (!rc && (g->mode == PGX_PART || g->mode == PGX_MERGE_PART))
        rc = g->fn->agg->save(&env, &g->spec.call, g->state, &out, &err);
    else if (!rc)
        rc = g->fn->agg->final(&env, &g->spec.call, g->state, &out, &err);
    if (rc)
        pgx_result_err(ctx, rc, &err);
    else
        value_result(ctx, &out);
    if (h->scratch.chunk)
        arena_reset(&h->scratch);
}

static void agg_value(sqlite3_context *ctx) {
    give(ctx, of(ctx, false));
}

static void agg_final(sqlite3_context *ctx) {
    struct agg *g = of(ctx, false);
    give(ctx, g);
    if (g && g->begun)
        arena_done(&g->arena);
    free(g);
}

/* The oldest row leaves the frame. */
static void win_inverse(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    struct pgx_handle *h = sqlite3_user_data(ctx);
    struct agg *g = of(ctx, false);
    struct value arg[SPEC_ARGS_MAX];
    struct err err;
    err.rc = RC_OK;
    enum rc rc = RC_OK;
    if (!g || !g->begun || g->rc)
        return;
    if (g->keep) {
        CHECK(g->first);
        g->first = g->first->next; /* its bytes stay in the arena until the end of the partition */
        g->rows--;
        if (!g->first)
            g->last = &g->first;
        g->dirty = true;
        return;
    }
    for (int i = 0; i < argc - 3 && !rc; i++)
        rc = value_from_sqlite(argv[i + 3], &arg[i]);
    struct fn_env env = env_with(h, &g->arena);
    if (!rc && !skipped(g, arg))
        rc = g->fn->agg->inverse(&env, &g->spec.call, g->state, arg, g->spec.args, &err);
    g->rc = rc;
    if (rc)
        pgx_result_err(ctx, rc, &err);
}

int pgx_register_aggs(sqlite3 *db, struct pgx_handle *h) {
    int rc =
        sqlite3_create_function_v2(db, "pgagg", -1, SQLITE_UTF8 | SQLITE_INNOCUOUS, h, NULL, agg_step, agg_final, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_window_function(db, "pgwin", -1, SQLITE_UTF8 | SQLITE_INNOCUOUS, h, win_step, agg_final,
                                            agg_value, win_inverse, NULL);
    return rc;
}
