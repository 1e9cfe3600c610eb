/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h: an analysed statement: names resolved, every expression typed, every conversion written out.
 *
 * Promise     What the analyser hands out needs no catalog and no rules of PostgreSQL's any more to be planned: a column is a
 *             (relation, column) pair, a function a row of fn.h's table, a type a struct col. All of it lies in one arena.
 *             Trees are at most PARSE_DEPTH_MAX deep, so walkers may recurse.
 * Threads     read-only once analysed.
 * Source      the shape follows PostgreSQL's Query (src/include/nodes/parsenodes.h), as far as we need it.
 */
#ifndef MERIDIAN_SQL_TREE_H
#define MERIDIAN_SQL_TREE_H

#include "sql/catalog/catalog.h"
#include "sql/functions/fn.h"

struct query;
struct rel;

/* ---- expressions ------------------------------------------------------------------------------------------------ */

enum expr_kind {
    EXPR_CONST,
    EXPR_PARAM,   /* $n */
    EXPR_COL,     /* a column of a relation, maybe of an outer query */
    EXPR_CALL,    /* a function, an operator, a cast that does something */
    EXPR_RELABEL, /* a cast that changes nothing but the type's name */
    EXPR_AND,
    EXPR_OR,
    EXPR_NOT,
    EXPR_IS_NULL,  /* flag: IS NOT NULL */
    EXPR_IS_BOOL,  /* IS TRUE / FALSE / UNKNOWN; op: 't' 'f' 'u', flag: NOT */
    EXPR_DISTINCT, /* IS DISTINCT FROM; call: the equality; flag: NOT */
    EXPR_CASE,     /* arg: when, then, when, then, ..., else */
    EXPR_COALESCE,
    EXPR_NULLIF,    /* call: the equality */
    EXPR_MINMAX,    /* GREATEST / LEAST; op '>' '<' */
    EXPR_IN,        /* arg[0] IN (arg[1] ...); call: the equality; flag: NOT */
    EXPR_ANY_ARRAY, /* arg[0] op ANY (arg[1]); call: the operator; flag: ALL */
    EXPR_ARRAY,     /* ARRAY[...] */
    EXPR_SUBSCRIPT, /* flag: a slice, arg[1] to arg[2], ... */
    EXPR_ROW,
    EXPR_SUBLINK, /* a subquery; op says which */
    EXPR_AGG,
    EXPR_WINDOW,
    EXPR_GROUPING,
    EXPR_SET,     /* a set-returning function in the target list */
    EXPR_TYPE_IO, /* a cast by way of text: output, then input */
    EXPR_LIMIT,   /* arg[0] made to fit type.typmod: numeric(5,2), varchar(3); flag: by a cast, which cuts where an
                   * assignment says 22001 */
};

enum sublink_kind {
    SUBLINK_EXISTS = 'e',
    SUBLINK_SCALAR = 's',
    SUBLINK_ANY = 'a',
    SUBLINK_ALL = 'l',
    SUBLINK_ARRAY = 'r'
};

struct expr {
    enum expr_kind kind;
    struct col type;
    int32_t location; /* byte offset in the statement, -1 = none */
    char op;
    bool flag;
    bool distinct, star; /* of an aggregate */
    uint32_t args;
    struct expr **arg;
    union {
        struct value value; /* CONST */
        uint32_t param;     /* PARAM: from 1 */
        struct {
            struct rel *rel; /* never a JOIN: columns of joins are written out as what they come from */
            uint32_t col;    /* place among rel's columns */
            uint32_t levels; /* queries up */
        } col;
        struct {
            const struct fn *fn; /* CALL, AGG, WINDOW, and equalities */
        } call;
        struct query *query; /* SUBLINK */
    };
    /* SUBLINK ANY / ALL, beside query: the operator; of a row (arg has more than one) one for each column, and they hold
     * together by AND (the row operators = and <> only; <> by OR). */
    const struct fn *const *cmp;
    struct expr *filter; /* AGG, WINDOW */
    struct sort *order;  /* AGG */
    uint32_t orders;
    struct window *window; /* WINDOW */
    uint32_t mark;         /* the analyser's own */
};

struct sort {
    struct expr *expr;
    bool desc, nulls_first;
};

struct window {
    const char *name;
    struct expr **partition;
    uint32_t partitions;
    struct sort *order;
    uint32_t orders;
    uint32_t frame; /* PostgreSQL's FRAMEOPTION_ bits */
    struct expr *start, *end;
};

/* ---- relations ---------------------------------------------------------------------------------------------------- */

enum rel_kind {
    REL_TABLE,
    REL_QUERY,
    REL_FUNCTION,
    REL_VALUES,
    REL_CTE, /* its query is that of a cte of this query or of an outer one, by pointer; in itself: recursion */
    REL_JOIN,
    REL_CATALOG, /* rows come from the gateway; also those of a WITH query that writes */
    REL_SET,     /* the rows of a set operation: the only relation of a query with set, which has left and right */
};

