/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ddl.h: changes of the catalog, and how they reach the tablets; shared by the files ddl*.c and nobody else.
 *
 * Promise     A change is rows of system.objects and descriptors on tablets, in the session's transaction: both are there after
 *             its commit, or neither. What a statement makes anew (CREATE TABLE, TRUNCATE, a rewritten table) gets a number that
 *             nobody knows before the catalog names it. In a transaction block such a table is made on the tablets at once,
 *             in a transaction of its own, so that the block can already write to it; if the block fails it is dropped again.
 *             A change of a table that is there is seen by its own block only after the commit: statements on it in the same
 *             block are refused until then by its tablets (RC_STALE), never misread.
 * Relies on   catalog/store.h (one change at a time in the whole cluster), client.h's txn_schema.
 * Threads     the store's own; large fibers.
 */
#ifndef MERIDIAN_SQL_DDL_H
#define MERIDIAN_SQL_DDL_H

#include "sql/run/sess_internal.h"

/* A table under construction: everything lies in the statement's arena, with room for more. */
struct draft {
    struct cat_table t;
    struct cat_column *column;
    struct cat_part *key;
    struct cat_index *index;
    struct cat_check *check;
    uint16_t columns_cap, indexes_cap, checks_cap;
    uint64_t store_id; /* of its rows */
    uint32_t store_version;
    const struct table *parent; /* interleaved in */
    uint32_t next_column;
    struct value *missing; /* of columns that are added; may be NULL */
    bool store_changed;    /* tablets must hear of it */
};

struct ddl {
    struct utility *u;
    struct sess *s;
    struct arena *a;          /* the statement's */
    const uint32_t *dropping; /* a DROP's relations: what depends on one of them alone does not stand in the way */
    size_t droppings;
};

enum { DDL_VIEW_BYTES_MAX = 512 << 10, DDL_FOREIGN_MAX = 64 };

