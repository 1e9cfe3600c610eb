/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runner.c: clients as threads, faults as the verbs of `meridian geo`, and a look at every node four times a second.
 *
 * Who leads and how wide the clocks' intervals are is read from /metrics of each node; a node says of how many groups it leads, and
 * the one that began last is taken for the leader of the rows.
 */
#include "geo-sim/netns/runner.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "geo-sim/netns/pgclient.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum {
    CLIENTS_MAX = 512,
    TRIES_MAX = 20,
    METRICS_BYTES = 1 << 18,
    LOOK_MS = 250,
    HTTP_MS = 800,
    STEP_WAIT_MS = 20000,
    HOME_TRIES = 20,
    HOME_WAIT_MS = 500
};
static const int64_t PATIENCE_NS = 10 * SEC, SETUP_NS = 60 * SEC;

struct runner;

struct client {
    struct runner *r;
    pthread_t thread;
    uint32_t id;
    unsigned node, region;
    struct rng rng;
    struct pg_client pg, past;
};

struct seen {
    bool up;
    unsigned leads;
    double half_sum, half_count;
};

struct runner {
    const char *world_name;
    const struct script *script;
    struct geo_world world; /* as it was when the run began */
    struct geo_cluster *cluster;
    struct results *results;
    struct work *work;
    pthread_mutex_t mutex; /* of work and results, and of what follows */
    _Atomic bool over;
    bool has_ts;
    _Atomic int leader; /* index of a node, -1 = nobody */
    struct seen seen[GEO_NODES_MAX];
    int64_t from_ns;
    unsigned clients;
    struct client client[CLIENTS_MAX];
};

/* ---- a transaction ------------------------------------------------------------------------------------------------------ */

/* Whether a failed commit surely did nothing. */
static bool surely_not(const char *code) {
    return (strncmp(code, "40", 2) == 0 && strcmp(code, "40003") != 0) || strncmp(code, "25", 2) == 0 ||
           strncmp(code, "42", 2) == 0 || strncmp(code, "22", 2) == 0;
}

static void take_rows(const struct work_plan *p, struct work_outcome *o, const PGresult *rows) {
    for (unsigned i = 0; i < p->keys; i++)
        o->read[i] = 0;
    for (int row = 0; row < PQntuples(rows); row++)
        for (unsigned i = 0; i < p->keys; i++)
            if (strtoll(PQgetvalue(rows, row, 0), NULL, 10) == (int64_t)p->key[i])
                o->read[i] = strtoll(PQgetvalue(rows, row, 1), NULL, 10);
}

/* One statement of a transaction; false: it is over, and o says how. commits: the statement is, or contains, the commit. */
static bool say(struct pg_client *pg, const char *sql, const int64_t *param, int params, int64_t deadline, bool commits,
                const struct work_plan *plan, struct work_outcome *o) {
    bool lost;
    PGresult *rows = pg_exec(pg, sql, param, params, deadline, &lost);
    if (!rows) {
        o->end = commits && plan->writes && (lost || !surely_not(pg->code)) ? WORK_UNKNOWN : WORK_NOT_DONE;
        o->code = pg->code;
        return false;
    }
    if (PQresultStatus(rows) == PGRES_TUPLES_OK && plan->reads)
        take_rows(plan, o, rows);
    PQclear(rows);
    return true;
}

static bool do_read(struct pg_client *pg, const struct work_plan *p, int64_t deadline, struct work_outcome *o) {
    const int64_t keys[] = {(int64_t)p->key[0], (int64_t)p->key[1]};
    return p->keys == 1 ? say(pg, "SELECT k, v FROM geo_rows WHERE k = $1", keys, 1, deadline, true, p, o)
                        : say(pg, "SELECT k, v FROM geo_rows WHERE k = $1 OR k = $2", keys, 2, deadline, true, p, o);
}

