/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tablets of four nodes, each a process, on this machine's loopback and disk: what a split of 64 MiB and a move of half of it cost
 * those who write meanwhile, and what a read on a follower costs.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/node/node.h"
#include "shard/node/system.h"
#include "shard/runtime/env_real.h"
#include "shard/store/key.h"
#include "tests/lib/bench.h"
#include "tests/lib/tap.h"

enum { NODES = 4, TABLE = 20000, ROW_TEXT = 100, LOAD_ROWS = 500, WRITERS = 4, LATENCIES = 1 << 18, MB = 1 << 20 };
static const int64_t SECOND = 1000000000, MS = 1000000, TABLET_BYTES = 64 << 20;

struct bench {
    struct process *process;
    struct node *node;
    struct node_store *s;
    int64_t rows;
    bool over;
    int writers;
    int64_t took[LATENCIES]; /* since the last look */
    size_t n;
    uint64_t random;
};

static char filler[ROW_TEXT + 1];

static int64_t in(struct bench *b, int64_t ns) {
    return reactor_deadline(b->s->reactor, ns);
}

static void nap(struct bench *b, int64_t ns) {
    CHECK(fiber_sleep(b->s->reactor, ns) == RC_OK);
}

static void make_table(struct bench *b) {
    struct table_col cols[2] = {{.id = 1, .col = col_of(COL_INT8), .not_null = true, .missing = value_null()},
                                {.id = 2, .col = col_of(COL_TEXT), .missing = value_null()}};
    struct table_part key = {0};
    struct table from = {.id = TABLE, .group = TABLE, .version = 1, .n_cols = 2, .n_key = 1, .cols = cols, .key = &key};
    struct table *t;
    struct buf c;
    int64_t ts;
    CHECK(table_new(&from, &t, NULL) == RC_OK);
    buf_init(&c, 0);
    command_begin(&c, COMMAND_TABLE, 1);
    table_encode(t, &c);
    table_unref(t);
    CHECK(tablet_propose(b->s->tablets, SYSTEM_USER_TABLET, c.data, c.len, 0, NULL, in(b, 10 * SECOND), &ts, NULL) ==
          RC_OK);
    buf_done(&c);
}

static int64_t bytes_of(struct bench *b, uint64_t id) {
    struct tablet *t = tablets_find(b->s->tablets, id);
    int64_t n = 0;
    return t && mvcc_data_bytes(tablet_mvcc(t), &n, NULL) == RC_OK ? n : 0;
}

static void load(struct bench *b) {
    while (bytes_of(b, SYSTEM_USER_TABLET) < TABLET_BYTES) {
        static struct value v[LOAD_ROWS][2];
        static struct mvcc_mutation m[LOAD_ROWS];
        int64_t ts;
        for (int i = 0; i < LOAD_ROWS; i++) {
            v[i][0] = value_int(b->rows++);
            v[i][1] = value_text(filler, ROW_TEXT);
            m[i] = (struct mvcc_mutation){TABLE, false, 2, v[i]};
        }
        struct err err = {0};
        enum rc rc = tablet_write(b->s->tablets, SYSTEM_USER_TABLET, 0, m, LOAD_ROWS, in(b, 10 * SECOND), &ts, &err);
        CHECKF(rc == RC_OK, "%s", err_message(&err));
    }
}

static struct mvcc_bytes row_key(int64_t k, struct buf *to) {
    struct key_part part = {.col = col_of(COL_INT8)};
    struct value v = value_int(k);
    buf_reset(to, 0);
    CHECK(key_put_table(to, TABLE, NULL) == RC_OK && key_put(to, &part, &v, NULL) == RC_OK);
    return (struct mvcc_bytes){to->data, to->len};
}

