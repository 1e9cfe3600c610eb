/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of tables among statements that use them, while nodes die, are cut off, and tablets split.
 *
 * The table t says of each row which of its definitions it was written under: its column c is dropped and added again with a new default
 * together with meta.gen, and t is truncated together with meta.truncs, in one transaction each. So in every transaction, also in the
 * past, each row has c = gen and e = truncs: a row under a wrong definition, a statement that was planned for an older one and still
 * committed, a half change show. Its indexes come and go, and each says what the table says. Other tables are made and dropped.
 * Afterwards the catalog is the same on every node, everything it names is there and works, and the tablets hold no table that it does
 * not name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/sqlorphans.h"
#include "tests/lib/tap.h"

static const int64_t SECOND = 1000000000, MS = 1000000;

enum { IDS_MAX = 60000, SPARE_TABLES = 4 };

struct shared {
    /* Of a row that was inserted: */
    enum fate { NEVER, ALIVE, MAYBE, GONE } fate[IDS_MAX];
    int32_t epoch[IDS_MAX]; /* truncs then */
    uint64_t changes, refused, inserts, looks, past;
    int64_t from, to; /* while a table was being changed */
    struct sqlorphans orphans;
};

static struct shared *shared(struct sqlclient *c) {
    return c->w->conf.ctx;
}

static struct rng *rng(struct sqlclient *c) {
    return c->w->rng;
}

static int64_t pick(struct sqlclient *c, int64_t n) {
    return (int64_t)rng_below(c->w->rng, (uint64_t)n);
}

static void setup(struct sqlclient *c) {
    static const char *const ddl[] = {
        "CREATE TABLE IF NOT EXISTS t (id int8 PRIMARY KEY, a int8, b int8, e int8, c int8 DEFAULT 0)",
        "CREATE TABLE IF NOT EXISTS meta (one int8 PRIMARY KEY, gen int8 NOT NULL, truncs int8 NOT NULL)",
        "INSERT INTO meta VALUES (1, 0, 0) ON CONFLICT DO NOTHING",
        "SELECT meridian.split('t', 500)",
    };
    for (size_t i = 0; i < ARRAY_LEN(ddl); i++)
        if (!sqlclient_must(c, "%s", ddl[i]))
            return;
    IGNORE(sqlclient_sleep(c, 3 * SECOND)); /* whoever reads the past finds that */
}

/* Errors that any statement may meet where nodes fail. */
static bool may_be(struct sqlclient *c, enum rc rc, const char *state) {
    static const char *const ok[] = {"40001", "57", "08", "53", "55P03", "25P02"};
    if (rc != RC_SQL || (state && strstr(state, c->pg->answer.state)))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(ok); i++)
        if (strncmp(c->pg->answer.state, ok[i], strlen(ok[i])) == 0)
            return true;
    return false;
}

static enum rc refuse(struct sqlclient *c, enum rc rc, const char *state, const char *what) {
    if (!may_be(c, rc, state))
        sqlworld_broke(c->w, "%s: %s %s (%s)", what, c->pg->answer.state, c->pg->answer.message, c->pg->answer.detail);
    shared(c)->refused += rc == RC_SQL;
    return rc;
}

/* ---- changes -------------------------------------------------------------------------------------------------------------- */

/* One statement of a block after the other; the first that fails ends it. */
static enum rc block(struct sqlclient *c, const char *const *text, size_t n, const char *state) {
    enum rc rc = sqlclient_run(c, "BEGIN");
    for (size_t i = 0; i < n && !rc; i++) {
        rc = sqlclient_run(c, "%s", text[i]);
        refuse(c, rc, state, text[i]);
    }
    if (!rc)
        rc = sqlclient_run(c, "COMMIT");
    if (rc == RC_SQL) {
        refuse(c, rc, state, "COMMIT");
        IGNORE(sqlclient_run(c, "ROLLBACK")); /* if it is lost, so is the block */
    }
    return rc;
}

