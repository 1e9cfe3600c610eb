/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ours.c: the commands that psql has not: they show what only Meridian knows, from its schema `meridian`.
 *
 *     \trace       meridian.trace:  the last transaction's spans of time, drawn as a waterfall (README.md has its columns)
 *     \regions     meridian.nodes            \tablets T   meridian.tablets         \clock   meridian.clocks
 *     \staleness   SET meridian.read_staleness             \explain S   EXPLAIN (ANALYZE) S
 *
 * Views are shown as they are, whatever columns they have, so that server and shell need not be of one version.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/shell/shell.h"

enum { BAR_COLUMNS = 40, SPANS_MAX = 500, DEPTH_MAX = 16 };

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

/* ---- \trace -------------------------------------------------------------------------------------------------------------------------- */

struct span {
    long long seq, parent, start_ns, duration_ns, count;
    char cause[48], where[128];
    int depth;
};

static void read_span(meridian_stmt *st, struct span *s) {
    const char *region = meridian_column_text(st, 3), *peer = meridian_column_text(st, 4);
    const char *cause = meridian_column_text(st, 2), *detail = meridian_column_text(st, 8);
    *s = (struct span){.seq = meridian_column_int64(st, 0),
                       .parent = meridian_column_int64(st, 1),
                       .start_ns = meridian_column_int64(st, 5),
                       .duration_ns = meridian_column_int64(st, 6),
                       .count = meridian_column_int64(st, 7)};
    snprintf(s->cause, sizeof s->cause, "%s", cause ? cause : "?");
    snprintf(s->where, sizeof s->where, "%s%s%s%s%s", region ? region : "", peer ? " > " : "", peer ? peer : "",
             region && detail ? ", " : "", detail ? detail : "");
}

static void set_depths(struct span *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i && s[i].parent; k++)
            if (s[k].seq == s[i].parent && s[k].depth < DEPTH_MAX)
                s[i].depth = s[k].depth + 1;
}

/* A span as blanks and blocks; a short one is still one block. */
static void bar(const struct span *s, long long total, char *ret) {
    long long from = total ? s->start_ns * BAR_COLUMNS / total : 0;
    long long to = total ? (s->start_ns + s->duration_ns) * BAR_COLUMNS / total : 0;
    from = from < 0 ? 0 : from >= BAR_COLUMNS ? BAR_COLUMNS - 1 : from;
    to = to <= from ? from + 1 : to > BAR_COLUMNS ? BAR_COLUMNS : to;
    for (int i = 0; i < BAR_COLUMNS; i++)
        ret += sprintf(ret, "%s", i >= from && i < to ? "\xe2\x96\x88" : " "); // NOLINT: 3 bytes each at most
}

static void draw(struct shell *sh, const struct span *s, size_t n) {
    long long total = 0;
    struct print_table t;
    char title[128];
    for (size_t i = 0; i < n; i++)
        if (s[i].start_ns + s[i].duration_ns > total)
            total = s[i].start_ns + s[i].duration_ns;
    print_table_init(&t, 5);
    print_column(&t, 0, "cause", false, false);
    print_column(&t, 1, "where", false, false);
    print_column(&t, 2, "times", true, true);
    print_column(&t, 3, "ms", true, true);
    print_column(&t, 4, "when", false, false);
    for (size_t i = 0; i < n; i++) {
        char text[128], blocks[BAR_COLUMNS * 3 + 1];
        snprintf(text, sizeof text, "%*s%s", 2 * s[i].depth, "", s[i].cause);
        print_cell(&t, text);
        print_cell(&t, s[i].where);
        snprintf(text, sizeof text, "%lld", s[i].count);
        print_cell(&t, text);
        snprintf(text, sizeof text, "%.3f", (double)s[i].duration_ns / 1e6);
        print_cell(&t, text);
        bar(&s[i], total, blocks);
        print_cell(&t, blocks);
        t.rows++;
    }
    snprintf(title, sizeof title, "Last transaction: %.3f ms", (double)total / 1e6);
    t.title = title;
    t.row_count = false;
    shell_print(sh, &t);
    print_table_done(&t);
}

static bool trace(struct shell *sh) {
    meridian_stmt *st;
    size_t n = 0;
    struct span *s = calloc(SPANS_MAX, sizeof *s);
    if (!s)
        shell_nomem();
    int code = meridian_trace(sh->db, &st);
    if (!code)
        while (n < SPANS_MAX && (code = meridian_step(st)) == MERIDIAN_ROW)
            read_span(st, &s[n++]);
    bool ok = code < MERIDIAN_ERROR;
    if (code == MERIDIAN_UNSUPPORTED || code == MERIDIAN_MISUSE)
        shell_error(sh, "%s", meridian_errmsg(sh->db));
    else if (!ok)
        shell_db_error(sh, NULL);
    meridian_finalize(st);
    if (ok && n == 0)
        shell_error(sh, "there is no transaction to show yet");
    else if (ok) {
        set_depths(s, n);
        draw(sh, s, n);
    }
    free(s);
    return ok;
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
        *ret_ok = trace(sh);
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
