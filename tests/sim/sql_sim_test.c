/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL on whole simulated nodes: sessions over PostgreSQL's protocol while nodes crash, lose power, are cut off, lose their clocks,
 * while tablets split and leaders move. Registers with an index, ranges, lists, joins, reads of the past, a bank, pairs for write
 * skew, counters, unique names, sequences, savepoints. What the clients saw goes through both checkers of tests/check/history.h; what
 * a table must be in the end is looked at by SQL. Commits without an answer are resolved by their tokens (N-15).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/sqlworld.h"
#include "tests/lib/tap.h"

static const int64_t SECOND = 1000000000, MS = 1000000;

enum {
    GUESTS = 4,     /* rows 50.. of reg2 that come and go, of which histories know nothing */
    REGISTERS = 10, /* of each table; the history's keys are those of reg, and 100 + those of reg2 */
    OTHER = 100,
    LIST_FIRST = 1000,
    LISTS = 3,
    LIST_MAX = 60,
    ACCOUNTS = 8,
    ACCOUNT_HAS = 100,
    PAIRS = 4,
    COUNTERS = 3,
    COUNT_MAX = 4000,
    NAMES = 6,
    SNAPS = 64,
    SEQ_MAX = 20000,
};

struct snap {
    int64_t ts;
    char rows[400]; /* of reg and bank at ts */
};

