/* SPDX-License-Identifier: Apache-2.0 */
/* fn_agg.c: count, min, max, the ands and ors, string_agg, array_agg; sums are in fn_agg_num.c and fn_agg_float.c. */
#include "sql/functions/fn_agg.h"

#include <string.h>

#include "sql/functions/fn_time.h"

enum rc fn_bad_part(struct err *err) {
    return err_set(err, RC_CORRUPT, "a part of an aggregate is damaged");
}

/* ---- count ------------------------------------------------------------------------------------------------------------ */

FN_AGG_STEP(count_step) {
    (void)env, (void)call, (void)arg, (void)args, (void)err;
    ++*(int64_t *)state;
    return RC_OK;
}

FN_AGG_STEP(count_inverse) {
    (void)env, (void)call, (void)arg, (void)args, (void)err;
    --*(int64_t *)state;
    return RC_OK;
}

FN_AGG_FINAL(count_final) {
    (void)env, (void)call, (void)err;
    *ret = value_int(*(int64_t *)state);
    return RC_OK;
}

FN_AGG_MERGE(count_merge) {
    (void)env, (void)call;
    int64_t *n = state;
    return part->kind != VALUE_INT || __builtin_add_overflow(*n, part->i, n) ? fn_bad_part(err) : RC_OK;
}

static const struct fn_agg count = {sizeof(int64_t), count_step, count_inverse, count_final, count_final, count_merge};

/* ---- min, max ---------------------------------------------------------------------------------------------------------- */

struct best {
    struct value v;
    char *room;
    uint32_t cap;
};

static enum rc keep(const struct fn_env *env, struct best *b, const struct value *v, struct err *err) {
    if (v->kind != VALUE_TEXT && v->kind != VALUE_BLOB) {
        b->v = *v;
        return RC_OK;
    }
    if (v->bytes > b->cap || !b->room) {
        b->cap = v->bytes < 32 ? 64 : v->bytes * 2;
        b->room = arena_alloc(env->arena, b->cap);
        if (!b->room)
            return fn_no_memory(err);
    }
    memcpy(b->room, v->p, v->bytes);
    b->v = *v;
    b->v.p = b->room;
    return RC_OK;
}

/* Of equals the last: 1.00 after 1.0. */
static enum rc better(const struct fn_env *env, const struct fn_call *call, void *state, const struct value *v,
                      int sign, struct err *err) {
    struct best *b = state;
    if (b->v.kind != VALUE_NULL && fn_value_compare(&call->arg[0], v, &b->v) * sign < 0)
        return RC_OK;
    return keep(env, b, v, err);
}

FN_AGG_STEP(max_step) {
    (void)args;
    return better(env, call, state, arg, 1, err);
}

FN_AGG_STEP(min_step) {
    (void)args;
    return better(env, call, state, arg, -1, err);
}

/* numeric(10,2) goes in as an integer and comes out as what call->ret stores. */
FN_AGG_FINAL(best_final) {
    const struct best *b = state;
    const struct col *from = &call->arg[0];
    if (b->v.kind == VALUE_NULL || from->type != COL_NUMERIC || from->typmod == call->ret.typmod) {
        *ret = b->v;
        return RC_OK;
    }
    struct dec d;
    dec_init(&d);
    enum rc rc = dec_from_value(&d, from, &b->v, err);
    if (!rc)
        rc = dec_to_value(&d, &call->ret, env->arena, ret, err);
    dec_done(&d);
    return rc;
}

FN_AGG_FINAL(best_save) {
    (void)env, (void)call, (void)err;
    *ret = ((const struct best *)state)->v;
    return RC_OK;
}

static bool fits(const struct fn_call *call, const struct value *part) {
    return col_check(&call->arg[0], part, NULL) == RC_OK;
}

FN_AGG_MERGE(max_merge) {
    return fits(call, part) ? better(env, call, state, part, 1, err) : fn_bad_part(err);
}

FN_AGG_MERGE(min_merge) {
    return fits(call, part) ? better(env, call, state, part, -1, err) : fn_bad_part(err);
}

static const struct fn_agg max = {sizeof(struct best), max_step, NULL, best_final, best_save, max_merge};
static const struct fn_agg min = {sizeof(struct best), min_step, NULL, best_final, best_save, min_merge};

/* ---- intervals ---------------------------------------------------------------------------------------------------------- */

struct spans {
    int64_t n;
    struct interval sum;
};

