/* SPDX-License-Identifier: Apache-2.0 */
/* pgx_test.c: programs: what the instructions do, what the loader refuses, and pgx in SQLite. */
#include "sql/functions/pgx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/analyse/analyse.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "truetime/base/map.h"

static struct arena arena;
static struct type_session types;
static struct fn_env env;

/* ---- expressions by hand ---------------------------------------------------------------------------------------- */

static struct expr *node(enum expr_kind kind, struct col type, uint32_t args, struct expr **arg) {
    struct expr *e = arena_new(&arena, struct expr);
    CHECK(e);
    e->kind = kind;
    e->type = type;
    e->args = args;
    e->arg = arena_copy(&arena, arg, args * sizeof *arg);
    CHECK(e->arg);
    return e;
}

#define NODE(kind, type, ...)                                                                                          \
    node((kind), (type), (uint32_t)(sizeof((struct expr *[]){__VA_ARGS__}) / sizeof(struct expr *)),                   \
         (struct expr *[]){__VA_ARGS__})

static struct expr *constant(struct col type, struct value v) {
    struct expr *e = node(EXPR_CONST, type, 0, (struct expr *[]){NULL});
    e->value = v;
    return e;
}

static struct expr *number(int64_t i) {
    return constant(col_of(COL_INT4), value_int(i));
}

static struct expr *null_of(struct col type) {
    return constant(type, value_null());
}

static struct expr *truth(int i) {
    return constant(col_of(COL_BOOL), i < 0 ? value_null() : value_int(i));
}

static struct expr *param(uint32_t n, struct col type) {
    struct expr *e = node(EXPR_PARAM, type, 0, (struct expr *[]){NULL});
    e->param = n;
    return e;
}

static const struct fn *function(uint32_t id) {
    const struct fn *f = fn_by_id(id);
    CHECKF(f, "no function %u", id);
    return f;
}

enum { INT4_PL = 177, INT4_DIV = 154, INT4_EQ = 65, INT4_LT = 66 };

static struct expr *with(struct expr *e, uint32_t id) {
    e->call.fn = function(id);
    return e;
}

#define CALL(id, type, ...) with(NODE(EXPR_CALL, col_of(type), __VA_ARGS__), (id))

/* As text: "NULL", "!22012", or the value printed. arg: the program's arguments. */
static const char *result_of(const struct expr *e, const struct value *arg) {
    struct expr_program p;
    struct pgx *x;
    struct err err = {0};
    struct value v;
    struct buf b;
    enum rc rc = expr_compile(&arena, e, &p, &err);
    CHECKF(!rc, "%s", err_message(&err));
    rc = pgx_load(p.bytes, p.n, &x, &err);
    CHECKF(!rc, "%s", err_message(&err));
    EQ_INT(pgx_args(x), p.cols);
    rc = pgx_run(x, &env, arg, &v, &err);
    pgx_free(x);
    if (rc)
        return arena_printf(&arena, "!%s", err_sqlstate(&err));
    if (v.kind == VALUE_NULL)
        return "NULL";
    OK(col_check(&e->type, &v, NULL) == RC_OK);
    buf_init(&b, 0);
    CHECK(type_print(&types, &e->type, &v, &b, &err) == RC_OK);
    const char *s = arena_printf(&arena, "%.*s", (int)b.len, (const char *)b.data);
    buf_done(&b);
    CHECK(s);
    return s;
}

static struct value int_array(size_t n, const int *p) {
    struct value v[16], ret;
    struct col elem = col_of(COL_INT4);
    CHECK(n <= ARRAY_LEN(v));
    for (size_t i = 0; i < n; i++)
        v[i] = p[i] < 0 ? value_null() : value_int(p[i]);
    CHECK(fn_array_of(&arena, &elem, v, n, &ret, NULL) == RC_OK);
    return ret;
}

