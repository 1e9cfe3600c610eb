/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgnum.h: numeric as text, ordered by SQLite as numbers.
 *
 * The canonical text of a numeric is what PostgreSQL prints:
 *
 *     -?(0|[1-9][0-9]*)(\.[0-9]+)?        but no -0, -0.0, ...
 *     NaN, Infinity, -Infinity
 *
 * The digits after the point are its display scale, which arithmetic keeps up and comparison does not see: 1.0 = 1.00.
 *
 * Promise     -Infinity < finite numbers by value < Infinity < NaN, NaN = NaN: PostgreSQL's order. A total order of all
 *             byte strings whatever they are (a damaged file must not make SQLite loop): what is not canonical comes last,
 *             by memcmp. No memory, no arithmetic: digits are compared in place.
 * Relies on   nothing.
 * Threads     any.
 * Source      PostgreSQL 15's manual, 8.1.2 "Arbitrary Precision Numbers"; https://sqlite.org/c3ref/create_collation.html
 */
#ifndef MERIDIAN_STORE_PGNUM_H
#define MERIDIAN_STORE_PGNUM_H

#include <sqlite3.h>

#include "truetime/base/err.h"

#define PGNUM_COLLATION "pgnum"

bool pgnum_canonical(const void *p, size_t bytes);
int pgnum_compare(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* Gives a handle the collation, and switches off what would not respect it (pgnum.c). Each handle that opens a tablet's file needs it before its first statement. */
enum rc pgnum_register(sqlite3 *db, struct err *err) MUST_CHECK;

#endif
