/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_repair.c: what a store does for the tablets it leads: tells the directory how they are, gives them voters while they have
 * fewer than they should, and splits those that have grown too large.
 *
 * Growth: system tablets first; one voter at a time; where no voter is yet, by region, then zone, then node. A node counts only
 * if it answers now. A tablet is never shrunk by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/node_internal.h"

static const int64_t ROUND_NS = 500000000, PUT_NS = 3000000000, PING_NS = 1000000000, CHANGE_NS = 60000000000,
                     LIST_NS = 1000000000, MEASURE_NS = 5000000000;
enum { ARENA_BYTES_MAX = 64 << 20 };

/* What the directory was told last, by tablet. */
struct told {
    uint64_t id, generation, epoch, round;
    uint64_t measured; /* the slot at which its size was looked at */
};

struct repair {
    struct store_run *s;
    struct fiber_group splits; /* at most one */
    uint64_t split_id;
    int64_t measure_at;
    struct told *told;
    size_t count, cap;
    int64_t list_at;
    uint64_t *ids; /* of this round */
    size_t n_ids, ids_cap;
};

void node_tablet_changed(void *ctx, uint64_t tablet) {
    struct store_run *s = ctx;
    (void)tablet;
    waitq_wake_all(&s->wake, RC_OK);
}

/* ---- the directory ---------------------------------------------------------------------------------------------------- */

static struct told *told_of(struct repair *r, uint64_t id) {
    for (size_t i = 0; i < r->count; i++)
        if (r->told[i].id == id)
            return &r->told[i];
    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 16;
        struct told *v = realloc(r->told, cap * sizeof *v);
        if (!v)
            return NULL;
        r->told = v;
        r->cap = cap;
    }
    r->told[r->count] = (struct told){.id = id};
    return &r->told[r->count++];
}

static enum rc tell(struct repair *r, const struct tablet_info *info, struct err *err) {
    struct store_run *s = r->s;
    Node__Ask ask = NODE__ASK__INIT;
    Node__Tablet t = NODE__TABLET__INIT;
    Node__Answer *answer;
    uint8_t config[REPLICA_STATE_BYTES_MAX];
    struct arena a;
    struct told now = {
        .id = info->id, .generation = info->generation, .epoch = info->config.epoch, .round = info->round};
    arena_init(&a, ARENA_BYTES_MAX);
    t.tablet = info->id;
    t.generation = info->generation;
    t.config = (ProtobufCBinaryData){px_config_encode(&info->config, config, sizeof config), config};
    t.leader = px_store_of(rpc_self(s->pub.rpc));
    t.start.data = info->start.n ? arena_copy(&a, info->start.p, info->start.n) : NULL;
    t.start.len = info->start.n;
    t.end.data = info->end.n ? arena_copy(&a, info->end.p, info->end.n) : NULL;
    t.end.len = info->end.n;
    struct arena answers;
    arena_init(&answers, ARENA_BYTES_MAX);
    ask.put = &t;
    enum rc rc =
        (info->start.n && !t.start.data) || (info->end.n && !t.end.data)
            ? err_set(err, RC_NOMEM, "out of memory")
            : directory_ask(s->pub.directory, &ask, &answers, reactor_deadline(s->pub.reactor, PUT_NS), &answer, err);
    arena_done(&answers);
    arena_done(&a);
    struct told *told = rc ? NULL : told_of(r, now.id);
    if (told) {
        now.measured = told->measured;
        *told = now;
    }
    return rc;
}

/* ---- growth ------------------------------------------------------------------------------------------------------------ */

static bool answers(struct store_run *s, struct store_addr to, struct arena *a) {
    Node__StatusAsk *ask = arena_new(a, Node__StatusAsk);
    ProtobufCMessage *m;
    if (!ask)
        return false;
    node__status_ask__init(ask);
    return rpc_call(s->pub.rpc, to, NODE_TYPE_STATUS, &ask->base, a, reactor_deadline(s->pub.reactor, PING_NS), &m,
                    NULL) == RC_OK;
}

bool node_member(const struct px_config *c, uint32_t node) {
    for (uint32_t i = 0; i < c->count; i++)
        if (px_node_of(c->member[i].store) == node)
            return true;
    return false;
}

/* How much a node would add: a new region, a new zone. */
static int worth(const struct directory *d, const struct px_config *c, const Node__Node *n) {
    bool region = false, zone = false;
    for (uint32_t i = 0; i < c->count; i++) {
        const Node__Node *m = px_is_voter(&c->member[i]) ? directory_node(d, px_node_of(c->member[i].store)) : NULL;
        if (!m)
            continue;
        region |= strcmp(m->region, n->region) == 0;
        zone |= strcmp(m->region, n->region) == 0 && strcmp(m->zone, n->zone) == 0;
    }
    return (region ? 0 : 2) + (zone ? 0 : 1);
}

