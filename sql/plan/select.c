/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select.c: how a query is carried out: its sources, the fragments, the final stage.
 */
#include <string.h>

#include "sql/plan/maker.h"

/* ---- sources ----------------------------------------------------------------------------------------------------- */

struct gather {
    struct maker *m;
    struct select *sel;
    uint32_t max;
    const struct query **seen;
    uint32_t seens, seens_max;
};

/* Conjuncts that hold for the rows of a subtree of FROM. */
struct conjuncts {
    const struct expr **v;
    uint32_t n, max;
};

static bool pushable(const struct expr *e, const struct rel *r) {
    return expr_only_of(e, r) && tree_volatility(e) != FN_VOLATILE;
}

/* Functions that depend on the session are computed where the session is, unless they have one value in a run. */
bool test_session(const struct expr *e, void *ctx) {
    (void)ctx;
    enum fn_volatility v = own_volatility(e);
    return v == FN_VOLATILE || (v == FN_STABLE && !expr_fixed(e));
}

bool test_volatile(const struct expr *e, void *ctx) {
    (void)ctx;
    return own_volatility(e) == FN_VOLATILE;
}

bool test_subquery(const struct expr *e, void *ctx) {
    (void)ctx;
    return e->kind == EXPR_SUBLINK || e->kind == EXPR_SET || e->kind == EXPR_WINDOW;
}

bool for_tablets(const struct expr *e) {
    return !expr_any(e, test_session, NULL);
}

static void note_pushed(struct maker *m, const struct expr *e) {
    if (maker_room(m, &m->pushed, m->pushes, &m->pushes_max, sizeof *m->pushed))
        m->pushed[m->pushes++] = e;
}

/* ---- indexes that are tables of their own */

/* A partial index of which no key is known: it has fewer rows than the table. */
enum { WORTH_PARTIAL = 2 };

/* How much of a key is known. */
static int worth(const struct keys *k, bool unique) {
    int equal = 0;
    for (uint16_t i = 0; i < k->parts && k->part[i].eqs > 0; i++)
        equal++;
    if (k->never || (unique && equal > 0 && equal == k->table->n_key))
        return 100;
    return equal * 10 + (k->parts > equal ? 3 : 0);
}

static int place_of(const struct cat_table *t, uint32_t id) {
    for (uint16_t i = 0; i < t->columns; i++)
        if (t->column[i].id == id)
            return i;
    return -1;
}

static bool test_outside(const struct expr *e, void *ctx) {
    const struct lookup *x = ctx;
    return e->kind == EXPR_COL && e->col.rel->kind == REL_TABLE &&
           table_find_col(x->index->store, e->col.rel->table->column[e->col.col].id) < 0;
}

/* The index's rows: the primary key of those that fit what the index knows. */
static void print_lookup(struct maker *m, const struct source *s, struct lookup *x, const struct conjuncts *c) {
    struct out o;
    const struct table *t = s->table->store;
    const char *before = " WHERE ";
    uint32_t n = maker_rel(m, s->rel);
    out_init(&o, m, OUT_FRAGMENT, NULL);
    for (uint16_t k = 0; k < t->n_key; k++)
        out_printf(&o, "%sr%u.c%u", k ? ", " : "SELECT ", n, t->cols[t->key[k].col].id);
    out_printf(&o, " FROM {%" PRIu64 "} AS r%u", x->index->store->id, n);
    for (uint32_t i = 0; i < c->n; i++) {
        if (expr_any(c->v[i], test_outside, x) || !for_tablets(c->v[i]))
            continue;
        out_puts(&o, before);
        print_expr(&o, c->v[i]);
        before = " AND ";
    }
    out_done(&o, &x->text, true);
}

/* A comparison with the column is true only where it is not NULL. */
static bool implies_not_null(const struct expr *e, const struct expr *col) {
    if (e->kind != EXPR_CALL && e->kind != EXPR_IN && e->kind != EXPR_ANY_ARRAY)
        return false;
    if (e->kind == EXPR_CALL ? !expr_comparison(e) : e->flag || fn_comparison(e->call.fn) != '=')
        return false;
    const struct expr *x = expr_base(expr_strip(e->arg[0]));
    const struct expr *y = e->kind == EXPR_CALL ? expr_base(expr_strip(e->arg[1])) : x;
    return expr_same(x, col) || expr_same(y, col);
}

/* Does every row that the conjuncts let through satisfy e? Only what is plain to see. */
static bool implied(const struct expr *e, const struct conjuncts *c) {
    if (e->kind == EXPR_AND) {
        for (uint32_t i = 0; i < e->args; i++)
            if (!implied(e->arg[i], c))
                return false;
        return true;
    }
    if (e->kind == EXPR_OR) {
        for (uint32_t i = 0; i < e->args; i++)
            if (implied(e->arg[i], c))
                return true;
    }
    bool not_null = e->kind == EXPR_IS_NULL && e->flag && expr_base(expr_strip(e->arg[0]))->kind == EXPR_COL;
    for (uint32_t i = 0; i < c->n; i++)
        if (expr_same(e, c->v[i]) || (not_null && implies_not_null(c->v[i], expr_base(expr_strip(e->arg[0])))))
            return true;
    return false;
}

