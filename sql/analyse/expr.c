/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr.c: expressions (PostgreSQL's parse_expr.c says what each means).
 *
 * What the grammar has as one thing and is several to us is written out: BETWEEN, comparisons of rows, CASE x WHEN. An operand that
 * then stands twice is analysed twice, so trees stay trees; a count of nodes bounds what comes of such towers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sql/analyse/internal.h"

enum { NODES_MAX = 4 << 20 };

struct expr *expr_new(struct an *an, enum expr_kind kind, struct col type, uint32_t args, int32_t location) {
    if (++an->nodes > NODES_MAX) {
        fail(an, location, "54001", "stack depth limit exceeded");
        return NULL;
    }
    struct expr *e = an_new(an, 1, sizeof *e);
    if (!e)
        return NULL;
    e->kind = kind;
    e->type = type;
    e->args = args;
    e->location = location;
    e->arg = args ? an_new(an, args, sizeof *e->arg) : NULL;
    return args && !e->arg ? NULL : e;
}

struct expr *const_null(struct an *an, struct col type) {
    struct expr *e = expr_new(an, EXPR_CONST, type, 0, -1);
    if (e)
        e->value = value_null();
    return e;
}

struct expr *const_int(struct an *an, struct col type, int64_t i) {
    struct expr *e = expr_new(an, EXPR_CONST, type, 0, -1);
    if (e)
        e->value = value_int(i);
    return e;
}

struct expr *const_bool(struct an *an, bool b) {
    return const_int(an, col_of(COL_BOOL), b);
}

int32_t expr_location(const struct expr *e) {
    switch (e->kind) {
    case EXPR_CALL:
    case EXPR_RELABEL:
    case EXPR_TYPE_IO:
    case EXPR_LIMIT:
    case EXPR_AND:
    case EXPR_OR:
    case EXPR_NOT:
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
    case EXPR_DISTINCT:
    case EXPR_NULLIF:
    case EXPR_IN:
    case EXPR_ANY_ARRAY:
    case EXPR_SUBSCRIPT:
    case EXPR_SUBLINK: {
        int32_t first = e->args ? expr_location(e->arg[0]) : -1;
        return e->location < 0 || (first >= 0 && first < e->location) ? first : e->location;
    }
    default:
        return e->location;
    }
}

static struct expr *unary(struct an *an, enum expr_kind kind, struct expr *x, int32_t location) {
    struct expr *e = x ? expr_new(an, kind, col_of(COL_BOOL), 1, location) : NULL;
    if (e)
        e->arg[0] = x;
    return e;
}

static struct expr *logic(struct an *an, enum expr_kind kind, struct expr *x, struct expr *y, int32_t location) {
    struct expr *e = x && y ? expr_new(an, kind, col_of(COL_BOOL), 2, location) : NULL;
    if (!e)
        return NULL;
    e->arg[0] = x;
    e->arg[1] = y;
    return fold(an, e);
}

/* ---- literals ------------------------------------------------------------------------------------------------------ */

static struct expr *literal(struct scope *s, const PQ(AConst) * c) {
    struct an *an = s->an;
    struct expr *e = expr_new(an, EXPR_CONST, col_of(COL_INT4), 0, c->location);
    if (!e)
        return NULL;
    e->type.type = FN_UNKNOWN;
    e->value = value_null();
    if (c->isnull)
        return e;
    switch (c->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        e->type.type = COL_INT4;
        e->value = value_int(c->ival->ival);
        return e;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        e->type.type = COL_BOOL;
        e->value = value_int(c->boolval->boolval);
        return e;
    case PG_QUERY__A__CONST__VAL_SVAL:
        e->value = value_text(c->sval->sval, strlen(c->sval->sval));
        return e;
    case PG_QUERY__A__CONST__VAL_FVAL: {
        const char *text = c->fval->fval;
        char *end;
        errno = 0;
        long long i = strtoll(text, &end, 10);
        if (*end == 0 && errno == 0) {
            e->type.type = i >= INT32_MIN && i <= INT32_MAX ? COL_INT4 : COL_INT8;
            e->value = value_int(i);
            return e;
        }
        e->type.type = COL_NUMERIC;
        return literal_input(an, text, e->type, c->location, &e->value) ? e : NULL;
    }
    default:
        unsupported(an, c->location, "bit strings are not supported");
        return NULL;
    }
}

static struct expr *parameter(struct scope *s, const PQ(ParamRef) * p) {
    struct an *an = s->an;
    if (p->number < 1 || p->number > AN_PARAMS_MAX) {
        fail(an, p->location, "42P02", "there is no parameter $%d", p->number);
        return NULL;
    }
    size_t n = (size_t)p->number;
    if (n > an->params_cap) {
        size_t cap = n < 16 ? 16 : 2 * n;
        struct an_param *more = an_new(an, cap, sizeof *more);
        if (!more)
            return NULL;
        if (an->params)
            memcpy(more, an->param, an->params * sizeof *more);
        an->param = more;
        an->params_cap = cap;
    }
    if (n > an->params)
        an->params = n;
    struct an_param *known = &an->param[n - 1];
    struct expr *e = expr_new(an, EXPR_PARAM, known->type, 0, p->location);
    if (!e)
        return NULL;
    e->param = (uint32_t)n;
    if (known->type.type == COL_NONE) {
        e->type = (struct col){.type = FN_UNKNOWN, .typmod = COL_TYPMOD_NONE};
        known->location = p->location;
    }
    return e;
}

/* ---- operators ------------------------------------------------------------------------------------------------------ */

static bool op_name(struct scope *s, PQ(Node) *const *name, size_t n, int32_t location, const char **op,
                    const char **schema) {
    *op = n ? node_string(name[n - 1]) : "=";
    *schema = n > 1 ? node_string(name[n - 2]) : NULL;
    if (n > 2)
        return fail(s->an, location, "42601", "improper qualified name (too many dotted names)");
    return true;
}

static struct expr *row_compare(struct scope *s, const char *op, const PQ(RowExpr) * l, const PQ(RowExpr) * r,
                                int32_t location) {
    struct an *an = s->an;
    if (l->n_args != r->n_args) {
        fail(an, location, "42601", "unequal number of entries in row expressions");
        return NULL;
    }
    if (l->n_args == 0) {
        fail(an, location, "0A000", "cannot compare rows of zero length");
        return NULL;
    }
    bool equal = strcmp(op, "=") == 0, unequal = strcmp(op, "<>") == 0;
    bool order = strcmp(op, "<") == 0 || strcmp(op, "<=") == 0 || strcmp(op, ">") == 0 || strcmp(op, ">=") == 0;
    if (!equal && !unequal && !order) {
        fail(an, location, "0A000", "could not determine interpretation of row comparison operator %s", op);
        fail_hint(an, "Row comparison operators must be associated with btree operator families.");
        return NULL;
    }
    /* From the right: a < c OR (a = c AND rest). */
    const char strict[2] = {op[0], 0};
    struct expr *e = NULL;
    for (size_t i = l->n_args; i-- > 0;) {
        struct expr *x = expression(s, l->args[i]), *y = x ? expression(s, r->args[i]) : NULL;
        const char *this = equal || unequal || i + 1 == l->n_args ? op : strict;
        struct expr *c = y ? make_op(s, this, NULL, x, y, location) : NULL;
        if (!c)
            return NULL;
        if (!e) {
            e = c;
        } else if (equal || unequal) {
            e = logic(an, equal ? EXPR_AND : EXPR_OR, c, e, location);
        } else {
            x = expression(s, l->args[i]);
            y = x ? expression(s, r->args[i]) : NULL;
            struct expr *same = y ? make_op(s, "=", NULL, x, y, location) : NULL;
            struct expr *rest = same ? logic(an, EXPR_AND, same, e, location) : NULL;
            e = rest ? logic(an, EXPR_OR, c, rest, location) : NULL;
        }
        if (!e)
            return NULL;
    }
    return e;
}

static struct expr *plain_op(struct scope *s, const PQ(AExpr) * a) {
    const char *op, *schema;
    if (!op_name(s, a->name, a->n_name, a->location, &op, &schema))
        return NULL;
    if (PQ_NODE(a->lexpr, ROW_EXPR) && PQ_NODE(a->rexpr, ROW_EXPR))
        return row_compare(s, op, a->lexpr->row_expr, a->rexpr->row_expr, a->location);
    if ((PQ_NODE(a->lexpr, ROW_EXPR) && PQ_NODE(a->rexpr, SUB_LINK)) ||
        (PQ_NODE(a->rexpr, ROW_EXPR) && PQ_NODE(a->lexpr, SUB_LINK))) {
        unsupported(s->an, a->location, "comparison of a row with a subquery is not supported");
        return NULL;
    }
    struct expr *l = a->lexpr ? expression(s, a->lexpr) : NULL;
    if (a->lexpr && !l)
        return NULL;
    struct expr *r = expression(s, a->rexpr);
    return r ? make_op(s, op, schema, l, r, a->location) : NULL;
}

static struct expr *array_op(struct scope *s, const PQ(AExpr) * a, bool all) {
    const char *op, *schema;
    if (!op_name(s, a->name, a->n_name, a->location, &op, &schema))
        return NULL;
    struct expr *l = expression(s, a->lexpr), *r = l ? expression(s, a->rexpr) : NULL;
    return r ? make_array_op(s, op, schema, all, l, r, a->location) : NULL;
}

/* IS [NOT] DISTINCT FROM; with NULL it is IS [NOT] NULL. */
static struct expr *distinct_op(struct scope *s, const PQ(AExpr) * a, bool negate) {
    struct an *an = s->an;
    struct expr *l = expression(s, a->lexpr), *r = l ? expression(s, a->rexpr) : NULL;
    if (!r)
        return NULL;
    const struct fn *f = op_for(an, "=", &l, &r, a->location);
    struct expr *e = f ? expr_new(an, EXPR_DISTINCT, col_of(COL_BOOL), 2, a->location) : NULL;
    if (!e)
        return NULL;
    e->arg[0] = l;
    e->arg[1] = r;
    e->call.fn = f;
    e->flag = negate;
    return e;
}

static struct expr *nullif_op(struct scope *s, const PQ(AExpr) * a) {
    struct an *an = s->an;
    struct expr *l = expression(s, a->lexpr), *r = l ? expression(s, a->rexpr) : NULL;
    if (!r)
        return NULL;
    const struct fn *f = op_for(an, "=", &l, &r, a->location);
    struct expr *e = f ? expr_new(an, EXPR_NULLIF, type_plain(l->type), 2, a->location) : NULL;
    if (!e)
        return NULL;
    e->arg[0] = l;
    e->arg[1] = r;
    e->call.fn = f;
    return e;
}

static bool see_column(void *ctx, struct expr *e, uint32_t levels) {
    (void)ctx;
    return e->kind != EXPR_COL || e->col.levels != levels;
}

/* x IN (what depends on no row), as one node, if all of it has a common type with x; *ret NULL without an error: it has not. */
static bool in_node(struct scope *s, struct expr *x, struct expr **list, uint32_t n, bool negate, int32_t location,
                    struct expr **ret) {
    struct an *an = s->an;
    struct expr **all = an_new(an, (size_t)n + 1, sizeof *all);
    *ret = NULL;
    if (!all)
        return false;
    all[0] = x;
    memcpy(all + 1, list, n * sizeof(struct expr *));
    struct col type = common_type(an, all, n + 1, NULL, NULL);
    if (type.type == COL_NONE || type.type == FN_RECORD || type.type == COL_ARRAY)
        return true;
    for (uint32_t i = 0; i <= n; i++)
        if (!can_coerce(all[i]->type, type, FN_CAST_IMPLICIT))
            return true;
    for (uint32_t i = 1; i <= n; i++)
        if (!(all[i] = coerce_type(an, all[i], type, FN_CAST_IMPLICIT, -1)))
            return false;
    /* The operator is that of x and the common type. */
    struct expr *left = x, *right = all[1];
    const struct fn *f = op_for(an, "=", &left, &right, location);
    struct expr *e = f ? expr_new(an, EXPR_IN, col_of(COL_BOOL), n + 1, location) : NULL;
    if (!e)
        return false;
    e->call.fn = f;
    e->flag = negate;
    e->arg[0] = left;
    e->arg[1] = right;
    for (uint32_t i = 2; i <= n; i++)
        if (!(e->arg[i] = coerce_type(an, all[i], type_plain(right->type), FN_CAST_IMPLICIT, -1)))
            return false;
    *ret = e;
    return true;
}

/* What depends on no row becomes one node (if it is more than one), the rest is compared one by one. */
static struct expr *in_op(struct scope *s, const PQ(AExpr) * a) {
    struct an *an = s->an;
    bool negate = strcmp(node_string(a->name[0]), "<>") == 0;
    const char *op = negate ? "<>" : "=";
    if (!PQ_NODE(a->rexpr, LIST)) {
        unsupported(an, a->location, "this form of IN is not supported");
        return NULL;
    }
    const PQ(List) *list = a->rexpr->list;
    uint32_t n = (uint32_t)list->n_items, consts = 0, at = 0;
    bool rows = PQ_NODE(a->lexpr, ROW_EXPR);
    struct expr **item = an_new(an, 2 * (size_t)n + 1, sizeof *item), **apart = item ? item + n : NULL;
    struct expr *x = rows ? NULL : expression(s, a->lexpr), *e = NULL;
    if (!item || (!rows && !x))
        return NULL;
    for (uint32_t i = 0; i < n && !rows; i++) {
        if (!(item[i] = expression(s, list->items[i])))
            return NULL;
        if (expr_walk(item[i], 0, see_column, NULL))
            apart[consts++] = item[i];
    }
    if (consts > 1 && !in_node(s, x, apart, consts, negate, a->location, &e))
        return NULL;
    bool together = e != NULL;
    uint32_t parts = rows || !together ? n : n - consts;
    struct expr *all = parts + together > 1
                           ? expr_new(an, negate ? EXPR_AND : EXPR_OR, col_of(COL_BOOL), parts + together, a->location)
                           : NULL;
    if (parts + together > 1 && !all)
        return NULL;
    if (all && together)
        all->arg[at++] = e;
    for (uint32_t i = 0; i < n; i++) {
        struct expr *c;
        if (rows) {
            if (!PQ_NODE(list->items[i], ROW_EXPR)) {
                unsupported(an, a->location, "this form of IN is not supported");
                return NULL;
            }
            c = row_compare(s, op, a->lexpr->row_expr, list->items[i]->row_expr, a->location);
        } else {
            if (together && expr_walk(item[i], 0, see_column, NULL))
                continue;
            struct expr *l = at == 0 ? x : expression(s, a->lexpr);
            c = l ? make_op(s, op, NULL, l, item[i], a->location) : NULL;
        }
        if (!c || !all)
            return c;
        all->arg[at++] = c;
    }
    return all ? fold(an, all) : e;
}

static struct expr *compare(struct scope *s, const char *op, const PQ(Node) * l, const PQ(Node) * r, int32_t location) {
    if (PQ_NODE(l, ROW_EXPR) && PQ_NODE(r, ROW_EXPR))
        return row_compare(s, op, l->row_expr, r->row_expr, location);
    struct expr *x = expression(s, l), *y = x ? expression(s, r) : NULL;
    return y ? make_op(s, op, NULL, x, y, location) : NULL;
}

static struct expr *between_op(struct scope *s, const PQ(AExpr) * a) {
    struct an *an = s->an;
    bool negate = a->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN ||
                  a->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
    bool symmetric = a->kind == PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM ||
                     a->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
    struct expr *e = NULL;
    if (!PQ_NODE(a->rexpr, LIST) || a->rexpr->list->n_items != 2) {
        unsupported(an, a->location, "this form of BETWEEN is not supported");
        return NULL;
    }
    for (int i = 0; i <= (symmetric ? 1 : 0); i++) {
        const PQ(Node) *low = a->rexpr->list->items[i], *high = a->rexpr->list->items[1 - i];
        struct expr *x = compare(s, negate ? "<" : ">=", a->lexpr, low, a->location);
        struct expr *y = x ? compare(s, negate ? ">" : "<=", a->lexpr, high, a->location) : NULL;
        struct expr *both = y ? logic(an, negate ? EXPR_OR : EXPR_AND, x, y, a->location) : NULL;
        if (!both)
            return NULL;
        e = e ? logic(an, negate ? EXPR_AND : EXPR_OR, e, both, a->location) : both;
    }
    return e;
}

static struct expr *a_expr(struct scope *s, const PQ(AExpr) * a) {
    switch (a->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
        return plain_op(s, a);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
        return array_op(s, a, false);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
        return array_op(s, a, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
        return distinct_op(s, a, false);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return distinct_op(s, a, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
        return nullif_op(s, a);
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        return in_op(s, a);
    default:
        return between_op(s, a);
    }
}

/* ---- logic and conditions --------------------------------------------------------------------------------------------- */

static struct expr *bool_expr(struct scope *s, const PQ(BoolExpr) * b) {
    struct an *an = s->an;
    bool negation = b->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR;
    const char *what = negation ? "NOT" : b->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR ? "AND" : "OR";
    enum expr_kind kind = negation ? EXPR_NOT : b->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR ? EXPR_AND : EXPR_OR;
    struct expr *e = expr_new(an, kind, col_of(COL_BOOL), (uint32_t)b->n_args, b->location);
    for (size_t i = 0; i < b->n_args && e; i++) {
        struct expr *x = expression(s, b->args[i]);
        e->arg[i] = x ? coerce_boolean(an, x, what) : NULL;
        if (!e->arg[i])
            return NULL;
    }
    return e ? fold(an, e) : NULL;
}

static struct expr *null_test(struct scope *s, const PQ(NullTest) * t) {
    struct an *an = s->an;
    bool negated = t->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NOT_NULL;
    if (PQ_NODE(t->arg, ROW_EXPR)) { /* of a row: all of its fields */
        const PQ(RowExpr) *r = t->arg->row_expr;
        struct expr *e = NULL;
        for (size_t i = 0; i < r->n_args; i++) {
            struct expr *x = expression(s, r->args[i]);
            struct expr *c = unary(an, EXPR_IS_NULL, x, t->location);
            if (!c)
                return NULL;
            c->flag = negated;
            e = e ? logic(an, EXPR_AND, e, c, t->location) : c;
        }
        return e ? e : const_bool(an, true);
    }
    struct expr *e = unary(an, EXPR_IS_NULL, expression(s, t->arg), t->location);
    if (e)
        e->flag = negated;
    return e;
}

static struct expr *boolean_test(struct scope *s, const PQ(BooleanTest) * t) {
    static const struct {
        const char *what;
        char op;
        bool negated;
    } tests[] = {
        [PG_QUERY__BOOL_TEST_TYPE__IS_TRUE] = {"IS TRUE", 't', false},
        [PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE] = {"IS NOT TRUE", 't', true},
        [PG_QUERY__BOOL_TEST_TYPE__IS_FALSE] = {"IS FALSE", 'f', false},
        [PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE] = {"IS NOT FALSE", 'f', true},
        [PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN] = {"IS UNKNOWN", 'u', false},
        [PG_QUERY__BOOL_TEST_TYPE__IS_NOT_UNKNOWN] = {"IS NOT UNKNOWN", 'u', true},
    };
    CHECK((size_t)t->booltesttype < ARRAY_LEN(tests));
    struct expr *x = expression(s, t->arg);
    x = x ? coerce_boolean(s->an, x, tests[t->booltesttype].what) : NULL;
    struct expr *e = unary(s->an, EXPR_IS_BOOL, x, t->location);
    if (e) {
        e->op = tests[t->booltesttype].op;
        e->flag = tests[t->booltesttype].negated;
    }
    return e;
}

/* The expressions to a common type, which e then has. */
static bool to_common(struct an *an, struct expr *e, struct expr **x, uint32_t n, const char *what) {
    struct col type = common_type(an, x, n, what, NULL);
    if (type.type == COL_NONE)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!(x[i] = coerce_to_common(an, x[i], type, what)))
            return false;
    e->type = type;
    e->type.typmod = common_typmod(x, n, type);
    for (uint32_t i = 0; i < n; i++)
        if (!(x[i] = retype(an, x[i], e->type.typmod)))
            return false;
    return true;
}

static bool has_volatile(void *ctx, struct expr *e, uint32_t levels) {
    (void)ctx;
    (void)levels;
    bool call = e->kind == EXPR_CALL || e->kind == EXPR_AGG;
    return e->kind != EXPR_SUBLINK && e->kind != EXPR_SET && !(call && e->call.fn->volatility == FN_VOLATILE);
}

static struct expr *case_expr(struct scope *s, const PQ(CaseExpr) * c) {
    struct an *an = s->an;
    uint32_t n = (uint32_t)c->n_args;
    struct expr *e = expr_new(an, EXPR_CASE, col_of(COL_TEXT), 2 * n + 1, c->location);
    struct expr **result = e ? an_new(an, (size_t)n + 1, sizeof *result) : NULL;
    if (!result)
        return NULL;
    for (uint32_t i = 0; i < n; i++) {
        const PQ(CaseWhen) *w = c->args[i]->case_when;
        struct expr *when = expression(s, w->expr);
        if (when && c->arg) {
            struct expr *x = expression(s, c->arg);
            if (x && type_is_unknown(x->type))
                x = coerce_type(an, x, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1);
            if (!x)
                return NULL;
            if (n > 1 && !expr_walk(x, 0, has_volatile, NULL)) {
                unsupported(an, c->location, "CASE with a volatile operand or a subquery is not supported");
                return NULL;
            }
            when = make_op(s, "=", NULL, x, when, w->location);
        }
        e->arg[2 * i] = when ? coerce_boolean(an, when, "CASE/WHEN") : NULL;
        if (!e->arg[2 * i] || !(result[i + 1] = expression(s, w->result)))
            return NULL;
    }
    if (c->defresult) {
        if (!(result[0] = expression(s, c->defresult)))
            return NULL;
    } else {
        struct col unknown = {.type = FN_UNKNOWN, .typmod = COL_TYPMOD_NONE};
        if (!(result[0] = const_null(an, unknown)))
            return NULL;
    }
    /* The ELSE decides first, as in PostgreSQL. */
    if (!to_common(an, e, result, n + 1, "CASE"))
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        e->arg[2 * i + 1] = result[i + 1];
    e->arg[2 * n] = result[0];
    return e;
}

static struct expr *list_expr(struct scope *s, enum expr_kind kind, char op, PQ(Node) *const *arg, size_t n,
                              const char *what, int32_t location) {
    struct expr *e = expr_new(s->an, kind, col_of(COL_TEXT), (uint32_t)n, location);
    for (size_t i = 0; i < n && e; i++)
        if (!(e->arg[i] = expression(s, arg[i])))
            return NULL;
    if (!e || !to_common(s->an, e, e->arg, (uint32_t)n, what))
        return NULL;
    e->op = op;
    return e;
}

/* ---- functions of the grammar ----------------------------------------------------------------------------------------- */

static struct expr *named(struct scope *s, const char *name, int32_t location) {
    return call_named(s, name, NULL, 0, location);
}

static struct expr *cast_to(struct scope *s, struct expr *e, struct col to, int32_t location) {
    if (!e)
        return NULL;
    struct expr *c = coerce_to_target(s->an, e, to, FN_CAST_EXPLICIT, location);
    if (!c && !s->an->rc)
        fail(s->an, location, "42846", "cannot cast type %s to %s", type_text(s->an, e->type), type_text(s->an, to));
    return c;
}

static struct expr *value_function(struct scope *s, const PQ(SQLValueFunction) * f) {
    struct col ts = {.type = COL_TIMESTAMP, .typmod = COL_TYPMOD_NONE}, tz = ts, time = ts;
    tz.type = COL_TIMESTAMPTZ;
    time.type = COL_TIME;
    int32_t at = f->location;
    switch (f->op) {
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE:
        return cast_to(s, named(s, "now", at), col_of(COL_DATE), at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP:
        return named(s, "now", at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N:
        tz.typmod = f->typmod;
        return cast_to(s, named(s, "now", at), tz, at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N:
        ts.typmod = f->typmod;
        return cast_to(s, named(s, "now", at), ts, at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP:
        return cast_to(s, named(s, "now", at), ts, at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N:
        time.typmod = f->typmod;
        return cast_to(s, cast_to(s, named(s, "now", at), ts, at), time, at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME:
        return cast_to(s, cast_to(s, named(s, "now", at), ts, at), time, at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER:
        return named(s, "current_user", at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER:
        return named(s, "session_user", at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG:
        return named(s, "current_database", at);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA:
        return named(s, "current_schema", at);
    default:
        unsupported(s->an, at, "type time with time zone is not supported");
        return NULL;
    }
}

/* ---- arrays and rows ---------------------------------------------------------------------------------------------------- */

/* ARRAY[...]; want: the array type of a cast around it, else COL_NONE. */
static struct expr *array_expr(struct scope *s, const PQ(AArrayExpr) * a, struct col want, int32_t cast_location) {
    struct an *an = s->an;
    uint32_t n = (uint32_t)a->n_elements;
    struct expr *e = expr_new(an, EXPR_ARRAY, want, n, a->location);
    if (!e || !stack_ok(an))
        return NULL;
    bool nested = false;
    for (uint32_t i = 0; i < n; i++) {
        const PQ(Node) *x = a->elements[i];
        if (PQ_NODE(x, A_ARRAY_EXPR)) {
            e->arg[i] = array_expr(s, x->a_array_expr, want, cast_location);
            nested = true;
        } else {
            e->arg[i] = expression(s, x);
            nested = nested || (e->arg[i] && e->arg[i]->type.type == COL_ARRAY);
        }
        if (!e->arg[i])
            return NULL;
    }
    struct col elem;
    if (want.type == COL_ARRAY) {
        elem = col_of(want.elem);
        elem.typmod = want.typmod;
        elem.type_id = want.type_id;
    } else if (n == 0) {
        fail(an, a->location, "42P18", "cannot determine type of empty array");
        fail_hint(an, "Explicitly cast to the desired type, for example ARRAY[]::integer[].");
        return NULL;
    } else {
        elem = common_type(an, e->arg, n, "ARRAY", NULL);
        if (elem.type == COL_NONE)
            return NULL;
        if (elem.type == COL_ARRAY)
            nested = true;
    }
    if (nested) {
        e->type = want.type == COL_ARRAY ? want : elem;
        e->type.typmod = COL_TYPMOD_NONE;
        for (uint32_t i = 0; i < n; i++)
            if (e->arg[i]->type.type != COL_ARRAY && !type_is_unknown(e->arg[i]->type)) {
                fail(an, expr_location(e->arg[i]), "42804",
                     "multidimensional arrays must have array expressions with matching dimensions");
                return NULL;
            }
        elem = e->type;
    } else {
        struct col lowered = type_lowered(elem);
        if (elem.type == FN_RECORD || lowered.type >= FN_ANY) {
            fail(an, a->location, "42704", "could not find array type for data type %s", type_text(an, elem));
            return NULL;
        }
        e->type = col_array_of(type_plain(lowered));
    }
    for (uint32_t i = 0; i < n; i++) {
        struct expr *x = e->arg[i];
        if (want.type == COL_ARRAY) {
            e->arg[i] = coerce_to_target(an, x, elem, FN_CAST_EXPLICIT, cast_location);
            if (!e->arg[i] && !an->rc)
                fail(an, expr_location(x), "42846", "cannot cast type %s to %s", type_text(an, x->type),
                     type_text(an, elem));
        } else {
            e->arg[i] = coerce_to_common(an, x, elem, "ARRAY");
        }
        if (!e->arg[i])
            return NULL;
    }
    return e;
}

enum { SUBSCRIPTS_MAX = 6 };

static struct expr *subscript(struct scope *s, const PQ(Node) * n) {
    struct an *an = s->an;
    struct expr *y = expression(s, n);
    struct expr *c = y ? coerce_to_target(an, y, col_of(COL_INT4), FN_CAST_ASSIGNMENT, -1) : NULL;
    if (y && !c && !an->rc)
        fail(an, expr_location(y), "42804", "array subscript must have type integer");
    return c;
}

/* name[0] is its first byte, in PostgreSQL; pg_catalog's names are text here. */
static struct expr *byte_of_name(struct scope *s, struct expr *name, const PQ(AIndices) * at, int32_t location) {
    struct expr *i = subscript(s, at->uidx);
    struct expr *plus[] = {i, i ? const_int(s->an, col_of(COL_INT4), 1) : NULL};
    struct expr *place = plus[1] ? call_named(s, "int4pl", plus, 2, location) : NULL;
    struct expr *arg[] = {name, place, place ? const_int(s->an, col_of(COL_INT4), 1) : NULL};
    return arg[2] ? call_named(s, "substr", arg, 3, location) : NULL;
}

static struct expr *subscripts(struct scope *s, const PQ(AIndirection) * a) {
    struct an *an = s->an;
    struct expr *x = expression(s, a->arg);
    if (!x)
        return NULL;
    int32_t location = node_location(a->arg);
    for (size_t i = 0; i < a->n_indirection; i++) {
        const PQ(Node) *n = a->indirection[i];
        if (!PQ_NODE(n, A_INDICES)) {
            if (PQ_NODE(n, A_STAR)) {
                unsupported(an, location, "row expansion via \"*\" is not supported here");
                return NULL;
            }
            fail(an, location, "42809", "column notation .%s applied to type %s, which is not a composite type",
                 node_string(n), type_text(an, x->type));
            return NULL;
        }
    }
    if (x->kind == EXPR_COL && x->col.rel->kind == REL_CATALOG && x->type.type == COL_TEXT && a->n_indirection == 1 &&
        !a->indirection[0]->a_indices->is_slice)
        return byte_of_name(s, x, a->indirection[0]->a_indices, location);
    if (x->type.type != COL_ARRAY) {
        fail(an, location, "42804", "cannot subscript type %s because it does not support subscripting",
             type_text(an, x->type));
        return NULL;
    }
    struct col elem = {.type = x->type.elem,
                       .typmod = col_is_vector(&x->type) ? COL_TYPMOD_NONE : x->type.typmod,
                       .type_id = x->type.type_id};
    bool slice = false;
    for (size_t i = 0; i < a->n_indirection; i++)
        slice = slice || a->indirection[i]->a_indices->is_slice;
    if (a->n_indirection > SUBSCRIPTS_MAX) {
        fail(an, location, "54000", "number of array dimensions (%zu) exceeds the maximum allowed (%d)",
             a->n_indirection, SUBSCRIPTS_MAX);
        return NULL;
    }
    if (slice && col_is_vector(&x->type)) {
        unsupported(an, location, "slices of %s are not supported", type_text(an, x->type));
        return NULL;
    }
    struct expr *e = expr_new(an, EXPR_SUBSCRIPT, slice ? x->type : elem,
                              (uint32_t)a->n_indirection * (slice ? 2 : 1) + 1, location);
    if (!e)
        return NULL;
    e->arg[0] = x;
    e->flag = slice;
    for (size_t i = 0, n = 1; i < a->n_indirection; i++) {
        const PQ(AIndices) *at = a->indirection[i]->a_indices;
        if (slice) /* beside a slice, [n] means [1:n]; the array ends where no bound is given */
            e->arg[n++] = !at->is_slice ? const_int(an, col_of(COL_INT4), 1)
                          : at->lidx    ? subscript(s, at->lidx)
                                        : const_int(an, col_of(COL_INT4), INT32_MIN);
        if (slice && !e->arg[n - 1])
            return NULL;
        e->arg[n] = at->uidx ? subscript(s, at->uidx) : const_int(an, col_of(COL_INT4), INT32_MAX);
        if (!e->arg[n++])
            return NULL;
    }
    return e;
}

static struct expr *row_expr(struct scope *s, const PQ(RowExpr) * r) {
    struct col record = {.type = FN_RECORD, .typmod = COL_TYPMOD_NONE};
    struct expr *e = expr_new(s->an, EXPR_ROW, record, (uint32_t)r->n_args, r->location);
    for (size_t i = 0; i < r->n_args && e; i++) {
        e->arg[i] = expression(s, r->args[i]);
        if (e->arg[i] && type_is_unknown(e->arg[i]->type))
            e->arg[i] = coerce_type(s->an, e->arg[i], col_of(COL_TEXT), FN_CAST_IMPLICIT, -1);
        if (!e->arg[i])
            return NULL;
    }
    return e;
}

static struct expr *type_cast(struct scope *s, const PQ(TypeCast) * c) {
    struct an *an = s->an;
    struct col to = type_named(an, c->type_name);
    if (!to.type)
        return NULL;
    struct expr *e = PQ_NODE(c->arg, A_ARRAY_EXPR) && to.type == COL_ARRAY
                         ? array_expr(s, c->arg->a_array_expr, to, c->location)
                         : expression(s, c->arg);
    if (!e)
        return NULL;
    if (to.type == FN_UNKNOWN)
        return e;
    return cast_to(s, e, to, c->location >= 0 ? c->location : c->type_name->location);
}

static bool collation_known(const char *name) {
    static const char *const known[] = {"C", "POSIX", "default", "ucs_basic", "C.utf8", "C.UTF-8"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

static struct expr *collate(struct scope *s, const PQ(CollateClause) * c) {
    struct an *an = s->an;
    const char *name = c->n_collname ? node_string(c->collname[c->n_collname - 1]) : "";
    struct expr *e = expression(s, c->arg);
    if (!e)
        return NULL;
    if (type_is_unknown(e->type) && !(e = coerce_type(an, e, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1)))
        return NULL;
    if (type_category(e->type.type) != 'S' && e->type.type != COL_ARRAY) {
        fail(an, c->location, "42804", "collations are not supported by type %s", type_text(an, e->type));
        return NULL;
    }
    if (!collation_known(name)) {
        /* Those of a language look like "de_DE" or "de-x-icu". */
        if (strchr(name, '_') || strchr(name, '-'))
            unsupported(an, c->location, "collation \"%s\" is not supported", name);
        else
            fail(an, c->location, "42704", "collation \"%s\" for encoding \"UTF8\" does not exist", name);
        return NULL;
    }
    return e; /* all text has collation C */
}

/* ---- subqueries ----------------------------------------------------------------------------------------------------------- */

static uint32_t visible_targets(const struct query *q) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->targets; i++)
        n += !q->target[i].junk;
    return n;
}

static struct expr *any_sublink(struct scope *s, const PQ(SubLink) * l, struct query *q) {
    struct an *an = s->an;
    bool all = l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ALL_SUBLINK;
    const char *op, *schema;
    if (!op_name(s, l->oper_name, l->n_oper_name, l->location, &op, &schema))
        return NULL;
    const PQ(RowExpr) *row = PQ_NODE(l->testexpr, ROW_EXPR) ? l->testexpr->row_expr : NULL;
    uint32_t n = row ? (uint32_t)row->n_args : 1, have = visible_targets(q);
    if (n != have) {
        fail(an, l->location, "42601", have < n ? "subquery has too few columns" : "subquery has too many columns");
        return NULL;
    }
    if (n > 1 && strcmp(op, "=") != 0 && strcmp(op, "<>") != 0) {
        unsupported(an, l->location, "row comparison %s with a subquery is not supported", op);
        return NULL;
    }
    struct expr *e = expr_new(an, EXPR_SUBLINK, col_of(COL_BOOL), n, l->location);
    const struct fn **cmp = e ? an_new(an, n, sizeof *cmp) : NULL;
    struct expr **column = cmp ? an_new(an, n, sizeof *column) : NULL;
    struct query *w = q;
    if (!column)
        return NULL;
    bool wrapped = false;
    for (uint32_t i = 0; i < n; i++)
        if (!(e->arg[i] = expression(s, row ? row->args[i] : l->testexpr)))
            return NULL;
    for (uint32_t i = 0; i < n; i++) {
        struct expr *x = e->arg[i];
        /* The operator is found for a stand-in of the column's type; a conversion of it becomes one of the subquery's. */
        struct expr *y = w->target[i].expr, *was = y;
        cmp[i] = op_for_named(an, op, schema, &x, &y, l->location);
        if (!cmp[i])
            return NULL;
        if (cmp[i]->ret != COL_BOOL) {
            fail(an, l->location, "42804", "operator %s must return type boolean, not type %s", op,
                 type_text(an, col_of(cmp[i]->ret)));
            return NULL;
        }
        e->arg[i] = x;
        if (y != was && !wrapped && (q->set || q->distinct || q->distinct_on || q->sorts || q->limit || q->offset)) {
            /* Conversions would change what is sorted or distinct. */
            if (!(w = wrap_query(an, q)))
                return NULL;
            wrapped = true;
            x = e->arg[i];
            y = w->target[i].expr;
            if (!op_for_named(an, op, schema, &x, &y, l->location))
                return NULL;
        }
        w->target[i].expr = y;
    }
    e->op = all ? SUBLINK_ALL : SUBLINK_ANY;
    e->query = w;
    e->cmp = cmp;
    return e;
}

static struct expr *sub_link(struct scope *s, const PQ(SubLink) * l) {
    struct an *an = s->an;
    if (s->place == PLACE_CHECK || s->place == PLACE_DEFAULT || s->place == PLACE_INDEX_WHERE) {
        fail(an, l->location, "0A000", "cannot use subquery in %s",
             s->place == PLACE_CHECK     ? "check constraint"
             : s->place == PLACE_DEFAULT ? "DEFAULT expression"
                                         : "index predicate");
        return NULL;
    }
    s->q->subqueries = true;
    bool rows = l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK ||
                l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ALL_SUBLINK;
    struct query *q = any_query(an, s, l->subselect, true);
    if (!q)
        return NULL;
    if (rows)
        return any_sublink(s, l, q);
    struct expr *e = expr_new(an, EXPR_SUBLINK, col_of(COL_BOOL), 0, l->location);
    if (!e)
        return NULL;
    e->query = q;
    switch (l->sub_link_type) {
    case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK:
        e->op = SUBLINK_EXISTS;
        return e;
    case PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK:
    case PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK:
        if (visible_targets(q) != 1) {
            fail(an, l->location, "42601", "subquery must return only one column");
            return NULL;
        }
        e->op = SUBLINK_SCALAR;
        e->type = q->target[0].expr->type;
        if (l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK) {
            e->op = SUBLINK_ARRAY;
            struct col elem = type_lowered(e->type);
            if (elem.type >= FN_ANY) {
                fail(an, l->location, "42704", "could not find array type for data type %s", type_text(an, e->type));
                return NULL;
            }
            e->type = elem.type == COL_ARRAY ? elem : col_array_of(type_plain(elem));
        }
        return e;
    default:
        unsupported(an, l->location, "this form of subquery is not supported");
        return NULL;
    }
}

static struct expr *grouping(struct scope *s, const PQ(GroupingFunc) * g) {
    struct an *an = s->an;
    if (g->n_args >= 32) {
        fail(an, g->location, "54023", "GROUPING must have fewer than 32 arguments");
        return NULL;
    }
    struct expr *e = expr_new(an, EXPR_GROUPING, col_of(COL_INT4), (uint32_t)g->n_args, g->location);
    for (size_t i = 0; i < g->n_args && e; i++)
        if (!(e->arg[i] = expression(s, g->args[i])))
            return NULL;
    if (!aggregate_allowed(s, "grouping operations", g->location))
        return NULL;
    s->aggregates = true;
    return e;
}

/* ---- the door -------------------------------------------------------------------------------------------------------------- */

struct expr *expression(struct scope *s, const PQ(Node) * n) {
    struct an *an = s->an;
    if (!stack_ok(an))
        return NULL;
    switch (n ? n->node_case : PG_QUERY__NODE__NODE__NOT_SET) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return column_ref(s, n->column_ref);
    case PG_QUERY__NODE__NODE_A_CONST:
        return literal(s, n->a_const);
    case PG_QUERY__NODE__NODE_PARAM_REF:
        return parameter(s, n->param_ref);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return a_expr(s, n->a_expr);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return bool_expr(s, n->bool_expr);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return function_call(s, n->func_call);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return type_cast(s, n->type_cast);
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return collate(s, n->collate_clause);
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return sub_link(s, n->sub_link);
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return case_expr(s, n->case_expr);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return list_expr(s, EXPR_COALESCE, 0, n->coalesce_expr->args, n->coalesce_expr->n_args, "COALESCE",
                         n->coalesce_expr->location);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR: {
        bool most = n->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST;
        return list_expr(s, EXPR_MINMAX, most ? '>' : '<', n->min_max_expr->args, n->min_max_expr->n_args,
                         most ? "GREATEST" : "LEAST", n->min_max_expr->location);
    }
    case PG_QUERY__NODE__NODE_NULL_TEST:
        return null_test(s, n->null_test);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return boolean_test(s, n->boolean_test);
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return value_function(s, n->sqlvalue_function);
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return array_expr(s, n->a_array_expr, col_of(COL_NONE), -1);
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return subscripts(s, n->a_indirection);
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return row_expr(s, n->row_expr);
    case PG_QUERY__NODE__NODE_GROUPING_FUNC:
        return grouping(s, n->grouping_func);
    case PG_QUERY__NODE__NODE_SET_TO_DEFAULT:
        fail(an, n->set_to_default->location, "42601", "DEFAULT is not allowed in this context");
        return NULL;
    case PG_QUERY__NODE__NODE_NAMED_ARG_EXPR:
        unsupported(an, n->named_arg_expr->location, "named arguments are not supported");
        return NULL;
    case PG_QUERY__NODE__NODE_CURRENT_OF_EXPR:
        unsupported(an, -1, "WHERE CURRENT OF is not supported");
        return NULL;
    case PG_QUERY__NODE__NODE_XML_EXPR:
        unsupported(an, n->xml_expr->location, "XML is not supported");
        return NULL;
    default:
        unsupported(an, node_location(n), "this expression is not supported");
        return NULL;
    }
}

struct expr *expression_at(struct scope *s, const PQ(Node) * n, enum an_place place) {
    enum an_place was = s->place;
    s->place = place;
    struct expr *e = expression(s, n);
    s->place = was;
    return e;
}

struct expr *boolean_at(struct scope *s, const PQ(Node) * n, enum an_place place, const char *what) {
    struct expr *e = expression_at(s, n, place);
    return e ? coerce_boolean(s->an, e, what) : NULL;
}

int32_t node_location(const PQ(Node) * n) {
    switch (n ? n->node_case : PG_QUERY__NODE__NODE__NOT_SET) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return n->column_ref->location;
    case PG_QUERY__NODE__NODE_A_CONST:
        return n->a_const->location;
    case PG_QUERY__NODE__NODE_PARAM_REF:
        return n->param_ref->location;
    case PG_QUERY__NODE__NODE_A_EXPR: {
        int32_t left = n->a_expr->lexpr ? node_location(n->a_expr->lexpr) : -1;
        return left >= 0 && left < n->a_expr->location ? left : n->a_expr->location;
    }
    case PG_QUERY__NODE__NODE_BOOL_EXPR: {
        int32_t left = n->bool_expr->n_args ? node_location(n->bool_expr->args[0]) : -1;
        return left >= 0 && left < n->bool_expr->location ? left : n->bool_expr->location;
    }
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return n->func_call->location;
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
        int32_t arg = node_location(n->type_cast->arg), type = n->type_cast->type_name->location;
        int32_t at = n->type_cast->location;
        int32_t least = arg < 0 || (type >= 0 && type < arg) ? type : arg;
        return least < 0 || (at >= 0 && at < least) ? at : least;
    }
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return node_location(n->collate_clause->arg);
    case PG_QUERY__NODE__NODE_SUB_LINK: {
        int32_t left = n->sub_link->testexpr ? node_location(n->sub_link->testexpr) : -1;
        return left >= 0 && left < n->sub_link->location ? left : n->sub_link->location;
    }
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return n->case_expr->location;
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return n->coalesce_expr->location;
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return n->min_max_expr->location;
    case PG_QUERY__NODE__NODE_NULL_TEST: {
        int32_t left = node_location(n->null_test->arg);
        return left >= 0 && left < n->null_test->location ? left : n->null_test->location;
    }
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST: {
        int32_t left = node_location(n->boolean_test->arg);
        return left >= 0 && left < n->boolean_test->location ? left : n->boolean_test->location;
    }
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return n->sqlvalue_function->location;
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return n->a_array_expr->location;
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return node_location(n->a_indirection->arg);
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return n->row_expr->location;
    case PG_QUERY__NODE__NODE_GROUPING_FUNC:
        return n->grouping_func->location;
    case PG_QUERY__NODE__NODE_SET_TO_DEFAULT:
        return n->set_to_default->location;
    case PG_QUERY__NODE__NODE_RES_TARGET:
        return n->res_target->location;
    default:
        return -1;
    }
}

/* ---- target lists ------------------------------------------------------------------------------------------------------------- */

/* How well a name is founded: a column's or function's (2), a type's or keyword's (1), none (0). */
static int figure_name(const PQ(Node) * n, const char **name) {
    switch (n ? n->node_case : PG_QUERY__NODE__NODE__NOT_SET) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        for (size_t i = n->column_ref->n_fields; i-- > 0;)
            if (PQ_NODE(n->column_ref->fields[i], STRING)) {
                *name = node_string(n->column_ref->fields[i]);
                return 2;
            }
        return 0;
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        for (size_t i = n->a_indirection->n_indirection; i-- > 0;)
            if (PQ_NODE(n->a_indirection->indirection[i], STRING)) {
                *name = node_string(n->a_indirection->indirection[i]);
                return 2;
            }
        return figure_name(n->a_indirection->arg, name);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        *name = node_string(n->func_call->funcname[n->func_call->n_funcname - 1]);
        return 2;
    case PG_QUERY__NODE__NODE_A_EXPR:
        if (n->a_expr->kind != PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF)
            return 0;
        *name = "nullif";
        return 2;
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
        int strength = figure_name(n->type_cast->arg, name);
        const PQ(TypeName) *t = n->type_cast->type_name;
        if (strength > 1 || !t || !t->n_names)
            return strength;
        *name = node_string(t->names[t->n_names - 1]);
        return 1;
    }
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return figure_name(n->collate_clause->arg, name);
    case PG_QUERY__NODE__NODE_GROUPING_FUNC:
        *name = "grouping";
        return 2;
    case PG_QUERY__NODE__NODE_SUB_LINK:
        if (n->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK) {
            *name = "exists";
            return 2;
        }
        if (n->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK) {
            *name = "array";
            return 2;
        }
        if (n->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK &&
            PQ_NODE(n->sub_link->subselect, SELECT_STMT)) {
            const PQ(SelectStmt) *q = n->sub_link->subselect->select_stmt;
            while (q->op > PG_QUERY__SET_OPERATION__SETOP_NONE && q->larg)
                q = q->larg;
            if (q->n_values_lists) {
                *name = "column1";
                return 2;
            }
            if (q->n_target_list == 0)
                return 0;
            const PQ(ResTarget) *t = q->target_list[0]->res_target;
            if (t->name && *t->name) {
                *name = t->name;
                return 2;
            }
            return figure_name(t->val, name);
        }
        return 0;
    case PG_QUERY__NODE__NODE_CASE_EXPR: {
        int strength = figure_name(n->case_expr->defresult, name);
        if (strength > 1)
            return strength;
        *name = "case";
        return 1;
    }
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        *name = "array";
        return 2;
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        *name = "row";
        return 2;
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        *name = "coalesce";
        return 2;
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        *name = n->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least";
        return 2;
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION: {
        static const char *const names[] = {
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE] = "current_date",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME] = "current_time",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N] = "current_time",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP] = "current_timestamp",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N] = "current_timestamp",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME] = "localtime",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N] = "localtime",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP] = "localtimestamp",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N] = "localtimestamp",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE] = "current_role",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER] = "current_user",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER] = "user",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER] = "session_user",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG] = "current_catalog",
            [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA] = "current_schema",
        };
        size_t op = (size_t)n->sqlvalue_function->op;
        if (op >= ARRAY_LEN(names) || !names[op])
            return 0;
        *name = names[op];
        return 2;
    }
    default:
        return 0;
    }
}

