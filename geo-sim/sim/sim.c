/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.c: the event queue, the trace, chaos, and the lives of nodes.
 *
 * A crash can strike in the middle of an event, at any I/O. From that instant the node's disk is what the power loss left
 * (crash_now), and the dying code goes on to the end of its turn on a ghost of the old disk, with sends and syncs going
 * nowhere. After the event the program is stopped in the ordinary way (so memory is given back, and leaks show), still as a
 * ghost. The next start finds the disk of the instant of the crash.
 */
#include "geo-sim/sim/sim_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAIN_STEPS_MAX = 10000000, DRAIN_STILL_MAX = 4, STOP_POLL_NS = 1000000 };

/* ---- trace and randomness ---------------------------------------------------------------------------------------- */

void sim_mix(struct sim *s, uint64_t x) {
    s->trace = (s->trace ^ x) * 0x9e3779b97f4a7c15u;
    s->trace ^= s->trace >> 29;
}

void sim_trace_mix(struct sim *s, uint64_t x) {
    sim_mix(s, x);
}

uint64_t sim_trace(const struct sim *s) {
    return s->trace;
}

uint64_t sim_events(const struct sim *s) {
    return s->events;
}

uint64_t sim_seed(const struct sim *s) {
    return s->conf.seed;
}

int64_t sim_now(const struct sim *s) {
    return s->now;
}

struct rng *sim_rng(struct sim *s) {
    return &s->workload;
}

/* ---- chaos ------------------------------------------------------------------------------------------------------- */

static struct sim_place *place(struct map *m, const char *name) {
    uint64_t h = hash_str(name, 0);
    for (struct map_node *n = map_first(m, h); n; n = map_next(n))
        if (strcmp(container_of(n, struct sim_place, node)->name, name) == 0)
            return container_of(n, struct sim_place, node);
    struct sim_place *p = calloc(1, sizeof *p);
    CHECK(p);
    p->name = name; /* a literal of the code under test */
    p->p = -1;
    map_put(m, &p->node, h);
    return p;
}

/* A seed turns on a quarter of the places, each at a rate of its own, whatever the order in which they are met. */
static double place_rate(struct sim *s, const char *name) {
    struct rng rng;
    rng_init(&rng, s->conf.seed ^ hash_str(name, 1));
    return rng_chance(&rng, 0.25) ? 0.002 + 0.1 * rng_double(&rng) : 0;
}

static bool sim_chance_draw(struct chaos *c, const char *name) {
    struct sim *s = container_of(c, struct sim, chaos);
    struct sim_place *p = place(&s->places, name);
    if (p->p < 0)
        p->p = s->chance_off ? 0 : place_rate(s, name);
    if (!rng_chance(&s->chaos_rng, p->p))
        return false;
    p->hits++;
    return true;
}

static bool sim_is_mutant(struct chaos *c, const char *rule) {
    struct sim *s = container_of(c, struct sim, chaos);
    return s->conf.mutant && strcmp(s->conf.mutant, rule) == 0;
}

static void sim_probe_hit(struct chaos *c, const char *what) {
    place(&container_of(c, struct sim, chaos)->probes, what)->hits++;
}

void sim_chance(struct sim *s, const char *name, double p) {
    place(&s->places, name)->p = p;
}

void sim_chance_off(struct sim *s) {
    s->chance_off = true;
}

uint64_t sim_probe(const struct sim *s, const char *what) {
    for (struct map_node *n = map_first(&s->probes, hash_str(what, 0)); n; n = map_next(n))
        if (strcmp(container_of(n, struct sim_place, node)->name, what) == 0)
            return container_of(n, struct sim_place, node)->hits;
    return 0;
}

void sim_probes_each(const struct sim *s, void (*fn)(void *ctx, const char *what, uint64_t hits), void *ctx) {
    map_for_each(n, &s->probes) {
        struct sim_place *p = container_of(n, struct sim_place, node);
        fn(ctx, p->name, p->hits);
    }
}

