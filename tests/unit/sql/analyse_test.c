/* SPDX-License-Identifier: Apache-2.0 */
/* Statements analysed: parameters, columns and errors as PostgreSQL 15 has them (analyse.expected). */
#include "sql/analyse/analyse.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/expected.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/sqltree.h"
#include "tests/lib/tap.h"

static void describe(struct sqltree *t, const char *text, struct buf *out) {
    struct analysed a;
    struct err err;
    char name[COL_NAME_BYTES];
    if (sqltree_analyse(t, text, &a, &err)) {
        buf_printf(out, "!%s %d %s", err_sqlstate(&err), err.position, err_message(&err));
        if (*err.hint)
            buf_printf(out, " / %s", err.hint);
        return;
    }
    sqltree_check(&a);
    for (size_t i = 0; i < a.params; i++) {
        struct col c = a.param[i];
        c.typmod = COL_TYPMOD_NONE;
        buf_printf(out, "%s%s", i ? ", " : "", col_name(&c, name));
    }
    buf_puts(out, " | ");
    const struct target *target = a.query->kind == QUERY_SELECT ? a.query->target : a.query->returning;
    uint32_t n = a.query->kind == QUERY_SELECT ? a.query->targets : a.query->returnings;
    bool first = true;
    for (uint32_t i = 0; i < n; i++) {
        if (target[i].junk)
            continue;
        buf_printf(out, "%s%s %s", first ? "" : ", ", target[i].name, col_name(&target[i].expr->type, name));
        first = false;
    }
}

/* Statements that fail because a function or an operator of PostgreSQL's is not there yet: as many as this, no more. */
enum { MISSING_MAX = 2 };

static bool function_missing(const char *got, const char *want) {
    if (strncmp(want, "!42725", 6) == 0)
        return strncmp(got, "!22P02", 6) == 0 || strncmp(got, "!42883", 6) == 0; /* fewer are less ambiguous */
    return (strncmp(got, "!42883", 6) == 0 && strstr(got, "does not exist")) || strstr(got, " cast from reg");
}

static void as_postgresql(void) {
    struct sqltree t;
    int missing = 0;
    struct expected e;
    struct err err = {0};
    struct buf out;
    sqltree_init(&t);
    buf_init(&out, 0);
    const char *other = getenv("ANALYSE_EXPECTED"); /* of random statements: analyse_random.pl */
    expected_open(&e, other ? other : EXPECTED_FILE);
    while (expected_next(&e)) {
        buf_reset(&out, 4096);
        describe(&t, e.word[0], &out);
        if (function_missing(buf_cstr(&out), e.result) && strcmp(buf_cstr(&out), e.result) != 0) {
            tap_note("%s: %s", e.word[0], buf_cstr(&out));
            missing++;
            continue;
        }
        expected_check(&e, RC_OK, &err, buf_cstr(&out), out.len);
    }
    OKF(other || missing <= MISSING_MAX, "%d functions are missing", missing);
    tap_note("%d functions are missing", missing);
    expected_close(&e);
    buf_done(&out);
    sqltree_done(&t);
}

/* Constants that are only true now are told of. */
static void passing(void) {
    static const struct {
        const char *text;
        bool passing;
    } cases[] = {
        {"SELECT a FROM t WHERE d < 'now'", true},
        {"SELECT E' Today '::date", true},
        {"SELECT timestamp $$tomorrow$$", true},
        {"SELECT '{yesterday}'::date[]", true},
        {"INSERT INTO q (id, dt) VALUES (1, 'today')", true},
        {"SELECT a FROM t WHERE d < '2020-01-01'", false},
        {"SELECT a FROM t WHERE b = 'now' AND d < now()", false},
        {"SELECT 'today', 'now'::text", false},
    };
    struct sqltree t;
    sqltree_init(&t);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct analysed a;
        struct err err;
        OKF(sqltree_analyse(&t, cases[i].text, &a, &err) == RC_OK && a.passing == cases[i].passing, "%s",
            cases[i].text);
    }
    sqltree_done(&t);
}

