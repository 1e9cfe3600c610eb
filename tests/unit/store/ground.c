/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/ground.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "truetime/base/buf.h"
#include "truetime/base/crc32c.h"

enum { MS = 1000000, CACHE_BYTES = 1 << 20, READER_CACHE_BYTES = 64 << 10, BATCH_MAX = 16, PATH_BYTES = 400 };
#define MAGIC UINT64_C(0x31646e756f7267)

static bool alive(const struct ground *g) {
    return !g->alive || g->alive(g->ctx);
}

static void wrong(struct ground *g, const char *what, const struct err *err) {
    if (alive(g) && !g->why[0])
        snprintf(g->why, sizeof g->why, "%s: %s", what, err_message(err));
}

/* False: the fiber ends, and unless it was told to, so do the others. */
static bool goes_on(struct ground *g, enum rc rc, const char *what, const struct err *err) {
    if (rc == RC_OK)
        return true;
    if (rc != RC_CANCELLED && rc != RC_SHUTDOWN) {
        wrong(g, what, err);
        fiber_group_cancel(&g->group);
    }
    return false;
}

static void path_of(const struct ground *g, const char *name, char to[PATH_BYTES]) {
    snprintf(to, PATH_BYTES, "%s/%s", g->dir, name);
}

static enum rc rest(struct ground *g, int64_t ns) {
    return fiber_sleep(g->r, 1 + (int64_t)(env_random(reactor_env(g->r)) % (uint64_t)ns));
}

/* ---- what must be read ------------------------------------------------------------------------------------------- */

static void model_room(struct ground *g, int64_t k) {
    if (k < g->at_cap)
        return;
    g->at_cap = 2 * k + 1024;
    g->at = realloc(g->at, (size_t)g->at_cap * sizeof *g->at);
    CHECK(g->at);
}

static void model_begin(struct ground *g) {
    g->applied = 0;
    g->at = NULL;
    g->at_cap = 0;
    memset(g->last, 0, sizeof g->last);
    model_room(g, 0);
    g->at[0] = (struct ground_state){0};
}

