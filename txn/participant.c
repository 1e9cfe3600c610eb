/* SPDX-License-Identifier: Apache-2.0 */
/*
 * participant.c: prepare, promise, resolve.
 *
 * Every answer that a coordinator may build on is made of facts that cannot be taken back: a Prepare record that is
 * applied, or read locks that this leader holds until told, with the end of its lease as the latest time for which it
 * vouches.
 */
#include "txn/participant.h"

#include <stdlib.h>

#include "txn/site_internal.h"

#define TO(s) (1u << PART_##s)
static const struct {
    const char *name;
    uint32_t next;
} part_rules[PART_STATES] = {
    [PART_ACTIVE] = {"active", TO(FROZEN) | TO(PREPARING) | TO(PROMISED) | TO(ABORTED) | TO(COMMITTED)},
    [PART_FROZEN] = {"frozen", TO(COMMITTED) | TO(ABORTED)},
    [PART_PREPARING] = {"preparing", TO(PREPARED) | TO(ABORTED)},
    [PART_PREPARED] = {"prepared", TO(RESOLVING) | TO(COMMITTED) | TO(ABORTED)},
    [PART_PROMISED] = {"promised", TO(COMMITTED) | TO(ABORTED)},
    [PART_RESOLVING] = {"resolving", TO(PREPARED) | TO(COMMITTED) | TO(ABORTED)},
    [PART_COMMITTED] = {"committed", 0},
    [PART_ABORTED] = {"aborted", 0},
};
#undef TO

const char *part_state_name(enum part_state state) {
    return part_rules[state].name;
}

void part_move(struct site *s, struct part *p, enum part_state to) {
    CHECKF(part_rules[p->state].next & 1u << to, "%s to %s", part_state_name(p->state), part_state_name(to));
    if (to == PART_PREPARED || to == PART_RESOLVING)
        CHECK(p->s_prepare > 0 && p->rec.type == TXN_REC_PREPARE);
    if (to == PART_PROMISED)
        CHECK(s->leads && p->vote.min <= p->vote.max);
    ilist_del(&p->voted);
    if (to == PART_PREPARED || to == PART_PROMISED || to == PART_RESOLVING)
        ilist_push_back(&s->voted, &p->voted);
    p->state = to;
}

struct part *part_find(const struct site *s, const struct txn_id *id) {
    for (struct map_node *n = map_first(&s->parts, txn_id_hash(id)); n; n = map_next(n))
        if (txn_id_eq(&container_of(n, struct part, by_id)->ref.id, id))
            return container_of(n, struct part, by_id);
    return NULL;
}

struct part *part_new(struct site *s, const struct txn_ref *ref, enum part_state state) {
    struct part *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->ref = *ref;
    p->state = state;
    ilist_init(&p->all);
    ilist_init(&p->voted);
    arena_init(&p->arena, 0);
    map_put(&s->parts, &p->by_id, txn_id_hash(&ref->id));
    ilist_push_back(&s->all_parts, &p->all);
    return p;
}

static void part_free(struct site *s, struct part *p) {
    map_del(&s->parts, &p->by_id);
    ilist_del(&p->all);
    ilist_del(&p->voted);
    arena_done(&p->arena);
    free(p);
}

void part_end(struct site *s, struct part *p, enum txn_verdict verdict, int64_t ts, const struct txn_why *why,
              const struct txn_facts *f) {
    struct txn_ref ref = p->ref;
    part_move(s, p, verdict == TXN_COMMITTED ? PART_COMMITTED : PART_ABORTED);
    if (verdict == TXN_COMMITTED && s->leads && !site_mutant(s, "S-7"))
        site_raise_floor(s, ts); /* before the locks go */
    struct lock_txn *x = s->locks ? lock_txn_find(s->locks, &ref.id) : NULL;
    part_free(s, p);
    if (!s->leads)
        return;
    done_add(s, &ref, verdict, ts, why);
    site_drop_overlay(s, &ref.id);
    if (x)
        lock_release(s->locks, x, f->mono_ns);
}

void part_lose(struct site *s, struct part *p, const struct txn_why *why, bool tell, const struct txn_facts *f) {
    struct txn_msg m = {.type = TXN_MSG_LOST, .ref = p->ref, .span = s->range, .why = *why};
    if (tell)
        IGNORE(
            site_send(s, &m, (struct txn_key){NULL, 0}, p->ref.id.gateway, 0)); /* lost: it hears at its next request */
    part_end(s, p, TXN_ABORTED, 0, why, f);
}

/* ---- voting ------------------------------------------------------------------------------------------------------ */

