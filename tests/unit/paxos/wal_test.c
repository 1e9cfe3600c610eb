/* SPDX-License-Identifier: Apache-2.0 */
/* The log on files in memory: what it promises without crashes, and with every single operation failing in its turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"
#include "tests/lib/tap.h"
#include "tests/unit/paxos/memenv.h"
#include "tests/unit/paxos/walmodel.h"

enum { TICKETS = 4096 };

/* A log, its shadow, and who waits. */
struct bench {
    struct memenv e;
    struct wal_conf conf;
    struct wal *w;
    struct model model;
    struct wal_ticket ticket[TICKETS];
    unsigned waiting, done;
    enum rc last_rc;
    unsigned failed, closed, room;
    uint64_t nonce;
};

static struct bench *bench_of_ticket; /* the one test under way: tickets carry no context of their own */

static void on_done(struct wal_ticket *t, enum rc rc) {
    struct bench *b = bench_of_ticket;
    CHECK(t == &b->ticket[b->done % TICKETS]); /* in order */
    b->done++;
    b->last_rc = rc;
    b->failed += rc != RC_OK;
}

static void on_closed(void *ctx) {
    ((struct bench *)ctx)->closed++;
}

static void on_room(void *ctx) {
    ((struct bench *)ctx)->room++;
}

static struct wal_ticket *ticket(struct bench *b) {
    struct wal_ticket *t = &b->ticket[b->waiting++ % TICKETS];
    *t = (struct wal_ticket){.on_done = on_done};
    return t;
}

static void begin(struct bench *b, uint32_t segment_bytes) {
    memset(b, 0, sizeof *b);
    memenv_init(&b->e);
    b->conf = (struct wal_conf){.store = MODEL_STORE, .segment_bytes = segment_bytes, .on_room = on_room, .ctx = b};
    bench_of_ticket = b;
}

static enum rc open_log(struct bench *b, struct err *err) {
    return wal_open(&b->e.env, "log", &b->conf, NULL, &b->w, NULL, err);
}

static void must_open(struct bench *b) {
    struct err err = {0};
    OKF(open_log(b, &err) == RC_OK, "%s", err_message(&err));
}

static void close_log(struct bench *b) {
    unsigned before = b->closed;
    wal_close(b->w, on_closed, b);
    b->w = NULL;
    memenv_run(&b->e);
    EQ_INT(b->closed, before + 1);
}

static void end(struct bench *b) {
    if (b->w)
        close_log(b);
    memenv_done(&b->e);
}

static enum rc put(struct bench *b, struct model_op op, bool wait) {
    op.nonce = op.type == WAL_ENTRY ? ++b->nonce : 0;
    enum rc rc = model_put(b->w, &op, wait ? ticket(b) : NULL);
    if (!rc)
        model_apply(&b->model, &op);
    else if (wait)
        b->waiting--;
    return rc;
}

static void flush(struct bench *b) {
    wal_flush(b->w);
    memenv_run(&b->e);
}

static void check_state(struct bench *b) {
    struct model found;
    struct err err = {0};
    char why[200] = "";
    OKF(model_ask(b->w, &found, &err) == RC_OK, "%s", err_message(&err));
    OKF(model_equal(&b->model, &found, why, sizeof why), "%s", why);
}

static void check_reopened(struct bench *b) {
    struct model replayed;
    struct wal_replay r = model_replay(&replayed);
    struct err err = {0};
    char why[200] = "";
    OKF(wal_open(&b->e.env, "log", &b->conf, &r, &b->w, NULL, &err) == RC_OK, "%s", err_message(&err));
    if (!b->w)
        return;
    OKF(model_equal(&b->model, &replayed, why, sizeof why), "replayed: %s", why);
    check_state(b);
}

