/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyse.h: a raw parse tree to a typed one (tree.h): names, types, conversions, aggregates, all by PostgreSQL's rules.
 *
 * Promise     What is analysed means what PostgreSQL 15 would make of it; what we do not have is 0A000 with its name and
 *             position, never another meaning. Errors carry PostgreSQL's SQLSTATE, words and position: 42P01, 42703, 42702,
 *             42883, 42804, 42803, 42601, 22P02, ...
 * Relies on   a catalog (sql/catalog), the function table (sql/functions), input functions (sql/types) for literals.
 * Threads     the reactor's own; on large fibers; may wait for the catalog.
 */
#ifndef MERIDIAN_SQL_ANALYSE_H
#define MERIDIAN_SQL_ANALYSE_H

#include <pg_query/pg_query.pb-c.h>

#include "shard/runtime/fiber.h"
#include "sql/analyse/tree.h"
#include "sql/types/types.h"

/* A star in the parse tree, and the targets that it stands for. */
struct analyse_star {
    const PgQuery__Node *target;
    PgQuery__Node **into;
    size_t n;
};

/* What a text that the catalog keeps must say in so many words: the statement's relations get their schemas, in the parse tree
 * itself, and its stars are listed here. */
struct analyse_names {
    struct analyse_star *star;
    uint32_t stars, cap;
};

struct analyse_in {
    struct arena *arena;
    struct cat_source *catalog;
    const char *text; /* the whole script: locations point into it */
    size_t bytes;
    const uint32_t *search_path; /* schema ids, in order; pg_catalog is looked through first unless it is among them */
    size_t search_paths;
    /* Types that the client gave ($1 is param[0]); 0 entries of type COL_NONE are inferred. */
    const struct col *param;
    size_t params;
    /* To read literals and to compute constants at once: time zone, now; NULL: UTC, and nothing is computed. Without
     * env->session, functions that need a session are refused. */
    const struct fn_env *env;
    /* For expressions that the catalog keeps as text; NULL: they are short. */
    struct reactor *reactor;
    struct analyse_names *names; /* NULL: nobody asks */
};

struct analysed {
    struct query *query;
    const struct col *param; /* all of them, with what was inferred */
    size_t params;
    /* A constant in it was read from 'now', 'today' or the like: it is good for this moment only and no plan to keep. */
    bool passing;
    /* Tables that it was made from: references, dropped with analysed_done. */
    const struct cat_table **table;
    size_t tables;
};

/* SELECT, VALUES, INSERT, UPDATE, DELETE, TABLE. Others are RC_UNSUPPORTED: utility statements are run/'s. */
enum rc analyse_statement(const struct analyse_in *in, const PgQuery__Node *statement, struct analysed *ret,
                          struct err *err) WAITS MUST_CHECK;
void analysed_done(struct analysed *a);
/* Does it mention the column anywhere? */
bool analysed_reads_column(const struct analysed *a, uint32_t table, uint32_t column);

/* A single expression over one table's columns (rel 0): DEFAULT, CHECK, an index's WHERE. want: coerced to it as an assignment;
 * COL_NONE: as it is. */
enum rc analyse_expression(const struct analyse_in *in, const PgQuery__Node *node, const struct cat_table *table,
                           struct col want, struct expr **ret, struct err *err) WAITS MUST_CHECK;
/* A type's name as in a column definition or a cast. 42704. */
enum rc analyse_type(const struct analyse_in *in, const PgQuery__TypeName *name, struct col *ret,
                     struct err *err) MUST_CHECK;

/* The expression as a program (pgx.h). What a program cannot compute itself are its arguments, col[0 .. cols - 1], in the order
 * of their first appearance, each once: EXPR_COL, EXPR_PARAM, EXPR_AGG, EXPR_WINDOW, EXPR_SUBLINK, EXPR_GROUPING, EXPR_SET. Each
 * is given in the storage form of its own type (numeric(p <= 18, s): the scaled integer), and the result comes in the storage
 * form of e's type (an EXPR_RELABEL between two numerics converts). A column's rel is not looked into. RC_UNSUPPORTED: a ROW as a
 * value. */
struct expr_program {
    const void *bytes;
    size_t n;
    const struct expr **col; /* EXPR_COL or EXPR_PARAM */
    uint32_t cols;
};
enum rc expr_compile(struct arena *a, const struct expr *e, struct expr_program *ret, struct err *err) MUST_CHECK;
/* The least stable thing in it, subqueries not looked into: IMMUTABLE may run on a tablet; STABLE needs the session's settings
 * and its now; VOLATILE must run once a row at the gateway. */
enum fn_volatility expr_volatility(const struct expr *e);

#endif
