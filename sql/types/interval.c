/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interval.c: a text is read as pairs of number and unit, as hh:mm:ss, as years-months, or in ISO 8601's form with
 * designators. Fractions go down to the next smaller field that has a fixed size, through doubles as in PostgreSQL, so that
 * the same digits are lost.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/types/datetime.h"
#include "sql/types/real.h"

#define US INT64_C(1000000)
#define MINUTE_US (60 * US)
#define HOUR_US (60 * MINUTE_US)

enum { TEXT_BYTES_MAX = 256, SHOWN_BYTES = 128, PIECES_MAX = 25, UNIT_CHARS = 10, MONTHS = 12, MONTH_DAYS = 30 };

enum bad { BAD_NOT, BAD_FORMAT, BAD_RANGE };

enum unit {
    UNIT_NONE,
    UNIT_MICROSECOND,
    UNIT_MILLISECOND,
    UNIT_SECOND,
    UNIT_MINUTE,
    UNIT_HOUR,
    UNIT_DAY,
    UNIT_WEEK,
    UNIT_MONTH,
    UNIT_YEAR,
    UNIT_DECADE,
    UNIT_CENTURY,
    UNIT_MILLENNIUM,
    UNIT_AGO,
};

/* The first ten letters count, as in PostgreSQL. */
static const struct unit_word {
    char text[UNIT_CHARS + 1];
    uint8_t unit;
} unit_words[] = {
    {"us", UNIT_MICROSECOND},
    {"usec", UNIT_MICROSECOND},
    {"usecs", UNIT_MICROSECOND},
    {"usecond", UNIT_MICROSECOND},
    {"useconds", UNIT_MICROSECOND},
    {"microsecon", UNIT_MICROSECOND},
    {"ms", UNIT_MILLISECOND},
    {"msec", UNIT_MILLISECOND},
    {"msecs", UNIT_MILLISECOND},
    {"msecond", UNIT_MILLISECOND},
    {"mseconds", UNIT_MILLISECOND},
    {"millisecon", UNIT_MILLISECOND},
    {"s", UNIT_SECOND},
    {"sec", UNIT_SECOND},
    {"secs", UNIT_SECOND},
    {"second", UNIT_SECOND},
    {"seconds", UNIT_SECOND},
    {"m", UNIT_MINUTE},
    {"min", UNIT_MINUTE},
    {"mins", UNIT_MINUTE},
    {"minute", UNIT_MINUTE},
    {"minutes", UNIT_MINUTE},
    {"h", UNIT_HOUR},
    {"hr", UNIT_HOUR},
    {"hrs", UNIT_HOUR},
    {"hour", UNIT_HOUR},
    {"hours", UNIT_HOUR},
    {"d", UNIT_DAY},
    {"day", UNIT_DAY},
    {"days", UNIT_DAY},
    {"w", UNIT_WEEK},
    {"week", UNIT_WEEK},
    {"weeks", UNIT_WEEK},
    {"mon", UNIT_MONTH},
    {"mons", UNIT_MONTH},
    {"month", UNIT_MONTH},
    {"months", UNIT_MONTH},
    {"y", UNIT_YEAR},
    {"yr", UNIT_YEAR},
    {"yrs", UNIT_YEAR},
    {"year", UNIT_YEAR},
    {"years", UNIT_YEAR},
    {"dec", UNIT_DECADE},
    {"decs", UNIT_DECADE},
    {"decade", UNIT_DECADE},
    {"decades", UNIT_DECADE},
    {"c", UNIT_CENTURY},
    {"cent", UNIT_CENTURY},
    {"century", UNIT_CENTURY},
    {"centuries", UNIT_CENTURY},
    {"mil", UNIT_MILLENNIUM},
    {"mils", UNIT_MILLENNIUM},
    {"millennia", UNIT_MILLENNIUM},
    {"millennium", UNIT_MILLENNIUM},
    {"ago", UNIT_AGO},
};

