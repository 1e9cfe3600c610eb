/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator.c: gathers votes, chooses the time, logs the decision, and tells everybody until all have it.
 *
 * Until the Commit record is proposed nothing of the transaction is in this tablet's log, and whoever leads may abort
 * it: an inquiry that finds nothing logs an abort first (T-10). From then on only the log tells.
 */
#include "txn/coordinator.h"

#include <stdlib.h>
#include <string.h>

#include "txn/site_internal.h"

enum { EARLY_VOTES_MAX = 256 };

#define TO(s) (1u << COORD_##s)
static const struct {
    const char *name;
    uint32_t next;
} coord_rules[COORD_STATES] = {
    [COORD_PREPARING] = {"preparing", TO(COMMITTING) | TO(ABORTING) | TO(ABORTED)},
    [COORD_COMMITTING] = {"committing", TO(PREPARING) | TO(COMMITTED) | TO(ABORTED)},
    [COORD_ABORTING] = {"aborting", TO(ABORTED) | TO(COMMITTED)},
    [COORD_COMMITTED] = {"committed", 0},
    [COORD_ABORTED] = {"aborted", 0},
};
#undef TO

const char *coord_state_name(enum coord_state state) {
    return coord_rules[state].name;
}

void coord_move(struct site *s, struct coord *c, enum coord_state to) {
    (void)s;
    CHECKF(coord_rules[c->state].next & 1u << to, "%s to %s", coord_state_name(c->state), coord_state_name(to));
    if (to == COORD_COMMITTING)
        CHECK(c->need.count == 0);
    c->state = to;
}

struct coord *coord_find(const struct site *s, const struct txn_id *id) {
    for (struct map_node *n = map_first(&s->coords, txn_id_hash(id)); n; n = map_next(n))
        if (txn_id_eq(&container_of(n, struct coord, by_id)->ref.id, id))
            return container_of(n, struct coord, by_id);
    return NULL;
}

static struct coord *coord_new(struct site *s, const struct txn_ref *ref, const struct txn_facts *f) {
    struct coord *c = s->coords.count < s->init.limits.coordinating ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    c->ref = *ref;
    c->state = COORD_PREPARING;
    c->votes = (struct txn_window){INT64_MIN, INT64_MAX};
    c->began_ns = f->mono_ns;
    c->retry_ns = f->mono_ns + s->init.limits.retry_ns;
    c->received = f->tt.latest;
    c->token.deadline = INT64_MAX;
    arena_init(&c->arena, 0);
    spans_init(&c->need);
    spans_init(&c->others);
    ilist_init(&c->all);
    map_put(&s->coords, &c->by_id, txn_id_hash(&ref->id));
    ilist_push_back(&s->all_coords, &c->all);
    return c;
}

