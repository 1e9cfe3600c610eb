/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_query.c: queries as SQLite's: the relational skeleton.
 *
 * Every query gives columns c0, c1, ... in the order of its targets. What SQLite has not, or has otherwise, is written out:
 *
 *     a scalar subquery        through pgone(), which fails at a second row
 *     x op ANY / ALL (query)   as an aggregate over the comparisons, unless it is x IN (query)
 *     ARRAY(query)             array_agg over it
 *     DISTINCT ON              row_number() = 1
 *     INTERSECT / EXCEPT ALL   rows numbered among their equals
 *     NULLS FIRST, LAST        always said, but for columns that have none
 */
#include <string.h>

#include "sql/plan/maker.h"

/* ---- aggregates -------------------------------------------------------------------------------------------------- */

static bool name_is(const struct fn *f, const char *name) {
    return strcmp(f->name, name) == 0;
}

/* "count(", "max(", ... where SQLite's own does it; NULL: pgagg. */
static const char *native_aggregate(const struct expr *e) {
    const struct fn *f = e->call.fn;
    if (e->orders > 0)
        return NULL;
    if (name_is(f, "count") && (e->star || e->args == 0))
        return "count(*";
    if (e->args != 1)
        return NULL;
    const struct expr *x = e->arg[0];
    int class = plan_class(&x->type);
    if (name_is(f, "count") && (class != 0 || !e->distinct))
        return "count(";
    bool same = class != 0 && plan_same_form(&x->type, &e->type);
    if (same && name_is(f, "min"))
        return "min(";
    if (same && name_is(f, "max"))
        return "max(";
    if (name_is(f, "sum") && (x->type.type == COL_INT2 || x->type.type == COL_INT4))
        return "sum(";
    return NULL;
}

/* The call, for pgagg, pgwin and pgset. */
static void print_spec(struct out *o, const struct expr *e) {
    struct maker *m = o->m;
    struct value v;
    struct col *type = maker_alloc(m, e->args ? e->args : 1, sizeof *type);
    struct pgx_order *order = maker_alloc(m, e->orders ? e->orders : 1, sizeof *order);
    if (!type || !order)
        return;
    for (uint32_t i = 0; i < e->args; i++)
        type[i] = e->arg[i]->type;
    for (uint32_t i = 0; i < e->orders; i++)
        order[i] = (struct pgx_order){e->order[i].expr->type, e->order[i].desc, e->order[i].nulls_first};
    struct pgx_agg agg = {.call = {.arg = type, .ret = e->type},
                          .args = e->args,
                          .distinct = e->distinct,
                          .orders = e->orders,
                          .order = order};
    enum rc rc = pgx_agg_spec(m->arena, &agg, &v);
    if (rc)
        maker_fail(m, rc);
    else
        out_blob(o, v.p, v.bytes);
}

static void print_arguments(struct out *o, const struct expr *e) {
    for (uint32_t i = 0; i < e->args; i++) {
        out_puts(o, ", ");
        print_expr(o, e->arg[i]);
    }
    for (uint32_t i = 0; i < e->orders; i++) {
        out_puts(o, ", ");
        print_expr(o, e->order[i].expr);
    }
}

static void print_call(struct out *o, const struct expr *e, enum pgx_mode mode) {
    const char *native = native_aggregate(e);
    if (native) {
        out_puts(o, native);
        if (native[strlen(native) - 1] != '*') {
            if (e->distinct)
                out_puts(o, "DISTINCT ");
            if (plan_class(&e->arg[0]->type) == 0)
                print_expr(o, e->arg[0]);
            else
                print_ordered(o, e->arg[0]);
        }
    } else {
        out_printf(o, "%s(%u, ", e->kind == EXPR_WINDOW ? "pgwin" : "pgagg", e->call.fn->id);
        print_spec(o, e);
        out_printf(o, ", %d", mode);
        print_arguments(o, e);
    }
    out_puts(o, ")");
    if (e->filter) {
        out_puts(o, " FILTER (WHERE ");
        print_expr(o, e->filter);
        out_puts(o, ")");
    }
}

void print_aggregate(struct out *o, const struct expr *e) {
    print_call(o, e, PGX_WHOLE);
}

