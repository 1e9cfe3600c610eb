/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site.c: the doors of a site: fragments, messages, time, the log; and the queue of what is to be done.
 */
#include "txn/site.h"

#include <stdlib.h>

#include "txn/site_internal.h"

static const int64_t SECOND = 1000000000;

/* ---- small things ------------------------------------------------------------------------------------------------ */

enum rc key_copy(struct arena *a, struct txn_key *k) {
    uint8_t *p = arena_copy(a, k->p, k->n);
    if (!p)
        return RC_NOMEM;
    k->p = p;
    return RC_OK;
}

enum rc parts_copy(struct arena *a, const struct txn_part *from, size_t n, struct txn_part **ret) {
    struct txn_part *p = arena_array(a, n + 1, sizeof *p);
    if (!p)
        return RC_NOMEM;
    for (size_t i = 0; i < n; i++) {
        p[i] = from[i];
        if (key_copy(a, &p[i].span.start) || key_copy(a, &p[i].span.end))
            return RC_NOMEM;
    }
    *ret = p;
    return RC_OK;
}

enum rc record_copy(struct arena *a, const struct txn_record *from, struct txn_record *ret) {
    struct txn_record r = *from;
    struct txn_part *parts;
    struct lock_grant *g = arena_array(a, from->n_grants + 1, sizeof *g);
    r.writes.p = arena_copy(a, from->writes.p, from->writes.n);
    if (!g || !r.writes.p || key_copy(a, &r.anchor) || parts_copy(a, from->parts, from->n_parts, &parts))
        return RC_NOMEM;
    for (size_t i = 0; i < from->n_grants; i++) {
        g[i] = from->grants[i];
        if (key_copy(a, &g[i].span.start) || key_copy(a, &g[i].span.end))
            return RC_NOMEM;
    }
    r.grants = g;
    r.parts = parts;
    *ret = r;
    return RC_OK;
}

const struct txn_part *site_my_part(const struct site *s, const struct txn_part *parts, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (txn_span_overlap(&parts[i].span, &s->range))
            return &parts[i];
    return NULL;
}

static bool covers_key(const struct site *s, struct txn_key k) {
    return txn_key_cmp(s->range.start, k) <= 0 && txn_key_before_end(k, s->range.end);
}

/* ---- attempts that are over -------------------------------------------------------------------------------------- */

struct done *done_find(const struct site *s, const struct txn_id *id) {
    if (site_mutant(s, "T-13"))
        return NULL;
    for (struct map_node *n = map_first(&s->done, txn_id_hash(id)); n; n = map_next(n))
        if (txn_id_eq(&container_of(n, struct done, by_id)->id, id))
            return container_of(n, struct done, by_id);
    return NULL;
}

static void done_drop(struct site *s, struct done *d) {
    map_del(&s->done, &d->by_id);
    ilist_del(&d->all);
    free(d);
    s->stats.done--;
}

void done_add(struct site *s, const struct txn_ref *ref, enum txn_verdict verdict, int64_t ts,
              const struct txn_why *why) {
    struct done *d = s->leads ? calloc(1, sizeof *d) : NULL;
    if (!s->leads)
        return;
    if (!d || s->stats.done >= s->init.limits.done) {
        /* What cannot be remembered is refused by age: whoever is not known and began before may have been it. */
        struct done *oldest = d ? ilist_first(&s->all_done, struct done, all) : NULL;
        int64_t began = oldest ? oldest->began : ref->began;
        s->done_horizon = ts_max(s->done_horizon, began + 1);
        site_probe(s, "txn: the mark of an attempt that is over gave way to a horizon");
        if (oldest)
            done_drop(s, oldest);
    }
    if (!d)
        return;
    *d = (struct done){.id = ref->id, .began = ref->began, .verdict = verdict, .ts = ts, .why = *why};
    ilist_init(&d->all);
    map_put(&s->done, &d->by_id, txn_id_hash(&d->id));
    ilist_push_back(&s->all_done, &d->all);
    s->stats.done++;
}

