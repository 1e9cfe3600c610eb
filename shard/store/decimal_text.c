/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decimal_text.c: a decimal as text, as PostgreSQL's binary form, as what a column stores, and as other numbers.
 *
 * The binary form, big-endian 16-bit words, then the digits:
 *
 *     count     how many digits follow
 *     weight    signed: the first digit is worth d * 10000^weight
 *     sign      0x0000 +, 0x4000 -, 0xc000 NaN, 0xd000 Infinity, 0xf000 -Infinity
 *     scale     display scale, 0 .. 16383 (PostgreSQL sends 32 with infinities, and so do we)
 *     digits    0 .. 9999 each
 */
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/store/decimal.h"
#include "shard/store/decimal_internal.h"

enum {
    SIGN_POS = 0x0000,
    SIGN_NEG = 0x4000,
    SIGN_NAN = 0xc000,
    SIGN_INF = 0xd000,
    SIGN_NEG_INF = 0xf000,
    SCALE_OF_INF = 32,
    BIG_BASE = 10000,
    BIG_DIGITS = 4,
    SHOWN_BYTES = 200, /* of what an error quotes */
};

static bool blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static enum rc bad_text(const char *t, size_t n, struct err *err) {
    return err_sql(err, "22P02", "invalid input syntax for type numeric: \"%.*s\"",
                   (int)(n < SHOWN_BYTES ? n : SHOWN_BYTES), t);
}

static bool special(const char *p, size_t n, enum dec_kind *ret) {
    static const struct {
        const char *word;
        enum dec_kind kind;
    } words[] = {{"NaN", DEC_NAN}, {"Infinity", DEC_INF}, {"+Infinity", DEC_INF}, {"-Infinity", DEC_NEG_INF},
                 {"inf", DEC_INF}, {"+inf", DEC_INF},     {"-inf", DEC_NEG_INF}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (n == strlen(words[i].word) && strncasecmp(p, words[i].word, n) == 0) {
            *ret = words[i].kind;
            return true;
        }
    return false;
}

/* What a text says before anything is computed: digits in two runs, where the point stands, the exponent. */
struct parts {
    bool neg;
    const char *whole, *frac;
    size_t n_whole, n_frac;
    int64_t exponent;
};

enum { EXPONENT_MAX = INT32_MAX / 2 }; /* PostgreSQL's */

/* False: no number. The exponent stops growing where it is too large anyway. */
static bool split(const char *p, size_t n, struct parts *r) {
    const char *end = p + n;
    *r = (struct parts){.neg = p < end && *p == '-'};
    if (p < end && (*p == '+' || *p == '-'))
        p++;
    for (r->whole = p; p < end && isdigit((unsigned char)*p); p++)
        ;
    r->n_whole = (size_t)(p - r->whole);
    if (p < end && *p == '.') {
        for (r->frac = ++p; p < end && isdigit((unsigned char)*p); p++)
            ;
        r->n_frac = (size_t)(p - r->frac);
    }
    if (!r->n_whole && !r->n_frac)
        return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool neg = ++p < end && *p == '-';
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        const char *first = p;
        for (; p < end && isdigit((unsigned char)*p); p++)
            if (r->exponent < EXPONENT_MAX)
                r->exponent = r->exponent * 10 + (*p - '0');
        if (p == first)
            return false;
        if (neg)
            r->exponent = -r->exponent;
    }
    return p == end;
}

/* The digit at place i from the left, of both runs as one. */
static char digit_at(const struct parts *r, size_t i) {
    return i < r->n_whole ? r->whole[i] : r->frac[i - r->n_whole];
}

/* z = digits[from .. to) */
static enum rc read_digits(mpz_t z, const struct parts *r, size_t from, size_t to) {
    if (from >= to) {
        mpz_set_ui(z, 0);
        return RC_OK;
    }
    char small[24], *t = to - from < sizeof small ? small : malloc(to - from + 1);
    if (!t)
        return RC_NOMEM;
    for (size_t i = from; i < to; i++)
        t[i - from] = digit_at(r, i);
    t[to - from] = 0;
    CHECK(mpz_set_str(z, t, 10) == 0);
    if (t != small)
        free(t);
    return RC_OK;
}

