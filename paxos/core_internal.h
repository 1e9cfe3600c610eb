/* SPDX-License-Identifier: Apache-2.0 */
/* core_internal.h: what the core's files share. Nobody else includes it. */
#ifndef MERIDIAN_PAXOS_CORE_INTERNAL_H
#define MERIDIAN_PAXOS_CORE_INTERNAL_H

#include "paxos/core.h"
#include "paxos/support.h"
#include "truetime/base/ilist.h"
#include "truetime/base/rng.h"

/* A slot of the log in memory. */
struct log_slot {
    struct px_entry e;
    uint64_t seq; /* durable once g->durable_seq has reached it */
};

/* Slots first .. first + count - 1, without holes (P5). */
struct px_log {
    struct log_slot *ring;
    size_t cap, head;
    px_slot first;
    size_t count;
    size_t bytes; /* of values */
};

/* An entry that waits for those before it. */
struct early {
    struct ilist link;
    struct px_entry e;
};

/* A message waiting for px_ready, with its entries. */
struct out_msg {
    struct ilist link;
    struct px_msg m;
    struct px_config config;
    struct px_entry entry[]; /* each holds a reference */
};

/* What a leader knows of a member, or a candidate of a voter. */
struct px_peer {
    px_store store;
    uint64_t replica;
    px_slot match;     /* has everything up to here at our ballot or chosen, durably */
    px_slot next;      /* sent up to here - 1 */
    px_slot read_from; /* where the last part that was read from disk began */
    px_slot commit;    /* what it knows to be chosen */
    px_slot told;      /* commit index we sent last */
    px_slot truncated; /* its log begins after this */
    size_t inflight;   /* bytes in (match, next) */
    int64_t sent_ns;   /* of the oldest unanswered message; 0 = none */
    int64_t rtt_ns;    /* smoothed */
    px_slot rtt_slot;  /* the send that is being timed */
    int64_t rtt_sent_ns;
    bool probing;   /* match not known in this ballot: one message at a time */
    bool must_send; /* a probe, or news of our epoch, is due */
    bool reading, snapshot_wanted, snapshot_sending;
    uint64_t follow_epoch, follow_incarnation; /* acknowledged by it for our ballot */
    uint64_t acked_incarnation;
    bool promised, complete; /* as a candidate: it promised; all that counts of its entries is here */
    bool nudged;             /* as a candidate: it said that it is there, and was asked again for that */
    px_slot fetch;           /* as a candidate: next entry wanted from it */
};

/* A campaign, or the start of a reign. */
struct election {
    px_slot from;           /* first slot prepared */
    struct px_ballot prior; /* origin of the value before it */
    struct px_entry *best;  /* by slot - from, without holes: the log that the promises add up to */
    size_t count, cap;
    px_slot chosen; /* entries up to here are known chosen */
    int64_t until;  /* the largest T in a Promise (N-3) */
    struct px_ballot former;
    struct px_ballot ticket;
    struct px_config seen; /* newer than ours, met in an answer; epoch 0 = none */
    int64_t began_ns, resend_ns;
};

struct px_group {
    uint64_t id, replica;
    px_store self;
    uint64_t incarnation;
    struct px_support *support;
    struct chaos *chaos;
    struct px_limits limits;
    struct rng rng;

    enum px_role role;
    struct px_ballot promised;
    uint64_t promised_seq; /* durable_seq that makes the promise durable; UINT64_MAX: not written */
    uint64_t round_seen;

    /* as a voter */
    px_store following;    /* owner of `promised` that we answer to; 0 = nobody */
    uint64_t follow_epoch; /* its support epoch towards us; within a ballot it only rises */
    uint64_t follow_replica;
    int64_t frozen_until; /* N-14: it resigned; T stays at this. 0 = not frozen */
    bool frozen;
    bool heard;                    /* an Accept at the promised ballot: its owner leads, or did */
    int64_t t_max;                 /* the largest T granted to former leaders of this group (N-3) */
    int64_t fresh_until;           /* P-24: newly a voter; INT64_MAX = clock not known then */
    struct px_ballot fresh_ballot; /* the one at which the entry that made it a voter came; zero: it has not come */
    bool promise_due;              /* to be sent when durable */
    px_store promise_to;
    uint64_t promise_replica;
    px_slot promise_from;
    struct px_ballot promise_former;
    int64_t promise_until;
    bool ack_due;
    uint64_t ack_seq;    /* send the ack once this is durable */
    int64_t campaign_ns; /* when to try to lead; 0 = not waiting */
    uint32_t failures;   /* campaigns in a row that came to nothing */
    px_store need_snapshot;
    struct ilist early; /* entries of the promised ballot that came before their turn */
    size_t early_count, early_bytes;

