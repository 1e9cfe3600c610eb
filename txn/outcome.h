/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome.h: what a tablet remembers of the transactions that it coordinated; the same on every replica.
 *
 * Promise     O1  the first outcome of an attempt in log order is its outcome for ever; a later one changes nothing.
 *             O2  a committed one stays until every participant has acknowledged it *durably* (T-12) and its attempt
 *                 lies below the horizon, so that a commit message that comes late or twice meets it (T-10, INV-D1).
 *             O3  attempts that began below the horizon and are not remembered are refused (N-7), so forgetting is
 *                 safe.
 *             O4  with a token it stays until token_horizon; older tokens are "expired", never "aborted" (N-15).
 * Relies on   being changed by applied log entries alone, in their order.
 * Threads     the tablet's reactor.
 */
#ifndef MERIDIAN_TXN_OUTCOME_H
#define MERIDIAN_TXN_OUTCOME_H

#include "truetime/base/ilist.h"
#include "truetime/base/map.h"
#include "txn/record.h"
#include "txn/spans.h"

struct outcome {
    struct map_node by_id, by_token;
    struct ilist all;
    struct ilist resend; /* the leader's: not all have acknowledged */
    struct txn_ref ref;
    bool committed, settled;
    int64_t s;
    struct txn_token token;
    struct txn_why why;
    struct spans parts; /* the other participants (committed ones only) */
    struct spans need;  /* the leader's: of these, who has not acknowledged */
    uint8_t *anchor;
    size_t anchor_bytes;
    int64_t resend_ns;
};

struct outcomes {
    struct map by_id, by_token;
    struct ilist all; /* in log order */
    size_t count;
    int64_t horizon, token_horizon;
};

void outcomes_init(struct outcomes *t);
void outcomes_done(struct outcomes *t);
struct outcome *outcome_find(const struct outcomes *t, const struct txn_id *id);
/* A committed one with this token; NULL: none. */
struct outcome *outcome_find_token(const struct outcomes *t, const struct txn_token *token);
/* From a COMMIT or ABORT record. *ret is the outcome that counts: an earlier one, if there is one (O1). RC_NOMEM. */
enum rc outcome_add(struct outcomes *t, const struct txn_record *r, struct outcome **ret) MUST_CHECK;
/* Every participant has acknowledged. */
void outcome_settle(struct outcome *o);
/* Would outcomes_forget with these drop it? */
bool outcome_forgettable(const struct outcomes *t, const struct outcome *o, int64_t horizon, int64_t token_horizon);
/* O2 to O4. Horizons do not go back. */
void outcomes_forget(struct outcomes *t, int64_t horizon, int64_t token_horizon);
void outcome_drop(struct outcomes *t, struct outcome *o);

static inline bool token_is_set(const struct txn_token *token) {
    return token->id.gateway || token->id.incarnation || token->id.counter;
}

#endif
