/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tablet's file in the simulator: the power goes, or the process is killed, at any I/O; disks fail and fill up. What is found
 * is always exactly the state after some slot, not before the last durable one; going on from there gives the same states as
 * before, and reads at any time say what the model says.
 *
 * What slot k brings follows from the seed and k alone, so the model can be made anew for any slot.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/unit/store/mvcckit.h"

enum { MS = 1000000, CRASHES = 4, SLOTS_MAX = 4000, WRITES_MAX = 4, TABLE = 11 };
static const int64_t SECOND = 1000000000;
static const char path[] = "db/tablet";

/* The model after some slot. */
struct course {
    uint64_t seed;
    struct kit_model model;
    struct rng shape;
    int64_t slot, now, threshold;
};

struct slot_plan {
    enum { PLAN_TABLE, PLAN_WRITE, PLAN_SECTION, PLAN_RAISE, PLAN_DELETE } kind;
    int64_t ts, floor;
    struct mvcc_mutation x[WRITES_MAX];
    size_t n;
    char name[16];
};

struct world {
    struct simkit_node kit;
    struct sim *sim;
    struct sim_node *node;
    struct rng *rng;
    bool faulty;
    char why[600];

    struct course course;
    uint64_t hash[SLOTS_MAX]; /* after each slot; 0: not seen yet */
    int64_t must, durable, committed, most;
    uint64_t applied, reads, breaks, checkpoints;

    struct reactor *r;
    struct vfs *v;
    struct mvcc_store *s;
    struct mvcc *m;
    struct fiber_group group;
    bool restart;
};

/* ---- the course of slots ---- */

static void course_begin(struct course *c, uint64_t seed) {
    *c = (struct course){.seed = seed, .now = 1000};
    rng_init(&c->shape, seed);
    kit_model_init(&c->model);
}

static void late_or_new(struct course *c, struct rng *rng, struct slot_plan *p) {
    const struct kit_table *kt = &c->model.tables[0];
    const struct table *t = kt->desc;
    bool late = rng_chance(rng, 0.3) && c->now > 1100;
    p->kind = PLAN_WRITE;
    p->ts = late ? rng_range(rng, c->now - 90 > c->threshold ? c->now - 90 : c->threshold + 1, c->now) : ++c->now;
    size_t want = rng_below(rng, WRITES_MAX) + 1;
    for (size_t i = 0; i < want; i++) {
        struct value *row = kit_random_row(&c->model, rng, t);
        struct value *key = arena_array(&c->model.arena, t->n_key, sizeof *key);
        CHECK(key);
        for (uint16_t j = 0; j < t->n_key; j++)
            key[j] = row[t->key[j].col];
        struct mvcc_mutation x = {.table = TABLE, .n_values = t->n_cols, .values = row};
        if (rng_chance(rng, 0.25))
            x = (struct mvcc_mutation){.table = TABLE, .deletes = true, .n_values = t->n_key, .values = key};
        struct kit_key *k = kit_key(&c->model, &c->model.tables[0], key, false);
        if ((k && kit_newest(k) >= p->ts) || !kit_add(&c->model, &x, p->ts))
            continue;
        p->x[p->n++] = x;
    }
    p->floor = c->now;
}

/* Brings the course to the next slot and says what is in it. */
static void course_next(struct course *c, struct slot_plan *p) {
    struct rng rng;
    c->slot++;
    *p = (struct slot_plan){.floor = c->now};
    rng_init(&rng, c->seed * 1000003 + (uint64_t)c->slot);
    if (c->slot == 1) {
        kit_random_table(&c->model, &c->shape, TABLE);
        p->kind = PLAN_TABLE;
        return;
    }
    switch (rng_below(&rng, 40)) {
    case 0:
        p->kind = PLAN_RAISE;
        if (c->now - 60 > c->threshold)
            c->threshold = c->now - 60;
        break;
    case 1:
    case 2:
        p->kind = PLAN_DELETE;
        break;
    case 3:
    case 4:
        p->kind = PLAN_SECTION;
        snprintf(p->name, sizeof p->name, "txn/%d", (int)rng_below(&rng, 5));
        p->n = rng_below(&rng, 3);
        break;
    default:
        late_or_new(c, &rng, p);
        break;
    }
}

