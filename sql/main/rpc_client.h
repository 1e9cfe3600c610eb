/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc_client.h: for commands that ask a node something: one store, a fiber, an rpc that is in no cluster.
 *
 * Promise     rpc_client_run returns when body has; what body returns is the command's exit status.
 * Threads     the main one; body runs on its loop.
 */
#ifndef MERIDIAN_SQL_RPC_CLIENT_H
#define MERIDIAN_SQL_RPC_CLIENT_H

#include "shard/net/rpc.h"

struct rpc_client {
    struct rpc *rpc;
    struct reactor *reactor;
    struct store_addr to; /* store 0 of the node at the address given */
    int64_t deadline;     /* ten seconds from the start, unless the command says otherwise */
};

/* addr: "HOST:PORT". Complains on standard error, as `name`, if it cannot begin; then 1. */
int rpc_client_run(const char *name, const char *addr, int (*body)(struct rpc_client *c, void *arg), void *arg);

#endif
