/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.h: an analysed statement as text, for people and for tests.
 *
 * Promise     Every conversion, type and reference is shown: (int4pl t0.a:integer 1:integer):integer. Relations are called by their
 *             number, with ^ for each query outwards. buf_rc tells of memory.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_ANALYSE_PRINT_H
#define MERIDIAN_SQL_ANALYSE_PRINT_H

#include "sql/analyse/tree.h"
#include "truetime/base/buf.h"

void tree_print(const struct query *q, struct buf *out);
void tree_print_expr(const struct expr *e, struct buf *out);

#endif
