/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_internal.h: what rpc.c, rpc_serve.c, rpc_local.c and stream.c share. Nobody else includes it. */
#ifndef MERIDIAN_NET_RPC_INTERNAL_H
#define MERIDIAN_NET_RPC_INTERNAL_H

#include "shard/net/rpc.h"
#include "shard/net/stream.h"
#include "shard/runtime/mailbox.h"
#include "truetime/base/map.h"

enum {
    JOBS_KEPT_MAX = 1024,            /* free jobs with their arenas */
    JOB_ARENA_KEPT_BYTES = 64 << 10, /* an arena that grew beyond is given back */
    SERVICE_HANDLERS_MAX = 1024,     /* default of rpc_service.handlers_max */
};

struct service {
    const struct rpc_service *s;
    void *ctx;
    uint32_t running;
};

/* A request on its way to a sibling store, and its answer on the way back; a one-way message too. Malloced; whoever
 * it lies with frees it. */
struct local_call {
    struct mbox_msg msg;
    struct rpc *from; /* only its answer_box and, on its own thread, the rest */
    struct store_addr sender;
    uint64_t id;
    uint16_t type;
    bool oneway;
    int64_t deadline;
    struct arena arena; /* with request and, on the way back, response */
    const ProtobufCMessage *request;
    ProtobufCMessage *response;
    enum rc rc;
    struct err err;
};

/* One that waits for an answer, on the stack of the fiber that waits. */
struct call {
    struct map_node node; /* rpc.calls, by id */
    uint64_t id;
    struct store_addr to;
    const struct rpc_service *service;
    struct arena *arena;
    ProtobufCMessage *response;
    struct event done; /* its rc is the outcome */
    struct err *err;
    struct peer_ticket ticket;
    struct local_call *local; /* the answer of a sibling */
};

/* A call to the own store: caller and handler meet here. */
struct own_call {
    struct event done;
    ProtobufCMessage *response;
    enum rc rc;
    struct err *err;
};

/* One run of a handler. */
struct job {
    struct rpc *rpc;
    struct service *service;
    struct rpc_request q;
    struct arena arena; /* of what came in a frame */
    uint64_t id;
    bool answers;               /* somebody waits for what comes out */
    bool cancelled, registered; /* registered: in rpc.jobs */
    struct fiber *fiber;        /* while it runs */
    struct map_node node;       /* rpc.jobs, by id */
    struct peer_ticket ticket;  /* the connection that asked */
    struct local_call *local;   /* asked by a sibling */
    struct own_call *own;       /* asked by the own store */
    struct rpc_stream *stream;
    struct job *next_free;
};

struct rpc {
    struct reactor *reactor;
    struct env *env;
    struct rpc_conf conf;
    struct peers *peers;
    struct rpc **stores; /* siblings by store number; NULL before rpc_link */
    struct service *services[RPC_TYPES_MAX];
    bool stopping, opening;
    uint64_t next_id;
    struct map calls, jobs, streams;
    struct fiber_group handlers;
    size_t handler_count;
    struct job *free_jobs;
    size_t free_job_count;
    struct arena scratch; /* of direct messages */
    struct mbox request_box, answer_box;
    struct rpc_stats stats;
    struct metric metrics[12];
};

/* rpc.c */
uint64_t rpc_next_id(struct rpc *rpc);
struct service *rpc_service_of(struct rpc *rpc, uint16_t type);
int64_t rpc_deadline_after(struct rpc *rpc, uint64_t timeout_ns);
/* The answer to a call; takes lc. */
void rpc_on_local_answer(void *ctx, struct mbox_msg *msg);

/* rpc_serve.c */
struct job *rpc_job_new(struct rpc *rpc, struct service *service); /* NULL: out of memory */
/* Runs the handler on a fiber. On error nobody was answered; the caller frees the job. */
enum rc rpc_job_start(struct job *job, struct err *err) MUST_CHECK;
void rpc_job_free(struct job *job);
void rpc_job_cancel(struct job *job);
/* The job of a request that a peer asked under id; NULL. */
struct job *rpc_job_find(struct rpc *rpc, struct peer_conn *conn, uint64_t id);
void rpc_job_register(struct job *job, uint64_t id); /* so that it can be found */
/* Whether a message of this kind may run now: RC_UNSUPPORTED, RC_WRONG_CLUSTER, RC_OVERLOAD, RC_SHUTDOWN. */
enum rc rpc_admit(struct rpc *rpc, uint16_t type, enum frame_kind kind, bool member, struct service **ret,
                  struct err *err) MUST_CHECK;
/* request, oneway, cancel */
void rpc_serve_frame(struct rpc *rpc, struct peer_conn *conn, const struct frame *f);
/* A payload as a message of a service. RC_PROTOCOL: it is none; RC_LIMIT: it unpacks to more than the arena may hold.
 * */
enum rc rpc_unpack(const struct rpc_service *s, const ProtobufCMessageDescriptor *type, struct arena *a,
                   const uint8_t *p, size_t bytes, ProtobufCMessage **ret, struct err *err) MUST_CHECK;
/* Tells who asked that, and why, nothing was begun (request, stream open; a one-way message is only counted). */
void rpc_refuse(struct rpc *rpc, struct peer_conn *conn, const struct frame *f, enum rc rc, const struct err *err);

/* rpc_local.c */
void rpc_on_local_request(void *ctx, struct mbox_msg *msg);
void rpc_local_call_free(struct local_call *lc);
void rpc_local_answer(struct rpc *rpc, struct local_call *lc, enum rc rc, ProtobufCMessage *response,
                      const struct err *err);
enum rc rpc_call_own(struct rpc *rpc, struct service *service, const ProtobufCMessage *request, struct arena *a,
                     int64_t deadline, ProtobufCMessage **ret_response, struct err *err) WAITS MUST_CHECK;
enum rc rpc_send_local(struct rpc *rpc, struct service *service, uint16_t store, const ProtobufCMessage *message,
                       struct arena *a, struct err *err) MUST_CHECK;
struct local_call *rpc_local_call_new(struct rpc *rpc, uint16_t type, const ProtobufCMessage *message);

/* stream.c */
void rpc_stream_on_frame(struct rpc *rpc, struct peer_conn *conn, const struct frame *f);
void rpc_stream_finish(struct rpc_stream *s, enum rc rc, const struct err *err); /* its handler has returned */

#endif
