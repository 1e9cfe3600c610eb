/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_serve.c: answers: questions to the system tablet, how this store is, and what operators ask for.
 *
 * A question is answered by the leader of the system tablet, one change at a time (tablet_lock); who does not lead it forwards
 * once. What asks are strangers (a node that wants to join, a command line): they get a number, or a look.
 */
#include <stdio.h>
#include <string.h>

#include "shard/node/node_internal.h"

static const int64_t ANSWER_NS = 5000000000;
enum { LOOKUP_TABLETS = 16, NEXT_MAX = 10000 };

static char *no_const(const char *s) {
    return (char *)(uintptr_t)s;
}

/* ---- reading system tables -------------------------------------------------------------------------------------------- */

struct rows {
    struct arena *a;
    struct value *v; /* count * cols */
    size_t count, cap;
    uint16_t cols;
};

static enum rc on_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct rows *rows = ctx;
    struct rowbatch_reader r;
    (void)last;
    enum rc rc = rowbatch_open(&r, batch.p, batch.n, err);
    rows->cols = rc ? 0 : r.n_cols;
    while (!rc && r.at < r.n_rows) {
        if (rows->count == rows->cap) {
            size_t cap = rows->cap ? 2 * rows->cap : 16;
            struct value *v = arena_array(rows->a, cap * rows->cols, sizeof *v);
            if (!v)
                return err_set(err, RC_NOMEM, "out of memory for rows");
            if (rows->count)
                memcpy(v, rows->v, rows->count * rows->cols * sizeof *v);
            rows->v = v;
            rows->cap = cap;
        }
        struct value *row = &rows->v[rows->count * rows->cols];
        rc = rowbatch_next(&r, row, err);
        for (uint16_t i = 0; i < rows->cols && !rc; i++)
            if (value_copy(rows->a, &row[i]) != RC_OK)
                rc = err_set(err, RC_NOMEM, "out of memory for rows");
        rows->count += !rc;
    }
    return rc;
}

static enum rc read_rows(struct node_store *s, const char *sql, const struct value *params, uint16_t n,
                         struct rows *ret, struct err *err) {
    struct fragment f = {.id = hash_str(sql, 0), .sql = sql, .n_params = n};
    struct tablet_read how = {.mode = TABLET_READ_LATEST,
                              .run = {.fragment = &f, .params = params, .on_batch = on_batch, .ctx = ret}};
    struct fragment_result result;
    int64_t ts;
    return tablet_read(s->tablets, SYSTEM_TABLET, &how, reactor_deadline(s->reactor, ANSWER_NS), &ts, &result, err);
}

static enum rc write_rows(struct node_store *s, const struct mvcc_mutation *m, size_t n, struct err *err) {
    int64_t ts;
    return tablet_write(s->tablets, SYSTEM_TABLET, 0, m, n, reactor_deadline(s->reactor, ANSWER_NS), &ts, err);
}

static enum rc read_nodes(struct node_store *s, struct arena *a, Node__Answer *out, struct err *err) {
    struct rows rows = {.a = a};
    enum rc rc =
        read_rows(s, "SELECT c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12 FROM {1} ORDER BY c1", NULL, 0, &rows, err);
    if (rc)
        return rc;
    out->nodes = arena_array(a, rows.count + 1, sizeof *out->nodes);
    if (!out->nodes)
        return err_set(err, RC_NOMEM, "out of memory");
    for (out->n_nodes = 0; out->n_nodes < rows.count && !rc; out->n_nodes += !rc)
        rc = system_node_read(&rows.v[out->n_nodes * rows.cols], rows.cols, a, &out->nodes[out->n_nodes], err);
    return rc;
}

static enum rc read_tablets(struct node_store *s, const char *sql, const struct value *params, uint16_t n,
                            struct arena *a, Node__Answer *out, struct err *err) {
    struct rows rows = {.a = a};
    enum rc rc = read_rows(s, sql, params, n, &rows, err);
    if (rc)
        return rc;
    out->tablets = arena_array(a, rows.count + 1, sizeof *out->tablets);
    if (!out->tablets)
        return err_set(err, RC_NOMEM, "out of memory");
    for (out->n_tablets = 0; out->n_tablets < rows.count && !rc; out->n_tablets += !rc)
        rc = system_tablet_read(&rows.v[out->n_tablets * rows.cols], rows.cols, a, &out->tablets[out->n_tablets], err);
    return rc;
}

