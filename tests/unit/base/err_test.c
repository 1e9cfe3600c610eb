/* SPDX-License-Identifier: Apache-2.0 */
#include "truetime/base/err.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/tap.h"

static void every_code_has_its_rows(void) {
    for (int rc = 0; rc < RC_COUNT; rc++) {
        OK(rc_name((enum rc)rc) && rc_name((enum rc)rc)[0]);
        OKF(strlen(rc_sqlstate((enum rc)rc)) == 5, "SQLSTATE of %s", rc_name((enum rc)rc));
        OK(rc_text((enum rc)rc)[0]);
    }
    EQ_STR(rc_name((enum rc)9999), "?");
    EQ_STR(rc_sqlstate((enum rc)9999), "XX000");
}

/* The innermost place says what happened, the outer ones where: one clear sentence. */
static void context_is_prefixed(void) {
    struct err e = {0};
    EQ_INT(err_errno(&e, ENOSPC, "write %s", "seg-17"), RC_NOSPACE);
    EQ_INT(err_wrap(&e, "wal of store %d", 3), RC_NOSPACE);
    EQ_STR(e.message, "wal of store 3: write seg-17: No space left on device");
    EQ_STR(e.detail, "errno 28");
    err_hint(&e, "free some space");
    EQ_STR(e.hint, "free some space");
    EQ_STR(rc_sqlstate(e.rc), "53100");
}

static void truncates_never_overruns(void) {
    struct err e = {0};
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    err_set(&e, RC_IO, "%s", big);
    EQ_INT(strlen(e.message), sizeof e.message - 1);
    err_wrap(&e, "%s", big);
    err_wrap(&e, "front");
    OK(strncmp(e.message, "front: xxx", 10) == 0);
    err_detail(&e, "%s", big);
    EQ_INT(strlen(e.detail), sizeof e.detail - 1);
    err_errno(&e, EIO, "%s", big);
    OK(strlen(e.message) < sizeof e.message);
}

static void null_err_is_fine(void) {
    EQ_INT(err_set(NULL, RC_BUSY, "x"), RC_BUSY);
    EQ_INT(err_errno(NULL, ENOENT, "x"), RC_NOTFOUND);
    EQ_INT(err_wrap(NULL, "x"), RC_INTERNAL);
    err_detail(NULL, "x");
    err_hint(NULL, "x");
    err_clear(NULL);
    struct err e = {.rc = RC_TIMEOUT};
    EQ_STR(err_message(&e), "the deadline passed");
}

/* A statement's error has a SQLSTATE of its own, a place and names; the next error starts afresh. */
static void statement_errors(void) {
    struct err e = {0};
    EQ_INT(err_sql(&e, "42703", "column \"%s\" does not exist", "x"), RC_SQL);
    err_position(&e, 8);
    err_about(&e, ERR_COLUMN, "x");
    EQ_STR(err_sqlstate(&e), "42703");
    EQ_INT(err_wrap(&e, "tablet 3"), RC_SQL);
    EQ_STR(err_sqlstate(&e), "42703");
    EQ_INT(e.position, 8);
    err_set(&e, RC_NOSPACE, "full");
    EQ_STR(err_sqlstate(&e), "53100");
    EQ_INT(e.position, 0);
    EQ_STR(e.object[ERR_COLUMN], "");
    err_position(&e, -1);
    EQ_INT(e.position, 0);
}

int main(void) {
    RUN(statement_errors);
    RUN(every_code_has_its_rows);
    RUN(context_is_prefixed);
    RUN(truncates_never_overruns);
    RUN(null_err_is_fine);
    return tap_done();
}