const char *target_name(const PQ(Node) * n) {
    const char *name = "?column?";
    return figure_name(n, &name) ? name : "?column?";
}

bool target_add(struct scope *s, struct target **to, uint32_t *n, uint32_t *cap, const char *name, struct expr *e) {
    if (!e)
        return false;
    if (*n >= AN_TARGETS_MAX)
        return fail(s->an, -1, "54011", "target lists can have at most %d entries", AN_TARGETS_MAX);
    if (!an_grow(s->an, (void **)to, *n, cap, sizeof **to))
        return false;
    (*to)[(*n)++] = (struct target){.name = name, .expr = e};
    return true;
}

static bool is_star(const PQ(Node) * n) {
    if (!PQ_NODE(n, COLUMN_REF))
        return false;
    const PQ(ColumnRef) *c = n->column_ref;
    return c->n_fields > 0 && PQ_NODE(c->fields[c->n_fields - 1], A_STAR);
}

bool target_list(struct scope *s, PQ(Node) *const *list, size_t n, enum an_place place, struct target **to,
                 uint32_t *to_n, uint32_t *to_cap) {
    for (size_t i = 0; i < n; i++) {
        const PQ(ResTarget) *t = list[i]->res_target;
        if (is_star(t->val)) {
            if (!expand_star(s, list[i], to, to_n, to_cap))
                return false;
            continue;
        }
        const char *name = t->name && *t->name ? t->name : target_name(t->val);
        if (!target_add(s, to, to_n, to_cap, name, expression_at(s, t->val, place)))
            return false;
    }
    return true;
}
