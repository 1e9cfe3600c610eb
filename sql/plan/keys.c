/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.c: what conditions say about a key: equalities on its first columns, then maybe a range.
 *
 * A condition counts if it compares a column with something that has one value in a run, in the same form as the column's
 * (plan_class). What is left out makes the span larger, never wrong: the fragment has all conditions too.
 */
#include "sql/plan/maker.h"

/* column op value */
struct comparison {
    uint32_t col;
    char op; /* = < > l g, i: one of value[0 .. n), a: one of the elements of the array value[0] */
    struct expr *const *value;
    uint32_t values;
    struct expr *one;
};

static bool usable(const struct expr *e) {
    return expr_fixed(e) && tree_volatility(e) != FN_VOLATILE;
}

static bool is_col_of(const struct expr *e, const struct rel *r, uint32_t *ret) {
    e = expr_base(expr_strip(e));
    if (e->kind != EXPR_COL || e->col.rel != r)
        return false;
    *ret = e->col.col;
    return true;
}

static char turned(char op) {
    switch (op) {
    case '<':
        return '>';
    case '>':
        return '<';
    case 'l':
        return 'g';
    case 'g':
        return 'l';
    default:
        return op;
    }
}

static bool read_call(const struct expr *e, const struct rel *r, struct comparison *ret) {
    char op = expr_comparison(e);
    if (op == 0 || op == 'n')
        return false;
    if (is_col_of(e->arg[0], r, &ret->col) && usable(e->arg[1])) {
        ret->op = op;
        ret->one = e->arg[1];
        return true;
    }
    if (is_col_of(e->arg[1], r, &ret->col) && usable(e->arg[0])) {
        ret->op = turned(op);
        ret->one = e->arg[0];
        return true;
    }
    return false;
}

static bool read_in(const struct expr *e, const struct rel *r, struct comparison *ret) {
    int class = plan_class(&expr_strip(e->arg[0])->type);
    if (e->flag || class == 0 || fn_comparison(e->call.fn) != '=' || !is_col_of(e->arg[0], r, &ret->col))
        return false;
    for (uint32_t i = 1; i < e->args; i++)
        if (plan_class(&expr_strip(e->arg[i])->type) != class || !usable(e->arg[i]))
            return false;
    ret->op = 'i';
    ret->value = e->arg + 1;
    ret->values = e->args - 1;
    return true;
}

/* Elements of numeric arrays are in another form than a column's may be. */
static bool read_any(const struct expr *e, const struct rel *r, struct comparison *ret) {
    if (e->flag || fn_comparison(e->call.fn) != '=' || !is_col_of(e->arg[0], r, &ret->col) || !usable(e->arg[1]))
        return false;
    struct col elem = {.type = e->arg[1]->type.elem, .typmod = COL_TYPMOD_NONE, .type_id = e->arg[1]->type.type_id};
    int class = plan_class(&expr_strip(e->arg[0])->type);
    if (e->arg[1]->type.type != COL_ARRAY || class == 0 || elem.type == COL_NUMERIC || class != plan_class(&elem))
        return false;
    ret->op = 'a';
    ret->one = e->arg[1];
    return true;
}

static bool read_comparison(const struct expr *e, const struct rel *r, struct comparison *ret) {
    *ret = (struct comparison){0};
    bool ok = (e->kind == EXPR_CALL && read_call(e, r, ret)) || (e->kind == EXPR_IN && read_in(e, r, ret)) ||
              (e->kind == EXPR_ANY_ARRAY && read_any(e, r, ret));
    if (ok && ret->one)
        ret->value = &ret->one, ret->values = 1;
    return ok;
}

static int rank(char op) {
    return op == '=' ? 3 : op == 'i' ? 2 : op == 'a' ? 1 : 0;
}

static void add_equality(struct maker *m, const struct comparison *c, struct key_cond *to) {
    to->array = c->op == 'a';
    to->eq = maker_alloc(m, c->values ? c->values : 1, sizeof *to->eq);
    to->eqs = to->eq ? c->values : 0;
    for (uint32_t i = 0; i < to->eqs; i++)
        to->eq[i] = maker_calc(m, c->value[i], &c->value[i]->type, CALC_VALUE);
}

