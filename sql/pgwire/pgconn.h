/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgconn.h: one connection, inside of sql/pgwire. The session's fiber reads messages and does what needs little stack;
 * whatever enters the engine runs on a large fiber of the group `work`, so that a cancel request ends that and not the session.
 *
 *     STARTUP -> (TLS -> STARTUP) -> AUTH -> READY <-> busy -> CLOSED
 */
#ifndef MERIDIAN_SQL_PGCONN_H
#define MERIDIAN_SQL_PGCONN_H

#include "shard/runtime/wait.h"
#include "sql/pgwire/pgmsg.h"
#include "sql/pgwire/pgwire.h"
#include "truetime/base/arena.h"
#include "truetime/base/map.h"

enum { PGCONN_OUT_BYTES = 32 << 10, PGCONN_KEEP_BYTES = 4 << 10, PGCONN_NAME_BYTES_MAX = 63 };

struct pgwire {
    struct reactor *reactor;
    struct env *env;
    struct pgwire_conf conf;
    struct pgwire_stats stats;
    struct metric metric[11];
    struct pgwire *const *stores;
    uint16_t store_count, next_store;
    struct env_listener *listener;
    struct fiber_group fibers;
    struct ilist conns;
    uint32_t next_slot;
    bool stopping;
};

struct pgstmt {
    struct map_node node;
    struct sess_stmt *stmt;
    uint32_t uses; /* the name, and portals */
    char name[];
};

struct pgportal {
    struct map_node node;
    struct pgstmt *stmt;
    struct sess_portal *portal;
    size_t bytes; /* that it holds */
    size_t formats;
    int16_t *format; /* 0, 1 (for all) or one each */
    bool executed;
    char name[];
};

struct pgconn {
    struct pgwire *w;
    struct ilist link;
    struct fiber_stream fs;
    struct buf in, out;
    size_t in_at;      /* read up to here */
    size_t in_message; /* the message under way ends here */
    size_t in_held;    /* of `in`, as far as it is counted in `held` */
    size_t held;       /* bytes of statements, portals and the message under way */
    size_t held_most;
    uint32_t pid, secret;
    struct sess *sess;
    struct map statements, portals;
    struct fiber_group work;
    bool closing;                   /* the session ends after what is in `out` */
    bool skip_to_sync;              /* an error in the extended protocol */
    bool copying;                   /* COPY FROM STDIN reads messages */
    bool ended;                     /* the client said goodbye, or is gone */
    bool cancel;                    /* the statement under way is to end */
    bool on_work;                   /* one is under way */
    bool killed;                    /* somebody ended the session */
    struct fiber *fiber;            /* the session's own */
    const struct pgportal *running; /* formats for rows */
    char who[160];                  /* for diagnostics */
};

/* ---- pgconn.c: bytes ---- */

/* The next message, whole, in place until the next call. RC_CLOSED: the client is gone. RC_PROTOCOL: and the connection
 * must end (08P01). */
enum rc pgconn_read(struct pgconn *c, char *ret_type, struct rd *ret, struct err *err) WAITS;
/* Counts bytes more as held by the session, or fewer. RC_LIMIT: not by this session; RC_NOMEM: not by all of the store's. */
enum rc pgconn_hold(struct pgconn *c, size_t bytes, struct err *err);
void pgconn_let_go(struct pgconn *c, size_t bytes);
/* Whether the next message is there already, and is of this type. */
bool pgconn_next_is(const struct pgconn *c, char type);
/* Sends what is in out. Not cut short by a cancelled statement: half a message would ruin the connection. */
enum rc pgconn_flush(struct pgconn *c) WAITS;
/* Flushes if much has gathered. */
enum rc pgconn_flush_some(struct pgconn *c, struct err *err) WAITS;
void pgconn_main(void *arg);
/* sess_client.stop */
void pgconn_stop(void *ctx, bool terminate);
/* Runs fn(arg) on a large fiber; a cancel request cancels that. */
enum rc pgconn_work(struct pgconn *c, fiber_fn *fn, void *arg) WAITS;

/* ---- pgconn_start.c ---- */

/* Startup, TLS, authentication, the engine's session. False: the connection is to be closed; what there is to say is in out. */
bool pgconn_start(struct pgconn *c) WAITS;

/* ---- pgconn_query.c ---- */

extern const struct sess_client pgconn_client;
void pgconn_simple(struct pgconn *c, struct rd *m) WAITS;
void pgconn_parse(struct pgconn *c, struct rd *m) WAITS;
void pgconn_bind(struct pgconn *c, struct rd *m) WAITS;
void pgconn_describe(struct pgconn *c, struct rd *m);
void pgconn_execute(struct pgconn *c, struct rd *m) WAITS;
void pgconn_close_named(struct pgconn *c, struct rd *m) WAITS;
void pgconn_sync(struct pgconn *c) WAITS;
void pgconn_drop_all(struct pgconn *c) WAITS;
/* An error for the client; the extended protocol then skips to Sync. */
void pgconn_failed(struct pgconn *c, const struct err *err);

#endif
