/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decimal.c: arithmetic on (kind, integer, scale). Everything is done on exact integers and rounded once, half away from
 * zero, to the scale that PostgreSQL gives the result.
 *
 * PostgreSQL keeps digits of base 10,000, and two of its rules can be seen from outside: the quotient's scale depends on
 * the operands' first such digit (div_scale), and the largest number is 10^131072 - 1, 32768 such digits.
 */
#include "shard/store/decimal.h"

#include <stdlib.h>
#include <string.h>

#include "shard/store/decimal_internal.h"

static_assert(sizeof(long) == sizeof(int64_t), "mpz's si functions take an int64_t");
static_assert(GMP_NUMB_BITS == 64, "limbs without nails");

void dec_init(struct dec *d) {
    d->kind = DEC_FINITE;
    d->scale = 0;
    mpz_init(d->z);
}

void dec_done(struct dec *d) {
    mpz_clear(d->z);
}

void dec_set(struct dec *d, const struct dec *from) {
    d->kind = from->kind;
    d->scale = from->scale;
    mpz_set(d->z, from->z);
}

void dec_set_int(struct dec *d, int64_t i) {
    d->kind = DEC_FINITE;
    d->scale = 0;
    mpz_set_si(d->z, i);
}

void dec_set_special(struct dec *d, enum dec_kind kind) {
    CHECK(kind != DEC_FINITE);
    d->kind = kind;
    d->scale = 0;
    mpz_set_ui(d->z, 0);
}

void dec_swap(struct dec *a, struct dec *b) {
    struct dec t = *a;
    *a = *b;
    *b = t;
}

/* ---- powers of ten, digits, rounding ----------------------------------------------------------------------------- */

static const uint64_t tens[20] = {
    1u,
    10u,
    100u,
    1000u,
    10000u,
    100000u,
    1000000u,
    10000000u,
    100000000u,
    1000000000u,
    10000000000u,
    100000000000u,
    1000000000000u,
    10000000000000u,
    100000000000000u,
    1000000000000000u,
    10000000000000000u,
    100000000000000000u,
    1000000000000000000u,
    10000000000000000000u,
};

void dec_pow10(mpz_t ret, uint32_t n) {
    if (n < ARRAY_LEN(tens))
        mpz_set_ui(ret, tens[n]);
    else
        mpz_ui_pow_ui(ret, 10, n);
}

void dec_shift_up(mpz_t z, uint32_t n) {
    if (n < ARRAY_LEN(tens)) {
        mpz_mul_ui(z, z, tens[n]);
        return;
    }
    mpz_t p;
    mpz_init(p);
    mpz_ui_pow_ui(p, 10, n);
    mpz_mul(z, z, p);
    mpz_clear(p);
}

void dec_shift_down(mpz_t z, uint32_t n, enum dec_rounding how) {
    mpz_t p;
    mpz_init(p);
    dec_pow10(p, n);
    dec_div_round(z, z, p, how);
    mpz_clear(p);
}

void dec_div_round(mpz_t ret, const mpz_t a, const mpz_t b, enum dec_rounding how) {
    mpz_t rest, divisor; /* ret may be b */
    mpz_init(rest);
    mpz_init_set(divisor, b);
    CHECK(mpz_sgn(divisor) != 0);
    int sign = mpz_sgn(a) * mpz_sgn(divisor);
    mpz_tdiv_qr(ret, rest, a, divisor);
    mpz_mul_2exp(rest, rest, 1);
    if (how == DEC_HALF_AWAY && mpz_cmpabs(rest, divisor) >= 0) {
        if (sign > 0)
            mpz_add_ui(ret, ret, 1);
        else
            mpz_sub_ui(ret, ret, 1);
    }
    mpz_clear(rest);
    mpz_clear(divisor);
}

int32_t dec_digits(const mpz_t z) {
    if (mpz_sgn(z) == 0)
        return 0;
    size_t n = mpz_sizeinbase(z, 10); /* exact or one too many */
    CHECK(n < INT32_MAX);
    if (n <= ARRAY_LEN(tens) && mpz_size(z) == 1)
        return (int32_t)n - (mpz_getlimbn(z, 0) < tens[n - 1]);
    mpz_t p;
    mpz_init(p);
    dec_pow10(p, (uint32_t)n - 1);
    int32_t exact = (int32_t)n - (mpz_cmpabs(z, p) < 0);
    mpz_clear(p);
    return exact;
}

enum rc dec_overflow(struct err *err) {
    return err_sql(err, "22003", "value overflows numeric format");
}