/* A bound or two of one alternative; an equality is both. */
static bool narrow(struct maker *m, const struct expr *e, const struct rel *r, uint32_t col, struct key_range *to) {
    struct comparison c;
    if (e->kind == EXPR_AND) {
        bool any = false;
        for (uint32_t i = 0; i < e->args; i++)
            any |= narrow(m, e->arg[i], r, col, to);
        return any;
    }
    if (!read_comparison(e, r, &c) || c.col != col || c.op == 'a' || c.op == 'i')
        return false;
    struct key_bound b = {maker_calc(m, c.one, &c.one->type, CALC_VALUE), c.op != '<' && c.op != '>'};
    if (c.op != '<' && c.op != 'l' && to->low.calc == CALC_NONE)
        to->low = b;
    if (c.op != '>' && c.op != 'g' && to->high.calc == CALC_NONE)
        to->high = b;
    return true;
}

/* a BETWEEN 1 AND 5 OR a BETWEEN 20 AND 25 OR a = 30: each arm says something of the column. */
static bool find_ranges(struct maker *m, const struct rel *r, uint32_t col, const struct expr *const *conjunct,
                        uint32_t n, struct key_cond *ret) {
    for (uint32_t i = 0; i < n; i++) {
        const struct expr *e = conjunct[i];
        if (e->kind != EXPR_OR || e->args > PLAN_KEY_RANGES_MAX)
            continue;
        struct key_range *any = maker_alloc(m, e->args, sizeof *any);
        bool all = any != NULL;
        for (uint32_t k = 0; all && k < e->args; k++) {
            any[k] = (struct key_range){{CALC_NONE, false}, {CALC_NONE, false}};
            all = narrow(m, e->arg[k], r, col, &any[k]);
        }
        if (all && !m->rc) {
            ret->any = any;
            ret->anys = e->args;
            return true;
        }
    }
    return false;
}

/* What the conjuncts say of one column of r. */
static bool find_cond(struct maker *m, const struct rel *r, uint32_t col, const struct expr *const *conjunct,
                      uint32_t n, struct key_cond *ret) {
    struct comparison best = {0}, c;
    *ret = (struct key_cond){.low = {CALC_NONE, false}, .high = {CALC_NONE, false}};
    for (uint32_t i = 0; i < n; i++) {
        if (!read_comparison(conjunct[i], r, &c) || c.col != col)
            continue;
        if (rank(c.op) > rank(best.op)) {
            best = c;
            if (best.one)
                best.value = NULL; /* it pointed into c */
        }
    }
    if (rank(best.op) > 0) {
        if (best.one)
            best.value = &best.one;
        add_equality(m, &best, ret);
        return true;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!read_comparison(conjunct[i], r, &c) || c.col != col)
            continue;
        struct key_bound *b = c.op == '<' || c.op == 'l' ? &ret->high : &ret->low;
        if (b->calc != CALC_NONE)
            continue;
        b->calc = maker_calc(m, c.one, &c.one->type, CALC_VALUE);
        b->inclusive = c.op == 'l' || c.op == 'g';
    }
    return ret->low.calc != CALC_NONE || ret->high.calc != CALC_NONE || find_ranges(m, r, col, conjunct, n, ret);
}

void keys_find(struct maker *m, const struct rel *r, const struct table *t, const uint16_t *place,
               const struct expr *const *conjunct, uint32_t n, struct keys *ret) {
    *ret = (struct keys){.table = t};
    for (uint32_t i = 0; i < n; i++)
        if (conjunct[i]->kind == EXPR_CONST && (conjunct[i]->value.kind == VALUE_NULL || conjunct[i]->value.i == 0))
            ret->never = true;
    for (uint16_t k = 0; k < t->n_key && !m->rc; k++) {
        struct key_cond *c = &ret->part[k];
        if (!find_cond(m, r, place[k], conjunct, n, c))
            return;
        ret->parts++;
        if (c->eqs == 0)
            return;
    }
}
