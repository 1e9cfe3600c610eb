/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h: multi-Paxos as a pure state machine: one group's replica on one store.
 *
 * Facts and the time come in as events, things to do come out in a px_ready: records to make durable, messages to send,
 * entries to apply. No I/O, no clock, no threads; the same code runs in production, in the simulator and in step-by-step
 * scripts.
 *
 * Promise     One value per slot, whatever is lost, doubled, late or restarted (P1). What a message promises was durable
 *             before the core handed the message out (P2). Entries come out in slot order, each once (P3). A leader
 *             assigns timestamps that are above all that any leader of the group ever assigned, served or promised, and
 *             within its lease (P4). Leader leases of a group are disjoint in absolute time as long as clocks keep their
 *             word (L1); nothing else depends on clocks.
 * Relies on   the caller, who makes records durable in the order given and says so (px_durable), sends messages (they may be
 *             lost), applies entries and says so (px_applied), and calls px_tick by the time asked for. And on support.h,
 *             the store-to-store leases of which group leases are made.
 * Threads     one at a time.
 * Errors      what a peer did wrong is an event like any other and never fails. Running out of memory makes the replica
 *             drop the message (as the network may) or refuse the proposal.
 *
 * Entries of a ballot are accepted in slot order, without gaps, beginning where the acceptor knows everything to be chosen
 * (what arrives early waits outside of the log). So a slot that was chosen at a ballot had all slots before it chosen with it,
 * and an entry that contradicts a later ballot's proposal below it was never chosen: it is dropped (P5). Without this, multi-
 * Paxos is safe slot by slot, yet a later leader may revive what an earlier one had proposed above what later ones did, and
 * so bring old timestamps after newer ones.
 *
 * Source      Lamport, "Paxos made simple", 2001; Corbett et al., "Spanner", 2012, section 4.1 and appendix A; the lease
 *             protocol and its proof are in docs/paxos.md.
 *
 * Roles:      FOLLOWER -> CANDIDATE -> OPENING -> OPEN -> RELEASING
 *                ^___________|____________|________|_________|        (a higher ballot, a lost quorum, a hand-over)
 *
 *   FOLLOWER   accepts what the owner of its promised ballot proposes; knows no leader if it promised nobody
 *   CANDIDATE  has prepared a ballot of its own for all slots above what it knows to be chosen
 *   OPENING    won; re-proposes what it found, then its START; serves nothing yet (P-5)
 *   OPEN       START is chosen and applied: proposes, assigns timestamps, reads within its lease
 *   RELEASING  stopped for good in this ballot; RELEASE tells every later leader what was promised (N-3)
 */
#ifndef MERIDIAN_PAXOS_CORE_H
#define MERIDIAN_PAXOS_CORE_H

#include "truetime/base/arena.h"
#include "truetime/base/chaos.h"
#include "truetime/base/err.h"
#include "truetime/interval.h"

typedef uint64_t px_store; /* which store: node id << 16 | store number; 0 = none */
typedef uint64_t px_slot;  /* 1, 2, ...; 0 = before the first */

/* Totally ordered, and unique to one incarnation of one store (P-1). */
struct px_ballot {
    uint64_t round;
    px_store store;
    uint64_t incarnation;
};

int px_ballot_cmp(const struct px_ballot *a, const struct px_ballot *b);
static inline bool px_ballot_is_zero(const struct px_ballot *b) {
    return b->round == 0;
}

enum px_kind {
    PX_START = 1, /* a new leader's first; data: its floor */
    PX_COMMAND,   /* the state machine's */
    PX_CONFIG,    /* data: a px_config */
    PX_RELEASE,   /* a leader's last; data: s_max, all that it assigned, served or promised is at or below */
};

/* What is proposed: immutable, counted, shared by log, messages and disk writes. */
struct px_value {
    uint32_t refs;
    enum px_kind kind;
    int64_t ts;              /* newly assigned timestamp, or 0 (outcomes carry theirs inside: R-5) */
    struct px_ballot origin; /* who proposed it first: (slot, origin) names a value */
    size_t bytes;
    uint8_t data[];
};

struct px_value *px_value_new(enum px_kind kind, const void *data, size_t bytes); /* NULL: out of memory */
static inline struct px_value *px_value_ref(struct px_value *v) {
    v->refs++;
    return v;
}
void px_value_unref(struct px_value *v); /* NULL is fine */

