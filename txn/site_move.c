/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site_move.c: a site in two halves, and a site as bytes.
 *
 * A split is an entry of the log, so what it does to the replicated part is the same on every replica: prepared
 * transactions go where their locks are (both halves, with the locks cut, if they lie on both sides), outcomes where
 * their anchor is. Row images are not cut: each half writes what lies in its range. The leader leads both halves at
 * first (N-6) and takes what it has in memory along: active transactions into both, promised ones where they hold
 * locks, and the marks of attempts that are over.
 *
 * The right half is built completely before the left one changes, so a lack of memory leaves everything as it was.
 */
#include <stdlib.h>

#include "txn/site_internal.h"

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static bool locks_beyond(struct lock_txn *x, struct txn_key key) {
    const void *cursor = NULL;
    struct lock_grant g;
    while (lock_each(x, &cursor, &g))
        if (txn_key_before_end(key, g.span.end))
            return true;
    return false;
}

void site_split_begin(struct site *s, struct txn_key key, const struct txn_facts *f) {
    struct txn_why why = {.reason = TXN_REASON_SPLIT};
    arena_reset(&s->scratch);
    CHECK(s->leads && !s->splitting && key.n && key.n <= TXN_KEY_BYTES_MAX);
    ilist_for_each(it, &s->all_coords) {
        struct coord *c = ilist_entry(it, struct coord, all);
        struct lock_txn *x = lock_txn_find(s->locks, &c->ref.id);
        if (c->state == COORD_PREPARING && (txn_key_cmp(c->anchor, key) >= 0 || (x && locks_beyond(x, key))))
            coord_abort(s, c, &why, f);
    }
    s->splitting = true; /* behind the aborts, which so come before the split in the log */
    site_drain_locks(s, f);
}

void site_split_cancel(struct site *s, const struct txn_facts *f) {
    s->splitting = false;
    site_tick(s, f);
}

/* ---- the right half ---------------------------------------------------------------------------------------------- */

/* r with only those locks that lie in range, cut to it; its memory is the arena's. */
static enum rc record_cut(struct arena *a, const struct txn_record *r, const struct txn_span *range,
                          uint64_t generation, struct txn_record *ret) {
    struct txn_record cut = *r;
    struct lock_grant *g = arena_array(a, r->n_grants + 1, sizeof *g);
    if (!g)
        return RC_NOMEM;
    cut.n_grants = 0;
    cut.grants = g;
    cut.generation = generation;
    for (size_t i = 0; i < r->n_grants; i++)
        if (span_meet(&r->grants[i].span, range, &g[cut.n_grants].span))
            g[cut.n_grants++].mode = r->grants[i].mode;
    return record_copy(a, &cut, ret);
}

static struct part *part_copy(struct site *to, const struct part *p) {
    struct part *q = part_new(to, &p->ref, PART_ACTIVE);
    if (!q)
        return NULL;
    q->requests = p->requests - p->commits; /* it fails here, and must not count there: the other half would vote yes */
    q->s_prepare = p->s_prepare;
    q->vote = p->vote;
    q->ask_ns = p->ask_ns;
    if (p->rec.anchor.p) {
        q->rec.anchor = p->rec.anchor;
        if (key_copy(&q->arena, &q->rec.anchor))
            return NULL; /* q goes with its site */
    }
    return q;
}

/* The prepared ones: on every replica. */
static enum rc copy_prepared(struct site *s, struct site *right, uint64_t generation) {
    ilist_for_each(it, &s->all_parts) {
        struct part *p = ilist_entry(it, struct part, all);
        struct txn_record cut;
        if (p->state != PART_PREPARED && p->state != PART_RESOLVING)
            continue;
        if (record_cut(&s->scratch, &p->rec, &right->range, generation, &cut))
            return RC_NOMEM;
        if (cut.n_grants == 0 || site_mutant(s, "T-14"))
            continue;
        struct part *q = part_copy(right, p);
        if (!q || record_copy(&q->arena, &cut, &q->rec))
            return RC_NOMEM;
        q->state = PART_PREPARED;
        ilist_push_back(&right->voted, &q->voted);
    }
    return RC_OK;
}

