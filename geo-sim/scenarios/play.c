/* SPDX-License-Identifier: Apache-2.0 */
/*
 * play.c: the play from the first node to the verdict.
 *
 *     the home region's node makes the cluster, the others join | every tablet has its voters, every region a replica |
 *     round trips are measured |
 *     the table | clients work, steps come at their times | clients end | a last look at every key | checks
 */
#include "geo-sim/scenarios/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/scenarios/play_internal.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static const int64_t LOOK_NS = 50 * MS, DRAIN_NS = 15 * SEC, GROW_NS = 120 * SEC;

/* ---- the program of a node ----------------------------------------------------------------------------------------------- */

static void spawn_clients(struct play *p, struct play_node *n) {
    for (unsigned i = 0; i < p->clients; i++)
        if (p->client[i].node == n && fiber_spawn(node_store(n->node, 0)->reactor, NULL, FIBER_LARGE, "client",
                                                  play_client_main, &p->client[i]) != RC_OK)
            play_broke(p, "%s: a client cannot be started", n->name);
}

static void on_ready(void *ctx, struct node *node) {
    struct play_node *n = ctx;
    n->node = node;
    if (n->play->running && !n->play->over)
        spawn_clients(n->play, n);
}

static void on_failed(void *ctx, struct node *node, enum rc rc, const struct err *err) {
    struct play_node *n = ctx;
    (void)node;
    play_broke(n->play, "%s failed: %s: %s", n->name, rc_name(rc), err_message(err));
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct play_node *n = arg;
    n->node = NULL;
    return node_program.boot(stores, count, &n->conf, ret_state, err);
}

static void stop(void *state, uint16_t store) {
    ((struct play_node *)node_conf(state)->ctx)->node = NULL;
    node_program.stop(state, store);
}

static bool stopped(void *state, uint16_t store) {
    return node_program.stopped(state, store);
}

static void done(void *state) {
    node_program.done(state);
}

static const struct program program = {boot, stop, stopped, done};

/* ---- making the world ------------------------------------------------------------------------------------------------------ */

static enum rc make_node(struct play *p, unsigned place, struct err *err) {
    const struct topo *t = p->topo;
    const struct topo_region *r = &t->region[t->place[place].region];
    if (p->nodes == PLAY_NODES_MAX)
        return err_set(err, RC_LIMIT, "a simulated cluster has at most %d nodes", PLAY_NODES_MAX);
    struct play_node *n = &p->node[p->nodes];
    *n = (struct play_node){.play = p, .index = p->nodes, .place = place, .region = t->place[place].region};
    snprintf(n->name, sizeof n->name, "n%u", p->nodes + 1);
    snprintf(n->rpc, sizeof n->rpc, "n%u:7433", p->nodes + 1);
    n->conf = (struct node_conf){.dir = "data",
                                 .rpc_addr = n->rpc,
                                 .region = r->name,
                                 .zone = r->zone[t->place[place].zone],
                                 .stores = 1,
                                 .upper = &p->upper,
                                 .replicas = {.wal = {.segment_bytes = 1 << 20, .segments_soft = 3}},
                                 .on_ready = on_ready,
                                 .on_failed = on_failed,
                                 .ctx = n};
    char clock[TOPO_MASTERS_MAX * 8 + 32] = "sim";
    for (unsigned m = 0, at = 0; m < r->masters && m < SIM_TRUTHS; m++)
        at += (unsigned)snprintf(clock + at, sizeof clock - at, "%ssim:%u", m ? ";" : "", m);
    enum rc rc = tt_spec_parse(clock, &n->conf.clock, err);
    n->sim = sim_node_new(p->sim, n->name, 1, &program, n);
    p->place_of[p->nodes++] = place;
    return rc;
}

static void make_clients(struct play *p) {
    for (unsigned r = 0; r < p->topo->regions; r++) {
        struct play_node *of_region[PLAY_NODES_MAX];
        unsigned count = 0;
        for (unsigned i = 0; i < p->nodes; i++)
            if (p->node[i].region == r)
                of_region[count++] = &p->node[i];
        for (unsigned i = 0; i < p->script->clients && count && p->clients < PLAY_CLIENTS_MAX; i++, p->clients++)
            p->client[p->clients] = (struct play_client){.play = p, .id = p->clients + 1, .node = of_region[i % count]};
    }
    p->results->clients = p->clients;
}

/* Whoever makes the cluster leads at first. */
static unsigned home_of(const struct play *p) {
    for (unsigned i = 0; i < p->nodes; i++)
        if (strcmp(p->topo->region[p->node[i].region].name, p->script->home) == 0)
            return i;
    return 0;
}

