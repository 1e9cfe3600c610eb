/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_suite.c: the C API over an engine: api_suite URL [meridian]. One suite for all engines; api.t starts the servers.
 *
 * With the word `meridian` the server is one, and what only Meridian has must work; without, it must be refused clearly.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "txn/api/meridian.h"

/* What every test has; set once by main. */
static struct {
    const char *url;
    bool meridian;
} const *conf;

static meridian *open_db(void) {
    meridian *db;
    if (!OK(meridian_open(conf->url, &db) == MERIDIAN_OK))
        tap_diag("%s", meridian_errmsg(db));
    return db;
}

static bool fine(meridian *db, int code) {
    bool ok = code < MERIDIAN_ERROR;
    OKF(ok, "%s: %s", meridian_code_name(code), meridian_errmsg(db));
    return ok;
}

static void do_sql(meridian *db, const char *sql) {
    int code = meridian_exec(db, sql);
    OKF(code == MERIDIAN_OK, "%s: %s: %s", sql, meridian_code_name(code), meridian_errmsg(db));
}

static int64_t number(meridian *db, const char *sql) {
    meridian_stmt *st;
    int64_t v = -1;
    if (fine(db, meridian_prepare(db, sql, -1, &st)) && EQ_INT(meridian_step(st), MERIDIAN_ROW))
        v = meridian_column_int64(st, 0);
    meridian_finalize(st);
    return v;
}

static void fresh(meridian *db, const char *table, const char *columns) {
    char sql[256];
    snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS %s", table);
    do_sql(db, sql);
    snprintf(sql, sizeof sql, "CREATE TABLE %s (%s)", table, columns);
    do_sql(db, sql);
}

/* ---- the tests -------------------------------------------------------------------------------------------------------------- */

static void test_open(void) {
    meridian *db;
    EQ_INT(meridian_abi(), MERIDIAN_ABI);
    EQ_INT(meridian_open("ftp://nowhere", &db), MERIDIAN_MISUSE);
    OK(db != NULL && strstr(meridian_errmsg(db), "meridian://") != NULL);
    EQ_INT(meridian_exec(db, "SELECT 1"), MERIDIAN_MISUSE);
    EQ_INT(meridian_close(db), MERIDIAN_OK);
    EQ_INT(meridian_open_abi(conf->url, MERIDIAN_ABI + 1, &db), MERIDIAN_ABI_OTHER);
    EQ_INT(meridian_errcode(db), MERIDIAN_ABI_OTHER);
    EQ_INT(meridian_close(db), MERIDIAN_OK);
    EQ_INT(meridian_open(NULL, &db), MERIDIAN_MISUSE);
    OK(db == NULL);
    EQ_INT(meridian_open(conf->url, NULL), MERIDIAN_MISUSE);
    EQ_STR(meridian_code_name(MERIDIAN_BUSY), "MERIDIAN_BUSY");
    EQ_STR(meridian_code_name(4711), "?");
    db = open_db();
    EQ_INT(meridian_state(db), 'I');
    OK(meridian_parameter(db, "server_version") != NULL);
    OK(meridian_info(db, MERIDIAN_INFO_DATABASE) != NULL);
    EQ_INT(meridian_close(db), MERIDIAN_OK);
    EQ_INT(meridian_close(NULL), MERIDIAN_OK);
}

static void test_values(void) {
    meridian *db = open_db();
    meridian_stmt *st;
    fresh(db, "api_v", "id int8 PRIMARY KEY, t text, d float8, b bool, y bytea");
    fine(db, meridian_prepare(db, "INSERT INTO api_v VALUES ($1, $2, $3, $4, $5)", -1, &st));
    EQ_INT(meridian_param_count(st), 5);
    EQ_INT(meridian_param_oid(st, 1), 20);
    EQ_INT(meridian_column_count(st), 0);
    fine(db, meridian_bind_int64(st, 1, INT64_MIN));
    fine(db, meridian_bind_text(st, 2, "h\xc3\xa9llo", -1));
    fine(db, meridian_bind_double(st, 3, 0.1));
    fine(db, meridian_bind_bool(st, 4, 1));
    fine(db, meridian_bind_blob(st, 5, "a\0\xff", 3));
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_STR(meridian_tag(st), "INSERT 0 1");
    EQ_INT(meridian_changes(st), 1);
    fine(db, meridian_clear_bindings(st));
    fine(db, meridian_bind_int64(st, 1, 2));
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_INT(meridian_step(st), MERIDIAN_ERROR); /* again the same key */
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "23505");
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_CONSTRAINT), "api_v_pkey");
    OK(meridian_error_field(db, MERIDIAN_FIELD_DETAIL) != NULL);
    fine(db, meridian_bind_int64(st, 1, 3)); /* and after an error the statement goes on */
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    meridian_finalize(st);

    fine(db, meridian_prepare(db, "SELECT id, t, d, b, y FROM api_v ORDER BY id", -1, &st));
    EQ_INT(meridian_column_count(st), 5);
    EQ_STR(meridian_column_name(st, 4), "y");
    EQ_INT(meridian_column_oid(st, 2), 701);
    EQ_INT(meridian_column_modifier(st, 2), -1);
    EQ_INT(meridian_column_modifier(st, 9), -1);
    EQ_INT(meridian_errcode(db), MERIDIAN_RANGE);
    for (int round = 0; round < 2; round++) {
        size_t bytes;
        EQ_INT(meridian_step(st), MERIDIAN_ROW);
        EQ_INT(meridian_column_type(st, 0), MERIDIAN_TYPE_INT);
        EQ_INT(meridian_column_int64(st, 0), INT64_MIN);
        EQ_STR(meridian_column_text(st, 1), "h\xc3\xa9llo");
        EQ_INT(meridian_column_bytes(st, 1), 6);
        OK(meridian_column_double(st, 2) == 0.1);
        EQ_INT(meridian_column_bool(st, 3), 1);
        const void *y = meridian_column_blob(st, 4, &bytes);
        EQ_MEM(y, bytes, "a\0\xff", (size_t)3);
        EQ_INT(meridian_column_int64(st, 1), 0);
        EQ_INT(meridian_errcode(db), MERIDIAN_MISMATCH);
        EQ_INT(meridian_step(st), MERIDIAN_ROW);
        OK(meridian_column_is_null(st, 1) && !meridian_column_text(st, 1));
        EQ_INT(meridian_column_type(st, 1), MERIDIAN_TYPE_NULL);
        fine(db, meridian_reset_stmt(st)); /* with a row left */
    }
    EQ_STR(meridian_column_name(st, 0), "id");
    meridian_finalize(st);
    EQ_INT(number(db, "SELECT count(*) FROM api_v"), 3);
    do_sql(db, "DROP TABLE api_v");
    meridian_close(db);
}

