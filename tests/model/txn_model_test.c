/* SPDX-License-Identifier: Apache-2.0 */
/* Two-phase commit in a hostile world, many seeds: every history strictly serializable, nothing left behind. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tap.h"
#include "tests/model/txn_world.h"

static void seeds(const char *name, struct tw_conf conf, uint64_t count, uint64_t steps) {
    uint64_t only = tap_env("SIM_SEED", 0), first = tap_env("SIM_FIRST", 1), n = tap_env("SIM_SEEDS", count);
    struct tw_stats sum = {0};
    conf.mutant = getenv("SIM_MUTANT");
    for (uint64_t seed = only ? only : first; seed < (only ? only + 1 : first + n); seed++) {
        struct tw_stats s;
        conf.seed = seed;
        struct tw *w = tw_new(&conf);
        bool ok = tw_run(w, steps) && tw_settle(w);
        tw_stats(w, &s);
        sum.committed += s.committed;
        sum.aborted += s.aborted;
        sum.two_phase += s.two_phase;
        sum.read_only += s.read_only;
        sum.resolved += s.resolved;
        sum.splits += s.splits;
        sum.reigns += s.reigns;
        sum.wounds += s.wounds;
        OKF(ok, "%s, seed %llu: %s", name, (unsigned long long)seed, tw_broken(w));
        tw_free(w);
        if (!ok) {
            tap_note("replay: SIM_SEED=%llu tests/run txn_model_test", (unsigned long long)seed);
            return;
        }
    }
    tap_note("%s: %llu committed (%llu of several tablets), %llu aborted, %llu read-only, %llu resolved by token, "
             "%llu splits, %llu new leaders, %llu wounds",
             name, (unsigned long long)sum.committed, (unsigned long long)sum.two_phase,
             (unsigned long long)sum.aborted, (unsigned long long)sum.read_only, (unsigned long long)sum.resolved,
             (unsigned long long)sum.splits, (unsigned long long)sum.reigns, (unsigned long long)sum.wounds);
    OK(only || sum.committed > n * 5);
}

static const int64_t MS = 1000000;

static void nothing_fails(void) {
    struct tw_conf c = {.tablets = 3, .gateways = 2, .clock_error_ns = 5 * MS};
    seeds("nothing fails", c, 8, 4000);
}

static void messages_are_lost(void) {
    struct tw_conf c = {
        .tablets = 3, .gateways = 3, .clock_error_ns = 5 * MS, .loss = 0.03, .duplicate = 0.05, .late = 0.02};
    seeds("messages are lost", c, 12, 5000);
}

static void leaders_die(void) {
    struct tw_conf c = {.tablets = 4, .gateways = 3, .clock_error_ns = 10 * MS, .loss = 0.01, .duplicate = 0.02};
    c.crash = 0.0008;
    c.transfer = 0.0008;
    c.late = 0.005;
    c.refuse = 0.01;
    seeds("leaders die", c, 16, 5000);
}

static void everything_fails(void) {
    struct tw_conf c = {.tablets = 2, .gateways = 4, .clock_error_ns = 20 * MS, .loss = 0.02, .duplicate = 0.05};
    c.late = 0.01;
    c.crash = 0.0005;
    c.transfer = 0.0005;
    c.split = 0.001;
    c.gateway_crash = 0.0005;
    c.refuse = 0.01;
    seeds("everything fails", c, 20, 6000);
}

static void a_few_keys(void) {
    struct tw_conf c = {.tablets = 4, .gateways = 4, .clock_error_ns = 5 * MS, .loss = 0.005, .one_key = true};
    c.crash = 0.0006;
    c.transfer = 0.001;
    c.split = 0.0003;
    seeds("a few keys", c, 14, 5000);
}

/* Messages come by seconds late, and often twice: late copies meet what is long over. */
static void everything_is_late(void) {
    struct tw_conf c = {.tablets = 3, .gateways = 4, .clock_error_ns = 5 * MS, .duplicate = 0.3, .late = 0.08};
    c.one_key = true;
    c.transfer = 0.0003;
    seeds("everything is late", c, 14, 8000);
}

static void leases_are_short(void) {
    struct tw_conf c = {.tablets = 4, .gateways = 3, .clock_error_ns = 10 * MS, .loss = 0.02, .late = 0.03};
    c.short_leases = true;
    c.crash = 0.0002;
    c.refuse = 0.02;
    seeds("leases are short", c, 14, 5000);
}

/* Wide clocks, and leadership that changes hands at once: what a reader was promised must go along (S-1, N-3). */
static void hands_change_quickly(void) {
    struct tw_conf c = {.tablets = 4, .gateways = 4, .clock_error_ns = 60 * MS, .late = 0.01, .one_key = true};
    c.transfer = 0.01;
    seeds("hands change quickly", c, 14, 5000);
}

/* A few transactions, and one fault at each single step of them: every crash point of two-phase commit. */
static void a_fault_at_every_step(void) {
    uint64_t points = tap_env("SIM_SEEDS", 150), runs = 0, two_phase = 0;
    for (int what = TW_CRASH; what < TW_KINDS; what++)
        for (uint64_t at = 1; at <= points && !tap_failing(); at++, runs++) {
            struct tw_conf c = {.seed = 77, .tablets = 3, .gateways = 1, .clock_error_ns = 3 * MS};
            struct tw_stats s;
            c.mutant = getenv("SIM_MUTANT");
            c.at_step = at;
            c.what = what;
            c.clients_stop = 60;
            struct tw *w = tw_new(&c);
            OKF(tw_run(w, points) && tw_settle(w), "fault %d at step %llu: %s", what, (unsigned long long)at,
                tw_broken(w));
            tw_stats(w, &s);
            two_phase += s.two_phase;
            tw_free(w);
        }
    tap_note("%llu runs, %llu commits of several tablets", (unsigned long long)runs, (unsigned long long)two_phase);
    OK(tap_failing() || two_phase > 0);
}

int main(void) {
    static void (*const all[])(void) = {nothing_fails,    messages_are_lost,    leaders_die,
                                        everything_fails, a_few_keys,           everything_is_late,
                                        leases_are_short, hands_change_quickly, a_fault_at_every_step};
    static const char *const name[] = {"nothing_fails",    "messages_are_lost",    "leaders_die",
                                       "everything_fails", "a_few_keys",           "everything_is_late",
                                       "leases_are_short", "hands_change_quickly", "a_fault_at_every_step"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        tap_begin(name[i]);
        all[i]();
        bool caught = tap_failing() && getenv("SIM_MUTANT");
        tap_end();
        if (caught)
            break;
    }
    return tap_done();
}
