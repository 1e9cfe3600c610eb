/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions on whole simulated nodes while nodes crash, lose power, are cut off, give up leaderships: registers, ranges with
 * phantoms, lists, reads in the past and from followers, over two tablets. What the clients saw goes through both checkers of
 * tests/check/history.h. Commits without an answer are resolved by their tokens in the end (N-15).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/lib/txnworld.h"

enum { REGISTERS = 12, LIST_FIRST = 100, LISTS = 4, LIST_MAX = 60, UNKNOWN_MAX = 400, RANGE_MAX = 64, MS = 1000000 };
static const int64_t SECOND = 1000000000;

struct shared {
    struct unknown {
        uint32_t t;
        struct txn_token token;
    } unknown[UNKNOWN_MAX];
    size_t unknowns, resolved, followers, lists, ranges, stale;
    int32_t made[LISTS];
    bool resolving;
};

struct step {
    struct txnworld *w;
    struct shared *sh;
    struct txn *t;
    struct reactor *r;
    uint32_t h;
    struct err err;
};

static int64_t value(struct txnworld *w) {
    return ++w->next_value;
}

/* ---- what a transaction does ---------------------------------------------------------------------------------------------- */

static enum rc read_one(struct step *s, int64_t key, enum lock_mode lock) {
    int64_t v;
    enum rc rc = txnworld_get(s->w, s->t, key, lock, &v, &s->err);
    if (!rc)
        hist_read(s->w->history, s->h, (uint64_t)key, v);
    return rc;
}

static enum rc write_one(struct step *s, int64_t key) {
    int64_t v = value(s->w);
    enum rc rc = txnworld_put(s->w, s->t, key, v, &s->err);
    if (!rc)
        hist_write(s->w->history, s->h, (uint64_t)key, v);
    return rc;
}

static enum rc registers(struct step *s) {
    struct rng *r = s->w->rng;
    enum rc rc = RC_OK;
    for (uint64_t n = 1 + rng_below(r, 4); n > 0 && !rc; n--) {
        int64_t key = (int64_t)rng_below(r, REGISTERS);
        switch (rng_below(r, 4)) {
        case 0:
            rc = read_one(s, key, LOCK_SHARED);
            break;
        case 1:
            rc = read_one(s, key, LOCK_UPDATE);
            if (!rc)
                rc = write_one(s, key);
            break;
        case 2: /* reads one, writes another: skew, if nothing keeps it from that */
            rc = read_one(s, key, LOCK_SHARED);
            if (!rc)
                rc = write_one(s, (key + 1) % REGISTERS);
            break;
        default:
            rc = write_one(s, key);
        }
        if (!rc && rng_chance(r, 0.05)) /* it idles for a while, holding what it has */
            rc = fiber_sleep(s->r, rng_range(r, MS, 300 * MS));
    }
    return rc;
}

static enum rc range(struct step *s) {
    struct hist_pair p[RANGE_MAX];
    size_t n;
    int64_t first = (int64_t)rng_below(s->w->rng, REGISTERS), last = first + (int64_t)rng_below(s->w->rng, REGISTERS);
    enum rc rc = txnworld_range(s->w, s->t, first, last, p, RANGE_MAX, &n, &s->err);
    if (rc)
        return rc;
    hist_read_range(s->w->history, s->h, (uint64_t)first, (uint64_t)last, p, n);
    s->sh->ranges++;
    return rng_chance(s->w->rng, 0.5) ? write_one(s, first) : RC_OK;
}

static size_t parse_list(const char *text, int64_t *ret) {
    size_t n = 0;
    for (char *end; *text && n < LIST_MAX; text = *end == ' ' ? end + 1 : end)
        ret[n++] = strtoll(text, &end, 10);
    return n;
}

static enum rc list(struct step *s) {
    char text[2048], *at;
    int64_t e[LIST_MAX], key = LIST_FIRST + (int64_t)rng_below(s->w->rng, LISTS);
    enum rc rc = txnworld_get_text(s->w, s->t, key, LOCK_UPDATE, text, sizeof text, &s->err);
    if (rc)
        return rc;
    size_t n = parse_list(text, e);
    hist_read_list(s->w->history, s->h, (uint64_t)key, e, n);
    if (n >= LIST_MAX - 1)
        return RC_OK;
    int64_t v = value(s->w);
    at = text + strlen(text);
    snprintf(at, sizeof text - (size_t)(at - text), "%s%" PRId64, n ? " " : "", v);
    rc = txnworld_put_text(s->w, s->t, key, text, &s->err);
    if (!rc)
        hist_append(s->w->history, s->h, (uint64_t)key, v);
    s->sh->lists++;
    return rc;
}

