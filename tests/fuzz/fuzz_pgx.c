/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pgx.c: the bytes are a program; or they choose a function of the table and arguments of the storage classes that its types
 * have, with any contents. What is loaded runs to an end within its memory and gives the same result twice.
 */
#include <string.h>

#include "sql/functions/pgx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 4 << 20, ARGS_MAX = 8, ROWS_MAX = 50 };

static struct value text_or_blob(struct rd *r, bool text) {
    size_t n = rd_u8(r) % 24;
    if (n > rd_left(r))
        n = rd_left(r);
    const uint8_t *p = rd_bytes(r, n);
    return text ? value_text(p, n) : value_blob(p, n);
}

static struct value number_text(struct rd *r, struct arena *a) {
    static const char *const some[] = {"0",   "1.5", "-0.001", "NaN", "Infinity", "123456789012345678901234567890",
                                       "1e5", "x"};
    if (rd_u8(r) % 2) {
        const char *t = some[rd_u8(r) % ARRAY_LEN(some)];
        return value_text(t, strlen(t));
    }
    const char *t = arena_printf(a, "%lld.%u", (long long)(int32_t)rd_u32le(r), rd_u8(r));
    return t ? value_text(t, strlen(t)) : value_null();
}

static struct value any_array(struct rd *r, struct arena *a, const struct col *c) {
    struct col elem = {.type = c->elem, .typmod = COL_TYPMOD_NONE};
    struct value v[4], ret;
    size_t n = rd_u8(r) % 5;
    if (rd_u8(r) % 4 == 0)
        return text_or_blob(r, false);
    for (size_t i = 0; i < n; i++)
        v[i] = rd_u8(r) % 4 == 0 ? value_null() : value_int((int8_t)rd_u8(r));
    if (elem.type == COL_TEXT)
        for (size_t i = 0; i < n; i++)
            v[i] = text_or_blob(r, true);
    return fn_array_of(a, &elem, v, n, &ret, NULL) ? value_null() : ret;
}

static struct value any_value(struct rd *r, struct arena *a, const struct col *c) {
    if (rd_u8(r) % 8 == 0)
        return value_null();
    switch (c->type) {
    case COL_BOOL:
        return value_int(rd_u8(r) & 1);
    case COL_FLOAT4:
    case COL_FLOAT8: {
        uint64_t u = rd_u64le(r);
        double d;
        memcpy(&d, &u, sizeof d);
        return value_float(c->type == COL_FLOAT4 ? (double)(float)d : d);
    }
    case COL_NUMERIC:
        return number_text(r, a);
    case COL_TEXT:
    case COL_VARCHAR:
    case COL_CHAR:
    case COL_JSON:
        return text_or_blob(r, true);
    case COL_UUID:
    case COL_INTERVAL: {
        const uint8_t *p = rd_bytes(r, 16);
        return p ? value_blob(p, 16) : value_null();
    }
    case COL_ARRAY:
        return any_array(r, a, c);
    case COL_BYTEA:
    case COL_JSONB:
        return text_or_blob(r, false);
    default:
        return value_int(rd_u8(r) % 2 ? (int8_t)rd_u8(r) : (int64_t)rd_u64le(r));
    }
}

static struct col any_type(struct rd *r, uint16_t declared, const struct col *element) {
    switch (declared) {
    case FN_ANYELEMENT:
    case FN_ANYCOMPATIBLE:
    case FN_ANYNONARRAY:
        return *element;
    case FN_ANYARRAY:
    case FN_ANYCOMPATIBLEARRAY:
        return col_array_of(*element);
    case FN_ANY:
        return col_of((enum col_type)(1 + rd_u8(r) % COL_UUID));
    default:
        break;
    }
    if (declared >= FN_ANY && declared <= UINT8_MAX)
        return col_of(declared == FN_NAME ? COL_TEXT : COL_OID);
    struct col c = {.type = (uint8_t)declared, .elem = (uint8_t)(declared >> 8), .typmod = COL_TYPMOD_NONE};
    return c;
}

static void rows(const struct fn_env *env, const struct fn *f, const struct fn_call *call, const struct value *arg,
                 size_t n) {
    struct fn_rows *r;
    bool end = false;
    if (fn_set_open(env, f, call, arg, n, &r, NULL))
        return;
    for (int i = 0; i < ROWS_MAX && !end; i++) {
        struct value v;
        if (fn_set_next(r, env, &v, &end, NULL))
            break;
    }
    fn_set_close(r);
}

/* A call of one function, as a program. */
static const void *one_call(struct rd *r, struct arena *a, const struct fn_env *env, size_t *ret_n) {
    const struct fn *f = fn_at(rd_u16le(r) % fn_count());
    struct col element = col_of(rd_u8(r) % 2 ? COL_TEXT : COL_INT4), types[ARGS_MAX];
    struct value v[ARGS_MAX];
    size_t n = f->variadic ? f->args + rd_u8(r) % 2u : f->args;
    for (size_t i = 0; i < n; i++) {
        types[i] = any_type(r, fn_arg_type(f, i), &element);
        v[i] = any_value(r, a, &types[i]);
    }
    struct fn_call call = {.arg = types, .ret = any_type(r, f->ret, &element)};
    if (f->kind == FN_SET)
        rows(env, f, &call, v, n);
    if (f->kind != FN_SCALAR || f->session)
        return NULL;
    struct pgx_builder *b = pgx_builder_new(a);
    const void *p = NULL;
    if (!b)
        return NULL;
    uint16_t first = pgx_reg(b, (uint16_t)(n + 1));
    for (size_t i = 0; i < n; i++)
        pgx_const(b, (uint16_t)(first + i), &v[i]);
    pgx_call(b, first, f, first, (uint16_t)n, &call);
    pgx_return(b, first);
    return pgx_finish(b, &p, ret_n, NULL) ? NULL : p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t array[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0,
                                    0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0,  0, 7};
    struct value arg[ARGS_MAX] = {
        value_int(12345), value_text("1.5", 3), value_null(),         value_int(-1), value_blob(array, sizeof array),
        value_float(2.5), value_text("a%b", 3), value_blob(array, 16)};
    struct arena made, a[2];
    struct pgx *p = NULL;
    struct rd r;
    if (size < 2 || size > 4096)
        return 0;
    arena_init(&made, MEMORY);
    struct type_session types = {.zone = zone_fixed(&made, "UTC", 0)};
    const void *bytes = data + 1;
    size_t n = size - 1;
    rd_init(&r, data + 1, size - 1);
    if (data[0] % 4) {
        struct fn_env env = {.arena = &made, .types = &types};
        bytes = one_call(&r, &made, &env, &n);
    }
    if (bytes && pgx_load(bytes, n, &p, NULL) == RC_OK && pgx_args(p) <= ARRAY_LEN(arg)) {
        struct value v[2];
        enum rc rc[2];
        for (int i = 0; i < 2; i++) {
            arena_init(&a[i], MEMORY);
            struct fn_env env = {.arena = &a[i], .types = &types};
            rc[i] = pgx_run(p, &env, arg, &v[i], NULL);
        }
        CHECK(rc[0] == rc[1]);
        if (!rc[0])
            CHECK(value_same(&v[0], &v[1]));
        arena_done(&a[0]);
        arena_done(&a[1]);
    }
    pgx_free(p);
    arena_done(&made);
    return 0;
}
