/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_float.c: real and double precision.
 *
 * As IEEE 754 has it, except where PostgreSQL has errors: a result that overflows or underflows though no operand was infinite
 * or zero, division by zero, and arguments outside of a function's domain. NaN equals itself and is above all else.
 */
#include <math.h>
#include <stdlib.h>

#include "sql/functions/fn_internal.h"
#include "sql/types/real.h"

static double real(const struct value *v) {
    return value_float_get(v);
}

static enum rc give(struct value *ret, double r) {
    *ret = value_float(r);
    return RC_OK;
}

static enum rc overflow(struct err *err) {
    return err_sql(err, "22003", "value out of range: overflow");
}

static enum rc underflow(struct err *err) {
    return err_sql(err, "22003", "value out of range: underflow");
}

static enum rc outside(struct err *err) {
    return err_sql(err, "22003", "input is out of range");
}

/* ---- arithmetic ---------------------------------------------------------------------------------------------------- */

static enum rc arithmetic(char op, double a, double b, bool single, struct value *ret, struct err *err) {
    double r = op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : 0;
    if (op == '/') {
        if (b == 0 && !isnan(a))
            return fn_div_by_zero(err);
        r = a / b;
    }
    if (single) /* one rounding more does no harm: double has more than twice the digits of float */
        r = (double)(float)r;
    if (isinf(r) && !isinf(a) && (op == '/' || !isinf(b)))
        return overflow(err);
    if (r == 0 && op == '*' && a != 0 && b != 0)
        return underflow(err);
    if (r == 0 && op == '/' && a != 0 && !isinf(b))
        return underflow(err);
    return give(ret, r);
}

#define ARITHMETIC(name_, op_)                                                                                         \
    FN_IMPL(float4_##name_) {                                                                                          \
        FN_UNUSED;                                                                                                     \
        return arithmetic(op_, real(&arg[0]), real(&arg[1]), true, ret, err);                                          \
    }                                                                                                                  \
    FN_IMPL(float8_##name_) {                                                                                          \
        FN_UNUSED;                                                                                                     \
        return arithmetic(op_, real(&arg[0]), real(&arg[1]), false, ret, err);                                         \
    }
ARITHMETIC(add, '+')
ARITHMETIC(sub, '-')
ARITHMETIC(mul, '*')
ARITHMETIC(div, '/')

static int compare(double a, double b) {
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return a < b ? -1 : a > b;
}

#define COMPARE(name_, op_)                                                                                            \
    FN_IMPL(float_##name_) {                                                                                           \
        FN_UNUSED;                                                                                                     \
        return fn_bool(ret, compare(real(&arg[0]), real(&arg[1])) op_ 0);                                              \
    }
COMPARE(eq, ==)
COMPARE(ne, !=)
COMPARE(lt, <)
COMPARE(le, <=)
COMPARE(gt, >)
COMPARE(ge, >=)

FN_IMPL(float_cmp) {
    FN_UNUSED;
    return fn_int(ret, compare(real(&arg[0]), real(&arg[1])));
}

FN_IMPL(float_larger) {
    FN_UNUSED;
    *ret = compare(real(&arg[0]), real(&arg[1])) > 0 ? arg[0] : arg[1];
    return RC_OK;
}

FN_IMPL(float_smaller) {
    FN_UNUSED;
    *ret = compare(real(&arg[0]), real(&arg[1])) < 0 ? arg[0] : arg[1];
    return RC_OK;
}

FN_IMPL(float_same) {
    FN_UNUSED;
    *ret = arg[0];
    return RC_OK;
}

FN_IMPL(float_neg) {
    FN_UNUSED;
    return give(ret, -real(&arg[0]));
}

FN_IMPL(float_abs) {
    FN_UNUSED;
    return give(ret, fabs(real(&arg[0])));
}

/* ---- functions ------------------------------------------------------------------------------------------------------ */

#define PLAIN(name_, c_)                                                                                               \
    FN_IMPL(float_##name_) {                                                                                           \
        FN_UNUSED;                                                                                                     \
        return give(ret, c_(real(&arg[0])));                                                                           \
    }
PLAIN(ceil, ceil)
PLAIN(floor, floor)
PLAIN(trunc, trunc)
PLAIN(round, rint)
PLAIN(atan, atan)
PLAIN(tanh, tanh)
PLAIN(asinh, asinh)

FN_IMPL(float_sign) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return give(ret, r > 0 ? 1 : r < 0 ? -1 : 0);
}

