/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_conn.c: one connection: opening, reading, writing, silence, the end.
 *
 * Reading takes what is there in one read into a buffer that all connections of the store share, hands out the frames
 * in place, and keeps only the beginning of a frame whose rest has not come. A frame larger than DIRECT_BYTES is read
 * into memory of its own instead, of exactly its size.
 *
 * Writing happens at the end of the loop turn: what gathered is sealed (interval, checksum) and leaves in one write.
 *
 * Silence: each side shows a sign of life at least every heartbeat_ns: a PING where it heard nothing (wants a PONG),
 * a PONG where it only said nothing. So the end of a long queue is alive although its own answers are stuck behind
 * the queue. Nothing heard for dead_ns: the connection is given up. So is one that takes nothing for STALL_FACTOR
 * times that, whatever it says: it holds our memory. (The factor: a full socket on a slow line tells of room only
 * when a third of it is free.)
 *
 * We never stop reading. If both ends did so while their queues are full, neither would ever go on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/net/peer_internal.h"

static const struct conn_rule {
    const char *name;
    uint32_t next; /* set of states it may move to */
} conn_rules[CONN_STATES] = {
#define TO(state) (1u << CONN_##state)
    [CONN_CONNECTING] = {"connecting", TO(PREAMBLE) | TO(CLOSED)},
    [CONN_PREAMBLE] = {"preamble", TO(TLS) | TO(HELLO) | TO(CLOSED)},
    [CONN_TLS] = {"tls", TO(HELLO) | TO(CLOSED)},
    [CONN_HELLO] = {"hello", TO(READY) | TO(CLOSED)},
    [CONN_READY] = {"ready", TO(RETIRING) | TO(CLOSED)},
    [CONN_RETIRING] = {"retiring", TO(CLOSED)},
    [CONN_CLOSED] = {"closed", 0},
#undef TO
};

static const struct env_stream_events conn_events;
static void on_flush(struct reactor_flush *f);
static void on_again(void *ctx);
static void preamble_write(struct peer_conn *c);

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct peer_conn *pconn_new(struct peers *ps, enum conn_kind kind, enum peer_class class, struct env_stream *stream) {
    struct peer_conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->ps = ps;
    c->kind = kind;
    c->class = class;
    c->stream = stream;
    c->need = FRAME_HEAD_BYTES;
    c->born_ns = c->received_ns = c->sent_ns = c->taken_ns = c->app_ns = env_now_ns(ps->env);
    buf_init(&c->in, FRAME_HEAD_BYTES + FRAME_BULK_PAYLOAD_BYTES_MAX);
    outq_init(&c->out, &ps->pool);
    reactor_flush_init(&c->flush, on_flush);
    timer_init(&c->again, on_again, c);
    peer_hold_init(c);
    ilist_init(&c->link);
    ilist_init(&c->handshake_link);
    ilist_init(&c->tickets);
    waitq_init(&c->room);
    if (kind == CONN_LOCAL || kind == CONN_DATAGRAM) {
        c->state = CONN_READY;
        c->member = true;
        return c;
    }
    c->state = kind == CONN_DIALLED ? CONN_CONNECTING : CONN_PREAMBLE;
    ilist_push_back(&ps->conns, &c->link);
    ps->conn_count++;
    gauge_set(&ps->stats.conns, (int64_t)ps->conn_count);
    if (kind == CONN_ACCEPTED) {
        ilist_push_back(&ps->handshakes, &c->handshake_link);
        ps->handshake_count++;
    }
    pconn_set_name(c);
    env_stream_events(stream, &conn_events, c);
    peers_tick_later(ps);
    return c;
}

static void leave_handshakes(struct peer_conn *c) {
    if (!ilist_linked(&c->handshake_link))
        return;
    ilist_del(&c->handshake_link);
    c->ps->handshake_count--;
}

/* The one door to a state. */
void pconn_move(struct peer_conn *c, enum conn_state to) {
    CHECKF(conn_rules[c->state].next & (1u << to), "%s -> %s", conn_rules[c->state].name, conn_rules[to].name);
    c->state = to;
    if (to == CONN_READY) {
        leave_handshakes(c);
        c->ready_ns = env_now_ns(c->ps->env);
    }
    diag_debug(&c->ps->env->diag, "net: connection", "peer=\"%s\" state=%s", c->name, conn_rules[to].name);
}

