/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfs_file.c: the sqlite3_file: bytes, locks, the index of the WAL, and the account of what is durable.
 *
 * Every write is noted before it is made, and each sync when it has come back; the gates below are invariants K1 to K4 of
 * checkpoint.c, asked at the last place where a mistake above could still be stopped.
 *
 *     database file    written during a backfill only                                           K1
 *     WAL, read by     only bytes that are durable                                              K2
 *       the backfill
 *     READ1..READ4     exclusively, all four at once, is how SQLite asks for a reset: only for
 *                      the checkpoint's connection, and only while no write to the database
 *                      file lacks its sync                                                      K3
 *     WAL header       not while the last reset's blank header is not durable                   K4
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "shard/store/vfs_internal.h"

static int on_close(sqlite3_file *base);
static int on_read(sqlite3_file *base, void *to, int bytes, sqlite3_int64 off);
static int on_write(sqlite3_file *base, const void *from, int bytes, sqlite3_int64 off);
static int on_truncate(sqlite3_file *base, sqlite3_int64 bytes);
static int on_sync(sqlite3_file *base, int flags);
static int on_size(sqlite3_file *base, sqlite3_int64 *ret);
static int on_lock(sqlite3_file *base, int level);
static int on_unlock(sqlite3_file *base, int level);
static int on_check_reserved(sqlite3_file *base, int *ret);
static int on_control(sqlite3_file *base, int op, void *arg);
static int on_sector_size(sqlite3_file *base);
static int on_characteristics(sqlite3_file *base);
static int on_shm_map(sqlite3_file *base, int region, int bytes, int extend, void volatile **ret);
static int on_shm_lock(sqlite3_file *base, int first, int count, int flags);
static void on_shm_barrier(sqlite3_file *base);
static int on_shm_unmap(sqlite3_file *base, int remove);

