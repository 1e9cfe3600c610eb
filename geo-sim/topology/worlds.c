/* SPDX-License-Identifier: Apache-2.0 */
/* worlds.c: the table that the build generates from worlds/ (see geo-sim/CMakeLists.txt). */
#include "geo-sim/topology/worlds.h"

#include <string.h>

#include "truetime/base/check.h"

#include "geo-sim/topology/worlds_table.h"

const struct topo_world *topo_world_at(size_t index) {
    return index < ARRAY_LEN(worlds) ? &worlds[index] : NULL;
}

const struct topo_world *topo_world_named(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++)
        if (strcmp(worlds[i].name, name) == 0)
            return &worlds[i];
    return NULL;
}
