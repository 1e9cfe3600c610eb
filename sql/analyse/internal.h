/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h: what the parts of the analyser share.
 *
 *     analyse.c   the doors; SELECT and set operations    from.c    FROM: relations, joins, names of columns
 *     insert.c    INSERT, UPDATE, DELETE                  expr.c    expressions
 *     types.c     names of types, categories, casts       func.c    which function or operator is meant; calls
 *     coerce.c    making an expression another type       clause.c  GROUP BY, ORDER BY, DISTINCT, LIMIT, windows
 *     fold.c      constants computed at once              agg.c     what aggregates and grouping allow
 *     print.c     trees as text
 *
 * Functions that give a pointer give NULL, those that give a bool false, after an error: an->rc and an->err then say what it was,
 * and the caller only passes that on.
 *
 * While it works the analyser has types that no column has: FN_UNKNOWN (a literal or parameter that nothing has made a type of yet)
 * and PostgreSQL's names for text and oid (FN_NAME, FN_REGCLASS, ...), as struct col's type. lower() takes them out at the end.
 */
#ifndef MERIDIAN_SQL_ANALYSE_INTERNAL_H
#define MERIDIAN_SQL_ANALYSE_INTERNAL_H

#include "sql/analyse/analyse.h"

#define PQ(name) PgQuery__##name
#define PQ_NODE(n, name) ((n) && (n)->node_case == PG_QUERY__NODE__NODE_##name)

enum {
    /* Deeper trees than this much of a large fiber's stack holds are 54001. */
    AN_STACK_BYTES = 512 << 10,
    AN_TARGETS_MAX = 1664, /* PostgreSQL's MaxTupleAttributeNumber */
    AN_PARAMS_MAX = 65535,
    AN_TABLES_MAX = 1000,
    AN_FROM_MAX = 1000, /* relations of one query */
};

struct an_param {
    struct col type; /* COL_NONE: not known yet */
    int32_t location;
};

struct an {
    const struct analyse_in *in;
    struct arena *arena;
    struct err *err;
    enum rc rc;
    const char *text; /* what locations point into; NULL: nowhere (text from the catalog) */
    size_t bytes;
    uintptr_t stack;
    struct an_param *param;
    size_t params, params_cap;
    const struct cat_table **table;
    uint32_t tables, tables_cap;
    struct type_session types;
    bool passing;          /* analysed.passing */
    uint32_t nodes, marks; /* expressions made, walks that marked them */
};

/* Where an expression stands: what it may hold, and what PostgreSQL calls the place. */
enum an_place {
    PLACE_TARGET,
    PLACE_WHERE,
    PLACE_JOIN_ON,
    PLACE_JOIN_USING,
    PLACE_FROM_SUBSELECT,
    PLACE_FROM_FUNCTION,
    PLACE_HAVING,
    PLACE_FILTER,
    PLACE_GROUP,
    PLACE_ORDER,
    PLACE_DISTINCT_ON,
    PLACE_LIMIT,
    PLACE_OFFSET,
    PLACE_WINDOW_PARTITION,
    PLACE_WINDOW_ORDER,
    PLACE_WINDOW_FRAME,
    PLACE_VALUES,
    PLACE_INSERT,
    PLACE_UPDATE,
    PLACE_RETURNING,
    PLACE_CHECK,
    PLACE_DEFAULT,
    PLACE_INDEX_WHERE,
    PLACES
};

/* A relation as names in expressions see it. */
struct ns_item {
    struct rel *rel;
    const char *name; /* NULL: it has none (a join without an alias) */
    const char *schema;
    bool columns_visible; /* by bare names */
    bool name_visible;
    bool lateral_only, lateral_ok;
};

struct ns {
    struct ns_item *item;
    uint32_t n, cap;
};

struct an_cte {
    struct cte *cte;
    struct rel_col *col; /* known once analysed (or, of a recursive one, once its first half is) */
    uint32_t cols;
    bool known;
    const char **alias; /* names of its columns, as far as given */
    uint32_t aliases;
    int32_t location;
};

struct scope {
    struct an *an;
    struct scope *outer;
    struct query *q;
    struct ns ns;
    enum an_place place;
    bool lateral; /* FROM items that say so may be seen now */
    struct an_cte *cte;
    uint32_t ctes;
    const PQ(WithClause) * with; /* names of later ones, for the error */
    uint32_t rels_cap, targets_cap, groups_cap;
    bool aggregates, windows;
    int32_t aggregate_at;           /* of the first */
    PQ(Node) *const *window_clause; /* WINDOW */
    size_t window_clauses;
    struct window_use *window; /* those of it that are made */
    uint32_t windows_n, windows_cap;
};

/* ---- errors and memory (analyse.c) ------------------------------------------------------------------------------- */

