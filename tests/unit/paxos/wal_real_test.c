/* SPDX-License-Identifier: Apache-2.0 */
/* The log on real files: many appenders share syncs, a directory has one owner, and much is replayed quickly. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paxos/wal.h"
#include "tests/lib/bench.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"

enum { APPENDERS = 64, EACH = 30, RECORDS = 300000, STORE = 65537 };
static const int64_t SECOND = 1000000000;

struct waiting {
    struct wal_ticket t;
    struct event done;
};

static void on_done(struct wal_ticket *t, enum rc rc) {
    event_set(&container_of(t, struct waiting, t)->done, rc);
}

static void on_closed(void *ctx) {
    event_set(ctx, RC_OK);
}

static void close_log(struct reactor *r, struct wal *w) {
    struct event closed;
    event_init_unset(&closed);
    wal_close(w, on_closed, &closed);
    EQ_INT(event_wait(r, &closed, DEADLINE_NONE), RC_OK);
}

static const char *fresh_dir(struct reactor *r, const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", tap_dir(), name);
    CHECK(env_mkdir(reactor_env(r), path, NULL) == RC_OK);
    return path;
}

struct job {
    struct reactor *r;
    struct wal *w;
    struct reactor_flush flush;
    uint64_t next;
    unsigned failed;
};

static void on_flush(struct reactor_flush *f) {
    wal_flush(container_of(f, struct job, flush)->w);
}

static void appender(void *arg) {
    struct job *j = arg;
    uint64_t group = j->next++;
    for (px_slot slot = 1; slot <= EACH; slot++) {
        struct px_value *v = px_value_new(PX_COMMAND, "some command", 12);
        CHECK(v);
        struct px_entry e = {slot, {1, STORE, 1}, v};
        struct waiting x = {.t = {.on_done = on_done}};
        event_init_unset(&x.done);
        enum rc rc = wal_put_entry(j->w, group, &e, &x.t);
        px_value_unref(v);
        reactor_flush_later(j->r, &j->flush);
        if (!rc)
            rc = event_wait(j->r, &x.done, DEADLINE_NONE);
        j->failed += rc != RC_OK;
    }
}

/* Counted, not timed: what gathers during a sync goes with the next one. */
static void share_syncs(struct reactor *r) {
    struct wal_conf conf = {.store = STORE};
    struct job j = {.r = r};
    struct fiber_group g;
    struct err err = {0};
    const char *dir = fresh_dir(r, "share");
    OKF(wal_open(reactor_env(r), dir, &conf, NULL, &j.w, NULL, &err) == RC_OK, "%s", err_message(&err));
    reactor_flush_init(&j.flush, on_flush);
    fiber_group_init(&g);
    for (int i = 0; i < APPENDERS; i++)
        CHECK(fiber_spawn(r, &g, FIBER_SMALL, "appender", appender, &j) == RC_OK);
    EQ_INT(fiber_group_join(r, &g, DEADLINE_NONE), RC_OK);
    EQ_INT(j.failed, 0);
    const struct wal_stats *s = wal_stats(j.w);
    EQ_INT(counter_get(&s->records), APPENDERS * EACH);
    /* all of them wait for the same sync, so each sync answers nearly all of them */
    OKF(counter_get(&s->batches) <= 2 * EACH, "%llu batches", (unsigned long long)counter_get(&s->batches));
    tap_note("%d records in %llu batches", APPENDERS * EACH, (unsigned long long)counter_get(&s->batches));
    close_log(r, j.w);
}

struct seen {
    uint64_t entries, bytes;
};

static enum rc on_entry(void *ctx, uint64_t group, const struct px_entry *e) {
    struct seen *s = ctx;
    (void)group;
    s->entries++;
    s->bytes += e->value->bytes;
    return RC_OK;
}