void pconn_set_name(struct peer_conn *c) {
    char who[PEER_NAME_BYTES];
    struct store_addr a = peer_conn_addr(c);
    store_addr_name(a, who, sizeof who);
    if (c->peer || c->state >= CONN_READY)
        snprintf(c->name, sizeof c->name, "%s %s", who, c->stream ? env_stream_peer(c->stream) : "");
    else
        snprintf(c->name, sizeof c->name, "%s", env_stream_peer(c->stream));
}

void pconn_release(struct peer_conn *c) {
    if (c->state != CONN_CLOSED || c->busy)
        return;
    buf_done(&c->in);
    free(c);
}

/* Takes c out of its peer, which then decides when to try again. */
static void leave_peer(struct peer_conn *c, enum conn_state was, enum rc rc, const char *why) {
    struct peer *p = c->peer;
    if (!p)
        return;
    c->peer = NULL;
    if (p->dialled == c)
        p->dialled = NULL;
    if (p->accepted == c)
        p->accepted = NULL;
    if (p->datagram == c)
        p->datagram = NULL;
    if (c->kind != CONN_DIALLED || was == CONN_RETIRING || rc == RC_OK)
        return;
    /* One that breaks as soon as it is there must not be dialled again at once, for ever. */
    bool lasted = was == CONN_READY && env_now_ns(c->ps->env) - c->ready_ns >= c->ps->conf.backoff_ns_max;
    if (lasted)
        p->failures = 0;
    else
        peer_failed(p, rc, why);
}

void pconn_close(struct peer_conn *c, enum rc rc, const char *given) {
    struct peers *ps = c->ps;
    enum conn_state was = c->state;
    char why[WHY_BYTES];
    if (was == CONN_CLOSED)
        return;
    snprintf(why, sizeof why, "%s", given); /* may be the stream's own words, which go with it */
    pconn_move(c, CONN_CLOSED);
    env_stream_close(c->stream);
    c->stream = NULL;
    env_timer_cancel(ps->env, &c->again);
    peer_hold_done(c);
    reactor_flush_cancel(&c->flush);
    leave_handshakes(c);
    if (ilist_linked(&c->link)) {
        ilist_del(&c->link);
        ps->conn_count--;
        gauge_set(&ps->stats.conns, (int64_t)ps->conn_count);
    }
    gauge_add(&ps->stats.queue_bytes, -(int64_t)c->out.bytes);
    /* Bytes offered to TLS may be in a record that leaves yet. */
    uint64_t left = c->tls ? c->offered : c->out.taken;
    outq_done(&c->out);
    peer_tickets_lose(&c->tickets, left, RC_UNREACHABLE, why);
    waitq_wake_all(&c->room, RC_CLOSED);
    leave_peer(c, was, rc, why);
    pconn_release(c);
}

void pconn_refuse(struct peer_conn *c, enum peer_refusal refusal, enum rc rc, const char *why) {
    counter_inc(&c->ps->stats.refused[refusal]);
    diag_warn(&c->ps->env->diag, "net: connection refused", "peer=\"%s\" reason=\"%s\"", c->name, why);
    pconn_close(c, rc, why);
}

