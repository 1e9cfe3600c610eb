/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints on the real env: what they do beside readers and writers, what the gates refuse, and every fault on the way. */
#include "shard/store/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shard/runtime/wait.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/unit/store/faultenv.h"
#include "tests/unit/store/ledger.h"

enum { MS = 1000000, CACHE = 1 << 20 };

struct kit {
    struct reactor *r;
    struct vfs *v;
    struct err err;
    char path[300];
    sqlite3 *main;
    int64_t committed, durable;
    struct vfs_checkpoint_result out;
};

static void on_durable(int64_t marker, void *ctx) {
    struct kit *k = ctx;
    OK(marker >= k->durable);
    k->durable = marker;
}

static void kit_path(struct kit *k, struct reactor *r, const char *name) {
    *k = (struct kit){.r = r};
    snprintf(k->path, sizeof k->path, "%s/%s", tap_dir(), name);
    CHECK(vfs_new(reactor_env(r), &k->v) == RC_OK);
}

static void kit_init(struct kit *k, struct reactor *r, const char *name) {
    kit_path(k, r, name);
    OKF(vfs_create(r, k->v, k->path, ledger_fill, NULL, &k->err) == RC_OK, "%s", err_message(&k->err));
    OKF(vfs_open(r, k->v, k->path, 0, CACHE, &k->main, &k->err) == RC_OK, "%s", err_message(&k->err));
}

static void kit_done(struct kit *k) {
    vfs_close(k->main);
    vfs_free(k->v);
}

static sqlite3 *reader(struct kit *k) {
    sqlite3 *db = NULL;
    OKF(vfs_open(k->r, k->v, k->path, VFS_READER, CACHE, &db, &k->err) == RC_OK, "%s", err_message(&k->err));
    return db;
}

static void commit(struct kit *k, int n) {
    for (int i = 0; i < n; i++)
        if (OKF(ledger_commit(k->main, k->committed + 1, &k->err) == RC_OK, "%s", err_message(&k->err)))
            k->committed++;
}

static enum rc checkpoint(struct kit *k, int64_t reset_wait_ns) {
    struct vfs_checkpoint how = {
        .on_pin = ledger_pin, .on_durable = on_durable, .ctx = k, .reset_wait_ns = reset_wait_ns};
    return vfs_checkpoint(k->r, k->v, k->path, &how, &k->out, &k->err);
}

static void checkpoint_ok(struct kit *k, int64_t reset_wait_ns) {
    OKF(checkpoint(k, reset_wait_ns) == RC_OK, "%s", err_message(&k->err));
}

static int64_t checked_slot(sqlite3 *db) {
    struct err err = {0};
    int64_t slot = -1;
    OKF(ledger_check(db, &slot, &err) == RC_OK, "%s", err_message(&err));
    return slot;
}

