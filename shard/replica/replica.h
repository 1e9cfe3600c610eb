/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replica.h: what runs the replicas of all groups of one store: the pure core (paxos/core.h) between the log, the network,
 * the clock and the state machines.
 *
 *     replicas_open       opens the store's log, makes its new incarnation durable
 *     replicas_add        for each group that lives here, with the state that its data holds
 *     replicas_start      from here on it speaks
 *     ...
 *     replicas_stop       hands leaderships over, writes down that it stopped cleanly
 *     replicas_free
 *
 * Promise     A proposal that returns RC_OK was chosen, and applied by the replica here (N-8). RC_NOT_LEADER, RC_OVERLOAD,
 *             RC_NOSPACE, RC_UNSYNCED, RC_SHUTDOWN: it never was and never will be. RC_TIMEOUT, RC_CANCELLED, RC_CLOSED: ask.
 *             Entries reach the state machine in slot order, each once per state that it says it holds.
 *             What a message promises was durable before it left; all messages of a turn to one store leave in one frame,
 *             and all records of a turn go to the disk together.
 *             A group with nothing to do has no fiber, no timer and no traffic of its own.
 * Relies on   paxos/, shard/net/rpc.h, a clock, and the state machine keeping its replica_state with its data in one
 *             transaction (P-8).
 * Threads     the store's own. Functions that wait are marked; callbacks may not wait unless they are marked.
 * Limits      REPLICA_COMMAND_BYTES_MAX a command; px_limits a group; proposals_max a store: RC_OVERLOAD.
 *
 * Life of a replica:   new -> running -> [removed] -> gone
 *                               |  ^
 *                            apply failed: reload, apply again (resigns first if it leads)
 */
#ifndef MERIDIAN_REPLICA_H
#define MERIDIAN_REPLICA_H

#include "paxos/core.h"
#include "paxos/wal.h"
#include "shard/net/rpc.h"
#include "truetime/clock.h"

enum {
    REPLICA_COMMAND_BYTES_MAX = 3 << 20, /* fits into a frame with everything around it */
    REPLICA_STATE_BYTES_MAX = 328,
    REPLICA_CHUNK_BYTES = 256 << 10, /* of a snapshot */
};

/* Types of messages on the wire. */
enum { REPLICA_TYPE_BATCH = 64, REPLICA_TYPE_CREATE = 65, REPLICA_TYPE_SNAPSHOT = 66 };

struct replicas;
struct replica;

static inline px_store px_store_of(struct store_addr a) {
    return (px_store)a.node << 16 | a.store;
}
static inline struct store_addr px_store_addr(px_store s) {
    return (struct store_addr){(uint32_t)(s >> 16), (uint16_t)s};
}

/* ---- the state machine ------------------------------------------------------------------------------------------- */

/* Where a state machine's data stand. It keeps this with them, in the same transaction (P-8); opaque to it but for the
 * members' names. A new group begins with slot 0 and its first configuration. */
struct replica_state {
    px_slot applied;
    struct px_ballot origin; /* of the value at that slot */
    int64_t floor;           /* no timestamp in the data is above */
    struct px_config config; /* the last one applied */
};

size_t replica_state_encode(const struct replica_state *s, uint8_t to[REPLICA_STATE_BYTES_MAX]);
enum rc replica_state_decode(const void *from, size_t bytes, struct replica_state *ret) MUST_CHECK;

struct replica_entry {
    px_slot slot;
    const struct px_value *value; /* only PX_COMMAND carries something of the state machine's */
    void *own;                    /* the proposal's, where it was made here and still waits; else NULL */
};

struct replica_sm_ops {
    /* Applies all of the run, or nothing. `after` is to be stored with it. RC_OK: the data show it (durable or not: see
     * replica_checkpointed). Else the replica stops leading, calls reload, and applies again from there. WAITS unless
     * sm_never_waits. */
    enum rc (*apply)(void *sm, const struct replica_entry *run, size_t count, const struct replica_state *after,
                     struct err *err) WAITS;
    /* The timestamp that must surely have passed on this node's clock before the entry may join a run (T-4); 0 = none. NULL:
     * none ever. No wait inside. */
    int64_t (*gate)(void *sm, px_slot slot, const struct px_value *value);
    /* Drops what is in memory, and says what the data hold: at least what was checkpointed, at most what is chosen (an error
     * may have come after the data had the whole run). */
    enum rc (*reload)(void *sm, struct replica_state *ret, struct err *err) WAITS;

