/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_embed.c: a process that embeds a database, for embedded.t, which kills it.
 *
 *     api_embed hold DIR       opens, says so, and waits for the end of standard input
 *     api_embed write DIR      inserts rows 1, 2, 3, ... two tables at a time, and prints each number once it is committed, and
 *                              the timestamp of a read after it
 *     api_embed check DIR N TS N and all before it are there, in both tables, and time goes on above TS; prints the last number
 *     api_embed reopen DIR N   opens and closes N times: timestamps only ever rise, and what was committed is there
 *     api_embed time DIR N     prints the milliseconds of an open, and the median microseconds of N durable commits
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "truetime/base/check.h"
#include "txn/api/meridian.h"

enum { SAMPLES_MAX = 10000 };

static int fail(meridian *db, const char *what) {
    printf("%s: %s: %s\n", what, meridian_code_name(meridian_errcode(db)), meridian_errmsg(db));
    meridian_close(db);
    return 1;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int64_t number(meridian *db, const char *sql) {
    meridian_stmt *st;
    int64_t n = -1;
    if (meridian_prepare(db, sql, -1, &st) == MERIDIAN_OK && meridian_step(st) == MERIDIAN_ROW)
        n = meridian_column_int64(st, 0);
    meridian_finalize(st);
    return n;
}

static int hold(meridian *db) {
    char c;
    printf("open\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0) {
    }
    return meridian_close(db);
}

static int insert_one(meridian *db, int64_t n) {
    char sql[128];
    snprintf(sql, sizeof sql, "INSERT INTO a VALUES (%" PRId64 ", 'row %" PRId64 "')", n, n);
    return meridian_exec(db, sql);
}

static int insert(meridian *db, void *ctx) {
    char sql[128];
    int64_t n = *(int64_t *)ctx;
    int code = insert_one(db, n);
    snprintf(sql, sizeof sql, "INSERT INTO b VALUES (%" PRId64 ")", n);
    return code ? code : meridian_exec(db, sql);
}

/* Of what the connection did last; 0: it cannot be had. */
static int64_t timestamp(meridian *db) {
    int64_t ns = 0;
    return meridian_commit_timestamp(db, &ns) == MERIDIAN_OK ? ns : 0;
}

/* The timestamp of a read-only transaction; 0: it failed. */
static int64_t read_now(meridian *db) {
    if (meridian_begin_read(db, MERIDIAN_STRONG, 0) || number(db, "SELECT 1 FROM a LIMIT 1") != 1 ||
        meridian_commit(db))
        return 0;
    return timestamp(db);
}

static int write_rows(meridian *db) {
    if (meridian_exec(db, "CREATE TABLE IF NOT EXISTS a (n int8 PRIMARY KEY, t text);"
                          "CREATE TABLE IF NOT EXISTS b (n int8 PRIMARY KEY)"))
        return fail(db, "tables");
    for (int64_t n = number(db, "SELECT coalesce(max(n), 0) FROM a") + 1;; n++) {
        if (n == 0 || meridian_run(db, NULL, insert, &n))
            return fail(db, "insert");
        int64_t ns = read_now(db);
        if (!ns)
            return fail(db, "timestamp");
        printf("%" PRId64 " %" PRId64 "\n", n, ns);
        fflush(stdout);
    }
}

/* N-3, over the end of a process: every timestamp is above all that were given before. */
static bool time_goes_on(meridian *db, int64_t before) {
    int64_t read_ns = read_now(db), write_ns = 0;
    if (read_ns && meridian_exec(db, "UPDATE a SET t = t WHERE n = 1") == MERIDIAN_OK)
        write_ns = timestamp(db);
    if (read_ns >= before && write_ns > read_ns)
        return true;
    printf("time goes back: read at %" PRId64 ", wrote at %" PRId64 ", before it was %" PRId64 " (%s)\n", read_ns,
           write_ns, before, meridian_errmsg(db));
    return false;
}

static int reopen(meridian *db, const char *url, int64_t times) {
    int64_t last = 0;
    if (meridian_exec(db, "CREATE TABLE IF NOT EXISTS a (n int8 PRIMARY KEY, t text)"))
        return fail(db, "table");
    for (int64_t n = 1; n <= times; n++) {
        if (insert_one(db, n) || number(db, "SELECT count(*) FROM a") != n)
            return fail(db, "rows");
        if (!time_goes_on(db, last))
            return fail(db, "timestamps");
        last = read_now(db);
        meridian_close(db);
        if (meridian_open(url, &db))
            return fail(db, "open");
    }
    return meridian_close(db);
}

static int check(meridian *db, int64_t acknowledged, int64_t before) {
    int64_t last = number(db, "SELECT coalesce(max(n), 0) FROM a");
    bool whole = number(db, "SELECT count(*) FROM a") == last && number(db, "SELECT count(*) FROM b") == last &&
                 number(db, "SELECT coalesce(max(n), 0) FROM b") == last &&
                 number(db, "SELECT count(*) FROM a WHERE t = 'row ' || n") == last;
    printf("%" PRId64 "\n", last);
    if (last < acknowledged)
        printf("lost: %" PRId64 " was acknowledged\n", acknowledged);
    if (!whole)
        printf("broken: a %" PRId64 " b %" PRId64 "\n", number(db, "SELECT count(*) FROM a"),
               number(db, "SELECT count(*) FROM b"));
    bool goes_on = !before || time_goes_on(db, before);
    meridian_close(db);
    return last >= acknowledged && whole && goes_on ? 0 : 1;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int measure(meridian *db, double opened_ms, int64_t n) {
    static const char sql[] = "INSERT INTO m VALUES ($1, 'a row of some length, as rows have it')";
    meridian_stmt *st;
    double *took = calloc(SAMPLES_MAX, sizeof *took);
    CHECK(took);
    if (n < 1 || n > SAMPLES_MAX || meridian_exec(db, "DROP TABLE IF EXISTS m") ||
        meridian_exec(db, "CREATE TABLE m (n int8 PRIMARY KEY, t text)") || meridian_prepare(db, sql, -1, &st)) {
        free(took);
        return fail(db, "the table");
    }
    for (int64_t i = 0; i < n; i++) {
        double began = now_ms();
        (void)meridian_bind_int64(st, 1, i); /* its error is the step's */
        if (meridian_step(st) != MERIDIAN_DONE)
            break;
        took[i] = now_ms() - began;
    }
    qsort(took, (size_t)n, sizeof *took, by_value);
    printf("open_ms=%.1f commit_us=%.0f\n", opened_ms, took[n / 2] * 1e3);
    free(took);
    meridian_finalize(st);
    return meridian_close(db);
}

int main(int argc, char **argv) {
    char url[4096];
    meridian *db;
    if (argc < 3)
        return 2;
    snprintf(url, sizeof url, "file:%s", argv[2]);
    double began = now_ms();
    if (meridian_open(url, &db))
        return fail(db, "open");
    double opened = now_ms() - began;
    int64_t n = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;
    if (strcmp(argv[1], "hold") == 0)
        return hold(db);
    if (strcmp(argv[1], "write") == 0)
        return write_rows(db);
    if (strcmp(argv[1], "reopen") == 0)
        return reopen(db, url, n);
    if (strcmp(argv[1], "time") == 0)
        return measure(db, opened, n);
    return check(db, n, argc > 4 ? strtoll(argv[4], NULL, 10) : 0);
}
