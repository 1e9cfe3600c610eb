/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn_local.c: own writes lie in an overlay for each tablet; a commit applies them as one slot of each.
 *
 * The tablets are made at the first use, so boundaries may be told before. Scans are answered at once, when they are opened.
 */
#include "tests/lib/txn_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/fragment.h"
#include "shard/store/span.h"
#include "shard/store/vfs.h"
#include "tests/lib/tap.h"
#include "truetime/base/buf.h"
#include "txn/overlay.h"

struct local_tablet {
    struct buf start, end;
    struct mvcc *m;
    int64_t slot;
};

struct txn_client {
    struct reactor *r;
    char name[64];
    struct vfs *v;
    struct mvcc_store *s;
    struct local_tablet tablet[LOCAL_TABLETS_MAX];
    size_t n;
    bool made;
    int64_t ts;
    struct node_store store;
    struct local_stats stats;
};

struct local {
    struct txn_client c;
};

struct mark {
    size_t at[LOCAL_TABLETS_MAX];
};

struct txn {
    struct txn_client *c;
    struct txn_overlay *own[LOCAL_TABLETS_MAX];
    struct mark *marks;
    size_t n_marks;
    enum txn_phase phase;
    int64_t commit_ts;
    struct txn_times times;
};

struct txn_scan {
    struct txn *t;
    struct buf *batch;
    uint64_t *tablet;
    size_t n, at, max;
    uint64_t rows_max, rows;
    uint64_t running;
    struct txn_scan_stats stats;
};

/* ---- the world --------------------------------------------------------------------------------------------------- */

struct local *local_new(struct reactor *r, const char *name, const struct ext *ext, size_t n) {
    struct local *l = calloc(1, sizeof *l);
    CHECK(l);
    struct txn_client *c = &l->c;
    c->r = r;
    c->ts = 100;
    c->n = 1;
    snprintf(c->name, sizeof c->name, "%s", name);
    CHECK(vfs_new(reactor_env(r), &c->v) == RC_OK && mvcc_store_new(r, c->v, NULL, &c->s) == RC_OK);
    for (size_t i = 0; i < n; i++)
        CHECK(mvcc_store_add_ext(c->s, ext[i].on_open, ext[i].ctx) == RC_OK);
    c->store = (struct node_store){.env = reactor_env(r), .reactor = r, .vfs = c->v, .mvcc = c->s};
    return l;
}

void local_free(struct local *l) {
    for (size_t i = 0; i < l->c.n; i++) {
        mvcc_close(l->c.tablet[i].m);
        buf_done(&l->c.tablet[i].start);
        buf_done(&l->c.tablet[i].end);
    }
    mvcc_store_free(l->c.s);
    vfs_free(l->c.v);
    free(l);
}

static struct key start_of(const struct local_tablet *t) {
    return key_of_buf(&t->start);
}

void local_split(struct local *l, const void *key, size_t bytes) {
    struct txn_client *c = &l->c;
    CHECK(!c->made && c->n < LOCAL_TABLETS_MAX);
    size_t at = 1;
    while (at < c->n && key_compare(start_of(&c->tablet[at]), key_of(key, bytes)) < 0)
        at++;
    memmove(&c->tablet[at + 1], &c->tablet[at], (c->n - at) * sizeof *c->tablet);
    c->tablet[at] = (struct local_tablet){.slot = 0};
    buf_init(&c->tablet[at].start, 0);
    buf_put(&c->tablet[at].start, key, bytes);
    c->n++;
}

static struct mvcc_bytes bytes_of(const struct buf *b) {
    return (struct mvcc_bytes){b->data, b->len};
}

static void make_tablets(struct txn_client *c) {
    struct err err = {0};
    if (c->made)
        return;
    c->made = true;
    for (size_t i = 0; i < c->n; i++) {
        struct local_tablet *t = &c->tablet[i];
        char path[300];
        if (i + 1 < c->n)
            buf_put(&t->end, c->tablet[i + 1].start.data, c->tablet[i + 1].start.len);
        snprintf(path, sizeof path, "%s/%s.%zu", tap_dir(), c->name, i);
        struct mvcc_state state = {
            .tablet = i + 1, .floor = 10, .start = bytes_of(&t->start), .end = bytes_of(&t->end)};
        enum rc rc = mvcc_create(c->s, path, &state, &err);
        if (!rc)
            rc = mvcc_open(c->s, path, &t->m, &err);
        CHECKF(rc == RC_OK, "%s", err_message(&err));
    }
}

