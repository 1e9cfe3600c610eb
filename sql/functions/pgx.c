/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgx.c: loading and running programs.
 *
 * Loading checks everything once. Running then trusts registers and jumps, but not values: what a column gives is data, so every
 * argument's storage class is looked at before a function takes it for what its type says.
 */
#include "sql/functions/pgx.h"

#include <stdlib.h>
#include <string.h>

#include "shard/store/decimal.h"
#include "sql/functions/fn_internal.h"
#include "sql/functions/pgx_internal.h"

/* How many 2-byte operands an instruction has; CALL's and ANY's are their own. */
static const uint8_t operands[OP_END] = {
    [OP_ARG] = 2,        [OP_CONST] = 2,     [OP_MOVE] = 2,    [OP_JUMP] = 1, [OP_JUMP_TRUE] = 2,
    [OP_JUMP_FALSE] = 2, [OP_JUMP_NULL] = 2, [OP_AND] = 3,     [OP_OR] = 3,   [OP_NOT] = 2,
    [OP_ISNULL] = 2,     [OP_SCALE] = 2,     [OP_UNSCALE] = 2, [OP_FAIL] = 2, [OP_RETURN] = 1,
};

struct ins {
    uint8_t op;
    uint16_t x[3];
    uint8_t *want;       /* CALL, ANY: enum pgx_want of each argument */
    const struct fn *fn; /* and what they call */
    struct fn_call call; /* its types; SCALE, UNSCALE: ret is the column's type */
};

struct pgx {
    uint16_t args, regs, consts, code;
    struct value *constant;
    struct ins *ins;
    struct arena arena; /* holds what they point to */
};

/* ---- loading ------------------------------------------------------------------------------------------------------ */

static enum rc bad(struct err *err, const char *what) {
    return err_set(err, RC_CORRUPT, "an expression's program is damaged: %s", what);
}

static enum rc load_constant(struct rd *r, struct arena *a, struct value *ret, struct err *err) {
    uint8_t kind = rd_u8(r);
    *ret = (struct value){.kind = kind};
    if (kind == VALUE_INT || kind == VALUE_REAL) {
        ret->i = (int64_t)rd_u64le(r);
    } else if (kind == VALUE_TEXT || kind == VALUE_BLOB) {
        ret->bytes = rd_u32le(r);
        const void *p = rd_bytes(r, ret->bytes);
        if (!p)
            return bad(err, "a constant");
        ret->p = ret->bytes ? arena_copy(a, p, ret->bytes) : "";
        if (!ret->p)
            return err_set(err, RC_NOMEM, "out of memory for a program");
    } else if (kind != VALUE_NULL) {
        return bad(err, "a constant's kind");
    }
    return r->bad ? bad(err, "a constant") : RC_OK;
}

enum rc pgx_load_col(struct rd *r, struct col *ret, struct err *err) {
    ret->type = rd_u8(r);
    ret->elem = rd_u8(r);
    ret->typmod = (int32_t)rd_u32le(r);
    ret->type_id = rd_u32le(r);
    return r->bad || col_valid(ret, NULL) != RC_OK ? bad(err, "a type") : RC_OK;
}

/* ---- the types of a call ----------------------------------------------------------------------------------------- */

static bool same_type(const struct col *a, const struct col *b) {
    return a->type == b->type && a->elem == b->elem;
}

/* Polymorphic arguments: one common element type, once it is known (COL_NONE before). */
static bool common(struct col *known, struct col c) {
    if (known->type == COL_NONE)
        *known = c;
    return same_type(known, &c);
}

