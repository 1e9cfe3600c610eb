/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.h: tables for people and for programs.
 *
 * Promise     aligned, wrapped, unaligned, expanded, csv and html are what psql 15 prints, byte for byte; json is an array of objects.
 * Relies on   text in UTF-8.
 * Threads     any; a table belongs to one caller.
 *
 * The shell has no use for half a table when memory runs out: it then says so and ends (shell_nomem).
 */
#ifndef MERIDIAN_SQL_SHELL_PRINT_H
#define MERIDIAN_SQL_SHELL_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "truetime/base/arena.h"

enum print_format { PRINT_ALIGNED, PRINT_UNALIGNED, PRINT_CSV, PRINT_JSON, PRINT_WRAPPED, PRINT_HTML, PRINT_FORMATS };
const char *print_format_name(enum print_format f);

struct print_options {
    enum print_format format;
    bool expanded, expanded_auto, tuples_only, no_footer, unicode;
    int border; /* 0 .. 2 */
    const char *null, *separator;
    const char *record_separator; /* of unaligned; NULL: a newline */
    const char *title;            /* of tables that have none; NULL: none */
    const char *table_attributes; /* of html; NULL: none */
    char csv_separator;           /* 0: a comma */
    size_t columns;               /* for wrapped and expanded_auto; 0: no limit */
    size_t prior_rows;            /* a table in pieces: so many were printed before */
    bool more_rows;               /* ... and others follow */
};

struct print_column {
    const char *name;
    bool right;   /* numbers stand to the right */
    bool literal; /* its text is json as it is: numbers, bool, json */
};

struct print_table {
    struct arena arena; /* what it points to */
    const char *title;  /* or NULL */
    size_t columns;
    struct print_column *column;
    const char **cell; /* row by row; NULL: SQL's NULL */
    size_t cells, cap;
    size_t rows; /* tells them apart from no columns */
    const char **footer;
    size_t footers, footer_cap;
    bool row_count; /* "(3 rows)" where there is no other footer */
};

_Noreturn void shell_nomem(void);

void print_table_init(struct print_table *t, size_t columns);
void print_table_done(struct print_table *t);
/* text is copied. */
void print_column(struct print_table *t, size_t i, const char *name, bool right, bool literal);
void print_cell(struct print_table *t, const char *text);
void print_cell_borrowed(struct print_table *t, const char *text); /* not copied */
void print_footer(struct print_table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void print_table(FILE *to, const struct print_options *o, const struct print_table *t);

/* Row by row, for the formats that need no look ahead (all but PRINT_ALIGNED and expanded ones). */
bool print_streams(const struct print_options *o);
void print_head(FILE *to, const struct print_options *o, const struct print_table *t);
/* The row of t (its cells); first: no row was before it. */
void print_row(FILE *to, const struct print_options *o, const struct print_table *t, bool first);
void print_tail(FILE *to, const struct print_options *o, const struct print_table *t, size_t rows);

/* Columns of a line of text. */
size_t print_width(const char *text);

#endif
