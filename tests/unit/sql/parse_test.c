/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/parse/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/parse/guard.h"
#include "sql/parse/utf8.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "truetime/base/buf.h"

static uint32_t depth_of(const char *text) {
    struct arena a;
    uint32_t depth = 0;
    struct err err;
    arena_init(&a, 0);
    EQ_INT(guard_check(&a, text, strlen(text), &depth, &err), RC_OK);
    arena_done(&a);
    return depth;
}

/* Lists do not nest; chains, parentheses, CASE, joins and set operations do. */
static void depth(void) {
    EQ_INT(depth_of("SELECT 1"), 0);
    EQ_INT(depth_of("SELECT 1+1, 1+1, 1+1"), 1);
    EQ_INT(depth_of("SELECT 1+1+1"), 2);
    EQ_INT(depth_of("SELECT a = 1 AND b = 2 OR c = 3"), 1);
    EQ_INT(depth_of("SELECT ((1))"), 2);
    EQ_INT(depth_of("SELECT (SELECT (SELECT 1))"), 8);
    EQ_INT(depth_of("SELECT CASE WHEN a THEN CASE WHEN b THEN 1 END END, CASE WHEN c THEN 1 END"), 2);
    EQ_INT(depth_of("SELECT 1, 2 UNION SELECT 1, 2 UNION SELECT 3, 4"), 2);
    EQ_INT(depth_of("SELECT * FROM a JOIN b ON a.x = b.x AND a.y = b.y JOIN c ON true"), 3);
    EQ_INT(depth_of("SELECT 1+1; SELECT 1+1"), 1);
    EQ_INT(depth_of("SELECT a::text::int"), 2);
    EQ_INT(depth_of("SELECT x IS NULL IS NULL"), 2);
    EQ_INT(depth_of("END"), 0);
}

/* What is quoted or a comment counts nothing, however it looks. */
static void quoted(void) {
    EQ_INT(depth_of("SELECT '((((+', E'\\'((((', $a$((((+$a$, $$(($$, \"((\" -- ((((\n"), 0);
    EQ_INT(depth_of("SELECT /* (( /* (( */ (( */ 1"), 0);
    EQ_INT(depth_of("SELECT $1"), 0);
    EQ_INT(depth_of("SELECT 'it''s (', b'01'"), 0);
    EQ_INT(depth_of("SELECT 'open ((((("), 0);
    EQ_INT(depth_of("/* open ((("), 0);
    EQ_INT(depth_of("SELECT $x$ (( "), 0);
}

static void utf8(void) {
    size_t bad;
    OK(utf8_valid("", 0, &bad));
    OK(utf8_valid("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 10, &bad));
    static const char *const wrong[] = {"\x80",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe0\x9f\xbf",
                                        "\xed\xa0\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xe2\x82",
                                        "\xc3(",
                                        "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "ok%s", wrong[i]);
        bad = 0;
        OKF(!utf8_valid(text, (size_t)n, &bad), "sequence %zu", i);
        EQ_INT(bad, 2);
    }
    OK(!utf8_valid("a\0b", 3, &bad));
    EQ_INT(bad, 1);
}

struct call {
    struct reactor *r;
    const char *text;
    size_t bytes;
    size_t statements;
    enum rc rc;
    struct err err;
};

static void call_main(void *arg) {
    struct call *c = arg;
    struct arena a;
    PgQuery__ParseResult *tree;
    arena_init(&a, 512 << 20);
    c->rc = parse_text(c->r, &a, c->text, c->bytes, &tree, &c->err);
    c->statements = c->rc ? 0 : tree->n_stmts;
    arena_done(&a);
}

static struct call parse_it(struct reactor *r, const char *text, size_t bytes) {
    struct call c = {.r = r, .text = text, .bytes = bytes};
    EQ_INT(work_run(r, call_main, &c), RC_OK);
    return c;
}

static struct call parse_str(struct reactor *r, const char *text) {
    return parse_it(r, text, strlen(text));
}

static void statements_body(struct reactor *r) {
    EQ_INT(parse_str(r, "").statements, 0);
    EQ_INT(parse_str(r, " -- nothing").statements, 0);
    EQ_INT(parse_str(r, "SELECT 1; ; UPDATE t SET a = $1").statements, 2);
    struct call c = parse_str(r, "SELECT '\xc3\xa4' FROM WHERE");
    EQ_INT(c.rc, RC_SQL);
    EQ_STR(err_sqlstate(&c.err), "42601");
    EQ_STR(c.err.message, "syntax error at or near \"WHERE\"");
    EQ_INT(c.err.position, 17); /* characters, not bytes */
    c = parse_it(r, "SELECT 'a\xff'", 11);
    EQ_STR(err_sqlstate(&c.err), "22021");
    EQ_INT(c.err.position, 10);
    c = parse_it(r, "SELECT 'a\0b'", 12);
    EQ_STR(err_sqlstate(&c.err), "22021");
}

static void statements(void) {
    on_fiber(DIAG_WARN, statements_body);
}

/* head part part part ... tail */
static char *chain(const char *head, const char *part, size_t times, const char *tail) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, head);
    for (size_t i = 0; i < times; i++)
        buf_puts(&b, part);
    for (const char *t = tail; *t; t++) {
        if (*t != '*') {
            buf_putc(&b, (uint8_t)*t);
            continue;
        }
        t++;
        for (size_t i = 0; i < times; i++) /* "*)": so many of them */
            buf_putc(&b, (uint8_t)*t);
    }
    CHECK(buf_cstr(&b));
    return (char *)b.data;
}

