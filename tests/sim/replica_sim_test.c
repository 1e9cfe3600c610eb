/* SPDX-License-Identifier: Apache-2.0 */
/* Replicas of groups in the simulator: replica_world.h. SIM_SEED=k replays one seed, SIM_SEEDS=n runs more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/sim/replica_world.h"

static const int64_t SECOND = 1000000000;

/* Without faults: a leader within a second or so, and everything is acknowledged. */
static void calm(void) {
    struct rworld_conf conf = {.seed = 1, .nodes = 3, .voters = 3, .groups = 2, .faults_ns = 5 * SECOND, .calm = true};
    struct rworld_result res;
    rworld_run(&conf, &res, NULL, NULL);
    EQ_STR(res.broken, "");
    OK(res.acked > 100);
    tap_note("acked=%llu chosen=%llu events=%llu elections=%llu", (unsigned long long)res.acked,
             (unsigned long long)res.chosen, (unsigned long long)res.events, (unsigned long long)res.elections);
}

static uint64_t acked, crashes, snapshots, changes, removed;

static void one_seed(uint64_t seed) {
    struct rworld_conf conf;
    struct rworld_result res;
    rworld_mix(seed, 20 * SECOND, &conf);
    rworld_run(&conf, &res, NULL, NULL);
    OKF(res.broken[0] == '\0', "seed %llu (%u nodes, %u voters, %u witnesses, %u groups): %s", (unsigned long long)seed,
        conf.nodes, conf.voters, conf.witnesses, conf.groups, res.broken);
    if (tap_env("SIM_PRINT", 0))
        tap_note("seed %llu: events=%llu acked=%llu crashes=%llu", (unsigned long long)seed,
                 (unsigned long long)res.events, (unsigned long long)res.acked, (unsigned long long)res.crashes);
    acked += res.acked;
    crashes += res.crashes;
    snapshots += res.snapshots;
    changes += res.changes_done;
    removed += res.removed;
}

static void everything_goes_wrong(void) {
    simkit_seeds("replica_sim_test", 12, one_seed);
    tap_note("acked=%llu crashes=%llu snapshots=%llu changes=%llu removed=%llu", (unsigned long long)acked,
             (unsigned long long)crashes, (unsigned long long)snapshots, (unsigned long long)changes,
             (unsigned long long)removed);
}

static void the_same_seed_is_the_same_world(void) {
    struct rworld_conf conf;
    struct rworld_result res[2];
    rworld_mix(3, 8 * SECOND, &conf);
    for (int i = 0; i < 2; i++)
        rworld_run(&conf, &res[i], NULL, NULL);
    OK(res[0].trace == res[1].trace && res[0].events == res[1].events);
}

int main(void) {
    RUN(calm);
    RUN(everything_goes_wrong);
    RUN(the_same_seed_is_the_same_world);
    return tap_done();
}
