/* SPDX-License-Identifier: Apache-2.0 */
/* agg.c: where aggregates, windows and sets may stand, and what may stand beside them. */
#include <string.h>

#include "sql/analyse/internal.h"

/* ---- walking ------------------------------------------------------------------------------------------------------- */

static bool walk_list(struct expr *const *e, uint32_t n, uint32_t levels, expr_visit *visit, void *ctx) {
    for (uint32_t i = 0; i < n; i++)
        if (!expr_walk(e[i], levels, visit, ctx))
            return false;
    return true;
}

static bool walk_sorts(const struct sort *s, uint32_t n, uint32_t levels, expr_visit *visit, void *ctx) {
    for (uint32_t i = 0; i < n; i++)
        if (!expr_walk(s[i].expr, levels, visit, ctx))
            return false;
    return true;
}

static bool walk_window(const struct window *w, uint32_t levels, expr_visit *visit, void *ctx) {
    return walk_list(w->partition, w->partitions, levels, visit, ctx) &&
           walk_sorts(w->order, w->orders, levels, visit, ctx) && expr_walk(w->start, levels, visit, ctx) &&
           expr_walk(w->end, levels, visit, ctx);
}

bool expr_walk(struct expr *e, uint32_t levels, expr_visit *visit, void *ctx) {
    if (!e)
        return true;
    return visit(ctx, e, levels) && walk_list(e->arg, e->args, levels, visit, ctx) &&
           expr_walk(e->filter, levels, visit, ctx) && walk_sorts(e->order, e->orders, levels, visit, ctx) &&
           (!e->window || walk_window(e->window, levels, visit, ctx)) &&
           (e->kind != EXPR_SUBLINK || query_walk(e->query, levels + 1, visit, ctx));
}

static bool walk_targets(const struct target *t, uint32_t n, uint32_t levels, expr_visit *visit, void *ctx) {
    for (uint32_t i = 0; i < n; i++)
        if (!expr_walk(t[i].expr, levels, visit, ctx))
            return false;
    return true;
}

static bool walk_rel(const struct rel *r, uint32_t levels, expr_visit *visit, void *ctx) {
    if (r->kind == REL_QUERY && !query_walk(r->query, levels + 1, visit, ctx))
        return false;
    if ((r->kind == REL_VALUES && !walk_list(r->row, r->rows * r->cols, levels, visit, ctx)) ||
        (r->kind == REL_FUNCTION && !walk_list(r->row, r->rows, levels, visit, ctx)))
        return false;
    for (uint32_t i = 0; i < r->cols && r->kind == REL_JOIN; i++)
        if (!expr_walk(r->col[i].source, levels, visit, ctx))
            return false;
    for (uint16_t i = 0; r->index_where && i < r->table->indexes; i++)
        if (!expr_walk(r->index_where[i], levels, visit, ctx))
            return false;
    return expr_walk(r->on, levels, visit, ctx);
}

static bool walk_dml(const struct query *q, uint32_t levels, expr_visit *visit, void *ctx) {
    for (uint32_t i = 0; i < q->set_lists; i++)
        if (!expr_walk(q->set_list[i].expr, levels, visit, ctx))
            return false;
    if (q->source && !query_walk(q->source, levels + 1, visit, ctx))
        return false;
    if (q->conflict) {
        for (uint32_t i = 0; i < q->conflict->sets; i++)
            if (!expr_walk(q->conflict->set[i].expr, levels, visit, ctx))
                return false;
        if (!expr_walk(q->conflict->where, levels, visit, ctx))
            return false;
    }
    for (uint32_t i = 0; i < q->rules; i++)
        if (!expr_walk(q->rule[i].expr, levels, visit, ctx))
            return false;
    return walk_targets(q->returning, q->returnings, levels, visit, ctx);
}

