/* SPDX-License-Identifier: Apache-2.0 */
/*
 * insert.c: INSERT, UPDATE and DELETE.
 *
 * What the catalog keeps as text (defaults, CHECK, the WHERE of an index) is parsed here and analysed like everything else,
 * but without positions: they would point into another text.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/analyse/internal.h"
#include "sql/parse/parse.h"

/* ---- expressions of the catalog ---------------------------------------------------------------------------------------- */

static PgQuery__ParseResult *parse_catalog(struct an *an, const char *text) {
    PgQuery__ParseResult *tree;
    struct err err;
    if (!an->in->reactor && strlen(text) > PARSE_INLINE_BYTES) {
        unsupported(an, -1, "an expression of the catalog of more than %d bytes is not supported here",
                    PARSE_INLINE_BYTES);
        return NULL;
    }
    enum rc rc = parse_text(an->in->reactor, an->arena, text, strlen(text), &tree, &err);
    if (!rc)
        return tree;
    an->rc = rc;
    *an->err = err;
    err_position(an->err, 0);
    return NULL;
}

static const PQ(Node) * not_parsed(struct an *an) {
    if (!an->rc)
        an->rc = err_set(an->err, RC_CORRUPT, "a text of the catalog is not what it should be");
    return NULL;
}

static const PQ(Node) * parse_expression(struct an *an, const char *sql) {
    const char *text = arena_printf(an->arena, "SELECT (%s)", sql);
    if (!text) {
        fail_memory(an);
        return NULL;
    }
    const PgQuery__ParseResult *tree = parse_catalog(an, text);
    if (tree && tree->n_stmts == 1 && PQ_NODE(tree->stmts[0]->stmt, SELECT_STMT) &&
        tree->stmts[0]->stmt->select_stmt->n_target_list == 1)
        return tree->stmts[0]->stmt->select_stmt->target_list[0]->res_target->val;
    return not_parsed(an);
}

const PQ(Node) * parse_catalog_query(struct an *an, const char *sql) {
    const PgQuery__ParseResult *tree = parse_catalog(an, sql);
    return tree && tree->n_stmts == 1 ? tree->stmts[0]->stmt : not_parsed(an);
}

struct expr *catalog_expression(struct scope *s, struct rel *rel, const char *sql, enum an_place place, bool boolean) {
    struct an *an = s->an;
    struct scope in;
    const char *text = an->text;
    const PQ(Node) *n = parse_expression(an, sql);
    if (!n)
        return NULL;
    scope_init(&in, an, NULL, s->q);
    in.place = place;
    an->text = NULL;
    struct expr *e = !rel || ns_add(&in, rel, NULL, true, true) ? expression(&in, n) : NULL;
    if (e && boolean)
        e = coerce_boolean(an, e, place == PLACE_CHECK ? "CHECK" : "WHERE");
    an->text = text;
    return e;
}

/* nextval of the column's own sequence. */
static struct expr *next_value(struct scope *s, const struct cat_column *c) {
    struct an *an = s->an;
    struct expr *id = const_int(an, col_of(COL_OID), c->sequence);
    if (!id)
        return NULL;
    id->type.type = FN_REGCLASS;
    return call_named(s, "nextval", &id, 1, -1);
}

/* What a column is where nothing is given: its default, or NULL; of exactly its type. */
static struct expr *column_default(struct scope *s, const struct cat_column *c) {
    struct an *an = s->an;
    struct expr *e;
    if (c->generated_sql)
        e = const_null(an, c->type);
    else if (c->sequence)
        e = next_value(s, c);
    else if (c->default_sql)
        e = catalog_expression(s, NULL, c->default_sql, PLACE_DEFAULT, false);
    else
        e = const_null(an, c->type);
    return e ? assign_to_column(an, e, c, -1) : NULL;
}

static bool has_default(const struct cat_column *c) {
    return c->sequence || c->default_sql;
}

