/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_accept.c: the listener of store 0, and the way of an accepted stream to the store that it is for.
 *
 * Store 0 reads exactly the 8 bytes of the preamble and nothing behind them: the stream then moves with all the rest
 * unread, so TLS and frames are handled by the right store alone.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/net/peer_internal.h"

static const uint8_t magic[4] = {'M', 'R', 'D', '1'};

/* A stream on its way to another store. */
struct handover {
    struct peers *to;
    enum peer_class class;
};

void peer_preamble_put(const struct peer_conn *c, uint8_t *to) {
    memcpy(to, magic, sizeof magic);
    set_u16le(to + 4, c->addr.store);
    to[6] = c->ps->conf.tls ? PREAMBLE_TLS : 0;
    to[7] = (uint8_t)c->class;
}

/* Makes room among the handshakes: the one that is at it longest is the least likely to end well. */
static struct peer_conn *accept_stream(struct peers *ps, struct env_stream *s) {
    if (ps->handshake_count >= ps->conf.handshakes_max) {
        env_probe(ps->env, "net: a handshake gave way to a newer one");
        pconn_refuse(ilist_first(&ps->handshakes, struct peer_conn, handshake_link), REFUSED_LIMIT, RC_OVERLOAD,
                     "too many handshakes under way");
    }
    if (ps->stopping || ps->conn_count >= ps->conf.conns_max) {
        if (!ps->stopping) {
            counter_inc(&ps->stats.refused[REFUSED_LIMIT]);
            diag_warn(&ps->env->diag, "net: connection refused", "peer=\"%s\" reason=\"too many connections\"",
                      env_stream_peer(s));
        }
        env_stream_close(s);
        return NULL;
    }
    struct peer_conn *c = pconn_new(ps, CONN_ACCEPTED, PEER_ORDINARY, s);
    if (!c)
        env_stream_close(s);
    return c;
}

void peer_on_accept(void *ctx, struct env_stream *s) {
    struct peers *ps = ctx;
    counter_inc(&ps->stats.accepts);
    struct peer_conn *c = accept_stream(ps, s);
    if (c)
        peer_preamble_read(c);
}

static void on_arrive(void *ctx, struct env_stream *s) {
    struct handover *h = ctx;
    struct peers *ps = h->to;
    enum peer_class class = h->class;
    free(h);
    atomic_fetch_sub_explicit(&ps->arriving, 1, memory_order_relaxed);
    struct peer_conn *c = accept_stream(ps, s);
    if (!c)
        return;
    c->class = class;
    pconn_start_accepted(c);
}

static void hand_over(struct peer_conn *c, struct peers *to) {
    struct handover *h = malloc(sizeof *h);
    if (!h || atomic_fetch_add_explicit(&to->arriving, 1, memory_order_relaxed) >= to->conf.handshakes_max) {
        if (h)
            atomic_fetch_sub_explicit(&to->arriving, 1, memory_order_relaxed);
        free(h);
        pconn_refuse(c, REFUSED_LIMIT, RC_OVERLOAD, "too many connections on their way to the store");
        return;
    }
    struct env_stream *s = c->stream;
    *h = (struct handover){to, c->class};
    c->stream = NULL;
    pconn_close(c, RC_OK, "handed over");
    env_stream_move(s, to->env, on_arrive, h);
}

/* The preamble is whole. */
static void preamble_done(struct peer_conn *c) {
    struct peers *ps = c->ps;
    uint16_t store = get_u16le(c->preamble + 4);
    bool tls = c->preamble[6] & PREAMBLE_TLS;
    uint8_t class = c->preamble[7];
    if (memcmp(c->preamble, magic, sizeof magic) != 0)
        pconn_refuse(c, REFUSED_PREAMBLE, RC_PROTOCOL, "does not speak our protocol");
    else if (tls != (ps->conf.tls != NULL))
        pconn_refuse(c, REFUSED_PREAMBLE, RC_PROTOCOL, tls ? "wants TLS, which is off here" : "does not use TLS");
    else if (class >= PEER_CLASSES)
        pconn_refuse(c, REFUSED_PREAMBLE, RC_PROTOCOL, "unknown class of connection");
    else if (store >= ps->env->store_count || (store != ps->env->store && !ps->siblings))
        pconn_refuse(c, REFUSED_PREAMBLE, RC_PROTOCOL, "no such store");
    else {
        c->class = (enum peer_class) class;
        if (store == ps->env->store)
            pconn_start_accepted(c);
        else
            hand_over(c, ps->siblings[store]);
    }
}

void peer_preamble_read(struct peer_conn *c) {
    while (c->preamble_bytes < PREAMBLE_BYTES) {
        size_t n = 0;
        if (env_stream_read(c->stream, c->preamble + c->preamble_bytes, PREAMBLE_BYTES - c->preamble_bytes, &n)) {
            pconn_lost(c, RC_CLOSED, "closed by the peer");
            return;
        }
        if (n == 0)
            return;
        c->preamble_bytes += n;
    }
    preamble_done(c);
}
