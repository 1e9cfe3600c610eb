/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c: chunks, credit and their frames. Each stream frame begins its payload with 8 bytes of ours:
 *
 *     frame          prefix (u64, little-endian)               behind it
 *     STREAM_OPEN    the opener's window                       request
 *     STREAM_CHUNK   number of the chunk: 0, 1, ...            data
 *     STREAM_CREDIT  cost that the writer may have sent in all -
 *     STREAM_END     number of chunks sent                     -
 *     STREAM_RESET   (none)                                    Status
 *
 * A chunk costs its bytes and CHUNK_COST for our book-keeping, so small chunks cannot outgrow the window either.
 * Credit is a total, not an increment: doubled or overtaken credits do no harm. Everything else must come exactly
 * once and in order, which a connection gives; where datagrams do not, the gap is seen and the stream reset: its user
 * resumes.
 *
 * The id is the opener's; FRAME_FLAG_OPENER says whether the sender is that.
 */
#include "shard/net/stream.h"

#include <stdlib.h>
#include <string.h>

#include "shard/net/rpc_internal.h"
#include "shard/net/status.h"

enum { PREFIX_BYTES = 8, CHUNK_COST = 64 };

struct chunk {
    struct ilist link;
    size_t bytes;
    uint8_t data[];
};

struct rpc_stream {
    struct rpc *rpc;
    struct map_node node; /* rpc.streams, by id */
    uint64_t id;
    uint16_t type;
    bool opener; /* we opened it */
    struct store_addr peer;
    struct peer_ticket ticket;
    enum rc rc; /* broken, and why */
    struct err why;

    uint64_t out_chunks, out_cost, out_allowed;
    bool taken; /* the first credit came: the other side serves it */
    bool out_ended;
    struct waitq writers;

