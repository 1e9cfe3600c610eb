/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clause.c: GROUP BY, ORDER BY, DISTINCT, LIMIT and WINDOW.
 *
 * An item of such a list is, by SQL-92, a name or a number of an output column, else, by SQL:1999, an expression; one that is no
 * output column becomes a junk target.
 */
#include <string.h>

#include "sql/analyse/internal.h"

/* PostgreSQL's FRAMEOPTION_ bits, which the parser gives us. */
enum {
    FRAME_NONDEFAULT = 0x1,
    FRAME_RANGE = 0x2,
    FRAME_GROUPS = 0x8,
    FRAME_START_OFFSET = 0x800 | 0x2000,
    FRAME_END_OFFSET = 0x1000 | 0x4000,
};
enum { GROUPING_SETS_MAX = 4096 };

/* ---- equality ---------------------------------------------------------------------------------------------------- */

static bool list_equal(struct expr *const *a, struct expr *const *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (!expr_equal(a[i], b[i]))
            return false;
    return true;
}

static bool sorts_equal(const struct sort *a, const struct sort *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (a[i].desc != b[i].desc || a[i].nulls_first != b[i].nulls_first || !expr_equal(a[i].expr, b[i].expr))
            return false;
    return true;
}

bool expr_equal(const struct expr *a, const struct expr *b) {
    if (a == b)
        return true;
    if (!a || !b || a->kind != b->kind || a->args != b->args || !type_same(a->type, b->type) ||
        a->type.typmod != b->type.typmod || a->op != b->op || a->flag != b->flag || a->distinct != b->distinct ||
        a->star != b->star || a->orders != b->orders || a->window != b->window)
        return false;
    switch (a->kind) {
    case EXPR_CONST:
        if (!value_same(&a->value, &b->value))
            return false;
        break;
    case EXPR_PARAM:
        if (a->param != b->param)
            return false;
        break;
    case EXPR_COL:
        if (a->col.rel != b->col.rel || a->col.col != b->col.col || a->col.levels != b->col.levels)
            return false;
        break;
    case EXPR_SUBLINK: /* a subquery is only like itself */
        return false;
    default:
        if (a->call.fn != b->call.fn)
            return false;
    }
    return list_equal(a->arg, b->arg, a->args) && expr_equal(a->filter, b->filter) &&
           sorts_equal(a->order, b->order, a->orders);
}

/* ---- output columns --------------------------------------------------------------------------------------------------- */

static const char *const clause_names[PLACES] = {
    [PLACE_GROUP] = "GROUP BY", [PLACE_ORDER] = "ORDER BY", [PLACE_DISTINCT_ON] = "DISTINCT ON"};

static struct target *junk_target(struct scope *s, struct expr *e) {
    struct query *q = s->q;
    if (!target_add(s, &q->target, &q->targets, &s->targets_cap, "?column?", e))
        return NULL;
    q->target[q->targets - 1].junk = true;
    return &q->target[q->targets - 1];
}

static bool is_bare_name(const PQ(Node) * n) {
    return PQ_NODE(n, COLUMN_REF) && n->column_ref->n_fields == 1 && PQ_NODE(n->column_ref->fields[0], STRING);
}

static bool from_has(struct scope *s, const char *name) {
    for (uint32_t i = 0; i < s->ns.n; i++) {
        const struct ns_item *item = &s->ns.item[i];
        for (uint32_t k = 0; item->columns_visible && k < item->rel->cols; k++)
            if (!item->rel->col[k].hidden && strcmp(item->rel->col[k].name, name) == 0)
                return true;
    }
    return false;
}

