/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partial.c: what tablets can do beforehand for a query over one table that lies on many of them.
 *
 *     groups     each tablet groups its rows and gives parts of the aggregates (pgagg PART, or SQLite's own sums); the final stage
 *                groups the groups and merges the parts (MERGE)
 *     top k      ORDER BY with LIMIT: each tablet sorts and gives its first rows
 *     DISTINCT   each tablet gives a row once
 *
 * In the final stage's text, an expression of GROUP BY or an aggregate is then a column of the source: print_expr asks
 * partial_print first.
 */
#include <string.h>

#include "sql/plan/maker.h"

struct partial {
    const struct rel *rel;
    struct expr *const *group;
    uint32_t groups;
    const struct expr **agg;
    uint32_t aggs, aggs_max;
};

/* ---- equal expressions -------------------------------------------------------------------------------------------------- */

static bool same_type(const struct col *a, const struct col *b) {
    return a->type == b->type && a->elem == b->elem && a->typmod == b->typmod && a->type_id == b->type_id;
}

static bool same_leaf(const struct expr *a, const struct expr *b) {
    switch (a->kind) {
    case EXPR_CONST:
        return value_same(&a->value, &b->value);
    case EXPR_PARAM:
        return a->param == b->param;
    case EXPR_COL:
        return a->col.rel == b->col.rel && a->col.col == b->col.col;
    case EXPR_SUBLINK:
        return false;
    case EXPR_CALL:
    case EXPR_AGG:
    case EXPR_DISTINCT:
    case EXPR_NULLIF:
    case EXPR_IN:
    case EXPR_ANY_ARRAY:
        return a->call.fn == b->call.fn;
    case EXPR_WINDOW:
    case EXPR_GROUPING:
    case EXPR_SET:
        return false;
    default:
        return true;
    }
}

bool expr_same(const struct expr *a, const struct expr *b) {
    if (a == b)
        return true;
    if (!a || !b || a->kind != b->kind || a->args != b->args || a->op != b->op || a->flag != b->flag ||
        a->distinct != b->distinct || a->star != b->star || a->orders || b->orders || !same_type(&a->type, &b->type) ||
        !same_leaf(a, b) || !expr_same(a->filter, b->filter))
        return a == b;
    for (uint32_t i = 0; i < a->args; i++)
        if (!expr_same(a->arg[i], b->arg[i]))
            return false;
    return true;
}

/* ---- groups ------------------------------------------------------------------------------------------------------------------ */

static int64_t find_group(const struct partial *p, const struct expr *e) {
    for (uint32_t i = 0; i < p->groups; i++)
        if (expr_same(p->group[i], e))
            return i;
    return -1;
}

static int64_t find_agg(const struct partial *p, const struct expr *e) {
    for (uint32_t i = 0; i < p->aggs; i++)
        if (expr_same(p->agg[i], e))
            return i;
    return -1;
}

bool partial_has(const struct maker *m, const struct expr *e) {
    return m->partial && (find_group(m->partial, e) >= 0 || (e->kind == EXPR_AGG && find_agg(m->partial, e) >= 0));
}

bool partial_print(struct out *o, const struct expr *e) {
    const struct partial *p = o->m->partial;
    uint32_t r;
    if (!p)
        return false;
    r = maker_rel(o->m, p->rel);
    int64_t i = find_group(p, e);
    if (i >= 0) {
        out_printf(o, "r%u.c%u", r, (uint32_t)i);
        return true;
    }
    i = e->kind == EXPR_AGG ? find_agg(p, e) : -1;
    if (i < 0)
        return false;
    print_merge(o, e, r, p->groups + (uint32_t)i);
    return true;
}

struct collect {
    struct maker *m;
    struct partial *p;
    bool bad;
};

/* Aggregates are gathered; a column outside of them and of GROUP BY cannot be had any more. */
static bool visit(struct collect *c, const struct expr *e) {
    if (!e)
        return true;
    if (find_group(c->p, e) >= 0)
        return true;
    switch (e->kind) {
    case EXPR_AGG:
        if (!aggregate_splits(e))
            return false;
        if (find_agg(c->p, e) < 0 && maker_room(c->m, &c->p->agg, c->p->aggs, &c->p->aggs_max, sizeof *c->p->agg))
            c->p->agg[c->p->aggs++] = e;
        return true;
    case EXPR_COL:
    case EXPR_SUBLINK:
    case EXPR_WINDOW:
    case EXPR_GROUPING:
    case EXPR_SET:
        return false;
    default:
        break;
    }
    for (uint32_t i = 0; i < e->args; i++)
        if (!visit(c, e->arg[i]))
            return false;
    return true;
}

static bool for_tablets_all(const struct query *q) {
    for (uint32_t i = 0; i < q->groups; i++)
        if (!for_tablets(q->group[i]) || plan_class(&q->group[i]->type) == 0)
            return false;
    return !q->where || (for_tablets(q->where) && !expr_has_sublink(q->where));
}

static bool collect(struct maker *m, const struct query *q, struct partial *p) {
    struct collect c = {.m = m, .p = p};
    for (uint32_t i = 0; i < q->targets; i++)
        if (!visit(&c, q->target[i].expr))
            return false;
    for (uint32_t i = 0; i < q->sorts; i++)
        if (!visit(&c, q->sort[i].expr))
            return false;
    for (uint32_t i = 0; i < p->aggs; i++)
        if (expr_any(p->agg[i], test_session, NULL))
            return false;
    return !q->having || visit(&c, q->having);
}

static void print_groups(struct maker *m, const struct query *q, const struct partial *p, struct source *s) {
    struct out o;
    const char *before = " GROUP BY ";
    out_init(&o, m, OUT_FRAGMENT, NULL);
    out_puts(&o, "SELECT ");
    for (uint32_t i = 0; i < p->groups; i++) {
        print_expr(&o, p->group[i]);
        out_printf(&o, " AS c%u%s", i, i + 1 < p->groups + p->aggs ? ", " : "");
    }
    for (uint32_t i = 0; i < p->aggs; i++) {
        print_part(&o, p->agg[i]);
        out_printf(&o, " AS c%u%s", p->groups + i, i + 1 < p->aggs ? ", " : "");
    }
    if (p->groups + p->aggs == 0)
        out_puts(&o, "1 AS c0");
    out_printf(&o, " FROM {%" PRIu64 "} AS r%u", s->table->store->id, maker_rel(m, s->rel));
    print_conjuncts(&o, " WHERE ", q->where, NULL, 0);
    for (uint32_t i = 0; i < p->groups; i++) {
        if (expr_fixed(p->group[i]))
            continue;
        out_puts(&o, before);
        print_ordered(&o, p->group[i]);
        before = ", ";
    }
    if (p->groups && strcmp(before, ", ") != 0)
        out_puts(&o, " GROUP BY ''");
    out_done(&o, &s->text, false);
}

static void shape_groups(struct maker *m, const struct partial *p, struct source *s) {
    struct buf b;
    uint32_t n = p->groups + p->aggs;
    s->cols = s->fetches = n ? n : 1;
    s->place = maker_alloc(m, s->cols, sizeof *s->place);
    for (uint32_t i = 0; i < s->cols && s->place; i++)
        s->place[i] = (int32_t)i;
    buf_init(&b, 0);
    buf_puts(&b, "CREATE TABLE x(");
    for (uint32_t i = 0; i < s->cols; i++) {
        const struct col *c = i < p->groups ? &p->group[i]->type : i < n ? &p->agg[i - p->groups]->type : NULL;
        buf_printf(&b, "%sc%u%s", i ? ", " : "", i, c && plan_class(c) == COL_NUMERIC ? " COLLATE pgnum" : "");
    }
    buf_puts(&b, ")");
    const char *text = buf_cstr(&b);
    s->shape = text ? arena_strdup(m->arena, text) : NULL;
    if (!s->shape)
        maker_fail(m, RC_NOMEM);
    buf_done(&b);
}

bool make_groups(struct maker *m, const struct query *q, struct select *ret) {
    struct partial p = {.rel = q->froms == 1 ? q->from[0] : NULL, .group = q->group, .groups = q->groups};
    struct out o;
    if (m->rc || ret->sources != 1 || q->froms != 1 || q->from[0]->kind != REL_TABLE || ret->source[0].via ||
        q->set != SET_NONE || q->ctes || q->grouping_sets || q->distincts || q->windows ||
        !(q->aggregates || q->groups) || query_any(q, test_volatile, NULL) || !for_tablets_all(q) || !collect(m, q, &p))
        return false;
    print_groups(m, q, &p, &ret->source[0]);
    shape_groups(m, &p, &ret->source[0]);
    struct query merged = *q;
    merged.where = NULL;
    m->partial = &p;
    out_init(&o, m, OUT_FINAL, ret);
    print_query(&o, &merged, NULL, 0);
    out_done(&o, &ret->final, false);
    m->partial = NULL;
    ret->source[0].partial = "groups";
    return true;
}

/* ---- top k, DISTINCT ------------------------------------------------------------------------------------------------------------- */

bool partial_rows(struct maker *m, const struct query *q, const struct select *sel, struct partial_rows *ret) {
    *ret = (struct partial_rows){.distinct = false};
    if (m->rc || sel->sources != 1 || q->froms != 1 || q->from[0]->kind != REL_TABLE || q->set != SET_NONE || q->ctes ||
        q->groups || q->aggregates || q->having || q->grouping_sets || q->distincts || q->windows ||
        query_any(q, test_volatile, NULL) || query_any(q, test_subquery, NULL) || (q->where && !for_tablets(q->where)))
        return false;
    if (q->distinct) {
        ret->distinct = true;
        return true;
    }
    if (!q->limit || q->with_ties || q->sorts == 0)
        return false;
    for (uint32_t i = 0; i < q->sorts; i++)
        if (!for_tablets(q->sort[i].expr))
            return false;
    ret->top = true;
    return true;
}

/* The end of a source's fragment: its first rows. What LIMIT is not there says -1. */
void print_top(struct out *o, const struct query *q) {
    struct col int8 = col_of(COL_INT8);
    struct query plain = *q;
    plain.targets = 0;
    print_order(o, &plain);
    uint32_t limit = maker_calc(o->m, q->limit, &int8, CALC_LIMIT);
    out_puts(o, " LIMIT CASE WHEN ");
    out_slot(o, limit);
    out_puts(o, " < 0 THEN -1 ELSE ");
    out_slot(o, limit);
    if (q->offset) {
        out_puts(o, " + ");
        out_slot(o, maker_calc(o->m, q->offset, &int8, CALC_OFFSET));
    }
    out_puts(o, " END");
}
