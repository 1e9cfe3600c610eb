/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tablets under everything that may happen to them at once: rows are written, tablets are split and moved, their leaders and
 * replicas change, versions are removed, while nodes crash, lose power and are cut off. Any replica is asked for the rows of
 * random times in the past, those that only read too: there are four regions, and three voters. What is checked:
 *
 *     INV-R1   what was read at a time is read again at that time, exactly, whichever replica answers, before and after a split,
 *              a move, a restart; an acknowledged write is there from its timestamp on and not before
 *     P-7      whoever leads has a vote
 *     INV-M1   no two leaders serve the same key at the same moment; in the end every key is in one tablet
 *     INV-P4   equal slots of a tablet, equal checksums
 *     LIVE-1   after the last fault all comes back, and every acknowledged row with it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/node.h"
#include "shard/node/system.h"
#include "shard/store/key.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "truetime/base/map.h"

enum {
    NODES = 5,
    ROWS = 60,
    TABLE = 2000,
    MS = 1000000,
    ACKS_MAX = 40000,
    HASHES = 1 << 17,
    BANK = 96,
    SPLITS_MAX = 8
};
static const int64_t SECOND = 1000000000, KEEP_NS = 6 * 1000000000LL;

struct ack {
    int64_t key, value, ts;
};

/* What was read at a time: value_seen[k] where it is known. */
struct moment {
    int64_t ts;
    int64_t value[ROWS];
    bool seen[ROWS];
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
    size_t acks, reads, read_only, again, old, splits, moves, crashes;
    struct moment bank[BANK];
    int64_t next_value;
    bool over, calm, table, quiet;           /* quiet: no faults */
    uint64_t hash_key[HASHES], hash[HASHES]; /* by tablet and slot */
    char broken[1024];
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

static struct mvcc_bytes row_key(int64_t k, struct buf *b) {
    struct key_part part = {.col = col_of(COL_INT8)};
    struct value v = value_int(k);
    buf_reset(b, 0);
    CHECK(key_put_table(b, TABLE, NULL) == RC_OK && key_put(b, &part, &v, NULL) == RC_OK);
    return (struct mvcc_bytes){b->data, b->len};
}

static bool within(const struct tablet_info *t, int64_t k) {
    struct buf b;
    buf_init(&b, 0);
    struct mvcc_bytes key = row_key(k, &b);
    bool in = key_compare(key_of(key.p, key.n), key_of(t->start.p, t->start.n)) >= 0 &&
              (t->end.n == 0 || key_compare(key_of(key.p, key.n), key_of(t->end.p, t->end.n)) < 0);
    buf_done(&b);
    return in;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

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
    while (!rc && r.at < r.n_rows && (rc = rowbatch_next(&r, v, err)) == RC_OK) {
        CHECK(v[0].i >= 0 && v[0].i < ROWS);
        rows->value[v[0].i] = v[1].i;
        rows->count++;
    }
    return rc;
}

static enum rc read_tablet(struct node_store *s, const struct tablet_info *t, enum tablet_read_mode mode, int64_t ts,
                           struct rows *ret, int64_t *ret_ts, struct err *err) {
    static const struct fragment f = {.id = 77, .sql = "SELECT c1, c2 FROM {2000} ORDER BY c1"};
    struct tablet_read how = {
        .mode = mode, .ts = ts, .generation = t->generation, .run = {.fragment = &f, .on_batch = on_batch, .ctx = ret}};
    struct fragment_result result;
    memset(ret, 0, sizeof *ret);
    return tablet_read(s->tablets, t->id, &how, reactor_deadline(s->reactor, SECOND), ret_ts, &result, err);
}

/* What was acknowledged: the newest acknowledged one at or below ts, or one that nobody was told of. */
static void check_acks(struct world *w, const struct rows *rows, int64_t k, int64_t ts, uint32_t node) {
    int64_t newest_ts = 0, newest = 0;
    for (size_t i = 0; i < w->acks; i++)
        if (w->ack[i].key == k && w->ack[i].ts <= ts && w->ack[i].ts > newest_ts) {
            newest_ts = w->ack[i].ts;
            newest = w->ack[i].value;
        }
    if (rows->value[k] == newest)
        return;
    for (size_t i = 0; i < w->acks; i++)
        if (w->ack[i].key == k && w->ack[i].value == rows->value[k])
            broke(w, "INV-R1: n%u: key %lld is %lld at %lld, %lld should be there", node, (long long)k,
                  (long long)rows->value[k], (long long)ts, (long long)newest);
    if (newest && !rows->value[k])
        broke(w, "INV-R1: n%u: key %lld is missing at %lld", node, (long long)k, (long long)ts);
}

static void check_moment(struct world *w, struct moment *m, const struct rows *rows, int64_t k, uint32_t node) {
    if (m->seen[k]) {
        w->again++;
        if (m->value[k] != rows->value[k])
            broke(w, "INV-R1: n%u: key %lld is %lld at %lld; it was %lld before", node, (long long)k,
                  (long long)rows->value[k], (long long)m->ts, (long long)m->value[k]);
    }
    m->seen[k] = true;
    m->value[k] = rows->value[k];
}

/* Some replica that is here. */
struct pick {
    struct world *w;
    size_t seen;
    struct tablet_info info;
    uint8_t start[64], end[64];
};

static void pick_one(void *ctx, struct tablet *t) {
    struct pick *p = ctx;
    struct tablet_info info;
    tablet_info(t, &info);
    if (info.id < SYSTEM_USER_TABLET || info.empty || rng_below(p->w->rng, ++p->seen) != 0)
        return;
    CHECK(info.start.n <= sizeof p->start && info.end.n <= sizeof p->end);
    if (info.start.n)
        memcpy(p->start, info.start.p, info.start.n);
    if (info.end.n)
        memcpy(p->end, info.end.p, info.end.n);
    p->info = info;
    p->info.start.p = p->start;
    p->info.end.p = p->end;
}

static bool votes(const struct replica *r, struct node_store *s) {
    struct px_status px;
    replica_status(r, &px);
    return px_is_voter(px_config_find(&px.config, px_store_of(rpc_self(s->rpc))));
}

static void try_read(struct world *w, struct wnode *n, struct node_store *s) {
    struct pick p = {.w = w};
    struct rows rows;
    struct err err = {0};
    int64_t now = sim_true_ns(w->sim), ts = 0;
    struct moment *m = &w->bank[rng_below(w->rng, BANK)];
    bool strong = rng_chance(w->rng, 0.2);
    tablets_each(s->tablets, pick_one, &p);
    if (!p.seen)
        return;
    size_t acked = w->acks;
    if (!strong && (m->ts == 0 || now - m->ts > 2 * KEEP_NS))
        *m = (struct moment){.ts = now - rng_range(w->rng, 0, KEEP_NS)};
    int64_t at = m->ts;
    enum rc rc = read_tablet(s, &p.info, strong ? TABLET_READ_STRONG : TABLET_READ_AT, at, &rows, &ts, &err);
    if (rc == RC_TOO_OLD) {
        w->old++;
        if (now - at < KEEP_NS - SECOND)
            broke(w, "n%u: versions of %.3f s ago are gone", n->number, (double)(now - at) / 1e9);
    }
    if (rc)
        return;
    w->reads++;
    struct tablet *t = tablets_find(s->tablets, p.info.id);
    w->read_only += t && tablet_replica(t) && !votes(tablet_replica(t), s);
    for (int64_t k = 0; k < ROWS; k++) {
        if (!within(&p.info, k)) {
            if (rows.value[k])
                broke(w, "INV-M1: n%u: tablet %llu shows key %lld, which is not its", n->number,
                      (unsigned long long)p.info.id, (long long)k);
            continue;
        }
        if (!strong) {
            check_acks(w, &rows, k, at, n->number);
            if (m->ts == at)
                check_moment(w, m, &rows, k, n->number);
            continue;
        }
        for (size_t i = 0; i < acked; i++) { /* nothing that was acknowledged before it began may be missing */
            const struct ack *a = &w->ack[i];
            if (a->key != k || rows.value[k] == a->value)
                continue;
            bool older = !rows.value[k];
            for (size_t j = 0; j < w->acks && !older; j++)
                older = w->ack[j].key == k && w->ack[j].value == rows.value[k] && w->ack[j].ts < a->ts;
            if (older)
                broke(w, "n%u: a strong read of key %lld misses %lld", n->number, (long long)k, (long long)a->value);
        }
    }
}

/* ---- writing, splitting, moving -------------------------------------------------------------------------------------------- */

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
    struct buf b;
    buf_init(&b, 0);
    struct tablet *t = tablets_find_key(s->tablets, row_key(v[0].i, &b));
    buf_done(&b);
    if (!t || !tablet_replica(t) || !replica_leads(tablet_replica(t)))
        return;
    uint64_t id = tablet_id(t), generation = mvcc_state(tablet_mvcc(t))->generation;
    enum rc rc = tablet_write(s->tablets, id, generation, &m, 1, reactor_deadline(s->reactor, 2 * SECOND), &ts, &err);
    if (rc)
        return;
    if (ts > sim_true_ns(w->sim))
        broke(w, "T-4: acknowledged %.6f s before its time", (double)(ts - sim_true_ns(w->sim)) / 1e9);
    if (w->acks < ACKS_MAX)
        w->ack[w->acks++] = (struct ack){v[0].i, v[1].i, ts};
}