static const struct table *placements_table(struct node_store *s) {
    struct tablet *t = tablets_find(s->tablets, SYSTEM_TABLET);
    return t && tablet_mvcc(t) ? mvcc_table(tablet_mvcc(t), SYSTEM_PLACEMENTS) : NULL;
}

/* A cluster that was made before placements told of read replicas. */
static enum rc placements_upgrade(struct node_store *s, struct err *err) {
    const struct table *old = placements_table(s);
    struct table *t;
    struct buf b;
    int64_t ts;
    if (!system_placements_old(old))
        return RC_OK;
    enum rc rc = system_placements_table(old->version + 1, &t, err);
    if (rc)
        return rc;
    buf_init(&b, 0);
    command_begin(&b, COMMAND_TABLE, mvcc_state(tablet_mvcc(tablets_find(s->tablets, SYSTEM_TABLET)))->generation);
    table_encode(t, &b);
    table_unref(t);
    rc = buf_rc(&b) ? err_set(err, RC_NOMEM, "out of memory")
                    : tablet_propose(s->tablets, SYSTEM_TABLET, b.data, b.len, 0, NULL,
                                     reactor_deadline(s->reactor, ANSWER_NS), &ts, err);
    buf_done(&b);
    return rc;
}

static enum rc read_placements(struct node_store *s, struct arena *a, Node__Answer *out, struct err *err) {
    struct rows all = {.a = a}, placed = {.a = a};
    const char *sql = system_placements_old(placements_table(s)) ? "SELECT c1,c2,c3,c4,c5,'' FROM {4} ORDER BY c1"
                                                                 : "SELECT c1,c2,c3,c4,c5,c6 FROM {4} ORDER BY c1";
    enum rc rc = read_rows(s, sql, NULL, 0, &all, err);
    if (!rc)
        rc = read_rows(s, "SELECT c1,c2 FROM {5} ORDER BY c1", NULL, 0, &placed, err);
    if (rc)
        return rc;
    out->placements = arena_array(a, all.count + 1, sizeof *out->placements);
    out->placed = arena_array(a, placed.count + 1, sizeof *out->placed);
    if (!out->placements || !out->placed)
        return err_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < all.count && !rc; i++) {
        rc = system_placement_read(&all.v[i * all.cols], all.cols, a, &out->placements[i], err);
        out->n_placements += !rc;
    }
    for (size_t i = 0; i < placed.count && !rc; i++) {
        rc = system_placed_read(&placed.v[i * placed.cols], placed.cols, a, &out->placed[i], err);
        out->n_placed += !rc;
    }
    return rc;
}

/* Where the system tablet lies, its leader first. */
static enum rc put_root(struct node_store *s, struct arena *a, Node__Answer *out, struct err *err) {
    struct tablet *t = tablets_find(s->tablets, SYSTEM_TABLET);
    struct tablet_info info;
    if (!t)
        return err_set(err, RC_NOT_LEADER, "the system tablet has left this store");
    tablet_info(t, &info);
    out->root = arena_array(a, PX_MEMBERS_MAX + 1, sizeof *out->root);
    if (!out->root)
        return err_set(err, RC_NOMEM, "out of memory");
    uint64_t self = px_store_of(rpc_self(s->rpc));
    out->root[out->n_root++] = self;
    for (uint32_t i = 0; i < info.config.count; i++)
        if (px_is_voter(&info.config.member[i]) && info.config.member[i].store != self)
            out->root[out->n_root++] = info.config.member[i].store;
    return RC_OK;
}

/* ---- questions, on the leader, under its lock --------------------------------------------------------------------------- */

