/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_sets.c: GROUPING SETS, ROLLUP and CUBE: a query for each set, one behind the other by UNION ALL. In each, what is grouped by
 * elsewhere only is NULL, and GROUPING is a number. Order, DISTINCT and LIMIT stand around the whole. FETCH FIRST ... WITH TIES is
 * made in the same way: it stands around the query without it, whose rows it ranks.
 */
#include <string.h>

#include "sql/plan/maker.h"

enum { SETS_MAX = 400 }; /* SQLite takes 500 arms */

static bool has(struct expr *const *list, uint32_t n, const struct expr *e) {
    for (uint32_t i = 0; i < n; i++)
        if (expr_same(list[i], e))
            return true;
    return false;
}

static bool grouped_by(const struct query *q, const struct expr *e) {
    for (uint32_t k = 0; k < q->grouping_sets; k++)
        if (has(q->grouping_set[k], q->grouping_set_exprs[k], e))
            return true;
    return false;
}

static struct expr *constant(struct maker *m, const struct expr *like, struct value v) {
    struct expr *e = maker_alloc(m, 1, sizeof *e);
    if (e)
        *e = (struct expr){.kind = EXPR_CONST, .type = like->type, .location = like->location, .value = v};
    return e;
}

/* e as the k-th set has it. */
static struct expr *in_set(struct maker *m, const struct query *q, uint32_t k, struct expr *e) {
    if (!e || m->rc || e->kind == EXPR_CONST || e->kind == EXPR_PARAM || e->kind == EXPR_AGG)
        return e;
    if (e->kind == EXPR_GROUPING) {
        int64_t bits = 0;
        for (uint32_t i = 0; i < e->args; i++)
            bits = bits * 2 + !has(q->grouping_set[k], q->grouping_set_exprs[k], e->arg[i]);
        return constant(m, e, value_int(bits));
    }
    if (has(q->grouping_set[k], q->grouping_set_exprs[k], e))
        return e;
    if (grouped_by(q, e))
        return constant(m, e, value_null());
    if (e->kind == EXPR_SUBLINK || e->kind == EXPR_WINDOW || e->kind == EXPR_SET) {
        maker_unsupported(m, e->location, "%s beside GROUPING SETS, ROLLUP or CUBE is not supported",
                          e->kind == EXPR_SUBLINK  ? "a subquery"
                          : e->kind == EXPR_WINDOW ? "a window function"
                                                   : "a set-returning function");
        return e;
    }
    struct expr *copy = maker_alloc(m, 1, sizeof *copy);
    struct expr **arg = maker_alloc(m, e->args ? e->args : 1, sizeof *arg);
    if (!copy || !arg)
        return e;
    *copy = *e;
    copy->arg = arg;
    for (uint32_t i = 0; i < e->args; i++)
        arg[i] = in_set(m, q, k, e->arg[i]);
    return copy;
}

static bool test_aggregate(const struct expr *e, void *ctx) {
    (void)ctx;
    return e->kind == EXPR_AGG;
}

static void print_set(struct out *o, const struct query *q, uint32_t k, const struct plan_column *as) {
    struct maker *m = o->m;
    struct query arm = *q;
    bool aggregates = q->having && expr_any(q->having, test_aggregate, NULL);
    arm.grouping_sets = 0;
    arm.group = q->grouping_set[k];
    arm.groups = q->grouping_set_exprs[k];
    arm.ctes = arm.sorts = 0;
    arm.limit = arm.offset = NULL;
    arm.distinct = arm.with_ties = false;
    arm.having = in_set(m, q, k, q->having);
    arm.target = maker_alloc(m, q->targets ? q->targets : 1, sizeof *arm.target);
    for (uint32_t i = 0; i < q->targets && !m->rc; i++) {
        aggregates = aggregates || expr_any(q->target[i].expr, test_aggregate, NULL);
        arm.target[i] = q->target[i];
        arm.target[i].junk = false;
        arm.target[i].expr = in_set(m, q, k, q->target[i].expr);
    }
    if (arm.groups == 0 && !aggregates)
        maker_unsupported(m, -1, "the grouping set () without an aggregate is not supported");
    print_query(o, &arm, as, q->targets);
}

/* By columns of a subquery that has all of the targets, in these types. */
static void print_sorted(struct out *o, const struct query *q, const struct plan_column *all) {
    for (uint32_t i = 0; i < q->sorts && !o->m->rc; i++) {
        const struct sort *s = &q->sort[i];
        uint32_t k = 0;
        while (k < q->targets && q->target[k].expr != s->expr)
            k++;
        if (k == q->targets) {
            maker_fail(o->m, RC_INTERNAL);
            return;
        }
        const struct col *c = &all[k].type;
        out_puts(o, i ? ", " : " ORDER BY ");
        bool key = c->type == COL_INTERVAL || c->type == COL_JSONB || c->type == COL_ARRAY;
        if (key)
            out_printf(o, "pgkey(%u, %u, c%u)", c->type, c->elem, k);
        else if (plan_class(c) == 0)
            no_order(o, s->expr);
        else
            out_printf(o, "c%u%s", k, plan_class(c) == COL_NUMERIC ? " COLLATE pgnum" : "");
        out_puts(o, s->desc ? " DESC" : " ASC");
        out_puts(o, s->nulls_first ? " NULLS FIRST" : " NULLS LAST");
    }
}

