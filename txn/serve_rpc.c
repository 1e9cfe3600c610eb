/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve_rpc.c: requests from other stores: the same as serve_exec, through messages.
 *
 * A small answer carries its rows. One that would grow beyond what its asker allowed carries none and says so: the asker opens a
 * stream, which runs the fragment again and sends batch after batch, as far ahead as the stream's window lets it.
 */
#include <stdlib.h>

#include "shard/net/stream.h"
#include "shard/store/rowbatch.h"
#include "txn/host_internal.h"
#include "txn/serve.h"

enum { SPANS_PACKED_MAX = 65536 };

static const int64_t STREAM_WRITE_NS = 60000000000;

/* ---- to the wire ------------------------------------------------------------------------------------------------------ */

static ProtobufCBinaryData bin(const void *p, size_t n) {
    return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
}

static enum rc copy_bin(struct arena *a, const void *p, size_t n, ProtobufCBinaryData *ret) {
    void *to = arena_copy(a, p, n);
    if (!to)
        return RC_NOMEM;
    *ret = bin(to, n);
    return RC_OK;
}

static enum rc copy_buf(struct arena *a, const struct buf *b, ProtobufCBinaryData *ret) {
    return buf_rc(b) ? buf_rc(b) : copy_bin(a, b->data, b->len, ret);
}

static enum rc pack_ref(const struct txn_ref *ref, struct arena *a, Serve__Ref **ret) {
    Serve__Ref *r = arena_new(a, Serve__Ref);
    if (!r)
        return RC_NOMEM;
    serve__ref__init(r);
    r->gateway = ref->id.gateway;
    r->incarnation = ref->id.incarnation;
    r->counter = ref->id.counter;
    r->age_ts = ref->age.ts;
    r->age_gateway = ref->age.gateway;
    r->age_counter = ref->age.counter;
    r->began = ref->began;
    *ret = r;
    return RC_OK;
}

static struct txn_ref unpack_ref(const Serve__Ref *r) {
    return (struct txn_ref){.id = {r->gateway, r->incarnation, r->counter},
                            .age = {r->age_ts, r->age_gateway, r->age_counter},
                            .began = r->began};
}

static enum rc pack_fragment(const struct exec_ask *ask, struct arena *a, Serve__Exec *x) {
    const struct fragment *f = ask->fragment;
    struct buf b;
    if (!f)
        return RC_OK;
    x->fragment = arena_new(a, Serve__Fragment);
    if (!x->fragment)
        return RC_NOMEM;
    serve__fragment__init(x->fragment);
    x->fragment->id = f->id;
    x->fragment->sql = arena_strdup(a, f->sql);
    x->fragment->n_params = f->n_params;
    x->fragment->simple = f->simple;
    if (!x->fragment->sql)
        return RC_NOMEM;
    buf_init(&b, 0);
    for (uint16_t i = 0; i < f->n_params; i++)
        value_put(&b, &ask->params[i]);
    enum rc rc = copy_buf(a, &b, &x->fragment->params);
    buf_done(&b);
    return rc;
}

static enum rc pack_lists(const struct exec_ask *ask, struct arena *a, Serve__Exec *x) {
    x->tables = arena_array(a, ask->n_tables + 1, sizeof *x->tables);
    x->spans = arena_array(a, ask->n_spans + 1, sizeof *x->spans);
    Serve__Table *t = arena_array(a, ask->n_tables + 1, sizeof *t);
    Serve__Span *s = arena_array(a, ask->n_spans + 1, sizeof *s);
    enum rc rc = x->tables && x->spans && t && s ? RC_OK : RC_NOMEM;
    for (size_t i = 0; i < ask->n_tables && !rc; i++) {
        serve__table__init(&t[i]);
        t[i].id = ask->tables[i].id;
        t[i].version = ask->tables[i].version;
        x->tables[x->n_tables++] = &t[i];
    }
    for (size_t i = 0; i < ask->n_spans && !rc; i++) {
        serve__span__init(&s[i]);
        rc = copy_bin(a, ask->spans[i].start.p, ask->spans[i].start.bytes, &s[i].start);
        if (!rc)
            rc = copy_bin(a, ask->spans[i].end.p, ask->spans[i].end.bytes, &s[i].end);
        x->spans[x->n_spans++] = &s[i];
    }
    return rc;
}

