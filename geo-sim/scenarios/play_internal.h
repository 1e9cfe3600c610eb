/* SPDX-License-Identifier: Apache-2.0 */
/*
 * play_internal.h: what the files of play.h share.
 *
 * Threads     as play.h.
 */
#ifndef MERIDIAN_GEO_PLAY_INTERNAL_H
#define MERIDIAN_GEO_PLAY_INTERNAL_H

#include "geo-sim/scenarios/play.h"
#include "shard/node/node.h"
#include "shard/node/system.h"
#include "txn/upper.h"

enum { PLAY_NODES_MAX = 15, PLAY_CLIENTS_MAX = 512, PLAY_TABLE = 2000, PLAY_PINGS = 15, PLAY_PENDING_MAX = 4096 };

struct play;

struct play_node {
    struct play *play;
    struct sim_node *sim;
    struct node_conf conf;
    struct node *node; /* while it serves */
    unsigned index, place, region;
    char name[SIM_NAME_BYTES], rpc[32];
    bool restarting; /* ended on purpose: started again as soon as it has stopped */
    bool stopped;    /* its clean end is over */
};

/* A transaction whose client was not told: what became of it is asked at the end (N-15). */
struct play_pending {
    uint32_t t;
    struct txn_token token;
};

struct play_client {
    struct play *play;
    struct play_node *node;
    uint32_t id;
    bool busy; /* in a transaction: */
    uint32_t t;
    struct work_plan plan;
    int64_t begin_ns;
    struct txn_token token; /* of the attempt */
};

struct play {
    const struct play_conf *conf;
    const struct script *script;
    struct topo *topo;
    struct sim *sim;
    struct node_upper upper;
    struct table *table;
    struct work *work;
    struct results *results;
    unsigned nodes, clients;
    struct play_node node[PLAY_NODES_MAX];
    unsigned place_of[PLAY_NODES_MAX];
    struct play_client client[PLAY_CLIENTS_MAX];
    bool made, running, over,
        finished;    /* the table is there; clients work; no new transactions; the last look is done */
    int64_t from_ns; /* when clients began */
    int leader;      /* index of the node, -1 = nobody */
    struct play_pending pending[PLAY_PENDING_MAX];
    unsigned pendings;
    uint64_t clock_looks, clock_outside;
    int64_t ping_ns[PLAY_NODES_MAX][PLAY_NODES_MAX][PLAY_PINGS];
    unsigned pings[PLAY_NODES_MAX][PLAY_NODES_MAX], pinging;
    struct err err; /* what ended the play */
};

/* play_client.c */
enum rc play_make_table(struct table **ret, struct err *err) MUST_CHECK;
void play_client_main(void *client);
void play_setup_main(void *node); /* makes the table */
void play_final_main(void *node); /* looks at every key */
void play_ping_main(void *node);  /* measures its round trips */
/* The node is gone in the middle of what its clients did. */
void play_clients_cut(struct play *p, const struct play_node *n);
void play_broke(struct play *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* play_step.c */
void play_step(struct play *p, const struct script_step *s);
int play_leader(struct play *p); /* who leads the rows, with a lease that holds now */

#endif
