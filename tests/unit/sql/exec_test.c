/* SPDX-License-Identifier: Apache-2.0 */
/* The path of point statements, from trees made by hand: what is read, what is written, in which requests. */
#include "sql/exec/exec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/key.h"
#include "sql/functions/pgx.h"
#include "tests/lib/memcat.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/lib/txn_local.h"

struct kit {
    struct reactor *r;
    struct memcat *cat;
    struct local *l;
    struct pgx_ext *ext;
    struct arena arena;
    struct type_session types;
    struct fn_env fn;
    struct err err;
    const struct cat_table *t;
};

static void kit_open(struct kit *k, struct reactor *r, const char *name, int64_t split) {
    *k = (struct kit){.r = r, .cat = memcat_new(), .ext = pgx_ext_new()};
    struct ext ext[] = {{pgx_ext_open, k->ext}, {exec_ext_open, NULL}};
    k->l = local_new(r, name, ext, 2);
    k->t = memcat_table(k->cat, "accounts", "aid int4 not null, bid int4, abalance int4, filler char(84)", "aid");
    if (split) {
        struct buf b;
        struct value v = value_int(split);
        buf_init(&b, 0);
        CHECK(table_key_put(&b, k->t->store, &v, 1, NULL) == RC_OK);
        local_split(k->l, b.data, b.len);
        buf_done(&b);
    }
    local_table(k->l, k->t->store);
    arena_init(&k->arena, 0);
    k->types.zone = zone_fixed(&k->arena, "UTC", 0);
    k->fn.types = &k->types;
}

static void kit_close(struct kit *k) {
    local_free(k->l);
    pgx_ext_free(k->ext);
    memcat_free(k->cat);
    arena_done(&k->arena);
}

/* ---- trees ------------------------------------------------------------------------------------------------------- */

static struct expr *expr_new(struct arena *a, enum expr_kind kind, enum col_type type) {
    struct expr *e = arena_new(a, struct expr);
    CHECK(e);
    e->kind = kind;
    e->type = col_of(type);
    e->location = -1;
    return e;
}

static struct expr *col(struct arena *a, struct rel *r, uint32_t c) {
    struct expr *e = expr_new(a, EXPR_COL, COL_INT4);
    e->type = r->col[c].type;
    e->col.rel = r;
    e->col.col = c;
    return e;
}

static struct expr *param(struct arena *a, uint32_t n) {
    struct expr *e = expr_new(a, EXPR_PARAM, COL_INT4);
    e->param = n;
    return e;
}

static struct expr *call(struct arena *a, const char *op, enum col_type ret, struct expr *x, struct expr *y) {
    size_t at = 0;
    const struct fn *f;
    while ((f = fn_by_op(op, &at)) && !(f->args == 2 && f->arg[0] == COL_INT4 && f->arg[1] == COL_INT4))
        ;
    CHECK(f);
    struct expr *e = expr_new(a, EXPR_CALL, ret);
    e->call.fn = f;
    e->args = 2;
    e->arg = arena_array(a, 2, sizeof *e->arg);
    e->arg[0] = x;
    e->arg[1] = y;
    return e;
}

static struct rel *rel_of(struct arena *a, const struct cat_table *t) {
    struct rel *r = arena_new(a, struct rel);
    r->kind = REL_TABLE;
    r->table = t;
    r->cols = t->columns;
    r->col = arena_array(a, t->columns, sizeof *r->col);
    for (uint16_t i = 0; i < t->columns; i++)
        r->col[i] = (struct rel_col){.name = t->column[i].name, .type = t->column[i].type};
    return r;
}

struct statement {
    struct arena arena;
    struct query *q;
    struct rel *r;
};

static void statement_new(struct statement *s, const struct kit *k, enum query_kind kind) {
    arena_init(&s->arena, 0);
    s->q = arena_new(&s->arena, struct query);
    s->r = rel_of(&s->arena, k->t);
    s->q->kind = kind;
    s->q->rel = s->q->from = arena_array(&s->arena, 1, sizeof *s->q->rel);
    s->q->rel[0] = s->r;
    s->q->rels = s->q->froms = 1;
    if (kind != QUERY_SELECT)
        s->q->into = s->r;
}

static void add_target(struct statement *s, struct query *q, struct expr *e) {
    if (!q->target)
        q->target = arena_array(&s->arena, 8, sizeof *q->target);
    q->target[q->targets++] = (struct target){.name = "x", .expr = e};
}

static void set(struct statement *s, uint32_t c, struct expr *e) {
    if (!s->q->set_list)
        s->q->set_list = arena_array(&s->arena, 8, sizeof *s->q->set_list);
    s->q->set_list[s->q->set_lists++] = (struct assignment){c, e};
}

static struct plan *plan_of(struct kit *k, struct statement *s, size_t params) {
    struct plan *p = NULL;
    struct col *c = arena_array(&s->arena, params + 1, sizeof *c);
    for (size_t i = 0; i < params; i++)
        c[i] = col_of(COL_INT4);
    struct analysed a = {.query = s->q, .param = c, .params = params};
    OKF(plan_make(&s->arena, &a, &p, &k->err) == RC_OK, "%s", err_message(&k->err));
    return p;
}

static struct plan *select_plan(struct kit *k) {
    struct statement s;
    statement_new(&s, k, QUERY_SELECT);
    add_target(&s, s.q, col(&s.arena, s.r, 2));
    s.q->where = call(&s.arena, "=", COL_BOOL, col(&s.arena, s.r, 0), param(&s.arena, 1));
    return plan_of(k, &s, 1);
}

