/* SPDX-License-Identifier: Apache-2.0 */
/* lock_check.c: the promises of lock.h, checked over a whole table. Quadratic: tests call it after every step. */
#include "txn/lock_internal.h"

struct pair {
    struct lock_table *t;
    struct lock_head *a;      /* the outer one */
    struct lock_wait *waiter; /* or of one waiter: what is in its way */
    bool blocked;
    size_t heads;
};

/* L1 */
static bool holds_agree(void *ctx, struct lock_head *b) {
    struct pair *p = ctx;
    ilist_for_each(i, &p->a->holds)
        ilist_for_each(k, &b->holds) {
            struct lock_hold *x = ilist_entry(i, struct lock_hold, in_head);
            struct lock_hold *y = ilist_entry(k, struct lock_hold, in_head);
            if (x->x != y->x)
                CHECK(!lock_conflicts(x->mode, y->mode)); /* L1 */
            else if (p->a == b)
                CHECK(x == y); /* one lock of one transaction on one head */
        }
    return true;
}

/* L2: somebody is in the way; and who is younger knows that he is in the way of an older one. */
static bool waiter_has_reason(void *ctx, struct lock_head *b) {
    struct pair *p = ctx;
    struct lock_wait *w = p->waiter;
    ilist_for_each(i, &b->holds) {
        struct lock_hold *x = ilist_entry(i, struct lock_hold, in_head);
        if (x->x == w->x || !lock_conflicts(x->mode, w->mode))
            continue;
        p->blocked = true;
        if (txn_age_cmp(&x->x->ref.age, &w->x->ref.age) > 0)
            CHECK(x->x->state == LOCK_DOOMED || ilist_linked(&x->x->marked)); /* wound-wait */
    }
    ilist_for_each(i, &b->waits) {
        struct lock_wait *older = ilist_entry(i, struct lock_wait, in_head);
        if (txn_age_cmp(&older->x->ref.age, &w->x->ref.age) < 0 && lock_conflicts(older->mode, w->mode))
            p->blocked = true;
    }
    return true;
}

static bool check_head(void *ctx, struct lock_head *h) {
    struct pair *p = ctx;
    uint32_t holds = 0;
    p->heads++;
    p->a = h;
    CHECK(!ilist_empty(&h->holds) || !ilist_empty(&h->waits));
    CHECK(h->point == txn_span_is_point(&h->span));
    ilist_for_each(it, &h->holds) {
        struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_head);
        CHECK(hold->head == h);
        holds++;
    }
    CHECK(holds == h->hold_count);
    lock_heads_overlapping(p->t, &h->span, holds_agree, p);
    struct lock_wait *before = NULL;
    ilist_for_each(it, &h->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_head);
        CHECK(w->head == h && !w->decided);
        CHECK(w->x->state == LOCK_ACTIVE && !w->x->is_marked); /* a marked one does not wait */
        if (before)
            CHECK(txn_age_cmp(&before->x->ref.age, &w->x->ref.age) <= 0); /* L5 */
        before = w;
        p->waiter = w;
        p->blocked = false;
        lock_heads_overlapping(p->t, &h->span, waiter_has_reason, p);
        CHECK(p->blocked); /* L2 */
        CHECK(timer_is_set(&w->timer));
    }
    return true;
}

void lock_table_check(struct lock_table *t) {
    struct pair p = {.t = t};
    const struct txn_span all = {{NULL, 0}, {NULL, 0}};
    uint64_t locks = 0, waits = 0, txns = 0;
    lock_heads_overlapping(t, &all, check_head, &p);
    lock_tree_check(t);
    CHECK(ilist_empty(&t->eval));
    ilist_for_each(it, &t->all) {
        struct lock_txn *x = ilist_entry(it, struct lock_txn, all);
        uint32_t own = 0;
        ilist_for_each(i, &x->holds)
            own += ilist_entry(i, struct lock_hold, in_txn)->head->point;
        ilist_for_each(i, &x->wide)
            own += !ilist_entry(i, struct lock_hold, in_txn)->head->point;
        CHECK(own == x->locks);
        if (x->state != LOCK_ACTIVE)
            CHECK(x->wait_count == 0 && !ilist_linked(&x->alive));
        locks += own;
        waits += x->wait_count;
        txns++;
    }
    CHECK(locks == t->stats.locks && waits == t->stats.waits && txns == t->stats.txns);
}
