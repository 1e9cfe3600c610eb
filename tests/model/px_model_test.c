/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Paxos core in a hostile world, many seeds: safety always, progress once the faults end.
 *
 * PX_WORLD=NAME runs one configuration only, PX_STOP=1 ends at the first failure (mutants, long runs).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/model/px_world.h"

enum { MS = 1000000 };

static const struct {
    const char *name;
    uint64_t seeds, steps;
    struct w_conf conf;
} worlds[] = {
    {"sole", 30, 10000, {.lab = {.nodes = 1, .voters = 1}, .clock_error_ns = 5 * MS, .crash = 0.2, .ends = true}},
    {"three",
     60,
     20000,
     {.lab = {.nodes = 3, .voters = 3},
      .clock_error_ns = 20 * MS,
      .loss = 0.05,
      .duplicate = 0.05,
      .crash = 0.1,
      .cut = 0.05,
      .pause = 0.05}},
    {"five",
     25,
     30000,
     {.lab = {.nodes = 5, .voters = 5},
      .clock_error_ns = 100 * MS,
      .loss = 0.1,
      .duplicate = 0.05,
      .crash = 0.1,
      .cut = 0.1,
      .pause = 0.1}},
    {"witness",
     30,
     20000,
     {.lab = {.nodes = 3, .voters = 3, .witnesses = 1},
      .clock_error_ns = 10 * MS,
      .loss = 0.05,
      .crash = 0.1,
      .ends = true}},
    {"members",
     50,
     40000,
     {.lab = {.nodes = 6, .voters = 3},
      .clock_error_ns = 20 * MS,
      .loss = 0.05,
      .duplicate = 0.05,
      .crash = 0.05,
      .cut = 0.05,
      .pause = 0.02,
      .changes = true,
      .ends = true}},
    {"grown", /* from one voter up and down again */
     20,
     30000,
     {.lab = {.nodes = 3, .voters = 1},
      .clock_error_ns = 20 * MS,
      .loss = 0.02,
      .duplicate = 0.05,
      .crash = 0.05,
      .changes = true,
      .ends = true}},
    {"tight", /* small bounds everywhere: cut Promises, reads from disk, refused proposals */
     30,
     20000,
     {.lab = {.nodes = 3,
              .voters = 3,
              .limits = {.inflight_bytes = 4096,
                         .message_bytes = 64,
                         .peer_bytes = 512,
                         .peer_entries = 4,
                         .window_bytes = 1024}},
      .clock_error_ns = 20 * MS,
      .loss = 0.05,
      .duplicate = 0.1,
      .crash = 0.05,
      .cut = 0.05}},
    /* Clocks that lie may cost freshness, never a chosen value (C-6). */
    {"lies",
     40,
     30000,
     {.lab = {.nodes = 5, .voters = 3, .clocks_lie = true},
      .clock_error_ns = 20 * MS,
      .loss = 0.05,
      .duplicate = 0.05,
      .crash = 0.1,
      .cut = 0.05,
      .changes = true}},
};

/* Rare code that these seeds must reach. */
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

static struct {
    uint64_t hits[ARRAY_LEN(probes_wanted)], seeds, chosen, served, seconds;
    bool only_some;
} total;

static void add_probes(const struct lab *l) {
    for (size_t i = 0; i < ARRAY_LEN(probes_wanted); i++)
        total.hits[i] += lab_probe(l, probes_wanted[i]);
}

static void run_world(size_t i) {
    uint64_t only = tap_env("SIM_SEED", 0), n = tap_env("SIM_SEEDS", worlds[i].seeds), chosen = 0, served = 0;
    uint64_t first = only ? only : tap_env("SIM_FIRST", 1), last = only ? only : first + n - 1, seed = first;
    struct w_conf conf = worlds[i].conf;
    conf.lab.mutant = getenv("SIM_MUTANT");
    for (; seed <= last && !tap_failing(); seed++) {
        conf.lab.seed = seed;
        struct world *w = world_new(&conf);
        struct lab *l = world_lab(w);
        bool ok = world_run(w, worlds[i].steps) && world_settle(w);
        chosen += l->chosen_last;
        served += l->served;
        total.seconds += (uint64_t)(l->now / LAB_SECOND);
        add_probes(l);
        OKF(ok, "%s, seed %llu: %s", worlds[i].name, (unsigned long long)seed, l->broken);
        if (!ok)
            tap_note("replay: PX_WORLD=%s SIM_SEED=%llu SIM_PRINT=1%s%s tests/run px_model_test", worlds[i].name,
                     (unsigned long long)seed, conf.lab.mutant ? " SIM_MUTANT=" : "",
                     conf.lab.mutant ? conf.lab.mutant : "");
        world_free(w);
    }
    uint64_t ran = seed - first;
    total.seeds += ran;
    total.chosen += chosen;
    total.served += served;
    tap_note("%s: %llu seeds, %llu slots chosen, %llu reads served", worlds[i].name, (unsigned long long)ran,
             (unsigned long long)chosen, (unsigned long long)served);
    if (tap_failing())
        return;
    OK(chosen > ran * 5);
    OK(served > ran / 2);
}

static void rare_code_was_reached(void) {
    if (total.only_some) {
        tap_skip("not the whole set");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(probes_wanted); i++)
        OKF(total.hits[i] > 0, "never: %s", probes_wanted[i]);
}

int main(void) {
    const char *only = getenv("PX_WORLD");
    bool stop = getenv("PX_STOP") != NULL;
    total.only_some = only || tap_env("SIM_SEED", 0);
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        if (only && strcmp(only, worlds[i].name) != 0)
            continue;
        tap_begin(worlds[i].name);
        run_world(i);
        bool failed = tap_failing();
        tap_end();
        total.only_some |= failed;
        if (failed && stop)
            break;
    }
    RUN(rare_code_was_reached);
    tap_note("total: seeds=%llu slots=%llu reads=%llu simulated_seconds=%llu", (unsigned long long)total.seeds,
             (unsigned long long)total.chosen, (unsigned long long)total.served, (unsigned long long)total.seconds);
    return tap_done();
}