bool aggregate_splits(const struct expr *e) {
    const char *native = native_aggregate(e);
    if (e->distinct)
        return native && native[0] == 'm'; /* min, max */
    return native || (e->orders == 0 && e->call.fn->agg && e->call.fn->agg->save && e->call.fn->agg->merge);
}

void print_part(struct out *o, const struct expr *e) {
    print_call(o, e, PGX_PART);
}

void print_merge(struct out *o, const struct expr *e, uint32_t rel, uint32_t col) {
    const char *native = native_aggregate(e);
    if (!native) {
        out_printf(o, "pgagg(%u, ", e->call.fn->id);
        print_spec(o, e);
        out_printf(o, ", %d, r%u.c%u)", PGX_MERGE, rel, col);
    } else if (native[0] == 'c') { /* count */
        out_printf(o, "coalesce(sum(r%u.c%u), 0)", rel, col);
    } else {
        out_printf(o, "%sr%u.c%u%s)", native, rel, col, plan_class(&e->type) == COL_NUMERIC ? " COLLATE pgnum" : "");
    }
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* PostgreSQL's FRAMEOPTION_ bits. */
enum {
    FRAME_NONDEFAULT = 0x1,
    FRAME_RANGE = 0x2,
    FRAME_ROWS = 0x4,
    FRAME_GROUPS = 0x8,
    FRAME_START_UNBOUNDED = 0x20,
    FRAME_END_UNBOUNDED = 0x100,
    FRAME_START_CURRENT = 0x200,
    FRAME_END_CURRENT = 0x400,
    FRAME_START_PRECEDING = 0x800,
    FRAME_END_PRECEDING = 0x1000,
    FRAME_START_FOLLOWING = 0x2000,
    FRAME_END_FOLLOWING = 0x4000,
    FRAME_EXCLUDE_CURRENT = 0x8000,
    FRAME_EXCLUDE_GROUP = 0x10000,
    FRAME_EXCLUDE_TIES = 0x20000,
};

static void print_edge(struct out *o, uint32_t frame, bool start, const struct expr *offset) {
    if (frame & (start ? FRAME_START_UNBOUNDED : FRAME_END_UNBOUNDED)) {
        out_puts(o, start ? "UNBOUNDED PRECEDING" : "UNBOUNDED FOLLOWING");
        return;
    }
    if (frame & (start ? FRAME_START_CURRENT : FRAME_END_CURRENT)) {
        out_puts(o, "CURRENT ROW");
        return;
    }
    if (!offset) {
        maker_fail(o->m, RC_INTERNAL);
        return;
    }
    print_expr(o, offset);
    out_puts(o, frame & (start ? FRAME_START_PRECEDING : FRAME_END_PRECEDING) ? " PRECEDING" : " FOLLOWING");
}

static void print_frame(struct out *o, const struct window *w) {
    uint32_t f = w->frame;
    if (!(f & FRAME_NONDEFAULT))
        return;
    if ((f & FRAME_RANGE) && (w->start || w->end)) {
        maker_unsupported(o->m, -1, "RANGE with an offset is not supported");
        return;
    }
    out_puts(o, f & FRAME_ROWS ? " ROWS" : f & FRAME_GROUPS ? " GROUPS" : " RANGE");
    out_puts(o, " BETWEEN ");
    print_edge(o, f, true, w->start);
    out_puts(o, " AND ");
    print_edge(o, f, false, w->end);
    if (f & FRAME_EXCLUDE_CURRENT)
        out_puts(o, " EXCLUDE CURRENT ROW");
    else if (f & FRAME_EXCLUDE_GROUP)
        out_puts(o, " EXCLUDE GROUP");
    else if (f & FRAME_EXCLUDE_TIES)
        out_puts(o, " EXCLUDE TIES");
}

static void print_sorts(struct out *o, const struct sort *s, uint32_t n) {
    const char *before = " ORDER BY ";
    for (uint32_t i = 0; i < n; i++) {
        if (expr_fixed(s[i].expr))
            continue;
        out_puts(o, before);
        print_ordered(o, s[i].expr);
        out_puts(o, s[i].desc ? " DESC" : " ASC");
        out_puts(o, s[i].nulls_first ? " NULLS FIRST" : " NULLS LAST");
        before = ", ";
    }
}

void print_window(struct out *o, const struct expr *e) {
    const struct fn *f = e->call.fn;
    if (f->kind == FN_AGGREGATE) {
        if (e->distinct || e->orders > 0) {
            maker_unsupported(o->m, e->location, "DISTINCT in a window function is not supported");
            return;
        }
        print_call(o, e, PGX_WHOLE);
    } else {
        out_printf(o, "%s(", f->name);
        for (uint32_t i = 0; i < e->args; i++) {
            if (i > 0)
                out_puts(o, ", ");
            print_as(o, e->arg[i], i == 0 || i == 2 ? &e->type : &e->arg[i]->type);
        }
        out_puts(o, ")");
    }
    out_puts(o, " OVER (");
    for (uint32_t i = 0; i < e->window->partitions; i++) {
        out_puts(o, i ? ", " : "PARTITION BY ");
        print_ordered(o, e->window->partition[i]);
    }
    print_sorts(o, e->window->order, e->window->orders);
    print_frame(o, e->window);
    out_puts(o, ")");
}

/* ---- subqueries -------------------------------------------------------------------------------------------------- */

static uint32_t visible(const struct query *q) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->targets; i++)
        n += !q->target[i].junk;
    return n;
}