/* The finite number of r, rounded to `scale` digits after the point. What is left out is never read: text may be long.
 * *ret_large: it has too many digits before the point, and *d is not set. */
static enum rc read_rounded(struct dec *d, const struct parts *r, int64_t scale, bool *ret_large, struct err *err) {
    size_t n = r->n_whole + r->n_frac, first = 0;
    while (first < n && digit_at(r, first) == '0')
        first++;
    /* the digit at place i is worth 10^(n_whole - 1 - i + exponent); those worth less than 10^-scale go */
    int64_t end = (int64_t)r->n_whole + r->exponent + scale;
    if (first == n || end < (int64_t)first) {
        mpz_set_ui(d->z, 0);
        d->scale = 0;
        return RC_OK;
    }
    *ret_large = (int64_t)first < (int64_t)r->n_whole + r->exponent - DEC_WHOLE_DIGITS_MAX;
    if (*ret_large)
        return RC_OK;
    size_t stop = (uint64_t)end < n ? (size_t)end : n;
    enum rc rc = read_digits(d->z, r, first, stop);
    if (rc)
        return err_set(err, rc, "numeric: out of memory");
    if (stop < n && digit_at(r, stop) >= '5')
        mpz_add_ui(d->z, d->z, 1);
    /* stop is how many digits z has kept, zeros in front included: z is worth 10^(n_whole + exponent - stop) */
    int64_t missing = end - (int64_t)stop;
    CHECK(missing >= 0 && missing <= DEC_WHOLE_DIGITS_MAX + DEC_SCALE_MAX + COL_NUMERIC_DIGITS_MAX);
    if (missing)
        dec_shift_up(d->z, (uint32_t)missing);
    if (r->neg)
        mpz_neg(d->z, d->z);
    return RC_OK;
}

static enum rc parse_finite(struct dec *d, const struct parts *r, int32_t typmod, struct err *err) {
    if (r->exponent >= EXPONENT_MAX || r->exponent <= -EXPONENT_MAX)
        return dec_overflow(err);
    struct col c = {.type = COL_NUMERIC, .typmod = typmod};
    int precision, wanted;
    bool limited = col_numeric_limits(&c, &precision, &wanted);
    int64_t shown = (int64_t)r->n_frac - r->exponent;
    if (shown < 0)
        shown = 0;
    if (!limited && shown > DEC_SCALE_MAX)
        return dec_overflow(err);
    if (!limited)
        wanted = (int)shown;
    bool large = false;
    enum rc rc = read_rounded(d, r, wanted, &large, err);
    if (large)
        rc = limited ? dec_field_overflow(precision, wanted, err) : dec_overflow(err);
    if (rc)
        return rc;
    if (wanted < 0)
        dec_shift_up(d->z, (uint32_t)-wanted);
    d->scale = wanted > 0 ? wanted : 0;
    rc = dec_limit(d, typmod, err);
    return rc ? rc : dec_bounded(d, err);
}