/* The place of the target that n means, by name or number; -1: none such, -2: an error. */
static int by_output(struct scope *s, const PQ(Node) * n, enum an_place place) {
    struct an *an = s->an;
    struct query *q = s->q;
    if (is_bare_name(n)) {
        const char *name = node_string(n->column_ref->fields[0]);
        int found = -1;
        if (place == PLACE_GROUP && from_has(s, name))
            return -1; /* GROUP BY prefers the input's columns */
        for (uint32_t i = 0; i < q->targets; i++) {
            if (q->target[i].junk || strcmp(q->target[i].name, name) != 0)
                continue;
            if (found >= 0 && !expr_equal(q->target[found].expr, q->target[i].expr)) {
                fail(an, n->column_ref->location, "42702", "%s \"%s\" is ambiguous", clause_names[place], name);
                return -2;
            }
            found = found < 0 ? (int)i : found;
        }
        return found;
    }
    if (PQ_NODE(n, A_CONST)) {
        const PQ(AConst) *c = n->a_const;
        if (c->isnull || c->val_case != PG_QUERY__A__CONST__VAL_IVAL) {
            fail(an, c->location, "42601", "non-integer constant in %s", clause_names[place]);
            return -2;
        }
        uint32_t visible = 0;
        for (uint32_t i = 0; i < q->targets; i++)
            visible += !q->target[i].junk;
        if (c->ival->ival < 1 || (uint32_t)c->ival->ival > visible) {
            fail(an, c->location, "42P10", "%s position %d is not in select list", clause_names[place], c->ival->ival);
            return -2;
        }
        return c->ival->ival - 1;
    }
    return -1;
}

static int by_expression(struct scope *s, struct expr *e) {
    for (uint32_t i = 0; i < s->q->targets; i++)
        if (expr_equal(s->q->target[i].expr, e))
            return (int)i;
    return -1;
}

/* The target of a list's item; NULL after an error. */
static struct target *find_target(struct scope *s, const PQ(Node) * n, enum an_place place) {
    int i = by_output(s, n, place);
    if (i == -2)
        return NULL;
    if (i == -1) {
        struct expr *e = expression_at(s, n, place);
        if (!e)
            return NULL;
        i = by_expression(s, e);
        if (i < 0)
            return junk_target(s, e);
    }
    return &s->q->target[i];
}

/* ---- ORDER BY ----------------------------------------------------------------------------------------------------------- */

static bool sort_direction(struct an *an, const PQ(SortBy) * by, struct sort *to) {
    to->desc = by->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
    if (by->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING) {
        const char *op = by->n_use_op ? node_string(by->use_op[by->n_use_op - 1]) : "";
        if (strcmp(op, "<") != 0 && strcmp(op, ">") != 0)
            return unsupported(an, by->location, "ORDER BY USING %s is not supported", op);
        to->desc = *op == '>';
    }
    to->nulls_first = by->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT
                          ? to->desc
                          : by->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST;
    return true;
}

static bool ordered_type(struct an *an, struct expr *e) {
    if (type_has_order(e->type))
        return true;
    fail(an, expr_location(e), "42883", "could not identify an ordering operator for type %s", type_text(an, e->type));
    return fail_hint(an, "Use an explicit ordering operator or modify the query.");
}

bool sort_clause(struct scope *s, PQ(Node) *const *list, size_t n, bool set_operation) {
    struct an *an = s->an;
    struct query *q = s->q;
    q->sort = n ? an_new(an, n, sizeof *q->sort) : NULL;
    if (n && !q->sort)
        return false;
    uint32_t targets = q->targets;
    for (size_t i = 0; i < n; i++) {
        const PQ(SortBy) *by = list[i]->sort_by;
        struct target *t = find_target(s, by->node, PLACE_ORDER);
        if (!t)
            return false;
        if (set_operation && q->targets != targets) {
            fail(an, node_location(by->node), "0A000", "invalid UNION/INTERSECT/EXCEPT ORDER BY clause");
            fail_detail(an, "Only result column names can be used, not expressions or functions.");
            return fail_hint(an, "Add the expression/function to every SELECT, or move the UNION into a FROM clause.");
        }
        if (type_is_unknown(t->expr->type) &&
            !(t->expr = coerce_type(an, t->expr, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1)))
            return false;
        struct sort sort = {.expr = t->expr};
        if (!ordered_type(an, t->expr) || !sort_direction(an, by, &sort))
            return false;
        bool twice = false;
        for (uint32_t k = 0; k < q->sorts && !twice; k++)
            twice = q->sort[k].expr == sort.expr;
        if (!twice)
            q->sort[q->sorts++] = sort;
    }
    return true;
}

