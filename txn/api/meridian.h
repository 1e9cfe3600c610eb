/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meridian.h: Meridian as a library, small and in the manner of SQLite.
 *
 *     meridian *db;
 *     meridian_stmt *st;
 *     if (meridian_open("meridian://10.0.0.1:7432,10.0.0.2:7432/shop", &db) != MERIDIAN_OK)
 *         ...meridian_errmsg(db)...
 *     meridian_prepare(db, "SELECT name FROM items WHERE price < $1", -1, &st);
 *     meridian_bind_int64(st, 1, 100);
 *     while (meridian_step(st) == MERIDIAN_ROW)
 *         puts(meridian_column_text(st, 0));
 *     meridian_finalize(st);
 *     meridian_close(db);
 *
 * URLs        meridian://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/DATABASE][?NAME=VALUE&...]
 *                 a cluster, through any of its nodes. Port 7432, user and database `meridian` unless given. When a node is
 *                 lost the next one is tried. Options are those of libpq: sslmode, sslrootcert, connect_timeout (5), ...
 *             postgres://..., postgresql://...   the same with PostgreSQL's own defaults; any server of that protocol
 *             file:DIR                           a database in this process (see meridian_open)
 *
 * Codes       Functions return enum meridian_code: MERIDIAN_OK, _ROW, _DONE, _COPY_IN, _COPY_OUT, or an error (from
 *             MERIDIAN_ERROR up). An error leaves its story in the connection: meridian_errmsg and the functions by it.
 *             What succeeds clears it. Wrong use is an error, never a crash: NULL handles, statements whose connection was
 *             closed, indexes out of range, the wrong thread. (A handle that was freed cannot be recognised.)
 *
 * Threads     A connection and its statements belong to the thread that opened it, until another one calls meridian_adopt.
 *             meridian_cancel may be called from any thread and from signal handlers' threads (not from a handler itself).
 *             Different connections are independent; the library keeps no state of its own and touches no setting of the
 *             process: no signal handler, no locale, none of SQLite's.
 *
 * fork        In the child no handle is one: each call on them is MERIDIAN_MISUSE, and the parent goes on undisturbed. A child
 *             that lives on without exec keeps a directory of file: in use until it ends.
 *
 * Memory      Strings that go in are copied before the function returns. Pointers that come out are borrowed: each function
 *             says until when. Nothing returned here is freed by the caller but by its own closing function.
 *
 * Text        is UTF-8 and ends with a zero byte.
 */
#ifndef MERIDIAN_H
#define MERIDIAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MERIDIAN_API __attribute__((visibility("default")))
#else
#define MERIDIAN_API
#endif

/* ---- versions -------------------------------------------------------------------------------------------------------- */

/* The binary interface that this header describes: raised when a program has to be compiled again. meridian_open compares
 * it with the library's own and refuses another one with MERIDIAN_ABI_OTHER. */
#define MERIDIAN_ABI 1

/* "MAJOR.MINOR.PATCH" of the library in use; static. */
MERIDIAN_API const char *meridian_version(void);
/* The MERIDIAN_ABI that the library was built with. */
MERIDIAN_API int meridian_abi(void);

/* ---- codes ----------------------------------------------------------------------------------------------------------- */

enum meridian_code {
    MERIDIAN_OK = 0,
    MERIDIAN_ROW = 1,      /* meridian_step: a row is there */
    MERIDIAN_DONE = 2,     /* the end of a result; meridian_next: there is no other */
    MERIDIAN_COPY_IN = 3,  /* COPY ... FROM STDIN wants data: meridian_copy_write, meridian_copy_end */
    MERIDIAN_COPY_OUT = 4, /* COPY ... TO STDOUT has data: meridian_copy_read */

