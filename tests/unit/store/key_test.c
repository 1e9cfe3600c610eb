/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/store/key.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/pgnum.h"
#include "tests/lib/anyvalue.h"
#include "tests/lib/tap.h"

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

static struct value text(const char *s) {
    return value_text(s, strlen(s));
}

/* A value of the column, or NULL. */
static struct value any_or_null(struct rng *r, const struct col *c, struct arena *a) {
    return rng_chance(r, 0.02) ? value_null() : any_value(r, c, a);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

/*
 * Rows of n columns go into a STRICT table beside their keys. SQLite sorts them by the columns and says which neighbours it
 * takes for equal; the keys must be equal there, and grow everywhere else.
 */
static void ask_sqlite(sqlite3 *db, struct rng *rng, const struct key_part *parts, size_t n, int rows) {
    char create[600] = "CREATE TABLE t(k BLOB", insert[200] = "INSERT INTO t VALUES(?", order[600] = "";
    char same[600] = "1", name[COL_NAME_BYTES], sql[1500];
    for (size_t i = 0; i < n; i++) {
        char part[100];
        snprintf(part, sizeof part, ", c%zu %s", i, col_decl(&parts[i].col));
        strncat(create, part, sizeof create - strlen(create) - 1);
        strncat(insert, ", ?", sizeof insert - strlen(insert) - 1);
        snprintf(part, sizeof part, "%sc%zu%s", i ? ", " : "", i, parts[i].desc ? " DESC" : "");
        strncat(order, part, sizeof order - strlen(order) - 1);
        snprintf(part, sizeof part, " AND c%zu IS lag(c%zu) OVER w", i, i);
        strncat(same, part, sizeof same - strlen(same) - 1);
    }
    snprintf(sql, sizeof sql, "%s) STRICT", create);
    CHECKF(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    snprintf(sql, sizeof sql, "%s)", insert);
    sqlite3_stmt *in = prepare(db, sql);
    struct arena a;
    struct buf k;
    arena_init(&a, 0);
    buf_init(&k, 0);
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    for (int row = 0; row < rows; row++) {
        for (size_t i = 0; i < n; i++) {
            struct value v = any_or_null(rng, &parts[i].col, &a);
            struct err err = {0};
            enum rc rc = key_put(&k, &parts[i], &v, &err);
            CHECKF(rc == RC_OK, "%s: %s %s", col_name(&parts[i].col, name), err_message(&err), err.detail);
            CHECK(value_bind(in, (int)i + 2, &v, VALUE_BORROWED) == RC_OK);
        }
        struct value kv = value_blob(k.data, k.len);
        CHECK(value_bind(in, 1, &kv, VALUE_BORROWED) == RC_OK);
        CHECKF(sqlite3_step(in) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
        sqlite3_reset(in);
        arena_reset(&a);
        buf_reset(&k, 4096);
    }
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    snprintf(sql, sizeof sql, "SELECT k, %s FROM t WINDOW w AS (ORDER BY %s)", same, order);
    sqlite3_stmt *out = prepare(db, sql);
    uint8_t before[1000];
    size_t before_bytes = 0, equal = 0;
    int seen = 0;
    while (sqlite3_step(out) == SQLITE_ROW && !tap_failing()) {
        struct key now = key_of(sqlite3_column_blob(out, 0), (size_t)sqlite3_column_bytes(out, 0));
        bool is_same = sqlite3_column_int(out, 1);
        CHECK(now.bytes <= sizeof before);
        if (seen++) {
            int c = key_compare(key_of(before, before_bytes), now);
            equal += c == 0;
            if (is_same ? c != 0 : c >= 0) {
                struct buf x;
                buf_init(&x, 0);
                key_print(key_of(before, before_bytes), &x);
                buf_puts(&x, is_same ? " equals " : " is before ");
                key_print(now, &x);
                OKF(false, "%s: %s, says SQLite", col_name(&parts[0].col, name), buf_cstr(&x));
                buf_done(&x);
            }
        }
        memcpy(before, now.p, now.bytes);
        before_bytes = now.bytes;
    }
    if (!tap_failing()) {
        EQ_INT(seen, rows);
        OK(n > 1 || equal > 0);
    }
    sqlite3_finalize(in);
    sqlite3_finalize(out);
    sqlite3_exec(db, "DROP TABLE t", NULL, NULL, NULL);
    arena_done(&a);
    buf_done(&k);
}

static const struct col *key_cols(size_t *ret_n) {
    static struct col cols[40];
    size_t n = 0;
    static const enum col_type plain[] = {COL_BOOL, COL_INT2,    COL_INT4, COL_INT8,  COL_FLOAT4,    COL_FLOAT8,
                                          COL_TEXT, COL_VARCHAR, COL_CHAR, COL_BYTEA, COL_DATE,      COL_TIME,
                                          COL_UUID, COL_NUMERIC, COL_OID,  COL_ENUM,  COL_TIMESTAMP, COL_TIMESTAMPTZ};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        cols[n] = col_of(plain[i]);
        cols[n++].type_id = plain[i] == COL_ENUM;
    }
    cols[n++] = col_numeric(18, 2);
    cols[n++] = col_numeric(18, 0);
    cols[n++] = col_numeric(5, 7);
    cols[n++] = col_numeric(3, -2);
    cols[n++] = col_numeric(19, 3);
    cols[n++] = col_numeric(38, 10);
    cols[n++] = col_numeric(30, -4);
    cols[n++] = col_length(COL_CHAR, 4);
    cols[n++] = col_length(COL_VARCHAR, 4);
    *ret_n = n;
    return cols;
}

/* Each type in both directions: together KEY_ROWS values (8 million were compared once). */
static void order_of_types(void) {
    sqlite3 *db = open_db();
    struct rng rng;
    size_t n;
    const struct col *cols = key_cols(&n);
    int rows = (int)(tap_env("KEY_ROWS", 540000) / n / 2);
    rng_init(&rng, tap_env("KEY_SEED", 1));
    for (size_t i = 0; i < n && !tap_failing(); i++)
        for (int desc = 0; desc < 2; desc++) {
            struct key_part part = {cols[i], desc};
            ask_sqlite(db, &rng, &part, 1, rows);
        }
    sqlite3_close(db);
}

/* Several columns of any types and directions. */
static void order_of_composites(void) {
    sqlite3 *db = open_db();
    struct rng rng;
    rng_init(&rng, tap_env("KEY_SEED", 1) + 100);
    for (int round = 0; round < 50 && !tap_failing(); round++) {
        struct key_part parts[4];
        size_t n = 2 + rng_below(&rng, 3);
        for (size_t i = 0; i < n; i++)
            parts[i] = (struct key_part){any_key_col(&rng), rng_chance(&rng, 0.4)};
        ask_sqlite(db, &rng, parts, n, 2000);
    }
    sqlite3_close(db);
}

/* ---- round trips ------------------------------------------------------------------------------------------------- */

static bool reads_equal(const struct col *c, const struct value *v, const struct value *back) {
    struct value want = *v;
    if (v->kind == VALUE_REAL && v->r == 0)
        want.r = 0; /* -0.0 is 0.0 */
    if (c->type == COL_NUMERIC && c->typmod == COL_TYPMOD_NONE)
        return col_compare(c, v, back) == 0;
    return value_same(&want, back);
}

/* decode(encode(row)) = row, whatever the types; the same bytes come out again; skipping lands at the same places. */
static void round_trips(void) {
    struct rng rng;
    struct arena a;
    struct buf k, again;
    rng_init(&rng, 2);
    arena_init(&a, 0);
    buf_init(&k, 0);
    buf_init(&again, 0);
    for (int round = 0; round < 100000 && !tap_failing(); round++) {
        struct key_part parts[4];
        struct value v[4], back[4];
        size_t n = 1 + rng_below(&rng, 4);
        for (size_t i = 0; i < n; i++) {
            parts[i] = (struct key_part){any_key_col(&rng), rng_chance(&rng, 0.4)};
            v[i] = any_or_null(&rng, &parts[i].col, &a);
        }
        struct err err = {0};
        CHECK(key_put_row(&k, parts, v, n, &err) == RC_OK);
        uint8_t *exact = malloc(k.len); /* ASan watches its end */
        memcpy(exact, k.data, k.len);
        struct rd r, skip;
        rd_init(&r, exact, k.len);
        rd_init(&skip, exact, k.len);
        for (size_t i = 0; i < n; i++) {
            char name[COL_NAME_BYTES];
            OK(*r.at != 0 && *r.at != 0xff);
            OKF(key_get(&r, &parts[i], &a, &back[i], &err) == RC_OK, "%s: %s", col_name(&parts[i].col, name),
                err_message(&err));
            OKF(reads_equal(&parts[i].col, &v[i], &back[i]), "%s%s", col_name(&parts[i].col, name),
                parts[i].desc ? " desc" : "");
            OK(key_skip(&skip, parts[i].desc, NULL) == RC_OK && skip.at == r.at);
        }
        OK(rd_left(&r) == 0);
        if (!tap_failing()) {
            CHECK(key_put_row(&again, parts, back, n, &err) == RC_OK);
            EQ_MEM(again.data, again.len, exact, k.len);
        }
        /* every shorter beginning is damaged, and says so */
        size_t cut = rng_below(&rng, k.len);
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, k.data, cut);
        rd_init(&r, part, cut);
        EQ_INT(key_get_row(&r, parts, n, &a, back, &err), RC_CORRUPT);
        free(part);
        free(exact);
        arena_reset(&a);
        buf_reset(&k, 4096);
        buf_reset(&again, 4096);
    }
    arena_done(&a);
    buf_done(&k);
    buf_done(&again);
}

static void check_bytes(const struct col *c, bool desc, struct value v, const char *hex) {
    struct buf b;
    char got[200] = "", name[COL_NAME_BYTES];
    struct key_part part = {*c, desc};
    struct err err = {0};
    buf_init(&b, 0);
    OKF(key_put(&b, &part, &v, &err) == RC_OK, "%s", err_message(&err));
    for (size_t i = 0; i < b.len && i < 60; i++)
        snprintf(got + 2 * i, 3, "%02x", b.data[i]);
    OKF(strcmp(got, hex) == 0, "%s: %s, not %s", col_name(c, name), got, hex);
    buf_done(&b);
}

/* The bytes of the table in key.h, so that a change of the format is a change of this test. */
static void format(void) {
    struct col i4 = col_of(COL_INT4), i8 = col_of(COL_INT8), f8 = col_of(COL_FLOAT8), num = col_of(COL_NUMERIC);
    struct col n2 = col_numeric(10, 2), t = col_of(COL_TEXT), b = col_of(COL_BYTEA), u = col_of(COL_UUID);
    check_bytes(&i4, false, value_null(), "01");
    check_bytes(&i4, true, value_null(), "fe");
    check_bytes(&i4, false, value_int(0), "80");
    check_bytes(&i4, false, value_int(1), "8101");
    check_bytes(&i8, false, value_int(1), "8101");
    check_bytes(&i4, false, value_int(256), "820100");
    check_bytes(&i4, false, value_int(-1), "7f");
    check_bytes(&i4, false, value_int(-2), "7efe");
    check_bytes(&i4, false, value_int(-257), "7dfeff");
    check_bytes(&i4, true, value_int(1), "7efe");
    check_bytes(&i8, false, value_int(INT64_MIN), "778000000000000000");
    check_bytes(&f8, false, (struct value){.kind = VALUE_REAL, .r = 1}, "10bff0000000000000");
    check_bytes(&f8, false, (struct value){.kind = VALUE_REAL, .r = -1}, "10400fffffffffffff");
    check_bytes(&f8, false, (struct value){.kind = VALUE_REAL, .r = -0.0}, "108000000000000000");
    check_bytes(&f8, false, value_float(NAN), "10fff8000000000000");
    check_bytes(&num, false, text("0.00"), "22");
    check_bytes(&num, false, text("1.50"), "2381010364");
    check_bytes(&n2, false, value_int(150), "2381010364");
    check_bytes(&num, false, text("-1.5"), "217efefc9b");
    check_bytes(&num, false, text("12345"), "238103032f5a");
    check_bytes(&num, false, text("0.001"), "237f14");
    check_bytes(&num, false, text("NaN"), "25");
    check_bytes(&n2, false, value_int(INT64_MAX), "25");
    check_bytes(&num, false, text("-Infinity"), "20");
    check_bytes(&t, false, text("ab"), "3061620001");
    check_bytes(&t, true, text("ab"), "cf9e9dfffe");
    check_bytes(&b, false, value_blob("\0\xff", 2), "3100ffff0001");
    check_bytes(&u, false, value_blob("0123456789abcdef", 16), "3230313233343536373839616263646566");
}

/* ---- tables in tables -------------------------------------------------------------------------------------------- */

static void put_all(struct buf *b, const int64_t *ids, size_t n) {
    struct key_part part = {col_of(COL_INT8), false};
    for (size_t i = 0; i < n; i++) {
        struct value v = value_int(ids[i]);
        CHECK(i % 2 ? key_put(b, &part, &v, NULL) == RC_OK : key_put_table(b, (uint32_t)ids[i], NULL) == RC_OK);
    }
}

/* A row, its children and grandchildren stand together, before the next row and after the one before; the family is
 * what lies between a root row's key and the end of that prefix. */
static void interleaved(void) {
    static const int64_t rows[][6] = {{7, 1}, {7, 1, 9, 1}, {7, 1, 9, 1, 11, 5}, {7, 1, 9, 2}, {7, 1, 10, 1},
                                      {7, 2}, {7, 300},     {7, 300, 9, 0},      {8, 0}};
    static const size_t lengths[] = {2, 4, 6, 4, 4, 2, 2, 4, 2};
    struct buf keys[ARRAY_LEN(lengths)], end, next_key;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        buf_init(&keys[i], 0);
        put_all(&keys[i], rows[i], lengths[i]);
        if (i)
            OK(key_compare(key_of_buf(&keys[i - 1]), key_of_buf(&keys[i])) < 0);
    }
    buf_init(&end, 0);
    buf_init(&next_key, 0);
    EQ_INT(key_prefix_end(&end, key_of_buf(&keys[0]), NULL), RC_OK);
    EQ_INT(key_successor(&next_key, key_of_buf(&keys[0]), NULL), RC_OK);
    OK(key_compare(key_of_buf(&keys[0]), key_of_buf(&next_key)) < 0);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        bool family = key_has_prefix(key_of_buf(&keys[i]), key_of_buf(&keys[0]));
        EQ_INT(family, i < 5);
        EQ_INT(key_compare(key_of_buf(&keys[i]), key_of_buf(&end)) < 0, i < 5);
        if (i)
            OK(key_compare(key_of_buf(&next_key), key_of_buf(&keys[i])) <= 0);
    }
    struct rd r;
    uint32_t table = 0;
    rd_init(&r, keys[2].data, keys[2].len);
    EQ_INT(key_get_table(&r, &table, NULL), RC_OK);
    EQ_INT(table, 7);
    EQ_INT(key_skip(&r, false, NULL), RC_OK);
    EQ_INT(key_get_table(&r, &table, NULL), RC_OK);
    EQ_INT(table, 9);
    struct buf shown;
    buf_init(&shown, 0);
    key_print(key_of_buf(&keys[2]), &shown);
    EQ_STR(buf_cstr(&shown), "7/1/9/1/11/5");
    buf_done(&shown);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
        buf_done(&keys[i]);
    buf_done(&end);
    buf_done(&next_key);
}

