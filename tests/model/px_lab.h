/* SPDX-License-Identifier: Apache-2.0 */
/*
 * px_lab.h: stores that run the Paxos core, a pool of messages between them, disks that can forget. Nothing happens unless
 * it is asked for: the golden scripts tell what, the explorer tries every order, the hostile world rolls dice.
 *
 * Promise     After each thing done the invariants of docs/paxos.md that a global observer can see are checked; the first one
 *             that is broken is kept in `broken`:
 *               INV-P1  one value a slot                    INV-P4  equal applied slots, equal states
 *               INV-P2  no answer below a durable promise   INV-L1  no two stores hold the lease
 *               INV-P3  no answer before what it promises is durable; what is chosen is durably accepted at one ballot by a
 *                       quorum of the voters that count
 *               INV-S1  assigned timestamps increase        INV-S2  none at or below what was served
 * Threads     one.
 */
#ifndef MERIDIAN_TESTS_PX_LAB_H
#define MERIDIAN_TESTS_PX_LAB_H

#include "paxos/core.h"
#include "paxos/support.h"
#include "truetime/base/rng.h"

enum { LAB_NODES_MAX = 7, LAB_POOL_MAX = 4096 };
#define LAB_SECOND INT64_C(1000000000)
#define LAB_MS INT64_C(1000000)
#define LAB_EPOCH INT64_C(1767225600000000000) /* TrueTime when the lab opens */

/* Where a slot's newest record is, and at which ballot it is durably accepted. */
struct lab_at {
    size_t record; /* + 1; 0 = none */
    struct px_ballot durable;
};

/* What a store has on disk: records in order, durable up to a point. */
struct lab_disk {
    struct px_record *rec;
    size_t count, cap, durable;
    struct px_ballot promised; /* durably */
    struct lab_at *at;         /* by slot */
    size_t at_cap;
    uint64_t incarnation;
    int64_t clean_until;
    /* the state machine's last durable checkpoint */
    px_slot applied, truncated;
    struct px_ballot origin;
    int64_t floor;
    uint64_t hash;
    struct px_config config;
};

struct lab_write {
    size_t upto; /* records of the disk */
    uint64_t seq;
};

struct lab_node {
    struct lab *lab;
    px_store id;
    uint64_t replica; /* a new one each time that it is added again (P-23) */
    bool up, cut;
    bool frozen;                /* the process is stopped: messages wait for it */
    bool slow_disk, slow_apply; /* nothing is durable, applied, by itself */
    bool hoards;                /* its network keeps what is sent to it */
    struct lab_disk disk;
    struct px_support *sup;
    struct px_group *g;
    int64_t support_at, wake_at;
    int64_t err_lo, err_hi; /* present errors of its clock */
    int64_t lie;
    bool unsynced;
    int64_t seen_lo, seen_hi; /* a clock does not go back */
    struct lab_write *write;
    size_t writes, writes_cap;
    px_slot applied;
    struct px_ballot origin;
    int64_t floor;
    uint64_t hash;
    struct px_config config; /* as of applied */
    uint32_t snapshot_to;    /* stores, by bit */
    px_store snapshot_from;  /* it asked for one */
    enum px_role role;       /* when last looked at */
};

struct lab_msg {
    uint64_t id;
    bool support;
    struct px_msg m;
    struct support_msg s;
    struct px_config config;
    struct px_entry *entry;
};

/* Who hears what goes on. Any may be NULL. */
struct lab_ops {
    bool (*lose)(struct lab *l, const struct lab_msg *m); /* true: the network loses it */
    void (*applied)(struct lab *l, struct lab_node *n, px_slot slot, const struct px_value *v);
    void (*pumped)(struct lab *l, struct lab_node *n); /* something happened in n */
    void (*persisted)(struct lab *l, struct lab_node *n, const struct px_record *r);
};

