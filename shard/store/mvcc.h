/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvcc.h: a tablet's file: rows with all their versions, and what else the tablet replicates, changed by the entries of its
 * log one slot after the other.
 *
 * Promise     What a slot brings is there wholly or not at all, together with the slot's number (P-8, Q-12): rows, floor,
 *             threshold, range, configuration, sections of the layers above. The same slots give the same state on every
 *             replica, and the same checksum. A row's version s is seen by reads at s and later until the next version of
 *             its key; versions that become known late (a two-phase outcome) take their place between those that are there.
 * Relies on   vfs.h and checkpoint.h; whoever calls keeps the order of slots, gates commits by time (T-4), and has checked
 *             safe time before a read.
 * Threads     the reactor's own, on large fibers. Functions marked WAITS may let others run; the rest do not.
 * Invariants  below, V1 to V6.
 * Source      pages 03 and 12 of the design; Reed, "Naming and Synchronization in a Decentralized Computer System", 1978.
 *
 * Versions. Of a key, t<ID> holds the newest version and _ts, its timestamp; nothing if the newest event is a deletion.
 * t<ID>_h holds each earlier version as an interval [_ts, _end): it was the truth at all times in it. So at a time T the
 * version of a key is the row of t<ID> if its _ts <= T, else the row of t<ID>_h with _ts <= T < _end, else none. A deletion
 * that found nothing to delete is kept as an empty interval [s, s), so that a version older than s which comes later (the
 * backfill of an index, H-6) does not come to life again.
 *
 *   V1  the intervals of a key do not overlap, and the current version begins where or after the last of them ends
 *   V2  _ts <= _end <= _hi in t<ID>_h; _hi, the floor when the row was written, does not decrease with _id (N-4)
 *   V3  every _ts and _end is at most the floor
 *   V4  rows of t<ID>_h with _hi < threshold are seen by no read, as reads below the threshold are refused
 *   V5  a table's last commit (of the connection's snapshot) is at least every _ts and _end in it: at a later T, t<ID> alone
 *       is the answer
 *   V6  checksum = the sum, modulo 2^64, of a hash of each version in range and each section
 *
 * Batches. Slots gather in one SQLite transaction until mvcc_flush, or until the limits of a batch are reached. What is
 * applied is seen at once by reads on the main connection (fragment.h). If SQLite takes a batch back (a disk error, no
 * memory), the tablet is *broken*: every call says so, until mvcc_reload has gone back to the slot that the file has (N-9).
 * Nothing is durable until mvcc_checkpoint says so; the log brings again what a power loss takes.
 */
#ifndef MERIDIAN_STORE_MVCC_H
#define MERIDIAN_STORE_MVCC_H

#include "shard/store/checkpoint.h"
#include "shard/store/ext.h"
#include "shard/store/table.h"

enum {
    MVCC_HANDLES_MAX = 256,         /* open main connections of a store */
    MVCC_CACHE_BYTES = 256 << 20,   /* of all connections' page caches, about: few tablets have large ones */
    MVCC_CACHE_BYTES_MIN = 2 << 20, /* of a connection */
    MVCC_CACHE_BYTES_MAX = 64 << 20,
    MVCC_READERS_MAX = 64, /* open reader connections of a store; past it RC_OVERLOAD */
    MVCC_BALLOT_BYTES_MAX = 64,
    MVCC_KEY_BYTES_MAX = 64 << 10,
    MVCC_CONFIG_BYTES_MAX = 256 << 10,
    MVCC_SECTION_NAME_BYTES_MAX = 200,
    MVCC_SECTION_BYTES_MAX = 64 << 20,
    MVCC_TABLES_MAX = 20000,
    MVCC_BATCH_SLOTS_MAX = 4096, /* then the batch is committed without being asked */
    MVCC_BATCH_BYTES_MAX = 4 << 20,
    MVCC_MUTATIONS_MAX = 1 << 20, /* of one encoded list */
};

struct mvcc_store; /* all tablets of a store */
struct mvcc;       /* one of them */

struct mvcc_stats {
    struct counter slots, puts, deletes, behind; /* behind: older than what was there */
    struct counter batches, rollbacks;
    struct counter opened, evicted, readers_opened;
    struct counter reads_latest, reads_simple, reads_view,
        restarts; /* restarts: from the main connection to a reader */
    struct counter gc_rows;
    struct hist commit_ns, apply_ns; /* of a batch, of a slot */
};

struct mvcc_store_conf {
    size_t handles_max;  /* 0 = MVCC_HANDLES_MAX */
    size_t readers_max;  /* 0 = MVCC_READERS_MAX */
    int64_t cache_bytes; /* of a connection's page cache; 0 = its share of MVCC_CACHE_BYTES when it is opened */
};

/* conf may be NULL. r and v outlive it. */
enum rc mvcc_store_new(struct reactor *r, struct vfs *v, const struct mvcc_store_conf *conf,
                       struct mvcc_store **ret) MUST_CHECK;
