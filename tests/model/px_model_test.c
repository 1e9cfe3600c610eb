/* SPDX-License-Identifier: Apache-2.0 */
/* The Paxos core in a hostile world, many seeds: safety always, progress once the faults end. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tap.h"
#include "tests/model/px_world.h"

static const char *const probes_wanted[] = {
    "paxos: a lease kept a voter from promising",
    "paxos: an entry came early",
    "paxos: dropped what a later ballot contradicts",
    "paxos: a candidate left aside what a later ballot contradicts",
    "paxos: a reign began on a release",
    "paxos: a leader met a higher ballot",
    "paxos: a candidate lacks what a voter has truncated",
    "paxos: resigned",
    "paxos: a leader resigned one group",
    "paxos: asked to take over",
    "support: refused the renewal of a lapsed epoch",
};

static uint64_t hits[ARRAY_LEN(probes_wanted)];

static void add_probe(void *ctx, const char *what, uint64_t n) {
    (void)ctx;
    for (size_t i = 0; i < ARRAY_LEN(probes_wanted); i++)
        if (__builtin_strcmp(what, probes_wanted[i]) == 0)
            hits[i] += n;
}

static void seeds(const char *name, struct w_conf conf, uint64_t count, uint64_t steps) {
    uint64_t only = tap_env("SIM_SEED", 0), n = tap_env("SIM_SEEDS", count), chosen = 0, acked = 0;
    conf.mutant = getenv("SIM_MUTANT");
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : n); seed++) {
        conf.seed = seed;
        struct world *w = world_new(&conf);
        bool ok = world_run(w, steps) && world_settle(w);
        chosen += world_chosen(w);
        acked += world_acked(w);
        world_probes(w, add_probe, NULL);
        OKF(ok, "%s, seed %llu: %s", name, (unsigned long long)seed, world_broken(w));
        world_free(w);
        if (!ok)
            return;
    }
    tap_note("%s: %llu seeds, %llu slots chosen, %llu reads served", name, (unsigned long long)n,
             (unsigned long long)chosen, (unsigned long long)acked);
    OK(chosen > n * 10);
    OK(acked > n);
}

static const int64_t MS = 1000000;

static void three_voters(void) {
    struct w_conf c = {
        .nodes = 3, .voters = 3, .clock_error_ns = 20 * MS, .loss = 0.05, .duplicate = 0.05, .crash = 0.1, .cut = 0.05};
    seeds("three voters", c, 100, 20000);
}

static void five_voters(void) {
    struct w_conf c = {
        .nodes = 5, .voters = 5, .clock_error_ns = 100 * MS, .loss = 0.1, .duplicate = 0.05, .crash = 0.1, .cut = 0.1};
    seeds("five voters", c, 60, 30000);
}

static void with_a_witness(void) {
    struct w_conf c = {.nodes = 3, .voters = 3, .witnesses = 1, .clock_error_ns = 10 * MS, .loss = 0.05, .crash = 0.1};
    seeds("two voters and a witness", c, 60, 20000);
}

static void members_change(void) {
    struct w_conf c = {.nodes = 6,
                       .voters = 3,
                       .clock_error_ns = 20 * MS,
                       .loss = 0.05,
                       .duplicate = 0.05,
                       .crash = 0.05,
                       .cut = 0.05,
                       .changes = true};
    seeds("members change", c, 100, 40000);
}

static void sole_voter(void) {
    struct w_conf c = {.nodes = 1, .voters = 1, .clock_error_ns = 5 * MS, .crash = 0.2};
    seeds("a sole voter", c, 60, 10000);
}

/* Clocks that lie may cost freshness, never a chosen value (C-6). */
static void lying_clocks(void) {
    struct w_conf c = {.nodes = 5,
                       .voters = 3,
                       .clock_error_ns = 20 * MS,
                       .clock_lies = true,
                       .loss = 0.05,
                       .duplicate = 0.05,
                       .crash = 0.1,
                       .cut = 0.05,
                       .changes = true};
    seeds("lying clocks", c, 60, 30000);
}

static void rare_code_was_reached(void) {
    if (tap_env("SIM_SEED", 0)) {
        tap_skip("one seed only");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(probes_wanted); i++)
        OKF(hits[i] > 0, "never: %s", probes_wanted[i]);
}

int main(void) {
    RUN(sole_voter);
    RUN(three_voters);
    RUN(five_voters);
    RUN(with_a_witness);
    RUN(members_change);
    RUN(lying_clocks);
    RUN(rare_code_was_reached);
    return tap_done();
}