static void places_free(struct map *m) {
    map_for_each(n, m) {
        struct sim_place *p = container_of(n, struct sim_place, node);
        map_del(m, n);
        free(p);
    }
    map_done(m);
}

/* ---- the queue --------------------------------------------------------------------------------------------------- */

struct sim *sim_new(const struct sim_conf *conf) {
    static const struct chaos_ops chaos_ops = {sim_chance_draw, sim_is_mutant, sim_probe_hit};
    struct sim *s = calloc(1, sizeof *s);
    uint64_t seed = conf->seed;
    if (!s)
        return NULL;
    s->conf = *conf;
    s->chaos.ops = &chaos_ops;
    timerq_init(&s->queue);
    rng_init(&s->world, rng_splitmix(&seed));
    rng_init(&s->workload, rng_splitmix(&seed));
    rng_init(&s->chaos_rng, rng_splitmix(&seed));
    map_init(&s->places);
    map_init(&s->probes);
    ilist_init(&s->frames);
    ilist_init(&s->conns);
    s->link_default = (struct sim_link){.latency_ns = 250000, .jitter_ns = 50000};
    sim_mix(s, conf->seed);
    return s;
}

static void on_event_fire(void *ctx) {
    struct sim_event *ev = ctx;
    struct sim_env *e = ev->env;
    if (e->node->paused_until > e->sim->now) { /* its turn comes when the node wakes, in the same order */
        sim_event_set(ev, e->node->paused_until);
        return;
    }
    sim_mix(e->sim, hash_str(ev->kind, (uint64_t)e->node->id << 16 | e->env.store));
    ev->fn(e, ev);
}

void sim_event_init(struct sim_event *ev, struct sim_env *e, const char *kind,
                    void (*fn)(struct sim_env *e, struct sim_event *ev)) {
    timer_init(&ev->timer, on_event_fire, ev);
    ev->env = e;
    ev->fn = fn;
    ev->kind = kind;
}

void sim_event_set(struct sim_event *ev, int64_t at) {
    struct sim *s = ev->env->sim;
    timerq_set(&s->queue, &ev->timer, at > s->now ? at : s->now);
}

static void take_down(struct sim_node *n);

bool sim_step(struct sim *s) {
    struct timer *t = timerq_pop(&s->queue, INT64_MAX);
    if (!t)
        return false;
    CHECK(t->due_ns >= s->now);
    s->now = t->due_ns;
    s->events++;
    sim_mix(s, (uint64_t)s->now);
    t->on_fire(t->ctx);
    while (s->doomed) {
        struct sim_node *n = s->doomed;
        s->doomed = NULL;
        take_down(n);
    }
    if (s->on_event)
        s->on_event(s->on_event_ctx);
    return true;
}

void sim_run(struct sim *s, int64_t until_ns) {
    while (timerq_due(&s->queue) <= until_ns)
        sim_step(s);
    if (s->now < until_ns)
        s->now = until_ns;
}

bool sim_run_until(struct sim *s, bool (*pred)(void *ctx), void *ctx, int64_t until_ns) {
    while (!pred(ctx)) {
        if (timerq_due(&s->queue) > until_ns)
            return false;
        sim_step(s);
    }
    return true;
}

void sim_on_event(struct sim *s, void (*fn)(void *ctx), void *ctx) {
    s->on_event = fn;
    s->on_event_ctx = ctx;
}

static void on_call(void *ctx) {
    struct sim_call *call = ctx;
    call->fn(call->ctx);
}

void sim_call_at(struct sim *s, struct sim_call *call, int64_t at_ns, void (*fn)(void *ctx), void *ctx) {
    timer_init(&call->timer, on_call, call);
    call->sim = s;
    call->fn = fn;
    call->ctx = ctx;
    timerq_set(&s->queue, &call->timer, at_ns > s->now ? at_ns : s->now);
}