enum rc serve_pack(const struct exec_ask *ask, uint64_t bytes_max, struct arena *a, Serve__Exec **ret) {
    Serve__Exec *x = arena_new(a, Serve__Exec);
    struct buf b;
    if (!x)
        return RC_NOMEM;
    serve__exec__init(x);
    x->tablet = ask->tablet;
    x->generation = ask->generation;
    x->seq = ask->seq;
    x->lock_wait_ns = ask->lock_wait_ns;
    x->undo = ask->undo;
    x->undo_to = ask->undo_to;
    x->lock = ask->lock;
    x->wait = ask->wait;
    x->whole = ask->whole;
    x->rows_max = ask->rows_max;
    x->batch_rows = ask->batch_rows;
    x->batch_bytes = ask->batch_bytes;
    x->then_fill = ask->then_fill;
    x->mode = ask->mode;
    x->ts = ask->ts;
    x->wait_ns = ask->wait_ns;
    x->bytes_max = bytes_max;
    enum rc rc = ask->ref ? pack_ref(ask->ref, a, &x->ref) : RC_OK;
    if (!rc)
        rc = copy_bin(a, ask->writes.p, ask->writes.n, &x->writes);
    if (!rc)
        rc = pack_lists(ask, a, x);
    if (!rc)
        rc = pack_fragment(ask, a, x);
    buf_init(&b, 0);
    if (!rc && ask->then && !(rc = txn_msg_encode(ask->then, a, &b)))
        rc = copy_buf(a, &b, &x->then);
    buf_done(&b);
    if (!rc)
        *ret = x;
    return rc;
}

/* ---- from the wire ---------------------------------------------------------------------------------------------------- */

struct unpacked {
    struct exec_ask ask;
    struct txn_ref ref;
    struct fragment fragment;
    struct txn_msg then;
};

static enum rc unpack_fragment(const Serve__Fragment *from, struct unpacked *u, struct arena *a, struct err *err) {
    struct rd r;
    struct value *v = arena_array(a, from->n_params + 1u, sizeof *v);
    if (from->n_params > FRAGMENT_PARAMS_MAX)
        return err_set(err, RC_PROTOCOL, "a fragment with %u parameters", from->n_params);
    if (!v)
        return err_set(err, RC_NOMEM, "out of memory");
    u->fragment = (struct fragment){.id = from->id, .sql = from->sql, .n_params = (uint16_t)from->n_params};
    u->fragment.simple = from->simple;
    rd_init(&r, from->params.data, from->params.len);
    for (uint32_t i = 0; i < from->n_params; i++)
        if (value_get(&r, &v[i]) != RC_OK)
            return err_set(err, RC_PROTOCOL, "the parameters of a fragment cannot be read");
    if (rd_left(&r))
        return err_set(err, RC_PROTOCOL, "the parameters of a fragment are too many");
    u->ask.fragment = &u->fragment;
    u->ask.params = v;
    return RC_OK;
}

static enum rc unpack_lists(const Serve__Exec *x, struct unpacked *u, struct arena *a, struct err *err) {
    struct txn_table *t = arena_array(a, x->n_tables + 1, sizeof *t);
    struct span *s = arena_array(a, x->n_spans + 1, sizeof *s);
    if (x->n_tables > FRAGMENT_TABLES_MAX || x->n_spans > SPANS_PACKED_MAX)
        return err_set(err, RC_PROTOCOL, "a request with %zu tables and %zu spans", x->n_tables, x->n_spans);
    if (!t || !s)
        return err_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < x->n_tables; i++)
        t[i] = (struct txn_table){x->tables[i]->id, x->tables[i]->version};
    for (size_t i = 0; i < x->n_spans; i++) {
        const Serve__Span *p = x->spans[i];
        if (p->start.len > TXN_KEY_BYTES_MAX || p->end.len > TXN_KEY_BYTES_MAX + 1)
            return err_set(err, RC_PROTOCOL, "a key of a request is too long");
        s[i] = (struct span){{p->start.data, p->start.len}, {p->end.data, p->end.len}};
        if (span_empty(s[i]))
            return err_set(err, RC_PROTOCOL, "a span of a request holds nothing");
    }
    u->ask.tables = t;
    u->ask.n_tables = x->n_tables;
    u->ask.spans = s;
    u->ask.n_spans = x->n_spans;
    return RC_OK;
}

