/* SPDX-License-Identifier: Apache-2.0 */
/* Images of tablets: the same state on the other side, and every damage on the way is found. */
#include "shard/store/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/unit/store/mvcckit.h"

struct kit {
    struct reactor *r;
    struct vfs *v;
    struct mvcc_store *s;
    struct mvcc *m;
    struct kit_model model;
    struct rng rng;
    struct err err;
    char path[300], other[300];
    int64_t slot;
};

#define FINE(k, x)                                                                                                     \
    do {                                                                                                               \
        enum rc rc_ = (x);                                                                                             \
        OKF(rc_ == RC_OK, "%s: %s", #x, err_message(&(k)->err));                                                       \
    } while (0)

static void commit(struct kit *k, int rows) {
    int64_t ts = 1000 + k->slot;
    k->slot++;
    FINE(k, mvcc_slot_begin(k->m, k->slot, (struct mvcc_bytes){"b", 1}, ts, &k->err));
    for (int i = 0; i < rows; i++) {
        const struct table *t = k->model.tables[0].desc;
        struct mvcc_mutation x = {.table = t->id, .n_values = t->n_cols};
        x.values = kit_random_row(&k->model, &k->rng, t);
        if (kit_add(&k->model, &x, ts))
            FINE(k, mvcc_write(k->m, ts, &x, 1, &k->err));
    }
    FINE(k, mvcc_slot_end(k->m, &k->err));
}

static void kit_init(struct kit *k, struct reactor *r, const char *name) {
    *k = (struct kit){.r = r};
    struct mvcc_state state = {.tablet = 9, .floor = 500, .config = {"config", 6}, .start = {NULL, 0}};
    rng_init(&k->rng, 5);
    kit_model_init(&k->model);
    snprintf(k->path, sizeof k->path, "%s/%s", tap_dir(), name);
    snprintf(k->other, sizeof k->other, "%s/%s-to", tap_dir(), name);
    CHECK(vfs_new(reactor_env(r), &k->v) == RC_OK && mvcc_store_new(r, k->v, NULL, &k->s) == RC_OK);
    FINE(k, mvcc_create(k->s, k->path, &state, &k->err));
    FINE(k, mvcc_open(k->s, k->path, &k->m, &k->err));
    struct table *t = kit_random_table(&k->model, &k->rng, 11);
    k->slot++;
    FINE(k, mvcc_slot_begin(k->m, k->slot, (struct mvcc_bytes){"b", 1}, 1000, &k->err));
    FINE(k, mvcc_put_table(k->m, t, &k->err));
    FINE(k, mvcc_put_section(k->m, "txn/1", (struct mvcc_bytes){"prepared", 8}, &k->err));
    FINE(k, mvcc_slot_end(k->m, &k->err));
    for (int i = 0; i < 30; i++)
        commit(k, 5);
}

static void kit_done(struct kit *k) {
    mvcc_close(k->m);
    mvcc_store_free(k->s);
    vfs_free(k->v);
    kit_model_done(&k->model);
}

static uint8_t *read_all(struct kit *k, struct snapshot_image *x, size_t step, size_t *ret_n) {
    size_t n = 0, total = (size_t)snapshot_bytes(x), got = 1;
    uint8_t *all = malloc(total + step);
    CHECK(all);
    while (got > 0) {
        FINE(k, snapshot_read(x, n, all + n, step, &got, &k->err));
        n += got;
    }
    EQ_INT(n, total);
    *ret_n = n;
    return all;
}

/* Loads a stream in pieces; what came of it. */
static enum rc load(struct kit *k, const uint8_t *bytes, size_t n, size_t step, uint64_t tablet, int64_t *ret_slot) {
    struct snapshot_load *l = NULL;
    FINE(k, snapshot_load_begin(k->s, k->other, tablet, &l, &k->err));
    enum rc rc = RC_OK;
    for (size_t at = 0; at < n && !rc; at += step)
        rc = snapshot_load_write(l, bytes + at, n - at < step ? n - at : step, &k->err);
    if (!rc)
        rc = snapshot_load_end(l, true, ret_slot, &k->err);
    snapshot_load_free(l);
    return rc;
}

static bool exists(const char *path, const char *suffix) {
    char name[400];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

static void round_trip_body(struct reactor *r) {
    struct kit k;
    struct snapshot_image *x = NULL;
    struct mvcc *copy = NULL;
    size_t n = 0, again = 0;
    int64_t slot = 0;
    kit_init(&k, r, "a");
    FINE(&k, snapshot_open(k.m, 3, &x, &k.err));
    EQ_INT(snapshot_state(x)->slot, k.slot);
    uint64_t hash = mvcc_state_hash(k.m);
    EQ_INT(snapshot_state(x)->config.n, 6);
    uint8_t *all = read_all(&k, x, 1000, &n);
    commit(&k, 5); /* the tablet goes on, the image does not change */
    uint8_t *second = read_all(&k, x, 100000, &again);
    EQ_MEM(second, again, all, n);
    snapshot_close(x);
    OK(!exists(k.path, ".image3") && !exists(k.path, ".image3-wal"));
    EQ_INT(load(&k, all, n, 777, 9, &slot), RC_OK);
    EQ_INT(slot, k.slot - 1);
    FINE(&k, mvcc_open(k.s, k.other, &copy, &k.err));
    OK(mvcc_state_hash(copy) == hash);
    OK(mvcc_state(copy)->ballot.n == 1 && mvcc_state(copy)->config.n == 6);
    struct buf section;
    buf_init(&section, 0);
    FINE(&k, mvcc_section(copy, "txn/1", &section, &k.err)); /* P-10 */
    EQ_MEM(section.data, section.len, "prepared", 8);
    buf_done(&section);
    mvcc_close(copy);
    EQ_INT(load(&k, all, n, n, 9, &slot), RC_EXISTS); /* never over a database that is there */
    FINE(&k, mvcc_remove(k.s, k.other, &k.err));
    EQ_INT(load(&k, all, n, n, 8, &slot), RC_CORRUPT);
    OK(!exists(k.other, "") && !exists(k.other, ".load"));
    free(all);
    free(second);
    kit_done(&k);
}

static void an_image_is_the_same_state_elsewhere(void) {
    on_fiber(DIAG_ERROR, round_trip_body);
}

static void damage_body(struct reactor *r) {
    struct kit k;
    struct snapshot_image *x = NULL;
    size_t n = 0;
    int64_t slot = 0;
    kit_init(&k, r, "b");
    FINE(&k, snapshot_open(k.m, 4, &x, &k.err));
    uint8_t *all = read_all(&k, x, 1 << 20, &n);
    snapshot_close(x);
    for (int i = 0; i < 100; i++) {
        size_t at = rng_below(&k.rng, n);
        uint8_t was = all[at];
        all[at] ^= (uint8_t)(1u << rng_below(&k.rng, 8));
        OKF(load(&k, all, n, 5000, 9, &slot) == RC_CORRUPT, "byte %zu", at);
        all[at] = was;
    }
    for (int i = 0; i < 20; i++)
        EQ_INT(load(&k, all, rng_below(&k.rng, n), 5000, 9, &slot), RC_CORRUPT);
    OK(!exists(k.other, "") && !exists(k.other, ".load"));
    EQ_INT(load(&k, all, n, 5000, 9, &slot), RC_OK);
    free(all);
    kit_done(&k);
}

static void every_damage_is_found(void) {
    on_fiber(DIAG_ERROR, damage_body);
}

int main(void) {
    RUN(an_image_is_the_same_state_elsewhere);
    RUN(every_damage_is_found);
    return tap_done();
}
