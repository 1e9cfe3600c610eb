/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c: the site's way into a tablet's log and file, and out to whom it speaks.
 */
#include "txn/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "txn/host_internal.h"

/* An entry of ours that is under way. */
struct proposal {
    struct replica_proposal p;
    struct ilist link;
    struct txn_id id;
    enum txn_record_type record;
};

/* ---- small things ------------------------------------------------------------------------------------------------ */

void host_ref(struct txn_host *h) {
    h->refs++;
}

void host_unref(struct txn_host *h) {
    CHECK(h->refs > 0);
    if (--h->refs > 0)
        return;
    CHECK(h->closed && h->waits.count == 0);
    map_done(&h->waits);
    map_done(&h->guests);
    arena_done(&h->scratch);
    buf_done(&h->buf);
    free(h);
}

struct txn_host *host_find(struct txn_hosts *hs, uint64_t tablet) {
    struct tablet *t = hs->store->tablets ? tablets_find(hs->store->tablets, tablet) : NULL;
    return t ? tablet_upper(t) : NULL;
}

bool host_leads(struct txn_host *h) {
    struct replica *r = h->closed ? NULL : tablet_replica(h->tablet);
    return r && site_leads(h->site) && replica_leads(r);
}

struct txn_facts host_facts(struct txn_host *h) {
    struct replica *r = tablet_replica(h->tablet);
    return (struct txn_facts){.mono_ns = env_now_ns(h->all->env),
                              .tt = tt_now(&h->all->store->clock),
                              .lease_end = r ? replica_lease_end(r) : 0,
                              .floor = r ? replica_floor(r) : 0,
                              .schema_until = INT64_MAX};
}

static const char *section_name(char to[SECTION_NAME_BYTES], char what, const struct txn_id *id) {
    snprintf(to, SECTION_NAME_BYTES, "txn/%c/%016" PRIx64 "%016" PRIx64 "%016" PRIx64, what, id->gateway,
             id->incarnation, id->counter);
    return to;
}

bool host_section_id(const char *name, struct txn_id *ret) {
    int end = 0;
    char what;
    return sscanf(name, "txn/%c/%16" SCNx64 "%16" SCNx64 "%16" SCNx64 "%n", &what, &ret->gateway, &ret->incarnation,
                  &ret->counter, &end) == 4 &&
           name[end] == '\0';
}

/* ---- opening: what the sections say ------------------------------------------------------------------------------ */

struct records {
    struct txn_record *v;
    size_t n, cap;
};

struct loading {
    struct arena *a;
    struct records prepared, outcomes;
    int64_t horizon, token_horizon;
    bool pieces;
};

static enum rc take_record(struct loading *l, struct records *to, struct mvcc_bytes bytes, struct err *err) {
    if (to->n == to->cap) {
        size_t cap = to->cap ? 2 * to->cap : 64;
        struct txn_record *v = arena_array(l->a, cap, sizeof *v);
        if (!v)
            return err_set(err, RC_NOMEM, "out of memory for what is known of transactions");
        if (to->n)
            memcpy(v, to->v, to->n * sizeof *v);
        to->v = v;
        to->cap = cap;
    }
    enum rc rc = txn_record_decode(bytes.p, bytes.n, l->a, &to->v[to->n], err);
    to->n += !rc;
    return rc;
}

static enum rc on_section(const char *name, struct mvcc_bytes bytes, void *ctx, struct err *err) {
    struct loading *l = ctx;
    enum rc rc = RC_OK;
    if (strncmp(name, "txn/p/", 6) == 0) {
        rc = take_record(l, &l->prepared, bytes, err);
    } else if (strncmp(name, "txn/o/", 6) == 0) {
        rc = take_record(l, &l->outcomes, bytes, err);
    } else if (strcmp(name, "txn/h") == 0) {
        if (bytes.n != 16)
            return err_set(err, RC_CORRUPT, "the horizons of outcomes are cut off");
        l->horizon = (int64_t)get_u64le(bytes.p);
        l->token_horizon = (int64_t)get_u64le((const uint8_t *)bytes.p + 8);
    } else if (strncmp(name, "txn/w/", 6) == 0) {
        l->pieces = true;
    }
    return rc ? err_wrap(err, "section \"%s\"", name) : RC_OK;
}

