/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c: a run of a plan, from outside.
 */
#include "sql/exec/exec.h"

#include <stdlib.h>
#include <string.h>

#include "sql/exec/exec_internal.h"
#include "sql/exec/stage.h"

static enum rc nomem(struct err *err) {
    return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
}

/* ---- values of the run ------------------------------------------------------------------------------------------- */

enum rc exec_run_prog(struct exec *e, const struct prog *p, const struct row_values *row, struct value *ret,
                      struct err *err) {
    struct value few[16], *arg = few;
    if (p->args > sizeof few / sizeof *few) {
        arg = arena_array(e->fn.arena, p->args, sizeof *arg);
        if (!arg)
            return nomem(err);
    }
    for (uint32_t i = 0; i < p->args; i++) {
        const struct value *from = p->arg[i].from == ARG_PARAM  ? e->params
                                   : p->arg[i].from == ARG_NEW  ? row->new
                                   : p->arg[i].from == ARG_READ ? row->read
                                                                : row->excluded;
        arg[i] = from[p->arg[i].i];
    }
    return pgx_run(p->pgx, &e->fn, arg, ret, err);
}

static enum rc check_limit(enum calc_use use, struct value *v, struct err *err) {
    if (use == CALC_VALUE)
        return RC_OK;
    if (v->kind != VALUE_INT)
        *v = value_int(use == CALC_LIMIT ? -1 : 0);
    else if (v->i < 0)
        return err_sql(err, use == CALC_LIMIT ? "2201W" : "2201X", "%s must not be negative",
                       use == CALC_LIMIT ? "LIMIT" : "OFFSET");
    return RC_OK;
}

static enum rc compute(struct exec *e, struct err *err) {
    const struct plan *p = e->plan;
    struct row_values none = {0};
    e->calc = arena_array(&e->arena, p->calcs + 1, sizeof *e->calc);
    if (!e->calc)
        return nomem(err);
    e->fn.arena = &e->arena;
    for (uint32_t i = 0; i < p->calcs; i++) {
        const struct calc *c = &p->calc[i];
        enum rc rc = RC_OK;
        if (c->kind == CALC_PROG)
            rc = exec_run_prog(e, c->prog, &none, &e->calc[i], err);
        else
            e->calc[i] = c->kind == CALC_CONST ? c->value : e->params[c->param];
        if (!rc)
            rc = check_limit(c->use, &e->calc[i], err);
        if (rc)
            return rc;
    }
    e->fn.arena = &e->row_arena;
    return RC_OK;
}

enum rc exec_slots(struct exec *e, const struct text *t, const struct value **ret, struct err *err) {
    struct value *v = arena_array(&e->arena, t->slots + 1, sizeof *v);
    if (!v)
        return nomem(err);
    for (uint32_t i = 0; i < t->slots; i++)
        v[i] = e->calc[t->slot[i]];
    *ret = v;
    return RC_OK;
}

static enum rc copy_row(struct arena *a, const struct value *from, size_t n, struct value **ret, size_t *ret_bytes,
                        struct err *err) {
    struct value *v = arena_array(a, n + 1, sizeof *v);
    if (!v)
        return nomem(err);
    *ret_bytes = n * sizeof *v;
    for (size_t i = 0; i < n; i++) {
        v[i] = from[i];
        *ret_bytes += v[i].bytes;
        if (value_copy(a, &v[i]))
            return nomem(err);
    }
    *ret = v;
    return RC_OK;
}

enum rc exec_keep_image(struct exec *e, const struct value *from, size_t n, struct value **ret, struct err *err) {
    size_t bytes;
    return e->images == &e->arena ? exec_keep(e, from, n, ret, err) : copy_row(e->images, from, n, ret, &bytes, err);
}

enum rc exec_charge(struct exec *e, size_t bytes, struct err *err) {
    e->memory += bytes;
    if (e->memory <= e->memory_max)
        return RC_OK;
    err_set(err, RC_LIMIT, "the statement needs more memory than it may have");
    err_detail(err, "It holds rows of %zu bytes; the limit is %zu.", e->memory, e->memory_max);
    err_state(err, "53200");
    return RC_LIMIT;
}

enum rc exec_keep(struct exec *e, const struct value *from, size_t n, struct value **ret, struct err *err) {
    size_t bytes = 0;
    enum rc rc = copy_row(&e->arena, from, n, ret, &bytes, err);
    if (rc)
        return rc;
    return exec_charge(e, bytes, err);
}

struct scan_note *exec_note(struct exec *e, const struct text *text, const struct table *table, size_t spans) {
    for (struct scan_note *n = e->notes; n; n = n->next)
        if (n->text == text)
            return n;
    struct scan_note *n = arena_new(&e->arena, struct scan_note);
    if (!n)
        return NULL;
    *n = (struct scan_note){.next = e->notes, .text = text, .table = table, .spans = spans};
    e->notes = n;
    return n;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

enum rc exec_values(const struct plan *p, const struct exec_env *env, const struct value *params, struct exec **ret,
                    struct err *err) {
    struct exec *e = calloc(1, sizeof *e);
    if (!e)
        return nomem(err);
    e->plan = plan_ref((struct plan *)p);
    e->write = p->dml;
    e->env = env;
    e->params = params;
    e->memory_max = env->memory_max ? env->memory_max : EXEC_MEMORY_BYTES;
    arena_init(&e->arena, 0);
    arena_init(&e->row_arena, 0);
    arena_init(&e->batch, 0);
    e->images = &e->arena;
    e->fn = *env->fn;
    enum rc rc = compute(e, err);
    if (rc)
        exec_close(e);
    else
        *ret = e;
    return rc;
}

enum rc exec_open(const struct plan *p, const struct exec_env *env, const struct value *params, struct exec **ret,
                  struct err *err) {
    struct exec *e = NULL;
    enum rc rc = exec_values(p, env, params, &e, err);
    if (!rc && !p->dml)
        rc = read_open(&e->read, e, &p->select, 0, err);
    if (!rc && p->withs > 0 && e->read.stage)
        rc = stage_read_early(e->read.stage, err);
    if (!rc && p->withs > 0)
        rc = with_run(e, err);
    if (rc)
        exec_close(e);
    else
        *ret = e;
    return rc;
}

enum rc exec_next(struct exec *e, const struct value **ret, struct err *err) {
    *ret = NULL;
    arena_reset(&e->row_arena);
    if (e->write)
        return dml_next(e, ret, err);
    if (e->done)
        return RC_OK;
    enum rc rc = read_next(&e->read, ret, err);
    e->done = rc || !*ret;
    return rc;
}

void exec_close(struct exec *e) {
    if (!e)
        return;
    read_close(&e->read);
    with_done(e);
    plan_unref(e->plan);
    arena_done(&e->arena);
    arena_done(&e->row_arena);
    arena_done(&e->batch);
    free(e);
}

uint64_t exec_affected(const struct exec *e) {
    return e->write ? e->affected : e->read.rows;
}

bool exec_committed(const struct exec *e, int64_t *ret_ts) {
    if (e->committed)
        *ret_ts = e->commit_ts;
    return e->committed;
}