static enum rc admin(struct node_store *s, const char *verb, uint64_t tablet, uint32_t from, uint32_t to) {
    struct arena a;
    ProtobufCMessage *m;
    arena_init(&a, 1 << 20);
    Node__AdminAsk *ask = arena_new(&a, Node__AdminAsk);
    CHECK(ask);
    node__admin_ask__init(ask);
    ask->verb = (char *)(uintptr_t)verb;
    ask->tablet = tablet;
    ask->from_node = from;
    ask->to_node = to;
    enum rc rc = rpc_call(s->rpc, rpc_self(s->rpc), NODE_TYPE_ADMIN, &ask->base, &a,
                          reactor_deadline(s->reactor, 20 * SECOND), &m, NULL);
    arena_done(&a);
    return rc;
}

static void try_admin(struct world *w, struct node_store *s) {
    struct pick p = {.w = w};
    struct buf b;
    uint64_t right;
    tablets_each(s->tablets, pick_one, &p);
    if (!p.seen)
        return;
    switch (rng_below(w->rng, 3)) {
    case 0:
        if (w->splits >= SPLITS_MAX)
            return;
        buf_init(&b, 0);
        bool middle = rng_chance(w->rng, 0.3);
        struct mvcc_bytes key = row_key(rng_range(w->rng, 1, ROWS - 1), &b);
        if (node_tablet_split(s, middle ? p.info.id : 0, middle ? (struct mvcc_bytes){NULL, 0} : key,
                              reactor_deadline(s->reactor, 10 * SECOND), &right, NULL) == RC_OK)
            w->splits++;
        buf_done(&b);
        break;
    case 1: {
        const struct px_config *c = &p.info.config;
        uint32_t from = px_store_addr(c->member[rng_below(w->rng, c->count)].store).node, to = 1;
        while (px_config_find(c, px_store_of((struct store_addr){to, 0})))
            to++;
        if (to <= NODES && admin(s, "move", p.info.id, from, to) == RC_OK)
            w->moves++;
        break;
    }
    default: /* whoever it is, and whether it wants to */
        IGNORE(admin(s, "transfer-leader", p.info.id, 0, 1 + (uint32_t)rng_below(w->rng, NODES)));
    }
}