static bool do_block(struct pg_client *pg, const struct work_plan *p, int64_t deadline, struct work_outcome *o) {
    const int64_t keys[] = {(int64_t)p->key[0], (int64_t)p->key[1]};
    bool good = say(pg, "BEGIN", NULL, 0, deadline, false, p, o);
    if (good)
        good = p->keys == 1
                   ? say(pg, "SELECT k, v FROM geo_rows WHERE k = $1 FOR UPDATE", keys, 1, deadline, false, p, o)
                   : say(pg, "SELECT k, v FROM geo_rows WHERE k = $1 OR k = $2 FOR UPDATE", keys, 2, deadline, false, p,
                         o);
    for (unsigned i = 0; i < p->keys && good; i++) {
        const int64_t both[] = {(int64_t)p->key[i], p->value[i]};
        good = say(pg, "UPDATE geo_rows SET v = $2 WHERE k = $1", both, 2, deadline, false, p, o);
    }
    return good && say(pg, "COMMIT", NULL, 0, deadline, true, p, o);
}

/* Leaves no block open. */
static void end_block(struct pg_client *pg, int64_t deadline) {
    bool lost;
    if (pg->conn && PQtransactionStatus(pg->conn) != PQTRANS_IDLE)
        PQclear(pg_exec(pg, "ROLLBACK", NULL, 0, deadline, &lost));
}

static bool try_plan(struct client *c, const struct work_plan *p, int64_t deadline, struct work_outcome *o) {
    const int64_t both[] = {(int64_t)p->key[0], p->value[0]};
    if (p->op == WORK_STALE)
        return do_read(&c->past, p, deadline, o);
    if (p->op == WORK_READ)
        return do_read(&c->pg, p, deadline, o);
    if (p->op == WORK_WRITE)
        return say(&c->pg, "UPDATE geo_rows SET v = $2 WHERE k = $1", both, 2, deadline, true, p, o);
    return do_block(&c->pg, p, deadline, o);
}

static void run_plan(struct client *c, const struct work_plan *p, struct work_outcome *o) {
    int64_t deadline = sys_now_ns() + PATIENCE_NS;
    struct pg_client *pg = p->op == WORK_STALE ? &c->past : &c->pg;
    bool good = false;
    for (int tries = 0; !good && tries < TRIES_MAX; tries++) {
        good = try_plan(c, p, deadline, o);
        if (good)
            o->end = WORK_DONE;
        else
            end_block(pg, deadline);
        bool again = !good && o->end == WORK_NOT_DONE && pg->conn && strncmp(pg->code, "40", 2) == 0;
        if (!again || sys_now_ns() > deadline)
            return;
    }
}

/* The timestamp of what was just done, if nodes tell. */
static int64_t timestamp(struct client *c, const struct work_plan *p) {
    struct pg_client *pg = p->op == WORK_STALE ? &c->past : &c->pg;
    bool lost;
    if (!c->r->has_ts || !pg->conn)
        return 0;
    PGresult *rows = pg_exec(pg, "SELECT commit_timestamp()", NULL, 0, sys_now_ns() + PATIENCE_NS, &lost);
    int64_t ts =
        rows && PQntuples(rows) == 1 && !PQgetisnull(rows, 0, 0) ? strtoll(PQgetvalue(rows, 0, 0), NULL, 10) : 0;
    PQclear(rows);
    return ts;
}

static void nap(struct client *c, int64_t ns) {
    for (int64_t until = sys_now_ns() + ns; !c->r->over && sys_now_ns() < until;) {
        int64_t left = (until - sys_now_ns()) / MS;
        sys_sleep_ms(left > 50 ? 50 : left < 1 ? 1 : (int)left);
    }
}