/* Which fields of an interval there are, in the upper half of its typmod: bits by PostgreSQL's numbers of them. */
enum {
    FIELD_MONTH = 1 << 1,
    FIELD_YEAR = 1 << 2,
    FIELD_DAY = 1 << 3,
    FIELD_HOUR = 1 << 10,
    FIELD_MINUTE = 1 << 11,
    FIELD_SECOND = 1 << 12,
    FIELDS_ALL = 0x7fff,
    FRACTION_ALL = 0xffff
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

/* ---- adding up --------------------------------------------------------------------------------------------------- */

struct sum {
    int32_t years, months, days;
    int64_t us;
    unsigned seen; /* bits of enum unit: each may be given once */
};

static enum bad add_us(struct sum *s, int64_t n, int64_t scale) {
    int64_t us;
    if (__builtin_mul_overflow(n, scale, &us) || __builtin_add_overflow(s->us, us, &s->us))
        return BAD_RANGE;
    return BAD_NOT;
}

static enum bad add32(int32_t *to, int64_t n, int32_t scale) {
    int64_t r;
    if (__builtin_mul_overflow(n, (int64_t)scale, &r) || __builtin_add_overflow((int64_t)*to, r, &r) || r < INT32_MIN ||
        r > INT32_MAX)
        return BAD_RANGE;
    *to = (int32_t)r;
    return BAD_NOT;
}

/* A part of a unit of that many microseconds, to the nearest. */
static enum bad add_part_us(struct sum *s, double part, int64_t scale) {
    if (part == 0)
        return BAD_NOT;
    part *= (double)scale;
    int64_t us = (int64_t)part; /* |part| < 1 at first, so it fits */
    part -= (double)us;
    if (part > 0.5)
        us++;
    else if (part < -0.5)
        us--;
    return __builtin_add_overflow(s->us, us, &s->us) ? BAD_RANGE : BAD_NOT;
}

static enum bad add_part_days(struct sum *s, double part, int scale) {
    part *= scale;
    int whole = (int)part;
    enum bad bad = add32(&s->days, whole, 1);
    return bad ? bad : add_part_us(s, part - whole, COL_DAY_US);
}

static enum bad add_part_years(struct sum *s, double part, int scale) {
    return add32(&s->months, (int64_t)rint(part * scale * MONTHS), 1);
}

static enum bad add(struct sum *s, enum unit u, int64_t n, double part) {
    static const int years[] = {[UNIT_YEAR] = 1, [UNIT_DECADE] = 10, [UNIT_CENTURY] = 100, [UNIT_MILLENNIUM] = 1000};
    static const int64_t us[] = {[UNIT_MICROSECOND] = 1,
                                 [UNIT_MILLISECOND] = 1000,
                                 [UNIT_SECOND] = US,
                                 [UNIT_MINUTE] = MINUTE_US,
                                 [UNIT_HOUR] = HOUR_US};
    unsigned bits = 1u << u;
    enum bad bad;
    if (u == UNIT_SECOND && part != 0)
        bits |= 1u << UNIT_MILLISECOND | 1u << UNIT_MICROSECOND;
    if (s->seen & bits)
        return BAD_FORMAT;
    s->seen |= bits;
    switch (u) {
    case UNIT_MICROSECOND:
    case UNIT_MILLISECOND:
    case UNIT_SECOND:
    case UNIT_MINUTE:
    case UNIT_HOUR:
        bad = add_us(s, n, us[u]);
        return bad ? bad : add_part_us(s, part, us[u]);
    case UNIT_DAY:
        bad = add32(&s->days, n, 1);
        return bad ? bad : add_part_us(s, part, COL_DAY_US);
    case UNIT_WEEK:
        bad = add32(&s->days, n, 7);
        return bad ? bad : add_part_days(s, part, 7);
    case UNIT_MONTH:
        bad = add32(&s->months, n, 1);
        return bad ? bad : add_part_days(s, part, MONTH_DAYS);
    case UNIT_YEAR:
    case UNIT_DECADE:
    case UNIT_CENTURY:
    case UNIT_MILLENNIUM:
        bad = add32(&s->years, n, years[u]);
        return bad ? bad : add_part_years(s, part, years[u]);
    case UNIT_NONE:
    case UNIT_AGO:
        break;
    }
    return BAD_FORMAT;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* A number, a time with colons, or a word, in place. */
struct piece {
    enum { PIECE_NUMBER, PIECE_TIME, PIECE_WORD } kind;
    const char *p;
    size_t n;
};

static enum bad cut(const char *p, const char *end, struct piece *v, size_t *ret_n) {
    size_t n = 0;
    while (p < end) {
        if (is_blank(*p) || *p == '@') {
            p++;
            continue;
        }
        if (n == PIECES_MAX)
            return BAD_FORMAT;
        struct piece *w = &v[n++];
        *w = (struct piece){.p = p};
        if (is_letter(*p)) {
            w->kind = PIECE_WORD;
            while (p < end && is_letter(*p))
                p++;
        } else if (is_digit(*p) || *p == '+' || *p == '-' || *p == '.') {
            w->kind = PIECE_NUMBER;
            if (!is_digit(*p) && *p != '.') {
                p++;
                while (p < end && is_blank(*p)) /* "- 1 day" */
                    p++;
            }
            for (; p < end && (is_digit(*p) || *p == '.' || *p == ':' || (*p == '-' && is_digit(p[-1]))); p++)
                if (*p == ':')
                    w->kind = PIECE_TIME;
        } else
            return BAD_FORMAT;
        w->n = (size_t)(p - w->p);
        if (p < end && *p == ',')
            return BAD_FORMAT;
    }
    *ret_n = n;
    return n ? BAD_NOT : BAD_FORMAT;
}

/* Digits to an int64; false: there are none. Too large: *ret_bad. */
static bool whole(const char **p, const char *end, int64_t *ret, enum bad *ret_bad) {
    const char *from = *p;
    int64_t v = 0;
    for (; *p < end && is_digit(**p); (*p)++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **p - '0', &v))
            *ret_bad = BAD_RANGE;
    *ret = v;
    return *p > from;
}

/* ".5" as a double. */
static enum bad part_of(const char **p, const char *end, double *ret) {
    const char *from = *p;
    (*p)++;
    while (*p < end && is_digit(**p))
        (*p)++;
    *ret = 0;
    if (*p - from > 1 && real_parse(from, (size_t)(*p - from), REAL_FLOAT8, ret, NULL))
        *ret = 0; /* so small that no field shows it */
    return BAD_NOT;
}

static bool sign_of(const char **p, const char *end) {
    bool neg = **p == '-';
    if (**p == '-' || **p == '+')
        (*p)++;
    while (*p < end && is_blank(**p))
        (*p)++;
    return neg;
}

/* h:m, h:m:s, h:m:s.f; m:s.f; m:s where only those fields are wanted. */
static enum bad time_piece(struct sum *s, const struct piece *w, int fields) {
    const char *p = w->p, *end = p + w->n;
    bool neg = sign_of(&p, end);
    int64_t part[3] = {0, 0, 0}, us = 0, total;
    double f = 0;
    int n = 0;
    enum bad bad = BAD_NOT;
    while (n < 3) {
        if (!whole(&p, end, &part[n++], &bad) || bad)
            return bad ? bad : BAD_FORMAT;
        if (p == end || *p != ':')
            break;
        p++;
    }
    bool point = p < end && *p == '.';
    if (point) {
        part_of(&p, end, &f);
        us = (int64_t)rint(f * 1e6);
    }
    if (p != end || n < 2)
        return BAD_FORMAT;
    if (n == 2 && (point || fields == (FIELD_MINUTE | FIELD_SECOND))) {
        part[2] = part[1];
        part[1] = part[0];
        part[0] = 0;
    }
    if (part[1] > 59 || part[2] > 60)
        return BAD_RANGE;
    unsigned bits = 1u << UNIT_HOUR | 1u << UNIT_MINUTE | 1u << UNIT_SECOND;
    if (s->seen & bits)
        return BAD_FORMAT;
    s->seen |= bits;
    if (__builtin_mul_overflow(part[0], HOUR_US, &total) ||
        __builtin_add_overflow(total, part[1] * MINUTE_US + part[2] * US + us, &total))
        return BAD_RANGE;
    return add_us(s, neg ? -total : total, 1);
}

static enum bad number_piece(struct sum *s, const struct piece *w, enum unit u) {
    const char *p = w->p, *end = p + w->n;
    bool neg = sign_of(&p, end);
    int64_t n = 0, months;
    double part = 0;
    enum bad bad = BAD_NOT;
    bool any = whole(&p, end, &n, &bad);
    if (bad)
        return bad;
    if (any && p < end && *p == '-') { /* years-months */
        p++;
        if (!whole(&p, end, &months, &bad) || p != end)
            return BAD_FORMAT;
        if (bad || months >= MONTHS)
            return BAD_RANGE;
        if (__builtin_mul_overflow(n, MONTHS, &n) || __builtin_add_overflow(n, months, &n))
            return BAD_RANGE;
        return add(s, UNIT_MONTH, neg ? -n : n, 0);
    }
    if (p < end && *p == '.') {
        any |= p + 1 < end;
        part_of(&p, end, &part);
    }
    if (!any || p != end)
        return BAD_FORMAT;
    return add(s, u, neg ? -n : n, neg ? -part : part);
}

static enum unit unit_of(const struct piece *w) {
    size_t n = w->n < UNIT_CHARS ? w->n : UNIT_CHARS;
    for (size_t i = 0; i < ARRAY_LEN(unit_words); i++)
        if (strlen(unit_words[i].text) == n && strncasecmp(unit_words[i].text, w->p, n) == 0)
            return (enum unit)unit_words[i].unit;
    return UNIT_NONE;
}

/* The unit of a number that has none, at the end of the text. */
static enum unit last_unit(int fields) {
    if (fields == FIELD_YEAR)
        return UNIT_YEAR;
    if (fields == FIELD_MONTH || fields == (FIELD_YEAR | FIELD_MONTH))
        return UNIT_MONTH;
    if (fields == FIELD_DAY)
        return UNIT_DAY;
    if (fields == FIELD_HOUR || fields == (FIELD_DAY | FIELD_HOUR))
        return UNIT_HOUR;
    if (fields == FIELD_MINUTE || fields == (FIELD_HOUR | FIELD_MINUTE) ||
        fields == (FIELD_DAY | FIELD_HOUR | FIELD_MINUTE))
        return UNIT_MINUTE;
    return UNIT_SECOND;
}

static bool negate(struct sum *s) {
    if (s->us == INT64_MIN || s->days == INT32_MIN || s->months == INT32_MIN || s->years == INT32_MIN)
        return false;
    s->us = -s->us;
    s->days = -s->days;
    s->months = -s->months;
    s->years = -s->years;
    return true;
}

/* From right to left, since units stand behind their numbers. */
static enum bad read_words(struct sum *s, const char *p, const char *end, int fields) {
    struct piece v[PIECES_MAX];
    size_t n;
    enum bad bad = cut(p, end, v, &n);
    enum unit u = UNIT_NONE;
    bool ago = false, unit_open = false;
    for (size_t i = n; !bad && i-- > 0;) {
        switch (v[i].kind) {
        case PIECE_TIME:
            bad = unit_open ? BAD_FORMAT : time_piece(s, &v[i], fields);
            u = UNIT_DAY; /* "4 05:06" */
            break;
        case PIECE_NUMBER:
            u = u ? u : last_unit(fields);
            bad = number_piece(s, &v[i], u);
            if (u == UNIT_HOUR)
                u = UNIT_DAY; /* "1 2 hours" */
            unit_open = false;
            break;
        case PIECE_WORD:
            if (unit_open)
                return BAD_FORMAT;
            u = unit_of(&v[i]);
            unit_open = u != UNIT_AGO;
            if (u == UNIT_NONE || (u == UNIT_AGO && (ago || i + 1 != n)))
                return BAD_FORMAT;
            if (u == UNIT_AGO) {
                ago = true;
                u = UNIT_NONE;
            }
            break;
        }
    }
    if (!bad && (unit_open || !s->seen))
        return BAD_FORMAT;
    if (!bad && ago && !negate(s))
        return BAD_RANGE;
    return bad;
}

/* P1Y2M3W4DT5H6M7.8S */
static enum bad read_iso(struct sum *s, const char *p, const char *end) {
    bool time = false;
    if (p == end || *p++ != 'P' || p == end)
        return BAD_FORMAT;
    while (p < end) {
        if (*p == 'T') {
            if (time)
                return BAD_FORMAT;
            p++;
            time = true;
            continue;
        }
        bool neg = *p == '-';
        int64_t n = 0;
        double part = 0;
        enum bad bad = BAD_NOT;
        if (*p == '-' || *p == '+')
            p++;
        bool any = whole(&p, end, &n, &bad);
        if (p < end && *p == '.')
            part_of(&p, end, &part);
        if (bad)
            return bad;
        if (!any || p == end)
            return BAD_FORMAT;
        static const char day_units[] = "YMWD", time_units[] = "HMS";
        static const uint8_t days[] = {UNIT_YEAR, UNIT_MONTH, UNIT_WEEK, UNIT_DAY};
        static const uint8_t times[] = {UNIT_HOUR, UNIT_MINUTE, UNIT_SECOND};
        const char *at = memchr(time ? time_units : day_units, *p++, time ? 3 : 4);
        if (!at)
            return BAD_FORMAT;
        enum unit u = (enum unit)(time ? times[at - time_units] : days[at - day_units]);
        if ((bad = add(s, u, neg ? -n : n, neg ? -part : part)))
            return bad;
    }
    return BAD_NOT;
}

enum rc interval_limit(struct interval *i, int32_t typmod, struct err *err) {
    if (typmod < 0)
        return RC_OK;
    int fields = typmod >> 16, fraction = typmod & FRACTION_ALL;
    (void)err;
    if (fields == FIELD_YEAR)
        *i = (struct interval){.months = i->months / MONTHS * MONTHS};
    else if (fields == FIELD_MONTH || fields == (FIELD_YEAR | FIELD_MONTH))
        *i = (struct interval){.months = i->months};
    else if (fields == FIELD_DAY)
        i->us = 0;
    else if (fields == FIELD_HOUR || fields == (FIELD_DAY | FIELD_HOUR))
        i->us = i->us / HOUR_US * HOUR_US;
    else if (fields == FIELD_MINUTE || fields == (FIELD_DAY | FIELD_HOUR | FIELD_MINUTE) ||
             fields == (FIELD_HOUR | FIELD_MINUTE))
        i->us = i->us / MINUTE_US * MINUTE_US;
    if (fraction <= COL_FRACTION_MAX)
        i->us = time_round(i->us, fraction);
    return RC_OK;
}

enum rc interval_parse(const char *text, size_t bytes, int32_t typmod, struct interval *ret, struct err *err) {
    struct sum s = {.years = 0};
    int fields = typmod < 0 ? FIELDS_ALL : typmod >> 16;
    int shown = bytes < SHOWN_BYTES ? (int)bytes : SHOWN_BYTES;
    enum bad bad = BAD_FORMAT;
    if (bytes <= TEXT_BYTES_MAX)
        bad = bytes && *text == 'P' ? read_iso(&s, text, text + bytes) : read_words(&s, text, text + bytes, fields);
    if (bad == BAD_RANGE)
        return err_sql(err, "22015", "interval field value out of range: \"%.*s\"", shown, text);
    if (bad)
        return err_sql(err, "22007", "invalid input syntax for type interval: \"%.*s\"", shown, text);
    int64_t months = (int64_t)s.years * MONTHS + s.months;
    if (months < INT32_MIN || months > INT32_MAX)
        return err_sql(err, "22008", "interval out of range");
    struct interval i = {s.us, s.days, (int32_t)months};
    enum rc rc = interval_limit(&i, typmod, err);
    if (!rc)
        *ret = i;
    return rc;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* A field that is positive after a negative one has a plus. */
static void print_field(struct buf *out, int64_t n, const char *unit, bool *first, bool *negative) {
    if (!n)
        return;
    buf_printf(out, "%s%s%lld %s%s", *first ? "" : " ", *negative && n > 0 ? "+" : "", (long long)n, unit,
               n == 1 ? "" : "s");
    *negative = n < 0;
    *first = false;
}

void interval_print(const struct interval *i, struct buf *out) {
    bool first = true, negative = false;
    print_field(out, i->months / MONTHS, "year", &first, &negative);
    print_field(out, i->months % MONTHS, "mon", &first, &negative);
    print_field(out, i->days, "day", &first, &negative);
    if (!first && !i->us)
        return;
    uint64_t us = i->us < 0 ? -(uint64_t)i->us : (uint64_t)i->us;
    buf_printf(out, "%s%s%02llu:%02d:%02d", first ? "" : " ",
               i->us < 0  ? "-"
               : negative ? "+"
                          : "",
               (unsigned long long)(us / (uint64_t)HOUR_US), (int)(us / (uint64_t)MINUTE_US % 60),
               (int)(us / (uint64_t)US % 60));
    char digits[8];
    int n = 6;
    uint64_t f = us % (uint64_t)US;
    if (!f)
        return;
    for (int k = 5; k >= 0; k--, f /= 10)
        digits[k] = (char)('0' + f % 10);
    while (digits[n - 1] == '0')
        n--;
    buf_putc(out, '.');
    buf_put(out, digits, (size_t)n);
}

/* ---- the other styles -------------------------------------------------------------------------------------------------- */

/* The parts of an interval: all of one sign where they come from one number. */
struct parts {
    int64_t year, month, day, hour, minute, second, fraction;
};

static struct parts parts_of(const struct interval *i) {
    return (struct parts){.year = i->months / MONTHS,
                          .month = i->months % MONTHS,
                          .day = i->days,
                          .hour = i->us / HOUR_US,
                          .minute = i->us / MINUTE_US % 60,
                          .second = i->us / US % 60,
                          .fraction = i->us % US};
}

/* Seconds without their sign. */
static void print_seconds(const struct parts *p, int width, struct buf *out) {
    long long f = llabs(p->fraction);
    char digits[8];
    buf_printf(out, "%0*lld", width, (long long)llabs(p->second));
    if (!f)
        return;
    snprintf(digits, sizeof digits, "%06lld", f);
    for (size_t n = 6; digits[n - 1] == '0';)
        digits[--n] = '\0';
    buf_printf(out, ".%s", digits);
}

/* "@ 1 day 2 hours ago": the first part's sign is everybody's, others show theirs against it. */
static void print_verbose(const struct parts *p, struct buf *out) {
    const struct {
        int64_t n;
        const char *unit;
    } part[] = {{p->year, "year"}, {p->month, "mon"}, {p->day, "day"}, {p->hour, "hour"}, {p->minute, "min"}};
    bool zero = true, before = false;
    buf_puts(out, "@");
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        if (!part[i].n)
            continue;
        if (zero)
            before = part[i].n < 0;
        long long n = before ? -part[i].n : part[i].n;
        buf_printf(out, " %lld %s%s", n, part[i].unit, n == 1 ? "" : "s");
        zero = false;
    }
    if (p->second || p->fraction) {
        bool negative = p->second < 0 || p->fraction < 0;
        if (zero)
            before = negative;
        buf_puts(out, negative != before ? " -" : " ");
        print_seconds(p, 1, out);
        buf_puts(out, llabs(p->second) != 1 || p->fraction ? " secs" : " sec");
        zero = false;
    }
    buf_puts(out, zero ? " 0" : "");
    buf_puts(out, before ? " ago" : "");
}

static void print_iso(const struct parts *p, struct buf *out) {
    const struct {
        int64_t n;
        char unit;
    } date[] = {{p->year, 'Y'}, {p->month, 'M'}, {p->day, 'D'}}, clock[] = {{p->hour, 'H'}, {p->minute, 'M'}};
    size_t before = out->len;
    buf_puts(out, "P");
    for (size_t i = 0; i < ARRAY_LEN(date); i++)
        if (date[i].n)
            buf_printf(out, "%lld%c", (long long)date[i].n, date[i].unit);
    bool seconds = p->second || p->fraction;
    if (p->hour || p->minute || seconds)
        buf_puts(out, "T");
    for (size_t i = 0; i < ARRAY_LEN(clock); i++)
        if (clock[i].n)
            buf_printf(out, "%lld%c", (long long)clock[i].n, clock[i].unit);
    if (seconds) {
        buf_puts(out, p->second < 0 || p->fraction < 0 ? "-" : "");
        print_seconds(p, 1, out);
        buf_puts(out, "S");
    }
    if (out->len == before + 1)
        buf_puts(out, "T0S");
}

/* SQL knows years and months, or days and a time, of one sign; what is neither shows the sign of each of the three. */
static void print_standard(const struct interval *i, struct parts p, struct buf *out) {
    bool negative = i->months < 0 || i->days < 0 || i->us<0, positive = i->months> 0 || i->days > 0 || i->us > 0;
    bool long_part = i->months != 0, short_part = i->days != 0 || i->us != 0;
    long long year = llabs(p.year), month = llabs(p.month), day = llabs(p.day), hour = llabs(p.hour),
              minute = llabs(p.minute);
    if (!negative && !positive) {
        buf_puts(out, "0");
        return;
    }
    if ((negative && positive) || (long_part && short_part)) {
        buf_printf(out, "%c%lld-%lld %c%lld %c%lld:%02lld:", i->months < 0 ? '-' : '+', year, month,
                   i->days < 0 ? '-' : '+', day, i->us < 0 ? '-' : '+', hour, minute);
        print_seconds(&p, 2, out);
        return;
    }
    buf_puts(out, negative ? "-" : "");
    if (long_part) {
        buf_printf(out, "%lld-%lld", year, month);
        return;
    }
    if (day)
        buf_printf(out, "%lld ", day);
    buf_printf(out, "%lld:%02lld:", hour, minute);
    print_seconds(&p, 2, out);
}

void interval_print_style(const struct interval *i, enum interval_style style, struct buf *out) {
    struct parts p = parts_of(i);
    switch (style) {
    case INTERVAL_VERBOSE:
        print_verbose(&p, out);
        break;
    case INTERVAL_STANDARD:
        print_standard(i, p, out);
        break;
    case INTERVAL_ISO:
        print_iso(&p, out);
        break;
    case INTERVAL_POSTGRES:
    default:
        interval_print(i, out);
    }
}

void interval_store(const struct interval *i, uint8_t to[static INTERVAL_BYTES]) {
    set_u64be(to, (uint64_t)i->us);
    set_u32be(to + 8, (uint32_t)i->days);
    set_u32be(to + 12, (uint32_t)i->months);
}

struct interval interval_load(const void *p) {
    const uint8_t *b = p;
    return (struct interval){(int64_t)get_u64be(b), (int32_t)get_u32be(b + 8), (int32_t)get_u32be(b + 12)};
}

int interval_compare(const struct interval *a, const struct interval *b) {
    __int128 x = ((__int128)a->months * MONTH_DAYS + a->days) * COL_DAY_US + a->us;
    __int128 y = ((__int128)b->months * MONTH_DAYS + b->days) * COL_DAY_US + b->us;
    return x < y ? -1 : x > y;
}
