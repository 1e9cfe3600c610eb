/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real.h: float4 and float8 as text.
 *
 * Promise     Reading gives the nearest number, ties to even. Printing gives the shortest text that reads as the same number,
 *             of several the nearest: what PostgreSQL prints with extra_float_digits = 1, its default. Neither depends on the
 *             locale. Long input costs time in proportion, never memory.
 * Relies on   shard/store/decimal.h for what is not exact in a double.
 * Threads     any; large fibers (GMP).
 * Source      PostgreSQL 15's manual, 8.1.3; Steele and White, "How to Print Floating-Point Numbers Accurately", PLDI 1990;
 *             Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990.
 */
#ifndef MERIDIAN_SQL_TYPES_REAL_H
#define MERIDIAN_SQL_TYPES_REAL_H

#include "truetime/base/buf.h"

enum real_width { REAL_FLOAT4, REAL_FLOAT8 };

/* SQLSTATE 22P02: no number; 22003: too large, or so small that it would become 0. A float4 is returned as the double that it
 * is. */
enum rc real_parse(const char *text, size_t bytes, enum real_width w, double *ret, struct err *err) MUST_CHECK;
/* r is a float4 when w says so. */
void real_print(double r, enum real_width w, struct buf *out);

#endif
