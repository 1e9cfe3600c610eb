/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay.h: what a transaction has written on one tablet and nobody else sees yet.
 *
 *     size_t mark = txn_overlay_mark(o);        SAVEPOINT
 *     txn_overlay_put(o, table, row, n, &err);  ...
 *     txn_overlay_rollback(o, mark);            ROLLBACK TO: exactly what was there at the mark
 *     fragment.overlay = txn_overlay_base(o);   later fragments read own writes over the stored rows (readview.h)
 *     txn_overlay_encode(o, &range, &buf);      the row images of the log entry
 *
 * Promise     W1  all revisions of a row are kept until the end or a rollback, so a rollback restores what was
 *             there, byte
 *                 by byte, however the writes and savepoints were interleaved.
 *             W2  rows come in the order of their keys, each once, its last revision.
 *             W3  bounded by bytes_max: a write beyond it is refused with RC_LIMIT and changes nothing.
 *             Writing and reading are O(log n); a rollback costs what it undoes.
 * Relies on   table.h (keys of rows), readview.h (who reads). No change while a fragment runs.
 * Threads     the tablet's reactor.
 * Source      Pugh, "Skip lists: a probabilistic alternative to balanced trees", 1990.
 */
#ifndef MERIDIAN_TXN_OVERLAY_H
#define MERIDIAN_TXN_OVERLAY_H

#include "shard/store/key.h"
#include "shard/store/readview.h"
#include "txn/ident.h"

struct txn_overlay;

/* bytes_max: 0 = 64 MiB. seed: for the shape of the list, from env_random. */
enum rc txn_overlay_new(size_t bytes_max, uint64_t seed, struct txn_overlay **ret) MUST_CHECK;
void txn_overlay_free(struct txn_overlay *o); /* NULL is fine */
/* For a fragment; lives as long as o. */
struct overlay *txn_overlay_base(struct txn_overlay *o);

/* The row as it is from now on: all columns in the descriptor's order. Everything is copied; t is referenced. RC_LIMIT
 * (W3), RC_NOMEM, or what is wrong with the key (key.h). */
enum rc txn_overlay_put(struct txn_overlay *o, struct table *t, const struct value *row, uint16_t n,
                        struct err *err) MUST_CHECK;
/* The row with this key (in key order) is gone from now on. */
enum rc txn_overlay_delete(struct txn_overlay *o, struct table *t, const struct value *key, struct err *err) MUST_CHECK;

/* How many writes there were: the name of a savepoint. */
size_t txn_overlay_mark(const struct txn_overlay *o);
/* Undoes all writes after mark, which txn_overlay_mark returned and no rollback has gone behind. */
void txn_overlay_rollback(struct txn_overlay *o, size_t mark);

/* Row images (mvcc_mutations_encode) of the rows whose keys lie in range; nothing is appended if there are none.
 * Temporary memory is taken and given back. buf_rc tells too. */
enum rc txn_overlay_encode(struct txn_overlay *o, const struct txn_span *range, struct buf *to) MUST_CHECK;

/* At a split both halves begin with what there was: encode leaves out what is not theirs. */
enum rc txn_overlay_copy(const struct txn_overlay *o, struct txn_overlay **ret) MUST_CHECK;

size_t txn_overlay_rows(const struct txn_overlay *o);
size_t txn_overlay_bytes(const struct txn_overlay *o);

#endif
