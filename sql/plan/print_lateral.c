/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_lateral.c: subqueries of FROM that refer to what stands before them, and ROWS FROM: texts of their own, which pglat<N>
 * runs in the final stage with the values that they refer to (sql/exec/lateral.c).
 */
#include "sql/plan/maker.h"

static bool test_same(const struct rel *r, void *ctx) {
    return r == ctx;
}

bool out_is_outer(const struct out *o, const struct rel *r) {
    return o->apart && (!o->inside || !query_any_rel(o->inside, test_same, (void *)(uintptr_t)r));
}

void out_outer(struct out *o, const struct expr *col) {
    uint32_t i = 0;
    while (i < o->outers && !(o->outer[i]->col.rel == col->col.rel && o->outer[i]->col.col == col->col.col))
        i++;
    if (i == o->outers) {
        if (!maker_room(o->m, &o->outer, o->outers, &o->outers_max, sizeof *o->outer))
            return;
        o->outer[o->outers++] = col;
    }
    out_printf(o, "?%u", LATERAL_ARGS_FROM + i);
}

/* A WITH query that is made outside of the text cannot be seen in it. */
static bool foreign_cte(const struct rel *r, void *ctx) {
    const struct query *q = ctx;
    if (r->kind != REL_CTE)
        return false;
    for (uint32_t i = 0; i < q->ctes; i++)
        if (q->cte[i]->query == r->query)
            return false;
    return true;
}

static void begin(struct out *sub, struct out *o, const struct query *inside) {
    out_init(sub, o->m, OUT_FINAL, o->sel);
    sub->apart = true;
    sub->inside = inside;
    sub->sets_max = o->sets_max;
    sub->laterals_max = o->laterals_max;
}

/* The text is whole: what stands in FROM for it. types: of its columns. */
static void end(struct out *sub, struct out *o, const struct col *type, uint32_t cols) {
    struct maker *m = o->m;
    struct lateral l = {.args = sub->outers, .cols = cols};
    struct buf b;
    o->sets_max = sub->sets_max;
    o->laterals_max = sub->laterals_max;
    if (sub->slots >= LATERAL_ARGS_FROM)
        maker_unsupported(m, -1, "a lateral subquery with more than %d values is not supported", LATERAL_ARGS_FROM - 1);
    out_done(sub, &l.text, false);
    buf_init(&b, 0);
    buf_puts(&b, "CREATE TABLE x(");
    for (uint32_t i = 0; i < cols; i++)
        buf_printf(&b, "%sc%u%s", i ? ", " : "", i, plan_class(&type[i]) == COL_NUMERIC ? " COLLATE pgnum" : "");
    for (uint32_t i = 0; i < l.args; i++)
        buf_printf(&b, "%sa%u HIDDEN", i || cols ? ", " : "", i);
    buf_puts(&b, ")");
    l.shape = buf_cstr(&b) ? arena_strdup(m->arena, buf_cstr(&b)) : NULL;
    buf_done(&b);
    if (!l.shape)
        maker_fail(m, RC_NOMEM);
    if (m->rc || !maker_room(m, &o->sel->lateral, o->sel->laterals, &o->laterals_max, sizeof *o->sel->lateral))
        return;
    o->sel->lateral[o->sel->laterals] = l;
    out_printf(o, "pglat%u(", o->sel->laterals++);
    for (uint32_t i = 0; i < l.args; i++) {
        out_puts(o, i ? ", " : "");
        out_column(o, sub->outer[i]);
    }
    out_puts(o, ")");
}

static bool test_outer(const struct expr *e, void *ctx) {
    const struct out *o = ctx;
    return e->kind == EXPR_COL && e->col.rel->kind != REL_JOIN && out_is_outer(o, e->col.rel);
}

bool print_lateral(struct out *o, const struct rel *r) {
    struct out sub;
    struct out test = {.apart = true, .inside = r->query};
    if (!query_any(r->query, test_outer, &test))
        return false;
    if (o->mode != OUT_FINAL) {
        maker_fail(o->m, RC_INTERNAL);
        return true;
    }
    if (query_any_rel(r->query, foreign_cte, r->query)) {
        maker_unsupported(o->m, -1, "a WITH query inside of LATERAL is not supported");
        return true;
    }
    struct col *type = maker_alloc(o->m, r->cols ? r->cols : 1, sizeof *type);
    for (uint32_t i = 0; type && i < r->cols; i++)
        type[i] = r->col[i].type;
    begin(&sub, o, r->query);
    print_query(&sub, r->query, NULL, 0);
    if (type)
        end(&sub, o, type, r->cols);
    return true;
}

void print_functions(struct out *o, const struct rel *r) {
    struct out sub;
    struct col *type = maker_alloc(o->m, r->rows + 1u, sizeof *type);
    if (!type)
        return;
    begin(&sub, o, NULL);
    for (uint32_t i = 0; i < r->rows; i++) {
        type[i] = r->row[i]->type;
        out_printf(&sub, "%sf%u(c0, c1) AS MATERIALIZED (SELECT c0, c1 FROM ", i ? ", " : "WITH ", i);
        print_set_call(&sub, r->row[i]);
        out_puts(&sub, ")");
    }
    type[r->rows] = col_of(COL_INT8);
    out_puts(&sub, " SELECT ");
    for (uint32_t i = 0; i < r->rows; i++)
        out_printf(&sub, "f%u.c0 AS c%u, ", i, i);
    out_printf(&sub, "n.c1 AS c%u FROM (", r->rows);
    for (uint32_t i = 0; i < r->rows; i++)
        out_printf(&sub, "%sSELECT c1 FROM f%u", i ? " UNION " : "", i);
    out_puts(&sub, ") AS n");
    for (uint32_t i = 0; i < r->rows; i++)
        out_printf(&sub, " LEFT JOIN f%u ON f%u.c1 = n.c1", i, i);
    out_puts(&sub, " ORDER BY n.c1");
    end(&sub, o, type, r->rows + 1u);
}