static enum rc do_next(struct node_store *s, const char *counter, uint32_t n, struct arena *a, uint64_t *ret,
                       struct err *err) {
    struct rows rows = {.a = a};
    struct value name = value_text(counter, strlen(counter)), v[SYSTEM_ROW_VALUES_MAX];
    if (n == 0 || n > NEXT_MAX)
        return err_set(err, RC_INVAL, "%u numbers at once; at most %d", n, NEXT_MAX);
    enum rc rc = read_rows(s, "SELECT c2 FROM {3} WHERE c1 = ?1", &name, 1, &rows, err);
    if (rc)
        return rc;
    if (rows.count > 1 || (rows.count == 1 && rows.v[0].kind != VALUE_INT))
        return err_set(err, RC_CORRUPT, "the counter \"%.32s\" is damaged", counter);
    int64_t last = rows.count ? rows.v[0].i : SYSTEM_FIRST_ID - 1;
    struct mvcc_mutation m = {SYSTEM_COUNTERS, false, system_counter_row(counter, last + n, v), v};
    rc = write_rows(s, &m, 1, err);
    *ret = (uint64_t)last + 1;
    return rc;
}

static enum rc put_node(struct node_store *s, const Node__Node *desc, struct err *err) {
    struct value v[SYSTEM_ROW_VALUES_MAX];
    struct mvcc_mutation m = {SYSTEM_NODES, false, system_node_row(desc, v), v};
    return write_rows(s, &m, 1, err);
}

/* Two time scales never mix: all nodes read what the first one reads. */
static enum rc scale_check(const Node__Answer *known, const Node__Node *who, struct err *err) {
    for (size_t i = 0; i < known->n_nodes; i++) {
        const Node__Node *n = known->nodes[i];
        if (n->node == who->node || strcmp(n->clock_scale, who->clock_scale) == 0)
            continue;
        err_set(err, RC_INVAL, "the node's clock reads another time scale (\"%.60s\") than node %u (\"%.60s\")",
                who->clock_scale, n->node, n->clock_scale);
        err_hint(err, "The clock \"host\" serves nodes of one machine; give all nodes the same kind of --clock.");
        return RC_INVAL;
    }
    return RC_OK;
}

static enum rc do_join(struct node_store *s, Node__Node *who, struct arena *a, Node__Answer *out, struct err *err) {
    uint64_t number = 0;
    enum rc rc = read_nodes(s, a, out, err);
    if (!rc)
        rc = scale_check(out, who, err);
    /* It asked before and did not live to hear the answer: nobody has ever been this number. */
    for (size_t i = 0; i < out->n_nodes && !rc; i++)
        if (out->nodes[i]->starts == 0 && strcmp(out->nodes[i]->rpc, who->rpc) == 0)
            number = out->nodes[i]->node;
    if (!rc && !number && out->n_nodes >= DIRECTORY_NODES_MAX)
        rc = err_set(err, RC_LIMIT, "a cluster has at most %d nodes", DIRECTORY_NODES_MAX);
    if (!rc && !number)
        rc = do_next(s, "node", 1, a, &number, err);
    if (rc)
        return rc;
    who->node = out->node = (uint32_t)number;
    rc = put_node(s, who, err);
    return rc ? rc : read_nodes(s, a, out, err);
}

static enum rc do_hello(struct node_store *s, const Node__Node *who, struct arena *a, Node__Answer *out,
                        struct err *err) {
    enum rc rc = read_nodes(s, a, out, err);
    if (!rc)
        rc = scale_check(out, who, err);
    for (size_t i = 0; i < out->n_nodes && !rc; i++)
        if (out->nodes[i]->node == who->node && out->nodes[i]->starts > who->starts)
            return err_set(err, RC_INVAL,
                           "node %u has been started %llu times, and this is start %llu: an old copy of it", who->node,
                           (unsigned long long)out->nodes[i]->starts, (unsigned long long)who->starts);
    if (!rc)
        rc = put_node(s, who, err);
    return rc ? rc : read_nodes(s, a, out, err);
}

static uint64_t epoch_of(const Node__Tablet *t) {
    struct px_config c;
    return px_config_decode(t->config.data, t->config.len, &c) == RC_OK ? c.epoch : 0;
}

