/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.c: the keys that a plan's conditions leave, with the values of this run.
 *
 * Equalities multiply (a IN (1, 2) AND b IN (3, 4) are four keys) as long as there are few; then comes maybe a range. A value
 * that no row of the column can have leaves nothing; NULL neither, as no comparison with it is true.
 */
#include "sql/exec/exec_internal.h"

/* Values of one part of the key. */
struct choices {
    const struct value *v;
    size_t n;
    struct value one;
};

struct multiply {
    struct exec *e;
    const struct keys *k;
    struct choices part[TABLE_KEY_MAX];
    uint16_t equal; /* parts with choices */
    struct span *span;
    size_t n, max;
    struct value key[TABLE_KEY_MAX];
};

static enum rc nomem(struct err *err) {
    return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
}

/* Can the column hold it at all? */
static bool fits(const struct table *t, uint16_t part, const struct value *v) {
    return v->kind != VALUE_NULL && col_check(&t->cols[t->key[part].col].col, v, NULL) == RC_OK;
}

static enum rc choices_of(struct exec *e, const struct keys *k, uint16_t part, struct choices *ret, struct err *err) {
    const struct key_cond *c = &k->part[part];
    struct choices all = {0};
    if (c->array) {
        const struct value *array = &e->calc[c->eq[0]];
        const struct calc *calc = &e->plan->calc[c->eq[0]];
        struct col elem = {.type = calc->type.elem, .typmod = COL_TYPMOD_NONE, .type_id = calc->type.type_id};
        struct array_elements of = {0};
        enum rc rc = array->kind == VALUE_BLOB ? array_elements(&e->arena, &elem, array, &of, err) : RC_OK;
        if (rc)
            return rc;
        all = (struct choices){.v = of.v, .n = of.n};
    } else {
        struct value *v = c->eqs == 1 ? &ret->one : arena_array(&e->arena, c->eqs, sizeof *v);
        if (!v)
            return nomem(err);
        for (uint32_t i = 0; i < c->eqs; i++)
            v[i] = e->calc[c->eq[i]];
        all.v = v;
        all.n = c->eqs;
    }
    size_t n = 0;
    struct value *to = (struct value *)all.v;
    for (size_t i = 0; i < all.n; i++)
        if (fits(k->table, part, &all.v[i]))
            to[n++] = all.v[i];
    ret->v = all.v;
    ret->n = n;
    return RC_OK;
}

static enum rc key_bytes(struct arena *a, const struct table *t, const struct value *key, uint16_t n, struct key *ret,
                         struct err *err) {
    struct buf b;
    buf_init(&b, 0);
    enum rc rc = table_key_put(&b, t, key, n, err);
    void *p = rc ? NULL : arena_copy(a, b.data, b.len);
    size_t bytes = b.len;
    buf_done(&b);
    if (rc)
        return rc;
    if (!p)
        return nomem(err);
    *ret = key_of(p, bytes);
    return RC_OK;
}

enum rc span_of_row(struct arena *a, const struct table *t, const struct value *key, uint16_t n, struct span *ret,
                    struct err *err) {
    struct key k;
    enum rc rc = key_bytes(a, t, key, n, &k, err);
    if (!rc)
        rc = n == t->n_key ? span_point(a, k, ret) : span_prefix(a, k, ret);
    return rc;
}

/* One end of the range behind n equal parts. after: behind every key that begins so. false: there is no such bound. */
static enum rc bound_key(struct multiply *m, uint16_t n, const struct value *v, bool after, struct key *ret,
                         struct err *err) {
    struct arena *a = &m->e->arena;
    struct span s;
    struct key k;
    m->key[n] = *v;
    enum rc rc = key_bytes(a, m->k->table, m->key, (uint16_t)(n + 1), &k, err);
    if (rc || !after) {
        *ret = k;
        return rc;
    }
    rc = span_prefix(a, k, &s);
    if (!rc)
        *ret = s.end;
    return rc;
}