static void choose_index(struct maker *m, struct source *s, const struct conjuncts *c) {
    const struct cat_table *t = s->table;
    int best = worth(&s->keys, true);
    for (uint16_t i = 0; i < t->indexes && !m->rc; i++) {
        const struct cat_index *x = &t->index[i];
        uint16_t place[TABLE_KEY_MAX];
        struct keys keys;
        const struct expr *where = s->rel->index_where ? s->rel->index_where[i] : NULL;
        if (x->kind != CAT_INDEX_GLOBAL || x->state != CAT_PUBLIC || !x->store || (x->where_sql && !where) ||
            (where && !implied(where, c)))
            continue;
        for (uint16_t k = 0; k < x->store->n_key; k++)
            place[k] = (uint16_t)place_of(t, x->store->cols[x->store->key[k].col].id);
        keys_find(m, s->rel, x->store, place, c->v, c->n, &keys);
        int is = worth(&keys, x->unique);
        is = is == 0 && where ? WORTH_PARTIAL : is;
        if (is <= best)
            continue;
        best = is;
        struct lookup *via = maker_alloc(m, 1, sizeof *via);
        if (!via)
            return;
        *via = (struct lookup){.index = x, .keys = keys};
        s->via = via;
    }
    if (s->via)
        print_lookup(m, s, s->via, c);
}

/* ---- what follows from equalities */

static const struct expr *plain_column(const struct expr *e) {
    e = expr_base(expr_strip(e));
    return e->kind == EXPR_COL ? e : NULL;
}

static bool same_column(const struct expr *a, const struct expr *b) {
    return a->col.rel == b->col.rel && a->col.col == b->col.col;
}

/* The value that a column is equal to, by the conjuncts. */
static const struct expr *value_of(const struct conjuncts *c, const struct expr *col) {
    for (uint32_t i = 0; i < c->n; i++) {
        const struct expr *e = c->v[i];
        if (e->kind != EXPR_CALL || expr_comparison(e) != '=')
            continue;
        for (int side = 0; side < 2; side++) {
            const struct expr *x = plain_column(e->arg[side]), *v = e->arg[1 - side];
            if (x && same_column(x, col) && expr_fixed(v) && tree_volatility(v) != FN_VOLATILE)
                return v;
        }
    }
    return NULL;
}

/* r.x = other.y and other.y = 5: then r.x = 5. */
static void add_implied(struct maker *m, const struct rel *r, const struct conjuncts *all, struct conjuncts *mine) {
    for (uint32_t i = 0; i < all->n; i++) {
        const struct expr *e = all->v[i];
        if (e->kind != EXPR_CALL || expr_comparison(e) != '=')
            continue;
        for (int side = 0; side < 2; side++) {
            const struct expr *x = plain_column(e->arg[side]), *y = plain_column(e->arg[1 - side]);
            const struct expr *v = x && y && x->col.rel == r && y->col.rel != r ? value_of(all, y) : NULL;
            if (!v || plan_class(&expr_strip(v)->type) != plan_class(&x->type))
                continue;
            struct expr *copy = maker_alloc(m, 1, sizeof *copy);
            struct expr **arg = maker_alloc(m, 2, sizeof *arg);
            if (!copy || !arg || !maker_room(m, &mine->v, mine->n, &mine->max, sizeof *mine->v))
                return;
            *copy = *e;
            copy->arg = arg;
            arg[0] = (struct expr *)x;
            arg[1] = (struct expr *)v;
            mine->v[mine->n++] = copy;
        }
    }
}

/* ---- where the keys of a join come from */

/* The column of another table, whose rows are looked at first, that a column of r is equal to; only: of that relation. */
static const struct expr *driven_by(const struct conjuncts *c, const struct rel *r, uint32_t col,
                                    const struct rel *only, const struct source * not ) {
    for (uint32_t i = 0; i < c->n; i++) {
        const struct expr *e = c->v[i];
        if (e->kind != EXPR_CALL || expr_comparison(e) != '=')
            continue;
        for (int side = 0; side < 2; side++) {
            const struct expr *x = plain_column(e->arg[side]), *y = plain_column(e->arg[1 - side]);
            bool known = false;
            if (!x || !y || x->col.rel != r || x->col.col != col || y->col.rel == r || y->col.rel->kind != REL_TABLE ||
                (only && y->col.rel != only) || plan_class(&x->type) == 0 ||
                plan_class(&x->type) != plan_class(&y->type))
                continue;
            for (uint32_t k = 0; k < not ->drivers; k++)
                known |= !only && not ->driver[k].rel == y->col.rel;
            if (!known)
                return y;
        }
    }
    return NULL;
}