static enum rc copy_outcomes(struct site *s, struct site *right, struct txn_key key) {
    ilist_for_each(it, &s->outcomes.all) {
        struct outcome *o = ilist_entry(it, struct outcome, all), *copy;
        struct txn_key anchor = {o->anchor, o->anchor_bytes};
        struct txn_record r = {.type = o->committed ? TXN_REC_COMMIT : TXN_REC_ABORT, .ref = o->ref, .s = o->s};
        if (txn_key_cmp(anchor, key) < 0)
            continue;
        r.anchor = anchor;
        r.token = o->token;
        r.why = o->why;
        struct txn_part *parts = arena_array(&s->scratch, o->parts.count + 1, sizeof *parts);
        if (!parts)
            return RC_NOMEM;
        for (size_t i = 0; i < o->parts.count; i++)
            parts[i] = (struct txn_part){.span = o->parts.item[i]};
        r.parts = parts;
        r.n_parts = o->parts.count;
        if (outcome_add(&right->outcomes, &r, &copy))
            return RC_NOMEM;
    }
    right->outcomes.horizon = s->outcomes.horizon;
    right->outcomes.token_horizon = s->outcomes.token_horizon;
    return RC_OK;
}

/* What this tablet coordinates across the key although site_split_begin would have aborted it: its abort was not taken
 * by the log, or its commit was not. It is undecided, so its locks there can go; site_split aborts it in the left half.
 * */
static void release_undecided(struct site *s, struct site *right, const struct txn_facts *f) {
    for (struct lock_txn *x = lock_txn_each(right->locks, NULL), *next; x; x = next) {
        struct lock_txn_info info;
        next = lock_txn_each(right->locks, x);
        lock_txn_info(x, &info);
        if (part_find(right, &info.ref.id))
            continue;
        struct coord *c = coord_find(s, &info.ref.id);
        CHECK(!c || c->state == COORD_PREPARING || c->state == COORD_ABORTING);
        if (c)
            c->why.reason = TXN_REASON_SPLIT;
        site_probe(s, "txn: a split cut what was being coordinated");
        lock_release(right->locks, x, f->mono_ns);
    }
}

/* What only the leader has. right->locks is the right half of the lock table already. */
static enum rc copy_leaders(struct site *s, struct site *right, const struct txn_facts *f) {
    right->done_horizon = s->done_horizon;
    ilist_for_each(it, &s->all_done) {
        struct done *d = ilist_entry(it, struct done, all);
        struct txn_ref ref = {.id = d->id, .began = d->began};
        done_add(right, &ref, d->verdict, d->ts, &d->why);
    }
    ilist_for_each(it, &s->all_parts) {
        struct part *p = ilist_entry(it, struct part, all);
        struct lock_txn *x = lock_txn_find(right->locks, &p->ref.id);
        struct part *q = NULL;
        if (p->state == PART_ACTIVE) {
            enum rc rc = RC_OK;
            if (!x)
                rc = lock_txn_open(right->locks, &p->ref, f->mono_ns, &x, NULL);
            if (rc || !(q = part_copy(right, p)))
                return RC_NOMEM;
        } else if (p->state == PART_PROMISED && x) {
            if (!(q = part_copy(right, p)))
                return RC_NOMEM;
            part_move(right, q, PART_PROMISED);
        }
    }
    release_undecided(s, right, f);
    return coord_lead_begin(right, f);
}

static void shrink_left(struct site *s, struct txn_key key, uint64_t generation, struct txn_record *cuts,
                        const struct txn_facts *f) {
    struct txn_why why = {.reason = TXN_REASON_SPLIT};
    size_t n = 0;
    ilist_for_each(it, &s->all_coords) {
        struct coord *c = ilist_entry(it, struct coord, all);
        if (txn_key_cmp(c->anchor, key) >= 0)
            coord_free(s, c); /* it was being aborted; whoever asks, asks the right half */
    }
    ilist_for_each(it, &s->all_parts) {
        struct part *p = ilist_entry(it, struct part, all);
        if (p->state == PART_PREPARING || (p->state == PART_FROZEN && !coord_find(s, &p->ref.id))) {
            part_end(s, p, TXN_ABORTED, 0, &why, f);
            continue;
        }
        if (p->state != PART_PREPARED && p->state != PART_RESOLVING)
            continue;
        p->rec.grants = cuts[n].grants;
        p->rec.n_grants = cuts[n].n_grants;
        p->rec.generation = generation;
        if (cuts[n++].n_grants)
            continue;
        struct lock_txn *x = s->locks ? lock_txn_find(s->locks, &p->ref.id) : NULL;
        map_del(&s->parts, &p->by_id);
        ilist_del(&p->all);
        ilist_del(&p->voted);
        arena_done(&p->arena);
        free(p);
        if (x)
            lock_release(s->locks, x, f->mono_ns);
    }
    ilist_for_each(it, &s->outcomes.all) {
        struct outcome *o = ilist_entry(it, struct outcome, all);
        if (txn_key_cmp((struct txn_key){o->anchor, o->anchor_bytes}, key) >= 0)
            outcome_drop(&s->outcomes, o);
    }
    s->generation = generation;
    s->splitting = false;
}

