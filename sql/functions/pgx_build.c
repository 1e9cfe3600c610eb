/* SPDX-License-Identifier: Apache-2.0 */
/* pgx_build.c: writes programs. What goes wrong meanwhile (memory, size) is remembered and told by pgx_finish. */
#include <string.h>

#include "sql/functions/pgx_internal.h"

struct pgx_builder {
    struct arena *arena;
    struct buf consts, code;
    uint32_t args, next, regs, n_consts, n_code; /* next: register; regs: the most in use */
    size_t *jump;                                /* where the target of jump i stands in code */
    uint32_t jumps, jumps_cap;
    bool failed;
};

struct pgx_builder *pgx_builder_new(struct arena *a) {
    struct pgx_builder *b = arena_new(a, struct pgx_builder);
    if (!b)
        return NULL;
    b->arena = a;
    buf_init(&b->consts, PGX_BYTES_MAX);
    buf_init(&b->code, PGX_BYTES_MAX);
    return b;
}

uint16_t pgx_reg(struct pgx_builder *b, uint16_t count) {
    uint32_t first = b->next;
    if (first + count > PGX_REGISTERS_MAX) {
        b->failed = true;
        return 0;
    }
    b->next += count;
    if (b->next > b->regs)
        b->regs = b->next;
    return (uint16_t)first;
}

void pgx_reg_drop(struct pgx_builder *b, uint16_t first) {
    if (first < b->next)
        b->next = first;
}

static void emit(struct pgx_builder *b, enum pgx_op op, int n, const uint16_t *x) {
    b->n_code++;
    buf_putc(&b->code, (uint8_t)op);
    for (int i = 0; i < n; i++)
        buf_put_u16le(&b->code, x[i]);
}

#define EMIT(b, op, ...)                                                                                               \
    do {                                                                                                               \
        const uint16_t x_[] = {__VA_ARGS__};                                                                           \
        emit((b), (op), (int)ARRAY_LEN(x_), x_);                                                                       \
    } while (0)

void pgx_arg(struct pgx_builder *b, uint16_t r, uint16_t arg) {
    if (arg >= b->args)
        b->args = arg + 1u;
    EMIT(b, OP_ARG, r, arg);
}

static uint16_t constant(struct pgx_builder *b, const struct value *v) {
    buf_putc(&b->consts, (uint8_t)v->kind);
    if (v->kind == VALUE_INT || v->kind == VALUE_REAL) {
        buf_put_u64le(&b->consts, (uint64_t)v->i);
    } else if (v->kind != VALUE_NULL) {
        buf_put_u32le(&b->consts, v->bytes);
        buf_put(&b->consts, v->p, v->bytes);
    }
    return (uint16_t)b->n_consts++;
}

void pgx_const(struct pgx_builder *b, uint16_t r, const struct value *v) {
    EMIT(b, OP_CONST, r, constant(b, v));
}

void pgx_move(struct pgx_builder *b, uint16_t r, uint16_t from) {
    EMIT(b, OP_MOVE, r, from);
}

void pgx_put_col(struct buf *b, const struct col *c) {
    buf_putc(b, c->type);
    buf_putc(b, c->elem);
    buf_put_u32le(b, (uint32_t)c->typmod);
    buf_put_u32le(b, c->type_id);
}

static void put_call(struct pgx_builder *b, enum pgx_op op, uint16_t r, uint16_t first, uint16_t third,
                     const struct fn *f, uint16_t types, const struct fn_call *call) {
    EMIT(b, op, r, first, third);
    buf_put_u32le(&b->code, f->id);
    for (uint16_t i = 0; i < types; i++)
        pgx_put_col(&b->code, &call->arg[i]);
    pgx_put_col(&b->code, &call->ret);
}

void pgx_call(struct pgx_builder *b, uint16_t r, const struct fn *f, uint16_t first, uint16_t args,
              const struct fn_call *types) {
    put_call(b, OP_CALL, r, first, args, f, args, types);
}

void pgx_any(struct pgx_builder *b, uint16_t r, const struct fn *f, uint16_t first, bool all,
             const struct fn_call *types) {
    put_call(b, OP_ANY, r, first, all, f, 2, types);
}