/* At most DEC_WHOLE_DIGITS_MAX before the point? */
enum rc dec_bounded(const struct dec *d, struct err *err) {
    if (d->kind != DEC_FINITE)
        return RC_OK;
    CHECK(d->scale >= 0 && d->scale <= DEC_SCALE_MAX);
    if (mpz_sizeinbase(d->z, 10) <= (size_t)DEC_WHOLE_DIGITS_MAX + (size_t)d->scale)
        return RC_OK;
    return dec_digits(d->z) - d->scale <= DEC_WHOLE_DIGITS_MAX ? RC_OK : dec_overflow(err);
}

void dec_rescale(struct dec *d, int32_t scale, enum dec_rounding how) {
    CHECK(d->kind == DEC_FINITE && scale >= 0);
    if (scale > d->scale)
        dec_shift_up(d->z, (uint32_t)(scale - d->scale));
    else if (scale < d->scale)
        dec_shift_down(d->z, (uint32_t)(d->scale - scale), how);
    d->scale = scale;
}

/* Rounds at 10^-scale, which may lie before the point; the scale is then 0. */
static void round_at(struct dec *d, int32_t scale, enum dec_rounding how) {
    if (scale >= 0) {
        dec_rescale(d, scale, how);
        return;
    }
    /* far beyond the first digit everything is 0, without making a power of ten of that size */
    int32_t digits = dec_digits(d->z);
    if (-(int64_t)scale > (int64_t)digits - d->scale + 1)
        mpz_set_ui(d->z, 0);
    else {
        dec_shift_down(d->z, (uint32_t)(d->scale - scale), how);
        dec_shift_up(d->z, (uint32_t)-scale);
    }
    d->scale = 0;
}

