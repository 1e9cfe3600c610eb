/* SPDX-License-Identifier: Apache-2.0 */
/* wal_internal.h: what the log's files share. Nobody else includes it. */
#ifndef MERIDIAN_PAXOS_WAL_INTERNAL_H
#define MERIDIAN_PAXOS_WAL_INTERNAL_H

#include "paxos/wal.h"
#include "truetime/base/ilist.h"
#include "truetime/base/map.h"

enum {
    WAL_BLOCK_BYTES = 128 << 10,   /* records gather in blocks of this size, or in one of their own */
    WAL_BLOCKS_KEPT = 8,           /* for the next ones */
    WAL_BATCH_BYTES_MAX = 8 << 20, /* more waits for the batch after; a single record may be larger */
    WAL_BATCH_BLOCKS_MAX = 128,    /* the same, in pieces of one write */
    WAL_SEGMENTS_MAX = 32767,      /* what a place in the index can tell */
    WAL_FIRST_BYTES = 1 << 20,     /* size of the first segment of all */
    WAL_GROW = 4,                  /* a new one is this many times as large as the one in use */
    WAL_ALLOCATE_STEP = 4 << 20,   /* zeros written at a time */
    WAL_MOVE_BYTES = 64 << 10,     /* moved with one batch, or as much as is gathered for it */
    WAL_MOVE_SCAN = 16384,         /* entries looked at with one batch */
    WAL_SEGMENTS_SMALL = 3,        /* so many segments are never worth emptying */
    WAL_SECTOR_ALIGN = 512,
};
#define WAL_MAGIC "MRDNWAL1"
#define WAL_RETRY_NS INT64_C(1000000000) /* after a full disk */

/* ---- the format: wal_format.c ------------------------------------------------------------------------------------ */

/* Which use of a segment: generation << 32 | tag. */
typedef uint64_t wal_use;
static inline uint32_t use_generation(wal_use u) {
    return (uint32_t)(u >> 32);
}

struct wal_head {
    wal_use use;
    uint64_t first_batch, store;
    uint32_t prior_end, bytes, first_needed;
};

enum head_status { HEAD_VALID, HEAD_BLANK, HEAD_BAD };
void head_encode(const struct wal_head *h, uint8_t to[WAL_HEADER_BYTES]);
enum head_status head_decode(const uint8_t *p, size_t bytes, struct wal_head *ret);

struct wal_rec {
    uint32_t length, at, begin;
    wal_use use;
    uint64_t batch, group;
    uint8_t type;
    const uint8_t *payload;
};

/* Bytes of a record in the segment. */
static inline size_t rec_bytes(size_t length) {
    return (WAL_RECORD_HEADER_BYTES + length + 7) & ~(size_t)7;
}
/* Type, group and length, before it is known where the record will be. Zeroes the padding. */
void rec_begin(uint8_t *p, enum wal_type type, uint64_t group, size_t length);
/* The rest. */
void rec_seal(uint8_t *p, wal_use use, uint64_t batch, uint32_t at, uint32_t begin);
static inline uint32_t rec_length(const uint8_t *p) {
    return get_u32le(p + 4);
}
static inline uint64_t rec_group(const uint8_t *p) {
    return get_u64le(p + 32) & UINT64_C(0x00ffffffffffffff);
}
static inline enum wal_type rec_type(const uint8_t *p) {
    return (enum wal_type)p[39];
}
/* The record at offset `at` of a segment whose first `bytes` bytes are at p; false: there is no valid one. */
bool rec_parse(const uint8_t *p, size_t bytes, size_t at, struct wal_rec *ret);
/* The same where r is already the place of the record itself. */
bool rec_parse_at(const uint8_t *r, size_t bytes, size_t at, struct wal_rec *ret);

void store_encode(const struct wal_store *s, uint8_t *to);
void ballot_encode(const struct px_ballot *b, uint8_t *to);
void entry_encode(const struct px_entry *e, uint8_t *to);
enum { WAL_STORE_BYTES = 40, WAL_BALLOT_BYTES = 24 };
/* RC_CORRUPT: these bytes are none. */
enum rc store_decode(const struct wal_rec *r, struct wal_store *ret) MUST_CHECK;
enum rc ballot_decode(const struct wal_rec *r, struct px_ballot *ret) MUST_CHECK;
enum rc slot_decode(const struct wal_rec *r, px_slot *ret) MUST_CHECK;
enum rc first_decode(const struct wal_rec *r, uint32_t *ret) MUST_CHECK;
/* *ret->value is new, or NULL where `value` is false. */
enum rc entry_decode(const struct wal_rec *r, bool value, struct px_entry *ret) MUST_CHECK;

