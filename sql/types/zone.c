/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone.c: a zone is a list of instants at which its offset changes, and perhaps a rule for what comes after the last.
 *
 * A TZif file has its data twice, with times of 4 bytes and then of 8: header (44 bytes), data, header, data, "\n", the rule
 * as a POSIX TZ string, "\n". Only the second is read. Header: "TZif", version, 15 unused, then six 4-byte counts: UT
 * indicators, standard indicators, leap seconds, transitions, types, characters of names.
 */
#include "sql/types/zone.h"

#include <string.h>

#include "truetime/base/buf.h"

#define US INT64_C(1000000)
#define DAY_SECONDS INT64_C(86400)
#define UNIX_TO_2000 INT64_C(946684800)

enum { HEAD_BYTES = 44, TRANSITIONS_MAX = 4096, TYPES_MAX = 256 };

/* When in the year the clocks are set: POSIX's three ways to name a day. */
struct change {
    enum { CHANGE_WEEKDAY, CHANGE_JULIAN, CHANGE_DAY } how;
    int month, week, day; /* Mm.w.d; else only day */
    int32_t at;           /* seconds of that day, local time; may be negative or beyond the day */
};

struct rule {
    int32_t std, dst; /* offsets */
    bool has_dst;
    struct change to_dst, to_std;
};

struct zone {
    char name[ZONE_NAME_BYTES];
    int32_t first; /* offset before the first transition */
    size_t n;
    const int64_t *at; /* seconds since 2000, rising */
    const int32_t *offset;
    bool has_rule;
    struct rule rule;
};

static struct zone *zone_new(struct arena *a, const char *name) {
    struct zone *z = arena_new(a, struct zone);
    if (z)
        strncpy(z->name, name, sizeof z->name - 1);
    return z;
}

const struct zone *zone_fixed(struct arena *a, const char *name, int32_t offset) {
    CHECK(offset >= -ZONE_OFFSET_MAX && offset <= ZONE_OFFSET_MAX);
    struct zone *z = zone_new(a, name);
    if (z)
        z->first = offset;
    return z;
}

const char *zone_name(const struct zone *z) {
    return z->name;
}

bool zone_name_valid(const char *name, size_t bytes) {
    if (bytes == 0 || bytes >= ZONE_NAME_BYTES || *name == '/' || name[bytes - 1] == '/')
        return false;
    for (size_t i = 0; i < bytes; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr("_+-/", c))
            return false; /* a dot too: no ".." */
        if (c == '/' && name[i + 1] == '/')
            return false;
    }
    return true;
}

/* ---- POSIX rules ------------------------------------------------------------------------------------------------- */

/* Days since 2000-01-01 of January 1st. */
static int64_t year_start(int64_t year) {
    int64_t y = year - 1;
    int64_t leaps = y / 4 - y / 100 + y / 400;
    return 365 * (year - 2000) + leaps - (1999 / 4 - 1999 / 100 + 1999 / 400);
}

static bool is_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Seconds since 2000, by the wall clock, at which the change falls in that year. */
static int64_t change_at(const struct change *c, int64_t year) {
    static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    static const int length[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = is_leap(year);
    int64_t day = year_start(year);
    switch (c->how) {
    case CHANGE_JULIAN: /* 1 .. 365, February 29th never counted */
        day += c->day - 1 + (leap && c->day > 59);
        break;
    case CHANGE_DAY:
        day += c->day;
        break;
    case CHANGE_WEEKDAY: {
        int m = c->month - 1;
        day += before[m] + (leap && m > 1);
        int64_t weekday = ((day + 6) % 7 + 7) % 7; /* 2000-01-01 was a Saturday, 0 is Sunday */
        int64_t in_month = (c->day - weekday + 7) % 7 + 7 * (c->week - 1);
        int days = length[m] + (leap && m == 1);
        while (in_month >= days)
            in_month -= 7;
        day += in_month;
        break;
    }
    }
    return day * DAY_SECONDS + c->at;
}

static int64_t year_of(int64_t seconds) {
    int64_t day = seconds / DAY_SECONDS - (seconds % DAY_SECONDS < 0);
    int64_t year = 2000 + day / 365; /* near, on either side */
    while (year_start(year) > day)
        year--;
    while (year_start(year + 1) <= day)
        year++;
    return year;
}

static int32_t rule_offset(const struct rule *r, int64_t t) {
    if (!r->has_dst)
        return r->std;
    int64_t year = year_of(t + r->std);
    int64_t on = change_at(&r->to_dst, year) - r->std, off = change_at(&r->to_std, year) - r->dst;
    bool dst = on < off ? t >= on && t < off : t >= on || t < off;
    return dst ? r->dst : r->std;
}

struct text {
    const char *p, *end;
};

static bool eat(struct text *t, char c) {
    if (t->p == t->end || *t->p != c)
        return false;
    t->p++;
    return true;
}

static bool eat_number(struct text *t, int max, int *ret) {
    const char *from = t->p;
    int n = 0;
    for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++)
        if ((n = n * 10 + (*t->p - '0')) > max)
            return false;
    *ret = n;
    return t->p > from;
}

