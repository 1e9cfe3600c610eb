/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone.h: time zones: fixed offsets, and those of the tz database.
 *
 * Promise     A zone tells the offset at an instant, and the instant of a local time: one that a clock shows twice is taken as
 *             standard time's (the later), one that it skips as if it had not been set yet, as PostgreSQL does. zone_parse
 *             reads TZif bytes and believes none of them. Beyond a file's last transition the rule in its footer counts.
 * Relies on   nothing; the bytes of a file are brought by the caller (/usr/share/zoneinfo through the env).
 * Threads     a zone does not change once it is made: any.
 * Source      RFC 8536 (TZif); POSIX.1-2017, 8.3 (TZ).
 *
 * Instants and local times are microseconds since 2000-01-01 00:00, of UTC or of the clock on the wall. Offsets are seconds
 * east of Greenwich.
 */
#ifndef MERIDIAN_SQL_TYPES_ZONE_H
#define MERIDIAN_SQL_TYPES_ZONE_H

#include "truetime/base/arena.h"
#include "truetime/base/err.h"

enum {
    ZONE_NAME_BYTES = 64,
    ZONE_OFFSET_MAX = 15 * 3600 + 59 * 60 + 59, /* PostgreSQL's: 15:59:59 */
    ZONE_FILE_BYTES_MAX = 1 << 20,
};

struct zone;

/* The zone of a fixed offset, |offset| <= ZONE_OFFSET_MAX; NULL without memory. */
const struct zone *zone_fixed(struct arena *a, const char *name, int32_t offset) MUST_CHECK;
/* From the bytes of a tz database file. All lies in a, nothing is borrowed. RC_CORRUPT: no TZif; RC_NOMEM. */
enum rc zone_parse(struct arena *a, const char *name, const void *p, size_t bytes, const struct zone **ret,
                   struct err *err) MUST_CHECK;
/* May it be the name of a file below the tz database's directory? No "..", no leading "/". */
bool zone_name_valid(const char *name, size_t bytes);

const char *zone_name(const struct zone *z);
int32_t zone_offset(const struct zone *z, int64_t instant);
int64_t zone_instant(const struct zone *z, int64_t local, int32_t *ret_offset);

#endif