static const struct target *nth_target(const struct query *q, uint32_t k) {
    for (uint32_t i = 0; i < q->targets; i++)
        if (!q->target[i].junk && k-- == 0)
            return &q->target[i];
    return NULL;
}

/* At most one row, whatever the tables hold. */
static bool one_row(const struct query *q) {
    if (q->set == SET_NONE && q->aggregates && q->groups == 0 && q->grouping_sets == 0)
        return true;
    if (q->set == SET_NONE && q->froms == 0 && !q->where)
        return q->targets == 0 || q->target[0].expr->kind != EXPR_SET;
    return q->limit && !q->with_ties && q->limit->kind == EXPR_CONST && q->limit->value.kind == VALUE_INT &&
           q->limit->value.i <= 1;
}

static void print_scalar_query(struct out *o, const struct query *q) {
    bool one = one_row(q);
    out_puts(o, one ? "(" : "(SELECT pgone(c0) FROM (");
    print_query(o, q, NULL, 0);
    out_puts(o, one ? ")" : "))");
}

static bool native_in_query(const struct expr *left, const struct target *t, const struct fn *cmp) {
    int class = plan_class(&expr_strip(left)->type);
    return class != 0 && class != COL_NUMERIC && class == plan_class(&t->expr->type) && fn_comparison(cmp) == '=';
}

/* The comparison of the left side with a row of the subquery, as a column v of its own. */
static void print_comparisons(struct out *o, const struct expr *e) {
    struct maker *m = o->m;
    const struct target *t = nth_target(e->query, 0);
    struct rel *r = maker_alloc(m, 1, sizeof *r);
    struct expr *col = maker_alloc(m, 1, sizeof *col), *call = maker_alloc(m, 1, sizeof *call);
    struct expr **arg = maker_alloc(m, 2, sizeof *arg);
    if (!r || !col || !call || !arg || !t) {
        maker_fail(m, RC_NOMEM);
        return;
    }
    *r = (struct rel){.kind = REL_QUERY, .cols = 1, .query = e->query};
    *col = (struct expr){.kind = EXPR_COL, .type = t->expr->type, .location = e->location};
    col->col.rel = r;
    arg[0] = e->arg[0];
    arg[1] = col;
    *call = (struct expr){.kind = EXPR_CALL, .type = col_of(COL_BOOL), .location = e->location, .args = 2, .arg = arg};
    call->call.fn = e->cmp[0];
    out_puts(o, "(SELECT ");
    print_expr(o, call);
    out_puts(o, " AS v FROM (");
    print_query(o, e->query, NULL, 0);
    out_printf(o, ") AS r%u)", maker_rel(m, r));
}