static enum rc unpack(const Serve__Exec *x, struct unpacked *u, struct arena *a, struct err *err) {
    *u = (struct unpacked){.ask = {.tablet = x->tablet,
                                   .generation = x->generation,
                                   .seq = x->seq,
                                   .lock_wait_ns = x->lock_wait_ns,
                                   .undo = x->undo,
                                   .undo_to = x->undo_to,
                                   .writes = {x->writes.data, x->writes.len},
                                   .whole = x->whole,
                                   .rows_max = x->rows_max,
                                   .batch_rows = x->batch_rows,
                                   .batch_bytes = x->batch_bytes,
                                   .then_fill = x->then_fill,
                                   .ts = x->ts,
                                   .wait_ns = x->wait_ns}};
    if (x->lock >= LOCK_MODES || x->wait >= TXN_WAITS || x->mode > TABLET_READ_AT ||
        (!x->ref && (x->writes.len || x->then.len)))
        return err_set(err, RC_PROTOCOL, "a request that makes no sense");
    if (!x->ref && (!x->fragment || x->mode == TABLET_READ_LATEST))
        return err_set(err, RC_PROTOCOL, "a read without a fragment or a time");
    u->ask.lock = (enum lock_mode)x->lock;
    u->ask.wait = (enum txn_wait)x->wait;
    u->ask.mode = (enum tablet_read_mode)x->mode;
    if (x->ref) {
        u->ref = unpack_ref(x->ref);
        u->ask.ref = &u->ref;
    }
    enum rc rc = unpack_lists(x, u, a, err);
    if (!rc && x->fragment)
        rc = unpack_fragment(x->fragment, u, a, err);
    if (!rc && x->then.len) {
        rc = txn_msg_decode(x->then.data, x->then.len, a, &u->then, err);
        u->ask.then = &u->then;
    }
    return rc;
}

/* ---- tablets, for directories ------------------------------------------------------------------------------------------- */

Serve__Tablet *serve_describe(struct tablet *t, struct arena *a) {
    struct tablet_info info;
    uint8_t config[REPLICA_STATE_BYTES_MAX];
    Serve__Tablet *d = arena_new(a, Serve__Tablet);
    tablet_info(t, &info);
    if (!d || info.empty)
        return NULL;
    serve__tablet__init(d);
    d->tablet = info.id;
    d->generation = info.generation;
    d->leader = info.leader;
    size_t n = px_config_encode(&info.config, config, sizeof config);
    if (copy_bin(a, info.start.p, info.start.n, &d->start) || copy_bin(a, info.end.p, info.end.n, &d->end) ||
        copy_bin(a, config, n, &d->config))
        return NULL;
    return d;
}

void serve_learn(struct directory *d, const Serve__Tablet *t) {
    Node__Tablet n = NODE__TABLET__INIT;
    n.tablet = t->tablet;
    n.generation = t->generation;
    n.start = t->start;
    n.end = t->end;
    n.config = t->config;
    n.leader = t->leader;
    directory_put(d, &n);
}

/* What is known here of the tablets that the spans lie in. */
static enum rc describe_all(struct txn_hosts *hs, const struct exec_ask *ask, struct arena *a, Serve__ExecAnswer *out) {
    enum { DESCRIBED_MAX = 16 };
    out->tablets = arena_array(a, DESCRIBED_MAX, sizeof *out->tablets);
    if (!out->tablets || !hs->store->tablets)
        return out->tablets ? RC_OK : RC_NOMEM;
    struct tablet *t = tablets_find(hs->store->tablets, ask->tablet), *last = t;
    if (t && (out->tablets[0] = serve_describe(t, a)))
        out->n_tablets = 1;
    for (size_t i = 0; i < ask->n_spans && out->n_tablets < DESCRIBED_MAX; i++) {
        t = tablets_find_key(hs->store->tablets, (struct mvcc_bytes){ask->spans[i].start.p, ask->spans[i].start.bytes});
        if (!t || t == last)
            continue;
        last = t;
        Serve__Tablet *d = serve_describe(t, a);
        if (d)
            out->tablets[out->n_tablets++] = d;
    }
    return RC_OK;
}

