/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decimal_math.c: roots, exponentials, logarithms and powers.
 *
 * Roots, and powers whose exact value is not too long, are computed exactly and rounded once. The others are computed in
 * binary fixed point (an integer F stands for F / 2^bits) with 64 bits or more to spare and rounded then: a wrong last
 * digit needs a value within 2^-40 of a tie.
 *
 *     ln x    x = m * 2^k; the square root of m, taken j times, is close to 1, where
 *             ln y = 2 atanh((y - 1) / (y + 1)) converges quickly; ln m is 2^j times that
 *     ln 2    18 atanh(1/26) - 2 atanh(1/4801) + 8 atanh(1/8749)
 *     e^x     x = n ln 2 + r; Taylor's series of r / 2^j, squared j times
 */
#include <math.h>

#include "shard/store/decimal.h"
#include "shard/store/decimal_internal.h"

enum {
    SIGNIFICANT_MIN = 16, /* digits that every result has, where the scale allows */
    GUARD_BITS = 64,
    EXP_LIMIT = 6000,          /* PostgreSQL: e^x with |x| beyond it overflows, or is 0 */
    EXACT_DIGITS_MAX = 400000, /* of a power computed exactly */
};

#define LOG2_10 3.3219280948873623
#define LOG10_E 0.4342944819032518

/* Scale for a result whose first digit stands at 10^weight, at least that of the operands. */
static int32_t pick_scale(double weight, int32_t at_least) {
    int32_t scale = SIGNIFICANT_MIN - (int32_t)weight;
    if (scale < at_least)
        scale = at_least;
    return scale < 0 ? 0 : scale > DEC_RESULT_SCALE_MAX ? DEC_RESULT_SCALE_MAX : scale;
}

static int32_t max32(int32_t a, int32_t b) {
    return a > b ? a : b;
}

static enum rc finish(struct dec *ret, struct dec *r, struct err *err) {
    enum rc rc = dec_bounded(r, err);
    if (!rc)
        dec_swap(ret, r);
    dec_done(r);
    return rc;
}

/* ---- fixed point ------------------------------------------------------------------------------------------------- */

/* atanh(1 / n) */
static void fx_atanh_inv(mpz_t ret, unsigned long n, mp_bitcnt_t bits) {
    mpz_t power, term;
    mpz_init(term);
    mpz_init_set_ui(power, 1);
    mpz_mul_2exp(power, power, bits);
    mpz_tdiv_q_ui(power, power, n);
    mpz_set(ret, power);
    for (unsigned long k = 3; mpz_sgn(power) != 0; k += 2) {
        mpz_tdiv_q_ui(power, power, n * n);
        mpz_tdiv_q_ui(term, power, k);
        mpz_add(ret, ret, term);
    }
    mpz_clear(power);
    mpz_clear(term);
}

static void fx_ln2(mpz_t ret, mp_bitcnt_t bits) {
    static const struct {
        long factor;
        unsigned long n;
    } terms[] = {{18, 26}, {-2, 4801}, {8, 8749}};
    mpz_t t;
    mpz_init(t);
    mpz_set_ui(ret, 0);
    for (size_t i = 0; i < ARRAY_LEN(terms); i++) {
        fx_atanh_inv(t, terms[i].n, bits + 16);
        mpz_mul_si(t, t, terms[i].factor);
        mpz_add(ret, ret, t);
    }
    mpz_tdiv_q_2exp(ret, ret, 16);
    mpz_clear(t);
}

/* How often to halve (the root, or the argument) before the series: balances both. */
static unsigned halvings(mp_bitcnt_t bits) {
    return 4 + (unsigned)(sqrt((double)bits) / 2);
}