/* One row after the other, until it is in: what a client waits for, redirects and all. */
static void writer(void *arg) {
    struct bench *b = arg;
    struct buf key;
    buf_init(&key, 0);
    while (!b->over) {
        b->random = b->random * 6364136223846793005u + 1442695040888963407u;
        struct value v[2] = {value_int((int64_t)((b->random >> 20) % (uint64_t)b->rows)), value_text(filler, ROW_TEXT)};
        struct mvcc_mutation m = {TABLE, false, 2, v};
        int64_t began = bench_now_ns(), ts;
        for (;;) {
            struct tablet *t = tablets_find_key(b->s->tablets, row_key(v[0].i, &key));
            enum rc rc = t && tablet_replica(t) && replica_leads(tablet_replica(t))
                             ? tablet_write(b->s->tablets, tablet_id(t), mvcc_state(tablet_mvcc(t))->generation, &m, 1,
                                            in(b, 2 * SECOND), &ts, NULL)
                             : RC_NOT_LEADER;
            if (rc == RC_OK || b->over)
                break;
            if (fiber_sleep(b->s->reactor, MS) != RC_OK)
                break;
        }
        if (b->n < LATENCIES)
            b->took[b->n++] = bench_now_ns() - began;
    }
    buf_done(&key);
    b->writers--;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

struct waits {
    double p50, p99, longest;
    size_t n;
};

/* What writers waited since the last look. */
static struct waits look(struct bench *b) {
    struct waits w = {.n = b->n};
    qsort(b->took, b->n, sizeof *b->took, by_value);
    if (b->n) {
        size_t middle = b->n / 2, late = b->n * 99 / 100;
        w.p50 = (double)b->took[middle] / 1e6;
        w.p99 = (double)b->took[late] / 1e6;
        w.longest = (double)b->took[b->n - 1] / 1e6;
    }
    b->n = 0;
    return w;
}

static struct bench_figure one(double x) {
    struct bench_figure f;
    for (int i = 0; i < BENCH_RUNS; i++)
        f.run[i] = x;
    return f;
}

static void splits(struct bench *b) {
    uint64_t id = SYSTEM_USER_TABLET, right = 0;
    nap(b, 2 * SECOND);
    struct waits before = look(b);
    bench_note("%d writers: %zu writes in 2 s, median %.2f ms, p99 %.2f ms, longest %.2f ms", WRITERS, before.n,
               before.p50, before.p99, before.longest);
    for (int i = 0; i < 3; i++) {
        int64_t bytes = bytes_of(b, id), began = bench_now_ns();
        struct err err = {0};
        look(b);
        enum rc rc = node_tablet_split(b->s, id, (struct mvcc_bytes){NULL, 0}, in(b, 60 * SECOND), &right, &err);
        CHECKF(rc == RC_OK, "%s", err_message(&err));
        int64_t took = bench_now_ns() - began;
        nap(b, SECOND);
        struct waits w = look(b);
        const struct tablets_stats *st = tablets_stats(b->s->tablets);
        bench_note(
            "split of %lld MB: %.2f s with its copy; writes meanwhile: median %.2f ms, p99 %.2f ms, longest %.2f ms; "
            "applying took %.1f ms at most",
            (long long)(bytes / MB), (double)took / 1e9, w.p50, w.p99, w.longest,
            (double)hist_quantile(&st->split_ns, 1) / 1e6);
        if (i == 0) {
            struct bench_figure f = one(w.longest);
            bench_report("tablet: longest write during a split of 64 MiB", &f, "ms", BENCH_AT_MOST, 100);
        }
        id = right;
    }
}

static enum rc admin(struct bench *b, const char *verb, uint64_t tablet, uint32_t from, uint32_t to, struct err *err) {
    struct arena a;
    ProtobufCMessage *m;
    arena_init(&a, 1 << 20);
    Node__AdminAsk *ask = arena_new(&a, Node__AdminAsk);
    CHECK(ask);
    node__admin_ask__init(ask);
    ask->verb = (char *)(uintptr_t)verb;
    ask->tablet = tablet;
    ask->from_node = from;
    ask->to_node = to;
    enum rc rc = rpc_call(b->s->rpc, rpc_self(b->s->rpc), NODE_TYPE_ADMIN, &ask->base, &a, in(b, 60 * SECOND), &m, err);
    arena_done(&a);
    return rc;
}

/* What the leader's snapshot takes, from its first chunk to its last. */
struct watch {
    struct bench *b;
    uint64_t before, bytes;
    int64_t first_ns, last_ns;
    bool over, ended;
};

static void watch_main(void *arg) {
    struct watch *w = arg;
    const struct replicas_stats *st = replicas_stats(tablets_replicas(w->b->s->tablets));
    while (!w->over) {
        uint64_t bytes = counter_get(&st->snapshot_bytes) - w->before;
        if (bytes > w->bytes) {
            w->last_ns = bench_now_ns();
            w->first_ns = w->first_ns ? w->first_ns : w->last_ns;
            w->bytes = bytes;
        }
        nap(w->b, 2 * MS);
    }
    w->ended = true;
}

static void moves(struct bench *b) {
    struct tablet_info info;
    struct err err = {0};
    tablet_info(tablets_find(b->s->tablets, SYSTEM_USER_TABLET), &info);
    uint32_t from = 0, to = 0;
    for (uint32_t n = 2; n <= NODES; n++)
        if (px_config_find(&info.config, px_store_of((struct store_addr){n, 0})))
            from = n;
        else
            to = n;
    nap(b, 2 * SECOND);
    look(b);
    nap(b, 2 * SECOND);
    struct waits before = look(b);
    struct watch watch = {.b = b,
                          .before = counter_get(&replicas_stats(tablets_replicas(b->s->tablets))->snapshot_bytes)};
    CHECK(fiber_spawn(b->s->reactor, NULL, FIBER_LARGE, "watch", watch_main, &watch) == RC_OK);
    int64_t bytes = bytes_of(b, SYSTEM_USER_TABLET), began = bench_now_ns();
    enum rc rc = admin(b, "move", SYSTEM_USER_TABLET, from, to, &err);
    CHECKF(rc == RC_OK, "%s", err_message(&err));
    double s = (double)(bench_now_ns() - began) / 1e9;
    struct waits w = look(b);
    watch.over = true;
    while (!watch.ended)
        nap(b, 2 * MS);
    struct bench_figure stream = one((double)watch.bytes / 1e6 / ((double)(watch.last_ns - watch.first_ns) / 1e9));
    struct bench_figure slow = one(w.p99), usual = one(before.p99);
    bench_note(
        "move of %lld MB in %.2f s; writes meanwhile: median %.2f ms, p99 %.2f ms (before %.2f), longest %.2f ms",
        (long long)(bytes / MB), s, w.p50, w.p99, before.p99, w.longest);
    bench_report("tablet: a moving replica's rows stream", &stream, "MB/s", BENCH_AT_LEAST, 50);
    bench_note("all its steps (the copy, the stream, its sync, two configurations): %.1f MB/s",
               (double)bytes / 1e6 / s);
    bench_compare("tablet: p99 of writes during a move", &slow, "ms", "before", &usual, BENCH_AT_MOST, 3);
}

static enum rc on_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    (void)batch, (void)last, (void)ctx, (void)err;
    return RC_OK;
}