    /* log */
    struct px_log log;
    px_slot truncated;              /* nothing at or below on disk */
    px_slot settled;                /* told to witnesses: f+1 full voters have checkpointed up to here (N-13) */
    px_slot commit;                 /* known chosen, contiguous */
    struct px_ballot commit_origin; /* of the value at commit */
    px_slot accepted;               /* contiguous at `promised` from commit */
    px_slot durable;                /* the durable part of that */
    px_slot applied;
    struct px_config config;        /* the last in the log, chosen or not */
    struct px_config config_chosen; /* the last known chosen */
    px_slot config_slot;            /* where config is; 0 = in the state */
    px_slot config_chosen_slot;     /* config_chosen is at or below */
    bool removed, leaving;
    struct px_config *newer; /* while leaving: whom to ask */
    uint64_t next_seq, durable_seq;
    struct px_ballot applied_origin; /* what the state says, while replaying */
    bool applied_contradicted;       /* the log had another value there, and no PX_REC_VOID since */
    px_slot void_due;                /* a PX_REC_VOID that found no memory; nothing is accepted before it */

    /* as candidate and leader */
    struct election *el;
    struct px_peer *peer;
    uint32_t peers;
    px_slot opened_at;      /* slot of START; 0 = not proposed yet */
    px_slot proposed;       /* the last slot proposed */
    size_t inflight;        /* proposed and not chosen: entry_cost */
    int64_t floor;          /* nothing at or below is assigned any more */
    int64_t pledged;        /* px_pledge */
    int64_t lease_used;     /* our own voter votes for nobody else before this has passed */
    int64_t quorum_ns;      /* last time that the lease was seen to hold */
    bool held;              /* it held when last looked at */
    struct px_ballot reign; /* the last ballot that this incarnation led in: floor covers all of it */
    int64_t commit_due_ns;
    px_store transfer_to;

    /* out */
    struct px_record *record;
    size_t records, records_cap;
    struct ilist out, sent; /* out_msg: waiting; handed out by the last px_ready */
    struct px_msg *handed;
    struct px_record *handed_record;
    size_t handed_records;
};

static inline bool leading(const struct px_group *g) {
    return g->role == PX_OPENING || g->role == PX_OPEN || g->role == PX_RELEASING;
}

/* This very replica in c: another one on the same store is somebody else (P-23). */
static inline const struct px_member *self_in(const struct px_group *g, const struct px_config *c) {
    const struct px_member *m = px_config_find(c, g->self);
    return m && m->replica == g->replica ? m : NULL;
}

/* core.c: log and output */
struct log_slot *log_at(struct px_group *g, px_slot slot);
const struct log_slot *log_get(const struct px_group *g, px_slot slot);
static inline px_slot log_last(const struct px_group *g) {
    return g->log.first + g->log.count - 1;
}
/* Puts v there at ballot, to be made durable; takes a reference. */
enum rc log_put(struct px_group *g, px_slot slot, const struct px_ballot *ballot, struct px_value *v) MUST_CHECK;
void log_drop_to(struct px_group *g, px_slot slot); /* from memory */
/* P5: drops what stands at slot and above, and was never chosen. */
enum rc log_void_from(struct px_group *g, px_slot slot) MUST_CHECK;
void early_free(struct px_group *g);
int64_t value_floor(const struct px_group *g, const struct px_value *v);
/* What an entry takes in memory, however small its value. */
static inline size_t entry_cost(const struct px_value *v) {
    return v->bytes + sizeof *v + sizeof(struct log_slot);
}
/* Room for so many records: to be had before anything changes that must not change without them. */
enum rc record_reserve(struct px_group *g, size_t more) MUST_CHECK;
/* The promise is now `ballot`, to be made durable; room was reserved. */
void promise_ballot(struct px_group *g, const struct px_ballot *ballot);
struct out_msg *out_new(struct px_group *g, enum px_msg_type type, px_store to, size_t entries);
void out_send(struct px_group *g, struct out_msg *o);
void recount_accepted(struct px_group *g); /* after the promised ballot changed */
void extend_accepted(struct px_group *g);
void set_commit(struct px_group *g, px_slot commit);
void become(struct px_group *g, enum px_role role);