/* varchar as text is the same value. */
static const struct expr *unlabelled(const struct expr *e) {
    while (e->kind == EXPR_RELABEL)
        e = e->arg[0];
    return e;
}

bool aggregate_order(struct scope *s, PQ(Node) *const *list, size_t n, struct expr *agg, bool distinct) {
    struct an *an = s->an;
    for (uint32_t i = 0; i < agg->args && distinct; i++)
        if (!type_has_equality(agg->arg[i]->type))
            return fail(an, expr_location(agg->arg[i]), "42883", "could not identify an equality operator for type %s",
                        type_text(an, agg->arg[i]->type));
    agg->order = n ? an_new(an, n, sizeof *agg->order) : NULL;
    if (n && !agg->order)
        return false;
    for (size_t i = 0; i < n; i++) {
        const PQ(SortBy) *by = list[i]->sort_by;
        struct expr *e = expression(s, by->node);
        if (e && type_is_unknown(e->type))
            e = coerce_type(an, e, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1);
        if (!e || !ordered_type(an, e) || !sort_direction(an, by, &agg->order[i]))
            return false;
        bool there = false;
        for (uint32_t k = 0; k < agg->args && !there; k++)
            if (expr_equal(agg->arg[k], e) || expr_equal(unlabelled(agg->arg[k]), e)) {
                e = agg->arg[k];
                there = true;
            }
        if (distinct && !there)
            return fail(an, expr_location(e), "42P10",
                        "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list");
        agg->order[i].expr = e;
        agg->orders++;
    }
    return true;
}

/* ---- GROUP BY -------------------------------------------------------------------------------------------------------------- */

struct group_sets {
    struct expr ***set;
    uint32_t *exprs;
    uint32_t n;
};

/* An output column that is an aggregate or a window's is no group. */
static bool see_ungroupable(void *ctx, struct expr *e, uint32_t levels) {
    struct an *an = ctx;
    if (levels == 0 && (e->kind == EXPR_AGG || e->kind == EXPR_GROUPING))
        return fail(an, e->location, "42803", "aggregate functions are not allowed in GROUP BY");
    if (levels == 0 && e->kind == EXPR_WINDOW)
        return fail(an, e->location, "42P20", "window functions are not allowed in GROUP BY");
    return true;
}

static struct expr *group_expr(struct scope *s, const PQ(Node) * n) {
    struct an *an = s->an;
    struct query *q = s->q;
    int i = by_output(s, n, PLACE_GROUP);
    if (i == -2)
        return NULL;
    struct expr *e = i >= 0 ? q->target[i].expr : expression_at(s, n, PLACE_GROUP);
    if (e && i >= 0 && !expr_walk(e, 0, see_ungroupable, an))
        return NULL;
    if (e && i < 0) {
        i = by_expression(s, e);
        e = i >= 0 ? q->target[i].expr : e;
    }
    if (e && type_is_unknown(e->type)) {
        e = coerce_type(an, e, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1);
        if (i >= 0 && e)
            q->target[i].expr = e;
    }
    if (!e)
        return NULL;
    if (!type_has_equality(e->type)) {
        fail(an, expr_location(e), "42883", "could not identify an equality operator for type %s",
             type_text(an, e->type));
        return NULL;
    }
    for (uint32_t k = 0; k < q->groups; k++)
        if (expr_equal(q->group[k], e))
            return q->group[k];
    if (!an_grow(an, (void **)&q->group, q->groups, &s->groups_cap, sizeof(struct expr *)))
        return NULL;
    q->group[q->groups++] = e;
    return e;
}

