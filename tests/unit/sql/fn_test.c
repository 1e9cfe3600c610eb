/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_test.c: functions, operators and casts against what PostgreSQL 15 answered (fn.expected, written by fn_expected.pl).
 *
 * A line is a function and its arguments, each "type:text" ("type!" is NULL); the function is found in the table by name and
 * exact types and run as a program.
 */
#include "sql/functions/fn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/functions/pgx.h"
#include "sql/types/zonecache.h"
#include "tests/lib/expected.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/unit/sql/fnkit.h"

static struct zone_cache *cache;
static struct arena arena;
static struct type_session types;
static struct fn_env env;

/* By a program with the arguments as ARG registers. */
static enum rc run(const struct fn *f, const struct fn_call *call, const struct value *arg, size_t n, struct value *ret,
                   struct err *err) {
    struct pgx_builder *b = pgx_builder_new(&arena);
    const void *bytes;
    size_t size;
    struct pgx *p;
    uint16_t first = pgx_reg(b, (uint16_t)(n + 1));
    for (size_t i = 0; i < n; i++)
        pgx_arg(b, (uint16_t)(first + i), (uint16_t)i);
    pgx_call(b, (uint16_t)(first + n), f, first, (uint16_t)n, call);
    pgx_return(b, (uint16_t)(first + n));
    CHECK(pgx_finish(b, &bytes, &size, err) == RC_OK);
    enum rc rc = pgx_load(bytes, size, &p, err);
    CHECKF(!rc, "%s", err_message(err));
    /* without memory for its result: a result that needs none, an error, but nothing worse */
    struct arena none;
    struct fn_env poor = env;
    struct value out;
    arena_init(&none, 1);
    poor.arena = &none;
    IGNORE(pgx_run(p, &poor, arg, &out, NULL));
    arena_done(&none);
    rc = pgx_run(p, &env, arg, ret, err);
    pgx_free(p);
    return rc;
}

/* All rows of a function that gives rows, as texts with a blank between; none: NULL. */
static enum rc rows(const struct fn *f, const struct fn_call *call, const struct value *arg, size_t n,
                    struct value *ret, struct err *err) {
    struct fn_rows *r;
    struct buf b;
    bool end = false, any = false;
    enum rc rc = fn_set_open(&env, f, call, arg, n, &r, err);
    if (rc)
        return rc;
    buf_init(&b, 0);
    while (!rc && !end) {
        struct value v;
        rc = fn_set_next(r, &env, &v, &end, err);
        if (rc || end)
            break;
        if (any)
            buf_putc(&b, ' ');
        any = true;
        if (v.kind != VALUE_NULL)
            rc = type_print(&types, &call->ret, &v, &b, err);
    }
    fn_set_close(r);
    *ret = any && !rc ? value_text(arena_copy(&arena, b.data, b.len), b.len) : value_null();
    buf_done(&b);
    return rc;
}

static enum rc cast(const struct col *from, const char *to, const struct value *v, struct col *ret_type,
                    struct value *ret, struct err *err) {
    *ret_type = fnkit_type(to, strlen(to));
    const struct fn_cast *c = fn_cast_find(from->type, ret_type->type);
    const struct fn *f = c && c->fn ? fn_by_id(c->fn) : NULL;
    if (c && c->fn && !f)
        return err_set(err, RC_UNSUPPORTED, "cast by function %u", c->fn);
    if (c && !f) {
        *ret = *v;
        return RC_OK;
    }
    struct fn_call call = {.arg = from, .ret = *ret_type};
    return run(f ? f : fn_by_id(FN_ID_TYPE_IO), &call, v, 1, ret, err);
}

static void one_line(struct expected *e) {
    struct col arg[EXPECTED_WORDS_MAX], ret = col_of(COL_NONE);
    struct value v[EXPECTED_WORDS_MAX], out = value_null();
    struct err err = {0};
    struct buf text;
    size_t n = 0;
    buf_init(&text, 0);
    enum rc rc = RC_OK;
    for (size_t i = 1; i < e->n_words && !rc; i++, n++) {
        size_t end = strcspn(e->word[i], ":!");
        arg[n] = fnkit_type(e->word[i], end);
        v[n] = value_null();
        const char *t = e->word[i] + end + 1;
        if (e->word[i][end] == ':')
            rc = type_parse(&types, &arg[n], t, strlen(t), &arena, &v[n], &err);
    }
    struct fn_call call = {.arg = arg};
    if (!rc && strncmp(e->word[0], "::", 2) == 0) {
        rc = cast(&arg[0], e->word[0] + 2, v, &ret, &out, &err);
    } else if (!rc) {
        const struct fn *f = fnkit_find(e->word[0], arg, n, &ret);
        call.ret = ret;
        if (!f) {
            rc = err_set(&err, RC_NOTFOUND, "no function %s", e->word[0]);
        } else if (f->kind == FN_SET) {
            rc = rows(f, &call, v, n, &out, &err);
            ret = col_of(COL_TEXT);
        } else {
            rc = run(f, &call, v, n, &out, &err);
        }
    }
    if (!rc && ret.type == COL_OID && strcmp(e->word[0], "pg_typeof") == 0) { /* a regtype: by name */
        char name[COL_NAME_BYTES];
        struct col c;
        CHECK(type_from_oid((uint32_t)out.i, -1, &c, NULL) == RC_OK);
        buf_puts(&text, col_name(&c, name));
        out = value_text(arena_copy(&arena, text.data, text.len), text.len);
        buf_reset(&text, 100);
        ret = col_of(COL_TEXT);
    }
    if (!rc && out.kind == VALUE_NULL)
        buf_puts(&text, "NULL");
    else if (!rc)
        rc = type_print(&types, &ret, &out, &text, &err);
    if (!rc) { /* as the file has them */
        struct buf plain;
        buf_init(&plain, 0);
        for (size_t i = 0; i < text.len; i++) {
            if (text.data[i] == '\n')
                buf_puts(&plain, "\\n");
            else if (text.data[i] == '\t')
                buf_puts(&plain, "\\t");
            else
                buf_putc(&plain, text.data[i]);
        }
        expected_check(e, rc, &err, plain.data, plain.len);
        buf_done(&plain);
    } else {
        expected_check(e, rc, &err, text.data, text.len);
    }
    buf_done(&text);
    arena_reset(&arena);
}