/* All give false, for `return fail(...)`; none overwrites an earlier error. */
bool fail(struct an *an, int32_t location, const char *state, const char *fmt, ...) PRINTF_LIKE(4, 5);
bool fail_hint(struct an *an, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool fail_detail(struct an *an, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool fail_memory(struct an *an);
bool unsupported(struct an *an, int32_t location, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool stack_ok(struct an *an);
/* NULL: no memory, and the error is set. Zeroed. */
void *an_new(struct an *an, size_t count, size_t size);
const char *an_text(struct an *an, const char *s);
/* Room for one more in an array of n that doubles. */
bool an_grow(struct an *an, void **array, uint32_t n, uint32_t *cap, size_t size);
const char *node_string(const PQ(Node) * n);                /* "" where it is no string */
int32_t an_position(const struct an *an, int32_t location); /* in characters, 0 = nowhere */
/* Before anything else: an is ready to work; and its end. */
bool an_init(struct an *an, const struct analyse_in *in, struct err *err);

/* ---- statements ---------------------------------------------------------------------------------------------------- */

struct query *query_new(struct an *an, struct scope *outer, enum query_kind kind);
void scope_init(struct scope *s, struct an *an, struct scope *outer, struct query *q);
/* outer: the scope around it, or NULL. A SELECT or VALUES. */
struct query *select_query(struct an *an, struct scope *outer, const PQ(SelectStmt) * st, bool unknown_to_text);
struct query *any_query(struct an *an, struct scope *outer, const PQ(Node) * n, bool unknown_to_text);
int32_t select_location(const PQ(Node) * n);
bool with_clause(struct scope *s, const PQ(WithClause) * with);
bool dml_query(struct an *an, struct scope *outer, const PQ(Node) * n, struct query **ret);
/* WHERE and ON say a hidden column where they have the expression that it is computed by (an index is on it). */
bool use_hidden_columns(struct scope *s);
bool returning_list(struct scope *s, PQ(Node) *const *list, size_t n);
/* A view's query; NULL after an error. */
const PQ(Node) * parse_catalog_query(struct an *an, const char *sql);
/* Wraps a query as the only relation of another, whose targets are its columns. */
struct query *wrap_query(struct an *an, struct query *inner);
bool unknown_targets_to_text(struct an *an, struct query *q);

/* ---- FROM and names (from.c) ----------------------------------------------------------------------------------------- */

bool from_clause(struct scope *s, PQ(Node) *const *list, size_t n);
struct rel *rel_new(struct scope *s, enum rel_kind kind, const char *alias, uint32_t cols);
struct rel *table_rel(struct scope *s, const PQ(RangeVar) * v, const struct cat_table *t);
bool ns_add(struct scope *s, struct rel *r, const char *schema, bool columns, bool name);
bool schema_id(struct an *an, const char *name, uint32_t *ret); /* 0: there is none */
bool search_path(struct an *an, uint32_t **ret, size_t *ret_n);
/* Takes over the reference: it lives as long as the statement. */
bool table_keep(struct an *an, const struct cat_table *t);
/* NULL after an error. dml: only tables that may be written. */
const struct cat_table *table_open(struct scope *s, const PQ(RangeVar) * v, bool dml);
struct expr *col_expr(struct scope *s, struct rel *r, uint32_t col, uint32_t levels, int32_t location);
struct expr *column_ref(struct scope *s, const PQ(ColumnRef) * c);
/* Targets for "*" and "t.*", which target is. */
bool expand_star(struct scope *s, const PQ(Node) * target, struct target **to, uint32_t *n, uint32_t *cap);
/* Does n name a whole relation? Its columns' names and values then, two by two; *ret NULL: it does not. False: an error. */
bool whole_row(struct scope *s, const PQ(Node) * n, struct expr ***ret, uint32_t *ret_n);
struct expr *expr_raise(struct an *an, const struct expr *e, uint32_t levels);
/* Relations of a query as the rows of its target list. */
struct rel *query_rel(struct scope *s, enum rel_kind kind, const char *alias, struct query *q);

/* ---- expressions (expr.c) ---------------------------------------------------------------------------------------------- */

struct expr *expr_new(struct an *an, enum expr_kind kind, struct col type, uint32_t args, int32_t location);
struct expr *expression(struct scope *s, const PQ(Node) * n);
/* In another place than the scope's, for a while. */
struct expr *expression_at(struct scope *s, const PQ(Node) * n, enum an_place place);
struct expr *boolean_at(struct scope *s, const PQ(Node) * n, enum an_place place, const char *what);
bool target_add(struct scope *s, struct target **to, uint32_t *n, uint32_t *cap, const char *name, struct expr *e);
bool target_list(struct scope *s, PQ(Node) *const *list, size_t n, enum an_place place, struct target **to,
                 uint32_t *to_n, uint32_t *to_cap);
int32_t node_location(const PQ(Node) * n);
int32_t expr_location(const struct expr *e); /* where it begins, for errors about all of it */
const char *target_name(const PQ(Node) * n);
struct expr *const_null(struct an *an, struct col type);
struct expr *const_bool(struct an *an, bool b);
struct expr *const_int(struct an *an, struct col type, int64_t i);

/* ---- types (types.c) --------------------------------------------------------------------------------------------------- */

struct col type_named(struct an *an, const PQ(TypeName) * n); /* COL_NONE after an error */
struct col type_by_name(const char *name);                    /* of pg_catalog; COL_NONE: there is none */
/* 'name'::regclass and its like. */
bool reg_input(struct an *an, const char *text, struct col type, int32_t location, struct value *ret);
/* format_type without the modifier. */
const char *type_text(struct an *an, struct col c);
char type_category(uint16_t type);
bool type_preferred(uint16_t type);
bool type_is_unknown(struct col c);
bool type_same(struct col a, struct col b); /* but for typmods */
struct col type_plain(struct col c);        /* without the modifier */
/* What is stored for it: name -> text, regclass -> oid; others as they are. */
struct col type_lowered(struct col c);

/* ---- casts (coerce.c) ---------------------------------------------------------------------------------------------------- */

enum cast_path { CAST_NONE, CAST_RELABEL, CAST_CALL, CAST_IO, CAST_ARRAY };
enum cast_path cast_path(struct col from, struct col to, enum fn_cast_context context, const struct fn **ret);
bool can_coerce(struct col from, struct col to, enum fn_cast_context context);
/* To a type that can_coerce allows; without the typmod. */
struct expr *coerce_type(struct an *an, struct expr *e, struct col to, enum fn_cast_context context, int32_t location);
/* With the typmod; NULL without an error: there is no such cast. */
struct expr *coerce_to_target(struct an *an, struct expr *e, struct col to, enum fn_cast_context context,
                              int32_t location);
struct expr *retype(struct an *an, struct expr *e, int32_t typmod);
struct expr *coerce_boolean(struct an *an, struct expr *e, const char *what);
struct expr *coerce_int8(struct an *an, struct expr *e, const char *what);
/* COL_NONE: none; with what, that is an error (42804). */
struct col common_type(struct an *an, struct expr *const *e, uint32_t n, const char *what, uint32_t *ret_which);
struct expr *coerce_to_common(struct an *an, struct expr *e, struct col to, const char *what);
int32_t common_typmod(struct expr *const *e, uint32_t n, struct col common);
struct expr *assign_to_column(struct an *an, struct expr *e, const struct cat_column *c, int32_t location);

/* ---- functions (func.c) -------------------------------------------------------------------------------------------------- */

struct expr *make_op(struct scope *s, const char *op, const char *schema, struct expr *left, struct expr *right,
                     int32_t location);
/* The equality (or another operator) of two sides, which are coerced to its arguments. */
const struct fn *op_for(struct an *an, const char *op, struct expr **left, struct expr **right, int32_t location);
const struct fn *op_for_named(struct an *an, const char *op, const char *schema, struct expr **left,
                              struct expr **right, int32_t location);
/* Array operators: x op ANY (array). */
struct expr *make_array_op(struct scope *s, const char *op, const char *schema, bool all, struct expr *left,
                           struct expr *right, int32_t location);
struct expr *function_call(struct scope *s, const PQ(FuncCall) * f);
struct expr *call_named(struct scope *s, const char *name, struct expr **arg, uint32_t args, int32_t location);
/* The operator for two types: NULL without an error: none. For sorting and grouping. */
bool type_has_order(struct col c);
bool type_has_equality(struct col c);

/* ---- constants (fold.c) ---------------------------------------------------------------------------------------------------- */

/* e, or the constant that it is. */
struct expr *fold(struct an *an, struct expr *e);
/* The value of a literal; false: an error. */
bool literal_input(struct an *an, const char *text, struct col type, int32_t location, struct value *ret);

/* ---- clauses (clause.c) ------------------------------------------------------------------------------------------------------ */

bool group_clause(struct scope *s, const PQ(SelectStmt) * st);
bool sort_clause(struct scope *s, PQ(Node) *const *list, size_t n, bool set_operation);
bool distinct_clause(struct scope *s, const PQ(SelectStmt) * st);
bool limit_clause(struct scope *s, const PQ(SelectStmt) * st);
bool window_clause(struct scope *s);
struct window *window_of(struct scope *s, const PQ(WindowDef) * def);
bool aggregate_order(struct scope *s, PQ(Node) *const *list, size_t n, struct expr *agg, bool distinct);
bool expr_equal(const struct expr *a, const struct expr *b);

/* ---- aggregates (agg.c) -------------------------------------------------------------------------------------------------------- */

/* Is one allowed where the scope stands? */
bool aggregate_allowed(struct scope *s, const char *what, int32_t location);
bool window_allowed(struct scope *s, int32_t location);
bool set_allowed(struct scope *s, int32_t location);
bool check_grouping(struct scope *s);

/* Calls back for each expression below e (and e itself), into subqueries too (then levels counts). false stops. */
typedef bool expr_visit(void *ctx, struct expr *e, uint32_t levels);
bool expr_walk(struct expr *e, uint32_t levels, expr_visit *visit, void *ctx);
bool query_walk(struct query *q, uint32_t levels, expr_visit *visit, void *ctx);

/* An expression of the catalog, in a scope of its own, where rel (may be NULL) is all there is to see. */
struct expr *catalog_expression(struct scope *s, struct rel *rel, const char *sql, enum an_place place, bool boolean);

#endif
