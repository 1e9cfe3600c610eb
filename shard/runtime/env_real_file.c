/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env_real_file.c: files of a real process, and the threads that make them durable.
 *
 * Group commit: a lane takes everything that gathered while its last sync was under way, does all the writes, then one
 * fdatasync for each file among them, then answers them all. No timers: alone, a request never waits.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shard/runtime/env_real_internal.h"

struct env_file {
    struct env_handle handle;
    int fd;
    char path[ENV_PATH_BYTES];
};

struct env_dir_lock {
    struct env_handle handle;
    int fd;
};

enum { ZERO_BYTES = 1 << 20 };

enum rc real_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret, struct err *err) {
    int how = O_CLOEXEC | (flags & ENV_OPEN_READONLY ? O_RDONLY : O_RDWR) | (flags & ENV_OPEN_CREATE ? O_CREAT : 0) |
              (flags & ENV_OPEN_EXCLUSIVE ? O_EXCL : 0) | (flags & ENV_OPEN_TRUNCATE ? O_TRUNC : 0);
    if (strlen(path) >= ENV_PATH_BYTES)
        return err_set(err, RC_LIMIT, "path too long: %.100s...", path);
    struct env_file *f = malloc(sizeof *f);
    if (!f)
        return err_set(err, RC_NOMEM, "out of memory");
    f->handle.env = env;
    snprintf(f->path, sizeof f->path, "%s", path);
    f->fd = open(path, how, 0644);
    if (f->fd < 0) {
        int e = errno;
        free(f);
        return err_errno(err, e, "open %s", path);
    }
    *ret = f;
    return RC_OK;
}

void real_file_close(struct env_file *f) {
    close(f->fd);
    free(f);
}