/* Every function of the table gives what PostgreSQL gives. */
static void test_expected(void) {
    struct expected e;
    expected_open(&e, EXPECTED_FILE);
    while (expected_next(&e))
        one_line(&e);
    expected_close(&e);
}

/* Ids are unique and ascend within each part of the table; every one of them is found; no name of the compiler's is an operator. */
static void test_table(void) {
    OK(fn_count() > 0 && fn_at(fn_count()) == NULL);
    for (size_t i = 0; i < fn_count(); i++) {
        const struct fn *f = fn_at(i);
        OKF(fn_by_id(f->id) == f, "%s has id %u, which another one has too", f->name, f->id);
        OKF(f->args <= FN_ARG_TYPES, "%s has %u arguments", f->name, f->args);
        OKF(f->kind != FN_SCALAR || (f->impl != NULL) != f->session, "%s: who computes it?", f->name);
        OKF((f->kind == FN_AGGREGATE) == (f->agg != NULL), "%s: an aggregate or not?", f->name);
        size_t at = 0;
        bool found = false;
        for (const struct fn *g; (g = fn_by_name(f->name, &at));)
            found |= g == f;
        OKF(found, "%s is not found by its name", f->name);
    }
    OK(!fn_by_id(0) && !fn_by_id(UINT32_MAX));
}

/* The functions of the casts are there, and take and give what the cast says. */
static void test_casts(void) {
    int n = 0;
    for (int from = 1; from < COL_TYPE_END; from++)
        for (int to = 1; to < COL_TYPE_END; to++) {
            const struct fn_cast *c = fn_cast_find((uint16_t)from, (uint16_t)to);
            if (!c || !c->fn)
                continue;
            const struct fn *f = fn_by_id(c->fn);
            n++;
            OKF(f && f->impl, "cast from %d to %d: no function %u", from, to, c->fn);
        }
    OK(n > 50);
}

/* What a row says of itself is what PostgreSQL's pg_proc says. Aggregates: strict means here that rows with NULLs do not count. */
static void compare_row(const struct expected *e, const struct fn *f) {
    static const char *const volatility[] = {"i", "s", "v"};
    const char *kind = f->kind == FN_AGGREGATE ? "a" : f->kind == FN_WINDOW ? "w" : "f";
    OKF(strcmp(f->name, e->word[1]) == 0, "%u is %s, not %s", f->id, e->word[1], f->name);
    OKF(f->args == atoi(e->word[2]), "%s (%u) takes %s arguments", f->name, f->id, e->word[2]);
    OKF(strcmp(e->word[3], kind) == 0, "%s (%u) is of kind %s", f->name, f->id, e->word[3]);
    if (f->kind != FN_AGGREGATE)
        OKF(f->strict == (e->word[4][0] == 't'), "%s (%u): strict is %s", f->name, f->id, e->word[4]);
    OKF(strcmp(e->word[5], volatility[f->volatility]) == 0, "%s (%u) is %s", f->name, f->id, e->word[5]);
    OKF(f->variadic == (e->word[6][0] == 't'), "%s (%u): variadic is %s", f->name, f->id, e->word[6]);
    OKF((f->kind == FN_SET) == (e->word[7][0] == 't'), "%s (%u): rows is %s", f->name, f->id, e->word[7]);
    size_t n = f->op ? strlen(f->op) : 0;
    bool op = n ? strncmp(e->result, f->op, n) == 0 && (!e->result[n] || e->result[n] == ' ') : !*e->result;
    OKF(op, "%s (%u) is operator \"%s\", not \"%s\"", f->name, f->id, e->result, f->op ? f->op : "");
}

static void test_rows(void) {
    enum { OWN_IDS = 12000 };
    struct expected e;
    size_t found = 0, wanted = 0;
    expected_open(&e, PROCS_FILE);
    while (expected_next(&e)) {
        const struct fn *f = fn_by_id((uint32_t)strtoul(e.word[0], NULL, 10));
        e.checked++;
        if (f) {
            found++;
            compare_row(&e, f);
        }
    }
    expected_close(&e);
    for (size_t i = 0; i < fn_count(); i++)
        wanted += fn_at(i)->id < OWN_IDS;
    EQ_INT(found, wanted); /* every one of our rows is a function of PostgreSQL's */
    EQ_INT(fn_at(0)->oid, fn_at(0)->id);
}

static void all(struct reactor *r) {
    CHECK(zone_cache_new(reactor_env(r), ZONE_DIR, &cache) == RC_OK);
    arena_init(&arena, 0);
    types = (struct type_session){.zone = zone_cache_utc(cache), .find_zone = zone_cache_find, .ctx = cache};
    env = (struct fn_env){.arena = &arena, .types = &types};
    RUN(test_table);
    RUN(test_rows);
    RUN(test_casts);
    RUN(test_expected);
    arena_done(&arena);
    zone_cache_free(cache);
}

int main(void) {
    on_fiber(DIAG_ERROR, all);
    return tap_done();
}
