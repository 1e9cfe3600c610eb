/* SPDX-License-Identifier: Apache-2.0 */
#include "geo-sim/scenarios/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char cluster[] = "world";

enum { US = 1000, DRIFT_PPB_SIGMA = 40000, DRIFT_PPB_MAX = 150000 };

/* ---- a node ------------------------------------------------------------------------------------------------------ */

static bool resolve(void *ctx, uint32_t node, char *ret_addr, size_t bytes) {
    const struct world_node *n = ctx;
    if (node < 1 || node > n->world->count)
        return false;
    snprintf(ret_addr, bytes, "%s:%d", n->world->node[node - 1].name, WORLD_PORT);
    return true;
}

/* A frame leaves: it carries what the clock says now. */
static void stamp(void *ctx, int64_t *ret_earliest, int64_t *ret_latest) {
    struct world_node *n = ctx;
    tt_interval now = n->clock_on ? tt_now(&n->clock) : TT_UNKNOWN;
    if (tt_is_known(now))
        *ret_earliest = now.earliest, *ret_latest = now.latest;
}

static void on_interval(void *ctx, uint32_t node, int64_t earliest, int64_t latest) {
    struct world_node *n = ctx;
    if (!n->clock_on || node == 0 || node >= ARRAY_LEN(n->peer))
        return;
    n->world->peer_checks++;
    n->world->peer_contradict +=
        tt_check_peer(&n->peers, &n->peer[node], (tt_interval){earliest, latest}, INT64_MIN) != 0;
}

/* The masters of its region. */
static enum rc clock_spec(const struct world_node *n, struct tt_spec *ret, struct err *err) {
    char text[WORLD_MASTERS_MAX * 8] = "";
    unsigned masters = n->world->topo->region[n->region].masters;
    for (unsigned i = 0, at = 0; i < masters && i < WORLD_MASTERS_MAX; i++)
        at += (unsigned)snprintf(text + at, sizeof text - at, "%ssim:%u", i ? ";" : "", i);
    return tt_spec_parse(text, ret, err);
}

static enum rc boot_clock(struct world_node *n, struct env *env, struct err *err) {
    struct tt_poller_conf conf = {0};
    enum rc rc = clock_spec(n, &conf.spec, err);
    if (!rc)
        rc = tt_poller_new(env, &conf, &n->poller, err);
    if (!rc)
        rc = tt_clock_init(&n->clock, env, tt_poller_page(n->poller), err);
    if (rc)
        return rc;
    tt_peers_init(&n->peers, &n->clock);
    for (unsigned i = 1; i <= n->world->count; i++) {
        n->peer[i] = (struct tt_peer){0};
        ilist_init(&n->peer[i].link);
        if (i != n->id)
            tt_peer_join(&n->peers, &n->peer[i]);
    }
    n->clock_on = true;
    return RC_OK;
}

static enum rc boot_net(struct world_node *n, struct err *err) {
    struct rpc_conf conf = {.peers = {.node = n->id,
                                      .incarnation = n->boots,
                                      .clock_scale = "utc",
                                      .cluster_bytes = sizeof cluster - 1,
                                      .clock = stamp,
                                      .on_interval = on_interval,
                                      .resolve = resolve,
                                      .ctx = n}};
    char addr[SIM_NAME_BYTES + 8];
    memcpy(conf.peers.cluster, cluster, sizeof cluster - 1);
    snprintf(addr, sizeof addr, "%s:%d", n->name, WORLD_PORT);
    enum rc rc = rpc_new(n->reactor, &conf, &n->rpc, err);
    if (!rc)
        rc = rpc_link(&n->rpc, 1);
    return rc ? rc : rpc_listen(n->rpc, addr, err);
}

static void done(void *state) {
    struct world_node *n = state;
    if (n->world->conf.on_done)
        n->world->conf.on_done(n, n->world->conf.ctx);
    rpc_free(n->rpc);
    reactor_free(n->reactor);
    n->rpc = NULL;
    n->reactor = NULL;
}

static void stop_clock(struct world_node *n) {
    if (n->clock_on)
        tt_clock_done(&n->clock);
    n->clock_on = false;
    tt_poller_free(n->poller);
    n->poller = NULL;
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct world_node *n = arg;
    struct world_conf *conf = &n->world->conf;
    (void)count;
    n->boots++;
    enum rc rc = reactor_new(stores[0], NULL, &n->reactor);
    if (!rc)
        rc = boot_clock(n, stores[0], err);
    if (!rc)
        rc = boot_net(n, err);
    if (!rc)
        rc = conf->on_boot(n, conf->ctx, err);
    *ret_state = n;
    /* The machine is our own: where its boot fails, so does the scenario, and nothing is given back. */
    CHECKF(rc == RC_OK, "%s: %s", n->name, err_message(err));
    return rc;
}

static void stop(void *state, uint16_t store) {
    struct world_node *n = state;
    (void)store;
    if (n->world->conf.on_stop)
        n->world->conf.on_stop(n, n->world->conf.ctx);
    stop_clock(n);
    rpc_stop(n->rpc);
    reactor_stop(n->reactor);
}