static bool all_serve(void *ctx) {
    struct play *p = ctx;
    for (unsigned i = 0; i < p->nodes; i++)
        if (!p->node[i].node || !node_serving(p->node[i].node))
            return p->err.rc != RC_OK;
    return true;
}

static bool home_serves(void *ctx) {
    struct play *p = ctx;
    const struct play_node *n = &p->node[home_of(p)];
    return p->err.rc || (n->node && node_serving(n->node));
}

static bool all_grown(void *ctx) {
    struct play *p = ctx;
    unsigned want = p->nodes < NODE_VOTERS ? p->nodes : NODE_VOTERS;
    if (!all_serve(p) || p->err.rc)
        return p->err.rc != RC_OK;
    struct node_store *s = node_store(p->node[home_of(p)].node, 0);
    for (uint64_t id = 1; id <= SYSTEM_USER_TABLET; id++) {
        struct tablet *t = tablets_find(s->tablets, id);
        struct tablet_info info;
        if (!t)
            return false;
        tablet_info(t, &info);
        unsigned voters = 0;
        for (uint32_t k = 0; k < info.config.count; k++)
            voters += px_is_voter(&info.config.member[k]);
        if (info.empty || info.config.joint || voters < want)
            return false;
    }
    return true;
}

/* Rows are in every region: with a voter, or with a replica that only serves reads. */
static bool all_near(void *ctx) {
    struct play *p = ctx;
    bool near[TOPO_REGIONS_MAX] = {false};
    for (unsigned i = 0; i < p->nodes && all_serve(p) && !p->err.rc; i++) {
        struct tablet *t = tablets_find(node_store(p->node[i].node, 0)->tablets, SYSTEM_USER_TABLET);
        struct tablet_info info = {.empty = true};
        if (t)
            tablet_info(t, &info);
        near[p->node[i].region] |= !info.empty;
    }
    for (unsigned i = 0; i < p->nodes; i++)
        if (!near[p->node[i].region])
            return p->err.rc != RC_OK;
    return true;
}

static enum rc until(struct play *p, bool (*pred)(void *ctx), int64_t ns, const char *what, struct err *err) {
    bool came = sim_run_until(p->sim, pred, p, sim_now(p->sim) + ns);
    if (p->err.rc) {
        *err = p->err;
        return p->err.rc;
    }
    return came ? RC_OK : err_set(err, RC_TIMEOUT, "%s, not after %lld virtual seconds", what, (long long)(ns / SEC));
}

static enum rc grow(struct play *p, struct err *err) {
    unsigned home = home_of(p);
    p->node[home].conf.bootstrap = true;
    enum rc rc = sim_node_start(p->node[home].sim, err);
    if (!rc)
        rc = until(p, home_serves, GROW_NS, "the first node serves", err);
    for (unsigned i = 0; i < p->nodes && !rc; i++)
        if (i != home) {
            p->node[i].conf.join[0] = p->node[home].rpc;
            p->node[i].conf.joins = 1;
            rc = sim_node_start(p->node[i].sim, err);
        }
    if (!rc)
        rc = until(p, all_grown, GROW_NS, "every tablet has its voters", err);
    return rc ? rc : until(p, all_near, GROW_NS, "every region has a replica", err);
}

static enum rc on_home(struct play *p, fiber_fn *fn, struct err *err) {
    struct play_node *n = &p->node[home_of(p)];
    for (unsigned i = 0; i < p->nodes && !n->node; i++)
        n = &p->node[i];
    if (!n->node)
        return err_set(err, RC_UNREACHABLE, "no node serves");
    enum rc rc = fiber_spawn(node_store(n->node, 0)->reactor, NULL, FIBER_LARGE, "play", fn, n);
    return rc ? err_set(err, rc, "a fiber cannot be started") : RC_OK;
}

static bool is_made(void *ctx) {
    struct play *p = ctx;
    return p->made || p->err.rc;
}