static int run(sqlite3 *db, const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static uint64_t refused(const struct kit *k) {
    return counter_get(&vfs_stats(k->v)->refused);
}

static int64_t bytes_of(const struct kit *k, const char *suffix) {
    char name[400];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", k->path, suffix);
    return stat(name, &st) ? -1 : (int64_t)st.st_size;
}

/* ---- what it does ---- */

static void plain_body(struct reactor *r) {
    struct kit k;
    kit_init(&k, r, "plain");
    checkpoint_ok(&k, 0); /* nothing there */
    EQ_INT(k.out.marker, 0);
    EQ_INT(k.out.frames, 0);
    commit(&k, 30);
    uint32_t frames = vfs_wal_frames(k.main);
    checkpoint_ok(&k, 0);
    EQ_INT(k.out.marker, 30);
    EQ_INT(k.durable, 30);
    EQ_INT(k.out.frames, frames);
    EQ_INT(k.out.backfilled, frames);
    OK(!k.out.reset);
    /* A writer does not begin the WAL again by itself: the sync of its header would be missing. */
    commit(&k, 1);
    OK(vfs_wal_frames(k.main) > frames);
    EQ_INT(refused(&k), 0);
    checkpoint_ok(&k, 50 * MS);
    OK(k.out.reset);
    EQ_INT(vfs_wal_frames(k.main), 0);
    EQ_INT(k.durable, 31);
    int64_t syncs = (int64_t)counter_get(&vfs_stats(k.v)->syncs);
    checkpoint_ok(&k, 50 * MS); /* nothing to do: no sync */
    EQ_INT(counter_get(&vfs_stats(k.v)->syncs), syncs);
    EQ_INT(checked_slot(k.main), 31);
    commit(&k, 5);
    EQ_INT(checked_slot(k.main), 36);
    vfs_close(k.main);
    k.main = reader(&k); /* recovers five commits behind a blanked generation */
    EQ_INT(checked_slot(k.main), 36);
    EQ_INT(refused(&k), 0);
    kit_done(&k);
}

static void plain(void) {
    on_fiber(DIAG_WARN, plain_body);
}

/* A WAL that had grown is cut to what the caller wants to keep; a database that nobody has open can be checkpointed too. */
static void wal_is_cut_body(struct reactor *r) {
    struct kit k;
    kit_init(&k, r, "cut");
    commit(&k, 200);
    vfs_close(k.main);
    k.main = NULL;
    int64_t grown = bytes_of(&k, "-wal");
    struct vfs_checkpoint how = {.on_pin = ledger_pin, .reset_wait_ns = 50 * MS, .wal_keep_bytes = 100000};
    EQ_INT(vfs_checkpoint(r, k.v, k.path, &how, &k.out, &k.err), RC_OK);
    EQ_INT(k.out.marker, 200);
    OK(k.out.reset);
    OK(grown > 1000000);
    EQ_INT(bytes_of(&k, "-wal"), 100000);
    k.main = reader(&k);
    EQ_INT(checked_slot(k.main), 200);
    kit_done(&k);
}

static void wal_is_cut(void) {
    on_fiber(DIAG_WARN, wal_is_cut_body);
}

/* A reader keeps what it needs: the copy stops at its snapshot, and says so. */
static void beside_a_reader_body(struct reactor *r) {
    struct kit k;
    kit_init(&k, r, "reader");
    commit(&k, 20);
    sqlite3 *db = reader(&k);
    EQ_INT(run(db, "BEGIN; SELECT * FROM meta"), SQLITE_OK);
    uint32_t frames = vfs_wal_frames(k.main);
    commit(&k, 20);
    checkpoint_ok(&k, 2 * MS);
    EQ_INT(k.out.marker, 40); /* durable in the WAL */
    EQ_INT(k.out.backfilled, frames);
    OK(k.out.backfilled < k.out.frames && !k.out.reset);
    int64_t slot = -1;
    EQ_INT(ledger_slot(db, &slot, &k.err), RC_OK);
    EQ_INT(slot, 20);
    EQ_INT(run(db, "COMMIT"), SQLITE_OK);
    EQ_INT(checked_slot(db), 40);
    /* One on the newest commit lets all be copied, but not forgotten. */
    EQ_INT(run(db, "BEGIN; SELECT * FROM meta"), SQLITE_OK);
    checkpoint_ok(&k, 2 * MS);
    EQ_INT(k.out.backfilled, k.out.frames);
    OK(!k.out.reset && k.out.held_ns >= 2 * MS);
    EQ_INT(run(db, "COMMIT"), SQLITE_OK);
    checkpoint_ok(&k, 50 * MS);
    OK(k.out.reset);
    /* Who reads when all is copied reads the file alone; nothing more is copied under it. */
    EQ_INT(run(db, "BEGIN; SELECT * FROM meta"), SQLITE_OK);
    commit(&k, 5);
    checkpoint_ok(&k, 2 * MS);
    EQ_INT(k.out.marker, 45);
    EQ_INT(k.out.backfilled, 0);
    EQ_INT(ledger_slot(db, &slot, &k.err), RC_OK);
    EQ_INT(slot, 40);
    EQ_INT(run(db, "COMMIT"), SQLITE_OK);
    EQ_INT(refused(&k), 0);
    vfs_close(db);
    kit_done(&k);
}

static void beside_a_reader(void) {
    on_fiber(DIAG_WARN, beside_a_reader_body);
}

struct lingerer {
    struct kit *k;
    sqlite3 *db;
    enum rc rc;
    int64_t wait_ns;
    int busy; /* how often a writer was kept out */
};

/* Reads on until writers have been kept out for a while, however slow the disk is. */
static void linger(void *arg) {
    struct lingerer *l = arg;
    int64_t end = reactor_deadline(l->k->r, l->wait_ns / 2);
    while (l->busy < 3 && reactor_now(l->k->r) < end)
        EQ_INT(fiber_sleep(l->k->r, MS), RC_OK);
    EQ_INT(run(l->db, "COMMIT"), SQLITE_OK);
}

static void reset_main(void *arg) {
    struct lingerer *l = arg;
    l->rc = checkpoint(l->k, l->wait_ns);
}

static void waits_for_a_reader_body(struct reactor *r) {
    struct kit k;
    struct fiber_group group, other;
    fiber_group_init(&group);
    fiber_group_init(&other);
    kit_init(&k, r, "linger");
    commit(&k, 20);
    struct lingerer l = {.k = &k, .db = reader(&k), .wait_ns = 10000LL * MS};
    EQ_INT(run(l.db, "BEGIN; SELECT * FROM meta"), SQLITE_OK);
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "lingerer", linger, &l), RC_OK);
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "reset", reset_main, &l), RC_OK);
    /* Writers are kept out meanwhile, and can wait for that. */
    while (group.count > 0) {
        int code = run(k.main, "BEGIN IMMEDIATE");
        l.busy += code == SQLITE_BUSY;
        if (code == SQLITE_OK)
            EQ_INT(run(k.main, "ROLLBACK"), SQLITE_OK);
        if (l.busy == 1)
            EQ_INT(vfs_write_wait(r, k.main, reactor_deadline(r, MS / 10)), RC_TIMEOUT);
        EQ_INT(fiber_yield(r), RC_OK);
    }
    OK(l.busy >= 3);
    EQ_INT(l.rc, RC_OK);
    OK(k.out.reset);
    EQ_INT(vfs_write_wait(r, k.main, DEADLINE_NONE), RC_OK);
    commit(&k, 5);
    /* Cancelled while it waits. */
    EQ_INT(run(l.db, "BEGIN; SELECT * FROM meta"), SQLITE_OK);
    EQ_INT(fiber_spawn(r, &other, FIBER_LARGE, "reset", reset_main, &l), RC_OK);
    EQ_INT(fiber_sleep(r, 5 * MS), RC_OK);
    EQ_INT(other.count, 1);
    fiber_group_cancel(&other);
    EQ_INT(fiber_group_join(r, &other, DEADLINE_NONE), RC_OK);
    EQ_INT(l.rc, RC_CANCELLED);
    commit(&k, 5);
    EQ_INT(run(l.db, "COMMIT"), SQLITE_OK);
    checkpoint_ok(&k, 50 * MS);
    OK(k.out.reset);
    EQ_INT(checked_slot(k.main), 30);
    vfs_close(l.db);
    kit_done(&k);
}