static enum rc load(struct txn_host *h, struct err *err) {
    struct mvcc *m = tablet_mvcc(h->tablet);
    struct loading l = {.a = &h->scratch};
    struct buf b;
    arena_reset(&h->scratch);
    buf_init(&b, 0);
    enum rc rc = mvcc_sections(m, "txn/", on_section, &l, err);
    struct txn_state st = {.prepared = l.prepared.v,
                           .outcomes = l.outcomes.v,
                           .n_prepared = l.prepared.n,
                           .n_outcomes = l.outcomes.n,
                           .horizon = l.horizon,
                           .token_horizon = l.token_horizon,
                           .floor = mvcc_state(m)->floor};
    if (!rc && (rc = txn_state_encode(&st, &h->scratch, &b)))
        err_set(err, rc, "out of memory for what is known of transactions");
    if (!rc)
        rc = site_load(h->site, b.data, b.len, err);
    h->pieces = l.pieces;
    buf_done(&b);
    arena_reset(&h->scratch);
    return rc;
}

static void own_writes(void *ctx, const struct txn_id *id, struct buf *to) {
    struct txn_host *h = ctx;
    struct guest *g = guest_find(h, id);
    struct txn_span range = site_range(h->site);
    size_t before = to->len;
    if (!g)
        return;
    if (g->pieces) {
        pieces_mark(g->pieces, to);
        return;
    }
    enum rc rc = guest_encode(g, &range, to);
    if (rc && !to->rc)
        to->rc = rc;
    if (to->len - before > HOST_WRITES_BYTES_MAX) /* no entry holds it: it should have been in pieces */
        to->rc = RC_LIMIT;
}

struct txn_host *host_new(struct txn_hosts *hs, struct tablet *t) {
    struct txn_host *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->all = hs;
    h->tablet = t;
    h->id = tablet_id(t);
    h->refs = 1;
    h->pledged = INT64_MIN;
    ilist_init(&h->link);
    map_init(&h->guests);
    map_init(&h->waits);
    waitq_init(&h->safe);
    ilist_init(&h->proposals);
    arena_init(&h->scratch, 0);
    buf_init(&h->buf, 0);
    ilist_push_back(&hs->hosts, &h->link);
    return h;
}

void host_drop(struct txn_host *h) {
    h->closed = true;
    host_lose_all(h, RC_NOT_LEADER);
    site_free(h->site); /* NULL is fine */
    h->site = NULL;
    ilist_del(&h->link);
    ilist_for_each(it, &h->proposals) /* they end by themselves */
        ilist_del(&ilist_entry(it, struct proposal, link)->link);
    waitq_wake_all(&h->safe, RC_MOVED);
    host_unref(h);
}

static void host_close(void *state) {
    host_drop(state);
}

static enum rc host_open(void *ctx, struct tablet *t, void **ret_state, struct err *err) {
    struct txn_hosts *hs = *(struct txn_hosts **)ctx;
    const struct mvcc_state *s = mvcc_state(tablet_mvcc(t));
    struct txn_host *h = host_new(hs, t);
    if (!h)
        return err_set(err, RC_NOMEM, "out of memory");
    struct site_init init = {.range = {{s->start.p, s->start.n}, {s->end.p, s->end.n}},
                             .generation = s->generation,
                             .limits = {.outcomes = OUTCOMES_MAX, .done = DONE_MAX},
                             .seed = env_random(hs->env),
                             .chaos = hs->env->chaos,
                             .writes = own_writes,
                             .ctx = h};
    enum rc rc = site_new(&init, &h->site);
    if (rc)
        err_set(err, rc, "out of memory");
    else
        rc = load(h, err);
    if (rc) {
        host_drop(h);
        return rc;
    }
    *ret_state = h;
    return RC_OK;
}

/* ---- applying ---------------------------------------------------------------------------------------------------- */

static enum rc put_section(struct txn_host *h, char what, const struct txn_id *id, const struct txn_record *r,
                           struct err *err) {
    char name[SECTION_NAME_BYTES];
    section_name(name, what, id);
    counter_inc(&h->all->stats.sections);
    if (!r)
        return mvcc_put_section(tablet_mvcc(h->tablet), name, (struct mvcc_bytes){NULL, 0}, err);
    buf_reset(&h->buf, 1 << 16);
    enum rc rc = txn_record_encode(r, &h->scratch, &h->buf);
    if (rc)
        return err_set(err, rc, "a transaction's record: %s", rc_text(rc));
    return mvcc_put_section(tablet_mvcc(h->tablet), name, (struct mvcc_bytes){h->buf.data, h->buf.len}, err);
}