static void course_to(struct course *c, uint64_t seed, int64_t slot) {
    struct slot_plan p;
    kit_model_done(&c->model);
    course_begin(c, seed);
    while (c->slot < slot)
        course_next(c, &p);
}

static enum rc apply_plan(struct world *w, const struct slot_plan *p, struct err *err) {
    struct gc_step all = {TABLE, INT64_MAX};
    enum rc rc = mvcc_slot_begin(w->m, w->course.slot, (struct mvcc_bytes){"ballot", 6}, p->floor, err);
    if (rc)
        return rc;
    switch (p->kind) {
    case PLAN_TABLE:
        rc = mvcc_put_table(w->m, w->course.model.tables[0].desc, err);
        break;
    case PLAN_WRITE:
        rc = mvcc_write(w->m, p->ts, p->x, p->n, err);
        break;
    case PLAN_SECTION:
        rc = mvcc_put_section(w->m, p->name, (struct mvcc_bytes){p->n ? "state" : NULL, p->n}, err);
        break;
    case PLAN_RAISE:
        rc = gc_raise(w->m, w->course.threshold, err);
        break;
    case PLAN_DELETE:
        rc = gc_delete(w->m, &all, err);
        break;
    }
    return rc ? rc : mvcc_slot_end(w->m, err);
}

/* ---- fibers ---- */

static bool alive(const struct world *w) {
    return sim_node_running(w->node);
}

static void wrong(struct world *w, const char *what, const struct err *err) {
    if (alive(w) && !w->why[0])
        snprintf(w->why, sizeof w->why, "%s: %s (%s)", what, err ? err_message(err) : "", err ? err->detail : "");
}

static bool disk_fault(const struct world *w, enum rc rc) {
    return w->faulty && (rc == RC_IO || rc == RC_NOSPACE || rc == RC_NOTFOUND);
}

/* True: nothing happened. A disk at fault ends the incarnation's fibers, for a new start. */
static bool goes_on(struct world *w, enum rc rc, const char *what, const struct err *err) {
    if (rc == RC_OK)
        return true;
    if (disk_fault(w, rc)) {
        w->restart = true;
        w->breaks++;
        fiber_group_cancel(&w->group);
    } else if (rc != RC_CANCELLED && rc != RC_SHUTDOWN) {
        wrong(w, what, err);
    }
    return false;
}

static void check_hash(struct world *w, const char *what) {
    int64_t slot = mvcc_state(w->m)->slot;
    uint64_t hash = mvcc_state_hash(w->m);
    if (slot == 0 || !alive(w))
        return;
    if (w->hash[slot] == 0)
        w->hash[slot] = hash;
    if (w->hash[slot] != hash) {
        struct err err = {0};
        err_set(&err, RC_CORRUPT, "another state at slot %" PRId64, slot);
        wrong(w, what, &err);
    }
}

static void write_some(void *arg) {
    struct world *w = arg;
    struct slot_plan p;
    while (w->course.slot + 1 < SLOTS_MAX) {
        struct err err = {0};
        enum rc rc = RC_OK;
        size_t n = rng_below(w->rng, 8) + 1;
        for (size_t i = 0; i < n && !rc && w->course.slot + 1 < SLOTS_MAX; i++) {
            course_next(&w->course, &p);
            rc = apply_plan(w, &p, &err);
            if (!rc)
                check_hash(w, "applied");
            w->applied++;
        }
        if (!rc && rng_chance(w->rng, 0.7))
            rc = mvcc_flush(w->m, &err);
        if (alive(w))
            w->committed = mvcc_committed_slot(w->m);
        if (!goes_on(w, rc, "apply", &err))
            return;
        if (rng_chance(w->rng, 0.3) ? fiber_sleep(w->r, rng_range(w->rng, 1, 10 * MS)) : fiber_yield(w->r))
            return;
    }
}

static void checkpoint_some(void *arg) {
    struct world *w = arg;
    while (fiber_sleep(w->r, rng_range(w->rng, 1, 40 * MS)) == RC_OK) {
        struct err err = {0};
        int64_t slot = 0;
        enum rc rc = mvcc_checkpoint(w->m, rng_chance(w->rng, 0.6), &slot, &err);
        if (!rc && alive(w)) {
            if (slot < w->durable)
                wrong(w, "the durable slot went back", NULL);
            w->durable = slot;
            w->checkpoints++;
        }
        if (!goes_on(w, rc, "checkpoint", &err))
            return;
    }
}

