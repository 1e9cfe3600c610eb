/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site_internal.h: what the files of a site share.
 *
 * Threads     as site.h.
 */
#ifndef MERIDIAN_TXN_SITE_INTERNAL_H
#define MERIDIAN_TXN_SITE_INTERNAL_H

#include "txn/coordinator.h"

/* An attempt that is over here, so that whatever comes late of it is refused (T-13). */
struct done {
    struct map_node by_id;
    struct ilist all;
    struct txn_id id;
    int64_t began;
    enum txn_verdict verdict;
    int64_t ts;
    struct txn_why why;
};

struct site_node {
    struct ilist link;
    struct site_out out;
    uint8_t bytes[];
};

struct site {
    struct site_init init;
    struct txn_span range;
    uint8_t *range_bytes;
    uint64_t generation;
    int64_t floor; /* of all that was applied, chosen, promised or learnt: at least `applied` */
    /* replicated */
    int64_t applied; /* the largest timestamp applied */
    struct outcomes outcomes;
    /* the leader's; of `parts`, the prepared ones are replicated too */
    bool leads;
    uint64_t term;
    struct lock_table *locks;
    struct map parts, coords, done;
    struct ilist all_parts, voted, all_coords, all_done, resend;
    struct ilist early; /* votes that came before their commit message: struct early_vote, the oldest first */
    size_t early_count;
    int64_t done_horizon; /* marks of attempts that began before it may have been dropped */
    bool splitting;
    int64_t forget_ns, forget_full_ns;
    /* coming out */
    struct ilist out;
    size_t out_count;
    struct site_node *taken; /* what site_next handed out last */
    struct arena scratch, effect;
    struct buf buf, enc; /* row images; what is being encoded */
    struct site_stats stats;
};

static inline bool site_mutant(const struct site *s, const char *rule) {
    return chaos_mutant(s->init.chaos, rule);
}

static inline void site_probe(const struct site *s, const char *what) {
    chaos_probe(s->init.chaos, what);
}

static inline void site_raise_applied(struct site *s, int64_t ts) {
    s->applied = ts_max(s->applied, ts);
    s->floor = ts_max(s->floor, ts);
}

void site_raise_floor(struct site *s, int64_t ts);
/* key empty and gateway 0: to the anchor. False: dropped, as the network might. */
bool site_send(struct site *s, const struct txn_msg *m, struct txn_key to, uint64_t gateway, int64_t not_before);
bool site_propose(struct site *s, const struct txn_record *r, int64_t ts, bool exact); /* false: no memory */
void site_drop_overlay(struct site *s, const struct txn_id *id);
void site_drain_locks(struct site *s, const struct txn_facts *f);

struct done *done_find(const struct site *s, const struct txn_id *id);
void done_add(struct site *s, const struct txn_ref *ref, enum txn_verdict verdict, int64_t ts,
              const struct txn_why *why);
/* Whether an attempt that is not known here began too long ago (N-7). */
bool site_too_old(const struct site *s, const struct txn_ref *ref);

/* The entry of the list that speaks of this tablet; NULL: none. */
const struct txn_part *site_my_part(const struct site *s, const struct txn_part *parts, size_t n);
enum rc record_copy(struct arena *a, const struct txn_record *from, struct txn_record *ret) MUST_CHECK;
enum rc parts_copy(struct arena *a, const struct txn_part *from, size_t n, struct txn_part **ret) MUST_CHECK;
enum rc key_copy(struct arena *a, struct txn_key *k) MUST_CHECK;

#endif