static void *client_main(void *arg) {
    struct client *c = arg;
    struct runner *r = c->r;
    struct work_plan p;
    while (!r->over) {
        struct work_outcome o = {.end = WORK_NOT_DONE};
        nap(c, rng_exponential(&c->rng, r->script->think_ns));
        if (r->over)
            break;
        pthread_mutex_lock(&r->mutex);
        work_plan(r->work, &c->rng, &p);
        pthread_mutex_unlock(&r->mutex);
        struct pg_client *pg = p.op == WORK_STALE ? &c->past : &c->pg;
        if (!pg_connect(pg, sys_now_ns() + 2 * SEC)) { /* nothing was begun */
            pthread_mutex_lock(&r->mutex);
            results_bad(r->results, c->region, p.op, sys_now_ns() - r->from_ns, pg->code);
            pthread_mutex_unlock(&r->mutex);
            nap(c, 500 * MS);
            continue;
        }
        pthread_mutex_lock(&r->mutex);
        int64_t began = sys_now_ns();
        uint32_t t = work_begin(r->work, c->id, began);
        pthread_mutex_unlock(&r->mutex);
        run_plan(c, &p, &o);
        int64_t ended = sys_now_ns();
        char code[PG_CODE_BYTES];
        snprintf(code, sizeof code, "%s", o.code ? o.code : "");
        o.code = code;
        if (o.end == WORK_DONE)
            o.ts = timestamp(c, &p);
        pthread_mutex_lock(&r->mutex);
        work_end(r->work, t, c->region, &p, &o, began, ended);
        pthread_mutex_unlock(&r->mutex);
    }
    pg_close(&c->pg);
    pg_close(&c->past);
    return NULL;
}

/* ---- looking at nodes ----------------------------------------------------------------------------------------------------- */

static double metric(const char *text, const char *name) {
    double sum = 0;
    size_t n = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += n)
        if ((at == text || at[-1] == '\n') && at[n] == '{') {
            const char *end = strstr(at, "} ");
            sum += end ? strtod(end + 2, NULL) : 0;
        }
    return sum;
}

/* GET /metrics of a node on the host's loopback; false: it does not answer. */
static bool fetch(unsigned port, char *to, size_t bytes) {
    static const char ask[] = "GET /metrics HTTP/1.1\r\nHost: meridian\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_usec = HTTP_MS * 1000};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    size_t at = 0;
    ssize_t n = -1;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, ask, sizeof ask - 1) == (ssize_t)sizeof ask - 1)
        while (at + 1 < bytes && (n = read(fd, to + at, bytes - 1 - at)) > 0)
            at += (size_t)n;
    close(fd);
    to[at] = '\0';
    return n == 0 && at > 0;
}

static void look_at(struct runner *r, unsigned i, char *text) {
    const struct geo_node *n = &r->cluster->node[i];
    struct seen *s = &r->seen[i], now = {.up = fetch(n->http_port, text, METRICS_BYTES)};
    unsigned region = r->world.topo->place[n->place].region;
    int64_t at = sys_now_ns() - r->from_ns;
    if (now.up) {
        now.leads = (unsigned)metric(text, "meridian_replica_leading");
        now.half_sum = metric(text, "meridian_clock_half_width_seconds_sum");
        now.half_count = metric(text, "meridian_clock_half_width_seconds_count");
        double state = metric(text, "meridian_clock_state"), rounds = now.half_count - s->half_count;
        pthread_mutex_lock(&r->mutex);
        if (state == 0 || state == 4)
            results_clock(r->results, region, at, -1);
        else if (s->up && rounds > 0)
            results_clock(r->results, region, at, (int64_t)((now.half_sum - s->half_sum) / rounds * 1e9));
        pthread_mutex_unlock(&r->mutex);
    }
    pthread_mutex_lock(&r->mutex);
    bool begins = now.leads > s->leads, gone = r->leader == (int)i && now.leads == 0;
    if (begins && r->leader != (int)i) {
        r->leader = (int)i;
        results_event(r->results, at, "leader", "%s", r->world.topo->place[n->place].name);
    } else if (gone) {
        r->leader = -1;
        results_event(r->results, at, "lost", "nobody leads");
    }
    pthread_mutex_unlock(&r->mutex);
    *s = now;
}

static void *look_main(void *arg) {
    struct runner *r = arg;
    char *text = malloc(METRICS_BYTES);
    while (text && !r->over) {
        for (unsigned i = 0; i < r->cluster->nodes; i++)
            look_at(r, i, text);
        sys_sleep_ms(LOOK_MS);
    }
    free(text);
    return NULL;
}

