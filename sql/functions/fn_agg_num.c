/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_agg_num.c: sum, avg, variance and their like over integers and numerics.
 *
 * All are made of n, the sum and (variance) the sum of squares. A sum is an __int128 with a decimal scale as long as that is
 * enough, which is nearly always; then it becomes a numeric's text. It is exact in both, so parts add up to the same as the whole.
 *
 * A part: n (8), then the sum and, if there is one, the sum of squares, each as length (4) and text.
 */
#include <string.h>

#include "sql/functions/fn_agg.h"

enum { TENS = 39, PART_TEXT_MAX = DEC_TEXT_BYTES_MAX };

struct total {
    __int128 v; /* times 10^scale */
    int scale;
    bool slow; /* it is the text */
    char *text;
    uint32_t len, cap;
};

struct sums {
    int64_t n;
    struct total sum, squares;
};

static __int128 ten_to(int n) {
    __int128 r = 1;
    while (n--)
        r *= 10;
    return r;
}

/* ---- totals ---------------------------------------------------------------------------------------------------------- */

static void int128_to_dec(__int128 v, struct dec *d, int scale) {
    bool neg = v < 0;
    unsigned __int128 u = neg ? -(unsigned __int128)v : (unsigned __int128)v;
    mpz_set_ui(d->z, (unsigned long)(u >> 64));
    mpz_mul_2exp(d->z, d->z, 64);
    mpz_add_ui(d->z, d->z, (unsigned long)u);
    if (neg)
        mpz_neg(d->z, d->z);
    d->kind = DEC_FINITE;
    d->scale = scale;
}

static enum rc total_get(const struct total *t, struct dec *d, struct err *err) {
    if (t->slow)
        return dec_parse(d, t->text, t->len, COL_TYPMOD_NONE, err);
    int128_to_dec(t->v, d, t->scale);
    return RC_OK;
}

static enum rc total_set(const struct fn_env *env, struct total *t, const struct dec *d, struct err *err) {
    struct buf b;
    buf_init(&b, 0);
    dec_print(d, &b);
    if (!buf_rc(&b) && b.len > t->cap) {
        t->cap = (uint32_t)b.len * 2;
        t->text = arena_alloc(env->arena, t->cap);
    }
    enum rc rc = buf_rc(&b) || !t->text ? fn_no_memory(err) : RC_OK;
    if (!rc) {
        memcpy(t->text, b.data, b.len);
        t->len = (uint32_t)b.len;
        t->slow = true;
    }
    buf_done(&b);
    return rc;
}

/* Brings both to one scale; false: it does not fit. */
static bool align(struct total *t, __int128 *v, int scale) {
    if (scale > t->scale) {
        if (scale - t->scale >= TENS || __builtin_mul_overflow(t->v, ten_to(scale - t->scale), &t->v))
            return false;
        t->scale = scale;
        return true;
    }
    return t->scale - scale < TENS && !__builtin_mul_overflow(*v, ten_to(t->scale - scale), v);
}

static enum rc add_slow(const struct fn_env *env, struct total *t, const struct dec *v, struct err *err) {
    struct dec d;
    dec_init(&d);
    enum rc rc = total_get(t, &d, err);
    if (!rc)
        rc = dec_add(&d, &d, v, err);
    if (!rc)
        rc = total_set(env, t, &d, err);
    dec_done(&d);
    return rc;
}