/* ---- rules that rows must keep --------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    const struct cat_check *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static bool rules(struct scope *s, bool checks) {
    struct an *an = s->an;
    struct query *q = s->q;
    const struct cat_table *t = q->into->table;
    size_t most = (size_t)t->checks + t->indexes + t->columns;
    q->rule = an_new(an, most + 1, sizeof *q->rule);
    const struct cat_check **check = an_new(an, (size_t)t->checks + 1, sizeof *check);
    if (!q->rule || !check)
        return false;
    for (uint16_t i = 0; i < t->checks; i++)
        check[i] = &t->check[i];
    for (uint16_t i = 0; i < t->columns && checks; i++) {
        const struct cat_column *c = &t->column[i];
        if (!c->generated_sql || c->dropped)
            continue;
        struct expr *e = catalog_expression(s, q->into, c->generated_sql, PLACE_CHECK, false);
        if (!e || !(e = assign_to_column(an, e, c, -1)))
            return false;
        q->rule[q->rules++] = (struct row_rule){.name = c->name, .expr = e, .computes = true, .col = i};
    }
    qsort(check, t->checks, sizeof *check, by_name); /* PostgreSQL's order */
    for (uint16_t i = 0; i < t->checks && checks; i++) {
        struct expr *e = catalog_expression(s, q->into, check[i]->sql, PLACE_CHECK, true);
        if (!e)
            return false;
        q->rule[q->rules++] = (struct row_rule){.name = check[i]->name, .expr = e};
    }
    for (uint16_t i = 0; i < t->indexes; i++) {
        if (!t->index[i].where_sql)
            continue;
        struct expr *e = catalog_expression(s, q->into, t->index[i].where_sql, PLACE_INDEX_WHERE, true);
        if (!e)
            return false;
        q->rule[q->rules++] = (struct row_rule){.name = t->index[i].name, .index = &t->index[i], .expr = e};
    }
    return true;
}

/* ---- the target table --------------------------------------------------------------------------------------------------------- */

static struct rel *into_rel(struct scope *s, const PQ(RangeVar) * v) {
    const struct cat_table *t = table_open(s, v, true);
    struct rel *r = t ? table_rel(s, v, t) : NULL;
    s->q->into = r;
    return r;
}

static int find_column(struct an *an, const struct cat_table *t, const PQ(ResTarget) * r) {
    int c = cat_column_find(t, r->name);
    if (c >= 0 && t->column[c].hidden)
        c = -1;
    if (c < 0)
        fail(an, r->location, "42703", "column \"%s\" of relation \"%s\" does not exist", r->name, t->name);
    else if (r->n_indirection && unsupported(an, r->location, "assignment to a part of a column is not supported"))
        return -1;
    return an->rc ? -1 : c;
}

bool returning_list(struct scope *s, PQ(Node) *const *list, size_t n) {
    struct query *q = s->q;
    uint32_t cap = 0;
    enum an_place was = s->place;
    s->place = PLACE_RETURNING;
    bool ok = target_list(s, list, n, PLACE_RETURNING, &q->returning, &q->returnings, &cap);
    s->place = was;
    for (uint32_t i = 0; i < q->returnings && ok; i++) {
        struct target *t = &q->returning[i];
        if (type_is_unknown(t->expr->type))
            ok = (t->expr = coerce_type(s->an, t->expr, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1)) != NULL;
    }
    return ok;
}

/* ---- INSERT: rows ---------------------------------------------------------------------------------------------------------------- */

struct insert {
    struct scope *s; /* of the INSERT */
    const PQ(InsertStmt) * st;
    const struct cat_table *table;
    uint16_t *col; /* that are given, in order */
    int32_t *location;
    uint32_t cols;
    struct query *source;
    struct scope in; /* of the source */
};