/* core_acceptor.c */
void on_prepare(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void on_fetch(struct px_group *g, const struct px_msg *m);
void on_accept(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void on_resign(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void send_promise(struct px_group *g, px_store to, uint64_t to_replica, px_slot from);
void acceptor_ready(struct px_group *g);
/* Answers the leader that we follow, once all that happened so far is durable. */
void ack_soon(struct px_group *g);
/* T granted to the leader we follow; 0 = nothing binds us to it any more. */
int64_t follow_until(struct px_group *g, int64_t *ret_last);
/* Stops following, keeping what former leaders were granted (N-3). */
void unfollow(struct px_group *g);
/* Until when we must refuse a candidate; 0 = we need not; INT64_MAX = our clock cannot tell. */
int64_t refuse_until(struct px_group *g, const struct px_now *now, px_store from, const struct px_ballot *ticket);

/* core_elect.c */
void on_promise(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void on_refuse(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void on_take_over(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void elect_tick(struct px_group *g, const struct px_now *now);
void elect_durable(struct px_group *g, const struct px_now *now);
void election_free(struct px_group *g);
void campaign_soon(struct px_group *g, const struct px_now *now, int64_t delay_ns);
int64_t elect_wake(const struct px_group *g);

/* core_leader.c */
void lead(struct px_group *g, const struct px_now *now);
void on_ack(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void on_ask(struct px_group *g, const struct px_msg *m);
void on_removed(struct px_group *g, const struct px_msg *m);
/* m says that its sender follows our ballot. */
void note_follow(struct px_peer *p, const struct px_msg *m);
void on_reject(struct px_group *g, const struct px_now *now, const struct px_msg *m);
void leader_tick(struct px_group *g, const struct px_now *now);
void leader_flush(struct px_group *g, const struct px_now *now);
void leader_commit(struct px_group *g, const struct px_now *now);
void leader_applied(struct px_group *g, const struct px_now *now);
int64_t leader_wake(const struct px_group *g);
void step_down(struct px_group *g);
void send_resign(struct px_group *g, px_store to, const struct px_ballot *ballot);
struct px_peer *px_peer_find(struct px_group *g, px_store store);
enum rc peers_rebuild(struct px_group *g);
enum rc propose_value(struct px_group *g, struct px_value *v) MUST_CHECK;

/* core_member.c */
void config_recompute(struct px_group *g);
void config_committed(struct px_group *g, const struct px_now *now, const struct px_entry *e);
void note_voter(struct px_group *g, const struct px_now *now, const struct px_config *before);
/* P-24: waits a lease from now on, or from when the clock is known. */
void fresh_begin(struct px_group *g, const struct px_now *now);
/* Makes sure that a later config_ref of it, of e's configuration, finds its memory. */
enum rc config_reserve(struct px_group *g, const struct px_config *c) MUST_CHECK;
enum rc config_reserve_entry(struct px_group *g, const struct px_entry *e) MUST_CHECK;
enum rc config_ref(struct px_group *g, const struct px_config *c);
void config_unref(struct px_group *g, const struct px_config *c);
void config_chosen_set(struct px_group *g, const struct px_config *c, px_slot slot);
void finish_change(struct px_group *g, const struct px_now *now);
static inline bool config_pending(const struct px_group *g) {
    return g->config_slot > g->commit;
}
bool sole_voter(const struct px_group *g);
/* It never had other voters: nobody can have granted it a lease longer than a sole voter's (N-3). */
bool born_sole(const struct px_group *g);

#endif