static enum rc read_once(struct world *w, struct err *err) {
    struct kit_query q;
    struct buf want, got;
    struct fragment_result result;
    buf_init(&want, 0);
    buf_init(&got, 0);
    kit_random_query(&w->course.model, w->rng, &q);
    int64_t ts = rng_range(w->rng, w->course.threshold, w->course.now);
    struct fragment_run run = {.fragment = &q.f, .params = q.params, .ts = ts, .form = (int)rng_below(w->rng, 4)};
    run.where = rng_chance(w->rng, 0.5) ? FRAGMENT_READER : FRAGMENT_ANY;
    /* The pin comes somewhere inside; what is asked about must not change meanwhile. */
    int64_t slot = w->course.slot;
    bool settled = mvcc_state(w->m)->slot == slot; /* else the model is ahead: the writer waits to begin its slot */
    kit_ask_model(&w->course.model, &q.f, q.params, ts, NULL, !q.ordered, &want);
    enum rc rc = kit_ask(w->m, &run, !q.ordered, &got, &result, err);
    bool same = got.len == want.len && (got.len == 0 || memcmp(got.data, want.data, got.len) == 0);
    if (!rc && settled && slot == w->course.slot && !same)
        rc = err_set(err, RC_CORRUPT, "at %" PRId64 " (slot %" PRId64 ", form %d): %.200s", ts, slot, run.form, q.sql);
    buf_done(&want);
    buf_done(&got);
    if (rc == RC_TOO_OLD && slot != w->course.slot)
        rc = RC_OK;
    w->reads++;
    return rc;
}

static void read_some(void *arg) {
    struct world *w = arg;
    while (fiber_sleep(w->r, rng_range(w->rng, 1, 10 * MS)) == RC_OK) {
        struct err err = {0};
        enum rc rc = w->course.model.n_tables ? read_once(w, &err) : RC_OK;
        if (!goes_on(w, rc, "read", &err))
            return;
    }
}

/* ---- an incarnation ---- */

static enum rc find(struct world *w, struct err *err) {
    struct mvcc_state state = {.tablet = 1, .floor = 1000};
    struct mvcc_reader *rd = NULL;
    enum rc rc = mvcc_open(w->s, path, &w->m, err);
    if (rc == RC_NOTFOUND && w->must == 0) {
        rc = mvcc_create(w->s, path, &state, err);
        if (!rc)
            rc = mvcc_open(w->s, path, &w->m, err);
    }
    if (rc)
        return rc;
    int64_t slot = mvcc_state(w->m)->slot;
    if (alive(w) && slot < w->must)
        return err_set(err, RC_CORRUPT, "slot %" PRId64 ", but %" PRId64 " was safe", slot, w->must);
    course_to(&w->course, w->course.seed, slot);
    check_hash(w, "found");
    rc = mvcc_reader_open(w->m, &rd, err);
    if (!rc)
        rc = mvcc_verify(rd, true, err);
    mvcc_reader_close(rd);
    return rc;
}

static void serve(struct world *w) {
    struct err err = {0};
    fiber_group_init(&w->group);
    w->restart = false;
    w->m = NULL;
    if (goes_on(w, find(w, &err), "after a crash", &err)) {
        CHECK(fiber_spawn(w->r, &w->group, FIBER_LARGE, "writer", write_some, w) == RC_OK);
        CHECK(fiber_spawn(w->r, &w->group, FIBER_LARGE, "checkpoint", checkpoint_some, w) == RC_OK);
        CHECK(fiber_spawn(w->r, &w->group, FIBER_LARGE, "reader", read_some, w) == RC_OK);
        CHECK(fiber_spawn(w->r, &w->group, FIBER_LARGE, "reader", read_some, w) == RC_OK);
        fiber_shield_begin(w->r);
        CHECK(fiber_group_join(w->r, &w->group, DEADLINE_NONE) == RC_OK);
        fiber_shield_end(w->r);
        if (alive(w))
            w->must = mvcc_committed_slot(w->m); /* the page cache has it */
    }
    mvcc_close(w->m);
    w->m = NULL;
}

