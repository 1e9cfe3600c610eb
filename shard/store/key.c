/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key.c: the table in key.h, written and read.
 *
 * A DESC part is encoded as an ascending one and then inverted in place; reading goes through a mask that is 0xff then.
 */
#include "shard/store/key.h"

#include <math.h>
#include <string.h>

#include "shard/store/pgnum.h"

enum {
    TAG_NULL = 0x01,
    TAG_FLOAT = 0x10,
    TAG_NUM_NEG_INF = 0x20,
    TAG_NUM_NEG = 0x21,
    TAG_NUM_ZERO = 0x22,
    TAG_NUM_POS = 0x23,
    TAG_NUM_INF = 0x24,
    TAG_NUM_NAN = 0x25,
    TAG_TEXT = 0x30,
    TAG_BYTES = 0x31,
    TAG_UUID = 0x32,
    TAG_INT = 0x80, /* of 0; + n and - 1 - n: see key.h */
    ESCAPE = 0x00,
    ESCAPED_ZERO = 0xff,
    ESCAPED_END = 0x01,
    UUID_BYTES = 16,
    /* E of the largest and the least numeric that there is, with room for the rounding to base 100 */
    NUM_EXP_MAX = 65537,
    NUM_EXP_MIN = -8192,
};
#define FLOAT_SIGN (UINT64_C(1) << 63)
#define FLOAT_NAN UINT64_C(0x7ff8000000000000)

/* How values of a type are encoded. */
enum form { FORM_NONE, FORM_INT, FORM_FLOAT, FORM_NUMERIC, FORM_TEXT, FORM_BYTES, FORM_UUID };

static enum form form_of(const struct col *c) {
    switch (c->type) {
    case COL_BOOL:
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
    case COL_OID:
    case COL_DATE:
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
    case COL_ENUM:
        return FORM_INT;
    case COL_FLOAT4:
    case COL_FLOAT8:
        return FORM_FLOAT;
    case COL_NUMERIC:
        return FORM_NUMERIC;
    case COL_TEXT:
    case COL_VARCHAR:
    case COL_CHAR:
        return FORM_TEXT;
    case COL_BYTEA:
        return FORM_BYTES;
    case COL_UUID:
        return FORM_UUID;
    default:
        return FORM_NONE;
    }
}

int key_compare(struct key a, struct key b) {
    size_t n = a.bytes < b.bytes ? a.bytes : b.bytes;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c < 0 ? -1 : c > 0 ? 1 : a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}

bool key_has_prefix(struct key k, struct key prefix) {
    return k.bytes >= prefix.bytes && (!prefix.bytes || memcmp(k.p, prefix.p, prefix.bytes) == 0);
}

