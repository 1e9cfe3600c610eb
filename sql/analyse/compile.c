/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c: typed expressions as programs.
 *
 * emit(c, e, r) writes what leaves e's value in register r. Registers above r are free for what it needs meanwhile and are
 * given back. Inside of the program every numeric is text, so only leaves and the end convert.
 */
#include <string.h>

#include "shard/store/decimal.h"
#include "sql/analyse/analyse.h"
#include "sql/functions/pgx.h"

enum { IN_LIST_AS_ARRAY = 4 /* constants from which an IN list becomes one array */ };

struct comp {
    struct arena *arena;
    struct pgx_builder *b;
    const struct expr **leaf;
    uint32_t leaves, cap;
};

static enum rc emit(struct comp *c, const struct expr *e, uint16_t r, struct err *err) MUST_CHECK;

static enum rc no_memory(struct err *err) {
    return err_set(err, RC_NOMEM, "out of memory for an expression");
}

/* Types that only the analyser knows, as values have them. */
static struct col plain(struct col c) {
    if (c.type > COL_NONE && c.type < COL_TYPE_END)
        return c;
    switch (c.type) {
    case FN_REGCLASS:
    case FN_REGTYPE:
    case FN_REGPROC:
    case FN_REGNAMESPACE:
    case FN_REGROLE:
        return col_of(COL_OID);
    default:
        return col_of(COL_TEXT);
    }
}

static bool is_leaf(const struct expr *e) {
    switch (e->kind) {
    case EXPR_COL:
    case EXPR_PARAM:
    case EXPR_AGG:
    case EXPR_WINDOW:
    case EXPR_SUBLINK:
    case EXPR_GROUPING:
    case EXPR_SET:
        return true;
    default:
        return false;
    }
}

static bool same_leaf(const struct expr *a, const struct expr *b) {
    if (a == b)
        return true;
    if (a->kind != b->kind)
        return false;
    if (a->kind == EXPR_COL)
        return a->col.rel == b->col.rel && a->col.col == b->col.col && a->col.levels == b->col.levels;
    return a->kind == EXPR_PARAM && a->param == b->param;
}

static enum rc emit_leaf(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    uint32_t i = 0;
    struct col type = plain(e->type);
    while (i < c->leaves && !same_leaf(c->leaf[i], e))
        i++;
    if (i == c->leaves) {
        if (i == PGX_ARGS_MAX)
            return err_sql(err, "54001", "an expression uses more than %d columns", PGX_ARGS_MAX);
        if (i == c->cap) {
            uint32_t cap = c->cap ? 2 * c->cap : 8;
            const struct expr **leaf = arena_array(c->arena, cap, sizeof *leaf);
            if (!leaf)
                return no_memory(err);
            if (i)
                memcpy(leaf, c->leaf, i * sizeof *leaf);
            c->leaf = leaf;
            c->cap = cap;
        }
        c->leaf[c->leaves++] = e;
    }
    pgx_arg(c->b, r, (uint16_t)i);
    if (col_numeric_is_int(&type, NULL))
        pgx_scale(c->b, r, r, &type);
    return RC_OK;
}

/* A constant as programs have it. */
static enum rc const_value(struct comp *c, const struct expr *e, struct value *ret, struct err *err) {
    struct col type = plain(e->type), text = col_of(COL_NUMERIC);
    *ret = e->value;
    if (ret->kind != VALUE_INT || !col_numeric_is_int(&type, NULL))
        return RC_OK;
    struct dec d;
    dec_init(&d);
    enum rc rc = dec_from_value(&d, &type, &e->value, err);
    if (!rc)
        rc = dec_to_value(&d, &text, c->arena, ret, err);
    dec_done(&d);
    return rc;
}

static enum rc emit_const(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    struct value v;
    enum rc rc = const_value(c, e, &v, err);
    if (!rc)
        pgx_const(c->b, r, &v);
    return rc;
}

static void emit_bool(struct comp *c, uint16_t r, bool b) {
    struct value v = value_int(b);
    pgx_const(c->b, r, &v);
}

