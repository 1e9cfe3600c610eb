/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coerce.c: making an expression another type.
 *
 * Literals without a type are read as the type that is wanted, parameters without one become it; everything else goes through
 * a cast of the table (fn_cast_find), through its elements (arrays), or through text. PostgreSQL 15, chapter 10;
 * select_common_type and coerce_type of its parse_coerce.c are the rules in detail.
 */
#include <string.h>

#include "sql/analyse/internal.h"

static bool is_reg(uint16_t type) {
    return type == FN_REGCLASS || type == FN_REGTYPE || type == FN_REGPROC || type == FN_REGNAMESPACE ||
           type == FN_REGROLE;
}

static bool is_string(uint16_t type) {
    return type == COL_TEXT || type == COL_VARCHAR || type == COL_CHAR || type == FN_NAME;
}

/* name, regclass and their like: what PostgreSQL's pg_cast says of them. */
static enum cast_path special_path(struct col from, struct col to, enum fn_cast_context context,
                                   const struct fn **ret) {
    if (from.type == FN_NAME || to.type == FN_NAME) {
        if (is_string(from.type) && is_string(to.type)) {
            bool length = to.type == COL_VARCHAR || to.type == COL_CHAR;
            return length && context < FN_CAST_ASSIGNMENT ? CAST_NONE : CAST_RELABEL;
        }
        struct col f = from.type == FN_NAME ? col_of(COL_TEXT) : from, t = to.type == FN_NAME ? col_of(COL_TEXT) : to;
        return cast_path(f, t, context, ret);
    }
    if (from.type == COL_OID && is_reg(to.type))
        return CAST_RELABEL;
    if (is_reg(from.type)) {
        if (to.type == COL_OID)
            return CAST_RELABEL;
        if (to.type == COL_INT4 || to.type == COL_INT8)
            return context >= FN_CAST_ASSIGNMENT ? cast_path(col_of(COL_OID), to, context, ret) : CAST_NONE;
        if (is_string(to.type))
            return context >= FN_CAST_ASSIGNMENT ? CAST_IO : CAST_NONE;
        return CAST_NONE;
    }
    if (from.type == COL_INT2 || from.type == COL_INT4 || from.type == COL_INT8)
        return cast_path(from, col_of(COL_OID), context, ret);
    if (to.type == FN_REGCLASS && (from.type == COL_TEXT || from.type == COL_VARCHAR))
        return CAST_IO;
    return is_string(from.type) && context == FN_CAST_EXPLICIT ? CAST_IO : CAST_NONE;
}

static enum cast_path array_path(struct col from, struct col to, enum fn_cast_context context, const struct fn **ret) {
    struct col f = col_of(from.elem), t = col_of(to.elem);
    f.type_id = from.type_id;
    t.type_id = to.type_id;
    enum cast_path p = cast_path(f, t, context, ret);
    return p == CAST_NONE || p == CAST_RELABEL ? p : CAST_ARRAY;
}

enum cast_path cast_path(struct col from, struct col to, enum fn_cast_context context, const struct fn **ret) {
    *ret = NULL;
    if (type_same(from, to))
        return CAST_RELABEL;
    if (from.type == FN_NAME || to.type == FN_NAME || is_reg(from.type) || is_reg(to.type))
        return special_path(from, to, context, ret);
    if (from.type >= FN_ANY || to.type >= FN_ANY)
        return CAST_NONE;
    const struct fn_cast *c =
        from.type != COL_ENUM && to.type != COL_ENUM && from.type != COL_ARRAY && to.type != COL_ARRAY
            ? fn_cast_find(from.type, to.type)
            : NULL;
    if (c && c->context <= context) {
        if (!c->fn)
            return CAST_RELABEL;
        *ret = fn_by_id(c->fn);
        return *ret ? CAST_CALL : CAST_IO;
    }
    if (from.type == COL_ARRAY && to.type == COL_ARRAY)
        return array_path(from, to, context, ret);
    if (context >= FN_CAST_ASSIGNMENT && type_category(to.type) == 'S')
        return CAST_IO;
    return context >= FN_CAST_EXPLICIT && type_category(from.type) == 'S' ? CAST_IO : CAST_NONE;
}

bool can_coerce(struct col from, struct col to, enum fn_cast_context context) {
    const struct fn *f;
    if (from.type == FN_UNKNOWN)
        return true;
    if (to.type == FN_ANY)
        return true;
    return cast_path(from, to, context, &f) != CAST_NONE;
}

/* ---- parameters ---------------------------------------------------------------------------------------------------- */

static bool param_is(struct an *an, struct expr *e, struct col to, int32_t location) {
    struct an_param *p = &an->param[e->param - 1];
    struct col plain = type_plain(to);
    if (p->type.type == COL_NONE || p->type.type == FN_UNKNOWN)
        p->type = plain;
    else if (!type_same(p->type, plain)) {
        fail(an, expr_location(e), "42P08", "inconsistent types deduced for parameter $%u", e->param);
        return fail_detail(an, "%s versus %s", type_text(an, p->type), type_text(an, plain));
    }
    e->type = plain;
    /* Where the cast stands, if it is further left. */
    if (location >= 0 && (e->location < 0 || location < e->location))
        e->location = location;
    return true;
}

