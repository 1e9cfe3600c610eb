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

/* Replicas are added, take the place of others, and are removed, while commands go on. */
static void members_come_and_go(void) {
    struct rworld_conf conf = {
        .seed = 2, .nodes = 5, .voters = 3, .groups = 3, .faults_ns = 30 * SECOND, .calm = true, .changes = true};
    struct rworld_result res;
    rworld_run(&conf, &res, NULL, NULL);
    EQ_STR(res.broken, "");
    OK(res.acked > 100 && res.changes_done >= 5 && res.removed >= 3);
    tap_note("acked=%llu changes=%llu removed=%llu snapshots=%llu", (unsigned long long)res.acked,
             (unsigned long long)res.changes_done, (unsigned long long)res.removed, (unsigned long long)res.snapshots);
}

/* Many groups, whose leaders are on different stores, and stores that forgot what they supported: each vote for one store's
 * candidate ends the epoch of another. Seed 35 of a minute's trouble: without asking again at once they never came to rest. */
static void leases_come_to_rest(void) {
    struct rworld_conf conf;
    struct rworld_result res;
    rworld_mix(35, 60 * SECOND, &conf);
    rworld_run(&conf, &res, NULL, NULL);
    EQ_STR(res.broken, "");
}

/* Rare code that the worlds must come through. */
static const char *const probes[] = {"replica: a run could not be applied",
                                     "replica: installed a snapshot",
                                     "replica: a snapshot is sent again",
                                     "replica: stopped asking for support",
                                     "replica: removed from its group",
                                     "replica: resigned a group whose state machine hangs",
                                     "replica: the log had no room",
                                     "replica: took no entries, the log has no room",
                                     "paxos: a reign began on a release",
                                     "paxos: an entry came early",
                                     "paxos: a candidate lacks what a voter has truncated",
                                     "paxos: a candidate left aside what a later ballot contradicts",
                                     "paxos: a lease kept a voter from promising",
                                     "paxos: a leader met a higher ballot",
                                     "support: refused the renewal of a lapsed epoch"};
static uint64_t hits[ARRAY_LEN(probes)], seeds, events, acked, crashes, snapshots, changes, removed, elections;

static void count_probe(void *ctx, const char *what, uint64_t n) {
    (void)ctx;
    for (size_t i = 0; i < ARRAY_LEN(probes); i++)
        hits[i] += strcmp(probes[i], what) == 0 ? n : 0;
}

static void one_seed(uint64_t seed) {
    struct rworld_conf conf;
    struct rworld_result res;
    rworld_mix(seed, (int64_t)tap_env("SIM_FAULT_SECONDS", 20) * SECOND, &conf);
    rworld_run(&conf, &res, count_probe, NULL);
    OKF(res.broken[0] == '\0', "seed %llu (%u nodes, %u voters, %u witnesses, %u groups): %s", (unsigned long long)seed,
        conf.nodes, conf.voters, conf.witnesses, conf.groups, res.broken);
    seeds++;
    events += res.events;
    acked += res.acked;
    crashes += res.crashes;
    snapshots += res.snapshots;
    changes += res.changes_done;
    removed += res.removed;
    elections += res.elections;
}

static void everything_goes_wrong(void) {
    char never[1024] = "";
    simkit_seeds("replica_sim_test", 8, one_seed);
    OK(seeds > 0 && acked > 0);
    tap_note("seeds=%llu events=%llu acked=%llu elections=%llu crashes=%llu snapshots=%llu changes=%llu removed=%llu",
             (unsigned long long)seeds, (unsigned long long)events, (unsigned long long)acked,
             (unsigned long long)elections, (unsigned long long)crashes, (unsigned long long)snapshots,
             (unsigned long long)changes, (unsigned long long)removed);
    for (size_t i = 0; i < ARRAY_LEN(probes); i++)
        if (!hits[i])
            snprintf(never + strlen(never), sizeof never - strlen(never), "%s%s", never[0] ? "; " : "", probes[i]);
    tap_note("never hit: %s", never[0] ? never : "none");
}

/* ---- rules broken on purpose ------------------------------------------------------------------------------------- */

/* In a process of its own, since an invariant inside may stop it before the world sees anything. */
static bool caught(const char *rule, bool alone, uint64_t seed) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct rworld_conf conf;
        struct rworld_result res;
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        rworld_mix(seed, 12 * SECOND, &conf);
        conf.groups = conf.groups > 5 ? 5 : conf.groups;
        conf.lies = false;
        conf.gated = true;
        if (alone)
            conf.nodes = conf.voters = 1, conf.witnesses = conf.learners = 0;
        conf.mutant = rule;
        rworld_run(&conf, &res, NULL, NULL);
        _exit(res.broken[0] ? 1 : 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void without_each_rule_it_breaks(void) {
    static const struct {
        const char *rule;
        bool alone; /* a sole voter shows it sooner (P-2) */
    } rules[] = {{"P-2: count on what is not durable", true},
                 {"P-11: cut the log at what is applied", false},
                 {"T-4: no gate before apply", false},
                 {"P-1: speak as before the restart", false}};
    OK(!caught("no such rule", false, 1) && !caught("no such rule", true, 1));
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        uint64_t seed = 1, end = seed + tap_env("SIM_MUTANT_SEEDS", 60);
        while (seed < end && !caught(rules[i].rule, rules[i].alone, seed))
            seed++;
        OKF(seed < end, "nothing notices that this rule is gone: %s", rules[i].rule);
        tap_note("without \"%s\": caught by seed %llu", rules[i].rule, (unsigned long long)seed);
    }
}

static void the_same_seed_is_the_same_world(void) {
    struct rworld_conf conf;
    struct rworld_result res[2];
    rworld_mix(3, 5 * SECOND, &conf);
    for (int i = 0; i < 2; i++)
        rworld_run(&conf, &res[i], NULL, NULL);
    OK(res[0].trace == res[1].trace && res[0].events == res[1].events);
}

int main(void) {
    if (tap_env("SIM_ONLY_SEEDS", 0)) {
        RUN(everything_goes_wrong);
        return tap_done();
    }
    RUN(calm);
    RUN(members_come_and_go);
    RUN(leases_come_to_rest);
    RUN(everything_goes_wrong);
    RUN(without_each_rule_it_breaks);
    RUN(the_same_seed_is_the_same_world);
    return tap_done();
}
