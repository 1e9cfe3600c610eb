/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_times.c: where a transaction's time went.
 *
 * What a tablet did is told by its answer; what is left of a call's time was the network's. Two views of it are kept. Sums count the
 * critical path: of calls beside each other each cause gets its share only where nothing else is counted for it, so they add up.
 * Stages are the tree that a person looks at: what ran where and when, beside each other too.
 *
 * No two clocks are compared: other stores tell only durations, and since when a message was there. An answer is placed in the time
 * between question and answer here, half of what it leaves on each side, as if both ways took equally long.
 */
#include "txn/client_internal.h"

enum { STAGES_OF_REQUESTS = STAGES_KEPT - 32 }; /* so that the end of a long transaction has room */
static const int64_t OTHER_NS_MIN = 50000;

const char *txn_cause_name(enum txn_cause c) {
    static const char *const names[TXN_CAUSES] = {"network", "lock",        "sqlite", "log",    "fsync",
                                                  "quorum",  "commit wait", "retry",  "gateway"};
    return c < TXN_CAUSES ? names[c] : "?";
}

const char *txn_did_name(enum txn_did d) {
    static const char *const names[TXN_DIDS] = {
        [TXN_DID_NETWORK] = "network",
        [TXN_DID_LOCK] = "lock wait",
        [TXN_DID_SQLITE] = "sqlite",
        [TXN_DID_LOG] = "log",
        [TXN_DID_FSYNC] = "fsync",
        [TXN_DID_QUORUM] = "quorum",
        [TXN_DID_COMMIT_WAIT] = "commit wait",
        [TXN_DID_RETRY] = "retry",
        [TXN_DID_OTHER] = "other",
        [TXN_DID_STATEMENT] = "statement",
        [TXN_DID_READ] = "read",
        [TXN_DID_WRITE] = "write",
        [TXN_DID_LOCK_SPANS] = "lock",
        [TXN_DID_COMMIT] = "commit",
        [TXN_DID_PREPARE] = "prepare",
        [TXN_DID_VOTES] = "wait for votes",
        [TXN_DID_PAXOS] = "Paxos round",
        [TXN_DID_APPLY] = "apply",
    };
    return d < TXN_DIDS ? names[d] : "?";
}

/* ---- sums --------------------------------------------------------------------------------------------------------------- */

void times_add(struct txn *t, enum txn_cause cause, int64_t from, int64_t to) {
    /* The critical path: what lies before the last thing that was counted ran beside it. */
    if (from < t->counted_to)
        from = t->counted_to;
    if (to <= from)
        return;
    t->counted_to = to;
    t->times.ns[cause] += to - from;
}

/* ---- stages --------------------------------------------------------------------------------------------------------------- */

/* Its place + 1, as a parent; 0: there is no room for it. Parents reach as far as what is in them. Times are the reactor's. */
static uint32_t stage_add(struct txn *t, struct txn_stage x, size_t room) {
    if (t->stages >= room) {
        t->stages_lost++;
        return 0;
    }
    x.from_ns -= t->began_ns;
    x.to_ns -= t->began_ns;
    t->stage[t->stages++] = x;
    for (uint32_t up = x.parent; up; up = t->stage[up - 1].parent)
        if (t->stage[up - 1].to_ns < x.to_ns)
            t->stage[up - 1].to_ns = x.to_ns;
    return (uint32_t)t->stages;
}

static void leaf(struct txn *t, enum txn_did did, uint32_t parent, int64_t from, int64_t to, px_store store,
                 px_store peer) {
    if (parent && to > from)
        stage_add(t,
                  (struct txn_stage){
                      .did = did, .parent = parent, .from_ns = from, .to_ns = to, .store = store, .peer = peer},
                  STAGES_KEPT);
}

void txn_statement(struct txn *t) {
    t->statements++;
    t->statement_from = env_now_ns(t->c->env);
    t->statement_stage = 0;
}

/* What a request belongs to: the commit that runs, or the statement. */
static uint32_t stage_now(struct txn *t) {
    if (t->commit_stage)
        return t->commit_stage;
    if (t->statements && !t->statement_stage)
        t->statement_stage = stage_add(t,
                                       (struct txn_stage){.did = TXN_DID_STATEMENT,
                                                          .from_ns = t->statement_from,
                                                          .to_ns = t->statement_from,
                                                          .number = t->statements},
                                       STAGES_OF_REQUESTS);
    return t->statement_stage;
}

void stage_commit_begins(struct txn *t) {
    int64_t now = env_now_ns(t->c->env);
    if (!t->commit_stage)
        t->commit_stage =
            stage_add(t, (struct txn_stage){.did = TXN_DID_COMMIT, .from_ns = now, .to_ns = now}, STAGES_KEPT);
}