struct shared {
    struct snap snap[SNAPS];
    size_t snaps;
    bool singly; /* appends without a token */
    /* ctr: for each counter which values an upsert has returned, and how many may have happened without being told */
    bool counted[COUNTERS][COUNT_MAX];
    int64_t acknowledged[COUNTERS], maybe[COUNTERS];
    bool dealt[SEQ_MAX]; /* numbers of the sequence */
    uint64_t names_in, names_taken, transfers, skews, past, dealings, savepoints, index_looks, lists, singles;
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

static int64_t value(struct sqlclient *c) {
    return ++c->w->next_value;
}

/* ---- setting up ------------------------------------------------------------------------------------------------------------- */

static void setup(struct sqlclient *c) {
    static const char *const ddl[] = {
        "CREATE TABLE IF NOT EXISTS reg (k int8 PRIMARY KEY, v int8 NOT NULL, w text)",
        "CREATE INDEX IF NOT EXISTS reg_v ON reg (v)",
        "CREATE TABLE IF NOT EXISTS reg2 (k int8 PRIMARY KEY, v int8 NOT NULL, w text)",
        "CREATE UNIQUE INDEX IF NOT EXISTS reg2_v ON reg2 (v) INCLUDE (w)",
        "CREATE TABLE IF NOT EXISTS lists (k int8 PRIMARY KEY, v text NOT NULL)",
        "CREATE TABLE IF NOT EXISTS bank (id int8 PRIMARY KEY, bal int8 NOT NULL CHECK (bal >= 0))",
        "CREATE TABLE IF NOT EXISTS duty (pair int8, who int8, on_call bool NOT NULL, PRIMARY KEY (pair, who))",
        "CREATE TABLE IF NOT EXISTS ctr (k int8 PRIMARY KEY, n int8 NOT NULL)",
        "CREATE TABLE IF NOT EXISTS names (id int8 PRIMARY KEY, name text NOT NULL UNIQUE)",
        "CREATE SEQUENCE IF NOT EXISTS numbers",
        "CREATE TABLE IF NOT EXISTS marks (id int8, part int8, PRIMARY KEY (id, part))",
        "INSERT INTO bank SELECT i, 100 FROM generate_series(0, 7) i ON CONFLICT DO NOTHING",
        "INSERT INTO duty SELECT i / 2, i % 2, true FROM generate_series(0, 7) i ON CONFLICT DO NOTHING",
        "SELECT meridian.split('reg2')",
        "SELECT meridian.split('bank', 4)",
    };
    for (size_t i = 0; i < ARRAY_LEN(ddl); i++)
        if (!sqlclient_must(c, "%s", ddl[i]))
            return;
    IGNORE(sqlclient_sleep(c, 3 * SECOND)); /* whoever reads the past finds that */
}

/* ---- registers ------------------------------------------------------------------------------------------------------------- */

static enum rc read_one(struct sqlclient *c, uint32_t t, int64_t key, bool update) {
    static const char *const text[2][2] = {
        {"SELECT v FROM reg WHERE k = $1", "SELECT v FROM reg WHERE k = $1 FOR UPDATE"},
        {"SELECT v FROM reg2 WHERE k = $1", "SELECT v FROM reg2 WHERE k = $1 FOR UPDATE"}};
    int64_t k = key % OTHER;
    enum rc rc = sqlclient_call(c, text[key >= OTHER][update], &k, 1);
    if (!rc)
        hist_read(c->w->history, t, (uint64_t)key, sqlclient_int(c, 0, 0));
    return rc;
}

static enum rc write_one(struct sqlclient *c, uint32_t t, int64_t key) {
    static const char *const upsert[2] = {
        "INSERT INTO reg VALUES ($1, $2, 'new') ON CONFLICT (k) DO UPDATE SET v = excluded.v, w = 'again'",
        "INSERT INTO reg2 VALUES ($1, $2, 'new') ON CONFLICT (k) DO UPDATE SET v = excluded.v, w = 'again'"};
    static const char *const update[2] = {"UPDATE reg SET v = $2 WHERE k = $1", "UPDATE reg2 SET v = $2 WHERE k = $1"};
    int64_t p[2] = {key % OTHER, value(c)};
    bool insert = rng_chance(rng(c), 0.4);
    enum rc rc = sqlclient_call(c, insert ? upsert[key >= OTHER] : update[key >= OTHER], p, 2);
    if (rc)
        return rc;
    if (!insert && strcmp(c->pg->answer.tag, "UPDATE 0") == 0)
        hist_read(c->w->history, t, (uint64_t)key, 0);
    else
        hist_write(c->w->history, t, (uint64_t)key, p[1]);
    return RC_OK;
}

static int64_t any_key(struct sqlclient *c) {
    return pick(c, REGISTERS) + (rng_chance(rng(c), 0.4) ? OTHER : 0);
}

static enum rc registers(struct sqlclient *c, uint32_t t) {
    enum rc rc = RC_OK;
    for (int64_t n = 1 + pick(c, 4); n > 0 && !rc; n--) {
        int64_t key = any_key(c);
        switch (pick(c, 4)) {
        case 0:
            rc = read_one(c, t, key, false);
            break;
        case 1:
            rc = read_one(c, t, key, true);
            if (!rc)
                rc = write_one(c, t, key);
            break;
        case 2: /* reads one, writes another: skew, if nothing keeps it from that */
            rc = read_one(c, t, key, false);
            if (!rc)
                rc = write_one(c, t, key >= OTHER ? key - OTHER : key + OTHER);
            break;
        default:
            rc = write_one(c, t, key);
        }
        if (!rc && rng_chance(rng(c), 0.05) && !sqlclient_sleep(c, rng_range(rng(c), MS, 300 * MS)))
            rc = RC_CANCELLED;
    }
    return rc;
}

/* Rows (k, v) of the answer as a range of the history. */
static void note_range(struct sqlclient *c, uint32_t t, int64_t first, int64_t last) {
    struct hist_pair p[2 * REGISTERS];
    size_t n = sqlclient_rows(c);
    CHECK(n <= ARRAY_LEN(p));
    for (size_t i = 0; i < n; i++)
        p[i] = (struct hist_pair){(uint64_t)sqlclient_int(c, i, 0), sqlclient_int(c, i, 1)};
    hist_read_range(c->w->history, t, (uint64_t)first, (uint64_t)last, p, n);
}

static enum rc ranges(struct sqlclient *c, uint32_t t) {
    int64_t first = pick(c, REGISTERS), last = first + pick(c, REGISTERS);
    enum rc rc;
    switch (pick(c, 3)) {
    case 0:
        rc = sqlclient_run(c, "SELECT k, v FROM reg WHERE k BETWEEN %" PRId64 " AND %" PRId64, first, last);
        if (!rc)
            note_range(c, t, first, last);
        break;
    case 1: /* by the index, whose rows are others than the table's */
        rc = sqlclient_run(c, "SELECT k, v FROM reg WHERE v > 0 ORDER BY v");
        if (!rc)
            note_range(c, t, 0, REGISTERS - 1);
        break;
    default: /* both tables, joined with themselves in the final stage */
        rc = sqlclient_run(c, "SELECT a.k, a.v FROM reg a LEFT JOIN reg2 b ON b.k = a.k AND b.v = a.v UNION ALL "
                              "SELECT k + 100, v FROM reg2 WHERE k < 50 ORDER BY 1");
        if (!rc) {
            note_range(c, t, 0, REGISTERS - 1);
            note_range(c, t, OTHER, OTHER + REGISTERS - 1);
        }
    }
    return !rc && rng_chance(rng(c), 0.5) ? write_one(c, t, any_key(c)) : rc;
}

/* Whatever the table says, its index says: in one transaction. */
static enum rc index_is_table(struct sqlclient *c, uint32_t t) {
    bool other = rng_chance(rng(c), 0.5);
    const char *table = other ? "reg2" : "reg";
    char rows[800] = "", by_index[800] = "";
    int64_t key[REGISTERS + GUESTS], v[REGISTERS + GUESTS];
    (void)t;
    enum rc rc = sqlclient_run(c, "SELECT k, v, w FROM %s ORDER BY k", table);
    if (rc)
        return rc;
    size_t n = sqlclient_rows(c), at = 0;
    CHECK(n <= ARRAY_LEN(v));
    for (size_t i = 0; i < n; i++) {
        key[i] = sqlclient_int(c, i, 0);
        v[i] = sqlclient_int(c, i, 1);
        at += (size_t)snprintf(rows + at, sizeof rows - at, "%" PRId64 "=%" PRId64 " %s;", key[i], v[i],
                               sqlclient_text(c, i, 2));
    }
    at = 0;
    for (size_t i = 0; i < n; i++) {
        rc = sqlclient_run(c, "SELECT k, v, w FROM %s WHERE v = %" PRId64, table, v[i]);
        if (rc)
            return rc;
        if (sqlclient_rows(c) != 1)
            sqlworld_broke(c->w, "%s: %zu rows by the index with v = %" PRId64, table, sqlclient_rows(c), v[i]);
        at += (size_t)snprintf(by_index + at, sizeof by_index - at, "%" PRId64 "=%" PRId64 " %s;",
                               sqlclient_int(c, 0, 0), sqlclient_int(c, 0, 1), sqlclient_text(c, 0, 2));
    }
    if (strcmp(rows, by_index) != 0)
        sqlworld_broke(c->w, "%s says %s its index %s", table, rows, by_index);
    shared(c)->index_looks++;
    return RC_OK;
}

/* Rows go, too: registers of a history do not. */
static enum rc come_and_go(struct sqlclient *c, uint32_t t) {
    int64_t k = 50 + pick(c, GUESTS), v = value(c);
    (void)t;
    enum rc rc = sqlclient_run(c, "DELETE FROM reg2 WHERE k = %" PRId64, k);
    if (!rc && rng_chance(rng(c), 0.6))
        rc = sqlclient_run(c, "INSERT INTO reg2 VALUES (%" PRId64 ", %" PRId64 ", 'guest')", k, v);
    return rc;
}

/* ---- lists ---------------------------------------------------------------------------------------------------------------------- */

static size_t parse_list(const char *text, int64_t *ret) {
    size_t n = 0;
    for (char *end; *text && n < LIST_MAX; text = *end == ' ' ? end + 1 : end)
        ret[n++] = strtoll(text, &end, 10);
    return n;
}

static enum rc read_list(struct sqlclient *c, uint32_t t, int64_t k) {
    int64_t e[LIST_MAX];
    enum rc rc = sqlclient_call(c, "SELECT v FROM lists WHERE k = $1", &k, 1);
    if (!rc)
        hist_read_list(c->w->history, t, (uint64_t)(LIST_FIRST + k), e, parse_list(sqlclient_text(c, 0, 0), e));
    return rc;
}

static const char append_text[] =
    "INSERT INTO lists VALUES (%" PRId64 ", '%" PRId64 "') ON CONFLICT (k) DO UPDATE SET v = "
    "lists.v || ' ' || excluded.v";

static bool list_full(const struct sqlclient *c) {
    return sqlclient_rows(c) > 0 && strlen(sqlclient_text(c, 0, 0)) > 200;
}

static enum rc lists(struct sqlclient *c, uint32_t t) {
    enum rc rc = RC_OK;
    shared(c)->lists++;
    for (int64_t n = 1 + pick(c, 2); n > 0 && !rc; n--) {
        int64_t k = pick(c, LISTS);
        rc = read_list(c, t, k);
        if (rc || list_full(c) || rng_chance(rng(c), 0.3))
            continue;
        int64_t e = value(c);
        rc = sqlclient_run(c, append_text, k, e);
        if (!rc)
            hist_append(c->w->history, t, (uint64_t)(LIST_FIRST + k), e);
    }
    return rc;
}

/* ---- the bank ---------------------------------------------------------------------------------------------------------------- */

static enum rc transfer(struct sqlclient *c, uint32_t t) {
    int64_t from = pick(c, ACCOUNTS), to = pick(c, ACCOUNTS), much = 1 + pick(c, 30);
    (void)t;
    shared(c)->transfers++;
    if (rng_chance(rng(c), 0.3)) /* both at once; nobody may owe: 23514 */
        return sqlclient_run(c,
                             "UPDATE bank SET bal = bal + CASE id WHEN %" PRId64 " THEN %" PRId64 " ELSE -%" PRId64
                             " END WHERE id IN (%" PRId64 ", %" PRId64 ")",
                             to, from == to ? 0 : much, from == to ? 0 : much, from, to);
    enum rc rc = sqlclient_run(c, "SELECT bal FROM bank WHERE id = %" PRId64 " FOR UPDATE", from);
    if (rc)
        return rc;
    int64_t has = sqlclient_int(c, 0, 0);
    if (has < much || from == to)
        return RC_OK;
    rc = sqlclient_run(c, "UPDATE bank SET bal = %" PRId64 " WHERE id = %" PRId64, has - much, from);
    return rc ? rc
              : sqlclient_call(c, "UPDATE bank SET bal = bal + $2 WHERE id = $1 RETURNING bal", (int64_t[]){to, much},
                               2);
}

static enum rc audit(struct sqlclient *c, uint32_t t) {
    (void)t;
    enum rc rc = sqlclient_run(c, "SELECT sum(bal), count(*), min(bal) FROM bank");
    if (!rc && (sqlclient_int(c, 0, 0) != ACCOUNTS * ACCOUNT_HAS || sqlclient_int(c, 0, 1) != ACCOUNTS ||
                sqlclient_int(c, 0, 2) < 0))
        sqlworld_broke(c->w, "the bank has %s in %s accounts, one of %s", sqlclient_text(c, 0, 0),
                       sqlclient_text(c, 0, 1), sqlclient_text(c, 0, 2));
    return rc;
}

/* ---- write skew: of a pair one is always on call --------------------------------------------------------------------------- */

static enum rc skew(struct sqlclient *c, uint32_t t) {
    int64_t pair = pick(c, PAIRS), who = pick(c, 2);
    (void)t;
    enum rc rc = sqlclient_run(c, "SELECT count(*) FROM duty WHERE pair = %" PRId64 " AND on_call", pair);
    if (rc)
        return rc;
    int64_t on = sqlclient_int(c, 0, 0);
    if (on < 1)
        sqlworld_broke(c->w, "write skew: nobody of pair %" PRId64 " is on call", pair);
    shared(c)->skews++;
    return sqlclient_run(c, "UPDATE duty SET on_call = %s WHERE pair = %" PRId64 " AND who = %" PRId64,
                         on == 2 ? "false" : "true", pair, who);
}

/* ---- savepoints: of three marks the second was undone ------------------------------------------------------------------------- */

static enum rc savepoints(struct sqlclient *c, uint32_t t) {
    int64_t id = value(c);
    (void)t;
    enum rc rc = sqlclient_run(c, "INSERT INTO marks VALUES (%" PRId64 ", 1)", id);
    if (!rc)
        rc = sqlclient_run(c, "SAVEPOINT a");
    if (!rc)
        rc = sqlclient_run(c, "INSERT INTO marks VALUES (%" PRId64 ", 2)", id);
    if (!rc && rng_chance(rng(c), 0.5)) { /* by an error, or without one */
        rc = sqlclient_run(c, "INSERT INTO marks VALUES (%" PRId64 ", 1)", id);
        if (rc != RC_SQL || !sqlclient_said(c, "23505"))
            return rc ? rc : (sqlworld_broke(c->w, "a primary key twice"), RC_OK);
        rc = RC_OK;
    }
    if (!rc)
        rc = sqlclient_run(c, "ROLLBACK TO a");
    if (!rc)
        rc = sqlclient_run(c, "INSERT INTO marks VALUES (%" PRId64 ", 3)", id);
    if (!rc) {
        rc = sqlclient_run(c, "SELECT sum(part) FROM marks WHERE id = %" PRId64, id);
        if (!rc && sqlclient_int(c, 0, 0) != 4)
            sqlworld_broke(c->w, "parts of %" PRId64 " in its own transaction: %s", id, sqlclient_text(c, 0, 0));
    }
    shared(c)->savepoints++;
    return rc;
}

/* ---- reads of the past ---------------------------------------------------------------------------------------------------------- */

static enum rc picture(struct sqlclient *c, char *ret, size_t bytes) {
    enum rc rc = sqlclient_run(c, "SELECT k, v FROM reg UNION ALL SELECT 1000 + id, bal FROM bank ORDER BY 1");
    size_t at = 0;
    ret[0] = '\0';
    for (size_t i = 0; !rc && i < sqlclient_rows(c); i++)
        at += (size_t)snprintf(ret + at, bytes - at, "%s=%s ", sqlclient_text(c, i, 0), sqlclient_text(c, i, 1));
    return rc;
}

/* What was seen once at a timestamp is seen for ever at that timestamp, on every node (INV-R1). */
static enum rc look_back(struct sqlclient *c) {
    struct shared *sh = shared(c);
    struct snap *s = &sh->snap[rng_below(rng(c), SNAPS)];
    char rows[sizeof s->rows];
    if (!s->ts)
        return RC_OK;
    struct snap was = *s;
    enum rc rc = sqlclient_run(c, "BEGIN READ ONLY; SET LOCAL meridian.read_staleness = 'at %" PRId64 "'", was.ts);
    if (!rc)
        rc = picture(c, rows, sizeof rows);
    if (!rc && strcmp(rows, was.rows) != 0)
        sqlworld_broke(c->w, "INV-R1: at %" PRId64 " there was %s now there is %s", was.ts, was.rows, rows);
    sh->past += !rc;
    if (c->pg) /* if that is lost, so is the connection */
        IGNORE(sqlclient_run(c, "ROLLBACK"));
    return rc;
}

static void read_only(struct sqlclient *c) {
    static const char *const how[] = {"strong", "strong", "exact 1s", "exact 2500ms", "max 1500ms"};
    struct sqlworld *w = c->w;
    struct shared *sh = shared(c);
    uint64_t kind = rng_below(rng(c), ARRAY_LEN(how));
    char rows[sizeof sh->snap[0].rows];
    enum rc rc = sqlclient_connect(c);
    uint32_t t = hist_begin(w->history, c->session, sqlworld_now(w));
    if (!rc)
        rc = sqlclient_run(c, "BEGIN READ ONLY; SET LOCAL meridian.read_staleness = '%s'", how[kind]);
    for (int64_t n = 1 + pick(c, 3); n > 0 && !rc; n--)
        rc = read_one(c, t, any_key(c), false);
    if (!rc && rng_chance(rng(c), 0.5)) {
        rc = sqlclient_run(c, "SELECT k, v FROM reg WHERE k < 50");
        if (!rc)
            note_range(c, t, 0, REGISTERS - 1);
    }
    if (!rc && rng_chance(rng(c), 0.3))
        rc = read_list(c, t, pick(c, LISTS));
    if (!rc && rng_chance(rng(c), 0.4))
        rc = audit(c, t);
    if (!rc)
        rc = picture(c, rows, sizeof rows);
    if (!rc)
        rc = sqlclient_run(c, "COMMIT");
    int64_t now = sqlworld_now(w);
    if (!rc)
        rc = sqlclient_run(c, "SELECT meridian.commit_timestamp()");
    int64_t ts = rc ? 0 : sqlclient_int(c, 0, 0);
    if (rc) {
        hist_abort(w->history, t, now);
        if (c->pg)
            IGNORE(sqlclient_run(c, "ROLLBACK")); /* as above */
        return;
    }
    hist_commit_read_only(w->history, t, ts, kind > 1, now);
    w->reads++;
    struct snap *s = &sh->snap[sh->snaps++ % SNAPS];
    s->ts = ts;
    memcpy(s->rows, rows, sizeof rows);
}

/* ---- statements that stand alone ---------------------------------------------------------------------------------------------- */

static void single_read(struct sqlclient *c) {
    struct sqlworld *w = c->w;
    enum rc rc = sqlclient_connect(c);
    uint32_t t = hist_begin(w->history, c->session, sqlworld_now(w));
    if (!rc)
        rc = rng_chance(rng(c), 0.5) ? read_one(c, t, any_key(c), false) : read_list(c, t, pick(c, LISTS));
    if (rc)
        hist_abort(w->history, t, sqlworld_now(w));
    else
        hist_commit_untimed(w->history, t,
                            sqlworld_now(w)); /* its tablet chose the time (N-8): it is no session's matter */
    w->reads += !rc;
}

/* An element without a transaction around it: one request, if its tablet leads. Nobody has a token for it. */
static void single_append(struct sqlclient *c) {
    struct sqlworld *w = c->w;
    int64_t k = pick(c, LISTS), e = value(c);
    enum rc rc = sqlclient_connect(c);
    uint32_t t = hist_begin(w->history, c->session, sqlworld_now(w));
    if (rc) {
        hist_abort(w->history, t, sqlworld_now(w));
        return;
    }
    hist_append(w->history, t, (uint64_t)(LIST_FIRST + k), e);
    rc = sqlclient_run(c, append_text, k, e);
    int64_t now = sqlworld_now(w);
    if (rc == RC_SQL && sqlclient_said(c, "40001")) {
        hist_abort(w->history, t, now);
        w->aborted++;
    } else if (rc) {
        hist_unknown(w->history, t);
        w->unresolvable = true;
    } else if (sqlclient_run(c, "SELECT meridian.commit_timestamp()")) {
        hist_commit(w->history, t, 0, now);
        w->unresolvable = true; /* it is known, but not when it was */
    } else {
        hist_commit(w->history, t, sqlclient_int(c, 0, 0), now);
        w->committed++;
    }
}

/* Every number is handed to one client only, also by statements that the engine repeats. */
static void count_up(struct sqlclient *c) {
    struct shared *sh = shared(c);
    int64_t k = pick(c, COUNTERS);
    enum rc rc = sqlclient_call(
        c, "INSERT INTO ctr VALUES ($1, 1) ON CONFLICT (k) DO UPDATE SET n = ctr.n + 1 RETURNING n", &k, 1);
    if (rc == RC_SQL && sqlclient_said(c, "40001"))
        return;
    if (rc) {
        sh->maybe[k]++;
        return;
    }
    int64_t n = sqlclient_int(c, 0, 0);
    if (n < 1 || n >= COUNT_MAX || sh->counted[k][n])
        sqlworld_broke(c->w, "counter %" PRId64 " gave %" PRId64 " twice", k, n);
    else
        sh->counted[k][n] = true;
    sh->acknowledged[k]++;
}

static void deal(struct sqlclient *c) {
    struct shared *sh = shared(c);
    if (sqlclient_run(c, "SELECT nextval('numbers') FROM generate_series(1, %" PRId64 ")", 1 + pick(c, 5)))
        return;
    for (size_t i = 0; i < sqlclient_rows(c); i++) {
        int64_t n = sqlclient_int(c, i, 0);
        if (n < 1 || n >= SEQ_MAX || sh->dealt[n])
            sqlworld_broke(c->w, "the sequence gave %" PRId64 " twice", n);
        else
            sh->dealt[n] = true;
        sh->dealings++;
    }
}

static void take_name(struct sqlclient *c) {
    struct shared *sh = shared(c);
    int64_t name = pick(c, NAMES), id = value(c);
    enum rc rc = rng_chance(rng(c), 0.7)
                     ? sqlclient_run(c, "INSERT INTO names VALUES (%" PRId64 ", 'name %" PRId64 "')", id, name)
                 : rng_chance(rng(c), 0.5)
                     ? sqlclient_run(
                           c, "UPDATE names SET name = 'name %" PRId64 "' WHERE id = (SELECT max(id) FROM names)", name)
                     : sqlclient_run(c, "DELETE FROM names WHERE name = 'name %" PRId64 "'", name);
    sh->names_in += !rc;
    sh->names_taken += rc == RC_SQL && sqlclient_said(c, "23505");
    if (rc == RC_SQL && !sqlclient_said(c, "23505") && !sqlclient_said(c, "40001") && !sqlclient_said(c, "57014") &&
        !sqlclient_said(c, "57P03") && strncmp(c->pg->answer.state, "08", 2) != 0 &&
        strncmp(c->pg->answer.state, "53", 2) != 0)
        sqlworld_broke(c->w, "a name: %s %s", c->pg->answer.state, c->pg->answer.message);
}

/* ---- clients ----------------------------------------------------------------------------------------------------------------- */

static const struct {
    uint64_t weight;
    enum rc (*fn)(struct sqlclient *c, uint32_t t);
} works[] = {{10, registers}, {4, ranges},     {6, lists},          {5, transfer},   {2, audit},
             {4, skew},       {2, savepoints}, {2, index_is_table}, {2, come_and_go}};

static void transaction(struct sqlclient *c) {
    uint64_t all = 0, i = 0, at;
    uint32_t t;
    for (size_t k = 0; k < ARRAY_LEN(works); k++)
        all += works[k].weight;
    for (at = rng_below(rng(c), all); at >= works[i].weight; i++)
        at -= works[i].weight;
    enum rc rc = sqlclient_begin(c, &t);
    if (!rc)
        rc = works[i].fn(c, t);
    sqlclient_end(c, t, rc);
}

static void single(struct sqlclient *c) {
    shared(c)->singles++;
    switch (pick(c, 6)) {
    case 0:
    case 1:
        single_read(c);
        break;
    case 2:
        if (shared(c)->singly)
            single_append(c);
        break;
    case 3:
        count_up(c);
        break;
    case 4:
        deal(c);
        break;
    default:
        take_name(c);
    }
}

static void client(struct sqlclient *c) {
    struct sqlworld *w = c->w;
    while (!w->over && !w->broken[0]) {
        if (!sqlclient_sleep(c, rng_range(rng(c), MS, 40 * MS)))
            return;
        switch (pick(c, 8)) {
        case 0:
        case 1:
            single(c);
            break;
        case 2:
            read_only(c);
            break;
        case 3:
            IGNORE(look_back(c)); /* it says itself what is wrong */
            break;
        default:
            transaction(c);
        }
        if (rng_chance(rng(c), 0.02))
            sqlclient_close(c); /* and goes to another node */
    }
}

/* ---- the end ---------------------------------------------------------------------------------------------------------------------- */

static void check_counters(struct sqlclient *c) {
    struct shared *sh = shared(c);
    if (!sqlclient_must(c, "SELECT k, n FROM ctr"))
        return;
    for (size_t i = 0; i < sqlclient_rows(c); i++) {
        int64_t k = sqlclient_int(c, i, 0), n = sqlclient_int(c, i, 1);
        if (n < sh->acknowledged[k] || n > sh->acknowledged[k] + sh->maybe[k])
            sqlworld_broke(c->w,
                           "counter %" PRId64 " is at %" PRId64 "; %" PRId64 " were told, %" PRId64 " may have been", k,
                           n, sh->acknowledged[k], sh->maybe[k]);
    }
}

/* No name twice; and one that nobody has can be taken: no entry is left in the index. */
static void check_names(struct sqlclient *c) {
    if (!sqlclient_must(c, "SELECT name FROM names GROUP BY name HAVING count(*) > 1"))
        return;
    if (sqlclient_rows(c) > 0)
        sqlworld_broke(c->w, "%s is there more than once", sqlclient_text(c, 0, 0));
    sqlclient_must(c, "BEGIN; DELETE FROM names WHERE id > 0; INSERT INTO names SELECT -i, 'name ' || i FROM "
                      "generate_series(0, 5) i; ROLLBACK");
    for (int name = 0; name < NAMES; name++) {
        if (!sqlclient_must(c, "SELECT count(*), min(id) FROM names WHERE name = 'name %d'", name))
            return;
        int64_t n = sqlclient_int(c, 0, 0);
        if (!sqlclient_must(c, "SELECT count(*) FROM names WHERE name || '' = 'name %d'", name))
            return;
        if (n != sqlclient_int(c, 0, 0))
            sqlworld_broke(c->w, "name %d: %" PRId64 " by the index, %s in the table", name, n,
                           sqlclient_text(c, 0, 0));
    }
}

static void check_marks(struct sqlclient *c) {
    if (sqlclient_must(
            c, "SELECT id, count(*), sum(part) FROM marks GROUP BY id HAVING count(*) <> 2 OR sum(part) <> 4") &&
        sqlclient_rows(c) > 0)
        sqlworld_broke(c->w, "marks of %s: %s, their sum %s", sqlclient_text(c, 0, 0), sqlclient_text(c, 0, 1),
                       sqlclient_text(c, 0, 2));
}

static void finish(struct sqlclient *c) {
    struct sqlworld *w = c->w;
    uint32_t t = 0;
    if (!sqlclient_sleep(c, 5 * SECOND))
        return;
    sqlclient_resolve(c);
    check_counters(c);
    check_names(c);
    check_marks(c);
    for (int i = 0; i < 2; i++)
        while (!w->broken[0] && index_is_table(c, 0))
            if (!sqlclient_sleep(c, 100 * MS))
                return;
    while (!w->broken[0] && audit(c, 0))
        if (!sqlclient_sleep(c, 100 * MS))
            return;
    for (int tries = 0; tries < 100 && !w->broken[0]; tries++) { /* everything once more, as one last transaction */
        enum rc rc = sqlclient_begin(c, &t);
        for (int64_t k = 0; k < REGISTERS && !rc; k++) {
            rc = read_one(c, t, k, false);
            if (!rc)
                rc = read_one(c, t, OTHER + k, false);
        }
        for (int64_t k = 0; k < LISTS && !rc; k++)
            rc = read_list(c, t, k);
        if (!rc)
            rc = write_one(c, t, 0);
        sqlclient_end(c, t, rc);
        if (!rc)
            break;
    }
    sqlclient_resolve(c);
}

/* ---- seeds ------------------------------------------------------------------------------------------------------------------------ */

static struct {
    uint64_t committed, aborted, unknown, reads, lost, crashes, splits, moves, past, names, taken, dealt, looks, skews;
} total;

static const char *const split_places[] = {"'reg', 5", "'reg2', 3", "'lists', 1", "'bank', 6",
                                           "'names'",  "'duty'",    NULL};

static uint64_t run(uint64_t seed, const struct sqlworld_conf *how, int64_t ns) {
    struct sqlworld_conf conf = *how;
    struct shared *sh = calloc(1, sizeof *sh);
    struct hist_verdict v;
    CHECK(sh);
    sh->singly = seed % 2;
    conf.ctx = sh;
    conf.setup = setup;
    conf.client = client;
    conf.finish = finish;
    conf.split = split_places;
    struct sqlworld *w = sqlworld_new(seed, &conf);
    sqlworld_ready(w);
    sqlworld_trouble(w, ns);
    sqlworld_heal(w);
    sqlworld_check_clean(w);
    uint64_t trace = sim_trace(w->sim);
    OKF(!w->broken[0], "seed %llu: %s", (unsigned long long)seed, w->broken);
    if (!w->broken[0]) {
        if (!w->unresolvable)
            OKF(hist_check_replay(w->history, &v), "seed %llu: %s: %s", (unsigned long long)seed, v.anomaly, v.text);
        OKF(hist_check_cycles(w->history, &v), "seed %llu: %s: %s", (unsigned long long)seed, v.anomaly, v.text);
    }
    OKF(w->committed > 5, "seed %llu: only %llu commits", (unsigned long long)seed, (unsigned long long)w->committed);
    total.committed += w->committed;
    total.aborted += w->aborted;
    total.unknown += w->unknown;
    total.reads += w->reads;
    total.lost += w->lost;
    total.crashes += w->crashes;
    total.splits += (uint64_t)w->splits;
    total.moves += (uint64_t)(w->moves + w->transfers);
    total.past += sh->past;
    total.names += sh->names_in;
    total.taken += sh->names_taken;
    total.dealt += sh->dealings;
    total.looks += sh->index_looks;
    total.skews += sh->skews;
    sqlworld_free(w);
    free(sh);
    return trace;
}

static void report(const char *what) {
    tap_note(
        "%s: %llu committed, %llu aborted, %llu unknown, %llu reads, %llu of the past again, %llu connections lost, "
        "%llu crashes, %llu splits, %llu moves",
        what, (unsigned long long)total.committed, (unsigned long long)total.aborted, (unsigned long long)total.unknown,
        (unsigned long long)total.reads, (unsigned long long)total.past, (unsigned long long)total.lost,
        (unsigned long long)total.crashes, (unsigned long long)total.splits, (unsigned long long)total.moves);
    tap_note("%s: %llu names, %llu taken already, %llu numbers dealt, %llu looks at an index, %llu skews tried", what,
             (unsigned long long)total.names, (unsigned long long)total.taken, (unsigned long long)total.dealt,
             (unsigned long long)total.looks, (unsigned long long)total.skews);
    OK(total.committed > 0 && total.past > 0 && total.dealt > 0 && total.looks > 0);
    memset(&total, 0, sizeof total);
}

static uint64_t calm(uint64_t seed) {
    struct sqlworld_conf conf = {.nodes = 3, .clients = 6, .splits = 2, .transfers = true};
    return run(seed, &conf, 4 * SECOND);
}

/* The same seed, the same events: nothing of the engine reaches the outside but through its env. */
static void calm_seed(uint64_t seed) {
    uint64_t first = calm(seed);
    if (seed == 1)
        OKF(calm(seed) == first, "seed %llu runs differently the second time", (unsigned long long)seed);
}

static void crash_seed(uint64_t seed) {
    struct sqlworld_conf conf = {.nodes = seed % 4 == 3 ? 5 : 3,
                                 .clients = 6,
                                 .stores = seed % 5 == 4 ? 2 : 1,
                                 .crashes = true,
                                 .partitions = true,
                                 .transfers = seed % 3 == 0,
                                 .clocks = seed % 3 == 1,
                                 .splits = seed % 3 == 2 ? 3 : 0,
                                 .moves = seed % 4 == 3};
    run(seed, &conf, 15 * SECOND);
}

static void without_faults(void) {
    simkit_seeds("sql_sim_test", 1, calm_seed);
    report("calm");
}

static void with_faults(void) {
    simkit_seeds("sql_sim_test", 1, crash_seed);
    report("faults");
}

int main(void) {
    RUN(without_faults);
    RUN(with_faults);
    return tap_done();
}
