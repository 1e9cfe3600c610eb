/* SPDX-License-Identifier: Apache-2.0 */
/* Fragments and what is behind them: plans, the order of late outcomes, budgets, refusals, faults in the middle of a batch. */
#include "shard/store/fragment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/rowbatch.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/unit/store/faultenv.h"
#include "tests/unit/store/mvcckit.h"

enum { T = 21, ROWS = 3000 };

struct kit {
    struct reactor *r;
    struct vfs *v;
    struct mvcc_store *s;
    struct mvcc *m;
    struct err err;
    char path[300];
    int64_t slot;
};

#define FINE(k, x)                                                                                                     \
    do {                                                                                                               \
        enum rc rc_ = (x);                                                                                             \
        OKF(rc_ == RC_OK, "%s: %s", #x, err_message(&(k)->err));                                                       \
    } while (0)

/* c1 int8 key, c2 int8 with an index, c3 text */
static const struct table_col cols[] = {
    {.id = 1, .col = {.type = COL_INT8, .typmod = -1}, .not_null = true},
    {.id = 2, .col = {.type = COL_INT8, .typmod = -1}},
    {.id = 3, .col = {.type = COL_TEXT, .typmod = -1}},
};
static const struct table_part key_rowid[] = {{0, false}}, key_two[] = {{1, false}, {0, false}}, by_c2[] = {{1, false}};
static const struct table_index indexes[] = {{.id = 1, .n_parts = 1, .parts = by_c2}};
static const struct table rowid_table = {.id = T,
                                         .group = T,
                                         .version = 1,
                                         .n_cols = 3,
                                         .n_key = 1,
                                         .n_indexes = 1,
                                         .cols = cols,
                                         .key = key_rowid,
                                         .indexes = indexes};

static void kit_open(struct kit *k, struct reactor *r, const char *name, const struct table *t) {
    struct mvcc_state state = {.tablet = 3, .floor = 10};
    *k = (struct kit){.r = r};
    snprintf(k->path, sizeof k->path, "%s/%s", tap_dir(), name);
    CHECK(vfs_new(reactor_env(r), &k->v) == RC_OK && mvcc_store_new(r, k->v, NULL, &k->s) == RC_OK);
    FINE(k, mvcc_create(k->s, k->path, &state, &k->err));
    FINE(k, mvcc_open(k->s, k->path, &k->m, &k->err));
    FINE(k, mvcc_slot_begin(k->m, ++k->slot, (struct mvcc_bytes){"b", 1}, 10, &k->err));
    FINE(k, mvcc_put_table(k->m, t, &k->err));
    FINE(k, mvcc_slot_end(k->m, &k->err));
}

static void kit_close(struct kit *k) {
    mvcc_close(k->m);
    mvcc_store_free(k->s);
    vfs_free(k->v);
}

/* One row at ts; the floor goes with it unless it is higher. */
static enum rc put(struct kit *k, int64_t ts, int64_t floor, int64_t c1, int64_t c2, const char *c3) {
    struct value row[3] = {value_int(c1), value_int(c2), value_text(c3, strlen(c3))};
    struct mvcc_mutation x = {.table = T, .n_values = 3, .values = row};
    enum rc rc = mvcc_slot_begin(k->m, ++k->slot, (struct mvcc_bytes){"b", 1}, floor, &k->err);
    if (!rc)
        rc = mvcc_write(k->m, ts, &x, 1, &k->err);
    return rc ? rc : mvcc_slot_end(k->m, &k->err);
}

struct answer {
    struct buf text; /* "1,2,x;" */
    int batches;
};

static enum rc on_batch(struct mvcc_bytes b, bool last, void *ctx, struct err *err) {
    struct answer *a = ctx;
    struct rowbatch_reader rd;
    struct value v[8];
    (void)last;
    a->batches++;
    enum rc rc = rowbatch_open(&rd, b.p, b.n, err);
    while (!rc && !(rc = rowbatch_next(&rd, v, err))) {
        for (int i = 0; i < rd.n_cols; i++)
            if (v[i].kind == VALUE_INT)
                buf_printf(&a->text, "%s%" PRId64, i ? "," : "", v[i].i);
            else
                buf_printf(&a->text, "%s%.*s", i ? "," : "", (int)v[i].bytes,
                           v[i].kind == VALUE_NULL ? "" : (const char *)v[i].p);
        buf_putc(&a->text, ';');
    }
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

static enum rc ask(struct kit *k, const struct fragment *f, int64_t ts, int form, struct answer *a,
                   struct fragment_result *result) {
    struct fragment_run run = {.fragment = f, .ts = ts, .form = form, .on_batch = on_batch, .ctx = a};
    *a = (struct answer){.batches = 0};
    buf_init(&a->text, 0);
    return fragment_run(k->m, &run, result, &k->err);
}

static void says(struct kit *k, const char *sql, int64_t ts, const char *want) {
    struct fragment f = {.id = hash_str(sql, 1), .sql = sql};
    for (int form = 0; form <= FORM_COUNT; form++) {
        struct answer a;
        struct fragment_result result;
        FINE(k, ask(k, &f, ts, form, &a, &result));
        EQ_STR(buf_cstr(&a.text), want);
        buf_done(&a.text);
    }
}

/* ---- N-4 ---- */

/* A prepares key 1 at 100; B commits key 2 at 200; A's outcome 110 comes; a read at 150 must still see what B replaced. */
static void late_outcome_body(struct reactor *r) {
    struct kit k;
    kit_open(&k, r, "late", &rowid_table);
    FINE(&k, put(&k, 50, 50, 1, 1, "a50"));
    FINE(&k, put(&k, 60, 60, 2, 2, "b60"));
    FINE(&k, put(&k, 200, 200, 2, 2, "b200"));
    FINE(&k, put(&k, 110, 200, 1, 1, "a110"));
    says(&k, "SELECT c3 FROM {21} ORDER BY c1", 150, "a110;b60;");
    says(&k, "SELECT c3 FROM {21} ORDER BY c1", 105, "a50;b60;");
    says(&k, "SELECT c3 FROM {21} ORDER BY c1", 199, "a110;b60;");
    says(&k, "SELECT c3 FROM {21} ORDER BY c1", 200, "a110;b200;");
    says(&k, "SELECT c3 FROM {21} WHERE c2=2", 150, "b60;");
    EQ_INT(mvcc_last_commit(k.m, T), 200); /* a maximum */
    FINE(&k, mvcc_flush(k.m, &k.err));
    FINE(&k, mvcc_reload(k.m, &k.err));
    EQ_INT(mvcc_last_commit(k.m, T), 200); /* the stored floor */
    says(&k, "SELECT c3 FROM {21} ORDER BY c1", 150, "a110;b60;");
    kit_close(&k);
}

static void late_outcome_between_two_reads(void) {
    on_fiber(DIAG_WARN, late_outcome_body);
}

/* ---- plans ---- */

static void plan_has(struct kit *k, const char *sql, bool simple, enum form form, const char *const *has,
                     const char *const *not_has) {
    struct fragment f = {.sql = sql, .n_params = 2, .simple = simple};
    struct buf plan;
    buf_init(&plan, 0);
    FINE(k, fragment_explain(k->m, &f, form, &plan, &k->err));
    const char *text = buf_cstr(&plan);
    for (; *has; has++)
        OKF(text && strstr(text, *has), "\"%s\" is not in the plan of %s:\n%s", *has, sql, text);
    for (; *not_has; not_has++)
        OKF(text && !strstr(text, *not_has), "\"%s\" is in the plan of %s:\n%s", *not_has, sql, text);
    buf_done(&plan);
}

#define LIST(...)                                                                                                      \
    (const char *const[]) {                                                                                            \
        __VA_ARGS__, NULL                                                                                              \
    }

static void plans_of(struct kit *k, const char *by_key) {
    plan_has(k, "SELECT c3 FROM {21} WHERE c1=?1 AND c2=?2", false, FORM_LATEST, LIST(by_key), LIST("SCAN", "TEMP"));
    plan_has(k, "SELECT c3 FROM {21} AS a WHERE c1=?1 AND c2=?2", true, FORM_SIMPLE, LIST(by_key, "USING INDEX t21_hk"),
             LIST("SCAN", "TEMP"));
    plan_has(k, "SELECT c3 FROM {21} AS a", true, FORM_SIMPLE, LIST("SEARCH t21_h USING INTEGER PRIMARY KEY (rowid>?)"),
             LIST("SCAN t21_h", "TEMP"));
    plan_has(k, "SELECT c3 FROM {21} WHERE c1=?1 AND c2=?2", false, FORM_VIEW,
             LIST("INDEX 0:K=", by_key, "INDEX t21_hk"), LIST("SCAN t21", "MATERIALIZE"));
    plan_has(k, "SELECT a.c3 FROM {21} AS b LEFT JOIN {21} AS a ON a.c1=b.c2 AND a.c2=b.c2 WHERE b.c1=?1 AND b.c2=?2",
             false, FORM_VIEW, LIST("INDEX 0:K="), LIST("MATERIALIZE", "SCAN t21"));
}

static void plans_body(struct reactor *r) {
    struct kit k;
    kit_open(&k, r, "plans", &rowid_table);
    plans_of(&k, "INTEGER PRIMARY KEY (rowid=?)");
    /* order and index of the view */
    plan_has(&k, "SELECT c1 FROM {21} WHERE c1>?1 ORDER BY c1 LIMIT 10", false, FORM_VIEW,
             LIST("K>-o.", "SEARCH t21 USING INTEGER PRIMARY KEY (rowid>?)",
                  "SEARCH t21_h USING INTEGER PRIMARY KEY (rowid>?)"),
             LIST("SCAN t21"));
    plan_has(&k, "SELECT max(c1) FROM {21}", false, FORM_VIEW, LIST("K--or"),
             LIST("USE TEMP B-TREE FOR ORDER BY\nUSE"));
    plan_has(&k, "SELECT c1 FROM {21} WHERE c2=?1", false, FORM_VIEW, LIST("I1=", "USING INDEX t21_i1 (c2=?)"),
             LIST("SCAN t21", "TEMP"));
    plan_has(&k, "SELECT c1 FROM {21} WHERE c2>=?1 AND c2<?2 ORDER BY c2", false, FORM_VIEW,
             LIST("I1g<o.", "USING INDEX t21_i1 (c2>? AND c2<?)"), LIST("SCAN t21 "));
    plan_has(&k, "SELECT c1 FROM {21} WHERE c1 IN (?1,?2)", false, FORM_VIEW, LIST("K="), LIST("SCAN t21"));
    plan_has(&k, "SELECT c1 FROM {21} AS a WHERE EXISTS(SELECT 1 FROM {21} AS b WHERE b.c1=a.c2)", false, FORM_VIEW,
             LIST("CORRELATED", "K="), LIST("MATERIALIZE"));
    kit_close(&k);

    struct table two = rowid_table;
    struct table_col cols_two[3];
    memcpy(cols_two, cols, sizeof cols);
    cols_two[1].not_null = true;
    two.cols = cols_two;
    two.key = key_two;
    two.n_key = 2;
    kit_open(&k, r, "plans2", &two);
    plans_of(&k, "PRIMARY KEY (c2=? AND c1=?)");
    plan_has(&k, "SELECT c1 FROM {21} WHERE c2=?1 AND c1>=?2 ORDER BY c1", false, FORM_VIEW,
             LIST("K=g-o.", "PRIMARY KEY (c2=? AND c1>?)", "INDEX t21_hk (c2=? AND c1>?)"), LIST("SCAN t21"));
    kit_close(&k);

    struct table heap = two;
    heap.cols = cols; /* c2 may be NULL */
    kit_open(&k, r, "plans3", &heap);
    plans_of(&k, "INDEX t21_k (c2=? AND c1=?)");
    kit_close(&k);
}

static void no_table_is_scanned_unasked(void) {
    on_fiber(DIAG_WARN, plans_body);
}

/* ---- budgets, refusals ---- */

static void fill(struct kit *k, int n) {
    for (int i = 0; i < n; i++) {
        struct value row[3] = {value_int(i), value_int(i % 10), value_text("some text", 9)};
        struct mvcc_mutation x = {.table = T, .n_values = 3, .values = row};
        FINE(k, mvcc_slot_begin(k->m, ++k->slot, (struct mvcc_bytes){"b", 1}, 20 + i, &k->err));
        FINE(k, mvcc_write(k->m, 20 + i, &x, 1, &k->err));
        FINE(k, mvcc_slot_end(k->m, &k->err));
    }
}

static void budget_body(struct reactor *r) {
    struct kit k;
    struct answer a;
    struct fragment_result result;
    kit_open(&k, r, "budget", &rowid_table);
    fill(&k, ROWS);
    /* A batch is open, and stays: a fragment that takes too long restarts on a reader, which commits first. */
    struct fragment shorter = {.id = 1, .sql = "SELECT c1 FROM {21} WHERE c1=7"};
    FINE(&k, ask(&k, &shorter, FRAGMENT_LATEST, 0, &a, &result));
    OK(!result.on_reader && result.form == FORM_LATEST);
    EQ_STR(buf_cstr(&a.text), "7;");
    buf_done(&a.text);
    EQ_INT(mvcc_committed_slot(k.m), 0);
    struct fragment longer = {.id = 2, .sql = "SELECT count(*) FROM {21} AS a, {21} AS b WHERE a.c1<40"};
    FINE(&k, ask(&k, &longer, FRAGMENT_LATEST, 0, &a, &result));
    OK(result.on_reader);
    EQ_STR(buf_cstr(&a.text), "120000;");
    buf_done(&a.text);
    EQ_INT(mvcc_committed_slot(k.m), k.slot);
    EQ_INT(counter_get(&mvcc_store_stats(k.s)->restarts), 1);
    FINE(&k, ask(&k, &longer, FRAGMENT_LATEST, 0, &a, &result)); /* now known: no second try in vain */
    EQ_INT(counter_get(&mvcc_store_stats(k.s)->restarts), 1);
    buf_done(&a.text);
    struct fragment many = {.id = 3, .sql = "SELECT c1,c3,c3,c3,c3 FROM {21}"};
    FINE(&k, ask(&k, &many, FRAGMENT_LATEST, 0, &a, &result));
    OK(result.on_reader && a.batches > 1);
    EQ_INT(result.rows, ROWS);
    buf_done(&a.text);
    kit_close(&k);
}

static void long_ones_move_to_a_reader(void) {
    on_fiber(DIAG_WARN, budget_body);
}

static void refuse(struct kit *k, const char *sql, enum rc want) {
    struct fragment f = {.sql = sql};
    struct answer a;
    struct fragment_result result;
    enum rc rc = ask(k, &f, FRAGMENT_LATEST, 0, &a, &result);
    OKF(rc == want, "%s: %s (%s)", sql, rc_name(rc), err_message(&k->err));
    buf_done(&a.text);
}

static void refusals_body(struct reactor *r) {
    struct kit k;
    kit_open(&k, r, "refusals", &rowid_table);
    fill(&k, 5);
    refuse(&k, "DELETE FROM {21}", RC_INVAL);
    refuse(&k, "WITH x AS (SELECT 1) INSERT INTO {21} SELECT * FROM x", RC_INVAL);
    refuse(&k, "SELECT 1; DELETE FROM t21", RC_INVAL);
    refuse(&k, "PRAGMA user_version=3", RC_INVAL);
    refuse(&k, "SELECT * FROM {22}", RC_INVAL);
    refuse(&k, "SELECT * FROM {x}", RC_INVAL);
    refuse(&k, "SELECT * FROM {21", RC_INVAL);
    refuse(&k, "SELECT nosuch FROM {21}", RC_INVAL);
    refuse(&k, "SELECT ?5 FROM {21}", RC_INVAL);
    refuse(&k, "SELECT '{99}', c1 FROM {21} -- {98}", RC_OK);
    says(&k, "SELECT count(*) FROM {21}", FRAGMENT_LATEST, "5;");
    OK(!mvcc_broken(k.m));
    kit_close(&k);
}

static void only_reads_pass(void) {
    on_fiber(DIAG_WARN, refusals_body);
}

/* ---- what upper layers bring, and ends from outside ---- */

static void fail_function(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc, (void)argv;
    sqlite3_result_error(ctx, "22012:division by zero", -1);
}

static enum rc add_function(sqlite3 *db, void *ctx, struct err *err) {
    ++*(int *)ctx;
    int code = sqlite3_create_function_v2(db, "fail", 0, SQLITE_UTF8, NULL, fail_function, NULL, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : err_sqlite(err, db, "fail");
}

static void ext_body(struct reactor *r) {
    struct kit k = {.r = r};
    struct mvcc_state state = {.tablet = 3, .floor = 10};
    struct fragment f = {.sql = "SELECT fail()"};
    struct answer a;
    struct fragment_result result;
    int opened = 0;
    snprintf(k.path, sizeof k.path, "%s/ext", tap_dir());
    CHECK(vfs_new(reactor_env(r), &k.v) == RC_OK && mvcc_store_new(r, k.v, NULL, &k.s) == RC_OK);
    FINE(&k, mvcc_store_add_ext(k.s, add_function, &opened));
    FINE(&k, mvcc_create(k.s, k.path, &state, &k.err));
    FINE(&k, mvcc_open(k.s, k.path, &k.m, &k.err));
    EQ_INT(ask(&k, &f, FRAGMENT_LATEST, 0, &a, &result), RC_SQL);
    EQ_STR(err_sqlstate(&k.err), "22012");
    EQ_STR(err_message(&k.err), "division by zero");
    buf_done(&a.text);
    EQ_INT(opened, 1); /* on each handle, once */
    struct mvcc_reader *rd = NULL;
    FINE(&k, mvcc_reader_open(k.m, &rd, &k.err));
    EQ_INT(opened, 2);
    mvcc_reader_close(rd);
    kit_close(&k);
}

static void upper_layers_bring_functions(void) {
    on_fiber(DIAG_WARN, ext_body);
}

static void deadline_body(struct reactor *r) {
    struct kit k;
    struct answer a;
    struct fragment_result result;
    struct fragment endless = {
        .sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"};
    kit_open(&k, r, "deadline", &rowid_table);
    fill(&k, 5);
    int64_t before = fiber_set_deadline(r, reactor_now(r) + 20000000);
    EQ_INT(ask(&k, &endless, FRAGMENT_LATEST, 0, &a, &result), RC_TIMEOUT);
    IGNORE(fiber_set_deadline(r, before));
    buf_done(&a.text);
    OK(!mvcc_broken(k.m)); /* the batch is still there */
    says(&k, "SELECT count(*) FROM {21}", FRAGMENT_LATEST, "5;");
    kit_close(&k);
}

static void a_deadline_ends_an_endless_one(void) {
    on_fiber(DIAG_WARN, deadline_body);
}

/* ---- numbers that are equal but longer ---- */

/* Joined without an index of their own: SQLite makes one, and its Bloom filter must not part 1.0 from 1.00 (pgnum.c). */
static void equal_numbers_body(struct reactor *r) {
    static const char *const numbers[] = {"1.0", "1.00", "2", "2.0", "3.50"};
    struct table t = rowid_table;
    struct table_col numeric[3];
    struct kit k;
    memcpy(numeric, cols, sizeof cols);
    numeric[2].col.type = COL_NUMERIC;
    t.cols = numeric;
    kit_open(&k, r, "numbers", &t);
    for (int i = 0; i < (int)ARRAY_LEN(numbers); i++)
        FINE(&k, put(&k, 20 + i, 20 + i, i, i, numbers[i]));
    says(&k, "SELECT count(*) FROM {21} AS a JOIN {21} AS b ON a.c3=b.c3", FRAGMENT_LATEST, "9;");
    kit_close(&k);
}

static void equal_numbers_meet(void) {
    on_fiber(DIAG_WARN, equal_numbers_body);
}

/* ---- handles ---- */

static void handles_body(struct reactor *r) {
    enum { TABLETS = 6 };
    struct vfs *v = NULL;
    struct mvcc_store *s = NULL;
    struct mvcc_store_conf conf = {.handles_max = 2, .readers_max = 1};
    struct mvcc *m[TABLETS];
    struct kit k = {.r = r};
    CHECK(vfs_new(reactor_env(r), &v) == RC_OK && mvcc_store_new(r, v, &conf, &s) == RC_OK);
    for (int i = 0; i < TABLETS; i++) {
        struct mvcc_state state = {.tablet = (uint64_t)i, .floor = 10};
        char path[300];
        snprintf(path, sizeof path, "%s/h%d", tap_dir(), i);
        FINE(&k, mvcc_create(s, path, &state, &k.err));
        FINE(&k, mvcc_open(s, path, &m[i], &k.err));
    }
    for (int round = 1; round <= 3; round++)
        for (int i = 0; i < TABLETS; i++) {
            k.m = m[i];
            k.slot = round - 1;
            if (round == 1) {
                FINE(&k, mvcc_slot_begin(m[i], ++k.slot, (struct mvcc_bytes){"b", 1}, 10, &k.err));
                FINE(&k, mvcc_put_table(m[i], &rowid_table, &k.err));
                FINE(&k, mvcc_slot_end(m[i], &k.err));
            } else {
                FINE(&k, put(&k, round * 10, round * 10, 1, i, "x"));
            }
            FINE(&k, mvcc_flush(m[i], &k.err));
        }
    for (int i = 0; i < TABLETS; i++) {
        char want[20];
        struct mvcc_reader *rd = NULL;
        snprintf(want, sizeof want, "%d,3;", i);
        k.m = m[i];
        struct fragment f = {.id = 5, .sql = "SELECT c2,3 FROM {21}"};
        struct answer a;
        struct fragment_result result;
        FINE(&k, ask(&k, &f, FRAGMENT_LATEST, 0, &a, &result));
        EQ_STR(buf_cstr(&a.text), want);
        buf_done(&a.text);
        FINE(&k, mvcc_reader_open(m[i], &rd, &k.err)); /* takes the place of the idle one of another tablet */
        struct mvcc_reader *second = NULL;
        EQ_INT(mvcc_reader_open(m[i], &second, &k.err), RC_OVERLOAD);
        mvcc_reader_close(rd);
    }
    OK(counter_get(&mvcc_store_stats(s)->evicted) > TABLETS);
    for (int i = 0; i < TABLETS; i++)
        mvcc_close(m[i]);
    mvcc_store_free(s);
    vfs_free(v);
}

static void few_handles_serve_many_tablets(void) {
    on_fiber(DIAG_WARN, handles_body);
}

/* ---- faults ---- */

/* The n-th write, read or open fails, for all n: the tablet says so, goes back to its committed slot and replays. */
static void faults_body(struct reactor *r, struct faults *x) {
    static const struct {
        unsigned kinds;
        enum rc rc;
    } cases[] = {
        {FAULT_WRITE, RC_IO}, {FAULT_WRITE, RC_NOSPACE}, {FAULT_READ | FAULT_OPEN, RC_IO}, {FAULT_WRITE, RC_NOMEM}};
    uint64_t want = 0, breaks = 0;
    for (size_t c = 0; c < ARRAY_LEN(cases); c++)
        for (uint64_t n = 1;; n += 1 + n / 8) {
            struct kit k;
            char name[40];
            snprintf(name, sizeof name, "f%zu-%" PRIu64, c, n);
            kit_open(&k, r, name, &rowid_table);
            FINE(&k, mvcc_flush(k.m, &k.err));
            faults_set(x, cases[c].kinds, n, false, cases[c].rc);
            for (int tries = 0; k.slot < 40 && tries < 200; tries++) {
                int64_t at = mvcc_state(k.m)->slot;
                k.slot = at;
                enum rc rc = put(&k, 10 + at, 10 + at, at % 7, at, "value");
                if (!rc && at % 3 == 0)
                    rc = mvcc_flush(k.m, &k.err);
                if (rc && mvcc_broken(k.m)) {
                    breaks++;
                    struct fragment f = {.sql = "SELECT 1 FROM {21}"};
                    struct answer a;
                    struct fragment_result result;
                    OK(ask(&k, &f, FRAGMENT_LATEST, 0, &a, &result) != RC_OK); /* it says so */
                    buf_done(&a.text);
                    FINE(&k, mvcc_reload(k.m, &k.err));
                    OK(mvcc_state(k.m)->slot <= at);
                }
            }
            uint64_t failed = x->failed;
            faults_off(x);
            FINE(&k, mvcc_flush(k.m, &k.err));
            EQ_INT(mvcc_state(k.m)->slot, 40);
            if (want == 0)
                want = mvcc_state_hash(k.m);
            OKF(mvcc_state_hash(k.m) == want, "%s: another state", name);
            struct mvcc_reader *rd = NULL;
            FINE(&k, mvcc_reader_open(k.m, &rd, &k.err));
            FINE(&k, mvcc_verify(rd, true, &k.err));
            mvcc_reader_close(rd);
            kit_close(&k);
            if (failed == 0 || tap_failing())
                break;
        }
    OK(breaks > 3);
}

static void a_lost_batch_is_said_and_replayed(void) {
    on_fault_fiber(faults_body);
}

int main(void) {
    RUN(late_outcome_between_two_reads);
    RUN(no_table_is_scanned_unasked);
    RUN(long_ones_move_to_a_reader);
    RUN(only_reads_pass);
    RUN(upper_layers_bring_functions);
    RUN(a_deadline_ends_an_endless_one);
    RUN(equal_numbers_meet);
    RUN(few_handles_serve_many_tablets);
    RUN(a_lost_batch_is_said_and_replayed);
    return tap_done();
}
