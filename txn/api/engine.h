/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h: what stands behind meridian.h: a server far away, or a database in this process.
 *
 * Promise     An engine speaks in statements and in values in PostgreSQL's text form. Everything that can be said in SQL
 *             (transactions, tokens, timestamps) is done above it, so that all engines do it alike. Codes are those of
 *             meridian.h; each error fills its struct api_error.
 * Relies on   the API's guard: one call at a time, by the owner of the connection; handles are live. Only cancel comes from
 *             other threads.
 * Threads     as above.
 *
 * The engines lie in sql/engine; which one a URL means is decided there (meridian_open_abi).
 */
#ifndef MERIDIAN_TXN_API_ENGINE_H
#define MERIDIAN_TXN_API_ENGINE_H

#include <stdbool.h>

#include "txn/api/meridian.h"

struct engine;

struct api_error {
    int code;
    int position; /* in characters from 1; 0: nowhere */
    int retry;    /* enum meridian_retry */
    bool lost;    /* the connection went with it... */
    bool unsent;  /* ...before anything of the statement was sent */
    char state[6];
    char *field[MERIDIAN_FIELDS]; /* malloc'ed or NULL; SQLSTATE is state */
};

/* All return err->code. Running out of memory while a text is copied leaves the text out, never the code. */
int api_error_set(struct api_error *err, int code, const char *state, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void api_error_field(struct api_error *err, int field, const char *text); /* NULL: takes it away */
void api_error_clear(struct api_error *err);
/* The code and the retry rule that a SQLSTATE stands for. */
int api_error_by_state(struct api_error *err, const char *state);
const char *api_error_text(const struct api_error *err, int field);

struct engine_column {
    const char *name;
    uint32_t oid;
    int32_t typmod; /* PostgreSQL's, -1: none */
};

struct engine_cell {
    const char *data; /* text form, with a zero byte behind it; NULL: SQL's NULL */
    size_t bytes;
};

struct engine_param {
    char *data; /* NULL: SQL's NULL */
    size_t bytes;
    bool binary;
};

/* The public head of a statement; the engine's own lies around it. */
struct engine_stmt {
    size_t params, columns;
    const uint32_t *param;
    const struct engine_column *column; /* good until the next step, next or end */
    const struct engine_cell *cell;     /* of the row, after MERIDIAN_ROW */
    const char *tag;                    /* after MERIDIAN_DONE; never NULL */
};

/* What the API offers the engine; lives longer than it. */
struct engine_host {
    int (*on_progress)(void *ctx); /* NULL: nobody asks. Anything but 0: give up */
    int progress_ms;
    void *progress_ctx;
    void (*on_notice)(void *ctx, const struct api_error *what);
    void *notice_ctx;
};

struct engine_ops {
    const char *kind; /* "remote" */

    /* One more connection to the same database. */
    int (*clone)(struct engine *e, const struct engine_host *host, struct engine **ret, struct api_error *err);
    void (*close)(struct engine *e);
    int (*reset)(struct engine *e, struct api_error *err);
    int (*cancel)(struct engine *e); /* any thread */
    int (*state)(struct engine *e);  /* 'I', 'T', 'E' */
    const char *(*info)(struct engine *e, int what);
    const char *(*parameter)(struct engine *e, const char *name);

    /* sql need not end with a zero byte; copied. prepare: params and columns are known then. */
    int (*prepare)(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err);
    int (*query)(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err);
    void (*stmt_free)(struct engine_stmt *st); /* ended before */

    /* Begins the execution; param has st->params values, borrowed until it returns. Then step until it says something else
     * than MERIDIAN_ROW; next goes to the next result (query only); end drops what is left. After an error only end. */
    int (*start)(struct engine_stmt *st, const struct engine_param *param, struct api_error *err);
    int (*step)(struct engine_stmt *st, struct api_error *err);
    int (*next)(struct engine_stmt *st, struct api_error *err);
    void (*end)(struct engine_stmt *st);

    int (*copy_write)(struct engine_stmt *st, const void *data, size_t bytes, struct api_error *err);
    int (*copy_end)(struct engine_stmt *st, const char *error, struct api_error *err);
    int (*copy_read)(struct engine_stmt *st, const void **ret, size_t *ret_bytes, struct api_error *err);
};

/* Opens an engine of its kind: what api_open calls. */
typedef int engine_open_fn(const char *url, const struct engine_host *host, struct engine **ret, struct api_error *err);

/* The body of meridian_open_abi, for an engine that is chosen already; open NULL: error says why there is none. */
int api_open(const struct engine_ops *ops, engine_open_fn *open, const char *url, int abi, const char *error,
             meridian **ret);

#endif
