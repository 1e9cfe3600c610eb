/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgx_internal.h: the bytes of a program, which pgx_build.c writes and pgx.c reads.
 *
 * Promise     A change of what is said here is a new PGX_VERSION: programs lie in the catalog.
 * Relies on   pgx.h.
 * Threads     any.
 *
 * Integers are little-endian:
 *
 *     0   2  "PX"
 *     2   1  version (1)
 *     3   1  zero
 *     4   2  arguments
 *     6   2  registers
 *     8   2  constants
 *    10   2  instructions
 *    12      constants: kind (1); INT, REAL: 8; TEXT, BLOB: length (4), bytes
 *            instructions: op (1), then operands of 2 bytes each unless said:
 *            ARG r i   CONST r k   MOVE r x   NOT r x   ISNULL r x   AND r x y   OR r x y
 *            SCALE r x typmod(4)   UNSCALE r x typmod(4)
 *            CALL r first n fn(4), then n + 1 types (the result's last)
 *            ANY r first all fn(4), then 3 types
 *            JUMP t   JUMP_TRUE r t   JUMP_FALSE r t   JUMP_NULL r t     t: the number of a later instruction
 *            FAIL k m   constants: SQLSTATE and message      RETURN r
 *            a type: type (1), elem (1), typmod (4), type id (4)
 */
#ifndef MERIDIAN_SQL_PGX_INTERNAL_H
#define MERIDIAN_SQL_PGX_INTERNAL_H

#include "sql/functions/pgx.h"

enum pgx_op {
    OP_ARG = 1,
    OP_CONST,
    OP_MOVE,
    OP_CALL,
    OP_ANY,
    OP_JUMP,
    OP_JUMP_TRUE,
    OP_JUMP_FALSE,
    OP_JUMP_NULL,
    OP_AND,
    OP_OR,
    OP_NOT,
    OP_ISNULL,
    OP_SCALE,
    OP_UNSCALE,
    OP_FAIL,
    OP_RETURN,
    OP_END
};

enum { PGX_HEAD_BYTES = 12, PGX_CODE_MAX = 65535 };

void pgx_put_col(struct buf *b, const struct col *c);
/* RC_CORRUPT */
enum rc pgx_load_col(struct rd *r, struct col *ret, struct err *err) MUST_CHECK;
/* Are these types ones that f takes? RC_CORRUPT */
enum rc pgx_check_types(const struct fn *f, const struct fn_call *call, size_t args, struct err *err) MUST_CHECK;

/* What a value must be for a function that trusts its type. */
enum pgx_want { WANT_ANY, WANT_INT, WANT_BOOL, WANT_TEXT, WANT_BLOB, WANT_FLOAT, WANT_BLOB16 };
/* scaled: a numeric(p <= 18, s) is an integer, as it is stored (aggregates), not text (programs). */
enum pgx_want pgx_want_of(const struct col *c, bool scaled);
static inline bool pgx_fits(enum pgx_want want, const struct value *v) {
    switch (want) {
    case WANT_ANY:
        return true;
    case WANT_INT:
        return v->kind == VALUE_INT;
    case WANT_BOOL:
        return v->kind == VALUE_INT && (uint64_t)v->i <= 1;
    case WANT_TEXT:
        return v->kind == VALUE_TEXT;
    case WANT_BLOB:
        return v->kind == VALUE_BLOB;
    case WANT_FLOAT:
        return v->kind == VALUE_REAL || (v->kind == VALUE_BLOB && v->bytes == 1);
    case WANT_BLOB16:
        return v->kind == VALUE_BLOB && v->bytes == 16;
    }
    return false;
}

/* A function that waits must not be followed by a use of what others may have changed. */
enum rc pgx_call_fn(const struct fn *f, const struct fn_env *env, const struct fn_call *call, const struct value *arg,
                    size_t args, struct value *ret, struct err *err) WAITS MUST_CHECK;

/* pgx_agg.c */
struct pgx_handle {
    const struct fn_env *env;
    struct arena scratch; /* of one call */
    struct fn_regexes *regexes;
};
void pgx_result_err(sqlite3_context *ctx, enum rc rc, struct err *err);
int pgx_register_aggs(sqlite3 *db, struct pgx_handle *h);

#endif