    MERIDIAN_ERROR = 16,       /* the statement failed: its SQLSTATE says more */
    MERIDIAN_MISUSE = 17,      /* a call that cannot be meant */
    MERIDIAN_NOMEM = 18,       /* out of memory */
    MERIDIAN_RANGE = 19,       /* no such parameter or column */
    MERIDIAN_MISMATCH = 20,    /* the value cannot be had, or given, in that form */
    MERIDIAN_BUSY = 21,        /* another statement, or another process, has to end first */
    MERIDIAN_ABORTED = 22,     /* the transaction is gone, and nothing of it happened: run it again */
    MERIDIAN_CANCELLED = 23,   /* meridian_cancel, the progress callback, or a timeout of the server */
    MERIDIAN_UNAVAILABLE = 24, /* no node can be reached; nothing happened */
    MERIDIAN_UNKNOWN = 25,     /* the connection was lost, and nobody told whether it happened */
    MERIDIAN_UNSUPPORTED = 26, /* this server, or this version, cannot do that */
    MERIDIAN_ABI_OTHER = 27,   /* compiled against another meridian.h */
    MERIDIAN_LIMIT = 28        /* past a limit of the library */
};

/* "MERIDIAN_BUSY" for its number, "?" for a number that is none; static. Any thread. */
MERIDIAN_API const char *meridian_code_name(int code);

typedef struct meridian meridian;           /* a connection */
typedef struct meridian_stmt meridian_stmt; /* a statement of a connection */

/* ---- connections ----------------------------------------------------------------------------------------------------- */

/* Opens what url names and makes the calling thread its owner. *ret is set also when that fails (but for MERIDIAN_NOMEM and
 * MERIDIAN_MISUSE, where it becomes NULL if ret is not): ask it for the error, then close it.
 *
 * Errors: MERIDIAN_UNAVAILABLE no node answers; MERIDIAN_ERROR a node refuses (28P01 password, 3D000 database, ...);
 * MERIDIAN_MISUSE a URL that is none; MERIDIAN_BUSY file:DIR is open in another process. */
#define meridian_open(url, ret) meridian_open_abi((url), MERIDIAN_ABI, (ret))
MERIDIAN_API int meridian_open_abi(const char *url, int abi, meridian **ret);

/* One more connection to what db is connected to, with the calling thread as its owner: the same as opening its URL again, and for
 * file:DIR, which belongs to one meridian_open, the only way. Errors as meridian_open; *ret likewise. */
MERIDIAN_API int meridian_clone(meridian *db, meridian **ret);

/* Ends an open transaction with ROLLBACK and frees db. Statements that are still there become useless (each call on them is
 * MERIDIAN_MISUSE) and are still to be finalized. NULL does nothing. MERIDIAN_MISUSE from a thread that does not own it, or
 * from a callback: then nothing is freed. */
MERIDIAN_API int meridian_close(meridian *db);

/* Makes the calling thread the owner. MERIDIAN_BUSY while another thread is inside of a call on it. */
MERIDIAN_API int meridian_adopt(meridian *db);

/* Drops the connection and makes a new one, to any node. An open transaction is gone, without an error. Statements stay
 * usable. Needed by nobody but those who want to know at once: a lost connection is made again by the next statement. */
MERIDIAN_API int meridian_reset(meridian *db);

/* Asks the server to give up what db is doing now, which then ends with MERIDIAN_CANCELLED, or succeeds if it was done
 * already; also ends meridian_run before its next attempt. Nothing runs: no effect. Any thread; db must stay open
 * meanwhile. MERIDIAN_UNAVAILABLE: the request could not be sent. */
MERIDIAN_API int meridian_cancel(meridian *db);

/* What a connection is connected to; borrowed until the next call on db. NULL: not known, or misuse. */
enum meridian_info {
    MERIDIAN_INFO_URL_KIND = 0, /* "remote", "embedded" */
    MERIDIAN_INFO_HOST = 1,     /* "127.0.0.1", or the directory of a socket */
    MERIDIAN_INFO_PORT = 2,     /* "7432" */
    MERIDIAN_INFO_USER = 3,
    MERIDIAN_INFO_DATABASE = 4,
    MERIDIAN_INFO_TLS = 5 /* "TLSv1.3, TLS_AES_256_GCM_SHA384", or NULL */
};
MERIDIAN_API const char *meridian_info(meridian *db, int what);