static void find_drivers(struct source *s, const struct conjuncts *c) {
    const struct table *t = s->table->store;
    const struct expr *first;
    while (s->drivers < DRIVERS_MAX && (first = driven_by(c, s->rel, s->key_col[0], NULL, s))) {
        struct driver *d = &s->driver[s->drivers];
        const struct expr *e = first;
        *d = (struct driver){.rel = first->col.rel};
        while (e) {
            d->col[d->parts++] = e->col.col;
            e = d->parts < t->n_key && d->parts < POINT_PARTS_MAX
                    ? driven_by(c, s->rel, s->key_col[d->parts], d->rel, s)
                    : NULL;
        }
        s->drivers++;
    }
}

/* Their places among the sources, when all are known. */
static void place_drivers(struct select *sel) {
    for (uint32_t i = 0; i < sel->sources; i++) {
        struct source *s = &sel->source[i];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < s->drivers; k++) {
            struct driver d = s->driver[k];
            for (d.source = 0; d.source < sel->sources && sel->source[d.source].rel != d.rel;)
                d.source++;
            if (d.source < sel->sources)
                s->driver[kept++] = d;
        }
        s->drivers = kept;
    }
}

static void add_source(struct gather *g, const struct rel *r, const struct conjuncts *c) {
    struct maker *m = g->m;
    struct select *sel = g->sel;
    for (uint32_t i = 0; i < sel->sources; i++)
        if (sel->source[i].rel == r)
            return;
    if (!maker_room(m, &sel->source, sel->sources, &g->max, sizeof *sel->source))
        return;
    if (sel->sources == PLAN_SOURCES_MAX) {
        maker_unsupported(m, -1, "a statement over more than %d tables is not supported", PLAN_SOURCES_MAX);
        return;
    }
    struct source *s = &sel->source[sel->sources];
    *s = (struct source){.rel = r, .table = r->table, .number = sel->sources, .lock = LOCK_SHARED};
    sel->sources++;
    s->virtual_rows = r->kind == REL_CATALOG || !r->table->store;
    s->cols = r->cols > r->table->columns ? r->cols : r->table->columns;
    s->fetch = maker_alloc(m, s->cols + 1, sizeof *s->fetch);
    s->place = maker_alloc(m, s->cols + 1, sizeof *s->place);
    for (uint32_t i = 0; i < s->cols && s->place; i++)
        s->place[i] = -1;
    if (s->virtual_rows) {
        sel->only_final = true;
        sel->why_final = "catalog";
        return;
    }
    uint16_t place[TABLE_KEY_MAX];
    const struct table *t = r->table->store;
    for (uint16_t k = 0; k < t->n_key; k++) {
        place[k] = UINT16_MAX;
        for (uint16_t i = 0; i < r->table->columns; i++)
            if (r->table->column[i].id == t->cols[t->key[k].col].id)
                place[k] = i;
    }
    for (uint16_t k = 0; k < t->n_key; k++)
        s->key_col[k] = place[k];
    struct conjuncts mine = {0};
    for (uint32_t i = 0; i < c->n; i++)
        if (pushable(c->v[i], r) && maker_room(m, &mine.v, mine.n, &mine.max, sizeof *mine.v))
            mine.v[mine.n++] = c->v[i];
    add_implied(m, r, c, &mine);
    keys_find(m, r, t, place, mine.v, mine.n, &s->keys);
    choose_index(m, s, &mine);
    for (uint32_t i = 0; i < mine.n; i++)
        if (for_tablets(mine.v[i]) && !expr_fixed(mine.v[i])) {
            note_pushed(m, mine.v[i]);
            *(expr_comparison(mine.v[i]) == '=' ? &s->equalities : &s->filters) += 1;
        }
    find_drivers(s, c);
}

static struct conjuncts with_more(struct gather *g, const struct conjuncts *c, const struct expr *more) {
    struct conjuncts r = {0};
    for (uint32_t i = 0; c && i < c->n; i++)
        if (maker_room(g->m, &r.v, r.n, &r.max, sizeof *r.v))
            r.v[r.n++] = c->v[i];
    conjuncts_of(g->m, more, &r.v, &r.n, &r.max);
    return r;
}

static void gather_query(struct gather *g, const struct query *q);

static bool gather_sublink(const struct expr *e, void *ctx) {
    if (e->kind == EXPR_SUBLINK)
        gather_query(ctx, e->query);
    return false;
}

static void gather_rel(struct gather *g, const struct rel *r, const struct conjuncts *c) {
    if (g->m->rc)
        return;
    switch (r->kind) {
    case REL_TABLE:
    case REL_CATALOG:
        add_source(g, r, c);
        break;
    case REL_QUERY:
        gather_query(g, r->query);
        break;
    case REL_JOIN: {
        struct conjuncts both = with_more(g, c, r->on), on = with_more(g, NULL, r->on), none = {0};
        bool inner = r->join == JOIN_INNER || r->join == JOIN_CROSS;
        gather_rel(g, r->left, inner ? &both : r->join == JOIN_LEFT ? c : r->join == JOIN_RIGHT ? &on : &none);
        gather_rel(g, r->right, inner ? &both : r->join == JOIN_RIGHT ? c : r->join == JOIN_LEFT ? &on : &none);
        break;
    }
    default:
        break;
    }
}

