/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world_links.h: the world of a node that `meridian geo` started, or whose distances come from a file (--test-links): asked and
 * changed by the program meridian-geo beside this one, so that SQL and the command line cannot disagree.
 *
 * Promise     A change is in force when it returns RC_OK, or nothing has changed. An answer takes at most ANSWER_MS.
 * Relies on   meridian-geo in this program's directory.
 * Threads     any; each call is a child process of its own.
 */
#ifndef MERIDIAN_SQL_WORLD_LINKS_H
#define MERIDIAN_SQL_WORLD_LINKS_H

#include "sql/run/world.h"

struct world_links {
    char program[1024];
    const char *option, *target; /* --world NAME or --file FILE */
    struct sql_world world;
};

/* world: its name; NULL: file is a topology. Borrows both. */
enum rc world_links_init(struct world_links *w, const char *world, const char *file, struct err *err) MUST_CHECK;

#endif
