/* SPDX-License-Identifier: Apache-2.0 */
/* play_client.c: what runs on fibers of the nodes: clients, the table's making, the last look, round trips. */
#include <stdio.h>
#include <stdlib.h>

#include "geo-sim/scenarios/play_internal.h"
#include "shard/runtime/wait.h"
#include "shard/store/rowbatch.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum { TRIES_MAX = 20 };
static const int64_t PATIENCE_NS = 10 * SEC, SETUP_NS = 60 * SEC;

static_assert((int)TXN_CAUSES <= (int)RESULTS_CAUSES_MAX, "room for each cause");

void play_broke(struct play *p, const char *fmt, ...) {
    va_list ap;
    char text[256];
    if (p->err.rc)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&p->err, RC_INTERNAL, "%s", text);
}

static int64_t now(const struct play *p) {
    return sim_now(p->sim);
}

enum rc play_make_table(struct table **ret, struct err *err) {
    struct table_col cols[2] = {{.id = 1, .col = col_of(COL_INT8), .not_null = true, .missing = value_null()},
                                {.id = 2, .col = col_of(COL_INT8), .missing = value_null()}};
    struct table_part key = {0};
    struct table from = {
        .id = PLAY_TABLE, .group = PLAY_TABLE, .version = 1, .n_cols = 2, .n_key = 1, .cols = cols, .key = &key};
    return table_new(&from, ret, err);
}

/* ---- reading rows ------------------------------------------------------------------------------------------------------ */

/* The keys' spans, in order. */
static enum rc spans_of(struct play *p, struct arena *a, const uint64_t *key, unsigned keys, struct span *ret,
                        struct err *err) {
    struct buf b;
    enum rc rc = RC_OK;
    buf_init(&b, KEY_BYTES_MAX);
    for (unsigned i = 0; i < keys && !rc; i++) {
        struct value v = value_int((int64_t)key[i]);
        struct span point;
        buf_reset(&b, KEY_BYTES_MAX);
        rc = table_key_put(&b, p->table, &v, 1, err);
        if (!rc)
            rc = span_point(a, key_of_buf(&b), &point);
        if (!rc)
            rc = span_copy(a, point, &ret[i]); /* its start lies in b */
    }
    buf_done(&b);
    return rc;
}

/* Takes rows (c1, c2) until the end: value_of(ctx, key, value) for each. */
static enum rc take_rows(struct txn_scan *s, void (*on_row)(void *ctx, int64_t key, int64_t value), void *ctx,
                         struct err *err) {
    for (;;) {
        struct txn_batch batch;
        struct rowbatch_reader r;
        struct value v[2];
        enum rc rc = txn_scan_next(s, &batch, err);
        if (rc || batch.end)
            return rc;
        rc = rowbatch_open(&r, batch.rows.p, batch.rows.n, err);
        while (!rc && (rc = rowbatch_next(&r, v, err)) == RC_OK)
            on_row(ctx, v[0].i, v[1].i);
        if (rc != RC_NOTFOUND)
            return rc;
    }
}

struct found {
    const struct work_plan *plan;
    struct work_outcome *outcome;
};

static void on_found(void *ctx, int64_t key, int64_t value) {
    struct found *f = ctx;
    for (unsigned i = 0; i < f->plan->keys; i++)
        if ((int64_t)f->plan->key[i] == key)
            f->outcome->read[i] = value;
}

