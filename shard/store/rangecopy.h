/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rangecopy.h: part of a tablet's range moves into a file of its own: the mechanics of a split.
 *
 * Promise     The new file holds every version of every row of its range as of one applied slot, and a checksum that adds up;
 *             its part is taken out of the old tablet's checksum in the slot that gives the range away. The long part runs
 *             beside the tablet's work, from a pinned reader, and yields; what changed meanwhile is remembered key by key and
 *             copied again, so the last step is as long as little changed.
 * Relies on   the caller for what a split is besides rows: sections of the upper layers, the manifest that names the files, and
 *             the order of steps below.
 * Threads     the reactor's own, on large fibers.
 *
 *     rangecopy_begin       the file is made; from here on changes are remembered
 *     rangecopy_catch_up    as often as wanted; rangecopy_finish also makes the file durable, so that little is left to do
 *     -- no slot is applied to the old tablet from here --
 *     rangecopy_settle      the rest
 *     (the caller may apply a slot of its own to rangecopy_file)
 *     rangecopy_seal        the file is whole, durable and closed, without a WAL: it can be renamed (vfs_adopt)
 *     (the caller names the file in its manifest, durably)
 *     mvcc_slot_begin ... rangecopy_split_off ... mvcc_slot_end       on the old tablet
 *     rangecopy_end         the file is an ordinary tablet now: mvcc_open
 *
 * A crash before the manifest names the file leaves garbage under its name (mvcc_remove, and begin anew); after it, the replay
 * of the split's slot finds the file named and calls rangecopy_split_off without a copy, which adds up by itself.
 *
 * Rows that left stay in the old file until rangecopy_trim has removed them; until then every table is read through a view
 * that leaves them out (readview.h). Trimming is not replicated: it changes nothing that can be seen.
 */
#ifndef MERIDIAN_STORE_RANGECOPY_H
#define MERIDIAN_STORE_RANGECOPY_H

#include "shard/store/mvcc.h"

enum {
    RANGECOPY_KEYS_MAX = 200000,
    RANGECOPY_BYTES_MAX = 64 << 20,
    RANGECOPY_PACE = 200,
}; /* changes remembered; past them the copy is stale */

struct rangecopy;

/* Makes path for the tablet of *state: its range lies in that of `from`, its floor and threshold become those of `from`.
 * pause_ns: how long it and the catch-ups pause after each RANGECOPY_PACE rows (about a millisecond), so that those who are
 * waited for are not kept from the processor and the disk; 0: they never do. RC_BUSY: a copy from this tablet is under way
 * already; RC_EXISTS. */
enum rc rangecopy_begin(struct mvcc *from, const char *path, const struct mvcc_state *state, int64_t pause_ns,
                        struct rangecopy **ret, struct err *err) WAITS MUST_CHECK;
/* RC_OVERLOAD: too much changed, or the schema did, since it began: begin anew. */
enum rc rangecopy_catch_up(struct rangecopy *c, struct err *err) WAITS MUST_CHECK;
enum rc rangecopy_finish(struct rangecopy *c, struct err *err) WAITS MUST_CHECK;
/* As rangecopy_finish, but for the disk and the pauses. */
enum rc rangecopy_settle(struct rangecopy *c, struct err *err) WAITS MUST_CHECK;
/* The new tablet, until rangecopy_seal. */
struct mvcc *rangecopy_file(struct rangecopy *c);
/* Nothing else comes. RC_BUSY: somebody reads the file. */
enum rc rangecopy_seal(struct rangecopy *c, struct err *err) WAITS MUST_CHECK;
/* Keys that changed since the last catch-up: what the next one has to do. */
size_t rangecopy_behind(const struct rangecopy *c);
/* Finished, and nothing was applied since. */
bool rangecopy_current(const struct rangecopy *c);
/* The new tablet's state, until rangecopy_seal. */
const struct mvcc_state *rangecopy_state(const struct rangecopy *c);

/* Part of a slot of `from`: its range becomes [start, end), a part of what it was. c is current; NULL: the file was finished by
 * a former process, and what leaves is added up here (without a yield: 0.3 us a row). */
enum rc rangecopy_split_off(struct mvcc *from, struct mvcc_bytes start, struct mvcc_bytes end, uint64_t generation,
                            const struct rangecopy *c, struct err *err) MUST_CHECK;
/* Closes the file, whatever state it is in. NULL is fine. */
void rangecopy_end(struct rangecopy *c);

/* Removes up to rows_max rows that left m's range. *ret_more: call again. Commits the open batch. */
enum rc rangecopy_trim(struct mvcc *m, int rows_max, bool *ret_more, struct err *err) WAITS MUST_CHECK;

#endif
