/* SPDX-License-Identifier: Apache-2.0 */
/* virtual_meridian.c: meridian.*: the cluster as SQL sees it: nodes, tablets, clocks; this store's sessions and settings. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/core.h"
#include "shard/net/rpc.h"
#include "shard/node/placement.h"
#include "shard/replica/replica.h"
#include "shard/runtime/wait.h"
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
                       c.member[k].flags & (PX_OLD | PX_NEW) ? "" : " (read-only)");
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

static void names_text(struct virt *x, char *const *v, size_t n, const char *nothing) {
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? "," : "", v[i]);
    virt_text(x, n ? buf_cstr(&b) : nothing);
    buf_done(&b);
}

static void placements(struct virt *x) {
    struct arena a;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    const Node__Answer *l = list_cluster(x, &a);
    for (size_t i = 0; l && i < l->n_placements; i++) {
        const Node__Placement *p = l->placements[i];
        virt_text(x, p->name);
        names_text(x, p->region, p->n_region, "");
        names_text(x, p->leader, p->n_leader, "");
        virt_int(x, placement_voters(p));
        names_text(x, p->read, p->n_read, p->no_read ? "none" : "");
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

/* ---- the simulated world ------------------------------------------------------------------------------------------- */

struct world_ask {
    const struct sql_world *world;
    struct buf lines;
    enum rc rc;
    struct err err;
};

static void ask_world(void *arg) {
    struct world_ask *a = arg;
    a->rc = a->world->links(a->world->ctx, &a->lines, &a->err);
}

/* "us-east", or "us-east.b" where a region has several zones. */
static bool stands_at(const Node__Node *n, const char *place) {
    size_t r = strlen(n->region);
    return strncmp(place, n->region, r) == 0 &&
           (place[r] == '\0' || (place[r] == '.' && strcmp(place + r + 1, n->zone) == 0));
}

/* Where nothing lies between nodes that could be measured from outside: a request and its answer, from this node's place. */
static int64_t ask_there(struct virt *x, const Node__Answer *l, const char *from, const char *to, struct arena *a) {
    struct node_store *s = x->s->e->conf.store;
    const Node__Node *here = NULL, *there = NULL;
    for (size_t i = 0; l && i < l->n_nodes; i++) {
        if (l->nodes[i]->node == node_number(s->node))
            here = l->nodes[i];
        else if (!there && stands_at(l->nodes[i], to))
            there = l->nodes[i];
    }
    if (!here || !there || !stands_at(here, from))
        return -1;
    Node__StatusAsk ask = NODE__STATUS_ASK__INIT;
    ProtobufCMessage *m;
    int64_t began = reactor_now(s->reactor);
    enum rc rc = rpc_call(s->rpc, (struct store_addr){there->node, 0}, NODE_TYPE_STATUS, &ask.base, a,
                          reactor_deadline(s->reactor, STATUS_NS), &m, NULL);
    return rc ? -1 : env_now_ns(s->env) - began;
}

static void real_or_null(struct virt *x, int64_t v, double unit) {
    if (v < 0)
        virt_null(x);
    else
        virt_real(x, (double)v / unit);
}

static bool link_row(struct virt *x, char *line, const Node__Answer *l, struct arena *a) {
    char *at[SQL_WORLD_COLUMNS], *rest = NULL;
    size_t n = 0;
    for (char *one = strtok_r(line, "\t", &rest); one && n < SQL_WORLD_COLUMNS; one = strtok_r(NULL, "\t", &rest))
        at[n++] = one;
    if (n != SQL_WORLD_COLUMNS) {
        x->rc = err_set(x->err, RC_PROTOCOL, "meridian-geo tells lines that this program does not understand");
        return false;
    }
    int64_t v[SQL_WORLD_COLUMNS];
    for (size_t i = 2; i < 9; i++)
        v[i] = strtoll(at[i], NULL, 10);
    bool cut = v[7] != 0;
    int64_t measured = v[8] < 0 && !cut ? ask_there(x, l, at[0], at[1], a) : v[8];
    virt_text(x, at[0]);
    virt_text(x, at[1]);
    virt_real(x, (double)v[2] / 1e6);
    virt_real(x, (double)v[3] / 1e6);
    virt_real(x, (double)v[4] / 1e4);
    virt_real(x, (double)v[5] / 1e4);
    if (v[6])
        virt_int(x, v[6]);
    else
        virt_null(x);
    virt_text(x, cut ? "cut" : "open");
    real_or_null(x, measured, 1e6);
    virt_text(x, at[9]);
    return virt_end(x);
}