/* Nothing lies between a key and its successor; a prefix ends right after the last key that has it. */
static void neighbours(void) {
    struct rng rng;
    struct buf b;
    rng_init(&rng, 4);
    buf_init(&b, 0);
    for (int round = 0; round < 200000 && !tap_failing(); round++) {
        uint8_t p[4], q[6];
        size_t n = rng_below(&rng, 5), m = rng_below(&rng, 7);
        for (size_t i = 0; i < n; i++)
            p[i] = (uint8_t)(0xfd + rng_below(&rng, 4));
        for (size_t i = 0; i < m; i++)
            q[i] = (uint8_t)(0xfd + rng_below(&rng, 4));
        struct key k = key_of(p, n), other = key_of(q, m);
        EQ_INT(key_successor(&b, k, NULL), RC_OK);
        EQ_INT(key_compare(other, k) > 0, key_compare(other, key_of_buf(&b)) >= 0);
        buf_reset(&b, 100);
        EQ_INT(key_prefix_end(&b, k, NULL), RC_OK);
        bool before_end = b.len == 0 || key_compare(other, key_of_buf(&b)) < 0;
        EQ_INT(key_has_prefix(other, k), key_compare(other, k) >= 0 && before_end);
        buf_reset(&b, 100);
    }
    buf_done(&b);
}

