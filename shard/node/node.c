/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.c: a node's stores from boot to end.
 *
 * Store 0 leads the way: it takes the directory, learns who the node is, then tells every store (itself among them) to open,
 * and serves once all have. The stop goes the same way: each store hands over and closes, then tells store 0.
 */
#include "shard/node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/node_internal.h"
#include "shard/runtime/ttwait.h"

/* BACK_NS: a leader's floor may be a lease ahead. */
static const int64_t STOP_NS = 5000000000, BACK_NS = 10000000000, BACK_LOOK_NS = 500000000, LONE_CLOCK_NS = 2000000000;

/* ---- states --------------------------------------------------------------------------------------------------------- */

#define TO(s) (1u << NODE_##s)
static const struct {
    const char *name;
    uint32_t next;
} states[NODE_STATES] = {
    [NODE_NEW] = {"new", TO(IDENTIFIED) | TO(STOPPING)}, [NODE_IDENTIFIED] = {"identified", TO(OPEN) | TO(STOPPING)},
    [NODE_OPEN] = {"open", TO(SERVING) | TO(STOPPING)},  [NODE_SERVING] = {"serving", TO(STOPPING)},
    [NODE_STOPPING] = {"stopping", TO(STOPPED)},         [NODE_STOPPED] = {"stopped", 0},
};
#undef TO

static struct reactor *reactor_of(const struct node *n) {
    return n->store[0].pub.reactor;
}

void node_move(struct node *n, enum node_state to) {
    CHECKF(states[n->state].next & (1u << to), "%s -> %s", states[n->state].name, states[to].name);
    diag_info(&n->store[0].pub.env->diag, "node: state", "from=%s to=%s", states[n->state].name, states[to].name);
    n->state = to;
}

void node_failed(struct node *n, enum rc rc, const struct err *err) {
    if (rc == RC_CANCELLED || rc == RC_SHUTDOWN)
        return; /* it is being stopped */
    diag_error(&n->store[0].pub.env->diag, "node: cannot go on", "rc=%s reason=\"%s\"", rc_name(rc), err_message(err));
    if (n->conf->on_failed)
        n->conf->on_failed(n->conf->ctx, n, rc, err);
}

/* ---- opening a store -------------------------------------------------------------------------------------------------- */

/* P-30: a log that failed is not used any more; leases lapse, others take over, this node ends. */
static void on_dead(void *ctx, enum rc rc, const char *why) {
    struct store_run *s = ctx;
    struct err err;
    err_set(&err, rc == RC_NOSPACE ? rc : RC_IO, "store %u: %s", s->pub.number, why);
    node_failed(s->pub.node, err.rc, &err);
}

static enum rc mkdir_if(struct env *env, const char *path, struct err *err) {
    enum rc rc = env_mkdir(env, path, err);
    return rc == RC_EXISTS ? RC_OK : rc;
}

/* A clock that has gone back behind the data (the machine's was set back while we were down, or its offset lost): nothing wrong
 * would come of it, timestamps are given above what the data know of (S-6), but every commit would wait that long. So the store
 * waits before it serves, and says why. */