static bool sets_add(struct an *an, struct group_sets *g, struct expr *const *a, uint32_t n_a, struct expr *const *b,
                     uint32_t n_b) {
    if (g->n == GROUPING_SETS_MAX)
        return fail(an, -1, "54001", "too many grouping sets present (maximum %d)", GROUPING_SETS_MAX);
    if (!g->set) {
        g->set = an_new(an, GROUPING_SETS_MAX, sizeof(struct expr **));
        g->exprs = g->set ? an_new(an, GROUPING_SETS_MAX, sizeof *g->exprs) : NULL;
        if (!g->exprs)
            return false;
    }
    struct expr **set = an_new(an, (size_t)n_a + n_b + 1, sizeof *set);
    uint32_t n = 0;
    if (!set)
        return false;
    for (uint32_t i = 0; i < n_a + n_b; i++) {
        struct expr *e = i < n_a ? a[i] : b[i - n_a];
        bool there = false;
        for (uint32_t k = 0; k < n; k++)
            there = there || set[k] == e;
        if (!there)
            set[n++] = e;
    }
    g->set[g->n] = set;
    g->exprs[g->n++] = n;
    return true;
}

/* An item as one group of expressions: x, or (x, y). */
static bool group_item(struct scope *s, const PQ(Node) * n, struct expr ***ret, uint32_t *ret_n) {
    bool row = PQ_NODE(n, ROW_EXPR) && n->row_expr->row_format == PG_QUERY__COERCION_FORM__COERCE_IMPLICIT_CAST;
    size_t count = row ? n->row_expr->n_args : 1;
    struct expr **e = an_new(s->an, count + 1, sizeof *e);
    if (!e)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!(e[i] = group_expr(s, row ? n->row_expr->args[i] : n)))
            return false;
    *ret = e;
    *ret_n = (uint32_t)count;
    return true;
}

static bool grouping_set(struct scope *s, const PQ(Node) * n, struct group_sets *g) {
    struct an *an = s->an;
    if (!PQ_NODE(n, GROUPING_SET)) {
        struct expr **e;
        uint32_t count;
        return group_item(s, n, &e, &count) && sets_add(an, g, e, count, NULL, 0);
    }
    const PQ(GroupingSet) *set = n->grouping_set;
    if (!stack_ok(an))
        return false;
    if (set->kind == PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_EMPTY)
        return sets_add(an, g, NULL, 0, NULL, 0);
    if (set->kind == PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_SETS) {
        for (size_t i = 0; i < set->n_content; i++)
            if (!grouping_set(s, set->content[i], g))
                return false;
        return true;
    }
    bool cube = set->kind == PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_CUBE;
    uint32_t items = (uint32_t)set->n_content;
    if (cube && items > 12)
        return fail(an, set->location, "54011", "CUBE is limited to 12 elements");
    struct expr ***item = an_new(an, (size_t)items + 1, sizeof(struct expr **));
    uint32_t *count = item ? an_new(an, (size_t)items + 1, sizeof *count) : NULL;
    if (!count)
        return false;
    for (uint32_t i = 0; i < items; i++)
        if (!group_item(s, set->content[i], &item[i], &count[i]))
            return false;
    for (uint32_t k = cube ? 1U << items : items + 1; k-- > 0;) {
        struct group_sets one = {0}, *to = g;
        struct expr **e = NULL;
        uint32_t n_e = 0;
        for (uint32_t i = 0; i < items; i++) {
            if (cube ? !(k & 1U << (items - 1 - i)) : i >= k)
                continue;
            one.n = 0;
            if (!sets_add(an, &one, e, n_e, item[i], count[i]))
                return false;
            e = one.set[0];
            n_e = one.exprs[0];
        }
        if (!sets_add(an, to, e, n_e, NULL, 0))
            return false;
    }
    return true;
}

static bool same_set(const struct group_sets *g, uint32_t a, uint32_t b) {
    if (g->exprs[a] != g->exprs[b])
        return false;
    for (uint32_t i = 0; i < g->exprs[a]; i++) {
        bool there = false;
        for (uint32_t k = 0; k < g->exprs[b]; k++)
            there = there || g->set[a][i] == g->set[b][k];
        if (!there)
            return false;
    }
    return true;
}

