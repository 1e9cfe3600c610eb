/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_leader.c: a leader: its lease, its proposals, its followers.
 *
 * The lease on a group ends at the smallest T over the best quorum whose voters acknowledged that they follow this very
 * ballot under the epoch and incarnation that granted T (N-1); while a change of members is under way, in every
 * configuration that an elector could use (P-24). The leader's own voter is one of the quorum: it votes for nobody else
 * before the end that was relied on has passed.
 *
 * A follower's acknowledgement is one number: everything up to it is chosen or accepted at our ballot, durably. A slot is
 * chosen when a quorum's numbers have reached it: at one and the same ballot (P-4).
 */
#include <stdlib.h>
#include <string.h>

#include "paxos/core_internal.h"

enum { RTT_WEIGHT = 8, RTO_RTTS = 3, RTO_MOST = 10 };

struct px_peer *px_peer_find(struct px_group *g, px_store store) {
    for (uint32_t i = 0; i < g->peers; i++)
        if (g->peer[i].store == store)
            return &g->peer[i];
    return NULL;
}

static void peer_add(struct px_group *g, struct px_peer *v, uint32_t *n, const struct px_config *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        bool there = false;
        for (uint32_t k = 0; k < *n && !there; k++)
            there = v[k].store == c->member[i].store;
        if (there)
            continue;
        struct px_peer *old = px_peer_find(g, c->member[i].store);
        if (old && old->replica == c->member[i].replica)
            v[(*n)++] = *old;
        else
            v[(*n)++] = (struct px_peer){
                .store = c->member[i].store, .replica = c->member[i].replica, .probing = true, .must_send = true};
    }
}

/* The members of all configurations in play, with what is known of them. */
enum rc peers_rebuild(struct px_group *g) {
    struct px_peer v[3 * PX_MEMBERS_MAX];
    uint32_t n = 0;
    peer_add(g, v, &n, &g->config);
    peer_add(g, v, &n, &g->config_chosen);
    if (g->el && g->el->seen.epoch)
        peer_add(g, v, &n, &g->el->seen);
    struct px_peer *fit = malloc((n ? n : 1) * sizeof *fit);
    if (!fit)
        return RC_NOMEM;
    memcpy(fit, v, n * sizeof *fit);
    free(g->peer);
    g->peer = fit;
    g->peers = n;
    return RC_OK;
}

/* ---- lease ------------------------------------------------------------------------------------------------------- */

/* The end that the voters of one set grant: its majority-th largest T. */
static int64_t set_lease(struct px_group *g, const struct px_config *c, uint32_t flag) {
    int64_t t[PX_MEMBERS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct px_member *m = &c->member[i];
        if (!(m->flags & flag))
            continue;
        const struct px_peer *p = px_peer_find(g, m->store);
        int64_t until = m->store == g->self ? INT64_MAX
                        : p ? support_granted(g->support, p->store, p->follow_epoch, p->follow_incarnation)
                            : 0;
        uint32_t k = n++;
        for (; k > 0 && t[k - 1] < until; k--)
            t[k] = t[k - 1];
        t[k] = until;
    }
    return n ? t[n / 2] : INT64_MAX;
}

static int64_t config_lease(struct px_group *g, const struct px_config *c) {
    int64_t old = set_lease(g, c, PX_OLD), fresh = c->joint ? set_lease(g, c, PX_NEW) : INT64_MAX;
    return old < fresh ? old : fresh;
}

bool born_sole(const struct px_group *g) {
    return sole_voter(g) && g->config.epoch <= 1 && g->config_chosen.epoch <= 1;
}

bool sole_voter(const struct px_group *g) {
    for (uint32_t i = 0; i < g->config.count; i++)
        if (px_is_voter(&g->config.member[i]) && g->config.member[i].store != g->self)
            return false;
    for (uint32_t i = 0; i < g->config_chosen.count; i++)
        if (px_is_voter(&g->config_chosen.member[i]) && g->config_chosen.member[i].store != g->self)
            return false;
    return true;
}

static int64_t lease_end(struct px_group *g, const struct px_now *now) {
    if (!tt_is_known(now->tt))
        return 0;
    if (sole_voter(g))
        return now->tt.earliest + support_sole_lease_ns(g->support);
    if (chaos_mutant(g->chaos, "P-24: a lease by the old voters alone"))
        return set_lease(g, &g->config_chosen, PX_OLD);
    int64_t end = config_lease(g, &g->config);
    if (config_pending(g)) { /* P-24 */
        int64_t chosen = config_lease(g, &g->config_chosen);
        end = chosen < end ? chosen : end;
    }
    return end == INT64_MAX ? 0 : end;
}

