/* SPDX-License-Identifier: Apache-2.0 */
/* pgclient.c: libpq without blocking. */
#include "geo-sim/netns/pgclient.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "geo-sim/netns/sys.h"

static void no_notice(void *ctx, const char *text) {
    (void)ctx, (void)text;
}

static void failed(struct pg_client *c, const char *code, const char *text) {
    snprintf(c->code, sizeof c->code, "%s", code && code[0] ? code : "08006");
    snprintf(c->text, sizeof c->text, "%.*s", (int)strcspn(text ? text : "", "\n"), text ? text : "");
}

void pg_close(struct pg_client *c) {
    PQfinish(c->conn);
    c->conn = NULL;
}

/* False: the deadline has passed. */
static bool wait_for(const struct pg_client *c, short events, int64_t deadline_ns) {
    struct pollfd p = {PQsocket(c->conn), events, 0};
    for (;;) {
        int64_t left_ms = (deadline_ns - sys_now_ns()) / 1000000;
        if (left_ms <= 0)
            return false;
        int n = poll(&p, 1, left_ms > 100000 ? 100000 : (int)left_ms);
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
    }
}

bool pg_connect(struct pg_client *c, int64_t deadline_ns) {
    char port[16];
    if (c->conn && PQstatus(c->conn) == CONNECTION_OK)
        return true;
    pg_close(c);
    snprintf(port, sizeof port, "%u", c->port);
    const char *const names[] = {"host", "port", "user", "dbname", "application_name", NULL};
    const char *const values[] = {"127.0.0.1", port, "meridian", "meridian", "meridian geo", NULL};
    c->conn = PQconnectStartParams(names, values, 0);
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (c->conn && PQstatus(c->conn) != CONNECTION_BAD && state != PGRES_POLLING_OK &&
           state != PGRES_POLLING_FAILED) {
        if (!wait_for(c, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ns)) {
            failed(c, "08001", "no connection in time");
            pg_close(c);
            return false;
        }
        state = PQconnectPoll(c->conn);
    }
    if (c->conn && state == PGRES_POLLING_OK) {
        PQsetNoticeProcessor(c->conn, no_notice, NULL);
        bool unused;
        PGresult *done = c->setup[0] ? pg_exec(c, c->setup, NULL, 0, deadline_ns, &unused) : NULL;
        if (c->setup[0] && !done)
            pg_close(c);
        PQclear(done);
        return c->conn != NULL;
    }
    failed(c, "08001", c->conn ? PQerrorMessage(c->conn) : "out of memory");
    pg_close(c);
    return false;
}

static PGresult *lost(struct pg_client *c, const char *text, bool *ret_lost) {
    failed(c, "08006", text);
    pg_close(c);
    *ret_lost = true;
    return NULL;
}

PGresult *pg_exec(struct pg_client *c, const char *sql, const int64_t *param, int params, int64_t deadline_ns,
                  bool *ret_lost) {
    char text[PG_PARAMS_MAX][24];
    const char *values[PG_PARAMS_MAX];
    PGresult *last = NULL, *next;
    CHECK(params <= PG_PARAMS_MAX);
    *ret_lost = false;
    for (int i = 0; i < params; i++) {
        snprintf(text[i], sizeof text[i], "%" PRId64, param[i]);
        values[i] = text[i];
    }
    int sent =
        params ? PQsendQueryParams(c->conn, sql, params, NULL, values, NULL, NULL, 0) : PQsendQuery(c->conn, sql);
    if (!sent)
        return lost(c, PQerrorMessage(c->conn), ret_lost);
    for (;;) {
        while (PQisBusy(c->conn)) {
            if (!wait_for(c, POLLIN, deadline_ns)) {
                PQclear(last);
                return lost(c, "no answer in time", ret_lost);
            }
            if (!PQconsumeInput(c->conn)) {
                PQclear(last);
                return lost(c, PQerrorMessage(c->conn), ret_lost);
            }
        }
        next = PQgetResult(c->conn);
        if (!next)
            break;
        PQclear(last);
        last = next;
    }
    ExecStatusType status = PQresultStatus(last);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return last;
    failed(c, PQresultErrorField(last, PG_DIAG_SQLSTATE), PQresultErrorMessage(last));
    PQclear(last);
    if (PQstatus(c->conn) != CONNECTION_OK) {
        pg_close(c);
        *ret_lost = true;
    }
    return NULL;
}