static enum rc call_types(struct comp *c, struct expr *const *arg, uint32_t args, struct col ret, struct fn_call *to,
                          struct err *err) {
    struct col *types = arena_array(c->arena, args, sizeof *types);
    if (!types)
        return no_memory(err);
    for (uint32_t i = 0; i < args; i++)
        types[i] = plain(arg[i]->type);
    *to = (struct fn_call){.arg = types, .ret = plain(ret)};
    return RC_OK;
}

/* f of the arguments, into r. */
static enum rc emit_call(struct comp *c, const struct fn *f, struct expr *const *arg, uint32_t args, struct col ret,
                         uint16_t r, struct err *err) {
    struct fn_call types;
    enum rc rc = call_types(c, arg, args, ret, &types, err);
    if (!rc && args > PGX_ARGS_MAX)
        rc = err_sql(err, "54023", "cannot pass more than %d arguments to a function", PGX_ARGS_MAX);
    uint16_t first = rc ? 0 : pgx_reg(c->b, (uint16_t)args);
    for (uint32_t i = 0; i < args && !rc; i++)
        rc = emit(c, arg[i], (uint16_t)(first + i), err);
    if (rc)
        return rc;
    pgx_call(c->b, r, f, first, (uint16_t)args, &types);
    if (args)
        pgx_reg_drop(c->b, first);
    return RC_OK;
}

static enum rc emit_internal(struct comp *c, uint32_t id, const struct expr *e, uint16_t r, struct err *err) {
    const struct fn *f = fn_by_id(id);
    CHECK(f);
    return emit_call(c, f, e->arg, e->args, e->type, r, err);
}

/* AND, OR: from left to right, until it is decided. */
static enum rc emit_and_or(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    bool and = e->kind == EXPR_AND;
    uint32_t *jump = arena_array(c->arena, e->args + 1, sizeof *jump);
    uint16_t t = pgx_reg(c->b, 1);
    if (!jump)
        return no_memory(err);
    emit_bool(c, r, and);
    for (uint32_t i = 0; i < e->args; i++) {
        enum rc rc = emit(c, e->arg[i], i ? t : r, err);
        if (rc)
            return rc;
        if (i && and)
            pgx_and(c->b, r, r, t);
        else if (i)
            pgx_or(c->b, r, r, t);
        jump[i] = and? pgx_jump_false(c->b, r) : pgx_jump_true(c->b, r);
    }
    for (uint32_t i = 0; i < e->args; i++)
        pgx_place(c->b, jump[i]);
    pgx_reg_drop(c->b, t);
    return RC_OK;
}

static enum rc emit_limit(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    if (!col_numeric_is_int(&e->type, NULL))
        return emit_internal(c, e->flag ? FN_ID_CUT : FN_ID_FIT, e, r, err);
    enum rc rc = emit(c, e->arg[0], r, err);
    pgx_unscale(c->b, r, r, &e->type);
    pgx_scale(c->b, r, r, &e->type);
    return rc;
}

static enum rc emit_case(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    uint32_t whens = e->args / 2;
    uint32_t *done = arena_array(c->arena, whens + 1, sizeof *done);
    if (!done)
        return no_memory(err);
    uint16_t t = pgx_reg(c->b, 1);
    struct value null = value_null();
    for (uint32_t i = 0; i < whens; i++) {
        enum rc rc = emit(c, e->arg[2 * i], t, err);
        if (rc)
            return rc;
        uint32_t no = pgx_jump_false(c->b, t), unknown = pgx_jump_null(c->b, t);
        if ((rc = emit(c, e->arg[2 * i + 1], r, err)))
            return rc;
        done[i] = pgx_jump(c->b);
        pgx_place(c->b, no);
        pgx_place(c->b, unknown);
    }
    enum rc rc = RC_OK;
    if (e->args % 2 && e->arg[e->args - 1])
        rc = emit(c, e->arg[e->args - 1], r, err);
    else
        pgx_const(c->b, r, &null);
    for (uint32_t i = 0; i < whens; i++)
        pgx_place(c->b, done[i]);
    pgx_reg_drop(c->b, t);
    return rc;
}

