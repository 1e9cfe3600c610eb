/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn.h: the functions and operators of SQL: what they are called, what they take and give, and the C that does it.
 *
 * One table (fn_*.c each bring a part of it) is what the analyser resolves names in, what pgx programs call, and what
 * pg_proc and pg_operator are made of. An operator is a name for a function: "+" of (int4, int4) is int4pl.
 *
 * Promise     A function computes what PostgreSQL 15's does, for the same arguments, on every replica and gateway (immutable
 *             ones are a pure function of their arguments); errors carry PostgreSQL's SQLSTATE and words. Ids are never
 *             renumbered: programs with them lie in the catalog and travel between versions.
 * Relies on   values in the forms of value.h, with one exception inside of programs: numeric is always in its canonical
 *             text form there (programs convert at columns that store it scaled).
 * Threads     the reactor's own; implementations never wait.
 * Source      PostgreSQL 15, chapter 9 "Functions and Operators", chapter 10 "Type Conversion".
 */
#ifndef MERIDIAN_SQL_FN_H
#define MERIDIAN_SQL_FN_H

#include "sql/types/types.h"
#include "truetime/base/arena.h"

enum {
    FN_ARGS_MAX = 100,
    FN_ARG_TYPES = 7,                /* that a row of the table names */
    FN_RESULT_BYTES_MAX = 256 << 20, /* of one value that a function makes */
};

/* Types of arguments and results, beyond enum col_type: resolved by the analyser (PostgreSQL's pseudo-types). */
enum fn_pseudo {
    FN_ANY = 200,     /* any type, taken as it is */
    FN_ANYELEMENT,    /* all of one type */
    FN_ANYARRAY,      /* an array of that type */
    FN_ANYCOMPATIBLE, /* all of a common type */
    FN_UNKNOWN,       /* a literal that has no type yet */
    FN_RECORD,
    FN_VOID,
    /* The name family: text with PostgreSQL's other names for it, for pg_catalog. */
    FN_NAME,
    FN_REGCLASS,
    FN_REGTYPE,
    FN_REGPROC,
    FN_REGNAMESPACE,
    FN_REGROLE,
    FN_ANYCOMPATIBLEARRAY, /* an array of the common type */
    FN_ANYNONARRAY,        /* any type but an array */
};

/* An array of a type, in fn.arg and fn.ret. */
#define FN_ARRAY_OF(t) ((uint16_t)(COL_ARRAY | (t) << 8))

enum fn_volatility { FN_IMMUTABLE, FN_STABLE, FN_VOLATILE };

/* What a call may use besides its arguments. */
struct fn_env {
    struct arena *arena; /* results lie here; dropped after the row */
    /* Microseconds since 2000-01-01 UTC. */
    int64_t now_us;       /* the transaction's start: now() */
    int64_t statement_us; /* statement_timestamp() */
    /* TimeZone and the like, for text forms and for what depends on the zone; never NULL. */
    const struct type_session *types;
    struct fn_regexes *regexes; /* compiled patterns (fn_regexes_new), or NULL */
    uint64_t (*random)(void *ctx);
    int64_t (*clock_us)(void *ctx); /* clock_timestamp(), in the same units */
    /* Session functions (current_user, nextval, txid, set_config...): by function id; NULL where there is no session, and then
     * the analyser has not let them in. */
    enum rc (*session)(void *ctx, uint32_t fn, const struct value *arg, size_t args, struct value *ret,
                       struct err *err) WAITS;
    void *ctx;
};

/* The types of this very call, for functions whose work depends on them. */
struct fn_call {
    const struct col *arg; /* n of them */
    struct col ret;
};

/* A cache of compiled regular expressions, of one user at a time. */
struct fn_regexes *fn_regexes_new(void); /* NULL: no memory; then there is no cache */
void fn_regexes_free(struct fn_regexes *c);

struct fn;

/* An aggregate's work. The state is bytes that begin as zeros; what it points to lies in an arena of the aggregate's own, given
 * as env->arena in step, merge and inverse (final and save get one that is dropped after the call). Arguments come in the
 * storage form of call->arg, results go in that of call->ret: unlike in programs, numeric(p <= 18, s) is a scaled integer here.
 * final and save may be called more than once for a state, with steps in between. A strict aggregate is not called for a row
 * with a NULL argument. */
struct fn_agg {
    size_t state_bytes;
    enum rc (*step)(const struct fn_env *env, const struct fn_call *call, void *state, const struct value *arg,
                    size_t args, struct err *err);
    /* Takes a row out again, for window frames; NULL: the frame is computed anew. */
    enum rc (*inverse)(const struct fn_env *env, const struct fn_call *call, void *state, const struct value *arg,
                       size_t args, struct err *err);
    enum rc (*final)(const struct fn_env *env, const struct fn_call *call, void *state, struct value *ret,
                     struct err *err);
    /* A part of the rows, as one value that travels, and its way into another state; NULL: it cannot be split. */
    enum rc (*save)(const struct fn_env *env, const struct fn_call *call, void *state, struct value *ret,
                    struct err *err);
    enum rc (*merge)(const struct fn_env *env, const struct fn_call *call, void *state, const struct value *part,
                     struct err *err);
};

