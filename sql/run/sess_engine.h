/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sess_engine.h: the SQL engine of one store: what its sessions share, and the table of functions (sess.h) behind which they lie.
 *
 * Promise     sess_engine_ops does what sess.h promises, on the catalog and the tables of the cluster.
 * Relies on   a store that serves, its transaction client.
 * Threads     the store's own.
 */
#ifndef MERIDIAN_SQL_SESS_ENGINE_H
#define MERIDIAN_SQL_SESS_ENGINE_H

#include "sql/run/sess.h"
#include "sql/run/world.h"
#include "txn/client.h"

struct sess_engine;

struct sess_engine_conf {
    struct node_store *store;
    struct txn_client *txns;
    bool trust;                    /* any name passes as the role meridian */
    const char *version;           /* of this program, for version() */
    const struct sql_world *world; /* the simulated one that the node stands in; NULL: none */
};

struct sess_engine_stats {
    struct counter statements, replanned, retried, plan_hits, plan_misses, ddl, copied_rows;
    struct gauge sessions, plans;
};

/* conf is copied. It is to be idle before it is freed: stop ends what it does by itself. */
enum rc sess_engine_new(const struct sess_engine_conf *conf, struct sess_engine **ret, struct err *err) MUST_CHECK;
/* What it does by itself, until its reactor stops: on a node. */
enum rc sess_engine_start(struct sess_engine *e, struct err *err) MUST_CHECK;
void sess_engine_stop(struct sess_engine *e); /* NULL is fine */
bool sess_engine_idle(const struct sess_engine *e);
void sess_engine_free(struct sess_engine *e); /* no session is left; NULL is fine */
const struct sess_engine_stats *sess_engine_stats(const struct sess_engine *e);

extern const struct sess_ops sess_engine_ops; /* engine: a struct sess_engine */

#endif