#define PROMISE(g, r) ((struct model_op){.type = WAL_PROMISE, .group = (g), .round = (r)})
#define ENTRY(g, s, n) ((struct model_op){.type = WAL_ENTRY, .group = (g), .slot = (s), .round = 1, .bytes = (n)})
#define VOID_(g, s) ((struct model_op){.type = WAL_VOID, .group = (g), .slot = (s)})
#define TRUNCATE(g, s) ((struct model_op){.type = WAL_TRUNCATE, .group = (g), .slot = (s)})
#define FORGET(g) ((struct model_op){.type = WAL_FORGET, .group = (g)})
#define STORE(n) ((struct model_op){.type = WAL_STORE, .round = (n)})

static void some(struct bench *b, unsigned n, const struct model_mix *mix, struct rng *rng) {
    for (unsigned i = 0; i < n; i++) {
        struct model_op op = model_next(&b->model, mix, rng, 0);
        enum rc rc = put(b, op, false);
        if (rc == RC_OVERLOAD || rc == RC_NOSPACE)
            flush(b);
        else
            CHECKF(rc == RC_OK, "%s", rc_name(rc));
        if (rng_chance(rng, 0.2))
            flush(b);
    }
    flush(b);
}

/* ---- tests ---- */

/* Whatever was appended is there: by asking, by reading, by replay; the order of tickets is that of appending. */
static void put_and_find(void) {
    struct bench b;
    begin(&b, 1 << 20);
    must_open(&b);
    EQ_INT(put(&b, STORE(1), true), RC_OK);
    EQ_INT(put(&b, PROMISE(1, 3), true), RC_OK);
    EQ_INT(put(&b, ENTRY(1, 1, 100), true), RC_OK);
    EQ_INT(put(&b, ENTRY(1, 2, 0), true), RC_OK);
    EQ_INT(put(&b, ENTRY(1, 3, 5000), true), RC_OK);
    EQ_INT(b.done, 0); /* never within the call */
    flush(&b);
    EQ_INT(b.done, 5);
    EQ_INT(b.failed, 0);
    check_state(&b);
    EQ_INT(put(&b, VOID_(1, 3), true), RC_OK);
    EQ_INT(put(&b, TRUNCATE(1, 1), true), RC_OK);
    EQ_INT(put(&b, PROMISE(2, 9), true), RC_OK);
    EQ_INT(put(&b, ENTRY(2, 1, 10), false), RC_OK);
    EQ_INT(put(&b, FORGET(2), true), RC_OK);
    flush(&b);
    check_state(&b);
    EQ_INT(put(&b, ENTRY(1, 1, 10), false), RC_INVAL); /* truncated */
    close_log(&b);
    check_reopened(&b);
    EQ_INT(put(&b, ENTRY(1, 3, 77), true), RC_OK); /* after the void a slot begins anew */
    flush(&b);
    close_log(&b);
    check_reopened(&b);
    end(&b);
}

/* Alone a record is written at once; what comes during a sync shares the next one. */
static void one_batch_at_a_time(void) {
    struct bench b;
    begin(&b, 1 << 20);
    must_open(&b);
    EQ_INT(put(&b, STORE(1), true), RC_OK);
    flush(&b);
    uint64_t batches = counter_get(&wal_stats(b.w)->batches);
    EQ_INT(batches, 1);
    b.e.hold = true;
    EQ_INT(put(&b, PROMISE(1, 1), true), RC_OK);
    wal_flush(b.w);
    for (unsigned i = 1; i <= 64; i++) {
        EQ_INT(put(&b, ENTRY(1, i, 100), true), RC_OK);
        wal_flush(b.w);
    }
    memenv_run(&b.e);
    OK(wal_stalled_ns(b.w) == 0);
    b.e.now_ns += 5;
    EQ_INT(wal_stalled_ns(b.w), 5);
    EQ_INT(b.done, 1);
    b.e.hold = false;
    memenv_run(&b.e);
    EQ_INT(b.done, 66);
    EQ_INT(counter_get(&wal_stats(b.w)->batches), batches + 2);
    EQ_INT(wal_stalled_ns(b.w), 0);
    end(&b);
}