/* What the server told of a setting ("server_version", "TimeZone", ...); borrowed until the next call on db; or NULL. */
MERIDIAN_API const char *meridian_parameter(meridian *db, const char *name);

/* 'I' outside of a transaction block, 'T' in one, 'E' in one that has failed and can only be rolled back; 0: misuse. */
MERIDIAN_API int meridian_state(meridian *db);

/* ---- the last error ---------------------------------------------------------------------------------------------------- */

/* Each tells of the last call on db, or on a statement of it, that returned a code: functions that return something else
 * (columns) leave an error too, but no success. Texts are borrowed until the next call on db. */

/* MERIDIAN_OK if it succeeded. MERIDIAN_MISUSE for NULL or the wrong thread. */
MERIDIAN_API int meridian_errcode(meridian *db);
/* The message, one short fact; "" if there was none. Never NULL. */
MERIDIAN_API const char *meridian_errmsg(meridian *db);

enum meridian_field {
    MERIDIAN_FIELD_SQLSTATE = 0, /* five characters, as in PostgreSQL's appendix A: "23505" */
    MERIDIAN_FIELD_MESSAGE = 1,
    MERIDIAN_FIELD_DETAIL = 2,
    MERIDIAN_FIELD_HINT = 3,
    MERIDIAN_FIELD_SEVERITY = 4, /* "ERROR", "FATAL"; of notices "NOTICE", "WARNING", ... */
    MERIDIAN_FIELD_CONTEXT = 5,
    MERIDIAN_FIELD_SCHEMA = 6,
    MERIDIAN_FIELD_TABLE = 7,
    MERIDIAN_FIELD_COLUMN = 8,
    MERIDIAN_FIELD_TYPE = 9,
    MERIDIAN_FIELD_CONSTRAINT = 10
};
enum { MERIDIAN_FIELDS = 11 };

/* A part of the last error, or NULL where it has none. */
MERIDIAN_API const char *meridian_error_field(meridian *db, int field);
/* Where in the statement, in characters from 1; 0: nowhere. */
MERIDIAN_API int meridian_error_position(meridian *db);

enum meridian_retry {
    MERIDIAN_RETRY_NO = 0,  /* it will fail again */
    MERIDIAN_RETRY_YES = 1, /* nothing happened: the whole transaction may be run again */
    MERIDIAN_RETRY_ASK = 2  /* perhaps it happened: ask meridian_txn_status first */
};
MERIDIAN_API int meridian_error_retry(meridian *db);

/* ---- callbacks --------------------------------------------------------------------------------------------------------- */

/* While a callback runs the only functions allowed on db are meridian_cancel and, in the notice callback,
 * meridian_notice_field; the others return MERIDIAN_MISUSE. */

/* Called about each interval_ms (at least 1) while a call waits for the server; anything but 0 cancels what runs.
 * A NULL callback ends it. */
MERIDIAN_API int meridian_on_progress(meridian *db, int interval_ms, int (*callback)(void *ctx), void *ctx);

/* Called for each notice or warning of the server; without one they are dropped. */
MERIDIAN_API int meridian_on_notice(meridian *db, void (*callback)(meridian *db, void *ctx), void *ctx);
/* A part of the notice that is being delivered; NULL: it has none, or there is no notice. */
MERIDIAN_API const char *meridian_notice_field(meridian *db, int field);

/* ---- statements -------------------------------------------------------------------------------------------------------- */

/* Runs any number of statements and drops their rows. Without BEGIN and COMMIT among them they are one transaction. */
MERIDIAN_API int meridian_exec(meridian *db, const char *sql);

/* Prepares one statement; $1, $2, ... are its parameters. bytes < 0: up to the zero byte. *ret is NULL on failure, and to be
 * freed with meridian_finalize. The server keeps it; after a lost connection it is prepared again by itself. */
