/* SPDX-License-Identifier: Apache-2.0 */
/* virtual_meridian.c: meridian.*: the cluster as SQL sees it: nodes, tablets, clocks; this store's sessions and settings. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "paxos/core.h"
#include "shard/net/rpc.h"
#include "shard/replica/replica.h"
#include "sql/run/virtual.h"
#include "txn/host.h"
#include "txn/upper.h"

#define ASK_NS INT64_C(5000000000)
#define STATUS_NS INT64_C(1000000000)

/* All that the system tablet knows of nodes and tablets. NULL: x->rc. */
static const Node__Answer *list_cluster(struct virt *x, struct arena *a) {
    struct node_store *s = x->s->e->conf.store;
    Node__Ask ask = NODE__ASK__INIT;
    Node__Answer *answer = NULL;
    ask.list = true;
    x->rc = directory_ask(s->directory, &ask, a, reactor_deadline(s->reactor, ASK_NS), &answer, x->err);
    return x->rc ? NULL : answer;
}

static void nodes(struct virt *x) {
    struct arena a;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    const Node__Answer *l = list_cluster(x, &a);
    for (size_t i = 0; l && i < l->n_nodes; i++) {
        const Node__Node *n = l->nodes[i];
        virt_int(x, n->node);
        virt_text(x, n->region);
        virt_text(x, n->zone);
        virt_text(x, n->rpc);
        virt_text(x, n->sql && n->sql[0] ? n->sql : NULL);
        virt_text(x, n->http && n->http[0] ? n->http : NULL);
        virt_int(x, n->stores);
        virt_int(x, (int64_t)n->starts);
        virt_text(x, n->version);
        virt_bool(x, n->node == node_number(x->s->e->conf.store->node));
        if (!virt_end(x))
            break;
    }
    arena_done(&a);
}

static char *key_text(struct virt *x, ProtobufCBinaryData key) {
    struct buf b;
    char *s = NULL;
    buf_init(&b, 0);
    key_print(key_of(key.data, key.len), &b);
    if (buf_cstr(&b))
        s = virt_printf(x, "%s", buf_cstr(&b));
    buf_done(&b);
    return s;
}

static void tablets(struct virt *x) {
    struct arena a;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    const Node__Answer *l = list_cluster(x, &a);
    for (size_t i = 0; l && i < l->n_tablets; i++) {
        const Node__Tablet *t = l->tablets[i];
        struct px_config c;
        struct buf voters;
        buf_init(&voters, 0);
        bool known = px_config_decode(t->config.data, t->config.len, &c) == RC_OK;
        for (unsigned k = 0; known && k < c.count; k++) {
            struct store_addr at = px_store_addr(c.member[k].store);
            buf_printf(&voters, "%s%u.%u%s", k ? "," : "", at.node, at.store,
                       c.member[k].flags & (PX_OLD | PX_NEW) ? "" : " (learner)");
        }
        virt_int(x, (int64_t)t->tablet);
        virt_int(x, (int64_t)t->generation);
        virt_text(x, t->start.len ? key_text(x, t->start) : NULL);
        virt_text(x, t->end.len ? key_text(x, t->end) : NULL);
        if (t->leader)
            virt_int(x, px_store_addr(t->leader).node);
        else
            virt_null(x);
        virt_text(x, known ? buf_cstr(&voters) : NULL);
        buf_done(&voters);
        if (!virt_end(x))
            break;
    }
    arena_done(&a);
}

