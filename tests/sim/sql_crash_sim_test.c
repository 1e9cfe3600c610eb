/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every place at which a change of a table can be cut: one statement after the other, and one of the three nodes (the gateway, a
 * leader, a follower) dies at its k-th write to the disk meanwhile. Afterwards the change is there as a whole or not at all, on every
 * node; who was told which finds that; the table and its indexes say the same and can be used; and no tablet keeps what the catalog
 * does not name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/sqlorphans.h"
#include "tests/lib/sqlworld.h"
#include "tests/lib/tap.h"

static const int64_t SECOND = 1000000000, MS = 1000000;

enum { ROUNDS = 20, ROWS = 12, IO_MAX = 40 };

/* What x is: it goes from one to the next and back. */
struct model {
    bool table, column, index, unique, full;
};

struct order {
    const char *text, *also; /* also: more of the same block; NULL: it stands alone */
    bool (*fits)(const struct model *m);
    void (*becomes)(struct model *m);
};

static bool no_table(const struct model *m) {
    return !m->table;
}

static bool has_table(const struct model *m) {
    return m->table;
}

static bool no_index(const struct model *m) {
    return m->table && !m->index;
}

static bool has_index(const struct model *m) {
    return m->index;
}

static bool no_column(const struct model *m) {
    return m->table && !m->column;
}

static bool has_column(const struct model *m) {
    return m->column;
}

static bool is_full(const struct model *m) {
    return m->full;
}

static void made(struct model *m) {
    *m = (struct model){.table = true};
}

static void made_full(struct model *m) {
    *m = (struct model){.table = true, .full = true};
}

static void gone(struct model *m) {
    *m = (struct model){.table = false};
}

static void indexed(struct model *m) {
    m->index = true;
}

static void bare(struct model *m) {
    m->index = false;
}

static void wider(struct model *m) {
    m->column = true;
}

static void narrower(struct model *m) {
    m->column = false;
}

static void emptied(struct model *m) {
    m->full = false;
}

#define CREATE "CREATE TABLE x (k int8 PRIMARY KEY, v int8 UNIQUE, w text)"
#define FILL "INSERT INTO x (k, v, w) SELECT i, i * 10, 'row' FROM generate_series(1, 12) i"

static const struct order orders[] = {
    {CREATE, NULL, no_table, made},
    {CREATE, FILL, no_table, made_full},
    {"CREATE INDEX x_w ON x (w, v)", NULL, no_index, indexed},
    {"DROP INDEX x_w", NULL, has_index, bare},
    {"ALTER TABLE x ADD COLUMN c int8 NOT NULL DEFAULT 7", NULL, no_column, wider},
    {"ALTER TABLE x DROP COLUMN c", NULL, has_column, narrower},
    {"TRUNCATE x", NULL, is_full, emptied},
    {"TRUNCATE x", "INSERT INTO x (k, v, w) VALUES (1, 10, 'row')", is_full, emptied},
    {"DROP TABLE x", NULL, has_table, gone},
};

struct state {
    struct model model;
    uint64_t done, undone, unknown, refused;
    struct sqlorphans orphans;
};

static struct state *state(struct sqlclient *c) {
    return c->w->conf.ctx;
}

/* ---- looking ----------------------------------------------------------------------------------------------------------------- */

static int64_t count(struct sqlclient *c, const char *text) {
    return sqlclient_must(c, "%s", text) ? sqlclient_int(c, 0, 0) : -1;
}

static bool same(const struct model *a, const struct model *b) {
    return a->table == b->table && a->column == b->column && a->index == b->index && a->full == b->full;
}