/* Subqueries in expressions of this level; those within them are found by their own turn. */
static bool stop_at_sublink(const struct expr *e, void *ctx) {
    return gather_sublink(e, ctx);
}

static void gather_exprs(struct gather *g, const struct query *q) {
    struct query flat = *q;
    flat.ctes = 0;
    flat.left = flat.right = NULL;
    struct rel **rels = maker_alloc(g->m, q->rels ? q->rels : 1, sizeof *rels);
    struct rel *copies = maker_alloc(g->m, q->rels ? q->rels : 1, sizeof *copies);
    if (!rels || !copies)
        return;
    for (uint32_t i = 0; i < q->rels; i++) {
        copies[i] = *q->rel[i];
        if (copies[i].kind == REL_QUERY)
            copies[i].kind = REL_CTE; /* its inside is gathered as a query */
        rels[i] = &copies[i];
    }
    flat.rel = rels;
    (void)query_any(&flat, stop_at_sublink, g);
}

static void gather_query(struct gather *g, const struct query *q) {
    if (!q || g->m->rc)
        return;
    for (uint32_t i = 0; i < g->seens; i++)
        if (g->seen[i] == q)
            return;
    if (!maker_room(g->m, &g->seen, g->seens, &g->seens_max, sizeof *g->seen))
        return;
    g->seen[g->seens++] = q;
    for (uint32_t i = 0; i < q->ctes; i++)
        gather_query(g, q->cte[i]->query);
    struct conjuncts where = with_more(g, NULL, q->where);
    for (uint32_t i = 0; i < q->froms; i++)
        gather_rel(g, q->from[i], &where);
    gather_exprs(g, q);
    gather_query(g, q->left);
    gather_query(g, q->right);
}

/* ---- what needs the gateway -------------------------------------------------------------------------------------- */

static bool test_lateral_function(const struct rel *r, void *ctx) {
    (void)ctx;
    return r->kind == REL_FUNCTION || (r->kind == REL_QUERY && r->lateral);
}

static bool test_right_join(const struct rel *r, void *ctx) {
    (void)ctx;
    return r->kind == REL_JOIN && (r->join == JOIN_RIGHT || r->join == JOIN_FULL);
}

static bool test_set(const struct expr *e, void *ctx) {
    (void)ctx;
    return e->kind == EXPR_SET;
}

static void find_why(const struct query *q, struct select *sel) {
    if (sel->only_final)
        return;
    if (query_any(q, test_session, NULL))
        sel->why_final = "functions of the session";
    else if (query_any_rel(q, test_lateral_function, NULL) || query_any(q, test_set, NULL))
        sel->why_final = "set-returning functions or LATERAL";
    else
        return;
    sel->only_final = true;
}

/* ---- rows without tables ----------------------------------------------------------------------------------------- */

static bool test_any_rel(const struct rel *r, void *ctx) {
    (void)r, (void)ctx;
    return true;
}

static bool all_fixed(const struct query *q) {
    for (uint32_t i = 0; i < q->targets; i++)
        if (!expr_fixed(q->target[i].expr) || q->target[i].junk)
            return false;
    return true;
}

static bool plain(const struct query *q) {
    return q->set == SET_NONE && !q->where && !q->having && q->groups == 0 && q->grouping_sets == 0 && !q->aggregates &&
           q->sorts == 0 && !q->limit && !q->offset && q->ctes == 0 && !q->distinct && q->distincts == 0 &&
           q->windows == 0;
}

static bool test_not_values(const struct expr *e, void *ctx) {
    return (e->kind == EXPR_COL && e->col.rel != ctx) || e->kind == EXPR_SUBLINK || e->kind == EXPR_SET ||
           e->kind == EXPR_WINDOW || e->kind == EXPR_AGG;
}

/* Rows of expressions, and targets over their columns alone. */
static bool is_values(const struct query *q) {
    if (!plain(q) || q->froms != 1 || q->from[0]->kind != REL_VALUES)
        return false;
    const struct rel *r = q->from[0];
    for (uint32_t i = 0; i < q->targets; i++)
        if (q->target[i].junk || expr_any(q->target[i].expr, test_not_values, (void *)r))
            return false;
    for (uint32_t i = 0; i < r->rows * r->cols; i++)
        if (!expr_fixed(r->row[i]))
            return false;
    return true;
}

