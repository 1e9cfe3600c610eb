/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h: what went wrong, said once, at the place that knows, and carried to the person who asked.
 *
 * Promise     One list of return codes makes the enum, the names, the SQLSTATEs and the retry rule. A `struct err` holds
 *             a message (a short fact), a detail (numbers, the system call) and a hint (what to do), all truncated, never
 *             overrun. Upper layers prefix context with err_wrap. Every function accepts a NULL err: then only the code
 *             travels.
 * Relies on   nothing; no allocation, so running out of memory can be reported too.
 * Threads     any; a struct err belongs to one caller.
 * Source      SQLSTATE classes: PostgreSQL 15, Appendix A "PostgreSQL Error Codes".
 */
#ifndef MERIDIAN_BASE_ERR_H
#define MERIDIAN_BASE_ERR_H

#include "truetime/base/check.h"

enum err_retry {
    RETRY_NO,  /* the same request will fail again */
    RETRY_YES, /* nothing happened; the same request may succeed later or elsewhere */
    RETRY_ASK, /* unknown whether it happened: ask for the outcome before repeating it */
};

/* name, SQLSTATE, retry rule, what it means when nobody said more */
#define RC_LIST(X)                                                                                                     \
    X(NOMEM, "53200", RETRY_NO, "out of memory")                                                                       \
    X(IO, "58030", RETRY_NO, "input/output error")                                                                     \
    X(NOSPACE, "53100", RETRY_NO, "no space left on the disk")                                                         \
    X(CORRUPT, "XX001", RETRY_NO, "stored data is damaged")                                                            \
    X(NOTFOUND, "58P01", RETRY_NO, "not found")                                                                        \
    X(EXISTS, "58P02", RETRY_NO, "exists already")                                                                     \
    X(INVAL, "22023", RETRY_NO, "invalid value")                                                                       \
    X(LIMIT, "54000", RETRY_NO, "a limit was exceeded")                                                                \
    X(UNSUPPORTED, "0A000", RETRY_NO, "not supported")                                                                 \
    X(PERMISSION, "42501", RETRY_NO, "permission denied")                                                              \
    X(ABORTED, "40001", RETRY_YES, "the transaction was aborted")                                                      \
    X(MOVED, "40001", RETRY_YES, "the keys have moved to another tablet")                                              \
    X(BUSY, "55006", RETRY_NO, "in use by another process")                                                            \
    X(TIMEOUT, "57014", RETRY_ASK, "the deadline passed")                                                              \
    X(CANCELLED, "57014", RETRY_ASK, "cancelled")                                                                      \
    X(SHUTDOWN, "57P01", RETRY_YES, "shutting down")                                                                   \
    X(OVERLOAD, "53000", RETRY_YES, "overloaded, retry")                                                               \
    X(UNREACHABLE, "08001", RETRY_YES, "peer unreachable")                                                             \
    X(CLOSED, "08006", RETRY_ASK, "connection closed")                                                                 \
    X(PROTOCOL, "08P01", RETRY_NO, "protocol violation")                                                               \
    X(WRONG_CLUSTER, "08004", RETRY_NO, "peer belongs to another cluster")                                             \
    X(NOT_LEADER, "40001", RETRY_YES, "this replica does not lead the group")                                          \
    X(UNSYNCED, "57P03", RETRY_YES, "the clock is not synchronised")                                                   \
    X(TOO_OLD, "72000", RETRY_NO, "the versions that were asked for may be gone")                                      \
    X(STALE, "40001", RETRY_YES, "the definition of a table has changed")                                              \
    X(SQL, "XX000", RETRY_NO, "the statement is in error")                                                             \
    X(INTERNAL, "XX000", RETRY_NO, "internal error")

enum rc {
    RC_OK = 0,
#define RC_ENUM_(name, state, retry, text) RC_##name,
    RC_LIST(RC_ENUM_)
#undef RC_ENUM_
        RC_COUNT
};

enum { ERR_MESSAGE_BYTES = 320, ERR_DETAIL_BYTES = 320, ERR_HINT_BYTES = 160, ERR_OBJECT_BYTES = 64 };

/* What a statement's error is about: PostgreSQL's fields s, t, c, d, n, on which drivers branch. */
enum err_object { ERR_SCHEMA, ERR_TABLE, ERR_COLUMN, ERR_TYPE, ERR_CONSTRAINT, ERR_OBJECTS };

struct err {
    enum rc rc;
    char state[6];    /* SQLSTATE, where it says more than the code's own; else "" */
    int32_t position; /* in the statement, characters from 1; 0 = nowhere */
    char message[ERR_MESSAGE_BYTES];
    char detail[ERR_DETAIL_BYTES];
    char hint[ERR_HINT_BYTES];
    char object[ERR_OBJECTS][ERR_OBJECT_BYTES];
};

const char *rc_name(enum rc rc);     /* "NOSPACE"; "OK" for RC_OK */
const char *rc_text(enum rc rc);     /* "no space left on the disk" */
const char *rc_sqlstate(enum rc rc); /* "53100"; "00000" for RC_OK */
enum err_retry rc_retry(enum rc rc);

/* The code for an errno value; what we have no name for is RC_IO. */
enum rc rc_from_errno(int errnum);

/* Each fills err (which may be NULL) and returns its rc, so that a caller can write `return err_set(...)`. */
enum rc err_set(struct err *err, enum rc rc, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum rc err_setv(struct err *err, enum rc rc, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);

/* RC_SQL with a SQLSTATE of PostgreSQL's ("42P01"). */
enum rc err_sql(struct err *err, const char *state, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Gives err a SQLSTATE of its own, whatever its code; five characters. */
void err_state(struct err *err, const char *state);
void err_position(struct err *err, int32_t position);
void err_about(struct err *err, enum err_object what, const char *name);

/* "CALL PATH: strerror" as message and the errno's number as detail; returns rc_from_errno(errnum). */
enum rc err_errno(struct err *err, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Prefixes "context: " to the message. Returns err's code, or RC_INTERNAL where err is NULL: callers without an err
 * return their own rc. */
enum rc err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_detail(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_clear(struct err *err);

/* err's own SQLSTATE, else its code's. */
const char *err_sqlstate(const struct err *err);
/* The message, or the code's own text where nobody set one. */
const char *err_message(const struct err *err);

#endif
