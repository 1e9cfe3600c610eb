/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_embed.c: the C API's embedded engine beside SQLite itself: durable commits of one row, reads by key, opening.
 *
 * SQLite runs with journal_mode = WAL and synchronous = FULL, so that a commit is durable when it returns, as ours is.
 */
#include <sqlite3.h>
#include <stdio.h>

#include "tests/lib/bench.h"
#include "tests/lib/tap.h"
#include "txn/api/meridian.h"

enum { COMMITS = 200, READS = 2000 };

static double per(int64_t began_ns, int n) {
    return (double)(bench_now_ns() - began_ns) / 1e3 / n;
}

static void ours_insert(meridian_stmt *st, int64_t from) {
    for (int64_t i = 0; i < COMMITS; i++) {
        CHECK(meridian_bind_int64(st, 1, from + i) == MERIDIAN_OK);
        CHECK(meridian_step(st) == MERIDIAN_DONE);
    }
}

static void ours_read(meridian_stmt *st, int64_t rows) {
    for (int64_t i = 0; i < READS; i++) {
        CHECK(meridian_bind_int64(st, 1, i % rows) == MERIDIAN_OK);
        CHECK(meridian_step(st) == MERIDIAN_ROW);
        CHECK(meridian_reset_stmt(st) == MERIDIAN_OK);
    }
}

static void sqlite_insert(sqlite3_stmt *st, int64_t from) {
    for (int64_t i = 0; i < COMMITS; i++) {
        CHECK(sqlite3_bind_int64(st, 1, from + i) == SQLITE_OK);
        CHECK(sqlite3_step(st) == SQLITE_DONE);
        CHECK(sqlite3_reset(st) == SQLITE_OK);
    }
}

static void sqlite_read(sqlite3_stmt *st, int64_t rows) {
    for (int64_t i = 0; i < READS; i++) {
        CHECK(sqlite3_bind_int64(st, 1, i % rows) == SQLITE_OK);
        CHECK(sqlite3_step(st) == SQLITE_ROW);
        CHECK(sqlite3_reset(st) == SQLITE_OK);
    }
}

int main(void) {
    static const char table[] = "CREATE TABLE t (k %s PRIMARY KEY, v text)",
                      row[] = "a row of some length, as rows have it";
    char url[512], path[512], sql[256];
    struct bench_figure open_ms, commit, commit_ref, read, read_ref;
    meridian *db;
    meridian_stmt *insert, *select;
    sqlite3 *lite;
    sqlite3_stmt *lite_insert, *lite_select;
    snprintf(url, sizeof url, "file:%s/ours", tap_dir());
    snprintf(path, sizeof path, "%s/sqlite.db", tap_dir());
    CHECK(meridian_open(url, &db) == MERIDIAN_OK);
    snprintf(sql, sizeof sql, table, "int8");
    CHECK(meridian_exec(db, sql) == MERIDIAN_OK);
    snprintf(sql, sizeof sql, "INSERT INTO t VALUES ($1, '%s')", row);
    CHECK(meridian_prepare(db, sql, -1, &insert) == MERIDIAN_OK);
    CHECK(meridian_prepare(db, "SELECT v FROM t WHERE k = $1", -1, &select) == MERIDIAN_OK);
    CHECK(sqlite3_open(path, &lite) == SQLITE_OK);
    CHECK(sqlite3_exec(lite, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL, NULL) == SQLITE_OK);
    snprintf(sql, sizeof sql, table, "INTEGER");
    CHECK(sqlite3_exec(lite, sql, NULL, NULL, NULL) == SQLITE_OK);
    snprintf(sql, sizeof sql, "INSERT INTO t VALUES (?1, '%s')", row);
    CHECK(sqlite3_prepare_v2(lite, sql, -1, &lite_insert, NULL) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(lite, "SELECT v FROM t WHERE k = ?1", -1, &lite_select, NULL) == SQLITE_OK);
    for (int i = 0; i < BENCH_RUNS; i++) {
        int64_t began = bench_now_ns(), from = (int64_t)i * COMMITS;
        ours_insert(insert, from);
        commit.run[i] = per(began, COMMITS);
        began = bench_now_ns();
        sqlite_insert(lite_insert, from);
        commit_ref.run[i] = per(began, COMMITS);
        began = bench_now_ns();
        ours_read(select, from + COMMITS);
        read.run[i] = per(began, READS);
        began = bench_now_ns();
        sqlite_read(lite_select, from + COMMITS);
        read_ref.run[i] = per(began, READS);
    }
    CHECK(meridian_finalize(insert) == MERIDIAN_OK);
    CHECK(meridian_finalize(select) == MERIDIAN_OK);
    for (int i = 0; i < BENCH_RUNS; i++) {
        CHECK(meridian_close(db) == MERIDIAN_OK);
        int64_t began = bench_now_ns();
        CHECK(meridian_open(url, &db) == MERIDIAN_OK);
        open_ms.run[i] = per(began, 1) / 1e3;
    }
    bench_compare("embedded: durable commit of one row", &commit, "us", "SQLite, synchronous=FULL", &commit_ref,
                  BENCH_AT_MOST, 1.5);
    bench_compare("embedded: read by key", &read, "us", "SQLite", &read_ref, BENCH_SHOW, 0);
    bench_report("embedded: open", &open_ms, "ms", BENCH_AT_MOST, 50);
    bench_note("%.1f MB of memory touched", (double)bench_rss_bytes() / 1e6);
    (void)sqlite3_finalize(lite_insert), (void)sqlite3_finalize(lite_select), (void)sqlite3_close(lite);
    CHECK(meridian_close(db) == MERIDIAN_OK);
    return tap_done() && 0; /* only removes the directory */
}
