/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfs.c: the sqlite3_vfs, the objects behind its files, and how a database is made, opened and removed.
 *
 * Opening. What the last process left is not what a power loss would leave: it may have died between a write and its sync,
 * and the page cache shows the write. So the first connection to a file syncs the WAL before SQLite looks at it (K5 in
 * checkpoint.c says why), and only then recovers the index from it, yielding between frames. Who comes meanwhile waits.
 *
 * Creating. SQLite fills path.new, with the rollback journal in memory: nobody needs half of it. Then
 *     switch to WAL mode, close        the file is complete, its WAL empty
 *     sync path.new                    its bytes are durable
 *     remove path-wal, path-journal    of a database that had this name before: SQLite would apply them to the new one
 *     sync the directory               they cannot come back
 *     rename path.new to path, sync    the database exists
 * Removing goes the other way: the database's own name first, durably, then its WAL. A database whose WAL is gone is
 * corrupt if a checkpoint was at work; a WAL whose database is gone is only garbage.
 */
#include "shard/store/vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "shard/store/vfs_internal.h"

static int on_open(sqlite3_vfs *base, const char *name, sqlite3_file *to, int flags, int *ret_flags);
static int on_delete(sqlite3_vfs *base, const char *name, int sync_dir);
static int on_access(sqlite3_vfs *base, const char *name, int what, int *ret);
static int on_full_pathname(sqlite3_vfs *base, const char *name, int bytes, char *to);
static int on_randomness(sqlite3_vfs *base, int bytes, char *to);
static int on_sleep(sqlite3_vfs *base, int microseconds);
static int on_current_time(sqlite3_vfs *base, double *ret);
static int on_current_time_ms(sqlite3_vfs *base, sqlite3_int64 *ret);
static int on_last_error(sqlite3_vfs *base, int bytes, char *to);

/* ---- the vfs ----------------------------------------------------------------------------------------------------- */

enum rc vfs_new(struct env *env, struct vfs **ret) {
    struct vfs *v = calloc(1, sizeof *v);
    if (!v)
        return RC_NOMEM;
    v->env = env;
    snprintf(v->name, sizeof v->name, "meridian-%p", (void *)v);
    map_init(&v->files);
    v->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct handle),
        .mxPathname = VFS_PATH_BYTES_MAX,
        .zName = v->name,
        .pAppData = v,
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_pathname,
        .xRandomness = on_randomness,
        .xSleep = on_sleep,
        .xCurrentTime = on_current_time,
        .xGetLastError = on_last_error,
        .xCurrentTimeInt64 = on_current_time_ms,
    };
    if (sqlite3_vfs_register(&v->base, 0) != SQLITE_OK) {
        free(v);
        return RC_NOMEM;
    }
    *ret = v;
    return RC_OK;
}

void vfs_free(struct vfs *v) {
    if (!v)
        return;
    map_for_each(n, &v->files) {
        struct dbfile *f = container_of(n, struct dbfile, node);
        CHECKF(f->refs == 0, "%s is open", f->path);
        free(f);
    }
    map_done(&v->files);
    sqlite3_vfs_unregister(&v->base);
    free(v);
}

const struct vfs_stats *vfs_stats(const struct vfs *v) {
    return &v->stats;
}

void vfs_add_metrics(struct vfs *v) {
    const struct metric metric[] = {
        {"meridian_sqlite_reads_total", "Reads of database and WAL files.", "", METRIC_COUNTER, 1, &v->stats.reads,
         NULL},
        {"meridian_sqlite_writes_total", "Writes to database and WAL files.", "", METRIC_COUNTER, 1, &v->stats.writes,
         NULL},
        {"meridian_sqlite_syncs_total", "Syncs of database and WAL files.", "", METRIC_COUNTER, 1, &v->stats.syncs,
         NULL},
        {"meridian_sqlite_checkpoints_total", "Checkpoints that ended well.", "", METRIC_COUNTER, 1,
         &v->stats.checkpoints, NULL},
        {"meridian_sqlite_backfilled_pages_total", "Pages copied from WALs to database files.", "", METRIC_COUNTER, 1,
         &v->stats.backfilled, NULL},
        {"meridian_sqlite_wal_resets_total", "WALs begun again at their start.", "", METRIC_COUNTER, 1,
         &v->stats.resets, NULL},
        {"meridian_sqlite_refused_total", "Operations that would have broken durability.", "", METRIC_COUNTER, 1,
         &v->stats.refused, NULL},
        {"meridian_sqlite_writers_held_seconds", "Time that a WAL's reset kept writers out.", "", METRIC_HIST, 1e9,
         &v->stats.hold_ns, NULL},
    };
    static_assert(ARRAY_LEN(metric) == ARRAY_LEN(v->metric), "all of them");
    for (size_t i = 0; i < ARRAY_LEN(metric); i++) {
        v->metric[i] = metric[i];
        metrics_add(&v->env->metrics, &v->metric[i]);
    }
}