/* A target with the row's expressions in place of the columns. */
static const struct expr *of_row(struct maker *m, const struct expr *e, const struct rel *r, uint32_t row) {
    if (m->rc || !e)
        return e;
    if (e->kind == EXPR_COL)
        return r->row[row * r->cols + e->col.col];
    if (e->args == 0)
        return e;
    struct expr *copy = maker_alloc(m, 1, sizeof *copy);
    struct expr **arg = maker_alloc(m, e->args, sizeof *arg);
    if (!copy || !arg)
        return e;
    *copy = *e;
    copy->arg = arg;
    for (uint32_t i = 0; i < e->args; i++)
        arg[i] = (struct expr *)of_row(m, e->arg[i], r, row);
    return copy;
}

static bool make_rows(struct maker *m, const struct query *q, struct select *ret) {
    bool one = plain(q) && q->froms == 0 && !query_any_rel(q, test_any_rel, NULL) && all_fixed(q);
    if (!one && !is_values(q))
        return false;
    ret->is_rows = true;
    ret->rows = one ? 1 : q->from[0]->rows;
    ret->row = maker_alloc(m, (size_t)ret->rows * ret->columns + 1, sizeof *ret->row);
    for (uint32_t i = 0; i < ret->rows * ret->columns && !m->rc; i++) {
        const struct expr *e = q->target[i % ret->columns].expr;
        if (!one)
            e = of_row(m, e, q->from[0], i / ret->columns);
        ret->row[i] = maker_calc(m, e, &ret->column[i % ret->columns].type, CALC_VALUE);
    }
    return true;
}

/* ---- one table, row by row --------------------------------------------------------------------------------------- */

/* Is the order that of the table's key, and which way? */
static bool key_order(const struct query *q, const struct source *s, bool *ret_reverse) {
    const struct table *t = s->table->store;
    uint32_t at = 0;
    for (uint32_t i = 0; i < q->sorts; i++) {
        const struct expr *e = expr_base(q->sort[i].expr);
        if (expr_fixed(e))
            continue;
        /* Columns that are equal to one value order nothing. */
        while (at < s->keys.parts && s->keys.part[at].eqs == 1 && !s->keys.part[at].array &&
               !(e->kind == EXPR_COL && e->col.rel == s->rel &&
                 s->table->column[e->col.col].id == t->cols[t->key[at].col].id))
            at++;
        if (at >= t->n_key) /* the key is whole: one row at most for each */
            return true;
        if (e->kind != EXPR_COL || e->col.rel != s->rel ||
            s->table->column[e->col.col].id != t->cols[t->key[at].col].id || !t->cols[t->key[at].col].not_null)
            return false;
        bool reverse = q->sort[i].desc != t->key[at].desc;
        if (i > 0 && reverse != *ret_reverse)
            return false;
        *ret_reverse = reverse;
        at++;
    }
    return true;
}

static bool test_window(const struct expr *e, void *ctx) {
    (void)ctx;
    return e->kind == EXPR_WINDOW || e->kind == EXPR_AGG || e->kind == EXPR_SUBLINK || e->kind == EXPR_SET;
}

static bool row_by_row(const struct query *q, const struct select *sel) {
    return q->set == SET_NONE && q->ctes == 0 && q->froms == 1 && q->from[0]->kind == REL_TABLE && sel->sources == 1 &&
           q->groups == 0 && q->grouping_sets == 0 && !q->aggregates && !q->having && !q->distinct &&
           q->distincts == 0 && !q->with_ties && !query_any(q, test_window, NULL);
}

/* Behind WHERE, at the end of a fragment: the first parts of the key are one of n. */
static void print_by_keys(struct out *o, const struct source *s, bool where, uint16_t parts, uint16_t n,
                          struct text *ret) {
    const struct table *t = s->table->store;
    uint32_t r = maker_rel(o->m, s->rel), slot = o->slots;
    out_puts(o, where ? " AND " : " WHERE ");
    for (uint16_t k = 0; k < parts; k++)
        out_printf(o, "%sr%u.c%u", k ? ", " : parts > 1 ? "(" : "", r, t->cols[t->key[k].col].id);
    out_puts(o, parts > 1 ? ") IN (VALUES " : " IN (");
    for (uint16_t i = 0; i < n; i++) {
        out_puts(o, i ? ", " : "");
        for (uint16_t k = 0; k < parts; k++)
            out_printf(o, "%s?%u", k ? ", " : parts > 1 ? "(" : "", ++slot);
        out_puts(o, parts > 1 ? ")" : "");
    }
    out_puts(o, ")");
    if (slot > FRAGMENT_PARAMS_MAX)
        maker_fail(o->m, err_set(o->m->err, RC_LIMIT, "the statement has too many values for one fragment"));
    out_done(o, ret, true);
    ret->fragment.n_params = (uint16_t)slot;
}

static bool by_whole_key(const struct keys *k) {
    return k->parts > 0 && k->parts == k->table->n_key && k->part[k->parts - 1].eqs > 0;
}

