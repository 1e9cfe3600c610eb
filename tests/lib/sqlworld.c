/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sqlworld.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/system.h"
#include "tests/lib/tap.h"

static const int64_t SECOND = 1000000000, MS = 1000000;

/* An answer that the simulator loses is one that its statement waits for: it must have an end. */
#define OPTIONS "-c statement_timeout=15s"

enum { CONNECT_S = 3, STATEMENT_S = 20, MUST_S = 180 };

void sqlworld_broke(struct sqlworld *w, const char *fmt, ...) {
    va_list ap;
    if (w->broken[0])
        return;
    int n = snprintf(w->broken, sizeof w->broken, "at %.6f s: ", (double)sim_now(w->sim) / 1e9);
    va_start(ap, fmt);
    vsnprintf(w->broken + n, sizeof w->broken - (size_t)n, fmt, ap);
    va_end(ap);
}

int64_t sqlworld_now(const struct sqlworld *w) {
    return sim_true_ns(w->sim);
}

/* ---- connections ------------------------------------------------------------------------------------------------------------ */

void sqlclient_close(struct sqlclient *c) {
    simpg_close(c->pg);
    c->pg = NULL;
}

enum rc sqlclient_connect(struct sqlclient *c) {
    struct sqlworld *w = c->w;
    struct err err = {0};
    if (c->pg)
        return RC_OK;
    int node = c->node ? c->node : 1 + (int)rng_below(w->rng, (uint64_t)w->conf.nodes);
    c->session = ++w->sessions;
    c->at = node;
    return simpg_open(c->r, w->n[node].sql_addr, OPTIONS, reactor_deadline(c->r, CONNECT_S * SECOND), &c->pg, &err);
}

static enum rc ended(struct sqlclient *c, enum rc rc) {
    if (rc && rc != RC_SQL) {
        c->w->lost++;
        sqlclient_close(c);
    }
    return rc;
}

/* What is said and answered, among the nodes' diagnostics. */
static void trace(struct sqlclient *c, const char *text, enum rc rc) {
    if (!tap_env("SIM_PRINT", 0))
        return;
    const struct simpg_answer *a = &c->pg->answer;
    fprintf(stderr, "%11.6f client %u to n%d: %s: %s %s%s rows=%zu %s\n", (double)sim_now(c->w->sim) / 1e9, c->number,
            c->at, text, rc_name(rc), a->state, a->message, a->rows, simpg_cell(c->pg, 0, 0));
}

enum rc sqlclient_run(struct sqlclient *c, const char *fmt, ...) {
    va_list ap;
    struct buf text;
    enum rc rc = sqlclient_connect(c);
    if (rc)
        return rc;
    buf_init(&text, 0);
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    rc = simpg_query(c->pg, reactor_deadline(c->r, STATEMENT_S * SECOND), "%s", buf_cstr(&text));
    trace(c, buf_cstr(&text), rc);
    buf_done(&text);
    return ended(c, rc);
}

enum rc sqlclient_call(struct sqlclient *c, const char *literal, const int64_t *param, size_t params) {
    enum { PARAMS_MAX = 8 };
    char text[PARAMS_MAX][24];
    const char *p[PARAMS_MAX];
    CHECK(params <= PARAMS_MAX);
    for (size_t i = 0; i < params; i++) {
        snprintf(text[i], sizeof text[i], "%lld", (long long)param[i]);
        p[i] = text[i];
    }
    enum rc rc = sqlclient_connect(c);
    if (rc)
        return rc;
    rc = simpg_call(c->pg, reactor_deadline(c->r, STATEMENT_S * SECOND), literal, p, params);
    trace(c, literal, rc);
    return ended(c, rc);
}

bool sqlclient_said(const struct sqlclient *c, const char *state) {
    return c->pg && strcmp(c->pg->answer.state, state) == 0;
}

int64_t sqlclient_int(const struct sqlclient *c, size_t row, size_t column) {
    return c->pg ? simpg_int(c->pg, row, column) : 0;
}

const char *sqlclient_text(const struct sqlclient *c, size_t row, size_t column) {
    return c->pg ? simpg_cell(c->pg, row, column) : "";
}

size_t sqlclient_rows(const struct sqlclient *c) {
    return c->pg ? c->pg->answer.rows : 0;
}

bool sqlclient_sleep(struct sqlclient *c, int64_t ns) {
    return fiber_sleep(c->r, ns) == RC_OK;
}

