/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_topo.h: a topology (geo-sim/topology) laid over a simulated cluster.
 *
 *     sim_topo_apply(sim, topo, place_of)     place_of[i]: the place where node i stands
 *
 * Promise     Every link between the nodes has its topology's one-way delay, loss, rate and cut; sim_topo_apply may be called again
 *             after a change (topo_apply), and nothing else of the simulation changes. Clocks and masters of the regions are
 *             given by sim_topo_clocks, once.
 * What differs from a real line: a simulated link's jitter is exponential on top of its latency, a topology's is normal around
 *             its delay. The mean and the spread are the same: latency = delay - jitter, mean of the exponential part = jitter
 *             (a jitter above the delay is cut to it). Reordered frames come late here, and early on a real line.
 * Relies on   the sim's nodes being made already.
 * Threads     the simulation's.
 */
#ifndef MERIDIAN_SIM_TOPO_H
#define MERIDIAN_SIM_TOPO_H

#include "geo-sim/sim/sim.h"
#include "geo-sim/topology/topo.h"

/* The link of the simulator that behaves as l. */
struct sim_link sim_topo_link(const struct topo_link *l);
/* Links of all nodes of s; place_of[node id] < t->places. Nodes of one place keep the simulator's own link within a place. */
void sim_topo_apply(struct sim *s, const struct topo *t, const unsigned *place_of);
/* Offset and drift of each node's clock, and what its time masters (sim_truth) claim and have, as its region says. */
void sim_topo_clocks(struct sim *s, const struct topo *t, const unsigned *place_of);

#endif