/* ---- what must hold at every moment ------------------------------------------------------------------------------------------ */

struct served {
    struct world *w;
    uint32_t node, by[ROWS];
    uint64_t tablet[ROWS];
};

static void note_served(void *ctx, struct tablet *t) {
    struct served *x = ctx;
    struct tablet_info info;
    tablet_info(t, &info);
    if (info.id < SYSTEM_USER_TABLET || info.empty || !replica_leads(tablet_replica(t)))
        return;
    if (!votes(tablet_replica(t), node_store(x->w->n[x->node].node, 0)))
        broke(x->w, "P-7: n%u leads tablet %llu without a vote", x->node, (unsigned long long)info.id);
    for (int64_t k = 0; k < ROWS; k++) {
        if (!within(&info, k))
            continue;
        if (x->by[k])
            broke(x->w, "INV-M1: key %lld is served by n%u (tablet %llu) and n%u (tablet %llu)", (long long)k, x->by[k],
                  (unsigned long long)x->tablet[k], x->node, (unsigned long long)info.id);
        x->by[k] = x->node;
        x->tablet[k] = info.id;
    }
}

static void one_server_each(struct world *w) {
    struct served x = {.w = w};
    for (x.node = 1; x.node <= NODES; x.node++)
        if (w->n[x.node].node && sim_node_running(w->n[x.node].sim) && node_store(w->n[x.node].node, 0)->tablets)
            tablets_each(node_store(w->n[x.node].node, 0)->tablets, note_served, &x);
}

static void note_hash(void *ctx, struct tablet *t) {
    struct wnode *n = ctx;
    struct world *w = n->w;
    struct tablet_info info;
    tablet_info(t, &info);
    if (info.empty)
        return;
    uint64_t key = info.id << 40 | info.slot, hash = info.checksum | 1;
    size_t at = (size_t)(hash_u64(key) % HASHES);
    if (w->hash_key[at] == key && w->hash[at] != hash)
        broke(w, "INV-P4: n%u: tablet %llu differs after slot %llu", n->number, (unsigned long long)info.id,
              (unsigned long long)info.slot);
    w->hash_key[at] = key; /* a newer one may push out an older one */
    w->hash[at] = hash;
}

static void client_main(void *arg) {
    struct wnode *n = arg;
    struct world *w = n->w;
    if (!n->node)
        return; /* it ended before this fiber ran */
    struct node_store *s = node_store(n->node, 0);
    while (!w->over && fiber_sleep(s->reactor, rng_range(w->rng, MS, 40 * MS)) == RC_OK) {
        tablets_each(s->tablets, note_hash, n);
        if (!w->table)
            try_table(w, s);
        else if (rng_chance(w->rng, 0.6))
            try_write(w, s);
        else
            try_read(w, n, s);
    }
}

static void operator_main(void *arg) {
    struct wnode *n = arg;
    struct world *w = n->w;
    if (!n->node)
        return;
    struct node_store *s = node_store(n->node, 0);
    while (!w->calm && fiber_sleep(s->reactor, rng_range(w->rng, 100 * MS, 3 * SECOND)) == RC_OK)
        if (w->table && w->acks > 20)
            try_admin(w, s);
}

