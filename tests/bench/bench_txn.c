/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_txn.c: what a transaction costs beyond what is below it, on one node with its log on this machine's disk (fdatasync on).
 *
 *     one-tablet commit       against a bare Paxos commit of the same row (tablet_write)
 *     two-tablet commit       against the same
 *     strong point read       against an rpc round trip to the own store
 *     a contended counter     64 clients, one row: throughput, and whether anybody starves
 *     pgbench's five statements, as row images
 *     two-phase commit with 1 to 50 participants, beside table 4 of the Spanner paper (which had a wide-area network)
 *
 * BENCH_SECONDS (of each, 1), BENCH_DIR.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/system.h"
#include "shard/runtime/env_real.h"
#include "tests/lib/bench.h"
#include "txn/upper.h"

enum { TABLE = 2000, OTHER = 600, CLIENTS = 64, ROWS = 1000, LAT_MAX = 1 << 20 };

struct bench {
    struct process *process;
    struct node_conf conf;
    struct node_upper upper;
    struct node_store *s;
    struct txn_client *c;
    struct table *table, *other;
    int64_t run_ns;
    /* of the counter */
    bool over;
    size_t done, clients;
    int64_t worst_ns[CLIENTS];
    uint64_t count[CLIENTS];
    int64_t *lat;
    size_t lats;
};

static void must(enum rc rc, const struct err *err, const char *what) {
    if (!rc)
        return;
    fprintf(stderr, "bench_txn: %s: %s: %s\n", what, rc_name(rc), err->message);
    exit(1);
}

/* ---- one of each ------------------------------------------------------------------------------------------------------ */

static struct txn_write row(struct table *t, struct value v[2], int64_t key, int64_t value) {
    v[0] = value_int(key);
    v[1] = value_int(value);
    return (struct txn_write){.kind = TXN_PUT, .table = t, .values = v, .n = 2};
}

static struct txn *begin(struct bench *b, enum txn_mode mode) {
    struct txn_options o = {.mode = mode, .single = true};
    struct txn *t;
    struct err err = {0};
    must(txn_begin(b->c, &o, &t, &err), &err, "begin");
    return t;
}

static void bare_commit(struct bench *b, int64_t i) {
    struct value v[2] = {value_int(i % ROWS), value_int(i)};
    struct mvcc_mutation m = {TABLE, false, 2, v};
    struct err err = {0};
    int64_t ts;
    must(tablet_write(b->s->tablets, SYSTEM_USER_TABLET, 0, &m, 1, DEADLINE_NONE, &ts, &err), &err, "tablet_write");
}

static void one_tablet(struct bench *b, int64_t i) {
    struct value v[2];
    struct err err = {0};
    struct txn *t = begin(b, TXN_READ_WRITE);
    struct txn_write w = row(b->table, v, i % ROWS, i);
    must(txn_write_commit(t, &w, 1, NULL, NULL, &err), &err, "commit");
    txn_free(t);
}

static void two_tablets(struct bench *b, int64_t i) {
    struct value v[2], v2[2];
    struct err err = {0};
    struct txn *t = begin(b, TXN_READ_WRITE);
    struct txn_write w[2] = {row(b->table, v, i % ROWS, i), row(b->other, v2, i % ROWS, i)};
    must(txn_write(t, w, 2, NULL, &err), &err, "write");
    must(txn_commit(t, NULL, &err), &err, "commit");
    txn_free(t);
}

static enum rc scan(struct bench *b, struct txn *t, struct table *table, int64_t key, enum lock_mode lock,
                    struct err *err) {
    static const struct fragment f = {.id = 1, .sql = "SELECT c1, c2 FROM {2000} WHERE c1 = ?1", .n_params = 1};
    struct value k = value_int(key);
    struct txn_table named = {table->id, 1};
    struct span span;
    struct arena a;
    struct buf kb;
    struct txn_scan *s;
    struct txn_batch batch = {.end = false};
    (void)b;
    arena_init(&a, 0);
    buf_init(&kb, 0);
    must(table_key_put(&kb, table, &k, 1, err), err, "key");
    must(span_point(&a, key_of_buf(&kb), &span), err, "span");
    struct txn_scan_conf how = {.fragment = &f,
                                .params = &k,
                                .tables = &named,
                                .n_tables = 1,
                                .spans = &span,
                                .n_spans = 1,
                                .lock = lock,
                                .ordered = true};
    enum rc rc = txn_scan_open(t, &how, &s, err);
    if (!rc) {
        while (!(rc = txn_scan_next(s, &batch, err)) && !batch.end)
            ;
        txn_scan_close(s);
    }
    buf_done(&kb);
    arena_done(&a);
    return rc;
}