static enum rc read_keys(struct play *p, struct txn *t, const struct work_plan *plan, struct work_outcome *o,
                         struct err *err) {
    static const struct fragment one = {.id = 9001, .sql = "SELECT c1, c2 FROM {2000} WHERE c1 = ?1", .n_params = 1},
                                 two = {.id = 9002,
                                        .sql = "SELECT c1, c2 FROM {2000} WHERE c1 = ?1 OR c1 = ?2",
                                        .n_params = 2};
    struct txn_table table = {PLAY_TABLE, 1};
    struct value params[WORK_KEYS_PER_TXN];
    struct span spans[WORK_KEYS_PER_TXN];
    struct arena a;
    struct txn_scan *s = NULL;
    struct found found = {plan, o};
    arena_init(&a, 0);
    for (unsigned i = 0; i < plan->keys; i++) {
        params[i] = value_int((int64_t)plan->key[i]);
        o->read[i] = 0;
    }
    struct txn_scan_conf how = {.fragment = plan->keys == 1 ? &one : &two,
                                .params = params,
                                .tables = &table,
                                .n_tables = 1,
                                .spans = spans,
                                .n_spans = plan->keys,
                                .lock = plan->writes ? LOCK_UPDATE : LOCK_NONE,
                                .locked = plan->writes};
    enum rc rc = spans_of(p, &a, plan->key, plan->keys, spans, err);
    if (!rc)
        rc = txn_scan_open(t, &how, &s, err);
    if (!rc)
        rc = take_rows(s, on_found, &found, err);
    txn_scan_close(s);
    arena_done(&a);
    return rc;
}

/* ---- a transaction ------------------------------------------------------------------------------------------------------- */

static enum rc write_keys(struct play *p, struct txn *t, const struct work_plan *plan, bool *ret_sent,
                          struct err *err) {
    struct value v[WORK_KEYS_PER_TXN][2];
    struct txn_write w[WORK_KEYS_PER_TXN];
    for (unsigned i = 0; i < plan->keys; i++) {
        v[i][0] = value_int((int64_t)plan->key[i]);
        v[i][1] = value_int(plan->value[i]);
        w[i] = (struct txn_write){TXN_PUT, p->table, v[i], 2};
    }
    if (!plan->reads) {
        *ret_sent = true;
        return txn_write_commit(t, w, plan->keys, NULL, NULL, err);
    }
    enum rc rc = txn_write(t, w, plan->keys, NULL, err);
    if (rc)
        return rc;
    *ret_sent = true;
    return txn_commit(t, NULL, err);
}

/* One attempt. */
static enum rc attempt(struct play *p, struct txn *t, const struct work_plan *plan, struct work_outcome *o,
                       bool *ret_sent, struct err *err) {
    enum rc rc = plan->reads ? read_keys(p, t, plan, o, err) : RC_OK;
    *ret_sent = false;
    if (!rc && plan->writes)
        return write_keys(p, t, plan, ret_sent, err);
    return rc ? rc : txn_commit(t, NULL, err);
}

static void note_pending(struct play_client *c, uint32_t t) {
    struct play *p = c->play;
    if (p->pendings < PLAY_PENDING_MAX)
        p->pending[p->pendings++] = (struct play_pending){t, c->token};
}

static void run_plan(struct play_client *c, struct node_store *s, const struct work_plan *plan, struct work_outcome *o,
                     int64_t cause_ns[TXN_CAUSES]) {
    struct play *p = c->play;
    struct txn_options how = {.mode = plan->writes             ? TXN_READ_WRITE
                                      : plan->op == WORK_STALE ? TXN_READ_EXACT
                                                               : TXN_READ_STRONG,
                              .staleness_ns = plan->staleness_ns,
                              .deadline = reactor_deadline(s->reactor, PATIENCE_NS)};
    struct txn *t = NULL;
    struct err err = {0};
    bool sent = false;
    enum rc rc = txn_begin(txn_client_of(s), &how, &t, &err);
    for (int tries = 0; !rc; tries++) {
        c->token = *txn_token(t);
        rc = attempt(p, t, plan, o, &sent, &err);
        if (rc != RC_ABORTED || tries == TRIES_MAX || reactor_now(s->reactor) >= how.deadline)
            break;
        err = (struct err){0};
        rc = txn_restart(t, &err);
    }
    o->end = rc == RC_OK ? WORK_DONE : sent && rc != RC_ABORTED ? WORK_UNKNOWN : WORK_NOT_DONE;
    o->code = rc == RC_OK ? NULL : rc_name(rc);
    if (t && !rc) {
        const struct txn_times *times = txn_times(t);
        for (int cause = 0; cause < TXN_CAUSES; cause++)
            cause_ns[cause] = times->ns[cause];
        o->cause_ns = cause_ns;
        o->ts = plan->writes ? txn_commit_ts(t) : txn_read_ts(t);
    }
    txn_free(t);
}

