/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ground that the database stands on (ground.h) in the simulator: a thousand fibers read through a yielding virtual table
 * while commits become durable through the log thread, and the machine dies at any I/O, by a kill or a power loss, again and
 * again. What was acknowledged is always found again, the file is sound, and every reader sees one state, whole.
 */
#include <stdio.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/unit/store/ground.h"

enum { MS = 1000000, CRASHES = 5 };

/* What differs between the tests here. */
struct plan {
    unsigned readers;
    int crashes;
    int64_t life_ns, rest_ns; /* an incarnation's at most; see ground.h */
};

struct world {
    struct ground ground;
    struct simkit_node kit;
    struct sim_node *node;
    struct sim *sim;
    uint64_t trace;
};

static bool node_alive(void *ctx) {
    return sim_node_running(((struct world *)ctx)->node);
}

static void body(struct simkit_store *s) {
    struct world *w = s->node->arg;
    enum rc rc = env_mkdir(s->env, "db", NULL);
    if (!rc || rc == RC_EXISTS)
        rc = dir_sync(s->r, "", NULL);
    if (!rc)
        ground_run(&w->ground, s->r);
}

static void run_until_crash(struct world *w, int64_t life_ns) {
    static const uint64_t spans[] = {50, 300, 2000, 20000};
    struct rng *rng = sim_rng(w->sim);
    enum sim_crash how = rng_chance(rng, 0.7) ? SIM_POWER : SIM_KILL;
    uint64_t io = 1 + rng_below(rng, spans[rng_below(rng, ARRAY_LEN(spans))]);
    OK(sim_node_start(w->node, NULL) == RC_OK);
    sim_node_crash_at_io(w->node, how, io);
    sim_run(w->sim, sim_now(w->sim) + life_ns);
    if (sim_node_running(w->node))
        sim_node_crash(w->node, how);
    /* A kill leaves what was written; a power loss what was synced: `acked` and `durable` hold after both. */
}

/* One machine and its crashes; true if nothing was wrong. */
static bool live(struct world *w, uint64_t seed, const struct plan *plan) {
    struct sim_conf conf = simkit_conf(seed);
    memset(w, 0, sizeof *w);
    w->kit = (struct simkit_node){.body = body, .arg = w};
    w->sim = sim_new(&conf);
    CHECK(w->sim);
    struct rng *rng = sim_rng(w->sim);
    w->ground = (struct ground){.dir = "db",
                                .readers = plan->readers,
                                .committers = (unsigned)rng_range(rng, 1, 64),
                                .rest_ns = plan->rest_ns,
                                .alive = node_alive,
                                .ctx = w};
    w->node = sim_node_new(w->sim, "n1", 1, &simkit_program, &w->kit);
    sim_disk_faults(w->node)->sync_ns = rng_range(rng, 0, 5 * MS);
    sim_disk_faults(w->node)->sync_jitter_ns = rng_range(rng, 0, 3 * MS);
    for (int i = 0; i < plan->crashes && !w->ground.why[0]; i++)
        run_until_crash(w, plan->life_ns);
    w->trace = sim_trace(w->sim);
    sim_free(w->sim);
    return !w->ground.why[0];
}

static void note(const struct world *w) {
    const struct ground *g = &w->ground;
    tap_note("%llu starts, %llu commits in %llu batches, %lld readers at once, %llu scans, %llu yields in SQLite, "
             "%llu checkpoints, %llu resets, %llu replayed",
             (unsigned long long)g->starts, (unsigned long long)g->commits, (unsigned long long)g->batches,
             (long long)g->readers_most, (unsigned long long)g->scans, (unsigned long long)g->yields,
             (unsigned long long)g->checkpoints, (unsigned long long)g->resets, (unsigned long long)g->replayed);
}

static void thousand_seed(uint64_t seed) {
    static const struct plan plan = {.readers = 1000, .crashes = 2, .life_ns = 80 * MS, .rest_ns = 4 * MS};
    struct world w;
    OKF(live(&w, seed, &plan), "%s", w.ground.why);
    note(&w);
}

static void crash_seed(uint64_t seed) {
    static const struct plan plan = {.readers = 20, .crashes = CRASHES, .life_ns = 250 * MS, .rest_ns = 20 * MS};
    struct world w;
    OKF(live(&w, seed, &plan), "%s", w.ground.why);
    if (seed % 10 == 1)
        note(&w);
}

static void a_thousand_readers(void) {
    simkit_seeds("ground_sim_test", 2, thousand_seed);
}

static void any_crash(void) {
    simkit_seeds("ground_sim_test", 25, crash_seed);
}

static void same_seed_same_run(void) {
    static const struct plan plan = {.readers = 50, .crashes = 3, .life_ns = 100 * MS, .rest_ns = 5 * MS};
    struct world w;
    OK(live(&w, 3, &plan));
    uint64_t trace = w.trace;
    OK(live(&w, 3, &plan));
    OK(trace == w.trace);
}

int main(void) {
    RUN(a_thousand_readers);
    RUN(any_crash);
    RUN(same_seed_same_run);
    return tap_done();
}
