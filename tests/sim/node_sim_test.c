/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole nodes in the simulator: a cluster is made and grows; rows are written to whoever leads while nodes crash, lose power,
 * are cut off and come back. Whatever was acknowledged must be there, on every replica, at its timestamp and later, for ever
 * (INV-R1); equal slots, equal checksums (INV-P4).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/node.h"
#include "shard/node/system.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"

enum { NODES = 3, ROWS = 40, TABLE = 2000, MS = 1000000, ACKS_MAX = 20000, HASHES_MAX = 65536 };
static const int64_t SECOND = 1000000000;

struct ack {
    int64_t key, value, ts;
};

struct world {
    struct sim *sim;
    struct rng *rng;
    struct wnode {
        struct world *w;
        struct sim_node *sim;
        struct node_conf conf;
        struct node *node; /* while it serves */
        uint32_t number;
    } n[NODES + 1];
    struct ack ack[ACKS_MAX];
    size_t acks, reads, moved, crashes;
    int64_t next_value;
    bool over, table;
    uint64_t hash_at[HASHES_MAX]; /* of tablet 2, by slot */
    char broken[256];
};

static void broke(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void broke(struct world *w, const char *fmt, ...) {
    va_list ap;
    if (w->broken[0])
        return;
    va_start(ap, fmt);
    vsnprintf(w->broken, sizeof w->broken, fmt, ap);
    va_end(ap);
}

/* ---- the program: a node, and clients on it ---------------------------------------------------------------------------- */

struct rows {
    int64_t value[ROWS]; /* 0 = none */
    size_t count;
};

static enum rc on_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct rows *rows = ctx;
    struct rowbatch_reader r;
    struct value v[2];
    (void)last;
    enum rc rc = rowbatch_open(&r, batch.p, batch.n, err);
    while (!rc && (rc = rowbatch_next(&r, v, err)) == RC_OK) {
        CHECK(v[0].i >= 0 && v[0].i < ROWS);
        rows->value[v[0].i] = v[1].i;
        rows->count++;
    }
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

static enum rc read_all(struct node_store *s, enum tablet_read_mode mode, int64_t ts, struct rows *ret, int64_t *ret_ts,
                        struct err *err) {
    static const struct fragment f = {.id = 77, .sql = "SELECT c1, c2 FROM {2000} ORDER BY c1"};
    struct tablet_read how = {.mode = mode, .ts = ts, .run = {.fragment = &f, .on_batch = on_batch, .ctx = ret}};
    struct fragment_result result;
    memset(ret, 0, sizeof *ret);
    return tablet_read(s->tablets, SYSTEM_USER_TABLET, &how, reactor_deadline(s->reactor, SECOND), ret_ts, &result,
                       err);
}

/* The rows as of ts, by what was acknowledged: only the newest acknowledged one at or below ts is known for sure; a value that
 * nobody was told of may stand above it. */
static void check_rows(struct world *w, const struct rows *rows, int64_t ts, uint32_t node) {
    int64_t newest_ts[ROWS] = {0}, newest[ROWS] = {0};
    for (size_t i = 0; i < w->acks; i++) {
        const struct ack *a = &w->ack[i];
        if (a->ts <= ts && a->ts > newest_ts[a->key]) {
            newest_ts[a->key] = a->ts;
            newest[a->key] = a->value;
        }
    }
    for (int k = 0; k < ROWS; k++) {
        if (rows->value[k] == newest[k])
            continue;
        for (size_t i = 0; i < w->acks; i++)
            if (w->ack[i].key == k && w->ack[i].value == rows->value[k])
                broke(w, "n%u: key %d is %lld at %lld: an acknowledged write is gone, %lld should be there", node, k,
                      (long long)rows->value[k], (long long)ts, (long long)newest[k]);
        if (newest[k] && !rows->value[k])
            broke(w, "n%u: key %d is missing at %lld", node, k, (long long)ts);
    }
}

static void try_table(struct world *w, struct node_store *s) {
    struct table_col cols[2] = {{.id = 1, .col = col_of(COL_INT8), .not_null = true, .missing = value_null()},
                                {.id = 2, .col = col_of(COL_INT8), .missing = value_null()}};
    struct table_part key = {0};
    struct table from = {.id = TABLE, .group = TABLE, .version = 1, .n_cols = 2, .n_key = 1, .cols = cols, .key = &key};
    struct table *t;
    struct buf b;
    int64_t ts;
    CHECK(table_new(&from, &t, NULL) == RC_OK);
    buf_init(&b, 0);
    command_begin(&b, COMMAND_TABLE, 1);
    table_encode(t, &b);
    table_unref(t);
    if (tablet_propose(s->tablets, SYSTEM_USER_TABLET, b.data, b.len, 0, NULL, reactor_deadline(s->reactor, 5 * SECOND),
                       &ts, NULL) == RC_OK)
        w->table = true;
    buf_done(&b);
}

static void try_write(struct world *w, struct node_store *s) {
    struct value v[2] = {value_int((int64_t)rng_below(w->rng, ROWS)), value_int(++w->next_value)};
    struct mvcc_mutation m = {TABLE, false, 2, v};
    int64_t ts = 0;
    struct err err = {0};
    enum rc rc =
        tablet_write(s->tablets, SYSTEM_USER_TABLET, 0, &m, 1, reactor_deadline(s->reactor, 2 * SECOND), &ts, &err);
    if (rc)
        return;
    if (ts > sim_true_ns(w->sim))
        broke(w, "T-4: acknowledged %.6f s before its time", (double)(ts - sim_true_ns(w->sim)) / 1e9);
    if (w->acks < ACKS_MAX)
        w->ack[w->acks++] = (struct ack){v[0].i, v[1].i, ts};
}

static void try_read(struct world *w, struct wnode *n, struct node_store *s) {
    struct rows rows, again;
    struct err err = {0};
    int64_t ts, began = sim_true_ns(w->sim);
    size_t acked = w->acks;
    enum tablet_read_mode mode = rng_chance(w->rng, 0.5) ? TABLET_READ_STRONG : TABLET_READ_AT;
    int64_t at = began - rng_range(w->rng, 0, 5 * SECOND);
    if (read_all(s, mode, at, &rows, &ts, &err))
        return;
    w->reads++;
    if (mode == TABLET_READ_AT) {
        check_rows(w, &rows, at, n->number);
        return;
    }
    /* Strong: nothing that was acknowledged before it began may be missing. */
    for (size_t i = 0; i < acked; i++) {
        const struct ack *a = &w->ack[i];
        bool newer = rows.value[a->key] == a->value;
        for (size_t k = 0; k < w->acks && !newer; k++)
            newer = w->ack[k].key == a->key && w->ack[k].value == rows.value[a->key] && w->ack[k].ts >= a->ts;
        for (size_t k = 0; k < w->acks && !newer; k++)
            if (w->ack[k].key == a->key && w->ack[k].value == rows.value[a->key])
                broke(w, "n%u: a strong read shows an older value of key %lld", n->number, (long long)a->key);
        if (!rows.value[a->key])
            broke(w, "n%u: a strong read misses key %lld", n->number, (long long)a->key);
    }
    if (ts && read_all(s, TABLET_READ_AT, ts, &again, &ts, &err) == RC_OK &&
        memcmp(rows.value, again.value, sizeof rows.value) != 0)
        broke(w, "INV-R1: n%u reads other rows at the same time", n->number);
}

static void note_hash(struct world *w, struct wnode *n, struct node_store *s) {
    struct tablet *t = tablets_find(s->tablets, SYSTEM_USER_TABLET);
    struct tablet_info info;
    if (!t)
        return;
    tablet_info(t, &info);
    if (info.empty || info.slot >= HASHES_MAX)
        return;
    uint64_t hash = info.checksum | 1;
    if (w->hash_at[info.slot] && w->hash_at[info.slot] != hash)
        broke(w, "INV-P4: n%u differs after slot %llu", n->number, (unsigned long long)info.slot);
    w->hash_at[info.slot] = hash;
}

static void client_main(void *arg) {
    struct wnode *n = arg;
    struct world *w = n->w;
    if (!n->node)
        return; /* it ended before this fiber ran */
    struct node_store *s = node_store(n->node, 0);
    while (!w->over && fiber_sleep(s->reactor, rng_range(w->rng, MS, 60 * MS)) == RC_OK) {
        note_hash(w, n, s);
        if (!w->table)
            try_table(w, s);
        else if (rng_chance(w->rng, 0.6))
            try_write(w, s);
        else
            try_read(w, n, s);
    }
}

static void on_ready(void *ctx, struct node *node) {
    struct wnode *n = ctx;
    n->node = node;
    for (int i = 0; i < 3; i++)
        IGNORE(
            fiber_spawn(node_store(node, 0)->reactor, NULL, FIBER_LARGE, "client", client_main, n)); /* fewer clients */
}

static void on_failed(void *ctx, struct node *node, enum rc rc, const struct err *err) {
    struct wnode *n = ctx;
    (void)node;
    broke(n->w, "n%u failed: %s: %s", n->number, rc_name(rc), err->message);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct wnode *n = arg;
    n->node = NULL;
    return node_program.boot(stores, count, &n->conf, ret_state, err);
}

static void stop(void *state, uint16_t store) {
    ((struct wnode *)node_conf(state)->ctx)->node = NULL; /* the world looks at it no more */
    node_program.stop(state, store);
}

static bool stopped(void *state, uint16_t store) {
    return node_program.stopped(state, store);
}

static void done(void *state) {
    node_program.done(state);
}

static const struct program program = {boot, stop, stopped, done};

/* ---- the world ------------------------------------------------------------------------------------------------------------ */

static void start(struct world *w, struct wnode *n) {
    struct err err = {0};
    if (!sim_node_running(n->sim) && sim_node_start(n->sim, &err))
        broke(w, "n%u does not start: %s", n->number, err.message);
}

static void trouble(struct world *w) {
    struct wnode *n = &w->n[1 + rng_below(w->rng, NODES)];
    switch (rng_below(w->rng, 5)) {
    case 0:
        if (sim_node_running(n->sim)) {
            w->crashes++;
            n->node = NULL;
            sim_node_crash(n->sim, rng_chance(w->rng, 0.5) ? SIM_KILL : SIM_POWER);
        }
        break;
    case 1:
        if (sim_node_running(n->sim)) {
            w->crashes++;
            sim_node_crash_at_io(n->sim, rng_chance(w->rng, 0.5) ? SIM_KILL : SIM_POWER, 1 + rng_below(w->rng, 60));
        }
        break;
    case 2:
        sim_partition(w->sim, 1u << sim_node_id(n->sim), rng_chance(w->rng, 0.5));
        break;
    case 3:
        sim_heal(w->sim);
        break;
    default:
        for (int i = 1; i <= NODES; i++)
            start(w, &w->n[i]);
    }
}

static bool all_serve(void *ctx) {
    struct world *w = ctx;
    for (int i = 1; i <= NODES; i++)
        if (!w->n[i].node || !sim_node_running(w->n[i].sim) || !node_serving(w->n[i].node))
            return w->broken[0] != '\0';
    return true;
}

static int voters(const struct px_config *c) {
    int n = 0;
    for (uint32_t i = 0; i < c->count; i++)
        n += px_is_voter(&c->member[i]);
    return n;
}

/* Three voters each, everywhere. */
static bool all_grown(void *ctx) {
    struct world *w = ctx;
    if (!all_serve(w))
        return false;
    for (int i = 1; i <= NODES && !w->broken[0]; i++)
        for (uint64_t id = 1; id <= 2; id++) {
            struct tablet *t = tablets_find(node_store(w->n[i].node, 0)->tablets, id);
            struct tablet_info info;
            if (!t)
                return false;
            tablet_info(t, &info);
            if (info.empty || info.config.joint || voters(&info.config) < NODES)
                return false;
        }
    return true;
}

static bool same_slot(void *ctx) {
    struct world *w = ctx;
    uint64_t slot = 0;
    for (int i = 1; i <= NODES; i++) {
        struct tablet_info info;
        if (!w->n[i].node)
            return false;
        struct tablet *t = tablets_find(node_store(w->n[i].node, 0)->tablets, SYSTEM_USER_TABLET);
        if (!t)
            return false;
        tablet_info(t, &info);
        note_hash(w, &w->n[i], node_store(w->n[i].node, 0));
        if (slot && slot != info.slot)
            return false;
        slot = info.slot;
    }
    return true;
}

static void stay_apart(struct world *w) {
    char text[200];
    size_t at = 0;
    for (int i = 1; i <= NODES; i++) {
        struct tablet *t = w->n[i].node ? tablets_find(node_store(w->n[i].node, 0)->tablets, SYSTEM_USER_TABLET) : NULL;
        struct px_status px = {0};
        if (t)
            replica_status(tablet_replica(t), &px);
        at += (size_t)snprintf(text + at, sizeof text - at, " n%d %s slot=%lld commit=%llu last=%llu truncated=%llu", i,
                               px_role_name(px.role), t ? (long long)mvcc_state(tablet_mvcc(t))->slot : -1,
                               (unsigned long long)px.commit, (unsigned long long)px.last,
                               (unsigned long long)px.truncated);
    }
    broke(w, "LIVE-1: replicas stay apart:%s", text);
}

static void grow(struct world *w, uint64_t seed) {
    struct sim_conf conf = simkit_conf(seed);
    struct sim_link link = {.latency_ns = 500000, .jitter_ns = 200000};
    w->sim = sim_new(&conf);
    CHECK(w->sim);
    w->rng = sim_rng(w->sim);
    sim_links_all(w->sim, &link);
    for (uint32_t i = 1; i <= NODES; i++) {
        struct wnode *n = &w->n[i];
        char name[SIM_NAME_BYTES];
        static const char *const addr[] = {"", "n1:7433", "n2:7433", "n3:7433"};
        static const char *const region[] = {"", "us", "eu", "ap"};
        snprintf(name, sizeof name, "n%u", i);
        *n = (struct wnode){.w = w, .number = i};
        n->conf = (struct node_conf){.dir = "data",
                                     .rpc_addr = addr[i],
                                     .bootstrap = i == 1,
                                     .region = region[i],
                                     .stores = 1,
                                     .replicas = {.wal = {.segment_bytes = 256 << 10, .segments_soft = 3}},
                                     .on_ready = on_ready,
                                     .on_failed = on_failed,
                                     .ctx = n};
        if (i > 1) {
            n->conf.join[0] = addr[1];
            n->conf.joins = 1;
        }
        CHECK(tt_spec_parse("sim;max_eps=200ms", &n->conf.clock, NULL) == RC_OK);
        n->sim = sim_node_new(w->sim, name, 1, &program, n);
        start(w, n);
    }
    if (!sim_run_until(w->sim, all_grown, w, 60 * SECOND))
        broke(w, "not grown after a minute");
}

static void run_world(struct world *w, uint64_t seed, int64_t faults_ns) {
    grow(w, seed);
    int64_t end = sim_now(w->sim) + faults_ns;
    while (sim_now(w->sim) < end && !w->broken[0]) {
        sim_run(w->sim, sim_now(w->sim) + rng_range(w->rng, 50 * MS, 2 * SECOND));
        trouble(w);
    }
    sim_heal(w->sim);
    bool serve = false;
    for (int t = 0; t < 60 && !serve && !w->broken[0]; t++) {
        for (int i = 1; i <= NODES; i++) /* a crash that was armed may still strike */
            start(w, &w->n[i]);
        serve = sim_run_until(w->sim, all_serve, w, sim_now(w->sim) + SECOND);
    }
    if (!serve)
        broke(w, "LIVE-1: not all serve a minute after the last fault");
    sim_run(w->sim, sim_now(w->sim) + 5 * SECOND);
    w->over = true;
    bool same = false;
    for (int t = 0; t < 40 && !same && !w->broken[0]; t++) {
        for (int i = 1; i <= NODES; i++)
            start(w, &w->n[i]);
        same = sim_run_until(w->sim, same_slot, w, sim_now(w->sim) + SECOND);
    }
    if (!same)
        stay_apart(w);
}

static void finish(struct world *w) {
    for (int i = 1; i <= NODES; i++)
        w->n[i].node = NULL;
    sim_free(w->sim);
}

static size_t total_acks, total_reads, total_crashes;

static void one_seed(uint64_t seed) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    run_world(w, seed, 20 * SECOND);
    OKF(!w->broken[0], "seed %llu: %s", (unsigned long long)seed, w->broken);
    OKF(w->acks > 10, "seed %llu: only %zu writes", (unsigned long long)seed, w->acks);
    total_acks += w->acks;
    total_reads += w->reads;
    total_crashes += w->crashes;
    finish(w);
    free(w);
}

