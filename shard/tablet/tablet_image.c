/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet_image.c: a tablet's data as bytes for a replica that lacks them, and back.
 *
 * An image is a second SQLite file, made by SQLite's backup from a reader connection: a consistent copy at one applied slot,
 * while the tablet goes on. It is read by offset, so a transfer that broke goes on where it was; it lies beside the tablet's
 * file and goes with its last reader.
 *
 * What comes in is written to a file of its own, made durable, and then takes the tablet's name: a crash leaves the old data
 * or the new. The image's number names the try: bytes of another image are worth nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "shard/tablet/tablet_internal.h"

struct image {
    struct env_file *file;
    char path[VFS_PATH_BYTES_MAX];
};

struct load {
    uint64_t image;
    struct env_file *file;
    uint64_t have;
    char path[VFS_PATH_BYTES_MAX];
};

enum { BACKUP_PAGES = 128, COPY_CACHE_BYTES = 1 << 20 };

/* ---- going out ---------------------------------------------------------------------------------------------------- */

struct copy {
    struct tablet *t;
    sqlite3 *from;
};

/* Pages in steps, so that nobody waits for long. The reader's transaction keeps them those of one moment. */
static enum rc fill(sqlite3 *db, void *ctx, struct err *err) {
    const struct copy *c = ctx;
    sqlite3_backup *b = sqlite3_backup_init(db, "main", c->from, "main");
    int rc;
    enum rc waited = RC_OK;
    if (!b)
        return err_sqlite(err, db, "copying a tablet");
    while ((rc = sqlite3_backup_step(b, BACKUP_PAGES)) == SQLITE_OK && !waited)
        waited = fiber_yield(c->t->ts->reactor);
    sqlite3_backup_finish(b);
    if (waited)
        return err_set(err, waited, "copying a tablet: %s", rc_text(waited));
    return rc == SQLITE_DONE ? RC_OK : err_sqlite(err, db, "copying a tablet");
}

static enum rc copy_out(struct tablet *t, const char *path, struct err *err) {
    struct tablets *ts = t->ts;
    struct copy c = {.t = t};
    enum rc rc = mvcc_flush(t->m, err);
    if (!rc)
        rc = vfs_open(ts->reactor, ts->conf.vfs, t->path, VFS_READER, COPY_CACHE_BYTES, &c.from, err);
    if (!rc && sqlite3_exec(c.from, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) != SQLITE_OK)
        rc = err_sqlite(err, c.from, "copying a tablet");
    if (!rc)
        rc = vfs_create(ts->reactor, ts->conf.vfs, path, fill, &c, err);
    vfs_close(c.from);
    return rc;
}

/* What the copy holds is told by the copy. */
static enum rc state_of(struct tablet *t, const char *path, struct replica_state *ret, struct err *err) {
    struct mvcc *m;
    enum rc rc = mvcc_open(t->ts->conf.store, path, &m, err);
    if (rc)
        return rc;
    rc = tablet_state_read(m, ret, err);
    mvcc_close(m);
    return rc;
}

static void image_name(struct tablet *t, const char *what, char *to, size_t bytes) {
    int n = snprintf(to, bytes, "%s.%s%llx", t->path, what, (unsigned long long)env_random(t->ts->env) & 0xffffffff);
    CHECK(n > 0 && (size_t)n < bytes); /* tablets_open left room for it */
}

enum rc tablet_image_open(void *sm, struct replica_state *ret, void **ret_image, struct err *err) {
    struct tablet *t = sm;
    struct tablets *ts = t->ts;
    struct image *im = calloc(1, sizeof *im);
    if (!im)
        return err_set(err, RC_NOMEM, "out of memory for an image");
    image_name(t, "image", im->path, sizeof im->path);
    tablet_use(t);
    enum rc rc = tablet_check(t, 0, err);
    if (!rc)
        rc = copy_out(t, im->path, err);
    if (!rc) {
        rc = state_of(t, im->path, ret, err);
        if (!rc)
            rc = env_file_open(ts->env, im->path, ENV_OPEN_READONLY, &im->file, err);
        if (rc)
            IGNORE(mvcc_remove(ts->conf.store, im->path, NULL)); /* what went wrong before is what is told */
    }
    tablet_release(t);
    if (rc) {
        free(im);
        return rc;
    }
    *ret_image = im;
    return RC_OK;
}

