/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sess.h: a SQL session, as its faces see it: the PostgreSQL protocol (sql/pgwire) and the C API's embedded engine.
 *
 *     script = parse("BEGIN; SELECT 1")            one text, any number of statements
 *     stmt   = prepare(script, i, parameter types) analysed: its parameters and columns are known
 *     portal = bind(stmt, values)                  ready to run
 *     execute(portal, rows)                        rows go to the client until it has enough or there are no more
 *
 * Promise     A statement that fails leaves a struct err with SQLSTATE, position and names (err.h). Statements outside of a
 *             transaction block share one implicit transaction until sync, as the extended protocol wants it; `final` tells
 *             that nothing follows, so that a statement that stands alone is executed and committed in one go. After an error
 *             in a block the session is SESS_FAILED and refuses all but the block's end (25P02).
 * Relies on   the caller running one call at a time for a session, on a large fiber, and cancelling that fiber to cancel the
 *             statement: calls then end with RC_CANCELLED (57014).
 * Threads     the reactor's own.
 * Source      PostgreSQL 15, chapter 55 "Frontend/Backend Protocol" (55.2.3 for implicit transactions).
 *
 * It is a table of functions so that the protocol can be tested against a small engine of its own.
 */
#ifndef MERIDIAN_SQL_SESS_H
#define MERIDIAN_SQL_SESS_H

#include "shard/runtime/fiber.h"
#include "shard/store/value.h"
#include "sql/types/types.h"

struct sess;        /* a session */
struct sess_script; /* a parsed text */
struct sess_portal;

enum sess_state { SESS_IDLE = 'I', SESS_BLOCK = 'T', SESS_FAILED = 'E' }; /* the bytes of ReadyForQuery */

struct sess_column {
    const char *name;
    struct col type;
    uint32_t table_oid; /* 0: no column of a table */
    int16_t attnum;
};

/* The public head of a prepared statement; the engine's own lies around it. Good until stmt_free. */
struct sess_stmt {
    size_t params, columns; /* columns 0: it returns no rows */
    const struct col *param;
    const struct sess_column *column;
    size_t bytes; /* of memory that it holds, about */
    bool rows;    /* it returns rows, maybe of no columns */
    bool empty;   /* nothing but blanks and comments */
};

/* Who gets what a statement says. Called on the fiber that executes; a call may wait (a slow reader) and its error ends
 * the statement. */
struct sess_client {
    enum rc (*row)(void *ctx, const struct value *v, struct err *err) WAITS; /* as many as the statement has columns */
    void (*notice)(void *ctx, const struct err *what, const char *severity); /* "NOTICE", "WARNING" */
    void (*parameter)(void *ctx, const char *name, const char *value);       /* a setting that clients are told about */
    /* COPY FROM STDIN: asks for the data, then for piece after piece; *ret_bytes 0 = the end. */
    enum rc (*copy_in)(void *ctx, bool binary, size_t columns, struct err *err) WAITS;
    enum rc (*copy_read)(void *ctx, const void **ret, size_t *ret_bytes, struct err *err) WAITS;
    /* COPY TO STDOUT. */
    enum rc (*copy_out)(void *ctx, bool binary, size_t columns, struct err *err) WAITS;
    enum rc (*copy_write)(void *ctx, const void *data, size_t bytes, struct err *err) WAITS;
    enum rc (*copy_done)(void *ctx, struct err *err) WAITS;
    /* DEALLOCATE of a statement that the protocol prepared (SQL and protocol name them alike), or of all named ones (NULL).
     * False: it has none of that name. NULL: it prepares none. */
    bool (*deallocate)(void *ctx, const char *name) WAITS;
    /* Somebody asks for the end of the statement under way, or (terminate) of the session. Does not wait. NULL: they cannot. */
    void (*stop)(void *ctx, bool terminate);
};

struct sess_done {
    bool suspended; /* more rows are there: execute the same portal again */
    char tag[64];   /* "SELECT 3" */
};

struct sess_role {
    bool exists, login, superuser;
    char verifier[256]; /* "SCRAM-SHA-256$4096:SALT$STORED:SERVER"; "" = no password */
};

struct sess_open {
    const char *user, *database; /* database "" = the default one */
    const char *peer;            /* the client's address, for people */
    uint32_t pid, secret;        /* pid.h; 0: nobody can name it */
    const struct sess_client *client;
    void *ctx;
    /* name = value settings of the startup packet, in order. */
    const char *const *setting;
    size_t settings; /* pairs */
};

struct sess_ops {
    /* What the catalog knows of a role; an unknown one is no error. trust: any name passes as the superuser. */
    enum rc (*role)(void *engine, const char *user, struct sess_role *ret, struct err *err) WAITS;
    /* 3D000: no such database. Tells the client of its settings through ->parameter. */
    enum rc (*open)(void *engine, const struct sess_open *how, struct sess **ret, struct err *err) WAITS;
    void (*close)(struct sess *s) WAITS; /* rolls back what is open */

    enum sess_state (*state)(const struct sess *s);
    /* How values are read and printed in this session; good until the next call. */
    const struct type_session *(*types)(const struct sess *s);
    /* text: UTF-8 as far as the client says; copied. */
    enum rc (*parse)(struct sess *s, const char *text, size_t bytes, struct sess_script **ret, struct err *err) WAITS;
    size_t (*count)(const struct sess_script *script);
    void (*script_free)(struct sess_script *script);
    /* oid: the types that the client gives its parameters, 0 = to be inferred. The statement lives on without its script. */
    enum rc (*prepare)(struct sess *s, struct sess_script *script, size_t index, const uint32_t *oid, size_t oids,
                       struct sess_stmt **ret, struct err *err) WAITS;
    void (*stmt_free)(struct sess_stmt *stmt);
    /* param: stmt->params values of the types told; copied. The portal ends with its transaction at the latest: execute then
     * says 34000. The statement outlives the portal. */
    enum rc (*bind)(struct sess *s, struct sess_stmt *stmt, const struct value *param, struct sess_portal **ret,
                    struct err *err) WAITS;
    void (*portal_free)(struct sess_portal *portal) WAITS;
    /* max_rows 0 = all. final: nothing follows in the implicit transaction: commit with it. */
    enum rc (*execute)(struct sess *s, struct sess_portal *portal, uint64_t max_rows, bool final, struct sess_done *ret,
                       struct err *err) WAITS;
    /* Several statements of one simple query form a block of their own, outside of an explicit one. */
    void (*implicit_block)(struct sess *s);
    /* The end of a request: commits the implicit transaction, or ends it with ROLLBACK if something failed. */
    enum rc (*sync)(struct sess *s, bool failed, struct err *err) WAITS;
    /* What a cursor (DECLARE) of that name returns; NULL: there is none. Protocol and SQL name portals alike. Good until the next
     * call. NULL: there are no cursors. */
    const struct sess_stmt *(*cursor)(struct sess *s, const char *name);
    /* A cancel request for a session of another node. NULL: there is no other. */
    void (*cancel)(void *engine, uint32_t pid, uint32_t secret) WAITS;
};

#endif
