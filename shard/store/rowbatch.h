/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowbatch.h: rows as bytes, between a tablet and whoever asked.
 *
 * Promise     A batch tells its columns and rows and holds every value as stored, bit for bit. The reader takes bytes from
 *             anywhere: it never reads outside of them, and what it has accepted encodes to the same bytes again.
 * Relies on   buf.h.
 * Threads     one at a time.
 *
 * Format (docs/formats.md): version 1 (1 byte), columns (2, little-endian), rows (4), then the values row by row. A value is
 * a tag byte and what follows:
 *
 *     0        NULL
 *     1        INTEGER: zigzag varint
 *     2        REAL: 8 bytes, IEEE 754, little-endian
 *     3        TEXT: varint length, bytes
 *     4        BLOB: varint length, bytes
 *     16..127  INTEGER 0..111
 *
 * A varint is 7 bits a byte, lowest first, the high bit set on all but the last; the shortest form only.
 */
#ifndef MERIDIAN_STORE_ROWBATCH_H
#define MERIDIAN_STORE_ROWBATCH_H

#include "shard/store/value.h"
#include "truetime/base/buf.h"

enum { ROWBATCH_VERSION = 1, ROWBATCH_HEAD_BYTES = 7, ROWBATCH_COLUMNS_MAX = 2000 };

/* ---- single values, for other formats too ------------------------------------------------------------------------ */

void value_put(struct buf *to, const struct value *v);
/* Borrows from the cursor's bytes. RC_CORRUPT. */
enum rc value_get(struct rd *from, struct value *ret) MUST_CHECK;
void varint_put(struct buf *to, uint64_t x);
/* 0 and a bad cursor when it is none, or not the shortest form. */
uint64_t varint_get(struct rd *from);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct rowbatch {
    struct buf buf; /* what it is, from rowbatch_begin on; valid as a batch after rowbatch_end */
    uint16_t n_cols;
    uint32_t n_rows;
};

void rowbatch_init(struct rowbatch *b, size_t bytes_max);
void rowbatch_done(struct rowbatch *b);
void rowbatch_begin(struct rowbatch *b, uint16_t n_cols); /* forgets what was there */
/* n_cols values for each row. */
void rowbatch_put(struct rowbatch *b, const struct value *v);
void rowbatch_row_end(struct rowbatch *b);
/* RC_NOMEM; RC_LIMIT: more than bytes_max. */
enum rc rowbatch_end(struct rowbatch *b) MUST_CHECK;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct rowbatch_reader {
    struct rd rd;
    uint16_t n_cols;
    uint32_t n_rows, at;
};

/* RC_CORRUPT: not a batch. The bytes stay where they are while it is read. */
enum rc rowbatch_open(struct rowbatch_reader *r, const void *bytes, size_t n, struct err *err) MUST_CHECK;
/* The next row's n_cols values. RC_NOTFOUND: that was all; RC_CORRUPT, also if bytes are left over. */
enum rc rowbatch_next(struct rowbatch_reader *r, struct value *ret_values, struct err *err) MUST_CHECK;

#endif
