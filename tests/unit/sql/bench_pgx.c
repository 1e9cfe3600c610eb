/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_pgx.c: what a row costs in SQLite when an expression is a program, beside SQLite's own operators; aggregates beside its own.
 */
#include "shard/store/pgnum.h"
#include "sql/functions/pgx.h"
#include "tests/lib/bench.h"

enum { ROWS = 100000 };

static struct arena arena;

/* a + b > 100 as two calls. */
static struct value sum_above(uint32_t plus, uint32_t above, struct col type) {
    struct pgx_builder *b = pgx_builder_new(&arena);
    struct col types[2] = {type, type};
    struct fn_call add = {.arg = types, .ret = type}, more = {.arg = types, .ret = col_of(COL_BOOL)};
    struct value k = type.type == COL_NUMERIC ? value_text("100.00", 6) : value_int(100);
    const void *p;
    size_t n;
    uint16_t r = pgx_reg(b, 4);
    pgx_arg(b, r, 0);
    pgx_arg(b, (uint16_t)(r + 1), 1);
    pgx_call(b, (uint16_t)(r + 2), fn_by_id(plus), r, 2, &add);
    pgx_const(b, (uint16_t)(r + 3), &k);
    pgx_call(b, r, fn_by_id(above), (uint16_t)(r + 2), 2, &more);
    pgx_return(b, r);
    CHECK(pgx_finish(b, &p, &n, NULL) == RC_OK);
    return value_blob(p, n);
}

static struct value one_arg(struct col type, struct col ret) {
    struct fn_call call = {.arg = &type, .ret = ret};
    struct value v;
    CHECK(pgx_types(&arena, &call, 1, &v) == RC_OK);
    return v;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql, const struct value *program, int64_t id) {
    sqlite3_stmt *s;
    struct value v = value_int(id);
    CHECKF(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    if (program)
        CHECK(value_bind(s, 1, program, VALUE_BORROWED) == RC_OK);
    if (id)
        CHECK(value_bind(s, 2, &v, VALUE_COPIED) == RC_OK);
    return s;
}

static double ns_a_row(sqlite3_stmt *s) {
    int64_t from = bench_cpu_ns();
    while (sqlite3_step(s) == SQLITE_ROW)
        ;
    CHECK(sqlite3_reset(s) == SQLITE_OK);
    return (double)(bench_cpu_ns() - from) / ROWS;
}

/* Ours beside SQLite's own, run after run. */
static void compare(const char *name, sqlite3_stmt *ours, sqlite3_stmt *own, double limit) {
    struct bench_figure a, b;
    for (int i = 0; i < BENCH_RUNS; i++) {
        b.run[i] = ns_a_row(own);
        a.run[i] = ns_a_row(ours);
    }
    bench_compare(name, &a, "ns/row", "SQLite's own", &b, limit > 0 ? BENCH_AT_MOST : BENCH_SHOW, limit);
    sqlite3_finalize(ours);
    sqlite3_finalize(own);
}

/* What the analyser pays for a name: all functions that have it. */
static void lookups(void) {
    struct bench_figure f;
    enum { TIMES = 1000 };
    for (int i = 0; i < BENCH_RUNS; i++) {
        size_t found = 0;
        int64_t from = bench_cpu_ns();
        for (int k = 0; k < TIMES; k++)
            for (size_t at = 0; fn_by_op("+", &at);)
                found++;
        f.run[i] = (double)(bench_cpu_ns() - from) / TIMES / 1000;
        CHECK(found > TIMES);
    }
    bench_report("fn_by_op: all candidates of +", &f, "us", BENCH_SHOW, 0);
}

int main(void) {
    struct fn_env env = {0};
    struct type_session types = {0};
    sqlite3 *db;
    arena_init(&arena, 0);
    types.zone = zone_fixed(&arena, "UTC", 0);
    env.types = &types;
    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK && pgnum_register(db, NULL) == RC_OK);
    CHECK(pgx_register(db, &env, NULL) == RC_OK);
    CHECK(sqlite3_exec(db,
                       "CREATE TABLE t(i INTEGER PRIMARY KEY, a INTEGER, b INTEGER, n TEXT, t TEXT) STRICT;"
                       "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 100000)"
                       "INSERT INTO t SELECT i, i % 100, i % 77, (i % 100) || '.50', 'row ' || i FROM s",
                       NULL, NULL, NULL) == SQLITE_OK);
    struct value ints = sum_above(177, 147, col_of(COL_INT4)), nums = sum_above(1724, 1720, col_of(COL_NUMERIC));
    struct value sum4 = one_arg(col_of(COL_INT4), col_of(COL_INT8));
    struct value sumn = one_arg(col_of(COL_NUMERIC), col_of(COL_NUMERIC));
    static const char above[] = "SELECT count(*) FROM t WHERE a + b > 100", sum[] = "SELECT sum(a) FROM t";
    compare("pgx: a + b > 100, integers", prepare(db, "SELECT count(*) FROM t WHERE pgx(?1, a, b)", &ints, 0),
            prepare(db, above, NULL, 0), 2.0);
    compare("pgx: n + n > 100, numerics", prepare(db, "SELECT count(*) FROM t WHERE pgx(?1, n, n)", &nums, 0),
            prepare(db, above, NULL, 0), 0);
    compare("pgagg: sum of integers", prepare(db, "SELECT pgagg(?2, ?1, 0, a) FROM t", &sum4, 2108),
            prepare(db, sum, NULL, 0), 0);
    compare("pgagg: sum of numerics", prepare(db, "SELECT pgagg(?2, ?1, 0, n) FROM t", &sumn, 2114),
            prepare(db, sum, NULL, 0), 0);
    lookups();
    sqlite3_close(db);
    arena_done(&arena);
    return 0;
}