static void nothing_acknowledged_is_lost(void) {
    simkit_seeds("node_sim_test", 8, one_seed);
    tap_note("%zu writes, %zu reads, %zu crashes", total_acks, total_reads, total_crashes);
}

/* The same seed, the same trace. */
static void replays(void) {
    uint64_t trace[2];
    for (int i = 0; i < 2; i++) {
        struct world *w = calloc(1, sizeof *w);
        CHECK(w);
        run_world(w, 1000, 5 * SECOND);
        OKF(!w->broken[0], "%s", w->broken);
        trace[i] = sim_trace(w->sim);
        finish(w);
        free(w);
    }
    OKF(trace[0] == trace[1], "%llx != %llx", (unsigned long long)trace[0], (unsigned long long)trace[1]);
}

static bool leads_anything(const struct wnode *n) {
    for (uint64_t id = 1; id <= 2; id++) {
        struct tablet *t = tablets_find(node_store(n->node, 0)->tablets, id);
        struct tablet_info info = {0};
        if (t)
            tablet_info(t, &info);
        if (info.leads)
            return true;
    }
    return false;
}

static struct wnode *somebody_who_leads(struct world *w) {
    for (int i = NODES; i > 1; i--)
        if (leads_anything(&w->n[i]))
            return &w->n[i];
    return &w->n[1];
}

