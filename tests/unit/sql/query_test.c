/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_test.c: the scripts of tests/sql/queries, from text to rows, compared with what PostgreSQL 15 answered; each on one tablet
 * and on tables that are cut (split), where the answers must be the same.
 *
 * QUERY_SCRIPT=name runs one script, QUERY_SHOW=1 prints each statement as it goes.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/exec/exec.h"
#include "sql/functions/pgx.h"
#include "sql/parse/parse.h"
#include "tests/lib/memcat.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/lib/txn_local.h"

enum { LINES_MAX = 5000 };

struct virtual_row {
    struct virtual_row *next;
    char table[64];
    char *value[16];
    size_t n;
};

struct world {
    struct reactor *r;
    struct virtual_row *rows, **last_row;
    struct memcat *cat;
    struct local *l;
    struct pgx_ext *ext;
    struct arena arena;
    struct type_session types;
    struct fn_env fn;
    bool cut;
    size_t memory_max;
    struct buf *lines; /* of EXPLAIN; NULL: they are shown */
    unsigned statements, wrong;
};

/* What a statement gives, line by line. */
struct answer {
    char *line[LINES_MAX];
    size_t n;
};

static void answer_add(struct answer *a, const char *text, size_t bytes) {
    CHECK(a->n < LINES_MAX);
    a->line[a->n] = strndup(text, bytes);
    CHECK(a->line[a->n]);
    a->n++;
}

