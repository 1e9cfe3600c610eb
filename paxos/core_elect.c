/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_elect.c: campaigning, and how a candidate puts together what voters accepted.
 *
 * Phase 1 covers every slot above what the candidate knows to be chosen (P-3). Per slot the value of the highest ballot is
 * adopted (P-4); logs have no holes (P5). A voter that has truncated past the candidate's prefix holds chosen entries that the
 * candidate lacks: it needs a snapshot first (P-3).
 */
#include <stdlib.h>
#include <string.h>

#include "paxos/core_internal.h"

void election_free(struct px_group *g) {
    if (!g->el)
        return;
    for (size_t i = 0; i < g->el->count; i++)
        px_value_unref(g->el->best[i].value);
    free(g->el->best);
    free(g->el);
    g->el = NULL;
}

static bool is_witness(const struct px_group *g, px_store store) {
    const struct px_member *m = px_config_find(&g->config, store);
    return m && (m->flags & PX_WITNESS);
}

static bool may_lead(const struct px_group *g) {
    const struct px_member *m = self_in(g, &g->config);
    if (is_witness(g, g->self) && !chaos_mutant(g->chaos, "N-13: a witness campaigns"))
        return false;
    return px_is_voter(m) && !g->removed && !g->leaving && !g->need_snapshot;
}

void campaign_soon(struct px_group *g, const struct px_now *now, int64_t delay_ns) {
    if (g->role != PX_FOLLOWER || !may_lead(g))
        return;
    /* Candidates that keep getting into each other's way spread further and further apart. */
    uint64_t spread = ((uint64_t)g->limits.election_ns / 4) << (g->failures < 5 ? g->failures : 5);
    int64_t at = now->mono_ns + delay_ns + (int64_t)rng_below(&g->rng, spread + 1);
    if (!g->campaign_ns || at < g->campaign_ns)
        g->campaign_ns = at;
}

/* ---- gathering --------------------------------------------------------------------------------------------------- */

static void drop_after(struct election *el, px_slot slot) {
    while (el->count > 0 && el->from + el->count - 1 > slot)
        px_value_unref(el->best[--el->count].value);
}

/* Adds one voter's entry, in slot order. P-4: the highest ballot wins; P5: what stands above the loser, in the log that it
 * came from, goes with it. False: nothing above this slot counts of this voter's log. */
static bool merge(struct px_group *g, const struct px_entry *e) {
    struct election *el = g->el;
    bool lower = chaos_mutant(g->chaos, "P-4: adopt the lowest ballot");
    if (e->slot < el->from)
        return true;
    CHECKF(e->slot <= el->from + el->count, "group %llu slot %llu: a log with a hole", (unsigned long long)g->id,
           (unsigned long long)e->slot); /* P5: on_promise goes by p->fetch */
    struct px_entry *b = &el->best[e->slot - el->from];
    if (e->slot == el->from + el->count) {
        *b = *e;
        px_value_ref(b->value);
        el->count++;
        return true;
    }
    int order = px_ballot_cmp(&e->ballot, &b->ballot);
    bool same = px_ballot_cmp(&e->value->origin, &b->value->origin) == 0;
    if (lower ? order > 0 : order < 0)
        return same;
    if (!same) {
        chaos_probe(g->chaos, "paxos: a candidate left aside what a later ballot contradicts");
        drop_after(el, e->slot);
        /* Who has answered in part: whether its rest counts is seen only from the beginning again. */
        for (uint32_t i = 0; i < g->peers; i++)
            if (g->peer[i].promised && !g->peer[i].complete)
                g->peer[i].fetch = el->from;
    }
    px_value_ref(e->value);
    px_value_unref(b->value);
    *b = *e;
    return true;
}

static bool reserve(struct election *el, size_t count) {
    if (count <= el->cap)
        return true;
    size_t cap = el->cap ? el->cap : 16;
    while (cap < count)
        cap *= 2;
    struct px_entry *best = realloc(el->best, cap * sizeof *best);
    if (!best)
        return false;
    el->best = best;
    el->cap = cap;
    return true;
}

