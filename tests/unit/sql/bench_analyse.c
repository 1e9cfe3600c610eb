/* SPDX-License-Identifier: Apache-2.0 */
/* What the analysis of a statement takes, beside its parsing. */
#include <string.h>

#include "sql/parse/parse.h"
#include "tests/lib/bench.h"
#include "tests/lib/sqltree.h"

enum { ROUNDS = 300, ROWS = 100 };

struct timing {
    double parse_us, analyse_us;
};

static struct timing once(struct sqltree *t, const char *text, int rounds) {
    static const uint32_t path[] = {MEMCAT_PUBLIC};
    struct arena a;
    struct timing sum = {0};
    arena_init(&a, 0);
    for (int i = 0; i < rounds; i++) {
        PgQuery__ParseResult *tree;
        struct analysed done;
        struct err err;
        arena_reset(&a);
        int64_t began = bench_cpu_ns();
        CHECKF(parse_text(NULL, &a, text, strlen(text), &tree, &err) == RC_OK, "%s", err_message(&err));
        int64_t parsed = bench_cpu_ns();
        struct analyse_in in = {.arena = &a,
                                .catalog = memcat_source(t->catalog),
                                .text = text,
                                .bytes = strlen(text),
                                .search_path = path,
                                .search_paths = 1,
                                .env = &t->env};
        CHECKF(analyse_statement(&in, tree->stmts[0]->stmt, &done, &err) == RC_OK, "%s", err_message(&err));
        sum.parse_us += (double)(parsed - began) / 1000;
        sum.analyse_us += (double)(bench_cpu_ns() - parsed) / 1000;
        analysed_done(&done);
    }
    arena_done(&a);
    return (struct timing){sum.parse_us / rounds, sum.analyse_us / rounds};
}

static void compare(struct sqltree *t, const char *name, const char *text, int rounds) {
    struct bench_figure parse, analyse;
    for (int i = 0; i < BENCH_RUNS; i++) {
        struct timing x = once(t, text, rounds);
        parse.run[i] = x.parse_us;
        analyse.run[i] = x.analyse_us;
    }
    bench_compare(name, &analyse, "us", "parsing", &parse, BENCH_SHOW, 0);
}

int main(void) {
    struct sqltree t;
    struct buf b;
    sqltree_init(&t);
    compare(&t, "analyse: point SELECT", "SELECT abalance FROM pgbench_accounts WHERE aid = $1", ROUNDS);
    compare(&t, "analyse: UPDATE by key", "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
            ROUNDS);
    compare(&t, "analyse: INSERT, one row",
            "INSERT INTO pgbench_history (tid, bid, aid, delta) VALUES ($1, $2, $3, $4)", ROUNDS);
    compare(
        &t, "analyse: 3-way join, grouped",
        "SELECT b.bid, count(*), sum(a.abalance) FROM pgbench_accounts a JOIN pgbench_branches b ON a.bid = b.bid "
        "LEFT JOIN pgbench_tellers t ON t.bid = b.bid WHERE a.abalance > 0 AND b.bbalance IN (1, 2, 3) GROUP BY b.bid "
        "HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 10",
        ROUNDS);
    buf_init(&b, 0);
    buf_puts(&b, "INSERT INTO u (a, x, y, z) VALUES ");
    for (int i = 0; i < ROWS; i++)
        buf_printf(&b, "%s(%d, %d, 'text %d', 1.5)", i ? ", " : "", i, i, i);
    compare(&t, "analyse: INSERT, 100 rows", buf_cstr(&b), 10);
    buf_reset(&b, 0);
    buf_puts(&b, "SELECT a FROM t WHERE a IN (0");
    for (int i = 1; i < ROWS; i++)
        buf_printf(&b, ", %d", i);
    buf_puts(&b, ")");
    compare(&t, "analyse: IN of 100", buf_cstr(&b), 10);
    buf_done(&b);
    sqltree_done(&t);
    return 0;
}
