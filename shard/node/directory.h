/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.h: where keys live, as one store knows it: a cache of the system tables, and how to ask for more.
 *
 * Promise     What it tells is a hint, ordered by generation and configuration: an older word never replaces a newer one
 *             (M-7). Whoever acts on it is checked at the tablet; a stale hint costs a hop, never a wrong answer.
 * Relies on   rpc; the root: stores that hold the system tablet, told by whoever is asked.
 * Threads     the store's own.
 */
#ifndef MERIDIAN_DIRECTORY_H
#define MERIDIAN_DIRECTORY_H

#include "paxos/core.h"
#include "shard/net/rpc.h"
#include "shard/node/node.pb-c.h"
#include "shard/store/mvcc.h"

enum { DIRECTORY_TABLETS_MAX = 200000, DIRECTORY_NODES_MAX = 4096, DIRECTORY_ROOT_MAX = PX_MEMBERS_MAX };

/* Message types. */
enum { NODE_TYPE_ASK = 96, NODE_TYPE_STATUS = 97, NODE_TYPE_ADMIN = 98 };

struct directory;

enum rc directory_new(struct rpc *rpc, struct directory **ret) MUST_CHECK;
void directory_free(struct directory *d); /* NULL is fine */

/* ---- asking the system tablet ---- */

/* Finds who leads the system tablet and asks. The answer lies in a. RC_TIMEOUT, RC_UNREACHABLE, and what the question met. */
enum rc directory_ask(struct directory *d, Node__Ask *ask, struct arena *a, int64_t deadline, Node__Answer **ret,
                      struct err *err) WAITS MUST_CHECK;
/* Where to begin: stores (px_store), the most likely leader first. */
void directory_set_root(struct directory *d, const uint64_t *stores, size_t n);
size_t directory_root(const struct directory *d, uint64_t *ret, size_t cap);
/* Learns what an answer says of nodes, tablets and the root. */
void directory_learn(struct directory *d, const Node__Answer *a);
/* n numbers of a counter that were never given before. */
enum rc directory_next(struct directory *d, const char *counter, uint32_t n, int64_t deadline, uint64_t *ret_first,
                       struct err *err) WAITS MUST_CHECK;

/* ---- tablets ---- */

struct directory_tablet {
    uint64_t id, generation;
    struct mvcc_bytes start, end; /* good until the directory changes: the next wait */
    struct px_config config;
    px_store leader; /* 0 = unknown: try the members */
};

/* The tablet that holds the key. Asks if it is not known. RC_NOTFOUND: nobody has it (the directory is incomplete). */
enum rc directory_find(struct directory *d, struct mvcc_bytes key, int64_t deadline, struct directory_tablet *ret,
                       struct err *err) WAITS MUST_CHECK;
/* Without asking; false: not known. */
bool directory_known(struct directory *d, struct mvcc_bytes key, struct directory_tablet *ret);
bool directory_known_id(struct directory *d, uint64_t id, struct directory_tablet *ret);
/* A tablet's own word: newer ones replace what is known, and what they overlap. */
void directory_put(struct directory *d, const Node__Tablet *t);
/* It was wrong: ask anew next time. */
void directory_forget(struct directory *d, uint64_t id);
void directory_leader(struct directory *d, uint64_t id, px_store leader);

/* ---- placements ---- */

/* With placements and placed as the last list had them; good until the next wait. */
const Node__Answer *directory_placements(const struct directory *d);

/* ---- nodes ---- */

size_t directory_nodes(const struct directory *d);
const Node__Node *directory_node_at(const struct directory *d, size_t i); /* by number; good until the next wait */
const Node__Node *directory_node(const struct directory *d, uint32_t node);

#endif
