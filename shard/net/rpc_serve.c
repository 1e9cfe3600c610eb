/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc_serve.c: the answering side.
 *
 * A job is one run of a handler: it owns the arena of the request and knows whom to answer. Jobs are kept for reuse
 * with their arenas, so a small request costs no malloc. Each ends in one place, job_main, whatever the handler did;
 * a job that was cancelled before it ran does not run.
 */
#include <stdlib.h>

#include "shard/net/rpc_internal.h"
#include "shard/net/status.h"

static void job_main(void *arg);

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

static void job_lost(struct peer_ticket *t, enum rc rc, const char *why) {
    (void)rc, (void)why;
    rpc_job_cancel(container_of(t, struct job, ticket));
}

struct job *rpc_job_new(struct rpc *rpc, struct service *service) {
    struct job *j = rpc->free_jobs;
    if (j) {
        rpc->free_jobs = j->next_free;
        rpc->free_job_count--;
    } else {
        j = calloc(1, sizeof *j);
        if (!j)
            return NULL;
        arena_init(&j->arena, rpc->conf.arena_bytes_max);
    }
    *j = (struct job){.rpc = rpc, .service = service, .arena = j->arena};
    j->q = (struct rpc_request){.rpc = rpc, .arena = &j->arena, .deadline = DEADLINE_NONE};
    peer_ticket_init(&j->ticket, job_lost);
    service->running++;
    gauge_set(&rpc->stats.handlers_now, (int64_t)++rpc->handler_count);
    return j;
}

void rpc_job_free(struct job *j) {
    struct rpc *rpc = j->rpc;
    j->service->running--;
    gauge_set(&rpc->stats.handlers_now, (int64_t)--rpc->handler_count);
    peer_ticket_drop(&j->ticket);
    if (j->registered)
        map_del(&rpc->jobs, &j->node);
    if (j->arena.bytes > JOB_ARENA_KEPT_BYTES || rpc->free_job_count >= JOBS_KEPT_MAX)
        arena_done(&j->arena);
    else
        arena_reset(&j->arena);
    if (rpc->free_job_count >= JOBS_KEPT_MAX) {
        free(j);
        return;
    }
    j->next_free = rpc->free_jobs;
    rpc->free_jobs = j;
    rpc->free_job_count++;
}

void rpc_job_cancel(struct job *j) {
    if (j->cancelled)
        return;
    j->cancelled = true;
    counter_inc(&j->rpc->stats.cancelled);
    if (j->fiber)
        fiber_cancel(j->fiber);
}

enum rc rpc_job_start(struct job *j, struct err *err) {
    const struct rpc_service *s = j->service->s;
    enum rc rc = fiber_spawn(j->rpc->reactor, &j->rpc->handlers, s->size, s->name, job_main, j);
    return rc ? err_set(err, rc, "%s: %s", s->name, rc_text(rc)) : RC_OK;
}

void rpc_job_register(struct job *j, uint64_t id) {
    j->id = id;
    j->registered = true;
    map_put(&j->rpc->jobs, &j->node, hash_u64(id));
}

