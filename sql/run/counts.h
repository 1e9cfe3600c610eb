/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counts.h: about how many rows tables have, for the planner's guesses and for people (pg_class.reltuples).
 *
 *     counts_rows(c, table)                 what is known, maybe -1; if that is old, it is counted anew in the background
 *     counts_take(c, table, mode, ...)   counted now (ANALYZE)
 *
 * Promise     Counting reads the past at the nearest replicas and locks nothing. A table is counted again only if somebody
 *             asks, and not before a hundred times as long has passed as counting took: a hundredth of a reactor at most
 *             for each table that is asked about.
 * Relies on   txn/client.h; counts are guesses: a failed one changes nothing, and none outlives the process.
 * Threads     the store's own.
 */
#ifndef MERIDIAN_SQL_COUNTS_H
#define MERIDIAN_SQL_COUNTS_H

#include "txn/client.h"

enum { COUNTS_TABLES_MAX = 10000 };

struct counts;

enum rc counts_new(struct node_store *s, struct txn_client *txns, struct counts **ret) MUST_CHECK;
void counts_stop(struct counts *c); /* NULL is fine */
bool counts_idle(const struct counts *c);
void counts_free(struct counts *c); /* idle; NULL is fine */

/* -1: not known. */
double counts_rows(struct counts *c, const struct table *t);
double counts_known(const struct counts *c, uint64_t table); /* the same, without counting */
/* mode: TXN_READ_STRONG, or TXN_READ_MAX for whatever the nearest replicas have. */
enum rc counts_take(struct counts *c, const struct table *t, enum txn_mode mode, int64_t deadline,
                    struct err *err) WAITS MUST_CHECK;

#endif