/* What is too large, too much or out of range is refused and leaves nothing behind. */
static void limits(void) {
    struct bench b;
    begin(&b, 64 << 10);
    b.conf.gather_bytes_max = 20000;
    must_open(&b);
    EQ_INT(put(&b, ENTRY(1, 1, 64 << 10), false), RC_LIMIT);
    struct px_ballot ballot = {1, 1, 1};
    EQ_INT(wal_put_promise(b.w, UINT64_C(1) << 56, &ballot, NULL), RC_LIMIT);
    EQ_INT(put(&b, ENTRY(1, 1, 9000), false), RC_OK);
    EQ_INT(wal_health(b.w), RC_OK);
    EQ_INT(put(&b, ENTRY(1, 2, 9000), true), RC_OK);
    EQ_INT(wal_health(b.w), RC_OVERLOAD);
    EQ_INT(put(&b, ENTRY(1, 3, 9000), true), RC_OVERLOAD);
    EQ_INT(put(&b, ENTRY(1, 0, 10), false), RC_INVAL);
    flush(&b);
    EQ_INT(wal_health(b.w), RC_OK);
    EQ_INT(b.room, 1);
    EQ_INT(b.done, 1);
    check_state(&b);
    struct px_entry e;
    size_t n;
    EQ_INT(wal_read(b.w, 12345, 1, 100, &e, 1, &n, NULL), RC_NOTFOUND);
    EQ_INT(put(&b, ENTRY(1, 3, 10), false), RC_OK);
    struct wal_group g;
    OK(!wal_find(b.w, 12345, &g));
    end(&b);
}

/* Many segments are filled, emptied and used again; the log stays small and nothing that counts is lost. */
static void recycle(void) {
    static const struct model_mix mix = {.groups = MODEL_GROUPS, .bytes_max = 1500, .keep = 4};
    struct bench b;
    struct rng rng;
    uint64_t recycled = 0, moved = 0;
    rng_init(&rng, 7);
    begin(&b, 16 << 10);
    must_open(&b);
    EQ_INT(put(&b, STORE(1), false), RC_OK);
    for (int round = 0; round < 40 && !tap_failing(); round++) {
        some(&b, 500, &mix, &rng);
        check_state(&b);
        EQ_INT(gauge_get(&wal_stats(b.w)->live_bytes), model_bytes(&b.model));
        if (round % 4 == 3) {
            OK(gauge_get(&wal_stats(b.w)->segments) < 40);
            recycled += counter_get(&wal_stats(b.w)->recycled);
            moved += counter_get(&wal_stats(b.w)->moved);
            close_log(&b);
            check_reopened(&b);
            EQ_INT(gauge_get(&wal_stats(b.w)->live_bytes), model_bytes(&b.model));
        }
    }
    tap_note("%llu segments recycled, %llu entries moved", (unsigned long long)recycled, (unsigned long long)moved);
    OK(recycled > 20);
    OK(moved > 100);
    end(&b);
}

/* Nothing counts any more but promises: they move, and one stubborn entry does too. */
static void one_entry_keeps_nothing_back(void) {
    struct bench b;
    begin(&b, 16 << 10);
    must_open(&b);
    EQ_INT(put(&b, STORE(1), false), RC_OK);
    EQ_INT(put(&b, PROMISE(1, 1), false), RC_OK);
    EQ_INT(put(&b, ENTRY(1, 1, 500), false), RC_OK);
    EQ_INT(put(&b, PROMISE(2, 1), false), RC_OK);
    for (unsigned i = 1; i < 2000; i++) {
        EQ_INT(put(&b, ENTRY(2, i, 200), false), RC_OK);
        if (i % 5 == 0)
            EQ_INT(put(&b, TRUNCATE(2, i), false), RC_OK);
        flush(&b);
    }
    check_state(&b);
    OK(gauge_get(&wal_stats(b.w)->segments) <= 5);
    close_log(&b);
    check_reopened(&b);
    end(&b);
}

