/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pxhost.h: a store that runs replicas of registers (regs.h) with static peers, for tests and benchmarks: the same code on
 * simulated nodes and in real processes.
 *
 * Node n has store n.0. Group g begins with `voters` voters (the last `witnesses` of them witnesses) and `learners` learners on
 * the nodes after node (g % nodes).
 */
#ifndef MERIDIAN_TESTS_PXHOST_H
#define MERIDIAN_TESTS_PXHOST_H

#include "shard/net/rpc.h"
#include "shard/replica/replica.h"
#include "tests/lib/regs.h"
#include "truetime/base/map.h"
#include "truetime/poller.h"

struct pxhost;

enum { PXHOST_NODES_MAX = 8, PXHOST_GROUPS_MAX = 32768 };

struct pxhost_conf {
    uint32_t node, nodes;            /* 1 .. nodes */
    char addr[PXHOST_NODES_MAX][64]; /* by node - 1; an empty one is told later with rpc_set_address */
    const char *dir;                 /* exists, or is made */
    const char *clock;               /* a SPEC */
    uint32_t groups, voters, witnesses, learners;
    bool datagrams, simulated;
    uint64_t incarnation; /* of the process, for the network */
    int64_t lease_ns, renew_ns;
    struct px_limits limits;
    struct wal_conf wal;
    uint32_t checkpoint_every, pad_bytes;
    bool gated, sm_never_waits;
    bool no_files;   /* nothing but the log is kept: for benchmarks */
    uint32_t leader; /* the node that should lead; 0 = any */
    const struct regs_watch *watch;
    /* After replicas_start; on a large fiber; the store goes on after it returns. */
    void (*body)(void *ctx, struct pxhost *h);
    void (*on_failed)(void *ctx, struct pxhost *h, enum rc rc, const char *why); /* could not start, or died */
    void *ctx;
};

struct pxhost_group {
    struct map_node node;
    uint64_t group, replica_id;
    bool witness;
    struct regs *regs; /* NULL: a witness */
    void *witness_sm;
};

struct pxhost {
    struct pxhost_conf conf;
    char dir[ENV_PATH_BYTES];
    struct env *env;
    struct reactor *reactor;
    struct rpc *rpc;
    struct tt_poller *poller;
    struct tt_clock clock;
    bool clock_ready;
    struct replicas *replicas; /* NULL until open */
    struct map groups;
    bool ready;
    struct regs_watch watch; /* between the state machines and conf.watch */
    struct pxhost_regs_list {
        struct regs *regs;
        struct pxhost_regs_list *next;
    } * retired; /* freed at the end */
};

/* Part of program.boot: the store begins by itself on a fiber. */
enum rc pxhost_boot(struct pxhost *h, const struct pxhost_conf *conf, struct env *env, struct err *err) MUST_CHECK;
void pxhost_stop(struct pxhost *h); /* at once; call replicas_stop before for a clean end */
bool pxhost_stopped(const struct pxhost *h);
void pxhost_done(struct pxhost *h);

struct pxhost_group *pxhost_group(struct pxhost *h, uint64_t group);
/* NULL: not here (yet). */
struct replica *pxhost_replica(struct pxhost *h, uint64_t group);
/* The first configuration of a group. */
void pxhost_first_config(const struct pxhost_conf *conf, uint64_t group, struct px_config *ret);

#endif
