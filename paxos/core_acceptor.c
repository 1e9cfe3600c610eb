/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_acceptor.c: a voter's side: whom it may promise, what it accepts, what it answers when things are durable.
 *
 * A voter that follows leader A under support epoch e promises nobody else before T(A, e) has surely passed. Exceptions:
 *   - the owner of the promised ballot itself, which may prepare again (L-4: it counts as a new leader, with a new floor);
 *   - a candidate that shows the ticket of a hand-over: A stopped leading in that ballot for good before it gave it (N-3).
 * A fresh voter (P-24) waits as if it had granted a T itself, since it stands in for voters who did. It makes those exceptions
 * only if the very leader that they concern made it a voter: then every earlier lease was over when that leader was elected.
 * Accepting a higher ballot that we did not promise needs no wait: its leader was elected by a quorum, which meets every
 * quorum that A could count on in a voter that did wait (docs/paxos.md).
 */
#include <stdlib.h>
#include <string.h>

#include "paxos/core_internal.h"

enum { EARLY_MAX = 1024 };

int64_t follow_until(struct px_group *g, int64_t *ret_last) {
    *ret_last = 0;
    if (!g->following || g->following == g->self)
        return 0;
    int64_t until = support_given(g->support, g->following, g->follow_epoch, ret_last);
    if (g->frozen) {
        *ret_last = g->frozen_until;
        return g->frozen_until;
    }
    return until;
}

void unfollow(struct px_group *g) {
    int64_t last = 0, until = follow_until(g, &last);
    if (until > last)
        last = until;
    if (last > g->t_max)
        g->t_max = last;
    if (g->lease_used > g->t_max)
        g->t_max = g->lease_used;
    g->following = 0;
    g->ack_due = false; /* whatever was to be told concerned the ballot that ends */
    g->frozen = false;
    g->frozen_until = 0;
}

/* P-24: newly a voter. */
static int64_t fresh_wait(struct px_group *g, const struct px_now *now) {
    if (g->fresh_until == INT64_MAX && tt_is_known(now->tt))
        g->fresh_until = now->tt.latest + support_lease_ns(g->support);
    if (!g->fresh_until || px_after(now->tt, g->fresh_until) ||
        chaos_mutant(g->chaos, "P-24: a fresh voter votes at once"))
        return 0;
    return g->fresh_until;
}

/* What keeps us from voting, besides the leader that we follow. */
static int64_t own_bonds(struct px_group *g, const struct px_now *now, const struct px_ballot *ticket) {
    int64_t wait = support_restart_wait(g->support, now, born_sole(g));
    if (wait)
        return wait;
    bool ours = g->role != PX_RELEASING && g->promised.store == g->self;
    bool released = px_ballot_cmp(ticket, &g->promised) == 0;
    if (ours && !released && g->lease_used && !px_after(now->tt, g->lease_used) &&
        !chaos_mutant(g->chaos, "L-2: a leader's own voter is free"))
        return g->lease_used; /* we lead, or led: our own voter counts in our lease */
    return 0;
}

int64_t refuse_until(struct px_group *g, const struct px_now *now, px_store from, const struct px_ballot *ticket) {
    bool owner = g->promised.round && g->promised.store == from;
    bool released = !px_ballot_is_zero(ticket) &&
                    (px_ballot_cmp(ticket, &g->promised) == 0 || chaos_mutant(g->chaos, "L-7: any ticket will do"));
    bool made_us = px_ballot_cmp(&g->fresh_ballot, &g->promised) == 0;
    int64_t last, wait = (owner || released) && made_us ? 0 : fresh_wait(g, now);
    if (wait)
        return wait;
    if (owner) {
        /* The owner of the promised ballot; but B must be known, since the Promise carries it. */
        return support_restart_bound(g->support, now, born_sole(g)) == INT64_MAX ? INT64_MAX : 0;
    }
    wait = own_bonds(g, now, ticket);
    if (wait)
        return wait;
    if (released)
        return 0;
    int64_t until = follow_until(g, &last);
    if (until && !px_after(now->tt, until) && !chaos_mutant(g->chaos, "L-2: vote while another lease runs"))
        return tt_is_known(now->tt) ? until : INT64_MAX;
    /* N-1, also where nothing was granted yet: what we acknowledged to follow must not become a lease by a grant that comes
     * after our vote. */
    if (g->following && g->following != g->self && !g->frozen)
        support_withdraw(g->support, g->following, g->follow_epoch);
    return 0;
}

