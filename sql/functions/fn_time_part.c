/* SPDX-License-Identifier: Apache-2.0 */
/* fn_time_part.c: parts of times (extract, date_trunc), ages, time zones, times made of numbers, now. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/functions/fn_time.h"

enum { MONTHS = 12, UNIT_BYTES_MAX = 32 };

/* ---- units ------------------------------------------------------------------------------------------------------------ */

enum unit {
    UNIT_MICROSECOND,
    UNIT_MILLISECOND,
    UNIT_SECOND,
    UNIT_MINUTE,
    UNIT_HOUR,
    UNIT_DAY,
    UNIT_WEEK,
    UNIT_MONTH,
    UNIT_QUARTER,
    UNIT_YEAR,
    UNIT_DECADE,
    UNIT_CENTURY,
    UNIT_MILLENNIUM,
    UNIT_DOW,
    UNIT_ISODOW,
    UNIT_DOY,
    UNIT_ISOYEAR,
    UNIT_JULIAN,
    UNIT_EPOCH,
    UNIT_ZONE,
    UNIT_ZONE_HOUR,
    UNIT_ZONE_MINUTE,
};

static const struct {
    const char *name;
    enum unit unit;
} units[] = {
    {"microsecond", UNIT_MICROSECOND},
    {"microseconds", UNIT_MICROSECOND},
    {"microsecon", UNIT_MICROSECOND},
    {"us", UNIT_MICROSECOND},
    {"usec", UNIT_MICROSECOND},
    {"usecs", UNIT_MICROSECOND},
    {"usecond", UNIT_MICROSECOND},
    {"useconds", UNIT_MICROSECOND},
    {"millisecond", UNIT_MILLISECOND},
    {"milliseconds", UNIT_MILLISECOND},
    {"millisecon", UNIT_MILLISECOND},
    {"ms", UNIT_MILLISECOND},
    {"msec", UNIT_MILLISECOND},
    {"msecs", UNIT_MILLISECOND},
    {"msecond", UNIT_MILLISECOND},
    {"mseconds", UNIT_MILLISECOND},
    {"second", UNIT_SECOND},
    {"seconds", UNIT_SECOND},
    {"sec", UNIT_SECOND},
    {"secs", UNIT_SECOND},
    {"s", UNIT_SECOND},
    {"minute", UNIT_MINUTE},
    {"minutes", UNIT_MINUTE},
    {"min", UNIT_MINUTE},
    {"mins", UNIT_MINUTE},
    {"m", UNIT_MINUTE},
    {"hour", UNIT_HOUR},
    {"hours", UNIT_HOUR},
    {"hr", UNIT_HOUR},
    {"hrs", UNIT_HOUR},
    {"h", UNIT_HOUR},
    {"day", UNIT_DAY},
    {"days", UNIT_DAY},
    {"d", UNIT_DAY},
    {"week", UNIT_WEEK},
    {"weeks", UNIT_WEEK},
    {"w", UNIT_WEEK},
    {"month", UNIT_MONTH},
    {"months", UNIT_MONTH},
    {"mon", UNIT_MONTH},
    {"mons", UNIT_MONTH},
    {"quarter", UNIT_QUARTER},
    {"qtr", UNIT_QUARTER},
    {"year", UNIT_YEAR},
    {"years", UNIT_YEAR},
    {"yr", UNIT_YEAR},
    {"yrs", UNIT_YEAR},
    {"y", UNIT_YEAR},
    {"decade", UNIT_DECADE},
    {"decades", UNIT_DECADE},
    {"dec", UNIT_DECADE},
    {"decs", UNIT_DECADE},
    {"century", UNIT_CENTURY},
    {"centuries", UNIT_CENTURY},
    {"cent", UNIT_CENTURY},
    {"c", UNIT_CENTURY},
    {"millennium", UNIT_MILLENNIUM},
    {"millennia", UNIT_MILLENNIUM},
    {"mil", UNIT_MILLENNIUM},
    {"mils", UNIT_MILLENNIUM},
    {"dow", UNIT_DOW},
    {"isodow", UNIT_ISODOW},
    {"doy", UNIT_DOY},
    {"isoyear", UNIT_ISOYEAR},
    {"julian", UNIT_JULIAN},
    {"jd", UNIT_JULIAN},
    {"j", UNIT_JULIAN},
    {"epoch", UNIT_EPOCH},
    {"timezone", UNIT_ZONE},
    {"timezone_hour", UNIT_ZONE_HOUR},
    {"timezone_h", UNIT_ZONE_HOUR},
    {"timezone_minute", UNIT_ZONE_MINUTE},
    {"timezone_m", UNIT_ZONE_MINUTE},
};

