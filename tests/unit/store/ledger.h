/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h: a small database whose whole contents follow from the number of its last transaction, so that any test can say
 * whether a database is exactly the state after some commit.
 *
 * Transaction k sets the slot to k and a few rows, chosen by k, to k and to a block of bytes made from k and the row.
 */
#ifndef MERIDIAN_TESTS_LEDGER_H
#define MERIDIAN_TESTS_LEDGER_H

#include <sqlite3.h>

#include "truetime/base/err.h"

enum { LEDGER_ROWS = 64, LEDGER_ROW_BYTES_MAX = 3000, LEDGER_TOUCHED_MAX = 6 };

/* The rows that transaction k sets. Returns how many; a row may be among them twice. */
int ledger_touched(int64_t k, int rows[LEDGER_TOUCHED_MAX]);

/* A vfs_fill: the schema, slot 0. */
enum rc ledger_fill(sqlite3 *db, void *ctx, struct err *err);
/* BEGIN IMMEDIATE, rows, COMMIT; rolled back on an error. */
enum rc ledger_commit(sqlite3 *db, int64_t k, struct err *err) MUST_CHECK;
/* The same without BEGIN and COMMIT. */
enum rc ledger_write(sqlite3 *db, int64_t k, struct err *err) MUST_CHECK;
enum rc ledger_slot(sqlite3 *db, int64_t *ret_slot, struct err *err) MUST_CHECK;
/* What is there is the state after transaction *ret_slot, and the file is sound. Runs in one read transaction. RC_CORRUPT
 * with the difference in err. */
enum rc ledger_check(sqlite3 *db, int64_t *ret_slot, struct err *err) MUST_CHECK;
/* An on_pin of checkpoint.h. */
enum rc ledger_pin(sqlite3 *pin, void *ctx, int64_t *ret_marker, struct err *err);

#endif