static enum txn_did did_of(const struct call *call) {
    return call->ask.fragment ? TXN_DID_READ : call->ask.writes.n ? TXN_DID_WRITE : TXN_DID_LOCK_SPANS;
}

void times_of_call(struct call *call, int64_t from, int64_t to) {
    struct txn *t = call->t;
    const struct exec_answer *a = &call->answer;
    px_store store = call->route.store, self = client_self(t->c);
    int64_t spent = to - from, there = call->remote ? a->host_ns : spent;
    if (there > spent)
        there = spent;
    int64_t lock = ts_min(a->lock_ns, there), sqlite = ts_min(a->sqlite_ns, there - lock);
    int64_t way = call->remote ? (spent - there) / 2 : 0, at = from + way, other = there - lock - sqlite;
    if (spent <= 0)
        return;
    uint32_t up = stage_now(t);
    uint32_t s = stage_add(t,
                           (struct txn_stage){.did = did_of(call),
                                              .parent = up,
                                              .from_ns = from,
                                              .to_ns = to,
                                              .left_ns = at + there,
                                              .tablet = call->route.tablet,
                                              .store = store},
                           up && up == t->commit_stage ? STAGES_KEPT : STAGES_OF_REQUESTS);
    if (call->remote) {
        times_add(t, TXN_CAUSE_NETWORK, from, at);
        leaf(t, TXN_DID_NETWORK, s, from, at, self, store);
    }
    times_add(t, TXN_CAUSE_LOCK, at, at + lock);
    leaf(t, TXN_DID_LOCK, s, at, at + lock, store, 0);
    at += lock;
    times_add(t, TXN_CAUSE_SQLITE, at, at + sqlite);
    leaf(t, TXN_DID_SQLITE, s, at, at + sqlite, store, 0);
    at += sqlite;
    times_add(t, TXN_CAUSE_GATEWAY, at, at + other);
    if (other >= OTHER_NS_MIN)
        leaf(t, TXN_DID_OTHER, s, at, at + other, store, 0);
    at += other;
    if (call->remote) {
        times_add(t, TXN_CAUSE_NETWORK, at, to);
        leaf(t, TXN_DID_NETWORK, s, at, to, store, self);
    }
}

void times_of_pause(struct call *call, int64_t from, int64_t to) {
    struct txn *t = call->t;
    uint32_t up = stage_now(t);
    times_add(t, TXN_CAUSE_RETRY, from, to);
    if (to > from)
        stage_add(t,
                  (struct txn_stage){.did = TXN_DID_RETRY,
                                     .parent = up,
                                     .from_ns = from,
                                     .to_ns = to,
                                     .tablet = call->route.tablet,
                                     .store = call->route.store},
                  STAGES_OF_REQUESTS);
}

/* ---- the commit -------------------------------------------------------------------------------------------------------- */

/* When the tablet had done the request that came with its PREPARE or COMMIT; 0: there was none, that came alone. */
static int64_t asked_at(const struct txn *t, uint64_t tablet) {
    for (size_t i = t->stages; i > 0; i--)
        if (t->stage[i - 1].tablet == tablet && t->stage[i - 1].parent == t->commit_stage && t->stage[i - 1].left_ns)
            return t->stage[i - 1].left_ns;
    return 0;
}

/* An entry of a log, from its proposal at `at` on. */
static void entry(struct txn *t, uint32_t parent, int64_t at, int64_t limit, const struct host_times *d,
                  uint64_t tablet, px_store store) {
    static const enum txn_did dids[HOST_TIMES] = {TXN_DID_LOG, TXN_DID_FSYNC, TXN_DID_QUORUM, TXN_DID_COMMIT_WAIT,
                                                  TXN_DID_APPLY};
    int64_t round = d->ns[HOST_TIME_QUEUE] + d->ns[HOST_TIME_FSYNC] + d->ns[HOST_TIME_QUORUM];
    uint32_t paxos = 0;
    if (parent && round > 0)
        paxos = stage_add(t,
                          (struct txn_stage){.did = TXN_DID_PAXOS,
                                             .parent = parent,
                                             .from_ns = at,
                                             .to_ns = ts_min(at + round, limit),
                                             .tablet = tablet,
                                             .store = store},
                          STAGES_KEPT);
    for (int i = 0; i < HOST_TIMES; i++) {
        int64_t to = ts_min(at + d->ns[i], limit);
        leaf(t, dids[i], i <= HOST_TIME_QUORUM ? paxos : parent, at, to, store, 0);
        at = to;
    }
}

