/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_split.c: the right half of a lock table goes to the right half of its tablet (N-6).
 *
 * First everything that needs memory: the right table is built as a copy, and for each span that the key cuts a head
 * for its left part is found or made. Only then the left table changes, and from there on nothing can fail.
 */
#include <stdlib.h>

#include "truetime/base/rng.h"
#include "txn/lock_internal.h"

struct cut {
    struct lock_head *whole, *left; /* left: in the table already, or new */
    bool is_new;
};

struct split {
    struct lock_table *t, *right;
    struct txn_key key;
    int64_t now_ns;
    struct lock_head **gone; /* heads at or above key */
    struct cut *cuts;
    size_t gone_count, gone_cap, cut_count, cut_cap;
    bool nomem;
};

static bool room(void **array, size_t count, size_t *cap, size_t size) {
    if (count < *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 64;
    void *p = realloc(*array, want * size);
    if (!p)
        return false;
    *array = p;
    *cap = want;
    return true;
}

static bool gather(void *ctx, struct lock_head *h) {
    struct split *s = ctx;
    if (txn_key_cmp(h->span.start, s->key) >= 0) {
        s->nomem = !room((void **)&s->gone, s->gone_count, &s->gone_cap, sizeof *s->gone);
        if (!s->nomem)
            s->gone[s->gone_count++] = h;
    } else {
        s->nomem = !room((void **)&s->cuts, s->cut_count, &s->cut_cap, sizeof *s->cuts);
        if (!s->nomem)
            s->cuts[s->cut_count++] = (struct cut){.whole = h};
    }
    return !s->nomem;
}

/* x in the right table, as it is here. */
static struct lock_txn *txn_there(struct split *s, struct lock_txn *x) {
    struct lock_txn *y = lock_txn_find(s->right, &x->ref.id);
    if (y)
        return y;
    y = lock_txn_new(s->right, &x->ref, s->now_ns);
    if (!y)
        return NULL;
    y->state = x->state;
    y->is_marked = x->is_marked;
    y->alive_ns = x->alive_ns;
    y->active_ns = x->active_ns;
    y->marked_ns = x->marked_ns;
    y->why = x->why;
    if (x->state != LOCK_ACTIVE)
        ilist_del(&y->alive);
    if (ilist_linked(&x->marked))
        ilist_push_back(&s->right->marked, &y->marked);
    if (x->state == LOCK_DOOMED)
        lock_tell(s->right, y, LOCK_OUT_DOOMED);
    return y;
}

static struct lock_head *head_there(struct lock_table *t, const struct txn_span *span) {
    struct lock_head *h = lock_head_find(t, span);
    if (!h && (h = lock_head_new(t, span)))
        lock_head_put(t, h);
    return h;
}

/* Copies what h holds from span.start on; its waiters only if all of it goes. */
static bool copy_head(struct split *s, struct lock_head *h, bool cut) {
    struct txn_span span = h->span;
    if (cut)
        span.start = s->key;
    if (ilist_empty(&h->holds) && cut)
        return true;
    struct lock_head *to = head_there(s->right, &span);
    if (!to)
        return false;
    bool ok = true;
    ilist_for_each(it, &h->holds) {
        struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_head);
        struct lock_txn *y = txn_there(s, hold->x);
        struct lock_hold *own = y ? lock_hold_find(to, y) : NULL;
        if (own && own->mode < hold->mode)
            own->mode = hold->mode;
        ok = ok && y && (own || lock_hold_new(s->right, y, to, hold->mode, hold->since_ns));
    }
    if (!cut)
        ilist_for_each(it, &h->waits) {
            struct lock_wait *w = ilist_entry(it, struct lock_wait, in_head);
            struct lock_txn *y = txn_there(s, w->x);
            ok = ok && y && lock_wait_new(s->right, y, to, w->mode, w->request, w->since_ns, w->deadline_ns);
        }
    lock_head_drop_if_idle(s->right, to);
    return ok;
}

