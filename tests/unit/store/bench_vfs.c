/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite over our VFS beside SQLite's own unix VFS: the same settings, the same file system, the same process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shard/store/checkpoint.h"
#include "tests/lib/bench.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"

enum { ROWS = 100000, PAGES = 20000, BIG_CACHE = 256 << 20, SMALL_CACHE = 256 << 10 };

struct bench {
    struct reactor *r;
    struct vfs *v;
    char ours[300], theirs[300];
};

static void must(sqlite3 *db, const char *sql) {
    CHECKF(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

static const char schema[] = "CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER, c TEXT) STRICT;"
                             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
                             "INSERT INTO t SELECT i, i * 7919, hex(zeroblob(40)) FROM n;"
                             "CREATE TABLE page(a INTEGER PRIMARY KEY, b INTEGER, c BLOB) STRICT;"
                             "INSERT INTO page SELECT a, 0, zeroblob(7500) FROM t WHERE a <= 20000";

static enum rc fill(sqlite3 *db, void *ctx, struct err *err) {
    (void)ctx, (void)err;
    must(db, schema);
    return RC_OK;
}

static sqlite3 *open_theirs(struct bench *b, int64_t cache_bytes, bool create) {
    sqlite3 *db = NULL;
    char sql[300];
    CHECK(sqlite3_open_v2(b->theirs, &db,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0),
                          "unix") == SQLITE_OK);
    snprintf(sql, sizeof sql,
             "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF;"
             "PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-%lld",
             (long long)cache_bytes / 1024);
    must(db, sql);
    return db;
}

static sqlite3 *open_ours(struct bench *b, int64_t cache_bytes) {
    sqlite3 *db = NULL;
    struct err err = {0};
    CHECKF(vfs_open(b->r, b->v, b->ours, 0, cache_bytes, &db, &err) == RC_OK, "%s", err.message);
    return db;
}

static double per_op_ns(sqlite3 *db, const char *before, const char *sql, const char *after, int n) {
    sqlite3_stmt *s[3] = {NULL};
    const char *text[3] = {before, sql, after};
    uint64_t key = 1;
    for (int i = 0; i < 3; i++)
        if (text[i])
            CHECK(sqlite3_prepare_v2(db, text[i], -1, &s[i], NULL) == SQLITE_OK);
    int64_t began = bench_now_ns();
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 3; j++) {
            if (!s[j])
                continue;
            if (sqlite3_bind_parameter_count(s[j]) > 0) {
                key = key * 6364136223846793005u + 1442695040888963407u;
                sqlite3_bind_int64(s[j], 1, 1 + (int64_t)((key >> 33) % ROWS));
            }
            while (sqlite3_step(s[j]) == SQLITE_ROW)
                ;
            CHECK(sqlite3_reset(s[j]) == SQLITE_OK);
        }
    double ns = (double)(bench_now_ns() - began) / n;
    for (int i = 0; i < 3; i++)
        sqlite3_finalize(s[i]);
    return ns;
}

static void shorten_wal(struct bench *b, sqlite3 *theirs) {
    struct vfs_checkpoint how = {.reset_wait_ns = 1000000};
    struct vfs_checkpoint_result out;
    CHECK(vfs_checkpoint(b->r, b->v, b->ours, &how, &out, NULL) == RC_OK);
    must(theirs, "PRAGMA wal_checkpoint(TRUNCATE)");
}

struct op {
    const char *name, *before, *sql, *after;
    int64_t cache_bytes;
    int n;
    bool in_transaction;
};

static void compare(struct bench *b, const struct op *op) {
    struct bench_figure ours, theirs;
    sqlite3 *a = open_ours(b, op->cache_bytes), *c = open_theirs(b, op->cache_bytes, false);
    for (int i = 0; i < BENCH_RUNS; i++) {
        shorten_wal(b, c);
        if (op->in_transaction)
            must(a, "BEGIN"), must(c, "BEGIN");
        if (i == 0) /* fill the caches */
            per_op_ns(a, op->before, op->sql, op->after, op->n), per_op_ns(c, op->before, op->sql, op->after, op->n);
        ours.run[i] = per_op_ns(a, op->before, op->sql, op->after, op->n) / 1000;
        theirs.run[i] = per_op_ns(c, op->before, op->sql, op->after, op->n) / 1000;
        if (op->in_transaction)
            must(a, "COMMIT"), must(c, "COMMIT");
    }
    bench_compare(op->name, &ours, "us", "unix VFS", &theirs, BENCH_SHOW, 0);
    vfs_close(a);
    sqlite3_close(c);
}

/* One open and close with a first read, no recovery. */
static void compare_open(struct bench *b) {
    struct bench_figure ours, theirs;
    sqlite3 *a = open_ours(b, SMALL_CACHE), *c = open_theirs(b, SMALL_CACHE, false);
    for (int i = 0; i < BENCH_RUNS; i++) {
        int64_t began = bench_now_ns();
        for (int n = 0; n < 200; n++)
            vfs_close(open_ours(b, SMALL_CACHE));
        ours.run[i] = (double)(bench_now_ns() - began) / 200e3;
        began = bench_now_ns();
        for (int n = 0; n < 200; n++)
            sqlite3_close(open_theirs(b, SMALL_CACHE, false));
        theirs.run[i] = (double)(bench_now_ns() - began) / 200e3;
    }
    bench_compare("vfs: another connection, open and close", &ours, "us", "unix VFS", &theirs, BENCH_SHOW, 0);
    vfs_close(a);
    sqlite3_close(c);
}