/* The target is filled in by pgx_place. */
static uint32_t jump(struct pgx_builder *b, enum pgx_op op, uint16_t r) {
    if (b->jumps == b->jumps_cap) {
        uint32_t cap = b->jumps_cap ? 2 * b->jumps_cap : 16;
        size_t *v = arena_array(b->arena, cap, sizeof *v);
        if (!v) {
            b->failed = true;
            return 0;
        }
        if (b->jumps)
            memcpy(v, b->jump, b->jumps * sizeof *v);
        b->jump = v;
        b->jumps_cap = cap;
    }
    if (op == OP_JUMP)
        EMIT(b, op, 0);
    else
        EMIT(b, op, r, 0);
    b->jump[b->jumps] = b->code.len - 2;
    return b->jumps++;
}

uint32_t pgx_jump(struct pgx_builder *b) {
    return jump(b, OP_JUMP, 0);
}

uint32_t pgx_jump_true(struct pgx_builder *b, uint16_t r) {
    return jump(b, OP_JUMP_TRUE, r);
}

uint32_t pgx_jump_false(struct pgx_builder *b, uint16_t r) {
    return jump(b, OP_JUMP_FALSE, r);
}

uint32_t pgx_jump_null(struct pgx_builder *b, uint16_t r) {
    return jump(b, OP_JUMP_NULL, r);
}

void pgx_place(struct pgx_builder *b, uint32_t j) {
    if (!b->failed && buf_rc(&b->code) == RC_OK)
        set_u16le(b->code.data + b->jump[j], (uint16_t)b->n_code);
}

void pgx_and(struct pgx_builder *b, uint16_t r, uint16_t x, uint16_t y) {
    EMIT(b, OP_AND, r, x, y);
}

void pgx_or(struct pgx_builder *b, uint16_t r, uint16_t x, uint16_t y) {
    EMIT(b, OP_OR, r, x, y);
}

void pgx_not(struct pgx_builder *b, uint16_t r, uint16_t x) {
    EMIT(b, OP_NOT, r, x);
}

void pgx_is_null(struct pgx_builder *b, uint16_t r, uint16_t x) {
    EMIT(b, OP_ISNULL, r, x);
}

void pgx_scale(struct pgx_builder *b, uint16_t r, uint16_t x, const struct col *c) {
    CHECK(col_numeric_is_int(c, NULL));
    EMIT(b, OP_SCALE, r, x);
    buf_put_u32le(&b->code, (uint32_t)c->typmod);
}

void pgx_unscale(struct pgx_builder *b, uint16_t r, uint16_t x, const struct col *c) {
    CHECK(col_numeric_is_int(c, NULL));
    EMIT(b, OP_UNSCALE, r, x);
    buf_put_u32le(&b->code, (uint32_t)c->typmod);
}

void pgx_fail(struct pgx_builder *b, const char *state, const char *message) {
    struct value s = value_text(state, strlen(state)), m = value_text(message, strlen(message));
    uint16_t k = constant(b, &s), l = constant(b, &m);
    EMIT(b, OP_FAIL, k, l);
}

void pgx_return(struct pgx_builder *b, uint16_t r) {
    EMIT(b, OP_RETURN, r);
}

enum rc pgx_finish(struct pgx_builder *b, const void **ret, size_t *ret_bytes, struct err *err) {
    enum rc rc = buf_rc(&b->code) ? buf_rc(&b->code) : buf_rc(&b->consts);
    size_t bytes = PGX_HEAD_BYTES + b->consts.len + b->code.len;
    uint8_t *p = rc ? NULL : arena_alloc(b->arena, bytes);
    if (b->failed || rc == RC_LIMIT || bytes > PGX_BYTES_MAX || b->args > PGX_ARGS_MAX || b->n_consts > PGX_CODE_MAX ||
        b->n_code > PGX_CODE_MAX) {
        rc = err_sql(err, "54001", "an expression is too complex");
    } else if (!p) {
        rc = err_set(err, RC_NOMEM, "out of memory for an expression");
    } else {
        memcpy(p, "PX", 2);
        p[2] = PGX_VERSION;
        p[3] = 0;
        set_u16le(p + 4, (uint16_t)b->args);
        set_u16le(p + 6, (uint16_t)b->regs);
        set_u16le(p + 8, (uint16_t)b->n_consts);
        set_u16le(p + 10, (uint16_t)b->n_code);
        if (b->consts.len)
            memcpy(p + PGX_HEAD_BYTES, b->consts.data, b->consts.len);
        if (b->code.len)
            memcpy(p + PGX_HEAD_BYTES + b->consts.len, b->code.data, b->code.len);
        *ret = p;
        *ret_bytes = bytes;
    }
    buf_done(&b->consts);
    buf_done(&b->code);
    return rc;
}
