/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_char_parse.c: to_date and to_timestamp by a template.
 *
 * The patterns of fn_char.c are read in turn. Blanks before and behind a field do not count; a blank or a separator of the template
 * stands for one of the text, or for none; another character for any one. A number takes as many digits as its pattern has letters,
 * or all that are there if something that is no digit follows in the template. What comes behind the last pattern is not looked at.
 *
 * Not taken: FX, TH, weeks (WW, W, IW), ISO years, Roman months, centuries, time zones; they are 0A000.
 */
#include <string.h>
#include <strings.h>

#include "sql/functions/fn_char.h"
#include "sql/functions/fn_time.h"

enum { YEAR_MAX = 5874897 };

struct reader {
    const char *s, *end;   /* the text */
    const char *f, *f_end; /* the template */
    int skipped;           /* more blanks than the template had */
    int64_t year, month, day, day_of_year, julian, hour, minute, second, us, second_of_day;
    int precision; /* digits of a second that are kept; 0: all */
    bool has_year, has_doy, has_julian, has_ssss, twelve, pm, am, bc;
};

static bool blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool separator(char c) {
    return c > 0x20 && c < 0x7f && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z');
}

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

static void skip_blanks(struct reader *r, bool count) {
    for (; r->s < r->end && blank(*r->s); r->s++)
        r->skipped += count;
}

/* Does something other than digits follow in the template? */
static bool open_ended(const struct reader *r) {
    struct fn_char_pattern p;
    if (r->f == r->f_end)
        return true;
    return !fn_char_next(r->f, r->f_end, &p) || !fn_char_is_number(p.pattern);
}

static enum rc too_short(const struct fn_char_pattern *p, int want, int have, struct err *err) {
    err_sql(err, "22007", "source string too short for \"%s\" formatting field", p->text);
    err_detail(err, "Field requires %d characters, but only %d remain.", want, have);
    err_hint(err, "If your source string is not fixed-width, try using the \"FM\" modifier.");
    return RC_SQL;
}

static enum rc invalid(const struct fn_char_pattern *p, const char *s, int n, const char *detail, struct err *err) {
    err_sql(err, "22007", "invalid value \"%.*s\" for \"%s\"", n, s, p->text);
    err_detail(err, "%s", detail);
    return RC_SQL;
}

static enum rc read_number(struct reader *r, const struct fn_char_pattern *p, int width, int64_t *ret, int *ret_digits,
                           struct err *err) {
    skip_blanks(r, false);
    const char *from = r->s;
    bool all = p->fill_mode || open_ended(r), neg = false;
    int left = (int)(r->end - r->s), n = 0;
    int64_t v = 0;
    if (!all && left < width)
        return too_short(p, width, left, err);
    if (r->s < r->end && (*r->s == '-' || *r->s == '+') && (all || width > 1)) {
        neg = *r->s++ == '-';
        width--;
    }
    for (; r->s < r->end && digit(*r->s) && (all || n < width); n++, r->s++) {
        v = v * 10 + (*r->s - '0');
        if (v > INT32_MAX) {
            err_sql(err, "22008", "value for \"%s\" in source string is out of range", p->text);
            return RC_SQL;
        }
    }
    if (n == 0)
        return invalid(p, from, all ? (left < width ? left : width) : width, "Value must be an integer.", err);
    if (!all && n < width) {
        err_sql(err, "22007", "invalid value \"%.*s\" for \"%s\"", width, from, p->text);
        err_detail(err, "Field requires %d characters, but only %d could be parsed.", width, n);
        err_hint(err, "If your source string is not fixed-width, try using the \"FM\" modifier.");
        return RC_SQL;
    }
    *ret = neg ? -v : v;
    *ret_digits = n;
    return RC_OK;
}

/* One of the names, the whole or its first letters. */
static enum rc read_name(struct reader *r, const struct fn_char_pattern *p, const char *const *names, int n,
                         int letters, int64_t *ret, struct err *err) {
    skip_blanks(r, false);
    for (int i = 0; i < n; i++) {
        size_t len = letters ? (size_t)letters : strlen(names[i]);
        if ((size_t)(r->end - r->s) >= len && strncasecmp(r->s, names[i], len) == 0) {
            r->s += len;
            *ret = i;
            return RC_OK;
        }
    }
    int left = (int)(r->end - r->s), shown = 0;
    while (shown < left && !blank(r->s[shown]))
        shown++;
    return invalid(p, r->s, shown, "The given value did not match any of the allowed values for this field.", err);
}

static int64_t near_2020(int64_t year, int digits) {
    if (digits >= 4 || year < 0)
        return year;
    if (year < 70)
        return year + 2000;
    if (year < 100)
        return year + 1900;
    return year < 520 ? year + 2000 : year < 1000 ? year + 1000 : year;
}