static bool insert_columns(struct insert *x) {
    struct an *an = x->s->an;
    const struct cat_table *t = x->table;
    x->col = an_new(an, (size_t)t->columns + x->st->n_cols + 1, sizeof *x->col);
    x->location = an_new(an, (size_t)t->columns + x->st->n_cols + 1, sizeof *x->location);
    if (!x->col || !x->location)
        return false;
    for (size_t i = 0; i < x->st->n_cols; i++) {
        const PQ(ResTarget) *r = x->st->cols[i]->res_target;
        int c = find_column(an, t, r);
        if (c < 0)
            return false;
        for (uint32_t k = 0; k < x->cols; k++)
            if (x->col[k] == c)
                return fail(an, r->location, "42701", "column \"%s\" specified more than once", r->name);
        x->location[x->cols] = r->location;
        x->col[x->cols++] = (uint16_t)c;
    }
    for (uint16_t i = 0; i < t->columns && x->st->n_cols == 0; i++)
        if (!t->column[i].dropped && !t->column[i].hidden) {
            x->location[x->cols] = -1;
            x->col[x->cols++] = i;
        }
    return true;
}

/* May a value be given for this column? */
static bool may_give(struct insert *x, const struct cat_column *c) {
    struct an *an = x->s->an;
    if (c->generated_sql) {
        fail(an, -1, "428C9", "cannot insert a non-DEFAULT value into column \"%s\"", c->name);
        return fail_detail(an, "Column \"%s\" is a generated column.", c->name);
    }
    if (c->identity != 'a' || x->s->q->overriding_system || x->s->q->overriding_user)
        return true;
    fail(an, -1, "428C9", "cannot insert a non-DEFAULT value into column \"%s\"", c->name);
    fail_detail(an, "Column \"%s\" is an identity column defined as GENERATED ALWAYS.", c->name);
    return fail_hint(an, "Use OVERRIDING SYSTEM VALUE to override.");
}

/* As many values as columns? have: how many there are. */
static bool count_ok(struct insert *x, uint32_t have, int32_t extra) {
    struct an *an = x->s->an;
    if (have > x->cols)
        return fail(an, extra, "42601", "INSERT has more expressions than target columns");
    if (have < x->cols && x->st->n_cols)
        return fail(an, x->location[have], "42601", "INSERT has more target columns than expressions");
    x->cols = have;
    return true;
}

static struct expr *given_value(struct insert *x, const PQ(Node) * n, uint32_t i) {
    const struct cat_column *c = &x->table->column[x->col[i]];
    if (PQ_NODE(n, SET_TO_DEFAULT) || (c->identity && x->s->q->overriding_user))
        return column_default(x->s, c);
    if (!may_give(x, c))
        return NULL;
    struct expr *e = expression(&x->in, n);
    return e ? assign_to_column(x->s->an, e, c, -1) : NULL;
}

static bool give(struct insert *x, uint16_t col, struct expr *e) {
    struct query *q = x->s->q;
    if (!target_add(&x->in, &x->source->target, &x->source->targets, &x->in.targets_cap, x->table->column[col].name, e))
        return false;
    q->set_list[q->set_lists++] = (struct assignment){.col = col};
    return true;
}

/* VALUES with one row: a SELECT without FROM. */
static bool one_row(struct insert *x, const PQ(List) * row) {
    x->in.place = PLACE_INSERT;
    if (!count_ok(x, (uint32_t)row->n_items, row->n_items > x->cols ? node_location(row->items[x->cols]) : -1))
        return false;
    for (uint32_t i = 0; i < x->cols; i++)
        if (!give(x, x->col[i], given_value(x, row->items[i], i)))
            return false;
    return true;
}