static enum rc new_column(struct sqlclient *c) {
    char add[160], note[100];
    enum rc rc = sqlclient_run(c, "SELECT gen FROM meta");
    if (rc)
        return refuse(c, rc, NULL, "gen");
    int64_t gen = sqlclient_int(c, 0, 0);
    snprintf(add, sizeof add, "ALTER TABLE t DROP COLUMN c, ADD COLUMN c int8 NOT NULL DEFAULT %" PRId64, gen + 1);
    snprintf(note, sizeof note, "UPDATE meta SET gen = %" PRId64 " WHERE gen = %" PRId64 " RETURNING gen", gen + 1,
             gen);
    rc = sqlclient_run(c, "BEGIN");
    if (!rc)
        rc = refuse(c, sqlclient_run(c, "%s", note), NULL, note);
    if (!rc && sqlclient_rows(c) == 0) { /* somebody else did it */
        rc = sqlclient_run(c, "ROLLBACK");
        return rc;
    }
    if (!rc)
        rc = refuse(c, sqlclient_run(c, "%s", add), NULL, add);
    if (!rc)
        rc = refuse(c, sqlclient_run(c, "COMMIT"), NULL, "COMMIT");
    if (rc == RC_SQL)
        IGNORE(sqlclient_run(c, "ROLLBACK")); /* as above */
    return rc;
}

static enum rc truncate(struct sqlclient *c) {
    static const char *const text[] = {"UPDATE meta SET truncs = truncs + 1", "TRUNCATE t"};
    return block(c, text, 2, NULL);
}

static enum rc alone(struct sqlclient *c, const char *state, const char *fmt, ...) PRINTF_LIKE(3, 4);

static enum rc alone(struct sqlclient *c, const char *state, const char *fmt, ...) {
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return refuse(c, sqlclient_run(c, "%s", text), state, text);
}

static enum rc spare(struct sqlclient *c) {
    int n = (int)pick(c, SPARE_TABLES);
    char make[200];
    snprintf(make, sizeof make, "CREATE TABLE d%d (k int8 PRIMARY KEY, v int8 UNIQUE, w serial)", n);
    const char *const undone[] = {make, "SELECT 1/0"};
    switch (pick(c, 5)) {
    case 0:
        return alone(c, "42P07", "%s", make);
    case 1:
        return alone(c, "42P01", "INSERT INTO d%d VALUES (%" PRId64 ", 1) ON CONFLICT DO NOTHING", n, pick(c, 1000));
    case 2:
        return alone(c, NULL, "DROP TABLE IF EXISTS d%d", n);
    case 3: { /* made, used and given up in one block */
        enum rc rc = sqlclient_run(c, "BEGIN; DROP TABLE IF EXISTS d%d", n);
        if (!rc)
            rc = alone(c, NULL, "%s", make);
        if (!rc)
            rc = alone(c, NULL, "INSERT INTO d%d VALUES (1, 1)", n);
        if (c->pg)
            IGNORE(sqlclient_run(c, "ROLLBACK")); /* if it is lost, so is the block */
        return rc;
    }
    default:
        return block(c, undone, 2, "42P07 22012");
    }
}