static enum rc read_only(struct step *s) {
    enum rc rc = RC_OK;
    for (uint64_t n = 1 + rng_below(s->w->rng, 3); n > 0 && !rc; n--)
        rc = read_one(s, (int64_t)rng_below(s->w->rng, REGISTERS), LOCK_NONE);
    if (!rc && rng_chance(s->w->rng, 0.3)) {
        struct hist_pair p[RANGE_MAX];
        size_t n;
        rc = txnworld_range(s->w, s->t, 0, REGISTERS - 1, p, RANGE_MAX, &n, &s->err);
        if (!rc)
            hist_read_range(s->w->history, s->h, 0, REGISTERS - 1, p, n);
    }
    return rc;
}

/* ---- a transaction --------------------------------------------------------------------------------------------------------- */

static void note_end(struct step *s, enum rc rc, int64_t ts, bool read_only_, bool stale) {
    struct txnworld *w = s->w;
    int64_t now = txnworld_now(w);
    if (!rc && read_only_) {
        hist_commit_read_only(w->history, s->h, ts, stale, now);
        w->reads++;
    } else if (!rc && ts == 0) {
        hist_abort(w->history, s->h, now);
    } else if (!rc) {
        if (ts > now)
            txnworld_broke(w, "T-4: acknowledged %.6f s before its time", (double)(ts - now) / 1e9);
        hist_commit(w->history, s->h, ts, now);
        w->committed++;
    } else if (rc == RC_ABORTED || read_only_ || txn_phase(s->t) != TXN_DONE) {
        hist_abort(w->history, s->h, now);
        w->aborted++;
    } else {

        w->unknown++;
        if (s->sh->unknowns < UNKNOWN_MAX)
            s->sh->unknown[s->sh->unknowns++] = (struct unknown){s->h, *txn_token(s->t)};
    }
}

static void one(struct txnworld_node *n, struct txn_client *c, uint32_t session, struct reactor *r) {
    struct txnworld *w = n->w;
    struct step s = {.w = w, .sh = w->conf.ctx, .r = r};
    struct txn_options o = {.mode = TXN_READ_WRITE, .deadline = reactor_deadline(r, 8 * SECOND)};
    uint64_t kind = rng_below(w->rng, 12);
    if (kind >= 8)
        o.mode = kind == 8 ? TXN_READ_STRONG : kind == 9 ? TXN_READ_EXACT : kind == 10 ? TXN_READ_MAX : TXN_READ_STRONG;
    o.staleness_ns = rng_range(w->rng, 0, 3 * SECOND);
    s.h = hist_begin(w->history, session, txnworld_now(w));
    enum rc rc = txn_begin(c, &o, &s.t, &s.err);
    if (rc) {
        hist_abort(w->history, s.h, txnworld_now(w));
        return;
    }
    bool ro = o.mode != TXN_READ_WRITE;
    rc = ro ? read_only(&s) : kind < 5 ? registers(&s) : kind < 7 ? range(&s) : list(&s);
    int64_t ts = 0;
    bool tried = !rc;
    if (!rc)
        rc = txn_commit(s.t, &ts, &s.err);
    else
        txn_rollback(s.t);
    if (ro)
        ts = txn_read_ts(s.t);
    if (ro && ts == 0)
        rc = rc ? rc : RC_ABORTED;
    if (tried || !rc)
        note_end(&s, rc, ts, ro, o.mode != TXN_READ_STRONG);
    else {
        hist_abort(w->history, s.h, txnworld_now(w));
        w->aborted++;
    }
    txn_free(s.t);
}

/* Every commit that was not answered: its token knows. */
static void resolve(struct txnworld *w, struct txn_client *c, struct reactor *r) {
    struct shared *sh = w->conf.ctx;
    for (size_t i = 0; i < sh->unknowns; i++) {
        enum txn_verdict verdict = TXN_UNDECIDED;
        int64_t ts = 0, deadline = reactor_deadline(r, 80 * SECOND);
        struct err err = {0};
        enum rc rc = RC_OK;
        while (!rc && verdict == TXN_UNDECIDED && reactor_now(r) < deadline) {
            rc = txn_status(c, &sh->unknown[i].token, deadline, &verdict, &ts, &err);
            if (!rc && verdict == TXN_UNDECIDED)
                rc = fiber_sleep(r, SECOND);
        }
        if (rc == RC_CANCELLED)
            return;
        if (rc || verdict == TXN_UNDECIDED || verdict == TXN_EXPIRED)
            txnworld_broke(w, "N-15: a token is not resolved: %s %s %s", rc_name(rc), txn_verdict_name(verdict),
                           err.message);
        else if (verdict == TXN_COMMITTED)
            hist_commit(w->history, sh->unknown[i].t, ts, INT64_MAX);
        else
            hist_abort(w->history, sh->unknown[i].t, INT64_MAX);
        sh->resolved++;
    }
}

