/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maker.h: the planner at work: trees looked through, programs made, SQL printed.
 *
 * The printer turns a typed query into SQLite's SQL. SQLite sees the relational skeleton: joins, grouping, order, limits, set
 * operations, subqueries. Scalar expressions become one call each, pgx(program, columns ...), but for comparisons of values
 * that SQLite stores and compares as PostgreSQL does (plan_class), which indexes can use.
 *
 * Promise     A failure is remembered (maker.rc): printing goes on and does nothing more, and plan_make tells at the end.
 * Relies on   expr_compile, pgx.h; trees at most PARSE_DEPTH_MAX deep.
 * Threads     one maker a plan.
 *
 * Names in the text: r<N> a relation of the query, wherever it stands (so that correlation needs no scopes); its columns are
 * c<ID> for a table in a fragment, else c<PLACE>; w<N> a WITH query; s<N> a source of the final stage.
 */
#ifndef MERIDIAN_SQL_MAKER_H
#define MERIDIAN_SQL_MAKER_H

#include "sql/plan/plan_internal.h"

enum { NATIVE_DEPTH_MAX = 8 }; /* of parentheses that SQLite's parser is given for a scalar; deeper ones are programs */

struct maker {
    struct plan *plan;
    struct arena *arena;
    struct err *err;
    enum rc rc;
    const struct rel **rel; /* numbered */
    uint32_t rels, rels_max;
    uint32_t calcs_max;
    uint32_t *of_param, of_params_max; /* by parameter: its calc + 1, 0 = it has none yet */
    const struct query **with;         /* numbered WITH queries */
    uint32_t withs, withs_max;
    /* Stand-ins for what a program cannot compute by itself. */
    struct rel params_rel, leaf_rel;
    const struct expr **leaf;
    uint32_t leaves, leaves_max;
    const struct partial *partial; /* while the text over groups is printed */
    const struct expr **pushed;    /* conjuncts that sources have taken over */
    uint32_t pushes, pushes_max;
    bool no_wait; /* FOR UPDATE NOWAIT of the statement itself */
};

enum out_mode { OUT_FRAGMENT, OUT_FINAL };

/* A text being printed. */
struct out {
    struct maker *m;
    enum out_mode mode;
    struct select *sel; /* FINAL: whose sources */
    struct buf sql;
    uint32_t *slot;
    uint32_t slots, slots_max;
    uint32_t *of_calc, of_calcs_max; /* by calc: its slot + 1 */
    unsigned depth;
    /* Functions among the targets that give rows: joined to FROM, from the query's first on. */
    const struct expr **joined;
    uint32_t joins, joins_max, sets_max;
    /* A text of its own (print_lateral.c): columns of what is not in `inside` are values of the row that it is joined to. */
    bool apart;
    const struct query *inside; /* NULL: nothing is */
    const struct expr **outer;
    uint32_t outers, outers_max, laterals_max;
};

/* ---- maker.c ----------------------------------------------------------------------------------------------------- */