static void changer(struct sqlclient *c) {
    enum rc rc;
    int64_t from = sqlworld_now(c->w);
    switch (pick(c, 9)) {
    case 0:
    case 1:
        rc = new_column(c);
        break;
    case 2:
        rc = truncate(c);
        break;
    case 3:
        rc = alone(c, "42P07", "CREATE INDEX t_a ON t (a) INCLUDE (e)");
        break;
    case 4:
        rc = alone(c, "42704", "DROP INDEX %s", pick(c, 2) ? "t_a" : "t_b");
        break;
    case 5:
        rc = refuse(c, sqlclient_run(c, "CREATE UNIQUE INDEX IF NOT EXISTS t_b ON t (b)"), "23505", "t_b");
        break;
    case 6:
        rc = alone(c, "42P07", "CREATE INDEX t_l ON t (a) WITH (scope = 'local')");
        if (!rc)
            rc = alone(c, "42704", "DROP INDEX t_l");
        break;
    default:
        rc = spare(c);
    }
    shared(c)->changes += !rc;
    if (!rc) {
        shared(c)->from = from;
        shared(c)->to = sqlworld_now(c->w);
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------------------- */

static void insert(struct sqlclient *c) {
    struct shared *sh = shared(c);
    int64_t id = ++c->w->next_value;
    if (id >= IDS_MAX)
        return;
    enum rc rc = sqlclient_call(c,
                                "INSERT INTO t (id, a, b, e) SELECT $1, $2, $3, truncs FROM meta WHERE one = 1 "
                                "RETURNING e, c",
                                (int64_t[]){id, pick(c, 20), pick(c, 4) ? id : pick(c, 50)}, 3);
    refuse(c, rc, "23505", "an insert");
    sh->fate[id] = !rc                                                                          ? ALIVE
                   : rc == RC_SQL && (sqlclient_said(c, "23505") || sqlclient_said(c, "40001")) ? GONE
                                                                                                : MAYBE;
    if (!rc)
        sh->epoch[id] = (int32_t)sqlclient_int(c, 0, 0);
    sh->inserts += !rc;
}

static void delete (struct sqlclient *c) {
    struct shared *sh = shared(c);
    int64_t id = 1 + pick(c, c->w->next_value + 1);
    if (id >= IDS_MAX || sh->fate[id] == NEVER)
        return;
    enum rc rc = sqlclient_call(c, "DELETE FROM t WHERE id = $1", &id, 1);
    refuse(c, rc, NULL, "a delete");
    if (!rc)
        sh->fate[id] = GONE;
    else if (sh->fate[id] == ALIVE && !(rc == RC_SQL && sqlclient_said(c, "40001")))
        sh->fate[id] = MAYBE;
}

static void update(struct sqlclient *c) {
    int64_t first = pick(c, c->w->next_value + 1);
    enum rc rc = sqlclient_call(c, "UPDATE t SET a = a + 1 WHERE id BETWEEN $1 AND $2",
                                (int64_t[]){first, first + pick(c, 20)}, 2);
    refuse(c, rc, NULL, "an update");
    c->w->committed += !rc;
}

/* All rows are what meta says. */
static enum rc look(struct sqlclient *c, const char *state) {
    enum rc rc = sqlclient_run(c, "SELECT id, c, gen, e, truncs FROM t, meta WHERE c <> gen OR e <> truncs");
    refuse(c, rc, state, "a look");
    if (!rc && sqlclient_rows(c) > 0)
        sqlworld_broke(c->w, "row %s has c = %s where gen = %s, e = %s where truncs = %s", sqlclient_text(c, 0, 0),
                       sqlclient_text(c, 0, 1), sqlclient_text(c, 0, 2), sqlclient_text(c, 0, 3),
                       sqlclient_text(c, 0, 4));
    shared(c)->looks += !rc;
    return rc;
}

/* In the transaction under way. */
static enum rc by_both(struct sqlclient *c, const char *state, char ret_differ[static 200]) {
    static const char *const what[] = {"a", "a + 0"}; /* by the index, if there is one; by the table */
    int64_t a = pick(c, 20);
    char said[2][64];
    for (int i = 0; i < 2; i++) {
        enum rc rc = sqlclient_run(c, "SELECT count(*), sum(id), min(e) FROM t WHERE %s = %" PRId64, what[i], a);
        refuse(c, rc, state, "both ways");
        if (rc)
            return rc;
        snprintf(said[i], sizeof said[i], "%s/%s/%s", sqlclient_text(c, 0, 0), sqlclient_text(c, 0, 1),
                 sqlclient_text(c, 0, 2));
    }
    ret_differ[0] = '\0';
    if (strcmp(said[0], said[1]) != 0)
        snprintf(ret_differ, 200, "a = %" PRId64 ": %s by the index, %s by the table", a, said[0], said[1]);
    return RC_OK;
}

static enum rc index_is_table(struct sqlclient *c) {
    enum rc rc = sqlclient_run(c, "BEGIN");
    char differ[200] = "";
    if (!rc)
        rc = by_both(c, NULL, differ);
    if (!rc)
        rc = sqlclient_run(c, "COMMIT");
    if (!rc && differ[0])
        sqlworld_broke(c->w, "%s", differ);
    if (rc == RC_SQL)
        IGNORE(sqlclient_run(c, "ROLLBACK")); /* as above */
    shared(c)->looks += !rc;
    return rc;
}

/* Some time ago, or in the middle of a change. */
static void look_back(struct sqlclient *c) {
    const struct shared *sh = shared(c);
    char when[64];
    if (sh->from && pick(c, 2))
        snprintf(when, sizeof when, "at %" PRId64, rng_range(rng(c), sh->from, sh->to));
    else
        snprintf(when, sizeof when, "exact %" PRId64 "ms", 100 + pick(c, 2500));
    enum rc rc = sqlclient_run(c, "BEGIN READ ONLY; SET LOCAL meridian.read_staleness = '%s'", when);
    /* If the table was changed since: then nothing is told, rather than something wrong. */
    if (!rc && pick(c, 2)) {
        rc = look(c, "72000");
    } else if (!rc) {
        char differ[200];
        rc = by_both(c, "72000", differ);
        if (!rc && differ[0])
            sqlworld_broke(c->w, "in the past, %s", differ);
    }
    shared(c)->past += !rc;
    if (c->pg)
        IGNORE(sqlclient_run(c, "ROLLBACK")); /* as above */
}

static void client(struct sqlclient *c) {
    struct sqlworld *w = c->w;
    while (!w->over && !w->broken[0]) {
        if (!sqlclient_sleep(c, rng_range(rng(c), MS, c->number < 2 ? 400 * MS : 60 * MS)))
            return;
        if (c->number < 2) {
            changer(c);
        } else {
            switch (pick(c, 9)) {
            case 0:
                IGNORE(look(c, NULL)); /* it says itself what is wrong */
                break;
            case 1:
                IGNORE(index_is_table(c)); /* as above */
                break;
            case 2:
                look_back(c);
                break;
            case 3:
                delete (c);
                break;
            case 4:
            case 5:
                update(c);
                break;
            default:
                insert(c);
            }
        }
        if (rng_chance(rng(c), 0.02))
            sqlclient_close(c);
    }
}

/* ---- the end -------------------------------------------------------------------------------------------------------------------- */

static void check_rows(struct sqlclient *c) {
    struct shared *sh = shared(c);
    if (!sqlclient_must(c, "SELECT truncs FROM meta"))
        return;
    int64_t truncs = sqlclient_int(c, 0, 0);
    bool there[IDS_MAX] = {false};
    if (!sqlclient_must(c, "SELECT id FROM t"))
        return;
    for (size_t i = 0; i < sqlclient_rows(c); i++) {
        int64_t id = sqlclient_int(c, i, 0);
        CHECK(id > 0 && id < IDS_MAX);
        there[id] = true;
        if (sh->fate[id] == GONE || sh->fate[id] == NEVER)
            sqlworld_broke(c->w, "row %" PRId64 " is there; it was deleted, or not inserted", id);
    }
    for (int64_t id = 0; id < IDS_MAX; id++)
        if (sh->fate[id] == ALIVE && sh->epoch[id] == truncs && !there[id])
            sqlworld_broke(c->w, "row %" PRId64 " is gone: it was inserted after truncation %" PRId64, id, truncs);
}

/* Every node says the same of the catalog, and what is named works. */
static void check_catalog(struct sqlclient *c) {
    static const char text[] =
        "SELECT 'rel ' || relname || ' ' || oid || ' ' || relkind FROM pg_class WHERE oid >= 16384 UNION "
        "ALL SELECT 'col ' || attrelid || ' ' || attname || ' ' || attnum FROM pg_attribute WHERE "
        "attrelid >= 16384 ORDER BY 1";
    char first[8000] = "", now[8000];
    for (int node = 1; node <= c->w->conf.nodes; node++) {
        size_t at = 0;
        c->node = node;
        sqlclient_close(c);
        if (!sqlclient_must(c, "%s", text))
            return;
        for (size_t i = 0; i < sqlclient_rows(c) && at < sizeof now - 100; i++)
            at += (size_t)snprintf(now + at, sizeof now - at, "%.90s;", sqlclient_text(c, i, 0));
        if (node == 1)
            memcpy(first, now, sizeof first);
        else if (strcmp(first, now) != 0)
            sqlworld_broke(c->w, "node 1 says %.300s node %d says %.300s", first, node, now);
    }
    c->node = 0;
    for (int i = 0; i < SPARE_TABLES && !c->w->broken[0]; i++) {
        sqlclient_must(c, "CREATE TABLE IF NOT EXISTS d%d (k int8 PRIMARY KEY, v int8 UNIQUE, w serial)", i);
        sqlclient_must(c, "INSERT INTO d%d VALUES (-1, -1)", i);
        sqlclient_must(c, "SELECT k, v, w FROM d%d WHERE v = -1", i);
        if (!c->w->broken[0] && sqlclient_rows(c) != 1)
            sqlworld_broke(c->w, "d%d has %zu rows", i, sqlclient_rows(c));
        sqlclient_must(c, "DROP TABLE d%d", i);
    }
    sqlclient_must(c, "CREATE INDEX IF NOT EXISTS t_a ON t (a) INCLUDE (e)");
    sqlclient_must(c, "DROP INDEX IF EXISTS t_b");
    sqlclient_must(c, "CREATE INDEX t_b ON t (b)");
}

static void finish(struct sqlclient *c) {
    if (!sqlclient_sleep(c, 5 * SECOND))
        return;
    while (!c->w->broken[0] && look(c, NULL))
        if (!sqlclient_sleep(c, 100 * MS))
            return;
    check_rows(c);
    check_catalog(c);
    for (int i = 0; i < 5; i++)
        while (!c->w->broken[0] && index_is_table(c))
            if (!sqlclient_sleep(c, 100 * MS))
                return;
    sqlorphans_known(&shared(c)->orphans, c);
}

/* ---- seeds ------------------------------------------------------------------------------------------------------------------------- */

static struct { uint64_t changes, refused, inserts, looks, past, crashes, splits; } total;

static void run(uint64_t seed, const struct sqlworld_conf *how, int64_t ns) {
    static const char *const places[] = {"'t', 300", "'t', 40", "'t', 1000", "'meta'", "'t'", NULL};
    struct sqlworld_conf conf = *how;
    struct shared *sh = calloc(1, sizeof *sh);
    CHECK(sh);
    conf.ctx = sh;
    conf.setup = setup;
    conf.client = client;
    conf.finish = finish;
    conf.split = places;
    struct sqlworld *w = sqlworld_new(seed, &conf);
    sqlworld_ready(w);
    sqlworld_trouble(w, ns);
    sqlworld_heal(w);
    sqlorphans_check(&sh->orphans, w);
    sqlworld_check_clean(w);
    OKF(!w->broken[0], "seed %llu: %s", (unsigned long long)seed, w->broken);
    total.changes += sh->changes;
    total.refused += sh->refused;
    total.inserts += sh->inserts;
    total.looks += sh->looks;
    total.past += sh->past;
    total.crashes += w->crashes;
    total.splits += (uint64_t)w->splits;
    sqlworld_free(w);
    free(sh);
}

static void report(const char *what) {
    tap_note(
        "%s: %llu changes, %llu refused, %llu inserts, %llu looks, %llu of them at the past, %llu crashes, %llu splits",
        what, (unsigned long long)total.changes, (unsigned long long)total.refused, (unsigned long long)total.inserts,
        (unsigned long long)total.looks, (unsigned long long)total.past, (unsigned long long)total.crashes,
        (unsigned long long)total.splits);
    OK(total.changes > 0 && total.inserts > 0 && total.looks > 0 && total.past > 0);
    memset(&total, 0, sizeof total);
}

static void calm_seed(uint64_t seed) {
    struct sqlworld_conf conf = {.nodes = 3, .clients = 6, .splits = 2, .transfers = seed % 2};
    run(seed, &conf, 6 * SECOND);
}

static void crash_seed(uint64_t seed) {
    struct sqlworld_conf conf = {.nodes = 3,
                                 .clients = 6,
                                 .crashes = true,
                                 .partitions = seed % 2,
                                 .transfers = seed % 3 == 0,
                                 .clocks = seed % 5 == 0,
                                 .splits = seed % 3 == 2 ? 3 : 0};
    run(seed, &conf, 15 * SECOND);
}

static void without_faults(void) {
    simkit_seeds("sql_ddl_sim_test", 1, calm_seed);
    if (!getenv("SIM_SEED") && !getenv("SIM_FIRST"))
        calm_seed(78); /* a tablet is split between a change's lock and the change: one half was never told */
    report("calm");
}

static void with_faults(void) {
    simkit_seeds("sql_ddl_sim_test", 1, crash_seed);
    report("faults");
}

int main(void) {
    RUN(without_faults);
    RUN(with_faults);
    return tap_done();
}
