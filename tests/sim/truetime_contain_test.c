/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The property that everything above the clock rests on: for all t, earliest <= true time <= latest, and neither end ever
 * goes back. Each seed is a machine with a random set of sources, an oscillator that wanders within its bound, and a few
 * minutes of trouble: lies of up to f masters, masters that die and come back, steps of the system clock, stalls, sleep, stops
 * of the virtual machine, killed pollers, power losses. SIM_SEEDS=n for more (docs/truetime.md).
 *
 * What is claimed. At most f masters lie at a time, also counting samples that are still in use: so the liars change at most
 * every 5 s. After a stop of the virtual machine, which nothing inside can see, the claim begins again when the masters have
 * spoken. Everything else always.
 */
#include <stdio.h>
#include <string.h>

#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/unit/truetime/ttsim.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static const int64_t LIARS_KEEP_NS = INT64_C(5000000000); /* longer than a sample is used */

struct world {
    struct ttsim t;
    uint64_t seed;
    const char *mutant;
    unsigned n, f;
    bool shm, sim, chrony;
    bool frozen_ok; /* VM stops are part of it */
    int64_t liars_until, stalled_until, period_ns;
    unsigned liars; /* bit set */
    struct ttsim_master *masters[TTSIM_MASTERS];
    uint64_t synced_checks;
};

struct mix {
    const char *spec;
    unsigned n, f;
    bool shm, sim, chrony;
};

static const struct mix mixes[] = {
    {"shm:100;shm:101;shm:102", 3, 1, true, false, false},
    {"shm:0,err=2ms;shm:1,err=2ms;shm:2,err=2ms;shm:3,err=2ms;shm:4,err=2ms", 5, 2, true, false, false},
    {"shm:7,err=200us", 1, 0, true, false, false},
    {"shm:0;shm:1;f=0", 2, 0, true, false, false},
    {"shm:0;shm:1;f=1;max_eps=50ms", 2, 1, true, false, false},
    {"sim;sim;sim", 3, 1, false, true, false},
    {"sim", 1, 0, false, true, false},
    {"chrony", 1, 0, false, false, true},
    {"shm:1;shm:2;chrony", 3, 1, true, false, true},
};

static bool near_liar(const struct world *w) {
    return sim_now(w->t.s) < w->liars_until;
}

static int64_t random_lie(struct rng *rng) {
    int64_t size = 1;
    for (int64_t i = rng_range(rng, 4, 11); i > 0; i--) /* 10 us ... 100 s: small ones are the dangerous ones */
        size *= 10;
    size = rng_range(rng, size / 10, size);
    return rng_chance(rng, 0.5) ? size : -size;
}

/* Who lies from now on: up to f of them, others than before only after the samples of those before are gone. */
static void change_liars(struct world *w) {
    struct rng *rng = sim_rng(w->t.s);
    unsigned masters = w->n - w->chrony; /* chronyd, where it is one of several, stays honest */
    if (near_liar(w) || w->f == 0 || masters == 0)
        return;
    unsigned keep = w->liars ? 0 : w->f;
    w->liars = 0;
    for (unsigned i = 0; i < keep; i++)
        w->liars |= 1u << rng_below(rng, masters);
    for (unsigned i = 0; i < masters; i++) {
        int64_t lie = w->liars >> i & 1 ? random_lie(rng) : 0;
        if (w->shm)
            w->masters[i]->lie_ns = lie;
        else
            sim_truth(w->t.node, i)->lie_ns = lie;
    }
    w->liars_until = sim_now(w->t.s) + LIARS_KEEP_NS;
}

static void toggle_master(struct world *w) {
    struct rng *rng = sim_rng(w->t.s);
    unsigned i = (unsigned)rng_below(rng, w->n - w->chrony + 1);
    if (i == w->n - w->chrony)
        w->t.chrony.silent = !w->t.chrony.silent;
    else if (w->shm)
        w->masters[i]->on = !w->masters[i]->on;
    else if (w->sim)
        sim_truth(w->t.node, i)->lost = !sim_truth(w->t.node, i)->lost;
}