    /* This replica leads from now on, in this ballot: everything that was chosen before is applied; all timestamps given
     * are above floor. Its lease is to be asked for each time (replica_leads, replica_serve). May be NULL. */
    void (*on_lead_begin)(void *sm, const struct px_ballot *ballot, int64_t floor);
    /* It does not any more: proposals under way end by themselves, with what became of them. May be NULL. */
    void (*on_lead_end)(void *sm, const struct px_ballot *ballot);
    /* A configuration was applied. Checkpoint soon: who left is told that it may go once a quorum of those who stay holds the
     * configuration durably (P-22). May be NULL. */
    void (*on_config)(void *sm, const struct px_config *config);
    /* This replica is no member any more, for good: call replica_remove (on a fiber of your own), then delete the data. */
    void (*on_removed)(void *sm);

    /* Snapshots: an image is a consistent copy, at some applied slot, that reads the same however often it is read.
     * image_read at the end: *ret_bytes = 0. */
    enum rc (*image_open)(void *sm, struct replica_state *ret, void **ret_image, struct err *err) WAITS;
    enum rc (*image_read)(void *sm, void *image, uint64_t off, void *to, size_t cap, size_t *ret_bytes,
                          struct err *err) WAITS;
    void (*image_close)(void *sm, void *image);
    /* The other end. load_begin with the image number of an earlier try may keep what came then: *ret_have. load_end(commit):
     * when it returns RC_OK the data are those of the image, durably, and no other call comes before. */
    enum rc (*load_begin)(void *sm, uint64_t image, const struct replica_state *state, uint64_t *ret_have,
                          struct err *err) WAITS;
    enum rc (*load_write)(void *sm, uint64_t off, const void *data, size_t bytes, struct err *err) WAITS;
    enum rc (*load_end)(void *sm, bool commit, struct err *err) WAITS;
};

/* ---- a store ------------------------------------------------------------------------------------------------------ */

struct replicas_conf {
    struct rpc *rpc; /* rpc_self names the store */
    struct tt_clock *clock;
    const char *dir; /* of the store, exists: the log lies in dir/log */

    /* 0 = the default in parentheses */
    int64_t lease_ns, renew_ns, sole_lease_ns; /* see support.h */
    bool
        alone; /* no other store can ever lead what is here: a state machine that does not get on ends the store (on_dead) */
    int64_t stall_ns;        /* a sync or a turn that takes longer stops support, P-13 (lease / 3) */
    struct px_limits limits; /* of each group */
    struct wal_conf wal;     /* store is filled in */
    /* How often the store was started, as far as is known elsewhere: the incarnation is at least that. Needed where the log was
     * lost, and with it the count (P-1). */
    uint64_t starts;
    bool log_lost;          /* an earlier log of this store was given up: it granted what nobody remembers (N-2) */
    size_t proposals_max;   /* waiting here (65,536) */
    uint32_t workers_max;   /* fibers that apply (32) */
    uint32_t snapshots_max; /* at once, in each direction (4) */
    int64_t snapshot_bytes_per_s; /* sent, all together (64 MiB) */

    /* Makes an empty state machine and replicas_add's it with state.config = config, as a learner. On a fiber. NULL: no
     * learner can be made here. */
    enum rc (*create)(void *ctx, uint64_t group, uint64_t replica, const struct px_config *config,
                      struct err *err) WAITS;
    /* The log is broken (a sync failed) or contradicts itself: nothing can be promised here any more. NULL: only said. */
    void (*on_dead)(void *ctx, enum rc rc, const char *why);
    /* Why this store should not lead just now, or NULL: support is not asked for meanwhile. Asked with each renewal. May be
     * NULL. */
    const char *(*unfit)(void *ctx);
    /* Whether this store's last message was from later than our clock holds possible (C-4): then what it grants is no ground for a
     * lease, for that would end there before it ends here. May be NULL. */
    bool (*contradicts)(void *ctx, px_store store);
    void *ctx;
};

struct replicas_stats {
    struct gauge groups, leading, proposals, snapshots;
    struct counter messages_in, messages_out, batches_out, records, commands, applied, reloads;
    struct counter elections, hand_overs, resigned, support_paused, rejected_messages, unknown_groups;
    struct counter snapshots_sent, snapshots_loaded, snapshot_bytes, apply_failures;
    struct hist commit_ns; /* from a proposal to its application here */
    struct hist batch_messages;
};

/* Replays the log and makes the new incarnation durable. RC_CORRUPT: damage in the middle of the log (*ret_damage). */
enum rc replicas_open(const struct replicas_conf *conf, struct replicas **ret, struct wal_damage *ret_damage,
                      struct err *err) WAITS MUST_CHECK;
