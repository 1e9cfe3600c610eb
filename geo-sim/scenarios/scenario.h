/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario.h: what `meridian sim` can play: a story in a simulated world, told to a person at the end.
 *
 * Promise     A scenario runs the real code on env_sim, prints what happened, and checks it: each section of its report ends
 *             with what was expected and whether it came so. The report is a function of the seed, but for the real time
 *             that it took.
 * Relies on   world.h for the nodes, show.h for the page.
 * Threads     one.
 *
 * A new one is a file here with a function like scenario_wan, and a line in scenarios[] of main.c.
 */
#ifndef MERIDIAN_GEO_SCENARIO_H
#define MERIDIAN_GEO_SCENARIO_H

#include "geo-sim/scenarios/show.h"

struct scenario_conf {
    uint64_t seed;
    bool print; /* the nodes' diagnostics to standard error, each with its virtual time */
};

struct scenario_result {
    int64_t virtual_ns;
    uint64_t events, trace; /* sim.h */
};

/* What was not as expected is counted in show->failed; anything but RC_OK: it could not be played at all. */
typedef enum rc scenario_fn(const struct scenario_conf *conf, struct show *show, struct scenario_result *ret,
                            struct err *err);

scenario_fn scenario_wan, scenario_register;

#endif