static void test_errors(void) {
    meridian *db = open_db();
    meridian_stmt *st;
    EQ_INT(meridian_prepare(db, "SELECT 1 FRM x y", -1, &st), MERIDIAN_ERROR);
    OK(st == NULL);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "42601");
    EQ_INT(meridian_error_position(db), 14);
    EQ_INT(meridian_error_retry(db), MERIDIAN_RETRY_NO);
    EQ_INT(meridian_exec(db, "SELECT * FROM no_such_table"), MERIDIAN_ERROR);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "42P01");
    EQ_STR(meridian_errmsg(db), "relation \"no_such_table\" does not exist");
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SEVERITY), "ERROR");
    do_sql(db, "SELECT 1");
    EQ_INT(meridian_errcode(db), MERIDIAN_OK);
    EQ_STR(meridian_errmsg(db), "");
    fine(db, meridian_prepare(db, "SELECT 10 / $1::int4", -1, &st));
    fine(db, meridian_bind_int64(st, 1, 0));
    EQ_INT(meridian_step(st), MERIDIAN_ERROR);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "22012");
    fine(db, meridian_bind_text(st, 1, "x", -1));
    EQ_INT(meridian_step(st), MERIDIAN_ERROR);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "22P02");
    fine(db, meridian_bind_int64(st, 1, 5));
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    EQ_INT(meridian_column_int64(st, 0), 2);
    meridian_finalize(st);
    meridian_close(db);
}

static void test_query(void) {
    meridian *db = open_db();
    meridian_stmt *st;
    fine(db, meridian_query(db, "SELECT 1 AS a; SELECT 'x' AS b, 2 AS c WHERE false; SELECT 3", -1, &st));
    EQ_INT(meridian_column_count(st), 0);
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    EQ_STR(meridian_column_name(st, 0), "a");
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_STR(meridian_tag(st), "SELECT 1");
    EQ_INT(meridian_step(st), MERIDIAN_MISUSE);
    EQ_INT(meridian_next(st), MERIDIAN_OK);
    EQ_INT(meridian_column_count(st), 2);
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_INT(meridian_next(st), MERIDIAN_OK);
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    EQ_INT(meridian_column_int64(st, 0), 3);
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_INT(meridian_next(st), MERIDIAN_DONE);
    EQ_INT(meridian_next(st), MERIDIAN_DONE);
    fine(db, meridian_reset_stmt(st));
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    EQ_INT(meridian_next(st), MERIDIAN_OK); /* from the middle of the first */
    EQ_INT(meridian_column_count(st), 2);
    meridian_finalize(st);
    fine(db, meridian_query(db, "SELECT 1; SELECT 1/0; SELECT 2", -1, &st));
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_INT(meridian_next(st), MERIDIAN_ERROR);
    EQ_INT(meridian_next(st), MERIDIAN_DONE);
    meridian_finalize(st);
    fine(db, meridian_query(db, " -- nothing", -1, &st));
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_STR(meridian_tag(st), "");
    meridian_finalize(st);
    EQ_INT(number(db, "SELECT 7"), 7);
    meridian_close(db);
}