static bool many_rows(struct insert *x, const PQ(SelectStmt) * v) {
    struct an *an = x->s->an;
    uint32_t rows = (uint32_t)v->n_values_lists, width = (uint32_t)v->values_lists[0]->list->n_items;
    struct expr **all = an_new(an, (size_t)rows * width + 1, sizeof *all);
    if (!all)
        return false;
    x->in.place = PLACE_VALUES;
    for (uint32_t i = 0; i < rows; i++) {
        const PQ(List) *row = v->values_lists[i]->list;
        if (row->n_items != width)
            return fail(an, row->n_items ? node_location(row->items[0]) : -1, "42601",
                        "VALUES lists must all be the same length");
        if (!count_ok(x, width, width > x->cols ? node_location(row->items[x->cols]) : -1))
            return false;
        for (uint32_t k = 0; k < width; k++)
            if (!(all[i * width + k] = given_value(x, row->items[k], k)))
                return false;
    }
    struct rel *r = rel_new(&x->in, REL_VALUES, "*VALUES*", width);
    x->source->from = r ? an_new(an, 1, sizeof(struct rel *)) : NULL;
    if (!x->source->from)
        return false;
    x->source->from[0] = r;
    x->source->froms = 1;
    r->row = all;
    r->rows = rows;
    for (uint32_t k = 0; k < width; k++) {
        const struct cat_column *c = &x->table->column[x->col[k]];
        r->col[k] = (struct rel_col){.name = c->name, .type = c->type};
        if (!give(x, x->col[k], col_expr(&x->in, r, k, 0, -1)))
            return false;
    }
    return true;
}

/* INSERT ... SELECT: the query is the only relation of another one that converts its columns. */
static bool from_query(struct insert *x, const PQ(Node) * n) {
    struct an *an = x->s->an;
    struct query *q = any_query(an, &x->in, n, false);
    if (!q)
        return false;
    uint32_t have = 0;
    for (uint32_t i = 0; i < q->targets; i++)
        have += !q->target[i].junk;
    if (!count_ok(x, have, have > x->cols ? q->target[x->cols].expr->location : -1))
        return false;
    /* Literals without a type become their column's. */
    for (uint32_t i = 0; i < have; i++) {
        struct target *t = &q->target[i];
        if (!type_is_unknown(t->expr->type))
            continue;
        const struct cat_column *c = &x->table->column[x->col[i]];
        if (t->expr->kind == EXPR_CONST || t->expr->kind == EXPR_PARAM)
            t->expr = q->distinct || q->set ? coerce_type(an, t->expr, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1)
                                            : coerce_type(an, t->expr, type_plain(c->type), FN_CAST_ASSIGNMENT, -1);
        if (!t->expr)
            return false;
    }
    struct rel *r = query_rel(&x->in, REL_QUERY, "*SELECT*", q);
    x->source->from = r ? an_new(an, 1, sizeof(struct rel *)) : NULL;
    if (!x->source->from)
        return false;
    x->source->from[0] = r;
    x->source->froms = 1;
    for (uint32_t i = 0; i < have; i++) {
        const struct cat_column *c = &x->table->column[x->col[i]];
        struct expr *e;
        if (c->identity && x->s->q->overriding_user) {
            e = column_default(x->s, c);
        } else {
            if (!may_give(x, c))
                return false;
            e = col_expr(&x->in, r, i, 0, q->target[i].expr->location);
            e = e ? assign_to_column(an, e, c, -1) : NULL;
        }
        if (!give(x, x->col[i], e))
            return false;
    }
    return true;
}

/* Columns that nothing was given for. */
static bool give_defaults(struct insert *x) {
    for (uint16_t i = 0; i < x->table->columns; i++) {
        const struct cat_column *c = &x->table->column[i];
        bool given = c->dropped || !has_default(c);
        for (uint32_t k = 0; k < x->cols && !given; k++)
            given = x->col[k] == i;
        if (!given && !give(x, i, column_default(x->s, c)))
            return false;
    }
    return true;
}

