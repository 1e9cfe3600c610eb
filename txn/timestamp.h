/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timestamp.h: which timestamp a transaction gets. Pure functions, so that each rule can be read and tested alone.
 *
 * Promise     What they choose lies above everything that the group ever assigned, served or promised (floor: S-1, T-2,
 *             T-3), at or above the latest that the clock says it may be now (start rule: T-2, T-3), within the lease
 *             (S-2), and within what every participant allows (T-8). If there is no such time, they say so.
 * Relies on   facts sampled after what they are facts about: tt after the message was read and the last lock granted
 *             (C-1).
 * Threads     any.
 * Source      Corbett et al., "Spanner", 2012, sections 4.1.2 and 4.2.1; rules S-1 to S-7, T-2, T-3, T-7, T-8
 *             (docs/transactions.md).
 */
#ifndef MERIDIAN_TXN_TIMESTAMP_H
#define MERIDIAN_TXN_TIMESTAMP_H

#include "truetime/interval.h"

/* What a decision is made on: sampled by the caller in the same turn, after it read what it answers. */
struct txn_facts {
    int64_t mono_ns;
    tt_interval tt;
    int64_t lease_end;    /* until when this replica leads alone; 0: it does not lead, or the clock is lost */
    int64_t floor;        /* of the group: nothing at or below it is assigned any more */
    int64_t schema_until; /* H-3: no timestamps above it under the schema that is known here; INT64_MAX: no bound */
};

/* Times that a transaction may have, both included; empty if min > max. */
struct txn_window {
    int64_t min, max;
};

static inline int64_t ts_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static inline int64_t ts_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* The window of a new timestamp in this group: above its floor, at or above now, within lease and schema. own_floor:
 * what the caller itself has chosen or promised in this turn and the group's floor may not show yet. */
static inline struct txn_window ts_new(const struct txn_facts *f, int64_t own_floor) {
    if (!tt_is_known(f->tt))
        return (struct txn_window){INT64_MAX, INT64_MIN};
    return (struct txn_window){ts_max(f->tt.latest, ts_max(f->floor, own_floor) + 1),
                               ts_min(f->lease_end, f->schema_until)};
}

/* What a read-only participant answers (T-7): its locks hold until the end of the lease whatever happens, and its
 * successor assigns nothing below that. */
static inline struct txn_window ts_read_only_vote(const struct txn_facts *f, int64_t own_floor) {
    if (!tt_is_known(f->tt))
        return (struct txn_window){INT64_MAX, INT64_MIN};
    return (struct txn_window){ts_max(f->tt.latest, ts_max(f->floor, own_floor)),
                               ts_min(f->lease_end, f->schema_until)};
}

/* The votes together. */
static inline struct txn_window ts_meet(struct txn_window a, struct txn_window b) {
    return (struct txn_window){ts_max(a.min, b.min), ts_min(a.max, b.max)};
}

enum ts_choice { TS_CHOSEN, TS_LATER /* the lease or the clock does not reach so far yet */, TS_NEVER };

/* The commit time (T-3): votes is what the participants allow; received: tt_now().latest when the commit message had
 * arrived; deadline: the token's (N-15). */
static inline enum ts_choice ts_commit(const struct txn_facts *f, int64_t own_floor, struct txn_window votes,
                                       int64_t received, int64_t deadline, int64_t *ret_s) {
    int64_t s = ts_max(ts_max(votes.min, received), ts_max(f->floor, own_floor) + 1);
    if (s > votes.max || s > f->schema_until || s > deadline)
        return TS_NEVER;
    if (s > f->lease_end) /* S-2 */
        return TS_LATER;
    *ret_s = s;
    return TS_CHOSEN;
}

#endif