static void slot_begin(struct txn_client *c, struct local_tablet *t) {
    struct err err = {0};
    enum rc rc = mvcc_slot_begin(t->m, ++t->slot, (struct mvcc_bytes){"b", 1}, c->ts, &err);
    CHECKF(rc == RC_OK, "%s", err_message(&err));
}

void local_table(struct local *l, const struct table *table) {
    struct txn_client *c = &l->c;
    make_tablets(c);
    for (size_t i = 0; i < c->n; i++) {
        struct err err = {0};
        slot_begin(c, &c->tablet[i]);
        enum rc rc = mvcc_put_table(c->tablet[i].m, table, &err);
        if (!rc)
            rc = mvcc_slot_end(c->tablet[i].m, &err);
        CHECKF(rc == RC_OK, "%s", err_message(&err));
    }
}

struct txn_client *local_client(struct local *l) {
    return &l->c;
}

struct node_store *local_store(struct local *l) {
    return &l->c.store;
}

const struct local_stats *local_stats(const struct local *l) {
    return &l->c.stats;
}

/* ---- a transaction ----------------------------------------------------------------------------------------------- */

static void forget(struct txn *t) {
    for (size_t i = 0; i < LOCAL_TABLETS_MAX; i++) {
        txn_overlay_free(t->own[i]);
        t->own[i] = NULL;
    }
}

enum rc txn_begin(struct txn_client *c, const struct txn_options *o, struct txn **ret, struct err *err) {
    (void)o, (void)err;
    make_tablets(c);
    struct txn *t = calloc(1, sizeof *t);
    CHECK(t);
    t->c = c;
    *ret = t;
    return RC_OK;
}

enum rc txn_restart(struct txn *t, struct err *err) {
    (void)err;
    forget(t);
    t->phase = TXN_OPEN;
    return RC_OK;
}

void txn_free(struct txn *t) {
    if (!t)
        return;
    forget(t);
    free(t->marks);
    free(t);
}

enum txn_phase txn_phase(const struct txn *t) {
    return t->phase;
}

const struct txn_times *txn_times(const struct txn *t) {
    return &t->times;
}

void txn_statement(struct txn *t) {
    (void)t;
}

const char *txn_cause_name(enum txn_cause c) {
    return c == TXN_CAUSE_SQLITE ? "sqlite" : "other";
}

static struct txn_overlay *own_of(struct txn *t, size_t i) {
    if (!t->own[i])
        CHECK(txn_overlay_new(0, 7, &t->own[i]) == RC_OK);
    return t->own[i];
}

static struct span range_of(const struct txn_client *c, size_t i) {
    return (struct span){start_of(&c->tablet[i]), key_of_buf(&c->tablet[i].end)};
}

static bool touches(const struct txn_client *c, size_t i, const struct span *spans, size_t n) {
    for (size_t k = 0; k < n; k++)
        if (span_overlaps(range_of(c, i), spans[k]))
            return true;
    return false;
}

static size_t touched(const struct txn_client *c, const struct span *spans, size_t n) {
    size_t found = 0;
    for (size_t i = 0; i < c->n; i++)
        found += touches(c, i, spans, n);
    return found;
}

enum rc txn_on_one_tablet(struct txn *t, const struct span *spans, size_t n, bool *ret, struct err *err) {
    (void)err;
    t->c->stats.on_one_tablet++;
    *ret = touched(t->c, spans, n) <= 1;
    return RC_OK;
}

/* ---- scans ------------------------------------------------------------------------------------------------------- */

static enum rc on_batch(struct mvcc_bytes b, bool last, void *ctx, struct err *err) {
    struct txn_scan *s = ctx;
    (void)last, (void)err;
    if (s->n == s->max) {
        s->max = s->max ? s->max * 2 : 8;
        s->batch = realloc(s->batch, s->max * sizeof *s->batch);
        s->tablet = realloc(s->tablet, s->max * sizeof *s->tablet);
        CHECK(s->batch && s->tablet);
    }
    buf_init(&s->batch[s->n], 0);
    buf_put(&s->batch[s->n], b.p, b.n);
    s->tablet[s->n++] = s->running;
    s->stats.batches++;
    s->stats.bytes += b.n;
    return RC_OK;
}