/* ---- steps ------------------------------------------------------------------------------------------------------------------ */

static enum rc nodes_of(struct runner *r, const struct geo_cluster *c, const char *set, uint64_t *ret,
                        struct err *err) {
    *ret = 0;
    int leader = r->leader;
    if (strcmp(set, "leader") == 0) {
        if (leader < 0)
            return err_set(err, RC_NOTFOUND, "nobody leads at that moment");
        for (unsigned i = 0; i < c->nodes; i++)
            *ret |= (uint64_t)(c->node[i].place == c->node[leader].place) << i;
        return RC_OK;
    }
    if (strcmp(set, "dead") == 0) {
        for (unsigned i = 0; i < c->nodes; i++)
            *ret |= (uint64_t)!geo_node_alive(&c->node[i]) << i;
        return RC_OK;
    }
    return geo_cluster_match(c, set, ret, err);
}

static enum rc step_nodes(struct runner *r, struct geo_cluster *c, const struct script_step *s, struct err *err) {
    uint64_t nodes;
    enum rc rc = nodes_of(r, c, s->arg, &nodes, err);
    if (rc)
        return rc;
    if (s->verb == SCRIPT_KILL)
        return geo_cluster_signal(c, nodes, SIGKILL, err);
    if (s->verb == SCRIPT_PAUSE || s->verb == SCRIPT_RESUME)
        return geo_cluster_signal(c, nodes, s->verb == SCRIPT_PAUSE ? SIGSTOP : SIGCONT, err);
    rc = geo_cluster_signal(c, nodes, SIGTERM, err);
    if (!rc)
        rc = geo_cluster_await_end(c, nodes, STEP_WAIT_MS, err);
    return rc ? rc : geo_cluster_start(c, nodes, false, err);
}

static enum rc step_masters(struct geo_cluster *c, const struct script_step *s, struct err *err) {
    const struct topo *t = c->world->topo;
    unsigned region = 0;
    while (region < t->regions && strcmp(t->region[region].name, s->arg) != 0)
        region++;
    if (region == t->regions)
        return err_set(err, RC_NOTFOUND, "there is no region \"%.40s\"", s->arg);
    if (s->verb == SCRIPT_CLOCK_OFF)
        return geo_clocks_set(c, region, &s->lie_ns, NULL, err);
    if (s->verb == SCRIPT_CLOCK_DRIFT)
        return geo_clocks_set(c, region, NULL, &s->lie_ns, err);
    return s->verb == SCRIPT_MASTERS_STOP  ? geo_masters_stop(c, region, 0, err)
           : s->verb == SCRIPT_MASTERS_LIE ? geo_masters_set(c, region, s->count, s->lie_ns, err)
                                           : geo_masters_set(c, region, 0, 0, err);
}

static bool repairs(const struct script_step *s) {
    return s->verb == SCRIPT_RESUME || s->verb == SCRIPT_MASTERS_START || strncmp(s->arg, "heal", 4) == 0 ||
           ((s->verb == SCRIPT_CLOCK_OFF || s->verb == SCRIPT_CLOCK_DRIFT) && s->lie_ns == 0) ||
           (s->verb == SCRIPT_RESTART && strcmp(s->arg, "dead") == 0);
}

static enum rc do_step(struct runner *r, const struct script_step *s, struct err *err) {
    struct geo_world w;
    struct geo_cluster *c = NULL;
    char statement[1024];
    enum rc rc = geo_world_open(r->world_name, true, &w, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&r->mutex);
    int leader = r->leader;
    results_event(r->results, sys_now_ns() - r->from_ns, repairs(s) ? "repair" : "fault", "%s", s->text);
    pthread_mutex_unlock(&r->mutex);
    rc = geo_cluster_open(&w, &c, err);
    if (!rc && s->verb == SCRIPT_LINK) {
        rc =
            script_statement(s, w.topo, leader < 0 ? -1 : (int)c->node[leader].place, statement, sizeof statement, err);
        if (!rc)
            rc = geo_world_change(&w, statement, err);
    } else if (!rc) {
        rc = s->verb >= SCRIPT_CLOCK_OFF ? step_masters(c, s, err) : step_nodes(r, c, s, err);
    }
    geo_cluster_free(c);
    geo_world_close(&w);
    return rc;
}