/* A statement may begin while another one still has rows: they are kept for it. */
static void test_interleaved(void) {
    meridian *db = open_db();
    meridian_stmt *outer, *inner;
    fresh(db, "api_i", "n int4 PRIMARY KEY");
    do_sql(db, "INSERT INTO api_i VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)");
    fine(db, meridian_prepare(db, "SELECT n FROM api_i ORDER BY n", -1, &outer));
    fine(db, meridian_prepare(db, "SELECT count(*) FROM api_i WHERE n < $1", -1, &inner));
    int rows = 0;
    while (meridian_step(outer) == MERIDIAN_ROW) {
        int64_t n = meridian_column_int64(outer, 0);
        EQ_INT(n, rows++);
        fine(db, meridian_bind_int64(inner, 1, n));
        EQ_INT(meridian_step(inner), MERIDIAN_ROW);
        EQ_INT(meridian_column_int64(inner, 0), n);
        fine(db, meridian_reset_stmt(inner));
    }
    EQ_INT(rows, 10);
    meridian_finalize(outer);
    meridian_finalize(inner);
    do_sql(db, "DROP TABLE api_i");
    meridian_close(db);
}

static void test_transactions(void) {
    meridian *db = open_db();
    fresh(db, "api_t", "n int4 PRIMARY KEY");
    EQ_INT(meridian_commit(db), MERIDIAN_MISUSE);
    EQ_INT(meridian_rollback(db), MERIDIAN_OK);
    EQ_INT(meridian_savepoint(db, "a"), MERIDIAN_MISUSE);
    fine(db, meridian_begin(db));
    EQ_INT(meridian_state(db), 'T');
    EQ_INT(meridian_begin(db), MERIDIAN_MISUSE);
    do_sql(db, "INSERT INTO api_t VALUES (1)");
    fine(db, meridian_savepoint(db, "a \"b\""));
    do_sql(db, "INSERT INTO api_t VALUES (2)");
    EQ_INT(meridian_exec(db, "INSERT INTO api_t VALUES (2)"), MERIDIAN_ERROR);
    EQ_INT(meridian_state(db), 'E');
    EQ_INT(meridian_exec(db, "SELECT 1"), MERIDIAN_ERROR);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "25P02");
    fine(db, meridian_rollback_to(db, "a \"b\""));
    EQ_INT(meridian_state(db), 'T');
    fine(db, meridian_release(db, "a \"b\""));
    do_sql(db, "INSERT INTO api_t VALUES (3)");
    fine(db, meridian_commit(db));
    EQ_INT(meridian_state(db), 'I');
    EQ_INT(number(db, "SELECT sum(n) FROM api_t"), 4);
    fine(db, meridian_begin(db));
    EQ_INT(meridian_exec(db, "SELECT 1/0"), MERIDIAN_ERROR);
    EQ_INT(meridian_commit(db), MERIDIAN_ABORTED);
    EQ_INT(meridian_state(db), 'I');
    fine(db, meridian_begin_read(db, MERIDIAN_STRONG, 0));
    EQ_INT(meridian_exec(db, "INSERT INTO api_t VALUES (9)"), MERIDIAN_ERROR);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "25006");
    fine(db, meridian_rollback(db));
    fine(db, meridian_begin(db));
    do_sql(db, "DELETE FROM api_t");
    fine(db, meridian_rollback(db));
    EQ_INT(number(db, "SELECT count(*) FROM api_t"), 2);
    do_sql(db, "DROP TABLE api_t");
    meridian_close(db);
}

struct moves {
    int calls, give_up_at;
    bool swallow;
};

static int move(meridian *db, void *ctx) {
    struct moves *m = ctx;
    m->calls++;
    int code = meridian_exec(db, "UPDATE api_r SET n = n + 1 WHERE id = 1");
    if (code)
        return code;
    if (m->swallow) {
        (void)meridian_exec(db, "SELECT 1/0"); /* an error that is not told */
        return MERIDIAN_OK;
    }
    return m->calls < m->give_up_at ? MERIDIAN_ABORTED : MERIDIAN_OK;
}

static int other_code(meridian *db, void *ctx) {
    (void)ctx;
    return meridian_exec(db, "UPDATE api_r SET n = 77 WHERE id = 1") ? MERIDIAN_ERROR : 4711;
}

static int commits_itself(meridian *db, void *ctx) {
    (void)ctx;
    return meridian_commit(db);
}

