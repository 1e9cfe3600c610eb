/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c: submit, park, answer. */
#include "shard/runtime/wait.h"

#include <stdio.h>
#include <string.h>

struct io_wait {
    struct env_io io;
    struct event done;
};

static void on_io_done(struct env_io *io) {
    event_set(&container_of(io, struct io_wait, io)->done, io->rc);
}

static enum rc io_run(struct reactor *r, struct io_wait *w, const char *what, struct err *err) {
    event_init_unset(&w->done);
    w->io.on_done = on_io_done;
    env_io_submit(reactor_env(r), &w->io);
    fiber_shield_begin(r);
    enum rc rc = event_wait(r, &w->done, DEADLINE_NONE);
    fiber_shield_end(r);
    if (rc == RC_OK)
        return rc;
    if (w->io.os_errno) {
        err_errno(err, w->io.os_errno, "%s", what);
        if (err)
            err->rc = rc;
        return rc;
    }
    return err_set(err, rc, "%s: %s", what, rc_text(rc));
}

enum rc file_write_sync(struct reactor *r, enum env_lane lane, struct env_file *f, const struct iovec *iov, int count,
                        int64_t off, struct err *err) {
    struct io_wait w = {
        .io = {.kind = ENV_IO_WRITE_SYNC, .lane = lane, .file = f, .iov = iov, .iov_count = count, .off = off}};
    return io_run(r, &w, "write and sync", err);
}

enum rc file_sync(struct reactor *r, enum env_lane lane, struct env_file *f, struct err *err) {
    struct io_wait w = {.io = {.kind = ENV_IO_SYNC, .lane = lane, .file = f}};
    return io_run(r, &w, "sync", err);
}

enum rc dir_sync(struct reactor *r, const char *path, struct err *err) {
    struct io_wait w = {.io = {.kind = ENV_IO_DIR_SYNC, .lane = ENV_LANE_BULK, .path = path}};
    return io_run(r, &w, "sync directory", err);
}

enum rc file_allocate(struct reactor *r, struct env_file *f, int64_t off, int64_t bytes, struct err *err) {
    struct io_wait w = {.io = {.kind = ENV_IO_ALLOCATE, .lane = ENV_LANE_BULK, .file = f, .off = off, .bytes = bytes}};
    return io_run(r, &w, "allocate", err);
}

enum rc file_replace(struct reactor *r, const char *dir, const char *name, const void *data, size_t bytes,
                     struct err *err) {
    struct env *env = reactor_env(r);
    char path[ENV_PATH_BYTES], temp[ENV_PATH_BYTES];
    struct env_file *f = NULL;
    struct iovec iov = {(void *)(uintptr_t)data, bytes};
    int n = snprintf(path, sizeof path, "%s/%s", dir, name), m = snprintf(temp, sizeof temp, "%s/%s.new", dir, name);
    if (n < 0 || m < 0 || (size_t)m >= sizeof temp)
        return err_set(err, RC_LIMIT, "path too long: %s/%s", dir, name);
    enum rc rc = env_file_open(env, temp, ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &f, err);
    if (!rc)
        rc = file_write_sync(r, ENV_LANE_BULK, f, &iov, 1, 0, err);
    env_file_close(f);
    if (!rc)
        rc = env_rename(env, temp, path, err);
    if (!rc)
        rc = dir_sync(r, dir, err);
    if (rc && err)
        err_wrap(err, "replace %s", path);
    return rc;
}

struct job_wait {
    struct env_job job;
    void (*run)(void *arg);
    void *arg;
    struct event done;
};

static void job_run(struct env_job *job) {
    struct job_wait *w = container_of(job, struct job_wait, job);
    w->run(w->arg);
}

static void on_job_done(struct env_job *job) {
    event_set(&container_of(job, struct job_wait, job)->done, RC_OK);
}

