/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any statement that a small grammar can say, over the schema of tests/lib/sqltree.c: the analyser refuses it with a SQLSTATE, or
 * makes a tree that keeps what tree.h promises, prints, and compiles.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sql/analyse/internal.h"
#include "sql/analyse/print.h"
#include "tests/lib/sqltree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH_MAX = 6, TEXT_BYTES_MAX = 3000 };

struct gen {
    const uint8_t *at, *end;
    struct buf out;
    int depth;
};

static unsigned pick(struct gen *g, unsigned n) {
    return g->at < g->end ? *g->at++ % n : 0;
}

static void say(struct gen *g, const char *s) {
    buf_puts(&g->out, s);
    buf_putc(&g->out, ' ');
}

#define ONE_OF(g, list) say((g), (list)[pick((g), ARRAY_LEN(list))])

static const char *const columns[] = {"a",    "b", "c",   "d",       "e",    "x",   "y",   "z",         "t.a", "u.a",
                                      "s.a",  "n", "t",   "id",      "q.n",  "ch",  "dt",  "ts",        "iv",  "k1",
                                      "code", "w", "oid", "relname", "nope", "u.x", "s.x", "excluded.b"};
static const char *const literals[] = {
    "1",  "'x'",        "NULL",         "true",    "1.5",  "'5'",           "$1",   "$2", "-3",
    "''", "9999999999", "'2020-01-01'", "'{1,2}'", "1e10", "'t'::regclass", "now()"};
static const char *const ops[] = {"+",  "-",  "*",  "/",           "%",  "=",  "<>",   "<",
                                  ">=", "||", "~",  "AND",         "OR", "@>", "LIKE", "IS DISTINCT FROM",
                                  "^",  "&",  "<<", "AT TIME ZONE"};
static const char *const types[] = {"int",         "text",   "int8",   "numeric(5,2)", "varchar(3)", "bool",   "date",
                                    "timestamptz", "float8", "int[]",  "char(2)",      "regclass",   "name",   "oid",
                                    "interval",    "uuid",   "text[]", "int2",         "float4",     "numeric"};
static const char *const tables[] = {
    "t", "u", "p", "arr", "nokey", "q", "ser", "ident", "pg_class", "pg_catalog.pg_type", "s", "nope"};

static void select_stmt(struct gen *g);
static void expr(struct gen *g);

static void exprs(struct gen *g, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (i)
            say(g, ",");
        expr(g);
    }
}

static void subquery(struct gen *g) {
    say(g, "(");
    select_stmt(g);
    say(g, ")");
}

static void call(struct gen *g) {
    const struct fn *f = fn_at((pick(g, 256) * 256U + pick(g, 256)) % fn_count());
    unsigned n = pick(g, 4) ? f->args : pick(g, 3);
    say(g, *f->name == '$' ? "abs" : f->name);
    say(g, "(");
    if (pick(g, 8) == 1)
        say(g, "DISTINCT");
    if (f->kind == FN_AGGREGATE && n == 0)
        say(g, "*");
    else
        exprs(g, n < 4 ? n : 4);
    if (pick(g, 12) == 1) {
        say(g, "ORDER BY");
        expr(g);
    }
    say(g, ")");
    if (pick(g, 8) == 1) {
        say(g, "FILTER (WHERE");
        expr(g);
        say(g, ")");
    }
    if (f->kind == FN_WINDOW || pick(g, 8) == 1) {
        say(g, "OVER (");
        if (pick(g, 2)) {
            say(g, "PARTITION BY");
            expr(g);
        }
        if (pick(g, 2)) {
            say(g, "ORDER BY");
            expr(g);
        }
        if (pick(g, 4) == 1)
            say(g, "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW");
        say(g, ")");
    }
}

