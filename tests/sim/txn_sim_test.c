/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transaction client on whole simulated nodes, without faults: what each call of client.h promises, on one node and on
 * several.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/directory.h"
#include "shard/node/system.h"
#include "shard/store/rowbatch.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/lib/txnworld.h"

enum { PAIRS_MAX = 4000 };
static const int64_t SECOND = 1000000000;

static struct txn *begin(struct txn_client *c, enum txn_mode mode) {
    struct txn_options o = {.mode = mode};
    struct txn *t;
    struct err err = {0};
    enum rc rc = txn_begin(c, &o, &t, &err);
    OKF(!rc, "begin: %s", err.message);
    CHECK(!rc);
    return t;
}

#define GOOD(call)                                                                                                     \
    do {                                                                                                               \
        struct err err_ = {0}, *e = &err_;                                                                             \
        enum rc rc_ = (call);                                                                                          \
        OKF(rc_ == RC_OK, "%s: %s %s", #call, rc_name(rc_), err_.message);                                             \
    } while (0)
#define BAD(want, call)                                                                                                \
    do {                                                                                                               \
        struct err err_ = {0}, *e = &err_;                                                                             \
        enum rc rc_ = (call);                                                                                          \
        OKF(rc_ == (want), "%s: %s instead of %s: %s", #call, rc_name(rc_), rc_name(want), err_.message);              \
    } while (0)

static enum rc put(struct txnworld *w, struct txn *t, enum txn_write_kind kind, int64_t key, int64_t value,
                   struct err *err) {
    struct value v[3];
    struct txn_write wr = txnworld_row(w, kind, v, key, value);
    size_t conflict = 99;
    enum rc rc = txn_write(t, &wr, 1, &conflict, err);
    if (rc == RC_EXISTS)
        EQ_INT(conflict, 0);
    return rc;
}

static enum rc get(struct txnworld *w, struct txn *t, int64_t key, int64_t *ret, struct err *err) {
    return txnworld_get(w, t, key, LOCK_SHARED, ret, err);
}

/* Every cause together is the time that was spent in calls, and the commit's entry says where its part went. */
static void times_add_up(const struct txn *t) {
    const struct txn_times *x = txn_times(t);
    struct txn_stage stage[96];
    int64_t sum = 0;
    bool paxos = false;
    for (int i = 0; i < TXN_CAUSES; i++)
        sum += x->ns[i];
    OKF(sum >= x->total_ns - 20000 && sum <= x->total_ns + 20000 + x->total_ns / 50, "%lld of %lld ns have a cause",
        (long long)sum, (long long)x->total_ns);
    OK(x->ns[TXN_CAUSE_FSYNC] + x->ns[TXN_CAUSE_QUORUM] > 0);
    size_t more, n = txn_stages(t, stage, 96, &more);
    OK(n > 0);
    EQ_INT(more, 0);
    for (size_t i = 0; i < n; i++) {
        const struct txn_stage *s = &stage[i], *up = s->parent ? &stage[s->parent - 1] : NULL;
        OKF(s->parent <= i && s->to_ns >= s->from_ns, "stage %zu: %s", i, txn_did_name(s->did));
        if (up)
            OKF(s->from_ns >= up->from_ns && s->to_ns <= up->to_ns, "%s [%lld, %lld] lies within %s [%lld, %lld]",
                txn_did_name(s->did), (long long)s->from_ns, (long long)s->to_ns, txn_did_name(up->did),
                (long long)up->from_ns, (long long)up->to_ns);
        paxos |= s->did == TXN_DID_PAXOS;
    }
    OK(paxos);
}

/* C2: a transaction sees what it wrote, and nobody else does before it commits; then everybody. */
static void writes_and_reads(struct txnworld *w, struct txn_client *c) {
    int64_t v, ts = 0;
    struct txn *t = begin(c, TXN_READ_WRITE);
    GOOD(get(w, t, 1, &v, e));
    EQ_INT(v, 0);
    GOOD(put(w, t, TXN_INSERT, 1, 10, e));
    GOOD(put(w, t, TXN_PUT, 2, 20, e));
    GOOD(get(w, t, 1, &v, e));
    EQ_INT(v, 10);
    GOOD(get(w, t, 2, &v, e));
    EQ_INT(v, 20);
    struct txn *r = begin(c, TXN_READ_STRONG);
    GOOD(get(w, r, 1, &v, e));
    EQ_INT(v, 0);
    GOOD(txn_commit(r, NULL, e));
    txn_free(r);
    GOOD(txn_commit(t, &ts, e));
    OK(ts > 0 && txn_phase(t) == TXN_DONE);
    OKF(ts < txnworld_now(w), "its time has passed");
    times_add_up(t);
    txn_free(t);
    r = begin(c, TXN_READ_STRONG);
    GOOD(get(w, r, 2, &v, e));
    EQ_INT(v, 20);
    OK(txn_read_ts(r) > ts);
    txn_free(r);
}

/* INSERT meets the row that is there, its own too; nothing of the call remains, the transaction goes on. */
static void conflicts(struct txnworld *w, struct txn_client *c) {
    int64_t v;
    struct txn *t = begin(c, TXN_READ_WRITE);
    BAD(RC_EXISTS, put(w, t, TXN_INSERT, 1, 11, e));
    GOOD(put(w, t, TXN_INSERT, 3, 30, e));
    BAD(RC_EXISTS, put(w, t, TXN_INSERT, 3, 31, e));
    struct value a[3], b[3], d[3];
    struct txn_write two[3] = {txnworld_row(w, TXN_PUT, a, 4, 40), txnworld_row(w, TXN_INSERT, b, 5, 50),
                               txnworld_row(w, TXN_INSERT, d, 2, 22)};
    size_t conflict = 0;
    BAD(RC_EXISTS, txn_write(t, two, 3, &conflict, e));
    EQ_INT(conflict, 2);
    GOOD(get(w, t, 4, &v, e));
    EQ_INT(v, 0);
    GOOD(get(w, t, 5, &v, e));
    EQ_INT(v, 0);
    GOOD(put(w, t, TXN_DELETE, 2, 0, e));
    GOOD(put(w, t, TXN_INSERT, 2, 23, e));
    GOOD(txn_commit(t, NULL, e));
    txn_free(t);
    t = begin(c, TXN_READ_WRITE);
    GOOD(get(w, t, 3, &v, e));
    EQ_INT(v, 30);
    GOOD(get(w, t, 2, &v, e));
    EQ_INT(v, 23);
    txn_rollback(t);
    txn_free(t);
}

static void savepoints(struct txnworld *w, struct txn_client *c) {
    int64_t v;
    struct txn *t = begin(c, TXN_READ_WRITE);
    GOOD(put(w, t, TXN_PUT, 6, 60, e));
    size_t one = txn_savepoint(t);
    GOOD(put(w, t, TXN_PUT, 6, 61, e));
    GOOD(get(w, t, 6, &v, e)); /* the tablet has it now */
    EQ_INT(v, 61);
    GOOD(put(w, t, TXN_PUT, 7, 70, e));
    GOOD(txn_rollback_to(t, one, e));
    GOOD(get(w, t, 6, &v, e));
    EQ_INT(v, 60);
    GOOD(get(w, t, 7, &v, e));
    EQ_INT(v, 0);
    GOOD(put(w, t, TXN_PUT, 7, 71, e));
    GOOD(get(w, t, 7, &v, e));
    GOOD(txn_rollback_to(t, one, e)); /* goes along with the commit */
    GOOD(txn_commit(t, NULL, e));
    txn_free(t);
    t = begin(c, TXN_READ_STRONG);
    GOOD(get(w, t, 6, &v, e));
    EQ_INT(v, 60);
    GOOD(get(w, t, 7, &v, e));
    EQ_INT(v, 0);
    txn_free(t);
}

/* One request that writes and commits; an INSERT in it that meets a row leaves the transaction open. */
static void write_commit(struct txnworld *w, struct txn_client *c) {
    struct value a[3];
    int64_t v, ts = 0;
    size_t conflict = 7;
    struct txn *t = begin(c, TXN_READ_WRITE);
    struct txn_write wr = txnworld_row(w, TXN_INSERT, a, 6, 1);
    BAD(RC_EXISTS, txn_write_commit(t, &wr, 1, &conflict, &ts, e));
    EQ_INT(conflict, 0);
    OK(txn_phase(t) == TXN_OPEN);
    wr = txnworld_row(w, TXN_INSERT, a, 8, 80);
    GOOD(txn_write_commit(t, &wr, 1, &conflict, &ts, e));
    OK(ts > 0);
    txn_free(t);
    t = begin(c, TXN_READ_EXACT);
    GOOD(get(w, t, 8, &v, e));
    EQ_INT(v, 80);
    txn_free(t);
    struct txn_options o = {.mode = TXN_READ_AT, .ts = ts - 1};
    GOOD(txn_begin(c, &o, &t, e));
    GOOD(get(w, t, 8, &v, e));
    EQ_INT(v, 0);
    txn_free(t);
    o.ts = ts;
    GOOD(txn_begin(c, &o, &t, e));
    GOOD(get(w, t, 8, &v, e));
    EQ_INT(v, 80);
    txn_free(t);
}

/* K-1: the older one wins, the younger one is told who. */
static void wounds(struct txnworld *w, struct txn_client *c) {
    int64_t v;
    struct txn *older = begin(c, TXN_READ_WRITE), *younger = begin(c, TXN_READ_WRITE);
    GOOD(put(w, younger, TXN_PUT, 9, 91, e));
    GOOD(get(w, younger, 9, &v, e));
    GOOD(txnworld_get(w, older, 9, LOCK_EXCLUSIVE, &v, e)); /* waits until the younger one has been idle for a while */
    EQ_INT(v, 0);
    struct err err = {0};
    enum rc rc = txn_commit(younger, NULL, &err);
    OKF(rc == RC_ABORTED, "%s %s", rc_name(rc), err.message);
    OKF(err.message[0] != '\0', "it says why: %s", err.message);
    GOOD(put(w, older, TXN_PUT, 9, 90, e));
    GOOD(txn_commit(older, NULL, e));
    struct txn_age age = txn_ref(younger)->age;
    GOOD(txn_restart(younger, e));
    OK(txn_age_cmp(&age, &txn_ref(younger)->age) == 0);
    GOOD(get(w, younger, 9, &v, e));
    EQ_INT(v, 90);
    GOOD(txn_commit(younger, NULL, e));
    txn_free(older);
    txn_free(younger);
}

/* A lock that is not granted in time is an error of the statement. */
static void lock_timeouts(struct txnworld *w, struct txn_client *c) {
    int64_t v;
    struct txn *holder = begin(c, TXN_READ_WRITE), *waiter = begin(c, TXN_READ_WRITE);
    GOOD(txnworld_get(w, holder, 9, LOCK_EXCLUSIVE, &v, e));
    txn_set_deadline(waiter, INT64_MAX, 30000000);
    struct err err = {0};
    enum rc rc = get(w, waiter, 9, &v, &err);
    OKF(rc == RC_TIMEOUT, "%s %s", rc_name(rc), err.message);
    OKF(strstr(err.detail, "held"), "it says who: %s", err.detail);
    EQ_STR(err_sqlstate(&err), "55P03");
    GOOD(txn_commit(holder, NULL, e));
    GOOD(get(w, waiter, 9, &v, e));
    GOOD(txn_commit(waiter, NULL, e));
    txn_free(holder);
    txn_free(waiter);
}

/* Many rows: they come in batches, bounded, and a scan that is closed early stops. */
static void long_scans(struct txnworld *w, struct txn_client *c) {
    static struct hist_pair p[PAIRS_MAX];
    size_t n = 0;
    struct txn *t = begin(c, TXN_READ_WRITE);
    for (int64_t k = 1000; k < 4000; k++)
        GOOD(put(w, t, TXN_PUT, k, k * 2, e));
    GOOD(txn_commit(t, NULL, e));
    txn_free(t);
    t = begin(c, TXN_READ_WRITE);
    GOOD(txnworld_range(w, t, 1000, 3999, p, PAIRS_MAX, &n, e));
    EQ_INT(n, 3000);
    for (size_t i = 0; i < n; i++)
        if (p[i].key != 1000 + i || p[i].value != (int64_t)(2000 + 2 * i))
            OKF(0, "row %zu is %llu %lld", i, (unsigned long long)p[i].key, (long long)p[i].value);
    GOOD(txn_commit(t, NULL, e));
    txn_free(t);
    /* 3 MB: more than is kept, in a read-write transaction that goes on beside it */
    static const struct fragment wide = {
        .id = 4712, .sql = "SELECT c1, c2, hex(zeroblob(500)) FROM {2000} WHERE c1 >= 1000 ORDER BY c1"};
    struct txn_table table = {TXNWORLD_TABLE, 1};
    struct span all = span_all();
    struct buf b;
    struct value k1 = value_int(1000);
    struct arena a;
    arena_init(&a, 0);
    buf_init(&b, 0);
    CHECK(table_key_put(&b, w->table, &k1, 1, NULL) == RC_OK);
    all.start = key_of_buf(&b);
    struct txn_scan_conf how = {
        .fragment = &wide, .tables = &table, .n_tables = 1, .spans = &all, .n_spans = 1, .ordered = true};
    struct txn_scan *s;
    struct txn_batch batch = {.end = false};
    for (int round = 0; round < 2; round++) {
        t = begin(c, TXN_READ_WRITE);
        uint64_t rows = 0;
        GOOD(txn_scan_open(t, &how, &s, e));
        for (int i = 0; round == 0 || i < 3; i++) {
            GOOD(txn_scan_next(s, &batch, e));
            if (batch.end)
                break;
            struct rowbatch_reader r;
            CHECK(rowbatch_open(&r, batch.rows.p, batch.rows.n, NULL) == RC_OK);
            rows += r.n_rows;
            if (i == 1)
                GOOD(put(w, t, TXN_INSERT, 5000 + round, 1, e));
        }
        if (round == 0)
            EQ_INT(rows, 3000);
        OK(txn_scan_stats(s)->bytes < (round == 0 ? 4 << 20 : 3 << 19));
        txn_scan_close(s);
        GOOD(txn_commit(t, NULL, e));
        txn_free(t);
    }
    buf_done(&b);
    arena_done(&a);
}

/* More than an entry of the log holds, on both tablets; then one that is given up. Nothing of them is left in sections. */
static enum rc no_piece(const char *name, struct mvcc_bytes bytes, void *ctx, struct err *err) {
    (void)bytes, (void)ctx;
    return err_set(err, RC_INTERNAL, "section %s is still there", name);
}

static void large(struct txnworld *w, struct txn_client *c, struct reactor *r) {
    static char text[8000];
    memset(text, 'x', sizeof text - 1);
    struct hist_pair *p = calloc(2 * PAIRS_MAX, sizeof *p);
    size_t n = 0;
    for (int round = 0; round < 2; round++) {
        struct txn *t = begin(c, TXN_READ_WRITE);
        for (int64_t k = 10000; k < 11000; k++)
            GOOD(txnworld_put_text(w, t, k + round * 5000, text, e));
        if (round == 0)
            GOOD(txn_commit(t, NULL, e));
        else
            txn_rollback(t);
        txn_free(t);
    }
    struct txn *t = begin(c, TXN_READ_STRONG);
    GOOD(txnworld_range(w, t, 10000, 19999, p, 2 * PAIRS_MAX, &n, e));
    EQ_INT(n, 1000);
    GOOD(txn_commit(t, NULL, e));
    txn_free(t);
    free(p);
    CHECK(fiber_sleep(r, 2 * SECOND) == RC_OK);
    for (int i = 1; i <= w->conf.nodes; i++) {
        struct tablet *tab = tablets_find(node_store(w->n[i].node, 0)->tablets, 2);
        GOOD(mvcc_sections(tablet_mvcc(tab), "txn/w/", no_piece, NULL, e));
    }
}

/* H-4: a later version; who plans with the old one is told before anything is done. */
static void versions(struct txnworld *w, struct txn_client *c) {
    struct table_col cols[4];
    struct table from = *w->table, *later;
    int64_t v;
    memcpy(cols, w->table->cols, 3 * sizeof cols[0]);
    cols[3] = (struct table_col){.id = 4, .col = col_of(COL_INT8), .missing = value_int(7)};
    from.cols = cols;
    from.n_cols = 4;
    from.version = 2;
    CHECK(table_new(&from, &later, NULL) == RC_OK);
    struct txn *t = begin(c, TXN_READ_WRITE), *other = begin(c, TXN_READ_WRITE);
    GOOD(txn_schema(t, later, false, e));
    GOOD(txn_commit(t, NULL, e));
    txn_free(t);
    BAD(RC_STALE, get(w, other, 1, &v, e));
    struct table *old = w->table;
    w->table = later;
    GOOD(get(w, other, 1, &v, e));
    EQ_INT(v, 10);
    GOOD(txn_commit(other, NULL, e));
    txn_free(other);
    table_unref(old);
    /* the world's rows have three values: back is not possible, so the table goes */
    t = begin(c, TXN_READ_WRITE);
    GOOD(txn_schema(t, later, true, e));
    GOOD(txn_commit(t, NULL, e));
    txn_free(t);
    t = begin(c, TXN_READ_WRITE);
    BAD(RC_STALE, get(w, t, 1, &v, e));
    txn_free(t);
}

/* A read at a time that the replica here knows asks nobody else, whoever leads. */
static void follower_reads(struct txnworld *w, struct txn_client *c, struct reactor *r) {
    int64_t v, ts = 0;
    struct txn *t = begin(c, TXN_READ_WRITE);
    GOOD(put(w, t, TXN_PUT, 20, 2, e));
    GOOD(txn_commit(t, &ts, e));
    txn_free(t);
    CHECK(fiber_sleep(r, SECOND / 2) == RC_OK);
    const struct txn_client_stats *st = txn_client_stats(c);
    uint64_t remote = counter_get(&st->requests_remote), followers = counter_get(&st->reads_follower);
    struct txn_options o = {.mode = TXN_READ_AT, .ts = ts};
    GOOD(txn_begin(c, &o, &t, e));
    GOOD(get(w, t, 20, &v, e));
    EQ_INT(v, 2);
    GOOD(txn_commit(t, NULL, e));
    txn_free(t);
    if (w->conf.stores == 1) /* else the replica here is another store's */
        EQ_INT(counter_get(&st->requests_remote), remote);
    if (*(uint32_t *)w->conf.ctx == 2)
        EQ_INT(counter_get(&st->reads_follower), followers + 1);
}

/* N-15 */
static void tokens(struct txnworld *w, struct txn_client *c) {
    struct txn_options o = {.mode = TXN_READ_WRITE, .token = {{77, 1, 5}, txnworld_now(w) + SECOND}};
    struct txn *t;
    struct txn_token never = {{77, 1, 6}, txnworld_now(w) + SECOND};
    enum txn_verdict verdict = TXN_UNDECIDED;
    int64_t ts = 0, committed = 0;
    GOOD(txn_begin(c, &o, &t, e));
    GOOD(put(w, t, TXN_PUT, 12, 1, e));
    GOOD(txn_commit(t, &committed, e));
    txn_free(t);
    int64_t deadline = reactor_deadline(rpc_reactor(txnworld_store(&w->n[*(uint32_t *)w->conf.ctx])->rpc), 10 * SECOND);
    GOOD(txn_status(c, &o.token, deadline, &verdict, &ts, e));
    OK(verdict == TXN_COMMITTED && ts == committed);
    GOOD(txn_status(c, &never, deadline, &verdict, &ts, e));
    OK(verdict == TXN_UNDECIDED);
    CHECK(fiber_sleep(txnworld_store(&w->n[*(uint32_t *)w->conf.ctx])->reactor, 2 * SECOND) == RC_OK);
    GOOD(txn_status(c, &never, deadline, &verdict, &ts, e));
    OKF(verdict == TXN_ABORTED, "%s", txn_verdict_name(verdict));
    /* A token that was given away, and a commit that was never asked for. */
    o = (struct txn_options){.mode = TXN_READ_WRITE};
    GOOD(txn_begin(c, &o, &t, e));
    GOOD(put(w, t, TXN_PUT, 12, 2, e));
    struct txn_token given = *txn_token_give(t, SECOND);
    txn_free(t);
    CHECK(fiber_sleep(txnworld_store(&w->n[*(uint32_t *)w->conf.ctx])->reactor, 3 * SECOND) == RC_OK);
    deadline = reactor_deadline(rpc_reactor(txnworld_store(&w->n[*(uint32_t *)w->conf.ctx])->rpc), 10 * SECOND);
    GOOD(txn_status(c, &given, deadline, &verdict, &ts, e));
    OKF(verdict == TXN_ABORTED, "%s", txn_verdict_name(verdict));
    /* ... and one whose commit comes too late. */
    GOOD(txn_begin(c, &o, &t, e));
    GOOD(put(w, t, TXN_PUT, 12, 2, e));
    (void)txn_token_give(t, SECOND);
    CHECK(fiber_sleep(txnworld_store(&w->n[*(uint32_t *)w->conf.ctx])->reactor, 2 * SECOND) == RC_OK);
    BAD(RC_ABORTED, txn_commit(t, &committed, e));
    txn_free(t);
    struct buf b;
    struct txn_token back;
    o.token = given;
    buf_init(&b, 0);
    txn_token_print(&o.token, &b);
    GOOD(txn_token_parse((const char *)b.data, b.len, &back, e));
    OK(txn_id_eq(&back.id, &o.token.id) && back.deadline == o.token.deadline);
    BAD(RC_INVAL, txn_token_parse("3.0:7", 5, &back, e));
    buf_done(&b);
}

static bool finished;

static void all(struct txnworld_node *n, struct txn_client *c, uint32_t session) {
    struct txnworld *w = n->w;
    (void)session;
    if (n->number != *(uint32_t *)w->conf.ctx)
        return;
    writes_and_reads(w, c);
    conflicts(w, c);
    savepoints(w, c);
    write_commit(w, c);
    wounds(w, c);
    lock_timeouts(w, c);
    follower_reads(w, c, txnworld_store(n)->reactor);
    tokens(w, c);
    long_scans(w, c);
    large(w, c, txnworld_store(n)->reactor);
    versions(w, c);
    finished = true;
}

static void run(int nodes, uint32_t from, uint16_t stores) {
    struct txnworld_conf conf = {.nodes = nodes, .stores = stores, .clients = 1, .client = all, .ctx = &from};
    struct txnworld *w = txnworld_new(1, &conf);
    finished = false;
    txnworld_ready(w);
    txnworld_trouble(w, 60 * SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    OK(finished);
    txnworld_free(w);
}

static void on_one_node(void) {
    run(1, 1, 1);
}

/* From the node that leads. */
static void on_three_nodes(void) {
    run(3, 1, 1);
}

/* From one that does not: every request travels. */
static void from_afar(void) {
    run(3, 2, 1);
}

/* From a store of the same node that has no tablet: requests go through mailboxes. */
static void from_a_sibling(void) {
    run(1, 1, 2);
}

/* ---- a gateway whose own replica lags ------------------------------------------------------------------------------------------ */

struct lagging {
    int phase; /* 1: rows are there; 2: node 3's disk hangs; 3: the tablet was split */
};

static void until_phase(struct txnworld_node *n, int phase) {
    struct lagging *l = n->w->conf.ctx;
    while (l->phase < phase && !n->w->over)
        CHECK(fiber_sleep(txnworld_store(n)->reactor, SECOND / 100) == RC_OK);
}

static void split_at(struct txnworld_node *n, int64_t key) {
    struct node_store *s = node_store(n->node, 0);
    struct txnworld *w = n->w;
    struct value v = value_int(key);
    struct buf b;
    struct err err = {0};
    uint64_t right;
    buf_init(&b, 0);
    CHECK(table_key_put(&b, w->table, &v, 1, NULL) == RC_OK);
    enum rc rc = node_tablet_split(s, 0, (struct mvcc_bytes){b.data, b.len}, reactor_deadline(s->reactor, 20 * SECOND),
                                   &right, &err);
    OKF(rc == RC_OK, "%s", err_message(&err));
    buf_done(&b);
}

static void lagging_client(struct txnworld_node *n, struct txn_client *c, uint32_t session) {
    struct txnworld *w = n->w;
    struct lagging *l = w->conf.ctx;
    int64_t ts;
    (void)session;
    if (n->number == 1) {
        struct txn *t = begin(c, TXN_READ_WRITE);
        for (int64_t key = 0; key < 100; key++)
            GOOD(put(w, t, TXN_PUT, key, key, e));
        GOOD(txn_commit(t, &ts, e));
        txn_free(t);
        CHECK(fiber_sleep(txnworld_store(n)->reactor, 2 * SECOND) == RC_OK);
        l->phase = 1;
        until_phase(n, 2);
        split_at(n, 50);
        n->give_up = true;
        txnworld_duties(n); /* node 2 leads now */
        CHECK(fiber_sleep(txnworld_store(n)->reactor, 6 * SECOND) == RC_OK);
        l->phase = 3;
    } else if (n->number == 3) {
        until_phase(n, 1);
        sim_disk_faults(n->sim)->hang_until_ns = sim_now(w->sim) + 300 * SECOND;
        l->phase = 2;
        until_phase(n, 3);
        int64_t began = sim_now(w->sim), value = 0;
        struct txn *t = begin(c, TXN_READ_WRITE);
        directory_forget(txnworld_store(n)->directory,
                         SYSTEM_USER_TABLET); /* as each tablet that has moved is forgotten */
        GOOD(get(w, t, 20, &value, e));
        EQ_INT(value, 20);
        GOOD(put(w, t, TXN_PUT, 30, 31, e));
        GOOD(txn_commit(t, &ts, e));
        txn_free(t);
        OKF(sim_now(w->sim) - began < 10 * SECOND, "%lld ms", (long long)((sim_now(w->sim) - began) / 1000000));
        finished = true;
    }
}

/* Its replica takes nothing any more, and goes on naming a tablet that was split: the gateway asks others. */
static void by_a_replica_that_lags(void) {
    struct lagging l = {0};
    struct txnworld_conf conf = {.nodes = 3, .clients = 1, .client = lagging_client, .ctx = &l};
    struct txnworld *w = txnworld_new(1, &conf);
    finished = false;
    txnworld_ready(w);
    txnworld_trouble(w, 100 * SECOND);
    OKF(!w->broken[0], "%s", w->broken);
    OK(finished);
    txnworld_free(w);
}

int main(void) {
    RUN(by_a_replica_that_lags);
    RUN(on_one_node);
    RUN(on_three_nodes);
    RUN(from_afar);
    RUN(from_a_sibling);
    return tap_done();
}