static enum rc emit_coalesce(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    uint32_t *done = arena_array(c->arena, e->args + 1, sizeof *done);
    if (!done)
        return no_memory(err);
    for (uint32_t i = 0; i < e->args; i++) {
        enum rc rc = emit(c, e->arg[i], r, err);
        if (rc)
            return rc;
        uint32_t null = pgx_jump_null(c->b, r);
        done[i] = pgx_jump(c->b);
        pgx_place(c->b, null);
    }
    for (uint32_t i = 0; i < e->args; i++)
        pgx_place(c->b, done[i]);
    return RC_OK;
}

static enum rc emit_is_null(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    enum rc rc = emit(c, e->arg[0], r, err);
    pgx_is_null(c->b, r, r);
    if (e->flag)
        pgx_not(c->b, r, r);
    return rc;
}

static enum rc emit_is_bool(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    uint16_t t = pgx_reg(c->b, 1);
    enum rc rc = emit(c, e->arg[0], t, err);
    if (rc)
        return rc;
    if (e->op == 'u') {
        pgx_is_null(c->b, r, t);
    } else {
        emit_bool(c, r, false);
        uint32_t null = pgx_jump_null(c->b, t);
        if (e->op == 't')
            pgx_move(c->b, r, t);
        else
            pgx_not(c->b, r, t);
        pgx_place(c->b, null);
    }
    if (e->flag)
        pgx_not(c->b, r, r);
    pgx_reg_drop(c->b, t);
    return RC_OK;
}

/* Two arguments side by side, and a function of both. */
static enum rc emit_pair(struct comp *c, const struct fn *f, const struct expr *e, const struct expr *y, uint16_t first,
                         uint16_t r, struct err *err) {
    struct expr *pair[2] = {e->arg[0], (struct expr *)(uintptr_t)y};
    struct fn_call types;
    enum rc rc = call_types(c, pair, 2, col_of(COL_BOOL), &types, err);
    if (!rc)
        rc = emit(c, y, (uint16_t)(first + 1), err);
    if (!rc)
        pgx_call(c->b, r, f, first, 2, &types);
    return rc;
}

static enum rc emit_distinct(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    uint16_t t = pgx_reg(c->b, 4);
    enum rc rc = emit(c, e->arg[0], t, err);
    if (!rc)
        rc = emit_pair(c, e->call.fn, e, e->arg[1], t, r, err);
    if (rc)
        return rc;
    uint32_t null = pgx_jump_null(c->b, r);
    pgx_not(c->b, r, r);
    uint32_t done = pgx_jump(c->b);
    pgx_place(c->b, null); /* one of them is: distinct unless both are */
    pgx_is_null(c->b, (uint16_t)(t + 2), t);
    pgx_is_null(c->b, (uint16_t)(t + 3), (uint16_t)(t + 1));
    pgx_and(c->b, r, (uint16_t)(t + 2), (uint16_t)(t + 3));
    pgx_not(c->b, r, r);
    pgx_place(c->b, done);
    if (e->flag)
        pgx_not(c->b, r, r);
    pgx_reg_drop(c->b, t);
    return RC_OK;
}

static enum rc emit_nullif(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    uint16_t t = pgx_reg(c->b, 3);
    struct value null = value_null();
    enum rc rc = emit(c, e->arg[0], t, err);
    if (!rc)
        rc = emit_pair(c, e->call.fn, e, e->arg[1], t, (uint16_t)(t + 2), err);
    if (rc)
        return rc;
    pgx_move(c->b, r, t);
    uint32_t differ = pgx_jump_false(c->b, (uint16_t)(t + 2)), unknown = pgx_jump_null(c->b, (uint16_t)(t + 2));
    pgx_const(c->b, r, &null);
    pgx_place(c->b, differ);
    pgx_place(c->b, unknown);
    pgx_reg_drop(c->b, t);
    return RC_OK;
}