bool sqlclient_must(struct sqlclient *c, const char *fmt, ...) {
    va_list ap;
    char text[2000], why[400] = "";
    int64_t deadline = reactor_deadline(c->r, MUST_S * SECOND);
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    CHECK(n < (int)sizeof text);
    while (reactor_now(c->r) < deadline && !c->w->broken[0]) {
        enum rc rc = sqlclient_run(c, "%s", text);
        if (!rc)
            return true;
        if (rc == RC_CANCELLED)
            return false;
        snprintf(why, sizeof why, "%s %s %s", rc_name(rc), c->pg ? c->pg->answer.state : "",
                 c->pg ? c->pg->answer.message : "");
        if (rc == RC_SQL && strcmp(c->pg->answer.state, "40001") != 0 && strncmp(c->pg->answer.state, "57", 2) != 0 &&
            strncmp(c->pg->answer.state, "08", 2) != 0 && strncmp(c->pg->answer.state, "53", 2) != 0)
            break;
        if (!sqlclient_sleep(c, 100 * MS))
            return false;
    }
    sqlworld_broke(c->w, "%s: %s", text, why);
    return false;
}

/* ---- transactions of the history ---------------------------------------------------------------------------------------- */

enum rc sqlclient_begin(struct sqlclient *c, uint32_t *ret_t) {
    c->token[0] = '\0';
    enum rc rc = sqlclient_connect(c);
    *ret_t = hist_begin(c->w->history, c->session, sqlworld_now(c->w));
    if (!rc)
        rc = sqlclient_run(c, "BEGIN; SELECT meridian.commit_token()");
    if (!rc)
        snprintf(c->token, sizeof c->token, "%s", sqlclient_text(c, 0, 0));
    return rc;
}

static void note_unknown(struct sqlclient *c, uint32_t t) {
    struct sqlworld *w = c->w;
    if (!c->token[0] || w->unknown == SQLWORLD_UNKNOWN_MAX) {
        w->unresolvable = true;
        return;
    }
    w->unknowns[w->unknown].t = t;
    memcpy(w->unknowns[w->unknown++].token, c->token, sizeof c->token);
}

/* Did it commit, and when? The question goes to any node if the connection is gone. */
static bool status(struct sqlclient *c, const char *token, int64_t *ret_ts) {
    if (!sqlclient_must(c, "SELECT meridian.txn_status('%s'), meridian.txn_timestamp('%s')", token, token))
        return false;
    *ret_ts = sqlclient_int(c, 0, 1);
    return true;
}

static void note_commit(struct sqlclient *c, uint32_t t, int64_t ts, int64_t now) {
    struct sqlworld *w = c->w;
    if (ts > now)
        sqlworld_broke(w, "T-4: acknowledged %.6f s before its time", (double)(ts - now) / 1e9);
    if (ts == 0 || ts == c->last_ts)
        sqlworld_broke(w, "a transaction has been committed at %lld, as one before it", (long long)ts);
    c->last_ts = ts;
    hist_commit(w->history, t, ts, now);
    w->committed++;
}

void sqlclient_end(struct sqlclient *c, uint32_t t, enum rc rc) {
    struct sqlworld *w = c->w;
    int64_t ts = 0;
    if (rc == RC_SQL) {                       /* it never asked for the commit */
        IGNORE(sqlclient_run(c, "ROLLBACK")); /* if it is lost, so is the transaction */
        hist_abort(w->history, t, sqlworld_now(w));
        w->aborted++;
        return;
    }
    if (rc) {
        hist_abort(w->history, t, sqlworld_now(w));
        w->aborted++;
        return;
    }
    rc = sqlclient_run(c, "COMMIT");
    int64_t now = sqlworld_now(w);
    if (rc == RC_SQL && sqlclient_said(c, "40001")) {
        hist_abort(w->history, t, now);
        w->aborted++;
    } else if (rc) {
        note_unknown(c, t);
    } else if (strcmp(c->pg->answer.tag, "COMMIT") != 0) {
        sqlworld_broke(w, "COMMIT says %s", c->pg->answer.tag);
    } else {
        rc = sqlclient_run(c, "SELECT meridian.commit_timestamp()");
        if (rc) { /* the token knows; but of one that only read it says "aborted" in the end: it left nothing */
            note_unknown(c, t);
            return;
        }
        ts = sqlclient_int(c, 0, 0);
        note_commit(c, t, ts, now);
    }
}