static void all_masters_on(struct world *w) {
    for (unsigned i = 0; i < w->n - w->chrony; i++)
        if (w->shm)
            w->masters[i]->on = true;
        else
            sim_truth(w->t.node, i)->lost = false;
    w->t.chrony.silent = false;
}

static void step_clock(struct world *w) {
    struct rng *rng = sim_rng(w->t.s);
    int64_t by = random_lie(rng);
    if (sim_now(w->t.s) < w->t.frozen_until)
        return; /* nobody is awake to do that */
    sim_clock_step(w->t.node, rng_chance(rng, 0.2) ? by * 30 : by);
}

static void restart_poller(struct world *w, bool power) {
    if (power) {
        ttsim_power_cycle(&w->t);
        w->t.excused_raw = 0;
    } else {
        ttsim_kill(&w->t);
        ttsim_run(&w->t, rng_range(sim_rng(w->t.s), 0, 3 * SEC));
        ttsim_restart(&w->t);
    }
}

static void pause_machine(struct world *w, enum sim_pause how) {
    struct rng *rng = sim_rng(w->t.s);
    int64_t ns = how == SIM_STALL ? rng_range(rng, MS, 8 * SEC)
                 : how == SIM_VM  ? rng_range(rng, 10 * US, 8 * SEC)
                                  : rng_range(rng, 300 * MS, 100 * SEC);
    if (sim_now(w->t.s) < w->t.frozen_until)
        return;
    ttsim_pause(&w->t, how, ns);
    int64_t end = sim_now(w->t.s) + ns;
    w->stalled_until = end > w->stalled_until ? end : w->stalled_until;
    if (how == SIM_VM) {
        all_masters_on(w);    /* silence must not leave samples of before in use */
        w->liars_until += ns; /* samples do not age meanwhile */
    }
    if (how == SIM_VM || sim_now(w->t.s) < w->t.excused_until) { /* until each master has spoken and been looked at */
        int64_t blind = 2 * w->period_ns + 2700 * MS;            /* after a step back stamps are refused for 2 s */
        w->t.excused_until = w->stalled_until + blind;
        w->t.excused_raw = sim_clock_read(w->t.node, ENV_CLOCK_RAW) + blind;
    }
}

static void trouble(struct world *w) {
    struct rng *rng = sim_rng(w->t.s);
    switch (rng_below(rng, 13)) {
    case 0:
    case 1:
    case 2:
        change_liars(w);
        break;
    case 3:
    case 4:
        if (sim_now(w->t.s) >= w->t.excused_until)
            toggle_master(w);
        break;
    case 5:
        all_masters_on(w);
        break;
    case 6:
    case 7:
        step_clock(w);
        break;
    case 8:
        sim_clock_drift(w->t.node, rng_range(rng, -199900, 199900));
        break;
    case 9:
        pause_machine(w, SIM_STALL);
        break;
    case 10:
        pause_machine(w, SIM_SUSPEND);
        break;
    case 11:
        if (w->frozen_ok)
            pause_machine(w, SIM_VM);
        break;
    default:
        if (sim_now(w->t.s) >= w->t.frozen_until && sim_now(w->t.s) >= w->t.excused_until)
            restart_poller(w, rng_chance(rng, 0.3));
        break;
    }
}

static void world_init(struct world *w, uint64_t seed, const char *mutant) {
    struct rng rng;
    rng_init(&rng, seed * 77);
    const struct mix *mix = &mixes[seed % ARRAY_LEN(mixes)];
    *w = (struct world){.seed = seed, .mutant = mutant, .n = mix->n, .f = mix->f, .shm = mix->shm, .sim = mix->sim};
    w->chrony = mix->chrony;
    w->frozen_ok = rng_chance(&rng, 0.3);
    ttsim_init(&w->t, seed, mix->spec, mutant);
    w->period_ns = rng_chance(&rng, 0.5) ? 250 * MS : rng_chance(&rng, 0.5) ? 1000 * MS : 60 * MS;
    for (unsigned i = 0; i < w->n - w->chrony && w->shm; i++) {
        const struct tt_source_spec *s = &w->t.conf.spec.sources[i];
        w->masters[i] = ttsim_master(&w->t, s->unit, w->period_ns, s->err_ns);
        w->masters[i]->late_ns = rng_chance(&rng, 0.5) ? 0 : rng_range(&rng, 0, 50 * MS);
    }
    if (w->chrony)
        ttsim_serve_chrony(&w->t, rng_range(&rng, 100 * US, 3 * MS));
    sim_clock_drift(w->t.node, rng_range(&rng, -199900, 199900));
    sim_clock_step(w->t.node, rng_range(&rng, -3 * SEC, 3 * SEC));
}

