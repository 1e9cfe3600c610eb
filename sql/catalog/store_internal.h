/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_internal.h: what the files of the stored catalog share: store.c (the copy, changes, look-ups), first.c (a new cluster's
 * first objects) and sequence.c (numbers in blocks). Nobody else includes it.
 */
#ifndef MERIDIAN_SQL_CATALOG_STORE_INTERNAL_H
#define MERIDIAN_SQL_CATALOG_STORE_INTERNAL_H

#include "sql/catalog/store.h"
#include "truetime/base/map.h"

struct entry {
    struct map_node by_id, by_name; /* by_name: only while it is not dropped */
    struct cat_object *o;
};

/* Numbers of a sequence that this store may give. */
struct block {
    struct map_node node;
    uint32_t id;
    uint64_t changed; /* the sequence's, when the block was taken */
    int64_t next;
    uint64_t left;
};

struct cat_cache {
    struct node_store *store;
    struct txn_client *txns;
    struct table *objects, *sequences;
    struct map by_id, by_name, blocks;
    uint64_t version;
    uint32_t next_id, ids;
};

struct cat_change {
    struct cat_cache *cache;
    struct txn *txn;
    uint64_t base;         /* the catalog's version under our lock */
    struct cat_object **v; /* in the order made: the last one of an id counts */
    size_t n, cap;
};

enum rc cat_system_scan(struct cat_cache *c, struct txn *t, struct table *table, const char *sql,
                        const struct value *params, uint16_t n_params, const struct value *key, enum lock_mode lock,
                        enum rc (*on_row)(void *ctx, const struct value *v, uint16_t n, struct err *err), void *ctx,
                        struct err *err) WAITS MUST_CHECK;
enum rc cat_bootstrap(struct cat_cache *c, int64_t deadline, struct err *err) WAITS MUST_CHECK;

#endif