static void print_any(struct out *o, const struct expr *e) {
    const struct expr *left = e->arg[0];
    const struct target *t = nth_target(e->query, 0);
    if (!t) {
        maker_fail(o->m, RC_INTERNAL);
        return;
    }
    if (e->args > 1) {
        bool native = e->op == SUBLINK_ANY && e->args == visible(e->query);
        for (uint32_t i = 0; i < e->args && native; i++)
            native = native_in_query(e->arg[i], nth_target(e->query, i), e->cmp[i]);
        if (!native) {
            maker_unsupported(o->m, e->location, "this comparison of rows with a subquery is not supported");
            return;
        }
        out_puts(o, "((");
        for (uint32_t i = 0; i < e->args; i++) {
            out_puts(o, i ? ", " : "");
            print_expr(o, expr_strip(e->arg[i]));
        }
        out_puts(o, ") IN (");
        print_query(o, e->query, NULL, 0);
        out_puts(o, "))");
        return;
    }
    if (e->op == SUBLINK_ANY && native_in_query(left, t, e->cmp[0])) {
        out_puts(o, "(");
        print_expr(o, expr_strip(left));
        out_puts(o, " IN (");
        print_query(o, e->query, NULL, 0);
        out_puts(o, "))");
        return;
    }
    out_puts(o, e->op == SUBLINK_ANY
                    ? "(SELECT CASE WHEN max(v) = 1 THEN 1 WHEN count(*) > count(v) THEN NULL ELSE 0 END FROM "
                    : "(SELECT CASE WHEN min(v) = 0 THEN 0 WHEN count(*) > count(v) THEN NULL ELSE 1 END FROM ");
    print_comparisons(o, e);
    out_puts(o, ")");
}

static void print_array_query(struct out *o, const struct expr *e) {
    struct maker *m = o->m;
    size_t at = 0;
    const struct fn *f;
    struct value types;
    const struct target *t = nth_target(e->query, 0);
    while ((f = fn_by_name("array_agg", &at)) && f->kind != FN_AGGREGATE) {
    }
    if (!f || !t) {
        maker_unsupported(m, e->location, "ARRAY(SELECT ...) is not supported");
        return;
    }
    struct col arg = t->expr->type;
    struct fn_call call = {.arg = &arg, .ret = e->type};
    struct value empty;
    enum rc rc = pgx_types(m->arena, &call, 1, &types);
    if (!rc)
        rc = fn_array_of(m->arena, &arg, NULL, 0, &empty, m->err);
    if (rc) {
        maker_fail(m, rc);
        return;
    }
    out_printf(o, "(SELECT coalesce(pgagg(%u, ", f->id);
    out_blob(o, types.p, types.bytes);
    out_puts(o, ", 0, c0), ");
    out_literal(o, &empty);
    out_puts(o, ") FROM (");
    print_query(o, e->query, NULL, 0);
    out_puts(o, "))");
}

void print_sublink(struct out *o, const struct expr *e) {
    switch (e->op) {
    case SUBLINK_EXISTS:
        out_puts(o, "EXISTS (");
        print_query(o, e->query, NULL, 0);
        out_puts(o, ")");
        break;
    case SUBLINK_SCALAR:
        print_scalar_query(o, e->query);
        break;
    case SUBLINK_ANY:
    case SUBLINK_ALL:
        print_any(o, e);
        break;
    case SUBLINK_ARRAY:
        print_array_query(o, e);
        break;
    default:
        maker_fail(o->m, RC_INTERNAL);
    }
}

/* ---- FROM -------------------------------------------------------------------------------------------------------- */

static void print_values(struct out *o, const struct rel *r) {
    out_puts(o, "(SELECT ");
    for (uint32_t c = 0; c < r->cols; c++)
        out_printf(o, "%scolumn%u AS c%u", c ? ", " : "", c + 1, c);
    out_puts(o, " FROM (VALUES ");
    for (uint32_t i = 0; i < r->rows && !o->m->rc; i++) {
        out_puts(o, i ? ", (" : "(");
        for (uint32_t c = 0; c < r->cols; c++) {
            out_puts(o, c ? ", " : "");
            print_as(o, r->row[i * r->cols + c], &r->col[c].type);
        }
        out_puts(o, ")");
    }
    out_puts(o, "))");
}