static void answer_done(struct answer *a) {
    for (size_t i = 0; i < a->n; i++)
        free(a->line[i]);
    a->n = 0;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- a statement -------------------------------------------------------------------------------------------------------- */

static enum rc print_row(struct world *w, const struct plan *p, const struct value *row, struct answer *to,
                         struct err *err) {
    struct buf b;
    enum rc rc = RC_OK;
    buf_init(&b, 0);
    for (size_t i = 0; i < plan_columns(p) && !rc; i++) {
        const struct col *c = &plan_column(p)[i].type;
        if (i > 0)
            buf_putc(&b, '|');
        if (row[i].kind == VALUE_NULL)
            buf_puts(&b, "NULL");
        else if (col_check(c, &row[i], err))
            rc = RC_INVAL;
        else
            rc = type_print(&w->types, c, &row[i], &b, err);
    }
    if (!rc)
        answer_add(to, b.data ? (const char *)b.data : "", b.len);
    buf_done(&b);
    return rc;
}

static enum rc plan_text(struct world *w, const char *text, struct plan **ret, struct err *err) {
    static const uint32_t path[] = {MEMCAT_PUBLIC};
    PgQuery__ParseResult *tree = NULL;
    struct arena parse, *a = calloc(1, sizeof *a);
    struct analysed analysed = {0};
    CHECK(a);
    arena_init(&parse, 0);
    arena_init(a, 0);
    enum rc rc = parse_text(w->r, &parse, text, strlen(text), &tree, err);
    struct analyse_in in = {.arena = a,
                            .catalog = memcat_source(w->cat),
                            .text = text,
                            .bytes = strlen(text),
                            .search_path = path,
                            .search_paths = 1,
                            .env = &w->fn,
                            .reactor = w->r};
    if (!rc)
        rc = analyse_statement(&in, tree->stmts[0]->stmt, &analysed, err);
    if (!rc)
        rc = plan_make(a, &analysed, ret, err);
    arena_done(a);
    free(a);
    arena_done(&parse);
    return rc;
}

static enum rc virtual_rows(void *ctx, const struct cat_table *t,
                            enum rc (*on_row)(void *to, const struct value *v, struct err *err), void *to,
                            struct err *err) {
    struct world *w = ctx;
    struct value v[16];
    enum rc rc = RC_OK;
    for (struct virtual_row *row = w->rows; row && !rc; row = row->next) {
        if (strcmp(row->table, t->name) != 0)
            continue;
        CHECK(row->n == t->columns);
        for (size_t i = 0; i < row->n && !rc; i++) {
            v[i] = value_null();
            if (strcmp(row->value[i], "NULL") != 0)
                rc = type_parse(&w->types, &t->column[i].type, row->value[i], strlen(row->value[i]), &w->arena, &v[i],
                                err);
        }
        if (!rc)
            rc = on_row(to, v, err);
    }
    return rc;
}

static enum rc run_plan(struct world *w, const struct plan *p, struct answer *to, uint64_t *ret_n, struct err *err) {
    struct txn_options how = {.mode = TXN_READ_WRITE, .deadline = INT64_MAX};
    struct exec_env env = {.store = local_store(w->l),
                           .fn = &w->fn,
                           .virtuals = {virtual_rows, w},
                           .memory_max = w->memory_max,
                           .chunk_rows = w->cut ? 3 : 0};
    struct exec *e = NULL;
    struct txn *t = NULL;
    const struct value *row = NULL;
    CHECK(txn_begin(local_client(w->l), &how, &t, err) == RC_OK);
    env.txn = t;
    enum rc rc = exec_open(p, &env, NULL, &e, err);
    while (!rc && !(rc = exec_next(e, &row, err)) && row)
        rc = print_row(w, p, row, to, err);
    if (!rc) {
        *ret_n = exec_affected(e);
        if (plan_kind(p) == QUERY_SELECT)
            *ret_n = to->n;
    }
    exec_close(e);
    if (!rc)
        CHECK(txn_commit(t, NULL, err) == RC_OK);
    txn_free(t);
    return rc;
}

static enum rc on_line(void *ctx, const char *line, struct err *err) {
    const struct world *w = ctx;
    (void)err;
    if (w->lines)
        buf_printf(w->lines, "%s\n", line);
    else
        tap_diag("    %s", line);
    return RC_OK;
}

static void explain_text(struct world *w, const char *text) {
    struct err err = {0};
    struct plan *p = NULL;
    struct txn *t = NULL;
    struct txn_options how = {.mode = TXN_READ_WRITE, .deadline = INT64_MAX};
    struct exec_env env = {.store = local_store(w->l), .fn = &w->fn};
    CHECK(txn_begin(local_client(w->l), &how, &t, &err) == RC_OK);
    env.txn = t;
    enum rc rc = plan_text(w, text, &p, &err);
    if (!rc)
        rc = exec_explain(p, NULL, &env, NULL, false, false, on_line, w, &err);
    if (rc)
        tap_diag("    %s", err_message(&err));
    plan_unref(p);
    txn_free(t);
}

static void run_text(struct world *w, const char *text, struct answer *to) {
    struct err err = {0};
    struct plan *p = NULL;
    uint64_t n = 0;
    char end[800];
    if (tap_env("QUERY_EXPLAIN", 0))
        explain_text(w, text);
    enum rc rc = plan_text(w, text, &p, &err);
    if (!rc)
        rc = run_plan(w, p, to, &n, &err);
    plan_unref(p);
    if (!rc && !strcasestr(text, "order by"))
        qsort(to->line, to->n, sizeof *to->line, by_text);
    if (rc)
        answer_done(to);
    if (rc)
        snprintf(end, sizeof end, "! %s %s%s%s", err_sqlstate(&err), err_message(&err),
                 err.rc == RC_INTERNAL ? " -- " : "", err.rc == RC_INTERNAL ? err.detail : "");
    else
        snprintf(end, sizeof end, "= %lu", (unsigned long)n);
    answer_add(to, end, strlen(end));
}

/* ---- a script ------------------------------------------------------------------------------------------------------------- */

static char *trim(char *s) {
    while (*s == ' ')
        s++;
    for (size_t n = strlen(s); n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\n');)
        s[--n] = '\0';
    return s;
}

/* "WORD a | b | c": the parts. */
static size_t parts_of(char *line, char **part, size_t max) {
    size_t n = 0;
    for (char *at = line; at && n < max; n++) {
        char *bar = strstr(at, " |");
        if (bar)
            *bar = '\0';
        part[n] = trim(at);
        at = bar ? bar + 2 : NULL;
    }
    return n;
}

static void cut_table(struct world *w, const char *table, const char *text) {
    const struct cat_table *t = memcat_find(w->cat, table);
    struct value v;
    struct buf b;
    struct err err = {0};
    CHECK(t);
    enum rc rc = type_parse(&w->types, &t->column[t->key[0].col].type, text, strlen(text), &w->arena, &v, &err);
    buf_init(&b, 0);
    if (!rc)
        rc = table_key_put(&b, t->store, &v, 1, &err);
    CHECKF(rc == RC_OK, "%s", err_message(&err));
    local_split(w->l, b.data, b.len);
    buf_done(&b);
}

static void add_row(struct world *w, char *line) {
    struct virtual_row *row = arena_new(&w->arena, struct virtual_row);
    char *part[17];
    size_t n = parts_of(line, part, 17);
    CHECK(row && n > 0);
    snprintf(row->table, sizeof row->table, "%s", part[0]);
    for (row->n = 0; row->n + 1 < n; row->n++) {
        row->value[row->n] = arena_strdup(&w->arena, part[row->n + 1]);
        CHECK(row->value[row->n]);
    }
    *w->last_row = row;
    w->last_row = &row->next;
}

static bool directive(struct world *w, char *line) {
    char *part[5] = {"", "", "", "", ""};
    if (strncmp(line, "table ", 6) == 0) {
        parts_of(line + 6, part, 4);
        memcat_table(w->cat, part[0], part[1], *part[2] ? part[2] : NULL);
    } else if (strncmp(line, "index ", 6) == 0) {
        parts_of(line + 6, part, 5);
        memcat_index(w->cat, part[0], part[1], part[2], *part[4] ? part[4] : NULL,
                     MEMCAT_GLOBAL | (strcmp(part[3], "unique") == 0 ? MEMCAT_UNIQUE : 0));
    } else if (strncmp(line, "check ", 6) == 0) {
        parts_of(line + 6, part, 4);
        memcat_check(w->cat, part[0], part[1], part[2]);
    } else if (strncmp(line, "virtual ", 8) == 0) {
        char name[80];
        parts_of(line + 8, part, 4);
        snprintf(name, sizeof name, "pg_catalog.%s", part[0]);
        memcat_table(w->cat, name, part[1], NULL);
    } else if (strncmp(line, "row ", 4) == 0) {
        add_row(w, line + 4);
    } else if (strncmp(line, "split ", 6) == 0) {
        parts_of(line + 6, part, 4);
        if (w->cut)
            cut_table(w, part[0], part[1]);
    } else {
        return false;
    }
    return true;
}

static void make_tables(struct world *w, const char *name) {
    const struct cat_table *t = memcat_find(w->cat, name);
    local_table(w->l, t->store);
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].kind == CAT_INDEX_GLOBAL)
            local_table(w->l, t->index[i].store);
}