static void vote(struct site *s, const struct part *p) {
    struct txn_msg m = {.type = TXN_MSG_VOTE, .ref = p->ref, .anchor = p->rec.anchor, .span = s->range};
    m.verdict = TXN_COMMITTED;
    m.read_only = p->state == PART_PROMISED;
    m.s_min = m.read_only ? p->vote.min : p->s_prepare;
    m.s_allowed = m.read_only ? p->vote.max : p->rec.s_allowed;
    if (site_mutant(s, "T-2") && !m.read_only)
        m.s_min = 0;
    IGNORE(site_send(s, &m, p->rec.anchor, 0, 0)); /* asked again if it is lost */
}

static void vote_no(struct site *s, const struct txn_msg *prepare, const struct txn_why *why) {
    struct txn_msg m = {.type = TXN_MSG_VOTE, .ref = prepare->ref, .anchor = prepare->anchor, .span = s->range};
    m.verdict = TXN_ABORTED;
    m.why = *why;
    IGNORE(site_send(s, &m, prepare->anchor, 0, 0));
}

bool part_ready(struct site *s, struct part *p, const struct txn_part *mine, const struct txn_facts *f,
                struct txn_why *ret_why) {
    struct lock_txn *x = lock_txn_find(s->locks, &p->ref.id);
    CHECK(x && p->state == PART_ACTIVE);
    *ret_why = (struct txn_why){.reason = TXN_REASON_NONE};
    if (!mine || mine->term != s->term)
        ret_why->reason = TXN_REASON_TERM; /* T-1 */
    else if (mine->requests != p->requests || p->running)
        ret_why->reason = TXN_REASON_REQUESTS;
    if (ret_why->reason && !site_mutant(s, "T-1"))
        return false;
    ret_why->reason = TXN_REASON_NONE;
    if (lock_prepare(s->locks, x, f->mono_ns, NULL) == RC_OK)
        return true;
    ret_why->reason = TXN_REASON_LOCKS;
    return false;
}

enum rc part_grants(struct lock_txn *x, struct arena *a, struct lock_grant **ret, size_t *ret_n) {
    struct lock_txn_info info;
    const void *cursor = NULL;
    size_t n = 0;
    lock_txn_info(x, &info);
    struct lock_grant *g = arena_array(a, info.locks + 1, sizeof *g);
    if (!g)
        return RC_NOMEM;
    while (n < info.locks && lock_each(x, &cursor, &g[n]))
        n++;
    CHECK(n == info.locks);
    *ret = g;
    *ret_n = n;
    return RC_OK;
}

/* p is ACTIVE and its locks are frozen. False: it cannot be logged. */
static bool propose_prepare(struct site *s, struct part *p, const struct txn_msg *m, const struct txn_facts *f) {
    struct txn_record r = {.type = TXN_REC_PREPARE, .ref = p->ref, .generation = s->generation, .anchor = m->anchor};
    struct txn_window w = ts_new(f, s->floor);
    struct lock_grant *g;
    r.parts = m->parts;
    r.n_parts = m->n_parts;
    r.s_allowed = f->schema_until;
    r.writes = (struct txn_bytes){s->buf.data, s->buf.len};
    if (w.min > w.max || s->buf.len > TXN_WRITES_BYTES_MAX)
        return false;
    if (part_grants(lock_txn_find(s->locks, &p->ref.id), &s->scratch, &g, &r.n_grants))
        return false;
    r.grants = g;
    if (site_mutant(s, "T-11-set"))
        for (size_t i = 0, n = r.n_grants, k = 0; i < n; i++) { /* only what it writes */
            r.n_grants = g[i].mode == LOCK_EXCLUSIVE ? k + 1 : k;
            if (g[i].mode == LOCK_EXCLUSIVE)
                g[k++] = g[i];
        }
    if (record_copy(&p->arena, &r, &p->rec))
        return false;
    if (!site_propose(s, &p->rec, w.min, false))
        return false;
    part_move(s, p, PART_PREPARING);
    return true;
}

static void promise(struct site *s, struct part *p, const struct txn_msg *m, const struct txn_facts *f) {
    p->vote = ts_read_only_vote(f, s->floor);
    p->rec.anchor = m->anchor;
    if (p->vote.min > p->vote.max || key_copy(&p->arena, &p->rec.anchor)) {
        struct txn_why why = {.reason = TXN_REASON_WINDOW};
        vote_no(s, m, &why);
        part_lose(s, p, &why, false, f);
        return;
    }
    p->ask_ns = f->mono_ns + s->init.limits.ask_ns;
    part_move(s, p, PART_PROMISED);
    vote(s, p);
}

