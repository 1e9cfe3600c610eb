/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet_lost.c: a replica whose file is damaged.
 *
 * It does not guess (P-33): what it voted and applied cannot be told any more, so it is over for good like a removed one, and
 * never votes again under its id (P-23). Its group goes on without it and gets another replica, here or elsewhere, by a
 * snapshot: the node asks the leader for that. Until then the damaged file lies beside where it was, for whoever wants to look.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "shard/tablet/tablet_internal.h"

static void damaged_path(const struct tablets *ts, uint64_t id, uint64_t replica, char to[ENV_PATH_BYTES]) {
    int n = snprintf(to, ENV_PATH_BYTES, "%s/T%llx.%llx.db" TABLET_DAMAGED_SUFFIX, ts->dir, (unsigned long long)id,
                     (unsigned long long)replica);
    CHECK(n > 0 && n < ENV_PATH_BYTES); /* tablets_open left room for it */
}

enum rc tablets_lost_add(struct tablets *ts, uint64_t id, uint64_t replica, struct err *err) {
    for (size_t i = 0; i < ts->n_lost; i++)
        if (ts->lost[i].id == id && ts->lost[i].replica == replica)
            return RC_OK;
    if (ts->n_lost == ts->lost_cap) {
        size_t cap = ts->lost_cap ? 2 * ts->lost_cap : 8;
        struct tablet_lost *v = realloc(ts->lost, cap * sizeof *v);
        if (!v)
            return err_set(err, RC_NOMEM, "out of memory for the names of damaged tablets");
        ts->lost = v;
        ts->lost_cap = cap;
    }
    ts->lost[ts->n_lost++] = (struct tablet_lost){id, replica};
    gauge_set(&ts->stats.lost, (int64_t)ts->n_lost);
    return RC_OK;
}

bool tablets_lost(const struct tablets *ts, struct tablet_lost *ret) {
    if (ts->n_lost)
        *ret = ts->lost[0];
    return ts->n_lost > 0;
}

void tablets_replaced(struct tablets *ts, const struct tablet_lost *lost) {
    char path[ENV_PATH_BYTES];
    struct tablet_lost gone = *lost;
    struct err err = {0};
    for (size_t i = 0; i < ts->n_lost; i++)
        if (ts->lost[i].id == gone.id && ts->lost[i].replica == gone.replica) {
            memmove(&ts->lost[i], &ts->lost[i + 1], (--ts->n_lost - i) * sizeof *ts->lost);
            break;
        }
    gauge_set(&ts->stats.lost, (int64_t)ts->n_lost);
    damaged_path(ts, gone.id, gone.replica, path);
    enum rc rc = env_unlink(ts->env, path, &err);
    if (!rc)
        rc = dir_sync(ts->reactor, ts->dir, &err);
    if (rc && rc != RC_NOTFOUND)
        diag_tablet(&ts->env->diag, DIAG_WARN, gone.id, "tablet: a damaged file stays", "path=%s reason=\"%s\"", path,
                    err_message(&err));
    diag_tablet(&ts->env->diag, DIAG_INFO, gone.id, "tablet: a damaged replica was replaced", "replica=%llu",
                (unsigned long long)gone.replica);
}

/* The grave first: a crash behind it leaves a file that is not let in again, and deleted (P-22). */
enum rc tablets_lose(struct tablets *ts, uint64_t id, uint64_t replica, const char *path, const char *why,
                     struct err *err) {
    char aside[ENV_PATH_BYTES], wal[ENV_PATH_BYTES];
    diag_tablet(&ts->env->diag, DIAG_ERROR, id, "tablet: damaged, its group is asked for a new replica",
                "path=%s reason=\"%s\"", path, why);
    damaged_path(ts, id, replica, aside);
    snprintf(wal, sizeof wal, "%s-wal", path);
    enum rc rc = env_unlink(ts->env, aside, err);
    if (!rc || rc == RC_NOTFOUND)
        rc = env_rename(ts->env, path, aside, err);
    if (rc == RC_NOTFOUND) /* not even its name is there */
        rc = RC_OK;
    if (!rc)
        rc = env_unlink(ts->env, wal, err);
    if (!rc || rc == RC_NOTFOUND)
        rc = dir_sync(ts->reactor, ts->dir, err);
    if (!rc)
        rc = tablets_lost_add(ts, id, replica, err);
    return rc;
}

static void give_up_main(void *arg) {
    struct tablet *t = arg;
    struct tablets *ts = t->ts;
    struct err err = {0};
    char path[VFS_PATH_BYTES_MAX];
    uint64_t id = t->id, replica = t->replica_id;
    snprintf(path, sizeof path, "%s", t->path);
    enum rc rc = replica_remove(ts->rs, id, &err);
    if (rc) {
        diag_tablet(&ts->env->diag, DIAG_WARN, id, "tablet: a damaged replica stays", "reason=\"%s\"",
                    err_message(&err));
        return;
    }
    t->rep = NULL;
    tablet_half_drop(t);
    tablet_drain(t);
    tablet_unindex(t);
    tablet_upper_close(t);
    if (t->m)
        mvcc_close(t->m);
    t->m = NULL;
    tablet_free(t);
    rc = tablets_lose(ts, id, replica, path, "SQLite cannot read it", &err);
    if (rc)
        diag_tablet(&ts->env->diag, DIAG_WARN, id, "tablet: a damaged file could not be put aside", "reason=\"%s\"",
                    err_message(&err));
    if (ts->conf.on_change)
        ts->conf.on_change(ts->conf.ctx, id);
}

void tablet_give_up(struct tablet *t, const char *why) {
    struct px_status px;
    uint32_t voters = 0;
    if (t->damaged || t->removed || t->ts->stopping || !t->rep)
        return;
    replica_status(t->rep, &px);
    for (uint32_t i = 0; i < px.config.count; i++)
        voters += px_is_voter(&px.config.member[i]);
    if (voters < 2)
        return;                     /* nobody could replace it: it stays as it is, and says so with each try */
    t->damaged = t->removed = true; /* nobody finds it any more */
    diag_tablet(&t->ts->env->diag, DIAG_ERROR, t->id, "tablet: its file is damaged", "path=%s reason=\"%s\"", t->path,
                why);
    /* Without a fiber now, the next start finds the damage. */
    IGNORE(fiber_spawn(t->ts->reactor, &t->ts->fibers, FIBER_LARGE, "tablet damaged", give_up_main, t));
}
