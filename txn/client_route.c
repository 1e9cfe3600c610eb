/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_route.c: which store to ask for a key, and what a transaction has left where.
 *
 * A tablet of the own store is looked at itself: that is cheaper than the directory, and right unless the replica lags. Where what
 * it said turns out wrong, the directory is asked until the replica says something else.
 */
#include <stdlib.h>

#include "txn/client_internal.h"

static const int64_t GAP_NS = 10000000000, GAP_PAUSE_NS = 20000000, AWAY_NS = 5000000000, OUTDATED_NS = 1000000000,
                     WAY_UNKNOWN_NS = 10000000000, CLEARLY_NS = 2000000;
enum { AWAY_DOUBLINGS = 3 };

/* ---- routes ---------------------------------------------------------------------------------------------------------- */

static enum rc fill(struct arena *a, uint64_t tablet, uint64_t generation, struct mvcc_bytes start,
                    struct mvcc_bytes end, const struct px_config *config, px_store store, struct route *ret,
                    struct err *err) {
    struct span range = {{start.p, start.n}, {end.p, end.n}};
    ret->tablet = tablet;
    ret->generation = generation;
    ret->store = store;
    ret->here = false;
    ret->config = *config;
    if (span_copy(a, range, &ret->range) != RC_OK)
        return err_set(err, RC_NOMEM, "out of memory");
    return RC_OK;
}

static struct outdated *outdated_of(struct txn_client *c, uint64_t tablet) {
    for (size_t i = 0; i < OUTDATED_MAX; i++)
        if (c->outdated[i].tablet == tablet)
            return &c->outdated[i];
    return NULL;
}

static bool is_outdated(struct txn_client *c, uint64_t tablet, uint64_t generation, px_store leader) {
    const struct outdated *o = outdated_of(c, tablet);
    return o && o->generation == generation && o->leader == leader && env_now_ns(c->env) < o->until;
}

static void mark_outdated(struct txn_client *c, const struct route *r) {
    struct outdated *o = outdated_of(c, r->tablet);
    if (!o) { /* the one that is over soonest: a free one, as a rule */
        o = &c->outdated[0];
        for (size_t i = 1; i < OUTDATED_MAX; i++)
            if (c->outdated[i].until < o->until)
                o = &c->outdated[i];
    }
    *o = (struct outdated){r->tablet, r->generation, r->store, env_now_ns(c->env) + OUTDATED_NS};
}

/* The tablet is here: then this replica knows who leads, and is the nearest. */
static bool own(struct txn_client *c, struct key k, struct arena *a, struct route *ret, enum rc *ret_rc,
                struct err *err) {
    struct tablets *ts = c->store->tablets;
    struct tablet *t = ts ? tablets_find_key(ts, (struct mvcc_bytes){k.p, k.bytes}) : NULL;
    if (!t)
        return false;
    px_store leader = replica_leader(tablet_replica(t)); /* whether its lease holds is asked where it counts */
    if (!leader)
        return false;
    const struct mvcc_state *s = mvcc_state(tablet_mvcc(t));
    struct directory_tablet known;
    if (directory_known(c->store->directory, (struct mvcc_bytes){k.p, k.bytes}, &known) &&
        known.generation > s->generation)
        return false; /* a replica that lags behind a split or a move does not know better */
    if (is_outdated(c, tablet_id(t), s->generation, leader))
        return false;
    struct span range = {{s->start.p, s->start.n}, {s->end.p, s->end.n}};
    ret->tablet = tablet_id(t);
    ret->generation = s->generation;
    ret->store = leader;
    ret->here = true;
    ret->config.count = 0;
    *ret_rc = span_copy(a, range, &ret->range) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
    return true;
}

static px_store member(const struct px_config *config, uint32_t turn) {
    for (uint32_t i = 0; i < config->count; i++) {
        const struct px_member *m = &config->member[(turn + i) % config->count];
        if (px_is_voter(m) && !(m->flags & PX_WITNESS))
            return m->store;
    }
    return 0;
}

