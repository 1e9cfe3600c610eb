/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tablet gives half of its range away while it goes on changing: both halves together are what it was, at every time, before
 * and after trimming; a split that is replayed without its copy comes to the same state.
 */
#include "shard/store/rangecopy.h"

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
    struct mvcc *m, *twin, *half; /* twin: splits without a copy */
    struct rangecopy *copy;
    struct kit_model model;
    struct rng rng;
    struct err err;
    char path[300], twin_path[300], half_path[300];
    int64_t slot, now;
    struct buf split; /* the key at which it splits */
    uint64_t seed;
    bool ok;
};

#define MUST(w, x)                                                                                                     \
    do {                                                                                                               \
        enum rc rc_ = (x);                                                                                             \
        (w)->ok = OKF(rc_ == RC_OK, "seed %" PRIu64 ": %s: %s", (w)->seed, #x, err_message(&(w)->err)) && (w)->ok;     \
    } while (0)

static void begin(struct world *w) {
    w->slot++;
    MUST(w, mvcc_slot_begin(w->m, w->slot, (struct mvcc_bytes){"b", 1}, w->now, &w->err));
    MUST(w, mvcc_slot_begin(w->twin, w->slot, (struct mvcc_bytes){"b", 1}, w->now, &w->err));
}

static void end(struct world *w) {
    MUST(w, mvcc_slot_end(w->m, &w->err));
    MUST(w, mvcc_slot_end(w->twin, &w->err));
}

static void commit(struct world *w) {
    struct kit_table *kt = &w->model.tables[rng_below(&w->rng, (uint64_t)w->model.n_tables)];
    const struct table *t = kt->desc;
    struct value *row = kit_random_row(&w->model, &w->rng, t);
    struct value *key = arena_array(&w->model.arena, t->n_key, sizeof *key);
    CHECK(key);
    if (kt->n_keys && rng_chance(&w->rng, 0.5)) {
        struct kit_key *k = kt->keys[rng_below(&w->rng, (uint64_t)kt->n_keys)];
        for (uint16_t i = 0; i < t->n_key; i++)
            row[t->key[i].col] = k->key[i];
    }
    for (uint16_t i = 0; i < t->n_key; i++)
        key[i] = row[t->key[i].col];
    struct mvcc_mutation x = {.table = t->id, .n_values = t->n_cols, .values = row};
    if (rng_chance(&w->rng, 0.25))
        x = (struct mvcc_mutation){.table = t->id, .deletes = true, .n_values = t->n_key, .values = key};
    bool late = rng_chance(&w->rng, 0.3);
    if (!late)
        w->now += 3;
    int64_t ts = late ? rng_range(&w->rng, w->now - 50, w->now) : w->now;
    struct kit_key *k = kit_key(&w->model, kt, key, false);
    if (k && kit_newest(k) >= ts)
        return;
    if (!kit_add(&w->model, &x, ts))
        return;
    begin(w);
    MUST(w, mvcc_write(w->m, ts, &x, 1, &w->err));
    MUST(w, mvcc_write(w->twin, ts, &x, 1, &w->err));
    end(w);
}

static void collect(struct world *w) {
    struct gc_step step = {0};
    bool any = false;
    begin(w);
    MUST(w, gc_raise(w->m, w->now - 60, &w->err));
    MUST(w, gc_raise(w->twin, w->now - 60, &w->err));
    end(w);
    MUST(w, gc_plan(w->m, 10, &step, &any, &w->err));
    if (!any)
        return;
    begin(w);
    MUST(w, gc_delete(w->m, &step, &w->err));
    MUST(w, gc_delete(w->twin, &step, &w->err));
    end(w);
}

static void work(struct world *w, int n) {
    for (int i = 0; i < n && w->ok; i++)
        if (rng_chance(&w->rng, 0.05))
            collect(w);
        else
            commit(w);
}

static void verify(struct world *w, struct mvcc *m) {
    struct mvcc_reader *rd = NULL;
    MUST(w, mvcc_reader_open(m, &rd, &w->err));
    if (w->ok)
        MUST(w, mvcc_verify(rd, true, &w->err));
    mvcc_reader_close(rd);
}

/* The key lies in [split, end). */
static bool right(struct world *w, const struct table *t, const struct value *key) {
    struct buf b;
    buf_init(&b, 0);
    CHECK(table_key_put(&b, t, key, t->n_key, NULL) == RC_OK);
    size_t n = b.len < w->split.len ? b.len : w->split.len;
    int c = memcmp(b.data, w->split.data, n);
    bool after = c > 0 || (c == 0 && b.len >= w->split.len);
    buf_done(&b);
    return after;
}

/* What a half says at some time is what the model has of that range. */
static void compare(struct world *w, struct mvcc *m, bool is_right) {
    int64_t ts = rng_range(&w->rng, mvcc_state(m)->gc_threshold, w->now);
    struct kit_model part = w->model;
    for (int i = 0; i < part.n_tables; i++) {
        part.tables[i].n_keys = 0;
        for (int j = 0; j < w->model.tables[i].n_keys; j++) {
            struct kit_key *k = w->model.tables[i].keys[j];
            if (right(w, part.tables[i].desc, k->key) == is_right)
                part.tables[i].keys[part.tables[i].n_keys++] = k;
        }
    }
    for (int form = 0; form <= FORM_COUNT && w->ok; form++) {
        struct kit_query q;
        struct buf want, got;
        struct fragment_result result;
        buf_init(&want, 0);
        buf_init(&got, 0);
        kit_random_query(&part, &w->rng, &q);
        struct fragment_run run = {.fragment = &q.f, .params = q.params, .ts = ts, .form = form};
        run.where = rng_chance(&w->rng, 0.5) ? FRAGMENT_READER : FRAGMENT_ANY;
        kit_ask_model(&part, &q.f, q.params, ts, NULL, !q.ordered, &want);
        MUST(w, kit_ask(m, &run, !q.ordered, &got, &result, &w->err));
        w->ok = OKF(want.len == got.len && (got.len == 0 || memcmp(want.data, got.data, got.len) == 0),
                    "seed %" PRIu64 ": %s half at %" PRId64 ": %zu bytes, not %zu: %s", w->seed,
                    is_right ? "right" : "left", ts, got.len, want.len, q.sql) &&
                w->ok;
        buf_done(&want);
        buf_done(&got);
    }
    w->model.arena = part.arena; /* the queries' values lie there */
}

static void choose_split(struct world *w) {
    struct kit_table *kt = &w->model.tables[rng_below(&w->rng, (uint64_t)w->model.n_tables)];
    CHECK(kt->n_keys > 0);
    const struct kit_key *k = kt->keys[rng_below(&w->rng, (uint64_t)kt->n_keys)];
    CHECK(table_key_put(&w->split, kt->desc, k->key, kt->desc->n_key, NULL) == RC_OK);
}

static void split(struct world *w) {
    struct mvcc_bytes none = {NULL, 0}, at = {w->split.data, w->split.len};
    struct mvcc_state state = {.tablet = 2, .generation = 1, .start = at, .floor = 5};
    struct rangecopy *second = NULL;
    MUST(w, rangecopy_begin(w->m, w->half_path, &state, 0, &w->copy, &w->err));
    if (!w->ok)
        return;
    EQ_INT(rangecopy_begin(w->m, "other", &state, 0, &second, &w->err), RC_BUSY);
    for (int i = 0; i < 3 && w->ok; i++) {
        work(w, 20);
        if (i < 2)
            MUST(w, rangecopy_catch_up(w->copy, &w->err));
    }
    OK(!rangecopy_current(w->copy));
    MUST(w, rangecopy_finish(w->copy, &w->err));
    OK(rangecopy_current(w->copy));
    if (!w->ok)
        return;
    begin(w);
    uint64_t before = mvcc_state(w->m)->checksum;
    MUST(w, rangecopy_split_off(w->m, none, at, 1, w->copy, &w->err));
    MUST(w, rangecopy_split_off(w->twin, none, at, 1, NULL, &w->err));
    end(w);
    OK(before == mvcc_state(w->m)->checksum + rangecopy_state(w->copy)->checksum);
    OK(mvcc_state_hash(w->m) == mvcc_state_hash(w->twin)); /* with and without a copy */
    rangecopy_end(w->copy);
    MUST(w, mvcc_flush(w->twin, &w->err));
    MUST(w, mvcc_open(w->s, w->half_path, &w->half, &w->err));
}

static void check_halves(struct world *w) {
    verify(w, w->m);
    verify(w, w->twin);
    verify(w, w->half);
    for (int i = 0; i < 3 && w->ok; i++) {
        compare(w, w->m, false);
        compare(w, w->half, true);
    }
}

/* A row of the other half is refused (M-3), and breaks the tablet that was given it. */
static void wrong_half(struct world *w) {
    for (int i = 0; i < 50; i++) {
        const struct table *t = w->model.tables[0].desc;
        struct value *row = kit_random_row(&w->model, &w->rng, t), key[TABLE_KEY_MAX];
        for (uint16_t j = 0; j < t->n_key; j++)
            key[j] = row[t->key[j].col];
        if (!right(w, t, key))
            continue;
        struct mvcc_mutation x = {.table = t->id, .n_values = t->n_cols, .values = row};
        MUST(w, mvcc_slot_begin(w->twin, w->slot + 1, (struct mvcc_bytes){"b", 1}, w->now, &w->err));
        EQ_INT(mvcc_write(w->twin, w->now, &x, 1, &w->err), RC_INVAL);
        OK(mvcc_broken(w->twin));
        MUST(w, mvcc_reload(w->twin, &w->err));
        EQ_INT(mvcc_state(w->twin)->slot, w->slot);
        return;
    }
}

static void one_seed(struct reactor *r, uint64_t seed) {
    struct world w = {.r = r, .seed = seed, .ok = true, .now = 1000};
    struct mvcc_state state = {.tablet = 1, .floor = 1000};
    rng_init(&w.rng, seed);
    kit_model_init(&w.model);
    buf_init(&w.split, 0);
    snprintf(w.path, sizeof w.path, "%s/m%" PRIu64, tap_dir(), seed);
    snprintf(w.twin_path, sizeof w.twin_path, "%s/t%" PRIu64, tap_dir(), seed);
    snprintf(w.half_path, sizeof w.half_path, "%s/h%" PRIu64, tap_dir(), seed);
    CHECK(vfs_new(reactor_env(r), &w.v) == RC_OK && mvcc_store_new(r, w.v, NULL, &w.s) == RC_OK);
    MUST(&w, mvcc_create(w.s, w.path, &state, &w.err));
    MUST(&w, mvcc_create(w.s, w.twin_path, &state, &w.err));
    MUST(&w, mvcc_open(w.s, w.path, &w.m, &w.err));
    MUST(&w, mvcc_open(w.s, w.twin_path, &w.twin, &w.err));
    for (uint64_t id = 11; id <= 12; id++) {
        const struct table *t = kit_random_table(&w.model, &w.rng, id);
        begin(&w);
        MUST(&w, mvcc_put_table(w.m, t, &w.err));
        MUST(&w, mvcc_put_table(w.twin, t, &w.err));
        end(&w);
    }
    work(&w, 120);
    choose_split(&w);
    split(&w);
    check_halves(&w);
    MUST(&w, mvcc_reload(w.m, &w.err)); /* untrimmed, also after a restart */
    check_halves(&w);
    uint64_t hash = mvcc_state_hash(w.m);
    for (bool more = true; more && w.ok;) {
        MUST(&w, rangecopy_trim(w.m, 10, &more, &w.err));
        compare(&w, w.m, false);
    }
    OK(mvcc_state_hash(w.m) == hash); /* trimming cannot be seen */
    check_halves(&w);
    wrong_half(&w);
    if (!w.ok)
        tap_note("replay: RANGECOPY_SEED=%" PRIu64 " tests/run rangecopy_test", seed);
    mvcc_close(w.m);
    mvcc_close(w.twin);
    mvcc_close(w.half);
    mvcc_store_free(w.s);
    vfs_free(w.v);
    buf_done(&w.split);
    kit_model_done(&w.model);
}

static void body(struct reactor *r) {
    uint64_t one = tap_env("RANGECOPY_SEED", 0), n = tap_env("RANGECOPY_SEEDS", 8);
    for (uint64_t seed = one ? one : 1; seed <= (one ? one : n) && !tap_failing(); seed++)
        one_seed(r, seed);
}

static void two_halves_are_the_whole(void) {
    on_fiber(DIAG_ERROR, body);
}

int main(void) {
    RUN(two_halves_are_the_whole);
    return tap_done();
}