MERIDIAN_API int meridian_prepare(meridian *db, const char *sql, ptrdiff_t bytes, meridian_stmt **ret);

/* Any number of statements without parameters, with all their results: meridian_step for the rows of the first,
 * meridian_next, meridian_step for the second, and so on. Nothing is sent before the first meridian_step. */
MERIDIAN_API int meridian_query(meridian *db, const char *sql, ptrdiff_t bytes, meridian_stmt **ret);

/* Parameters, from 1. They keep their values over meridian_reset_stmt; unbound is NULL. MERIDIAN_RANGE: no such parameter.
 * MERIDIAN_MISUSE: the statement runs (reset it first). What the server cannot read is the step's error. */
MERIDIAN_API int meridian_param_count(meridian_stmt *st);               /* -1: misuse */
MERIDIAN_API uint32_t meridian_param_oid(meridian_stmt *st, int index); /* PostgreSQL's number of its type; 0: misuse */
MERIDIAN_API int meridian_bind_null(meridian_stmt *st, int index);
MERIDIAN_API int meridian_bind_bool(meridian_stmt *st, int index, int value);
MERIDIAN_API int meridian_bind_int64(meridian_stmt *st, int index, int64_t value);
MERIDIAN_API int meridian_bind_double(meridian_stmt *st, int index, double value);
/* The text form of any type. bytes < 0: up to the zero byte; a zero byte inside is MERIDIAN_MISMATCH. NULL: SQL's NULL. */
MERIDIAN_API int meridian_bind_text(meridian_stmt *st, int index, const char *text, ptrdiff_t bytes);
/* A bytea's bytes; of other types PostgreSQL's binary form. */
MERIDIAN_API int meridian_bind_blob(meridian_stmt *st, int index, const void *data, size_t bytes);
MERIDIAN_API int meridian_clear_bindings(meridian_stmt *st);

/* Begins or goes on: MERIDIAN_ROW, MERIDIAN_DONE, MERIDIAN_COPY_IN, MERIDIAN_COPY_OUT or an error. Rows are streamed: the
 * library holds one. After MERIDIAN_DONE or an error the next step runs the statement again (of meridian_query: MERIDIAN_MISUSE
 * until meridian_reset_stmt). Another statement that begins meanwhile makes the library read the rest of this one's rows into
 * memory, up to 64 MiB; beyond that the other one gets MERIDIAN_BUSY. */
MERIDIAN_API int meridian_step(meridian_stmt *st);

/* meridian_query: drops what is left of this result and goes to the next one. MERIDIAN_OK, or MERIDIAN_DONE after the last,
 * or the error that ended the text. */
MERIDIAN_API int meridian_next(meridian_stmt *st);

/* Ends the execution, whatever is left of it: the rest is read and dropped. Not an error of the statement itself. */
MERIDIAN_API int meridian_reset_stmt(meridian_stmt *st);

/* Ends and frees it. NULL does nothing. MERIDIAN_MISUSE from a thread that does not own it: then nothing is freed. */
MERIDIAN_API int meridian_finalize(meridian_stmt *st);

/* "INSERT 0 1", after MERIDIAN_DONE; borrowed until the next call on st; "" before. NULL: misuse. */
MERIDIAN_API const char *meridian_tag(meridian_stmt *st);
/* Rows that the last result changed or returned, from its tag; -1: not known or misuse. */
MERIDIAN_API int64_t meridian_changes(meridian_stmt *st);

/* ---- columns ------------------------------------------------------------------------------------------------------------- */

/* Of a prepared statement at any time; of meridian_query from the first step of a result until the next one. From 0. Outside
 * of the range: NULL or 0, and MERIDIAN_RANGE as last error. */