static enum rc run_on(struct txn_scan *s, const struct txn_scan_conf *how, size_t i, struct err *err) {
    struct txn *t = s->t;
    struct fragment_result result = {0};
    struct fragment_run run = {.fragment = how->fragment,
                               .params = how->params,
                               .ts = FRAGMENT_LATEST,
                               .overlay = t->own[i] ? txn_overlay_base(t->own[i]) : NULL,
                               .batch_rows = 3,
                               .on_batch = on_batch,
                               .ctx = s};
    s->running = i + 1;
    if (how->rows_max)
        run.rows_max = how->ordered ? how->rows_max - s->rows : how->rows_max;
    enum rc rc = fragment_run(t->c->tablet[i].m, &run, &result, err);
    t->c->stats.fragments++;
    t->c->stats.rows += result.rows;
    s->rows += result.rows;
    s->stats.rows += result.rows;
    s->stats.tablets++;
    return rc;
}

static enum rc check_tables(const struct txn_client *c, const struct txn_scan_conf *how, struct err *err) {
    CHECK(how->n_tables > 0 && how->n_spans > 0);
    for (size_t i = 0; i < how->n_tables; i++) {
        const struct table *t = mvcc_table(c->tablet[0].m, how->tables[i].id);
        if (!t || t->version != how->tables[i].version)
            return err_set(err, RC_STALE, "table %lu has another version", (unsigned long)how->tables[i].id);
    }
    for (size_t i = 0; i + 1 < how->n_spans; i++)
        CHECK(!span_empty(how->spans[i]) && key_compare(how->spans[i].end, how->spans[i + 1].start) <= 0);
    return RC_OK;
}

enum rc txn_scan_open(struct txn *t, const struct txn_scan_conf *how, struct txn_scan **ret, struct err *err) {
    struct txn_client *c = t->c;
    enum rc rc = check_tables(c, how, err);
    if (rc)
        return rc;
    if (how->whole && touched(c, how->spans, how->n_spans) > 1)
        return err_set(err, RC_MOVED, "the spans lie on more than one tablet");
    struct txn_scan *s = calloc(1, sizeof *s);
    CHECK(s);
    s->t = t;
    c->stats.scans++;
    c->stats.whole += how->whole;
    for (size_t k = 0; k < c->n && !rc; k++) {
        size_t i = how->ordered && how->reverse ? c->n - 1 - k : k;
        if (how->rows_max && how->ordered && s->rows >= how->rows_max)
            break;
        if (touches(c, i, how->spans, how->n_spans))
            rc = run_on(s, how, i, err);
    }
    if (rc)
        txn_scan_close(s);
    else
        *ret = s;
    return rc;
}

enum rc txn_scan_next(struct txn_scan *s, struct txn_batch *ret, struct err *err) {
    (void)err;
    *ret = (struct txn_batch){.end = s->at == s->n};
    if (s->at < s->n) {
        ret->rows = bytes_of(&s->batch[s->at]);
        ret->tablet = s->tablet[s->at++];
    }
    return RC_OK;
}

void txn_scan_close(struct txn_scan *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        buf_done(&s->batch[i]);
    free(s->batch);
    free(s->tablet);
    free(s);
}