/* ---- one expression -------------------------------------------------------------------------------------------------- */

static struct expr *cast_call(struct an *an, enum expr_kind kind, const struct fn *f, struct expr *e, struct col to,
                              int32_t location) {
    struct expr *c = expr_new(an, kind, type_plain(to), 1, location);
    if (!c)
        return NULL;
    c->arg[0] = e;
    if (kind == EXPR_CALL)
        c->call.fn = f;
    return fold(an, c);
}

static const char *reg_io(uint8_t from, uint8_t to) {
    if (to == FN_REGCLASS)
        return "regclassin";
    if (to == FN_REGPROC)
        return "regprocin";
    switch (from) {
    case FN_REGCLASS:
        return "regclassout";
    case FN_REGTYPE:
        return "regtypeout";
    case FN_REGPROC:
        return "regprocout";
    case FN_REGNAMESPACE:
        return "regnamespaceout";
    case FN_REGROLE:
        return "regroleout";
    default:
        return NULL;
    }
}

static bool session_there(const struct an *an) {
    return an->in->env && an->in->env->session;
}

struct expr *coerce_type(struct an *an, struct expr *e, struct col to, enum fn_cast_context context, int32_t location) {
    const struct fn *f;
    if (to.type == FN_ANY || type_same(e->type, to))
        return e;
    if (e->type.type == FN_UNKNOWN) {
        if (e->kind == EXPR_PARAM) {
            /* A name comes as text, and is looked up when the statement runs. */
            bool named = is_reg(to.type);
            if (!param_is(an, e, named ? col_of(COL_TEXT) : to, location))
                return NULL;
            return named ? coerce_type(an, e, to, FN_CAST_EXPLICIT, location) : e;
        }
        if (e->kind == EXPR_CONST) {
            struct expr *c = expr_new(an, EXPR_CONST, type_plain(to), 0, e->location);
            if (!c)
                return NULL;
            c->value = e->value;
            if (e->value.kind == VALUE_NULL)
                return c;
            if (to.type == COL_INTERVAL)
                c->type.typmod = to.typmod;
            return literal_input(an, e->value.p, c->type, e->location, &c->value) ? c : NULL;
        }
        /* A column of type unknown cannot be: subqueries make them text. */
        e->type = col_of(COL_TEXT);
        return coerce_type(an, e, to, FN_CAST_EXPLICIT, location);
    }
    enum cast_path p = cast_path(e->type, to, context, &f);
    CHECKF(p != CAST_NONE, "no cast from type %u to %u", e->type.type, to.type);
    if ((is_reg(e->type.type) && is_string(to.type)) || (is_reg(to.type) && is_string(e->type.type))) {
        /* They are numbers that print as names. */
        size_t at = 0;
        const char *io = reg_io(e->type.type, to.type);
        f = io ? fn_by_name(io, &at) : NULL;
        if (!f || !session_there(an)) {
            unsupported(an, location, "cast from %s to %s is not supported", type_text(an, e->type), type_text(an, to));
            return NULL;
        }
        if (is_string(to.type))
            return cast_call(an, EXPR_CALL, f, e, to, location);
        e = coerce_type(an, e, col_of(COL_TEXT), FN_CAST_IMPLICIT, location);
        return e ? cast_call(an, EXPR_CALL, f, e, to, location) : NULL;
    }
    if (p == CAST_RELABEL) {
        struct expr *r = e;
        if (e->kind == EXPR_CONST) { /* another name for the same bytes */
            r = expr_new(an, EXPR_CONST, type_plain(to), 0, e->location);
            if (r) {
                r->value = e->value;
                if (type_lowered(to).type == COL_OID && r->value.kind == VALUE_INT) /* (-1)::oid is 4294967295 */
                    r->value.i &= UINT32_MAX;
            }
            return r;
        }
        r = expr_new(an, EXPR_RELABEL, type_plain(to), 1, location);
        if (r)
            r->arg[0] = e;
        return r;
    }
    return cast_call(an, p == CAST_CALL ? EXPR_CALL : EXPR_TYPE_IO, f, e, to, location);
}

static bool has_length(uint8_t type) {
    return type == COL_NUMERIC || type == COL_VARCHAR || type == COL_CHAR || type == COL_TIME ||
           type == COL_TIMESTAMP || type == COL_TIMESTAMPTZ || type == COL_INTERVAL;
}

/* The same type with another modifier, or without one: stored numerics differ by it. */
struct expr *retype(struct an *an, struct expr *e, int32_t typmod) {
    if (!e || e->type.typmod == typmod)
        return e;
    struct col to = e->type;
    to.typmod = typmod;
    if (e->kind == EXPR_CONST && (e->value.kind == VALUE_NULL || to.type != COL_NUMERIC)) {
        struct expr *c = expr_new(an, EXPR_CONST, to, 0, e->location);
        if (c)
            c->value = e->value;
        return c;
    }
    struct expr *r = expr_new(an, EXPR_RELABEL, to, 1, e->location);
    if (r)
        r->arg[0] = e;
    return r;
}