static bool type_ok(uint16_t declared, const struct col *c, struct col *element) {
    struct col e = {.type = c->elem, .typmod = COL_TYPMOD_NONE, .type_id = c->type_id};
    switch (declared) {
    case FN_ANYELEMENT:
    case FN_ANYCOMPATIBLE:
        return common(element, *c);
    case FN_ANYARRAY:
    case FN_ANYCOMPATIBLEARRAY:
        return c->type == COL_ARRAY && common(element, e);
    case FN_NAME:
        return c->type == COL_TEXT;
    case FN_REGCLASS:
    case FN_REGTYPE:
    case FN_REGPROC:
    case FN_REGNAMESPACE:
    case FN_REGROLE:
        return c->type == COL_OID;
    default:
        break;
    }
    if (declared >= FN_ANY && declared <= UINT8_MAX)
        return true;
    struct col want = {.type = (uint8_t)declared, .elem = (uint8_t)(declared >> 8)};
    return pgx_want_of(&want, false) == pgx_want_of(c, false) && (want.type == COL_ARRAY) == (c->type == COL_ARRAY) &&
           want.elem == c->elem;
}

enum rc pgx_check_types(const struct fn *f, const struct fn_call *call, size_t args, struct err *err) {
    struct col element = {.type = COL_NONE};
    if (f->variadic ? args + 1 < f->args || args > PGX_ARGS_MAX : args != f->args)
        return bad(err, "the number of a call's arguments");
    for (size_t i = 0; i < args; i++)
        if (!type_ok(fn_arg_type(f, i), &call->arg[i], &element))
            return err_set(err, RC_CORRUPT, "a program calls %s with a wrong type as argument %zu", f->name, i + 1);
    return RC_OK;
}

enum pgx_want pgx_want_of(const struct col *c, bool scaled) {
    if (c->type == COL_NUMERIC && scaled && col_numeric_is_int(c, NULL))
        return WANT_INT;
    switch (c->type) {
    case COL_BOOL:
        return WANT_BOOL;
    case COL_FLOAT4:
    case COL_FLOAT8:
        return WANT_FLOAT;
    case COL_UUID:
    case COL_INTERVAL:
        return WANT_BLOB16;
    case COL_NUMERIC:
        return WANT_TEXT;
    default:
        break;
    }
    struct col plain = {.type = c->type, .typmod = COL_TYPMOD_NONE};
    enum value_kind k = col_kind(&plain);
    return k == VALUE_INT ? WANT_INT : k == VALUE_TEXT ? WANT_TEXT : WANT_BLOB;
}

bool fn_fits(const struct col *c, const struct value *v) {
    return pgx_fits(pgx_want_of(c, false), v);
}

static enum rc load_call(struct pgx *p, struct rd *r, struct ins *i, struct err *err) {
    for (int k = 0; k < 3; k++)
        i->x[k] = rd_u16le(r);
    uint32_t id = rd_u32le(r);
    uint32_t reads = i->op == OP_ANY ? 2 : i->x[2];
    if (r->bad || i->x[0] >= p->regs || i->x[1] > p->regs || reads > (uint32_t)(p->regs - i->x[1]))
        return bad(err, "a call's registers");
    i->fn = fn_by_id(id);
    if (!i->fn || !(i->fn->impl || i->fn->session) || i->fn->kind != FN_SCALAR)
        return err_set(err, RC_UNSUPPORTED, "a program calls function %u, which this version does not know", id);
    struct col *types = arena_array(&p->arena, reads + 1u, sizeof *types);
    i->want = arena_alloc(&p->arena, reads + 1u);
    if (!types || !i->want)
        return err_set(err, RC_NOMEM, "out of memory for a program");
    for (uint32_t k = 0; k <= reads; k++) {
        enum rc rc = pgx_load_col(r, &types[k], err);
        if (rc)
            return rc;
        i->want[k] = (uint8_t)pgx_want_of(&types[k], false);
    }
    i->call = (struct fn_call){.arg = types, .ret = types[reads]};
    if (i->op == OP_ANY) { /* from here on: the types of the operator's arguments */
        if (i->x[2] > 1 || types[1].type != COL_ARRAY)
            return bad(err, "an operand");
        types[1] = fn_elem(&types[1]);
        i->want[1] = (uint8_t)pgx_want_of(&types[1], false);
    }
    return pgx_check_types(i->fn, &i->call, reads, err);
}

