/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc.c: the asking side.
 *
 * A call lies on the stack of the fiber that waits, and in a map by its id. Whatever ends it (the answer, the loss of
 * its connection, the deadline, cancellation) finds it there or not at all: an answer whose call is gone is dropped.
 * Ids start at a random number, so an answer to an earlier life of this process finds nothing.
 */
#include "shard/net/rpc.h"

#include <stdlib.h>
#include <string.h>

#include "shard/net/rpc_internal.h"
#include "shard/net/status.h"

static void metrics_of(struct rpc *rpc);
static void on_frame(void *ctx, struct peer_conn *conn, const struct frame *f);

/* ---- life -------------------------------------------------------------------------------------------------------- */

static size_t or_size(size_t given, size_t otherwise) {
    return given ? given : otherwise;
}

enum rc rpc_new(struct reactor *r, const struct rpc_conf *conf, struct rpc **ret, struct err *err) {
    struct rpc *rpc = calloc(1, sizeof *rpc);
    if (!rpc)
        return err_set(err, RC_NOMEM, "out of memory");
    rpc->reactor = r;
    rpc->env = reactor_env(r);
    rpc->conf = *conf;
    rpc->conf.calls_max = or_size(conf->calls_max, 65536);
    rpc->conf.handlers_max = or_size(conf->handlers_max, 16384);
    rpc->conf.arena_bytes_max = or_size(conf->arena_bytes_max, RPC_ARENA_BYTES_MAX);
    rpc->conf.mailbox_max = or_size(conf->mailbox_max, 16384);
    rpc->conf.stream_window_bytes = or_size(conf->stream_window_bytes, RPC_STREAM_WINDOW_BYTES);
    rpc->conf.streams_max = or_size(conf->streams_max, 256);
    rpc->next_id = env_random(rpc->env);
    map_init(&rpc->calls);
    map_init(&rpc->jobs);
    map_init(&rpc->streams);
    fiber_group_init(&rpc->handlers);
    arena_init(&rpc->scratch, rpc->conf.arena_bytes_max);
    mbox_init(&rpc->request_box, rpc->env, rpc->conf.mailbox_max, rpc_on_local_request, rpc);
    /* Answers are as many as the handlers that make them: no bound of their own. */
    mbox_init(&rpc->answer_box, rpc->env, SIZE_MAX, rpc_on_local_answer, rpc);
    enum rc rc = peers_new(r, &conf->peers, on_frame, rpc, &rpc->peers, err);
    if (rc) {
        free(rpc);
        return rc;
    }
    metrics_of(rpc);
    *ret = rpc;
    return RC_OK;
}

static void metrics_of(struct rpc *rpc) {
    const struct rpc_stats *s = &rpc->stats;
    const struct metric list[] = {
        {"meridian_rpc_calls_total", "Requests sent.", "way=\"remote\"", METRIC_COUNTER, 1, &s->calls, NULL},
        {"meridian_rpc_calls_total", "Requests sent.", "way=\"local\"", METRIC_COUNTER, 1, &s->calls_local, NULL},
        {"meridian_rpc_failed_total", "Requests to other nodes that ended with an error.", "", METRIC_COUNTER, 1,
         &s->failed, NULL},
        {"meridian_rpc_late_answers_total", "Answers that nobody waited for.", "", METRIC_COUNTER, 1, &s->late_answers,
         NULL},
        {"meridian_rpc_served_total", "Handlers run.", "", METRIC_COUNTER, 1, &s->served, NULL},
        {"meridian_rpc_overloads_total", "Requests refused for overload.", "", METRIC_COUNTER, 1, &s->overloads, NULL},
        {"meridian_rpc_cancelled_total", "Handlers cancelled by who asked.", "", METRIC_COUNTER, 1, &s->cancelled,
         NULL},
        {"meridian_rpc_messages_lost_total", "One-way messages dropped here.", "", METRIC_COUNTER, 1, &s->messages_lost,
         NULL},
        {"meridian_rpc_calls", "Requests under way.", "", METRIC_GAUGE, 1, &s->calls_now, NULL},
        {"meridian_rpc_handlers", "Handlers running.", "", METRIC_GAUGE, 1, &s->handlers_now, NULL},
        {"meridian_rpc_streams", "Bulk streams open.", "", METRIC_GAUGE, 1, &s->streams_now, NULL},
        {"meridian_rpc_latency_seconds", "From request to answer, other nodes.", "", METRIC_HIST, 1e9, &s->latency_ns,
         NULL},
    };
    static_assert(ARRAY_LEN(list) == ARRAY_LEN(rpc->metrics), "room for all of them");
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        rpc->metrics[i] = list[i];
        metrics_add(&rpc->env->metrics, &rpc->metrics[i]);
    }
}