/* pgset(call, argument, ...): a virtual table with hidden columns. */
void print_set_call(struct out *o, const struct expr *e) {
    struct maker *m = o->m;
    bool set = (e->kind == EXPR_CALL || e->kind == EXPR_SET) && e->call.fn && e->call.fn->kind == FN_SET;
    if (o->mode != OUT_FINAL) {
        maker_fail(m, RC_INTERNAL);
        return;
    }
    if (!maker_room(m, &o->sel->set, o->sel->sets, &o->sets_max, sizeof *o->sel->set))
        return;
    struct set_call *call = &o->sel->set[o->sel->sets++];
    *call = (struct set_call){.fn = set ? e->call.fn : NULL};
    out_printf(o, "pgset(%u", o->sel->sets - 1);
    if (set) {
        struct col *type = maker_alloc(m, e->args ? e->args : 1, sizeof *type);
        for (uint32_t i = 0; i < e->args && type; i++) {
            type[i] = e->arg[i]->type;
            if (type[i].type == COL_NUMERIC)
                type[i].typmod = COL_TYPMOD_NONE;
            out_puts(o, ", ");
            print_as(o, e->arg[i], &type[i]);
        }
        call->types = (struct fn_call){.arg = type, .ret = e->type};
    } else {
        out_puts(o, ", ");
        print_expr(o, e);
    }
    out_puts(o, ")");
}

static void print_function(struct out *o, const struct rel *r) {
    if (r->rows == 1)
        print_set_call(o, r->row[0]);
    else
        print_functions(o, r);
}

void print_set_target(struct out *o, const struct expr *e) {
    uint32_t i = 0;
    while (i < o->joins && o->joined[i] != e)
        i++;
    if (i == o->joins) {
        if (!maker_room(o->m, &o->joined, o->joins, &o->joins_max, sizeof *o->joined))
            return;
        o->joined[o->joins++] = e;
    }
    out_printf(o, "j%u.c0", i);
}

static void print_rel(struct out *o, const struct rel *r);

static bool has_outer(const struct rel *r) {
    return r->kind == REL_JOIN &&
           (r->join == JOIN_RIGHT || r->join == JOIN_FULL || has_outer(r->left) || has_outer(r->right));
}

static void print_join(struct out *o, const struct rel *r) {
    static const char *const words[] = {[JOIN_INNER] = " JOIN ",
                                        [JOIN_LEFT] = " LEFT JOIN ",
                                        [JOIN_RIGHT] = " RIGHT JOIN ",
                                        [JOIN_FULL] = " FULL JOIN ",
                                        [JOIN_CROSS] = " JOIN "};
    bool paren = r->right->kind == REL_JOIN;
    print_rel(o, r->left);
    out_puts(o, words[r->join]);
    out_puts(o, paren ? "(" : "");
    print_rel(o, r->right);
    out_puts(o, paren ? ")" : "");
    size_t before = o->sql.len;
    print_conjuncts(o, " ON ", r->on, NULL, 0);
    if (o->sql.len == before && r->join != JOIN_INNER && r->join != JOIN_CROSS)
        out_puts(o, " ON 1");
}

static void print_rel(struct out *o, const struct rel *r) {
    uint32_t n = maker_rel(o->m, r);
    if (o->m->rc)
        return;
    switch (r->kind) {
    case REL_TABLE:
    case REL_CATALOG:
        if (o->mode == OUT_FRAGMENT) {
            out_printf(o, "{%" PRIu64 "}", r->table->store ? r->table->store->id : 0);
        } else {
            uint32_t i = 0;
            while (i < o->sel->sources && o->sel->source[i].rel != r)
                i++;
            if (i == o->sel->sources)
                maker_fail(o->m, RC_INTERNAL);
            out_printf(o, "s%u", i);
        }
        break;
    case REL_QUERY:
        if (r->lateral && print_lateral(o, r))
            break;
        out_puts(o, "(");
        print_query(o, r->query, NULL, 0);
        out_puts(o, ")");
        break;
    case REL_CTE:
        out_printf(o, "w%u", maker_with(o->m, r->query));
        break;
    case REL_VALUES:
        print_values(o, r);
        break;
    case REL_FUNCTION:
        print_function(o, r);
        break;
    case REL_JOIN:
        print_join(o, r);
        return;
    case REL_SET:
        maker_fail(o->m, RC_INTERNAL);
        return;
    }
    out_printf(o, " AS r%u", n);
}