static void test_run(void) {
    meridian *db = open_db();
    struct meridian_run_options o = {.size = sizeof o, .attempts_max = 3};
    struct moves m = {.give_up_at = 3};
    fresh(db, "api_r", "id int4 PRIMARY KEY, n int4");
    do_sql(db, "INSERT INTO api_r VALUES (1, 0)");
    EQ_INT(meridian_run(db, NULL, move, &m), MERIDIAN_OK);
    EQ_INT(m.calls, 3);
    EQ_INT(number(db, "SELECT n FROM api_r"), 1);
    m = (struct moves){.give_up_at = 100};
    EQ_INT(meridian_run(db, &o, move, &m), MERIDIAN_ABORTED);
    EQ_INT(m.calls, 3);
    m = (struct moves){.swallow = true};
    EQ_INT(meridian_run(db, &o, move, &m), MERIDIAN_ERROR);
    EQ_INT(m.calls, 1);
    EQ_INT(meridian_run(db, &o, other_code, NULL), 4711);
    EQ_INT(meridian_run(db, &o, commits_itself, NULL), MERIDIAN_MISUSE);
    o.read_only = 1;
    m = (struct moves){0};
    EQ_INT(meridian_run(db, &o, move, &m), MERIDIAN_ERROR);
    EQ_INT(meridian_run(db, &o, NULL, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_state(db), 'I');
    EQ_INT(number(db, "SELECT n FROM api_r"), 1);
    meridian_close(db);
}

enum { RUNNERS = 4, RUNS = 10 };

static int increment(meridian *db, void *ctx) {
    meridian_stmt *st;
    (void)ctx;
    int code = meridian_prepare(db, "SELECT n FROM api_r WHERE id = 1", -1, &st);
    if (code)
        return code;
    code = meridian_step(st);
    int64_t n = code == MERIDIAN_ROW ? meridian_column_int64(st, 0) : 0;
    meridian_finalize(st);
    if (code != MERIDIAN_ROW)
        return code;
    code = meridian_prepare(db, "UPDATE api_r SET n = $1 WHERE id = 1", -1, &st);
    if (code)
        return code;
    (void)meridian_bind_int64(st, 1, n + 1);
    code = meridian_step(st);
    meridian_finalize(st);
    return code == MERIDIAN_DONE ? MERIDIAN_OK : code;
}

static void *runner(void *arg) {
    meridian *db = arg;
    uintptr_t bad = 0;
    struct meridian_run_options o = {.size = sizeof o, .attempts_max = 1000};
    if (meridian_adopt(db) || meridian_exec(db, "SET default_transaction_isolation = 'serializable'"))
        bad++;
    for (int i = 0; i < RUNS && !bad; i++)
        bad += meridian_run(db, &o, increment, NULL) != MERIDIAN_OK;
    meridian_close(db);
    return (void *)bad; // NOLINT
}

/* Read-modify-write from several threads: none is lost. */
static void test_run_contended(void) {
    pthread_t t[RUNNERS];
    meridian *db = open_db();
    do_sql(db, "UPDATE api_r SET n = 0");
    for (int i = 0; i < RUNNERS; i++) {
        meridian *one;
        EQ_INT(meridian_clone(db, &one), MERIDIAN_OK);
        CHECK(pthread_create(&t[i], NULL, runner, one) == 0);
    }
    for (int i = 0; i < RUNNERS; i++) {
        void *bad;
        pthread_join(t[i], &bad);
        OK(bad == NULL);
    }
    EQ_INT(number(db, "SELECT n FROM api_r"), RUNNERS * RUNS);
    do_sql(db, "DROP TABLE api_r");
    meridian_close(db);
}

static void test_copy(void) {
    meridian *db = open_db();
    meridian_stmt *st;
    char got[64] = "";
    const void *data;
    size_t bytes;
    fresh(db, "api_c", "a int4 PRIMARY KEY, b text");
    fine(db, meridian_query(db, "COPY api_c FROM STDIN", -1, &st));
    EQ_INT(meridian_step(st), MERIDIAN_COPY_IN);
    EQ_INT(meridian_step(st), MERIDIAN_MISUSE);
    fine(db, meridian_copy_write(st, "1\to", 3));
    fine(db, meridian_copy_write(st, "ne\n2\ttwo\n", 9));
    fine(db, meridian_copy_end(st, NULL));
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_STR(meridian_tag(st), "COPY 2");
    EQ_INT(meridian_next(st), MERIDIAN_DONE);
    meridian_finalize(st);
    fine(db, meridian_query(db, "COPY api_c FROM STDIN", -1, &st));
    EQ_INT(meridian_step(st), MERIDIAN_COPY_IN);
    fine(db, meridian_copy_write(st, "3\tx\n", 4));
    fine(db, meridian_copy_end(st, "changed my mind"));
    EQ_INT(meridian_step(st), MERIDIAN_CANCELLED);
    meridian_finalize(st);
    fine(db, meridian_query(db, "COPY api_c FROM STDIN", -1, &st));
    EQ_INT(meridian_step(st), MERIDIAN_COPY_IN);
    meridian_finalize(st); /* given up */
    fine(db, meridian_query(db, "COPY api_c TO STDOUT", -1, &st));
    EQ_INT(meridian_step(st), MERIDIAN_COPY_OUT);
    while (meridian_copy_read(st, &data, &bytes) == MERIDIAN_OK && bytes)
        strncat(got, data, bytes);
    EQ_STR(got, "1\tone\n2\ttwo\n");
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_STR(meridian_tag(st), "COPY 2");
    meridian_finalize(st);
    EQ_INT(meridian_exec(db, "COPY api_c TO STDOUT"), MERIDIAN_MISUSE);
    do_sql(db, "DROP TABLE api_c");
    meridian_close(db);
}

struct cancelling {
    meridian *db;
    _Atomic bool over;
};

/* Again and again, until it has been heard: the statement may not have begun yet. */
static void *cancels(void *arg) {
    struct cancelling *c = arg;
    while (!atomic_load(&c->over)) {
        (void)meridian_cancel(c->db);
        (void)poll(NULL, 0, 20);
    }
    return NULL;
}

static int give_up(void *ctx) {
    return ++*(int *)ctx > 2;
}

static void *use_it(void *arg) {
    uintptr_t code = (uintptr_t)meridian_exec(arg, "SELECT 1");
    return (void *)code; // NOLINT
}

static void *adopt_it(void *arg) {
    uintptr_t code = (uintptr_t)meridian_adopt(arg);
    if (!code)
        code = (uintptr_t)meridian_exec(arg, "SELECT 1");
    return (void *)code; // NOLINT
}

static void test_cancel(void) {
    pthread_t t;
    meridian *db = open_db();
    int asked = 0;
    struct cancelling c = {.db = db};
    CHECK(pthread_create(&t, NULL, cancels, &c) == 0);
    EQ_INT(meridian_exec(db, "SELECT pg_sleep(30)"), MERIDIAN_CANCELLED);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "57014");
    atomic_store(&c.over, true);
    pthread_join(t, NULL);
    meridian_reset(db); /* a request may still be on its way */
    fine(db, meridian_on_progress(db, 20, give_up, &asked));
    EQ_INT(meridian_exec(db, "SELECT pg_sleep(30)"), MERIDIAN_CANCELLED);
    OK(asked > 2);
    EQ_INT(meridian_on_progress(db, 0, give_up, NULL), MERIDIAN_MISUSE);
    fine(db, meridian_on_progress(db, 0, NULL, NULL));
    EQ_INT(number(db, "SELECT 5"), 5);
    meridian_close(db);
}

