/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embedded_internal.h: the insides of the embedded engine: the node (embedded_node.c), connections and their calls
 * (embedded.c), statements (embedded_stmt.c).
 *
 * Promise     embedded_call runs work on a fiber of the node and returns when it is done or paused.
 * Relies on   embedded.h.
 * Threads     state and cancel_posted are atomic; all else of a connection is the fiber's while a call runs (JOB_RUNNING), and
 *             the owner's otherwise.
 */
#ifndef MERIDIAN_SQL_ENGINE_EMBEDDED_INTERNAL_H
#define MERIDIAN_SQL_ENGINE_EMBEDDED_INTERNAL_H

#include <stdatomic.h>

#include "sql/engine/embedded.h"
#include "sql/run/sql_server.h"

/* ---- the node ------------------------------------------------------------------------------------------------------------ */

struct instance;

/* Opens dir, making a database of it if it is empty. */
int instance_open(const char *dir, const struct engine_host *host, struct instance **ret, struct api_error *err);
void instance_ref(struct instance *inst);
void instance_unref(struct instance *inst); /* the last one closes the node */
struct env *instance_env(const struct instance *inst);
struct reactor *instance_reactor(const struct instance *inst);
struct sess_engine *instance_engine(const struct instance *inst);
/* Why the node cannot go on (its log is lost, ...); NULL: it can. The node's thread only. */
const struct err *instance_broken(const struct instance *inst);
/* Calls that run, by embedded.link: cancelled when the node breaks. The node's thread only. */
struct ilist *instance_calls(struct instance *inst);

/* ---- a connection ---------------------------------------------------------------------------------------------------------- */

enum { EMBEDDED_BATCH_ROWS = 256, EMBEDDED_ASIDE_BYTES_MAX = 64 << 20, EMBEDDED_NOTICES_MAX = 64 };
enum job_state { JOB_DONE, JOB_RUNNING, JOB_PAUSED };
enum copy_state { COPY_NONE, COPY_WANTS, COPY_HAS };

struct embedded_stmt;

struct embedded_parameter {
    struct embedded_parameter *next;
    char *name, *value;
};

struct embedded {
    const struct engine_host *host;
    struct instance *inst;
    struct sess *sess;
    enum sess_state state;         /* after the last call */
    struct embedded_stmt *active;  /* its rows are not all fetched */
    struct embedded_stmt *running; /* whose call runs */
    struct embedded_parameter *parameters;
    struct api_error *notice; /* of the last call, to be delivered by its caller */
    size_t notices;

    _Atomic int job; /* enum job_state */
    _Atomic bool cancel_posted;
    int wake; /* eventfd: job has changed */
    void (*work)(struct embedded *e);
    struct env_post post, cancel_post;
    struct fiber *fiber; /* the node's thread only */
    bool cancel_wanted;  /* likewise: of a paused call */
    struct ilist link;   /* likewise: of instance_calls */
    bool ends;           /* the call gives something back: it is done on a broken node, too */
    bool lost;           /* the node broke before or while the call ran: err says so */
    struct waitq resumed;
    enum rc rc;
    struct err err;

    enum copy_state copy;
    const void *copy_data; /* COPY_WANTS: what the caller gives; COPY_HAS: what the fiber has */
    size_t copy_bytes;
    const char *copy_error; /* the caller gives it up */
};

static inline struct embedded *embedded_of(struct engine *e) {
    return (struct embedded *)(void *)e;
}

/* Runs e->work = work on a fiber; returns e->rc (of a paused call RC_OK). */
enum rc embedded_call(struct embedded *e, void (*work)(struct embedded *e));
/* The same for what gives back: also where the node is broken. */
enum rc embedded_call_end(struct embedded *e, void (*work)(struct embedded *e));
/* On the node's thread: e's call is to be given up. */
void embedded_give_up(struct embedded *e);
/* Lets a paused call go on, until it is done or paused again. */
enum rc embedded_resume(struct embedded *e);
bool embedded_paused(const struct embedded *e);
/* On the fiber: until embedded_resume. */
enum rc embedded_pause(struct embedded *e) WAITS;
int embedded_error(struct embedded *e, const struct err *from, struct api_error *err);

int embedded_prepare(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err);
int embedded_query(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err);
void embedded_stmt_free(struct engine_stmt *st);
int embedded_start(struct engine_stmt *st, const struct engine_param *param, struct api_error *err);
int embedded_step(struct engine_stmt *st, struct api_error *err);
int embedded_next(struct engine_stmt *st, struct api_error *err);
void embedded_end(struct engine_stmt *st);
int embedded_copy_write(struct engine_stmt *st, const void *data, size_t bytes, struct api_error *err);
int embedded_copy_end(struct engine_stmt *st, const char *error, struct api_error *err);
int embedded_copy_read(struct engine_stmt *st, const void **ret, size_t *ret_bytes, struct api_error *err);
enum rc embedded_row(struct embedded_stmt *st, const struct value *v, struct err *err);

#endif
