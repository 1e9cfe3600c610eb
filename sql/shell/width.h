/* SPDX-License-Identifier: Apache-2.0 */
/*
 * width.h: characters of UTF-8, and the columns of a terminal that they take.
 *
 * Promise     The same widths as psql 15. Bytes that are no UTF-8 are one column each.
 * Relies on   nothing.
 * Threads     any.
 * Source      Unicode Standard Annex 11 "East Asian Width".
 */
#ifndef MERIDIAN_SQL_SHELL_WIDTH_H
#define MERIDIAN_SQL_SHELL_WIDTH_H

#include <stddef.h>
#include <stdint.h>

/* 0 to 2; -1: a control character. */
int width_char(uint32_t c);
/* The character at p (bytes > 0) and the bytes it has; U+FFFD for one that is none. */
size_t width_decode(const char *p, size_t bytes, uint32_t *ret);

#endif
