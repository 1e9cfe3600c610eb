/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtual_activity.c: what goes on in the cluster: sessions, transactions, locks of all nodes, and where replicas are. Every store is
 * asked (gather.h); of a node that does not answer there are no rows, and a warning says so.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/core.h"
#include "shard/net/rpc.h"
#include "shard/replica/replica.h"
#include "sql/run/gather.h"
#include "sql/run/virtual.h"

#define ASK_NS INT64_C(5000000000)
#define STATUS_NS INT64_C(1000000000)

static bool ask(struct virt *x, bool sessions, bool locks, struct gather *g) {
    Gather__Ask what = GATHER__ASK__INIT;
    what.sessions = sessions;
    what.locks = locks;
    x->rc = gather_all(x->s->e, &what, g, x->err);
    if (x->rc)
        return false;
    gather_notices(x->s, g);
    return true;
}

/* The next session of all; NULL: no more. */
static const Gather__Session *session_next(const struct gather *g, size_t *store, size_t *at) {
    for (; *store < g->n; (*store)++, *at = 0)
        if (g->from[*store].answer && *at < g->from[*store].answer->n_sessions)
            return g->from[*store].answer->sessions[(*at)++];
    return NULL;
}

static const Gather__Lock *lock_next_of(const struct gather *g, size_t *store, size_t *at) {
    for (; *store < g->n; (*store)++, *at = 0)
        if (g->from[*store].answer && *at < g->from[*store].answer->n_locks)
            return g->from[*store].answer->locks[(*at)++];
    return NULL;
}

static bool same_txn(const Gather__TxnId *a, const Gather__TxnId *b) {
    return a && b && a->gateway == b->gateway && a->incarnation == b->incarnation && a->counter == b->counter;
}

/* Whose transaction it is; NULL: its gateway did not answer, or it is no session's (any more). */
static const Gather__Session *owner(const struct gather *g, const Gather__TxnId *id) {
    for (size_t store = 0, at = 0;;) {
        const Gather__Session *s = session_next(g, &store, &at);
        if (!s || same_txn(s->txn, id))
            return s;
    }
}

static void when(struct virt *x, int64_t us) {
    if (us)
        virt_int(x, us);
    else
        virt_null(x);
}

static bool waits(const struct gather *g, const Gather__Session *s) {
    const Gather__Lock *l;
    for (size_t store = 0, at = 0; s->txn && (l = lock_next_of(g, &store, &at));)
        if (l->waits && same_txn(l->txn, s->txn))
            return true;
    return false;
}

static void activity(struct virt *x) {
    struct gather g;
    if (!ask(x, true, true, &g))
        return;
    size_t store = 0, at = 0;
    for (const Gather__Session *s; (s = session_next(&g, &store, &at));) {
        virt_int(x, s->database);
        virt_text(x, s->database_name);
        virt_int(x, s->pid);
        virt_null(x);
        virt_int(x, s->role);
        virt_text(x, s->user);
        virt_text(x, s->application);
        virt_text(x, s->peer);
        virt_nulls(x, 2);
        virt_int(x, s->opened);
        when(x, s->began);
        virt_int(x, s->statement);
        virt_int(x, s->statement);
        bool lock = waits(&g, s);
        virt_text(x, lock ? "Lock" : NULL);
        virt_text(x, lock ? "tuple" : NULL);
        virt_text(x, s->state);
        virt_nulls(x, 3);
        virt_text(x, s->query);
        virt_text(x, "client backend");
        if (!virt_end(x))
            break;
    }
    gather_done(&g);
}

static uint32_t table_named(struct virt *x, const struct cat_list *tables, uint32_t number) {
    (void)x;
    for (size_t i = 0; number && i < tables->n; i++)
        if (tables->v[i]->table->store && tables->v[i]->table->store->id == number)
            return tables->v[i]->table->id;
    return 0;
}

/* Rows and spans of keys as PostgreSQL's modes. */
static const char *pg_mode(const char *mode) {
    return strcmp(mode, "exclusive") == 0 ? "ExclusiveLock"
           : strcmp(mode, "update") == 0  ? "RowShareLock"
                                          : "ShareLock";
}