enum rc host_keep_prepared(struct txn_host *h, const struct txn_id *id, struct err *err) {
    struct txn_record r;
    enum rc rc = site_prepared(h->site, id, &r);
    return put_section(h, 'p', id, rc ? NULL : &r, err);
}

enum rc host_keep_outcome(struct txn_host *h, const struct txn_id *id, struct err *err) {
    struct txn_record r;
    enum rc rc = site_outcome(h->site, id, &h->scratch, &r);
    if (rc == RC_NOMEM)
        return err_set(err, rc, "out of memory");
    return put_section(h, 'o', id, rc ? NULL : &r, err);
}

enum rc host_keep_horizons(struct txn_host *h, struct err *err) {
    uint8_t b[16];
    int64_t horizon, token_horizon;
    site_horizons(h->site, &horizon, &token_horizon);
    set_u64le(b, (uint64_t)horizon);
    set_u64le(b + 8, (uint64_t)token_horizon);
    return mvcc_put_section(tablet_mvcc(h->tablet), "txn/h", (struct mvcc_bytes){b, sizeof b}, err);
}

struct forgetting {
    struct txn_host *h;
    enum rc rc;
    struct err *err;
};

static void forget_one(void *ctx, const struct txn_id *id) {
    struct forgetting *f = ctx;
    if (!f->rc)
        f->rc = put_section(f->h, 'o', id, NULL, f->err);
}

/* What the slot changed in the site, into the sections of the same slot. */
static enum rc keep(struct txn_host *h, const struct txn_record *r, struct err *err) {
    switch (r->type) {
    case TXN_REC_PREPARE:
        if (env_mutant(h->all->env, "T-11: prepared transactions are not kept"))
            return RC_OK;
        return host_keep_prepared(h, &r->ref.id, err);
    case TXN_REC_OUTCOME:
        return host_keep_prepared(h, &r->ref.id, err);
    case TXN_REC_COMMIT:
    case TXN_REC_ABORT:
    case TXN_REC_SETTLED:
        if (env_mutant(h->all->env, "P-10: outcomes are not kept"))
            return RC_OK;
        return host_keep_outcome(h, &r->ref.id, err);
    case TXN_REC_FORGET:
        return host_keep_horizons(h, err);
    default:
        return RC_OK;
    }
}

static enum rc host_apply(void *state, px_slot slot, int64_t ts, const struct command *c, void *own, struct err *err) {
    struct txn_host *h = state;
    struct txn_record r;
    struct site_effect effect;
    (void)slot, (void)own;
    if (c->kind == COMMAND_UPPER + 1 || c->kind == COMMAND_UPPER + 2)
        return pieces_apply(h, c, err);
    if (c->kind != COMMAND_UPPER)
        return err_set(err, RC_UNSUPPORTED, "the log has a command of kind %u, which this program does not know",
                       c->kind);
    if (c->body.n < GATE_BYTES)
        return err_set(err, RC_CORRUPT, "a transaction's record in the log is cut off");
    arena_reset(&h->scratch);
    enum rc rc =
        txn_record_decode((const uint8_t *)c->body.p + GATE_BYTES, c->body.n - GATE_BYTES, &h->scratch, &r, err);
    if (!rc && r.type == TXN_REC_FORGET) {
        struct forgetting f = {.h = h, .err = err};
        site_forgets(h->site, r.horizon, r.token_horizon, forget_one, &f);
        rc = f.rc;
    }
    struct txn_record was;
    uint32_t pieces = 0; /* of one that is aborted now */
    if (!rc && r.type == TXN_REC_OUTCOME && !r.committed && site_prepared(h->site, &r.ref.id, &was) == RC_OK)
        pieces = pieces_marked(was.writes);
    struct txn_facts f = host_facts(h);
    if (!rc)
        rc = site_apply(h->site, &r, ts, &f, &effect, err);
    if (!rc && effect.writes)
        rc = host_take_effect(h, &r.ref.id, &effect, err);
    if (!rc && pieces)
        rc = pieces_drop(h, &r.ref.id, pieces, err);
    return rc ? rc : keep(h, &r, err);
}

/* Also the floor that the entry leaves behind (N-4): an outcome's time is its coordinator's, not the entry's. */
static int64_t host_gate(void *state, int64_t ts, const struct command *c) {
    (void)ts;
    if (c->kind != COMMAND_UPPER || c->body.n < GATE_BYTES)
        return 0; /* what cannot be read is told by apply */
    int64_t gate = (int64_t)get_u64le(c->body.p);
    if (env_mutant(((struct txn_host *)state)->all->env, "T-4: entries are not gated"))
        return 0;
    return gate > 0 ? gate : 0;
}