/* A value accepted for a slot at a ballot. */
struct px_entry {
    px_slot slot;
    struct px_ballot ballot;
    struct px_value *value;
};

/* ---- configurations ---------------------------------------------------------------------------------------------- */

enum { PX_MEMBERS_MAX = 16 };

enum px_member_flags {
    PX_OLD = 1,     /* votes in the old set (the only one, unless joint) */
    PX_NEW = 2,     /* votes in the new set of a joint configuration */
    PX_WITNESS = 4, /* keeps the log, not the data; never leads */
    PX_STAYS = 8,   /* in a joint configuration: an old voter that becomes a learner */
};

struct px_member {
    px_store store;
    uint64_t replica; /* never reused (P-23) */
    uint32_t flags;   /* neither PX_OLD nor PX_NEW: a learner */
};

struct px_config {
    uint64_t epoch; /* +1 with each configuration entry */
    bool joint;     /* quorums of PX_OLD and of PX_NEW are both needed */
    uint32_t count;
    struct px_member member[PX_MEMBERS_MAX]; /* by store, ascending */
};

const struct px_member *px_config_find(const struct px_config *c, px_store store);
static inline bool px_is_voter(const struct px_member *m) {
    return m && (m->flags & (PX_OLD | PX_NEW));
}
/* Whether the set of members (bit i = member[i]) holds a quorum in every set that counts (P-7). */
bool px_config_quorum(const struct px_config *c, uint32_t members);
/* Checks what the rules ask of a configuration: at least one voter, f+1 full voters of 2f+1, no store twice. */
enum rc px_config_check(const struct px_config *c, struct err *err) MUST_CHECK;
size_t px_config_encode(const struct px_config *c, uint8_t *to, size_t cap); /* 0: does not fit */
enum rc px_config_decode(const void *from, size_t bytes, struct px_config *ret) MUST_CHECK;

/* ---- messages ---------------------------------------------------------------------------------------------------- */

enum px_msg_type {
    PX_MSG_PREPARE = 1,
    PX_MSG_PROMISE,
    PX_MSG_REFUSE, /* of a Prepare: for now (a lease), or for good (a higher promise, a newer configuration) */
    PX_MSG_FETCH,  /* more of the entries behind a Promise that was cut */
    PX_MSG_ACCEPT, /* entries, commit index; without entries: a probe, and what asks to be followed */
    PX_MSG_ACK,    /* how far this voter has everything, durably; and whom it follows */
    PX_MSG_REJECT, /* of an Accept: a higher ballot was promised */
    PX_MSG_RESIGN, /* never leads in this ballot (again), relied on nothing beyond until: freeze what you granted (N-14) */
    PX_MSG_TAKE_OVER, /* to the chosen successor: campaign at once */
    PX_MSG_ASK,       /* a replica without a leader asks whether it is still a member */
    PX_MSG_REMOVED, /* to a replica that is no member any more; with `more`: it leaves, but is still to answer (P-22) */
    PX_MSG_TYPES
};

/* One structure for all: a message uses the fields its type names. */
struct px_msg {
    enum px_msg_type type;
    uint64_t group;
    px_store from, to;
    uint64_t from_replica, to_replica;
    uint64_t incarnation;    /* the sender's store */
    uint64_t config_epoch;   /* the sender's configuration in force */
    struct px_ballot ballot; /* the leader's or candidate's; in REFUSE and REJECT: what was promised instead */
    struct px_ballot asked;  /* REFUSE, REJECT: what this answers. PREPARE: ticket (a released ballot), or zero */
    struct px_ballot prior;  /* PREPARE: the origin of the value chosen at slot - 1 */
    px_slot slot;      /* PREPARE, FETCH: first wanted. PROMISE, ACK: all up to here is chosen or accepted, durably */
    px_slot commit;    /* ACCEPT, PROMISE, ACK: what the sender knows to be chosen */
    px_slot truncated; /* PROMISE, ACK: the sender's log begins after this. ACCEPT: a witness may truncate to here */
    px_slot last;      /* PROMISE: the sender's highest slot */
    uint64_t
        support_epoch; /* PREPARE, ACCEPT: the leader's epoch towards this voter. PROMISE, ACK: the same, followed */
    int64_t
        until; /* PROMISE: largest T granted to former leaders. REFUSE: when to ask again, or 0. RESIGN: see there */
    struct px_ballot former; /* PROMISE: what this voter had promised before */
    bool more;               /* PROMISE: entries were left out, FETCH them. REMOVED: not yet */
    bool unsynced;           /* REFUSE: this voter's clock cannot tell whether a lease has ended */
    const struct px_config
        *config; /* PREPARE: the sender's. REFUSE, REJECT, REMOVED: the newest known, where the other's is older */
    const struct px_entry *entry; /* PROMISE: by slot, those at or below commit are chosen. ACCEPT: by slot */
    size_t entries;
};

