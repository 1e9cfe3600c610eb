/* SPDX-License-Identifier: Apache-2.0 */
/* The lock table: lock and unlock a key nobody wants; a million held at once; the same while spans are about. */
#include <stdlib.h>

#include "tests/lib/bench.h"
#include "truetime/base/map.h"
#include "txn/lock.h"

enum { TXNS = 1000, EACH = 1000, SMALL = 10, ROUNDS = 100000, KEY = 16 };

static void must(enum rc rc) {
    CHECKF(rc == RC_OK, "%s", rc_text(rc));
}

static void key_of(uint8_t to[KEY + 1], uint64_t i) {
    for (int b = 0; b < KEY; b++)
        to[b] = (uint8_t)((b < 8 ? i >> (56 - 8 * b) : hash_u64(i) >> (b - 8)) & 0xff);
    to[KEY] = 0;
}

static struct lock_txn *begin(struct lock_table *t, uint64_t i) {
    struct txn_ref ref = {.id = {1, 1, i}, .age = {(int64_t)i, 1, i}};
    struct lock_txn *x;
    must(lock_txn_open(t, &ref, 0, &x, NULL));
    return x;
}

static void lock(struct lock_table *t, struct lock_txn *x, uint64_t i) {
    uint8_t k[KEY + 1];
    bool waits;
    key_of(k, i);
    struct txn_span s = {{k, KEY}, {k, KEY + 1}};
    must(lock_acquire(t, x, &s, LOCK_EXCLUSIVE, i, 0, INT64_MAX, &waits, NULL));
    CHECK(!waits);
}

static struct lock_table *table(void) {
    struct lock_table *t;
    struct lock_init init = {.seed = 42};
    must(lock_table_new(&init, &t));
    return t;
}

/* Transactions of ten keys each, one after the other: ns for a lock and its release together. */
static double small_txns(bool with_spans) {
    struct lock_table *t = table();
    struct lock_txn *wide = begin(t, 1);
    for (uint8_t i = 0; with_spans && i < 100; i++) {
        uint8_t lo[2] = {0xf0, i}, hi[2] = {0xf0, (uint8_t)(i + 1)};
        struct txn_span s = {{lo, 2}, {hi, 2}};
        bool waits;
        must(lock_acquire(t, wide, &s, LOCK_SHARED, i, 0, INT64_MAX, &waits, NULL));
    }
    int64_t began = bench_cpu_ns();
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct lock_txn *x = begin(t, i + 2);
        for (uint64_t k = 0; k < SMALL; k++)
            lock(t, x, i * SMALL + k);
        lock_release(t, x, 0);
    }
    double ns = (double)(bench_cpu_ns() - began) / (ROUNDS * SMALL);
    lock_table_free(t);
    return ns;
}

/* A million keys in random order held at once. */
static void million(double *ret_lock, double *ret_unlock, double *ret_bytes) {
    struct lock_table *t = table();
    struct lock_txn **x = calloc(TXNS, sizeof(*x));
    CHECK(x);
    for (uint64_t i = 0; i < TXNS; i++)
        x[i] = begin(t, i + 1);
    int64_t began = bench_cpu_ns();
    for (uint64_t i = 0; i < (uint64_t)TXNS * EACH; i++)
        lock(t, x[i % TXNS], hash_u64(i) << 20 | i);
    int64_t locked = bench_cpu_ns();
    struct lock_stats s;
    lock_stats(t, &s);
    *ret_bytes = (double)s.bytes / (double)s.locks;
    for (uint64_t i = 0; i < TXNS; i++)
        lock_release(t, x[i], 0);
    int64_t unlocked = bench_cpu_ns();
    *ret_lock = (double)(locked - began) / ((double)TXNS * EACH);
    *ret_unlock = (double)(unlocked - locked) / ((double)TXNS * EACH);
    lock_table_free(t);
    free(x);
}

int main(void) {
    struct bench_figure small, spans, lock_ns, unlock_ns, bytes;
    for (int run = 0; run < BENCH_RUNS; run++) {
        small.run[run] = small_txns(false);
        spans.run[run] = small_txns(true);
        million(&lock_ns.run[run], &unlock_ns.run[run], &bytes.run[run]);
    }
    bench_report("lock: a key, lock and unlock", &small, "ns", BENCH_AT_MOST, 300);
    bench_report("lock: the same beside 100 spans", &spans, "ns", BENCH_SHOW, 0);
    bench_report("lock: a million held, lock", &lock_ns, "ns", BENCH_SHOW, 0);
    bench_report("lock: a million held, unlock", &unlock_ns, "ns", BENCH_SHOW, 0);
    bench_report("lock: memory of a lock", &bytes, "bytes", BENCH_SHOW, 0);
    return 0;
}