static void point_read(struct bench *b, int64_t i) {
    struct err err = {0};
    struct txn *t = begin(b, TXN_READ_STRONG);
    must(scan(b, t, b->table, i % ROWS, LOCK_NONE, &err), &err, "read");
    must(txn_commit(t, NULL, &err), &err, "commit");
    txn_free(t);
}

/* Read, write, read again, write, write: five statements, one commit. */
static void five_statements(struct bench *b, int64_t i) {
    struct value v[3][2];
    struct err err = {0};
    struct txn *t = begin(b, TXN_READ_WRITE);
    for (int k = 0; k < 3; k++) {
        struct txn_write w = row(b->table, v[k], (i * 7 + k * 13) % ROWS, i);
        must(scan(b, t, b->table, (i * 7 + k * 13) % ROWS, LOCK_EXCLUSIVE, &err), &err, "read");
        must(txn_write(t, &w, 1, NULL, &err), &err, "write");
    }
    must(scan(b, t, b->table, (i * 7) % ROWS, LOCK_SHARED, &err), &err, "read");
    must(txn_commit(t, NULL, &err), &err, "commit");
    txn_free(t);
}

static void rpc_round_trip(struct bench *b, int64_t i) {
    struct arena a;
    ProtobufCMessage *m = NULL;
    struct err err = {0};
    (void)i;
    arena_init(&a, 0);
    Node__StatusAsk *ask = arena_new(&a, Node__StatusAsk);
    node__status_ask__init(ask);
    must(rpc_call(b->s->rpc, rpc_self(b->s->rpc), NODE_TYPE_STATUS, &ask->base, &a, DEADLINE_NONE, &m, &err), &err,
         "rpc");
    arena_done(&a);
}

/* Microseconds each. */
static double timed(struct bench *b, void (*fn)(struct bench *b, int64_t i)) {
    int64_t began = bench_now_ns(), n = 0, now = began;
    static int64_t at;
    while (now - began < b->run_ns) {
        fn(b, at++);
        n++;
        now = bench_now_ns();
    }
    return (double)(now - began) / 1e3 / (double)n;
}

/* ---- the contended counter --------------------------------------------------------------------------------------------- */

static void count_one(struct bench *b, size_t who) {
    struct err err = {0};
    struct value v[2];
    struct txn *t = begin(b, TXN_READ_WRITE);
    int64_t began = bench_now_ns();
    for (;;) {
        struct txn_write w = row(b->table, v, 5, 1);
        enum rc rc = scan(b, t, b->table, 5, LOCK_UPDATE, &err);
        if (!rc)
            rc = txn_write_commit(t, &w, 1, NULL, NULL, &err);
        if (rc != RC_ABORTED) {
            must(rc, &err, "counter");
            break;
        }
        must(txn_restart(t, &err), &err, "restart");
    }
    int64_t took = bench_now_ns() - began;
    b->worst_ns[who] = took > b->worst_ns[who] ? took : b->worst_ns[who];
    b->count[who]++;
    if (b->lats < LAT_MAX)
        b->lat[b->lats++] = took;
    txn_free(t);
}

static void counter_client(void *arg) {
    struct bench *b = arg;
    size_t who = b->clients++;
    while (!b->over) {
        count_one(b, who);
        IGNORE(fiber_yield(b->s->reactor));
    }
    b->done++;
}

