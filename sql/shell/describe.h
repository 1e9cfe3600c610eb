/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe.h: what the files of the \d family share: names by pattern.
 *
 * Promise     A pattern is psql's: schema.name with * and ?, "quoted" parts kept as they are, unquoted ones in lower case.
 * Threads     the shell's.
 */
#ifndef MERIDIAN_SQL_SHELL_DESCRIBE_H
#define MERIDIAN_SQL_SHELL_DESCRIBE_H

#include "sql/shell/shell.h"

struct pattern {
    char *schema, *name; /* regular expressions, anchored; NULL: any */
    bool given;          /* there was one, be it "*": what belongs to the system is meant, too */
};

/* text may be NULL: any name. */
struct pattern pattern_of(const char *text);
void pattern_done(struct pattern *p);
/* " AND column ~ regex". */
void pattern_match(struct buf *sql, const char *column, const char *regex);

/* " AND the type whose number is oid is the one that the pattern names"; "-": there is none. */
void pattern_type(struct buf *sql, const char *oid, const char *type);

/* The lists that are one query each; false: it is none of them. */
bool describe_more(struct shell *sh, const char *name, const char *pattern, char *const *types, bool *ret_ok);
/* \sf, \sv and these with +: how something was made. */
bool describe_source(struct shell *sh, const char *name, const char *what);

#endif
