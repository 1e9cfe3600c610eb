/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c: connections of the C API: who may call, what the last error was, callbacks.
 *
 * The guard (api_enter) is three atomics. `owner` is the thread that may call; `inside` is set while it does, so that a call
 * from a callback, or from a thread that was never given the handle, is told apart from an orderly one instead of corrupting
 * it. A call from a wrong thread leaves no error in the handle: that belongs to its owner.
 *
 * A fourth, `here`, lies on a page that is empty in a child of fork(): there the handle is none any more, without a system call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "txn/api/api.h"

static uintptr_t self(void) {
    return (uintptr_t)pthread_self();
}

static bool is_live(const meridian *db) {
    return db && atomic_load(&db->magic) == API_MAGIC_DB && *db->here;
}

int api_enter(meridian *db) {
    bool idle = false;
    if (!is_live(db) || atomic_load(&db->owner) != self())
        return MERIDIAN_MISUSE;
    if (!atomic_compare_exchange_strong(&db->inside, &idle, true))
        return MERIDIAN_MISUSE;
    return MERIDIAN_OK;
}

void api_leave_quietly(meridian *db) {
    atomic_store(&db->inside, false);
}

int api_leave(meridian *db, int code) {
    if (code < MERIDIAN_ERROR)
        api_error_clear(&db->error);
    else if (db->error.code != code)
        (void)api_error_set(&db->error, code, code == MERIDIAN_NOMEM ? "53200" : "XX000", "%s", api_code_text(code));
    atomic_store(&db->inside, false);
    return code;
}

int api_enter_stmt(meridian_stmt *st) {
    if (!st || atomic_load(&st->magic) != API_MAGIC_STMT || !st->db)
        return MERIDIAN_MISUSE;
    return api_enter(st->db);
}

int api_misuse(meridian *db, const char *text) {
    return api_error_set(&db->error, MERIDIAN_MISUSE, "XX000", "%s", text);
}

int meridian_abi(void) {
    return MERIDIAN_ABI;
}

/* ---- the engine's callbacks ------------------------------------------------------------------------------------------- */

static int on_progress(void *ctx) {
    meridian *db = ctx;
    return db->progress ? db->progress(db->progress_ctx) : 0;
}

static void on_notice(void *ctx, const struct api_error *what) {
    meridian *db = ctx;
    if (!db->on_notice)
        return;
    db->notice = what;
    db->on_notice(db, db->notice_ctx);
    db->notice = NULL;
}

/* ---- open and close ---------------------------------------------------------------------------------------------------- */