/* The lines between places, each direction, as they are asked for and as they are. */
static void links(struct virt *x) {
    struct sess *s = x->s;
    struct world_ask ask = {.world = s->e->conf.world};
    struct cat_view v = sess_view(s);
    const struct cat_object *me = cat_view_get(&v, s->role);
    struct arena a;
    char *rest = NULL;
    if (!ask.world)
        return;
    if (!me || !me->role.superuser) {
        x->rc = err_sql(x->err, "42501", "permission denied for view links");
        return;
    }
    buf_init(&ask.lines, SESS_ARENA_BYTES_MAX);
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    x->rc = big_stack_run(s->e->reactor, ask_world, &ask);
    if (!x->rc && ask.rc)
        x->rc = err_set(x->err, ask.rc, "%s", err_message(&ask.err));
    if (!x->rc && !buf_cstr(&ask.lines))
        x->rc = err_set(x->err, RC_NOMEM, "out of memory");
    bool measured = x->rc || !strstr((char *)ask.lines.data, "\t-1\t");
    const Node__Answer *l = measured ? NULL : list_cluster(x, &a);
    for (char *line = x->rc ? NULL : strtok_r((char *)ask.lines.data, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        if (!link_row(x, line, l, &a))
            break;
    arena_done(&a);
    buf_done(&ask.lines);
}

/* ---- this session, this store -------------------------------------------------------------------------------------- */

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

/* Indexes that are tables of keys of their own. */
static void index_ids(struct virt *x) {
    struct cat_list l;
    bool on = true;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &l))
        return;
    for (size_t i = 0; i < l.n && on; i++) {
        const struct cat_table *t = l.v[i]->table;
        for (uint16_t k = 0; k < t->indexes && on; k++) {
            if (t->index[k].kind != CAT_INDEX_GLOBAL)
                continue;
            virt_text(x, t->schema_name);
            virt_text(x, t->name);
            virt_text(x, t->index[k].name);
            virt_int(x, t->index[k].id);
            virt_int(x, (int64_t)t->index[k].store->id);
            virt_int(x, t->index[k].store->version);
            on = virt_end(x);
        }
    }
    cat_list_done(&l);
}

static const char *region_of(const Node__Answer *l, uint32_t node) {
    for (size_t i = 0; l && i < l->n_nodes; i++)
        if (l->nodes[i]->node == node)
            return l->nodes[i]->region && l->nodes[i]->region[0] ? l->nodes[i]->region : NULL;
    return NULL;
}

static const char *region_at(struct virt *x, const Node__Answer *l, px_store store) {
    return region_of(l, store ? px_store_addr(store).node : node_number(x->s->e->conf.store->node));
}

/* "us-east, eu-west": where the voters of a tablet are. */
static const char *voters_of(struct virt *x, const Node__Answer *l, uint64_t tablet) {
    struct px_config c;
    struct buf b;
    const char *s = NULL;
    buf_init(&b, 0);
    for (size_t i = 0; l && i < l->n_tablets; i++) {
        if (l->tablets[i]->tablet != tablet ||
            px_config_decode(l->tablets[i]->config.data, l->tablets[i]->config.len, &c) != RC_OK)
            continue;
        for (unsigned k = 0; k < c.count; k++) {
            const char *at = px_is_voter(&c.member[k]) ? region_at(x, l, c.member[k].store) : NULL;
            buf_printf(&b, "%s%s", b.len && at ? ", " : "", at ? at : "");
        }
    }
    if (b.len && buf_cstr(&b))
        s = virt_printf(x, "voters in %s", buf_cstr(&b));
    buf_done(&b);
    return s;
}

