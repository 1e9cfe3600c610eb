/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox.h: messages between the reactors of a process.
 *
 * Promise     mbox_send from any thread; on_message runs on the receiving store's thread, in the order of sending per
 *             sender. What a message points to moves with it: the sender lets go of it at mbox_send. A mailbox holds at
 *             most `max` messages: past it the sender gets RC_OVERLOAD and keeps the message.
 * Relies on   env_post.
 */
#ifndef MERIDIAN_RUNTIME_MAILBOX_H
#define MERIDIAN_RUNTIME_MAILBOX_H

#include <stdatomic.h>

#include "truetime/base/env.h"

struct mbox_msg;

struct mbox {
    struct env *env; /* the receiver's */
    void (*on_message)(void *ctx, struct mbox_msg *msg);
    void *ctx;
    size_t max;
    _Atomic size_t count; /* sent and not yet received */
};

/* First in the sender's own message structure. */
struct mbox_msg {
    struct env_post post;
    struct mbox *to;
};

void mbox_init(struct mbox *m, struct env *env, size_t max, void (*on_message)(void *ctx, struct mbox_msg *msg),
               void *ctx);
enum rc mbox_send(struct mbox *to, struct mbox_msg *msg) MUST_CHECK;

#endif
