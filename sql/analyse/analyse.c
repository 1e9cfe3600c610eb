/* SPDX-License-Identifier: Apache-2.0 */
/* analyse.c: the doors of the analyser; SELECT, VALUES, WITH and set operations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/analyse/internal.h"
#include "sql/parse/guard.h"

/* ---- errors and memory --------------------------------------------------------------------------------------------- */

int32_t an_position(const struct an *an, int32_t location) {
    return an->text && location >= 0 && (size_t)location <= an->bytes
               ? guard_position(an->text, an->bytes, (size_t)location)
               : 0;
}

bool fail(struct an *an, int32_t location, const char *state, const char *fmt, ...) {
    va_list ap;
    if (an->rc)
        return false;
    va_start(ap, fmt);
    an->rc = err_setv(an->err, RC_SQL, fmt, ap);
    va_end(ap);
    err_state(an->err, state);
    err_position(an->err, an_position(an, location));
    return false;
}

bool unsupported(struct an *an, int32_t location, const char *fmt, ...) {
    va_list ap;
    if (an->rc)
        return false;
    va_start(ap, fmt);
    an->rc = err_setv(an->err, RC_UNSUPPORTED, fmt, ap);
    va_end(ap);
    err_position(an->err, an_position(an, location));
    return false;
}

bool fail_hint(struct an *an, const char *fmt, ...) {
    char text[ERR_HINT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_hint(an->err, "%s", text);
    return false;
}

bool fail_detail(struct an *an, const char *fmt, ...) {
    char text[ERR_DETAIL_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_detail(an->err, "%s", text);
    return false;
}

bool fail_memory(struct an *an) {
    if (!an->rc)
        an->rc = err_set(an->err, RC_NOMEM, "out of memory for the statement");
    return false;
}

bool stack_ok(struct an *an) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (an->stack - here <= AN_STACK_BYTES)
        return true;
    return fail(an, -1, "54001", "stack depth limit exceeded");
}

void *an_new(struct an *an, size_t count, size_t size) {
    void *p = arena_array(an->arena, count, size);
    if (!p) {
        fail_memory(an);
        return NULL;
    }
    memset(p, 0, count * size);
    return p;
}

const char *an_text(struct an *an, const char *s) {
    const char *copy = arena_strdup(an->arena, s);
    if (!copy)
        fail_memory(an);
    return copy;
}

bool an_grow(struct an *an, void **array, uint32_t n, uint32_t *cap, size_t size) {
    if (n < *cap)
        return true;
    uint32_t more = *cap < 8 ? 8 : 2 * *cap;
    void *to = an_new(an, more, size);
    if (!to)
        return false;
    if (n)
        memcpy(to, *array, n * size);
    *array = to;
    *cap = more;
    return true;
}

const char *node_string(const PQ(Node) * n) {
    return PQ_NODE(n, STRING) && n->string->sval ? n->string->sval : "";
}

/* ---- queries ---------------------------------------------------------------------------------------------------------- */

struct query *query_new(struct an *an, struct scope *outer, enum query_kind kind) {
    struct query *q = an_new(an, 1, sizeof *q);
    if (q) {
        q->kind = kind;
        q->outer = outer ? outer->q : NULL;
    }
    return q;
}

void scope_init(struct scope *s, struct an *an, struct scope *outer, struct query *q) {
    *s = (struct scope){.an = an, .outer = outer, .q = q, .aggregate_at = -1};
}

int32_t select_location(const PQ(Node) * n) {
    (void)n;
    return -1;
}

bool unknown_targets_to_text(struct an *an, struct query *q) {
    for (uint32_t i = 0; i < q->targets; i++) {
        struct target *t = &q->target[i];
        if (type_is_unknown(t->expr->type) &&
            !(t->expr = coerce_type(an, t->expr, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1)))
            return false;
    }
    return true;
}

/* References that leave q go one query further. Expressions may be shared: each is moved once. */
struct shift {
    uint32_t mark;
};

static bool shift_outer(void *ctx, struct expr *e, uint32_t levels) {
    const struct shift *s = ctx;
    if (e->kind == EXPR_COL && e->mark != s->mark) {
        e->mark = s->mark;
        if (e->col.levels > levels)
            e->col.levels++;
    }
    return true;
}

struct query *wrap_query(struct an *an, struct query *inner) {
    struct query *q = an_new(an, 1, sizeof *q);
    struct scope s;
    struct shift shift = {.mark = ++an->marks};
    uint32_t cap = 0;
    if (!q)
        return NULL;
    q->kind = QUERY_SELECT;
    q->outer = inner->outer;
    inner->outer = q;
    query_walk(inner, 0, shift_outer, &shift);
    scope_init(&s, an, NULL, q);
    struct rel *r = query_rel(&s, REL_QUERY, "*SELECT*", inner);
    q->from = r ? an_new(an, 1, sizeof(struct rel *)) : NULL;
    if (!q->from)
        return NULL;
    q->from[0] = r;
    q->froms = 1;
    q->volatile_calls = inner->volatile_calls;
    for (uint32_t i = 0; i < r->cols; i++)
        if (!target_add(&s, &q->target, &q->targets, &cap, r->col[i].name, col_expr(&s, r, i, 0, -1)))
            return NULL;
    return q;
}

/* ---- locking ------------------------------------------------------------------------------------------------------------ */

static const char *lock_name(const PQ(LockingClause) * c) {
    switch (c->strength) {
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORKEYSHARE:
        return "FOR KEY SHARE";
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORSHARE:
        return "FOR SHARE";
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORNOKEYUPDATE:
        return "FOR NO KEY UPDATE";
    default:
        return "FOR UPDATE";
    }
}

static bool lock_subquery(struct an *an, struct query *q, const PQ(LockingClause) * c);

static bool locked_name(struct scope *s, const PQ(RangeVar) * v, const char *lock) {
    for (uint32_t i = 0; i < s->q->rels; i++) {
        const struct rel *r = s->q->rel[i];
        if (!r->alias || strcmp(r->alias, v->relname) != 0)
            continue;
        if (r->kind == REL_TABLE || r->kind == REL_CATALOG || r->kind == REL_QUERY)
            return true;
        return fail(s->an, v->location, "0A000", "%s cannot be applied to %s", lock,
                    r->kind == REL_JOIN       ? "a join"
                    : r->kind == REL_FUNCTION ? "a function"
                    : r->kind == REL_VALUES   ? "VALUES"
                                              : "a WITH query");
    }
    return fail(s->an, v->location, "42P01", "relation \"%s\" in %s clause not found in FROM clause", v->relname, lock);
}

/* q and the subqueries in its FROM. */
static bool lock_query(struct an *an, struct query *q, const PQ(LockingClause) * c, bool windows) {
    const char *name = lock_name(c);
    const char *with = q->set                          ? "UNION/INTERSECT/EXCEPT"
                       : q->distinct || q->distincts   ? "DISTINCT clause"
                       : q->groups || q->grouping_sets ? "GROUP BY clause"
                       : q->having                     ? "HAVING clause"
                       : q->aggregates                 ? "aggregate functions"
                       : windows || q->windows         ? "window functions"
                                                       : NULL;
    if (with)
        return fail(an, -1, "0A000", "%s is not allowed with %s", name, with);
    bool update = c->strength == PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORUPDATE ||
                  c->strength == PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORNOKEYUPDATE;
    if (update || q->lock == ROWLOCK_NONE)
        q->lock = update ? ROWLOCK_UPDATE : ROWLOCK_SHARE;
    q->lock_nowait = q->lock_nowait || c->wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitError;
    q->lock_skip = q->lock_skip || c->wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitSkip;
    for (uint32_t i = 0; i < q->rels; i++) {
        const struct rel *r = q->rel[i];
        bool named = c->n_locked_rels == 0;
        for (size_t k = 0; k < c->n_locked_rels && !named; k++)
            named = r->alias && strcmp(r->alias, c->locked_rels[k]->range_var->relname) == 0;
        if (r->kind == REL_QUERY && named && !lock_subquery(an, r->query, c))
            return false;
    }
    return true;
}

static bool lock_subquery(struct an *an, struct query *q, const PQ(LockingClause) * c) {
    PQ(LockingClause) all = *c; /* names are those of the query around it */
    all.n_locked_rels = 0;
    return lock_query(an, q, &all, false);
}

/* The grammar gives the clause no location: where the first table that it is about is named. */
static int32_t lock_location(const PQ(SelectStmt) * st, const PQ(LockingClause) * c) {
    const PQ(Node) *n = st->n_from_clause ? st->from_clause[0] : NULL;
    if (c->n_locked_rels)
        return c->locked_rels[0]->range_var->location;
    while (n && n->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR)
        n = n->join_expr->larg;
    return n && n->node_case == PG_QUERY__NODE__NODE_RANGE_VAR ? n->range_var->location : -1;
}

static bool locking(struct scope *s, const PQ(SelectStmt) * st) {
    s->q->aggregates = s->aggregates;
    for (size_t i = 0; i < st->n_locking_clause; i++) {
        const PQ(LockingClause) *c = st->locking_clause[i]->locking_clause;
        for (size_t k = 0; k < c->n_locked_rels; k++)
            if (!locked_name(s, c->locked_rels[k]->range_var, lock_name(c)))
                return false;
        if (!lock_query(s->an, s->q, c, s->windows))
            return false;
        s->q->lock_at = lock_location(st, c);
    }
    return true;
}

/* One half of a set operation. */
static struct query *set_half(struct scope *s, const PQ(SelectStmt) * st) {
    if (st->n_locking_clause) {
        fail(s->an, -1, "0A000", "%s is not allowed with UNION/INTERSECT/EXCEPT",
             lock_name(st->locking_clause[0]->locking_clause));
        return NULL;
    }
    return select_query(s->an, s, st, false);
}

/* ---- SELECT --------------------------------------------------------------------------------------------------------------- */

static struct query *plain_select(struct an *an, struct scope *outer, const PQ(SelectStmt) * st, bool to_text) {
    struct scope s;
    struct query *q = query_new(an, outer, QUERY_SELECT);
    if (!q)
        return NULL;
    scope_init(&s, an, outer, q);
    s.window_clause = st->window_clause;
    s.window_clauses = st->n_window_clause;
    if (st->into_clause) {
        unsupported(an, -1, "SELECT INTO is not supported");
        return NULL;
    }
    s.place = PLACE_TARGET;
    if (!with_clause(&s, st->with_clause) || !from_clause(&s, st->from_clause, st->n_from_clause) ||
        !target_list(&s, st->target_list, st->n_target_list, PLACE_TARGET, &q->target, &q->targets, &s.targets_cap))
        return NULL;
    if (st->where_clause && !(q->where = boolean_at(&s, st->where_clause, PLACE_WHERE, "WHERE")))
        return NULL;
    if (st->having_clause && !(q->having = boolean_at(&s, st->having_clause, PLACE_HAVING, "HAVING")))
        return NULL;
    if (!sort_clause(&s, st->sort_clause, st->n_sort_clause, false) || !group_clause(&s, st) ||
        !distinct_clause(&s, st) || !limit_clause(&s, st) || !window_clause(&s))
        return NULL;
    if (to_text && !unknown_targets_to_text(an, q))
        return NULL;
    return locking(&s, st) && check_grouping(&s) && use_hidden_columns(&s) ? q : NULL;
}

static struct query *values_query(struct an *an, struct scope *outer, const PQ(SelectStmt) * st) {
    struct scope s;
    struct query *q = query_new(an, outer, QUERY_SELECT);
    if (!q)
        return NULL;
    scope_init(&s, an, outer, q);
    if (!with_clause(&s, st->with_clause))
        return NULL;
    uint32_t rows = (uint32_t)st->n_values_lists, cols = 0;
    struct expr **all = NULL;
    s.place = PLACE_VALUES;
    for (uint32_t i = 0; i < rows; i++) {
        const PQ(List) *list = st->values_lists[i]->list;
        if (i == 0) {
            cols = (uint32_t)list->n_items;
            if (cols > AN_TARGETS_MAX) {
                fail(an, -1, "54011", "target lists can have at most %d entries", AN_TARGETS_MAX);
                return NULL;
            }
            if (!(all = an_new(an, (size_t)rows * cols + 1, sizeof *all)))
                return NULL;
        } else if (list->n_items != cols) {
            fail(an, list->n_items ? node_location(list->items[0]) : -1, "42601",
                 "VALUES lists must all be the same length");
            return NULL;
        }
        for (uint32_t k = 0; k < cols; k++)
            if (!(all[i * cols + k] = expression(&s, list->items[k])))
                return NULL;
    }
    struct rel *r = rel_new(&s, REL_VALUES, "*VALUES*", cols);
    struct expr **column = r ? an_new(an, rows, sizeof *column) : NULL;
    q->from = column ? an_new(an, 1, sizeof(struct rel *)) : NULL;
    if (!q->from)
        return NULL;
    q->from[0] = r;
    q->froms = 1;
    r->row = all;
    r->rows = rows;
    for (uint32_t k = 0; k < cols; k++) {
        for (uint32_t i = 0; i < rows; i++)
            column[i] = all[i * cols + k];
        struct col type = common_type(an, column, rows, "VALUES", NULL);
        if (type.type == COL_NONE)
            return NULL;
        for (uint32_t i = 0; i < rows; i++)
            if (!(column[i] = all[i * cols + k] = coerce_to_common(an, column[i], type, "VALUES")))
                return NULL;
        const char *name = arena_printf(an->arena, "column%u", k + 1);
        if (!name) {
            fail_memory(an);
            return NULL;
        }
        type.typmod = common_typmod(column, rows, type);
        for (uint32_t i = 0; i < rows; i++)
            if (!(all[i * cols + k] = retype(an, column[i], type.typmod)))
                return NULL;
        r->col[k] = (struct rel_col){.name = name, .type = type};
        if (!target_add(&s, &q->target, &q->targets, &s.targets_cap, name, col_expr(&s, r, k, 0, -1)))
            return NULL;
    }
    s.place = PLACE_TARGET;
    if (!ns_add(&s, r, NULL, true, true) || !sort_clause(&s, st->sort_clause, st->n_sort_clause, false) ||
        !limit_clause(&s, st))
        return NULL;
    if (st->n_locking_clause) {
        fail(an, -1, "0A000", "%s cannot be applied to VALUES", lock_name(st->locking_clause[0]->locking_clause));
        return NULL;
    }
    return q;
}

/* ---- set operations ------------------------------------------------------------------------------------------------------- */

/* The query's columns as exactly these types. */
static struct query *convert_targets(struct an *an, struct query *q, const struct col *type, uint32_t n,
                                     const char *what) {
    bool same = true;
    for (uint32_t i = 0; i < n; i++)
        same = same && type_same(q->target[i].expr->type, type[i]);
    if (same)
        return q;
    if (q->set || q->distinct || q->distincts || q->sorts || q->limit || q->offset) {
        /* What has no type yet can take it where it is. */
        for (uint32_t i = 0; i < n; i++) {
            struct expr *was = q->target[i].expr;
            if (!type_is_unknown(was->type))
                continue;
            struct expr *e = coerce_type(an, was, type[i], FN_CAST_IMPLICIT, -1);
            if (!e)
                return NULL;
            q->target[i].expr = e;
            for (uint32_t k = 0; k < q->sorts; k++)
                if (q->sort[k].expr == was)
                    q->sort[k].expr = e;
        }
        if (!(q = wrap_query(an, q)))
            return NULL;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!(q->target[i].expr = coerce_to_common(an, q->target[i].expr, type[i], what)))
            return NULL;
    return q;
}

/* The query with its i-th column of that modifier. */
static struct query *target_typmod(struct an *an, struct query *q, uint32_t i, int32_t typmod) {
    if (q->target[i].expr->type.typmod == typmod)
        return q;
    bool plain = !q->set && !q->distinct && !q->distincts && !q->sorts && !q->limit && !q->offset;
    if (!plain && !(q = wrap_query(an, q)))
        return NULL;
    q->target[i].expr = retype(an, q->target[i].expr, typmod);
    return q->target[i].expr ? q : NULL;
}

static uint32_t visible(const struct query *q) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->targets; i++)
        n += !q->target[i].junk;
    return n;
}

