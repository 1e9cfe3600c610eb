/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_agg.h: what aggregates share.
 *
 * Promise     As fn.h's struct fn_agg. The result of a final or save is NULL unless it is set.
 * Relies on   fn_internal.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_FN_AGG_H
#define MERIDIAN_SQL_FN_AGG_H

#include "sql/functions/fn_internal.h"

#define FN_AGG_STEP(name_)                                                                                             \
    static enum rc name_(const struct fn_env *env, const struct fn_call *call, void *state, const struct value *arg,   \
                         size_t args, struct err *err)
#define FN_AGG_FINAL(name_)                                                                                            \
    static enum rc name_(const struct fn_env *env, const struct fn_call *call, void *state, struct value *ret,         \
                         struct err *err)
#define FN_AGG_MERGE(name_)                                                                                            \
    static enum rc name_(const struct fn_env *env, const struct fn_call *call, void *state, const struct value *part,  \
                         struct err *err)

/* AGG(oid, "sum", STRICT, COL_INT8, agg, COL_INT4) */
#define AGG(oid_, name_, flags_, ret_, agg_, ...)                                                                      \
    {                                                                                                                  \
        .id = (oid_), .oid = (oid_), .name = (name_), .kind = FN_AGGREGATE,                                            \
        .args = (uint8_t)(sizeof((uint16_t[]){0, ##__VA_ARGS__}) / sizeof(uint16_t) - 1),                              \
        .strict = ((flags_)&STRICT) != 0, .volatility = (flags_)&STABLE ? FN_STABLE : FN_IMMUTABLE,                    \
        .arg = {__VA_ARGS__}, .ret = (ret_), .agg = &(agg_),                                                           \
    }

/* A part of another aggregate, or damaged. */
enum rc fn_bad_part(struct err *err);

#endif
