/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real.c: both ways have a quick path for numbers of up to 15 digits with a small exponent, where one multiplication or
 * division of two doubles that are exact is correctly rounded; the rest is done on integers of any length.
 */
#include "sql/types/real.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/store/decimal.h"

enum {
    QUICK_DIGITS = 15, /* any number of so many digits is exact in a double */
    QUICK_EXP = 22,    /* and so is 10^22 */
    DIGITS_MAX = 800,  /* no tie between two doubles has more digits; behind them only "more" counts */
    EXP_LIMIT = 400,   /* decimal exponents beyond are 0 or infinite */
    SHOWN_BYTES = 200,
};

static const double tens[QUICK_EXP + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                           1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static const char *type_name(enum real_width w) {
    return w == REAL_FLOAT4 ? "real" : "double precision";
}

static bool blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool special(const char *p, size_t n, double *ret) {
    bool neg = n && *p == '-';
    if (n && (*p == '-' || *p == '+'))
        p++, n--;
    if (n == 3 && strncasecmp(p, "nan", 3) == 0)
        *ret = (double)NAN;
    else if ((n == 3 && strncasecmp(p, "inf", 3) == 0) || (n == 8 && strncasecmp(p, "infinity", 8) == 0))
        *ret = neg ? -(double)INFINITY : (double)INFINITY;
    else
        return false;
    return true;
}

/* The number is digits[0 .. n) * 10^exp; more: there were other digits, not all 0, behind. */
struct decimal {
    bool neg, more;
    size_t n;
    int64_t exp;
    char digits[DIGITS_MAX + 2];
};

static void take(struct decimal *d, char c, bool after_point) {
    d->exp -= after_point;
    if (d->n == 0 && c == '0')
        return;
    if (d->n < DIGITS_MAX) {
        d->digits[d->n++] = c;
        return;
    }
    d->exp++;
    d->more |= c != '0';
}

static bool scan(const char *p, size_t n, struct decimal *d) {
    const char *end = p + n;
    bool any = false, point = false;
    *d = (struct decimal){.neg = n && *p == '-'};
    if (n && (*p == '-' || *p == '+'))
        p++;
    for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++) {
        if (*p == '.')
            point = true;
        else {
            take(d, *p, point);
            any = true;
        }
    }
    if (!any)
        return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        int64_t e = 0;
        bool neg = ++p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+'))
            p++;
        if (p == end)
            return false;
        for (; p < end && is_digit(*p); p++)
            if (e < INT32_MAX)
                e = e * 10 + (*p - '0');
        d->exp += neg ? -e : e;
    }
    return p == end;
}

static double nearest(struct decimal *d, enum real_width w) {
    if (d->n == 0)
        return 0;
    int64_t lead = (int64_t)d->n + d->exp; /* the number is below 10^lead */
    if (lead > EXP_LIMIT || lead < -EXP_LIMIT)
        return lead > 0 ? (double)INFINITY : 0;
    if (d->n <= QUICK_DIGITS && d->exp >= -QUICK_EXP && d->exp <= QUICK_EXP && w == REAL_FLOAT8) {
        double m = 0;
        for (size_t i = 0; i < d->n; i++)
            m = m * 10 + (d->digits[i] - '0');
        return d->exp < 0 ? m / tens[-d->exp] : m * tens[d->exp];
    }
    if (d->more) {
        d->digits[d->n++] = '1';
        d->exp--;
    }
    d->digits[d->n] = 0;
    struct dec x;
    dec_init(&x);
    CHECK(mpz_set_str(x.z, d->digits, 10) == 0);
    if (d->exp < 0)
        x.scale = (int32_t)-d->exp;
    else {
        mpz_t ten;
        mpz_init(ten);
        mpz_ui_pow_ui(ten, 10, (unsigned long)d->exp);
        mpz_mul(x.z, x.z, ten);
        mpz_clear(ten);
    }
    double r = w == REAL_FLOAT4 ? (double)dec_nearest_float(&x) : dec_nearest(&x);
    dec_done(&x);
    return r;
}

