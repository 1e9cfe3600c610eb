/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/types/types.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/types/real.h"
#include "sql/types/zonecache.h"
#include "tests/lib/anyvalue.h"
#include "tests/lib/expected.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"

/* ---- the machine's tz database ----------------------------------------------------------------------------------- */

static struct arena zones;

static struct zone_cache *cache;

static const struct zone *find_zone(const char *name) {
    const struct zone *z = zone_cache_find(cache, name);
    CHECKF(z, "no zone %s: is tzdata installed?", name);
    return z;
}

static struct type_session session(void) {
    return (struct type_session){.zone = zone_fixed(&zones, "UTC", 0), .find_zone = zone_cache_find, .ctx = cache};
}

/* ---- what PostgreSQL says ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum col_type type;
} names[] = {
    {"bool", COL_BOOL},         {"int2", COL_INT2},
    {"int4", COL_INT4},         {"int8", COL_INT8},
    {"oid", COL_OID},           {"float4", COL_FLOAT4},
    {"text", COL_TEXT},         {"float8", COL_FLOAT8},
    {"bytea", COL_BYTEA},       {"uuid", COL_UUID},
    {"json", COL_JSON},         {"date", COL_DATE},
    {"time", COL_TIME},         {"timestamp", COL_TIMESTAMP},
    {"varchar", COL_VARCHAR},   {"char", COL_CHAR},
    {"numeric", COL_NUMERIC},   {"timestamptz", COL_TIMESTAMPTZ},
    {"interval", COL_INTERVAL},
};

/* "numeric(5,2)", "interval day to second", "int4[]" */
static struct col col_named(const char *t) {
    static const struct {
        const char *name;
        int mask;
    } fields[] = {{"year", 0x4},
                  {"month", 0x2},
                  {"day", 0x8},
                  {"hour", 0x400},
                  {"minute", 0x800},
                  {"second", 0x1000},
                  {"year to month", 0x6},
                  {"day to hour", 0x408},
                  {"day to minute", 0xc08},
                  {"day to second", 0x1c08},
                  {"hour to minute", 0xc00},
                  {"hour to second", 0x1c00},
                  {"minute to second", 0x1800}};
    char name[32];
    size_t n = strcspn(t, "([ ");
    snprintf(name, sizeof name, "%.*s", (int)n, t);
    struct col c = col_of(COL_NONE);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i].name, name) == 0)
            c = col_of(names[i].type);
    CHECKF(c.type, "no type %s", t);
    int a, b;
    if (t[n] == '(') {
        int given = sscanf(t + n, "(%d,%d)", &a, &b);
        if (c.type == COL_NUMERIC)
            c = col_numeric(a, given == 2 ? b : 0);
        else if (c.type == COL_INTERVAL)
            c.typmod = 0x7fff << 16 | a;
        else
            c.typmod = c.type == COL_VARCHAR || c.type == COL_CHAR ? a + COL_TYPMOD_HEAD : a;
    }
    if (t[n] == ' ')
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            if (strcmp(fields[i].name, t + n + 1) == 0)
                c.typmod = fields[i].mask << 16 | 0xffff;
    if (t[n] == '[')
        c = col_array_of(c);
    CHECK(col_valid(&c, NULL) == RC_OK);
    return c;
}

static size_t unhex(const char *hex, uint8_t *out) {
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return n;
}

/* What is printed reads as the same value, in text and in binary. */
static void reads_back(const struct type_session *s, const struct col *c, const struct value *v, struct arena *a) {
    struct buf out;
    struct value back;
    struct err err = {0};
    char name[COL_NAME_BYTES];
    struct col loose = *c; /* what fits without a limit */
    buf_init(&out, 0);
    CHECK(type_print(s, c, v, &out, &err) == RC_OK);
    OKF(type_parse(s, &loose, buf_cstr(&out), out.len, a, &back, &err) == RC_OK && value_same(v, &back),
        "%s: \"%s\" reads differently: %s", col_name(c, name), buf_cstr(&out), err_message(&err));
    buf_reset(&out, 1 << 16);
    CHECK(type_send(c, v, &out, &err) == RC_OK);
    OKF(type_recv(c, out.data, out.len, a, &back, &err) == RC_OK && value_same(v, &back), "%s: %s", col_name(c, name),
        err_message(&err));
    buf_done(&out);
}

