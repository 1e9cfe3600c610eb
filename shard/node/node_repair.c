/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_repair.c: what a store does for the tablets it leads: tells the directory how they are, and gives them voters while they
 * have fewer than they should; and what operators ask of them.
 *
 * Growth: system tablets first; one voter at a time; where no voter is yet, by region, then zone, then node. A node counts only
 * if it answers now. A tablet is never shrunk by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/node_internal.h"

static const int64_t ROUND_NS = 500000000, PUT_NS = 3000000000, PING_NS = 1000000000, CHANGE_NS = 60000000000,
                     LIST_NS = 1000000000;
enum { ARENA_BYTES_MAX = 64 << 20 };

/* What the directory was told last, by tablet. */
struct told {
    uint64_t id, generation, epoch, round;
};

struct repair {
    struct store_run *s;
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
    struct told now = {info->id, info->generation, info->config.epoch, info->round};
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
    if (told)
        *told = now;
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

static uint32_t node_of(px_store s) {
    return px_store_addr(s).node;
}

static bool member_node(const struct px_config *c, uint32_t node) {
    for (uint32_t i = 0; i < c->count; i++)
        if (node_of(c->member[i].store) == node)
            return true;
    return false;
}

/* How much a node would add: a new region, a new zone. */
static int worth(const struct directory *d, const struct px_config *c, const Node__Node *n) {
    bool region = false, zone = false;
    for (uint32_t i = 0; i < c->count; i++) {
        const Node__Node *m = px_is_voter(&c->member[i]) ? directory_node(d, node_of(c->member[i].store)) : NULL;
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
            if (!node || node->state != 0 || node->stores == 0 || member_node(&info->config, node->node) ||
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

static void config_add(struct px_config *c, px_store store, uint64_t replica) {
    uint32_t i = c->count++;
    for (; i > 0 && c->member[i - 1].store > store; i--)
        c->member[i] = c->member[i - 1];
    c->member[i] = (struct px_member){store, replica, PX_OLD};
}

static void config_del(struct px_config *c, uint32_t i) {
    memmove(&c->member[i], &c->member[i + 1], (--c->count - i) * sizeof *c->member);
}

static enum rc change(struct store_run *s, uint64_t id, const struct px_config *want, int64_t ns, struct err *err) {
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
    config_add(&want, store, replica);
    diag_tablet(&s->pub.env->diag, DIAG_INFO, info->id, "tablet: gains a voter", "node=%u replica=%llu", node_of(store),
                (unsigned long long)replica);
    return change(s, info->id, &want, CHANGE_NS, err);
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
    size_t nodes = directory_nodes(s->pub.directory);
    ask.list = true;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc = directory_ask(s->pub.directory, &ask, &a, reactor_deadline(s->pub.reactor, PUT_NS), &answer, NULL);
    arena_done(&a);
    if (!rc && s->pub.number == 0 && directory_nodes(s->pub.directory) != nodes)
        peers_write(s->pub.reactor, s->pub.node->conf->dir, s->pub.directory);
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
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN)
        diag_tablet(&s->pub.env->diag, DIAG_INFO, id, "tablet: not repaired yet", "reason=\"%s\"", err_message(&err));
}

void node_repair(void *arg) {
    struct store_run *s = arg;
    struct repair r = {.s = s};
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
    }
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

/* ---- operators -------------------------------------------------------------------------------------------------------------- */

static enum rc leader_of(struct store_run *s, uint64_t id, px_store *ret, struct err *err) {
    Node__Ask ask = NODE__ASK__INIT;
    Node__Answer *answer;
    struct directory_tablet t;
    struct arena a;
    ask.list = true;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc = directory_ask(s->pub.directory, &ask, &a, reactor_deadline(s->pub.reactor, PUT_NS), &answer, err);
    arena_done(&a);
    if (rc)
        return rc;
    if (!directory_known_id(s->pub.directory, id, &t))
        return err_set(err, RC_NOTFOUND, "there is no tablet %llu", (unsigned long long)id);
    *ret = t.leader;
    return RC_OK;
}

/* To a store that may lead it. */
static enum rc forward(struct store_run *s, px_store to, const Node__AdminAsk *ask, struct arena *a, int64_t deadline,
                       char **ret_text, struct err *err) {
    struct arena mine;
    struct buf b;
    ProtobufCMessage *m = NULL, *out = NULL;
    arena_init(&mine, ARENA_BYTES_MAX);
    buf_init(&b, 0);
    pb_pack(&ask->base, &b);
    enum rc rc = buf_rc(&b) ? buf_rc(&b) : pb_unpack(&node__admin_ask__descriptor, &mine, b.data, b.len, &m);
    buf_done(&b);
    if (!rc)
        rc = rpc_call(s->pub.rpc, px_store_addr(to), NODE_TYPE_ADMIN, m, &mine, deadline, &out, err);
    if (!rc) {
        *ret_text = arena_strdup(a, ((Node__AdminAnswer *)out)->text);
        rc = *ret_text ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    }
    arena_done(&mine);
    return rc;
}

static enum rc transfer(struct store_run *s, struct tablet *t, uint32_t to, int64_t deadline, struct err *err) {
    struct tablet_info info;
    tablet_info(t, &info);
    for (uint32_t i = 0; i < info.config.count; i++) {
        const struct px_member *m = &info.config.member[i];
        if (node_of(m->store) == to && px_is_voter(m) && !(m->flags & PX_WITNESS))
            return m->store == px_store_of(rpc_self(s->pub.rpc))
                       ? RC_OK
                       : replica_transfer(tablet_replica(t), m->store, deadline, err);
    }
    return err_set(err, RC_INVAL, "node %u has no voter of tablet %llu", to, (unsigned long long)info.id);
}

static enum rc move(struct store_run *s, struct tablet *t, uint32_t from, uint32_t to, int64_t deadline,
                    struct err *err) {
    struct tablet_info info;
    uint64_t replica, id = tablet_id(t);
    px_store leader;
    if (!directory_node(s->pub.directory, to)) { /* it may have joined just now */
        enum rc asked = leader_of(s, id, &leader, err);
        t = tablets_find(s->pub.tablets, id);
        if (asked || !t)
            return asked ? asked : err_set(err, RC_MOVED, "tablet %llu left this store", (unsigned long long)id);
    }
    tablet_info(t, &info);
    struct px_config want = info.config;
    const Node__Node *node = directory_node(s->pub.directory, to);
    uint32_t i = 0;
    while (i < want.count && node_of(want.member[i].store) != from)
        i++;
    if (i == want.count)
        return err_set(err, RC_INVAL, "node %u has no replica of tablet %llu", from, (unsigned long long)id);
    if (member_node(&want, to))
        return err_set(err, RC_INVAL, "node %u has a replica of tablet %llu already", to, (unsigned long long)id);
    if (!node || node->stores == 0)
        return err_set(err, RC_NOTFOUND, "there is no node %u", to);
    if (want.member[i].store == px_store_of(rpc_self(s->pub.rpc))) {
        err_set(err, RC_INVAL, "node %u leads tablet %llu", from, (unsigned long long)id);
        err_hint(err, "Give its leadership to another node first: meridian tablet transfer-leader.");
        return RC_INVAL;
    }
    px_store store = px_store_of((struct store_addr){to, (uint16_t)(hash_u64(id) % node->stores)});
    enum rc rc = directory_next(s->pub.directory, "replica", 1, deadline, &replica, err);
    if (rc)
        return rc;
    config_del(&want, i);
    config_add(&want, store, replica);
    return change(s, id, &want, CHANGE_NS, err);
}

enum rc node_admin(struct store_run *s, const Node__AdminAsk *ask, struct arena *a, int64_t deadline, char **ret_text,
                   struct err *err) {
    struct tablet *t = tablets_find(s->pub.tablets, ask->tablet);
    int64_t until = reactor_deadline(s->pub.reactor, CHANGE_NS);
    enum rc rc;
    if (until > deadline)
        until = deadline;
    if (!t || !replica_leads(tablet_replica(t))) {
        px_store leader = t ? replica_leader(tablet_replica(t)) : 0;
        if (!leader) {
            rc = leader_of(s, ask->tablet, &leader, err);
            if (rc)
                return rc;
        }
        if (leader == 0 || leader == px_store_of(rpc_self(s->pub.rpc)))
            return err_set(err, RC_NOT_LEADER, "tablet %llu has no leader now", (unsigned long long)ask->tablet);
        return forward(s, leader, ask, a, until, ret_text, err);
    }
    if (strcmp(ask->verb, "transfer-leader") == 0)
        rc = transfer(s, t, ask->to_node, until, err);
    else if (strcmp(ask->verb, "move") == 0)
        rc = move(s, t, ask->from_node, ask->to_node, until, err);
    else
        return err_set(err, RC_UNSUPPORTED, "a tablet cannot \"%.32s\"", ask->verb);
    if (rc)
        return rc;
    *ret_text = strcmp(ask->verb, "move") == 0
                    ? arena_printf(a, "tablet %llu moved from node %u to node %u", (unsigned long long)ask->tablet,
                                   ask->from_node, ask->to_node)
                    : arena_printf(a, "tablet %llu is led by node %u", (unsigned long long)ask->tablet, ask->to_node);
    return *ret_text ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
}