static void expr(struct gen *g) {
    if (++g->depth > DEPTH_MAX || g->out.len > TEXT_BYTES_MAX) {
        ONE_OF(g, columns);
        g->depth--;
        return;
    }
    switch (pick(g, 24)) {
    case 0:
    case 1:
    case 2:
        ONE_OF(g, columns);
        break;
    case 3:
    case 4:
        ONE_OF(g, literals);
        break;
    case 5:
    case 6:
        say(g, "(");
        expr(g);
        ONE_OF(g, ops);
        expr(g);
        say(g, ")");
        break;
    case 7:
        say(g, "(");
        expr(g);
        say(g, ")::");
        ONE_OF(g, types);
        break;
    case 8:
    case 9:
        call(g);
        break;
    case 10:
        say(g, "CASE");
        if (pick(g, 2))
            expr(g);
        say(g, "WHEN");
        expr(g);
        say(g, "THEN");
        expr(g);
        if (pick(g, 2)) {
            say(g, "ELSE");
            expr(g);
        }
        say(g, "END");
        break;
    case 11: {
        static const char *const many[] = {"COALESCE (", "GREATEST (", "ARRAY [", "ROW ("};
        unsigned which = pick(g, ARRAY_LEN(many));
        say(g, many[which]);
        exprs(g, 1 + pick(g, 3));
        say(g, which == 2 ? "]" : ")");
        break;
    }
    case 12:
        expr(g);
        say(g, pick(g, 2) ? "IN (" : "NOT IN (");
        exprs(g, 1 + pick(g, 3));
        say(g, ")");
        break;
    case 13:
        expr(g);
        say(g, pick(g, 2) ? "BETWEEN" : "NOT BETWEEN SYMMETRIC");
        expr(g);
        say(g, "AND");
        expr(g);
        break;
    case 14:
        expr(g);
        say(g, pick(g, 2) ? "IS NULL" : "IS NOT TRUE");
        break;
    case 15:
        say(g, "EXISTS");
        subquery(g);
        break;
    case 16:
        say(g, pick(g, 2) ? "ARRAY" : "");
        subquery(g);
        break;
    case 17:
        expr(g);
        say(g, pick(g, 2) ? "IN" : "= ALL");
        subquery(g);
        break;
    case 18:
        expr(g);
        ONE_OF(g, ops);
        say(g, "ANY (");
        expr(g);
        say(g, ")");
        break;
    case 19:
        say(g, "(");
        exprs(g, 2);
        say(g, pick(g, 2) ? ") = (" : ") < (");
        exprs(g, 2);
        say(g, ")");
        break;
    case 20:
        say(g, "(");
        exprs(g, 2);
        say(g, ") IN");
        subquery(g);
        break;
    case 21:
        say(g, pick(g, 2) ? "NOT" : "-");
        expr(g);
        break;
    case 22:
        say(g, "NULLIF (");
        exprs(g, 2);
        say(g, ")");
        break;
    default:
        say(g, "(");
        expr(g);
        say(g, ") [");
        expr(g);
        say(g, "]");
    }
    g->depth--;
}

static void from_item(struct gen *g) {
    if (++g->depth > DEPTH_MAX) {
        say(g, "t");
        g->depth--;
        return;
    }
    static const char *const joins[] = {"JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN"};
    switch (pick(g, 8)) {
    case 0:
        say(g, pick(g, 2) ? "LATERAL" : "");
        subquery(g);
        say(g, "s");
        break;
    case 1:
        say(g, "(");
        from_item(g);
        ONE_OF(g, joins);
        from_item(g);
        if (pick(g, 2)) {
            say(g, "USING (a)");
        } else {
            say(g, "ON");
            expr(g);
        }
        say(g, ")");
        break;
    case 2:
        call(g);
        say(g, pick(g, 2) ? "WITH ORDINALITY AS s(x, a)" : "s");
        break;
    case 3:
        say(g, "(VALUES (");
        exprs(g, 2);
        say(g, "), (");
        exprs(g, 2);
        say(g, ")) AS s(a, x)");
        break;
    case 4:
        say(g, "t NATURAL LEFT JOIN u");
        break;
    default:
        ONE_OF(g, tables);
    }
    g->depth--;
}

static void order(struct gen *g) {
    if (pick(g, 3) == 1) {
        say(g, "ORDER BY");
        if (pick(g, 2))
            say(g, "1");
        else
            expr(g);
        say(g, pick(g, 2) ? "DESC" : "NULLS FIRST");
    }
    if (pick(g, 6) == 1) {
        say(g, "LIMIT");
        expr(g);
    }
}