/* The types of all targets, junk ones too; *ret_n: how many are none. */
static struct plan_column *all_types(struct maker *m, const struct query *q, const struct plan_column *as,
                                     uint32_t *ret_n) {
    struct plan_column *all = maker_alloc(m, q->targets ? q->targets : 1, sizeof *all);
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->targets && all; i++) {
        all[i].type = q->target[i].expr->type;
        if (!q->target[i].junk && as)
            all[i].type = as[n].type;
        n += !q->target[i].junk;
    }
    *ret_n = n;
    return all;
}

void print_grouping_sets(struct out *o, const struct query *q, const struct plan_column *as) {
    struct maker *m = o->m;
    uint32_t n = 0;
    struct plan_column *all = all_types(m, q, as, &n);
    if (q->grouping_sets > SETS_MAX)
        maker_unsupported(m, -1, "more than %d grouping sets are not supported", SETS_MAX);
    if (q->distincts || q->windows)
        maker_unsupported(m, -1, "%s beside GROUPING SETS, ROLLUP or CUBE is not supported",
                          q->windows ? "a window" : "DISTINCT ON");
    if (query_any(q, test_volatile, NULL))
        maker_unsupported(m, -1, "a volatile function beside GROUPING SETS, ROLLUP or CUBE is not supported");
    if (m->rc)
        return;
    out_puts(o, q->distinct ? "SELECT DISTINCT " : "SELECT ");
    for (uint32_t i = 0; i < n; i++) {
        int class = plan_class(&all[i].type);
        if (q->distinct && class == 0)
            no_order(o, q->target[i].expr);
        out_printf(o, "%sc%u%s AS c%u", i ? ", " : "", i, q->distinct && class == COL_NUMERIC ? " COLLATE pgnum" : "",
                   i);
    }
    out_puts(o, " FROM (");
    for (uint32_t k = 0; k < q->grouping_sets && !m->rc; k++) {
        out_puts(o, k ? " UNION ALL " : "");
        print_set(o, q, k, all);
    }
    out_puts(o, ")");
    print_sorted(o, q, all);
    print_limit(o, q);
}

/* ---- WITH TIES ---------------------------------------------------------------------------------------------------- */

/* A row is one of the first, or is sorted with the last of them, exactly if fewer rows than that come before all of its kind. */
void print_with_ties(struct out *o, const struct query *q, const struct plan_column *as) {
    struct maker *m = o->m;
    struct col int8 = col_of(COL_INT8);
    struct query whole = *q;
    uint32_t n = 0;
    struct plan_column *all = all_types(m, q, as, &n);
    uint32_t limit = maker_calc(m, q->limit, &int8, CALC_LIMIT);
    uint32_t offset = q->offset ? maker_calc(m, q->offset, &int8, CALC_OFFSET) : CALC_NONE;
    whole.limit = whole.offset = NULL;
    whole.with_ties = false;
    if (q->distincts == 0) /* which row it is that DISTINCT ON takes, the order says */
        whole.sorts = 0;
    whole.target = maker_alloc(m, q->targets ? q->targets : 1, sizeof *whole.target);
    if (m->rc)
        return;
    for (uint32_t i = 0; i < q->targets; i++) {
        whole.target[i] = q->target[i];
        whole.target[i].junk = false;
    }
    out_puts(o, "SELECT ");
    for (uint32_t i = 0; i < n; i++)
        out_printf(o, "%sc%u AS c%u", i ? ", " : "", i, i);
    out_puts(o, n ? " FROM (SELECT *, rank() OVER (" : "1 AS c0 FROM (SELECT *, rank() OVER (");
    print_sorted(o, q, all);
    out_puts(o, ") AS before, row_number() OVER (");
    print_sorted(o, q, all);
    out_puts(o, ") AS place FROM (");
    print_query(o, &whole, all, q->targets);
    out_puts(o, ")) WHERE ");
    if (offset != CALC_NONE) {
        out_puts(o, "place > ");
        out_slot(o, offset);
        out_puts(o, " AND ");
    }
    out_puts(o, "(");
    out_slot(o, limit);
    out_puts(o, " < 0 OR (");
    out_slot(o, limit);
    out_puts(o, " > 0 AND before <= ");
    out_slot(o, limit);
    if (offset != CALC_NONE) {
        out_puts(o, " + ");
        out_slot(o, offset);
    }
    out_puts(o, ")) ORDER BY place");
}
