/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support.c: the asking side and the granting side, for each peer.
 *
 *     asker A                                 supporter v
 *     ASK(e, T = earliest + lease)   ->       T <= latest + lease, e not lapsed: given[A] = (e, T)
 *     granted[v] = (e, v's start, T) <-       GRANT(e, T)
 *                                             T surely past before the renewal came: lapsed for good
 *     epoch to v + 1, ask again      <-       REFUSE(e)
 *
 * Why epochs are not written to disk: (incarnation, counter) is new after a restart because the incarnation is.
 */
#include "paxos/support.h"

#include <stdlib.h>

enum { COUNTER_BITS = 32, PEERS_MAX = 65536 };

static const int64_t LEASE_NS = 3000000000, RENEW_NS = 500000000, SOLE_LEASE_NS = 100000000;

struct peer {
    struct map_node node;
    px_store store;
    uint32_t refs;

    /* asking */
    uint64_t counter;    /* of our epoch towards it */
    int64_t next_ask_ns; /* monotonic */
    int64_t asked_until;
    uint64_t granted_epoch, granted_incarnation;
    int64_t granted_until;
    int64_t answered_ns; /* monotonic; 0 = never, or not for a lease */
    int64_t
        heard_ns; /* monotonic: the last answer, or before the first one when it was asked first; 0 = not asked yet */

    /* granting */
    uint64_t incarnation;     /* the highest heard of */
    uint64_t given_epoch;     /* the highest granted */
    int64_t given_until;      /* under it */
    int64_t given_largest;    /* ever, this start */
    uint64_t withdrawn_epoch; /* up to here nothing is granted any more */
    bool lapsed;              /* given_epoch is withdrawn */
    bool told_lost;
};

struct px_support {
    struct support_init init;
    struct map peers;
    int64_t restart_until; /* N-2; 0 = not known yet */
    int64_t largest_granted;
    bool paused;
};

enum rc support_new(const struct support_init *init, struct px_support **ret) {
    struct px_support *s = calloc(1, sizeof *s);
    if (!s)
        return RC_NOMEM;
    s->init = *init;
    if (!s->init.lease_ns)
        s->init.lease_ns = LEASE_NS;
    if (!s->init.renew_ns)
        s->init.renew_ns = RENEW_NS;
    if (!s->init.sole_lease_ns)
        s->init.sole_lease_ns = SOLE_LEASE_NS;
    if (s->init.lease_ns_max < s->init.lease_ns)
        s->init.lease_ns_max = s->init.lease_ns;
    if (s->init.sole_lease_ns_max < s->init.sole_lease_ns)
        s->init.sole_lease_ns_max = s->init.sole_lease_ns;
    map_init(&s->peers);
    *ret = s;
    return RC_OK;
}

void support_free(struct px_support *s) {
    if (!s)
        return;
    map_for_each(n, &s->peers) {
        struct peer *p = container_of(n, struct peer, node);
        map_del(&s->peers, n);
        free(p);
    }
    map_done(&s->peers);
    free(s);
}

px_store support_self(const struct px_support *s) {
    return s->init.self;
}

uint64_t support_incarnation(const struct px_support *s) {
    return s->init.incarnation;
}

int64_t support_lease_ns(const struct px_support *s) {
    return s->init.lease_ns;
}

int64_t support_sole_lease_ns(const struct px_support *s) {
    return s->init.sole_lease_ns;
}

static struct peer *find(const struct px_support *s, px_store store) {
    for (struct map_node *n = map_first(&s->peers, hash_u64(store)); n; n = map_next(n))
        if (container_of(n, struct peer, node)->store == store)
            return container_of(n, struct peer, node);
    return NULL;
}

/* NULL: out of memory, or more peers than any cluster of ours has. */
static struct peer *find_or_add(struct px_support *s, px_store store) {
    struct peer *p = find(s, store);
    if (p || s->peers.count >= PEERS_MAX)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->store = store;
    p->lapsed = true; /* nothing granted yet */
    p->told_lost = true;
    map_put(&s->peers, &p->node, hash_u64(store));
    return p;
}

enum rc support_peer_ref(struct px_support *s, px_store store) {
    if (store == s->init.self)
        return RC_OK;
    struct peer *p = find_or_add(s, store);
    if (!p)
        return RC_NOMEM;
    p->refs++;
    return RC_OK;
}

void support_peer_unref(struct px_support *s, px_store store) {
    struct peer *p = find(s, store);
    if (store == s->init.self)
        return;
    CHECK(p && p->refs > 0);
    /* What was granted to it must be remembered, so an unused peer stays until the end; it is not asked any more. */
    p->refs--;
}

static uint64_t epoch_of(const struct px_support *s, const struct peer *p) {
    return s->init.incarnation << COUNTER_BITS | p->counter;
}

uint64_t support_epoch_to(const struct px_support *s, px_store supporter) {
    const struct peer *p = find(s, supporter);
    return p ? epoch_of(s, p) : s->init.incarnation << COUNTER_BITS;
}

int64_t support_granted(const struct px_support *s, px_store supporter, uint64_t epoch, uint64_t incarnation) {
    const struct peer *p = find(s, supporter);
    bool same = p && p->granted_epoch == epoch && p->granted_incarnation == incarnation && epoch == epoch_of(s, p);
    if (p && chaos_mutant(s->init.chaos, "N-1: a stale acknowledgement counts"))
        same = epoch != 0;
    return same ? p->granted_until : 0;
}

bool support_alive(const struct px_support *s, px_store peer) {
    const struct peer *p = find(s, peer);
    return p && p->answered_ns != 0;
}

int64_t support_given(const struct px_support *s, px_store leader, uint64_t epoch, int64_t *ret_last) {
    const struct peer *p = find(s, leader);
    if (!p)
        return 0;
    *ret_last = p->given_largest;
    return p->given_epoch == epoch && !p->lapsed ? p->given_until : 0;
}

void support_withdraw(struct px_support *s, px_store leader, uint64_t epoch) {
    struct peer *p = find(s, leader);
    if (chaos_mutant(s->init.chaos, "N-1: support does not lapse"))
        return;
    if (!p)
        return;
    if (epoch > p->withdrawn_epoch)
        p->withdrawn_epoch = epoch;
    if (p->given_epoch <= epoch)
        p->lapsed = true;
}

/* B of N-2, from the first moment that the clock is known: it does not begin anew for whoever asks late. */
static void restart_began(struct px_support *s, const struct px_now *now) {
    if (s->restart_until)
        return;
    if (s->init.clean_until)
        s->restart_until = s->init.clean_until;
    else if (tt_is_known(now->tt))
        s->restart_until = now->tt.latest + s->init.lease_ns_max;
}

int64_t support_restart_wait(struct px_support *s, const struct px_now *now, bool sole_voter) {
    if (chaos_mutant(s->init.chaos, "N-2: no wait after a restart"))
        return 0;
    restart_began(s, now);
    if (!s->restart_until)
        return INT64_MAX;
    /* A sole voter granted to nobody but itself, and only so far ahead. */
    int64_t until = s->restart_until;
    if (sole_voter && !s->init.clean_until)
        until += s->init.sole_lease_ns_max - s->init.lease_ns_max;
    return px_after(now->tt, until) ? 0 : until;
}

int64_t support_restart_bound(struct px_support *s, const struct px_now *now, bool sole_voter) {
    int64_t wait = support_restart_wait(s, now, sole_voter);
    if (wait == INT64_MAX || s->init.clean_until || !s->restart_until)
        return wait == INT64_MAX ? wait : s->init.clean_until;
    return s->restart_until + (sole_voter ? s->init.sole_lease_ns_max - s->init.lease_ns_max : 0);
}

void support_note_used(struct px_support *s, int64_t until) {
    if (until > s->largest_granted)
        s->largest_granted = until;
}

int64_t support_stop_mark(const struct px_support *s, bool born_sole) {
    int64_t before = s->init.clean_until ? s->init.clean_until : s->restart_until;
    if (born_sole && before && !s->init.clean_until)
        before += s->init.sole_lease_ns_max - s->init.lease_ns_max;
    if (!before || s->largest_granted == INT64_MAX)
        return 0; /* not synchronised since a start, or a new vote, that had to be: nothing to put a bound on */
    if (chaos_mutant(s->init.chaos, "N-2: a clean stop forgets what was granted"))
        return before;
    return before > s->largest_granted ? before : s->largest_granted;
}

/* ---- granting ---------------------------------------------------------------------------------------------------- */

static void lose(struct peer *p, const struct support_out *out) {
    if (!p->told_lost) {
        p->told_lost = true;
        out->changed(out->ctx, p->store, true);
    }
}

enum verdict { GRANT, LAPSED, IGNORE };

/* Whether (A, e) may be granted until T: N-1, N-12. */
static enum verdict judge(struct px_support *s, const struct px_now *now, struct peer *p, const struct support_msg *m) {
    if (m->incarnation < p->incarnation || m->epoch < p->given_epoch)
        return IGNORE; /* an old message */
    bool any = chaos_mutant(s->init.chaos, "N-12: grant any T");
    if (!tt_is_known(now->tt) || (m->until > now->tt.latest + s->init.lease_ns && !any)) {
        chaos_probe(s->init.chaos, "support: refused a T too far ahead");
        return IGNORE;
    }
    if (m->epoch > p->given_epoch && m->epoch > p->withdrawn_epoch)
        return GRANT;
    bool past = px_after(now->tt, p->given_until) && !chaos_mutant(s->init.chaos, "N-1: support does not lapse");
    if (!p->lapsed && !past && m->epoch > p->withdrawn_epoch)
        return GRANT;
    chaos_probe(s->init.chaos, "support: refused the renewal of a lapsed epoch");
    return LAPSED;
}

static void on_ask(struct px_support *s, const struct px_now *now, struct peer *p, const struct support_msg *m,
                   const struct support_out *out) {
    struct support_msg r = {
        .from = s->init.self, .to = p->store, .incarnation = s->init.incarnation, .epoch = m->epoch};
    enum verdict verdict = judge(s, now, p, m);
    if (verdict == IGNORE)
        return;
    bool fresh = m->epoch > p->given_epoch || p->lapsed;
    if (verdict == LAPSED)
        p->lapsed = true; /* before groups hear of it, for they ask */
    if (verdict == LAPSED || (fresh && p->given_epoch))
        lose(p, out); /* by a new epoch it says itself that what it led under the old one is over */
    if (verdict == LAPSED) {
        r.type = SUPPORT_REFUSE;
        out->send(out->ctx, &r);
        return;
    }
    p->incarnation = m->incarnation;
    p->given_until = fresh || m->until > p->given_until ? m->until : p->given_until;
    p->given_epoch = m->epoch;
    p->lapsed = p->told_lost = false;
    if (p->given_until > p->given_largest)
        p->given_largest = p->given_until;
    if (p->given_until > s->largest_granted)
        s->largest_granted = p->given_until;
    r.type = SUPPORT_GRANT;
    r.until = p->given_until;
    out->send(out->ctx, &r);
    if (fresh)
        out->changed(out->ctx, p->store, false);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static void on_grant(struct px_support *s, const struct px_now *now, struct peer *p, const struct support_msg *m,
                     const struct support_out *out) {
    bool back = !p->answered_ns || p->granted_incarnation != m->incarnation || p->granted_epoch != m->epoch;
    if (m->epoch != epoch_of(s, p))
        return; /* an answer to an epoch that we have given up */
    p->answered_ns = p->heard_ns = now->mono_ns;
    if (m->incarnation < p->granted_incarnation)
        return;
    if (back)
        p->granted_until = 0;
    p->granted_epoch = m->epoch;
    p->granted_incarnation = m->incarnation;
    /* No more than was asked for, and never backwards under one epoch (L-6). */
    int64_t until = m->until < p->asked_until ? m->until : p->asked_until;
    if (until > p->granted_until)
        p->granted_until = until;
    if (back)
        out->changed(out->ctx, p->store, false);
}

static void on_refuse(struct px_support *s, const struct px_now *now, struct peer *p, const struct support_msg *m,
                      const struct support_out *out) {
    if (m->epoch != epoch_of(s, p))
        return;
    p->answered_ns = p->heard_ns = now->mono_ns;
    p->counter++;
    p->asked_until = 0;
    p->next_ask_ns = now->mono_ns;
    CHECK(p->counter < (uint64_t)1 << COUNTER_BITS);
    out->changed(out->ctx, p->store, false);
}

void support_message(struct px_support *s, const struct px_now *now, const struct support_msg *m,
                     const struct support_out *out) {
    if (m->to != s->init.self || m->from == s->init.self)
        return;
    /* A leader may ask before we learn that it is a member of a group of ours: granting binds nobody else. */
    struct peer *p = m->type == SUPPORT_ASK ? find_or_add(s, m->from) : find(s, m->from);
    if (!p)
        return;
    switch (m->type) {
    case SUPPORT_ASK:
        on_ask(s, now, p, m, out);
        break;
    case SUPPORT_GRANT:
        on_grant(s, now, p, m, out);
        break;
    case SUPPORT_REFUSE:
        on_refuse(s, now, p, m, out);
        break;
    }
}

void support_pause(struct px_support *s, bool pause) {
    s->paused = pause;
}

bool support_paused(const struct px_support *s) {
    return s->paused;
}

/* T, no further than as if it had been asked for a renewal after the last answer. A supporter that hears us, and that we do not
 * hear, is not bound by requests that can do us no good: it is free a lease after the line broke, not a lease after we give up.
 * Once nothing is left of the lease the request is a question only: its answer says that the line is there again. */
static int64_t wanted(const struct px_support *s, const struct px_now *now, struct peer *p) {
    if (!p->heard_ns)
        p->heard_ns = now->mono_ns;
    int64_t silent = now->mono_ns - p->heard_ns - s->init.renew_ns;
    if (silent < 0 || chaos_mutant(s->init.chaos, "P-12: ask on and on without an answer"))
        silent = 0;
    return now->tt.earliest + s->init.lease_ns - silent;
}

static void ask(struct px_support *s, const struct px_now *now, struct peer *p, const struct support_out *out) {
    struct support_msg m = {
        .type = SUPPORT_ASK,
        .from = s->init.self,
        .to = p->store,
        .incarnation = s->init.incarnation,
        .epoch = epoch_of(s, p),
        .until = wanted(s, now, p),
    };
    p->next_ask_ns = now->mono_ns + s->init.renew_ns;
    if (m.until > p->asked_until)
        p->asked_until = m.until;
    out->send(out->ctx, &m);
}

int64_t support_tick(struct px_support *s, const struct px_now *now, const struct support_out *out) {
    int64_t next = now->mono_ns + s->init.renew_ns;
    restart_began(s, now);
    map_for_each(n, &s->peers) {
        struct peer *p = container_of(n, struct peer, node);
        /* T past unrenewed: it lapses now, not only when somebody asks. */
        if (!p->lapsed && px_after(now->tt, p->given_until) &&
            !chaos_mutant(s->init.chaos, "N-1: support does not lapse")) {
            p->lapsed = true;
            lose(p, out);
        }
        if (p->answered_ns && now->mono_ns - p->answered_ns > s->init.lease_ns) {
            p->answered_ns = 0; /* leaders that counted on it may have lost their quorum */
            out->changed(out->ctx, p->store, false);
        }
        if (!p->refs)
            continue;
        if (now->mono_ns >= p->next_ask_ns && !s->paused && tt_is_known(now->tt))
            ask(s, now, p, out);
        if (p->next_ask_ns > now->mono_ns && p->next_ask_ns < next)
            next = p->next_ask_ns;
    }
    return next;
}

uint64_t support_fingerprint(const struct px_support *s) {
    uint64_t h = hash_u64((uint64_t)s->restart_until ^ (uint64_t)s->largest_granted << 1 ^ (uint64_t)s->paused);
    map_for_each(n, &s->peers) {
        const struct peer *p = container_of(n, const struct peer, node);
        uint64_t x[] = {p->store,
                        p->counter,
                        (uint64_t)p->asked_until,
                        p->granted_epoch,
                        p->granted_incarnation,
                        (uint64_t)p->granted_until,
                        p->incarnation,
                        p->given_epoch,
                        (uint64_t)p->given_until,
                        (uint64_t)p->given_largest,
                        p->withdrawn_epoch,
                        (uint64_t)p->lapsed | (uint64_t)p->told_lost << 1 | (uint64_t)(p->answered_ns != 0) << 2,
                        (uint64_t)p->next_ask_ns,
                        (uint64_t)p->heard_ns};
        h += hash_bytes(x, sizeof x, 1); /* in whatever order the map has them */
    }
    return h;
}