/* Names of the script's tables, to be made once all directives are read. */
struct names {
    char name[20][64];
    size_t n;
};

static void world_open(struct world *w, struct reactor *r, const char *name, bool cut) {
    *w = (struct world){.r = r, .cat = memcat_new(), .ext = pgx_ext_new(), .cut = cut};
    char file[80];
    struct ext ext[] = {{pgx_ext_open, w->ext}, {exec_ext_open, NULL}};
    snprintf(file, sizeof file, "%s.%s", name, cut ? "cut" : "one");
    w->last_row = &w->rows;
    w->l = local_new(r, file, ext, 2);
    arena_init(&w->arena, 0);
    w->types.zone = zone_fixed(&w->arena, "UTC", 0);
    w->fn.types = &w->types;
    w->fn.now_us = w->fn.statement_us = w->types.now = INT64_C(840000000000000); /* in August 2026 */
    w->fn.arena = &w->arena;
}

static void world_close(struct world *w) {
    local_free(w->l);
    pgx_ext_free(w->ext);
    memcat_free(w->cat);
    arena_done(&w->arena);
}

/* The expected file, statement by statement: lines up to "=" or "!". */
static bool next_expected(FILE *f, struct answer *ret) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool ended = false;
    while (!ended && (n = getline(&line, &cap, f)) >= 0) {
        if (n > 0 && line[n - 1] == '\n')
            n--;
        if (line[0] == '#' || line[0] == '>')
            continue;
        answer_add(ret, line, (size_t)n);
        ended = strncmp(line, "= ", 2) == 0 || strncmp(line, "! ", 2) == 0;
    }
    free(line);
    return ended;
}