/* True if the property held. */
static bool one_world(uint64_t seed, const char *mutant, uint64_t *ret_known) {
    struct world w;
    world_init(&w, seed, mutant);
    ttsim_run(&w.t, 5 * SEC);
    while (sim_now(w.t.s) < 125 * SEC) {
        ttsim_run(&w.t, rng_exponential(sim_rng(w.t.s), 4 * SEC));
        trouble(&w);
    }
    bool ok = w.t.violations == 0 && w.t.backwards == 0;
    if (!ok && !mutant)
        tap_note("seed %llu (%s): of %llu known readings %llu miss true time (worst %lld ns, first at %lld.%03lld s), "
                 "%llu go back",
                 (unsigned long long)seed, mixes[seed % ARRAY_LEN(mixes)].spec, (unsigned long long)w.t.known,
                 (unsigned long long)w.t.violations, (long long)w.t.worst_ns, (long long)(w.t.first_ns / SEC),
                 (long long)(w.t.first_ns % SEC / MS), (unsigned long long)w.t.backwards);
    *ret_known += w.t.known;
    /* Peace: whatever happened, the clock comes back. */
    if (!mutant) {
        all_masters_on(&w);
        w.t.chrony.lie_ns = 0;
        for (unsigned i = 0; i < w.n - w.chrony; i++)
            if (w.shm)
                w.masters[i]->lie_ns = 0;
            else
                sim_truth(w.t.node, i)->lie_ns = 0;
        sim_run(w.t.s, w.t.frozen_until > sim_now(w.t.s) ? w.t.frozen_until : sim_now(w.t.s));
        for (int i = 0; i < 130 && !tt_is_known(tt_now(&w.t.clock)); i++)
            ttsim_run(&w.t, SEC);
        ok &= OKF(tt_is_known(tt_now(&w.t.clock)), "seed %llu: the clock did not come back: %s",
                  (unsigned long long)seed, tt_state_name(ttsim_state(&w.t)));
    }
    ttsim_done(&w.t);
    return ok;
}

static void contained_seed(uint64_t seed) {
    uint64_t known = 0;
    OK(one_world(seed, NULL, &known));
    OK(known > 0);
}

static void true_time_is_always_inside(void) {
    simkit_seeds("truetime_contain_test", 300, contained_seed);
}

/* Each rule, switched off, is missed by the property within a few worlds: it does hold the roof up. */
static void without_each_rule_it_breaks(void) {
    static const char *const rules[] = {"C-2",        "C-3",     "combine-max-overlap", "combine-silent",
                                        "tt-suspend", "tt-stamp"};
    uint64_t known = 0;
    OK(one_world(1, "no such rule", &known));
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        uint64_t seed = 1;
        while (seed <= 400 && one_world(seed, rules[i], &known))
            seed++;
        OKF(seed <= 400, "nothing notices that rule %s is gone", rules[i]);
        tap_note("without %s: caught by seed %llu", rules[i], (unsigned long long)seed);
    }
}

/* The same seed is the same world, to the nanosecond. */
static void seeds_replay(void) {
    uint64_t trace[2];
    for (int i = 0; i < 2; i++) {
        struct world w;
        world_init(&w, 4, NULL);
        while (sim_now(w.t.s) < 40 * SEC) {
            ttsim_run(&w.t, SEC);
            trouble(&w);
            sim_trace_mix(w.t.s, (uint64_t)tt_now(&w.t.clock).earliest);
        }
        trace[i] = sim_trace(w.t.s);
        ttsim_done(&w.t);
    }
    OK(trace[0] == trace[1]);
}

int main(void) {
    RUN(true_time_is_always_inside);
    RUN(without_each_rule_it_breaks);
    RUN(seeds_replay);
    return tap_done();
}
