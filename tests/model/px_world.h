/* SPDX-License-Identifier: Apache-2.0 */
/*
 * px_world.h: the Paxos core alone, in a world that does everything to it: messages lost, doubled, late and out of order;
 * writes that take their time; crashes that lose what was not durable; clocks that wander within their bounds, or lie.
 *
 * A world is a pure function of its seed. After every step it checks the invariants of docs/paxos.md; the first one that is
 * broken is kept in `broken`, and nothing goes on.
 */
#ifndef MERIDIAN_TESTS_PX_WORLD_H
#define MERIDIAN_TESTS_PX_WORLD_H

#include "paxos/core.h"
#include "paxos/support.h"
#include "truetime/base/rng.h"

enum { W_NODES_MAX = 7 };

struct w_conf {
    uint64_t seed;
    uint32_t nodes; /* stores that exist; the first `voters` begin as voters */
    uint32_t voters;
    uint32_t witnesses;     /* of the voters, the last ones */
    int64_t clock_error_ns; /* the bound that every clock keeps to */
    bool clock_lies;        /* sometimes beyond it: then leases are not checked, the rest is */
    bool changes;           /* members change, leaders are transferred */
    double loss, duplicate, crash, cut;
    const char *mutant;
};

struct world;

struct world *world_new(const struct w_conf *conf);
void world_free(struct world *w);
/* Runs `steps` steps with faults; false once an invariant is broken. */
bool world_run(struct world *w, uint64_t steps);
/* No more faults: everything that is up must come to agree, and a leader must serve. */
bool world_settle(struct world *w);
const char *world_broken(const struct world *w); /* NULL: nothing */
uint64_t world_chosen(const struct world *w);    /* slots chosen so far */
uint64_t world_acked(const struct world *w);     /* commands acknowledged */
uint64_t world_leads(const struct world *w);     /* reigns begun */
uint64_t world_probe(const struct world *w, const char *what);
void world_probes(const struct world *w, void (*fn)(void *ctx, const char *what, uint64_t hits), void *ctx);

#endif
