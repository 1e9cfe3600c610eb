/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_env.c: an env of the simulator: clocks, timers, posts, turns, randomness.
 *
 * Clocks. RAW runs at (1 + ppb / 1e9) of true time; MONO is RAW plus a constant; BOOT also counts what a suspend skipped;
 * REAL is RAW plus an offset that `date -s` moves. A timer set on MONO is converted to true time, so a fast oscillator's
 * timeouts come early, as they do.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/sim/sim_internal.h"

enum {
    MONO_OFF = 7000000,
    COARSE_NS = 4000000,
    TURN_NS = 2000,
    HOP_NS = 8000,
    JOB_NS = 60000,
    JOB_STACK_BYTES = 64 << 20
};

static struct sim_env *env_cast(struct env *env) {
    return (struct sim_env *)env;
}

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

static int64_t scale(int64_t elapsed, int64_t ppb) {
    return elapsed + (int64_t)((__int128)elapsed * ppb / 1000000000);
}

int64_t sim_clock_at(const struct sim_node *n, enum env_clock clock, int64_t t) {
    const struct sim_clock *c = &n->clock;
    bool frozen = t < c->frozen_until; /* base_true is then the end of the freeze */
    int64_t raw = c->base_raw + (frozen ? 0 : scale(t - c->base_true, c->ppb));
    int64_t late = frozen && c->suspended ? c->frozen_until - t : 0;
    switch (clock) {
    case ENV_CLOCK_RAW:
        return raw;
    case ENV_CLOCK_MONO:
        return raw + MONO_OFF;
    case ENV_CLOCK_BOOT:
        return raw + c->boot_off - late;
    case ENV_CLOCK_REAL_COARSE: {
        int64_t real = raw + c->real_off - late;
        return real - real % COARSE_NS;
    }
    case ENV_CLOCK_REAL:
    default:
        return raw + c->real_off - late;
    }
}

int64_t sim_clock_read(const struct sim_node *n, enum env_clock clock) {
    return sim_clock_at(n, clock, n->sim->now);
}

void sim_clock_start(struct sim_node *n) {
    struct sim_clock *c = &n->clock;
    c->base_true = n->sim->now;
    c->base_raw = rng_range(&n->sim->world, 1000000000, 1000000000000); /* since its machine was switched on */
    c->boot_off = rng_range(&n->sim->world, 0, 1000000000);
    c->real_off = SIM_EPOCH_NS + n->sim->now - c->base_raw;
}

/* The machine comes back from a power loss: its counters start again, its battery kept REAL going. */
void sim_clock_reboot(struct sim_node *n) {
    struct sim_clock *c = &n->clock;
    int64_t real = sim_clock_read(n, ENV_CLOCK_REAL);
    c->base_true = n->sim->now;
    c->base_raw = rng_range(&n->sim->world, 1000000000, 60000000000);
    c->boot_off = 0;
    c->real_off = real - c->base_raw;
    c->frozen_until = 0;
    c->suspended = false;
    n->boots++;
}

static void rearm(struct sim_env *e);

static void rearm_all(struct sim_node *n) {
    for (uint16_t i = 0; n->running && i < n->stores; i++)
        rearm(&n->envs[i]);
}

void sim_clock_drift(struct sim_node *n, int64_t ppb) {
    int64_t now = n->sim->now;
    if (now >= n->clock.frozen_until) {
        n->clock.base_raw = sim_clock_read(n, ENV_CLOCK_RAW);
        n->clock.base_true = now;
    }
    n->clock.ppb = ppb;
    rearm_all(n);
}

void sim_clock_step(struct sim_node *n, int64_t ns) {
    n->clock.real_off += ns;
}

void sim_node_pause(struct sim_node *n, enum sim_pause how, int64_t ns) {
    struct sim_clock *c = &n->clock;
    int64_t now = n->sim->now;
    if (now + ns > n->paused_until)
        n->paused_until = now + ns;
    if (how == SIM_STALL || now < c->frozen_until)
        return;
    /* The stretch counts as over at once: RAW stands still until its end, and goes on from there. */
    c->base_raw = sim_clock_read(n, ENV_CLOCK_RAW);
    c->base_true = now + ns;
    c->frozen_until = now + ns;
    c->suspended = how == SIM_SUSPEND;
    if (how == SIM_SUSPEND) {
        c->boot_off += ns;
        c->real_off += ns;
    }
    rearm_all(n);
}

static int64_t sim_clock_ns(struct env *env, enum env_clock clock) {
    struct sim_env *e = env_cast(env);
    return sim_clock_at(e->node, clock, e->sim->now);
}

