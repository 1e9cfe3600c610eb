/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal.h: the write-ahead log of a store: one for all of its groups.
 *
 * Promise     on_done of an append comes after everything in it, and everything appended before it, is durable. One batch is
 *             written and synced at a time; what is appended meanwhile makes up the next batch, so one sync serves every
 *             group and every transaction that gathered. Replay gives back what was durable, in order, and possibly some of
 *             what was appended after it, in order too. What a crash tore is cut off; what was damaged later is told apart
 *             from that and reported, never skipped (N-10, P-32, P-33). A write or sync that failed is the end of this log:
 *             every later append fails (P-30).
 * Relies on   env files: what was written survives only after a sync; a sector is written whole or not. The caller holds the
 *             directory's lock (env_dir_lock) as long as the log is open.
 * Threads     the store's own; below the fibers, so everything is a callback. Callbacks come from the env's loop, none from
 *             inside the call that asked for it.
 * Limits      a record is at most WAL_RECORD_BYTES_MAX; what is gathered and not yet written at most gather_bytes_max:
 *             RC_OVERLOAD beyond. A group's number is below 2^56. A group without entries costs less than 256 bytes, an
 *             entry that is not truncated 16.
 *
 * What replay gave is durable only once the first append after the opening is: before that the tail of the log may lie in the
 * page cache alone (the process was killed, or a sync failed: then the kernel says "clean" of what never reached the disk).
 * The first flush writes that tail again and syncs it before anything else. A store appends its new incarnation before it
 * speaks (P-1), so this costs no rule of its own.
 *
 * Segments are files that are filled with zeros once and used again and again in place: a sync never has to write file-size
 * metadata. Each use has a generation, one higher than that of the use before it, and a random tag, so that what a crash left
 * of one use is never taken for another's. A log begins with a small segment; each new one is larger, up to segment_bytes.
 * Before the oldest is used again, the records in it that still count are appended anew and synced (moved), and a WAL_FIRST
 * says that its generation is not needed any more.
 *
 * A segment (integers little-endian, everything aligned to 8):
 *
 *     0    8  "MRDNWAL1"
 *     8    4  tag
 *    12    4  generation: 1, 2, ...
 *    16    8  number of the first batch in it
 *    24    4  where the segment of the generation before ends; 0 = there is none before
 *    28    4  segment size
 *    32    8  store
 *    40    4  the first generation that was still needed when this one began
 *    44    8  zero
 *    52    4  CRC32C of bytes 0..51
 *    56       zeros
 *   512       records
 *
 * A record:
 *
 *     0    4  CRC32C of bytes 4..(40 + length - 1)
 *     4    4  length of the payload
 *     8    4  tag
 *    12    4  generation
 *    16    8  number of its batch
 *    24    4  its own offset in the segment
 *    28    4  the offset where its batch begins
 *    32    7  group; 0 = the store itself
 *    39    1  type
 *    40       payload, then zeros up to a multiple of 8
 *
 * Payloads:
 *
 *     WAL_STORE      store 8, incarnation 8, lease_ns_max 8, sole_lease_ns_max 8, clean_until 8
 *     WAL_PROMISE    ballot: round 8, store 8, incarnation 8
 *     WAL_ENTRY      slot 8, ballot 24, origin 24, ts 8, kind 4, zero 4, then the value's bytes
 *     WAL_VOID       slot 8
 *     WAL_TRUNCATE   slot 8
 *     WAL_FORGET     nothing
 *     WAL_FIRST      generation 4, zero 4
 *
 * Records of another generation or tag do not exist: they are what the segment held before. Batch k+1 is written only after the
 * sync of batch k returned. So a bad record is a torn tail if no valid record of a later batch follows it (the batch was never
 * acknowledged), and corruption if one does. A segment that has a successor is needed up to the end which that one states.
 */
#ifndef MERIDIAN_PAXOS_WAL_H
#define MERIDIAN_PAXOS_WAL_H

#include "paxos/core.h"
#include "truetime/base/env.h"