/* ---- refused ----------------------------------------------------------------------------------------------------- */

/* Types without an order of bytes, values of other columns and keys that are too long are refused, and the key is as it
 * was. */
static void refused(void) {
    struct buf b;
    struct err err = {0};
    buf_init(&b, 0);
    static const enum col_type none[] = {COL_INTERVAL, COL_JSON, COL_JSONB};
    struct key_part part = {col_of(COL_INT4), false};
    struct value v = value_int(5);
    CHECK(key_put(&b, &part, &v, NULL) == RC_OK);
    size_t before = b.len;
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        part.col = col_of(none[i]);
        v = value_null();
        EQ_INT(key_put(&b, &part, &v, &err), RC_UNSUPPORTED);
        EQ_STR(err_sqlstate(&err), "0A000");
    }
    struct col array = col_array_of(col_of(COL_TEXT));
    EQ_INT(key_supports(&array, "tags", &err), RC_UNSUPPORTED);
    EQ_STR(err_message(&err), "column \"tags\" of type text[] cannot be part of a key");
    part.col = col_of(COL_INT2);
    v = value_int(40000);
    EQ_INT(key_put(&b, &part, &v, &err), RC_INVAL);
    part.col = col_of(COL_CHAR);
    v = text("blank ");
    EQ_INT(key_put(&b, &part, &v, &err), RC_INVAL);
    char *large = calloc(1, KEY_BYTES_MAX + 1);
    part.col = col_of(COL_BYTEA);
    for (size_t n = KEY_BYTES_MAX / 2 - 5; n <= KEY_BYTES_MAX + 1; n += 100) {
        v = value_blob(large, n);
        bool fits = before + 3 + 2 * n <= KEY_BYTES_MAX; /* each zero takes two */
        EQ_INT(key_put(&b, &part, &v, &err), fits ? RC_OK : RC_LIMIT);
        if (fits)
            b.len = before;
        EQ_INT(b.len, before);
    }
    memset(large, '9', KEY_BYTES_MAX + 1);
    part.col = col_of(COL_NUMERIC);
    v = value_text(large, KEY_BYTES_MAX + 1);
    EQ_INT(key_put(&b, &part, &v, &err), RC_OK); /* two digits a byte */
    free(large);
    buf_done(&b);
    /* a buffer that cannot grow */
    buf_init(&b, 3);
    part.col = col_of(COL_TEXT);
    v = text("abc");
    EQ_INT(key_put(&b, &part, &v, &err), RC_LIMIT);
    EQ_INT(b.len, 0);
    buf_done(&b);
}

