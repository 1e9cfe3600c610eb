/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zonecache.h: the zones of a store, by name, from the machine's tz database.
 *
 * Promise     A name is found whatever its letters' case, as in PostgreSQL ("america/new_york"); a zone is read once and stays
 *             as long as the cache. UTC is there without a tz database. At most ZONE_CACHE_MAX zones; names that are none
 *             cost a few directory listings each time and keep nothing.
 * Relies on   the env's files; zone.h. Reading does not wait for other fibers.
 * Threads     the reactor's own.
 */
#ifndef MERIDIAN_SQL_TYPES_ZONECACHE_H
#define MERIDIAN_SQL_TYPES_ZONECACHE_H

#include "sql/types/zone.h"
#include "truetime/base/env.h"

#define ZONE_DIR "/usr/share/zoneinfo"

enum { ZONE_CACHE_MAX = 1024 };

struct zone_cache;

/* dir: of the tz database, borrowed for good (ZONE_DIR). */
enum rc zone_cache_new(struct env *env, const char *dir, struct zone_cache **ret) MUST_CHECK;
void zone_cache_free(struct zone_cache *c); /* and all its zones; NULL is fine */

const struct zone *zone_cache_utc(const struct zone_cache *c);
/* NULL: no such zone, a damaged file, or no memory. Fits type_session.find_zone, with the cache as ctx. */
const struct zone *zone_cache_find(void *cache, const char *name);

#endif