/* Three-valued logic, all of it; x AND y stops at a false x, x OR y at a true one. */
static void test_logic(void) {
    static const char *const and[3][3] = {{"NULL", "f", "NULL"}, {"f", "f", "f"}, {"NULL", "f", "t"}};
    static const char *const or [3][3] = {{"NULL", "NULL", "t"}, {"NULL", "f", "t"}, {"t", "t", "t"}};
    static const char *const not [3] = {"NULL", "t", "f"};
    struct col b = col_of(COL_BOOL);
    struct expr *fails = CALL(INT4_EQ, COL_BOOL, CALL(INT4_DIV, COL_INT4, number(1), number(0)), number(1));
    for (int x = -1; x <= 1; x++) {
        for (int y = -1; y <= 1; y++) {
            EQ_STR(result_of(NODE(EXPR_AND, b, truth(x), truth(y)), NULL), and[x + 1][y + 1]);
            EQ_STR(result_of(NODE(EXPR_OR, b, truth(x), truth(y)), NULL), or [x + 1][y + 1]);
        }
        EQ_STR(result_of(NODE(EXPR_NOT, b, truth(x)), NULL), not [x + 1]);
    }
    EQ_STR(result_of(NODE(EXPR_AND, b, truth(0), fails), NULL), "f");
    EQ_STR(result_of(NODE(EXPR_OR, b, truth(1), fails), NULL), "t");
    EQ_STR(result_of(NODE(EXPR_AND, b, truth(1), truth(1), fails), NULL), "!22012");
}

static void test_is(void) {
    static const char *const is[3][3] = {{"f", "f", "t"}, {"f", "t", "f"}, {"t", "f", "f"}}; /* TRUE, FALSE, UNKNOWN */
    struct col b = col_of(COL_BOOL);
    for (int x = -1; x <= 1; x++) {
        for (int i = 0; i < 3; i++) {
            struct expr *e = NODE(EXPR_IS_BOOL, b, truth(x));
            e->op = "tfu"[i];
            EQ_STR(result_of(e, NULL), is[x + 1][i]);
            e->flag = true;
            EQ_STR(result_of(e, NULL), is[x + 1][i][0] == 't' ? "f" : "t");
        }
        struct expr *e = NODE(EXPR_IS_NULL, b, truth(x));
        EQ_STR(result_of(e, NULL), x < 0 ? "t" : "f");
        e->flag = true;
        EQ_STR(result_of(e, NULL), x < 0 ? "f" : "t");
    }
    static const int pairs[][3] = {{1, 1, 0}, {1, 2, 1}, {-1, 1, 1}, {1, -1, 1}, {-1, -1, 0}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct col t = col_of(COL_INT4);
        struct expr *x = pairs[i][0] < 0 ? null_of(t) : number(pairs[i][0]);
        struct expr *y = pairs[i][1] < 0 ? null_of(t) : number(pairs[i][1]);
        struct expr *e = with(NODE(EXPR_DISTINCT, b, x, y), INT4_EQ);
        EQ_STR(result_of(e, NULL), pairs[i][2] ? "t" : "f");
        e->flag = true;
        EQ_STR(result_of(e, NULL), pairs[i][2] ? "f" : "t");
    }
}

/* CASE and COALESCE do not touch what they do not need. */
static void test_choices(void) {
    struct col t = col_of(COL_INT4);
    struct expr *fails = CALL(INT4_DIV, COL_INT4, number(1), number(0));
    EQ_STR(result_of(NODE(EXPR_CASE, t, truth(0), fails, truth(-1), fails, truth(1), number(3), fails), NULL), "3");
    EQ_STR(result_of(NODE(EXPR_CASE, t, truth(0), fails, number(4)), NULL), "4");
    EQ_STR(result_of(NODE(EXPR_CASE, t, truth(0), fails), NULL), "NULL");
    EQ_STR(result_of(NODE(EXPR_CASE, t, truth(1), fails, number(1)), NULL), "!22012");
    EQ_STR(result_of(NODE(EXPR_COALESCE, t, null_of(t), number(2), fails), NULL), "2");
    EQ_STR(result_of(NODE(EXPR_COALESCE, t, null_of(t), null_of(t)), NULL), "NULL");
    EQ_STR(result_of(with(NODE(EXPR_NULLIF, t, number(1), number(1)), INT4_EQ), NULL), "NULL");
    EQ_STR(result_of(with(NODE(EXPR_NULLIF, t, number(1), number(2)), INT4_EQ), NULL), "1");
    EQ_STR(result_of(with(NODE(EXPR_NULLIF, t, number(1), null_of(t)), INT4_EQ), NULL), "1");
    struct expr *e = NODE(EXPR_MINMAX, t, null_of(t), number(5), number(9), number(7));
    e->op = '>';
    EQ_STR(result_of(e, NULL), "9");
    e->op = '<';
    EQ_STR(result_of(e, NULL), "5");
}

