/* SPDX-License-Identifier: Apache-2.0 */
/* gather.c: see gather.h: what a store tells of itself, and how all of them are asked. */
#include "sql/run/gather.h"

#include <stdlib.h>
#include <string.h>

#include "paxos/core.h"
#include "shard/net/rpc.h"
#include "sql/pgwire/pid.h"
#include "txn/host.h"
#include "txn/upper.h"

#define LIST_NS INT64_C(2000000000)
#define ANSWER_NS INT64_C(1000000000)

enum { QUERY_BYTES_MAX = 1024, STORES_MAX = 4096 };

/* ---- what is told ---------------------------------------------------------------------------------------------------- */

static char *text_of(struct arena *a, const char *s) {
    return s ? arena_strdup(a, s) : arena_strdup(a, "");
}

static char *buf_text(struct arena *a, struct buf *b) {
    const char *s = buf_cstr(b);
    char *copy = s ? arena_strdup(a, s) : NULL;
    buf_done(b);
    return copy;
}

/* No more of a statement than is good to look at, and no half character. */
static char *query_of(struct arena *a, const struct sess *s) {
    size_t n = s->query ? s->query_bytes : 0;
    if (n > QUERY_BYTES_MAX)
        for (n = QUERY_BYTES_MAX; n > 0 && ((unsigned char)s->query[n] & 0xc0) == 0x80;)
            n--;
    char *copy = arena_alloc(a, n + 1);
    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, s->query, n);
    copy[n] = '\0';
    return copy;
}

static const char *state_of(const struct sess *s) {
    return s->query                  ? "active"
           : s->state == SESS_BLOCK  ? "idle in transaction"
           : s->state == SESS_FAILED ? "idle in transaction (aborted)"
                                     : "idle";
}

static Gather__TxnId *id_of(struct arena *a, const struct txn_id *id) {
    Gather__TxnId *to = arena_new(a, Gather__TxnId);
    if (!to)
        return NULL;
    gather__txn_id__init(to);
    to->gateway = id->gateway;
    to->incarnation = id->incarnation;
    to->counter = id->counter;
    return to;
}

static Gather__Session *session_of(struct arena *a, const struct sess *s) {
    static const char *const modes[] = {"read write", "read strong", "read exact", "read max", "read since", "read at"};
    Gather__Session *to = arena_new(a, Gather__Session);
    if (!to)
        return NULL;
    gather__session__init(to);
    to->pid = s->pid;
    to->database = s->database;
    to->role = s->role;
    to->database_name = text_of(a, s->database_name);
    to->user = text_of(a, s->user);
    to->application = text_of(a, s->gucs ? guc_get(s->gucs, "application_name") : "");
    to->peer = text_of(a, s->peer);
    to->opened = s->opened_us;
    to->statement = s->statement_us;
    to->state = text_of(a, state_of(s));
    to->query = query_of(a, s);
    if (s->txn) {
        struct buf b;
        buf_init(&b, 0);
        txn_token_print(txn_token(s->txn), &b);
        to->token = buf_text(a, &b);
        to->txn = id_of(a, &txn_ref(s->txn)->id);
        to->began = s->begin_us;
        to->mode = text_of(a, modes[txn_mode(s->txn)]);
        to->statements = s->block_statements;
        to->phase = text_of(a, txn_phase(s->txn) == TXN_OPEN     ? "open"
                               : txn_phase(s->txn) == TXN_FAILED ? "failed"
                                                                 : "done");
        if (!to->token || !to->txn || !to->mode || !to->phase)
            return NULL;
    }
    return to->database_name && to->user && to->application && to->peer && to->state && to->query ? to : NULL;
}

static bool put_sessions(struct sess_engine *e, struct arena *a, Gather__Answer *out) {
    size_t n = 0;
    ilist_for_each(it, &e->sessions)
        n++;
    out->sessions = arena_array(a, n + 1, sizeof(Gather__Session *));
    if (!out->sessions)
        return false;
    ilist_for_each(it, &e->sessions)
        if (!(out->sessions[out->n_sessions++] = session_of(a, container_of(it, struct sess, link))))
            return false;
    return true;
}

struct lock_list {
    struct arena *a;
    Gather__Answer *out;
    uint64_t tablet;
    Gather__TxnId *txn;
    const char *state;
};