static struct expr *key_column(struct maker *m, const struct source *s, uint16_t k) {
    const struct table *t = s->table->store;
    struct expr *e = maker_alloc(m, 1, sizeof *e);
    int col = place_of(s->table, t->cols[t->key[k].col].id);
    if (!e || col < 0)
        return NULL;
    *e = (struct expr){.kind = EXPR_COL, .type = s->table->column[col].type, .location = -1};
    e->col.rel = (struct rel *)s->rel;
    e->col.col = (uint32_t)col;
    return e;
}

/* ORDER BY the key. */
static void sort_by_key(struct maker *m, const struct source *s, struct query *q) {
    const struct table *t = s->table->store;
    q->sort = maker_alloc(m, t->n_key, sizeof *q->sort);
    for (uint16_t k = 0; k < t->n_key && q->sort; k++) {
        struct expr *e = key_column(m, s, k);
        if (!e)
            return;
        q->sort[k] = (struct sort){.expr = e, .desc = t->key[k].desc};
        q->sorts = k + 1u;
    }
}

static bool can_go_on(const struct source *s) {
    const struct table *t = s->table->store;
    for (uint16_t k = 0; k < t->n_key; k++)
        if (t->key[k].desc || !t->cols[t->key[k].col].not_null)
            return false;
    return !s->via && !by_whole_key(&s->keys);
}

static void print_after(struct maker *m, const struct query *q, struct select *ret) {
    struct out o;
    struct query bare = *q;
    const struct source *s = &ret->source[0];
    const struct table *t = s->table->store;
    uint32_t r = maker_rel(m, s->rel);
    bare.sorts = 0;
    out_init(&o, m, OUT_FRAGMENT, ret);
    print_query(&o, &bare, NULL, 0);
    out_puts(&o, q->where ? " AND " : " WHERE ");
    for (uint16_t k = 0; k < t->n_key; k++)
        out_printf(&o, "%sr%u.c%u", k ? ", " : "(", r, t->cols[t->key[k].col].id);
    uint32_t slots = o.slots;
    for (uint16_t k = 0; k < t->n_key; k++)
        out_printf(&o, "%s?%u", k ? ", " : ") > (", slots + k + 1);
    out_puts(&o, ")");
    print_order(&o, q);
    out_done(&o, &ret->spread.after, false);
    ret->spread.after.fragment.n_params = (uint16_t)(slots + t->n_key);
}

static void make_spread(struct maker *m, const struct query *q, struct select *ret, bool writes) {
    struct out o;
    struct col int8 = col_of(COL_INT8);
    bool reverse = false;
    ret->spread.limit = ret->spread.offset = CALC_NONE;
    if (ret->only_final || !row_by_row(q, ret) || !key_order(q, &ret->source[0], &reverse))
        return;
    struct query bare = *q;
    bare.limit = bare.offset = NULL;
    if (ret->source[0].via && q->sorts > 0)
        return; /* rows come in the index's order */
    if (writes && q->sorts == 0 && !q->limit && !q->offset && can_go_on(&ret->source[0])) {
        sort_by_key(m, &ret->source[0], &bare);
        print_after(m, &bare, ret);
    }
    out_init(&o, m, OUT_FRAGMENT, ret);
    print_query(&o, &bare, NULL, 0);
    out_done(&o, &ret->spread.text, bare.sorts == 0);
    for (int i = 0; i < BY_KEYS_FORMS && ret->source[0].via && !m->rc; i++) {
        out_init(&o, m, OUT_FRAGMENT, ret);
        print_query(&o, &bare, NULL, 0);
        print_by_keys(&o, &ret->source[0], q->where != NULL, ret->source[0].table->store->n_key, by_keys_rows[i],
                      &ret->spread.by_keys[i]);
    }
    ret->spread.ordered = bare.sorts > 0;
    ret->spread.reverse = reverse;
    if (q->limit)
        ret->spread.limit = maker_calc(m, q->limit, &int8, CALC_LIMIT);
    if (q->offset)
        ret->spread.offset = maker_calc(m, q->offset, &int8, CALC_OFFSET);
}

/* ---- the final stage --------------------------------------------------------------------------------------------- */

/* The columns that the final stage reads, of the rows that the source's own conditions let through. False: no condition. */
static bool print_source(struct out *o, struct maker *m, const struct source *s, const struct partial_rows *p) {
    const char *before = " WHERE ";
    out_init(o, m, OUT_FRAGMENT, NULL);
    out_puts(o, p->distinct ? "SELECT DISTINCT " : "SELECT ");
    for (uint32_t i = 0; i < s->fetches; i++)
        out_printf(o, "%sr%u.c%u", i ? ", " : "", maker_rel(m, s->rel), s->table->column[s->fetch[i]].id);
    out_printf(o, "%s FROM {%" PRIu64 "} AS r%u", s->fetches ? "" : "1", s->table->store->id, maker_rel(m, s->rel));
    for (uint32_t i = 0; i < m->pushes; i++) {
        if (!expr_only_of(m->pushed[i], s->rel))
            continue;
        out_puts(o, before);
        print_expr(o, m->pushed[i]);
        before = " AND ";
    }
    return before[1] == 'A';
}