/* As a node's catalog and the rows have it. */
static struct model find(struct sqlclient *c) {
    struct model m = {.table = false};
    m.table = count(c, "SELECT count(*) FROM pg_class WHERE relname = 'x'") == 1;
    if (!m.table || c->w->broken[0])
        return m;
    m.column = count(c, "SELECT count(*) FROM pg_attribute WHERE attname = 'c' AND attrelid = 'x'::regclass") == 1;
    m.index = count(c, "SELECT count(*) FROM pg_class WHERE relname = 'x_w'") == 1;
    int64_t n = count(c, "SELECT count(*) FROM x");
    m.full = n == ROWS;
    if (n != 0 && n != ROWS && n != 1)
        sqlworld_broke(c->w, "x has %" PRId64 " rows", n);
    if (m.column && count(c, "SELECT count(*) FROM x WHERE c IS DISTINCT FROM 7") != 0)
        sqlworld_broke(c->w, "a new column is not what its default says");
    if (count(c, "SELECT count(*) FROM x WHERE v IN (10, 20, 30, 120)") !=
        count(c, "SELECT count(*) FROM x WHERE v + 0 IN (10, 20, 30, 120)"))
        sqlworld_broke(c->w, "the unique index is not what the table is");
    if (count(c, "SELECT count(*) FROM x WHERE w = 'row' AND v > 0") != n)
        sqlworld_broke(c->w, "the index x_w is not what the table is");
    return m;
}

static void use(struct sqlclient *c, const struct model *m) {
    if (!m->table)
        return;
    sqlclient_must(c, "INSERT INTO x (k, v, w) VALUES (100, 1000, 'guest') ON CONFLICT DO NOTHING");
    if (count(c, "SELECT count(*) FROM x WHERE v = 1000 AND w = 'guest'") != 1)
        sqlworld_broke(c->w, "a row that was inserted is not found");
    sqlclient_must(c, "DELETE FROM x WHERE k = 100");
}

/* While an index was being made, and after: whoever reads by it sees all rows, or is refused. */
static void look_back(struct sqlclient *c, int64_t from, int64_t to) {
    enum { LOOKS = 12 };
    for (int i = 0; i <= LOOKS && !c->w->broken[0]; i++) {
        enum rc rc = sqlclient_run(c,
                                   "BEGIN READ ONLY; SET LOCAL meridian.read_staleness = 'at %" PRId64
                                   "'; SELECT count(*) FROM x WHERE w = 'row' AND v > 0",
                                   from + (to - from) * i / LOOKS);
        if (!rc && sqlclient_int(c, 0, 0) != ROWS)
            sqlworld_broke(c->w, "in the middle of CREATE INDEX there were %s rows", sqlclient_text(c, 0, 0));
        if (rc == RC_SQL && sqlclient_said(c, "72000"))
            state(c)->refused++;
        if (c->pg)
            IGNORE(sqlclient_run(c, "ROLLBACK")); /* if it is lost, so is the block */
    }
}

/* ---- a round -------------------------------------------------------------------------------------------------------------------- */

static enum rc run(struct sqlclient *c, const struct order *o) {
    if (!o->also)
        return sqlclient_run(c, "%s", o->text);
    enum rc rc = sqlclient_run(c, "BEGIN");
    if (!rc)
        rc = sqlclient_run(c, "%s", o->text);
    if (!rc)
        rc = sqlclient_run(c, "%s", o->also);
    if (!rc)
        return sqlclient_run(c, "COMMIT");
    if (c->pg)
        IGNORE(sqlclient_run(c, "ROLLBACK")); /* if it is lost, so is the block */
    return RC_ABORTED;                        /* it never asked for the commit */
}

static const struct order *choose(struct sqlclient *c) {
    for (;;) {
        const struct order *o = &orders[rng_below(c->w->rng, ARRAY_LEN(orders))];
        if (o->fits(&state(c)->model))
            return o;
    }
}

