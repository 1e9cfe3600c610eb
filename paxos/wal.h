/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal.h: the write-ahead log of a store: one for all of its groups.
 *
 * Promise     on_done of an append comes after everything in it, and everything appended before it, is durable. One batch is
 *             written and synced at a time; what is appended meanwhile makes up the next batch, so one sync serves every
 *             group and every transaction that gathered. Replay gives back what was durable, in order. What a crash tore is
 *             cut off; what was damaged later is told apart from that and reported, never skipped (N-10, P-32, P-33).
 *             A sync that failed is the end of this log: every later append fails (P-30).
 * Relies on   env files: what was written survives only after a sync; a sector is written whole or not.
 * Threads     the store's own; below the fibers, so everything is a callback. Callbacks come from the env's loop.
 * Limits      a record is at most WAL_RECORD_BYTES_MAX; what is gathered and not yet written at most gather_bytes_max:
 *             RC_OVERLOAD beyond.
 *
 * Segments are files of a fixed size, written with zeros once and used again and again in place: a sync never has to write
 * file-size metadata. Each use has a generation, one higher than that of the segment before it.
 *
 * A segment (integers little-endian, everything aligned to 8):
 *
 *     0    8  "MRDNWAL1"
 *     8    8  generation
 *    16    8  number of the first batch in it
 *    24    4  where the segment of the generation before ends; 0 = this is the first
 *    28    4  segment size
 *    32    8  store
 *    40    4  CRC32C of bytes 0..39
 *   512       records
 *
 * A record:
 *
 *     0    4  CRC32C of bytes 4..(40 + length - 1)
 *     4    4  length of the payload
 *     8    8  generation
 *    16    8  number of its batch
 *    24    4  its own offset in the segment
 *    28    4  the offset where its batch begins
 *    32    7  group
 *    39    1  type
 *    40       payload, then zeros up to a multiple of 8
 *
 * Records of another generation do not exist: they are what the segment held before. Batch k+1 is written only after the
 * sync of batch k returned. So a bad record is a torn tail if no valid record of a later batch follows it (the batch was never
 * acknowledged), and corruption if one does.
 */
#ifndef MERIDIAN_PAXOS_WAL_H
#define MERIDIAN_PAXOS_WAL_H

#include "paxos/core.h"
#include "truetime/base/env.h"

enum {
    WAL_SEGMENT_BYTES = 64 << 20,
    WAL_RECORD_BYTES_MAX = 16 << 20,
    WAL_HEADER_BYTES = 512,
    WAL_RECORD_HEADER_BYTES = 40,
};

enum wal_type {
    WAL_STORE = 1, /* what the store itself must remember: struct wal_store */
    WAL_PROMISE,   /* a group's promised ballot */
    WAL_ENTRY,     /* an accepted entry */
    WAL_VOID,      /* entries of the group above this slot count no more */
    WAL_TRUNCATE,  /* entries of the group up to this slot are in its durable checkpoint */
    WAL_FORGET,    /* the group is gone from this store */
    WAL_TYPES
};

/* The last one counts. */
struct wal_store {
    uint64_t store;
    uint64_t incarnation;
    int64_t lease_ns_max, sole_lease_ns_max; /* N-2: the largest ever used */
    int64_t clean_until;                     /* N-2: written by a clean stop; 0 = it was none */
};

struct wal;

struct wal_conf {
    uint64_t store;
    uint32_t segment_bytes;  /* 0 = WAL_SEGMENT_BYTES */
    uint32_t segments_soft;  /* more in use than this: the oldest is emptied; 0 = 8 */
    uint32_t spare;          /* written ahead; 0 = 2 */
    size_t gather_bytes_max; /* 0 = 64 MiB */
    uint32_t reserve;        /* when the disk is full, this many segments are kept for what is not a proposal; 0 = 1 */
};

