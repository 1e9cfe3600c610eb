/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copytext.h: COPY's text and CSV formats: bytes to fields and back.
 *
 * Promise     Reading takes what PostgreSQL's COPY FROM takes, in pieces of any size, and gives its errors (22P04, with the
 *             line); what is written reads back as the same fields. A line is bounded by COPYTEXT_LINE_BYTES_MAX.
 * Relies on   nothing but memory. Bytes are not looked at as UTF-8: the caller does that.
 * Threads     one at a time.
 * Source      PostgreSQL 15, COPY, "File Formats".
 */
#ifndef MERIDIAN_SQL_COPYTEXT_H
#define MERIDIAN_SQL_COPYTEXT_H

#include "truetime/base/buf.h"

enum { COPYTEXT_LINE_BYTES_MAX = 64 << 20, COPYTEXT_FIELDS_MAX = 2000, COPYTEXT_NULL_BYTES_MAX = 100 };

struct copytext {
    bool csv, header;
    char delimiter, quote, escape;
    char null_text[COPYTEXT_NULL_BYTES_MAX + 1];
    bool force_quote_all;
};

/* PostgreSQL's defaults of either format. */
struct copytext copytext_defaults(bool csv);
/* 22023, 0A000: options that do not go together. */
enum rc copytext_check(const struct copytext *f, struct err *err) MUST_CHECK;

struct copytext_field {
    const char *p; /* good until the callback returns */
    size_t bytes;
    bool null;
};

typedef enum rc copytext_row(void *ctx, const struct copytext_field *field, size_t fields, struct err *err);

struct copytext_reader {
    struct copytext format;
    struct buf left, text; /* what is no whole line yet; the fields of a line */
    struct copytext_field *field;
    size_t *at; /* of fields in text, while it grows */
    uint64_t line;
    bool ended, header_done;
    size_t scanned; /* bytes of left that are known to hold no end of a line */
    bool in_quotes;
};

enum rc copytext_reader_init(struct copytext_reader *r, const struct copytext *format) MUST_CHECK;
void copytext_reader_done(struct copytext_reader *r);
/* Rows that are complete; end: no more bytes come. A header line is skipped. */
enum rc copytext_feed(struct copytext_reader *r, const void *data, size_t bytes, bool end, copytext_row *on_row,
                      void *ctx, struct err *err) MUST_CHECK;

/* Appends one line. */
void copytext_write(const struct copytext *f, const struct copytext_field *field, size_t fields, struct buf *to);

#endif
