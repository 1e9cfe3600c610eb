/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgmsg.h: the bytes of PostgreSQL's protocol, version 3: what messages look like, no more.
 *
 * Promise     Writing builds whole messages into a struct buf, whose first failure is kept (buf_rc). Reading is by struct rd,
 *             which never passes its end; pg_text takes a zero-terminated string, checked to be there.
 * Threads     any.
 * Source      PostgreSQL 15, section 55.7 "Message Formats".
 */
#ifndef MERIDIAN_SQL_PGMSG_H
#define MERIDIAN_SQL_PGMSG_H

#include "truetime/base/buf.h"

enum {
    PG_VERSION_3 = 3 << 16,
    PG_CANCEL = 80877102,
    PG_SSL = 80877103,
    PG_GSS = 80877104,
    PG_STARTUP_BYTES_MAX = 10000,     /* as PostgreSQL */
    PG_MESSAGE_BYTES_MAX = 128 << 20, /* a statement, a row of COPY, parameters */
    PG_SMALL_BYTES_MAX = 30000,       /* a message that has no business being large */
    PG_PARAMS_MAX = 65535,
};

/* Begins a message; returns where, for pg_end. */
size_t pg_begin(struct buf *b, char type);
/* Fills in its length. */
void pg_end(struct buf *b, size_t at);
/* A string and its zero. */
void pg_puts(struct buf *b, const char *s);
/* A message that has no body. */
void pg_bare(struct buf *b, char type);

/* ErrorResponse ('E') or NoticeResponse ('N') with all fields that err has. */
void pg_error(struct buf *b, char type, const char *severity, const struct err *err);
void pg_ready(struct buf *b, char state);
void pg_parameter(struct buf *b, const char *name, const char *value);
void pg_complete(struct buf *b, const char *tag);

/* A zero-terminated string in place; NULL (and the cursor is bad) where there is no zero. */
const char *pg_text(struct rd *r);

#endif
