/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch.h: files for what a statement sorts, groups and remembers beyond its memory.
 *
 *     scratch_new(env, DIR, &s, &err)      a store's; what an earlier process left in DIR is removed
 *     scratch_attach(s, max, &v)           one statement's: open SQLite with the vfs of scratch_name(v)
 *     scratch_detach(v)                    its SQLite is closed
 *
 * Promise     SQLite's temporary files lie in DIR, and are gone when it closes them. A statement's are together at most max
 *             bytes: the write that would go beyond fails with SQLITE_FULL, and scratch_full says so. Nothing in them
 *             outlives a crash, nothing is synced.
 * Relies on   env's files; the directory being this process's own.
 * Threads     the reactor's own. Never waits.
 */
#ifndef MERIDIAN_SQL_SCRATCH_H
#define MERIDIAN_SQL_SCRATCH_H

#include "truetime/base/env.h"

struct scratch;
struct scratch_vfs;

struct scratch_stats {
    struct counter files, bytes; /* made, written */
    struct gauge in_use;         /* bytes */
};

enum rc scratch_new(struct env *env, const char *dir, struct scratch **ret, struct err *err) MUST_CHECK;
void scratch_free(struct scratch *s); /* nobody is attached; NULL is fine */
const struct scratch_stats *scratch_stats(const struct scratch *s);

/* max: bytes; 0 = no limit but the disk's. RC_NOMEM. */
enum rc scratch_attach(struct scratch *s, int64_t max, struct scratch_vfs **ret) MUST_CHECK;
void scratch_detach(struct scratch_vfs *v); /* NULL is fine */
const char *scratch_name(const struct scratch_vfs *v);
/* Why a file could not be written: 53400, 53100, or what the env says. RC_OK: it was not that. */
enum rc scratch_failed(const struct scratch_vfs *v, struct err *err);

#endif
