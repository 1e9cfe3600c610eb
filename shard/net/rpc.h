/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc.h: requests and messages between stores, wherever they are.
 *
 *     struct arena a;
 *     arena_init(&a, 1 << 20);
 *     Tablet__Read read = TABLET__READ__INIT;               what it points to lies in a, or is static
 *     ProtobufCMessage *answer;
 *     rc = rpc_call(rpc, to, TABLET_READ, &read.base, &a, deadline, &answer, &err);
 *
 * The way depends on where `to` is: on the own store the handler runs in a new fiber on the very message; to a
 * sibling store of this process the arena with the message moves through a mailbox and comes back with the answer; to
 * another node the message travels in a frame (peer.h). Only the last serialises anything.
 *
 * Promise     rpc_call returns once, at the deadline or the caller's cancellation at the latest, with the answer or
 *             with why there is none; an answer that comes later, or twice, is dropped. The caller's remaining time
 *             travels and bounds every wait of the handler; a caller that gives up, or whose connection dies, cancels
 *             its handler. Handlers are limited in number (RC_OVERLOAD at once). Outcomes, by err.h's retry rule:
 *                 RC_UNREACHABLE (and what refused us: RC_WRONG_CLUSTER, ...)   the request surely never left
 *                 RC_OVERLOAD, RC_SHUTDOWN                                      it was not begun
 *                 RC_CLOSED, RC_TIMEOUT, RC_CANCELLED                           it may have been executed: ask
 *                 any other code                                                the handler's answer, in its words
 * Relies on   peer.h, fibers; handlers that do not hide in a shielded wait for long.
 * Threads     the store's own. rpc_call and rpc_stream_* only on fibers.
 */
#ifndef MERIDIAN_NET_RPC_H
#define MERIDIAN_NET_RPC_H

#include "shard/net/pb_arena.h"
#include "shard/net/peer.h"

enum {
    RPC_TYPES_MAX = 1024,              /* message type numbers are below it */
    RPC_ARENA_BYTES_MAX = 64 << 20,    /* default of what one request may unpack to, its handler's work included */
    RPC_STREAM_WINDOW_BYTES = 4 << 20, /* default of what a stream's writer may be ahead of its reader */
    RPC_STREAM_CHUNK_BYTES_MAX = 1 << 20,
};

struct rpc;
struct rpc_stream;

struct rpc_conf {
    struct peers_conf peers;
    /* 0 = the default in parentheses */
    size_t calls_max;           /* under way from here (65,536) */
    size_t handlers_max;        /* running here, of all services (16,384) */
    size_t arena_bytes_max;     /* RPC_ARENA_BYTES_MAX */
    size_t mailbox_max;         /* requests of sibling stores that wait to be looked at (16,384) */
    size_t stream_window_bytes; /* RPC_STREAM_WINDOW_BYTES */
    size_t streams_max;         /* open at once, of both ends (256) */
};

/* What a handler gets; all of it is good until the handler returns. */
struct rpc_request {
    struct rpc *rpc;
    struct store_addr from;
    bool member;         /* asked by our cluster; else a stranger */
    int64_t deadline;    /* the fiber's deadline too; DEADLINE_NONE */
    struct arena *arena; /* the request's: the answer must lie in it (or be static) */
    const ProtobufCMessage *message;
};

/* A kind of message. Exactly one of call, message, stream is set. Read-only and shared by all stores. */
struct rpc_service {
    uint16_t type;
    const char *name;                                     /* a literal: "tablet.read" */
    const ProtobufCMessageDescriptor *request, *response; /* response: of call */

    /* A request: RC_OK and the answer (NULL: an empty one), or an error. On a fiber of its own. */
    enum rc (*call)(void *ctx, struct rpc_request *q, ProtobufCMessage **ret_response, struct err *err) WAITS;
    /* A one-way message. On a fiber of its own, or, if direct, at once where the bytes are read: then it must be
     * short, may not wait, and q->arena is gone afterwards. */
    void (*message)(void *ctx, struct rpc_request *q) WAITS;
    /* A stream that a peer opened. RC_OK ends our direction in good order; anything else resets the stream with err. */
    enum rc (*stream)(void *ctx, struct rpc_request *q, struct rpc_stream *s, struct err *err) WAITS;

    enum fiber_size size;
    bool direct;           /* see message */
    bool strangers;        /* also for nodes that are in no cluster yet: joining */
    uint32_t handlers_max; /* of this service at once; 0 = 1,024 */
};

struct rpc_stats {
    struct counter calls, calls_local, failed, late_answers, served, overloads, cancelled, messages_lost;
    struct gauge calls_now, handlers_now, streams_now;
    struct hist latency_ns; /* of rpc_call to other nodes */
};

enum rc rpc_new(struct reactor *r, const struct rpc_conf *conf, struct rpc **ret, struct err *err) MUST_CHECK;
/* All stores of this process, by number, also where there is but one. Before any of their loops runs. */
enum rc rpc_link(struct rpc *const *stores, uint16_t count) MUST_CHECK;
/* service must outlive rpc. Before the first message of its type. */
enum rc rpc_register(struct rpc *rpc, const struct rpc_service *service, void *ctx) MUST_CHECK;
/* See peers_listen. "HOST:PORT"; port 0: any free one. */
enum rc rpc_listen(struct rpc *rpc, const char *addr, struct err *err) MUST_CHECK;
const char *rpc_listen_addr(const struct rpc *rpc);
void rpc_set_address(struct rpc *rpc, uint32_t node, const char *addr);
void rpc_set_identity(struct rpc *rpc, const void *cluster, size_t cluster_bytes, uint32_t node);
/* Services are still to come: a request for one that is not there yet is RC_UNREACHABLE, so it is made again, not RC_UNSUPPORTED. */
void rpc_set_opening(struct rpc *rpc, bool opening);
void rpc_disconnect(struct rpc *rpc, uint32_t node);
/* Ends everything: handlers are cancelled, calls fail, connections close. */
void rpc_stop(struct rpc *rpc);
/* No handler is left. */
bool rpc_idle(const struct rpc *rpc);
/* Needs rpc_stop and rpc_idle, that no other thread of the process can post to us, and that nobody dumps the env's
 * metrics any more. NULL is fine. */
void rpc_free(struct rpc *rpc);
struct peers *rpc_peers(const struct rpc *rpc);
struct reactor *rpc_reactor(const struct rpc *rpc);
struct store_addr rpc_self(const struct rpc *rpc);
const struct rpc_stats *rpc_stats(const struct rpc *rpc);

/* Asks `to` and waits for the answer, which lies in a. Until it returns, a belongs to the call: all that request
 * reaches lies in it or is static, and nobody else uses it. After RC_OK request and answer are there; after an error
 * request may be gone: build it anew to try again. */
enum rc rpc_call(struct rpc *rpc, struct store_addr to, uint16_t type, const ProtobufCMessage *request, struct arena *a,
                 int64_t deadline, ProtobufCMessage **ret_response, struct err *err) WAITS MUST_CHECK;

/* Sends a one-way message; never waits. It may be lost, also after RC_OK. a: NULL, or the arena that holds all of the
 * message, which a sibling store then gets as it is (a is empty afterwards, whatever happened). Order is kept as long
 * as the connection lives. */
enum rc rpc_send(struct rpc *rpc, struct store_addr to, uint16_t type, const ProtobufCMessage *message, struct arena *a,
                 struct err *err) MUST_CHECK;

#endif