static void host_applied(void *state, px_slot slot) {
    struct txn_host *h = state;
    (void)slot;
    host_drain(h);
    waitq_wake_all(&h->safe, RC_OK);
}

/* ---- leading ----------------------------------------------------------------------------------------------------- */

/* No other leadership of this tablet or of those that it was split from has the same: ballots are unique in a group, and the
 * group is in it. */
static uint64_t term_of(struct txn_host *h) {
    struct px_status px;
    replica_status(tablet_replica(h->tablet), &px);
    uint64_t term =
        hash_u64(h->id ^ hash_u64(px.promised.round ^ hash_u64(px.promised.store ^ hash_u64(px.promised.incarnation))));
    return term ? term : 1;
}

static void host_lead_begin(void *state, int64_t floor) {
    struct txn_host *h = state;
    struct err err = {0};
    (void)floor;
    if (site_leads(h->site)) { /* the right half of a split: it leads since then (N-6) */
        host_poke(h);
        return;
    }
    struct txn_facts f = host_facts(h);
    enum rc rc = site_lead_begin(h->site, term_of(h), &f, &err);
    if (rc) {
        diag_tablet(&h->all->env->diag, DIAG_ERROR, h->id, "txn: cannot lead", "reason=\"%s\"", err_message(&err));
        replica_resign(tablet_replica(h->tablet), "its locks could not be taken again");
        return;
    }
    pieces_clean(h);
    h->pledged = INT64_MIN;
    host_poke(h); /* what there is to send goes from the ticker: this is the core's call */
}

static void host_lead_end(void *state) {
    struct txn_host *h = state;
    h->split_begun = false;
    site_lead_end(h->site);
    host_lose_all(h, RC_NOT_LEADER);
    waitq_wake_all(&h->safe, RC_OK);
}

/* ---- safe time ----------------------------------------------------------------------------------------------------- */

static int64_t host_safe_cap(void *state, struct mvcc_bytes start, struct mvcc_bytes end) {
    struct txn_host *h = state;
    struct txn_span range = site_range(h->site);
    struct txn_span span = start.n || end.n ? (struct txn_span){{start.p, start.n}, {end.p, end.n}} : range;
    int64_t below = site_safe_below(h->site, &span);
    if (env_mutant(h->all->env, "R-3: reads do not wait for prepared transactions"))
        below = INT64_MAX;
    return below == INT64_MAX ? below : below - 1;
}

static enum rc host_safe_wait(void *state, struct mvcc_bytes start, struct mvcc_bytes end, int64_t ts,
                              int64_t deadline) {
    struct txn_host *h = state;
    enum rc rc = RC_OK;
    host_ref(h);
    if (host_safe_cap(h, start, end) < ts)
        hosts_release(h->all);
    while (!rc && !h->closed && host_safe_cap(h, start, end) < ts)
        rc = waitq_wait(h->all->reactor, &h->safe, deadline);
    if (!rc && h->closed)
        rc = RC_MOVED;
    host_unref(h);
    return rc;
}

/* ---- what the site wants ------------------------------------------------------------------------------------------- */

/* It was applied, or its leadership ended: either way the site knows. */
static void proposal_done(struct replica_proposal *p, enum rc rc) {
    struct proposal *mine = container_of(p, struct proposal, p);
    (void)rc;
    ilist_del(&mine->link);
    free(mine);
}

static bool propose(struct txn_host *h, const struct site_out *o) {
    struct replica *r = tablet_replica(h->tablet);
    struct buf b;
    struct proposal *p;
    if (!r || (o->exact && replica_floor(r) >= o->ts))
        return false;
    if (o->n + COMMAND_HEAD_BYTES + GATE_BYTES > REPLICA_COMMAND_BYTES_MAX)
        return false;
    buf_init(&b, 0);
    command_begin(&b, COMMAND_UPPER, site_generation(h->site));
    buf_put_u64le(&b, (uint64_t)o->gate);
    buf_put(&b, o->bytes, o->n);
    struct px_value *v = buf_rc(&b) ? NULL : px_value_new(PX_COMMAND, b.data, b.len);
    buf_done(&b);
    p = v ? calloc(1, sizeof *p) : NULL;
    if (p) {
        p->p.on_done = proposal_done;
        p->id = o->id;
        p->record = o->record;
        ilist_init(&p->link);
    }
    enum rc rc = p ? replica_submit(r, v, o->ts, &p->p, NULL) : RC_NOMEM;
    px_value_unref(v);
    if (rc) {
        free(p);
        return false;
    }
    ilist_push_back(&h->proposals, &p->link);
    h->all->logged |= o->record == TXN_REC_PREPARE || o->record == TXN_REC_COMMIT;
    if (o->exact)
        CHECK(p->p.ts == o->ts);
    return true;
}

