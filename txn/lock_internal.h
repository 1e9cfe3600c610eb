/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_internal.h: what the files of the lock table share: heads, holds, waiters, and the trees of heads.
 *
 * A *head* is a span that somebody holds or waits for, exactly this one; holds and waiters hang on it. Heads of single
 * keys are found by hash. Only a request for a span needs them in order, so they are put into a tree when one comes, in
 * the order in which they appeared (`fresh`), and there at once beyond FRESH_MAX of them, so that no request pays for a
 * million. Heads of spans are in a tree of their own with the largest end of each subtree, which answers "who
 * overlaps?".
 *
 * Threads     as lock.h.
 */
#ifndef MERIDIAN_TXN_LOCK_INTERNAL_H
#define MERIDIAN_TXN_LOCK_INTERNAL_H

#include "truetime/base/ilist.h"
#include "truetime/base/map.h"
#include "truetime/base/timerq.h"
#include "txn/lock.h"

enum { LOCK_FRESH_MAX = 4096, LOCK_SPARE_MAX = 256 };

/* The link by which a decided waiter or a transaction with news stands in the queue of events. */
struct lock_out {
    struct ilist link;
    bool is_wait;
};

struct lock_head {
    struct map_node by_key; /* points */
    struct lock_head *left, *right;
    struct lock_head *last; /* the head with the largest end in this subtree */
    uint64_t prio, prefix;  /* prefix: the first 8 bytes of start, to compare most keys without touching them */
    struct ilist fresh;     /* points not yet in the tree */
    struct ilist holds;     /* lock_hold, oldest first */
    struct ilist waits;     /* lock_wait, by age */
    struct txn_span span;   /* into bytes[] */
    uint32_t hold_count;
    bool point, in_tree;
    bool pinned; /* stays although nobody holds or waits for it: somebody is about to take it apart */
    uint8_t bytes[];
};

struct lock_hold {
    struct ilist in_head, in_txn;
    struct lock_head *head;
    struct lock_txn *x;
    enum lock_mode mode;
    int64_t since_ns;
};

struct lock_wait {
    struct ilist in_head, in_txn;
    struct lock_out out; /* once it is decided */
    struct ilist eval;
    struct lock_head *head;
    struct lock_txn *x;
    struct txn_id id;
    enum lock_mode mode;
    bool escalates, decided;
    uint64_t request;
    int64_t since_ns, deadline_ns;
    struct timer timer;
    enum rc rc;
    int64_t waited_ns;
    struct lock_why why; /* of a refusal */
};

enum { LOCK_OUT_WOUNDED = 1, LOCK_OUT_FORWARD = 2, LOCK_OUT_DOOMED = 4 };

struct lock_txn {
    struct map_node by_id;
    struct ilist all;   /* of the table, by arrival */
    struct ilist alive; /* ACTIVE ones, by when their gateway was last heard of */
    struct ilist
        marked; /* ACTIVE and marked: idle ones are looked for; PREPARED and waited for by older ones: forwarded */
    struct ilist holds; /* points and all, oldest first */
    struct ilist wide;  /* holds of spans: see hold->in_txn; spans are few, points many */
    struct ilist waits;
    struct lock_out out;
    uint32_t out_bits;
    struct txn_ref ref;
    enum lock_state state;
    bool is_marked;
    uint32_t locks, wait_count, busy;
    size_t bytes;
    int64_t alive_ns, active_ns;
    int64_t marked_ns;   /* ACTIVE: when it was marked. PREPARED: when it was last looked at for a forwarded wound */
    struct lock_why why; /* of the mark or the doom */
};

struct lock_table {
    struct lock_init init;
    struct map points, txns;
    struct lock_head *point_tree, *span_tree;
    struct ilist fresh;
    uint32_t fresh_count;
    uint64_t prio;
    struct ilist all, alive, marked, out;
    struct timerq deadlines;
    struct ilist eval;
    struct lock_hold *spare[LOCK_SPARE_MAX]; /* holds to use again */
    uint32_t spares;
    struct lock_stats stats;
};

/* ---- lock_tree.c ---- */

typedef bool lock_on_head(void *ctx, struct lock_head *h); /* false: enough */

/* The head of exactly this span; NULL: none. */
struct lock_head *lock_head_find(struct lock_table *t, const struct txn_span *span);
/* A new one, not yet in the table; NULL: no memory. */
struct lock_head *lock_head_new(struct lock_table *t, const struct txn_span *span);
void lock_head_put(struct lock_table *t, struct lock_head *h);
/* Takes it out and frees it, when nobody holds or waits for it. */
void lock_head_drop_if_idle(struct lock_table *t, struct lock_head *h);
void lock_head_free(struct lock_table *t, struct lock_head *h);
/* Every head that overlaps span, points first, each in key order; on_head must not add or remove heads. False: stopped.
 * */
bool lock_heads_overlapping(struct lock_table *t, const struct txn_span *span, lock_on_head *on_head, void *ctx);
void lock_tree_check(struct lock_table *t);

/* ---- lock.c, for lock_split.c ---- */

static inline bool lock_conflicts(enum lock_mode a, enum lock_mode b) {
    return a == LOCK_EXCLUSIVE || b == LOCK_EXCLUSIVE || (a == LOCK_UPDATE && b == LOCK_UPDATE);
}

struct lock_hold *lock_hold_new(struct lock_table *t, struct lock_txn *x, struct lock_head *h, enum lock_mode mode,
                                int64_t now_ns); /* NULL: no memory */
void lock_hold_free(struct lock_table *t, struct lock_hold *hold);
struct lock_hold *lock_hold_find(struct lock_head *h, struct lock_txn *x);
struct lock_wait *lock_wait_new(struct lock_table *t, struct lock_txn *x, struct lock_head *h, enum lock_mode mode,
                                uint64_t request, int64_t now_ns, int64_t deadline_ns); /* NULL: no memory */
void lock_wait_decide(struct lock_table *t, struct lock_wait *w, enum rc rc, const struct lock_why *why,
                      int64_t now_ns);
/* Forgets w: no event. What it stood in the way of is in eval. */
void lock_wait_drop(struct lock_table *t, struct lock_wait *w);
void lock_want_eval(struct lock_table *t, const struct txn_span *span);
void lock_eval(struct lock_table *t, int64_t now_ns);
struct lock_txn *lock_txn_new(struct lock_table *t, const struct txn_ref *ref, int64_t now_ns); /* NULL: no memory */
void lock_txn_free(struct lock_table *t, struct lock_txn *x); /* without locks and waiters */
void lock_tell(struct lock_table *t, struct lock_txn *x, uint32_t bit);

#endif
