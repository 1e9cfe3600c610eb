/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/txnworld.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/system.h"
#include "shard/store/rowbatch.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"

static const int64_t SECOND = 1000000000, MS = 1000000;

void txnworld_broke(struct txnworld *w, const char *fmt, ...) {
    va_list ap;
    if (w->broken[0])
        return;
    va_start(ap, fmt);
    vsnprintf(w->broken, sizeof w->broken, fmt, ap);
    va_end(ap);
}

struct node_store *txnworld_store(struct txnworld_node *n) {
    return node_store(n->node, (uint16_t)(n->conf.stores - 1));
}

int64_t txnworld_now(const struct txnworld *w) {
    return sim_true_ns(w->sim);
}

/* ---- what clients do --------------------------------------------------------------------------------------------------- */

static struct table *table_of(struct txnworld *w, int64_t key) {
    return w->conf.two && key % 2 ? w->other : w->table;
}

static enum rc key_span(const struct table *t, int64_t first, int64_t last, struct arena *a, struct span *ret) {
    struct value v = value_int(first), v2 = value_int(last);
    struct buf b, b2;
    struct span s1, s2;
    buf_init(&b, 0);
    buf_init(&b2, 0);
    CHECK(table_key_put(&b, t, &v, 1, NULL) == RC_OK && table_key_put(&b2, t, &v2, 1, NULL) == RC_OK);
    CHECK(span_point(a, key_of_buf(&b), &s1) == RC_OK && span_point(a, key_of_buf(&b2), &s2) == RC_OK);
    enum rc rc = span_copy(a, (struct span){s1.start, s2.end}, ret);
    buf_done(&b);
    buf_done(&b2);
    return rc;
}

struct rows {
    struct hist_pair *pair;
    size_t max, n;
    char *text; /* of the last one */
    size_t text_bytes;
};

static void take_rows(struct mvcc_bytes rows, struct rows *to) {
    struct rowbatch_reader r;
    struct value v[3];
    struct err err;
    CHECK(rowbatch_open(&r, rows.p, rows.n, &err) == RC_OK);
    while (r.at < r.n_rows) {
        CHECK(rowbatch_next(&r, v, &err) == RC_OK);
        CHECK(to->n < to->max);
        to->pair[to->n++] = (struct hist_pair){(uint64_t)v[0].i, v[1].i};
        if (to->text && v[2].bytes < to->text_bytes) {
            memcpy(to->text, v[2].p, v[2].bytes);
            to->text[v[2].bytes] = '\0';
        }
    }
}

static enum rc scan(const struct table *table, struct txn *t, int64_t first, int64_t last, enum lock_mode lock,
                    struct rows *to, struct err *err) {
    static const struct fragment fs[2] = {
        {.id = 4711, .sql = "SELECT c1, c2, c3 FROM {2000} WHERE c1 BETWEEN ?1 AND ?2 ORDER BY c1", .n_params = 2},
        {.id = 4713, .sql = "SELECT c1, c2, c3 FROM {600} WHERE c1 BETWEEN ?1 AND ?2 ORDER BY c1", .n_params = 2}};
    struct value params[2] = {value_int(first), value_int(last)};
    struct txn_table named = {table->id, table->version};
    struct span span;
    struct arena a;
    struct txn_scan *s;
    struct txn_batch batch = {.end = false};
    arena_init(&a, 0);
    CHECK(key_span(table, first, last, &a, &span) == RC_OK);
    struct txn_scan_conf how = {.fragment = &fs[table->id == TXNWORLD_OTHER],
                                .params = params,
                                .tables = &named,
                                .n_tables = 1,
                                .spans = &span,
                                .n_spans = 1,
                                .lock = lock,
                                .ordered = true};
    enum rc rc = txn_scan_open(t, &how, &s, err);
    if (!rc) {
        while (!(rc = txn_scan_next(s, &batch, err)) && !batch.end)
            take_rows(batch.rows, to);
        txn_scan_close(s);
    }
    arena_done(&a);
    return rc;
}

