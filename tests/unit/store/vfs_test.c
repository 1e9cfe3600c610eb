/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite over an env: connections, locks, snapshots, yields, names, errors. */
#include "shard/store/vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/runtime/env_real.h"
#include "shard/runtime/wait.h"
#include "shard/store/checkpoint.h"
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
};

static void kit_init(struct kit *k, struct reactor *r, const char *name) {
    *k = (struct kit){.r = r};
    snprintf(k->path, sizeof k->path, "%s/%s", tap_dir(), name);
    CHECK(vfs_new(reactor_env(r), &k->v) == RC_OK);
}

static sqlite3 *kit_open(struct kit *k, unsigned flags) {
    sqlite3 *db = NULL;
    enum rc rc = vfs_open(k->r, k->v, k->path, flags, CACHE, &db, &k->err);
    OKF(rc == RC_OK, "%s", err_message(&k->err));
    return db;
}

/* A new ledger; its first connection. */
static sqlite3 *kit_create(struct kit *k, struct reactor *r, const char *name) {
    kit_init(k, r, name);
    enum rc rc = vfs_create(r, k->v, k->path, ledger_fill, NULL, &k->err);
    OKF(rc == RC_OK, "%s", err_message(&k->err));
    return kit_open(k, 0);
}

static int on_text(void *ctx, int columns, char **values, char **names) {
    (void)columns, (void)names;
    snprintf(ctx, 40, "%s", values[0] ? values[0] : "NULL");
    return 0;
}

/* The first column of the last row, as text. */
static const char *ask(sqlite3 *db, const char *sql, char to[40]) {
    to[0] = '\0';
    int code = sqlite3_exec(db, sql, on_text, to, NULL);
    if (code != SQLITE_OK)
        snprintf(to, 40, "error %d", code);
    return to;
}