/* The locks that each prepared transaction keeps here, into its own arena, before anything changes. */
static enum rc left_cuts(struct site *s, const struct txn_span *left, uint64_t generation, struct txn_record **ret) {
    struct txn_record *cuts = arena_array(&s->scratch, s->parts.count + 1, sizeof *cuts);
    size_t n = 0;
    if (!cuts)
        return RC_NOMEM;
    ilist_for_each(it, &s->all_parts) {
        struct part *p = ilist_entry(it, struct part, all);
        if (p->state != PART_PREPARED && p->state != PART_RESOLVING)
            continue;
        if (record_cut(&p->arena, &p->rec, left, generation, &cuts[n++]))
            return RC_NOMEM;
    }
    *ret = cuts;
    return RC_OK;
}

/* Prepared parts whose lock transaction is gone from the left half keep none; active ones without locks keep an empty
 * one. */
enum rc site_split(struct site *s, struct txn_key key, uint64_t left_generation, uint64_t right_generation,
                   const struct txn_facts *f, struct site **ret_right, struct err *err) {
    struct site_init init = s->init;
    struct site *right = NULL;
    struct txn_record *cuts = NULL;
    struct txn_span left = {s->range.start, key};
    uint8_t *left_bytes = malloc(s->range.start.n + key.n + 1);
    arena_reset(&s->scratch);
    CHECK(txn_key_cmp(s->range.start, key) < 0 && txn_key_before_end(key, s->range.end));
    init.range = (struct txn_span){key, s->range.end};
    init.generation = right_generation;
    init.seed = s->init.seed * 31 + right_generation;
    enum rc rc = left_bytes ? site_new(&init, &right) : RC_NOMEM;
    if (!rc)
        rc = copy_prepared(s, right, right_generation);
    if (!rc)
        rc = copy_outcomes(s, right, key);
    if (!rc)
        rc = left_cuts(s, &left, left_generation, &cuts);
    if (!rc && s->leads) {
        rc = lock_split(s->locks, key, f->mono_ns, &right->locks);
        right->leads = !rc;
        right->term = s->term;
        right->forget_ns = s->forget_ns;
        if (!rc && (rc = copy_leaders(s, right, f)))
            site_lead_end(s); /* the locks are apart already: what is in memory is lost, as with a leader */
    }
    if (rc && (!s->leads || !right || !right->leads)) {
        free(left_bytes);
        if (right)
            site_lead_end(right);
        site_free(right);
        return err_set(err, rc, "out of memory");
    }
    if (rc)
        site_lead_end(right);
    right->floor = s->floor;
    right->applied = s->applied;
    memcpy(left_bytes, s->range.start.p, s->range.start.n);
    memcpy(left_bytes + s->range.start.n, key.p, key.n);
    left = (struct txn_span){{left_bytes, s->range.start.n}, {left_bytes + s->range.start.n, key.n}};
    shrink_left(s, key, left_generation, cuts, f);
    free(s->range_bytes);
    s->range_bytes = left_bytes;
    s->range = left;
    ilist_for_each(it, &s->all_coords) {
        struct coord *c = ilist_entry(it, struct coord, all);
        struct txn_why why = {.reason = TXN_REASON_SPLIT};
        if (c->state == COORD_PREPARING && c->why.reason == TXN_REASON_SPLIT)
            coord_abort(s, c, &why, f);
    }
    site_drain_locks(s, f);
    site_drain_locks(right, f);
    *ret_right = right;
    return RC_OK;
}

/* ---- as bytes ---------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b) {
    const struct txn_record *x = a, *y = b;
    return txn_id_cmp(&x->ref.id, &y->ref.id);
}

/* As it goes into a snapshot or a section; what it points to is the arena's and the outcome's. */
static enum rc outcome_record(const struct outcome *o, struct arena *a, struct txn_record *r) {
    struct txn_part *parts = arena_array(a, o->parts.count + 1, sizeof *parts);
    if (!parts)
        return RC_NOMEM;
    *r = (struct txn_record){.type = o->committed ? TXN_REC_COMMIT : TXN_REC_ABORT, .ref = o->ref, .s = o->s};
    r->anchor = (struct txn_key){o->anchor, o->anchor_bytes};
    r->token = o->token;
    r->why = o->why;
    r->parts = parts;
    r->n_parts = o->parts.count;
    for (size_t i = 0; i < o->parts.count; i++)
        parts[i] = (struct txn_part){.span = o->parts.item[i]};
    return RC_OK;
}