FN_AGG_STEP(spans_step) {
    struct spans *s = state;
    struct interval i = interval_load(arg->p);
    (void)env, (void)call, (void)args;
    s->n++;
    return fn_interval_add(&s->sum, &i, &s->sum, err);
}

FN_AGG_FINAL(spans_sum) {
    const struct spans *s = state;
    (void)call;
    return s->n ? fn_give_interval(env, &s->sum, ret, err) : RC_OK;
}

FN_AGG_FINAL(spans_avg) {
    const struct spans *s = state;
    struct interval i;
    (void)call;
    if (!s->n)
        return RC_OK;
    enum rc rc = fn_interval_div(&s->sum, (double)s->n, &i, err);
    return rc ? rc : fn_give_interval(env, &i, ret, err);
}

/* n (8), the sum as it is stored */
FN_AGG_FINAL(spans_save) {
    const struct spans *s = state;
    uint8_t sum[INTERVAL_BYTES];
    struct buf b;
    (void)call;
    fn_buf(&b);
    interval_store(&s->sum, sum);
    buf_put_u64le(&b, (uint64_t)s->n);
    buf_put(&b, sum, sizeof sum);
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

FN_AGG_MERGE(spans_merge) {
    struct spans *s = state;
    (void)env, (void)call;
    if (part->kind != VALUE_BLOB || part->bytes != 8 + INTERVAL_BYTES)
        return fn_bad_part(err);
    int64_t n = (int64_t)get_u64le(part->p);
    struct interval i = interval_load((const uint8_t *)part->p + 8);
    if (n < 0 || __builtin_add_overflow(s->n, n, &s->n))
        return fn_bad_part(err);
    return fn_interval_add(&s->sum, &i, &s->sum, err);
}

static const struct fn_agg interval_sum = {sizeof(struct spans), spans_step, NULL, spans_sum, spans_save, spans_merge};
static const struct fn_agg interval_avg = {sizeof(struct spans), spans_step, NULL, spans_avg, spans_save, spans_merge};

/* ---- and, or ----------------------------------------------------------------------------------------------------------- */

struct tally {
    int64_t n, trues;
};

FN_AGG_STEP(tally_step) {
    struct tally *t = state;
    (void)env, (void)call, (void)args, (void)err;
    t->n++;
    t->trues += arg->i;
    return RC_OK;
}

FN_AGG_STEP(tally_inverse) {
    struct tally *t = state;
    (void)env, (void)call, (void)args, (void)err;
    t->n--;
    t->trues -= arg->i;
    return RC_OK;
}

FN_AGG_FINAL(tally_and) {
    const struct tally *t = state;
    (void)env, (void)call, (void)err;
    *ret = t->n ? value_int(t->trues == t->n) : value_null();
    return RC_OK;
}

FN_AGG_FINAL(tally_or) {
    const struct tally *t = state;
    (void)env, (void)call, (void)err;
    *ret = t->n ? value_int(t->trues > 0) : value_null();
    return RC_OK;
}

/* A part is as good as a row. */
FN_AGG_MERGE(tally_merge) {
    if (part->kind != VALUE_INT || (uint64_t)part->i > 1)
        return fn_bad_part(err);
    return tally_step(env, call, state, part, 1, err);
}

static const struct fn_agg bool_and = {sizeof(struct tally), tally_step, tally_inverse, tally_and, tally_and,
                                       tally_merge};
static const struct fn_agg bool_or = {sizeof(struct tally), tally_step, tally_inverse, tally_or, tally_or, tally_merge};

struct bits {
    bool any;
    int64_t v;
};

#define BITS(name_, op_)                                                                                               \
    FN_AGG_STEP(name_##_step) {                                                                                        \
        struct bits *b = state;                                                                                        \
        (void)env, (void)call, (void)args, (void)err;                                                                  \
        b->v = b->any ? b->v op_ arg->i : arg->i;                                                                      \
        b->any = true;                                                                                                 \
        return RC_OK;                                                                                                  \
    }                                                                                                                  \
    FN_AGG_MERGE(name_##_merge) {                                                                                      \
        return part->kind == VALUE_INT ? name_##_step(env, call, state, part, 1, err) : fn_bad_part(err);              \
    }
BITS(bit_and, &)
BITS(bit_or, |)
BITS(bit_xor, ^)

FN_AGG_FINAL(bits_final) {
    const struct bits *b = state;
    (void)env, (void)call, (void)err;
    *ret = b->any ? value_int(b->v) : value_null();
    return RC_OK;
}

static const struct fn_agg bit_and = {sizeof(struct bits), bit_and_step, NULL, bits_final, bits_final, bit_and_merge};
static const struct fn_agg bit_or = {sizeof(struct bits), bit_or_step, NULL, bits_final, bits_final, bit_or_merge};
static const struct fn_agg bit_xor = {sizeof(struct bits), bit_xor_step, NULL, bits_final, bits_final, bit_xor_merge};

/* ---- collecting: string_agg, array_agg ----------------------------------------------------------------------------------- */

struct pile {
    bool any, nulls;
    uint8_t *p;
    size_t len, cap;
    int64_t n;
    size_t skip; /* string_agg: of the first delimiter */
    struct fn_shape shape;
};

static enum rc pile_put(const struct fn_env *env, struct pile *s, const void *p, size_t n, struct err *err) {
    if (s->len + n > FN_RESULT_BYTES_MAX)
        return err_sql(err, "54000", "an aggregate's result is longer than %d bytes", FN_RESULT_BYTES_MAX);
    if (s->len + n > s->cap) {
        size_t cap = (s->len + n) * 2;
        uint8_t *to = arena_alloc(env->arena, cap);
        if (!to)
            return fn_no_memory(err);
        if (s->len)
            memcpy(to, s->p, s->len);
        s->p = to;
        s->cap = cap;
    }
    if (n)
        memcpy(s->p + s->len, p, n);
    s->len += n;
    return RC_OK;
}

/* NULL texts do not count; each but the first brings its delimiter along. */
FN_AGG_STEP(string_step) {
    struct pile *s = state;
    (void)call, (void)args;
    if (arg[0].kind == VALUE_NULL)
        return RC_OK;
    enum rc rc = arg[1].kind == VALUE_NULL ? RC_OK : pile_put(env, s, arg[1].p, arg[1].bytes, err);
    if (!s->any)
        s->skip = s->len;
    s->any = true;
    return rc ? rc : pile_put(env, s, arg[0].p, arg[0].bytes, err);
}

FN_AGG_FINAL(string_final) {
    const struct pile *s = state;
    (void)env, (void)err;
    if (s->any && call->arg[0].type == COL_BYTEA)
        *ret = value_blob(s->p + s->skip, s->len - s->skip);
    else if (s->any)
        *ret = value_text(s->p ? s->p + s->skip : (const uint8_t *)"", s->len - s->skip);
    return RC_OK;
}

FN_AGG_FINAL(string_save) {
    const struct pile *s = state;
    struct buf b;
    (void)call;
    if (!s->any)
        return RC_OK;
    fn_buf(&b);
    buf_put_u32le(&b, (uint32_t)s->skip);
    buf_put(&b, s->p, s->len);
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

FN_AGG_MERGE(string_merge) {
    struct pile *s = state;
    struct rd r;
    (void)call;
    if (part->kind != VALUE_BLOB)
        return fn_bad_part(err);
    rd_init(&r, part->p, part->bytes);
    uint32_t skip = rd_u32le(&r);
    if (r.bad || skip > rd_left(&r))
        return fn_bad_part(err);
    if (!s->any)
        s->skip = skip;
    s->any = true;
    return pile_put(env, s, r.at, rd_left(&r), err);
}

static const struct fn_agg string_agg = {sizeof(struct pile), string_step, NULL,
                                         string_final,        string_save, string_merge};

/* Elements as an array has them, NULLs too. */
FN_AGG_STEP(array_step) {
    struct pile *s = state;
    struct buf b;
    (void)args;
    struct col elem = call->arg[0];
    struct value v = *arg;
    enum rc rc = RC_OK;
    if (s->n >= FN_ELEMENTS_MAX)
        return err_sql(err, "54000", "array size exceeds the maximum allowed (%d)", FN_ELEMENTS_MAX);
    buf_init(&b, FN_RESULT_BYTES_MAX);
    if (v.kind == VALUE_NULL) {
        s->nulls = true;
        buf_put_u32be(&b, UINT32_MAX);
    } else {
        rc = col_check(&elem, &v, err);
        buf_put_u32be(&b, 0);
        if (!rc)
            rc = type_send(&elem, &v, &b, err);
        if (!rc && !buf_rc(&b))
            set_u32be(b.data, (uint32_t)b.len - 4);
    }
    if (!rc && buf_rc(&b))
        rc = fn_no_memory(err);
    if (!rc)
        rc = pile_put(env, s, b.data, b.len, err);
    buf_done(&b);
    s->any = true;
    s->n++;
    return rc;
}

static enum rc give_array(const struct fn_env *env, const struct fn_call *call, const struct pile *s,
                          const struct fn_shape *shape, struct value *ret, struct err *err) {
    struct col elem = fn_elem(&call->ret);
    struct buf b;
    fn_buf(&b);
    fn_array_head(&b, shape, &elem);
    buf_put(&b, s->p, s->len);
    if (s->nulls && !buf_rc(&b))
        set_u32be(b.data + 4, 1);
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

FN_AGG_FINAL(array_final) {
    const struct pile *s = state;
    struct fn_shape shape = {.n = 1, .length = {(int32_t)s->n}, .lower = {1}};
    return s->any ? give_array(env, call, s, &shape, ret, err) : RC_OK;
}

/* count (4), NULLs (1), elements */
FN_AGG_FINAL(array_save) {
    const struct pile *s = state;
    struct buf b;
    (void)call;
    if (!s->any)
        return RC_OK;
    fn_buf(&b);
    buf_put_u32le(&b, (uint32_t)s->n);
    buf_putc(&b, s->nulls);
    buf_put(&b, s->p, s->len);
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

FN_AGG_MERGE(array_merge) {
    struct pile *s = state;
    struct rd r;
    (void)call;
    if (part->kind != VALUE_BLOB)
        return fn_bad_part(err);
    rd_init(&r, part->p, part->bytes);
    uint32_t n = rd_u32le(&r);
    s->nulls |= rd_u8(&r) != 0;
    if (r.bad || n > rd_left(&r) / 4 || s->n + n > FN_ELEMENTS_MAX)
        return fn_bad_part(err);
    s->any = true;
    s->n += n;
    return pile_put(env, s, r.at, rd_left(&r), err);
}

static const struct fn_agg array_agg = {sizeof(struct pile), array_step, NULL, array_final, array_save, array_merge};

/* Arrays of one shape become one with a dimension more. */
FN_AGG_STEP(arrays_step) {
    struct pile *s = state;
    struct fn_elements e;
    (void)args;
    if (arg->kind == VALUE_NULL)
        return err_sql(err, "22004", "cannot accumulate null arrays");
    enum rc rc = fn_elements_begin(&e, &call->arg[0], arg, err);
    if (rc)
        return rc;
    if (e.shape.n == 0)
        return err_sql(err, "2202E", "cannot accumulate empty arrays");
    if (e.shape.n == FN_DIMENSIONS_MAX)
        return err_sql(err, "54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)", e.shape.n + 1,
                       FN_DIMENSIONS_MAX);
    if (!s->any)
        s->shape = e.shape;
    else if (e.shape.n != s->shape.n ||
             memcmp(e.shape.length, s->shape.length, (size_t)e.shape.n * sizeof e.shape.length[0]) != 0)
        return err_sql(err, "2202E", "cannot accumulate arrays of different dimensionality");
    s->any = true;
    s->n++;
    s->nulls |= arg->bytes >= 8 && get_u32be((const uint8_t *)arg->p + 4) != 0;
    return pile_put(env, s, e.r.at, rd_left(&e.r), err);
}

FN_AGG_FINAL(arrays_final) {
    const struct pile *s = state;
    struct fn_shape shape = {.n = s->shape.n + 1, .length = {(int32_t)s->n}, .lower = {1}};
    if (!s->any)
        return RC_OK;
    for (int i = 0; i < s->shape.n; i++) {
        shape.length[i + 1] = s->shape.length[i];
        shape.lower[i + 1] = s->shape.lower[i];
    }
    return give_array(env, call, s, &shape, ret, err);
}

static const struct fn_agg array_agg_array = {
    .state_bytes = sizeof(struct pile), .step = arrays_step, .final = arrays_final};

static const struct fn fns[] = {
    AGG(2050, "max", STRICT, FN_ANYARRAY, max, FN_ANYARRAY),
    AGG(2051, "min", STRICT, FN_ANYARRAY, min, FN_ANYARRAY),
    AGG(2106, "avg", STRICT, COL_INTERVAL, interval_avg, COL_INTERVAL),
    AGG(2113, "sum", STRICT, COL_INTERVAL, interval_sum, COL_INTERVAL),
    AGG(2115, "max", STRICT, COL_INT8, max, COL_INT8),
    AGG(2116, "max", STRICT, COL_INT4, max, COL_INT4),
    AGG(2117, "max", STRICT, COL_INT2, max, COL_INT2),
    AGG(2118, "max", STRICT, COL_OID, max, COL_OID),
    AGG(2119, "max", STRICT, COL_FLOAT4, max, COL_FLOAT4),
    AGG(2120, "max", STRICT, COL_FLOAT8, max, COL_FLOAT8),
    AGG(2122, "max", STRICT, COL_DATE, max, COL_DATE),
    AGG(2123, "max", STRICT, COL_TIME, max, COL_TIME),
    AGG(2126, "max", STRICT, COL_TIMESTAMP, max, COL_TIMESTAMP),
    AGG(2127, "max", STRICT, COL_TIMESTAMPTZ, max, COL_TIMESTAMPTZ),
    AGG(2128, "max", STRICT, COL_INTERVAL, max, COL_INTERVAL),
    AGG(2129, "max", STRICT, COL_TEXT, max, COL_TEXT),
    AGG(2130, "max", STRICT, COL_NUMERIC, max, COL_NUMERIC),
    AGG(2131, "min", STRICT, COL_INT8, min, COL_INT8),
    AGG(2132, "min", STRICT, COL_INT4, min, COL_INT4),
    AGG(2133, "min", STRICT, COL_INT2, min, COL_INT2),
    AGG(2134, "min", STRICT, COL_OID, min, COL_OID),
    AGG(2135, "min", STRICT, COL_FLOAT4, min, COL_FLOAT4),
    AGG(2136, "min", STRICT, COL_FLOAT8, min, COL_FLOAT8),
    AGG(2138, "min", STRICT, COL_DATE, min, COL_DATE),
    AGG(2139, "min", STRICT, COL_TIME, min, COL_TIME),
    AGG(2142, "min", STRICT, COL_TIMESTAMP, min, COL_TIMESTAMP),
    AGG(2143, "min", STRICT, COL_TIMESTAMPTZ, min, COL_TIMESTAMPTZ),
    AGG(2144, "min", STRICT, COL_INTERVAL, min, COL_INTERVAL),
    AGG(2145, "min", STRICT, COL_TEXT, min, COL_TEXT),
    AGG(2146, "min", STRICT, COL_NUMERIC, min, COL_NUMERIC),
    AGG(2147, "count", STRICT, COL_INT8, count, FN_ANY),
    AGG(2236, "bit_and", STRICT, COL_INT2, bit_and, COL_INT2),
    AGG(2237, "bit_or", STRICT, COL_INT2, bit_or, COL_INT2),
    AGG(2238, "bit_and", STRICT, COL_INT4, bit_and, COL_INT4),
    AGG(2239, "bit_or", STRICT, COL_INT4, bit_or, COL_INT4),
    AGG(2240, "bit_and", STRICT, COL_INT8, bit_and, COL_INT8),
    AGG(2241, "bit_or", STRICT, COL_INT8, bit_or, COL_INT8),
    AGG(2244, "max", STRICT, COL_CHAR, max, COL_CHAR),
    AGG(2245, "min", STRICT, COL_CHAR, min, COL_CHAR),
    AGG(2335, "array_agg", 0, FN_ANYARRAY, array_agg, FN_ANYNONARRAY),
    AGG(2517, "bool_and", STRICT, COL_BOOL, bool_and, COL_BOOL),
    AGG(2518, "bool_or", STRICT, COL_BOOL, bool_or, COL_BOOL),
    AGG(2519, "every", STRICT, COL_BOOL, bool_and, COL_BOOL),
    AGG(2803, "count", STRICT, COL_INT8, count),
    AGG(3538, "string_agg", 0, COL_TEXT, string_agg, COL_TEXT, COL_TEXT),
    AGG(3545, "string_agg", 0, COL_BYTEA, string_agg, COL_BYTEA, COL_BYTEA),
    AGG(4053, "array_agg", 0, FN_ANYARRAY, array_agg_array, FN_ANYARRAY),
    AGG(6164, "bit_xor", STRICT, COL_INT2, bit_xor, COL_INT2),
    AGG(6165, "bit_xor", STRICT, COL_INT4, bit_xor, COL_INT4),
    AGG(6166, "bit_xor", STRICT, COL_INT8, bit_xor, COL_INT8),
};

const struct fn_table fn_table_agg = {fns, ARRAY_LEN(fns)};