struct rel_col {
    const char *name;
    struct col type;
    bool hidden;
    /* JOIN: where it comes from; merged USING columns of a FULL JOIN are COALESCE of both. */
    struct expr *source;
};

enum join_kind { JOIN_INNER, JOIN_LEFT, JOIN_RIGHT, JOIN_FULL, JOIN_CROSS };

struct rel {
    enum rel_kind kind;
    uint32_t number; /* in its query, from 0 */
    const char *alias;
    struct rel_col *col;
    uint32_t cols;
    bool lateral, ordinality;
    const struct cat_table *table; /* TABLE, CATALOG */
    /* TABLE: what the rows of its partial indexes satisfy, one for each index, NULL for others; NULL: it has none. */
    struct expr **index_where;
    struct query *query; /* QUERY, CTE */
    struct expr **row;   /* VALUES: rows * cols; FUNCTION: the calls */
    uint32_t rows;
    enum join_kind join;
    struct rel *left, *right;
    struct expr *on;
};

struct target {
    const char *name;
    struct expr *expr;
    bool junk; /* only for ORDER BY or DISTINCT ON, whose expr it is; all of those come last */
};

struct cte {
    const char *name;
    struct query *query;
    bool recursive;
    uint32_t uses;
    int8_t materialized;           /* 1: asked for, -1: asked not to */
    const struct cat_table *table; /* of a query that writes: what it returns, as a relation (REL_CATALOG) */
};

enum row_lock { ROWLOCK_NONE, ROWLOCK_SHARE, ROWLOCK_UPDATE };

struct assignment;
enum query_kind { QUERY_SELECT, QUERY_INSERT, QUERY_UPDATE, QUERY_DELETE, QUERY_UTILITY };

enum set_op { SET_NONE, SET_UNION, SET_INTERSECT, SET_EXCEPT };

struct on_conflict {
    bool update;                   /* DO UPDATE; else DO NOTHING */
    const struct cat_index *index; /* NULL: the primary key, or any (DO NOTHING without a target) */
    bool primary;
    struct assignment *set;
    uint32_t sets;
    struct expr *where;
    struct rel *excluded;
};

/* A rule that each row written must keep: CHECK, or the WHERE of a partial index (then index is set, and a row that fails it is
 * not in the index). Its columns are those of query.into. */
struct row_rule {
    const char *name;
    bool computes; /* neither: expr is the value of the generated column col */
    uint32_t col;
    const struct cat_index *index;
    struct expr *expr;
};

struct assignment {
    uint32_t col; /* place in the table */
    struct expr *expr;
};

/*
 * SELECT   targets of (groups of) the product of from[] that passes where. sort[].expr, distinct_on[] are a target's expr, by
 *          pointer. A query with set has the columns of rel[0] (REL_SET) as its targets' expressions.
 * INSERT   into is rel[0]; source gives rows whose targets have exactly the types of the columns that set_list names, one
 *          by one (defaults are among them); all other columns are NULL.
 * UPDATE   into is rel[0] and from[0]; set_list's expressions have exactly their columns' types and are never NULL.
 * DELETE   into is rel[0] and from[0].
 */
struct query {
    enum query_kind kind;
    struct query *outer;
    struct rel **rel; /* all of this query, joins too */
    uint32_t rels;
    struct rel **from; /* the roots: their product is what WHERE sees */
    uint32_t froms;
    struct target *target;
    uint32_t targets;
    struct expr *where, *having;
    struct expr **group;
    uint32_t groups;
    struct expr ***grouping_set; /* GROUPING SETS and the like, written out; NULL: plain */
    uint32_t *grouping_set_exprs, grouping_sets;
    struct window **window;
    uint32_t windows;
    struct expr **distinct_on;
    uint32_t distincts;
    bool distinct;
    struct sort *sort;
    uint32_t sorts;
    struct expr *limit, *offset;
    bool with_ties;
    struct cte **cte;
    uint32_t ctes;
    bool aggregates, subqueries, volatile_calls;
    enum set_op set;
    bool set_all;
    struct query *left, *right;
    enum row_lock lock;
    bool lock_nowait, lock_skip;
    int32_t lock_at; /* where what is locked is named */
    /* INSERT, UPDATE, DELETE */
    struct rel *into;            /* the target table */
    struct assignment *set_list; /* UPDATE; INSERT: which columns the source's targets go to (expr is NULL) */
    uint32_t set_lists;
    struct query *source; /* INSERT: the rows */
    struct on_conflict *conflict;
    struct row_rule *rule;
    uint32_t rules;
    struct target *returning;
    uint32_t returnings;
    bool overriding_system, overriding_user;
};

#endif
