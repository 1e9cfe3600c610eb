/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_internal.h: what the files of the gateway's client share.
 *
 * A transaction keeps a *visit* for each tablet that has executed a request of it: what Commit and Prepare must say of it
 * (docs/transactions.md, point 10). Writes wait in `pending`, in their order, until something takes them along.
 *
 * Threads     the store's own. Besides the fiber that drives a transaction, fibers of its scans and of its calls in parallel
 *             work on visits of different tablets; two requests to one tablet wait for each other (visit_lock).
 */
#ifndef MERIDIAN_TXN_CLIENT_INTERNAL_H
#define MERIDIAN_TXN_CLIENT_INTERNAL_H

#include "txn/client.h"
#include "txn/outcome.h"
#include "txn/serve.h"
#include "txn/upper.h"

enum { STAGES_KEPT = 96, MOVES_MAX = 200 /* about 12 s of pauses */ };
#define RETRY_LIMIT_NS INT64_C(60000000000)
#define SAFE_ASK_NS INT64_C(1000000000)

/* Stores that did not answer when they were asked for a read of the past. */
enum { AWAY_MAX = 16 };
struct away {
    px_store store;
    int64_t until; /* monotonic: not asked before */
    uint32_t times;
};

/* What a replica of the own store said of its tablet, and was wrong in: it lags. */
enum { OUTDATED_MAX = 16 };
struct outdated {
    uint64_t tablet, generation;
    px_store leader;
    int64_t until; /* monotonic: not believed before */
};

struct txn_client {
    struct node_store *store;
    struct away away[AWAY_MAX];
    struct outdated outdated[OUTDATED_MAX];
    struct txn_hosts *hosts;
    struct reactor *reactor;
    struct env *env;
    struct map by_id;
    struct ilist open;
    struct fiber_group fibers;
    uint64_t counter;
    struct txn_client_stats stats;
    struct metric metrics[16];
    bool stopping;
};

/* A tablet that has executed something for the transaction, or is about to. */
struct visit {
    struct ilist link;
    uint64_t tablet, generation, term;
    px_store store; /* where it was met last */
    uint32_t requests;
    bool writes, busy, undo;
    uint64_t undo_to;
    size_t start_bytes, end_bytes, key_bytes;
    uint8_t *key;    /* one of those that it was asked for */
    uint8_t bytes[]; /* range: start, end */
};

struct pending {
    struct ilist link;
    uint64_t seq;
    size_t key_bytes, bytes;
    uint8_t data[]; /* key, then the write as serve.h has it */
};

struct txn {
    struct txn_client *c;
    struct map_node node;
    struct ilist link;
    struct txn_options opt;
    struct txn_ref ref;
    enum txn_phase phase;
    struct err why; /* FAILED */
    uint64_t seq;   /* of the last write */
    struct ilist visits, pending, scans;
    size_t pending_bytes;
    int64_t read_ts, strong_from, commit_ts, last_ns, began_ns;
    struct waitq news; /* done, lost */
    struct waitq idle; /* a visit is no longer busy */
    bool answered;     /* DONE came */
    enum txn_verdict verdict;
    struct txn_why abort_why;
    struct host_times done_times; /* of the commit's entry, as DONE told */
    size_t n_votes;
    bool committing, unknown, lost; /* lost: a tablet has said that it is over there */
    struct txn_times times;
    size_t stages, stages_lost;
    uint32_t statements, statement_stage, commit_stage; /* stages by place + 1; 0: none */
    int64_t statement_from, commit_sent_ns;
    uint32_t calls; /* of this header's functions, nested */
    int64_t call_began;
    int64_t counted_to; /* what of its time has a cause */
    /* From here on nothing is zero at the beginning: a transaction costs no more than what it has of it. */
    struct host_vote votes[HOST_VOTES_MAX];
    struct txn_stage stage[STAGES_KEPT];
};

/* Where a key lives, as far as is known. */
struct route {
    uint64_t tablet, generation;
    struct span range; /* in the arena */
    px_store store;
    bool here;               /* this store has a replica */
    struct px_config config; /* of tablets that are not here */
};

/* One request to one tablet. */
struct call {
    struct txn *t;
    struct route route;
    struct exec_ask ask; /* tablet, generation, ref, seq, undo and writes are filled in */
    bool take_pending;
    uint64_t bytes_max; /* of an answer's rows */
    exec_on_batch *on_batch;
    void *ctx;
    int64_t until; /* of an answer that comes whole; 0: as long as the transaction has */
    bool early;    /* the visit is free for others as soon as the first rows come */
    bool stream;   /* rows as a stream if it is another store */
    /* out */
    struct exec_answer answer;
    bool more, remote;
    enum rc rc;
    struct err err;
    struct visit *held;
    uint64_t sent, sent_from; /* the last write that went along, and the first; 0: none */
};