void coord_free(struct site *s, struct coord *c) {
    map_del(&s->coords, &c->by_id);
    ilist_del(&c->all);
    spans_done(&c->need);
    spans_done(&c->others);
    arena_done(&c->arena);
    free(c);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void answer(struct site *s, const struct txn_ref *ref, enum txn_verdict verdict, int64_t ts,
                   const struct txn_why *why, int64_t not_before) {
    struct txn_msg m = {.type = TXN_MSG_DONE, .ref = *ref, .verdict = verdict, .s_min = ts};
    if (why)
        m.why = *why;
    /* lost: the client does not know, and asks by its token (T-6) */
    IGNORE(site_send(s, &m, (struct txn_key){NULL, 0}, ref->id.gateway, not_before));
}

static void tell(struct site *s, const struct txn_ref *ref, struct txn_key anchor, const struct txn_span *span,
                 enum txn_verdict verdict, int64_t ts, const struct txn_why *why) {
    struct txn_msg m = {.type = TXN_MSG_OUTCOME, .ref = *ref, .anchor = anchor, .span = *span, .s_min = ts};
    m.verdict = verdict;
    if (why)
        m.why = *why;
    IGNORE(site_send(s, &m, span->start, 0, 0)); /* told again, or asked for */
}

static void tell_outcome(struct site *s, const struct outcome *o, const struct txn_span *span) {
    struct txn_key anchor = {o->anchor, o->anchor_bytes};
    tell(s, &o->ref, anchor, span, o->committed ? TXN_COMMITTED : TXN_ABORTED, o->s, &o->why);
}

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

static void decide(struct site *s, struct coord *c, const struct txn_facts *f);

/* The own part's locks go with the decision. */
static void end_own_part(struct site *s, struct coord *c, enum txn_verdict verdict, int64_t ts,
                         const struct txn_facts *f) {
    struct part *p = part_find(s, &c->ref.id);
    if (p && p->state == PART_FROZEN)
        part_end(s, p, verdict, ts, &c->why, f);
    else if (p && p->state == PART_ACTIVE && verdict == TXN_ABORTED)
        part_lose(s, p, &c->why, false, f);
    else if (!p && !done_find(s, &c->ref.id))
        done_add(s, &c->ref, verdict, ts, &c->why);
}

/* Without participants that could ask, an abort needs no record: T-1 keeps a late commit message from reviving it. */
static void abort_alone(struct site *s, struct coord *c, const struct txn_facts *f) {
    coord_move(s, c, COORD_ABORTED);
    end_own_part(s, c, TXN_ABORTED, 0, f);
    if (c->has_client)
        answer(s, &c->ref, TXN_ABORTED, 0, &c->why, 0);
    s->stats.aborted++;
    coord_free(s, c);
}

void coord_abort(struct site *s, struct coord *c, const struct txn_why *why, const struct txn_facts *f) {
    struct txn_record r = {.type = TXN_REC_ABORT, .ref = c->ref, .generation = s->generation, .anchor = c->anchor};
    CHECK(c->state == COORD_PREPARING);
    c->why = *why;
    if (c->others.count == 0) {
        abort_alone(s, c, f);
        return;
    }
    r.why = *why;
    r.token = c->token;
    c->retry_ns = f->mono_ns + s->init.limits.retry_ns;
    if (!s->splitting && site_propose(s, &r, 0, false))
        coord_move(s, c, COORD_ABORTING);
    else
        c->began_ns = INT64_MIN / 2; /* coord_tick gives up again */
}

/* Everybody has voted yes. */
static void decide(struct site *s, struct coord *c, const struct txn_facts *f) {
    struct txn_record r = {.type = TXN_REC_COMMIT, .ref = c->ref, .generation = s->generation, .anchor = c->anchor};
    struct txn_window votes = c->votes;
    int64_t received = c->received, deadline = c->token.deadline;
    CHECK(c->state == COORD_PREPARING && c->need.count == 0);
    if (s->splitting)
        return;
    if (c->why.reason) { /* it is to be aborted, which the log has not taken yet */
        struct txn_why why = c->why;
        coord_abort(s, c, &why, f);
        return;
    }
    if (site_mutant(s, "T-3"))
        received = INT64_MIN;
    if (site_mutant(s, "T-8"))
        votes.max = INT64_MAX;
    if (site_mutant(s, "N-15"))
        deadline = INT64_MAX;
    struct txn_facts facts = *f;
    if (site_mutant(s, "S-2"))
        facts.lease_end = INT64_MAX;
    switch (ts_commit(&facts, s->floor, votes, received, deadline, &r.s)) {
    case TS_NEVER: {
        struct txn_why why = {.reason = TXN_REASON_WINDOW};
        coord_abort(s, c, &why, f);
        return;
    }
    case TS_LATER:
        site_probe(s, "txn: a commit time waits for the lease");
        c->retry_ns = f->mono_ns + s->init.limits.retry_ns;
        return;
    case TS_CHOSEN:
        break;
    }
    buf_reset(&s->buf, SIZE_MAX);
    s->init.writes(s->init.ctx, &c->ref.id, &s->buf);
    r.writes = (struct txn_bytes){s->buf.data, s->buf.len};
    r.token = c->token;
    struct txn_part *parts = arena_array(&s->scratch, c->others.count + 1, sizeof *parts);
    if (parts) {
        for (size_t i = 0; i < c->others.count; i++)
            parts[i] = (struct txn_part){.span = c->others.item[i]};
        r.parts = parts;
        r.n_parts = c->others.count;
    }
    if (!parts || buf_rc(&s->buf) || s->buf.len > TXN_WRITES_BYTES_MAX || !site_propose(s, &r, r.s, true)) {
        struct txn_why why = {.reason = TXN_REASON_WINDOW};
        buf_reset(&s->buf, 1 << 16);
        coord_abort(s, c, &why, f);
        return;
    }
    buf_reset(&s->buf, 1 << 16);
    s->floor = ts_max(s->floor, r.s);
    coord_move(s, c, COORD_COMMITTING);
    if (site_mutant(s, "N-8"))
        answer(s, &c->ref, TXN_COMMITTED, r.s, NULL, 0);
}

/* Locks, but no writes, and no other tablet: nothing to log. Its time is new, so it is answered when that has passed.
 * */
static void commit_reader(struct site *s, struct coord *c, const struct txn_facts *f) {
    struct txn_window w = ts_new(f, s->floor);
    if (w.min > w.max || w.min > c->token.deadline) {
        c->why.reason = TXN_REASON_WINDOW;
        abort_alone(s, c, f);
        return;
    }
    site_raise_floor(s, w.min); /* S-7 */
    coord_move(s, c, COORD_COMMITTING);
    coord_move(s, c, COORD_COMMITTED);
    end_own_part(s, c, TXN_COMMITTED, w.min, f);
    answer(s, &c->ref, TXN_COMMITTED, w.min, NULL, w.min);
    coord_free(s, c);
}

/* ---- votes that came too early --------------------------------------------------------------------------------------------- */

static void early_free(struct site *s, struct early_vote *v) {
    ilist_del(&v->link);
    s->early_count--;
    free(v);
}

void coord_drop_early(struct site *s, size_t keep) {
    while (s->early_count > keep)
        early_free(s, ilist_first(&s->early, struct early_vote, link));
}

static void early_put(struct site *s, const struct txn_msg *m) {
    size_t start = m->span.start.n, end = m->span.end.n;
    struct early_vote *v = calloc(1, sizeof *v + start + end);
    if (!v)
        return; /* as if it had been lost */
    *v = (struct early_vote){.id = m->ref.id, .window = {m->s_min, m->s_allowed}};
    if (start)
        memcpy(v->bytes, m->span.start.p, start);
    if (end)
        memcpy(v->bytes + start, m->span.end.p, end);
    v->span = (struct txn_span){{v->bytes, start}, {v->bytes + start, end}};
    ilist_init(&v->link);
    ilist_push_back(&s->early, &v->link);
    s->early_count++;
    coord_drop_early(s, EARLY_VOTES_MAX);
}

/* Those for c count as if they came now. */
static void early_take(struct site *s, struct coord *c) {
    ilist_for_each(it, &s->early) {
        struct early_vote *v = ilist_entry(it, struct early_vote, link);
        if (!txn_id_eq(&v->id, &c->ref.id))
            continue;
        if (c->need.count > 0 && spans_subtract(&c->need, &v->span) == RC_OK) {
            c->votes = ts_meet(c->votes, v->window);
            site_probe(s, "txn: a vote came before its commit");
        }
        early_free(s, v);
    }
}

/* Copies what the message says, and freezes the own part. False: c->why. */
static bool take_commit(struct site *s, struct coord *c, const struct txn_msg *m, const struct txn_facts *f) {
    struct part *p = part_find(s, &m->ref.id);
    enum rc rc = RC_OK;
    c->anchor = m->anchor;
    c->token = m->token;
    c->has_client = true;
    c->n_parts = m->n_parts;
    rc = key_copy(&c->arena, &c->anchor);
    if (!rc)
        rc = parts_copy(&c->arena, m->parts, m->n_parts, &c->parts);
    for (size_t i = 0; i < m->n_parts && !rc; i++)
        rc = spans_add(&c->others, &m->parts[i].span);
    if (!rc)
        rc = spans_subtract(&c->others, &s->range);
    for (size_t i = 0; i < c->others.count && !rc; i++)
        rc = spans_add(&c->need, &c->others.item[i]);
    c->why.reason = TXN_REASON_WINDOW;
    if (rc || s->outcomes.count >= s->init.limits.outcomes)
        return false;
    c->why.reason = TXN_REASON_TERM;
    if (!p || p->state != PART_ACTIVE) {
        struct done *d = done_find(s, &m->ref.id);
        if (d && d->verdict == TXN_ABORTED)
            c->why = d->why;
        return false;
    }
    if (!part_ready(s, p, site_my_part(s, m->parts, m->n_parts), f, &c->why))
        return false;
    part_move(s, p, PART_FROZEN);
    c->why.reason = TXN_REASON_NONE;
    return true;
}

void coord_on_commit(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct outcome *o = outcome_find(&s->outcomes, &m->ref.id);
    struct outcome *same = token_is_set(&m->token) ? outcome_find_token(&s->outcomes, &m->token) : NULL;
    struct done *d = done_find(s, &m->ref.id);
    if (o || same) { /* it comes twice; or an earlier attempt with this token has committed */
        o = o ? o : same;
        answer(s, &m->ref, o->committed ? TXN_COMMITTED : TXN_ABORTED, o->s, &o->why, 0);
        struct part *late = part_find(s, &m->ref.id);
        if (late && late->state == PART_ACTIVE)
            part_lose(s, late, &o->why, false, f);
        return;
    }
    if (coord_find(s, &m->ref.id) || s->splitting)
        return;
    struct part *p = part_find(s, &m->ref.id);
    if (p && p->state == PART_ACTIVE && p->running)
        return;                             /* a scan that its gateway has closed is still ending here: asked again */
    if (d && d->verdict == TXN_COMMITTED) { /* a reader */
        answer(s, &m->ref, TXN_COMMITTED, d->ts, NULL, d->ts);
        return;
    }
    if (!part_find(s, &m->ref.id) && site_too_old(s, &m->ref)) {
        struct txn_why why = {.reason = TXN_REASON_HORIZON};
        answer(s, &m->ref, TXN_ABORTED, 0, &why, 0);
        return;
    }
    struct coord *c = coord_new(s, &m->ref, f);
    if (!c)
        return; /* overloaded: the gateway asks again */
    if (!take_commit(s, c, m, f)) {
        struct txn_why why = c->why;
        coord_abort(s, c, &why, f);
        return;
    }
    early_take(s, c);
    if (c->need.count == 0) {
        buf_reset(&s->buf, SIZE_MAX);
        s->init.writes(s->init.ctx, &c->ref.id, &s->buf);
        bool reads = buf_rc(&s->buf) == RC_OK && s->buf.len == 0;
        if (reads && c->others.count == 0)
            commit_reader(s, c, f);
        else
            decide(s, c, f);
    }
}

void coord_on_vote(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct outcome *o = outcome_find(&s->outcomes, &m->ref.id);
    struct coord *c = coord_find(s, &m->ref.id);
    if (o) {
        tell_outcome(s, o, &m->span);
        return;
    }
    if (!c && m->verdict == TXN_COMMITTED && !done_find(s, &m->ref.id))
        early_put(s, m); /* the commit message is still under way */
    if (!c || c->state != COORD_PREPARING)
        return;
    if (m->verdict != TXN_COMMITTED) {
        coord_abort(s, c, &m->why, f);
        return;
    }
    if (c->need.count == 0 || spans_subtract(&c->need, &m->span))
        return;
    c->votes = ts_meet(c->votes, (struct txn_window){m->s_min, m->s_allowed});
    if (c->need.count == 0)
        decide(s, c, f);
}

void coord_on_wound(struct site *s, const struct txn_ref *ref, const struct txn_why *why, const struct txn_facts *f) {
    struct coord *c = coord_find(s, &ref->id);
    struct txn_why mine = *why;
    if (!c || c->state != COORD_PREPARING)
        return; /* decided, or about to be: the older one waits for that (K-2) */
    mine.reason = TXN_REASON_WOUNDED;
    s->stats.wounded_prepared++;
    coord_abort(s, c, &mine, f);
}

/* T-9, T-10 */
void coord_on_inquire(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct outcome *o = outcome_find(&s->outcomes, &m->ref.id);
    struct coord *c = coord_find(s, &m->ref.id);
    struct txn_why why = {.reason = TXN_REASON_UNKNOWN};
    if (o) {
        tell_outcome(s, o, &m->span);
        return;
    }
    if (c)
        return; /* undecided: it asks again */
    if (site_mutant(s, "T-10")) {
        tell(s, &m->ref, m->anchor, &m->span, TXN_ABORTED, 0, &why);
        return;
    }
    if (site_too_old(s, &m->ref)) {
        struct part *p = part_find(s, &m->ref.id);
        if (p && p->state == PART_ACTIVE)
            part_lose(s, p, &why, true, f);
        tell(s, &m->ref, m->anchor, &m->span, TXN_ABORTED, 0, &why); /* no commit of it can come any more */
        return;
    }
    c = coord_new(s, &m->ref, f);
    if (!c)
        return;
    c->anchor = m->anchor;
    if (key_copy(&c->arena, &c->anchor) || spans_add(&c->others, &m->span)) {
        coord_free(s, c);
        return;
    }
    s->stats.fenced++;
    coord_abort(s, c, &why, f);
}

/* Nobody waits for SETTLED: it goes later, and together with those of other transactions, so that it does not keep the log busy while
 * somebody waits for a commit. */
void coord_on_ack(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct outcome *o = outcome_find(&s->outcomes, &m->ref.id);
    if (!o || o->settled || !ilist_linked(&o->resend) || spans_subtract(&o->need, &m->span))
        return;
    if (o->need.count == 0)
        o->resend_ns = (f->mono_ns / (s->init.limits.retry_ns / 3) + 2) * (s->init.limits.retry_ns / 3);
}

void coord_refused(struct site *s, struct coord *c, enum txn_record_type type, const struct txn_facts *f) {
    if (type == TXN_REC_COMMIT && c->state == COORD_COMMITTING) {
        coord_move(s, c, COORD_PREPARING);
        c->retry_ns = f->mono_ns + s->init.limits.retry_ns;
    } else if (type == TXN_REC_ABORT && c->state == COORD_ABORTING) {
        c->retry_ns = f->mono_ns + s->init.limits.retry_ns; /* coord_tick proposes it again */
    }
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

/* Who has not acknowledged a commit, for its leader. */
static enum rc send_outcomes(struct site *s, struct outcome *o, const struct txn_facts *f) {
    spans_done(&o->need);
    for (size_t i = 0; i < o->parts.count; i++) {
        enum rc rc = spans_add(&o->need, &o->parts.item[i]);
        if (rc)
            return rc;
        tell_outcome(s, o, &o->parts.item[i]);
    }
    ilist_del(&o->resend);
    ilist_push_back(&s->resend, &o->resend);
    o->resend_ns = f->mono_ns + s->init.limits.retry_ns;
    return RC_OK;
}

static void coord_done(struct site *s, struct coord *c, const struct outcome *o, const struct txn_facts *f) {
    enum txn_verdict verdict = o->committed ? TXN_COMMITTED : TXN_ABORTED;
    coord_move(s, c, o->committed ? COORD_COMMITTED : COORD_ABORTED);
    c->why = o->why;
    end_own_part(s, c, verdict, o->s, f);
    if (c->has_client)
        answer(s, &c->ref, verdict, o->s, &o->why, 0);
    for (size_t i = 0; i < c->others.count && !o->committed; i++)
        tell_outcome(s, o, &c->others.item[i]);
    coord_free(s, c);
}

enum rc coord_apply(struct site *s, const struct txn_record *r, const struct txn_facts *f, struct site_effect *ret,
                    struct err *err) {
    struct coord *c = coord_find(s, &r->ref.id);
    struct outcome *o = outcome_find(&s->outcomes, &r->ref.id);
    struct txn_record stale = *r;
    bool first = !o;
    if (r->generation != s->generation && r->type == TXN_REC_COMMIT) { /* M-3: it would write outside of its range */
        stale.type = TXN_REC_ABORT;
        stale.why.reason = TXN_REASON_SPLIT;
        r = &stale;
    }
    enum rc rc = outcome_add(&s->outcomes, r, &o);
    if (rc)
        return err_set(err, rc, "out of memory");
    if (first && o->committed) {
        arena_reset(&s->effect);
        uint8_t *images = arena_copy(&s->effect, r->writes.p, r->writes.n);
        if (!images)
            return err_set(err, RC_NOMEM, "out of memory");
        *ret = (struct site_effect){true, r->s, {images, r->writes.n}};
        site_raise_applied(s, r->s);
        if (o->parts.count)
            s->stats.committed_two++;
        else
            s->stats.committed_one++;
        if (site_mutant(s, "T-12"))
            outcome_settle(o);
        if (s->leads && !o->settled)
            rc = send_outcomes(s, o, f);
    }
    s->stats.aborted += first && !o->committed;
    if (c && s->leads)
        coord_done(s, c, o, f);
    if (site_mutant(s, "T-12") && o->settled)
        outcome_drop(&s->outcomes, o);
    return rc ? err_set(err, rc, "out of memory") : RC_OK;
}

enum rc coord_lead_begin(struct site *s, const struct txn_facts *f) {
    ilist_for_each(it, &s->outcomes.all) {
        struct outcome *o = ilist_entry(it, struct outcome, all);
        enum rc rc = o->settled ? RC_OK : send_outcomes(s, o, f);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static void resend_prepares(struct site *s, struct coord *c) {
    for (size_t i = 0; i < c->need.count; i++) {
        struct txn_msg m = {.type = TXN_MSG_PREPARE, .ref = c->ref, .anchor = c->anchor, .span = c->need.item[i]};
        m.parts = c->parts;
        m.n_parts = c->n_parts;
        IGNORE(site_send(s, &m, c->need.item[i].start, 0, 0)); /* and again */
    }
}

static void tick_one(struct site *s, struct coord *c, const struct txn_facts *f) {
    c->retry_ns = f->mono_ns + s->init.limits.retry_ns;
    if (c->state == COORD_ABORTING) {
        struct txn_record r = {.type = TXN_REC_ABORT, .ref = c->ref, .generation = s->generation, .anchor = c->anchor};
        r.why = c->why;
        r.token = c->token;
        if (!s->splitting)
            IGNORE(site_propose(s, &r, 0, false)); /* the first one counts (O1); again at the next tick */
        return;
    }
    if (c->state != COORD_PREPARING)
        return;
    if (f->mono_ns - c->began_ns >= s->init.limits.vote_ns) {
        struct txn_why why = c->why;
        why.reason = why.reason ? why.reason : TXN_REASON_TIMEOUT;
        coord_abort(s, c, &why, f);
    } else if (c->need.count == 0) {
        decide(s, c, f);
    } else {
        resend_prepares(s, c);
    }
}

void coord_tick(struct site *s, const struct txn_facts *f) {
    ilist_for_each(it, &s->all_coords) {
        struct coord *c = ilist_entry(it, struct coord, all);
        if (f->mono_ns >= c->retry_ns)
            tick_one(s, c, f);
    }
    ilist_for_each(it, &s->resend) {
        struct outcome *o = ilist_entry(it, struct outcome, resend);
        if (f->mono_ns < o->resend_ns)
            continue;
        o->resend_ns = f->mono_ns + s->init.limits.retry_ns;
        struct txn_record r = {.type = TXN_REC_SETTLED, .ref = o->ref, .generation = s->generation};
        for (size_t i = 0; i < o->need.count; i++)
            tell_outcome(s, o, &o->need.item[i]);
        if (o->need.count == 0 && !s->splitting)
            IGNORE(site_propose(s, &r, 0, false)); /* again at the next tick */
    }
}

int64_t coord_wake_ns(const struct site *s) {
    int64_t wake = INT64_MAX;
    for (const struct ilist *it = s->all_coords.next; it != &s->all_coords; it = it->next)
        wake = ts_min(wake, container_of(it, struct coord, all)->retry_ns);
    for (const struct ilist *it = s->resend.next; it != &s->resend; it = it->next)
        wake = ts_min(wake, container_of(it, struct outcome, resend)->resend_ns);
    return wake;
}
