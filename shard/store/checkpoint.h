/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.h: how what was committed to a SQLite file becomes durable, and its WAL short again.
 *
 * Promise     vfs_checkpoint takes a marker (say, the applied slot) from a snapshot of the database and returns when no power
 *             loss can take the database back behind it. Commits go on meanwhile. With reset_wait_ns it also lets the WAL
 *             begin again at its start; only for that are writers kept out, for the length of about three syncs.
 * Relies on   vfs.h; no wal_checkpoint by anybody else (the gates refuse it: checkpoint.c).
 * Threads     the reactor's own.
 * Invariants  K1 to K6, in checkpoint.c.
 * Source      page "WAL" of SQLite's documentation; walCheckpoint and walRestartLog of its 3.40.1.
 */
#ifndef MERIDIAN_STORE_CHECKPOINT_H
#define MERIDIAN_STORE_CHECKPOINT_H

#include "shard/store/vfs.h"

struct vfs_checkpoint {
    /* Reads the marker in the pinned snapshot (a read transaction is open on pin). NULL: the marker is 0. Must not wait. */
    enum rc (*on_pin)(sqlite3 *pin, void *ctx, int64_t *ret_marker, struct err *err);
    /* The marker's snapshot survives a power loss from now on. May be NULL; called once a round, markers never decrease. */
    void (*on_durable)(int64_t marker, void *ctx);
    void *ctx;
    /* How long a reset may wait for the open write transaction and for readers to end, while new writers are kept out.
     * 0: no reset. */
    int64_t reset_wait_ns;
    int64_t wal_keep_bytes; /* a reset gives back what the WAL file has beyond this; 0 = 16 MiB */
};

struct vfs_checkpoint_result {
    int64_t marker;      /* durable */
    uint32_t frames;     /* in the WAL when the last snapshot was taken */
    uint32_t backfilled; /* of these, in the database file; fewer than frames: a long reader was in the way */
    bool reset;
    int64_t held_ns; /* how long writers were kept out */
};

/* RC_BUSY: another checkpoint of this file is under way. RC_CANCELLED. RC_NOSPACE, RC_IO on the way to the database file:
 * nothing is lost, try again later. After a failed sync the file is refused for good (rule P-30): drop the replica. */
enum rc vfs_checkpoint(struct reactor *r, struct vfs *v, const char *path, const struct vfs_checkpoint *how,
                       struct vfs_checkpoint_result *ret, struct err *err) WAITS MUST_CHECK;

/* Waits while a checkpoint keeps writers of db's file out: call it before each BEGIN IMMEDIATE, which then cannot meet a
 * held lock as long as nothing waits in between. RC_IO: the file is refused for good, or a reset has failed half-way and the
 * next checkpoint must make up for it. */
enum rc vfs_write_wait(struct reactor *r, sqlite3 *db, int64_t deadline) WAITS MUST_CHECK;

#endif