/* The best node that answers; ties are spread by the tablet's number. */
static bool choose(struct store_run *s, const struct tablet_info *info, px_store *ret) {
    struct directory *d = s->pub.directory;
    for (int want = 3; want >= 0; want--) {
        size_t n = directory_nodes(d);
        for (size_t i = 0; i < n; i++) {
            const Node__Node *node = directory_node_at(d, (i + info->id) % n);
            if (!node || node->state != 0 || node->stores == 0 || node_member(&info->config, node->node) ||
                worth(d, &info->config, node) != want)
                continue;
            struct store_addr to = {node->node, (uint16_t)(hash_u64(info->id) % node->stores)};
            struct arena a;
            arena_init(&a, ARENA_BYTES_MAX);
            bool ok = answers(s, to, &a);
            arena_done(&a);
            if (ok) {
                *ret = px_store_of(to);
                return true;
            }
            if (directory_nodes(d) != n)
                break; /* it changed while we waited: the next round */
        }
    }
    return false;
}

static uint32_t voters_of(const struct px_config *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++)
        n += px_is_voter(&c->member[i]);
    return n;
}

void node_config_add(struct px_config *c, px_store store, uint64_t replica) {
    uint32_t i = c->count++;
    for (; i > 0 && c->member[i - 1].store > store; i--)
        c->member[i] = c->member[i - 1];
    c->member[i] = (struct px_member){store, replica, PX_OLD};
}

void node_config_del(struct px_config *c, uint32_t i) {
    memmove(&c->member[i], &c->member[i + 1], (--c->count - i) * sizeof *c->member);
}

enum rc node_change(struct store_run *s, uint64_t id, const struct px_config *want, int64_t ns, struct err *err) {
    struct tablet *t = tablets_find(s->pub.tablets, id);
    if (!t || !replica_leads(tablet_replica(t)))
        return err_set(err, RC_NOT_LEADER, "this store does not lead tablet %llu", (unsigned long long)id);
    return replica_change(tablet_replica(t), want, reactor_deadline(s->pub.reactor, ns), err);
}

static enum rc grow(struct repair *r, const struct tablet_info *info, struct err *err) {
    struct store_run *s = r->s;
    struct px_config want = info->config;
    px_store store;
    uint64_t replica;
    if (!choose(s, info, &store))
        return RC_OK; /* nobody answers now */
    enum rc rc =
        directory_next(s->pub.directory, "replica", 1, reactor_deadline(s->pub.reactor, PUT_NS), &replica, err);
    if (rc)
        return rc;
    node_config_add(&want, store, replica);
    diag_tablet(&s->pub.env->diag, DIAG_INFO, info->id, "tablet: gains a voter", "node=%u replica=%llu",
                px_node_of(store), (unsigned long long)replica);
    return node_change(s, info->id, &want, CHANGE_NS, err);
}

/* ---- rounds ------------------------------------------------------------------------------------------------------------- */

static void note_id(void *ctx, struct tablet *t) {
    struct repair *r = ctx;
    struct tablet_info info;
    tablet_info(t, &info);
    if (!info.leads)
        return;
    if (r->n_ids == r->ids_cap) {
        size_t cap = r->ids_cap ? 2 * r->ids_cap : 64;
        uint64_t *v = realloc(r->ids, cap * sizeof *v);
        if (!v)
            return; /* the next round */
        r->ids = v;
        r->ids_cap = cap;
    }
    r->ids[r->n_ids++] = info.id;
}

/* Learns of new nodes: whom tablets may grow onto. */
static void refresh(struct repair *r) {
    struct store_run *s = r->s;
    Node__Ask ask = NODE__ASK__INIT;
    Node__Answer *answer;
    struct arena a;
    int64_t now = reactor_now(s->pub.reactor);
    if (now < r->list_at)
        return;
    r->list_at = now + LIST_NS;
    ask.list = true;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc = directory_ask(s->pub.directory, &ask, &a, reactor_deadline(s->pub.reactor, PUT_NS), &answer, NULL);
    arena_done(&a);
    if (!rc && s->pub.number == 0)
        peers_write(s->pub.reactor, s->pub.node->conf->dir, s->pub.directory, &s->pub.node->peers_written);
}

/* ---- splits -------------------------------------------------------------------------------------------------------------- */

static void split_main(void *arg) {
    struct repair *r = arg;
    struct store_run *s = r->s;
    struct err err = {0};
    uint64_t right;
    enum rc rc = node_split(s, r->split_id, (struct mvcc_bytes){NULL, 0}, reactor_deadline(s->pub.reactor, CHANGE_NS),
                            &right, NULL, &err);
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN && rc != RC_NOT_LEADER)
        diag_tablet(&s->pub.env->diag, DIAG_INFO, r->split_id, "tablet: too large, and not split yet", "reason=\"%s\"",
                    err_message(&err));
}

