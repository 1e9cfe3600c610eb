/* SPDX-License-Identifier: Apache-2.0 */
/* copytext.c: see copytext.h. A line is cut out first (in CSV, quotes may hold line ends), then taken apart. */
#include "sql/run/copytext.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct copytext copytext_defaults(bool csv) {
    struct copytext f = {.csv = csv, .delimiter = csv ? ',' : '\t', .quote = '"', .escape = '"'};
    if (!csv)
        memcpy(f.null_text, "\\N", 3);
    return f;
}

enum rc copytext_check(const struct copytext *f, struct err *err) {
    if (f->delimiter == '\n' || f->delimiter == '\r')
        return err_sql(err, "22023", "COPY delimiter cannot be newline or carriage return");
    if (strpbrk(f->null_text, "\r\n"))
        return err_sql(err, "22023", "COPY null representation cannot use newline or carriage return");
    if (!f->csv && strchr("\\.abcdefghijklmnopqrstuvwxyz0123456789", f->delimiter))
        return err_sql(err, "22023", "COPY delimiter cannot be \"%c\"", f->delimiter);
    if (f->csv && f->delimiter == f->quote)
        return err_sql(err, "22023", "COPY delimiter and quote must be different");
    if (strchr(f->null_text, f->delimiter))
        return err_sql(err, "22023", "COPY delimiter must not appear in the NULL specification");
    if (f->csv && strchr(f->null_text, f->quote))
        return err_sql(err, "22023", "CSV quote character must not appear in the NULL specification");
    return RC_OK;
}

enum rc copytext_reader_init(struct copytext_reader *r, const struct copytext *format) {
    *r = (struct copytext_reader){.format = *format};
    buf_init(&r->left, COPYTEXT_LINE_BYTES_MAX);
    buf_init(&r->text, COPYTEXT_LINE_BYTES_MAX);
    r->field = calloc(COPYTEXT_FIELDS_MAX, sizeof *r->field);
    r->at = calloc(COPYTEXT_FIELDS_MAX + 1, sizeof *r->at);
    if (r->field && r->at)
        return RC_OK;
    copytext_reader_done(r);
    return RC_NOMEM;
}

void copytext_reader_done(struct copytext_reader *r) {
    buf_done(&r->left);
    buf_done(&r->text);
    free(r->field);
    free(r->at);
    r->field = NULL;
    r->at = NULL;
}

static enum rc bad(const struct copytext_reader *r, struct err *err, const char *text) {
    enum rc rc = err_sql(err, "22P04", "%s", text);
    if (err)
        err_detail(err, "Line %" PRIu64 " of the data.", r->line);
    return rc;
}

/* ---- lines -------------------------------------------------------------------------------------------------------------- */

/* The place of the line's end in left, or -1: more bytes are needed. */
static ssize_t line_end(struct copytext_reader *r) {
    const struct copytext *f = &r->format;
    const char *p = (const char *)r->left.data;
    for (size_t i = r->scanned; i < r->left.len; i++) {
        if (f->csv && r->in_quotes && p[i] == f->escape && f->escape != f->quote) {
            if (i + 1 == r->left.len) {
                r->scanned = i;
                return -1;
            }
            i++;
        } else if (f->csv && p[i] == f->quote) {
            r->in_quotes = !r->in_quotes; /* a doubled one does it twice */
        } else if (!f->csv && p[i] == '\\') {
            if (i + 1 == r->left.len) {
                r->scanned = i;
                return -1;
            }
            i++; /* even the end of a line is data behind a backslash */
        } else if (p[i] == '\n' && !r->in_quotes) {
            r->scanned = i;
            return (ssize_t)i;
        }
    }
    r->scanned = r->left.len;
    return -1;
}

/* ---- fields ---------------------------------------------------------------------------------------------------------------- */

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What stands behind a backslash; *p is moved over it. */
static char escaped(const char **p, const char *end) {
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    char c = *(*p)++;
    const char *known = c ? strchr(from, c) : NULL;
    if (known)
        return to[known - from];
    if (c >= '0' && c <= '7') {
        int v = c - '0';
        for (int i = 0; i < 2 && *p < end && **p >= '0' && **p <= '7'; i++)
            v = v * 8 + (*(*p)++ - '0');
        return (char)v;
    }
    if (c == 'x' && *p < end && hex(**p) >= 0) {
        int v = hex(*(*p)++);
        if (*p < end && hex(**p) >= 0)
            v = v * 16 + hex(*(*p)++);
        return (char)v;
    }
    return c;
}

static bool is_null(const struct copytext *f, const char *p, size_t n) {
    return n == strlen(f->null_text) && memcmp(p, f->null_text, n) == 0;
}

static enum rc text_fields(struct copytext_reader *r, const char *p, const char *end, size_t *ret, struct err *err) {
    const struct copytext *f = &r->format;
    size_t n = 0;
    for (;;) {
        if (n == COPYTEXT_FIELDS_MAX)
            return bad(r, err, "too many fields in a line");
        const char *begin = p;
        r->at[n] = r->text.len;
        while (p < end && *p != f->delimiter) {
            char c = *p++;
            if (c == '\\' && p < end)
                c = escaped(&p, end);
            buf_putc(&r->text, (uint8_t)c);
        }
        r->field[n].null = is_null(f, begin, (size_t)(p - begin));
        n++;
        if (p == end)
            break;
        p++;
    }
    *ret = n;
    return RC_OK;
}

