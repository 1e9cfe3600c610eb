/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_internal.h: what a plan consists of, for the planner that makes it and the executor that runs it.
 *
 * A plan that gives rows (struct select) has up to three ways to run, chosen when the spans are known:
 *
 *     row      no table at all: programs on the gateway
 *     whole    one fragment with everything in it: joins, grouping, order. All spans must lie on one tablet.
 *     spread   one table, row by row: the same fragment on every tablet; the gateway counts LIMIT and OFFSET
 *     final    SQLite on the gateway over virtual tables, each fed by a source: a fragment with the filters of its table
 *
 * A plan that writes (struct dml) reads with a select and turns its rows into row images.
 *
 * Relies on   values known at run time being calcs: constants, parameters, programs over parameters, computed once a run.
 *             The ?k of a text are its slots: places in plan.calc.
 * Threads     the reactor's own.
 */
#ifndef MERIDIAN_SQL_PLAN_INTERNAL_H
#define MERIDIAN_SQL_PLAN_INTERNAL_H

#include <inttypes.h>

#include "shard/store/fragment.h"
#include "sql/functions/pgx.h"
#include "sql/plan/plan.h"
#include "truetime/base/map.h"
#include "txn/client.h"

enum {
    PLAN_KEY_CHOICES_MAX = 10000, /* keys that IN lists may multiply to; beyond, the key's beginning is used */
    PLAN_KEY_RANGES_MAX = 1000,
    PLAN_SOURCES_MAX = FRAGMENT_TABLES_MAX,
};

/* ---- values and programs ----------------------------------------------------------------------------------------- */

/* Where a program's argument comes from. */
enum arg_from { ARG_PARAM, ARG_NEW, ARG_READ, ARG_EXCLUDED };

struct prog_arg {
    enum arg_from from;
    uint32_t i;
};

struct prog {
    struct prog *next; /* of the plan, to be freed */
    struct pgx *pgx;
    struct prog_arg *arg;
    uint32_t args;
    struct col type;
};

enum calc_kind { CALC_CONST, CALC_PARAM, CALC_PROG };
enum calc_use { CALC_VALUE, CALC_LIMIT, CALC_OFFSET };

struct calc {
    enum calc_kind kind;
    enum calc_use use;
    struct col type;
    struct value value; /* CONST */
    uint32_t param;     /* PARAM: from 0 */
    struct prog *prog;
};

#define CALC_NONE UINT32_MAX

struct text {
    const char *sql; /* NULL: there is none */
    uint32_t *slot;
    uint32_t slots;
    struct fragment fragment;
};

/* ---- keys -------------------------------------------------------------------------------------------------------- */

struct key_bound {
    uint32_t calc; /* CALC_NONE: none */
    bool inclusive;
};

struct key_range {
    struct key_bound low, high;
};

/* What is known of one part of a key. */
struct key_cond {
    uint32_t *eq; /* one of these */
    uint32_t eqs;
    bool array; /* eq[0] is an array: one of its elements */
    struct key_bound low, high;
    struct key_range *any; /* or: within one of these */
    uint32_t anys;
};

