/* SPDX-License-Identifier: Apache-2.0 */
/* fnkit.h: types and functions by the names that files of expected results have for them. */
#ifndef MERIDIAN_TESTS_FNKIT_H
#define MERIDIAN_TESTS_FNKIT_H

#include "sql/functions/fn.h"

/* "int4", "text[]"; any other name fails the test. */
struct col fnkit_type(const char *t, size_t n);
/* The function or operator that takes exactly these types, and what it then returns; NULL: there is none. */
const struct fn *fnkit_find(const char *name, const struct col *arg, size_t n, struct col *ret);

#endif