void sqlclient_resolve(struct sqlclient *c) {
    struct sqlworld *w = c->w;
    for (; w->resolved < w->unknown; w->resolved++) {
        int64_t ts = 0, deadline = reactor_deadline(c->r, 80 * SECOND);
        uint32_t t = w->unknowns[w->resolved].t;
        while (reactor_now(c->r) < deadline) {
            if (!status(c, w->unknowns[w->resolved].token, &ts))
                return;
            if (strcmp(sqlclient_text(c, 0, 0), "undecided") != 0)
                break;
            if (!sqlclient_sleep(c, SECOND))
                return;
        }
        if (strcmp(sqlclient_text(c, 0, 0), "committed") == 0)
            hist_commit(w->history, t, ts, INT64_MAX);
        else if (strcmp(sqlclient_text(c, 0, 0), "aborted") == 0)
            hist_abort(w->history, t, INT64_MAX);
        else
            sqlworld_broke(w, "N-15: a token is not resolved: %s", sqlclient_text(c, 0, 0));
    }
}

/* ---- fibers of the clients' machine ---------------------------------------------------------------------------------------- */

static void client_main(void *arg) {
    struct sqlclient *c = arg;
    c->w->conf.client(c);
    sqlclient_close(c);
    c->w->running--;
}

/* What operators do: splits, moves, hand-overs. It may fail at any time. */
static void operate(struct sqlclient *c) {
    struct sqlworld *w = c->w;
    uint64_t what = rng_below(w->rng, 3);
    if (w->split_wanted > 0) {
        size_t tables = 0;
        while (w->conf.split[tables])
            tables++;
        w->split_wanted--;
        if (sqlclient_run(c, "SELECT meridian.split(%s)", w->conf.split[rng_below(w->rng, tables)]) == RC_OK)
            w->splits++;
        return;
    }
    if ((what == 0 && !w->conf.transfers) || (what == 1 && !w->conf.moves) || what > 1)
        return;
    if (sqlclient_run(c, "SELECT tablet FROM meridian.tablets ORDER BY 1") || sqlclient_rows(c) == 0)
        return;
    int64_t tablet = sqlclient_int(c, rng_below(w->rng, sqlclient_rows(c)), 0);
    int from = 1 + (int)rng_below(w->rng, (uint64_t)w->conf.nodes),
        to = 1 + (int)rng_below(w->rng, (uint64_t)w->conf.nodes);
    if (what == 0)
        w->transfers += sqlclient_run(c, "SELECT meridian.transfer_leader(%lld, %d)", (long long)tablet, to) == RC_OK;
    else
        w->moves += sqlclient_run(c, "SELECT meridian.move(%lld, %d, %d)", (long long)tablet, from, to) == RC_OK;
}

static void operator_main(void *arg) {
    struct sqlclient *c = arg;
    while (!c->w->over && sqlclient_sleep(c, rng_range(c->w->rng, 300 * MS, 2 * SECOND)))
        if (c->w->go && !c->w->over)
            operate(c);
    sqlclient_close(c);
    c->w->running--;
}

static void start_client(struct sqlworld *w, struct reactor *r, int number, fiber_fn *fn) {
    struct sqlclient *c = &w->client[number];
    *c = (struct sqlclient){.w = w, .r = r, .number = (uint32_t)number};
    CHECK(fiber_spawn(r, NULL, FIBER_LARGE, "client", fn, c) == RC_OK);
    w->running++;
}