/* What a recursive query's columns are, from its first half. */
static bool recursive_columns(struct an *an, struct an_cte *c, struct query *set) {
    const struct query *left = set->left;
    c->cols = visible(left);
    c->col = an_new(an, (size_t)c->cols + 1, sizeof *c->col);
    if (!c->col || !unknown_targets_to_text(an, set->left))
        return false;
    if (c->aliases > c->cols)
        return fail(an, -1, "42P10", "WITH query \"%s\" has %u columns available but %u columns specified",
                    c->cte->name, c->cols, c->aliases);
    for (uint32_t i = 0; i < c->cols; i++)
        c->col[i] = (struct rel_col){.name = i < c->aliases ? c->alias[i] : left->target[i].name,
                                     .type = left->target[i].expr->type};
    c->cte->query = set;
    c->known = true;
    return true;
}

static bool set_columns(struct scope *s, const char *what, struct an_cte *rec) {
    struct an *an = s->an;
    struct query *q = s->q;
    uint32_t n = visible(q->left);
    if (n != visible(q->right)) {
        const struct expr *at = q->right->targets ? q->right->target[0].expr : NULL;
        return fail(an, at ? at->location : -1, "42601", "each %s query must have the same number of columns", what);
    }
    struct col *type = an_new(an, (size_t)n + 1, sizeof *type);
    struct rel *r = rel_new(s, REL_SET, NULL, n);
    q->from = r ? an_new(an, 1, sizeof(struct rel *)) : NULL;
    if (!type || !q->from)
        return false;
    q->from[0] = r;
    q->froms = 1;
    for (uint32_t i = 0; i < n; i++) {
        struct expr *pair[2] = {q->left->target[i].expr, q->right->target[i].expr};
        type[i] = common_type(an, pair, 2, what, NULL);
        if (type[i].type == COL_NONE)
            return false;
        if (!(q->set == SET_UNION && q->set_all) && !type_has_equality(type[i]))
            return fail(an, pair[0]->location, "42883", "could not identify an equality operator for type %s",
                        type_text(an, type[i]));
        if (rec && !type_same(type[i], type_plain(rec->col[i].type))) {
            fail(an, pair[0]->location, "42804",
                 "recursive query \"%s\" column %u has type %s in non-recursive term but type %s overall",
                 rec->cte->name, i + 1, type_text(an, rec->col[i].type), type_text(an, type[i]));
            return fail_hint(an, "Cast the output of the non-recursive term to the correct type.");
        }
    }
    if (!(q->left = convert_targets(an, q->left, type, n, what)) ||
        !(q->right = convert_targets(an, q->right, type, n, what)))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct expr *pair[2] = {q->left->target[i].expr, q->right->target[i].expr};
        type[i].typmod = common_typmod(pair, 2, type[i]);
        if (!(q->left = target_typmod(an, q->left, i, type[i].typmod)) ||
            !(q->right = target_typmod(an, q->right, i, type[i].typmod)))
            return false;
        r->col[i] = (struct rel_col){.name = q->left->target[i].name, .type = type[i]};
        if (!target_add(s, &q->target, &q->targets, &s->targets_cap, r->col[i].name,
                        col_expr(s, r, i, 0, pair[0]->location)))
            return false;
    }
    return ns_add(s, r, NULL, true, false);
}

