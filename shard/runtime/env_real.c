/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env_real.c: the process, its stores' loops, timers, posts and helper threads.
 *
 * The loop of a store:   posts -> due timers -> turn (fibers) -> poll
 * Posting from another thread is a push on a lock-free list, and a write to the store's eventfd only if the store is asleep.
 * No wake-up is lost: the poster pushes and then reads `asleep`, the loop sets `asleep` and then looks at the list, all
 * sequentially consistent, so at least one of them sees the other. The eventfd and the timerfd are watched edge-triggered
 * and never read.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "shard/runtime/env_real_internal.h"
#include "shard/runtime/env_real_skew.h"

enum { JOB_STACK_BYTES = 64 << 20, UNPOLLED_MAX = 8 };

enum go { GO_WAIT, GO_YES, GO_NO };

struct process {
    uint16_t stores;
    int diag_fd;
    const struct program *program;
    void *state;
    struct env_real *envs;
    struct env **siblings;
    pthread_t *threads;
    pthread_mutex_t mutex; /* of go: what the stores' threads wait for */
    pthread_cond_t cond;
    enum go go;
    const struct skew_page *skew;
    bool running;
};

static const struct env_ops real_ops;

/* ---- helper threads ---------------------------------------------------------------------------------------------- */

void lane_init(struct lane *l, struct env_real *owner, const char *name, size_t stack_bytes,
               void (*serve)(struct env_real *owner, struct env_post *first)) {
    *l = (struct lane){.owner = owner, .name = name, .stack_bytes = stack_bytes, .serve = serve};
    l->last = &l->first;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->cond, NULL);
}

