/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anyvalue.h: random values of a column, edges more often than their share.
 *
 * Promise     What comes out passes col_check. Small ranges are common, so that equal values meet.
 * Threads     one at a time.
 */
#ifndef MERIDIAN_TESTS_ANYVALUE_H
#define MERIDIAN_TESTS_ANYVALUE_H

#include "shard/store/value.h"
#include "truetime/base/rng.h"

/* A value of c that is not NULL; its bytes lie in a. For types that can be part of a key. */
struct value any_value(struct rng *r, const struct col *c, struct arena *a);
/* A column of a random type that can be part of a key, limits included. */
struct col any_key_col(struct rng *r);

#endif