int64_t px_lease_end(struct px_group *g, const struct px_now *now) {
    if (g->role != PX_OPENING && g->role != PX_OPEN)
        return 0;
    int64_t end = lease_end(g, now);
    if (end > g->lease_used) {
        g->lease_used = end;
        if (!sole_voter(
                g)) /* nobody waits for a sole voter's: what it has promised is noted when it stops (step_down) */
            support_note_used(g->support, end);
    }
    if (px_before(now->tt, end)) {
        g->quorum_ns = now->mono_ns;
        g->held = true;
    }
    return end;
}

bool px_leads(struct px_group *g, const struct px_now *now) {
    return g->role == PX_OPEN &&
           (px_before(now->tt, px_lease_end(g, now)) || chaos_mutant(g->chaos, "C-1: lease not checked"));
}

enum rc px_serve(struct px_group *g, const struct px_now *now, int64_t ts) {
    if (g->role != PX_OPEN && !(g->role == PX_OPENING && chaos_mutant(g->chaos, "P-5: serve before it is open")) &&
        !(g->role == PX_RELEASING && chaos_mutant(g->chaos, "N-3: serve after the release")))
        return RC_UNREACHABLE;
    int64_t end = g->role == PX_RELEASING ? INT64_MAX : px_lease_end(g, now);
    if (ts > end && !chaos_mutant(g->chaos, "S-2: timestamp beyond the lease"))
        return RC_UNSYNCED;
    px_raise_floor(g, ts);
    return RC_OK;
}

static void leader_chosen(struct px_group *g, const struct px_now *now, px_slot chosen);

/* ---- becoming a leader, and ceasing to be one -------------------------------------------------------------------- */

/* N-3, S-6: above everything that former leaders assigned, served or promised. */
static int64_t reign_floor(struct px_group *g, const struct px_now *now) {
    struct election *el = g->el;
    int64_t floor = g->floor; /* covers what is applied */
    const struct px_entry *last = NULL;
    for (px_slot slot = g->applied + 1; slot < el->from; slot++) {
        const struct log_slot *s = log_get(g, slot);
        CHECK(s && s->e.value);
        floor = value_floor(g, s->e.value) > floor ? value_floor(g, s->e.value) : floor;
    }
    for (size_t i = 0; i < el->count; i++) {
        last = &el->best[i];
        floor = value_floor(g, last->value) > floor ? value_floor(g, last->value) : floor;
    }
    /* Nobody has led since we did: what was promised meanwhile is what we know of. */
    if (!px_ballot_is_zero(&g->reign) && px_ballot_cmp(&g->reign, &el->former) == 0) {
        chaos_probe(g->chaos, "paxos: a reign went on under a new ballot");
        return floor;
    }
    bool released = last && last->value->kind == PX_RELEASE && px_ballot_cmp(&last->value->origin, &el->former) == 0;
    if (released) {
        chaos_probe(g->chaos, "paxos: a reign began on a release");
        return floor;
    }
    if (chaos_mutant(g->chaos, "S-6: forget former promises"))
        return floor;
    if (el->until > floor)
        floor = el->until;
    if (now->tt.latest > floor)
        floor = now->tt.latest;
    return floor;
}

/* A value of 8 bytes: a floor or an s_max. */
static struct px_value *value_of_i64(enum px_kind kind, int64_t x) {
    return px_value_new(kind, &x, sizeof x);
}

static enum rc repropose(struct px_group *g) {
    struct election *el = g->el;
    for (size_t i = 0; i < el->count; i++) {
        struct px_value *v = el->best[i].value;
        enum rc rc = log_put(g, el->from + i, &g->promised, v);
        if (rc)
            return rc;
        g->inflight += entry_cost(v);
    }
    return RC_OK;
}

/* The first entry of its own, and the last thing before it opens. Not above a configuration that is still to be decided
 * (N-15): then it waits for that. */
static enum rc propose_start(struct px_group *g) {
    if (config_pending(g) && !chaos_mutant(g->chaos, "N-15: propose above an undecided configuration")) {
        chaos_probe(g->chaos, "paxos: a reign waited for a configuration to be decided");
        return RC_OK;
    }
    struct px_value *v = value_of_i64(PX_START, g->floor);
    enum rc rc = v ? propose_value(g, v) : RC_NOMEM;
    px_value_unref(v);
    if (!rc)
        g->opened_at = g->proposed;
    return rc;
}

