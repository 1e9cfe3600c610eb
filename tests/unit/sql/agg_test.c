/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agg_test.c: aggregates in SQLite against what PostgreSQL 15 answered (agg.expected, written by agg_expected.pl): over all rows
 * at once, in parts that are merged, and over every window frame.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/pgnum.h"
#include "sql/functions/pgx.h"
#include "sql/types/zonecache.h"
#include "tests/lib/expected.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/unit/sql/fnkit.h"
#include "truetime/base/map.h"

enum { COLUMNS_MAX = 3, ROWS_MAX = 32 };

static struct zone_cache *cache;
static struct arena arena;
static struct type_session types;
static struct fn_env env;
static sqlite3 *db;

/* A table of rows, one aggregate over it. */
struct probe {
    const struct fn *fn;
    struct col arg[COLUMNS_MAX], ret;
    struct value v[ROWS_MAX][COLUMNS_MAX];
    int columns, rows;
    struct value spec;
    int mode;
};

static void run(const char *sql) {
    CHECKF(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

static void fill(const struct probe *p) {
    sqlite3_stmt *s;
    run("DELETE FROM t");
    CHECK(sqlite3_prepare_v2(db, "INSERT INTO t VALUES (?1, ?2, ?3)", -1, &s, NULL) == SQLITE_OK);
    for (int i = 0; i < p->rows; i++) {
        struct value n = value_int(i);
        CHECK(value_bind(s, 1, &n, VALUE_COPIED) == RC_OK);
        for (int c = 0; c < 2; c++) {
            struct value v = c < p->columns ? p->v[i][c] : value_null();
            CHECK(value_bind(s, 2 + c, &v, VALUE_COPIED) == RC_OK);
        }
        CHECK(sqlite3_step(s) == SQLITE_DONE && sqlite3_reset(s) == SQLITE_OK);
    }
    sqlite3_finalize(s);
}

/* sql: with the aggregate's arguments as AGG(mode, ...): ?1 is its id, ?2 the spec. The value of the row-th row (from 0). */
static enum rc query(const struct probe *p, const char *sql, int row, struct value *ret, struct err *err) {
    sqlite3_stmt *s;
    struct value id = value_int(p->fn->id);
    enum rc rc = RC_OK;
    CHECKF(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    CHECK(value_bind(s, 1, &id, VALUE_COPIED) == RC_OK && value_bind(s, 2, &p->spec, VALUE_COPIED) == RC_OK);
    int step = SQLITE_ROW;
    for (int i = 0; i <= row && step == SQLITE_ROW; i++)
        step = sqlite3_step(s);
    if (step == SQLITE_ROW) {
        CHECK(value_column(s, 0, ret) == RC_OK && value_copy(&arena, ret) == RC_OK);
    } else {
        CHECKF(pgx_sqlite_error(db, err), "%s: %s", sql, sqlite3_errmsg(db));
        rc = err->rc;
    }
    sqlite3_finalize(s);
    return rc;
}

static const char *columns(const struct probe *p, bool key) {
    static const char *const list[2][3] = {{"", ", a", ", a, b"}, {", a", ", a, a", ", a, b, a"}};
    return list[key][p->columns];
}

static void print(const struct probe *p, enum rc rc, const struct value *v, struct buf *to) {
    if (!rc && v->kind == VALUE_NULL)
        buf_puts(to, "NULL");
    else if (!rc)
        CHECK(type_print(&types, &p->ret, v, to, NULL) == RC_OK);
}

/* Sums of doubles in another order may differ in their last bits. */
static bool near(const struct probe *p, const struct value *a, const struct value *b) {
    if (a->kind != b->kind)
        return false;
    if (p->ret.type != COL_FLOAT8 || a->kind != VALUE_REAL)
        return a->kind == VALUE_NULL || fn_value_compare(&p->ret, a, b) == 0;
    return fabs(a->r - b->r) <= 1e-9 * fabs(a->r) || fabs(a->r - b->r) < 1e-12 || a->r == b->r;
}

/* As three parts, and as parts of parts. */
static void in_parts(const struct expected *e, const struct probe *p, enum rc whole, const struct value *want) {
    static const char *const shapes[][2] = {
        {"SELECT pgagg(?1, ?2, 2, p) FROM (SELECT pgagg(?1, ?2, 1", ") AS p FROM t GROUP BY i / 2)"},
        {"SELECT pgagg(?1, ?2, 2, p) FROM (SELECT pgagg(?1, ?2, 3, p) AS p FROM (SELECT i / 2 AS g, pgagg(?1, ?2, 1",
         ") AS p FROM t GROUP BY i) GROUP BY g)"},
    };
    for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
        char sql[300];
        struct value v = value_null();
        struct err err = {0};
        snprintf(sql, sizeof sql, "%s%s%s", shapes[k][0], columns(p, false), shapes[k][1]);
        enum rc rc = query(p, sql, 0, &v, &err);
        /* several overflow in parts where the whole does not, or the other way: then there is nothing to compare */
        if (rc || whole) {
            OK(strcmp(err_sqlstate(&err), "00000") == 0 || strcmp(err_sqlstate(&err), "22003") == 0 || whole);
            continue;
        }
        OKF(near(p, &v, want), "line %d: %s %s in parts is something else", e->number, e->word[0], e->word[2]);
    }
}

/* Each frame gives what an aggregate over its rows alone gives. */
static void in_windows(const struct expected *e, const struct probe *p) {
    for (int i = 0; i < p->rows; i++) {
        char sql[300];
        struct value got = value_null(), want = value_null();
        struct err err = {0};
        snprintf(sql, sizeof sql, "SELECT pgagg(?1, ?2, 0%s) FROM t WHERE i BETWEEN %d AND %d", columns(p, false),
                 i - 1, i + 1);
        enum rc rc = query(p, sql, 0, &want, &err);
        snprintf(sql, sizeof sql,
                 "SELECT pgwin(?1, ?2, 0%s) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM t",
                 columns(p, false));
        if (rc || query(p, sql, i, &got, &err))
            return;
        OKF(near(p, &got, &want), "line %d: %s %s over a window, row %d", e->number, e->word[0], e->word[2], i);
    }
}

static void read_columns(const struct expected *e, struct probe *p) {
    for (size_t w = 2; w < e->n_words; w++) {
        char *at = e->word[w];
        size_t end = strcspn(at, ":");
        int c = p->columns++;
        p->arg[c] = fnkit_type(at, end);
        at += end + 1;
        p->rows = 0;
        for (bool more = true; more; p->rows++) {
            size_t n = strcspn(at, ";");
            struct value *v = &p->v[p->rows][c];
            *v = value_null();
            if (!(n == 1 && *at == '!'))
                CHECK(type_parse(&types, &p->arg[c], at, n, &arena, v, NULL) == RC_OK);
            more = at[n] == ';';
            at += n + more;
        }
    }
}

static void one_line(struct expected *e) {
    struct probe p = {.columns = 0};
    struct value v = value_null();
    struct err err = {0};
    struct buf text;
    char sql[200];
    read_columns(e, &p);
    p.fn = fnkit_find(e->word[0], p.arg, (size_t)p.columns, &p.ret);
    buf_init(&text, 0);
    if (!p.fn) {
        expected_check(e, err_set(&err, RC_NOTFOUND, "no aggregate %s", e->word[0]), &err, "", 0);
        return;
    }
    bool sorted = e->word[1][0] == 'a' || (e->word[1][0] == 'd' && e->word[1][1] == 'e');
    struct pgx_order order = {.type = p.arg[0], .desc = e->word[1][0] == 'd', .nulls_first = e->word[1][0] == 'd'};
    struct pgx_agg agg = {.call = {.arg = p.arg, .ret = p.ret}, .args = (size_t)p.columns, .order = &order};
    agg.distinct = strcmp(e->word[1], "distinct") == 0;
    agg.orders = sorted;
    CHECK(pgx_agg_spec(&arena, &agg, &p.spec) == RC_OK);
    fill(&p);
    snprintf(sql, sizeof sql, "SELECT pgagg(?1, ?2, 0%s) FROM t", columns(&p, sorted));
    enum rc rc = query(&p, sql, 0, &v, &err);
    print(&p, rc, &v, &text);
    expected_check(e, rc, &err, text.data, text.len);
    if (!sorted && !agg.distinct) {
        if (p.fn->agg->merge)
            in_parts(e, &p, rc, &v);
        in_windows(e, &p);
    }
    buf_done(&text);
    arena_reset(&arena);
}

static void test_expected(void) {
    struct expected e;
    expected_open(&e, EXPECTED_FILE);
    while (expected_next(&e))
        one_line(&e);
    expected_close(&e);
}

/* numeric(10,2) comes as its scaled integer, and min gives it back in the result's form. */
static void test_scaled(void) {
    struct col n = col_numeric(10, 2), loose = col_of(COL_NUMERIC);
    static const struct {
        const char *name, *want;
    } cases[] = {{"sum", "3.75"},
                 {"avg", "1.8750000000000000"},
                 {"min", "1.25"},
                 {"max", "2.50"},
                 {"variance", "0.78125000000000000000"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct probe p = {.columns = 1, .rows = 3, .arg = {n}};
        struct value v;
        struct err err = {0};
        char sql[100];
        p.v[0][0] = value_int(125);
        p.v[1][0] = value_null();
        p.v[2][0] = value_int(250);
        p.fn = fnkit_find(cases[i].name, &loose, 1, &p.ret);
        struct fn_call call = {.arg = p.arg, .ret = p.ret};
        CHECK(p.fn && pgx_types(&arena, &call, 1, &p.spec) == RC_OK);
        fill(&p);
        snprintf(sql, sizeof sql, "SELECT pgagg(?1, ?2, 0%s) FROM t", columns(&p, false));
        CHECK(query(&p, sql, 0, &v, &err) == RC_OK);
        OKF(v.kind == VALUE_TEXT && v.bytes == strlen(cases[i].want) && memcmp(v.p, cases[i].want, v.bytes) == 0,
            "%s: %.*s", cases[i].name, (int)v.bytes, v.kind == VALUE_TEXT ? (const char *)v.p : "");
    }
}

/* Damaged parts and types, values of other storage classes: errors, and nothing worse. */
static void test_damage(void) {
    struct col t = col_of(COL_INT4);
    static const char *const names[] = {"sum", "avg", "variance", "min", "array_agg", "count", "bit_and"};
    struct buf part;
    buf_init(&part, 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct probe p = {.columns = 1, .rows = 1, .arg = {t}};
        struct value v;
        struct err err = {0};
        p.fn = fnkit_find(names[i], &t, 1, &p.ret);
        struct fn_call call = {.arg = p.arg, .ret = p.ret};
        CHECK(p.fn && pgx_types(&arena, &call, 1, &p.spec) == RC_OK);
        for (int n = 0; n < 30; n++) {
            buf_reset(&part, 100);
            for (int k = 0; k < n; k++)
                buf_putc(&part, (uint8_t)(hash_u64((uint64_t)n * 100 + (uint64_t)k) % 7 == 0 ? 255 : k));
            p.v[0][0] = value_blob(part.data ? part.data : (const uint8_t *)"", part.len);
            fill(&p);
            IGNORE(query(&p, "SELECT pgagg(?1, ?2, 2, a) FROM t", 0, &v, &err)); /* some are parts by chance */
            EQ_INT(query(&p, "SELECT pgagg(?1, ?2, 0, a) FROM t", 0, &v, &err), RC_CORRUPT);
        }
        struct value spec = p.spec;
        for (uint32_t n = 0; n < spec.bytes; n++) {
            p.spec.bytes = n;
            OK(query(&p, "SELECT pgagg(?1, ?2, 0, 1) FROM t", 0, &v, &err) != RC_OK);
        }
    }
    buf_done(&part);
}

static void all(struct reactor *r) {
    CHECK(zone_cache_new(reactor_env(r), ZONE_DIR, &cache) == RC_OK);
    arena_init(&arena, 0);
    types = (struct type_session){.zone = zone_cache_utc(cache), .find_zone = zone_cache_find, .ctx = cache};
    env = (struct fn_env){.types = &types};
    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK && pgnum_register(db, NULL) == RC_OK);
    CHECK(pgx_register(db, &env, NULL) == RC_OK);
    run("CREATE TABLE t(i INTEGER, a ANY, b ANY) STRICT");
    RUN(test_expected);
    RUN(test_scaled);
    RUN(test_damage);
    sqlite3_close(db);
    arena_done(&arena);
    zone_cache_free(cache);
}

int main(void) {
    on_fiber(DIAG_ERROR, all);
    return tap_done();
}