static void make_points(struct maker *m, struct source *s, const struct partial_rows *p) {
    const struct table *t = s->table->store;
    for (uint16_t n = 1; n <= t->n_key && n <= POINT_PARTS_MAX && !m->rc; n++) {
        struct out o;
        bool where = print_source(&o, m, s, p);
        uint32_t slots = o.slots;
        for (uint16_t k = 0; k < n; k++)
            out_printf(&o, "%sr%u.c%u = ?%u", k || where ? " AND " : " WHERE ", maker_rel(m, s->rel),
                       t->cols[t->key[k].col].id, slots + k + 1);
        out_done(&o, &s->point[n - 1], true);
        s->point[n - 1].fragment.n_params = (uint16_t)(slots + n);
    }
}

/* The same for many keys at once. */
static void make_drivers(struct maker *m, struct source *s, const struct partial_rows *p) {
    for (uint32_t k = 0; k < s->drivers; k++)
        for (int i = 0; i < BY_KEYS_FORMS && !m->rc; i++) {
            struct out o;
            bool where = print_source(&o, m, s, p);
            print_by_keys(&o, s, where, s->driver[k].parts, by_keys_rows[i], &s->driver[k].keys[i]);
        }
}

/* What tells its rows apart. */
static void fetch_key(struct source *s) {
    for (uint16_t k = 0; k < s->table->store->n_key; k++) {
        uint32_t c = s->key_col[k];
        if (s->place[c] >= 0)
            continue;
        s->place[c] = (int32_t)s->fetches;
        s->fetch[s->fetches++] = c;
    }
}

static void make_source(struct maker *m, const struct query *q, const struct select *sel, struct source *s) {
    struct out o;
    struct partial_rows p;
    bool joins = sel->sources > 1 && !sel->keeps_rows;
    if (joins)
        fetch_key(s);
    (void)partial_rows(m, q, sel, &p);
    (void)print_source(&o, m, s, &p);
    if (p.top)
        print_top(&o, q);
    s->partial = p.top ? "top" : p.distinct ? "distinct" : NULL;
    out_done(&o, &s->text, !p.top);
    p.distinct = false;
    for (int i = 0; i < BY_KEYS_FORMS && s->via && !m->rc; i++) {
        bool where = print_source(&o, m, s, &p);
        print_by_keys(&o, s, where, s->table->store->n_key, by_keys_rows[i], &s->by_keys[i]);
    }
    if (joins) {
        make_points(m, s, &p);
        make_drivers(m, s, &p);
    }
}

static void shape_source(struct maker *m, struct source *s) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "CREATE TABLE x(");
    for (uint32_t i = 0; i < s->cols; i++) {
        const struct col *c = i < s->rel->cols ? &s->rel->col[i].type : &s->table->column[i].type;
        buf_printf(&b, "%sc%u%s", i ? ", " : "", i, plan_class(c) == COL_NUMERIC ? " COLLATE pgnum" : "");
    }
    buf_puts(&b, s->cols ? ")" : "c0)");
    const char *text = buf_cstr(&b);
    s->shape = text ? arena_strdup(m->arena, text) : NULL;
    if (!s->shape)
        maker_fail(m, RC_NOMEM);
    buf_done(&b);
}

static void make_final(struct maker *m, const struct query *q, struct select *ret) {
    struct out o;
    out_init(&o, m, OUT_FINAL, ret);
    print_query(&o, q, NULL, 0);
    out_done(&o, &ret->final, false);
    for (uint32_t i = 0; i < ret->sources && !m->rc; i++) {
        struct source *s = &ret->source[i];
        shape_source(m, s);
        if (!s->virtual_rows)
            make_source(m, q, ret, s);
    }
}

