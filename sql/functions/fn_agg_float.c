/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_agg_float.c: aggregates of real and double precision.
 *
 * Variances keep n, the sum and the sum of squared differences from the mean, and combine two such by the formulas of Youngs and
 * Cramer; both as PostgreSQL does it, so that the last bits agree too. A part: the numbers of the state, 8 bytes each.
 */
#include <math.h>
#include <string.h>

#include "sql/functions/fn_agg.h"

/* Of y (the first argument) and x; single columns are x. */
struct moments {
    double n, x, xx, y, yy, xy;
};

enum { MOMENTS = sizeof(struct moments) / sizeof(double) };

static enum rc overflow(struct err *err) {
    return err_sql(err, "22003", "value out of range: overflow");
}

static enum rc give(struct value *ret, double r) {
    *ret = value_float(r);
    return RC_OK;
}

/* ---- sum --------------------------------------------------------------------------------------------------------------- */

static enum rc add(struct moments *m, double r, bool single, struct err *err) {
    double sum = m->n > 0 ? m->x + r : r;
    if (single)
        sum = (double)(float)sum;
    if (isinf(sum) && !isinf(m->x) && !isinf(r))
        return overflow(err);
    m->x = sum;
    m->n += 1;
    return RC_OK;
}

FN_AGG_STEP(sum4_step) {
    (void)env, (void)call, (void)args;
    return add(state, value_float_get(arg), true, err);
}

FN_AGG_STEP(sum8_step) {
    (void)env, (void)call, (void)args;
    return add(state, value_float_get(arg), false, err);
}

FN_AGG_FINAL(sum_final) {
    const struct moments *m = state;
    (void)env, (void)call, (void)err;
    return m->n > 0 ? give(ret, m->x) : RC_OK;
}

/* ---- moments ------------------------------------------------------------------------------------------------------------ */

FN_AGG_STEP(moments_step) {
    struct moments *m = state;
    double v = value_float_get(arg), before = m->x;
    (void)env, (void)call, (void)args;
    m->n += 1;
    m->x += v;
    if (m->n > 1) {
        double d = v * m->n - m->x;
        m->xx += d * d / (m->n * (m->n - 1));
        if (isinf(m->x) || isinf(m->xx)) {
            if (!isinf(before) && !isinf(v))
                return overflow(err);
            m->xx = (double)NAN;
        }
    } else if (isnan(v) || isinf(v)) {
        m->xx = (double)NAN;
    }
    return RC_OK;
}

FN_AGG_STEP(pairs_step) {
    struct moments *m = state;
    double y = value_float_get(&arg[0]), x = value_float_get(&arg[1]);
    struct moments was = *m;
    (void)env, (void)call, (void)args;
    m->n += 1;
    m->x += x;
    m->y += y;
    if (was.n > 0) {
        double dx = x * m->n - m->x, dy = y * m->n - m->y, scale = 1.0 / (m->n * was.n);
        m->xx += dx * dx * scale;
        m->yy += dy * dy * scale;
        m->xy += dx * dy * scale;
        if (isinf(m->x) || isinf(m->xx) || isinf(m->y) || isinf(m->yy) || isinf(m->xy)) {
            if (((isinf(m->x) || isinf(m->xx)) && !isinf(was.x) && !isinf(x)) ||
                ((isinf(m->y) || isinf(m->yy)) && !isinf(was.y) && !isinf(y)) ||
                (isinf(m->xy) && !isinf(was.x) && !isinf(x) && !isinf(was.y) && !isinf(y)))
                return overflow(err);
            if (isinf(m->xx))
                m->xx = (double)NAN;
            if (isinf(m->yy))
                m->yy = (double)NAN;
            if (isinf(m->xy))
                m->xy = (double)NAN;
        }
    } else {
        if (isnan(x) || isinf(x))
            m->xx = m->xy = (double)NAN;
        if (isnan(y) || isinf(y))
            m->yy = m->xy = (double)NAN;
    }
    return RC_OK;
}

