/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: which commands make a topology out of network namespaces: a pure function from a topology to lines for ip(8) and tc(8).
 *
 *     tun     namespace geo-WORLD-PLACE: wan0 (a TUN that the emulator opens), one address a node, a route to the whole subnet
 *     netem   the same with eth0, a veth into a bridge in namespace geo-WORLD-0wan; on eth0 an HTB root with one class for each
 *             other place, a netem below it with the link's delay, and a filter that picks the class by destination
 *
 * Delay lies on the sender's egress, one way, once: the other direction has its own.
 *
 * Promise     A line is a command of words without blanks; running them in order on a machine without geo-WORLD-* namespaces
 *             makes the world. Names on the machine are only those.
 * Relies on   nothing; runs nothing.
 * Threads     any.
 * Source      tc-netem(8), tc-htb(8), tc-u32(8), ip-netns(8).
 */
#ifndef MERIDIAN_GEO_PLAN_H
#define MERIDIAN_GEO_PLAN_H

#include "geo-sim/topology/topo.h"

enum { GEO_WORLD_BYTES = 16, GEO_NETNS_BYTES = 4 + GEO_WORLD_BYTES + 1 + TOPO_PLACE_BYTES };

/* LOOPBACK: no namespaces at all: the nodes hold back what they send (meridian start --test-links). */
enum geo_backend { GEO_TUN, GEO_NETEM, GEO_LOOPBACK, GEO_BACKENDS };
const char *geo_backend_name(enum geo_backend b); /* "tun" */

/* Small letters and digits, at most 15 of them. */
bool geo_world_valid(const char *world);
/* "geo-WORLD-": what begins so belongs to the world. */
void geo_netns_prefix(const char *world, char to[GEO_NETNS_BYTES]);
void geo_netns_name(const char *world, const struct topo *t, unsigned place, char to[GEO_NETNS_BYTES]);

/* Namespaces, and with netem everything; out: lines. */
void geo_plan_begin(enum geo_backend b, const char *world, const struct topo *t, struct buf *out);
/* With tun, after the emulator has opened its devices: addresses and routes. */
void geo_plan_finish(enum geo_backend b, const char *world, const struct topo *t, struct buf *out);
/* netem: one direction as the topology has it now. */
void geo_plan_link(const char *world, const struct topo *t, unsigned from, unsigned to, struct buf *out);
/* Whether this kernel has netem: in a scratch namespace geo-WORLD-0probe. The last line removes it and always runs. */
void geo_plan_probe(const char *world, struct buf *out);

#endif