static bool insert_source(struct insert *x) {
    struct an *an = x->s->an;
    struct query *q = x->s->q;
    x->source = query_new(an, x->s, QUERY_SELECT);
    q->set_list = an_new(an, (size_t)x->table->columns + 1, sizeof *q->set_list);
    if (!x->source || !q->set_list)
        return false;
    q->source = x->source;
    scope_init(&x->in, an, x->s, x->source);
    const PQ(SelectStmt) *v = PQ_NODE(x->st->select_stmt, SELECT_STMT) ? x->st->select_stmt->select_stmt : NULL;
    bool values = v && v->n_values_lists && !v->n_sort_clause && !v->limit_offset && !v->limit_count &&
                  !v->n_locking_clause && !v->with_clause;
    bool ok = true;
    if (!x->st->select_stmt)
        x->cols = 0; /* DEFAULT VALUES */
    else if (values && v->n_values_lists == 1)
        ok = one_row(x, v->values_lists[0]->list);
    else if (values)
        ok = many_rows(x, v);
    else
        ok = from_query(x, x->st->select_stmt);
    return ok && give_defaults(x);
}

/* ---- ON CONFLICT ------------------------------------------------------------------------------------------------------------------- */

static bool same_columns(const struct cat_part *part, uint16_t parts, const uint16_t *col, uint32_t cols) {
    for (uint16_t i = 0; i < parts; i++) {
        bool there = false;
        for (uint32_t k = 0; k < cols; k++)
            there = there || col[k] == part[i].col;
        if (!there)
            return false;
    }
    for (uint32_t k = 0; k < cols; k++) {
        bool there = false;
        for (uint16_t i = 0; i < parts; i++)
            there = there || col[k] == part[i].col;
        if (!there)
            return false;
    }
    return cols > 0;
}

static bool conflict_by_name(struct scope *s, const PQ(InferClause) * f, struct on_conflict *c) {
    const struct cat_table *t = s->q->into->table;
    if (t->key_name && strcmp(t->key_name, f->conname) == 0) {
        c->primary = true;
        return true;
    }
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].constraint && t->index[i].unique && strcmp(t->index[i].name, f->conname) == 0) {
            c->index = &t->index[i];
            return true;
        }
    return fail(s->an, -1, "42704", "constraint \"%s\" for table \"%s\" does not exist", f->conname, t->name);
}

/* The hidden column that an index on this expression made; *ret -1: there is none. */
static bool hidden_column(struct scope *s, struct rel *r, const struct expr *e, int *ret) {
    const struct cat_table *t = r->table;
    *ret = -1;
    for (uint16_t i = 0; i < t->columns && *ret < 0; i++) {
        const struct cat_column *c = &t->column[i];
        if (!c->hidden || c->dropped || !c->generated_sql)
            continue;
        struct expr *own = catalog_expression(s, r, c->generated_sql, PLACE_CHECK, false);
        if (!own)
            return false;
        if (expr_equal(own, e))
            *ret = i;
    }
    return true;
}

struct rewriting {
    struct rel *rel;
    struct expr **own; /* by column; NULL: no expression's */
};

static bool as_hidden_column(void *ctx, struct expr *e, uint32_t levels) {
    const struct rewriting *w = ctx;
    if (levels > 0 || e->kind == EXPR_COL || e->kind == EXPR_CONST)
        return true;
    for (uint16_t i = 0; i < w->rel->table->columns; i++) {
        if (!w->own[i] || !expr_equal(w->own[i], e))
            continue;
        int32_t location = e->location;
        struct col type = e->type;
        *e = (struct expr){.kind = EXPR_COL, .type = type, .location = location};
        e->col.rel = w->rel;
        e->col.col = i;
        break;
    }
    return true;
}

