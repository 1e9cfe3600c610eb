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
    c.crash = 0.0002;
    c.split = 0.0003;
    seeds("a few keys", c, 12, 5000);
}

int main(void) {
    RUN(nothing_fails);
    RUN(messages_are_lost);
    RUN(leaders_die);
    RUN(everything_fails);
    RUN(a_few_keys);
    return tap_done();
}