static struct query *set_query(struct an *an, struct scope *outer, const PQ(SelectStmt) * st, struct an_cte *rec) {
    struct scope s;
    struct query *q = query_new(an, outer, QUERY_SELECT);
    if (!q || !stack_ok(an))
        return NULL;
    scope_init(&s, an, outer, q);
    q->set = st->op == PG_QUERY__SET_OPERATION__SETOP_UNION       ? SET_UNION
             : st->op == PG_QUERY__SET_OPERATION__SETOP_INTERSECT ? SET_INTERSECT
                                                                  : SET_EXCEPT;
    q->set_all = st->all;
    const char *what = q->set == SET_UNION ? "UNION" : q->set == SET_INTERSECT ? "INTERSECT" : "EXCEPT";
    if (!with_clause(&s, st->with_clause) || !locking(&s, st))
        return NULL;
    if (!(q->left = set_half(&s, st->larg)))
        return NULL;
    if (rec && !recursive_columns(an, rec, q))
        return NULL;
    if (!(q->right = set_half(&s, st->rarg)))
        return NULL;
    q->volatile_calls = q->left->volatile_calls || q->right->volatile_calls;
    if (!set_columns(&s, what, rec) || !sort_clause(&s, st->sort_clause, st->n_sort_clause, true) ||
        !limit_clause(&s, st))
        return NULL;
    return q;
}