static enum rc read_fraction(struct reader *r, const struct fn_char_pattern *p, int digits, struct err *err) {
    int64_t v = 0;
    int n = 0;
    enum rc rc = read_number(r, p, digits, &v, &n, err);
    for (int i = n; i < 6; i++)
        v *= 10;
    for (int i = n; i > 6; i--)
        v /= 10;
    r->us = v;
    return rc;
}

static enum rc read_half(struct reader *r, const struct fn_char_pattern *p, struct err *err) {
    static const char *const plain[] = {"AM", "PM"}, *const dots[] = {"A.M.", "P.M."};
    int64_t i = 0;
    enum rc rc = read_name(r, p, p->pattern == P_AM ? plain : dots, 2, 0, &i, err);
    r->pm = i == 1;
    r->am = i == 0;
    r->twelve = true;
    return rc;
}

static enum rc read_era(struct reader *r, const struct fn_char_pattern *p, struct err *err) {
    static const char *const plain[] = {"AD", "BC"}, *const dots[] = {"A.D.", "B.C."};
    int64_t i = 0;
    enum rc rc = read_name(r, p, p->pattern == P_AD ? plain : dots, 2, 0, &i, err);
    r->bc = i == 1;
    return rc;
}

static enum rc read_field(struct reader *r, const struct fn_char_pattern *p, struct err *err) {
    int n;
    int64_t unused;
    enum rc rc;
    switch (p->pattern) {
    case P_YYYY:
    case P_YYY:
    case P_YY:
    case P_Y: {
        int width = p->pattern == P_YYYY ? 4 : p->pattern == P_YYY ? 3 : p->pattern == P_YY ? 2 : 1;
        rc = read_number(r, p, width, &r->year, &n, err);
        r->has_year = true;
        if (!rc && p->pattern != P_YYYY)
            r->year = near_2020(r->year, n);
        return rc;
    }
    case P_MM:
        return read_number(r, p, 2, &r->month, &n, err);
    case P_MON:
    case P_MONTH:
        rc = read_name(r, p, fn_char_months, 12, p->pattern == P_MON ? 3 : 0, &r->month, err);
        r->month++;
        return rc;
    case P_DAY:
    case P_DY:
        return read_name(r, p, fn_char_days, 7, p->pattern == P_DY ? 3 : 0, &unused, err);
    case P_DD:
        return read_number(r, p, 2, &r->day, &n, err);
    case P_DDD:
        r->has_doy = true;
        return read_number(r, p, 3, &r->day_of_year, &n, err);
    case P_J:
        r->has_julian = true;
        return read_number(r, p, 7, &r->julian, &n, err);
    case P_HH:
        r->twelve = true;
        return read_number(r, p, 2, &r->hour, &n, err);
    case P_HH24:
        return read_number(r, p, 2, &r->hour, &n, err);
    case P_MI:
        return read_number(r, p, 2, &r->minute, &n, err);
    case P_SS:
        return read_number(r, p, 2, &r->second, &n, err);
    case P_SSSS:
        r->has_ssss = true;
        return read_number(r, p, 5, &r->second_of_day, &n, err);
    case P_MS:
        return read_fraction(r, p, 3, err);
    case P_US:
        return read_fraction(r, p, 6, err);
    case P_FF:
        r->precision = p->digits;
        return read_fraction(r, p, p->digits, err);
    case P_AM:
    case P_AM_DOTS:
        return read_half(r, p, err);
    case P_AD:
    case P_AD_DOTS:
        return read_era(r, p, err);
    default:
        return err_set(err, RC_UNSUPPORTED, "reading \"%s\" by a format is not supported", p->text);
    }
}

static enum rc read_all(struct reader *r, struct err *err) {
    enum rc rc = RC_OK;
    while (r->f < r->f_end && r->s < r->end && !rc) {
        struct fn_char_pattern p;
        if (fn_char_next(r->f, r->f_end, &p)) {
            if (p.ordinal || p.exact)
                return err_set(err, RC_UNSUPPORTED, "a format with FX or TH is not supported here");
            r->f += p.bytes;
            skip_blanks(r, true);
            if (r->s == r->end)
                break;
            rc = read_field(r, &p, err);
            r->skipped = 0;
            skip_blanks(r, true);
            continue;
        }
        char c = *r->f++;
        if (c == '"') {
            for (; r->f < r->f_end && *r->f != '"'; r->f++) {
                if (r->skipped > 0)
                    r->skipped--;
                else if (r->s < r->end)
                    r->s++;
            }
            r->f += r->f < r->f_end;
        } else if (blank(c) || separator(c)) {
            r->skipped--;
            if (r->s < r->end && (blank(*r->s) || separator(*r->s))) {
                r->s++;
                r->skipped++;
            }
        } else if (r->skipped > 0) {
            r->skipped--;
        } else if (r->s < r->end) {
            r->s++;
        }
    }
    return rc;
}

