/* SPDX-License-Identifier: Apache-2.0 */
/*
 * px_world.h: the lab under dice: messages lost, doubled, late and out of order; writes that take their time; crashes that
 * lose what was not durable; processes stopped for seconds; clocks that wander within their bounds, or lie.
 *
 * A world is a pure function of its configuration and seed.
 */
#ifndef MERIDIAN_TESTS_PX_WORLD_H
#define MERIDIAN_TESTS_PX_WORLD_H

#include "tests/model/px_lab.h"

struct w_conf {
    struct lab_conf lab;
    int64_t clock_error_ns; /* the bound that every clock keeps to */
    bool changes;           /* members change, leaders are transferred */
    bool ends;              /* some stops are clean */
    double loss, duplicate, crash, cut, pause;
};

struct world;

struct world *world_new(const struct w_conf *conf);
void world_free(struct world *w);
/* Runs `steps` steps with faults; false once an invariant is broken. */
bool world_run(struct world *w, uint64_t steps);
/* No more faults: everything that is up must come to agree, and a leader must serve. */
bool world_settle(struct world *w);
struct lab *world_lab(struct world *w);

#endif