/* Operands by what they mean: registers below regs, and so on. */
static bool operands_ok(const struct pgx *p, const struct ins *i, uint32_t at) {
    const uint16_t *x = i->x;
    switch ((enum pgx_op)i->op) {
    case OP_ARG:
        return x[0] < p->regs && x[1] < p->args;
    case OP_CONST:
        return x[0] < p->regs && x[1] < p->consts;
    case OP_MOVE:
    case OP_NOT:
    case OP_ISNULL:
        return x[0] < p->regs && x[1] < p->regs;
    case OP_AND:
    case OP_OR:
        return x[0] < p->regs && x[1] < p->regs && x[2] < p->regs;
    case OP_SCALE:
    case OP_UNSCALE:
        return x[0] < p->regs && x[1] < p->regs && col_valid(&i->call.ret, NULL) == RC_OK &&
               col_numeric_is_int(&i->call.ret, NULL);
    case OP_JUMP:
        return x[0] > at && x[0] < p->code;
    case OP_JUMP_TRUE:
    case OP_JUMP_FALSE:
    case OP_JUMP_NULL:
        return x[0] < p->regs && x[1] > at && x[1] < p->code;
    case OP_FAIL:
        return x[0] < p->consts && x[1] < p->consts && p->constant[x[0]].kind == VALUE_TEXT &&
               p->constant[x[0]].bytes == 5 && p->constant[x[1]].kind == VALUE_TEXT;
    case OP_RETURN:
        return x[0] < p->regs;
    case OP_CALL:
    case OP_ANY:
    case OP_END:
    default:
        return false;
    }
}

static enum rc load_code(struct pgx *p, struct rd *r, struct err *err) {
    for (uint32_t at = 0; at < p->code; at++) {
        struct ins *i = &p->ins[at];
        i->op = rd_u8(r);
        if (i->op == OP_CALL || i->op == OP_ANY) {
            enum rc rc = load_call(p, r, i, err);
            if (rc)
                return rc;
            continue;
        }
        if (i->op == 0 || i->op >= OP_END)
            return bad(err, "an instruction");
        for (uint8_t k = 0; k < operands[i->op]; k++)
            i->x[k] = rd_u16le(r);
        if (i->op == OP_SCALE || i->op == OP_UNSCALE)
            i->call.ret = (struct col){.type = COL_NUMERIC, .typmod = (int32_t)rd_u32le(r)};
        if (r->bad || !operands_ok(p, i, at))
            return bad(err, "an operand");
    }
    uint8_t last = p->code ? p->ins[p->code - 1].op : 0;
    if (last != OP_RETURN && last != OP_FAIL)
        return bad(err, "it has no end");
    return rd_left(r) == 0 ? RC_OK : bad(err, "more bytes than instructions");
}

static enum rc load(struct pgx *p, struct rd *r, struct err *err) {
    p->args = rd_u16le(r);
    p->regs = rd_u16le(r);
    p->consts = rd_u16le(r);
    p->code = rd_u16le(r);
    /* A constant takes a byte at least, an instruction three: what is allocated is bounded by what came. */
    if (r->bad || p->args > PGX_ARGS_MAX || p->regs > PGX_REGISTERS_MAX || p->consts > rd_left(r) ||
        p->code > rd_left(r) / 3)
        return bad(err, "its sizes");
    p->constant = arena_array(&p->arena, p->consts + 1u, sizeof *p->constant);
    p->ins = arena_zalloc(&p->arena, (p->code + 1u) * sizeof *p->ins);
    if (!p->constant || !p->ins)
        return err_set(err, RC_NOMEM, "out of memory for a program");
    for (uint16_t i = 0; i < p->consts; i++) {
        enum rc rc = load_constant(r, &p->arena, &p->constant[i], err);
        if (rc)
            return rc;
    }
    return load_code(p, r, err);
}