static enum rc refuse(const struct value *name, const struct col *type, bool known, struct err *err) {
    char lower[UNIT_BYTES_MAX + 1], of[COL_NAME_BYTES];
    size_t n = name->bytes < UNIT_BYTES_MAX ? name->bytes : UNIT_BYTES_MAX;
    struct col plain = col_of((enum col_type)type->type);
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)fn_lower(((const uint8_t *)name->p)[i] & 0x7f);
    lower[n] = '\0';
    return known ? err_sql(err, "0A000", "unit \"%s\" not supported for type %s", lower, col_name(&plain, of))
                 : err_sql(err, "22023", "unit \"%s\" not recognized for type %s", lower, col_name(&plain, of));
}

static enum rc find_unit(const struct value *name, const struct col *type, enum unit *ret, struct err *err) {
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strlen(units[i].name) == name->bytes && strncasecmp(units[i].name, name->p, name->bytes) == 0) {
            *ret = units[i].unit;
            return RC_OK;
        }
    return refuse(name, type, false, err);
}

/* ---- calendar ----------------------------------------------------------------------------------------------------------- */

/* 0 = Sunday; 2000-01-01 was a Saturday. */
static int day_of_week(int64_t days) {
    int64_t r = (days + 6) % 7;
    return (int)(r < 0 ? r + 7 : r);
}

/* The Monday of ISO week 1 of a year: that of January 4th. */
static int64_t iso_start(int64_t year) {
    int64_t fourth = civil_to_days(year, 1, 4);
    return fourth - (day_of_week(fourth) + 6) % 7;
}

static void iso_week(int64_t days, int64_t year, int64_t *ret_year, int *ret_week) {
    int64_t start = iso_start(year);
    if (days < start) {
        year--;
        start = iso_start(year);
    } else if (days >= iso_start(year + 1)) {
        year++;
        start = iso_start(year);
    }
    *ret_year = year;
    *ret_week = (int)((days - start) / 7 + 1);
}

/* ---- extract, date_part ------------------------------------------------------------------------------------------------- */

/* A part: an integer times 10^-scale. */
struct part {
    int64_t v;
    int scale;
    bool null, infinite, negative, julian;
    int64_t julian_us; /* of the day, besides */
    bool interval_epoch;
    double epoch; /* as PostgreSQL adds it up in doubles */
};

static bool part_of_time(enum unit u, int64_t us, struct part *r) {
    switch (u) {
    case UNIT_MICROSECOND:
        r->v = us % (60 * FN_US);
        return true;
    case UNIT_MILLISECOND:
        r->v = us % (60 * FN_US);
        r->scale = 3;
        return true;
    case UNIT_SECOND:
        r->v = us % (60 * FN_US);
        r->scale = 6;
        return true;
    case UNIT_MINUTE:
        r->v = us / (60 * FN_US) % 60;
        return true;
    case UNIT_HOUR:
        r->v = us / (3600 * FN_US);
        return true;
    default:
        return false;
    }
}

/* Of the years' units, for astronomical years (0 = 1 BC). */
static bool part_of_year(enum unit u, int64_t year, struct part *r) {
    switch (u) {
    case UNIT_YEAR:
        r->v = year > 0 ? year : year - 1;
        return true;
    case UNIT_DECADE:
        r->v = year >= 0 ? year / 10 : -((8 - (year - 1)) / 10);
        return true;
    case UNIT_CENTURY:
        r->v = year > 0 ? (year + 99) / 100 : -((99 - (year - 1)) / 100);
        return true;
    case UNIT_MILLENNIUM:
        r->v = year > 0 ? (year + 999) / 1000 : -((999 - (year - 1)) / 1000);
        return true;
    default:
        return false;
    }
}

static bool part_of_date(enum unit u, const struct fn_clock *c, struct part *r) {
    int64_t iso_year;
    int week;
    iso_week(c->days, c->date.year, &iso_year, &week);
    switch (u) {
    case UNIT_DAY:
        r->v = c->date.day;
        return true;
    case UNIT_MONTH:
        r->v = c->date.month;
        return true;
    case UNIT_QUARTER:
        r->v = (c->date.month - 1) / 3 + 1;
        return true;
    case UNIT_WEEK:
        r->v = week;
        return true;
    case UNIT_ISOYEAR:
        r->v = iso_year > 0 ? iso_year : iso_year - 1;
        return true;
    case UNIT_DOW:
        r->v = day_of_week(c->days);
        return true;
    case UNIT_ISODOW:
        r->v = (day_of_week(c->days) + 6) % 7 + 1;
        return true;
    case UNIT_DOY:
        r->v = c->days - civil_to_days(c->date.year, 1, 1) + 1;
        return true;
    case UNIT_JULIAN:
        r->v = c->days + 2451545;
        r->julian = true;
        r->julian_us = c->us;
        return true;
    default:
        return part_of_year(u, c->date.year, r);
    }
}

