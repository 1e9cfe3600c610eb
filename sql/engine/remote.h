/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.h: the engine of meridian:// and postgres:// URLs: PostgreSQL's protocol, through libpq.
 *
 * Promise     What engine.h asks for. No thread of its own. A connection that was lost outside of a transaction is made again,
 *             to the next node that answers, by the next statement; prepared statements follow it.
 * Relies on   libpq, used without blocking but while it connects (connect_timeout bounds that).
 * Threads     the owner's; cancel from any.
 * Source      PostgreSQL 15's manual, chapter 34 "libpq".
 */
#ifndef MERIDIAN_SQL_ENGINE_REMOTE_H
#define MERIDIAN_SQL_ENGINE_REMOTE_H

#include "txn/api/engine.h"

extern const struct engine_ops remote_ops;
int remote_open(const char *url, const struct engine_host *host, struct engine **ret, struct api_error *err);

#endif