static enum rc wait_past(struct store_run *s, int64_t high, struct err *err) {
    struct reactor *r = s->pub.reactor;
    for (int i = 0;; i++) {
        tt_interval now = tt_now(&s->pub.clock);
        char behind[32];
        if (tt_is_known(now) && now.latest + BACK_NS >= high)
            return RC_OK;
        if (i % 10 == 0 && tt_is_known(now))
            diag_warn(&s->pub.env->diag, "node: the clock is behind what the data have seen, waiting", "behind=\"%s\"",
                      tt_duration_format(high - now.latest, behind, sizeof behind));
        enum rc rc = fiber_sleep(r, BACK_LOOK_NS);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
}

/* A node of a cluster waits for its sources as long as it takes; whoever opens a database in his process wants to hear of it. */
static enum rc wait_clock(struct store_run *s, struct err *err) {
    struct reactor *r = s->pub.reactor;
    struct tt_status st;
    if (s->pub.node->conf->rpc_addr)
        return tt_wait_synced(r, &s->pub.clock, DEADLINE_NONE);
    enum rc rc = tt_wait_synced(r, &s->pub.clock, reactor_deadline(r, LONE_CLOCK_NS));
    if (rc != RC_UNSYNCED)
        return rc;
    tt_status(&s->pub.clock, &st);
    return err_set(err, rc, "there is no clock: %s", st.info.source_count ? st.info.sources[0].detail : st.reason);
}

static enum rc store_open(struct store_run *s, struct err *err) {
    struct node *n = s->pub.node;
    const struct node_upper *up = n->conf->upper;
    struct wal_damage damage = {0};
    struct mvcc_store_conf store = {.cache_bytes = n->conf->cache_bytes};
    rpc_set_opening(s->pub.rpc, true); /* from now on others may ask */
    rpc_set_identity(s->pub.rpc, n->id.cluster, CLUSTER_BYTES, n->id.node);
    snprintf(s->dir, sizeof s->dir, "%s/store%u", n->conf->dir, s->pub.number);
    s->pub.dir = s->dir;
    enum rc rc = env_mkdir(s->pub.env, s->dir, err);
    if (!rc || (rc == RC_EXISTS && n->fresh)) /* else this start's identity made the name durable (run) */
        rc = dir_sync(s->pub.reactor, n->conf->dir, err);
    else if (rc == RC_EXISTS)
        rc = RC_OK;
    if (!rc)
        rc = wait_clock(s, err);
    if (!rc)
        rc = vfs_new(s->pub.env, &s->pub.vfs);
    if (!rc)
        rc = mvcc_store_new(s->pub.reactor, s->pub.vfs, &store, &s->pub.mvcc);
    if (!rc && up && up->store_open)
        rc = up->store_open(up->ctx, &s->pub, &s->pub.upper, err);
    struct tablets_conf conf = {.rpc = s->pub.rpc,
                                .clock = &s->pub.clock,
                                .vfs = s->pub.vfs,
                                .store = s->pub.mvcc,
                                .dir = s->dir,
                                .ops = up ? up->tablet_ops : NULL,
                                .ops_ctx = s->pub.upper,
                                .replicas = n->conf->replicas,
                                .gc_ns = n->conf->versions_ns,
                                .on_change = node_tablet_changed,
                                .on_dead = on_dead,
                                .unfit = node_clocks_unfit,
                                .contradicts = node_clocks_contradicts,
                                .ctx = s};
    conf.replicas.starts = n->id.starts;
    conf.replicas.alone = !n->conf->rpc_addr;
    if (!rc)
        rc = tablets_open(s->pub.reactor, &conf, &s->pub.tablets, &damage, err);
    if (rc == RC_CORRUPT && damage.segment[0])
        err_detail(err, "segment %s, offset %u: %s", damage.segment, damage.offset, damage.what);
    if (!rc)
        rc = wait_past(s, tablets_high_water(s->pub.tablets), err);
    if (!rc)
        rc = tablets_start(s->pub.tablets, err);
    if (!rc)
        rpc_set_opening(s->pub.rpc, false);
    return rc;
}

/* On store 0. */
static void on_store_opened(struct env_post *p) {
    struct store_run *s = container_of(p, struct store_run, back_post);
    struct node *n = s->pub.node;
    CHECK(n->to_open > 0);
    if (--n->to_open == 0)
        event_set(&n->opened, RC_OK);
}

static void store_main(void *arg) {
    struct store_run *s = arg;
    struct node *n = s->pub.node;
    if (event_wait(s->pub.reactor, &s->go, DEADLINE_NONE) != RC_OK)
        return;
    s->rc = store_open(s, &s->err);
    if (s->rc && s->err.rc != s->rc)
        err_set(&s->err, s->rc, "%s", rc_text(s->rc));
    s->opened = s->rc == RC_OK;
    s->back_post.fn = on_store_opened;
    env_post(n->store[0].pub.env, &s->back_post);
    if (s->opened)
        node_repair(s);
}

static void on_go(struct env_post *p) {
    event_set(&container_of(p, struct store_run, post)->go, RC_OK);
}

static enum rc open_all(struct node *n, struct err *err) {
    n->to_open = n->stores;
    for (uint16_t i = 0; i < n->stores; i++) {
        n->store[i].post.fn = on_go;
        env_post(n->store[i].pub.env, &n->store[i].post);
    }
    enum rc rc = event_wait(reactor_of(n), &n->opened, DEADLINE_NONE);
    if (rc)
        return err_set(err, rc, "%s", rc_text(rc));
    for (uint16_t i = 0; i < n->stores; i++)
        if (n->store[i].rc) {
            *err = n->store[i].err;
            err_wrap(err, "store %u", i);
            return n->store[i].rc;
        }
    return RC_OK;
}

/* ---- the node's way --------------------------------------------------------------------------------------------------- */

static enum rc serve(struct node *n, struct err *err) {
    const struct node_upper *up = n->conf->upper;
    enum rc rc = up && up->serve ? up->serve(up->ctx, n, err) : RC_OK;
    if (!rc && n->conf->http_addr)
        rc = node_http_open(n, err);
    return rc;
}

/* Its name must last too. */
static enum rc make_dir(struct node *n, struct err *err) {
    struct store_run *s = &n->store[0];
    char parent[ENV_PATH_BYTES];
    enum rc rc = mkdir_if(s->pub.env, n->conf->dir, err);
    snprintf(parent, sizeof parent, "%s", n->conf->dir);
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent ? 1 : 0] = '\0';
    return rc ? rc : dir_sync(s->pub.reactor, slash ? parent : "", err);
}

