/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_regex.h: PostgreSQL's advanced regular expressions, translated for PCRE2.
 *
 * Promise     Patterns mean what PostgreSQL's manual says (9.7.3), with three differences that PCRE2 brings: of alternatives the
 *             first that leads to a match is taken, not the longest; whether a repetition is greedy is decided for each by
 *             itself, not for the whole expression; equivalence classes and collating elements beyond single characters are
 *             refused. What PCRE2 has and PostgreSQL has not is refused (2201B). A match that costs too many steps is an
 *             error (54001), never a hang.
 * Relies on   PCRE2 10.30 or later, whose matching does not recurse.
 * Threads     any; a cache belongs to one caller.
 */
#ifndef MERIDIAN_SQL_FN_REGEX_H
#define MERIDIAN_SQL_FN_REGEX_H

#include "sql/functions/fn_internal.h"

struct fn_regex;

enum fn_regex_flags {
    REGEX_ANY_CASE = 1,
    REGEX_NEWLINE_DOT = 2,  /* . and [^x] do not match a newline */
    REGEX_NEWLINE_ENDS = 4, /* ^ and $ match at lines */
    REGEX_EXPANDED = 8,
    REGEX_LITERAL = 16,
    REGEX_GLOBAL = 32,
};

struct fn_span {
    size_t from, to; /* bytes; from > to: it did not take part */
};

/* By options as "gi". 22023 */
enum rc fn_regex_options(const struct value *v, uint32_t *ret, struct err *err) MUST_CHECK;
/* From the env's cache if it has one; fn_regex_done in any case. 2201B */
enum rc fn_regex_get(const struct fn_env *env, const struct value *pattern, uint32_t flags, struct fn_regex **ret,
                     struct err *err) MUST_CHECK;
void fn_regex_done(const struct fn_env *env, struct fn_regex *x);
/* The first match at or after a byte; *ret_found. */
enum rc fn_regex_match(struct fn_regex *x, const struct value *text, size_t from, bool *ret_found,
                       struct err *err) MUST_CHECK;
/* Of the last match: 0 is the whole, then the groups. */
struct fn_span fn_regex_group(const struct fn_regex *x, uint32_t i);
uint32_t fn_regex_groups(const struct fn_regex *x); /* without the whole */

#endif