bool site_too_old(const struct site *s, const struct txn_ref *ref) {
    return ref->began < ts_max(s->outcomes.horizon, s->done_horizon) && !site_mutant(s, "N-7");
}

/* ---- what comes out ---------------------------------------------------------------------------------------------- */

static struct site_node *node_new(struct site *s, size_t bytes) {
    struct site_node *n = s->out_count < s->init.limits.out ? malloc(sizeof *n + bytes) : NULL;
    if (!n)
        return NULL;
    *n = (struct site_node){.out.n = bytes};
    n->out.bytes = n->bytes;
    ilist_init(&n->link);
    return n;
}

static void node_push(struct site *s, struct site_node *n) {
    ilist_push_back(&s->out, &n->link);
    s->out_count++;
}

void site_raise_floor(struct site *s, int64_t ts) {
    struct site_node *n;
    s->floor = ts_max(s->floor, ts);
    n = node_new(s, 0);
    if (!n)
        return; /* facts->floor is then lower than ours; ts_new takes the larger */
    n->out.type = SITE_OUT_FLOOR;
    n->out.ts = ts;
    node_push(s, n);
}

bool site_send(struct site *s, const struct txn_msg *m, struct txn_key to, uint64_t gateway, int64_t not_before) {
    buf_reset(&s->enc, 1 << 16);
    if (txn_msg_encode(m, &s->scratch, &s->enc))
        return false;
    struct site_node *n = node_new(s, s->enc.len + to.n);
    if (!n)
        return false;
    memcpy(n->bytes, s->enc.data, s->enc.len);
    if (to.n)
        memcpy(n->bytes + s->enc.len, to.p, to.n);
    n->out.type = SITE_OUT_SEND;
    n->out.id = m->ref.id;
    n->out.msg = m->type;
    n->out.n = s->enc.len;
    n->out.key = (struct txn_key){n->bytes + s->enc.len, to.n};
    n->out.gateway = gateway;
    n->out.ts = not_before;
    node_push(s, n);
    return true;
}

bool site_propose(struct site *s, const struct txn_record *r, int64_t ts, bool exact) {
    buf_reset(&s->enc, 1 << 16);
    if (txn_record_encode(r, &s->scratch, &s->enc))
        return false;
    struct site_node *n = node_new(s, s->enc.len);
    if (!n)
        return false;
    memcpy(n->bytes, s->enc.data, s->enc.len);
    n->out.type = SITE_OUT_PROPOSE;
    n->out.id = r->ref.id;
    n->out.record = r->type;
    n->out.ts = ts;
    n->out.exact = exact;
    n->out.gate = txn_record_gate(r);
    node_push(s, n);
    return true;
}

void site_drop_overlay(struct site *s, const struct txn_id *id) {
    struct site_node *n = node_new(s, 0);
    if (!n)
        return; /* it goes with the leadership at the latest */
    n->out.type = SITE_OUT_DROP;
    n->out.id = *id;
    node_push(s, n);
}

bool site_next(struct site *s, struct site_out *ret) {
    free(s->taken);
    s->taken = NULL;
    struct ilist *l = ilist_pop_front(&s->out);
    if (!l)
        return false;
    s->taken = ilist_entry(l, struct site_node, link);
    s->out_count--;
    *ret = s->taken->out;
    return true;
}