static bool has_pinged(void *ctx) {
    struct play *p = ctx;
    return p->pinging == 0 || p->err.rc;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Of nodes; the places' medians go into the results. */
static enum rc measure(struct play *p, struct err *err) {
    for (unsigned i = 0; i < p->nodes; i++) {
        p->pinging++;
        if (fiber_spawn(node_store(p->node[i].node, 0)->reactor, NULL, FIBER_LARGE, "ping", play_ping_main,
                        &p->node[i]))
            return err_set(err, RC_NOMEM, "a fiber cannot be started");
    }
    enum rc rc = until(p, has_pinged, GROW_NS, "round trips are measured", err);
    for (unsigned i = 0; i < p->nodes && !rc; i++)
        for (unsigned j = 0; j < p->nodes; j++) {
            unsigned a = p->place_of[i], b = p->place_of[j], n = p->pings[i][j];
            if (a >= b || n == 0)
                continue;
            qsort(p->ping_ns[i][j], n, sizeof p->ping_ns[i][j][0], compare);
            p->results->rtt_ns[a][b] = p->ping_ns[i][j][n / 2];
        }
    return rc;
}

/* ---- the play ---------------------------------------------------------------------------------------------------------------- */

static void look_at_clocks(struct play *p) {
    int64_t truth = sim_true_ns(p->sim), at = sim_now(p->sim) - p->from_ns;
    for (unsigned i = 0; i < p->nodes; i++) {
        struct play_node *n = &p->node[i];
        if (!n->node || !sim_node_running(n->sim))
            continue;
        tt_interval now = tt_now(&node_store(n->node, 0)->clock);
        p->clock_looks++;
        if (!tt_is_known(now)) {
            results_clock(p->results, n->region, at, -1);
            continue;
        }
        p->clock_outside += truth < now.earliest || truth > now.latest;
        results_clock(p->results, n->region, at, (now.latest - now.earliest) / 2);
    }
}

static void look_at_leader(struct play *p) {
    int leader = play_leader(p);
    int64_t at = sim_now(p->sim) - p->from_ns;
    if (leader == p->leader)
        return;
    if (leader < 0)
        results_event(p->results, at, "lost", "nobody leads");
    else
        results_event(p->results, at, "leader", "%s", p->topo->place[p->node[leader].place].name);
    p->leader = leader;
}

/* Nodes that were ended cleanly go on. */
static void look_at_restarts(struct play *p) {
    struct err err = {0};
    for (unsigned i = 0; i < p->nodes; i++) {
        struct play_node *n = &p->node[i];
        if (!n->restarting || !n->stopped)
            continue;
        if (sim_node_running(n->sim)) {
            n->node = NULL;
            sim_node_stop(n->sim);
            continue;
        }
        n->restarting = false;
        if (sim_node_start(n->sim, &err))
            play_broke(p, "%s does not start: %s", n->name, err_message(&err));
    }
}

static bool clients_idle(void *ctx) {
    struct play *p = ctx;
    for (unsigned i = 0; i < p->clients; i++)
        if (p->client[i].busy)
            return false;
    return true;
}

/* ---- who has stayed behind ------------------------------------------------------------------------------------------------------ */

enum { TABLETS_MAX = 64 };

struct applied {
    struct play *p;
    uint64_t id[TABLETS_MAX], slot[TABLETS_MAX]; /* the furthest of all replicas, when it was looked */
    unsigned tablets;
    bool looking, behind;
};

static void look_at_replica(void *ctx, struct tablet *t) {
    struct applied *a = ctx;
    struct px_status px;
    unsigned i = 0;
    if (!tablet_replica(t))
        return;
    replica_status(tablet_replica(t), &px);
    while (i < a->tablets && a->id[i] != tablet_id(t))
        i++;
    if (a->looking && i == a->tablets && i < TABLETS_MAX) {
        a->id[a->tablets] = tablet_id(t);
        a->slot[a->tablets++] = 0;
    }
    if (a->looking && i < a->tablets && px.applied > a->slot[i])
        a->slot[i] = px.applied;
    if (!a->looking && i < a->tablets && px.applied < a->slot[i] && !px.leaving && !px.removed)
        a->behind = true;
}

static void look_at_replicas(struct applied *a) {
    for (unsigned i = 0; i < a->p->nodes; i++)
        if (a->p->node[i].node && sim_node_running(a->p->node[i].sim))
            tablets_each(node_store(a->p->node[i].node, 0)->tablets, look_at_replica, a);
}

static bool nobody_behind(void *ctx) {
    struct applied *a = ctx;
    a->behind = false;
    look_at_replicas(a);
    return !a->behind || a->p->err.rc;
}

/* A replica that a fault has left behind for good is a fault that waits for the next one. */
static void check_replicas(struct play *p) {
    struct applied a = {.p = p, .looking = true};
    look_at_replicas(&a);
    a.looking = false;
    int64_t from = sim_now(p->sim);
    bool all = sim_run_until(p->sim, nobody_behind, &a, from + DRAIN_NS);
    results_check(p->results, all,
                  all ? "every replica has caught up, %.1f s after the clients ended"
                      : "a replica is still behind, %.1f s after the clients ended",
                  (double)(sim_now(p->sim) - from) / 1e9);
}

static bool has_finished(void *ctx) {
    struct play *p = ctx;
    return p->finished || p->err.rc;
}

static enum rc perform(struct play *p, struct err *err) {
    unsigned step = 0;
    sim_run(p->sim, sim_now(p->sim) + p->script->staleness_ns + SEC); /* what is read of the past has a table there */
    p->from_ns = sim_now(p->sim);
    p->work->from_ns = p->work->last_write_ns = p->from_ns;
    p->running = true;
    p->leader = -1;
    look_at_leader(p);
    for (unsigned i = 0; i < p->nodes; i++)
        spawn_clients(p, &p->node[i]);
    for (int64_t at = 0; at < p->script->duration_ns && !p->err.rc; at += LOOK_NS) {
        while (step < p->script->steps && p->script->step[step].at_ns <= at) {
            play_step(p, &p->script->step[step++]);
            look_at_leader(p);
        }
        sim_run(p->sim, p->from_ns + at + LOOK_NS);
        look_at_clocks(p);
        look_at_leader(p);
        look_at_restarts(p);
    }
    p->over = true;
    int64_t ended = sim_now(p->sim);
    if (!p->err.rc && !sim_run_until(p->sim, clients_idle, p, ended + DRAIN_NS))
        play_broke(p, "a client waits longer than it may");
    if (p->err.rc) {
        *err = p->err;
        return p->err.rc;
    }
    enum rc rc = on_home(p, play_final_main, err);
    if (!rc)
        rc = until(p, has_finished, GROW_NS, "the last look at every row", err);
    if (rc)
        return rc;
    work_judge(p->work, ended);
    check_replicas(p);
    results_check(p->results, p->clock_outside == 0, "true time was inside every interval: %llu looks",
                  (unsigned long long)p->clock_looks);
    return RC_OK;
}

static enum rc prepare(struct play *p, struct err *err) {
    const struct script *s = p->script;
    enum rc rc = results_new(p->topo, s->duration_ns, &p->results);
    if (rc)
        return err_set(err, rc, "out of memory");
    struct results *r = p->results;
    snprintf(r->scenario, sizeof r->scenario, "%s", s->name);
    snprintf(r->title, sizeof r->title, "%s", s->title);
    snprintf(r->about, sizeof r->about, "%s", s->about);
    snprintf(r->backend, sizeof r->backend, "virtual: simulator");
    snprintf(r->note, sizeof r->note,
             "In virtual time computing takes none: what needs neither network nor disk took 0.");
    snprintf(r->topology, sizeof r->topology, "%s", p->conf->topology_name);
    r->seed = p->conf->seed;
    r->has_seed = true;
    r->causes = TXN_CAUSES;
    for (int c = 0; c < TXN_CAUSES; c++)
        snprintf(r->cause[c], sizeof r->cause[c], "%s", txn_cause_name((enum txn_cause)c));
    rc = work_new(s, r, 0, &p->work);
    if (!rc)
        rc = play_make_table(&p->table, err);
    for (unsigned place = 0; place < p->topo->places && !rc; place++)
        for (unsigned i = 0; i < topo_nodes(p->topo, place) && !rc; i++)
            rc = make_node(p, place, err);
    if (rc)
        return rc;
    sim_topo_apply(p->sim, p->topo, p->place_of);
    sim_topo_clocks(p->sim, p->topo, p->place_of);
    make_clients(p);
    return RC_OK;
}

enum rc play_script(const struct play_conf *conf, struct results **ret, struct play_stats *ret_stats, struct err *err) {
    struct sim_conf sim = {
        .seed = conf->seed, .level = conf->print ? DIAG_INFO : DIAG_WARN, .print = conf->print, .mutant = conf->mutant};
    struct play *p = calloc(1, sizeof *p);
    if (p)
        p->sim = sim_new(&sim);
    if (!p || !p->sim) {
        free(p);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    p->conf = conf;
    p->script = conf->script;
    p->topo = conf->topo;
    p->leader = -1;
    sim_chance_off(p->sim); /* what goes wrong is what the script says */
    txn_upper_init(&p->upper, NULL);
    enum rc rc = prepare(p, err);
    if (!rc)
        rc = grow(p, err);
    if (!rc)
        rc = measure(p, err);
    if (!rc)
        rc = on_home(p, play_setup_main, err);
    if (!rc)
        rc = until(p, is_made, GROW_NS, "the table is made", err);
    if (!rc)
        rc = perform(p, err);
    *ret_stats = (struct play_stats){sim_events(p->sim), sim_trace(p->sim), sim_now(p->sim)};
    sim_free(p->sim);
    table_unref(p->table);
    work_free(p->work);
    if (rc)
        results_free(p->results);
    else
        *ret = p->results;
    free(p);
    return rc;
}
