/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ground.h: everything that a store stands on, at once, in small: a log of records that becomes durable through the log thread,
 * a SQLite file on our VFS to which they are applied, checkpoints, and very many fibers that read it through a virtual table
 * whose every row yields.
 *
 *     committers --append, sync--> log (a ring of GROUND_RING records) --in order--> applier --> SQLite <-- readers
 *                                   ^ space again behind the marker that a checkpoint made durable <-- checkpointer
 *
 * Promise     Transaction k is acknowledged (on_ack) when records 1 .. k are durable. A start finds the database sound, the
 *             state after some transaction, and in the log every acknowledged one behind it: `acked` is found again, or
 *             `why` says what was lost. Each reader sees the state after one transaction, whole.
 * Relies on   ledger.h for what transaction k is; the reactor's env, real or simulated.
 * Threads     the reactor's own.
 */
#ifndef MERIDIAN_TESTS_GROUND_H
#define MERIDIAN_TESTS_GROUND_H

#include "shard/runtime/fiber.h"
#include "shard/store/checkpoint.h"
#include "tests/unit/store/ledger.h"

enum { GROUND_RING = 256, GROUND_RECORD_BYTES = 512 };

struct ground {
    /* set by the test */
    const char *dir;                      /* is there, its name durable */
    unsigned readers, committers;         /* fibers of each */
    int64_t rest_ns;                      /* a reader rests up to this long between two scans */
    bool (*alive)(void *ctx);             /* false: killed; what the dying code does counts for nothing. NULL: always */
    void (*on_ack)(void *ctx, int64_t k); /* may be NULL */
    void *ctx;

    /* kept over crashes */
    int64_t acked;   /* transactions 1 .. acked must be found */
    int64_t durable; /* the database alone must hold these */
    char why[400];   /* the first thing that was wrong */
    uint64_t starts, commits, batches, scans, yields, checkpoints, resets, replayed;
    int64_t readers_most; /* scans under way at once */

    /* of one incarnation */
    struct reactor *r;
    struct vfs *v;
    sqlite3 *main;
    struct env_file *log;
    struct fiber_group group;
    struct waitq room, work;
    int64_t next, synced, applied; /* given out, contiguously durable, in SQLite */
    bool is_synced[GROUND_RING];   /* beyond `synced`, by k % GROUND_RING */
    int64_t reading;
    bool resting; /* no new scans: a checkpoint wants to let the WAL begin again */
    int64_t last[LEDGER_ROWS];
    struct ground_state {
        int64_t rows, sum; /* of k over all rows */
    } * at;                /* by slot: what a scan must find */
    int64_t at_cap;
};

/* A start and all that follows, until the fiber is cancelled or something is wrong. On a large fiber. */
void ground_run(struct ground *g, struct reactor *r) WAITS;
/* The virtual table `scan(id, k, bytes)` over the table row, for db. */
enum rc ground_scan_add(struct ground *g, sqlite3 *db, struct err *err) MUST_CHECK;

#endif