/* Each node's own word; one that does not answer has none. */
static void clocks(struct virt *x) {
    struct node_store *s = x->s->e->conf.store;
    struct arena a;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    const Node__Answer *l = list_cluster(x, &a);
    for (size_t i = 0; l && i < l->n_nodes; i++) {
        Node__StatusAsk ask = NODE__STATUS_ASK__INIT;
        struct store_addr to = {l->nodes[i]->node, 0};
        ProtobufCMessage *m = NULL;
        struct err why;
        enum rc rc =
            rpc_call(s->rpc, to, NODE_TYPE_STATUS, &ask.base, &a, reactor_deadline(s->reactor, STATUS_NS), &m, &why);
        const Node__Status *st = rc ? NULL : (const Node__Status *)m;
        virt_int(x, l->nodes[i]->node);
        virt_text(x, st ? st->clock_state : NULL);
        if (st) {
            virt_int(x, st->clock_earliest);
            virt_int(x, st->clock_latest);
            virt_int(x, (st->clock_latest - st->clock_earliest) / 2);
            virt_text(x, st->clock_reason);
        } else {
            virt_nulls(x, 3);
            virt_text(x, err_message(&why));
        }
        if (!virt_end(x))
            break;
    }
    arena_done(&a);
}

static void transactions(struct virt *x) {
    static const char *const modes[] = {"read write", "read strong", "read exact", "read max", "read since", "read at"};
    ilist_for_each(it, &x->s->e->sessions) {
        struct sess *s = container_of(it, struct sess, link);
        struct buf b;
        if (!s->txn)
            continue;
        buf_init(&b, 0);
        txn_token_print(txn_token(s->txn), &b);
        virt_int(x, node_number(x->s->e->conf.store->node));
        virt_int(x, s->number);
        virt_text(x, buf_cstr(&b));
        virt_text(x, modes[txn_mode(s->txn)]);
        virt_int(x, s->begin_us);
        virt_int(x, (int64_t)s->block_statements);
        virt_text(x, txn_phase(s->txn) == TXN_OPEN ? "open" : txn_phase(s->txn) == TXN_FAILED ? "failed" : "done");
        virt_text(x, guc_get(s->gucs, "application_name"));
        buf_done(&b);
        if (!virt_end(x))
            return;
    }
}

static char *span_text(struct virt *x, const struct txn_span *span) {
    struct buf b;
    char *s = NULL;
    struct span all = {.start = key_of(span->start.p, span->start.n), .end = key_of(span->end.p, span->end.n)};
    buf_init(&b, 4096);
    span_print(all, &b);
    if (buf_cstr(&b))
        s = virt_printf(x, "%s", buf_cstr(&b));
    buf_done(&b);
    return s;
}

/* What the transactions of this store's sessions hold on tablets that this store leads. */
static bool locks_on(struct virt *x, struct txn_host *h, struct sess *s) {
    struct lock_table *locks = host_leads(h) ? site_locks(h->site) : NULL;
    struct lock_txn *held = locks ? lock_txn_find(locks, &txn_ref(s->txn)->id) : NULL;
    struct lock_grant g;
    for (const void *cursor = NULL; held && lock_each(held, &cursor, &g);) {
        virt_int(x, (int64_t)h->id);
        virt_int(x, s->number);
        virt_text(x, lock_mode_name(g.mode));
        virt_text(x, span_text(x, &g.span));
        if (!virt_end(x))
            return false;
    }
    return true;
}

static void locks(struct virt *x) {
    struct txn_hosts *hs = txn_client_hosts(x->s->e->conf.txns);
    ilist_for_each(it, &x->s->e->sessions) {
        struct sess *s = container_of(it, struct sess, link);
        if (!s->txn || txn_mode(s->txn) != TXN_READ_WRITE)
            continue;
        ilist_for_each(at, &hs->hosts)
            if (!locks_on(x, container_of(at, struct txn_host, link), s))
                return;
    }
}

static void settings(struct virt *x) {
    const struct guc_vars *g = x->s->gucs;
    for (size_t i = 0; i < guc_count(g); i++) {
        struct guc_info v = guc_at(g, i);
        if (strncmp(v.name, "meridian.", 9) != 0)
            continue;
        virt_text(x, v.name);
        virt_text(x, v.value);
        virt_text(x, v.about);
        if (!virt_end(x))
            return;
    }
}

/* Where tables lie: which of their keys begin which tablets. */
static void table_ids(struct virt *x) {
    struct cat_list l;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    for (size_t i = 0; i < l.n; i++) {
        const struct cat_table *t = l.v[i]->table;
        if (!t->store)
            continue;
        virt_text(x, t->schema_name);
        virt_text(x, t->name);
        virt_int(x, t->id);
        virt_int(x, (int64_t)t->store->id);
        virt_int(x, (int64_t)t->store->group);
        virt_int(x, t->store->version);
        virt_text(x, t->placement);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&l);
}