/* ---- what comes out ---------------------------------------------------------------------------------------------- */

enum px_record_type {
    PX_REC_PROMISE = 1, /* ballot */
    PX_REC_ENTRY,       /* entry */
    PX_REC_VOID,        /* entry.slot: what stands there and above in the log so far counts no more (P5) */
};

struct px_record {
    enum px_record_type type;
    struct px_ballot ballot;
    struct px_entry entry;
};

/* What a call asks of the caller. Everything in it is borrowed from the group until the next call with the same group;
 * values may be kept with px_value_ref. */
struct px_ready {
    const struct px_record *persist; /* make durable, in order; then px_durable(persist_seq) */
    size_t n_persist;
    uint64_t persist_seq;
    const struct px_msg *send; /* at once: nothing in them waits for persist */
    size_t n_send;
    int64_t wake_ns; /* monotonic: call px_tick by then; INT64_MAX = nothing to wait for */
};

/* ---- a group ----------------------------------------------------------------------------------------------------- */

struct px_support; /* support.h */
struct px_group;

enum px_role { PX_FOLLOWER, PX_CANDIDATE, PX_OPENING, PX_OPEN, PX_RELEASING, PX_ROLES };
const char *px_role_name(enum px_role role);

struct px_limits {
    size_t inflight_bytes;   /* proposed and not chosen: RC_OVERLOAD beyond; 0 = 16 MiB */
    size_t message_bytes;    /* of entries in one Accept or Promise; 0 = 256 KiB */
    size_t peer_bytes;       /* sent to one follower and not acknowledged; 0 = 4 MiB */
    uint32_t peer_entries;   /* the same in entries; 0 = 4096 */
    size_t window_bytes;     /* entries kept in memory for followers that lag; 0 = 8 MiB */
    int64_t retry_ns;        /* unanswered messages are sent again after this; 0 = 300 ms */
    int64_t election_ns;     /* a campaign gives up after this; candidates wait a random part of it first; 0 = 1 s */
    int64_t commit_delay_ns; /* an idle leader tells its commit index after this; 0 = 1 ms */
};

struct px_init {
    uint64_t group, replica;
    px_store self;
    struct px_support *support; /* of the store; outlives the group */
    struct chaos *chaos;
    uint64_t seed;                   /* for jitter */
    struct px_limits limits;         /* zeros: defaults */
    struct px_config config;         /* as of slot `applied` */
    px_slot applied;                 /* what the state machine holds */
    struct px_ballot applied_origin; /* of the value at that slot; the state machine keeps it with the slot */
    int64_t floor;                   /* every timestamp in the state is at or below */
    bool witness_data;               /* reserved */
    bool late; /* a voter of the first configuration that comes without a state: others may have voted before (P-24) */
};

/* The time, read for this event: fresh, since lease checks and floors depend on it (C-1). */
struct px_now {
    int64_t mono_ns;
    tt_interval tt;
};

/* ts has surely passed; ts has surely not been reached. Neither for a clock that knows nothing. */
static inline bool px_after(tt_interval now, int64_t ts) {
    return now.earliest > ts;
}
static inline bool px_before(tt_interval now, int64_t ts) {
    return now.latest < ts;
}

enum rc px_new(const struct px_init *init, struct px_group **ret) MUST_CHECK;
void px_free(struct px_group *g);
/* What the log holds, before the first event: the promise, and the entries that count, by slot. Values are referenced. */
enum rc px_restore_promise(struct px_group *g, const struct px_ballot *ballot) MUST_CHECK;
enum rc px_restore_entry(struct px_group *g, const struct px_entry *e) MUST_CHECK;
/* After replay: the log holds nothing at or below `truncated`. */
void px_restore_done(struct px_group *g, px_slot truncated);