/* head part part ... tail; in part and tail # is the number of the repetition. */
static enum rc repeated(struct sqltree *t, const char *head, const char *part, int times, const char *between,
                        const char *tail, struct err *err) {
    struct buf b;
    struct analysed a;
    buf_init(&b, 0);
    buf_puts(&b, head);
    for (int i = 0; i < times; i++) {
        buf_puts(&b, i ? between : "");
        for (const char *p = part; *p; p++)
            if (*p == '#')
                buf_printf(&b, "%d", i + 1);
            else
                buf_putc(&b, (uint8_t)*p);
    }
    for (const char *p = tail; *p; p++)
        for (int i = 0; i < (*p == '*' ? times : 1); i++)
            buf_putc(&b, *p == '*' ? ')' : (uint8_t)*p);
    enum rc rc = sqltree_analyse(t, buf_cstr(&b), &a, err);
    if (!rc)
        sqltree_check(&a);
    buf_done(&b);
    return rc;
}

static struct reactor *hostile_reactor;

/* Long and deep statements end well, or with the error that PostgreSQL has for them. */
static void hostile_main(void *arg) {
    struct sqltree t;
    struct err err;
    (void)arg;
    sqltree_init(&t);
    t.reactor = hostile_reactor;
    EQ_INT(repeated(&t, "INSERT INTO u (a, x, y) VALUES ", "(#, #, 'x')", 2000, ",", "", &err), RC_OK);
    EQ_INT(repeated(&t, "SELECT a FROM t WHERE a IN (", "#", 5000, ",", ")", &err), RC_OK);
    EQ_INT(repeated(&t, "SELECT a FROM t WHERE ", "a = #", 5000, " OR ", "", &err), RC_OK);
    EQ_INT(repeated(&t, "SELECT ", "$#::int", 1600, ",", "", &err), RC_OK);
    EQ_INT(repeated(&t, "SELECT a FROM t WHERE a IN (", "$#", 5000, ",", ")", &err), RC_OK);
    EQ_INT(repeated(&t, "SELECT ", "#", 2000, ",", "", &err), RC_SQL);
    EQ_STR(err_sqlstate(&err), "54011");
    EQ_INT(repeated(&t, "SELECT a FROM t WHERE a = $70000", "", 0, "", "", &err), RC_SQL);
    EQ_STR(err_sqlstate(&err), "42P02");
    /* Each depth passes or is 54001; those that a person writes pass. */
    static const struct {
        const char *head, *part, *between, *tail;
        int good;
    } deep[] = {
        {"SELECT a FROM t WHERE 0 = ", "a", "+", "", 200},
        {"SELECT ", "abs(", "", "1*", 100},
        {"SELECT ", "coalesce(b,", "", "b* FROM t", 100},
        {"SELECT ", "(SELECT a+", "", "1* FROM t", 20},
        {"", "SELECT a FROM t", " UNION ", "", 40},
        {"SELECT ", "a BETWEEN 1 AND (CASE WHEN true THEN ", "", "1 FROM t", 0},
        {"SELECT * FROM ", "(SELECT * FROM ", "", "t", 0},
        {"SELECT a ", "::text::int", "", " FROM t", 50},
        {"SELECT * FROM t t0 ", "JOIN u u# ON true ", "", "", 60},
    };
    for (size_t i = 0; i < ARRAY_LEN(deep); i++)
        for (int times = 10; times <= 2560; times *= 4) {
            enum rc rc = repeated(&t, deep[i].head, deep[i].part, times, deep[i].between, deep[i].tail, &err);
            OKF(rc == RC_OK || (times > deep[i].good && rc == RC_SQL), "%s %s, %d times: %s", deep[i].head,
                deep[i].part, times, err_message(&err));
            if (rc && times > deep[i].good && deep[i].good) /* too deep, or too many relations */
                OKF(strncmp(err_sqlstate(&err), "5400", 4) == 0, "%s", err_message(&err));
        }
    sqltree_done(&t);
}

static void hostile_body(struct reactor *r) {
    hostile_reactor = r;
    EQ_INT(work_run(r, hostile_main, NULL), RC_OK);
}

static void hostile(void) {
    on_fiber(DIAG_WARN, hostile_body);
}

int main(void) {
    RUN(passing);
    RUN(hostile);
    RUN(as_postgresql);
    return tap_done();
}