void *maker_alloc(struct maker *m, size_t n, size_t size); /* zeros; NULL: it has failed */
/* Room for one more in an array of the arena that doubles. False: it has failed. */
bool maker_room(struct maker *m, void *array, uint32_t n, uint32_t *max, size_t size);
/* Room for place i in an array that is zero as far as nothing was put there. */
bool maker_reach(struct maker *m, uint32_t **array, uint32_t i, uint32_t *max);
void maker_fail(struct maker *m, enum rc rc);
/* 0A000 with the expression's place. */
void maker_unsupported(struct maker *m, int32_t location, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A copy of a column's name: it may lie in the parse tree, which the plan outlives. */
const char *maker_name(struct maker *m, const char *name);

uint32_t maker_rel(struct maker *m, const struct rel *r);
uint32_t maker_with(struct maker *m, const struct query *q);

/* A column-free expression, computed once a run, in the storage form of type. */
uint32_t maker_calc(struct maker *m, const struct expr *e, const struct col *type, enum calc_use use);
/* A program on the gateway. Columns of into are `from`; others are found by place(ctx) in the row that was read, or -1. */
struct row_names {
    const struct rel *into;
    enum arg_from from;
    const struct rel *excluded;
    int64_t (*place)(void *ctx, const struct expr *col);
    void *ctx;
};
struct prog *maker_prog(struct maker *m, const struct expr *e, const struct col *type, const struct row_names *names);

/* ---- walk.c ------------------------------------------------------------------------------------------------------ */

typedef bool expr_test(const struct expr *e, void *ctx);
/* Is the test true for e or something in it, also in its subqueries? */
bool expr_any(const struct expr *e, expr_test *test, void *ctx);
bool query_any(const struct query *q, expr_test *test, void *ctx);
/* Relations, all of them, those of subqueries too; true ends it. */
typedef bool rel_test(const struct rel *r, void *ctx);
bool query_any_rel(const struct query *q, rel_test *test, void *ctx);

/* What a join's column comes from; other expressions as they are. */
const struct expr *expr_base(const struct expr *e);
/* No column, no subquery, no aggregate: it has one value in a run (a volatile one: in a call). */
bool expr_fixed(const struct expr *e);
/* Of this expression's own function, and the worst of all within, subqueries too. What the session decides is not immutable. */
enum fn_volatility own_volatility(const struct expr *e);
enum fn_volatility tree_volatility(const struct expr *e);
bool expr_has_sublink(const struct expr *e);
/* All of its columns are of r, or of r and things that are fixed. */
bool expr_only_of(const struct expr *e, const struct rel *r);
/* Nothing that depends on the session, but for what has one value in a run: tablets can compute it. */
bool for_tablets(const struct expr *e);
expr_test test_session, test_volatile, test_subquery;
/* A copy with another type of the same value. NULL: no memory. */
const struct expr *expr_relabel(struct arena *a, const struct expr *e, const struct col *type);
/* The comparison that a call is: '=' '<' '>' 'l' (<=) 'g' (>=) 'n' (<>), over values that SQLite compares as PostgreSQL; 0. */
char expr_comparison(const struct expr *call);
char fn_comparison(const struct fn *f);
/* Without casts between integers, which change no stored value. */
const struct expr *expr_strip(const struct expr *e);

/* ---- print_*.c --------------------------------------------------------------------------------------------------- */

void out_init(struct out *o, struct maker *m, enum out_mode mode, struct select *sel);
/* Takes the text over into the arena; the fragment's id is made of it. */
void out_done(struct out *o, struct text *ret, bool simple);
void out_puts(struct out *o, const char *s);
void out_printf(struct out *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
void out_slot(struct out *o, uint32_t calc);
void out_literal(struct out *o, const struct value *v);
void out_blob(struct out *o, const void *p, size_t n);
void out_column(struct out *o, const struct expr *col);

void print_expr(struct out *o, const struct expr *e);
/* In the form of that type. */
void print_as(struct out *o, const struct expr *e, const struct col *type);
/* With the collation that its type needs to be ordered, grouped or compared. */
void no_order(struct out *o, const struct expr *e); /* says that it cannot */
void print_ordered(struct out *o, const struct expr *e);
void print_conjuncts(struct out *o, const char *before, const struct expr *where, const struct expr *const *more,
                     uint32_t mores);
void print_scalar(struct out *o, const struct expr *e);
void print_set_target(struct out *o, const struct expr *e);
void print_sublink(struct out *o, const struct expr *e);
void print_aggregate(struct out *o, const struct expr *e);
void print_window(struct out *o, const struct expr *e);
void print_query(struct out *o, const struct query *q, const struct plan_column *as, uint32_t columns);
/* " FROM r1 JOIN r2 ON ..." */
void print_from(struct out *o, const struct query *q);
void print_order(struct out *o, const struct query *q);
void print_limit(struct out *o, const struct query *q);
/* A call of a function that gives rows, in FROM. */
void print_set_call(struct out *o, const struct expr *e);
/* False: it refers to nothing before it. */
bool print_lateral(struct out *o, const struct rel *r);
/* ROWS FROM (f, g, ...) */
void print_functions(struct out *o, const struct rel *r);
bool out_is_outer(const struct out *o, const struct rel *r);
void out_outer(struct out *o, const struct expr *col);
/* A query that groups by several sets; its WITH is printed. */
void print_grouping_sets(struct out *o, const struct query *q, const struct plan_column *as);
void print_with_ties(struct out *o, const struct query *q, const struct plan_column *as);

void print_merge(struct out *o, const struct expr *agg, uint32_t rel, uint32_t col);
/* A part of an aggregate, in a fragment, and the whole from such parts. */
bool aggregate_splits(const struct expr *agg);
void print_part(struct out *o, const struct expr *agg);

/* ---- partial.c */

struct partial_rows {
    bool distinct, top;
};
/* The final stage over groups that tablets have made; false: it cannot be so. */
bool make_groups(struct maker *m, const struct query *q, struct select *ret);
bool partial_has(const struct maker *m, const struct expr *e);
bool partial_print(struct out *o, const struct expr *e);
bool partial_rows(struct maker *m, const struct query *q, const struct select *sel, struct partial_rows *ret);
void print_top(struct out *o, const struct query *q);
bool expr_same(const struct expr *a, const struct expr *b);

/* ---- keys.c ------------------------------------------------------------------------------------------------------ */

/* What the conjuncts say about the key of t (columns: of rel, by place in the table). */
void keys_find(struct maker *m, const struct rel *r, const struct table *t, const uint16_t *place,
               const struct expr *const *conjunct, uint32_t n, struct keys *ret);
/* The conjuncts of AND trees. */
void conjuncts_of(struct maker *m, const struct expr *e, const struct expr ***ret, uint32_t *n, uint32_t *max);

/* ---- select.c, dml.c --------------------------------------------------------------------------------------------- */

void make_select(struct maker *m, const struct query *q, struct select *ret, const struct rel *locked,
                 enum lock_mode lock);
struct dml *make_dml(struct maker *m, const struct query *q);

#endif
