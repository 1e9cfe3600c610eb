/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary files: a sort that does not fit into its memory, the limit, what is left of them, and what a crash leaves. */
#include "sql/exec/scratch.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"

#define ROWS 20000

static void count_name(void *ctx, const char *name) {
    (void)name;
    ++*(int *)ctx;
}

static int files_in(struct env *env, const char *dir) {
    struct err err;
    int n = 0;
    EQ_INT(env_dir_list(env, dir, count_name, &n, &err), RC_OK);
    return n;
}

/* Sorts ROWS rows of about 500 bytes with 256 KiB; returns SQLite's code. */
static int sort(const struct scratch_vfs *v, int64_t *ret_rows, bool *ret_ordered) {
    static const char sql[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)"
                              "SELECT printf('%08x%500d', i*2654435761 & 0xffffffff, i) AS x FROM n ORDER BY x";
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    char last[600] = "";
    *ret_rows = 0;
    *ret_ordered = true;
    CHECK(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, scratch_name(v)) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "PRAGMA temp_store=FILE;PRAGMA cache_size=-256", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        const char *x = (const char *)sqlite3_column_text(st, 0);
        *ret_ordered &= strcmp(last, x) < 0;
        snprintf(last, sizeof last, "%s", x);
        ++*ret_rows;
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return code;
}

static void body(struct reactor *r) {
    struct env *env = reactor_env(r);
    struct scratch *s = NULL;
    struct scratch_vfs *v = NULL, *other = NULL;
    struct env_file *f = NULL;
    struct err err = {0};
    char dir[300], old[320];
    int64_t rows;
    bool ordered;
    snprintf(dir, sizeof dir, "%s/scratch", tap_dir());
    EQ_INT(scratch_new(env, dir, &s, &err), RC_OK);
    EQ_INT(scratch_attach(s, 0, &v), RC_OK);
    EQ_INT(scratch_attach(s, 1 << 20, &other), RC_OK);

    EQ_INT(sort(v, &rows, &ordered), SQLITE_DONE);
    EQ_INT(rows, ROWS);
    OK(ordered);
    OK(counter_get(&scratch_stats(s)->files) > 0 && counter_get(&scratch_stats(s)->bytes) > ROWS * 500);
    EQ_INT(scratch_failed(v, &err), RC_OK);
    EQ_INT(gauge_get(&scratch_stats(s)->in_use), 0);
    EQ_INT(files_in(env, dir), 0);

    EQ_INT(sort(other, &rows, &ordered), SQLITE_FULL); /* one's limit is not the other's */
    EQ_INT(scratch_failed(other, &err), RC_LIMIT);
    EQ_STR(err_sqlstate(&err), "53400");
    EQ_INT(files_in(env, dir), 0);
    scratch_detach(other);
    scratch_detach(v);
    scratch_free(s);

    snprintf(old, sizeof old, "%s/7", dir);
    EQ_INT(env_file_open(env, old, ENV_OPEN_CREATE, &f, &err), RC_OK);
    env_file_close(f);
    EQ_INT(files_in(env, dir), 1);
    EQ_INT(scratch_new(env, dir, &s, &err), RC_OK); /* what a crash has left goes */
    EQ_INT(files_in(env, dir), 0);
    scratch_free(s);
}

static void sorts_beyond_its_memory_within_its_limit(void) {
    on_fiber(DIAG_WARN, body);
}

int main(void) {
    RUN(sorts_beyond_its_memory_within_its_limit);
    return tap_done();
}