static struct plan *update_plan(struct kit *k) {
    struct statement s;
    statement_new(&s, k, QUERY_UPDATE);
    set(&s, 2, call(&s.arena, "+", COL_INT4, col(&s.arena, s.r, 2), param(&s.arena, 1)));
    s.q->where = call(&s.arena, "=", COL_BOOL, col(&s.arena, s.r, 0), param(&s.arena, 2));
    return plan_of(k, &s, 2);
}

static struct plan *delete_plan(struct kit *k) {
    struct statement s;
    statement_new(&s, k, QUERY_DELETE);
    s.q->where = call(&s.arena, "=", COL_BOOL, col(&s.arena, s.r, 0), param(&s.arena, 1));
    return plan_of(k, &s, 1);
}

static struct plan *insert_plan(struct kit *k) {
    struct statement s;
    statement_new(&s, k, QUERY_INSERT);
    s.q->froms = 0;
    s.q->source = arena_new(&s.arena, struct query);
    for (uint32_t i = 0; i < 3; i++) {
        set(&s, i, NULL);
        add_target(&s, s.q->source, param(&s.arena, i + 1));
    }
    return plan_of(k, &s, 3);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct outcome {
    enum rc rc;
    char rows[200];
    uint64_t affected;
    bool committed;
};

/* In a transaction of its own; last: nothing follows. */
static struct outcome run(struct kit *k, struct plan *p, bool last, int64_t a, int64_t b, int64_t c) {
    struct outcome o = {.rc = RC_OK};
    struct txn_options how = {.mode = TXN_READ_WRITE, .deadline = INT64_MAX};
    struct txn *t = NULL;
    struct exec *e = NULL;
    const struct value *row = NULL, params[3] = {value_int(a), value_int(b), value_int(c)};
    int64_t ts = 0;
    struct exec_env env = {.store = local_store(k->l), .fn = &k->fn, .last = last};
    CHECK(p && txn_begin(local_client(k->l), &how, &t, &k->err) == RC_OK);
    env.txn = t;
    o.rc = exec_open(p, &env, params, &e, &k->err);
    while (!o.rc && !(o.rc = exec_next(e, &row, &k->err)) && row) {
        size_t at = strlen(o.rows);
        snprintf(o.rows + at, sizeof o.rows - at, "%" PRId64 ";", row[0].kind == VALUE_INT ? row[0].i : -1);
    }
    if (!o.rc) {
        o.affected = exec_affected(e);
        o.committed = exec_committed(e, &ts);
    }
    exec_close(e);
    if (!o.rc && !o.committed)
        CHECK(txn_commit(t, &ts, &k->err) == RC_OK);
    txn_free(t);
    return o;
}

static void points(struct reactor *r, int64_t split, const char *name) {
    struct kit k;
    struct outcome o;
    kit_open(&k, r, name, split);
    struct plan *select = select_plan(&k), *update = update_plan(&k), *insert = insert_plan(&k),
                *gone = delete_plan(&k);
    OK(plan_read_only(select));
    OK(!plan_read_only(update));
    EQ_INT(plan_columns(select), 1);
    for (int i = 1; i <= 10; i++) {
        o = run(&k, insert, i % 2, i, 1, i * 100);
        OKF(o.rc == RC_OK, "%s", err_message(&k.err));
        EQ_INT(o.affected, 1);
        EQ_INT(o.committed, i % 2);
    }
    uint64_t scans = local_stats(k.l)->scans, fragments = local_stats(k.l)->fragments;
    EQ_INT(scans, 0);
    o = run(&k, select, false, 7, 0, 0);
    EQ_STR(o.rows, "700;");
    EQ_INT(local_stats(k.l)->scans, scans + 1);
    EQ_INT(local_stats(k.l)->fragments, fragments + 1);
    EQ_INT(local_stats(k.l)->on_one_tablet, 0); /* one key needs no question */
    o = run(&k, select, false, 77, 0, 0);
    EQ_STR(o.rows, "");
    o = run(&k, update, true, 5, 7, 0);
    EQ_INT(o.rc, RC_OK);
    EQ_INT(o.affected, 1);
    OK(o.committed);
    EQ_STR(run(&k, select, false, 7, 0, 0).rows, "705;");
    o = run(&k, update, true, 5, 99, 0);
    EQ_INT(o.affected, 0);
    /* A value that the column cannot have: no key, no request. */
    scans = local_stats(k.l)->scans;
    EQ_STR(run(&k, select, false, INT64_C(1) << 40, 0, 0).rows, "");
    EQ_INT(local_stats(k.l)->scans, scans);
    o = run(&k, insert, true, 7, 1, 1);
    EQ_INT(o.rc, RC_SQL);
    EQ_STR(err_sqlstate(&k.err), "23505");
    EQ_STR(k.err.message, "duplicate key value violates unique constraint \"accounts_pkey\"");
    EQ_STR(k.err.detail, "Key (aid)=(7) already exists.");
    EQ_STR(k.err.object[ERR_TABLE], "accounts");
    o = run(&k, update, true, INT32_MAX, 7, 0);
    EQ_STR(err_sqlstate(&k.err), "22003");
    o = run(&k, gone, true, 7, 0, 0);
    EQ_INT(o.affected, 1);
    EQ_STR(run(&k, select, false, 7, 0, 0).rows, "");
    plan_unref(select);
    plan_unref(update);
    plan_unref(insert);
    plan_unref(gone);
    kit_close(&k);
}

static void one_tablet(struct reactor *r) {
    points(r, 0, "one");
}

static void two_tablets(struct reactor *r) {
    points(r, 5, "two");
}

static void test_points_on_one_tablet(void) {
    on_fiber(DIAG_ERROR, one_tablet);
}

static void test_points_on_two_tablets(void) {
    on_fiber(DIAG_ERROR, two_tablets);
}

int main(void) {
    RUN(test_points_on_one_tablet);
    RUN(test_points_on_two_tablets);
    return tap_done();
}