static enum rc compute(struct expected *e, struct arena *a, struct buf *out, struct err *err) {
    const char *op = e->word[0], *type = e->word[1], *text = e->word[2];
    struct type_session s = session();
    bool zone = strcmp(op, "zone") == 0;
    struct col c = zone ? col_of(COL_TIMESTAMPTZ) : col_named(type);
    uint8_t bytes[256];
    struct value v;
    enum rc rc;
    if (zone) {
        s.zone = find_zone(type);
    }
    if (strcmp(op, "recv") == 0)
        rc = type_recv(&c, bytes, unhex(text, bytes), a, &v, err);
    else
        rc = type_parse(&s, &c, text, strlen(text), a, &v, err);
    if (rc)
        return rc;
    OKF(col_check(&c, &v, err) == RC_OK, "%s %s: %s", type, text, err_message(err));
    if (!zone || zone_offset(s.zone, v.i) % 60 == 0)
        reads_back(&s, &c, &v, a);
    if (strcmp(op, "send") != 0)
        return type_print(&s, &c, &v, out, err);
    struct buf raw;
    buf_init(&raw, 0);
    rc = type_send(&c, &v, &raw, err);
    buf_puts(out, "\\x");
    for (size_t i = 0; i < raw.len; i++)
        buf_printf(out, "%02x", raw.data[i]);
    buf_done(&raw);
    return rc;
}