enum rc rpc_link(struct rpc *const *stores, uint16_t count) {
    struct peers **peers = calloc(count, sizeof(struct peers *));
    enum rc rc = peers ? RC_OK : RC_NOMEM;
    for (uint16_t i = 0; i < count && !rc; i++) {
        struct rpc *rpc = stores[i];
        CHECK(rpc->env->store == i && !rpc->stores);
        peers[i] = rpc->peers;
        rpc->stores = calloc(count, sizeof(struct rpc *));
        if (!rpc->stores)
            rc = RC_NOMEM;
        else
            memcpy(rpc->stores, stores, count * sizeof(struct rpc *));
    }
    if (!rc)
        rc = peers_link(peers, count);
    free(peers);
    return rc;
}

enum rc rpc_register(struct rpc *rpc, const struct rpc_service *service, void *ctx) {
    int kinds = (service->call != NULL) + (service->message != NULL) + (service->stream != NULL);
    CHECK(kinds <= 1 && service->type < RPC_TYPES_MAX && service->request);
    CHECK(!service->direct || service->message);
    if (rpc->services[service->type])
        return RC_EXISTS;
    struct service *s = calloc(1, sizeof *s);
    if (!s)
        return RC_NOMEM;
    s->s = service;
    s->ctx = ctx;
    rpc->services[service->type] = s;
    return RC_OK;
}

void rpc_stop(struct rpc *rpc) {
    if (rpc->stopping)
        return;
    rpc->stopping = true;
    fiber_group_cancel(&rpc->handlers);
    peers_stop(rpc->peers);
    map_for_each(n, &rpc->calls) { /* those to siblings, which are stopping too */
        struct call *c = container_of(n, struct call, node);
        if (c->done.set)
            continue;
        err_set(c->err, RC_CLOSED, "shutting down");
        event_set(&c->done, RC_CLOSED);
    }
}

bool rpc_idle(const struct rpc *rpc) {
    return rpc->handler_count == 0;
}

void rpc_free(struct rpc *rpc) {
    if (!rpc)
        return;
    CHECK(rpc_idle(rpc) && rpc->calls.count == 0 && rpc->streams.count == 0 && rpc->jobs.count == 0);
    peers_free(rpc->peers);
    for (struct job *j = rpc->free_jobs, *next; j; j = next) {
        next = j->next_free;
        arena_done(&j->arena);
        free(j);
    }
    for (size_t i = 0; i < RPC_TYPES_MAX; i++)
        free(rpc->services[i]);
    map_done(&rpc->calls);
    map_done(&rpc->jobs);
    map_done(&rpc->streams);
    arena_done(&rpc->scratch);
    free(rpc->stores);
    free(rpc);
}

enum rc rpc_listen(struct rpc *rpc, const char *addr, struct err *err) {
    return peers_listen(rpc->peers, addr, err);
}

const char *rpc_listen_addr(const struct rpc *rpc) {
    return peers_listen_addr(rpc->peers);
}

void rpc_set_address(struct rpc *rpc, uint32_t node, const char *addr) {
    peers_set_address(rpc->peers, node, addr);
}

void rpc_set_identity(struct rpc *rpc, const void *cluster, size_t cluster_bytes, uint32_t node) {
    peers_set_identity(rpc->peers, cluster, cluster_bytes, node);
}

void rpc_set_opening(struct rpc *rpc, bool opening) {
    rpc->opening = opening;
}

void rpc_disconnect(struct rpc *rpc, uint32_t node) {
    peer_disconnect(rpc->peers, node);
}

struct peers *rpc_peers(const struct rpc *rpc) {
    return rpc->peers;
}

struct reactor *rpc_reactor(const struct rpc *rpc) {
    return rpc->reactor;
}

struct store_addr rpc_self(const struct rpc *rpc) {
    return (struct store_addr){peers_conf(rpc->peers)->node, rpc->env->store};
}

const struct rpc_stats *rpc_stats(const struct rpc *rpc) {
    return &rpc->stats;
}

uint64_t rpc_next_id(struct rpc *rpc) {
    return rpc->next_id++;
}

struct service *rpc_service_of(struct rpc *rpc, uint16_t type) {
    return type < RPC_TYPES_MAX ? rpc->services[type] : NULL;
}