/* A reset waits for the readers of old frames, with writers kept out as long. */
static void waits_for_a_reader(void) {
    on_fiber(DIAG_WARN, waits_for_a_reader_body);
}

/* A writer's open batch is not in the marker, and a reset waits for its end only as long as it was told. */
static void beside_a_batch_body(struct reactor *r) {
    struct kit k;
    kit_init(&k, r, "batch");
    commit(&k, 10);
    EQ_INT(run(k.main, "BEGIN IMMEDIATE"), SQLITE_OK);
    EQ_INT(ledger_write(k.main, 11, &k.err), RC_OK);
    checkpoint_ok(&k, 3 * MS);
    EQ_INT(k.out.marker, 10);
    EQ_INT(k.out.backfilled, k.out.frames);
    OK(!k.out.reset && k.out.held_ns >= 3 * MS);
    EQ_INT(run(k.main, "COMMIT"), SQLITE_OK);
    EQ_INT(checked_slot(k.main), 11);
    /* A batch that began when all was copied reads the file alone: then nothing can be copied, and it can still commit. */
    checkpoint_ok(&k, 0);
    EQ_INT(run(k.main, "BEGIN IMMEDIATE"), SQLITE_OK);
    EQ_INT(ledger_write(k.main, 12, &k.err), RC_OK);
    checkpoint_ok(&k, 0);
    EQ_INT(k.out.marker, 11);
    EQ_INT(run(k.main, "COMMIT"), SQLITE_OK);
    EQ_INT(checked_slot(k.main), 12);
    EQ_INT(refused(&k), 0);
    kit_done(&k);
}