/* All replicas that were here are added: speaks from now on. What the log holds of others is forgotten, and told. */
enum rc replicas_start(struct replicas *rs, struct err *err) WAITS MUST_CHECK;
/* Refuses new proposals, hands over what it leads (for a lease at most), lets what is chosen be applied, and writes down
 * that it stopped cleanly (N-2). */
void replicas_stop(struct replicas *rs, int64_t deadline) WAITS;
/* At once, as a crash would: for an end without replicas_stop. Cancels the fibers inside. */
void replicas_kill(struct replicas *rs);
/* The same, and waits until nothing of it runs any more. */
void replicas_end(struct replicas *rs) WAITS;
/* Nothing of it runs any more: after stop or kill, some turns later. */
bool replicas_idle(const struct replicas *rs);
/* Needs replicas_idle, and rpc_stop and rpc_idle of conf->rpc: its handlers work on rs. NULL is fine. Frees the replicas too. */
void replicas_free(struct replicas *rs);
const struct replicas_stats *replicas_stats(const struct replicas *rs);
px_store replicas_self(const struct replicas *rs);
uint64_t replicas_incarnation(const struct replicas *rs);
struct wal *replicas_wal(struct replicas *rs);
/* The time as events get it: fresh (C-1). */
struct px_now replicas_now(struct replicas *rs);
/* fn must not add or remove replicas. */
void replicas_each(struct replicas *rs, void (*fn)(void *ctx, struct replica *r), void *ctx);

/* ---- a group's replica -------------------------------------------------------------------------------------------- */

struct replica_conf {
    uint64_t group;   /* below 2^56 */
    uint64_t replica; /* never used for another one (P-23) */
    struct replica_state
        state; /* what the data hold, durably: sync them first, for after a crash of the process alone they may
                                  * lie in the page cache (what is said to be there is acknowledged to leaders) */
    const struct replica_sm_ops *ops;
    void *sm;
    bool sm_never_waits; /* apply is called in place, not on a fiber */
    px_store preferred;  /* who should lead if nobody does: others leave it a second. 0 = nobody special */
    bool lead_now;       /* the first leader of a new group: campaigns at once */
    /* A group that was split off (N-6): the group that it was a part of, whose replica is here, and the ballot in which the
     * split was proposed. Made again after a restart it needs neither. 0: it was not. */
    uint64_t parent;
    struct px_ballot split;
    /* A voter that comes without data, for a first member that missed the making: it waits with its vote (P-24). */
    bool late;
};

/* RC_EXISTS; RC_INVAL: a removed replica's id (P-22); RC_CORRUPT: the log contradicts the state. */
enum rc replicas_add(struct replicas *rs, const struct replica_conf *conf, struct replica **ret,
                     struct err *err) MUST_CHECK;
/* NULL: it is not here. A pointer is good until the next wait. */
struct replica *replicas_find(struct replicas *rs, uint64_t group);
/* That replica, or a later one of the group, was removed from this store: it never comes back (P-22, P-23). */
bool replicas_removed(const struct replicas *rs, uint64_t group, uint64_t replica);
/* After on_removed, or to give up a replica that is not in the group: the log forgets it, the id is never taken again (P-22).
 * The state machine is not called any more once this returns. If the process dies before the data are deleted, the next
 * replicas_add says RC_INVAL. */
enum rc replica_remove(struct replicas *rs, uint64_t group, struct err *err) WAITS MUST_CHECK;
/* A replica whose data are lost, and that is not here: its id is over as if it had been removed (P-23), durably. Before
 * replicas_start: what the log holds of it goes there. */
enum rc replicas_bury(struct replicas *rs, uint64_t group, uint64_t replica, struct err *err) WAITS MUST_CHECK;
uint64_t replica_group(const struct replica *r);
uint64_t replica_id(const struct replica *r);
void *replica_sm(const struct replica *r);
px_slot replica_applied(const struct replica *r);
void replica_status(const struct replica *r, struct px_status *ret);
/* One line about it, for people. */
void replica_describe(const struct replica *r, struct buf *out);
/* Whom to ask: the leader as far as this replica knows, 0 = nobody. */
px_store replica_leader(const struct replica *r);

/* ---- proposing ---- */

/* The caller's own until on_done, which comes once, from the loop or from within apply's return. */
struct replica_proposal {
    void (*on_done)(struct replica_proposal *p, enum rc rc);
    void *own;    /* handed to apply with the entry */
    px_slot slot; /* set by replica_submit */
    int64_t ts;
    /* internal */
    struct ilist link;
    struct replica *replica;
    struct px_ballot origin;
    int64_t since_ns;
    bool applying;
    uint64_t seq; /* of its record in the log */
    /* Where the time went, monotonic, as far as it has come (0: not yet): given to the log, durable here, chosen, its application
     * began. */
    int64_t logged_ns, durable_ns, chosen_ns, apply_ns;
};