static bool stopped(void *state, uint16_t store) {
    const struct world_node *n = state;
    (void)store;
    const struct world_conf *conf = &n->world->conf;
    return reactor_idle(n->reactor) && rpc_idle(n->rpc) && (!conf->is_stopped || conf->is_stopped(n, conf->ctx));
}

static const struct program program = {boot, stop, stopped, done};

/* ---- the world --------------------------------------------------------------------------------------------------- */

/* After each event: every clock that tells an interval has true time inside. */
static void check_clocks(void *ctx) {
    struct world *w = ctx;
    int64_t truth = sim_true_ns(w->sim);
    for (unsigned i = 0; i < w->count; i++) {
        struct world_node *n = &w->node[i];
        if (!sim_node_running(n->sim) || !n->clock_on)
            continue;
        tt_interval now = tt_now(&n->clock);
        if (!tt_is_known(now))
            continue;
        w->clock_checks++;
        w->clock_outside += truth < now.earliest || truth > now.latest;
    }
}

/* An oscillator of its own, and a system clock that somebody set by hand. */
static void furnish(struct world_node *n) {
    struct rng *rng = sim_rng(n->world->sim);
    double ppb = rng_normal(rng, 0, DRIFT_PPB_SIGMA);
    n->drift_ppb = ppb > DRIFT_PPB_MAX ? DRIFT_PPB_MAX : ppb < -DRIFT_PPB_MAX ? -DRIFT_PPB_MAX : (int64_t)ppb;
    sim_clock_drift(n->sim, n->drift_ppb);
    sim_clock_step(n->sim, rng_range(rng, -8000 * US, 8000 * US));
}

static enum rc make_node(struct world *w, unsigned place, unsigned number, struct err *err) {
    if (w->count == WORLD_NODES_MAX)
        return err_set(err, RC_LIMIT, "a scenario has at most %d nodes", WORLD_NODES_MAX);
    struct world_node *n = &w->node[w->count];
    *n = (struct world_node){.world = w, .id = w->count + 1, .place = place, .region = w->topo->place[place].region};
    const char *name = w->topo->place[place].name;
    int len = number == 0 ? snprintf(n->name, sizeof n->name, "%s", name)
                          : snprintf(n->name, sizeof n->name, "%s%u", name, number + 1);
    if (len >= (int)sizeof n->name)
        return err_set(err, RC_LIMIT, "the name of place %s is too long", name);
    n->sim = sim_node_new(w->sim, n->name, 1, &program, n);
    w->place_of[w->count++] = place;
    return RC_OK;
}

static enum rc make_nodes(struct world *w, struct err *err) {
    enum rc rc = RC_OK;
    for (unsigned place = 0; place < w->topo->places && !rc; place++)
        for (unsigned i = 0; i < topo_nodes(w->topo, place) && !rc; i++)
            rc = make_node(w, place, i, err);
    if (rc)
        return rc;
    sim_topo_apply(w->sim, w->topo, w->place_of);
    sim_topo_clocks(w->sim, w->topo, w->place_of);
    for (unsigned i = 0; i < w->count; i++)
        furnish(&w->node[i]);
    return RC_OK;
}

enum rc world_new(const struct world_conf *conf, struct world **ret, struct err *err) {
    struct sim_conf sim = {.seed = conf->seed, .level = conf->print ? DIAG_INFO : DIAG_WARN, .print = conf->print};
    struct world *w = calloc(1, sizeof *w);
    if (w)
        w->sim = sim_new(&sim);
    if (!w || !w->sim) {
        free(w);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    w->conf = *conf;
    sim_chance_off(w->sim); /* what goes wrong is what the scenario does */
    enum rc rc = topo_parse("scenario", conf->topology, strlen(conf->topology), &w->topo, err);
    if (!rc)
        rc = make_nodes(w, err);
    sim_on_event(w->sim, check_clocks, w);
    for (unsigned i = 0; i < w->count && !rc; i++)
        rc = world_start(&w->node[i], err);
    if (rc)
        world_free(w);
    else
        *ret = w;
    return rc;
}

void world_free(struct world *w) {
    if (!w)
        return;
    sim_free(w->sim);
    topo_free(w->topo);
    free(w);
}

enum rc world_start(struct world_node *n, struct err *err) {
    return sim_node_start(n->sim, err);
}

void world_run(struct world *w, int64_t until_ns) {
    sim_run(w->sim, until_ns);
}

struct world_node *world_find(struct world *w, const char *name) {
    for (unsigned i = 0; i < w->count; i++)
        if (strcmp(w->node[i].name, name) == 0)
            return &w->node[i];
    return NULL;
}

enum rc world_say(struct world *w, const char *statement, struct err *err) {
    enum rc rc = topo_apply(w->topo, statement, err);
    if (!rc)
        sim_topo_apply(w->sim, w->topo, w->place_of);
    return rc;
}
