/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dml.c: statements that write: what they read, and how a row read becomes a row written.
 *
 * A row that UPDATE and DELETE read begins with all columns of the table, in the order of its descriptor (those that nobody
 * needs are NULL); then come the new values of SET, then what RETURNING wants of other tables. A row that INSERT reads has the
 * targets of its source.
 */
#include <string.h>

#include "sql/plan/maker.h"

static struct expr *column_of(struct maker *m, struct rel *r, const struct cat_table *t, uint32_t col) {
    struct expr *e = maker_alloc(m, 1, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct expr){.kind = EXPR_COL, .type = t->column[col].type, .location = -1};
    e->col.rel = r;
    e->col.col = col;
    return e;
}

static struct expr *null_of(struct maker *m, const struct col *type) {
    struct expr *e = maker_alloc(m, 1, sizeof *e);
    if (e)
        *e = (struct expr){.kind = EXPR_CONST, .type = *type, .location = -1, .value = value_null()};
    return e;
}

/* ---- what is read ------------------------------------------------------------------------------------------------ */

struct targets {
    struct target *v;
    uint32_t n, max;
    const struct rel *into;
    struct maker *m;
};

static void add_target(struct targets *t, const struct expr *e) {
    if (maker_room(t->m, &t->v, t->n, &t->max, sizeof *t->v))
        t->v[t->n++] = (struct target){.name = "", .expr = (struct expr *)e};
}

static int64_t find_target(void *ctx, const struct expr *col) {
    struct targets *t = ctx;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct expr *e = expr_base(t->v[i].expr);
        if (e->kind == EXPR_COL && e->col.rel == col->col.rel && e->col.col == col->col.col)
            return i;
    }
    return -1;
}

static bool add_foreign(const struct expr *e, void *ctx) {
    struct targets *t = ctx;
    if (e->kind != EXPR_COL)
        return false;
    const struct expr *base = expr_base(e);
    if (base->kind != EXPR_COL)
        return expr_any(base, add_foreign, ctx);
    if (base->col.rel != t->into && find_target(t, base) < 0)
        add_target(t, base);
    return false;
}

static bool has_root(const struct rel *root, const struct rel *r) {
    return root == r || (root->kind == REL_JOIN && (has_root(root->left, r) || has_root(root->right, r)));
}

/* The statement as a query for its rows. */
static struct query *reading(struct maker *m, const struct query *q, const struct targets *t) {
    struct query *read = maker_alloc(m, 1, sizeof *read);
    bool there = false;
    if (!read)
        return NULL;
    *read = *q;
    read->kind = QUERY_SELECT;
    read->target = t->v;
    read->targets = t->n;
    read->returnings = 0;
    for (uint32_t i = 0; i < q->froms; i++)
        there |= has_root(q->from[i], q->into);
    if (!there) {
        read->from = maker_alloc(m, q->froms + 1, sizeof *read->from);
        read->rel = maker_alloc(m, q->rels + 1, sizeof *read->rel);
        if (!read->from || !read->rel)
            return NULL;
        read->from[0] = read->rel[0] = q->into;
        if (q->froms)
            memcpy(read->from + 1, q->from, q->froms * sizeof *read->from);
        read->froms++;
        bool listed = false;
        for (uint32_t i = 0; i < q->rels; i++)
            listed |= q->rel[i] == q->into;
        if (listed) {
            read->rel = q->rel;
        } else {
            if (q->rels)
                memcpy(read->rel + 1, q->rel, q->rels * sizeof *read->rel);
            read->rels++;
        }
    }
    return read;
}

static bool needs_old(const struct dml *d, const struct query *q, uint32_t col) {
    const struct cat_table *t = d->table;
    if (q->kind == QUERY_UPDATE || q->returnings > 0)
        return true;
    for (uint16_t i = 0; i < t->keys; i++)
        if (t->key[i].col == col)
            return true;
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].kind == CAT_INDEX_GLOBAL && t->index[i].state != CAT_ABSENT)
            return true;
    return false;
}

static void add_old_row(struct dml *d, const struct query *q, struct targets *t) {
    for (uint32_t i = 0; i < d->table->columns; i++) {
        const struct cat_column *c = &d->table->column[i];
        add_target(t,
                   needs_old(d, q, i) && !c->dropped ? column_of(t->m, q->into, d->table, i) : null_of(t->m, &c->type));
    }
}

/* ---- programs on rows -------------------------------------------------------------------------------------------- */

static void make_rules(struct maker *m, const struct query *q, struct dml *d) {
    struct row_names names = {.into = q->into, .from = ARG_NEW};
    d->rule = maker_alloc(m, q->rules ? q->rules : 1, sizeof *d->rule);
    struct col boolean = col_of(COL_BOOL);
    for (uint32_t i = 0; i < q->rules && d->rule; i++) {
        const struct row_rule *r = &q->rule[i];
        d->rule[i] = (struct dml_rule){.name = r->name, .index = r->index, .computes = r->computes, .col = r->col};
        d->rule[i].prog = maker_prog(m, r->expr, r->computes ? &d->table->column[r->col].type : &boolean, &names);
    }
    d->rules = q->rules;
}

