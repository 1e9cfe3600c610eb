/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Paxos core where memory runs out, again and again: every allocation of
 * the core and of support may fail. It drops the message, refuses the proposal,
 * steps down; it breaks no invariant, leaks nothing, and goes on once there is
 * memory again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tap.h"
#include "tests/model/oom.h"
#include "tests/model/px_world.h"

#undef malloc
#undef calloc
#undef realloc

/* The one place where this program's fate is decided; a world is one thread. */
static struct {
    struct rng rng;
    double chance;
    uint64_t strikes;
} oom;

bool oom_strikes(void) {
    bool strikes = oom.chance > 0 && rng_chance(&oom.rng, oom.chance);
    oom.strikes += strikes;
    return strikes;
}

/* What a store does at its start may not fail in the lab: an error there is a
 * store that does not start. */
static bool run(struct world *w, uint64_t steps, double chance) {
    bool ok = true;
    for (uint64_t i = 0; i < steps && ok; i++) {
        oom.chance = chance;
        ok = world_run(w, 1);
    }
    oom.chance = 0;
    return ok;
}

static void worlds(const char *name, struct w_conf c, uint64_t seeds, double chance) {
    uint64_t only = tap_env("SIM_SEED", 0), n = tap_env("SIM_SEEDS", seeds);
    oom.strikes = 0;
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : n) && !tap_failing(); seed++) {
        c.lab.seed = seed;
        rng_init(&oom.rng, seed);
        struct world *w = world_new(&c);
        bool ok = run(w, 10000, chance) && world_settle(w);
        OKF(ok, "%s, seed %llu: %s", name, (unsigned long long)seed, world_lab(w)->broken);
        world_free(w);
    }
    tap_note("%s: %llu allocations failed", name, (unsigned long long)oom.strikes);
    OK(tap_failing() || oom.strikes > 100);
}

static void three_voters(void) {
    struct w_conf c = {.lab = {.nodes = 3, .voters = 3}, .clock_error_ns = 20 * LAB_MS, .loss = 0.02, .cut = 0.05};
    worlds("three", c, 15, 0.03);
}

static void members_change(void) {
    struct w_conf c = {
        .lab = {.nodes = 5, .voters = 3}, .clock_error_ns = 20 * LAB_MS, .loss = 0.02, .cut = 0.05, .changes = true};
    worlds("members", c, 15, 0.03);
}

int main(void) {
    RUN(three_voters);
    RUN(members_change);
    return tap_done();
}
