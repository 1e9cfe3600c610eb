/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ours.c: the commands that psql has not: they show what only Meridian knows, from its schema `meridian`.
 *
 *     \trace       trace.c
 *     \regions     meridian.nodes            \tablets T   meridian.tablets         \clock   meridian.clocks
 *     \staleness   SET meridian.read_staleness             \explain S   EXPLAIN (ANALYZE) S
 *
 * Views are shown as they are, whatever columns they have, so that server and shell need not be of one version.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/shell/shell.h"

/* The rows of a relation of the server's schema, or a sentence. */
static bool fetch(struct shell *sh, const char *view, const char *rest, struct print_table *ret) {
    static const char *const missing[] = {"3F000", "42P01", "42883", "0A000"};
    char *sql = NULL;
    meridian_stmt *st;
    if (asprintf(&sql, "SELECT * FROM meridian.%s%s", view, rest) < 0)
        shell_nomem();
    int code = meridian_prepare(sh->db, sql, -1, &st);
    const char *state = code ? meridian_error_field(sh->db, MERIDIAN_FIELD_SQLSTATE) : NULL;
    bool none = false;
    for (size_t i = 0; state && i < ARRAY_LEN(missing); i++)
        none |= strcmp(state, missing[i]) == 0;
    if (none)
        shell_error(sh, "this server has no meridian.%s: it is not Meridian, or an older one", view);
    else if (code)
        shell_db_error(sh, sql);
    meridian_finalize(st);
    bool ok = !code && shell_query(sh, sql, ret);
    free(sql);
    return ok;
}

static bool show(struct shell *sh, const char *view, const char *rest, const char *title) {
    struct print_table t;
    if (!fetch(sh, view, rest, &t))
        return false;
    t.title = title;
    shell_print(sh, &t);
    print_table_done(&t);
    return true;
}

/* ---- the others ----------------------------------------------------------------------------------------------------------------------- */

/* The number that a key begins with: its table group; "" is before all (or, as an end, behind all). */
static bool covers(const char *start, const char *end, unsigned long long group) {
    char *behind = NULL;
    unsigned long long from = start && *start ? strtoull(start, NULL, 10) : 0;
    unsigned long long to = end && *end ? strtoull(end, &behind, 10) : 0;
    if (from > group)
        return false;
    return !behind || to > group || (to == group && *behind); /* an end inside of the group */
}

/* Of one table: those whose keys meet its group's. */
static bool tablets_of(struct shell *sh, const char *table, struct print_table *all) {
    struct buf sql;
    struct print_table t;
    const char *dot = strchr(table, '.');
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT table_group FROM meridian.tables WHERE table_name = ");
    vars_quote(dot ? dot + 1 : table, '\'', &sql);
    if (dot) {
        char schema[256];
        snprintf(schema, sizeof schema, "%.*s", (int)(dot - table), table);
        buf_puts(&sql, " AND schema_name = ");
        vars_quote(schema, '\'', &sql);
    }
    const char *text = buf_cstr(&sql);
    if (!text)
        shell_nomem();
    char *group = shell_value(sh, text);
    buf_done(&sql);
    if (!group) {
        shell_error(sh, "Did not find any table named \"%s\".", table);
        return false;
    }
    size_t start = all->columns, end = all->columns;
    for (size_t i = 0; i < all->columns; i++) {
        if (strcmp(all->column[i].name, "start_key") == 0)
            start = i;
        if (strcmp(all->column[i].name, "end_key") == 0)
            end = i;
    }
    print_table_init(&t, all->columns);
    memcpy(t.column, all->column, all->columns * sizeof *t.column);
    for (size_t i = 0; i < all->rows && start < all->columns && end < all->columns; i++) {
        const char **row = all->cell + i * all->columns;
        if (!covers(row[start], row[end], strtoull(group, NULL, 10)))
            continue;
        for (size_t k = 0; k < all->columns; k++)
            print_cell(&t, row[k]);
        t.rows++;
    }
    free(group);
    char title[300];
    snprintf(title, sizeof title, "Tablets of %s", table);
    t.title = title;
    shell_print(sh, &t);
    print_table_done(&t);
    return true;
}

static bool tablets(struct shell *sh, const char *table) {
    struct print_table all;
    if (!table)
        return show(sh, "tablets", " ORDER BY 1", "Tablets");
    if (!fetch(sh, "tablets", " ORDER BY 1", &all))
        return false;
    bool ok = tablets_of(sh, table, &all);
    print_table_done(&all);
    return ok;
}

/* PostgreSQL would take the setting, and do nothing: only a server that knows commit timestamps may be told. */
static bool staleness(struct shell *sh, const char *how) {
    struct buf sql;
    char *now = shell_value(sh, "SHOW meridian.read_staleness");
    if (!now) {
        shell_error(sh, "this server has no meridian.read_staleness: it is not Meridian, or an older one");
        return false;
    }
    if (!how)
        printf("Reads are \"%s\".\n", now);
    free(now);
    if (!how)
        return true;
    buf_init(&sql, 0);
    buf_puts(&sql, "SET meridian.read_staleness = ");
    vars_quote(how, '\'', &sql);
    const char *text = buf_cstr(&sql);
    if (!text)
        shell_nomem();
    bool ok = shell_execute(sh, text);
    buf_done(&sql);
    return ok;
}

static bool explain(struct shell *sh, const char *statement) {
    char *sql = NULL;
    if (!statement || !*statement) {
        shell_error(sh, "\\explain wants a statement");
        return false;
    }
    if (asprintf(&sql, "EXPLAIN (ANALYZE) %s", statement) < 0)
        shell_nomem();
    bool ok = shell_execute(sh, sql);
    free(sql);
    return ok;
}

bool ours_command(struct shell *sh, const char *name, const char *arg, bool *ret_ok) {
    if (strcmp(name, "trace") == 0)
        *ret_ok = trace_command(sh);
    else if (strcmp(name, "regions") == 0)
        *ret_ok = show(sh, "nodes", " ORDER BY 1", "Nodes by region");
    else if (strcmp(name, "tablets") == 0)
        *ret_ok = tablets(sh, arg);
    else if (strcmp(name, "clock") == 0)
        *ret_ok = show(sh, "clocks", " ORDER BY 1", "Clocks");
    else if (strcmp(name, "staleness") == 0)
        *ret_ok = staleness(sh, arg);
    else if (strcmp(name, "explain") == 0)
        *ret_ok = explain(sh, arg);
    else
        return false;
    return true;
}