struct keys {
    const struct table *table;
    struct key_cond part[TABLE_KEY_MAX];
    uint16_t parts; /* the first so many; only the last may be a range */
    bool never;     /* no row can match */
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The same fragment for some rows: behind its slots come the values of so many primary keys. */
enum { BY_KEYS_FORMS = 3 };
static const uint16_t by_keys_rows[BY_KEYS_FORMS] = {1, 16, 256};

/* Rows found through a global index: its rows are read by keys first, then the table's by primary key. */
struct lookup {
    const struct cat_index *index;
    struct keys keys;
    struct text text; /* gives primary keys */
};

enum { POINT_PARTS_MAX = 4, DRIVERS_MAX = 2 };

/* In a join: the values of the first columns of a source's key are those of another source's columns. */
struct driver {
    const struct rel *rel;
    uint32_t source; /* of rel */
    uint16_t parts;
    uint32_t col[POINT_PARTS_MAX];   /* of rel */
    struct text keys[BY_KEYS_FORMS]; /* the rows of so many such keys */
};

struct source {
    const struct rel *rel;
    const struct cat_table *table;
    bool virtual_rows; /* rows come from the gateway: pg_catalog and the like */
    bool locked;       /* its rows are about to be written, or FOR UPDATE */
    bool early;        /* to be read before WITH queries write */
    enum lock_mode lock;
    enum txn_wait wait;
    uint32_t number;  /* the virtual table is s<number> */
    uint32_t cols;    /* of the virtual table */
    uint32_t *fetch;  /* columns of rel in the order of the fragment's */
    uint32_t fetches; /* 0: rows are only counted */
    int32_t *place;   /* of rel's columns in a row; -1: not fetched */
    struct keys keys;
    const char *partial; /* what tablets do beforehand: "groups", "top", "distinct"; NULL: nothing */
    struct lookup *via;  /* NULL: by keys alone */
    struct text text;
    struct text by_keys[BY_KEYS_FORMS]; /* with via */
    /* In a join: rows by the first, the first two, ... columns of the key, whose values come behind the slots. */
    struct text point[POINT_PARTS_MAX];
    uint32_t key_col[TABLE_KEY_MAX]; /* the key's columns, of rel */
    struct driver driver[DRIVERS_MAX];
    uint32_t drivers;
    uint32_t equalities, filters; /* conditions that the tablets check: by one value, others */
    const char *shape;            /* the declaration of the virtual table */
};

/* How rows of a single-table query come out of many tablets. */
struct spread {
    struct text text;
    struct text by_keys[BY_KEYS_FORMS]; /* with via */
    bool ordered, reverse;
    /* Of a statement that writes: in the key's order, and the same for the rows behind a key, whose values come behind the
     * slots. So it can read some, write them, and go on. sql NULL: it cannot. */
    struct text after;
    uint32_t limit, offset; /* calcs */
};

/* A call of a function that gives rows, in the final stage. */
struct set_call {
    const struct fn *fn; /* NULL: the argument itself is the only row */
    struct fn_call types;
};

/* A text of the final stage that is run for each row it is joined to, with values of that row. */
enum { LATERAL_ARGS_FROM = 201 }; /* ?201 is the first of them */
struct lateral {
    struct text text;
    uint32_t args, cols;
    const char *shape; /* the declaration of the virtual table */
};

struct select {
    struct plan_column *column;
    uint32_t columns; /* of rows as they come out */
    /* Rows of programs: rows * columns. */
    bool is_rows;
    uint32_t *row; /* calcs */
    uint32_t rows;
    struct text whole;
    struct spread spread;
    struct text final;
    struct source *source;
    uint32_t sources;
    struct set_call *set;
    uint32_t sets;
    struct lateral *lateral;
    uint32_t laterals;
    bool only_final; /* something needs the gateway */
    bool keeps_rows; /* RIGHT and FULL joins: SQLite remembers rows by their rowid, so rows are read once and kept */
    const char *why_final; /* for EXPLAIN */
    enum lock_mode lock;
    enum txn_wait wait;
    /* SKIP LOCKED: rows are found without locks, their key behind the columns, and each is read again by its key, under its
     * lock, if nobody has it. spread.limit and offset count what remains. */
    struct select *found; /* NULL: no such thing */
    struct text again;
};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Where the new value of a column comes from. */
enum set_from { SET_KEEP, SET_READ, SET_PROG, SET_NULL };

struct set_col {
    enum set_from from;
    uint32_t place; /* READ: in the row read */
    struct prog *prog;
};

struct dml_rule {
    const char *name;
    bool computes; /* prog is the value of the generated column col */
    uint32_t col;
    const struct cat_index *index; /* the WHERE of a partial index; NULL: CHECK */
    struct prog *prog;
};

/* ON CONFLICT. Arguments of the programs: READ is the row that is there, EXCLUDED the one that was to be inserted. */
struct dml_conflict {
    bool update;
    bool any;                      /* whatever it is that it meets */
    const struct cat_index *index; /* NULL: the primary key */
    struct set_col *set;           /* one for each column */
    struct prog *where;            /* NULL: always */
};

struct dml {
    enum query_kind kind;
    const struct cat_table *table;
    struct select read;
    struct set_col *set; /* one for each column of the table: INSERT and UPDATE */
    bool key_changes;    /* UPDATE: a column of the key is set */
    bool reads_itself;   /* the rows are read from the table that is written: all of them, before the first write */
    struct dml_rule *rule;
    uint32_t rules;
    struct dml_conflict *conflict;
    struct fragment by_key;    /* the row of a primary key: all columns; ?1 .. are the key's values */
    struct fragment *by_index; /* for each global unique index: the primary key of its key's row */
    struct prog **returning;
    uint32_t returnings;
};

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

/* A WITH query that writes. */
struct plan_with {
    struct dml *dml;
    const struct cat_table *table; /* what it returns, to the others */
};

struct plan {
    uint32_t refs;
    struct arena arena;
    struct analysed analysed;
    enum query_kind kind;
    struct plan_column *column;
    uint32_t columns;
    bool read_only;
    struct calc *calc;
    uint32_t calcs;
    struct prog *progs;
    struct select select;   /* SELECT */
    struct dml *dml;        /* the others */
    struct plan_with *with; /* run before, in this order */
    uint32_t withs;
};

/* Is the value stored otherwise in the one than in the other (numeric)? */
bool plan_same_form(const struct col *a, const struct col *b);
/* Values of types of one class compare in SQLite as in PostgreSQL; 0: of no class. */
int plan_class(const struct col *c);

#endif
