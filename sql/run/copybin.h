/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copybin.h: COPY's binary format: bytes to fields and back.
 *
 * Promise     Reading takes the bytes in pieces of any size and says what is wrong with them (22P04). A row is bounded by
 *             COPYTEXT_LINE_BYTES_MAX. What the fields' bytes mean is the caller's (type_recv, type_send).
 * Relies on   nothing but memory.
 * Threads     one at a time.
 * Source      PostgreSQL 15, COPY, "Binary Format".
 */
#ifndef MERIDIAN_SQL_COPYBIN_H
#define MERIDIAN_SQL_COPYBIN_H

#include "sql/run/copytext.h"

struct copybin_reader {
    struct buf left; /* what is no whole row yet */
    size_t columns;
    struct copytext_field *field;
    bool header_done, ended;
};

enum rc copybin_reader_init(struct copybin_reader *r, size_t columns) MUST_CHECK;
void copybin_reader_done(struct copybin_reader *r);
/* Rows that are complete; end: no more bytes come. */
enum rc copybin_feed(struct copybin_reader *r, const void *data, size_t bytes, bool end, copytext_row *on_row,
                     void *ctx, struct err *err) MUST_CHECK;

void copybin_put_header(struct buf *to);
void copybin_put_end(struct buf *to);

#endif
