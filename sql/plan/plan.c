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

static void make(struct maker *m, struct plan *p) {
    const struct query *q = p->analysed.query;
    p->kind = q->kind;
    switch (q->kind) {
    case QUERY_SELECT:
        make_select(m, q, &p->select, NULL, LOCK_SHARED);
        p->column = p->select.column;
        p->columns = p->select.columns;
        p->read_only = q->lock == ROWLOCK_NONE && p->select.lock <= LOCK_SHARED;
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

const struct cat_table *plan_target(const struct plan *p) {
    return p->dml ? p->dml->table : NULL;
}

bool plan_may_set(const struct plan *p, uint16_t col) {
    const struct dml *d = p->dml;
    if (!d || d->kind == QUERY_DELETE || col >= d->table->columns)
        return false;
    if (d->kind == QUERY_UPDATE)
        return d->set[col].from != SET_KEEP;
    return d->conflict && d->conflict->update && d->conflict->set[col].from != SET_KEEP;
}
