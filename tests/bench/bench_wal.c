/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write-ahead log: appenders that each wait for their record, beside a bare loop of write + fdatasync of as many bytes to a
 * prewritten file on the same disk, in the same process, runs interleaved.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paxos/wal.h"
#include "tests/lib/bench.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"

enum { COMMAND_BYTES = 400, RECORD_BYTES = 512, FILE_BYTES = 64 << 20, BARE_SYNCS = 1500, MS = 1000000, STORE = 65537 };
static_assert(WAL_RECORD_HEADER_BYTES + WAL_ENTRY_HEADER_BYTES + COMMAND_BYTES == RECORD_BYTES, "the same bytes");
static const int64_t RUN_NS = 400 * (int64_t)MS;

static const int appenders[] = {1, 8, 64, 256};
static struct bench_figure bare_us, bare_rate, rate[4], batch[4], cpu_us[4], replay_rate;

struct waiting {
    struct wal_ticket t;
    struct event done;
};

struct load {
    struct reactor *r;
    struct wal *w;
    struct reactor_flush flush;
    struct px_value *value;
    int64_t until;
    uint64_t next_group, done;
};

static void must(enum rc rc) {
    CHECKF(rc == RC_OK, "%s", rc_text(rc));
}

static void on_done(struct wal_ticket *t, enum rc rc) {
    event_set(&container_of(t, struct waiting, t)->done, rc);
}

static void on_flush(struct reactor_flush *f) {
    wal_flush(container_of(f, struct load, flush)->w);
}

static void append(struct load *l, uint64_t group, px_slot slot) {
    struct px_entry e = {slot, {1, STORE, 1}, l->value};
    struct waiting x = {.t = {.on_done = on_done}};
    enum rc rc;
    event_init_unset(&x.done);
    while ((rc = wal_put_entry(l->w, group, &e, &x.t)) == RC_OVERLOAD) /* a young log grows its segments */
        must(fiber_sleep(l->r, MS));
    must(rc);
    if (slot % 1000 == 0)
        must(wal_put_truncate(l->w, group, slot - 1, NULL));
    reactor_flush_later(l->r, &l->flush);
    must(event_wait(l->r, &x.done, DEADLINE_NONE));
}

static void appender(void *arg) {
    struct load *l = arg;
    uint64_t group = l->next_group++;
    for (px_slot slot = 1; reactor_now(l->r) < l->until; slot++) {
        append(l, group, slot);
        l->done++;
    }
}

static void measure(struct load *l, size_t i, int run) {
    struct fiber_group g;
    const struct wal_stats *s = wal_stats(l->w);
    uint64_t batches = counter_get(&s->batches), records = counter_get(&s->records);
    int64_t cpu = bench_cpu_ns(), began = reactor_now(l->r);
    fiber_group_init(&g);
    l->done = 0;
    l->until = began + RUN_NS;
    for (int k = 0; k < appenders[i]; k++)
        must(fiber_spawn(l->r, &g, FIBER_SMALL, "appender", appender, l));
    must(fiber_group_join(l->r, &g, DEADLINE_NONE));
    rate[i].run[run] = (double)l->done * 1e9 / (double)(reactor_now(l->r) - began);
    cpu_us[i].run[run] = (double)(bench_cpu_ns() - cpu) / 1000 / (double)l->done;
    batch[i].run[run] = (double)(counter_get(&s->records) - records) / (double)(counter_get(&s->batches) - batches);
}

static void bare(const char *path, int run) {
    char record[RECORD_BYTES] = {2};
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    int64_t began = bench_now_ns();
    for (int i = 0; i < BARE_SYNCS; i++) {
        CHECK(pwrite(fd, record, sizeof record, (off_t)i * RECORD_BYTES) == RECORD_BYTES);
        CHECK(fdatasync(fd) == 0);
    }
    double ns = (double)(bench_now_ns() - began) / BARE_SYNCS;
    bare_us.run[run] = ns / 1000;
    bare_rate.run[run] = 1e9 / ns;
    close(fd);
}

