/* SPDX-License-Identifier: Apache-2.0 */
/* node_internal.h: what the files of shard/node share. */
#ifndef MERIDIAN_NODE_INTERNAL_H
#define MERIDIAN_NODE_INTERNAL_H

#include "shard/node/node.h"
#include "shard/node/placement.h"
#include "shard/node/system.h"
#include "shard/runtime/wait.h"
#include "truetime/base/map.h"
#include "truetime/peer.h"

enum { CLUSTER_BYTES = 16, ADDR_BYTES = ENV_ADDR_BYTES };

/* What DIR/identity holds: who this node is. Written before the node speaks with it. */
struct identity {
    uint8_t cluster[CLUSTER_BYTES];
    uint32_t node;
    uint16_t stores;
    uint64_t starts;
    char region[NODE_NAME_BYTES], zone[NODE_NAME_BYTES];
};

enum node_state { NODE_NEW, NODE_IDENTIFIED, NODE_OPEN, NODE_SERVING, NODE_STOPPING, NODE_STOPPED, NODE_STATES };

struct store_run {
    struct node_store pub;
    struct event go;      /* the identity is known: open */
    struct env_post post; /* store 0 to this one: go; or back: done */
    struct env_post stop_post, back_post;
    struct fiber_group fibers;
    struct waitq wake; /* of the repair fiber: a tablet here has changed */
    enum rc rc;        /* of opening */
    struct err err;
    struct tt_peers clocks; /* what the others' frames say of the time */
    struct map clock_peers;
    bool clock_ready, opened, stopping, closed;
    struct counter repairs; /* voters of dead nodes that others have replaced */
    struct metric repairs_metric;
    char dir[ENV_PATH_BYTES];
};

struct node {
    const struct node_conf *conf;
    enum node_state state;
    struct identity id;
    bool making; /* the cluster is being made: nothing can be asked yet */
    bool fresh;  /* it had no identity before this start */
    bool lone;   /* it was made before, and nobody can reach it: it is the whole cluster */
    char cluster_hex[2 * CLUSTER_BYTES + 1];
    char sql_addr[ADDR_BYTES], rpc_addr[ADDR_BYTES], http_addr[ADDR_BYTES], boot_id[ENV_BOOT_ID_BYTES];
    struct store_run *store;
    struct rpc **rpc;
    uint16_t stores;
    struct tt_poller *poller;
    struct env_dir_lock *lock;
    struct env_tls *tls;
    struct event opened; /* store 0: all stores have said how opening went */
    uint16_t to_open, to_stop;
    struct env_listener *http;
    size_t http_clients;
    uint64_t peers_written;
    void (*on_stopped)(void *ctx);
    void *stop_ctx;
};

void node_move(struct node *n, enum node_state to);
void node_failed(struct node *n, enum rc rc, const struct err *err);

/* node_identity.c */
enum rc identity_read(struct env *env, const char *dir, struct identity *ret, struct err *err); /* RC_NOTFOUND */
enum rc identity_write(struct reactor *r, const char *dir, const struct identity *id, struct err *err) WAITS;
/* Addresses of nodes and the root, to find the others after a restart. A missing or damaged file is no error: empty. */
void peers_read(struct env *env, const char *dir, struct directory *d);
/* If it would say something new: *written remembers what it said. */
void peers_write(struct reactor *r, const char *dir, const struct directory *d, uint64_t *written) WAITS;

/* node_join.c: on store 0 */
enum rc node_identify(struct node *n, struct err *err) WAITS;
enum rc node_bootstrap(struct node *n, struct err *err) WAITS;
enum rc node_hello(struct node *n, struct err *err) WAITS;
/* The making of the cluster is over: DIR/peers is there. */
bool node_made(struct node *n);
/* A node that nobody can reach: waits until it leads its tablets. RC_INVAL: they need others. */
enum rc node_lone(struct node *n, struct err *err) WAITS;
void node_describe(const struct node *n, Node__Node *ret);

/* node_clocks.c */
void node_clocks_init(struct store_run *s);
void node_clocks_done(struct store_run *s);
void node_clocks_heard(void *ctx, uint32_t node, int64_t earliest, int64_t latest);
const char *node_clocks_unfit(void *ctx);
bool node_clocks_contradicts(void *ctx, px_store store);
/* Asks one of the nodes of whom it is not known how far they are. */
void node_ways_learn(struct store_run *s);

/* node_serve.c */
enum rc node_register(struct store_run *s, struct err *err);