FN_AGG_FINAL(moments_save) {
    struct buf b;
    (void)call;
    const double *d = state;
    fn_buf(&b);
    for (int i = 0; i < MOMENTS; i++) {
        uint64_t u;
        memcpy(&u, &d[i], sizeof u);
        buf_put_u64le(&b, u);
    }
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

static bool load(const struct value *part, struct moments *ret) {
    if (part->kind != VALUE_BLOB || part->bytes != MOMENTS * sizeof(double))
        return false;
    for (size_t i = 0; i < MOMENTS; i++) {
        uint64_t u = get_u64le((const uint8_t *)part->p + i * sizeof u);
        memcpy((double *)ret + i, &u, sizeof u);
    }
    return ret->n >= 0;
}

static enum rc merge_sum(void *state, const struct value *part, bool single, struct err *err) {
    struct moments *m = state, p;
    if (!load(part, &p))
        return fn_bad_part(err);
    if (p.n <= 0)
        return RC_OK;
    double n = m->n + p.n;
    enum rc rc = add(m, p.x, single, err);
    m->n = n;
    return rc;
}

FN_AGG_MERGE(sum4_merge) {
    (void)env, (void)call;
    return merge_sum(state, part, true, err);
}

FN_AGG_MERGE(sum8_merge) {
    (void)env, (void)call;
    return merge_sum(state, part, false, err);
}

FN_AGG_MERGE(moments_merge) {
    struct moments *m = state, p;
    (void)env, (void)call;
    if (!load(part, &p))
        return fn_bad_part(err);
    if (p.n <= 0)
        return RC_OK;
    if (m->n <= 0) {
        *m = p;
        return RC_OK;
    }
    double n = m->n + p.n, dx = m->x / m->n - p.x / p.n, dy = m->y / m->n - p.y / p.n, w = m->n * p.n / n;
    struct moments r = {.n = n, .x = m->x + p.x, .y = m->y + p.y};
    r.xx = m->xx + p.xx + w * dx * dx;
    r.yy = m->yy + p.yy + w * dy * dy;
    r.xy = m->xy + p.xy + w * dx * dy;
    bool over = (isinf(r.x) && !isinf(m->x) && !isinf(p.x)) || (isinf(r.xx) && !isinf(m->xx) && !isinf(p.xx)) ||
                (isinf(r.y) && !isinf(m->y) && !isinf(p.y)) || (isinf(r.yy) && !isinf(m->yy) && !isinf(p.yy)) ||
                (isinf(r.xy) && !isinf(m->xy) && !isinf(p.xy));
    *m = r;
    return over ? overflow(err) : RC_OK;
}

/* FINAL(name, least n, result) */
#define FINAL(name_, least_, result_)                                                                                  \
    FN_AGG_FINAL(name_##_final) {                                                                                      \
        const struct moments *m = state;                                                                               \
        (void)env, (void)call, (void)err;                                                                              \
        return m->n < (least_) ? RC_OK : give(ret, (result_));                                                         \
    }
FINAL(avg, 1, m->x / m->n)
FINAL(var_pop, 1, m->xx / m->n)
FINAL(var_samp, 2, m->xx / (m->n - 1))
FINAL(stddev_pop, 1, sqrt(m->xx / m->n))
FINAL(stddev_samp, 2, sqrt(m->xx / (m->n - 1)))
FINAL(regr_sxx, 1, m->xx)
FINAL(regr_syy, 1, m->yy)
FINAL(regr_sxy, 1, m->xy)
FINAL(regr_avgx, 1, m->x / m->n)
FINAL(regr_avgy, 1, m->y / m->n)
FINAL(covar_pop, 1, m->xy / m->n)
FINAL(covar_samp, 2, m->xy / (m->n - 1))

FN_AGG_FINAL(corr_final) {
    const struct moments *m = state;
    (void)env, (void)call, (void)err;
    if (m->n < 1 || m->xx == 0 || m->yy == 0)
        return RC_OK;
    return give(ret, m->xy / sqrt(m->xx * m->yy));
}

FN_AGG_FINAL(regr_r2_final) {
    const struct moments *m = state;
    (void)env, (void)call, (void)err;
    if (m->n < 1 || m->xx == 0)
        return RC_OK;
    return give(ret, m->yy == 0 ? 1.0 : m->xy * m->xy / (m->xx * m->yy));
}

FN_AGG_FINAL(regr_slope_final) {
    const struct moments *m = state;
    (void)env, (void)call, (void)err;
    return m->n < 1 || m->xx == 0 ? RC_OK : give(ret, m->xy / m->xx);
}

FN_AGG_FINAL(regr_intercept_final) {
    const struct moments *m = state;
    (void)env, (void)call, (void)err;
    return m->n < 1 || m->xx == 0 ? RC_OK : give(ret, (m->y - m->x * m->xy / m->xx) / m->n);
}

FN_AGG_FINAL(regr_count_final) {
    (void)env, (void)call, (void)err;
    *ret = value_int((int64_t)((const struct moments *)state)->n);
    return RC_OK;
}

#define MOMENTS_AGG(name_, step_)                                                                                      \
    static const struct fn_agg name_ = {.state_bytes = sizeof(struct moments),                                         \
                                        .step = (step_),                                                               \
                                        .final = name_##_final,                                                        \
                                        .save = moments_save,                                                          \
                                        .merge = moments_merge}
MOMENTS_AGG(avg, moments_step);
MOMENTS_AGG(var_pop, moments_step);
MOMENTS_AGG(var_samp, moments_step);
MOMENTS_AGG(stddev_pop, moments_step);
MOMENTS_AGG(stddev_samp, moments_step);
MOMENTS_AGG(regr_sxx, pairs_step);
MOMENTS_AGG(regr_syy, pairs_step);
MOMENTS_AGG(regr_sxy, pairs_step);
MOMENTS_AGG(regr_avgx, pairs_step);
MOMENTS_AGG(regr_avgy, pairs_step);
MOMENTS_AGG(covar_pop, pairs_step);
MOMENTS_AGG(covar_samp, pairs_step);
MOMENTS_AGG(corr, pairs_step);
MOMENTS_AGG(regr_r2, pairs_step);
MOMENTS_AGG(regr_slope, pairs_step);
MOMENTS_AGG(regr_intercept, pairs_step);
MOMENTS_AGG(regr_count, pairs_step);

static const struct fn_agg sum4 = {sizeof(struct moments), sum4_step, NULL, sum_final, moments_save, sum4_merge};
static const struct fn_agg sum8 = {sizeof(struct moments), sum8_step, NULL, sum_final, moments_save, sum8_merge};

static const struct fn fns[] = {
    AGG(2104, "avg", STRICT, COL_FLOAT8, avg, COL_FLOAT4),
    AGG(2105, "avg", STRICT, COL_FLOAT8, avg, COL_FLOAT8),
    AGG(2110, "sum", STRICT, COL_FLOAT4, sum4, COL_FLOAT4),
    AGG(2111, "sum", STRICT, COL_FLOAT8, sum8, COL_FLOAT8),
    AGG(2151, "variance", STRICT, COL_FLOAT8, var_samp, COL_FLOAT4),
    AGG(2152, "variance", STRICT, COL_FLOAT8, var_samp, COL_FLOAT8),
    AGG(2157, "stddev", STRICT, COL_FLOAT8, stddev_samp, COL_FLOAT4),
    AGG(2158, "stddev", STRICT, COL_FLOAT8, stddev_samp, COL_FLOAT8),
    AGG(2644, "var_samp", STRICT, COL_FLOAT8, var_samp, COL_FLOAT4),
    AGG(2645, "var_samp", STRICT, COL_FLOAT8, var_samp, COL_FLOAT8),
    AGG(2715, "stddev_samp", STRICT, COL_FLOAT8, stddev_samp, COL_FLOAT4),
    AGG(2716, "stddev_samp", STRICT, COL_FLOAT8, stddev_samp, COL_FLOAT8),
    AGG(2721, "var_pop", STRICT, COL_FLOAT8, var_pop, COL_FLOAT4),
    AGG(2722, "var_pop", STRICT, COL_FLOAT8, var_pop, COL_FLOAT8),
    AGG(2727, "stddev_pop", STRICT, COL_FLOAT8, stddev_pop, COL_FLOAT4),
    AGG(2728, "stddev_pop", STRICT, COL_FLOAT8, stddev_pop, COL_FLOAT8),
    AGG(2818, "regr_count", STRICT, COL_INT8, regr_count, COL_FLOAT8, COL_FLOAT8),
    AGG(2819, "regr_sxx", STRICT, COL_FLOAT8, regr_sxx, COL_FLOAT8, COL_FLOAT8),
    AGG(2820, "regr_syy", STRICT, COL_FLOAT8, regr_syy, COL_FLOAT8, COL_FLOAT8),
    AGG(2821, "regr_sxy", STRICT, COL_FLOAT8, regr_sxy, COL_FLOAT8, COL_FLOAT8),
    AGG(2822, "regr_avgx", STRICT, COL_FLOAT8, regr_avgx, COL_FLOAT8, COL_FLOAT8),
    AGG(2823, "regr_avgy", STRICT, COL_FLOAT8, regr_avgy, COL_FLOAT8, COL_FLOAT8),
    AGG(2824, "regr_r2", STRICT, COL_FLOAT8, regr_r2, COL_FLOAT8, COL_FLOAT8),
    AGG(2825, "regr_slope", STRICT, COL_FLOAT8, regr_slope, COL_FLOAT8, COL_FLOAT8),
    AGG(2826, "regr_intercept", STRICT, COL_FLOAT8, regr_intercept, COL_FLOAT8, COL_FLOAT8),
    AGG(2827, "covar_pop", STRICT, COL_FLOAT8, covar_pop, COL_FLOAT8, COL_FLOAT8),
    AGG(2828, "covar_samp", STRICT, COL_FLOAT8, covar_samp, COL_FLOAT8, COL_FLOAT8),
    AGG(2829, "corr", STRICT, COL_FLOAT8, corr, COL_FLOAT8, COL_FLOAT8),
};

const struct fn_table fn_table_agg_float = {fns, ARRAY_LEN(fns)};
