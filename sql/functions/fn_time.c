/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_time.c: date, time, timestamp and interval: comparison, arithmetic, casts.
 *
 * Dates are days, times and timestamps microseconds, since 2000-01-01 (UTC for timestamptz). Months and days of an interval are
 * added on the calendar of the session's zone, the rest to the instant.
 */
#include "sql/functions/fn_time.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sql/functions/fn_int.h"

enum { MONTH_DAYS = 30, MONTHS = 12, YEAR_MIN = -4714, YEAR_MAX = 294277 /* of timestamps */ };
#define SECS_PER_DAY 86400.0

/* ---- taking apart, putting together -------------------------------------------------------------------------------- */

bool fn_timestamp_finite(int64_t ts) {
    return ts != COL_TS_INF && ts != COL_TS_NEG_INF;
}

static bool date_finite(int64_t d) {
    return d != COL_DATE_INF && d != COL_DATE_NEG_INF;
}

enum rc fn_timestamp_range(struct err *err) {
    return err_sql(err, "22008", "timestamp out of range");
}

enum rc fn_interval_range(struct err *err) {
    return err_sql(err, "22008", "interval out of range");
}

static enum rc date_range(struct err *err) {
    return err_sql(err, "22008", "date out of range");
}

static bool timestamp_ok(int64_t ts) {
    struct col c = col_of(COL_TIMESTAMP);
    struct value v = value_int(ts);
    return fn_timestamp_finite(ts) && col_check(&c, &v, NULL) == RC_OK;
}

