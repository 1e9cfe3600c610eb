/* SPDX-License-Identifier: Apache-2.0 */
/* closed.c: see closed.h. */
#include "shard/tablet/closed.h"

#include <stdlib.h>
#include <string.h>

#include "shard/tablet/tablet.pb-c.h"
#include "shard/tablet/tablet_internal.h"

static const int64_t FORGOTTEN_NS = 5000000000;
enum { ASK_TICKS = 50 };

/* A group in a stream's set. */
struct member {
    struct map_node node;
    uint64_t group, generation, round, slot;
    uint64_t tick; /* sender: when it was seen to belong there */
};

/* To a store, or from one. */
struct stream {
    struct map_node node;
    px_store store;
    uint64_t epoch, number;
    int64_t closed;
    struct map set;
    struct ilist link;   /* sender: of the streams of this tick */
    bool lost;           /* receiver: waits for a new epoch */
    Tablet__Closed *out; /* sender: of this tick, in `arena` */
};

struct closed {
    struct tablets *ts;
    struct map to, from; /* streams by store */
    uint64_t tick, epochs;
    int64_t at; /* C of this tick */
    struct arena arena;
    struct ilist busy; /* streams with something to say */
};

static struct stream *stream_find(const struct map *m, px_store store) {
    for (struct map_node *n = map_first(m, hash_u64(store)); n; n = map_next(n))
        if (container_of(n, struct stream, node)->store == store)
            return container_of(n, struct stream, node);
    return NULL;
}

static struct stream *stream_get(struct map *m, px_store store) {
    struct stream *s = stream_find(m, store);
    if (s || m->count >= CLOSED_STORES_MAX)
        return s;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->store = store;
    map_init(&s->set);
    ilist_init(&s->link);
    map_put(m, &s->node, hash_u64(store));
    return s;
}

static struct member *member_find(const struct stream *s, uint64_t group) {
    for (struct map_node *n = map_first(&s->set, hash_u64(group)); n; n = map_next(n))
        if (container_of(n, struct member, node)->group == group)
            return container_of(n, struct member, node);
    return NULL;
}

static struct member *member_get(struct stream *s, uint64_t group) {
    struct member *m = member_find(s, group);
    if (m)
        return m;
    m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->group = group;
    map_put(&s->set, &m->node, hash_u64(group));
    return m;
}

static void member_del(struct stream *s, struct member *m) {
    map_del(&s->set, &m->node);
    free(m);
}

static void stream_clear(struct stream *s) {
    map_for_each(n, &s->set)
        member_del(s, container_of(n, struct member, node));
    s->closed = 0;
}

static void streams_free(struct map *m) {
    map_for_each(n, m) {
        struct stream *s = container_of(n, struct stream, node);
        stream_clear(s);
        map_done(&s->set);
        map_del(m, n);
        free(s);
    }
    map_done(m);
}

enum rc closed_new(struct tablets *ts, struct closed **ret, struct err *err) {
    struct closed *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory");
    c->ts = ts;
    map_init(&c->to);
    map_init(&c->from);
    ilist_init(&c->busy);
    arena_init(&c->arena, 0);
    *ret = c;
    return RC_OK;
}

void closed_free(struct closed *c) {
    if (!c)
        return;
    streams_free(&c->to);
    streams_free(&c->from);
    arena_done(&c->arena);
    free(c);
}

/* ---- telling -------------------------------------------------------------------------------------------------------- */

/* A set that the other end knows nothing of. */
static void stream_anew(struct closed *c, struct stream *s) {
    stream_clear(s);
    s->out = NULL; /* its changes were those of the old set */
    s->epoch = replicas_incarnation(c->ts->rs) << 24 | (++c->epochs & 0xffffff);
    s->number = 0;
}

/* The message of this tick; NULL: no memory, and the stream has to begin anew. */
static Tablet__Closed *message(struct closed *c, struct stream *s) {
    if (s->out)
        return s->out;
    Tablet__Closed *m = arena_new(&c->arena, Tablet__Closed);
    uint64_t *lists = arena_array(&c->arena, 5 * CLOSED_BATCH, sizeof *lists);
    if (!m || !lists)
        return NULL;
    tablet__closed__init(m);
    m->group = lists;
    m->generation = lists + CLOSED_BATCH;
    m->round = lists + 2 * CLOSED_BATCH;
    m->slot = lists + 3 * CLOSED_BATCH;
    m->removed = lists + 4 * CLOSED_BATCH;
    s->out = m;
    if (!ilist_linked(&s->link))
        ilist_push_back(&c->busy, &s->link);
    return m;
}