/* Transaction k = g->applied + 1 has been committed. */
static void model_commit(struct ground *g) {
    int rows[LEDGER_TOUCHED_MAX];
    int64_t k = ++g->applied;
    int n = ledger_touched(k, rows);
    model_room(g, k);
    g->at[k] = g->at[k - 1];
    for (int i = 0; i < n; i++) {
        g->at[k].sum += k - g->last[rows[i]];
        g->at[k].rows += g->last[rows[i]] == 0;
        g->last[rows[i]] = k;
    }
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

static void record_make(int64_t k, uint8_t to[GROUND_RECORD_BYTES]) {
    for (int i = 0; i < GROUND_RECORD_BYTES; i++)
        to[i] = (uint8_t)(k * 31 + i);
    set_u64le(to, MAGIC);
    set_u64le(to + 8, (uint64_t)k);
    set_u32le(to + 16, crc32c(crc32c(0, to, 16), to + 20, GROUND_RECORD_BYTES - 20));
}

/* The transaction that a record is of; 0: none. */
static int64_t record_read(const uint8_t from[GROUND_RECORD_BYTES]) {
    if (get_u64le(from) != MAGIC ||
        get_u32le(from + 16) != crc32c(crc32c(0, from, 16), from + 20, GROUND_RECORD_BYTES - 20))
        return 0;
    return (int64_t)get_u64le(from + 8);
}

static int64_t record_off(int64_t k) {
    return k % GROUND_RING * GROUND_RECORD_BYTES;
}

static enum rc log_open(struct ground *g, struct err *err) {
    struct env *env = reactor_env(g->r);
    char path[PATH_BYTES];
    int64_t bytes = 0;
    path_of(g, "log", path);
    enum rc rc = env_file_open(env, path, ENV_OPEN_CREATE, &g->log, err);
    if (!rc)
        rc = env_file_size(g->log, &bytes, err);
    if (!rc && bytes < GROUND_RING * GROUND_RECORD_BYTES)
        rc = file_allocate(g->r, g->log, 0, GROUND_RING * GROUND_RECORD_BYTES, err);
    return rc ? rc : dir_sync(g->r, g->dir, err);
}

/* Applies what the log has behind the database's own state. */
static enum rc log_replay(struct ground *g, struct err *err) {
    uint8_t record[GROUND_RECORD_BYTES];
    size_t n = 0;
    enum rc rc = RC_OK;
    for (;;) {
        int64_t k = g->applied + 1;
        rc = env_file_read(g->log, record, sizeof record, record_off(k), &n, err);
        if (rc || n < sizeof record || record_read(record) != k)
            break;
        rc = ledger_commit(g->main, k, err);
        if (rc)
            break;
        model_commit(g);
        g->replayed++;
    }
    return rc;
}

/* Records up to synced are durable: they are acknowledged, and may be applied. */
static void note_synced(struct ground *g, int64_t k) {
    g->is_synced[k % GROUND_RING] = true;
    while (g->is_synced[(g->synced + 1) % GROUND_RING]) {
        g->synced++;
        g->is_synced[g->synced % GROUND_RING] = false;
        if (!alive(g))
            continue;
        g->acked = g->synced;
        if (g->on_ack)
            g->on_ack(g->ctx, g->acked);
    }
    waitq_wake_all(&g->work, RC_OK);
}

static enum rc commit_one(struct ground *g, struct err *err) {
    uint8_t record[GROUND_RECORD_BYTES];
    struct iovec iov = {record, sizeof record};
    /* A record's place is free when the database durably holds what was there. */
    while (g->next + 1 - g->durable >= GROUND_RING) {
        enum rc rc = waitq_wait(g->r, &g->room, DEADLINE_NONE);
        if (rc)
            return rc;
    }
    int64_t k = ++g->next;
    record_make(k, record);
    enum rc rc = file_write_sync(g->r, ENV_LANE_LOG, g->log, &iov, 1, record_off(k), err);
    if (!rc)
        note_synced(g, k);
    return rc;
}

static void committer(void *arg) {
    struct ground *g = arg;
    struct err err = {0};
    enum rc rc = RC_OK;
    while (!rc) {
        rc = commit_one(g, &err);
        if (!rc)
            rc = rest(g, MS);
    }
    (void)goes_on(g, rc, "append", &err);
}

/* ---- the database ------------------------------------------------------------------------------------------------ */

static enum rc apply_some(struct ground *g, struct err *err) {
    int64_t until = g->synced < g->applied + BATCH_MAX ? g->synced : g->applied + BATCH_MAX;
    enum rc rc = RC_OK;
    if (sqlite3_exec(g->main, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return err_sqlite(err, g->main, "begin");
    for (int64_t k = g->applied + 1; k <= until && !rc; k++)
        rc = ledger_write(g->main, k, err);
    if (!rc && sqlite3_exec(g->main, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        rc = err_sqlite(err, g->main, "commit");
    if (rc && !sqlite3_get_autocommit(g->main))
        (void)sqlite3_exec(g->main, "ROLLBACK", NULL, NULL, NULL);
    while (!rc && g->applied < until) {
        model_commit(g);
        g->commits++;
    }
    g->batches++;
    return rc;
}

static void applier(void *arg) {
    struct ground *g = arg;
    struct err err = {0};
    enum rc rc = RC_OK;
    while (!rc) {
        while (!rc && g->applied == g->synced)
            rc = waitq_wait(g->r, &g->work, DEADLINE_NONE);
        if (!rc)
            rc = vfs_write_wait(g->r, g->main, DEADLINE_NONE);
        if (!rc) /* nothing has waited since: no checkpoint holds the lock */
            rc = apply_some(g, &err);
        if (!rc)
            rc = fiber_yield(g->r);
    }
    (void)goes_on(g, rc, "apply", &err);
}

static void on_durable(int64_t marker, void *ctx) {
    struct ground *g = ctx;
    if (!alive(g))
        return;
    if (marker < g->durable)
        wrong(g, "the durable marker went back", NULL);
    g->durable = marker;
    waitq_wake_all(&g->room, RC_OK);
}

static void checkpointer(void *arg) {
    struct ground *g = arg;
    struct err err = {0};
    char path[PATH_BYTES];
    enum rc rc = RC_OK;
    path_of(g, "one", path);
    while (!rc) {
        struct vfs_checkpoint_result out;
        bool reset = env_random(reactor_env(g->r)) % 4 == 0;
        struct vfs_checkpoint how = {
            .on_pin = ledger_pin, .on_durable = on_durable, .ctx = g, .reset_wait_ns = reset ? 200 * MS : 0};
        g->resting = reset;
        rc = vfs_checkpoint(g->r, g->v, path, &how, &out, &err);
        g->resting = false;
        if (!rc) {
            g->checkpoints++;
            g->resets += out.reset;
            rc = rest(g, 20 * MS);
        }
    }
    (void)goes_on(g, rc, "checkpoint", &err);
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

/* One look at everything, in one snapshot. */
static enum rc scan_all(struct ground *g, sqlite3 *db, sqlite3_stmt *all, struct err *err) {
    int64_t slot = 0, before = g->applied;
    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return err_sqlite(err, db, "begin");
    enum rc rc = ledger_slot(db, &slot, err);
    g->reading++;
    g->readers_most = g->reading > g->readers_most ? g->reading : g->readers_most;
    if (!rc && sqlite3_step(all) != SQLITE_ROW)
        rc = fiber_cancelled(g->r) ? RC_CANCELLED : err_sqlite(err, db, "scan");
    g->reading--;
    if (!rc && alive(g)) {
        int64_t rows = sqlite3_column_int64(all, 0), sum = sqlite3_column_int64(all, 1);
        if (slot < before || slot > g->applied || sum != g->at[slot].sum || rows != g->at[slot].rows)
            rc = err_set(err, RC_CORRUPT, "slot %lld (%lld was applied): %lld rows with sum %lld", (long long)slot,
                         (long long)before, (long long)rows, (long long)sum);
        g->scans++;
    }
    sqlite3_reset(all);
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static enum rc read_for_ever(struct ground *g, sqlite3 *db, struct err *err) {
    sqlite3_stmt *all = NULL;
    enum rc rc = ground_scan_add(g, db, err);
    if (!rc &&
        sqlite3_prepare_v2(db, "SELECT count(*), sum(k), sum(length(bytes)) FROM scan", -1, &all, NULL) != SQLITE_OK)
        rc = err_sqlite(err, db, "prepare");
    while (!rc) {
        if (!g->resting)
            rc = scan_all(g, db, all, err);
        if (!rc)
            rc = rest(g, g->rest_ns);
    }
    sqlite3_finalize(all);
    return rc;
}

static void reader(void *arg) {
    struct ground *g = arg;
    struct err err = {0};
    sqlite3 *db = NULL;
    char path[PATH_BYTES];
    path_of(g, "one", path);
    enum rc rc = rest(g, g->rest_ns);
    if (!rc)
        rc = vfs_open(g->r, g->v, path, VFS_READER, READER_CACHE_BYTES, &db, &err);
    if (!rc)
        rc = read_for_ever(g, db, &err);
    vfs_close(db);
    (void)goes_on(g, rc, "reader", &err);
}

/* ---- an incarnation ---------------------------------------------------------------------------------------------- */

static enum rc find_database(struct ground *g, struct err *err) {
    char path[PATH_BYTES];
    int64_t slot = 0;
    path_of(g, "one", path);
    enum rc rc = vfs_open(g->r, g->v, path, 0, CACHE_BYTES, &g->main, err);
    if (rc == RC_NOTFOUND && g->acked == 0) {
        rc = vfs_create(g->r, g->v, path, ledger_fill, NULL, err);
        if (!rc)
            rc = vfs_open(g->r, g->v, path, 0, CACHE_BYTES, &g->main, err);
    }
    if (!rc)
        rc = ledger_check(g->main, &slot, err);
    while (!rc && g->applied < slot)
        model_commit(g);
    if (!rc && alive(g) && slot < g->durable)
        rc = err_set(err, RC_CORRUPT, "the database is at %lld, but %lld was durable", (long long)slot,
                     (long long)g->durable);
    return rc;
}

static enum rc find(struct ground *g, struct err *err) {
    enum rc rc = vfs_new(reactor_env(g->r), &g->v);
    if (!rc)
        rc = find_database(g, err);
    if (!rc)
        rc = log_open(g, err);
    if (!rc)
        rc = log_replay(g, err);
    if (!rc && alive(g) && g->applied < g->acked)
        rc = err_set(err, RC_CORRUPT, "found transactions up to %lld, but %lld was acknowledged", (long long)g->applied,
                     (long long)g->acked);
    g->next = g->synced = g->applied;
    return rc;
}

static void spawn(struct ground *g, unsigned count, enum fiber_size size, const char *name, fiber_fn *fn) {
    for (unsigned i = 0; i < count; i++)
        (void)goes_on(g, fiber_spawn(g->r, &g->group, size, name, fn, g), name, NULL);
}

void ground_run(struct ground *g, struct reactor *r) {
    struct err err = {0};
    g->r = r;
    g->v = NULL;
    g->main = NULL;
    g->log = NULL;
    fiber_group_init(&g->group);
    waitq_init(&g->room);
    waitq_init(&g->work);
    model_begin(g);
    g->reading = 0;
    g->resting = false;
    memset(g->is_synced, 0, sizeof g->is_synced);
    g->starts++;
    enum rc rc = find(g, &err);
    if (goes_on(g, rc, "after a crash", &err)) {
        spawn(g, g->committers, FIBER_SMALL, "committer", committer);
        spawn(g, 1, FIBER_LARGE, "applier", applier);
        spawn(g, 1, FIBER_LARGE, "checkpointer", checkpointer);
        spawn(g, g->readers, FIBER_LARGE, "reader", reader);
        if (fiber_group_join(r, &g->group, DEADLINE_NONE) != RC_OK) {
            fiber_group_cancel(&g->group);
            fiber_shield_begin(r);
            CHECK(fiber_group_join(r, &g->group, DEADLINE_NONE) == RC_OK);
            fiber_shield_end(r);
        }
    }
    vfs_close(g->main);
    env_file_close(g->log);
    vfs_free(g->v);
    free(g->at);
    g->at = NULL;
}
