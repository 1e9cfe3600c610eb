/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/paxos/memenv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct env_file {
    struct env_handle handle;
    struct mem_file *f; /* unlinked, its place stays as it is until it is taken anew: tests close before */
};

static struct memenv *cast(struct env *env) {
    return (struct memenv *)env;
}

static enum rc strike(struct memenv *e, unsigned kind, struct err *err) {
    if (!(e->kinds & kind) || !e->fail_at)
        return RC_OK;
    e->count++;
    if (e->count != e->fail_at && !(e->lasting && e->count > e->fail_at))
        return RC_OK;
    e->failed++;
    return err_set(err, e->rc, "injected");
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static int64_t on_clock(struct env *env, enum env_clock clock) {
    (void)clock;
    return cast(env)->now_ns;
}

static void on_timer_set(struct env *env, struct timer *t, int64_t due_ns) {
    timerq_set(&cast(env)->timers, t, due_ns);
}

static void on_timer_cancel(struct env *env, struct timer *t) {
    timerq_cancel(&cast(env)->timers, t);
}

static uint64_t on_random(struct env *env) {
    return rng_u64(&cast(env)->rng);
}

static void on_post(struct env *env, struct env_post *p) {
    struct memenv *e = cast(env);
    p->next = NULL;
    *e->posts_last = p;
    e->posts_last = &p->next;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

struct mem_file *memenv_file(struct memenv *e, const char *name) {
    for (size_t i = 0; i < MEM_FILES; i++)
        if (strcmp(e->file[i].name, name) == 0)
            return &e->file[i];
    return NULL;
}

static void resize(struct mem_file *f, size_t bytes) {
    if (bytes > f->cap) {
        size_t cap = bytes > 2 * f->cap ? bytes : 2 * f->cap;
        uint8_t *p = realloc(f->data, cap);
        p = p ? p : realloc(f->data, cap); /* a test that makes one allocation fail does not mean ours */
        CHECK(p);
        f->data = p;
        f->cap = cap;
    }
    if (bytes > f->bytes)
        memset(f->data + f->bytes, 0, bytes - f->bytes);
    f->bytes = bytes;
}

static struct mem_file *make(struct memenv *e, const char *name) {
    struct mem_file *f = memenv_file(e, "");
    CHECK(f);
    free(f->data);
    *f = (struct mem_file){.data = NULL};
    snprintf(f->name, sizeof f->name, "%s", name);
    return f;
}

void memenv_put(struct memenv *e, const char *name, const void *data, size_t bytes) {
    struct mem_file *f = memenv_file(e, name);
    f = f ? f : make(e, name);
    f->bytes = 0;
    resize(f, bytes);
    if (bytes)
        memcpy(f->data, data, bytes);
}

void memenv_copy(struct memenv *to, const struct memenv *from) {
    for (size_t i = 0; i < MEM_FILES; i++)
        to->file[i].name[0] = '\0';
    for (size_t i = 0; i < MEM_FILES; i++)
        if (from->file[i].name[0])
            memenv_put(to, from->file[i].name, from->file[i].data, from->file[i].bytes);
}

static enum rc on_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret, struct err *err) {
    struct memenv *e = cast(env);
    struct mem_file *f = memenv_file(e, path);
    enum rc rc = strike(e, MEM_OPEN, err);
    if (rc)
        return rc;
    if (f && (flags & ENV_OPEN_EXCLUSIVE))
        return err_set(err, RC_EXISTS, "%s exists", path);
    if (!f && !(flags & ENV_OPEN_CREATE))
        return err_set(err, RC_NOTFOUND, "there is no %s", path);
    f = f ? f : make(e, path);
    if (flags & ENV_OPEN_TRUNCATE)
        f->bytes = 0;
    struct env_file *h = malloc(sizeof *h);
    if (!h)
        return err_set(err, RC_NOMEM, "out of memory");
    h->handle.env = env;
    h->f = f;
    e->open++;
    *ret = h;
    return RC_OK;
}

static void on_file_close(struct env_file *h) {
    cast(h->handle.env)->open--;
    free(h);
}

static enum rc on_file_read(struct env_file *h, void *to, size_t bytes, int64_t off, size_t *ret, struct err *err) {
    enum rc rc = strike(cast(h->handle.env), MEM_READ, err);
    size_t size = h->f->bytes, n = (size_t)off < size ? size - (size_t)off : 0;
    if (rc)
        return rc;
    *ret = n < bytes ? n : bytes;
    if (*ret)
        memcpy(to, h->f->data + off, *ret);
    return RC_OK;
}

static int64_t used(const struct memenv *e) {
    int64_t sum = 0;
    for (size_t i = 0; i < MEM_FILES; i++)
        sum += e->file[i].name[0] ? (int64_t)e->file[i].bytes : 0;
    return sum;
}

static enum rc write_at(struct memenv *e, struct mem_file *f, const void *from, size_t bytes, int64_t off) {
    size_t end = (size_t)off + bytes;
    if (e->capacity && end > f->bytes && used(e) + (int64_t)(end - f->bytes) > e->capacity)
        return RC_NOSPACE;
    if (end > f->bytes)
        resize(f, end);
    if (from && bytes)
        memcpy(f->data + off, from, bytes);
    else if (bytes)
        memset(f->data + off, 0, bytes);
    return RC_OK;
}

static enum rc on_file_write(struct env_file *h, const void *from, size_t bytes, int64_t off, struct err *err) {
    struct memenv *e = cast(h->handle.env);
    enum rc rc = strike(e, MEM_WRITE, err);
    if (!rc && (rc = write_at(e, h->f, from, bytes, off)))
        err_set(err, rc, "full");
    return rc;
}

static enum rc on_file_size(struct env_file *h, int64_t *ret, struct err *err) {
    (void)err;
    *ret = (int64_t)h->f->bytes;
    return RC_OK;
}

static void on_io_submit(struct env *env, struct env_io *io) {
    struct memenv *e = cast(env);
    io->next = NULL;
    *e->ios_last = io;
    e->ios_last = &io->next;
}

static enum rc serve(struct memenv *e, struct env_io *io) {
    enum rc rc = strike(e, MEM_IO, NULL);
    int64_t off = io->off;
    if (rc || io->kind == ENV_IO_DIR_SYNC || io->kind == ENV_IO_SYNC)
        return rc;
    if (io->kind == ENV_IO_ALLOCATE)
        return write_at(e, io->file->f, NULL, (size_t)io->bytes, off);
    e->batches++;
    for (int i = 0; i < io->iov_count && !rc; i++) {
        rc = write_at(e, io->file->f, io->iov[i].iov_base, io->iov[i].iov_len, off);
        off += (int64_t)io->iov[i].iov_len;
    }
    return rc;
}

static enum rc on_rename(struct env *env, const char *from, const char *to, struct err *err) {
    struct memenv *e = cast(env);
    enum rc rc = strike(e, MEM_NAME, err);
    struct mem_file *f = memenv_file(e, from), *old = memenv_file(e, to);
    if (rc)
        return rc;
    if (!f)
        return err_set(err, RC_NOTFOUND, "there is no %s", from);
    if (old)
        old->name[0] = '\0';
    snprintf(f->name, sizeof f->name, "%s", to);
    return RC_OK;
}

/* The bytes stay for those who have it open. */
static enum rc on_unlink(struct env *env, const char *path, struct err *err) {
    struct memenv *e = cast(env);
    enum rc rc = strike(e, MEM_NAME, err);
    struct mem_file *f = memenv_file(e, path);
    if (rc)
        return rc;
    if (!f)
        return err_set(err, RC_NOTFOUND, "there is no %s", path);
    f->name[0] = '\0';
    return RC_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum rc on_dir_list(struct env *env, const char *path, env_on_name *on_name, void *ctx, struct err *err) {
    struct memenv *e = cast(env);
    const char *names[MEM_FILES] = {0};
    size_t n = 0, skip = strlen(path);
    (void)err;
    for (size_t i = 0; i < MEM_FILES; i++)
        if (strncmp(e->file[i].name, path, skip) == 0 && e->file[i].name[skip] == '/')
            names[n++] = e->file[i].name + skip + 1;
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++)
        on_name(ctx, names[i]);
    return RC_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

bool memenv_step(struct memenv *e) {
    bool any = false;
    struct env_post *p = e->posts;
    e->posts = NULL;
    e->posts_last = &e->posts;
    for (struct env_post *next; p; p = next, any = true) {
        next = p->next;
        p->fn(p);
    }
    struct env_io *io = e->hold ? NULL : e->ios;
    if (!io)
        return any;
    e->ios = io->next;
    if (!e->ios)
        e->ios_last = &e->ios;
    io->rc = serve(e, io);
    io->os_errno = io->rc == RC_NOSPACE ? ENOSPC : io->rc ? EIO : 0;
    io->on_done(io);
    return true;
}

bool memenv_run(struct memenv *e) {
    bool any = false;
    while (memenv_step(e))
        any = true;
    return any;
}

void memenv_advance(struct memenv *e, int64_t ns) {
    e->now_ns += ns;
    for (struct timer *t; (t = timerq_pop(&e->timers, e->now_ns));)
        t->on_fire(t->ctx);
    memenv_run(e);
}

void memenv_fail(struct memenv *e, unsigned kinds, uint64_t n, bool lasting, enum rc rc) {
    e->kinds = kinds;
    e->count = 0;
    e->fail_at = n;
    e->lasting = lasting;
    e->rc = rc;
}

static int64_t wall(void *ctx) {
    return ((struct memenv *)ctx)->now_ns;
}

static void sink(void *ctx, enum diag_level level, const char *line, size_t len) {
    (void)ctx, (void)level, (void)line, (void)len;
}

void memenv_init(struct memenv *e) {
    static const struct env_ops ops = {
        .clock_ns = on_clock,
        .timer_set = on_timer_set,
        .timer_cancel = on_timer_cancel,
        .random = on_random,
        .post = on_post,
        .file_open = on_file_open,
        .file_close = on_file_close,
        .file_read = on_file_read,
        .file_write = on_file_write,
        .file_size = on_file_size,
        .io_submit = on_io_submit,
        .rename = on_rename,
        .unlink = on_unlink,
        .dir_list = on_dir_list,
    };
    *e = (struct memenv){.env = {.ops = &ops}, .now_ns = 1};
    e->env.diag = (struct diag){.level = DIAG_OFF, .sink = sink, .wall_ns = wall, .ctx = e};
    e->posts_last = &e->posts;
    e->ios_last = &e->ios;
    timerq_init(&e->timers);
    rng_init(&e->rng, 1);
    metrics_init(&e->env.metrics, "");
}

void memenv_done(struct memenv *e) {
    CHECK(!e->posts && !e->ios && e->open == 0 && e->timers.count == 0);
    for (size_t i = 0; i < MEM_FILES; i++)
        free(e->file[i].data);
}
