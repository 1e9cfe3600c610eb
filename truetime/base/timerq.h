/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timerq.h: the timers of one event loop, an intrusive pairing heap by due time; both envs keep theirs in one.
 *
 * Promise     Setting a timer cannot fail: its links are in the timer itself, which lives in its owner's object. Set is O(1),
 *             pop and cancel O(log n) amortised. Timers due at the same time fire in the order in which they were set.
 * Relies on   the owner cancelling a timer before its memory goes.
 * Threads     one.
 * Source      Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", 1986 (two-pass merge).
 */
#ifndef MERIDIAN_BASE_TIMERQ_H
#define MERIDIAN_BASE_TIMERQ_H

#include "truetime/base/check.h"

struct timer {
    void (*on_fire)(void *ctx);
    void *ctx;
    int64_t due_ns;
    uint64_t order;                    /* breaks ties; 0 = not set */
    struct timer *child, *next, *prev; /* first child; siblings; prev of a first child is its parent */
};

struct timerq {
    struct timer *root;
    uint64_t order;
    size_t count;
};

static inline void timer_init(struct timer *t, void (*on_fire)(void *ctx), void *ctx) {
    *t = (struct timer){.on_fire = on_fire, .ctx = ctx};
}

static inline bool timer_is_set(const struct timer *t) {
    return t->order != 0;
}

static inline void timerq_init(struct timerq *q) {
    *q = (struct timerq){0};
}

/* Sets, or sets anew. */
void timerq_set(struct timerq *q, struct timer *t, int64_t due_ns);
void timerq_cancel(struct timerq *q, struct timer *t); /* harmless when not set */
/* The earliest due time; INT64_MAX when there is none. */
static inline int64_t timerq_due(const struct timerq *q) {
    return q->root ? q->root->due_ns : INT64_MAX;
}
/* Takes out the earliest timer if it is due by now_ns, else NULL. The caller fires it. */
struct timer *timerq_pop(struct timerq *q, int64_t now_ns);

#endif
