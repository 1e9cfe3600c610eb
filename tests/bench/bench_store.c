/* SPDX-License-Identifier: Apache-2.0 */
/* The tablet store beside bare SQLite (its own VFS, the same settings) in the same process. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/fragment.h"
#include "shard/store/snapshot.h"
#include "tests/lib/bench.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"

enum { T = 5, ROWS = 300000, POINTS = 100000, WRITES = 50000, BATCH_ROWS = 1000, HOT = 1000, POINT_SCANS = 20000 };

struct bench {
    struct reactor *r;
    struct vfs *v;
    struct mvcc_store *s;
    struct mvcc *m;
    sqlite3 *bare;
    char path[300], bare_path[300];
    uint64_t random;
    int64_t slot, now, loaded; /* loaded: a time when all rows were as they were loaded */
    int64_t sum;
    struct err err;
};

#define FINE(b, x)                                                                                                     \
    do {                                                                                                               \
        enum rc rc_ = (x);                                                                                             \
        CHECKF(rc_ == RC_OK, "%s: %s", #x, err_message(&(b)->err));                                                    \
    } while (0)

static void must(sqlite3 *db, const char *sql) {
    CHECKF(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

static int64_t pick(struct bench *b) {
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((b->random >> 33) % ROWS);
}

static const char filler[] = "0123456789012345678901234567890123456789012345678901234567890123456789012345";

/* ---- making ---- */

static void make_table(struct bench *b) {
    static const struct table_col cols[] = {{.id = 1, .col = {.type = COL_INT4, .typmod = -1}, .not_null = true},
                                            {.id = 2, .col = {.type = COL_INT4, .typmod = -1}},
                                            {.id = 3, .col = {.type = COL_INT4, .typmod = -1}},
                                            {.id = 4, .col = {.type = COL_TEXT, .typmod = -1}}};
    static const struct table_part key[] = {{0, false}};
    static const struct table t = {
        .id = T, .group = T, .version = 1, .n_cols = 4, .n_key = 1, .cols = cols, .key = key};
    FINE(b, mvcc_slot_begin(b->m, ++b->slot, (struct mvcc_bytes){"b", 1}, ++b->now, &b->err));
    FINE(b, mvcc_put_table(b->m, &t, &b->err));
    FINE(b, mvcc_slot_end(b->m, &b->err));
}

/* One slot of one row, as a small transaction brings it. */
static void put(struct bench *b, int64_t id, int64_t balance) {
    struct value row[4] = {value_int(id), value_int(id % 100), value_int(balance),
                           value_text(filler, sizeof filler - 1)};
    struct mvcc_mutation x = {.table = T, .n_values = 4, .values = row};
    b->now++;
    FINE(b, mvcc_slot_begin(b->m, ++b->slot, (struct mvcc_bytes){"b", 1}, b->now, &b->err));
    FINE(b, mvcc_write(b->m, b->now, &x, 1, &b->err));
    FINE(b, mvcc_slot_end(b->m, &b->err));
}

static void make(struct bench *b) {
    struct mvcc_state state = {.tablet = 1, .floor = 1000};
    b->now = 1000;
    snprintf(b->path, sizeof b->path, "%s/ours", tap_dir());
    snprintf(b->bare_path, sizeof b->bare_path, "%s/bare", tap_dir());
    CHECK(vfs_new(reactor_env(b->r), &b->v) == RC_OK);
    struct mvcc_store_conf conf = {.cache_bytes = 256 << 20};
    CHECK(mvcc_store_new(b->r, b->v, &conf, &b->s) == RC_OK);
    FINE(b, mvcc_create(b->s, b->path, &state, &b->err));
    FINE(b, mvcc_open(b->s, b->path, &b->m, &b->err));
    make_table(b);
    for (int64_t i = 0; i < ROWS; i++)
        put(b, i, 0);
    b->loaded = b->now;
    int64_t durable = 0;
    FINE(b, mvcc_checkpoint(b->m, true, &durable, &b->err));
    CHECK(sqlite3_open_v2(b->bare_path, &b->bare, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                          "unix") == SQLITE_OK);
    must(b->bare, "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF;"
                  "PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-262144;"
                  "CREATE TABLE t(c1 INTEGER PRIMARY KEY, c2 INTEGER, c3 INTEGER, c4 TEXT) STRICT;"
                  "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 299999)"
                  "INSERT INTO t SELECT i, i % 100, 0, "
                  "'0123456789012345678901234567890123456789012345678901234567890123456789012345' FROM n;"
                  "PRAGMA wal_checkpoint(TRUNCATE)");
}

/* ---- asking ---- */

static enum rc take(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct bench *b = ctx;
    (void)last, (void)err;
    b->sum += (int64_t)batch.n;
    return RC_OK;
}

static void ask(struct bench *b, const struct fragment *f, const struct value *params, int64_t ts,
                enum fragment_where where, int32_t form, enum form want) {
    struct fragment_run run = {.fragment = f, .params = params, .ts = ts, .where = where, .form = form};
    struct fragment_result result;
    run.on_batch = take;
    run.ctx = b;
    FINE(b, fragment_run(b->m, &run, &result, &b->err));
    CHECK(result.form == want);
}

static void compare_points(struct bench *b) {
    struct fragment f = {.id = 1, .sql = "SELECT c2,c3,c4 FROM {5} WHERE c1=?1", .n_params = 1};
    struct bench_figure ours, theirs;
    sqlite3_stmt *s = NULL;
    CHECK(sqlite3_prepare_v3(b->bare, "SELECT c2,c3,c4 FROM t WHERE c1=?1", -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) ==
          SQLITE_OK);
    for (int run = -1; run < BENCH_RUNS; run++) {
        int64_t began = bench_now_ns();
        for (int i = 0; i < POINTS; i++) {
            struct value id = value_int(pick(b));
            ask(b, &f, &id, FRAGMENT_LATEST, FRAGMENT_ANY, 0, FORM_LATEST);
        }
        int64_t middle = bench_now_ns();
        for (int i = 0; i < POINTS; i++) {
            sqlite3_bind_int64(s, 1, pick(b));
            CHECK(sqlite3_step(s) == SQLITE_ROW);
            b->sum += sqlite3_column_int64(s, 0) + sqlite3_column_int64(s, 1) + sqlite3_column_bytes(s, 2);
            sqlite3_reset(s);
        }
        if (run >= 0) {
            ours.run[run] = 1e6 * POINTS / (double)(middle - began);
            theirs.run[run] = 1e6 * POINTS / (double)(bench_now_ns() - middle);
        }
    }
    sqlite3_finalize(s);
    bench_compare("store: point reads", &ours, "k/s", "bare SQLite", &theirs, BENCH_AT_LEAST, 0.5);
}

static void compare_apply(struct bench *b) {
    struct bench_figure ours, theirs;
    sqlite3_stmt *s = NULL;
    CHECK(sqlite3_prepare_v3(b->bare,
                             "INSERT INTO t VALUES(?1,?2,?3,?4) ON CONFLICT(c1) DO UPDATE SET "
                             "c2=excluded.c2,c3=excluded.c3,c4=excluded.c4",
                             -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) == SQLITE_OK);
    for (int run = 0; run < BENCH_RUNS; run++) {
        int64_t durable = 0, began = bench_now_ns();
        for (int i = 0; i < WRITES; i++) {
            put(b, pick(b), i);
            if (i % BATCH_ROWS == BATCH_ROWS - 1)
                FINE(b, mvcc_flush(b->m, &b->err));
        }
        int64_t middle = bench_now_ns();
        for (int i = 0; i < WRITES; i++) {
            int64_t id = pick(b);
            if (i % BATCH_ROWS == 0)
                must(b->bare, "BEGIN IMMEDIATE");
            sqlite3_bind_int64(s, 1, id);
            sqlite3_bind_int64(s, 2, id % 100);
            sqlite3_bind_int64(s, 3, i);
            sqlite3_bind_text(s, 4, filler, sizeof filler - 1, SQLITE_STATIC);
            CHECK(sqlite3_step(s) == SQLITE_DONE);
            sqlite3_reset(s);
            if (i % BATCH_ROWS == BATCH_ROWS - 1)
                must(b->bare, "COMMIT");
        }
        ours.run[run] = 1e6 * WRITES / (double)(middle - began);
        theirs.run[run] = 1e6 * WRITES / (double)(bench_now_ns() - middle);
        FINE(b, mvcc_checkpoint(b->m, true, &durable, &b->err));
        must(b->bare, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    sqlite3_finalize(s);
    bench_compare("store: row images applied", &ours, "k/s", "bare upserts", &theirs, BENCH_AT_LEAST, 0.4);
}

static double scan_ms(struct bench *b, int64_t ts, int32_t form, enum form want) {
    struct fragment f = {.id = 10, .sql = "SELECT count(*),sum(c3),sum(c2) FROM {5}", .simple = true};
    int64_t began = bench_now_ns();
    ask(b, &f, NULL, ts, FRAGMENT_READER, form, want);
    return (double)(bench_now_ns() - began) / 1e6;
}

static void compare_scans(struct bench *b) {
    struct bench_figure latest, simple, view;
    for (int run = -1; run < BENCH_RUNS; run++) {
        double a = scan_ms(b, b->now, 0, FORM_LATEST);
        double c = scan_ms(b, b->loaded, FORM_SIMPLE + 1, FORM_SIMPLE);
        double d = scan_ms(b, b->loaded, FORM_VIEW + 1, FORM_VIEW);
        if (run >= 0)
            latest.run[run] = a, simple.run[run] = c, view.run[run] = d;
    }
    bench_note("%d rows, %d old versions", ROWS, WRITES * BENCH_RUNS);
    bench_compare("store: scan of the past, UNION ALL", &simple, "ms", "latest", &latest, BENCH_AT_MOST, 2.5);
    bench_compare("store: scan of the past, read view", &view, "ms", "latest", &latest, BENCH_AT_MOST, 2.5);
}

static void hot_row(struct bench *b) {
    struct fragment f = {.id = 20, .sql = "SELECT c3 FROM {5} WHERE c1=?1", .n_params = 1};
    struct bench_figure view, simple;
    struct value id = value_int(7);
    struct fragment g = f;
    int64_t before = b->now;
    for (int i = 0; i < 2 * HOT; i++)
        put(b, 7, i);
    FINE(b, mvcc_flush(b->m, &b->err));
    g.id = 21;
    g.simple = true;
    for (int run = -1; run < BENCH_RUNS; run++) {
        int64_t began = bench_now_ns();
        for (int i = 0; i < 10000; i++)
            ask(b, &f, &id, before + HOT, FRAGMENT_ANY, 0, FORM_VIEW);
        int64_t middle = bench_now_ns();
        for (int i = 0; i < 2000; i++)
            ask(b, &g, &id, before + HOT, FRAGMENT_ANY, FORM_SIMPLE + 1, FORM_SIMPLE);
        if (run >= 0) {
            view.run[run] = (double)(middle - began) / 1e3 / 10000;
            simple.run[run] = (double)(bench_now_ns() - middle) / 1e3 / 2000;
        }
    }
    bench_report("store: hot row 1,000 commits ago", &view, "us", BENCH_AT_MOST, 10);
    bench_report("store: the same by UNION ALL", &simple, "us", BENCH_SHOW, 0);
}

static void images(struct bench *b) {
    struct bench_figure copy, stream;
    static uint8_t to[256 << 10];
    for (int run = 0; run < BENCH_RUNS; run++) {
        struct snapshot_image *x = NULL;
        int64_t began = bench_now_ns();
        FINE(b, snapshot_open(b->m, 1, &x, &b->err));
        int64_t middle = bench_now_ns();
        uint64_t at = 0;
        size_t n = 1;
        while (n > 0) {
            FINE(b, snapshot_read(x, at, to, sizeof to, &n, &b->err));
            at += n;
        }
        copy.run[run] = (double)at * 1e3 / (double)(middle - began);
        stream.run[run] = (double)at * 1e3 / (double)(bench_now_ns() - middle);
        snapshot_close(x);
    }
    bench_report("store: image copied and synced", &copy, "MB/s", BENCH_AT_LEAST, 50);
    bench_report("store: image read with checksums", &stream, "MB/s", BENCH_AT_LEAST, 50);
}

/* ---- point reads while a long scan runs ---- */

struct beside {
    struct bench *b;
    bool done;
};

static void scan_fiber(void *arg) {
    struct beside *x = arg;
    for (int i = 0; i < 3; i++)
        scan_ms(x->b, x->b->now, 0, FORM_LATEST), scan_ms(x->b, x->b->loaded, FORM_VIEW + 1, FORM_VIEW);
    x->done = true;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void beside_a_scan(struct bench *b) {
    struct fragment f = {.id = 1, .sql = "SELECT c2,c3,c4 FROM {5} WHERE c1=?1", .n_params = 1};
    struct beside x = {.b = b};
    struct bench_figure p99;
    static int64_t took[POINT_SCANS];
    int n = 0;
    int64_t cpu_ns = -bench_cpu_ns();
    CHECK(fiber_spawn(b->r, NULL, FIBER_LARGE, "scan", scan_fiber, &x) == RC_OK);
    while (!x.done) {
        int64_t began = bench_now_ns();
        CHECK(fiber_yield(b->r) == RC_OK); /* a request comes in: the wait for its turn counts */
        struct value id = value_int(pick(b));
        ask(b, &f, &id, FRAGMENT_LATEST, FRAGMENT_ANY, 0, FORM_LATEST);
        if (n < POINT_SCANS)
            took[n++] = bench_now_ns() - began;
    }
    cpu_ns += bench_cpu_ns();
    qsort(took, (size_t)n, sizeof *took, by_value);
    int64_t median = took[(size_t)n / 2], late = took[(size_t)n * 99 / 100], last = took[n - 1];
    for (int i = 0; i < BENCH_RUNS; i++)
        p99.run[i] = (double)late / 1e6;
    bench_note("%d point reads beside scans, median %.2f ms, the longest %.2f ms", n, (double)median / 1e6,
               (double)last / 1e6);
    bench_note("%.2f ms of CPU a read, scans included", (double)cpu_ns / n / 1e6);
    bench_report("store: point read beside a scan, p99", &p99, "ms", BENCH_AT_MOST, 5);
}

static void body(struct reactor *r) {
    struct bench b = {.r = r, .random = 88172645463325252u};
    make(&b);
    compare_points(&b);
    compare_apply(&b);
    compare_scans(&b);
    hot_row(&b);
    beside_a_scan(&b);
    images(&b);
    mvcc_close(b.m);
    mvcc_store_free(b.s);
    vfs_free(b.v);
    sqlite3_close(b.bare);
}

static void figures(void) {
    on_fiber(DIAG_WARN, body);
}

int main(void) {
    RUN(figures);
    return tap_done();
}