static const struct value *bound_value(const struct multiply *m, const struct key_bound *b) {
    return b->calc == CALC_NONE ? NULL : &m->e->calc[b->calc];
}

/* The range of the part behind n equal ones, within s. */
static enum rc narrow(struct multiply *m, uint16_t n, const struct key_range *c, struct span *s, struct err *err) {
    const struct table *t = m->k->table;
    bool desc = t->key[n].desc;
    const struct value *low = bound_value(m, &c->low), *high = bound_value(m, &c->high);
    struct key k;
    enum rc rc = RC_OK;
    if (low && fits(t, n, low)) {
        /* ASC: from low on; DESC: up to low. */
        rc = bound_key(m, n, low, desc == c->low.inclusive, &k, err);
        if (!rc)
            *(desc ? &s->end : &s->start) = k;
    }
    if (!rc && high && fits(t, n, high)) {
        rc = bound_key(m, n, high, desc != c->high.inclusive, &k, err);
        if (!rc)
            *(desc ? &s->start : &s->end) = k;
    }
    return rc;
}

static bool null_range(const struct multiply *m, const struct key_range *r) {
    const struct value *low = bound_value(m, &r->low), *high = bound_value(m, &r->high);
    return (low && low->kind == VALUE_NULL) || (high && high->kind == VALUE_NULL);
}

static enum rc add_span(struct multiply *m, uint16_t n, struct err *err) {
    struct span s = {{NULL, 0}, {NULL, 0}};
    enum rc rc = span_of_row(&m->e->arena, m->k->table, m->key, n, &s, err);
    if (rc || n >= m->k->parts || n != m->equal || m->k->part[n].eqs > 0) {
        if (!rc)
            m->span[m->n++] = s;
        return rc;
    }
    const struct key_cond *c = &m->k->part[n];
    struct key_range one = {c->low, c->high};
    for (uint32_t i = 0; i < (c->anys ? c->anys : 1) && !rc; i++) {
        const struct key_range *range = c->anys ? &c->any[i] : &one;
        struct span part = s;
        if (c->anys && null_range(m, range))
            continue; /* no row is within it */
        rc = narrow(m, n, range, &part, err);
        if (!rc)
            m->span[m->n++] = part;
    }
    return rc;
}

static enum rc multiply(struct multiply *m, uint16_t at, struct err *err) {
    if (at == m->equal)
        return add_span(m, at, err);
    for (size_t i = 0; i < m->part[at].n; i++) {
        m->key[at] = m->part[at].v[i];
        enum rc rc = multiply(m, (uint16_t)(at + 1), err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static bool null_bound(const struct multiply *m) {
    for (uint16_t i = 0; i < m->k->parts; i++) {
        struct key_range r = {m->k->part[i].low, m->k->part[i].high};
        if (null_range(m, &r))
            return true;
    }
    return false;
}

enum rc spans_of(struct exec *e, const struct keys *k, struct span_set *ret, struct err *err) {
    struct multiply m = {.e = e, .k = k};
    size_t n = 1;
    *ret = (struct span_set){NULL, 0};
    if (k->never || null_bound(&m))
        return RC_OK;
    for (uint16_t i = 0; i < k->parts && k->part[i].eqs > 0; i++) {
        enum rc rc = choices_of(e, k, i, &m.part[i], err);
        if (rc)
            return rc;
        if (m.part[i].n == 0)
            return RC_OK;
        if (n * m.part[i].n > PLAN_KEY_CHOICES_MAX)
            break;
        n *= m.part[i].n;
        m.equal++;
    }
    if (m.equal < k->parts && k->part[m.equal].anys > 0)
        n *= k->part[m.equal].anys;
    m.span = arena_array(&e->arena, n, sizeof *m.span);
    if (!m.span)
        return nomem(err);
    enum rc rc = multiply(&m, 0, err);
    if (rc)
        return rc;
    if (m.n == 1 && !span_empty(m.span[0])) {
        *ret = (struct span_set){m.span, 1};
        return RC_OK;
    }
    return span_set_of(&e->arena, m.span, m.n, ret, err);
}
