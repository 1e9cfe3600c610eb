/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet_ops.h: what the transaction layer adds to a tablet: its commands in the log, its state beside the rows, its word on
 * what may be read.
 *
 * Promise     For each replica of a tablet one state, made by open when the data are there and made anew after each reload:
 *             nothing of it survives but what it put into sections (mvcc_put_section), so a follower, a restarted store and
 *             whoever got a snapshot know the same (P-10, T-11).
 * Relies on   nobody calling two of these at a time. Those not marked WAITS must not wait.
 * Threads     the store's own.
 */
#ifndef MERIDIAN_TABLET_OPS_H
#define MERIDIAN_TABLET_OPS_H

#include "shard/replica/replica.h"
#include "shard/store/mvcc.h"
#include "shard/tablet/command.h"

struct tablet;

struct tablet_ops {
    /* The tablet's data are as of mvcc_state: reads its sections. */
    enum rc (*open)(void *ctx, struct tablet *t, void **ret_state, struct err *err);
    void (*close)(void *state); /* NULL is fine */

    /* A command of kind COMMAND_UPPER or above, between mvcc_slot_begin and mvcc_slot_end of its slot: changes rows and
     * sections, and the state in memory. An error breaks the tablet: what a peer can cause is an outcome, not an
     * error. own: the proposal's, where it waits here. */
    enum rc (*apply)(void *state, px_slot slot, int64_t ts, const struct command *c, void *own, struct err *err);
    /* The timestamp that must have passed before the entry may be applied (T-4); 0 = none. Also the tablet's floor behind it (N-4):
     * a function of the entry alone. */
    int64_t (*gate)(void *state, int64_t ts, const struct command *c);
    /* The run that brought these entries is in the data now: what waited for it may be answered, locks may go (N-8). */
    void (*applied)(void *state, px_slot slot);

    /* This replica leads: locks of what is prepared are taken again before anything else is let in (T-11). */
    void (*lead_begin)(void *state, int64_t floor);
    void (*lead_end)(void *state);

    /* The largest timestamp at which [start, end) can be read as far as prepared transactions are concerned:
     * INT64_MAX where none touches it. */
    int64_t (*safe_cap)(void *state, struct mvcc_bytes start, struct mvcc_bytes end);
    /* Waits until safe_cap of the range is at least ts. */
    enum rc (*safe_wait)(void *state, struct mvcc_bytes start, struct mvcc_bytes end, int64_t ts,
                         int64_t deadline) WAITS;

    /* Splits (N-6). split_begin: this leader is about to propose one at key: until split_right or split_cancel nothing is
     * prepared or committed, and what is coordinated across key is aborted. An error: not now (nothing was begun).
     * split_cancel: it was not proposed, or never chosen; not called after lead_end. */
    enum rc (*split_begin)(void *state, struct mvcc_bytes key, struct err *err);
    void (*split_cancel)(void *state);
    /* The split is applied, on every replica, in two steps; other fibers may run between them, but nothing else is applied.
     * split_right: between mvcc_slot_begin and mvcc_slot_end of `right`, a tablet of its own: puts what belongs to [key, end)
     * into sections of tablet_mvcc(right), at `generation` (which is closed and opened again later: keep no pointers into
     * it). state knows from here on that it ends at key. *ret_right becomes the right half's state, with what only memory
     * knows (locks, overlays) if state leads: its lead_begin follows when the right half's group is open. NULL: it is made
     * by `open`.
     * split_left: between slot_begin and slot_end of state's own tablet: it is [start, key) at `generation`; sections that
     * left go. Without a split_right before it where an earlier try made the right half whole and durable.
     * An error of either: close and open follow. */
    enum rc (*split_right)(void *state, struct mvcc_bytes key, uint64_t generation, struct tablet *right,
                           void **ret_right, struct err *err);
    enum rc (*split_left)(void *state, px_slot slot, struct mvcc_bytes key, uint64_t generation, struct err *err);
};

#endif