static int by_key(const void *x, const void *y) {
    const struct hist_pair *a = x, *b = y;
    return a->key < b->key ? -1 : a->key > b->key;
}

enum rc txnworld_range(struct txnworld *w, struct txn *t, int64_t first, int64_t last, struct hist_pair *ret,
                       size_t max, size_t *ret_n, struct err *err) {
    struct rows rows = {.pair = ret, .max = max};
    enum rc rc = scan(w->table, t, first, last, LOCK_SHARED, &rows, err);
    if (!rc && w->conf.two)
        rc = scan(w->other, t, first, last, LOCK_SHARED, &rows, err);
    qsort(ret, rows.n, sizeof *ret, by_key);
    *ret_n = rows.n;
    return rc;
}

enum rc txnworld_get(struct txnworld *w, struct txn *t, int64_t key, enum lock_mode lock, int64_t *ret_value,
                     struct err *err) {
    struct hist_pair p = {0, 0};
    struct rows rows = {.pair = &p, .max = 1};
    enum rc rc = scan(table_of(w, key), t, key, key, lock, &rows, err);
    *ret_value = rows.n ? p.value : 0;
    return rc;
}

enum rc txnworld_get_text(struct txnworld *w, struct txn *t, int64_t key, enum lock_mode lock, char *ret, size_t bytes,
                          struct err *err) {
    struct hist_pair p = {0, 0};
    struct rows rows = {.pair = &p, .max = 1, .text = ret, .text_bytes = bytes};
    ret[0] = '\0';
    return scan(table_of(w, key), t, key, key, lock, &rows, err);
}

enum rc txnworld_put_text(struct txnworld *w, struct txn *t, int64_t key, const char *text, struct err *err) {
    struct value v[3] = {value_int(key), value_int(0), value_text(text, strlen(text))};
    struct txn_write wr = {.kind = TXN_PUT, .table = table_of(w, key), .values = v, .n = 3};
    return txn_write(t, &wr, 1, NULL, err);
}

struct txn_write txnworld_row(struct txnworld *w, enum txn_write_kind kind, struct value v[3], int64_t key,
                              int64_t value) {
    v[0] = value_int(key);
    v[1] = value_int(value);
    v[2] = value_text("row", 3);
    return (struct txn_write){.kind = kind, .table = table_of(w, key), .values = v, .n = kind == TXN_DELETE ? 1 : 3};
}

enum rc txnworld_put(struct txnworld *w, struct txn *t, int64_t key, int64_t value, struct err *err) {
    struct value v[3];
    struct txn_write wr = txnworld_row(w, TXN_PUT, v, key, value);
    return txn_write(t, &wr, 1, NULL, err);
}

static void resign(void *ctx, struct tablet *t) {
    (void)ctx;
    replica_resign(tablet_replica(t), "the test wants another leader");
}

/* As planned: with a Release that says what was promised (N-3). */
static void hand_over(struct txnworld_node *n, uint64_t id) {
    struct node_store *s = node_store(n->node, 0);
    struct tablet *t = tablets_find(s->tablets, id);
    uint32_t to = 1 + (uint32_t)rng_below(n->w->rng, (uint64_t)n->w->conf.nodes);
    if (t && replica_leads(tablet_replica(t)))
        IGNORE(replica_transfer(tablet_replica(t), px_store_of((struct store_addr){to, 0}),
                                reactor_deadline(s->reactor, 2 * SECOND), NULL)); /* it may not be possible now */
}

void txnworld_duties(struct txnworld_node *n) {
    if (n->give_up && n->node && rng_chance(n->w->rng, 0.5)) {
        tablets_each(node_store(n->node, 0)->tablets, resign, NULL);
    } else if (n->give_up && n->node) {
        for (uint64_t id = SYSTEM_TABLET; id <= SYSTEM_USER_TABLET && n->node; id++)
            hand_over(n, id);
    }
    n->give_up = false;
    if (!n->split || !n->node)
        return;
    n->split = false;
    struct node_store *s = node_store(n->node, 0);
    struct value v = value_int((int64_t)rng_below(n->w->rng, (uint64_t)n->w->conf.split_below));
    struct buf b;
    uint64_t right;
    struct err err = {0};
    buf_init(&b, 0);
    CHECK(table_key_put(&b, n->w->table, &v, 1, NULL) == RC_OK);
    if (node_tablet_split(s, 0, (struct mvcc_bytes){b.data, b.len}, reactor_deadline(s->reactor, 5 * SECOND), &right,
                          &err) == RC_OK)
        n->w->splits++;
    buf_done(&b);
}