typedef enum rc fn_impl(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t args,
                        struct value *ret, struct err *err);

enum fn_kind { FN_SCALAR, FN_AGGREGATE, FN_WINDOW, FN_SET };

struct fn {
    uint32_t id;      /* > 0, for ever */
    uint32_t oid;     /* the same number: PostgreSQL's where it has one, else one of 12000 .. 16383 */
    const char *name; /* "lower" */
    const char *op;   /* "||" where an operator calls it; else NULL */
    uint8_t args;     /* fixed ones */
    bool variadic;    /* the last one repeats */
    bool strict;      /* NULL in, NULL out, without a call */
    uint8_t kind;     /* enum fn_kind; SET gives rows (fn_set_open); WINDOW: SQLite's own */
    bool session;     /* through fn_env.session */
    uint8_t volatility;
    uint16_t arg[FN_ARG_TYPES]; /* enum col_type or fn_pseudo; further ones are as the last (fn_arg_type) */
    uint16_t ret;
    uint16_t second; /* SET: the type of a second column of its rows; 0: there is none */
    fn_impl *impl;
    const struct fn_agg *agg; /* AGGREGATE */
};

/* What a column of its rows is called, where PostgreSQL gives it a name: "key", "value"; NULL: it has the function's. */
const char *fn_set_column(const struct fn *f, int column);
/* The declared type of the i-th argument (from 0): of a variadic function any number has one. */
uint16_t fn_arg_type(const struct fn *f, size_t i);

/* ---- looking up ------------------------------------------------------------------------------------------------- */

/* All functions of a name, or of an operator's, in the table's order: begin with at = 0, until NULL. Names that begin with '$'
 * are the compiler's own and no user's. */
const struct fn *fn_by_name(const char *name, size_t *at);
const struct fn *fn_by_op(const char *op, size_t *at);
const struct fn *fn_by_id(uint32_t id); /* NULL: unknown here (a newer version's) */
size_t fn_count(void);
const struct fn *fn_at(size_t i);

/* ---- functions that give rows -------------------------------------------------------------------------------------- */

struct fn_rows;
/* f: FN_SET. Arguments as in a program (numeric: text), copied. */
enum rc fn_set_open(const struct fn_env *env, const struct fn *f, const struct fn_call *call, const struct value *arg,
                    size_t args, struct fn_rows **ret, struct err *err) MUST_CHECK;
/* The next row's value (numeric: text); it lies in env->arena or with the rows. *ret_end: there was none. */
enum rc fn_set_next(struct fn_rows *r, const struct fn_env *env, struct value *ret, bool *ret_end,
                    struct err *err) MUST_CHECK;
/* The second column of the row that fn_set_next gave. */
struct value fn_set_second(const struct fn_rows *r);
void fn_set_close(struct fn_rows *r); /* NULL is fine */

/* ---- what the compiler of expressions needs ------------------------------------------------------------------------ */

enum fn_internal_id {
    FN_ID_TYPE_IO = 12001, /* any -> any, by way of text */
    FN_ID_ARRAY,           /* ARRAY[...] of call->ret */
    FN_ID_SUBSCRIPT,       /* array, int4, ... */
    FN_ID_GREATEST,
    FN_ID_LEAST,
    FN_ID_BPCHAR,        /* text -> char: without the blanks at its end */
    FN_ID_RELABEL_ARRAY, /* an array whose elements' type has another name only */
    FN_ID_FIT,           /* to call->ret's modifier, as an assignment does; not for numeric that is stored scaled */
    FN_ID_CUT,           /* the same, as a cast does: text is cut */
    FN_ID_SLICE,         /* array, then for each dimension int4, int4: from, to */
};

/* An array of n values of one type, each as in a program. RC_UNSUPPORTED, RC_NOMEM, 22P03. */
enum rc fn_array_of(struct arena *a, const struct col *elem, const struct value *v, size_t n, struct value *ret,
                    struct err *err) MUST_CHECK;

/* ---- casts ------------------------------------------------------------------------------------------------------- */

enum fn_cast_context { FN_CAST_IMPLICIT, FN_CAST_ASSIGNMENT, FN_CAST_EXPLICIT };

struct fn_cast {
    uint16_t from, to; /* enum col_type */
    uint8_t context;   /* the weakest in which it happens */
    uint32_t fn;       /* 0: the bytes are the same */
};

/* NULL: there is none (the analyser then thinks of text input and output). */
const struct fn_cast *fn_cast_find(uint16_t from, uint16_t to);

/* Categories and preferred types decide which function is meant (section 10.3): 'N', 'S', 'D', ... */
char fn_category(uint16_t type);
bool fn_preferred(uint16_t type);

/* < 0, 0, > 0 as the type's < and = say; neither is NULL. In the storage form of c. Damaged values have some order. */
int fn_value_compare(const struct col *c, const struct value *a, const struct value *b);

#endif