struct query *select_query(struct an *an, struct scope *outer, const PQ(SelectStmt) * st, bool unknown_to_text) {
    if (!stack_ok(an))
        return NULL;
    if (st->op > PG_QUERY__SET_OPERATION__SETOP_NONE)
        return set_query(an, outer, st, NULL);
    return st->n_values_lists ? values_query(an, outer, st) : plain_select(an, outer, st, unknown_to_text);
}

struct query *any_query(struct an *an, struct scope *outer, const PQ(Node) * n, bool unknown_to_text) {
    if (PQ_NODE(n, SELECT_STMT))
        return select_query(an, outer, n->select_stmt, unknown_to_text);
    unsupported(an, -1, "a subquery that is no SELECT is not supported");
    return NULL;
}

/* ---- WITH -------------------------------------------------------------------------------------------------------------------- */

/* Is a table of this name mentioned anywhere below? */
static bool mentions(const ProtobufCMessage *m, const char *name) {
    const ProtobufCMessageDescriptor *d = m->descriptor;
    if (d == &pg_query__range_var__descriptor) {
        const PQ(RangeVar) *v = (const PQ(RangeVar) *)m;
        return (!v->schemaname || !*v->schemaname) && strcmp(v->relname, name) == 0;
    }
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        const char *at = (const char *)m + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
            *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) != f->id)
            continue;
        size_t n = 1;
        const ProtobufCMessage *const *list = (const ProtobufCMessage *const *)(const void *)at;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
            list = *(const ProtobufCMessage *const *const *)(const void *)at;
        }
        for (size_t k = 0; k < n; k++)
            if (list[k] && mentions(list[k], name))
                return true;
    }
    return false;
}