MERIDIAN_API int meridian_column_count(meridian_stmt *st); /* 0: it returns no rows; -1: misuse */
MERIDIAN_API const char *meridian_column_name(meridian_stmt *st, int column);
MERIDIAN_API uint32_t meridian_column_oid(meridian_stmt *st, int column);
/* PostgreSQL's modifier of its type, as format_type takes it (varchar's length, numeric's digits); -1: none. */
MERIDIAN_API int32_t meridian_column_modifier(meridian_stmt *st, int column);

/* Values of the row; only after MERIDIAN_ROW (else MERIDIAN_MISUSE as last error, and NULL or 0). */
enum meridian_type {
    MERIDIAN_TYPE_NULL = 0,
    MERIDIAN_TYPE_BOOL = 1,
    MERIDIAN_TYPE_INT = 2,
    MERIDIAN_TYPE_FLOAT = 3,
    MERIDIAN_TYPE_BLOB = 4,
    MERIDIAN_TYPE_TEXT = 5 /* all others: numeric, timestamps, json, ... in their text form */
};
MERIDIAN_API int meridian_column_type(meridian_stmt *st, int column); /* -1: misuse */
MERIDIAN_API int meridian_column_is_null(meridian_stmt *st, int column);
/* SQL's NULL is 0. MERIDIAN_MISMATCH as last error, and 0: it is no number, or does not fit. A bool is 0 or 1. */
MERIDIAN_API int64_t meridian_column_int64(meridian_stmt *st, int column);
MERIDIAN_API double meridian_column_double(meridian_stmt *st, int column);
MERIDIAN_API int meridian_column_bool(meridian_stmt *st, int column);
/* The text form, borrowed until the next call that steps, ends or frees st; NULL for SQL's NULL. meridian_column_bytes: its
 * length. */
MERIDIAN_API const char *meridian_column_text(meridian_stmt *st, int column);
MERIDIAN_API size_t meridian_column_bytes(meridian_stmt *st, int column);
/* A bytea's bytes; of other types those of the text form. Borrowed until the next meridian_column_blob, or as above. */
MERIDIAN_API const void *meridian_column_blob(meridian_stmt *st, int column, size_t *ret_bytes);

/* ---- COPY ------------------------------------------------------------------------------------------------------------------ */

/* After MERIDIAN_COPY_IN. Pieces need not be whole lines. */
MERIDIAN_API int meridian_copy_write(meridian_stmt *st, const void *data, size_t bytes);
/* The end of the data; with an error text the server gives the COPY up. Then step on: MERIDIAN_DONE, or the error. */
MERIDIAN_API int meridian_copy_end(meridian_stmt *st, const char *error);
/* After MERIDIAN_COPY_OUT: the next piece, borrowed until the next call on st. *ret_bytes 0: the end; then step on. */
MERIDIAN_API int meridian_copy_read(meridian_stmt *st, const void **ret_data, size_t *ret_bytes);

/* ---- transactions ------------------------------------------------------------------------------------------------------- */

enum meridian_staleness {
    MERIDIAN_STRONG = 0, /* everything that was committed before the transaction began */
    MERIDIAN_EXACT = 1,  /* at now less value_ns: from the nearest replica, without a lock */
    MERIDIAN_MAX = 2,    /* the newest that the nearest replica can serve, at most value_ns old */
    MERIDIAN_SINCE = 3,  /* the newest that the nearest replica can serve, not before the timestamp value_ns */
    MERIDIAN_AT = 4 /* at the timestamp value_ns: nanoseconds since 1970, as meridian_commit_timestamp tells them */
};

MERIDIAN_API int meridian_begin(meridian *db);
/* A read-only transaction: it takes no locks and never aborts. Another staleness than MERIDIAN_STRONG is MERIDIAN_UNSUPPORTED
 * where the server is not Meridian. */
MERIDIAN_API int meridian_begin_read(meridian *db, int staleness, int64_t value_ns);
/* MERIDIAN_ABORTED: nothing happened. MERIDIAN_UNKNOWN: the connection was lost while it was answered; meridian_txn_status of
 * the token taken before knows. A block that has failed is rolled back and MERIDIAN_ABORTED. */
