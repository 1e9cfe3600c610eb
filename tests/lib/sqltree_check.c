/* SPDX-License-Identifier: Apache-2.0 */
/* sqltree_check.c: what tree.h promises, asserted of a whole tree. */
#include <string.h>

#include "sql/analyse/internal.h"
#include "tests/lib/sqltree.h"

struct checker {
    const struct analysed *a;
    struct query *q; /* whose expressions these are */
};

static void check_query(const struct analysed *a, struct query *q);

static bool known_type(struct col c) {
    return c.type > COL_NONE && c.type < COL_TYPE_END && col_valid(&c, NULL) == RC_OK;
}

static void check_column(struct checker *c, const struct expr *e) {
    const struct query *q = c->q;
    bool there = false;
    for (uint32_t i = 0; i < e->col.levels; i++) {
        CHECK(q->outer);
        q = q->outer;
    }
    for (uint32_t i = 0; i < q->rels; i++)
        there = there || q->rel[i] == e->col.rel;
    CHECKF(there, "column %u of a relation that is not of the query %u up", e->col.col, e->col.levels);
    CHECK(e->col.rel->kind != REL_JOIN && e->col.col < e->col.rel->cols);
    CHECK(type_same(e->type, e->col.rel->col[e->col.col].type));
}

static bool polymorphic(uint16_t t) {
    t &= 0xff;
    return t == FN_ANY || t == FN_ANYELEMENT || t == FN_ANYNONARRAY || t == FN_ANYARRAY || t == FN_ANYCOMPATIBLE ||
           t == FN_ANYCOMPATIBLEARRAY;
}

static void check_call(const struct expr *e) {
    const struct fn *f = e->call.fn;
    CHECK(f && fn_by_id(f->id) == f);
    CHECK(f->variadic ? e->args >= f->args : e->args == f->args);
    for (uint32_t i = 0; i < e->args; i++) {
        uint16_t t = fn_arg_type(f, i);
        struct col want = {.type = (uint8_t)(t & 0xff), .elem = (uint8_t)(t >> 8), .typmod = COL_TYPMOD_NONE};
        if (polymorphic(t) || (want.type == COL_ARRAY && !want.elem))
            continue;
        want = type_lowered(want);
        bool text = want.type == COL_TEXT && e->arg[i]->type.type == COL_VARCHAR; /* casts take the one as the other */
        CHECKF(text || type_same(e->arg[i]->type, want), "argument %u of %s is of type %u", i, f->name,
               e->arg[i]->type.type);
    }
}

static void check_same(const struct expr *e, uint32_t from, uint32_t step) {
    for (uint32_t i = from; i < e->args; i += step)
        CHECKF(type_same(e->arg[i]->type, e->type), "kind %d, argument %u", (int)e->kind, i);
}

static void check_bool(const struct expr *e) {
    CHECK(e->type.type == COL_BOOL);
}

static bool check_expr(void *ctx, struct expr *e, uint32_t levels) {
    struct checker *c = ctx;
    if (levels > 0) /* check_query comes to it */
        return true;
    CHECKF(known_type(e->type) || e->type.type == FN_RECORD, "kind %d has type %u", (int)e->kind, e->type.type);
    for (uint32_t i = 0; i < e->args; i++)
        CHECK(e->arg[i]);
    switch (e->kind) {
    case EXPR_CONST: {
        struct err err = {0};
        CHECKF(col_check(&e->type, &e->value, &err) == RC_OK, "%s", err_message(&err));
        break;
    }
    case EXPR_PARAM:
        CHECK(e->param >= 1 && e->param <= c->a->params && type_same(e->type, c->a->param[e->param - 1]));
        break;
    case EXPR_COL:
        check_column(c, e);
        break;
    case EXPR_CALL:
    case EXPR_AGG:
    case EXPR_SET:
        check_call(e);
        break;
    case EXPR_WINDOW:
        check_call(e);
        CHECK(e->window);
        break;
    case EXPR_AND:
    case EXPR_OR:
    case EXPR_NOT:
        check_same(e, 0, 1);
        check_bool(e);
        break;
    case EXPR_CASE:
        CHECK(e->args % 2 == 1);
        check_same(e, 1, 2);
        CHECK(type_same(e->arg[e->args - 1]->type, e->type));
        for (uint32_t i = 0; i + 1 < e->args; i += 2)
            check_bool(e->arg[i]);
        break;
    case EXPR_COALESCE:
    case EXPR_MINMAX:
        check_same(e, 0, 1);
        break;
    case EXPR_IN:
        CHECK(e->args >= 2 && e->call.fn && e->call.fn->ret == COL_BOOL);
        for (uint32_t i = 2; i < e->args; i++)
            CHECK(type_same(e->arg[i]->type, e->arg[1]->type));
        break;
    case EXPR_ANY_ARRAY:
        CHECK(e->args == 2 && e->arg[1]->type.type == COL_ARRAY && e->call.fn && e->call.fn->ret == COL_BOOL);
        break;
    case EXPR_SUBLINK:
        CHECK(e->query && e->query->outer == c->q);
        check_query(c->a, e->query);
        break;
    default:
        break;
    }
    return true;
}

