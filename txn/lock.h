/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h: the lock table of one tablet's leader: who may read or write which keys, who waits, who must give way.
 *
 * A pure state machine: requests and the time come in, answers and events come out. No clock, no fiber, no I/O.
 *
 *     rc = lock_acquire(t, x, &span, LOCK_EXCLUSIVE, request, now, deadline, &waits, &err);
 *     while (lock_next(t, &event)) ...                              after every call: what it brought about
 *
 * Modes       SHARED   to read           compatible with SHARED and UPDATE
 *             UPDATE   to read, then write   compatible with SHARED only (SELECT ... FOR UPDATE, the read of UPDATE)
 *             EXCLUSIVE to write             compatible with nothing
 *             on keys and on spans of keys, gaps included, so that there are no phantoms (K-5).
 *
 * Wound-wait, lazily
 *             A request that conflicts with an older holder waits. One that conflicts with a younger holder waits as
 *             well, but *marks* it: a marked transaction is aborted where it waits, when it next would have to wait, or
 *             when it has been idle for idle_ns; one that never waits again may still commit. A prepared one is never
 *             killed here (K-2): its wound is forwarded to its coordinator (K-3) after forward_ns, and again while an
 *             older one waits. Waiters stand in order of age, so each waits only for holders that are older or marked,
 *             and for older waiters. So every cycle has somebody marked that waits, and he is aborted: deadlocks cannot
 *             form.
 *
 * Promise     L1  no two transactions hold conflicting modes on one key (INV-K1).
 *             L2  a waiter waits for a live holder that conflicts with it, or for an older waiter that does (and, at
 *                 the end of that chain, for a holder). An exception keeps upgrades alive: who is already waited for
 *                 need not queue behind the one that waits for him.
 *             L3  each waiter gets exactly one event: GRANTED or REFUSED (K-7). A timeout refuses, it never lets pass.
 *             L4  a prepared transaction keeps exactly the locks it had at lock_prepare until lock_release (T-11).
 *             L5  an older waiter is overtaken by nobody who could make it wait longer, but for the exception in L2.
 *             L6  bounded: locks, waiters, transactions, bytes; the limits say RC_OVERLOAD (the table's) or RC_LIMIT
 *                 (one transaction's: lock_escalate to a span).
 *             Cost: an uncontended lock and unlock of a key is two hash look-ups; trees are touched only where spans
 *             are.
 * Relies on   the caller, who drains lock_next after each call, calls lock_tick by lock_wake_ns, aborts whom a DOOMED
 *             event names (lock_release, and an aborted-marker: participant.h), and takes a lock before it reads (K-6).
 * Threads     the tablet's reactor. A struct lock_txn * is good until its lock_release; look it up again after a wait.
 * Source      Rosenkrantz, Stearns, Lewis, "System level concurrency control for distributed database systems", 1978
 *             (wound-wait); Corbett et al., "Spanner", 2012, section 4.2.1; Seidel, Aragon, "Randomized search trees",
 *             1996.
 */
#ifndef MERIDIAN_TXN_LOCK_H
#define MERIDIAN_TXN_LOCK_H

#include "truetime/base/chaos.h"
#include "truetime/base/err.h"
#include "txn/ident.h"

enum lock_mode { LOCK_NONE, LOCK_SHARED, LOCK_UPDATE, LOCK_EXCLUSIVE, LOCK_MODES };
const char *lock_mode_name(enum lock_mode mode); /* "shared" */

/*     ACTIVE -> PREPARED            frozen: keeps its locks until told
 *        |---> DOOMED               must abort: nothing more is granted to it */
enum lock_state { LOCK_ACTIVE, LOCK_PREPARED, LOCK_DOOMED, LOCK_STATES };
const char *lock_state_name(enum lock_state state);

/* Why a transaction was marked or aborted, or what a request waits for: for the person who reads the error. */
enum lock_rule {
    LOCK_RULE_NONE,
    LOCK_RULE_WOUNDED, /* an older transaction wants what it holds (K-1) */
    LOCK_RULE_IDLE,    /* marked, and idle for idle_ns */
    LOCK_RULE_SILENT,  /* its gateway is not heard of any more (T-15) */
    LOCK_RULE_TIMEOUT, /* the request's own deadline passed (K-7) */
    LOCK_RULE_MOVED,   /* the span was split: route the request again */
    LOCK_RULE_OLDER,   /* waits: an older one holds it */
    LOCK_RULE_YOUNGER, /* waits: a younger one holds it, and is marked */
    LOCK_RULE_QUEUE,   /* waits: an older one waits for it */
    LOCK_RULES
};
const char *lock_rule_text(enum lock_rule rule); /* "wounded by an older transaction" */

enum { LOCK_WHY_KEY_BYTES = 64 };

struct lock_why {
    enum lock_rule rule;
    enum lock_mode mode; /* in which `by` holds the key, or wants it */
    struct txn_id by;    /* whom it met; zeros: nobody */
    struct txn_age by_age;
    int64_t held_ns;   /* how long `by` has held it; -1: it does not */
    int64_t waited_ns; /* how long this one waited; 0 if it did not */
    uint8_t key[LOCK_WHY_KEY_BYTES];
    uint32_t key_bytes; /* the whole key's: more than LOCK_WHY_KEY_BYTES: cut */
};

enum lock_event_type {
    LOCK_EV_GRANTED = 1, /* request: of a waiter */
    LOCK_EV_REFUSED,     /* request: of a waiter; rc and why */
    LOCK_EV_WOUNDED,     /* txn is marked now: tell its gateway, which tells the other participants; why */
    LOCK_EV_FORWARD,     /* txn is prepared and an older one waits: tell its coordinator (K-3); why */
    LOCK_EV_DOOMED,      /* abort txn here: lock_release it; why */
};

struct lock_event {
    enum lock_event_type type;
    struct txn_id txn;
    uint64_t request;  /* GRANTED, REFUSED */
    enum rc rc;        /* REFUSED: RC_ABORTED, RC_TIMEOUT, RC_MOVED */
    int64_t waited_ns; /* GRANTED, REFUSED */
    struct lock_why why;
};

struct lock_limits {             /* zeros: defaults */
    uint32_t locks, waits, txns; /* of the table: 4 Mi, 64 Ki, 256 Ki */
    size_t bytes;                /* of the table: 1 GiB */
    uint32_t txn_locks;          /* of one transaction: 64 Ki */
    size_t txn_bytes;            /* 32 MiB */
    int64_t idle_ns;             /* a marked one may be idle for this long; 100 ms */
    int64_t silent_ns;           /* no word from the gateway for this long: aborted; 5 s */
    int64_t forward_ns;  /* for so long an older one waits for a prepared one before the wound is forwarded; 100 ms */
    int64_t prepared_ns; /* for so long LOCK_NO_WAIT waits for a prepared one; 1 s */
};

struct lock_init {
    struct lock_limits limits;
    uint64_t seed; /* of hashes and tree priorities: from env_random, so that no client can choose bad keys */
    struct chaos *chaos;
};

struct lock_table;
struct lock_txn;

/* What a Prepare record holds and a successor restores (T-11). */
struct lock_grant {
    struct txn_span span;
    enum lock_mode mode;
};

enum rc lock_table_new(const struct lock_init *init, struct lock_table **ret) MUST_CHECK;
void lock_table_free(struct lock_table *t); /* NULL is fine; waiters get no event any more */

/* Finds the attempt, or makes it. It counts as heard of now. RC_OVERLOAD: too many transactions. RC_NOMEM. */
enum rc lock_txn_open(struct lock_table *t, const struct txn_ref *ref, int64_t now_ns, struct lock_txn **ret,
                      struct err *err) MUST_CHECK;
struct lock_txn *lock_txn_find(struct lock_table *t, const struct txn_id *id); /* NULL: not here */
/* The gateway was heard of (a keep-alive). */
void lock_txn_alive(struct lock_table *t, struct lock_txn *x, int64_t now_ns);
/* A fragment of it begins (true) or ends (false) to run here: between the two it is not idle. */
void lock_txn_busy(struct lock_table *t, struct lock_txn *x, bool begins, int64_t now_ns);

/* Asks for mode on span. RC_OK with *ret_waits false: held now. RC_OK with *ret_waits true: an event with `request`
 * (unique among the transaction's waiting requests) follows. RC_ABORTED: it is marked and would have to wait, or is
 * doomed already; err says who and what, and a DOOMED event follows. RC_OVERLOAD: the table is full. RC_LIMIT: this
 * transaction has its fill: lock_escalate. RC_INVAL: not a span; prepared. The span's bytes are copied. deadline_ns:
 * when to give up waiting; LOCK_NO_WAIT: where it would wait it is refused with RC_TIMEOUT at once, and wounds nobody.
 * But for a prepared one: that is about to end, and its client may have heard so already; it is waited for, a little. */
#define LOCK_NO_WAIT INT64_MIN
enum rc lock_acquire(struct lock_table *t, struct lock_txn *x, const struct txn_span *span, enum lock_mode mode,
                     uint64_t request, int64_t now_ns, int64_t deadline_ns, bool *ret_waits,
                     struct err *err) MUST_CHECK;
/* The same for a span in place of many locks: in the strongest mode that x has within it, whatever its limits; when
 * granted, the locks that it covers are dropped. */
enum rc lock_escalate(struct lock_table *t, struct lock_txn *x, const struct txn_span *span, uint64_t request,
                      int64_t now_ns, int64_t deadline_ns, bool *ret_waits, struct err *err) MUST_CHECK;
/* The request's fragment is gone; no event comes for it. False: it does not wait (any more). */
bool lock_cancel(struct lock_table *t, struct lock_txn *x, uint64_t request, int64_t now_ns);
/* The mode in which x holds all of span, as far as one lock of its own says so: what a write must CHECK. */
enum lock_mode lock_held(struct lock_table *t, struct lock_txn *x, const struct txn_span *span);

/* Another tablet marked x, and its gateway says so here. */
void lock_mark(struct lock_table *t, struct lock_txn *x, const struct lock_why *why, int64_t now_ns);
/* Freezes x for its Prepare record. RC_ABORTED: it is doomed. RC_BUSY: a request of it still waits. */
enum rc lock_prepare(struct lock_table *t, struct lock_txn *x, int64_t now_ns, struct err *err) MUST_CHECK;
/* The locks of x, keys before spans: NULL begins, false ends. Spans are borrowed until the next change. */
bool lock_each(struct lock_txn *x, const void **cursor, struct lock_grant *ret);
/* What it waits for, in the same way. */
bool lock_waits_each(struct lock_txn *x, const void **cursor, struct lock_grant *ret);
/* A prepared transaction from its record, before the new leader opens (T-11). RC_CORRUPT: it conflicts with one
 * restored before; RC_INVAL: no span. */
enum rc lock_restore(struct lock_table *t, const struct txn_ref *ref, const struct lock_grant *grant, size_t count,
                     int64_t now_ns, struct err *err) MUST_CHECK;
/* Committed or aborted: all its locks go, its waiting requests too (without events), and who can be granted is. */
void lock_release(struct lock_table *t, struct lock_txn *x, int64_t now_ns);

/* Timeouts, idle and silent ones, wounds to forward again. */
void lock_tick(struct lock_table *t, int64_t now_ns);
int64_t lock_wake_ns(const struct lock_table *t); /* call lock_tick then; INT64_MAX: nothing to wait for */
/* The next event; false: none. In the order in which they came about. */
bool lock_next(struct lock_table *t, struct lock_event *ret);

/* Everything at or above key moves to *ret_right, exactly (N-6): locks, ages, marks, prepared ones, waiters; a span
 * that key cuts is held on both sides; a request that waits for a span which key cuts is refused with RC_MOVED. A
 * transaction is in each half where it holds or waits. On failure t is as before. */
enum rc lock_split(struct lock_table *t, struct txn_key key, int64_t now_ns, struct lock_table **ret_right) MUST_CHECK;

/* "row x8001 is held exclusive for 1.204 s by transaction 3.0:7:1042 ...": message, detail and hint of a refusal. */
enum rc lock_why_err(enum rc rc, const struct lock_why *why, struct err *err);
/* What a waiting request waits for now. False: it does not wait. */
bool lock_explain(struct lock_table *t, struct lock_txn *x, uint64_t request, int64_t now_ns, struct lock_why *ret);

/* ---- looking in -------------------------------------------------------------------------------------------------- */

struct lock_txn_info {
    struct txn_ref ref;
    enum lock_state state;
    bool marked;
    uint32_t locks, waits;
    size_t bytes;
};
void lock_txn_info(const struct lock_txn *x, struct lock_txn_info *ret);

struct lock_stats {
    uint64_t locks, waits, txns, bytes; /* now */
    uint64_t granted, waited, wounded, forwarded, doomed, timed_out, expired, escalated;
    uint64_t sorted; /* points that a span request put in order */
};
void lock_stats(const struct lock_table *t, struct lock_stats *ret);
/* Every transaction, in the order of arrival: NULL begins and ends. */
struct lock_txn *lock_txn_each(struct lock_table *t, struct lock_txn *after);
/* CHECKs L1, L2, L5 and the structure. Slow: for tests. */
void lock_table_check(struct lock_table *t);

#endif