/* Behind FROM: the functions among the targets. */
static void print_joined(struct out *o, const struct query *q, uint32_t first) {
    if (o->joins > first && (q->aggregates || q->groups || o->joins > first + 1))
        maker_unsupported(o->m, o->joined[first]->location,
                          o->joins > first + 1 ? "several set-returning functions among the targets are not supported"
                                               : "a set-returning function beside aggregates is not supported");
    for (uint32_t i = first; i < o->joins && !o->m->rc; i++) {
        out_puts(o, q->froms || i > first ? ", " : " FROM ");
        print_set_call(o, o->joined[i]);
        out_printf(o, " AS j%u", i);
    }
    o->joins = first;
}

void print_from(struct out *o, const struct query *q) {
    for (uint32_t i = 0; i < q->froms; i++) {
        bool paren = i > 0 && has_outer(q->from[i]);
        out_puts(o, i ? ", " : " FROM ");
        out_puts(o, paren ? "(" : "");
        print_rel(o, q->from[i]);
        out_puts(o, paren ? ")" : "");
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool same_expr(const struct expr *a, const struct expr *b) {
    if (a == b)
        return true;
    return a->kind == EXPR_COL && b->kind == EXPR_COL && a->col.rel == b->col.rel && a->col.col == b->col.col;
}

/* The place among the visible targets, from 1; 0: it is none of them. */
static uint32_t ordinal(const struct query *q, const struct expr *e) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->targets; i++) {
        if (q->target[i].junk)
            continue;
        n++;
        if (same_expr(q->target[i].expr, e))
            return n;
    }
    return 0;
}

static bool outer_joins(const struct query *q) {
    for (uint32_t i = 0; i < q->rels; i++)
        if (q->rel[i]->kind == REL_JOIN && q->rel[i]->join != JOIN_INNER && q->rel[i]->join != JOIN_CROSS)
            return true;
    return false;
}

static bool never_null(const struct query *q, const struct expr *e) {
    e = expr_base(e);
    return e->kind == EXPR_COL && e->col.rel->kind == REL_TABLE && e->col.col < e->col.rel->table->columns &&
           e->col.rel->table->column[e->col.col].not_null && !outer_joins(q);
}

void print_order(struct out *o, const struct query *q) {
    const char *before = " ORDER BY ";
    for (uint32_t i = 0; i < q->sorts; i++) {
        const struct sort *s = &q->sort[i];
        uint32_t n = ordinal(q, s->expr);
        if (expr_fixed(s->expr) && tree_volatility(s->expr) != FN_VOLATILE)
            continue;
        out_puts(o, before);
        before = ", ";
        bool by_number = n > 0 && (q->set != SET_NONE || q->distinct || s->expr->kind != EXPR_COL);
        if (by_number && plan_class(&s->expr->type) == 0 && q->set == SET_NONE && !q->distinct)
            by_number = false;
        if (by_number) {
            if (plan_class(&s->expr->type) == 0)
                no_order(o, s->expr);
            out_printf(o, "%u%s", n, plan_class(&s->expr->type) == COL_NUMERIC ? " COLLATE pgnum" : "");
        } else if (q->set != SET_NONE) {
            maker_unsupported(o->m, s->expr->location, "ordering a set operation by this is not supported");
        } else {
            print_ordered(o, s->expr);
        }
        if (s->desc)
            out_puts(o, " DESC");
        if (!never_null(q, s->expr) || q->set != SET_NONE)
            out_puts(o, s->nulls_first ? " NULLS FIRST" : " NULLS LAST");
    }
}

void print_limit(struct out *o, const struct query *q) {
    struct col int8 = col_of(COL_INT8);
    if (!q->limit && !q->offset)
        return;
    out_puts(o, " LIMIT ");
    if (q->limit)
        out_slot(o, maker_calc(o->m, q->limit, &int8, CALC_LIMIT));
    else
        out_puts(o, "-1");
    if (q->offset) {
        out_puts(o, " OFFSET ");
        out_slot(o, maker_calc(o->m, q->offset, &int8, CALC_OFFSET));
    }
}