static void beside_a_batch(void) {
    on_fiber(DIAG_WARN, beside_a_batch_body);
}

/* ---- in a crowd ---- */

struct crowd {
    struct kit k;
    bool stop;
    int64_t reads, checkpoints, resets;
    enum rc last;
};

static void write_on(void *arg) {
    struct crowd *c = arg;
    while (!c->stop) {
        if (!EQ_INT(vfs_write_wait(c->k.r, c->k.main, DEADLINE_NONE), RC_OK))
            return;
        commit(&c->k, 1);
        (void)!fiber_yield(c->k.r);
    }
}

static void read_on(void *arg) {
    struct crowd *c = arg;
    sqlite3 *db = reader(&c->k);
    vfs_set_yield(db, c->k.r);
    while (!c->stop) {
        int64_t before = c->k.committed, slot = checked_slot(db);
        OK(slot >= before && slot <= c->k.committed);
        c->reads++;
        (void)!fiber_yield(c->k.r);
    }
    vfs_close(db);
}

static void crowd_body(struct reactor *r) {
    struct crowd c = {0};
    struct fiber_group group;
    fiber_group_init(&group);
    kit_init(&c.k, r, "crowd");
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "writer", write_on, &c), RC_OK);
    for (int i = 0; i < 8; i++)
        EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "reader", read_on, &c), RC_OK);
    int64_t end = reactor_deadline(r, 1500LL * MS);
    while (reactor_now(r) < end) {
        checkpoint_ok(&c.k, c.checkpoints % 2 ? 50 * MS : 0);
        c.resets += c.k.out.reset;
        c.checkpoints++;
        EQ_INT(fiber_sleep(r, 3 * MS), RC_OK);
    }
    c.stop = true;
    EQ_INT(fiber_group_join(r, &group, DEADLINE_NONE), RC_OK);
    tap_note("%lld commits, %lld reads, %lld checkpoints, %lld resets", (long long)c.k.committed, (long long)c.reads,
             (long long)c.checkpoints, (long long)c.resets);
    OK(c.resets > 0);
    checkpoint_ok(&c.k, 50 * MS);
    EQ_INT(c.k.durable, c.k.committed);
    EQ_INT(checked_slot(c.k.main), c.k.committed);
    EQ_INT(refused(&c.k), 0);
    kit_done(&c.k);
}

/* A writer that never pauses and readers that overlap do not keep the WAL from beginning again. */
static void crowd(void) {
    on_fiber(DIAG_WARN, crowd_body);
}

static void checkpoint_main(void *arg) {
    struct crowd *c = arg;
    c->last = checkpoint(&c->k, 0);
}

static void big_body(struct reactor *r) {
    struct crowd c = {0};
    struct fiber_group group;
    fiber_group_init(&group);
    kit_init(&c.k, r, "big");
    EQ_INT(run(c.k.main, "CREATE TABLE big(a INTEGER PRIMARY KEY, b);"
                         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)"
                         "INSERT INTO big SELECT i, zeroblob(7000) FROM n"),
           SQLITE_OK);
    /* One runs, yielding; another is refused meanwhile, commits go on. */
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "checkpoint", checkpoint_main, &c), RC_OK);
    EQ_INT(fiber_yield(r), RC_OK);
    EQ_INT(checkpoint(&c.k, 0), RC_BUSY);
    int turns = 0;
    while (group.count > 0) {
        commit(&c.k, 1);
        EQ_INT(fiber_yield(r), RC_OK);
        turns++;
    }
    EQ_INT(c.last, RC_OK);
    tap_note("%u frames in %d turns", c.k.out.frames, turns);
    OK(turns > 5);
    OK(c.k.out.frames > 6000);
    /* Cancelled in the middle: it ends, and the next one does it all. */
    EQ_INT(run(c.k.main, "UPDATE big SET b = zeroblob(6999)"), SQLITE_OK);
    fiber_group_init(&group);
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "checkpoint", checkpoint_main, &c), RC_OK);
    uint64_t before = counter_get(&vfs_stats(c.k.v)->backfilled);
    while (group.count > 0 && counter_get(&vfs_stats(c.k.v)->backfilled) < before + 100)
        EQ_INT(fiber_yield(r), RC_OK);
    fiber_group_cancel(&group);
    EQ_INT(fiber_group_join(r, &group, DEADLINE_NONE), RC_OK);
    EQ_INT(c.last, RC_CANCELLED);
    checkpoint_ok(&c.k, 50 * MS);
    OK(c.k.out.reset);
    EQ_INT(checked_slot(c.k.main), c.k.committed);
    kit_done(&c.k);
}