enum rc route_find(struct txn_client *c, struct key k, uint32_t turn, int64_t deadline, struct arena *a,
                   struct route *ret, struct err *err) {
    struct directory_tablet d;
    enum rc rc;
    if (own(c, k, a, ret, &rc, err))
        return rc;
    /* Of a split the directory hears in two words, the left half's and the right half's: in between nobody has the key. */
    int64_t patience = reactor_deadline(c->reactor, GAP_NS);
    for (;;) {
        rc = directory_find(c->store->directory, (struct mvcc_bytes){k.p, k.bytes}, deadline, &d, err);
        int64_t now = env_now_ns(c->env);
        if (rc != RC_NOTFOUND || now >= patience || now + GAP_PAUSE_NS >= deadline)
            break;
        rc = fiber_sleep(c->reactor, GAP_PAUSE_NS);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    if (rc)
        return rc;
    px_store store = d.leader;
    if (!store || turn % 3 == 2) /* its word may be old: others know better */
        store = member(&d.config, turn);
    return fill(a, d.id, d.generation, d.start, d.end, &d.config, store, ret, err);
}

/* In the same region by what they share; elsewhere by how long what they send takes, as far as that is known. */
static int64_t distance(struct txn_client *c, px_store store) {
    enum { OWN, NODE, ZONE, REGION, ELSEWHERE };
    const struct node_conf *me = node_conf(c->store->node);
    struct store_addr at = px_store_addr(store);
    const Node__Node *n = directory_node(c->store->directory, at.node);
    if (store == client_self(c))
        return OWN;
    if (at.node == node_number(c->store->node))
        return NODE;
    if (n && me->region && strcmp(n->region, me->region) == 0)
        return me->zone && strcmp(n->zone, me->zone) == 0 ? ZONE : REGION;
    int64_t way = n ? node_way_ns(c->store, at.node) : 0;
    return ELSEWHERE + (way ? way : WAY_UNKNOWN_NS);
}

/* The leader knows everything: another one elsewhere must be clearly nearer. */
static int64_t clearly(int64_t distance) {
    return distance + distance / 8 + (distance > CLEARLY_NS ? CLEARLY_NS : 0);
}

static struct away *away_of(struct txn_client *c, px_store store) {
    for (size_t i = 0; i < AWAY_MAX; i++)
        if (c->away[i].store == store)
            return &c->away[i];
    return NULL;
}

void route_answered(struct txn_client *c, px_store store, bool answered) {
    struct away *a = away_of(c, store);
    if (answered) {
        if (a)
            *a = (struct away){.store = 0};
        return;
    }
    if (!a) { /* a free one, or the one that is over soonest */
        a = &c->away[0];
        for (size_t i = 1; i < AWAY_MAX; i++)
            if (c->away[i].until < a->until)
                a = &c->away[i];
        *a = (struct away){.store = store};
    }
    a->until = env_now_ns(c->env) + (AWAY_NS << (a->times < AWAY_DOUBLINGS ? a->times : AWAY_DOUBLINGS));
    a->times++;
}

bool route_doubtful(const struct txn_client *c, px_store store) {
    for (size_t i = 0; i < AWAY_MAX; i++)
        if (c->away[i].store == store)
            return true;
    return false;
}

px_store route_nearest(struct txn_client *c, const struct route *r) {
    px_store best = r->here ? client_self(c) : r->store;
    int64_t best_distance = distance(c, best);
    int64_t now = env_now_ns(c->env);
    for (uint32_t i = 0; i < r->config.count; i++) {
        const struct px_member *m = &r->config.member[i];
        const struct away *a = away_of(c, m->store);
        int64_t d = m->flags & PX_WITNESS || (a && now < a->until) ? INT64_MAX : clearly(distance(c, m->store));
        if (d < best_distance) {
            best = m->store;
            best_distance = d;
        }
    }
    return best;
}

void route_failed(struct txn_client *c, const struct route *r, enum rc rc, px_store leader) {
    struct directory *d = c->store->directory;
    if (r->here)
        mark_outdated(c, r);
    if (rc == RC_MOVED)
        directory_forget(d, r->tablet);
    else if (rc == RC_NOT_LEADER && leader && leader != r->store)
        directory_leader(d, r->tablet, leader);
    else
        directory_leader(d, r->tablet, 0);
}

/* While a tablet is being split neither its old nor its new name will do for a moment. */
enum rc route_pause(struct txn_client *c, uint32_t tries, struct err *err) {
    int64_t ns = (int64_t)1000000 << (tries < 6 ? tries : 6);
    enum rc rc = tries ? fiber_sleep(c->reactor, ns / 2 + (int64_t)(env_random(c->env) % (uint64_t)ns)) : RC_OK;
    return rc ? err_set(err, rc, "%s", rc_text(rc)) : RC_OK;
}

/* ---- visits ---------------------------------------------------------------------------------------------------------- */

struct txn_span visit_span(const struct visit *v) {
    return (struct txn_span){{v->bytes, v->start_bytes}, {v->bytes + v->start_bytes, v->end_bytes}};
}

void visit_free(struct visit *v) {
    ilist_del(&v->link);
    free(v->key);
    free(v);
}

static struct visit *visit_new(struct txn *t, const struct txn_span *range, struct txn_key k) {
    struct visit *v = calloc(1, sizeof *v + range->start.n + range->end.n);
    uint8_t *key = malloc(k.n + 1);
    if (!v || !key) {
        free(v);
        free(key);
        return NULL;
    }
    if (range->start.n)
        memcpy(v->bytes, range->start.p, range->start.n);
    if (range->end.n)
        memcpy(v->bytes + range->start.n, range->end.p, range->end.n);
    if (k.n)
        memcpy(key, k.p, k.n);
    v->start_bytes = range->start.n;
    v->end_bytes = range->end.n;
    v->key = key;
    v->key_bytes = k.n;
    ilist_init(&v->link);
    ilist_push_back(&t->visits, &v->link);
    return v;
}

struct visit *visit_find(struct txn *t, struct key k) {
    struct txn_key key = {k.p, k.bytes};
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        struct txn_span s = visit_span(v);
        if (txn_key_cmp(s.start, key) <= 0 && txn_key_before_end(key, s.end))
            return v;
    }
    return NULL;
}