static void prewrite(const char *path) {
    static const char zeros[1 << 20];
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    CHECK(fd >= 0);
    for (int i = 0; i < FILE_BYTES / (1 << 20); i++)
        CHECK(write(fd, zeros, sizeof zeros) == sizeof zeros);
    CHECK(fdatasync(fd) == 0);
    close(fd);
}

static void on_closed(void *ctx) {
    event_set(ctx, RC_OK);
}

static void close_log(struct load *l) {
    struct event closed;
    event_init_unset(&closed);
    wal_close(l->w, on_closed, &closed);
    must(event_wait(l->r, &closed, DEADLINE_NONE));
}

static enum rc on_entry(void *ctx, uint64_t group, const struct px_entry *e) {
    (void)group, (void)e;
    ++*(uint64_t *)ctx;
    return RC_OK;
}

/* A log begins with small segments: until they have their size. */
static void grow(struct load *l) {
    struct px_value *command = l->value, *large = px_value_new(PX_COMMAND, NULL, 256 << 10);
    CHECK(large);
    memset(large->data, 0, large->bytes);
    l->value = large;
    for (px_slot slot = 1; slot < 200; slot++) {
        append(l, 1000000, slot);
        must(wal_put_truncate(l->w, 1000000, slot, NULL));
    }
    l->value = command;
    px_value_unref(large);
}

static void body(struct reactor *r) {
    struct load l = {.r = r};
    struct wal_conf conf = {.store = STORE};
    char log[600], file[600];
    static char command[COMMAND_BYTES];
    snprintf(log, sizeof log, "%s/log", tap_dir());
    snprintf(file, sizeof file, "%s/bare", tap_dir());
    prewrite(file);
    must(env_mkdir(reactor_env(r), log, NULL));
    must(wal_open(reactor_env(r), log, &conf, NULL, &l.w, NULL, NULL));
    l.value = px_value_new(PX_COMMAND, command, sizeof command);
    CHECK(l.value);
    reactor_flush_init(&l.flush, on_flush);
    grow(&l);
    for (int run = 0; run < BENCH_RUNS; run++) {
        bare(file, run);
        for (size_t i = 0; i < ARRAY_LEN(appenders); i++)
            measure(&l, i, run);
    }
    close_log(&l);
    for (int run = 0; run < BENCH_RUNS; run++) {
        uint64_t entries = 0;
        struct wal_replay replay = {.on_entry = on_entry, .ctx = &entries};
        int64_t began = bench_now_ns();
        must(wal_open(reactor_env(r), log, &conf, &replay, &l.w, NULL, NULL));
        replay_rate.run[run] = (double)entries * 1e9 / (double)(bench_now_ns() - began);
        close_log(&l);
    }
    px_value_unref(l.value);
}

int main(void) {
    on_fiber(DIAG_WARN, body);
    bench_report("wal: bare write + fdatasync of 512 B", &bare_us, "us", BENCH_SHOW, 0);
    for (size_t i = 0; i < ARRAY_LEN(appenders); i++) {
        char name[64];
        snprintf(name, sizeof name, "wal: %d appenders", appenders[i]);
        bench_compare(name, &rate[i], "/s", "bare loop", &bare_rate, BENCH_SHOW, 0);
        bench_report("     records in a batch", &batch[i], "", BENCH_SHOW, 0);
        bench_report("     CPU of an append, log thread included", &cpu_us[i], "us", BENCH_SHOW, 0);
    }
    /* The gain is asked for where a sync is slow enough that sharing it is what counts. */
    bool slow = bench_median(&bare_us) >= 300;
    bench_compare("wal: 64 appenders against 1", &rate[2], "/s", "1 appender", &rate[0],
                  slow ? BENCH_AT_LEAST : BENCH_SHOW, 15);
    if (!slow)
        bench_note("the bare sync takes less than 300 us here: the wanted ratio of 15 is for slower disks");
    bench_report("wal: replay, all segments in use", &replay_rate, "/s", BENCH_SHOW, 0);
    tap_done();
    return 0;
}