/* A long list of constants as one array; false: it is no such list. */
static bool list_as_array(struct comp *c, const struct expr *e, struct value *ret) {
    uint32_t n = e->args - 1;
    struct col elem = plain(e->arg[1]->type);
    elem.typmod = COL_TYPMOD_NONE;
    if (n < IN_LIST_AS_ARRAY || elem.type == COL_ARRAY || elem.type == COL_ENUM || elem.type == COL_JSONB)
        return false;
    struct value *v = arena_array(c->arena, n, sizeof *v);
    for (uint32_t i = 0; i < n && v; i++) {
        const struct expr *x = e->arg[i + 1];
        if (x->kind != EXPR_CONST || plain(x->type).type != elem.type || const_value(c, x, &v[i], NULL))
            return false;
    }
    return v && fn_array_of(c->arena, &elem, v, n, ret, NULL) == RC_OK;
}

static enum rc emit_in(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    struct value array;
    uint16_t t = pgx_reg(c->b, 3);
    enum rc rc = emit(c, e->arg[0], t, err);
    if (rc)
        return rc;
    if (list_as_array(c, e, &array)) {
        struct col types[2] = {plain(e->arg[0]->type), col_array_of(plain(e->arg[1]->type))};
        types[1].typmod = COL_TYPMOD_NONE;
        struct fn_call call = {.arg = types, .ret = col_of(COL_BOOL)};
        pgx_const(c->b, (uint16_t)(t + 1), &array);
        pgx_any(c->b, r, e->call.fn, t, false, &call);
    } else {
        uint32_t *found = arena_array(c->arena, e->args, sizeof *found);
        if (!found)
            return no_memory(err);
        emit_bool(c, r, false);
        for (uint32_t i = 1; i < e->args; i++) {
            if ((rc = emit_pair(c, e->call.fn, e, e->arg[i], t, (uint16_t)(t + 2), err)))
                return rc;
            pgx_or(c->b, r, r, (uint16_t)(t + 2));
            found[i] = pgx_jump_true(c->b, r);
        }
        for (uint32_t i = 1; i < e->args; i++)
            pgx_place(c->b, found[i]);
    }
    if (e->flag)
        pgx_not(c->b, r, r);
    pgx_reg_drop(c->b, t);
    return RC_OK;
}

static enum rc emit_any_array(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    struct fn_call types;
    uint16_t t = pgx_reg(c->b, 2);
    enum rc rc = call_types(c, e->arg, 2, col_of(COL_BOOL), &types, err);
    if (!rc)
        rc = emit(c, e->arg[0], t, err);
    if (!rc)
        rc = emit(c, e->arg[1], (uint16_t)(t + 1), err);
    if (!rc)
        pgx_any(c->b, r, e->call.fn, t, e->flag, &types);
    pgx_reg_drop(c->b, t);
    return rc;
}

static enum rc emit_relabel(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    const struct expr *x = e->arg[0];
    if (e->type.type == COL_ARRAY && x->type.type == COL_ARRAY && e->type.elem != x->type.elem)
        return emit_internal(c, FN_ID_RELABEL_ARRAY, e, r, err);
    return emit(c, x, r, err);
}