static void hello_main(void *arg) {
    struct node *n = arg;
    struct err err = {0};
    enum rc rc = node_hello(n, &err);
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN)
        diag_warn(&n->store[0].pub.env->diag, "node: its own row was not written", "reason=\"%s\"", err_message(&err));
}

static enum rc run(struct node *n, struct err *err) {
    struct store_run *s = &n->store[0];
    enum rc rc = n->fresh ? make_dir(n, err) : RC_OK; /* where there is an identity, the name was durable before it */
    if (!rc)
        rc = env_dir_lock(s->pub.env, n->conf->dir, &n->lock, err);
    if (!rc)
        rc = env_boot_id(s->pub.env, n->boot_id, sizeof n->boot_id, err);
    if (!rc && !n->fresh) { /* durable before anybody hears of this start */
        n->id.starts++;
        rc = identity_write(s->pub.reactor, n->conf->dir, &n->id, err);
    }
    if (!rc && n->conf->rpc_addr)
        rc = rpc_listen(s->pub.rpc, n->conf->rpc_addr, err);
    if (rc)
        return rc;
    snprintf(n->rpc_addr, sizeof n->rpc_addr, "%s", n->conf->rpc_addr ? rpc_listen_addr(s->pub.rpc) : "-");
    rc = node_identify(n, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < CLUSTER_BYTES; i++)
        snprintf(n->cluster_hex + 2 * i, 3, "%02x", n->id.cluster[i]);
    node_move(n, NODE_IDENTIFIED);
    for (uint16_t i = 0; i < n->stores; i++)
        peers_read(s->pub.env, n->conf->dir, n->store[i].pub.directory);
    rc = open_all(n, err);
    if (rc)
        return rc;
    n->making = true;
    node_move(n, NODE_OPEN);
    n->lone = !n->conf->rpc_addr && node_made(n);
    rc = node_bootstrap(n, err);
    n->making = false;
    if (!rc && n->lone)
        rc = node_lone(n, err);
    if (!rc)
        rc = serve(n, err);
    if (!rc)
        rc =
            n->lone ? fiber_spawn(s->pub.reactor, &s->fibers, FIBER_LARGE, "hello", hello_main, n) : node_hello(n, err);
    return rc;
}

static void node_main(void *arg) {
    struct node *n = arg;
    struct err err = {0};
    enum rc rc = run(n, &err);
    if (rc && err.rc != rc)
        err_set(&err, rc, "%s", rc_text(rc));
    if (rc) {
        node_failed(n, rc, &err);
        return;
    }
    node_move(n, NODE_SERVING);
    diag_info(&n->store[0].pub.env->diag, "node: serves", "node=%u cluster=%s rpc=%s stores=%u", n->id.node,
              n->cluster_hex, n->rpc_addr, n->stores);
    if (n->conf->on_ready)
        n->conf->on_ready(n->conf->ctx, n);
}

/* ---- stopping ------------------------------------------------------------------------------------------------------------ */

static void on_store_closed(struct env_post *p) {
    struct node *n = container_of(p, struct store_run, back_post)->pub.node;
    CHECK(n->to_stop > 0);
    if (--n->to_stop > 0)
        return;
    node_move(n, NODE_STOPPED);
    n->on_stopped(n->stop_ctx);
}

static void store_closed(struct store_run *s) {
    s->closed = true;
    s->back_post.fn = on_store_closed;
    env_post(s->pub.node->store[0].pub.env, &s->back_post);
}

static void store_close_main(void *arg) {
    struct store_run *s = arg;
    struct node *n = s->pub.node;
    const struct node_upper *up = n->conf->upper;
    if (s->pub.upper && up->store_stop)
        up->store_stop(s->pub.upper);
    if (s->opened)
        tablets_stop(s->pub.tablets, reactor_deadline(s->pub.reactor, STOP_NS));
    store_closed(s);
}

