/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather.h: every store of the cluster is asked at once about its sessions and its locks, or to end a session's statement.
 *
 *     struct gather g;
 *     gather_all(s, &want, &g, &err);  for (i < g.n) g.from[i].answer;  gather_done(&g);
 *
 * Promise     All are asked in parallel and waited for a second at most. Who does not answer has no answer, and rc and err say
 *             why: nobody is waited for twice, and nothing is made up for him. A session is named by a number that tells its
 *             node and store (pgwire.h's pid), so that only that store is asked to end one.
 * Relies on   the directory for the list of nodes; if that cannot be had, this node's stores are asked alone (listed is false).
 * Threads     the store's own.
 */
#ifndef MERIDIAN_SQL_GATHER_H
#define MERIDIAN_SQL_GATHER_H

#include "sql/run/gather.pb-c.h"
#include "sql/run/sess_internal.h"

enum { GATHER_TYPE = 192, GATHER_LOCKS_MAX = 10000 };

struct gather_from {
    struct store_addr store;
    const Gather__Answer *answer; /* NULL: it did not answer */
    enum rc rc;
    struct err err;
    struct arena a;
};

struct gather {
    struct gather_from *from; /* by node, then store */
    size_t n;
    bool listed; /* these are all nodes */
};

/* Takes questions from others. e outlives the store's rpc. */
enum rc gather_register(struct sess_engine *e, struct err *err);
enum rc gather_all(struct sess_engine *e, const Gather__Ask *ask, struct gather *ret, struct err *err) WAITS;
/* Says of each node that did not answer that it did not, to the session's client. */
void gather_notices(struct sess *s, const struct gather *g);
void gather_done(struct gather *g);
/* Cancels the statement of session pid, wherever that is. RC_OK with *ret_found false: there is no such session.
 * RC_PERMISSION: it is somebody else's. RC_TIMEOUT, RC_UNREACHABLE: its node does not answer. */
enum rc gather_stop(struct sess_engine *e, const Gather__Ask *ask, bool *ret_found, struct err *err) WAITS;

#endif
