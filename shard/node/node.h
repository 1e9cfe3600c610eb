/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.h: a node: a process with a few stores, its place in a cluster, and what it does by itself for the cluster.
 *
 *     empty directory, --bootstrap    makes a cluster of one: its number, the system tablet, the first tablet
 *     empty directory, --join A,B     asks a member for a number, then serves
 *     a directory with an identity    starts where it stopped; its cluster is checked, never changed
 *
 *     NEW -> IDENTIFIED -> OPEN -> SERVING -> STOPPING -> STOPPED
 *
 * Promise     Two halves of a cut network never both make a cluster: only --bootstrap does. A node's number, the cluster's id
 *             and how often it was started are durable before it speaks with them. Tablets gain voters as nodes join, up to
 *             NODE_VOTERS, over regions first, then zones; a voter whose node is dead gives its place to another node, if there
 *             is one that may have it (node_dead.c). The directory follows what tablets' leaders say. A clean stop hands
 *             leaderships over.
 * Relies on   tablets (tablet.h), rpc, an interval clock; upper layers through struct node_upper.
 * Threads     program.h: boot before the loops; the rest on each store's own thread.
 */
#ifndef MERIDIAN_NODE_H
#define MERIDIAN_NODE_H

#include "shard/node/directory.h"
#include "shard/runtime/program.h"
#include "shard/tablet/tablet.h"
#include "truetime/poller.h"

enum {
    NODE_TABLET_BYTES = 64 << 20,
    NODE_VOTERS = 3,
    NODE_REPAIR_AFTER_S = 300,
    NODE_STORES_MAX = 64,
    NODE_JOINS_MAX = 16,
    NODE_NAME_BYTES = 64
};

struct node;

/* One store, for the layers above. */
struct node_store {
    struct node *node;
    uint16_t number;
    const char *dir; /* the store's own */
    struct env *env;
    struct reactor *reactor;
    struct rpc *rpc;
    struct tt_clock clock;
    struct vfs *vfs;
    struct mvcc_store *mvcc;
    struct tablets *tablets; /* NULL until it is open */
    struct directory *directory;
    void *upper;
};

/* What the layers above bring. Any may be NULL. */
struct node_upper {
    const struct tablet_ops *tablet_ops;
    /* Before the tablets are opened: makes the store's part of the layers above; *ret is the ctx of tablet_ops. */
    enum rc (*store_open)(void *ctx, struct node_store *s, void **ret, struct err *err) WAITS;
    /* The node serves: listeners may open. On store 0. */
    enum rc (*serve)(void *ctx, struct node *n, struct err *err) WAITS;
    void (*store_stop)(void *upper);
    bool (*store_idle)(void *upper);
    void (*store_free)(void *upper);
    void *ctx;
};

struct node_conf {
    const char *dir;
    const char *rpc_addr, *http_addr; /* NULL: none; without rpc nobody can join */
    const char *sql_addr;             /* what is told to others; the upper layer listens */
    const char *join[NODE_JOINS_MAX];
    size_t joins;
    bool bootstrap;
    const char *region, *zone;
    struct tt_spec clock;
    const char *host_dir; /* for the clock "host": shared by all nodes of this machine */
    uint16_t stores;
    const struct env_tls_conf *tls; /* NULL: plain */
    bool datagrams;                 /* the simulator's network */
    /* peer.h's send_delay, by where the two nodes stand ("" = not told); NULL: none. Any store's thread. */
    int64_t (*send_delay)(void *ctx, const char *from_region, const char *from_zone, const char *to_region,
                          const char *to_zone);
    int64_t tablet_bytes;    /* a tablet with more is split; 0 = NODE_TABLET_BYTES, below 0 = none is */
    int64_t cache_bytes;     /* of a SQLite connection's page cache; 0 = its share of what a server gives (mvcc.h) */
    int64_t versions_ns;     /* how long versions are kept; 0 = 1 h */
    int64_t repair_after_ns; /* a voter so long silent is replaced; 0 = NODE_REPAIR_AFTER_S, below 0 = none is */
    struct replicas_conf replicas;  /* limits and times; zeros: defaults */
    const struct node_upper *upper; /* NULL: none */
    /* It serves: once, on store 0's thread. */
    void (*on_ready)(void *ctx, struct node *n);
    /* It could not start, or cannot go on: code and one sentence. Then it is to be stopped. */
    void (*on_failed)(void *ctx, struct node *n, enum rc rc, const struct err *err);
    void *ctx;
};

/* arg of program.boot: a struct node_conf, which outlives the node. */
extern const struct program node_program;
/* A clean end, from store 0's thread: hands over, then on_stopped; the process may stop then. */
void node_stop(struct node *n, void (*on_stopped)(void *ctx), void *ctx);

/* By a list: every tablet has its voters, where they belong. */
bool node_fully_replicated(const Node__Answer *list);

/* ... and every region that is to have a read replica has one (or a voter). */
bool node_reads_complete(const Node__Answer *list);

/* Splits a tablet, whoever leads it: tablet, or the one that holds key if it is 0; at key, or in the middle if it has no bytes
 * (tablets_split has the rules for keys). *ret_right: the right half. */
enum rc node_tablet_split(struct node_store *s, uint64_t tablet, struct mvcc_bytes key, int64_t deadline,
                          uint64_t *ret_right, struct err *err) WAITS MUST_CHECK;

/* What a placement asks for, from now on (placement.h): makes it, or changes it for all that have it. RC_INVAL. */
enum rc node_placement_set(struct node_store *s, const Node__Placement *p, int64_t deadline,
                           struct err *err) WAITS MUST_CHECK;
/* A table group's placement; NULL or "": the default one. RC_NOTFOUND. Its tablets come over by themselves. */
enum rc node_place_group(struct node_store *s, uint64_t group, const char *placement, int64_t deadline,
                         struct err *err) WAITS MUST_CHECK;

/* How long what that node sends takes to come here; 0: not known. As good as the clocks, a few milliseconds. */
int64_t node_way_ns(struct node_store *s, uint32_t node);

/* For a program that asks nodes and is none: the messages of directory.h. */
enum rc node_client_register(struct rpc *rpc, struct err *err) MUST_CHECK;

const struct node_conf *node_conf(const struct node *n);
uint32_t node_number(const struct node *n);     /* 0: none yet */
const char *node_cluster(const struct node *n); /* 32 hex digits */
const char *node_rpc_addr(const struct node *n);
const char *node_http_addr(const struct node *n); /* NULL: none */
/* For upper layers that listen: what system.nodes is to say; before node_serve returns. */
void node_set_sql_addr(struct node *n, const char *addr);
uint16_t node_stores(const struct node *n);
struct node_store *node_store(struct node *n, uint16_t store);
bool node_serving(const struct node *n);
const struct tt_poller *node_clock(const struct node *n);

#endif