static enum rc emit(struct comp *c, const struct expr *e, uint16_t r, struct err *err) {
    if (is_leaf(e))
        return emit_leaf(c, e, r, err);
    switch (e->kind) {
    case EXPR_CONST:
        return emit_const(c, e, r, err);
    case EXPR_CALL:
        return emit_call(c, e->call.fn, e->arg, e->args, e->type, r, err);
    case EXPR_RELABEL:
        return emit_relabel(c, e, r, err);
    case EXPR_AND:
    case EXPR_OR:
        return emit_and_or(c, e, r, err);
    case EXPR_NOT: {
        enum rc rc = emit(c, e->arg[0], r, err);
        pgx_not(c->b, r, r);
        return rc;
    }
    case EXPR_IS_NULL:
        return emit_is_null(c, e, r, err);
    case EXPR_IS_BOOL:
        return emit_is_bool(c, e, r, err);
    case EXPR_DISTINCT:
        return emit_distinct(c, e, r, err);
    case EXPR_CASE:
        return emit_case(c, e, r, err);
    case EXPR_COALESCE:
        return emit_coalesce(c, e, r, err);
    case EXPR_NULLIF:
        return emit_nullif(c, e, r, err);
    case EXPR_MINMAX:
        return emit_internal(c, e->op == '<' ? FN_ID_LEAST : FN_ID_GREATEST, e, r, err);
    case EXPR_IN:
        return emit_in(c, e, r, err);
    case EXPR_ANY_ARRAY:
        return emit_any_array(c, e, r, err);
    case EXPR_ARRAY:
        return emit_internal(c, FN_ID_ARRAY, e, r, err);
    case EXPR_SUBSCRIPT:
        return emit_internal(c, e->flag ? FN_ID_SLICE : FN_ID_SUBSCRIPT, e, r, err);
    case EXPR_TYPE_IO:
        return emit_internal(c, FN_ID_TYPE_IO, e, r, err);
    case EXPR_LIMIT:
        return emit_limit(c, e, r, err);
    case EXPR_ROW:
    default:
        return err_set(err, RC_UNSUPPORTED, "a row as a value is not supported");
    }
}

enum rc expr_compile(struct arena *a, const struct expr *e, struct expr_program *ret, struct err *err) {
    struct comp c = {.arena = a, .b = pgx_builder_new(a)};
    struct col type = plain(e->type);
    if (!c.b)
        return no_memory(err);
    uint16_t r = pgx_reg(c.b, 1);
    enum rc rc = emit(&c, e, r, err), finished;
    if (!rc && col_numeric_is_int(&type, NULL))
        pgx_unscale(c.b, r, r, &type);
    pgx_return(c.b, r);
    finished = pgx_finish(c.b, &ret->bytes, &ret->n, rc ? NULL : err); /* also frees what the builder holds */
    ret->col = c.leaf;
    ret->cols = c.leaves;
    return rc ? rc : finished;
}

/* ---- volatility ---------------------------------------------------------------------------------------------------- */

/* Text forms that depend on the session: of a timestamptz on its zone, of bytea on bytea_output, and 'today' is read as a date. */
static bool io_is_stable(const struct col *from, const struct col *to) {
    uint8_t f = from->type == COL_ARRAY ? from->elem : from->type, t = to->type == COL_ARRAY ? to->elem : to->type;
    return f == COL_TIMESTAMPTZ || f == COL_BYTEA || t == COL_DATE || t == COL_TIME || t == COL_TIMESTAMP ||
           t == COL_TIMESTAMPTZ;
}

static enum fn_volatility most(enum fn_volatility a, enum fn_volatility b) {
    return a > b ? a : b;
}

enum fn_volatility expr_volatility(const struct expr *e) {
    enum fn_volatility v = FN_IMMUTABLE;
    switch (e->kind) {
    case EXPR_CALL:
    case EXPR_AGG:
    case EXPR_WINDOW:
    case EXPR_SET:
    case EXPR_DISTINCT:
    case EXPR_NULLIF:
    case EXPR_IN:
    case EXPR_ANY_ARRAY:
        if (e->call.fn)
            v = (enum fn_volatility)e->call.fn->volatility;
        break;
    case EXPR_TYPE_IO: {
        struct col to = plain(e->type), from = plain(e->arg[0]->type);
        v = io_is_stable(&from, &to) ? FN_STABLE : FN_IMMUTABLE;
        break;
    }
    default:
        break;
    }
    for (uint32_t i = 0; i < e->args; i++)
        if (e->arg[i])
            v = most(v, expr_volatility(e->arg[i]));
    for (uint32_t i = 0; i < e->orders; i++)
        v = most(v, expr_volatility(e->order[i].expr));
    return e->filter ? most(v, expr_volatility(e->filter)) : v;
}
