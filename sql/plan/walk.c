/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.c: looking through typed trees.
 */
#include <string.h>

#include "sql/plan/maker.h"

static bool sorts_any(const struct sort *s, uint32_t n, expr_test *test, void *ctx) {
    for (uint32_t i = 0; i < n; i++)
        if (expr_any(s[i].expr, test, ctx))
            return true;
    return false;
}

static bool exprs_any(struct expr *const *e, uint32_t n, expr_test *test, void *ctx) {
    for (uint32_t i = 0; i < n; i++)
        if (expr_any(e[i], test, ctx))
            return true;
    return false;
}

static bool window_any(const struct window *w, expr_test *test, void *ctx) {
    return w && (exprs_any(w->partition, w->partitions, test, ctx) || sorts_any(w->order, w->orders, test, ctx) ||
                 expr_any(w->start, test, ctx) || expr_any(w->end, test, ctx));
}

bool expr_any(const struct expr *e, expr_test *test, void *ctx) {
    if (!e)
        return false;
    if (test(e, ctx))
        return true;
    return exprs_any(e->arg, e->args, test, ctx) || expr_any(e->filter, test, ctx) ||
           sorts_any(e->order, e->orders, test, ctx) || (e->kind == EXPR_WINDOW && window_any(e->window, test, ctx)) ||
           (e->kind == EXPR_SUBLINK && query_any(e->query, test, ctx));
}

static bool rel_any(const struct rel *r, expr_test *test, void *ctx) {
    uint32_t n = r->kind == REL_VALUES ? r->rows * r->cols : r->rows;
    if (expr_any(r->on, test, ctx) || (r->row && exprs_any(r->row, n, test, ctx)))
        return true;
    return r->kind == REL_QUERY && query_any(r->query, test, ctx);
}

bool query_any(const struct query *q, expr_test *test, void *ctx) {
    if (!q)
        return false;
    for (uint32_t i = 0; i < q->ctes; i++)
        if (query_any(q->cte[i]->query, test, ctx))
            return true;
    for (uint32_t i = 0; i < q->rels; i++)
        if (rel_any(q->rel[i], test, ctx))
            return true;
    for (uint32_t i = 0; i < q->targets; i++)
        if (expr_any(q->target[i].expr, test, ctx))
            return true;
    for (uint32_t i = 0; i < q->grouping_sets; i++)
        if (exprs_any(q->grouping_set[i], q->grouping_set_exprs[i], test, ctx))
            return true;
    return expr_any(q->where, test, ctx) || expr_any(q->having, test, ctx) ||
           exprs_any(q->group, q->groups, test, ctx) || exprs_any(q->distinct_on, q->distincts, test, ctx) ||
           sorts_any(q->sort, q->sorts, test, ctx) || expr_any(q->limit, test, ctx) || expr_any(q->offset, test, ctx) ||
           query_any(q->left, test, ctx) || query_any(q->right, test, ctx);
}

/* Relations within subqueries of an expression are found through this. */
struct rel_walk {
    rel_test *test;
    void *ctx;
};

static bool sublink_rels(const struct expr *e, void *ctx) {
    struct rel_walk *w = ctx;
    return e->kind == EXPR_SUBLINK && query_any_rel(e->query, w->test, w->ctx);
}

bool query_any_rel(const struct query *q, rel_test *test, void *ctx) {
    struct rel_walk w = {test, ctx};
    if (!q)
        return false;
    for (uint32_t i = 0; i < q->ctes; i++)
        if (query_any_rel(q->cte[i]->query, test, ctx))
            return true;
    for (uint32_t i = 0; i < q->rels; i++)
        if (test(q->rel[i], ctx) || (q->rel[i]->kind == REL_QUERY && query_any_rel(q->rel[i]->query, test, ctx)))
            return true;
    if (query_any_rel(q->left, test, ctx) || query_any_rel(q->right, test, ctx))
        return true;
    /* Subqueries in expressions of this level; the walk into their own is theirs. */
    struct query flat = *q;
    flat.ctes = 0;
    flat.left = flat.right = NULL;
    for (uint32_t i = 0; i < q->rels; i++) {
        const struct rel *r = q->rel[i];
        uint32_t n = r->kind == REL_VALUES ? r->rows * r->cols : r->rows;
        if (expr_any(r->on, sublink_rels, &w) || (r->row && exprs_any(r->row, n, sublink_rels, &w)))
            return true;
    }
    flat.rels = 0;
    return query_any(&flat, sublink_rels, &w);
}