static bool put_lock(struct lock_list *l, const struct lock_grant *g, bool waits) {
    struct txn_key first = g->span.start;
    struct span all = {.start = key_of(first.p, first.n), .end = key_of(g->span.end.p, g->span.end.n)};
    struct buf b;
    struct rd r;
    Gather__Lock *to = arena_new(l->a, Gather__Lock);
    if (!to)
        return false;
    if (l->out->n_locks == GATHER_LOCKS_MAX) {
        l->out->cut = true;
        return true;
    }
    gather__lock__init(to);
    buf_init(&b, 4096);
    span_print(all, &b);
    to->span = buf_text(l->a, &b);
    to->tablet = l->tablet;
    to->txn = l->txn;
    to->mode = text_of(l->a, lock_mode_name(g->mode));
    to->state = text_of(l->a, l->state);
    to->point = txn_span_is_point(&g->span);
    to->waits = waits;
    rd_init(&r, first.p, first.n);
    if (first.n == 0 || key_get_table(&r, &to->table, NULL) != RC_OK)
        to->table = 0;
    l->out->locks[l->out->n_locks++] = to;
    return to->mode && to->span && to->state;
}

static bool put_locks_of(struct sess_engine *e, struct txn_host *h, struct arena *a, Gather__Answer *out) {
    struct lock_table *locks = host_leads(h) ? site_locks(h->site) : NULL;
    (void)e;
    for (struct lock_txn *x = locks ? lock_txn_each(locks, NULL) : NULL; x; x = lock_txn_each(locks, x)) {
        struct lock_txn_info info;
        struct lock_grant g;
        lock_txn_info(x, &info);
        struct lock_list l = {a, out, h->id, id_of(a, &info.ref.id), lock_state_name(info.state)};
        if (!l.txn)
            return false;
        for (const void *cursor = NULL; !out->cut && lock_each(x, &cursor, &g);)
            if (!put_lock(&l, &g, false))
                return false;
        for (const void *cursor = NULL; !out->cut && lock_waits_each(x, &cursor, &g);)
            if (!put_lock(&l, &g, true))
                return false;
    }
    return true;
}

static bool put_locks(struct sess_engine *e, struct arena *a, Gather__Answer *out) {
    struct txn_hosts *hs = txn_client_hosts(e->conf.txns);
    out->locks = arena_array(a, GATHER_LOCKS_MAX, sizeof(Gather__Lock *));
    if (!out->locks)
        return false;
    ilist_for_each(at, &hs->hosts)
        if (!put_locks_of(e, container_of(at, struct txn_host, link), a, out))
            return false;
    return true;
}

/* A superuser may end anybody's statement, others their own role's. */
static void stop(struct sess_engine *e, const Gather__Ask *ask, Gather__Answer *out) {
    ilist_for_each(it, &e->sessions) {
        struct sess *s = container_of(it, struct sess, link);
        if (s->pid != ask->pid || s->pid == 0 || !s->client->stop || s->closing)
            continue;
        if (ask->by_secret && s->secret != ask->secret)
            continue;
        if (!ask->by_secret && ask->role[0] && strcmp(ask->role, s->user) != 0) {
            out->denied = true;
            continue;
        }
        s->client->stop(s->ctx, ask->terminate);
        out->found = true;
        return;
    }
}

static enum rc serve(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    struct sess_engine *e = ctx;
    const Gather__Ask *ask = (const Gather__Ask *)q->message;
    Gather__Answer *out = arena_new(q->arena, Gather__Answer);
    if (!q->member)
        return err_set(err, RC_PERMISSION, "only members are told of sessions");
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    gather__answer__init(out);
    if (ask->pid)
        stop(e, ask, out);
    if ((ask->sessions && !put_sessions(e, q->arena, out)) || (ask->locks && !put_locks(e, q->arena, out)))
        return err_set(err, RC_NOMEM, "out of memory for the list of sessions");
    *ret = &out->base;
    return RC_OK;
}

static const struct rpc_service service = {.type = GATHER_TYPE,
                                           .name = "sql.gather",
                                           .request = &gather__ask__descriptor,
                                           .response = &gather__answer__descriptor,
                                           .call = serve,
                                           .size = FIBER_LARGE,
                                           .handlers_max = 64};