void mvcc_store_free(struct mvcc_store *s); /* no tablet is left; NULL is fine */
/* Before the first tablet is opened. RC_LIMIT past EXT_MAX. */
enum rc mvcc_store_add_ext(struct mvcc_store *s, ext_fn *on_open, void *ctx) MUST_CHECK;
const struct mvcc_stats *mvcc_store_stats(const struct mvcc_store *s);
void mvcc_store_add_metrics(struct mvcc_store *s);

/* ---- a tablet's file --------------------------------------------------------------------------------------------- */

struct mvcc_bytes {
    const void *p;
    size_t n;
};

/* What a tablet replicates besides rows and sections. Pointers returned by mvcc_state live until the next change. */
struct mvcc_state {
    int64_t slot;             /* applied */
    struct mvcc_bytes ballot; /* under which that slot was proposed; as the caller encodes it */
    int64_t floor;            /* no timestamp assigned later is at or below it */
    int64_t gc_threshold;     /* reads below it are refused */
    uint64_t tablet, generation;
    struct mvcc_bytes start,
        end;                  /* the range [start, end) of encoded keys; end of no bytes: to the end of the key space */
    struct mvcc_bytes config; /* the group's configuration, as the caller encodes it */
    uint64_t checksum;        /* V6 */
};

/* Makes the file durably, with no tables. RC_EXISTS. */
enum rc mvcc_create(struct mvcc_store *s, const char *path, const struct mvcc_state *state,
                    struct err *err) WAITS MUST_CHECK;
/* Reads what is there. RC_NOTFOUND, RC_CORRUPT, RC_IO. */
enum rc mvcc_open(struct mvcc_store *s, const char *path, struct mvcc **ret, struct err *err) WAITS MUST_CHECK;
/* No reader and no fragment of it is under way. An open batch is committed if it can be, else lost (the log has it). */
void mvcc_close(struct mvcc *m); /* NULL is fine */
enum rc mvcc_remove(struct mvcc_store *s, const char *path, struct err *err) WAITS MUST_CHECK;

/* As applied, which may be ahead of what is committed. */
const struct mvcc_state *mvcc_state(const struct mvcc *m);
int64_t mvcc_committed_slot(const struct mvcc *m);
const char *mvcc_path(const struct mvcc *m);
/* INV-P4: everything that is replicated, in one number. */
uint64_t mvcc_state_hash(const struct mvcc *m);

/* The table as of the applied slot, or NULL. */
const struct table *mvcc_table(const struct mvcc *m, uint64_t id);
/* Table ids in ascending order; returns how many there are, of which at most max are written. */
size_t mvcc_tables(const struct mvcc *m, uint64_t *ids, size_t max);
/* The maximum of the commits that touched the table, as applied (N-4, V5). INT64_MIN for an unknown table. */
int64_t mvcc_last_commit(const struct mvcc *m, uint64_t table);

/* A batch was rolled back: reopens the file and goes back to its slot. The caller replays from there. Also in the middle of a
 * slot that cannot be ended; waits for checkpoints and fragments that are under way. */
bool mvcc_broken(const struct mvcc *m);
enum rc mvcc_reload(struct mvcc *m, struct err *err) WAITS MUST_CHECK;

/* ---- applying ---------------------------------------------------------------------------------------------------- */

/* A row image. */
struct mvcc_mutation {
    uint64_t table;
    bool deletes;
    uint16_t n_values;
    const struct value
        *values; /* a row: its columns in the descriptor's order; a deletion: the key's columns in key order */
};

/* Begins what slot brings. floor: the tablet's floor with it, at least every timestamp in it (it never goes back: a lower
 * one counts as the present floor). It may wait to enter SQLite's write transaction; from here to mvcc_slot_end nothing
 * waits, and any error breaks the tablet: an entry is never skipped. RC_INVAL: not behind the applied slot. */
enum rc mvcc_slot_begin(struct mvcc *m, int64_t slot, struct mvcc_bytes ballot, int64_t floor,
                        struct err *err) WAITS MUST_CHECK;
/* Row images of one commit at ts. RC_INVAL: no such table, a wrong number or kind of values, a key out of range, a second
 * version of a key at the same ts. */
enum rc mvcc_write(struct mvcc *m, int64_t ts, const struct mvcc_mutation *mutations, size_t n,
                   struct err *err) MUST_CHECK;
/* Whether mvcc_write would find them good, but for a second version of a key at the same time: changes nothing, breaks nothing.
 * What peers can send is to be an outcome, equal on all replicas, not an error. */