const struct txn_scan_stats *txn_scan_stats(const struct txn_scan *s) {
    return &s->stats;
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

static size_t tablet_of(const struct txn_client *c, const struct table *t, const struct value *key) {
    struct buf b;
    struct err err = {0};
    size_t at = 0;
    buf_init(&b, 0);
    enum rc rc = table_key_put(&b, t, key, t->n_key, &err);
    CHECKF(rc == RC_OK, "%s", err_message(&err));
    for (size_t i = 1; i < c->n; i++)
        if (key_compare(start_of(&c->tablet[i]), key_of_buf(&b)) <= 0)
            at = i;
    buf_done(&b);
    return at;
}

static enum rc on_any(struct mvcc_bytes b, bool last, void *ctx, struct err *err) {
    (void)b, (void)last, (void)ctx, (void)err;
    return RC_OK;
}

static bool is_there(struct txn *t, size_t i, const struct table *table, const struct value *key) {
    struct buf sql;
    struct err err = {0};
    struct fragment_result result = {0};
    buf_init(&sql, 0);
    buf_printf(&sql, "SELECT 1 FROM {%lu} WHERE 1", (unsigned long)table->id);
    for (uint16_t k = 0; k < table->n_key; k++)
        buf_printf(&sql, " AND c%u IS ?%u", table->cols[table->key[k].col].id, k + 1u);
    struct fragment f = {.sql = buf_cstr(&sql), .n_params = table->n_key};
    struct fragment_run run = {.fragment = &f,
                               .params = key,
                               .ts = FRAGMENT_LATEST,
                               .overlay = t->own[i] ? txn_overlay_base(t->own[i]) : NULL,
                               .on_batch = on_any};
    enum rc rc = fragment_run(t->c->tablet[i].m, &run, &result, &err);
    CHECKF(rc == RC_OK, "%s", err_message(&err));
    buf_done(&sql);
    return result.rows > 0;
}

size_t txn_savepoint(struct txn *t) {
    t->marks = realloc(t->marks, (t->n_marks + 1) * sizeof *t->marks);
    CHECK(t->marks);
    for (size_t i = 0; i < LOCAL_TABLETS_MAX; i++)
        t->marks[t->n_marks].at[i] = t->own[i] ? txn_overlay_mark(t->own[i]) : 0;
    return t->n_marks++;
}

enum rc txn_rollback_to(struct txn *t, size_t mark, struct err *err) {
    (void)err;
    CHECK(mark < t->n_marks);
    for (size_t i = 0; i < LOCAL_TABLETS_MAX; i++)
        if (t->own[i])
            txn_overlay_rollback(t->own[i], t->marks[mark].at[i]);
    t->n_marks = mark + 1;
    return RC_OK;
}

enum rc txn_write(struct txn *t, const struct txn_write *w, size_t n, size_t *ret_conflict, struct err *err) {
    size_t mark = txn_savepoint(t);
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        struct value key[TABLE_KEY_MAX];
        struct table *table = (struct table *)w[i].table;
        for (uint16_t k = 0; k < table->n_key; k++)
            key[k] = w[i].kind == TXN_DELETE ? w[i].values[k] : w[i].values[table->key[k].col];
        CHECK(w[i].n == (w[i].kind == TXN_DELETE ? table->n_key : table->n_cols));
        size_t at = tablet_of(t->c, table, key);
        if (w[i].kind == TXN_INSERT && is_there(t, at, table, key)) {
            *ret_conflict = i;
            rc = err_set(err, RC_EXISTS, "there is a row with that key");
        } else if (w[i].kind == TXN_DELETE) {
            rc = txn_overlay_delete(own_of(t, at), table, key, err);
        } else {
            rc = txn_overlay_put(own_of(t, at), table, w[i].values, w[i].n, err);
        }
        t->c->stats.writes++;
    }
    if (rc)
        CHECK(txn_rollback_to(t, mark, NULL) == RC_OK);
    return rc;
}

static void apply(struct txn *t, size_t i) {
    struct buf b;
    struct arena a;
    struct err err = {0};
    struct txn_span all = {{NULL, 0}, {NULL, 0}};
    struct mvcc_mutation *mutation = NULL;
    size_t n = 0;
    buf_init(&b, 0);
    arena_init(&a, 0);
    CHECK(txn_overlay_encode(t->own[i], &all, &b) == RC_OK);
    if (b.len > 0) {
        enum rc rc = mvcc_mutations_decode(b.data, b.len, &a, &mutation, &n, &err);
        slot_begin(t->c, &t->c->tablet[i]);
        if (!rc)
            rc = mvcc_write(t->c->tablet[i].m, t->commit_ts, mutation, n, &err);
        if (!rc)
            rc = mvcc_slot_end(t->c->tablet[i].m, &err);
        CHECKF(rc == RC_OK, "%s", err_message(&err));
    }
    arena_done(&a);
    buf_done(&b);
}

enum rc txn_commit(struct txn *t, int64_t *ret_ts, struct err *err) {
    (void)err;
    t->commit_ts = ++t->c->ts;
    for (size_t i = 0; i < t->c->n; i++)
        if (t->own[i])
            apply(t, i);
    forget(t);
    t->phase = TXN_DONE;
    if (ret_ts)
        *ret_ts = t->commit_ts;
    return RC_OK;
}

enum rc txn_write_commit(struct txn *t, const struct txn_write *w, size_t n, size_t *ret_conflict, int64_t *ret_ts,
                         struct err *err) {
    enum rc rc = txn_write(t, w, n, ret_conflict, err);
    if (rc)
        return rc;
    t->c->stats.committed_with_write++;
    return txn_commit(t, ret_ts, err);
}

void txn_rollback(struct txn *t) {
    forget(t);
    t->phase = TXN_DONE;
}
