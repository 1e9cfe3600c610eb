/* SPDX-License-Identifier: Apache-2.0 */
/* stories.c: the scenarios that are part of the program: geo-sim/scenarios/stories, NAME.scenario each. */
#include <string.h>

#include "geo-sim/scenarios/script.h"
#include "geo-sim/scenarios/stories_table.h"

const struct story *story_at(size_t i) {
    return i < ARRAY_LEN(stories) ? &stories[i] : NULL;
}

const struct story *story_named(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(stories); i++)
        if (strcmp(stories[i].name, name) == 0)
            return &stories[i];
    return NULL;
}