/* Functions that have no value at infinity. */
#define FINITE(name_, c_)                                                                                              \
    FN_IMPL(float_##name_) {                                                                                           \
        FN_UNUSED;                                                                                                     \
        double r = real(&arg[0]);                                                                                      \
        return isinf(r) ? outside(err) : give(ret, c_(r));                                                             \
    }
FINITE(sin, sin)
FINITE(cos, cos)
FINITE(tan, tan)

FN_IMPL(float_cot) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return isinf(r) ? outside(err) : give(ret, 1 / tan(r));
}

FN_IMPL(float_sinh) {
    FN_UNUSED;
    return give(ret, sinh(real(&arg[0]))); /* to infinity without an error, as there */
}

FN_IMPL(float_cosh) {
    FN_UNUSED;
    double r = cosh(real(&arg[0]));
    return r == 0 ? underflow(err) : give(ret, r);
}

static enum rc within(double r, double low, double high, double of_r, struct value *ret, struct err *err) {
    if (!isnan(r) && (r < low || r > high))
        return outside(err);
    return give(ret, of_r);
}

FN_IMPL(float_asin) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return within(r, -1, 1, asin(r), ret, err);
}

FN_IMPL(float_acos) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return within(r, -1, 1, acos(r), ret, err);
}

FN_IMPL(float_acosh) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return within(r, 1, HUGE_VAL, acosh(r), ret, err);
}

FN_IMPL(float_atanh) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return within(r, -1, 1, r == 1 ? HUGE_VAL : r == -1 ? -HUGE_VAL : atanh(r), ret, err);
}

FN_IMPL(float_atan2) {
    FN_UNUSED;
    return give(ret, atan2(real(&arg[0]), real(&arg[1])));
}

FN_IMPL(float_cbrt) {
    FN_UNUSED;
    return give(ret, cbrt(real(&arg[0])));
}

FN_IMPL(float_degrees) {
    FN_UNUSED;
    double a = real(&arg[0]), r = a / (M_PI / 180.0);
    return isinf(r) && !isinf(a) ? overflow(err) : give(ret, r);
}

FN_IMPL(float_radians) {
    FN_UNUSED;
    double a = real(&arg[0]), r = a * (M_PI / 180.0);
    return r == 0 && a != 0 ? underflow(err) : give(ret, r);
}

FN_IMPL(float_pi) {
    FN_UNUSED;
    return give(ret, M_PI);
}

FN_IMPL(float_sqrt) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return r < 0 ? err_sql(err, "2201F", "cannot take square root of a negative number") : give(ret, sqrt(r));
}

FN_IMPL(float_exp) {
    FN_UNUSED;
    double a = real(&arg[0]), r = exp(a);
    if (isinf(r) && !isinf(a))
        return overflow(err);
    return r == 0 && !isinf(a) ? underflow(err) : give(ret, r);
}

static enum rc logarithm(double a, double r, struct value *ret, struct err *err) {
    if (a == 0)
        return err_sql(err, "2201E", "cannot take logarithm of zero");
    if (a < 0)
        return err_sql(err, "2201E", "cannot take logarithm of a negative number");
    return give(ret, r);
}

FN_IMPL(float_ln) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return logarithm(r, log(r), ret, err);
}

FN_IMPL(float_log10) {
    FN_UNUSED;
    double r = real(&arg[0]);
    return logarithm(r, log10(r), ret, err);
}

FN_IMPL(float_power) {
    FN_UNUSED;
    double a = real(&arg[0]), b = real(&arg[1]);
    if (isnan(a) || isnan(b))
        return give(ret, (isnan(a) && b == 0) || (isnan(b) && a == 1) ? 1 : (double)NAN);
    if (a == 0 && b < 0)
        return err_sql(err, "2201F", "zero raised to a negative power is undefined");
    if (a < 0 && floor(b) != b)
        return err_sql(err, "2201F", "a negative number raised to a non-integer power yields a complex result");
    double r = pow(a, b);
    if (isinf(r) && !isinf(a) && !isinf(b))
        return overflow(err);
    if (r == 0 && a != 0 && !isinf(a) && !isinf(b))
        return underflow(err);
    return give(ret, r);
}

static enum rc bad_bucket(const char *what, struct err *err) {
    return err_sql(err, "2201G", "%s", what);
}

