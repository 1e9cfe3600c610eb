/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embedded.h: the engine of file: URLs: a whole node in the caller's process, on a thread of its own.
 *
 * Promise     One voter, one store, no network. What is committed survives the process (the node's log is durable before a
 *             commit is answered). A directory belongs to one process, and to one meridian_open: others get MERIDIAN_BUSY.
 * Relies on   shard/node, sql/run.
 * Threads     calls come from their connection's owner; the node's thread does the work; cancel from any thread.
 *
 *     caller                     the node's thread
 *     fill the call, post it --> a large fiber runs it on the session
 *     wait (poll)            <-- done, or paused (COPY wants or has data): resumed by the next call
 */
#ifndef MERIDIAN_SQL_ENGINE_EMBEDDED_H
#define MERIDIAN_SQL_ENGINE_EMBEDDED_H

#include "txn/api/engine.h"

extern const struct engine_ops embedded_ops;
int embedded_open(const char *url, const struct engine_host *host, struct engine **ret, struct api_error *err);

#endif