void play_client_main(void *arg) {
    struct play_client *c = arg;
    struct play *p = c->play;
    if (!c->node->node)
        return; /* it ended before this fiber ran */
    struct node_store *s = node_store(c->node->node, 0);
    struct rng *rng = sim_rng(p->sim);
    while (!p->over) {
        int64_t cause_ns[TXN_CAUSES];
        struct work_outcome o = {.end = WORK_NOT_DONE};
        if (fiber_sleep(s->reactor, 1 + rng_exponential(rng, p->script->think_ns)) || p->over)
            return;
        work_plan(p->work, rng, &c->plan);
        struct work_plan plan = c->plan;
        c->begin_ns = now(p);
        uint32_t t = c->t = work_begin(p->work, c->id, c->begin_ns);
        c->busy = true;
        c->token = (struct txn_token){0};
        run_plan(c, s, &plan, &o, cause_ns);
        if (!c->busy || c->t != t)
            return; /* the node is gone, its clients were told, and this fiber only unwinds */
        c->busy = false;
        if (o.end == WORK_UNKNOWN)
            note_pending(c, t);
        work_end(p->work, t, c->node->region, &c->plan, &o, c->begin_ns, now(p));
        if (fiber_cancelled(s->reactor))
            return;
    }
}

void play_clients_cut(struct play *p, const struct play_node *n) {
    for (unsigned i = 0; i < p->clients; i++) {
        struct play_client *c = &p->client[i];
        if (c->node != n || !c->busy)
            continue;
        struct work_outcome o = {.end = c->plan.writes ? WORK_UNKNOWN : WORK_NOT_DONE, .code = "connection lost"};
        c->busy = false;
        if (o.end == WORK_UNKNOWN)
            note_pending(c, c->t);
        work_end(p->work, c->t, n->region, &c->plan, &o, c->begin_ns, now(p));
    }
}

/* ---- before and after ------------------------------------------------------------------------------------------------------ */

void play_setup_main(void *arg) {
    struct play_node *n = arg;
    struct play *p = n->play;
    struct node_store *s = node_store(n->node, 0);
    struct txn_options how = {.mode = TXN_READ_WRITE, .deadline = reactor_deadline(s->reactor, SETUP_NS)};
    struct err err = {0};
    enum rc rc;
    do {
        struct txn *t = NULL;
        err = (struct err){0};
        rc = txn_begin(txn_client_of(s), &how, &t, &err);
        if (!rc)
            rc = txn_schema(t, p->table, false, &err);
        if (!rc)
            rc = txn_commit(t, NULL, &err);
        txn_free(t);
    } while (rc == RC_ABORTED && reactor_now(s->reactor) < how.deadline);
    if (rc)
        play_broke(p, "the table cannot be made: %s", err_message(&err));
    else
        p->made = true;
}

static void on_final(void *ctx, int64_t key, int64_t value) {
    int64_t *of = ctx;
    if (key >= 0 && key <= of[0])
        of[key] = value;
}

