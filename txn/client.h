/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h: transactions as a gateway drives them: what the SQL engine and the C API know of distribution.
 *
 *     txn_begin(c, &options, &t, &err)
 *     txn_scan_open(t, &scan, &s, &err);  txn_scan_next(s, &batch, &err) ...;  txn_scan_close(s)     fragments on tablets
 *     txn_write(t, writes, n, &conflict, &err)                                                     row images
 *     txn_savepoint(t);  txn_rollback_to(t, mark)
 *     txn_commit(t, &ts, &err)    or    txn_rollback(t)
 *     txn_free(t)
 *
 * A transaction goes to the tablets that own its keys by itself: it finds them (directory.h), follows splits, moves and new
 * leaders, keeps alive what it holds, and commits in one log entry where one tablet is enough, else in two phases over the
 * tablets' leaders (site.h).
 *
 * Promise     C1  Strict serializability: a transaction that was begun after another's commit was acknowledged has the larger
 *                 timestamp; read-only ones see exactly the commits at or below theirs.
 *             C2  A read of a read-write transaction is done under locks on its spans, gaps included, and sees its own
 *                 writes, whatever index it goes through.
 *             C3  An answer is final: RC_OK is committed, RC_ABORTED is not committed and never will be. A lost answer is
 *                 asked for by token until it is known (T-6, N-15); only if the deadline passes first, txn_commit says
 *                 RC_TIMEOUT, and txn_status knows more later.
 *             C4  An error that ends the transaction leaves it in TXN_FAILED: everything but rollback says RC_ABORTED with
 *                 the same reason. Errors of the statement alone (a conflict, division by zero in a fragment) leave it as it
 *                 was before the call.
 *             C5  Bounded: what a scan has received and nobody has taken is at most its window; deferred writes are sent when
 *                 they reach their limit.
 * Relies on   the store's directory, rpc, clock; tablets with txn/serve.h's services.
 * Threads     the store's own; one fiber at a time for a transaction. Large fibers.
 *
 * Retries. A request that provably did nothing (moved, no leader yet, overload) is repeated inside until its deadline.
 * RC_ABORTED leaves the retry to the caller: txn_restart keeps the age, so that it wins in the end (K-1), and nothing else.
 *
 * Schema. A scan or write names each table's version; a tablet with another one says RC_STALE, before anything was done: the
 * caller reads the catalog anew and plans again. txn_schema changes descriptors as part of the transaction (H-4): under an
 * exclusive lock of all of the table's keys, in every tablet that has some of them.
 */
#ifndef MERIDIAN_TXN_CLIENT_H
#define MERIDIAN_TXN_CLIENT_H

#include "shard/node/node.h"
#include "shard/store/span.h"
#include "txn/record.h"

struct txn_client; /* of one store */
struct txn;
struct txn_scan;

enum {
    TXN_SCAN_TABLES_MAX = FRAGMENT_TABLES_MAX,
    TXN_SCAN_SPANS_MAX = 65536,
    TXN_DEFERRED_BYTES = 1 << 20, /* then writes are sent */
};

struct txn_client_stats {
    struct counter begun, committed_one, committed_two, committed_read, aborted, restarted, unknown, by_token;
    struct counter requests_local, requests_remote, moved, stale;
    struct counter reads_leader, reads_follower; /* of read-only transactions */
    struct gauge open;
    struct hist commit_ns;
};

/* s outlives it. */
enum rc txn_client_new(struct node_store *s, struct txn_client **ret, struct err *err) MUST_CHECK;
void txn_client_stop(struct txn_client *c); /* requests end with RC_CANCELLED */
bool txn_client_idle(const struct txn_client *c);
void txn_client_free(struct txn_client *c); /* idle; NULL is fine */
const struct txn_client_stats *txn_client_stats(const struct txn_client *c);

/* ---- a transaction ----------------------------------------------------------------------------------------------- */

enum txn_mode {
    TXN_READ_WRITE,
    TXN_READ_STRONG, /* read-only, at a timestamp that is above everything acknowledged before it began */
    TXN_READ_EXACT,  /* ... at now - staleness_ns */
    TXN_READ_MAX,    /* ... the newest that the nearest replicas can serve now, at most staleness_ns old */
    TXN_READ_SINCE,  /* ... as MAX, at least at ts */
    TXN_READ_AT,     /* ... at ts */
};

struct txn_options {
    enum txn_mode mode;
    int64_t staleness_ns, ts;
    int64_t deadline;       /* monotonic: of each request; INT64_MAX: none */
    int64_t lock_wait_ns;   /* of each lock; 0 = no limit but the deadline */
    struct txn_token token; /* given by the client; zeros: the transaction makes one */
    /* TXN_READ_STRONG: it will have one scan only, so that a single tablet may choose the time itself (N-8): no wait for one. */
    bool single;
    /* From the application, for people who look at locks and errors. */
    const char *label;
};

enum txn_phase { TXN_OPEN, TXN_FAILED, TXN_DONE };

/* Waits only to find a read timestamp. RC_OVERLOAD. */
enum rc txn_begin(struct txn_client *c, const struct txn_options *o, struct txn **ret,
                  struct err *err) WAITS MUST_CHECK;