/* ---- file objects ------------------------------------------------------------------------------------------------ */

struct dbfile *dbfile_find(struct vfs *v, const char *path) {
    for (struct map_node *n = map_first(&v->files, hash_str(path, 0)); n; n = map_next(n)) {
        struct dbfile *f = container_of(n, struct dbfile, node);
        if (strcmp(f->path, path) == 0)
            return f;
    }
    return NULL;
}

static enum rc dbfile_new(struct vfs *v, const char *path, unsigned open_flags, struct dbfile **ret, struct err *err) {
    struct dbfile *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(err, RC_NOMEM, "open %s: out of memory", path);
    enum rc rc = env_file_open(v->env, path, open_flags, &f->db, err);
    if (rc) {
        free(f);
        return rc;
    }
    f->vfs = v;
    snprintf(f->path, sizeof f->path, "%s", path);
    waitq_init(&f->changed);
    map_put(&v->files, &f->node, hash_str(path, 0));
    *ret = f;
    return RC_OK;
}

static void dbfile_forget(struct dbfile *f) {
    map_del(&f->vfs->files, &f->node);
    free(f);
}

void dbfile_unref(struct dbfile *f) {
    CHECK(f->refs > 0);
    if (--f->refs > 0)
        return;
    CHECK(waitq_empty(&f->changed));
    CHECK(f->lockers == 0 && f->shm_users == 0 && f->region_count == 0);
    env_file_close(f->db);
    env_file_close(f->wal);
    f->db = f->wal = NULL;
    if (!f->failed) /* else it is kept, to be refused */
        dbfile_forget(f);
}

void dbfile_changed(struct dbfile *f) {
    if (UNLIKELY(!waitq_empty(&f->changed)))
        waitq_wake_all(&f->changed, RC_OK);
}

void dbfile_fail(struct dbfile *f, enum rc rc) {
    if (rc == RC_SHUTDOWN || f->failed)
        return;
    f->failed = rc;
    diag_error(&f->vfs->env->diag, "store: database file refused after a failed sync", "path=\"%s\" reason=\"%s\"",
               f->path, rc_text(rc));
}

