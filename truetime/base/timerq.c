/* SPDX-License-Identifier: Apache-2.0 */
/* timerq.c: the pairing heap; melding is the one operation, everything else is made of it. */
#include "truetime/base/timerq.h"

static bool before(const struct timer *a, const struct timer *b) {
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

/* Two roots without siblings become one. Either may be NULL. */
static struct timer *meld(struct timer *a, struct timer *b) {
    if (!a || !b)
        return a ? a : b;
    if (before(b, a)) {
        struct timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* The two-pass merge of a list of siblings into one root. */
static struct timer *meld_siblings(struct timer *first) {
    struct timer *pairs = NULL; /* chained through next, last pair first */
    while (first) {
        struct timer *a = first, *b = a->next, *rest = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
        first = rest;
    }
    struct timer *root = NULL;
    while (pairs) {
        struct timer *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void take_out(struct timerq *q, struct timer *t) {
    struct timer *below = meld_siblings(t->child);
    if (t == q->root) {
        q->root = below;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        q->root = meld(q->root, below);
    }
    t->child = t->next = t->prev = NULL;
    t->order = 0;
    q->count--;
}

void timerq_set(struct timerq *q, struct timer *t, int64_t due_ns) {
    if (timer_is_set(t))
        take_out(q, t);
    t->due_ns = due_ns;
    t->order = ++q->order;
    t->child = t->next = t->prev = NULL;
    q->root = meld(q->root, t);
    q->count++;
}

void timerq_cancel(struct timerq *q, struct timer *t) {
    if (timer_is_set(t))
        take_out(q, t);
}

struct timer *timerq_pop(struct timerq *q, int64_t now_ns) {
    struct timer *t = q->root;
    if (!t || t->due_ns > now_ns)
        return NULL;
    take_out(q, t);
    return t;
}