bool use_hidden_columns(struct scope *s) {
    struct query *q = s->q;
    for (uint32_t k = 0; k < q->rels; k++) {
        struct rewriting w = {.rel = q->rel[k]};
        if (w.rel->kind != REL_TABLE)
            continue;
        const struct cat_table *t = w.rel->table;
        for (uint16_t i = 0; i < t->columns; i++) {
            const struct cat_column *c = &t->column[i];
            if (!c->hidden || c->dropped || !c->generated_sql)
                continue;
            if (!w.own && !(w.own = an_new(s->an, t->columns, sizeof *w.own)))
                return false;
            if (!(w.own[i] = catalog_expression(s, w.rel, c->generated_sql, PLACE_CHECK, false)))
                return false;
        }
        if (!w.own)
            continue;
        (void)expr_walk(q->where, 0, as_hidden_column, &w);
        for (uint32_t i = 0; i < q->rels; i++)
            (void)expr_walk(q->rel[i]->on, 0, as_hidden_column, &w);
    }
    return true;
}

static bool conflict_by_columns(struct scope *s, const PQ(InferClause) * f, struct on_conflict *c) {
    struct an *an = s->an;
    const struct cat_table *t = s->q->into->table;
    uint16_t *col = an_new(an, f->n_index_elems + 1, sizeof *col);
    if (!col)
        return false;
    for (size_t i = 0; i < f->n_index_elems; i++) {
        const PQ(IndexElem) *e = f->index_elems[i]->index_elem;
        int at = e->expr ? -1 : cat_column_find(t, e->name);
        if (e->expr) {
            struct expr *x = expression_at(s, e->expr, PLACE_INDEX_WHERE);
            if (!x || !hidden_column(s, s->q->into, x, &at))
                return false;
            if (at < 0)
                return fail(an, -1, "42P10",
                            "there is no unique or exclusion constraint matching the ON CONFLICT specification");
        } else if (at < 0 || t->column[at].hidden)
            return fail(an, f->location, "42703", "column \"%s\" does not exist", e->name);
        col[i] = (uint16_t)at;
    }
    struct expr *where = NULL;
    if (f->where_clause && !(where = boolean_at(s, f->where_clause, PLACE_INDEX_WHERE, "WHERE")))
        return false;
    if (t->key_name && same_columns(t->key, t->keys, col, (uint32_t)f->n_index_elems)) {
        c->primary = true;
        return true;
    }
    for (uint16_t i = 0; i < t->indexes; i++) {
        const struct cat_index *x = &t->index[i];
        if (!x->unique || x->state != CAT_PUBLIC || !same_columns(x->part, x->parts, col, (uint32_t)f->n_index_elems))
            continue;
        if (x->where_sql) {
            struct expr *own = where ? catalog_expression(s, s->q->into, x->where_sql, PLACE_INDEX_WHERE, true) : NULL;
            if (where && !own)
                return false;
            if (!own || !expr_equal(own, where))
                continue;
        }
        c->index = x;
        return true;
    }
    return fail(an, -1, "42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification");
}

static bool set_clause(struct scope *s, PQ(Node) *const *list, size_t n, struct assignment **ret, uint32_t *ret_n);

static bool on_conflict(struct scope *s, const PQ(OnConflictClause) * oc) {
    struct an *an = s->an;
    struct query *q = s->q;
    struct on_conflict *c = an_new(an, 1, sizeof *c);
    if (!c)
        return false;
    c->update = oc->action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE;
    if (c->update && !oc->infer) {
        fail(an, oc->location, "42601", "ON CONFLICT DO UPDATE requires inference specification or constraint name");
        return fail_hint(an, "For example, ON CONFLICT (column_name).");
    }
    struct ns was = s->ns;
    s->ns = (struct ns){0};
    if (!ns_add(s, q->into, q->into->table->schema_name, true, true))
        return false;
    if (oc->infer && !(oc->infer->conname && *oc->infer->conname ? conflict_by_name(s, oc->infer, c)
                                                                 : conflict_by_columns(s, oc->infer, c)))
        return false;
    if (c->update) {
        struct rel *r = table_rel(s, NULL, q->into->table);
        if (!r)
            return false;
        r->alias = "excluded";
        c->excluded = r;
        if (!ns_add(s, r, NULL, true, true) || !set_clause(s, oc->target_list, oc->n_target_list, &c->set, &c->sets))
            return false;
        if (oc->where_clause && !(c->where = boolean_at(s, oc->where_clause, PLACE_WHERE, "WHERE")))
            return false;
    }
    s->ns = was;
    q->conflict = c;
    return true;
}