static void *lane_main(void *arg) {
    struct lane *l = arg;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (!l->first && !l->stop)
            pthread_cond_wait(&l->cond, &l->mutex);
        if (!l->first)
            break;
        struct env_post *first = l->first;
        l->first = NULL;
        l->last = &l->first;
        pthread_mutex_unlock(&l->mutex);
        l->serve(l->owner, first);
        pthread_mutex_lock(&l->mutex);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static int thread_start(pthread_t *thread, size_t stack_bytes, const char *name, void *(*fn)(void *), void *arg) {
    pthread_attr_t attr;
    sigset_t all, old;
    pthread_attr_init(&attr);
    if (stack_bytes)
        pthread_attr_setstacksize(&attr, stack_bytes);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int e = pthread_create(thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (!e)
        pthread_setname_np(*thread, name);
    return e;
}

void lane_submit(struct lane *l, struct env_post *p) {
    p->next = NULL;
    CHECK(l->started);
    pthread_mutex_lock(&l->mutex);
    bool idle = !l->first;
    *l->last = p;
    l->last = &p->next;
    pthread_mutex_unlock(&l->mutex);
    if (idle)
        pthread_cond_signal(&l->cond);
}

/* 0 or an errno. */
static int lane_start(struct lane *l) {
    int e = l->started ? 0 : thread_start(&l->thread, l->stack_bytes, l->name, lane_main, l);
    l->started |= e == 0;
    return e;
}

void lane_done(struct lane *l) {
    if (l->started) {
        pthread_mutex_lock(&l->mutex);
        l->stop = true;
        pthread_mutex_unlock(&l->mutex);
        pthread_cond_signal(&l->cond);
        pthread_join(l->thread, NULL);
    }
    pthread_mutex_destroy(&l->mutex);
    pthread_cond_destroy(&l->cond);
}

static void job_finished(struct env_post *p) {
    struct env_job *job = container_of(p, struct env_job, post);
    job->on_done(job);
}

static void jobs_serve(struct env_real *owner, struct env_post *first) {
    for (struct env_post *next; first; first = next) {
        struct env_job *job = container_of(first, struct env_job, post);
        next = first->next;
        job->run(job);
        first->fn = job_finished;
        env_post(&owner->env, first);
    }
}

static void real_big_stack(struct env *env, struct env_job *job) {
    lane_submit(&((struct env_real *)env)->jobs, &job->post);
}

/* ---- clocks, timers, randomness ---------------------------------------------------------------------------------- */

/* Timers go by MONOTONIC, and whether the machine slept is seen by BOOTTIME: these two stay as they are. */
static int64_t skew_of(const struct skew_page *skew, enum env_clock clock) {
    int64_t drift, offset;
    if (clock == ENV_CLOCK_MONO || clock == ENV_CLOCK_BOOT)
        return 0;
    skew_now(skew, &drift, &offset);
    return clock == ENV_CLOCK_RAW ? drift : drift + offset;
}

static int64_t real_clock_ns(struct env *env, enum env_clock clock) {
    static const clockid_t ids[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_REALTIME,
                                    CLOCK_REALTIME_COARSE};
    struct timespec ts;
    clock_gettime(ids[clock], &ts);
    int64_t ns = ts.tv_sec * 1000000000 + ts.tv_nsec;
    const struct skew_page *skew = ((struct env_real *)env)->process->skew;
    return skew ? ns + skew_of(skew, clock) : ns;
}

static void real_timer_set(struct env *env, struct timer *t, int64_t due_ns) {
    timerq_set(&((struct env_real *)env)->timers, t, due_ns);
}

static void real_timer_cancel(struct env *env, struct timer *t) {
    timerq_cancel(&((struct env_real *)env)->timers, t);
}

static uint64_t real_random(struct env *env) {
    return rng_u64(&((struct env_real *)env)->rng);
}

static void real_secret(struct env *env, void *to, size_t bytes) {
    (void)env;
    for (size_t at = 0; at < bytes;) {
        ssize_t n = getrandom((char *)to + at, bytes - at, 0);
        CHECK(n > 0 || errno == EINTR);
        at += n > 0 ? (size_t)n : 0;
    }
}

/* ---- posts and the loop ------------------------------------------------------------------------------------------ */

static void real_post(struct env *to, struct env_post *p) {
    struct env_real *e = (struct env_real *)to;
    struct env_post *head = atomic_load_explicit(&e->posts, memory_order_relaxed);
    do
        p->next = head;
    while (!atomic_compare_exchange_weak(&e->posts, &head, p));
    if (atomic_load(&e->asleep) && atomic_exchange(&e->asleep, false)) {
        uint64_t one = 1;
        CHECK(write(e->wake_fd, &one, sizeof one) == sizeof one);
    }
}

static void run_posts(struct env_real *e) {
    struct env_post *newest = atomic_exchange(&e->posts, NULL), *oldest = NULL;
    for (struct env_post *next; newest; newest = next) {
        next = newest->next;
        newest->next = oldest;
        oldest = newest;
    }
    for (struct env_post *next; oldest; oldest = next) {
        next = oldest->next;
        oldest->fn(oldest);
    }
}

static void run_timers(struct env_real *e) {
    if (timerq_due(&e->timers) == INT64_MAX)
        return;
    int64_t now = env_now_ns(&e->env);
    for (struct timer *t; (t = timerq_pop(&e->timers, now));)
        t->on_fire(t->ctx);
}

/* Arms the timerfd if the next timer is earlier than what it is set to. Set too early it wakes us once in vain, which is
 * cheaper than a system call whenever a deadline is cancelled. */
static void arm_timer(struct env_real *e) {
    int64_t due = timerq_due(&e->timers);
    if (e->timer_armed_ns <= env_now_ns(&e->env))
        e->timer_armed_ns = INT64_MAX;
    if (due >= e->timer_armed_ns)
        return;
    struct itimerspec its = {.it_value = {due > 0 ? due / 1000000000 : 0, due > 0 ? due % 1000000000 : 1}};
    CHECK(timerfd_settime(e->timer_fd, TFD_TIMER_ABSTIME, &its, NULL) == 0);
    e->timer_armed_ns = due;
}

static void loop(struct env_real *e) {
    struct process *p = e->process;
    for (unsigned unpolled = 0;; unpolled++) {
        run_posts(e);
        run_timers(e);
        if (atomic_load_explicit(&e->stop, memory_order_relaxed) && !e->stop_seen) {
            e->stop_seen = true;
            p->program->stop(p->state, e->env.store);
        }
        bool more = e->env.on_turn && e->env.on_turn(e->env.turn_ctx);
        if (e->stop_seen && p->program->stopped(p->state, e->env.store))
            break;
        /* While fibers are ready, sockets are looked at every few turns: a poll costs more than a turn of a fiber or two. */
        if (more && unpolled < UNPOLLED_MAX)
            continue;
        unpolled = 0;
        if (!more) {
            arm_timer(e);
            atomic_store(&e->asleep, true);
            more = atomic_load(&e->posts) != NULL || atomic_load(&e->stop) != e->stop_seen ||
                   timerq_due(&e->timers) <= env_now_ns(&e->env);
        }
        event_base_loop(e->base, more ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE);
        atomic_store(&e->asleep, false);
    }
}

static void on_ready_fd(evutil_socket_t fd, short what, void *ctx) {
    (void)fd, (void)what, (void)ctx; /* the loop looks at posts and timers each time round */
}

/* ---- process ----------------------------------------------------------------------------------------------------- */

static void diag_sink(void *ctx, enum diag_level level, const char *line, size_t len) {
    (void)level;
    (void)!write(((struct env_real *)ctx)->process->diag_fd, line, len); /* nowhere to report a failure to report */
}

static int64_t diag_wall_ns(void *ctx) {
    return env_clock_ns(ctx, ENV_CLOCK_REAL);
}

static enum rc env_real_init(struct env_real *e, struct process *p, uint16_t store, const struct process_conf *conf,
                             struct err *err) {
    char labels[32];
    uint64_t seed;
    e->process = p;
    e->env.ops = &real_ops;
    e->env.chaos = conf->chaos;
    e->env.store = store;
    e->env.store_count = p->stores;
    e->env.siblings = p->siblings;
    p->siblings[store] = &e->env;
    e->env.diag = (struct diag){.level = conf->level, .sink = diag_sink, .wall_ns = diag_wall_ns, .ctx = e};
    snprintf(e->env.diag.who, sizeof e->env.diag.who, "-/%u", store);
    snprintf(labels, sizeof labels, "store=\"%u\"", store);
    metrics_init(&e->env.metrics, labels);
    timerq_init(&e->timers);
    ilist_init(&e->streams);
    e->timer_armed_ns = INT64_MAX;
    e->wake_fd = e->timer_fd = -1;
    lane_init(&e->lanes[ENV_LANE_LOG], e, "log", 0, real_io_serve);
    lane_init(&e->lanes[ENV_LANE_BULK], e, "bulk", 0, real_io_serve);
    lane_init(&e->jobs, e, "job", JOB_STACK_BYTES, jobs_serve);
    real_secret(&e->env, &seed, sizeof seed);
    rng_init(&e->rng, seed);
    e->base = event_base_new();
    e->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    e->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!e->base || e->wake_fd < 0 || e->timer_fd < 0)
        return err_errno(err, errno ? errno : ENOMEM, "event loop of store %u", store);
    e->wake_event = event_new(e->base, e->wake_fd, EV_READ | EV_PERSIST | EV_ET, on_ready_fd, e);
    e->timer_event = event_new(e->base, e->timer_fd, EV_READ | EV_PERSIST | EV_ET, on_ready_fd, e);
    if (!e->wake_event || !e->timer_event || event_add(e->wake_event, NULL) || event_add(e->timer_event, NULL))
        return err_set(err, RC_NOMEM, "event loop of store %u: out of memory", store);
    return RC_OK;
}

static void env_real_done(struct env_real *e) {
    if (!e->process)
        return; /* not reached by a failing process_new */
    for (int i = 0; i < ENV_LANES; i++)
        lane_done(&e->lanes[i]);
    lane_done(&e->jobs);
    run_posts(e); /* what the threads finished last */
    CHECKF(ilist_empty(&e->streams), "a stream outlived store %u", e->env.store);
    if (e->wake_event)
        event_free(e->wake_event);
    if (e->timer_event)
        event_free(e->timer_event);
    if (e->base)
        event_base_free(e->base);
    if (e->wake_fd >= 0)
        close(e->wake_fd);
    if (e->timer_fd >= 0)
        close(e->timer_fd);
}

enum rc process_new(const struct process_conf *conf, struct process **ret, struct err *err) {
    struct process *p = calloc(1, sizeof *p);
    enum rc rc = RC_OK;
    if (!p)
        return err_set(err, RC_NOMEM, "out of memory");
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->cond, NULL);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    p->stores = conf->stores ? conf->stores : (uint16_t)(cores < 1 ? 1 : cores > 256 ? 256 : cores);
    p->diag_fd = conf->diag_fd ? conf->diag_fd : STDERR_FILENO;
    p->envs = calloc(p->stores, sizeof *p->envs);
    p->siblings = calloc(p->stores, sizeof(struct env *));
    p->threads = calloc(p->stores, sizeof *p->threads);
    if (!p->envs || !p->siblings || !p->threads)
        rc = err_set(err, RC_NOMEM, "out of memory");
    if (!rc && conf->skew)
        rc = skew_open(conf->skew, &p->skew, err);
    for (uint16_t i = 0; i < p->stores && !rc; i++)
        rc = env_real_init(&p->envs[i], p, i, conf, err);
    if (rc)
        process_free(p);
    else
        *ret = p;
    return rc;
}