/* A large WAL is copied in many turns of the reactor. */
static void big(void) {
    on_fiber(DIAG_WARN, big_body);
}

/* ---- gates ---- */

static void gates_body(struct reactor *r) {
    struct kit k;
    int frames = 0, done = 0;
    kit_init(&k, r, "gates");
    commit(&k, 10);
    int64_t before = bytes_of(&k, "");
    /* K1 */
    EQ_INT(run(k.main, "PRAGMA wal_checkpoint"), SQLITE_IOERR_WRITE);
    EQ_INT(sqlite3_wal_checkpoint_v2(k.main, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done), SQLITE_IOERR_WRITE);
    EQ_INT(sqlite3_wal_checkpoint_v2(k.main, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &done), SQLITE_IOERR_WRITE);
    EQ_INT(err_sqlite(&k.err, k.main, "checkpoint"), RC_IO);
    OK(strstr(k.err.message, "only a checkpoint writes") != NULL);
    (void)run(k.main, "PRAGMA journal_mode=DELETE");
    EQ_INT(bytes_of(&k, ""), before);
    OK(bytes_of(&k, "-wal") > 0);
    OK(refused(&k) >= 3);
    EQ_INT(checked_slot(k.main), 10);
    /* K3: all is copied, but a reset is not SQLite's to make. */
    checkpoint_ok(&k, 0);
    EQ_INT(k.out.backfilled, k.out.frames);
    EQ_INT(sqlite3_wal_checkpoint_v2(k.main, NULL, SQLITE_CHECKPOINT_RESTART, &frames, &done), SQLITE_BUSY);
    EQ_INT(sqlite3_wal_checkpoint_v2(k.main, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &done), SQLITE_BUSY);
    OK(bytes_of(&k, "-wal") > 0);
    /* A close without our switch would copy and delete too. */
    EQ_INT(sqlite3_db_config(k.main, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL), SQLITE_OK);
    commit(&k, 1);
    vfs_close(k.main);
    OK(bytes_of(&k, "-wal") > 0);
    k.main = reader(&k);
    EQ_INT(checked_slot(k.main), 11);
    kit_done(&k);
}

static void gates(void) {
    on_fiber(DIAG_WARN, gates_body);
}

/* ---- faults ---- */

/* A life with two checkpoints. The first failure ends it. */
static enum rc life(struct kit *k) {
    enum rc rc = vfs_create(k->r, k->v, k->path, ledger_fill, NULL, &k->err);
    if (!rc)
        rc = vfs_open(k->r, k->v, k->path, 0, CACHE, &k->main, &k->err);
    for (int i = 0; !rc && i < 12; i++) {
        rc = ledger_commit(k->main, k->committed + 1, &k->err);
        k->committed += !rc;
        if (!rc && i % 4 == 3)
            rc = checkpoint(k, i == 7 ? 50 * MS : 0);
    }
    return rc;
}

