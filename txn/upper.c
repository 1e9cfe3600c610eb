/* SPDX-License-Identifier: Apache-2.0 */
/* upper.c: the transaction layer's hooks of a node. */
#include "txn/upper.h"

#include <stddef.h>
#include <stdlib.h>

#include "txn/client_internal.h"

/* node_store.upper, and the ctx of txn_tablet_ops, which wants the hosts' pointer first. */
struct txn_store {
    struct txn_hosts *hosts;
    const struct txn_above *ops;
    struct txn_client *client;
    void *above;
};

static_assert(offsetof(struct txn_store, hosts) == 0, "what host_open looks for");

static void store_free(void *upper) {
    struct txn_store *s = upper;
    if (s->above && s->ops->store_free)
        s->ops->store_free(s->above);
    txn_client_free(s->client);
    free(s);
}

static enum rc store_open(void *ctx, struct node_store *store, void **ret, struct err *err) {
    struct txn_store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, RC_NOMEM, "out of memory");
    s->ops = ctx;
    *ret = s; /* whatever comes: store_stop and store_free end what there is */
    enum rc rc = txn_client_new(store, &s->client, err);
    s->hosts = s->client ? txn_client_hosts(s->client) : NULL;
    if (!rc && s->ops && s->ops->store_open)
        rc = s->ops->store_open(s->ops->ctx, store, &s->above, err);
    return rc;
}

static enum rc serve(void *ctx, struct node *n, struct err *err) {
    const struct txn_above *above = ctx;
    return above && above->serve ? above->serve(above->ctx, n, err) : RC_OK;
}

static void store_stop(void *upper) {
    struct txn_store *s = upper;
    if (s->above && s->ops->store_stop)
        s->ops->store_stop(s->above);
    if (s->client)
        txn_client_stop(s->client);
}

static bool store_idle(void *upper) {
    struct txn_store *s = upper;
    return (!s->above || !s->ops->store_idle || s->ops->store_idle(s->above)) &&
           (!s->client || txn_client_idle(s->client));
}

void txn_upper_init(struct node_upper *ret, const struct txn_above *above) {
    *ret = (struct node_upper){.tablet_ops = &txn_tablet_ops,
                               .store_open = store_open,
                               .serve = serve,
                               .store_stop = store_stop,
                               .store_idle = store_idle,
                               .store_free = store_free,
                               .ctx = (void *)(uintptr_t)above};
}

struct txn_client *txn_client_of(const struct node_store *s) {
    const struct txn_store *t = s->upper;
    return t ? t->client : NULL;
}

void *txn_above_of(const struct node_store *s) {
    const struct txn_store *t = s->upper;
    return t ? t->above : NULL;
}