/* node_reads.c: what is remembered of stores between looks: who answers. */
struct reads {
    struct heard *heard;
    size_t count, cap;
};

/* node_repair.c */
void node_repair(void *arg) WAITS;
void node_tablet_changed(void *ctx, uint64_t tablet);
const struct px_member *node_member(const struct px_config *c, uint32_t node); /* any of its stores; NULL */
/* A new member with these flags (PX_OLD: a voter; 0: a learner); one that is there gets them too. RC_LIMIT. */
enum rc node_config_add(struct px_config *c, px_store store, uint64_t replica, uint32_t flags,
                        struct err *err) MUST_CHECK;
void node_config_del(struct px_config *c, uint32_t i);
bool node_answers(struct store_run *s, struct store_addr to) WAITS;
/* The store that is to have the tablet's next voter: where the placement allows one and no voter is, and it answers. Best in
 * `region` (NULL: none is preferred), then where none of the voters `beside` is: by region, then zone. memory: of who answers, or
 * NULL to ask each. */
bool node_choose(struct store_run *s, const struct tablet_info *info, const struct px_config *beside,
                 const char *region, struct reads *memory, px_store *ret) WAITS;
/* Takes a tablet that this store leads to other members. want->epoch: of the configuration that it was made from. RC_OVERLOAD: that
 * is not the last one any more, or is being changed: two who go by an old one bring back who has left. */
enum rc node_change(struct store_run *s, uint64_t id, const struct px_config *want, int64_t ns,
                    struct err *err) WAITS MUST_CHECK;
static inline uint32_t px_node_of(px_store s) {
    return px_store_addr(s).node;
}

/* node_reads.c */
void reads_done(struct reads *r);
/* That store was looked at: for how long it has not answered, 0 if it answers. Whoever was not looked at for a while, because
 * nothing was led that he is a member of, or because this process stood still, begins anew. */
int64_t reads_silent_ns(struct reads *r, px_store store, bool answers, int64_t now);
/* Of the nodes that were looked at lately, this one among them, do at least half not answer? */
bool reads_most_silent(const struct reads *r, uint32_t self, int64_t now);
/* Does it answer a question now? What was found a moment ago is good for the next tablets too: each would wait for it anew. */
bool reads_answers(struct store_run *s, struct reads *memory, struct store_addr to) WAITS;
/* Read replicas of a tablet that this store leads, whose voters are complete, as its placement wants them: the members that it is to
 * have (node_change), if they are not those that it has. */
enum rc node_reads(struct store_run *s, struct reads *memory, const struct tablet_info *info, const Node__Placement *p,
                   struct px_config *ret, bool *ret_changes, struct err *err) WAITS MUST_CHECK;
/* A member, a voter, votes no more: it leaves, or stays as the read replica that its region is to have then (the rows are there
 * already). Called once the voters that come are in want. */
void node_reads_demote(struct store_run *s, uint64_t tablet, const Node__Placement *p, struct px_config *want,
                       px_store store);
/* What a tablet is placed by; NULL: nothing is asked for. */
const Node__Placement *node_placement(const struct store_run *s, const struct tablet_info *info);

/* node_dead.c */
void node_dead_metrics(struct store_run *s);
/* A look at the voters of a tablet that this store leads: in each round, so that silence has no gaps. */
void node_dead_listen(struct store_run *s, struct reads *voters, struct tablet *t);
struct node_dead {
    px_store store, heir; /* who is dead, and who is to vote in its place; 0: nothing is to be done */
    int64_t silent_ns;
};
/* The members that a tablet, which this store leads and whose members are not changing, is to have without its dead voter.
 * answers: who answers questions, as node_reads has it. */
enum rc node_dead(struct store_run *s, struct reads *voters, struct reads *answers, const struct tablet_info *info,
                  struct px_config *ret, struct node_dead *ret_dead, struct err *err) WAITS MUST_CHECK;

/* node_admin.c */
enum rc node_admin(struct store_run *s, Node__AdminAsk *ask, struct arena *a, int64_t deadline, Node__AdminAnswer *out,
                   struct err *err) WAITS MUST_CHECK;
/* Splits a tablet that this store leads. ret_key may be NULL. */
enum rc node_split(struct store_run *s, uint64_t id, struct mvcc_bytes key, int64_t deadline, uint64_t *ret_right,
                   struct buf *ret_key, struct err *err) WAITS MUST_CHECK;

/* node_http.c */
enum rc node_http_open(struct node *n, struct err *err);
void node_http_close(struct node *n);

#endif