static void pg_locks(struct virt *x) {
    struct gather g;
    struct cat_list tables;
    if (!ask(x, true, true, &g))
        return;
    if (!virt_list(x, CAT_OBJECT_TABLE, false, &tables)) {
        gather_done(&g);
        return;
    }
    size_t store = 0, at = 0;
    for (const Gather__Lock *l; (l = lock_next_of(&g, &store, &at));) {
        const Gather__Session *s = owner(&g, l->txn);
        uint32_t table = table_named(x, &tables, l->table);
        virt_text(x, l->point ? "tuple" : "relation");
        virt_int(x, s ? s->database : x->s->database);
        if (table)
            virt_int(x, table);
        else
            virt_null(x);
        virt_nulls(x, 7);
        virt_text(x, virt_printf(x, "%" PRIu64 ".%" PRIu64, l->txn->gateway, l->txn->counter));
        if (s)
            virt_int(x, s->pid);
        else
            virt_null(x);
        virt_text(x, pg_mode(l->mode));
        virt_bool(x, !l->waits);
        virt_bool(x, false);
        virt_null(x);
        if (!virt_end(x))
            break;
    }
    cat_list_done(&tables);
    gather_done(&g);
}

/* ---- meridian.* -------------------------------------------------------------------------------------------------------- */

static void transactions(struct virt *x) {
    struct gather g;
    if (!ask(x, true, false, &g))
        return;
    size_t store = 0, at = 0;
    for (const Gather__Session *s; (s = session_next(&g, &store, &at));) {
        if (!s->txn)
            continue;
        virt_int(x, g.from[store].store.node);
        virt_int(x, s->pid);
        virt_text(x, s->token);
        virt_text(x, s->mode);
        virt_int(x, s->began);
        virt_int(x, (int64_t)s->statements);
        virt_text(x, s->phase);
        virt_text(x, s->application);
        if (!virt_end(x))
            break;
    }
    gather_done(&g);
}

static void locks(struct virt *x) {
    struct gather g;
    if (!ask(x, true, true, &g))
        return;
    size_t store = 0, at = 0;
    for (const Gather__Lock *l; (l = lock_next_of(&g, &store, &at));) {
        const Gather__Session *s = owner(&g, l->txn);
        virt_int(x, (int64_t)l->tablet);
        if (s)
            virt_int(x, s->pid);
        else
            virt_null(x);
        virt_text(x, l->mode);
        virt_text(x, l->span);
        virt_int(x, g.from[store].store.node);
        virt_text(x, s ? s->token : NULL);
        virt_bool(x, !l->waits);
        virt_text(x, l->state);
        if (!virt_end(x))
            break;
    }
    gather_done(&g);
}

static void sessions_where(struct virt *x, bool all) {
    struct gather g;
    if (!ask(x, true, false, &g))
        return;
    size_t store = 0, at = 0;
    for (const Gather__Session *s; (s = session_next(&g, &store, &at));) {
        if (!all && strcmp(s->state, "active") != 0)
            continue;
        virt_int(x, g.from[store].store.node);
        virt_int(x, g.from[store].store.store);
        virt_int(x, s->pid);
        virt_text(x, s->user);
        virt_text(x, s->database_name);
        virt_text(x, s->application);
        virt_text(x, s->peer);
        if (all)
            virt_int(x, s->opened);
        virt_int(x, s->statement);
        if (all)
            virt_text(x, s->state);
        virt_text(x, s->query);
        if (!virt_end(x))
            break;
    }
    gather_done(&g);
}

static void sessions(struct virt *x) {
    sessions_where(x, true);
}

static void statements(struct virt *x) {
    sessions_where(x, false);
}

/* ---- where replicas are --------------------------------------------------------------------------------------------------- */

static const Node__Answer *list_cluster(struct virt *x, struct arena *a) {
    struct node_store *s = x->s->e->conf.store;
    Node__Ask what = NODE__ASK__INIT;
    Node__Answer *answer = NULL;
    what.list = true;
    x->rc = directory_ask(s->directory, &what, a, reactor_deadline(s->reactor, ASK_NS), &answer, x->err);
    return x->rc ? NULL : answer;
}

struct status {
    struct sess_engine *e;
    struct store_addr to;
    struct arena a;
    struct err err;
    const Node__Status *status; /* NULL: it does not answer */
};