/* Whatever failed: everything can be closed, and what is found then is sound and as old as it may be. */
static void after(struct kit *k, struct faults *x, const char *name, uint64_t n, enum rc rc) {
    int64_t committed = k->committed, durable = k->durable;
    faults_off(x);
    vfs_close(k->main);
    vfs_free(k->v);
    kit_path(k, k->r, name);
    enum rc opened = vfs_open(k->r, k->v, k->path, 0, CACHE, &k->main, &k->err);
    if (opened == RC_NOTFOUND && committed == 0)
        goto out;
    if (!OKF(opened == RC_OK, "%llu (%s): %s", (unsigned long long)n, rc_name(rc), err_message(&k->err)))
        goto out;
    int64_t slot = checked_slot(k->main);
    OKF(slot >= committed && slot <= committed + 1 && slot >= durable, "%llu: slot %lld of %lld, durable %lld",
        (unsigned long long)n, (long long)slot, (long long)committed, (long long)durable);
    k->committed = slot;
    commit(k, 3);
    checkpoint_ok(k, 50 * MS);
    OK(k->out.reset);
    EQ_INT(checked_slot(k->main), slot + 3);
out:
    EQ_INT(refused(k), 0);
    vfs_close(k->main);
    k->main = NULL;
    EQ_INT(vfs_remove(k->r, k->v, k->path, &k->err), RC_OK);
    vfs_free(k->v);
}

static void fault_loop(struct reactor *r, struct faults *x, unsigned kinds, bool lasting, enum rc rc) {
    enum rc got = RC_IO;
    uint64_t n = 1;
    for (; got && n < 2000; n++) {
        struct kit k;
        kit_path(&k, r, "fault");
        faults_set(x, kinds, n, lasting, rc);
        got = life(&k);
        bool untouched = x->failed == 0;
        OKF(got != RC_OK || untouched || !lasting, "%llu: a lasting failure went unnoticed", (unsigned long long)n);
        if (untouched)
            OKF(got == RC_OK, "%s", err_message(&k.err));
        else
            got = RC_IO; /* the next one */
        after(&k, x, "fault", n, got);
    }
    OK(n < 2000);
    tap_note("kinds %u %s %s: %llu", kinds, lasting ? "lasting" : "once", rc_name(rc), (unsigned long long)n - 2);
}

static void faults_body(struct reactor *r, struct faults *x) {
    fault_loop(r, x, FAULT_ALL, false, RC_IO);
    fault_loop(r, x, FAULT_ALL, true, RC_IO);
    fault_loop(r, x, FAULT_WRITE | FAULT_SYNC, true, RC_NOSPACE);
    fault_loop(r, x, FAULT_WRITE, false, RC_NOSPACE);
    fault_loop(r, x, FAULT_OPEN | FAULT_READ | FAULT_WRITE, false, RC_NOMEM);
    fault_loop(r, x, FAULT_SYNC, false, RC_IO);
}

static void faults(void) {
    on_fault_fiber(faults_body);
}

/* P-30: after a failed sync nothing is written to the file, and it cannot be opened, until it is removed. */
static void failed_sync_body(struct reactor *r, struct faults *x) {
    for (uint64_t n = 1; n <= 2; n++) { /* of the WAL, of the database file */
        struct kit k;
        sqlite3 *db = NULL;
        kit_init(&k, r, "failed_sync");
        commit(&k, 5);
        checkpoint_ok(&k, 0);
        commit(&k, 5);
        faults_set(x, FAULT_SYNC, n, false, RC_IO);
        EQ_INT(checkpoint(&k, 0), RC_IO);
        EQ_INT(x->failed, 1);
        faults_off(x);
        EQ_INT(k.durable, n == 1 ? 5 : 10);
        EQ_INT(checkpoint(&k, 0), RC_IO);
        EQ_INT(vfs_write_wait(r, k.main, DEADLINE_NONE), RC_IO);
        EQ_INT(ledger_commit(k.main, 11, &k.err), RC_IO);
        OK(strstr(k.err.message, "a sync of it failed") != NULL);
        EQ_INT(checked_slot(k.main), 10); /* reads go on */
        vfs_close(k.main);
        EQ_INT(vfs_open(r, k.v, k.path, 0, CACHE, &db, &k.err), RC_IO);
        OK(strstr(k.err.message, "a sync of it failed") != NULL);
        EQ_INT(vfs_remove(r, k.v, k.path, &k.err), RC_OK);
        EQ_INT(vfs_create(r, k.v, k.path, ledger_fill, NULL, &k.err), RC_OK);
        EQ_INT(vfs_open(r, k.v, k.path, 0, CACHE, &k.main, &k.err), RC_OK);
        k.committed = 0;
        commit(&k, 1);
        kit_done(&k);
        kit_path(&k, r, "failed_sync");
        EQ_INT(vfs_remove(r, k.v, k.path, &k.err), RC_OK);
        vfs_free(k.v);
    }
}