/* ln(num / den), both positive. */
static void fx_ln(mpz_t ret, const mpz_t num, const mpz_t den, mp_bitcnt_t bits) {
    long k = (long)mpz_sizeinbase(num, 2) - (long)mpz_sizeinbase(den, 2);
    unsigned j = halvings(bits);
    mp_bitcnt_t w = bits + 2 * j + 64; /* each root halves an error, the end doubles it j times; k is below 2^20 */
    mpz_t m, t, z, zz;
    mpz_init(m);
    mpz_init(t);
    mpz_init(z);
    mpz_init(zz);
    mpz_mul_2exp(m, num, w + (k < 0 ? (mp_bitcnt_t)-k : 0));
    mpz_mul_2exp(t, den, k > 0 ? (mp_bitcnt_t)k : 0);
    mpz_tdiv_q(m, m, t);
    for (unsigned i = 0; i < j; i++) {
        mpz_mul_2exp(m, m, w);
        mpz_sqrt(m, m);
    }
    mpz_set_ui(t, 1);
    mpz_mul_2exp(t, t, w);
    mpz_sub(z, m, t);
    mpz_add(m, m, t);
    mpz_mul_2exp(z, z, w);
    mpz_tdiv_q(z, z, m);
    mpz_mul(zz, z, z);
    mpz_tdiv_q_2exp(zz, zz, w);
    mpz_set(ret, z);
    for (unsigned long i = 3; mpz_sgn(z) != 0; i += 2) {
        mpz_mul(z, z, zz);
        mpz_tdiv_q_2exp(z, z, w);
        mpz_tdiv_q_ui(t, z, i);
        mpz_add(ret, ret, t);
    }
    mpz_mul_2exp(ret, ret, j + 1);
    fx_ln2(t, w);
    mpz_mul_si(t, t, k);
    mpz_add(ret, ret, t);
    mpz_tdiv_q_2exp(ret, ret, w - bits);
    mpz_clear(m);
    mpz_clear(t);
    mpz_clear(z);
    mpz_clear(zz);
}

/* e^x = *ret * 2^n; *ret between 0.7 and 1.5. */
static void fx_exp(mpz_t ret, long *ret_n, const mpz_t x, mp_bitcnt_t bits) {
    unsigned j = halvings(bits);
    mp_bitcnt_t w = bits + 2 * j + 64;
    mpz_t ln2, n, r, term;
    mpz_init(ln2);
    mpz_init(n);
    mpz_init(r);
    mpz_init(term);
    fx_ln2(ln2, w);
    mpz_mul_2exp(r, x, w - bits);
    mpz_mul_2exp(n, r, 1);
    mpz_add(n, n, ln2);
    mpz_mul_2exp(term, ln2, 1);
    mpz_fdiv_q(n, n, term); /* the nearest whole number to x / ln 2 */
    CHECK(mpz_fits_slong_p(n));
    *ret_n = mpz_get_si(n);
    mpz_submul(r, n, ln2);
    mpz_tdiv_q_2exp(r, r, j);
    mpz_set_ui(ret, 1);
    mpz_mul_2exp(ret, ret, w);
    mpz_set(term, ret);
    for (unsigned long i = 1; mpz_sgn(term) != 0; i++) {
        mpz_mul(term, term, r);
        mpz_tdiv_q_2exp(term, term, w);
        mpz_tdiv_q_ui(term, term, i);
        mpz_add(ret, ret, term);
    }
    for (unsigned i = 0; i < j; i++) {
        mpz_mul(ret, ret, ret);
        mpz_tdiv_q_2exp(ret, ret, w);
    }
    mpz_tdiv_q_2exp(ret, ret, w - bits);
    mpz_clear(ln2);
    mpz_clear(n);
    mpz_clear(r);
    mpz_clear(term);
}

/* f * 2^n, fixed point, as a decimal of that scale. */
static void fx_to_dec(struct dec *ret, const mpz_t f, long n, mp_bitcnt_t bits, int32_t scale) {
    mpz_t den;
    mpz_init_set_ui(den, 1);
    mpz_set(ret->z, f);
    dec_shift_up(ret->z, (uint32_t)scale);
    long shift = n - (long)bits;
    if (shift >= 0)
        mpz_mul_2exp(ret->z, ret->z, (mp_bitcnt_t)shift);
    else
        mpz_mul_2exp(den, den, (mp_bitcnt_t)-shift);
    dec_div_round(ret->z, ret->z, den, DEC_HALF_AWAY);
    ret->kind = DEC_FINITE;
    ret->scale = scale;
    mpz_clear(den);
}

