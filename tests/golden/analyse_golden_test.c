/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyse_golden_test.c: statements and the trees that the analyser makes of them, over the tables of tests/lib/sqltree.c. A file is
 * statements, each on lines of its own, a line of four dashes, the tree (or the error), and an empty line before the next.
 * With GOLDEN_REWRITE=1 (tests/run --rewrite) the expected part is written anew; a review reads it.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/analyse/print.h"
#include "tests/lib/sqltree.h"
#include "tests/lib/tap.h"

static const char *path_now;

static void answer(struct sqltree *t, const char *text, struct buf *out) {
    struct analysed a;
    struct err err;
    enum rc rc = sqltree_analyse(t, text, &a, &err);
    if (rc) {
        buf_printf(out, "!%s %d %s", err_sqlstate(&err), err.position, err_message(&err));
        return;
    }
    sqltree_check(&a);
    tree_print(a.query, out);
    for (size_t i = 0; i < a.params; i++) {
        char name[COL_NAME_BYTES];
        buf_printf(out, "\n  $%zu %s", i + 1, col_name(&a.param[i], name));
    }
}

static char *read_all(const char *path) {
    FILE *f = fopen(path, "re");
    CHECKF(f, "cannot open %s", path);
    struct buf b;
    char piece[4096];
    size_t n;
    buf_init(&b, 0);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(&b, piece, n);
    fclose(f);
    char *text = strdup(buf_cstr(&b));
    CHECK(text);
    buf_done(&b);
    return text;
}

static void one_file(void) {
    struct sqltree t;
    struct buf out, all;
    char *text = read_all(path_now), *at = text;
    bool rewrite = getenv("GOLDEN_REWRITE") != NULL;
    int blocks = 0;
    sqltree_init(&t);
    buf_init(&all, 0);
    while (*at) {
        char *dashes = strstr(at, "\n----\n");
        if (!dashes) {
            OKF(false, "%s: no dashes after: %.60s", path_now, at);
            break;
        }
        *dashes = 0;
        char *want = dashes + 6, *end = strstr(want, "\n\n"), *next;
        if (end) {
            *end = 0;
            next = end + 2;
        } else {
            size_t n = strlen(want);
            if (n && want[n - 1] == '\n')
                want[n - 1] = 0;
            next = want + n;
        }
        buf_init(&out, 0);
        answer(&t, at, &out);
        if (rewrite)
            buf_printf(&all, "%s%s\n----\n%s\n", blocks ? "\n" : "", at, buf_cstr(&out));
        else
            OKF(strcmp(buf_cstr(&out), want) == 0, "%s\n%s\n--- wanted:\n%s", at, buf_cstr(&out), want);
        buf_done(&out);
        blocks++;
        at = next;
    }
    OK(blocks > 0);
    if (rewrite) {
        FILE *f = fopen(path_now, "we");
        CHECK(f && fwrite(all.data, 1, all.len, f) == all.len && fclose(f) == 0);
    }
    buf_done(&all);
    free(text);
    sqltree_done(&t);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

int main(void) {
    struct dirent **list;
    int n = scandir(GOLDEN_DIR, &list, NULL, by_name), files = 0;
    for (int i = 0; i < n; i++) {
        char path[512];
        if (strstr(list[i]->d_name, ".txt")) {
            snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, list[i]->d_name);
            path_now = path;
            tap_begin(list[i]->d_name);
            one_file();
            tap_end();
            files++;
        }
        free(list[i]);
    }
    free(list);
    CHECK(files > 0);
    return tap_done();
}
