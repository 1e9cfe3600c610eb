/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h: a struct err as a message, and back.
 *
 * Promise     What comes back is the struct err that went in. A code that this version has no name
 *             for (a newer peer) becomes RC_INTERNAL with the name in the detail, never RC_OK.
 * Threads     any.
 */
#ifndef MERIDIAN_NET_STATUS_H
#define MERIDIAN_NET_STATUS_H

#include "shard/net/wire.pb-c.h"
#include "truetime/base/err.h"

/* What one Status may unpack to: its texts, each longer than a struct err keeps. */
enum { STATUS_ARENA_BYTES = 16 << 10 };

struct status_objects {
    char *text[ERR_OBJECTS];
};

/* *ret points into err and objects, which stay as they are while ret is used. rc: what counts, RC_OK excluded. */
void status_from_err(Wire__Status *ret, enum rc rc, const struct err *err, struct status_objects *objects);
/* Fills err (may be NULL); returns its code, never RC_OK. */
enum rc status_to_err(const Wire__Status *s, struct err *err);
/* From the bytes of a Status: RC_PROTOCOL if they are none. */
enum rc status_parse(const void *p, size_t bytes, struct err *err);

#endif