static bool merge_own(struct px_group *g) {
    px_slot last = log_last(g);
    if (last < g->el->from)
        return true;
    if (!reserve(g->el, (size_t)(last - g->el->from + 1)))
        return false;
    for (px_slot slot = g->el->from; slot <= last; slot++)
        CHECK(merge(g, &log_get(g, slot)->e));
    return true;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* Voters of our configuration, and of a newer one met in an answer (N-15). */
static void prepare_send(struct px_group *g, const struct px_now *now) {
    g->el->resend_ns = now->mono_ns + g->limits.retry_ns;
    for (uint32_t i = 0; i < g->peers; i++) {
        struct px_peer *p = &g->peer[i];
        bool voter = px_is_voter(px_config_find(&g->config, p->store)) ||
                     (g->el->seen.epoch && px_is_voter(px_config_find(&g->el->seen, p->store)));
        if (p->store == g->self || !voter || p->complete)
            continue;
        struct out_msg *o = out_new(g, p->promised ? PX_MSG_FETCH : PX_MSG_PREPARE, p->store, 0);
        if (!o)
            continue;
        o->m.to_replica = p->replica;
        o->config = g->el->seen.epoch > g->config.epoch ? g->el->seen : g->config;
        o->m.config = &o->config;
        o->m.slot = p->promised ? p->fetch : g->el->from;
        o->m.asked = g->el->ticket;
        o->m.prior = g->el->prior;
        o->m.support_epoch = support_epoch_to(g->support, p->store);
        if (g->el->seen.epoch > o->m.config_epoch)
            o->m.config_epoch = g->el->seen.epoch;
        out_send(g, o);
    }
}

static enum rc start(struct px_group *g, const struct px_now *now, const struct px_ballot *ticket) {
    struct px_ballot former = g->promised;
    int64_t bound = support_restart_bound(g->support, now, born_sole(g));
    election_free(g);
    g->el = calloc(1, sizeof *g->el);
    if (!g->el || peers_rebuild(g))
        return RC_NOMEM;
    unfollow(g);
    if (bound > g->t_max)
        g->t_max = bound;
    g->el->from = g->commit + 1;
    g->el->prior = g->commit_origin;
    g->el->ticket = *ticket;
    g->el->until = g->t_max;
    g->el->former = former;
    g->el->chosen = g->commit;
    g->el->began_ns = now->mono_ns;
    struct px_ballot ballot = {(former.round > g->round_seen ? former.round : g->round_seen) + 1, g->self,
                               g->incarnation}; /* P-1 */
    if (!merge_own(g) || record_reserve(g, 1))
        return RC_NOMEM;
    promise_ballot(g, &ballot);
    g->round_seen = ballot.round;
    become(g, PX_CANDIDATE);
    g->following = g->self;
    g->lease_used = 0;
    g->promise_due = false;
    g->ack_due = false;
    g->campaign_ns = 0;
    recount_accepted(g);
    for (uint32_t i = 0; i < g->peers; i++) {
        g->peer[i].promised = g->peer[i].complete = g->peer[i].nudged = false;
        g->peer[i].fetch = g->el->from;
    }
    prepare_send(g, now);
    return RC_OK;
}

/* Tries to become a candidate: our own voter must be free to promise, as for any other candidate. */
static enum rc try_start(struct px_group *g, const struct px_now *now, const struct px_ballot *ticket) {
    if (!may_lead(g))
        return RC_UNSUPPORTED;
    if (!tt_is_known(now->tt))
        return RC_UNSYNCED;
    /* P-13: a store that asks for no support would win, serve nothing for want of a lease, and keep a fit one from leading. */
    if (support_paused(g->support) && !sole_voter(g) && !chaos_mutant(g->chaos, "P-13: an unfit store campaigns")) {
        campaign_soon(g, now, g->limits.election_ns);
        return RC_BUSY;
    }
    int64_t until = refuse_until(g, now, g->self, ticket);
    if (until) {
        campaign_soon(g, now, until == INT64_MAX ? g->limits.election_ns : until - now->tt.earliest);
        return until == INT64_MAX ? RC_UNSYNCED : RC_BUSY;
    }
    enum rc rc = start(g, now, ticket);
    if (rc) {
        election_free(g);
        campaign_soon(g, now, g->limits.election_ns);
    }
    return rc;
}

enum rc px_campaign(struct px_group *g, const struct px_now *now) {
    static const struct px_ballot none;
    if (leading(g))
        return RC_OK;
    return g->role == PX_CANDIDATE ? RC_OK : try_start(g, now, &none);
}

void on_take_over(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    /* The ticket is good only for the ballot that we promised last: the one that was released. */
    if (g->role != PX_FOLLOWER || px_ballot_cmp(&m->ballot, &g->promised) != 0 || g->following != m->from)
        return;
    chaos_probe(g->chaos, "paxos: asked to take over");
    struct px_ballot ticket = m->ballot;
    IGNORE(try_start(g, now, &ticket)); /* if not now, others campaign when support ends */
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static bool quorum_promised(struct px_group *g, const struct px_config *c) {
    uint32_t set = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct px_peer *p = c->member[i].store == g->self ? NULL : px_peer_find(g, c->member[i].store);
        bool yes = c->member[i].store == g->self ? g->promised_seq <= g->durable_seq : p && p->complete;
        set |= (uint32_t)yes << i;
    }
    return px_config_quorum(c, set);
}

static void maybe_lead(struct px_group *g, const struct px_now *now) {
    if (g->role != PX_CANDIDATE || !quorum_promised(g, &g->config))
        return;
    if (g->el->seen.epoch && !quorum_promised(g, &g->el->seen))
        return;
    if (!tt_is_known(now->tt))
        return; /* no floor without a clock; the tick gives up in time */
    lead(g, now);
}

void elect_durable(struct px_group *g, const struct px_now *now) {
    maybe_lead(g, now);
}

static void give_up(struct px_group *g, const struct px_now *now, int64_t delay_ns) {
    for (uint32_t i = 0; i < g->peers; i++)
        if (g->peer[i].promised)
            send_resign(g, g->peer[i].store, &g->promised);
    step_down(g);
    g->failures++;
    campaign_soon(g, now, delay_ns);
}

void on_promise(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    struct px_peer *p = px_peer_find(g, m->from);
    if (g->role != PX_CANDIDATE || !p || px_ballot_cmp(&m->ballot, &g->promised) != 0 || p->complete ||
        (p->replica && m->from_replica != p->replica))
        return;
    bool lacking = m->truncated >= g->el->from && !chaos_mutant(g->chaos, "P-3: fill what a voter truncated");
    if (lacking && is_witness(g, m->from)) { /* it has no data to give; some full voter of every quorum has (N-13) */
        p->promised = true;
        return;
    }
    if (lacking) { /* P-3: it has chosen entries that nobody will offer us */
        chaos_probe(g->chaos, "paxos: a candidate lacks what a voter has truncated");
        px_store from = m->from;
        give_up(g, now, g->limits.election_ns);
        g->need_snapshot = from;
        return;
    }
    bool more = m->more;
    if (m->entries && (m->entry[0].slot < g->el->from || m->entry[0].slot > p->fetch))
        return; /* a part that came before the one in front of it: asked for again */
    if (m->entries && !reserve(g->el, (size_t)(m->entry[m->entries - 1].slot - g->el->from + 1)))
        return; /* out of memory: asked again */
    for (size_t i = 0; i < m->entries; i++)
        if (m->entry[i].value->kind == PX_CONFIG && config_reserve_entry(g, &m->entry[i]))
            return;
    for (size_t i = 0; i < m->entries; i++)
        if (!merge(g, &m->entry[i])) {
            more = false;
            break;
        }
    if (m->commit > g->el->chosen)
        g->el->chosen = m->commit;
    if (m->until > g->el->until)
        g->el->until = m->until;
    if (px_ballot_cmp(&m->former, &g->el->former) > 0)
        g->el->former = m->former;
    p->promised = true;
    p->commit = m->commit;
    p->truncated = m->truncated;
    note_follow(p, m);
    p->fetch = m->slot + 1;
    p->complete = !more;
    if (more)
        g->el->resend_ns = now->mono_ns;
    maybe_lead(g, now);
}

void on_refuse(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    if (m->ballot.round > g->round_seen)
        g->round_seen = m->ballot.round;
    if (g->role != PX_CANDIDATE || px_ballot_cmp(&m->asked, &g->promised) != 0)
        return;
    if (m->config && m->config->epoch > g->config.epoch && m->config->epoch > g->el->seen.epoch) {
        if (!self_in(g, m->config)) {
            chaos_probe(g->chaos, "paxos: a removed replica campaigned");
            give_up(g, now, 4 * g->limits.election_ns);
            px_ask(g); /* the refuser's configuration may not be chosen */
            return;
        }
        g->el->seen = *m->config;
        if (peers_rebuild(g) == RC_OK)
            prepare_send(g, now);
        return;
    }
    if (px_ballot_cmp(&m->ballot, &g->promised) > 0) {
        give_up(g, now, g->limits.election_ns / 4);
        return;
    }
    /* A lease runs: more votes may come from others, but if this one was needed we wait for its end. Not less than a moment:
     * where our clock is ahead of the voter's, the end has passed here and not there, and a Prepare to all for each Refuse of
     * one would double the messages with every round trip. */
    if (m->until > 0 && tt_is_known(now->tt)) {
        int64_t wait = m->until - now->tt.earliest, least = g->limits.retry_ns / 32;
        int64_t at = now->mono_ns + (wait > g->limits.retry_ns ? g->limits.retry_ns : wait > least ? wait : least);
        if (at < g->el->resend_ns)
            g->el->resend_ns = at;
    }
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

void elect_tick(struct px_group *g, const struct px_now *now) {
    if (g->role == PX_CANDIDATE) {
        if (now->mono_ns - g->el->began_ns >= g->limits.election_ns)
            give_up(g, now, g->limits.election_ns / 2);
        else if (now->mono_ns >= g->el->resend_ns)
            prepare_send(g, now);
        return;
    }
    if (g->role == PX_FOLLOWER && g->campaign_ns && now->mono_ns >= g->campaign_ns) {
        g->campaign_ns = 0;
        static const struct px_ballot none;
        int64_t last, until = follow_until(g, &last);
        if (until && !px_after(now->tt, until)) {
            if (!g->heard) { /* promised, and never heard of again: ask what became of it */
                ack_soon(g);
                campaign_soon(g, now, g->limits.election_ns);
            }
            return;
        }
        if (try_start(g, now, &none) == RC_UNSYNCED)
            campaign_soon(g, now, g->limits.election_ns);
    }
}

int64_t elect_wake(const struct px_group *g) {
    if (g->role == PX_CANDIDATE) {
        int64_t end = g->el->began_ns + g->limits.election_ns;
        return g->el->resend_ns < end ? g->el->resend_ns : end;
    }
    return g->role == PX_FOLLOWER && g->campaign_ns ? g->campaign_ns : INT64_MAX;
}