/* The group belongs into the set of this stream. */
static void put(struct closed *c, struct stream *s, const struct member *now) {
    struct member *m = member_find(s, now->group);
    if (m && m->generation == now->generation && m->round == now->round && m->slot == now->slot) {
        m->tick = c->tick;
        return;
    }
    Tablet__Closed *out = message(c, s);
    if (!out || out->n_group == CLOSED_BATCH)
        return; /* the next tick: until then it is out of the set */
    m = member_get(s, now->group);
    if (!m)
        return;
    m->generation = now->generation;
    m->round = now->round;
    m->slot = now->slot;
    m->tick = c->tick;
    out->group[out->n_group++] = m->group;
    out->generation[out->n_generation++] = m->generation;
    out->round[out->n_round++] = m->round;
    out->slot[out->n_slot++] = m->slot;
}

static void look_at(void *ctx, struct tablet *t) {
    struct closed *c = ctx;
    struct px_status px;
    if (!t->leading || !t->m)
        return;
    replica_status(t->rep, &px);
    bool idle = t->closed_last == px.last;
    t->closed_last = px.last;
    if (!idle)
        return;
    /* The floor rises here and now: what is assigned from here on is above C (S-1), and C lies within the lease. */
    if (replica_serve(t->rep, c->at, NULL) != RC_OK)
        return;
    struct member now = {
        .group = t->id, .generation = mvcc_state(t->m)->generation, .round = px.promised.round, .slot = px.last};
    for (uint32_t i = 0; i < px.config.count; i++) {
        if (px.config.member[i].store == replicas_self(c->ts->rs) || px.config.member[i].flags & PX_WITNESS)
            continue;
        struct stream *s = stream_get(&c->to, px.config.member[i].store);
        if (s && s->epoch == 0)
            stream_anew(c, s);
        if (s)
            put(c, s, &now);
    }
}

/* Who was in the set and is not any more. */
static void sweep(struct closed *c, struct stream *s) {
    map_for_each(n, &s->set) {
        struct member *m = container_of(n, struct member, node);
        if (m->tick == c->tick)
            continue;
        Tablet__Closed *out = message(c, s);
        if (!out || out->n_removed == CLOSED_BATCH) {
            stream_anew(c, s); /* it must be told, and cannot be */
            return;
        }
        out->removed[out->n_removed++] = m->group;
        member_del(s, m);
    }
    if (s->set.count > 0)
        IGNORE(message(c, s)); /* C alone is worth a message; without memory the next tick says it */
}

/* A follower for which time stands still may have been removed without having heard of it: its leader tells it nothing. */
static void ask_if_forgotten(void *ctx, struct tablet *t) {
    struct closed *c = ctx;
    if (!t->leading && t->m && c->at - mvcc_state(t->m)->floor > FORGOTTEN_NS && c->at - closed_ts(c, t) > FORGOTTEN_NS)
        replica_ask(t->rep);
}

void closed_tick(struct closed *c) {
    struct tablets *ts = c->ts;
    tt_interval now = tt_now(ts->conf.clock);
    if (!tt_is_known(now))
        return;
    if (++c->tick % ASK_TICKS == 0)
        tablets_each_any(ts, ask_if_forgotten, c);
    c->at = now.earliest - CLOSED_BEHIND_NS;
    tablets_each_any(ts, look_at, c);
    map_for_each(n, &c->to)
        sweep(c, container_of(n, struct stream, node));
    for (struct ilist *n; (n = ilist_pop_front(&c->busy));) {
        struct stream *s = ilist_entry(n, struct stream, link);
        Tablet__Closed *m = s->out;
        s->out = NULL;
        if (!m)
            continue; /* begun anew: from the next tick on */
        m->epoch = s->epoch;
        m->number = ++s->number;
        m->closed = c->at;
        counter_inc(&ts->stats.closed_sent);
        if (rpc_send(ts->conf.rpc, px_store_addr(s->store), TABLET_TYPE_CLOSED, &m->base, NULL, NULL) != RC_OK)
            stream_anew(c, s);
    }
    arena_reset(&c->arena);
}

