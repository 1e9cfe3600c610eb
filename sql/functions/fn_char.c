/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_char.c: to_char of dates and intervals.
 *
 * A template is a run of patterns, each maybe behind FM and before TH, and of other text, which stands for itself. Names are English
 * ones (TM asks for the locale's, which is C here).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sql/functions/fn_char.h"
#include "sql/functions/fn_time.h"

enum { NAME_PAD = 9, MONTHS = 12 };

enum letters { AS_UPPER, AS_LOWER, AS_NAME };

/* Longer ones before their beginnings. Case counts where words are printed. */
static const struct template {
    const char *text;
    enum fn_char_patterns pattern;
    enum letters letters;
    uint8_t digits; /* FF1 .. FF6 */
}
templates[] = {
    {"A.D.", P_AD_DOTS, AS_UPPER, 0}, {"a.d.", P_AD_DOTS, AS_LOWER, 0}, {"B.C.", P_AD_DOTS, AS_UPPER, 0},
    {"b.c.", P_AD_DOTS, AS_LOWER, 0}, {"A.M.", P_AM_DOTS, AS_UPPER, 0}, {"a.m.", P_AM_DOTS, AS_LOWER, 0},
    {"P.M.", P_AM_DOTS, AS_UPPER, 0}, {"p.m.", P_AM_DOTS, AS_LOWER, 0}, {"AD", P_AD, AS_UPPER, 0},
    {"ad", P_AD, AS_LOWER, 0},        {"BC", P_AD, AS_UPPER, 0},        {"bc", P_AD, AS_LOWER, 0},
    {"AM", P_AM, AS_UPPER, 0},        {"am", P_AM, AS_LOWER, 0},        {"PM", P_AM, AS_UPPER, 0},
    {"pm", P_AM, AS_LOWER, 0},        {"CC", P_CC, AS_UPPER, 0},        {"DAY", P_DAY, AS_UPPER, 0},
    {"Day", P_DAY, AS_NAME, 0},       {"day", P_DAY, AS_LOWER, 0},      {"DDD", P_DDD, AS_UPPER, 0},
    {"DD", P_DD, AS_UPPER, 0},        {"DY", P_DY, AS_UPPER, 0},        {"Dy", P_DY, AS_NAME, 0},
    {"dy", P_DY, AS_LOWER, 0},        {"D", P_D, AS_UPPER, 0},          {"FF1", P_FF, AS_UPPER, 1},
    {"FF2", P_FF, AS_UPPER, 2},       {"FF3", P_FF, AS_UPPER, 3},       {"FF4", P_FF, AS_UPPER, 4},
    {"FF5", P_FF, AS_UPPER, 5},       {"FF6", P_FF, AS_UPPER, 6},       {"HH24", P_HH24, AS_UPPER, 0},
    {"HH12", P_HH, AS_UPPER, 0},      {"HH", P_HH, AS_UPPER, 0},        {"IDDD", P_IDDD, AS_UPPER, 0},
    {"ID", P_ID, AS_UPPER, 0},        {"IW", P_IW, AS_UPPER, 0},        {"IYYY", P_IYYY, AS_UPPER, 0},
    {"IYY", P_IYY, AS_UPPER, 0},      {"IY", P_IY, AS_UPPER, 0},        {"I", P_I, AS_UPPER, 0},
    {"J", P_J, AS_UPPER, 0},          {"MI", P_MI, AS_UPPER, 0},        {"MM", P_MM, AS_UPPER, 0},
    {"MONTH", P_MONTH, AS_UPPER, 0},  {"Month", P_MONTH, AS_NAME, 0},   {"month", P_MONTH, AS_LOWER, 0},
    {"MON", P_MON, AS_UPPER, 0},      {"Mon", P_MON, AS_NAME, 0},       {"mon", P_MON, AS_LOWER, 0},
    {"MS", P_MS, AS_UPPER, 0},        {"OF", P_OF, AS_UPPER, 0},        {"Q", P_Q, AS_UPPER, 0},
    {"RM", P_RM, AS_UPPER, 0},        {"rm", P_RM, AS_LOWER, 0},        {"SSSSS", P_SSSS, AS_UPPER, 0},
    {"SSSS", P_SSSS, AS_UPPER, 0},    {"SS", P_SS, AS_UPPER, 0},        {"TZH", P_TZH, AS_UPPER, 0},
    {"TZM", P_TZM, AS_UPPER, 0},      {"TZ", P_TZ, AS_UPPER, 0},        {"tz", P_TZ, AS_LOWER, 0},
    {"US", P_US, AS_UPPER, 0},        {"WW", P_WW, AS_UPPER, 0},        {"W", P_W, AS_UPPER, 0},
    {"Y,YYY", P_Y_YYY, AS_UPPER, 0},  {"YYYY", P_YYYY, AS_UPPER, 0},    {"YYY", P_YYY, AS_UPPER, 0},
    {"YY", P_YY, AS_UPPER, 0},        {"Y", P_Y, AS_UPPER, 0},
};

const char *const fn_char_months[MONTHS] = {"January", "February", "March",     "April",   "May",      "June",
                                            "July",    "August",   "September", "October", "November", "December"};
const char *const fn_char_days[7] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const romans[MONTHS] = {"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"};

/* What is printed. */
struct moment {
    bool interval;
    int64_t year; /* as people count: 1 BC is -1; of an interval: years */
    int month;    /* 1 .. 12; of an interval: 0 .. 11 */
    int64_t day, hour, day_number, day_of_year, iso_year;
    int minute, second, us, weekday, iso_week;
    int32_t offset;
    const char *zone; /* NULL: none */
};

static int weekday_of(int64_t d) {
    int64_t r = (d + 6) % 7;
    return (int)(r < 0 ? r + 7 : r);
}

static int64_t iso_start(int64_t year) {
    int64_t fourth = civil_to_days(year, 1, 4);
    return fourth - (weekday_of(fourth) + 6) % 7;
}

static void take_clock(int64_t us, struct moment *m) {
    m->hour = us / (3600 * FN_US);
    m->minute = (int)(us / (60 * FN_US) % 60);
    m->second = (int)(us / FN_US % 60);
    m->us = (int)(us % FN_US);
}

static int64_t counted(int64_t year) {
    return year > 0 ? year : year - 1;
}

static void take_timestamp(const struct fn_env *env, int64_t ts, bool zoned, struct moment *m) {
    struct fn_clock c;
    fn_clock_of(ts, zoned ? env->types->zone : NULL, &c);
    *m = (struct moment){.year = counted(c.date.year), .month = c.date.month, .day = c.date.day};
    take_clock(c.us, m);
    m->day_number = c.days;
    m->weekday = weekday_of(c.days);
    m->day_of_year = c.days - civil_to_days(c.date.year, 1, 1) + 1;
    int64_t iso = c.date.year + (c.days >= iso_start(c.date.year + 1)) - (c.days < iso_start(c.date.year));
    m->iso_year = counted(iso);
    m->iso_week = (int)((c.days - iso_start(iso)) / 7 + 1);
    m->offset = c.offset;
    m->zone = zoned ? zone_name(env->types->zone) : NULL;
}

static void take_interval(const struct interval *i, struct moment *m) {
    *m = (struct moment){.interval = true, .year = i->months / MONTHS, .month = i->months % MONTHS, .day = i->days};
    take_clock(i->us, m);
    m->iso_year = m->year;
    m->day_of_year = (m->year * MONTHS + m->month) * 30 + m->day;
}

/* ---- printing ---------------------------------------------------------------------------------------------------------- */

/* width: digits, and one more for a sign, but for days; fill false: as short as it goes. */
static void put_number(struct buf *b, int64_t v, enum fn_char_patterns p, int width, bool fill) {
    bool sign = v < 0 && p != P_DD && p != P_DDD;
    buf_printf(b, "%0*lld", fill ? width + sign : 0, (long long)v);
}

static void put_word(struct buf *b, const char *word, size_t n, enum letters as, size_t width, bool fill) {
    for (size_t i = 0; i < n; i++) {
        bool upper = as == AS_UPPER || (as == AS_NAME && i == 0);
        uint8_t c = (uint8_t)word[i];
        buf_putc(b, (uint8_t)(upper ? fn_upper(c) : fn_lower(c)));
    }
    for (size_t i = n; i < width && fill; i++)
        buf_putc(b, ' ');
}

static void put_offset(struct buf *b, const struct moment *m, enum fn_char_patterns p, bool fill) {
    int32_t o = m->offset < 0 ? -m->offset : m->offset;
    char sign = m->offset < 0 ? '-' : '+';
    if (p == P_TZH) {
        buf_printf(b, "%c%02d", sign, o / 3600);
    } else if (p == P_TZM) {
        buf_printf(b, "%02d", o / 60 % 60);
    } else {
        buf_printf(b, "%c%0*d", sign, fill ? 2 : 0, o / 3600);
        if (o / 60 % 60)
            buf_printf(b, ":%02d", o / 60 % 60);
    }
}

static int64_t century(const struct moment *m) {
    if (m->interval)
        return m->year / 100;
    return m->year > 0 ? (m->year - 1) / 100 + 1 : (m->year + 1) / 100 - 1;
}

/* A pattern that is a number; false: it is none. */
static bool number_of(const struct moment *m, enum fn_char_patterns p, int64_t *ret, int *ret_width) {
    static const int64_t powers[] = {10, 100, 1000};
    int64_t year = p >= P_IYYY && p <= P_I ? m->iso_year : m->year;
    if (!m->interval && year < 0)
        year = -year; /* BC says what it is */
    *ret_width = 2;
    switch (p) {
    case P_HH:
        *ret = m->hour % 12 == 0 ? 12 : m->hour % 12;
        return true;
    case P_HH24:
        *ret = m->hour;
        return true;
    case P_MI:
        *ret = m->minute;
        return true;
    case P_SS:
        *ret = m->second;
        return true;
    case P_MS:
        *ret = m->us / 1000;
        *ret_width = 3;
        return true;
    case P_US:
        *ret = m->us;
        *ret_width = 6;
        return true;
    case P_SSSS:
        *ret = m->hour * 3600 + m->minute * 60 + m->second;
        *ret_width = 0;
        return true;
    case P_MM:
        *ret = m->month;
        return true;
    case P_DD:
        *ret = m->day;
        return true;
    case P_DDD:
        *ret = m->day_of_year;
        *ret_width = 3;
        return true;
    case P_IDDD:
        *ret = (m->iso_week - 1) * 7 + (m->weekday + 6) % 7 + 1;
        *ret_width = 3;
        return true;
    case P_D:
        *ret = m->weekday + 1;
        *ret_width = 0;
        return true;
    case P_ID:
        *ret = m->weekday ? m->weekday : 7;
        *ret_width = 0;
        return true;
    case P_WW:
        *ret = (m->day_of_year - 1) / 7 + 1;
        return true;
    case P_IW:
        *ret = m->iso_week;
        return true;
    case P_W:
        *ret = (m->day - 1) / 7 + 1;
        *ret_width = 0;
        return true;
    case P_CC:
        *ret = century(m);
        return true;
    case P_J:
        *ret = m->day_number + 2451545;
        *ret_width = 0;
        return true;
    case P_YYYY:
    case P_IYYY:
        *ret = year;
        *ret_width = 4;
        return true;
    case P_YYY:
    case P_IYY:
    case P_YY:
    case P_IY:
    case P_Y:
    case P_I:
        *ret_width = p == P_YYY || p == P_IYY ? 3 : p == P_YY || p == P_IY ? 2 : 1;
        *ret = year % powers[*ret_width - 1];
        return true;
    default:
        return false;
    }
}

/* "1st": the letters behind a number. */
static void put_ordinal(struct buf *b, size_t from, bool upper) {
    static const char *const ends[2][4] = {{"th", "st", "nd", "rd"}, {"TH", "ST", "ND", "RD"}};
    if (b->len <= from || buf_rc(b))
        return;
    uint8_t last = b->data[b->len - 1], before = b->len - from > 1 ? b->data[b->len - 2] : '0';
    if (last < '0' || last > '9')
        return;
    buf_puts(b, ends[upper][before == '1' || last > '3' ? 0 : last - '0']);
}

static enum rc put_pattern(const struct moment *m, const struct fn_char_pattern *t, bool fill, struct buf *b,
                           struct err *err) {
    int64_t v;
    int width;
    const char *word;
    switch (t->pattern) {
    case P_AM:
    case P_AM_DOTS:
    case P_AD:
    case P_AD_DOTS: {
        bool first = t->pattern == P_AM || t->pattern == P_AM_DOTS ? m->hour % 24 < 12 : m->year > 0;
        static const char *const words[4][2] = {{"BC", "AD"}, {"B.C.", "A.D."}, {"PM", "AM"}, {"P.M.", "A.M."}};
        if (m->interval && (t->pattern == P_AD || t->pattern == P_AD_DOTS))
            break;
        word = words[t->pattern == P_AD ? 0 : t->pattern == P_AD_DOTS ? 1 : t->pattern == P_AM ? 2 : 3][first];
        put_word(b, word, strlen(word), (enum letters)t->letters, 0, false);
        return RC_OK;
    }
    case P_MONTH:
    case P_MON:
    case P_RM:
        if (m->interval && t->pattern != P_RM)
            break;
        if (m->month < 1)
            return RC_OK;
        word = t->pattern == P_RM ? romans[m->month - 1] : fn_char_months[m->month - 1];
        put_word(b, word, t->pattern == P_MON ? 3 : strlen(word), (enum letters)t->letters,
                 t->pattern == P_MONTH ? NAME_PAD
                 : t->pattern == P_RM  ? 4
                                       : 0,
                 fill);
        return RC_OK;
    case P_DAY:
    case P_DY:
        if (m->interval)
            break;
        word = fn_char_days[m->weekday];
        put_word(b, word, t->pattern == P_DY ? 3 : strlen(word), (enum letters)t->letters,
                 t->pattern == P_DAY ? NAME_PAD : 0, fill);
        return RC_OK;
    case P_FF:
        v = m->us;
        for (int i = t->digits; i < 6; i++)
            v /= 10;
        buf_printf(b, "%0*lld", t->digits, (long long)v);
        return RC_OK;
    case P_Q:
        if (m->month)
            buf_printf(b, "%d", (m->month - 1) / 3 + 1);
        return RC_OK;
    case P_TZ:
        if (m->interval)
            break;
        if (m->zone)
            put_word(b, m->zone, strlen(m->zone), (enum letters)t->letters, 0, false);
        return RC_OK;
    case P_TZH:
    case P_TZM:
    case P_OF:
        if (m->interval)
            break;
        put_offset(b, m, t->pattern, fill);
        return RC_OK;
    case P_Y_YYY:
        v = m->interval || m->year > 0 ? m->year : -m->year;
        buf_printf(b, "%lld,%03lld", (long long)(v / 1000), (long long)(v % 1000));
        return RC_OK;
    case P_D:
    case P_ID:
    case P_IW:
    case P_J:
    default:
        if (m->interval && (t->pattern == P_D || t->pattern == P_ID))
            break;
        if (number_of(m, t->pattern, &v, &width))
            put_number(b, v, t->pattern, width, fill && width > 0);
        return RC_OK;
    }
    err_sql(err, "22007", "invalid format specification for an interval value");
    err_hint(err, "Intervals are not tied to specific calendar dates.");
    return RC_SQL;
}

static const struct template *find_template(const char *p, size_t n) {
    for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
        const struct template *t = &templates[i];
        size_t len = strlen(t->text);
        bool words = t->pattern == P_AD || t->pattern == P_AD_DOTS || t->pattern == P_AM || t->pattern == P_AM_DOTS ||
                     t->pattern == P_DAY || t->pattern == P_DY || t->pattern == P_MONTH || t->pattern == P_MON ||
                     t->pattern == P_RM || t->pattern == P_TZ;
        if (n >= len && (words ? memcmp(p, t->text, len) == 0 : strncasecmp(p, t->text, len) == 0))
            return t;
    }
    return NULL;
}