int32_t dec_base_weight(const struct dec *d, int *ret_first) {
    int32_t digits = dec_digits(d->z);
    *ret_first = 0;
    if (!digits)
        return 0;
    int32_t lead = digits - 1 - d->scale;                       /* of the first decimal digit: 10^lead */
    int32_t weight = lead >= 0 ? lead / 4 : -((-lead + 3) / 4); /* rounded down */
    int32_t drop = weight * 4 + d->scale;                       /* decimal digits behind the first big digit */
    mpz_t t;
    mpz_init_set(t, d->z);
    if (drop > 0)
        dec_shift_down(t, (uint32_t)drop, DEC_TRUNC);
    else
        dec_shift_up(t, (uint32_t)-drop);
    mpz_abs(t, t);
    *ret_first = (int)mpz_get_ui(t);
    CHECK(*ret_first >= 1 && *ret_first < 10000);
    mpz_clear(t);
    return weight;
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static int sign_of(int c) {
    return (c > 0) - (c < 0);
}

static int max_scale(const struct dec *a, const struct dec *b) {
    return a->scale > b->scale ? a->scale : b->scale;
}

int dec_sign(const struct dec *d) {
    switch (d->kind) {
    case DEC_NEG_INF:
        return -1;
    case DEC_INF:
        return 1;
    case DEC_NAN:
        return 0;
    case DEC_FINITE:
        break;
    }
    return mpz_sgn(d->z);
}

int dec_compare(const struct dec *a, const struct dec *b) {
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind != DEC_FINITE)
        return 0;
    if (a->scale == b->scale)
        return sign_of(mpz_cmp(a->z, b->z));
    int s = mpz_sgn(a->z);
    if (s != mpz_sgn(b->z))
        return s < mpz_sgn(b->z) ? -1 : 1;
    const struct dec *small = a->scale < b->scale ? a : b, *large = small == a ? b : a;
    mpz_t t;
    mpz_init_set(t, small->z);
    dec_shift_up(t, (uint32_t)(large->scale - small->scale));
    int c = sign_of(mpz_cmp(t, large->z));
    mpz_clear(t);
    return small == a ? c : -c;
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

void dec_neg(struct dec *ret, const struct dec *a) {
    if (ret != a)
        dec_set(ret, a);
    mpz_neg(ret->z, ret->z);
    if (ret->kind == DEC_INF)
        ret->kind = DEC_NEG_INF;
    else if (ret->kind == DEC_NEG_INF)
        ret->kind = DEC_INF;
}

void dec_abs(struct dec *ret, const struct dec *a) {
    if (dec_sign(a) < 0)
        dec_neg(ret, a);
    else if (ret != a)
        dec_set(ret, a);
}

static bool both_finite(const struct dec *a, const struct dec *b) {
    return a->kind == DEC_FINITE && b->kind == DEC_FINITE;
}

static bool any_nan(const struct dec *a, const struct dec *b) {
    return a->kind == DEC_NAN || b->kind == DEC_NAN;
}

static enum rc finish(struct dec *ret, struct dec *r, struct err *err) {
    enum rc rc = dec_bounded(r, err);
    if (!rc)
        dec_swap(ret, r);
    dec_done(r);
    return rc;
}

/* a + sign * b */
static enum rc add_signed(struct dec *ret, const struct dec *a, const struct dec *b, int sign, struct err *err) {
    if (!both_finite(a, b)) {
        int sa = a->kind == DEC_FINITE ? 0 : dec_sign(a), sb = b->kind == DEC_FINITE ? 0 : sign * dec_sign(b);
        enum dec_kind k = any_nan(a, b) || sa * sb < 0 ? DEC_NAN : sa + sb > 0 ? DEC_INF : DEC_NEG_INF;
        dec_set_special(ret, k);
        return RC_OK;
    }
    struct dec r;
    dec_init(&r);
    const struct dec *small = a->scale < b->scale ? a : b, *large = small == a ? b : a;
    r.scale = large->scale;
    mpz_set(r.z, small->z);
    if (large->scale > small->scale)
        dec_shift_up(r.z, (uint32_t)(large->scale - small->scale));
    if (sign > 0)
        mpz_add(r.z, r.z, large->z);
    else if (small == a)
        mpz_sub(r.z, r.z, large->z);
    else
        mpz_sub(r.z, large->z, r.z);
    return finish(ret, &r, err);
}

enum rc dec_add(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) {
    return add_signed(ret, a, b, 1, err);
}

enum rc dec_sub(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) {
    return add_signed(ret, a, b, -1, err);
}

enum rc dec_mul(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) {
    if (!both_finite(a, b)) {
        int s = dec_sign(a) * dec_sign(b);
        dec_set_special(ret, any_nan(a, b) || s == 0 ? DEC_NAN : s > 0 ? DEC_INF : DEC_NEG_INF);
        return RC_OK;
    }
    struct dec r;
    dec_init(&r);
    mpz_mul(r.z, a->z, b->z);
    r.scale = a->scale + b->scale;
    if (r.scale > DEC_SCALE_MAX)
        dec_rescale(&r, DEC_SCALE_MAX, DEC_HALF_AWAY);
    return finish(ret, &r, err);
}

static enum rc by_zero(struct err *err) {
    return err_sql(err, "22012", "division by zero");
}

int32_t dec_div_scale(const struct dec *a, const struct dec *b) {
    enum { SIGNIFICANT_DIGITS_MIN = 16, DIGITS_PER_BIG_DIGIT = 4 };
    int first_a, first_b;
    int32_t weight = dec_base_weight(a, &first_a) - dec_base_weight(b, &first_b);
    if (first_a <= first_b)
        weight--;
    int32_t scale = SIGNIFICANT_DIGITS_MIN - weight * DIGITS_PER_BIG_DIGIT;
    if (scale < max_scale(a, b))
        scale = max_scale(a, b);
    return scale < 0 ? 0 : scale > DEC_RESULT_SCALE_MAX ? DEC_RESULT_SCALE_MAX : scale;
}

/* a / b at the given scale; b is not 0. */
void dec_quotient(struct dec *ret, const struct dec *a, const struct dec *b, int32_t scale, enum dec_rounding how) {
    mpz_t x, y;
    mpz_init_set(x, a->z);
    mpz_init_set(y, b->z);
    int32_t shift = scale - a->scale + b->scale;
    if (shift >= 0)
        dec_shift_up(x, (uint32_t)shift);
    else
        dec_shift_up(y, (uint32_t)-shift);
    dec_div_round(ret->z, x, y, how);
    ret->kind = DEC_FINITE;
    ret->scale = scale;
    mpz_clear(x);
    mpz_clear(y);
}

/* What a / b is when one of them is not finite; the same for the whole quotient. */
static enum rc div_special(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) {
    if (any_nan(a, b) || (a->kind != DEC_FINITE && b->kind != DEC_FINITE)) {
        dec_set_special(ret, DEC_NAN);
        return RC_OK;
    }
    if (a->kind == DEC_FINITE) {
        dec_set_int(ret, 0);
        return RC_OK;
    }
    int s = dec_sign(a) * dec_sign(b);
    if (s == 0)
        return by_zero(err);
    dec_set_special(ret, s > 0 ? DEC_INF : DEC_NEG_INF);
    return RC_OK;
}

static enum rc divide(struct dec *ret, const struct dec *a, const struct dec *b, bool whole, struct err *err) {
    if (!both_finite(a, b))
        return div_special(ret, a, b, err);
    if (mpz_sgn(b->z) == 0)
        return by_zero(err);
    struct dec r;
    dec_init(&r);
    dec_quotient(&r, a, b, whole ? 0 : dec_div_scale(a, b), whole ? DEC_TRUNC : DEC_HALF_AWAY);
    return finish(ret, &r, err);
}

enum rc dec_div(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) {
    return divide(ret, a, b, false, err);
}

enum rc dec_div_whole(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) {
    return divide(ret, a, b, true, err);
}

enum rc dec_mod(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) {
    if (any_nan(a, b)) {
        dec_set_special(ret, DEC_NAN);
        return RC_OK;
    }
    if (dec_sign(b) == 0)
        return by_zero(err);
    if (a->kind != DEC_FINITE) {
        dec_set_special(ret, DEC_NAN);
        return RC_OK;
    }
    if (b->kind != DEC_FINITE) {
        if (ret != a)
            dec_set(ret, a);
        return RC_OK;
    }
    struct dec x, y;
    dec_init(&x);
    dec_init(&y);
    dec_set(&x, a);
    dec_set(&y, b);
    dec_rescale(&x, max_scale(a, b), DEC_TRUNC);
    dec_rescale(&y, x.scale, DEC_TRUNC);
    mpz_tdiv_r(x.z, x.z, y.z);
    dec_swap(ret, &x);
    dec_done(&x);
    dec_done(&y);
    return RC_OK;
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

/* Beyond these round() and trunc() change nothing more. */
static int32_t clamp_scale(int32_t scale) {
    enum { LOW = -DEC_WHOLE_DIGITS_MAX - 1 };
    return scale < LOW ? LOW : scale > DEC_SCALE_MAX ? DEC_SCALE_MAX : scale;
}

enum rc dec_round(struct dec *ret, const struct dec *a, int32_t scale, struct err *err) {
    struct dec r;
    dec_init(&r);
    dec_set(&r, a);
    if (a->kind == DEC_FINITE)
        round_at(&r, clamp_scale(scale), DEC_HALF_AWAY);
    return finish(ret, &r, err);
}

void dec_trunc(struct dec *ret, const struct dec *a, int32_t scale) {
    if (ret != a)
        dec_set(ret, a);
    if (a->kind == DEC_FINITE)
        round_at(ret, clamp_scale(scale), DEC_TRUNC);
}

/* The whole number next to a in the direction of sign. */
static enum rc to_whole(struct dec *ret, const struct dec *a, int sign, struct err *err) {
    struct dec r;
    dec_init(&r);
    dec_set(&r, a);
    if (a->kind == DEC_FINITE) {
        dec_rescale(&r, 0, DEC_TRUNC);
        if (dec_compare(a, &r) == sign) {
            if (sign > 0)
                mpz_add_ui(r.z, r.z, 1);
            else
                mpz_sub_ui(r.z, r.z, 1);
        }
    }
    return finish(ret, &r, err);
}

enum rc dec_ceil(struct dec *ret, const struct dec *a, struct err *err) {
    return to_whole(ret, a, 1, err);
}

enum rc dec_floor(struct dec *ret, const struct dec *a, struct err *err) {
    return to_whole(ret, a, -1, err);
}

void dec_trim(struct dec *ret, const struct dec *a) {
    if (ret != a)
        dec_set(ret, a);
    if (ret->kind != DEC_FINITE || ret->scale == 0)
        return;
    if (mpz_sgn(ret->z) == 0) {
        ret->scale = 0;
        return;
    }
    /* 10^k divides only what 2^k divides, which is quickly seen; k is found bit by bit, the largest first */
    mpz_t p, q, rest;
    mpz_init(p);
    mpz_init(q);
    mpz_init(rest);
    for (uint32_t step = 1u << 14; step && ret->scale; step /= 2) {
        if ((int32_t)step > ret->scale || mpz_scan1(ret->z, 0) < step)
            continue;
        dec_pow10(p, step);
        mpz_tdiv_qr(q, rest, ret->z, p);
        if (mpz_sgn(rest) == 0) {
            mpz_swap(ret->z, q);
            ret->scale -= (int32_t)step;
        }
    }
    mpz_clear(p);
    mpz_clear(q);
    mpz_clear(rest);
}

enum rc dec_field_overflow(int precision, int scale, struct err *err) {
    int whole = precision - scale;
    err_sql(err, "22003", "numeric field overflow");
    err_detail(err, "A field with precision %d, scale %d must round to an absolute value less than %s%d.", precision,
               scale, whole ? "10^" : "", whole ? whole : 1);
    return RC_SQL;
}

enum rc dec_limit(struct dec *d, int32_t typmod, struct err *err) {
    struct col c = {.type = COL_NUMERIC, .typmod = typmod};
    int precision, scale;
    if (!col_numeric_limits(&c, &precision, &scale) || d->kind == DEC_NAN)
        return RC_OK;
    if (d->kind != DEC_FINITE) {
        err_sql(err, "22003", "numeric field overflow");
        err_detail(err, "A field with precision %d, scale %d cannot hold an infinite value.", precision, scale);
        return RC_SQL;
    }
    round_at(d, scale, DEC_HALF_AWAY);
    int32_t digits = dec_digits(d->z) - d->scale; /* of a value below 1 it is not above 0 */
    bool fits = mpz_sgn(d->z) == 0 || digits <= precision - scale;
    return fits ? RC_OK : dec_field_overflow(precision, scale, err);
}
