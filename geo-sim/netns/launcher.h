/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launcher.h: where a world's processes come from: the seam between the network that meridian-geo makes and the nodes that run in
 * it. A launcher is handed each seat of the topology and starts what belongs there; the world keeps the network, the launcher its
 * processes.
 *
 * Promise     start is called once for each node, in the order of places, when the network is up and verified, and stop before
 *             it is taken down, in the reverse order. A process that a launcher forgets ends with its namespace all the same
 *             (world.h, down).
 * Relies on   world.h for geo_world_enter, which moves a forked child into its seat's namespace: sockets that it needs on the
 *             host's loopback are opened before that and handed over.
 * Threads     the main one.
 */
#ifndef MERIDIAN_GEO_LAUNCHER_H
#define MERIDIAN_GEO_LAUNCHER_H

#include "geo-sim/netns/plan.h"

/* Where one node lives. */
struct geo_seat {
    const struct topo *topo;
    unsigned place, node;            /* node: from 0 within its place */
    char name[TOPO_PLACE_BYTES + 4]; /* "us-east-1": place and number from 1 */
    char netns[GEO_NETNS_BYTES];
    char addr[TOPO_ADDR_BYTES]; /* its own, in the world's subnet */
    const char *region, *zone;
};

struct geo_launcher {
    const char *name;
    enum rc (*start)(void *ctx, const struct geo_seat *seat, struct err *err);
    void (*stop)(void *ctx, const struct geo_seat *seat);
    void *ctx;
};

void geo_seat_of(const char *world, const struct topo *t, unsigned place, unsigned node, struct geo_seat *ret);
/* All seats; on the first failure those that were started are stopped again. */
enum rc geo_launch(const char *world, const struct topo *t, const struct geo_launcher *l, struct err *err) MUST_CHECK;
void geo_recall(const char *world, const struct topo *t, const struct geo_launcher *l);

#endif