/* ---- making the world -------------------------------------------------------------------------------------------------- */

static void make_table(struct txnworld *w, struct node_store *s) {
    struct txn_client *c = txn_client_of(s);
    struct txn_options o = {.mode = TXN_READ_WRITE, .deadline = reactor_deadline(s->reactor, 5 * SECOND)};
    struct txn *t;
    struct err err = {0};
    enum rc rc = txn_begin(c, &o, &t, &err);
    if (!rc) {
        rc = txn_schema(t, w->table, false, &err);
        if (!rc && w->conf.two)
            rc = txn_schema(t, w->other, false, &err);
        if (!rc)
            rc = txn_commit(t, NULL, &err);
        txn_free(t);
    }
    if (!rc || rc == RC_STALE)
        w->table_made = true;
}

static void client_main(void *arg) {
    struct txnworld_node *n = arg;
    struct txnworld *w = n->w;
    if (!n->node)
        return; /* it ended before this fiber ran */
    struct node_store *s = txnworld_store(n);
    bool first = n->number == 1 && n->started++ == 0;
    uint32_t session = ++w->sessions;
    while (first && !w->table_made && fiber_sleep(s->reactor, 50 * MS) == RC_OK)
        make_table(w, s);
    while (!w->go)
        if (fiber_sleep(s->reactor, 50 * MS) != RC_OK)
            return;
    w->conf.client(n, txn_client_of(s), session);
}

static void on_post(struct env_post *p) {
    struct txnworld_node *n = container_of(p, struct txnworld_node, post);
    for (int i = 0; i < n->w->conf.clients && n->node; i++)
        IGNORE(fiber_spawn(txnworld_store(n)->reactor, NULL, FIBER_LARGE, "client", client_main, n)); /* fewer */
}

static void on_ready(void *ctx, struct node *node) {
    struct txnworld_node *n = ctx;
    n->node = node;
    n->post.fn = on_post;
    if (n->conf.stores == 1)
        on_post(&n->post);
    else
        env_post(txnworld_store(n)->env, &n->post);
}

static void on_failed(void *ctx, struct node *node, enum rc rc, const struct err *err) {
    struct txnworld_node *n = ctx;
    (void)node;
    txnworld_broke(n->w, "n%u failed: %s: %s", n->number, rc_name(rc), err->message);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct txnworld_node *n = arg;
    n->node = NULL;
    n->started = n->number == 1 && n->w->table_made ? 1 : n->started;
    return node_program.boot(stores, count, &n->conf, ret_state, err);
}

static void stop(void *state, uint16_t store) {
    ((struct txnworld_node *)node_conf(state)->ctx)->node = NULL; /* the world looks at it no more */
    node_program.stop(state, store);
}

static bool stopped(void *state, uint16_t store) {
    return node_program.stopped(state, store);
}

static void done(void *state) {
    node_program.done(state);
}

static const struct program program = {boot, stop, stopped, done};

static void start(struct txnworld *w, struct txnworld_node *n) {
    struct err err = {0};
    if (!sim_node_running(n->sim) && sim_node_start(n->sim, &err))
        txnworld_broke(w, "n%u does not start: %s", n->number, err.message);
}

static void start_all(struct txnworld *w) {
    for (int i = 1; i <= w->conf.nodes; i++)
        start(w, &w->n[i]);
}

