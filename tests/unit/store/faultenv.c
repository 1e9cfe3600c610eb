/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/faultenv.h"

#include <errno.h>
#include <stdlib.h>

#include "shard/runtime/env_real.h"
#include "tests/lib/tap.h"

struct env_file {
    struct env_handle handle;
    struct env_file *inner; /* the real env's, whose type is another */
};

/* A request with the inner file in it. */
struct fault_io {
    struct env_io io;
    struct env_io *outer;
    struct env_post post;
};

static struct faults *faults_of(struct env *env) {
    return (struct faults *)env;
}

void faults_set(struct faults *x, unsigned kinds, uint64_t n, bool lasting, enum rc rc) {
    x->kinds = kinds;
    x->count = x->failed = 0;
    x->fail_at = n;
    x->lasting = lasting;
    x->rc = rc;
}

void faults_off(struct faults *x) {
    x->fail_at = 0;
}

static bool strikes(struct faults *x, unsigned kind) {
    if (!(x->kinds & kind) || !x->fail_at)
        return false;
    x->count++;
    if (x->count != x->fail_at && !(x->lasting && x->count > x->fail_at))
        return false;
    x->failed++;
    return true;
}

static int errno_of(enum rc rc) {
    return rc == RC_NOSPACE ? ENOSPC : rc == RC_NOMEM ? ENOMEM : EIO;
}