enum rc site_prepared(const struct site *s, const struct txn_id *id, struct txn_record *ret) {
    const struct part *p = part_find(s, id);
    if (!p || (p->state != PART_PREPARED && p->state != PART_RESOLVING))
        return RC_NOTFOUND;
    *ret = p->rec;
    ret->s = p->s_prepare;
    return RC_OK;
}

enum rc site_outcome(const struct site *s, const struct txn_id *id, struct arena *a, struct txn_record *ret) {
    const struct outcome *o = outcome_find(&s->outcomes, id);
    return o ? outcome_record(o, a, ret) : RC_NOTFOUND;
}

void site_horizons(const struct site *s, int64_t *ret_horizon, int64_t *ret_token_horizon) {
    *ret_horizon = s->outcomes.horizon;
    *ret_token_horizon = s->outcomes.token_horizon;
}

void site_forgets(const struct site *s, int64_t horizon, int64_t token_horizon,
                  void (*fn)(void *ctx, const struct txn_id *id), void *ctx) {
    for (const struct ilist *it = s->outcomes.all.next; it != &s->outcomes.all; it = it->next) {
        const struct outcome *o = container_of(it, struct outcome, all);
        if (outcome_forgettable(&s->outcomes, o, horizon, token_horizon))
            fn(ctx, &o->ref.id);
    }
}

void site_each(const struct site *s, void (*fn)(void *ctx, const struct txn_id *id, bool prepared), void *ctx) {
    for (const struct ilist *it = s->all_parts.next; it != &s->all_parts; it = it->next) {
        const struct part *p = container_of(it, struct part, all);
        if (p->state == PART_PREPARED || p->state == PART_RESOLVING)
            fn(ctx, &p->ref.id, true);
    }
    for (const struct ilist *it = s->outcomes.all.next; it != &s->outcomes.all; it = it->next)
        fn(ctx, &container_of(it, struct outcome, all)->ref.id, false);
}

enum rc site_save(const struct site *s, struct buf *to) {
    struct arena a;
    struct txn_state st = {.horizon = s->outcomes.horizon, .token_horizon = s->outcomes.token_horizon};
    enum rc rc = RC_NOMEM;
    arena_init(&a, 0);
    st.floor = s->applied;
    st.prepared = arena_array(&a, s->parts.count + 1, sizeof *st.prepared);
    st.outcomes = arena_array(&a, s->outcomes.count + 1, sizeof *st.outcomes);
    if (!st.prepared || !st.outcomes)
        goto out;
    for (const struct ilist *it = s->all_parts.next; it != &s->all_parts; it = it->next) {
        const struct part *p = container_of(it, struct part, all);
        if (p->state != PART_PREPARED && p->state != PART_RESOLVING)
            continue;
        st.prepared[st.n_prepared] = p->rec;
        st.prepared[st.n_prepared++].s = p->s_prepare;
    }
    qsort(st.prepared, st.n_prepared, sizeof *st.prepared, by_id);
    for (const struct ilist *it = s->outcomes.all.next; it != &s->outcomes.all; it = it->next) {
        const struct outcome *o = container_of(it, struct outcome, all);
        if (outcome_record(o, &a, &st.outcomes[st.n_outcomes++]))
            goto out;
    }
    if (site_mutant(s, "P-10"))
        st.n_outcomes = 0;
    rc = txn_state_encode(&st, &a, to);
out:
    arena_done(&a);
    return rc;
}

enum rc site_load(struct site *s, const void *p, size_t n, struct err *err) {
    struct txn_state st = {.n_prepared = 0};
    struct outcome *o;
    CHECK(!s->leads && s->parts.count == 0 && s->outcomes.count == 0);
    arena_reset(&s->scratch);
    enum rc rc = txn_state_decode(p, n, &s->scratch, &st, err);
    for (size_t i = 0; i < st.n_prepared && !rc; i++) {
        struct txn_record *r = &st.prepared[i];
        struct part *q = r->s > 0 && !part_find(s, &r->ref.id) ? part_new(s, &r->ref, PART_PREPARING) : NULL;
        if (!q || record_copy(&q->arena, r, &q->rec))
            return err_set(err, q ? RC_NOMEM : RC_CORRUPT, "a prepared transaction of a snapshot");
        q->s_prepare = r->s;
        q->rec.s = 0;
        part_move(s, q, PART_PREPARED);
    }
    for (size_t i = 0; i < st.n_outcomes && !rc; i++)
        rc = outcome_add(&s->outcomes, &st.outcomes[i], &o);
    if (rc)
        return rc;
    s->outcomes.horizon = st.horizon;
    s->outcomes.token_horizon = st.token_horizon;
    s->applied = s->floor = st.floor;
    return RC_OK;
}