static void body(struct simkit_store *s) {
    struct world *w = s->node->arg;
    struct err err = {0};
    w->r = s->r;
    fiber_group_init(&w->group);
    enum rc rc = env_mkdir(s->env, "db", &err);
    rc = rc && rc != RC_EXISTS ? rc : dir_sync(w->r, "", &err);
    if (!goes_on(w, rc, "start", &err))
        return;
    CHECK(vfs_new(s->env, &w->v) == RC_OK && mvcc_store_new(w->r, w->v, NULL, &w->s) == RC_OK);
    do
        serve(w);
    while (w->restart && alive(w) && fiber_sleep(w->r, MS) == RC_OK);
    mvcc_store_free(w->s);
    vfs_free(w->v);
}

static void run_until_crash(struct world *w) {
    enum sim_crash how = rng_chance(w->rng, 0.7) ? SIM_POWER : SIM_KILL;
    CHECK(sim_node_start(w->node, NULL) == RC_OK);
    sim_node_crash_at_io(w->node, how, 1 + rng_below(w->rng, rng_chance(w->rng, 0.5) ? 100 : 600));
    sim_run(w->sim, sim_now(w->sim) + SECOND / 4);
    if (sim_node_running(w->node))
        sim_node_crash(w->node, how);
    w->must = how == SIM_POWER ? w->durable : w->committed > w->must ? w->committed : w->must;
    w->committed = w->must;
}

static bool live(struct world *w, uint64_t seed, bool faulty, const char *mutant) {
    struct sim_conf conf = simkit_conf(seed);
    if (mutant)
        conf.mutant = mutant;
    memset(w, 0, sizeof *w);
    w->kit = (struct simkit_node){.body = body, .arg = w};
    course_begin(&w->course, seed);
    w->sim = sim_new(&conf);
    CHECK(w->sim);
    w->rng = sim_rng(w->sim);
    w->node = sim_node_new(w->sim, "n1", 1, &simkit_program, &w->kit);
    sim_disk_faults(w->node)->sync_ns = rng_range(w->rng, 0, 5 * MS);
    w->faulty = faulty;
    if (faulty) {
        sim_disk_faults(w->node)->read_eio = rng_double(w->rng) * 0.002;
        sim_disk_faults(w->node)->write_eio = rng_double(w->rng) * 0.005;
        sim_disk_faults(w->node)->capacity_bytes = rng_chance(w->rng, 0.5) ? rng_range(w->rng, 500000, 3000000) : 0;
    }
    sim_chance(w->sim, "fiber: slice over", rng_double(w->rng) * 0.3);
    for (int crash = 0; crash < CRASHES && !w->why[0]; crash++)
        run_until_crash(w);
    sim_free(w->sim);
    kit_model_done(&w->course.model);
    return !w->why[0];
}

static void check_seed(uint64_t seed, bool faulty) {
    struct world *w = malloc(sizeof *w);
    CHECK(w);
    OKF(live(w, seed, faulty, NULL), "%s", w->why);
    if (seed % 10 == 1)
        tap_note("seed %" PRIu64 ": %" PRIu64 " slots, %" PRIu64 " reads, %" PRIu64 " checkpoints, %" PRIu64
                 " new starts",
                 seed, w->applied, w->reads, w->checkpoints, w->breaks);
    free(w);
}

static void crash_seed(uint64_t seed) {
    check_seed(seed, false);
}

static void faulty_seed(uint64_t seed) {
    check_seed(seed, true);
}

static void any_crash_leaves_the_state_after_a_slot(void) {
    simkit_seeds("mvcc_crash_test", 20, crash_seed);
}

static void so_do_disks_that_fail(void) {
    simkit_seeds("mvcc_crash_test", 15, faulty_seed);
}

/* A rule left out is found. */
static void mutants(void) {
    static const char *const rules[] = {"P-8", "N-4", "V5"};
    if (tap_env("SIM_SEED", 0) || getenv("SIM_MUTANT")) {
        tap_skip("one seed or mutant only");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct world *w = malloc(sizeof *w);
        uint64_t seed = 1;
        CHECK(w);
        while (seed <= 60 && live(w, seed, false, rules[i]))
            seed++;
        OKF(seed <= 60, "%s switched off: not found", rules[i]);
        tap_note("%s found by seed %" PRIu64 ": %s", rules[i], seed, w->why);
        free(w);
    }
}

int main(void) {
    RUN(any_crash_leaves_the_state_after_a_slot);
    RUN(so_do_disks_that_fail);
    RUN(mutants);
    return tap_done();
}
