/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txnworld.h: a simulated cluster of whole nodes with the transaction layer, and clients on its nodes.
 *
 *     struct txnworld *w = txnworld_new(seed, 3, &conf);
 *     txnworld_ready(w);                       made, grown, the table is there
 *     txnworld_trouble(w, 20 * SECOND);        clients run, and things go wrong
 *     txnworld_heal(w);                        and must go on, then stop
 *     OKF(!w->broken[0], "%s", w->broken);
 *     txnworld_free(w);
 *
 * Tables: c1 int8 (key), c2 int8, c3 text. Keys are in TXNWORLD_TABLE, and with conf.two every other one in TXNWORLD_OTHER, which
 * lies on another tablet (the system's): so whatever touches two keys is likely to need two-phase commit.
 */
#ifndef MERIDIAN_TESTS_TXNWORLD_H
#define MERIDIAN_TESTS_TXNWORLD_H

#include "geo-sim/sim/sim.h"
#include "tests/check/history.h"
#include "txn/host.h"
#include "txn/upper.h"

enum { TXNWORLD_NODES_MAX = 5, TXNWORLD_TABLE = 2000, TXNWORLD_OTHER = 600 };

struct txnworld;

/* A node of the world, for its clients. */
struct txnworld_node {
    struct txnworld *w;
    struct sim_node *sim;
    struct node_conf conf;
    struct node_upper upper;
    struct node *node; /* while it serves */
    uint32_t number;
    uint32_t started; /* clients begun */
    struct env_post post;
    bool give_up, split; /* a client is to make it resign what it leads; to split a tablet of TXNWORLD_TABLE */
};

struct txnworld_conf {
    const char *const *region; /* of nodes 1, 2, ... (region[0] is not used); NULL: us, eu, ap, us, eu */
    uint16_t stores;           /* of each node; 0 = 1. Clients are on the last one, tablets on the first */
    int nodes, clients;        /* clients: of each node, each time it starts */
    /* One client: until w->over; it may return early. */
    void (*client)(struct txnworld_node *n, struct txn_client *c, uint32_t session);
    int64_t latency_ns, max_eps_ns;
    int64_t repair_after_ns; /* node_conf */
    bool two, crashes, partitions, transfers;
    int splits; /* so many, at keys below split_below */
    int64_t split_below;
    void *ctx;
};

struct txnworld {
    struct sim *sim;
    struct rng *rng;
    struct txnworld_conf conf;
    struct txnworld_node n[TXNWORLD_NODES_MAX + 1];
    struct table *table, *other;
    struct history *history;
    bool over, table_made, go;
    uint32_t sessions, crashes;
    int splits; /* done */
    uint64_t committed_before, committed, aborted, unknown, reads;
    int64_t next_value;
    char broken[512];
};

struct txnworld *txnworld_new(uint64_t seed, const struct txnworld_conf *conf);
void txnworld_ready(struct txnworld *w);
void txnworld_trouble(struct txnworld *w, int64_t ns);
void txnworld_heal(struct txnworld *w);
/* Whoever does not run is started; until all serve. */
void txnworld_restart(struct txnworld *w);
void txnworld_free(struct txnworld *w);
/* Voters of dead nodes that others have replaced, as the nodes that run count them. */
uint64_t txnworld_replaced(const struct txnworld *w);
void txnworld_broke(struct txnworld *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- for clients ---- */
struct node_store *txnworld_store(struct txnworld_node *n); /* where its clients are */
/* Between two of its transactions a client does what the world wants of its node. */
void txnworld_duties(struct txnworld_node *n);
int64_t txnworld_now(const struct txnworld *w); /* true time */
/* Reads the row with this key: *ret_value 0 if there is none. */
enum rc txnworld_get(struct txnworld *w, struct txn *t, int64_t key, enum lock_mode lock, int64_t *ret_value,
                     struct err *err) WAITS;
enum rc txnworld_put(struct txnworld *w, struct txn *t, int64_t key, int64_t value, struct err *err) WAITS;
/* All rows with first <= key <= last, in order; at most max. */
enum rc txnworld_range(struct txnworld *w, struct txn *t, int64_t first, int64_t last, struct hist_pair *ret,
                       size_t max, size_t *ret_n, struct err *err) WAITS;
/* c3 of a row, "" if there is none; put: c2 is 0 then. */
enum rc txnworld_get_text(struct txnworld *w, struct txn *t, int64_t key, enum lock_mode lock, char *ret, size_t bytes,
                          struct err *err) WAITS;
enum rc txnworld_put_text(struct txnworld *w, struct txn *t, int64_t key, const char *text, struct err *err) WAITS;
struct txn_write txnworld_row(struct txnworld *w, enum txn_write_kind kind, struct value v[3], int64_t key,
                              int64_t value);

#endif
