/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sql_server.h: SQL on a node: an engine and a protocol server for each store, one listener.
 *
 *     sql_server_init(&server, &conf);  txn_upper_init(&upper, sql_server_above(&server));  node_conf.upper = &upper
 *
 * Promise     Once node_conf.on_ready is called, clients can connect to sql_server_addr. Sessions are handed round robin to
 *             the stores. A stopping node tells its sessions (57P01).
 * Relies on   txn/upper.h, pgwire.
 * Threads     as txn_above says.
 */
#ifndef MERIDIAN_SQL_SQL_SERVER_H
#define MERIDIAN_SQL_SQL_SERVER_H

#include "sql/pgwire/pgwire.h"
#include "sql/run/sess_engine.h"
#include "txn/upper.h"

struct sql_server_conf {
    const char *addr;               /* HOST:PORT; NULL: no listener */
    bool trust;                     /* no passwords */
    const struct env_tls_conf *tls; /* NULL: TLS is declined */
    const char *version;
    const struct sql_world *world; /* NULL: none */
};

struct sql_server {
    struct sql_server_conf conf;
    struct txn_above above;
    char addr[ENV_ADDR_BYTES]; /* once it listens */
    struct pgwire *wires[NODE_STORES_MAX];
};

/* Borrows conf's strings. server outlives the node. */
void sql_server_init(struct sql_server *server, const struct sql_server_conf *conf);
const struct txn_above *sql_server_above(const struct sql_server *server);
/* The engine of a store, for faces that live in the process; NULL: not open. */
struct sess_engine *sql_server_engine(const struct node_store *s);

#endif