/* A group whose entries all count keeps the log long; it is named so that somebody does something about it. */
static void who_keeps_it(void) {
    struct bench b;
    uint64_t group = 0;
    px_slot slot = 0;
    begin(&b, 16 << 10);
    b.conf.segments_soft = 3;
    must_open(&b);
    EQ_INT(put(&b, PROMISE(3, 1), false), RC_OK);
    for (unsigned i = 1; i < MODEL_SLOTS; i++) {
        EQ_INT(put(&b, ENTRY(3, i, 1000), false), RC_OK);
        flush(&b);
    }
    OK(wal_want_truncate(b.w, &group, &slot));
    EQ_INT(group & 0xffff, 3);
    OK(slot > 0 && slot < 30);
    int64_t many = gauge_get(&wal_stats(b.w)->segments);
    EQ_INT(put(&b, TRUNCATE(3, MODEL_SLOTS - 3), false), RC_OK);
    flush(&b);
    OK(!wal_want_truncate(b.w, &group, &slot));
    OK(gauge_get(&wal_stats(b.w)->segments) < many / 2);
    check_state(&b);
    end(&b);
}

/* A truncation below an earlier one changes nothing, even when the segment of the earlier one is used again. */
static void lower_truncation(void) {
    struct bench b;
    begin(&b, 4096);
    must_open(&b);
    EQ_INT(put(&b, PROMISE(1, 1), false), RC_OK);
    EQ_INT(put(&b, TRUNCATE(1, 10), false), RC_OK);
    for (unsigned i = 1; i < 200; i++) {
        EQ_INT(put(&b, TRUNCATE(1, i % 10), false), RC_OK);
        EQ_INT(put(&b, PROMISE(2, i), false), RC_OK);
        flush(&b);
    }
    OK(counter_get(&wal_stats(b.w)->recycled) > 1);
    check_state(&b);
    close_log(&b);
    check_reopened(&b);
    end(&b);
}

/* ---- faults ---- */

/* A body of appends, flushes and reopenings; its outcome is looked at by the caller. */
static enum rc body(struct bench *b, struct err *err) {
    static const struct model_mix mix = {.groups = 3, .bytes_max = 900, .keep = 3};
    struct rng rng;
    rng_init(&rng, 3);
    for (int boot = 0; boot < 2; boot++) {
        enum rc rc = open_log(b, err);
        if (rc)
            return rc;
        for (int i = 0; i < 60; i++) {
            struct model_op op = model_next(&b->model, &mix, &rng, 0);
            rc = put(b, op, true);
            if (rc)
                return rc;
            if (i % 3 == 0)
                flush(b);
            if (b->failed)
                return b->last_rc;
        }
        flush(b);
        if (b->failed)
            return b->last_rc;
        close_log(b);
    }
    return RC_OK;
}

/* What is found after a failure is what was appended up to some point, and all of what was said to be durable. */
static void check_after_fault(struct bench *b, const struct model_op *ops, unsigned count, unsigned acked) {
    struct model found, m;
    struct err err = {0};
    char why[200] = "";
    memset(&m, 0, sizeof m);
    memenv_fail(&b->e, 0, 0, false, RC_OK);
    if (b->w)
        close_log(b);
    must_open(b);
    OKF(model_ask(b->w, &found, &err) == RC_OK, "%s", err_message(&err));
    bool ok = acked == 0 && model_equal(&m, &found, why, sizeof why);
    for (unsigned i = 0; i < count && !ok; i++) {
        model_apply(&m, &ops[i]);
        ok = i + 1 >= acked && model_equal(&m, &found, why, sizeof why);
    }
    OKF(ok, "%u put, %u acknowledged: %s", count, acked, why);
}