/* What the modifier asks for: a length, a scale. */
static struct expr *coerce_typmod(struct an *an, struct expr *e, struct col to, bool explicit, int32_t location) {
    if (!has_length(to.type == COL_ARRAY ? to.elem : to.type))
        return e;
    if (to.typmod < 0 || e->type.typmod == to.typmod)
        return retype(an, e, to.typmod);
    if (e->kind == EXPR_CONST && e->value.kind == VALUE_NULL) {
        e->type.typmod = to.typmod;
        return e;
    }
    struct expr *c = expr_new(an, EXPR_LIMIT, to, 1, location);
    if (!c)
        return NULL;
    c->arg[0] = e;
    c->flag = explicit;
    return fold(an, c);
}

struct expr *coerce_to_target(struct an *an, struct expr *e, struct col to, enum fn_cast_context context,
                              int32_t location) {
    if (!can_coerce(e->type, to, context))
        return NULL;
    /* A row of an array: ARRAY['1','2']::int4[] reads its elements as int4 before, see expr.c. */
    struct expr *c = coerce_type(an, e, to, context, location);
    return c ? coerce_typmod(an, c, to, context == FN_CAST_EXPLICIT, location) : NULL;
}

struct expr *coerce_boolean(struct an *an, struct expr *e, const char *what) {
    if (e->type.type == COL_BOOL)
        return e;
    struct expr *c = coerce_to_target(an, e, col_of(COL_BOOL), FN_CAST_ASSIGNMENT, -1);
    if (!c && !an->rc)
        fail(an, expr_location(e), "42804", "argument of %s must be type %s, not type %s", what, "boolean",
             type_text(an, e->type));
    return c;
}

struct expr *coerce_int8(struct an *an, struct expr *e, const char *what) {
    struct expr *c = coerce_to_target(an, e, col_of(COL_INT8), FN_CAST_ASSIGNMENT, -1);
    if (!c && !an->rc)
        fail(an, expr_location(e), "42804", "argument of %s must be type %s, not type %s", what, "bigint",
             type_text(an, e->type));
    return c;
}

struct expr *assign_to_column(struct an *an, struct expr *e, const struct cat_column *c, int32_t location) {
    struct expr *to = coerce_to_target(an, e, c->type, FN_CAST_ASSIGNMENT, -1);
    if (!to && !an->rc) {
        fail(an, expr_location(e) >= 0 ? expr_location(e) : location, "42804",
             "column \"%s\" is of type %s but expression is of type %s", c->name, type_text(an, c->type),
             type_text(an, e->type));
        fail_hint(an, "You will need to rewrite or cast the expression.");
    }
    return to;
}

/* ---- several expressions ----------------------------------------------------------------------------------------------- */

/* The rules of section 10.5 (UNION, CASE and the like). */
struct col common_type(struct an *an, struct expr *const *e, uint32_t n, const char *what, uint32_t *ret_which) {
    struct col type = n ? type_plain(e[0]->type) : col_of(COL_TEXT);
    uint32_t which = 0, i = 1;
    if (type.type != FN_UNKNOWN)
        while (i < n && type_same(e[i]->type, type))
            i++;
    else
        i = 0;
    for (; i < n; i++) {
        struct col t = type_plain(e[i]->type);
        if (t.type == FN_UNKNOWN || type_same(t, type))
            continue;
        if (type.type == FN_UNKNOWN) {
            type = t;
            which = i;
        } else if (type_category(t.type) != type_category(type.type)) {
            if (what)
                fail(an, expr_location(e[i]), "42804", "%s types %s and %s cannot be matched", what,
                     type_text(an, type), type_text(an, t));
            return col_of(COL_NONE);
        } else if (!type_preferred(type.type) && can_coerce(type, t, FN_CAST_IMPLICIT) &&
                   !can_coerce(t, type, FN_CAST_IMPLICIT)) {
            type = t;
            which = i;
        }
    }
    if (ret_which)
        *ret_which = which;
    return type.type == FN_UNKNOWN ? col_of(COL_TEXT) : type;
}

struct expr *coerce_to_common(struct an *an, struct expr *e, struct col to, const char *what) {
    if (type_same(e->type, to))
        return e;
    if (!can_coerce(e->type, to, FN_CAST_IMPLICIT)) {
        fail(an, expr_location(e), "42846", "%s could not convert type %s to %s", what, type_text(an, e->type),
             type_text(an, to));
        return NULL;
    }
    return coerce_type(an, e, to, FN_CAST_IMPLICIT, -1);
}

int32_t common_typmod(struct expr *const *e, uint32_t n, struct col common) {
    for (uint32_t i = 0; i < n; i++)
        if (!type_same(e[i]->type, common) || e[i]->type.typmod != e[0]->type.typmod)
            return COL_TYPMOD_NONE;
    return n ? e[0]->type.typmod : COL_TYPMOD_NONE;
}
