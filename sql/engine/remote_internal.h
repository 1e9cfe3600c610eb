/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_internal.h: the remote engine's connection (remote.c), as its statements (remote_stmt.c) see it.
 *
 * Promise     remote_ready gives a connection that is not known to be broken, made anew if need be. remote_result waits with
 *             the progress callback, and knows when the connection went away.
 * Relies on   libpq.
 * Threads     the owner's; only what lock guards is for others.
 */
#ifndef MERIDIAN_SQL_ENGINE_REMOTE_INTERNAL_H
#define MERIDIAN_SQL_ENGINE_REMOTE_INTERNAL_H

#include <postgresql/libpq-fe.h>
#include <pthread.h>

#include "sql/engine/remote.h"
#include "truetime/base/check.h"

enum {
    REMOTE_OPTIONS_MAX = 64,
    REMOTE_DEAD_MAX = 1024,            /* names of freed statements, until the server has forgotten them */
    REMOTE_DEAD_MIN = 32,              /* told the server together */
    REMOTE_ASIDE_BYTES_MAX = 64 << 20, /* rows of a statement that another one interrupts */
    REMOTE_NAME_BYTES = 32,
};

struct remote_stmt;

struct remote {
    const struct engine_host *host;
    const char *keyword[REMOTE_OPTIONS_MAX + 1];
    char *value[REMOTE_OPTIONS_MAX + 1];
    size_t options;
    PGconn *conn;        /* NULL: none yet */
    uint64_t generation; /* counts connections: prepared statements belong to one */
    uint64_t names;      /* of prepared statements, ever */
    uint64_t dead[REMOTE_DEAD_MAX];
    size_t dead_count;
    struct remote_stmt *active;    /* its results are on the way */
    PGTransactionStatusType state; /* the last one known */
    bool lost;                     /* the connection has broken, and was reported */
    char tls[128];
    pthread_mutex_t lock; /* guards cancel */
    PGcancel *cancel;
};

static inline struct remote *remote_of(struct engine *e) {
    return (struct remote *)(void *)e;
}

/* Also sets the rows of an active statement aside. block: the statement may run inside of the open block. */
int remote_ready(struct remote *r, struct api_error *err);
/* After something was sent: the next result, NULL: no more. The caller clears it. */
PGresult *remote_result(struct remote *r);
/* Waits until what was written has left; false: the connection broke. */
bool remote_flush(struct remote *r);
bool remote_broken(const struct remote *r);
/* Fills err from a failed result (NULL: from the connection). Returns err->code. */
int remote_error(struct remote *r, const PGresult *res, struct api_error *err);
void remote_fields(const PGresult *res, struct api_error *err);
/* Whether what is open would be lost with the connection. */
bool remote_in_block(const struct remote *r);
int remote_set_aside(struct remote_stmt *st, struct api_error *err);
void remote_forget(struct remote *r, uint64_t name);

int remote_prepare(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err);
int remote_query(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err);
void remote_stmt_free(struct engine_stmt *st);
int remote_start(struct engine_stmt *st, const struct engine_param *param, struct api_error *err);
int remote_step(struct engine_stmt *st, struct api_error *err);
int remote_next(struct engine_stmt *st, struct api_error *err);
void remote_end(struct engine_stmt *st);
int remote_copy_write(struct engine_stmt *st, const void *data, size_t bytes, struct api_error *err);
int remote_copy_end(struct engine_stmt *st, const char *error, struct api_error *err);
int remote_copy_read(struct engine_stmt *st, const void **ret, size_t *ret_bytes, struct api_error *err);

#endif