/* ---- checkpoints ---- */

/* CPU time of the reactor's thread: another process on the machine does not count. */
static int64_t thread_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

struct watch {
    struct bench *b;
    bool done;
    int64_t longest_ns;
    struct vfs_checkpoint_result out;
};

static void checkpoint_main(void *arg) {
    struct watch *w = arg;
    struct vfs_checkpoint how = {.reset_wait_ns = 100000000};
    CHECK(vfs_checkpoint(w->b->r, w->b->v, w->b->ours, &how, &w->out, NULL) == RC_OK);
    w->done = true;
}

/* Each row is a page of its own. */
static void dirty(sqlite3 *db, int frames, int64_t *row) {
    char sql[120];
    while ((int)vfs_wal_frames(db) < frames) {
        snprintf(sql, sizeof sql, "UPDATE page SET b = b + 1 WHERE a BETWEEN %lld AND %lld", (long long)*row,
                 (long long)*row + 199);
        must(db, sql);
        *row = *row + 200 >= PAGES ? 1 : *row + 200;
    }
}

/* Another fiber looks how long it waits for its turn. */
static void watch(struct watch *w) {
    struct fiber_group group;
    fiber_group_init(&group);
    CHECK(fiber_spawn(w->b->r, &group, FIBER_LARGE, "checkpoint", checkpoint_main, w) == RC_OK);
    while (!w->done) {
        int64_t before = thread_ns();
        CHECK(fiber_yield(w->b->r) == RC_OK);
        int64_t took = thread_ns() - before;
        w->longest_ns = took > w->longest_ns ? took : w->longest_ns;
    }
    CHECK(fiber_group_join(w->b->r, &group, DEADLINE_NONE) == RC_OK);
}

/* How long a checkpoint of a WAL of so many frames keeps the reactor at a time, and what it costs a page. */
static void checkpoint_steps(struct bench *b, int frames) {
    struct bench_figure page, longest, held;
    sqlite3 *db = open_ours(b, BIG_CACHE);
    char name[60];
    int64_t row = 1;
    for (int i = 0; i < BENCH_RUNS; i++) {
        struct watch w = {.b = b};
        dirty(db, frames, &row);
        uint64_t pages = counter_get(&vfs_stats(b->v)->backfilled);
        int64_t began = thread_ns();
        checkpoint_main(&w);
        page.run[i] =
            (double)(thread_ns() - began) / 1000 / (double)(counter_get(&vfs_stats(b->v)->backfilled) - pages);
        dirty(db, frames, &row);
        w.done = false;
        watch(&w);
        longest.run[i] = (double)w.longest_ns / 1e6;
        held.run[i] = (double)w.out.held_ns / 1e6;
    }
    snprintf(name, sizeof name, "checkpoint: %d pages, CPU a page", frames);
    bench_report(name, &page, "us", BENCH_SHOW, 0);
    snprintf(name, sizeof name, "checkpoint: %d pages, longest turn", frames);
    bench_report(name, &longest, "ms", BENCH_AT_MOST, 5);
    snprintf(name, sizeof name, "checkpoint: %d pages, writers held", frames);
    bench_report(name, &held, "ms", BENCH_SHOW, 0);
    vfs_close(db);
}

static void body(struct reactor *r) {
    static const struct op ops[] = {
        {"vfs: point read, autocommit", NULL, "SELECT b FROM t WHERE a = ?", NULL, BIG_CACHE, 200000, false},
        {"vfs: point read, in a transaction", NULL, "SELECT b FROM t WHERE a = ?", NULL, BIG_CACHE, 200000, true},
        {"vfs: point read, cache of 256 KiB", NULL, "SELECT b FROM t WHERE a = ?", NULL, SMALL_CACHE, 100000, false},
        {"vfs: scan of 100,000 rows", NULL, "SELECT sum(b) FROM t", NULL, SMALL_CACHE, 20, false},
        {"vfs: empty BEGIN IMMEDIATE, COMMIT", "BEGIN IMMEDIATE", "SELECT 1", "COMMIT", BIG_CACHE, 50000, false},
        {"vfs: commit of one update", "BEGIN IMMEDIATE", "UPDATE t SET b = b + 1 WHERE a = ?", "COMMIT", BIG_CACHE,
         5000, false},
    };
    struct bench b = {.r = r};
    struct err err = {0};
    snprintf(b.ours, sizeof b.ours, "%s/ours", tap_dir());
    snprintf(b.theirs, sizeof b.theirs, "%s/theirs", tap_dir());
    CHECK(vfs_new(reactor_env(r), &b.v) == RC_OK);
    CHECKF(vfs_create(r, b.v, b.ours, fill, NULL, &err) == RC_OK, "%s", err.message);
    sqlite3 *theirs = open_theirs(&b, BIG_CACHE, true);
    must(theirs, schema);
    must(theirs, "PRAGMA wal_checkpoint(TRUNCATE)");
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        compare(&b, &ops[i]);
    compare_open(&b);
    sqlite3_close(theirs);
    checkpoint_steps(&b, 1000);
    checkpoint_steps(&b, 4000);
    checkpoint_steps(&b, 16000);
    vfs_free(b.v);
}

int main(void) {
    on_fiber(DIAG_WARN, body);
    tap_done();
    return 0;
}