void lead(struct px_group *g, const struct px_now *now) {
    struct election *el = g->el;
    g->floor = reign_floor(g, now);
    g->pledged = INT64_MIN;
    g->inflight = 0;
    become(g, PX_OPENING);
    g->proposed = el->from + el->count - 1;
    g->opened_at = 0;
    px_slot chosen = el->chosen;
    CHECK(chosen <= g->proposed); /* what is chosen, a quorum has offered */
    struct px_config before = g->config;
    enum rc rc = repropose(g);
    election_free(g);
    config_recompute(g);
    note_voter(g, now, &before);
    if (!rc)
        rc = propose_start(g);
    if (rc) { /* what was put is harmless: accepted at a ballot that nobody leads any more */
        px_resign(g, now);
        return;
    }
    g->reign = g->promised;
    g->failures = 0;
    g->quorum_ns = now->mono_ns;
    g->held = false;
    g->transfer_to = 0;
    for (uint32_t i = 0; i < g->peers; i++) {
        struct px_peer *p = &g->peer[i];
        p->probing = !p->promised;
        p->match = 0;
        p->next = p->commit + 1;
        p->inflight = 0;
        p->sent_ns = 0;
        p->must_send = true;
        p->reading = p->snapshot_wanted = p->snapshot_sending = false;
        p->read_from = 0;
        p->told = 0;
    }
    extend_accepted(g);
    leader_chosen(g, now, chosen);
    leader_commit(g, now);
}

/* N-3: nothing was assigned, read, closed, or allowed and is not settled, above it. */
static int64_t s_max_of(const struct px_group *g) {
    bool forget = chaos_mutant(g->chaos, "N-3: s_max leaves out what was allowed");
    return g->pledged > g->floor && !forget ? g->pledged : g->floor;
}

void step_down(struct px_group *g) {
    if (g->role == PX_FOLLOWER)
        return;
    if (g->lease_used > g->t_max)
        g->t_max = g->lease_used;
    if (leading(g)) /* for a clean stop's mark (N-2) */
        support_note_used(g->support, sole_voter(g) ? s_max_of(g) : g->lease_used);
    become(g, PX_FOLLOWER);
    if (g->following == g->self)
        g->following = 0;
    election_free(g);
    free(g->peer);
    g->peer = NULL;
    g->peers = 0;
    g->inflight = 0;
    g->transfer_to = 0;
    g->commit_due_ns = 0;
}

/* ---- proposing --------------------------------------------------------------------------------------------------- */

enum rc propose_value(struct px_group *g, struct px_value *v) {
    v->origin = g->promised;
    enum rc rc = log_put(g, g->proposed + 1, &g->promised, v);
    if (rc)
        return rc;
    g->proposed++;
    g->inflight += entry_cost(v);
    extend_accepted(g);
    return RC_OK;
}

enum rc px_propose(struct px_group *g, const struct px_now *now, struct px_value *v, int64_t min_ts,
                   px_slot *ret_slot) {
    if (g->role != PX_OPEN)
        return RC_UNREACHABLE; /* P-5 */
    if (config_pending(g) || g->inflight + entry_cost(v) > g->limits.inflight_bytes)
        return RC_OVERLOAD; /* N-15, P-14 */
    int64_t ts = 0;
    if (min_ts) {
        ts = g->floor + 1 > min_ts ? g->floor + 1 : min_ts;
        if (ts > px_lease_end(g, now) && !chaos_mutant(g->chaos, "S-2: timestamp beyond the lease"))
            return RC_UNSYNCED; /* S-2 */
    }
    v->ts = ts;
    enum rc rc = propose_value(g, v);
    if (rc)
        return rc;
    if (ts)
        g->floor = ts; /* S-4: slot and timestamp in one step */
    *ret_slot = g->proposed;
    return RC_OK;
}

enum rc px_transfer(struct px_group *g, const struct px_now *now, px_store to) {
    const struct px_member *m = px_config_find(&g->config, to);
    if (g->role != PX_OPEN)
        return RC_UNREACHABLE;
    if (to == g->self)
        return RC_OK;
    if (!px_is_voter(m) || (m->flags & PX_WITNESS) || config_pending(g))
        return RC_INVAL;
    if (!support_alive(g->support, to))
        return RC_UNREACHABLE;
    (void)now;
    int64_t s_max = chaos_mutant(g->chaos, "S-1: s_max leaves out what was read") ? 1 : s_max_of(g);
    struct px_value *v = value_of_i64(PX_RELEASE, s_max);
    enum rc rc = v ? propose_value(g, v) : RC_NOMEM;
    px_value_unref(v);
    if (rc)
        return rc;
    become(g, PX_RELEASING); /* from here on nothing is read, assigned or proposed in this ballot */
    g->transfer_to = to;
    struct px_peer *p = px_peer_find(g, to);
    if (p)
        p->must_send = true;
    return RC_OK;
}

/* The slot from which this replica knows its configuration. */
static px_slot config_known_at(const struct px_group *g) {
    return g->config_slot ? g->config_slot : g->applied;
}

static bool is_member(const struct px_config *c, const struct px_msg *m) {
    const struct px_member *member = px_config_find(c, m->from);
    return member && member->replica == m->from_replica;
}

/* P-22: a quorum of those who stay holds the configuration in its durable state, so that whoever leads later knows it was
 * chosen. Before that a vote of those who left may be needed. */
