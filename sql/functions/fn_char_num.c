/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_char_num.c: to_char of numbers.
 *
 * The template is read once for how many digits it has before and behind the point, where zeros must be printed and how the sign is
 * shown; then again to print, with the number as decimal text beside it.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/functions/fn_internal.h"

enum element {
    E_TEXT,
    E_COMMA,
    E_POINT,
    E_ZERO,
    E_NINE,
    E_B,
    E_CURRENCY,
    E_MINUS,
    E_PLUS,
    E_BRACKET,
    E_ROMAN,
    E_SIGN_ANY,
    E_SIGN,
    E_ORDINAL,
    E_MULTIPLY,
    E_SCIENTIFIC,
    E_FILL,
};

static const struct {
    const char *text;
    enum element is;
} elements[] = {
    {",", E_COMMA},  {".", E_POINT},         {"0", E_ZERO},     {"9", E_NINE},   {"B", E_B},
    {"D", E_POINT},  {"EEEE", E_SCIENTIFIC}, {"FM", E_FILL},    {"G", E_COMMA},  {"L", E_CURRENCY},
    {"MI", E_MINUS}, {"PL", E_PLUS},         {"PR", E_BRACKET}, {"RN", E_ROMAN}, {"SG", E_SIGN_ANY},
    {"S", E_SIGN},   {"TH", E_ORDINAL},      {"V", E_MULTIPLY},
};

enum { DIGITS_MAX = 1000, MULTIPLY_MAX = 100 };

enum sign_place { SIGN_NONE, SIGN_BEFORE, SIGN_BEHIND };

struct layout {
    int before, behind, multiply;
    int zero_from, zero_to; /* of the digits, from 1; 0: none */
    bool point, fill, zero, minus, plus, bracket, roman, scientific, multiplies;
    enum sign_place sign;
    int sign_at;
};

/* The element at p; *ret_n: its bytes. */
static enum element next_element(const char *p, const char *end, size_t *ret_n) {
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        size_t n = strlen(elements[i].text);
        if ((size_t)(end - p) >= n && strncasecmp(p, elements[i].text, n) == 0) {
            *ret_n = n;
            return elements[i].is;
        }
    }
    *ret_n = fn_char_bytes((const uint8_t *)p, (const uint8_t *)end);
    return E_TEXT;
}

/* Text in double quotes; p stands behind the first. Returns what is behind the last; prints if b is given. */
static const char *quoted(const char *p, const char *end, struct buf *b) {
    for (; p < end && *p != '"'; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        if (b)
            buf_putc(b, (uint8_t)*p);
    }
    return p < end ? p + 1 : p;
}

static enum rc bad(struct err *err, const char *what) {
    return err_sql(err, "42601", "%s", what);
}

static enum rc read_digit(struct layout *l, bool zero, struct err *err) {
    if (l->bracket)
        return bad(err, zero ? "\"0\" must be ahead of \"PR\"" : "\"9\" must be ahead of \"PR\"");
    if (l->multiplies && !zero) {
        l->multiply++;
        return l->multiply > MULTIPLY_MAX ? bad(err, "too many digits behind \"V\"") : RC_OK;
    }
    if (zero && !l->zero && !l->point) {
        l->zero = true;
        l->zero_from = l->before + 1;
    }
    if (l->point)
        l->behind++;
    else
        l->before++;
    if (zero)
        l->zero_to = l->before + l->behind;
    return l->before + l->behind > DIGITS_MAX ? bad(err, "a number's format is too long") : RC_OK;
}