enum rc gather_register(struct sess_engine *e, struct err *err) {
    enum rc rc = rpc_register(e->conf.store->rpc, &service, e);
    return rc ? err_set(err, rc, "sql.gather: %s", rc_text(rc)) : RC_OK;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------ */

/* What travels lies in the arena of the call. */
static Gather__Ask *ask_copy(struct arena *a, const Gather__Ask *from) {
    Gather__Ask *to = arena_new(a, Gather__Ask);
    if (!to)
        return NULL;
    *to = *from;
    to->role = text_of(a, from->role);
    return to->role ? to : NULL;
}

static enum rc ask_one(struct sess_engine *e, struct gather_from *f, const Gather__Ask *ask) {
    struct node_store *s = e->conf.store;
    ProtobufCMessage *m = NULL;
    Gather__Ask *copy = ask_copy(&f->a, ask);
    if (!copy)
        return err_set(&f->err, RC_NOMEM, "out of memory");
    f->rc = rpc_call(s->rpc, f->store, GATHER_TYPE, &copy->base, &f->a, reactor_deadline(s->reactor, ANSWER_NS), &m,
                     &f->err);
    if (!f->rc)
        f->answer = (const Gather__Answer *)m;
    return f->rc;
}

struct asking {
    struct sess_engine *e;
    struct gather_from *f;
    const Gather__Ask *ask;
};

static void ask_work(void *arg) {
    struct asking *k = arg;
    ask_one(k->e, k->f, k->ask);
}

static void put_stores(struct gather *g, uint32_t node, uint32_t stores) {
    for (uint32_t i = 0; i < stores && g->n < STORES_MAX; i++) {
        struct gather_from *f = &g->from[g->n++];
        f->store = (struct store_addr){node, (uint16_t)i};
        arena_init(&f->a, SESS_ARENA_BYTES_MAX);
    }
}

/* All stores that there are, or this node's. */
static enum rc list(struct sess_engine *e, struct gather *g, struct err *err) {
    struct node_store *s = e->conf.store;
    struct arena a;
    Node__Ask ask = NODE__ASK__INIT;
    Node__Answer *l = NULL;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    ask.list = true;
    g->listed = directory_ask(s->directory, &ask, &a, reactor_deadline(s->reactor, LIST_NS), &l, NULL) == RC_OK;
    g->from = calloc(STORES_MAX, sizeof *g->from);
    if (g->from && g->listed)
        for (size_t i = 0; i < l->n_nodes; i++)
            put_stores(g, l->nodes[i]->node, l->nodes[i]->stores ? l->nodes[i]->stores : 1);
    else if (g->from)
        put_stores(g, node_number(s->node), node_stores(s->node));
    arena_done(&a);
    return g->from ? RC_OK : err_set(err, RC_NOMEM, "out of memory for the cluster's stores");
}

enum rc gather_all(struct sess_engine *e, const Gather__Ask *ask, struct gather *ret, struct err *err) {
    struct fiber_group group;
    *ret = (struct gather){0};
    enum rc rc = list(e, ret, err);
    struct asking *k = rc ? NULL : calloc(ret->n + 1, sizeof *k);
    if (!k) {
        gather_done(ret);
        return rc ? rc : err_set(err, RC_NOMEM, "out of memory for the cluster's stores");
    }
    fiber_group_init(&group);
    for (size_t i = 0; i < ret->n; i++) {
        k[i] = (struct asking){e, &ret->from[i], ask};
        rc = fiber_spawn(e->reactor, &group, FIBER_SMALL, "sql gather", ask_work, &k[i]);
        if (rc)
            ret->from[i].rc = err_set(&ret->from[i].err, rc, "no fiber to ask it");
    }
    /* The calls have deadlines of their own; a caller that is cancelled ends them. */
    rc = fiber_group_join(e->reactor, &group, DEADLINE_NONE);
    if (rc) {
        fiber_group_cancel(&group);
        fiber_shield_begin(e->reactor);
        IGNORE(fiber_group_join(e->reactor, &group, DEADLINE_NONE)); /* they end: all their waits do */
        fiber_shield_end(e->reactor);
        err_set(err, rc, "%s", rc_text(rc));
        gather_done(ret);
    }
    free(k);
    return rc;
}

void gather_notices(struct sess *s, const struct gather *g) {
    if (!g->listed)
        sess_notice(s, "WARNING", "01000", "the list of nodes is not to be had: only this node is shown");
    for (size_t i = 0; i < g->n; i++)
        if (!g->from[i].answer && (i == 0 || g->from[i - 1].store.node != g->from[i].store.node))
            sess_notice(s, "WARNING", "01000", "node %u does not answer: %s", g->from[i].store.node,
                        err_message(&g->from[i].err));
        else if (g->from[i].answer && g->from[i].answer->cut)
            sess_notice(s, "WARNING", "01000", "store %u.%u holds more locks than the %d shown", g->from[i].store.node,
                        g->from[i].store.store, GATHER_LOCKS_MAX);
}

void gather_done(struct gather *g) {
    for (size_t i = 0; i < g->n; i++)
        arena_done(&g->from[i].a);
    free(g->from);
    *g = (struct gather){0};
}

enum rc gather_stop(struct sess_engine *e, const Gather__Ask *ask, bool *ret_found, struct err *err) {
    struct gather_from f = {.store = {pid_node(ask->pid), pid_store(ask->pid)}};
    *ret_found = false;
    if (f.store.node == 0)
        return RC_OK;
    arena_init(&f.a, SESS_ARENA_BYTES_MAX);
    enum rc rc = ask_one(e, &f, ask);
    if (rc && err)
        *err = f.err;
    else if (!rc)
        *ret_found = f.answer->found;
    if (!rc && f.answer->denied)
        rc = err_sql(err, "42501", "must be a member of the role whose query is being canceled");
    arena_done(&f.a);
    return rc;
}