static bool change_settled(struct px_group *g) {
    const struct px_config *c = &g->config_chosen;
    uint32_t set = 0;
    if (chaos_mutant(g->chaos, "P-22: a removed replica goes at once"))
        return true;
    if (config_pending(g) || c->joint)
        return false;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct px_peer *p = px_peer_find(g, c->member[i].store);
        px_slot truncated = c->member[i].store == g->self ? g->truncated : p ? p->truncated : 0;
        set |= (uint32_t)(truncated >= g->config_chosen_slot) << i;
    }
    return px_config_quorum(c, set);
}

void px_ask(struct px_group *g) {
    const struct px_config *c = g->newer ? g->newer : &g->config;
    for (uint32_t i = 0; i < c->count; i++) {
        struct out_msg *o = c->member[i].store == g->self ? NULL : out_new(g, PX_MSG_ASK, c->member[i].store, 0);
        if (!o)
            continue;
        o->m.slot = config_known_at(g);
        out_send(g, o);
    }
}

void on_ask(struct px_group *g, const struct px_msg *m) {
    struct px_peer *p = px_peer_find(g, m->from);
    if (leading(g) && p)
        p->must_send = true;
    bool ours = m->ballot.store == g->self && m->ballot.incarnation == g->incarnation;
    if (ours && (g->role == PX_FOLLOWER || px_ballot_cmp(&m->ballot, &g->promised) != 0))
        send_resign(g, m->from, &m->ballot); /* it follows us in a ballot that we gave up */
    if (g->commit < m->slot || is_member(&g->config, m) || is_member(&g->config_chosen, m))
        return;
    struct out_msg *o = out_new(g, PX_MSG_REMOVED, m->from, 0);
    if (!o)
        return;
    o->config = g->config_chosen;
    o->m.config = &o->config;
    o->m.commit = g->commit;
    o->m.more = !leading(g) || !change_settled(g);
    o->m.to_replica = m->from_replica;
    out_send(g, o);
}

void on_removed(struct px_group *g, const struct px_msg *m) {
    if (!m->config || self_in(g, m->config))
        return;
    if (m->commit < config_known_at(g))
        return;
    /* What we know of our membership is from a slot that is decided there: it was not chosen, or is superseded. */
    if (!m->more) {
        g->removed = true;
        return;
    }
    g->leaving = true;
    if (!g->newer)
        g->newer = malloc(sizeof *g->newer);
    if (g->newer)
        *g->newer = *m->config;
}

void send_resign(struct px_group *g, px_store to, const struct px_ballot *ballot) {
    struct out_msg *o = to == g->self ? NULL : out_new(g, PX_MSG_RESIGN, to, 0);
    if (!o)
        return;
    o->m.ballot = *ballot;
    o->m.until = g->lease_used > g->t_max ? g->lease_used : g->t_max;
    out_send(g, o);
}

void px_resign(struct px_group *g, const struct px_now *now) {
    if (!leading(g))
        return;
    chaos_probe(g->chaos, "paxos: resigned");
    for (uint32_t i = 0; i < g->peers; i++)
        send_resign(g, g->peer[i].store, &g->promised);
    step_down(g);
    if (!chaos_mutant(g->chaos, "N-14: campaign again at once"))
        campaign_soon(g, now, support_lease_ns(g->support));
}

/* ---- followers --------------------------------------------------------------------------------------------------- */

static void rtt_sample(struct px_peer *p, const struct px_now *now) {
    if (!p->rtt_slot || p->match < p->rtt_slot)
        return;
    int64_t rtt = now->mono_ns - p->rtt_sent_ns;
    p->rtt_ns = p->rtt_ns ? p->rtt_ns + (rtt - p->rtt_ns) / RTT_WEIGHT : rtt;
    p->rtt_slot = 0;
}

static int64_t retry_after(const struct px_group *g, const struct px_peer *p) {
    int64_t rto = p->rtt_ns * RTO_RTTS, most = g->limits.retry_ns * RTO_MOST;
    return rto < g->limits.retry_ns ? g->limits.retry_ns : rto < most ? rto : most;
}

static size_t bytes_between(const struct px_group *g, px_slot after, px_slot before) {
    size_t bytes = 0;
    for (px_slot s = after + 1; s < before; s++) {
        const struct log_slot *l = log_get(g, s);
        bytes += l && l->e.value ? l->e.value->bytes : 0;
    }
    return bytes;
}

void note_follow(struct px_peer *p, const struct px_msg *m) {
    /* Answers come late too; an older one must not take away what a newer one gave. */
    if (m->incarnation < p->follow_incarnation ||
        (m->incarnation == p->follow_incarnation && m->support_epoch <= p->follow_epoch))
        return;
    p->follow_epoch = m->support_epoch;
    p->follow_incarnation = m->incarnation;
}

