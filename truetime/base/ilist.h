/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ilist.h: intrusive doubly linked list, circular with a head.
 *
 * Promise     O(1) insert and remove; a node that is not on a list is self-linked, so ilist_del is harmless twice.
 * Relies on   the owner of the nodes keeping them alive while linked.
 * Threads     one at a time.
 */
#ifndef MERIDIAN_BASE_ILIST_H
#define MERIDIAN_BASE_ILIST_H

#include "truetime/base/check.h"

struct ilist {
    struct ilist *next, *prev;
};

static inline void ilist_init(struct ilist *l) {
    l->next = l->prev = l;
}

static inline bool ilist_empty(const struct ilist *l) {
    return l->next == l;
}

/* Whether a node is on some list. */
static inline bool ilist_linked(const struct ilist *n) {
    return n->next != n;
}

static inline void ilist_insert_(struct ilist *prev, struct ilist *n) {
    n->prev = prev;
    n->next = prev->next;
    prev->next->prev = n;
    prev->next = n;
}

static inline void ilist_push_back(struct ilist *head, struct ilist *n) {
    CHECK(!ilist_linked(n));
    ilist_insert_(head->prev, n);
}

static inline void ilist_push_front(struct ilist *head, struct ilist *n) {
    CHECK(!ilist_linked(n));
    ilist_insert_(head, n);
}

static inline void ilist_del(struct ilist *n) {
    n->prev->next = n->next;
    n->next->prev = n->prev;
    ilist_init(n);
}

static inline struct ilist *ilist_pop_front(struct ilist *head) {
    if (ilist_empty(head))
        return NULL;
    struct ilist *n = head->next;
    ilist_del(n);
    return n;
}

/* Moves all of src to the back of dst. */
static inline void ilist_splice_back(struct ilist *dst, struct ilist *src) {
    if (ilist_empty(src))
        return;
    src->next->prev = dst->prev;
    dst->prev->next = src->next;
    src->prev->next = dst;
    dst->prev = src->prev;
    ilist_init(src);
}

#define ilist_entry(n, type, member) container_of(n, type, member)
#define ilist_first(head, type, member) (ilist_empty(head) ? NULL : ilist_entry((head)->next, type, member))

/* The body may remove `it` itself, nothing else. */
#define ilist_for_each(it, head)                                                                                       \
    for (struct ilist *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

#endif
