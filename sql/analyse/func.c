/* SPDX-License-Identifier: Apache-2.0 */
/*
 * func.c: which function or operator is meant, and its call.
 *
 * The rules are those of chapter 10 of PostgreSQL's manual; where prose is not enough, func_select_candidate and
 * binary_oper_exact of its parser decide: exact types first, then the most exact ones, then preferred types, then what unknown
 * literals could be.
 */
#include <string.h>

#include "sql/analyse/internal.h"

enum { CANDIDATES_MAX = 128, NAME_BYTES = 256 };

struct candidates {
    const struct fn *fn[CANDIDATES_MAX];
    uint32_t n;
};

/* The type that a row of the table names. */
static struct col declared(uint16_t t) {
    struct col c = col_of(COL_NONE);
    c.type = (uint8_t)(t & 0xff);
    c.elem = (uint8_t)(t >> 8);
    return c;
}

static struct col arg_type(const struct fn *f, uint32_t i) {
    return declared(fn_arg_type(f, i));
}

static bool poly_element(uint8_t t) {
    return t == FN_ANYELEMENT || t == FN_ANYCOMPATIBLE || t == FN_ANYNONARRAY;
}

static bool poly_array(uint8_t t) {
    return t == FN_ANYARRAY || t == FN_ANYCOMPATIBLEARRAY;
}

static bool takes(const struct fn *f, uint32_t n) {
    return f->variadic ? n >= f->args : n == f->args;
}

/* ---- do the arguments fit? ------------------------------------------------------------------------------------------ */

static struct col element(struct col c) {
    return (struct col){.type = c.elem, .typmod = COL_TYPMOD_NONE, .type_id = c.type_id};
}

/* What the polymorphic arguments agree on: FN_UNKNOWN if all are unknown, COL_NONE if they do not. */
static struct col poly_type(const struct fn *f, const struct col *type, uint32_t n) {
    struct col is = {.type = FN_UNKNOWN, .typmod = COL_TYPMOD_NONE};
    for (uint32_t i = 0; i < n; i++) {
        struct col want = arg_type(f, i), have = type_plain(type[i]);
        bool compatible = want.type == FN_ANYCOMPATIBLE || want.type == FN_ANYCOMPATIBLEARRAY;
        if ((!poly_element(want.type) && !poly_array(want.type)) || have.type == FN_UNKNOWN)
            continue;
        if (want.type == FN_ANYNONARRAY && have.type == COL_ARRAY)
            return col_of(COL_NONE);
        if (poly_array(want.type)) {
            if (have.type != COL_ARRAY)
                return col_of(COL_NONE);
            have = element(have);
        }
        if (is.type == FN_UNKNOWN || type_same(is, have))
            is = have;
        else if (!compatible)
            return col_of(COL_NONE);
        else if (type_category(is.type) != type_category(have.type))
            return col_of(COL_NONE);
        else if (!type_preferred(is.type) && can_coerce(is, have, FN_CAST_IMPLICIT) &&
                 !can_coerce(have, is, FN_CAST_IMPLICIT))
            is = have;
    }
    return is;
}

static bool fits(const struct fn *f, const struct col *type, uint32_t n) {
    bool poly = false;
    for (uint32_t i = 0; i < n; i++) {
        struct col want = arg_type(f, i);
        if (poly_element(want.type) || poly_array(want.type))
            poly = true;
        else if (!can_coerce(type[i], want, FN_CAST_IMPLICIT))
            return false;
    }
    return !poly || poly_type(f, type, n).type != COL_NONE;
}

/* ---- the choice -------------------------------------------------------------------------------------------------------- */

