/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgx.h: scalar expressions as small programs, run by one runtime: on the gateway (constants, defaults, CHECK), in fragments
 * (the SQL function pgx(program, column, ...)) and in aggregates.
 *
 * SQLite's own expressions mean other things than PostgreSQL's, and its parser stops at about thirty nested calls; a whole
 * expression as one call is exact and has no such limit.
 *
 * Promise     A program computes what its expression says, with three-valued logic and short circuits where PostgreSQL
 *             promises them (CASE, COALESCE). It is bytes: versioned, checked once when it is loaded (registers, jumps only
 *             forwards, function ids, types), so that bytes from anywhere either run safely or are refused. Every program
 *             ends: there are no backward jumps.
 * Relies on   fn.h.
 * Threads     a loaded program is read-only; a pgx_run belongs to one fiber.
 *
 * Bytes: pgx.c. In short: registers hold values; instructions read and write them.
 *
 *     ARG r, i        argument i                     CONST r, k     constant k
 *     CALL r, f, n    function f of r .. r+n-1       MOVE r, s
 *     ANY r, f, x     x op ANY (array in x+1)        JUMP t
 *     JUMP_TRUE r, t                                 JUMP_FALSE r, t  (NULL: falls through)   JUMP_NULL r, t
 *     AND OR NOT ISNULL                              SCALE r, s     a column's integer to numeric   UNSCALE: back
 *     FAIL state, message                            RETURN r
 *
 * Inside of a program a numeric is its canonical text, whatever the type of the column it came from.
 */
#ifndef MERIDIAN_SQL_PGX_H
#define MERIDIAN_SQL_PGX_H

#include <sqlite3.h>

#include "sql/functions/fn.h"
#include "truetime/base/buf.h"

enum { PGX_VERSION = 1, PGX_BYTES_MAX = 1 << 20, PGX_REGISTERS_MAX = 4096, PGX_ARGS_MAX = 2000 };

struct pgx; /* a loaded program */

/* ---- writing one ----------------------------------------------------------------------------------------------- */

struct pgx_builder;

struct pgx_builder *pgx_builder_new(struct arena *a); /* NULL: no memory */
/* Registers are given out in order; calls want theirs side by side. */
uint16_t pgx_reg(struct pgx_builder *b, uint16_t count);
/* This one and those given out after it are free again. */
void pgx_reg_drop(struct pgx_builder *b, uint16_t first);
void pgx_arg(struct pgx_builder *b, uint16_t r, uint16_t arg);
void pgx_const(struct pgx_builder *b, uint16_t r, const struct value *v);
void pgx_move(struct pgx_builder *b, uint16_t r, uint16_t from);
void pgx_call(struct pgx_builder *b, uint16_t r, const struct fn *f, uint16_t first, uint16_t args,
              const struct fn_call *types);
/* x op ANY (array): the left side in first, the array in first + 1; all: op ALL. types: of the operator's two arguments and
 * its result, boolean. */
void pgx_any(struct pgx_builder *b, uint16_t r, const struct fn *f, uint16_t first, bool all,
             const struct fn_call *types);
/* Jumps forwards: to be placed later. */
uint32_t pgx_jump(struct pgx_builder *b);
uint32_t pgx_jump_true(struct pgx_builder *b, uint16_t r);
uint32_t pgx_jump_false(struct pgx_builder *b, uint16_t r);
uint32_t pgx_jump_null(struct pgx_builder *b, uint16_t r);
void pgx_place(struct pgx_builder *b, uint32_t jump);
void pgx_and(struct pgx_builder *b, uint16_t r, uint16_t x, uint16_t y);
void pgx_or(struct pgx_builder *b, uint16_t r, uint16_t x, uint16_t y);
void pgx_not(struct pgx_builder *b, uint16_t r, uint16_t x);
void pgx_is_null(struct pgx_builder *b, uint16_t r, uint16_t x);
/* From and to what a column numeric(p <= 18, s) stores: col_numeric_is_int. */
void pgx_scale(struct pgx_builder *b, uint16_t r, uint16_t x, const struct col *c);
void pgx_unscale(struct pgx_builder *b, uint16_t r, uint16_t x, const struct col *c);
void pgx_fail(struct pgx_builder *b, const char *state, const char *message);
void pgx_return(struct pgx_builder *b, uint16_t r);
/* The bytes, in the builder's arena. RC_NOMEM, RC_LIMIT. */
enum rc pgx_finish(struct pgx_builder *b, const void **ret, size_t *ret_bytes, struct err *err) MUST_CHECK;