static const char *region_of(const Node__Answer *l, uint32_t node) {
    for (size_t i = 0; l && i < l->n_nodes; i++)
        if (l->nodes[i]->node == node)
            return l->nodes[i]->region && l->nodes[i]->region[0] ? l->nodes[i]->region : NULL;
    return NULL;
}

static void leg(struct virt *x, const Node__Answer *l, const struct txn_leg *t, int seq) {
    uint32_t here = node_number(x->s->e->conf.store->node), there = t->store ? px_store_addr(t->store).node : here;
    const char *at = region_of(l, there);
    bool way = t->cause == TXN_CAUSE_NETWORK;
    virt_int(x, seq);
    virt_int(x, 1);
    virt_text(x, txn_cause_name(t->cause));
    virt_text(x, way ? region_of(l, here) : at);
    virt_text(x, way && there != here ? (at ? at : "elsewhere") : NULL);
    virt_int(x, t->from_ns);
    virt_int(x, t->to_ns - t->from_ns);
    virt_int(x, 1);
    virt_text(x, t->tablet ? virt_printf(x, "tablet %llu on node %u", (unsigned long long)t->tablet, there)
                           : virt_printf(x, "node %u", there));
}

/* The last transaction of this session that asked a tablet; its legs are beside each other below one that is all of it. */
static void trace(struct virt *x) {
    const struct sess *s = x->s;
    struct arena a;
    int64_t total = 0;
    if (s->last_legs == 0)
        return;
    for (size_t i = 0; i < s->last_legs; i++)
        if (s->last_leg[i].to_ns > total)
            total = s->last_leg[i].to_ns;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    const Node__Answer *l = list_cluster(x, &a);
    virt_int(x, 1);
    virt_int(x, 0);
    virt_text(x, "transaction");
    virt_text(x, region_of(l, node_number(s->e->conf.store->node)));
    virt_null(x);
    virt_int(x, 0);
    virt_int(x, total);
    virt_int(x, 1);
    virt_null(x);
    bool on = virt_end(x);
    for (size_t i = 0; on && i < s->last_legs; i++) {
        leg(x, l, &s->last_leg[i], (int)i + 2);
        on = virt_end(x);
    }
    arena_done(&a);
}

#define MERIDIAN(id_, name_, rows_, columns_)                                                                          \
    { .id = (id_), .schema = CAT_ID_MERIDIAN_SCHEMA, .name = (name_), .columns = (columns_), .rows = (rows_) }

static const struct virt_def defs[] = {
    MERIDIAN(12301, "nodes", nodes,
             "node int4, region text, zone text, rpc text, sql text, http text, stores int4, starts int8, version "
             "text, here bool"),
    MERIDIAN(12302, "tablets", tablets,
             "tablet int8, generation int8, start_key text, end_key text, leader int4, replicas text"),
    MERIDIAN(12303, "clocks", clocks,
             "node int4, state text, earliest_ns int8, latest_ns int8, half_width_ns int8, reason text"),
    MERIDIAN(12304, "transactions", transactions,
             "node int4, pid int4, token text, mode text, began timestamptz, statements int8, state text, "
             "application_name text"),
    MERIDIAN(12308, "trace", trace,
             "seq int4, parent int4, cause text, region text, peer text, start_ns int8, duration_ns int8, count int8, "
             "detail "
             "text"),
    MERIDIAN(12307, "locks", locks, "tablet int8, pid int4, mode text, span text"),
    MERIDIAN(12305, "settings", settings, "name text, value text, description text"),
    MERIDIAN(
        12306, "tables", table_ids,
        "schema_name name, table_name name, oid oid, rows_id int8, table_group int8, version int4, placement text"),
};

const struct virt_table virt_meridian = {defs, ARRAY_LEN(defs)};
