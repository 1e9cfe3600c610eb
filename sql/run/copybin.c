/* SPDX-License-Identifier: Apache-2.0 */
/* copybin.c: see copybin.h. A header, then rows: a count of fields, and each field's length and bytes; a count of -1 ends them. */
#include "sql/run/copybin.h"

#include <stdlib.h>

static const uint8_t signature[] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n', 0};

enum { HEADER_BYTES = sizeof signature + 8, FLAGS_CRITICAL = 0xffff };

enum rc copybin_reader_init(struct copybin_reader *r, size_t columns) {
    *r = (struct copybin_reader){.columns = columns, .field = calloc(columns + 1, sizeof *r->field)};
    buf_init(&r->left, COPYTEXT_LINE_BYTES_MAX);
    return r->field ? RC_OK : RC_NOMEM;
}

void copybin_reader_done(struct copybin_reader *r) {
    buf_done(&r->left);
    free(r->field);
}

/* How many bytes the header takes; 0: it is not all there. */
static enum rc header(const uint8_t *p, size_t n, size_t *ret, struct err *err) {
    *ret = 0;
    size_t known = n < sizeof signature ? n : sizeof signature;
    if (memcmp(p, signature, known) != 0)
        return err_sql(err, "22P04", "COPY file signature not recognized");
    if (n < HEADER_BYTES)
        return RC_OK;
    uint32_t flags = get_u32be(p + sizeof signature), more = get_u32be(p + sizeof signature + 4);
    if (flags >> 16)
        return err_sql(err, "22P04", "unrecognized critical flags in COPY file header");
    if (flags & FLAGS_CRITICAL)
        return err_sql(err, "22P04", "invalid COPY file header (WITH OIDS)");
    if (more > COPYTEXT_LINE_BYTES_MAX / 2)
        return err_sql(err, "22P04", "invalid COPY file header (wrong length)");
    if (n - HEADER_BYTES >= more)
        *ret = HEADER_BYTES + more;
    return RC_OK;
}

/* The same for a row, whose fields are told. */
static enum rc row(struct copybin_reader *r, const uint8_t *p, size_t n, size_t *ret, struct err *err) {
    *ret = 0;
    if (n < 2)
        return RC_OK;
    int16_t fields = (int16_t)get_u16be(p);
    size_t at = 2;
    if (fields == -1) {
        r->ended = true;
        *ret = at;
        return RC_OK;
    }
    if (fields < 0 || (size_t)fields != r->columns)
        return err_sql(err, "22P04", "row field count is %d, expected %zu", fields, r->columns);
    for (size_t i = 0; i < r->columns; i++) {
        if (n - at < 4)
            return RC_OK;
        int32_t bytes = (int32_t)get_u32be(p + at);
        at += 4;
        if (bytes < -1 || bytes > COPYTEXT_LINE_BYTES_MAX)
            return err_sql(err, "22P04", "invalid field size");
        r->field[i] = (struct copytext_field){(const char *)p + at, bytes < 0 ? 0 : (size_t)bytes, bytes < 0};
        if (bytes > 0 && n - at < (size_t)bytes)
            return RC_OK;
        at += r->field[i].bytes;
    }
    *ret = at;
    return RC_OK;
}

/* What stands whole in p; *ret_used bytes of it. */
static enum rc rows(struct copybin_reader *r, const uint8_t *p, size_t n, size_t *ret_used, copytext_row *on_row,
                    void *ctx, struct err *err) {
    size_t used = 0, took = 0;
    enum rc rc = RC_OK;
    if (!r->header_done && n > 0) {
        rc = header(p, n, &used, err);
        r->header_done = used > 0;
    }
    while (!rc && r->header_done && !r->ended) {
        rc = row(r, p + used, n - used, &took, err);
        if (rc || took == 0)
            break;
        used += took;
        if (!r->ended)
            rc = on_row(ctx, r->field, r->columns, err);
    }
    if (!rc && r->ended && used < n)
        rc = err_sql(err, "22P04", "received copy data after EOF marker");
    *ret_used = used;
    return rc;
}

enum rc copybin_feed(struct copybin_reader *r, const void *data, size_t bytes, bool end, copytext_row *on_row,
                     void *ctx, struct err *err) {
    size_t used = 0;
    if (r->ended && bytes > 0)
        return err_sql(err, "22P04", "received copy data after EOF marker");
    buf_put(&r->left, data, bytes);
    if (buf_rc(&r->left))
        return err_set(err, RC_LIMIT, "a row of COPY may have %d bytes", COPYTEXT_LINE_BYTES_MAX);
    enum rc rc = rows(r, r->left.data, r->left.len, &used, on_row, ctx, err);
    if (rc)
        return rc;
    buf_consume(&r->left, used);
    if (end && !r->ended && (r->left.len > 0 || !r->header_done))
        return err_sql(err, "22P04",
                       r->header_done ? "unexpected EOF in COPY data" : "COPY file signature not recognized");
    return RC_OK;
}

void copybin_put_header(struct buf *to) {
    buf_put(to, signature, sizeof signature);
    buf_put_u32be(to, 0);
    buf_put_u32be(to, 0);
}

void copybin_put_end(struct buf *to) {
    buf_put_u16be(to, UINT16_MAX);
}
