/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types.h: values of every SQL type as text and in PostgreSQL's binary form, and the types' numbers on the wire.
 *
 * Promise     Reading takes what PostgreSQL 15 takes and gives its errors (SQLSTATE and message); what is not taken yet is
 *             an error too, never another value. What is read passes col_check; what is printed reads back as the same value.
 *             Bytes of the binary form are checked, each length and each range.
 * Relies on   shard/store/value.h for how values are stored; text is UTF-8 that was checked before (sql/parse/utf8.h), in
 *             text and in binary form.
 * Threads     any; large fibers (GMP).
 * Source      PostgreSQL 15's manual, chapter 8; the binary forms: its send and receive functions, and what pgJDBC and asyncpg
 *             document of them.
 *
 * Missing: jsonb and enum (RC_UNSUPPORTED). json is checked but kept as it is written.
 */
#ifndef MERIDIAN_SQL_TYPES_TYPES_H
#define MERIDIAN_SQL_TYPES_TYPES_H

#include "sql/types/datetime.h"

/* ---- numbers of types -------------------------------------------------------------------------------------------- */

/* PostgreSQL's numbers of built-in types. An enum has its own (col.type_id), of its arrays the catalog knows. */
uint32_t type_oid(const struct col *c);
/* The column of a built-in type or an array of one; RC_UNSUPPORTED: another type. typmod as in the protocol. */
enum rc type_from_oid(uint32_t oid, int32_t typmod, struct col *ret, struct err *err) MUST_CHECK;
/* typlen: bytes of the binary form, or -1. */
int type_length(const struct col *c);

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* From text. Not for NULL. *ret lies in a, or borrows from text. */
enum rc type_parse(const struct type_session *s, const struct col *c, const char *text, size_t bytes, struct arena *a,
                   struct value *ret, struct err *err) MUST_CHECK;
/* To text; v is not NULL and passes col_check. A buffer that is full or without memory tells by itself. */
enum rc type_print(const struct type_session *s, const struct col *c, const struct value *v, struct buf *out,
                   struct err *err) MUST_CHECK;

/* From the binary form (without its length); *ret lies in a, or borrows from p. */
enum rc type_recv(const struct col *c, const void *p, size_t bytes, struct arena *a, struct value *ret,
                  struct err *err) MUST_CHECK;
enum rc type_send(const struct col *c, const struct value *v, struct buf *out, struct err *err) MUST_CHECK;

/* What an assignment to a column does to a value of the same type without limits: rounds numeric and fractions of seconds,
 * refuses what is too long (22001), cuts blanks. */
enum rc type_limit(const struct col *c, struct arena *a, struct value *v, struct err *err) MUST_CHECK;

#endif
