/* SPDX-License-Identifier: Apache-2.0 */
/*
 * with.c: WITH queries that write. Each is a run of its own before the statement's main part, in the order of the text; what it
 * returns is kept, and is the rows of a relation to those behind it.
 *
 * PostgreSQL shows all parts of a statement the database as it was before it. Here a transaction sees its own writes, so tables that
 * the main part reads and another part writes are read before anything is written (source.early); where that cannot be, the planner has
 * refused the statement.
 */
#include <stdlib.h>

#include "sql/exec/exec_internal.h"
#include "sql/exec/stage.h"

struct with_rows {
    const struct cat_table *table;
    struct exec *run;
    struct kept {
        struct kept *next;
        struct value *v;
    } * first, **last;
};

struct with_run {
    size_t n;
    struct with_rows rows[];
};

static enum rc run_one(struct exec *e, const struct plan_with *w, struct with_rows *to, struct err *err) {
    enum rc rc = exec_values(e->plan, e->env, e->params, &to->run, err);
    if (rc)
        return rc;
    to->run->write = w->dml;
    to->run->part_of = e;
    to->table = w->table;
    to->last = &to->first;
    for (;;) {
        const struct value *v;
        struct kept *k;
        rc = exec_next(to->run, &v, err);
        if (rc || !v)
            return rc;
        k = arena_new(&to->run->arena, struct kept);
        if (!k)
            return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
        rc = exec_keep(to->run, v, w->dml->returnings, &k->v, err);
        if (rc)
            return rc;
        *to->last = k;
        to->last = &k->next;
    }
}

enum rc with_run(struct exec *e, struct err *err) {
    const struct plan *p = e->plan;
    struct with_run *x = arena_zalloc(&e->arena, sizeof *x + p->withs * sizeof *x->rows);
    if (!x)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    e->with = x;
    enum rc rc = RC_OK;
    for (uint32_t i = 0; i < p->withs && !rc; i++) {
        x->n = i + 1;
        rc = run_one(e, &p->with[i], &x->rows[i], err);
    }
    /* What wants to be told when all is written is told by the main part, if that writes. */
    if (!rc && !e->write && e->env->watch.end)
        rc = e->env->watch.end(e->env->watch.ctx, err);
    return rc;
}

bool with_rows(struct exec *e, const struct cat_table *t,
               enum rc (*on_row)(void *to, const struct value *v, struct err *err), void *to, enum rc *ret,
               struct err *err) {
    const struct with_run *x = e->part_of ? e->part_of->with : e->with;
    *ret = RC_OK;
    for (size_t i = 0; x && i < x->n; i++) {
        if (x->rows[i].table != t)
            continue;
        for (const struct kept *k = x->rows[i].first; k && !*ret; k = k->next)
            *ret = on_row(to, k->v, err);
        return true;
    }
    return false;
}

void with_done(struct exec *e) {
    for (size_t i = 0; e->with && i < e->with->n; i++)
        exec_close(e->with->rows[i].run);
}
