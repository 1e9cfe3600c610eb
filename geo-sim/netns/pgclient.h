/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgclient.h: SQL for the clients of a scenario: libpq with a deadline on everything.
 *
 * Promise     A call returns by its deadline; then the connection is closed, since nobody knows what became of its statement.
 * Relies on   libpq.
 * Threads     each pg_client by one.
 */
#ifndef MERIDIAN_GEO_PGCLIENT_H
#define MERIDIAN_GEO_PGCLIENT_H

#include "truetime/base/err.h"

enum { PG_PARAMS_MAX = 8, PG_CODE_BYTES = 8 };

struct pg_conn; /* libpq's PGconn, PGresult */
struct pg_result;

struct pg_client {
    unsigned port;
    char setup[80]; /* a statement for each new connection, or "" */
    struct pg_conn *conn;
    char code[PG_CODE_BYTES]; /* SQLSTATE of the last failure; "08006" for a lost connection */
    char text[160];           /* and its message */
};

/* Connects if it is not. */
bool pg_connect(struct pg_client *c, int64_t deadline_ns);
/* One statement; NULL after a failure (code, text). lost: set where the connection went or the deadline passed, so that nobody
 * knows what was done. The result is the caller's. */
struct pg_result *pg_exec(struct pg_client *c, const char *sql, const int64_t *param, int params, int64_t deadline_ns,
                          bool *ret_lost);
void pg_close(struct pg_client *c);

#endif