/* After RC_ABORTED: a new attempt with the old age; everything else begins anew. */
enum rc txn_restart(struct txn *t, struct err *err) WAITS MUST_CHECK;
/* Rolls back what is open, without waiting for the answers. NULL is fine. */
void txn_free(struct txn *t);

enum txn_phase txn_phase(const struct txn *t);
enum txn_mode txn_mode(const struct txn *t);
const struct txn_ref *txn_ref(const struct txn *t);
const struct txn_token *txn_token(const struct txn *t);
/* The token as somebody else may have it before the commit: from here on it has a deadline, within_ns from now, unless it had one.
 * A commit that comes later is RC_ABORTED, so that a commit whose request was lost has an outcome as well. */
const struct txn_token *txn_token_give(struct txn *t, int64_t within_ns);
int64_t txn_read_ts(const struct txn *t);   /* read-only; 0: not chosen yet */
int64_t txn_commit_ts(const struct txn *t); /* after txn_commit; 0: it wrote and locked nothing */
/* For the next requests: statement_timeout, lock_timeout. */
void txn_set_deadline(struct txn *t, int64_t deadline, int64_t lock_wait_ns);

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct txn_table {
    uint64_t id;
    uint32_t version; /* as the plan knows it */
};

/* What a scan of a read-write transaction does about locks that others hold. */
enum txn_wait {
    TXN_WAIT,
    TXN_NO_WAIT,  /* it fails: RC_TIMEOUT, 55P03 */
    TXN_SKIP,     /* of one key: there is no such row */
    TXN_UNLOCKED, /* it takes none, and reads what is committed there now: whoever uses a row reads it again, locked */
    TXN_WAITS
};

struct txn_scan_conf {
    const struct fragment *fragment;
    const struct value *params;
    const struct txn_table *tables; /* every table of the fragment */
    size_t n_tables;
    const struct span
        *spans; /* sorted, not overlapping: all that it reads; they are locked, and say which tablets are asked */
    size_t n_spans;
    enum lock_mode lock; /* of a read-write transaction: SHARED, UPDATE, EXCLUSIVE; LOCK_NONE counts as SHARED */
    enum txn_wait wait;
    /* The fragment joins rows of several spans: it must find all of them on one tablet, else RC_MOVED and nothing was done
     * (plan it otherwise). Else each tablet answers for the rows that it has. */
    bool whole;
    bool ordered;      /* tablets one after the other in the order of their keys; else all at once, as batches come */
    bool reverse;      /* with ordered: the last tablet first */
    bool locked;       /* the rows are about to be written: skip nothing, take LOCK_UPDATE at least */
    uint64_t rows_max; /* of each tablet; 0 = all. With ordered: in all */
    uint32_t batch_rows, batch_bytes; /* 0: defaults */
};

struct txn_batch {
    struct mvcc_bytes rows; /* rowbatch.h; good until the next call */
    uint64_t tablet;
    bool end; /* no more: rows is empty */
};

/* Could all of these spans be answered by one tablet, as far as is known now? Asks the directory where it must. */
enum rc txn_on_one_tablet(struct txn *t, const struct span *spans, size_t n, bool *ret,
                          struct err *err) WAITS MUST_CHECK;

/* Everything given is copied or outlives the scan: fragment and params until txn_scan_close. RC_STALE, RC_MOVED (whole),
 * RC_ABORTED, RC_TIMEOUT, RC_CANCELLED, RC_TOO_OLD, and a fragment's own errors (RC_SQL) may come here or from next. */
enum rc txn_scan_open(struct txn *t, const struct txn_scan_conf *how, struct txn_scan **ret,
                      struct err *err) WAITS MUST_CHECK;
enum rc txn_scan_next(struct txn_scan *s, struct txn_batch *ret, struct err *err) WAITS MUST_CHECK;
/* Stops what still runs. NULL is fine. */
void txn_scan_close(struct txn_scan *s);

struct txn_scan_stats {
    uint32_t tablets, remote, followers;
    uint64_t rows, bytes, batches;
    int64_t first_ns, total_ns;
};
const struct txn_scan_stats *txn_scan_stats(const struct txn_scan *s);

/* ---- writing ------------------------------------------------------------------------------------------------------ */

enum txn_write_kind {
    TXN_PUT,    /* the row is so from now on */
    TXN_INSERT, /* the same, if there is no row with that key: else RC_EXISTS */
    TXN_DELETE, /* the row with that key (in key order) is gone */
};

struct txn_write {
    enum txn_write_kind kind;
    const struct table *table;
    const struct value *values; /* PUT, INSERT: all columns in the descriptor's order; DELETE: the key's */
    uint16_t n;
};

/* Locks the keys exclusively and writes. PUT and DELETE may be kept back until something needs them; INSERT is checked before
 * it returns. RC_EXISTS: *ret_conflict is the first write whose row exists (its place in w); nothing of the call remains.
 * ret_conflict may be NULL if there is no INSERT. */
