/* SPDX-License-Identifier: Apache-2.0 */
/* vfs_internal.h: what vfs.c, vfs_file.c and checkpoint.c share. Nobody else includes it. */
#ifndef MERIDIAN_STORE_VFS_INTERNAL_H
#define MERIDIAN_STORE_VFS_INTERNAL_H

#include "shard/store/vfs.h"
#include "truetime/base/map.h"

/* The locks of the WAL index, by number: walformat.html, section 2.3.2. */
enum { SHM_WRITE = 0, SHM_CKPT = 1, SHM_RECOVER = 2, SHM_READ0 = 3, SHM_READ1 = 4, SHM_READ_COUNT = 5 };
enum { SHM_REGION_BYTES = 32768, SHM_REGIONS_MAX = 1024 }; /* 4 million frames */
enum { WAL_HEADER_BYTES = 32, VFS_METRICS = 8 };
static_assert(SHM_READ0 + SHM_READ_COUNT == SQLITE_SHM_NLOCK, "walformat.html");

struct vfs {
    sqlite3_vfs base;
    struct env *env;
    char name[32];
    struct map files;    /* struct dbfile by path: open ones, and those refused for good */
    struct err open_err; /* the last failure that belongs to no open file */
    struct vfs_stats stats;
    struct metric metric[VFS_METRICS];
};

/* How the WAL file relates to a reset that SQLite has made in the index (K4). */
enum blank {
    BLANK_NONE,   /* no reset is under way */
    BLANK_WANTED, /* the index is reset, the file is not: the old frames are still there */
    BLANK_WRITTEN /* the file's header is gone, but may come back with a power loss */
};

/* All of one database file. */
struct dbfile {
    struct map_node node;
    struct vfs *vfs;
    char path[ENV_PATH_BYTES];
    unsigned refs;          /* its open handles, and who is opening it */
    bool settled;           /* vfs_open has seen to what the last process left */
    bool building;          /* vfs_create's: not under its name yet, so nothing is promised and no gate stands */
    struct reactor *opener; /* while the first connection opens it */
    enum rc failed;         /* a sync failed: no more writes, ever (P-30) */
    struct env_file *db, *wal;
    struct err last_err;
    struct waitq changed; /* a lock was given back, or the opener is done */

    /* rollback-mode locks */
    unsigned lockers;           /* handles with SHARED or more */
    struct handle *lock_writer; /* the one with RESERVED or more */

    /* the WAL index */
    void **regions;
    int region_count;
    unsigned shm_users;
    int16_t slot[SQLITE_SHM_NLOCK]; /* -1: exclusive; n > 0: shared by n */

    /* what is durable (K1..K4) */
    uint64_t db_writes, db_synced; /* writes to the database file; those before the last good sync */
    int64_t wal_end;               /* bytes of the WAL in use */
    int64_t wal_synced;            /* [0, wal_synced) are durable as they read now */
    int64_t wal_syncing;           /* what a sync under way will make of it */
    bool named;                    /* the names of both files are durable */
    enum blank blank;

    /* the checkpoint under way */
    bool checkpointing;
    struct handle *backfill_db, *backfill_wal; /* may copy from the WAL to the database file */
    struct reactor *backfiller;                /* whose fiber yields between pages */
    struct handle *holder;                     /* keeps writers out */
    struct handle *resetter;                   /* may reset the WAL */
};

enum handle_kind { HANDLE_DB, HANDLE_WAL, HANDLE_JOURNAL };

/* A sqlite3_file. */
struct handle {
    sqlite3_file base; /* first */
    enum handle_kind kind;
    struct dbfile *file;
    struct env_file *journal;  /* HANDLE_JOURNAL's own */
    int level;                 /* SQLITE_LOCK_* */
    uint8_t shared, exclusive; /* bits of slots */
    bool shm;
};

/* vfs.c */
struct dbfile *dbfile_find(struct vfs *v, const char *path);
void dbfile_unref(struct dbfile *f);
void dbfile_changed(struct dbfile *f);
/* Marks f as refused for good unless the env is only shutting down. */
void dbfile_fail(struct dbfile *f, enum rc rc);
enum rc vfs_open_bare(struct reactor *r, struct vfs *v, const char *path, sqlite3 **ret,
                      struct err *err) WAITS MUST_CHECK; /* no pragma, no look at the schema */
struct handle *vfs_handle(sqlite3 *db);
void vfs_path_dir(const char *path, char to[ENV_PATH_BYTES]);
enum rc vfs_exec(sqlite3 *db, const char *sql, const char *what, struct err *err) MUST_CHECK;

/* vfs_file.c */
extern const sqlite3_io_methods vfs_handle_methods;
int vfs_sqlite_code(enum rc rc, int io_code);
/* Committed frames of the WAL, and how many of them, from the first, are in the database file. */
uint32_t dbfile_frames(const struct dbfile *f);
uint32_t dbfile_backfilled(const struct dbfile *f);
/* Makes the WAL file unreadable to a recovery. */
enum rc dbfile_blank_wal(struct dbfile *f);
/* Cuts the WAL file by a step, not below what is kept or used; false: nothing is left to cut, or it cannot be. */
bool dbfile_trim_wal(struct dbfile *f, int64_t keep_bytes, int64_t step_bytes);
/* They account for what they made durable; a failed one refuses the file for good. dbfile_sync_wal: with the names. */
enum rc dbfile_sync_wal(struct reactor *r, struct dbfile *f, struct err *err) WAITS MUST_CHECK;
enum rc dbfile_sync_db(struct reactor *r, struct dbfile *f, struct err *err) WAITS MUST_CHECK;

#endif