static void on_close(struct env_post *p) {
    struct store_run *s = container_of(p, struct store_run, stop_post);
    s->stopping = true;
    fiber_group_cancel(&s->fibers);
    if (fiber_spawn(s->pub.reactor, NULL, FIBER_LARGE, "store stop", store_close_main, s) != RC_OK)
        store_closed(s); /* without memory it ends as by a crash: the next start replays the log */
}

void node_stop(struct node *n, void (*on_stopped)(void *ctx), void *ctx) {
    if (n->state == NODE_STOPPING || n->state == NODE_STOPPED)
        return;
    node_move(n, NODE_STOPPING);
    n->on_stopped = on_stopped;
    n->stop_ctx = ctx;
    n->to_stop = n->stores;
    node_http_close(n);
    for (uint16_t i = 0; i < n->stores; i++) {
        n->store[i].stop_post.fn = on_close;
        env_post(n->store[i].pub.env, &n->store[i].stop_post);
    }
}

/* ---- the program ----------------------------------------------------------------------------------------------------------- */

static bool resolve(void *ctx, uint32_t node, char *ret_addr, size_t bytes) {
    const struct store_run *s = ctx;
    const Node__Node *desc = directory_node(s->pub.directory, node);
    if (!desc || !desc->rpc[0])
        return false;
    snprintf(ret_addr, bytes, "%s", desc->rpc);
    return true;
}

static int64_t send_delay(void *ctx, uint32_t node) {
    const struct store_run *s = ctx;
    const struct node *n = s->pub.node;
    const Node__Node *desc = directory_node(s->pub.directory, node);
    return desc ? n->conf->send_delay(n->conf->ctx, n->id.region, n->id.zone, desc->region, desc->zone) : 0;
}

static void clock_now(void *ctx, int64_t *ret_earliest, int64_t *ret_latest) {
    tt_interval iv = tt_now(&((struct store_run *)ctx)->pub.clock);
    if (!tt_is_known(iv))
        return;
    *ret_earliest = iv.earliest;
    *ret_latest = iv.latest;
}

static enum rc boot_store(struct node *n, uint16_t i, struct env *env, struct err *err) {
    struct store_run *s = &n->store[i];
    s->pub = (struct node_store){.node = n, .number = i, .env = env};
    event_init_unset(&s->go);
    fiber_group_init(&s->fibers);
    waitq_init(&s->wake);
    enum rc rc = reactor_new(env, NULL, &s->pub.reactor);
    if (!rc)
        rc = tt_clock_init(&s->pub.clock, env, tt_poller_page(n->poller), err);
    s->clock_ready = !rc;
    if (!rc)
        node_clocks_init(s);
    node_dead_metrics(s);
    struct rpc_conf conf = {.peers = {.node = n->id.node,
                                      .incarnation = n->id.starts + 1,
                                      .clock_scale = "tt",
                                      .tls = n->tls,
                                      .datagrams = n->conf->datagrams,
                                      .clock = clock_now,
                                      .on_interval = node_clocks_heard,
                                      .resolve = resolve,
                                      .send_delay = n->conf->send_delay ? send_delay : NULL,
                                      .ctx = s}};
    if (n->id.node) {
        memcpy(conf.peers.cluster, n->id.cluster, CLUSTER_BYTES);
        conf.peers.cluster_bytes = CLUSTER_BYTES;
    }
    if (!rc)
        rc = rpc_new(s->pub.reactor, &conf, &s->pub.rpc, err);
    if (!rc)
        rc = directory_new(s->pub.rpc, &s->pub.directory);
    if (!rc)
        rc = node_register(s, err);
    if (!rc)
        rc = fiber_spawn(s->pub.reactor, &s->fibers, FIBER_LARGE, "store", store_main, s);
    n->rpc[i] = s->pub.rpc;
    return rc;
}

static void node_done(void *state);