/* Every answer of PostgreSQL's is ours, errors included; and what is printed reads back. */
static void as_postgres(void) {
    struct expected e;
    struct arena a;
    struct buf out;
    arena_init(&a, 0);
    buf_init(&out, 0);
    expected_open(&e, EXPECTED_FILE);
    while (expected_next(&e)) {
        struct err err = {0};
        enum rc rc = compute(&e, &a, &out, &err);
        expected_check(&e, rc, &err, out.data, out.len);
        buf_reset(&out, 1 << 16);
        arena_reset(&a);
    }
    expected_close(&e);
    arena_done(&a);
    buf_done(&out);
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

/* Random values of every type read back from text and binary. */
static void round_trips(void) {
    struct rng rng;
    struct arena a;
    struct type_session s = session();
    rng_init(&rng, 1);
    arena_init(&a, 0);
    for (int i = 0; i < 60000 && !tap_failing(); i++) {
        struct col c = any_key_col(&rng);
        if (c.type == COL_ENUM)
            continue;
        struct value v = any_value(&rng, &c, &a);
        if (c.type == COL_BYTEA)
            s.bytea_escape = rng_chance(&rng, 0.5);
        reads_back(&s, &c, &v, &a);
        arena_reset(&a);
    }
    for (int i = 0; i < 30000 && !tap_failing(); i++) {
        struct interval iv = {(int64_t)(rng_u64(&rng) >> rng_below(&rng, 64)), (int32_t)rng_range(&rng, -1000, 1000),
                              (int32_t)rng_range(&rng, -100, 100)};
        if (rng_chance(&rng, 0.5))
            iv.us = -iv.us;
        uint8_t bytes[INTERVAL_BYTES];
        struct col c = col_of(COL_INTERVAL);
        interval_store(&iv, bytes);
        struct value v = value_blob(bytes, sizeof bytes);
        reads_back(&s, &c, &v, &a);
        arena_reset(&a);
    }
    arena_done(&a);
}

/* The shortest text of a double reads as it, and no shorter one does. */
static void reals(void) {
    struct rng rng;
    struct buf out;
    rng_init(&rng, 2);
    buf_init(&out, 0);
    for (int i = 0; i < 40000 && !tap_failing(); i++) {
        union {
            uint64_t u;
            double d;
        } x = {rng_u64(&rng)};
        union {
            uint32_t u;
            float f;
        } y = {(uint32_t)rng_u64(&rng)};
        if (i % 4 == 0)
            x.d = (double)rng_range(&rng, -1000000, 1000000) / 1000;
        enum real_width w = i % 2 ? REAL_FLOAT4 : REAL_FLOAT8;
        double want = i % 2 ? (double)y.f : x.d, got = 0;
        if (isnan(want) || isinf(want))
            continue;
        real_print(want, w, &out);
        OKF(strtod(buf_cstr(&out), NULL) == want || w == REAL_FLOAT4, "%s", buf_cstr(&out));
        OKF(strtof(buf_cstr(&out), NULL) == (float)want || w == REAL_FLOAT8, "%s", buf_cstr(&out));
        OK(real_parse(buf_cstr(&out), out.len, w, &got, NULL) == RC_OK && got == want);
        int digits = 0;
        for (size_t k = 0; k < out.len && out.data[k] != 'e'; k++)
            digits += out.data[k] >= '0' && out.data[k] <= '9' && (digits || out.data[k] != '0');
        while (digits > 1) { /* zeros at a whole number's end are no digits of it */
            char fewer[64];
            snprintf(fewer, sizeof fewer, "%.*e", digits - 2, want);
            double r = w == REAL_FLOAT4 ? (double)strtof(fewer, NULL) : strtod(fewer, NULL);
            bool whole_number = fabs(want) >= 1 && want == trunc(want);
            OKF(r != want || whole_number, "%s is shorter than %s", fewer, buf_cstr(&out));
            break;
        }
        buf_reset(&out, 100);
    }
    buf_done(&out);
}

/* The calendar, day by day over eight centuries around 1 BC and 2000, and at its ends. */
static void calendar(void) {
    static const int64_t starts[] = {-2451545, -730485 - 146097, -150000, 2145031949 - 3000};
    for (size_t k = 0; k < ARRAY_LEN(starts); k++) {
        struct civil before = civil_from_days(starts[k] - 1);
        for (int64_t d = starts[k]; d < starts[k] + 300000 && !tap_failing(); d++) {
            struct civil c = civil_from_days(d);
            OK(civil_to_days(c.year, c.month, c.day) == d);
            bool next_day = c.year == before.year && c.month == before.month && c.day == before.day + 1;
            bool next_month =
                c.day == 1 && before.day == civil_month_days(before.year, before.month) &&
                (c.month == before.month + 1 ? c.year == before.year
                                             : c.month == 1 && before.month == 12 && c.year == before.year + 1);
            OKF(next_day || next_month, "%lld", (long long)d);
            before = c;
        }
    }
    struct civil c = civil_from_days(0);
    EQ_INT(c.year, 2000);
    EQ_INT(c.month, 1);
    EQ_INT(c.day, 1);
}

/* Instants and local times of a zone belong together: an instant's local time leads back, or to the other reading of an
 * hour that the clock shows twice. */
static void zones_agree(void) {
    static const char *const some[] = {"america/new_york", "europe/berlin", "australia/lord_howe",
                                       "asia/kolkata",     "pacific/apia",  "africa/casablanca"};
    struct rng rng;
    rng_init(&rng, 3);
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        const struct zone *z = find_zone(some[i]);
        for (int k = 0; k < 20000 && !tap_failing(); k++) {
            int64_t instant = rng_range(&rng, -4000000000, 16000000000) * 1000000;
            int32_t offset = zone_offset(z, instant), taken;
            int64_t back = zone_instant(z, instant + offset * INT64_C(1000000), &taken);
            if (back != instant) {
                OK(zone_offset(z, back) == taken && taken != offset);
                OK(llabs(back - instant) <= INT64_C(25) * 3600 * 1000000);
            }
        }
    }
}

