/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_int.c: bool, smallint, integer, bigint and oid: arithmetic, comparison, bits, casts among them.
 *
 * All of these are int64 values, so one comparison serves every pair of widths; what differs is where a result overflows. The
 * comparisons also serve dates, times and timestamps.
 */
#include <stdio.h>
#include <string.h>

#include "sql/functions/fn_int.h"

#define COMPARE(name_, op_)                                                                                            \
    FN_COMPARE(name_) {                                                                                                \
        FN_UNUSED;                                                                                                     \
        return fn_bool(ret, arg[0].i op_ arg[1].i);                                                                    \
    }
COMPARE(int_eq, ==)
COMPARE(int_ne, !=)
COMPARE(int_lt, <)
COMPARE(int_le, <=)
COMPARE(int_gt, >)
COMPARE(int_ge, >=)

FN_COMPARE(int_cmp) {
    FN_UNUSED;
    return fn_int(ret, arg[0].i < arg[1].i ? -1 : arg[0].i > arg[1].i);
}

FN_COMPARE(int_same) {
    FN_UNUSED;
    *ret = arg[0];
    return RC_OK;
}

FN_COMPARE(int_larger) {
    FN_UNUSED;
    return fn_int(ret, arg[0].i > arg[1].i ? arg[0].i : arg[1].i);
}

FN_COMPARE(int_smaller) {
    FN_UNUSED;
    return fn_int(ret, arg[0].i < arg[1].i ? arg[0].i : arg[1].i);
}

/* ---- arithmetic ---------------------------------------------------------------------------------------------------- */

static enum rc ranged(struct value *ret, bool over, int64_t i, int width, struct err *err) {
    if (over || (width == 2 && i != (int16_t)i) || (width == 4 && i != (int32_t)i))
        return fn_out_of_range(width == 2 ? "smallint" : width == 4 ? "integer" : "bigint", err);
    return fn_int(ret, i);
}

#define ARITHMETIC(width_)                                                                                             \
    FN_IMPL(int##width_##_add) {                                                                                       \
        int64_t r;                                                                                                     \
        FN_UNUSED;                                                                                                     \
        bool over = __builtin_add_overflow(arg[0].i, arg[1].i, &r);                                                    \
        return ranged(ret, over, r, width_, err);                                                                      \
    }                                                                                                                  \
    FN_IMPL(int##width_##_sub) {                                                                                       \
        int64_t r;                                                                                                     \
        FN_UNUSED;                                                                                                     \
        bool over = __builtin_sub_overflow(arg[0].i, arg[1].i, &r);                                                    \
        return ranged(ret, over, r, width_, err);                                                                      \
    }                                                                                                                  \
    FN_IMPL(int##width_##_mul) {                                                                                       \
        int64_t r;                                                                                                     \
        FN_UNUSED;                                                                                                     \
        bool over = __builtin_mul_overflow(arg[0].i, arg[1].i, &r);                                                    \
        return ranged(ret, over, r, width_, err);                                                                      \
    }                                                                                                                  \
    FN_IMPL(int##width_##_div) {                                                                                       \
        FN_UNUSED;                                                                                                     \
        if (arg[1].i == 0)                                                                                             \
            return fn_div_by_zero(err);                                                                                \
        bool over = arg[0].i == INT64_MIN && arg[1].i == -1;                                                           \
        return ranged(ret, over, over ? 0 : arg[0].i / arg[1].i, width_, err);                                         \
    }                                                                                                                  \
    FN_IMPL(int##width_##_mod) {                                                                                       \
        FN_UNUSED;                                                                                                     \
        if (arg[1].i == 0)                                                                                             \
            return fn_div_by_zero(err);                                                                                \
        return fn_int(ret, arg[1].i == -1 ? 0 : arg[0].i % arg[1].i);                                                  \
    }                                                                                                                  \
    FN_IMPL(int##width_##_neg) {                                                                                       \
        FN_UNUSED;                                                                                                     \
        bool over = arg[0].i == INT64_MIN;                                                                             \
        return ranged(ret, over, over ? 0 : -arg[0].i, width_, err);                                                   \
    }                                                                                                                  \
    FN_IMPL(int##width_##_abs) {                                                                                       \
        FN_UNUSED;                                                                                                     \
        bool over = arg[0].i == INT64_MIN;                                                                             \
        return ranged(ret, over, over ? 0 : arg[0].i < 0 ? -arg[0].i : arg[0].i, width_, err);                         \
    }