/* ---- answers ---------------------------------------------------------------------------------------------------------- */

static char *text(struct arena *a, const char *s) {
    char *copy = s[0] ? arena_strdup(a, s) : NULL;
    return copy ? copy : (char *)(uintptr_t)protobuf_c_empty_string;
}

static enum rc answer(struct txn_hosts *hs, const struct exec_ask *ask, enum rc rc, const struct err *err,
                      const struct exec_answer *is, struct arena *a, Serve__ExecAnswer *out) {
    out->rc = (uint32_t)rc;
    if (rc) {
        out->state = text(a, err->state);
        out->message = text(a, err->message);
        out->detail = text(a, err->detail);
        out->hint = text(a, err->hint);
    }
    out->executed = is->executed;
    out->wrote = is->wrote;
    out->lost = is->lost;
    out->requests = is->requests;
    out->term = is->term;
    out->generation = is->generation;
    out->conflict = is->conflict;
    out->ts = is->ts;
    out->leader = is->leader;
    out->lock_ns = is->lock_ns;
    out->sqlite_ns = is->sqlite_ns;
    out->host_ns = is->host_ns;
    out->rows = is->rows;
    return rc == RC_MOVED || rc == RC_NOT_LEADER ? describe_all(hs, ask, a, out) : RC_OK;
}

struct gathering {
    struct arena *a;
    ProtobufCBinaryData *v;
    size_t n, cap, bytes, bytes_max;
    bool full;
};

static enum rc gather(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct gathering *g = ctx;
    (void)last;
    if (g->bytes + batch.n > g->bytes_max) {
        g->full = true;
        return err_set(err, RC_LIMIT, "the rows do not fit into one answer");
    }
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 8;
        ProtobufCBinaryData *v = arena_array(g->a, cap, sizeof *v);
        if (!v)
            return err_set(err, RC_NOMEM, "out of memory for rows");
        if (g->n)
            memcpy(v, g->v, g->n * sizeof *v);
        g->v = v;
        g->cap = cap;
    }
    if (copy_bin(g->a, batch.p, batch.n, &g->v[g->n]))
        return err_set(err, RC_NOMEM, "out of memory for rows");
    g->n++;
    g->bytes += batch.n;
    return RC_OK;
}

static enum rc serve_call(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    struct txn_hosts *hs = ctx;
    const Serve__Exec *x = (const Serve__Exec *)q->message;
    struct unpacked u;
    struct exec_answer is = {0};
    struct err why = {0};
    struct gathering g = {.a = q->arena, .bytes_max = x->bytes_max};
    Serve__ExecAnswer *out = arena_new(q->arena, Serve__ExecAnswer);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    serve__exec_answer__init(out);
    enum rc rc = unpack(x, &u, q->arena, err);
    if (rc)
        return rc;
    rc = serve_exec(hs, &u.ask, gather, &g, q->deadline, &is, &why);
    if (g.full) {
        out->more = true;
        rc = RC_OK;
    } else {
        out->batches = g.v;
        out->n_batches = g.n;
    }
    *ret = &out->base;
    return answer(hs, &u.ask, rc, &why, &is, q->arena, out) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
}

/* ---- streams ------------------------------------------------------------------------------------------------------------ */

/* A chunk: its first byte says what it is. Batches larger than a chunk come in pieces. */
enum { CHUNK_PIECE = 1, CHUNK_BATCH = 2, CHUNK_ANSWER = 3, CHUNK_BYTES = 512 << 10 };