static void status_work(void *arg) {
    struct status *k = arg;
    struct node_store *s = k->e->conf.store;
    ProtobufCMessage *m = NULL;
    Node__StatusAsk *what = arena_new(&k->a, Node__StatusAsk);
    if (!what) {
        err_set(&k->err, RC_NOMEM, "out of memory");
        return;
    }
    node__status_ask__init(what);
    if (rpc_call(s->rpc, k->to, NODE_TYPE_STATUS, &what->base, &k->a, reactor_deadline(s->reactor, STATUS_NS), &m,
                 &k->err) == RC_OK)
        k->status = (const Node__Status *)m;
}

/* All stores' own words, asked at once. */
static struct status *statuses(struct virt *x, const Node__Answer *l, size_t *ret_n) {
    struct sess_engine *e = x->s->e;
    struct fiber_group group;
    size_t n = 0, at = 0;
    for (size_t i = 0; i < l->n_nodes; i++)
        n += l->nodes[i]->stores ? l->nodes[i]->stores : 1;
    struct status *k = calloc(n + 1, sizeof *k);
    if (!k) {
        x->rc = err_set(x->err, RC_NOMEM, "out of memory for the cluster's stores");
        return NULL;
    }
    fiber_group_init(&group);
    for (size_t i = 0; i < l->n_nodes; i++)
        for (uint32_t store = 0; store < (l->nodes[i]->stores ? l->nodes[i]->stores : 1); store++) {
            struct status *to = &k[at++];
            *to = (struct status){.e = e, .to = {l->nodes[i]->node, (uint16_t)store}};
            arena_init(&to->a, SESS_ARENA_BYTES_MAX);
            enum rc rc = fiber_spawn(e->reactor, &group, FIBER_SMALL, "sql status", status_work, to);
            if (rc)
                err_set(&to->err, rc, "no fiber to ask it");
        }
    fiber_shield_begin(e->reactor); /* the calls end within STATUS_NS */
    IGNORE(fiber_group_join(e->reactor, &group, DEADLINE_NONE));
    fiber_shield_end(e->reactor);
    for (size_t i = 0; i < n; i++)
        if (!k[i].status && (i == 0 || k[i - 1].to.node != k[i].to.node))
            sess_notice(x->s, "WARNING", "01000", "node %u does not answer: %s", k[i].to.node, err_message(&k[i].err));
    *ret_n = n;
    return k;
}

static void statuses_free(struct status *k, size_t n) {
    for (size_t i = 0; k && i < n; i++)
        arena_done(&k[i].a);
    free(k);
}

static const Node__Node *node_of(const Node__Answer *l, uint32_t node) {
    for (size_t i = 0; i < l->n_nodes; i++)
        if (l->nodes[i]->node == node)
            return l->nodes[i];
    return NULL;
}

/* What each replica says of itself. */
/* By its own configuration; one that does not only serves reads. */
static bool votes(const Node__Tablet *t, struct store_addr at) {
    struct px_config c;
    return px_config_decode(t->config.data, t->config.len, &c) == RC_OK &&
           px_is_voter(px_config_find(&c, px_store_of(at)));
}

static void replicas_where(struct virt *x, bool leases) {
    struct arena a;
    size_t n = 0;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    const Node__Answer *l = list_cluster(x, &a);
    struct status *k = l ? statuses(x, l, &n) : NULL;
    bool on = true;
    for (size_t i = 0; k && on && i < n; i++)
        for (size_t r = 0; k[i].status && on && r < k[i].status->n_replicas; r++) {
            const Node__Replica *p = k[i].status->replicas[r];
            const Node__Node *at = node_of(l, k[i].to.node);
            if (leases && !p->leads)
                continue;
            virt_int(x, (int64_t)p->tablet->tablet);
            virt_int(x, k[i].to.node);
            virt_int(x, k[i].to.store);
            virt_text(x, at && at->region && at->region[0] ? at->region : NULL);
            if (leases) {
                if (p->lease_end)
                    virt_int(x, p->lease_end);
                else
                    virt_null(x);
                if (p->lease_end)
                    virt_int(x, (p->lease_end - tt_now(&x->s->e->conf.store->clock).latest) / 1000000);
                else
                    virt_null(x);
            } else {
                virt_bool(x, p->leads);
                virt_int(x, (int64_t)p->tablet->generation);
                virt_int(x, (int64_t)p->slot);
                virt_bool(x, votes(p->tablet, k[i].to));
            }
            on = virt_end(x);
        }
    statuses_free(k, n);
    arena_done(&a);
}