enum rc key_supports(const struct col *c, const char *column, struct err *err) {
    if (form_of(c) != FORM_NONE)
        return RC_OK;
    char name[COL_NAME_BYTES];
    col_name(c, name);
    if (column)
        return err_set(err, RC_UNSUPPORTED, "column \"%s\" of type %s cannot be part of a key", column, name);
    return err_set(err, RC_UNSUPPORTED, "a column of type %s cannot be part of a key", name);
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

static void put_int(struct buf *b, int64_t i) {
    uint8_t be[8];
    uint64_t magnitude = i < 0 ? ~(uint64_t)i : (uint64_t)i;
    size_t n = magnitude ? 8 - (size_t)__builtin_clzll(magnitude) / 8 : 0;
    set_u64be(be, (uint64_t)i);
    buf_putc(b, (uint8_t)(i < 0 ? TAG_INT - 1 - (int)n : TAG_INT + (int)n));
    buf_put(b, be + 8 - n, n);
}

static void put_float(struct buf *b, double r) {
    uint64_t bits = FLOAT_NAN;
    if (!isnan(r)) {
        r += 0.0; /* -0.0 is 0.0 */
        memcpy(&bits, &r, sizeof bits);
    }
    buf_putc(b, TAG_FLOAT);
    buf_put_u64be(b, bits & FLOAT_SIGN ? ~bits : bits | FLOAT_SIGN);
}

static void put_escaped(struct buf *b, uint8_t tag, const uint8_t *p, size_t n) {
    buf_putc(b, tag);
    while (n) {
        const uint8_t *zero = memchr(p, ESCAPE, n);
        size_t plain = zero ? (size_t)(zero - p) : n;
        buf_put(b, p, plain);
        if (zero) {
            buf_putc(b, ESCAPE);
            buf_putc(b, ESCAPED_ZERO);
            plain++;
        }
        p += plain;
        n -= plain;
    }
    buf_putc(b, ESCAPE);
    buf_putc(b, ESCAPED_END);
}

static void invert(struct buf *b, size_t from) {
    for (size_t i = from; i < b->len; i++)
        b->data[i] = (uint8_t)~b->data[i];
}

/* Decimal digits 0.s1 s2 ... sn * 10^exp, s1 and sn not 0, as pairs. */
static void put_digits(struct buf *b, bool neg, const char *s, size_t n, int64_t exp) {
    size_t odd = (size_t)(exp & 1); /* a 0 goes in front, so that the exponent is one of 100 */
    buf_putc(b, neg ? TAG_NUM_NEG : TAG_NUM_POS);
    size_t from = b->len;
    put_int(b, (exp + (int64_t)odd) / 2);
    size_t pairs = (n + odd + 1) / 2;
    for (size_t i = 0; i < pairs; i++) {
        size_t hi = 2 * i - odd, lo = hi + 1; /* hi wraps where the 0 stands */
        unsigned d = (hi < n ? (unsigned)(s[hi] - '0') * 10 : 0) + (lo < n ? (unsigned)(s[lo] - '0') : 0);
        buf_putc(b, (uint8_t)(2 * d + (i + 1 < pairs)));
    }
    if (neg && !buf_rc(b))
        invert(b, from);
}

/* Canonical text: the digits are cut free of zeros on both sides, and of the point. */
static enum rc put_numeric_text(struct buf *b, const struct value *v) {
    const char *t = v->p;
    size_t n = v->bytes;
    bool neg = *t == '-';
    if (t[neg] == 'N' || t[neg] == 'I') {
        buf_putc(b, t[neg] == 'N' ? TAG_NUM_NAN : neg ? TAG_NUM_NEG_INF : TAG_NUM_INF);
        return RC_OK;
    }
    t += neg, n -= neg;
    const char *point = memchr(t, '.', n);
    int64_t exp = point ? point - t : (int64_t)n;
    struct buf digits;
    const char *s = t;
    buf_init(&digits, 0);
    if (point) {
        buf_put(&digits, t, (size_t)(point - t));
        buf_put(&digits, point + 1, n - (size_t)(point - t) - 1);
        if (buf_rc(&digits)) {
            buf_done(&digits);
            return RC_NOMEM;
        }
        s = (const char *)digits.data;
        n--;
    }
    while (n && *s == '0')
        s++, n--, exp--;
    while (n && s[n - 1] == '0')
        n--;
    if (n)
        put_digits(b, neg, s, n, exp);
    else
        buf_putc(b, TAG_NUM_ZERO);
    buf_done(&digits);
    return RC_OK;
}

static void put_numeric_int(struct buf *b, int64_t i, int scale) {
    char s[20];
    size_t n = sizeof s;
    if (i == COL_NUMERIC_INT_NAN || i == 0) {
        buf_putc(b, i ? TAG_NUM_NAN : TAG_NUM_ZERO);
        return;
    }
    uint64_t m = i < 0 ? -(uint64_t)i : (uint64_t)i;
    for (; m; m /= 10)
        s[--n] = (char)('0' + m % 10);
    size_t count = sizeof s - n;
    int64_t exp = (int64_t)count - scale;
    while (s[n + count - 1] == '0')
        count--;
    put_digits(b, i < 0, s + n, count, exp);
}

static enum rc put_numeric(struct buf *b, const struct col *c, const struct value *v) {
    int scale;
    if (!col_numeric_is_int(c, &scale))
        return put_numeric_text(b, v);
    put_numeric_int(b, v->i, scale);
    return RC_OK;
}

static enum rc bound(struct buf *b, size_t before, enum rc rc, struct err *err) {
    if (!rc)
        rc = buf_rc(b);
    if (!rc && b->len > KEY_BYTES_MAX)
        rc = RC_LIMIT;
    if (!rc)
        return RC_OK;
    b->len = before;
    b->rc = RC_OK;
    if (rc == RC_LIMIT)
        return err_set(err, rc, "a key is longer than %d bytes", KEY_BYTES_MAX);
    return err_set(err, rc, "key: out of memory");
}

enum rc key_put_table(struct buf *b, uint32_t table, struct err *err) {
    CHECK(table);
    size_t before = b->len;
    put_int(b, table);
    return bound(b, before, RC_OK, err);
}

enum rc key_put(struct buf *b, const struct key_part *part, const struct value *v, struct err *err) {
    const struct col *c = &part->col;
    enum form form = form_of(c);
    enum rc rc = form == FORM_NONE ? key_supports(c, NULL, err) : col_check(c, v, err);
    if (rc)
        return rc;
    size_t before = b->len;
    if (v->kind == VALUE_NULL)
        buf_putc(b, TAG_NULL);
    else if (v->kind >= VALUE_TEXT && v->bytes > KEY_BYTES_MAX && form != FORM_NUMERIC)
        rc = RC_LIMIT;
    else
        switch (form) {
        case FORM_NONE:
        case FORM_INT:
            put_int(b, v->i);
            break;
        case FORM_FLOAT:
            put_float(b, value_float_get(v));
            break;
        case FORM_NUMERIC:
            rc = put_numeric(b, c, v);
            break;
        case FORM_TEXT:
            put_escaped(b, TAG_TEXT, v->p, v->bytes);
            break;
        case FORM_BYTES:
            put_escaped(b, TAG_BYTES, v->p, v->bytes);
            break;
        case FORM_UUID:
            buf_putc(b, TAG_UUID);
            buf_put(b, v->p, UUID_BYTES);
            break;
        }
    rc = bound(b, before, rc, err);
    if (!rc && part->desc)
        invert(b, before);
    return rc;
}

enum rc key_put_row(struct buf *b, const struct key_part *parts, const struct value *v, size_t n, struct err *err) {
    size_t before = b->len;
    for (size_t i = 0; i < n; i++) {
        enum rc rc = key_put(b, &parts[i], &v[i], err);
        if (rc) {
            b->len = before;
            return rc;
        }
    }
    return RC_OK;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* Reads one byte through the mask; -1 = there is none. */
static int next(struct rd *r, uint8_t mask) {
    const uint8_t *p = rd_bytes(r, 1);
    return p ? *p ^ mask : -1;
}

static enum rc damaged(struct err *err, const char *what) {
    return err_set(err, RC_CORRUPT, "key: %s", what);
}

static bool is_int_tag(int tag) {
    return tag >= TAG_INT - 1 - 8 && tag <= TAG_INT + 8;
}

static enum rc get_int(struct rd *r, int tag, uint8_t mask, int64_t *ret, struct err *err) {
    if (!is_int_tag(tag))
        return damaged(err, "no integer");
    bool neg = tag < TAG_INT;
    int n = neg ? TAG_INT - 1 - tag : tag - TAG_INT;
    uint64_t u = neg ? UINT64_MAX : 0;
    for (int i = 0; i < n; i++) {
        int c = next(r, mask);
        if (c < 0)
            return damaged(err, "an integer is cut off");
        if (i == 0 && c == (neg ? 0xff : 0))
            return damaged(err, "an integer in more bytes than it needs");
        u = u << 8 | (uint64_t)c;
    }
    if (n == 8 && neg != (u >> 63))
        return damaged(err, "an integer beyond 64 bits");
    *ret = (int64_t)u;
    return RC_OK;
}

static enum rc get_float(struct rd *r, uint8_t mask, struct value *ret, struct err *err) {
    uint64_t u = 0;
    double d;
    for (int i = 0; i < 8; i++) {
        int c = next(r, mask);
        if (c < 0)
            return damaged(err, "a float is cut off");
        u = u << 8 | (uint64_t)c;
    }
    u = u & FLOAT_SIGN ? u & ~FLOAT_SIGN : ~u;
    memcpy(&d, &u, sizeof d);
    if (isnan(d) ? u != FLOAT_NAN : u == FLOAT_SIGN)
        return damaged(err, "a NaN or a -0.0 that is never written");
    *ret = value_float(d);
    return RC_OK;
}

/* Length of escaped bytes without and with what was added, the end included; false: they do not end. */
static bool measure(const struct rd *r, uint8_t mask, size_t *ret_plain, size_t *ret_all) {
    size_t n = rd_left(r), plain = 0;
    for (size_t i = 0; i < n; i++, plain++) {
        if ((r->at[i] ^ mask) != ESCAPE)
            continue;
        if (++i == n)
            return false;
        if ((r->at[i] ^ mask) == ESCAPED_END) {
            *ret_plain = plain;
            *ret_all = i + 1;
            return true;
        }
        if ((r->at[i] ^ mask) != ESCAPED_ZERO)
            return false;
    }
    return false;
}

static enum rc get_escaped(struct rd *r, uint8_t mask, struct arena *a, const uint8_t **ret, size_t *ret_bytes,
                           struct err *err) {
    size_t plain, all;
    if (!measure(r, mask, &plain, &all))
        return damaged(err, "text or bytes without an end");
    const uint8_t *p = rd_bytes(r, all);
    if (!mask && all == plain + 2) { /* nothing was escaped */
        *ret = p;
        *ret_bytes = plain;
        return RC_OK;
    }
    uint8_t *w = arena_alloc(a, plain);
    if (!w)
        return err_set(err, RC_NOMEM, "key: out of memory");
    for (size_t i = 0, k = 0; k < plain; i++, k++) {
        w[k] = p[i] ^ mask;
        i += w[k] == ESCAPE;
    }
    *ret = w;
    *ret_bytes = plain;
    return RC_OK;
}

/* A numeric as its encoding has it: decimal digits, two for each byte. */
struct digits {
    int64_t exp; /* the value is 0.s1 s2 ... * 10^exp */
    size_t n;    /* without zeros at the end */
    size_t zero; /* 1: s1 is 0 */
    const uint8_t *bytes;
    uint8_t mask;
};

static unsigned digit(const struct digits *d, size_t i) {
    unsigned pair = (unsigned)(d->bytes[i / 2] ^ d->mask) / 2;
    return i % 2 ? pair % 10 : pair / 10;
}

static enum rc get_digits(struct rd *r, uint8_t mask, struct digits *ret, struct err *err) {
    int64_t e;
    int tag = next(r, mask);
    enum rc rc = tag < 0 ? damaged(err, "a numeric is cut off") : get_int(r, tag, mask, &e, err);
    if (rc)
        return rc;
    if (e < NUM_EXP_MIN || e > NUM_EXP_MAX)
        return damaged(err, "a numeric's exponent");
    *ret = (struct digits){.exp = 2 * e, .bytes = r->at, .mask = mask};
    for (int c = 1; c & 1; ret->n += 2) {
        c = next(r, mask);
        if (c < 0)
            return damaged(err, "a numeric is cut off");
        if (c / 2 > 99 || (c < 2 && (ret->n == 0 || !(c & 1))))
            return damaged(err, "a numeric's digits");
    }
    ret->zero = digit(ret, 0) == 0;
    ret->n -= digit(ret, ret->n - 1) == 0;
    return RC_OK;
}

/* As an integer scaled by 10^scale; false: it is none of 18 digits. */
static bool digits_to_int(const struct digits *d, bool neg, int scale, int64_t *ret) {
    int64_t places = d->exp + scale, i = 0; /* digits that the integer has */
    if ((int64_t)d->n > places || places - (int64_t)d->zero > COL_NUMERIC_INT_DIGITS)
        return false;
    for (int64_t k = 0; k < places; k++)
        i = i * 10 + ((size_t)k < d->n ? (int64_t)digit(d, (size_t)k) : 0);
    *ret = neg ? -i : i;
    return true;
}

/* As canonical text with that many digits after the point (-1: as many as it has). */
static enum rc digits_to_text(const struct digits *d, bool neg, int64_t scale, struct arena *a, struct value *ret,
                              struct err *err) {
    int64_t first = (int64_t)d->zero, n = (int64_t)d->n;
    int64_t has = n > d->exp ? n - d->exp : 0; /* digits after the point */
    if (scale < 0)
        scale = has;
    if (has > scale)
        return damaged(err, "a numeric with more digits than its column has");
    int64_t whole = d->exp > first ? d->exp - first : 0;
    size_t room = (size_t)(whole + scale) + 4;
    char *t = arena_alloc(a, room), *w = t;
    if (!t)
        return err_set(err, RC_NOMEM, "key: out of memory");
    if (neg)
        *w++ = '-';
    if (!whole)
        *w++ = '0';
    for (int64_t k = d->exp - whole; k < d->exp + scale; k++) {
        if (k == d->exp)
            *w++ = '.';
        *w++ = (char)('0' + (k >= 0 && k < n ? digit(d, (size_t)k) : 0));
    }
    *ret = value_text(t, (size_t)(w - t));
    return RC_OK;
}

static enum rc get_numeric(struct rd *r, int tag, uint8_t mask, const struct col *c, struct arena *a, struct value *ret,
                           struct err *err) {
    static const char zeros[] = "0.";
    int precision, scale = -1;
    bool limited = col_numeric_limits(c, &precision, &scale), as_int = col_numeric_is_int(c, NULL);
    bool finite = tag >= TAG_NUM_NEG && tag <= TAG_NUM_POS;
    if (!finite) {
        const char *t = tag == TAG_NUM_NAN ? "NaN" : tag == TAG_NUM_INF ? "Infinity" : "-Infinity";
        if (as_int && tag != TAG_NUM_NAN)
            return damaged(err, "an infinite numeric");
        *ret = as_int ? value_int(COL_NUMERIC_INT_NAN) : value_text(t, strlen(t));
        return RC_OK;
    }
    struct digits d = {.bytes = (const uint8_t *)zeros};
    bool neg = tag == TAG_NUM_NEG;
    enum rc rc = tag == TAG_NUM_ZERO ? RC_OK : get_digits(r, neg ? (uint8_t)~mask : mask, &d, err);
    if (rc)
        return rc;
    if (!as_int)
        return digits_to_text(&d, neg, limited && scale < 0 ? 0 : scale, a, ret, err);
    int64_t i = 0;
    if (d.n && !digits_to_int(&d, neg, scale, &i))
        return damaged(err, "a numeric with more digits than its column has");
    *ret = value_int(i);
    return RC_OK;
}

static enum rc get_value(struct rd *r, int tag, uint8_t mask, const struct col *c, struct arena *a, struct value *ret,
                         struct err *err) {
    const uint8_t *p;
    size_t n;
    int64_t i;
    enum rc rc;
    switch (form_of(c)) {
    case FORM_INT:
        rc = get_int(r, tag, mask, &i, err);
        if (!rc)
            *ret = value_int(i);
        return rc;
    case FORM_FLOAT:
        return tag == TAG_FLOAT ? get_float(r, mask, ret, err) : damaged(err, "no float");
    case FORM_NUMERIC:
        if (tag < TAG_NUM_NEG_INF || tag > TAG_NUM_NAN)
            return damaged(err, "no numeric");
        return get_numeric(r, tag, mask, c, a, ret, err);
    case FORM_TEXT:
    case FORM_BYTES: {
        bool text = form_of(c) == FORM_TEXT;
        if (tag != (text ? TAG_TEXT : TAG_BYTES))
            return damaged(err, text ? "no text" : "no bytes");
        rc = get_escaped(r, mask, a, &p, &n, err);
        if (!rc)
            *ret = text ? value_text(p, n) : value_blob(p, n);
        return rc;
    }
    case FORM_UUID: {
        if (tag != TAG_UUID || rd_left(r) < UUID_BYTES)
            return damaged(err, "no uuid");
        uint8_t *w = arena_copy(a, rd_bytes(r, UUID_BYTES), UUID_BYTES);
        if (!w)
            return err_set(err, RC_NOMEM, "key: out of memory");
        for (int k = 0; k < UUID_BYTES; k++)
            w[k] ^= mask;
        *ret = value_blob(w, UUID_BYTES);
        return RC_OK;
    }
    case FORM_NONE:
        break;
    }
    return key_supports(c, NULL, err);
}

enum rc key_get(struct rd *r, const struct key_part *part, struct arena *a, struct value *ret, struct err *err) {
    uint8_t mask = part->desc ? 0xff : 0;
    int tag = next(r, mask);
    if (tag < 0)
        return damaged(err, "a part is missing");
    if (tag == TAG_NULL && form_of(&part->col) != FORM_NONE) {
        *ret = value_null();
        return RC_OK;
    }
    struct value v;
    enum rc rc = get_value(r, tag, mask, &part->col, a, &v, err);
    if (rc)
        return rc;
    if (col_check(&part->col, &v, err)) {
        err_wrap(err, "key");
        if (err)
            err->rc = RC_CORRUPT;
        return RC_CORRUPT;
    }
    *ret = v;
    return RC_OK;
}

enum rc key_get_row(struct rd *r, const struct key_part *parts, size_t n, struct arena *a, struct value *ret,
                    struct err *err) {
    for (size_t i = 0; i < n; i++) {
        enum rc rc = key_get(r, &parts[i], a, &ret[i], err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

enum rc key_get_table(struct rd *r, uint32_t *ret, struct err *err) {
    int64_t i = 0;
    int tag = next(r, 0);
    enum rc rc = tag < 0 ? damaged(err, "a table's number is missing") : get_int(r, tag, 0, &i, err);
    if (rc)
        return rc;
    if (i <= 0 || i > UINT32_MAX)
        return damaged(err, "a table's number");
    *ret = (uint32_t)i;
    return RC_OK;
}

enum rc key_skip(struct rd *r, bool desc, struct err *err) {
    uint8_t mask = desc ? 0xff : 0;
    int tag = next(r, mask);
    size_t plain, all = 0;
    int64_t i;
    struct digits d;
    if (is_int_tag(tag))
        return get_int(r, tag, mask, &i, err);
    switch (tag) {
    case TAG_NULL:
    case TAG_NUM_NEG_INF:
    case TAG_NUM_ZERO:
    case TAG_NUM_INF:
    case TAG_NUM_NAN:
        return RC_OK;
    case TAG_NUM_NEG:
    case TAG_NUM_POS:
        return get_digits(r, tag == TAG_NUM_NEG ? (uint8_t)~mask : mask, &d, err);
    case TAG_FLOAT:
        all = 8;
        break;
    case TAG_UUID:
        all = UUID_BYTES;
        break;
    case TAG_TEXT:
    case TAG_BYTES:
        if (!measure(r, mask, &plain, &all))
            return damaged(err, "text or bytes without an end");
        break;
    default:
        return damaged(err, tag < 0 ? "a part is missing" : "an unknown kind of part");
    }
    return rd_bytes(r, all) ? RC_OK : damaged(err, "a part is cut off");
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

enum rc key_successor(struct buf *b, struct key k, struct err *err) {
    size_t before = b->len;
    buf_put(b, k.p, k.bytes);
    buf_putc(b, 0);
    return bound(b, before, RC_OK, err);
}

enum rc key_prefix_end(struct buf *b, struct key prefix, struct err *err) {
    size_t before = b->len, n = prefix.bytes;
    while (n && prefix.p[n - 1] == 0xff)
        n--;
    if (n) {
        buf_put(b, prefix.p, n - 1);
        buf_putc(b, (uint8_t)(prefix.p[n - 1] + 1));
    }
    return bound(b, before, RC_OK, err);
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static void print_bytes(struct buf *out, const uint8_t *p, size_t n) {
    buf_puts(out, "\\x");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%02x", p[i]);
}

/* The type whose encoding begins with that tag, in the widest form. */
static enum col_type type_of_tag(int tag) {
    if (is_int_tag(tag))
        return COL_INT8;
    if (tag >= TAG_NUM_NEG_INF && tag <= TAG_NUM_NAN)
        return COL_NUMERIC;
    switch (tag) {
    case TAG_FLOAT:
        return COL_FLOAT8;
    case TAG_TEXT:
        return COL_TEXT;
    case TAG_BYTES:
        return COL_BYTEA;
    case TAG_UUID:
        return COL_UUID;
    case TAG_NULL:
        return COL_INT4;
    default:
        return COL_NONE;
    }
}

static void print_value(struct buf *out, const struct value *v, bool number) {
    switch (v->kind) {
    case VALUE_NULL:
        buf_puts(out, "null");
        return;
    case VALUE_INT:
        buf_printf(out, "%lld", (long long)v->i);
        return;
    case VALUE_REAL:
        buf_printf(out, "%.17g", v->r);
        return;
    case VALUE_TEXT:
        if (!number)
            buf_putc(out, '\'');
        for (uint32_t i = 0; i < v->bytes; i++) {
            uint8_t c = ((const uint8_t *)v->p)[i];
            if (c < ' ' || c == 0x7f || c == '\'' || c == '\\')
                buf_printf(out, "\\%02x", c);
            else
                buf_putc(out, c);
        }
        if (!number)
            buf_putc(out, '\'');
        return;
    case VALUE_BLOB:
        print_bytes(out, v->p, v->bytes);
        return;
    }
}

void key_print(struct key k, struct buf *out) {
    struct rd r;
    struct arena a;
    rd_init(&r, k.p, k.bytes);
    arena_init(&a, 0);
    while (rd_left(&r)) {
        const uint8_t *at = r.at;
        enum col_type up = type_of_tag(*at), down = type_of_tag(*at ^ 0xff);
        struct key_part part = {.col = col_of(up ? up : down), .desc = !up};
        struct value v;
        if (at != k.p)
            buf_putc(out, '/');
        if (part.col.type == COL_NONE || key_get(&r, &part, &a, &v, NULL)) {
            print_bytes(out, at, (size_t)(r.end - at));
            break;
        }
        print_value(out, &v, part.col.type == COL_NUMERIC);
    }
    arena_done(&a);
}