static int cmp(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void contended(struct bench *b) {
    b->lat = calloc(LAT_MAX, sizeof *b->lat);
    for (int i = 0; i < CLIENTS; i++)
        must(fiber_spawn(b->s->reactor, NULL, FIBER_LARGE, "client", counter_client, b), &(struct err){0}, "fiber");
    must(fiber_sleep(b->s->reactor, 3 * b->run_ns), &(struct err){0}, "sleep");
    b->over = true;
    while (b->done < CLIENTS)
        must(fiber_sleep(b->s->reactor, 10000000), &(struct err){0}, "sleep");
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < CLIENTS; i++) {
        least = b->count[i] < least ? b->count[i] : least;
        most = b->count[i] > most ? b->count[i] : most;
    }
    qsort(b->lat, b->lats, sizeof *b->lat, cmp);
    int64_t median = b->lat[b->lats / 2], worst = b->lat[b->lats - 1];
    bench_note(
        "contended counter, %d clients: %.0f commits/s, wait median %.2f ms, worst %.2f ms (%.1fx, wanted < 20x), "
        "each client %llu to %llu",
        CLIENTS, (double)b->lats / ((double)b->run_ns * 3 / 1e9), (double)median / 1e6, (double)worst / 1e6,
        (double)worst / (double)median, (unsigned long long)least, (unsigned long long)most);
    free(b->lat);
}

/* ---- many participants -------------------------------------------------------------------------------------------------- */

static const struct {
    int parts;
    double mean, p99; /* ms, as the paper has them */
} paper[] = {{1, 17.0, 75.0}, {2, 24.5, 87.6}, {5, 31.5, 104.5}, {10, 30.0, 95.6}, {25, 35.5, 100.4}, {50, 42.7, 93.7}};

enum { PARTS_MAX = 50, PART_KEYS = 1000000 };

/* TABLE in PARTS_MAX tablets: one for each million of keys. */
static bool split_all(struct bench *b) {
    for (int i = PARTS_MAX - 1; i > 0; i--) {
        struct value v = value_int((int64_t)i * PART_KEYS);
        struct buf k;
        uint64_t right;
        struct err err = {0};
        buf_init(&k, 0);
        must(table_key_put(&k, b->table, &v, 1, &err), &err, "key");
        enum rc rc = node_tablet_split(b->s, 0, (struct mvcc_bytes){k.data, k.len},
                                       reactor_deadline(b->s->reactor, INT64_C(10000000000)), &right, &err);
        buf_done(&k);
        if (rc) {
            bench_note("no table 4: split %d: %s", i, err.message);
            return false;
        }
    }
    return true;
}

static void commit_parts(struct bench *b, int parts, int64_t i) {
    struct value v[PARTS_MAX][2];
    struct txn_write w[PARTS_MAX];
    struct err err = {0};
    struct txn *t = begin(b, TXN_READ_WRITE);
    for (int k = 0; k < parts; k++)
        w[k] = row(b->table, v[k], (int64_t)k * PART_KEYS + i, i);
    must(txn_write(t, w, (size_t)parts, NULL, &err), &err, "write");
    must(txn_commit(t, NULL, &err), &err, "commit");
    txn_free(t);
}

static void table_four(struct bench *b) {
    if (!split_all(b))
        return;
    b->lat = calloc(LAT_MAX, sizeof *b->lat);
    bench_note("participants   mean ms   p99 ms   Spanner's mean   p99");
    for (size_t p = 0; p < sizeof paper / sizeof paper[0]; p++) {
        int64_t until = bench_now_ns() + 2 * b->run_ns, sum = 0;
        size_t n = 0;
        while (bench_now_ns() < until && n < LAT_MAX) {
            int64_t began = bench_now_ns();
            commit_parts(b, paper[p].parts, (int64_t)n % ROWS);
            b->lat[n] = bench_now_ns() - began;
            sum += b->lat[n++];
        }
        qsort(b->lat, n, sizeof *b->lat, cmp);
        int64_t p99 = b->lat[n * 99 / 100];
        bench_note("%12d %9.2f %8.2f %16.1f %5.1f", paper[p].parts, (double)sum / (double)n / 1e6, (double)p99 / 1e6,
                   paper[p].mean, paper[p].p99);
    }
    free(b->lat);
    b->lat = NULL;
}