ARITHMETIC(2)
ARITHMETIC(4)
ARITHMETIC(8)

/* Shifts count modulo the width; a smallint is shifted as an integer and then cut, as C does it. */
FN_IMPL(int2_shl) {
    FN_UNUSED;
    return fn_int(ret, (int16_t)((uint32_t)arg[0].i << (arg[1].i & 31)));
}

FN_IMPL(int2_shr) {
    FN_UNUSED;
    return fn_int(ret, (int16_t)arg[0].i >> (arg[1].i & 31));
}

FN_IMPL(int4_shl) {
    FN_UNUSED;
    return fn_int(ret, (int32_t)((uint32_t)arg[0].i << (arg[1].i & 31)));
}

FN_IMPL(int4_shr) {
    FN_UNUSED;
    return fn_int(ret, (int32_t)arg[0].i >> (arg[1].i & 31));
}

FN_IMPL(int8_shl) {
    FN_UNUSED;
    return fn_int(ret, (int64_t)((uint64_t)arg[0].i << (arg[1].i & 63)));
}

FN_IMPL(int8_shr) {
    FN_UNUSED;
    return fn_int(ret, arg[0].i >> (arg[1].i & 63));
}

FN_IMPL(int_and) {
    FN_UNUSED;
    return fn_int(ret, arg[0].i & arg[1].i);
}

FN_IMPL(int_or) {
    FN_UNUSED;
    return fn_int(ret, arg[0].i | arg[1].i);
}

FN_IMPL(int_xor) {
    FN_UNUSED;
    return fn_int(ret, arg[0].i ^ arg[1].i);
}

FN_IMPL(int_not) {
    FN_UNUSED;
    return fn_int(ret, ~arg[0].i);
}

static uint64_t magnitude(int64_t i) {
    return i < 0 ? -(uint64_t)i : (uint64_t)i;
}

