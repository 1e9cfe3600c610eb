/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worlds.h: the topologies that are shipped, inside the program: the files of geo-sim/topology/worlds, put there by the build.
 *
 * Promise     topo_world_at(0), (1), ... until NULL, in the order of their names; each one parses.
 * Threads     any.
 */
#ifndef MERIDIAN_TOPO_WORLDS_H
#define MERIDIAN_TOPO_WORLDS_H

#include <stddef.h>

struct topo_world {
    const char *name; /* "three-regions" */
    const unsigned char *text;
    size_t bytes;
};

const struct topo_world *topo_world_at(size_t index);
const struct topo_world *topo_world_named(const char *name); /* NULL: there is none */

#endif