static bool starts(const char *p, const char *end, const char *word) {
    size_t n = strlen(word);
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0;
}

bool fn_char_next(const char *p, const char *end, struct fn_char_pattern *ret) {
    const char *at = p;
    *ret = (struct fn_char_pattern){.bytes = 0};
    for (bool more = true; more;) {
        more = false;
        if (starts(at, end, "FM") || starts(at, end, "fm")) {
            ret->fill_mode = true;
            more = true;
        } else if (starts(at, end, "TM") || starts(at, end, "FX")) {
            ret->exact |= *at == 'F';
            more = true;
        }
        at += more ? 2 : 0;
    }
    const struct template *t = find_template(at, (size_t)(end - at));
    if (!t)
        return false;
    at += strlen(t->text);
    ret->text = t->text;
    ret->pattern = t->pattern;
    ret->letters = (uint8_t)t->letters;
    ret->digits = t->digits;
    if (starts(at, end, "TH") || starts(at, end, "th")) {
        ret->ordinal = *at;
        at += 2;
    }
    ret->bytes = (size_t)(at - p);
    return true;
}

bool fn_char_is_number(enum fn_char_patterns p) {
    struct moment m = {.hour = 0};
    int64_t v;
    int width;
    return p == P_FF || p == P_Q || number_of(&m, p, &v, &width);
}

