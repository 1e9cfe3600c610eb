/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_file.c: an env's files on a simulated disk, with its faults and its time.
 *
 * Reads and writes take no time (page cache); syncs do. A lane serves a batch: everything that gathered while the last batch
 * was under way is written at once and made durable together, as in env_real_file.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/sim/sim_internal.h"

struct env_file {
    struct env_handle handle;
    struct inode *inode;
    struct ilist link; /* node's open files */
    char path[ENV_PATH_BYTES];
};

struct env_dir_lock {
    struct env_handle handle;
    struct ilist link;
    char path[ENV_PATH_BYTES];
};

static struct sim_env *env_cast(struct env *env) {
    return (struct sim_env *)env;
}

static struct sim_node *node_of(const void *handle) {
    return env_cast(env_of(handle))->node;
}

struct disk *sim_node_disk(struct sim_node *n) {
    return n->ghost ? n->ghost : n->disk;
}

static bool fault(struct sim_node *n, double p) {
    return rng_chance(&n->sim->world, p);
}

static enum rc fail(struct err *err, enum rc rc, const char *what, const char *path) {
    return err_set(err, rc, "%s %s: %s", what, path, rc_text(rc));
}

enum rc sim_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret, struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    struct inode *inode = NULL;
    if (strlen(path) >= ENV_PATH_BYTES)
        return err_set(err, RC_LIMIT, "path too long: %.100s...", path);
    sim_io(n);
    enum rc rc = disk_open(sim_node_disk(n), path, flags & ENV_OPEN_CREATE, flags & ENV_OPEN_EXCLUSIVE, &inode);
    if (rc)
        return fail(err, rc, "open", path);
    if (flags & ENV_OPEN_TRUNCATE)
        inode_truncate(inode, 0);
    struct env_file *f = calloc(1, sizeof *f);
    CHECK(f);
    f->handle.env = env;
    f->inode = inode;
    snprintf(f->path, sizeof f->path, "%s", path);
    ilist_init(&f->link);
    ilist_push_back(&n->files, &f->link);
    *ret = f;
    return RC_OK;
}

void sim_file_close(struct env_file *f) {
    ilist_del(&f->link);
    inode_unref(f->inode);
    free(f);
}

enum rc sim_file_read(struct env_file *f, void *to, size_t bytes, int64_t off, size_t *ret_bytes, struct err *err) {
    struct sim_node *n = node_of(f);
    if (fault(n, n->faults.read_eio))
        return fail(err, RC_IO, "read", f->path);
    *ret_bytes = inode_read(f->inode, to, bytes, off);
    return RC_OK;
}

/* A node that dies within a write leaves a part of it, which the power loss may then tear further. */
static enum rc write_bytes(struct sim_node *n, struct inode *inode, const void *from, size_t bytes, int64_t off) {
    int64_t cap = n->faults.capacity_bytes;
    if (!n->crashed && n->crash_at_io && n->io_count + 1 >= n->crash_at_io && bytes)
        inode_write(inode, from, (size_t)rng_below(&n->sim->world, bytes + 1), off);
    if (sim_io(n)) {
        inode_write(inode, from, bytes, off); /* the ghost must read back what it wrote */
        return RC_OK;
    }
    if (fault(n, n->faults.write_eio))
        return RC_IO;
    if (cap && disk_used(n->disk) + inode_grow_bytes(inode, bytes, off) > cap)
        return RC_NOSPACE;
    inode_write(inode, from, bytes, off);
    return RC_OK;
}

enum rc sim_file_write(struct env_file *f, const void *from, size_t bytes, int64_t off, struct err *err) {
    enum rc rc = write_bytes(node_of(f), f->inode, from, bytes, off);
    return rc ? fail(err, rc, "write", f->path) : RC_OK;
}

enum rc sim_file_truncate(struct env_file *f, int64_t bytes, struct err *err) {
    struct sim_node *n = node_of(f);
    if (!sim_io(n) && fault(n, n->faults.write_eio))
        return fail(err, RC_IO, "truncate", f->path);
    inode_truncate(f->inode, bytes);
    return RC_OK;
}

enum rc sim_file_size(struct env_file *f, int64_t *ret_bytes, struct err *err) {
    (void)err;
    *ret_bytes = inode_size(f->inode);
    return RC_OK;
}

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

static void on_lane_done(struct sim_env *e, struct sim_event *ev);

void sim_lane_init(struct sim_env *e, struct sim_lane *l) {
    l->last = &l->first;
    sim_event_init(&l->done, e, "io", on_lane_done);
}