/* ---- running --------------------------------------------------------------------------------------------------- */

/* Checks the bytes and makes them ready; a copy. RC_CORRUPT, RC_UNSUPPORTED (a newer version's), RC_NOMEM. */
enum rc pgx_load(const void *bytes, size_t n, struct pgx **ret, struct err *err) MUST_CHECK;
void pgx_free(struct pgx *p);
size_t pgx_args(const struct pgx *p);
/* *ret lies in env->arena, or is an argument's. */
enum rc pgx_run(const struct pgx *p, const struct fn_env *env, const struct value *arg, struct value *ret,
                struct err *err) WAITS MUST_CHECK;

/* ---- in SQLite ---------------------------------------------------------------------------------------------------- */

/* What an aggregate's call is, for pgagg and pgwin. */
struct pgx_order {
    struct col type;
    bool desc, nulls_first;
};
struct pgx_agg {
    struct fn_call call;
    size_t args;
    bool distinct;
    size_t orders; /* ORDER BY inside of the call */
    const struct pgx_order *order;
};
/* As bytes. RC_NOMEM. */
enum rc pgx_agg_spec(struct arena *a, const struct pgx_agg *agg, struct value *ret) MUST_CHECK;
/* The same for a plain call. */
enum rc pgx_types(struct arena *a, const struct fn_call *call, size_t args, struct value *ret) MUST_CHECK;

enum pgx_mode { PGX_WHOLE, PGX_PART, PGX_MERGE, PGX_MERGE_PART };

/* Registers on a handle:
 *
 *     pgx(program, argument, ...)                       the program is loaded once per statement
 *     pgxv(program, argument, ...)                      the same for a program with something volatile in it
 *     pgagg(fn, spec, mode, argument, ..., key, ...)    an aggregate by its id; spec: pgx_agg_spec; mode PGX_WHOLE: rows to the
 *                                                       result; PART: rows to a part (fn_agg.save); MERGE: parts to the result;
 *                                                       MERGE_PART: parts to a part. The keys are those of ORDER BY. Arguments
 *                                                       and result are in the storage form of the spec's types. DISTINCT is the
 *                                                       spec's, not SQLite's. Over no row at all the result is NULL, also of
 *                                                       count, which SQLite's own does better.
 *     pgwin(fn, spec, 0, argument, ...) OVER (...)      the same over a window, any frame
 *
 * Errors reach the caller of step as text (shard/store/ext.h) that pgx_sqlite_error turns back into a struct err. env must outlive
 * the handle; what is in it may change between statements. env->arena is not used: each handle has its own. */
enum rc pgx_register(sqlite3 *db, const struct fn_env *env, struct err *err) MUST_CHECK;
/* After SQLITE_ERROR: the err that a program raised, or false. */
bool pgx_sqlite_error(sqlite3 *db, struct err *ret);

/* For tablets: mvcc_store_add_ext(store, pgx_ext_open, x) gives each handle the functions above, with an environment that has
 * no session and the time zone UTC: only what is immutable may be sent there (expr_volatility). */
struct pgx_ext;
struct pgx_ext *pgx_ext_new(void); /* NULL: no memory */
void pgx_ext_free(struct pgx_ext *x);
enum rc pgx_ext_open(sqlite3 *db, void *x, struct err *err) MUST_CHECK;

#endif
