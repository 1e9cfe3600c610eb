/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_numeric.c: numeric, by decimal.h.
 *
 * Most numbers are short: what fits an int64 is added, subtracted and multiplied there, without GMP.
 */
#include <string.h>

#include "shard/store/pgnum.h"
#include "sql/functions/fn_internal.h"

enum { SHORT_DIGITS = 18 };

/* ---- short numbers -------------------------------------------------------------------------------------------------- */

static const int64_t tens[SHORT_DIGITS + 1] = {1,
                                               10,
                                               100,
                                               1000,
                                               10000,
                                               100000,
                                               1000000,
                                               10000000,
                                               100000000,
                                               1000000000,
                                               10000000000,
                                               100000000000,
                                               1000000000000,
                                               10000000000000,
                                               100000000000000,
                                               1000000000000000,
                                               10000000000000000,
                                               100000000000000000,
                                               1000000000000000000};

bool fn_brief(const struct value *text, int64_t *ret, int *ret_scale) {
    const char *p = text->p;
    uint32_t n = text->bytes;
    if (text->kind != VALUE_TEXT || n > SHORT_DIGITS + 2)
        return false;
    bool neg = n && p[0] == '-', point = false;
    int64_t v = 0;
    int scale = 0, digits = 0;
    for (uint32_t i = neg; i < n; i++) {
        if (p[i] == '.' && !point) {
            point = true;
        } else if (p[i] >= '0' && p[i] <= '9' && digits < SHORT_DIGITS) {
            v = v * 10 + (p[i] - '0');
            scale += point;
            digits++;
        } else {
            return false;
        }
    }
    *ret = neg ? -v : v;
    *ret_scale = scale;
    return digits > 0;
}

static enum rc give_brief(const struct fn_env *env, int64_t v, int scale, struct value *ret, struct err *err) {
    char text[2 * SHORT_DIGITS + 4], *p = text + sizeof text;
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    for (int i = 0; u || i <= scale; i++) {
        if (scale && i == scale)
            *--p = '.';
        *--p = (char)('0' + u % 10);
        u /= 10;
    }
    if (v < 0)
        *--p = '-';
    return fn_give_text(env, p, (size_t)(text + sizeof text - p), ret, err);
}

/* False: too long for this way. */
static bool brief_arithmetic(char op, const struct value *arg, int64_t *ret, int *ret_scale) {
    int64_t a, b;
    int a_scale, b_scale;
    if (!fn_brief(&arg[0], &a, &a_scale) || !fn_brief(&arg[1], &b, &b_scale))
        return false;
    if (op == '*') {
        *ret_scale = a_scale + b_scale;
        return *ret_scale <= SHORT_DIGITS && !__builtin_mul_overflow(a, b, ret);
    }
    int scale = a_scale > b_scale ? a_scale : b_scale;
    *ret_scale = scale;
    if (__builtin_mul_overflow(a, tens[scale - a_scale], &a) || __builtin_mul_overflow(b, tens[scale - b_scale], &b))
        return false;
    return op == '+' ? !__builtin_add_overflow(a, b, ret) : !__builtin_sub_overflow(a, b, ret);
}

/* ---- one and two operands ------------------------------------------------------------------------------------------- */

typedef enum rc dec_one(struct dec *ret, const struct dec *a, struct err *err);
typedef enum rc dec_two(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err);

