/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h: a topology's regions, zones and nodes for scenarios: each node a simulated machine with a reactor, the network code and
 * an interval clock with its region's time masters, as `meridian start` will make them.
 *
 * Promise     A node that is killed and started again comes back under the same name with a new incarnation; on_boot is
 *             called each time and makes everything else that runs on it: services, fibers. After every event each clock is
 *             held against the true time, which only the simulator knows.
 * Relies on   geo-sim/sim, geo-sim/topology, shard/net, truetime.
 * Threads     one.
 */
#ifndef MERIDIAN_GEO_WORLD_H
#define MERIDIAN_GEO_WORLD_H

#include "geo-sim/sim/sim_topo.h"
#include "shard/net/rpc.h"
#include "truetime/peer.h"
#include "truetime/poller.h"

enum { WORLD_NODES_MAX = 15, WORLD_MASTERS_MAX = 8, WORLD_PORT = 7433 };

struct world;

struct world_node {
    struct world *world;
    uint32_t id;               /* 1, 2, ... */
    unsigned place, region;    /* of the topology */
    char name[SIM_NAME_BYTES]; /* its place's: "eu.a"; "eu.a2" for the second of a place */
    struct sim_node *sim;
    uint64_t boots;
    int64_t drift_ppb;

    /* while it runs */
    struct reactor *reactor;
    struct rpc *rpc;
    struct tt_poller *poller;
    struct tt_clock clock;
    bool clock_on;
    struct tt_peers peers;
    struct tt_peer peer[WORLD_NODES_MAX + 1]; /* by id */
};

struct world_conf {
    uint64_t seed;
    bool print;
    const char *topology; /* a text for topo_parse */
    /* Services and fibers of a node that starts. */
    enum rc (*on_boot)(struct world_node *n, void *ctx, struct err *err);
    /* What does not end with the network and the reactor; all three or none. on_stop begins, before these are stopped; on_done
     * gives back, once is_stopped. */
    void (*on_stop)(struct world_node *n, void *ctx);
    bool (*is_stopped)(const struct world_node *n, void *ctx);
    void (*on_done)(struct world_node *n, void *ctx);
    void *ctx;
};

struct world {
    struct world_conf conf;
    struct sim *sim;
    struct topo *topo; /* as it is now */
    unsigned count;
    struct world_node node[WORLD_NODES_MAX];
    unsigned place_of[WORLD_NODES_MAX];    /* by index, as sim_topo.h wants it */
    uint64_t clock_checks, clock_outside;  /* intervals held against true time; of these, true time was outside */
    uint64_t peer_checks, peer_contradict; /* intervals in frames held against the reader's (rule C-4) */
};

/* All nodes started. */
enum rc world_new(const struct world_conf *conf, struct world **ret, struct err *err) MUST_CHECK;
void world_free(struct world *w); /* NULL is fine */
enum rc world_start(struct world_node *n, struct err *err) MUST_CHECK;
/* On to virtual time ns since the beginning. */
void world_run(struct world *w, int64_t until_ns);
/* NULL: there is none of that name. */
struct world_node *world_find(struct world *w, const char *name);
/* Changes the network by a statement of the topology: "cut eu us,asia". */
enum rc world_say(struct world *w, const char *statement, struct err *err) MUST_CHECK;
static inline struct store_addr world_addr(const struct world_node *n) {
    return (struct store_addr){n->id, 0};
}

#endif