enum rc txn_write(struct txn *t, const struct txn_write *w, size_t n, size_t *ret_conflict,
                  struct err *err) WAITS MUST_CHECK;
/* The same, then txn_commit: in one request if everything lies in one tablet. RC_EXISTS: still open. */
enum rc txn_write_commit(struct txn *t, const struct txn_write *w, size_t n, size_t *ret_conflict, int64_t *ret_ts,
                         struct err *err) WAITS MUST_CHECK;

/* Locks spans without reading (LOCK TABLE, DDL). */
enum rc txn_lock_spans(struct txn *t, const struct span *spans, size_t n, enum lock_mode mode,
                       struct err *err) WAITS MUST_CHECK;
/* The table is to be so (made, or taken to a later version), or gone with all its rows. Visible to this transaction's own
 * requests only after its commit. */
enum rc txn_schema(struct txn *t, const struct table *table, bool drop, struct err *err) WAITS MUST_CHECK;

/* A place to go back to: everything written after it. Marks nest. */
size_t txn_savepoint(struct txn *t);
enum rc txn_rollback_to(struct txn *t, size_t mark, struct err *err) WAITS MUST_CHECK;

/* ---- the end ------------------------------------------------------------------------------------------------------- */

/* RC_OK: committed, *ret_ts (may be NULL) is its timestamp, which has passed. RC_ABORTED: it is not, and never will be; err
 * names the row, who held it, how long it waited, the rule. RC_TIMEOUT: see C3. */
enum rc txn_commit(struct txn *t, int64_t *ret_ts, struct err *err) WAITS MUST_CHECK;
void txn_rollback(struct txn *t) WAITS;
/* What became of a token (N-15). TXN_UNDECIDED: ask again. */
enum rc txn_status(struct txn_client *c, const struct txn_token *token, int64_t deadline, enum txn_verdict *ret,
                   int64_t *ret_ts, struct err *err) WAITS MUST_CHECK;
/* "3.0:7:1042@1732550000000000000", and back (RC_INVAL). */
void txn_token_print(const struct txn_token *token, struct buf *to);
enum rc txn_token_parse(const char *text, size_t bytes, struct txn_token *ret, struct err *err) MUST_CHECK;

/* ---- where the time went ------------------------------------------------------------------------------------------ */

enum txn_cause {
    TXN_CAUSE_NETWORK, /* to tablets and back, without what they did */
    TXN_CAUSE_LOCK,
    TXN_CAUSE_SQLITE,
    TXN_CAUSE_LOG, /* queued for the log */
    TXN_CAUSE_FSYNC,
    TXN_CAUSE_QUORUM, /* other voters, beyond our own disk */
    TXN_CAUSE_WAIT,   /* commit wait beyond all that */
    TXN_CAUSE_RETRY,
    TXN_CAUSE_GATEWAY, /* all else while a call of this header ran */
    TXN_CAUSES
};
const char *txn_cause_name(enum txn_cause c);

/* What a stage of a transaction's way is. */
enum txn_did {
    TXN_DID_NETWORK, /* from `store` to `peer` */
    TXN_DID_LOCK,    /* wait for locks */
    TXN_DID_SQLITE,
    TXN_DID_LOG,
    TXN_DID_FSYNC,
    TXN_DID_QUORUM,
    TXN_DID_COMMIT_WAIT,
    TXN_DID_RETRY,
    TXN_DID_OTHER,
    /* those that have others in them */
    TXN_DID_STATEMENT, /* number: of those of the transaction */
    TXN_DID_READ,
    TXN_DID_WRITE,
    TXN_DID_LOCK_SPANS,
    TXN_DID_COMMIT,  /* store: its coordinator */
    TXN_DID_PREPARE, /* two-phase commit: a participant, until its vote has come to the coordinator */
    TXN_DID_VOTES,   /* the coordinator waits for them */
    TXN_DID_PAXOS,   /* an entry of a tablet's log, until it is chosen */
    TXN_DID_APPLY,
    TXN_DIDS
};
const char *txn_did_name(enum txn_did d);

/* A node of the tree of what a transaction did, for waterfalls: times in ns since txn_begin. Where it happened is exact to half of
 * what two ways of the network differ by. */
struct txn_stage {
    enum txn_did did;
    uint32_t parent; /* its place + 1; before it in the list; 0: none */
    uint32_t number;
    int64_t from_ns, to_ns;
    int64_t left_ns; /* of requests: the reactor's time at which the tablet had done it */
    uint64_t tablet; /* 0: none, or its parent's */
    px_store store;  /* 0: the gateway */
    px_store peer;
};

/* Sums over the critical path: what ran beside something slower is not counted, so they add up to the time spent in calls. */
struct txn_times {
    int64_t ns[TXN_CAUSES];
    int64_t total_ns;
    uint32_t round_trips;
};
const struct txn_times *txn_times(const struct txn *t);
/* A statement begins: what is asked from here on belongs to it. */
void txn_statement(struct txn *t);
/* The stages, at most max; returns how many. *ret_lost: how many more there were. */
size_t txn_stages(const struct txn *t, struct txn_stage *to, size_t max, size_t *ret_lost);

#endif