/* Which of n equal parts of low .. high (or high .. low) the value is in: 0 and n + 1 outside. */
FN_IMPL(float_width_bucket) {
    FN_UNUSED;
    double v = real(&arg[0]), low = real(&arg[1]), high = real(&arg[2]);
    int64_t n = arg[3].i;
    if (n <= 0)
        return bad_bucket("count must be greater than zero", err);
    if (isnan(v) || isnan(low) || isnan(high))
        return bad_bucket("operand, lower bound, and upper bound cannot be NaN", err);
    if (isinf(low) || isinf(high))
        return bad_bucket("lower and upper bounds must be finite", err);
    if (low == high)
        return bad_bucket("lower bound cannot equal upper bound", err);
    bool up = low < high;
    if (up ? v < low : v > low)
        return fn_int(ret, 0);
    if (up ? v >= high : v <= high)
        return n >= INT32_MAX ? fn_out_of_range("integer", err) : fn_int(ret, n + 1);
    /* halves, so that the difference does not overflow */
    double width = high / 2 - low / 2, from = v / 2 - low / 2;
    int64_t k = (int64_t)((double)n * (from / width));
    return fn_int(ret, (k >= n ? n - 1 : k) + 1);
}

/* A random number of 53 bits in [0, 1). */
FN_IMPL(float_random) {
    FN_UNUSED;
    if (!env->random)
        return err_sql(err, "0A000", "random() cannot be used here");
    return give(ret, (double)(env->random(env->ctx) >> 11) * 0x1p-53);
}

/* ---- casts ---------------------------------------------------------------------------------------------------------- */

/* Half to even; the ends are exact doubles. */
static enum rc to_int(double r, double low, double end, const char *type, struct value *ret, struct err *err) {
    r = rint(r);
    if (!(r >= low && r < end))
        return fn_out_of_range(type, err);
    return fn_int(ret, (int64_t)r);
}

FN_IMPL(float_to_int2) {
    FN_UNUSED;
    return to_int(real(&arg[0]), INT16_MIN, -(double)INT16_MIN, "smallint", ret, err);
}

FN_IMPL(float_to_int4) {
    FN_UNUSED;
    return to_int(real(&arg[0]), INT32_MIN, -(double)INT32_MIN, "integer", ret, err);
}

FN_IMPL(float_to_int8) {
    FN_UNUSED;
    return to_int(real(&arg[0]), -0x1p63, 0x1p63, "bigint", ret, err);
}

FN_IMPL(int_to_float8) {
    FN_UNUSED;
    return give(ret, (double)arg[0].i);
}

FN_IMPL(int_to_float4) {
    FN_UNUSED;
    return give(ret, (double)(float)arg[0].i);
}

FN_IMPL(float8_to_float4) {
    FN_UNUSED;
    double a = real(&arg[0]), r = (double)(float)a;
    if (isinf(r) && !isinf(a))
        return overflow(err);
    return r == 0 && a != 0 ? underflow(err) : give(ret, r);
}

