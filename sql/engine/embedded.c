/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embedded.c: connections of the embedded engine: a session on the node's thread, and the calls that go over to it.
 *
 * A call is one piece of work on a large fiber. The caller sleeps on an eventfd, so that its progress callback can be asked
 * meanwhile; a cancelled call unwinds like any cancelled statement. COPY pauses the fiber where it wants or has data.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sql/engine/embedded_internal.h"

enum { CANCEL_SETTLES_MS = 1 };

/* ---- errors -------------------------------------------------------------------------------------------------------------- */

int embedded_error(struct embedded *e, const struct err *from, struct api_error *err) {
    static const struct {
        int field;
        enum err_object object;
    } objects[] = {{MERIDIAN_FIELD_SCHEMA, ERR_SCHEMA},
                   {MERIDIAN_FIELD_TABLE, ERR_TABLE},
                   {MERIDIAN_FIELD_COLUMN, ERR_COLUMN},
                   {MERIDIAN_FIELD_TYPE, ERR_TYPE},
                   {MERIDIAN_FIELD_CONSTRAINT, ERR_CONSTRAINT}};
    (void)e;
    api_error_clear(err);
    if (from->rc == RC_NOMEM)
        return api_error_set(err, MERIDIAN_NOMEM, "53200", "%s", err_message(from));
    api_error_by_state(err, err_sqlstate(from));
    api_error_field(err, MERIDIAN_FIELD_SEVERITY, "ERROR");
    if (strcmp(err_sqlstate(from), "57P02") == 0)
        err->retry = MERIDIAN_RETRY_NO; /* not before it was opened again */
    api_error_field(err, MERIDIAN_FIELD_MESSAGE,
                    from->rc == RC_CANCELLED ? "canceling statement due to user request" : err_message(from));
    api_error_field(err, MERIDIAN_FIELD_DETAIL, from->detail[0] ? from->detail : NULL);
    api_error_field(err, MERIDIAN_FIELD_HINT, from->hint[0] ? from->hint : NULL);
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        if (from->object[objects[i].object][0])
            api_error_field(err, objects[i].field, from->object[objects[i].object]);
    err->position = from->position;
    return err->code;
}

/* ---- calls ---------------------------------------------------------------------------------------------------------------- */

static void tell(struct embedded *e, enum job_state job) {
    atomic_store(&e->job, (int)job);
    (void)eventfd_write(e->wake, 1); /* it cannot be full */
}

/* The node can do nothing any more. What ran when that happened may be committed all the same: its record may be in the log that
 * could not be made sure of. */
static void broken(struct embedded *e, bool ran) {
    const struct err *why = instance_broken(e->inst);
    e->lost = true;
    e->rc = err_set(&e->err, RC_IO, "the database in this process has stopped: %.200s", err_message(why));
    err_state(&e->err, ran ? "40003" : "57P02");
    err_hint(&e->err, "%s",
             ran ? "Close it and open it again; what was under way may have happened, its commit token tells."
                 : "Close it and open it again.");
}

static void run(void *arg) {
    struct embedded *e = arg;
    struct reactor *r = instance_reactor(e->inst);
    bool was_broken = instance_broken(e->inst) != NULL;
    e->fiber = fiber_self(r);
    e->cancel_wanted = false;
    ilist_push_back(instance_calls(e->inst), &e->link);
    if (was_broken)
        fiber_cancel(e->fiber); /* it waits for nothing */
    if (!was_broken || e->ends)
        e->work(e);
    ilist_del(&e->link);
    e->fiber = NULL;
    if (was_broken ? !e->ends : e->rc && instance_broken(e->inst))
        broken(e, !was_broken);
    if (e->sess)
        e->state = sess_engine_ops.state(e->sess);
    if (e->rc && e->err.rc != e->rc)
        err_set(&e->err, e->rc, "%s", rc_text(e->rc));
    tell(e, JOB_DONE);
}

static void on_start(struct env_post *p) {
    struct embedded *e = container_of(p, struct embedded, post);
    enum rc rc = fiber_spawn(instance_reactor(e->inst), NULL, FIBER_LARGE, "embedded call", run, e);
    if (rc) {
        e->rc = err_set(&e->err, rc, "no fiber for the statement: %s", rc_text(rc));
        tell(e, JOB_DONE);
    }
}

static void on_resume(struct env_post *p) {
    struct embedded *e = container_of(p, struct embedded, post);
    waitq_wake_one(&e->resumed, e->cancel_wanted ? RC_CANCELLED : RC_OK); /* nobody: it was cancelled just now */
}

void embedded_give_up(struct embedded *e) {
    if (e->fiber && atomic_load(&e->job) == JOB_PAUSED)
        e->cancel_wanted = true; /* when it goes on: the caller may be looking at its memory */
    else if (e->fiber)
        fiber_cancel(e->fiber);
}

static void on_cancel(struct env_post *p) {
    struct embedded *e = container_of(p, struct embedded, cancel_post);
    atomic_store(&e->cancel_posted, false);
    embedded_give_up(e);
}

