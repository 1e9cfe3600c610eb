/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_match.h: what set-returning functions need of regular expressions and of splitting.
 *
 * Promise     As fn.h's implementations.
 * Relies on   fn_internal.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_FN_MATCH_H
#define MERIDIAN_SQL_FN_MATCH_H

#include "sql/functions/fn_internal.h"

struct fn_list {
    struct value *v;
    size_t n, cap;
};

/* regexp_matches: the groups of each match as an array of text; in env->arena. */
enum rc fn_regexp_all(const struct fn_env *env, const struct value *arg, size_t args, struct fn_list *ret,
                      struct err *err) MUST_CHECK;
/* regexp_split_to_array and string_to_array, under the names of the functions that give their elements as rows. */
enum rc fn_regexp_split(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t args,
                        struct value *ret, struct err *err) MUST_CHECK;
enum rc fn_string_to_array(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t args,
                           struct value *ret, struct err *err) MUST_CHECK;

#endif