static const char *stage_detail(struct virt *x, const Node__Answer *l, const struct txn_stage *t) {
    if (t->did == TXN_DID_PAXOS) {
        const char *voters = voters_of(x, l, t->tablet);
        if (voters)
            return voters;
    }
    if (t->tablet)
        return virt_printf(x, "tablet %llu on node %u", (unsigned long long)t->tablet, px_store_addr(t->store).node);
    return NULL;
}

/* Of the whole, if there is only one, a statement is not worth a line. */
static bool is_only_statement(const struct sess *s, size_t i) {
    size_t n = 0;
    if (s->last_stage[i].did != TXN_DID_STATEMENT)
        return false;
    for (size_t k = 0; k < s->last_stages; k++)
        n += s->last_stage[k].did == TXN_DID_STATEMENT;
    return n == 1;
}

static bool stage(struct virt *x, const Node__Answer *l, size_t i) {
    const struct sess *s = x->s;
    const struct txn_stage *t = &s->last_stage[i];
    uint32_t up = t->parent;
    if (is_only_statement(s, i))
        return true;
    if (up && is_only_statement(s, up - 1))
        up = 0;
    virt_int(x, (int64_t)i + 3);
    virt_int(x, up ? (int64_t)up + 2 : 1);
    virt_text(x, t->did == TXN_DID_STATEMENT ? virt_printf(x, "statement %u", t->number) : txn_did_name(t->did));
    virt_text(x, region_at(x, l, t->store));
    virt_text(x, t->peer || t->did == TXN_DID_NETWORK ? region_at(x, l, t->peer) : NULL);
    virt_int(x, t->from_ns + s->last_plan_ns);
    virt_int(x, t->to_ns - t->from_ns);
    virt_int(x, 1);
    virt_text(x, stage_detail(x, l, t));
    return virt_end(x);
}

/* The last transaction of this session that asked a tablet: a tree below one that is all of it. */
static void trace(struct virt *x) {
    const struct sess *s = x->s;
    struct arena a;
    int64_t total = 0;
    if (s->last_stages == 0)
        return;
    for (size_t i = 0; i < s->last_stages; i++)
        if (s->last_stage[i].to_ns > total)
            total = s->last_stage[i].to_ns;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    const Node__Answer *l = list_cluster(x, &a);
    bool on = false;
    for (int seq = 1; seq <= 2; seq++) { /* the whole; what came before the transaction began */
        virt_int(x, seq);
        virt_int(x, seq - 1);
        virt_text(x, seq == 1 ? "transaction" : "parse and plan");
        virt_text(x, region_at(x, l, 0));
        virt_null(x);
        virt_int(x, 0);
        virt_int(x, s->last_plan_ns + (seq == 1 ? total : 0));
        virt_int(x, 1);
        virt_text(x, seq == 1 && s->last_lost ? virt_printf(x, "%zu more stages are not kept", s->last_lost) : NULL);
        on = virt_end(x);
        if (!on)
            break;
    }
    for (size_t i = 0; on && i < s->last_stages; i++)
        on = stage(x, l, i);
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
    MERIDIAN(12309, "placements", placements, "name text, regions text, leaders text, voters int4, read_replicas text"),
    MERIDIAN(12303, "clocks", clocks,
             "node int4, state text, earliest_ns int8, latest_ns int8, half_width_ns int8, reason text"),
    MERIDIAN(12308, "trace", trace,
             "seq int4, parent int4, cause text, region text, peer text, start_ns int8, duration_ns int8, count int8, "
             "detail "
             "text"),
    MERIDIAN(12325, "links", links,
             "from_place text, to_place text, delay_ms float8, jitter_ms float8, loss_percent float8, reorder_percent "
             "float8, rate_bps int8, state text, measured_rtt_ms float8, back_end text"),
    MERIDIAN(12305, "settings", settings, "name text, value text, description text"),
    MERIDIAN(
        12306, "tables", table_ids,
        "schema_name name, table_name name, oid oid, rows_id int8, table_group int8, version int4, placement text"),
    MERIDIAN(12351, "indexes", index_ids,
             "schema_name name, table_name name, index_name name, oid oid, rows_id int8, version int4"),
};

const struct virt_table virt_meridian = {defs, ARRAY_LEN(defs)};