/* Of infinity: units that only grow are infinite, the others nothing. */
static bool part_of_infinity(enum unit u, bool negative, struct part *r) {
    r->negative = negative;
    r->infinite = u == UNIT_YEAR || u == UNIT_DECADE || u == UNIT_CENTURY || u == UNIT_MILLENNIUM || u == UNIT_JULIAN ||
                  u == UNIT_ISOYEAR || u == UNIT_EPOCH;
    r->null = !r->infinite;
    return true;
}

static bool part_of_timestamp(const struct fn_env *env, enum unit u, int64_t ts, bool zoned, struct part *r) {
    struct fn_clock c;
    if (!fn_timestamp_finite(ts))
        return part_of_infinity(u, ts == COL_TS_NEG_INF, r);
    if (!zoned && (u == UNIT_ZONE || u == UNIT_ZONE_HOUR || u == UNIT_ZONE_MINUTE))
        return false;
    fn_clock_of(ts, zoned ? env->types->zone : NULL, &c);
    switch (u) {
    case UNIT_EPOCH:
        r->v = ts + FN_UNIX_DAYS * COL_DAY_US;
        r->scale = 6;
        return true;
    case UNIT_ZONE:
        r->v = c.offset;
        return true;
    case UNIT_ZONE_HOUR:
        r->v = c.offset / 3600;
        return true;
    case UNIT_ZONE_MINUTE:
        r->v = c.offset / 60 % 60;
        return true;
    default:
        return part_of_time(u, c.us, r) || part_of_date(u, &c, r);
    }
}

static bool part_of_day(enum unit u, int64_t date, struct part *r) {
    struct fn_clock c = {.days = date};
    if (u <= UNIT_HOUR || u >= UNIT_ZONE)
        return false;
    if (date == COL_DATE_INF || date == COL_DATE_NEG_INF)
        return part_of_infinity(u, date == COL_DATE_NEG_INF, r);
    c.date = civil_from_days((int32_t)date);
    if (u != UNIT_EPOCH)
        return part_of_date(u, &c, r);
    r->v = ((int32_t)date + FN_UNIX_DAYS) * (int64_t)86400;
    return true;
}

static bool part_of_interval(enum unit u, const struct interval *i, struct part *r) {
    int64_t months = i->months, year = months / MONTHS;
    if (part_of_time(u, i->us, r))
        return true;
    switch (u) {
    case UNIT_DAY:
        r->v = i->days;
        return true;
    case UNIT_MONTH:
        r->v = months % MONTHS;
        return true;
    case UNIT_QUARTER:
        r->v = months % MONTHS / 3 + 1;
        return true;
    case UNIT_YEAR:
        r->v = year;
        return true;
    case UNIT_DECADE:
        r->v = year / 10;
        return true;
    case UNIT_CENTURY:
        r->v = year / 100;
        return true;
    case UNIT_MILLENNIUM:
        r->v = year / 1000;
        return true;
    case UNIT_EPOCH: /* a year is 365.25 days, a month 30 */
        r->v = (1461 * year + 120 * (months % MONTHS) + 4 * (int64_t)i->days) * (86400 / 4) * FN_US + i->us;
        r->scale = 6;
        r->interval_epoch = true;
        r->epoch = (double)i->us / 1e6 + 365.25 * 86400 * (double)year + 30.0 * 86400 * (double)(months % MONTHS) +
                   86400.0 * i->days;
        return true;
    default:
        return false;
    }
}

static enum rc find_part(const struct fn_env *env, const struct fn_call *call, const struct value *arg, struct part *r,
                         struct err *err) {
    const struct col *type = &call->arg[1];
    enum unit u = UNIT_DAY;
    struct interval i;
    bool ok;
    enum rc rc = find_unit(&arg[0], type, &u, err);
    *r = (struct part){.v = 0};
    if (rc)
        return rc;
    switch (type->type) {
    case COL_DATE:
        ok = part_of_day(u, arg[1].i, r);
        break;
    case COL_TIME:
        ok = part_of_time(u, arg[1].i, r);
        if (u == UNIT_EPOCH) {
            r->v = arg[1].i;
            r->scale = 6;
            ok = true;
        }
        break;
    case COL_INTERVAL:
        i = interval_load(arg[1].p);
        if (i.us < INT64_MIN / 2 || i.us > INT64_MAX / 2)
            return fn_interval_range(err);
        ok = part_of_interval(u, &i, r);
        break;
    default:
        ok = part_of_timestamp(env, u, arg[1].i, type->type == COL_TIMESTAMPTZ, r);
    }
    return ok ? RC_OK : refuse(&arg[0], type, true, err);
}