/* ---- before and after --------------------------------------------------------------------------------------------------------- */

static bool one_statement(unsigned port, const char *sql, int64_t patience_ns, char *ret_text, size_t bytes) {
    struct pg_client pg = {.port = port};
    bool lost, good = false;
    int64_t deadline = sys_now_ns() + patience_ns;
    if (pg_connect(&pg, deadline)) {
        PGresult *rows = pg_exec(&pg, sql, NULL, 0, deadline, &lost);
        good = rows != NULL;
        PQclear(rows);
    }
    if (!good)
        snprintf(ret_text, bytes, "%s (%s)", pg.text, pg.code);
    pg_close(&pg);
    return good;
}

enum rc runner_await_sql(const struct geo_cluster *c, int wait_ms, struct err *err) {
    int64_t until = sys_now_ns() + (int64_t)wait_ms * MS;
    char text[200] = "";
    for (unsigned i = 0; i < c->nodes; i++)
        while (!one_statement(c->node[i].sql_port, "SELECT 1", 5 * SEC, text, sizeof text)) {
            if (sys_now_ns() > until)
                return err_set(err, RC_TIMEOUT, "%s does not answer SELECT 1: %s", c->node[i].name, text);
            sys_sleep_ms(50);
        }
    return RC_OK;
}

/* All rows are there before clients begin: each a value of its own, as if a client had written it. */
static enum rc make_rows(struct runner *r, struct err *err) {
    const unsigned port = r->cluster->node[0].sql_port;
    char text[200], *sql = NULL;
    size_t bytes = 64 + (size_t)r->script->keys * 32, at = 0;
    if (!one_statement(port, "DROP TABLE IF EXISTS geo_rows", SETUP_NS, text, sizeof text) ||
        !one_statement(port, "CREATE TABLE geo_rows (k int8 PRIMARY KEY, v int8 NOT NULL)", SETUP_NS, text,
                       sizeof text))
        return err_set(err, RC_SQL, "the table geo_rows cannot be made: %s", text);
    sql = malloc(bytes);
    if (!sql)
        return err_set(err, RC_NOMEM, "out of memory");
    at += (size_t)snprintf(sql, bytes, "INSERT INTO geo_rows VALUES ");
    int64_t began = sys_now_ns();
    struct work_plan p = {.op = WORK_WRITE, .keys = 1, .writes = true};
    for (unsigned k = 1; k <= r->script->keys; k++)
        at +=
            (size_t)snprintf(sql + at, bytes - at, "%s(%u,%" PRId64 ")", k > 1 ? "," : "", k, r->work->next_value + k);
    bool good = one_statement(port, sql, SETUP_NS, text, sizeof text);
    free(sql);
    if (!good)
        return err_set(err, RC_SQL, "rows cannot be written: %s", text);
    /* As one transaction each: that they came together is nothing that anybody could miss. */
    for (unsigned k = 1; k <= r->script->keys; k++) {
        uint32_t t = hist_begin(r->work->history, 0, began);
        p.key[0] = k;
        p.value[0] = ++r->work->next_value;
        hist_write(r->work->history, t, k, p.value[0]);
        hist_commit(r->work->history, t, k, sys_now_ns());
    }
    return RC_OK;
}