struct env *process_env(struct process *p, uint16_t store) {
    CHECK(store < p->stores);
    return &p->envs[store].env;
}

uint16_t process_stores(const struct process *p) {
    return p->stores;
}

/* All threads are there before the program begins: none can be missing later. */
static enum rc helpers_start(struct process *p, struct err *err) {
    int e = 0;
    for (uint16_t i = 0; i < p->stores && !e; i++) {
        struct env_real *env = &p->envs[i];
        for (int lane = 0; lane < ENV_LANES && !e; lane++)
            e = lane_start(&env->lanes[lane]);
        e = e ? e : lane_start(&env->jobs);
    }
    return e ? err_set(err, RC_LIMIT, "a thread could not be started: %s", strerror(e)) : RC_OK;
}

/* Whether a store's thread begins with its work. */
static bool wait_go(struct process *p) {
    pthread_mutex_lock(&p->mutex);
    while (p->go == GO_WAIT)
        pthread_cond_wait(&p->cond, &p->mutex);
    bool go = p->go == GO_YES;
    pthread_mutex_unlock(&p->mutex);
    return go;
}

static void set_go(struct process *p, enum go go) {
    pthread_mutex_lock(&p->mutex);
    p->go = go;
    pthread_mutex_unlock(&p->mutex);
    pthread_cond_broadcast(&p->cond);
}