struct wal_stats {
    struct counter batches, records, bytes, moved; /* moved: records written again because their segment was emptied */
    struct hist batch_records, sync_ns;
    struct gauge segments, live_bytes;
};

/* What replay hands out, in the order of writing. Payloads are gone after the call. */
struct wal_replay {
    void (*on_store)(void *ctx, const struct wal_store *s);
    void (*on_promise)(void *ctx, uint64_t group, const struct px_ballot *b);
    void (*on_entry)(void *ctx, uint64_t group,
                     const struct px_entry *e); /* borrow: take a reference to keep the value */
    void (*on_void)(void *ctx, uint64_t group, px_slot slot);
    void (*on_truncate)(void *ctx, uint64_t group, px_slot slot);
    void (*on_forget)(void *ctx, uint64_t group);
    void *ctx;
};

/* Where the damage is, for people and for repair. */
struct wal_damage {
    char segment[64];
    uint64_t generation, batch; /* batch: the last good one before it */
    uint32_t offset;
    char what[96];
};

/* Opens, or makes, the log in dir (which exists) and replays it. RC_CORRUPT: damage that no crash of ours explains, in
 * *ret_damage; nothing was changed. RC_INVAL: the log of another store. */
enum rc wal_open(struct env *env, const char *dir, const struct wal_conf *conf, const struct wal_replay *replay,
                 struct wal **ret, struct wal_damage *ret_damage, struct err *err) MUST_CHECK;
/* No append may be under way. */
void wal_close(struct wal *w);
const struct wal_stats *wal_stats(const struct wal *w);
/* RC_OK; RC_IO: dead after a failed sync; RC_NOSPACE: only the reserve is left, proposals are to be refused. */
enum rc wal_health(const struct wal *w);
/* How long the batch that is being synced has taken so far (P-13); 0 = none is. */
int64_t wal_stalled_ns(const struct wal *w);

/* What an append waits for; the caller's own until on_done. */
struct wal_ticket {
    void (*on_done)(struct wal_ticket *t, enum rc rc);
    struct wal_ticket *next;
};

/* Each adds one record to what is being gathered. With a ticket: it is done when this record, and all before it, are durable.
 * RC_OVERLOAD, RC_NOMEM, RC_LIMIT (a record too large), RC_IO (the log is dead): nothing was added and on_done never comes. */
enum rc wal_put_store(struct wal *w, const struct wal_store *s, struct wal_ticket *t) MUST_CHECK;
enum rc wal_put_promise(struct wal *w, uint64_t group, const struct px_ballot *b, struct wal_ticket *t) MUST_CHECK;
enum rc wal_put_entry(struct wal *w, uint64_t group, const struct px_entry *e, struct wal_ticket *t) MUST_CHECK;
enum rc wal_put_void(struct wal *w, uint64_t group, px_slot slot, struct wal_ticket *t) MUST_CHECK;
/* Entries up to slot are not needed any more. */
enum rc wal_put_truncate(struct wal *w, uint64_t group, px_slot slot, struct wal_ticket *t) MUST_CHECK;
enum rc wal_put_forget(struct wal *w, uint64_t group, struct wal_ticket *t) MUST_CHECK;
/* Writes what has gathered, if nothing is being written now; otherwise that is done when it has been. Call it at the end of a
 * turn. */
void wal_flush(struct wal *w);

/* Reads live entries of a group back, from slot `first` on, while they fit into bytes_max (at least one). The values are new,
 * one reference each for the caller. RC_NOTFOUND: it is not in the log. */
enum rc wal_read(struct wal *w, uint64_t group, px_slot first, size_t bytes_max, struct px_entry *ret, size_t cap,
                 size_t *ret_count, struct err *err) MUST_CHECK;

/* Prints every record for people, damaged places included; needs no open log. */
enum rc wal_dump(struct env *env, const char *dir, void (*line)(void *ctx, const char *text), void *ctx,
                 struct err *err) MUST_CHECK;

#endif