static enum rc add_fast(const struct fn_env *env, struct total *t, __int128 v, int scale, struct err *err) {
    struct total next = *t;
    __int128 aligned = v;
    if (!t->slow && align(&next, &aligned, scale) && !__builtin_add_overflow(next.v, aligned, &next.v)) {
        t->v = next.v;
        t->scale = next.scale;
        return RC_OK;
    }
    struct dec d;
    dec_init(&d);
    int128_to_dec(v, &d, scale);
    enum rc rc = add_slow(env, t, &d, err);
    dec_done(&d);
    return rc;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

/* A number as integer and scale; false: it is too long or no finite one. */
static bool brief(const struct col *c, const struct value *v, int64_t *ret, int *ret_scale) {
    int scale = 0;
    if (v->kind == VALUE_TEXT)
        return fn_brief(v, ret, ret_scale);
    if (c->type == COL_NUMERIC && (!col_numeric_is_int(c, &scale) || v->i == COL_NUMERIC_INT_NAN || scale < 0))
        return false;
    *ret = v->i;
    *ret_scale = scale;
    return true;
}

static enum rc take(const struct fn_env *env, const struct fn_call *call, struct sums *s, const struct value *arg,
                    bool squares, struct err *err) {
    int64_t v;
    int scale;
    s->n++;
    if (brief(&call->arg[0], arg, &v, &scale)) {
        enum rc rc = add_fast(env, &s->sum, v, scale, err);
        return rc || !squares ? rc : add_fast(env, &s->squares, (__int128)v * v, 2 * scale, err);
    }
    struct dec d;
    dec_init(&d);
    enum rc rc = dec_from_value(&d, &call->arg[0], arg, err);
    if (!rc)
        rc = add_slow(env, &s->sum, &d, err);
    if (!rc && squares)
        rc = dec_mul(&d, &d, &d, err);
    if (!rc && squares)
        rc = add_slow(env, &s->squares, &d, err);
    dec_done(&d);
    return rc;
}

FN_AGG_STEP(sum_step) {
    (void)args;
    return take(env, call, state, arg, false, err);
}

FN_AGG_STEP(squares_step) {
    (void)args;
    return take(env, call, state, arg, true, err);
}

/* Of integers only: a numeric's display scale would not come back. */
FN_AGG_STEP(sum_inverse) {
    struct sums *s = state;
    (void)call, (void)args;
    s->n--;
    return add_fast(env, &s->sum, -(__int128)arg->i, 0, err);
}

FN_AGG_STEP(squares_inverse) {
    struct sums *s = state;
    enum rc rc = sum_inverse(env, call, state, arg, args, err);
    return rc ? rc : add_fast(env, &s->squares, -((__int128)arg->i * arg->i), 0, err);
}

/* ---- results --------------------------------------------------------------------------------------------------------- */

FN_AGG_FINAL(sum_to_int8) {
    const struct sums *s = state;
    (void)env, (void)call;
    if (!s->n)
        return RC_OK;
    if (s->sum.slow || s->sum.v != (int64_t)s->sum.v)
        return fn_out_of_range("bigint", err);
    *ret = value_int((int64_t)s->sum.v);
    return RC_OK;
}

FN_AGG_FINAL(sum_to_numeric) {
    const struct sums *s = state;
    struct dec d;
    if (!s->n)
        return RC_OK;
    dec_init(&d);
    enum rc rc = total_get(&s->sum, &d, err);
    if (!rc)
        rc = dec_to_value(&d, &call->ret, env->arena, ret, err);
    dec_done(&d);
    return rc;
}

FN_AGG_FINAL(average) {
    const struct sums *s = state;
    struct dec d, n;
    if (!s->n)
        return RC_OK;
    dec_init(&d);
    dec_init(&n);
    dec_set_int(&n, s->n);
    enum rc rc = total_get(&s->sum, &d, err);
    if (!rc)
        rc = dec_div(&d, &d, &n, err);
    if (!rc)
        rc = dec_to_value(&d, &call->ret, env->arena, ret, err);
    dec_done(&d);
    dec_done(&n);
    return rc;
}

/* (n * sum of squares - square of the sum) / (n * n), or n * (n - 1) for a sample; the root of it. */
static enum rc variance(const struct fn_env *env, const struct fn_call *call, const struct sums *s, bool sample,
                        bool root, struct value *ret, struct err *err) {
    struct dec x, xx, n, m;
    if (s->n < 1 + sample)
        return RC_OK;
    dec_init(&x);
    dec_init(&xx);
    dec_init(&n);
    dec_init(&m);
    dec_set_int(&n, s->n);
    dec_set_int(&m, s->n - sample);
    enum rc rc = total_get(&s->sum, &x, err);
    if (!rc)
        rc = total_get(&s->squares, &xx, err);
    if (!rc && (x.kind != DEC_FINITE || xx.kind != DEC_FINITE)) {
        dec_set_special(&x, DEC_NAN);
    } else if (!rc) {
        rc = dec_mul(&x, &x, &x, err);
        if (!rc)
            rc = dec_mul(&xx, &xx, &n, err);
        if (!rc)
            rc = dec_sub(&xx, &xx, &x, err);
        if (!rc)
            rc = dec_mul(&n, &n, &m, err);
        if (!rc && dec_sign(&xx) <= 0) {
            dec_set_int(&x, 0);
        } else if (!rc) {
            rc = dec_div(&x, &xx, &n, err);
            int32_t scale = x.scale;
            if (!rc && root)
                rc = dec_sqrt(&x, &x, err);
            if (!rc && root)
                rc = dec_round(&x, &x, scale, err);
        }
    }
    if (!rc)
        rc = dec_to_value(&x, &call->ret, env->arena, ret, err);
    dec_done(&x);
    dec_done(&xx);
    dec_done(&n);
    dec_done(&m);
    return rc;
}

FN_AGG_FINAL(var_pop) {
    return variance(env, call, state, false, false, ret, err);
}

FN_AGG_FINAL(var_samp) {
    return variance(env, call, state, true, false, ret, err);
}

FN_AGG_FINAL(stddev_pop) {
    return variance(env, call, state, false, true, ret, err);
}

FN_AGG_FINAL(stddev_samp) {
    return variance(env, call, state, true, true, ret, err);
}

/* ---- parts ------------------------------------------------------------------------------------------------------------ */

static enum rc put_total(struct buf *b, const struct total *t, struct err *err) {
    struct dec d;
    dec_init(&d);
    enum rc rc = total_get(t, &d, err);
    size_t at = b->len;
    buf_put_u32le(b, 0);
    if (!rc)
        dec_print(&d, b);
    if (!rc && !buf_rc(b))
        set_u32le(b->data + at, (uint32_t)(b->len - at - 4));
    dec_done(&d);
    return rc;
}

static enum rc save(const struct fn_env *env, const struct sums *s, bool squares, struct value *ret, struct err *err) {
    struct buf b;
    fn_buf(&b);
    buf_put_u64le(&b, (uint64_t)s->n);
    enum rc rc = put_total(&b, &s->sum, err);
    if (!rc && squares)
        rc = put_total(&b, &s->squares, err);
    if (!rc)
        return fn_give(env, &b, VALUE_BLOB, ret, err);
    buf_done(&b);
    return rc;
}

FN_AGG_FINAL(sum_save) {
    (void)call;
    return save(env, state, false, ret, err);
}

FN_AGG_FINAL(squares_save) {
    (void)call;
    return save(env, state, true, ret, err);
}

static enum rc merge_total(const struct fn_env *env, struct total *t, struct rd *r, struct err *err) {
    uint32_t n = rd_u32le(r);
    const uint8_t *p = n <= PART_TEXT_MAX ? rd_bytes(r, n) : NULL;
    int64_t v;
    int scale;
    if (!p)
        return fn_bad_part(err);
    struct value text = value_text(p, n);
    if (fn_brief(&text, &v, &scale))
        return add_fast(env, t, v, scale, err);
    struct dec d;
    dec_init(&d);
    enum rc rc = dec_parse(&d, p, n, COL_TYPMOD_NONE, err);
    if (!rc)
        rc = add_slow(env, t, &d, err);
    dec_done(&d);
    return rc;
}

static enum rc merge(const struct fn_env *env, struct sums *s, const struct value *part, bool squares,
                     struct err *err) {
    struct rd r;
    if (part->kind != VALUE_BLOB)
        return fn_bad_part(err);
    rd_init(&r, part->p, part->bytes);
    int64_t n = (int64_t)rd_u64le(&r);
    if (n < 0 || __builtin_add_overflow(s->n, n, &s->n))
        return fn_bad_part(err);
    enum rc rc = merge_total(env, &s->sum, &r, err);
    return rc || !squares ? rc : merge_total(env, &s->squares, &r, err);
}

FN_AGG_MERGE(sum_merge) {
    (void)call;
    return merge(env, state, part, false, err);
}

FN_AGG_MERGE(squares_merge) {
    (void)call;
    return merge(env, state, part, true, err);
}

#define SUMS(name_, final_, kind_, inverse_)                                                                           \
    static const struct fn_agg name_ = {.state_bytes = sizeof(struct sums),                                            \
                                        .step = kind_##_step,                                                          \
                                        .inverse = (inverse_),                                                         \
                                        .final = (final_),                                                             \
                                        .save = kind_##_save,                                                          \
                                        .merge = kind_##_merge}
SUMS(int_sum_int8, sum_to_int8, sum, sum_inverse);
SUMS(int_sum_numeric, sum_to_numeric, sum, sum_inverse);
SUMS(int_avg, average, sum, sum_inverse);
SUMS(int_var_pop, var_pop, squares, squares_inverse);
SUMS(int_var_samp, var_samp, squares, squares_inverse);
SUMS(int_stddev_pop, stddev_pop, squares, squares_inverse);
SUMS(int_stddev_samp, stddev_samp, squares, squares_inverse);
SUMS(numeric_sum, sum_to_numeric, sum, NULL);
SUMS(numeric_avg, average, sum, NULL);
SUMS(numeric_var_pop, var_pop, squares, NULL);
SUMS(numeric_var_samp, var_samp, squares, NULL);
SUMS(numeric_stddev_pop, stddev_pop, squares, NULL);
SUMS(numeric_stddev_samp, stddev_samp, squares, NULL);

static const struct fn fns[] = {
    AGG(2100, "avg", STRICT, COL_NUMERIC, int_avg, COL_INT8),
    AGG(2101, "avg", STRICT, COL_NUMERIC, int_avg, COL_INT4),
    AGG(2102, "avg", STRICT, COL_NUMERIC, int_avg, COL_INT2),
    AGG(2103, "avg", STRICT, COL_NUMERIC, numeric_avg, COL_NUMERIC),
    AGG(2107, "sum", STRICT, COL_NUMERIC, int_sum_numeric, COL_INT8),
    AGG(2108, "sum", STRICT, COL_INT8, int_sum_int8, COL_INT4),
    AGG(2109, "sum", STRICT, COL_INT8, int_sum_int8, COL_INT2),
    AGG(2114, "sum", STRICT, COL_NUMERIC, numeric_sum, COL_NUMERIC),
    AGG(2148, "variance", STRICT, COL_NUMERIC, int_var_samp, COL_INT8),
    AGG(2149, "variance", STRICT, COL_NUMERIC, int_var_samp, COL_INT4),
    AGG(2150, "variance", STRICT, COL_NUMERIC, int_var_samp, COL_INT2),
    AGG(2153, "variance", STRICT, COL_NUMERIC, numeric_var_samp, COL_NUMERIC),
    AGG(2154, "stddev", STRICT, COL_NUMERIC, int_stddev_samp, COL_INT8),
    AGG(2155, "stddev", STRICT, COL_NUMERIC, int_stddev_samp, COL_INT4),
    AGG(2156, "stddev", STRICT, COL_NUMERIC, int_stddev_samp, COL_INT2),
    AGG(2159, "stddev", STRICT, COL_NUMERIC, numeric_stddev_samp, COL_NUMERIC),
    AGG(2641, "var_samp", STRICT, COL_NUMERIC, int_var_samp, COL_INT8),
    AGG(2642, "var_samp", STRICT, COL_NUMERIC, int_var_samp, COL_INT4),
    AGG(2643, "var_samp", STRICT, COL_NUMERIC, int_var_samp, COL_INT2),
    AGG(2646, "var_samp", STRICT, COL_NUMERIC, numeric_var_samp, COL_NUMERIC),
    AGG(2712, "stddev_samp", STRICT, COL_NUMERIC, int_stddev_samp, COL_INT8),
    AGG(2713, "stddev_samp", STRICT, COL_NUMERIC, int_stddev_samp, COL_INT4),
    AGG(2714, "stddev_samp", STRICT, COL_NUMERIC, int_stddev_samp, COL_INT2),
    AGG(2717, "stddev_samp", STRICT, COL_NUMERIC, numeric_stddev_samp, COL_NUMERIC),
    AGG(2718, "var_pop", STRICT, COL_NUMERIC, int_var_pop, COL_INT8),
    AGG(2719, "var_pop", STRICT, COL_NUMERIC, int_var_pop, COL_INT4),
    AGG(2720, "var_pop", STRICT, COL_NUMERIC, int_var_pop, COL_INT2),
    AGG(2723, "var_pop", STRICT, COL_NUMERIC, numeric_var_pop, COL_NUMERIC),
    AGG(2724, "stddev_pop", STRICT, COL_NUMERIC, int_stddev_pop, COL_INT8),
    AGG(2725, "stddev_pop", STRICT, COL_NUMERIC, int_stddev_pop, COL_INT4),
    AGG(2726, "stddev_pop", STRICT, COL_NUMERIC, int_stddev_pop, COL_INT2),
    AGG(2729, "stddev_pop", STRICT, COL_NUMERIC, numeric_stddev_pop, COL_NUMERIC),
};

const struct fn_table fn_table_agg_num = {fns, ARRAY_LEN(fns)};