enum rc big_stack_run(struct reactor *r, void (*run)(void *arg), void *arg) {
    struct job_wait w = {.job = {.run = job_run, .on_done = on_job_done}, .run = run, .arg = arg};
    event_init_unset(&w.done);
    env_big_stack(reactor_env(r), &w.job);
    fiber_shield_begin(r);
    enum rc rc = event_wait(r, &w.done, DEADLINE_NONE);
    fiber_shield_end(r);
    return rc;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static void on_open(void *ctx) {
    struct fiber_stream *fs = ctx;
    fs->open = true;
    waitq_wake_all(&fs->opener, RC_OK);
}

static void on_readable(void *ctx) {
    struct fiber_stream *fs = ctx;
    fs->readable = true;
    waitq_wake_all(&fs->readers, RC_OK);
}

static void on_writable(void *ctx) {
    struct fiber_stream *fs = ctx;
    fs->writable = true;
    waitq_wake_all(&fs->writers, RC_OK);
}

static void on_broken(void *ctx, enum rc rc, const char *why) {
    struct fiber_stream *fs = ctx;
    fs->broken = true;
    fs->broken_rc = rc;
    snprintf(fs->why, sizeof fs->why, "%s", why);
    waitq_wake_all(&fs->opener, rc);
    waitq_wake_all(&fs->readers, RC_OK);
    waitq_wake_all(&fs->writers, RC_OK);
}

static const struct env_stream_events stream_events = {on_open, on_readable, on_writable, on_broken};

void fiber_stream_init(struct fiber_stream *fs, struct reactor *r, struct env_stream *stream) {
    *fs = (struct fiber_stream){.reactor = r, .stream = stream, .readable = true, .writable = true};
    waitq_init(&fs->readers);
    waitq_init(&fs->writers);
    waitq_init(&fs->opener);
    env_stream_events(stream, &stream_events, fs);
}

void fiber_stream_break(struct fiber_stream *fs, enum rc rc, const char *why) {
    on_broken(fs, rc, why);
}

void fiber_stream_close(struct fiber_stream *fs) {
    env_stream_close(fs->stream);
    fs->stream = NULL;
}

enum rc fiber_stream_wait_open(struct fiber_stream *fs, int64_t deadline, struct err *err) {
    enum rc rc = RC_OK;
    while (!fs->open && !fs->broken && !rc)
        rc = waitq_wait(fs->reactor, &fs->opener, deadline);
    if (fs->broken)
        return err_set(err, fs->broken_rc, "%s", fs->why);
    return rc ? err_set(err, rc, "%s: %s", env_stream_peer(fs->stream), rc_text(rc)) : RC_OK;
}

enum rc fiber_stream_read(struct fiber_stream *fs, void *to, size_t bytes, int64_t deadline, size_t *ret_bytes) {
    for (;;) {
        size_t n = 0;
        if (fs->readable) {
            enum rc rc = env_stream_read(fs->stream, to, bytes, &n);
            if (rc)
                return rc;
            if (n < bytes)
                fs->readable = false;
            if (n > 0) {
                *ret_bytes = n;
                return RC_OK;
            }
        }
        if (fs->broken)
            return fs->broken_rc;
        enum rc rc = waitq_wait(fs->reactor, &fs->readers, deadline);
        if (rc)
            return rc;
    }
}

enum rc fiber_stream_write(struct fiber_stream *fs, const void *from, size_t bytes, int64_t deadline) {
    const char *at = from;
    while (bytes > 0) {
        size_t n = 0;
        struct iovec iov = {(void *)(uintptr_t)at, bytes};
        fs->writable = false;
        enum rc rc = env_stream_write(fs->stream, &iov, 1, &n);
        if (rc)
            return rc;
        at += n;
        bytes -= n;
        while (bytes > 0 && !fs->writable && !fs->broken) {
            rc = waitq_wait(fs->reactor, &fs->writers, deadline);
            if (rc)
                return rc;
        }
        if (fs->broken)
            return fs->broken_rc;
    }
    return RC_OK;
}

enum rc fiber_stream_tls(struct fiber_stream *fs, struct env_tls *tls, bool server, int64_t deadline, struct err *err) {
    fs->open = false;
    enum rc rc = env_stream_tls(fs->stream, tls, server, err);
    return rc ? rc : fiber_stream_wait_open(fs, deadline, err);
}
