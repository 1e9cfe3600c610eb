/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simpg.h: a client of PostgreSQL's protocol on fibers and env streams, for clients inside of a simulation.
 *
 *     struct simpg *c;
 *     rc = simpg_open(r, "n1:7432", NULL, deadline, &c, &err);
 *     rc = simpg_query(c, deadline, "SELECT v FROM t WHERE k = %d", k);      c->answer says what came
 *     rc = simpg_call(c, deadline, "SELECT v FROM t WHERE k = $1", (const char *[]){"7"}, 1);
 *     simpg_close(c);
 *
 * Promise     RC_OK: the statement was executed. RC_SQL: the server says no; answer.state has the SQLSTATE and the session goes on.
 *             Anything else: the connection is lost or late, nobody knows what became of the statement, and the connection is only
 *             good to be closed.
 * Relies on   a server that trusts its clients; text formats.
 * Threads     the reactor's.
 * Source      PostgreSQL 15, chapter 55 "Frontend/Backend Protocol".
 */
#ifndef MERIDIAN_TESTS_SIMPG_H
#define MERIDIAN_TESTS_SIMPG_H

#include "shard/runtime/wait.h"
#include "truetime/base/arena.h"

enum { SIMPG_PREPARED_MAX = 32 };

/* What the last query brought; good until the next one. Rows are those of the last statement that had any. */
struct simpg_answer {
    char state[6]; /* SQLSTATE; "" = no error */
    char message[300], detail[300];
    char tag[64]; /* of the last statement that ended */
    char txn;     /* 'I', 'T', 'E' */
    size_t rows, columns;
    const char **cell; /* rows * columns, row by row; NULL = null */
    size_t cells_max;
};

struct simpg {
    struct reactor *r;
    struct fiber_stream fs;
    struct buf in, out;
    size_t in_at;
    struct arena arena;
    struct simpg_answer answer;
    uint32_t pid, secret;
    const char *prepared[SIMPG_PREPARED_MAX]; /* texts, by the number in their name */
    size_t prepareds;
};

/* options: settings of the session, as libpq's options has them; NULL: none. */
enum rc simpg_open(struct reactor *r, const char *addr, const char *options, int64_t deadline, struct simpg **ret,
                   struct err *err) WAITS MUST_CHECK;
/* One simple query. */
enum rc simpg_query(struct simpg *c, int64_t deadline, const char *fmt, ...) WAITS PRINTF_LIKE(3, 4) MUST_CHECK;
/* A prepared statement with parameters as text: prepared by its first call on the connection, known by its address. */
enum rc simpg_call(struct simpg *c, int64_t deadline, const char *literal, const char *const *param,
                   size_t params) WAITS MUST_CHECK;
/* Row and column from 0; "" if it is null or not there. */
const char *simpg_cell(const struct simpg *c, size_t row, size_t column);
int64_t simpg_int(const struct simpg *c, size_t row, size_t column);
void simpg_close(struct simpg *c); /* without a word; NULL is fine */

#endif
