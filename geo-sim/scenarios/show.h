/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show.h: a report for a terminal, or for a file: headings, lines, checks.
 *
 * Promise     Plain ASCII within 100 columns; with colour where the caller says that a terminal reads it. What was expected
 *             and did not come is counted, so that a report can also fail.
 * Relies on   truetime/base/buf.h.
 * Threads     any, one at a time.
 */
#ifndef MERIDIAN_GEO_SHOW_H
#define MERIDIAN_GEO_SHOW_H

#include "truetime/base/buf.h"

enum show_style { SHOW_PLAIN, SHOW_BOLD, SHOW_DIM, SHOW_GOOD, SHOW_WARN, SHOW_BAD };

struct show {
    struct buf out;
    bool color;
    unsigned checks, failed;
};

void show_init(struct show *s, bool color);
void show_done(struct show *s);
void show_title(struct show *s, const char *title, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* An empty line, then the heading of a section. */
void show_head(struct show *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A line; without one, the pieces of a line. */
void show_line(struct show *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void show_piece(struct show *s, enum show_style style, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What was expected, and whether it came so. */
void show_check(struct show *s, bool ok, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* "12,345" */
const char *show_count(uint64_t n, char *to, size_t bytes);
enum { SHOW_COUNT_BYTES = 32 };

#endif
