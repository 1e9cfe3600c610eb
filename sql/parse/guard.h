/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h: what a statement's text is measured by before the parser sees it, so that no text can crash us.
 *
 * libpg_query's parser and the unpacking of its tree recurse without a limit: a kilobyte of "1+1+..." ends a thread with a
 * megabyte of stack. A look at the text alone bounds the depth of the tree from above, in one pass:
 *
 *     Each open parenthesis, bracket or CASE is a level. Within a level, operators nest on their left: each costs one, until a
 *     comma, AND or OR begins a new operand of a list. Joins and set operations nest over commas too. A parenthesis that begins
 *     a subquery costs four, as much as its parts nest. The depth is the largest sum over the levels open at one time.
 *
 * Promise     O(bytes); the tree of a text that passes is no deeper than the depth told (GUARD_DEPTH_MAX at most). Invalid
 *             UTF-8 (22021), zero bytes and deeper texts (54001) are refused with the position. Nothing that PostgreSQL 15
 *             parses below that depth is refused, but for runs of operator characters (GUARD_RUN_MAX).
 * Relies on   the lexical structure of PostgreSQL 15, section 4.1, with standard_conforming_strings on.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_GUARD_H
#define MERIDIAN_SQL_GUARD_H

#include "truetime/base/arena.h"
#include "truetime/base/err.h"

enum {
    GUARD_DEPTH_MAX = 10000,
    /* Operator characters in a row. PostgreSQL's scanner looks at what is left of such a run again and again: 400 KB of
     * comments that open and close took it two minutes. */
    GUARD_RUN_MAX = 1000,
};

/* a: for scratch memory. */
enum rc guard_check(struct arena *a, const char *text, size_t bytes, uint32_t *ret_depth, struct err *err) MUST_CHECK;

/* Offset in bytes -> position in characters from 1, as errors tell it. */
int32_t guard_position(const char *text, size_t bytes, size_t offset);

#endif