/* What depends on the clock: now and the days around it, in the session's zone. */
static void today(void) {
    struct type_session s = session();
    int64_t r = 0;
    s.now = civil_to_days(2024, 7, 1) * COL_DAY_US + 2 * INT64_C(3600000000) + 500000; /* 02:00:00.5 UTC */
    s.zone = find_zone("america/new_york");
    OK(date_parse(&s, "today", 5, &r, NULL) == RC_OK && r == civil_to_days(2024, 6, 30));
    OK(date_parse(&s, "Tomorrow", 8, &r, NULL) == RC_OK && r == civil_to_days(2024, 7, 1));
    OK(date_parse(&s, "yesterday", 9, &r, NULL) == RC_OK && r == civil_to_days(2024, 6, 29));
    OK(date_parse(&s, "now", 3, &r, NULL) == RC_OK && r == civil_to_days(2024, 6, 30));
    OK(timestamp_parse(&s, "now", 3, true, 6, &r, NULL) == RC_OK && r == s.now);
    OK(timestamp_parse(&s, "now", 3, false, 6, &r, NULL) == RC_OK && r == s.now - 4 * INT64_C(3600000000));
    OK(timestamp_parse(&s, "today 10:00", 11, false, 0, &r, NULL) == RC_OK &&
       r == civil_to_days(2024, 6, 30) * COL_DAY_US + 10 * INT64_C(3600000000));
    OK(time_parse(&s, "now", 3, 6, &r, NULL) == RC_OK && r == 22 * INT64_C(3600000000) + 500000);
}

/* A damaged tz file is refused or read as something, never outside its bytes. */
static void damaged_zones(void) {
    static char data[1 << 16];
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "re");
    CHECKF(f, "tzdata is not installed");
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    struct rng rng;
    struct arena a;
    const struct zone *z;
    rng_init(&rng, 4);
    arena_init(&a, 0);
    for (int i = 0; i < 20000; i++) {
        size_t cut = rng_chance(&rng, 0.3) ? rng_below(&rng, n) : n;
        uint8_t *exact = malloc(cut ? cut : 1); /* ASan watches its end */
        memcpy(exact, data, cut);
        for (int k = (int)rng_below(&rng, 4); k > 0 && cut; k--)
            exact[rng_chance(&rng, 0.5) ? rng_below(&rng, cut < 50 ? cut : 50) : rng_below(&rng, cut)] =
                (uint8_t)rng_u64(&rng);
        if (cut > 30 && rng_chance(&rng, 0.5))
            exact[cut - 1 - rng_below(&rng, 25)] = (uint8_t)(32 + rng_below(&rng, 90));
        if (zone_parse(&a, "x", exact, cut, &z, NULL) == RC_OK) {
            int64_t t = (int64_t)(rng_u64(&rng) >> 2) - INT64_C(2000000000000000000);
            int32_t o = zone_offset(z, t);
            OK(o >= -ZONE_OFFSET_MAX && o <= ZONE_OFFSET_MAX);
            IGNORE(zone_instant(z, t, NULL)); /* only that it ends */
        }
        free(exact);
        arena_reset(&a);
    }
    arena_done(&a);
    OK(zone_name_valid("Etc/GMT+5", 9) && !zone_name_valid("../passwd", 9) && !zone_name_valid("/etc/passwd", 11) &&
       !zone_name_valid("a//b", 4) && !zone_name_valid("", 0));
}