int64_t rpc_deadline_after(struct rpc *rpc, uint64_t timeout_ns) {
    return timeout_ns == 0 || timeout_ns > INT64_MAX ? DEADLINE_NONE
                                                     : reactor_deadline(rpc->reactor, (int64_t)timeout_ns);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void call_lost(struct peer_ticket *t, enum rc rc, const char *why) {
    struct call *c = container_of(t, struct call, ticket);
    char who[PEER_NAME_BYTES];
    if (c->done.set)
        return;
    store_addr_name(c->to, who, sizeof who);
    err_set(c->err, rc, "%s: %s", who, why);
    event_set(&c->done, rc);
}

static void call_begin(struct rpc *rpc, struct call *c) {
    c->id = rpc_next_id(rpc);
    event_init_unset(&c->done);
    peer_ticket_init(&c->ticket, call_lost);
    map_put(&rpc->calls, &c->node, hash_u64(c->id));
    gauge_set(&rpc->stats.calls_now, (int64_t)rpc->calls.count);
}

static void call_end(struct rpc *rpc, struct call *c) {
    map_del(&rpc->calls, &c->node);
    gauge_set(&rpc->stats.calls_now, (int64_t)rpc->calls.count);
    peer_ticket_drop(&c->ticket);
}

static struct call *call_find(struct rpc *rpc, uint64_t id) {
    for (struct map_node *n = map_first(&rpc->calls, hash_u64(id)); n; n = map_next(n)) {
        struct call *c = container_of(n, struct call, node);
        if (c->id == id && !c->done.set)
            return c;
    }
    return NULL;
}

/* Nobody waits any more: the other side may stop. Only an attempt. */
static void call_cancel(struct rpc *rpc, struct call *c) {
    struct frame f = {.kind = FRAME_CANCEL, .type = c->service->type, .id = c->id};
    if (c->ticket.conn)
        (void)!peer_answer(c->ticket.conn, true, &f, NULL);
    else if (ilist_linked(&c->ticket.link)) /* it still waits for a connection, and its cancel behind it */
        (void)!peer_send(rpc->peers, c->to, PEER_ORDINARY, &f, NULL, NULL, NULL);
}

static enum rc gave_up(const struct call *c, enum rc rc, struct err *err) {
    char who[PEER_NAME_BYTES];
    store_addr_name(c->to, who, sizeof who);
    return err_set(err, rc, "%s: %s: %s", c->service->name, who, rc_text(rc));
}

/* Waits for what was sent. RC_OK and other outcomes are the call's. */
static enum rc call_wait(struct rpc *rpc, struct call *c, int64_t deadline) {
    enum rc rc = event_wait(rpc->reactor, &c->done, deadline);
    if (c->done.set)
        return c->done.rc;
    return gave_up(c, rc, c->err);
}

static enum rc call_remote(struct rpc *rpc, struct call *c, const ProtobufCMessage *request, int64_t deadline,
                           int64_t now_ns) {
    struct frame f = {.kind = FRAME_REQUEST, .type = c->service->type};
    struct peer_body body = {.message = request};
    counter_inc(&rpc->stats.calls);
    call_begin(rpc, c);
    f.id = c->id;
    f.timeout_ns = deadline == DEADLINE_NONE ? 0 : (uint64_t)(deadline - now_ns);
    enum rc rc = peer_send(rpc->peers, c->to, PEER_ORDINARY, &f, &body, &c->ticket, c->err);
    if (!rc) {
        rc = call_wait(rpc, c, deadline);
        if (!c->done.set)
            call_cancel(rpc, c);
    }
    call_end(rpc, c);
    if (rc)
        counter_inc(&rpc->stats.failed);
    hist_add(&rpc->stats.latency_ns, env_now_ns(rpc->env) - now_ns);
    return rc;
}

/* The arena leaves with the request and comes back with the answer. */
static enum rc call_sibling(struct rpc *rpc, struct call *c, const ProtobufCMessage *request, int64_t deadline) {
    struct rpc *to = rpc->stores[c->to.store];
    struct local_call *lc = rpc_local_call_new(rpc, c->service->type, request);
    if (!lc)
        return err_set(c->err, RC_NOMEM, "out of memory");
    counter_inc(&rpc->stats.calls_local);
    call_begin(rpc, c);
    lc->id = c->id;
    lc->deadline = deadline;
    lc->arena = *c->arena;
    enum rc rc = mbox_send(&to->request_box, &lc->msg);
    if (rc) {
        free(lc); /* the arena is still the caller's */
        err_set(c->err, rc, "store %u: the mailbox is full, retry", c->to.store);
    } else {
        arena_init(c->arena, c->arena->bytes_max);
        rc = call_wait(rpc, c, deadline);
        if (!c->done.set) {
            struct frame f = {.kind = FRAME_CANCEL, .type = c->service->type, .id = c->id};
            (void)!peer_send(rpc->peers, c->to, PEER_ORDINARY, &f, NULL, NULL, NULL);
        }
    }
    call_end(rpc, c);
    lc = c->local;
    if (lc) {
        *c->arena = lc->arena;
        c->response = lc->response;
        if (rc && c->err)
            *c->err = lc->err;
        free(lc);
    }
    return rc;
}

enum rc rpc_call(struct rpc *rpc, struct store_addr to, uint16_t type, const ProtobufCMessage *request, struct arena *a,
                 int64_t deadline, ProtobufCMessage **ret_response, struct err *err) {
    struct service *service = rpc_service_of(rpc, type);
    int64_t now = env_now_ns(rpc->env), fiber_ends = fiber_deadline(rpc->reactor);
    CHECK(service && service->s->response && request->descriptor == service->s->request);
    if (fiber_ends < deadline)
        deadline = fiber_ends;
    struct call c = {.to = to, .service = service->s, .arena = a, .err = err};
    if (rpc->stopping)
        return err_set(err, RC_SHUTDOWN, "shutting down");
    if (deadline <= now)
        return gave_up(&c, RC_TIMEOUT, err);
    if (rpc->calls.count >= rpc->conf.calls_max)
        return err_set(err, RC_OVERLOAD, "%zu requests are under way, which is the limit", rpc->calls.count);
    enum rc rc;
    if (to.node != peers_conf(rpc->peers)->node) {
        rc = call_remote(rpc, &c, request, deadline, now);
    } else if (to.store >= rpc->env->store_count || (to.store != rpc->env->store && !rpc->stores)) {
        return err_set(err, RC_UNREACHABLE, "this node has no store %u", to.store);
    } else if (to.store == rpc->env->store) {
        counter_inc(&rpc->stats.calls_local);
        rc = rpc_call_own(rpc, service, request, a, deadline, &c.response, err);
    } else {
        rc = call_sibling(rpc, &c, request, deadline);
    }
    if (!rc)
        *ret_response = c.response;
    return rc;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void on_answer(struct rpc *rpc, struct peer_conn *conn, const struct frame *f) {
    struct call *c = call_find(rpc, f->id);
    enum rc rc;
    if (!c || !peer_conn_is(conn, c->to) || c->service->type != f->type || c->local) {
        env_probe(rpc->env, "rpc: late answer dropped");
        counter_inc(&rpc->stats.late_answers);
        return;
    }
    if (f->kind == FRAME_ERROR)
        rc = status_parse(f->payload, f->payload_bytes, c->err);
    else
        rc = rpc_unpack(c->service, c->service->response, c->arena, f->payload, f->payload_bytes, &c->response, c->err);
    event_set(&c->done, rc);
}

void rpc_on_local_answer(void *ctx, struct mbox_msg *msg) {
    struct rpc *rpc = ctx;
    struct local_call *lc = container_of(msg, struct local_call, msg);
    struct call *c = call_find(rpc, lc->id);
    if (!c) {
        counter_inc(&rpc->stats.late_answers);
        rpc_local_call_free(lc);
        return;
    }
    c->local = lc;
    event_set(&c->done, lc->rc);
}

static void on_frame(void *ctx, struct peer_conn *conn, const struct frame *f) {
    struct rpc *rpc = ctx;
    switch (f->kind) {
    case FRAME_RESPONSE:
    case FRAME_ERROR:
        on_answer(rpc, conn, f);
        break;
    case FRAME_STREAM_OPEN:
    case FRAME_STREAM_CHUNK:
    case FRAME_STREAM_CREDIT:
    case FRAME_STREAM_END:
    case FRAME_STREAM_RESET:
        rpc_stream_on_frame(rpc, conn, f);
        break;
    default:
        rpc_serve_frame(rpc, conn, f);
    }
}

/* ---- one-way ----------------------------------------------------------------------------------------------------- */

enum rc rpc_send(struct rpc *rpc, struct store_addr to, uint16_t type, const ProtobufCMessage *message, struct arena *a,
                 struct err *err) {
    struct service *service = rpc_service_of(rpc, type);
    CHECK(service && message->descriptor == service->s->request);
    if (rpc->stopping)
        return err_set(err, RC_SHUTDOWN, "shutting down");
    if (to.node == peers_conf(rpc->peers)->node)
        return rpc_send_local(rpc, service, to.store, message, a, err);
    struct frame f = {.kind = FRAME_ONEWAY, .type = type};
    struct peer_body body = {.message = message};
    enum rc rc = peer_send(rpc->peers, to, PEER_ORDINARY, &f, &body, NULL, err);
    if (a)
        arena_reset(a);
    return rc;
}