enum {
    WAL_SEGMENT_BYTES = 64 << 20,
    WAL_SEGMENT_BYTES_MAX = 128 << 20,
    WAL_SEGMENT_BYTES_MIN = 4096,
    WAL_RECORD_BYTES_MAX = 16 << 20,
    WAL_HEADER_BYTES = 512,
    WAL_RECORD_HEADER_BYTES = 40,
    WAL_ENTRY_HEADER_BYTES = 72, /* of a WAL_ENTRY's payload */
};

enum wal_type {
    WAL_STORE = 1, /* what the store itself must remember: struct wal_store */
    WAL_PROMISE,   /* a group's promised ballot */
    WAL_ENTRY,     /* an accepted entry */
    WAL_VOID,      /* entries of the group at this slot and above count no more (PX_REC_VOID) */
    WAL_TRUNCATE,  /* entries of the group up to this slot are in its durable checkpoint */
    WAL_FORGET,    /* the group is gone from this store */
    WAL_FIRST,     /* the log's own: generations below this one are not needed any more */
    WAL_TYPES
};

/* The last one counts. */
struct wal_store {
    uint64_t store;
    uint64_t incarnation;
    int64_t lease_ns_max, sole_lease_ns_max; /* N-2: the largest ever used */
    int64_t clean_until;                     /* N-2: written by a clean stop as its last record; 0 = it was none */
};

struct wal;

struct wal_conf {
    uint64_t store;
    uint32_t segment_bytes;  /* of the largest segments, a multiple of 512; 0 = WAL_SEGMENT_BYTES */
    uint32_t segments_soft;  /* more than this many times segment_bytes in use: the oldest is emptied; 0 = 8 */
    size_t gather_bytes_max; /* 0 = 64 MiB */
    size_t reserve_bytes;    /* when the disk is full, kept for what is not an entry; 0 = 4 MiB, or a quarter segment */
    /* It makes sense to try again what was refused with RC_OVERLOAD or RC_NOSPACE. May be NULL. */
    void (*on_room)(void *ctx);
    void *ctx;
};

struct wal_stats {
    struct counter batches, records, bytes, moved; /* moved: records written again because their segment was emptied */
    struct counter recycled;                       /* segments that were emptied */
    struct hist batch_records, sync_ns;
    struct gauge segments, live_bytes; /* segments in use; bytes of records in them that count */
};

/* What replay hands out, in the order of writing; members may be NULL. Payloads are gone after the call. What counts in the
 * end is for each slot its last entry, unless a later void, truncate or forget covers it; wal_find and wal_read know that too.
 * A record may come twice: moved records are the same again. An rc other than RC_OK ends the opening with it. */
struct wal_replay {
    enum rc (*on_store)(void *ctx, const struct wal_store *s);
    enum rc (*on_promise)(void *ctx, uint64_t group, const struct px_ballot *b);
    enum rc (*on_entry)(void *ctx, uint64_t group, const struct px_entry *e); /* keep the value with px_value_ref */
    enum rc (*on_void)(void *ctx, uint64_t group, px_slot slot);
    enum rc (*on_truncate)(void *ctx, uint64_t group, px_slot slot);
    enum rc (*on_forget)(void *ctx, uint64_t group);
    void *ctx;
};

/* Where the damage is, for people and for repair. */
struct wal_damage {
    char segment[64];
    uint64_t generation, batch; /* batch: the last good one before it */
    uint32_t offset;
    char what[96];
};

/* Opens, or makes, the log in dir (which exists, durably) and replays it. replay and ret_damage may be NULL. RC_CORRUPT: damage
 * that no crash of ours explains, in *ret_damage; nothing was changed. RC_INVAL: the log of another store. Reads all that is
 * in use, on the calling thread. */
enum rc wal_open(struct env *env, const char *dir, const struct wal_conf *conf, const struct wal_replay *replay,
                 struct wal **ret, struct wal_damage *ret_damage, struct err *err) MUST_CHECK;
/* Ends the log. Appends under way are answered RC_SHUTDOWN, within the call: whether they are durable is not known. NULL is
 * fine. on_closed (may be NULL) comes from the loop once nothing of the log is under way any more and its files are closed: only
 * then may the directory's lock be given back or the log be opened again. */
