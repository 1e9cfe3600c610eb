/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet.h: the tablets of one store: each a replica of a Paxos group (replica.h) whose state machine is a SQLite file with
 * all versions of its rows (mvcc.h).
 *
 *     a command --tablet_propose--> the group's log --gate--> the file of each replica --> whoever proposed it
 *     a fragment --tablet_read----> a timestamp that is safe here --> fragment.h on this replica's file
 *
 * Promise     A proposal that returned RC_OK is applied here, and in every later state of the tablet. A read at ts sees exactly
 *             the commits at ts and below, whichever replica serves it (INV-R1): the leader first promises that nothing at or
 *             below ts is assigned any more, a follower waits until it knows as much. A request names the
 *             generation that it was made for; after a split or a move it is RC_MOVED and the answer says where to go.
 *             A group without writes closes time all the same (closed.h): its followers serve what is older than a fifth of a
 *             second.
 * Relies on   replica.h, mvcc.h, and for transactions tablet_ops.h.
 * Threads     the store's own. A struct tablet * is good until the next wait: find it again (tablets_find).
 * Limits      commands of REPLICA_COMMAND_BYTES_MAX.
 *
 * A tablet's files: DIR/tablets/T<id in hex>.db, with SQLite's WAL beside it. The log (DIR/log) is the store's. Checkpoints
 * run by themselves: after so many bytes of WAL, and after some time if anything was applied; the log is cut behind them.
 *
 * Life of a replica:  tablets_create (a new group's first) or the store's create hook (a learner: empty, no range, waits for
 * its snapshot) -> serving -> removed (P-22: the file goes, the id never comes back).
 */
#ifndef MERIDIAN_TABLET_H
#define MERIDIAN_TABLET_H

#include "shard/store/fragment.h"
#include "shard/tablet/tablet_ops.h"

struct tablets;
struct tablet;

/* Types of messages on the wire. */
enum { TABLET_TYPE_SPLIT = 80, TABLET_TYPE_CLOSED = 81, TABLET_TYPE_CLOSED_LOST = 82 };

struct tablets_conf {
    struct rpc *rpc;
    struct tt_clock *clock;
    struct vfs *vfs;
    struct mvcc_store *store;
    const char *dir;              /* of the store; exists */
    const struct tablet_ops *ops; /* NULL: no transactions */
    void *ops_ctx;
    struct replicas_conf replicas; /* limits and times; rpc, clock, dir, create and ctx are filled in */
    int64_t checkpoint_bytes;      /* of WAL; 0 = 8 MiB */
    int64_t checkpoint_ns;         /* at the latest, if anything was applied; 0 = 60 s */
    int64_t gc_ns;                 /* how long versions are kept; 0 = 1 h */
    /* The configuration or range of a tablet that this store leads has changed: the directory wants to know. May be NULL. */
    void (*on_change)(void *ctx, uint64_t tablet);
    /* See replicas_conf. */
    void (*on_dead)(void *ctx, enum rc rc, const char *why);
    const char *(*unfit)(void *ctx);
    bool (*contradicts)(void *ctx, px_store store);
    void *ctx;
};

struct tablets_stats {
    struct counter proposals, moved, reads, reads_leader, reads_follower, reads_waited, checkpoints,
        checkpoint_failures;
    struct counter gc_steps, broken, splits;
    struct gauge lost;                       /* replicas that wait to be replaced */
    struct counter closed_sent, closed_lost; /* messages of closed.h; streams begun anew */
    struct gauge tablets, leading;
    struct hist read_ns, propose_ns, split_ns; /* split_ns: how long a split kept other entries from being applied */
};

/* What a tablet is, for the directory and for requests. Pointers are good until the next wait. */
struct tablet_info {
    uint64_t id, generation;
    struct mvcc_bytes start, end; /* end of no bytes: to the end of the key space */
    struct px_config config;
    px_store leader;   /* as far as this replica knows; 0 = nobody */
    uint64_t round;    /* of the ballot that it follows or leads in */
    bool leads, empty; /* empty: a learner that has no data yet */
    uint64_t slot, floor, checksum;
    int64_t wal_bytes;
};

/* ---- the store's tablets ------------------------------------------------------------------------------------------- */

/* Opens the log and every tablet whose file is there. RC_CORRUPT: the log is damaged (*ret_damage). */
enum rc tablets_open(struct reactor *r, const struct tablets_conf *conf, struct tablets **ret,
                     struct wal_damage *ret_damage, struct err *err) WAITS MUST_CHECK;
/* From here on it speaks, votes and leads. */
enum rc tablets_start(struct tablets *ts, struct err *err) WAITS MUST_CHECK;
/* Hands leaderships over, makes a last checkpoint of each tablet, closes the files. */
void tablets_stop(struct tablets *ts, int64_t deadline) WAITS;
/* At once: for an end without tablets_stop (the reactor stops). */
void tablets_kill(struct tablets *ts);
/* The largest timestamp that the data and the log here know of: the clock should be past it. */
int64_t tablets_high_water(struct tablets *ts);
bool tablets_idle(const struct tablets *ts);
/* Needs tablets_idle and that rpc is stopped and idle. NULL is fine. */
void tablets_free(struct tablets *ts);
struct replicas *tablets_replicas(struct tablets *ts);
struct reactor *tablets_reactor(const struct tablets *ts);
const struct tablets_stats *tablets_stats(const struct tablets *ts);

/* The first replica of a new tablet: makes its file. It leads as soon as it may if `lead`. */
enum rc tablets_create(struct tablets *ts, uint64_t id, uint64_t replica, const struct px_config *config,
                       struct mvcc_bytes start, struct mvcc_bytes end, uint64_t generation, bool lead,
                       struct err *err) WAITS MUST_CHECK;
struct tablet *tablets_find(struct tablets *ts, uint64_t id); /* NULL: not here */
/* The replica here whose range holds the key, or NULL. */
struct tablet *tablets_find_key(struct tablets *ts, struct mvcc_bytes key);
/* All of them, in the order of ids; fn must not wait. */
void tablets_each(struct tablets *ts, void (*fn)(void *ctx, struct tablet *t), void *ctx);

/* Replicas here whose file is damaged: they are over (P-23, P-33), their file is kept under another name, and their groups must
 * replace them. The first one, or false; tablets_replaced: that has happened (the file goes), or nobody needs it. */
struct tablet_lost {
    uint64_t id, replica;
};
bool tablets_lost(const struct tablets *ts, struct tablet_lost *ret);
void tablets_lost_later(struct tablets *ts); /* another one is the first */
void tablets_replaced(struct tablets *ts, const struct tablet_lost *lost) WAITS;

/* ---- a tablet ------------------------------------------------------------------------------------------------------- */

uint64_t tablet_id(const struct tablet *t);
struct tablets *tablet_tablets(const struct tablet *t);
struct mvcc *tablet_mvcc(const struct tablet *t);
struct replica *tablet_replica(const struct tablet *t);
void *tablet_upper(const struct tablet *t); /* the state of tablet_ops */
void tablet_info(const struct tablet *t, struct tablet_info *ret);
/* RC_MOVED: it has another generation now, or holds no data; generation 0: whatever it is. */
enum rc tablet_check(const struct tablet *t, uint64_t generation, struct err *err) MUST_CHECK;

/* Proposes a command (command.h; its head says the generation) with a timestamp of at least min_ts unless that is 0. Returns
 * when it was applied here: RC_MOVED: under another generation, so it did nothing. Other codes as of replica_propose. own:
 * handed to tablet_ops.apply. */
enum rc tablet_propose(struct tablets *ts, uint64_t id, const void *command, size_t bytes, int64_t min_ts, void *own,
                       int64_t deadline, int64_t *ret_ts, struct err *err) WAITS MUST_CHECK;
/* Commits row images in one entry, at a timestamp above everything that was served: for tables that only one fiber at a time
 * writes (the system's own). The caller's reads and this write are one step if it holds tablet_lock. */
enum rc tablet_write(struct tablets *ts, uint64_t id, uint64_t generation, const struct mvcc_mutation *m, size_t n,
                     int64_t deadline, int64_t *ret_ts, struct err *err) WAITS MUST_CHECK;
/* One at a time: read, decide, write. */
/* *ret_replica: whose lock it is. It ends with that replica: unlocking it where another one is by now does nothing. */
enum rc tablet_lock(struct tablets *ts, uint64_t id, int64_t deadline, uint64_t *ret_replica,
                    struct err *err) WAITS MUST_CHECK;
void tablet_unlock(struct tablets *ts, uint64_t id, uint64_t replica);

/* ---- splitting ------------------------------------------------------------------------------------------------------- */

struct tablet_split {
    uint64_t generation;    /* 0: whatever it is */
    struct mvcc_bytes key;  /* the right half begins here (tablet_split_key); no bytes: in the middle of the data */
    uint64_t right;         /* the right half's tablet: a number that was never used */
    uint64_t first_replica; /* and so many for its replicas */
    uint32_t replicas;
};

/* Splits the tablet that this store leads: [start, key) stays, [key, end) is tablet `right`, with replicas on the same stores
 * and, for as long as it leads, this leader. Returns when the split is applied here. *ret_key (appended; may be NULL): where.
 * RC_INVAL: no such place; RC_BUSY, RC_OVERLOAD: not now; RC_TIMEOUT: no quorum was ready in time, or ask what became of it. */
enum rc tablets_split(struct tablets *ts, uint64_t id, const struct tablet_split *how, int64_t deadline,
                      struct buf *ret_key, struct err *err) WAITS MUST_CHECK;

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

enum tablet_read_mode {
    TABLET_READ_LATEST, /* what is applied, on the leader: under locks, or for tables of one writer */
    TABLET_READ_STRONG, /* on the leader: everything that was acknowledged before; ts is chosen here */
    TABLET_READ_AT, /* at how->ts, on any replica: waits until it is safe, and may refuse (RC_NOT_LEADER) if this replica
                         * cannot know within wait_ns */
};

struct tablet_read {
    enum tablet_read_mode mode;
    int64_t ts;
    uint64_t generation;          /* 0: whatever it is */
    struct mvcc_bytes start, end; /* what it touches, for safe time: no bytes = the whole tablet */
    int64_t wait_ns;              /* of a follower; 0 = 200 ms */
    struct fragment_run run;      /* ts and on_pin are filled in */
};

/* Runs a fragment. *ret_ts: the timestamp that it read at (LATEST: 0). */
enum rc tablet_read(struct tablets *ts, uint64_t id, struct tablet_read *how, int64_t deadline, int64_t *ret_ts,
                    struct fragment_result *ret, struct err *err) WAITS MUST_CHECK;
/* The largest timestamp that this replica can serve of the range right now, without asking anybody. */
int64_t tablet_safe_ts(struct tablet *t, struct mvcc_bytes start, struct mvcc_bytes end);

#endif
