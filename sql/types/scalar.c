/* SPDX-License-Identifier: Apache-2.0 */
/* scalar.c: the small types: bool, integers, oid, uuid, bytea, text. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sql/parse/utf8.h"
#include "sql/types/types_internal.h"

static void trim(const char **p, size_t *n) {
    while (*n && type_blank(**p))
        (*p)++, (*n)--;
    while (*n && type_blank((*p)[*n - 1]))
        (*n)--;
}

static bool starts(const char *word, const char *p, size_t n, size_t least) {
    return n >= least && n <= strlen(word) && strncasecmp(word, p, n) == 0;
}

enum rc bool_parse(const char *text, size_t bytes, int64_t *ret, struct err *err) {
    const char *p = text;
    size_t n = bytes;
    trim(&p, &n);
    bool yes = starts("true", p, n, 1) || starts("yes", p, n, 1) || starts("on", p, n, 2) || starts("1", p, n, 1);
    bool no = starts("false", p, n, 1) || starts("no", p, n, 1) || starts("off", p, n, 2) || starts("0", p, n, 1);
    if (yes == no)
        return type_bad_text("boolean", text, bytes, err);
    *ret = yes;
    return RC_OK;
}

enum rc int_parse(const char *text, size_t bytes, int64_t min, int64_t max, const char *name, int64_t *ret,
                  struct err *err) {
    const char *p = text;
    size_t n = bytes;
    trim(&p, &n);
    bool neg = n && *p == '-', large = false;
    if (n && (*p == '-' || *p == '+'))
        p++, n--;
    if (!n)
        return type_bad_text(name, text, bytes, err);
    int64_t v = 0; /* below 0: there is one more of them */
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return type_bad_text(name, text, bytes, err);
        large |= __builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, p[i] - '0', &v);
    }
    if (!neg && !large)
        large = __builtin_sub_overflow(0, v, &v);
    if (large || v < min || v > max)
        return err_sql(err, "22003", "value \"%.*s\" is out of range for type %s", type_shown(bytes), text, name);
    *ret = v;
    return RC_OK;
}

/* PostgreSQL takes -1 for the greatest oid, and so on. */
enum rc oid_parse(const char *text, size_t bytes, int64_t *ret, struct err *err) {
    int64_t v;
    enum rc rc = int_parse(text, bytes, INT32_MIN, UINT32_MAX, "oid", &v, err);
    if (!rc)
        *ret = (uint32_t)v;
    return rc;
}

/* ---- uuid and bytea ---------------------------------------------------------------------------------------------- */

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* 32 digits; a hyphen may stand after every fourth; braces around all. */
enum rc uuid_parse(const char *text, size_t bytes, uint8_t to[static 16], struct err *err) {
    const char *p = text, *end = text + bytes;
    bool braces = bytes && *p == '{';
    p += braces;
    for (int i = 0; i < 16; i++) {
        int hi = p < end ? hex(*p) : -1, lo = p + 1 < end ? hex(p[1]) : -1;
        if (hi < 0 || lo < 0)
            return type_bad_text("uuid", text, bytes, err);
        to[i] = (uint8_t)(hi << 4 | lo);
        p += 2;
        if (i % 2 && i < 15 && p < end && *p == '-')
            p++;
    }
    if (braces && (p == end || *p++ != '}'))
        return type_bad_text("uuid", text, bytes, err);
    return p == end ? RC_OK : type_bad_text("uuid", text, bytes, err);
}

static const char hex_digits[] = "0123456789abcdef";

static void put_hex(const uint8_t *p, size_t n, struct buf *out) {
    uint8_t *w = buf_reserve(out, 2 * n);
    if (!w)
        return;
    for (size_t i = 0; i < n; i++) {
        w[2 * i] = (uint8_t)hex_digits[p[i] >> 4];
        w[2 * i + 1] = (uint8_t)hex_digits[p[i] & 15];
    }
    buf_commit(out, 2 * n);
}

void uuid_print(const uint8_t *p, struct buf *out) {
    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    for (size_t i = 0; i < sizeof groups; p += groups[i++]) {
        if (i)
            buf_putc(out, '-');
        put_hex(p, groups[i], out);
    }
}

static int character_bytes(const char *p, size_t n) {
    size_t k = 1;
    while (k < n && k < 4 && ((uint8_t)p[k] & 0xc0) == 0x80)
        k++;
    return (int)k;
}

