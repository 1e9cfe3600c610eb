/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sqltree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/parse/parse.h"

/* Functions of the session are let in; nobody runs them here. */
static enum rc no_session(void *ctx, uint32_t fn, const struct value *arg, size_t args, struct value *ret,
                          struct err *err) {
    (void)ctx;
    (void)arg;
    (void)args;
    (void)ret;
    return err_set(err, RC_UNSUPPORTED, "function %u has no session here", fn);
}

static void tables(struct memcat *m) {
    memcat_table(m, "t", "a int4 not null, b text, c numeric(10,2), d timestamptz, e bool", "a");
    memcat_table(m, "u", "a int4 not null, x int8, y varchar(10), z float8", "a");
    memcat_table(m, "p", "k1 int4 not null, k2 text not null, v int4 default 7, w text default 'none', s int2",
                 "k1, k2");
    memcat_table(m, "arr", "id int8 not null, n int4[], t text[]", "id");
    memcat_table(m, "nokey", "a int4, b int4", NULL);
    memcat_table(m, "ser", "id serial, v text not null", "id");
    memcat_table(m, "ident", "id int4 identity always, d int8 identity by default, v text", "id");
    memcat_table(m, "q", "id int4 not null, code text, n int4, ch char(3), dt date, ts timestamp, iv interval, u uuid",
                 "id");
    memcat_index(m, "q", "q_code_key", "code", NULL, MEMCAT_UNIQUE | MEMCAT_CONSTRAINT | MEMCAT_GLOBAL);
    memcat_index(m, "q", "q_n_part", "n", "n > 0", MEMCAT_UNIQUE);
    memcat_check(m, "q", "q_n_check", "n < 100");
    memcat_check(m, "q", "q_code_check", "code <> ''::text");
    memcat_view(m, "v", "n int4, label text", "SELECT t.a, t.b FROM public.t WHERE t.a > 0");
    memcat_table(m, "pgbench_accounts", "aid int4 not null, bid int4, abalance int4, filler char(84)", "aid");
    memcat_table(m, "pgbench_branches", "bid int4 not null, bbalance int4, filler char(88)", "bid");
    memcat_table(m, "pgbench_tellers", "tid int4 not null, bid int4, tbalance int4, filler char(84)", "tid");
    memcat_table(m, "pgbench_history", "tid int4, bid int4, aid int4, delta int4, mtime timestamp, filler char(22)",
                 NULL);
}

/* "pg_catalog.NAME<tab>COLUMNS" */
static void system_tables(struct memcat *m, struct arena *a) {
    FILE *f = fopen(PG_CATALOG_FILE, "re");
    char *line = NULL;
    size_t cap = 0;
    CHECKF(f, "cannot open %s", PG_CATALOG_FILE);
    while (getline(&line, &cap, f) > 0) {
        char *tab = strchr(line, '\t'), *end = strchr(line, '\n');
        if (*line == '#' || !tab || !end)
            continue;
        *tab = *end = 0;
        char *name = arena_strdup(a, line);
        CHECK(name);
        memcat_table(m, name, tab + 1, NULL);
    }
    free(line);
    (void)fclose(f);
}

void sqltree_init(struct sqltree *t) {
    memset(t, 0, sizeof *t);
    t->catalog = memcat_new();
    tables(t->catalog);
    arena_init(&t->arena, 0);
    arena_init(&t->scratch, 0);
    system_tables(t->catalog, &t->scratch);
    t->types.zone = zone_fixed(&t->scratch, "UTC", 0);
    CHECK(t->types.zone);
    t->env = (struct fn_env){.arena = &t->scratch, .types = &t->types, .session = no_session};
}

void sqltree_done(struct sqltree *t) {
    analysed_done(&t->last);
    memcat_free(t->catalog);
    arena_done(&t->arena);
    arena_done(&t->scratch);
}

enum rc sqltree_analyse(struct sqltree *t, const char *text, struct analysed *ret, struct err *err) {
    static const uint32_t path[] = {MEMCAT_PUBLIC};
    PgQuery__ParseResult *tree;
    analysed_done(&t->last);
    arena_reset(&t->arena);
    *err = (struct err){0};
    enum rc rc = parse_text(t->reactor, &t->arena, text, strlen(text), &tree, err);
    if (rc)
        return rc;
    CHECKF(tree->n_stmts == 1, "%s", text);
    struct analyse_in in = {.arena = &t->arena,
                            .catalog = memcat_source(t->catalog),
                            .text = text,
                            .bytes = strlen(text),
                            .search_path = path,
                            .search_paths = 1,
                            .env = &t->env,
                            .reactor = t->reactor};
    rc = analyse_statement(&in, tree->stmts[0]->stmt, &t->last, err);
    if (!rc)
        *ret = t->last;
    return rc;
}
