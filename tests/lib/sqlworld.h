/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlworld.h: a simulated cluster of whole nodes that speak SQL, and clients on a machine of their own, which does not fail.
 *
 *     struct sqlworld *w = sqlworld_new(seed, &conf);
 *     sqlworld_ready(w);                       grown; conf.setup has run
 *     sqlworld_trouble(w, 20 * SECOND);        clients run, and things go wrong
 *     sqlworld_heal(w);                        and must go on, then stop; conf.finish has run
 *     OKF(!w->broken[0], "%s", w->broken);
 *     sqlworld_free(w);
 *
 * A client is a fiber that speaks PostgreSQL's protocol over the simulated network: what it is not told it does not know. All
 * bytes go through sql/pgwire, all statements through sql/run: nothing here knows how those work.
 */
#ifndef MERIDIAN_TESTS_SQLWORLD_H
#define MERIDIAN_TESTS_SQLWORLD_H

#include "geo-sim/sim/sim.h"
#include "sql/run/sql_server.h"
#include "tests/check/history.h"
#include "tests/lib/simkit.h"
#include "tests/lib/simpg.h"
#include "txn/host.h"

enum { SQLWORLD_NODES_MAX = 5, SQLWORLD_CLIENTS_MAX = 32, SQLWORLD_UNKNOWN_MAX = 2000, SQLWORLD_TOKEN_BYTES = 120 };

struct sqlworld;

struct sqlworld_node {
    struct sqlworld *w;
    struct sim_node *sim;
    struct node_conf conf;
    struct sql_server server;
    struct node_upper upper;
    struct node *node; /* while it serves */
    uint32_t number;
    char sql_addr[16];
};

/* A client's fiber. */
struct sqlclient {
    struct sqlworld *w;
    struct reactor *r;
    uint32_t number;                  /* 0, 1, ... */
    uint32_t session;                 /* of the history: anew with each connection */
    int node;                         /* that it is to speak to; 0: any */
    int at;                           /* that it speaks to */
    struct simpg *pg;                 /* NULL: not connected */
    int64_t last_ts;                  /* of its last commit */
    char token[SQLWORLD_TOKEN_BYTES]; /* of the transaction under way; "" = none */
};

struct sqlworld_conf {
    int nodes, clients;
    uint16_t stores; /* of each node; 0 = 1 */
    void (*setup)(struct sqlclient *c);
    void (*client)(struct sqlclient *c); /* until w->over */
    void (*finish)(struct sqlclient *c); /* all clients have ended, nothing fails any more */
    bool crashes, partitions, transfers, clocks, moves;
    int splits;               /* so many, of tables in split */
    const char *const *split; /* pieces of SQL: "'reg', 4"; NULL at the end */
    void *ctx;
};

struct sqlworld {
    struct sim *sim;
    struct rng *rng;
    struct sqlworld_conf conf;
    struct sqlworld_node n[SQLWORLD_NODES_MAX + 1];
    struct simkit_node clients;
    struct sim_node *home;
    struct sqlclient client[SQLWORLD_CLIENTS_MAX + 2];
    struct history *history;
    bool set_up, go, over, finished;
    int running; /* clients that have not ended */
    int split_wanted, splits, moves, transfers;
    uint32_t sessions, crashes;
    uint64_t committed_before, committed, aborted, unknown, resolved, reads, lost; /* lost: connections */
    struct {
        uint32_t t;
        char token[SQLWORLD_TOKEN_BYTES];
    } unknowns[SQLWORLD_UNKNOWN_MAX];
    bool unresolvable; /* a statement that nobody has a token of may have happened */
    int64_t next_value;
    char broken[800];
};

struct sqlworld *sqlworld_new(uint64_t seed, const struct sqlworld_conf *conf);
void sqlworld_ready(struct sqlworld *w);
void sqlworld_trouble(struct sqlworld *w, int64_t ns);
void sqlworld_heal(struct sqlworld *w);
/* The end of it: clients are asked to end, conf.finish runs. */
void sqlworld_end(struct sqlworld *w);
/* Whoever does not run is started; until all serve. */
void sqlworld_restart(struct sqlworld *w);
/* No tablet has anything left of a transaction. */
void sqlworld_check_clean(struct sqlworld *w);
void sqlworld_free(struct sqlworld *w);
void sqlworld_broke(struct sqlworld *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- for clients ---- */
int64_t sqlworld_now(const struct sqlworld *w); /* true time */
/* Connects if it is not; RC_CLOSED and the like: nobody there now. */
enum rc sqlclient_connect(struct sqlclient *c) WAITS;
void sqlclient_close(struct sqlclient *c);
/* One text, as simpg_query; what is not RC_OK and not RC_SQL closes the connection. */
enum rc sqlclient_run(struct sqlclient *c, const char *fmt, ...) WAITS PRINTF_LIKE(2, 3);
/* A prepared statement with int8 parameters. */
enum rc sqlclient_call(struct sqlclient *c, const char *literal, const int64_t *param, size_t params) WAITS;
/* Runs it until it succeeds: for setting up and for looking at the end. False: it broke the world. */
bool sqlclient_must(struct sqlclient *c, const char *fmt, ...) WAITS PRINTF_LIKE(2, 3);
/* The last error's SQLSTATE is this one. */
bool sqlclient_said(const struct sqlclient *c, const char *state);
/* A cell of the last answer. */
int64_t sqlclient_int(const struct sqlclient *c, size_t row, size_t column);
const char *sqlclient_text(const struct sqlclient *c, size_t row, size_t column);
size_t sqlclient_rows(const struct sqlclient *c);

/* A transaction of the history. begin: BEGIN and its token. end: what follows its statements, which returned rc: COMMIT or ROLLBACK,
 * its timestamp; noted in the history. t is what begin returned. */
enum rc sqlclient_begin(struct sqlclient *c, uint32_t *ret_t) WAITS;
void sqlclient_end(struct sqlclient *c, uint32_t t, enum rc rc) WAITS;
/* Asks for what became of every commit that was not answered. */
void sqlclient_resolve(struct sqlclient *c) WAITS;
bool sqlclient_sleep(struct sqlclient *c, int64_t ns) WAITS; /* false: the world ends */

#endif