static enum rc do_put(struct node_store *s, const Node__Tablet *t, struct arena *a, Node__Answer *out,
                      struct err *err) {
    struct value id = value_int((int64_t)t->tablet), v[SYSTEM_ROW_VALUES_MAX];
    struct mvcc_mutation m[2];
    size_t n = 0;
    if (t->tablet == 0 || t->generation == 0 || epoch_of(t) == 0)
        return err_set(err, RC_INVAL, "the description of a tablet makes no sense");
    enum rc rc = read_tablets(s, "SELECT c1,c2,c3,c4,c5,c6 FROM {2} WHERE c2 = ?1", &id, 1, a, out, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < out->n_tablets; i++) {
        const Node__Tablet *old = out->tablets[i];
        if (old->generation > t->generation || (old->generation == t->generation && epoch_of(old) > epoch_of(t)))
            return RC_OK; /* an older word */
    }
    out->n_tablets = 0;
    m[n++] = (struct mvcc_mutation){SYSTEM_TABLETS, false, system_tablet_row(t, v), v};
    return write_rows(s, m, n, err);
}

static enum rc do_placement(struct node_store *s, const Node__Placement *p, struct arena *a, struct err *err) {
    struct value v[SYSTEM_ROW_VALUES_MAX];
    enum rc rc = placement_check(p, err);
    if (rc)
        return rc;
    rc = placements_upgrade(s, err);
    if (rc)
        return rc;
    struct mvcc_mutation m = {SYSTEM_PLACEMENTS, false, system_placement_row(p, a, v), v};
    return m.n_values ? write_rows(s, &m, 1, err) : err_set(err, RC_NOMEM, "out of memory");
}

static enum rc do_place(struct node_store *s, const Node__Placed *p, struct arena *a, Node__Answer *out,
                        struct err *err) {
    struct value v[SYSTEM_ROW_VALUES_MAX];
    struct mvcc_mutation m = {SYSTEM_PLACED, false, system_placed_row(p, v), v};
    enum rc rc = p->group == 0 || p->group > UINT32_MAX ? err_set(err, RC_INVAL, "no such table group")
                                                        : read_placements(s, a, out, err);
    bool known = p->placement[0] == '\0', placed = false;
    for (size_t i = 0; i < out->n_placements; i++)
        known |= strcmp(out->placements[i]->name, p->placement) == 0;
    for (size_t i = 0; i < out->n_placed; i++)
        placed |= out->placed[i]->group == p->group;
    if (!rc && !known)
        rc = err_set(err, RC_NOTFOUND, "placement \"%.64s\" does not exist", p->placement);
    if (rc || (!p->placement[0] && !placed))
        return rc;
    if (!p->placement[0]) {
        m.deletes = true;
        m.n_values = 1;
    }
    return write_rows(s, &m, 1, err);
}

static enum rc do_list(struct node_store *s, struct arena *a, Node__Answer *out, struct err *err) {
    enum rc rc = read_nodes(s, a, out, err);
    if (!rc)
        rc = read_placements(s, a, out, err);
    return rc ? rc : read_tablets(s, "SELECT c1,c2,c3,c4,c5,c6 FROM {2} ORDER BY c1", NULL, 0, a, out, err);
}

static enum rc do_lookup(struct node_store *s, ProtobufCBinaryData key, struct arena *a, Node__Answer *out,
                         struct err *err) {
    struct value v = value_blob(key.data, key.len);
    return read_tablets(s,
                        "SELECT c1,c2,c3,c4,c5,c6 FROM {2} WHERE c1 >= (SELECT max(c1) FROM {2} WHERE c1 <= ?1) "
                        "ORDER BY c1 LIMIT 16",
                        &v, 1, a, out, err);
}

static enum rc answer(struct node_store *s, Node__Ask *ask, struct arena *a, Node__Answer *out, struct err *err) {
    if (ask->join)
        return do_join(s, ask->join, a, out, err);
    if (ask->hello)
        return do_hello(s, ask->hello, a, out, err);
    if (ask->put)
        return do_put(s, ask->put, a, out, err);
    if (ask->next && ask->next[0])
        return do_next(s, ask->next, ask->next_count, a, &out->first, err);
    if (ask->list)
        return do_list(s, a, out, err);
    if (ask->placement)
        return do_placement(s, ask->placement, a, err);
    if (ask->place)
        return do_place(s, ask->place, a, out, err);
    if (ask->has_lookup)
        return do_lookup(s, ask->lookup, a, out, err);
    return err_set(err, RC_PROTOCOL, "a question that asks nothing");
}

