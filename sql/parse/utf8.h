/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.h: is it UTF-8?
 *
 * Promise     What passes is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF) without
 *             zero bytes, which PostgreSQL's text cannot hold.
 * Threads     any.
 * Source      Unicode 15, table 3-7 "Well-Formed UTF-8 Byte Sequences".
 */
#ifndef MERIDIAN_SQL_UTF8_H
#define MERIDIAN_SQL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* *ret_bad: the offset of the first bad byte. */
bool utf8_valid(const char *p, size_t n, size_t *ret_bad);

#endif