static void compare(struct world *w, const char *text, const struct answer *got, const struct answer *want) {
    bool same = got->n == want->n;
    for (size_t i = 0; i < got->n && same; i++)
        same = strcmp(got->line[i], want->line[i]) == 0;
    w->statements++;
    if (same)
        return;
    w->wrong++;
    tap_diag("%s: %s", w->cut ? "cut" : "one tablet", text);
    for (size_t i = 0; i < got->n && i < 20; i++)
        tap_diag("  got  %s", got->line[i]);
    for (size_t i = 0; i < want->n && i < 20; i++)
        tap_diag("  want %s", want->line[i]);
}

static void run_script(struct reactor *r, const char *base, bool cut) {
    char path[400];
    FILE *sql, *expected;
    struct world w;
    struct names names = {.n = 0};
    struct buf text;
    char *line = NULL;
    size_t cap = 0;
    snprintf(path, sizeof path, "%s/%s.sql", QUERY_DIR, base);
    sql = fopen(path, "r");
    snprintf(path, sizeof path, "%s/%s.expected", QUERY_DIR, base);
    expected = fopen(path, "r");
    CHECKF(sql && expected, "%s", path);
    world_open(&w, r, base, cut);
    buf_init(&text, 0);
    while (getline(&line, &cap, sql) >= 0) {
        if (text.len == 0) {
            char name[64];
            if (sscanf(line, "table %63s", name) == 1)
                strcpy(names.name[names.n++], name);
            if (trim(line)[0] == '\0' || strncmp(line, "--", 2) == 0 || directive(&w, line))
                continue;
            for (size_t i = 0; i < names.n; i++)
                make_tables(&w, names.name[i]);
            names.n = 0;
        } else {
            buf_putc(&text, '\n');
        }
        buf_puts(&text, trim(line));
        if (text.data[text.len - 1] != ';')
            continue;
        struct answer got = {.n = 0}, want = {.n = 0};
        const char *statement = buf_cstr(&text);
        if (tap_env("QUERY_SHOW", 0))
            tap_diag("%s", statement);
        OK(next_expected(expected, &want));
        run_text(&w, statement, &got);
        compare(&w, statement, &got, &want);
        answer_done(&got);
        answer_done(&want);
        buf_reset(&text, 4096);
    }
    OK(w.statements > 0);
    tap_note("%s, %s: %u statements, %u wrong", base, cut ? "cut" : "one tablet", w.statements, w.wrong);
    OKF(w.wrong == 0, "%s: %u of %u statements are not as PostgreSQL's", base, w.wrong, w.statements);
    world_close(&w);
    buf_done(&text);
    free(line);
    fclose(sql);
    fclose(expected);
}

static void each_script(struct reactor *r, bool cut) {
    const char *only = getenv("QUERY_SCRIPT");
    struct dirent **list;
    int n = scandir(QUERY_DIR, &list, NULL, alphasort), ran = 0;
    CHECK(n >= 0);
    for (int i = 0; i < n; i++) {
        char *end = strstr(list[i]->d_name, ".sql");
        if (end && end[4] == '\0') {
            *end = '\0';
            if (!only || strcmp(only, list[i]->d_name) == 0)
                run_script(r, list[i]->d_name, cut), ran++;
        }
        free(list[i]);
    }
    free(list);
    OK(ran > 0);
}