enum rc real_file_read(struct env_file *f, void *to, size_t bytes, int64_t off, size_t *ret_bytes, struct err *err) {
    size_t at = 0;
    while (at < bytes) {
        ssize_t n = pread(f->fd, (char *)to + at, bytes - at, off + (int64_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "read %s", f->path);
        if (n == 0)
            break;
        at += (size_t)n;
    }
    *ret_bytes = at;
    return RC_OK;
}

/* 0 or an errno. */
static int write_all(int fd, const char *from, size_t bytes, int64_t off) {
    while (bytes > 0) {
        ssize_t n = pwrite(fd, from, bytes, off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return ENOSPC;
        from += n;
        off += n;
        bytes -= (size_t)n;
    }
    return 0;
}

enum rc real_file_write(struct env_file *f, const void *from, size_t bytes, int64_t off, struct err *err) {
    int e = write_all(f->fd, from, bytes, off);
    return e ? err_errno(err, e, "write %s", f->path) : RC_OK;
}

enum rc real_file_truncate(struct env_file *f, int64_t bytes, struct err *err) {
    return ftruncate(f->fd, bytes) ? err_errno(err, errno, "truncate %s", f->path) : RC_OK;
}

enum rc real_file_size(struct env_file *f, int64_t *ret_bytes, struct err *err) {
    struct stat st;
    if (fstat(f->fd, &st))
        return err_errno(err, errno, "stat %s", f->path);
    *ret_bytes = st.st_size;
    return RC_OK;
}

/* ---- what blocks: on a lane's thread ----------------------------------------------------------------------------- */

static int write_iov(const struct env_io *io) {
    int64_t off = io->off;
    struct iovec one;
    if (io->iov_count > 1) { /* the common case in one call; a short one is finished piece by piece */
        ssize_t n = pwritev(io->file->fd, io->iov, io->iov_count, off);
        size_t done = n > 0 ? (size_t)n : 0;
        for (int i = 0; i < io->iov_count; i++) {
            size_t skip = done < io->iov[i].iov_len ? done : io->iov[i].iov_len;
            one = (struct iovec){(char *)io->iov[i].iov_base + skip, io->iov[i].iov_len - skip};
            int e = write_all(io->file->fd, one.iov_base, one.iov_len, off + (int64_t)skip);
            if (e)
                return e;
            done -= skip;
            off += (int64_t)io->iov[i].iov_len;
        }
        return 0;
    }
    return io->iov_count ? write_all(io->file->fd, io->iov[0].iov_base, io->iov[0].iov_len, off) : 0;
}

static int allocate(const struct env_io *io) {
    static const char zeros[ZERO_BYTES];
    int e = posix_fallocate(io->file->fd, io->off, io->bytes); /* one extent if there is one */
    if (e && e != EOPNOTSUPP && e != EINVAL)
        return e;
    for (int64_t at = 0; at < io->bytes; at += ZERO_BYTES) {
        int64_t n = io->bytes - at < ZERO_BYTES ? io->bytes - at : ZERO_BYTES;
        e = write_all(io->file->fd, zeros, (size_t)n, io->off + at);
        if (e)
            return e;
    }
    return 0;
}

static int sync_dir(const char *path) {
    int fd = open(path[0] ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int e = fsync(fd) ? errno : 0;
    close(fd);
    return e;
}

static void io_finished(struct env_post *p) {
    struct env_io *io = container_of(p, struct env_io, post);
    io->on_done(io);
}

static void finish(struct env_real *owner, struct env_io *io) {
    io->rc = rc_from_errno(io->os_errno);
    if (io->rc && io->rc != RC_NOSPACE && io->rc != RC_NOTFOUND)
        io->rc = RC_IO;
    io->post.fn = io_finished;
    env_post(&owner->env, &io->post);
}

void real_io_serve(struct env_real *owner, struct env_post *first) {
    struct env_io *all = NULL, **last = &all;
    for (struct env_post *p = first; p; p = p->next) {
        struct env_io *io = container_of(p, struct env_io, post);
        io->os_errno = io->kind == ENV_IO_WRITE_SYNC ? write_iov(io)
                       : io->kind == ENV_IO_ALLOCATE ? allocate(io)
                       : io->kind == ENV_IO_DIR_SYNC ? sync_dir(io->path)
                                                     : 0;
        io->priv = NULL; /* not synced yet */
        *last = io;
        last = &io->next;
    }
    *last = NULL;
    for (struct env_io *io = all; io; io = io->next) {
        if (io->kind == ENV_IO_DIR_SYNC || io->os_errno || io->priv)
            continue;
        int e = fdatasync(io->file->fd) ? errno : 0;
        for (struct env_io *o = io; o; o = o->next)
            if (o->kind != ENV_IO_DIR_SYNC && o->file == io->file && !o->os_errno) {
                o->os_errno = e;
                o->priv = o;
            }
    }
    for (struct env_io *io = all, *next; io; io = next) {
        next = io->next; /* finish gives io back to its owner */
        finish(owner, io);
    }
}

void real_io_submit(struct env *env, struct env_io *io) {
    CHECK(io->kind == ENV_IO_DIR_SYNC || env_of(io->file) == env);
    lane_submit(&((struct env_real *)env)->lanes[io->lane], &io->post);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

enum rc real_rename(struct env *env, const char *from, const char *to, struct err *err) {
    (void)env;
    return rename(from, to) ? err_errno(err, errno, "rename %s to %s", from, to) : RC_OK;
}

enum rc real_unlink(struct env *env, const char *path, struct err *err) {
    (void)env;
    return unlink(path) ? err_errno(err, errno, "remove %s", path) : RC_OK;
}

enum rc real_mkdir(struct env *env, const char *path, struct err *err) {
    (void)env;
    return mkdir(path, 0755) ? err_errno(err, errno, "make directory %s", path) : RC_OK;
}

enum rc real_rmdir(struct env *env, const char *path, struct err *err) {
    (void)env;
    return rmdir(path) ? err_errno(err, errno, "remove directory %s", path) : RC_OK;
}

static int not_dots(const struct dirent *d) {
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* Byte order, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

enum rc real_dir_list(struct env *env, const char *path, env_on_name *on_name, void *ctx, struct err *err) {
    struct dirent **names;
    (void)env;
    int n = scandir(path, &names, not_dots, by_name);
    if (n < 0)
        return err_errno(err, errno, "list %s", path);
    for (int i = 0; i < n; i++) {
        on_name(ctx, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return RC_OK;
}

enum rc real_dir_lock(struct env *env, const char *path, struct env_dir_lock **ret, struct err *err) {
    char name[ENV_PATH_BYTES];
    int n = snprintf(name, sizeof name, "%s/LOCK", path);
    if (n < 0 || (size_t)n >= sizeof name)
        return err_set(err, RC_LIMIT, "path too long: %.100s...", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, errno, "open %s", name);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int e = errno;
        close(fd);
        if (e == EWOULDBLOCK)
            return err_set(err, RC_BUSY, "directory %s is in use by another process", path);
        return err_errno(err, e, "lock %s", name);
    }
    struct env_dir_lock *l = malloc(sizeof *l);
    if (!l) {
        close(fd);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    l->handle.env = env;
    l->fd = fd;
    *ret = l;
    return RC_OK;
}

void real_dir_unlock(struct env_dir_lock *lock) {
    close(lock->fd);
    free(lock);
}

enum rc real_disk_free(struct env *env, const char *path, int64_t *ret_bytes, struct err *err) {
    struct statvfs v;
    (void)env;
    if (statvfs(path, &v))
        return err_errno(err, errno, "stat %s", path);
    *ret_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
    return RC_OK;
}