void pconn_lost(struct peer_conn *c, enum rc rc, const char *why) {
    struct peers *ps = c->ps;
    if (c->state == CONN_READY) {
        counter_inc(&ps->stats.lost);
        diag_info(&ps->env->diag, "net: connection lost", "peer=\"%s\" reason=\"%s\"", c->name, why);
    } else if (c->state == CONN_RETIRING) {
        counter_inc(&ps->stats.retired);
    } else if (c->kind == CONN_ACCEPTED && c->state == CONN_TLS) {
        pconn_refuse(c, REFUSED_HELLO, rc, why); /* a bad certificate, mostly: somebody wants to know */
        return;
    }
    pconn_close(c, rc, why);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void start_hello(struct peer_conn *c) {
    pconn_move(c, CONN_HELLO);
    if (c->kind == CONN_DIALLED)
        peer_hello_send(c, RC_OK, NULL);
    pconn_read(c);
}

/* The preamble has passed: TLS or Hello. */
static void start_inner(struct peer_conn *c) {
    struct err err = {0};
    c->tls = c->ps->conf.tls != NULL;
    if (!c->tls) {
        start_hello(c);
        return;
    }
    pconn_move(c, CONN_TLS);
    enum rc rc = env_stream_tls(c->stream, c->ps->conf.tls, c->kind == CONN_ACCEPTED, &err);
    if (rc)
        pconn_lost(c, rc, err_message(&err));
}

void pconn_start_accepted(struct peer_conn *c) {
    c->busy++;
    start_inner(c);
    c->busy--;
    pconn_release(c);
}

static void preamble_write(struct peer_conn *c) {
    uint8_t all[PREAMBLE_BYTES];
    size_t n = 0;
    peer_preamble_put(c, all);
    struct iovec iov = {all + c->preamble_bytes, PREAMBLE_BYTES - c->preamble_bytes};
    if (env_stream_write(c->stream, &iov, 1, &n))
        return; /* on_broken says why */
    c->preamble_bytes += n;
    if (c->preamble_bytes == PREAMBLE_BYTES)
        start_inner(c);
}

static void on_open(void *ctx) {
    struct peer_conn *c = ctx;
    c->busy++;
    if (c->state == CONN_CONNECTING) {
        pconn_move(c, CONN_PREAMBLE);
        preamble_write(c);
    } else if (c->state == CONN_TLS) {
        start_hello(c);
    }
    c->busy--;
    pconn_release(c);
}

static void on_readable(void *ctx) {
    struct peer_conn *c = ctx;
    if (c->kind == CONN_ACCEPTED && c->state == CONN_PREAMBLE)
        peer_preamble_read(c);
    else
        pconn_read(c);
}

static void on_writable(void *ctx) {
    struct peer_conn *c = ctx;
    c->busy++;
    if (c->kind == CONN_DIALLED && c->state == CONN_PREAMBLE)
        preamble_write(c);
    else
        pconn_write(c);
    c->busy--;
    pconn_release(c);
}

static void on_broken(void *ctx, enum rc rc, const char *why) {
    pconn_lost(ctx, rc, why);
}

static const struct env_stream_events conn_events = {on_open, on_readable, on_writable, on_broken};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool speaks(const struct peer_conn *c) {
    return c->state == CONN_HELLO || c->state == CONN_READY || c->state == CONN_RETIRING;
}

static bool reads(const struct peer_conn *c) {
    return speaks(c) && !c->ended && !c->closing;
}

static size_t payload_max(const struct peer_conn *c) {
    if (c->state == CONN_HELLO)
        return HELLO_PAYLOAD_BYTES_MAX;
    return c->class == PEER_BULK ? FRAME_BULK_PAYLOAD_BYTES_MAX : FRAME_PAYLOAD_BYTES_MAX;
}

/* Hands out the whole frames of p[0 .. bytes); returns how many bytes they were. */
static size_t parse(struct peer_conn *c, const uint8_t *p, size_t bytes) {
    size_t at = 0;
    uint64_t frames = 0;
    while (reads(c)) {
        struct frame f;
        size_t n;
        enum frame_status s = frame_parse(p + at, bytes - at, payload_max(c), &f, &n);
        if (s == FRAME_MORE) {
            c->need = n;
            break;
        }
        if (s != FRAME_OK) {
            pconn_refuse(c,
                         s == FRAME_OVERSIZE  ? REFUSED_OVERSIZE
                         : s == FRAME_BAD_CRC ? REFUSED_CRC
                                              : REFUSED_MALFORMED,
                         RC_CLOSED, frame_status_text(s)); /* a bad line is no reason never to try again */
            break;
        }
        at += n;
        frames++;
        pconn_dispatch(c, &f);
    }
    counter_add(&c->ps->stats.frames_in, frames);
    return at;
}

/* The peer is done. Why is known only if it broke: on_broken comes before the timer. */
static void read_ended(struct peer_conn *c) {
    c->ended = true;
    env_timer_set(c->ps->env, &c->again, env_now_ns(c->ps->env) + 1);
}

static void count_read(struct peer_conn *c, size_t n) {
    c->received = true;
    counter_inc(&c->ps->stats.reads);
    counter_add(&c->ps->stats.bytes_in, n);
}

/* Goes on reading one large frame into c->in. */
static bool fill_direct(struct peer_conn *c, size_t *ret_n) {
    size_t room = c->need - c->in.len, n = 0;
    uint8_t *at = buf_reserve(&c->in, room);
    if (!at) {
        pconn_lost(c, RC_NOMEM, "out of memory for a frame");
        return false;
    }
    if (env_stream_read(c->stream, at, room, &n)) {
        read_ended(c);
        return false;
    }
    if (n == 0)
        return false;
    *ret_n = n;
    count_read(c, n);
    buf_commit(&c->in, n);
    if (n < room)
        return false;
    parse(c, c->in.data, c->in.len);
    if (c->state != CONN_CLOSED) {
        buf_reset(&c->in, 0);
        c->need = FRAME_HEAD_BYTES;
    }
    return true;
}

/* Reads what is there, behind what was kept, into the shared buffer. */
static bool fill_shared(struct peer_conn *c, size_t *ret_n) {
    struct peers *ps = c->ps;
    size_t have = c->in.len, room = SCRATCH_BYTES - have, n = 0;
    CHECK(have < DIRECT_BYTES);
    if (env_stream_read(c->stream, ps->scratch + have, room, &n)) {
        read_ended(c);
        return false;
    }
    if (n == 0)
        return false;
    *ret_n = n;
    count_read(c, n);
    if (have)
        memcpy(ps->scratch, c->in.data, have);
    size_t used = parse(c, ps->scratch, have + n), left = have + n - used;
    if (c->state == CONN_CLOSED || c->closing)
        return false;
    buf_reset(&c->in, left ? SIZE_MAX : DIRECT_BYTES / 16);
    buf_put(&c->in, ps->scratch + used, left);
    if (buf_rc(&c->in)) {
        pconn_lost(c, RC_NOMEM, "out of memory for a frame");
        return false;
    }
    return n == room;
}

void pconn_read(struct peer_conn *c) {
    struct peers *ps = c->ps;
    size_t budget = READ_BYTES_PER_TURN;
    bool more = true;
    CHECK(!ps->reading); /* the shared buffer has one user */
    ps->reading = true;
    c->busy++;
    while (more && budget && reads(c)) {
        size_t n = 0;
        more = c->need > DIRECT_BYTES ? fill_direct(c, &n) : fill_shared(c, &n);
        budget -= n < budget ? n : budget;
    }
    if (more && reads(c)) /* nobody will tell us again that there is something to read */
        env_timer_set(ps->env, &c->again, env_now_ns(ps->env) + 1);
    c->busy--;
    ps->reading = false;
    pconn_release(c);
}

static void on_again(void *ctx) {
    struct peer_conn *c = ctx;
    if (c->ended)
        pconn_lost(c, RC_CLOSED, "closed by the peer");
    else
        pconn_read(c);
}

/* BYE is a question: the dialler of a connection that is not needed asks whether the other side is done with it too. */
static void bye_received(struct peer_conn *c) {
    if (c->kind == CONN_DIALLED && c->state == CONN_RETIRING) {
        counter_inc(&c->ps->stats.retired);
        pconn_close(c, RC_CLOSED, "retired");
    } else if (c->kind == CONN_ACCEPTED && c->state == CONN_READY) {
        if (!ilist_empty(&c->tickets))
            return; /* asked again later */
        pconn_control(c, FRAME_BYE);
        pconn_move(c, CONN_RETIRING);
        c->closing = true;
    } else {
        pconn_refuse(c, REFUSED_MALFORMED, RC_PROTOCOL, "bye out of place");
    }
}

void pconn_dispatch(struct peer_conn *c, const struct frame *f) {
    struct peers *ps = c->ps;
    if (c->state == CONN_HELLO) {
        if (f->kind == FRAME_HELLO)
            peer_hello_receive(c, f);
        else
            pconn_refuse(c, REFUSED_MALFORMED, RC_PROTOCOL, "the first frame is no hello");
        return;
    }
    if (f->to_store != ps->env->store || f->from_store != c->addr.store) {
        pconn_refuse(c, REFUSED_MALFORMED, RC_PROTOCOL, "a frame of another store");
        return;
    }
    if ((f->earliest || f->latest) && c->number && ps->conf.on_interval)
        ps->conf.on_interval(ps->conf.ctx, c->number, f->earliest, f->latest);
    switch (f->kind) {
    case FRAME_HELLO:
        pconn_refuse(c, REFUSED_MALFORMED, RC_PROTOCOL, "a second hello");
        return;
    case FRAME_PING:
        pconn_control(c, FRAME_PONG);
        return;
    case FRAME_PONG:
        return;
    case FRAME_BYE:
        bye_received(c);
        return;
    default:
        c->app = true;
        ps->on_frame(ps->ctx, c, f);
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

size_t frame_body_bytes(const struct peer_body *body) {
    if (!body)
        return 0;
    return body->prefix_bytes + (body->message ? protobuf_c_message_get_packed_size(body->message) : body->bytes_count);
}

void frame_write(struct peers *ps, uint8_t *to, struct store_addr dst, const struct frame *f,
                 const struct peer_body *body, size_t payload_bytes) {
    struct frame head = *f;
    head.to_store = dst.store;
    head.from_store = ps->env->store;
    head.payload_bytes = payload_bytes;
    frame_put_head(to, &head);
    if (!payload_bytes)
        return;
    to += FRAME_HEAD_BYTES;
    if (body->prefix_bytes)
        memcpy(to, body->prefix, body->prefix_bytes);
    to += body->prefix_bytes;
    size_t rest = payload_bytes - body->prefix_bytes;
    if (body->message) {
        size_t packed = protobuf_c_message_pack(body->message, to);
        CHECKF(packed == rest, "packed=%zu promised=%zu", packed, rest);
    } else if (rest) {
        memcpy(to, body->bytes, rest);
    }
}

enum rc frame_push(struct peers *ps, struct outq *q, struct store_addr to, const struct frame *f,
                   const struct peer_body *body, size_t payload_bytes) {
    uint8_t *p = outq_push(q, FRAME_HEAD_BYTES + payload_bytes);
    if (!p)
        return RC_NOMEM;
    frame_write(ps, p, to, f, body, payload_bytes);
    counter_inc(&ps->stats.frames_out);
    gauge_add(&ps->stats.queue_bytes, (int64_t)(FRAME_HEAD_BYTES + payload_bytes));
    return RC_OK;
}

void pconn_queued(struct peer_conn *c) {
    peer_hold_queued(c);
    if (speaks(c))
        reactor_flush_later(c->ps->reactor, &c->flush);
}

void pconn_control(struct peer_conn *c, enum frame_kind kind) {
    bool *queued = kind == FRAME_PING ? &c->ping_queued : kind == FRAME_PONG ? &c->pong_queued : NULL;
    struct frame f = {.kind = (uint8_t)kind};
    if (queued && *queued)
        return;
    if (frame_push(c->ps, &c->out, c->addr, &f, NULL, 0))
        return; /* no memory: the peer misses a sign of life, no more */
    if (queued)
        *queued = true;
    pconn_queued(c);
}

static void seal(struct peer_conn *c) {
    int64_t earliest = 0, latest = 0;
    if (!outq_unsealed(&c->out))
        return;
    size_t allowed = peer_hold_allows(c);
    if (c->ps->conf.clock)
        c->ps->conf.clock(c->ps->conf.ctx, &earliest, &latest);
    outq_seal(&c->out, allowed < WRITE_BYTES ? allowed : WRITE_BYTES, earliest, latest);
}

/* One write of what is sealed. True: all of it was taken and there may be more. */
static bool write_once(struct peer_conn *c) {
    struct peers *ps = c->ps;
    struct iovec iov[WRITE_PIECES];
    size_t want, n = 0;
    seal(c);
    int count = outq_iov(&c->out, iov, WRITE_PIECES, &want);
    if (count == 0)
        return false;
    c->offered = c->out.taken + want;
    if (env_stream_write(c->stream, iov, count, &n))
        return false; /* on_broken follows */
    counter_inc(&ps->stats.writes);
    counter_add(&ps->stats.bytes_out, n);
    gauge_add(&ps->stats.queue_bytes, -(int64_t)n);
    outq_consume(&c->out, n);
    c->sent |= n > 0;
    return n == want;
}

void pconn_write(struct peer_conn *c) {
    struct peers *ps = c->ps;
    c->busy++;
    if (speaks(c) && env_chance(ps->env, "net: connection breaks before a write"))
        pconn_lost(c, RC_CLOSED, "broken on purpose");
    while (speaks(c) && c->out.bytes && write_once(c))
        ;
    if (speaks(c) && c->out.bytes == 0) {
        c->ping_queued = c->pong_queued = false;
        if (c->closing)
            pconn_lost(c, RC_CLOSED, "refused");
    }
    if (c->out.bytes <= ps->conf.queue_bytes_max[c->class] / 2)
        waitq_wake_all(&c->room, RC_OK);
    c->busy--;
    pconn_release(c);
}

static void on_flush(struct reactor_flush *f) {
    pconn_write(container_of(f, struct peer_conn, flush));
}

/* ---- silence ----------------------------------------------------------------------------------------------------- */

static void note(bool *flag, int64_t *at, int64_t now_ns) {
    if (*flag)
        *at = now_ns;
    *flag = false;
}

/* The loser of two connections, quiet by now: only its dialler asks. */
static bool may_retire(const struct peer_conn *c, int64_t now_ns) {
    const struct peer *p = c->peer;
    return c->kind == CONN_DIALLED && p && p->accepted && p->accepted->state == CONN_READY && !peer_we_win(p) &&
           ilist_empty(&c->tickets) && c->out.bytes == 0 && now_ns - c->app_ns >= c->ps->conf.heartbeat_ns;
}

static void tick_ready(struct peer_conn *c, int64_t now_ns) {
    const struct peers_conf *conf = &c->ps->conf;
    if (now_ns - c->received_ns >= conf->dead_ns) {
        counter_inc(&c->ps->stats.silent);
        env_probe(c->ps->env, "net: silent peer given up");
        pconn_lost(c, RC_CLOSED, "silent for too long");
    } else if (now_ns - c->taken_ns >= STALL_FACTOR * conf->dead_ns) {
        counter_inc(&c->ps->stats.silent);
        env_probe(c->ps->env, "net: peer that reads nothing given up");
        pconn_lost(c, RC_CLOSED, "reads nothing");
    } else if (c->state == CONN_RETIRING || may_retire(c, now_ns)) {
        if (c->kind != CONN_DIALLED)
            return;
        env_probe(c->ps->env, "net: connection retires");
        if (c->state == CONN_READY)
            pconn_move(c, CONN_RETIRING);
        if (c->out.bytes == 0)
            pconn_control(c, FRAME_BYE);
    } else if (now_ns - c->received_ns >= conf->heartbeat_ns) {
        pconn_control(c, FRAME_PING);
    } else if (now_ns - c->sent_ns >= conf->heartbeat_ns) {
        pconn_control(c, FRAME_PONG);
    }
}

void pconn_tick(struct peer_conn *c, int64_t now_ns, int64_t late_ns) {
    c->born_ns += late_ns; /* while we slept we could not hear either */
    c->received_ns += late_ns;
    c->sent_ns += late_ns;
    c->taken_ns += late_ns;
    if (c->sent || c->out.bytes == 0)
        c->taken_ns = now_ns;
    note(&c->received, &c->received_ns, now_ns);
    note(&c->sent, &c->sent_ns, now_ns);
    note(&c->app, &c->app_ns, now_ns);
    if (c->state >= CONN_READY)
        tick_ready(c, now_ns);
    else if (now_ns - c->born_ns >= c->ps->conf.handshake_ns)
        pconn_lost(c, RC_UNREACHABLE, "handshake timed out");
}
