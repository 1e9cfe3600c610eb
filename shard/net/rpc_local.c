/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc_local.c: calls and messages within the process.
 *
 * To the own store: a handler in a new fiber, on the caller's message and arena. A caller that gives up cancels it
 * and waits until it has unwound, since the memory is the caller's.
 *
 * To a sibling: a struct local_call carries the arena there and back. A caller that gives up does not wait: the arena
 * is then the handler's, and goes when its answer finds nobody.
 */
#include <stdlib.h>

#include "shard/net/rpc_internal.h"

struct local_call *rpc_local_call_new(struct rpc *rpc, uint16_t type, const ProtobufCMessage *message) {
    struct local_call *lc = calloc(1, sizeof *lc);
    if (!lc)
        return NULL;
    lc->from = rpc;
    lc->sender = rpc_self(rpc);
    lc->type = type;
    lc->request = message;
    lc->deadline = DEADLINE_NONE;
    return lc;
}

void rpc_local_call_free(struct local_call *lc) {
    arena_done(&lc->arena);
    free(lc);
}

/* ---- the own store ----------------------------------------------------------------------------------------------- */

enum rc rpc_call_own(struct rpc *rpc, struct service *service, const ProtobufCMessage *request, struct arena *a,
                     int64_t deadline, ProtobufCMessage **ret_response, struct err *err) {
    struct own_call own = {.err = err};
    struct service *s;
    event_init_unset(&own.done);
    enum rc rc = rpc_admit(rpc, service->s->type, FRAME_REQUEST, true, &s, err);
    if (rc)
        return rc;
    struct job *j = rpc_job_new(rpc, s);
    if (!j)
        return err_set(err, RC_NOMEM, "out of memory");
    j->own = &own;
    j->q.arena = a;
    j->q.message = request;
    j->q.from = rpc_self(rpc);
    j->q.member = true;
    j->q.deadline = deadline;
    rc = rpc_job_start(j, err);
    if (rc) {
        rpc_job_free(j);
        return rc;
    }
    rc = event_wait(rpc->reactor, &own.done, deadline);
    if (!own.done.set) {
        rpc_job_cancel(j);
        fiber_shield_begin(rpc->reactor);
        (void)!event_wait(rpc->reactor, &own.done, DEADLINE_NONE);
        fiber_shield_end(rpc->reactor);
        return err_set(err, rc, "%s: %s", service->s->name, rc_text(rc));
    }
    if (!own.rc)
        *ret_response = own.response;
    return own.rc;
}

/* ---- siblings ---------------------------------------------------------------------------------------------------- */

void rpc_local_answer(struct rpc *rpc, struct local_call *lc, enum rc rc, ProtobufCMessage *response,
                      const struct err *err) {
    if (lc->oneway) {
        if (rc)
            counter_inc(&rpc->stats.messages_lost);
        rpc_local_call_free(lc);
        return;
    }
    lc->rc = rc;
    lc->response = response;
    if (rc)
        lc->err = *err;
    (void)!mbox_send(&lc->from->answer_box, &lc->msg); /* has no bound: cannot fail */
}

static enum rc run_on_fiber(struct rpc *rpc, struct service *s, struct local_call *lc, struct err *err) {
    struct job *j = rpc_job_new(rpc, s);
    if (!j)
        return err_set(err, RC_NOMEM, "out of memory");
    j->local = lc;
    j->q.arena = &lc->arena;
    j->q.message = lc->request;
    j->q.from = lc->sender;
    j->q.member = true;
    j->q.deadline = lc->deadline;
    enum rc rc = rpc_job_start(j, err);
    if (rc)
        rpc_job_free(j);
    else if (!lc->oneway)
        rpc_job_register(j, lc->id);
    return rc;
}

void rpc_on_local_request(void *ctx, struct mbox_msg *msg) {
    struct rpc *rpc = ctx;
    struct local_call *lc = container_of(msg, struct local_call, msg);
    struct err err = {0};
    struct service *s;
    if (rpc->stopping) { /* the stores of a process stop together: its caller is gone, or about to go */
        rpc_local_call_free(lc);
        return;
    }
    enum rc rc = rpc_admit(rpc, lc->type, lc->oneway ? FRAME_ONEWAY : FRAME_REQUEST, true, &s, &err);
    if (!rc && s->s->direct) {
        struct rpc_request q = {.rpc = rpc,
                                .from = lc->sender,
                                .member = true,
                                .deadline = DEADLINE_NONE,
                                .arena = &lc->arena,
                                .message = lc->request};
        counter_inc(&rpc->stats.served);
        s->s->message(s->ctx, &q);
        rpc_local_call_free(lc);
        return;
    }
    if (!rc)
        rc = run_on_fiber(rpc, s, lc, &err);
    if (rc) {
        if (rc == RC_OVERLOAD)
            counter_inc(&rpc->stats.overloads);
        rpc_local_answer(rpc, lc, rc, NULL, &err);
    }
}

/* A copy of m in a: for a message whose memory stays with the sender. */
static enum rc copy_message(const ProtobufCMessage *m, struct arena *a, const ProtobufCMessage **ret) {
    ProtobufCMessage *copy;
    size_t bytes = pb_bytes(m);
    uint8_t *packed = arena_alloc(a, bytes);
    if (!packed)
        return RC_NOMEM;
    protobuf_c_message_pack(m, packed);
    enum rc rc = pb_unpack(m->descriptor, a, packed, bytes, &copy);
    if (!rc)
        *ret = copy;
    return rc;
}

enum rc rpc_send_local(struct rpc *rpc, struct service *service, uint16_t store, const ProtobufCMessage *message,
                       struct arena *a, struct err *err) {
    struct local_call *lc = rpc_local_call_new(rpc, service->s->type, message);
    enum rc rc = RC_OK;
    if (!lc)
        rc = err_set(err, RC_NOMEM, "out of memory");
    else if (store >= rpc->env->store_count || !rpc->stores)
        rc = err_set(err, RC_UNREACHABLE, "this node has no store %u", store);
    if (a && lc) {
        lc->arena = *a;
        arena_init(a, a->bytes_max);
    } else if (lc) {
        arena_init(&lc->arena, rpc->conf.arena_bytes_max);
        if (!rc && copy_message(message, &lc->arena, &lc->request))
            rc = err_set(err, RC_NOMEM, "out of memory");
    }
    if (!rc) {
        lc->oneway = true;
        rc = mbox_send(&rpc->stores[store]->request_box, &lc->msg);
        if (rc)
            err_set(err, rc, "store %u: the mailbox is full", store);
    }
    if (rc && lc)
        rpc_local_call_free(lc);
    return rc;
}