static enum rc bytea_hex(const char *p, size_t n, uint8_t *w, size_t *ret, struct err *err) {
    const char *end = p + n;
    size_t used = 0;
    while (p < end) {
        if (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r') {
            p++;
            continue;
        }
        for (int k = 0; k < 2; k++) {
            if (p + k == end)
                return err_sql(err, "22023", "invalid hexadecimal data: odd number of digits");
            if (hex(p[k]) < 0)
                return err_sql(err, "22023", "invalid hexadecimal digit: \"%.*s\"",
                               character_bytes(p + k, (size_t)(end - p) - (size_t)k), p + k);
        }
        w[used++] = (uint8_t)(hex(*p) << 4 | hex(p[1]));
        p += 2;
    }
    *ret = used;
    return RC_OK;
}

enum rc bytea_parse(const char *text, size_t bytes, struct arena *a, struct value *ret, struct err *err) {
    uint8_t *w = arena_alloc(a, bytes);
    size_t used = 0;
    if (!w)
        return type_no_memory(err);
    if (bytes >= 2 && text[0] == '\\' && text[1] == 'x') {
        enum rc rc = bytea_hex(text + 2, bytes - 2, w, &used, err);
        if (rc)
            return rc;
    } else
        for (size_t i = 0; i < bytes;) {
            const char *p = text + i;
            size_t left = bytes - i;
            if (*p != '\\') {
                w[used++] = (uint8_t)*p;
                i++;
            } else if (left >= 4 && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
                       p[3] <= '7') {
                w[used++] = (uint8_t)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                i += 4;
            } else if (left >= 2 && p[1] == '\\') {
                w[used++] = '\\';
                i += 2;
            } else
                return err_sql(err, "22P02", "invalid input syntax for type bytea");
        }
    *ret = value_blob(w, used);
    return RC_OK;
}

void bytea_print(const void *p, size_t bytes, bool escape, struct buf *out) {
    const uint8_t *b = p;
    if (!escape) {
        buf_puts(out, "\\x");
        put_hex(b, bytes, out);
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (b[i] == '\\')
            buf_puts(out, "\\\\");
        else if (b[i] < 0x20 || b[i] > 0x7e)
            buf_printf(out, "\\%03o", b[i]);
        else
            buf_putc(out, b[i]);
    }
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* Bytes of the first n characters. */
static size_t bytes_of(const char *p, size_t bytes, int n) {
    size_t i = 0;
    for (int k = 0; i < bytes; i++)
        if (((uint8_t)p[i] & 0xc0) != 0x80 && k++ == n)
            break;
    return i;
}

enum rc text_limit(const struct col *c, const char *text, size_t bytes, struct value *ret, struct err *err) {
    int n = col_length_max(c);
    if (bytes > VALUE_BYTES_MAX)
        return err_set(err, RC_LIMIT, "a text of %zu bytes", bytes);
    if (n >= 0) {
        size_t fits = bytes_of(text, bytes, n);
        for (size_t i = fits; i < bytes; i++)
            if (text[i] != ' ')
                return err_sql(err, "22001", "value too long for type character%s(%d)",
                               c->type == COL_CHAR ? "" : " varying", n);
        bytes = fits;
    }
    while (c->type == COL_CHAR && bytes && text[bytes - 1] == ' ')
        bytes--;
    *ret = value_text(text, bytes);
    return RC_OK;
}

/* char(n) gets its blanks back. */
void text_print(const struct col *c, const struct value *v, struct buf *out) {
    buf_put(out, v->p, v->bytes);
    int n = c->type == COL_CHAR ? col_length_max(c) : -1;
    const char *p = v->p;
    for (uint32_t i = 0; i < v->bytes && n >= 0; i++)
        n -= ((uint8_t)p[i] & 0xc0) != 0x80;
    if (n <= 0)
        return;
    uint8_t *blanks = buf_reserve(out, (size_t)n);
    if (!blanks)
        return;
    memset(blanks, ' ', (size_t)n);
    buf_commit(out, (size_t)n);
}

enum rc text_check_utf8(const char *p, size_t bytes, struct err *err) {
    size_t at;
    if (utf8_valid(p, bytes, &at))
        return RC_OK;
    /* PostgreSQL shows as many bytes as the first of them announces */
    uint8_t c = (uint8_t)p[at];
    size_t n = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc0 && c < 0xe0 ? 2 : 1;
    char shown[32] = "";
    for (size_t i = 0; i < n && at + i < bytes; i++)
        snprintf(shown + strlen(shown), sizeof shown - strlen(shown), "%s0x%02x", i ? " " : "", (uint8_t)p[at + i]);
    return err_sql(err, "22021", "invalid byte sequence for encoding \"UTF8\": %s", shown);
}
