/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/anyvalue.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int64_t any_int(struct rng *r, int64_t lo, int64_t hi) {
    uint64_t width = (uint64_t)hi - (uint64_t)lo, step = rng_below(r, 3);
    if (step > width)
        step = width;
    switch (rng_below(r, 6)) {
    case 0:
        return lo + (int64_t)step;
    case 1:
        return hi - (int64_t)step;
    case 2: { /* near a power of two: where the number of bytes changes */
        int64_t i = (int64_t)(UINT64_C(1) << rng_below(r, 63)) - (int64_t)rng_below(r, 3);
        i = rng_chance(r, 0.5) ? i : -i;
        return i < lo ? lo : i > hi ? hi : i;
    }
    case 3:
    case 4: {
        int64_t i = rng_range(r, -300, 300);
        return i < lo ? lo : i > hi ? hi : i;
    }
    default:
        return rng_range(r, lo, hi);
    }
}

static struct value any_float(struct rng *r, bool single) {
    static const double edges[] = {0.0, -0.0, 1, -1, DBL_MAX, -DBL_MAX, DBL_MIN, 0x1p-1074, -0x1p-1074, 0.5, 0x1p63};
    union {
        uint64_t u;
        double d;
    } bits = {rng_u64(r)};
    double d = bits.d;
    switch (rng_below(r, 5)) {
    case 0:
        d = edges[rng_below(r, ARRAY_LEN(edges))];
        break;
    case 1:
        d = (double)rng_range(r, -50, 50) / 4;
        break;
    case 2:
        d = rng_chance(r, 0.3) ? (double)NAN : rng_chance(r, 0.5) ? (double)INFINITY : -(double)INFINITY;
        break;
    default:
        break;
    }
    if (single && !isnan(d) && !isinf(d))
        d = fabs(d) > (double)FLT_MAX ? copysign((double)FLT_MAX, d) : (double)(float)d;
    return value_float(d);
}

static struct value any_numeric_text(struct rng *r, const struct col *c, struct arena *a) {
    int precision = 60, scale = (int)rng_below(r, rng_chance(r, 0.1) ? 60 : 6);
    bool limited = col_numeric_limits(c, &precision, &scale);
    if (rng_chance(r, 0.05))
        return value_text("NaN", 3);
    if (!limited && rng_chance(r, 0.05))
        return rng_chance(r, 0.5) ? value_text("Infinity", 8) : value_text("-Infinity", 9);
    int shown = scale > 0 ? scale : 0;
    int whole = precision - scale > 0 ? (int)rng_below(r, (uint64_t)(precision - scale) + 1) : 0;
    if (rng_chance(r, 0.7) && whole > 3)
        whole = (int)rng_below(r, 4);
    if (whole + (scale < 0 ? scale : 0) <= 0 && scale < 0)
        whole = 0;
    char *t = arena_alloc(a, (size_t)(whole + shown) + 4), *w = t;
    CHECK(t);
    bool neg = rng_chance(r, 0.5), nonzero = false;
    if (neg)
        *w++ = '-';
    if (!whole)
        *w++ = '0';
    int zeros_from = (int)rng_below(r, (uint64_t)(whole + shown) + 1); /* so that zeros at the end are common */
    for (int i = 0; i < whole + shown; i++) {
        if (i == whole)
            *w++ = '.';
        char digit = (char)('0' + rng_below(r, 10));
        if (i > zeros_from || (i == whole && rng_chance(r, 0.3)))
            digit = '0';
        if (i == 0 && whole && digit == '0')
            digit = '1';
        /* numeric(2,4) has two zeros after the point */
        if (limited && scale > precision && i < scale - precision)
            digit = '0';
        if (limited && scale < 0 && i >= whole + scale) /* numeric(3,-2): 12300 */
            digit = '0';
        nonzero |= digit != '0';
        *w++ = digit;
    }
    if (neg && !nonzero)
        t++;
    return value_text(t, (size_t)(w - t));
}

static struct value any_numeric(struct rng *r, const struct col *c, struct arena *a) {
    int precision, scale;
    if (!col_numeric_is_int(c, NULL))
        return any_numeric_text(r, c, a);
    CHECK(col_numeric_limits(c, &precision, &scale));
    int64_t end = 1;
    for (int i = 0; i < precision; i++)
        end *= 10;
    if (rng_chance(r, 0.03))
        return value_int(COL_NUMERIC_INT_NAN);
    return value_int(any_int(r, 1 - end, end - 1));
}