static void client(struct txnworld_node *n, struct txn_client *c, uint32_t session) {
    struct txnworld *w = n->w;
    struct shared *sh = w->conf.ctx;
    struct reactor *r = node_store(n->node, 0)->reactor;
    while (!w->over) {
        if (fiber_sleep(r, rng_range(w->rng, MS, 40 * MS)) != RC_OK)
            return;
        txnworld_duties(n);
        one(n, c, session, r);
    }
    if (!sh->resolving) {
        sh->resolving = true;
        if (fiber_sleep(r, 10 * SECOND) == RC_OK) /* those of others that are under way end first */
            resolve(w, c, r);
    }
}

static uint64_t total_committed, total_aborted, total_unknown, total_reads, total_crashes, total_lists, total_ranges,
    total_splits;

static bool done(void *ctx) {
    struct txnworld *w = ctx;
    const struct shared *sh = w->conf.ctx;
    return w->broken[0] || (sh->resolving && sh->resolved == sh->unknowns);
}

/* Nobody holds or waits for anything any more. */
static void check_clean(void *ctx, struct tablet *t) {
    struct txnworld *w = ctx;
    struct txn_host *h = tablet_upper(t);
    struct site_stats st;
    if (!h)
        return;
    site_check(h->site);
    if (!site_leads(h->site))
        return; /* it may still be catching up */
    site_stats(h->site, &st);
    if (st.active || st.preparing || st.prepared || st.promised || st.coordinating || st.unsettled)
        txnworld_broke(w, "tablet %d: active %d preparing %d prepared %d promised %d coordinating %d unsettled %d",
                       (int)h->id, (int)st.active, (int)st.preparing, (int)st.prepared, (int)st.promised,
                       (int)st.coordinating, (int)st.unsettled);
}

static uint64_t total_followers, total_replaced;

/* Answered by replicas without a vote here, since the node was started last. */
static void count_reads(void *ctx, struct tablet *t) {
    uint64_t *without_vote = ctx;
    struct px_status px;
    replica_status(tablet_replica(t), &px);
    for (uint32_t i = 0; i < px.config.count; i++)
        *without_vote +=
            px.config.member[i].replica == replica_id(tablet_replica(t)) && !px_is_voter(&px.config.member[i]);
}

static uint64_t follower_reads(const struct txnworld_node *n) {
    struct tablets *ts = node_store(n->node, 0)->tablets;
    uint64_t without_vote = 0;
    tablets_each(ts, count_reads, &without_vote);
    return without_vote ? counter_get(&tablets_stats(ts)->reads_follower) : 0;
}

static void run(uint64_t seed, const struct txnworld_conf *how, int64_t ns) {
    struct txnworld_conf conf = *how;
    struct shared *sh = calloc(1, sizeof *sh);
    struct hist_verdict v;
    CHECK(sh);
    conf.client = client;
    conf.ctx = sh;
    struct txnworld *w = txnworld_new(seed, &conf);
    txnworld_ready(w);
    txnworld_trouble(w, ns);
    txnworld_heal(w);
    if (!w->broken[0] && !sim_run_until(w->sim, done, w, sim_now(w->sim) + 300 * SECOND))
        txnworld_broke(w, "tokens are not resolved: %zu of %zu", sh->resolved, sh->unknowns);
    if (!w->broken[0]) {
        sim_run(w->sim, sim_now(w->sim) + 10 * SECOND);
        for (int i = 1; i <= w->conf.nodes; i++)
            if (w->n[i].node)
                tablets_each(node_store(w->n[i].node, 0)->tablets, check_clean, w);
    }
    OKF(!w->broken[0], "seed %llu: %s", (unsigned long long)seed, w->broken);
    if (!w->broken[0]) {
        OKF(hist_check_replay(w->history, &v), "seed %llu: %s: %s", (unsigned long long)seed, v.anomaly, v.text);
        OKF(hist_check_cycles(w->history, &v), "seed %llu: %s: %s", (unsigned long long)seed, v.anomaly, v.text);
    }
    OKF(w->committed > 5, "seed %llu: only %llu commits", (unsigned long long)seed, (unsigned long long)w->committed);
    total_committed += w->committed;
    total_aborted += w->aborted;
    total_unknown += w->unknown;
    total_reads += w->reads;
    total_crashes += w->crashes;
    total_lists += sh->lists;
    total_ranges += sh->ranges;
    total_splits += (uint64_t)w->splits;
    for (int i = 1; i <= w->conf.nodes; i++)
        if (w->n[i].node)
            total_followers += follower_reads(&w->n[i]);
    total_replaced += txnworld_replaced(w);
    txnworld_free(w);
    free(sh);
}