static void make_returning(struct maker *m, const struct query *q, struct dml *d, struct targets *t) {
    struct row_names names = {
        .into = q->into, .from = q->kind == QUERY_DELETE ? ARG_READ : ARG_NEW, .place = find_target, .ctx = t};
    struct plan *p = m->plan;
    d->returning = maker_alloc(m, q->returnings ? q->returnings : 1, sizeof *d->returning);
    p->column = maker_alloc(m, q->returnings ? q->returnings : 1, sizeof *p->column);
    for (uint32_t i = 0; i < q->returnings && !m->rc; i++) {
        const struct expr *e = expr_base(q->returning[i].expr);
        d->returning[i] = maker_prog(m, e, &e->type, &names);
        p->column[i] = (struct plan_column){.name = maker_name(m, q->returning[i].name), .type = e->type};
        if (e->kind == EXPR_COL && e->col.rel == q->into) {
            p->column[i].table_oid = d->table->id;
            p->column[i].attnum = (int16_t)(e->col.col + 1);
        }
    }
    d->returnings = p->columns = q->returnings;
}

/* ---- UPDATE, DELETE ---------------------------------------------------------------------------------------------- */

static bool in_key(const struct cat_table *t, uint32_t col) {
    for (uint16_t i = 0; i < t->keys; i++)
        if (t->key[i].col == col)
            return true;
    return false;
}

static void make_change(struct maker *m, const struct query *q, struct dml *d) {
    struct targets t = {.m = m, .into = q->into};
    add_old_row(d, q, &t);
    d->set = maker_alloc(m, d->table->columns, sizeof *d->set);
    for (uint32_t i = 0; i < q->set_lists && !m->rc; i++) {
        const struct assignment *a = &q->set_list[i];
        const struct cat_column *c = &d->table->column[a->col];
        d->key_changes |= in_key(d->table, a->col);
        const struct expr *e = a->expr;
        if (!plan_same_form(&e->type, &c->type))
            e = expr_relabel(m->arena, e, &c->type);
        if (!e) {
            maker_fail(m, RC_NOMEM);
            return;
        }
        d->set[a->col] = (struct set_col){.from = SET_READ, .place = t.n};
        add_target(&t, e);
    }
    for (uint32_t i = 0; i < q->returnings; i++)
        (void)expr_any(q->returning[i].expr, add_foreign, &t);
    struct query *read = m->rc ? NULL : reading(m, q, &t);
    if (!read)
        return;
    make_select(m, read, &d->read, q->into, LOCK_UPDATE);
    d->reads_itself = true;
    make_rules(m, q, d);
    make_returning(m, q, d, &t);
}

/* ---- INSERT ------------------------------------------------------------------------------------------------------ */

struct test_reads {
    uint32_t table;
};

static bool reads_table(const struct rel *r, void *ctx) {
    const struct test_reads *t = ctx;
    return r->kind == REL_TABLE && r->table->id == t->table;
}

static void print_by_key(struct maker *m, const struct table *t, uint16_t n, const uint16_t *columns,
                         uint16_t n_columns, struct fragment *ret) {
    struct out o;
    struct text text = {0};
    if (m->rc)
        return;
    out_init(&o, m, OUT_FRAGMENT, NULL);
    for (uint16_t i = 0; i < n_columns; i++)
        out_printf(&o, "%s%c%u", i ? ", " : "SELECT ", 'c', t->cols[columns[i]].id);
    out_printf(&o, " FROM {%" PRIu64 "}", t->id);
    for (uint16_t i = 0; i < n; i++)
        out_printf(&o, "%sc%u = ?%u", i ? " AND " : " WHERE ", t->cols[t->key[i].col].id, i + 1);
    out_done(&o, &text, true);
    *ret = text.fragment;
    ret->n_params = n;
    ret->id ^= hash_u64(n);
}

/* The fragments that find the rows which an INSERT may meet. */
static void make_arbiters(struct maker *m, struct dml *d) {
    const struct table *t = d->table->store;
    uint16_t *all = maker_alloc(m, t->n_cols, sizeof *all);
    for (uint16_t i = 0; i < t->n_cols && all; i++)
        all[i] = i;
    print_by_key(m, t, t->n_key, all, t->n_cols, &d->by_key);
    d->by_index = maker_alloc(m, d->table->indexes ? d->table->indexes : 1, sizeof *d->by_index);
    for (uint16_t i = 0; i < d->table->indexes && !m->rc; i++) {
        const struct cat_index *x = &d->table->index[i];
        uint16_t place[TABLE_KEY_MAX];
        if (!x->unique || x->kind != CAT_INDEX_GLOBAL || !x->store)
            continue;
        for (uint16_t k = 0; k < t->n_key; k++) {
            int at = table_find_col(x->store, t->cols[t->key[k].col].id);
            if (at < 0)
                maker_fail(m, RC_INTERNAL);
            place[k] = (uint16_t)at;
        }
        print_by_key(m, x->store, x->parts, place, t->n_key, &d->by_index[i]);
    }
}