enum rc tablet_image_read(void *sm, void *image, uint64_t off, void *to, size_t cap, size_t *ret_bytes,
                          struct err *err) {
    struct image *im = image;
    (void)sm;
    return env_file_read(im->file, to, cap, (int64_t)off, ret_bytes, err);
}

void tablet_image_close(void *sm, void *image) {
    struct tablet *t = sm;
    struct image *im = image;
    struct err err = {0};
    env_file_close(im->file);
    if (env_unlink(t->ts->env, im->path, &err) != RC_OK)
        diag_tablet(&t->ts->env->diag, DIAG_WARN, t->id, "tablet: an image's file stays", "reason=\"%s\"",
                    err_message(&err));
    free(im);
}

/* ---- coming in ------------------------------------------------------------------------------------------------------ */

void tablet_load_drop(struct tablet *t) {
    struct load *l = t->load;
    if (!l)
        return;
    env_file_close(l->file);
    IGNORE(env_unlink(t->ts->env, l->path, NULL)); /* tablets_open deletes what is left */
    free(l);
    t->load = NULL;
}

enum rc tablet_load_begin(void *sm, uint64_t image, const struct replica_state *state, uint64_t *ret_have,
                          struct err *err) {
    struct tablet *t = sm;
    (void)state;
    if (t->load && t->load->image == image) {
        *ret_have = t->load->have;
        return RC_OK;
    }
    tablet_load_drop(t);
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(err, RC_NOMEM, "out of memory for a snapshot");
    l->image = image;
    image_name(t, "load", l->path, sizeof l->path);
    enum rc rc = env_file_open(t->ts->env, l->path, ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &l->file, err);
    if (rc) {
        free(l);
        return rc;
    }
    t->load = l;
    *ret_have = 0;
    return RC_OK;
}

enum rc tablet_load_write(void *sm, uint64_t off, const void *data, size_t bytes, struct err *err) {
    struct tablet *t = sm;
    struct load *l = t->load;
    if (!l || off != l->have)
        return err_set(err, RC_PROTOCOL, "a piece of a snapshot does not follow the one before");
    enum rc rc = env_file_write(l->file, data, bytes, (int64_t)off, err);
    if (!rc)
        l->have += bytes;
    return rc;
}

/* The new file takes the tablet's name. What the old one's WAL holds goes into the old file first: a crash on the way leaves
 * the old data whole, or the new (P-10, Q-13). */
static enum rc replace(struct tablet *t, struct err *err) {
    struct tablets *ts = t->ts;
    char wal[VFS_PATH_BYTES_MAX + 8];
    snprintf(wal, sizeof wal, "%s-wal", t->path);
    enum rc rc = env_unlink(ts->env, wal, err);
    if (rc == RC_NOTFOUND)
        rc = RC_OK;
    if (!rc)
        rc = env_rename(ts->env, t->load->path, t->path, err);
    return rc ? rc : dir_sync(ts->reactor, ts->dir, err);
}

static enum rc install(struct tablet *t, struct err *err) {
    struct tablets *ts = t->ts;
    int64_t slot;
    enum rc rc = file_sync(ts->reactor, ENV_LANE_BULK, t->load->file, err);
    if (!rc)
        rc = mvcc_checkpoint(t->m, true, &slot, err);
    if (rc)
        return rc;
    env_file_close(t->load->file);
    t->load->file = NULL;
    tablet_unindex(t);
    tablet_upper_close(t);
    ilist_del(&t->dirty_link);
    tablet_half_drop(t);
    tablet_drain(t);
    mvcc_close(t->m);
    t->m = NULL;
    rc = replace(t, err);
    enum rc open_rc = tablet_reopen(t, rc ? NULL : err); /* the old data, if the new ones could not take their place */
    return rc ? rc : open_rc;
}

enum rc tablet_load_end(void *sm, bool commit, struct err *err) {
    struct tablet *t = sm;
    enum rc rc = RC_OK;
    if (!t->load)
        return err_set(err, RC_PROTOCOL, "a snapshot ends that did not begin");
    if (commit)
        rc = install(t, err);
    tablet_load_drop(t);
    return rc;
}