/* Short lists one by one, long ones as an array: the same answers. */
static void test_in(void) {
    struct col b = col_of(COL_BOOL), t = col_of(COL_INT4);
    for (int n = 1; n <= 9; n++)
        for (int null = 0; null <= 1; null++)
            for (int x = -1; x <= 9; x++) {
                struct expr *arg[12] = {x < 0 ? null_of(t) : number(x)};
                for (int i = 0; i < n; i++)
                    arg[i + 1] = number(i);
                if (null)
                    arg[n] = null_of(t);
                struct expr *e = with(node(EXPR_IN, b, (uint32_t)n + 1, arg), INT4_EQ);
                bool in = x >= 0 && x < n - null;
                const char *want = in ? "t" : x < 0 || null ? "NULL" : "f";
                EQ_STR(result_of(e, NULL), want);
                e->flag = true;
                EQ_STR(result_of(e, NULL), in ? "f" : want[0] == 'N' ? want : "t");
            }
}

static void test_any(void) {
    struct col b = col_of(COL_BOOL), a = col_array_of(col_of(COL_INT4));
    static const struct {
        int n, p[3];
        uint32_t op;
        bool all;
        const char *want;
    } cases[] = {
        {3, {1, 2, 3}, INT4_EQ, false, "t"},  {3, {1, 3, 4}, INT4_EQ, false, "f"}, {3, {1, -1, 2}, INT4_EQ, false, "t"},
        {2, {1, -1}, INT4_EQ, false, "NULL"}, {0, {0}, INT4_EQ, false, "f"},       {0, {0}, INT4_EQ, true, "t"},
        {3, {3, 4, 5}, INT4_LT, true, "t"},   {3, {3, 1, -1}, INT4_LT, true, "f"}, {2, {3, -1}, INT4_LT, true, "NULL"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct expr *e = NODE(EXPR_ANY_ARRAY, b, number(2), constant(a, int_array((size_t)cases[i].n, cases[i].p)));
        e->flag = cases[i].all;
        EQ_STR(result_of(with(e, cases[i].op), NULL), cases[i].want);
    }
    EQ_STR(result_of(with(NODE(EXPR_ANY_ARRAY, b, number(2), null_of(a)), INT4_EQ), NULL), "NULL");
}

static void test_arrays(void) {
    struct col t = col_of(COL_INT4), a = col_array_of(t);
    struct expr *x = NODE(EXPR_ARRAY, a, number(7), null_of(t), number(9));
    EQ_STR(result_of(x, NULL), "{7,NULL,9}");
    EQ_STR(result_of(NODE(EXPR_ARRAY, a, x, x), NULL), "{{7,NULL,9},{7,NULL,9}}");
    EQ_STR(result_of(NODE(EXPR_ARRAY, a, x, NODE(EXPR_ARRAY, a, number(1))), NULL), "!2202E");
    EQ_STR(result_of(node(EXPR_ARRAY, a, 0, (struct expr *[]){NULL}), NULL), "{}");
    EQ_STR(result_of(NODE(EXPR_SUBSCRIPT, t, x, number(3)), NULL), "9");
    EQ_STR(result_of(NODE(EXPR_SUBSCRIPT, t, x, number(2)), NULL), "NULL");
    EQ_STR(result_of(NODE(EXPR_SUBSCRIPT, t, x, number(4)), NULL), "NULL");
    EQ_STR(result_of(NODE(EXPR_SUBSCRIPT, t, x, number(1), number(1)), NULL), "NULL");
    EQ_STR(result_of(NODE(EXPR_SUBSCRIPT, t, NODE(EXPR_ARRAY, a, x, x), number(2), number(1)), NULL), "7");
}

/* numeric(10,2) is an integer in its column and at the program's end, text in between. */
static void test_numeric(void) {
    struct col n = col_numeric(10, 2), text = col_of(COL_TEXT), loose = col_of(COL_NUMERIC);
    struct value v = value_int(12345);
    EQ_STR(result_of(param(1, n), &v), "123.45");
    EQ_STR(result_of(NODE(EXPR_TYPE_IO, text, param(1, n)), &v), "123.45");
    EQ_STR(result_of(NODE(EXPR_RELABEL, loose, param(1, n)), &v), "123.45");
    EQ_STR(result_of(NODE(EXPR_TYPE_IO, n, constant(text, value_text("7.125", 5))), NULL), "7.13");
    EQ_STR(result_of(NODE(EXPR_TYPE_IO, n, constant(text, value_text("123456789", 9))), NULL), "!22003");
    EQ_STR(result_of(constant(n, v), NULL), "123.45");
    v = value_int(COL_NUMERIC_INT_NAN);
    EQ_STR(result_of(NODE(EXPR_TYPE_IO, text, param(1, n)), &v), "NaN");
    v = value_null();
    EQ_STR(result_of(NODE(EXPR_TYPE_IO, text, param(1, n)), &v), "NULL");
}

/* Each column and parameter is one argument, however often it is used. */
static void test_leaves(void) {
    struct col t = col_of(COL_INT4);
    struct expr_program p;
    struct value arg[2] = {value_int(5), value_int(7)};
    struct expr *e = CALL(INT4_PL, COL_INT4, CALL(INT4_PL, COL_INT4, param(2, t), param(1, t)), param(2, t));
    EQ_STR(result_of(e, arg), "17");
    CHECK(expr_compile(&arena, e, &p, NULL) == RC_OK);
    EQ_INT(p.cols, 2);
    OK(p.col[0]->param == 2 && p.col[1]->param == 1);
    EQ_INT(expr_volatility(e), FN_IMMUTABLE);
    EQ_INT(expr_volatility(NODE(EXPR_TYPE_IO, col_of(COL_DATE), constant(col_of(COL_TEXT), value_text("now", 3)))),
           FN_STABLE);
}

/* A long sum needs few registers; a deep one is refused by a limit, not by the stack. */
static void test_depth(void) {
    struct expr *left = number(1), *right = number(1);
    for (int i = 0; i < 900; i++) {
        left = CALL(INT4_PL, COL_INT4, left, number(1));
        right = CALL(INT4_PL, COL_INT4, number(1), right);
    }
    EQ_STR(result_of(left, NULL), "901");
    EQ_STR(result_of(right, NULL), "901");
    struct expr *deep = number(1);
    for (int i = 0; i < 2500; i++)
        deep = CALL(INT4_PL, COL_INT4, number(1), deep);
    struct expr_program p;
    struct err err = {0};
    OK(expr_compile(&arena, deep, &p, &err) == RC_SQL);
    EQ_STR(err_sqlstate(&err), "54001");
}

/* ---- bytes from anywhere ---------------------------------------------------------------------------------------- */

/* Every damaged program is refused or runs to an end, whatever it is given. */
static void test_damage(void) {
    struct col t = col_of(COL_INT4), a = col_array_of(t), n = col_numeric(10, 2);
    struct expr *x = NODE(EXPR_ARRAY, a, param(1, t), number(5));
    struct expr *e[] = {
        NODE(EXPR_CASE, t, NODE(EXPR_AND, col_of(COL_BOOL), truth(1), truth(1)), NODE(EXPR_SUBSCRIPT, t, x, number(1)),
             number(2)),
        with(NODE(EXPR_ANY_ARRAY, col_of(COL_BOOL), param(1, t), x), INT4_EQ),
        NODE(EXPR_TYPE_IO, n, NODE(EXPR_TYPE_IO, col_of(COL_TEXT), param(1, n))),
    };
    uint64_t seed = tap_env("SEED", 1);
    int loaded = 0;
    for (size_t k = 0; k < ARRAY_LEN(e); k++) {
        struct expr_program p;
        CHECK(expr_compile(&arena, e[k], &p, NULL) == RC_OK);
        uint8_t *bytes = malloc(p.n);
        CHECK(bytes);
        for (size_t n_cut = 0; n_cut < p.n; n_cut++) {
            struct pgx *q;
            memcpy(bytes, p.bytes, p.n);
            OK(pgx_load(bytes, n_cut, &q, NULL) != RC_OK);
        }
        for (int i = 0; i < 20000; i++) {
            struct pgx *q;
            memcpy(bytes, p.bytes, p.n);
            for (int m = 0; m < 1 + i % 3; m++) {
                seed = hash_u64(seed + 1);
                bytes[seed % p.n] = (uint8_t)(seed >> 32);
            }
            if (pgx_load(bytes, p.n, &q, NULL))
                continue;
            struct value args[4] = {value_int(12345), value_text("x", 1), value_null(), value_blob("\0\0\0", 3)}, v;
            struct arena tmp, *before = env.arena;
            arena_init(&tmp, 1 << 20);
            env.arena = &tmp;
            loaded++;
            if (pgx_args(q) <= ARRAY_LEN(args))
                IGNORE(pgx_run(q, &env, args, &v, NULL)); /* only that it ends */
            env.arena = before;
            arena_done(&tmp);
            pgx_free(q);
        }
        free(bytes);
    }
    OK(loaded > 100);
}

/* An arena that is full is RC_NOMEM, wherever it happens. */
static void test_memory(void) {
    struct col t = col_of(COL_INT4), a = col_array_of(t);
    struct expr *x = NODE(EXPR_ARRAY, a, param(1, t), number(5)), *e = NODE(EXPR_ARRAY, a, x, x);
    struct value v = value_int(1), out;
    struct expr_program p;
    bool done = false;
    for (size_t limit = 1; limit < 1 << 16 && !done; limit += 512) {
        struct arena tmp;
        arena_init(&tmp, limit);
        enum rc rc = expr_compile(&tmp, e, &p, NULL);
        OK(rc == RC_OK || rc == RC_NOMEM);
        done = rc == RC_OK;
        arena_done(&tmp);
    }
    OK(done);
    struct pgx *q;
    CHECK(expr_compile(&arena, e, &p, NULL) == RC_OK && pgx_load(p.bytes, p.n, &q, NULL) == RC_OK);
    struct arena none, *before = env.arena;
    arena_init(&none, 1);
    env.arena = &none;
    EQ_INT(pgx_run(q, &env, &v, &out, NULL), RC_NOMEM);
    env.arena = before;
    arena_done(&none);
    pgx_free(q);
}

/* ---- in SQLite ---------------------------------------------------------------------------------------------------- */

static void test_sqlite(void) {
    struct col t = col_of(COL_INT4);
    struct expr_program p;
    struct err err = {0};
    sqlite3 *db;
    sqlite3_stmt *s;
    CHECK(expr_compile(&arena, CALL(INT4_DIV, COL_INT4, number(12), param(1, t)), &p, NULL) == RC_OK);
    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
    struct pgx_ext *x = pgx_ext_new();
    CHECK(x && pgx_ext_open(db, x, &err) == RC_OK);
    CHECK(sqlite3_prepare_v2(db, "SELECT pgx(?1, column1) FROM (VALUES (1), (NULL), (5), (0))", -1, &s, NULL) ==
          SQLITE_OK);
    CHECK(sqlite3_bind_blob(s, 1, p.bytes, (int)p.n, SQLITE_STATIC) == SQLITE_OK);
    EQ_INT(sqlite3_step(s), SQLITE_ROW);
    EQ_INT(sqlite3_column_int(s, 0), 12);
    EQ_INT(sqlite3_step(s), SQLITE_ROW);
    EQ_INT(sqlite3_column_type(s, 0), SQLITE_NULL);
    EQ_INT(sqlite3_step(s), SQLITE_ROW);
    EQ_INT(sqlite3_column_int(s, 0), 2);
    EQ_INT(sqlite3_step(s), SQLITE_ERROR);
    OK(pgx_sqlite_error(db, &err));
    EQ_STR(err_sqlstate(&err), "22012");
    EQ_STR(err_message(&err), "division by zero");
    sqlite3_finalize(s);
    OK(sqlite3_prepare_v2(db, "SELECT pgx(x'00', 1)", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ERROR);
    OK(pgx_sqlite_error(db, &err) && err.rc == RC_CORRUPT);
    sqlite3_finalize(s);
    OK(sqlite3_exec(db, "SELECT nothing", NULL, NULL, NULL) == SQLITE_ERROR && !pgx_sqlite_error(db, &err));
    sqlite3_close(db);
    pgx_ext_free(x);
}

static void all(struct reactor *r) {
    (void)r;
    arena_init(&arena, 0);
    types = (struct type_session){.zone = zone_fixed(&arena, "UTC", 0)};
    env = (struct fn_env){.arena = &arena, .types = &types};
    RUN(test_logic);
    RUN(test_is);
    RUN(test_choices);
    RUN(test_in);
    RUN(test_any);
    RUN(test_arrays);
    RUN(test_numeric);
    RUN(test_leaves);
    RUN(test_depth);
    RUN(test_damage);
    RUN(test_memory);
    RUN(test_sqlite);
    arena_done(&arena);
}

int main(void) {
    on_fiber(DIAG_ERROR, all);
    return tap_done();
}