static bool cte_known(struct an *an, struct an_cte *c) {
    const struct query *q = c->cte->query;
    c->cols = visible(q);
    if (c->aliases > c->cols)
        return fail(an, c->location, "42P10", "WITH query \"%s\" has %u columns available but %u columns specified",
                    c->cte->name, c->cols, c->aliases);
    c->col = an_new(an, (size_t)c->cols + 1, sizeof *c->col);
    if (!c->col)
        return false;
    for (uint32_t i = 0; i < c->cols; i++)
        c->col[i] =
            (struct rel_col){.name = i < c->aliases ? c->alias[i] : q->target[i].name, .type = q->target[i].expr->type};
    c->known = true;
    return true;
}

/* What a query that writes returns, as a relation that the planner takes for one of the gateway's. */
static bool returned_table(struct an *an, struct an_cte *c, const struct query *q) {
    enum { ID_FIRST = 0x70000000, SCHEMA = 11 };
    struct cat_column *col = an_new(an, q->returnings + 1u, sizeof *col);
    struct cat_table *t;
    struct err err;
    if (!col)
        return false;
    for (uint32_t i = 0; i < q->returnings; i++)
        col[i] = (struct cat_column){
            .name = arena_printf(an->arena, "c%u", i), .id = i + 1, .type = type_lowered(q->returning[i].expr->type)};
    struct cat_table of = {.id = ID_FIRST + an->tables,
                           .schema = SCHEMA,
                           .owner = 1,
                           .version = 1,
                           .name = "with",
                           .schema_name = "pg_catalog",
                           .kind = CAT_SYSTEM,
                           .columns = (uint16_t)q->returnings,
                           .column = col};
    for (uint32_t i = 0; i < q->returnings; i++)
        if (!col[i].name)
            return fail_memory(an);
    enum rc rc = cat_table_new(&of, &t, &err);
    if (rc) {
        an->rc = rc;
        *an->err = err;
        return false;
    }
    c->cte->table = t;
    return table_keep(an, t);
}