static void replicas(struct virt *x) {
    replicas_where(x, false);
}

static void leases(struct virt *x) {
    replicas_where(x, true);
}

static void regions(struct virt *x) {
    struct arena a;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    const Node__Answer *l = list_cluster(x, &a);
    for (size_t i = 0; l && i < l->n_nodes; i++) {
        int64_t nodes = 0, leads = 0, voters = 0;
        bool first = true;
        for (size_t k = 0; k < i && first; k++)
            first = strcmp(l->nodes[k]->region, l->nodes[i]->region) != 0;
        if (!first)
            continue;
        for (size_t k = 0; k < l->n_nodes; k++)
            nodes += strcmp(l->nodes[k]->region, l->nodes[i]->region) == 0;
        for (size_t t = 0; t < l->n_tablets; t++) {
            struct px_config c;
            const Node__Node *at = l->tablets[t]->leader ? node_of(l, px_store_addr(l->tablets[t]->leader).node) : NULL;
            leads += at && strcmp(at->region, l->nodes[i]->region) == 0;
            if (px_config_decode(l->tablets[t]->config.data, l->tablets[t]->config.len, &c) != RC_OK)
                continue;
            for (unsigned m = 0; m < c.count; m++) {
                at = node_of(l, px_store_addr(c.member[m].store).node);
                voters += at && strcmp(at->region, l->nodes[i]->region) == 0;
            }
        }
        virt_text(x, l->nodes[i]->region);
        virt_int(x, nodes);
        virt_int(x, voters);
        virt_int(x, leads);
        if (!virt_end(x))
            break;
    }
    arena_done(&a);
}

#define PG(id_, name_, rows_, columns_)                                                                                \
    { .id = (id_), .schema = CAT_ID_PG_CATALOG, .name = (name_), .columns = (columns_), .rows = (rows_) }
#define MERIDIAN(id_, name_, rows_, columns_)                                                                          \
    { .id = (id_), .schema = CAT_ID_MERIDIAN_SCHEMA, .name = (name_), .columns = (columns_), .rows = (rows_) }

static const struct virt_def defs[] = {
    PG(12107, "pg_stat_activity", activity,
       "datid oid, datname name, pid int4, leader_pid int4, usesysid oid, usename name, application_name text, "
       "client_addr text, client_hostname text, client_port int4, backend_start timestamptz, xact_start timestamptz, "
       "query_start timestamptz, state_change timestamptz, wait_event_type text, wait_event text, state text, "
       "backend_xid int8, backend_xmin int8, query_id int8, query text, backend_type text"),
    PG(12125, "pg_locks", pg_locks,
       "locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text, transactionid int8, "
       "classid oid, objid oid, objsubid int2, virtualtransaction text, pid int4, mode text, granted bool, "
       "fastpath bool, waitstart timestamptz"),
    MERIDIAN(12304, "transactions", transactions,
             "node int4, pid int4, token text, mode text, began timestamptz, statements int8, state text, "
             "application_name text"),
    MERIDIAN(12307, "locks", locks,
             "tablet int8, pid int4, mode text, span text, node int4, token text, granted bool, state text"),
    MERIDIAN(12330, "sessions", sessions,
             "node int4, store int4, pid int4, user_name text, database_name text, application_name text, client text, "
             "opened timestamptz, statement_began timestamptz, state text, query text"),
    MERIDIAN(12331, "statements", statements,
             "node int4, store int4, pid int4, user_name text, database_name text, application_name text, client text, "
             "began timestamptz, query text"),
    MERIDIAN(12332, "replicas", replicas,
             "tablet int8, node int4, store int4, region text, leads bool, generation int8, slot int8, votes bool"),
    MERIDIAN(12333, "leases", leases, "tablet int8, node int4, store int4, region text, ends_ns int8, left_ms int8"),
    MERIDIAN(12334, "regions", regions, "region text, nodes int4, replicas int8, leaders int8"),
};

const struct virt_table virt_activity = {defs, ARRAY_LEN(defs)};