static int run(sqlite3 *db, const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int64_t checked_slot(sqlite3 *db) {
    struct err err = {0};
    int64_t slot = -1;
    OKF(ledger_check(db, &slot, &err) == RC_OK, "%s", err_message(&err));
    return slot;
}

static bool exists(const char *path, const char *suffix) {
    char name[400];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

/* ---- connections ---- */

static void settings_body(struct reactor *r) {
    static const struct {
        const char *pragma, *value;
    } want[] = {
        {"journal_mode", "wal"}, {"synchronous", "1"},        {"page_size", "8192"},   {"secure_delete", "0"},
        {"temp_store", "2"},     {"wal_autocheckpoint", "0"}, {"trusted_schema", "0"}, {"cache_size", "-1024"},
        {"foreign_keys", "0"},   {"query_only", "0"},
    };
    struct kit k;
    char sql[60], got[40];
    sqlite3 *db = kit_create(&k, r, "settings");
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        snprintf(sql, sizeof sql, "PRAGMA %s", want[i].pragma);
        OKF(strcmp(ask(db, sql, got), want[i].value) == 0, "%s is %s", want[i].pragma, got);
    }
    EQ_INT(run(db, "SELECT \"nosuch\" FROM meta"), SQLITE_ERROR); /* no strings in double quotes */
    /* Ours is not the default. */
    OK(strncmp(sqlite3_vfs_find(NULL)->zName, "meridian", 8) != 0);
    sqlite3 *reader = kit_open(&k, VFS_READER);
    EQ_STR(ask(reader, "SELECT slot FROM meta", got), "0");
    EQ_INT(run(reader, "UPDATE meta SET slot = 1") & 0xff, SQLITE_READONLY);
    vfs_close(reader);
    vfs_close(db);
    vfs_free(k.v);
}

static void settings(void) {
    on_fiber(DIAG_WARN, settings_body);
}

static void snapshots_body(struct reactor *r) {
    struct kit k;
    char got[40];
    sqlite3 *main = kit_create(&k, r, "snapshots");
    sqlite3 *a = kit_open(&k, VFS_READER), *b = kit_open(&k, VFS_READER);
    for (int i = 1; i <= 20; i++) {
        EQ_INT(ledger_commit(main, i, &k.err), RC_OK);
        if (i == 5)
            EQ_INT(run(a, "BEGIN; SELECT * FROM meta"), SQLITE_OK);
        if (i == 10)
            EQ_INT(run(b, "BEGIN; SELECT * FROM meta"), SQLITE_OK);
    }
    EQ_STR(ask(a, "SELECT slot FROM meta", got), "5");
    EQ_STR(ask(b, "SELECT slot FROM meta", got), "10");
    EQ_STR(ask(main, "SELECT slot FROM meta", got), "20");
    EQ_INT(run(a, "COMMIT"), SQLITE_OK);
    EQ_INT(checked_slot(a), 20);
    EQ_INT(run(b, "ROLLBACK"), SQLITE_OK);
    OK(vfs_wal_frames(main) > 20);
    EQ_INT(counter_get(&vfs_stats(k.v)->refused), 0);
    vfs_close(b);
    vfs_close(a);
    vfs_close(main);
    vfs_free(k.v);
}

static void snapshots(void) {
    on_fiber(DIAG_WARN, snapshots_body);
}

static void locks_body(struct reactor *r) {
    struct kit k;
    struct err err = {0};
    sqlite3 *a = kit_create(&k, r, "locks"), *b = kit_open(&k, 0);
    EQ_INT(run(a, "BEGIN IMMEDIATE"), SQLITE_OK);
    EQ_INT(run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    EQ_INT(err_sqlite(&err, b, "begin"), RC_BUSY);
    EQ_INT(ledger_write(a, 1, &err), RC_OK);
    EQ_INT(checked_slot(b), 0);
    EQ_INT(run(a, "COMMIT"), SQLITE_OK);
    /* Who read before the commit cannot write over it. */
    EQ_INT(run(b, "BEGIN; SELECT * FROM meta"), SQLITE_OK);
    EQ_INT(ledger_commit(a, 2, &err), RC_OK);
    EQ_INT(run(b, "UPDATE meta SET slot = 9") & 0xff, SQLITE_BUSY);
    EQ_INT(run(b, "ROLLBACK"), SQLITE_OK);
    EQ_INT(ledger_commit(b, 3, &err), RC_OK);
    EQ_INT(checked_slot(a), 3);
    /* A close rolls back. */
    EQ_INT(run(b, "BEGIN IMMEDIATE"), SQLITE_OK);
    EQ_INT(ledger_write(b, 4, &err), RC_OK);
    vfs_close(b);
    EQ_INT(ledger_commit(a, 4, &err), RC_OK);
    EQ_INT(checked_slot(a), 4);
    vfs_close(a);
    vfs_free(k.v);
}

static void locks(void) {
    on_fiber(DIAG_WARN, locks_body);
}

static sqlite3_file *file_of(sqlite3 *db) {
    sqlite3_file *f = NULL;
    EQ_INT(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f), SQLITE_OK);
    return f;
}

/* The locks themselves, as SQLite's documentation has them. Each connection holds SHARED. */
static void lock_table_body(struct reactor *r) {
    enum { SHARE = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED, EXCLUDE = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE };
    enum { UNSHARE = SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED, UNEXCLUDE = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE };
    struct kit k;
    int reserved = -1;
    void volatile *memory = NULL;
    sqlite3 *db[2] = {kit_create(&k, r, "lock_table"), kit_open(&k, 0)};
    sqlite3_file *a = file_of(db[0]), *b = file_of(db[1]);
    const sqlite3_io_methods *m = a->pMethods;
    EQ_INT(m->xCheckReservedLock(b, &reserved), SQLITE_OK);
    EQ_INT(reserved, 0);
    EQ_INT(m->xLock(a, SQLITE_LOCK_RESERVED), SQLITE_OK);
    EQ_INT(m->xCheckReservedLock(b, &reserved), SQLITE_OK);
    EQ_INT(reserved, 1);
    EQ_INT(m->xLock(b, SQLITE_LOCK_RESERVED), SQLITE_BUSY);
    EQ_INT(m->xLock(a, SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY); /* now PENDING */
    EQ_INT(m->xUnlock(b, SQLITE_LOCK_NONE), SQLITE_OK);
    EQ_INT(m->xLock(b, SQLITE_LOCK_SHARED), SQLITE_BUSY);
    EQ_INT(m->xLock(a, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
    EQ_INT(m->xUnlock(a, SQLITE_LOCK_SHARED), SQLITE_OK);
    EQ_INT(m->xLock(b, SQLITE_LOCK_SHARED), SQLITE_OK);
    for (int slot = 0; slot < SQLITE_SHM_NLOCK; slot++) {
        EQ_INT(m->xShmLock(a, slot, 1, SHARE), SQLITE_OK);
        EQ_INT(m->xShmLock(a, slot, 1, SHARE), SQLITE_OK); /* once counts */
        EQ_INT(m->xShmLock(b, slot, 1, SHARE), SQLITE_OK);
        EQ_INT(m->xShmLock(a, slot, 1, UNSHARE), SQLITE_OK);
        EQ_INT(m->xShmLock(a, slot, 1, EXCLUDE), SQLITE_BUSY);
        EQ_INT(m->xShmLock(b, slot, 1, UNSHARE), SQLITE_OK);
        EQ_INT(m->xShmLock(a, slot, 1, EXCLUDE), SQLITE_OK);
        EQ_INT(m->xShmLock(b, slot, 1, SHARE), SQLITE_BUSY);
        EQ_INT(m->xShmLock(b, slot, 1, EXCLUDE), SQLITE_BUSY);
        EQ_INT(m->xShmLock(b, slot, 1, UNSHARE), SQLITE_OK); /* not its own: nothing happens */
        EQ_INT(m->xShmLock(b, slot, 1, SHARE), SQLITE_BUSY);
        EQ_INT(m->xShmLock(a, slot, 1, UNEXCLUDE), SQLITE_OK);
    }
    /* Several at once, all or none. */
    EQ_INT(m->xShmLock(a, 2, 1, SHARE), SQLITE_OK);
    EQ_INT(m->xShmLock(b, 1, 3, EXCLUDE), SQLITE_BUSY);
    EQ_INT(m->xShmLock(a, 1, 1, EXCLUDE), SQLITE_OK);
    EQ_INT(m->xShmLock(a, 1, 1, UNEXCLUDE), SQLITE_OK);
    EQ_INT(m->xShmLock(a, 2, 1, UNSHARE), SQLITE_OK);
    /* All four read marks are the reset of the WAL: the checkpoint's alone. */
    EQ_INT(m->xShmLock(a, 4, 4, EXCLUDE), SQLITE_BUSY);
    /* The index grows when it is told to, within its limit. */
    EQ_INT(m->xShmMap(a, 7, 32768, 0, &memory), SQLITE_OK);
    OK(memory == NULL);
    EQ_INT(m->xShmMap(a, 7, 32768, 1, &memory), SQLITE_OK);
    OK(memory != NULL);
    EQ_INT(m->xShmMap(a, 1 << 20, 32768, 1, &memory), SQLITE_IOERR_SHMSIZE);
    EQ_INT(ledger_commit(db[0], 1, &k.err), RC_OK);
    EQ_INT(checked_slot(db[1]), 1);
    vfs_close(db[0]);
    vfs_close(db[1]);
    vfs_free(k.v);
}

static void lock_table(void) {
    on_fiber(DIAG_WARN, lock_table_body);
}

static void clock_body(struct reactor *r) {
    struct kit k;
    struct buf text;
    char got[40];
    sqlite3 *db = kit_create(&k, r, "clock");
    int64_t now = env_clock_ns(reactor_env(r), ENV_CLOCK_REAL) / 1000000000;
    int64_t says = strtoll(ask(db, "SELECT strftime('%s', 'now')", got), NULL, 10);
    OKF(says >= now && says <= now + 60, "%lld, %lld", (long long)says, (long long)now);
    /* Its own randomness, and the figures. */
    char bytes[2][20] = {{0}};
    sqlite3_vfs *base = NULL;
    EQ_INT(sqlite3_file_control(db, "main", SQLITE_FCNTL_VFS_POINTER, &base), SQLITE_OK);
    EQ_INT(base->xRandomness(base, 20, bytes[0]), 20);
    EQ_INT(base->xRandomness(base, 20, bytes[1]), 20);
    OK(memcmp(bytes[0], bytes[1], 20) != 0);
    vfs_add_metrics(k.v);
    const struct metrics *all[] = {&reactor_env(r)->metrics};
    buf_init(&text, 0);
    metrics_dump(all, 1, &text);
    OK(strstr(buf_cstr(&text), "meridian_sqlite_writes_total") != NULL);
    buf_done(&text);
    vfs_close(db);
    vfs_free(k.v);
}

static void clock_and_figures(void) {
    on_fiber(DIAG_WARN, clock_body);
}

/* The last close copies nothing and deletes nothing; the next open recovers. */
static void close_and_recover_body(struct reactor *r) {
    struct kit k;
    sqlite3 *db = kit_create(&k, r, "recover");
    for (int i = 1; i <= 300; i++)
        if (!EQ_INT(ledger_commit(db, i, &k.err), RC_OK))
            break;
    vfs_close(db);
    OK(exists(k.path, "-wal"));
    vfs_free(k.v);
    kit_init(&k, r, "recover"); /* as another process */
    db = kit_open(&k, 0);
    EQ_INT(checked_slot(db), 300);
    EQ_INT(ledger_commit(db, 301, &k.err), RC_OK);
    EQ_INT(counter_get(&vfs_stats(k.v)->refused), 0);
    vfs_close(db);
    vfs_close(NULL);
    vfs_free(k.v);
    vfs_free(NULL);
}

static void close_and_recover(void) {
    on_fiber(DIAG_WARN, close_and_recover_body);
}

/* Sorting, statement journals, big transactions and their rollback, VACUUM: all without a temporary file. */
static void no_temporary_files_body(struct reactor *r) {
    struct kit k;
    char got[40];
    sqlite3 *db = kit_create(&k, r, "temporary");
    EQ_INT(run(db, "PRAGMA cache_size=-100;"
                   "CREATE TABLE big(a INTEGER PRIMARY KEY, b TEXT, c UNIQUE);"
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
                   "INSERT INTO big SELECT i, hex(zeroblob(100)), i * 7919 % 20011 FROM n;"
                   "CREATE INDEX big_b ON big(b, c)"),
           SQLITE_OK);
    /* A statement that fails after 64 KiB of its journal, inside a transaction that has spilled its cache. */
    EQ_INT(run(db, "BEGIN IMMEDIATE; UPDATE big SET b = b || 'x'"), SQLITE_OK);
    EQ_INT(run(db, "UPDATE big SET c = min(c + 1, 20005)") & 0xff, SQLITE_CONSTRAINT);
    EQ_STR(ask(db, "SELECT count(*) FROM big WHERE b LIKE '%x'", got), "20000");
    EQ_INT(run(db, "ROLLBACK"), SQLITE_OK);
    EQ_STR(ask(db, "SELECT count(*) FROM big WHERE b LIKE '%x'", got), "0");
    EQ_STR(ask(db, "SELECT max(c) = (SELECT c FROM big ORDER BY c + 0 DESC LIMIT 1) FROM big", got), "1");
    EQ_INT(run(db, "CREATE TEMP TABLE t AS SELECT * FROM big; DROP TABLE t; DELETE FROM big WHERE a > 10; VACUUM"),
           SQLITE_OK);
    EQ_STR(ask(db, "SELECT count(*) FROM big", got), "10");
    EQ_INT(checked_slot(db), 0);
    EQ_INT(counter_get(&vfs_stats(k.v)->refused), 0);
    vfs_close(db);
    vfs_free(k.v);
}

static void no_temporary_files(void) {
    on_fiber(DIAG_WARN, no_temporary_files_body);
}

/* ---- names ---- */

static enum rc fill_fails(sqlite3 *db, void *ctx, struct err *err) {
    (void)ctx;
    (void)!ledger_fill(db, NULL, NULL);
    return err_set(err, RC_LIMIT, "no more");
}

static enum rc fill_leaves_open(sqlite3 *db, void *ctx, struct err *err) {
    (void)ctx, (void)err;
    run(db, "CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES (1)");
    return RC_OK;
}

static void write_file(const char *path, const char *suffix, const char *text) {
    char name[400];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    FILE *f = fopen(name, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void names_body(struct reactor *r) {
    struct kit k;
    sqlite3 *db = NULL;
    kit_init(&k, r, "names");
    EQ_INT(vfs_open(r, k.v, k.path, 0, CACHE, &db, &k.err), RC_NOTFOUND);
    EQ_INT(vfs_create(r, k.v, k.path, fill_fails, NULL, &k.err), RC_LIMIT);
    OK(strstr(k.err.message, "no more") != NULL);
    EQ_INT(vfs_create(r, k.v, k.path, fill_leaves_open, NULL, &k.err), RC_INTERNAL);
    OK(!exists(k.path, "") && !exists(k.path, ".new") && !exists(k.path, ".new-wal"));
    /* An empty file is no database, and neither is one that SQLite would make of it. */
    write_file(k.path, "", "");
    EQ_INT(vfs_open(r, k.v, k.path, 0, CACHE, &db, &k.err), RC_CORRUPT);
    EQ_INT(vfs_create(r, k.v, k.path, ledger_fill, NULL, &k.err), RC_EXISTS);
    write_file(k.path, "",
               "not a database, although it is long enough to be taken for one: "
               "....................................................................");
    EQ_INT(vfs_open(r, k.v, k.path, 0, CACHE, &db, &k.err), RC_CORRUPT);
    EQ_INT(vfs_remove(r, k.v, k.path, &k.err), RC_OK);
    EQ_INT(vfs_remove(r, k.v, k.path, &k.err), RC_OK);
    /* SQLite's own, not in WAL mode. */
    EQ_INT(sqlite3_open_v2(k.path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    EQ_INT(run(db, "CREATE TABLE t(a)"), SQLITE_OK);
    sqlite3_close(db);
    db = NULL;
    EQ_INT(vfs_open(r, k.v, k.path, 0, CACHE, &db, &k.err), RC_CORRUPT);
    OK(strstr(k.err.message, "not in WAL mode") != NULL);
    EQ_INT(vfs_checkpoint(r, k.v, k.path, &(struct vfs_checkpoint){0}, &(struct vfs_checkpoint_result){0}, &k.err),
           RC_CORRUPT);
    EQ_INT(vfs_remove(r, k.v, k.path, &k.err), RC_OK);
    /* What an earlier try, or an earlier database of that name, left behind does no harm. */
    write_file(k.path, ".new", "rubbish");
    write_file(k.path, ".new-wal", "rubbish");
    write_file(k.path, "-wal", "rubbish");
    write_file(k.path, "-journal", "rubbish");
    EQ_INT(vfs_create(r, k.v, k.path, ledger_fill, NULL, &k.err), RC_OK);
    OK(!exists(k.path, ".new") && !exists(k.path, ".new-wal") && !exists(k.path, "-wal") &&
       !exists(k.path, "-journal"));
    EQ_INT(vfs_create(r, k.v, k.path, ledger_fill, NULL, &k.err), RC_EXISTS);
    /* A rollback journal that is none. */
    write_file(k.path, "-journal", "rubbish");
    db = kit_open(&k, 0);
    EQ_INT(checked_slot(db), 0);
    OK(!exists(k.path, "-journal"));
    EQ_INT(vfs_remove(r, k.v, k.path, &k.err), RC_BUSY);
    EQ_INT(ledger_commit(db, 1, &k.err), RC_OK);
    vfs_close(db);
    EQ_INT(vfs_remove(r, k.v, k.path, &k.err), RC_OK);
    OK(!exists(k.path, "") && !exists(k.path, "-wal"));
    vfs_free(k.v);
}

static void names(void) {
    on_fiber(DIAG_WARN, names_body);
}

static enum rc fill_slowly(sqlite3 *db, void *ctx, struct err *err) {
    enum rc rc = ledger_fill(db, NULL, err);
    return rc ? rc : fiber_sleep(ctx, 20 * MS);
}

struct maker {
    struct kit k;
    enum rc rc;
};

static void make(void *arg) {
    struct maker *m = arg;
    m->rc = vfs_create(m->k.r, m->k.v, m->k.path, fill_slowly, m->k.r, NULL);
}

static void made_twice_body(struct reactor *r) {
    struct maker m = {0};
    struct fiber_group group;
    char temp[400];
    sqlite3 *db = NULL;
    fiber_group_init(&group);
    kit_init(&m.k, r, "twice");
    snprintf(temp, sizeof temp, "%s.new", m.k.path);
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "maker", make, &m), RC_OK);
    while (!exists(m.k.path, ".new"))
        EQ_INT(fiber_yield(r), RC_OK);
    EQ_INT(vfs_create(r, m.k.v, m.k.path, ledger_fill, NULL, &m.k.err), RC_BUSY);
    EQ_INT(vfs_open(r, m.k.v, temp, 0, CACHE, &db, &m.k.err), RC_BUSY);
    EQ_INT(vfs_open(r, m.k.v, m.k.path, 0, CACHE, &db, &m.k.err), RC_NOTFOUND);
    EQ_INT(fiber_group_join(r, &group, DEADLINE_NONE), RC_OK);
    EQ_INT(m.rc, RC_OK);
    db = kit_open(&m.k, 0);
    EQ_INT(checked_slot(db), 0);
    vfs_close(db);
    vfs_free(m.k.v);
}

static void made_twice(void) {
    on_fiber(DIAG_WARN, made_twice_body);
}

static void odd_paths_body(struct reactor *r) {
    struct kit k;
    char path[ENV_PATH_BYTES + 100];
    sqlite3 *db = NULL;
    kit_init(&k, r, "odd");
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    EQ_INT(vfs_open(r, k.v, path, 0, CACHE, &db, &k.err), RC_LIMIT);
    EQ_INT(vfs_create(r, k.v, path, ledger_fill, NULL, &k.err), RC_LIMIT);
    EQ_INT(vfs_remove(r, k.v, path, &k.err), RC_LIMIT);
    EQ_INT(vfs_open(r, k.v, "file:x?mode=memory", 0, CACHE, &db, &k.err), RC_INVAL);
    EQ_INT(vfs_open(r, k.v, "/no/such/place", 0, CACHE, &db, NULL), RC_NOTFOUND);
    /* Another database cannot be attached: it would come past vfs_open. */
    EQ_INT(vfs_create(r, k.v, k.path, ledger_fill, NULL, &k.err), RC_OK);
    db = kit_open(&k, 0);
    char sql[400];
    snprintf(sql, sizeof sql, "ATTACH '%s.other' AS other", k.path);
    EQ_INT(run(db, sql) & 0xff, SQLITE_CANTOPEN);
    vfs_close(db);
    vfs_free(k.v);
}

static void odd_paths(void) {
    on_fiber(DIAG_WARN, odd_paths_body);
}

/* ---- fibers ---- */

enum { READERS = 1000 };

struct crowd {
    struct kit k;
    sqlite3 *main;
    int64_t committed;
    int reading, most, read;
    bool done;
};

static void crowd_read(void *arg) {
    struct crowd *c = arg;
    struct err err = {0};
    sqlite3 *db = NULL;
    char got[40];
    int64_t slot = -1, before = c->committed;
    if (!OKF(vfs_open(c->k.r, c->k.v, c->k.path, VFS_READER, 64 << 10, &db, &err) == RC_OK, "%s", err.message))
        return;
    vfs_set_yield(db, c->k.r);
    c->most = ++c->reading > c->most ? c->reading : c->most;
    /* Long enough to be parked in the middle of a step. */
    ask(db,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT count(*) FROM n, row",
        got);
    OKF(ledger_check(db, &slot, &err) == RC_OK, "%s", err.message);
    OK(slot >= before && slot <= c->committed);
    c->reading--;
    c->read++;
    vfs_close(db);
}

static void crowd_body(struct reactor *r) {
    struct crowd c = {0};
    struct fiber_group group;
    fiber_group_init(&group);
    c.main = kit_create(&c.k, r, "crowd");
    for (int i = 1; i <= 60; i++)
        EQ_INT(ledger_commit(c.main, ++c.committed, &c.k.err), RC_OK);
    for (int i = 0; i < READERS; i++)
        if (!EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "reader", crowd_read, &c), RC_OK))
            break;
    while (group.count > 0) {
        if (!EQ_INT(ledger_commit(c.main, c.committed + 1, &c.k.err), RC_OK))
            break;
        c.committed++;
        (void)!fiber_yield(r);
    }
    EQ_INT(fiber_group_join(r, &group, DEADLINE_NONE), RC_OK);
    EQ_INT(c.read, READERS);
    tap_note("%lld commits meanwhile, at most %d readers at once", (long long)c.committed, c.most);
    OK(c.most > 1);
    vfs_close(c.main);
    vfs_free(c.k.v);
}

/* A thousand readers, parked in the middle of their statements, each with its own stable snapshot of a file that one writes. */
static void thousand_readers(void) {
    on_fiber(DIAG_WARN, crowd_body);
}

static const char endless[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

struct endless {
    struct kit k;
    int code;
    enum rc rc;
    bool ended;
};

static void read_endlessly(void *arg) {
    struct endless *e = arg;
    sqlite3 *db = kit_open(&e->k, VFS_READER);
    vfs_set_yield(db, e->k.r);
    e->code = run(db, endless);
    e->ended = true;
    vfs_close(db);
}

static void interrupts_body(struct reactor *r) {
    struct endless e = {0};
    struct fiber_group group;
    struct err err = {0};
    fiber_group_init(&group);
    sqlite3 *db = kit_create(&e.k, r, "interrupts");
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "endless", read_endlessly, &e), RC_OK);
    EQ_INT(fiber_sleep(r, 20 * MS), RC_OK);
    OK(!e.ended);
    fiber_group_cancel(&group);
    EQ_INT(fiber_group_join(r, &group, DEADLINE_NONE), RC_OK);
    EQ_INT(e.code, SQLITE_INTERRUPT);
    /* A deadline does the same. */
    vfs_set_yield(db, r);
    int64_t old = fiber_set_deadline(r, reactor_deadline(r, 5 * MS));
    EQ_INT(run(db, endless), SQLITE_INTERRUPT);
    EQ_INT(err_sqlite(&err, db, "scan"), RC_CANCELLED);
    fiber_set_deadline(r, old);
    EQ_INT(checked_slot(db), 0);
    vfs_close(db);
    vfs_free(e.k.v);
}

static void interrupts(void) {
    on_fiber(DIAG_WARN, interrupts_body);
}

static void open_later(void *arg) {
    struct crowd *c = arg;
    sqlite3 *db = kit_open(&c->k, 0);
    EQ_INT(checked_slot(db), 40);
    c->read++;
    vfs_close(db);
}

/* Several fibers want a closed database at once: one opens and recovers it, the others wait for that. */
static void opened_together_body(struct reactor *r) {
    struct crowd c = {0};
    struct fiber_group group;
    fiber_group_init(&group);
    c.main = kit_create(&c.k, r, "together");
    for (int i = 1; i <= 40; i++)
        EQ_INT(ledger_commit(c.main, i, &c.k.err), RC_OK);
    vfs_close(c.main);
    for (int i = 0; i < 5; i++)
        EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "opener", open_later, &c), RC_OK);
    EQ_INT(fiber_group_join(r, &group, DEADLINE_NONE), RC_OK);
    EQ_INT(c.read, 5);
    vfs_free(c.k.v);
}

static void opened_together(void) {
    on_fiber(DIAG_WARN, opened_together_body);
}

static void open_alone(void *arg) {
    struct endless *e = arg;
    sqlite3 *db = NULL;
    e->rc = vfs_open(e->k.r, e->k.v, e->k.path, 0, CACHE, &db, NULL);
    e->ended = true;
    vfs_close(db);
}

static void recovery_body(struct reactor *r) {
    struct endless e = {0};
    struct fiber_group group;
    char got[40];
    int turns = 0;
    fiber_group_init(&group);
    sqlite3 *db = kit_create(&e.k, r, "recovery");
    EQ_INT(run(db, "CREATE TABLE big(a INTEGER PRIMARY KEY, b);"
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
                   "INSERT INTO big SELECT i, zeroblob(7000) FROM n"),
           SQLITE_OK);
    vfs_close(db);
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "opener", open_alone, &e), RC_OK);
    while (group.count > 0 && turns++ < 10000)
        EQ_INT(fiber_sleep(r, MS / 10), RC_OK);
    EQ_INT(e.rc, RC_OK);
    OKF(turns > 5, "%d", turns);
    /* Cancelled in the middle of it. */
    e.ended = false;
    uint64_t reads = counter_get(&vfs_stats(e.k.v)->reads);
    EQ_INT(fiber_spawn(r, &group, FIBER_LARGE, "opener", open_alone, &e), RC_OK);
    while (counter_get(&vfs_stats(e.k.v)->reads) < reads + 50 && !e.ended)
        EQ_INT(fiber_yield(r), RC_OK);
    OK(!e.ended);
    fiber_group_cancel(&group);
    EQ_INT(fiber_group_join(r, &group, DEADLINE_NONE), RC_OK);
    EQ_INT(e.rc, RC_CANCELLED);
    db = kit_open(&e.k, 0);
    EQ_STR(ask(db, "SELECT count(*) FROM big", got), "3000");
    vfs_close(db);
    vfs_free(e.k.v);
}