static void refuse(struct px_group *g, const struct px_msg *m, int64_t until, bool newer_config) {
    struct out_msg *o = out_new(g, PX_MSG_REFUSE, m->from, 0);
    if (!o)
        return;
    o->m.to_replica = m->from_replica;
    o->m.asked = m->ballot;
    o->m.until = until == INT64_MAX ? 0 : until;
    o->m.unsynced = until == INT64_MAX;
    if (newer_config) {
        o->config = g->config;
        o->m.config = &o->config;
    }
    out_send(g, o);
}

/* A candidate knows a newer configuration in which we are a voter; its entry has not come here yet. */
static bool made_voter(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    if (!m->config || m->config->epoch <= g->config.epoch || !px_is_voter(self_in(g, m->config)))
        return false;
    if (!g->fresh_until)
        fresh_begin(g, now);
    return true;
}

/* The candidate prepares from m->slot, after a chosen value that our log has not: what we have from there on follows another
 * value, and was never chosen (P5). */
static enum rc MUST_CHECK void_unless_prior(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    const struct log_slot *prior = m->slot > 1 && m->slot - 1 > g->commit ? log_get(g, m->slot - 1) : NULL;
    if (!prior || px_ballot_cmp(&prior->e.value->origin, &m->prior) == 0 ||
        chaos_mutant(g->chaos, "P5: keep what a later ballot contradicts"))
        return RC_OK;
    chaos_probe(g->chaos, "paxos: a candidate's prefix contradicted a voter's log");
    struct px_config before = g->config;
    enum rc rc = log_void_from(g, m->slot - 1);
    config_recompute(g);
    note_voter(g, now, &before);
    return rc;
}

void on_prepare(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    if (m->ballot.round > g->round_seen)
        g->round_seen = m->ballot.round;
    /* While a change is undecided, who leaves still votes (P-22). */
    bool voter = px_is_voter(self_in(g, &g->config)) || px_is_voter(self_in(g, &g->config_chosen));
    if (!voter && !made_voter(g, now, m))
        return; /* our vote is not asked for by anybody who knows better */
    int order = px_ballot_cmp(&m->ballot, &g->promised);
    if (order < 0) {
        refuse(g, m, 0, m->config_epoch < g->config.epoch);
        return;
    }
    if (order == 0) { /* again: the answer may have been lost */
        if (!g->promise_due && g->following == m->from && g->promised_seq <= g->durable_seq)
            send_promise(g, m->from, m->from_replica, m->slot);
        return;
    }
    if (m->config_epoch < g->config.epoch && !chaos_mutant(g->chaos, "N-15: vote under an old configuration")) {
        refuse(g, m, 0, true);
        return;
    }
    int64_t until = refuse_until(g, now, m->from, &m->asked);
    if (until) {
        chaos_probe(g->chaos, "paxos: a lease kept a voter from promising");
        ack_soon(g); /* does it lead at all? If not, it says so, and we are free sooner (N-14) */
        refuse(g, m, until, false);
        return;
    }
    int64_t bound = support_restart_bound(g->support, now, born_sole(g));
    struct px_ballot former = g->promised;
    if (void_unless_prior(g, now, m) || record_reserve(g, 1))
        return; /* out of memory: as if the message had been lost */
    if (g->role != PX_FOLLOWER)
        step_down(g); /* looks at the ballot that ends */
    unfollow(g);
    promise_ballot(g, &m->ballot);
    early_free(g);
    if (bound > g->t_max && !chaos_mutant(g->chaos, "N-3: forget what was granted before a restart"))
        g->t_max = bound;
    g->following = m->from;
    g->follow_replica = m->from_replica;
    g->follow_epoch = m->support_epoch;
    g->campaign_ns = 0;
    g->heard = false;
    g->promise_due = true;
    g->promise_to = m->from;
    g->promise_replica = m->from_replica;
    g->promise_from = m->slot;
    g->promise_former = former;
    g->promise_until = g->t_max;
    recount_accepted(g);
    campaign_soon(g, now, 2 * g->limits.election_ns); /* should nothing come of this candidate */
    if (chaos_mutant(g->chaos, "P-2: promise before it is durable")) {
        g->promise_due = false;
        send_promise(g, m->from, m->from_replica, m->slot);
    }
}