static bool insert(struct scope *s, const PQ(InsertStmt) * st) {
    struct query *q = s->q;
    struct insert x = {.s = s, .st = st};
    if (!with_clause(s, st->with_clause) || !into_rel(s, st->relation))
        return false;
    x.table = q->into->table;
    q->overriding_system = st->override == PG_QUERY__OVERRIDING_KIND__OVERRIDING_SYSTEM_VALUE;
    q->overriding_user = st->override == PG_QUERY__OVERRIDING_KIND__OVERRIDING_USER_VALUE;
    if (!insert_columns(&x) || !insert_source(&x))
        return false;
    if (st->on_conflict_clause && !on_conflict(s, st->on_conflict_clause))
        return false;
    return ns_add(s, q->into, q->into->table->schema_name, true, true) &&
           returning_list(s, st->returning_list, st->n_returning_list) && rules(s, true);
}

/* ---- UPDATE -------------------------------------------------------------------------------------------------------------------------- */

/* One column of (a, b) = (SELECT x, y): the subquery with only that column left. */
static struct expr *one_of_query(struct scope *s, const PQ(MultiAssignRef) * m) {
    struct an *an = s->an;
    const PQ(SubLink) *l = m->source->sub_link;
    s->q->subqueries = true;
    struct query *q = any_query(an, s, l->subselect, true);
    if (!q)
        return NULL;
    uint32_t have = 0;
    for (uint32_t i = 0; i < q->targets; i++)
        have += !q->target[i].junk;
    if ((int32_t)have != m->ncolumns) {
        fail(an, l->location, "42601", "number of columns does not match number of values");
        return NULL;
    }
    if (q->volatile_calls) {
        unsupported(an, l->location, "a subquery with volatile functions for several columns is not supported");
        return NULL;
    }
    if ((q->set || q->distinct) && !(q = wrap_query(an, q)))
        return NULL;
    q->target[0] = q->target[m->colno - 1];
    uint32_t kept = 1;
    for (uint32_t i = have; i < q->targets; i++)
        q->target[kept++] = q->target[i];
    /* What is sorted by but no longer there is junk now. */
    for (uint32_t i = 0; i < q->sorts; i++) {
        bool there = false;
        for (uint32_t k = 0; k < kept && !there; k++)
            there = q->target[k].expr == q->sort[i].expr;
        if (!there)
            q->target[kept++] = (struct target){.name = "?column?", .expr = q->sort[i].expr, .junk = true};
    }
    q->targets = kept;
    struct expr *e = expr_new(an, EXPR_SUBLINK, q->target[0].expr->type, 0, l->location);
    if (e) {
        e->op = SUBLINK_SCALAR;
        e->query = q;
    }
    return e;
}

static struct expr *assigned(struct scope *s, const PQ(Node) * n, const struct cat_column *c, int32_t location) {
    struct an *an = s->an;
    if (PQ_NODE(n, MULTI_ASSIGN_REF)) {
        const PQ(MultiAssignRef) *m = n->multi_assign_ref;
        if (PQ_NODE(m->source, ROW_EXPR)) {
            const PQ(RowExpr) *r = m->source->row_expr;
            if ((int32_t)r->n_args != m->ncolumns) {
                fail(an, r->location, "42601", "number of columns does not match number of values");
                return NULL;
            }
            return assigned(s, r->args[m->colno - 1], c, location);
        }
        if (!PQ_NODE(m->source, SUB_LINK)) {
            fail(an, node_location(m->source), "0A000",
                 "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression");
            return NULL;
        }
        struct expr *e = one_of_query(s, m);
        return e ? assign_to_column(an, e, c, location) : NULL;
    }
    if (PQ_NODE(n, SET_TO_DEFAULT))
        return column_default(s, c);
    if (c->identity == 'a' || c->generated_sql) {
        fail(an, -1, "428C9", "column \"%s\" can only be updated to DEFAULT", c->name);
        fail_detail(an,
                    c->generated_sql ? "Column \"%s\" is a generated column."
                                     : "Column \"%s\" is an identity column defined as GENERATED ALWAYS.",
                    c->name);
        return NULL;
    }
    struct expr *e = expression_at(s, n, PLACE_UPDATE);
    return e ? assign_to_column(an, e, c, location) : NULL;
}