static enum rc one(const struct fn_env *env, const struct value *arg, dec_one *f, struct value *ret, struct err *err) {
    struct dec d;
    dec_init(&d);
    enum rc rc = fn_dec(&arg[0], &d, err);
    if (!rc)
        rc = f(&d, &d, err);
    if (!rc)
        rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

static enum rc two(const struct fn_env *env, const struct value *arg, dec_two *f, struct value *ret, struct err *err) {
    struct dec a, b;
    dec_init(&a);
    dec_init(&b);
    enum rc rc = fn_dec(&arg[0], &a, err);
    if (!rc)
        rc = fn_dec(&arg[1], &b, err);
    if (!rc)
        rc = f(&a, &a, &b, err);
    if (!rc)
        rc = fn_give_dec(env, &a, ret, err);
    dec_done(&a);
    dec_done(&b);
    return rc;
}

#define BRIEF_TWO(name_, op_)                                                                                          \
    FN_IMPL(numeric_##name_) {                                                                                         \
        int64_t r;                                                                                                     \
        int scale;                                                                                                     \
        FN_UNUSED;                                                                                                     \
        if (brief_arithmetic(op_, arg, &r, &scale))                                                                    \
            return give_brief(env, r, scale, ret, err);                                                                \
        return two(env, arg, dec_##name_, ret, err);                                                                   \
    }
BRIEF_TWO(add, '+')
BRIEF_TWO(sub, '-')
BRIEF_TWO(mul, '*')

#define TWO(name_, f_)                                                                                                 \
    FN_IMPL(numeric_##name_) {                                                                                         \
        FN_UNUSED;                                                                                                     \
        return two(env, arg, f_, ret, err);                                                                            \
    }
TWO(div, dec_div)
TWO(div_whole, dec_div_whole)
TWO(mod, dec_mod)
TWO(power, dec_power)
TWO(log, dec_log)

#define ONE(name_, f_)                                                                                                 \
    FN_IMPL(numeric_##name_) {                                                                                         \
        FN_UNUSED;                                                                                                     \
        return one(env, arg, f_, ret, err);                                                                            \
    }

static enum rc negate(struct dec *ret, const struct dec *a, struct err *err) {
    (void)err;
    dec_neg(ret, a);
    return RC_OK;
}

static enum rc absolute(struct dec *ret, const struct dec *a, struct err *err) {
    (void)err;
    dec_abs(ret, a);
    return RC_OK;
}

static enum rc sign(struct dec *ret, const struct dec *a, struct err *err) {
    (void)err;
    if (a->kind != DEC_NAN)
        dec_set_int(ret, dec_sign(a));
    return RC_OK;
}

static enum rc round_whole(struct dec *ret, const struct dec *a, struct err *err) {
    return dec_round(ret, a, 0, err);
}

static enum rc trunc_whole(struct dec *ret, const struct dec *a, struct err *err) {
    (void)err;
    dec_trunc(ret, a, 0);
    return RC_OK;
}

static enum rc trim(struct dec *ret, const struct dec *a, struct err *err) {
    (void)err;
    dec_trim(ret, a);
    return RC_OK;
}

static enum rc log10_of(struct dec *ret, const struct dec *a, struct err *err) {
    struct dec ten;
    dec_init(&ten);
    dec_set_int(&ten, 10);
    enum rc rc = dec_log(ret, &ten, a, err);
    dec_done(&ten);
    return rc;
}

ONE(neg, negate)
ONE(abs, absolute)
ONE(sign, sign)
ONE(round0, round_whole)
ONE(trunc0, trunc_whole)
ONE(ceil, dec_ceil)
ONE(floor, dec_floor)
ONE(sqrt, dec_sqrt)
ONE(exp, dec_exp)
ONE(ln, dec_ln)
ONE(log10, log10_of)
ONE(trim, trim)

FN_IMPL(numeric_same) {
    FN_UNUSED;
    *ret = arg[0];
    return RC_OK;
}

static int32_t clamp(int64_t scale) {
    return scale > DEC_SCALE_MAX           ? DEC_SCALE_MAX
           : scale < -DEC_WHOLE_DIGITS_MAX ? -DEC_WHOLE_DIGITS_MAX
                                           : (int32_t)scale;
}

FN_IMPL(numeric_round) {
    struct dec d;
    FN_UNUSED;
    dec_init(&d);
    enum rc rc = fn_dec(&arg[0], &d, err);
    if (!rc)
        rc = dec_round(&d, &d, clamp(arg[1].i), err);
    if (!rc)
        rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

FN_IMPL(numeric_trunc) {
    struct dec d;
    FN_UNUSED;
    dec_init(&d);
    enum rc rc = fn_dec(&arg[0], &d, err);
    if (!rc)
        dec_trunc(&d, &d, clamp(arg[1].i));
    if (!rc)
        rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

/* The digits after the point; min: without zeros at the end. */
static enum rc give_scale(const struct value *v, bool min, struct value *ret, struct err *err) {
    struct dec d;
    dec_init(&d);
    enum rc rc = fn_dec(v, &d, err);
    if (!rc && min)
        dec_trim(&d, &d);
    if (!rc)
        *ret = d.kind == DEC_FINITE ? value_int(d.scale) : value_null();
    dec_done(&d);
    return rc;
}

FN_IMPL(numeric_scale) {
    FN_UNUSED;
    return give_scale(arg, false, ret, err);
}

FN_IMPL(numeric_min_scale) {
    FN_UNUSED;
    return give_scale(arg, true, ret, err);
}

static enum rc bad_bucket(const char *what, struct err *err) {
    return err_sql(err, "2201G", "%s", what);
}

/* n * (v - low) / (high - low), whole; high > low. */
static enum rc bucket(struct dec *v, const struct dec *low, const struct dec *high, int64_t n, int64_t *ret,
                      struct err *err) {
    struct dec width, count;
    dec_init(&width);
    dec_init(&count);
    dec_set_int(&count, n);
    enum rc rc = dec_sub(&width, high, low, err);
    if (!rc)
        rc = dec_sub(v, v, low, err);
    if (!rc)
        rc = dec_mul(v, v, &count, err);
    if (!rc)
        rc = dec_div_whole(v, v, &width, err);
    if (!rc)
        rc = dec_to_int(v, 0, INT32_MAX - 1, "integer", ret, err);
    dec_done(&width);
    dec_done(&count);
    return rc;
}

static enum rc find_bucket(struct dec *d, int64_t n, int64_t *ret, struct err *err) {
    if (n <= 0)
        return bad_bucket("count must be greater than zero", err);
    if (d[0].kind == DEC_NAN || d[1].kind == DEC_NAN || d[2].kind == DEC_NAN)
        return bad_bucket("operand, lower bound, and upper bound cannot be NaN", err);
    if (d[1].kind != DEC_FINITE || d[2].kind != DEC_FINITE)
        return bad_bucket("lower and upper bounds must be finite", err);
    int c = dec_compare(&d[1], &d[2]);
    if (c == 0)
        return bad_bucket("lower bound cannot equal upper bound", err);
    int64_t k = 0;
    bool below = dec_compare(&d[0], &d[1]) * c > 0, beyond = dec_compare(&d[0], &d[2]) * c <= 0;
    enum rc rc = RC_OK;
    if (beyond)
        rc = n >= INT32_MAX ? fn_out_of_range("integer", err) : RC_OK;
    else if (!below && c > 0) { /* downwards: all with the other sign */
        for (int i = 0; i < 3; i++)
            dec_neg(&d[i], &d[i]);
    }
    if (!rc && !below && !beyond)
        rc = bucket(&d[0], &d[1], &d[2], n, &k, err);
    *ret = below ? 0 : beyond ? n + 1 : k + 1;
    return rc;
}

FN_IMPL(numeric_width_bucket) {
    struct dec d[3];
    FN_UNUSED;
    enum rc rc = RC_OK;
    int64_t k = 0;
    for (int i = 0; i < 3; i++)
        dec_init(&d[i]);
    for (int i = 0; i < 3 && !rc; i++)
        rc = fn_dec(&arg[i], &d[i], err);
    if (!rc)
        rc = find_bucket(d, arg[3].i, &k, err);
    for (int i = 0; i < 3; i++)
        dec_done(&d[i]);
    *ret = value_int(k);
    return rc;
}

/* n!; its length is known to be too much long before it is computed. */
FN_IMPL(numeric_factorial) {
    enum { FACTORIAL_MAX = 32177 };
    struct dec d;
    FN_UNUSED;
    if (arg[0].i < 0)
        return err_sql(err, "22003", "factorial of a negative number is undefined");
    if (arg[0].i > FACTORIAL_MAX)
        return err_sql(err, "22003", "value overflows numeric format");
    dec_init(&d);
    mpz_fac_ui(d.z, (unsigned long)arg[0].i);
    enum rc rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

/* ---- comparison ----------------------------------------------------------------------------------------------------- */

static int compare(const struct value *arg) {
    return pgnum_compare(arg[0].p, arg[0].bytes, arg[1].p, arg[1].bytes);
}

#define COMPARE(name_, op_)                                                                                            \
    FN_IMPL(numeric_##name_) {                                                                                         \
        FN_UNUSED;                                                                                                     \
        return fn_bool(ret, compare(arg) op_ 0);                                                                       \
    }
COMPARE(eq, ==)
COMPARE(ne, !=)
COMPARE(lt, <)
COMPARE(le, <=)
COMPARE(gt, >)
COMPARE(ge, >=)

FN_IMPL(numeric_cmp) {
    FN_UNUSED;
    return fn_int(ret, compare(arg));
}

FN_IMPL(numeric_larger) {
    FN_UNUSED;
    *ret = compare(arg) > 0 ? arg[0] : arg[1];
    return RC_OK;
}

FN_IMPL(numeric_smaller) {
    FN_UNUSED;
    *ret = compare(arg) < 0 ? arg[0] : arg[1];
    return RC_OK;
}

/* ---- casts ---------------------------------------------------------------------------------------------------------- */

FN_IMPL(int_to_numeric) {
    FN_UNUSED;
    if (arg[0].i > -tens[SHORT_DIGITS] && arg[0].i < tens[SHORT_DIGITS])
        return give_brief(env, arg[0].i, 0, ret, err);
    struct dec d;
    dec_init(&d);
    dec_set_int(&d, arg[0].i);
    enum rc rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

static enum rc to_int(const struct value *v, int64_t min, int64_t max, const char *type, struct value *ret,
                      struct err *err) {
    struct dec d;
    int64_t i = 0;
    dec_init(&d);
    enum rc rc = fn_dec(v, &d, err);
    if (!rc)
        rc = dec_to_int(&d, min, max, type, &i, err);
    dec_done(&d);
    *ret = value_int(i);
    return rc;
}

FN_IMPL(numeric_to_int2) {
    FN_UNUSED;
    return to_int(arg, INT16_MIN, INT16_MAX, "smallint", ret, err);
}

FN_IMPL(numeric_to_int4) {
    FN_UNUSED;
    return to_int(arg, INT32_MIN, INT32_MAX, "integer", ret, err);
}

FN_IMPL(numeric_to_int8) {
    FN_UNUSED;
    return to_int(arg, INT64_MIN, INT64_MAX, "bigint", ret, err);
}

FN_IMPL(numeric_to_float8) {
    double r = 0;
    struct dec d;
    FN_UNUSED;
    dec_init(&d);
    enum rc rc = fn_dec(&arg[0], &d, err);
    if (!rc)
        rc = dec_to_double(&d, &r, err);
    dec_done(&d);
    *ret = value_float(r);
    return rc;
}

FN_IMPL(numeric_to_float4) {
    float r = 0;
    struct dec d;
    FN_UNUSED;
    dec_init(&d);
    enum rc rc = fn_dec(&arg[0], &d, err);
    if (!rc)
        rc = dec_to_float(&d, &r, err);
    dec_done(&d);
    *ret = value_float((double)r);
    return rc;
}

/* numeric(value, typmod): limits of numeric(p, s) */
FN_IMPL(numeric_limit) {
    struct dec d;
    struct col c = {.type = COL_NUMERIC, .typmod = (int32_t)arg[1].i};
    FN_UNUSED;
    if (col_valid(&c, NULL))
        c.typmod = COL_TYPMOD_NONE;
    dec_init(&d);
    enum rc rc = fn_dec(&arg[0], &d, err);
    if (!rc)
        rc = dec_limit(&d, c.typmod, err);
    if (!rc)
        rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

static const struct fn fns[] = {
    FN(1376, "factorial", NULL, STRICT, COL_NUMERIC, numeric_factorial, COL_INT8),
    FN(1481, "log10", NULL, STRICT, COL_NUMERIC, numeric_log10, COL_NUMERIC),
    FN(1703, "numeric", NULL, STRICT, COL_NUMERIC, numeric_limit, COL_NUMERIC, COL_INT4),
    FN(1704, "numeric_abs", "@", STRICT, COL_NUMERIC, numeric_abs, COL_NUMERIC),
    FN(1705, "abs", NULL, STRICT, COL_NUMERIC, numeric_abs, COL_NUMERIC),
    FN(1706, "sign", NULL, STRICT, COL_NUMERIC, numeric_sign, COL_NUMERIC),
    FN(1707, "round", NULL, STRICT, COL_NUMERIC, numeric_round, COL_NUMERIC, COL_INT4),
    FN(1708, "round", NULL, STRICT, COL_NUMERIC, numeric_round0, COL_NUMERIC),
    FN(1709, "trunc", NULL, STRICT, COL_NUMERIC, numeric_trunc, COL_NUMERIC, COL_INT4),
    FN(1710, "trunc", NULL, STRICT, COL_NUMERIC, numeric_trunc0, COL_NUMERIC),
    FN(1711, "ceil", NULL, STRICT, COL_NUMERIC, numeric_ceil, COL_NUMERIC),
    FN(1712, "floor", NULL, STRICT, COL_NUMERIC, numeric_floor, COL_NUMERIC),
    FN(1718, "numeric_eq", "=", STRICT, COL_BOOL, numeric_eq, COL_NUMERIC, COL_NUMERIC),
    FN(1719, "numeric_ne", "<>", STRICT, COL_BOOL, numeric_ne, COL_NUMERIC, COL_NUMERIC),
    FN(1720, "numeric_gt", ">", STRICT, COL_BOOL, numeric_gt, COL_NUMERIC, COL_NUMERIC),
    FN(1721, "numeric_ge", ">=", STRICT, COL_BOOL, numeric_ge, COL_NUMERIC, COL_NUMERIC),
    FN(1722, "numeric_lt", "<", STRICT, COL_BOOL, numeric_lt, COL_NUMERIC, COL_NUMERIC),
    FN(1723, "numeric_le", "<=", STRICT, COL_BOOL, numeric_le, COL_NUMERIC, COL_NUMERIC),
    FN(1724, "numeric_add", "+", STRICT, COL_NUMERIC, numeric_add, COL_NUMERIC, COL_NUMERIC),
    FN(1725, "numeric_sub", "-", STRICT, COL_NUMERIC, numeric_sub, COL_NUMERIC, COL_NUMERIC),
    FN(1726, "numeric_mul", "*", STRICT, COL_NUMERIC, numeric_mul, COL_NUMERIC, COL_NUMERIC),
    FN(1727, "numeric_div", "/", STRICT, COL_NUMERIC, numeric_div, COL_NUMERIC, COL_NUMERIC),
    FN(1728, "mod", NULL, STRICT, COL_NUMERIC, numeric_mod, COL_NUMERIC, COL_NUMERIC),
    FN(1729, "numeric_mod", "%", STRICT, COL_NUMERIC, numeric_mod, COL_NUMERIC, COL_NUMERIC),
    FN(1730, "sqrt", NULL, STRICT, COL_NUMERIC, numeric_sqrt, COL_NUMERIC),
    FN(1731, "numeric_sqrt", NULL, STRICT, COL_NUMERIC, numeric_sqrt, COL_NUMERIC),
    FN(1732, "exp", NULL, STRICT, COL_NUMERIC, numeric_exp, COL_NUMERIC),
    FN(1733, "numeric_exp", NULL, STRICT, COL_NUMERIC, numeric_exp, COL_NUMERIC),
    FN(1734, "ln", NULL, STRICT, COL_NUMERIC, numeric_ln, COL_NUMERIC),
    FN(1735, "numeric_ln", NULL, STRICT, COL_NUMERIC, numeric_ln, COL_NUMERIC),
    FN(1736, "log", NULL, STRICT, COL_NUMERIC, numeric_log, COL_NUMERIC, COL_NUMERIC),
    FN(1737, "numeric_log", NULL, STRICT, COL_NUMERIC, numeric_log, COL_NUMERIC, COL_NUMERIC),
    FN(1738, "pow", NULL, STRICT, COL_NUMERIC, numeric_power, COL_NUMERIC, COL_NUMERIC),
    FN(1739, "numeric_power", "^", STRICT, COL_NUMERIC, numeric_power, COL_NUMERIC, COL_NUMERIC),
    FN(1740, "numeric", NULL, STRICT, COL_NUMERIC, int_to_numeric, COL_INT4),
    FN(1741, "log", NULL, STRICT, COL_NUMERIC, numeric_log10, COL_NUMERIC),
    FN(1744, "int4", NULL, STRICT, COL_INT4, numeric_to_int4, COL_NUMERIC),
    FN(1745, "float4", NULL, STRICT, COL_FLOAT4, numeric_to_float4, COL_NUMERIC),
    FN(1746, "float8", NULL, STRICT, COL_FLOAT8, numeric_to_float8, COL_NUMERIC),
    FN(1766, "numeric_smaller", NULL, STRICT, COL_NUMERIC, numeric_smaller, COL_NUMERIC, COL_NUMERIC),
    FN(1767, "numeric_larger", NULL, STRICT, COL_NUMERIC, numeric_larger, COL_NUMERIC, COL_NUMERIC),
    FN(1769, "numeric_cmp", NULL, STRICT, COL_INT4, numeric_cmp, COL_NUMERIC, COL_NUMERIC),
    FN(1771, "numeric_uminus", "-", STRICT, COL_NUMERIC, numeric_neg, COL_NUMERIC),
    FN(1779, "int8", NULL, STRICT, COL_INT8, numeric_to_int8, COL_NUMERIC),
    FN(1781, "numeric", NULL, STRICT, COL_NUMERIC, int_to_numeric, COL_INT8),
    FN(1782, "numeric", NULL, STRICT, COL_NUMERIC, int_to_numeric, COL_INT2),
    FN(1783, "int2", NULL, STRICT, COL_INT2, numeric_to_int2, COL_NUMERIC),
    FN(1915, "numeric_uplus", "+", STRICT, COL_NUMERIC, numeric_same, COL_NUMERIC),
    FN(1973, "div", NULL, STRICT, COL_NUMERIC, numeric_div_whole, COL_NUMERIC, COL_NUMERIC),
    FN(1980, "numeric_div_trunc", NULL, STRICT, COL_NUMERIC, numeric_div_whole, COL_NUMERIC, COL_NUMERIC),
    FN(2167, "ceiling", NULL, STRICT, COL_NUMERIC, numeric_ceil, COL_NUMERIC),
    FN(2169, "power", NULL, STRICT, COL_NUMERIC, numeric_power, COL_NUMERIC, COL_NUMERIC),
    FN(2170, "width_bucket", NULL, STRICT, COL_INT4, numeric_width_bucket, COL_NUMERIC, COL_NUMERIC, COL_NUMERIC,
       COL_INT4),
    FN(3281, "scale", NULL, STRICT, COL_INT4, numeric_scale, COL_NUMERIC),
    FN(5042, "min_scale", NULL, STRICT, COL_INT4, numeric_min_scale, COL_NUMERIC),
    FN(5043, "trim_scale", NULL, STRICT, COL_NUMERIC, numeric_trim, COL_NUMERIC),
};

const struct fn_table fn_table_numeric = {fns, ARRAY_LEN(fns)};
