/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the reactors of a process; run under ThreadSanitizer too. */
#include "shard/runtime/mailbox.h"

#include <stdlib.h>

#include "shard/runtime/env_real.h"
#include "shard/runtime/fiber.h"
#include "tests/lib/tap.h"

enum { STORES = 4, MESSAGES = 20000, WINDOW = 64 };

struct message {
    struct mbox_msg msg;
    uint32_t from, number;
    char *payload; /* moves with the message */
};

struct store {
    struct reactor *r;
    struct mbox box;
    uint32_t next[STORES]; /* expected number from each sender */
    uint64_t received, sent, overloads;
    bool out_of_order;
    struct shared *shared;
    struct env_post post;
    struct waitq room;
};

struct shared {
    struct store store[STORES];
    struct process *process;
    _Atomic int finished;
};

static void on_message(void *ctx, struct mbox_msg *msg) {
    struct store *s = ctx;
    struct message *m = container_of(msg, struct message, msg);
    s->out_of_order |= m->number != s->next[m->from]++ || *m->payload != (char)m->number;
    free(m->payload);
    free(m);
    if (++s->received == (uint64_t)MESSAGES * (STORES - 1) &&
        atomic_fetch_add(&s->shared->finished, 1) == 2 * STORES - 1)
        process_stop(s->shared->process);
}

static void sender(void *arg) {
    struct store *me = arg;
    uint32_t self = (uint32_t)(me - me->shared->store);
    for (uint32_t i = 0; i < MESSAGES; i++)
        for (uint32_t to = 0; to < STORES; to++) {
            if (to == self)
                continue;
            struct message *m = malloc(sizeof *m);
            *m = (struct message){.from = self, .number = i, .payload = malloc(1)};
            *m->payload = (char)i;
            while (mbox_send(&me->shared->store[to].box, &m->msg) != RC_OK) {
                me->overloads++;
                if (fiber_yield(me->r) != RC_OK)
                    return;
            }
            me->sent++;
        }
    if (atomic_fetch_add(&me->shared->finished, 1) == 2 * STORES - 1)
        process_stop(me->shared->process);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct shared *sh = arg;
    (void)err;
    for (uint16_t i = 0; i < count; i++) {
        struct store *s = &sh->store[i];
        s->shared = sh;
        mbox_init(&s->box, stores[i], WINDOW, on_message, s);
        if (reactor_new(stores[i], NULL, &s->r) || fiber_spawn(s->r, NULL, FIBER_SMALL, "sender", sender, s))
            return RC_NOMEM;
    }
    *ret_state = sh;
    return RC_OK;
}

static void stop(void *state, uint16_t store) {
    reactor_stop(((struct shared *)state)->store[store].r);
}

static bool stopped(void *state, uint16_t store) {
    return reactor_idle(((struct shared *)state)->store[store].r);
}

static void done(void *state) {
    for (int i = 0; i < STORES; i++)
        reactor_free(((struct shared *)state)->store[i].r);
}

/* Every store floods every other through small mailboxes: all arrives, once, in order. */
static void all_to_all(void) {
    static const struct program program = {boot, stop, stopped, done};
    struct shared *sh = calloc(1, sizeof *sh);
    struct process_conf conf = {.stores = STORES, .level = DIAG_WARN};
    struct err err = {0};
    EQ_INT(process_new(&conf, &sh->process, &err), RC_OK);
    EQ_INT(process_start(sh->process, &program, sh, &err), RC_OK);
    process_join(sh->process);
    uint64_t overloads = 0;
    for (int i = 0; i < STORES; i++) {
        EQ_INT(sh->store[i].received, (int64_t)MESSAGES * (STORES - 1));
        EQ_INT(sh->store[i].sent, (int64_t)MESSAGES * (STORES - 1));
        OK(!sh->store[i].out_of_order);
        overloads += sh->store[i].overloads;
    }
    OK(overloads > 0); /* the bound was felt, nothing was lost by it */
    process_free(sh->process);
    free(sh);
}

int main(void) {
    RUN(all_to_all);
    return tap_done();
}