static void print_with(struct out *o, const struct query *q) {
    bool recursive = false;
    for (uint32_t i = 0; i < q->ctes; i++)
        recursive |= q->cte[i]->recursive;
    for (uint32_t i = 0; i < q->ctes; i++) {
        const struct cte *c = q->cte[i];
        if (c->query->kind != QUERY_SELECT) {
            maker_unsupported(o->m, -1, "WITH queries that write are not supported");
            return;
        }
        out_puts(o, i ? ", " : recursive ? "WITH RECURSIVE " : "WITH ");
        out_printf(o, "w%u(", maker_with(o->m, c->query));
        for (uint32_t k = 0; k < visible(c->query); k++)
            out_printf(o, "%sc%u", k ? ", " : "", k);
        out_puts(o, ") AS ");
        if (!c->recursive && (c->materialized > 0 || (c->materialized == 0 && c->uses > 1)))
            out_puts(o, "MATERIALIZED ");
        out_puts(o, "(");
        print_query(o, c->query, NULL, 0);
        out_puts(o, ")");
    }
    if (q->ctes)
        out_puts(o, " ");
}

static void print_columns(struct out *o, uint32_t n, const char *more) {
    for (uint32_t i = 0; i < n; i++)
        out_printf(o, "%sc%u", i ? ", " : "", i);
    out_puts(o, more);
}

/* An operand of a set operation, in the types of the whole. bare: it may stand as it is. */
static void print_operand(struct out *o, const struct query *side, const struct plan_column *as, uint32_t n, bool all) {
    bool bare = side->set == SET_NONE && side->sorts == 0 && !side->limit && !side->offset && side->ctes == 0 &&
                side->distincts == 0,
         numeric = false;
    for (uint32_t i = 0; i < n && !all; i++)
        numeric |= plan_class(&as[i].type) == COL_NUMERIC;
    if (bare && !numeric) {
        print_query(o, side, as, n);
        return;
    }
    out_puts(o, "SELECT ");
    for (uint32_t i = 0; i < n; i++)
        out_printf(o, "%sc%u%s", i ? ", " : "", i,
                   plan_class(&as[i].type) == COL_NUMERIC && !all ? " COLLATE pgnum AS c" : " AS c"),
            out_printf(o, "%u", i);
    out_puts(o, " FROM (");
    print_query(o, side, as, n);
    out_puts(o, ")");
}

static void print_numbered(struct out *o, const struct query *side, const struct plan_column *as, uint32_t n) {
    out_puts(o, "SELECT ");
    print_columns(o, n, ", row_number() OVER (PARTITION BY ");
    for (uint32_t i = 0; i < n; i++)
        out_printf(o, "%sc%u%s", i ? ", " : "", i, plan_class(&as[i].type) == COL_NUMERIC ? " COLLATE pgnum" : "");
    out_puts(o, ") AS n FROM (");
    print_query(o, side, as, n);
    out_puts(o, ")");
}

static void print_set(struct out *o, const struct query *q, const struct plan_column *as, uint32_t n) {
    static const char *const words[] = {
        [SET_UNION] = " UNION ", [SET_INTERSECT] = " INTERSECT ", [SET_EXCEPT] = " EXCEPT "};
    for (uint32_t i = 0; i < n && !(q->set == SET_UNION && q->set_all); i++)
        if (plan_class(&as[i].type) == 0)
            maker_unsupported(o->m, -1, "a set operation over values of this type is not supported");
    if (q->set_all && q->set != SET_UNION) {
        out_puts(o, "SELECT ");
        print_columns(o, n, " FROM (");
        print_numbered(o, q->left, as, n);
        out_puts(o, words[q->set]);
        print_numbered(o, q->right, as, n);
        out_puts(o, ")");
        return;
    }
    print_operand(o, q->left, as, n, q->set_all);
    out_puts(o, words[q->set]);
    if (q->set_all)
        out_puts(o, "ALL ");
    print_operand(o, q->right, as, n, q->set_all);
}

/* Arrays of what is equal exactly if its bytes are. */
static bool equal_as_bytes(const struct col *type) {
    struct col elem = col_of(type->elem);
    int class = type->type == COL_ARRAY ? plan_class(&elem) : 0;
    return class != 0 && class != COL_NUMERIC && class != COL_FLOAT8 && class != COL_CHAR && class < 10000;
}