static struct table *new_table(uint64_t id) {
    struct table *t;
    struct table_col cols[3] = {{.id = 1, .col = col_of(COL_INT8), .not_null = true, .missing = value_null()},
                                {.id = 2, .col = col_of(COL_INT8), .missing = value_null()},
                                {.id = 3, .col = col_of(COL_TEXT), .missing = value_null()}};
    struct table_part key = {0};
    struct table from = {.id = id, .group = id, .version = 1, .n_cols = 3, .n_key = 1, .cols = cols, .key = &key};
    CHECK(table_new(&from, &t, NULL) == RC_OK);
    return t;
}

struct txnworld *txnworld_new(uint64_t seed, const struct txnworld_conf *conf) {
    static const char *const addr[] = {"", "n1:7433", "n2:7433", "n3:7433", "n4:7433", "n5:7433"};
    static const char *const region[] = {"", "us", "eu", "ap", "us", "eu"};
    struct txnworld *w = calloc(1, sizeof *w);
    struct sim_conf sc = simkit_conf(seed);
    CHECK(w);
    w->conf = *conf;
    w->history = hist_new();
    w->sim = sim_new(&sc);
    CHECK(w->sim);
    w->rng = sim_rng(w->sim);
    struct sim_link link = {.latency_ns = conf->latency_ns ? conf->latency_ns : 500000, .jitter_ns = 200000};
    sim_links_all(w->sim, &link);
    w->table = new_table(TXNWORLD_TABLE);
    w->other = new_table(TXNWORLD_OTHER);
    for (int i = 1; i <= conf->nodes; i++) {
        struct txnworld_node *n = &w->n[i];
        char name[SIM_NAME_BYTES];
        snprintf(name, sizeof name, "n%d", i);
        *n = (struct txnworld_node){.w = w, .number = (uint32_t)i};
        txn_upper_init(&n->upper, NULL);
        n->conf = (struct node_conf){.dir = "data",
                                     .rpc_addr = addr[i],
                                     .bootstrap = i == 1,
                                     .region = conf->region ? conf->region[i] : region[i],
                                     .stores = conf->stores ? conf->stores : 1,
                                     .repair_after_ns = conf->repair_after_ns,
                                     .upper = &n->upper,
                                     .on_ready = on_ready,
                                     .on_failed = on_failed,
                                     .ctx = n};
        if (i > 1) {
            n->conf.join[0] = addr[1];
            n->conf.joins = 1;
        }
        CHECK(tt_spec_parse("sim;max_eps=200ms", &n->conf.clock, NULL) == RC_OK);
        n->sim = sim_node_new(w->sim, name, n->conf.stores, &program, n);
        start(w, n);
    }
    return w;
}

static bool all_serve(void *ctx) {
    struct txnworld *w = ctx;
    for (int i = 1; i <= w->conf.nodes; i++)
        if (!w->n[i].node || !sim_node_running(w->n[i].sim) || !node_serving(w->n[i].node))
            return w->broken[0] != '\0';
    return true;
}

static bool votes(struct tablet *t, const struct tablet_info *info) {
    for (uint32_t i = 0; i < info->config.count; i++)
        if (info->config.member[i].replica == replica_id(tablet_replica(t)))
            return px_is_voter(&info->config.member[i]);
    return false;
}

/* Voters everywhere, and the table. */
static bool all_grown(void *ctx) {
    struct txnworld *w = ctx;
    uint32_t voters = w->conf.nodes < NODE_VOTERS ? (uint32_t)w->conf.nodes : NODE_VOTERS, found = 0;
    if (!all_serve(w) || !w->table_made)
        return w->broken[0] != '\0';
    for (int i = 1; i <= w->conf.nodes; i++) {
        for (uint64_t id = SYSTEM_TABLET; id <= SYSTEM_USER_TABLET; id++) {
            struct tablet *t = tablets_find(node_store(w->n[i].node, 0)->tablets, id);
            struct tablet_info info;
            if (!t)
                continue;
            tablet_info(t, &info);
            found += !info.empty && !info.config.joint && info.config.count >= voters && votes(t, &info);
        }
    }
    return found >= 2 * voters;
}