static int cancel(struct engine *engine) {
    struct embedded *e = embedded_of(engine);
    bool posted = false;
    if (atomic_compare_exchange_strong(&e->cancel_posted, &posted, true)) {
        e->cancel_post.fn = on_cancel;
        env_post(instance_env(e->inst), &e->cancel_post);
    }
    return MERIDIAN_OK;
}

static void deliver(struct embedded *e) {
    for (size_t i = 0; i < e->notices; i++) {
        e->host->on_notice(e->host->notice_ctx, &e->notice[i]);
        api_error_clear(&e->notice[i]);
    }
    e->notices = 0;
}

static enum rc wait_for(struct embedded *e) {
    struct pollfd fd = {.fd = e->wake, .events = POLLIN};
    eventfd_t n;
    while (atomic_load(&e->job) == JOB_RUNNING) {
        int ready = poll(&fd, 1, e->host->on_progress ? e->host->progress_ms : -1);
        if (ready > 0)
            (void)eventfd_read(e->wake, &n); /* only to make it unreadable again */
        else if (ready == 0 && e->host->on_progress && e->host->on_progress(e->host->progress_ctx))
            (void)cancel((struct engine *)(void *)e); /* always succeeds */
    }
    deliver(e);
    return e->rc;
}

static enum rc call(struct embedded *e, void (*work)(struct embedded *e), bool ends) {
    CHECK(atomic_load(&e->job) == JOB_DONE);
    e->work = work;
    e->ends = ends;
    e->lost = false;
    e->rc = RC_OK;
    err_clear(&e->err);
    atomic_store(&e->job, JOB_RUNNING);
    e->post.fn = on_start;
    env_post(instance_env(e->inst), &e->post);
    return wait_for(e);
}

enum rc embedded_call(struct embedded *e, void (*work)(struct embedded *e)) {
    return call(e, work, false);
}

enum rc embedded_call_end(struct embedded *e, void (*work)(struct embedded *e)) {
    return call(e, work, true);
}

bool embedded_paused(const struct embedded *e) {
    return atomic_load(&e->job) == JOB_PAUSED;
}

enum rc embedded_resume(struct embedded *e) {
    int paused = JOB_PAUSED;
    CHECK(atomic_compare_exchange_strong(&e->job, &paused, JOB_RUNNING));
    e->post.fn = on_resume;
    env_post(instance_env(e->inst), &e->post);
    return wait_for(e);
}

enum rc embedded_pause(struct embedded *e) {
    tell(e, JOB_PAUSED);
    return waitq_wait(instance_reactor(e->inst), &e->resumed, DEADLINE_NONE);
}

/* ---- what the session says ---------------------------------------------------------------------------------------------------- */

static enum rc client_row(void *ctx, const struct value *v, struct err *err) {
    struct embedded *e = ctx;
    return embedded_row(e->running, v, err);
}

static void client_notice(void *ctx, const struct err *what, const char *severity) {
    struct embedded *e = ctx;
    if (e->notices == EMBEDDED_NOTICES_MAX)
        return; /* a flood of notices helps nobody */
    if (!e->notice && !(e->notice = calloc(EMBEDDED_NOTICES_MAX, sizeof *e->notice)))
        return;
    struct api_error *to = &e->notice[e->notices++];
    (void)embedded_error(e, what, to);
    if (!to->code)
        to->code = MERIDIAN_ERROR; /* only so that its fields can be asked for */
    api_error_field(to, MERIDIAN_FIELD_SEVERITY, severity);
}

static void client_parameter(void *ctx, const char *name, const char *value) {
    struct embedded *e = ctx;
    struct embedded_parameter *p = e->parameters;
    while (p && strcmp(p->name, name) != 0)
        p = p->next;
    char *copy = strdup(value);
    if (!p && copy && (p = calloc(1, sizeof *p)) && (p->name = strdup(name))) {
        p->next = e->parameters;
        e->parameters = p;
    } else if (!p || !p->name || !copy) { /* without memory it stays unknown */
        if (p && !p->name)
            free(p);
        free(copy);
        return;
    }
    free(p->value);
    p->value = copy;
}

static enum rc client_copy_in(void *ctx, bool binary, size_t columns, struct err *err) {
    (void)ctx, (void)binary, (void)columns, (void)err;
    return RC_OK; /* the first piece is asked for next */
}

static enum rc client_copy_read(void *ctx, const void **ret, size_t *ret_bytes, struct err *err) {
    struct embedded *e = ctx;
    e->copy = COPY_WANTS;
    enum rc rc = embedded_pause(e);
    if (rc)
        return err_set(err, rc, "COPY was given up");
    if (e->copy_error)
        return err_sql(err, "57014", "COPY from stdin failed: %.200s", e->copy_error);
    *ret = e->copy_data;
    *ret_bytes = e->copy_bytes;
    return RC_OK;
}

static enum rc has_data(struct embedded *e, const void *data, size_t bytes, struct err *err) {
    e->copy = COPY_HAS;
    e->copy_data = data;
    e->copy_bytes = bytes;
    enum rc rc = embedded_pause(e);
    return rc ? err_set(err, rc, "COPY was given up") : RC_OK;
}

