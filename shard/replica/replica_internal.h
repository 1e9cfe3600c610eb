/* SPDX-License-Identifier: Apache-2.0 */
/* replica_internal.h: what the files of shard/replica share. Nobody else includes it. */
#ifndef MERIDIAN_REPLICA_INTERNAL_H
#define MERIDIAN_REPLICA_INTERNAL_H

#include "shard/replica/replica.h"
#include "shard/replica/wire.h"
#include "shard/runtime/wait.h"
#include "truetime/base/map.h"
#include "truetime/base/rng.h"

enum replicas_phase { REPLICAS_OPENING, REPLICAS_RUNNING, REPLICAS_STOPPING, REPLICAS_STOPPED };

/* What waits for one store. */
struct outbox {
    struct map_node node;
    px_store to;
    struct ilist link; /* of those with something in them */
    struct replica_out out;
};

/* An append that a replica waits for. */
struct persist {
    struct wal_ticket ticket;
    struct replicas *rs;
    struct replica *replica; /* referenced */
    uint64_t seq;
    struct persist *next_free;
};

/* P-22: which replica ids are over. */
struct tombstone {
    struct map_node node;
    uint64_t group, replica_max;
};

struct replicas {
    struct replicas_conf conf;
    struct env *env;
    struct reactor *reactor;
    struct rpc *rpc;
    px_store self;
    uint64_t incarnation;
    enum replicas_phase phase;
    enum rc dead; /* the log is broken */
    char dir[ENV_PATH_BYTES], log_dir[ENV_PATH_BYTES];
    struct wal *wal;
    struct wal_store store_record; /* the last one written */
    struct px_support *support;
    struct map groups, outboxes, tombstones;
    struct env_dir_lock *lock;
    struct ilist dirty, stuck, active_outboxes, apply_queue;
    struct reactor_flush flush;
    struct timerq timers; /* of replicas */
    struct timer timer, support_timer;
    int64_t timer_due_ns, support_due_ns;
    bool paused;
    struct persist *free_persists;
    size_t persists; /* under way */
    struct fiber_group fibers;
    struct waitq idle_workers, tomb_waiters;
    bool tombs_busy;
    uint32_t workers, workers_idle;
    size_t proposals;
    uint32_t sending, loading;
    int64_t bulk_free_ns; /* when the next chunk of a snapshot may leave */
    struct rng rng;
    struct arena in_arena;
    struct px_now cached; /* of a mutant */
    struct replicas_stats stats;
    struct metric metric[24];
    bool started, killed, wal_closed;
};

struct replica {
    struct map_node node;
    struct replicas *rs;
    struct px_group *g;
    uint64_t group, id;
    const struct replica_sm_ops *ops;
    void *sm;
    bool never_waits, gone, removed_told, was_member;
    bool leading; /* on_lead_begin was called */
    bool sending; /* a snapshot, to one peer at a time */
    bool applying, installing, loading, failed;
    uint32_t refs, changes; /* changes: replica_change under way */
    px_store preferred, leader_seen;
    struct px_ballot lead_ballot;
    struct replica_state state; /* what the data hold */
    px_slot told;               /* the core believes them to hold; above state.applied after a reload */
    px_slot checkpointed, truncated;
    int64_t lead_since_ns;  /* while leading */
    px_slot seen_applied;   /* at the last look of the watchdog; */
    int still;              /* so many looks without progress */
    int64_t apply_since_ns; /* the run under way began; 0 = none: for the watchdog */
    struct ilist dirty_link, stuck_link, apply_link;
    struct timer timer;
    int64_t wake_ns, elect_ns, ask_ns, gate_ns, retry_ns, want_ns; /* INT64_MAX = not waiting */
    uint32_t apply_failures;
    struct ilist proposals; /* by slot */
    struct waitq waiters;   /* something changed: applied, leader, members */
    /* records of the last px_ready that the log had no room for yet */
    const struct px_record *record;
    size_t records;
    uint64_t record_seq;
};

/* replicas.c */
void replica_ref(struct replica *r);
void replica_unref(struct replica *r);
struct outbox *outbox_for(struct replicas *rs, px_store to);
void outbox_send(struct replicas *rs, struct outbox *o);
void replicas_die(struct replicas *rs, enum rc rc, const char *why);

/* group.c */
void replica_touch(struct replica *r);       /* px_ready at the end of the turn */
void replica_after_event(struct replica *r); /* after each call into the core */
void replicas_flush(struct reactor_flush *f);
void replica_timer_fired(void *ctx);
void replicas_timer_fired(void *ctx);
void replicas_set_timer(struct replicas *rs);
void replica_set_timer(struct replica *r);
void replica_wake(struct replica *r);
void replicas_on_batch(void *ctx, struct rpc_request *q);
enum rc replicas_append(struct replicas *rs, enum rc (*put)(struct replicas *rs, void *arg, struct wal_ticket *t),
                        void *arg, struct err *err) WAITS MUST_CHECK;
struct persist *persist_new(struct replica *r, uint64_t seq);

/* apply.c */
void apply_later(struct replica *r);
void apply_stop(struct replicas *rs);
void proposals_end(struct replica *r, px_slot upto, enum rc rc); /* those at or below a slot */
void proposal_done(struct replica_proposal *p, enum rc rc);

/* support_driver.c */
void support_driver_start(struct replicas *rs);
void support_driver_fired(void *ctx);
void support_driver_refused(struct replicas *rs); /* an epoch of ours has lapsed at a peer */
struct support_out support_driver_out(struct replicas *rs);

/* snapshot.c */
extern const struct rpc_service replicas_snapshot_service;
void snapshot_send_later(struct replica *r, px_store to, bool leader);
void snapshots_wanted(struct replica *r); /* after px_ready */

/* change.c */
extern const struct rpc_service replicas_create_service;
enum rc tombstones_load(struct replicas *rs, struct err *err) WAITS MUST_CHECK;
void tombstones_free(struct replicas *rs);
bool tombstone_covers(const struct replicas *rs, uint64_t group, uint64_t replica);

/* witness.c */
bool replica_is_witness(const struct replica *r);
void witness_checkpoint(struct replica *r); /* where its log may be cut (N-13) */

#endif
