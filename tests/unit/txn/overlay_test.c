/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay against a model: the list of all writes. What is there is the last write to each key; a rollback shortens
 * the list. Random tables, values, savepoints; after each step every table is read in order, by prefix and by key.
 */
#include "txn/overlay.h"

#include <stdlib.h>

#include "tests/lib/tap.h"
#include "tests/unit/store/mvcckit.h"

enum { WRITES = 120, MARKS = 16, TABLES = 3 };

struct write {
    struct table *t;
    bool deleted;
    struct value *values; /* of the row, or of the key */
    struct value key[TABLE_KEY_MAX];
};

struct pair {
    struct kit_model kit;
    struct rng rng;
    struct table *table[TABLES];
    struct write w[WRITES];
    size_t n;
    size_t mark[MARKS];
    int marks;
    struct txn_overlay *o;
};

static bool same_row(const struct overlay_row *got, const struct write *w) {
    uint16_t n = w->deleted ? w->t->n_key : w->t->n_cols;
    if (got->deleted != w->deleted || got->n_values != n)
        return false;
    for (uint16_t i = 0; i < n; i++)
        if (!value_same(&got->values[i], &w->values[i]))
            return false;
    return true;
}

static bool is_last(const struct pair *p, size_t i) {
    for (size_t k = i + 1; k < p->n; k++)
        if (p->w[k].t == p->w[i].t && kit_compare_keys(p->w[i].t, p->w[k].key, p->w[i].key) == 0)
            return false;
    return true;
}

static const struct pair *sorting; /* for qsort; one test at a time */

static int by_key(const void *a, const void *b) {
    const struct write *x = &sorting->w[*(const size_t *)a], *y = &sorting->w[*(const size_t *)b];
    return kit_compare_keys(x->t, x->key, y->key);
}

/* All rows of the table whose first n key columns are those of like. */
static void check_table(struct pair *p, struct table *t, const struct value *like, uint16_t n) {
    size_t want[WRITES] = {0}, count = 0, at = 0;
    struct overlay *base = txn_overlay_base(p->o);
    struct overlay_cursor *c;
    struct overlay_row row;
    for (size_t i = 0; i < p->n; i++) {
        bool matches = p->w[i].t == t && is_last(p, i);
        struct table shorter = *t; /* compares only the prefix */
        shorter.n_key = n;
        if (matches && (n == 0 || kit_compare_keys(&shorter, p->w[i].key, like) == 0))
            want[count++] = i;
    }
    sorting = p;
    qsort(want, count, sizeof want[0], by_key);
    CHECK(base->ops->open(base, t, like, n, &c) == RC_OK);
    while (base->ops->next(c, &row)) {
        if (!OKF(at < count && same_row(&row, &p->w[want[at]]), "row %zu of %zu differs", at, count))
            break;
        at++;
    }
    base->ops->close(c);
    EQ_INT(at, count);
    if (n == 0)
        EQ_INT(base->ops->touches(base, t->id), count > 0);
}

static void check(struct pair *p) {
    struct overlay *base = txn_overlay_base(p->o);
    struct overlay_row row;
    for (int i = 0; i < TABLES; i++)
        check_table(p, p->table[i], NULL, 0);
    for (size_t i = 0; i < p->n && !tap_failing(); i++)
        if (is_last(p, i))
            OK(base->ops->get(base, p->w[i].t, p->w[i].key, &row) && same_row(&row, &p->w[i]));
    if (p->n) {
        const struct write *w = &p->w[rng_below(&p->rng, p->n)];
        check_table(p, w->t, w->key, (uint16_t)rng_range(&p->rng, 1, w->t->n_key));
    }
    EQ_INT(txn_overlay_mark(p->o), p->n);
}

static void write_one(struct pair *p) {
    struct write *w = &p->w[p->n];
    struct err err = {0};
    *w = (struct write){.t = p->table[rng_below(&p->rng, TABLES)], .deleted = rng_chance(&p->rng, 0.3)};
    w->values = kit_random_row(&p->kit, &p->rng, w->t);
    for (uint16_t i = 0; i < w->t->n_key; i++)
        w->key[i] = w->values[w->t->key[i].col];
    if (p->n && rng_chance(&p->rng, 0.5)) { /* a key that is there already */
        const struct write *old = &p->w[rng_below(&p->rng, p->n)];
        w->t = old->t;
        w->values = kit_random_row(&p->kit, &p->rng, w->t);
        for (uint16_t i = 0; i < w->t->n_key; i++)
            w->values[w->t->key[i].col] = w->key[i] = old->key[i];
    }
    if (w->deleted)
        w->values = w->key;
    enum rc rc = w->deleted ? txn_overlay_delete(p->o, w->t, w->key, &err)
                            : txn_overlay_put(p->o, w->t, w->values, w->t->n_cols, &err);
    if (OKF(rc == RC_OK, "%s", err_message(&err)))
        p->n++;
}