static bool date_ok(int64_t d) {
    struct col c = col_of(COL_DATE);
    struct value v = value_int(d);
    return date_finite(d) && col_check(&c, &v, NULL) == RC_OK;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* What a column gives may lie outside of the type's range: then it is taken as the nearest inside. */
static int64_t in_range(int64_t ts) {
    static const int64_t most = INT64_C(9223371331199999999), least = INT64_C(-211813488000000000);
    return ts > most ? most : ts < least ? least : ts;
}

void fn_clock_of(int64_t ts, const struct zone *zone, struct fn_clock *ret) {
    ts = in_range(ts);
    ret->offset = zone ? zone_offset(zone, ts) : 0;
    int64_t local = ts + ret->offset * FN_US;
    ret->days = floor_div(local, COL_DAY_US);
    ret->us = local - ret->days * COL_DAY_US;
    ret->date = civil_from_days(ret->days);
}

enum rc fn_timestamp_of(int64_t days, int64_t us, const struct zone *zone, int64_t *ret, struct err *err) {
    int64_t ts;
    int32_t offset;
    if (__builtin_mul_overflow(days, COL_DAY_US, &ts) || __builtin_add_overflow(ts, us, &ts))
        return fn_timestamp_range(err);
    if (zone && ts > INT64_MIN / 2 && ts < INT64_MAX - COL_DAY_US)
        ts = zone_instant(zone, ts, &offset);
    if (!timestamp_ok(ts))
        return fn_timestamp_range(err);
    *ret = ts;
    return RC_OK;
}

enum rc fn_timestamp_add(int64_t ts, const struct interval *i, const struct zone *zone, int64_t *ret, struct err *err) {
    struct fn_clock c;
    if (!fn_timestamp_finite(ts)) {
        *ret = ts;
        return RC_OK;
    }
    enum rc rc = RC_OK;
    if (i->months) {
        fn_clock_of(ts, zone, &c);
        int64_t months = c.date.year * MONTHS + c.date.month - 1 + i->months;
        int64_t year = floor_div(months, MONTHS);
        if (year < YEAR_MIN || year > YEAR_MAX)
            return fn_timestamp_range(err);
        int month = (int)(months - year * MONTHS) + 1, last = civil_month_days(year, month);
        rc = fn_timestamp_of(civil_to_days(year, month, c.date.day < last ? c.date.day : last), c.us, zone, &ts, err);
    }
    if (!rc && i->days) {
        fn_clock_of(ts, zone, &c);
        rc = fn_timestamp_of(c.days + i->days, c.us, zone, &ts, err);
    }
    if (!rc && (__builtin_add_overflow(ts, i->us, &ts) || !timestamp_ok(ts)))
        rc = fn_timestamp_range(err);
    if (!rc)
        *ret = ts;
    return rc;
}

static bool negate(const struct interval *i, struct interval *ret) {
    *ret = (struct interval){.months = (int32_t) - (uint32_t)i->months,
                             .days = (int32_t) - (uint32_t)i->days,
                             .us = (int64_t) - (uint64_t)i->us};
    return i->months != INT32_MIN && i->days != INT32_MIN && i->us != INT64_MIN;
}

enum rc fn_give_interval(const struct fn_env *env, const struct interval *i, struct value *ret, struct err *err) {
    uint8_t *p = arena_alloc(env->arena, INTERVAL_BYTES);
    if (!p)
        return fn_no_memory(err);
    interval_store(i, p);
    *ret = value_blob(p, INTERVAL_BYTES);
    return RC_OK;
}

enum rc fn_date_to_timestamp(int64_t date, const struct zone *zone, int64_t *ret, struct err *err) {
    if (!date_finite(date)) {
        *ret = date == COL_DATE_INF ? COL_TS_INF : COL_TS_NEG_INF;
        return RC_OK;
    }
    return fn_timestamp_of(date, 0, zone, ret, NULL) ? err_sql(err, "22008", "date out of range for timestamp") : RC_OK;
}

/* ---- comparison ------------------------------------------------------------------------------------------------------ */

/* As instants; a date beyond all timestamps is beyond them. */
static __int128 instant(const struct fn_env *env, uint8_t type, bool zoned, int64_t v) {
    int32_t offset;
    if (type == COL_DATE) {
        if (!date_finite(v))
            return v == COL_DATE_INF ? COL_TS_INF : COL_TS_NEG_INF;
        __int128 ts = (__int128)v * COL_DAY_US;
        if (ts >= COL_TS_INF)
            return (__int128)COL_TS_INF - 1;
        return zoned && ts > INT64_MIN / 2 ? zone_instant(env->types->zone, in_range((int64_t)ts), &offset) : ts;
    }
    if (type == COL_TIMESTAMP && zoned && fn_timestamp_finite(v))
        return zone_instant(env->types->zone, in_range(v), &offset);
    return v;
}

static int compare_mixed(const struct fn_env *env, const struct fn_call *call, const struct value *arg) {
    uint8_t a = call->arg[0].type, b = call->arg[1].type;
    bool zoned = a == COL_TIMESTAMPTZ || b == COL_TIMESTAMPTZ;
    __int128 x = instant(env, a, zoned, arg[0].i), y = instant(env, b, zoned, arg[1].i);
    return x < y ? -1 : x > y;
}

static int compare_intervals(const struct value *arg) {
    struct interval a = interval_load(arg[0].p), b = interval_load(arg[1].p);
    return interval_compare(&a, &b);
}

#define COMPARE(name_, op_)                                                                                            \
    FN_IMPL(mixed_##name_) {                                                                                           \
        FN_UNUSED;                                                                                                     \
        return fn_bool(ret, compare_mixed(env, call, arg) op_ 0);                                                      \
    }                                                                                                                  \
    FN_IMPL(interval_##name_) {                                                                                        \
        FN_UNUSED;                                                                                                     \
        return fn_bool(ret, compare_intervals(arg) op_ 0);                                                             \
    }
COMPARE(eq, ==)
COMPARE(ne, !=)
COMPARE(lt, <)
COMPARE(le, <=)
COMPARE(gt, >)
COMPARE(ge, >=)

FN_IMPL(mixed_cmp) {
    FN_UNUSED;
    return fn_int(ret, compare_mixed(env, call, arg));
}

FN_IMPL(interval_cmp) {
    FN_UNUSED;
    return fn_int(ret, compare_intervals(arg));
}

FN_IMPL(interval_larger) {
    FN_UNUSED;
    *ret = compare_intervals(arg) > 0 ? arg[0] : arg[1];
    return RC_OK;
}

FN_IMPL(interval_smaller) {
    FN_UNUSED;
    *ret = compare_intervals(arg) < 0 ? arg[0] : arg[1];
    return RC_OK;
}

/* ---- dates and times -------------------------------------------------------------------------------------------------- */

static enum rc move_date(int64_t date, int64_t by, struct value *ret, struct err *err) {
    int64_t to;
    if (!date_finite(date))
        return fn_int(ret, date);
    if (__builtin_add_overflow(date, by, &to) || !date_ok(to))
        return date_range(err);
    return fn_int(ret, to);
}

FN_IMPL(date_plus_int) {
    FN_UNUSED;
    return move_date(arg[0].i, arg[1].i, ret, err);
}

FN_IMPL(int_plus_date) {
    FN_UNUSED;
    return move_date(arg[1].i, arg[0].i, ret, err);
}

FN_IMPL(date_minus_int) {
    FN_UNUSED;
    return arg[1].i == INT64_MIN ? date_range(err) : move_date(arg[0].i, -arg[1].i, ret, err);
}

FN_IMPL(date_minus_date) {
    int64_t d;
    FN_UNUSED;
    if (!date_finite(arg[0].i) || !date_finite(arg[1].i))
        return err_sql(err, "22008", "cannot subtract infinite dates");
    return __builtin_sub_overflow(arg[0].i, arg[1].i, &d) ? date_range(err) : fn_int(ret, d);
}

static enum rc add(const struct fn_env *env, const struct fn_call *call, const struct value *ts,
                   const struct value *span, bool minus, struct value *ret, struct err *err) {
    const struct col *type = &call->arg[ts == span - 1 ? 0 : 1];
    struct interval i = interval_load(span->p);
    int64_t t = ts->i;
    enum rc rc = RC_OK;
    if (minus && !negate(&i, &i))
        return fn_timestamp_range(err);
    if (type->type == COL_DATE)
        rc = fn_date_to_timestamp(t, NULL, &t, err);
    if (!rc)
        rc = fn_timestamp_add(t, &i, type->type == COL_TIMESTAMPTZ ? env->types->zone : NULL, &t, err);
    *ret = value_int(t);
    return rc;
}

FN_IMPL(plus_interval) {
    FN_UNUSED;
    return add(env, call, &arg[0], &arg[1], false, ret, err);
}

FN_IMPL(minus_interval) {
    FN_UNUSED;
    return add(env, call, &arg[0], &arg[1], true, ret, err);
}

FN_IMPL(interval_plus) {
    FN_UNUSED;
    return add(env, call, &arg[1], &arg[0], false, ret, err);
}

static enum rc date_time(const struct fn_env *env, int64_t date, int64_t time, bool zoned, struct value *ret,
                         struct err *err) {
    int64_t ts;
    if (!date_finite(date)) /* any time of it */
        return fn_int(ret, date == COL_DATE_INF ? COL_TS_INF : COL_TS_NEG_INF);
    enum rc rc = fn_timestamp_of(date, time, zoned ? env->types->zone : NULL, &ts, NULL);
    return rc ? err_sql(err, "22008", "date out of range for timestamp") : fn_int(ret, ts);
}

FN_IMPL(date_plus_time) {
    FN_UNUSED;
    return date_time(env, arg[0].i, arg[1].i, call->ret.type == COL_TIMESTAMPTZ, ret, err);
}

FN_IMPL(time_plus_date) {
    FN_UNUSED;
    return date_time(env, arg[1].i, arg[0].i, false, ret, err);
}

static int64_t within_day(int64_t us) {
    int64_t r = us % COL_DAY_US;
    return r < 0 ? r + COL_DAY_US : r;
}

FN_IMPL(time_plus) {
    FN_UNUSED;
    return fn_int(ret, within_day(within_day(arg[0].i) + interval_load(arg[1].p).us % COL_DAY_US));
}

FN_IMPL(time_minus) {
    FN_UNUSED;
    return fn_int(ret, within_day(within_day(arg[0].i) - interval_load(arg[1].p).us % COL_DAY_US));
}

FN_IMPL(interval_plus_time) {
    FN_UNUSED;
    return fn_int(ret, within_day(within_day(arg[1].i) + interval_load(arg[0].p).us % COL_DAY_US));
}

FN_IMPL(time_minus_time) {
    struct interval i = {0};
    FN_UNUSED;
    if (__builtin_sub_overflow(arg[0].i, arg[1].i, &i.us))
        return fn_interval_range(err);
    return fn_give_interval(env, &i, ret, err);
}

FN_IMPL(timestamp_minus) {
    struct interval i = {0};
    FN_UNUSED;
    if (!fn_timestamp_finite(arg[0].i) || !fn_timestamp_finite(arg[1].i))
        return err_sql(err, "22008", "cannot subtract infinite timestamps");
    if (__builtin_sub_overflow(arg[0].i, arg[1].i, &i.us))
        return fn_interval_range(err);
    i.days = (int32_t)(i.us / COL_DAY_US);
    i.us %= COL_DAY_US;
    return fn_give_interval(env, &i, ret, err);
}

/* ---- intervals --------------------------------------------------------------------------------------------------------- */

enum rc fn_interval_add(const struct interval *a, const struct interval *b, struct interval *ret, struct err *err) {
    bool over = __builtin_add_overflow(a->months, b->months, &ret->months);
    over |= __builtin_add_overflow(a->days, b->days, &ret->days);
    over |= __builtin_add_overflow(a->us, b->us, &ret->us);
    return over ? fn_interval_range(err) : RC_OK;
}

FN_IMPL(interval_add) {
    struct interval a = interval_load(arg[0].p), b = interval_load(arg[1].p), r;
    FN_UNUSED;
    enum rc rc = fn_interval_add(&a, &b, &r, err);
    return rc ? rc : fn_give_interval(env, &r, ret, err);
}

FN_IMPL(interval_sub) {
    struct interval a = interval_load(arg[0].p), b = interval_load(arg[1].p), r;
    FN_UNUSED;
    bool over = __builtin_sub_overflow(a.months, b.months, &r.months);
    over |= __builtin_sub_overflow(a.days, b.days, &r.days);
    over |= __builtin_sub_overflow(a.us, b.us, &r.us);
    return over ? fn_interval_range(err) : fn_give_interval(env, &r, ret, err);
}

FN_IMPL(interval_neg) {
    struct interval i = interval_load(arg[0].p);
    FN_UNUSED;
    return negate(&i, &i) ? fn_give_interval(env, &i, ret, err) : fn_interval_range(err);
}

static double to_us(double seconds) {
    return rint(seconds * 1e6) / 1e6;
}

/* Months, days and microseconds as doubles, their fractions handed down: a month's as 30 days, a day's as 24 hours. */
static enum rc scaled(double months, double days, double us, struct interval *ret, struct err *err) {
    bool fits = months >= INT32_MIN && months <= INT32_MAX && days >= INT32_MIN && days <= INT32_MAX;
    if (!fits)
        return fn_interval_range(err);
    *ret = (struct interval){.months = (int32_t)months, .days = (int32_t)days};
    double rest_days = to_us((months - ret->months) * MONTH_DAYS);
    double rest_secs = to_us((days - ret->days + rest_days - (int)rest_days) * SECS_PER_DAY);
    int64_t whole = ret->days;
    if (fabs(rest_secs) >= SECS_PER_DAY) {
        whole += (int)(rest_secs / SECS_PER_DAY);
        rest_secs -= (int)(rest_secs / SECS_PER_DAY) * SECS_PER_DAY;
    }
    whole += (int)rest_days;
    double r = rint(us + rest_secs * 1e6);
    if (!(fabs(r) < 0x1p63) || whole != (int32_t)whole)
        return fn_interval_range(err);
    ret->days = (int32_t)whole;
    ret->us = (int64_t)r;
    return RC_OK;
}

enum rc fn_interval_div(const struct interval *i, double by, struct interval *ret, struct err *err) {
    if (by == 0)
        return fn_div_by_zero(err);
    return scaled(i->months / by, i->days / by, (double)i->us / by, ret, err);
}

static enum rc multiply(const struct fn_env *env, const struct value *span, const struct value *by, struct value *ret,
                        struct err *err) {
    struct interval i = interval_load(span->p), r;
    double f = value_float_get(by);
    enum rc rc = scaled(i.months * f, i.days * f, (double)i.us * f, &r, err);
    return rc ? rc : fn_give_interval(env, &r, ret, err);
}

FN_IMPL(interval_mul) {
    FN_UNUSED;
    return multiply(env, &arg[0], &arg[1], ret, err);
}

FN_IMPL(mul_interval) {
    FN_UNUSED;
    return multiply(env, &arg[1], &arg[0], ret, err);
}

FN_IMPL(interval_div) {
    struct interval i = interval_load(arg[0].p), r;
    FN_UNUSED;
    enum rc rc = fn_interval_div(&i, value_float_get(&arg[1]), &r, err);
    return rc ? rc : fn_give_interval(env, &r, ret, err);
}

static bool days_of_hours(struct interval *i) {
    int64_t days = i->us / COL_DAY_US;
    i->us -= days * COL_DAY_US;
    return !__builtin_add_overflow(i->days, days, &i->days);
}

static bool months_of_days(struct interval *i) {
    int32_t months = i->days / MONTH_DAYS;
    i->days -= months * MONTH_DAYS;
    return !__builtin_add_overflow(i->months, months, &i->months);
}

/* All of one sign. */
static void level_days(struct interval *i) {
    int step = i->days > 0 && i->us < 0 ? 1 : i->days < 0 && i->us > 0 ? -1 : 0;
    i->us += step * COL_DAY_US;
    i->days -= step;
}

FN_IMPL(justify_hours) {
    struct interval i = interval_load(arg[0].p);
    FN_UNUSED;
    if (!days_of_hours(&i))
        return fn_interval_range(err);
    level_days(&i);
    return fn_give_interval(env, &i, ret, err);
}

FN_IMPL(justify_days) {
    struct interval i = interval_load(arg[0].p);
    FN_UNUSED;
    if (!months_of_days(&i))
        return fn_interval_range(err);
    int step = i.months > 0 && i.days < 0 ? 1 : i.months < 0 && i.days > 0 ? -1 : 0;
    i.days += step * MONTH_DAYS;
    i.months -= step;
    return fn_give_interval(env, &i, ret, err);
}

FN_IMPL(justify_interval) {
    struct interval i = interval_load(arg[0].p);
    FN_UNUSED;
    bool ok = true;
    if ((i.days > 0 && i.us > 0) || (i.days < 0 && i.us < 0))
        ok = months_of_days(&i);
    ok = ok && days_of_hours(&i) && months_of_days(&i);
    if (!ok)
        return fn_interval_range(err);
    bool less = i.days < 0 || (i.days == 0 && i.us < 0), more = i.days > 0 || (i.days == 0 && i.us > 0);
    int step = i.months > 0 && less ? 1 : i.months < 0 && more ? -1 : 0;
    i.days += step * MONTH_DAYS;
    i.months -= step;
    level_days(&i);
    return fn_give_interval(env, &i, ret, err);
}

/* ---- casts ------------------------------------------------------------------------------------------------------------- */

FN_IMPL(date_to_timestamp) {
    int64_t ts = 0;
    FN_UNUSED;
    enum rc rc = fn_date_to_timestamp(arg[0].i, call->ret.type == COL_TIMESTAMPTZ ? env->types->zone : NULL, &ts, err);
    *ret = value_int(ts);
    return rc;
}

static const struct zone *zone_of(const struct fn_env *env, const struct fn_call *call) {
    return call->arg[0].type == COL_TIMESTAMPTZ ? env->types->zone : NULL;
}

FN_IMPL(timestamp_to_date) {
    struct fn_clock c;
    FN_UNUSED;
    if (!fn_timestamp_finite(arg[0].i))
        return fn_int(ret, arg[0].i == COL_TS_INF ? COL_DATE_INF : COL_DATE_NEG_INF);
    fn_clock_of(arg[0].i, zone_of(env, call), &c);
    return fn_int(ret, c.days);
}

FN_IMPL(timestamp_to_time) {
    struct fn_clock c;
    FN_UNUSED;
    *ret = value_null();
    if (!fn_timestamp_finite(arg[0].i))
        return RC_OK;
    fn_clock_of(arg[0].i, zone_of(env, call), &c);
    return fn_int(ret, c.us);
}

FN_IMPL(timestamp_to_timestamptz) {
    int32_t offset;
    FN_UNUSED;
    if (!fn_timestamp_finite(arg[0].i))
        return fn_int(ret, arg[0].i);
    int64_t ts = zone_instant(env->types->zone, in_range(arg[0].i), &offset);
    return timestamp_ok(ts) ? fn_int(ret, ts) : fn_timestamp_range(err);
}

FN_IMPL(timestamptz_to_timestamp) {
    FN_UNUSED;
    if (!fn_timestamp_finite(arg[0].i))
        return fn_int(ret, arg[0].i);
    int64_t ts = in_range(arg[0].i);
    ts += zone_offset(env->types->zone, ts) * FN_US;
    return timestamp_ok(ts) ? fn_int(ret, ts) : fn_timestamp_range(err);
}

FN_IMPL(time_to_interval) {
    struct interval i = {.us = arg[0].i};
    FN_UNUSED;
    return fn_give_interval(env, &i, ret, err);
}

FN_IMPL(interval_to_time) {
    FN_UNUSED;
    return fn_int(ret, within_day(interval_load(arg[0].p).us));
}

/* (value, typmod): fractions of seconds, fields of an interval. */
static enum rc limit(const struct fn_env *env, enum col_type type, const struct value *arg, struct value *ret,
                     struct err *err) {
    struct col c = {.type = (uint8_t)type, .typmod = (int32_t)arg[1].i};
    *ret = arg[0];
    return col_valid(&c, NULL) ? RC_OK : type_limit(&c, env->arena, ret, err);
}

FN_IMPL(time_limit) {
    FN_UNUSED;
    return limit(env, COL_TIME, arg, ret, err);
}

FN_IMPL(timestamp_limit) {
    FN_UNUSED;
    return limit(env, COL_TIMESTAMP, arg, ret, err);
}

FN_IMPL(interval_limited) {
    FN_UNUSED;
    return limit(env, COL_INTERVAL, arg, ret, err);
}

static const struct fn fns[] = {
    FN(1086, "date_eq", "=", STRICT, COL_BOOL, int_eq, COL_DATE, COL_DATE),
    FN(1087, "date_lt", "<", STRICT, COL_BOOL, int_lt, COL_DATE, COL_DATE),
    FN(1088, "date_le", "<=", STRICT, COL_BOOL, int_le, COL_DATE, COL_DATE),
    FN(1089, "date_gt", ">", STRICT, COL_BOOL, int_gt, COL_DATE, COL_DATE),
    FN(1090, "date_ge", ">=", STRICT, COL_BOOL, int_ge, COL_DATE, COL_DATE),
    FN(1091, "date_ne", "<>", STRICT, COL_BOOL, int_ne, COL_DATE, COL_DATE),
    FN(1092, "date_cmp", NULL, STRICT, COL_INT4, int_cmp, COL_DATE, COL_DATE),
    FN(1102, "time_lt", "<", STRICT, COL_BOOL, int_lt, COL_TIME, COL_TIME),
    FN(1103, "time_le", "<=", STRICT, COL_BOOL, int_le, COL_TIME, COL_TIME),
    FN(1104, "time_gt", ">", STRICT, COL_BOOL, int_gt, COL_TIME, COL_TIME),
    FN(1105, "time_ge", ">=", STRICT, COL_BOOL, int_ge, COL_TIME, COL_TIME),
    FN(1106, "time_ne", "<>", STRICT, COL_BOOL, int_ne, COL_TIME, COL_TIME),
    FN(1107, "time_cmp", NULL, STRICT, COL_INT4, int_cmp, COL_TIME, COL_TIME),
    FN(1138, "date_larger", NULL, STRICT, COL_DATE, int_larger, COL_DATE, COL_DATE),
    FN(1139, "date_smaller", NULL, STRICT, COL_DATE, int_smaller, COL_DATE, COL_DATE),
    FN(1140, "date_mi", "-", STRICT, COL_INT4, date_minus_date, COL_DATE, COL_DATE),
    FN(1141, "date_pli", "+", STRICT, COL_DATE, date_plus_int, COL_DATE, COL_INT4),
    FN(1142, "date_mii", "-", STRICT, COL_DATE, date_minus_int, COL_DATE, COL_INT4),
    FN(1145, "time_eq", "=", STRICT, COL_BOOL, int_eq, COL_TIME, COL_TIME),
    FN(1152, "timestamptz_eq", "=", STRICT, COL_BOOL, int_eq, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1153, "timestamptz_ne", "<>", STRICT, COL_BOOL, int_ne, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1154, "timestamptz_lt", "<", STRICT, COL_BOOL, int_lt, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1155, "timestamptz_le", "<=", STRICT, COL_BOOL, int_le, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1156, "timestamptz_ge", ">=", STRICT, COL_BOOL, int_ge, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1157, "timestamptz_gt", ">", STRICT, COL_BOOL, int_gt, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1162, "interval_eq", "=", STRICT, COL_BOOL, interval_eq, COL_INTERVAL, COL_INTERVAL),
    FN(1163, "interval_ne", "<>", STRICT, COL_BOOL, interval_ne, COL_INTERVAL, COL_INTERVAL),
    FN(1164, "interval_lt", "<", STRICT, COL_BOOL, interval_lt, COL_INTERVAL, COL_INTERVAL),
    FN(1165, "interval_le", "<=", STRICT, COL_BOOL, interval_le, COL_INTERVAL, COL_INTERVAL),
    FN(1166, "interval_ge", ">=", STRICT, COL_BOOL, interval_ge, COL_INTERVAL, COL_INTERVAL),
    FN(1167, "interval_gt", ">", STRICT, COL_BOOL, interval_gt, COL_INTERVAL, COL_INTERVAL),
    FN(1168, "interval_um", "-", STRICT, COL_INTERVAL, interval_neg, COL_INTERVAL),
    FN(1169, "interval_pl", "+", STRICT, COL_INTERVAL, interval_add, COL_INTERVAL, COL_INTERVAL),
    FN(1170, "interval_mi", "-", STRICT, COL_INTERVAL, interval_sub, COL_INTERVAL, COL_INTERVAL),
    FN(1174, "timestamptz", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, date_to_timestamp, COL_DATE),
    FN(1175, "justify_hours", NULL, STRICT, COL_INTERVAL, justify_hours, COL_INTERVAL),
    FN(1176, "timestamptz", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, date_plus_time, COL_DATE, COL_TIME),
    FN(1178, "date", NULL, STRICT | STABLE, COL_DATE, timestamp_to_date, COL_TIMESTAMPTZ),
    FN(1188, "timestamptz_mi", "-", STRICT, COL_INTERVAL, timestamp_minus, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1189, "timestamptz_pl_interval", "+", STRICT | STABLE, COL_TIMESTAMPTZ, plus_interval, COL_TIMESTAMPTZ,
       COL_INTERVAL),
    FN(1190, "timestamptz_mi_interval", "-", STRICT | STABLE, COL_TIMESTAMPTZ, minus_interval, COL_TIMESTAMPTZ,
       COL_INTERVAL),
    FN(1195, "timestamptz_smaller", NULL, STRICT, COL_TIMESTAMPTZ, int_smaller, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1196, "timestamptz_larger", NULL, STRICT, COL_TIMESTAMPTZ, int_larger, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1197, "interval_smaller", NULL, STRICT, COL_INTERVAL, interval_smaller, COL_INTERVAL, COL_INTERVAL),
    FN(1198, "interval_larger", NULL, STRICT, COL_INTERVAL, interval_larger, COL_INTERVAL, COL_INTERVAL),
    FN(1200, "interval", NULL, STRICT, COL_INTERVAL, interval_limited, COL_INTERVAL, COL_INT4),
    FN(1272, "datetime_pl", "+", STRICT, COL_TIMESTAMP, date_plus_time, COL_DATE, COL_TIME),
    FN(1295, "justify_days", NULL, STRICT, COL_INTERVAL, justify_days, COL_INTERVAL),
    FN(1296, "timedate_pl", "+", STRICT, COL_TIMESTAMP, time_plus_date, COL_TIME, COL_DATE),
    FN(1314, "timestamptz_cmp", NULL, STRICT, COL_INT4, int_cmp, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1315, "interval_cmp", NULL, STRICT, COL_INT4, interval_cmp, COL_INTERVAL, COL_INTERVAL),
    FN(1316, "time", NULL, STRICT, COL_TIME, timestamp_to_time, COL_TIMESTAMP),
    FN(1326, "interval_div", "/", STRICT, COL_INTERVAL, interval_div, COL_INTERVAL, COL_FLOAT8),
    FN(1370, "interval", NULL, STRICT, COL_INTERVAL, time_to_interval, COL_TIME),
    FN(1377, "time_larger", NULL, STRICT, COL_TIME, int_larger, COL_TIME, COL_TIME),
    FN(1378, "time_smaller", NULL, STRICT, COL_TIME, int_smaller, COL_TIME, COL_TIME),
    FN(1419, "time", NULL, STRICT, COL_TIME, interval_to_time, COL_INTERVAL),
    FN(1618, "interval_mul", "*", STRICT, COL_INTERVAL, interval_mul, COL_INTERVAL, COL_FLOAT8),
    FN(1624, "mul_d_interval", "*", STRICT, COL_INTERVAL, mul_interval, COL_FLOAT8, COL_INTERVAL),
    FN(1690, "time_mi_time", "-", STRICT, COL_INTERVAL, time_minus_time, COL_TIME, COL_TIME),
    FN(1747, "time_pl_interval", "+", STRICT, COL_TIME, time_plus, COL_TIME, COL_INTERVAL),
    FN(1748, "time_mi_interval", "-", STRICT, COL_TIME, time_minus, COL_TIME, COL_INTERVAL),
    FN(1848, "interval_pl_time", "+", STRICT, COL_TIME, interval_plus_time, COL_INTERVAL, COL_TIME),
    FN(1961, "timestamp", NULL, STRICT, COL_TIMESTAMP, timestamp_limit, COL_TIMESTAMP, COL_INT4),
    FN(1967, "timestamptz", NULL, STRICT, COL_TIMESTAMPTZ, timestamp_limit, COL_TIMESTAMPTZ, COL_INT4),
    FN(1968, "time", NULL, STRICT, COL_TIME, time_limit, COL_TIME, COL_INT4),
    FN(2019, "time", NULL, STRICT | STABLE, COL_TIME, timestamp_to_time, COL_TIMESTAMPTZ),
    FN(2024, "timestamp", NULL, STRICT, COL_TIMESTAMP, date_to_timestamp, COL_DATE),
    FN(2025, "timestamp", NULL, STRICT, COL_TIMESTAMP, date_plus_time, COL_DATE, COL_TIME),
    FN(2027, "timestamp", NULL, STRICT | STABLE, COL_TIMESTAMP, timestamptz_to_timestamp, COL_TIMESTAMPTZ),
    FN(2028, "timestamptz", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, timestamp_to_timestamptz, COL_TIMESTAMP),
    FN(2029, "date", NULL, STRICT, COL_DATE, timestamp_to_date, COL_TIMESTAMP),
    FN(2031, "timestamp_mi", "-", STRICT, COL_INTERVAL, timestamp_minus, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2032, "timestamp_pl_interval", "+", STRICT, COL_TIMESTAMP, plus_interval, COL_TIMESTAMP, COL_INTERVAL),
    FN(2033, "timestamp_mi_interval", "-", STRICT, COL_TIMESTAMP, minus_interval, COL_TIMESTAMP, COL_INTERVAL),
    FN(2035, "timestamp_smaller", NULL, STRICT, COL_TIMESTAMP, int_smaller, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2036, "timestamp_larger", NULL, STRICT, COL_TIMESTAMP, int_larger, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2045, "timestamp_cmp", NULL, STRICT, COL_INT4, int_cmp, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2052, "timestamp_eq", "=", STRICT, COL_BOOL, int_eq, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2053, "timestamp_ne", "<>", STRICT, COL_BOOL, int_ne, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2054, "timestamp_lt", "<", STRICT, COL_BOOL, int_lt, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2055, "timestamp_le", "<=", STRICT, COL_BOOL, int_le, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2056, "timestamp_ge", ">=", STRICT, COL_BOOL, int_ge, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2057, "timestamp_gt", ">", STRICT, COL_BOOL, int_gt, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2071, "date_pl_interval", "+", STRICT, COL_TIMESTAMP, plus_interval, COL_DATE, COL_INTERVAL),
    FN(2072, "date_mi_interval", "-", STRICT, COL_TIMESTAMP, minus_interval, COL_DATE, COL_INTERVAL),
    FN(2338, "date_lt_timestamp", "<", STRICT, COL_BOOL, mixed_lt, COL_DATE, COL_TIMESTAMP),
    FN(2339, "date_le_timestamp", "<=", STRICT, COL_BOOL, mixed_le, COL_DATE, COL_TIMESTAMP),
    FN(2340, "date_eq_timestamp", "=", STRICT, COL_BOOL, mixed_eq, COL_DATE, COL_TIMESTAMP),
    FN(2341, "date_gt_timestamp", ">", STRICT, COL_BOOL, mixed_gt, COL_DATE, COL_TIMESTAMP),
    FN(2342, "date_ge_timestamp", ">=", STRICT, COL_BOOL, mixed_ge, COL_DATE, COL_TIMESTAMP),
    FN(2343, "date_ne_timestamp", "<>", STRICT, COL_BOOL, mixed_ne, COL_DATE, COL_TIMESTAMP),
    FN(2344, "date_cmp_timestamp", NULL, STRICT, COL_INT4, mixed_cmp, COL_DATE, COL_TIMESTAMP),
    FN(2351, "date_lt_timestamptz", "<", STRICT | STABLE, COL_BOOL, mixed_lt, COL_DATE, COL_TIMESTAMPTZ),
    FN(2352, "date_le_timestamptz", "<=", STRICT | STABLE, COL_BOOL, mixed_le, COL_DATE, COL_TIMESTAMPTZ),
    FN(2353, "date_eq_timestamptz", "=", STRICT | STABLE, COL_BOOL, mixed_eq, COL_DATE, COL_TIMESTAMPTZ),
    FN(2354, "date_gt_timestamptz", ">", STRICT | STABLE, COL_BOOL, mixed_gt, COL_DATE, COL_TIMESTAMPTZ),
    FN(2355, "date_ge_timestamptz", ">=", STRICT | STABLE, COL_BOOL, mixed_ge, COL_DATE, COL_TIMESTAMPTZ),
    FN(2356, "date_ne_timestamptz", "<>", STRICT | STABLE, COL_BOOL, mixed_ne, COL_DATE, COL_TIMESTAMPTZ),
    FN(2357, "date_cmp_timestamptz", NULL, STRICT | STABLE, COL_INT4, mixed_cmp, COL_DATE, COL_TIMESTAMPTZ),
    FN(2364, "timestamp_lt_date", "<", STRICT, COL_BOOL, mixed_lt, COL_TIMESTAMP, COL_DATE),
    FN(2365, "timestamp_le_date", "<=", STRICT, COL_BOOL, mixed_le, COL_TIMESTAMP, COL_DATE),
    FN(2366, "timestamp_eq_date", "=", STRICT, COL_BOOL, mixed_eq, COL_TIMESTAMP, COL_DATE),
    FN(2367, "timestamp_gt_date", ">", STRICT, COL_BOOL, mixed_gt, COL_TIMESTAMP, COL_DATE),
    FN(2368, "timestamp_ge_date", ">=", STRICT, COL_BOOL, mixed_ge, COL_TIMESTAMP, COL_DATE),
    FN(2369, "timestamp_ne_date", "<>", STRICT, COL_BOOL, mixed_ne, COL_TIMESTAMP, COL_DATE),
    FN(2370, "timestamp_cmp_date", NULL, STRICT, COL_INT4, mixed_cmp, COL_TIMESTAMP, COL_DATE),
    FN(2377, "timestamptz_lt_date", "<", STRICT | STABLE, COL_BOOL, mixed_lt, COL_TIMESTAMPTZ, COL_DATE),
    FN(2378, "timestamptz_le_date", "<=", STRICT | STABLE, COL_BOOL, mixed_le, COL_TIMESTAMPTZ, COL_DATE),
    FN(2379, "timestamptz_eq_date", "=", STRICT | STABLE, COL_BOOL, mixed_eq, COL_TIMESTAMPTZ, COL_DATE),
    FN(2380, "timestamptz_gt_date", ">", STRICT | STABLE, COL_BOOL, mixed_gt, COL_TIMESTAMPTZ, COL_DATE),
    FN(2381, "timestamptz_ge_date", ">=", STRICT | STABLE, COL_BOOL, mixed_ge, COL_TIMESTAMPTZ, COL_DATE),
    FN(2382, "timestamptz_ne_date", "<>", STRICT | STABLE, COL_BOOL, mixed_ne, COL_TIMESTAMPTZ, COL_DATE),
    FN(2383, "timestamptz_cmp_date", NULL, STRICT | STABLE, COL_INT4, mixed_cmp, COL_TIMESTAMPTZ, COL_DATE),
    FN(2520, "timestamp_lt_timestamptz", "<", STRICT | STABLE, COL_BOOL, mixed_lt, COL_TIMESTAMP, COL_TIMESTAMPTZ),
    FN(2521, "timestamp_le_timestamptz", "<=", STRICT | STABLE, COL_BOOL, mixed_le, COL_TIMESTAMP, COL_TIMESTAMPTZ),
    FN(2522, "timestamp_eq_timestamptz", "=", STRICT | STABLE, COL_BOOL, mixed_eq, COL_TIMESTAMP, COL_TIMESTAMPTZ),
    FN(2523, "timestamp_gt_timestamptz", ">", STRICT | STABLE, COL_BOOL, mixed_gt, COL_TIMESTAMP, COL_TIMESTAMPTZ),
    FN(2524, "timestamp_ge_timestamptz", ">=", STRICT | STABLE, COL_BOOL, mixed_ge, COL_TIMESTAMP, COL_TIMESTAMPTZ),
    FN(2525, "timestamp_ne_timestamptz", "<>", STRICT | STABLE, COL_BOOL, mixed_ne, COL_TIMESTAMP, COL_TIMESTAMPTZ),
    FN(2526, "timestamp_cmp_timestamptz", NULL, STRICT | STABLE, COL_INT4, mixed_cmp, COL_TIMESTAMP, COL_TIMESTAMPTZ),
    FN(2527, "timestamptz_lt_timestamp", "<", STRICT | STABLE, COL_BOOL, mixed_lt, COL_TIMESTAMPTZ, COL_TIMESTAMP),
    FN(2528, "timestamptz_le_timestamp", "<=", STRICT | STABLE, COL_BOOL, mixed_le, COL_TIMESTAMPTZ, COL_TIMESTAMP),
    FN(2529, "timestamptz_eq_timestamp", "=", STRICT | STABLE, COL_BOOL, mixed_eq, COL_TIMESTAMPTZ, COL_TIMESTAMP),
    FN(2530, "timestamptz_gt_timestamp", ">", STRICT | STABLE, COL_BOOL, mixed_gt, COL_TIMESTAMPTZ, COL_TIMESTAMP),
    FN(2531, "timestamptz_ge_timestamp", ">=", STRICT | STABLE, COL_BOOL, mixed_ge, COL_TIMESTAMPTZ, COL_TIMESTAMP),
    FN(2532, "timestamptz_ne_timestamp", "<>", STRICT | STABLE, COL_BOOL, mixed_ne, COL_TIMESTAMPTZ, COL_TIMESTAMP),
    FN(2533, "timestamptz_cmp_timestamp", NULL, STRICT | STABLE, COL_INT4, mixed_cmp, COL_TIMESTAMPTZ, COL_TIMESTAMP),
    FN(2546, "interval_pl_date", "+", STRICT, COL_TIMESTAMP, interval_plus, COL_INTERVAL, COL_DATE),
    FN(2548, "interval_pl_timestamp", "+", STRICT, COL_TIMESTAMP, interval_plus, COL_INTERVAL, COL_TIMESTAMP),
    FN(2549, "interval_pl_timestamptz", "+", STRICT | STABLE, COL_TIMESTAMPTZ, interval_plus, COL_INTERVAL,
       COL_TIMESTAMPTZ),
    FN(2550, "integer_pl_date", "+", STRICT, COL_DATE, int_plus_date, COL_INT4, COL_DATE),
    FN(2711, "justify_interval", NULL, STRICT, COL_INTERVAL, justify_interval, COL_INTERVAL),
};

const struct fn_table fn_table_time = {fns, ARRAY_LEN(fns)};