static void replay_much(struct reactor *r) {
    struct wal_conf conf = {.store = STORE};
    struct seen seen = {0};
    struct wal_replay replay = {.on_entry = on_entry, .ctx = &seen};
    struct err err = {0};
    struct wal *w;
    static uint8_t data[100];
    const char *dir = fresh_dir(r, "much");
    CHECK(wal_open(reactor_env(r), dir, &conf, NULL, &w, NULL, &err) == RC_OK);
    struct px_value *v = px_value_new(PX_COMMAND, data, sizeof data);
    CHECK(v);
    for (unsigned i = 0; i < RECORDS;) {
        struct px_entry e = {1 + i / 1000, {1, STORE, 1}, v};
        enum rc rc = wal_put_entry(w, i % 1000, &e, NULL);
        i += rc == RC_OK;
        wal_flush(w);
        if (rc)
            CHECK(rc == RC_OVERLOAD && fiber_sleep(r, SECOND / 1000) == RC_OK);
    }
    px_value_unref(v);
    struct waiting x = {.t = {.on_done = on_done}};
    event_init_unset(&x.done);
    EQ_INT(wal_put_forget(w, 5000, &x.t), RC_OK);
    wal_flush(w);
    EQ_INT(event_wait(r, &x.done, DEADLINE_NONE), RC_OK);
    close_log(r, w);
    int64_t began = bench_cpu_ns();
    OKF(wal_open(reactor_env(r), dir, &conf, &replay, &w, NULL, &err) == RC_OK, "%s", err_message(&err));
    int64_t ns = bench_cpu_ns() - began;
    EQ_INT(seen.entries, RECORDS);
    EQ_INT(seen.bytes, RECORDS * sizeof data);
    struct wal_group g;
    OK(wal_find(w, 999, &g) && g.entries == RECORDS / 1000 && g.last == RECORDS / 1000);
    tap_note("%d records replayed in %lld ms of processor time", RECORDS, (long long)(ns / 1000000));
    OKF(ns < 5 * SECOND, "%lld ms", (long long)(ns / 1000000)); /* with sanitizers, whatever else the machine does */
    struct px_entry e[50];
    size_t n = 0;
    EQ_INT(wal_read(w, 7, 10, 1 << 20, e, 50, &n, &err), RC_OK);
    EQ_INT(n, 50);
    for (size_t i = 0; i < n; i++) {
        EQ_INT(e[i].slot, 10 + i);
        px_value_unref(e[i].value);
    }
    close_log(r, w);
}

/* The lock of the directory is its owner's; a second owner is refused. */
static void one_owner(struct reactor *r) {
    struct env_dir_lock *a = NULL, *b = NULL;
    struct err err = {0};
    const char *dir = fresh_dir(r, "owner");
    EQ_INT(env_dir_lock(reactor_env(r), dir, &a, &err), RC_OK);
    EQ_INT(env_dir_lock(reactor_env(r), dir, &b, &err), RC_BUSY);
    struct wal_conf conf = {.store = STORE, .segment_bytes = 1 << 20};
    struct wal *w;
    EQ_INT(wal_open(reactor_env(r), dir, &conf, NULL, &w, NULL, &err), RC_OK); /* LOCK is no segment */
    close_log(r, w);
    env_dir_unlock(a);
}

/* Bits that rot while the log is open are found when somebody reads them. */
static void rot_is_found_by_reading(struct reactor *r) {
    struct wal_conf conf = {.store = STORE, .segment_bytes = 1 << 20};
    struct err err = {0};
    struct wal *w;
    char path[700];
    const char *dir = fresh_dir(r, "rot");
    CHECK(wal_open(reactor_env(r), dir, &conf, NULL, &w, NULL, &err) == RC_OK);
    struct px_value *v = px_value_new(PX_COMMAND, "0123456789", 10);
    CHECK(v);
    struct waiting x = {.t = {.on_done = on_done}};
    event_init_unset(&x.done);
    struct px_entry e = {1, {1, STORE, 1}, v}, got;
    EQ_INT(wal_put_entry(w, 3, &e, &x.t), RC_OK);
    px_value_unref(v);
    size_t n;
    EQ_INT(wal_read(w, 3, 1, 100, &got, 1, &n, &err), RC_NOTFOUND); /* not durable yet */
    wal_flush(w);
    EQ_INT(event_wait(r, &x.done, DEADLINE_NONE), RC_OK);
    EQ_INT(wal_read(w, 3, 1, 100, &got, 1, &n, &err), RC_OK);
    OK(n == 1 && memcmp(got.value->data, "0123456789", 10) == 0);
    px_value_unref(got.value);
    snprintf(path, sizeof path, "%s/00000001.wal", dir);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pwrite(fd, "x", 1, WAL_HEADER_BYTES + WAL_RECORD_HEADER_BYTES + WAL_ENTRY_HEADER_BYTES + 3) == 1);
    close(fd);
    EQ_INT(wal_read(w, 3, 1, 100, &got, 1, &n, &err), RC_CORRUPT);
    OKF(strstr(err.message, "00000001.wal"), "%s", err.message);
    close_log(r, w);
}

#define ON_FIBER(test)                                                                                                 \
    static void test##_on_fiber(void) {                                                                                \
        on_fiber(DIAG_WARN, test);                                                                                     \
    }
ON_FIBER(share_syncs)
ON_FIBER(replay_much)
ON_FIBER(one_owner)
ON_FIBER(rot_is_found_by_reading)

int main(void) {
    RUN(share_syncs_on_fiber);
    RUN(replay_much_on_fiber);
    RUN(one_owner_on_fiber);
    RUN(rot_is_found_by_reading_on_fiber);
    return tap_done();
}