static void on_ready(void *ctx, struct node *node) {
    struct wnode *n = ctx;
    n->node = node;
    struct reactor *r = node_store(node, 0)->reactor;
    for (int i = 0; i < 3; i++)
        IGNORE(fiber_spawn(r, NULL, FIBER_LARGE, "client", client_main, n)); /* fewer clients */
    IGNORE(fiber_spawn(r, NULL, FIBER_LARGE, "operator", operator_main, n));
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
    bool power = rng_chance(w->rng, 0.5);
    switch (rng_below(w->rng, 6)) {
    case 0:
        if (sim_node_running(n->sim)) {
            w->crashes++;
            n->node = NULL;
            sim_node_crash(n->sim, power ? SIM_POWER : SIM_KILL);
        }
        break;
    case 1:
        if (sim_node_running(n->sim)) {
            w->crashes++;
            sim_node_crash_at_io(n->sim, power ? SIM_POWER : SIM_KILL, 1 + rng_below(w->rng, 100));
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

static uint32_t voters_of(const struct px_config *c) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < c->count; k++)
        n += px_is_voter(&c->member[k]);
    return n;
}

static bool grown(void *ctx) {
    struct world *w = ctx;
    if (!all_serve(w))
        return false;
    size_t led = 0;
    for (int i = 1; i <= NODES && !w->broken[0]; i++) {
        struct tablet *t = tablets_find(node_store(w->n[i].node, 0)->tablets, SYSTEM_USER_TABLET);
        struct tablet_info info;
        if (!t)
            continue;
        tablet_info(t, &info);
        led += info.leads && !info.config.joint && voters_of(&info.config) == NODE_VOTERS;
    }
    return led == 1;
}

/* Every row is led by somebody, and read there as it was acknowledged last. */
static bool all_there(void *ctx) {
    struct world *w = ctx;
    struct served x = {.w = w};
    if (!all_serve(w))
        return false;
    for (x.node = 1; x.node <= NODES; x.node++)
        tablets_each(node_store(w->n[x.node].node, 0)->tablets, note_served, &x);
    for (int k = 0; k < ROWS; k++)
        if (!x.by[k])
            return w->broken[0] != '\0';
    return true;
}

struct tell {
    char text[900];
    size_t at;
    uint32_t node;
};

static void tell_one(void *ctx, struct tablet *t) {
    struct tell *x = ctx;
    struct px_status px;
    replica_status(tablet_replica(t), &px);
    int n = x->at >= sizeof x->text
                ? 0
                : snprintf(x->text + x->at, sizeof x->text - x->at, " n%u:T%llu %s %llu/%llu/%llu", x->node,
                           (unsigned long long)tablet_id(t), px_role_name(px.role), (unsigned long long)px.applied,
                           (unsigned long long)px.commit, (unsigned long long)px.last);
    x->at += n > 0 ? (size_t)n : 0;
}

static void run_world(struct world *w, uint64_t seed, int64_t faults_ns) {
    struct sim_conf conf = simkit_conf(seed);
    struct sim_link link = {.latency_ns = 500000, .jitter_ns = 200000};
    w->sim = sim_new(&conf);
    CHECK(w->sim);
    w->rng = sim_rng(w->sim);
    sim_links_all(w->sim, &link);
    for (uint32_t i = 1; i <= NODES; i++) {
        struct wnode *n = &w->n[i];
        char name[SIM_NAME_BYTES];
        static const char *const addr[] = {"", "n1:7433", "n2:7433", "n3:7433", "n4:7433", "n5:7433"};
        static const char *const region[] = {"", "us", "eu", "ap", "us", "sa"};
        snprintf(name, sizeof name, "n%u", i);
        *n = (struct wnode){.w = w, .number = i};
        n->conf = (struct node_conf){.dir = "data",
                                     .rpc_addr = addr[i],
                                     .bootstrap = i == 1,
                                     .region = region[i],
                                     .stores = 1,
                                     .versions_ns = KEEP_NS,
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
    if (!sim_run_until(w->sim, grown, w, 60 * SECOND))
        broke(w, "not grown after a minute");
    int64_t end = sim_now(w->sim) + faults_ns, next = 0;
    while (sim_now(w->sim) < end && !w->broken[0]) {
        sim_run(w->sim, sim_now(w->sim) + rng_range(w->rng, MS, 20 * MS));
        one_server_each(w);
        if (w->quiet || sim_now(w->sim) < next)
            continue;
        trouble(w);
        next = sim_now(w->sim) + rng_range(w->rng, 50 * MS, 2 * SECOND);
    }
    w->calm = true;
    sim_heal(w->sim);
    bool there = false;
    for (int t = 0; t < 60 && !there && !w->broken[0]; t++) {
        for (int i = 1; i <= NODES; i++) /* a crash that was armed may still strike */
            start(w, &w->n[i]);
        there = sim_run_until(w->sim, all_there, w, sim_now(w->sim) + SECOND);
    }
    sim_run(w->sim, sim_now(w->sim) + 5 * SECOND); /* clients go on reading and writing */
    if (!there) {
        struct tell x = {.at = 0};
        for (x.node = 1; x.node <= NODES; x.node++)
            if (!w->n[x.node].node)
                x.at += (size_t)snprintf(x.text + x.at, sizeof x.text - x.at, " n%u:%s", x.node,
                                         sim_node_running(w->n[x.node].sim) ? "not serving" : "down");
            else
                tablets_each(node_store(w->n[x.node].node, 0)->tablets, tell_one, &x);
        broke(w, "LIVE-1:%s", x.text);
    }
    w->over = true;
}

static void finish(struct world *w) {
    for (int i = 1; i <= NODES; i++)
        w->n[i].node = NULL;
    sim_free(w->sim);
}

static size_t total_acks, total_reads, total_read_only, total_again, total_old, total_splits, total_moves,
    total_crashes;

static void one_seed(uint64_t seed) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    run_world(w, seed, 25 * SECOND);
    OKF(!w->broken[0], "seed %llu: %s", (unsigned long long)seed, w->broken);
    OKF(w->acks > 10, "seed %llu: only %zu writes", (unsigned long long)seed, w->acks);
    total_acks += w->acks;
    total_reads += w->reads;
    total_read_only += w->read_only;
    total_again += w->again;
    total_old += w->old;
    total_splits += w->splits;
    total_moves += w->moves;
    total_crashes += w->crashes;
    finish(w);
    free(w);
}

static void what_was_read_stays_so(void) {
    simkit_seeds("tablet_sim_test", 2, one_seed);
    tap_note("%zu writes, %zu reads (%zu where nobody votes, %zu too old), %zu rows read again, %zu splits, %zu moves, "
             "%zu crashes",
             total_acks, total_reads, total_read_only, total_old, total_again, total_splits, total_moves,
             total_crashes);
    OK(total_splits > 0 && total_moves > 0 && total_again > 0 && total_read_only > 0);
}

/* ---- idle tablets ------------------------------------------------------------------------------------------------------------- */

struct idle {
    struct world *w;
    int64_t lowest; /* safe time, over all replicas */
    size_t followers;
};

static void note_safe(void *ctx, struct tablet *t) {
    struct idle *x = ctx;
    struct tablet_info info;
    tablet_info(t, &info);
    struct px_status px;
    replica_status(tablet_replica(t), &px);
    if (info.id < SYSTEM_USER_TABLET || info.empty || info.leads || px.leaving || px.removed)
        return;
    int64_t safe = tablet_safe_ts(t, (struct mvcc_bytes){NULL, 0}, (struct mvcc_bytes){NULL, 0});
    x->followers++;
    if (safe < x->lowest)
        x->lowest = safe;
}

static struct idle idle_now(struct world *w) {
    struct idle x = {.w = w, .lowest = INT64_MAX};
    for (int i = 1; i <= NODES; i++)
        tablets_each(node_store(w->n[i].node, 0)->tablets, note_safe, &x);
    return x;
}

static uint64_t sent(struct world *w, int i) {
    return counter_get(&tablets_stats(node_store(w->n[i].node, 0)->tablets)->closed_sent);
}

struct old {
    uint64_t slots; /* of all leaders */
    size_t with_history;
};

static void note_old(void *ctx, struct tablet *t) {
    struct old *x = ctx;
    struct tablet_info info;
    tablet_info(t, &info);
    if (info.id < SYSTEM_USER_TABLET || info.empty || !info.leads)
        return;
    x->slots += info.slot;
    x->with_history += mvcc_state(tablet_mvcc(t))->gc_threshold == 0;
}

static struct old old_now(struct world *w) {
    struct old x = {.slots = 0};
    for (int i = 1; i <= NODES; i++)
        tablets_each(node_store(w->n[i].node, 0)->tablets, note_old, &x);
    return x;
}

/* Nobody writes, and followers serve what is older than a fifth of a second all the same; for a few messages a second, whatever
 * the number of tablets. A leader that is cut off closes nothing any more. */
static void followers_of_idle_tablets_are_fresh(void) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    w->quiet = true;
    run_world(w, 77, 8 * SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    w->over = true;
    sim_run(w->sim, sim_now(w->sim) + 2 * SECOND);
    struct idle x = idle_now(w);
    int64_t behind = sim_true_ns(w->sim) - x.lowest;
    OKF(x.followers >= 2, "%zu followers", x.followers);
    OKF(behind < SECOND / 4, "a follower is %.3f s behind", (double)behind / 1e9);
    uint64_t before = 0, after = 0;
    for (int i = 1; i <= NODES; i++)
        before += sent(w, i);
    sim_run(w->sim, sim_now(w->sim) + 10 * SECOND);
    for (int i = 1; i <= NODES; i++)
        after += sent(w, i);
    tap_note("%zu followers, %.0f ms behind, %.1f messages a second", x.followers, (double)behind / 1e6,
             (double)(after - before) / 10);
    OKF(after - before <= 10 * 11 * NODES * (NODES - 1), "%llu messages", (unsigned long long)(after - before));
    /* Versions grow old without a write, and once they are gone nothing is logged any more. */
    sim_run(w->sim, sim_now(w->sim) + 30 * SECOND);
    struct old then = old_now(w);
    sim_run(w->sim, sim_now(w->sim) + 30 * SECOND);
    struct old later = old_now(w);
    OKF(!later.with_history, "%zu tablets keep old versions", later.with_history);
    OKF(then.slots == later.slots, "an idle tablet logs %llu entries", (unsigned long long)(later.slots - then.slots));
    for (int i = 1; i <= NODES; i++) /* everybody from everybody */
        sim_partition(w->sim, 1u << (i - 1), true);
    int64_t cut = sim_true_ns(w->sim);
    sim_run(w->sim, sim_now(w->sim) + SECOND);
    x = idle_now(w);
    OKF(x.lowest <= cut, "a follower that hears nothing is at %.3f s after the cut", (double)(x.lowest - cut) / 1e9);
    finish(w);
    free(w);
}

/* ---- placements ------------------------------------------------------------------------------------------------------------ */

/* All voters of the table's tablet are in one region, as is its leader; it holds nothing else. */
static bool placed(void *ctx) {
    struct world *w = ctx;
    struct buf b;
    bool ok = false;
    buf_init(&b, 0);
    struct mvcc_bytes key = row_key(1, &b);
    for (int i = 1; i <= NODES; i++) {
        struct tablet *t = w->n[i].node ? tablets_find_key(node_store(w->n[i].node, 0)->tablets, key) : NULL;
        struct tablet_info info;
        if (!t)
            continue;
        tablet_info(t, &info);
        if (!info.leads || info.config.joint || info.config.count != 2 || /* nor does it keep a copy elsewhere */
            strcmp(w->n[i].conf.region, "us") != 0)
            continue;
        ok = info.end.n > 0;
        for (uint32_t k = 0; k < info.config.count; k++) {
            uint32_t node = px_store_addr(info.config.member[k].store).node;
            for (int j = 1; j <= NODES; j++)
                if (w->n[j].node && node_number(w->n[j].node) == node && strcmp(w->n[j].conf.region, "us") != 0)
                    ok = false;
        }
    }
    buf_done(&b);
    return ok || w->broken[0];
}

static void place_main(void *arg) {
    struct world *w = arg;
    struct node_store *s = node_store(w->n[2].node, 0);
    Node__Placement p = NODE__PLACEMENT__INIT;
    struct err err = {0};
    char *regions[] = {"us"};
    int64_t deadline = reactor_deadline(s->reactor, 10 * SECOND);
    p.name = "near";
    p.region = p.leader = regions;
    p.n_region = p.n_leader = 1;
    p.voters = 2;
    if (node_placement_set(s, &p, deadline, &err) != RC_INVAL)
        broke(w, "an even number of voters was taken");
    p.voters = 3;
    if (node_place_group(s, TABLE, "near", deadline, &err) != RC_NOTFOUND)
        broke(w, "a placement that does not exist was taken");
    if (node_placement_set(s, &p, deadline, &err) || node_place_group(s, TABLE, "near", deadline, &err))
        broke(w, "%s", err.message);
    w->calm = true;
}

/* Two of four nodes are in us, and three voters are asked for: two are all there can be. The table gets a tablet of its own. */
static void tablets_go_where_they_are_placed(void) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    w->quiet = true;
    run_world(w, 78, SECOND);
    w->over = true;
    sim_run(w->sim, sim_now(w->sim) + SECOND);
    w->calm = false;
    CHECK(fiber_spawn(node_store(w->n[2].node, 0)->reactor, NULL, FIBER_LARGE, "place", place_main, w) == RC_OK);
    bool ok = sim_run_until(w->sim, placed, w, sim_now(w->sim) + 60 * SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    OKF(ok, "the table's tablet is not where it was placed");
    finish(w);
    free(w);
}

/* Tablet 2 has three voters with data, and no store waits for anything. */
static bool whole_again(void *ctx) {
    struct world *w = ctx;
    size_t with_data = 0, lost = 0;
    uint32_t voters = 0;
    if (!all_serve(w))
        return false;
    for (int i = 1; i <= NODES; i++) {
        struct tablets *ts = node_store(w->n[i].node, 0)->tablets;
        struct tablet *t = tablets_find(ts, SYSTEM_USER_TABLET);
        struct tablet_info info;
        lost += (size_t)gauge_get(&tablets_stats(ts)->lost);
        if (!t)
            continue;
        struct px_status px;
        tablet_info(t, &info);
        replica_status(tablet_replica(t), &px);
        with_data += !info.empty;
        if (info.leads && !info.config.joint && !px.config_pending)
            voters += voters_of(&info.config);
    }
    return voters == NODE_VOTERS && with_data >= NODE_VOTERS && !lost;
}

/* ---- a leader that is deposed while it is waited for ------------------------------------------------------------------------ */

struct patient {
    struct world *w;
    struct node_store *s;
    bool read_over, write_over;
    enum rc read_rc, write_rc;
};

/* Without a deadline, as a SQL statement without a timeout is. */
static void patient_read(void *arg) {
    struct patient *p = arg;
    static const struct fragment f = {.id = 78, .sql = "SELECT c1, c2 FROM {2000} ORDER BY c1"};
    struct rows rows = {.count = 0};
    struct fragment_result result;
    struct tablet *t = tablets_find(p->s->tablets, SYSTEM_USER_TABLET);
    struct tablet_read how = {.mode = TABLET_READ_STRONG,
                              .generation = mvcc_state(tablet_mvcc(t))->generation,
                              .run = {.fragment = &f, .on_batch = on_batch, .ctx = &rows}};
    int64_t ts;
    p->read_rc = tablet_read(p->s->tablets, SYSTEM_USER_TABLET, &how, DEADLINE_NONE, &ts, &result, NULL);
    p->read_over = true;
}

static void patient_write(void *arg) {
    struct patient *p = arg;
    struct value v[2] = {value_int(1), value_int(++p->w->next_value)};
    struct mvcc_mutation m = {TABLE, false, 2, v};
    int64_t ts;
    struct tablet *t = tablets_find(p->s->tablets, SYSTEM_USER_TABLET);
    p->write_rc = tablet_write(p->s->tablets, SYSTEM_USER_TABLET, mvcc_state(tablet_mvcc(t))->generation, &m, 1,
                               DEADLINE_NONE, &ts, NULL);
    p->write_over = true;
}

static uint32_t leader_of_users(struct world *w) {
    for (uint32_t i = 1; i <= NODES; i++) {
        struct tablet *t = tablets_find(node_store(w->n[i].node, 0)->tablets, SYSTEM_USER_TABLET);
        if (t && tablet_replica(t) && replica_leads(tablet_replica(t)))
            return i;
    }
    return 0;
}

struct behind {
    struct world *w;
    uint32_t node; /* that has to catch up */
};

static bool has_caught_up(void *ctx) {
    struct behind *b = ctx;
    uint32_t leader = leader_of_users(b->w);
    struct tablet *here = tablets_find(node_store(b->w->n[b->node].node, 0)->tablets, SYSTEM_USER_TABLET);
    struct tablet *there =
        leader ? tablets_find(node_store(b->w->n[leader].node, 0)->tablets, SYSTEM_USER_TABLET) : NULL;
    return here && there && tablet_replica(here) && leader != b->node &&
           replica_applied(tablet_replica(here)) + 50 >= replica_applied(tablet_replica(there));
}

/* One line is cut so that the leader is heard and hears nothing. What was begun there waits for entries that are never chosen;
 * the log of the others goes on, and is cut. After the healing the deposed leader needs a snapshot, and those who wait there
 * must not keep it out: its install waits until nobody uses the tablet. */
static void who_waits_at_a_deposed_leader_does_not_keep_it_behind(void) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    w->quiet = true;
    run_world(w, 80, 3 * SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    OK(sim_run_until(w->sim, whole_again, w, sim_now(w->sim) + 60 * SECOND)); /* what was being moved has arrived */
    sim_run(w->sim, sim_now(w->sim) + SECOND);
    uint32_t old = leader_of_users(w);
    CHECK(old);
    struct patient p = {.w = w, .s = node_store(w->n[old].node, 0)};
    for (uint32_t i = 1; i <= NODES; i++)
        if (i != old)
            sim_link(w->n[i].sim, w->n[old].sim)->cut = true;
    CHECK(fiber_spawn(p.s->reactor, NULL, FIBER_LARGE, "patient write", patient_write, &p) == RC_OK);
    sim_run(w->sim, sim_now(w->sim) + 10 * MS);
    CHECK(fiber_spawn(p.s->reactor, NULL, FIBER_LARGE, "patient read", patient_read, &p) == RC_OK);
    w->over = false;
    for (uint32_t i = 1; i <= NODES; i++)
        for (int k = 0; k < 2 && i != old; k++)
            CHECK(fiber_spawn(node_store(w->n[i].node, 0)->reactor, NULL, FIBER_LARGE, "client", client_main,
                              &w->n[i]) == RC_OK);
    uint64_t loaded = counter_get(&replicas_stats(tablets_replicas(p.s->tablets))->snapshots_loaded);
    sim_run(w->sim, sim_now(w->sim) + 70 * SECOND); /* longer than two checkpoints are apart */
    OKF(leader_of_users(w) && leader_of_users(w) != old, "n%u leads", leader_of_users(w));
    OKF(p.read_over && p.read_rc == RC_NOT_LEADER, "the read at the deposed leader: %s, %s",
        p.read_over ? "over" : "waits", rc_name(p.read_rc));
    OK(!p.write_over);
    sim_heal(w->sim);
    struct behind b = {w, old};
    OKF(sim_run_until(w->sim, has_caught_up, &b, sim_now(w->sim) + 20 * SECOND), "n%u stays behind", old);
    loaded = counter_get(&replicas_stats(tablets_replicas(p.s->tablets))->snapshots_loaded) - loaded;
    OKF(loaded > 0, "it needed no snapshot: the log is still whole, and this test shows nothing");
    OKF(p.write_over && p.write_rc != RC_OK, "the write at the deposed leader: %s, %s", p.write_over ? "over" : "waits",
        rc_name(p.write_rc));
    OKF(!w->broken[0], "%s", w->broken);
    w->over = true;
    sim_run(w->sim, sim_now(w->sim) + 3 * SECOND);
    finish(w);
    free(w);
}

/* ---- damage ---------------------------------------------------------------------------------------------------------------- */

struct damage {
    struct wnode *n;
    char path[200];
    int64_t bytes;
};

static void find_file(void *ctx, const char *path, int64_t bytes) {
    struct damage *d = ctx;
    const char *name = strstr(path, "/T2.");
    if (!name || strcmp(path + strlen(path) - 3, ".db") != 0)
        return;
    snprintf(d->path, sizeof d->path, "%s", path);
    d->bytes = bytes;
}

static void flip_start(struct wnode *n, const char *path) {
    for (int64_t off = 0; off < 64; off++)
        IGNORE(sim_disk_flip(n->sim, path, off, (unsigned)off % 8)); /* as far as the file goes */
}

/* A file that SQLite cannot read is named, put aside, and the group gets another replica. Seen at the start, and in the middle of
 * work. */
static void damaged_files_are_replaced(void) {
    struct world *w = calloc(1, sizeof *w);
    struct damage d = {0};
    CHECK(w);
    w->quiet = true;
    run_world(w, 79, SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    OK(sim_run_until(w->sim, whole_again, w, sim_now(w->sim) + 60 * SECOND));
    for (int i = 2; i <= NODES && !d.path[0]; i++) {
        d.n = &w->n[i];
        sim_disk_each(d.n->sim, find_file, &d);
    }
    OK(d.path[0] && d.bytes > 0);
    char wal[210];
    snprintf(wal, sizeof wal, "%s-wal", d.path);
    d.n->node = NULL;
    sim_node_crash(d.n->sim, SIM_KILL);
    flip_start(d.n, d.path);
    flip_start(d.n, wal); /* it has the first page too */
    start(w, d.n);
    sim_run(w->sim, sim_now(w->sim) + SECOND / 2);
    bool ok = sim_run_until(w->sim, whole_again, w, sim_now(w->sim) + 120 * SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    if (!ok) {
        struct tell x = {.at = 0};
        for (x.node = 1; x.node <= NODES; x.node++)
            if (w->n[x.node].node)
                tablets_each(node_store(w->n[x.node].node, 0)->tablets, tell_one, &x);
        tap_note("%s", x.text);
    }
    OKF(ok, "the damaged replica was not replaced");
    char damaged[220];
    snprintf(damaged, sizeof damaged, "%s.damaged", d.path);
    OK(sim_disk_copy(d.n->sim, damaged, NULL, 0) < 0);
    finish(w);
    free(w);
}

/* A disk that is full: nothing that was acknowledged is lost, nothing is wrong, and with room again all go on. */
static void full_disks_recover(void) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    w->quiet = true;
    run_world(w, 80, SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    w->over = false;
    for (int i = 1; i <= NODES && !w->broken[0]; i += 2) {
        struct wnode *n = &w->n[i];
        int64_t left = 0;
        for (int k = 1; k <= NODES; k++) /* clients anew: those of before have ended */
            if (w->n[k].node)
                IGNORE(fiber_spawn(node_store(w->n[k].node, 0)->reactor, NULL, FIBER_LARGE, "client", client_main,
                                   &w->n[k]));
        CHECK(env_disk_free(sim_node_env(n->sim, 0), "data", &left, NULL) == RC_OK);
        sim_disk_faults(n->sim)->capacity_bytes = (INT64_C(1) << 40) - left + 50000; /* it had a terabyte */
        sim_run(w->sim, sim_now(w->sim) + 15 * SECOND);
        sim_disk_faults(n->sim)->capacity_bytes = 0;
        size_t acks = w->acks;
        start(w, n); /* it may have given up */
        bool there = sim_run_until(w->sim, all_there, w, sim_now(w->sim) + 60 * SECOND);
        sim_run(w->sim, sim_now(w->sim) + 5 * SECOND);
        OKF(there && w->acks > acks, "n%d: %zu writes after its disk had room again", i, w->acks - acks);
    }
    OKF(!w->broken[0], "%s", w->broken);
    finish(w);
    free(w);
}

static void flip_log(void *ctx, const char *path, int64_t bytes) {
    struct wnode *n = ctx;
    if (!strstr(path, "/store0/log/") || bytes < 10000)
        return;
    for (int64_t off = 5000; off < 5008; off++)
        IGNORE(sim_disk_flip(n->sim, path, off, 3)); /* where there is something it is damage in the middle */
}

static void find_mark(void *ctx, const char *path, int64_t bytes) {
    (void)bytes;
    *(bool *)ctx |= strstr(path, "log-lost") != NULL;
}

static bool has_vote(const struct wnode *n) {
    struct tablet *t = tablets_find(node_store(n->node, 0)->tablets, SYSTEM_USER_TABLET);
    return t && votes(tablet_replica(t), node_store(n->node, 0));
}

static bool has_lost(void *ctx) {
    struct wnode *n = ctx;
    return n->node && node_store(n->node, 0)->tablets &&
           gauge_get(&tablets_stats(node_store(n->node, 0)->tablets)->lost) > 0;
}

/* A log that is damaged in the middle: the store gives it up with all that it voted for, and gets its tablets anew. */
static void a_damaged_log_is_given_up(void) {
    struct world *w = calloc(1, sizeof *w);
    bool mark = false;
    CHECK(w);
    w->quiet = true;
    run_world(w, 82, SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    OK(sim_run_until(w->sim, whole_again, w, sim_now(w->sim) + 60 * SECOND));
    struct wnode *n = &w->n[2]; /* it has a vote, and so a log */
    while (n < &w->n[NODES] && !has_vote(n))
        n++;
    n->node = NULL;
    sim_node_crash(n->sim, SIM_KILL);
    sim_disk_each(n->sim, flip_log, n);
    start(w, n);
    OKF(sim_run_until(w->sim, has_lost, n, sim_now(w->sim) + 5 * SECOND), "nothing was lost: the damage was not seen");
    OK(sim_run_until(w->sim, whole_again, w, sim_now(w->sim) + 120 * SECOND));
    OKF(!w->broken[0], "%s", w->broken);
    sim_disk_each(n->sim, find_mark, &mark);
    OK(!mark);
    finish(w);
    free(w);
}

/* Half a minute back while it was down: it does not serve before its clock is past what its data have seen. */
static void a_clock_that_went_back_waits(void) {
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    w->quiet = true;
    run_world(w, 81, SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    struct wnode *n = &w->n[3];
    OK(sim_run_until(w->sim, whole_again, w, sim_now(w->sim) + 60 * SECOND));
    n->node = NULL;
    sim_node_crash(n->sim, SIM_KILL);
    sim_truth(n->sim, 0)->lie_ns = -30 * SECOND;
    start(w, n);
    sim_run(w->sim, sim_now(w->sim) + 10 * SECOND);
    OK(!n->node && sim_node_running(n->sim));
    OK(sim_run_until(w->sim, all_serve, w, sim_now(w->sim) + 30 * SECOND));
    OKF(!w->broken[0], "%s", w->broken);
    finish(w);
    free(w);
}

int main(void) {
    RUN(a_damaged_log_is_given_up);
    RUN(a_clock_that_went_back_waits);
    RUN(full_disks_recover);
    RUN(who_waits_at_a_deposed_leader_does_not_keep_it_behind);
    RUN(damaged_files_are_replaced);
    RUN(tablets_go_where_they_are_placed);
    RUN(followers_of_idle_tablets_are_fresh);
    RUN(what_was_read_stays_so);
    return tap_done();
}