/* The ops of body, as they would be put without faults. */
static unsigned body_ops(struct model_op *ops, unsigned cap) {
    static const struct model_mix mix = {.groups = 3, .bytes_max = 900, .keep = 3};
    struct model m;
    struct rng rng;
    unsigned n = 0;
    uint64_t nonce = 0;
    memset(&m, 0, sizeof m);
    rng_init(&rng, 3);
    while (n < cap) {
        struct model_op op = model_next(&m, &mix, &rng, 0);
        op.nonce = op.type == WAL_ENTRY ? ++nonce : 0;
        model_apply(&m, &op);
        ops[n++] = op;
    }
    return n;
}

static void fail_each(unsigned kinds, bool lasting) {
    struct model_op ops[60];
    unsigned hits = 0, count = body_ops(ops, 60);
    for (uint64_t n = 1; n < 2000 && !tap_failing(); n++) {
        struct bench b;
        struct err err = {0};
        begin(&b, 4096);
        b.conf.gather_bytes_max = 1 << 20;
        memenv_fail(&b.e, kinds, n, lasting, RC_IO);
        enum rc rc = body(&b, &err);
        bool struck = b.e.failed > 0;
        hits += struck;
        if (struck && kinds == MEM_IO) { /* a write or sync that failed is the end, for good (P-30) */
            if (b.w && !rc)
                flush(&b);
            if (b.w && b.failed) {
                EQ_INT(b.last_rc, RC_IO);
                EQ_INT(wal_health(b.w), RC_IO);
                unsigned done = b.done;
                EQ_INT(put(&b, PROMISE(1, 99), true), RC_IO);
                flush(&b);
                EQ_INT(b.done, done);
            }
        }
        unsigned acked = b.done - b.failed;
        if (rc && acked < 60) /* the first boot; later ones repeat the choice with another model */
            check_after_fault(&b, ops, count, acked);
        else
            memenv_fail(&b.e, 0, 0, false, RC_OK);
        end(&b);
        if (!struck) {
            EQ_INT(rc, RC_OK);
            tap_note("%u places", hits);
            return;
        }
    }
    OK(hits > 10);
}

static void each_sync_fails(void) {
    fail_each(MEM_IO, false);
}

static void each_file_operation_fails(void) {
    fail_each(MEM_OPEN | MEM_READ | MEM_WRITE | MEM_NAME, false);
}

static void everything_fails_from_some_point(void) {
    fail_each(MEM_ALL, true);
}

/* A full disk: entries are refused early and clearly, everything else goes on, and when there is space again so do they. */
static void full_disk(void) {
    struct bench b;
    begin(&b, 64 << 10);
    b.e.capacity = 200 << 10;
    must_open(&b);
    EQ_INT(put(&b, STORE(1), true), RC_OK);
    EQ_INT(put(&b, PROMISE(1, 1), true), RC_OK);
    flush(&b);
    unsigned entries = 0, healthy = 0;
    enum rc rc = RC_OK;
    while (entries < MODEL_SLOTS - 1) {
        healthy += wal_health(b.w) == RC_OK;
        rc = put(&b, ENTRY(1, entries + 1, 3000), true);
        if (rc == RC_NOSPACE)
            break;
        entries += rc == RC_OK;
        flush(&b);
    }
    EQ_INT(rc, RC_NOSPACE);
    EQ_INT(wal_health(b.w), RC_NOSPACE);
    OKF(healthy > 5 && healthy + 3 <= entries, "%u of %u appended in good health", healthy, entries);
    EQ_INT(b.failed, 0);
    for (unsigned i = 2; i < 60; i++) { /* promises find room for long */
        EQ_INT(put(&b, PROMISE(i % MODEL_GROUPS, i), true), RC_OK);
        flush(&b);
    }
    EQ_INT(b.failed, 0);
    EQ_INT(b.done, b.waiting);
    uint64_t group;
    px_slot slot;
    OK(wal_want_truncate(b.w, &group, &slot));
    EQ_INT(put(&b, TRUNCATE(1, entries), true), RC_OK);
    flush(&b);
    EQ_INT(b.done, b.waiting);
    EQ_INT(wal_health(b.w), RC_OK); /* what was truncated made room */
    OK(b.room > 0);
    for (unsigned i = 1; i < 200; i++) {
        EQ_INT(put(&b, ENTRY(1, entries + i, 3000), true), RC_OK);
        flush(&b);
        EQ_INT(put(&b, TRUNCATE(1, entries + i), true), RC_OK);
        flush(&b);
    }
    b.e.capacity = 0;
    memenv_advance(&b.e, WAL_RETRY_NS);
    memenv_advance(&b.e, WAL_RETRY_NS);
    EQ_INT(wal_health(b.w), RC_OK);
    check_state(&b);
    close_log(&b);
    check_reopened(&b);
    end(&b);
}