/* v was split: a visit of its own for `range`, with the same past. */
static struct visit *piece(struct txn *t, const struct visit *v, struct txn_span range) {
    struct txn_key k = {v->key, v->key_bytes};
    if (txn_key_cmp(range.start, k) > 0 || !txn_key_before_end(k, range.end))
        k = range.start;
    struct visit *p = visit_new(t, &range, k);
    if (!p)
        return NULL;
    p->tablet = v->tablet;
    p->generation = v->generation;
    p->term = v->term;
    p->store = v->store;
    p->requests = v->requests;
    p->writes = v->writes;
    p->undo = v->undo;
    p->undo_to = v->undo_to;
    return p;
}

struct visit *visit_get(struct txn *t, const struct route *r, struct key k) {
    struct txn_span range = {{r->range.start.p, r->range.start.bytes}, {r->range.end.p, r->range.end.bytes}};
    struct visit *v = visit_find(t, k);
    if (!v) {
        v = visit_new(t, &range, (struct txn_key){k.p, k.bytes});
        if (v) {
            v->tablet = r->tablet;
            v->generation = r->generation;
            v->store = r->store;
        }
        return v;
    }
    struct txn_span had = visit_span(v);
    if (txn_key_cmp(had.start, range.start) != 0 || txn_end_cmp(had.end, range.end) != 0) {
        struct txn_span left = {had.start, range.start}, right = {range.end, had.end};
        bool cut_left = txn_key_cmp(had.start, range.start) < 0;
        bool cut_right = range.end.n && txn_end_cmp(range.end, had.end) < 0;
        struct visit *mid = piece(t, v, range);
        if (!mid || (cut_left && !piece(t, v, left)) || (cut_right && !piece(t, v, right)))
            return NULL; /* the transaction ends with that: what is too much is told twice */
        visit_free(v);
        v = mid;
    }
    v->tablet = r->tablet;
    v->generation = r->generation;
    v->store = r->store;
    return v;
}