/* Recovering a long WAL lets others run, and can be given up. */
static void recovery(void) {
    on_fiber(DIAG_WARN, recovery_body);
}

/* ---- errors ---- */

static void codes_body(struct reactor *r) {
    struct kit k;
    struct err err = {0};
    sqlite3 *db = kit_create(&k, r, "codes");
    OK(vfs_last_error(db) == NULL);
    EQ_INT(run(db, "INSERT INTO meta VALUES (1, 1)") & 0xff, SQLITE_CONSTRAINT);
    EQ_INT(err_sqlite(&err, db, "insert"), RC_INVAL);
    OK(strstr(err.message, "insert: UNIQUE constraint failed") != NULL);
    EQ_INT(run(db, "SELEC"), SQLITE_ERROR);
    EQ_INT(err_sqlite(&err, db, "parse"), RC_INTERNAL);
    EQ_INT(run(db, "SELECT 1"), SQLITE_OK);
    EQ_INT(err_sqlite(&err, db, "nothing"), RC_OK);
    EQ_INT(err_sqlite(&err, NULL, "open"), RC_NOMEM);
    vfs_close(db);
    vfs_free(k.v);
}

static void codes(void) {
    on_fiber(DIAG_WARN, codes_body);
}

static void fault_codes_body(struct reactor *r, struct faults *x) {
    static const struct {
        unsigned kind;
        enum rc rc;
    } cases[] = {{FAULT_WRITE, RC_IO}, {FAULT_WRITE, RC_NOSPACE}, {FAULT_WRITE, RC_NOMEM}, {FAULT_READ, RC_IO}};
    struct kit k;
    sqlite3 *db = kit_create(&k, r, "fault_codes");
    for (int i = 1; i <= 20; i++)
        EQ_INT(ledger_commit(db, i, &k.err), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        vfs_close(db);
        db = kit_open(&k, 0); /* an empty page cache */
        faults_set(x, cases[i].kind, 1, true, cases[i].rc);
        EQ_INT(ledger_commit(db, 21, &k.err), cases[i].rc);
        faults_off(x);
        if (cases[i].rc != RC_NOMEM) {
            OK(vfs_last_error(db) && vfs_last_error(db)->rc == cases[i].rc);
            OKF(strstr(k.err.message, "injected") != NULL, "%s", k.err.message);
        }
        EQ_INT(checked_slot(db), 20);
    }
    faults_set(x, FAULT_OPEN, 1, false, RC_IO);
    sqlite3 *other = NULL;
    vfs_close(db);
    EQ_INT(vfs_open(r, k.v, k.path, 0, CACHE, &other, &k.err), RC_IO);
    OK(strstr(k.err.message, "injected") != NULL);
    faults_off(x);
    db = kit_open(&k, 0);
    EQ_INT(checked_slot(db), 20);
    vfs_close(db);
    vfs_free(k.v);
}

static void fault_codes(void) {
    on_fault_fiber(fault_codes_body);
}

int main(void) {
    RUN(settings);
    RUN(snapshots);
    RUN(locks);
    RUN(lock_table);
    RUN(clock_and_figures);
    RUN(close_and_recover);
    RUN(no_temporary_files);
    RUN(names);
    RUN(made_twice);
    RUN(odd_paths);
    RUN(thousand_readers);
    RUN(interrupts);
    RUN(opened_together);
    RUN(recovery);
    RUN(codes);
    RUN(fault_codes);
    return tap_done();
}