static enum rc read_element(struct layout *l, enum element e, struct err *err) {
    switch (e) {
    case E_NINE:
    case E_ZERO:
        return read_digit(l, e == E_ZERO, err);
    case E_POINT:
        if (l->point)
            return bad(err, "multiple decimal points");
        if (l->multiplies)
            return bad(err, "cannot use \"V\" and decimal point together");
        l->point = true;
        break;
    case E_SIGN:
        if (l->sign)
            return bad(err, "cannot use \"S\" twice");
        if (l->plus || l->minus || l->bracket)
            return bad(err, "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
        l->sign = l->point ? SIGN_BEHIND : SIGN_BEFORE;
        l->sign_at = l->before;
        break;
    case E_MINUS:
    case E_PLUS:
    case E_SIGN_ANY:
        if (l->sign)
            return bad(err, e == E_MINUS  ? "cannot use \"S\" and \"MI\" together"
                            : e == E_PLUS ? "cannot use \"S\" and \"PL\" together"
                                          : "cannot use \"S\" and \"SG\" together");
        l->minus |= e != E_PLUS;
        l->plus |= e != E_MINUS;
        break;
    case E_BRACKET:
        if (l->sign || l->plus || l->minus)
            return bad(err, "cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
        l->bracket = true;
        break;
    case E_MULTIPLY:
        if (l->point)
            return bad(err, "cannot use \"V\" and decimal point together");
        l->multiplies = true;
        break;
    case E_FILL:
        l->fill = true;
        break;
    case E_ROMAN:
        l->roman = true;
        break;
    case E_SCIENTIFIC:
        l->scientific = true;
        break;
    default:
        break;
    }
    return RC_OK;
}

static enum rc read_layout(const struct value *format, struct layout *l, struct err *err) {
    const char *p = format->p, *end = p + format->bytes;
    *l = (struct layout){.before = 0};
    while (p < end) {
        size_t n;
        if (*p == '"') {
            p = quoted(p + 1, end, NULL);
            continue;
        }
        enum rc rc = read_element(l, next_element(p, end, &n), err);
        if (rc)
            return rc;
        p += n;
    }
    if (l->scientific || l->roman)
        return err_set(err, RC_UNSUPPORTED, "to_char with \"%s\" is not supported", l->roman ? "RN" : "EEEE");
    return RC_OK;
}

/* ---- printing ------------------------------------------------------------------------------------------------------------ */

struct printer {
    const struct layout *l;
    struct buf *b;
    const char *number, *at; /* without its sign; the next character */
    const char *last;        /* FM: the last digit behind the point that counts, or the point; NULL: all do */
    int blanks;              /* places before the number's first digit */
    int place, places;
    char sign;
    bool sign_done, started, bracket;
    enum sign_place sign_place;
};

static bool leading_zero_hidden(const struct printer *p) {
    return !p->l->zero && p->at == p->number && *p->number == '0' && p->l->behind;
}

static void put_sign_before(struct printer *p) {
    bool here = p->place >= p->blanks || (p->l->zero && p->l->zero_from - 1 == p->place);
    if (p->sign_done || !here || (leading_zero_hidden(p) && !(p->last && *p->last == '.')))
        return;
    if (p->sign_place) {
        if (p->sign_place == SIGN_BEFORE) {
            buf_putc(p->b, (uint8_t)p->sign);
            p->sign_done = true;
        }
    } else if (p->bracket) {
        buf_putc(p->b, p->sign == '+' ? ' ' : '<');
        p->sign_done = true;
    } else {
        if (p->sign == '-' || !p->l->fill)
            buf_putc(p->b, p->sign == '-' ? '-' : ' ');
        p->sign_done = true;
    }
}

static void put_digit(struct printer *p, bool zero) {
    if (*p->at == '.') {
        if (!p->last || *p->last != '.' || p->l->fill)
            buf_putc(p->b, '.');
    } else if (p->last && p->at > p->last && !zero) {
        /* zeros that FM leaves out */
    } else if (leading_zero_hidden(p)) {
        if (!p->l->fill)
            buf_putc(p->b, ' ');
        else if (p->last && *p->last == '.')
            buf_putc(p->b, '0');
    } else if (*p->at) {
        buf_putc(p->b, (uint8_t)*p->at);
        p->started = true;
    }
    if (*p->at)
        p->at++;
}

static void put_place(struct printer *p, bool zero) {
    const struct layout *l = p->l;
    p->started = false;
    put_sign_before(p);
    if (p->place < p->blanks && (!l->zero || l->zero_from - 1 > p->place)) {
        if (!l->fill)
            buf_putc(p->b, ' ');
    } else if (p->place < p->blanks) {
        buf_putc(p->b, '0');
        p->started = true;
    } else {
        put_digit(p, zero);
    }
    int end = p->places + (p->blanks ? 1 : 0) + (l->point ? 1 : 0);
    if (p->last && p->last == p->at)
        end = p->place;
    if (p->place + 1 == end) {
        if (p->sign_done && p->bracket)
            buf_putc(p->b, p->sign == '+' ? ' ' : '>');
        else if (p->sign_place == SIGN_BEHIND)
            buf_putc(p->b, (uint8_t)p->sign);
    }
    p->place++;
}

static void put_ordinal(struct printer *p, bool upper) {
    static const char *const ends[2][4] = {{"th", "st", "nd", "rd"}, {"TH", "ST", "ND", "RD"}};
    size_t n = strlen(p->number);
    if (p->sign == '-' || p->l->point || !n || p->number[n - 1] < '0' || p->number[n - 1] > '9')
        return;
    char last = p->number[n - 1], before = n > 1 ? p->number[n - 2] : '0';
    buf_puts(p->b, ends[upper][before == '1' || last > '3' ? 0 : last - '0']);
}

static void put_element(struct printer *p, enum element e, const char *text, size_t n) {
    switch (e) {
    case E_NINE:
    case E_ZERO:
    case E_POINT:
        put_place(p, e == E_ZERO);
        break;
    case E_COMMA:
        if (p->started)
            buf_putc(p->b, ',');
        else if (!p->l->fill)
            buf_putc(p->b, ' ');
        break;
    case E_CURRENCY:
        buf_putc(p->b, ' ');
        break;
    case E_MINUS:
    case E_PLUS:
        if (p->sign == (e == E_MINUS ? '-' : '+'))
            buf_putc(p->b, (uint8_t)p->sign);
        else if (!p->l->fill)
            buf_putc(p->b, ' ');
        break;
    case E_SIGN_ANY:
        buf_putc(p->b, (uint8_t)p->sign);
        break;
    case E_ORDINAL:
        put_ordinal(p, *text == 'T');
        break;
    case E_TEXT:
        buf_put(p->b, text, n);
        break;
    default:
        break;
    }
}

static const char *last_that_counts(const struct layout *l, const char *number, int blanks) {
    const char *point = strchr(number, '.'), *last = point;
    if (!point)
        return NULL;
    for (const char *p = point + 1; *p; p++)
        if (*p != '0')
            last = p;
    if (l->zero_to > blanks) {
        int at = l->zero_to - blanks, most = (int)strlen(number) - 1;
        const char *zero = number + (at < most ? at : most);
        if (zero > last)
            last = zero;
    }
    return last;
}

/* number: decimal text with its sign and exactly l->behind digits behind the point. */
static enum rc print(const struct fn_env *env, const struct layout *l, const char *number, const struct value *format,
                     struct value *ret, struct err *err) {
    char hashes[DIGITS_MAX + MULTIPLY_MAX + 3];
    struct buf b;
    fn_buf(&b);
    struct printer p = {.l = l, .b = &b, .sign = '+', .sign_place = l->sign};
    if (*number == '-') {
        p.sign = '-';
        number++;
    }
    p.bracket = l->bracket && !(p.sign == '+' && l->fill);
    int before = l->before + l->multiply, whole = (int)strcspn(number, ".");
    if (whole < before) {
        p.blanks = before - whole;
    } else if (whole > before) {
        memset(hashes, '#', (size_t)before + (size_t)l->behind + 1);
        hashes[before] = '.';
        hashes[before + l->behind + 1] = '\0';
        number = hashes;
    }
    p.number = p.at = number;
    p.places = before + l->behind - 1;
    if (l->plus || l->minus) {
        p.sign_done = !(l->plus && !l->minus);
    } else {
        p.sign_done = p.sign == '+' && l->fill && !l->sign;
        if (l->sign == SIGN_BEFORE && l->before == l->sign_at)
            p.sign_place = SIGN_BEHIND;
    }
    if (l->fill && l->point)
        p.last = last_that_counts(l, number, p.blanks);
    if (!p.sign_done && !p.blanks)
        p.places++;
    const char *at = format->p, *end = at + format->bytes;
    while (at < end) {
        size_t n;
        if (*at == '"') {
            at = quoted(at + 1, end, &b);
            continue;
        }
        enum element e = next_element(at, end, &n);
        put_element(&p, e, at, n);
        at += n;
    }
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

/* d times 10^multiply, rounded, as text. */
static enum rc to_text(struct dec *d, const struct layout *l, struct buf *to, struct err *err) {
    struct dec factor;
    enum rc rc = RC_OK;
    dec_init(&factor);
    if (l->multiply) {
        dec_set_int(&factor, 10);
        mpz_ui_pow_ui(factor.z, 10, (unsigned long)l->multiply);
        rc = dec_mul(d, d, &factor, err);
    }
    if (!rc)
        rc = dec_round(d, d, l->behind, err);
    dec_done(&factor);
    if (!rc)
        dec_print(d, to);
    return rc ? rc : buf_cstr(to) ? RC_OK : fn_no_memory(err);
}

static enum rc number_to_char(const struct fn_env *env, struct dec *d, const struct value *format, struct value *ret,
                              struct err *err) {
    struct layout l;
    struct buf number;
    enum rc rc = read_layout(format, &l, err);
    buf_init(&number, 0);
    if (!rc && d->kind != DEC_FINITE)
        rc = err_set(err, RC_UNSUPPORTED, "to_char of NaN and infinity is not supported");
    if (!rc)
        rc = to_text(d, &l, &number, err);
    if (!rc)
        rc = print(env, &l, buf_cstr(&number), format, ret, err);
    buf_done(&number);
    return rc;
}

FN_IMPL(numeric_to_char) {
    struct dec d;
    FN_UNUSED;
    dec_init(&d);
    enum rc rc = fn_dec(&arg[0], &d, err);
    if (!rc)
        rc = number_to_char(env, &d, &arg[1], ret, err);
    dec_done(&d);
    return rc;
}

FN_IMPL(int_to_char) {
    struct dec d;
    FN_UNUSED;
    dec_init(&d);
    dec_set_int(&d, arg[0].i);
    enum rc rc = number_to_char(env, &d, &arg[1], ret, err);
    dec_done(&d);
    return rc;
}

/* As C prints it, with no more digits than the type has. */
FN_IMPL(float_to_char) {
    struct layout l;
    char text[DIGITS_MAX + 400];
    FN_UNUSED;
    double r = value_float_get(&arg[0]);
    int most = call->arg[0].type == COL_FLOAT4 ? FLT_DIG : DBL_DIG;
    enum rc rc = read_layout(&arg[1], &l, err);
    if (rc)
        return rc;
    if (isnan(r) || isinf(r))
        return err_set(err, RC_UNSUPPORTED, "to_char of NaN and infinity is not supported");
    for (int i = 0; i < l.multiply; i++)
        r *= 10;
    if (isinf(r))
        return err_sql(err, "22003", "value out of range: overflow");
    int digits = snprintf(text, sizeof text, "%.0f", fabs(r));
    if (digits >= most)
        l.behind = 0;
    else if (digits + l.behind > most)
        l.behind = most - digits;
    snprintf(text, sizeof text, "%.*f", l.behind, r);
    return print(env, &l, text, &arg[1], ret, err);
}

static const struct fn fns[] = {
    FN(1772, "to_char", NULL, STRICT | STABLE, COL_TEXT, numeric_to_char, COL_NUMERIC, COL_TEXT),
    FN(1773, "to_char", NULL, STRICT | STABLE, COL_TEXT, int_to_char, COL_INT4, COL_TEXT),
    FN(1774, "to_char", NULL, STRICT | STABLE, COL_TEXT, int_to_char, COL_INT8, COL_TEXT),
    FN(1775, "to_char", NULL, STRICT | STABLE, COL_TEXT, float_to_char, COL_FLOAT4, COL_TEXT),
    FN(1776, "to_char", NULL, STRICT | STABLE, COL_TEXT, float_to_char, COL_FLOAT8, COL_TEXT),
};

const struct fn_table fn_table_char_num = {fns, ARRAY_LEN(fns)};