static void kill_node(struct wnode *n) {
    n->node = NULL;
    sim_node_crash(n->sim, SIM_KILL);
}

/* C-4: a node whose clock the two others contradict, though its own source sees nothing wrong, leads nothing, nor does it stand
 * in the way of one that does: P-13. */
static void a_contradicted_clock_does_not_lead(void) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    grow(w, 9);
    OKF(!w->broken[0], "%s", w->broken);
    struct wnode *n = somebody_who_leads(w);
    kill_node(n);
    sim_run(w->sim, sim_now(w->sim) + 2 * SECOND);
    sim_truth(n->sim, 0)->lie_ns = -3 * SECOND; /* what it served before is later: it waits that long to speak */
    start(w, n);
    OK(sim_run_until(w->sim, all_serve, w, sim_now(w->sim) + 30 * SECOND));
    sim_run(w->sim, sim_now(w->sim) + 8 * SECOND); /* a lease, and the ticks in which it learns of it */
    int led = 0;
    for (int i = 0; i < 20 && n->node; i++) {
        sim_run(w->sim, sim_now(w->sim) + SECOND);
        led += leads_anything(n);
    }
    EQ_INT(led, 0);
    OK(n->node && counter_get(&replicas_stats(tablets_replicas(node_store(n->node, 0)->tablets))->support_paused) > 0);
    /* Nor when there is nobody else to lead. */
    kill_node(somebody_who_leads(w));
    for (int i = 0; i < 80 && n->node; i++) { /* as long as it remembers what the dead one said */
        sim_run(w->sim, sim_now(w->sim) + SECOND / 10);
        led += leads_anything(n);
    }
    EQ_INT(led, 0);
    OKF(!w->broken[0], "%s", w->broken);
    finish(w);
    free(w);
}

