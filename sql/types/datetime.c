/* SPDX-License-Identifier: Apache-2.0 */
/* datetime.c: the calendar, and printing. */
#include "sql/types/datetime.h"

#include <stdlib.h>

#define US INT64_C(1000000)

enum { DAYS_400_YEARS = 146097, DAYS_TO_2000_03_01 = 60, YEARS_MAX = 10000000 };

/* Days are counted from March 1st of a year divisible by 400, so that February's end is the year's. */
int64_t civil_to_days(int64_t year, int month, int day) {
    CHECK(month >= 1 && month <= 12 && year >= -YEARS_MAX && year <= YEARS_MAX);
    int64_t y = year - (month <= 2) + 100 * (int64_t)YEARS_MAX - 2000; /* positive, and a multiple of 400 away */
    int64_t era = y / 400, of_era = y % 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t of_era_days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return (era - 100 * (int64_t)YEARS_MAX / 400) * DAYS_400_YEARS + of_era_days + DAYS_TO_2000_03_01;
}

struct civil civil_from_days(int64_t days) {
    int64_t d = days - DAYS_TO_2000_03_01;
    int64_t era = d / DAYS_400_YEARS - (d % DAYS_400_YEARS < 0);
    int64_t of_era = d - era * DAYS_400_YEARS;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    struct civil c = {.day = (int)(of_year - (153 * m + 2) / 5 + 1), .month = (int)(m < 10 ? m + 3 : m - 9)};
    c.year = 2000 + era * 400 + y + (c.month <= 2);
    return c;
}

int civil_month_days(int64_t year, int month) {
    static const int length[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return length[month - 1] + (leap && month == 2);
}

int64_t time_round(int64_t us, int fraction) {
    static const int64_t units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    int64_t unit = units[fraction], half = unit / 2;
    if (unit == 1 || us > INT64_MAX - half || us < INT64_MIN + half)
        return us;
    return (us >= 0 ? us + half : us - half) / unit * unit;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

static void print_day(int64_t days, struct buf *out) {
    struct civil c = civil_from_days(days);
    long long year = (long long)(c.year > 0 ? c.year : 1 - c.year);
    buf_printf(out, "%04lld-%02d-%02d", year, c.month, c.day);
}

static void print_era(int64_t days, struct buf *out) {
    if (civil_from_days(days).year <= 0)
        buf_puts(out, " BC");
}

void date_print(int64_t days, struct buf *out) {
    if (days == COL_DATE_INF || days == COL_DATE_NEG_INF) {
        buf_puts(out, days == COL_DATE_INF ? "infinity" : "-infinity");
        return;
    }
    print_day(days, out);
    print_era(days, out);
}

/* ".5": no zeros at the end, and nothing of nothing. */
static void print_fraction(int64_t us, struct buf *out) {
    char digits[8];
    int n = 6;
    if (!us)
        return;
    for (int i = 5; i >= 0; i--, us /= 10)
        digits[i] = (char)('0' + us % 10);
    while (digits[n - 1] == '0')
        n--;
    buf_putc(out, '.');
    buf_put(out, digits, (size_t)n);
}

static void print_clock(int64_t us, struct buf *out) {
    int64_t s = us / US;
    buf_printf(out, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
    print_fraction(us % US, out);
}

void time_print(int64_t us, struct buf *out) {
    print_clock(us, out);
}

static void print_offset(int32_t offset, struct buf *out) {
    int32_t o = abs(offset);
    buf_printf(out, "%c%02d", offset < 0 ? '-' : '+', o / 3600);
    if (o % 3600)
        buf_printf(out, ":%02d", o / 60 % 60);
    if (o % 60)
        buf_printf(out, ":%02d", o % 60);
}

void timestamp_print(int64_t us, const struct zone *zone, struct buf *out) {
    if (us == COL_TS_INF || us == COL_TS_NEG_INF) {
        buf_puts(out, us == COL_TS_INF ? "infinity" : "-infinity");
        return;
    }
    int32_t offset = zone ? zone_offset(zone, us) : 0;
    us += offset * US; /* far from the end of int64: timestamps end at 9223371331200 s */
    int64_t days = us / COL_DAY_US - (us % COL_DAY_US < 0);
    print_day(days, out);
    buf_putc(out, ' ');
    print_clock(us - days * COL_DAY_US, out);
    if (zone)
        print_offset(offset, out);
    print_era(days, out);
}