/* The first virtual time at which MONO has reached mono_ns. */
static int64_t true_of_mono(const struct sim_node *n, int64_t mono_ns) {
    const struct sim_clock *c = &n->clock;
    if (sim_clock_read(n, ENV_CLOCK_MONO) >= mono_ns)
        return n->sim->now;
    int64_t elapsed = mono_ns - MONO_OFF - c->base_raw;
    if (elapsed > INT64_MAX / 4)
        return INT64_MAX;
    int64_t t = c->base_true + (int64_t)((__int128)elapsed * 1000000000 / (1000000000 + c->ppb));
    while (t > n->sim->now && sim_clock_at(n, ENV_CLOCK_MONO, t - 1) >= mono_ns)
        t--;
    while (sim_clock_at(n, ENV_CLOCK_MONO, t) < mono_ns)
        t++;
    return t;
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

static void rearm(struct sim_env *e) {
    int64_t due = timerq_due(&e->timers);
    if (due == INT64_MAX) {
        sim_event_cancel(e->sim, &e->tick);
        return;
    }
    int64_t at = true_of_mono(e->node, due);
    if (at == INT64_MAX)
        sim_event_cancel(e->sim, &e->tick);
    else if (!timer_is_set(&e->tick.timer) || e->tick.timer.due_ns != at)
        sim_event_set(&e->tick, at);
}

static void on_tick(struct sim_env *e, struct sim_event *ev) {
    (void)ev;
    int64_t now = env_now_ns(&e->env);
    for (struct timer *t; (t = timerq_pop(&e->timers, now));)
        t->on_fire(t->ctx);
    rearm(e);
    sim_env_turn(e);
}

static void sim_timer_set(struct env *env, struct timer *t, int64_t due_ns) {
    struct sim_env *e = env_cast(env);
    int64_t head = timerq_due(&e->timers);
    timerq_set(&e->timers, t, due_ns);
    if (timerq_due(&e->timers) != head)
        rearm(e);
}

static void sim_timer_cancel(struct env *env, struct timer *t) {
    struct sim_env *e = env_cast(env);
    if (!timer_is_set(t))
        return;
    timerq_cancel(&e->timers, t);
    /* An event for a timer that is gone fires in vain; only an empty queue disarms it. */
    if (timerq_due(&e->timers) == INT64_MAX)
        rearm(e);
}

/* ---- turns, posts, jobs ------------------------------------------------------------------------------------------ */

void sim_env_turn(struct sim_env *e) {
    if (!e->env.on_turn || e->in_turn)
        return;
    e->in_turn = true;
    bool more = e->env.on_turn(e->env.turn_ctx);
    e->in_turn = false;
    if (more && !timer_is_set(&e->again.timer))
        sim_event_set(&e->again, e->sim->now + rng_range(&e->sim->world, 1, TURN_NS));
}

static void on_again(struct sim_env *e, struct sim_event *ev) {
    (void)ev;
    sim_env_turn(e);
}

static bool run_posts(struct sim_env *e) {
    struct env_post *p = e->posts;
    e->posts = NULL;
    e->posts_last = &e->posts;
    bool any = p != NULL;
    for (struct env_post *next; p; p = next) {
        next = p->next;
        p->fn(p);
    }
    return any;
}

static void on_posted(struct sim_env *e, struct sim_event *ev) {
    (void)ev;
    run_posts(e);
    sim_env_turn(e);
}

static void sim_post(struct env *to, struct env_post *p) {
    struct sim_env *e = env_cast(to);
    p->next = NULL;
    *e->posts_last = p;
    e->posts_last = &p->next;
    if (!timer_is_set(&e->posted.timer))
        sim_event_set(&e->posted, e->sim->now + rng_range(&e->sim->world, 1, HOP_NS));
}

static bool run_jobs(struct sim_env *e) {
    struct env_job *j = e->jobs;
    e->jobs = NULL;
    e->jobs_last = &e->jobs;
    bool any = j != NULL;
    for (struct env_job *next; j; j = next) {
        next = j->next;
        j->on_done(j);
    }
    return any;
}

static void on_job_done(struct sim_env *e, struct sim_event *ev) {
    (void)ev;
    run_jobs(e);
    sim_env_turn(e);
}

static void *job_thread(void *arg) {
    struct env_job *job = arg;
    job->run(job);
    return NULL;
}

/* The thread only lends its stack: we wait for it, so the order of events stays ours. */
static void sim_big_stack(struct env *env, struct env_job *job) {
    struct sim_env *e = env_cast(env);
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, JOB_STACK_BYTES);
    CHECK(pthread_create(&thread, &attr, job_thread, job) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    job->next = NULL;
    *e->jobs_last = job;
    e->jobs_last = &job->next;
    if (!timer_is_set(&e->job_done.timer))
        sim_event_set(&e->job_done, e->sim->now + rng_range(&e->sim->world, 1, JOB_NS));
}

static uint64_t sim_random(struct env *env) {
    return rng_u64(&env_cast(env)->sim->world);
}

static void sim_secret(struct env *env, void *to, size_t bytes) {
    uint8_t *at = to;
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)rng_u64(&env_cast(env)->sim->world);
}

/* ---- diagnostics ------------------------------------------------------------------------------------------------- */