/* ---- client.c ---- */
enum rc txn_enter(struct txn *t, struct err *err) MUST_CHECK; /* RC_ABORTED: it has failed before */
enum rc txn_leave(struct txn *t, enum rc rc);
/* It ends: everything it holds is let go of. Returns rc. */
enum rc txn_fail(struct txn *t, enum rc rc, struct err *err);
int64_t txn_deadline(const struct txn *t);
bool txn_is_read_only(const struct txn *t);
void txn_let_go(struct txn *t);
void txn_mark_others(struct txn *t, const struct txn_why *why, struct txn_span there);
void txn_tell_all(struct txn *t, enum txn_msg_type type, const struct txn_why *why, const struct visit *but);

/* ---- client_route.c ---- */
/* turn: how often it was tried; without a leader one member after the other. */
enum rc route_find(struct txn_client *c, struct key k, uint32_t turn, int64_t deadline, struct arena *a,
                   struct route *ret, struct err *err) WAITS MUST_CHECK;
/* The nearest store that has a replica, a voter's or one that only serves reads; not one that is away, unless it leads. */
px_store route_nearest(struct txn_client *c, const struct route *r);
/* It answered a read, or it did not: then it is left alone for a while. */
void route_answered(struct txn_client *c, px_store store, bool answered);
/* It did not answer last time: no more than a short wait is spent on it. */
bool route_doubtful(const struct txn_client *c, px_store store);
/* Before the keys are looked up again: the tries'th time. */
enum rc route_pause(struct txn_client *c, uint32_t tries, struct err *err) WAITS MUST_CHECK;
void route_failed(struct txn_client *c, const struct route *r, enum rc rc, px_store leader);
/* The visit whose range the route's is; cuts what a split has cut. NULL: no memory. */
struct visit *visit_get(struct txn *t, const struct route *r, struct key k);
struct visit *visit_find(struct txn *t, struct key k);
void visit_free(struct visit *v);
struct txn_span visit_span(const struct visit *v);
static inline px_store client_self(const struct txn_client *c) {
    return px_store_of(rpc_self(c->store->rpc));
}

/* ---- client_call.c ---- */
/* Runs it, and again while it provably did nothing. RC_MOVED: nothing was done by it; plan anew. What else it did is in call
 * and in the visits. Errors that end the transaction have ended it. */
enum rc call_run(struct call *call, struct err *err) WAITS MUST_CHECK;
/* Once, whatever comes of it. */
enum rc call_once(struct call *call, struct err *err) WAITS MUST_CHECK;
/* All at once. Each call's rc and err tell. */
void calls_run(struct call *calls, size_t n) WAITS;
bool rc_did_nothing(enum rc rc);

/* ---- client_times.c ---- */
void times_add(struct txn *t, enum txn_cause cause, int64_t from, int64_t to);
void times_of_call(struct call *call, int64_t from, int64_t to);
void times_of_pause(struct call *call, int64_t from, int64_t to);
void stage_commit_begins(struct txn *t);
/* From the commit message to its answer; tablet: the coordinator's. */
void times_of_commit(struct txn *t, int64_t from, int64_t to, px_store coordinator, uint64_t tablet, bool many);

/* ---- client_write.c ---- */
/* Sends what is pending to the tablets that own it; those without a visit get one. */
enum rc txn_flush(struct txn *t, struct err *err) WAITS MUST_CHECK;
/* The same; RC_EXISTS: *ret_conflict is the number of the INSERT that met a row. */
enum rc txn_flush_checked(struct txn *t, uint64_t *ret_conflict, struct err *err) WAITS MUST_CHECK;
enum rc txn_write_begin(struct txn *t, const struct txn_write *w, size_t n, bool *ret_inserts,
                        struct err *err) MUST_CHECK;
/* A conflict's number becomes its place among the writes behind `before`; those go. */
void txn_write_undo(struct txn *t, uint64_t before, uint64_t conflict, size_t *ret_conflict);
void pending_drop(struct txn *t, struct pending *p);
/* Every pending write lies in a visit's range. */
enum rc txn_place_pending(struct txn *t, struct err *err) WAITS MUST_CHECK;
bool visit_has_pending(const struct txn *t, const struct visit *v);

/* ---- client_scan.c ---- */
void txn_stop_scans(struct txn *t) WAITS;
enum rc scan_choose_ts(struct txn_scan *s, struct err *err) WAITS MUST_CHECK;

#endif