static enum rc serve_ask(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    struct store_run *run = ctx;
    struct node_store *s = &run->pub;
    Node__Ask *ask = (Node__Ask *)(uintptr_t)q->message;
    if (!q->member && !ask->join && !ask->list)
        return err_set(err, RC_PERMISSION, "only members of the cluster may ask that");
    if (run->pub.node->making)
        return err_set(err, RC_NOT_LEADER, "the cluster is being made");
    struct tablet *t = s->tablets && run->opened ? tablets_find(s->tablets, SYSTEM_TABLET) : NULL;
    if (!t || !replica_leads(tablet_replica(t))) {
        struct arena mine;
        Node__Answer *far;
        if (ask->forwarded)
            return err_set(err, RC_NOT_LEADER, "this store does not lead the system tablet");
        if (run->pub.node->state < NODE_IDENTIFIED)
            return err_set(err, RC_NOT_LEADER, "this node is not in a cluster yet");
        ask->forwarded = true;
        arena_init(&mine, 0);
        int64_t deadline = reactor_deadline(s->reactor, ANSWER_NS);
        enum rc rc =
            directory_ask(s->directory, ask, &mine, q->deadline < deadline ? q->deadline : deadline, &far, err);
        if (!rc) { /* into the request's own arena */
            struct buf b;
            buf_init(&b, 0);
            pb_pack(&far->base, &b);
            rc = buf_rc(&b) ? buf_rc(&b) : pb_unpack(&node__answer__descriptor, q->arena, b.data, b.len, ret);
            buf_done(&b);
        }
        arena_done(&mine);
        return rc;
    }
    Node__Answer *out = arena_new(q->arena, Node__Answer);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    node__answer__init(out);
    uint64_t replica;
    enum rc rc = tablet_lock(s->tablets, SYSTEM_TABLET, q->deadline, &replica, err);
    if (rc)
        return rc;
    rc = answer(s, ask, q->arena, out, err);
    tablet_unlock(s->tablets, SYSTEM_TABLET, replica);
    if (!rc)
        rc = put_root(s, q->arena, out, err);
    out->cluster = (ProtobufCBinaryData){CLUSTER_BYTES, s->node->id.cluster};
    *ret = &out->base;
    return rc;
}

/* ---- how this store is ------------------------------------------------------------------------------------------------------ */

struct collect {
    struct arena *a;
    Node__Status *out;
    size_t cap;
    bool nomem;
};

static bool copy_bytes(struct arena *a, struct mvcc_bytes from, ProtobufCBinaryData *to) {
    to->len = from.n;
    to->data = from.n ? arena_copy(a, from.p, from.n) : NULL;
    return to->data || from.n == 0;
}

static void collect(void *ctx, struct tablet *t) {
    struct collect *c = ctx;
    struct tablet_info info;
    uint8_t config[REPLICA_STATE_BYTES_MAX];
    tablet_info(t, &info);
    if (c->out->n_replicas == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 16;
        Node__Replica **v = arena_array(c->a, cap, sizeof *v);
        if (!v) {
            c->nomem = true;
            return;
        }
        if (c->cap)
            memcpy(v, c->out->replicas, c->cap * sizeof *v);
        c->out->replicas = v;
        c->cap = cap;
    }
    Node__Replica *r = arena_new(c->a, Node__Replica);
    Node__Tablet *d = arena_new(c->a, Node__Tablet);
    if (!r || !d) {
        c->nomem = true;
        return;
    }
    node__replica__init(r);
    node__tablet__init(d);
    size_t n = px_config_encode(&info.config, config, sizeof config);
    d->tablet = info.id;
    d->generation = info.generation;
    d->leader = info.leader;
    c->nomem |= !copy_bytes(c->a, info.start, &d->start) || !copy_bytes(c->a, info.end, &d->end) ||
                !copy_bytes(c->a, (struct mvcc_bytes){config, n}, &d->config);
    r->tablet = d;
    r->leads = info.leads;
    r->empty = info.empty;
    r->slot = info.slot;
    r->floor = (int64_t)info.floor;
    r->checksum = info.checksum;
    r->lease_end = info.leads ? replica_lease_end(tablet_replica(t)) : 0;
    c->out->replicas[c->out->n_replicas++] = r;
}