/* Nothing is known of the attempt here: it never came, is over, or was lost with a leader. */
static void prepare_unknown(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct done *d = done_find(s, &m->ref.id);
    struct txn_why why = {.reason = TXN_REASON_TERM};
    if (d && d->verdict == TXN_COMMITTED)
        return; /* a late copy: the coordinator knows */
    if (d)
        why = d->why;
    else if (site_too_old(s, &m->ref))
        why.reason = TXN_REASON_HORIZON;
    if (site_mutant(s, "T-1") && !d) {
        struct txn_msg yes = {.type = TXN_MSG_VOTE, .ref = m->ref, .anchor = m->anchor, .span = s->range};
        yes.verdict = TXN_COMMITTED;
        yes.s_allowed = f->lease_end;
        IGNORE(site_send(s, &yes, m->anchor, 0, 0));
        return;
    }
    if (!d)
        done_add(s, &m->ref, TXN_ABORTED, 0, &why);
    vote_no(s, m, &why);
}

void part_on_prepare(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct part *p = part_find(s, &m->ref.id);
    struct txn_why why;
    if (s->splitting)
        return; /* asked again behind the split */
    if (!p) {
        prepare_unknown(s, m, f);
        return;
    }
    if (p->state == PART_PREPARED || p->state == PART_RESOLVING || p->state == PART_PROMISED) {
        vote(s, p);
        return;
    }
    if (p->state != PART_ACTIVE)
        return;
    if (p->running)
        return; /* what was sent with the prepare still waits for a lock: asked again */
    if (!part_ready(s, p, site_my_part(s, m->parts, m->n_parts), f, &why)) {
        vote_no(s, m, &why);
        part_lose(s, p, &why, false, f);
        return;
    }
    buf_reset(&s->buf, SIZE_MAX);
    s->init.writes(s->init.ctx, &p->ref.id, &s->buf);
    if (buf_rc(&s->buf) == RC_OK && s->buf.len == 0) {
        promise(s, p, m, f);
    } else if (buf_rc(&s->buf) || !propose_prepare(s, p, m, f)) {
        why.reason = TXN_REASON_WINDOW;
        vote_no(s, m, &why);
        part_lose(s, p, &why, false, f);
    }
    buf_reset(&s->buf, 1 << 16);
}

void part_refused(struct site *s, struct part *p, enum txn_record_type type, const struct txn_facts *f) {
    struct txn_why why = {.reason = TXN_REASON_WINDOW};
    if (type == TXN_REC_OUTCOME && p->state == PART_RESOLVING) {
        part_move(s, p, PART_PREPARED);
        p->ask_ns = f->mono_ns + s->init.limits.retry_ns;
    } else if (type == TXN_REC_PREPARE && p->state == PART_PREPARING) {
        struct txn_msg m = {.ref = p->ref, .anchor = p->rec.anchor};
        vote_no(s, &m, &why);
        part_end(s, p, TXN_ABORTED, 0, &why, f);
    }
}

/* ---- the outcome ------------------------------------------------------------------------------------------------- */

static void ack(struct site *s, const struct txn_ref *ref, struct txn_key anchor) {
    struct txn_msg m = {.type = TXN_MSG_ACK, .ref = *ref, .anchor = anchor, .span = s->range};
    IGNORE(site_send(s, &m, anchor, 0, 0)); /* the outcome comes again if it is lost */
}

static void resolve(struct site *s, struct part *p, enum txn_verdict verdict, int64_t ts) {
    struct txn_record r = {.type = TXN_REC_OUTCOME, .ref = p->ref, .generation = s->generation};
    r.committed = verdict == TXN_COMMITTED;
    r.s = r.committed ? ts : 0;
    if (s->splitting)
        return; /* it comes again */
    if (r.committed && !site_mutant(s, "S-7"))
        site_raise_floor(s,
                         ts); /* the entry carries no time of its own: nothing behind it in the log lies below */
    if (site_propose(s, &r, 0, false))
        part_move(s, p, PART_RESOLVING);
}

void part_on_outcome(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct part *p = part_find(s, &m->ref.id);
    bool committed = m->verdict == TXN_COMMITTED;
    if (m->verdict != TXN_COMMITTED && m->verdict != TXN_ABORTED)
        return;
    if (!p) {
        /* A commit was applied here, or it is a reader's that an earlier leader held (N-7). An abort may have overtaken
         * the prepare: the mark refuses that (T-13). */
        if (!committed && !done_find(s, &m->ref.id))
            done_add(s, &m->ref, TXN_ABORTED, 0, &m->why);
        if (committed)
            ack(s, &m->ref, m->anchor);
        return;
    }
    switch (p->state) {
    case PART_PREPARED:
        if (committed && m->s_min < p->s_prepare)
            return; /* not this transaction's: no coordinator of ours chooses so */
        resolve(s, p, m->verdict, m->s_min);
        break;
    case PART_PREPARING:
        p->told = m->verdict;
        p->told_s = m->s_min;
        break;
    case PART_PROMISED:
        if (committed) {
            if (m->s_min < p->vote.min || m->s_min > p->vote.max)
                site_probe(s, "txn: a reader was told a time that it had not allowed");
            ack(s, &p->ref, m->anchor);
        }
        part_end(s, p, m->verdict, m->s_min, &m->why, f);
        break;
    case PART_ACTIVE:
        if (!committed)
            part_lose(s, p, &m->why, true, f);
        break;
    default:
        break;
    }
}

