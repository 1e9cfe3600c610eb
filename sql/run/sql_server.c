/* SPDX-License-Identifier: Apache-2.0 */
/* sql_server.c: see sql_server.h. */
#include "sql/run/sql_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/exec/exec.h"
#include "sql/functions/pgx.h"

/* What lies above the transactions of one store. */
struct sql_store {
    struct sess_engine *engine;
    struct pgwire *wire;
    struct env *env;
    struct env_tls *tls;
    struct pgx_ext *ext;
};

static void store_free(void *above) {
    struct sql_store *q = above;
    pgwire_free(q->wire);
    sess_engine_free(q->engine);
    if (q->tls)
        q->env->ops->tls_free(q->tls);
    pgx_ext_free(q->ext);
    free(q);
}

static enum rc add_functions(struct sql_store *q, struct node_store *s, struct err *err) {
    q->ext = pgx_ext_new();
    enum rc rc = q->ext ? mvcc_store_add_ext(s->mvcc, pgx_ext_open, q->ext) : RC_NOMEM;
    if (!rc)
        rc = mvcc_store_add_ext(s->mvcc, exec_ext_open, NULL);
    return rc ? err_set(err, rc, "the functions of SQL could not be added to the store") : RC_OK;
}

static enum rc store_open(void *ctx, struct node_store *s, void **ret, struct err *err) {
    struct sql_server *server = ctx;
    struct sql_store *q = calloc(1, sizeof *q);
    if (!q)
        return err_set(err, RC_NOMEM, "out of memory");
    q->env = s->env;
    *ret = q; /* whatever comes: store_stop and store_free end what there is */
    struct sess_engine_conf engine = {.store = s,
                                      .txns = txn_client_of(s),
                                      .trust = server->conf.trust,
                                      .version = server->conf.version,
                                      .world = server->conf.world};
    enum rc rc = add_functions(q, s, err);
    if (!rc)
        rc = sess_engine_new(&engine, &q->engine, err);
    if (!rc)
        rc = sess_engine_start(q->engine, err);
    if (!rc && server->conf.tls)
        rc = s->env->ops->tls_new(s->env, server->conf.tls, &q->tls, err);
    if (!rc) {
        struct pgwire_conf wire = {.ops = &sess_engine_ops,
                                   .engine = q->engine,
                                   .node = node_number(s->node),
                                   .trust = server->conf.trust,
                                   .tls = q->tls};
        rc = pgwire_new(s->reactor, &wire, &q->wire, err);
    }
    if (!rc) {
        pgwire_add_metrics(q->wire);
        server->wires[s->number] = q->wire;
    }
    return rc;
}

/* On store 0; the others are open and have no session yet. */
static enum rc serve(void *ctx, struct node *n, struct err *err) {
    struct sql_server *server = ctx;
    if (!server->conf.addr)
        return RC_OK;
    pgwire_link(server->wires, node_stores(n));
    enum rc rc = pgwire_listen(server->wires[0], server->conf.addr, err);
    if (rc)
        return err ? err_wrap(err, "--sql %s", server->conf.addr) : rc;
    snprintf(server->addr, sizeof server->addr, "%s", pgwire_addr(server->wires[0]));
    node_set_sql_addr(n, server->addr);
    return RC_OK;
}

static void store_stop(void *above) {
    struct sql_store *q = above;
    if (q->wire)
        pgwire_stop(q->wire);
    sess_engine_stop(q->engine);
}

static bool store_idle(void *above) {
    const struct sql_store *q = above;
    return (!q->wire || pgwire_idle(q->wire)) && sess_engine_idle(q->engine);
}

void sql_server_init(struct sql_server *server, const struct sql_server_conf *conf) {
    *server = (struct sql_server){.conf = *conf};
    server->above = (struct txn_above){.store_open = store_open,
                                       .serve = serve,
                                       .store_stop = store_stop,
                                       .store_idle = store_idle,
                                       .store_free = store_free,
                                       .ctx = server};
}

const struct txn_above *sql_server_above(const struct sql_server *server) {
    return &server->above;
}

struct sess_engine *sql_server_engine(const struct node_store *s) {
    const struct sql_store *q = txn_above_of(s);
    return q ? q->engine : NULL;
}