bool group_clause(struct scope *s, const PQ(SelectStmt) * st) {
    struct an *an = s->an;
    struct query *q = s->q;
    struct group_sets all = {0};
    bool any = false;
    for (size_t i = 0; i < st->n_group_clause; i++)
        any = any || PQ_NODE(st->group_clause[i], GROUPING_SET);
    for (size_t i = 0; i < st->n_group_clause; i++) {
        struct expr **e;
        uint32_t n;
        if (!any) {
            if (!group_item(s, st->group_clause[i], &e, &n))
                return false;
            continue;
        }
        /* The product of what the items say. */
        struct group_sets one = {0}, product = {0};
        if (!grouping_set(s, st->group_clause[i], &one))
            return false;
        if (i == 0) {
            all = one;
            continue;
        }
        for (uint32_t a = 0; a < all.n; a++)
            for (uint32_t b = 0; b < one.n; b++)
                if (!sets_add(an, &product, all.set[a], all.exprs[a], one.set[b], one.exprs[b]))
                    return false;
        all = product;
    }
    if (!any)
        return true;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < all.n; i++) {
        bool twice = false;
        for (uint32_t k = 0; k < kept && st->group_distinct; k++)
            twice = twice || same_set(&all, k, i);
        if (twice)
            continue;
        all.set[kept] = all.set[i];
        all.exprs[kept++] = all.exprs[i];
    }
    q->grouping_set = all.set;
    q->grouping_set_exprs = all.exprs;
    q->grouping_sets = kept;
    return true;
}

/* ---- DISTINCT ------------------------------------------------------------------------------------------------------------------ */