struct lab_conf {
    uint64_t seed;
    uint32_t nodes; /* stores that exist; the first `voters` begin as voters */
    uint32_t voters;
    uint32_t witnesses; /* of the voters, the last ones */
    int64_t lease_ns;   /* 0: the core's default */
    bool clocks_lie;    /* then leases are not checked, the rest is */
    struct px_limits limits;
    const char *mutant;
};

enum { LAB_PROBES_MAX = 96, LAB_REPLICAS_MAX = 63 };

struct lab_accept { /* who has durably accepted at one ballot */
    struct px_ballot ballot;
    uint64_t replicas; /* bit = replica */
    struct lab_accept *next;
};

struct lab_slot {
    struct px_value *chosen;
    uint64_t hash; /* of the state after it; 0 = not known */
    struct lab_accept *accepts;
};

struct lab {
    struct lab_conf conf;
    struct lab_ops ops;
    void *ctx;
    struct chaos chaos;
    struct rng rng;
    int64_t now; /* true time since the lab opened, monotonic for all */
    struct lab_node node[LAB_NODES_MAX];
    struct lab_msg **pool;
    size_t pooled;
    uint64_t next_id, next_replica, next_command;
    /* the global observer */
    struct lab_slot *slot; /* by slot - 1 */
    size_t slots_cap;
    px_slot chosen_last;
    struct px_config first; /* configuration */
    struct {
        px_slot slot;
        struct px_config c;
    } * config;
    size_t configs, configs_cap;
    int64_t max_served; /* largest timestamp served by any leader so far */
    uint64_t served;
    char broken[512];
    const char *probe[LAB_PROBES_MAX];
    uint64_t probe_hits[LAB_PROBES_MAX];
    size_t probes;
};

struct lab *lab_new(const struct lab_conf *conf, const struct lab_ops *ops, void *ctx);
void lab_free(struct lab *l);
void lab_break(struct lab *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
uint64_t lab_probe(const struct lab *l, const char *what);

/* ---- clocks ---- */
struct px_now lab_now(struct lab_node *n);

/* ---- the network ---- */
/* Whether message i of the pool would arrive now. */
bool lab_arrives(const struct lab *l, size_t i);
/* Takes message i out of the pool and lets it arrive, unless its receiver is down or cut off. again: a copy stays behind. */
void lab_deliver(struct lab *l, size_t i, bool again);
void lab_drop(struct lab *l, size_t i);

/* ---- a store's life ---- */
/* Hands on what the core has to say. Called after everything below; call it after whatever else you ask of n->g. */
void lab_pump(struct lab_node *n);
void lab_tick(struct lab_node *n); /* what is due */
bool lab_sync(struct lab_node *n); /* the oldest write is durable; false: there is none */
bool lab_apply(struct lab_node *n, bool all);
void lab_checkpoint(struct lab_node *n);
void lab_truncate(struct lab_node *n, px_slot slot); /* after a checkpoint; a witness no further than it may (N-13) */
bool lab_install(struct lab_node *from, struct lab_node *to);
void lab_start(struct lab_node *n);
void lab_stop(struct lab_node *n); /* cleanly: writes down what it granted (N-2) */
/* Of what was not durable the first `kept` records are there all the same. */
void lab_crash(struct lab_node *n, size_t kept);
/* The disk is lost; the store comes back as another replica (P-23). */
void lab_wipe(struct lab_node *n);
/* RC_OK: proposed, at *ret_ts if min_ts. */
enum rc lab_propose(struct lab_node *n, const void *data, size_t bytes, int64_t min_ts, px_slot *ret_slot,
                    int64_t *ret_ts);
enum rc lab_serve(struct lab_node *n, int64_t ts);

/* ---- checks ---- */
uint64_t lab_fingerprint(const struct lab *l); /* of everything that decides what may happen next */
void lab_check_leases(struct lab *l);          /* asks each leader for its lease, as a reader would */
void lab_check_timestamps(struct lab *l);
/* Every member that is up has applied the same, and one of them leads. */
bool lab_agreed(struct lab *l);
void lab_dump(struct lab *l);

#endif
