/* SPDX-License-Identifier: Apache-2.0 */
/* A tablet's file against a plain model: random tables, commits, late outcomes, garbage collection, reads at any time. */
#include "shard/store/mvcc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/unit/store/mvcckit.h"

struct world {
    struct reactor *r;
    struct vfs *v;
    struct mvcc_store *s;
    struct mvcc *m, *twin; /* twin: gets the same slots in other batches */
    struct kit_model model;
    struct rng rng;
    struct err err;
    char path[300], twin_path[300];
    int64_t slot, now; /* now: the newest timestamp */
    uint64_t seed, reads;
    bool ok;
};

#define MUST(w, x)                                                                                                     \
    do {                                                                                                               \
        enum rc rc_ = (x);                                                                                             \
        (w)->ok = OKF(rc_ == RC_OK, "seed %" PRIu64 ": %s: %s", (w)->seed, #x, err_message(&(w)->err)) && (w)->ok;     \
    } while (0)

static struct mvcc_bytes ballot_of(int64_t slot) {
    return slot % 2 ? (struct mvcc_bytes){"odd", 3} : (struct mvcc_bytes){"even", 4};
}

static void world_init(struct world *w, struct reactor *r, uint64_t seed) {
    *w = (struct world){.r = r, .seed = seed, .ok = true, .now = 1000};
    struct mvcc_state state = {.tablet = 7, .floor = 1000};
    rng_init(&w->rng, seed);
    kit_model_init(&w->model);
    snprintf(w->path, sizeof w->path, "%s/a%" PRIu64, tap_dir(), seed);
    snprintf(w->twin_path, sizeof w->twin_path, "%s/b%" PRIu64, tap_dir(), seed);
    CHECK(vfs_new(reactor_env(r), &w->v) == RC_OK && mvcc_store_new(r, w->v, NULL, &w->s) == RC_OK);
    MUST(w, mvcc_create(w->s, w->path, &state, &w->err));
    MUST(w, mvcc_create(w->s, w->twin_path, &state, &w->err));
    MUST(w, mvcc_open(w->s, w->path, &w->m, &w->err));
    MUST(w, mvcc_open(w->s, w->twin_path, &w->twin, &w->err));
}

static void world_done(struct world *w) {
    mvcc_close(w->m);
    mvcc_close(w->twin);
    mvcc_store_free(w->s);
    vfs_free(w->v);
    kit_model_done(&w->model);
}

/* ---- slots ---- */

static void begin(struct world *w) {
    w->slot++;
    MUST(w, mvcc_slot_begin(w->m, w->slot, ballot_of(w->slot), w->now, &w->err));
    MUST(w, mvcc_slot_begin(w->twin, w->slot, ballot_of(w->slot), w->now, &w->err));
}

static void end(struct world *w) {
    MUST(w, mvcc_slot_end(w->m, &w->err));
    MUST(w, mvcc_slot_end(w->twin, &w->err));
    MUST(w, mvcc_flush(w->twin, &w->err));
    if (rng_chance(&w->rng, 0.2))
        MUST(w, mvcc_flush(w->m, &w->err));
    EQ_INT(mvcc_state_hash(w->m), mvcc_state_hash(w->twin)); /* INV-P4 */
}

static void put_table(struct world *w, const struct table *t) {
    begin(w);
    MUST(w, mvcc_put_table(w->m, t, &w->err));
    MUST(w, mvcc_put_table(w->twin, t, &w->err));
    end(w);
}

static void random_mutation(struct world *w, struct mvcc_mutation *ret) {
    struct kit_table *kt = &w->model.tables[rng_below(&w->rng, (uint64_t)w->model.n_tables)];
    const struct table *t = kt->desc;
    struct value *row = kit_random_row(&w->model, &w->rng, t);
    *ret = (struct mvcc_mutation){.table = t->id, .n_values = t->n_cols, .values = row};
    if (rng_chance(&w->rng, 0.6) && kt->n_keys) { /* a key that was there before */
        struct kit_key *k = kt->keys[rng_below(&w->rng, (uint64_t)kt->n_keys)];
        for (uint16_t i = 0; i < t->n_key; i++)
            row[t->key[i].col] = k->key[i];
    }
    if (rng_chance(&w->rng, 0.25)) {
        struct value *key = arena_array(&w->model.arena, t->n_key, sizeof *key);
        CHECK(key);
        for (uint16_t i = 0; i < t->n_key; i++)
            key[i] = row[t->key[i].col];
        *ret = (struct mvcc_mutation){.table = t->id, .deletes = true, .n_values = t->n_key, .values = key};
    }
}

/* A commit: new, or one that comes late. behind: also below newer versions of its keys (the backfill of an index). */
static void commit(struct world *w, bool late, bool behind) {
    struct mvcc_mutation x[6];
    size_t n = 0, want = rng_below(&w->rng, ARRAY_LEN(x)) + 1;
    int64_t threshold = mvcc_state(w->m)->gc_threshold;
    if (!late)
        w->now += rng_range(&w->rng, 1, 20);
    int64_t ts =
        late ? rng_range(&w->rng, threshold + 1 > w->now - 200 ? threshold + 1 : w->now - 200, w->now) : w->now;
    for (size_t i = 0; i < want; i++) {
        random_mutation(w, &x[n]);
        struct kit_table *kt = kit_find(&w->model, x[n].table);
        struct value key[TABLE_KEY_MAX];
        for (uint16_t j = 0; j < kt->desc->n_key; j++)
            key[j] = x[n].deletes ? x[n].values[j] : x[n].values[kt->desc->key[j].col];
        struct kit_key *k = kit_key(&w->model, kt, key, false);
        if (k && (kit_has_event(k, ts) || (!behind && kit_newest(k) > ts)))
            continue;
        if (kit_add(&w->model, &x[n], ts))
            n++;
    }
    begin(w);
    MUST(w, mvcc_write(w->m, ts, x, n, &w->err));
    MUST(w, mvcc_write(w->twin, ts, x, n, &w->err));
    if (n && behind) { /* once more: changes nothing */
        MUST(w, mvcc_write(w->m, ts, x, x[0].deletes ? 0 : 1, &w->err));
        MUST(w, mvcc_write(w->twin, ts, x, x[0].deletes ? 0 : 1, &w->err));
    }
    end(w);
}

static void collect(struct world *w) {
    struct gc_step step = {0};
    bool any = false;
    begin(w);
    int64_t threshold = rng_range(&w->rng, mvcc_state(w->m)->gc_threshold, w->now - 30);
    MUST(w, gc_raise(w->m, threshold, &w->err));
    MUST(w, gc_raise(w->twin, threshold, &w->err));
    end(w);
    do {
        any = false;
        MUST(w, gc_plan(w->m, rng_range(&w->rng, 1, 20), &step, &any, &w->err));
        if (!any)
            break;
        begin(w);
        MUST(w, gc_delete(w->m, &step, &w->err));
        MUST(w, gc_delete(w->twin, &step, &w->err));
        end(w);
    } while (w->ok && rng_chance(&w->rng, 0.9));
}

static void add_column(struct world *w) {
    struct kit_table *kt = &w->model.tables[rng_below(&w->rng, (uint64_t)w->model.n_tables)];
    struct table_col cols[KIT_COLS_MAX];
    struct table t = *kt->desc;
    if (t.n_cols == KIT_COLS_MAX)
        return;
    memcpy(cols, t.cols, t.n_cols * sizeof *cols);
    cols[t.n_cols] = (struct table_col){.id = t.n_cols + 1u, .col = col_of(COL_INT4)};
    if (rng_chance(&w->rng, 0.5))
        cols[t.n_cols].missing = value_int(5);
    struct value missing = cols[t.n_cols].missing;
    t.cols = cols;
    t.n_cols++;
    t.version++;
    if (t.n_indexes && rng_chance(&w->rng, 0.5))
        t.n_indexes--;
    put_table(w, &t);
    for (int i = 0; i < kt->n_keys; i++)
        for (int j = 0; j < kt->keys[i]->n_events; j++) {
            struct kit_event *e = &kt->keys[i]->events[j];
            if (e->deleted)
                continue;
            struct value *row = arena_array(&w->model.arena, t.n_cols, sizeof *row);
            CHECK(row);
            memcpy(row, e->row, (t.n_cols - 1u) * sizeof *row);
            row[t.n_cols - 1] = missing;
            e->row = row;
        }
    struct table *before = kt->desc;
    MUST(w, table_new(&t, &kt->desc, &w->err));
    table_unref(before);
}

/* ---- reads ---- */

static bool same(const struct buf *a, const struct buf *b) {
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void ask_all(struct world *w, const struct kit_query *q, int64_t ts, struct kit_overlay *own) {
    struct buf want, got;
    buf_init(&want, 0);
    kit_ask_model(&w->model, &q->f, q->params, ts, own, !q->ordered, &want);
    for (int form = 0; form <= FORM_COUNT && w->ok; form++)
        for (int where = 0; where < 2 && w->ok; where++) {
            struct fragment_run run = {.fragment = &q->f, .params = q->params, .ts = ts, .form = form};
            struct fragment_result result;
            run.where = where ? FRAGMENT_READER : FRAGMENT_ANY;
            run.overlay = own ? &own->base : NULL;
            run.batch_rows = rng_chance(&w->rng, 0.3) ? 3 : 0;
            buf_init(&got, 0);
            MUST(w, kit_ask(w->m, &run, !q->ordered, &got, &result, &w->err));
            w->ok = OKF(same(&want, &got),
                        "seed %" PRIu64 ": at %" PRId64 " form %d where %d own %d: %zu bytes, not %zu: %s", w->seed, ts,
                        form, where, own ? own->n : 0, got.len, want.len, q->sql) &&
                    w->ok;
            buf_done(&got);
            w->reads++;
        }
    buf_done(&want);
}

static void read_some(struct world *w) {
    struct kit_query q;
    struct kit_overlay own;
    int64_t threshold = mvcc_state(w->m)->gc_threshold;
    int64_t ts = rng_chance(&w->rng, 0.3) ? w->now : rng_range(&w->rng, threshold, w->now);
    bool with_own = rng_chance(&w->rng, 0.4);
    kit_overlay_init(&own);
    for (int i = 0; with_own && i < 5; i++) {
        struct mvcc_mutation x;
        random_mutation(w, &x);
        kit_overlay_put(&own, kit_find(&w->model, x.table)->desc, &x);
    }
    kit_random_query(&w->model, &w->rng, &q);
    if (rng_chance(&w->rng, 0.2) && ts == w->now)
        ts = FRAGMENT_LATEST;
    ask_all(w, &q, ts, with_own ? &own : NULL);
}

/* Every key that ever was, and some that never were: is there a row? */
static void look_for_rows(struct world *w) {
    struct mvcc_probe p[KIT_KEYS_MAX + 4];
    struct kit_table *kt = &w->model.tables[rng_below(&w->rng, (uint64_t)w->model.n_tables)];
    const struct table *t = kt->desc;
    size_t n = 0;
    for (int i = 0; i < kt->n_keys; i++)
        p[n++] = (struct mvcc_probe){t->id, t->version, kt->keys[i]->key, false};
    for (int i = 0; i < 4; i++) {
        struct value *key = arena_array(&w->model.arena, TABLE_KEY_MAX, sizeof *key);
        CHECK(key);
        const struct value *row = kit_random_row(&w->model, &w->rng, t);
        for (uint16_t k = 0; k < t->n_key; k++)
            key[k] = row[t->key[k].col];
        p[n++] = (struct mvcc_probe){t->id, t->version, key, false};
    }
    MUST(w, mvcc_rows_there(w->m, p, n, &w->err));
    for (size_t i = 0; i < n && w->ok; i++) {
        struct kit_key *k = kit_key(&w->model, kt, p[i].key, false);
        w->ok = OKF(p[i].there == (k && kit_at(k, w->now) != NULL), "seed %" PRIu64 ": key %zu of table %" PRIu64,
                    w->seed, i, t->id) &&
                w->ok;
    }
    p[0].version++;
    EQ_INT(mvcc_rows_there(w->m, p, 1, &w->err), RC_STALE);
}

static void verify(struct world *w) {
    struct mvcc_reader *rd = NULL;
    MUST(w, mvcc_reader_open(w->m, &rd, &w->err));
    if (w->ok)
        MUST(w, mvcc_verify(rd, true, &w->err));
    EQ_INT(mvcc_reader_slot(rd), w->slot);
    mvcc_reader_close(rd);
}

static void below_threshold(struct world *w) {
    struct kit_query q;
    struct buf got;
    struct fragment_result result;
    kit_random_query(&w->model, &w->rng, &q);
    for (int where = 0; where < 2; where++) {
        struct fragment_run run = {.fragment = &q.f, .params = q.params, .ts = mvcc_state(w->m)->gc_threshold - 1};
        run.where = where ? FRAGMENT_READER : FRAGMENT_ANY;
        buf_init(&got, 0);
        EQ_INT(kit_ask(w->m, &run, false, &got, &result, &w->err), RC_TOO_OLD); /* INV-G1 */
        buf_done(&got);
    }
}

static void step(struct world *w) {
    switch (rng_below(&w->rng, 24)) {
    case 0:
        collect(w);
        below_threshold(w);
        break;
    case 1:
        verify(w);
        break;
    case 2:
        MUST(w, mvcc_flush(w->m, &w->err));
        MUST(w, mvcc_reload(w->m, &w->err));
        EQ_INT(mvcc_state_hash(w->m), mvcc_state_hash(w->twin));
        break;
    case 3: {
        int64_t durable = 0;
        MUST(w, mvcc_checkpoint(w->m, rng_chance(&w->rng, 0.5), &durable, &w->err));
        EQ_INT(durable, w->slot);
        break;
    }
    case 4:
        if (rng_chance(&w->rng, 0.3))
            add_column(w);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        commit(w, true, false);
        break;
    case 9:
        commit(w, true, true);
        break;
    case 10:
        look_for_rows(w);
        break;
    case 11:
    case 12:
    case 13:
    case 14:
    case 15:
        read_some(w);
        break;
    default:
        commit(w, false, false);
        break;
    }
}

static void one_seed(struct reactor *r, uint64_t seed) {
    struct world w;
    world_init(&w, r, seed);
    for (uint64_t id = 11; id <= 12; id++)
        put_table(&w, kit_random_table(&w.model, &w.rng, id));
    for (int i = 0; i < 150 && w.ok; i++)
        step(&w);
    if (w.ok)
        verify(&w);
    if (!w.ok)
        tap_note("replay: MVCC_SEED=%" PRIu64 " tests/run mvcc_test", seed);
    world_done(&w);
}

static void model_body(struct reactor *r) {
    uint64_t one = tap_env("MVCC_SEED", 0), n = tap_env("MVCC_SEEDS", 8);
    for (uint64_t seed = one ? one : 1; seed <= (one ? one : n) && !tap_failing(); seed++)
        one_seed(r, seed);
}

static void every_form_reads_what_the_model_says(void) {
    on_fiber(DIAG_WARN, model_body);
}

int main(void) {
    RUN(every_form_reads_what_the_model_says);
    return tap_done();
}
