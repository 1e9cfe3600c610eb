/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_times.c: where a transaction's time went.
 *
 * What a tablet did is told by its answer; what is left of a call's time was the network's. Calls beside each other count by the
 * time that passed: each cause gets its share of the slower one's time only where nothing else is counted for it.
 */
#include "txn/client_internal.h"

const char *txn_cause_name(enum txn_cause c) {
    static const char *const names[TXN_CAUSES] = {"network", "lock",        "sqlite", "log",    "fsync",
                                                  "quorum",  "commit wait", "retry",  "gateway"};
    return c < TXN_CAUSES ? names[c] : "?";
}

void times_add(struct txn *t, enum txn_cause cause, int64_t from, int64_t to, uint64_t tablet, px_store store) {
    /* The critical path: what lies before the last thing that was counted ran beside it. */
    if (from < t->counted_to)
        from = t->counted_to;
    if (to <= from)
        return;
    t->counted_to = to;
    t->times.ns[cause] += to - from;
    t->leg[t->legs++ % LEGS_KEPT] = (struct txn_leg){cause, from - t->began_ns, to - t->began_ns, tablet, store};
}

void times_of_call(struct call *call, int64_t from, int64_t to) {
    struct txn *t = call->t;
    const struct exec_answer *a = &call->answer;
    uint64_t tablet = call->route.tablet;
    px_store store = call->route.store;
    int64_t spent = to - from, there = call->remote ? a->host_ns : spent;
    if (there > spent)
        there = spent;
    int64_t lock = ts_min(a->lock_ns, there), sqlite = ts_min(a->sqlite_ns, there - lock);
    int64_t way = call->remote ? (spent - there) / 2 : 0, at = from;
    if (call->remote)
        times_add(t, TXN_CAUSE_NETWORK, at, at + way, tablet, store);
    at += way;
    times_add(t, TXN_CAUSE_LOCK, at, at + lock, tablet, store);
    times_add(t, TXN_CAUSE_SQLITE, at + lock, at + lock + sqlite, tablet, store);
    at += lock + sqlite;
    times_add(t, TXN_CAUSE_GATEWAY, at, at + there - lock - sqlite, tablet, store);
    at += there - lock - sqlite;
    if (call->remote)
        times_add(t, TXN_CAUSE_NETWORK, at, to, tablet, store);
}

void times_of_commit(struct txn *t, int64_t from, int64_t to, px_store coordinator, bool many) {
    static const enum txn_cause causes[HOST_TIMES] = {TXN_CAUSE_LOG, TXN_CAUSE_FSYNC, TXN_CAUSE_QUORUM, TXN_CAUSE_WAIT,
                                                      TXN_CAUSE_SQLITE};
    bool far = coordinator != client_self(t->c);
    int64_t sum = 0, rest, at = from;
    for (int i = 0; i < HOST_TIMES; i++)
        sum += t->done_times.ns[i];
    if (sum > to - from) { /* its entry was proposed before this wait began */
        from = to - sum;
        at = from;
    }
    /* What is left: until all others had prepared, and the way there and back. */
    rest = to - from - sum;
    int64_t back = far ? rest / 4 : 0;
    times_add(t,
              many  ? TXN_CAUSE_QUORUM
              : far ? TXN_CAUSE_NETWORK
                    : TXN_CAUSE_LOG,
              at, at + rest - back, 0, coordinator);
    at += rest - back;
    for (int i = 0; i < HOST_TIMES; i++) {
        times_add(t, causes[i], at, at + t->done_times.ns[i], 0, coordinator);
        at += t->done_times.ns[i];
    }
    times_add(t, TXN_CAUSE_NETWORK, at, to, 0, coordinator);
}

const struct txn_times *txn_times(const struct txn *t) {
    struct txn *mine = (struct txn *)(uintptr_t)t; /* the rest is the gateway's, as of now */
    int64_t sum = 0;
    for (int i = 0; i < TXN_CAUSES; i++)
        sum += i == TXN_CAUSE_GATEWAY ? 0 : t->times.ns[i];
    mine->times.ns[TXN_CAUSE_GATEWAY] = t->times.total_ns > sum ? t->times.total_ns - sum : 0;
    return &t->times;
}

size_t txn_legs(const struct txn *t, struct txn_leg *to, size_t max) {
    size_t have = t->legs < LEGS_KEPT ? t->legs : LEGS_KEPT, n = have < max ? have : max;
    for (size_t i = 0; i < n; i++)
        to[i] = t->leg[(t->legs - n + i) % LEGS_KEPT];
    return n;
}