/* Slots of the log from `from` that a Promise may carry. */
static size_t promise_entries(struct px_group *g, px_slot from, px_slot *ret_first, bool *ret_more) {
    size_t n = 0, bytes = 0;
    px_slot slot = from > g->log.first ? from : g->log.first;
    *ret_first = slot;
    *ret_more = false;
    for (; slot <= log_last(g); slot++) {
        const struct log_slot *s = log_get(g, slot);
        if (!s->e.value)
            continue;
        if (n > 0 && bytes + s->e.value->bytes > g->limits.message_bytes) {
            *ret_more = true;
            break;
        }
        bytes += s->e.value->bytes;
        n++;
    }
    return n;
}

void send_promise(struct px_group *g, px_store to, uint64_t to_replica, px_slot from) {
    px_slot slot;
    bool more;
    size_t n = promise_entries(g, from, &slot, &more);
    struct out_msg *o = out_new(g, PX_MSG_PROMISE, to, n);
    if (!o)
        return;
    for (; o->m.entries < n; slot++) {
        const struct log_slot *s = log_get(g, slot);
        if (s->e.value) {
            o->entry[o->m.entries] = s->e;
            px_value_ref(o->entry[o->m.entries++].value);
        }
    }
    o->m.to_replica = to_replica;
    o->m.more = more;
    o->m.slot = n ? o->entry[n - 1].slot : from - 1;
    o->m.last = log_last(g);
    o->m.commit = g->commit;
    o->m.truncated = g->log.first - 1; /* what memory does not hold any more is chosen, and is not offered here */
    o->m.until = g->promise_until;
    o->m.former = g->promise_former;
    o->m.support_epoch = g->follow_epoch;
    out_send(g, o);
}

void on_fetch(struct px_group *g, const struct px_msg *m) {
    if (px_ballot_cmp(&m->ballot, &g->promised) == 0 && !g->promise_due && g->promised_seq <= g->durable_seq)
        send_promise(g, m->from, m->from_replica, m->slot);
}

/* ---- accepting --------------------------------------------------------------------------------------------------- */

static void reject(struct px_group *g, const struct px_msg *m, bool newer_config) {
    struct out_msg *o = out_new(g, PX_MSG_REJECT, m->from, 0);
    if (!o)
        return;
    o->m.to_replica = m->from_replica;
    o->m.asked = m->ballot;
    if (newer_config) {
        o->config = g->config_chosen;
        o->m.config = &o->config;
    }
    out_send(g, o);
}

/* A ballot above our promise: accepting promises it. False: out of memory, the message counts as lost. */
static bool adopt_ballot(struct px_group *g, const struct px_msg *m) {
    if (record_reserve(g, 1))
        return false; /* before we let go of the leader that we follow */
    if (g->role != PX_FOLLOWER)
        step_down(g); /* looks at the ballot that ends */
    unfollow(g);
    promise_ballot(g, &m->ballot);
    early_free(g);
    g->promise_due = false;
    g->heard = false;
    recount_accepted(g);
    return true;
}