/* Proposes v (takes a reference only if it returns RC_OK), with a timestamp of at least min_ts unless that is 0 (p->ts).
 * Never waits. RC_NOT_LEADER, RC_OVERLOAD, RC_NOSPACE, RC_LIMIT, RC_SHUTDOWN; RC_UNSYNCED: the lease does not reach so far
 * now. Then on_done does not come. */
enum rc replica_submit(struct replica *r, struct px_value *v, int64_t min_ts, struct replica_proposal *p,
                       struct err *err) MUST_CHECK;
/* Nobody waits any more: on_done does not come. Harmless after it. False: it is being applied at this moment, with what `own`
 * points to, and on_done comes. */
bool replica_abandon(struct replica_proposal *p) MUST_CHECK;
/* The waiting form: returns when the entry was applied here. Waits, within the deadline, for a lease that reaches far enough
 * and for a change of members to be decided. own may be NULL; ret_slot, ret_ts may be NULL. */
enum rc replica_propose(struct replica *r, struct px_value *v, int64_t min_ts, int64_t deadline, void *own,
                        px_slot *ret_slot, int64_t *ret_ts, struct err *err) WAITS MUST_CHECK;

/* ---- reading, leading ---- */

/* It leads, and its lease holds at this moment (C-1): what is answered on the strength of it must be answered in this step. */
bool replica_leads(struct replica *r);
/* Nobody else votes. */
bool replica_sole_voter(const struct replica *r);
/* ts may be served: it lies within the lease, and nothing at or below ts is assigned any more (S-1, S-2). RC_NOT_LEADER;
 * RC_UNSYNCED: the lease does not reach so far. */
enum rc replica_serve(struct replica *r, int64_t ts, struct err *err) MUST_CHECK;
int64_t replica_lease_end(struct replica *r); /* 0: none */
int64_t replica_floor(const struct replica *r);
/* Nothing at or below ts is assigned any more; kept through a hand-over. */
void replica_raise_floor(struct replica *r, int64_t ts);
void replica_pledge(struct replica *r, int64_t ts); /* px_pledge */
/* Until slot is applied here, as a leader waits for what it assigned. RC_NOT_LEADER: it leads no more, so that slot may take as
 * long as the others like. */
enum rc replica_wait_applied(struct replica *r, px_slot slot, int64_t deadline) WAITS MUST_CHECK;
/* Asks to lead, as soon as leases allow. */
enum rc replica_campaign(struct replica *r, struct err *err) MUST_CHECK;
/* Hands leadership to a full voter; returns once the group has another leader, or why not. */
enum rc replica_transfer(struct replica *r, px_store to, int64_t deadline, struct err *err) WAITS MUST_CHECK;
/* Gives the group up without a successor (N-14). */
void replica_resign(struct replica *r, const char *why);

/* ---- log and members ---- */

/* The data up to slot are durable (N-11): the log may be cut below (P-11). Any time, also from callbacks. */
void replica_checkpointed(struct replica *r, px_slot slot);
/* Changes the members to `want` (epoch ignored): new ones come as learners (their stores' conf->create is called), catch up,
 * and then voters switch through a joint configuration. On the leader. Returns when done, or why it stopped; what has been
 * reached by then stays. */
enum rc replica_change(struct replica *r, const struct px_config *want, int64_t deadline,
                       struct err *err) WAITS MUST_CHECK;

/* As the leader: that store answers. */
bool replica_answers(const struct replica *r, px_store store);
/* As the leader: that store answers and has about all that was chosen. */
bool replica_caught_up(const struct replica *r, px_store store);
/* A member whose store answers, but where no replica has ever done: one that missed the split which made the group (it got a
 * snapshot of a later state). On the leader; makes it there, if there was. */
bool replica_lacks_member(const struct replica *r);
enum rc replica_make_missing(struct replica *r, int64_t deadline, struct err *err) WAITS MUST_CHECK;

/* Asks its members whether it is still one of them: for one that hears nothing although its leader is well. */
void replica_ask(struct replica *r);
/* A replica_change is under way on it. */
bool replica_changing(const struct replica *r);

/* A state machine for witnesses: keeps nothing but the state, in one file of its own. */
enum rc replica_witness_open(struct replicas *rs, const char *dir, uint64_t group, const struct replica_state *if_new,
                             const struct replica_sm_ops **ret_ops, void **ret_sm, struct replica_state *ret_state,
                             struct err *err) WAITS MUST_CHECK;
void replica_witness_close(void *sm); /* once its replica is gone */

#endif