enum rc mvcc_check_write(struct mvcc *m, const struct mvcc_mutation *mutations, size_t n, struct err *err) MUST_CHECK;
/* Is there a row with this key, as applied? */
struct mvcc_probe {
    uint64_t table;
    uint32_t version;        /* of the table: with another one the key may be another */
    const struct value *key; /* in key order */
    bool there;              /* the answer */
};
/* It waits at its beginning only, if the file must be opened: the answers are true when it returns. RC_STALE. */
enum rc mvcc_rows_there(struct mvcc *m, struct mvcc_probe *probes, size_t n, struct err *err) WAITS MUST_CHECK;
/* Makes the table, or takes it to a later version; one that is the same takes on t->since. */
enum rc mvcc_put_table(struct mvcc *m, const struct table *t, struct err *err) MUST_CHECK;
/* Removes the table with all its versions. A missing one is fine. */
enum rc mvcc_drop_table(struct mvcc *m, uint64_t id, struct err *err) MUST_CHECK;
/* A named piece of state of a layer above: a prepared transaction, an outcome, a registration. NULL p: remove it. */
enum rc mvcc_put_section(struct mvcc *m, const char *name, struct mvcc_bytes bytes, struct err *err) MUST_CHECK;
enum rc mvcc_set_range(struct mvcc *m, struct mvcc_bytes start, struct mvcc_bytes end, uint64_t generation,
                       struct err *err) MUST_CHECK;
enum rc mvcc_set_config(struct mvcc *m, struct mvcc_bytes config, struct err *err) MUST_CHECK;
/* The slot counts as applied. */
enum rc mvcc_slot_end(struct mvcc *m, struct err *err) MUST_CHECK;
/* Commits the batch; not between begin and end of a slot. */
enum rc mvcc_flush(struct mvcc *m, struct err *err) MUST_CHECK;

/* Sections whose name begins with prefix, in the order of their names, as applied. A result other than RC_OK of on_section
 * ends it and is returned; it must not wait. */
typedef enum rc mvcc_on_section(const char *name, struct mvcc_bytes bytes, void *ctx, struct err *err);
enum rc mvcc_sections(struct mvcc *m, const char *prefix, mvcc_on_section *on_section, void *ctx,
                      struct err *err) WAITS MUST_CHECK;
/* RC_NOTFOUND. */
enum rc mvcc_section(struct mvcc *m, const char *name, struct buf *to, struct err *err) WAITS MUST_CHECK;

/* Row images as bytes of a log entry (docs/formats.md); buf_rc tells. The decoder takes bytes from anywhere: what it returns
 * lies in the arena and borrows from bytes. RC_CORRUPT. */
void mvcc_mutations_encode(const struct mvcc_mutation *mutations, size_t n, struct buf *to);
enum rc mvcc_mutations_decode(const void *bytes, size_t n_bytes, struct arena *a, struct mvcc_mutation **ret,
                              size_t *ret_n, struct err *err) MUST_CHECK;

/* ---- durability -------------------------------------------------------------------------------------------------- */

/* Commits the batch and returns when no power loss can take the file back behind *ret_slot: the log may be cut there (P-11).
 * reset: also begin the WAL again if no reader is in the way. RC_BUSY: one is under way. */
enum rc mvcc_checkpoint(struct mvcc *m, bool reset, int64_t *ret_slot, struct err *err) WAITS MUST_CHECK;
/* The slot of the last mvcc_checkpoint; INT64_MIN before the first one of this process. */
int64_t mvcc_durable_slot(const struct mvcc *m);
/* Bytes of the WAL in use: when to make the next checkpoint. 0 while the tablet has no handle. */
int64_t mvcc_wal_bytes(const struct mvcc *m);
/* What the file would take without its free pages. */
enum rc mvcc_data_bytes(struct mvcc *m, int64_t *ret, struct err *err) WAITS MUST_CHECK;

/* ---- readers ----------------------------------------------------------------------------------------------------- */

/* A connection of its own, pinned to the last committed slot: SQLite's snapshot, and with it the slot, the floor, the
 * threshold and the tables with their last commits (R-6, N-9). */
struct mvcc_reader;

/* A batch that is open is committed first, so the snapshot is that of the applied slot. Nothing waits between the pin and the
 * return: what the caller knows of this instant (safe time) belongs to the snapshot. RC_OVERLOAD: too many are open. */
enum rc mvcc_reader_open(struct mvcc *m, struct mvcc_reader **ret, struct err *err) WAITS MUST_CHECK;
void mvcc_reader_close(struct mvcc_reader *rd); /* NULL is fine */
int64_t mvcc_reader_slot(const struct mvcc_reader *rd);
int64_t mvcc_reader_floor(const struct mvcc_reader *rd);
int64_t mvcc_reader_gc_threshold(const struct mvcc_reader *rd);

/* Walks every version in the reader's snapshot and compares with the stored checksum; yields. RC_CORRUPT: they differ, or an
 * invariant of V1 to V3 is broken. Also SQLite's own check of the file if deep. */
enum rc mvcc_verify(struct mvcc_reader *rd, bool deep, struct err *err) WAITS MUST_CHECK;

#endif
