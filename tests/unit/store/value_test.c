/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/store/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/pgnum.h"
#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

static sqlite3 *open_db(void) {
    sqlite3 *db;
    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
    CHECK(pgnum_register(db, NULL) == RC_OK);
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *s;
    CHECKF(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    return s;
}

static struct value real(double r) {
    return (struct value){.kind = VALUE_REAL, .r = r};
}

static struct value text(const char *s) {
    return value_text(s, strlen(s));
}

/* A value goes through a STRICT table of its column and comes back as the same bits. */
static void through(sqlite3 *db, const struct col *c, struct value v) {
    char sql[200], name[COL_NAME_BYTES];
    struct err err = {0};
    struct value back;
    OKF(col_valid(c, &err) == RC_OK, "%s", err_message(&err));
    OKF(col_check(c, &v, &err) == RC_OK, "%s %s", err_message(&err), err.detail);
    snprintf(sql, sizeof sql, "CREATE TABLE t(k INTEGER PRIMARY KEY, c1 %s) STRICT", col_decl(c));
    CHECKF(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_stmt *in = prepare(db, "INSERT INTO t VALUES(1, ?)"), *out = prepare(db, "SELECT c1 FROM t");
    EQ_INT(value_bind(in, 1, &v, VALUE_COPIED), RC_OK);
    EQ_INT(sqlite3_step(in), SQLITE_DONE);
    EQ_INT(sqlite3_step(out), SQLITE_ROW);
    EQ_INT(value_column(out, 0, &back), RC_OK);
    OKF(value_same(&v, &back), "%s: %s in, %s out", col_name(c, name), value_kind_name(v.kind),
        value_kind_name(back.kind));
    sqlite3_finalize(in);
    sqlite3_finalize(out);
    sqlite3_exec(db, "DROP TABLE t", NULL, NULL, NULL);
}

/* Values at the edges of each type are stored unchanged. */
static void storage(void) {
    sqlite3 *db = open_db();
    static const uint8_t bytes[16] = {0, 1, 0xff, 0};
    const struct {
        struct col col;
        struct value v[6];
    } cases[] = {
        {col_of(COL_BOOL), {value_int(0), value_int(1)}},
        {col_of(COL_INT2), {value_int(INT16_MIN), value_int(INT16_MAX)}},
        {col_of(COL_INT4), {value_int(INT32_MIN), value_int(INT32_MAX)}},
        {col_of(COL_INT8), {value_int(INT64_MIN), value_int(INT64_MAX)}},
        {col_of(COL_OID), {value_int(UINT32_MAX)}},
        {col_of(COL_FLOAT8), {real(5), real(-0.0), real(INFINITY), real(0x1p-1074), value_float(NAN), real(1e300)}},
        {col_of(COL_FLOAT4), {real(0.1F), real(-INFINITY), value_float(-NAN), real(0x1p-149), real(0x1.fffffep127)}},
        {col_numeric(18, 2), {value_int(999999999999999999), value_int(COL_NUMERIC_INT_NAN)}},
        {col_numeric(1, -3), {value_int(-9)}},
        {col_numeric(19, 2), {text("12345678901234567.89"), text("0.00"), text("NaN")}},
        {col_of(COL_NUMERIC), {text("1.00"), text("-Infinity"), text("0")}},
        {col_of(COL_TEXT), {text(""), text("123"), text("1e5")}},
        {col_length(COL_VARCHAR, 3), {text("\xc3\xa4\xc3\xb6\xc3\xbc"), text("a  ")}},
        {col_length(COL_CHAR, 3), {text("a"), text("")}},
        {col_of(COL_BYTEA), {value_blob(bytes, 0), value_blob(bytes, 4)}},
        {col_of(COL_DATE), {value_int(-2451545), value_int(COL_DATE_INF), value_int(COL_DATE_NEG_INF)}},
        {col_of(COL_TIME), {value_int(0), value_int(COL_DAY_US)}},
        {col_of(COL_TIMESTAMP), {value_int(COL_TS_NEG_INF), value_int(0), value_int(COL_TS_INF)}},
        {col_of(COL_TIMESTAMPTZ), {value_int(-1)}},
        {col_of(COL_INTERVAL), {value_blob(bytes, 16)}},
        {col_of(COL_UUID), {value_blob(bytes, 16)}},
        {col_of(COL_JSON), {text("{}")}},
        {col_of(COL_JSONB), {value_blob(bytes, 3)}},
        {{.type = COL_ENUM, .typmod = COL_TYPMOD_NONE, .type_id = 7}, {value_int(3)}},
        {col_array_of(col_of(COL_INT4)), {value_blob(bytes, 12)}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t k = 0; k < ARRAY_LEN(cases[i].v); k++)
            through(db, &cases[i].col, cases[i].v[k]); /* the rest of each line is NULL */
    sqlite3_close(db);
}

/* What a column may not hold is refused, whatever the reason. */
static void refused(void) {
    const struct {
        struct col col;
        struct value v;
    } cases[] = {
        {col_of(COL_BOOL), value_int(2)},
        {col_of(COL_INT2), value_int(32768)},
        {col_of(COL_INT4), value_int(INT64_MAX)},
        {col_of(COL_INT8), real(1)},
        {col_of(COL_INT8), text("1")},
        {col_of(COL_OID), value_int(-1)},
        {col_of(COL_FLOAT8), value_int(1)},
        {col_of(COL_FLOAT8), real(NAN)},
        {col_of(COL_FLOAT8), value_blob("\1", 1)},
        {col_of(COL_FLOAT4), real(0.1)},
        {col_of(COL_FLOAT4), real(1e300)},
        {col_numeric(3, 1), value_int(1000)},
        {col_numeric(3, 1), text("1.0")},
        {col_numeric(20, 1), text("1")},
        {col_numeric(20, 1), text("1.00")},
        {col_numeric(20, 1), text("Infinity")},
        {col_numeric(20, 1), text("12345678901234567890.0")},
        {col_of(COL_NUMERIC), text("01")},
        {col_of(COL_NUMERIC), text("-0")},
        {col_of(COL_NUMERIC), value_int(1)},
        {col_length(COL_VARCHAR, 2), text("\xc3\xa4\xc3\xb6\xc3\xbc")},
        {col_length(COL_CHAR, 2), text("a ")},
        {col_of(COL_TEXT), value_blob("a", 1)},
        {col_of(COL_BYTEA), text("a")},
        {col_of(COL_DATE), value_int(-2451546)},
        {col_of(COL_DATE), value_int(2145031949)},
        {col_of(COL_TIME), value_int(COL_DAY_US + 1)},
        {col_of(COL_TIMESTAMP), value_int(INT64_C(9223371331200000000))},
        {col_of(COL_UUID), value_blob("0123456789abcde", 15)},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[COL_NAME_BYTES];
        struct err err = {0};
        OKF(col_check(&cases[i].col, &cases[i].v, &err) == RC_INVAL, "%zu: %s", i, col_name(&cases[i].col, name));
        OKF(strstr(err_message(&err), name) != NULL, "%s", err_message(&err));
    }
}

/* Types are printed as PostgreSQL prints them, and descriptors that make no sense are found out. */
static void descriptors(void) {
    char n[COL_NAME_BYTES];
    struct col c = col_numeric(10, -2);
    int p = 0, s = 0;
    EQ_STR(col_name(&c, n), "numeric(10,-2)");
    OK(col_numeric_limits(&c, &p, &s));
    EQ_INT(p, 10);
    EQ_INT(s, -2);
    EQ_INT(c.typmod, (10 << 16 | (-2 & 0x7ff)) + 4);
    EQ_STR(col_decl(&c), "INTEGER");
    EQ_STR(col_collation(&c), "BINARY");
    c = col_numeric(1000, 1000);
    EQ_STR(col_name(&c, n), "numeric(1000,1000)");
    EQ_STR(col_decl(&c), "TEXT COLLATE pgnum");
    EQ_STR(col_collation(&c), "pgnum");
    c = col_array_of(col_length(COL_VARCHAR, 7));
    EQ_STR(col_name(&c, n), "character varying(7)[]");
    c = (struct col){.type = COL_TIMESTAMPTZ, .typmod = 3};
    EQ_STR(col_name(&c, n), "timestamp(3) with time zone");
    EQ_INT(col_fraction(&c), 3);
    c = (struct col){.type = COL_INTERVAL, .typmod = 0x1c08 << 16 | 2};
    EQ_STR(col_name(&c, n), "interval day to second(2)");
    EQ_INT(col_fraction(&c), 2);
    EQ_INT(col_valid(&c, NULL), RC_OK);
    c.typmod = 0x7fff << 16 | 0xffff;
    EQ_STR(col_name(&c, n), "interval");
    EQ_INT(col_fraction(&c), 6);
    static const struct col bad[] = {
        {.type = COL_NONE, .typmod = -1},
        {.type = COL_TYPE_END, .typmod = -1},
        {.type = 255, .typmod = -1},
        {.type = COL_ARRAY, .typmod = -1},
        {.type = COL_ARRAY, .elem = COL_ARRAY, .typmod = -1},
        {.type = COL_INT4, .elem = COL_INT4, .typmod = -1},
        {.type = COL_INT4, .typmod = 4},
        {.type = COL_NUMERIC, .typmod = 3},
        {.type = COL_NUMERIC, .typmod = 4},
        {.type = COL_NUMERIC, .typmod = (1001 << 16) + 4},
        {.type = COL_NUMERIC, .typmod = (1 << 16 | 0x800) + 4},
        {.type = COL_NUMERIC, .typmod = INT32_MIN},
        {.type = COL_VARCHAR, .typmod = 4},
        {.type = COL_CHAR, .typmod = COL_LENGTH_MAX + 5},
        {.type = COL_TIME, .typmod = 7},
        {.type = COL_INTERVAL, .typmod = 3},
        {.type = COL_ENUM, .typmod = -1},
        {.type = COL_TEXT, .typmod = -1, .type_id = 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        OKF(col_valid(&bad[i], NULL) == RC_INVAL, "%zu", i);
        OK(col_name(&bad[i], n) == n);
    }
}

static struct value any_value(struct rng *r) {
    static const char *const texts[] = {"", "a", "a\xff", "ab", "1", "-1"};
    static const double reals[] = {0,
                                   -0.0,
                                   0.5,
                                   -0.5,
                                   1,
                                   0x1p53,
                                   0x1p62,
                                   0x1p63,
                                   -0x1p63,
                                   -0x1.0000000000001p63,
                                   1e300,
                                   INFINITY,
                                   -INFINITY,
                                   9007199254740993.0,
                                   -9223372036854774784.0};
    static const int64_t ints[] = {0,
                                   1,
                                   -1,
                                   INT64_MAX,
                                   INT64_MIN,
                                   INT64_MAX - 1,
                                   INT64_C(1) << 53,
                                   (INT64_C(1) << 53) + 1,
                                   (INT64_C(1) << 62) + 1};
    const char *s = texts[rng_below(r, ARRAY_LEN(texts))];
    switch (rng_below(r, 7)) {
    case 0:
        return value_null();
    case 1:
        return value_int(ints[rng_below(r, ARRAY_LEN(ints))]);
    case 2:
        return value_int((int64_t)(rng_u64(r) >> rng_below(r, 64)));
    case 3:
        return real(reals[rng_below(r, ARRAY_LEN(reals))]);
    case 4:
        return real((double)(int64_t)rng_u64(r) / (double)(1 + rng_below(r, 9)));
    case 5:
        return text(s);
    default:
        return value_blob(s, strlen(s));
    }
}

/* value_compare is SQLite's own comparison, mixed kinds and the integers that no real can show included. */
static void order(void) {
    sqlite3 *db = open_db();
    sqlite3_stmt *s = prepare(db, "SELECT CASE WHEN ?1 IS ?2 THEN 0 WHEN ?1 IS NULL THEN -1 WHEN ?2 IS NULL THEN 1 "
                                  "WHEN ?1 < ?2 THEN -1 ELSE 1 END");
    struct rng rng;
    rng_init(&rng, 3);
    for (int i = 0; i < 300000 && !tap_failing(); i++) {
        struct value a = any_value(&rng), b = any_value(&rng);
        CHECK(value_bind(s, 1, &a, VALUE_BORROWED) == RC_OK && value_bind(s, 2, &b, VALUE_BORROWED) == RC_OK);
        CHECK(sqlite3_step(s) == SQLITE_ROW);
        int want = sqlite3_column_int(s, 0), got = value_compare(&a, &b);
        OKF((got > 0) - (got < 0) == want, "%d: %s and %s: %d, SQLite says %d", i, value_kind_name(a.kind),
            value_kind_name(b.kind), got, want);
        sqlite3_reset(s);
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* Numbers in ascending order; equal ones on one line. */
static const char *const numbers[][4] = {
    {"-Infinity"},
    {"-100000000000000000000"},
    {"-10.5", "-10.50"},
    {"-10.05", "-10.0500"},
    {"-10", "-10.0"},
    {"-9.99"},
    {"-1"},
    {"-0.10", "-0.1"},
    {"-0.09"},
    {"-0.00001"},
    {"0", "0.0", "0.00"},
    {"0.00001"},
    {"0.09"},
    {"0.1", "0.10"},
    {"1", "1.0", "1.00", "1.000"},
    {"1.0000000000000000000001"},
    {"9.99"},
    {"10", "10.0"},
    {"99"},
    {"100"},
    {"100000000000000000000"},
    {"Infinity"},
    {"NaN"},
    {"+1"}, /* from here on not canonical, by their bytes */
    {"-0"},
    {"-0.0"},
    {".5"},
    {"00"},
    {"01"},
    {"1."},
    {"1.2.3"},
    {"1e5"},
    {"inf"},
};

/* pgnum orders numbers, wherever their digits stand, and does so for SQLite too. */
static void numerics(void) {
    sqlite3 *db = open_db();
    sqlite3_stmt *s = prepare(db, "SELECT (?1 < ?2 COLLATE pgnum) - (?1 > ?2 COLLATE pgnum)");
    for (size_t i = 0; i < ARRAY_LEN(numbers) * 4; i++)
        for (size_t k = 0; k < ARRAY_LEN(numbers) * 4; k++) {
            const char *a = numbers[i / 4][i % 4], *b = numbers[k / 4][k % 4];
            if (!a || !b)
                continue;
            int want = i / 4 < k / 4 ? -1 : i / 4 > k / 4;
            OKF(pgnum_compare(a, strlen(a), b, strlen(b)) == want, "%s and %s", a, b);
            sqlite3_bind_text(s, 1, a, -1, SQLITE_STATIC);
            sqlite3_bind_text(s, 2, b, -1, SQLITE_STATIC);
            CHECK(sqlite3_step(s) == SQLITE_ROW);
            EQ_INT(sqlite3_column_int(s, 0), -want);
            sqlite3_reset(s);
        }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        OKF(pgnum_canonical(numbers[i][0], strlen(numbers[i][0])) == (i < 23), "%s", numbers[i][0]);
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* Random texts of the letters that numbers are made of: the order stays transitive and antisymmetric. */
static void numerics_total(void) {
    static const char letters[] = "0019-.N";
    struct rng rng;
    rng_init(&rng, 5);
    for (int round = 0; round < 100000 && !tap_failing(); round++) {
        char t[3][8];
        size_t n[3];
        for (int i = 0; i < 3; i++) {
            n[i] = rng_below(&rng, 8);
            for (size_t k = 0; k < n[i]; k++)
                t[i][k] = letters[rng_below(&rng, sizeof letters - 1)];
        }
        int ab = pgnum_compare(t[0], n[0], t[1], n[1]), bc = pgnum_compare(t[1], n[1], t[2], n[2]);
        OK(pgnum_compare(t[1], n[1], t[0], n[0]) == -ab);
        if (ab <= 0 && bc <= 0)
            EQ_INT(pgnum_compare(t[0], n[0], t[2], n[2]), ab || bc ? -1 : 0);
    }
}

/* NaN is never taken for NULL, by parameters or by results of functions, and sorts last as in PostgreSQL. */
static void echo(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    struct value v;
    (void)argc;
    CHECK(value_from_sqlite(argv[0], &v) == RC_OK);
    if (v.kind == VALUE_BLOB)
        v = (struct value){.kind = VALUE_REAL, .r = NAN};
    value_result(ctx, &v);
}

static void nan_values(void) {
    sqlite3 *db = open_db();
    CHECK(sqlite3_create_function(db, "echo", 1, SQLITE_UTF8, NULL, echo, NULL, NULL) == SQLITE_OK);
    sqlite3_stmt *s = prepare(db, "SELECT echo(?1), ?1 > 9e999, echo(?2) IS ?2, echo(?3) IS ?3");
    struct value v = real(NAN), t = text("x"), b = value_null(), got;
    EQ_INT(value_bind(s, 1, &v, VALUE_BORROWED), RC_OK);
    EQ_INT(value_bind(s, 2, &t, VALUE_BORROWED), RC_OK);
    EQ_INT(value_bind(s, 3, &b, VALUE_BORROWED), RC_OK);
    EQ_INT(value_bind(s, 4, &v, VALUE_BORROWED), RC_INTERNAL);
    EQ_INT(sqlite3_step(s), SQLITE_ROW);
    EQ_INT(value_column(s, 0, &got), RC_OK);
    OK(got.kind == VALUE_BLOB && isnan(value_float_get(&got)));
    EQ_INT(sqlite3_column_int(s, 1), 1);
    EQ_INT(sqlite3_column_int(s, 2), 1);
    EQ_INT(sqlite3_column_int(s, 3), 1);
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* A copy owns its bytes; an arena that is full says so and leaves the value. */
static void copies(void) {
    struct arena a;
    char bytes[] = "hello";
    arena_init(&a, ARENA_CHUNK_BYTES);
    struct value v = text(bytes), w = v;
    EQ_INT(value_copy(&a, &w), RC_OK);
    OK(w.p != v.p && value_same(&v, &w));
    bytes[0] = 'j';
    OK(!value_same(&v, &w));
    char *large = calloc(1, 3 * ARENA_CHUNK_BYTES);
    struct value l = value_blob(large, 3 * ARENA_CHUNK_BYTES);
    EQ_INT(value_copy(&a, &l), RC_NOMEM);
    OK(l.p == large);
    free(large);
    arena_done(&a);
}

int main(void) {
    RUN(storage);
    RUN(refused);
    RUN(descriptors);
    RUN(order);
    RUN(numerics);
    RUN(numerics_total);
    RUN(nan_values);
    RUN(copies);
    return tap_done();
}