static void *store_main(void *arg) {
    struct env_real *e = arg;
    if (wait_go(e->process))
        loop(e);
    return NULL;
}

enum rc process_start(struct process *p, const struct program *program, void *arg, struct err *err) {
    CHECK(!p->running);
    p->program = program;
    enum rc rc = helpers_start(p, err);
    uint16_t started = 0;
    for (p->go = GO_WAIT; started < p->stores && !rc; started = (uint16_t)(started + (rc == RC_OK))) {
        char name[16];
        snprintf(name, sizeof name, "store-%u", started);
        int e = thread_start(&p->threads[started], 0, name, store_main, &p->envs[started]);
        if (e)
            rc = err_set(err, RC_LIMIT, "the thread of store %u could not be started: %s", started, strerror(e));
    }
    if (!rc)
        rc = program->boot(p->siblings, p->stores, arg, &p->state, err);
    p->running = rc == RC_OK;
    set_go(p, rc ? GO_NO : GO_YES);
    for (uint16_t i = 0; i < started && rc; i++)
        pthread_join(p->threads[i], NULL);
    return rc;
}

enum rc process_run(struct process *p, const struct program *program, void *arg, struct err *err) {
    CHECK(!p->running && p->stores == 1);
    p->program = program;
    enum rc rc = helpers_start(p, err);
    if (!rc)
        rc = program->boot(p->siblings, p->stores, arg, &p->state, err);
    if (rc)
        return rc;
    loop(&p->envs[0]);
    program->done(p->state);
    return RC_OK;
}

void process_stop(struct process *p) {
    for (uint16_t i = 0; i < p->stores; i++) {
        struct env_real *e = &p->envs[i];
        atomic_store(&e->stop, true);
        if (atomic_exchange(&e->asleep, false)) {
            uint64_t one = 1;
            CHECK(write(e->wake_fd, &one, sizeof one) == sizeof one);
        }
    }
}

void process_join(struct process *p) {
    if (!p->running)
        return;
    for (uint16_t i = 0; i < p->stores; i++)
        pthread_join(p->threads[i], NULL);
    /* A store that ended early may have been posted to by one that ended later. */
    for (uint16_t i = 0; i < p->stores; i++)
        run_posts(&p->envs[i]);
    p->program->done(p->state);
    p->running = false;
}

void process_free(struct process *p) {
    if (!p)
        return;
    process_join(p);
    for (uint16_t i = 0; p->envs && i < p->stores; i++)
        env_real_done(&p->envs[i]);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->cond);
    free(p->envs);
    free(p->siblings);
    free(p->threads);
    skew_close(p->skew);
    free(p);
}

static const struct env_ops real_ops = {
    .clock_ns = real_clock_ns,
    .timer_set = real_timer_set,
    .timer_cancel = real_timer_cancel,
    .random = real_random,
    .secret = real_secret,
    .post = real_post,
    .big_stack = real_big_stack,
    .file_open = real_file_open,
    .file_close = real_file_close,
    .file_read = real_file_read,
    .file_write = real_file_write,
    .file_truncate = real_file_truncate,
    .file_size = real_file_size,
    .io_submit = real_io_submit,
    .rename = real_rename,
    .unlink = real_unlink,
    .mkdir = real_mkdir,
    .rmdir = real_rmdir,
    .dir_list = real_dir_list,
    .dir_lock = real_dir_lock,
    .dir_unlock = real_dir_unlock,
    .disk_free = real_disk_free,
    .listen = real_listen,
    .listener_addr = real_listener_addr,
    .listener_close = real_listener_close,
    .connect = real_connect,
    .stream_events = real_stream_events,
    .stream_read = real_stream_read,
    .stream_write = real_stream_write,
    .stream_pause = real_stream_pause,
    .stream_peer = real_stream_peer,
    .stream_move = real_stream_move,
    .stream_close = real_stream_close,
    .tls_new = real_tls_new,
    .tls_free = real_tls_free,
    .tls_binding = real_tls_binding,
    .stream_tls = real_stream_tls,
    .page_map = real_page_map,
    .page_unmap = real_page_unmap,
    .shm_attach = real_shm_attach,
    .shm_detach = real_shm_detach,
    .adjtime = real_adjtime,
    .boot_id = real_boot_id,
    .dgram_open = real_dgram_open,
    .dgram_send = real_dgram_send,
    .dgram_recv = real_dgram_recv,
    .dgram_close = real_dgram_close,
};