const struct expr *expr_base(const struct expr *e) {
    while (e->kind == EXPR_COL && e->col.rel->kind == REL_JOIN && e->col.col < e->col.rel->cols &&
           e->col.rel->col[e->col.col].source)
        e = e->col.rel->col[e->col.col].source;
    return e;
}

static bool test_varies(const struct expr *e, void *ctx) {
    (void)ctx;
    return e->kind == EXPR_COL || e->kind == EXPR_SUBLINK || e->kind == EXPR_AGG || e->kind == EXPR_WINDOW ||
           e->kind == EXPR_GROUPING || e->kind == EXPR_SET;
}

bool expr_fixed(const struct expr *e) {
    return !expr_any(e, test_varies, NULL);
}

enum fn_volatility own_volatility(const struct expr *e) {
    struct expr own = *e, arg;
    struct expr *args[1] = {&arg};
    own.args = own.orders = 0;
    own.filter = NULL;
    if (e->kind == EXPR_SUBLINK)
        return FN_IMMUTABLE;
    if (e->kind == EXPR_TYPE_IO && e->args) {
        arg = (struct expr){.kind = EXPR_CONST, .type = e->arg[0]->type};
        own.args = 1;
        own.arg = args;
    }
    enum fn_volatility v = expr_volatility(&own);
    bool session = (e->kind == EXPR_CALL || e->kind == EXPR_SET) && e->call.fn && e->call.fn->session;
    return session && v == FN_IMMUTABLE ? FN_STABLE : v;
}

static bool test_volatility(const struct expr *e, void *ctx) {
    enum fn_volatility *worst = ctx, v = own_volatility(e);
    if (v > *worst)
        *worst = v;
    return *worst == FN_VOLATILE;
}

enum fn_volatility tree_volatility(const struct expr *e) {
    enum fn_volatility worst = FN_IMMUTABLE;
    (void)expr_any(e, test_volatility, &worst);
    return worst;
}

static bool test_sublink(const struct expr *e, void *ctx) {
    (void)ctx;
    return e->kind == EXPR_SUBLINK;
}

bool expr_has_sublink(const struct expr *e) {
    return expr_any(e, test_sublink, NULL);
}

static bool test_foreign(const struct expr *e, void *ctx) {
    if (e->kind == EXPR_COL) {
        const struct expr *base = expr_base(e);
        return base->kind == EXPR_COL ? base->col.rel != ctx : expr_any(base, test_foreign, ctx);
    }
    return e->kind != EXPR_COL && test_varies(e, NULL);
}

bool expr_only_of(const struct expr *e, const struct rel *r) {
    return !expr_any(e, test_foreign, (void *)r);
}

const struct expr *expr_relabel(struct arena *a, const struct expr *e, const struct col *type) {
    struct expr *copy = arena_new(a, struct expr);
    struct expr **arg = arena_array(a, 1, sizeof(struct expr *));
    if (!copy || !arg)
        return NULL;
    arg[0] = (struct expr *)e;
    *copy = (struct expr){.kind = EXPR_RELABEL, .type = *type, .location = e->location, .args = 1, .arg = arg};
    return copy;
}

char fn_comparison(const struct fn *f) {
    static const struct {
        const char *op;
        char c;
    } ops[] = {{"=", '='}, {"<", '<'}, {">", '>'}, {"<=", 'l'}, {">=", 'g'}, {"<>", 'n'}};
    if (!f || !f->op || f->args != 2 || f->ret != COL_BOOL)
        return 0;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(f->op, ops[i].op) == 0)
            return ops[i].c;
    return 0;
}

static bool is_integer(const struct col *c) {
    return c->type == COL_INT2 || c->type == COL_INT4 || c->type == COL_INT8;
}

static bool is_integer_cast(const struct fn *f) {
    return strcmp(f->name, "int8") == 0 || strcmp(f->name, "int4") == 0;
}

const struct expr *expr_strip(const struct expr *e) {
    while (e->args == 1) {
        const struct expr *in = e->arg[0];
        bool widens = e->kind == EXPR_CALL && is_integer(&e->type) && is_integer(&in->type) &&
                      e->type.type > in->type.type && e->call.fn && is_integer_cast(e->call.fn);
        bool relabels = e->kind == EXPR_RELABEL && plan_same_form(&e->type, &in->type);
        if (!widens && !relabels)
            break;
        e = in;
    }
    return e;
}

char expr_comparison(const struct expr *e) {
    if (e->kind != EXPR_CALL || e->args != 2)
        return 0;
    int a = plan_class(&expr_strip(e->arg[0])->type), b = plan_class(&expr_strip(e->arg[1])->type);
    if (a == 0 || a != b)
        return 0;
    return fn_comparison(e->call.fn);
}