enum rc pgx_load(const void *bytes, size_t n, struct pgx **ret, struct err *err) {
    const uint8_t *b = bytes;
    struct rd r;
    if (n < PGX_HEAD_BYTES || n > PGX_BYTES_MAX || b[0] != 'P' || b[1] != 'X' || b[3] != 0)
        return bad(err, "it does not begin like one");
    if (b[2] != PGX_VERSION)
        return err_set(err, RC_UNSUPPORTED, "a program of version %u; this one knows %d", b[2], PGX_VERSION);
    struct pgx *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, RC_NOMEM, "out of memory for a program");
    arena_init(&p->arena, 0);
    rd_init(&r, b + 4, n - 4);
    enum rc rc = load(p, &r, err);
    if (rc) {
        pgx_free(p);
        return rc;
    }
    *ret = p;
    return RC_OK;
}

void pgx_free(struct pgx *p) {
    if (!p)
        return;
    arena_done(&p->arena);
    free(p);
}

size_t pgx_args(const struct pgx *p) {
    return p->args;
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

static enum rc misfit(const struct ins *i, const struct value *v, struct err *err) {
    return err_set(err, RC_CORRUPT, "function %s was given %s where its type says otherwise", i->fn->name,
                   value_kind_name(v->kind));
}

enum rc pgx_call_fn(const struct fn *f, const struct fn_env *env, const struct fn_call *call, const struct value *arg,
                    size_t args, struct value *ret, struct err *err) {
    if (!f->session)
        return f->impl(env, call, arg, args, ret, err);
    if (!env->session)
        return err_sql(err, "0A000", "function %s cannot be used here", f->name);
    return env->session(env->ctx, f->id, arg, args, ret, err);
}

static enum rc call(const struct fn_env *env, const struct ins *i, struct value *reg, struct err *err) {
    const struct value *arg = &reg[i->x[1]];
    bool null = false;
    for (uint32_t k = 0; k < i->x[2]; k++) {
        if (arg[k].kind == VALUE_NULL)
            null = true;
        else if (!pgx_fits((enum pgx_want)i->want[k], &arg[k]))
            return misfit(i, &arg[k], err);
    }
    struct value out = value_null();
    enum rc rc = null && i->fn->strict ? RC_OK : pgx_call_fn(i->fn, env, &i->call, arg, i->x[2], &out, err);
    reg[i->x[0]] = out;
    return rc;
}

/* x op ANY (array): true as soon as one element says so; else NULL if one did not know; else false. ALL: the other way. */
static enum rc any(const struct fn_env *env, const struct ins *i, struct value *reg, struct err *err) {
    struct value pair[2] = {reg[i->x[1]], value_null()};
    const struct value *array = &reg[i->x[1] + 1];
    struct fn_elements e;
    bool all = i->x[2], unknown = false, decided = false;
    if (array->kind == VALUE_NULL) {
        reg[i->x[0]] = value_null();
        return RC_OK;
    }
    if (array->kind != VALUE_BLOB)
        return misfit(i, array, err);
    if (pair[0].kind != VALUE_NULL && !pgx_fits((enum pgx_want)i->want[0], &pair[0]))
        return misfit(i, &pair[0], err);
    struct col type = col_array_of(i->call.arg[1]);
    enum rc rc = fn_elements_begin(&e, &type, array, err);
    while (!rc && !decided && e.left) {
        struct value out = value_null();
        rc = fn_elements_next(&e, env->arena, &pair[1], err);
        bool null = pair[0].kind == VALUE_NULL || pair[1].kind == VALUE_NULL;
        if (!rc && !(null && i->fn->strict))
            rc = pgx_call_fn(i->fn, env, &i->call, pair, 2, &out, err);
        unknown |= out.kind == VALUE_NULL;
        decided = out.kind == VALUE_INT && (out.i != 0) == !all;
    }
    reg[i->x[0]] = decided ? value_int(!all) : unknown ? value_null() : value_int(all);
    return rc;
}

/* Between a column's scaled integer and the text that programs have. */
static enum rc rescale(const struct fn_env *env, const struct value *v, const struct col *from, const struct col *to,
                       struct value *ret, struct err *err) {
    struct dec d;
    if (v->kind == VALUE_NULL) {
        *ret = *v;
        return RC_OK;
    }
    if (v->kind != (col_numeric_is_int(from, NULL) ? VALUE_INT : VALUE_TEXT))
        return err_set(err, RC_CORRUPT, "a numeric is %s", value_kind_name(v->kind));
    dec_init(&d);
    enum rc rc = dec_from_value(&d, from, v, err);
    if (!rc)
        rc = dec_to_value(&d, to, env->arena, ret, err);
    dec_done(&d);
    return rc;
}

static bool is_true(const struct value *v) {
    return v->kind == VALUE_INT && v->i != 0;
}

static bool is_false(const struct value *v) {
    return v->kind == VALUE_INT && v->i == 0;
}

static struct value and_or(bool and, const struct value *x, const struct value *y) {
    bool decided = and? is_false(x) || is_false(y) : is_true(x) || is_true(y);
    if (decided)
        return value_int(!and);
    return x->kind == VALUE_NULL || y->kind == VALUE_NULL ? value_null() : value_int(and);
}

static enum rc raise(const struct value *state, const struct value *message, struct err *err) {
    char s[6];
    memcpy(s, state->p, 5);
    s[5] = '\0';
    return err_sql(err, s, "%.*s", (int)message->bytes, (const char *)message->p);
}

enum rc pgx_run(const struct pgx *p, const struct fn_env *env, const struct value *arg, struct value *ret,
                struct err *err) {
    static const struct col text = {.type = COL_NUMERIC, .typmod = COL_TYPMOD_NONE};
    struct value small[32], *reg = small;
    if (p->regs > ARRAY_LEN(small)) {
        reg = arena_array(env->arena, p->regs, sizeof *reg);
        if (!reg)
            return err_set(err, RC_NOMEM, "out of memory for an expression");
    }
    memset(reg, 0, p->regs * sizeof *reg); /* NULLs */
    for (uint32_t at = 0; at < p->code; at++) {
        const struct ins *i = &p->ins[at];
        const uint16_t *x = i->x;
        enum rc rc = RC_OK;
        switch ((enum pgx_op)i->op) {
        case OP_ARG:
            reg[x[0]] = arg[x[1]];
            break;
        case OP_CONST:
            reg[x[0]] = p->constant[x[1]];
            break;
        case OP_MOVE:
            reg[x[0]] = reg[x[1]];
            break;
        case OP_CALL:
            rc = call(env, i, reg, err);
            break;
        case OP_ANY:
            rc = any(env, i, reg, err);
            break;
        case OP_JUMP:
            at = x[0] - 1u;
            break;
        case OP_JUMP_TRUE:
            at = is_true(&reg[x[0]]) ? x[1] - 1u : at;
            break;
        case OP_JUMP_FALSE:
            at = is_false(&reg[x[0]]) ? x[1] - 1u : at;
            break;
        case OP_JUMP_NULL:
            at = reg[x[0]].kind == VALUE_NULL ? x[1] - 1u : at;
            break;
        case OP_AND:
        case OP_OR:
            reg[x[0]] = and_or(i->op == OP_AND, &reg[x[1]], &reg[x[2]]);
            break;
        case OP_NOT:
            reg[x[0]] = reg[x[1]].kind == VALUE_NULL ? value_null() : value_int(!is_true(&reg[x[1]]));
            break;
        case OP_ISNULL:
            reg[x[0]] = value_int(reg[x[1]].kind == VALUE_NULL);
            break;
        case OP_SCALE:
            rc = rescale(env, &reg[x[1]], &i->call.ret, &text, &reg[x[0]], err);
            break;
        case OP_UNSCALE:
            rc = rescale(env, &reg[x[1]], &text, &i->call.ret, &reg[x[0]], err);
            break;
        case OP_FAIL:
            return raise(&p->constant[x[0]], &p->constant[x[1]], err);
        case OP_RETURN:
            *ret = reg[x[0]];
            return RC_OK;
        case OP_END:
        default:
            CHECK(false); /* pgx_load lets none in */
        }
        if (rc)
            return rc;
    }
    CHECK(false); /* pgx_load: the last instruction ends it, jumps go forwards */
    return RC_INTERNAL;
}