static meridian *handle_new(const struct engine_ops *ops) {
    meridian *db = calloc(1, sizeof *db);
    if (!db)
        return NULL;
    db->here = mmap(NULL, sizeof *db->here, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (db->here == MAP_FAILED) {
        free(db);
        return NULL;
    }
    (void)madvise(db->here, sizeof *db->here,
                  MADV_WIPEONFORK); /* a kernel that cannot: then a child is not told apart */
    *db->here = true;
    atomic_store(&db->magic, API_MAGIC_DB);
    atomic_store(&db->owner, self());
    db->ops = ops;
    db->host = (struct engine_host){.on_notice = on_notice, .notice_ctx = db, .progress_ctx = db, .progress_ms = -1};
    return db;
}

int api_open(const struct engine_ops *ops, engine_open_fn *open_engine, const char *url, int abi, const char *error,
             meridian **ret) {
    if (!ret)
        return MERIDIAN_MISUSE;
    *ret = NULL;
    if (!url)
        return MERIDIAN_MISUSE;
    meridian *db = handle_new(ops);
    if (!db)
        return MERIDIAN_NOMEM;
    *ret = db;
    if (abi != MERIDIAN_ABI)
        return api_error_set(&db->error, MERIDIAN_ABI_OTHER, "08P01",
                             "the program was compiled for ABI %d of meridian.h, the library has %d", abi,
                             MERIDIAN_ABI);
    if (!open_engine)
        return api_misuse(db, error);
    atomic_store(&db->inside, true);
    int code = open_engine(url, &db->host, &db->engine, &db->error);
    return api_leave(db, code);
}

int meridian_clone(meridian *db, meridian **ret) {
    if (ret)
        *ret = NULL;
    int code = api_enter(db);
    if (code)
        return code;
    if (!ret || !db->engine)
        return api_leave(db, api_misuse(db, "nothing to connect to, or no place for the connection"));
    meridian *other = handle_new(db->ops);
    if (!other)
        return api_leave(db, MERIDIAN_NOMEM);
    *ret = other;
    atomic_store(&other->inside, true);
    code = db->ops->clone(db->engine, &other->host, &other->engine, &other->error);
    api_leave_quietly(db);
    return api_leave(other, code);
}

int meridian_close(meridian *db) {
    if (!db)
        return MERIDIAN_OK;
    int code = api_enter(db);
    if (code)
        return code;
    for (meridian_stmt *st = db->stmts; st; st = st->next) {
        api_end(st);
        api_drop_params(st);
        if (st->engine)
            db->ops->stmt_free(st->engine);
        st->engine = NULL;
        st->db = NULL;
    }
    if (db->engine)
        db->ops->close(db->engine);
    atomic_store(&db->magic, API_MAGIC_DEAD);
    api_error_clear(&db->error);
    (void)munmap(db->here, sizeof *db->here);
    free(db);
    return MERIDIAN_OK;
}

int meridian_adopt(meridian *db) {
    bool idle = false;
    if (!is_live(db))
        return MERIDIAN_MISUSE;
    if (!atomic_compare_exchange_strong(&db->inside, &idle, true))
        return MERIDIAN_BUSY;
    atomic_store(&db->owner, self());
    return api_leave(db, MERIDIAN_OK);
}

static int no_engine(meridian *db) {
    return db->engine ? MERIDIAN_OK : api_misuse(db, "the connection was never opened");
}

int meridian_reset(meridian *db) {
    int code = api_enter(db);
    if (code)
        return code;
    code = no_engine(db);
    if (code)
        return api_leave(db, code);
    for (meridian_stmt *st = db->stmts; st; st = st->next)
        api_end(st);
    db->block_lost = false;
    db->server = API_SERVER_UNKNOWN;
    return api_leave(db, db->ops->reset(db->engine, &db->error));
}

int meridian_cancel(meridian *db) {
    if (!is_live(db) || !db->engine)
        return MERIDIAN_MISUSE;
    atomic_store(&db->cancelled, true);
    return db->ops->cancel(db->engine);
}

const char *meridian_info(meridian *db, int what) {
    if (api_enter(db))
        return NULL;
    const char *text = !db->engine                      ? NULL
                       : what == MERIDIAN_INFO_URL_KIND ? db->ops->kind
                                                        : db->ops->info(db->engine, what);
    api_leave_quietly(db);
    return text;
}

const char *meridian_parameter(meridian *db, const char *name) {
    if (api_enter(db))
        return NULL;
    const char *text = db->engine && name ? db->ops->parameter(db->engine, name) : NULL;
    api_leave_quietly(db);
    return text;
}

int api_state(meridian *db) {
    return db->block_lost ? 'E' : db->ops->state(db->engine);
}

int meridian_state(meridian *db) {
    if (api_enter(db))
        return 0;
    int state = db->engine ? api_state(db) : 0;
    api_leave_quietly(db);
    return state;
}

/* ---- the last error ------------------------------------------------------------------------------------------------------ */

int meridian_errcode(meridian *db) {
    if (api_enter(db))
        return MERIDIAN_MISUSE;
    int code = db->error.code;
    api_leave_quietly(db);
    return code;
}

const char *meridian_errmsg(meridian *db) {
    if (api_enter(db))
        return api_code_text(MERIDIAN_MISUSE);
    const char *text = api_error_text(&db->error, MERIDIAN_FIELD_MESSAGE);
    api_leave_quietly(db);
    return text ? text : "";
}

const char *meridian_error_field(meridian *db, int field) {
    if (api_enter(db))
        return NULL;
    const char *text = api_error_text(&db->error, field);
    api_leave_quietly(db);
    return text;
}

int meridian_error_position(meridian *db) {
    if (api_enter(db))
        return 0;
    int position = db->error.position;
    api_leave_quietly(db);
    return position;
}

int meridian_error_retry(meridian *db) {
    if (api_enter(db))
        return MERIDIAN_RETRY_NO;
    int retry = db->error.retry;
    api_leave_quietly(db);
    return retry;
}

/* ---- callbacks ------------------------------------------------------------------------------------------------------------ */

int meridian_on_progress(meridian *db, int interval_ms, int (*callback)(void *ctx), void *ctx) {
    int code = api_enter(db);
    if (code)
        return code;
    if (callback && interval_ms < 1)
        return api_leave(db, api_misuse(db, "the interval of a progress callback is at least 1 ms"));
    db->progress = callback;
    db->progress_ctx = ctx;
    db->host.on_progress = callback ? on_progress : NULL;
    db->host.progress_ms = callback ? interval_ms : -1;
    return api_leave(db, MERIDIAN_OK);
}

int meridian_on_notice(meridian *db, void (*callback)(meridian *db, void *ctx), void *ctx) {
    int code = api_enter(db);
    if (code)
        return code;
    db->on_notice = callback;
    db->notice_ctx = ctx;
    return api_leave(db, MERIDIAN_OK);
}

const char *meridian_notice_field(meridian *db, int field) {
    if (!is_live(db) || atomic_load(&db->owner) != self() || !db->notice)
        return NULL;
    return api_error_text(db->notice, field);
}
