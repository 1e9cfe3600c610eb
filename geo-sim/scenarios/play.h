/* SPDX-License-Identifier: Apache-2.0 */
/*
 * play.h: plays a scenario's text on the virtual back end: whole nodes (node.h) with the transaction layer, on the simulator, over
 * the links and clocks of a topology.
 *
 * Promise     A run is a function of the script, the topology and the seed, event by event (results' trace). A node is what
 *             `meridian start` runs below SQL; clients are gateways of it (txn/client.h), so all that they wait for is there:
 *             links, quorums, disks, commit wait. True time is held against every clock that is looked at.
 * Relies on   geo-sim/sim, txn/upper.h, script.h, work.h.
 * Threads     one.
 */
#ifndef MERIDIAN_GEO_PLAY_H
#define MERIDIAN_GEO_PLAY_H

#include "geo-sim/scenarios/work.h"
#include "geo-sim/sim/sim_topo.h"

struct play_conf {
    const struct script *script;
    struct topo *topo; /* as it is at first; changed by the steps */
    uint64_t seed;
    bool print;
    const char *mutant; /* a rule to break, or NULL */
    const char *topology_name;
};

struct play_stats {
    uint64_t events, trace;
    int64_t virtual_ns; /* all of it; the workload's part is the script's duration */
};

/* What was not as the script expects lies in ret's checks. An error: it could not be played at all. */
enum rc play_script(const struct play_conf *conf, struct results **ret, struct play_stats *ret_stats,
                    struct err *err) MUST_CHECK;

#endif