/* The first of ORDER BY must be they, in any order. */
static bool distinct_first(struct an *an, const struct query *q, const int32_t *location) {
    uint32_t others = q->sorts; /* where something else begins */
    for (uint32_t i = 0; i < q->sorts; i++) {
        bool there = false;
        for (uint32_t k = 0; k < q->distincts && !there; k++)
            there = q->distinct_on[k] == q->sort[i].expr;
        if (!there && i < others)
            others = i;
    }
    for (uint32_t k = 0; k < q->distincts && others < q->sorts; k++) {
        bool first = false;
        for (uint32_t i = 0; i < others && !first; i++)
            first = q->distinct_on[k] == q->sort[i].expr;
        if (!first)
            return fail(an, location[k], "42P10",
                        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions");
    }
    return true;
}

static bool distinct_on(struct scope *s, const PQ(SelectStmt) * st) {
    struct an *an = s->an;
    struct query *q = s->q;
    q->distinct_on = an_new(an, st->n_distinct_clause, sizeof(struct expr *));
    int32_t *location = an_new(an, st->n_distinct_clause, sizeof *location);
    if (!q->distinct_on || !location)
        return false;
    for (size_t i = 0; i < st->n_distinct_clause; i++) {
        struct target *t = find_target(s, st->distinct_clause[i], PLACE_DISTINCT_ON);
        if (t && type_is_unknown(t->expr->type))
            t->expr = coerce_type(an, t->expr, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1);
        if (!t || !t->expr)
            return false;
        if (!type_has_equality(t->expr->type))
            return fail(an, expr_location(t->expr), "42883", "could not identify an equality operator for type %s",
                        type_text(an, t->expr->type));
        bool there = false;
        for (uint32_t k = 0; k < q->distincts && !there; k++)
            there = q->distinct_on[k] == t->expr;
        if (!there) {
            location[q->distincts] = node_location(st->distinct_clause[i]);
            q->distinct_on[q->distincts++] = t->expr;
        }
    }
    return distinct_first(an, q, location);
}

bool distinct_clause(struct scope *s, const PQ(SelectStmt) * st) {
    struct an *an = s->an;
    struct query *q = s->q;
    if (st->n_distinct_clause == 0)
        return true;
    if (st->distinct_clause[0] && st->distinct_clause[0]->node_case != PG_QUERY__NODE__NODE__NOT_SET)
        return distinct_on(s, st);
    q->distinct = true;
    for (uint32_t i = 0; i < q->targets; i++) {
        struct target *t = &q->target[i];
        if (t->junk)
            return fail(an, expr_location(t->expr), "42P10",
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list");
        if (!type_is_unknown(t->expr->type) && !type_has_equality(t->expr->type))
            return fail(an, expr_location(t->expr), "42883", "could not identify an equality operator for type %s",
                        type_text(an, t->expr->type));
    }
    return true;
}

/* ---- LIMIT ------------------------------------------------------------------------------------------------------------------------ */

struct own_column {
    struct expr *found;
};

static bool see_own_column(void *ctx, struct expr *e, uint32_t levels) {
    struct own_column *o = ctx;
    if (e->kind == EXPR_COL && e->col.levels == levels)
        o->found = e;
    return !o->found;
}

static bool limit_expr(struct scope *s, const PQ(Node) * n, enum an_place place, const char *what, struct expr **ret) {
    struct own_column own = {0};
    if (!n)
        return true;
    struct expr *e = expression_at(s, n, place);
    e = e ? coerce_int8(s->an, e, what) : NULL;
    if (!e)
        return false;
    if (!expr_walk(e, 0, see_own_column, &own) && own.found)
        return fail(s->an, own.found->location, "42P10", "argument of %s must not contain variables", what);
    if (e->kind == EXPR_CONST && e->value.kind == VALUE_NULL) /* LIMIT ALL */
        return true;
    *ret = e;
    return true;
}

bool limit_clause(struct scope *s, const PQ(SelectStmt) * st) {
    struct query *q = s->q;
    q->with_ties = st->limit_option == PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES;
    if (!limit_expr(s, st->limit_offset, PLACE_OFFSET, "OFFSET", &q->offset) ||
        !limit_expr(s, st->limit_count, PLACE_LIMIT, "LIMIT", &q->limit))
        return false;
    if (q->with_ties && !q->limit)
        return fail(s->an, -1, "22004", "row count cannot be null in FETCH FIRST ... WITH TIES clause");
    return true;
}

/* ---- WINDOW ------------------------------------------------------------------------------------------------------------------------- */

struct window_use {
    const PQ(WindowDef) * def;
    struct window *window;
};

static const PQ(WindowDef) * window_named(struct scope *s, const char *name) {
    for (size_t i = 0; i < s->window_clauses; i++)
        if (strcmp(s->window_clause[i]->window_def->name, name) == 0)
            return s->window_clause[i]->window_def;
    return NULL;
}

static bool frame_offset(struct scope *s, const PQ(Node) * n, uint32_t frame, struct expr **ret) {
    struct own_column own = {0};
    const char *what = frame & FRAME_GROUPS ? "GROUPS" : "ROWS";
    if (frame & FRAME_RANGE)
        return unsupported(s->an, node_location(n), "RANGE with offset PRECEDING/FOLLOWING is not supported");
    struct expr *e = expression_at(s, n, PLACE_WINDOW_FRAME);
    e = e ? coerce_int8(s->an, e, what) : NULL;
    if (!e)
        return false;
    if (!expr_walk(e, 0, see_own_column, &own) && own.found)
        return fail(s->an, own.found->location, "42P10", "argument of %s must not contain variables", what);
    *ret = e;
    return true;
}

static bool window_lists(struct scope *s, const PQ(WindowDef) * d, const struct window *from, struct window *w) {
    struct an *an = s->an;
    if (from) {
        if (d->n_partition_clause)
            return fail(an, d->location, "42P20", "cannot override PARTITION BY clause of window \"%s\"", d->refname);
        if (from->orders && d->n_order_clause)
            return fail(an, d->location, "42P20", "cannot override ORDER BY clause of window \"%s\"", d->refname);
        if (from->frame & FRAME_NONDEFAULT) {
            fail(an, d->location, "42P20", "cannot copy window \"%s\" because it has a frame clause", d->refname);
            return false;
        }
        *w = *from;
        w->name = NULL;
    }
    if (d->n_partition_clause && !(w->partition = an_new(an, d->n_partition_clause, sizeof(struct expr *))))
        return false;
    for (size_t i = 0; i < d->n_partition_clause; i++) {
        struct expr *e = expression_at(s, d->partition_clause[i], PLACE_WINDOW_PARTITION);
        if (e && type_is_unknown(e->type))
            e = coerce_type(an, e, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1);
        if (!e)
            return false;
        if (!type_has_equality(e->type))
            return fail(an, expr_location(e), "42883", "could not identify an equality operator for type %s",
                        type_text(an, e->type));
        w->partition[w->partitions++] = e;
    }
    if (d->n_order_clause && !(w->order = an_new(an, d->n_order_clause, sizeof *w->order)))
        return false;
    for (size_t i = 0; i < d->n_order_clause; i++) {
        const PQ(SortBy) *by = d->order_clause[i]->sort_by;
        struct expr *e = expression_at(s, by->node, PLACE_WINDOW_ORDER);
        if (e && type_is_unknown(e->type))
            e = coerce_type(an, e, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1);
        if (!e || !ordered_type(an, e) || !sort_direction(an, by, &w->order[i]))
            return false;
        w->order[i].expr = e;
        w->orders++;
    }
    return true;
}

static struct window *window_make(struct scope *s, const PQ(WindowDef) * d);

/* The window of a definition in the WINDOW clause, made once. */
static struct window *window_defined(struct scope *s, const PQ(WindowDef) * d) {
    for (uint32_t i = 0; i < s->windows_n; i++)
        if (s->window[i].def == d)
            return s->window[i].window;
    struct window *w = window_make(s, d);
    if (!w || !an_grow(s->an, (void **)&s->window, s->windows_n, &s->windows_cap, sizeof *s->window))
        return NULL;
    w->name = d->name && *d->name ? d->name : NULL;
    s->window[s->windows_n++] = (struct window_use){d, w};
    return w;
}

static struct window *window_make(struct scope *s, const PQ(WindowDef) * d) {
    struct an *an = s->an;
    struct query *q = s->q;
    const struct window *from = NULL;
    if (!stack_ok(an))
        return NULL;
    if (d->refname && *d->refname) {
        const PQ(WindowDef) *ref = window_named(s, d->refname);
        if (!ref || ref == d) {
            fail(an, d->location, "42704", "window \"%s\" does not exist", d->refname);
            return NULL;
        }
        if (!(from = window_defined(s, ref)))
            return NULL;
    }
    struct window *w = an_new(an, 1, sizeof *w);
    if (!w || !window_lists(s, d, from, w))
        return NULL;
    w->frame = (uint32_t)d->frame_options;
    if ((w->frame & FRAME_GROUPS) && !w->orders) {
        fail(an, d->location, "42P20", "GROUPS mode requires an ORDER BY clause");
        return NULL;
    }
    if ((w->frame & FRAME_START_OFFSET) && d->start_offset && !frame_offset(s, d->start_offset, w->frame, &w->start))
        return NULL;
    if ((w->frame & FRAME_END_OFFSET) && d->end_offset && !frame_offset(s, d->end_offset, w->frame, &w->end))
        return NULL;
    uint32_t cap = q->windows;
    if (!an_grow(an, (void **)&q->window, q->windows, &cap, sizeof(struct window *)))
        return NULL;
    q->window[q->windows++] = w;
    return w;
}

struct window *window_of(struct scope *s, const PQ(WindowDef) * def) {
    if (def->name && *def->name) {
        const PQ(WindowDef) *d = window_named(s, def->name);
        if (!d) {
            fail(s->an, def->location, "42704", "window \"%s\" does not exist", def->name);
            return NULL;
        }
        return window_defined(s, d);
    }
    struct window *w = window_make(s, def);
    if (!w)
        return NULL;
    /* The same window as another call's is that one. */
    struct query *q = s->q;
    for (uint32_t i = 0; i + 1 < q->windows; i++) {
        struct window *o = q->window[i];
        if (o->partitions == w->partitions && o->orders == w->orders && o->frame == w->frame && !o->start &&
            !w->start && !o->end && !w->end && list_equal(o->partition, w->partition, w->partitions) &&
            sorts_equal(o->order, w->order, w->orders)) {
            q->windows--;
            return o;
        }
    }
    return w;
}

bool window_clause(struct scope *s) {
    for (size_t i = 0; i < s->window_clauses; i++) {
        const PQ(WindowDef) *d = s->window_clause[i]->window_def;
        for (size_t k = 0; k < i; k++)
            if (strcmp(s->window_clause[k]->window_def->name, d->name) == 0)
                return fail(s->an, d->location, "42P20", "window \"%s\" is already defined", d->name);
        if (!window_defined(s, d))
            return false;
    }
    return true;
}