static enum rc strike(struct faults *x, unsigned kind, struct err *err) {
    return strikes(x, kind) ? err_errno(err, errno_of(x->rc), "injected") : RC_OK;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static int64_t on_clock(struct env *env, enum env_clock clock) {
    return env_clock_ns(faults_of(env)->inner, clock);
}

static void on_timer_set(struct env *env, struct timer *t, int64_t due_ns) {
    env_timer_set(faults_of(env)->inner, t, due_ns);
}

static void on_timer_cancel(struct env *env, struct timer *t) {
    env_timer_cancel(faults_of(env)->inner, t);
}

static uint64_t on_random(struct env *env) {
    return env_random(faults_of(env)->inner);
}

static void on_post(struct env *to, struct env_post *p) {
    env_post(faults_of(to)->inner, p);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static enum rc on_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret, struct err *err) {
    enum rc rc = strike(faults_of(env), FAULT_OPEN, err);
    if (rc)
        return rc;
    struct env_file *f = malloc(sizeof *f);
    CHECK(f);
    f->handle.env = env;
    rc = env_file_open(faults_of(env)->inner, path, flags, &f->inner, err);
    if (rc)
        free(f);
    else
        *ret = f;
    return rc;
}

static void on_file_close(struct env_file *f) {
    env_file_close(f->inner);
    free(f);
}

static enum rc on_file_read(struct env_file *f, void *to, size_t bytes, int64_t off, size_t *ret, struct err *err) {
    enum rc rc = strike(faults_of(f->handle.env), FAULT_READ, err);
    return rc ? rc : env_file_read(f->inner, to, bytes, off, ret, err);
}

/* Half of a write that fails is there. */
static enum rc on_file_write(struct env_file *f, const void *from, size_t bytes, int64_t off, struct err *err) {
    enum rc rc = strike(faults_of(f->handle.env), FAULT_WRITE, err);
    enum rc wrote = env_file_write(f->inner, from, rc ? bytes / 2 : bytes, off, rc ? NULL : err);
    return rc ? rc : wrote;
}

static enum rc on_file_truncate(struct env_file *f, int64_t bytes, struct err *err) {
    enum rc rc = strike(faults_of(f->handle.env), FAULT_WRITE, err);
    return rc ? rc : env_file_truncate(f->inner, bytes, err);
}

static enum rc on_file_size(struct env_file *f, int64_t *ret, struct err *err) {
    return env_file_size(f->inner, ret, err);
}

static void answer(struct fault_io *f) {
    struct env_io *outer = f->outer;
    outer->rc = f->io.rc;
    outer->os_errno = f->io.os_errno;
    free(f);
    outer->on_done(outer);
}

static void on_inner_done(struct env_io *io) {
    answer(container_of(io, struct fault_io, io));
}

static void on_failed(struct env_post *p) {
    answer(container_of(p, struct fault_io, post));
}

static void on_io_submit(struct env *env, struct env_io *io) {
    struct faults *x = faults_of(env);
    struct fault_io *f = calloc(1, sizeof *f);
    CHECK(f);
    f->io = *io;
    f->io.file = io->file ? io->file->inner : NULL;
    f->io.on_done = on_inner_done;
    f->outer = io;
    f->post.fn = on_failed;
    if (!strikes(x, FAULT_SYNC)) {
        env_io_submit(x->inner, &f->io);
        return;
    }
    f->io.rc = x->rc == RC_NOSPACE ? RC_NOSPACE : RC_IO;
    f->io.os_errno = errno_of(x->rc);
    env_post(x->inner, &f->post);
}

static enum rc on_rename(struct env *env, const char *from, const char *to, struct err *err) {
    enum rc rc = strike(faults_of(env), FAULT_NAME, err);
    return rc ? rc : env_rename(faults_of(env)->inner, from, to, err);
}

static enum rc on_unlink(struct env *env, const char *path, struct err *err) {
    enum rc rc = strike(faults_of(env), FAULT_NAME, err);
    return rc ? rc : env_unlink(faults_of(env)->inner, path, err);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

struct ctx {
    void (*body)(struct reactor *r, struct faults *x);
    struct faults faults;
    struct reactor *r;
    struct process *process;
};

static void faults_init(struct faults *x, struct env *inner) {
    x->env = *inner;
    x->inner = inner;
    x->ops = (struct env_ops){
        .clock_ns = on_clock,
        .timer_set = on_timer_set,
        .timer_cancel = on_timer_cancel,
        .random = on_random,
        .post = on_post,
        .file_open = on_file_open,
        .file_close = on_file_close,
        .file_read = on_file_read,
        .file_write = on_file_write,
        .file_truncate = on_file_truncate,
        .file_size = on_file_size,
        .io_submit = on_io_submit,
        .rename = on_rename,
        .unlink = on_unlink,
    };
    x->env.ops = &x->ops;
    metrics_init(&x->env.metrics, "");
}

static void body_main(void *arg) {
    struct ctx *c = arg;
    c->body(c->r, &c->faults);
    process_stop(c->process);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct ctx *c = arg;
    (void)count, (void)err;
    faults_init(&c->faults, stores[0]);
    enum rc rc = reactor_new(&c->faults.env, NULL, &c->r);
    if (rc)
        return rc;
    stores[0]->on_turn = c->faults.env.on_turn;
    stores[0]->turn_ctx = c->faults.env.turn_ctx;
    *ret_state = c;
    return fiber_spawn(c->r, NULL, FIBER_LARGE, "test body", body_main, c);
}

static void stop(void *state, uint16_t store) {
    (void)store;
    reactor_stop(((struct ctx *)state)->r);
}

static bool stopped(void *state, uint16_t store) {
    (void)store;
    return reactor_idle(((struct ctx *)state)->r);
}

static void done(void *state) {
    struct ctx *c = state;
    c->faults.inner->on_turn = NULL;
    reactor_free(c->r);
}

void on_fault_fiber(void (*body)(struct reactor *r, struct faults *x)) {
    static const struct program program = {boot, stop, stopped, done};
    struct process_conf conf = {.stores = 1, .level = DIAG_OFF};
    struct ctx c = {.body = body};
    struct err err = {0};
    OKF(process_new(&conf, &c.process, &err) == RC_OK, "%s", err.message);
    OKF(process_run(c.process, &program, &c, &err) == RC_OK, "%s", err.message);
    process_free(c.process);
}
