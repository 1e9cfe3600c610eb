/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.h: the insides of the handles of meridian.h, for the files of this folder.
 *
 * Promise     api_enter lets a call through only if the handle is live, the thread owns it, and no other call is under way;
 *             whoever got through calls api_leave with its result, which becomes the last error.
 * Relies on   engine.h.
 * Threads     the owner's; magic, owner and inside are what other threads may look at.
 */
#ifndef MERIDIAN_TXN_API_API_H
#define MERIDIAN_TXN_API_API_H

#include <pthread.h>
#include <stdatomic.h>

#include "txn/api/engine.h"

enum { API_MAGIC_DB = 0x6d647631, API_MAGIC_STMT = 0x6d647332, API_MAGIC_DEAD = 0x64656164 };

/* Whether the server has the functions of the schema meridian. */
enum api_server { API_SERVER_UNKNOWN, API_SERVER_MERIDIAN, API_SERVER_OTHER };

struct meridian {
    _Atomic uint32_t magic;
    bool *here; /* false in a child of fork() */
    _Atomic uintptr_t owner;
    _Atomic bool inside;
    _Atomic bool cancelled; /* since meridian_run began */
    bool in_callback;
    bool block_lost; /* the connection went away with a block: only its end is taken */
    enum api_server server;
    const struct engine_ops *ops;
    struct engine *engine; /* NULL: opening failed */
    struct api_error error;
    const struct api_error *notice;
    meridian_stmt *stmts; /* all of them */
    struct engine_host host;
    int (*progress)(void *ctx);
    void *progress_ctx;
    void (*on_notice)(meridian *db, void *ctx);
    void *notice_ctx;
};

enum api_phase {
    API_READY,   /* the next step begins */
    API_RUNNING, /* rows or COPY data are to come */
    API_RESULT,  /* query: a result is at its end, meridian_next goes on */
    API_ENDED,   /* query: nothing is left; meridian_reset_stmt makes it ready */
};

struct meridian_stmt {
    _Atomic uint32_t magic;
    meridian *db; /* NULL: closed */
    meridian_stmt *next, **link;
    struct engine_stmt *engine;
    enum api_phase phase;
    int at; /* what the last step said */
    bool script;
    bool ends_block; /* it may commit: a lost connection leaves the outcome open */
    bool undoes;     /* ROLLBACK and its like, alone */
    struct engine_param *param;
    char *scratch; /* of meridian_column_blob */
    size_t scratch_bytes;
};

int api_enter(meridian *db);
/* Leaves with code; an error has been put into db->error. */
int api_leave(meridian *db, int code);
int api_enter_stmt(meridian_stmt *st);
/* Leaves without touching the last error: for what tells instead of doing. */
void api_leave_quietly(meridian *db);
int api_misuse(meridian *db, const char *text);
const char *api_code_text(int code);

/* The same as the public functions, from inside of a call. */
int api_exec(meridian *db, const char *sql);
int api_state(meridian *db);
int api_prepare(meridian *db, const char *sql, size_t bytes, bool script, meridian_stmt **ret);
int api_step(meridian_stmt *st);
void api_end(meridian_stmt *st);
void api_finalize(meridian_stmt *st);
void api_drop_params(meridian_stmt *st); /* while its engine part is there */
int api_bind(meridian_stmt *st, int index, const void *data, size_t bytes, bool binary);
/* The first column of the first row as text, into ret; MERIDIAN_DONE: no row, or NULL. */
int api_value(meridian *db, const char *sql, const char *param, char *ret, size_t bytes);
/* Runs sql that needs Meridian's own functions; MERIDIAN_UNSUPPORTED where they are missing. */
int api_need_meridian(meridian *db);

int api_begin(meridian *db, bool read_only, int staleness, int64_t value_ns);
int api_commit(meridian *db);
int api_rollback(meridian *db);

#endif