static void keep_best(struct candidates *c, const struct col *type, uint32_t n, bool preferred) {
    uint32_t best = 0, kept = 0;
    for (uint32_t k = 0; k < c->n; k++) {
        uint32_t match = 0;
        for (uint32_t i = 0; i < n; i++) {
            struct col want = arg_type(c->fn[k], i);
            if (type[i].type != FN_UNKNOWN &&
                (type_same(want, type_plain(type[i])) ||
                 (preferred && type_category(want.type) == type_category(type[i].type) && type_preferred(want.type))))
                match++;
        }
        if (match > best) {
            best = match;
            kept = 0;
        }
        if (match == best)
            c->fn[kept++] = c->fn[k];
    }
    c->n = kept;
}

/* What category do the candidates want where the type is unknown? String wins; else all must agree. */
static bool keep_by_category(struct candidates *c, const struct col *type, uint32_t n) {
    char category[FN_ARGS_MAX];
    bool preferred[FN_ARGS_MAX];
    for (uint32_t i = 0; i < n; i++) {
        bool conflict = false;
        category[i] = 0;
        preferred[i] = false;
        if (type[i].type != FN_UNKNOWN)
            continue;
        for (uint32_t k = 0; k < c->n; k++) {
            struct col want = arg_type(c->fn[k], i);
            char is = type_category(want.type);
            bool pref = type_preferred(want.type);
            if (!category[i] || (is != category[i] && is == 'S')) {
                category[i] = is;
                preferred[i] = pref;
            } else if (is == category[i]) {
                preferred[i] = preferred[i] || pref;
            } else {
                conflict = true;
            }
        }
        if (conflict && category[i] != 'S')
            return false;
    }
    uint32_t kept = 0;
    struct candidates was = *c;
    for (uint32_t k = 0; k < c->n; k++) {
        bool keep = true;
        for (uint32_t i = 0; i < n && keep; i++) {
            struct col want = arg_type(c->fn[k], i);
            if (type[i].type == FN_UNKNOWN)
                keep = type_category(want.type) == category[i] && (!preferred[i] || type_preferred(want.type));
        }
        if (keep)
            c->fn[kept++] = c->fn[k];
    }
    if (kept)
        c->n = kept;
    else
        *c = was;
    return true;
}