static enum rc last_look(struct runner *r, struct err *err) {
    int64_t *value_of_key = calloc(r->script->keys + 1, sizeof *value_of_key);
    enum rc rc = value_of_key ? err_set(err, RC_UNREACHABLE, "no node answers at the end") : RC_NOMEM;
    for (unsigned i = 0; i < r->cluster->nodes && rc == RC_UNREACHABLE; i++) {
        struct pg_client pg = {.port = r->cluster->node[i].sql_port};
        int64_t began = sys_now_ns(), deadline = began + PATIENCE_NS;
        bool lost;
        PGresult *rows =
            pg_connect(&pg, deadline) ? pg_exec(&pg, "SELECT k, v FROM geo_rows", NULL, 0, deadline, &lost) : NULL;
        for (int row = 0; rows && row < PQntuples(rows); row++) {
            int64_t k = strtoll(PQgetvalue(rows, row, 0), NULL, 10);
            if (k >= 1 && k <= (int64_t)r->script->keys)
                value_of_key[k] = strtoll(PQgetvalue(rows, row, 1), NULL, 10);
        }
        if (rows) {
            work_final(r->work, i, value_of_key, 0, began, sys_now_ns());
            rc = RC_OK;
        }
        PQclear(rows);
        pg_close(&pg);
    }
    free(value_of_key);
    return rc;
}

static void ask_for_lead(const struct geo_cluster *c, unsigned home, unsigned number, int tablet) {
    char to[16], id[16];
    struct buf said;
    struct err ignored = {0};
    snprintf(to, sizeof to, "%u", number);
    snprintf(id, sizeof id, "%d", tablet);
    const char *const words[] = {"tablet", "transfer-leader", id, "--to", to, NULL};
    buf_init(&said, 1 << 16);
    IGNORE(geo_cluster_ask(c, home, words, &said, &ignored)); /* it may lead already, or not be ready to */
    buf_done(&said);
}

/* Leadership goes home, so that a run begins as its scenario says; for some time it is asked for again. */
static void go_home(struct runner *r) {
    const struct geo_cluster *c = r->cluster;
    const struct topo *t = r->world.topo;
    struct geo_seen *seen = calloc(1, sizeof *seen);
    unsigned home = 0;
    while (home < c->nodes && strcmp(t->region[t->place[c->node[home].place].region].name, r->script->home) != 0)
        home++;
    for (int tries = 0; seen && home < c->nodes && tries < HOME_TRIES; tries++) {
        geo_cluster_look(c, seen);
        if (seen->leads[home] >= 2)
            break;
        for (int tablet = 1; seen->number[home] && tablet <= 2; tablet++)
            ask_for_lead(c, home, seen->number[home], tablet);
        sys_sleep_ms(HOME_WAIT_MS);
    }
    free(seen);
}

static void measure(struct runner *r) {
    struct ping_matrix *m = r->world.backend == GEO_LOOPBACK ? NULL : malloc(sizeof *m);
    struct err ignored = {0};
    if (m && ping_measure(r->world_name, r->world.topo, PING_ROUNDS, m, &ignored) == RC_OK)
        for (unsigned a = 0; a < r->world.topo->places; a++)
            for (unsigned b = a + 1; b < r->world.topo->places; b++)
                r->results->rtt_ns[a][b] = ping_median_ns(&m->pair[a][b]);
    free(m);
}

static void describe(struct runner *r, uint64_t seed) {
    struct results *x = r->results;
    const struct script *s = r->script;
    static const char *const how[GEO_BACKENDS] = {"real: link emulator over TUN", "real: netem",
                                                  "real: loopback, --test-links"};
    snprintf(x->scenario, sizeof x->scenario, "%s", s->name);
    snprintf(x->title, sizeof x->title, "%s", s->title);
    snprintf(x->about, sizeof x->about, "%s", s->about);
    snprintf(x->backend, sizeof x->backend, "%s", how[r->world.backend]);
    snprintf(x->topology, sizeof x->topology, "world %s", r->world_name);
    if (r->world.backend == GEO_LOOPBACK)
        snprintf(x->note, sizeof x->note,
                 "No namespaces: nodes hold back what they send; delays and cuts, but neither "
                 "jitter nor loss nor rate.");
    x->seed = seed;
    x->has_seed = true;
}

