/* SPDX-License-Identifier: Apache-2.0 */
#include "geo-sim/scenarios/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char clock_spec[] = "sim:0;sim:1;sim:2";
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

static enum rc boot_clock(struct world_node *n, struct env *env, struct err *err) {
    struct tt_poller_conf conf = {0};
    enum rc rc = tt_spec_parse(clock_spec, &conf.spec, err);
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
    stop_clock(n);
    rpc_stop(n->rpc);
    reactor_stop(n->reactor);
}

static bool stopped(void *state, uint16_t store) {
    const struct world_node *n = state;
    (void)store;
    return reactor_idle(n->reactor) && rpc_idle(n->rpc);
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

static void link_all(struct world *w) {
    for (unsigned i = 0; i < w->count; i++)
        for (unsigned j = 0; j < w->count; j++) {
            int64_t rtt = w->conf.map->rtt_ns[w->node[i].region][w->node[j].region];
            struct sim_link *l = sim_link(w->node[i].sim, w->node[j].sim);
            if (i == j)
                continue;
            l->latency_ns = rtt / 2;
            l->jitter_ns = rtt / 400; /* each way: a mean of 0.5 % of the round trip on both */
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

enum rc world_new(const struct world_conf *conf, struct world **ret, struct err *err) {
    struct sim_conf sim = {.seed = conf->seed, .level = conf->print ? DIAG_INFO : DIAG_WARN, .print = conf->print};
    struct world *w = calloc(1, sizeof *w);
    const struct world_map *map = conf->map;
    enum rc rc = RC_OK;
    CHECK(map->regions <= WORLD_REGIONS_MAX && map->regions * map->zones <= WORLD_NODES_MAX);
    if (w)
        w->sim = sim_new(&sim);
    if (!w || !w->sim) {
        free(w);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    w->conf = *conf;
    sim_chance_off(w->sim); /* what goes wrong is what the scenario does */
    w->count = map->regions * map->zones;
    for (unsigned i = 0; i < w->count; i++) {
        struct world_node *n = &w->node[i];
        *n = (struct world_node){.world = w, .id = i + 1, .region = i / map->zones};
        snprintf(n->name, sizeof n->name, "%s-%c", map->name[n->region], 'a' + (char)(i % map->zones));
        n->sim = sim_node_new(w->sim, n->name, 1, &program, n);
        furnish(n);
    }
    link_all(w);
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
    free(w);
}

enum rc world_start(struct world_node *n, struct err *err) {
    return sim_node_start(n->sim, err);
}

void world_run(struct world *w, int64_t until_ns) {
    sim_run(w->sim, until_ns);
}

struct world_node *world_node(struct world *w, unsigned region, unsigned zone) {
    unsigned i = region * w->conf.map->zones + zone;
    CHECK(zone < w->conf.map->zones && i < w->count);
    return &w->node[i];
}

void world_cut_region(struct world *w, unsigned region, bool cut) {
    uint64_t set = 0;
    for (unsigned i = 0; i < w->count; i++)
        set |= (uint64_t)(w->node[i].region == region) << sim_node_id(w->node[i].sim);
    sim_partition(w->sim, set, cut);
}
