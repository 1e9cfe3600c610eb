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

void tablets_lost_later(struct tablets *ts) {
    if (ts->n_lost < 2)
        return;
    struct tablet_lost first = ts->lost[0];
    memmove(ts->lost, ts->lost + 1, (ts->n_lost - 1) * sizeof *ts->lost);
    ts->lost[ts->n_lost - 1] = first;
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

/* ---- a damaged log ---------------------------------------------------------------------------------------------------------- */

/* All replicas of a store have their votes in its log. Where it is damaged in the middle (what is behind its last sync is cut
 * by itself), all of them are over: their files are put aside like damaged ones, and the store begins with an empty log. First
 * DIR/log-lost says "moving", then the log's files are renamed, then it says "burying", and it goes when every replica is
 * buried. A crash on the way goes on there. */

static const char mark_name[] = "log-lost", moving[] = "moving\n", burying[] = "burying\n";

struct survey {
    struct tablets *ts;
    bool essential;
    uint64_t tablet;
};

static void survey_file(struct survey *v, uint64_t id, uint64_t replica) {
    struct tablets *ts = v->ts;
    struct replica_state st;
    struct mvcc *m = NULL;
    char path[ENV_PATH_BYTES];
    uint32_t voters = 0;
    snprintf(path, sizeof path, "%s/T%llx.%llx.db", ts->dir, (unsigned long long)id, (unsigned long long)replica);
    /* What cannot be read is lost anyway. */
    if (mvcc_open(ts->conf.store, path, &m, NULL) != RC_OK)
        return;
    if (tablet_state_read(m, &st, NULL) == RC_OK)
        for (uint32_t i = 0; i < st.config.count; i++)
            voters += px_is_voter(&st.config.member[i]);
    mvcc_close(m);
    if (voters < 3) {
        v->essential = true;
        v->tablet = id;
    }
}

struct file_list {
    uint64_t id[4096][2];
    size_t n;
    bool more;
};

static void list_file(void *ctx, const char *name) {
    struct file_list *l = ctx;
    unsigned long long id, replica;
    int end = 0;
    if (sscanf(name, "T%llx.%llx.db%n", &id, &replica, &end) != 2 || end == 0 || name[end] != '\0')
        return;
    if (l->n == ARRAY_LEN(l->id)) {
        l->more = true;
        return;
    }
    l->id[l->n][0] = id;
    l->id[l->n++][1] = replica;
}

static void note_name(void *ctx, const char *name) {
    buf_put(ctx, name, strlen(name) + 1);
}

/* The log's files become DIR/damaged-NAME; then the mark says that what is in DIR/log is a new one. */
static enum rc move_log(struct tablets *ts, struct err *err) {
    char log[ENV_PATH_BYTES], from[ENV_PATH_BYTES + 64], to[ENV_PATH_BYTES + 64];
    struct buf names;
    buf_init(&names, 1 << 20);
    snprintf(log, sizeof log, "%s/log", ts->conf.dir);
    enum rc rc = env_dir_list(ts->env, log, note_name, &names, err);
    if (!rc && buf_rc(&names))
        rc = err_set(err, RC_NOMEM, "out of memory for the names of a log's files");
    for (size_t at = 0; at < names.len && !rc;) {
        const char *name = (const char *)names.data + at;
        snprintf(from, sizeof from, "%s/%.60s", log, name);
        snprintf(to, sizeof to, "%s/damaged-%.60s", ts->conf.dir, name);
        rc = env_rename(ts->env, from, to, err);
        at += strlen(name) + 1;
    }
    buf_done(&names);
    if (!rc)
        rc = dir_sync(ts->reactor, log, err);
    if (!rc)
        rc = dir_sync(ts->reactor, ts->conf.dir, err);
    return rc ? rc : file_replace(ts->reactor, ts->conf.dir, mark_name, burying, sizeof burying - 1, err);
}

enum rc tablets_give_up_log(struct tablets *ts, const char *why, struct err *err) {
    struct survey v = {.ts = ts};
    struct file_list *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(err, RC_NOMEM, "out of memory");
    enum rc rc = env_dir_list(ts->env, ts->dir, list_file, l, err);
    for (size_t i = 0; i < l->n && !rc && !v.essential; i++)
        survey_file(&v, l->id[i][0], l->id[i][1]);
    v.essential |= l->more;
    free(l);
    if (rc)
        return rc;
    if (v.essential) {
        err_set(err, RC_CORRUPT, "%s; tablet %llu has no quorum without this store, so its log is not given up", why,
                (unsigned long long)v.tablet);
        err_hint(err, "Restore the directory from a copy, or start a new one.");
        return RC_CORRUPT;
    }
    diag_error(&ts->env->diag, "store: its log is damaged and given up; its tablets are asked for anew",
               "reason=\"%s\"", why);
    rc = file_replace(ts->reactor, ts->conf.dir, mark_name, moving, sizeof moving - 1, err);
    return rc ? rc : move_log(ts, err);
}

enum rc tablets_log_was_lost(struct tablets *ts, bool *ret, struct err *err) {
    struct env_file *f = NULL;
    char path[ENV_PATH_BYTES], text[sizeof moving] = "";
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", ts->conf.dir, mark_name);
    enum rc rc = env_file_open(ts->env, path, ENV_OPEN_READONLY, &f, err);
    *ret = rc == RC_OK;
    if (rc)
        return rc == RC_NOTFOUND ? RC_OK : rc;
    rc = env_file_read(f, text, sizeof moving - 1, 0, &n, err);
    env_file_close(f);
    return !rc && n == sizeof moving - 1 && memcmp(text, moving, n) == 0 ? move_log(ts, err) : rc;
}

enum rc tablets_log_buried(struct tablets *ts, struct err *err) {
    char path[ENV_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", ts->conf.dir, mark_name);
    enum rc rc = env_unlink(ts->env, path, err);
    return rc ? rc : dir_sync(ts->reactor, ts->conf.dir, err);
}

/* ---- damage in the middle of work --------------------------------------------------------------------------------------------- */

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
    if (voters < 2 && px_is_voter(px_config_find(&px.config, replicas_self(t->ts->rs))))
        return;                     /* nobody could replace it: it stays as it is, and says so with each try */
    t->damaged = t->removed = true; /* nobody finds it any more */
    diag_tablet(&t->ts->env->diag, DIAG_ERROR, t->id, "tablet: its file is damaged", "path=%s reason=\"%s\"", t->path,
                why);
    /* Without a fiber now, the next start finds the damage. */
    IGNORE(fiber_spawn(t->ts->reactor, &t->ts->fibers, FIBER_LARGE, "tablet damaged", give_up_main, t));
}