static enum rc to_numeric(const struct fn_env *env, double r, bool single, struct value *ret, struct err *err) {
    struct dec d;
    dec_init(&d);
    if (single)
        dec_from_float(&d, (float)r);
    else
        dec_from_double(&d, r);
    enum rc rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

FN_IMPL(float4_to_numeric) {
    FN_UNUSED;
    return to_numeric(env, real(&arg[0]), true, ret, err);
}

FN_IMPL(float8_to_numeric) {
    FN_UNUSED;
    return to_numeric(env, real(&arg[0]), false, ret, err);
}

static const struct fn fns[] = {
    FN(202, "float4mul", "*", STRICT, COL_FLOAT4, float4_mul, COL_FLOAT4, COL_FLOAT4),
    FN(203, "float4div", "/", STRICT, COL_FLOAT4, float4_div, COL_FLOAT4, COL_FLOAT4),
    FN(204, "float4pl", "+", STRICT, COL_FLOAT4, float4_add, COL_FLOAT4, COL_FLOAT4),
    FN(205, "float4mi", "-", STRICT, COL_FLOAT4, float4_sub, COL_FLOAT4, COL_FLOAT4),
    FN(206, "float4um", "-", STRICT, COL_FLOAT4, float_neg, COL_FLOAT4),
    FN(207, "float4abs", "@", STRICT, COL_FLOAT4, float_abs, COL_FLOAT4),
    FN(209, "float4larger", NULL, STRICT, COL_FLOAT4, float_larger, COL_FLOAT4, COL_FLOAT4),
    FN(211, "float4smaller", NULL, STRICT, COL_FLOAT4, float_smaller, COL_FLOAT4, COL_FLOAT4),
    FN(216, "float8mul", "*", STRICT, COL_FLOAT8, float8_mul, COL_FLOAT8, COL_FLOAT8),
    FN(217, "float8div", "/", STRICT, COL_FLOAT8, float8_div, COL_FLOAT8, COL_FLOAT8),
    FN(218, "float8pl", "+", STRICT, COL_FLOAT8, float8_add, COL_FLOAT8, COL_FLOAT8),
    FN(219, "float8mi", "-", STRICT, COL_FLOAT8, float8_sub, COL_FLOAT8, COL_FLOAT8),
    FN(220, "float8um", "-", STRICT, COL_FLOAT8, float_neg, COL_FLOAT8),
    FN(221, "float8abs", "@", STRICT, COL_FLOAT8, float_abs, COL_FLOAT8),
    FN(223, "float8larger", NULL, STRICT, COL_FLOAT8, float_larger, COL_FLOAT8, COL_FLOAT8),
    FN(224, "float8smaller", NULL, STRICT, COL_FLOAT8, float_smaller, COL_FLOAT8, COL_FLOAT8),
    FN(228, "dround", NULL, STRICT, COL_FLOAT8, float_round, COL_FLOAT8),
    FN(229, "dtrunc", NULL, STRICT, COL_FLOAT8, float_trunc, COL_FLOAT8),
    FN(230, "dsqrt", "|/", STRICT, COL_FLOAT8, float_sqrt, COL_FLOAT8),
    FN(231, "dcbrt", "||/", STRICT, COL_FLOAT8, float_cbrt, COL_FLOAT8),
    FN(232, "dpow", "^", STRICT, COL_FLOAT8, float_power, COL_FLOAT8, COL_FLOAT8),
    FN(233, "dexp", NULL, STRICT, COL_FLOAT8, float_exp, COL_FLOAT8),
    FN(234, "dlog1", NULL, STRICT, COL_FLOAT8, float_ln, COL_FLOAT8),
    FN(235, "float8", NULL, STRICT, COL_FLOAT8, int_to_float8, COL_INT2),
    FN(236, "float4", NULL, STRICT, COL_FLOAT4, int_to_float4, COL_INT2),
    FN(237, "int2", NULL, STRICT, COL_INT2, float_to_int2, COL_FLOAT8),
    FN(238, "int2", NULL, STRICT, COL_INT2, float_to_int2, COL_FLOAT4),
    FN(279, "float48mul", "*", STRICT, COL_FLOAT8, float8_mul, COL_FLOAT4, COL_FLOAT8),
    FN(280, "float48div", "/", STRICT, COL_FLOAT8, float8_div, COL_FLOAT4, COL_FLOAT8),
    FN(281, "float48pl", "+", STRICT, COL_FLOAT8, float8_add, COL_FLOAT4, COL_FLOAT8),
    FN(282, "float48mi", "-", STRICT, COL_FLOAT8, float8_sub, COL_FLOAT4, COL_FLOAT8),
    FN(283, "float84mul", "*", STRICT, COL_FLOAT8, float8_mul, COL_FLOAT8, COL_FLOAT4),
    FN(284, "float84div", "/", STRICT, COL_FLOAT8, float8_div, COL_FLOAT8, COL_FLOAT4),
    FN(285, "float84pl", "+", STRICT, COL_FLOAT8, float8_add, COL_FLOAT8, COL_FLOAT4),
    FN(286, "float84mi", "-", STRICT, COL_FLOAT8, float8_sub, COL_FLOAT8, COL_FLOAT4),
    FN(287, "float4eq", "=", STRICT, COL_BOOL, float_eq, COL_FLOAT4, COL_FLOAT4),
    FN(288, "float4ne", "<>", STRICT, COL_BOOL, float_ne, COL_FLOAT4, COL_FLOAT4),
    FN(289, "float4lt", "<", STRICT, COL_BOOL, float_lt, COL_FLOAT4, COL_FLOAT4),
    FN(290, "float4le", "<=", STRICT, COL_BOOL, float_le, COL_FLOAT4, COL_FLOAT4),
    FN(291, "float4gt", ">", STRICT, COL_BOOL, float_gt, COL_FLOAT4, COL_FLOAT4),
    FN(292, "float4ge", ">=", STRICT, COL_BOOL, float_ge, COL_FLOAT4, COL_FLOAT4),
    FN(293, "float8eq", "=", STRICT, COL_BOOL, float_eq, COL_FLOAT8, COL_FLOAT8),
    FN(294, "float8ne", "<>", STRICT, COL_BOOL, float_ne, COL_FLOAT8, COL_FLOAT8),
    FN(295, "float8lt", "<", STRICT, COL_BOOL, float_lt, COL_FLOAT8, COL_FLOAT8),
    FN(296, "float8le", "<=", STRICT, COL_BOOL, float_le, COL_FLOAT8, COL_FLOAT8),
    FN(297, "float8gt", ">", STRICT, COL_BOOL, float_gt, COL_FLOAT8, COL_FLOAT8),
    FN(298, "float8ge", ">=", STRICT, COL_BOOL, float_ge, COL_FLOAT8, COL_FLOAT8),
    FN(299, "float48eq", "=", STRICT, COL_BOOL, float_eq, COL_FLOAT4, COL_FLOAT8),
    FN(300, "float48ne", "<>", STRICT, COL_BOOL, float_ne, COL_FLOAT4, COL_FLOAT8),
    FN(301, "float48lt", "<", STRICT, COL_BOOL, float_lt, COL_FLOAT4, COL_FLOAT8),
    FN(302, "float48le", "<=", STRICT, COL_BOOL, float_le, COL_FLOAT4, COL_FLOAT8),
    FN(303, "float48gt", ">", STRICT, COL_BOOL, float_gt, COL_FLOAT4, COL_FLOAT8),
    FN(304, "float48ge", ">=", STRICT, COL_BOOL, float_ge, COL_FLOAT4, COL_FLOAT8),
    FN(305, "float84eq", "=", STRICT, COL_BOOL, float_eq, COL_FLOAT8, COL_FLOAT4),
    FN(306, "float84ne", "<>", STRICT, COL_BOOL, float_ne, COL_FLOAT8, COL_FLOAT4),
    FN(307, "float84lt", "<", STRICT, COL_BOOL, float_lt, COL_FLOAT8, COL_FLOAT4),
    FN(308, "float84le", "<=", STRICT, COL_BOOL, float_le, COL_FLOAT8, COL_FLOAT4),
    FN(309, "float84gt", ">", STRICT, COL_BOOL, float_gt, COL_FLOAT8, COL_FLOAT4),
    FN(310, "float84ge", ">=", STRICT, COL_BOOL, float_ge, COL_FLOAT8, COL_FLOAT4),
    FN(311, "float8", NULL, STRICT, COL_FLOAT8, float_same, COL_FLOAT4),
    FN(312, "float4", NULL, STRICT, COL_FLOAT4, float8_to_float4, COL_FLOAT8),
    FN(316, "float8", NULL, STRICT, COL_FLOAT8, int_to_float8, COL_INT4),
    FN(317, "int4", NULL, STRICT, COL_INT4, float_to_int4, COL_FLOAT8),
    FN(318, "float4", NULL, STRICT, COL_FLOAT4, int_to_float4, COL_INT4),
    FN(319, "int4", NULL, STRICT, COL_INT4, float_to_int4, COL_FLOAT4),
    FN(320, "width_bucket", NULL, STRICT, COL_INT4, float_width_bucket, COL_FLOAT8, COL_FLOAT8, COL_FLOAT8, COL_INT4),
    FN(354, "btfloat4cmp", NULL, STRICT, COL_INT4, float_cmp, COL_FLOAT4, COL_FLOAT4),
    FN(355, "btfloat8cmp", NULL, STRICT, COL_INT4, float_cmp, COL_FLOAT8, COL_FLOAT8),
    FN(482, "float8", NULL, STRICT, COL_FLOAT8, int_to_float8, COL_INT8),
    FN(483, "int8", NULL, STRICT, COL_INT8, float_to_int8, COL_FLOAT8),
    FN(652, "float4", NULL, STRICT, COL_FLOAT4, int_to_float4, COL_INT8),
    FN(653, "int8", NULL, STRICT, COL_INT8, float_to_int8, COL_FLOAT4),
    FN(1194, "log10", NULL, STRICT, COL_FLOAT8, float_log10, COL_FLOAT8),
    FN(1339, "dlog10", NULL, STRICT, COL_FLOAT8, float_log10, COL_FLOAT8),
    FN(1340, "log", NULL, STRICT, COL_FLOAT8, float_log10, COL_FLOAT8),
    FN(1341, "ln", NULL, STRICT, COL_FLOAT8, float_ln, COL_FLOAT8),
    FN(1342, "round", NULL, STRICT, COL_FLOAT8, float_round, COL_FLOAT8),
    FN(1343, "trunc", NULL, STRICT, COL_FLOAT8, float_trunc, COL_FLOAT8),
    FN(1344, "sqrt", NULL, STRICT, COL_FLOAT8, float_sqrt, COL_FLOAT8),
    FN(1345, "cbrt", NULL, STRICT, COL_FLOAT8, float_cbrt, COL_FLOAT8),
    FN(1346, "pow", NULL, STRICT, COL_FLOAT8, float_power, COL_FLOAT8, COL_FLOAT8),
    FN(1347, "exp", NULL, STRICT, COL_FLOAT8, float_exp, COL_FLOAT8),
    FN(1368, "power", NULL, STRICT, COL_FLOAT8, float_power, COL_FLOAT8, COL_FLOAT8),
    FN(1394, "abs", NULL, STRICT, COL_FLOAT4, float_abs, COL_FLOAT4),
    FN(1395, "abs", NULL, STRICT, COL_FLOAT8, float_abs, COL_FLOAT8),
    FN(1598, "random", NULL, STRICT | VOLATILE, COL_FLOAT8, float_random),
    FN(1600, "asin", NULL, STRICT, COL_FLOAT8, float_asin, COL_FLOAT8),
    FN(1601, "acos", NULL, STRICT, COL_FLOAT8, float_acos, COL_FLOAT8),
    FN(1602, "atan", NULL, STRICT, COL_FLOAT8, float_atan, COL_FLOAT8),
    FN(1603, "atan2", NULL, STRICT, COL_FLOAT8, float_atan2, COL_FLOAT8, COL_FLOAT8),
    FN(1604, "sin", NULL, STRICT, COL_FLOAT8, float_sin, COL_FLOAT8),
    FN(1605, "cos", NULL, STRICT, COL_FLOAT8, float_cos, COL_FLOAT8),
    FN(1606, "tan", NULL, STRICT, COL_FLOAT8, float_tan, COL_FLOAT8),
    FN(1607, "cot", NULL, STRICT, COL_FLOAT8, float_cot, COL_FLOAT8),
    FN(1608, "degrees", NULL, STRICT, COL_FLOAT8, float_degrees, COL_FLOAT8),
    FN(1609, "radians", NULL, STRICT, COL_FLOAT8, float_radians, COL_FLOAT8),
    FN(1610, "pi", NULL, STRICT, COL_FLOAT8, float_pi),
    FN(1742, "numeric", NULL, STRICT, COL_NUMERIC, float4_to_numeric, COL_FLOAT4),
    FN(1743, "numeric", NULL, STRICT, COL_NUMERIC, float8_to_numeric, COL_FLOAT8),
    FN(1913, "float4up", "+", STRICT, COL_FLOAT4, float_same, COL_FLOAT4),
    FN(1914, "float8up", "+", STRICT, COL_FLOAT8, float_same, COL_FLOAT8),
    FN(2308, "ceil", NULL, STRICT, COL_FLOAT8, float_ceil, COL_FLOAT8),
    FN(2309, "floor", NULL, STRICT, COL_FLOAT8, float_floor, COL_FLOAT8),
    FN(2310, "sign", NULL, STRICT, COL_FLOAT8, float_sign, COL_FLOAT8),
    FN(2320, "ceiling", NULL, STRICT, COL_FLOAT8, float_ceil, COL_FLOAT8),
    FN(2462, "sinh", NULL, STRICT, COL_FLOAT8, float_sinh, COL_FLOAT8),
    FN(2463, "cosh", NULL, STRICT, COL_FLOAT8, float_cosh, COL_FLOAT8),
    FN(2464, "tanh", NULL, STRICT, COL_FLOAT8, float_tanh, COL_FLOAT8),
    FN(2465, "asinh", NULL, STRICT, COL_FLOAT8, float_asinh, COL_FLOAT8),
    FN(2466, "acosh", NULL, STRICT, COL_FLOAT8, float_acosh, COL_FLOAT8),
    FN(2467, "atanh", NULL, STRICT, COL_FLOAT8, float_atanh, COL_FLOAT8),
};

const struct fn_table fn_table_float = {fns, ARRAY_LEN(fns)};