bool query_walk(struct query *q, uint32_t levels, expr_visit *visit, void *ctx) {
    for (uint32_t i = 0; i < q->ctes; i++)
        if (!query_walk(q->cte[i]->query, levels + 1, visit, ctx))
            return false;
    if (q->set && (!query_walk(q->left, levels + 1, visit, ctx) || !query_walk(q->right, levels + 1, visit, ctx)))
        return false;
    for (uint32_t i = 0; i < q->rels; i++)
        if (!walk_rel(q->rel[i], levels, visit, ctx))
            return false;
    for (uint32_t i = 0; i < q->windows; i++)
        if (!walk_window(q->window[i], levels, visit, ctx))
            return false;
    return walk_targets(q->target, q->targets, levels, visit, ctx) && expr_walk(q->where, levels, visit, ctx) &&
           expr_walk(q->having, levels, visit, ctx) && walk_list(q->group, q->groups, levels, visit, ctx) &&
           expr_walk(q->limit, levels, visit, ctx) && expr_walk(q->offset, levels, visit, ctx) &&
           walk_dml(q, levels, visit, ctx);
}

/* ---- places ----------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name; /* in "... are not allowed in NAME" */
    bool aggregate, window, set;
} places[PLACES] = {
    [PLACE_TARGET] = {"SELECT", true, true, true},
    [PLACE_WHERE] = {"WHERE", false, false, false},
    [PLACE_JOIN_ON] = {"JOIN conditions", false, false, false},
    [PLACE_JOIN_USING] = {"JOIN conditions", false, false, false},
    [PLACE_FROM_FUNCTION] = {"functions in FROM", false, false, true},
    [PLACE_HAVING] = {"HAVING", true, false, false},
    [PLACE_FILTER] = {"FILTER", false, false, false},
    [PLACE_GROUP] = {"GROUP BY", false, false, true},
    [PLACE_ORDER] = {"ORDER BY", true, true, true},
    [PLACE_DISTINCT_ON] = {"DISTINCT ON", true, true, true},
    [PLACE_LIMIT] = {"LIMIT", false, false, false},
    [PLACE_OFFSET] = {"OFFSET", false, false, false},
    [PLACE_WINDOW_PARTITION] = {"window definitions", true, false, true},
    [PLACE_WINDOW_ORDER] = {"window definitions", true, false, true},
    [PLACE_WINDOW_FRAME] = {"window definitions", false, false, false},
    [PLACE_VALUES] = {"VALUES", false, false, false},
    [PLACE_INSERT] = {"VALUES", false, false, true},
    [PLACE_UPDATE] = {"UPDATE", false, false, false},
    [PLACE_RETURNING] = {"RETURNING", false, false, false},
    [PLACE_CHECK] = {"check constraints", false, false, false},
    [PLACE_DEFAULT] = {"DEFAULT expressions", false, false, false},
    [PLACE_INDEX_WHERE] = {"index predicates", false, false, false},
};

bool aggregate_allowed(struct scope *s, const char *what, int32_t location) {
    return places[s->place].aggregate ||
           fail(s->an, location, "42803", "%s are not allowed in %s", what, places[s->place].name);
}

bool window_allowed(struct scope *s, int32_t location) {
    return places[s->place].window ||
           fail(s->an, location, "42P20", "window functions are not allowed in %s", places[s->place].name);
}

bool set_allowed(struct scope *s, int32_t location) {
    return places[s->place].set ||
           fail(s->an, location, "0A000", "set-returning functions are not allowed in %s", places[s->place].name);
}

/* ---- grouping ----------------------------------------------------------------------------------------------------------- */

/* A column as seen from a subquery, against one of the grouping query. */
static bool same_column(const struct expr *g, const struct expr *e, uint32_t levels) {
    return g->kind == EXPR_COL && e->kind == EXPR_COL && g->col.rel == e->col.rel && g->col.col == e->col.col &&
           e->col.levels == g->col.levels + levels;
}

static bool is_grouped(const struct query *q, const struct expr *e, uint32_t levels) {
    for (uint32_t i = 0; i < q->groups; i++)
        if (same_column(q->group[i], e, levels) || (levels == 0 && expr_equal(q->group[i], e)))
            return true;
    return false;
}