/* May write, has a transaction, holds the catalog. */
enum rc ddl_begin(struct ddl *d, struct utility *u, const char *what, struct err *err) WAITS;
struct cat_view ddl_view(struct ddl *d);
int32_t ddl_at(const struct ddl *d, int32_t location);
/* err with the position of location. */
enum rc ddl_error(struct ddl *d, int32_t location, struct err *err, const char *state, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
enum rc ddl_nomem(struct err *err);
char *ddl_printf(struct ddl *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- drafts --------------------------------------------------------------------------------------------------------- */

/* From a table, or blank; room for so many more. */
enum rc draft_begin(struct ddl *d, struct draft *f, const struct cat_table *from, size_t columns, size_t indexes,
                    size_t checks, struct err *err);
/* Its descriptors, made and counted. */
enum rc draft_table(struct ddl *d, struct draft *f, struct cat_table **ret, struct err *err);
enum rc draft_store(struct ddl *d, const struct draft *f, struct table **ret, struct err *err);
enum rc draft_index_store(struct ddl *d, const struct draft *f, const struct cat_index *x, uint64_t id,
                          uint32_t version, struct table **ret, struct err *err);
int draft_column(const struct draft *f, const char *name);
/* "t_a_b_key", "t_a_b_key1", ... : what no relation of the schema is called. */
enum rc ddl_free_name(struct ddl *d, const struct draft *f, const char *base, const char *columns, const char *label,
                      char ret[static CAT_NAME_BYTES_MAX + 1], struct err *err);
/* Is the name taken by a table, sequence or index of the schema? 42P07. */
enum rc ddl_name_free(struct ddl *d, uint32_t schema, const char *name, struct err *err);

/* ---- writing -------------------------------------------------------------------------------------------------------- */

enum rc ddl_put(struct ddl *d, const struct cat_object *o, struct err *err) WAITS;
enum rc ddl_put_table(struct ddl *d, const struct cat_object *was, const struct cat_table *t, uint32_t schema,
                      struct err *err) WAITS;
enum rc ddl_drop_object(struct ddl *d, const struct cat_object *o, struct err *err) WAITS;
/* A table of keys that is new: on its tablets with this transaction, or at once (see above; always: early). */
enum rc ddl_make_store(struct ddl *d, const struct table *t, bool early, struct err *err) WAITS;
/* WITH (placement): where the rows of a table that has just been made, or of an index of it, are to be. 42704. Not undone if the
 * transaction fails: then nobody asks for that number any more. */
enum rc ddl_place(struct ddl *d, const char *placement, const struct table *store, struct err *err) WAITS;
enum rc ddl_change_store(struct ddl *d, const struct table *t, bool drop, struct err *err) WAITS;
/* A table with its indexes, sequences of its own, and the rows on tablets. */
enum rc ddl_drop_table(struct ddl *d, uint32_t id, struct err *err) WAITS;

/* Copies rows of `from`, as they are now, to another table of keys: column[i] of `to` is taken from the place in `from`, or is
 * made by fill where that is negative. The caller has locked `from`. on_unique: a duplicate key's error. */
struct ddl_copy {
    const struct table *from, *to;
    const int *column; /* to->n_cols of them */
    enum rc (*fill)(void *ctx, uint16_t column, struct value *ret);
    /* The same from the whole row of `from`; set: instead of fill. */
    enum rc (*fill_row)(void *ctx, const struct value *from, uint16_t column, struct arena *a, struct value *ret,
                        struct err *err);
    /* RC_SQL: the row must not be. keep false: it is left out. */
    enum rc (*check)(void *ctx, const struct value *row, bool *ret_keep, struct err *err);
    enum rc (*duplicate)(void *ctx, const struct value *row, struct err *err);
    void *ctx;
    const char *what; /* for notices */
};
enum rc ddl_copy_rows(struct ddl *d, const struct ddl_copy *c, uint64_t *ret_rows, struct err *err) WAITS;

/* ---- expressions ------------------------------------------------------------------------------------------------------ */

/* An expression as text. */
enum rc ddl_deparse(struct ddl *d, const PgQuery__Node *node, const char **ret, struct err *err) WAITS;
/* A whole statement. */
enum rc ddl_deparse_statement(struct ddl *d, const PgQuery__Node *node, const char **ret, struct err *err) WAITS;
enum rc ddl_analyse_in(struct ddl *d, struct analyse_in *ret, struct err *err) WAITS;

/* ---- statements ------------------------------------------------------------------------------------------------------- */

enum rc ddl_create_table(struct ddl *d, const PgQuery__CreateStmt *c, struct err *err) WAITS;
enum rc ddl_alter_table(struct ddl *d, const PgQuery__AlterTableStmt *a, struct err *err) WAITS;
enum rc ddl_rename(struct ddl *d, const PgQuery__RenameStmt *r, struct err *err) WAITS;
enum rc ddl_create_index(struct ddl *d, const PgQuery__IndexStmt *x, struct err *err) WAITS;
/* Nobody writes to it until the transaction ends. */
enum rc ddl_lock_table(struct ddl *d, const struct table *t, struct err *err) WAITS;
enum rc ddl_add_unique(struct ddl *d, const struct cat_object *table, const PgQuery__Constraint *k,
                       struct err *err) WAITS;
enum rc ddl_drop_index(struct ddl *d, const struct cat_object *table, uint16_t index, struct err *err) WAITS;
enum rc ddl_truncate(struct ddl *d, const PgQuery__TruncateStmt *t, struct err *err) WAITS;
enum rc ddl_create_sequence(struct ddl *d, const PgQuery__CreateSeqStmt *c, struct err *err) WAITS;
enum rc ddl_alter_sequence(struct ddl *d, const PgQuery__AlterSeqStmt *c, struct err *err) WAITS;
enum rc ddl_new_sequence(struct ddl *d, const struct cat_schema *schema, const char *name, enum col_type type,
                         PgQuery__Node *const *option, size_t options, uint32_t owner_table, uint32_t owner_column,
                         uint32_t *ret_id, struct err *err) WAITS;
enum rc ddl_create_role(struct ddl *d, const PgQuery__CreateRoleStmt *c, struct err *err) WAITS;
enum rc ddl_alter_role(struct ddl *d, const PgQuery__AlterRoleStmt *c, struct err *err) WAITS;
enum rc ddl_drop_role(struct ddl *d, const PgQuery__DropRoleStmt *c, struct err *err) WAITS;
/* The role that a RoleSpec names. 42704. */
enum rc ddl_role(struct ddl *d, const PgQuery__RoleSpec *r, uint32_t *ret, struct err *err);

/* An expression that the catalog keeps: its tree, and how to analyse it (positions mean its own text). */
enum rc ddl_parse_kept(struct ddl *d, const char *sql, struct analyse_in *in, const PgQuery__Node **ret,
                       struct err *err) WAITS;
/* The column is computed from the others of its row. */
enum rc draft_generate(struct ddl *d, struct draft *f, int place, const PgQuery__Node *node, int32_t location,
                       struct err *err) WAITS;
/* *ret: a column that is computed from this one, or -1. */
enum rc ddl_generated_by(struct ddl *d, const struct cat_table *t, int column, int *ret, struct err *err) WAITS;
const char *ddl_expression_name(struct ddl *d, const struct cat_column *c);
/* Elements of an index that are expressions become hidden columns' names; the table is written anew for each that is new. */
enum rc ddl_index_expressions(struct ddl *d, const PgQuery__RangeVar *r, PgQuery__Node **column, size_t columns,
                              struct err *err) WAITS;
/* Writes the table anew with e, over the old columns, as the value of the draft's column at place (an old one or a new last one). */
enum rc ddl_rewrite(struct ddl *d, struct draft *f, const struct cat_table *from, uint32_t schema, int place,
                    struct col type, const struct expr *e, struct err *err) WAITS;
/* ALTER COLUMN TYPE: the draft is the table's, and is written. */
enum rc ddl_column_type(struct ddl *d, struct draft *f, const struct cat_table *from, uint32_t schema,
                        const PgQuery__AlterTableCmd *c, struct err *err) WAITS;

/* ---- foreign keys (ddl_foreign.c) ---------------------------------------------------------------------------------------- */

/* column: names of this table's columns. */
enum rc draft_add_foreign(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, PgQuery__Node *const *column,
                          size_t columns, struct err *err) WAITS;
enum rc draft_column_generated(struct ddl *d, struct draft *f, const PgQuery__ColumnDef *c, struct err *err) WAITS;
/* Those that stand behind a column's definition. */
enum rc draft_column_foreign(struct ddl *d, struct draft *f, const PgQuery__ColumnDef *c, struct err *err) WAITS;
/* Do the rows that are there keep it? Both tables are locked from now on. 23503. */
enum rc ddl_check_foreign(struct ddl *d, const struct cat_table *child, const struct cat_foreign_key *k,
                          struct err *err) WAITS;
/* Tables that the keys from the first on refer to hear of it. */
enum rc ddl_renew_parents(struct ddl *d, const struct cat_table *t, uint16_t first, struct err *err) WAITS;
/* A table whose key refers to t: to a column of it (>= 0), by way of a unique index of it or of its primary key; or any other table
 * that does. *ret NULL: none; else a reference. */
enum rc ddl_referring(struct ddl *d, const struct cat_table *t, int column, const struct cat_index *index, bool primary,
                      struct cat_object **ret, const struct cat_foreign_key **ret_key, struct err *err) WAITS;
/* Is it by this unique index (NULL: the primary key) that the key's columns are known to be unique? */
bool ddl_key_rests_on(const struct cat_foreign_key *k, const struct cat_table *parent, const struct cat_index *x);
enum rc ddl_drop_foreign(struct ddl *d, const struct cat_object *o, const char *name, struct err *err) WAITS;
/* 2BP01 if keys refer to t by way of the index (or to the column); cascade: they go. */
enum rc ddl_unrefer(struct ddl *d, const struct cat_table *t, int column, const struct cat_index *index,
                    const char *what, const char *name, bool cascade, struct err *err) WAITS;

enum rc ddl_create_as(struct ddl *d, const PgQuery__Node *query, const PgQuery__IntoClause *into, bool if_not_exists,
                      struct err *err) WAITS;
enum rc ddl_select_into(struct ddl *d, const PgQuery__SelectStmt *s, struct err *err) WAITS;

/* The statement under way is a CREATE VIEW. */
enum rc ddl_create_view(struct ddl *d, struct err *err) WAITS;
/* Views that read a table or view, by way of other views too, with references; column: only those that read that one, -1: any. */
enum rc ddl_views_of(struct ddl *d, uint32_t id, int column, struct cat_list *ret, struct err *err) WAITS;
/* 0A000 where a view reads the column; what: in these words. */
enum rc ddl_column_free(struct ddl *d, const struct cat_table *t, int column, const char *what, struct err *err) WAITS;
/* Before a table gets another name: views that read it go on doing so. */
enum rc ddl_views_follow(struct ddl *d, const struct cat_table *t, const char *to, struct err *err) WAITS;
enum rc ddl_rename_view(struct ddl *d, const struct cat_object *o, const char *to, struct err *err) WAITS;
/* The view goes: gateways that know it hear of that. */
enum rc ddl_forget_view(struct ddl *d, const struct cat_table *t, struct err *err) WAITS;
/* A new version of a table that is otherwise as it was: plans with the old one are told so. */
enum rc ddl_renew_table(struct ddl *d, uint32_t id, struct err *err) WAITS;

/* An index of a constraint or of CREATE INDEX, added to the draft; filled from the table that is there (from). */
struct index_spec {
    const char *name; /* NULL: to be chosen */
    bool unique, constraint, nulls_not_distinct, local, primary;
    PgQuery__Node *const *column; /* String or IndexElem nodes */
    size_t columns;
    PgQuery__Node *const *include;
    size_t includes;
    const PgQuery__Node *where;
    int32_t location;
};
enum rc draft_add_index(struct ddl *d, struct draft *f, const struct index_spec *spec, struct cat_index **ret,
                        struct err *err) WAITS;
enum rc draft_fill_index(struct ddl *d, const struct draft *f, const struct cat_table *from, const struct cat_index *x,
                         struct err *err) WAITS;
enum rc draft_add_check(struct ddl *d, struct draft *f, const PgQuery__Constraint *c, struct err *err) WAITS;
/* One column of CREATE TABLE or ADD COLUMN, with what stands behind it; constraints on keys are left to the caller. */
enum rc draft_add_column(struct ddl *d, struct draft *f, const PgQuery__ColumnDef *c, const struct cat_schema *schema,
                         struct err *err) WAITS;
/* GENERATED ... AS IDENTITY for a column of the draft, with its sequence. */
enum rc draft_identity(struct ddl *d, struct draft *f, struct cat_column *c, const PgQuery__Constraint *k,
                       const struct cat_schema *schema, struct err *err) WAITS;
/* DEFAULT's expression, checked against the column's type, as text. ret_expr may be NULL. */
enum rc ddl_default(struct ddl *d, const struct cat_column *c, const PgQuery__Node *node, const char **ret,
                    struct expr **ret_expr, struct err *err) WAITS;
char *ddl_quote(struct ddl *d, const char *name);                         /* as an identifier; NULL: no memory */
char *ddl_qualified(struct ddl *d, const char *schema, const char *name); /* NULL: no memory */
char *ddl_sequence_default(struct ddl *d, const char *name);              /* nextval of a qualified name */
enum rc draft_hidden_key(struct ddl *d, struct draft *f, struct err *err);
enum rc ddl_key_of(struct ddl *d, struct draft *f, PgQuery__Node *const *column, size_t n, const char *name,
                   int32_t location, struct err *err);

#endif