static enum rc csv_field(struct copytext_reader *r, const char **at, const char *end, bool *ret_quoted,
                         struct err *err) {
    const struct copytext *f = &r->format;
    const char *p = *at;
    while (p < end && *p != f->delimiter) {
        if (*p != f->quote) {
            buf_putc(&r->text, (uint8_t)*p++);
            continue;
        }
        *ret_quoted = true;
        for (p++;;) {
            if (p == end)
                return bad(r, err, "unterminated CSV quoted field");
            if (*p == f->escape && p + 1 < end && (p[1] == f->quote || p[1] == f->escape)) {
                buf_putc(&r->text, (uint8_t)p[1]);
                p += 2;
            } else if (*p == f->quote) {
                p++;
                break;
            } else {
                buf_putc(&r->text, (uint8_t)*p++);
            }
        }
    }
    *at = p;
    return RC_OK;
}

static enum rc csv_fields(struct copytext_reader *r, const char *p, const char *end, size_t *ret, struct err *err) {
    size_t n = 0;
    for (;;) {
        bool quoted = false;
        if (n == COPYTEXT_FIELDS_MAX)
            return bad(r, err, "too many fields in a line");
        const char *begin = p;
        r->at[n] = r->text.len;
        enum rc rc = csv_field(r, &p, end, &quoted, err);
        if (rc)
            return rc;
        r->field[n].null = !quoted && is_null(&r->format, begin, (size_t)(p - begin));
        n++;
        if (p == end)
            break;
        p++;
    }
    *ret = n;
    return RC_OK;
}

static enum rc one_line(struct copytext_reader *r, const char *p, size_t bytes, copytext_row *on_row, void *ctx,
                        struct err *err) {
    size_t n = 0;
    r->line++;
    if (bytes > 0 && p[bytes - 1] == '\r')
        bytes--;
    if (bytes == 2 && memcmp(p, "\\.", 2) == 0) {
        r->ended = true;
        return RC_OK;
    }
    if (r->format.header && !r->header_done) {
        r->header_done = true;
        return RC_OK;
    }
    buf_reset(&r->text, 1 << 20);
    enum rc rc = r->format.csv ? csv_fields(r, p, p + bytes, &n, err) : text_fields(r, p, p + bytes, &n, err);
    if (!rc && !buf_cstr(&r->text))
        rc = err_set(err, buf_rc(&r->text), "line %" PRIu64 " of the data is too long", r->line);
    if (rc)
        return rc;
    r->at[n] = r->text.len;
    for (size_t i = 0; i < n; i++) {
        r->field[i].p = (const char *)r->text.data + r->at[i];
        r->field[i].bytes = r->at[i + 1] - r->at[i];
    }
    return on_row(ctx, r->field, n, err);
}

enum rc copytext_feed(struct copytext_reader *r, const void *data, size_t bytes, bool end, copytext_row *on_row,
                      void *ctx, struct err *err) {
    enum rc rc = RC_OK;
    if (r->ended)
        return RC_OK; /* what follows "\." is not looked at */
    buf_put(&r->left, data, bytes);
    if (buf_rc(&r->left))
        return err_set(err, RC_LIMIT, "line %" PRIu64 " of the data is longer than %d bytes", r->line + 1,
                       COPYTEXT_LINE_BYTES_MAX);
    size_t from = 0;
    while (!rc && !r->ended) {
        ssize_t at = line_end(r);
        if (at < 0)
            break;
        rc = one_line(r, (const char *)r->left.data + from, (size_t)at - from, on_row, ctx, err);
        from = (size_t)at + 1;
        r->scanned = from;
    }
    buf_consume(&r->left, from);
    r->scanned -= from < r->scanned ? from : r->scanned;
    if (rc || !end || r->ended || r->left.len == 0)
        return rc;
    if (r->in_quotes)
        return bad(r, err, "unterminated CSV quoted field");
    return one_line(r, (const char *)r->left.data, r->left.len, on_row, ctx, err);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------- */

static void text_write(const struct copytext *f, const struct copytext_field *v, struct buf *to) {
    static const char from[] = "\b\f\n\r\t\v", name[] = "bfnrtv";
    for (size_t i = 0; i < v->bytes; i++) {
        char c = v->p[i];
        const char *known = c ? strchr(from, c) : NULL;
        if (known) {
            buf_putc(to, '\\');
            buf_putc(to, (uint8_t)name[known - from]);
        } else {
            if (c == '\\' || c == f->delimiter)
                buf_putc(to, '\\');
            buf_putc(to, (uint8_t)c);
        }
    }
}

static bool must_quote(const struct copytext *f, const struct copytext_field *v, bool only) {
    if (f->force_quote_all || is_null(f, v->p, v->bytes) || (only && v->bytes == 2 && memcmp(v->p, "\\.", 2) == 0))
        return true;
    for (size_t i = 0; i < v->bytes; i++)
        if (v->p[i] == f->delimiter || v->p[i] == f->quote || v->p[i] == '\n' || v->p[i] == '\r')
            return true;
    return false;
}

static void csv_write(const struct copytext *f, const struct copytext_field *v, bool only, struct buf *to) {
    if (!must_quote(f, v, only)) {
        buf_put(to, v->p, v->bytes);
        return;
    }
    buf_putc(to, (uint8_t)f->quote);
    for (size_t i = 0; i < v->bytes; i++) {
        if (v->p[i] == f->quote || v->p[i] == f->escape)
            buf_putc(to, (uint8_t)f->escape);
        buf_putc(to, (uint8_t)v->p[i]);
    }
    buf_putc(to, (uint8_t)f->quote);
}

void copytext_write(const struct copytext *f, const struct copytext_field *field, size_t fields, struct buf *to) {
    for (size_t i = 0; i < fields; i++) {
        if (i)
            buf_putc(to, (uint8_t)f->delimiter);
        if (field[i].null)
            buf_puts(to, f->null_text);
        else if (f->csv)
            csv_write(f, &field[i], fields == 1, to);
        else
            text_write(f, &field[i], to);
    }
    buf_putc(to, '\n');
}