static const struct {
    const char *name, *head, *part, *tail;
} forms[] = {
    {"sums", "SELECT 1", "+1", ""},
    {"casts", "SELECT 1", "::int", ""},
    {"concatenations", "SELECT 'a'", "||'b'", ""},
    {"subqueries", "SELECT ", "(SELECT ", "1*)"},
    {"unions", "SELECT 1", " UNION SELECT 1", ""},
    {"unions of lists", "SELECT 1, 2", " UNION ALL SELECT 1, 2", ""},
    {"joins", "SELECT * FROM t", " JOIN t ON a = b AND c = d", ""},
    {"signs", "SELECT ", "- ", "1"},
    {"signs together", "SELECT ", "+", "1"},
    {"not", "SELECT ", "NOT ", "true"},
    {"parentheses", "SELECT ", "(", "1*)"},
    {"cases", "SELECT ", "CASE WHEN true THEN ", "1"},
    {"is null", "SELECT 1", " IS NULL", ""},
    {"collations", "SELECT 'a'", " COLLATE \"C\"", ""},
    {"zones", "SELECT now()", " AT TIME ZONE 'UTC'", ""},
    {"functions", "SELECT ", "f(", "1*)"},
    {"arrays", "SELECT ", "ARRAY[", "1*]"},
    {"subscripts", "SELECT a", "[1]", ""},
    {"and", "SELECT true", " AND true", ""},
    {"and with or", "SELECT true", " AND a = 1 OR b = 2", ""},
    {"from", "SELECT * FROM ", "(SELECT * FROM ", "t*)"},
    {"operators", "SELECT 1", " OPERATOR(pg_catalog.+) 1", ""},
    {"comparisons", "SELECT 1", " < 1", ""},
    {"like", "SELECT 'a'", " LIKE 'a'", ""},
    {"comments", "SELECT 1", "/*", ""},
    {"closed comments", "SELECT 1", "/**/", ""},
    {"comments apart", "SELECT 1", "/**/ ", ""},
    {"stars", "SELECT 1 /*", "*", "*/"},
    {"ctes", "", "WITH x AS (", "SELECT 1*)"},
    {"rows", "SELECT ", "ROW(", "1*)"},
    {"any", "SELECT ", "1 = ANY (", "NULL*)"},
    {"exists", "SELECT ", "EXISTS (SELECT ", "1*)"},
    {"in", "SELECT ", "1 IN (", "1*)"},
    {"over", "SELECT f() ", "OVER (ORDER BY f() ", "*)"},
    {"dots", "SELECT a", ".a", ""},
};

/* Every way to nest, at every size: an answer or an error, never a crash. */
static void deep_body(struct reactor *r) {
    static const size_t sizes[] = {3, 30, 99, 300, 999, 1500, 5000, 20000};
    size_t parsed = 0, refused = 0;
    for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            char *text = chain(forms[f].head, forms[f].part, sizes[k], forms[f].tail);
            struct call c = parse_str(r, text);
            parsed += c.rc == RC_OK;
            refused += c.rc == RC_SQL;
            OKF(c.rc == RC_OK || c.rc == RC_SQL, "%s x %zu: %s", forms[f].name, sizes[k], c.err.message);
            if (k == ARRAY_LEN(sizes) - 1 && c.rc == RC_SQL)
                OKF(strncmp(err_sqlstate(&c.err), "5400", 4) == 0 || strcmp(err_sqlstate(&c.err), "42601") == 0,
                    "%s: %s %s", forms[f].name, err_sqlstate(&c.err), c.err.message);
            free(text);
        }
    }
    tap_note("%zu parsed, %zu refused", parsed, refused);
    OK(parsed > 80);
    OK(refused > 60);
    /* What is legal and long stays legal. */
    char *text = chain("SELECT 1 IN (1", ",1", 100000, ")");
    EQ_INT(parse_str(r, text).rc, RC_OK);
    free(text);
    text = chain("SELECT true", " OR a = 1", 20000, "");
    EQ_INT(parse_str(r, text).rc, RC_OK);
    free(text);
}

static void deep(void) {
    on_fiber(DIAG_WARN, deep_body);
}

int main(void) {
    RUN(depth);
    RUN(quoted);
    RUN(utf8);
    RUN(statements);
    RUN(deep);
    return tap_done();
}