/* One after the other. */
struct wal_walk {
    const uint8_t *p;
    size_t bytes;
    struct wal_head head;
    size_t at; /* of the next record */
    bool any;
    uint64_t batch; /* of the last record */
    size_t begin;   /* of that batch */
};
void walk_init(struct wal_walk *k, const uint8_t *p, size_t bytes, const struct wal_head *head);
/* The next record; false: what is at k->at is none, or none that can follow. */
bool walk_next(struct wal_walk *k, struct wal_rec *ret);

/* What is behind the place where a walk over the last segment ended (N-10). */
enum tail { TAIL_CLEAN, TAIL_TORN, TAIL_CORRUPT };
/* *ret_evidence: what makes it corrupt. *ret_end: where the last valid record of a torn batch ends, else k->at. */
enum tail walk_tail(const struct wal_walk *k, struct wal_rec *ret_evidence, size_t *ret_end);

/* ---- segments: wal_segment.c ------------------------------------------------------------------------------------- */

enum seg_state { SEG_FREE, SEG_USED, SEG_MAKING };

struct wal_segment {
    struct env_file *file;
    uint32_t number; /* in its name */
    uint32_t index;  /* in the table */
    uint32_t bytes;
    enum seg_state state;
    struct ilist link; /* of the free ones, or of those in use, oldest first */
    wal_use use;
    uint32_t end;  /* where the records end */
    uint64_t live; /* bytes of records that count */
};

/* The place of a record: 0 = none; PENDING | seq while it is not durable; else segment, offset and bytes. */
typedef uint64_t wal_at;
#define WAL_AT_PENDING (UINT64_C(1) << 63)
static inline wal_at at_make(uint32_t segment, uint32_t off, size_t bytes) {
    return (uint64_t)segment << 48 | (uint64_t)(off / 8) << 24 | bytes / 8;
}
static inline bool at_durable(wal_at a) {
    return a && !(a & WAL_AT_PENDING);
}
static inline uint32_t at_segment(wal_at a) {
    return (uint32_t)(a >> 48);
}
static inline uint32_t at_offset(wal_at a) {
    return (uint32_t)(a >> 24 & 0xffffff) * 8;
}
static inline uint32_t at_bytes(wal_at a) {
    return (uint32_t)(a & 0xffffff) * 8;
}

/* ---- the index: wal_index.c -------------------------------------------------------------------------------------- */

struct slot_at {
    px_slot slot;
    wal_at at;
};

struct wal_gr {
    struct map_node node;
    struct ilist link; /* all groups, in the order of their first records */
    uint64_t id;
    struct px_ballot promised;
    px_slot truncated;
    wal_at promise_at, truncate_at;
    struct slot_at *v; /* by slot: v[head .. head + count - 1] */
    uint32_t head, count, cap;
};

/* ---- the log ----------------------------------------------------------------------------------------------------- */

struct wal_block {
    struct wal_block *next;
    size_t written, taken, used, cap; /* durable; in the batch under way; filled */
    uint8_t data[];
};

enum log_io { LOG_IO_DIR, LOG_IO_HEAL, LOG_IO_BATCH };

struct wal {
    struct env *env;
    struct wal_conf conf;
    char dir[ENV_PATH_BYTES - 32];
    struct wal_stats stats;
    unsigned under_way; /* callbacks that are to come */
    bool closing, completing;
    enum rc dead;
    struct env_post closed;
    void (*on_closed)(void *ctx);
    void *closed_ctx;

    /* segments */
    struct wal_segment **segment; /* the table, with holes */
    uint32_t segments;
    uint32_t number_max;
    struct ilist used, free;
    uint64_t used_bytes, free_bytes; /* sizes; free: what records can take */
    uint64_t live_bytes;
    struct wal_segment *current; /* the newest in use; NULL: none yet */
    uint32_t tail;               /* where the next batch begins in it */
    uint32_t generation;         /* the newest */
    uint64_t batch;              /* the number of the next */

    /* a new segment in the making: wal_segment.c */
    struct wal_segment *making;
    struct env_io make_io;
    uint32_t made; /* bytes */
    bool make_names;
    bool nospace;
    size_t want;   /* a record that found no room has this many bytes */
    bool room_due; /* somebody was refused */
    struct timer retry;