static void on_notice(meridian *db, void *ctx) {
    char *text = ctx;
    snprintf(text, 80, "%s: %s", meridian_notice_field(db, MERIDIAN_FIELD_SEVERITY),
             meridian_notice_field(db, MERIDIAN_FIELD_MESSAGE));
    EQ_INT(meridian_exec(db, "SELECT 1"), MERIDIAN_MISUSE); /* not from here */
}

static void test_notice(void) {
    meridian *db = open_db();
    char text[80] = "";
    fine(db, meridian_on_notice(db, on_notice, text));
    do_sql(db, "DROP TABLE IF EXISTS api_none");
    EQ_STR(text, "NOTICE: table \"api_none\" does not exist, skipping");
    OK(meridian_notice_field(db, MERIDIAN_FIELD_MESSAGE) == NULL);
    meridian_close(db);
}

/* Wrong use is an error, never a crash. */
static void test_misuse(void) {
    meridian *kept = open_db(), *db = kept;
    meridian_stmt *st, *orphan;
    pthread_t t;
    void *code;
    size_t bytes;
    const void *data;
    EQ_INT(meridian_exec(NULL, "SELECT 1"), MERIDIAN_MISUSE);
    EQ_INT(meridian_exec(db, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_prepare(db, NULL, -1, &st), MERIDIAN_MISUSE);
    EQ_INT(meridian_prepare(db, "SELECT 1", -1, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_prepare(db, "SELECT\0 1", 9, &st), MERIDIAN_MISMATCH);
    EQ_INT(meridian_prepare(NULL, "SELECT 1", -1, &st), MERIDIAN_MISUSE);
    EQ_INT(meridian_step(NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_next(NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_reset_stmt(NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_bind_int64(NULL, 1, 1), MERIDIAN_MISUSE);
    EQ_INT(meridian_finalize(NULL), MERIDIAN_OK);
    EQ_INT(meridian_column_count(NULL), -1);
    OK(meridian_column_text(NULL, 0) == NULL);
    OK(meridian_column_blob(NULL, 0, NULL) == NULL);
    EQ_INT(meridian_column_type(NULL, 0), -1);
    EQ_INT(meridian_copy_write(NULL, "", 0), MERIDIAN_MISUSE);
    EQ_INT(meridian_run(NULL, NULL, increment, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_cancel(NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_adopt(NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_clone(NULL, &db), MERIDIAN_MISUSE);
    OK(db == NULL);
    db = kept;
    EQ_INT(meridian_clone(db, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_errcode(NULL), MERIDIAN_MISUSE);
    OK(meridian_errmsg(NULL) != NULL);
    EQ_INT(meridian_begin_read(db, 17, 0), MERIDIAN_MISUSE);
    EQ_INT(meridian_begin_read(db, MERIDIAN_EXACT, -1), MERIDIAN_MISUSE);

    fine(db, meridian_prepare(db, "SELECT $1::int4", -1, &st));
    EQ_INT(meridian_bind_int64(st, 0, 1), MERIDIAN_RANGE);
    EQ_INT(meridian_bind_int64(st, 2, 1), MERIDIAN_RANGE);
    EQ_INT(meridian_bind_text(st, 1, "a\0b", 3), MERIDIAN_MISMATCH);
    EQ_INT(meridian_column_int64(st, 0), 0);
    EQ_INT(meridian_errcode(db), MERIDIAN_MISUSE); /* there is no row */
    EQ_INT(meridian_next(st), MERIDIAN_MISUSE);
    EQ_INT(meridian_copy_read(st, &data, &bytes), MERIDIAN_MISUSE);
    EQ_INT(meridian_copy_end(st, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    EQ_INT(meridian_bind_int64(st, 1, 1), MERIDIAN_MISUSE); /* it runs */
    OK(meridian_column_text(st, 1) == NULL);
    EQ_INT(meridian_errcode(db), MERIDIAN_RANGE);
    OK(meridian_column_name(st, -1) == NULL);

    CHECK(pthread_create(&t, NULL, use_it, db) == 0);
    pthread_join(t, &code);
    EQ_INT((intptr_t)code, MERIDIAN_MISUSE); /* another thread's */
    CHECK(pthread_create(&t, NULL, adopt_it, db) == 0);
    pthread_join(t, &code);
    EQ_INT((intptr_t)code, MERIDIAN_OK);
    EQ_INT(meridian_exec(db, "SELECT 1"), MERIDIAN_MISUSE); /* now that one's */
    EQ_INT(meridian_finalize(st), MERIDIAN_MISUSE);
    EQ_INT(meridian_close(db), MERIDIAN_MISUSE);
    fine(db, meridian_adopt(db));
    meridian_finalize(st);

    fine(db, meridian_prepare(db, "SELECT 1", -1, &orphan));
    EQ_INT(meridian_step(orphan), MERIDIAN_ROW);
    EQ_INT(meridian_close(db), MERIDIAN_OK);
    EQ_INT(meridian_step(orphan), MERIDIAN_MISUSE);
    EQ_INT(meridian_column_int64(orphan, 0), 0);
    EQ_INT(meridian_bind_int64(orphan, 1, 1), MERIDIAN_MISUSE);
    EQ_INT(meridian_finalize(orphan), MERIDIAN_OK);
}

/* Every function of meridian.h without a handle, then with a statement whose connection is closed. */
static void refuses(meridian *db, meridian_stmt *st) {
    const void *data;
    size_t bytes;
    int64_t ns;
    int outcome;
    char token[MERIDIAN_TOKEN_BYTES];
    meridian_stmt *other;
    EQ_INT(meridian_reset(db), MERIDIAN_MISUSE);
    OK(!meridian_info(db, MERIDIAN_INFO_USER) && !meridian_parameter(db, "TimeZone") && !meridian_state(db));
    OK(!meridian_error_field(db, MERIDIAN_FIELD_MESSAGE) && !meridian_notice_field(db, MERIDIAN_FIELD_MESSAGE));
    OK(!meridian_error_position(db) && meridian_error_retry(db) == MERIDIAN_RETRY_NO);
    EQ_INT(meridian_on_progress(db, 1, NULL, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_on_notice(db, NULL, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_query(db, "SELECT 1", -1, &other), MERIDIAN_MISUSE);
    EQ_INT(meridian_begin(db), MERIDIAN_MISUSE);
    EQ_INT(meridian_begin_read(db, MERIDIAN_STRONG, 0), MERIDIAN_MISUSE);
    EQ_INT(meridian_commit(db), MERIDIAN_MISUSE);
    EQ_INT(meridian_rollback(db), MERIDIAN_MISUSE);
    EQ_INT(meridian_savepoint(db, "s"), MERIDIAN_MISUSE);
    EQ_INT(meridian_release(db, "s"), MERIDIAN_MISUSE);
    EQ_INT(meridian_rollback_to(db, "s"), MERIDIAN_MISUSE);
    EQ_INT(meridian_commit_token(db, token, sizeof token), MERIDIAN_MISUSE);
    EQ_INT(meridian_txn_status(db, "x", &outcome), MERIDIAN_MISUSE);
    EQ_INT(meridian_commit_timestamp(db, &ns), MERIDIAN_MISUSE);
    EQ_INT(meridian_trace(db, &other), MERIDIAN_MISUSE);
    EQ_INT(meridian_param_count(st), -1);
    EQ_INT(meridian_param_oid(st, 1), 0);
    EQ_INT(meridian_bind_null(st, 1), MERIDIAN_MISUSE);
    EQ_INT(meridian_bind_bool(st, 1, 1), MERIDIAN_MISUSE);
    EQ_INT(meridian_bind_double(st, 1, 1), MERIDIAN_MISUSE);
    EQ_INT(meridian_bind_text(st, 1, "x", -1), MERIDIAN_MISUSE);
    EQ_INT(meridian_bind_blob(st, 1, "x", 1), MERIDIAN_MISUSE);
    EQ_INT(meridian_clear_bindings(st), MERIDIAN_MISUSE);
    EQ_INT(meridian_step(st), MERIDIAN_MISUSE);
    EQ_INT(meridian_next(st), MERIDIAN_MISUSE);
    EQ_INT(meridian_reset_stmt(st), MERIDIAN_MISUSE);
    OK(meridian_tag(st) == NULL);
    EQ_INT(meridian_changes(st), -1);
    EQ_INT(meridian_column_count(st), -1);
    OK(!meridian_column_name(st, 0) && !meridian_column_oid(st, 0) && meridian_column_type(st, 0) == -1);
    OK(!meridian_column_text(st, 0) && !meridian_column_bytes(st, 0) && !meridian_column_blob(st, 0, &bytes));
    OK(!meridian_column_int64(st, 0) && !meridian_column_bool(st, 0) && meridian_column_double(st, 0) == 0);
    (void)meridian_column_is_null(st, 0); /* either will do */
    EQ_INT(meridian_copy_write(st, "x", 1), MERIDIAN_MISUSE);
    EQ_INT(meridian_copy_end(st, NULL), MERIDIAN_MISUSE);
    EQ_INT(meridian_copy_read(st, &data, &bytes), MERIDIAN_MISUSE);
}

static void test_every_function_refuses(void) {
    meridian_stmt *orphan;
    refuses(NULL, NULL);
    meridian *db = open_db();
    fine(db, meridian_prepare(db, "SELECT $1::int8", -1, &orphan));
    EQ_INT(meridian_close(db), MERIDIAN_OK);
    refuses(NULL, orphan);
    EQ_INT(meridian_finalize(orphan), MERIDIAN_OK);
    OK(meridian_version()[0] != '\0');
}

/* A child of fork() has handles that are none: its parent goes on with them. */
static void test_fork(void) {
    meridian *db = open_db();
    meridian_stmt *st;
    int status;
    fine(db, meridian_prepare(db, "SELECT 6 * 7", -1, &st));
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)alarm(20);
        bool refused = meridian_exec(db, "SELECT 1") == MERIDIAN_MISUSE && meridian_step(st) == MERIDIAN_MISUSE &&
                       meridian_column_int64(st, 0) == 0 && meridian_cancel(db) == MERIDIAN_MISUSE &&
                       meridian_adopt(db) == MERIDIAN_MISUSE && meridian_finalize(st) == MERIDIAN_MISUSE &&
                       meridian_close(db) == MERIDIAN_MISUSE;
        _exit(refused ? 0 : 1);
    }
    EQ_INT(waitpid(pid, &status, 0), pid);
    EQ_INT(status, 0);
    EQ_INT(meridian_column_int64(st, 0), 42);
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    meridian_finalize(st);
    meridian_close(db);
}

enum { BIG_BYTES = 1 << 20 };

static void test_limits(void) {
    static const double doubles[] = {0x1.fffffffffffffp1023, -0x1p-1074, 0.0, 1e308};
    meridian *db = open_db();
    meridian_stmt *st;
    size_t bytes;
    uint8_t *big = malloc(BIG_BYTES);
    CHECK(big);
    for (size_t i = 0; i < BIG_BYTES; i++)
        big[i] = (uint8_t)(i * 7 + i / 251);
    fresh(db, "api_l", "id int8 PRIMARY KEY, y bytea, d float8, t text");
    fine(db, meridian_prepare(db, "INSERT INTO api_l VALUES ($1, $2, $3, $4)", -1, &st));
    for (int i = 0; i < 4; i++) {
        fine(db, meridian_bind_int64(st, 1, i == 0 ? INT64_MIN : i == 1 ? INT64_MAX : i));
        fine(db,
             i == 3 ? meridian_bind_null(st, 2) : meridian_bind_blob(st, 2, big, i == 0 ? BIG_BYTES : (size_t)i - 1));
        fine(db, meridian_bind_double(st, 3, doubles[i]));
        fine(db, meridian_bind_text(st, 4, i == 2 ? NULL : "", -1));
        int code = meridian_step(st);
        OKF(code == MERIDIAN_DONE, "%d: %s", i, meridian_errmsg(db));
    }
    fine(db, meridian_bind_text(st, 1, "9223372036854775808", -1));
    EQ_INT(meridian_step(st), MERIDIAN_ERROR);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "22003");
    meridian_finalize(st);
    fine(db, meridian_prepare(db, "SELECT id, y, d, t FROM api_l ORDER BY id", -1, &st));
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    EQ_INT(meridian_column_int64(st, 0), INT64_MIN);
    const void *y = meridian_column_blob(st, 1, &bytes);
    OK(y && bytes == BIG_BYTES && memcmp(y, big, BIG_BYTES) == 0);
    OK(meridian_column_double(st, 2) == doubles[0]);
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    OK(meridian_column_blob(st, 1, &bytes) != NULL && bytes == 1);
    OK(meridian_column_is_null(st, 3));
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    OK(meridian_column_is_null(st, 1) && !meridian_column_blob(st, 1, &bytes));
    EQ_STR(meridian_column_text(st, 3), "");
    EQ_INT(meridian_step(st), MERIDIAN_ROW);
    EQ_INT(meridian_column_int64(st, 0), INT64_MAX);
    OK(meridian_column_blob(st, 1, &bytes) != NULL && bytes == 0);
    OK(meridian_column_double(st, 2) == doubles[1]);
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    meridian_finalize(st);
    free(big);
    do_sql(db, "DROP TABLE api_l");
    meridian_close(db);
}

enum { STATEMENTS = 200 };

/* Many at once, none of them read to its end; then the connection goes, and what its block wrote. */
static void test_many_statements(void) {
    meridian *db = open_db(), *other = NULL;
    meridian_stmt *st[STATEMENTS];
    fresh(db, "api_s", "n int4 PRIMARY KEY");
    do_sql(db, "INSERT INTO api_s VALUES (1),(2),(3)");
    for (int i = 0; i < STATEMENTS; i++) {
        if (!fine(db, meridian_prepare(db, "SELECT n + $1::int4 FROM api_s ORDER BY n", -1, &st[i])))
            return;
        fine(db, meridian_bind_int64(st[i], 1, i));
    }
    for (int row = 1; row <= 2; row++)
        for (int i = 0; i < STATEMENTS; i++)
            OK(meridian_step(st[i]) == MERIDIAN_ROW && meridian_column_int64(st[i], 0) == i + row);
    for (int i = 0; i < STATEMENTS; i++)
        fine(db, meridian_reset_stmt(st[i]));
    fine(db, meridian_begin(db));
    do_sql(db, "INSERT INTO api_s VALUES (4)");
    EQ_INT(meridian_step(st[0]), MERIDIAN_ROW);
    EQ_INT(meridian_clone(db, &other), MERIDIAN_OK);
    fine(other, meridian_close(db));
    for (int i = 0; i < STATEMENTS; i++)
        EQ_INT(meridian_finalize(st[i]), MERIDIAN_OK);
    EQ_INT(number(other, "SELECT count(*) FROM api_s"), 3);
    do_sql(other, "DROP TABLE api_s");
    meridian_close(other);
}

static void *open_too(void *arg) {
    meridian *db;
    int code = meridian_open(arg, &db);
    if (code == MERIDIAN_BUSY && strstr(meridian_errmsg(db), "in use") == NULL)
        code = MERIDIAN_ERROR;
    meridian_close(db);
    return (void *)(uintptr_t)code; // NOLINT
}

/* A directory belongs to one meridian_open, of whatever thread; a server to as many as like. */
static void test_opened_twice(void) {
    pthread_t t;
    void *code;
    meridian *db = open_db();
    int want = strcmp(meridian_info(db, MERIDIAN_INFO_URL_KIND), "embedded") == 0 ? MERIDIAN_BUSY : MERIDIAN_OK;
    CHECK(pthread_create(&t, NULL, open_too, (void *)(uintptr_t)conf->url) == 0);
    pthread_join(t, &code);
    EQ_INT((intptr_t)code, want);
    EQ_INT((intptr_t)open_too((void *)(uintptr_t)conf->url), want);
    EQ_INT(number(db, "SELECT 1"), 1);
    meridian_close(db);
    EQ_INT((intptr_t)open_too((void *)(uintptr_t)conf->url), MERIDIAN_OK);
}

static int note(meridian *db, void *ctx) {
    return meridian_commit_token(db, ctx, MERIDIAN_TOKEN_BYTES);
}

static void test_meridian(void) {
    meridian *db = open_db();
    char token[MERIDIAN_TOKEN_BYTES];
    int64_t ns;
    int outcome = -1;
    meridian_stmt *st;
    if (!conf->meridian) {
        EQ_INT(meridian_commit_timestamp(db, &ns), MERIDIAN_UNSUPPORTED);
        EQ_INT(meridian_txn_status(db, "x", &outcome), MERIDIAN_UNSUPPORTED);
        EQ_INT(meridian_trace(db, &st), MERIDIAN_UNSUPPORTED);
        EQ_INT(meridian_begin_read(db, MERIDIAN_EXACT, 1000000000), MERIDIAN_UNSUPPORTED);
        EQ_INT(meridian_state(db), 'I');
        fine(db, meridian_begin(db));
        EQ_INT(meridian_commit_token(db, token, sizeof token), MERIDIAN_UNSUPPORTED);
        fine(db, meridian_rollback(db));
        meridian_close(db);
        return;
    }
    fresh(db, "api_m", "n int4 PRIMARY KEY");
    EQ_INT(meridian_commit_token(db, token, sizeof token), MERIDIAN_MISUSE);
    fine(db, meridian_begin(db));
    do_sql(db, "INSERT INTO api_m VALUES (1)");
    fine(db, meridian_commit_token(db, token, sizeof token));
    fine(db, meridian_commit(db));
    fine(db, meridian_commit_timestamp(db, &ns));
    OK(ns > INT64_C(1600000000000000000));
    fine(db, meridian_txn_status(db, token, &outcome));
    EQ_INT(outcome, MERIDIAN_COMMITTED);
    do_sql(db, "INSERT INTO api_m VALUES (2)");
    fine(db, meridian_begin_read(db, MERIDIAN_AT, ns));
    EQ_INT(number(db, "SELECT count(*) FROM api_m"), 1);
    fine(db, meridian_commit(db));
    EQ_INT(number(db, "SELECT count(*) FROM api_m"), 2);
    EQ_INT(meridian_run(db, NULL, note, token), MERIDIAN_OK);
    do_sql(db, "DROP TABLE api_m");
    meridian_close(db);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: api_suite URL [meridian]\n");
        return 2;
    }
    __typeof__(*conf) given = {.url = argv[1], .meridian = argc > 2 && strcmp(argv[2], "meridian") == 0};
    conf = (const void *)&given;
    RUN(test_open);
    RUN(test_values);
    RUN(test_errors);
    RUN(test_query);
    RUN(test_interleaved);
    RUN(test_transactions);
    RUN(test_run);
    RUN(test_run_contended);
    RUN(test_copy);
    RUN(test_cancel);
    RUN(test_notice);
    RUN(test_misuse);
    RUN(test_every_function_refuses);
    RUN(test_fork);
    RUN(test_limits);
    RUN(test_many_statements);
    RUN(test_opened_twice);
    RUN(test_meridian);
    return tap_done();
}