/* What became of the entry on its way here. */
static bool times_of(struct txn_host *h, const struct txn_id *id, enum txn_record_type record,
                     const struct host_note *note, struct host_times *ret) {
    int64_t now = env_now_ns(h->all->env);
    *ret = (struct host_times){.all_ns = note && note->arrived_ns ? now - note->arrived_ns : 0};
    ilist_for_each(it, &h->proposals) {
        const struct proposal *p = ilist_entry(it, struct proposal, link);
        const struct replica_proposal *r = &p->p;
        if (p->record != record || !txn_id_eq(&p->id, id) || !r->apply_ns)
            continue;
        int64_t at[HOST_TIMES + 1] = {r->since_ns, r->logged_ns, r->durable_ns, r->chosen_ns, r->apply_ns, now};
        if (ret->all_ns && r->since_ns > note->arrived_ns)
            ret->before_ns = r->since_ns - note->arrived_ns;
        for (int i = 1; i <= HOST_TIMES;
             i++) { /* what did not happen, or later than the next, took no time of its own */
            if (i == 2 && r->chosen_ns && r->chosen_ns < at[i])
                at[i] = r->chosen_ns; /* others were faster than this disk */
            at[i] = at[i] < at[i - 1] ? at[i - 1] : at[i];
            ret->ns[i - 1] = at[i] - at[i - 1];
        }
        return true;
    }
    return ret->all_ns > 0;
}

static void send_one(struct txn_host *h, const struct site_out *o) {
    struct mail_times with = {.tablet = h->id};
    const struct host_note *note = NULL;
    if (o->msg == TXN_MSG_DONE || o->msg == TXN_MSG_VOTE) {
        note = note_find(h->all, h->id, &o->id);
        with.known = times_of(h, &o->id, o->msg == TXN_MSG_DONE ? TXN_REC_COMMIT : TXN_REC_PREPARE, note, &with.times);
    }
    if (o->msg == TXN_MSG_DONE && note && note->arrived_ns) {
        with.votes = note->vote;
        with.n_votes = note->votes;
    }
    hosts_send_at(h->all, o->key, o->gateway, o->bytes, o->n, o->ts, with.known ? &with : NULL);
}

static void tell_lock(struct txn_host *h, const struct lock_event *e) {
    for (struct map_node *n = map_first(&h->waits, hash_u64(e->request)); n; n = map_next(n)) {
        struct host_wait *w = container_of(n, struct host_wait, node);
        if (w->request != e->request || w->done.set)
            continue;
        w->event = *e;
        event_set(&w->done, RC_OK);
        return;
    }
}

static void do_one(struct txn_host *h, const struct site_out *o) {
    struct replica *r = tablet_replica(h->tablet);
    struct guest *g;
    switch (o->type) {
    case SITE_OUT_FLOOR:
        if (r)
            replica_raise_floor(r, o->ts);
        break;
    case SITE_OUT_PROPOSE:
        if (!propose(h, o)) {
            struct txn_id id = o->id;
            enum txn_record_type record = o->record;
            struct txn_facts f = host_facts(h);
            counter_inc(&h->all->stats.refused);
            site_refused(h->site, &id, record, &f);
        }
        break;
    case SITE_OUT_SEND:
        send_one(h, o);
        break;
    case SITE_OUT_LOCK:
        tell_lock(h, &o->lock);
        break;
    case SITE_OUT_DROP:
        g = guest_find(h, &o->id);
        if (g) {
            bool pieces = g->pieces > 0;
            guest_free(h, g);
            if (pieces) /* it may have been given up before it was prepared */
                pieces_clean(h);
        }
        map_for_each(it, &h->waits) { /* no lock event comes for who is over */
            struct host_wait *w = container_of(it, struct host_wait, node);
            if (txn_id_eq(&w->id, &o->id) && !w->done.set)
                event_set(&w->done, RC_ABORTED);
        }
        break;
    }
}

