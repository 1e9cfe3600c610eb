/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet_image.c: a tablet's data as bytes for a replica that lacks them, and back (shard/store/snapshot.h has the stream).
 *
 * An image is read by offset, so a transfer that broke goes on where it was. What comes in is checked chunk by chunk, as a
 * file and against the checksum of its rows, made durable under a name of its own, and then takes the tablet's name: a crash
 * leaves the old data or the new. The image's number names the try: bytes of another image are worth nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "shard/store/snapshot.h"
#include "shard/tablet/tablet_internal.h"

struct load {
    uint64_t image;
    struct snapshot_load *stream;
    char path[VFS_PATH_BYTES_MAX]; /* where the file appears once it is whole */
};

/* ---- going out ---------------------------------------------------------------------------------------------------- */

static enum rc state_of(const struct snapshot_image *x, struct replica_state *ret, struct err *err) {
    return tablet_state_from(snapshot_state(x), "an image", ret, err);
}

enum rc tablet_image_open(void *sm, struct replica_state *ret, void **ret_image, struct err *err) {
    struct tablet *t = sm;
    struct snapshot_image *x = NULL;
    tablet_use(t);
    enum rc rc = tablet_check(t, 0, err);
    if (!rc)
        rc = snapshot_open(t->m, env_random(t->ts->env) | 1, &x, err);
    tablet_release(t);
    if (!rc)
        rc = state_of(x, ret, err);
    if (rc) {
        snapshot_close(x);
        return rc;
    }
    *ret_image = x;
    return RC_OK;
}

enum rc tablet_image_read(void *sm, void *image, uint64_t off, void *to, size_t cap, size_t *ret_bytes,
                          struct err *err) {
    (void)sm;
    return snapshot_read(image, off, to, cap, ret_bytes, err);
}

void tablet_image_close(void *sm, void *image) {
    (void)sm;
    snapshot_close(image);
}

/* ---- coming in ------------------------------------------------------------------------------------------------------ */

void tablet_load_drop(struct tablet *t) {
    struct load *l = t->load;
    if (!l)
        return;
    snapshot_load_free(l->stream);
    free(l);
    t->load = NULL;
}

enum rc tablet_load_begin(void *sm, uint64_t image, const struct replica_state *state, uint64_t *ret_have,
                          struct err *err) {
    struct tablet *t = sm;
    (void)state;
    if (t->load && t->load->image == image) {
        *ret_have = snapshot_load_have(t->load->stream);
        return RC_OK;
    }
    tablet_load_drop(t);
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(err, RC_NOMEM, "out of memory for a snapshot");
    l->image = image;
    int n = snprintf(l->path, sizeof l->path, "%s.in%llx", t->path,
                     (unsigned long long)env_random(t->ts->env) & 0xffffffff);
    CHECK(n > 0 && (size_t)n < sizeof l->path); /* tablets_open left room for it */
    enum rc rc = snapshot_load_begin(t->ts->conf.store, l->path, t->id, &l->stream, err);
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
    if (!l || off != snapshot_load_have(l->stream))
        return err_set(err, RC_PROTOCOL, "a piece of a snapshot does not follow the one before");
    enum rc rc = snapshot_load_write(l->stream, data, bytes, err);
    if (rc == RC_CORRUPT)
        tablet_load_drop(t); /* another image, from the beginning */
    return rc;
}

static enum rc remove_wal(struct env *env, const char *path, struct err *err) {
    char wal[VFS_PATH_BYTES_MAX + 8];
    snprintf(wal, sizeof wal, "%s-wal", path);
    enum rc rc = env_unlink(env, wal, err);
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* The new file takes the tablet's name. What the old one's WAL holds went into the old file before: a crash on the way leaves
 * the old data whole, or the new (P-10, Q-13). */
static enum rc replace(struct tablet *t, struct err *err) {
    struct tablets *ts = t->ts;
    enum rc rc = remove_wal(ts->env, t->path, err);
    if (!rc)
        rc = remove_wal(ts->env, t->load->path, err);
    if (!rc)
        rc = env_rename(ts->env, t->load->path, t->path, err);
    return rc ? rc : dir_sync(ts->reactor, ts->dir, err);
}

static enum rc install(struct tablet *t, struct err *err) {
    int64_t slot;
    enum rc rc = snapshot_load_end(t->load->stream, true, &slot, err);
    if (!rc)
        rc = mvcc_checkpoint(t->m, true, &slot, err);
    if (rc)
        return rc;
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
