/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgwire.h: PostgreSQL's protocol, version 3, for psql, drivers and everything that speaks it.
 *
 *     listener (store 0) --sockets, round robin--> each store's sessions, one fiber each
 *
 * Promise     A session is bounded: its messages, its statements and portals, what it buffers. A slow reader stops its own
 *             session and nobody else. Whatever a client sends, the outcome is a clear error or a closed session, and other
 *             sessions are untouched. A cancel request ends the statement under way (57014), the session goes on.
 * Relies on   env streams (TLS inside), a SQL engine (sql/run/sess.h), sql/types for values on the wire.
 * Threads     one struct pgwire a store, on its thread; pgwire_link before any loop runs.
 * Source      PostgreSQL 15, chapter 55 "Frontend/Backend Protocol".
 */
#ifndef MERIDIAN_SQL_PGWIRE_H
#define MERIDIAN_SQL_PGWIRE_H

#include "sql/run/sess.h"

struct pgwire;

enum {
    PGWIRE_STATEMENTS_MAX = 10000, /* prepared, of one session */
    PGWIRE_PORTALS_MAX = 1000,
    PGWIRE_HELD_BYTES_MAX = 512 << 20, /* statements, portals and messages of one session */
    PGWIRE_STARTUP_SECONDS = 60,       /* from the connection to its first ReadyForQuery */
};

struct pgwire_conf {
    const struct sess_ops *ops;
    void *engine;        /* of this store */
    uint32_t node;       /* for sessions' numbers (pid.h) */
    bool trust;          /* no passwords: any name passes */
    struct env_tls *tls; /* NULL: TLS is declined */
    bool require_tls;    /* refuse sessions that do not ask for it */
    size_t sessions_max; /* of this store; 0 = 4,096 */
    size_t held_max;     /* bytes that its sessions' statements, portals and messages hold; 0 = 1 GiB */
};

struct pgwire_stats {
    struct counter accepted, refused, failed_logins, cancels, queries, messages, bytes_in, bytes_out, protocol_errors;
    struct gauge sessions, held_bytes;
};

/* conf is copied. */
enum rc pgwire_new(struct reactor *r, const struct pgwire_conf *conf, struct pgwire **ret, struct err *err) MUST_CHECK;
/* All stores of this process by number, also where there is but one. */
void pgwire_link(struct pgwire *const *stores, uint16_t count);
/* Shows the figures among the env's metrics: w must outlive their last dump. */
void pgwire_add_metrics(struct pgwire *w);
/* On store 0. "HOST:PORT", port 0 = any free one, "fd:N". */
enum rc pgwire_listen(struct pgwire *w, const char *addr, struct err *err) MUST_CHECK;
const char *pgwire_addr(const struct pgwire *w); /* with the real port; NULL before pgwire_listen */
const struct pgwire_stats *pgwire_stats(const struct pgwire *w);
/* No more sessions; those that are there are told (57P01) and end. */
void pgwire_stop(struct pgwire *w);
bool pgwire_idle(const struct pgwire *w);
void pgwire_free(struct pgwire *w); /* needs pgwire_idle; NULL is fine */

#endif