static void check_pointers(const struct query *q) {
    for (uint32_t i = 0; i < q->sorts; i++) {
        bool there = false;
        for (uint32_t k = 0; k < q->targets; k++)
            there = there || q->target[k].expr == q->sort[i].expr;
        CHECKF(there, "sort %u is no target", i);
    }
    for (uint32_t i = 0; i < q->distincts; i++) {
        bool there = false;
        for (uint32_t k = 0; k < q->targets; k++)
            there = there || q->target[k].expr == q->distinct_on[i];
        CHECKF(there, "distinct %u is no target", i);
    }
    bool junk = false;
    for (uint32_t i = 0; i < q->targets; i++) {
        CHECK(!junk || q->target[i].junk);
        junk = q->target[i].junk;
        CHECK(q->target[i].name);
    }
}

/* Values of these types are stored alike: numeric's modifier decides that too. */
static void check_stored(struct col a, struct col b) {
    CHECK(type_same(a, b) && (a.type != COL_NUMERIC || a.typmod == b.typmod));
}

static void check_write(const struct query *q) {
    if (q->kind == QUERY_SELECT)
        return;
    CHECK(q->rels && q->into == q->rel[0] && q->into->table);
    if (q->kind == QUERY_INSERT) {
        CHECK(q->source && q->source->targets == q->set_lists);
        for (uint32_t i = 0; i < q->set_lists; i++)
            check_stored(q->source->target[i].expr->type, q->into->col[q->set_list[i].col].type);
    } else {
        CHECK(q->froms && q->from[0] == q->into);
        for (uint32_t i = 0; i < q->set_lists; i++)
            check_stored(q->set_list[i].expr->type, q->into->col[q->set_list[i].col].type);
    }
}

static void check_query(const struct analysed *a, struct query *q) {
    struct checker c = {.a = a, .q = q};
    if (q->where)
        check_bool(q->where);
    if (q->having)
        check_bool(q->having);
    check_pointers(q);
    check_write(q);
    for (uint32_t i = 0; i < q->rels; i++) {
        CHECK(q->rel[i]->number == i);
        if (q->rel[i]->kind == REL_QUERY) {
            CHECK(q->rel[i]->query->outer == q);
            check_query(a, q->rel[i]->query);
        }
        for (uint32_t k = 0; k < q->rel[i]->rows * q->rel[i]->cols && q->rel[i]->kind == REL_VALUES; k++)
            check_stored(q->rel[i]->row[k]->type, q->rel[i]->col[k % q->rel[i]->cols].type);
        for (uint32_t k = 0; k < q->rel[i]->cols; k++)
            CHECK(q->rel[i]->col[k].name &&
                  (known_type(q->rel[i]->col[k].type) || q->rel[i]->col[k].type.type == FN_RECORD));
    }
    for (uint32_t i = 0; i < q->ctes; i++) {
        CHECK(q->cte[i]->query->outer == q);
        check_query(a, q->cte[i]->query);
    }
    if (q->set) {
        CHECK(q->left->outer == q && q->right->outer == q && q->rels == 1 && q->rel[0]->kind == REL_SET);
        for (uint32_t i = 0; i < q->rel[0]->cols; i++) {
            check_stored(q->left->target[i].expr->type, q->rel[0]->col[i].type);
            check_stored(q->right->target[i].expr->type, q->rel[0]->col[i].type);
        }
        check_query(a, q->left);
        check_query(a, q->right);
    }
    if (q->source) {
        CHECK(q->source->outer == q);
        check_query(a, q->source);
    }
    (void)query_walk(q, 0, check_expr, &c);
}

void sqltree_check(const struct analysed *a) {
    CHECK(!a->query->outer);
    check_query(a, a->query);
}
