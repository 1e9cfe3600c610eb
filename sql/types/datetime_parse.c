/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datetime_parse.c: a text is cut into pieces (numbers, dates with separators, times with colons, words, offsets), each of
 * which fills fields of `struct fields`; at the end the fields are checked together. What a lone number means depends on what
 * is there already, as it does for people.
 */
#include <string.h>
#include <strings.h>

#include "sql/types/datetime.h"

#define US INT64_C(1000000)
#define TS_MIN INT64_C(-211813488000000000) /* 4714-11-24 BC */
#define TS_END INT64_C(9223371331200000000) /* 294277-01-01 */

enum {
    TEXT_BYTES_MAX = 128, /* what is longer is no date; PostgreSQL's limit is about that */
    SHOWN_BYTES = TEXT_BYTES_MAX,
    JULIAN_2000 = 2451545,
    DATE_MIN = -JULIAN_2000,
    DATE_END = 2145031949,
    YEAR_MAX = 5874898,
};

/* What went wrong; the caller knows the type's name and the text. */
enum bad { BAD_NOT, BAD_FORMAT, BAD_FIELD, BAD_MONTH_OR_DAY, BAD_OFFSET, BAD_ZONE };

enum special { SPECIAL_NONE, SPECIAL_INF, SPECIAL_NEG_INF, SPECIAL_EPOCH, SPECIAL_NOW };

struct fields {
    const struct type_session *s;
    enum special special;
    bool has_year, has_month, has_day, month_named, has_time, has_zone, after_t, pm, am, bc, julian, today;
    int64_t year, days;                           /* days: of a julian date and of today's */
    int64_t month, day, hour, minute, second, us; /* as they were written */
    int year_digits;
    int32_t offset;          /* has_zone: seconds east */
    const struct zone *zone; /* has_zone, by name */
    char zone_name[ZONE_NAME_BYTES];
};