static const struct fn *choose(struct candidates *c, const struct col *type, uint32_t n) {
    uint32_t unknown = 0;
    for (uint32_t i = 0; i < n; i++)
        unknown += type[i].type == FN_UNKNOWN;
    if (c->n > 1)
        keep_best(c, type, n, false);
    if (c->n > 1)
        keep_best(c, type, n, true);
    if (c->n <= 1 || !unknown)
        return c->n == 1 ? c->fn[0] : NULL;
    keep_by_category(c, type, n);
    if (c->n == 1 || unknown == n)
        return c->n == 1 ? c->fn[0] : NULL;
    /* The known ones are all of one type: then the unknown ones may be that too. */
    struct col known = {.type = FN_UNKNOWN, .typmod = COL_TYPMOD_NONE}, all[FN_ARGS_MAX];
    for (uint32_t i = 0; i < n; i++) {
        if (type[i].type == FN_UNKNOWN)
            continue;
        if (known.type != FN_UNKNOWN && !type_same(known, type_plain(type[i])))
            return NULL;
        known = type_plain(type[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        all[i] = known;
    const struct fn *only = NULL;
    for (uint32_t k = 0; k < c->n; k++)
        if (fits(c->fn[k], all, n)) {
            if (only)
                return NULL;
            only = c->fn[k];
        }
    return only;
}

static const struct fn *exact(const struct candidates *c, const struct col *type, uint32_t n) {
    for (uint32_t k = 0; k < c->n; k++) {
        bool same = true;
        for (uint32_t i = 0; i < n && same; i++)
            same = type_same(arg_type(c->fn[k], i), type_plain(type[i]));
        if (same && (n > 0 || c->fn[k]->args == 0))
            return c->fn[k];
    }
    return NULL;
}

/* NULL: none (*ret_many false) or more than one. */
static const struct fn *resolve(struct candidates *c, const struct col *type, uint32_t n, bool *ret_many) {
    const struct fn *f = exact(c, type, n);
    *ret_many = false;
    if (f)
        return f;
    uint32_t kept = 0;
    for (uint32_t k = 0; k < c->n; k++)
        if (fits(c->fn[k], type, n))
            c->fn[kept++] = c->fn[k];
    c->n = kept;
    if (kept <= 1)
        return kept ? c->fn[0] : NULL;
    f = choose(c, type, n);
    *ret_many = !f;
    return f;
}

/* ---- arguments and results ------------------------------------------------------------------------------------------------ */

/* Coerces the arguments to what f takes; *ret: what it gives. */
static bool enforce(struct an *an, const struct fn *f, struct expr **arg, uint32_t n, struct col *ret) {
    struct col type[FN_ARGS_MAX];
    for (uint32_t i = 0; i < n; i++)
        type[i] = arg[i]->type;
    struct col poly = poly_type(f, type, n), given = declared(f->ret);
    bool needed = poly_element(given.type) || poly_array(given.type);
    for (uint32_t i = 0; i < n; i++)
        needed = needed || poly_element(arg_type(f, i).type) || poly_array(arg_type(f, i).type);
    if (needed && poly.type == FN_UNKNOWN) {
        bool text = false; /* of the compatible family: text */
        for (uint32_t i = 0; i < n; i++)
            text = text || arg_type(f, i).type == FN_ANYCOMPATIBLE || arg_type(f, i).type == FN_ANYCOMPATIBLEARRAY;
        if (!text)
            return fail(an, -1, "42804", "could not determine polymorphic type because input has type %s", "unknown");
        poly = col_of(COL_TEXT);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct col want = arg_type(f, i);
        if (poly_element(want.type))
            want = poly;
        else if (poly_array(want.type))
            want = col_array_of(type_lowered(poly));
        else if (want.type == FN_ANY && arg[i]->type.type == FN_UNKNOWN)
            want = col_of(COL_TEXT);
        if (want.type == COL_ARRAY && want.elem == COL_NONE)
            want = arg[i]->type;
        if (!(arg[i] = coerce_type(an, arg[i], want, FN_CAST_IMPLICIT, -1)))
            return false;
    }
    if (poly_element(given.type))
        given = poly;
    else if (poly_array(given.type))
        given = poly.type == COL_ARRAY ? poly : col_array_of(type_lowered(poly));
    if (given.type == COL_ARRAY && given.elem == COL_NONE)
        given.elem = COL_TEXT;
    *ret = given;
    return true;
}

/* ---- operators -------------------------------------------------------------------------------------------------------------- */

static void op_candidates(const char *op, uint32_t n, struct candidates *c) {
    const struct fn *f;
    size_t at = 0;
    c->n = 0;
    while ((f = fn_by_op(op, &at)))
        if (f->args == n && c->n < CANDIDATES_MAX)
            c->fn[c->n++] = f;
}

static const struct fn *op_find(struct an *an, const char *op, const char *schema, const struct col *type, uint32_t n,
                                int32_t location) {
    struct candidates c;
    bool many = false;
    const struct fn *f = NULL;
    op_candidates(op, n, &c);
    if (schema && strcmp(schema, "pg_catalog") != 0)
        c.n = 0;
    if (n == 2 && c.n) {
        struct col same[2] = {type[0], type[1]};
        if (type[0].type == FN_UNKNOWN)
            same[0] = type[1];
        else if (type[1].type == FN_UNKNOWN)
            same[1] = type[0];
        f = exact(&c, same, 2);
    }
    if (!f)
        f = resolve(&c, type, n, &many);
    /* PostgreSQL has more such operators than we, and could not choose. */
    if (f && (poly_array(arg_type(f, 0).type) || poly_element(arg_type(f, 0).type)) &&
        poly_type(f, type, n).type == FN_UNKNOWN) {
        f = NULL;
        many = true;
    }
    if (f)
        return f;
    const char *left = n == 2 ? type_text(an, type[0]) : "", *dot = schema ? "." : "";
    fail(an, location, many ? "42725" : "42883", "operator %s: %s%s%s%s%s %s",
         many ? "is not unique" : "does not exist", left, n == 2 ? " " : "", schema ? schema : "", dot, op,
         type_text(an, type[n - 1]));
    fail_hint(an, many     ? "Could not choose a best candidate operator. You might need to add explicit type casts."
                  : n == 1 ? "No operator matches the given name and argument type. You might need to add an explicit "
                             "type cast."
                           : "No operator matches the given name and argument types. You might need to add explicit "
                             "type casts.");
    return NULL;
}

const struct fn *op_for_named(struct an *an, const char *op, const char *schema, struct expr **left,
                              struct expr **right, int32_t location) {
    struct col type[2] = {(*left)->type, (*right)->type}, ret;
    struct expr *arg[2] = {*left, *right};
    const struct fn *f = op_find(an, op, schema, type, 2, location);
    if (!f || !enforce(an, f, arg, 2, &ret))
        return NULL;
    *left = arg[0];
    *right = arg[1];
    return f;
}

const struct fn *op_for(struct an *an, const char *op, struct expr **left, struct expr **right, int32_t location) {
    return op_for_named(an, op, NULL, left, right, location);
}

static void note_volatile(struct scope *s, const struct fn *f) {
    if (f->volatility == FN_VOLATILE)
        for (struct scope *at = s; at; at = at->outer)
            at->q->volatile_calls = true;
}

struct expr *make_op(struct scope *s, const char *op, const char *schema, struct expr *left, struct expr *right,
                     int32_t location) {
    struct an *an = s->an;
    uint32_t n = left ? 2 : 1;
    struct expr *arg[2] = {left ? left : right, right};
    struct col type[2] = {arg[0]->type, right->type}, ret;
    const struct fn *f = op_find(an, op, schema, type, n, location);
    if (!f || !enforce(an, f, arg, n, &ret))
        return NULL;
    struct expr *e = expr_new(an, EXPR_CALL, ret, n, location);
    if (!e)
        return NULL;
    memcpy(e->arg, arg, n * sizeof *arg);
    e->call.fn = f;
    note_volatile(s, f);
    return fold(an, e);
}

struct expr *make_array_op(struct scope *s, const char *op, const char *schema, bool all, struct expr *left,
                           struct expr *right, int32_t location) {
    struct an *an = s->an;
    struct col type[2] = {left->type, right->type}, ret;
    if (right->type.type == FN_UNKNOWN) {
        type[1] = right->type; /* the operator decides what its elements are */
    } else if (right->type.type != COL_ARRAY) {
        fail(an, location, "42809", "op ANY/ALL (array) requires array on right side");
        return NULL;
    } else {
        type[1] = element(right->type);
    }
    const struct fn *f = op_find(an, op, schema, type, 2, location);
    if (!f)
        return NULL;
    if (f->ret != COL_BOOL) {
        fail(an, location, "42809", "op ANY/ALL (array) requires operator to yield boolean");
        return NULL;
    }
    /* A stand-in for an element finds out what the elements must be. */
    struct expr *one = expr_new(an, EXPR_CONST, type[1], 0, right->location), *arg[2] = {left, one};
    if (!one)
        return NULL;
    one->value = value_null();
    if (!enforce(an, f, arg, 2, &ret))
        return NULL;
    struct col want = type_lowered(arg[1]->type);
    if (want.type == COL_ARRAY || want.type >= FN_ANY) {
        fail(an, location, "42704", "could not find array type for data type %s", type_text(an, arg[1]->type));
        return NULL;
    }
    right = coerce_type(an, right, col_array_of(type_plain(want)), FN_CAST_IMPLICIT, -1);
    struct expr *e = right ? expr_new(an, EXPR_ANY_ARRAY, col_of(COL_BOOL), 2, location) : NULL;
    if (!e)
        return NULL;
    e->arg[0] = arg[0];
    e->arg[1] = right;
    e->call.fn = f;
    e->flag = all;
    return e;
}

/* Is there an operator of that name for the type with itself? */
static bool has_op(const char *op, struct col c) {
    struct candidates list;
    bool many;
    struct col type[2] = {type_plain(c), type_plain(c)};
    op_candidates(op, 2, &list);
    return resolve(&list, type, 2, &many) != NULL;
}

bool type_has_order(struct col c) {
    return c.type != FN_RECORD && c.type != COL_JSON && c.type != FN_VOID && has_op("<", c);
}

bool type_has_equality(struct col c) {
    return c.type != FN_RECORD && c.type != COL_JSON && c.type != FN_VOID && has_op("=", c);
}

/* ---- calls ----------------------------------------------------------------------------------------------------------------------- */

static const char *signature(struct an *an, const char *name, struct expr *const *arg, uint32_t n) {
    const char *s = arena_printf(an->arena, "%s(", name);
    for (uint32_t i = 0; i < n && s; i++)
        s = arena_printf(an->arena, "%s%s%s", s, i ? ", " : "", type_text(an, arg[i]->type));
    s = s ? arena_printf(an->arena, "%s)", s) : NULL;
    return s ? s : name;
}

static void name_candidates(const char *name, uint32_t n, struct candidates *c) {
    const struct fn *f;
    size_t at = 0;
    c->n = 0;
    if (*name == '$') /* the compiler's own */
        return;
    while ((f = fn_by_name(name, &at)))
        if (takes(f, n) && c->n < CANDIDATES_MAX)
            c->fn[c->n++] = f;
}

/* text(x), float8(x): a call that is a cast. *ret NULL without an error: it is none. */
static bool call_as_cast(struct an *an, const char *name, struct expr *x, int32_t location, struct expr **ret) {
    struct col to = type_by_name(name);
    const struct fn *f;
    *ret = NULL;
    if (to.type == COL_NONE || to.type == FN_UNKNOWN)
        return true;
    enum cast_path p = x->type.type == FN_UNKNOWN ? CAST_RELABEL : cast_path(x->type, to, FN_CAST_EXPLICIT, &f);
    if (p == CAST_NONE || p == CAST_ARRAY)
        return true;
    *ret = coerce_to_target(an, x, to, FN_CAST_EXPLICIT, location);
    return *ret != NULL;
}

static bool is_aggregate(const char *name) {
    size_t at = 0;
    const struct fn *f = fn_by_name(name, &at);
    return f && f->kind == FN_AGGREGATE && f->args == 0;
}

static const struct fn *function_find(struct an *an, const char *name, const char *written, struct expr *const *arg,
                                      uint32_t n, int32_t location, struct expr **ret_cast) {
    struct col type[FN_ARGS_MAX];
    struct candidates c;
    bool many;
    *ret_cast = NULL;
    for (uint32_t i = 0; i < n; i++)
        type[i] = arg[i]->type;
    name_candidates(name, n, &c);
    const struct fn *f = exact(&c, type, n);
    if (f)
        return f;
    if (n == 1 && (!call_as_cast(an, name, arg[0], location, ret_cast) || *ret_cast))
        return NULL;
    f = resolve(&c, type, n, &many);
    if (f)
        return f;
    if (n == 0 && is_aggregate(name)) {
        fail(an, location, "42809", "%s(*) must be used to call a parameterless aggregate function", name);
        return NULL;
    }
    fail(an, location, many ? "42725" : "42883", "function %s %s", signature(an, written, arg, n),
         many ? "is not unique" : "does not exist");
    fail_hint(an, many ? "Could not choose a best candidate function. You might need to add explicit type casts."
                       : "No function matches the given name and argument types. You might need to add explicit type "
                         "casts.");
    return NULL;
}

/* Known to those who ask the catalog, and refused where they are called. */
static bool locks_by_number(const struct fn *f) {
    return f->session && strstr(f->name, "advisory") && strcmp(f->name, "pg_advisory_unlock_all") != 0;
}

static struct expr *call_new(struct scope *s, const struct fn *f, struct expr **arg, uint32_t n, int32_t location) {
    struct an *an = s->an;
    static const enum expr_kind kinds[] = {
        [FN_SCALAR] = EXPR_CALL, [FN_AGGREGATE] = EXPR_AGG, [FN_WINDOW] = EXPR_WINDOW, [FN_SET] = EXPR_SET};
    struct col ret;
    CHECK(f->kind < ARRAY_LEN(kinds));
    if (f->session && !(an->in->env && an->in->env->session)) {
        unsupported(an, location, "function %s is not supported here", f->name);
        return NULL;
    }
    if (locks_by_number(f)) {
        unsupported(an, location, "advisory locks are not supported");
        return NULL;
    }
    if (!enforce(an, f, arg, n, &ret))
        return NULL;
    struct expr *e = expr_new(an, kinds[f->kind], ret, n, location);
    if (!e)
        return NULL;
    if (n)
        memcpy(e->arg, arg, n * sizeof *arg);
    e->call.fn = f;
    note_volatile(s, f);
    return e;
}

struct expr *call_named(struct scope *s, const char *name, struct expr **arg, uint32_t n, int32_t location) {
    struct expr *cast;
    const struct fn *f = function_find(s->an, name, name, arg, n, location, &cast);
    if (!f)
        return cast;
    struct expr *e = call_new(s, f, arg, n, location);
    return e ? fold(s->an, e) : NULL;
}

/* What only aggregates or windows may say of themselves. */
static bool plain_call(struct an *an, const PQ(FuncCall) * f, const char *name) {
    const char *what = f->agg_star           ? NULL
                       : f->agg_distinct     ? "DISTINCT"
                       : f->agg_within_group ? "WITHIN GROUP"
                       : f->n_agg_order      ? "ORDER BY"
                       : f->agg_filter       ? "FILTER"
                                             : NULL;
    if (f->agg_star)
        return fail(an, f->location, "42809", "%s(*) specified, but %s is not an aggregate function", name, name);
    if (what)
        return fail(an, f->location, "42809", "%s specified, but %s is not an aggregate function", what, name);
    if (f->over)
        return fail(an, f->location, "42809",
                    "OVER specified, but %s is not a window function nor an aggregate function", name);
    return true;
}

/* The lowest query whose columns stand in an aggregate's arguments; -1: no columns. */
struct lowest {
    int64_t level;
    int32_t aggregate, window, set; /* locations + 1 of such calls inside; 0: none */
};

static bool see_lowest(void *ctx, struct expr *e, uint32_t levels) {
    struct lowest *l = ctx;
    if (e->kind == EXPR_COL && e->col.levels >= levels) {
        int64_t level = (int64_t)e->col.levels - levels;
        if (l->level < 0 || level < l->level)
            l->level = level;
    }
    if (levels == 0 && (e->kind == EXPR_AGG || e->kind == EXPR_GROUPING) && !l->aggregate)
        l->aggregate = e->location + 1;
    if (levels == 0 && e->kind == EXPR_WINDOW && !l->window)
        l->window = e->location + 1;
    if (levels == 0 && e->kind == EXPR_SET && !l->set)
        l->set = e->location + 1;
    return true;
}

static bool sorted_set(const char *name) {
    return strcmp(name, "percentile_cont") == 0 || strcmp(name, "percentile_disc") == 0 || strcmp(name, "mode") == 0;
}

static bool aggregate_call(struct scope *s, const PQ(FuncCall) * f, const char *name, struct expr *e) {
    struct an *an = s->an;
    struct lowest l = {.level = -1};
    e->star = f->agg_star;
    e->distinct = f->agg_distinct;
    if (e->args == 0 && !f->agg_star)
        return fail(an, f->location, "42809", "%s(*) must be used to call a parameterless aggregate function", name);
    if (f->over && f->agg_distinct)
        return fail(an, f->location, "0A000", "DISTINCT is not implemented for window functions");
    if (f->over && f->n_agg_order)
        return fail(an, f->location, "0A000", "aggregate ORDER BY is not implemented for window functions");
    if (f->agg_filter && !(e->filter = boolean_at(s, f->agg_filter, PLACE_FILTER, "FILTER")))
        return false;
    if (sorted_set(name) != f->agg_within_group)
        return f->agg_within_group
                   ? fail(an, f->location, "42809",
                          "%s is not an ordered-set aggregate, so it cannot have WITHIN GROUP", name)
                   : fail(an, f->location, "42809", "WITHIN GROUP is required for ordered-set aggregate %s", name);
    if (f->over && f->agg_within_group)
        return fail(an, f->location, "0A000", "OVER is not supported for ordered-set aggregate %s", name);
    if (f->over)
        return true;
    if ((f->n_agg_order || f->agg_distinct) && !aggregate_order(s, f->agg_order, f->n_agg_order, e, f->agg_distinct))
        return false;
    for (uint32_t i = 0; i < e->args; i++)
        if (!expr_walk(e->arg[i], 0, see_lowest, &l))
            return false;
    if (e->filter && !expr_walk(e->filter, 0, see_lowest, &l))
        return false;
    if (l.aggregate)
        return fail(an, l.aggregate - 1, "42803", "aggregate function calls cannot be nested");
    if (l.window)
        return fail(an, l.window - 1, "42803", "aggregate function calls cannot contain window function calls");
    if (l.set)
        return fail(an, l.set - 1, "0A000", "aggregate function calls cannot contain set-returning function calls");
    if (l.level > 0)
        return unsupported(an, f->location, "an aggregate of an outer query's columns is not supported");
    if (!aggregate_allowed(s, "aggregate functions", f->location))
        return false;
    if (!s->aggregates)
        s->aggregate_at = f->location;
    s->aggregates = true;
    return true;
}

static bool window_call(struct scope *s, const PQ(FuncCall) * f, const char *name, struct expr *e) {
    struct an *an = s->an;
    struct lowest l = {.level = -1};
    if (e->kind == EXPR_WINDOW) {
        if (f->agg_distinct)
            return fail(an, f->location, "0A000", "DISTINCT is not implemented for window functions");
        if (f->n_agg_order)
            return fail(an, f->location, "0A000", "aggregate ORDER BY is not implemented for window functions");
        if (f->agg_filter)
            return fail(an, f->location, "0A000", "FILTER is not implemented for non-aggregate window functions");
        if (f->agg_star)
            return fail(an, f->location, "42809", "%s(*) specified, but %s is not an aggregate function", name, name);
    }
    if (!window_allowed(s, f->location))
        return false;
    for (uint32_t i = 0; i < e->args; i++)
        if (!expr_walk(e->arg[i], 0, see_lowest, &l))
            return false;
    if (l.window)
        return fail(an, l.window - 1, "42P20", "window function calls cannot be nested");
    e->kind = EXPR_WINDOW;
    if (!(e->window = window_of(s, f->over)))
        return false;
    s->windows = true;
    return true;
}

static const struct fn *own_function(const char *name) {
    size_t at = 0;
    const struct fn *f = fn_by_name(name, &at);
    CHECK(f);
    return f;
}

/* Whole rows are values only for the functions that make JSON of them. */
static bool row_as_json(struct scope *s, const char *name, const PQ(Node) * n, struct expr **ret,
                        const char **ret_name) {
    static const struct {
        const char *name, *row, *then;
    } makers[] = {{"row_to_json", "$row_to_json", "to_json"},
                  {"to_json", "$row_to_json", "to_json"},
                  {"to_jsonb", "$row_to_jsonb", "to_jsonb"},
                  {"json_agg", "$row_to_json", "$json_agg_rows"},
                  {"jsonb_agg", "$row_to_jsonb", "jsonb_agg"}};
    struct expr **column;
    uint32_t columns;
    *ret = NULL;
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        if (strcmp(makers[i].name, name) != 0)
            continue;
        if (!whole_row(s, n, &column, &columns))
            return false;
        if (!column)
            break;
        *ret_name = makers[i].then;
        *ret = call_new(s, own_function(makers[i].row), column, columns, node_location(n));
        return *ret != NULL;
    }
    return true;
}

struct expr *function_call(struct scope *s, const PQ(FuncCall) * f) {
    struct an *an = s->an;
    const char *name = node_string(f->funcname[f->n_funcname - 1]), *written = name;
    const char *schema = f->n_funcname > 1 ? node_string(f->funcname[f->n_funcname - 2]) : NULL;
    uint32_t n = (uint32_t)f->n_args, direct = n;
    if (f->agg_within_group && !sorted_set(name)) {
        unsupported(an, f->location, "WITHIN GROUP of %s is not supported", name);
        return NULL;
    }
    if (f->agg_within_group) /* what is sorted by is an argument too */
        n += (uint32_t)f->n_agg_order;
    if (f->n_funcname > 2) {
        unsupported(an, f->location, "functions of other databases are not supported");
        return NULL;
    }
    if (schema && !(written = arena_printf(an->arena, "%s.%s", schema, name))) {
        fail_memory(an);
        return NULL;
    }
    if (n > FN_ARGS_MAX) {
        fail(an, f->location, "54023", "cannot pass more than %d arguments to a function", FN_ARGS_MAX);
        return NULL;
    }
    if (f->func_variadic) {
        unsupported(an, f->location, "VARIADIC arguments are not supported");
        return NULL;
    }
    struct expr **arg = an_new(an, (size_t)n + 1, sizeof *arg), *cast;
    bool here = !schema || strcmp(schema, "pg_catalog") == 0;
    const char *own = NULL; /* what is called instead */
    for (uint32_t i = 0; i < n && arg; i++) {
        const PQ(Node) *node = i < direct ? f->args[i] : f->agg_order[i - direct]->sort_by->node;
        if (here && n == 1 && !row_as_json(s, name, node, &arg[0], &own))
            return NULL;
        if (!arg[i] && !(arg[i] = expression(s, node)))
            return NULL;
    }
    if (!arg)
        return NULL;
    bool ours = schema && strcmp(schema, "meridian") == 0; /* their names have the schema in them */
    const struct fn *fn = own ? own_function(own)
                              : function_find(an,
                                              here   ? name
                                              : ours ? written
                                                     : "",
                                              written, arg, n, f->location, &cast);
    if (!fn) {
        if (cast && !plain_call(an, f, written))
            return NULL;
        return cast;
    }
    struct expr *e = call_new(s, fn, arg, n, f->location);
    if (!e)
        return NULL;
    bool ok = true;
    if (fn->kind == FN_AGGREGATE)
        ok = aggregate_call(s, f, name, e) && (!f->over || window_call(s, f, name, e));
    else if (fn->kind == FN_WINDOW)
        ok = f->over ? window_call(s, f, name, e)
                     : fail(an, f->location, "42809", "window function %s requires an OVER clause", name);
    else
        ok = plain_call(an, f, name) && (fn->kind != FN_SET || set_allowed(s, f->location)) &&
             (!fn->second || s->place == PLACE_FROM_FUNCTION ||
              unsupported(an, f->location, "function %s is supported in FROM only", name));
    return ok ? fold(an, e) : NULL;
}