static void make_conflict(struct maker *m, const struct query *q, struct dml *d) {
    const struct on_conflict *c = q->conflict;
    struct row_names names = {.into = q->into, .from = ARG_READ, .excluded = c->excluded};
    struct col boolean = col_of(COL_BOOL);
    struct dml_conflict *to = d->conflict = maker_alloc(m, 1, sizeof *to);
    if (!to)
        return;
    to->update = c->update;
    to->any = !c->index && !c->primary;
    to->index = c->index;
    to->set = maker_alloc(m, d->table->columns, sizeof *to->set);
    for (uint32_t i = 0; i < c->sets && !m->rc; i++) {
        const struct assignment *a = &c->set[i];
        to->set[a->col] =
            (struct set_col){.from = SET_PROG, .prog = maker_prog(m, a->expr, &d->table->column[a->col].type, &names)};
        if (in_key(d->table, a->col))
            d->key_changes = true;
    }
    if (c->where)
        to->where = maker_prog(m, c->where, &boolean, &names);
}

/* WITH stands before INSERT, and its source reads it. */
static const struct query *with_ctes(struct maker *m, const struct query *q) {
    if (q->ctes == 0)
        return q->source;
    struct query *source = maker_alloc(m, 1, sizeof *source);
    struct cte **cte = maker_alloc(m, q->ctes + q->source->ctes, sizeof *cte);
    if (!source || !cte)
        return NULL;
    memcpy(cte, q->cte, q->ctes * sizeof *cte);
    if (q->source->ctes)
        memcpy(cte + q->ctes, q->source->cte, q->source->ctes * sizeof *cte);
    *source = *q->source;
    source->cte = cte;
    source->ctes += q->ctes;
    return source;
}

static void make_insert(struct maker *m, const struct query *q, struct dml *d) {
    struct targets t = {.m = m, .into = q->into};
    struct test_reads test = {d->table->id};
    uint32_t place = 0;
    d->set = maker_alloc(m, d->table->columns, sizeof *d->set);
    for (uint32_t i = 0; i < d->table->columns && d->set; i++)
        d->set[i].from = SET_NULL;
    if (!q->source)
        maker_unsupported(m, -1, "INSERT without rows is not supported");
    for (uint32_t i = 0; i < q->set_lists && !m->rc; i++) {
        const struct assignment *a = &q->set_list[i];
        d->set[a->col] = (struct set_col){.from = SET_READ, .place = place};
        place++;
    }
    if (m->rc)
        return;
    const struct query *source = with_ctes(m, q);
    if (!source)
        return;
    make_select(m, source, &d->read, NULL, LOCK_SHARED);
    if (!m->rc && place > d->read.columns)
        maker_fail(m, err_set(m->err, RC_INTERNAL, "an INSERT of %u values into %u columns", d->read.columns, place));
    for (uint32_t i = 0; i < d->table->columns && !m->rc; i++)
        if (d->set[i].from == SET_READ &&
            !plan_same_form(&d->read.column[d->set[i].place].type, &d->table->column[i].type))
            maker_fail(m, err_set(m->err, RC_INTERNAL, "an INSERT without the conversion to column %s",
                                  d->table->column[i].name));
    d->reads_itself = query_any_rel(q->source, reads_table, &test);
    make_rules(m, q, d);
    make_returning(m, q, d, &t);
    make_arbiters(m, d);
    if (q->conflict)
        make_conflict(m, q, d);
}

struct dml *make_dml(struct maker *m, const struct query *q) {
    struct dml *d = maker_alloc(m, 1, sizeof *d);
    if (!d)
        return NULL;
    *d = (struct dml){.kind = q->kind, .table = q->into->table};
    if (!d->table->store) {
        maker_fail(m, err_sql(m->err, "42809", "cannot change relation \"%s\"", d->table->name));
        return NULL;
    }
    for (uint16_t i = 0; i < d->table->indexes; i++) {
        const struct cat_index *x = &d->table->index[i];
        if (x->unique && x->kind == CAT_INDEX_GLOBAL && x->store && x->store->n_key != x->parts)
            maker_unsupported(m, -1, "index \"%s\" has a key that does not keep duplicates out", x->name);
        if (x->unique && x->kind == CAT_INDEX_LOCAL)
            maker_unsupported(m, -1, "index \"%s\": a local index cannot be unique", x->name);
    }
    for (uint16_t i = 0; i < d->table->columns && !m->rc; i++)
        if (d->table->store->n_cols != d->table->columns || d->table->store->cols[i].id != d->table->column[i].id)
            maker_fail(m, err_set(m->err, RC_INTERNAL, "table \"%s\" is stored with other columns", d->table->name));
    if (q->kind == QUERY_INSERT)
        make_insert(m, q, d);
    else
        make_change(m, q, d);
    return d;
}