static bool cte_writes(struct scope *s, const PQ(CommonTableExpr) * e, struct an_cte *c) {
    struct an *an = s->an;
    struct query *q = NULL;
    if (!PQ_NODE(e->ctequery, INSERT_STMT) && !PQ_NODE(e->ctequery, UPDATE_STMT) && !PQ_NODE(e->ctequery, DELETE_STMT))
        return unsupported(an, e->location, "this statement in WITH is not supported");
    if (s->outer || an->in->names)
        return fail(an, e->location, "0A000",
                    s->outer ? "WITH clause containing a data-modifying statement must be at the top level"
                             : "views must not contain data-modifying statements in WITH");
    s->ctes--;
    bool ok = dml_query(an, s, e->ctequery, &q);
    s->ctes++;
    if (!ok)
        return false;
    c->cte->query = q;
    c->cols = q->returnings;
    if (c->aliases > c->cols)
        return fail(an, c->location, "42P10", "WITH query \"%s\" has %u columns available but %u columns specified",
                    c->cte->name, c->cols, c->aliases);
    if (!(c->col = an_new(an, (size_t)c->cols + 1, sizeof *c->col)))
        return false;
    for (uint32_t i = 0; i < c->cols; i++)
        c->col[i] = (struct rel_col){.name = i < c->aliases ? c->alias[i] : q->returning[i].name,
                                     .type = q->returning[i].expr->type};
    c->known = true;
    return returned_table(an, c, q);
}

static bool cte_make(struct scope *s, const PQ(CommonTableExpr) * e, struct an_cte *c, bool recursive) {
    struct an *an = s->an;
    if (e->search_clause || e->cycle_clause)
        return unsupported(an, e->location, "SEARCH and CYCLE are not supported");
    c->location = e->location;
    c->aliases = (uint32_t)e->n_aliascolnames;
    c->alias = an_new(an, e->n_aliascolnames + 1, sizeof *c->alias);
    if (!c->alias)
        return false;
    for (uint32_t i = 0; i < c->aliases; i++)
        c->alias[i] = node_string(e->aliascolnames[i]);
    struct cte *cte = c->cte;
    if (!PQ_NODE(e->ctequery, SELECT_STMT))
        return cte_writes(s, e, c);
    cte->materialized = e->ctematerialized == PG_QUERY__CTEMATERIALIZE__CTEMaterializeAlways  ? 1
                        : e->ctematerialized == PG_QUERY__CTEMATERIALIZE__CTEMaterializeNever ? -1
                                                                                              : 0;
    cte->recursive = recursive && mentions(&e->ctequery->base, e->ctename);
    if (!cte->recursive) {
        s->ctes--; /* it does not see itself */
        cte->query = any_query(an, s, e->ctequery, true);
        s->ctes++;
        return cte->query && cte_known(an, c);
    }
    const PQ(SelectStmt) *st = PQ_NODE(e->ctequery, SELECT_STMT) ? e->ctequery->select_stmt : NULL;
    if (!st || st->op != PG_QUERY__SET_OPERATION__SETOP_UNION)
        return fail(an, e->location, "42P19",
                    "recursive query \"%s\" does not have the form non-recursive-term UNION [ALL] recursive-term",
                    e->ctename);
    if (st->n_sort_clause)
        return fail(an, e->location, "0A000", "ORDER BY in a recursive query is not implemented");
    if (st->limit_offset)
        return fail(an, e->location, "0A000", "OFFSET in a recursive query is not implemented");
    if (st->limit_count)
        return fail(an, e->location, "0A000", "LIMIT in a recursive query is not implemented");
    return (cte->query = set_query(an, s, st, c)) != NULL;
}

bool with_clause(struct scope *s, const PQ(WithClause) * with) {
    struct an *an = s->an;
    if (!with)
        return true;
    struct query *q = s->q;
    q->cte = an_new(an, with->n_ctes, sizeof(struct cte *));
    struct cte *all = q->cte ? an_new(an, with->n_ctes, sizeof *all) : NULL;
    s->cte = all ? an_new(an, with->n_ctes, sizeof *s->cte) : NULL;
    if (!s->cte)
        return false;
    s->with = with;
    for (size_t i = 0; i < with->n_ctes; i++) {
        const PQ(CommonTableExpr) *e = with->ctes[i]->common_table_expr;
        for (size_t k = 0; k < i; k++)
            if (strcmp(all[k].name, e->ctename) == 0)
                return fail(an, e->location, "42712", "WITH query name \"%s\" specified more than once", e->ctename);
        all[i].name = e->ctename;
        q->cte[i] = &all[i];
        s->cte[i].cte = &all[i];
        s->ctes = (uint32_t)i + 1;
        if (!cte_make(s, e, &s->cte[i], with->recursive))
            return false;
        q->ctes = (uint32_t)i + 1;
    }
    s->with = NULL;
    return true;
}

