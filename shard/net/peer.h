/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h: the connections of one store to the stores of other nodes, and the frames on them.
 *
 * Between two stores there is one connection for ordinary traffic and one for bulk, each opened when first needed and
 * used by both sides. Who dials says in 8 plain bytes which store it wants; the accepting store 0 hands the untouched
 * stream to that store, and all that follows (TLS, Hello, frames) happens there:
 *
 *     offset  bytes  preamble
 *     0       4      "MRD1"
 *     4       2      to_store     little-endian
 *     6       1      flags        1 = TLS follows
 *     7       1      class        enum peer_class
 *
 *     dialled:    CONNECTING -> PREAMBLE -> [TLS] -> HELLO -> READY -> [RETIRING] -> CLOSED
 *     accepted:                 PREAMBLE -> [TLS] -> HELLO -> READY ---------------> CLOSED
 *
 * Promise     Frames to one peer that gather within a loop turn leave in one write. The queue towards a peer is
 *             bounded (RC_OVERLOAD past it), so are connections, handshakes under way and what a peer can make us
 *             hold. A frame that is damaged, oversized or out of place closes its connection with one diag_warn and
 *             harms nothing else. Who sends with a ticket learns when the connection that carried its frame is gone,
 *             and whether the frame may have left. A peer that says nothing for dead_ns is given up (half-open
 *             connections).
 * Relies on   reactor, env streams (or the simulator's datagrams), the clock given by the caller.
 * Threads     the store's own. Stores of one process reach each other through mailboxes; peers_link before any loop
 *             runs.
 *
 * Both sides may dial at the same time. Then both connections live, and both sides send on the one that the store
 * with the smaller (node, store) dialled; once the other is quiet its dialler retires it with BYE, and nothing is
 * lost.
 *
 * In datagram mode (simulator) each frame travels alone, behind a head that says what a Hello would, and may be lost,
 * doubled or overtaken. A "connection" is then only a place for tickets.
 */
#ifndef MERIDIAN_NET_PEER_H
#define MERIDIAN_NET_PEER_H

#include <protobuf-c/protobuf-c.h>

#include "shard/net/frame.h"
#include "shard/runtime/fiber.h"

enum {
    PEER_CLUSTER_BYTES_MAX = 32,
    PEER_SCALE_BYTES = 16,
    PEER_NAME_BYTES = 32,
    PEER_VERSION = 1, /* of the protocol; neighbours talk while their ranges overlap */
    PEER_VERSION_MIN = 1,
};

/* Node numbers from here on are the caller's own names for addresses whose node it does not know yet (seeds). */
#define PEER_NODE_SEED 0x80000000u

#define PEER_DELAY_CUT INT64_MAX

struct peers;
struct peer_conn;

struct store_addr {
    uint32_t node;
    uint16_t store;
};

static inline bool store_addr_eq(struct store_addr a, struct store_addr b) {
    return a.node == b.node && a.store == b.store;
}

enum peer_class { PEER_ORDINARY, PEER_BULK, PEER_CLASSES };

struct peers_conf {
    uint8_t cluster[PEER_CLUSTER_BYTES_MAX];
    size_t cluster_bytes; /* 0: this node is in no cluster yet: a stranger to all */
    uint32_t node;        /* 0: no number yet */
    uint64_t incarnation; /* larger after each start */
    char clock_scale[PEER_SCALE_BYTES];
    struct env_tls *tls; /* NULL: plain, and TLS refused; else TLS, and plain refused. Lives longer than the peers */
    bool datagrams;      /* frames by env->ops->frame_send, where the env has it */

    /* 0 = the default in parentheses */
    int64_t heartbeat_ns;                   /* silence after which we ask or show that we live (500 ms) */
    int64_t dead_ns;                        /* silence after which a connection is given up (2 s) */
    int64_t handshake_ns;                   /* from the first byte to READY (5 s) */
    int64_t backoff_ns_min, backoff_ns_max; /* between attempts to connect (10 ms, 1 s) */
    size_t queue_bytes_max[PEER_CLASSES];   /* towards one peer (16 MiB, 32 MiB) */
    size_t peers_max, conns_max;            /* of this store (4096 each) */
    size_t handshakes_max;                  /* accepted and not READY; the oldest goes when there are more (256) */

    /* Callbacks; each may be NULL. */
    void (*clock)(void *ctx, int64_t *ret_earliest,
                  int64_t *ret_latest); /* when a frame leaves; leave 0/0 if unknown */
    void (*on_interval)(void *ctx, uint32_t node, int64_t earliest, int64_t latest); /* on each frame that has one */
    bool (*resolve)(void *ctx, uint32_t node, char *ret_addr, size_t addr_bytes);    /* node -> "HOST:PORT" */
    /* For tests and demonstrations: what is queued for a node leaves so much later; PEER_DELAY_CUT: not before it says
     * something else. Asked each time, on the store's thread. */
    int64_t (*send_delay)(void *ctx, uint32_t node);
    void *ctx;
};

enum peer_refusal {
    REFUSED_MALFORMED, /* length, kind, order */
    REFUSED_OVERSIZE,
    REFUSED_CRC,
    REFUSED_PREAMBLE, /* not ours, TLS mismatch, no such store */
    REFUSED_HELLO,
    REFUSED_CLUSTER,
    REFUSED_LIMIT,
    REFUSALS,
};

struct peers_stats {
    struct counter frames_in, frames_out, bytes_in, bytes_out, reads, writes;
    struct counter dials, accepts, dial_failures, lost, silent, retired;
    struct counter refused[REFUSALS];
    struct counter overloads, dropped; /* frames not taken: the queue was full; no connection and no ticket */
    struct gauge conns, queue_bytes;
};

/* Ties something to the connection that carries its frame. */
struct peer_ticket {
    struct ilist link;
    struct peer_conn *conn; /* NULL while it waits for one, and once it is lost */
    uint64_t mark;          /* where its frame ends in the connection's output */
    /* The connection is gone; the ticket is off already. rc: RC_UNREACHABLE or what refused us, where the frame
     * surely never left; RC_CLOSED where it may have, and for tickets of peer_watch. Only notes and wakes. */
    void (*on_lost)(struct peer_ticket *t, enum rc rc, const char *why);
};

static inline void peer_ticket_init(struct peer_ticket *t,
                                    void (*on_lost)(struct peer_ticket *t, enum rc rc, const char *why)) {
    *t = (struct peer_ticket){.on_lost = on_lost};
    ilist_init(&t->link);
}
/* Nobody cares any more; harmless twice and after a loss. */
static inline void peer_ticket_drop(struct peer_ticket *t) {
    ilist_del(&t->link);
    t->conn = NULL;
}

/* What a frame carries: prefix, then a message or bytes. All of it is copied before the call returns. */
struct peer_body {
    const void *prefix;
    size_t prefix_bytes;
    const ProtobufCMessage *message;
    const void *bytes;
    size_t bytes_count;
};

/* A frame for the layer above (all kinds but hello, ping, pong, bye). f points into the receive buffer: it and conn are
 * good during the call. May send, watch and disconnect; may not wait. */
typedef void peer_on_frame(void *ctx, struct peer_conn *from, const struct frame *f);

/* conf is copied. */
enum rc peers_new(struct reactor *r, const struct peers_conf *conf, peer_on_frame *on_frame, void *ctx,
                  struct peers **ret, struct err *err) MUST_CHECK;
/* All stores of this process, by number; the array is copied. */
enum rc peers_link(struct peers *const *stores, uint16_t count) MUST_CHECK;
/* On store 0 (in datagram mode on each store). */
enum rc peers_listen(struct peers *ps, const char *addr, struct err *err) MUST_CHECK;
const char *peers_listen_addr(const struct peers *ps); /* with the real port; NULL before peers_listen */
void peers_set_address(struct peers *ps, uint32_t node, const char *addr); /* goes before conf->resolve; NULL forgets */
/* This node joined: closes what was opened under the old identity. */
void peers_set_identity(struct peers *ps, const void *cluster, size_t cluster_bytes, uint32_t node);
/* Closes all connections, refuses new ones. */
void peers_stop(struct peers *ps);
/* Needs peers_stop, and that no other thread of the process can post to us. NULL is fine. */
void peers_free(struct peers *ps);
const struct peers_stats *peers_stats(const struct peers *ps);
const struct peers_conf *peers_conf(const struct peers *ps); /* with the defaults filled in */

/* Queues a frame (f: type, kind, flags, id, timeout) for a store, of this process or another. t may be NULL.
 * RC_OVERLOAD: the queue is full; RC_UNREACHABLE, RC_WRONG_CLUSTER, ...: no connection, and too early for the next
 * attempt; RC_LIMIT: too large; RC_SHUTDOWN. */
enum rc peer_send(struct peers *ps, struct store_addr to, enum peer_class class, const struct frame *f,
                  const struct peer_body *body, struct peer_ticket *t, struct err *err) MUST_CHECK;
/* The same on the connection that brought a frame. `must`: a small frame that passes where the queue is full; a peer
 * that makes us send many of these and reads none is given up. RC_CLOSED if conn is gone (NULL). */
enum rc peer_answer(struct peer_conn *conn, bool must, const struct frame *f, const struct peer_body *body) MUST_CHECK;
/* Ties t to conn: on_lost comes with RC_CLOSED. */
void peer_watch(struct peer_conn *conn, struct peer_ticket *t);
/* Waits until the queue of t's connection may have room for a frame of `bytes`: try again. RC_CLOSED: it is gone. */
enum rc peer_wait_room(struct peers *ps, struct peer_ticket *t, size_t bytes, int64_t deadline) WAITS MUST_CHECK;
/* Closes the connections to a node. */
void peer_disconnect(struct peers *ps, uint32_t node);

/* No room for more now: begin nothing whose answer must go there. */
bool peer_conn_full(const struct peer_conn *conn);
struct store_addr peer_conn_addr(const struct peer_conn *conn);
bool peer_conn_member(const struct peer_conn *conn);               /* of our cluster; else a stranger */
void store_addr_name(struct store_addr a, char *to, size_t bytes); /* "n3/1", "seed0/0", "stranger/0" */
/* Whether addr reaches who is there: by number, or by the seed's name under which it was dialled. */
bool peer_conn_is(const struct peer_conn *conn, struct store_addr addr);
const char *peer_conn_name(const struct peer_conn *conn); /* "n3/1 127.0.0.1:7433", for people */

#endif