static enum rc serve_status(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    struct store_run *run = ctx;
    struct node_store *s = &run->pub;
    Node__Status *out = arena_new(q->arena, Node__Status);
    Node__Node *me = arena_new(q->arena, Node__Node);
    struct tt_status *clock = arena_new(q->arena, struct tt_status);
    if (!out || !me || !clock)
        return err_set(err, RC_NOMEM, "out of memory");
    node__status__init(out);
    node_describe(s->node, me);
    tt_status(&s->clock, clock);
    out->node = me;
    out->store = s->number;
    out->clock_state = no_const(tt_state_name(clock->state));
    out->clock_reason = clock->reason;
    if (tt_is_known(clock->now)) {
        out->clock_earliest = clock->now.earliest;
        out->clock_latest = clock->now.latest;
    }
    struct collect c = {.a = q->arena, .out = out};
    if (s->tablets && run->opened)
        tablets_each(s->tablets, collect, &c);
    *ret = &out->base;
    return c.nomem ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
}

static enum rc serve_admin(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    struct store_run *run = ctx;
    Node__AdminAsk *ask = (Node__AdminAsk *)(uintptr_t)q->message;
    Node__AdminAnswer *out = arena_new(q->arena, Node__AdminAnswer);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    if (!run->opened)
        return err_set(err, RC_NOT_LEADER, "this store is not open yet");
    node__admin_answer__init(out);
    *ret = &out->base;
    return node_admin(run, ask, q->arena, q->deadline, out, err);
}

/* For who only asks. */
static enum rc serve_nothing(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    (void)ctx, (void)q, (void)ret;
    return err_set(err, RC_UNSUPPORTED, "this is no node");
}

static const struct rpc_service services[] = {
    {.type = NODE_TYPE_ASK,
     .name = "node.ask",
     .request = &node__ask__descriptor,
     .response = &node__answer__descriptor,
     .call = serve_ask,
     .size = FIBER_LARGE,
     .strangers = true,
     .handlers_max = 256},
    {.type = NODE_TYPE_STATUS,
     .name = "node.status",
     .request = &node__status_ask__descriptor,
     .response = &node__status__descriptor,
     .call = serve_status,
     .size = FIBER_LARGE,
     .strangers = true,
     .handlers_max = 64},
    {.type = NODE_TYPE_ADMIN,
     .name = "node.admin",
     .request = &node__admin_ask__descriptor,
     .response = &node__admin_answer__descriptor,
     .call = serve_admin,
     .size = FIBER_LARGE,
     .strangers = true,
     .handlers_max = 16},
};

/* The same messages, with nobody behind them. */
static const struct rpc_service asked_only[] = {
    {.type = NODE_TYPE_ASK,
     .name = "node.ask",
     .request = &node__ask__descriptor,
     .response = &node__answer__descriptor,
     .call = serve_nothing},
    {.type = NODE_TYPE_STATUS,
     .name = "node.status",
     .request = &node__status_ask__descriptor,
     .response = &node__status__descriptor,
     .call = serve_nothing},
    {.type = NODE_TYPE_ADMIN,
     .name = "node.admin",
     .request = &node__admin_ask__descriptor,
     .response = &node__admin_answer__descriptor,
     .call = serve_nothing},
};

static enum rc register_all(struct rpc *rpc, const struct rpc_service *list, size_t n, void *ctx, struct err *err) {
    for (size_t i = 0; i < n; i++) {
        enum rc rc = rpc_register(rpc, &list[i], ctx);
        if (rc)
            return err_set(err, rc, "%s: %s", list[i].name, rc_text(rc));
    }
    return RC_OK;
}

enum rc node_register(struct store_run *s, struct err *err) {
    return register_all(s->pub.rpc, services, ARRAY_LEN(services), s, err);
}

enum rc node_client_register(struct rpc *rpc, struct err *err) {
    return register_all(rpc, asked_only, ARRAY_LEN(asked_only), NULL, err);
}
