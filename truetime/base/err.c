/* SPDX-License-Identifier: Apache-2.0 */
/* err.c: tables made from RC_LIST, and careful formatting into fixed buffers. */
#include "truetime/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *sqlstate;
    enum err_retry retry;
    const char *text;
} codes[RC_COUNT] = {[RC_OK] = {"OK", "00000", RETRY_NO, "success"},
#define RC_ROW_(name, state, retry, text) [RC_##name] = {#name, state, retry, text},
                     RC_LIST(RC_ROW_)
#undef RC_ROW_
};

const char *rc_name(enum rc rc) {
    return (unsigned)rc < RC_COUNT ? codes[rc].name : "?";
}

const char *rc_text(enum rc rc) {
    return (unsigned)rc < RC_COUNT ? codes[rc].text : "unknown error";
}

const char *rc_sqlstate(enum rc rc) {
    return (unsigned)rc < RC_COUNT ? codes[rc].sqlstate : "XX000";
}

enum err_retry rc_retry(enum rc rc) {
    return (unsigned)rc < RC_COUNT ? codes[rc].retry : RETRY_NO;
}

enum rc rc_from_errno(int errnum) {
    switch (errnum) {
    case 0:
        return RC_OK;
    case ENOMEM:
        return RC_NOMEM;
    case ENOSPC:
    case EDQUOT:
        return RC_NOSPACE;
    case ENOENT:
    case ENOTDIR:
        return RC_NOTFOUND;
    case EEXIST:
        return RC_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return RC_PERMISSION;
    case EINVAL:
        return RC_INVAL;
    case EMFILE:
    case ENFILE:
    case ENAMETOOLONG:
        return RC_LIMIT;
    case EBUSY:
    case EADDRINUSE:
        return RC_BUSY;
    case ETIMEDOUT:
        return RC_TIMEOUT;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
        return RC_UNREACHABLE;
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
        return RC_CLOSED;
    case ENOSYS:
    case EOPNOTSUPP:
        return RC_UNSUPPORTED;
    default:
        return RC_IO;
    }
}

enum rc err_setv(struct err *err, enum rc rc, const char *fmt, va_list ap) {
    if (err) {
        err_clear(err);
        err->rc = rc;
        if (vsnprintf(err->message, sizeof err->message, fmt, ap) < 0)
            err->message[0] = '\0';
    }
    return rc;
}

enum rc err_set(struct err *err, enum rc rc, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, rc, fmt, ap);
    va_end(ap);
    return rc;
}

enum rc err_sql(struct err *err, const char *state, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, RC_SQL, fmt, ap);
    va_end(ap);
    err_state(err, state);
    return RC_SQL;
}

void err_state(struct err *err, const char *state) {
    if (!err)
        return;
    CHECK(strlen(state) == sizeof err->state - 1);
    memcpy(err->state, state, sizeof err->state);
}

void err_position(struct err *err, int32_t position) {
    if (err)
        err->position = position > 0 ? position : 0;
}

void err_about(struct err *err, enum err_object what, const char *name) {
    if (err)
        snprintf(err->object[what], sizeof err->object[what], "%s", name);
}

const char *err_sqlstate(const struct err *err) {
    return err->state[0] ? err->state : rc_sqlstate(err->rc);
}

enum rc err_errno(struct err *err, int errnum, const char *fmt, ...) {
    enum rc rc = rc_from_errno(errnum);
    if (err) {
        char text[128];
        va_list ap;
        va_start(ap, fmt);
        err_setv(err, rc, fmt, ap);
        va_end(ap);
        size_t n = strlen(err->message);
        snprintf(err->message + n, sizeof err->message - n, ": %s", strerror_r(errnum, text, sizeof text));
        err_detail(err, "errno %d", errnum);
    }
    return rc;
}

enum rc err_wrap(struct err *err, const char *fmt, ...) {
    if (!err)
        return RC_INTERNAL;
    char old[ERR_MESSAGE_BYTES];
    va_list ap;
    memcpy(old, err_message(err), strlen(err_message(err)) + 1);
    va_start(ap, fmt);
    int n = vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    size_t at = n < 0 ? 0 : (size_t)n < sizeof err->message ? (size_t)n : sizeof err->message - 1;
    /* Truncation drops the end of the oldest text: the prefix is what the person sees first. */
    snprintf(err->message + at, sizeof err->message - at, ": %s", old);
    return err->rc;
}

void err_detail(struct err *err, const char *fmt, ...) {
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(err->detail, sizeof err->detail, fmt, ap) < 0)
        err->detail[0] = '\0';
    va_end(ap);
}

void err_hint(struct err *err, const char *fmt, ...) {
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(err->hint, sizeof err->hint, fmt, ap) < 0)
        err->hint[0] = '\0';
    va_end(ap);
}

void err_clear(struct err *err) {
    if (!err)
        return;
    err->rc = RC_OK;
    err->position = 0;
    err->state[0] = err->message[0] = err->detail[0] = err->hint[0] = '\0';
    for (int i = 0; i < ERR_OBJECTS; i++)
        err->object[i][0] = '\0';
}

const char *err_message(const struct err *err) {
    return err->message[0] ? err->message : rc_text(err->rc);
}