static void make_clients(struct runner *r, uint64_t seed) {
    const struct topo *t = r->world.topo;
    for (unsigned region = 0; region < t->regions; region++) {
        unsigned here[GEO_NODES_MAX], count = 0;
        for (unsigned i = 0; i < r->cluster->nodes; i++)
            if (t->place[r->cluster->node[i].place].region == region)
                here[count++] = i;
        for (unsigned k = 0; k < r->script->clients && count && r->clients < CLIENTS_MAX; k++) {
            struct client *c = &r->client[r->clients++];
            *c = (struct client){.r = r, .id = r->clients, .node = here[k % count], .region = region};
            c->pg = c->past = (struct pg_client){.port = r->cluster->node[c->node].sql_port};
            snprintf(c->past.setup, sizeof c->past.setup, "SET meridian.read_staleness = 'exact %lldms'",
                     (long long)(r->script->staleness_ns / MS));
            rng_init(&c->rng, seed * 1000 + r->clients);
        }
    }
    r->results->clients = r->clients;
}

static enum rc perform(struct runner *r, struct err *err) {
    enum rc rc = RC_OK;
    pthread_t looker;
    unsigned started = 0, step = 0;
    r->from_ns = r->work->from_ns = r->work->last_write_ns = sys_now_ns();
    if (pthread_create(&looker, NULL, look_main, r))
        return err_set(err, RC_NOMEM, "a thread cannot be started");
    while (started < r->clients && !pthread_create(&r->client[started].thread, NULL, client_main, &r->client[started]))
        started++;
    if (started < r->clients)
        rc = err_set(err, RC_NOMEM, "a thread cannot be started");
    while (!rc && sys_now_ns() - r->from_ns < r->script->duration_ns) {
        if (step < r->script->steps && sys_now_ns() - r->from_ns >= r->script->step[step].at_ns)
            rc = do_step(r, &r->script->step[step++], err);
        else
            sys_sleep_ms(20);
    }
    r->over = true;
    int64_t ended = sys_now_ns();
    for (unsigned i = 0; i < started; i++)
        pthread_join(r->client[i].thread, NULL);
    pthread_join(looker, NULL);
    if (!rc)
        rc = last_look(r, err);
    if (!rc)
        work_judge(r->work, ended);
    return rc;
}

enum rc runner_play(const char *world, const struct script *script, uint64_t seed, struct results **ret,
                    struct topo **ret_topo, struct err *err) {
    struct runner *r = calloc(1, sizeof *r);
    char text[200];
    if (!r)
        return err_set(err, RC_NOMEM, "out of memory");
    *r = (struct runner){.world_name = world, .script = script, .leader = -1};
    pthread_mutex_init(&r->mutex, NULL);
    enum rc rc = geo_world_open(world, false, &r->world, err);
    if (rc) {
        free(r);
        return rc;
    }
    rc = geo_cluster_open(&r->world, &r->cluster, err);
    if (!rc && results_new(r->world.topo, script->duration_ns, &r->results))
        rc = err_set(err, RC_NOMEM, "out of memory");
    if (!rc && work_new(script, r->results, 0, &r->work))
        rc = err_set(err, RC_NOMEM, "out of memory");
    if (!rc)
        rc = runner_await_sql(r->cluster, 30000, err);
    if (!rc) {
        describe(r, seed);
        measure(r);
        go_home(r);
        r->has_ts =
            one_statement(r->cluster->node[0].sql_port, "SELECT commit_timestamp()", 5 * SEC, text, sizeof text);
        rc = make_rows(r, err);
        if (!rc)
            rc = geo_cluster_await_reads(r->cluster, err);
    }
    if (!rc) {
        make_clients(r, seed);
        sys_sleep_ms((int)(script->staleness_ns / MS) + 1000); /* who reads the past is to find the rows there */
        rc = perform(r, err);
    }
    if (r->cluster && r->cluster->nodes)
        one_statement(r->cluster->node[0].sql_port, "DROP TABLE IF EXISTS geo_rows", 10 * SEC, text, sizeof text);
    work_free(r->work);
    geo_cluster_free(r->cluster);
    if (rc) {
        results_free(r->results);
    } else {
        *ret = r->results;
        *ret_topo = r->world.topo;
        r->world.topo = NULL;
    }
    geo_world_close(&r->world);
    pthread_mutex_destroy(&r->mutex);
    free(r);
    return rc;
}