void txnworld_ready(struct txnworld *w) {
    if (!sim_run_until(w->sim, all_grown, w, 60 * SECOND))
        txnworld_broke(w, "not grown after a minute: table=%d", w->table_made);
}

uint64_t txnworld_replaced(const struct txnworld *w) {
    uint64_t sum = 0;
    for (int i = 1; i <= w->conf.nodes; i++)
        for (const struct metric *m = w->n[i].node ? node_store(w->n[i].node, 0)->env->metrics.first : NULL; m;
             m = m->next)
            if (strcmp(m->name, "meridian_node_voters_replaced_total") == 0)
                sum += counter_get(m->value);
    return sum;
}

static void trouble(struct txnworld *w) {
    struct txnworld_node *n = &w->n[1 + rng_below(w->rng, (uint64_t)w->conf.nodes)];
    switch (rng_below(w->rng, 5)) {
    case 0:
    case 1:
        if (w->conf.crashes && sim_node_running(n->sim)) {
            w->crashes++;
            enum sim_crash how = rng_chance(w->rng, 0.5) ? SIM_KILL : SIM_POWER;
            if (rng_chance(w->rng, 0.5)) {
                n->node = NULL;
                sim_node_crash(n->sim, how);
            } else {
                sim_node_crash_at_io(n->sim, how, 1 + rng_below(w->rng, 60));
            }
        }
        break;
    case 2:
        if (w->conf.transfers && n->node && rng_chance(w->rng, 0.5))
            n->give_up = true;
        else if (w->conf.partitions)
            sim_partition(w->sim, 1u << sim_node_id(n->sim), rng_chance(w->rng, 0.5));
        break;
    case 3:
        sim_heal(w->sim);
        break;
    default:
        start_all(w);
    }
}

void txnworld_trouble(struct txnworld *w, int64_t ns) {
    int64_t end = sim_now(w->sim) + ns;
    int asked = 0;
    w->go = true;
    while (sim_now(w->sim) < end && !w->broken[0]) {
        sim_run(w->sim, sim_now(w->sim) + rng_range(w->rng, 50 * MS, 2 * SECOND));
        if (asked < w->conf.splits) {
            w->n[1 + rng_below(w->rng, (uint64_t)w->conf.nodes)].split = true;
            asked++;
        }
        if (w->conf.crashes || w->conf.partitions || w->conf.transfers)
            trouble(w);
    }
}

static bool goes_on(void *ctx) {
    struct txnworld *w = ctx;
    return w->broken[0] || w->committed > w->committed_before;
}

void txnworld_restart(struct txnworld *w) {
    bool serve = false;
    for (int t = 0; t < 60 && !serve && !w->broken[0]; t++) {
        start_all(w); /* a crash that was armed may still strike */
        serve = sim_run_until(w->sim, all_serve, w, sim_now(w->sim) + SECOND);
    }
    if (!serve)
        txnworld_broke(w, "LIVE-1: not all serve a minute after the last fault");
}

void txnworld_heal(struct txnworld *w) {
    sim_heal(w->sim);
    for (int i = 1; i <= w->conf.nodes;
         i++) /* no crash that was armed strikes later: nobody would start that node again */
        sim_node_crash_at_io(w->n[i].sim, SIM_KILL, UINT64_C(1) << 40);
    txnworld_restart(w);
    w->committed_before = w->committed;
    sim_run(w->sim, sim_now(w->sim) + 3 * SECOND);
    /* An answer that the simulator loses costs who asked its deadline, and whoever waits for its locks as well. */
    if (!w->broken[0] && !sim_run_until(w->sim, goes_on, w, sim_now(w->sim) + 60 * SECOND))
        txnworld_broke(w, "LIVE-1: nothing is committed any more after the last fault");
    w->over = true;
    sim_run(w->sim, sim_now(w->sim) + 15 * SECOND);
}

void txnworld_free(struct txnworld *w) {
    for (int i = 1; i <= w->conf.nodes; i++)
        w->n[i].node = NULL;
    w->over = true;
    sim_free(w->sim);
    hist_free(w->history);
    table_unref(w->table);
    table_unref(w->other);
    free(w);
}