/* Space comes back by itself, without a restart and without a truncation. */
static void space_comes_back(void) {
    struct bench b;
    begin(&b, 16 << 10);
    b.e.capacity = 40 << 10;
    must_open(&b);
    EQ_INT(put(&b, PROMISE(1, 1), true), RC_OK);
    unsigned n = 0;
    while (put(&b, ENTRY(1, n + 1, 1000), true) == RC_OK) {
        n++;
        flush(&b);
    }
    EQ_INT(wal_health(b.w), RC_NOSPACE);
    unsigned room = b.room;
    memenv_advance(&b.e, WAL_RETRY_NS);
    EQ_INT(wal_health(b.w), RC_NOSPACE);
    b.e.capacity = 0;
    memenv_advance(&b.e, WAL_RETRY_NS);
    EQ_INT(wal_health(b.w), RC_OK);
    EQ_INT(b.room, room + 1);
    EQ_INT(put(&b, ENTRY(1, n + 1, 1000), true), RC_OK);
    flush(&b);
    EQ_INT(b.failed, 0);
    check_state(&b);
    end(&b);
}

/* A log that another store wrote is not opened, and not touched. */
static void wrong_store(void) {
    struct bench b;
    struct err err = {0};
    begin(&b, 16 << 10);
    must_open(&b);
    EQ_INT(put(&b, STORE(1), true), RC_OK);
    flush(&b);
    close_log(&b);
    struct memenv before;
    memenv_init(&before);
    memenv_copy(&before, &b.e);
    b.conf.store = 99;
    EQ_INT(open_log(&b, &err), RC_INVAL);
    OKF(strstr(err.message, "65537") && strstr(err.message, "99"), "%s", err.message);
    for (size_t i = 0; i < MEM_FILES; i++)
        if (before.file[i].name[0]) {
            struct mem_file *f = memenv_file(&b.e, before.file[i].name);
            OK(f && f->bytes == before.file[i].bytes && memcmp(f->data, before.file[i].data, f->bytes) == 0);
        }
    memenv_done(&before);
    b.conf.store = MODEL_STORE;
    check_reopened(&b);
    end(&b);
}

/* Closing answers who waits, and says when the files are closed. */
static void close_under_way(void) {
    struct bench b;
    begin(&b, 16 << 10);
    must_open(&b);
    b.e.hold = true;
    EQ_INT(put(&b, STORE(1), true), RC_OK);
    wal_flush(b.w);
    memenv_run(&b.e);
    EQ_INT(put(&b, PROMISE(1, 1), true), RC_OK);
    wal_close(b.w, on_closed, &b);
    b.w = NULL;
    EQ_INT(b.done, 2);
    EQ_INT(b.last_rc, RC_SHUTDOWN);
    memenv_run(&b.e);
    EQ_INT(b.closed, 0); /* the disk has not answered */
    b.e.hold = false;
    memenv_run(&b.e);
    EQ_INT(b.closed, 1);
    EQ_INT(b.e.open, 0);
    end(&b);
}