/* Bytes that key_put never writes are damaged: more than one way to say a thing would be more than one key. */
static void other_ways(void) {
    static const struct {
        enum col_type type;
        const char *bytes;
        size_t n;
    } cases[] = {
        {COL_INT8, "\x81\x00", 2},
        {COL_INT8, "\x7e\xff", 2},
        {COL_INT8, "\x88\x80\x00\x00\x00\x00\x00\x00\x00", 9},
        {COL_INT8, "\x77\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
        {COL_INT2, "\x83\x01\x00\x00", 4},
        {COL_INT8, "\x00", 1},
        {COL_INT8, "\x30\x00\x01", 3},
        {COL_BOOL, "\x81\x02", 2},
        {COL_FLOAT8, "\x10\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
        {COL_FLOAT8, "\x10\xff\xf8\x00\x00\x00\x00\x00\x01", 9},
        {COL_FLOAT8, "\x10\x00\x07\xff\xff\xff\xff\xff\xff", 9},
        {COL_FLOAT4, "\x10\xbf\xf0\x00\x00\x00\x00\x00\x01", 9},
        {COL_NUMERIC, "\x23\x80\x00", 3},
        {COL_NUMERIC, "\x23\x80\x01\x02", 4},
        {COL_NUMERIC, "\x23\x80\x03\x00", 4},
        {COL_NUMERIC, "\x23\x80\xc8", 3},
        {COL_NUMERIC, "\x23\x83\x01\x00\x02\x02", 6},
        {COL_NUMERIC, "\x23\x7d\xdf\x00\x02", 5},
        {COL_NUMERIC, "\x26", 1},
        {COL_TEXT, "\x30\x61\x00\x02", 4},
        {COL_TEXT, "\x30\x61\x00", 3},
        {COL_CHAR, "\x30\x61\x20\x00\x01", 5},
        {COL_BYTEA, "\x30\x00\x01", 3},
        {COL_UUID, "\x32\x00", 2},
        {COL_INTERVAL, "\x01", 1},
    };
    struct arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct key_part part = {col_of(cases[i].type), false};
        struct rd r;
        struct value v;
        rd_init(&r, cases[i].bytes, cases[i].n);
        enum rc rc = key_get(&r, &part, &a, &v, NULL),
                want = cases[i].type == COL_INTERVAL ? RC_UNSUPPORTED : RC_CORRUPT;
        OKF(rc == want, "%zu: %s", i, rc_name(rc));
    }
    arena_done(&a);
}

int main(void) {
    RUN(format);
    RUN(order_of_types);
    RUN(order_of_composites);
    RUN(round_trips);
    RUN(interleaved);
    RUN(neighbours);
    RUN(refused);
    RUN(other_ways);
    return tap_done();
}