static enum rc node_boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    const struct node_conf *conf = arg;
    struct node *n = calloc(1, sizeof *n);
    if (!n)
        return err_set(err, RC_NOMEM, "out of memory");
    n->conf = conf;
    n->stores = count;
    n->store = calloc(count, sizeof *n->store);
    n->rpc = calloc(count, sizeof *n->rpc);
    event_init_unset(&n->opened);
    enum rc rc = n->store && n->rpc ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    if (!rc) {
        rc = identity_read(stores[0], conf->dir, &n->id, err);
        n->fresh = rc == RC_NOTFOUND;
        rc = n->fresh ? RC_OK : rc;
    }
    if (!rc && !n->fresh && n->id.stores != count)
        rc = err_set(err, RC_INVAL, "%s was made with %u stores; their number is fixed at the first start", conf->dir,
                     n->id.stores);
    struct tt_poller_conf clock = {.spec = conf->clock, .sources = {.host_dir = conf->host_dir}};
    if (!rc)
        rc = tt_poller_new(stores[0], &clock, &n->poller, err);
    if (!rc)
        tt_poller_metrics(n->poller);
    if (!rc && conf->tls)
        rc = env_tls_new(stores[0], conf->tls, &n->tls, err);
    for (uint16_t i = 0; i < count && !rc; i++)
        rc = boot_store(n, i, stores[i], err);
    if (!rc)
        rc = rpc_link(n->rpc, count);
    if (!rc)
        rc = fiber_spawn(n->store[0].pub.reactor, &n->store[0].fibers, FIBER_LARGE, "node", node_main, n);
    if (rc && err && err->rc != rc)
        err_set(err, rc, "%s", rc_text(rc));
    if (rc) {
        for (uint16_t i = 0; n->store && i < count; i++) {
            if (n->store[i].pub.rpc)
                rpc_stop(n->store[i].pub.rpc);
            if (n->store[i].pub.reactor)
                reactor_stop(n->store[i].pub.reactor);
            while (n->store[i].pub.reactor &&
                   !reactor_idle(n->store[i].pub.reactor)) /* no loop runs yet; they wait for nothing */
                (void)stores[i]->on_turn(stores[i]->turn_ctx);
        }
        node_done(n);
        return rc;
    }
    *ret_state = n;
    return RC_OK;
}

static void node_store_stop(void *state, uint16_t store) {
    struct node *n = state;
    struct store_run *s = &n->store[store];
    const struct node_upper *up = n->conf->upper;
    if (store == 0)
        node_http_close(n);
    if (s->pub.upper && up->store_stop)
        up->store_stop(s->pub.upper);
    rpc_stop(s->pub.rpc);
    if (s->pub.tablets)
        tablets_kill(s->pub.tablets);
    reactor_stop(s->pub.reactor);
}

static bool node_store_stopped(void *state, uint16_t store) {
    struct node *n = state;
    struct store_run *s = &n->store[store];
    const struct node_upper *up = n->conf->upper;
    return reactor_idle(s->pub.reactor) && rpc_idle(s->pub.rpc) && (!s->pub.tablets || tablets_idle(s->pub.tablets)) &&
           (store != 0 || n->http_clients == 0) && (!s->pub.upper || !up->store_idle || up->store_idle(s->pub.upper));
}

static void node_done(void *state) {
    struct node *n = state;
    const struct node_upper *up = n->conf->upper;
    for (uint16_t i = 0; n->store && i < n->stores; i++) {
        struct store_run *s = &n->store[i];
        tablets_free(s->pub.tablets);
        if (s->pub.upper && up->store_free)
            up->store_free(s->pub.upper);
        mvcc_store_free(s->pub.mvcc);
        if (s->pub.vfs)
            vfs_free(s->pub.vfs);
        directory_free(s->pub.directory);
        rpc_free(s->pub.rpc);
        if (s->clock_ready) {
            node_clocks_done(s);
            tt_clock_done(&s->pub.clock);
        }
    }
    if (n->poller)
        tt_poller_free(n->poller);
    if (n->tls)
        env_tls_free(n->store[0].pub.env, n->tls);
    env_dir_unlock(n->lock);
    for (uint16_t i = 0; n->store && i < n->stores; i++)
        if (n->store[i].pub.reactor)
            reactor_free(n->store[i].pub.reactor);
    free(n->store);
    free(n->rpc);
    free(n);
}

const struct program node_program = {node_boot, node_store_stop, node_store_stopped, node_done};

/* ---- looking in --------------------------------------------------------------------------------------------------------------- */

const struct node_conf *node_conf(const struct node *n) {
    return n->conf;
}

uint32_t node_number(const struct node *n) {
    return n->id.node;
}

const char *node_cluster(const struct node *n) {
    return n->cluster_hex;
}

const char *node_rpc_addr(const struct node *n) {
    return n->rpc_addr;
}

const char *node_http_addr(const struct node *n) {
    return n->http ? n->http_addr : NULL;
}

void node_set_sql_addr(struct node *n, const char *addr) {
    snprintf(n->sql_addr, sizeof n->sql_addr, "%s", addr);
}

uint16_t node_stores(const struct node *n) {
    return n->stores;
}

struct node_store *node_store(struct node *n, uint16_t store) {
    return &n->store[store].pub;
}

bool node_serving(const struct node *n) {
    return n->state == NODE_SERVING;
}

const struct tt_poller *node_clock(const struct node *n) {
    return n->poller;
}
