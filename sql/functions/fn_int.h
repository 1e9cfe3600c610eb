/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_int.h: comparisons of values that are int64, whatever they mean.
 *
 * Promise     As fn.h's implementations.
 * Relies on   fn_internal.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_FN_INT_H
#define MERIDIAN_SQL_FN_INT_H

#include "sql/functions/fn_internal.h"

#define FN_COMPARE(name_)                                                                                              \
    enum rc name_(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t args,          \
                  struct value *ret, struct err *err)
FN_COMPARE(int_eq);
FN_COMPARE(int_ne);
FN_COMPARE(int_lt);
FN_COMPARE(int_le);
FN_COMPARE(int_gt);
FN_COMPARE(int_ge);
FN_COMPARE(int_cmp);
FN_COMPARE(int_same);
FN_COMPARE(int_larger);
FN_COMPARE(int_smaller);

#endif