    uint64_t in_chunks, in_cost, in_read, in_granted;
    bool in_ended;
    struct ilist chunks;
    struct chunk *now; /* with the reader */
    struct waitq readers;
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void stream_break(struct rpc_stream *s, enum rc rc, const struct err *why) {
    if (s->rc)
        return;
    s->rc = rc;
    s->why = *why;
    waitq_wake_all(&s->writers, RC_OK);
    waitq_wake_all(&s->readers, RC_OK);
}

static void stream_lost(struct peer_ticket *t, enum rc rc, const char *why) {
    struct rpc_stream *s = container_of(t, struct rpc_stream, ticket);
    struct err err;
    char who[PEER_NAME_BYTES];
    store_addr_name(s->peer, who, sizeof who);
    err_set(&err, rc, "%s: %s", who, why);
    stream_break(s, rc, &err);
}

static struct rpc_stream *stream_new(struct rpc *rpc, struct store_addr peer, uint16_t type, uint64_t id, bool opener) {
    struct rpc_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->rpc = rpc;
    s->id = id;
    s->type = type;
    s->opener = opener;
    s->peer = peer;
    s->in_granted = rpc->conf.stream_window_bytes;
    peer_ticket_init(&s->ticket, stream_lost);
    waitq_init(&s->writers);
    waitq_init(&s->readers);
    ilist_init(&s->chunks);
    map_put(&rpc->streams, &s->node, hash_u64(id));
    gauge_set(&rpc->stats.streams_now, (int64_t)rpc->streams.count);
    return s;
}

static void stream_free(struct rpc_stream *s) {
    struct rpc *rpc = s->rpc;
    CHECK(waitq_empty(&s->readers) && waitq_empty(&s->writers));
    map_del(&rpc->streams, &s->node);
    gauge_set(&rpc->stats.streams_now, (int64_t)rpc->streams.count);
    peer_ticket_drop(&s->ticket);
    for (struct ilist *it; (it = ilist_pop_front(&s->chunks));)
        free(ilist_entry(it, struct chunk, link));
    free(s->now);
    free(s);
}

/* The stream that a frame of conn is about. */
static struct rpc_stream *stream_find(struct rpc *rpc, const struct peer_conn *conn, const struct frame *f) {
    bool opened_here = !(f->flags & FRAME_FLAG_OPENER);
    for (struct map_node *n = map_first(&rpc->streams, hash_u64(f->id)); n; n = map_next(n)) {
        struct rpc_stream *s = container_of(n, struct rpc_stream, node);
        if (s->id == f->id && s->opener == opened_here && peer_conn_is(conn, s->peer) &&
            (s->peer.node || s->ticket.conn == conn))
            return s;
    }
    return NULL;
}

static enum rc broken(const struct rpc_stream *s, struct err *err) {
    if (err)
        *err = s->why;
    return s->rc;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static enum rc send_frame(struct rpc_stream *s, enum frame_kind kind, bool must, const struct peer_body *body) {
    struct frame f = {.kind = (uint8_t)kind, .type = s->type, .id = s->id, .flags = s->opener ? FRAME_FLAG_OPENER : 0};
    if (!s->ticket.conn && ilist_linked(&s->ticket.link)) /* still waits for a connection, and this behind it */
        return peer_send(s->rpc->peers, s->peer, PEER_BULK, &f, body, NULL, NULL);
    return peer_answer(s->ticket.conn, must, &f, body);
}

static enum rc send_number(struct rpc_stream *s, enum frame_kind kind, uint64_t number) {
    uint8_t prefix[PREFIX_BYTES];
    struct peer_body body = {.prefix = prefix, .prefix_bytes = sizeof prefix};
    set_u64le(prefix, number);
    return send_frame(s, kind, true, &body);
}

/* Whoever reads or writes here, or there, learns why it goes no further. */
static void stream_reset(struct rpc_stream *s, enum rc rc, const struct err *err) {
    Wire__Status status;
    struct status_objects objects;
    if (s->rc)
        return;
    status_from_err(&status, rc, err, &objects);
    struct peer_body body = {.message = &status.base};
    (void)!send_frame(s, FRAME_STREAM_RESET, true, &body); /* else its deadline or the connection's end tells it */
    stream_break(s, rc, err);
}

void rpc_stream_reset(struct rpc_stream *s, enum rc rc, const struct err *err) {
    struct err none = {.rc = rc};
    stream_reset(s, rc, err ? err : &none);
}

static enum rc chunk_send(struct rpc_stream *s, const void *data, size_t bytes) {
    uint8_t prefix[PREFIX_BYTES];
    struct peer_body body = {.prefix = prefix, .prefix_bytes = sizeof prefix, .bytes = data, .bytes_count = bytes};
    set_u64le(prefix, s->out_chunks);
    return send_frame(s, FRAME_STREAM_CHUNK, false, &body);
}

enum rc rpc_stream_write(struct rpc_stream *s, const void *data, size_t bytes, int64_t deadline, struct err *err) {
    struct reactor *r = s->rpc->reactor;
    uint64_t cost = bytes + CHUNK_COST;
    CHECK(bytes > 0 && bytes <= RPC_STREAM_CHUNK_BYTES_MAX && !s->out_ended);
    for (;;) {
        enum rc rc;
        if (s->rc)
            return broken(s, err);
        if (s->out_allowed - s->out_cost < cost) {
            rc = waitq_wait(r, &s->writers, deadline);
        } else {
            rc = chunk_send(s, data, bytes);
            if (!rc) {
                s->out_chunks++;
                s->out_cost += cost;
                return RC_OK;
            }
            if (rc == RC_OVERLOAD)
                rc = peer_wait_room(s->rpc->peers, &s->ticket, FRAME_HEAD_BYTES + PREFIX_BYTES + bytes, deadline);
        }
        if (rc && !s->rc)
            return err_set(err, rc, "stream: %s", rc_text(rc));
    }
}

enum rc rpc_stream_end(struct rpc_stream *s, struct err *err) {
    if (s->rc)
        return broken(s, err);
    if (s->out_ended)
        return RC_OK;
    enum rc rc = send_number(s, FRAME_STREAM_END, s->out_chunks);
    if (rc)
        return err_set(err, rc, "stream: %s", rc_text(rc));
    s->out_ended = true;
    return RC_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void reset_with(struct rpc_stream *s, enum rc rc, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void reset_with(struct rpc_stream *s, enum rc rc, const char *fmt, ...) {
    struct err err;
    va_list ap;
    va_start(ap, fmt);
    err_setv(&err, rc, fmt, ap);
    va_end(ap);
    stream_reset(s, rc, &err);
}

/* Half a window read: the writer may go on. Not after each chunk, which would double the frames. */
static void grant(struct rpc_stream *s) {
    uint64_t window = s->rpc->conf.stream_window_bytes;
    if (s->in_ended || s->in_read + window - s->in_granted < window / 2)
        return;
    s->in_granted = s->in_read + window;
    if (send_number(s, FRAME_STREAM_CREDIT, s->in_granted))
        reset_with(s, RC_CLOSED, "stream: the connection takes no credit");
}

enum rc rpc_stream_read(struct rpc_stream *s, const void **ret_data, size_t *ret_bytes, int64_t deadline,
                        struct err *err) {
    free(s->now);
    s->now = NULL;
    for (;;) {
        struct chunk *c = ilist_first(&s->chunks, struct chunk, link);
        if (s->rc && !s->in_ended) /* all that came is not all there was */
            return broken(s, err);
        if (c) {
            ilist_del(&c->link);
            s->now = c;
            s->in_read += c->bytes + CHUNK_COST;
            grant(s);
            *ret_data = c->data;
            *ret_bytes = c->bytes;
            return RC_OK;
        }
        if (s->in_ended) {
            *ret_data = NULL;
            *ret_bytes = 0;
            return RC_OK;
        }
        enum rc rc = waitq_wait(s->rpc->reactor, &s->readers, deadline);
        if (rc && !s->rc && ilist_empty(&s->chunks) && !s->in_ended)
            return err_set(err, rc, "stream: %s", rc_text(rc));
    }
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static void on_chunk(struct rpc_stream *s, uint64_t number, const uint8_t *data, size_t bytes) {
    if (s->rc)
        return;
    if (number != s->in_chunks || s->in_ended) {
        env_probe(s->rpc->env, "stream: gap");
        reset_with(s, RC_CLOSED, "stream: chunk %llu came where %llu was due", (unsigned long long)number,
                   (unsigned long long)s->in_chunks);
        return;
    }
    if (bytes == 0 || bytes > RPC_STREAM_CHUNK_BYTES_MAX || bytes + CHUNK_COST > s->in_granted - s->in_cost) {
        reset_with(s, RC_PROTOCOL, "stream: a chunk of %zu bytes, and %llu were granted", bytes,
                   (unsigned long long)(s->in_granted - s->in_cost));
        return;
    }
    struct chunk *c = malloc(sizeof *c + bytes);
    if (!c) {
        reset_with(s, RC_NOMEM, "stream: out of memory");
        return;
    }
    ilist_init(&c->link);
    c->bytes = bytes;
    memcpy(c->data, data, bytes);
    ilist_push_back(&s->chunks, &c->link);
    s->in_chunks++;
    s->in_cost += bytes + CHUNK_COST;
    waitq_wake_all(&s->readers, RC_OK);
}

static void on_end(struct rpc_stream *s, uint64_t chunks) {
    if (s->rc || s->in_ended)
        return;
    if (chunks != s->in_chunks) {
        env_probe(s->rpc->env, "stream: gap");
        reset_with(s, RC_CLOSED, "stream: ended after %llu chunks, %llu came", (unsigned long long)chunks,
                   (unsigned long long)s->in_chunks);
        return;
    }
    s->in_ended = true;
    waitq_wake_all(&s->readers, RC_OK);
}

static void on_credit(struct rpc_stream *s, uint64_t allowed) {
    s->taken = true;
    if (allowed > s->out_allowed)
        s->out_allowed = allowed;
    waitq_wake_all(&s->writers, RC_OK);
}

static void on_reset(struct rpc_stream *s, const struct frame *f) {
    struct err err;
    enum rc rc = status_parse(f->payload, f->payload_bytes, &err);
    stream_break(s, rc, &err);
}

/* A peer opens one: a job with a stream. */
static enum rc accept_stream(struct rpc *rpc, struct peer_conn *conn, const struct frame *f, struct err *err) {
    struct service *service;
    ProtobufCMessage *m;
    enum rc rc = rpc_admit(rpc, f->type, FRAME_STREAM_OPEN, peer_conn_member(conn), &service, err);
    if (rc)
        return rc;
    if (rpc->streams.count >= rpc->conf.streams_max)
        return err_set(err, RC_OVERLOAD, "%zu streams are open, which is the limit", rpc->streams.count);
    struct job *j = rpc_job_new(rpc, service);
    if (!j)
        return err_set(err, RC_NOMEM, "out of memory");
    rc = rpc_unpack(service->s, service->s->request, &j->arena, f->payload + PREFIX_BYTES,
                    f->payload_bytes - PREFIX_BYTES, &m, err);
    struct rpc_stream *s = rc ? NULL : stream_new(rpc, peer_conn_addr(conn), f->type, f->id, false);
    if (!rc && !s)
        rc = err_set(err, RC_NOMEM, "out of memory");
    if (!rc) {
        j->stream = s;
        j->q.message = m;
        j->q.from = s->peer;
        j->q.member = peer_conn_member(conn);
        rc = rpc_job_start(j, err);
        if (rc)
            stream_free(s);
    }
    if (rc) {
        rpc_job_free(j);
        return rc;
    }
    peer_watch(conn, &j->ticket);
    peer_watch(conn, &s->ticket);
    s->out_allowed = get_u64le(f->payload);
    (void)!send_number(s, FRAME_STREAM_CREDIT, s->in_granted);
    return RC_OK;
}

/* For a stream that is not, or no longer, here. */
static void on_stray(struct rpc *rpc, struct peer_conn *conn, const struct frame *f) {
    Wire__Status status;
    struct status_objects objects;
    struct err err;
    struct frame reset = {.kind = FRAME_STREAM_RESET, .type = f->type, .id = f->id};
    if (f->kind != FRAME_STREAM_CHUNK && f->kind != FRAME_STREAM_CREDIT)
        return;
    env_probe(rpc->env, "stream: stray frame");
    if (!(f->flags & FRAME_FLAG_OPENER))
        reset.flags = FRAME_FLAG_OPENER;
    err_set(&err, RC_CLOSED, "stream: closed by the other side");
    status_from_err(&status, RC_CLOSED, &err, &objects);
    struct peer_body body = {.message = &status.base};
    (void)!peer_answer(conn, true, &reset, &body);
}

void rpc_stream_on_frame(struct rpc *rpc, struct peer_conn *conn, const struct frame *f) {
    struct rpc_stream *s = stream_find(rpc, conn, f);
    struct err err = {0};
    if (f->kind != FRAME_STREAM_RESET && f->payload_bytes < PREFIX_BYTES) {
        err_set(&err, RC_PROTOCOL, "stream: a frame without its number");
        if (s)
            stream_reset(s, RC_PROTOCOL, &err);
        else
            on_stray(rpc, conn, f);
        return;
    }
    if (f->kind == FRAME_STREAM_OPEN) {
        enum rc rc = s ? RC_OK : accept_stream(rpc, conn, f, &err);
        if (rc)
            rpc_refuse(rpc, conn, f, rc, &err);
        return;
    }
    if (!s) {
        on_stray(rpc, conn, f);
        return;
    }
    if (f->kind == FRAME_STREAM_CHUNK)
        on_chunk(s, get_u64le(f->payload), f->payload + PREFIX_BYTES, f->payload_bytes - PREFIX_BYTES);
    else if (f->kind == FRAME_STREAM_CREDIT)
        on_credit(s, get_u64le(f->payload));
    else if (f->kind == FRAME_STREAM_END)
        on_end(s, get_u64le(f->payload));
    else
        on_reset(s, f);
}

/* ---- both ends --------------------------------------------------------------------------------------------------- */

enum rc rpc_stream_open(struct rpc *rpc, struct store_addr to, uint16_t type, const ProtobufCMessage *request,
                        int64_t deadline, struct rpc_stream **ret, struct err *err) {
    uint8_t prefix[PREFIX_BYTES];
    struct frame f = {.kind = FRAME_STREAM_OPEN, .type = type, .flags = FRAME_FLAG_OPENER, .id = rpc_next_id(rpc)};
    struct peer_body body = {.prefix = prefix, .prefix_bytes = sizeof prefix, .message = request};
    CHECK(type < RPC_TYPES_MAX);
    if (rpc->stopping)
        return err_set(err, RC_SHUTDOWN, "shutting down");
    if (rpc->streams.count >= rpc->conf.streams_max)
        return err_set(err, RC_OVERLOAD, "%zu streams are open, which is the limit", rpc->streams.count);
    struct rpc_stream *s = stream_new(rpc, to, type, f.id, true);
    if (!s)
        return err_set(err, RC_NOMEM, "out of memory");
    set_u64le(prefix, s->in_granted);
    enum rc rc = peer_send(rpc->peers, to, PEER_BULK, &f, &body, &s->ticket, err);
    while (!rc && !s->taken && !s->rc) {
        rc = waitq_wait(rpc->reactor, &s->writers, deadline);
        if (rc && !s->taken && !s->rc)
            err_set(err, rc, "stream: %s", rc_text(rc));
        else
            rc = RC_OK;
    }
    if (!rc && s->rc)
        rc = broken(s, err);
    if (rc)
        rpc_stream_close(s);
    else
        *ret = s;
    return rc;
}

void rpc_stream_close(struct rpc_stream *s) {
    if (!s)
        return;
    if (!s->out_ended || !s->in_ended)
        reset_with(s, RC_CANCELLED, "stream: closed by who opened it");
    stream_free(s);
}

void rpc_stream_finish(struct rpc_stream *s, enum rc rc, const struct err *err) {
    if (rc)
        stream_reset(s, rc, err);
    else
        (void)!rpc_stream_end(s, NULL); /* broken: the other side knows */
    stream_free(s);
}
