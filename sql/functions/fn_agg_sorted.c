/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_agg_sorted.c: ordered-set aggregates: f(fraction) WITHIN GROUP (ORDER BY x) is f(fraction, x ORDER BY x): rows come sorted,
 * without NULLs.
 */
#include <math.h>
#include <string.h>

#include "sql/functions/fn_agg.h"

struct sorted {
    struct value *v;
    uint32_t n, cap;
    double fraction;
};

static enum rc take(const struct fn_env *env, struct sorted *s, const struct value *v, struct err *err) {
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 64;
        struct value *grown = cap <= FN_ELEMENTS_MAX ? arena_array(env->arena, cap, sizeof *grown) : NULL;
        if (!grown)
            return fn_no_memory(err);
        if (s->n)
            memcpy(grown, s->v, s->n * sizeof *grown);
        s->v = grown;
        s->cap = cap;
    }
    s->v[s->n] = *v;
    if (value_copy(env->arena, &s->v[s->n]))
        return fn_no_memory(err);
    s->n++;
    return RC_OK;
}

/* A value as it came, in the form of the result's type. */
static enum rc give(const struct fn_env *env, const struct col *from, const struct col *to, const struct value *v,
                    struct value *ret, struct err *err) {
    struct dec d;
    if (v->kind == VALUE_NULL || from->type != COL_NUMERIC || from->typmod == to->typmod) {
        *ret = *v;
        return RC_OK;
    }
    dec_init(&d);
    enum rc rc = dec_from_value(&d, from, v, err);
    if (!rc)
        rc = dec_to_value(&d, to, env->arena, ret, err);
    dec_done(&d);
    return rc;
}

FN_AGG_STEP(percentile_step) {
    struct sorted *s = state;
    (void)call, (void)args;
    s->fraction = value_float_get(&arg[0]);
    if (!(s->fraction >= 0 && s->fraction <= 1))
        return err_sql(err, "22003", "percentile value %g is not between 0 and 1", s->fraction);
    return take(env, s, &arg[1], err);
}

FN_AGG_FINAL(disc_final) {
    const struct sorted *s = state;
    if (s->n == 0)
        return RC_OK;
    double at = ceil(s->fraction * s->n);
    return give(env, &call->arg[1], &call->ret, &s->v[at < 1 ? 0 : (uint32_t)at - 1], ret, err);
}

FN_AGG_FINAL(cont_final) {
    const struct sorted *s = state;
    (void)env, (void)call, (void)err;
    if (s->n == 0)
        return RC_OK;
    double at = s->fraction * (s->n - 1);
    uint32_t low = (uint32_t)floor(at), high = (uint32_t)ceil(at);
    double a = value_float_get(&s->v[low]), b = value_float_get(&s->v[high]);
    *ret = value_float(low == high ? a : a + (at - low) * (b - a));
    return RC_OK;
}

FN_AGG_STEP(mode_step) {
    (void)call, (void)args;
    return take(env, state, &arg[0], err);
}

/* Of the values that come most often the first. */
FN_AGG_FINAL(mode_final) {
    const struct sorted *s = state;
    uint32_t best = 0, most = 0, same = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        same = i > 0 && fn_value_compare(&call->arg[0], &s->v[i - 1], &s->v[i]) == 0 ? same + 1 : 1;
        if (same > most) {
            most = same;
            best = i;
        }
    }
    return s->n ? give(env, &call->arg[0], &call->ret, &s->v[best], ret, err) : RC_OK;
}

static const struct fn_agg disc = {.state_bytes = sizeof(struct sorted), .step = percentile_step, .final = disc_final};
static const struct fn_agg cont = {.state_bytes = sizeof(struct sorted), .step = percentile_step, .final = cont_final};
static const struct fn_agg mode = {.state_bytes = sizeof(struct sorted), .step = mode_step, .final = mode_final};

static const struct fn fns[] = {
    AGG(3972, "percentile_disc", STRICT, FN_ANYELEMENT, disc, COL_FLOAT8, FN_ANYELEMENT),
    AGG(3974, "percentile_cont", STRICT, COL_FLOAT8, cont, COL_FLOAT8, COL_FLOAT8),
    AGG(3984, "mode", STRICT, FN_ANYELEMENT, mode, FN_ANYELEMENT),
};

const struct fn_table fn_table_agg_sorted = {fns, ARRAY_LEN(fns)};