static enum rc write_chunk(struct rpc_stream *s, uint8_t kind, const uint8_t *p, size_t n, struct buf *b,
                           int64_t deadline, struct err *err) {
    buf_reset(b, CHUNK_BYTES + 64);
    buf_putc(b, kind);
    buf_put(b, p, n);
    return buf_rc(b) ? err_set(err, buf_rc(b), "out of memory") : rpc_stream_write(s, b->data, b->len, deadline, err);
}

struct streaming {
    struct rpc_stream *s;
    struct reactor *r;
    struct buf b;
};

static enum rc to_stream(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct streaming *st = ctx;
    const uint8_t *p = batch.p;
    size_t n = batch.n;
    int64_t deadline = reactor_deadline(st->r, STREAM_WRITE_NS);
    enum rc rc = RC_OK;
    (void)last;
    for (; n > CHUNK_BYTES && !rc; p += CHUNK_BYTES, n -= CHUNK_BYTES)
        rc = write_chunk(st->s, CHUNK_PIECE, p, CHUNK_BYTES, &st->b, deadline, err);
    return rc ? rc : write_chunk(st->s, CHUNK_BATCH, p, n, &st->b, deadline, err);
}

static enum rc serve_stream(void *ctx, struct rpc_request *q, struct rpc_stream *s, struct err *err) {
    struct txn_hosts *hs = ctx;
    struct unpacked u;
    struct exec_answer is = {0};
    struct err why = {0};
    struct streaming st = {.s = s, .r = hs->reactor};
    struct buf b;
    Serve__ExecAnswer out = SERVE__EXEC_ANSWER__INIT;
    enum rc rc = unpack((const Serve__Exec *)q->message, &u, q->arena, err);
    if (rc)
        return rc;
    buf_init(&st.b, 0);
    buf_init(&b, 0);
    rc = serve_exec(hs, &u.ask, to_stream, &st, q->deadline, &is, &why);
    if (answer(hs, &u.ask, rc, &why, &is, q->arena, &out))
        rc = err_set(err, RC_NOMEM, "out of memory");
    else {
        pb_pack(&out.base, &b);
        rc = buf_rc(&b) ? err_set(err, buf_rc(&b), "out of memory")
                        : write_chunk(s, CHUNK_ANSWER, b.data, b.len, &st.b,
                                      reactor_deadline(hs->reactor, STREAM_WRITE_NS), err);
    }
    buf_done(&b);
    buf_done(&st.b);
    return rc;
}

enum rc serve_stream_next(struct rpc_stream *s, struct buf *batch, struct arena *a, int64_t deadline,
                          Serve__ExecAnswer **ret_end, struct err *err) {
    ProtobufCMessage *m;
    const void *p;
    size_t n;
    buf_reset(batch, 1 << 20);
    *ret_end = NULL;
    for (;;) {
        enum rc rc = rpc_stream_read(s, &p, &n, deadline, err);
        if (rc)
            return rc;
        const uint8_t *chunk = p;
        if (n == 0 || chunk[0] < CHUNK_PIECE || chunk[0] > CHUNK_ANSWER)
            return err_set(err, RC_CLOSED, "a stream of rows ended in the middle");
        if (chunk[0] == CHUNK_ANSWER) {
            rc = pb_unpack(&serve__exec_answer__descriptor, a, chunk + 1, n - 1, &m);
            *ret_end = rc ? NULL : (Serve__ExecAnswer *)m;
            return rc ? err_set(err, rc, "the end of a stream of rows cannot be read") : RC_OK;
        }
        buf_put(batch, chunk + 1, n - 1);
        if (buf_rc(batch))
            return err_set(err, buf_rc(batch), "out of memory for rows");
        if (chunk[0] == CHUNK_BATCH)
            return RC_OK;
    }
}

/* ---- safe time ------------------------------------------------------------------------------------------------------------ */

