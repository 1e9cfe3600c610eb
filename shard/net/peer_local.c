/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_local.c: frames between the stores of one process, through mailboxes. Requests do not come this way (rpc.c moves
 * their messages whole), but streams and cancels do, so that they are written once for all distances.
 */
#include <stdlib.h>

#include "shard/net/peer_internal.h"

struct local_frame {
    struct mbox_msg msg;
    uint16_t from;
    uint8_t data[];
};

static void on_local(void *ctx, struct mbox_msg *msg) {
    struct peers *ps = ctx;
    struct local_frame *l = container_of(msg, struct local_frame, msg);
    struct frame f;
    size_t n;
    if (!ps->stopping) {
        enum frame_status s = frame_parse(l->data, frame_length(l->data), FRAME_BULK_PAYLOAD_BYTES_MAX, &f, &n);
        CHECK(s == FRAME_OK); /* our own process made it */
        ps->on_frame(ps->ctx, ps->local[l->from], &f);
    }
    free(l);
}

enum rc peer_local_init(struct peers *ps) {
    uint16_t count = ps->env->store_count;
    mbox_init(&ps->local_box, ps->env, LOCAL_FRAMES_MAX, on_local, ps);
    ps->local = calloc(count, sizeof(struct peer_conn *));
    for (uint16_t i = 0; ps->local && i < count; i++) {
        struct peer_conn *c = pconn_new(ps, CONN_LOCAL, PEER_BULK, NULL);
        if (!c)
            return RC_NOMEM;
        c->addr = (struct store_addr){ps->conf.node, i};
        c->number = ps->conf.node;
        ps->local[i] = c;
    }
    return ps->local ? RC_OK : RC_NOMEM;
}

void peer_local_done(struct peers *ps) {
    for (uint16_t i = 0; ps->local && i < ps->env->store_count; i++) {
        if (ps->local[i])
            pconn_close(ps->local[i], RC_SHUTDOWN, "shutting down");
        ps->local[i] = NULL;
    }
}

enum rc peer_local_send(struct peer_conn *c, const struct frame *f, const struct peer_body *body) {
    struct peers *ps = c->ps;
    size_t bytes = frame_body_bytes(body);
    CHECK(ps->siblings); /* peers_link comes first */
    struct local_frame *l = malloc(sizeof *l + FRAME_HEAD_BYTES + bytes);
    if (!l)
        return RC_NOMEM;
    l->from = ps->env->store;
    frame_write(ps, l->data, c->addr, f, body, bytes);
    frame_seal(l->data, 0, 0);
    enum rc rc = mbox_send(&ps->siblings[c->addr.store]->local_box, &l->msg);
    if (rc)
        free(l);
    return rc;
}
