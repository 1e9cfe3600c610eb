/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_admin.c: what operators ask of tablets: whoever is asked passes it on to the store that leads.
 */
#include <string.h>

#include "shard/node/node_internal.h"

static const int64_t LIST_NS = 3000000000, CHANGE_NS = 60000000000;
enum { ARENA_BYTES_MAX = 64 << 20, LEADER_TRIES = 40, HOPS_MAX = 3 };
static const int64_t LEADER_RETRY_NS = 50000000, CHANGE_RETRY_NS = 50000000, CHANGE_PATIENCE_NS = 15000000000;

static enum rc leader_of(struct store_run *s, uint64_t id, px_store *ret, struct err *err) {
    Node__Ask ask = NODE__ASK__INIT;
    Node__Answer *answer;
    struct directory_tablet t;
    struct arena a;
    ask.list = true;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc = directory_ask(s->pub.directory, &ask, &a, reactor_deadline(s->pub.reactor, LIST_NS), &answer, err);
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
                       Node__AdminAnswer *ret, struct err *err) {
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
        ret->tablet = ((Node__AdminAnswer *)out)->tablet;
        ret->text = arena_strdup(a, ((Node__AdminAnswer *)out)->text);
        rc = ret->text ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    }
    arena_done(&mine);
    return rc;
}