static enum rc out_of_range(const struct value *text, struct err *err) {
    return err_sql(err, "22008", "date/time field value out of range: \"%.*s\"",
                   (int)(text->bytes < 200 ? text->bytes : 200), (const char *)text->p);
}

static enum rc half_day(struct reader *r, struct err *err) {
    if (!r->twelve)
        return RC_OK;
    if (r->hour < 1 || r->hour > 12) {
        err_sql(err, "22007", "hour \"%lld\" is invalid for the 12-hour clock", (long long)r->hour);
        err_hint(err, "Use the 24-hour clock, or give an hour between 1 and 12.");
        return RC_SQL;
    }
    if (r->pm && r->hour < 12)
        r->hour += 12;
    else if (!r->pm && r->hour == 12)
        r->hour = 0;
    return RC_OK;
}

/* The day and the microseconds of it that the text says. */
static enum rc read_time(const struct value *text, const struct value *format, int64_t *ret_days, int64_t *ret_us,
                         struct err *err) {
    struct reader r = {.s = text->p, .f = format->p, .month = 1, .day = 1};
    r.end = r.s + text->bytes;
    r.f_end = r.f + format->bytes;
    enum rc rc = read_all(&r, err);
    if (!rc && r.has_ssss) {
        r.hour = r.second_of_day / 3600;
        r.minute = r.second_of_day / 60 % 60;
        r.second = r.second_of_day % 60;
    }
    if (!rc)
        rc = half_day(&r, err);
    if (rc)
        return rc;
    if (r.has_year && r.year < 0) {
        r.year = -r.year;
        r.bc = !r.bc;
    }
    /* zeros are as if they had not been there */
    r.month = r.month ? r.month : 1;
    r.day = r.day ? r.day : 1;
    if (r.year > YEAR_MAX)
        return err_sql(err, "22008", "date out of range: \"%.*s\"", (int)(text->bytes < 200 ? text->bytes : 200),
                       (const char *)text->p);
    int64_t year = r.has_year ? (r.bc ? 1 - r.year : r.year) : 0;
    bool ok = r.month >= 1 && r.month <= 12 && r.day >= 1 && r.hour >= 0 && r.hour <= 23 && r.minute >= 0 &&
              r.minute <= 59 && r.second >= 0 && r.second <= 59 && r.us >= 0 && r.us < FN_US;
    if (ok && r.has_doy)
        ok = r.day_of_year >= 1 && r.day_of_year <= 365 + (civil_month_days(year, 2) == 29);
    else if (ok)
        ok = r.day <= civil_month_days(year, (int)r.month);
    if (!ok)
        return out_of_range(text, err);
    *ret_days = r.has_julian ? r.julian - 2451545
                : r.has_doy  ? civil_to_days(year, 1, 1) + r.day_of_year - 1
                             : civil_to_days(year, (int)r.month, (int)r.day);
    *ret_us = ((r.hour * 60 + r.minute) * 60 + r.second) * FN_US + r.us;
    if (r.precision)
        *ret_us = time_round(*ret_us, r.precision);
    return RC_OK;
}

FN_IMPL(to_date) {
    int64_t days = 0, us;
    struct col date = col_of(COL_DATE);
    FN_UNUSED;
    enum rc rc = read_time(&arg[0], &arg[1], &days, &us, err);
    *ret = value_int(days);
    if (!rc && col_check(&date, ret, NULL))
        rc = err_sql(err, "22008", "date out of range: \"%.*s\"", (int)(arg[0].bytes < 200 ? arg[0].bytes : 200),
                     (const char *)arg[0].p);
    return rc;
}

FN_IMPL(to_timestamp) {
    int64_t days = 0, us = 0, ts = 0;
    FN_UNUSED;
    enum rc rc = read_time(&arg[0], &arg[1], &days, &us, err);
    if (!rc)
        rc = fn_timestamp_of(days, us, env->types->zone, &ts, err);
    *ret = value_int(ts);
    return rc;
}

static const struct fn fns[] = {
    FN(1778, "to_timestamp", NULL, STRICT | STABLE, COL_TIMESTAMPTZ, to_timestamp, COL_TEXT, COL_TEXT),
    FN(1780, "to_date", NULL, STRICT | STABLE, COL_DATE, to_date, COL_TEXT, COL_TEXT),
};

const struct fn_table fn_table_char_parse = {fns, ARRAY_LEN(fns)};
