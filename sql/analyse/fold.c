/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fold.c: what is constant is computed at once, so that the planner sees keys and spans: WHERE id = 1 + 1.
 *
 * Only immutable calls are; and what fails (1 / 0) stays as it is, since it may never be run (CASE) and is an error of the
 * execution, not of the analysis. Literals are read here too: those are errors of the analysis in PostgreSQL as well.
 */
#include <string.h>
#include <strings.h>

#include "sql/analyse/internal.h"

/* Does the text mean another time each time it is read? */
static bool passing(struct col c, const char *text) {
    static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
    uint8_t t = c.type == COL_ARRAY ? c.elem : c.type;
    if (t != COL_DATE && t != COL_TIME && t != COL_TIMESTAMP && t != COL_TIMESTAMPTZ)
        return false;
    for (const char *at = text; *at; at++)
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (strncasecmp(at, words[i], strlen(words[i])) == 0)
                return true;
    return false;
}

bool literal_input(struct an *an, const char *text, struct col type, int32_t location, struct value *ret) {
    struct err err;
    if (type.type == FN_NAME || type.type == FN_UNKNOWN) {
        *ret = value_text(text, strlen(text));
        return true;
    }
    if (type.type >= FN_ANY)
        return reg_input(an, text, type, location, ret);
    enum rc rc = type_parse(&an->types, &type, text, strlen(text), an->arena, ret, &err);
    if (!rc) {
        an->passing = an->passing || passing(type, text);
        return true;
    }
    if (rc == RC_NOMEM)
        return fail_memory(an);
    an->rc = rc;
    *an->err = err;
    if (an->text && location >= 0)
        err_position(an->err, an_position(an, location));
    return false;
}

/* Text and bytes of these types mean the same in every session. */
static bool io_immutable(struct col c) {
    uint8_t t = c.type == COL_ARRAY ? c.elem : c.type;
    return t == COL_BOOL || t == COL_INT2 || t == COL_INT4 || t == COL_INT8 || t == COL_FLOAT4 || t == COL_FLOAT8 ||
           t == COL_NUMERIC || t == COL_TEXT || t == COL_VARCHAR || t == COL_CHAR || t == COL_UUID || t == COL_OID ||
           t == COL_JSON || t == COL_JSONB;
}

static bool scaled(const struct col *c) {
    return c->type == COL_NUMERIC && col_numeric_is_int(c, NULL);
}

static bool fold_call(struct an *an, const struct expr *e, struct value *ret) {
    const struct fn *f = e->call.fn;
    struct value arg[FN_ARGS_MAX];
    struct col type[FN_ARGS_MAX];
    struct err err;
    if (!f->impl || f->session || f->volatility != FN_IMMUTABLE || f->kind != FN_SCALAR || e->args > FN_ARGS_MAX ||
        scaled(&e->type) || !an->in->env)
        return false;
    for (uint32_t i = 0; i < e->args; i++) {
        if (scaled(&e->arg[i]->type)) /* programs have another form of these */
            return false;
        arg[i] = e->arg[i]->value;
        type[i] = type_lowered(e->arg[i]->type);
        if (arg[i].kind == VALUE_NULL && f->strict) {
            *ret = value_null();
            return true;
        }
    }
    struct fn_env env = *an->in->env;
    env.arena = an->arena;
    env.session = NULL;
    struct fn_call call = {.arg = type, .ret = type_lowered(e->type)};
    return f->impl(&env, &call, arg, e->args, ret, &err) == RC_OK;
}

static bool fold_io(struct an *an, const struct expr *e, struct value *ret) {
    const struct expr *from = e->arg[0];
    struct buf text;
    struct err err;
    if (!io_immutable(from->type) || !io_immutable(e->type))
        return false;
    if (from->value.kind == VALUE_NULL) {
        *ret = value_null();
        return true;
    }
    buf_init(&text, 0);
    bool ok = type_print(&an->types, &from->type, &from->value, &text, &err) == RC_OK && buf_rc(&text) == RC_OK;
    if (ok) {
        struct value v;
        ok = type_parse(&an->types, &e->type, (const char *)text.data, text.len, an->arena, &v, &err) == RC_OK &&
             value_copy(an->arena, &v) == RC_OK;
        if (ok)
            *ret = v;
    }
    buf_done(&text);
    return ok;
}

static bool fold_limit(struct an *an, const struct expr *e, struct value *ret) {
    struct err err;
    struct value v = e->arg[0]->value;
    if (scaled(&e->arg[0]->type) || e->arg[0]->type.typmod >= 0)
        return false;
    if (e->flag && (e->type.type == COL_VARCHAR || e->type.type == COL_CHAR) && v.kind == VALUE_TEXT) {
        /* A cast cuts. */
        const char *p = v.p;
        uint32_t at = 0;
        int left = col_length_max(&e->type);
        while (at < v.bytes && left > 0) {
            at++;
            while (at < v.bytes && ((unsigned char)p[at] & 0xc0) == 0x80)
                at++;
            left--;
        }
        v.bytes = at;
    }
    if (type_limit(&e->type, an->arena, &v, &err))
        return false;
    *ret = v;
    return true;
}

/* x AND true is x; x AND false is false: whatever x is, PostgreSQL's planner drops it too. */
static struct expr *fold_logic(struct expr *e) {
    bool end = e->kind == EXPR_OR; /* the value that decides */
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->args; i++) {
        struct expr *x = e->arg[i];
        if (x->kind == EXPR_CONST && x->value.kind == VALUE_INT) {
            if ((x->value.i != 0) == end)
                return x;
            if (e->args > 1 && (n > 0 || i + 1 < e->args))
                continue;
        }
        e->arg[n++] = x;
    }
    e->args = n;
    return n == 1 ? e->arg[0] : e;
}

struct expr *fold(struct an *an, struct expr *e) {
    struct value v;
    bool ok = false;
    if (!e)
        return NULL;
    if (e->kind == EXPR_AND || e->kind == EXPR_OR)
        return fold_logic(e);
    if (e->kind != EXPR_CALL && e->kind != EXPR_TYPE_IO && e->kind != EXPR_LIMIT)
        return e;
    for (uint32_t i = 0; i < e->args; i++)
        if (e->arg[i]->kind != EXPR_CONST)
            return e;
    if (e->kind == EXPR_CALL)
        ok = fold_call(an, e, &v);
    else if (e->kind == EXPR_TYPE_IO)
        ok = fold_io(an, e, &v);
    else
        ok = fold_limit(an, e, &v);
    if (!ok)
        return e;
    struct expr *c = expr_new(an, EXPR_CONST, e->type, 0, expr_location(e));
    if (c)
        c->value = v;
    return c;
}