static void sim_diag_sink(void *ctx, enum diag_level level, const char *line, size_t len) {
    struct sim_env *e = ctx;
    (void)level;
    if (e->node->crashed)
        return; /* a ghost's words */
    sim_mix(e->sim, hash_bytes(line, len, 0));
    if (e->sim->conf.print)
        fprintf(stderr, "%4lld.%06lld %s %s", (long long)(e->sim->now / 1000000000),
                (long long)(e->sim->now % 1000000000 / 1000), e->node->name, line);
}

static int64_t sim_diag_wall(void *ctx) {
    return env_clock_ns(ctx, ENV_CLOCK_REAL);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void sim_env_init(struct sim_env *e, struct sim_node *n, uint16_t store) {
    char labels[32];
    e->sim = n->sim;
    e->node = n;
    n->siblings[store] = &e->env;
    e->env.ops = &sim_ops;
    e->env.chaos = &n->sim->chaos;
    e->env.store = store;
    e->env.store_count = n->stores;
    e->env.siblings = n->siblings;
    e->env.diag = (struct diag){.level = n->sim->conf.level, .sink = sim_diag_sink, .wall_ns = sim_diag_wall, .ctx = e};
    snprintf(e->env.diag.who, sizeof e->env.diag.who, "%s/%u", n->name, store);
    snprintf(labels, sizeof labels, "store=\"%u\"", store);
    metrics_init(&e->env.metrics, labels);
    timerq_init(&e->timers);
    sim_event_init(&e->tick, e, "tick", on_tick);
    sim_event_init(&e->posted, e, "post", on_posted);
    sim_event_init(&e->again, e, "turn", on_again);
    sim_event_init(&e->job_done, e, "job", on_job_done);
    e->posts_last = &e->posts;
    e->jobs_last = &e->jobs;
    for (int i = 0; i < ENV_LANES; i++)
        sim_lane_init(e, &e->lanes[i]);
}

void sim_env_done(struct sim_env *e) {
    sim_event_cancel(e->sim, &e->tick);
    sim_event_cancel(e->sim, &e->posted);
    sim_event_cancel(e->sim, &e->again);
    sim_event_cancel(e->sim, &e->job_done);
    for (int i = 0; i < ENV_LANES; i++)
        sim_lane_abort(e, &e->lanes[i]);
    CHECKF(!e->posts, "node %s/%u: a post was never received", e->node->name, e->env.store);
    CHECKF(!timerq_pop(&e->timers, INT64_MAX), "node %s/%u left a timer set", e->node->name, e->env.store);
}

bool sim_env_drain(struct sim_env *e) {
    bool moved = run_posts(e);
    moved |= run_jobs(e);
    moved |= sim_net_drain(e);
    for (int i = 0; i < ENV_LANES; i++)
        moved |= sim_lane_abort(e, &e->lanes[i]);
    if (e->env.on_turn)
        moved |= e->env.on_turn(e->env.turn_ctx);
    if (moved)
        return true;
    /* Somebody still waits for the clock, shielded: for a dead process time is over. */
    struct timer *t = timerq_pop(&e->timers, INT64_MAX);
    if (t && !e->node->program->stopped(e->node->state, e->env.store)) {
        t->on_fire(t->ctx);
        return true;
    }
    if (t)
        timerq_set(&e->timers, t, t->due_ns);
    return false;
}

const struct env_ops sim_ops = {
    .clock_ns = sim_clock_ns,
    .timer_set = sim_timer_set,
    .timer_cancel = sim_timer_cancel,
    .random = sim_random,
    .secret = sim_secret,
    .post = sim_post,
    .big_stack = sim_big_stack,
    .file_open = sim_file_open,
    .file_close = sim_file_close,
    .file_read = sim_file_read,
    .file_write = sim_file_write,
    .file_truncate = sim_file_truncate,
    .file_size = sim_file_size,
    .io_submit = sim_io_submit,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .rmdir = sim_rmdir,
    .dir_list = sim_dir_list,
    .dir_lock = sim_dir_lock,
    .dir_unlock = sim_dir_unlock,
    .disk_free = sim_disk_free_bytes,
    .listen = sim_listen,
    .listener_addr = sim_listener_addr,
    .listener_close = sim_listener_close,
    .connect = sim_connect,
    .stream_events = sim_stream_events,
    .stream_read = sim_stream_read,
    .stream_write = sim_stream_write,
    .stream_pause = sim_stream_pause,
    .stream_peer = sim_stream_peer,
    .stream_move = sim_stream_move,
    .stream_close = sim_stream_close,
    .tls_new = sim_tls_new,
    .tls_free = sim_tls_free,
    .tls_binding = sim_tls_binding,
    .stream_tls = sim_stream_tls,
    .page_map = sim_page_map,
    .page_unmap = sim_page_unmap,
    .shm_attach = sim_shm_attach,
    .shm_detach = sim_shm_detach,
    .adjtime = sim_adjtime_get,
    .dgram_open = sim_dgram_open,
    .dgram_send = sim_dgram_send,
    .dgram_recv = sim_dgram_recv,
    .dgram_close = sim_dgram_close,
    .boot_id = sim_boot_id,
    .true_time = sim_true_time,
    .frame_listen = sim_frame_listen,
    .frame_send = sim_frame_send,
};
