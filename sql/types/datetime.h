/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datetime.h: dates, times, timestamps and intervals as text, in PostgreSQL's forms.
 *
 * Promise     Printing is DateStyle ISO and IntervalStyle postgres. Reading takes what psql, drivers and people send: ISO 8601
 *             with and without separators, "Jan 8, 1999", "8-Jan-1999", "1/8/1999" (MDY), "J2451187", BC and AD, AM and PM,
 *             offsets, zone names and the usual abbreviations, infinity, epoch, now, today, tomorrow, yesterday, allballs;
 *             intervals of all three styles. Same values and same SQLSTATEs as PostgreSQL 15 (a test compares); what is not
 *             taken is 22007, never a guess.
 * Relies on   zone.h. The session says what time and zone it is.
 * Threads     any.
 * Source      PostgreSQL 15's manual, 8.5 "Date/Time Types" and appendix B.
 *
 * Values are those of shard/store/value.h: days or microseconds since 2000-01-01.
 */
#ifndef MERIDIAN_SQL_TYPES_DATETIME_H
#define MERIDIAN_SQL_TYPES_DATETIME_H

#include "shard/store/value.h"
#include "sql/types/zone.h"
#include "truetime/base/buf.h"

enum interval_style { INTERVAL_POSTGRES, INTERVAL_VERBOSE, INTERVAL_STANDARD, INTERVAL_ISO };

/* What reading and printing need to know of a session. */
struct type_session {
    const struct zone *zone; /* TimeZone; never NULL */
    int64_t now;             /* start of the transaction, microseconds since 2000-01-01 UTC */
    bool bytea_escape;       /* bytea_output = escape */
    enum interval_style interval_style;
    /* A zone by its name (lower case may differ from the file's), or NULL. May be NULL: no names are known. */
    const struct zone *(*find_zone)(void *ctx, const char *name);
    void *ctx;
};

struct civil {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month, day;
};

/* Any year within +-10,000,000. */
int64_t civil_to_days(int64_t year, int month, int day);
struct civil civil_from_days(int64_t days);
int civil_month_days(int64_t year, int month);

enum rc date_parse(const struct type_session *s, const char *text, size_t bytes, int64_t *ret,
                   struct err *err) MUST_CHECK;
/* fraction: digits of a second that are kept, 0 .. 6; the rest is rounded. */
enum rc time_parse(const struct type_session *s, const char *text, size_t bytes, int fraction, int64_t *ret,
                   struct err *err) MUST_CHECK;
enum rc timestamp_parse(const struct type_session *s, const char *text, size_t bytes, bool with_zone, int fraction,
                        int64_t *ret, struct err *err) MUST_CHECK;

void date_print(int64_t days, struct buf *out);
void time_print(int64_t us, struct buf *out);
/* zone: of a timestamptz; NULL: a timestamp. */
void timestamp_print(int64_t us, const struct zone *zone, struct buf *out);

/* Half away from zero, to that many digits of a second. */
int64_t time_round(int64_t us, int fraction);

struct interval {
    int64_t us;
    int32_t days, months;
};

enum { INTERVAL_BYTES = 16 };

/* typmod as in struct col: fields and digits that are kept. */
enum rc interval_parse(const char *text, size_t bytes, int32_t typmod, struct interval *ret,
                       struct err *err) MUST_CHECK;
void interval_print(const struct interval *i, struct buf *out);
void interval_print_style(const struct interval *i, enum interval_style style, struct buf *out);
/* The stored form, which is also PostgreSQL's binary one. */
void interval_store(const struct interval *i, uint8_t to[static INTERVAL_BYTES]);
struct interval interval_load(const void *p);
enum rc interval_limit(struct interval *i, int32_t typmod, struct err *err) MUST_CHECK;
/* As PostgreSQL orders them: a month is 30 days, a day 24 hours. */
int interval_compare(const struct interval *a, const struct interval *b);

#endif
