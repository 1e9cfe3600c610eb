/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readview.h: a table as it was at a timestamp, under a transaction's own writes, for SQLite to read.
 *
 * Promise     Three forms of one table give the same rows:
 *               FORM_LATEST  t<ID> alone. For T >= the table's last commit in the connection's snapshot, and no own writes.
 *               FORM_SIMPLE  current UNION ALL history. For the only table of a fragment, read without order or limit, and no
 *                            own writes: joined, SQLite would make 2^k arms of it or write it down whole. For long scans.
 *               FORM_VIEW    a virtual table v<ID>: for everything. Equalities, ranges and IN on the key and on local
 *                            indexes are pushed into it, and so is ORDER BY of either.
 * Relies on   the caller having checked that T is safe and not below the threshold; an overlay that does not
 *             change while a statement runs.
 * Threads     the connection's own.
 *
 * How v<ID> reads. Up to three arms are merged: current rows with _ts <= T; history rows with _ts <= T < _end; own writes,
 * which hide the stored version of their key. The history arm is left out when T >= the table's last commit, and for a whole
 * key whose current row is visible. It is entered by the key's index where the key's first columns are fixed, or when T is
 * long ago, else by the first _id whose _hi is above T, found by binary search: few rows when T is recent (N-4).
 */
#ifndef MERIDIAN_STORE_READVIEW_H
#define MERIDIAN_STORE_READVIEW_H

#include "shard/store/mvcc.h"

enum form { FORM_LATEST, FORM_SIMPLE, FORM_VIEW, FORM_COUNT };

/* A write of the transaction to a row, the last one to its key. The values stay where they are until the overlay changes. */
struct overlay_row {
    bool deleted;
    uint16_t n_values;
    const struct value *values; /* not deleted: the row, in the descriptor's order; else the key in key order */
};

/*
 * A transaction's own writes, as the layer above keeps them: for each table an ordered map from key to row. Keys that are
 * equal in SQLite's order are one key (key.h encodes them alike). It does not change while a fragment runs.
 */
struct overlay {
    const struct overlay_ops *ops;
};

struct overlay_cursor;

struct overlay_ops {
    /* Has the transaction written to the table? */
    bool (*touches)(struct overlay *o, uint64_t table);
    /* The write to the row with these key values (all of them, in key order). False: none. Must be fast. */
    bool (*get)(struct overlay *o, const struct table *t, const struct value *key, struct overlay_row *ret);
    /* Writes to rows whose first n key columns have these values (0: all), in key order. RC_NOMEM. */
    enum rc (*open)(struct overlay *o, const struct table *t, const struct value *prefix, uint16_t n,
                    struct overlay_cursor **ret);
    bool (*next)(struct overlay_cursor *c, struct overlay_row *ret); /* false: the end */
    void (*close)(struct overlay_cursor *c);
};

#endif
