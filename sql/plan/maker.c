/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maker.c: memory, names and programs of a plan in the making.
 */
#include "sql/plan/maker.h"

#include <stdlib.h>
#include <string.h>

void maker_fail(struct maker *m, enum rc rc) {
    if (m->rc)
        return;
    m->rc = rc;
    if (m->err && m->err->rc != rc)
        err_set(m->err, rc, "%s", rc_text(rc));
}

void maker_unsupported(struct maker *m, int32_t location, const char *fmt, ...) {
    va_list ap;
    if (m->rc)
        return;
    va_start(ap, fmt);
    m->rc = err_setv(m->err, RC_UNSUPPORTED, fmt, ap);
    va_end(ap);
    if (location >= 0)
        err_position(m->err, location + 1);
}

void *maker_alloc(struct maker *m, size_t n, size_t size) {
    void *p = m->rc ? NULL : arena_array(m->arena, n, size);
    if (p)
        memset(p, 0, n * size);
    else
        maker_fail(m, RC_NOMEM);
    return p;
}

bool maker_room(struct maker *m, void *array, uint32_t n, uint32_t *max, size_t size) {
    void *old;
    memcpy(&old, array, sizeof old);
    if (m->rc)
        return false;
    if (n < *max)
        return true;
    uint32_t more = *max ? *max * 2 : 8;
    void *p = arena_array(m->arena, more, size);
    if (!p) {
        maker_fail(m, RC_NOMEM);
        return false;
    }
    if (n)
        memcpy(p, old, n * size);
    memcpy(array, &p, sizeof p);
    *max = more;
    return true;
}

bool maker_reach(struct maker *m, uint32_t **array, uint32_t i, uint32_t *max) {
    if (i < *max)
        return !m->rc;
    uint32_t more = *max ? *max : 8;
    while (more <= i)
        more *= 2;
    uint32_t *p = maker_alloc(m, more, sizeof *p);
    if (!p)
        return false;
    if (*max)
        memcpy(p, *array, *max * sizeof *p);
    *array = p;
    *max = more;
    return true;
}

const char *maker_name(struct maker *m, const char *name) {
    const char *copy = name ? arena_strdup(m->arena, name) : "?column?";
    if (!copy)
        maker_fail(m, RC_NOMEM);
    return copy;
}

uint32_t maker_rel(struct maker *m, const struct rel *r) {
    for (uint32_t i = 0; i < m->rels; i++)
        if (m->rel[i] == r)
            return i;
    if (!maker_room(m, &m->rel, m->rels, &m->rels_max, sizeof *m->rel))
        return 0;
    m->rel[m->rels] = r;
    return m->rels++;
}

