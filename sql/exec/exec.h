/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.h: runs plans: fragments on tablets, the final stage, writes; rows come out one by one.
 *
 *     exec_open(plan, &env, params, &e, &err);  exec_next(e, &row, &err) until row is NULL;  exec_close(e)
 *
 * Promise     The rows are those that PostgreSQL would give for the statement on the database as env->txn sees it. A statement
 *             that fails has written nothing when the caller goes back to the savepoint that it set before exec_open. Memory
 *             is bounded by env->memory_max: what is sorted, grouped or remembered beyond it goes to files (scratch.h), up
 *             to env->temp_max (53400); rows that a join keeps to be looked up have to fit (53200).
 * Relies on   txn/client.h for everything distributed; the caller for retries: RC_ABORTED and RC_STALE as they come.
 * Threads     the reactor's own, one fiber, large. Yields.
 */
#ifndef MERIDIAN_SQL_EXEC_H
#define MERIDIAN_SQL_EXEC_H

#include "sql/exec/scratch.h"
#include "sql/plan/plan.h"
#include "txn/client.h"

/* Rows of relations that are no tables: pg_catalog, information_schema, meridian.*. */
struct exec_virtual {
    /* Calls on_row for each row of the relation, all its columns. An error of on_row ends it. */
    enum rc (*rows)(void *ctx, const struct cat_table *t,
                    enum rc (*on_row)(void *to, const struct value *v, struct err *err), void *to,
                    struct err *err) WAITS;
    void *ctx;
};

/* What fragments need of tablets' handles besides pgx_ext_open: for mvcc_store_add_ext; ctx is not looked at. */
enum rc exec_ext_open(sqlite3 *db, void *ctx, struct err *err) MUST_CHECK;

/* Who wants to know of rows that are written: each one, then that all of them are, before the first row of RETURNING. */
struct exec_watch {
    enum rc (*row)(void *ctx, const struct cat_table *t, const struct value *old, const struct value *new,
                   struct err *err);
    enum rc (*end)(void *ctx, struct err *err) WAITS;
    void *ctx;
};

struct exec_env {
    struct node_store *store;
    struct txn *txn;
    const struct fn_env *fn;
    struct exec_virtual virtuals;
    size_t memory_max; /* 0 = 64 MiB */
    /* About how many rows the table has, -1: who knows. NULL: nobody does. */
    double (*rows)(void *ctx, const struct table *t);
    void *rows_ctx;
    /* Files for what is sorted and grouped beyond the memory, at most temp_max bytes (0: no limit). NULL: all is in memory. */
    struct scratch *scratch;
    int64_t temp_max;
    /* Nothing follows in this transaction: a write may commit with its last request (txn_write_commit); exec_committed tells. */
    bool last;
    struct exec_watch watch; /* row NULL: nobody */
    uint32_t chunk_rows;     /* that an UPDATE or DELETE reads before it writes them; 0 = 4096 */
};

struct exec;

/* params: plan_params of them, in the storage form of their types. They and env outlive the exec. */
enum rc exec_open(const struct plan *p, const struct exec_env *env, const struct value *params, struct exec **ret,
                  struct err *err) WAITS MUST_CHECK;
/* *ret: plan_columns values, good until the next call; NULL: no more. */
enum rc exec_next(struct exec *e, const struct value **ret, struct err *err) WAITS MUST_CHECK;
void exec_close(struct exec *e) WAITS; /* NULL is fine */
/* Rows that an INSERT, UPDATE or DELETE has touched; complete after the last exec_next. */
uint64_t exec_affected(const struct exec *e);
bool exec_committed(const struct exec *e, int64_t *ret_ts);

/* EXPLAIN's lines, what the plan does and, after the last row (analyze), what happened: fragments, tablets, rows, time by cause.
 * json: all of them as one document, which on_line gets as a whole. */
enum rc exec_explain(const struct plan *p, const struct exec *e, const struct exec_env *env, const struct value *params,
                     bool verbose, bool json, enum rc (*on_line)(void *ctx, const char *line, struct err *err),
                     void *ctx, struct err *err) WAITS MUST_CHECK;

#endif
