/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_tree.c: the heads of a lock table, by hash and in key order.
 *
 * The trees are treaps: ordered by (start, end), heaps by a priority that comes from a seeded sequence, so their
 * expected depth is logarithmic whatever keys a client chooses, and the same seed gives the same tree. Each node knows
 * the head with the largest end in its subtree; a search for what overlaps [s, e) leaves out subtrees that end at or
 * before s, and everything to the right of the first start at or after e.
 */
#include <stdlib.h>

#include "truetime/base/rng.h"
#include "txn/lock_internal.h"

static uint64_t prefix_of(struct txn_key k) {
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | (i < k.n ? k.p[i] : 0);
    return v;
}

/* Order of starts, then of ends. */
static int head_cmp(const struct lock_head *a, const struct lock_head *b) {
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int c = txn_key_cmp(a->span.start, b->span.start);
    return c ? c : txn_end_cmp(a->span.end, b->span.end);
}

static void refresh(struct lock_head *h) {
    h->last = h;
    if (h->left && txn_end_cmp(h->left->last->span.end, h->last->span.end) > 0)
        h->last = h->left->last;
    if (h->right && txn_end_cmp(h->right->last->span.end, h->last->span.end) > 0)
        h->last = h->right->last;
}

/* Everything in t below n, and everything above it. */
static void tree_part(struct lock_head *t, const struct lock_head *n, struct lock_head **below,
                      struct lock_head **above) {
    if (!t) {
        *below = *above = NULL;
    } else if (head_cmp(t, n) < 0) {
        tree_part(t->right, n, &t->right, above);
        *below = t;
        refresh(t);
    } else {
        tree_part(t->left, n, below, &t->left);
        *above = t;
        refresh(t);
    }
}

static struct lock_head *tree_put(struct lock_head *t, struct lock_head *n) {
    if (!t || n->prio > t->prio) {
        tree_part(t, n, &n->left, &n->right);
        refresh(n);
        return n;
    }
    if (head_cmp(n, t) < 0)
        t->left = tree_put(t->left, n);
    else
        t->right = tree_put(t->right, n);
    refresh(t);
    return t;
}

static struct lock_head *tree_join(struct lock_head *a, struct lock_head *b) {
    if (!a || !b)
        return a ? a : b;
    if (a->prio > b->prio) {
        a->right = tree_join(a->right, b);
        refresh(a);
        return a;
    }
    b->left = tree_join(a, b->left);
    refresh(b);
    return b;
}

static struct lock_head *tree_del(struct lock_head *t, struct lock_head *n) {
    CHECK(t);
    if (t == n)
        return tree_join(n->left, n->right);
    if (head_cmp(n, t) < 0)
        t->left = tree_del(t->left, n);
    else
        t->right = tree_del(t->right, n);
    refresh(t);
    return t;
}

static void sort_in(struct lock_table *t, struct lock_head *h) {
    ilist_del(&h->fresh);
    t->fresh_count--;
    t->point_tree = tree_put(t->point_tree, h);
    h->in_tree = true;
    t->stats.sorted++;
}

static uint64_t point_hash(const struct lock_table *t, struct txn_key k) {
    return hash_bytes(k.p, k.n, t->init.seed);
}

struct lock_head *lock_head_find(struct lock_table *t, const struct txn_span *span) {
    if (txn_span_is_point(span)) {
        for (struct map_node *n = map_first(&t->points, point_hash(t, span->start)); n; n = map_next(n)) {
            struct lock_head *h = container_of(n, struct lock_head, by_key);
            if (h->span.start.n == span->start.n &&
                (span->start.n == 0 || memcmp(h->span.start.p, span->start.p, span->start.n) == 0))
                return h;
        }
        return NULL;
    }
    struct lock_head key = {.span = *span, .prefix = prefix_of(span->start)}, *h = t->span_tree;
    for (int c; h && (c = head_cmp(&key, h)) != 0;)
        h = c < 0 ? h->left : h->right;
    return h;
}

static size_t head_bytes(const struct lock_head *h) {
    return sizeof *h + h->span.end.n + (h->point ? 0 : h->span.start.n);
}