/* ---- memory ---- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static uint64_t alloc_count, alloc_fail_at;

static bool no_memory(void) {
    return alloc_fail_at && ++alloc_count == alloc_fail_at;
}

void *__wrap_malloc(size_t n) {
    return no_memory() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
    return no_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
    return no_memory() ? NULL : __real_realloc(p, n);
}

/* One allocation at a time fails: the call says so and has done nothing, or the log finds another way. */
static void each_allocation_fails(void) {
    struct bench big; /* its files are made without failures */
    begin(&big, 4096);
    must_open(&big);
    static const struct model_mix mix = {.groups = 4, .bytes_max = 700, .keep = 3};
    struct rng rng;
    rng_init(&rng, 5);
    some(&big, 120, &mix, &rng);
    close_log(&big);
    uint64_t n = 1;
    for (bool struck = true; struck && n < 5000 && !tap_failing(); n++) {
        struct bench b;
        struct err err = {0};
        begin(&b, 4096);
        memenv_copy(&b.e, &big.e);
        b.model = big.model;
        b.nonce = big.nonce;
        struct rng r;
        rng_init(&r, 9);
        alloc_count = 0;
        alloc_fail_at = n;
        enum rc rc = open_log(&b, &err);
        for (int i = 0; i < 100 && !rc; i++) {
            struct model_op op = model_next(&b.model, &mix, &r, 0);
            enum rc put_rc = put(&b, op, false);
            CHECKF(put_rc == RC_OK || put_rc == RC_NOMEM || put_rc == RC_OVERLOAD, "%s", rc_name(put_rc));
            if (i % 4 == 0 || put_rc == RC_OVERLOAD)
                flush(&b);
        }
        struck = alloc_count >= n;
        alloc_fail_at = 0;
        if (rc) {
            EQ_INT(rc, RC_NOMEM);
            check_reopened(&b); /* nothing is spoilt */
        } else {
            flush(&b);
            EQ_INT(wal_health(b.w), RC_OK);
            check_state(&b);
            close_log(&b);
            check_reopened(&b);
        }
        bench_of_ticket = &b;
        end(&b);
    }
    OK(n > 50);
    tap_note("%llu allocations", (unsigned long long)n - 1);
    bench_of_ticket = &big;
    end(&big);
}

/* Ten thousand idle groups cost next to nothing. */
static void idle_groups_are_small(void) {
    enum { GROUPS = 10000 };
    struct bench b;
    begin(&b, 4 << 20);
    must_open(&b);
    for (uint64_t i = 0; i < GROUPS; i++) {
        struct px_ballot ballot = {1, MODEL_STORE, 1};
        CHECK(wal_put_promise(b.w, i, &ballot, NULL) == RC_OK);
        struct px_value *v = px_value_new(PX_COMMAND, "hello", 5);
        CHECK(v);
        for (px_slot s = 1; s < 20; s++) {
            struct px_entry e = {s, ballot, v};
            enum rc rc;
            while ((rc = wal_put_entry(b.w, i, &e, NULL)) == RC_OVERLOAD)
                flush(&b);
            CHECK(rc == RC_OK);
        }
        px_value_unref(v);
        CHECK(wal_put_truncate(b.w, i, 17, NULL) == RC_OK);
        flush(&b);
    }
    size_t bytes = 0, count = 0;
    ilist_for_each(it, &b.w->group_list) {
        const struct wal_gr *g = ilist_entry(it, struct wal_gr, link);
        bytes += sizeof *g + g->cap * sizeof *g->v + 32;
        count++;
    }
    EQ_INT(count, GROUPS);
    OKF(bytes / GROUPS < 512, "%zu bytes each", bytes / GROUPS);
    tap_note("%zu bytes each", bytes / GROUPS);
    end(&b);
}

int main(void) {
    RUN(put_and_find);
    RUN(one_batch_at_a_time);
    RUN(limits);
    RUN(recycle);
    RUN(one_entry_keeps_nothing_back);
    RUN(who_keeps_it);
    RUN(lower_truncation);
    RUN(each_sync_fails);
    RUN(each_file_operation_fails);
    RUN(everything_fails_from_some_point);
    RUN(full_disk);
    RUN(space_comes_back);
    RUN(wrong_store);
    RUN(close_under_way);
    RUN(each_allocation_fails);
    RUN(idle_groups_are_small);
    return tap_done();
}
