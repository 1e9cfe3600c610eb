/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_text.h: comparisons of values that are bytes, whatever they mean.
 *
 * Promise     As fn.h's implementations; order is memcmp's.
 * Relies on   fn_int.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_FN_TEXT_H
#define MERIDIAN_SQL_FN_TEXT_H

#include "sql/functions/fn_int.h"

FN_COMPARE(bytes_eq);
FN_COMPARE(bytes_ne);
FN_COMPARE(bytes_lt);
FN_COMPARE(bytes_le);
FN_COMPARE(bytes_gt);
FN_COMPARE(bytes_ge);
FN_COMPARE(bytes_cmp);
FN_COMPARE(bytes_larger);
FN_COMPARE(bytes_smaller);
FN_COMPARE(text_length);

/* The bytes of characters first .. first + count - 1 (from 0) of n characters' bytes; count may be larger than what is there. */
const uint8_t *fn_skip_chars(const uint8_t *p, const uint8_t *end, size_t chars);
/* *v, the first argument, of type char(n): with its blanks. */
enum rc fn_pad_char(const struct fn_env *env, const struct fn_call *call, struct value *v, struct err *err) MUST_CHECK;
/* As quote_ident: p in double quotes where it needs them. */
void fn_put_ident(struct buf *b, const void *p, size_t n);
/* As quote_literal. */
void fn_put_literal(struct buf *b, const void *p, size_t n);

#endif