void vfs_path_dir(const char *path, char to[ENV_PATH_BYTES]) {
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(to, ENV_PATH_BYTES, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    else
        snprintf(to, ENV_PATH_BYTES, ".");
}

/* ---- what SQLite calls ------------------------------------------------------------------------------------------- */

static struct vfs *vfs_of(sqlite3_vfs *base) {
    return base->pAppData;
}

static int open_db(struct vfs *v, const char *name, struct handle *h, int flags) {
    struct dbfile *f = dbfile_find(v, name);
    if (!f && !(flags & SQLITE_OPEN_CREATE)) /* an ATTACH: only vfs_open opens databases */
        return SQLITE_CANTOPEN;
    if (!f) {
        enum rc rc = dbfile_new(v, name, ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &f, &v->open_err);
        if (rc)
            return vfs_sqlite_code(rc, SQLITE_CANTOPEN);
        f->building = f->settled = true;
    }
    if (!f->settled || f->failed)
        return SQLITE_CANTOPEN;
    f->refs++;
    h->file = f;
    return SQLITE_OK;
}

static int open_wal(struct vfs *v, const char *name, struct handle *h) {
    struct dbfile *f = dbfile_find(v, sqlite3_filename_database(name));
    if (!f)
        return SQLITE_CANTOPEN;
    if (!f->wal) {
        enum rc rc = env_file_open(v->env, name, ENV_OPEN_CREATE, &f->wal, &f->last_err);
        if (rc)
            return vfs_sqlite_code(rc, SQLITE_CANTOPEN);
        f->named = false;
    }
    h->file = f;
    return SQLITE_OK;
}

/* Nobody needs one: vfs_create keeps it in memory. But where one lies beside a database SQLite wants to look at it. */
static int open_journal(struct vfs *v, const char *name, struct handle *h, int flags) {
    unsigned how =
        (flags & SQLITE_OPEN_CREATE ? ENV_OPEN_CREATE : 0) | (flags & SQLITE_OPEN_READONLY ? ENV_OPEN_READONLY : 0);
    h->file = dbfile_find(v, sqlite3_filename_database(name));
    if (!h->file)
        return SQLITE_CANTOPEN;
    return vfs_sqlite_code(env_file_open(v->env, name, how, &h->journal, &h->file->last_err), SQLITE_CANTOPEN);
}

static int on_open(sqlite3_vfs *base, const char *name, sqlite3_file *to, int flags, int *ret_flags) {
    struct vfs *v = vfs_of(base);
    struct handle *h = (struct handle *)to;
    int rc = SQLITE_CANTOPEN; /* temporary files and super-journals */
    memset(h, 0, sizeof *h);
    if (flags & SQLITE_OPEN_MAIN_DB)
        h->kind = HANDLE_DB, rc = open_db(v, name, h, flags);
    else if (flags & SQLITE_OPEN_WAL)
        h->kind = HANDLE_WAL, rc = open_wal(v, name, h);
    else if (flags & SQLITE_OPEN_MAIN_JOURNAL)
        h->kind = HANDLE_JOURNAL, rc = open_journal(v, name, h, flags);
    if (rc == SQLITE_OK)
        h->base.pMethods = &vfs_handle_methods; /* without them SQLite does not close */
    if (rc == SQLITE_OK && ret_flags)
        *ret_flags = flags;
    return rc;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The database that a WAL's name belongs to, if it is open. */
static struct dbfile *wal_owner(struct vfs *v, const char *name) {
    char path[ENV_PATH_BYTES];
    if (!ends_with(name, "-wal") || strlen(name) >= sizeof path)
        return NULL;
    snprintf(path, sizeof path, "%.*s", (int)strlen(name) - 4, name);
    return dbfile_find(v, path);
}

static int on_delete(sqlite3_vfs *base, const char *name, int sync_dir) {
    struct vfs *v = vfs_of(base);
    struct dbfile *owner = wal_owner(v, name);
    (void)sync_dir;                  /* only vfs_create and vfs_remove make names durable */
    if (owner && !owner->building) { /* K4: frames are forgotten by a reset only */
        counter_inc(&v->stats.refused);
        return SQLITE_IOERR_DELETE;
    }
    enum rc rc = env_unlink(v->env, name, &v->open_err);
    return rc == RC_NOTFOUND ? SQLITE_IOERR_DELETE_NOENT : vfs_sqlite_code(rc, SQLITE_IOERR_DELETE);
}

/* As SQLite's own: a file of no bytes is no file. */
static int on_access(sqlite3_vfs *base, const char *name, int what, int *ret) {
    struct vfs *v = vfs_of(base);
    struct env_file *f = NULL;
    int64_t bytes = 0;
    (void)what;
    enum rc rc = env_file_open(v->env, name, ENV_OPEN_READONLY, &f, &v->open_err);
    if (!rc)
        rc = env_file_size(f, &bytes, &v->open_err);
    env_file_close(f);
    *ret = bytes > 0;
    return rc == RC_NOTFOUND ? SQLITE_OK : vfs_sqlite_code(rc, SQLITE_IOERR_ACCESS);
}

static int on_full_pathname(sqlite3_vfs *base, const char *name, int bytes, char *to) {
    (void)base;
    int n = snprintf(to, (size_t)bytes, "%s", name);
    return n < 0 || n >= bytes ? SQLITE_CANTOPEN : SQLITE_OK;
}

static int on_randomness(sqlite3_vfs *base, int bytes, char *to) {
    for (int at = 0; at < bytes; at += (int)sizeof(uint64_t)) {
        uint64_t x = env_random(vfs_of(base)->env);
        size_t left = (size_t)(bytes - at);
        memcpy(to + at, &x, left < sizeof x ? left : sizeof x);
    }
    return bytes;
}

/* SQLite sleeps where another process holds a lock for a moment. There is none; and nothing waits in here. */
static int on_sleep(sqlite3_vfs *base, int microseconds) {
    (void)base;
    return microseconds;
}

static int on_current_time_ms(sqlite3_vfs *base, sqlite3_int64 *ret) {
    const int64_t epoch_ms = INT64_C(210866760000000); /* 1970-01-01 as a Julian day number, in milliseconds */
    *ret = epoch_ms + env_clock_ns(vfs_of(base)->env, ENV_CLOCK_REAL) / 1000000;
    return SQLITE_OK;
}

static int on_current_time(sqlite3_vfs *base, double *ret) {
    sqlite3_int64 ms = 0;
    int rc = on_current_time_ms(base, &ms);
    *ret = (double)ms / 86400000.0;
    return rc;
}

static int on_last_error(sqlite3_vfs *base, int bytes, char *to) {
    (void)base, (void)bytes, (void)to;
    return 0; /* errno says nothing here; vfs_last_error does */
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

struct handle *vfs_handle(sqlite3 *db) {
    sqlite3_file *file = NULL;
    CHECK(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK);
    CHECK(file && file->pMethods == &vfs_handle_methods); /* opened here */
    return (struct handle *)file;
}

const struct err *vfs_last_error(sqlite3 *db) {
    const struct err *e = &vfs_handle(db)->file->last_err;
    return e->rc ? e : NULL;
}

static enum rc rc_of_sqlite(int code) {
    if (code == SQLITE_IOERR_NOMEM)
        return RC_NOMEM;
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return RC_OK;
    case SQLITE_NOMEM:
        return RC_NOMEM;
    case SQLITE_FULL:
        return RC_NOSPACE;
    case SQLITE_IOERR:
        return RC_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return RC_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return RC_BUSY;
    case SQLITE_INTERRUPT:
        return RC_CANCELLED;
    case SQLITE_CANTOPEN:
        return RC_NOTFOUND;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return RC_PERMISSION;
    case SQLITE_TOOBIG:
        return RC_LIMIT;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return RC_INVAL;
    default:
        return RC_INTERNAL;
    }
}

/* last: what the env said when SQLite's files failed it. */
static enum rc report(struct err *err, sqlite3 *db, const struct err *last, const char *context) {
    int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    enum rc rc = rc_of_sqlite(code);
    const char *text = db ? sqlite3_errmsg(db) : "out of memory";
    bool from_file = (code & 0xff) == SQLITE_IOERR || rc == RC_NOSPACE || (code & 0xff) == SQLITE_CANTOPEN;
    if (!from_file || !last || !last->rc) {
        err_set(err, rc, "%s: %s", context, text);
        err_detail(err, "SQLite code %d", code);
        return rc;
    }
    if ((code & 0xff) == SQLITE_CANTOPEN)
        rc = last->rc;
    err_set(err, rc, "%s: %s", context, last->message);
    err_detail(err, "SQLite code %d: %s%s%s", code, text, last->detail[0] ? "; " : "", last->detail);
    return rc;
}

enum rc err_sqlite(struct err *err, sqlite3 *db, const char *context) {
    return report(err, db, db ? vfs_last_error(db) : NULL, context);
}

enum rc vfs_exec(sqlite3 *db, const char *sql, const char *what, struct err *err) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? RC_OK : err_sqlite(err, db, what);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static enum rc check_path(const char *path, struct err *err) {
    if (strlen(path) >= VFS_PATH_BYTES_MAX)
        return err_set(err, RC_LIMIT, "path too long: %.100s...", path);
    if (strncmp(path, "file:", 5) == 0) /* SQLite would read it as a URI */
        return err_set(err, RC_INVAL, "path looks like a URI: %s", path);
    return RC_OK;
}

static enum rc find_wal(struct dbfile *f, struct err *err) {
    char name[ENV_PATH_BYTES];
    snprintf(name, sizeof name, "%.*s-wal", VFS_PATH_BYTES_MAX, f->path);
    enum rc rc = env_file_open(f->vfs->env, name, 0, &f->wal, err);
    if (!rc)
        return env_file_size(f->wal, &f->wal_end, err);
    if (rc == RC_NOTFOUND)
        err_clear(err);
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* The object's first moments: what may be only in the page cache is made durable (K5). */
static enum rc settle(struct dbfile *f, struct err *err) WAITS {
    int64_t bytes = 0;
    enum rc rc = env_file_size(f->db, &bytes, err);
    if (!rc && bytes == 0)
        rc = err_set(err, RC_CORRUPT, "the file is empty: it was never a database");
    if (!rc)
        rc = find_wal(f, err);
    if (!rc && f->wal_end > 0)
        f->blank = BLANK_WRITTEN; /* it may be, as far as anybody knows */
    if (!rc)
        rc = dbfile_sync_wal(f->opener, f, err);
    return rc;
}

/* Finds or makes the object and counts the caller in. *ret_first: the caller opens it first, and dbfile_opened ends that. */
static enum rc dbfile_enter(struct reactor *r, struct vfs *v, const char *path, struct dbfile **ret, bool *ret_first,
                            struct err *err) WAITS {
    struct dbfile *f;
    while ((f = dbfile_find(v, path)) && f->opener) {
        enum rc rc = waitq_wait(r, &f->changed, DEADLINE_NONE);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    if (f && f->failed)
        return err_set(err, RC_IO, "refused since a sync of it failed (%s)", rc_text(f->failed));
    if (f && f->building)
        return err_set(err, RC_BUSY, "it is being made");
    *ret_first = !f;
    if (!f) {
        enum rc rc = dbfile_new(v, path, 0, &f, err);
        if (rc)
            return rc;
        f->opener = r;
    }
    f->refs++;
    *ret = f;
    return RC_OK;
}

static void dbfile_opened(struct dbfile *f, bool first) {
    if (first) {
        f->opener = NULL;
        dbfile_changed(f);
    }
    dbfile_unref(f);
}

static void configure_switches(sqlite3 *db, bool defensive) {
    const struct {
        int op, on;
    } switches[] = {
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_DEFENSIVE, defensive},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(switches); i++)
        CHECK(sqlite3_db_config(db, switches[i].op, switches[i].on, NULL) == SQLITE_OK);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_wal_autocheckpoint(db, 0);
}

static enum rc connect_bare(struct vfs *v, const char *path, int flags, sqlite3 **ret, struct err *err) {
    sqlite3 *db = NULL;
    err_clear(&v->open_err);
    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, v->name) != SQLITE_OK) {
        enum rc rc = report(err, db, &v->open_err, "sqlite3_open");
        sqlite3_close(db);
        return rc;
    }
    configure_switches(db, !(flags & SQLITE_OPEN_CREATE));
    *ret = db;
    return RC_OK;
}

static int on_mode(void *ctx, int columns, char **values, char **names) {
    (void)columns, (void)names;
    *(bool *)ctx = values[0] && strcmp(values[0], "wal") == 0;
    return 0;
}

static enum rc check_wal_mode(sqlite3 *db, const char *sql, struct err *err) {
    bool wal = false;
    if (sqlite3_exec(db, sql, on_mode, &wal, NULL) != SQLITE_OK)
        return err_sqlite(err, db, sql);
    return wal ? RC_OK : err_set(err, RC_CORRUPT, "not in WAL mode: not one of our databases");
}

static enum rc configure(sqlite3 *db, unsigned flags, int64_t cache_bytes, struct err *err) {
    char sql[320];
    snprintf(sql, sizeof sql,
             "PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF; PRAGMA synchronous=NORMAL;"
             "PRAGMA cache_size=-%lld; PRAGMA query_only=%d",
             (long long)(cache_bytes / 1024), flags & VFS_READER ? 1 : 0);
    enum rc rc = vfs_exec(db, sql, "set up the connection", err);
    return rc ? rc : check_wal_mode(db, "PRAGMA journal_mode", err);
}

struct opening {
    bool bare;
    unsigned flags;
    int64_t cache_bytes;
};

static enum rc open_any(struct reactor *r, struct vfs *v, const char *path, const struct opening *o, sqlite3 **ret,
                        struct err *err) WAITS {
    struct dbfile *f = NULL;
    sqlite3 *db = NULL;
    bool first = false;
    enum rc rc = check_path(path, err);
    if (!rc)
        rc = dbfile_enter(r, v, path, &f, &first, err);
    if (rc)
        goto out;
    if (first)
        rc = settle(f, err);
    if (!rc) {
        f->settled = true;
        rc = connect_bare(v, path, SQLITE_OPEN_READWRITE, &db, err);
    }
    if (!rc && !o->bare)
        rc = configure(db, o->flags, o->cache_bytes, err); /* reads the file, so it recovers the index */
    else if (!rc && first)
        rc = vfs_exec(db, "PRAGMA user_version", "first read", err);
    if (rc)
        vfs_close(db);
    else
        *ret = db;
    dbfile_opened(f, first);
out:
    if (rc)
        err_wrap(err, "database %.200s", path);
    return rc;
}

enum rc vfs_open(struct reactor *r, struct vfs *v, const char *path, unsigned flags, int64_t cache_bytes, sqlite3 **ret,
                 struct err *err) {
    struct opening o = {.flags = flags, .cache_bytes = cache_bytes};
    return open_any(r, v, path, &o, ret, err);
}

enum rc vfs_open_bare(struct reactor *r, struct vfs *v, const char *path, sqlite3 **ret, struct err *err) {
    struct opening o = {.bare = true};
    return open_any(r, v, path, &o, ret, err);
}

void vfs_close(sqlite3 *db) {
    int rc = sqlite3_close(db);
    CHECKF(rc == SQLITE_OK, "a statement is left: %s", sqlite3_errmsg(db));
}

static int on_progress(void *ctx) {
    struct reactor *r = ctx;
    if (!fiber_slice_over(r))
        return 0;
    return fiber_yield(r) != RC_OK || fiber_deadline(r) <= reactor_now(r);
}

/* Safe while other connections work: SQLite holds no mutex over the callback. A NOMUTEX connection has none of its own, the
 * page cache is the connection's (pcache1 "mode 1"), b-trees are not shared, and the static mutexes (memory, random
 * numbers, the list of VFSs) are held within single calls only. */
void vfs_set_yield(sqlite3 *db, struct reactor *r) {
    sqlite3_progress_handler(db, VFS_STEP_OPS, on_progress, r);
}

uint32_t vfs_wal_frames(sqlite3 *db) {
    return dbfile_frames(vfs_handle(db)->file);
}

/* ---- creating and removing --------------------------------------------------------------------------------------- */

/* *ret_gone: it was there. */
static enum rc remove_file(struct env *env, const char *path, const char *suffix, struct err *err) {
    char name[ENV_PATH_BYTES];
    snprintf(name, sizeof name, "%.*s%s", VFS_PATH_BYTES_MAX, path, suffix);
    enum rc rc = env_unlink(env, name, err);
    if (rc == RC_NOTFOUND) {
        err_clear(err);
        return RC_OK;
    }
    return rc;
}

static enum rc remove_side_files(struct env *env, const char *path, struct err *err) {
    enum rc rc = remove_file(env, path, "-wal", err);
    return rc ? rc : remove_file(env, path, "-journal", err);
}

static enum rc fill_new(struct vfs *v, const char *temp, vfs_fill *fill, void *ctx, struct err *err) WAITS {
    sqlite3 *db = NULL;
    char sql[200];
    enum rc rc = connect_bare(v, temp, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db, err);
    if (rc)
        return rc;
    snprintf(sql, sizeof sql,
             "PRAGMA page_size=%d; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF; PRAGMA journal_mode=MEMORY;"
             "PRAGMA synchronous=OFF",
             VFS_PAGE_BYTES);
    rc = vfs_exec(db, sql, "set up the connection", err);
    if (!rc && fill)
        rc = fill(db, ctx, err);
    if (!rc && !sqlite3_get_autocommit(db))
        rc = err_set(err, RC_INTERNAL, "a transaction was left open");
    if (!rc)
        rc = check_wal_mode(db, "PRAGMA journal_mode=WAL", err);
    vfs_close(db);
    return rc;
}

static enum rc sync_file(struct reactor *r, struct vfs *v, const char *path, struct err *err) WAITS {
    struct env_file *f = NULL;
    enum rc rc = env_file_open(v->env, path, 0, &f, err);
    if (!rc && !env_mutant(v->env, "Q-14"))
        rc = file_sync(r, ENV_LANE_BULK, f, err);
    env_file_close(f);
    counter_inc(&v->stats.syncs);
    return rc;
}

/* The names, in the order of the head comment. */
static enum rc publish(struct reactor *r, struct vfs *v, const char *temp, const char *path, struct err *err) WAITS {
    char dir[ENV_PATH_BYTES];
    vfs_path_dir(path, dir);
    enum rc rc = remove_side_files(v->env, path, err);
    if (!rc)
        rc = dir_sync(r, dir, err);
    if (!rc)
        rc = env_rename(v->env, temp, path, err);
    if (rc)
        return rc;
    rc = dir_sync(r, dir, err);
    if (rc) /* unknown whether it lasts: then let it not pass for made now either */
        (void)env_unlink(v->env, path, NULL);
    return rc;
}

static enum rc check_absent(struct vfs *v, const char *path, struct err *err) {
    struct env_file *f = NULL;
    enum rc rc = dbfile_find(v, path) ? RC_OK : env_file_open(v->env, path, ENV_OPEN_READONLY, &f, err);
    env_file_close(f);
    if (rc == RC_NOTFOUND) {
        err_clear(err);
        return RC_OK;
    }
    return rc ? rc : err_set(err, RC_EXISTS, "%s", rc_text(RC_EXISTS));
}

enum rc vfs_create(struct reactor *r, struct vfs *v, const char *path, vfs_fill *fill, void *ctx, struct err *err) {
    char temp[ENV_PATH_BYTES];
    enum rc rc = check_path(path, err);
    if (!rc) {
        snprintf(temp, sizeof temp, "%.*s.new", VFS_PATH_BYTES_MAX, path);
        rc = check_path(temp, err);
    }
    if (!rc)
        rc = check_absent(v, path, err);
    if (!rc && dbfile_find(v, temp))
        rc = err_set(err, RC_BUSY, "it is being made already");
    if (rc)
        goto out;
    rc = remove_file(v->env, temp, "", err);
    if (!rc)
        rc = remove_side_files(v->env, temp, err);
    if (!rc)
        rc = fill_new(v, temp, fill, ctx, err);
    if (!rc)
        rc = sync_file(r, v, temp, err);
    if (!rc)
        rc = remove_side_files(v->env, temp, err);
    if (!rc)
        rc = publish(r, v, temp, path, err);
    if (rc) {
        (void)remove_file(v->env, temp, "", NULL); /* as far as it goes: the next try removes it too */
        (void)remove_side_files(v->env, temp, NULL);
    }
out:
    if (rc)
        err_wrap(err, "make database %.200s", path);
    return rc;
}

enum rc vfs_adopt(struct reactor *r, struct vfs *v, const char *from, const char *path, struct err *err) {
    enum rc rc = check_path(from, err);
    if (!rc)
        rc = check_path(path, err);
    if (!rc)
        rc = check_absent(v, path, err);
    if (!rc && dbfile_find(v, from))
        rc = err_set(err, RC_BUSY, "it is open");
    if (!rc)
        rc = sync_file(r, v, from, err);
    if (!rc)
        rc = publish(r, v, from, path, err);
    if (rc)
        err_wrap(err, "adopt database %.200s", path);
    return rc;
}

enum rc vfs_remove(struct reactor *r, struct vfs *v, const char *path, struct err *err) {
    char dir[ENV_PATH_BYTES];
    enum rc rc = check_path(path, err);
    struct dbfile *f = rc ? NULL : dbfile_find(v, path);
    if (f && f->refs > 0)
        rc = err_set(err, RC_BUSY, "it is open");
    else if (f)
        dbfile_forget(f); /* the file that a failed sync left is gone with this */
    vfs_path_dir(path, dir);
    if (!rc)
        rc = remove_file(v->env, path, "", err);
    if (!rc)
        rc = dir_sync(r, dir, err);
    if (!rc)
        rc = remove_side_files(v->env, path, err);
    if (rc)
        err_wrap(err, "remove database %.200s", path);
    return rc;
}