void wal_close(struct wal *w, void (*on_closed)(void *ctx), void *ctx);
const struct wal_stats *wal_stats(const struct wal *w);
/* RC_OK; RC_IO: dead after a failed write or sync; RC_SHUTDOWN: the env stopped; RC_NOSPACE: the disk is full and little but the
 * reserve is left; RC_OVERLOAD: much is gathered already. Whoever feeds the core asks first, and on anything but RC_OK neither
 * proposes nor passes Accepts with entries on: what the core has already accepted must still find room. */
enum rc wal_health(const struct wal *w);
/* How long what is to be written has waited for the disk so far (P-13): the batch that is being synced, or room for the next;
 * 0 = nothing waits. */
int64_t wal_stalled_ns(const struct wal *w);

/* What an append waits for; the caller's own until on_done. */
struct wal_ticket {
    void (*on_done)(struct wal_ticket *t, enum rc rc);
    struct wal_ticket *next; /* these two are the log's own */
    uint64_t seq;
};

/* Each adds one record to what is being gathered. With a ticket: it is done when this record, and all before it, are durable.
 * RC_OVERLOAD, RC_NOSPACE (entries only: the disk is full), RC_NOMEM, RC_LIMIT (a record too large, a group's number), RC_IO (the
 * log is dead), RC_SHUTDOWN: nothing was added and on_done never comes. */
enum rc wal_put_store(struct wal *w, const struct wal_store *s, struct wal_ticket *t) MUST_CHECK;
enum rc wal_put_promise(struct wal *w, uint64_t group, const struct px_ballot *b, struct wal_ticket *t) MUST_CHECK;
/* Slots of one group come in any order; an entry replaces what was at its slot. RC_INVAL: it is truncated already. */
enum rc wal_put_entry(struct wal *w, uint64_t group, const struct px_entry *e, struct wal_ticket *t) MUST_CHECK;
/* Entries at slot and above count no more; later ones do. */
enum rc wal_put_void(struct wal *w, uint64_t group, px_slot slot, struct wal_ticket *t) MUST_CHECK;
/* Entries up to slot are not needed any more. */
enum rc wal_put_truncate(struct wal *w, uint64_t group, px_slot slot, struct wal_ticket *t) MUST_CHECK;
/* Nothing of the group counts any more; a later record of it begins anew. */
enum rc wal_put_forget(struct wal *w, uint64_t group, struct wal_ticket *t) MUST_CHECK;
/* Writes what has gathered, if nothing is being written now; otherwise that happens by itself once it has been, at the end of
 * that turn. Call it at the end of a turn. */
void wal_flush(struct wal *w);

/* ---- what the log holds ------------------------------------------------------------------------------------------ */

/* Of one group, by what was appended so far. */
struct wal_group {
    uint64_t group;
    struct px_ballot promised; /* zero: none */
    px_slot truncated;         /* 0: never */
    px_slot first, last;       /* of the entries that count; 0: there are none */
    size_t entries;
};

bool wal_find(const struct wal *w, uint64_t group, struct wal_group *ret); /* false: the log knows nothing of it */
void wal_each(const struct wal *w, void (*fn)(void *ctx, const struct wal_group *g), void *ctx);
/* The last one appended; false: none. */
bool wal_get_store(const struct wal *w, struct wal_store *ret);
/* The group whose entries keep the oldest segment from being used again, and the slot up to which they lie there: its tablet
 * should be checkpointed and truncated. False: there is no need. */
bool wal_want_truncate(const struct wal *w, uint64_t *ret_group, px_slot *ret_slot);

/* Reads live, durable entries of a group back, from slot `first` on, slot by slot, while they fit into bytes_max (at least one).
 * The values are new, one reference each for the caller. RC_NOTFOUND: slot `first` is not in the log, or not durable yet.
 * RC_CORRUPT: it is not any more what was written. Blocks on the disk where the page is not in memory. */
enum rc wal_read(struct wal *w, uint64_t group, px_slot first, size_t bytes_max, struct px_entry *ret, size_t cap,
                 size_t *ret_count, struct err *err) MUST_CHECK;

/* Prints every record for people, damaged places included; needs no open log and no lock. */
enum rc wal_dump(struct env *env, const char *dir, void (*line)(void *ctx, const char *text), void *ctx,
                 struct err *err) MUST_CHECK;

#endif