/* A participant: from its PREPARE to its vote's arrival at the coordinator. */
static void prepare(struct txn *t, const struct host_vote *v, int64_t from, int64_t end, px_store coordinator) {
    px_store self = client_self(t->c);
    int64_t asked = asked_at(t, v->tablet), all = v->times.all_ns, slack;
    if (asked)
        from = asked;
    if (end < from)
        end = from;
    all = ts_min(all, end - from);
    slack = end - from - all;
    int64_t at = asked || v->store == self ? from : v->store == coordinator ? end - all : from + slack / 2;
    int64_t done = v->store == coordinator && !asked ? end : at + all;
    uint32_t s = stage_add(t,
                           (struct txn_stage){.did = TXN_DID_PREPARE,
                                              .parent = t->commit_stage,
                                              .from_ns = from,
                                              .to_ns = end,
                                              .tablet = v->tablet,
                                              .store = v->store},
                           STAGES_KEPT);
    leaf(t, TXN_DID_NETWORK, s, from, at, self, v->store);
    entry(t, s, at + ts_min(v->times.before_ns, all), done, &v->times, v->tablet, v->store);
    leaf(t, TXN_DID_NETWORK, s, done, end, v->store, coordinator);
}

void times_of_commit(struct txn *t, int64_t from, int64_t to, px_store coordinator, uint64_t tablet, bool many) {
    static const enum txn_cause causes[HOST_TIMES] = {TXN_CAUSE_LOG, TXN_CAUSE_FSYNC, TXN_CAUSE_QUORUM, TXN_CAUSE_WAIT,
                                                      TXN_CAUSE_SQLITE};
    const struct host_times *d = &t->done_times;
    px_store self = client_self(t->c);
    int64_t sum = d->before_ns, asked = asked_at(t, tablet), arrived = from, left = to, all;
    for (int i = 0; i < HOST_TIMES; i++)
        sum += d->ns[i];
    all = d->all_ns > sum ? d->all_ns : sum;
    if (asked) { /* it came along with a request, which was answered before the entry was through */
        arrived = asked < to ? asked : to;
        left = ts_min(arrived + all, to);
    } else if (coordinator != self) {
        int64_t way = to - from > all ? (to - from - all) / 2 : 0;
        arrived = from + way;
        left = to - way;
    }
    if (all > left - arrived) /* nothing of it can have been before it began */
        arrived = left - all > from || asked ? left - all : from;
    if (coordinator != self && !asked) {
        times_add(t, TXN_CAUSE_NETWORK, from, arrived);
        leaf(t, TXN_DID_NETWORK, t->commit_stage, from, arrived, self, coordinator);
    }
    for (size_t i = 0; i < t->n_votes; i++)
        prepare(t, &t->votes[i], from, ts_min(arrived + t->votes[i].at_ns, left), coordinator);
    int64_t at = ts_min(arrived + d->before_ns, left);
    times_add(t, many ? TXN_CAUSE_QUORUM : TXN_CAUSE_LOG, arrived, at);
    if (many)
        leaf(t, TXN_DID_VOTES, t->commit_stage, arrived, at, coordinator, 0);
    entry(t, t->commit_stage, at, left, d, tablet, coordinator);
    for (int i = 0; i < HOST_TIMES; i++) {
        times_add(t, causes[i], at, ts_min(at + d->ns[i], left));
        at += d->ns[i];
    }
    times_add(t, coordinator != self ? TXN_CAUSE_NETWORK : TXN_CAUSE_GATEWAY, left, to);
    if (coordinator != self)
        leaf(t, TXN_DID_NETWORK, t->commit_stage, left, to, coordinator, self);
    if (t->commit_stage && t->stage[t->commit_stage - 1].to_ns < to - t->began_ns)
        t->stage[t->commit_stage - 1].to_ns = to - t->began_ns;
    if (t->commit_stage) {
        t->stage[t->commit_stage - 1].store = coordinator;
        t->stage[t->commit_stage - 1].tablet = tablet;
    }
}

/* ---- for others ---------------------------------------------------------------------------------------------------------- */

const struct txn_times *txn_times(const struct txn *t) {
    struct txn *mine = (struct txn *)(uintptr_t)t; /* the rest is the gateway's, as of now */
    int64_t sum = 0;
    for (int i = 0; i < TXN_CAUSES; i++)
        sum += i == TXN_CAUSE_GATEWAY ? 0 : t->times.ns[i];
    mine->times.ns[TXN_CAUSE_GATEWAY] = t->times.total_ns > sum ? t->times.total_ns - sum : 0;
    return &t->times;
}

size_t txn_stages(const struct txn *t, struct txn_stage *to, size_t max, size_t *ret_lost) {
    size_t n = t->stages < max ? t->stages : max;
    if (n)
        memcpy(to, t->stage, n * sizeof *to);
    *ret_lost = t->stages_lost + (t->stages - n);
    return n;
}