static struct value any_bytes(struct rng *r, bool text, size_t max, struct arena *a) {
    static const uint8_t letters[] = {0, 0, 1, 0xff, 0xfe, 'a', 'b', ' ', 2};
    static const uint8_t plain[] = {1, 2, 'a', 'b', ' ', '~', 0x7f};
    size_t n = rng_below(r, rng_chance(r, 0.1) ? 40 : 5);
    if (n > max)
        n = max;
    uint8_t *p = arena_alloc(a, n + 1);
    CHECK(p);
    for (size_t i = 0; i < n; i++)
        p[i] = text                 ? plain[rng_below(r, sizeof plain)]
               : rng_chance(r, 0.8) ? letters[rng_below(r, sizeof letters)]
                                    : (uint8_t)rng_u64(r);
    return text ? value_text(p, n) : value_blob(p, n);
}

struct value any_value(struct rng *r, const struct col *c, struct arena *a) {
    struct value v;
    switch (c->type) {
    case COL_BOOL:
        return value_int((int64_t)rng_below(r, 2));
    case COL_INT2:
        return value_int(any_int(r, INT16_MIN, INT16_MAX));
    case COL_INT4:
        return value_int(any_int(r, INT32_MIN, INT32_MAX));
    case COL_OID:
        return value_int(any_int(r, 0, UINT32_MAX));
    case COL_DATE:
        v = value_int(any_int(r, INT32_MIN, INT32_MAX));
        return col_check(c, &v, NULL) ? value_int(COL_DATE_INF) : v;
    case COL_TIME:
        return value_int(any_int(r, 0, COL_DAY_US));
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        v = value_int(any_int(r, INT64_MIN, INT64_MAX));
        return col_check(c, &v, NULL) ? value_int(COL_TS_NEG_INF) : v;
    case COL_FLOAT4:
    case COL_FLOAT8:
        return any_float(r, c->type == COL_FLOAT4);
    case COL_NUMERIC:
        return any_numeric(r, c, a);
    case COL_TEXT:
        return any_bytes(r, true, SIZE_MAX, a);
    case COL_VARCHAR:
        return any_bytes(r, true, (size_t)(col_length_max(c) < 0 ? INT32_MAX : col_length_max(c)), a);
    case COL_CHAR:
        v = any_bytes(r, true, (size_t)(col_length_max(c) < 0 ? INT32_MAX : col_length_max(c)), a);
        while (v.bytes && ((const char *)v.p)[v.bytes - 1] == ' ')
            v.bytes--;
        return v;
    case COL_BYTEA:
        return any_bytes(r, false, SIZE_MAX, a);
    case COL_UUID: {
        uint8_t *p = arena_alloc(a, 16);
        CHECK(p);
        for (int i = 0; i < 16; i++)
            p[i] = rng_chance(r, 0.9) ? (i < 14 ? 0 : (uint8_t)(255 * rng_below(r, 2))) : (uint8_t)rng_u64(r);
        return value_blob(p, 16);
    }
    default:
        return value_int(any_int(r, INT64_MIN, INT64_MAX));
    }
}

struct col any_key_col(struct rng *r) {
    static const enum col_type types[] = {COL_BOOL,    COL_INT2,    COL_INT4, COL_INT8,  COL_FLOAT4, COL_FLOAT8,
                                          COL_NUMERIC, COL_TEXT,    COL_CHAR, COL_BYTEA, COL_DATE,   COL_TIME,
                                          COL_VARCHAR, COL_NUMERIC, COL_UUID, COL_ENUM,  COL_OID,    COL_TIMESTAMPTZ};
    struct col c = col_of(types[rng_below(r, ARRAY_LEN(types))]);
    if (c.type == COL_NUMERIC && rng_chance(r, 0.7)) {
        int precision = (int)rng_range(r, 1, 30);
        c = col_numeric(precision, (int)rng_range(r, -3, precision + 2));
    } else if ((c.type == COL_VARCHAR || c.type == COL_CHAR) && rng_chance(r, 0.5))
        c = col_length(c.type, (int)rng_range(r, 1, 10));
    else if (c.type == COL_ENUM)
        c.type_id = 1;
    return c;
}