MERIDIAN_API int meridian_commit(meridian *db);
/* Outside of a block: no effect. */
MERIDIAN_API int meridian_rollback(meridian *db);

/* name: any text. Only in a block. */
MERIDIAN_API int meridian_savepoint(meridian *db, const char *name);
MERIDIAN_API int meridian_release(meridian *db, const char *name);
MERIDIAN_API int meridian_rollback_to(meridian *db, const char *name);

/* The token by which the outcome of the open transaction can be asked for, from any connection, for some days: room for
 * MERIDIAN_TOKEN_BYTES. From then on the commit has a minute: one that comes later is aborted, so that one whose request was
 * lost has an outcome too. In a block only (MERIDIAN_MISUSE). MERIDIAN_UNSUPPORTED: the server is not Meridian. */
enum { MERIDIAN_TOKEN_BYTES = 128 };
MERIDIAN_API int meridian_commit_token(meridian *db, char *ret_token, size_t bytes);

enum meridian_outcome {
    MERIDIAN_UNDECIDED = 0, /* ask again */
    MERIDIAN_COMMITTED = 1,
    MERIDIAN_NOT_COMMITTED = 2, /* and never will be */
    MERIDIAN_EXPIRED = 3        /* too long ago: nobody knows any more */
};
/* Outside of a block. MERIDIAN_UNSUPPORTED: the server is not Meridian. */
MERIDIAN_API int meridian_txn_status(meridian *db, const char *token, int *ret_outcome);

/* The timestamp of the last transaction that this connection committed, or read at: nanoseconds since 1970 on TrueTime's scale.
 * Outside of a block, and before any other statement: a SELECT is a transaction, too. MERIDIAN_UNSUPPORTED: the server is not
 * Meridian; MERIDIAN_ERROR: there was no transaction yet. */
MERIDIAN_API int meridian_commit_timestamp(meridian *db, int64_t *ret_ns);

/* Runs fn in a transaction and commits; again from the start, after a pause, as often as the transaction is aborted or the
 * connection lost, with the same ctx. fn works on db, begins and commits nothing itself, and returns MERIDIAN_OK to commit; any
 * other code rolls back and is returned, but for MERIDIAN_ABORTED, and an error on db that may be retried, which begin again.
 * If the connection is lost in the commit, the outcome is asked for by the commit token; where that is not possible (the server
 * is not Meridian, or no node answers in time) the result is MERIDIAN_UNKNOWN.
 *
 * options: NULL, or a struct with its size set, so that it may grow. Errors: what fn returned; MERIDIAN_MISUSE in a block;
 * MERIDIAN_ABORTED or MERIDIAN_UNAVAILABLE after the last attempt. */
struct meridian_run_options {
    size_t size;      /* sizeof(struct meridian_run_options) */
    int attempts_max; /* 0: 20 */
    int read_only;    /* as meridian_begin_read with the next two */
    int staleness;
    int64_t staleness_ns;
};
MERIDIAN_API int meridian_run(meridian *db, const struct meridian_run_options *options,
                              int (*fn)(meridian *db, void *ctx), void *ctx);

/* ---- where the time went ------------------------------------------------------------------------------------------------ */

/* The last transaction of this connection, as a statement whose rows are spans of time, to be stepped through and finalized:
 *     0 seq int, 1 parent int (0: none), 2 cause text ("lock wait", "Paxos round", "commit wait", ...), 3 region text,
 *     4 peer text (the other end of a way over the network, or NULL), 5 start_ns bigint (since the transaction began),
 *     6 duration_ns bigint, 7 count bigint (how often), 8 detail text (or NULL)
 * Outside of a block. MERIDIAN_UNSUPPORTED: the server has no meridian.trace. */
MERIDIAN_API int meridian_trace(meridian *db, meridian_stmt **ret);

#ifdef __cplusplus
}
#endif

#endif
