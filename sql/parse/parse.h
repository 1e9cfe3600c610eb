/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.h: a text to PostgreSQL's raw parse tree, by PostgreSQL's own grammar (libpg_query).
 *
 * Promise     The tree lies in the caller's arena and goes with it. No text crashes us: guard.h bounds the depth before the
 *             parser runs, deep texts are parsed on a 64 MiB stack elsewhere, and the tree itself is measured again:
 *             PARSE_DEPTH_MAX nested nodes at most, so that our walkers may recurse. Syntax errors are PostgreSQL's own words,
 *             with the position in characters.
 * Relies on   libpg_query 15, whose generated protobuf-c code we use and whose copy of protobuf-c we do not.
 * Threads     the reactor's own; on large fibers (short texts are parsed in place).
 */
#ifndef MERIDIAN_SQL_PARSE_H
#define MERIDIAN_SQL_PARSE_H

#include <pg_query/pg_query.pb-c.h>

#include "shard/runtime/fiber.h"
#include "truetime/base/arena.h"

enum {
    PARSE_DEPTH_MAX = 1000,
    PARSE_INLINE_DEPTH = 100, /* up to here on the caller's stack */
    PARSE_INLINE_BYTES = 4096,
};

/* text: any bytes. Statements keep their place in it (stmt_location, stmt_len in bytes; len 0 = to the end). 42601, 22021,
 * 54001, ...; RC_NOMEM: the arena is full. */
enum rc parse_text(struct reactor *r, struct arena *a, const char *text, size_t bytes, PgQuery__ParseResult **ret,
                   struct err *err) WAITS MUST_CHECK;

#endif