static bool set_clause(struct scope *s, PQ(Node) *const *list, size_t n, struct assignment **ret, uint32_t *ret_n) {
    struct an *an = s->an;
    const struct cat_table *t = s->q->into->table;
    struct assignment *set = an_new(an, n + 1, sizeof *set);
    if (!set)
        return false;
    for (size_t i = 0; i < n; i++) {
        const PQ(ResTarget) *r = list[i]->res_target;
        int col = find_column(an, t, r);
        if (col < 0)
            return false;
        for (size_t k = 0; k < i; k++)
            if (set[k].col == (uint32_t)col)
                return fail(an, -1, "42601", "multiple assignments to same column \"%s\"", r->name);
        set[i].col = (uint32_t)col;
        set[i].expr = assigned(s, r->val, &t->column[col], r->location);
        if (!set[i].expr)
            return false;
    }
    *ret = set;
    *ret_n = (uint32_t)n;
    return true;
}

static bool into_first(struct scope *s) {
    struct query *q = s->q;
    q->from = an_new(s->an, 1, sizeof(struct rel *));
    if (!q->from)
        return false;
    q->from[0] = q->into;
    q->froms = 1;
    return ns_add(s, q->into, q->into->table->schema_name, true, true);
}

static bool update(struct scope *s, const PQ(UpdateStmt) * st) {
    struct query *q = s->q;
    if (!with_clause(s, st->with_clause) || !into_rel(s, st->relation) || !into_first(s) ||
        !from_clause(s, st->from_clause, st->n_from_clause))
        return false;
    /* In PostgreSQL's order, since parameters get their types by it. */
    if (st->where_clause && !(q->where = boolean_at(s, st->where_clause, PLACE_WHERE, "WHERE")))
        return false;
    return returning_list(s, st->returning_list, st->n_returning_list) &&
           set_clause(s, st->target_list, st->n_target_list, &q->set_list, &q->set_lists) && rules(s, true) &&
           use_hidden_columns(s);
}

static bool delete_rows(struct scope *s, const PQ(DeleteStmt) * st) {
    struct query *q = s->q;
    if (!with_clause(s, st->with_clause) || !into_rel(s, st->relation) || !into_first(s) ||
        !from_clause(s, st->using_clause, st->n_using_clause))
        return false;
    if (st->where_clause && !(q->where = boolean_at(s, st->where_clause, PLACE_WHERE, "WHERE")))
        return false;
    return returning_list(s, st->returning_list, st->n_returning_list) && rules(s, false) && use_hidden_columns(s);
}

bool dml_query(struct an *an, struct scope *outer, const PQ(Node) * n, struct query **ret) {
    struct scope s;
    bool is_insert = PQ_NODE(n, INSERT_STMT), is_update = PQ_NODE(n, UPDATE_STMT);
    struct query *q = query_new(an, outer, is_insert ? QUERY_INSERT : is_update ? QUERY_UPDATE : QUERY_DELETE);
    if (!q)
        return false;
    scope_init(&s, an, outer, q);
    bool ok = is_insert   ? insert(&s, n->insert_stmt)
              : is_update ? update(&s, n->update_stmt)
                          : delete_rows(&s, n->delete_stmt);
    if (ok)
        *ret = q;
    return ok;
}
