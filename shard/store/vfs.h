/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfs.h: SQLite over the files of an env: one sqlite3_vfs for each store, the same in production and in the simulator.
 *
 * Promise     A connection from vfs_open never waits for a disk's sync inside SQLite: commits go to the WAL without one, and
 *             what a power loss leaves is always a consistent, maybe older, state of the database. What is durable is made so
 *             by checkpoint.h, and only there. A database exists under its name only when it is whole (vfs_create).
 * Relies on   all connections to a file being those of one vfs, on its reactor's thread; the directory being this process's
 *             own (env_dir_lock); the same spelling of a path each time; SQLite 3.40 or later.
 * Threads     the reactor's own. SQLite is entered from large fibers only; no function that SQLite calls ever waits. Two
 *             places yield (checkpoint.h's backfill, and recovery in vfs_open), on connections that nobody else has.
 * Source      https://sqlite.org/vfs.html, https://sqlite.org/walformat.html; the source of SQLite 3.40.1.
 *
 * What belongs to one file (locks, the index of the WAL, the open descriptors, what is known to be durable) is one object in
 * memory, shared by the file's connections and gone with the last of them; the next open rebuilds the index from the WAL.
 * Temporary files do not exist: temp_store is MEMORY.
 */
#ifndef MERIDIAN_STORE_VFS_H
#define MERIDIAN_STORE_VFS_H

#include <sqlite3.h>

#include "shard/runtime/fiber.h"

enum { VFS_PAGE_BYTES = 8192, VFS_PATH_BYTES_MAX = ENV_PATH_BYTES - 16, VFS_STEP_OPS = 1000 };

struct vfs;

struct vfs_stats {
    struct counter reads, writes;       /* of database and WAL files */
    struct counter syncs_absorbed;      /* syncs that SQLite asked for and that did nothing */
    struct counter syncs;               /* those that were made */
    struct counter checkpoints, resets; /* resets: the WAL began again at its start */
    struct counter backfilled;          /* pages */
    struct counter refused;             /* what the gates of checkpoint.h kept from happening: should stay 0 */
    struct hist hold_ns;                /* how long a reset kept writers out */
};

/* Registers a sqlite3_vfs of its own, which is not the default. */
enum rc vfs_new(struct env *env, struct vfs **ret) MUST_CHECK;
void vfs_free(struct vfs *v); /* all connections are closed; NULL is fine */
const struct vfs_stats *vfs_stats(const struct vfs *v);
/* Shows the figures among the env's metrics: v must outlive their last dump. */
void vfs_add_metrics(struct vfs *v);

/* ---- databases --------------------------------------------------------------------------------------------------- */

typedef enum rc vfs_fill(sqlite3 *db, void *ctx, struct err *err);

/* Makes the database `path` with what fill writes into it (any number of transactions; it may wait and yield between
 * statements). On return it is durable under its name; after an error or a crash on the way there is none of that name, and
 * what is left is called path.new*. RC_EXISTS: there is one. */
enum rc vfs_create(struct reactor *r, struct vfs *v, const char *path, vfs_fill *fill, void *ctx,
                   struct err *err) WAITS MUST_CHECK;
/* Gives a database that was copied byte by byte to `from`, and is whole, in WAL mode and without a WAL, the name `path`; it
 * is durable under that name on return. After an error or a crash on the way there is none of that name. RC_EXISTS. */
enum rc vfs_adopt(struct reactor *r, struct vfs *v, const char *from, const char *path,
                  struct err *err) WAITS MUST_CHECK;
/* Durably removes a database that nobody has open (RC_BUSY), with its WAL. A missing one is fine. */
enum rc vfs_remove(struct reactor *r, struct vfs *v, const char *path, struct err *err) WAITS MUST_CHECK;

enum vfs_open {
    VFS_READER = 1, /* PRAGMA query_only */
};

/* A connection, set up as Meridian wants it. cache_bytes: the limit of its page cache. RC_NOTFOUND; RC_CORRUPT: not a
 * database made by vfs_create (an empty file, or not in WAL mode); RC_IO, and whatever the recovery of the WAL meets. */
enum rc vfs_open(struct reactor *r, struct vfs *v, const char *path, unsigned flags, int64_t cache_bytes, sqlite3 **ret,
                 struct err *err) WAITS MUST_CHECK;
/* All statements are finalized. A transaction that is open is rolled back. NULL is fine. The WAL stays: what closes a
 * database for long makes a checkpoint with a reset before, so that the next open has nothing to recover. */
void vfs_close(sqlite3 *db);

/* Statements of db yield the fiber about each millisecond, and end with SQLITE_INTERRUPT when it is cancelled or past its
 * deadline. For reader connections; a main connection must not yield inside a step (an open batch is there). While a
 * statement of db is parked, other fibers use other connections, never this one. */
void vfs_set_yield(sqlite3 *db, struct reactor *r);

/* Committed pages in the WAL since its last reset: VFS_PAGE_BYTES and a little more each. */
uint32_t vfs_wal_frames(sqlite3 *db);

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* What the env last said about db's files, or NULL. */
const struct err *vfs_last_error(sqlite3 *db);
/* What SQLite last reported on db (NULL: it ran out of memory), as our code and for people; context as in err_wrap. */
enum rc err_sqlite(struct err *err, sqlite3 *db, const char *context);

#endif