/* N-12: a first Accept above the T that we granted its leader proves a false clock. */
static bool beyond_support(struct px_group *g, const struct px_msg *m, const struct px_value *v) {
    int64_t last, until = follow_until(g, &last);
    return v->ts && until && v->ts > until && px_ballot_cmp(&v->origin, &m->ballot) == 0 &&
           !chaos_mutant(g->chaos, "N-12: accept any timestamp");
}

/* ---- entries that come before their turn ---- */

void early_free(struct px_group *g) {
    for (struct ilist *n; (n = ilist_pop_front(&g->early));) {
        struct early *e = ilist_entry(n, struct early, link);
        px_value_unref(e->e.value);
        free(e);
    }
    g->early_count = 0;
    g->early_bytes = 0;
}

/* Keeps it, in slot order; bounded, for the leader sends again what it has no answer for. */
static void early_put(struct px_group *g, const struct px_entry *e) {
    struct ilist *at = g->early.prev;
    if (g->early_count >= EARLY_MAX || g->early_bytes + e->value->bytes > g->limits.peer_bytes)
        return;
    while (at != &g->early && ilist_entry(at, struct early, link)->e.slot > e->slot)
        at = at->prev;
    if (at != &g->early && ilist_entry(at, struct early, link)->e.slot == e->slot)
        return;
    struct early *n = malloc(sizeof *n);
    if (!n)
        return;
    chaos_probe(g->chaos, "paxos: an entry came early");
    n->e = *e;
    px_value_ref(e->value);
    ilist_init(&n->link);
    ilist_insert_(at, &n->link);
    g->early_count++;
    g->early_bytes += e->value->bytes;
}

static bool take(struct px_group *g, const struct px_msg *m, const struct px_entry *e);

static void early_drain(struct px_group *g, const struct px_msg *m) {
    struct early *e;
    while ((e = ilist_first(&g->early, struct early, link)) && e->e.slot <= g->accepted + 1) {
        if (!take(g, m, &e->e))
            return;
        ilist_del(&e->link);
        g->early_count--;
        g->early_bytes -= e->e.value->bytes;
        px_value_unref(e->e.value);
        free(e);
    }
}

/* Accepts one entry, whose turn it is; false when the rest must wait for a retransmission. */
static bool take(struct px_group *g, const struct px_msg *m, const struct px_entry *e) {
    if (e->slot <= g->accepted)
        return true;
    if (g->log.bytes > 4 * g->limits.window_bytes)
        return false; /* bounded, whatever a leader sends (P-14) */
    if (beyond_support(g, m, e->value)) {
        chaos_probe(g->chaos, "paxos: refused a timestamp beyond the support granted");
        return false;
    }
    const struct log_slot *s = log_get(g, e->slot);
    if (s && s->e.value)
        CHECKF(px_ballot_cmp(&s->e.ballot, &m->ballot) < 0, "group %llu slot %llu was accepted above the promise",
               (unsigned long long)g->id, (unsigned long long)e->slot); /* INV-P2 */
    if (e->value->kind == PX_CONFIG && config_reserve_entry(g, e))
        return false;
    if (log_put(g, e->slot, &m->ballot, e->value))
        return false;
    extend_accepted(g);
    return true;
}

/* *ret_config: the configuration in force may have changed. */
static void accept_entries(struct px_group *g, const struct px_msg *m, bool *ret_config) {
    for (size_t i = 0; i < m->entries; i++) {
        const struct px_entry *e = &m->entry[i];
        if (e->slot > g->accepted + 1 && !chaos_mutant(g->chaos, "P5: accept out of order")) {
            early_put(g, e);
            continue;
        }
        *ret_config |= e->value->kind == PX_CONFIG || e->slot <= g->config_slot;
        if (!take(g, m, e))
            return;
    }
    *ret_config |= !ilist_empty(&g->early);
    early_drain(g, m);
}

