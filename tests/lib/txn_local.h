/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn_local.h: the transactions of txn/client.h over tablets in this process, without a network, a log or locks: for tests of
 * what drives transactions. Linked in place of the real client.
 *
 *     struct local *l = local_new(r, "name");
 *     local_split(l, key);              from here on the key space has a boundary there
 *     local_table(l, table);            the table is known to all tablets
 *     txn_begin(local_client(l), &o, &t, &err) ...
 *
 * Promise     One transaction after the other is strictly serializable. Reads see own writes. Fragments run in the real store
 *             (fragment_run) on each tablet that a span touches, and on no other; batches are small. A scan with `whole` over two
 *             tablets is RC_MOVED. Row keys outside of a scan's spans are never given: a fragment that reads more than its spans
 *             say is found by the test (local_strict).
 * Relies on   the reactor of the test; files below tap_dir().
 * Threads     one fiber.
 */
#ifndef MERIDIAN_TESTS_TXN_LOCAL_H
#define MERIDIAN_TESTS_TXN_LOCAL_H

#include "shard/store/ext.h"
#include "txn/client.h"

enum { LOCAL_TABLETS_MAX = 8 };

struct local;

struct local_stats {
    uint64_t scans, fragments, rows, whole, writes, committed_with_write, on_one_tablet;
};

/* The functions that tablets' SQLite gets: ext, ctx as in mvcc_store_add_ext; n of them. */
struct local *local_new(struct reactor *r, const char *name, const struct ext *ext, size_t n);
void local_free(struct local *l);
/* A boundary; before the first table. Keys are given in any order. */
void local_split(struct local *l, const void *key, size_t bytes);
void local_table(struct local *l, const struct table *t);
struct txn_client *local_client(struct local *l);
struct node_store *local_store(struct local *l);
const struct local_stats *local_stats(const struct local *l);

#endif