static void failed_sync(void) {
    on_fault_fiber(failed_sync_body);
}

/* The blank header could not be written: the index is empty, the file is not. Nobody may write until that is done. */
static void half_a_reset_body(struct reactor *r, struct faults *x) {
    struct kit k;
    kit_init(&k, r, "half");
    commit(&k, 10);
    checkpoint_ok(&k, 0); /* all is copied and synced: the next write is the header's */
    faults_set(x, FAULT_WRITE, 1, true, RC_IO);
    EQ_INT(checkpoint(&k, 50 * MS), RC_IO);
    faults_off(x);
    EQ_INT(checked_slot(k.main), 10);
    EQ_INT(vfs_write_wait(r, k.main, DEADLINE_NONE), RC_IO);
    EQ_INT(ledger_commit(k.main, 11, &k.err), RC_IO); /* who does not ask is refused */
    OK(strstr(k.err.message, "may come back") != NULL);
    EQ_INT(checked_slot(k.main), 10);
    checkpoint_ok(&k, 0); /* makes up for it */
    EQ_INT(vfs_write_wait(r, k.main, DEADLINE_NONE), RC_OK);
    commit(&k, 3);
    EQ_INT(checked_slot(k.main), 13);
    kit_done(&k);
}

static void half_a_reset(void) {
    on_fault_fiber(half_a_reset_body);
}

/* ---- out of memory ---- */

static struct {
    sqlite3_mem_methods system;
    uint64_t count, fail_at, failed;
    bool lasting;
} heap;

static bool heap_strikes(void) {
    if (!heap.fail_at || ++heap.count < heap.fail_at || (heap.count > heap.fail_at && !heap.lasting))
        return false;
    heap.failed++;
    return true;
}

static void *heap_malloc(int bytes) {
    return heap_strikes() ? NULL : heap.system.xMalloc(bytes);
}

static void *heap_realloc(void *p, int bytes) {
    return heap_strikes() ? NULL : heap.system.xRealloc(p, bytes);
}

/* Before SQLite is used for the first time. */
static void heap_install(void) {
    CHECK(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &heap.system) == SQLITE_OK);
    sqlite3_mem_methods ours = heap.system;
    ours.xMalloc = heap_malloc;
    ours.xRealloc = heap_realloc;
    CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) == SQLITE_OK);
}

/* The n-th allocation of SQLite fails, for n in growing steps. */
static void nomem_loop(struct reactor *r, struct faults *x, bool lasting) {
    bool untouched = false;
    uint64_t n = 1, tries = 0;
    for (; !untouched && n < 1000000; n += 1 + n / 16, tries++) {
        struct kit k;
        kit_path(&k, r, "nomem");
        heap.count = heap.failed = 0;
        heap.lasting = lasting;
        heap.fail_at = n;
        enum rc rc = life(&k);
        untouched = heap.failed == 0;
        heap.fail_at = 0;
        OKF(rc == RC_OK || (!untouched && rc == RC_NOMEM), "%llu: %s", (unsigned long long)n, err_message(&k.err));
        after(&k, x, "nomem", n, rc);
    }
    tap_note("%llu tries, the last at allocation %llu", (unsigned long long)tries, (unsigned long long)n);
    OK(untouched);
}

static void nomem_body(struct reactor *r, struct faults *x) {
    nomem_loop(r, x, false);
    nomem_loop(r, x, true);
}

static void nomem(void) {
    on_fault_fiber(nomem_body);
}

int main(void) {
    heap_install();
    RUN(plain);
    RUN(wal_is_cut);
    RUN(beside_a_reader);
    RUN(waits_for_a_reader);
    RUN(beside_a_batch);
    RUN(crowd);
    RUN(big);
    RUN(gates);
    RUN(faults);
    RUN(failed_sync);
    RUN(half_a_reset);
    RUN(nomem);
    return tap_done();
}
