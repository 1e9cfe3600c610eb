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
 * Bytes: docs/formats.md. In short: registers hold values; instructions read and write them.
 *
 *     ARG r, i        argument i                     CONST r, k     constant k
 *     CALL r, f, n    function f of r .. r+n-1       MOVE r, s
 *     JUMP t          JUMP_TRUE r, t                 JUMP_FALSE r, t  (NULL: falls through)   JUMP_NULL r, t
 *     AND OR NOT ISNULL                              SCALE r, s      a scaled integer to numeric   UNSCALE r, p, s
 *     FAIL state, message                            RETURN r
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
void pgx_arg(struct pgx_builder *b, uint16_t r, uint16_t arg);
void pgx_const(struct pgx_builder *b, uint16_t r, const struct value *v);
void pgx_move(struct pgx_builder *b, uint16_t r, uint16_t from);
void pgx_call(struct pgx_builder *b, uint16_t r, const struct fn *f, uint16_t first, uint16_t args,
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
void pgx_scale(struct pgx_builder *b, uint16_t r, uint16_t x, int scale); /* column's integer -> numeric */
void pgx_unscale(struct pgx_builder *b, uint16_t r, uint16_t x, int precision, int scale);
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

/* Registers pgagg(fn, types BLOB, mode, ...) beside it: an aggregate (and, where it has inverse, a window function) by its id.
 * mode 0: rows to the result; 1: rows to a part (fn_agg.save); 2: parts to the result. types: pgx_types. */
/* Registers pgx(program BLOB, ...) on a handle: the program is loaded once per statement. Errors reach the caller of step as
 * text that pgx_sqlite_error turns back into a struct err. env must outlive the handle. */
enum rc pgx_register(sqlite3 *db, const struct fn_env *env, struct err *err) MUST_CHECK;
/* The types of a call as bytes. RC_NOMEM. */
enum rc pgx_types(struct arena *a, const struct fn_call *call, size_t args, struct value *ret) MUST_CHECK;
/* After SQLITE_ERROR: the err that a program raised, or false. */
bool pgx_sqlite_error(sqlite3 *db, struct err *ret);

#endif