/* A group that a split made (N-6): the replica begins as if it had lived through its parent's ballots up to that of the split,
 * which proposed it. So the leader that proposed the split owns the first promise and is followed as the parent's replica
 * follows it: nobody else leads before it releases or its support ends. On that leader the floor goes on from memory. After
 * px_restore_done, if nothing was restored. RC_NOMEM. */
enum rc px_inherit(struct px_group *g, const struct px_group *parent, const struct px_ballot *ballot) MUST_CHECK;

/* Each event is followed by px_ready: what came of it (and of earlier ones whose px_ready was not asked for). */
void px_message(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void px_tick(struct px_group *g, const struct px_now *now);
void px_durable(struct px_group *g, const struct px_now *now, uint64_t seq);
void px_applied(struct px_group *g, const struct px_now *now, px_slot slot);
/* Support changed: of a peer for us, or ours for a peer (support.h says which store). */
void px_support_changed(struct px_group *g, const struct px_now *now, px_store peer);
void px_ready(struct px_group *g, const struct px_now *now, struct px_ready *ret);

/* The next entry to apply, or NULL: chosen, above `after`, all before it known. after: the last one taken. */
const struct px_entry *px_next(const struct px_group *g, px_slot after);

/* ---- leading ----------------------------------------------------------------------------------------------------- */

/* Asks to lead, as soon as leases allow. A witness, a learner or an unsynchronised store does not: RC_UNSUPPORTED,
 * RC_UNSYNCED. */
enum rc px_campaign(struct px_group *g, const struct px_now *now);

/* Proposes v (takes a reference). With min_ts != 0 v gets a new timestamp: above the floor, at least min_ts, within the lease
 * (P4): v->ts. RC_UNREACHABLE: does not lead. RC_UNSYNCED: the lease does not reach so far (ask again after renewal).
 * RC_OVERLOAD: too much in flight, or a configuration change is being decided. *ret_slot is where it will be, if anywhere. */
enum rc px_propose(struct px_group *g, const struct px_now *now, struct px_value *v, int64_t min_ts,
                   px_slot *ret_slot) MUST_CHECK;

/* The absolute time until which this replica leads alone; 0 if it does not. */
int64_t px_lease_end(struct px_group *g, const struct px_now *now);
/* It leads, is open, and ts lies within the lease: ts may be served (the floor rises to it first, S-1). */
enum rc px_serve(struct px_group *g, const struct px_now *now, int64_t ts) MUST_CHECK;
/* It leads now: what may be answered without a timestamp must be answered in this very step. */
bool px_leads(struct px_group *g, const struct px_now *now);
/* Raises the floor: nothing at or below ts is assigned any more. Kept through hand-over in s_max. */
void px_raise_floor(struct px_group *g, int64_t ts);
/* What the leader has allowed others to choose and cannot take back now: part of s_max at a hand-over, though it may itself assign
 * below (N-3, T-7). INT64_MIN: nothing any more. It ends with the leadership. */
void px_pledge(struct px_group *g, int64_t ts);
int64_t px_floor(const struct px_group *g);

/* Hands leadership to a full voter, after RELEASE with all promises. RC_UNREACHABLE, RC_INVAL. */
enum rc px_transfer(struct px_group *g, const struct px_now *now, px_store to) MUST_CHECK;
/* Gives this group up without a successor (its tablet cannot apply, its quorum is gone: N-14). */
void px_resign(struct px_group *g, const struct px_now *now);

/* Goes to the voters, witnesses and learners of `want` (its epoch is ignored). If voters change, through a joint configuration,
 * in two entries of which the second is proposed by whoever leads then. RC_OVERLOAD: another change is under way. RC_INVAL:
 * the rules forbid it (see the message). */
enum rc px_reconfigure(struct px_group *g, const struct px_now *now, const struct px_config *want,
                       struct err *err) MUST_CHECK;

/* For a replica that has had no leader for long: asks the members it knows; who was removed meanwhile learns it. */
void px_ask(struct px_group *g);

/* ---- the log ----------------------------------------------------------------------------------------------------- */

/* Forgets entries at or below slot; they must be durably in the state machine's checkpoint (P-11). */
void px_truncate(struct px_group *g, px_slot slot);
/* How far that may go, for a replica whose own checkpoint is at slot: a full one to there, a witness only as far as f+1 full
 * voters of 2f+1 hold it in durable checkpoints (N-13), by what the leader last told. */
px_slot px_may_truncate(const struct px_group *g, px_slot slot);
/* Before a snapshot replaces the state: memory for the members of its configuration, so that px_install cannot fail. RC_NOMEM:
 * not now, try again. */
enum rc px_install_reserve(struct px_group *g, const struct px_config *config) MUST_CHECK;
/* The state now holds everything up to slot, whose value has this origin, from a snapshot; entries above stay if they follow
 * that very value (P5). */
void px_install(struct px_group *g, const struct px_now *now, px_slot slot, const struct px_ballot *origin,
                const struct px_config *config, int64_t floor);
/* Entries that memory does not hold any more: the caller reads them from disk and gives them back for `to`. */
bool px_want_read(const struct px_group *g, px_store *ret_to, px_slot *ret_first);
void px_read_done(struct px_group *g, const struct px_now *now, px_store to, const struct px_entry *e, size_t n);
/* A follower that needs a snapshot; false if none does. Until px_snapshot_sent it is not named again. */
bool px_want_snapshot(struct px_group *g, px_store *ret_to);
void px_snapshot_sent(struct px_group *g, const struct px_now *now, px_store to, bool ok);
/* We need one ourselves: from a voter that has truncated what we lack. */
bool px_need_snapshot(const struct px_group *g, px_store *ret_from);
/* It cannot be had from there. */
void px_snapshot_failed(struct px_group *g);

/* ---- looking in -------------------------------------------------------------------------------------------------- */

struct px_status {
    enum px_role role;
    struct px_ballot promised;
    px_store leader; /* whom this replica follows; itself if it leads; 0 = nobody */
    px_slot truncated, commit, applied, last;
    struct px_config config; /* in force */
    bool config_pending;
    /* In no configuration that it knows. Once it was in one, that is for good, and its data can go; before, it is a learner that
     * has not caught up with its own addition. */
    bool removed;
    bool leaving; /* the same, but not yet for good: ask again soon */
    size_t log_bytes;
};
void px_status(const struct px_group *g, struct px_status *ret);
uint64_t px_group_id(const struct px_group *g);
/* Parts of it, for what is asked at each event. */
enum px_role px_role_now(const struct px_group *g);
px_store px_leader(const struct px_group *g);
const struct px_ballot *px_promised(const struct px_group *g);
px_slot px_commit(const struct px_group *g);
bool px_gone(const struct px_group *g, bool *ret_leaving); /* removed for good; or about to be */
bool px_may_lead(const struct px_group *g);                /* a full voter */
bool px_sole_voter(const struct px_group *g);              /* nobody else votes, in any configuration in play */
bool px_born_sole(const struct px_group *g);               /* and nobody else ever did */
bool px_changing(const struct px_group *g);                /* a change of members is under way */
bool px_config_undecided(const struct px_group *g);        /* nothing can be proposed until it is */
/* As a leader: the slot up to which every follower that has answered, and does, has everything; UINT64_MAX if none is to be
 * waited for. */
px_slot px_needed(const struct px_group *g);
/* As a leader: what f+1 full voters have in a durable checkpoint, as far as they have said (N-13); 0 = nothing. */
px_slot px_settled(const struct px_group *g);
/* As a leader: the full voter that answers and has come furthest; 0 = none. */
px_store px_successor(const struct px_group *g);
/* As a leader: it has all that was chosen when it last answered, and answers. */
bool px_caught_up(const struct px_group *g, px_store store);
/* As a leader that is open: a member whose store answers, but this group's replica never has in this reign; 0 = none. */
px_store px_silent(const struct px_group *g);
const struct px_config *px_config_now(const struct px_group *g);
/* Of all that decides what it does next: equal for states that cannot be told apart. For model checks. */
uint64_t px_fingerprint(const struct px_group *g);
/* On the heap, the shared values apart. */
size_t px_memory(const struct px_group *g);

#endif
