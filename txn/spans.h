/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.h: a set of key spans from which parts are taken away: who has not voted, who has not acknowledged.
 *
 * Promise     Owns its bytes. Subtracting cuts: a participant that was split answers for its halves one by one (N-7,
 *             T-14). Bounded by SPANS_MAX pieces. When memory runs out nothing is taken away: then somebody is asked
 *             once more.
 * Relies on   malloc.
 * Threads     one at a time.
 */
#ifndef MERIDIAN_TXN_SPANS_H
#define MERIDIAN_TXN_SPANS_H

#include "truetime/base/err.h"
#include "txn/ident.h"

enum { SPANS_MAX = 16384 };

struct spans {
    struct txn_span *item; /* each in one allocation: start's bytes, then end's */
    size_t count, cap;
};

void spans_init(struct spans *s);
void spans_done(struct spans *s);
enum rc spans_add(struct spans *s, const struct txn_span *span) MUST_CHECK; /* RC_NOMEM, RC_LIMIT */
enum rc spans_subtract(struct spans *s, const struct txn_span *span) MUST_CHECK;
/* The common part; false: none. Borrows from both. */
bool span_meet(const struct txn_span *a, const struct txn_span *b, struct txn_span *ret);

#endif