static mp_bitcnt_t bits_for(double digits) {
    return (mp_bitcnt_t)(digits * LOG2_10) + GUARD_BITS;
}

/* ln d, d > 0 */
static void dec_fx_ln(mpz_t ret, const struct dec *d, mp_bitcnt_t bits) {
    mpz_t den;
    mpz_init(den);
    dec_pow10(den, (uint32_t)d->scale);
    fx_ln(ret, d->z, den, bits);
    mpz_clear(den);
}

/* ln |d| to double precision, however large or small; d is not 0. */
static double rough_ln(const struct dec *d) {
    long e;
    double m = mpz_get_d_2exp(&e, d->z);
    return log(fabs(m)) + (double)e * 0.6931471805599453 - d->scale * 2.302585092994046;
}

/* The place of the first digit of ln d, d > 0: 10^that. */
static int32_t ln_weight(const struct dec *d) {
    struct dec x, low, high;
    int32_t w = 0;
    dec_init(&x);
    dec_init(&low);
    dec_init(&high);
    dec_set_int(&low, 9);
    dec_set_int(&high, 11);
    low.scale = high.scale = 1;
    if (dec_compare(d, &low) >= 0 && dec_compare(d, &high) <= 0) {
        /* close to 1 the logarithm is about d - 1 */
        mpz_set_ui(x.z, 1);
        dec_shift_up(x.z, (uint32_t)d->scale);
        mpz_sub(x.z, d->z, x.z);
        if (mpz_sgn(x.z) != 0)
            w = dec_digits(x.z) - 1 - d->scale;
    } else {
        w = (int32_t)log10(fabs(rough_ln(d)));
    }
    dec_done(&x);
    dec_done(&low);
    dec_done(&high);
    return w;
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static enum rc negative_ln(struct err *err, int sign) {
    return err_sql(err, "2201E", "cannot take logarithm of %s", sign ? "a negative number" : "zero");
}

enum rc dec_sqrt(struct dec *ret, const struct dec *a, struct err *err) {
    if (dec_sign(a) < 0)
        return err_sql(err, "2201F", "cannot take square root of a negative number");
    if (a->kind != DEC_FINITE) {
        dec_set_special(ret, a->kind);
        return RC_OK;
    }
    int first;
    int32_t weight = dec_base_weight(a, &first);
    int32_t half = weight >= 0 ? weight * 2 + 1 : 1 - (1 - weight * 4) / 2; /* digits before the point of the root */
    struct dec r;
    dec_init(&r);
    r.scale = pick_scale(half, a->scale);
    /* one digit more than asked for, rounded down, decides the rounding exactly */
    mpz_set(r.z, a->z);
    int32_t shift = 2 * (r.scale + 1) - a->scale;
    if (shift >= 0)
        dec_shift_up(r.z, (uint32_t)shift);
    else
        dec_shift_down(r.z, (uint32_t)-shift, DEC_TRUNC);
    mpz_sqrt(r.z, r.z);
    dec_shift_down(r.z, 1, DEC_HALF_AWAY);
    return finish(ret, &r, err);
}

enum rc dec_exp(struct dec *ret, const struct dec *a, struct err *err) {
    if (a->kind != DEC_FINITE) {
        if (a->kind == DEC_NEG_INF)
            dec_set_int(ret, 0);
        else
            dec_set_special(ret, a->kind);
        return RC_OK;
    }
    double rough = dec_nearest(a), weight = rough * LOG10_E;
    if (weight > 2000)
        weight = 2000;
    if (weight < -2000)
        weight = -2000;
    int32_t scale = pick_scale(weight, a->scale);
    struct dec r;
    dec_init(&r);
    r.scale = scale;
    if (fabs(rough) >= EXP_LIMIT) {
        if (rough < 0)
            return finish(ret, &r, err);
        dec_done(&r);
        return dec_overflow(err);
    }
    mp_bitcnt_t bits = bits_for(scale + (rough > 0 ? rough * LOG10_E : 0));
    mpz_t x, den;
    long n;
    mpz_init(x);
    mpz_init(den);
    mpz_mul_2exp(x, a->z, bits);
    dec_pow10(den, (uint32_t)a->scale);
    mpz_tdiv_q(x, x, den);
    fx_exp(den, &n, x, bits);
    fx_to_dec(&r, den, n, bits, scale);
    mpz_clear(x);
    mpz_clear(den);
    return finish(ret, &r, err);
}

enum rc dec_ln(struct dec *ret, const struct dec *a, struct err *err) {
    if (a->kind == DEC_NAN || a->kind == DEC_INF) {
        dec_set_special(ret, a->kind);
        return RC_OK;
    }
    if (dec_sign(a) <= 0)
        return negative_ln(err, dec_sign(a));
    struct dec r;
    dec_init(&r);
    int32_t scale = pick_scale(ln_weight(a), a->scale);
    mp_bitcnt_t bits = bits_for(scale);
    mpz_t f;
    mpz_init(f);
    dec_fx_ln(f, a, bits);
    fx_to_dec(&r, f, 0, bits, scale);
    mpz_clear(f);
    return finish(ret, &r, err);
}

enum rc dec_log(struct dec *ret, const struct dec *base, const struct dec *a, struct err *err) {
    if (base->kind == DEC_NAN || a->kind == DEC_NAN) {
        dec_set_special(ret, DEC_NAN);
        return RC_OK;
    }
    bool finite = base->kind == DEC_FINITE && a->kind == DEC_FINITE;
    if (finite && dec_sign(base) <= 0)
        return negative_ln(err, dec_sign(base));
    if (dec_sign(base) < 0 || dec_sign(a) < 0)
        return negative_ln(err, -1);
    if (dec_sign(base) == 0 || dec_sign(a) == 0)
        return negative_ln(err, 0);
    if (base->kind == DEC_INF && a->kind == DEC_INF) {
        dec_set_special(ret, DEC_NAN);
        return RC_OK;
    }
    if (base->kind == DEC_INF) {
        dec_set_int(ret, 0);
        return RC_OK;
    }
    if (a->kind == DEC_INF) {
        dec_set_special(ret, DEC_INF);
        return RC_OK;
    }
    struct dec one;
    dec_init(&one);
    dec_set_int(&one, 1);
    bool by_one = dec_compare(base, &one) == 0;
    dec_done(&one);
    if (by_one) /* ln 1 = 0 */
        return err_sql(err, "22012", "division by zero");
    int32_t base_weight = ln_weight(base), weight = ln_weight(a);
    int32_t scale = pick_scale(weight - base_weight, max32(base->scale, a->scale));
    /* small logarithms cost bits at the front: of the divisor twice */
    double lost = fabs((double)base_weight) * 2 + fabs((double)weight);
    mp_bitcnt_t bits = bits_for(scale + lost);
    struct dec r;
    dec_init(&r);
    mpz_t x, y;
    mpz_init(x);
    mpz_init(y);
    dec_fx_ln(x, a, bits);
    dec_fx_ln(y, base, bits);
    dec_shift_up(x, (uint32_t)scale);
    dec_div_round(r.z, x, y, DEC_HALF_AWAY);
    r.scale = scale;
    mpz_clear(x);
    mpz_clear(y);
    return finish(ret, &r, err);
}

/* ---- powers ------------------------------------------------------------------------------------------------------ */

static bool is_whole(const struct dec *d) {
    if (d->kind != DEC_FINITE)
        return d->kind != DEC_NAN;
    struct dec t;
    dec_init(&t);
    dec_trunc(&t, d, 0);
    bool same = dec_compare(&t, d) == 0;
    dec_done(&t);
    return same;
}

static bool is_int(const struct dec *d, int64_t i) {
    struct dec t;
    dec_init(&t);
    dec_set_int(&t, i);
    bool same = dec_compare(&t, d) == 0;
    dec_done(&t);
    return same;
}

/* The whole number d is odd. */
static bool is_odd(const struct dec *d) {
    struct dec t;
    dec_init(&t);
    dec_trunc(&t, d, 0);
    bool odd = mpz_odd_p(t.z);
    dec_done(&t);
    return odd;
}

/* One of a and b is not finite: the rules of POSIX's pow(). What is an error was one before. */
static void power_special(struct dec *ret, const struct dec *a, const struct dec *b) {
    int sa = dec_sign(a), sb = dec_sign(b);
    bool a_finite = a->kind == DEC_FINITE, b_finite = b->kind == DEC_FINITE;
    if ((b_finite && sb == 0) || (a_finite && is_int(a, 1)))
        dec_set_int(ret, 1);
    else if (a->kind == DEC_NAN || b->kind == DEC_NAN)
        dec_set_special(ret, DEC_NAN);
    else if (a_finite && sa == 0)
        dec_set_int(ret, 0);
    else if (!b_finite && a_finite && is_int(a, -1))
        dec_set_int(ret, 1);
    else if (!b_finite) {
        bool large = true;
        if (a_finite) {
            struct dec m, one;
            dec_init(&m);
            dec_init(&one);
            dec_set_int(&one, 1);
            dec_abs(&m, a);
            large = dec_compare(&m, &one) > 0;
            dec_done(&m);
            dec_done(&one);
        }
        if (large == (sb > 0))
            dec_set_special(ret, DEC_INF);
        else
            dec_set_int(ret, 0);
    } else if (sb < 0)
        dec_set_int(ret, 0);
    else
        dec_set_special(ret, sa < 0 && is_whole(b) && is_odd(b) ? DEC_NEG_INF : DEC_INF);
}

/* |a|^b by exp and ln, negated where neg; a is not 0. */
static enum rc power_approx(struct dec *ret, const struct dec *a, const struct dec *b, int32_t scale, bool neg,
                            struct err *err) {
    double weight = dec_nearest(b) * rough_ln(a) * LOG10_E;
    if (weight > DEC_WHOLE_DIGITS_MAX + 1)
        return dec_overflow(err);
    struct dec r, m;
    dec_init(&r);
    r.scale = scale;
    if (weight < -scale - 2)
        return finish(ret, &r, err);
    dec_init(&m);
    dec_abs(&m, a);
    mp_bitcnt_t bits = bits_for(scale + (weight > 0 ? weight : 0)) + mpz_sizeinbase(b->z, 2);
    mpz_t x, den;
    long n;
    mpz_init(x);
    mpz_init(den);
    dec_fx_ln(x, &m, bits);
    mpz_mul(x, x, b->z);
    dec_pow10(den, (uint32_t)b->scale);
    mpz_tdiv_q(x, x, den);
    fx_exp(den, &n, x, bits);
    fx_to_dec(&r, den, n, bits, scale);
    if (neg)
        mpz_neg(r.z, r.z);
    mpz_clear(x);
    mpz_clear(den);
    dec_done(&m);
    return finish(ret, &r, err);
}

/* a^n where n fits an int4; exact before the last rounding, unless that would take too many digits. */
static enum rc power_int(struct dec *ret, const struct dec *a, const struct dec *b, int64_t n, struct err *err) {
    struct dec r;
    int32_t scale = pick_scale(0, a->scale);
    if (n == 0 || mpz_sgn(a->z) == 0) {
        dec_init(&r);
        dec_set_int(&r, n == 0);
        dec_rescale(&r, scale, DEC_TRUNC);
        return finish(ret, &r, err);
    }
    double weight = (double)n * rough_ln(a) * LOG10_E;
    if (weight > DEC_WHOLE_DIGITS_MAX)
        return dec_overflow(err);
    dec_init(&r);
    if (weight + 1 < -scale) {
        r.scale = scale;
        return finish(ret, &r, err);
    }
    uint64_t times = n < 0 ? (uint64_t)-n : (uint64_t)n;
    struct dec base;
    dec_init(&base);
    dec_trim(&base, a);
    if ((uint64_t)max32(dec_digits(base.z), base.scale) * times > EXACT_DIGITS_MAX) {
        dec_done(&base);
        dec_done(&r);
        return power_approx(ret, a, b, scale, mpz_sgn(a->z) < 0 && n % 2, err);
    }
    /* z^n / 10^(scale n), or that upside down */
    mpz_t num, den;
    mpz_init(num);
    mpz_init(den);
    mpz_pow_ui(num, base.z, times);
    dec_pow10(den, (uint32_t)((uint64_t)base.scale * times));
    if (n < 0)
        mpz_swap(num, den);
    dec_shift_up(num, (uint32_t)scale);
    dec_div_round(r.z, num, den, DEC_HALF_AWAY);
    r.scale = scale;
    mpz_clear(num);
    mpz_clear(den);
    dec_done(&base);
    return finish(ret, &r, err);
}

/* b ln |a| to about eight digits, rounded where PostgreSQL rounds: the scale of 100 ^ 0.5 hangs on that. */
static double postgres_ln(const struct dec *a, const struct dec *b) {
    enum { ROUGH_DIGITS = 8 };
    struct dec m, ln;
    dec_init(&m);
    dec_init(&ln);
    dec_abs(&m, a);
    int32_t scale = max32(ROUGH_DIGITS - ln_weight(&m), 0);
    mp_bitcnt_t bits = bits_for(scale);
    dec_fx_ln(ln.z, &m, bits);
    mpz_set(m.z, ln.z);
    fx_to_dec(&ln, m.z, 0, bits, scale);
    mpz_mul(ln.z, ln.z, b->z);
    ln.scale += b->scale;
    dec_rescale(&ln, scale, DEC_HALF_AWAY);
    double r = dec_nearest(&ln);
    dec_done(&m);
    dec_done(&ln);
    return r;
}

enum rc dec_power(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) {
    bool finite = a->kind == DEC_FINITE && b->kind == DEC_FINITE;
    bool any_nan = a->kind == DEC_NAN || b->kind == DEC_NAN;
    if (!any_nan && dec_sign(a) == 0 && dec_sign(b) < 0)
        return err_sql(err, "2201F", "zero raised to a negative power is undefined");
    if (!any_nan && dec_sign(a) < 0 && !is_whole(b))
        return err_sql(err, "2201F", "a negative number raised to a non-integer power yields a complex result");
    if (!finite) {
        power_special(ret, a, b);
        return RC_OK;
    }
    struct dec w;
    dec_init(&w);
    dec_trunc(&w, b, 0);
    bool whole = dec_compare(&w, b) == 0, small = whole && mpz_fits_sint_p(w.z), odd = mpz_odd_p(w.z);
    int64_t n = small ? mpz_get_si(w.z) : 0;
    dec_done(&w);
    if (small)
        return power_int(ret, a, b, n, err);
    struct dec r;
    dec_init(&r);
    r.scale = SIGNIFICANT_MIN;
    if (mpz_sgn(a->z) == 0)
        return finish(ret, &r, err);
    double ln = postgres_ln(a, b);
    if (fabs(ln) > EXP_LIMIT * 1.003333) {
        if (ln > 0) {
            dec_done(&r);
            return dec_overflow(err);
        }
        r.scale = DEC_RESULT_SCALE_MAX;
        return finish(ret, &r, err);
    }
    dec_done(&r);
    int32_t scale = pick_scale(ln * LOG10_E, max32(a->scale, b->scale));
    return power_approx(ret, a, b, scale, mpz_sgn(a->z) < 0 && odd, err);
}
