/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc.h: old versions go, in two logged steps (N-4, R-6).
 *
 * Promise     gc_raise makes reads below the threshold fail, and nothing else. gc_delete, a later slot, removes versions that
 *             only such reads could see. Since the two are apart, a reader that was pinned before the threshold rose has
 *             its own snapshot, and one that is pinned after it is refused: nobody ever gets half an answer.
 * Relies on   V2 and V4 of mvcc.h: the rows with _hi below the threshold are the first ones by _id.
 * Threads     the reactor's own, on large fibers.
 *
 * The leader asks gc_plan for the next step, logs it, and every replica applies it. A plan names a time, not a number of rows
 * and not _ids: what a replica still holds of rows that left in a split, and the _ids that it gives to new versions in that
 * case, are its own.
 */
#ifndef MERIDIAN_STORE_GC_H
#define MERIDIAN_STORE_GC_H

#include "shard/store/mvcc.h"

enum { GC_ROWS_DEFAULT = 500 };

struct gc_step {
    uint64_t table;
    int64_t below_hi; /* versions with a lower _hi go */
};

/* What to remove next, at most about rows_max rows of one table. *ret_any false: nothing is left to do. */
enum rc gc_plan(struct mvcc *m, int64_t rows_max, struct gc_step *ret, bool *ret_any, struct err *err) WAITS MUST_CHECK;

/* The threshold above which something can be removed: the lowest _hi there is. INT64_MAX: there are no old versions. */
enum rc gc_lowest(struct mvcc *m, int64_t *ret_hi, struct err *err) WAITS MUST_CHECK;

/* Parts of a slot (mvcc_slot_begin). gc_raise: a lower threshold than the present one changes nothing; RC_INVAL above the
 * floor. gc_delete leaves what the threshold still protects, whatever step says. */
enum rc gc_raise(struct mvcc *m, int64_t threshold, struct err *err) MUST_CHECK;
enum rc gc_delete(struct mvcc *m, const struct gc_step *step, struct err *err) MUST_CHECK;

#endif