static int64_t safe_here(struct txn_hosts *hs, const Serve__SafeAsk *ask) {
    struct tablet *t = hs->store->tablets ? tablets_find(hs->store->tablets, ask->tablet) : NULL;
    int64_t safe = INT64_MAX;
    if (!t || tablet_check(t, 0, NULL) || !tablet_upper(t))
        return 0;
    for (size_t i = 0; i < ask->n_spans; i++) {
        struct mvcc_bytes start = {ask->spans[i]->start.data, ask->spans[i]->start.len};
        struct mvcc_bytes end = {ask->spans[i]->end.data, ask->spans[i]->end.len};
        int64_t one = tablet_safe_ts(t, start, end);
        safe = one < safe ? one : safe;
    }
    return safe == INT64_MAX ? 0 : safe;
}

static enum rc serve_safe(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    Serve__Safe *out = arena_new(q->arena, Serve__Safe);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    serve__safe__init(out);
    out->ts = safe_here(ctx, (const Serve__SafeAsk *)q->message);
    *ret = &out->base;
    return RC_OK;
}

/* ---- what became of a token ------------------------------------------------------------------------------------------------ */

/* Once the deadline has passed here, nothing that this leader assigns can be a commit of the token, and what it has assigned is
 * applied: then what the site does not know was never committed. */
static enum rc status_here(struct txn_hosts *hs, const Serve__StatusAsk *ask, int64_t deadline, Serve__Status *out,
                           struct err *err) {
    struct txn_token token = {{ask->gateway, ask->incarnation, ask->counter}, ask->deadline};
    struct txn_host *h = host_find(hs, ask->tablet);
    struct px_status px;
    int64_t safe = INT64_MIN;
    if (!h || !host_leads(h))
        return err_set(err, RC_NOT_LEADER, "this replica does not lead tablet %llu", (unsigned long long)ask->tablet);
    struct tablet *t = h->tablet;
    enum rc rc = tablet_check(t, ask->generation, err);
    if (rc)
        return rc;
    if (tt_after(&hs->store->clock, token.deadline)) {
        host_ref(h);
        rc = replica_serve(tablet_replica(t), token.deadline, err);
        replica_status(tablet_replica(t), &px);
        if (!rc && px.last > replica_applied(tablet_replica(t)) &&
            (rc = replica_wait_applied(tablet_replica(t), px.last, deadline)))
            err_set(err, rc, "what is being written is not applied yet: %s", rc_text(rc));
        if (!rc && (h->closed || !host_leads(h) || tablet_check(t, ask->generation, NULL)))
            rc = err_set(err, RC_NOT_LEADER, "this replica does not lead tablet %llu", (unsigned long long)ask->tablet);
        host_unref(h);
        safe = token.deadline;
    }
    if (rc)
        return rc;
    int64_t ts = 0;
    out->verdict = site_status(h->site, &token, safe, &ts);
    out->ts = ts;
    return RC_OK;
}

static enum rc serve_status(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    Serve__Status *out = arena_new(q->arena, Serve__Status);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    serve__status__init(out);
    *ret = &out->base;
    return status_here(ctx, (const Serve__StatusAsk *)q->message, q->deadline, out, err);
}

static const struct rpc_service services[] = {
    {.type = HOST_TYPE_STATUS,
     .name = "txn.status",
     .request = &serve__status_ask__descriptor,
     .response = &serve__status__descriptor,
     .call = serve_status,
     .size = FIBER_LARGE},
    {.type = HOST_TYPE_EXEC,
     .name = "txn.exec",
     .request = &serve__exec__descriptor,
     .response = &serve__exec_answer__descriptor,
     .call = serve_call,
     .size = FIBER_LARGE,
     .handlers_max = 8192},
    {.type = HOST_TYPE_SCAN,
     .name = "txn.scan",
     .request = &serve__exec__descriptor,
     .stream = serve_stream,
     .size = FIBER_LARGE},
    {.type = HOST_TYPE_SAFE,
     .name = "txn.safe",
     .request = &serve__safe_ask__descriptor,
     .response = &serve__safe__descriptor,
     .call = serve_safe,
     .size = FIBER_LARGE},
};

enum rc serve_register(struct txn_hosts *hs) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < ARRAY_LEN(services) && !rc; i++)
        rc = rpc_register(hs->store->rpc, &services[i], hs);
    return rc;
}
