/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past.c: reading the past: what the table held when a transaction had committed, whatever came after it.
 *
 *     cc past.c $(pkg-config --cflags --libs meridian) -o past
 *     ./past meridian://127.0.0.1:7432/meridian        or        ./past file:/tmp/past
 *
 * Every commit has a timestamp. A read at that timestamp sees this commit and all before it, and nothing else; it takes no
 * locks, never aborts, and any replica near by may answer it. On a server that is not Meridian it says so and exits with 2.
 */
#include <meridian.h>

#include <inttypes.h>
#include <stdio.h>

static int fail(meridian *db, const char *what) {
    fprintf(stderr, "%s: %s\n", what, meridian_errmsg(db));
    int code = meridian_errcode(db) == MERIDIAN_UNSUPPORTED ? 2 : 1;
    meridian_close(db);
    return code;
}

static int show(meridian *db, const char *when) {
    meridian_stmt *st;
    int code = meridian_prepare(db, "SELECT word FROM history ORDER BY id", -1, &st);
    if (code)
        return code;
    printf("%s:", when);
    while ((code = meridian_step(st)) == MERIDIAN_ROW)
        printf(" %s", meridian_column_text(st, 0));
    printf("\n");
    meridian_finalize(st);
    return code == MERIDIAN_DONE ? MERIDIAN_OK : code;
}

int main(int argc, char **argv) {
    meridian *db;
    int64_t then;
    if (meridian_open(argc > 1 ? argv[1] : "meridian://127.0.0.1:7432/meridian", &db))
        return fail(db, "cannot connect");
    if (meridian_exec(db, "DROP TABLE IF EXISTS history") ||
        meridian_exec(db, "CREATE TABLE history (id int PRIMARY KEY, word text)"))
        return fail(db, "cannot make the table");
    if (meridian_exec(db, "INSERT INTO history VALUES (1, 'once'), (2, 'upon')"))
        return fail(db, "cannot insert");
    if (meridian_commit_timestamp(db, &then))
        return fail(db, "no timestamp");
    printf("committed at %" PRId64 " ns\n", then);
    if (meridian_exec(db, "UPDATE history SET word = 'never' WHERE id = 1") ||
        meridian_exec(db, "INSERT INTO history VALUES (3, 'again')"))
        return fail(db, "cannot change it");
    if (show(db, "now"))
        return fail(db, "cannot read");
    if (meridian_begin_read(db, MERIDIAN_AT, then) || show(db, "then") || meridian_commit(db))
        return fail(db, "cannot read the past");
    if (meridian_begin_read(db, MERIDIAN_MAX, 10 * INT64_C(1000000000)) || show(db, "the newest that is near") ||
        meridian_commit(db))
        return fail(db, "cannot read what is near");
    meridian_close(db);
    return 0;
}