static void body(struct simkit_store *s) {
    struct sqlworld *w = s->node->arg;
    struct sqlclient *c = &w->client[SQLWORLD_CLIENTS_MAX];
    *c = (struct sqlclient){.w = w, .r = s->r, .number = SQLWORLD_CLIENTS_MAX};
    while (!w->set_up && !w->broken[0]) {
        if (!sqlclient_sleep(c, 100 * MS)) {
            sqlclient_close(c);
            return;
        }
        if (sqlclient_connect(c))
            continue;
        if (w->conf.setup)
            w->conf.setup(c);
        w->set_up = true;
    }
    while (!w->go)
        if (!sqlclient_sleep(c, 10 * MS)) {
            sqlclient_close(c);
            return;
        }
    for (int i = 0; i < w->conf.clients && !w->over; i++)
        start_client(w, s->r, i, client_main);
    if (!w->over && (w->conf.splits || w->conf.transfers || w->conf.moves))
        start_client(w, s->r, SQLWORLD_CLIENTS_MAX + 1, operator_main);
    bool awake = true;
    while (awake && !(w->over && w->running == 0))
        awake = sqlclient_sleep(c, 20 * MS);
    if (awake && w->go && w->conf.finish && !w->broken[0]) {
        sqlclient_close(c);
        w->conf.finish(c);
        w->finished = true;
    }
    sqlclient_close(c);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------------------- */

static void on_ready(void *ctx, struct node *node) {
    ((struct sqlworld_node *)ctx)->node = node;
}

static void on_failed(void *ctx, struct node *node, enum rc rc, const struct err *err) {
    struct sqlworld_node *n = ctx;
    (void)node;
    sqlworld_broke(n->w, "n%u failed: %s: %s", n->number, rc_name(rc), err->message);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct sqlworld_node *n = arg;
    struct sql_server_conf sql = {.addr = n->sql_addr, .trust = true, .version = "simulated"};
    n->node = NULL;
    sql_server_init(&n->server, &sql);
    txn_upper_init(&n->upper, sql_server_above(&n->server));
    return node_program.boot(stores, count, &n->conf, ret_state, err);
}

static void stop(void *state, uint16_t store) {
    ((struct sqlworld_node *)node_conf(state)->ctx)->node = NULL; /* the world looks at it no more */
    node_program.stop(state, store);
}

static bool stopped(void *state, uint16_t store) {
    return node_program.stopped(state, store);
}

static void done(void *state) {
    node_program.done(state);
}

static const struct program program = {boot, stop, stopped, done};

static void start(struct sqlworld *w, struct sqlworld_node *n) {
    struct err err = {0};
    if (!sim_node_running(n->sim) && sim_node_start(n->sim, &err))
        sqlworld_broke(w, "n%u does not start: %s", n->number, err.message);
}

static void start_all(struct sqlworld *w) {
    for (int i = 1; i <= w->conf.nodes; i++)
        start(w, &w->n[i]);
}

/* A statement that asks many tablets many things does not come through where every other connection breaks: these two happen by
 * chance in some seeds, now and then, and not while the world is being made. */
static const char *const places[] = {"net: connection breaks before a write", "rpc: answer lost"};

static void quiet_places(struct sqlworld *w) {
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        sim_chance(w->sim, places[i], 0);
}

static void loud_places(struct sqlworld *w) {
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        sim_chance(w->sim, places[i], rng_chance(w->rng, 0.3) ? 0.002 : 0);
}

struct sqlworld *sqlworld_new(uint64_t seed, const struct sqlworld_conf *conf) {
    static const char *const addr[] = {"", "n1:7433", "n2:7433", "n3:7433", "n4:7433", "n5:7433"};
    static const char *const region[] = {"", "us", "eu", "ap", "us", "eu"};
    struct sqlworld *w = calloc(1, sizeof *w);
    struct sim_conf sc = simkit_conf(seed);
    struct err err = {0};
    CHECK(w && conf->nodes <= SQLWORLD_NODES_MAX && conf->clients <= SQLWORLD_CLIENTS_MAX);
    w->conf = *conf;
    w->history = hist_new();
    w->sim = sim_new(&sc);
    CHECK(w->sim);
    w->rng = sim_rng(w->sim);
    quiet_places(w);
    struct sim_link link = {.latency_ns = 500000, .jitter_ns = 200000};
    sim_links_all(w->sim, &link);
    for (int i = 1; i <= conf->nodes; i++) {
        struct sqlworld_node *n = &w->n[i];
        char name[SIM_NAME_BYTES];
        snprintf(name, sizeof name, "n%d", i);
        *n = (struct sqlworld_node){.w = w, .number = (uint32_t)i};
        snprintf(n->sql_addr, sizeof n->sql_addr, "%s:7432", name);
        n->conf = (struct node_conf){.dir = "data",
                                     .rpc_addr = addr[i],
                                     .bootstrap = i == 1,
                                     .region = region[i],
                                     .stores = conf->stores ? conf->stores : 1,
                                     .upper = &n->upper,
                                     .on_ready = on_ready,
                                     .on_failed = on_failed,
                                     .ctx = n};
        if (i > 1) {
            n->conf.join[0] = addr[1];
            n->conf.joins = 1;
        }
        CHECK(tt_spec_parse("sim;max_eps=200ms", &n->conf.clock, NULL) == RC_OK);
        n->sim = sim_node_new(w->sim, name, n->conf.stores, &program, n);
        start(w, n);
    }
    w->clients = (struct simkit_node){.body = body, .arg = w};
    w->home = sim_node_new(w->sim, "home", 1, &simkit_program, &w->clients);
    if (sim_node_start(w->home, &err))
        sqlworld_broke(w, "%s", err.message);
    return w;
}

static bool all_serve(void *ctx) {
    struct sqlworld *w = ctx;
    for (int i = 1; i <= w->conf.nodes; i++)
        if (!w->n[i].node || !sim_node_running(w->n[i].sim) || !node_serving(w->n[i].node))
            return w->broken[0] != '\0';
    return true;
}

static bool ready(void *ctx) {
    struct sqlworld *w = ctx;
    uint32_t voters = w->conf.nodes < NODE_VOTERS ? (uint32_t)w->conf.nodes : NODE_VOTERS, found = 0;
    if (!all_serve(w) || !w->set_up)
        return w->broken[0] != '\0';
    for (int i = 1; i <= w->conf.nodes; i++) {
        for (uint64_t id = SYSTEM_TABLET; id <= SYSTEM_USER_TABLET; id++) {
            struct tablet_info info;
            struct tablet *t = NULL;
            for (uint16_t s = 0; s < w->n[i].conf.stores && !t; s++)
                t = tablets_find(node_store(w->n[i].node, s)->tablets, id);
            if (!t)
                continue;
            tablet_info(t, &info);
            found += !info.empty && !info.config.joint && info.config.count >= voters;
        }
    }
    return found >= 2 * voters;
}

void sqlworld_ready(struct sqlworld *w) {
    if (!sim_run_until(w->sim, ready, w, 120 * SECOND))
        sqlworld_broke(w, "not grown after two minutes: set up %d", w->set_up);
}

/* ---- faults ------------------------------------------------------------------------------------------------------------------- */

static void crash(struct sqlworld *w, struct sqlworld_node *n) {
    enum sim_crash how = rng_chance(w->rng, 0.5) ? SIM_KILL : SIM_POWER;
    if (!sim_node_running(n->sim))
        return;
    w->crashes++;
    if (rng_chance(w->rng, 0.5)) {
        n->node = NULL;
        sim_node_crash(n->sim, how);
    } else {
        sim_node_crash_at_io(n->sim, how, 1 + rng_below(w->rng, 60));
    }
}

/* From everybody, from the other nodes alone, or in one direction of one line. */
static void part(struct sqlworld *w, struct sqlworld_node *n) {
    struct sqlworld_node *other = &w->n[1 + rng_below(w->rng, (uint64_t)w->conf.nodes)];
    switch (rng_below(w->rng, 4)) {
    case 0:
        sim_partition(w->sim, 1u << sim_node_id(n->sim), true);
        break;
    case 1:
        for (int i = 1; i <= w->conf.nodes; i++)
            if (&w->n[i] != n)
                sim_link(n->sim, w->n[i].sim)->cut = sim_link(w->n[i].sim, n->sim)->cut = true;
        break;
    case 2:
        if (other != n)
            sim_link(n->sim, other->sim)->cut = true;
        break;
    default:
        sim_reset_streams(n->sim, w->home);
    }
}

static void disturb_clock(struct sqlworld *w, struct sqlworld_node *n) {
    struct sim_truth *truth = sim_truth(n->sim, 0);
    switch (rng_below(w->rng, 5)) {
    case 0:
        sim_node_pause(n->sim, (enum sim_pause)rng_below(w->rng, 3), rng_range(w->rng, 50 * MS, 5 * SECOND));
        break;
    case 1:
        sim_clock_drift(n->sim, rng_range(w->rng, -100000, 100000));
        break;
    case 2:
        truth->lost = !truth->lost;
        break;
    case 3:
        truth->bound_ns = rng_range(w->rng, 100000, 20 * MS);
        truth->jitter_ns = truth->bound_ns * 8 / 10;
        break;
    default:
        sim_clock_step(n->sim, rng_range(w->rng, -3600 * SECOND, 3600 * SECOND));
    }
}

static void trouble(struct sqlworld *w) {
    struct sqlworld_node *n = &w->n[1 + rng_below(w->rng, (uint64_t)w->conf.nodes)];
    switch (rng_below(w->rng, 6)) {
    case 0:
    case 1:
        if (w->conf.crashes)
            crash(w, n);
        break;
    case 2:
        if (w->conf.partitions)
            part(w, n);
        break;
    case 3:
        if (w->conf.clocks)
            disturb_clock(w, n);
        break;
    case 4:
        sim_heal(w->sim);
        break;
    default:
        start_all(w);
    }
}

void sqlworld_trouble(struct sqlworld *w, int64_t ns) {
    int64_t end = sim_now(w->sim) + ns;
    int asked = 0;
    loud_places(w);
    w->go = true;
    while (sim_now(w->sim) < end && !w->broken[0]) {
        sim_run(w->sim, sim_now(w->sim) + rng_range(w->rng, 50 * MS, 2 * SECOND));
        if (asked < w->conf.splits) {
            w->split_wanted++;
            asked++;
        }
        if (w->conf.crashes || w->conf.partitions || w->conf.clocks)
            trouble(w);
    }
}

static bool goes_on(void *ctx) {
    struct sqlworld *w = ctx;
    return w->broken[0] || w->committed > w->committed_before;
}

static bool finished(void *ctx) {
    struct sqlworld *w = ctx;
    return w->broken[0] || w->finished;
}

void sqlworld_restart(struct sqlworld *w) {
    bool serve = false;
    for (int t = 0; t < 60 && !serve && !w->broken[0]; t++) {
        start_all(w);
        serve = sim_run_until(w->sim, all_serve, w, sim_now(w->sim) + SECOND);
    }
    if (!serve)
        sqlworld_broke(w, "LIVE-1: not all serve a minute after the last fault");
}

void sqlworld_heal(struct sqlworld *w) {
    sim_heal(w->sim);
    for (int i = 1; i <= w->conf.nodes; i++) { /* nothing strikes later: nobody would start that node again */
        sim_node_crash_at_io(w->n[i].sim, SIM_KILL, UINT64_C(1) << 40);
        sim_truth(w->n[i].sim, 0)->lost = false;
    }
    sqlworld_restart(w);
    w->committed_before = w->committed;
    sim_run(w->sim, sim_now(w->sim) + 3 * SECOND);
    /* An answer that the simulator loses costs who asked its deadline, and whoever waits for its locks as well. */
    if (!w->broken[0] && !sim_run_until(w->sim, goes_on, w, sim_now(w->sim) + 60 * SECOND))
        sqlworld_broke(w, "LIVE-1: nothing is committed any more after the last fault");
    sqlworld_end(w);
}

void sqlworld_end(struct sqlworld *w) {
    w->over = true;
    quiet_places(w);
    if (!w->broken[0] && !sim_run_until(w->sim, finished, w, sim_now(w->sim) + 900 * SECOND))
        sqlworld_broke(w, "LIVE-1: the end is not reached: %d clients run, %llu of %llu commits resolved", w->running,
                       (unsigned long long)w->resolved, (unsigned long long)w->unknown);
}

static void check_clean(void *ctx, struct tablet *t) {
    struct sqlworld *w = ctx;
    struct txn_host *h = tablet_upper(t);
    struct site_stats st;
    if (!h)
        return;
    site_check(h->site);
    if (!site_leads(h->site))
        return; /* it may still be catching up */
    site_stats(h->site, &st);
    if (st.active || st.preparing || st.prepared || st.promised || st.coordinating || st.unsettled)
        sqlworld_broke(w, "tablet %d: active %d preparing %d prepared %d promised %d coordinating %d unsettled %d",
                       (int)h->id, (int)st.active, (int)st.preparing, (int)st.prepared, (int)st.promised,
                       (int)st.coordinating, (int)st.unsettled);
}

void sqlworld_check_clean(struct sqlworld *w) {
    if (w->broken[0])
        return;
    sim_run(w->sim, sim_now(w->sim) + 15 * SECOND); /* quiet: silence ends what its gateway has left */
    for (int i = 1; i <= w->conf.nodes; i++)
        for (uint16_t s = 0; w->n[i].node && s < w->n[i].conf.stores; s++)
            tablets_each(node_store(w->n[i].node, s)->tablets, check_clean, w);
}

void sqlworld_free(struct sqlworld *w) {
    for (int i = 1; i <= w->conf.nodes; i++)
        w->n[i].node = NULL;
    w->over = w->go = true;
    sim_free(w->sim);
    hist_free(w->history);
    free(w);
}