/* ---- the end: types of columns only ------------------------------------------------------------------------------------------- */

static bool lower_expr(void *ctx, struct expr *e, uint32_t levels) {
    struct an *an = ctx;
    (void)levels;
    if (e->kind == EXPR_PARAM && type_is_unknown(e->type)) {
        const struct an_param *p = &an->param[e->param - 1];
        if (p->type.type == COL_NONE)
            return fail(an, -1, "42P18", "could not determine data type of parameter $%u", e->param);
        e->type = p->type;
    }
    e->type = type_lowered(e->type);
    return true;
}

static void lower_rels(struct query *q);

static bool lower_sub(void *ctx, struct expr *e, uint32_t levels) {
    (void)ctx;
    (void)levels;
    if (e->kind == EXPR_SUBLINK)
        lower_rels(e->query);
    return e->kind != EXPR_SUBLINK || true;
}

/* Relations' columns; queries below q in expressions are reached by the walk over it. */
static void lower_rels(struct query *q) {
    for (uint32_t i = 0; i < q->rels; i++) {
        struct rel *r = q->rel[i];
        for (uint32_t k = 0; k < r->cols; k++)
            r->col[k].type = type_lowered(r->col[k].type);
        if (r->kind == REL_QUERY)
            lower_rels(r->query);
    }
    for (uint32_t i = 0; i < q->ctes; i++)
        lower_rels(q->cte[i]->query);
    if (q->set) {
        lower_rels(q->left);
        lower_rels(q->right);
    }
    if (q->source)
        lower_rels(q->source);
}

static bool is_reg(struct col c) {
    return type_category(c.type) == 'N' && !type_same(type_lowered(c), c);
}

/* The i-th target is shown as a name; what is sorted by it goes on by the number, which becomes a target of its own. */
static bool name_target(struct an *an, struct query *q, uint32_t i) {
    bool dml = q->kind != QUERY_SELECT, sorted = false;
    struct expr *number = dml ? q->returning[i].expr : q->target[i].expr;
    for (uint32_t k = 0; k < q->sorts; k++)
        sorted = sorted || q->sort[k].expr == number;
    if (sorted) {
        struct target *more = an_new(an, (size_t)q->targets + 1, sizeof *more);
        if (!more)
            return false;
        memcpy(more, q->target, q->targets * sizeof *more);
        more[q->targets] = (struct target){.name = "?column?", .expr = number, .junk = true};
        q->target = more;
        q->targets++;
    }
    struct expr *name = coerce_type(an, number, col_of(COL_TEXT), FN_CAST_EXPLICIT, -1);
    if (name)
        (dml ? q->returning : q->target)[i].expr = name;
    return name != NULL;
}

/* regclass and its like are numbers that the client sees as names. */
static bool name_outputs(struct an *an, struct query **q) {
    bool dml = (*q)->kind != QUERY_SELECT, any = false;
    uint32_t n = dml ? (*q)->returnings : (*q)->targets;
    for (uint32_t i = 0; i < n; i++) {
        const struct target *t = dml ? &(*q)->returning[i] : &(*q)->target[i];
        any = any || (!t->junk && is_reg(t->expr->type));
    }
    if (!any)
        return true;
    if (!dml && ((*q)->distinct || (*q)->distincts || (*q)->set)) {
        if ((*q)->sorts)
            return unsupported(an, -1, "ORDER BY with DISTINCT or UNION of a reg type is not supported");
        if (!(*q = wrap_query(an, *q)))
            return false;
        n = (*q)->targets;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct target *t = dml ? &(*q)->returning[i] : &(*q)->target[i];
        if (!t->junk && is_reg(t->expr->type) && !name_target(an, *q, i))
            return false;
    }
    return true;
}

static bool record_outputs(struct an *an, const struct target *t, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (!t[i].junk && (t[i].expr->type.type == FN_RECORD))
            return unsupported(an, t[i].expr->location, "rows as values are not supported");
    return true;
}

/* ---- doors ------------------------------------------------------------------------------------------------------------------------ */