void on_accept(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    int order = px_ballot_cmp(&m->ballot, &g->promised);
    if (m->ballot.round > g->round_seen)
        g->round_seen = m->ballot.round;
    /* N-15. What is only in our log may never be chosen, and this leader may be about to overwrite it. */
    bool old_config = m->config_epoch < g->config_chosen.epoch;
    if (order < 0 || old_config) {
        reject(g, m, old_config);
        return;
    }
    if (order > 0 && !adopt_ballot(g, m))
        return;
    CHECK(g->role == PX_FOLLOWER); /* one proposer a ballot */
    bool changed_config = false;
    /* An Accept that comes late names an epoch that its leader has given up: following under it again would undo what we
     * acknowledged since, and leave us free while that still counts (N-1). */
    if (order > 0 || g->following != m->from || m->support_epoch > g->follow_epoch ||
        chaos_mutant(g->chaos, "N-1: a late Accept sets the epoch back"))
        g->follow_epoch = m->support_epoch;
    g->following = m->from;
    g->follow_replica = m->from_replica;
    if (m->truncated > g->settled)
        g->settled = m->truncated;
    g->campaign_ns = 0;
    g->heard = true;
    g->failures = 0;
    g->need_snapshot = 0; /* whoever leads sends it */
    accept_entries(g, m, &changed_config);
    if (changed_config) {
        struct px_config before = g->config;
        config_recompute(g);
        note_voter(g, now, &before);
    }
    px_slot commit = m->commit < g->accepted ? m->commit : g->accepted;
    for (px_slot slot = g->commit + 1; slot <= commit; slot++) {
        const struct log_slot *s = log_get(g, slot);
        if (s->e.value->kind == PX_CONFIG)
            config_committed(g, now, &s->e);
    }
    set_commit(g, commit);
    extend_accepted(g);
    ack_soon(g);
    if (chaos_mutant(g->chaos, "P-2: acknowledge before it is durable"))
        g->durable = g->accepted;
}

void on_resign(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    int64_t last, until;
    if (px_ballot_cmp(&m->ballot, &g->promised) != 0 || g->following != m->from || g->frozen)
        return;
    until = follow_until(g, &last);
    if (until > last)
        last = until;
    g->frozen = true;
    g->frozen_until = m->until < last ? m->until : last;
    if (chaos_mutant(g->chaos, "N-14: a resignation frees its voters at once"))
        g->frozen_until = 1;
    chaos_probe(g->chaos, "paxos: a leader resigned one group");
    g->campaign_ns = 0;
    campaign_soon(g, now,
                  tt_is_known(now->tt) && g->frozen_until > now->tt.earliest ? g->frozen_until - now->tt.earliest : 0);
}

/* ---- answers that waited for the disk ---------------------------------------------------------------------------- */

void ack_soon(struct px_group *g) {
    g->ack_due = g->following != 0 && g->following != g->self;
    g->ack_seq = g->records ? g->next_seq : g->next_seq - 1;
}

void acceptor_ready(struct px_group *g) {
    if (g->promise_due && g->promised_seq <= g->durable_seq) {
        g->promise_due = false;
        send_promise(g, g->promise_to, g->promise_replica, g->promise_from);
    }
    /* Whom we follow, too, is known only once the promise is: after a crash we might be free before the time (N-2). */
    bool mutant = chaos_mutant(g->chaos, "P-2: acknowledge before it is durable");
    if (!g->ack_due || ((g->ack_seq > g->durable_seq || g->promised_seq > g->durable_seq) && !mutant))
        return;
    g->ack_due = false;
    struct out_msg *o = out_new(g, PX_MSG_ACK, g->following, 0);
    if (!o)
        return;
    o->m.to_replica = g->follow_replica;
    o->m.slot = g->durable;
    o->m.commit = g->commit;
    o->m.truncated = g->truncated;
    o->m.support_epoch = g->frozen ? 0 : g->follow_epoch;
    out_send(g, o);
}