static enum rc transfer(struct store_run *s, struct tablet *t, uint32_t to, int64_t deadline, struct err *err) {
    struct tablet_info info;
    tablet_info(t, &info);
    for (uint32_t i = 0; i < info.config.count; i++) {
        const struct px_member *m = &info.config.member[i];
        if (px_node_of(m->store) == to && px_is_voter(m) && !(m->flags & PX_WITNESS))
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
    while (i < want.count && px_node_of(want.member[i].store) != from)
        i++;
    if (i == want.count)
        return err_set(err, RC_INVAL, "node %u has no replica of tablet %llu", from, (unsigned long long)id);
    const struct px_member *there = node_member(&want, to);
    if (there && (px_is_voter(there) || there->flags & PX_WITNESS || !px_is_voter(&want.member[i])))
        return err_set(err, RC_INVAL, "node %u has a replica of tablet %llu already", to, (unsigned long long)id);
    if (!node || node->stores == 0)
        return err_set(err, RC_NOTFOUND, "there is no node %u", to);
    if (want.member[i].store == px_store_of(rpc_self(s->pub.rpc))) {
        err_set(err, RC_INVAL, "node %u leads tablet %llu", from, (unsigned long long)id);
        err_hint(err, "Give its leadership to another node first: meridian tablet transfer-leader.");
        return RC_INVAL;
    }
    px_store store = px_store_of((struct store_addr){to, (uint16_t)(hash_u64(id) % node->stores)});
    uint32_t flags = want.member[i].flags & PX_OLD;
    if (there) /* a read replica: it has the data, and gets the vote */
        store = there->store;
    enum rc rc = directory_next(s->pub.directory, "replica", 1, deadline, &replica, err);
    if (rc)
        return rc;
    t = tablets_find(s->pub.tablets, id); /* after the wait; whether its members are still those, node_change asks */
    if (!t)
        return err_set(err, RC_MOVED, "tablet %llu left this store", (unsigned long long)id);
    tablet_info(t, &info);
    px_store leaves = want.member[i].store;
    if (!flags)
        node_config_del(&want, i);
    rc = node_config_add(&want, store, replica, flags, err);
    if (rc)
        return rc;
    if (flags)
        node_reads_demote(s, id, node_placement(s, &info), &want, leaves);
    return node_change(s, id, &want, CHANGE_NS, err);
}

/* A member that is over leaves; growth brings another one. */
static enum rc replace(struct store_run *s, struct tablet *t, uint32_t from, uint64_t replica, struct err *err) {
    struct tablet_info info;
    tablet_info(t, &info);
    struct px_config want = info.config;
    uint32_t i = 0;
    while (i < want.count && (px_node_of(want.member[i].store) != from || want.member[i].replica != replica))
        i++;
    if (i == want.count)
        return RC_OK; /* it is none any more */
    node_config_del(&want, i);
    return node_change(s, info.id, &want, CHANGE_NS, err);
}

/* Numbers first: they are the system tablet's to give. */
enum rc node_split(struct store_run *s, uint64_t id, struct mvcc_bytes key, int64_t deadline, uint64_t *ret_right,
                   struct buf *ret_key, struct err *err) {
    struct tablet *t = tablets_find(s->pub.tablets, id);
    struct tablet_info info;
    struct tablet_split how = {.key = key};
    if (!t)
        return err_set(err, RC_MOVED, "tablet %llu is not on this store", (unsigned long long)id);
    if (id == SYSTEM_TABLET)
        return err_set(err, RC_UNSUPPORTED, "the system tablet is never split");
    tablet_info(t, &info);
    how.generation = info.generation;
    how.replicas = info.config.count;
    enum rc rc = directory_next(s->pub.directory, "tablet", 1, deadline, &how.right, err);
    if (!rc)
        rc = directory_next(s->pub.directory, "replica", how.replicas, deadline, &how.first_replica, err);
    if (!rc)
        rc = tablets_split(s->pub.tablets, id, &how, deadline, ret_key, err);
    *ret_right = how.right;
    return rc;
}

static enum rc split(struct store_run *s, const Node__AdminAsk *ask, struct arena *a, int64_t deadline,
                     Node__AdminAnswer *out, struct err *err) {
    struct buf key, text;
    buf_init(&key, KEY_BYTES_MAX);
    buf_init(&text, 0);
    enum rc rc =
        node_split(s, ask->tablet, (struct mvcc_bytes){ask->key.data, ask->key.len}, deadline, &out->tablet, &key, err);
    if (!rc) {
        key_print(key_of_buf(&key), &text);
        const char *at = buf_cstr(&text);
        out->text = arena_printf(a, "tablet %llu was split at %s: tablet %llu holds the rest",
                                 (unsigned long long)ask->tablet, at ? at : "?", (unsigned long long)out->tablet);
    }
    buf_done(&key);
    buf_done(&text);
    return rc;
}

/* Once no other change is in the way: replicas come and go by themselves, too. */
static enum rc change_members(struct store_run *s, const Node__AdminAsk *ask, struct arena *a, int64_t deadline,
                              Node__AdminAnswer *out, struct err *err) {
    int64_t patience = reactor_deadline(s->pub.reactor, CHANGE_PATIENCE_NS);
    for (;;) {
        struct tablet *t = tablets_find(s->pub.tablets, ask->tablet);
        if (!t)
            return err_set(err, RC_MOVED, "tablet %llu left this store", (unsigned long long)ask->tablet);
        enum rc rc = strcmp(ask->verb, "move") == 0    ? move(s, t, ask->from_node, ask->to_node, deadline, err)
                     : strcmp(ask->verb, "split") == 0 ? split(s, ask, a, deadline, out, err)
                                                       : replace(s, t, ask->from_node, ask->replica, err);
        int64_t now = reactor_now(s->pub.reactor);
        if (rc != RC_OVERLOAD || now >= deadline || now >= patience)
            return rc;
        rc = fiber_sleep(s->pub.reactor, CHANGE_RETRY_NS);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
}

static enum rc act(struct store_run *s, struct tablet *t, const Node__AdminAsk *ask, struct arena *a, int64_t deadline,
                   Node__AdminAnswer *out, struct err *err) {
    enum rc rc;
    if (strcmp(ask->verb, "split") == 0)
        rc = change_members(s, ask, a, deadline, out, err);
    else if (strcmp(ask->verb, "transfer-leader") == 0) {
        rc = transfer(s, t, ask->to_node, deadline, err);
        out->text = arena_printf(a, "tablet %llu is led by node %u", (unsigned long long)ask->tablet, ask->to_node);
    } else if (strcmp(ask->verb, "move") == 0) {
        rc = change_members(s, ask, a, deadline, out, err);
        out->text = arena_printf(a, "tablet %llu moved from node %u to node %u", (unsigned long long)ask->tablet,
                                 ask->from_node, ask->to_node);
    } else if (strcmp(ask->verb, "replace") == 0) {
        rc = change_members(s, ask, a, deadline, out, err);
        out->text = arena_printf(a, "tablet %llu goes on without replica %llu", (unsigned long long)ask->tablet,
                                 (unsigned long long)ask->replica);
    } else
        return err_set(err, RC_UNSUPPORTED, "a tablet cannot \"%.32s\"", ask->verb);
    return rc || out->text ? rc : err_set(err, RC_NOMEM, "out of memory");
}

/* The tablet that holds the key, if none is named. */
static enum rc find_tablet(struct store_run *s, Node__AdminAsk *ask, int64_t deadline, struct err *err) {
    struct directory_tablet d;
    if (ask->tablet || !ask->key.len)
        return RC_OK;
    enum rc rc = directory_find(s->pub.directory, (struct mvcc_bytes){ask->key.data, ask->key.len}, deadline, &d, err);
    ask->tablet = rc ? 0 : d.id;
    return rc;
}

enum rc node_admin(struct store_run *s, Node__AdminAsk *ask, struct arena *a, int64_t deadline, Node__AdminAnswer *out,
                   struct err *err) {
    int64_t until = reactor_deadline(s->pub.reactor, CHANGE_NS);
    if (until > deadline)
        until = deadline;
    enum rc rc = find_tablet(s, ask, until, err);
    if (rc)
        return rc;
    struct tablet *t = tablets_find(s->pub.tablets, ask->tablet);
    if (t && replica_leads(tablet_replica(t)))
        return act(s, t, ask, a, until, out, err);
    /* Each store says who leads as far as it knows: two that are wrong must not pass it to and fro. */
    if (ask->hops >= HOPS_MAX)
        return err_set(err, RC_NOT_LEADER, "it is not clear now who leads tablet %llu",
                       (unsigned long long)ask->tablet);
    ask->hops++;
    px_store leader = t ? replica_leader(tablet_replica(t)) : 0;
    if (!leader) {
        rc = leader_of(s, ask->tablet, &leader, err);
        if (rc)
            return rc;
    }
    if (leader == 0 || leader == px_store_of(rpc_self(s->pub.rpc)))
        return err_set(err, RC_NOT_LEADER, "tablet %llu has no leader now", (unsigned long long)ask->tablet);
    return forward(s, leader, ask, a, until, out, err);
}

enum rc node_tablet_split(struct node_store *ns, uint64_t tablet, struct mvcc_bytes key, int64_t deadline,
                          uint64_t *ret_right, struct err *err) {
    struct store_run *s = container_of(ns, struct store_run, pub);
    Node__AdminAsk ask = NODE__ADMIN_ASK__INIT;
    Node__AdminAnswer out = NODE__ADMIN_ANSWER__INIT;
    struct arena a;
    enum rc rc;
    ask.verb = (char *)(uintptr_t) "split";
    ask.tablet = tablet;
    ask.key = (ProtobufCBinaryData){key.n, (uint8_t *)(uintptr_t)key.p};
    arena_init(&a, ARENA_BYTES_MAX);
    for (int i = 0; (rc = node_admin(s, &ask, &a, deadline, &out, err)) == RC_NOT_LEADER && i < LEADER_TRIES; i++) {
        ask.hops = 0;
        if (fiber_sleep(ns->reactor, LEADER_RETRY_NS) != RC_OK)
            break;
    }
    arena_done(&a);
    *ret_right = out.tablet;
    return rc;
}

enum rc node_placement_set(struct node_store *s, const Node__Placement *p, int64_t deadline, struct err *err) {
    Node__Ask ask = NODE__ASK__INIT;
    Node__Answer *answer;
    struct arena a;
    enum rc rc = placement_check(p, err);
    if (rc)
        return rc;
    ask.placement = (Node__Placement *)(uintptr_t)p;
    arena_init(&a, ARENA_BYTES_MAX);
    rc = directory_ask(s->directory, &ask, &a, deadline, &answer, err);
    arena_done(&a);
    return rc;
}

enum rc node_place_group(struct node_store *s, uint64_t group, const char *placement, int64_t deadline,
                         struct err *err) {
    Node__Ask ask = NODE__ASK__INIT;
    Node__Placed placed = NODE__PLACED__INIT;
    Node__Answer *answer;
    struct arena a;
    placed.group = group;
    placed.placement = (char *)(uintptr_t)(placement ? placement : "");
    ask.place = &placed;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc = directory_ask(s->directory, &ask, &a, deadline, &answer, err);
    arena_done(&a);
    return rc;
}
