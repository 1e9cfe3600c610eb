/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history_internal.h: how a history is kept; for its two checkers.
 *
 * Threads     as history.h.
 */
#ifndef MERIDIAN_GEO_HISTORY_INTERNAL_H
#define MERIDIAN_GEO_HISTORY_INTERNAL_H

#include "geo-sim/check/history.h"

enum hist_kind { HIST_READ, HIST_WRITE, HIST_APPEND, HIST_READ_LIST, HIST_READ_RANGE };
enum hist_status { HIST_OPEN, HIST_COMMITTED, HIST_ABORTED, HIST_UNKNOWN };

struct hist_op {
    enum hist_kind kind;
    uint32_t txn;
    uint64_t key, last; /* last: of a range */
    int64_t value;
    size_t first, count; /* READ_LIST: in values; READ_RANGE: in pairs */
    uint32_t next;       /* op of the same transaction + 1; 0 = none */
};

struct hist_txn {
    enum hist_status status;
    bool read_only, stale, untimed, seen; /* seen: somebody read what it wrote */
    uint32_t session, first_op, last_op;  /* + 1 */
    int64_t begin_ns, end_ns, ts;
};

struct history {
    struct hist_txn *txn;
    struct hist_op *op;
    int64_t *value;
    struct hist_pair *pair;
    size_t txns, txn_cap, ops, op_cap, values, value_cap, pairs, pair_cap;
};

/* Room for one more, or the program ends. */
void *hist_room(void *array, size_t count, size_t *cap, size_t size);
bool hist_verdict(struct hist_verdict *v, const char *anomaly, const char *fmt, ...) PRINTF_LIKE(3, 4); /* false */

#define HIST_EACH_OP(h, t, o)                                                                                          \
    for (const struct hist_op *o = (h)->txn[t].first_op ? &(h)->op[(h)->txn[t].first_op - 1] : NULL; o;                \
         o = o->next ? &(h)->op[o->next - 1] : NULL)

#endif