struct lock_head *lock_head_new(struct lock_table *t, const struct txn_span *span) {
    bool point = txn_span_is_point(span);
    struct lock_head *h = malloc(sizeof *h + span->end.n + (point ? 0 : span->start.n));
    if (!h)
        return NULL;
    *h = (struct lock_head){.point = point, .prefix = prefix_of(span->start)};
    ilist_init(&h->fresh);
    ilist_init(&h->holds);
    ilist_init(&h->waits);
    /* a key's span shares its bytes: the end is the start and a zero */
    if (span->end.n)
        memcpy(h->bytes, span->end.p, span->end.n);
    uint8_t *start = point ? h->bytes : h->bytes + span->end.n;
    if (!point && span->start.n)
        memcpy(start, span->start.p, span->start.n);
    h->span.end = (struct txn_key){h->bytes, span->end.n};
    h->span.start = (struct txn_key){start, span->start.n};
    t->stats.bytes += head_bytes(h);
    return h;
}

void lock_head_free(struct lock_table *t, struct lock_head *h) {
    if (!h)
        return;
    t->stats.bytes -= head_bytes(h);
    free(h);
}

void lock_head_put(struct lock_table *t, struct lock_head *h) {
    h->prio = rng_splitmix(&t->prio);
    if (!h->point) {
        t->span_tree = tree_put(t->span_tree, h);
        h->in_tree = true;
        return;
    }
    map_put(&t->points, &h->by_key, point_hash(t, h->span.start));
    ilist_push_back(&t->fresh, &h->fresh);
    if (++t->fresh_count > LOCK_FRESH_MAX)
        sort_in(t, ilist_entry(t->fresh.next, struct lock_head, fresh));
}

void lock_head_drop_if_idle(struct lock_table *t, struct lock_head *h) {
    if (h->pinned || !ilist_empty(&h->holds) || !ilist_empty(&h->waits))
        return;
    if (h->point) {
        map_del(&t->points, &h->by_key);
        if (h->in_tree) {
            t->point_tree = tree_del(t->point_tree, h);
        } else {
            ilist_del(&h->fresh);
            t->fresh_count--;
        }
    } else {
        t->span_tree = tree_del(t->span_tree, h);
    }
    lock_head_free(t, h);
}

static bool tree_walk(struct lock_head *h, const struct txn_span *span, lock_on_head *on_head, void *ctx) {
    while (h) {
        if (!txn_key_before_end(span->start, h->last->span.end))
            return true; /* all of the subtree ends before span begins */
        if (!tree_walk(h->left, span, on_head, ctx))
            return false;
        if (!txn_key_before_end(h->span.start, span->end))
            return true;
        if (txn_key_before_end(span->start, h->span.end) && !on_head(ctx, h))
            return false;
        h = h->right;
    }
    return true;
}

bool lock_heads_overlapping(struct lock_table *t, const struct txn_span *span, lock_on_head *on_head, void *ctx) {
    if (txn_span_is_point(span)) {
        struct lock_head *h = lock_head_find(t, span);
        if (h && !on_head(ctx, h))
            return false;
    } else {
        while (t->fresh_count)
            sort_in(t, ilist_entry(t->fresh.next, struct lock_head, fresh));
        if (!tree_walk(t->point_tree, span, on_head, ctx))
            return false;
    }
    return !t->span_tree || tree_walk(t->span_tree, span, on_head, ctx);
}

static size_t check_subtree(const struct lock_head *h) {
    if (!h)
        return 0;
    const struct lock_head *last = h;
    CHECK(h->in_tree);
    if (h->left) {
        CHECK(head_cmp(h->left, h) < 0 && h->left->prio <= h->prio);
        last = txn_end_cmp(h->left->last->span.end, last->span.end) > 0 ? h->left->last : last;
    }
    if (h->right) {
        CHECK(head_cmp(h->right, h) > 0 && h->right->prio <= h->prio);
        last = txn_end_cmp(h->right->last->span.end, last->span.end) > 0 ? h->right->last : last;
    }
    CHECK(txn_end_cmp(h->last->span.end, last->span.end) == 0);
    return 1 + check_subtree(h->left) + check_subtree(h->right);
}

void lock_tree_check(struct lock_table *t) {
    CHECK(check_subtree(t->point_tree) + t->fresh_count == t->points.count);
    check_subtree(t->span_tree);
}
