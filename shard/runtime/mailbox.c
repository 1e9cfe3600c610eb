/* SPDX-License-Identifier: Apache-2.0 */
/* mailbox.c: a bound and a receiver around env_post. */
#include "shard/runtime/mailbox.h"

void mbox_init(struct mbox *m, struct env *env, size_t max, void (*on_message)(void *ctx, struct mbox_msg *msg),
               void *ctx) {
    m->env = env;
    m->on_message = on_message;
    m->ctx = ctx;
    m->max = max;
    atomic_init(&m->count, 0);
}

static void receive(struct env_post *p) {
    struct mbox_msg *msg = container_of(p, struct mbox_msg, post);
    struct mbox *m = msg->to;
    atomic_fetch_sub_explicit(&m->count, 1, memory_order_relaxed);
    m->on_message(m->ctx, msg);
}

enum rc mbox_send(struct mbox *to, struct mbox_msg *msg) {
    if (atomic_fetch_add_explicit(&to->count, 1, memory_order_relaxed) >= to->max) {
        atomic_fetch_sub_explicit(&to->count, 1, memory_order_relaxed);
        return RC_OVERLOAD;
    }
    msg->to = to;
    msg->post.fn = receive;
    env_post(to->env, &msg->post);
    return RC_OK;
}