static double reads(struct bench *b, uint64_t id, enum tablet_read_mode mode) {
    enum { READS = 2000 };
    static const struct fragment f = {.id = 78, .sql = "SELECT c2 FROM {20000} WHERE c1=?1", .n_params = 1};
    int64_t began = bench_now_ns();
    for (int i = 0; i < READS; i++) {
        struct value v = value_int(i * 7 % (b->rows / 8));
        struct tablet_read how = {.mode = mode,
                                  .ts = tt_now(&b->s->clock).earliest - 400 * MS,
                                  .run = {.fragment = &f, .params = &v, .on_batch = on_batch}};
        struct fragment_result r;
        struct err err = {0};
        int64_t ts;
        enum rc rc = tablet_read(b->s->tablets, id, &how, in(b, SECOND), &ts, &r, &err);
        CHECKF(rc == RC_OK, "%s", err_message(&err));
        if (i % 100 == 0)
            nap(b, 0);
    }
    return (double)(bench_now_ns() - began) / 1e3 / READS;
}

/* The writers have ended: the tablet is idle, and what its follower knows comes by closed times. */
static void followers(struct bench *b) {
    struct tablet_info info;
    struct err err = {0};
    b->over = true;
    while (b->writers)
        nap(b, 10 * MS);
    tablet_info(tablets_find(b->s->tablets, SYSTEM_USER_TABLET), &info);
    nap(b, SECOND);
    struct bench_figure leader = one(reads(b, SYSTEM_USER_TABLET, TABLET_READ_STRONG));
    uint32_t to = 0;
    for (uint32_t i = 0; i < info.config.count; i++)
        if (px_store_addr(info.config.member[i].store).node != 1)
            to = px_store_addr(info.config.member[i].store).node;
    enum rc rc = admin(b, "transfer-leader", SYSTEM_USER_TABLET, 0, to, &err);
    CHECKF(rc == RC_OK, "%s", err_message(&err));
    nap(b, 2 * SECOND);
    struct bench_figure follower = one(reads(b, SYSTEM_USER_TABLET, TABLET_READ_AT));
    bench_compare("tablet: point read 400 ms ago on a follower", &follower, "us", "strong on the leader", &leader,
                  BENCH_SHOW, 0);
}