void sim_call_cancel(struct sim_call *call) {
    if (call->sim)
        timerq_cancel(&call->sim->queue, &call->timer);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

struct sim_node *sim_node_new(struct sim *s, const char *name, uint16_t stores, const struct program *program,
                              void *arg) {
    CHECK(s->node_count < SIM_NODES_MAX && stores > 0 && strlen(name) < SIM_NAME_BYTES);
    struct sim_node *n = calloc(1, sizeof *n);
    CHECK(n);
    n->sim = s;
    n->id = s->node_count++;
    n->stores = stores;
    snprintf(n->name, sizeof n->name, "%s", name);
    n->program = program;
    n->arg = arg;
    n->disk = disk_new();
    n->faults = (struct sim_disk_faults){.sync_ns = 40000, .sync_jitter_ns = 20000};
    ilist_init(&n->files);
    ilist_init(&n->locks);
    ilist_init(&n->streams);
    s->nodes[n->id] = n;
    for (uint16_t i = 0; i < s->node_count; i++)
        s->links[i][n->id] = s->links[n->id][i] = s->link_default;
    s->links[n->id][n->id] = (struct sim_link){.latency_ns = 10000, .jitter_ns = 3000};
    sim_clock_start(n);
    sim_time_init(n);
    return n;
}

static void envs_free(struct sim_node *n) {
    for (uint16_t i = 0; i < n->stores; i++)
        sim_env_done(&n->envs[i]);
    free(n->envs);
    free(n->siblings);
    n->envs = NULL;
    n->siblings = NULL;
}

enum rc sim_node_start(struct sim_node *n, struct err *err) {
    CHECK(!n->running);
    n->envs = calloc(n->stores, sizeof *n->envs);
    n->siblings = calloc(n->stores, sizeof(struct env *));
    CHECK(n->envs && n->siblings);
    n->incarnation++;
    n->running = true;
    if (n->powered_off)
        sim_clock_reboot(n);
    n->crashed = n->stopping = n->powered_off = false;
    n->io_count = n->crash_at_io = 0;
    n->paused_until = 0;
    n->next_port = 20000;
    for (uint16_t i = 0; i < n->stores; i++)
        sim_env_init(&n->envs[i], n, i);
    enum rc rc = n->program->boot(n->siblings, n->stores, n->arg, &n->state, err);
    if (rc) {
        n->running = false;
        if (n->sim->doomed == n)
            n->sim->doomed = NULL;
        envs_free(n);
        disk_free(n->ghost);
        n->ghost = NULL;
        return rc;
    }
    for (uint16_t i = 0; i < n->stores; i++)
        sim_event_set(&n->envs[i].again, n->sim->now);
    return RC_OK;
}

static bool all_stopped(struct sim_node *n) {
    for (uint16_t i = 0; i < n->stores; i++)
        if (!n->program->stopped(n->state, i))
            return false;
    return true;
}

/* The program has ended: nothing of it may be left. */
static void node_ended(struct sim_node *n) {
    for (uint16_t i = 0; i < n->stores; i++)
        while (sim_env_drain(&n->envs[i]))
            ;
    n->program->done(n->state);
    n->state = NULL;
    CHECKF(ilist_empty(&n->files), "node %s left a file open", n->name);
    CHECKF(ilist_empty(&n->locks), "node %s left a directory locked", n->name);
    CHECKF(ilist_empty(&n->streams), "node %s left a stream open", n->name);
    CHECKF(ilist_empty(&n->dgrams), "node %s left a datagram socket open", n->name);
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        CHECKF(!n->ports[i].listener, "node %s left a listener open", n->name);
    memset(n->ports, 0, sizeof n->ports);
    envs_free(n);
    disk_free(n->ghost);
    n->ghost = NULL;
    n->running = n->stopping = false;
}

static void stop_all(struct sim_node *n) {
    for (uint16_t i = 0; i < n->stores; i++)
        if (!n->envs[i].stopping) {
            n->envs[i].stopping = true;
            n->program->stop(n->state, i);
        }
}

/* A dead incarnation unwinds at once, in no time. */
static void take_down(struct sim_node *n) {
    int still = 0; /* a turn may move things without anything here seeing it: only rest counts */
    stop_all(n);
    for (uint64_t steps = 0; !all_stopped(n); steps++) {
        bool moved = false;
        for (uint16_t i = 0; i < n->stores; i++)
            moved |= sim_env_drain(&n->envs[i]);
        still = moved ? 0 : still + 1;
        CHECKF(still < DRAIN_STILL_MAX && steps < DRAIN_STEPS_MAX, "node %s does not end after a crash", n->name);
    }
    node_ended(n);
}

static void on_stop_poll(void *ctx) {
    struct sim_node *n = ctx;
    if (all_stopped(n))
        node_ended(n);
    else
        sim_call_at(n->sim, &n->stop_poll, n->sim->now + STOP_POLL_NS, on_stop_poll, n);
}

void sim_node_stop(struct sim_node *n) {
    if (!n->running || n->stopping)
        return;
    n->stopping = true;
    stop_all(n);
    for (uint16_t i = 0; i < n->stores; i++)
        sim_event_set(&n->envs[i].again, n->sim->now);
    sim_call_at(n->sim, &n->stop_poll, n->sim->now, on_stop_poll, n);
}

/* The instant of death: the disk is what is left now; everything after happens to a ghost. */
static void crash_now(struct sim_node *n, enum sim_crash how) {
    n->crashed = true;
    n->crash_how = how;
    n->powered_off = how == SIM_POWER;
    n->ghost = n->disk;
    n->disk = how == SIM_POWER ? disk_crash(n->ghost, &n->sim->world) : disk_fork(n->ghost);
    n->paused_until = 0;
    sim_call_cancel(&n->stop_poll);
    sim_mix(n->sim, 0xdead0000u | n->id);
    sim_net_node_down(n, how);
    sim_time_node_down(n, how);
}

void sim_node_crash(struct sim_node *n, enum sim_crash how) {
    if (!n->running || n->crashed)
        return;
    crash_now(n, how);
    take_down(n);
}

void sim_node_crash_at_io(struct sim_node *n, enum sim_crash how, uint64_t io_count) {
    CHECK(io_count > 0);
    n->crash_how = how;
    n->crash_at_io = n->io_count + io_count;
}

bool sim_io(struct sim_node *n) {
    if (n->crashed)
        return true;
    n->io_count++;
    if (n->crash_at_io && n->io_count >= n->crash_at_io) {
        /* Only one node runs in an event, so one slot is enough. */
        CHECK(!n->sim->doomed);
        n->sim->doomed = n;
        crash_now(n, n->crash_how);
        return true;
    }
    return false;
}

bool sim_node_running(const struct sim_node *n) {
    return n->running && !n->crashed;
}

uint32_t sim_node_incarnation(const struct sim_node *n) {
    return n->incarnation;
}

uint16_t sim_node_id(const struct sim_node *n) {
    return n->id;
}

const char *sim_node_name(const struct sim_node *n) {
    return n->name;
}

struct sim_node *sim_node_at(struct sim *s, uint16_t id) {
    CHECK(id < s->node_count);
    return s->nodes[id];
}

uint16_t sim_nodes(const struct sim *s) {
    return s->node_count;
}

struct env *sim_node_env(struct sim_node *n, uint16_t store) {
    CHECK(n->running && store < n->stores);
    return &n->envs[store].env;
}

void *sim_node_state(struct sim_node *n) {
    return n->running ? n->state : NULL;
}

uint64_t sim_node_io_count(const struct sim_node *n) {
    return n->io_count;
}

struct sim_disk_faults *sim_disk_faults(struct sim_node *n) {
    return &n->faults;
}

void sim_free(struct sim *s) {
    if (!s)
        return;
    for (uint16_t i = 0; i < s->node_count; i++)
        sim_node_crash(s->nodes[i], SIM_KILL);
    sim_net_done(s);
    for (uint16_t i = 0; i < s->node_count; i++) {
        disk_free(s->nodes[i]->disk);
        sim_time_done(s->nodes[i]);
        free(s->nodes[i]);
    }
    places_free(&s->places);
    places_free(&s->probes);
    free(s);
}