/* The first one that is too large; the others later. */
static void split_large(struct repair *r) {
    struct store_run *s = r->s;
    int64_t limit = s->pub.node->conf->tablet_bytes ? s->pub.node->conf->tablet_bytes : NODE_TABLET_BYTES;
    int64_t now = reactor_now(s->pub.reactor);
    if (limit < 0 || now < r->measure_at || r->splits.count > 0)
        return;
    r->measure_at = now + MEASURE_NS;
    for (size_t i = 0; i < r->n_ids && !s->stopping; i++) {
        struct tablet *t = tablets_find(s->pub.tablets, r->ids[i]);
        struct told *told = told_of(r, r->ids[i]);
        int64_t bytes = 0;
        if (!t || !told || r->ids[i] == SYSTEM_TABLET || r->ids[i] == r->split_id || !replica_leads(tablet_replica(t)))
            continue;
        uint64_t slot = replica_applied(tablet_replica(t));
        if (told->measured == slot) /* nothing has happened to it: its file need not even be open */
            continue;
        if (mvcc_data_bytes(tablet_mvcc(t), &bytes, NULL) != RC_OK)
            continue;
        if (bytes <= limit) {
            if ((told = told_of(r, r->ids[i])))
                told->measured = slot;
            continue;
        }
        r->split_id = r->ids[i];
        if (fiber_spawn(s->pub.reactor, &r->splits, FIBER_LARGE, "tablet split", split_main, r) == RC_OK)
            return;
    }
    r->split_id = 0; /* one that could not be split is tried again in the next round but one */
}

static void look_at(struct repair *r, uint64_t id) {
    struct store_run *s = r->s;
    struct tablet *t = tablets_find(s->pub.tablets, id);
    struct tablet_info info;
    struct err err = {0};
    enum rc rc = RC_OK;
    if (!t || !replica_leads(tablet_replica(t)))
        return;
    tablet_info(t, &info);
    const struct told *told = told_of(r, id);
    if (!told || told->generation != info.generation || told->epoch != info.config.epoch || told->round != info.round)
        rc = tell(r, &info, &err);
    if (!rc) {
        t = tablets_find(s->pub.tablets, id);
        if (!t || !replica_leads(tablet_replica(t)))
            return;
        tablet_info(t, &info); /* after the wait */
        size_t nodes = directory_nodes(s->pub.directory);
        size_t want = nodes < NODE_VOTERS ? nodes : NODE_VOTERS;
        if (!info.config.joint && voters_of(&info.config) < want)
            rc = grow(r, &info, &err);
    }
    t = rc ? NULL : tablets_find(s->pub.tablets, id);
    if (t && replica_lacks_member(tablet_replica(t)))
        rc = replica_make_missing(tablet_replica(t), reactor_deadline(s->pub.reactor, PUT_NS), &err);
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN)
        diag_tablet(&s->pub.env->diag, DIAG_INFO, id, "tablet: not repaired yet", "reason=\"%s\"", err_message(&err));
}

void node_repair(void *arg) {
    struct store_run *s = arg;
    struct repair r = {.s = s};
    fiber_group_init(&r.splits);
    while (!fiber_cancelled(s->pub.reactor) && !s->stopping) {
        enum rc rc = waitq_wait(s->pub.reactor, &s->wake, reactor_deadline(s->pub.reactor, ROUND_NS));
        if (rc != RC_OK && rc != RC_TIMEOUT)
            break;
        if (s->pub.node->state != NODE_SERVING)
            continue;
        refresh(&r);
        r.n_ids = 0;
        tablets_each(s->pub.tablets, note_id, &r); /* in the order of ids: the system's first */
        for (size_t i = 0; i < r.n_ids && !s->stopping; i++)
            look_at(&r, r.ids[i]);
        split_large(&r);
    }
    fiber_group_cancel(&r.splits);
    fiber_shield_begin(s->pub.reactor);
    IGNORE(fiber_group_join(s->pub.reactor, &r.splits, DEADLINE_NONE)); /* shielded: they end */
    fiber_shield_end(s->pub.reactor);
    free(r.told);
    free(r.ids);
}

bool node_fully_replicated(const Node__Answer *list) {
    size_t want = list->n_nodes < NODE_VOTERS ? list->n_nodes : NODE_VOTERS;
    for (size_t i = 0; i < list->n_tablets; i++) {
        struct px_config c;
        const Node__Tablet *t = list->tablets[i];
        if (px_config_decode(t->config.data, t->config.len, &c) != RC_OK || c.joint || voters_of(&c) < want)
            return false;
    }
    return list->n_tablets > 0;
}