static void one_round(struct sqlclient *c, int round) {
    struct sqlworld *w = c->w;
    struct state *st = state(c);
    const struct order *o = choose(c);
    struct model was = st->model, will = was;
    o->becomes(&will);
    int victim = 1 + round % w->conf.nodes;
    c->node = 1 + round / w->conf.nodes % w->conf.nodes;
    sqlclient_close(c);
    if (sqlclient_connect(c))
        return;
    sim_node_crash_at_io(w->n[victim].sim, round % 2 ? SIM_KILL : SIM_POWER, 1 + rng_below(w->rng, IO_MAX));
    int64_t from = sqlworld_now(w);
    enum rc rc = run(c, o);
    int64_t to = sqlworld_now(w);
    bool told = !rc, refused = rc == RC_ABORTED || (rc == RC_SQL && sqlclient_said(c, "40001"));
    char why[200];
    snprintf(why, sizeof why, "%s %s %.120s", rc_name(rc), c->pg ? c->pg->answer.state : "",
             c->pg ? c->pg->answer.message : "");
    c->node = 0;
    sqlclient_close(c);
    if (!sqlclient_sleep(c, 2 * SECOND)) /* whoever died is started meanwhile */
        return;
    sim_node_crash_at_io(w->n[victim].sim, SIM_KILL, UINT64_C(1) << 40);
    for (int node = 1; node <= w->conf.nodes && !w->broken[0]; node++) {
        c->node = node;
        sqlclient_close(c);
        struct model is = find(c);
        if (w->broken[0])
            break;
        if (!same(&is, &was) && !same(&is, &will))
            sqlworld_broke(w, "round %d, %s: half of it on node %d (%s)", round, o->text, node, why);
        else if (told && !same(&is, &will))
            sqlworld_broke(w, "round %d, %s: done, and not there on node %d", round, o->text, node);
        else if (refused && !same(&is, &was))
            sqlworld_broke(w, "round %d, %s: refused, and there on node %d (%s)", round, o->text, node, why);
        if (node > 1 && !same(&is, &st->model))
            sqlworld_broke(w, "round %d, %s: nodes differ", round, o->text);
        st->model = is;
    }
    if (was.full && !was.index && will.index && told)
        look_back(c, from, to);
    use(c, &st->model);
    if (st->model.table && !st->model.full && !w->broken[0]) {
        sqlclient_must(c, "DELETE FROM x");
        sqlclient_must(c, "%s", FILL);
        st->model.full = true;
    }
    st->done += same(&st->model, &will) && !same(&was, &will);
    st->undone += same(&st->model, &was);
    st->unknown += !told && !refused;
    c->node = 0;
}

static void client(struct sqlclient *c) {
    for (int round = 0; round < ROUNDS && !c->w->broken[0]; round++)
        one_round(c, round);
    c->w->committed++;
    c->w->over = true;
}

static void finish(struct sqlclient *c) {
    sqlorphans_known(&state(c)->orphans, c);
}

static uint64_t done, undone, unknown, refused;

static bool is_over(void *ctx) {
    const struct sqlworld *w = ctx;
    return w->broken[0] || w->over;
}

static void one_seed(uint64_t seed) {
    struct state *st = calloc(1, sizeof *st);
    CHECK(st);
    struct sqlworld_conf conf = {.nodes = 3, .clients = 1, .client = client, .finish = finish, .ctx = st};
    struct sqlworld *w = sqlworld_new(seed, &conf);
    sqlworld_ready(w);
    w->go = true;
    while (!is_over(w)) {
        sim_run_until(w->sim, is_over, w, sim_now(w->sim) + 300 * MS);
        sqlworld_restart(w);
    }
    w->committed = 0;
    w->over = true;
    sqlworld_end(w);
    sqlorphans_check(&st->orphans, w);
    sqlworld_check_clean(w);
    OKF(!w->broken[0], "seed %llu: %s", (unsigned long long)seed, w->broken);
    done += st->done;
    undone += st->undone;
    unknown += st->unknown;
    refused += st->refused;
    sqlworld_free(w);
    free(st);
}

static void a_crash_at_each_place(void) {
    simkit_seeds("sql_crash_sim_test", 1, one_seed);
    OK(done > 0 && undone > 0);
    tap_note("%llu changes done, %llu not, %llu of them without an answer, %llu times the past was refused",
             (unsigned long long)done, (unsigned long long)undone, (unsigned long long)unknown,
             (unsigned long long)refused);
}

int main(void) {
    RUN(a_crash_at_each_place);
    return tap_done();
}