struct cursor {
    const char *p, *end;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Ten digits; more are too large for any field and stay so. */
static int64_t number(const char *p, size_t n) {
    int64_t v = 0;
    for (size_t i = 0; i < n; i++)
        if (v < 1000000000)
            v = v * 10 + (p[i] - '0');
    return v;
}

static size_t run_of_digits(struct cursor *c) {
    const char *from = c->p;
    while (c->p < c->end && is_digit(*c->p))
        c->p++;
    return (size_t)(c->p - from);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

enum word_kind {
    WORD_IGNORED,
    WORD_MONTH,
    WORD_AM_PM,
    WORD_ERA,
    WORD_ZONE,
    WORD_INF,
    WORD_EPOCH,
    WORD_NOW,
    WORD_DAY,      /* today and its neighbours */
    WORD_ALLBALLS, /* midnight UTC */
    WORD_JULIAN,
    WORD_T,
};

static const struct word {
    char text[10];
    uint8_t kind;
    int32_t value;
} words[] = {
    {"january", WORD_MONTH, 1},
    {"jan", WORD_MONTH, 1},
    {"february", WORD_MONTH, 2},
    {"feb", WORD_MONTH, 2},
    {"march", WORD_MONTH, 3},
    {"mar", WORD_MONTH, 3},
    {"april", WORD_MONTH, 4},
    {"apr", WORD_MONTH, 4},
    {"may", WORD_MONTH, 5},
    {"june", WORD_MONTH, 6},
    {"jun", WORD_MONTH, 6},
    {"july", WORD_MONTH, 7},
    {"jul", WORD_MONTH, 7},
    {"august", WORD_MONTH, 8},
    {"aug", WORD_MONTH, 8},
    {"september", WORD_MONTH, 9},
    {"sept", WORD_MONTH, 9},
    {"sep", WORD_MONTH, 9},
    {"october", WORD_MONTH, 10},
    {"oct", WORD_MONTH, 10},
    {"november", WORD_MONTH, 11},
    {"nov", WORD_MONTH, 11},
    {"december", WORD_MONTH, 12},
    {"dec", WORD_MONTH, 12},
    {"sunday", WORD_IGNORED, 0},
    {"sun", WORD_IGNORED, 0},
    {"monday", WORD_IGNORED, 0},
    {"mon", WORD_IGNORED, 0},
    {"tuesday", WORD_IGNORED, 0},
    {"tues", WORD_IGNORED, 0},
    {"tue", WORD_IGNORED, 0},
    {"wednesday", WORD_IGNORED, 0},
    {"weds", WORD_IGNORED, 0},
    {"wed", WORD_IGNORED, 0},
    {"thursday", WORD_IGNORED, 0},
    {"thurs", WORD_IGNORED, 0},
    {"thur", WORD_IGNORED, 0},
    {"thu", WORD_IGNORED, 0},
    {"friday", WORD_IGNORED, 0},
    {"fri", WORD_IGNORED, 0},
    {"saturday", WORD_IGNORED, 0},
    {"sat", WORD_IGNORED, 0},
    {"on", WORD_IGNORED, 0},
    {"at", WORD_IGNORED, 0},
    {"am", WORD_AM_PM, 0},
    {"pm", WORD_AM_PM, 1},
    {"ad", WORD_ERA, 0},
    {"bc", WORD_ERA, 1},
    {"infinity", WORD_INF, 0},
    {"epoch", WORD_EPOCH, 0},
    {"now", WORD_NOW, 0},
    {"today", WORD_DAY, 0},
    {"tomorrow", WORD_DAY, 1},
    {"yesterday", WORD_DAY, -1},
    {"allballs", WORD_ALLBALLS, 0},
    {"j", WORD_JULIAN, 0},
    {"jd", WORD_JULIAN, 0},
    {"julian", WORD_JULIAN, 0},
    {"t", WORD_T, 0},
    {"z", WORD_ZONE, 0},
    {"zulu", WORD_ZONE, 0},
    {"utc", WORD_ZONE, 0},
    {"ut", WORD_ZONE, 0},
    {"uct", WORD_ZONE, 0},
    {"gmt", WORD_ZONE, 0},
    {"wet", WORD_ZONE, 0},
    {"west", WORD_ZONE, 3600},
    {"bst", WORD_ZONE, 3600},
    {"cet", WORD_ZONE, 3600},
    {"met", WORD_ZONE, 3600},
    {"cest", WORD_ZONE, 7200},
    {"mest", WORD_ZONE, 7200},
    {"eet", WORD_ZONE, 7200},
    {"eest", WORD_ZONE, 10800},
    {"msk", WORD_ZONE, 10800},
    {"jst", WORD_ZONE, 32400},
    {"kst", WORD_ZONE, 32400},
    {"aest", WORD_ZONE, 36000},
    {"aedt", WORD_ZONE, 39600},
    {"nzst", WORD_ZONE, 43200},
    {"nzdt", WORD_ZONE, 46800},
    {"ast", WORD_ZONE, -14400},
    {"adt", WORD_ZONE, -10800},
    {"est", WORD_ZONE, -18000},
    {"edt", WORD_ZONE, -14400},
    {"cst", WORD_ZONE, -21600},
    {"cdt", WORD_ZONE, -18000},
    {"mst", WORD_ZONE, -25200},
    {"mdt", WORD_ZONE, -21600},
    {"pst", WORD_ZONE, -28800},
    {"pdt", WORD_ZONE, -25200},
    {"akst", WORD_ZONE, -32400},
    {"akdt", WORD_ZONE, -28800},
    {"hst", WORD_ZONE, -36000},
};

static const struct word *find_word(const char *p, size_t n) {
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strlen(words[i].text) == n && strncasecmp(words[i].text, p, n) == 0)
            return &words[i];
    return NULL;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static enum bad set_month(struct fields *f, int64_t month) {
    if (f->has_month)
        return BAD_FORMAT;
    f->has_month = true;
    f->month = month;
    return BAD_NOT;
}

static enum bad set_day(struct fields *f, int64_t day) {
    if (f->has_day)
        return BAD_FORMAT;
    f->has_day = true;
    f->day = day;
    return BAD_NOT;
}

static enum bad set_year(struct fields *f, int64_t year, size_t digits) {
    if (f->has_year)
        return BAD_FORMAT;
    f->has_year = true;
    f->year = year;
    f->year_digits = digits > 9 ? 9 : (int)digits;
    return BAD_NOT;
}

/* A number of a date: the first may be a year; beside a month's name it is the day; else month, day, year. */
static enum bad date_number(struct fields *f, const char *p, size_t n) {
    int64_t v = number(p, n);
    if (!f->has_year && n >= 3)
        return set_year(f, v, n);
    if (!f->has_month)
        return set_month(f, v);
    if (!f->has_day)
        return set_day(f, v);
    return set_year(f, v, n);
}

/* "1999-01-08", "1/8/1999", "8-Jan-1999": two or three parts with the same separator between them. */
static enum bad date_piece(struct fields *f, struct cursor *c, char separator) {
    const char *from = c->p;
    int parts = 0;
    enum bad bad;
    /* a month's name anywhere decides what the numbers are: it is taken first */
    for (struct cursor s = *c; s.p < s.end && (is_digit(*s.p) || is_letter(*s.p) || *s.p == separator); s.p++)
        if (is_letter(*s.p) && (s.p == from || !is_letter(s.p[-1]))) {
            const char *word = s.p;
            size_t n = 0;
            while (word + n < s.end && is_letter(word[n]))
                n++;
            const struct word *w = find_word(word, n);
            if (w && w->kind == WORD_MONTH) {
                if ((bad = set_month(f, w->value)))
                    return bad;
                f->month_named = true;
            }
        }
    for (;;) {
        const char *p = c->p;
        size_t n = run_of_digits(c);
        if (n) {
            if ((bad = date_number(f, p, n)))
                return bad;
        } else {
            while (c->p < c->end && is_letter(*c->p))
                c->p++;
            const struct word *w = find_word(p, (size_t)(c->p - p));
            if (!w || w->kind != WORD_MONTH)
                return BAD_FORMAT;
        }
        parts++;
        if (c->p == c->end || *c->p != separator)
            break;
        if (parts == 3)
            return BAD_FORMAT;
        c->p++;
    }
    return parts >= 2 && !f->has_time ? BAD_NOT : BAD_FORMAT;
}

/* Digits behind the point of a second, as microseconds: the nearest, ties to even. */
static int64_t fraction_us(const char *p, size_t n) {
    int64_t us = 0;
    for (size_t i = 0; i < 6; i++)
        us = us * 10 + (i < n ? p[i] - '0' : 0);
    if (n <= 6)
        return us;
    bool more = false;
    for (size_t i = 7; i < n; i++)
        more |= p[i] != '0';
    int next = p[6] - '0';
    return us + (next > 5 || (next == 5 && (more || us % 2)));
}

static void fraction_piece(struct fields *f, struct cursor *c) {
    if (c->p == c->end || *c->p != '.')
        return;
    const char *p = ++c->p;
    f->us = fraction_us(p, run_of_digits(c));
}

/* "hh:mm", "hh:mm:ss", "hh:mm:ss.ffffff", "mm:ss.ffffff": the digits of the hour are read already. */
static enum bad time_piece(struct fields *f, struct cursor *c, int64_t hour) {
    if (f->has_time)
        return BAD_FORMAT;
    f->has_time = true;
    c->p++;
    const char *p = c->p;
    size_t n = run_of_digits(c); /* "04:" is 04:00, as for PostgreSQL */
    int64_t minute = number(p, n), second = 0;
    if (c->p < c->end && *c->p == '.') { /* mm:ss.f */
        second = minute;
        minute = hour;
        hour = 0;
        fraction_piece(f, c);
    } else if (c->p < c->end && *c->p == ':') {
        p = ++c->p;
        n = run_of_digits(c);
        second = number(p, n);
        fraction_piece(f, c);
    }
    f->hour = hour;
    f->minute = minute;
    f->second = second;
    return BAD_NOT;
}

static enum bad compact_time(struct fields *f, struct cursor *c, const char *p, size_t n) {
    if (f->has_time)
        return BAD_FORMAT;
    f->has_time = true;
    f->hour = number(p, 2);
    f->minute = number(p + 2, 2);
    f->second = n == 6 ? number(p + 4, 2) : 0;
    if (n == 6)
        fraction_piece(f, c);
    return BAD_NOT;
}

static bool has_date(const struct fields *f) {
    return (f->has_year && f->has_month && f->has_day) || f->julian || f->today;
}

/* Digits without a separator behind them. */
static enum bad number_piece(struct fields *f, struct cursor *c, const char *p, size_t n, bool want_time) {
    enum bad bad;
    bool time_next = f->after_t || has_date(f) || want_time;
    if (time_next && (n == 6 || (n == 4 && (f->after_t || want_time))))
        return compact_time(f, c, p, n);
    if (c->p < c->end && *c->p == '.')
        return BAD_FORMAT;
    if (has_date(f))
        return BAD_FORMAT;
    if (!f->has_year && !f->has_month && !f->has_day && (n == 6 || n >= 8)) {
        size_t y = n - 4; /* YYMMDD, YYYYMMDD */
        if ((bad = set_year(f, number(p, y), y)) || (bad = set_month(f, number(p + y, 2))))
            return bad;
        return set_day(f, number(p + y + 2, 2));
    }
    if (f->month_named || f->has_month || f->has_day || f->has_year || n <= 4)
        return f->month_named || n <= 4 ? date_number(f, p, n) : BAD_FORMAT;
    return BAD_FORMAT;
}

/* "+05", "-0530", "+05:30:15" */
static enum bad offset_piece(struct fields *f, struct cursor *c) {
    bool west = *c->p++ == '-';
    while (c->p < c->end && is_blank(*c->p))
        c->p++;
    const char *p = c->p;
    size_t n = run_of_digits(c);
    int64_t h = 0, m = 0, s = 0;
    if (!n)
        return BAD_FORMAT;
    if (c->p < c->end && *c->p == ':') {
        h = number(p, n);
        p = ++c->p;
        n = run_of_digits(c);
        m = number(p, n);
        if (c->p < c->end && *c->p == ':') {
            p = ++c->p;
            s = number(p, run_of_digits(c));
        }
    } else if (n <= 2) {
        h = number(p, n);
    } else if (n <= 6) {
        size_t hours = n <= 4 ? n - 2 : n - 4;
        h = number(p, hours);
        m = number(p + hours, 2);
        s = n > 4 ? number(p + hours + 2, 2) : 0;
    } else
        return BAD_OFFSET;
    if (h > 15 || m > 59 || s > 59)
        return BAD_OFFSET;
    if (f->has_zone && !f->zone && f->offset == 0) { /* "UTC+5": not a form that we take */
        return BAD_FORMAT;
    }
    f->has_zone = true;
    f->offset = (int32_t)((h * 60 + m) * 60 + s);
    f->offset = west ? -f->offset : f->offset;
    return BAD_NOT;
}

static enum bad zone_piece(struct fields *f, const char *p, size_t n) {
    if (n >= sizeof f->zone_name)
        return BAD_FORMAT;
    for (size_t i = 0; i < n; i++)
        f->zone_name[i] = lower(p[i]);
    f->zone_name[n] = 0;
    const struct zone *z = f->s->find_zone ? f->s->find_zone(f->s->ctx, f->zone_name) : NULL;
    if (!z)
        return memchr(p, '/', n) ? BAD_ZONE : BAD_FORMAT;
    if (f->has_zone)
        return BAD_FORMAT;
    f->has_zone = true;
    f->zone = z;
    return BAD_NOT;
}

static int64_t floor_day(int64_t us) {
    return us / COL_DAY_US - (us % COL_DAY_US < 0);
}

static enum bad word_piece(struct fields *f, struct cursor *c) {
    const char *p = c->p;
    while (c->p < c->end && is_letter(*c->p))
        c->p++;
    size_t n = (size_t)(c->p - p);
    /* a zone's name goes on: America/New_York, Etc/GMT+5 */
    if (c->p < c->end && (*c->p == '/' || *c->p == '_')) {
        while (c->p < c->end && !is_blank(*c->p) && *c->p != ',')
            c->p++;
        return zone_piece(f, p, (size_t)(c->p - p));
    }
    const struct word *w = find_word(p, n);
    if (!w)
        return zone_piece(f, p, n);
    enum bad bad;
    switch ((enum word_kind)w->kind) {
    case WORD_IGNORED:
        if (c->p < c->end && *c->p == '.')
            c->p++;
        return BAD_NOT;
    case WORD_MONTH:
        /* "1/8/1999" is read before a name, "8 Jan": the number was taken for the month */
        if (f->has_month && !f->month_named && !f->has_day) {
            f->has_day = true;
            f->day = f->month;
            f->has_month = false;
        }
        if ((bad = set_month(f, w->value)))
            return bad;
        f->month_named = true;
        if (c->p < c->end && (*c->p == '.' || *c->p == '-'))
            c->p++;
        return BAD_NOT;
    case WORD_AM_PM:
        if (f->am || f->pm)
            return BAD_FORMAT;
        f->am = !w->value;
        f->pm = w->value;
        return BAD_NOT;
    case WORD_ERA:
        f->bc = w->value;
        return BAD_NOT;
    case WORD_ZONE:
        if (f->has_zone)
            return BAD_FORMAT;
        f->has_zone = true;
        f->offset = w->value;
        return BAD_NOT;
    case WORD_INF:
        f->special = SPECIAL_INF;
        return BAD_NOT;
    case WORD_EPOCH:
        f->special = SPECIAL_EPOCH;
        return BAD_NOT;
    case WORD_NOW:
        f->special = SPECIAL_NOW;
        return BAD_NOT;
    case WORD_DAY:
        if (f->has_year || f->has_month || f->has_day || f->today)
            return BAD_FORMAT;
        f->today = true;
        f->days = floor_day(f->s->now + zone_offset(f->s->zone, f->s->now) * US) + w->value;
        return BAD_NOT;
    case WORD_ALLBALLS:
        if (f->has_time || f->has_zone)
            return BAD_FORMAT;
        f->has_time = f->has_zone = true;
        return BAD_NOT;
    case WORD_JULIAN: {
        const char *d = c->p;
        size_t digits = run_of_digits(c);
        if (!digits || f->has_year || f->has_month || f->has_day)
            return BAD_FORMAT;
        f->julian = true;
        f->days = number(d, digits) - JULIAN_2000;
        return BAD_NOT;
    }
    case WORD_T:
        if (f->after_t || c->p == c->end || !is_digit(*c->p))
            return BAD_FORMAT;
        f->after_t = true;
        return BAD_NOT;
    }
    return BAD_FORMAT;
}

/* Are n digits and what follows "040506-08" or "0405-08", and not "2003-04-12"? */
static bool time_with_offset(const struct cursor *c, size_t n) {
    struct cursor look = {c->p + 1, c->end};
    IGNORE(run_of_digits(&look)); /* only where they end */
    return n == 6 || (n == 4 && *c->p == '-' && (look.p == look.end || *look.p != '-'));
}

/* want_time: a lone number is a time (of type time). */
static enum bad read_pieces(struct fields *f, struct cursor c, bool want_time) {
    enum bad bad = BAD_FORMAT; /* of nothing */
    while (c.p < c.end) {
        if (is_blank(*c.p) || *c.p == ',') {
            c.p++;
            continue;
        }
        if (is_digit(*c.p)) {
            const char *p = c.p;
            size_t n = run_of_digits(&c);
            char after = c.p < c.end ? *c.p : 0;
            if (after == ':')
                bad = time_piece(f, &c, number(p, n));
            else if (!has_date(f) && !f->after_t && c.end - c.p > 1 && (after == '/' || after == '-' || after == '.') &&
                     (is_letter(c.p[1]) || is_digit(c.p[1])) && !(want_time && time_with_offset(&c, n))) {
                c.p = p;
                bad = date_piece(f, &c, after);
            } else
                bad = number_piece(f, &c, p, n, want_time);
        } else if (is_letter(*c.p)) {
            bad = word_piece(f, &c);
        } else if (*c.p == '+' || *c.p == '-') {
            if (*c.p == '-' && c.end - c.p > 1 && is_letter(c.p[1])) { /* -infinity */
                c.p++;
                bad = word_piece(f, &c);
                if (!bad && f->special != SPECIAL_INF)
                    bad = BAD_FORMAT;
                f->special = SPECIAL_NEG_INF;
            } else if (f->has_time || has_date(f))
                bad = offset_piece(f, &c);
            else
                bad = BAD_FORMAT;
        } else
            bad = BAD_FORMAT;
        if (bad)
            return bad;
    }
    return bad;
}

/* ---- fields together --------------------------------------------------------------------------------------------- */

static enum bad check_date(struct fields *f, int64_t *ret_days) {
    if (f->julian || f->today) {
        *ret_days = f->days;
        return BAD_NOT;
    }
    if (!f->has_year || !f->has_month || !f->has_day)
        return BAD_FORMAT;
    int64_t year = f->year;
    if (f->bc) {
        if (year <= 0)
            return BAD_FIELD;
        year = 1 - year;
    } else if (f->year_digits <= 2) {
        year += year < 70 ? 2000 : 1900;
    } else if (year == 0)
        return BAD_FIELD;
    if (f->month < 1 || f->month > 12 || f->day < 1 || f->day > 31)
        return BAD_MONTH_OR_DAY;
    if (f->day > civil_month_days(year, (int)f->month))
        return BAD_FIELD;
    if (year > YEAR_MAX || year < -4800)
        *ret_days = year > 0 ? INT32_MAX : INT32_MIN; /* out of any range */
    else
        *ret_days = civil_to_days(year, (int)f->month, (int)f->day);
    return BAD_NOT;
}

/* Microseconds of the day; 24:00:00 is the day's end. */
static enum bad check_time(struct fields *f, int64_t *ret_us) {
    *ret_us = 0;
    if (!f->has_time)
        return f->am || f->pm ? BAD_FORMAT : BAD_NOT;
    int64_t hour = f->hour;
    if ((f->am || f->pm) && (hour > 12))
        return BAD_FIELD;
    if (f->am && hour == 12)
        hour = 0;
    if (f->pm && hour != 12)
        hour += 12;
    if (hour > 24 || f->minute > 59 || f->second > 60)
        return BAD_FIELD;
    int64_t us = ((hour * 60 + f->minute) * 60 + f->second) * US + f->us;
    if (us > COL_DAY_US)
        return BAD_FIELD;
    *ret_us = us;
    return BAD_NOT;
}

static enum rc report(enum bad bad, const char *type, const char *text, size_t bytes, const char *zone,
                      struct err *err) {
    int n = bytes < SHOWN_BYTES ? (int)bytes : SHOWN_BYTES;
    switch (bad) {
    case BAD_NOT:
        return RC_OK;
    case BAD_FIELD:
        return err_sql(err, "22008", "date/time field value out of range: \"%.*s\"", n, text);
    case BAD_MONTH_OR_DAY:
        err_sql(err, "22008", "date/time field value out of range: \"%.*s\"", n, text);
        err_hint(err, "Perhaps you need a different \"datestyle\" setting.");
        return RC_SQL;
    case BAD_OFFSET:
        return err_sql(err, "22009", "time zone displacement out of range: \"%.*s\"", n, text);
    case BAD_ZONE:
        return err_sql(err, "22023", "time zone \"%s\" not recognized", zone);
    case BAD_FORMAT:
        break;
    }
    return err_sql(err, "22007", "invalid input syntax for type %s: \"%.*s\"", type, n, text);
}

static enum bad read_fields(struct fields *f, const struct type_session *s, const char *text, size_t bytes,
                            bool want_time) {
    *f = (struct fields){.s = s};
    if (bytes > TEXT_BYTES_MAX)
        return BAD_FORMAT;
    enum bad bad = read_pieces(f, (struct cursor){text, text + bytes}, want_time);
    bool alone = !f->has_year && !f->has_month && !f->has_day && !f->has_time && !f->julian && !f->today;
    if (!bad && f->special && !alone)
        bad = BAD_FORMAT;
    return bad;
}

enum rc date_parse(const struct type_session *s, const char *text, size_t bytes, int64_t *ret, struct err *err) {
    struct fields f;
    int64_t days = 0, us;
    enum bad bad = read_fields(&f, s, text, bytes, false);
    if (!bad && !f.special)
        bad = check_date(&f, &days);
    if (!bad && !f.special)
        bad = check_time(&f, &us);
    if (bad)
        return report(bad, "date", text, bytes, f.zone_name, err);
    switch (f.special) {
    case SPECIAL_INF:
    case SPECIAL_NEG_INF:
        *ret = f.special == SPECIAL_INF ? COL_DATE_INF : COL_DATE_NEG_INF;
        return RC_OK;
    case SPECIAL_EPOCH:
        *ret = civil_to_days(1970, 1, 1);
        return RC_OK;
    case SPECIAL_NOW:
        *ret = floor_day(s->now + zone_offset(s->zone, s->now) * US);
        return RC_OK;
    case SPECIAL_NONE:
        break;
    }
    if (days < DATE_MIN || days >= DATE_END)
        return err_sql(err, "22008", "date out of range: \"%.*s\"", (int)bytes, text);
    *ret = days;
    return RC_OK;
}

enum rc time_parse(const struct type_session *s, const char *text, size_t bytes, int fraction, int64_t *ret,
                   struct err *err) {
    struct fields f;
    int64_t us = 0, days;
    enum bad bad = read_fields(&f, s, text, bytes, true);
    if (!bad && f.special == SPECIAL_NOW) {
        int64_t local = s->now + zone_offset(s->zone, s->now) * US;
        us = local - floor_day(local) * COL_DAY_US;
    } else if (!bad && (f.special || !f.has_time))
        bad = BAD_FORMAT;
    else if (!bad) {
        bad = check_time(&f, &us);
        if (!bad && (f.has_year || f.has_month || f.has_day))
            bad = check_date(&f, &days);
    }
    if (bad)
        return report(bad, "time", text, bytes, f.zone_name, err);
    *ret = time_round(us, fraction);
    return RC_OK;
}

enum rc timestamp_parse(const struct type_session *s, const char *text, size_t bytes, bool with_zone, int fraction,
                        int64_t *ret, struct err *err) {
    const char *type = with_zone ? "timestamp with time zone" : "timestamp";
    struct fields f;
    int64_t days = 0, us = 0;
    enum bad bad = read_fields(&f, s, text, bytes, false);
    if (!bad && !f.special) {
        bad = check_date(&f, &days);
        if (!bad)
            bad = check_time(&f, &us);
    }
    if (bad)
        return report(bad, type, text, bytes, f.zone_name, err);
    int64_t r = 0;
    switch (f.special) {
    case SPECIAL_INF:
    case SPECIAL_NEG_INF:
        *ret = f.special == SPECIAL_INF ? COL_TS_INF : COL_TS_NEG_INF;
        return RC_OK;
    case SPECIAL_EPOCH:
        r = civil_to_days(1970, 1, 1) * COL_DAY_US;
        break;
    case SPECIAL_NOW:
        r = with_zone ? s->now : s->now + zone_offset(s->zone, s->now) * US;
        break;
    case SPECIAL_NONE:
        if (days < DATE_MIN - 1 || days > TS_END / COL_DAY_US + 1)
            return err_sql(err, "22008", "timestamp out of range: \"%.*s\"", (int)bytes, text);
        if (__builtin_mul_overflow(days, COL_DAY_US, &r) || __builtin_add_overflow(r, us, &r))
            return err_sql(err, "22008", "timestamp out of range: \"%.*s\"", (int)bytes, text);
        if (with_zone && f.has_zone && !f.zone)
            r -= f.offset * US;
        else if (with_zone)
            r = zone_instant(f.zone ? f.zone : s->zone, r, NULL);
        break;
    }
    r = time_round(r, fraction);
    if (r < TS_MIN || r >= TS_END)
        return err_sql(err, "22008", "timestamp out of range: \"%.*s\"", (int)bytes, text);
    *ret = r;
    return RC_OK;
}