struct job *rpc_job_find(struct rpc *rpc, struct peer_conn *conn, uint64_t id) {
    struct store_addr from = peer_conn_addr(conn);
    for (struct map_node *n = map_first(&rpc->jobs, hash_u64(id)); n; n = map_next(n)) {
        struct job *j = container_of(n, struct job, node);
        /* Strangers all have number 0: only the connection tells them apart. */
        if (j->id == id && store_addr_eq(j->q.from, from) && (from.node || j->local || j->ticket.conn == conn))
            return j;
    }
    return NULL;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void send_error(struct peer_conn *conn, uint16_t type, uint64_t id, enum rc rc, const struct err *err) {
    Wire__Status status;
    struct status_objects objects;
    struct frame f = {.kind = FRAME_ERROR, .type = type, .id = id};
    struct peer_body body = {.message = &status.base};
    status_from_err(&status, rc, err, &objects);
    (void)!peer_answer(conn, true, &f, &body); /* who asked finds out by its deadline, or that we are gone */
}

void rpc_refuse(struct rpc *rpc, struct peer_conn *conn, const struct frame *f, enum rc rc, const struct err *err) {
    Wire__Status status;
    struct status_objects objects;
    if (rc == RC_OVERLOAD)
        counter_inc(&rpc->stats.overloads);
    if (f->kind == FRAME_REQUEST) {
        send_error(conn, f->type, f->id, rc, err);
    } else if (f->kind == FRAME_STREAM_OPEN) {
        struct frame reset = {.kind = FRAME_STREAM_RESET, .type = f->type, .id = f->id};
        struct peer_body body = {.message = &status.base};
        status_from_err(&status, rc, err, &objects);
        (void)!peer_answer(conn, true, &reset, &body);
    } else {
        counter_inc(&rpc->stats.messages_lost);
        diag_debug(&rpc->env->diag, "rpc: message dropped", "peer=\"%s\" type=%u reason=\"%s\"", peer_conn_name(conn),
                   f->type, err_message(err));
    }
}

static void answer_remote(struct job *j, enum rc rc, ProtobufCMessage *response, struct err *err) WAITS;
static void answer_remote(struct job *j, enum rc rc, ProtobufCMessage *response, struct err *err) {
    const struct rpc_service *s = j->service->s;
    if (!j->ticket.conn)
        return; /* nobody there any more */
    if (env_chance(j->rpc->env, "rpc: answer lost"))
        return;
    if (!rc) {
        struct frame f = {.kind = FRAME_RESPONSE, .type = s->type, .id = j->id};
        struct peer_body body = {.message = response};
        size_t bytes = FRAME_HEAD_BYTES + (response ? pb_bytes(response) : 0);
        /* One answer waits here, in its own memory, rather than all of them in the queue. */
        while ((rc = peer_answer(j->ticket.conn, false, &f, &body)) == RC_OVERLOAD) {
            rc = peer_wait_room(j->rpc->peers, &j->ticket, bytes, DEADLINE_NONE);
            if (rc)
                return; /* out of time, or nobody there any more */
        }
        if (rc)
            err_set(err, rc, "%s: the answer could not be sent: %s", s->name, rc_text(rc));
    }
    if (rc && j->ticket.conn)
        send_error(j->ticket.conn, s->type, j->id, rc, err);
}

static void job_finish(struct job *j, enum rc rc, ProtobufCMessage *response, struct err *err) {
    if (!rc && response)
        CHECK(response->descriptor == j->service->s->response);
    if (rc && err->rc != rc)
        err_set(err, rc, "%s: %s", j->service->s->name, rc_text(rc));
    if (j->stream)
        rpc_stream_finish(j->stream, rc, err);
    else if (j->own) {
        j->own->response = response;
        j->own->rc = rc;
        if (rc && j->own->err)
            *j->own->err = *err;
        event_set(&j->own->done, RC_OK);
    } else if (j->local)
        rpc_local_answer(j->rpc, j->local, rc, response, err);
    else if (j->answers && !j->cancelled)
        answer_remote(j, rc, response, err);
}

static void job_main(void *arg) {
    struct job *j = arg;
    struct rpc *rpc = j->rpc;
    const struct rpc_service *s = j->service->s;
    ProtobufCMessage *response = NULL;
    struct err err = {0};
    enum rc rc = RC_CANCELLED;
    j->fiber = fiber_self(rpc->reactor);
    fiber_set_deadline(rpc->reactor, j->q.deadline);
    counter_inc(&rpc->stats.served);
    if (j->cancelled)
        env_probe(rpc->env, "rpc: cancelled before it ran");
    else if (s->call)
        rc = s->call(j->service->ctx, &j->q, &response, &err);
    else if (s->stream)
        rc = s->stream(j->service->ctx, &j->q, j->stream, &err);
    else
        s->message(j->service->ctx, &j->q);
    job_finish(j, rc, response, &err);
    j->fiber = NULL;
    rpc_job_free(j);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static bool takes(const struct rpc_service *s, enum frame_kind kind) {
    return kind == FRAME_REQUEST ? s->call != NULL : kind == FRAME_ONEWAY ? s->message != NULL : s->stream != NULL;
}

enum rc rpc_admit(struct rpc *rpc, uint16_t type, enum frame_kind kind, bool member, struct service **ret,
                  struct err *err) {
    struct service *s = rpc_service_of(rpc, type);
    if (rpc->stopping)
        return err_set(err, RC_SHUTDOWN, "shutting down");
    if (rpc->opening && (!s || !takes(s->s, kind)))
        return err_set(err, RC_UNREACHABLE, "this store is being opened");
    if (!s || !takes(s->s, kind)) {
        err_set(err, RC_UNSUPPORTED, "a %s of type %u is not served here", frame_kind_name(kind), type);
        err_hint(err, "The two nodes may run different versions.");
        return RC_UNSUPPORTED;
    }
    if (!member && !s->s->strangers)
        return err_set(err, RC_WRONG_CLUSTER, "%s is for members of the cluster only", s->s->name);
    uint32_t max = s->s->handlers_max ? s->s->handlers_max : SERVICE_HANDLERS_MAX;
    if (s->running >= max || rpc->handler_count >= rpc->conf.handlers_max) {
        err_set(err, RC_OVERLOAD, "%s: overloaded, retry", s->s->name);
        err_detail(err, "handlers=%u all_handlers=%zu", s->running, rpc->handler_count);
        return RC_OVERLOAD;
    }
    *ret = s;
    return RC_OK;
}

enum rc rpc_unpack(const struct rpc_service *s, const ProtobufCMessageDescriptor *type, struct arena *a,
                   const uint8_t *p, size_t bytes, ProtobufCMessage **ret, struct err *err) {
    enum rc rc = pb_unpack(type, a, p, bytes, ret);
    if (rc == RC_NOMEM)
        return err_set(err, RC_LIMIT, "%s: a message of %zu bytes unpacks to more than %zu", s->name, bytes,
                       a->bytes_max);
    return rc ? err_set(err, rc, "%s: %zu bytes are no %s", s->name, bytes, type->name) : RC_OK;
}

/* Where it was read, on nobody's fiber. */
static void run_direct(struct rpc *rpc, struct service *s, struct peer_conn *conn, const struct frame *f) {
    struct rpc_request q = {.rpc = rpc,
                            .from = peer_conn_addr(conn),
                            .member = peer_conn_member(conn),
                            .deadline = DEADLINE_NONE,
                            .arena = &rpc->scratch};
    ProtobufCMessage *m;
    struct err err = {0};
    enum rc rc = rpc_unpack(s->s, s->s->request, &rpc->scratch, f->payload, f->payload_bytes, &m, &err);
    if (rc) {
        rpc_refuse(rpc, conn, f, rc, &err);
    } else {
        q.message = m;
        counter_inc(&rpc->stats.served);
        s->s->message(s->ctx, &q);
    }
    if (rpc->scratch.bytes > JOB_ARENA_KEPT_BYTES)
        arena_done(&rpc->scratch);
    else
        arena_reset(&rpc->scratch);
}

static enum rc run_on_fiber(struct rpc *rpc, struct service *s, struct peer_conn *conn, const struct frame *f,
                            struct err *err) {
    ProtobufCMessage *m;
    struct job *j = rpc_job_new(rpc, s);
    if (!j)
        return err_set(err, RC_NOMEM, "out of memory");
    enum rc rc = rpc_unpack(s->s, s->s->request, &j->arena, f->payload, f->payload_bytes, &m, err);
    if (!rc) {
        j->q.message = m;
        j->q.from = peer_conn_addr(conn);
        j->q.member = peer_conn_member(conn);
        j->q.deadline = rpc_deadline_after(rpc, f->timeout_ns);
        j->answers = f->kind == FRAME_REQUEST;
        rc = rpc_job_start(j, err);
    }
    if (rc) {
        rpc_job_free(j);
        return rc;
    }
    if (j->answers) {
        rpc_job_register(j, f->id);
        peer_watch(conn, &j->ticket);
    }
    return RC_OK;
}

void rpc_serve_frame(struct rpc *rpc, struct peer_conn *conn, const struct frame *f) {
    struct err err = {0};
    struct service *s;
    if (f->kind == FRAME_CANCEL) {
        struct job *j = rpc_job_find(rpc, conn, f->id);
        if (j)
            rpc_job_cancel(j);
        return;
    }
    if (f->kind == FRAME_REQUEST && rpc_job_find(rpc, conn, f->id)) {
        env_probe(rpc->env, "rpc: doubled request dropped");
        return;
    }
    enum rc rc = rpc_admit(rpc, f->type, (enum frame_kind)f->kind, peer_conn_member(conn), &s, &err);
    if (!rc && f->kind == FRAME_REQUEST && peer_conn_full(conn))
        rc = err_set(&err, RC_OVERLOAD, "%s: earlier answers are not read yet, retry", s->s->name);
    if (!rc && s->s->direct) {
        run_direct(rpc, s, conn, f);
        return;
    }
    if (!rc)
        rc = run_on_fiber(rpc, s, conn, f, &err);
    if (rc)
        rpc_refuse(rpc, conn, f, rc, &err);
}