enum rc real_parse(const char *text, size_t bytes, enum real_width w, double *ret, struct err *err) {
    const char *p = text;
    size_t n = bytes;
    struct decimal d;
    double r;
    while (n && blank(*p))
        p++, n--;
    while (n && blank(p[n - 1]))
        n--;
    if (special(p, n, ret))
        return RC_OK;
    if (!scan(p, n, &d))
        return err_sql(err, "22P02", "invalid input syntax for type %s: \"%.*s\"", type_name(w),
                       bytes < SHOWN_BYTES ? (int)bytes : SHOWN_BYTES, text);
    r = nearest(&d, w);
    if (isinf(r) || (r == 0 && d.n))
        return err_sql(err, "22003", "\"%.*s\" is out of range for type %s", n < SHOWN_BYTES ? (int)n : SHOWN_BYTES, p,
                       type_name(w));
    *ret = d.neg ? -r : r;
    return RC_OK;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

/* Digits d1 d2 ... dn: the number is 0.d1 d2 ... dn * 10^exp. */
struct shortest {
    char digits[24];
    size_t n;
    int exp;
};

/* At most 15 digits give r back: then %e's are the shortest, once the zeros at their end are gone. */
static bool quick(double r, struct shortest *s) {
    char t[40], *p;
    snprintf(t, sizeof t, "%.*e", QUICK_DIGITS - 1, r);
    s->n = 0;
    for (p = t; *p != 'e'; p++)
        if (is_digit(*p)) /* and not the locale's point */
            s->digits[s->n++] = *p;
    s->exp = (int)strtol(p + 1, NULL, 10) + 1;
    while (s->n > 1 && s->digits[s->n - 1] == '0')
        s->n--;
    double m = 0;
    for (size_t i = 0; i < s->n; i++)
        m = m * 10 + (s->digits[i] - '0');
    int e = s->exp - (int)s->n;
    if (e < -QUICK_EXP || e > QUICK_EXP)
        return false;
    if (e <= 0)
        return m / tens[-e] == r;
    /* a tie that reads as r by its even last bit is none of r's texts for PostgreSQL (see exact) */
    double off = fabs(fma(m, tens[e], -r)), gap = nextafter(r, (double)INFINITY) - r;
    return m * tens[e] == r && 2 * off < gap;
}

/*
 * Steele and White: r = R / S, and what lies within low / S below and high / S above reads as r. Each step takes one digit
 * off R / S until the rest is inside that gap. What lies exactly on its end is not taken: readers may round otherwise.
 */
static void exact(double r, int mantissa, int exp_min, struct shortest *s) {
    int e;
    double f = frexp(r, &e); /* r = f * 2^e, 0.5 <= f < 1 */
    e -= mantissa;
    if (e < exp_min)
        e = exp_min;
    f = ldexp(r, -e);                                         /* a whole number now */
    bool uneven = f == ldexp(1, mantissa - 1) && e > exp_min; /* below a power of two the gap is half as wide */
    mpz_t R, S, low, high, t;
    mpz_init_set_d(R, f);
    mpz_init_set_ui(S, uneven ? 4 : 2);
    mpz_init_set_ui(low, 1);
    mpz_init_set_ui(high, uneven ? 2 : 1);
    mpz_init(t);
    mpz_mul_ui(R, R, uneven ? 4 : 2);
    if (e >= 0) {
        mpz_mul_2exp(R, R, (mp_bitcnt_t)e);
        mpz_mul_2exp(low, low, (mp_bitcnt_t)e);
        mpz_mul_2exp(high, high, (mp_bitcnt_t)e);
    } else {
        mpz_mul_2exp(S, S, (mp_bitcnt_t)-e);
    }
    s->exp = (int)ceil(log10(r) - 1e-10); /* right, or one too small */
    mpz_ui_pow_ui(t, 10, (unsigned long)abs(s->exp));
    if (s->exp >= 0)
        mpz_mul(S, S, t);
    else {
        mpz_mul(R, R, t);
        mpz_mul(low, low, t);
        mpz_mul(high, high, t);
    }
    mpz_add(t, R, high);
    if (mpz_cmp(t, S) > 0) {
        mpz_mul_ui(S, S, 10);
        s->exp++;
    }
    s->n = 0;
    for (;;) {
        mpz_mul_ui(R, R, 10);
        mpz_mul_ui(low, low, 10);
        mpz_mul_ui(high, high, 10);
        mpz_tdiv_qr(t, R, R, S);
        unsigned long digit = mpz_get_ui(t);
        mpz_add(t, R, high);
        bool down = mpz_cmp(R, low)<0, up = mpz_cmp(t, S)> 0;
        if (down || up) {
            mpz_mul_2exp(t, R, 1);
            int half = mpz_cmp(t, S);
            if (up && (!down || half > 0 || (half == 0 && digit % 2)))
                digit++;
        }
        CHECK(digit <= 9 && s->n < sizeof s->digits);
        s->digits[s->n++] = (char)('0' + digit);
        if (down || up)
            break;
    }
    mpz_clear(R);
    mpz_clear(S);
    mpz_clear(low);
    mpz_clear(high);
    mpz_clear(t);
}

void real_print(double r, enum real_width w, struct buf *out) {
    if (isnan(r)) {
        buf_puts(out, "NaN");
        return;
    }
    if (signbit(r))
        buf_putc(out, '-');
    r = fabs(r);
    if (isinf(r) || r == 0) {
        buf_puts(out, r == 0 ? "0" : "Infinity");
        return;
    }
    struct shortest s;
    if (w == REAL_FLOAT4)
        exact(r, 24, -149, &s);
    else if (!quick(r, &s))
        exact(r, 53, -1074, &s);
    int e = s.exp - 1;
    if (e < -4 || e >= (w == REAL_FLOAT4 ? 6 : 15)) {
        buf_putc(out, (uint8_t)s.digits[0]);
        if (s.n > 1) {
            buf_putc(out, '.');
            buf_put(out, s.digits + 1, s.n - 1);
        }
        buf_printf(out, "e%c%02d", e < 0 ? '-' : '+', abs(e));
        return;
    }
    if (s.exp <= 0) {
        buf_puts(out, "0.");
        for (int i = s.exp; i < 0; i++)
            buf_putc(out, '0');
        buf_put(out, s.digits, s.n);
        return;
    }
    size_t whole = (size_t)s.exp;
    buf_put(out, s.digits, whole < s.n ? whole : s.n);
    for (size_t i = s.n; i < whole; i++)
        buf_putc(out, '0');
    if (s.n > whole) {
        buf_putc(out, '.');
        buf_put(out, s.digits + whole, s.n - whole);
    }
}
