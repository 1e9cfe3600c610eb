/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crosstab.c: \crosstabview: a result as a grid: one column's values down the side, another's across the top, a third's inside.
 *
 * Values of the two headers stand in the order in which they first appear, those across by a fourth column's numbers if one is named.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/shell/shell.h"

enum { COLUMNS_MAX = 1600 };

struct header {
    const char *text; /* NULL: SQL's NULL */
    long long rank;
};

struct headers {
    struct header *v;
    size_t n;
};

static bool same(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static size_t place(const struct headers *h, const char *text) {
    size_t i = 0;
    while (i < h->n && !same(h->v[i].text, text))
        i++;
    return i;
}

/* The column that an argument names: a number from 1, or a name, in lower case unless it is quoted. SIZE_MAX: told. */
static size_t column_of(struct shell *sh, const char *arg, const struct print_table *t) {
    char name[256], *end;
    long n = strtol(arg, &end, 10);
    size_t found = SIZE_MAX, len = 0;
    bool quoted = false;
    if (*arg && !*end) {
        if (n >= 1 && (size_t)n <= t->columns)
            return (size_t)n - 1;
        shell_error(sh, "\\crosstabview: column number %ld is out of range 1..%zu", n, t->columns);
        return SIZE_MAX;
    }
    for (const char *p = arg; *p && len + 1 < sizeof name; p++) {
        if (*p == '"' && !(quoted && p[1] == '"')) {
            quoted = !quoted;
            continue;
        }
        p += *p == '"';
        name[len++] = quoted || *p < 'A' || *p > 'Z' ? *p : (char)(*p + ('a' - 'A'));
    }
    name[len] = '\0';
    for (size_t i = 0; i < t->columns; i++) {
        if (strcmp(t->column[i].name, name) != 0)
            continue;
        if (found != SIZE_MAX) {
            shell_error(sh, "\\crosstabview: ambiguous column name: \"%s\"", name);
            return SIZE_MAX;
        }
        found = i;
    }
    if (found == SIZE_MAX)
        shell_error(sh, "\\crosstabview: column name not found: \"%s\"", name);
    return found;
}

static int by_rank(const void *a, const void *b) {
    const struct header *x = a, *y = b;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void fill(const struct print_table *t, struct headers *h, size_t column, size_t sort) {
    h->v = calloc(t->rows + 1, sizeof *h->v);
    if (!h->v)
        shell_nomem();
    for (size_t r = 0; r < t->rows; r++) {
        const char **row = t->cell + r * t->columns;
        size_t at = place(h, row[column]);
        if (at < h->n)
            continue;
        h->v[h->n++] =
            (struct header){row[column], sort < t->columns && row[sort] ? strtoll(row[sort], NULL, 10) : (long long)at};
    }
    if (sort < t->columns)
        qsort(h->v, h->n, sizeof *h->v, by_rank);
}

/* The grid of t; false: told. */
static bool make(struct shell *sh, const struct print_table *t, const size_t col[4], struct print_table *ret) {
    struct headers down = {0}, across = {0};
    const char **grid = NULL, *blank = "";
    bool ok = true;
    fill(t, &across, col[1], col[3]);
    fill(t, &down, col[0], SIZE_MAX);
    if (across.n > COLUMNS_MAX) {
        shell_error(sh, "\\crosstabview: maximum number of columns (%d) exceeded", COLUMNS_MAX);
        ok = false;
    }
    grid = calloc(down.n * across.n + 1, sizeof *grid);
    if (!grid)
        shell_nomem();
    for (size_t i = 0; i < down.n * across.n; i++)
        grid[i] = blank;
    for (size_t r = 0; r < t->rows && ok; r++) {
        const char **row = t->cell + r * t->columns;
        const char **at = &grid[place(&down, row[col[0]]) * across.n + place(&across, row[col[1]])];
        if (*at != blank) {
            const char *null = *sh->print.null ? sh->print.null : "(null)";
            shell_error(sh, "\\crosstabview: query result contains multiple data values for row \"%s\", column \"%s\"",
                        row[col[0]] ? row[col[0]] : null, row[col[1]] ? row[col[1]] : null);
            ok = false;
        }
        *at = row[col[2]];
    }
    if (ok) {
        print_table_init(ret, across.n + 1);
        print_column(ret, 0, t->column[col[0]].name, t->column[col[0]].right, false);
        for (size_t i = 0; i < across.n; i++)
            print_column(ret, i + 1, across.v[i].text ? across.v[i].text : sh->print.null, t->column[col[2]].right,
                         false);
        for (size_t i = 0; i < down.n; i++, ret->rows++) {
            print_cell(ret, down.v[i].text);
            for (size_t k = 0; k < across.n; k++)
                print_cell(ret, grid[i * across.n + k]);
        }
    }
    free(grid);
    free(down.v);
    free(across.v);
    return ok;
}

static bool choose(struct shell *sh, char *const arg[4], const struct print_table *t, size_t col[4]) {
    if (t->columns < 3) {
        shell_error(sh, "\\crosstabview: query must return at least three columns");
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        col[i] = i < 2 ? i : SIZE_MAX;
        if (arg[i] && (col[i] = column_of(sh, arg[i], t)) == SIZE_MAX)
            return false;
    }
    if (col[0] == col[1]) {
        shell_error(sh, "\\crosstabview: vertical and horizontal headers must be different columns");
        return false;
    }
    if (!arg[2] && t->columns > 3) {
        shell_error(sh, "\\crosstabview: data column must be specified when query returns more than three columns");
        return false;
    }
    for (size_t i = 0; !arg[2] && i < t->columns; i++)
        if (i != col[0] && i != col[1])
            col[2] = i;
    return true;
}

bool crosstab_command(struct shell *sh, const char *sql, char *const arg[4]) {
    struct print_table t, grid;
    size_t col[4];
    if (!shell_query(sh, sql, &t))
        return false;
    bool ok = choose(sh, arg, &t, col) && make(sh, &t, col, &grid);
    if (ok) {
        shell_print(sh, &grid);
        print_table_done(&grid);
    }
    print_table_done(&t);
    return ok;
}