static void step(struct pair *p) {
    if (p->n < WRITES && rng_chance(&p->rng, 0.7)) {
        write_one(p);
    } else if (p->marks < MARKS && rng_chance(&p->rng, 0.5)) {
        p->mark[p->marks++] = txn_overlay_mark(p->o);
    } else if (p->marks) {
        int to = (int)rng_below(&p->rng, (uint64_t)p->marks);
        txn_overlay_rollback(p->o, p->mark[to]);
        p->n = p->mark[to];
        p->marks = rng_chance(&p->rng, 0.5) ? to : to + 1; /* ROLLBACK TO keeps the savepoint itself */
    } else if (rng_chance(&p->rng, 0.1)) {
        struct txn_overlay *copy;
        CHECK(txn_overlay_copy(p->o, &copy) == RC_OK);
        txn_overlay_free(p->o);
        p->o = copy; /* savepoints hold in it too */
    }
}

static void pair_init(struct pair *p, uint64_t seed) {
    rng_init(&p->rng, seed);
    kit_model_init(&p->kit);
    for (int i = 0; i < TABLES; i++)
        p->table[i] = kit_random_table(&p->kit, &p->rng, (uint64_t)i + 1);
    CHECK(txn_overlay_new(0, seed, &p->o) == RC_OK);
}

static void pair_done(struct pair *p) {
    txn_overlay_free(p->o);
    kit_model_done(&p->kit);
}

static void random_writes_and_savepoints(void) {
    uint64_t seeds = tap_env("SIM_SEEDS", 60), steps = 0;
    for (uint64_t seed = 1; seed <= seeds && !tap_failing(); seed++) {
        struct pair *p = calloc(1, sizeof *p);
        pair_init(p, seed);
        for (int i = 0; i < 200 && !tap_failing(); i++, steps++) {
            step(p);
            check(p);
        }
        OKF(!tap_failing(), "seed %llu", (unsigned long long)seed);
        pair_done(p);
        free(p);
    }
    tap_note("%llu steps", (unsigned long long)steps);
}

/* What is encoded is the last revision of each row, in order, of the keys in range and no others. */
static void images_of_a_range(void) {
    struct pair *p = calloc(1, sizeof *p);
    struct arena a;
    struct buf all, left, right, cut;
    struct mvcc_mutation *m;
    size_t n, n_left = 0, n_right = 0;
    struct err err;
    pair_init(p, 5);
    arena_init(&a, 0);
    buf_init(&all, 0);
    buf_init(&left, 0);
    buf_init(&right, 0);
    buf_init(&cut, 0);
    const struct txn_span everything = {{NULL, 0}, {NULL, 0}};
    OK(txn_overlay_encode(p->o, &everything, &all) == RC_OK && all.len == 0);
    for (int i = 0; i < 60; i++)
        write_one(p);
    OK(txn_overlay_encode(p->o, &everything, &all) == RC_OK);
    OK(mvcc_mutations_decode(all.data, all.len, &a, &m, &n, &err) == RC_OK);
    EQ_INT(n, txn_overlay_rows(p->o));
    const struct write *w = &p->w[30];
    OK(table_key_put(&cut, w->t, w->key, w->t->n_key, &err) == RC_OK);
    struct txn_span before = {{NULL, 0}, {cut.data, cut.len}}, behind = {{cut.data, cut.len}, {NULL, 0}};
    OK(txn_overlay_encode(p->o, &before, &left) == RC_OK && txn_overlay_encode(p->o, &behind, &right) == RC_OK);
    OK(left.len == 0 || mvcc_mutations_decode(left.data, left.len, &a, &m, &n_left, &err) == RC_OK);
    OK(mvcc_mutations_decode(right.data, right.len, &a, &m, &n_right, &err) == RC_OK);
    EQ_INT(n_left + n_right, n);
    OK(n_left > 0 && n_right > 0);
    buf_done(&all);
    buf_done(&left);
    buf_done(&right);
    buf_done(&cut);
    arena_done(&a);
    pair_done(p);
    free(p);
}

/* A write beyond the limit is refused and leaves what was there. */
static void memory_is_bounded(void) {
    struct pair *p = calloc(1, sizeof *p);
    struct txn_overlay *o;
    struct err err = {0};
    enum rc rc = RC_OK;
    size_t rows = 0;
    pair_init(p, 9);
    CHECK(txn_overlay_new(20000, 1, &o) == RC_OK);
    for (int i = 0; i < 10000 && rc == RC_OK; i++) {
        struct value *row = kit_random_row(&p->kit, &p->rng, p->table[0]);
        rows = txn_overlay_rows(o);
        rc = txn_overlay_put(o, p->table[0], row, p->table[0]->n_cols, &err);
        OK(txn_overlay_bytes(o) <= 20000);
    }
    EQ_INT(rc, RC_LIMIT);
    EQ_INT(txn_overlay_rows(o), rows);
    OK(err.detail[0]);
    txn_overlay_rollback(o, 1);
    EQ_INT(txn_overlay_rows(o), 1);
    txn_overlay_free(o);
    pair_done(p);
    free(p);
}

int main(void) {
    RUN(images_of_a_range);
    RUN(memory_is_bounded);
    RUN(random_writes_and_savepoints);
    return tap_done();
}