void part_on_rollback(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct part *p = part_find(s, &m->ref.id);
    struct txn_why why = {.reason = TXN_REASON_ROLLBACK};
    if (p && p->state == PART_ACTIVE)
        part_lose(s, p, &why, false, f);
    else if (!p && !done_find(s, &m->ref.id))
        done_add(s, &m->ref, TXN_ABORTED, 0, &why);
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

enum rc part_apply_prepare(struct site *s, const struct txn_record *r, int64_t ts, const struct txn_facts *f,
                           struct err *err) {
    struct part *p = part_find(s, &r->ref.id);
    bool ours = p && p->state == PART_PREPARING;
    if (ts <= 0)
        return err_set(err, RC_CORRUPT, "a prepare record without a timestamp");
    if (r->generation != s->generation) {
        struct txn_why why = {.reason = TXN_REASON_SPLIT};
        if (ours)
            part_end(s, p, TXN_ABORTED, 0, &why, f);
        return RC_OK; /* M-3: the same on every replica */
    }
    if (p && !ours) {
        if (p->state == PART_PREPARED || p->state == PART_RESOLVING)
            return RC_OK;
        return err_set(err, RC_CORRUPT, "a transaction is prepared by two leaders");
    }
    if (!p) {
        if (s->leads) {
            enum rc rc = lock_restore(s->locks, &r->ref, r->grants, r->n_grants, f->mono_ns, err);
            if (rc)
                return rc;
        }
        p = part_new(s, &r->ref, PART_PREPARING);
        if (!p || record_copy(&p->arena, r, &p->rec)) {
            if (p)
                part_free(s, p);
            return err_set(err, RC_NOMEM, "out of memory");
        }
    }
    p->s_prepare = ts;
    p->ask_ns = f->mono_ns + s->init.limits.ask_ns;
    part_move(s, p, PART_PREPARED);
    if (!s->leads)
        return RC_OK;
    vote(s, p);
    if (p->told != TXN_UNDECIDED)
        resolve(s, p, p->told, p->told_s);
    return RC_OK;
}

enum rc part_apply_outcome(struct site *s, const struct txn_record *r, const struct txn_facts *f,
                           struct site_effect *ret, struct err *err) {
    struct part *p = part_find(s, &r->ref.id);
    struct txn_key anchor;
    if (!p || (p->state != PART_PREPARED && p->state != PART_RESOLVING))
        return RC_OK; /* a second outcome of one that is over */
    if (r->committed && r->s < p->s_prepare)
        return err_set(err, RC_CORRUPT, "an outcome that is older than its prepare record");
    arena_reset(&s->effect);
    anchor = p->rec.anchor;
    ret->images = p->rec.writes;
    if (key_copy(&s->effect, &anchor))
        return err_set(err, RC_NOMEM, "out of memory");
    if (r->committed) {
        uint8_t *images = arena_copy(&s->effect, ret->images.p, ret->images.n);
        if (!images)
            return err_set(err, RC_NOMEM, "out of memory");
        *ret = (struct site_effect){true, r->s, {images, ret->images.n}};
        site_raise_applied(s, r->s);
    }
    if (s->leads && r->committed)
        ack(s, &p->ref, anchor);
    struct txn_why why = r->why;
    part_end(s, p, r->committed ? TXN_COMMITTED : TXN_ABORTED, r->s, &why, f);
    return RC_OK;
}

void part_tick(struct site *s, const struct txn_facts *f) {
    ilist_for_each(it, &s->voted) {
        struct part *p = ilist_entry(it, struct part, voted);
        if (f->mono_ns < p->ask_ns || p->state == PART_RESOLVING)
            continue;
        struct txn_msg m = {.type = TXN_MSG_INQUIRE, .ref = p->ref, .anchor = p->rec.anchor, .span = s->range};
        p->ask_ns = f->mono_ns + s->init.limits.ask_ns;
        s->stats.asked++;
        if (site_mutant(s, "T-9") && p->state == PART_PREPARED) {
            resolve(s, p, TXN_ABORTED, 0); /* decides alone */
            continue;
        }
        IGNORE(site_send(s, &m, p->rec.anchor, 0, 0));
    }
}