static void answers(struct world *w, const char *text, const char *last) {
    struct answer a = {.n = 0};
    run_text(w, text, &a);
    EQ_STR(a.n ? a.line[a.n - 1] : "", last);
    answer_done(&a);
}

static void explains(struct world *w, const char *text, const char *want) {
    struct buf b;
    buf_init(&b, 0);
    w->lines = &b;
    explain_text(w, text);
    w->lines = NULL;
    const char *got = buf_cstr(&b);
    OKF(got && strstr(got, want), "EXPLAIN %s\n%s\nhas no '%s'", text, got ? got : "", want);
    buf_done(&b);
}

/* What is kept in memory is bounded; what streams is not touched by that. And EXPLAIN says which way a statement goes. */
static void memory_and_explain(struct reactor *r) {
    struct world w;
    world_open(&w, r, "limits", true);
    memcat_table(w.cat, "t", "id int4 not null, x int4, s text", "id");
    memcat_index(w.cat, "t", "t_x", "x", NULL, MEMCAT_GLOBAL);
    cut_table(&w, "t", "500");
    make_tables(&w, "t");
    answers(&w, "INSERT INTO t SELECT g, g % 10, repeat('x', 100) FROM generate_series(1, 1000) AS g", "= 1000");
    w.memory_max = 64 << 10;
    answers(&w, "SELECT id FROM t", "= 1000");
    answers(&w, "SELECT count(*), max(s) FROM t", "= 1");
    answers(&w, "UPDATE t SET s = s || '!'", "= 1000");
    answers(&w, "SELECT a.id FROM t a JOIN t b ON a.s = b.s WHERE a.id < 3 OR b.id < 3",
            "! 53200 the statement needs more memory than it may have");
    answers(&w, "UPDATE t SET id = id + 5000", "! 53200 the statement needs more memory than it may have");
    answers(&w, "SELECT count(*) FROM t WHERE id > 5000", "= 1");
    explains(&w, "SELECT s FROM t WHERE id = 7", "Scan on t, by key, row by row");
    explains(&w, "SELECT s FROM t WHERE id = 7", "on one tablet");
    explains(&w, "SELECT s FROM t", "on several tablets");
    explains(&w, "SELECT s FROM t WHERE x = 3", "Index: t_x");
    explains(&w, "SELECT x, count(*) FROM t GROUP BY x", "by tablet: groups");
    explains(&w, "SELECT id FROM t ORDER BY s LIMIT 3", "by tablet: top");
    explains(&w, "SELECT DISTINCT x FROM t", "by tablet: distinct");
    explains(&w, "SELECT id FROM t ORDER BY id DESC LIMIT 3", "in the order of the key, backwards");
    explains(&w, "SELECT count(*) FROM t WHERE id < 100", "Whole statement on one tablet");
    explains(&w, "DELETE FROM t WHERE id = 1", "Delete on t");
    explains(&w, "SELECT 1", "computed on the gateway");
    world_close(&w);
}

static void one_tablet(struct reactor *r) {
    each_script(r, false);
}

static void cut_tables(struct reactor *r) {
    each_script(r, true);
}

static void test_on_one_tablet(void) {
    on_fiber(DIAG_ERROR, one_tablet);
}

static void test_on_cut_tables(void) {
    on_fiber(DIAG_ERROR, cut_tables);
}

static void test_memory_and_explain(void) {
    on_fiber(DIAG_ERROR, memory_and_explain);
}

int main(void) {
    RUN(test_on_one_tablet);
    RUN(test_on_cut_tables);
    RUN(test_memory_and_explain);
    return tap_done();
}
