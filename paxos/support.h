/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support.h: leases between stores, of which the leases of groups are made. A pure state machine, one a store.
 *
 * Thousands of mostly idle groups must cost nothing, so liveness is a matter between stores. Each store asks each store it
 * shares groups with: "support me, epoch e, until T" (T = its now.earliest + lease). One small message a pair of stores,
 * every half second, whatever the number of groups; without an answer T rises no more. A voter that follows leader A in a group, and supports (A, e) until T,
 * promises no other ballot in that group before T has surely passed.
 *
 * Promise     Support for an epoch lapses for good (N-1): once T has passed unrenewed, or the supporter voted for somebody
 *             else on the strength of that, every renewal of that epoch is refused, and the asker goes on with a new epoch,
 *             followed anew. A supporter grants no T beyond its own now.latest + lease (N-12).
 *             After a restart a store remembers no support it gave: support_restart_wait says until when it must refuse all
 *             candidates but the owner of its promised ballot (N-2).
 * Relies on   the incarnation being durable and higher at each start: epochs are (incarnation, counter), so a new epoch
 *             needs no write. And on clocks that keep their word.
 * Threads     one at a time.
 *
 * Epochs are counted per pair (asker, supporter): when one supporter has lapsed, the others are not asked to follow anew.
 */
#ifndef MERIDIAN_PAXOS_SUPPORT_H
#define MERIDIAN_PAXOS_SUPPORT_H

#include "paxos/core.h"
#include "truetime/base/map.h"

struct px_support;

struct support_init {
    px_store self;
    uint64_t incarnation;  /* of this start of the store: higher than at any start before, durably so */
    int64_t lease_ns;      /* 0 = 3 s */
    int64_t renew_ns;      /* 0 = 500 ms */
    int64_t sole_lease_ns; /* how far a sole voter promises ahead; 0 = 100 ms */
    /* N-2: what a clean stop wrote down (support_stop_mark); 1 for a store that never ran; or 0: then it is the first synchronised latest + the largest
     * lease ever granted, which is: */
    int64_t clean_until, lease_ns_max, sole_lease_ns_max;
    struct chaos *chaos;
};

enum rc support_new(const struct support_init *init, struct px_support **ret) MUST_CHECK;
void support_free(struct px_support *s);
px_store support_self(const struct px_support *s);
uint64_t support_incarnation(const struct px_support *s);
int64_t support_lease_ns(const struct px_support *s);
int64_t support_sole_lease_ns(const struct px_support *s);

/* ---- peers: stores we share groups with, counted by group ---- */

enum rc support_peer_ref(struct px_support *s, px_store peer) MUST_CHECK;
void support_peer_unref(struct px_support *s, px_store peer);

/* ---- messages ---- */

enum support_msg_type { SUPPORT_ASK = 1, SUPPORT_GRANT, SUPPORT_REFUSE };

struct support_msg {
    enum support_msg_type type;
    px_store from, to;
    uint64_t incarnation; /* of the sender's store */
    uint64_t epoch;       /* ASK: asked for. GRANT, REFUSE: what it answers. REFUSE: lapsed, ask with a higher one */
    int64_t until;        /* ASK: wanted. GRANT: granted. REFUSE: 0 */
};

/* ---- events; what a call changes is told through `changed` ---- */

struct support_out {
    /* Sends; at most one message a call of support_message, any number from support_tick. */
    void (*send)(void *ctx, const struct support_msg *m);
    /* What groups that involve `peer` rest on has changed: call px_support_changed for each of them. lost: we support it no
     * more (it restarted, moved to a new epoch, or T passed): groups that follow it may look for another leader. */
    void (*changed)(void *ctx, px_store peer, bool lost);
    void *ctx;
};

void support_message(struct px_support *s, const struct px_now *now, const struct support_msg *m,
                     const struct support_out *out);
/* Renews what is due. Returns when to call again (monotonic). */
int64_t support_tick(struct px_support *s, const struct px_now *now, const struct support_out *out);
/* While paused no support is asked for: a hung log, a lost clock, a late reactor (P-13). Leases end by themselves. */
void support_pause(struct px_support *s, bool pause);
bool support_paused(const struct px_support *s);

/* ---- what groups ask ---- */

/* As a leader: our epoch towards this supporter, to be followed under. */
uint64_t support_epoch_to(const struct px_support *s, px_store supporter);
/* T that `supporter` granted us, if it was granted under this very epoch by this incarnation of it; else 0. */
int64_t support_granted(const struct px_support *s, px_store supporter, uint64_t epoch, uint64_t incarnation);
/* The supporter answered something lately: worth sending to. */
bool support_alive(const struct px_support *s, px_store peer);

/* As a voter: T that we granted to `leader` under this epoch; 0 when nothing is granted under it any more. *ret_last is the
 * largest T ever granted to it (this start of ours). */
int64_t support_given(const struct px_support *s, px_store leader, uint64_t epoch, int64_t *ret_last);
/* Before we vote for another on the strength of T having passed. */
void support_withdraw(struct px_support *s, px_store leader, uint64_t epoch);
/* N-2: refuse all candidates but the owner of the promised ballot until this time has surely passed; INT64_MAX while our
 * clock has not been synchronised since the start; 0 when it is over. */
int64_t support_restart_wait(struct px_support *s, const struct px_now *now, bool sole_voter);
/* The B of N-2 itself: no T that we granted before the restart is above it. INT64_MAX: not known yet. */
int64_t support_restart_bound(struct px_support *s, const struct px_now *now, bool sole_voter);
/* A group of ours relies on its lease until then: our own voter granted it that. */
void support_note_used(struct px_support *s, int64_t until);
/* What a clean stop writes down, once nothing is led from here any more: no T that this store granted, now or before, is above
 * it. Of a sole voter, whose lease binds nobody else, that is what it promised within it. born_sole: every group here was born
 * with this store as its only voter and still is, so nobody else was ever granted anything. 0: it cannot tell, so it must not
 * write anything. */
int64_t support_stop_mark(const struct px_support *s, bool born_sole);
/* As px_fingerprint. */
uint64_t support_fingerprint(const struct px_support *s);

#endif