static enum rc allocate(struct sim_node *n, const struct env_io *io) {
    static const uint8_t zeros[64 << 10];
    for (int64_t at = 0; at < io->bytes; at += (int64_t)sizeof zeros) {
        int64_t left = io->bytes - at;
        size_t bytes = left < (int64_t)sizeof zeros ? (size_t)left : sizeof zeros;
        enum rc rc = write_bytes(n, io->file->inode, zeros, bytes, io->off + at);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static enum rc write_iov(struct sim_node *n, const struct env_io *io) {
    int64_t off = io->off;
    for (int i = 0; i < io->iov_count; i++) {
        enum rc rc = write_bytes(n, io->file->inode, io->iov[i].iov_base, io->iov[i].iov_len, off);
        if (rc)
            return rc;
        off += (int64_t)io->iov[i].iov_len;
    }
    return RC_OK;
}

/* Takes what waits: the writes happen now, their durability when the batch is done. */
static void lane_start(struct sim_env *e, struct sim_lane *l) {
    struct sim_node *n = e->node;
    int64_t at = e->sim->now + n->faults.sync_ns;
    l->batch = l->first;
    l->first = NULL;
    l->last = &l->first;
    for (struct env_io *io = l->batch; io; io = io->next) {
        io->rc = io->kind == ENV_IO_WRITE_SYNC ? write_iov(n, io)
                 : io->kind == ENV_IO_ALLOCATE ? allocate(n, io)
                                               : RC_OK;
        io->priv = NULL;
    }
    for (struct env_io *io = l->batch; io; io = io->next) {
        if (io->kind == ENV_IO_DIR_SYNC || io->rc || io->priv)
            continue;
        l->syncs = realloc(l->syncs, (l->sync_count + 1) * sizeof(struct disk_sync *));
        CHECK(l->syncs);
        l->syncs[l->sync_count++] = disk_sync_begin(io->file->inode);
        for (struct env_io *o = io; o; o = o->next)
            if (o->kind != ENV_IO_DIR_SYNC && o->file->inode == io->file->inode)
                o->priv = l->syncs[l->sync_count - 1];
    }
    if (n->faults.sync_jitter_ns)
        at += rng_exponential(&e->sim->world, n->faults.sync_jitter_ns);
    sim_event_set(&l->done, at > n->faults.hang_until_ns ? at : n->faults.hang_until_ns);
}

/* The files named in the batch become durable, or one of them fails for good. */
static void lane_sync(struct sim_env *e, struct sim_lane *l, bool abort) {
    for (size_t i = 0; i < l->sync_count; i++) {
        bool failed = abort || sim_io(e->node) || fault(e->node, e->node->faults.sync_eio);
        for (struct env_io *io = l->batch; failed && io; io = io->next)
            if (io->priv == l->syncs[i])
                io->rc = RC_IO;
        if (failed)
            disk_sync_fail(l->syncs[i]);
        else
            disk_sync_end(l->syncs[i]);
    }
    free(l->syncs);
    l->syncs = NULL;
    l->sync_count = 0;
}

static void lane_answer(struct sim_env *e, struct sim_lane *l) {
    struct env_io *io = l->batch;
    l->batch = NULL;
    for (struct env_io *next; io; io = next) {
        next = io->next;
        if (e->node->crashed)
            io->rc = RC_SHUTDOWN;
        io->os_errno = io->rc == RC_IO ? EIO : io->rc == RC_NOSPACE ? ENOSPC : 0;
        io->on_done(io);
    }
}

static void on_lane_done(struct sim_env *e, struct sim_event *ev) {
    struct sim_lane *l = container_of(ev, struct sim_lane, done);
    if (e->node->faults.hang_until_ns > e->sim->now) { /* the disk began to hang meanwhile */
        sim_event_set(ev, e->node->faults.hang_until_ns);
        return;
    }
    lane_sync(e, l, false);
    for (struct env_io *io = l->batch; io; io = io->next)
        if (io->kind == ENV_IO_DIR_SYNC && !sim_io(e->node))
            io->rc = fault(e->node, e->node->faults.sync_eio) ? RC_IO : disk_sync_dir(e->node->disk, io->path);
    lane_answer(e, l);
    if (l->first && !l->batch)
        lane_start(e, l);
    sim_env_turn(e);
}

bool sim_lane_abort(struct sim_env *e, struct sim_lane *l) {
    if (!l->first && !l->batch)
        return false;
    sim_event_cancel(e->sim, &l->done);
    if (l->batch) {
        lane_sync(e, l, true);
        for (struct env_io *io = l->batch; io; io = io->next)
            io->rc = RC_SHUTDOWN;
        lane_answer(e, l);
    }
    l->batch = l->first;
    l->first = NULL;
    l->last = &l->first;
    for (struct env_io *io = l->batch; io; io = io->next)
        io->rc = RC_SHUTDOWN;
    lane_answer(e, l);
    return true;
}

void sim_io_submit(struct env *env, struct env_io *io) {
    struct sim_env *e = env_cast(env);
    struct sim_lane *l = &e->lanes[io->lane];
    CHECK(io->kind == ENV_IO_DIR_SYNC || env_of(io->file) == env);
    io->next = NULL;
    io->rc = RC_OK;
    *l->last = io;
    l->last = &io->next;
    if (!l->batch && !e->node->crashed)
        lane_start(e, l);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

enum rc sim_rename(struct env *env, const char *from, const char *to, struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    sim_io(n);
    enum rc rc = disk_rename(sim_node_disk(n), from, to);
    return rc ? fail(err, rc, "rename", from) : RC_OK;
}

enum rc sim_unlink(struct env *env, const char *path, struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    sim_io(n);
    enum rc rc = disk_unlink(sim_node_disk(n), path);
    return rc ? fail(err, rc, "remove", path) : RC_OK;
}

enum rc sim_mkdir(struct env *env, const char *path, struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    sim_io(n);
    enum rc rc = disk_mkdir(sim_node_disk(n), path);
    return rc ? fail(err, rc, "make directory", path) : RC_OK;
}

enum rc sim_rmdir(struct env *env, const char *path, struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    sim_io(n);
    enum rc rc = disk_rmdir(sim_node_disk(n), path);
    return rc ? fail(err, rc, "remove directory", path) : RC_OK;
}

enum rc sim_dir_list(struct env *env, const char *path, env_on_name *on_name, void *ctx, struct err *err) {
    enum rc rc = disk_list(sim_node_disk(env_cast(env)->node), path, on_name, ctx);
    return rc ? fail(err, rc, "list", path) : RC_OK;
}

enum rc sim_dir_lock(struct env *env, const char *path, struct env_dir_lock **ret, struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    if (strlen(path) >= ENV_PATH_BYTES)
        return err_set(err, RC_LIMIT, "path too long: %.100s...", path);
    ilist_for_each(it, &n->locks)
        if (strcmp(ilist_entry(it, struct env_dir_lock, link)->path, path) == 0)
            return err_set(err, RC_BUSY, "directory %s is in use by another process", path);
    struct env_dir_lock *l = calloc(1, sizeof *l);
    CHECK(l);
    l->handle.env = env;
    snprintf(l->path, sizeof l->path, "%s", path);
    ilist_init(&l->link);
    ilist_push_back(&n->locks, &l->link);
    *ret = l;
    return RC_OK;
}

void sim_dir_unlock(struct env_dir_lock *lock) {
    ilist_del(&lock->link);
    free(lock);
}

enum rc sim_disk_free_bytes(struct env *env, const char *path, int64_t *ret_bytes, struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    (void)path, (void)err;
    int64_t cap = n->faults.capacity_bytes ? n->faults.capacity_bytes : INT64_C(1) << 40;
    int64_t used = disk_used(sim_node_disk(n));
    *ret_bytes = cap > used ? cap - used : 0;
    return RC_OK;
}

/* ---- what tests do to disks -------------------------------------------------------------------------------------- */

bool sim_disk_flip(struct sim_node *n, const char *path, int64_t off, unsigned bit) {
    struct inode *i = NULL;
    uint8_t byte;
    if (disk_open(n->disk, path, false, false, &i) != RC_OK)
        return false;
    bool ok = inode_read(i, &byte, 1, off) == 1;
    if (ok) {
        byte ^= (uint8_t)(1u << (bit & 7));
        inode_write(i, &byte, 1, off);
        disk_sync_end(disk_sync_begin(i));
    }
    inode_unref(i);
    return ok;
}

void sim_disk_wipe(struct sim_node *n) {
    CHECK(!n->running);
    disk_free(n->disk);
    n->disk = disk_new();
}

struct each {
    void (*fn)(void *ctx, const char *path, int64_t bytes);
    void *ctx;
};

static void each_file(void *ctx, const char *path, struct inode *inode) {
    struct each *e = ctx;
    e->fn(e->ctx, path, inode_size(inode));
}

void sim_disk_each(struct sim_node *n, void (*fn)(void *ctx, const char *path, int64_t bytes), void *ctx) {
    struct each e = {fn, ctx};
    disk_each(n->disk, each_file, &e);
}

int64_t sim_disk_copy(struct sim_node *n, const char *path, void *to, size_t bytes) {
    struct inode *i = NULL;
    if (disk_open(n->disk, path, false, false, &i) != RC_OK)
        return -1;
    int64_t size = inode_size(i);
    inode_read(i, to, bytes, 0);
    inode_unref(i);
    return size;
}