static void print_targets(struct out *o, const struct query *q, const struct plan_column *as, bool distinct) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->targets; i++) {
        const struct target *t = &q->target[i];
        if (t->junk)
            continue;
        const struct col *type = as ? &as[n].type : &t->expr->type;
        out_puts(o, n ? ", " : "");
        print_as(o, t->expr, type);
        if (distinct && plan_class(type) == 0 && !equal_as_bytes(type))
            no_order(o, t->expr);
        if (distinct && plan_class(type) == COL_NUMERIC)
            out_puts(o, " COLLATE pgnum");
        out_printf(o, " AS c%u", n++);
    }
    if (n == 0)
        out_puts(o, "1 AS c0");
}

static void print_group(struct out *o, const struct query *q) {
    const char *before = " GROUP BY ";
    for (uint32_t i = 0; i < q->groups; i++) {
        if (expr_fixed(q->group[i]))
            continue;
        out_puts(o, before);
        print_ordered(o, q->group[i]);
        before = ", ";
    }
    if (q->groups && strcmp(before, ", ") != 0)
        out_puts(o, " GROUP BY ''");
    if (q->having) {
        out_puts(o, " HAVING ");
        print_expr(o, q->having);
    }
}

/* SELECT DISTINCT ON: the first row of each. */
static void print_distinct_on(struct out *o, const struct query *q, const struct plan_column *as) {
    uint32_t n = visible(q), first = o->joins;
    out_puts(o, "SELECT ");
    print_columns(o, n, " FROM (SELECT ");
    print_targets(o, q, as, false);
    for (uint32_t i = 0; i < q->sorts; i++) {
        out_puts(o, ", ");
        print_ordered(o, q->sort[i].expr);
        out_printf(o, " AS k%u", i);
    }
    out_puts(o, ", row_number() OVER (PARTITION BY ");
    for (uint32_t i = 0; i < q->distincts; i++) {
        out_puts(o, i ? ", " : "");
        print_ordered(o, q->distinct_on[i]);
    }
    print_sorts(o, q->sort, q->sorts);
    out_puts(o, ") AS n");
    print_from(o, q);
    print_joined(o, q, first);
    print_conjuncts(o, " WHERE ", q->where, NULL, 0);
    print_group(o, q);
    out_puts(o, ") WHERE n = 1");
    for (uint32_t i = 0; i < q->sorts; i++)
        out_printf(o, "%sk%u%s%s", i ? ", " : " ORDER BY ", i, q->sort[i].desc ? " DESC" : "",
                   q->sort[i].nulls_first ? " NULLS FIRST" : " NULLS LAST");
    print_limit(o, q);
}

void print_query(struct out *o, const struct query *q, const struct plan_column *as, uint32_t columns) {
    struct maker *m = o->m;
    uint32_t n = visible(q);
    if (m->rc)
        return;
    if (q->kind != QUERY_SELECT) {
        maker_unsupported(m, -1, "a statement that writes is not supported here");
        return;
    }
    if (q->lock_skip || (q->lock_nowait && !m->no_wait)) {
        maker_unsupported(m, q->lock_at, "%s is not supported in a subquery", q->lock_skip ? "SKIP LOCKED" : "NOWAIT");
        return;
    }
    if (as && n != columns) {
        maker_fail(m, RC_INTERNAL);
        return;
    }
    if (q->with_ties) {
        print_with_ties(o, q, as);
        return;
    }
    print_with(o, q);
    if (q->set != SET_NONE) {
        struct plan_column *own = maker_alloc(m, n ? n : 1, sizeof *own);
        for (uint32_t i = 0; i < n && own; i++)
            own[i].type = as ? as[i].type : nth_target(q, i)->expr->type;
        if (own)
            print_set(o, q, own, n);
        print_order(o, q);
        print_limit(o, q);
        return;
    }
    if (q->grouping_sets > 0) {
        print_grouping_sets(o, q, as);
        return;
    }
    if (q->distincts > 0) {
        print_distinct_on(o, q, as);
        return;
    }
    out_puts(o, q->distinct ? "SELECT DISTINCT " : "SELECT ");
    uint32_t first = o->joins;
    print_targets(o, q, as, q->distinct);
    print_from(o, q);
    print_joined(o, q, first);
    print_conjuncts(o, " WHERE ", q->where, NULL, 0);
    print_group(o, q);
    print_order(o, q);
    print_limit(o, q);
}