static void out_clear(struct site *s) {
    struct site_out o;
    while (site_next(s, &o))
        ;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static enum rc range_set(struct site *s, const struct txn_span *range) {
    uint8_t *p = malloc(range->start.n + range->end.n + 1);
    if (!p)
        return RC_NOMEM;
    if (range->start.n)
        memcpy(p, range->start.p, range->start.n);
    if (range->end.n)
        memcpy(p + range->start.n, range->end.p, range->end.n);
    free(s->range_bytes);
    s->range_bytes = p;
    s->range = (struct txn_span){{p, range->start.n}, {p + range->start.n, range->end.n}};
    return RC_OK;
}

enum rc site_new(const struct site_init *init, struct site **ret) {
    struct site *s = calloc(1, sizeof *s);
    if (!s)
        return RC_NOMEM;
    s->init = *init;
    struct site_limits *l = &s->init.limits;
    l->coordinating = l->coordinating ? l->coordinating : 64u << 10;
    l->outcomes = l->outcomes ? l->outcomes : 1u << 20;
    l->done = l->done ? l->done : 64u << 10;
    l->out = l->out ? l->out : 1u << 20;
    l->ask_ns = l->ask_ns ? l->ask_ns : SECOND;
    l->retry_ns = l->retry_ns ? l->retry_ns : 3 * SECOND / 10;
    l->vote_ns = l->vote_ns ? l->vote_ns : 10 * SECOND;
    l->remember_ns = l->remember_ns ? l->remember_ns : 3600 * SECOND;
    l->remember_token_ns = l->remember_token_ns ? l->remember_token_ns : 7 * 86400 * SECOND;
    s->generation = init->generation;
    s->done_horizon = INT64_MIN;
    outcomes_init(&s->outcomes);
    map_init(&s->parts);
    map_init(&s->coords);
    map_init(&s->done);
    ilist_init(&s->all_parts);
    ilist_init(&s->voted);
    ilist_init(&s->all_coords);
    ilist_init(&s->all_done);
    ilist_init(&s->resend);
    ilist_init(&s->early);
    ilist_init(&s->out);
    arena_init(&s->scratch, 0);
    arena_init(&s->effect, 0);
    buf_init(&s->buf, TXN_WRITES_BYTES_MAX + 1);
    buf_init(&s->enc, 0);
    if (range_set(s, &init->range)) {
        site_free(s);
        return RC_NOMEM;
    }
    *ret = s;
    return RC_OK;
}

static void part_forget(struct site *s, struct part *p) {
    map_del(&s->parts, &p->by_id);
    ilist_del(&p->all);
    ilist_del(&p->voted);
    arena_done(&p->arena);
    free(p);
}

void site_free(struct site *s) {
    if (!s)
        return;
    site_lead_end(s);
    ilist_for_each(it, &s->all_parts)
        part_forget(s, ilist_entry(it, struct part, all));
    outcomes_done(&s->outcomes);
    out_clear(s);
    map_done(&s->parts);
    map_done(&s->coords);
    map_done(&s->done);
    arena_done(&s->scratch);
    arena_done(&s->effect);
    buf_done(&s->buf);
    buf_done(&s->enc);
    free(s->range_bytes);
    free(s);
}

bool site_leads(const struct site *s) {
    return s->leads;
}

uint64_t site_term(const struct site *s) {
    return s->term;
}

struct txn_span site_range(const struct site *s) {
    return s->range;
}

uint64_t site_generation(const struct site *s) {
    return s->generation;
}

bool site_active(const struct site *s, const struct txn_id *id, uint32_t *ret_requests) {
    const struct part *p = part_find(s, id);
    if (!s->leads || !p || p->state != PART_ACTIVE)
        return false;
    *ret_requests = p->requests;
    return true;
}

void site_set_ctx(struct site *s, void *ctx) {
    s->init.ctx = ctx;
}

struct lock_table *site_locks(struct site *s) {
    return s->locks;
}

enum rc site_lead_begin(struct site *s, uint64_t term, const struct txn_facts *f, struct err *err) {
    struct lock_init init = {.limits = s->init.limits.lock, .seed = s->init.seed ^ term, .chaos = s->init.chaos};
    CHECK(!s->leads);
    enum rc rc = lock_table_new(&init, &s->locks);
    if (rc)
        return err_set(err, rc, "out of memory");
    arena_reset(&s->scratch);
    ilist_for_each(it, &s->all_parts) {
        struct part *p = ilist_entry(it, struct part, all);
        CHECK(p->state == PART_PREPARED);
        if (site_mutant(s, "T-11"))
            continue;
        rc = lock_restore(s->locks, &p->ref, p->rec.grants, p->rec.n_grants, f->mono_ns, err);
        if (rc && s->init.chaos && site_mutant(s, "T-11-set"))
            rc = RC_OK;
        if (rc) {
            lock_table_free(s->locks);
            s->locks = NULL;
            return rc;
        }
        p->ask_ns = f->mono_ns; /* nobody may be left who would tell it */
    }
    s->leads = true;
    s->term = term;
    s->floor = ts_max(s->floor, f->floor);
    s->forget_ns = f->mono_ns + s->init.limits.remember_ns / 16;
    rc = coord_lead_begin(s, f);
    if (rc)
        site_lead_end(s);
    return rc ? err_set(err, rc, "out of memory") : RC_OK;
}

void site_lead_end(struct site *s) {
    if (!s->leads)
        return;
    s->leads = s->splitting = false;
    coord_drop_early(s, 0);
    ilist_for_each(it, &s->all_coords)
        coord_free(s, ilist_entry(it, struct coord, all));
    ilist_for_each(it, &s->all_parts) {
        struct part *p = ilist_entry(it, struct part, all);
        if (p->state == PART_RESOLVING)
            part_move(s, p, PART_PREPARED);
        else if (p->state != PART_PREPARED)
            part_forget(s, p);
    }
    ilist_for_each(it, &s->resend) {
        struct outcome *o = ilist_entry(it, struct outcome, resend);
        ilist_del(&o->resend);
        spans_done(&o->need);
    }
    while (!ilist_empty(&s->all_done))
        done_drop(s, ilist_first(&s->all_done, struct done, all));
    s->done_horizon = INT64_MIN; /* the next leader's term keeps out what comes late (T-1) */
    lock_table_free(s->locks);
    s->locks = NULL;
    out_clear(s);
}

/* ---- fragments --------------------------------------------------------------------------------------------------- */

static enum rc admit(struct site *s, const struct txn_ref *ref, uint32_t seq, const struct txn_facts *f,
                     struct err *err) {
    struct done *d = done_find(s, &ref->id);
    struct txn_why why = {.reason = TXN_REASON_HORIZON};
    struct lock_txn *x;
    if (d && d->verdict == TXN_ABORTED)
        return txn_why_err(&d->why, err);
    if (d)
        return err_set(err, RC_INVAL, "the transaction has committed already");
    if (site_too_old(s, ref))
        return txn_why_err(&why, err);
    why.reason = TXN_REASON_TERM;
    if (seq != 0)
        return txn_why_err(&why, err);
    enum rc rc = lock_txn_open(s->locks, ref, f->mono_ns, &x, err);
    if (rc)
        return rc;
    if (!part_new(s, ref, PART_ACTIVE)) {
        lock_release(s->locks, x, f->mono_ns);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    return RC_OK;
}

enum rc site_request(struct site *s, const struct txn_ref *ref, uint32_t seq, const struct txn_facts *f,
                     struct err *err) {
    struct part *p = part_find(s, &ref->id);
    struct txn_why why = {.reason = TXN_REASON_REQUESTS};
    arena_reset(&s->scratch);
    if (!s->leads)
        return err_set(err, RC_UNREACHABLE, "this replica does not lead its tablet");
    if (!p) {
        enum rc rc = admit(s, ref, seq, f, err);
        if (rc)
            return rc;
        p = part_find(s, &ref->id);
    }
    if (p->state != PART_ACTIVE || seq < p->requests)
        return err_set(err, RC_INVAL, "a request of the transaction came twice, or after its commit");
    if (seq > p->requests) {
        part_lose(s, p, &why, false, f);
        return txn_why_err(&why, err);
    }
    p->requests++;
    p->running++;
    lock_txn_busy(s->locks, lock_txn_find(s->locks, &ref->id), true, f->mono_ns);
    return RC_OK;
}

/* mode LOCK_NONE: escalate. */
static enum rc ask_lock(struct site *s, const struct txn_id *id, const struct txn_span *span, enum lock_mode mode,
                        uint64_t request, int64_t deadline_ns, const struct txn_facts *f, bool *ret_waits,
                        struct err *err) {
    struct part *p = part_find(s, id);
    struct done *d = p ? NULL : done_find(s, id);
    struct txn_why why = {.reason = TXN_REASON_TERM};
    arena_reset(&s->scratch);
    if (!s->leads || !p || p->state != PART_ACTIVE)
        return txn_why_err(d ? &d->why : &why, err);
    if (!txn_span_covers(&s->range, span))
        return err_set(err, RC_MOVED, "the keys are not in this tablet");
    struct lock_txn *x = lock_txn_find(s->locks, id);
    enum rc rc = mode == LOCK_NONE
                     ? lock_escalate(s->locks, x, span, request, f->mono_ns, deadline_ns, ret_waits, err)
                     : lock_acquire(s->locks, x, span, mode, request, f->mono_ns, deadline_ns, ret_waits, err);
    site_drain_locks(s, f);
    return rc;
}

enum rc site_lock(struct site *s, const struct txn_id *id, const struct txn_span *span, enum lock_mode mode,
                  uint64_t request, int64_t deadline_ns, const struct txn_facts *f, bool *ret_waits, struct err *err) {
    if (mode == LOCK_NONE)
        return err_set(err, RC_INVAL, "a lock without a mode");
    return ask_lock(s, id, span, mode, request, deadline_ns, f, ret_waits, err);
}

enum rc site_escalate(struct site *s, const struct txn_id *id, const struct txn_span *span, uint64_t request,
                      int64_t deadline_ns, const struct txn_facts *f, bool *ret_waits, struct err *err) {
    return ask_lock(s, id, span, LOCK_NONE, request, deadline_ns, f, ret_waits, err);
}

void site_cancel(struct site *s, const struct txn_id *id, uint64_t request, const struct txn_facts *f) {
    struct lock_txn *x = s->locks ? lock_txn_find(s->locks, id) : NULL;
    arena_reset(&s->scratch);
    if (x)
        IGNORE(lock_cancel(s->locks, x, request, f->mono_ns)); /* it may have been answered already */
    site_drain_locks(s, f);
}

void site_request_end(struct site *s, const struct txn_id *id, const struct txn_facts *f) {
    struct part *p = part_find(s, id);
    if (!p || p->state != PART_ACTIVE || !p->running)
        return; /* it was aborted meanwhile */
    p->running--;
    p->commits = false;
    lock_txn_busy(s->locks, lock_txn_find(s->locks, id), false, f->mono_ns);
}

void site_request_commits(struct site *s, const struct txn_id *id) {
    struct part *p = part_find(s, id);
    if (p && p->state == PART_ACTIVE && p->running)
        p->commits = true;
}

void site_request_void(struct site *s, const struct txn_id *id, const struct txn_facts *f) {
    struct part *p = part_find(s, id);
    if (p && p->state == PART_ACTIVE && p->running)
        p->requests--;
    site_request_end(s, id, f);
}

void site_alive(struct site *s, const struct txn_id *id, const struct txn_facts *f) {
    struct lock_txn *x = s->locks ? lock_txn_find(s->locks, id) : NULL;
    if (x)
        lock_txn_alive(s->locks, x, f->mono_ns);
}

static void lock_news(struct site *s, const struct lock_event *e, const struct txn_facts *f) {
    struct part *p = part_find(s, &e->txn);
    struct txn_why why = {TXN_REASON_LOCKS, e->why};
    struct txn_msg m = {.span = s->range, .why = why};
    if (!p)
        return;
    m.ref = p->ref;
    switch (e->type) {
    case LOCK_EV_WOUNDED:
        m.type = TXN_MSG_WOUNDED;
        IGNORE(site_send(s, &m, (struct txn_key){NULL, 0}, p->ref.id.gateway, 0)); /* idle_ns does it too */
        break;
    case LOCK_EV_DOOMED:
        if (p->state == PART_ACTIVE)
            part_lose(s, p, &why, true, f);
        break;
    case LOCK_EV_FORWARD:
        if (site_mutant(s, "K-2") && p->state == PART_PREPARED) {
            part_end(s, p, TXN_ABORTED, 0, &why, f); /* killed where it may not be */
        } else if (p->state == PART_FROZEN) {
            coord_on_wound(s, &p->ref, &why, f);
        } else if (p->rec.anchor.p) {
            m.type = TXN_MSG_WOUND;
            m.anchor = p->rec.anchor;
            IGNORE(site_send(s, &m, m.anchor, 0, 0)); /* again while the older one waits */
        }
        break;
    default:
        break;
    }
}

void site_drain_locks(struct site *s, const struct txn_facts *f) {
    struct lock_event e;
    while (s->locks && lock_next(s->locks, &e)) {
        if (e.type != LOCK_EV_GRANTED && e.type != LOCK_EV_REFUSED) {
            lock_news(s, &e, f);
            continue;
        }
        struct site_node *n = node_new(s, 0);
        if (!n) { /* whoever waits has a deadline of its own */
            site_probe(s, "txn: no memory to tell of a lock");
            continue;
        }
        n->out.type = SITE_OUT_LOCK;
        n->out.id = e.txn;
        n->out.lock = e;
        node_push(s, n);
    }
}

/* ---- messages and time ------------------------------------------------------------------------------------------- */

static void on_mark(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    struct lock_txn *x = lock_txn_find(s->locks, &m->ref.id);
    if (x)
        lock_mark(s->locks, x, &m->why.lock, f->mono_ns);
}

static void on_status(struct site *s, const struct txn_msg *m) {
    struct txn_msg a = {.type = TXN_MSG_TOKEN, .ref = m->ref, .token = m->token};
    int64_t ts = 0;
    a.verdict = site_status(s, &m->token, m->s_min, &ts);
    a.s_min = ts;
    IGNORE(site_send(s, &a, (struct txn_key){NULL, 0}, m->ref.id.gateway, 0)); /* asked again */
}

void site_message(struct site *s, const struct txn_msg *m, const struct txn_facts *f) {
    bool here = m->type == TXN_MSG_COMMIT || m->type == TXN_MSG_VOTE || m->type == TXN_MSG_INQUIRE ||
                        m->type == TXN_MSG_ACK || m->type == TXN_MSG_WOUND
                    ? covers_key(s, m->anchor)
                    : txn_span_overlap(&s->range, &m->span);
    arena_reset(&s->scratch);
    if (!s->leads || (!here && m->type != TXN_MSG_STATUS && m->type != TXN_MSG_MARK))
        return;
    switch (m->type) {
    case TXN_MSG_COMMIT:
        coord_on_commit(s, m, f);
        break;
    case TXN_MSG_PREPARE:
        part_on_prepare(s, m, f);
        break;
    case TXN_MSG_ROLLBACK:
        part_on_rollback(s, m, f);
        break;
    case TXN_MSG_MARK:
        on_mark(s, m, f);
        break;
    case TXN_MSG_VOTE:
        coord_on_vote(s, m, f);
        break;
    case TXN_MSG_INQUIRE:
        coord_on_inquire(s, m, f);
        break;
    case TXN_MSG_OUTCOME:
        part_on_outcome(s, m, f);
        break;
    case TXN_MSG_ACK:
        coord_on_ack(s, m, f);
        break;
    case TXN_MSG_WOUND:
        coord_on_wound(s, &m->ref, &m->why, f);
        break;
    case TXN_MSG_STATUS:
        on_status(s, m);
        break;
    default:
        break; /* a gateway's */
    }
    site_drain_locks(s, f);
}

/* Room for new ones: the oldest eighth of the attempts that are remembered goes, with what their tokens could ask for unless the
 * deadline of a token has not passed yet. */
static void forget_early(const struct site *s, const struct txn_facts *f, struct txn_record *r) {
    int64_t oldest = INT64_MAX, newest = INT64_MIN;
    for (const struct ilist *it = s->outcomes.all.next; it != &s->outcomes.all; it = it->next) {
        int64_t began = container_of(it, struct outcome, all)->ref.began;
        oldest = ts_min(oldest, began);
        newest = ts_max(newest, began);
    }
    if (oldest > newest)
        return;
    r->horizon = ts_max(r->horizon, oldest + (newest - oldest) / 8 + 1);
    for (const struct ilist *it = s->outcomes.all.next; it != &s->outcomes.all; it = it->next) {
        const struct outcome *o = container_of(it, struct outcome, all);
        if (o->ref.began < r->horizon && o->token.deadline < f->tt.earliest)
            r->token_horizon = ts_max(r->token_horizon, o->token.deadline + 1);
    }
}

static void forget_tick(struct site *s, const struct txn_facts *f) {
    const struct site_limits *l = &s->init.limits;
    struct txn_record r = {.type = TXN_REC_FORGET, .generation = s->generation};
    bool full = s->outcomes.count >= l->outcomes - l->outcomes / 4;
    if (f->mono_ns < (full ? s->forget_full_ns : s->forget_ns) || !tt_is_known(f->tt) || s->splitting)
        return;
    s->forget_ns = f->mono_ns + l->remember_ns / 16;
    s->forget_full_ns = f->mono_ns + SECOND; /* not again before this one is applied */
    r.horizon = f->tt.earliest - l->remember_ns;
    r.token_horizon = f->tt.earliest - l->remember_token_ns;
    if (full) {
        site_probe(s, "txn: outcomes are forgotten early, for lack of room");
        forget_early(s, f, &r);
    }
    if (s->outcomes.count)
        IGNORE(site_propose(s, &r, 0, false)); /* the next one will do */
}

void site_tick(struct site *s, const struct txn_facts *f) {
    arena_reset(&s->scratch);
    if (!s->leads)
        return;
    lock_tick(s->locks, f->mono_ns);
    site_drain_locks(s, f);
    part_tick(s, f);
    coord_tick(s, f);
    forget_tick(s, f);
    site_drain_locks(s, f);
}

int64_t site_wake_ns(const struct site *s) {
    if (!s->leads)
        return INT64_MAX;
    int64_t wake = ts_min(lock_wake_ns(s->locks), ts_min(coord_wake_ns(s), s->forget_ns));
    for (const struct ilist *it = s->voted.next; it != &s->voted; it = it->next) {
        const struct part *p = container_of(it, struct part, voted);
        if (p->state != PART_RESOLVING)
            wake = ts_min(wake, p->ask_ns);
    }
    return wake;
}

enum txn_verdict site_status(const struct site *s, const struct txn_token *token, int64_t safe, int64_t *ret_s) {
    const struct outcome *o = outcome_find_token(&s->outcomes, token);
    if (o) {
        *ret_s = o->s;
        return TXN_COMMITTED;
    }
    if (token->deadline < s->outcomes.token_horizon)
        return TXN_EXPIRED;
    return safe >= token->deadline ? TXN_ABORTED : TXN_UNDECIDED;
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

enum rc site_apply(struct site *s, const struct txn_record *r, int64_t ts, const struct txn_facts *f,
                   struct site_effect *ret, struct err *err) {
    struct outcome *o;
    enum rc rc = RC_OK;
    *ret = (struct site_effect){.writes = false};
    arena_reset(&s->scratch);
    site_raise_applied(s, ts);
    switch (r->type) {
    case TXN_REC_PREPARE:
        rc = part_apply_prepare(s, r, ts, f, err);
        break;
    case TXN_REC_COMMIT:
        if (r->s != ts)
            return err_set(err, RC_CORRUPT, "a commit record with another timestamp than its entry");
        rc = coord_apply(s, r, f, ret, err);
        break;
    case TXN_REC_ABORT:
        rc = coord_apply(s, r, f, ret, err);
        break;
    case TXN_REC_OUTCOME:
        rc = part_apply_outcome(s, r, f, ret, err);
        break;
    case TXN_REC_SETTLED:
        o = outcome_find(&s->outcomes, &r->ref.id);
        if (o)
            outcome_settle(o);
        break;
    case TXN_REC_FORGET:
        outcomes_forget(&s->outcomes, r->horizon, r->token_horizon);
        break;
    default:
        return err_set(err, RC_CORRUPT, "an unknown record of the transaction layer");
    }
    site_drain_locks(s, f);
    return rc;
}

void site_refused(struct site *s, const struct txn_id *id, enum txn_record_type type, const struct txn_facts *f) {
    struct part *p = part_find(s, id);
    struct coord *c = coord_find(s, id);
    arena_reset(&s->scratch);
    if (!s->leads)
        return;
    if (c && (type == TXN_REC_COMMIT || type == TXN_REC_ABORT))
        coord_refused(s, c, type, f);
    else if (p)
        part_refused(s, p, type, f);
    site_drain_locks(s, f);
}

/* ---- timestamps -------------------------------------------------------------------------------------------------- */

int64_t site_floor(const struct site *s) {
    return s->floor;
}

int64_t site_promised(const struct site *s) {
    int64_t max = INT64_MIN;
    for (const struct ilist *it = s->voted.next; it != &s->voted; it = it->next) {
        const struct part *p = container_of(it, struct part, voted);
        if (p->state == PART_PROMISED)
            max = ts_max(max, p->vote.max);
    }
    return max;
}

int64_t site_safe_below(const struct site *s, const struct txn_span *span) {
    int64_t below = INT64_MAX;
    for (const struct ilist *it = s->voted.next; it != &s->voted; it = it->next) {
        const struct part *p = container_of(it, struct part, voted);
        if (p->state == PART_PROMISED)
            continue;
        for (size_t i = 0; i < p->rec.n_grants && p->s_prepare < below; i++)
            if (p->rec.grants[i].mode == LOCK_EXCLUSIVE && txn_span_overlap(&p->rec.grants[i].span, span))
                below = p->s_prepare;
    }
    return below;
}

/* ---- looking in -------------------------------------------------------------------------------------------------- */

void site_stats(const struct site *s, struct site_stats *ret) {
    *ret = s->stats;
    for (const struct ilist *it = s->all_parts.next; it != &s->all_parts; it = it->next) {
        enum part_state state = container_of(it, struct part, all)->state;
        ret->active += state == PART_ACTIVE || state == PART_FROZEN;
        ret->preparing += state == PART_PREPARING;
        ret->prepared += state == PART_PREPARED || state == PART_RESOLVING;
        ret->promised += state == PART_PROMISED;
    }
    ret->coordinating = s->coords.count;
    ret->outcomes = s->outcomes.count;
    for (const struct ilist *it = s->outcomes.all.next; it != &s->outcomes.all; it = it->next)
        ret->unsettled += !container_of(it, struct outcome, all)->settled;
}

void site_check(struct site *s) {
    size_t parts = 0;
    ilist_for_each(it, &s->all_parts) {
        struct part *p = ilist_entry(it, struct part, all);
        struct lock_txn *x = s->locks ? lock_txn_find(s->locks, &p->ref.id) : NULL;
        struct lock_txn_info info;
        parts++;
        if (!s->leads) {
            CHECK(p->state == PART_PREPARED && !x);
            continue;
        }
        CHECK(x); /* whoever takes part has its locks */
        lock_txn_info(x, &info);
        if (p->state == PART_ACTIVE)
            CHECK(info.state != LOCK_PREPARED);
        else
            CHECK(info.state == LOCK_PREPARED && info.waits == 0); /* A3 */
        if (p->state == PART_FROZEN)
            CHECK(coord_find(s, &p->ref.id));
        if (p->state == PART_PREPARED)
            CHECK(p->s_prepare <= s->floor && info.locks <= p->rec.n_grants);
    }
    CHECK(parts == s->parts.count);
    if (s->locks) {
        struct lock_stats ls;
        lock_stats(s->locks, &ls);
        CHECK(ls.txns == parts); /* nobody else has any */
        lock_table_check(s->locks);
    } else {
        CHECK(s->coords.count == 0 && s->done.count == 0 && ilist_empty(&s->resend));
    }
    ilist_for_each(it, &s->resend)
        CHECK(!ilist_entry(it, struct outcome, resend)->settled);
}