static uint64_t gcd(uint64_t a, uint64_t b) {
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static enum rc give_gcd(const struct value *arg, int width, struct value *ret, struct err *err) {
    uint64_t g = gcd(magnitude(arg[0].i), magnitude(arg[1].i));
    return ranged(ret, g > INT64_MAX, (int64_t)g, width, err);
}

static enum rc give_lcm(const struct value *arg, int width, struct value *ret, struct err *err) {
    uint64_t a = magnitude(arg[0].i), b = magnitude(arg[1].i), r;
    if (!a || !b)
        return fn_int(ret, 0);
    bool over = __builtin_mul_overflow(a / gcd(a, b), b, &r) || r > INT64_MAX;
    return ranged(ret, over, over ? 0 : (int64_t)r, width, err);
}

FN_IMPL(int4_gcd) {
    FN_UNUSED;
    return give_gcd(arg, 4, ret, err);
}

FN_IMPL(int8_gcd) {
    FN_UNUSED;
    return give_gcd(arg, 8, ret, err);
}

FN_IMPL(int4_lcm) {
    FN_UNUSED;
    return give_lcm(arg, 4, ret, err);
}

FN_IMPL(int8_lcm) {
    FN_UNUSED;
    return give_lcm(arg, 8, ret, err);
}

static enum rc give_hex(const struct fn_env *env, uint64_t u, struct value *ret, struct err *err) {
    char text[20];
    int n = snprintf(text, sizeof text, "%llx", (unsigned long long)u);
    return fn_give_text(env, text, (size_t)n, ret, err);
}

FN_IMPL(int4_hex) {
    FN_UNUSED;
    return give_hex(env, (uint32_t)arg[0].i, ret, err);
}

FN_IMPL(int8_hex) {
    FN_UNUSED;
    return give_hex(env, (uint64_t)arg[0].i, ret, err);
}

/* ---- casts ---------------------------------------------------------------------------------------------------------- */

FN_IMPL(int2_cast) {
    FN_UNUSED;
    return ranged(ret, false, arg[0].i, 2, err);
}

FN_IMPL(int4_cast) {
    FN_UNUSED;
    return ranged(ret, false, arg[0].i, 4, err);
}

FN_IMPL(int_to_bool) {
    FN_UNUSED;
    return fn_bool(ret, arg[0].i != 0);
}

FN_IMPL(int_to_oid) {
    FN_UNUSED;
    if (arg[0].i < 0 || arg[0].i > UINT32_MAX)
        return fn_out_of_range("OID", err);
    return fn_int(ret, arg[0].i);
}

FN_IMPL(bool_to_text) {
    FN_UNUSED;
    *ret = arg[0].i ? value_text("true", 4) : value_text("false", 5);
    return RC_OK;
}

static const struct fn fns[] = {
    FN(56, "boollt", "<", STRICT, COL_BOOL, int_lt, COL_BOOL, COL_BOOL),
    FN(57, "boolgt", ">", STRICT, COL_BOOL, int_gt, COL_BOOL, COL_BOOL),
    FN(60, "booleq", "=", STRICT, COL_BOOL, int_eq, COL_BOOL, COL_BOOL),
    FN(63, "int2eq", "=", STRICT, COL_BOOL, int_eq, COL_INT2, COL_INT2),
    FN(64, "int2lt", "<", STRICT, COL_BOOL, int_lt, COL_INT2, COL_INT2),
    FN(65, "int4eq", "=", STRICT, COL_BOOL, int_eq, COL_INT4, COL_INT4),
    FN(66, "int4lt", "<", STRICT, COL_BOOL, int_lt, COL_INT4, COL_INT4),
    FN(84, "boolne", "<>", STRICT, COL_BOOL, int_ne, COL_BOOL, COL_BOOL),
    FN(141, "int4mul", "*", STRICT, COL_INT4, int4_mul, COL_INT4, COL_INT4),
    FN(144, "int4ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT4, COL_INT4),
    FN(145, "int2ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT2, COL_INT2),
    FN(146, "int2gt", ">", STRICT, COL_BOOL, int_gt, COL_INT2, COL_INT2),
    FN(147, "int4gt", ">", STRICT, COL_BOOL, int_gt, COL_INT4, COL_INT4),
    FN(148, "int2le", "<=", STRICT, COL_BOOL, int_le, COL_INT2, COL_INT2),
    FN(149, "int4le", "<=", STRICT, COL_BOOL, int_le, COL_INT4, COL_INT4),
    FN(150, "int4ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT4, COL_INT4),
    FN(151, "int2ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT2, COL_INT2),
    FN(152, "int2mul", "*", STRICT, COL_INT2, int2_mul, COL_INT2, COL_INT2),
    FN(153, "int2div", "/", STRICT, COL_INT2, int2_div, COL_INT2, COL_INT2),
    FN(154, "int4div", "/", STRICT, COL_INT4, int4_div, COL_INT4, COL_INT4),
    FN(155, "int2mod", "%", STRICT, COL_INT2, int2_mod, COL_INT2, COL_INT2),
    FN(156, "int4mod", "%", STRICT, COL_INT4, int4_mod, COL_INT4, COL_INT4),
    FN(158, "int24eq", "=", STRICT, COL_BOOL, int_eq, COL_INT2, COL_INT4),
    FN(159, "int42eq", "=", STRICT, COL_BOOL, int_eq, COL_INT4, COL_INT2),
    FN(160, "int24lt", "<", STRICT, COL_BOOL, int_lt, COL_INT2, COL_INT4),
    FN(161, "int42lt", "<", STRICT, COL_BOOL, int_lt, COL_INT4, COL_INT2),
    FN(162, "int24gt", ">", STRICT, COL_BOOL, int_gt, COL_INT2, COL_INT4),
    FN(163, "int42gt", ">", STRICT, COL_BOOL, int_gt, COL_INT4, COL_INT2),
    FN(164, "int24ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT2, COL_INT4),
    FN(165, "int42ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT4, COL_INT2),
    FN(166, "int24le", "<=", STRICT, COL_BOOL, int_le, COL_INT2, COL_INT4),
    FN(167, "int42le", "<=", STRICT, COL_BOOL, int_le, COL_INT4, COL_INT2),
    FN(168, "int24ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT2, COL_INT4),
    FN(169, "int42ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT4, COL_INT2),
    FN(170, "int24mul", "*", STRICT, COL_INT4, int4_mul, COL_INT2, COL_INT4),
    FN(171, "int42mul", "*", STRICT, COL_INT4, int4_mul, COL_INT4, COL_INT2),
    FN(172, "int24div", "/", STRICT, COL_INT4, int4_div, COL_INT2, COL_INT4),
    FN(173, "int42div", "/", STRICT, COL_INT4, int4_div, COL_INT4, COL_INT2),
    FN(176, "int2pl", "+", STRICT, COL_INT2, int2_add, COL_INT2, COL_INT2),
    FN(177, "int4pl", "+", STRICT, COL_INT4, int4_add, COL_INT4, COL_INT4),
    FN(178, "int24pl", "+", STRICT, COL_INT4, int4_add, COL_INT2, COL_INT4),
    FN(179, "int42pl", "+", STRICT, COL_INT4, int4_add, COL_INT4, COL_INT2),
    FN(180, "int2mi", "-", STRICT, COL_INT2, int2_sub, COL_INT2, COL_INT2),
    FN(181, "int4mi", "-", STRICT, COL_INT4, int4_sub, COL_INT4, COL_INT4),
    FN(182, "int24mi", "-", STRICT, COL_INT4, int4_sub, COL_INT2, COL_INT4),
    FN(183, "int42mi", "-", STRICT, COL_INT4, int4_sub, COL_INT4, COL_INT2),
    FN(184, "oideq", "=", STRICT, COL_BOOL, int_eq, COL_OID, COL_OID),
    FN(185, "oidne", "<>", STRICT, COL_BOOL, int_ne, COL_OID, COL_OID),
    FN(212, "int4um", "-", STRICT, COL_INT4, int4_neg, COL_INT4),
    FN(213, "int2um", "-", STRICT, COL_INT2, int2_neg, COL_INT2),
    FN(313, "int4", NULL, STRICT, COL_INT4, int_same, COL_INT2),
    FN(314, "int2", NULL, STRICT, COL_INT2, int2_cast, COL_INT4),
    FN(350, "btint2cmp", NULL, STRICT, COL_INT4, int_cmp, COL_INT2, COL_INT2),
    FN(351, "btint4cmp", NULL, STRICT, COL_INT4, int_cmp, COL_INT4, COL_INT4),
    FN(462, "int8um", "-", STRICT, COL_INT8, int8_neg, COL_INT8),
    FN(463, "int8pl", "+", STRICT, COL_INT8, int8_add, COL_INT8, COL_INT8),
    FN(464, "int8mi", "-", STRICT, COL_INT8, int8_sub, COL_INT8, COL_INT8),
    FN(465, "int8mul", "*", STRICT, COL_INT8, int8_mul, COL_INT8, COL_INT8),
    FN(466, "int8div", "/", STRICT, COL_INT8, int8_div, COL_INT8, COL_INT8),
    FN(467, "int8eq", "=", STRICT, COL_BOOL, int_eq, COL_INT8, COL_INT8),
    FN(468, "int8ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT8, COL_INT8),
    FN(469, "int8lt", "<", STRICT, COL_BOOL, int_lt, COL_INT8, COL_INT8),
    FN(470, "int8gt", ">", STRICT, COL_BOOL, int_gt, COL_INT8, COL_INT8),
    FN(471, "int8le", "<=", STRICT, COL_BOOL, int_le, COL_INT8, COL_INT8),
    FN(472, "int8ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT8, COL_INT8),
    FN(474, "int84eq", "=", STRICT, COL_BOOL, int_eq, COL_INT8, COL_INT4),
    FN(475, "int84ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT8, COL_INT4),
    FN(476, "int84lt", "<", STRICT, COL_BOOL, int_lt, COL_INT8, COL_INT4),
    FN(477, "int84gt", ">", STRICT, COL_BOOL, int_gt, COL_INT8, COL_INT4),
    FN(478, "int84le", "<=", STRICT, COL_BOOL, int_le, COL_INT8, COL_INT4),
    FN(479, "int84ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT8, COL_INT4),
    FN(480, "int4", NULL, STRICT, COL_INT4, int4_cast, COL_INT8),
    FN(481, "int8", NULL, STRICT, COL_INT8, int_same, COL_INT4),
    FN(714, "int2", NULL, STRICT, COL_INT2, int2_cast, COL_INT8),
    FN(716, "oidlt", "<", STRICT, COL_BOOL, int_lt, COL_OID, COL_OID),
    FN(717, "oidle", "<=", STRICT, COL_BOOL, int_le, COL_OID, COL_OID),
    FN(754, "int8", NULL, STRICT, COL_INT8, int_same, COL_INT2),
    FN(768, "int4larger", NULL, STRICT, COL_INT4, int_larger, COL_INT4, COL_INT4),
    FN(769, "int4smaller", NULL, STRICT, COL_INT4, int_smaller, COL_INT4, COL_INT4),
    FN(770, "int2larger", NULL, STRICT, COL_INT2, int_larger, COL_INT2, COL_INT2),
    FN(771, "int2smaller", NULL, STRICT, COL_INT2, int_smaller, COL_INT2, COL_INT2),
    FN(837, "int82pl", "+", STRICT, COL_INT8, int8_add, COL_INT8, COL_INT2),
    FN(838, "int82mi", "-", STRICT, COL_INT8, int8_sub, COL_INT8, COL_INT2),
    FN(839, "int82mul", "*", STRICT, COL_INT8, int8_mul, COL_INT8, COL_INT2),
    FN(840, "int82div", "/", STRICT, COL_INT8, int8_div, COL_INT8, COL_INT2),
    FN(841, "int28pl", "+", STRICT, COL_INT8, int8_add, COL_INT2, COL_INT8),
    FN(842, "btint8cmp", NULL, STRICT, COL_INT4, int_cmp, COL_INT8, COL_INT8),
    FN(852, "int48eq", "=", STRICT, COL_BOOL, int_eq, COL_INT4, COL_INT8),
    FN(853, "int48ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT4, COL_INT8),
    FN(854, "int48lt", "<", STRICT, COL_BOOL, int_lt, COL_INT4, COL_INT8),
    FN(855, "int48gt", ">", STRICT, COL_BOOL, int_gt, COL_INT4, COL_INT8),
    FN(856, "int48le", "<=", STRICT, COL_BOOL, int_le, COL_INT4, COL_INT8),
    FN(857, "int48ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT4, COL_INT8),
    FN(940, "mod", NULL, STRICT, COL_INT2, int2_mod, COL_INT2, COL_INT2),
    FN(941, "mod", NULL, STRICT, COL_INT4, int4_mod, COL_INT4, COL_INT4),
    FN(942, "int28mi", "-", STRICT, COL_INT8, int8_sub, COL_INT2, COL_INT8),
    FN(943, "int28mul", "*", STRICT, COL_INT8, int8_mul, COL_INT2, COL_INT8),
    FN(945, "int8mod", "%", STRICT, COL_INT8, int8_mod, COL_INT8, COL_INT8),
    FN(947, "mod", NULL, STRICT, COL_INT8, int8_mod, COL_INT8, COL_INT8),
    FN(948, "int28div", "/", STRICT, COL_INT8, int8_div, COL_INT2, COL_INT8),
    FN(1230, "int8abs", "@", STRICT, COL_INT8, int8_abs, COL_INT8),
    FN(1236, "int8larger", NULL, STRICT, COL_INT8, int_larger, COL_INT8, COL_INT8),
    FN(1237, "int8smaller", NULL, STRICT, COL_INT8, int_smaller, COL_INT8, COL_INT8),
    FN(1251, "int4abs", "@", STRICT, COL_INT4, int4_abs, COL_INT4),
    FN(1253, "int2abs", "@", STRICT, COL_INT2, int2_abs, COL_INT2),
    FN(1274, "int84pl", "+", STRICT, COL_INT8, int8_add, COL_INT8, COL_INT4),
    FN(1275, "int84mi", "-", STRICT, COL_INT8, int8_sub, COL_INT8, COL_INT4),
    FN(1276, "int84mul", "*", STRICT, COL_INT8, int8_mul, COL_INT8, COL_INT4),
    FN(1277, "int84div", "/", STRICT, COL_INT8, int8_div, COL_INT8, COL_INT4),
    FN(1278, "int48pl", "+", STRICT, COL_INT8, int8_add, COL_INT4, COL_INT8),
    FN(1279, "int48mi", "-", STRICT, COL_INT8, int8_sub, COL_INT4, COL_INT8),
    FN(1280, "int48mul", "*", STRICT, COL_INT8, int8_mul, COL_INT4, COL_INT8),
    FN(1281, "int48div", "/", STRICT, COL_INT8, int8_div, COL_INT4, COL_INT8),
    FN(1287, "oid", NULL, STRICT, COL_OID, int_to_oid, COL_INT8),
    FN(1288, "int8", NULL, STRICT, COL_INT8, int_same, COL_OID),
    FN(1396, "abs", NULL, STRICT, COL_INT8, int8_abs, COL_INT8),
    FN(1397, "abs", NULL, STRICT, COL_INT4, int4_abs, COL_INT4),
    FN(1398, "abs", NULL, STRICT, COL_INT2, int2_abs, COL_INT2),
    FN(1638, "oidgt", ">", STRICT, COL_BOOL, int_gt, COL_OID, COL_OID),
    FN(1639, "oidge", ">=", STRICT, COL_BOOL, int_ge, COL_OID, COL_OID),
    FN(1691, "boolle", "<=", STRICT, COL_BOOL, int_le, COL_BOOL, COL_BOOL),
    FN(1692, "boolge", ">=", STRICT, COL_BOOL, int_ge, COL_BOOL, COL_BOOL),
    FN(1850, "int28eq", "=", STRICT, COL_BOOL, int_eq, COL_INT2, COL_INT8),
    FN(1851, "int28ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT2, COL_INT8),
    FN(1852, "int28lt", "<", STRICT, COL_BOOL, int_lt, COL_INT2, COL_INT8),
    FN(1853, "int28gt", ">", STRICT, COL_BOOL, int_gt, COL_INT2, COL_INT8),
    FN(1854, "int28le", "<=", STRICT, COL_BOOL, int_le, COL_INT2, COL_INT8),
    FN(1855, "int28ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT2, COL_INT8),
    FN(1856, "int82eq", "=", STRICT, COL_BOOL, int_eq, COL_INT8, COL_INT2),
    FN(1857, "int82ne", "<>", STRICT, COL_BOOL, int_ne, COL_INT8, COL_INT2),
    FN(1858, "int82lt", "<", STRICT, COL_BOOL, int_lt, COL_INT8, COL_INT2),
    FN(1859, "int82gt", ">", STRICT, COL_BOOL, int_gt, COL_INT8, COL_INT2),
    FN(1860, "int82le", "<=", STRICT, COL_BOOL, int_le, COL_INT8, COL_INT2),
    FN(1861, "int82ge", ">=", STRICT, COL_BOOL, int_ge, COL_INT8, COL_INT2),
    FN(1892, "int2and", "&", STRICT, COL_INT2, int_and, COL_INT2, COL_INT2),
    FN(1893, "int2or", "|", STRICT, COL_INT2, int_or, COL_INT2, COL_INT2),
    FN(1894, "int2xor", "#", STRICT, COL_INT2, int_xor, COL_INT2, COL_INT2),
    FN(1895, "int2not", "~", STRICT, COL_INT2, int_not, COL_INT2),
    FN(1896, "int2shl", "<<", STRICT, COL_INT2, int2_shl, COL_INT2, COL_INT4),
    FN(1897, "int2shr", ">>", STRICT, COL_INT2, int2_shr, COL_INT2, COL_INT4),
    FN(1898, "int4and", "&", STRICT, COL_INT4, int_and, COL_INT4, COL_INT4),
    FN(1899, "int4or", "|", STRICT, COL_INT4, int_or, COL_INT4, COL_INT4),
    FN(1900, "int4xor", "#", STRICT, COL_INT4, int_xor, COL_INT4, COL_INT4),
    FN(1901, "int4not", "~", STRICT, COL_INT4, int_not, COL_INT4),
    FN(1902, "int4shl", "<<", STRICT, COL_INT4, int4_shl, COL_INT4, COL_INT4),
    FN(1903, "int4shr", ">>", STRICT, COL_INT4, int4_shr, COL_INT4, COL_INT4),
    FN(1904, "int8and", "&", STRICT, COL_INT8, int_and, COL_INT8, COL_INT8),
    FN(1905, "int8or", "|", STRICT, COL_INT8, int_or, COL_INT8, COL_INT8),
    FN(1906, "int8xor", "#", STRICT, COL_INT8, int_xor, COL_INT8, COL_INT8),
    FN(1907, "int8not", "~", STRICT, COL_INT8, int_not, COL_INT8),
    FN(1908, "int8shl", "<<", STRICT, COL_INT8, int8_shl, COL_INT8, COL_INT4),
    FN(1909, "int8shr", ">>", STRICT, COL_INT8, int8_shr, COL_INT8, COL_INT4),
    FN(1910, "int8up", "+", STRICT, COL_INT8, int_same, COL_INT8),
    FN(1911, "int2up", "+", STRICT, COL_INT2, int_same, COL_INT2),
    FN(1912, "int4up", "+", STRICT, COL_INT4, int_same, COL_INT4),
    FN(1965, "oidlarger", NULL, STRICT, COL_OID, int_larger, COL_OID, COL_OID),
    FN(1966, "oidsmaller", NULL, STRICT, COL_OID, int_smaller, COL_OID, COL_OID),
    FN(2089, "to_hex", NULL, STRICT, COL_TEXT, int4_hex, COL_INT4),
    FN(2090, "to_hex", NULL, STRICT, COL_TEXT, int8_hex, COL_INT8),
    FN(2557, "bool", NULL, STRICT, COL_BOOL, int_to_bool, COL_INT4),
    FN(2558, "int4", NULL, STRICT, COL_INT4, int_same, COL_BOOL),
    FN(2971, "text", NULL, STRICT, COL_TEXT, bool_to_text, COL_BOOL),
    FN(5044, "gcd", NULL, STRICT, COL_INT4, int4_gcd, COL_INT4, COL_INT4),
    FN(5045, "gcd", NULL, STRICT, COL_INT8, int8_gcd, COL_INT8, COL_INT8),
    FN(5046, "lcm", NULL, STRICT, COL_INT4, int4_lcm, COL_INT4, COL_INT4),
    FN(5047, "lcm", NULL, STRICT, COL_INT8, int8_lcm, COL_INT8, COL_INT8),
};

const struct fn_table fn_table_int = {fns, ARRAY_LEN(fns)};