static void select_stmt(struct gen *g) {
    if (++g->depth > DEPTH_MAX) {
        say(g, "SELECT 1");
        g->depth--;
        return;
    }
    if (pick(g, 10) == 1) {
        say(g, pick(g, 2) ? "WITH s (a) AS (" : "WITH RECURSIVE s (a, x) AS (");
        select_stmt(g);
        say(g, ")");
    }
    static const char *const heads[] = {"SELECT", "SELECT", "SELECT DISTINCT", "SELECT DISTINCT ON (b)"};
    ONE_OF(g, heads);
    if (pick(g, 6) == 0)
        say(g, pick(g, 2) ? "*" : "t.*");
    else
        exprs(g, 1 + pick(g, 3));
    if (pick(g, 5)) {
        say(g, "FROM");
        from_item(g);
        if (pick(g, 3) == 1) {
            say(g, ",");
            from_item(g);
        }
    }
    if (pick(g, 2)) {
        say(g, "WHERE");
        expr(g);
    }
    if (pick(g, 4) == 1) {
        static const char *const groups[] = {"GROUP BY", "GROUP BY ROLLUP (a),", "GROUP BY GROUPING SETS ((a), ()),"};
        ONE_OF(g, groups);
        expr(g);
    }
    if (pick(g, 8) == 1) {
        say(g, "HAVING");
        expr(g);
    }
    static const char *const sets[] = {"UNION", "UNION ALL", "EXCEPT", "INTERSECT"};
    if (pick(g, 6) == 1) {
        ONE_OF(g, sets);
        select_stmt(g);
    } else {
        order(g);
        if (pick(g, 12) == 1)
            say(g, "FOR UPDATE");
    }
    g->depth--;
}

static void returning(struct gen *g) {
    if (pick(g, 3) == 1) {
        say(g, "RETURNING");
        exprs(g, 1 + pick(g, 2));
    }
}

static void set_list(struct gen *g) {
    if (pick(g, 4) == 1) {
        say(g, "(b, c) =");
        subquery(g);
    } else {
        say(g, pick(g, 2) ? "b =" : "v =");
        if (pick(g, 6) == 1)
            say(g, "DEFAULT");
        else
            expr(g);
    }
}

static void statement(struct gen *g) {
    switch (pick(g, 8)) {
    case 0:
        say(g, "INSERT INTO");
        ONE_OF(g, tables);
        say(g, pick(g, 2) ? "(a, b)" : "");
        if (pick(g, 2)) {
            say(g, "VALUES (");
            exprs(g, 1 + pick(g, 3));
            say(g, pick(g, 2) ? "), (1, DEFAULT)" : ")");
        } else {
            select_stmt(g);
        }
        if (pick(g, 3) == 1) {
            say(g, pick(g, 2) ? "ON CONFLICT DO NOTHING" : "ON CONFLICT (a) DO UPDATE SET");
            if (g->out.len > 4 && memcmp(g->out.data + g->out.len - 4, "SET ", 4) == 0)
                set_list(g);
        }
        returning(g);
        return;
    case 1:
        say(g, "UPDATE");
        ONE_OF(g, tables);
        say(g, "SET");
        set_list(g);
        if (pick(g, 3) == 1) {
            say(g, "FROM");
            from_item(g);
        }
        say(g, "WHERE");
        expr(g);
        returning(g);
        return;
    case 2:
        say(g, "DELETE FROM");
        ONE_OF(g, tables);
        say(g, "WHERE");
        expr(g);
        returning(g);
        return;
    default:
        select_stmt(g);
    }
}

static bool compiles(void *ctx, struct expr *e, uint32_t levels) {
    struct expr_program p;
    struct err err = {0};
    (void)levels;
    if (e->type.type == FN_RECORD)
        return true;
    enum rc rc = expr_compile(ctx, e, &p, &err);
    CHECKF(rc == RC_OK || rc == RC_UNSUPPORTED || rc == RC_LIMIT, "kind %d: %s", (int)e->kind, err_message(&err));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct sqltree t;
    if (!t.catalog)
        sqltree_init(&t); /* one for all runs: nothing in it changes */
    struct gen g = {.at = data, .end = data + size};
    buf_init(&g.out, 0);
    statement(&g);
    const char *text = buf_cstr(&g.out);
    struct analysed a;
    struct err err;
    CHECK(text);
    enum rc rc = sqltree_analyse(&t, text, &a, &err);
    if (rc) {
        CHECKF(rc == RC_SQL || rc == RC_UNSUPPORTED, "%s: %s", rc_name(rc), err_message(&err));
        CHECK(strlen(err_sqlstate(&err)) == 5 && *err_message(&err) && err.position >= 0);
    } else {
        struct buf b;
        sqltree_check(&a);
        buf_init(&b, 0);
        tree_print(a.query, &b);
        CHECK(buf_rc(&b) == RC_OK);
        buf_done(&b);
        (void)query_walk(a.query, 0, compiles, &t.arena);
    }
    buf_done(&g.out);
    return 0;
}