const sqlite3_io_methods vfs_handle_methods = {
    .iVersion = 2, /* no xFetch: files are read through the env */
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

static struct handle *handle_of(sqlite3_file *base) {
    return (struct handle *)base;
}

int vfs_sqlite_code(enum rc rc, int io_code) {
    switch (rc) {
    case RC_OK:
        return SQLITE_OK;
    case RC_NOMEM:
        return io_code == SQLITE_CANTOPEN ? SQLITE_NOMEM : SQLITE_IOERR_NOMEM;
    case RC_NOSPACE:
        return SQLITE_FULL;
    default:
        return io_code;
    }
}

static struct env_file *bytes_of(const struct handle *h) {
    switch (h->kind) {
    case HANDLE_DB:
        return h->file->db;
    case HANDLE_WAL:
        return h->file->wal;
    default:
        return h->journal;
    }
}

/* ---- gates ------------------------------------------------------------------------------------------------------- */

static int refuse(struct dbfile *f, int code, const char *what) {
    counter_inc(&f->vfs->stats.refused);
    err_set(&f->last_err, RC_IO, "%s: %s", f->path, what);
    return code;
}

static int refuse_failed(struct dbfile *f) {
    err_set(&f->last_err, RC_IO, "%s: refused since a sync of it failed (%s)", f->path, rc_text(f->failed));
    return SQLITE_IOERR_WRITE;
}

static int gate_db_write(const struct handle *h) {
    struct dbfile *f = h->file;
    if (f->building || h == f->backfill_db)
        return SQLITE_OK;
    return refuse(f, SQLITE_IOERR_WRITE, "only a checkpoint writes to the database file"); /* K1 */
}

static int gate_wal_read(const struct handle *h, int bytes, int64_t off) {
    struct dbfile *f = h->file;
    if (h != f->backfill_wal || off + bytes <= f->wal_synced)
        return SQLITE_OK;
    return refuse(f, SQLITE_IOERR_READ, "a frame that is not durable was to be copied"); /* K2 */
}

static int gate_wal_write(const struct handle *h, int64_t off) {
    struct dbfile *f = h->file;
    if (f->building || off >= WAL_HEADER_BYTES || f->blank == BLANK_NONE)
        return SQLITE_OK;
    return refuse(f, SQLITE_IOERR_WRITE, "the WAL was to begin again while its old frames may come back"); /* K4 */
}

static int gate_write(const struct handle *h, int64_t off) {
    if (h->kind != HANDLE_JOURNAL && h->file->failed)
        return refuse_failed(h->file);
    return h->kind == HANDLE_DB ? gate_db_write(h) : h->kind == HANDLE_WAL ? gate_wal_write(h, off) : SQLITE_OK;
}

static bool gate_reset(const struct handle *h) {
    const struct dbfile *f = h->file;
    return h == f->resetter && f->db_writes == f->db_synced; /* K3 */
}

/* ---- the account of what is durable ------------------------------------------------------------------------------ */

/* Bytes from off on are about to change. */
static void wal_note(struct dbfile *f, int64_t off, int64_t end) {
    if (off < f->wal_synced)
        f->wal_synced = off;
    if (off < f->wal_syncing)
        f->wal_syncing = off;
    if (end > f->wal_end)
        f->wal_end = end;
}

static void note_write(struct handle *h, int64_t off, int64_t bytes) {
    if (h->kind == HANDLE_DB)
        h->file->db_writes++;
    else if (h->kind == HANDLE_WAL)
        wal_note(h->file, off, off + bytes);
}

/* A rule of this name that is switched off (mutants) pretends that the sync was made. */
static enum rc sync_one(struct reactor *r, struct dbfile *f, struct env_file *file, const char *rule,
                        struct err *err) WAITS {
    counter_inc(&f->vfs->stats.syncs);
    return env_mutant(f->vfs->env, rule) ? RC_OK : file_sync(r, ENV_LANE_BULK, file, err);
}

static enum rc sync_names(struct reactor *r, struct dbfile *f, struct err *err) WAITS {
    char dir[ENV_PATH_BYTES];
    vfs_path_dir(f->path, dir);
    counter_inc(&f->vfs->stats.syncs);
    return env_mutant(f->vfs->env, "P-31") ? RC_OK : dir_sync(r, dir, err);
}

static enum rc sync_frames(struct reactor *r, struct dbfile *f, struct err *err) WAITS {
    bool blank = f->blank == BLANK_WRITTEN;
    if (!f->wal || (f->wal_synced == f->wal_end && !blank))
        return RC_OK;
    f->wal_syncing = f->wal_end;
    enum rc rc = sync_one(r, f, f->wal, f->opener ? "N-11.open" : blank ? "N-11.reset" : "N-11.2", err);
    if (!rc) {
        f->wal_synced = f->wal_syncing;
        f->blank = blank ? BLANK_NONE : f->blank;
    }
    f->wal_syncing = 0;
    return rc;
}

enum rc dbfile_sync_wal(struct reactor *r, struct dbfile *f, struct err *err) {
    enum rc rc = sync_frames(r, f, err);
    if (!rc && !f->named) {
        rc = sync_names(r, f, err);
        f->named = !rc;
    }
    if (rc)
        dbfile_fail(f, rc);
    return rc;
}

enum rc dbfile_sync_db(struct reactor *r, struct dbfile *f, struct err *err) {
    uint64_t upto = f->db_writes;
    if (f->db_synced == upto)
        return RC_OK;
    enum rc rc = sync_one(r, f, f->db, "N-11.4", err);
    if (rc)
        dbfile_fail(f, rc);
    else
        f->db_synced = upto;
    return rc;
}

/* What the index of the WAL says: walformat.html, section 2.3.1. For decisions and figures, never for durability. */
static uint32_t index_u32(const struct dbfile *f, size_t off) {
    uint32_t x = 0;
    if (f->region_count > 0)
        memcpy(&x, (const char *)f->regions[0] + off, sizeof x);
    return x;
}

uint32_t dbfile_frames(const struct dbfile *f) {
    return index_u32(f, 16);
}

uint32_t dbfile_backfilled(const struct dbfile *f) {
    return index_u32(f, 96);
}

/* Overwrites the header, which SQLite reads in a recovery only. The blocks stay for the frames to come. */
enum rc dbfile_blank_wal(struct dbfile *f) {
    static const uint8_t zero[WAL_HEADER_BYTES];
    f->blank = BLANK_WANTED;
    f->wal_end = f->wal_synced = f->wal_syncing = 0;
    enum rc rc = env_file_write(f->wal, zero, sizeof zero, 0, &f->last_err);
    if (!rc)
        f->blank = BLANK_WRITTEN;
    return rc;
}

/* Never before the blank header is durable: a power loss could keep the cut and lose the header, and leave the first frames
 * alone valid. What is cut off lies behind the frames of the present generation. */
bool dbfile_trim_wal(struct dbfile *f, int64_t keep_bytes, int64_t step_bytes) {
    int64_t bytes = 0;
    CHECK(f->blank == BLANK_NONE); /* K4 */
    if (env_file_size(f->wal, &bytes, NULL) != RC_OK)
        return false;
    int64_t to = bytes - step_bytes;
    to = to > keep_bytes ? to : keep_bytes;
    to = to > f->wal_end ? to : f->wal_end;
    return to < bytes && env_file_truncate(f->wal, to, NULL) == RC_OK;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static int on_close(sqlite3_file *base) {
    struct handle *h = handle_of(base);
    env_file_close(h->journal);
    h->journal = NULL;
    if (h->kind == HANDLE_DB) {
        if (h->shm)
            on_shm_unmap(base, 0);
        on_unlock(base, SQLITE_LOCK_NONE);
        dbfile_unref(h->file);
    }
    return SQLITE_OK;
}

/* Recovery may have much to read; whoever opens the file is alone with it. */
static int opening_yield(struct dbfile *f) {
    return f->opener && fiber_slice_over(f->opener) && fiber_yield(f->opener) != RC_OK ? SQLITE_INTERRUPT : SQLITE_OK;
}

static int on_read(sqlite3_file *base, void *to, int bytes, sqlite3_int64 off) {
    struct handle *h = handle_of(base);
    size_t n = 0;
    if (h->kind == HANDLE_WAL) {
        int code = gate_wal_read(h, bytes, off);
        if (!code)
            code = opening_yield(h->file);
        if (code)
            return code;
    }
    counter_inc(&h->file->vfs->stats.reads);
    enum rc rc = env_file_read(bytes_of(h), to, (size_t)bytes, off, &n, &h->file->last_err);
    if (rc)
        return vfs_sqlite_code(rc, SQLITE_IOERR_READ);
    if (n == (size_t)bytes)
        return SQLITE_OK;
    memset((char *)to + n, 0, (size_t)bytes - n); /* SQLite asks for that */
    return SQLITE_IOERR_SHORT_READ;
}

/* Between two pages of a backfill the checkpoint's fiber lets others run. To them it looks like a checkpointer in another
 * process that is slow, which is what SQLite's protocol is made for. */
static int backfill_yield(struct handle *h, struct reactor *r) {
    counter_inc(&h->file->vfs->stats.backfilled);
    return fiber_slice_over(r) && fiber_yield(r) != RC_OK ? SQLITE_INTERRUPT : SQLITE_OK;
}

static int on_write(sqlite3_file *base, const void *from, int bytes, sqlite3_int64 off) {
    struct handle *h = handle_of(base);
    struct dbfile *f = h->file;
    int code = gate_write(h, off);
    if (code)
        return code;
    note_write(h, off, bytes);
    counter_inc(&f->vfs->stats.writes);
    enum rc rc = env_file_write(bytes_of(h), from, (size_t)bytes, off, &f->last_err);
    if (rc)
        return vfs_sqlite_code(rc, SQLITE_IOERR_WRITE);
    return h == f->backfill_db ? backfill_yield(h, f->backfiller) : SQLITE_OK;
}

/* SQLite truncates a WAL only in a reset, to nothing (K3 has let it pass), and a database file at the end of a backfill. */
static int on_truncate(sqlite3_file *base, sqlite3_int64 bytes) {
    struct handle *h = handle_of(base);
    struct dbfile *f = h->file;
    int code = gate_write(h, h->kind == HANDLE_WAL ? WAL_HEADER_BYTES : 0);
    if (code)
        return code;
    if (h->kind == HANDLE_WAL && !f->building) {
        if (!f->resetter || bytes != 0)
            return refuse(f, SQLITE_IOERR_TRUNCATE, "the WAL was to be cut outside of a reset"); /* K4 */
        return vfs_sqlite_code(dbfile_blank_wal(f), SQLITE_IOERR_TRUNCATE);
    }
    note_write(h, bytes, 0);
    return vfs_sqlite_code(env_file_truncate(bytes_of(h), bytes, &f->last_err), SQLITE_IOERR_TRUNCATE);
}

/* Nothing waits in here for a disk: what SQLite wants durable at this point, checkpoint.c has made durable before. */
static int on_sync(sqlite3_file *base, int flags) {
    (void)flags;
    counter_inc(&handle_of(base)->file->vfs->stats.syncs_absorbed);
    return SQLITE_OK;
}

static int on_size(sqlite3_file *base, sqlite3_int64 *ret) {
    struct handle *h = handle_of(base);
    int64_t bytes = 0;
    enum rc rc = env_file_size(bytes_of(h), &bytes, &h->file->last_err);
    *ret = bytes;
    return vfs_sqlite_code(rc, SQLITE_IOERR_FSTAT);
}

static int on_control(sqlite3_file *base, int op, void *arg) {
    (void)base, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int on_sector_size(sqlite3_file *base) {
    (void)base;
    return ENV_SECTOR_BYTES;
}

/* A torn write leaves the sectors beside it alone: env.h. */
static int on_characteristics(sqlite3_file *base) {
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- rollback-mode locks ----------------------------------------------------------------------------------------- */
/*
 * A connection in WAL mode holds SHARED as long as it is open; the others matter while a database is made. One handle at a
 * time is past SHARED: f->lock_writer.
 */

static int on_lock(sqlite3_file *base, int level) {
    struct handle *h = handle_of(base);
    struct dbfile *f = h->file;
    if (level <= h->level)
        return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED) {
        if (f->lock_writer && f->lock_writer->level >= SQLITE_LOCK_PENDING)
            return SQLITE_BUSY;
        f->lockers++;
        h->level = level;
        return SQLITE_OK;
    }
    if (f->lock_writer && f->lock_writer != h)
        return SQLITE_BUSY;
    f->lock_writer = h;
    if (level == SQLITE_LOCK_EXCLUSIVE && f->lockers > 1) {
        h->level = SQLITE_LOCK_PENDING; /* no new readers; try again when the old ones are gone */
        return SQLITE_BUSY;
    }
    h->level = level;
    return SQLITE_OK;
}

static int on_unlock(sqlite3_file *base, int level) {
    struct handle *h = handle_of(base);
    struct dbfile *f = h->file;
    if (level >= h->level)
        return SQLITE_OK;
    if (f->lock_writer == h)
        f->lock_writer = NULL;
    if (level == SQLITE_LOCK_NONE) {
        CHECK(f->lockers > 0);
        f->lockers--;
    }
    h->level = level;
    return SQLITE_OK;
}

static int on_check_reserved(sqlite3_file *base, int *ret) {
    *ret = handle_of(base)->file->lock_writer != NULL;
    return SQLITE_OK;
}

/* ---- the index of the WAL ---------------------------------------------------------------------------------------- */

static int shm_grow(struct dbfile *f, int count) {
    if (count > SHM_REGIONS_MAX)
        return SQLITE_IOERR_SHMSIZE;
    void **regions = realloc(f->regions, (size_t)count * sizeof *regions);
    if (!regions)
        return SQLITE_IOERR_NOMEM;
    f->regions = regions;
    for (; f->region_count < count; f->region_count++) {
        regions[f->region_count] = calloc(1, SHM_REGION_BYTES); /* each stays where it is: connections keep pointers */
        if (!regions[f->region_count])
            return SQLITE_IOERR_NOMEM;
    }
    return SQLITE_OK;
}

static int on_shm_map(sqlite3_file *base, int region, int bytes, int extend, void volatile **ret) {
    struct handle *h = handle_of(base);
    struct dbfile *f = h->file;
    CHECK(bytes == SHM_REGION_BYTES);
    *ret = NULL;
    if (!h->shm) {
        h->shm = true;
        f->shm_users++;
    }
    if (region >= f->region_count) {
        int code = extend ? shm_grow(f, region + 1) : SQLITE_OK;
        if (!extend || code)
            return code;
    }
    *ret = f->regions[region];
    return SQLITE_OK;
}

static void shm_release(struct handle *h, unsigned mask) {
    struct dbfile *f = h->file;
    for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
        unsigned bit = mask & 1u << i;
        if (h->exclusive & bit) {
            CHECK(f->slot[i] == -1);
            f->slot[i] = 0;
        } else if (h->shared & bit) {
            CHECK(f->slot[i] > 0);
            f->slot[i]--;
        }
    }
    h->exclusive &= (uint8_t)~mask;
    h->shared &= (uint8_t)~mask;
    dbfile_changed(f);
}

static int shm_share(struct handle *h, int i) {
    struct dbfile *f = h->file;
    unsigned bit = 1u << i;
    if (h->shared & bit)
        return SQLITE_OK;
    if (f->slot[i] < 0 || f->slot[i] == INT16_MAX)
        return SQLITE_BUSY;
    f->slot[i]++;
    h->shared |= (uint8_t)bit;
    return SQLITE_OK;
}

static int shm_exclude(struct handle *h, int first, int count, unsigned mask) {
    struct dbfile *f = h->file;
    if (first == SHM_WRITE && f->holder && f->holder != h)
        return SQLITE_BUSY;
    if (first == SHM_READ1 && count == SHM_READ_COUNT - 1 && !gate_reset(h))
        return SQLITE_BUSY;
    for (int i = first; i < first + count; i++)
        if (f->slot[i] != 0)
            return SQLITE_BUSY;
    for (int i = first; i < first + count; i++)
        f->slot[i] = -1;
    h->exclusive |= (uint8_t)mask;
    return SQLITE_OK;
}

static int on_shm_lock(sqlite3_file *base, int first, int count, int flags) {
    struct handle *h = handle_of(base);
    unsigned mask = ((1u << count) - 1) << first;
    CHECK(first >= 0 && count >= 1 && first + count <= SQLITE_SHM_NLOCK);
    if (flags & SQLITE_SHM_UNLOCK)
        shm_release(h, mask);
    else if (flags & SQLITE_SHM_SHARED)
        return shm_share(h, first);
    else
        return shm_exclude(h, first, count, mask);
    return SQLITE_OK;
}

/* All on one thread: only the compiler could reorder. */
static void on_shm_barrier(sqlite3_file *base) {
    (void)base;
    atomic_signal_fence(memory_order_seq_cst);
}

static void shm_free(struct dbfile *f) {
    for (int i = 0; i < f->region_count; i++)
        free(f->regions[i]);
    free(f->regions);
    f->regions = NULL;
    f->region_count = 0;
}

static int on_shm_unmap(sqlite3_file *base, int remove) {
    struct handle *h = handle_of(base);
    struct dbfile *f = h->file;
    (void)remove; /* it is memory: gone with the last user anyway */
    if (!h->shm)
        return SQLITE_OK;
    shm_release(h, (1u << SQLITE_SHM_NLOCK) - 1);
    h->shm = false;
    CHECK(f->shm_users > 0);
    if (--f->shm_users == 0)
        shm_free(f);
    return SQLITE_OK;
}