static int leases_of(const struct wnode *n) {
    int count = 0;
    for (uint64_t id = 1; id <= 2 && n->node; id++) {
        struct tablet *t = tablets_find(node_store(n->node, 0)->tablets, id);
        count += t && tablet_replica(t) && replica_leads(tablet_replica(t));
    }
    return count;
}

/* C-4: with one other node nobody can say whose clock is wrong. But the one whose clock is behind holds no lease by the other's
 * support, for that would end for the supporter first. */
static void a_clock_that_is_behind_holds_no_lease(void) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    grow(w, 5);
    OKF(!w->broken[0], "%s", w->broken);
    struct wnode *n = somebody_who_leads(w), *third = n == &w->n[1] ? &w->n[2] : &w->n[1];
    kill_node(n);
    kill_node(third);
    sim_run(w->sim, sim_now(w->sim) + 4 * SECOND);
    sim_truth(n->sim, 0)->lie_ns = -SECOND; /* by less than a lease, so what it asks for can be granted */
    start(w, n);
    int leases = 0, others = 0;
    for (int i = 0; i < 200; i++) {
        sim_run(w->sim, sim_now(w->sim) + SECOND / 10);
        leases += leases_of(n);
    }
    start(w, third);
    for (int i = 0; i < 200; i++) {
        sim_run(w->sim, sim_now(w->sim) + SECOND / 10);
        leases += leases_of(n);
        others += leases_of(third) + leases_of(&w->n[6 - n->number - third->number]);
    }
    EQ_INT(leases, 0);
    OK(others > 0);
    OKF(!w->broken[0], "%s", w->broken);
    finish(w);
    free(w);
}