static void bench_main(void *arg) {
    struct bench *b = arg;
    struct tablet_info info = {0};
    while (info.config.count < 3 || info.config.joint || directory_nodes(b->s->directory) < NODES) {
        nap(b, 100 * MS);
        tablet_info(tablets_find(b->s->tablets, SYSTEM_USER_TABLET), &info);
    }
    make_table(b);
    int64_t began = bench_now_ns();
    load(b);
    bench_note("%lld rows of %d bytes loaded in %.1f s", (long long)b->rows, ROW_TEXT,
               (double)(bench_now_ns() - began) / 1e9);
    for (; b->writers < WRITERS; b->writers++)
        CHECK(fiber_spawn(b->s->reactor, NULL, FIBER_LARGE, "writer", writer, b) == RC_OK);
    splits(b);
    moves(b);
    followers(b);
    process_stop(b->process);
}

static void on_ready(void *ctx, struct node *n) {
    struct bench *b = ctx;
    b->node = n;
    b->s = node_store(n, 0);
    if (node_number(n) == 1)
        CHECK(fiber_spawn(b->s->reactor, NULL, FIBER_LARGE, "bench", bench_main, b) == RC_OK);
}

static void on_failed(void *ctx, struct node *n, enum rc rc, const struct err *err) {
    (void)ctx, (void)n;
    fprintf(stderr, "bench_tablet: %s: %s\n", rc_name(rc), err_message(err));
    _exit(2);
}

static void run_node(int number, const char *first) {
    static struct bench b;
    static char dir[300], host[300];
    struct process_conf pc = {.stores = 1, .level = DIAG_ERROR};
    struct err err = {0};
    snprintf(dir, sizeof dir, "%s/n%d", tap_dir(), number);
    snprintf(host, sizeof host, "%s", tap_dir());
    struct node_conf conf = {.dir = dir,
                             .rpc_addr = number == 1 ? first : "127.0.0.1:0",
                             .bootstrap = number == 1,
                             .region = "here",
                             .zone = "a",
                             .host_dir = host,
                             .stores = 1,
                             .tablet_bytes = -1,
                             .on_ready = on_ready,
                             .on_failed = on_failed,
                             .ctx = &b};
    if (number > 1) {
        conf.join[0] = first;
        conf.joins = 1;
    }
    b.random = 88172645463325252u;
    CHECK(tt_spec_parse("host", &conf.clock, NULL) == RC_OK);
    CHECKF(process_new(&pc, &b.process, &err) == RC_OK, "%s", err.message);
    CHECKF(process_run(b.process, &node_program, &conf, &err) == RC_OK, "%s", err.message);
    process_free(b.process);
}

static void figures(void) {
    char first[64];
    pid_t pid[NODES + 1] = {0};
    memset(filler, 'x', ROW_TEXT);
    snprintf(first, sizeof first, "127.0.0.1:%d", 20000 + (int)getpid() % 20000);
    const char *dir = tap_dir(); /* before the forks: one for all */
    OK(dir != NULL);
    for (int i = 2; i <= NODES; i++) {
        pid[i] = fork();
        CHECK(pid[i] >= 0);
        if (pid[i] == 0) {
            usleep(500000); /* the first node is there by then; who is early tries again */
            run_node(i, first);
            _exit(0);
        }
    }
    run_node(1, first);
    for (int i = 2; i <= NODES; i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], NULL, 0);
    }
}

int main(void) {
    RUN(figures);
    return tap_done();
}