bool an_init(struct an *an, const struct analyse_in *in, struct err *err) {
    *an = (struct an){.in = in, .arena = in->arena, .err = err, .text = in->text, .bytes = in->bytes};
    an->stack = (uintptr_t)__builtin_frame_address(0);
    if (in->env && in->env->types) {
        an->types = *in->env->types;
    } else {
        an->types.zone = zone_fixed(in->arena, "UTC", 0);
        if (!an->types.zone)
            return fail_memory(an);
    }
    an->params = an->params_cap = in->params;
    an->param = an_new(an, in->params + 1, sizeof *an->param);
    for (size_t i = 0; an->param && i < in->params; i++)
        an->param[i] = (struct an_param){.type = in->param[i], .location = -1};
    return an->param != NULL;
}

static void an_drop(struct an *an) {
    for (uint32_t i = 0; i < an->tables; i++)
        cat_table_unref(an->table[i]);
    an->tables = 0;
}

static bool give_params(struct an *an, struct analysed *ret) {
    struct col *type = an_new(an, an->params + 1, sizeof *type);
    if (!type)
        return false;
    for (size_t i = 0; i < an->params; i++) {
        if (an->param[i].type.type == COL_NONE)
            return fail(an, -1, "42P18", "could not determine data type of parameter $%zu", i + 1);
        type[i] = type_lowered(an->param[i].type);
    }
    ret->param = type;
    ret->params = an->params;
    return true;
}

static bool statement(struct an *an, const PQ(Node) * n, struct analysed *ret) {
    struct query *q = NULL;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        q = select_query(an, NULL, n->select_stmt, true);
        break;
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
        if (!dml_query(an, NULL, n, &q))
            return false;
        break;
    case PG_QUERY__NODE__NODE_MERGE_STMT:
        return unsupported(an, n->merge_stmt->relation ? n->merge_stmt->relation->location : -1,
                           "MERGE is not supported");
    default:
        return unsupported(an, -1, "this statement is not supported");
    }
    if (!q || !name_outputs(an, &q) || !record_outputs(an, q->target, q->targets) ||
        !record_outputs(an, q->returning, q->returnings))
        return false;
    if (!give_params(an, ret) || !query_walk(q, 0, lower_expr, an) || !query_walk(q, 0, lower_sub, an))
        return false;
    lower_rels(q);
    ret->query = q;
    return true;
}

enum rc analyse_statement(const struct analyse_in *in, const PQ(Node) * statement_node, struct analysed *ret,
                          struct err *err) {
    struct err own = {0};
    struct an an;
    struct analysed a = {0};
    if (!an_init(&an, in, err ? err : &own) || !statement(&an, statement_node, &a)) {
        an_drop(&an);
        CHECK(an.rc);
        return an.rc;
    }
    a.passing = an.passing;
    a.table = an.table;
    a.tables = an.tables;
    *ret = a;
    return RC_OK;
}

void analysed_done(struct analysed *a) {
    for (size_t i = 0; i < a->tables; i++)
        cat_table_unref(a->table[i]);
    *a = (struct analysed){0};
}

struct column_seen {
    uint32_t table, column;
};

static bool see_column(void *ctx, struct expr *e, uint32_t levels) {
    const struct column_seen *c = ctx;
    (void)levels;
    return e->kind != EXPR_COL || e->col.rel->kind != REL_TABLE || e->col.rel->table->id != c->table ||
           e->col.col != c->column;
}

bool analysed_reads_column(const struct analysed *a, uint32_t table, uint32_t column) {
    struct column_seen c = {table, column};
    return !query_walk(a->query, 0, see_column, &c);
}

enum rc analyse_expression(const struct analyse_in *in, const PQ(Node) * node, const struct cat_table *table,
                           struct col want, struct expr **ret, struct err *err) {
    struct err own = {0};
    struct an an;
    struct scope s;
    if (!an_init(&an, in, err ? err : &own))
        return an.rc;
    struct query *q = query_new(&an, NULL, QUERY_UTILITY);
    struct expr *e = NULL;
    if (q) {
        scope_init(&s, &an, NULL, q);
        s.place = table ? PLACE_CHECK : PLACE_DEFAULT;
        struct rel *r = table ? table_rel(&s, NULL, table) : NULL;
        if (!table || (r && ns_add(&s, r, NULL, true, true)))
            e = expression(&s, node);
    }
    if (e && want.type != COL_NONE) {
        struct expr *c = coerce_to_target(&an, e, want, FN_CAST_ASSIGNMENT, -1);
        if (!c)
            fail(&an, e->location, "42804", "the expression is of type %s but type %s is wanted",
                 type_text(&an, e->type), type_text(&an, want));
        e = c;
    } else if (e && type_is_unknown(e->type)) {
        e = coerce_type(&an, e, col_of(COL_TEXT), FN_CAST_IMPLICIT, -1);
    }
    if (e && an.params > in->params)
        fail(&an, an.param[in->params].location, "42P02", "there is no parameter $%zu", in->params + 1);
    if (e && !an.rc)
        (void)expr_walk(e, 0, lower_expr, &an);
    an_drop(&an);
    if (an.rc)
        return an.rc;
    CHECK(e);
    *ret = e;
    return RC_OK;
}