static void calm_seed(uint64_t seed) {
    struct txnworld_conf conf = {.nodes = 3, .clients = 3, .two = true};
    run(seed, &conf, 4 * SECOND);
}

static void crash_seed(uint64_t seed) {
    struct txnworld_conf conf = {
        .nodes = 3, .clients = 2, .two = true, .crashes = true, .partitions = true, .transfers = true};
    run(seed, &conf, 15 * SECOND);
}

static void split_seed(uint64_t seed) {
    struct txnworld_conf conf = {.nodes = 3, .clients = 2, .two = true, .splits = 3, .split_below = 8};
    if (seed % 2)
        conf.crashes = conf.transfers = true;
    run(seed, &conf, 10 * SECOND);
}

/* Five regions, three voters: two regions read their past from replicas that do not vote. The tablet is split, nodes crash, are cut
 * off, and give up leaderships meanwhile. */
static void region_seed(uint64_t seed) {
    static const char *const region[] = {"", "us", "eu", "ap", "sa", "af"};
    struct txnworld_conf conf = {.region = region,
                                 .nodes = 5,
                                 .clients = 1,
                                 .two = true,
                                 .crashes = true,
                                 .partitions = true,
                                 .transfers = true,
                                 .splits = 2,
                                 .split_below = 8};
    run(seed, &conf, 12 * SECOND);
}

/* Votes go to others as soon as a node is not heard of, while it may be about to come back, or hears others well. */
static void repair_seed(uint64_t seed) {
    struct txnworld_conf conf = {.nodes = 5,
                                 .clients = 1,
                                 .repair_after_ns = SECOND / 2,
                                 .two = true,
                                 .crashes = true,
                                 .partitions = true,
                                 .transfers = true,
                                 .splits = 1,
                                 .split_below = 8};
    run(seed, &conf, 20 * SECOND);
}

static void report(const char *what) {
    tap_note("%s: %llu committed, %llu aborted, %llu unknown, %llu reads, %llu lists, %llu ranges, %llu crashes, %llu "
             "splits",
             what, (unsigned long long)total_committed, (unsigned long long)total_aborted,
             (unsigned long long)total_unknown, (unsigned long long)total_reads, (unsigned long long)total_lists,
             (unsigned long long)total_ranges, (unsigned long long)total_crashes, (unsigned long long)total_splits);
    total_followers = total_replaced = 0;
    total_committed = total_aborted = total_unknown = total_reads = total_crashes = total_lists = total_ranges =
        total_splits = 0;
}

static void without_faults(void) {
    simkit_seeds("txn_history_sim_test", 2, calm_seed);
    report("calm");
}

static void with_faults(void) {
    simkit_seeds("txn_history_sim_test", 6, crash_seed);
    report("faults");
}

/* N-6, T-14 */
static void with_splits(void) {
    simkit_seeds("txn_history_sim_test", 6, split_seed);
    if (!getenv("SIM_SEED") && !getenv("SIM_FIRST"))
        split_seed(248); /* a split while a commit's own request waits for a lock in what becomes the other half */
    OK(total_splits > 0);
    report("splits");
}

static void with_repairs(void) {
    simkit_seeds("txn_history_sim_test", 2, repair_seed);
    OKF(total_replaced > 0, "nobody was replaced");
    tap_note("%llu voters replaced", (unsigned long long)total_replaced);
    report("repairs");
}

static void with_read_replicas(void) {
    simkit_seeds("txn_history_sim_test", 2, region_seed);
    OKF(total_followers > 0, "no replica without a vote was read");
    tap_note("%llu reads at followers where there are replicas without a vote", (unsigned long long)total_followers);
    report("read replicas");
}

int main(void) {
    RUN(without_faults);
    RUN(with_faults);
    RUN(with_splits);
    RUN(with_read_replicas);
    RUN(with_repairs);
    return tap_done();
}
