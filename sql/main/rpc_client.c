/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_client.c: see rpc_client.h. */
#include "sql/main/rpc_client.h"

#include <stdio.h>

#include "shard/node/node.h"
#include "shard/runtime/env_real.h"

static const int64_t PATIENCE_NS = 10000000000;

struct run {
    struct rpc_client client;
    const char *addr;
    int (*body)(struct rpc_client *c, void *arg);
    void *arg;
    struct process *process;
    int code;
};

static void body_main(void *arg) {
    struct run *r = arg;
    r->client.deadline = reactor_deadline(r->client.reactor, PATIENCE_NS);
    r->code = r->body(&r->client, r->arg);
    process_stop(r->process);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct run *r = arg;
    struct rpc_conf conf = {.peers = {.clock_scale = "tt"}};
    (void)count;
    enum rc rc = reactor_new(stores[0], NULL, &r->client.reactor);
    if (!rc)
        rc = rpc_new(r->client.reactor, &conf, &r->client.rpc, err);
    if (!rc)
        rc = node_client_register(r->client.rpc, err);
    if (!rc)
        rc = rpc_link(&r->client.rpc, 1);
    if (rc)
        return rc;
    r->client.to = (struct store_addr){PEER_NODE_SEED, 0};
    rpc_set_address(r->client.rpc, PEER_NODE_SEED, r->addr);
    *ret_state = r;
    return fiber_spawn(r->client.reactor, NULL, FIBER_LARGE, "command", body_main, r);
}

static void stop(void *state, uint16_t store) {
    struct run *r = state;
    (void)store;
    rpc_stop(r->client.rpc);
    reactor_stop(r->client.reactor);
}

static bool stopped(void *state, uint16_t store) {
    struct run *r = state;
    (void)store;
    return reactor_idle(r->client.reactor) && rpc_idle(r->client.rpc);
}

static void done(void *state) {
    struct run *r = state;
    rpc_free(r->client.rpc);
    reactor_free(r->client.reactor);
}

int rpc_client_run(const char *name, const char *addr, int (*body)(struct rpc_client *c, void *arg), void *arg) {
    static const struct program program = {boot, stop, stopped, done};
    struct process_conf conf = {.stores = 1, .level = DIAG_OFF};
    struct run r = {.addr = addr, .body = body, .arg = arg, .code = 1};
    struct err err = {0};
    enum rc rc = process_new(&conf, &r.process, &err);
    if (!rc) {
        rc = process_run(r.process, &program, &r, &err);
        process_free(r.process);
    }
    if (rc)
        fprintf(stderr, "meridian %s: %s\n", name, err_message(&err));
    return rc ? 1 : r.code;
}
