/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replica_world.h: whole stores with their logs, networks and clocks, running groups of registers in the simulator, while
 * everything goes wrong. A world is a pure function of its seed.
 *
 * Checked at each application: one value per slot and equal running checksums on all replicas (INV-P1, INV-P4); nothing is
 * chosen that its proposer was told never would be. After each event: no two stores hold the lease of a group (INV-L1).
 * At each acknowledgement: the value stands in its slot, its timestamp is above all that was served before (INV-S2). At the
 * end: timestamps grow with the slots (INV-S1); after the last fault every group gets a leader, all its replicas agree and
 * hold everything acknowledged (INV-P3, LIVE-1).
 */
#ifndef MERIDIAN_TESTS_REPLICA_WORLD_H
#define MERIDIAN_TESTS_REPLICA_WORLD_H

#include "geo-sim/sim/sim.h"
#include "tests/lib/pxhost.h"

struct rworld_conf {
    uint64_t seed;
    uint32_t nodes, voters, witnesses, learners, groups;
    int64_t faults_ns; /* how long things go wrong */
    bool datagrams, changes, lies, gated, disks;
    bool calm; /* no faults at all */
    const char *mutant;
};

struct rworld_result {
    char broken[512]; /* "" = nothing */
    uint64_t trace, events, acked, chosen, snapshots, crashes, elections, changes_done, removed;
};

/* A mix of members, faults and network that belongs to the seed. */
void rworld_mix(uint64_t seed, int64_t faults_ns, struct rworld_conf *ret);
/* probe: called with each probe and its hits at the end; may be NULL. */
void rworld_run(const struct rworld_conf *conf, struct rworld_result *ret,
                void (*probe)(void *ctx, const char *what, uint64_t hits), void *ctx);

#endif
