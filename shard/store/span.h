/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.h: ranges of keys, and sets of them.
 *
 * A span is [start, end). An empty start is the beginning of all keys; an empty end is the end of them (so a span whose
 * start is the least key is never mistaken for one that holds nothing: start >= end > "" holds nothing).
 *
 * Promise     A span_set is sorted, and its spans are not empty, do not overlap and do not touch: two sets hold the same keys
 *             exactly if they are the same list. Every operation returns such a set. Its array lies in the caller's arena and
 *             its keys are those of the operands, borrowed: results have no boundary that no operand had. At most
 *             SPAN_SET_MAX spans (RC_LIMIT).
 * Relies on   key.h's comparison.
 * Threads     any.
 */
#ifndef MERIDIAN_STORE_SPAN_H
#define MERIDIAN_STORE_SPAN_H

#include "shard/store/key.h"

enum { SPAN_SET_MAX = 65536 };

struct span {
    struct key start, end;
};

struct span_set {
    const struct span *v;
    size_t n;
};

/* ---- one span ---------------------------------------------------------------------------------------------------- */

static inline struct span span_all(void) {
    return (struct span){{NULL, 0}, {NULL, 0}};
}
/* Exactly one key; every key with a prefix. The end lies in a. RC_NOMEM; RC_LIMIT: the key is too long. */
enum rc span_point(struct arena *a, struct key k, struct span *ret) MUST_CHECK;
enum rc span_prefix(struct arena *a, struct key prefix, struct span *ret) MUST_CHECK;
/* Copies the keys into a. */
enum rc span_copy(struct arena *a, struct span s, struct span *ret) MUST_CHECK;

bool span_empty(struct span s);
bool span_same(struct span a, struct span b); /* the same boundaries */
bool span_has(struct span s, struct key k);
bool span_covers(struct span outer, struct span inner); /* what is empty is covered by all */
bool span_overlaps(struct span a, struct span b);
struct span span_intersect(struct span a, struct span b); /* may be empty */
/* < 0: k lies before s, 0: in it, > 0: after it. s is not empty. */
int span_side(struct span s, struct key k);
/* For people: "[7/1, 7/2)"; "-" for a boundary that is none. */
void span_print(struct span s, struct buf *out);

/* ---- sets -------------------------------------------------------------------------------------------------------- */

/* Any n spans, in any order: sorted, joined, without the empty ones. */
enum rc span_set_of(struct arena *a, const struct span *v, size_t n, struct span_set *ret, struct err *err) MUST_CHECK;
/* Copies the keys too. */
enum rc span_set_copy(struct arena *a, struct span_set s, struct span_set *ret, struct err *err) MUST_CHECK;

enum rc span_set_union(struct arena *a, struct span_set x, struct span_set y, struct span_set *ret,
                       struct err *err) MUST_CHECK;
enum rc span_set_intersect(struct arena *a, struct span_set x, struct span_set y, struct span_set *ret,
                           struct err *err) MUST_CHECK;
enum rc span_set_subtract(struct arena *a, struct span_set x, struct span_set y, struct span_set *ret,
                          struct err *err) MUST_CHECK;
/* What lies before k, and from k on. */
enum rc span_set_split(struct arena *a, struct span_set s, struct key k, struct span_set *ret_left,
                       struct span_set *ret_right, struct err *err) MUST_CHECK;

bool span_set_has(struct span_set s, struct key k);
bool span_set_covers(struct span_set s, struct span inner);
bool span_set_overlaps(struct span_set s, struct span other);
bool span_set_same(struct span_set x, struct span_set y);
/* Is it what Promise says? For what comes from outside. */
bool span_set_valid(struct span_set s);

#endif