/* Names are found in any case and once; what is no zone is none, whatever its name asks for. */
static void cached_zones(void) {
    const struct zone *z = find_zone("America/New_York");
    OK(find_zone("america/NEW_york") == z);
    EQ_STR(zone_name(z), "America/New_York");
    EQ_STR(zone_name(find_zone("etc/gmt+5")), "Etc/GMT+5");
    EQ_INT(zone_offset(find_zone("etc/gmt+5"), 0), -5 * 3600);
    OK(find_zone("utc") == zone_cache_utc(cache));
    static const char *const none[] = {
        "",          "america",     "America/",          "Mars/Olympus", "zone.tab",          "tzdata.zi",
        "../passwd", "/etc/passwd", "America//New_York", "leapseconds",  "America/New_York/x"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        OKF(zone_cache_find(cache, none[i]) == NULL, "%s", none[i]);
}

/* OIDs lead back to their types. */
static void oids(void) {
    struct col c;
    for (unsigned t = COL_NONE + 1; t < COL_TYPE_END; t++) {
        if (t == COL_ENUM || t == COL_ARRAY)
            continue;
        struct col plain = col_of((enum col_type)t), array = col_array_of(plain);
        OK(type_from_oid(type_oid(&plain), -1, &c, NULL) == RC_OK && c.type == t);
        OK(type_from_oid(type_oid(&array), -1, &c, NULL) == RC_OK && c.type == COL_ARRAY && c.elem == t);
    }
    EQ_INT(type_from_oid(0, -1, &c, NULL), RC_UNSUPPORTED);
    EQ_INT(type_from_oid(4711, -1, &c, NULL), RC_UNSUPPORTED);
    EQ_INT(type_from_oid(23, 5, &c, NULL), RC_INVAL);
    OK(type_from_oid(1043, 14, &c, NULL) == RC_OK && col_length_max(&c) == 10);
}

/* A value of the type without limits, put into a column that has some. */
static void limits(void) {
    struct arena a;
    struct type_session s = session();
    struct err err = {0};
    static const struct {
        const char *from, *to, *text, *want; /* want: as printed, or the SQLSTATE */
    } cases[] = {
        {"numeric", "numeric(5,2)", "1.005", "1.01"},
        {"numeric", "numeric(5,2)", "1000", "22003"},
        {"numeric", "numeric(30,2)", "-1.005", "-1.01"},
        {"text", "varchar(3)", "abc  ", "abc"},
        {"text", "varchar(3)", "abcd", "22001"},
        {"text", "char(5)", "ab", "ab   "},
        {"timestamp", "timestamp(0)", "2000-12-31 23:59:59.5", "2001-01-01 00:00:00"},
        {"timestamp", "timestamp(0)", "infinity", "infinity"},
        {"timestamp", "timestamp(0)", "294276-12-31 23:59:59.9", "22008"},
        {"time", "time(1)", "04:05:06.75", "04:05:06.8"},
        {"interval", "interval day", "1 year 2 days 3:04", "1 year 2 days"},
        {"interval", "interval(1)", "1.25 sec", "00:00:01.3"},
        {"numeric[]", "numeric[]", "{1.005,NULL}", "{1.005,NULL}"},
    };
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct col from = col_named(cases[i].from), to = col_named(cases[i].to);
        struct value v;
        struct buf out;
        buf_init(&out, 0);
        CHECK(type_parse(&s, &from, cases[i].text, strlen(cases[i].text), &a, &v, &err) == RC_OK);
        enum rc rc = type_limit(&to, &a, &v, &err);
        if (!rc)
            CHECK(type_print(&s, &to, &v, &out, &err) == RC_OK);
        EQ_STR(rc ? err_sqlstate(&err) : buf_cstr(&out), cases[i].want);
        buf_done(&out);
    }
    struct col array = col_array_of(col_numeric(4, 1)), loose = col_array_of(col_of(COL_NUMERIC));
    struct value v;
    struct buf out;
    buf_init(&out, 0);
    CHECK(type_parse(&s, &loose, "{1.25,NULL}", 11, &a, &v, &err) == RC_OK);
    OK(type_limit(&array, &a, &v, &err) == RC_OK && type_print(&s, &array, &v, &out, &err) == RC_OK);
    EQ_STR(buf_cstr(&out), "{1.3,NULL}");
    buf_done(&out);
    arena_done(&a);
}

static void all(struct reactor *r) {
    CHECK(zone_cache_new(reactor_env(r), ZONE_DIR, &cache) == RC_OK);
    RUN(as_postgres);
    RUN(round_trips);
    RUN(reals);
    RUN(calendar);
    RUN(cached_zones);
    RUN(zones_agree);
    RUN(today);
    RUN(damaged_zones);
    RUN(oids);
    RUN(limits);
    zone_cache_free(cache);
}

int main(void) {
    arena_init(&zones, 0);
    on_fiber(DIAG_WARN, all);
    arena_done(&zones);
    return tap_done();
}