/* The voters' answers to the Accept under which they accept: at what ballot is all that matters (P-4). */
static bool answers_us(const struct px_group *g, const struct px_peer *p, const struct px_msg *m) {
    bool replica = !p->replica || m->from_replica == p->replica ||
                   chaos_mutant(g->chaos, "P-23: a wiped disk comes back as who it was");
    bool ballot = px_ballot_cmp(&m->ballot, &g->promised) == 0 ||
                  chaos_mutant(g->chaos, "P-4: count what was accepted at other ballots");
    return replica && ballot && m->slot <= g->proposed && m->incarnation >= p->acked_incarnation;
}

void on_ack(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    struct px_peer *p = px_peer_find(g, m->from);
    bool ours = px_ballot_cmp(&m->ballot, &g->promised) == 0 && g->role != PX_FOLLOWER;
    if (!ours && m->ballot.store == g->self && m->ballot.incarnation == g->incarnation)
        send_resign(g, m->from, &m->ballot); /* it follows us in a ballot that we gave up */
    if (g->role == PX_CANDIDATE && p && !p->promised && !p->nudged) {
        p->nudged = true; /* once: who refuses answers with such an acknowledgement too */
        g->el->resend_ns = now->mono_ns;
    }
    if (!leading(g) || !p || !answers_us(g, p, m))
        return;
    if (m->incarnation != p->acked_incarnation) { /* restarted: what it knows to be chosen it may have forgotten */
        p->acked_incarnation = m->incarnation;
        p->match = m->slot < p->match ? m->slot : p->match;
        p->next = p->match + 1;
        p->inflight = 0;
    }
    bool progress = m->slot > p->match || m->commit > p->commit;
    if (m->slot > p->match) {
        size_t acked = bytes_between(g, p->match, m->slot + 1 < p->next ? m->slot + 1 : p->next);
        p->inflight -= acked < p->inflight ? acked : p->inflight; /* part of it may have left memory meanwhile */
        p->match = m->slot;
    }
    if (p->probing || p->next <= p->match)
        p->next = p->match + 1;
    if (p->next == p->match + 1)
        p->inflight = 0;
    p->probing = false;
    p->commit = m->commit;
    /* Only progress starts the wait for the rest anew: answers to other things must not keep a lost part from being sent. */
    if (p->next == p->match + 1 && p->commit >= p->told)
        p->sent_ns = 0;
    else if (progress || !p->sent_ns)
        p->sent_ns = now->mono_ns;
    p->truncated = m->truncated;
    note_follow(p, m);
    rtt_sample(p, now);
    leader_chosen(g, now, m->commit); /* what a follower knows to be chosen is */
    leader_commit(g, now);
}

