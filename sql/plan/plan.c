/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c: a plan's life.
 */
#include "sql/plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "sql/plan/maker.h"

static void plan_free(struct plan *p) {
    for (struct prog *x = p->progs; x; x = x->next)
        pgx_free(x->pgx);
    analysed_done(&p->analysed);
    arena_done(&p->arena);
    free(p);
}

/* ---- WITH queries that write ------------------------------------------------------------------------------------- */

struct touches {
    uint32_t table;
};

static bool test_table(const struct rel *r, void *ctx) {
    const struct touches *t = ctx;
    return r->kind == REL_TABLE && r->table->id == t->table;
}

static bool touches(const struct query *q, uint32_t table) {
    struct touches t = {table};
    return (q->into && q->into->table->id == table) || query_any_rel(q, test_table, &t);
}

/* A copy of q with only those of the first n WITH queries that read. */
static struct query *with_readers(struct maker *m, const struct query *q, const struct query *of, uint32_t n) {
    struct query *copy = maker_alloc(m, 1, sizeof *copy);
    struct cte **cte = maker_alloc(m, of->ctes + q->ctes + 1, sizeof *cte);
    if (!copy || !cte)
        return NULL;
    *copy = *q;
    copy->cte = cte;
    copy->ctes = 0;
    for (uint32_t i = 0; i < n; i++)
        if (of->cte[i]->query->kind == QUERY_SELECT)
            cte[copy->ctes++] = of->cte[i];
    for (uint32_t i = 0; q != of && i < q->ctes; i++)
        cte[copy->ctes++] = q->cte[i];
    return copy;
}

/* What one part writes no other part may touch, since it would see it; but the main part's reads can be made before. */
static void check_parts(struct maker *m, const struct plan *p, const struct query *const *part,
                        const struct query *main) {
    for (uint32_t i = 0; i < p->withs && !m->rc; i++) {
        uint32_t id = part[i]->into->table->id;
        bool hit = main->kind != QUERY_SELECT && touches(main, id);
        for (uint32_t k = 0; k < p->withs; k++)
            hit = hit || (k != i && touches(part[k], id));
        if (main->kind != QUERY_SELECT)
            for (uint32_t k = 0; k < p->withs; k++)
                hit = hit || touches(part[k], main->into->table->id);
        if (hit)
            maker_unsupported(m, -1,
                              "a table that one part of a statement with WITH writes and another one uses is not "
                              "supported");
    }
}

/* Makes plans of the WITH queries that write; gives the main part without them. */
static const struct query *make_withs(struct maker *m, struct plan *p, const struct query *q) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->ctes; i++)
        n += q->cte[i]->query->kind != QUERY_SELECT;
    if (n == 0)
        return q;
    const struct query **part = maker_alloc(m, n, sizeof *part);
    p->with = maker_alloc(m, n, sizeof *p->with);
    for (uint32_t i = 0; i < q->ctes && !m->rc; i++) {
        const struct cte *c = q->cte[i];
        if (c->query->kind == QUERY_SELECT)
            continue;
        const struct query *w = with_readers(m, c->query, q, i);
        if (!w)
            return q;
        part[p->withs] = w;
        p->with[p->withs] = (struct plan_with){make_dml(m, w), c->table};
        p->withs++;
    }
    const struct query *main = with_readers(m, q, q, q->ctes);
    if (!m->rc && main)
        check_parts(m, p, part, main);
    return main ? main : q;
}

/* The main part's sources that a WITH query writes to. */
static void mark_early(struct plan *p) {
    for (uint32_t i = 0; i < p->select.sources; i++)
        for (uint32_t k = 0; k < p->withs; k++)
            if (!p->select.source[i].virtual_rows && p->select.source[i].table->id == p->with[k].dml->table->id)
                p->select.source[i].early = p->select.only_final = true;
}

/* ---- a plan -------------------------------------------------------------------------------------------------------- */

static void make(struct maker *m, struct plan *p) {
    const struct query *q = make_withs(m, p, p->analysed.query);
    if (m->rc)
        return;
    p->kind = q->kind;
    switch (q->kind) {
    case QUERY_SELECT:
        make_select(m, q, &p->select, NULL, LOCK_SHARED);
        p->column = p->select.column;
        p->columns = p->select.columns;
        p->read_only = q->lock == ROWLOCK_NONE && p->select.lock <= LOCK_SHARED && p->withs == 0;
        mark_early(p);
        break;
    case QUERY_INSERT:
    case QUERY_UPDATE:
    case QUERY_DELETE:
        p->dml = make_dml(m, q);
        break;
    default:
        maker_unsupported(m, -1, "this statement cannot be planned");
    }
}

enum rc plan_make(struct arena *arena, struct analysed *a, struct plan **ret, struct err *err) {
    struct plan *p = calloc(1, sizeof *p);
    if (!p) {
        analysed_done(a);
        arena_done(arena);
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    }
    p->refs = 1;
    p->arena = *arena;
    p->analysed = *a;
    arena_init(arena, arena->bytes_max);
    *a = (struct analysed){0};
    struct maker m = {.plan = p, .arena = &p->arena, .err = err};
    m.params_rel.kind = m.leaf_rel.kind = REL_VALUES;
    make(&m, p);
    if (m.rc) {
        plan_free(p);
        return m.rc;
    }
    *ret = p;
    return RC_OK;
}

struct plan *plan_ref(struct plan *p) {
    p->refs++;
    return p;
}

void plan_unref(struct plan *p) {
    if (p && --p->refs == 0)
        plan_free(p);
}

enum query_kind plan_kind(const struct plan *p) {
    return p->kind;
}

size_t plan_bytes(const struct plan *p) {
    return sizeof *p + p->arena.bytes;
}

size_t plan_params(const struct plan *p) {
    return p->analysed.params;
}

const struct col *plan_param(const struct plan *p) {
    return p->analysed.param;
}

size_t plan_columns(const struct plan *p) {
    return p->columns;
}

const struct plan_column *plan_column(const struct plan *p) {
    return p->column;
}

bool plan_read_only(const struct plan *p) {
    return p->read_only;
}

bool plan_single_scan(const struct plan *p) {
    return p->kind == QUERY_SELECT && p->read_only && p->select.spread.text.sql && p->select.sources == 1 &&
           !p->select.source[0].via;
}

size_t plan_writes(const struct plan *p) {
    return p->withs + (p->dml != NULL);
}

static const struct dml *dml_at(const struct plan *p, size_t i) {
    return i < p->withs ? p->with[i].dml : p->dml;
}

const struct cat_table *plan_write_table(const struct plan *p, size_t i) {
    return dml_at(p, i)->table;
}

enum query_kind plan_write_kind(const struct plan *p, size_t i) {
    return dml_at(p, i)->kind;
}

bool plan_may_set(const struct plan *p, size_t i, uint16_t col) {
    const struct dml *d = dml_at(p, i);
    if (d->kind == QUERY_DELETE || col >= d->table->columns)
        return false;
    if (d->kind == QUERY_UPDATE)
        return d->set[col].from != SET_KEEP;
    return d->conflict && d->conflict->update && d->conflict->set[col].from != SET_KEEP;
}
