/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ident.h: the small values that all of txn/ speaks of: which transaction, how old, which keys.
 *
 * Promise     A txn_id names one *attempt*: a retry gets a new one, only its age is kept (K-1, N-7), so nothing that is
 *             late from an earlier attempt can be taken for a later one. Ages are totally ordered; no two attempts that
 *             live at the same time share one. Keys compare as bytes: the encoding of keys keeps SQL's order.
 * Relies on   a gateway's incarnation being larger after each of its starts.
 * Threads     any; values only.
 */
#ifndef MERIDIAN_TXN_IDENT_H
#define MERIDIAN_TXN_IDENT_H

#include <string.h>

#include "truetime/base/check.h"

enum {
    TXN_KEY_BYTES_MAX = 16384, /* of an encoded key */
    TXN_NAME_BYTES = 80,       /* room for txn_id_name and txn_age_name */
};

struct txn_id {
    uint64_t gateway;     /* the store that runs the client's session */
    uint64_t incarnation; /* of that store */
    uint64_t counter;     /* of attempts, in that incarnation */
};

/* When the transaction first began, by its gateway's clock (tt_now().latest), made unique by gateway and counter. */
struct txn_age {
    int64_t ts;
    uint64_t gateway;
    uint64_t counter;
};

/* An attempt, as it travels with each request. */
struct txn_ref {
    struct txn_id id;
    struct txn_age age;
    int64_t began; /* this attempt, by its gateway's clock (earliest): what N-7 compares with the outcome horizon */
};

static inline bool txn_id_eq(const struct txn_id *a, const struct txn_id *b) {
    return a->gateway == b->gateway && a->incarnation == b->incarnation && a->counter == b->counter;
}

static inline int txn_id_cmp(const struct txn_id *a, const struct txn_id *b) {
    if (a->gateway != b->gateway)
        return a->gateway < b->gateway ? -1 : 1;
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    return a->counter == b->counter ? 0 : a->counter < b->counter ? -1 : 1;
}

static inline uint64_t txn_id_hash(const struct txn_id *id) {
    uint64_t h = id->counter * 0x9e3779b97f4a7c15u ^ id->gateway * 0xc2b2ae3d27d4eb4fu ^ id->incarnation;
    h ^= h >> 29;
    return h * 0xbf58476d1ce4e5b9u ^ h >> 32;
}

/* < 0: a is older, and wins. */
static inline int txn_age_cmp(const struct txn_age *a, const struct txn_age *b) {
    if (a->ts != b->ts)
        return a->ts < b->ts ? -1 : 1;
    if (a->gateway != b->gateway)
        return a->gateway < b->gateway ? -1 : 1;
    return a->counter == b->counter ? 0 : a->counter < b->counter ? -1 : 1;
}

struct txn_key {
    const uint8_t *p;
    size_t n;
};

/* Keys k with start <= k < end; an empty end means no end. A single key k is [k, k followed by a zero byte). */
struct txn_span {
    struct txn_key start, end;
};

static inline int txn_key_cmp(struct txn_key a, struct txn_key b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

/* As the end of a span: the empty key is behind all others. */
static inline int txn_end_cmp(struct txn_key a, struct txn_key b) {
    if (a.n == 0 || b.n == 0)
        return a.n == b.n ? 0 : a.n == 0 ? 1 : -1;
    return txn_key_cmp(a, b);
}

static inline bool txn_key_before_end(struct txn_key k, struct txn_key end) {
    return end.n == 0 || txn_key_cmp(k, end) < 0;
}

static inline bool txn_span_overlap(const struct txn_span *a, const struct txn_span *b) {
    return txn_key_before_end(a->start, b->end) && txn_key_before_end(b->start, a->end);
}

static inline bool txn_span_covers(const struct txn_span *outer, const struct txn_span *inner) {
    return txn_key_cmp(outer->start, inner->start) <= 0 && txn_end_cmp(outer->end, inner->end) >= 0;
}

static inline bool txn_span_is_point(const struct txn_span *s) {
    return s->end.n == s->start.n + 1 && s->end.p[s->start.n] == 0 &&
           (s->start.n == 0 || memcmp(s->start.p, s->end.p, s->start.n) == 0);
}

/* "3.0:7:1042": node.store of the gateway, its incarnation, the attempt. Returns to. */
const char *txn_id_name(const struct txn_id *id, char to[TXN_NAME_BYTES]);
/* The key in hex, cut after what fits. Returns to. */
const char *txn_key_name(struct txn_key key, char *to, size_t bytes);

#endif