static enum rc print(const struct fn_env *env, const struct moment *m, const struct value *format, struct value *ret,
                     struct err *err) {
    const char *p = format->p, *end = p + format->bytes;
    struct buf b;
    enum rc rc = RC_OK;
    fn_buf(&b);
    while (p < end && !rc) {
        struct fn_char_pattern t;
        if (fn_char_next(p, end, &t)) {
            size_t from = b.len;
            rc = put_pattern(m, &t, !t.fill_mode, &b, err);
            if (t.ordinal)
                put_ordinal(&b, from, t.ordinal == 'T');
            p += t.bytes;
        } else if (starts(p, end, "FM") || starts(p, end, "fm") || starts(p, end, "TM") || starts(p, end, "FX")) {
            p += 2; /* a prefix of nothing */
        } else if (*p == '"') {
            for (p++; p < end && *p != '"'; p++) {
                if (*p == '\\' && p + 1 < end)
                    p++;
                buf_putc(&b, (uint8_t)*p);
            }
            p += p < end;
        } else {
            if (*p == '\\' && p + 1 < end && p[1] == '"')
                p++;
            buf_putc(&b, (uint8_t)*p++);
        }
    }
    if (!rc)
        return fn_give(env, &b, VALUE_TEXT, ret, err);
    buf_done(&b);
    return rc;
}

FN_IMPL(time_to_char) {
    struct moment m;
    FN_UNUSED;
    *ret = value_null();
    if (!arg[1].bytes)
        return RC_OK;
    if (call->arg[0].type == COL_INTERVAL) {
        struct interval i = interval_load(arg[0].p);
        take_interval(&i, &m);
    } else {
        if (!fn_timestamp_finite(arg[0].i))
            return RC_OK;
        take_timestamp(env, arg[0].i, call->arg[0].type == COL_TIMESTAMPTZ, &m);
    }
    return print(env, &m, &arg[1], ret, err);
}

static const struct fn fns[] = {
    FN(1768, "to_char", NULL, STRICT | STABLE, COL_TEXT, time_to_char, COL_INTERVAL, COL_TEXT),
    FN(1770, "to_char", NULL, STRICT | STABLE, COL_TEXT, time_to_char, COL_TIMESTAMPTZ, COL_TEXT),
    FN(2049, "to_char", NULL, STRICT | STABLE, COL_TEXT, time_to_char, COL_TIMESTAMP, COL_TEXT),
};

const struct fn_table fn_table_char = {fns, ARRAY_LEN(fns)};
