/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/run/counts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shard/store/rowbatch.h"
#include "truetime/base/map.h"

#define AGAIN_NS INT64_C(10000000000)
#define STALENESS_NS INT64_C(10000000000)
#define DEADLINE_NS INT64_C(30000000000)

enum { TIMES_AS_LONG = 100, AT_ONCE = 1 };

struct count {
    struct map_node node;
    uint64_t table;
    double rows;
    int64_t again_ns; /* not before */
};

struct counts {
    struct node_store *store;
    struct txn_client *txns;
    struct map by_table;
    struct fiber_group fibers;
    bool stopped;
};

struct counting {
    struct counts *c;
    struct table *table; /* counted */
};

enum rc counts_new(struct node_store *s, struct txn_client *txns, struct counts **ret) {
    struct counts *c = calloc(1, sizeof *c);
    if (!c)
        return RC_NOMEM;
    c->store = s;
    c->txns = txns;
    map_init(&c->by_table);
    fiber_group_init(&c->fibers);
    *ret = c;
    return RC_OK;
}

void counts_stop(struct counts *c) {
    if (!c)
        return;
    c->stopped = true;
    fiber_group_cancel(&c->fibers);
}

bool counts_idle(const struct counts *c) {
    return !c || c->fibers.count == 0;
}

void counts_free(struct counts *c) {
    if (!c)
        return;
    CHECK(counts_idle(c));
    map_for_each(it, &c->by_table)
        free(container_of(it, struct count, node));
    map_done(&c->by_table);
    free(c);
}

static struct count *find(const struct counts *c, uint64_t table) {
    for (struct map_node *n = map_first(&c->by_table, hash_u64(table)); n; n = map_next(n))
        if (container_of(n, struct count, node)->table == table)
            return container_of(n, struct count, node);
    return NULL;
}

/* NULL: no memory, or there are too many. */
static struct count *get(struct counts *c, uint64_t table) {
    struct count *k = find(c, table);
    if (k || c->by_table.count >= COUNTS_TABLES_MAX || !(k = calloc(1, sizeof *k)))
        return k;
    k->table = table;
    k->rows = -1;
    map_put(&c->by_table, &k->node, hash_u64(table));
    return k;
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static enum rc add_batch(struct mvcc_bytes rows, double *sum, struct err *err) {
    struct rowbatch_reader r;
    struct value v;
    enum rc rc = rowbatch_open(&r, rows.p, rows.n, err);
    if (!rc && r.n_cols != 1)
        rc = err_set(err, RC_CORRUPT, "a count of %u columns", r.n_cols);
    while (!rc && !(rc = rowbatch_next(&r, &v, err)))
        *sum += v.kind == VALUE_INT ? (double)v.i : 0;
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

static enum rc scan(struct txn *x, const struct table *t, double *sum, struct err *err) {
    struct txn_table version = {t->id, t->version};
    struct txn_scan *s = NULL;
    struct span span;
    struct arena a;
    struct buf key;
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM {%" PRIu64 "}", t->id);
    struct fragment f = {.sql = sql};
    arena_init(&a, 0);
    buf_init(&key, 0);
    enum rc rc = table_key_put(&key, t, NULL, 0, err);
    if (!rc && span_prefix(&a, key_of_buf(&key), &span))
        rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    struct txn_scan_conf how = {.fragment = &f, .tables = &version, .n_tables = 1, .spans = &span, .n_spans = 1};
    if (!rc)
        rc = txn_scan_open(x, &how, &s, err);
    for (struct txn_batch b; !rc;) {
        rc = txn_scan_next(s, &b, err);
        if (rc || (b.end && b.rows.n == 0))
            break;
        rc = add_batch(b.rows, sum, err);
        if (b.end)
            break;
    }
    txn_scan_close(s);
    buf_done(&key);
    arena_done(&a);
    return rc;
}

enum rc counts_take(struct counts *c, const struct table *t, enum txn_mode mode, int64_t deadline, struct err *err) {
    struct txn_options o = {.mode = mode, .staleness_ns = STALENESS_NS, .deadline = deadline, .label = "count rows"};
    struct txn *x = NULL;
    double rows = 0;
    int64_t began = reactor_now(c->store->reactor);
    enum rc rc = txn_begin(c->txns, &o, &x, err);
    if (!rc)
        rc = scan(x, t, &rows, err);
    txn_free(x);
    struct count *k = get(c, t->id);
    int64_t now = reactor_now(c->store->reactor), rest = (now - began) * TIMES_AS_LONG;
    if (!k)
        return rc;
    if (!rc)
        k->rows = rows;
    k->again_ns = now + (rest > AGAIN_NS ? rest : AGAIN_NS);
    return rc;
}

static void counting_main(void *arg) {
    struct counting *g = arg;
    struct err err = {0};
    /* A guess that fails is asked for again. */
    IGNORE(counts_take(g->c, g->table, TXN_READ_MAX, reactor_deadline(g->c->store->reactor, DEADLINE_NS), &err));
    table_unref(g->table);
    free(g);
}

double counts_known(const struct counts *c, uint64_t table) {
    const struct count *k = c ? find(c, table) : NULL;
    return k ? k->rows : -1;
}

double counts_rows(struct counts *c, const struct table *t) {
    struct count *k = get(c, t->id);
    int64_t now = reactor_now(c->store->reactor);
    if (!k || c->stopped || c->fibers.count >= AT_ONCE || now < k->again_ns)
        return k ? k->rows : -1;
    struct counting *g = calloc(1, sizeof *g);
    k->again_ns = now + AGAIN_NS;
    if (!g)
        return k->rows;
    *g = (struct counting){c, table_ref((struct table *)(uintptr_t)t)};
    if (fiber_spawn(c->store->reactor, &c->fibers, FIBER_LARGE, "count rows", counting_main, g) != RC_OK) {
        table_unref(g->table);
        free(g);
    }
    return k->rows;
}