/* ---- the node ---------------------------------------------------------------------------------------------------------- */

static struct table *make(struct bench *b, uint64_t id) {
    struct table_col cols[2] = {{.id = 1, .col = col_of(COL_INT8), .not_null = true, .missing = value_null()},
                                {.id = 2, .col = col_of(COL_INT8), .missing = value_null()}};
    struct table_part key = {0};
    struct table from = {.id = id, .group = id, .version = 1, .n_cols = 2, .n_key = 1, .cols = cols, .key = &key};
    struct table *t;
    struct err err = {0};
    must(table_new(&from, &t, &err), &err, "table");
    struct txn *x = begin(b, TXN_READ_WRITE);
    must(txn_schema(x, t, false, &err), &err, "schema");
    must(txn_commit(x, NULL, &err), &err, "schema");
    txn_free(x);
    return t;
}

static void measure(void *arg) {
    struct bench *b = arg;
    struct bench_figure bare, one, two, five, read, rpc;
    b->table = make(b, TABLE);
    b->other = make(b, OTHER);
    for (int64_t i = 0; i < ROWS; i++)
        one_tablet(b, i);
    for (int r = 0; r < BENCH_RUNS; r++) {
        bare.run[r] = timed(b, bare_commit);
        one.run[r] = timed(b, one_tablet);
        two.run[r] = timed(b, two_tablets);
        five.run[r] = timed(b, five_statements);
        rpc.run[r] = timed(b, rpc_round_trip);
        read.run[r] = timed(b, point_read);
    }
    bench_compare("txn: one-tablet commit", &one, "us", "bare Paxos commit", &bare, BENCH_AT_MOST, 1.3);
    bench_compare("txn: two-tablet commit", &two, "us", "bare Paxos commit", &bare, BENCH_AT_MOST, 2.3);
    bench_compare("txn: 3 x (read for update, write), read, commit", &five, "us", "bare Paxos commit", &bare,
                  BENCH_SHOW, 0);
    bench_compare("txn: strong point read", &read, "us", "rpc to the own store", &rpc, BENCH_AT_MOST, 1.5);
    table_four(b);
    contended(b);
    table_unref(b->table);
    table_unref(b->other);
    process_stop(b->process);
}

static void on_ready(void *ctx, struct node *n) {
    struct bench *b = ctx;
    b->s = node_store(n, 0);
    b->c = txn_client_of(b->s);
    must(fiber_spawn(b->s->reactor, NULL, FIBER_LARGE, "bench", measure, b), &(struct err){0}, "fiber");
}

static void on_failed(void *ctx, struct node *n, enum rc rc, const struct err *err) {
    (void)ctx, (void)n;
    must(rc, err, "node");
}

static int gone(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int main(void) {
    const char *seconds = getenv("BENCH_SECONDS"), *where = getenv("BENCH_DIR");
    struct process_conf conf = {.stores = 1, .level = DIAG_ERROR};
    struct bench b = {.run_ns = (int64_t)((seconds ? atof(seconds) : 1) * 1e9 / BENCH_RUNS)};
    struct err err = {0};
    char dir[300], data[320];
    snprintf(dir, sizeof dir, "%s/bench-txn-XXXXXX", where ? where : "/tmp");
    CHECK(mkdtemp(dir));
    snprintf(data, sizeof data, "%s/n1", dir);
    txn_upper_init(&b.upper, NULL);
    b.conf = (struct node_conf){.dir = data,
                                .rpc_addr = "127.0.0.1:0",
                                .bootstrap = true,
                                .stores = 1,
                                .host_dir = dir,
                                .upper = &b.upper,
                                .on_ready = on_ready,
                                .on_failed = on_failed,
                                .ctx = &b};
    must(tt_spec_parse("host", &b.conf.clock, &err), &err, "clock");
    must(process_new(&conf, &b.process, &err), &err, "process");
    must(process_start(b.process, &node_program, &b.conf, &err), &err, "process");
    process_join(b.process);
    process_free(b.process);
    nftw(dir, gone, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
