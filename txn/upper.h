/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upper.h: the transaction layer as a part of a node, and the place for what lies above it.
 *
 *     static struct txn_above sql = {.store_open = ..., .ctx = ...};
 *     struct node_upper up;
 *     txn_upper_init(&up, &sql);         conf.upper = &up
 *     ...
 *     struct txn_client *c = txn_client_of(store);      on the store's thread, once it is open
 *     struct session_engine *e = txn_above_of(store);   what sql's store_open returned
 *
 * Promise     A store's client is there before its tablets are opened, and outlives them. What is above is opened after it and
 *             ended before it.
 * Relies on   node.h.
 * Threads     as node.h says of each hook.
 */
#ifndef MERIDIAN_TXN_UPPER_H
#define MERIDIAN_TXN_UPPER_H

#include "txn/client.h"

/* What the layer above brings; like struct node_upper. Any may be NULL. */
struct txn_above {
    /* Before the tablets are opened: txn_client_of works, but nothing may be asked yet. */
    enum rc (*store_open)(void *ctx, struct node_store *s, void **ret, struct err *err) WAITS;
    /* The node serves: listeners may open. On store 0. */
    enum rc (*serve)(void *ctx, struct node *n, struct err *err) WAITS;
    void (*store_stop)(void *above);
    bool (*store_idle)(void *above);
    void (*store_free)(void *above);
    void *ctx;
};

/* above: NULL, or it outlives the node. */
void txn_upper_init(struct node_upper *ret, const struct txn_above *above);
struct txn_client *txn_client_of(const struct node_store *s); /* NULL: not open */
/* The sites on its tablets (host.h), for views and tests. */
struct txn_hosts;
struct txn_hosts *txn_client_hosts(struct txn_client *c);
void *txn_above_of(const struct node_store *s);

#endif