static bool eat_name(struct text *t) {
    const char *from = t->p;
    if (eat(t, '<')) {
        while (t->p < t->end && *t->p != '>')
            t->p++;
        return eat(t, '>');
    }
    while (t->p < t->end && ((*t->p >= 'a' && *t->p <= 'z') || (*t->p >= 'A' && *t->p <= 'Z')))
        t->p++;
    return t->p - from >= 3;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool eat_time(struct text *t, int hours_max, int32_t *ret) {
    int h, m = 0, s = 0;
    bool neg = eat(t, '-');
    if (!neg && eat(t, '+')) {
    }
    if (!eat_number(t, hours_max, &h))
        return false;
    if (eat(t, ':') && (!eat_number(t, 59, &m) || (eat(t, ':') && !eat_number(t, 59, &s))))
        return false;
    *ret = (h * 60 + m) * 60 + s;
    *ret = neg ? -*ret : *ret;
    return true;
}

static bool eat_change(struct text *t, struct change *c) {
    bool ok;
    *c = (struct change){.how = CHANGE_DAY, .at = 2 * 3600};
    if (eat(t, 'M')) {
        c->how = CHANGE_WEEKDAY;
        ok = eat_number(t, 12, &c->month) && c->month && eat(t, '.') && eat_number(t, 5, &c->week) && c->week &&
             eat(t, '.') && eat_number(t, 6, &c->day);
    } else if (eat(t, 'J')) {
        c->how = CHANGE_JULIAN;
        ok = eat_number(t, 365, &c->day) && c->day;
    } else
        ok = eat_number(t, 365, &c->day);
    return ok && (!eat(t, '/') || eat_time(t, 167, &c->at));
}

static bool parse_rule(struct text t, struct rule *r) {
    int32_t west;
    *r = (struct rule){.std = 0};
    if (!eat_name(&t) || !eat_time(&t, 24, &west))
        return false;
    r->std = -west;
    if (west > ZONE_OFFSET_MAX || west < -ZONE_OFFSET_MAX)
        return false;
    if (t.p == t.end)
        return true;
    r->has_dst = true;
    r->dst = r->std + 3600;
    if (!eat_name(&t))
        return false;
    if (t.p < t.end && *t.p != ',') {
        if (!eat_time(&t, 24, &west))
            return false;
        r->dst = -west;
    }
    if (r->dst > ZONE_OFFSET_MAX || r->dst < -ZONE_OFFSET_MAX)
        return false;
    return eat(&t, ',') && eat_change(&t, &r->to_dst) && eat(&t, ',') && eat_change(&t, &r->to_std) && t.p == t.end;
}

/* ---- TZif -------------------------------------------------------------------------------------------------------- */

struct head {
    uint32_t ut, std, leaps, transitions, types, chars;
};

static bool read_head(struct rd *r, struct head *h, int *ret_version) {
    const uint8_t *p = rd_bytes(r, HEAD_BYTES);
    if (!p || memcmp(p, "TZif", 4) != 0)
        return false;
    *ret_version = p[4];
    *h = (struct head){get_u32be(p + 20), get_u32be(p + 24), get_u32be(p + 28),
                       get_u32be(p + 32), get_u32be(p + 36), get_u32be(p + 40)};
    return h->transitions <= TRANSITIONS_MAX && h->types >= 1 && h->types <= TYPES_MAX && h->chars <= 4096 &&
           h->leaps <= 1024 && h->ut <= TYPES_MAX && h->std <= TYPES_MAX;
}

static size_t data_bytes(const struct head *h, size_t time_bytes) {
    return h->transitions * (time_bytes + 1) + h->types * 6u + h->chars + h->leaps * (time_bytes + 4) + h->std + h->ut;
}

/* The data behind the second header. */
static enum rc read_data(struct arena *a, struct rd *r, const struct head *h, struct zone *z) {
    const uint8_t *times = rd_bytes(r, h->transitions * 8u), *kinds = rd_bytes(r, h->transitions);
    const uint8_t *types = rd_bytes(r, h->types * 6u);
    if (!types || !rd_bytes(r, h->chars) || !rd_bytes(r, h->leaps * 12u) || !rd_bytes(r, h->std) || !rd_bytes(r, h->ut))
        return RC_CORRUPT;
    for (uint32_t i = 0; i < h->types; i++) {
        int32_t offset = (int32_t)get_u32be(types + 6 * i);
        if (offset < -ZONE_OFFSET_MAX || offset > ZONE_OFFSET_MAX)
            return RC_CORRUPT;
    }
    int64_t *at = arena_array(a, h->transitions + 1, sizeof *at);
    int32_t *offset = arena_array(a, h->transitions + 1, sizeof *offset);
    if (!at || !offset)
        return RC_NOMEM;
    for (uint32_t i = 0; i < h->transitions; i++) {
        int64_t t = (int64_t)get_u64be(times + 8 * i);
        if (kinds[i] >= h->types || (i && t <= (int64_t)get_u64be(times + 8 * (i - 1))))
            return RC_CORRUPT;
        at[i] = t < INT64_MIN / 4 ? INT64_MIN / 4 : t > INT64_MAX / 4 ? INT64_MAX / 4 : t - UNIX_TO_2000;
        offset[i] = (int32_t)get_u32be(types + 6 * kinds[i]);
    }
    z->first = (int32_t)get_u32be(types);
    z->n = h->transitions;
    z->at = at;
    z->offset = offset;
    return RC_OK;
}

static enum rc parse_file(struct arena *a, struct rd *r, struct zone *z) {
    struct head h;
    int version;
    if (!read_head(r, &h, &version) || version < '2' || !rd_bytes(r, data_bytes(&h, 4)))
        return RC_CORRUPT;
    if (!read_head(r, &h, &version))
        return RC_CORRUPT;
    enum rc rc = read_data(a, r, &h, z);
    if (rc)
        return rc;
    if (rd_u8(r) != '\n')
        return RC_CORRUPT;
    const uint8_t *end = rd_left(r) ? memchr(r->at, '\n', rd_left(r)) : NULL;
    if (!end)
        return RC_CORRUPT;
    struct text t = {(const char *)r->at, (const char *)end};
    z->has_rule = t.p < t.end;
    if (z->has_rule && !parse_rule(t, &z->rule))
        return RC_CORRUPT;
    return RC_OK;
}

enum rc zone_parse(struct arena *a, const char *name, const void *p, size_t bytes, const struct zone **ret,
                   struct err *err) {
    struct rd r;
    struct zone *z = zone_new(a, name);
    rd_init(&r, p, bytes);
    enum rc rc = !z ? RC_NOMEM : bytes > ZONE_FILE_BYTES_MAX ? RC_CORRUPT : parse_file(a, &r, z);
    if (rc == RC_NOMEM)
        return err_set(err, rc, "time zone %s: out of memory", name);
    if (rc)
        return err_set(err, rc, "time zone %s: the file is damaged, or no tz database file", name);
    *ret = z;
    return RC_OK;
}

/* ---- what they are for ------------------------------------------------------------------------------------------- */

static int64_t seconds_of(int64_t us) {
    return us / US - (us % US < 0);
}

static int32_t offset_at(const struct zone *z, int64_t t) {
    if (z->n == 0)
        return z->has_rule ? rule_offset(&z->rule, t) : z->first;
    if (t < z->at[0])
        return z->first;
    if (t >= z->at[z->n - 1])
        return z->has_rule ? rule_offset(&z->rule, t) : z->offset[z->n - 1];
    size_t lo = 0, hi = z->n - 1; /* at[lo] <= t < at[hi] */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (z->at[mid] <= t)
            lo = mid;
        else
            hi = mid;
    }
    return z->offset[lo];
}

int32_t zone_offset(const struct zone *z, int64_t instant) {
    return offset_at(z, seconds_of(instant));
}

/*
 * The offsets a day before and a day after surround any change (no zone changes twice in two days but for a few oddities of
 * the nineteenth century, where either answer does). If they differ, the local time has one reading with each.
 */
int64_t zone_instant(const struct zone *z, int64_t local, int32_t *ret_offset) {
    int64_t t = seconds_of(local);
    int32_t before = offset_at(z, t - DAY_SECONDS), after = offset_at(z, t + DAY_SECONDS), offset = before;
    if (before != after) {
        bool before_fits = offset_at(z, t - before) == before, after_fits = offset_at(z, t - after) == after;
        /* twice (both fit): standard time, which is the later; never (none): as if not yet set */
        offset = after_fits ? after : before;
        if (!before_fits && !after_fits)
            offset = before;
    }
    if (ret_offset)
        *ret_offset = offset;
    return local - offset * US;
}