void on_reject(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    if (m->ballot.round > g->round_seen)
        g->round_seen = m->ballot.round;
    bool outdated = m->config && m->config->epoch > g->config.epoch; /* N-15: chosen, and we have never heard of it */
    if (!leading(g) || px_ballot_cmp(&m->asked, &g->promised) != 0 ||
        (!outdated && px_ballot_cmp(&m->ballot, &g->promised) <= 0))
        return;
    chaos_probe(g->chaos, "paxos: a leader met a higher ballot");
    /* While our lease holds, nobody else can lead: somebody half cut off has promised itself. We go on above that at once, as
     * the owner of the ballot that all the others promised. */
    if (!outdated && g->role == PX_OPEN && px_before(now->tt, lease_end(g, now))) {
        step_down(g);
        IGNORE(px_campaign(g, now));
        return;
    }
    for (uint32_t i = 0; i < g->peers; i++)
        send_resign(g, g->peer[i].store, &g->promised); /* whoever still follows us need not wait for all of T */
    step_down(g);
    if (outdated)
        px_ask(g);
    campaign_soon(g, now, g->limits.election_ns);
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

/* The highest slot that the voters of one set have accepted in majority. */
static px_slot set_match(struct px_group *g, const struct px_config *c, uint32_t flag) {
    px_slot t[PX_MEMBERS_MAX];
    uint32_t n = 0;
    bool any = chaos_mutant(g->chaos, "P-7: count learners");
    for (uint32_t i = 0; i < c->count; i++) {
        const struct px_member *m = &c->member[i];
        if (!(m->flags & flag) && !(any && !(m->flags & (PX_OLD | PX_NEW))))
            continue;
        const struct px_peer *p = px_peer_find(g, m->store);
        px_slot match = m->store == g->self ? g->durable : p ? p->match : 0;
        uint32_t k = n++;
        for (; k > 0 && t[k - 1] < match; k--)
            t[k] = t[k - 1];
        t[k] = match;
    }
    if (any && n > 1)
        return t[n / 2 - 1 + n % 2]; /* the mutant's quorum also counts them */
    return n ? t[n / 2] : UINT64_MAX;
}

static px_slot config_match(struct px_group *g, const struct px_config *c) {
    px_slot old = set_match(g, c, PX_OLD), fresh = c->joint ? set_match(g, c, PX_NEW) : UINT64_MAX;
    if (chaos_mutant(g->chaos, "P-7: a joint configuration by its old voters alone"))
        return old;
    return old < fresh ? old : fresh;
}

/* All up to `chosen` is chosen. */
static void leader_chosen(struct px_group *g, const struct px_now *now, px_slot chosen) {
    px_slot from = g->commit + 1;
    if (chosen > g->proposed)
        chosen = g->proposed;
    if (chosen < from || !leading(g))
        return;
    for (px_slot slot = from; slot <= chosen; slot++) {
        const struct log_slot *s = log_get(g, slot);
        CHECK(s && s->e.value);
        g->inflight -= g->inflight < entry_cost(s->e.value) ? g->inflight : entry_cost(s->e.value);
    }
    set_commit(g, chosen);
    extend_accepted(g);
    if (!g->commit_due_ns)
        g->commit_due_ns = now->mono_ns + g->limits.commit_delay_ns;
    for (px_slot slot = from; slot <= chosen && leading(g); slot++) {
        const struct log_slot *s = log_get(g, slot);
        if (s->e.value->kind == PX_CONFIG)
            config_committed(g, now, &s->e);
    }
    if (g->role == PX_OPENING && !g->opened_at && !config_pending(g) && propose_start(g))
        px_resign(g, now); /* out of memory */
    finish_change(g, now);
    /* The release is chosen: a last word to the successor, in case the first was lost. */
    if (g->role == PX_RELEASING && g->commit == g->proposed) {
        struct px_peer *p = px_peer_find(g, g->transfer_to);
        if (p)
            p->must_send = true;
    }
}

void leader_commit(struct px_group *g, const struct px_now *now) {
    if (!leading(g))
        return;
    px_slot chosen = config_match(g, &g->config);
    if (config_pending(g)) { /* a configuration entry needs the quorums of what was and what comes */
        px_slot before = config_match(g, &g->config_chosen);
        chosen = before < chosen ? before : chosen;
    }
    leader_chosen(g, now, chosen);
}

void leader_applied(struct px_group *g, const struct px_now *now) {
    if (g->role == PX_OPENING && g->opened_at && g->applied >= g->opened_at)
        become(g, PX_OPEN); /* P-5 */
    finish_change(g, now);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void send_take_over(struct px_group *g, struct px_peer *p) {
    struct out_msg *o = out_new(g, PX_MSG_TAKE_OVER, p->store, 0);
    if (!o)
        return;
    o->m.to_replica = p->replica;
    out_send(g, o);
}

/* One Accept with what fits from p->next; without entries it is a probe and carries the commit index. */
static bool send_accept(struct px_group *g, struct px_peer *p, const struct px_now *now) {
    size_t n = 0, bytes = 0;
    px_slot end = p->next;
    if (!p->probing)
        for (; end <= g->proposed && end - p->match <= g->limits.peer_entries; end++, n++) {
            const struct log_slot *s = log_get(g, end);
            if (!s || !s->e.value || (n && bytes + s->e.value->bytes > g->limits.message_bytes))
                break;
            bytes += s->e.value->bytes;
        }
    struct out_msg *o = out_new(g, PX_MSG_ACCEPT, p->store, n);
    if (!o)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct log_slot *s = log_get(g, p->next + i);
        o->entry[i] = s->e;
        o->entry[i].ballot = g->promised;
        px_value_ref(s->e.value);
    }
    o->m.entries = n;
    o->m.to_replica = p->replica;
    o->m.commit = g->commit;
    o->m.truncated = px_settled(g);
    o->m.support_epoch = support_epoch_to(g->support, p->store);
    out_send(g, o);
    if (!p->sent_ns)
        p->sent_ns = now->mono_ns;
    if (n && !p->rtt_slot) {
        p->rtt_slot = end - 1;
        p->rtt_sent_ns = now->mono_ns;
    }
    p->next = end;
    p->inflight += bytes;
    p->told = g->commit;
    p->must_send = false;
    return n > 0;
}

/* It tells us how far it is, and goes on following us meanwhile. */
static void probe(struct px_group *g, struct px_peer *p, const struct px_now *now) {
    bool probing = p->probing;
    p->probing = true;
    send_accept(g, p, now);
    p->probing = probing;
    p->sent_ns = 0;
}

/* What p lacks is not in memory: it is read from disk, or a snapshot is needed. Two parts may be under way at most (P-14). */
static bool off_memory(struct px_group *g, struct px_peer *p) {
    if (p->probing || p->next >= g->log.first || p->next > g->proposed)
        return false;
    if (p->next <= g->truncated)
        p->snapshot_wanted = !p->snapshot_sending;
    else if (p->match + 1 >= p->read_from && !p->snapshot_wanted)
        p->reading = true;
    return true;
}

static void flush_peer(struct px_group *g, struct px_peer *p, const struct px_now *now, bool commit_due) {
    if (p->store == g->self)
        return;
    if (p->snapshot_sending) {
        if (p->must_send)
            probe(g, p, now);
        return;
    }
    if (p->must_send && g->role == PX_RELEASING && p->store == g->transfer_to)
        send_take_over(g, p);
    if (off_memory(g, p)) {
        if (p->must_send)
            probe(g, p, now);
        return;
    }
    while (!p->probing && p->next <= g->proposed && p->inflight < g->limits.peer_bytes &&
           p->next - p->match <= g->limits.peer_entries)
        if (!send_accept(g, p, now))
            return;
    if (p->must_send || (commit_due && p->told < g->commit))
        send_accept(g, p, now);
}

void leader_flush(struct px_group *g, const struct px_now *now) {
    if (!leading(g))
        return;
    bool due = g->commit_due_ns && now->mono_ns >= g->commit_due_ns;
    for (uint32_t i = 0; i < g->peers; i++)
        flush_peer(g, &g->peer[i], now, due);
    if (due)
        g->commit_due_ns = 0;
    if (g->commit_due_ns) { /* it rode on entries to everybody: nothing left to tell */
        bool told = true;
        for (uint32_t i = 0; i < g->peers; i++)
            told &= g->peer[i].store == g->self || g->peer[i].told >= g->commit || g->peer[i].snapshot_sending;
        if (told)
            g->commit_due_ns = 0;
    }
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static void retry_peer(struct px_group *g, struct px_peer *p, const struct px_now *now) {
    if (!p->sent_ns || p->store == g->self || now->mono_ns - p->sent_ns < retry_after(g, p))
        return;
    p->sent_ns = 0;
    p->rtt_slot = 0;
    p->read_from = 0;
    if (!support_alive(g->support, p->store)) {
        p->probing = true; /* quiet until its store answers again: px_support_changed */
        p->inflight = 0;
        return;
    }
    if (p->next > p->match + 1 && !p->probing)
        p->next = p->match + 1;
    p->inflight = 0;
    p->must_send = true;
}

void leader_tick(struct px_group *g, const struct px_now *now) {
    if (!leading(g))
        return;
    for (uint32_t i = 0; i < g->peers; i++)
        retry_peer(g, &g->peer[i], now);
    finish_change(g, now);
    int64_t end = lease_end(g, now);
    bool holds = px_before(now->tt, end);
    /* An idle leader looks rarely. What ended by itself was last renewed a lease before; what is void because a voter restarted
     * or started a new epoch is given the time to be granted anew. */
    if (g->role != PX_RELEASING && (holds || (g->held && !end)))
        g->quorum_ns = now->mono_ns;
    g->held = holds;
    /* N-14: no quorum for a lease, or a release that nobody took up: give up this group alone. */
    if (now->mono_ns - g->quorum_ns > support_lease_ns(g->support))
        px_resign(g, now);
}

/* A leader with everything acknowledged and its lease holding asks for no wake-up: idle groups cost nothing. */
int64_t leader_wake(const struct px_group *g) {
    int64_t wake = INT64_MAX;
    if (!leading(g))
        return wake;
    for (uint32_t i = 0; i < g->peers; i++) {
        const struct px_peer *p = &g->peer[i];
        if (p->sent_ns && p->store != g->self && p->sent_ns + retry_after(g, p) < wake)
            wake = p->sent_ns + retry_after(g, p);
    }
    if (g->commit_due_ns && g->commit_due_ns < wake)
        wake = g->commit_due_ns;
    if (g->role != PX_OPEN || g->commit < g->proposed || g->config_chosen.joint || !g->held) {
        int64_t resign = g->quorum_ns + support_lease_ns(g->support) + 1;
        wake = resign < wake ? resign : wake;
    }
    return wake;
}

void px_support_changed(struct px_group *g, const struct px_now *now, px_store peer) {
    int64_t last;
    if (leading(g)) {
        struct px_peer *p = px_peer_find(g, peer);
        if (!p)
            return;
        /* A new epoch or incarnation: what it acknowledged is void, it is to follow anew. */
        if (p->probing || p->follow_epoch != support_epoch_to(g->support, peer) ||
            !support_granted(g->support, peer, p->follow_epoch, p->follow_incarnation)) {
            p->must_send = true;
            p->sent_ns = 0;
        }
        leader_tick(g, now);
        return;
    }
    if (g->role == PX_FOLLOWER && g->following == peer && !follow_until(g, &last))
        campaign_soon(g, now, 0);
}

/* ---- entries from disk, snapshots -------------------------------------------------------------------------------- */

bool px_want_read(const struct px_group *g, px_store *ret_to, px_slot *ret_first) {
    for (uint32_t i = 0; leading(g) && i < g->peers; i++)
        if (g->peer[i].reading && support_alive(g->support, g->peer[i].store)) {
            *ret_to = g->peer[i].store;
            *ret_first = g->peer[i].next;
            return true;
        }
    return false;
}

void px_read_done(struct px_group *g, const struct px_now *now, px_store to, const struct px_entry *e, size_t n) {
    struct px_peer *p = px_peer_find(g, to);
    if (!leading(g) || !p || !p->reading)
        return;
    p->reading = false;
    if (n && e[0].slot != p->next)
        return;
    p->read_from = p->next;
    if (!n) { /* not readable any more: a snapshot will do */
        p->snapshot_wanted = true;
        return;
    }
    struct out_msg *o = out_new(g, PX_MSG_ACCEPT, to, n);
    if (!o)
        return;
    for (size_t i = 0; i < n; i++) {
        o->entry[i] = e[i];
        o->entry[i].ballot = g->promised;
        px_value_ref(e[i].value);
    }
    o->m.entries = n;
    o->m.to_replica = p->replica;
    o->m.commit = g->commit;
    o->m.truncated = px_settled(g);
    o->m.support_epoch = support_epoch_to(g->support, to);
    out_send(g, o);
    p->next = e[n - 1].slot + 1;
    p->sent_ns = now->mono_ns;
    p->must_send = false;
}

bool px_want_snapshot(struct px_group *g, px_store *ret_to) {
    for (uint32_t i = 0; leading(g) && i < g->peers; i++)
        if (g->peer[i].snapshot_wanted && support_alive(g->support, g->peer[i].store)) {
            g->peer[i].snapshot_wanted = false;
            g->peer[i].snapshot_sending = true;
            *ret_to = g->peer[i].store;
            return true;
        }
    return false;
}

void px_snapshot_sent(struct px_group *g, const struct px_now *now, px_store to, bool ok) {
    struct px_peer *p = px_peer_find(g, to);
    (void)now, (void)ok;
    if (!leading(g) || !p || !p->snapshot_sending)
        return;
    p->snapshot_sending = false;
    p->probing = true; /* it tells how far it is now */
    p->must_send = true;
    p->sent_ns = 0;
}

/* ---- looking in -------------------------------------------------------------------------------------------------- */

px_slot px_needed(const struct px_group *g) {
    px_slot needed = UINT64_MAX;
    for (uint32_t i = 0; leading(g) && i < g->peers; i++) {
        const struct px_peer *p = &g->peer[i];
        /* One that has never answered in this reign may not even be there: it may wait for who was removed from its store,
         * who waits for the log to be cut (P-22). */
        if (p->store != g->self && p->acked_incarnation && support_alive(g->support, p->store) && p->match < needed)
            needed = p->match;
    }
    return needed;
}

static px_slot settled_in(const struct px_group *g, const struct px_config *c, uint32_t flag) {
    px_slot t[PX_MEMBERS_MAX];
    uint32_t n = 0, voters = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct px_member *m = &c->member[i];
        voters += (m->flags & flag) != 0;
        if (!(m->flags & flag) || (m->flags & PX_WITNESS))
            continue;
        px_slot slot = m->store == g->self ? g->truncated : 0;
        for (uint32_t k = 0; k < g->peers; k++)
            slot = g->peer[k].store == m->store && m->store != g->self ? g->peer[k].truncated : slot;
        uint32_t k = n++;
        for (; k > 0 && t[k - 1] < slot; k--)
            t[k] = t[k - 1];
        t[k] = slot;
    }
    return n > voters / 2 ? t[voters / 2] : 0; /* the (f+1)-th largest of 2f+1 */
}

px_slot px_settled(const struct px_group *g) {
    if (!leading(g) || config_pending(g))
        return 0;
    px_slot old = settled_in(g, &g->config, PX_OLD);
    px_slot fresh = g->config.joint ? settled_in(g, &g->config, PX_NEW) : old;
    return old < fresh ? old : fresh;
}

px_store px_successor(const struct px_group *g) {
    const struct px_peer *best = NULL;
    for (uint32_t i = 0; leading(g) && i < g->peers; i++) {
        const struct px_peer *p = &g->peer[i];
        const struct px_member *m = px_config_find(&g->config, p->store);
        if (p->store != g->self && px_is_voter(m) && !(m->flags & PX_WITNESS) && support_alive(g->support, p->store) &&
            (!best || p->match > best->match))
            best = p;
    }
    return best ? best->store : 0;
}

px_store px_silent(const struct px_group *g) {
    for (uint32_t i = 0; g->role == PX_OPEN && i < g->peers; i++)
        if (g->peer[i].store != g->self && !g->peer[i].acked_incarnation && support_alive(g->support, g->peer[i].store))
            return g->peer[i].store;
    return 0;
}

bool px_caught_up(const struct px_group *g, px_store store) {
    for (uint32_t i = 0; leading(g) && i < g->peers; i++) {
        const struct px_peer *p = &g->peer[i];
        if (p->store == store)
            return store == g->self || (support_alive(g->support, store) && !p->probing && !p->reading &&
                                        !p->snapshot_sending && p->match + g->limits.peer_entries >= g->commit);
    }
    return false;
}