void host_drain(struct txn_host *h) {
    struct site_out o;
    if (h->draining || h->closed)
        return;
    h->draining = true;
    while (site_next(h->site, &o))
        do_one(h, &o);
    int64_t promised = site_promised(h->site);
    if (promised != h->pledged && tablet_replica(h->tablet)) /* N-3 */
        replica_pledge(tablet_replica(h->tablet), h->pledged = promised);
    h->draining = false;
    if (h->all->logged) {
        h->all->logged = false;
        hosts_release(h->all);
    }
}

/* ---- locks --------------------------------------------------------------------------------------------------------- */

/* Who or what was in the way when the wait ended without the lock. */
static enum rc wait_ended(struct txn_host *h, const struct txn_id *id, struct host_wait *w, enum rc rc,
                          struct err *err) {
    bool explained = false;
    if (!w->done.set && !h->closed) {
        struct txn_facts f = host_facts(h);
        struct lock_table *locks = site_locks(h->site);
        struct lock_txn *x = locks ? lock_txn_find(locks, id) : NULL;
        explained = rc == RC_TIMEOUT && x && lock_explain(locks, x, w->request, f.mono_ns, &w->event.why);
        site_cancel(h->site, id, w->request, &f);
        host_drain(h);
    }
    if (!rc && w->event.type == LOCK_EV_REFUSED)
        return lock_why_err(w->event.rc, &w->event.why, err);
    if (explained)
        return lock_why_err(rc, &w->event.why, err);
    if (rc == RC_MOVED)
        return err_set(err, rc, "tablet %llu was split", (unsigned long long)h->id);
    if (rc == RC_ABORTED)
        return err_set(err, rc, "the transaction was aborted while it waited for a lock");
    if (rc == RC_NOT_LEADER)
        return err_set(err, RC_ABORTED, "the leader that held the transaction's locks leads no more");
    return rc ? err_set(err, rc, "while waiting for a lock: %s", rc_text(rc)) : RC_OK;
}

enum rc host_lock(struct txn_host *h, const struct txn_id *id, const struct txn_span *span, enum lock_mode mode,
                  int64_t deadline, const struct txn_facts *f, bool *ret_waits, int64_t *ret_waited, struct err *err) {
    struct txn_hosts *hs = h->all;
    struct host_wait w = {.request = ++h->next_request, .id = *id};
    bool waits = false;
    /* It is there before the site is asked: what the request brings about may grant it in the same turn. */
    event_init_unset(&w.done);
    map_put(&h->waits, &w.node, hash_u64(w.request));
    host_ref(h);
    enum rc rc = site_lock(h->site, id, span, mode, w.request, deadline, f, &waits, err);
    if (rc == RC_LIMIT) { /* one lock on all of the tablet for all of them */
        struct txn_span range = site_range(h->site);
        rc = site_escalate(h->site, id, &range, w.request, deadline, f, &waits, err);
    }
    host_drain(h);
    *ret_waits = waits;
    if (!rc && waits) {
        int64_t began = env_now_ns(hs->env);
        hosts_release(hs);
        counter_inc(&hs->stats.waits);
        rc = event_wait(hs->reactor, &w.done, DEADLINE_NONE); /* the fiber has one of its own */
        rc = wait_ended(h, id, &w, rc, err);
        *ret_waited += env_now_ns(hs->env) - began;
        hist_add(&hs->stats.lock_wait_ns, env_now_ns(hs->env) - began);
    }
    map_del(&h->waits, &w.node);
    host_unref(h);
    return rc;
}

/* Leadership or the tablet is gone: so is what only memory knew. */
void host_lose_all(struct txn_host *h, enum rc rc) {
    map_for_each(it, &h->waits) {
        struct host_wait *w = container_of(it, struct host_wait, node);
        if (!w->done.set)
            event_set(&w->done, rc);
    }
    map_for_each(it2, &h->guests)
        guest_free(h, container_of(it2, struct guest, node));
}

const struct tablet_ops txn_tablet_ops = {
    .open = host_open,
    .close = host_close,
    .apply = host_apply,
    .gate = host_gate,
    .applied = host_applied,
    .lead_begin = host_lead_begin,
    .lead_end = host_lead_end,
    .safe_cap = host_safe_cap,
    .safe_wait = host_safe_wait,
    .split_begin = host_split_begin,
    .split_cancel = host_split_cancel,
    .split_right = host_split_right,
    .split_left = host_split_left,
};