    /* what gathers, and what is being written: wal_append.c */
    struct wal_block *first, *last, *spare;
    unsigned spares;
    size_t gather_bytes; /* not in a batch yet */
    uint64_t seq;        /* records so far */
    uint64_t durable_seq;
    struct wal_ticket *ticket_first, **ticket_last;
    bool writing;
    enum log_io what;
    struct env_io io;
    struct iovec iov[WAL_BATCH_BLOCKS_MAX + 1];
    uint8_t head[WAL_HEADER_BYTES];
    uint32_t batch_begin, batch_end;
    uint64_t batch_seq, batch_records; /* the last record in it; how many */
    int64_t submit_ns;
    int64_t began_ns; /* since when the disk is waited for; 0 = it is not */
    bool kicked;
    struct env_post kick;
    bool dir_due;  /* names of segments may not be durable */
    uint8_t *heal; /* bytes at the end of the log that may not be: the last batch, and zeros over a torn one */
    uint32_t heal_at, heal_bytes;

    /* the index */
    struct map groups;
    struct ilist group_list;
    struct wal_store store;
    wal_at store_at;

    /* emptying the oldest segment: wal_move.c */
    struct wal_segment *victim;
    struct ilist *move_group; /* next to look at; &group_list: all were */
    px_slot move_slot;        /* in it */
    uint64_t release_seq;     /* the WAL_FIRST; 0 = not yet written */
    bool move_broken;         /* a record that counts cannot be read any more */
    uint8_t *scratch;
    size_t scratch_bytes;
};

/* wal_append.c */
/* Room for a record; NULL with *ret_rc. Then fill the payload, and commit. entry: it must leave the reserve alone. */
uint8_t *put_reserve(struct wal *w, enum wal_type type, uint64_t group, size_t length, bool entry, enum rc *ret_rc);
uint64_t put_commit(struct wal *w, struct wal_ticket *t); /* its number */
void wal_kick(struct wal *w);                             /* a flush at the end of this turn */
void wal_die(struct wal *w, enum rc rc, const char *what);
void wal_leave(struct wal *w); /* a callback has come */
/* Bytes that can still be written, beyond what has gathered. */
int64_t wal_space(const struct wal *w);

/* wal_segment.c */
enum rc segment_path(const struct wal *w, uint32_t number, bool made, char *to, size_t cap, struct err *err) MUST_CHECK;
/* A place in the table; NULL: no memory, or too many. */
struct wal_segment *segment_new(struct wal *w);
void segment_drop(struct wal *w, struct wal_segment *s); /* closes its file and forgets it */
void segment_to_free(struct wal *w, struct wal_segment *s);
void segment_to_used(struct wal *w, struct wal_segment *s, wal_use use);
void segment_released(struct wal *w, struct wal_segment *s); /* nothing in it counts any more */
struct wal_segment *segment_pick(struct wal *w, size_t record_bytes);
/* Makes the first segment of all. */
enum rc segment_first(struct wal *w, struct err *err) MUST_CHECK;
/* Begins to make another one if there are too few. */
void segment_make(struct wal *w);
enum rc file_zeros(struct env_file *f, int64_t from, int64_t to, struct err *err) MUST_CHECK;

/* wal_index.c */
struct wal_gr *index_find(const struct wal *w, uint64_t group);
struct wal_gr *index_get(struct wal *w, uint64_t group); /* makes it; NULL: out of memory */
bool index_room(struct wal_gr *g);                       /* for one more entry; false: out of memory */
void index_entry(struct wal *w, struct wal_gr *g, px_slot slot, wal_at at);
void index_promise(struct wal *w, struct wal_gr *g, const struct px_ballot *b, wal_at at);
void index_truncate(struct wal *w, struct wal_gr *g, px_slot slot, wal_at at);
void index_void(struct wal *w, struct wal_gr *g, px_slot slot);
void index_forget(struct wal *w, struct wal_gr *g);
void index_store(struct wal *w, const struct wal_store *s, wal_at at);
/* Record seq, at p, is durable now. */
void index_settle(struct wal *w, const uint8_t *p, uint64_t seq, wal_at at);
void index_done(struct wal *w);
/* The first entry at or above slot: an index into v, or head + count. */
uint32_t index_lower(const struct wal_gr *g, px_slot slot);

/* wal_read.c: the bytes of a record that counts, checked, in w->scratch until the next call. */
enum rc record_read(struct wal *w, wal_at at, struct wal_rec *ret, struct err *err) MUST_CHECK;

/* wal_move.c */
void move_step(struct wal *w);    /* appends a part of what must be moved, if a segment is to be emptied */
void move_settled(struct wal *w); /* after a batch */
bool move_wanted(const struct wal *w);
void move_group_gone(struct wal *w, struct wal_gr *g);

#endif
