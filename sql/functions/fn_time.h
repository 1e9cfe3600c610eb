/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_time.h: arithmetic of dates, times and intervals that several files need.
 *
 * Promise     As fn.h's implementations: PostgreSQL's results and errors (22008), whatever integers come in.
 * Relies on   sql/types/datetime.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_FN_TIME_H
#define MERIDIAN_SQL_FN_TIME_H

#include "sql/functions/fn_internal.h"

#define FN_US INT64_C(1000000)
#define FN_UNIX_DAYS 10957 /* 1970-01-01 .. 2000-01-01 */

/* A timestamp taken apart; of a timestamptz: as the clocks of its zone showed it. */
struct fn_clock {
    int64_t days; /* since 2000-01-01 */
    int64_t us;   /* of the day */
    struct civil date;
    int32_t offset; /* seconds east, of a timestamptz */
};

bool fn_timestamp_finite(int64_t ts);
/* zone NULL: a timestamp. ts must be finite. */
void fn_clock_of(int64_t ts, const struct zone *zone, struct fn_clock *ret);
/* 22008 */
enum rc fn_timestamp_of(int64_t days, int64_t us, const struct zone *zone, int64_t *ret, struct err *err) MUST_CHECK;
enum rc fn_timestamp_add(int64_t ts, const struct interval *i, const struct zone *zone, int64_t *ret,
                         struct err *err) MUST_CHECK;
enum rc fn_timestamp_range(struct err *err);
enum rc fn_interval_range(struct err *err);
enum rc fn_give_interval(const struct fn_env *env, const struct interval *i, struct value *ret, struct err *err);
/* One by the other, as interval / float8. */
enum rc fn_interval_div(const struct interval *i, double by, struct interval *ret, struct err *err) MUST_CHECK;
enum rc fn_interval_add(const struct interval *a, const struct interval *b, struct interval *ret,
                        struct err *err) MUST_CHECK;
enum rc fn_date_to_timestamp(int64_t date, const struct zone *zone, int64_t *ret, struct err *err) MUST_CHECK;
/* A zone by name. 22023 */
enum rc fn_zone(const struct fn_env *env, const struct value *name, const struct zone **ret,
                struct err *err) MUST_CHECK;

#endif