enum rc dec_parse(struct dec *ret, const void *text, size_t bytes, int32_t typmod, struct err *err) {
    const char *t = text, *p = t;
    size_t n = bytes;
    while (n && blank(*p))
        p++, n--;
    while (n && blank(p[n - 1]))
        n--;
    struct parts parts;
    enum dec_kind kind;
    enum rc rc;
    struct dec d;
    dec_init(&d);
    if (special(p, n, &kind)) {
        dec_set_special(&d, kind);
        rc = dec_limit(&d, typmod, err);
    } else if (split(p, n, &parts)) {
        rc = parse_finite(&d, &parts, typmod, err);
    } else {
        rc = bad_text(t, bytes, err);
    }
    if (!rc)
        dec_swap(ret, &d);
    dec_done(&d);
    return rc;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static const char *special_text(enum dec_kind k) {
    return k == DEC_NAN ? "NaN" : k == DEC_INF ? "Infinity" : "-Infinity";
}

void dec_print(const struct dec *d, struct buf *out) {
    if (d->kind != DEC_FINITE) {
        buf_puts(out, special_text(d->kind));
        return;
    }
    size_t scale = (size_t)d->scale, room = mpz_sizeinbase(d->z, 10) + 4 + scale;
    char *p = (char *)buf_reserve(out, room);
    if (!p)
        return;
    mpz_get_str(p, 10, d->z);
    size_t sign = *p == '-', n = strlen(p) - sign;
    char *digits = p + sign;
    if (scale && n <= scale) { /* "5" of scale 3 is "0.005" */
        size_t zeros = scale - n + 1;
        memmove(digits + zeros, digits, n);
        memset(digits, '0', zeros);
        n += zeros;
    }
    if (scale) {
        memmove(digits + n - scale + 1, digits + n - scale, scale);
        digits[n - scale] = '.';
        n++;
    }
    buf_commit(out, sign + n);
}

/* ---- the binary form --------------------------------------------------------------------------------------------- */

static enum rc bad_binary(struct err *err, const char *what) {
    return err_sql(err, "22P03", "invalid %s in external \"numeric\" value", what);
}

/* Digits worth less than 10^-scale are dropped, not rounded: the sender said that it does not show them. */
static enum rc recv_finite(struct dec *d, const uint8_t *digits, size_t count, int32_t weight, bool neg, int32_t scale,
                           struct err *err) {
    size_t first = 0;
    while (first < count && get_u16be(digits + 2 * first) == 0)
        first++;
    d->scale = scale;
    mpz_set_ui(d->z, 0);
    if (first == count)
        return RC_OK;
    /* decimal digits from the first one on that may stay: beyond scale they go */
    int64_t lead = ((int64_t)weight - (int64_t)first + 1) * BIG_DIGITS;
    if (lead > DEC_WHOLE_DIGITS_MAX)
        return dec_overflow(err);
    if (lead + scale <= 0)
        return RC_OK;
    size_t keep = (size_t)(lead + scale + BIG_DIGITS - 1) / BIG_DIGITS;
    if (keep > count - first)
        keep = count - first;
    /* each digit as four decimal ones, then the exponent */
    char *t = malloc(keep * BIG_DIGITS + 1), *w = t;
    if (!t)
        return err_set(err, RC_NOMEM, "numeric: out of memory");
    for (size_t i = first; i < first + keep; i++, w += BIG_DIGITS)
        snprintf(w, BIG_DIGITS + 1, "%04u", (unsigned)get_u16be(digits + 2 * i));
    CHECK(mpz_set_str(d->z, t, 10) == 0);
    free(t);
    int64_t shift = lead - (int64_t)keep * BIG_DIGITS + scale;
    if (shift >= 0)
        dec_shift_up(d->z, (uint32_t)shift);
    else
        dec_shift_down(d->z, (uint32_t)-shift, DEC_TRUNC);
    if (neg)
        mpz_neg(d->z, d->z);
    return RC_OK;
}

enum rc dec_recv(struct dec *ret, const void *p, size_t bytes, int32_t typmod, struct err *err) {
    struct rd r;
    rd_init(&r, p, bytes);
    size_t count = rd_u16be(&r);
    int16_t weight = (int16_t)rd_u16be(&r);
    unsigned sign = rd_u16be(&r), scale = rd_u16be(&r);
    if (r.bad)
        return err_sql(err, "08P01", "insufficient data left in message");
    if (sign != SIGN_POS && sign != SIGN_NEG && sign != SIGN_NAN && sign != SIGN_INF && sign != SIGN_NEG_INF)
        return bad_binary(err, "sign");
    if (scale > DEC_SCALE_MAX)
        return bad_binary(err, "scale");
    const uint8_t *digits = rd_bytes(&r, count * 2);
    if (r.bad)
        return err_sql(err, "08P01", "insufficient data left in message");
    for (size_t i = 0; i < count; i++)
        if (get_u16be(digits + 2 * i) >= BIG_BASE)
            return bad_binary(err, "digit");
    if (rd_left(&r))
        return err_sql(err, "22P03", "incorrect binary data format");
    struct dec d;
    dec_init(&d);
    enum rc rc = RC_OK;
    if (sign == SIGN_POS || sign == SIGN_NEG)
        rc = recv_finite(&d, digits, count, weight, sign == SIGN_NEG, (int32_t)scale, err);
    else
        dec_set_special(&d, sign == SIGN_NAN ? DEC_NAN : sign == SIGN_INF ? DEC_INF : DEC_NEG_INF);
    if (!rc)
        rc = dec_limit(&d, typmod, err);
    if (!rc)
        rc = dec_bounded(&d, err);
    if (!rc)
        dec_swap(ret, &d);
    dec_done(&d);
    return rc;
}

static void send_head(struct buf *out, size_t count, int32_t weight, unsigned sign, int32_t scale) {
    buf_put_u16be(out, (uint16_t)count);
    buf_put_u16be(out, (uint16_t)weight);
    buf_put_u16be(out, (uint16_t)sign);
    buf_put_u16be(out, (uint16_t)scale);
}

void dec_send(const struct dec *d, struct buf *out) {
    if (d->kind != DEC_FINITE) {
        unsigned sign = d->kind == DEC_NAN ? SIGN_NAN : d->kind == DEC_INF ? SIGN_INF : SIGN_NEG_INF;
        send_head(out, 0, 0, sign, d->kind == DEC_NAN ? 0 : SCALE_OF_INF);
        return;
    }
    if (mpz_sgn(d->z) == 0) {
        send_head(out, 0, 0, SIGN_POS, d->scale);
        return;
    }
    /* decimal digits, with as many zeros behind that the point falls between two big digits */
    struct dec m;
    dec_init(&m);
    dec_abs(&m, d);
    int32_t pad = (BIG_DIGITS - m.scale % BIG_DIGITS) % BIG_DIGITS;
    dec_shift_up(m.z, (uint32_t)pad);
    int32_t behind = (m.scale + pad) / BIG_DIGITS; /* big digits after the point */
    size_t n = (size_t)dec_digits(m.z), front = (BIG_DIGITS - n % BIG_DIGITS) % BIG_DIGITS;
    char *t = malloc(front + n + 3);
    if (!t) {
        out->rc = RC_NOMEM;
        dec_done(&m);
        return;
    }
    memset(t, '0', front);
    mpz_get_str(t + front, 10, m.z);
    size_t count = (front + n) / BIG_DIGITS, used = count;
    while (used && memcmp(t + (used - 1) * BIG_DIGITS, "0000", BIG_DIGITS) == 0)
        used--;
    send_head(out, used, (int32_t)count - 1 - behind, mpz_sgn(d->z) < 0 ? SIGN_NEG : SIGN_POS, d->scale);
    for (size_t i = 0; i < used; i++) {
        const char *q = t + i * BIG_DIGITS;
        buf_put_u16be(out, (uint16_t)((q[0] - '0') * 1000 + (q[1] - '0') * 100 + (q[2] - '0') * 10 + (q[3] - '0')));
    }
    free(t);
    dec_done(&m);
}

/* ---- what a column stores ---------------------------------------------------------------------------------------- */

enum rc dec_from_value(struct dec *ret, const struct col *c, const struct value *v, struct err *err) {
    int scale;
    if (v->kind == VALUE_TEXT)
        return dec_parse(ret, v->p, v->bytes, COL_TYPMOD_NONE, err);
    CHECK(v->kind == VALUE_INT && col_numeric_is_int(c, &scale));
    if (v->i == COL_NUMERIC_INT_NAN) {
        dec_set_special(ret, DEC_NAN);
        return RC_OK;
    }
    dec_set_int(ret, v->i);
    if (scale >= 0)
        ret->scale = scale;
    else
        dec_shift_up(ret->z, (uint32_t)-scale);
    return RC_OK;
}

enum rc dec_to_value(const struct dec *d, const struct col *c, struct arena *a, struct value *ret, struct err *err) {
    struct dec m;
    int scale;
    dec_init(&m);
    dec_set(&m, d);
    enum rc rc = dec_limit(&m, c->typmod, err);
    if (!rc && col_numeric_is_int(c, &scale)) {
        if (scale < 0)
            dec_shift_down(m.z, (uint32_t)-scale, DEC_TRUNC); /* exact: it is rounded there */
        CHECK(mpz_fits_slong_p(m.z));
        *ret = value_int(m.kind == DEC_NAN ? COL_NUMERIC_INT_NAN : mpz_get_si(m.z));
    } else if (!rc) {
        struct buf b;
        buf_init(&b, 0);
        dec_print(&m, &b);
        const void *p = buf_rc(&b) ? NULL : arena_copy(a, b.data, b.len);
        if (p)
            *ret = value_text(p, b.len);
        else
            rc = err_set(err, RC_NOMEM, "numeric: out of memory");
        buf_done(&b);
    }
    dec_done(&m);
    return rc;
}

/* ---- other numbers ----------------------------------------------------------------------------------------------- */

enum rc dec_to_int(const struct dec *d, int64_t min, int64_t max, const char *what, int64_t *ret, struct err *err) {
    if (d->kind == DEC_NAN)
        return err_sql(err, "0A000", "cannot convert NaN to %s", what);
    if (d->kind != DEC_FINITE)
        return err_sql(err, "0A000", "cannot convert infinity to %s", what);
    struct dec r;
    dec_init(&r);
    dec_set(&r, d);
    dec_rescale(&r, 0, DEC_HALF_AWAY);
    bool fits = mpz_cmp_si(r.z, min) >= 0 && mpz_cmp_si(r.z, max) <= 0;
    if (fits)
        *ret = mpz_get_si(r.z);
    dec_done(&r);
    return fits ? RC_OK : err_sql(err, "22003", "%s out of range", what);
}

/* How doubles, or floats, are made: bits of the mantissa, and the power of two of the least one. */
struct binary {
    int mantissa, exp_min;
};
static const struct binary binary64 = {53, -1074}, binary32 = {24, -149};

/*
 * The double (float) nearest to a / b, both positive, ties to even: the quotient is scaled by a power of two so that it has
 * two bits or more than the mantissa, and the rest is kept as a sign that it was not exact.
 */
static double nearest(const mpz_t a, const mpz_t b, struct binary f) {
    mpz_t x, y, rest;
    mpz_init_set(x, a);
    mpz_init_set(y, b);
    mpz_init(rest);
    long exp = (long)mpz_sizeinbase(a, 2) - (long)mpz_sizeinbase(b, 2) - f.mantissa - 2;
    if (exp < f.exp_min - 2)
        exp = f.exp_min - 2;
    if (exp < 0)
        mpz_mul_2exp(x, x, (mp_bitcnt_t)-exp);
    else
        mpz_mul_2exp(y, y, (mp_bitcnt_t)exp);
    mpz_tdiv_qr(x, rest, x, y);
    bool sticky = mpz_sgn(rest) != 0;
    /* round to the mantissa, or to where such numbers end */
    long drop = (long)mpz_sizeinbase(x, 2) - f.mantissa;
    if (drop < f.exp_min - exp)
        drop = f.exp_min - exp;
    double r = 0;
    if (mpz_sgn(x) != 0) {
        CHECK(drop > 0);
        bool half = mpz_tstbit(x, (mp_bitcnt_t)drop - 1);
        bool below = sticky || mpz_scan1(x, 0) < (mp_bitcnt_t)drop - 1;
        mpz_tdiv_q_2exp(x, x, (mp_bitcnt_t)drop);
        if (half && (below || mpz_odd_p(x)))
            mpz_add_ui(x, x, 1);
        r = ldexp((double)mpz_get_ui(x), (int)(exp + drop));
    }
    mpz_clear(x);
    mpz_clear(y);
    mpz_clear(rest);
    return r;
}

static double nearest_to(const struct dec *d, struct binary f) {
    if (d->kind != DEC_FINITE)
        return d->kind == DEC_NAN ? (double)NAN : d->kind == DEC_INF ? (double)INFINITY : -(double)INFINITY;
    if (mpz_sgn(d->z) == 0)
        return 0;
    mpz_t a, b;
    mpz_init(a);
    mpz_init(b);
    mpz_abs(a, d->z);
    dec_pow10(b, (uint32_t)d->scale);
    double r = nearest(a, b, f);
    mpz_clear(a);
    mpz_clear(b);
    return mpz_sgn(d->z) < 0 ? -r : r;
}

double dec_nearest(const struct dec *d) {
    return nearest_to(d, binary64);
}

float dec_nearest_float(const struct dec *d) {
    double r = nearest_to(d, binary32);
    return fabs(r) > (double)FLT_MAX ? copysignf(INFINITY, (float)copysign(1, r)) : (float)r;
}

static enum rc out_of_range(const struct dec *d, const char *type, struct err *err) {
    struct buf b;
    buf_init(&b, 0);
    dec_print(d, &b);
    err_sql(err, "22003", "\"%.*s\" is out of range for type %s", b.len < SHOWN_BYTES ? (int)b.len : SHOWN_BYTES,
            b.data ? (const char *)b.data : "", type);
    buf_done(&b);
    return RC_SQL;
}

enum rc dec_to_double(const struct dec *d, double *ret, struct err *err) {
    double r = dec_nearest(d);
    if (d->kind == DEC_FINITE && (isinf(r) || (r == 0 && mpz_sgn(d->z) != 0)))
        return out_of_range(d, "double precision", err);
    *ret = r;
    return RC_OK;
}

enum rc dec_to_float(const struct dec *d, float *ret, struct err *err) {
    float r = dec_nearest_float(d);
    if (d->kind == DEC_FINITE && (isinf(r) || (r == 0 && mpz_sgn(d->z) != 0)))
        return out_of_range(d, "real", err);
    *ret = r;
    return RC_OK;
}

/* printf's %e gives correctly rounded digits; its decimal point may be the locale's, so digits are picked out. */
static void from_real(struct dec *ret, double r, int digits) {
    if (isnan(r) || isinf(r)) {
        dec_set_special(ret, isnan(r) ? DEC_NAN : r > 0 ? DEC_INF : DEC_NEG_INF);
        return;
    }
    char t[64], plain[32], *e;
    size_t n = 0;
    snprintf(t, sizeof t, "%.*e", digits - 1, fabs(r));
    for (e = t; *e != 'e'; e++)
        if (*e >= '0' && *e <= '9')
            plain[n++] = *e;
    plain[n] = 0;
    long exp = strtol(e + 1, NULL, 10) - (digits - 1);
    for (; n > 1 && plain[n - 1] == '0' && exp < 0; exp++) /* %g drops the zeros at the end of a fraction */
        plain[--n] = 0;
    if (r == 0)
        exp = 0;
    ret->kind = DEC_FINITE;
    CHECK(mpz_set_str(ret->z, plain, 10) == 0);
    if (exp > 0)
        dec_shift_up(ret->z, (uint32_t)exp);
    ret->scale = exp < 0 ? (int32_t)-exp : 0;
    if (r < 0)
        mpz_neg(ret->z, ret->z);
}

void dec_from_double(struct dec *ret, double r) {
    from_real(ret, r, 15);
}

void dec_from_float(struct dec *ret, float r) {
    from_real(ret, (double)r, 6);
}