static bool build_right(struct split *s) {
    for (size_t i = 0; i < s->gone_count; i++)
        if (!copy_head(s, s->gone[i], false))
            return false;
    for (size_t i = 0; i < s->cut_count; i++) {
        struct cut *c = &s->cuts[i];
        struct txn_span left = {c->whole->span.start, s->key};
        if (!copy_head(s, c->whole, true))
            return false;
        c->left = lock_head_find(s->t, &left);
        for (size_t k = 0; k < i && !c->left; k++) /* two spans cut to the same left part */
            if (s->cuts[k].is_new && txn_key_cmp(s->cuts[k].left->span.start, left.start) == 0)
                c->left = s->cuts[k].left;
        if (!c->left) {
            c->left = lock_head_new(s->t, &left);
            c->is_new = c->left != NULL;
        }
        if (!c->left)
            return false;
    }
    return true;
}

static void unpin(struct split *s, struct lock_head *h) {
    h->pinned = false;
    lock_head_drop_if_idle(s->t, h);
}

static void cut_left(struct split *s, struct cut *c) {
    struct lock_head *whole = c->whole, *left = c->left;
    struct lock_why why = {.rule = LOCK_RULE_MOVED, .held_ns = -1};
    whole->pinned = left->pinned = true;
    if (c->is_new)
        lock_head_put(s->t, left);
    ilist_for_each(it, &whole->holds) {
        struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_head);
        struct lock_hold *own = lock_hold_find(left, hold->x);
        if (own) {
            own->mode = own->mode < hold->mode ? hold->mode : own->mode;
            lock_hold_free(s->t, hold);
            continue;
        }
        ilist_del(&hold->in_head);
        whole->hold_count--;
        hold->x->bytes = hold->x->bytes - whole->span.end.n + left->span.end.n;
        hold->head = left;
        ilist_push_back(&left->holds, &hold->in_head);
        left->hold_count++;
        if (left->point) { /* a span may be cut down to one key */
            ilist_del(&hold->in_txn);
            ilist_push_back(&hold->x->holds, &hold->in_txn);
        }
    }
    ilist_for_each(it, &whole->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_head);
        why.waited_ns = s->now_ns - w->since_ns;
        lock_wait_decide(s->t, w, RC_MOVED, &why, s->now_ns);
    }
    unpin(s, whole);
}

/* Two spans may have been cut to the same left part. */
static void unpin_lefts(struct split *s) {
    for (size_t i = 0; i < s->cut_count; i++) {
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen = seen || s->cuts[k].left == s->cuts[i].left;
        if (!seen)
            unpin(s, s->cuts[i].left);
    }
}

static void drop_gone(struct split *s, struct lock_head *h) {
    h->pinned = true;
    ilist_for_each(it, &h->waits)
        lock_wait_drop(s->t, ilist_entry(it, struct lock_wait, in_head)); /* it waits in the right table now */
    ilist_for_each(it, &h->holds)
        lock_hold_free(s->t, ilist_entry(it, struct lock_hold, in_head));
    unpin(s, h);
}

enum rc lock_split(struct lock_table *t, struct txn_key key, int64_t now_ns, struct lock_table **ret_right) {
    struct split s = {.t = t, .key = key, .now_ns = now_ns};
    const struct txn_span from = {key, {NULL, 0}};
    struct lock_init init = t->init;
    init.seed = rng_splitmix(&t->prio);
    enum rc rc = lock_table_new(&init, &s.right);
    if (rc)
        return rc;
    lock_heads_overlapping(t, &from, gather, &s);
    if (s.nomem || !build_right(&s)) {
        for (size_t i = 0; i < s.cut_count; i++)
            if (s.cuts[i].is_new)
                lock_head_free(t, s.cuts[i].left);
        lock_table_free(s.right);
        rc = RC_NOMEM;
    } else {
        for (size_t i = 0; i < s.gone_count; i++) /* first those: nobody among them may be granted here any more */
            drop_gone(&s, s.gone[i]);
        for (size_t i = 0; i < s.cut_count; i++)
            cut_left(&s, &s.cuts[i]);
        unpin_lefts(&s);
        lock_want_eval(t, &(struct txn_span){{NULL, 0}, {NULL, 0}});
        lock_eval(t, now_ns);
        lock_want_eval(s.right, &(struct txn_span){{NULL, 0}, {NULL, 0}});
        lock_eval(s.right, now_ns);
        *ret_right = s.right;
    }
    free(s.gone);
    free(s.cuts);
    return rc;
}