static struct wnode *leader_of(struct world *w, const struct wnode *not_this) {
    for (int i = 1; i <= NODES; i++) {
        struct tablet *t = tablets_find(node_store(w->n[i].node, 0)->tablets, SYSTEM_USER_TABLET);
        struct tablet_info info = {0};
        if (t)
            tablet_info(t, &info);
        if (info.leads && &w->n[i] != not_this)
            return &w->n[i];
    }
    return NULL;
}

/* P-13: a store whose disk hangs asks for no support, so that others can lead what it led. */
static void a_hung_disk_loses_the_leadership(void) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    grow(w, 11);
    sim_run(w->sim, sim_now(w->sim) + 10 * SECOND); /* all three vote */
    OKF(!w->broken[0], "%s", w->broken);
    struct wnode *n = leader_of(w, NULL), *other = NULL;
    OK(n != NULL);
    if (n) {
        sim_disk_faults(n->sim)->hang_until_ns = sim_now(w->sim) + 60 * SECOND;
        for (int i = 0; i < 20 && !other; i++) {
            sim_run(w->sim, sim_now(w->sim) + SECOND);
            other = leader_of(w, n);
        }
        OK(other != NULL);
    }
    finish(w);
    free(w);
}

/* C-1: the clock is looked at when it is used: a leader that is cut off serves nothing any more when somebody else may. */
static void a_cut_off_leader_stops_in_time(void) {
    int both = 0, other = 0;
    for (uint64_t seed = 20; seed < 26; seed++) {
        struct world *w = calloc(1, sizeof *w);
        CHECK(w);
        grow(w, seed);
        sim_run(w->sim, sim_now(w->sim) + 10 * SECOND);
        OKF(!w->broken[0], "%s", w->broken);
        struct wnode *n = leader_of(w, NULL);
        OK(n != NULL);
        if (n)
            sim_partition(w->sim, 1u << sim_node_id(n->sim), true);
        for (int i = 0; n && i < 200; i++) {
            int serving = 0;
            sim_run(w->sim, sim_now(w->sim) + 50 * MS);
            for (int k = 1; k <= NODES; k++) {
                struct tablet *t = tablets_find(node_store(w->n[k].node, 0)->tablets, SYSTEM_USER_TABLET);
                bool serves = t && replica_serve(tablet_replica(t), sim_true_ns(w->sim), NULL) == RC_OK;
                serving += serves;
                other += serves && &w->n[k] != n;
            }
            both += serving > 1;
        }
        finish(w);
        free(w);
    }
    EQ_INT(both, 0);
    OKF(other > 0, "nobody else has led");
}

int main(void) {
    RUN(a_hung_disk_loses_the_leadership);
    RUN(a_cut_off_leader_stops_in_time);
    RUN(a_contradicted_clock_does_not_lead);
    RUN(a_clock_that_is_behind_holds_no_lease);
    RUN(nothing_acknowledged_is_lost);
    RUN(replays);
    return tap_done();
}