static enum rc client_copy_out(void *ctx, bool binary, size_t columns, struct err *err) {
    (void)binary, (void)columns;
    return has_data(ctx, NULL, 0, err);
}

static enum rc client_copy_write(void *ctx, const void *data, size_t bytes, struct err *err) {
    return bytes ? has_data(ctx, data, bytes, err) : RC_OK;
}

static enum rc client_copy_done(void *ctx, struct err *err) {
    (void)ctx, (void)err;
    return RC_OK;
}

static const struct sess_client client = {
    .row = client_row,
    .notice = client_notice,
    .parameter = client_parameter,
    .copy_in = client_copy_in,
    .copy_read = client_copy_read,
    .copy_out = client_copy_out,
    .copy_write = client_copy_write,
    .copy_done = client_copy_done,
};

/* ---- life ----------------------------------------------------------------------------------------------------------------------- */

static void work_open(struct embedded *e) {
    struct sess_open how = {
        .user = "meridian", .database = "meridian", .peer = "embedded", .client = &client, .ctx = e};
    e->rc = sess_engine_ops.open(instance_engine(e->inst), &how, &e->sess, &e->err);
}

static void work_close(struct embedded *e) {
    if (e->sess)
        sess_engine_ops.close(e->sess);
    e->sess = NULL;
}

static void release(struct embedded *e) {
    if (e->wake >= 0)
        close(e->wake);
    for (size_t i = 0; e->notice && i < EMBEDDED_NOTICES_MAX; i++)
        api_error_clear(&e->notice[i]);
    while (e->parameters) {
        struct embedded_parameter *p = e->parameters;
        e->parameters = p->next;
        free(p->name);
        free(p->value);
        free(p);
    }
    free(e->notice);
    free(e);
}

/* Takes a reference of inst, also where it fails. */
static int connection_new(struct instance *inst, const struct engine_host *host, struct engine **ret,
                          struct api_error *err) {
    struct embedded *e = calloc(1, sizeof *e);
    int code = MERIDIAN_NOMEM;
    if (e) {
        e->host = host;
        e->inst = inst;
        e->state = SESS_IDLE;
        waitq_init(&e->resumed);
        ilist_init(&e->link);
        e->wake = eventfd(0, EFD_CLOEXEC);
        if (e->wake >= 0)
            code = embedded_call(e, work_open) ? embedded_error(e, &e->err, err) : MERIDIAN_OK;
    }
    if (!code) {
        *ret = (struct engine *)(void *)e;
        return code;
    }
    if (e)
        release(e);
    instance_unref(inst);
    return err->code == code ? code : api_error_set(err, code, "53200", "out of memory or descriptors");
}

int embedded_open(const char *url, const struct engine_host *host, struct engine **ret, struct api_error *err) {
    struct instance *inst;
    const char *dir = url + sizeof "file:" - 1;
    if (strncmp(dir, "//", 2) == 0)
        dir += 2;
    if (!*dir || strchr(dir, '?'))
        return api_error_set(err, MERIDIAN_MISUSE, "22023", "file:DIR names a directory, without options");
    int code = instance_open(dir, host, &inst, err);
    return code ? code : connection_new(inst, host, ret, err);
}

static int clone_(struct engine *engine, const struct engine_host *host, struct engine **ret, struct api_error *err) {
    struct embedded *e = embedded_of(engine);
    instance_ref(e->inst);
    return connection_new(e->inst, host, ret, err);
}

static void close_(struct engine *engine) {
    struct embedded *e = embedded_of(engine);
    (void)embedded_call_end(e, work_close); /* it cannot fail */
    while (atomic_load(&e->cancel_posted))  /* another thread's, still on its way */
        (void)poll(NULL, 0, CANCEL_SETTLES_MS);
    instance_unref(e->inst);
    release(e);
}

static int reset(struct engine *engine, struct api_error *err) {
    struct embedded *e = embedded_of(engine);
    e->active = NULL;
    (void)embedded_call_end(e, work_close);
    return embedded_call(e, work_open) ? embedded_error(e, &e->err, err) : MERIDIAN_OK;
}

static int state(struct engine *engine) {
    return (int)embedded_of(engine)->state;
}

static const char *info(struct engine *engine, int what) {
    (void)engine;
    return what == MERIDIAN_INFO_USER || what == MERIDIAN_INFO_DATABASE ? "meridian" : NULL;
}

static const char *parameter(struct engine *engine, const char *name) {
    for (const struct embedded_parameter *p = embedded_of(engine)->parameters; p; p = p->next)
        if (strcmp(p->name, name) == 0)
            return p->value;
    return NULL;
}

const struct engine_ops embedded_ops = {
    .kind = "embedded",
    .clone = clone_,
    .close = close_,
    .reset = reset,
    .cancel = cancel,
    .state = state,
    .info = info,
    .parameter = parameter,
    .prepare = embedded_prepare,
    .query = embedded_query,
    .stmt_free = embedded_stmt_free,
    .start = embedded_start,
    .step = embedded_step,
    .next = embedded_next,
    .end = embedded_end,
    .copy_write = embedded_copy_write,
    .copy_end = embedded_copy_end,
    .copy_read = embedded_copy_read,
};