/* What became of those that nobody was told of. One may stay undecided: its message never came, and nobody can rule out that it will. */
static void resolve_pending(struct play *p, struct node_store *s) {
    for (unsigned i = 0; i < p->pendings; i++) {
        const struct play_pending *q = &p->pending[i];
        int64_t deadline = reactor_deadline(s->reactor, PATIENCE_NS), ts = 0;
        enum txn_verdict verdict = TXN_UNDECIDED;
        struct err err = {0};
        enum rc rc = RC_OK;
        while (!rc && verdict == TXN_UNDECIDED && reactor_now(s->reactor) < deadline) {
            rc = txn_status(txn_client_of(s), &q->token, deadline, &verdict, &ts, &err);
            if (!rc && verdict == TXN_UNDECIDED)
                rc = fiber_sleep(s->reactor, 100 * MS);
        }
        if (!rc && verdict == TXN_COMMITTED)
            work_resolve(p->work, q->t, ts, now(p));
        else if (!rc && verdict == TXN_ABORTED)
            work_resolve(p->work, q->t, 0, now(p));
    }
}

void play_final_main(void *arg) {
    static const struct fragment all = {.id = 9003, .sql = "SELECT c1, c2 FROM {2000} ORDER BY c1"};
    struct play_node *n = arg;
    struct play *p = n->play;
    struct node_store *s = node_store(n->node, 0);
    struct txn_options how = {.mode = TXN_READ_STRONG, .deadline = reactor_deadline(s->reactor, PATIENCE_NS)};
    struct txn_table table = {PLAY_TABLE, 1};
    struct span everything = span_all();
    struct txn_scan_conf scan = {
        .fragment = &all, .tables = &table, .n_tables = 1, .spans = &everything, .n_spans = 1, .ordered = true};
    int64_t *value_of_key = calloc(p->script->keys + 1, sizeof *value_of_key);
    struct buf prefix;
    struct arena a;
    struct txn *t = NULL;
    struct txn_scan *scanning = NULL;
    struct err err = {0};
    resolve_pending(p, s);
    int64_t began = now(p);
    how.deadline = reactor_deadline(s->reactor, PATIENCE_NS);
    arena_init(&a, 0);
    buf_init(&prefix, KEY_BYTES_MAX);
    enum rc rc =
        value_of_key ? table_key_put(&prefix, p->table, NULL, 0, &err) : err_set(&err, RC_NOMEM, "out of memory");
    if (!rc)
        rc = span_prefix(&a, key_of_buf(&prefix), &everything);
    if (!rc)
        rc = txn_begin(txn_client_of(s), &how, &t, &err);
    if (!rc) {
        value_of_key[0] = p->script->keys; /* the limit, for on_final; there is no key 0 */
        rc = txn_scan_open(t, &scan, &scanning, &err);
    }
    if (!rc)
        rc = take_rows(scanning, on_final, value_of_key, &err);
    int64_t ts = rc ? 0 : txn_read_ts(t);
    txn_scan_close(scanning);
    if (!rc)
        rc = txn_commit(t, NULL, &err);
    txn_free(t);
    if (rc)
        play_broke(p, "the rows cannot be read at the end: %s", err_message(&err));
    else
        work_final(p->work, n->index, value_of_key, ts, began, now(p));
    p->finished = true;
    buf_done(&prefix);
    arena_done(&a);
    free(value_of_key);
}

void play_ping_main(void *arg) {
    struct play_node *n = arg;
    struct play *p = n->play;
    struct node_store *s = node_store(n->node, 0);
    for (unsigned round = 0; round < PLAY_PINGS; round++)
        for (unsigned j = 0; j < p->nodes; j++) {
            struct arena a;
            ProtobufCMessage *m = NULL;
            if (j == n->index || !p->node[j].node)
                continue;
            arena_init(&a, 1 << 20);
            Node__StatusAsk *ask = arena_new(&a, Node__StatusAsk);
            CHECK(ask);
            node__status_ask__init(ask);
            struct store_addr to = {node_number(p->node[j].node), 0};
            int64_t began = now(p);
            if (rpc_call(s->rpc, to, NODE_TYPE_STATUS, &ask->base, &a, reactor_deadline(s->reactor, 5 * SEC), &m,
                         NULL) == RC_OK)
                p->ping_ns[n->index][j][p->pings[n->index][j]++] = now(p) - began;
            arena_done(&a);
        }
    p->pinging--;
}