static void make_whole(struct maker *m, const struct query *q, struct select *ret) {
    struct out o;
    out_init(&o, m, OUT_FRAGMENT, ret);
    print_query(&o, q, NULL, 0);
    out_done(&o, &ret->whole, false);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void name_columns(struct maker *m, const struct query *q, struct select *ret) {
    ret->column = maker_alloc(m, q->targets ? q->targets : 1, sizeof *ret->column);
    for (uint32_t i = 0; i < q->targets && ret->column; i++) {
        const struct target *t = &q->target[i];
        if (t->junk)
            continue;
        struct plan_column *c = &ret->column[ret->columns++];
        const struct expr *e = expr_base(t->expr);
        c->name = maker_name(m, t->name);
        c->type = t->expr->type;
        if (e->kind == EXPR_COL && (e->col.rel->kind == REL_TABLE || e->col.rel->kind == REL_CATALOG)) {
            c->table_oid = e->col.rel->table->id;
            c->attnum = (int16_t)(e->col.col + 1);
        }
    }
}

static bool locks_rows(const struct query *q, const struct rel *r) {
    for (uint32_t i = 0; i < q->rels; i++)
        if (q->rel[i] == r)
            return q->lock != ROWLOCK_NONE;
    return false;
}

/* q's rows without a limit, and behind the columns their keys. */
static void make_found(struct maker *m, const struct query *q, struct select *ret) {
    const struct source *s = &ret->source[0];
    uint16_t keys = s->table->store->n_key;
    struct query found = *q;
    uint32_t n = 0;
    found.limit = found.offset = NULL;
    found.lock = ROWLOCK_NONE;
    found.lock_skip = false;
    found.target = maker_alloc(m, q->targets + keys, sizeof *found.target);
    struct query *kept = maker_alloc(m, 1, sizeof *kept);
    ret->found = maker_alloc(m, 1, sizeof *ret->found);
    if (m->rc)
        return;
    while (n < q->targets && !q->target[n].junk)
        n++;
    memcpy(found.target, q->target, n * sizeof *found.target);
    for (uint16_t k = 0; k < keys; k++) {
        struct expr *e = key_column(m, s, k);
        if (!e)
            return maker_fail(m, m->rc ? m->rc : RC_INTERNAL);
        found.target[n + k] = (struct target){.name = "key", .expr = e};
    }
    memcpy(found.target + n + keys, q->target + n, (q->targets - n) * sizeof *found.target);
    found.targets = q->targets + keys;
    *kept = found;
    make_select(m, kept, ret->found, NULL, LOCK_SHARED);
    ret->found->wait = TXN_UNLOCKED;
    for (uint32_t i = 0; i < ret->found->sources; i++)
        ret->found->source[i].wait = TXN_UNLOCKED;
}

/* What keeps its locks to itself, and leaves out what others have locked. */
static void make_skip(struct maker *m, const struct query *q, struct select *ret) {
    struct out o;
    struct col int8 = col_of(COL_INT8);
    if (m->rc)
        return;
    if (ret->only_final || !row_by_row(q, ret)) {
        maker_unsupported(m, q->lock_at, "SKIP LOCKED is only supported where rows of one table are selected");
        return;
    }
    struct query bare = *q;
    bare.limit = bare.offset = NULL;
    bare.sorts = 0;
    bare.lock_skip = false;
    out_init(&o, m, OUT_FRAGMENT, ret);
    print_query(&o, &bare, NULL, 0);
    print_by_keys(&o, &ret->source[0], q->where != NULL, ret->source[0].table->store->n_key, 1, &ret->again);
    if (q->limit)
        ret->spread.limit = maker_calc(m, q->limit, &int8, CALC_LIMIT);
    if (q->offset)
        ret->spread.offset = maker_calc(m, q->offset, &int8, CALC_OFFSET);
    ret->lock = ret->source[0].lock = q->lock == ROWLOCK_UPDATE ? LOCK_UPDATE : LOCK_SHARED;
    ret->wait = ret->source[0].wait = TXN_SKIP;
    if (!m->rc)
        make_found(m, q, ret);
}

void make_select(struct maker *m, const struct query *q, struct select *ret, const struct rel *locked,
                 enum lock_mode lock) {
    struct gather g = {.m = m, .sel = ret};
    name_columns(m, q, ret);
    ret->spread.limit = ret->spread.offset = CALC_NONE;
    if (m->rc || (!locked && make_rows(m, q, ret)))
        return;
    m->no_wait = q->lock_nowait;
    gather_query(&g, q);
    if (q->lock_skip) {
        find_why(q, ret);
        make_skip(m, q, ret);
        return;
    }
    place_drivers(ret);
    ret->lock = lock;
    ret->wait = q->lock_nowait ? TXN_NO_WAIT : TXN_WAIT;
    for (uint32_t i = 0; i < ret->sources; i++) {
        struct source *s = &ret->source[i];
        s->wait = q->lock_nowait ? TXN_NO_WAIT : TXN_WAIT;
        if (s->rel == locked || locks_rows(q, s->rel)) {
            s->lock = s->rel == locked ? lock : q->lock == ROWLOCK_UPDATE ? LOCK_UPDATE : LOCK_SHARED;
            s->locked = s->lock > LOCK_SHARED;
            ret->lock = s->lock > ret->lock ? s->lock : ret->lock;
        }
    }
    if (m->rc)
        return;
    find_why(q, ret);
    ret->keeps_rows = query_any_rel(q, test_right_join, NULL);
    make_spread(m, q, ret, locked != NULL);
    bool via = false;
    for (uint32_t i = 0; i < ret->sources; i++)
        via |= ret->source[i].via != NULL;
    /* One fragment would lock and read the whole of a table of which an index needs a few rows. */
    if (!ret->only_final && !via && !ret->spread.text.sql)
        make_whole(m, q, ret);
    if (!ret->spread.text.sql && !make_groups(m, q, ret))
        make_final(m, q, ret);
}