uint32_t maker_with(struct maker *m, const struct query *q) {
    for (uint32_t i = 0; i < m->withs; i++)
        if (m->with[i] == q)
            return i;
    if (!maker_room(m, &m->with, m->withs, &m->withs_max, sizeof *m->with))
        return 0;
    m->with[m->withs] = q;
    return m->withs++;
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

static const struct expr *param_leaf(struct maker *m, const struct expr *e) {
    struct expr *copy = maker_alloc(m, 1, sizeof *copy);
    if (!copy)
        return e;
    *copy = (struct expr){.kind = EXPR_COL, .type = e->type, .location = e->location};
    copy->col.rel = &m->params_rel;
    copy->col.col = e->param - 1;
    return copy;
}

/* The tree with its parameters as columns of a relation of their own, and join columns as what they come from. */
static const struct expr *for_gateway(struct maker *m, const struct expr *e) {
    if (m->rc || !e)
        return e;
    if (e->kind == EXPR_PARAM)
        return param_leaf(m, e);
    if (e->kind == EXPR_COL) {
        const struct expr *base = expr_base(e);
        return base->kind == EXPR_COL ? base : for_gateway(m, base);
    }
    if (e->kind == EXPR_SUBLINK) {
        maker_unsupported(m, e->location, "a subquery is not supported here");
        return e;
    }
    if (e->kind == EXPR_SET) {
        maker_unsupported(m, e->location, "a set-returning function is not supported here");
        return e;
    }
    if (e->args == 0)
        return e;
    struct expr *copy = maker_alloc(m, 1, sizeof *copy);
    struct expr **arg = maker_alloc(m, e->args, sizeof *arg);
    if (!copy || !arg)
        return e;
    *copy = *e;
    copy->arg = arg;
    for (uint32_t i = 0; i < e->args; i++)
        arg[i] = (struct expr *)for_gateway(m, e->arg[i]);
    return copy;
}

static bool resolve(struct maker *m, const struct expr *col, const struct row_names *names, struct prog_arg *ret) {
    int64_t place = -1;
    if (col->kind == EXPR_PARAM || col->col.rel == &m->params_rel) {
        *ret = (struct prog_arg){ARG_PARAM, col->kind == EXPR_PARAM ? col->param - 1 : col->col.col};
        return true;
    }
    if (names && names->into == col->col.rel) {
        *ret = (struct prog_arg){names->from, col->col.col};
        return true;
    }
    if (names && names->excluded && names->excluded == col->col.rel) {
        *ret = (struct prog_arg){ARG_EXCLUDED, col->col.col};
        return true;
    }
    if (names && names->place)
        place = names->place(names->ctx, col);
    if (place < 0) {
        maker_unsupported(m, col->location, "a column of another relation is not supported here");
        return false;
    }
    *ret = (struct prog_arg){ARG_READ, (uint32_t)place};
    return true;
}

struct prog *maker_prog(struct maker *m, const struct expr *e, const struct col *type, const struct row_names *names) {
    struct expr_program bytes = {0};
    if (m->rc)
        return NULL;
    if (!plan_same_form(&e->type, type))
        e = expr_relabel(m->arena, e, type);
    struct prog *p = maker_alloc(m, 1, sizeof *p);
    if (!e || !p) {
        maker_fail(m, RC_NOMEM);
        return NULL;
    }
    e = for_gateway(m, e);
    enum rc rc = m->rc ? m->rc : expr_compile(m->arena, e, &bytes, m->err);
    if (!rc)
        rc = pgx_load(bytes.bytes, bytes.n, &p->pgx, m->err);
    if (rc) {
        maker_fail(m, rc);
        return NULL;
    }
    p->next = m->plan->progs;
    m->plan->progs = p;
    p->type = *type;
    p->arg = maker_alloc(m, bytes.cols ? bytes.cols : 1, sizeof *p->arg);
    for (uint32_t i = 0; i < bytes.cols && !m->rc; i++)
        if (!resolve(m, bytes.col[i], names, &p->arg[i]))
            return NULL;
    p->args = bytes.cols;
    return p;
}

uint32_t maker_calc(struct maker *m, const struct expr *e, const struct col *type, enum calc_use use) {
    struct plan *p = m->plan;
    struct calc c = {.use = use, .type = *type};
    const struct expr *in = expr_strip(e);
    if (in->kind == EXPR_PARAM && plan_same_form(&in->type, type)) {
        c.kind = CALC_PARAM;
        c.param = in->param - 1;
        if (use == CALC_VALUE && !maker_reach(m, &m->of_param, c.param, &m->of_params_max))
            return 0;
        if (use == CALC_VALUE && m->of_param[c.param])
            return m->of_param[c.param] - 1;
    } else if (in->kind == EXPR_CONST && (in->value.kind == VALUE_NULL || plan_same_form(&in->type, type))) {
        c.kind = CALC_CONST;
        c.value = in->value; /* which may lie in the statement's text */
        if (value_copy(m->arena, &c.value))
            maker_fail(m, RC_NOMEM);
    } else {
        c.kind = CALC_PROG;
        c.prog = maker_prog(m, e, type, NULL);
    }
    if (!maker_room(m, &p->calc, p->calcs, &m->calcs_max, sizeof *p->calc))
        return 0;
    if (c.kind == CALC_PARAM && use == CALC_VALUE)
        m->of_param[c.param] = p->calcs + 1;
    p->calc[p->calcs] = c;
    return p->calcs++;
}

/* ---- forms of values --------------------------------------------------------------------------------------------- */

bool plan_same_form(const struct col *a, const struct col *b) {
    int x = -1, y = -1;
    bool p = a->type == COL_NUMERIC && col_numeric_is_int(a, &x);
    bool q = b->type == COL_NUMERIC && col_numeric_is_int(b, &y);
    return p == q && (!p || x == y);
}

int plan_class(const struct col *c) {
    int scale = 0;
    switch (c->type) {
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
        return COL_INT8;
    case COL_TEXT:
    case COL_VARCHAR:
        return COL_TEXT;
    case COL_FLOAT4:
    case COL_FLOAT8:
        return COL_FLOAT8;
    case COL_NUMERIC:
        return col_numeric_is_int(c, &scale) ? 10000 + scale : COL_NUMERIC;
    case COL_BOOL:
    case COL_CHAR:
    case COL_BYTEA:
    case COL_DATE:
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
    case COL_UUID:
    case COL_ENUM:
    case COL_OID:
        return c->type;
    default:
        return 0;
    }
}
