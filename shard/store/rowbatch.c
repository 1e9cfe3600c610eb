/* SPDX-License-Identifier: Apache-2.0 */
/* rowbatch.c: the bytes of rows. The header has the format. */
#include "shard/store/rowbatch.h"

#include <string.h>

enum { TAG_NULL, TAG_INT, TAG_REAL, TAG_TEXT, TAG_BLOB, TAG_SMALL = 16, SMALL_MAX = 111, VARINT_BYTES_MAX = 10 };
enum { ROWS_AT = 3 }; /* offset of the number of rows */

/* ---- values ---- */

void varint_put(struct buf *to, uint64_t x) {
    uint8_t b[VARINT_BYTES_MAX];
    size_t n = 0;
    for (; x >= 0x80; x >>= 7)
        b[n++] = (uint8_t)(x | 0x80);
    b[n++] = (uint8_t)x;
    buf_put(to, b, n);
}

uint64_t varint_get(struct rd *from) {
    uint64_t x = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t b = rd_u8(from);
        if (from->bad || (shift == 63 && b > 1) || (b == 0 && shift > 0))
            break;
        x |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return x;
    }
    from->bad = true;
    return 0;
}

void value_put(struct buf *to, const struct value *v) {
    switch (v->kind) {
    case VALUE_NULL:
        buf_putc(to, TAG_NULL);
        return;
    case VALUE_INT:
        if (v->i >= 0 && v->i <= SMALL_MAX) {
            buf_putc(to, (uint8_t)(TAG_SMALL + v->i));
            return;
        }
        buf_putc(to, TAG_INT);
        varint_put(to, ((uint64_t)v->i << 1) ^ (v->i < 0 ? UINT64_MAX : 0));
        return;
    case VALUE_REAL: {
        uint64_t bits;
        memcpy(&bits, &v->r, sizeof bits);
        buf_putc(to, TAG_REAL);
        buf_put_u64le(to, bits);
        return;
    }
    case VALUE_TEXT:
    case VALUE_BLOB:
        buf_putc(to, v->kind == VALUE_TEXT ? TAG_TEXT : TAG_BLOB);
        varint_put(to, v->bytes);
        buf_put(to, v->p, v->bytes);
        return;
    }
    CHECK(v->kind <= VALUE_BLOB);
}

static enum rc get_int(struct rd *from, struct value *ret) {
    uint64_t z = varint_get(from);
    int64_t i = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
    if (from->bad || (i >= 0 && i <= SMALL_MAX)) /* one value, one encoding */
        return RC_CORRUPT;
    *ret = value_int(i);
    return RC_OK;
}

static enum rc get_real(struct rd *from, struct value *ret) {
    uint64_t bits = rd_u64le(from);
    double r;
    memcpy(&r, &bits, sizeof r);
    if (from->bad || r != r) /* NaN is no stored REAL: value.h */
        return RC_CORRUPT;
    *ret = (struct value){.kind = VALUE_REAL, .r = r};
    return RC_OK;
}

enum rc value_get(struct rd *from, struct value *ret) {
    uint8_t tag = rd_u8(from);
    if (from->bad)
        return RC_CORRUPT;
    if (tag >= TAG_SMALL && tag <= TAG_SMALL + SMALL_MAX) {
        *ret = value_int(tag - TAG_SMALL);
        return RC_OK;
    }
    switch (tag) {
    case TAG_NULL:
        *ret = value_null();
        return RC_OK;
    case TAG_INT:
        return get_int(from, ret);
    case TAG_REAL:
        return get_real(from, ret);
    case TAG_TEXT:
    case TAG_BLOB: {
        uint64_t n = varint_get(from);
        const uint8_t *p = n <= VALUE_BYTES_MAX ? rd_bytes(from, n) : NULL;
        if (!p)
            return RC_CORRUPT;
        *ret = tag == TAG_TEXT ? value_text(p, n) : value_blob(p, n);
        return RC_OK;
    }
    default:
        return RC_CORRUPT;
    }
}

/* ---- writing ---- */

void rowbatch_init(struct rowbatch *b, size_t bytes_max) {
    *b = (struct rowbatch){.n_cols = 0};
    buf_init(&b->buf, bytes_max);
}

void rowbatch_done(struct rowbatch *b) {
    buf_done(&b->buf);
}

void rowbatch_begin(struct rowbatch *b, uint16_t n_cols) {
    CHECK(n_cols <= ROWBATCH_COLUMNS_MAX);
    buf_reset(&b->buf, 256 << 10);
    b->n_cols = n_cols;
    b->n_rows = 0;
    buf_putc(&b->buf, ROWBATCH_VERSION);
    buf_put_u16le(&b->buf, n_cols);
    buf_put_u32le(&b->buf, 0);
}

void rowbatch_put(struct rowbatch *b, const struct value *v) {
    value_put(&b->buf, v);
}

void rowbatch_row_end(struct rowbatch *b) {
    CHECK(b->n_rows < UINT32_MAX);
    b->n_rows++;
}

enum rc rowbatch_end(struct rowbatch *b) {
    if (buf_rc(&b->buf))
        return buf_rc(&b->buf);
    set_u32le(b->buf.data + ROWS_AT, b->n_rows);
    return RC_OK;
}

/* ---- reading ---- */

enum rc rowbatch_open(struct rowbatch_reader *r, const void *bytes, size_t n, struct err *err) {
    *r = (struct rowbatch_reader){.at = 0};
    rd_init(&r->rd, bytes, n);
    uint8_t version = rd_u8(&r->rd);
    r->n_cols = rd_u16le(&r->rd);
    r->n_rows = rd_u32le(&r->rd);
    if (r->rd.bad || version != ROWBATCH_VERSION || r->n_cols > ROWBATCH_COLUMNS_MAX)
        return err_set(err, RC_CORRUPT, "not a batch of rows");
    /* A value is at least one byte: no number of rows makes a reader work without end. */
    if (r->n_rows > 0 && (r->n_cols == 0 || r->n_rows > rd_left(&r->rd) / r->n_cols))
        return err_set(err, RC_CORRUPT, "a batch of %u rows in %zu bytes", r->n_rows, n);
    return RC_OK;
}

enum rc rowbatch_next(struct rowbatch_reader *r, struct value *ret_values, struct err *err) {
    if (r->at == r->n_rows)
        return rd_left(&r->rd) == 0 ? RC_NOTFOUND : err_set(err, RC_CORRUPT, "bytes behind the last row of a batch");
    for (uint16_t i = 0; i < r->n_cols; i++)
        if (value_get(&r->rd, &ret_values[i]))
            return err_set(err, RC_CORRUPT, "row %u, column %u of a batch is damaged", r->at, i);
    r->at++;
    return RC_OK;
}