/* The julian day of a timestamp has a fraction, even if it is 0. */
static enum rc add_day_fraction(struct dec *d, int64_t us, struct err *err) {
    struct dec part, day;
    dec_init(&part);
    dec_init(&day);
    dec_set_int(&part, us);
    dec_set_int(&day, COL_DAY_US);
    enum rc rc = dec_div(&part, &part, &day, err);
    if (!rc)
        rc = dec_add(d, d, &part, err);
    dec_done(&part);
    dec_done(&day);
    return rc;
}

FN_IMPL(extract) {
    struct part p;
    struct dec d;
    FN_UNUSED;
    enum rc rc = find_part(env, call, arg, &p, err);
    *ret = value_null();
    if (rc || p.null)
        return rc;
    dec_init(&d);
    dec_set_int(&d, p.v);
    d.scale = p.scale;
    if (p.infinite)
        dec_set_special(&d, p.negative ? DEC_NEG_INF : DEC_INF);
    else if (p.julian && call->arg[1].type != COL_DATE)
        rc = add_day_fraction(&d, p.julian_us, err);
    if (!rc)
        rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

FN_IMPL(date_part) {
    struct part p;
    FN_UNUSED;
    /* a date is a timestamp here, though not for extract */
    struct col types[2] = {call->arg[0], call->arg[1]};
    struct fn_call as = {.arg = types, .ret = call->ret};
    struct value v[2] = {arg[0], arg[1]};
    enum rc rc = RC_OK;
    if (types[1].type == COL_DATE) {
        types[1] = col_of(COL_TIMESTAMP);
        rc = fn_date_to_timestamp(arg[1].i, NULL, &v[1].i, err);
    }
    if (!rc)
        rc = find_part(env, &as, v, &p, err);
    *ret = value_null();
    if (rc || p.null)
        return rc;
    double r = (double)p.v;
    if (p.infinite)
        r = p.negative ? -HUGE_VAL : HUGE_VAL;
    else if (p.interval_epoch)
        r = p.epoch;
    else if (p.scale == 6)
        r = (double)p.v / 1e6;
    else if (p.scale == 3)
        r = (double)p.v / 1e3;
    else if (p.julian_us)
        r += (double)p.julian_us / (double)COL_DAY_US;
    *ret = value_float(r);
    return RC_OK;
}

/* ---- date_trunc ----------------------------------------------------------------------------------------------------------- */

/* The first year of a unit of n years that begin with 1 (century), or with 0 (decade). */
static int64_t first_year(int64_t year, int64_t n) {
    return year > 0 ? (year + n - 1) / n * n - (n - 1) : -((n - 1 - (year - 1)) / n) * n + 1;
}

static bool trunc_clock(enum unit u, struct fn_clock *c) {
    static const int64_t steps[] = {1, 1000, FN_US, 60 * FN_US, 3600 * FN_US};
    int64_t year = c->date.year;
    int month = c->date.month;
    if (u <= UNIT_HOUR) {
        c->us -= c->us % steps[u];
        return true;
    }
    c->us = 0;
    switch (u) {
    case UNIT_DAY:
        return true;
    case UNIT_WEEK:
        c->days -= (day_of_week(c->days) + 6) % 7;
        return true;
    case UNIT_MONTH:
        break;
    case UNIT_QUARTER:
        month = (month - 1) / 3 * 3 + 1;
        break;
    case UNIT_MILLENNIUM:
        year = first_year(year, 1000);
        month = 1;
        break;
    case UNIT_CENTURY:
        year = first_year(year, 100);
        month = 1;
        break;
    case UNIT_DECADE:
        year = year > 0 ? year / 10 * 10 : -((8 - (year - 1)) / 10) * 10;
        month = 1;
        break;
    case UNIT_YEAR:
        month = 1;
        break;
    default:
        return false;
    }
    c->days = civil_to_days(year, month, 1);
    return true;
}

static bool zone_unit(enum unit u) {
    return u == UNIT_ZONE || u == UNIT_ZONE_HOUR || u == UNIT_ZONE_MINUTE;
}

static enum rc trunc_timestamp(const struct fn_call *call, const struct value *arg, const struct zone *zone,
                               struct value *ret, struct err *err) {
    struct fn_clock c;
    enum unit u = UNIT_DAY;
    int64_t ts = arg[1].i;
    if (!fn_timestamp_finite(ts))
        return fn_int(ret, ts);
    enum rc rc = find_unit(&arg[0], &call->arg[1], &u, err);
    if (rc)
        return rc;
    fn_clock_of(ts, zone, &c);
    int64_t before = c.us;
    if (!trunc_clock(u, &c))
        return refuse(&arg[0], &call->arg[1], zone_unit(u), err);
    if (u <= UNIT_HOUR) /* the offset stays what it was */
        return fn_int(ret, ts - (before - c.us));
    rc = fn_timestamp_of(c.days, c.us, zone, &ts, err);
    *ret = value_int(ts);
    return rc;
}

FN_IMPL(date_trunc) {
    FN_UNUSED;
    return trunc_timestamp(call, arg, call->arg[1].type == COL_TIMESTAMPTZ ? env->types->zone : NULL, ret, err);
}

FN_IMPL(date_trunc_zone) {
    const struct zone *zone;
    FN_UNUSED;
    enum rc rc = fn_zone(env, &arg[2], &zone, err);
    return rc ? rc : trunc_timestamp(call, arg, zone, ret, err);
}

FN_IMPL(interval_trunc) {
    static const int64_t steps[] = {1, 1000, FN_US, 60 * FN_US, 3600 * FN_US};
    struct interval i = interval_load(arg[1].p);
    enum unit u = UNIT_DAY;
    FN_UNUSED;
    enum rc rc = find_unit(&arg[0], &call->arg[1], &u, err);
    if (rc)
        return rc;
    int months = u == UNIT_QUARTER      ? 3
                 : u == UNIT_YEAR       ? MONTHS
                 : u == UNIT_DECADE     ? 10 * MONTHS
                 : u == UNIT_CENTURY    ? 100 * MONTHS
                 : u == UNIT_MILLENNIUM ? 1000 * MONTHS
                                        : 1;
    if (u == UNIT_WEEK || u > UNIT_MILLENNIUM) {
        rc = refuse(&arg[0], &call->arg[1], u == UNIT_WEEK || zone_unit(u), err);
        if (u == UNIT_WEEK)
            err_detail(err, "Months usually have fractional weeks.");
        return rc;
    }
    if (u <= UNIT_HOUR) {
        i.us -= i.us % steps[u];
    } else {
        i.us = 0;
        if (u > UNIT_DAY) {
            i.days = 0;
            i.months -= i.months % months;
        }
    }
    return fn_give_interval(env, &i, ret, err);
}

FN_IMPL(date_bin) {
    struct interval step = interval_load(arg[0].p);
    FN_UNUSED;
    int64_t us, diff, rest;
    if (!fn_timestamp_finite(arg[1].i))
        return fn_int(ret, arg[1].i);
    if (!fn_timestamp_finite(arg[2].i))
        return err_sql(err, "22008", "origin out of range");
    if (step.months)
        return err_sql(err, "0A000", "timestamps cannot be binned into intervals containing months or years");
    if (__builtin_mul_overflow((int64_t)step.days, COL_DAY_US, &us) || __builtin_add_overflow(us, step.us, &us))
        return fn_interval_range(err);
    if (us <= 0)
        return err_sql(err, "22008", "stride must be greater than zero");
    if (__builtin_sub_overflow(arg[1].i, arg[2].i, &diff))
        return fn_interval_range(err);
    rest = diff % us;
    if (rest < 0)
        rest += us;
    int64_t to = arg[1].i - rest;
    return arg[1].i < INT64_MIN + us ? fn_timestamp_range(err) : fn_int(ret, to);
}

/* ---- age ------------------------------------------------------------------------------------------------------------------- */

/* Years, months and days as people count them, from the earlier to the later. */
static void difference(const struct fn_clock *later, const struct fn_clock *earlier, struct interval *ret) {
    int64_t us = later->us - earlier->us, days = later->date.day - earlier->date.day;
    int64_t months = (later->date.year - earlier->date.year) * MONTHS + later->date.month - earlier->date.month;
    if (us < 0) {
        us += COL_DAY_US;
        days--;
    }
    if (days < 0) { /* the days of the earlier one's month */
        days += civil_month_days(earlier->date.year, earlier->date.month);
        months--;
    }
    *ret = (struct interval){.us = us, .days = (int32_t)days, .months = (int32_t)months};
}

static enum rc age(const struct fn_env *env, int64_t a, int64_t b, const struct zone *zone, struct value *ret,
                   struct err *err) {
    struct fn_clock x, y;
    struct interval i;
    if (!fn_timestamp_finite(a) || !fn_timestamp_finite(b))
        return fn_timestamp_range(err);
    fn_clock_of(a, zone, &x);
    fn_clock_of(b, zone, &y);
    if (a >= b) {
        difference(&x, &y, &i);
    } else {
        difference(&y, &x, &i);
        i = (struct interval){.us = -i.us, .days = -i.days, .months = -i.months};
    }
    return fn_give_interval(env, &i, ret, err);
}

FN_IMPL(age_of_two) {
    FN_UNUSED;
    return age(env, arg[0].i, arg[1].i, call->arg[0].type == COL_TIMESTAMPTZ ? env->types->zone : NULL, ret, err);
}

/* From the midnight that today began with. */
FN_IMPL(age_today) {
    struct fn_clock now;
    int64_t midnight = 0;
    FN_UNUSED;
    bool zoned = call->arg[0].type == COL_TIMESTAMPTZ;
    fn_clock_of(env->now_us, env->types->zone, &now);
    enum rc rc = fn_timestamp_of(now.days, 0, zoned ? env->types->zone : NULL, &midnight, err);
    return rc ? rc : age(env, midnight, arg[0].i, zoned ? env->types->zone : NULL, ret, err);
}

/* ---- zones ------------------------------------------------------------------------------------------------------------------ */

enum rc fn_zone(const struct fn_env *env, const struct value *name, const struct zone **ret, struct err *err) {
    char text[ZONE_NAME_BYTES + 1];
    const struct zone *z = NULL;
    size_t n = name->bytes < ZONE_NAME_BYTES ? name->bytes : ZONE_NAME_BYTES;
    memcpy(text, name->p, n);
    text[n] = '\0';
    if (n == name->bytes && strcasecmp(text, "UTC") == 0)
        z = zone_fixed(env->arena, "UTC", 0);
    else if (n == name->bytes && env->types->find_zone)
        z = env->types->find_zone(env->types->ctx, text);
    if (!z)
        return err_sql(err, "22023", "time zone \"%s\" not recognized", text);
    *ret = z;
    return RC_OK;
}

static enum rc fixed(const struct fn_env *env, const struct value *span, const struct zone **ret, struct err *err) {
    struct interval i = interval_load(span->p);
    struct buf b;
    if (i.months || i.days) {
        buf_init(&b, 0);
        interval_print(&i, &b);
        const char *text = buf_cstr(&b);
        enum rc rc =
            err_sql(err, "22023", "interval time zone \"%s\" must not include months or days", text ? text : "");
        buf_done(&b);
        return rc;
    }
    int64_t offset = i.us / FN_US;
    if (offset > ZONE_OFFSET_MAX || offset < -ZONE_OFFSET_MAX)
        return err_sql(err, "22023", "a time zone's offset is out of range");
    *ret = zone_fixed(env->arena, "", (int32_t)offset);
    return *ret ? RC_OK : fn_no_memory(err);
}

/* AT TIME ZONE: a timestamptz to what clocks there show, a timestamp that clocks there show to a timestamptz. */
FN_IMPL(at_zone) {
    const struct zone *zone = NULL;
    struct fn_clock c;
    int64_t ts = arg[1].i;
    FN_UNUSED;
    if (!fn_timestamp_finite(ts))
        return fn_int(ret, ts);
    enum rc rc =
        call->arg[0].type == COL_INTERVAL ? fixed(env, &arg[0], &zone, err) : fn_zone(env, &arg[0], &zone, err);
    if (rc)
        return rc;
    bool zoned = call->arg[1].type == COL_TIMESTAMPTZ;
    fn_clock_of(ts, zoned ? zone : NULL, &c);
    rc = fn_timestamp_of(c.days, c.us, zoned ? NULL : zone, &ts, err);
    *ret = value_int(ts);
    return rc;
}

/* ---- made of numbers ---------------------------------------------------------------------------------------------------------- */

static enum rc make_day(const struct value *arg, bool negative_ok, int64_t *ret, struct err *err) {
    int64_t year = arg[0].i, month = arg[1].i, day = arg[2].i;
    bool bc = year < 0;
    if (bc && negative_ok)
        year = -year;
    bool ok = year > 0 && month >= 1 && month <= MONTHS && day >= 1;
    if (ok && bc)
        year = 1 - year;
    /* which day there is repeats every 400 years */
    if (!ok || day > civil_month_days(year % 400, (int)month))
        return err_sql(err, "22008", "date field value out of range: %lld-%02lld-%02lld",
                       (long long)(bc ? 1 + arg[0].i : arg[0].i), (long long)month, (long long)day);
    if (year > 5874897 || year < -4714)
        return err_sql(err, "22008", "date out of range: %lld-%02lld-%02lld", (long long)arg[0].i, (long long)month,
                       (long long)day);
    *ret = civil_to_days(year, (int)month, (int)day);
    return RC_OK;
}

static enum rc make_us(int64_t hour, int64_t minute, double second, int64_t *ret, struct err *err) {
    bool ok = hour >= 0 && hour <= 24 && minute >= 0 && minute < 60 && second >= 0 && second <= 60 &&
              (hour < 24 || (minute == 0 && second == 0));
    if (!ok)
        return err_sql(err, "22008", "time field value out of range: %lld:%02lld:%02g", (long long)hour,
                       (long long)minute, second);
    *ret = (hour * 3600 + minute * 60) * FN_US + (int64_t)rint(second * 1e6);
    return RC_OK;
}

FN_IMPL(make_date) {
    int64_t days = 0;
    FN_UNUSED;
    enum rc rc = make_day(arg, true, &days, err);
    struct col date = col_of(COL_DATE);
    *ret = value_int(days);
    if (!rc && col_check(&date, ret, NULL))
        rc = err_sql(err, "22008", "date out of range: %lld-%02lld-%02lld", (long long)arg[0].i, (long long)arg[1].i,
                     (long long)arg[2].i);
    return rc;
}

FN_IMPL(make_time) {
    int64_t us = 0;
    FN_UNUSED;
    enum rc rc = make_us(arg[0].i, arg[1].i, value_float_get(&arg[2]), &us, err);
    *ret = value_int(us);
    return rc;
}

FN_IMPL(make_timestamp) {
    const struct zone *zone = call->ret.type == COL_TIMESTAMPTZ ? env->types->zone : NULL;
    int64_t days = 0, us = 0, ts = 0;
    FN_UNUSED;
    enum rc rc = make_day(arg, true, &days, err);
    if (!rc)
        rc = make_us(arg[3].i, arg[4].i, value_float_get(&arg[5]), &us, err);
    if (!rc && args > 6)
        rc = fn_zone(env, &arg[6], &zone, err);
    if (!rc)
        rc = fn_timestamp_of(days, us, zone, &ts, err);
    *ret = value_int(ts);
    return rc;
}

FN_IMPL(make_interval) {
    struct interval i = {0};
    FN_UNUSED;
    int64_t months, weeks, us;
    double seconds = value_float_get(&arg[6]);
    bool over = __builtin_mul_overflow(arg[0].i, (int64_t)MONTHS, &months) ||
                __builtin_add_overflow(months, arg[1].i, &months) || months != (int32_t)months;
    over = over || __builtin_mul_overflow(arg[2].i, (int64_t)7, &weeks) ||
           __builtin_add_overflow(weeks, arg[3].i, &weeks) || weeks != (int32_t)weeks;
    over = over || __builtin_mul_overflow(arg[4].i, 3600 * FN_US, &i.us) ||
           __builtin_mul_overflow(arg[5].i, 60 * FN_US, &us) || __builtin_add_overflow(i.us, us, &i.us);
    double fraction = rint(seconds * 1e6);
    over = over || !(fabs(fraction) < 0x1p62) || __builtin_add_overflow(i.us, (int64_t)fraction, &i.us);
    if (over)
        return fn_interval_range(err);
    i.months = (int32_t)months;
    i.days = (int32_t)weeks;
    return fn_give_interval(env, &i, ret, err);
}

FN_IMPL(from_epoch) {
    FN_UNUSED;
    double s = value_float_get(&arg[0]);
    if (isinf(s))
        return fn_int(ret, s > 0 ? COL_TS_INF : COL_TS_NEG_INF);
    if (isnan(s))
        return err_sql(err, "22008", "timestamp cannot be NaN");
    double us = rint((s - FN_UNIX_DAYS * 86400.0) * 1e6);
    struct col type = col_of(COL_TIMESTAMPTZ);
    if (fabs(us) < 0x1p63)
        *ret = value_int((int64_t)us);
    if (!(fabs(us) < 0x1p63) || !fn_timestamp_finite(ret->i) || col_check(&type, ret, NULL))
        return err_sql(err, "22008", "timestamp out of range: \"%g\"", s);
    return RC_OK;
}

FN_IMPL(is_finite) {
    FN_UNUSED;
    switch (call->arg[0].type) {
    case COL_DATE:
        return fn_bool(ret, arg[0].i != COL_DATE_INF && arg[0].i != COL_DATE_NEG_INF);
    case COL_INTERVAL:
        return fn_bool(ret, true);
    default:
        return fn_bool(ret, fn_timestamp_finite(arg[0].i));
    }
}

/* ---- now ------------------------------------------------------------------------------------------------------------------------ */

FN_IMPL(now) {
    FN_UNUSED;
    return fn_int(ret, env->now_us);
}

FN_IMPL(statement_now) {
    FN_UNUSED;
    return fn_int(ret, env->statement_us);
}

FN_IMPL(clock_now) {
    FN_UNUSED;
    if (!env->clock_us)
        return err_sql(err, "0A000", "clock_timestamp() cannot be used here");
    return fn_int(ret, env->clock_us(env->ctx));
}

static const struct fn fns[] = {
    FN(1026, "timezone", NULL, STRICT, COL_TIMESTAMP, at_zone, COL_INTERVAL, COL_TIMESTAMPTZ),
    FN(1158, "to_timestamp", NULL, STRICT, COL_TIMESTAMPTZ, from_epoch, COL_FLOAT8),
    FN(1159, "timezone", NULL, STRICT, COL_TIMESTAMP, at_zone, COL_TEXT, COL_TIMESTAMPTZ),
    FN(1171, "date_part", NULL, STRICT | STABLE, COL_FLOAT8, date_part, COL_TEXT, COL_TIMESTAMPTZ),
    FN(1172, "date_part", NULL, STRICT, COL_FLOAT8, date_part, COL_TEXT, COL_INTERVAL),
    FN(1199, "age", NULL, STRICT, COL_INTERVAL, age_of_two, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(1217, "date_trunc", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, date_trunc, COL_TEXT, COL_TIMESTAMPTZ),
    FN(1218, "date_trunc", NULL, STRICT, COL_INTERVAL, interval_trunc, COL_TEXT, COL_INTERVAL),
    FN(1284, "date_trunc", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, date_trunc_zone, COL_TEXT, COL_TIMESTAMPTZ,
       COL_TEXT),
    FN(1299, "now", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, now),
    FN(1373, "isfinite", NULL, STRICT, COL_BOOL, is_finite, COL_DATE),
    FN(1384, "date_part", NULL, STRICT, COL_FLOAT8, date_part, COL_TEXT, COL_DATE),
    FN(1385, "date_part", NULL, STRICT, COL_FLOAT8, date_part, COL_TEXT, COL_TIME),
    FN(1386, "age", NULL, STRICT | STABLE, COL_INTERVAL, age_today, COL_TIMESTAMPTZ),
    FN(1389, "isfinite", NULL, STRICT, COL_BOOL, is_finite, COL_TIMESTAMPTZ),
    FN(1390, "isfinite", NULL, STRICT, COL_BOOL, is_finite, COL_INTERVAL),
    FN(2020, "date_trunc", NULL, STRICT, COL_TIMESTAMP, date_trunc, COL_TEXT, COL_TIMESTAMP),
    FN(2021, "date_part", NULL, STRICT, COL_FLOAT8, date_part, COL_TEXT, COL_TIMESTAMP),
    FN(2048, "isfinite", NULL, STRICT, COL_BOOL, is_finite, COL_TIMESTAMP),
    FN(2058, "age", NULL, STRICT, COL_INTERVAL, age_of_two, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(2059, "age", NULL, STRICT | STABLE, COL_INTERVAL, age_today, COL_TIMESTAMP),
    FN(2069, "timezone", NULL, STRICT, COL_TIMESTAMPTZ, at_zone, COL_TEXT, COL_TIMESTAMP),
    FN(2070, "timezone", NULL, STRICT, COL_TIMESTAMPTZ, at_zone, COL_INTERVAL, COL_TIMESTAMP),
    FN(2647, "transaction_timestamp", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, now),
    FN(2648, "statement_timestamp", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, statement_now),
    FN(2649, "clock_timestamp", NULL, STRICT | VOLATILE, COL_TIMESTAMPTZ, clock_now),
    FN(3461, "make_timestamp", NULL, STRICT, COL_TIMESTAMP, make_timestamp, COL_INT4, COL_INT4, COL_INT4, COL_INT4,
       COL_INT4, COL_FLOAT8),
    FN(3462, "make_timestamptz", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, make_timestamp, COL_INT4, COL_INT4, COL_INT4,
       COL_INT4, COL_INT4, COL_FLOAT8),
    FN(3463, "make_timestamptz", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, make_timestamp, COL_INT4, COL_INT4, COL_INT4,
       COL_INT4, COL_INT4, COL_FLOAT8, COL_TEXT),
    FN(3464, "make_interval", NULL, STRICT, COL_INTERVAL, make_interval, COL_INT4, COL_INT4, COL_INT4, COL_INT4,
       COL_INT4, COL_INT4, COL_FLOAT8),
    FN(3846, "make_date", NULL, STRICT, COL_DATE, make_date, COL_INT4, COL_INT4, COL_INT4),
    FN(3847, "make_time", NULL, STRICT, COL_TIME, make_time, COL_INT4, COL_INT4, COL_FLOAT8),
    FN(6177, "date_bin", NULL, STRICT, COL_TIMESTAMP, date_bin, COL_INTERVAL, COL_TIMESTAMP, COL_TIMESTAMP),
    FN(6178, "date_bin", NULL, STRICT, COL_TIMESTAMPTZ, date_bin, COL_INTERVAL, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ),
    FN(6199, "extract", NULL, STRICT, COL_NUMERIC, extract, COL_TEXT, COL_DATE),
    FN(6200, "extract", NULL, STRICT, COL_NUMERIC, extract, COL_TEXT, COL_TIME),
    FN(6202, "extract", NULL, STRICT, COL_NUMERIC, extract, COL_TEXT, COL_TIMESTAMP),
    FN(6203, "extract", NULL, STRICT | STABLE, COL_NUMERIC, extract, COL_TEXT, COL_TIMESTAMPTZ),
    FN(6204, "extract", NULL, STRICT, COL_NUMERIC, extract, COL_TEXT, COL_INTERVAL),
};

const struct fn_table fn_table_time_part = {fns, ARRAY_LEN(fns)};