/* All of the primary key is grouped by: then the other columns follow from it. */
static bool follows_from_key(const struct query *q, const struct rel *r) {
    const struct cat_table *t = r->kind == REL_TABLE ? r->table : NULL;
    if (!t || !t->key_name || q->grouping_sets)
        return false;
    for (uint16_t k = 0; k < t->keys; k++) {
        bool there = false;
        for (uint32_t i = 0; i < q->groups && !there; i++)
            there = q->group[i]->kind == EXPR_COL && q->group[i]->col.rel == r && q->group[i]->col.levels == 0 &&
                    q->group[i]->col.col == t->key[k].col;
        if (!there)
            return false;
    }
    return true;
}

struct grouping_check {
    struct an *an;
    const struct query *q;
};

static bool check_expr(struct grouping_check *g, struct expr *e, uint32_t levels);

static bool check_list(struct grouping_check *g, struct expr *const *e, uint32_t n, uint32_t levels) {
    for (uint32_t i = 0; i < n; i++)
        if (!check_expr(g, e[i], levels))
            return false;
    return true;
}

static bool check_grouping_args(struct grouping_check *g, const struct expr *e) {
    for (uint32_t i = 0; i < e->args; i++)
        if (!is_grouped(g->q, e->arg[i], 0))
            return fail(g->an, expr_location(e->arg[i]), "42803",
                        "arguments to GROUPING must be grouping expressions of the associated query level");
    return true;
}

/* Inside of a subquery only its references to the grouping query matter. */
static bool check_inner(void *ctx, struct expr *e, uint32_t levels) {
    struct grouping_check *g = ctx;
    if (e->kind != EXPR_COL || e->col.levels != levels || is_grouped(g->q, e, levels) ||
        follows_from_key(g->q, e->col.rel))
        return true;
    return fail(g->an, e->location, "42803", "subquery uses ungrouped column \"%s.%s\" from outer query",
                e->col.rel->alias, e->col.rel->col[e->col.col].name);
}

static bool check_expr(struct grouping_check *g, struct expr *e, uint32_t levels) {
    if (!e || e->kind == EXPR_CONST || e->kind == EXPR_PARAM || is_grouped(g->q, e, levels) || e->kind == EXPR_AGG)
        return true;
    if (e->kind == EXPR_GROUPING)
        return true;
    if (e->kind == EXPR_COL) {
        if (e->col.levels != levels || follows_from_key(g->q, e->col.rel))
            return true;
        return fail(g->an, e->location, "42803",
                    "column \"%s.%s\" must appear in the GROUP BY clause or be used in an aggregate function",
                    e->col.rel->alias, e->col.rel->col[e->col.col].name);
    }
    if (!check_list(g, e->arg, e->args, levels) || !check_expr(g, e->filter, levels))
        return false;
    return e->kind != EXPR_SUBLINK || query_walk(e->query, levels + 1, check_inner, g);
}

static bool see_grouping(void *ctx, struct expr *e, uint32_t levels) {
    return levels > 0 || e->kind != EXPR_GROUPING || check_grouping_args(ctx, e);
}

bool check_grouping(struct scope *s) {
    struct query *q = s->q;
    struct grouping_check g = {.an = s->an, .q = q};
    q->aggregates = s->aggregates;
    if (!s->aggregates && !q->groups && !q->having && !q->grouping_sets)
        return true;
    if (!walk_targets(q->target, q->targets, 0, see_grouping, &g) || !expr_walk(q->having, 0, see_grouping, &g))
        return false;
    for (uint32_t i = 0; i < q->targets; i++)
        if (!check_expr(&g, q->target[i].expr, 0))
            return false;
    for (uint32_t i = 0; i < q->windows; i++) {
        const struct window *w = q->window[i];
        if (!check_list(&g, w->partition, w->partitions, 0))
            return false;
        for (uint32_t k = 0; k < w->orders; k++)
            if (!check_expr(&g, w->order[k].expr, 0))
                return false;
    }
    return check_expr(&g, q->having, 0);
}