static void on_lost(void *ctx, struct rpc_request *q) {
    struct closed *c = ctx;
    const Tablet__ClosedLost *m = (const Tablet__ClosedLost *)(const void *)q->message;
    struct stream *s = stream_find(&c->to, px_store_of(q->from));
    if (!q->member || !s || s->epoch != m->epoch)
        return;
    counter_inc(&c->ts->stats.closed_lost);
    stream_anew(c, s);
}

/* ---- being told ------------------------------------------------------------------------------------------------------ */

static bool well_formed(const Tablet__Closed *m) {
    return m->epoch != 0 && m->number != 0 && m->n_group == m->n_generation && m->n_group == m->n_round &&
           m->n_group == m->n_slot && m->n_group <= CLOSED_BATCH && m->n_removed <= CLOSED_BATCH;
}

static void lose(struct closed *c, struct stream *s, uint64_t epoch) {
    Tablet__ClosedLost m = TABLET__CLOSED_LOST__INIT;
    stream_clear(s);
    s->lost = true;
    m.epoch = epoch;
    /* Lost too: the next message is out of order again. */
    IGNORE(rpc_send(c->ts->conf.rpc, px_store_addr(s->store), TABLET_TYPE_CLOSED_LOST, &m.base, NULL, NULL));
}

static void take(struct closed *c, struct stream *s, const Tablet__Closed *m) {
    for (size_t i = 0; i < m->n_removed; i++) {
        struct member *x = member_find(s, m->removed[i]);
        if (x)
            member_del(s, x);
    }
    for (size_t i = 0; i < m->n_group; i++) {
        struct member *x = member_get(s, m->group[i]);
        if (!x) {
            lose(c, s, m->epoch);
            return;
        }
        x->generation = m->generation[i];
        x->round = m->round[i];
        x->slot = m->slot[i];
    }
    if (m->closed > s->closed)
        s->closed = m->closed;
    tablets_wake_readers(c->ts);
}

static void on_closed(void *ctx, struct rpc_request *q) {
    struct closed *c = ctx;
    const Tablet__Closed *m = (const Tablet__Closed *)(const void *)q->message;
    px_store from = px_store_of(q->from);
    if (!q->member || !from || from == replicas_self(c->ts->rs) || !well_formed(m) || c->ts->stopping)
        return;
    struct stream *s = stream_get(&c->from, from);
    tt_interval now = tt_now(c->ts->conf.clock);
    /* N-12, C-4: a time that lies in our future proves a false clock; nothing is built on it. */
    if (!s || m->epoch < s->epoch || !tt_is_known(now) || m->closed > now.latest)
        return;
    if (m->epoch > s->epoch) {
        stream_clear(s);
        s->epoch = m->epoch;
        s->number = 0;
        s->lost = false;
    }
    bool gap = m->number != s->number + 1;
    if (m->number <= s->number && !s->lost)
        return; /* doubled */
    s->number = m->number;
    if (s->lost || gap)
        lose(c, s, m->epoch);
    else
        take(c, s, m);
}

int64_t closed_ts(const struct closed *c, const struct tablet *t) {
    px_store leader = replica_leader(t->rep);
    const struct stream *s = leader ? stream_find(&c->from, leader) : NULL;
    const struct member *m = s ? member_find(s, t->id) : NULL;
    struct px_status px;
    if (!m || !t->m)
        return 0;
    replica_status(t->rep, &px);
    bool applied = replica_applied(t->rep) >= m->slot || env_mutant(c->ts->env, "N-5: closed before it is applied");
    return applied && m->generation == mvcc_state(t->m)->generation && m->round == px.promised.round ? s->closed : 0;
}

static const struct rpc_service closed_service = {.type = TABLET_TYPE_CLOSED,
                                                  .name = "tablet.closed",
                                                  .request = &tablet__closed__descriptor,
                                                  .message = on_closed,
                                                  .direct = true};
static const struct rpc_service lost_service = {.type = TABLET_TYPE_CLOSED_LOST,
                                                .name = "tablet.closed_lost",
                                                .request = &tablet__closed_lost__descriptor,
                                                .message = on_lost,
                                                .direct = true};

enum rc closed_register(struct closed *c, struct err *err) {
    enum rc rc = rpc_register(c->ts->conf.rpc, &closed_service, c);
    if (!rc)
        rc = rpc_register(c->ts->conf.rpc, &lost_service, c);
    return rc ? err_set(err, rc, "closed times: %s", rc_text(rc)) : RC_OK;
}
