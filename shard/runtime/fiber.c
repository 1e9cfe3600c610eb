/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber.c: stacks, switches, the ready queue and the waits made of park / unpark.
 *
 * A stack is one mapping: a guard page at the bottom, then the stack, with the struct fiber at its top. Free stacks are kept
 * for the next fiber; a large one first returns its pages to the system, since SQLite may have used all of it.
 *
 *     low  | guard page | ......... stack grows down ......... | struct fiber |  high
 */
#include "shard/runtime/fiber.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shard/runtime/fiber_switch.h"
#include "truetime/base/asan.h"

#if ASAN_ENABLED
#include <sanitizer/common_interface_defs.h>
#endif
#if TSAN_ENABLED
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(lo, hi) 0u
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

/* Instrumented frames are several times larger. */
enum { STACK_FACTOR = ASAN_ENABLED || TSAN_ENABLED ? 4 : 1 };
enum { SLICE_NS = 1000000, WORKERS_IDLE_MAX = 8, STACKS_WARM = 8 };

static const size_t stack_bytes[FIBER_SIZES] = {
    [FIBER_SMALL] = (64 << 10) * STACK_FACTOR,
    [FIBER_LARGE] = (1 << 20) * STACK_FACTOR,
};

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_PARKED };

struct fiber {
    struct reactor *reactor;
    struct fiber_group *group;
    const char *name;
    fiber_fn *fn;
    void *arg;
    fiber_sp sp;
    enum fiber_state state;
    enum fiber_size size;
    enum rc wake_rc;
    bool cancelled;
    uint32_t shield;
    int64_t deadline;        /* of all its waits */
    struct timer timer;      /* of the present park */
    struct ilist run_link;   /* reactor's ready queue */
    struct ilist all_link;   /* reactor's fibers */
    struct ilist group_link; /* group's fibers */
    char *stack;             /* lowest usable address */
    unsigned valgrind_id;
#if ASAN_ENABLED
    void *fake_stack;
#endif
#if TSAN_ENABLED
    void *tsan;
#endif
};

struct free_stack {
    struct free_stack *next;
    char *stack;
    unsigned valgrind_id;
};

struct work {
    fiber_fn *fn;
    void *arg;
    int64_t deadline;
    struct event done;
    struct fiber *worker; /* while it runs */
    struct ilist link;
};

struct reactor {
    struct env *env;
    struct reactor_limits limits;
    struct ilist ready, all, flush;
    struct fiber *current;
    struct fiber *dead; /* ended during this switch: its stack is freed by the loop */
    fiber_sp loop_sp;
    size_t count;
    uint32_t no_wait;
    bool stopping;
    int64_t turn_began_ns;
    struct free_stack *stacks[FIBER_SIZES];
    size_t stacks_kept[FIBER_SIZES];
    struct ilist work_queue;
    struct waitq work_idle;
    size_t workers, workers_idle;
    struct reactor_stats stats;
    struct metric metric[6];
#if ASAN_ENABLED
    const void *loop_stack;
    size_t loop_stack_bytes;
    void *loop_fake_stack;
#endif
#if TSAN_ENABLED
    void *loop_tsan;
#endif
};

static bool reactor_turn(void *ctx);

/* ---- reactor ----------------------------------------------------------------------------------------------------- */

enum rc reactor_new(struct env *env, const struct reactor_limits *limits, struct reactor **ret) {
    struct reactor *r = calloc(1, sizeof *r);
    if (!r)
        return RC_NOMEM;
    r->env = env;
    if (limits)
        r->limits = *limits;
    if (!r->limits.fibers_max)
        r->limits.fibers_max = 65536;
    if (!r->limits.workers_max)
        r->limits.workers_max = 64;
    if (!r->limits.stacks_kept_max)
        r->limits.stacks_kept_max = 256;
    ilist_init(&r->ready);
    ilist_init(&r->all);
    ilist_init(&r->flush);
    ilist_init(&r->work_queue);
    waitq_init(&r->work_idle);
    env->on_turn = reactor_turn;
    env->turn_ctx = r;
    const struct metric metric[] = {
        {"meridian_reactor_turns_total", "Loop turns that ran fibers.", "", METRIC_COUNTER, 1, &r->stats.turns, NULL},
        {"meridian_fiber_switches_total", "Switches to a fiber.", "", METRIC_COUNTER, 1, &r->stats.switches, NULL},
        {"meridian_fibers_spawned_total", "Fibers started.", "", METRIC_COUNTER, 1, &r->stats.spawned, NULL},
        {"meridian_fibers", "Fibers alive.", "", METRIC_GAUGE, 1, &r->stats.fibers, NULL},
        {"meridian_reactor_turn_seconds", "Time a loop turn kept the reactor.", "", METRIC_HIST, 1e9, &r->stats.turn_ns,
         NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(metric); i++) {
        r->metric[i] = metric[i];
        metrics_add(&env->metrics, &r->metric[i]);
    }
    *ret = r;
    return RC_OK;
}

void reactor_stop(struct reactor *r) {
    r->stopping = true;
    ilist_for_each(it, &r->all)
        fiber_cancel(ilist_entry(it, struct fiber, all_link));
}

bool reactor_idle(const struct reactor *r) {
    return r->count == 0;
}

static void stack_unmap(enum fiber_size size, char *stack, unsigned valgrind_id) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    (void)valgrind_id;
    VALGRIND_STACK_DEREGISTER(valgrind_id);
    munmap(stack - page, stack_bytes[size] + page);
}

void reactor_free(struct reactor *r) {
    if (!r)
        return;
    CHECK(reactor_idle(r));
    CHECK(ilist_empty(&r->flush));
    for (int size = 0; size < FIBER_SIZES; size++)
        for (struct free_stack *s = r->stacks[size], *next; s; s = next) {
            next = s->next;
            stack_unmap((enum fiber_size)size, s->stack, s->valgrind_id);
        }
    r->env->on_turn = NULL;
    free(r);
}

struct env *reactor_env(const struct reactor *r) {
    return r->env;
}

const struct reactor_stats *reactor_stats(const struct reactor *r) {
    return &r->stats;
}

int64_t reactor_deadline(const struct reactor *r, int64_t ns) {
    int64_t due;
    return __builtin_add_overflow(reactor_now(r), ns, &due) ? DEADLINE_NONE : due;
}

void reactor_flush_later(struct reactor *r, struct reactor_flush *f) {
    if (!ilist_linked(&f->link))
        ilist_push_back(&r->flush, &f->link);
}

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

static char *stack_take(struct reactor *r, enum fiber_size size, unsigned *ret_valgrind_id) {
    struct free_stack *s = r->stacks[size];
    if (s) {
        char *stack = s->stack;
        *ret_valgrind_id = s->valgrind_id;
        r->stacks[size] = s->next;
        r->stacks_kept[size]--;
        return stack;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map =
        mmap(NULL, stack_bytes[size] + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map + page, stack_bytes[size], PROT_READ | PROT_WRITE) != 0) {
        munmap(map, stack_bytes[size] + page);
        return NULL;
    }
    *ret_valgrind_id = VALGRIND_STACK_REGISTER(map + page, map + page + stack_bytes[size]);
    return map + page;
}

static void stack_give(struct reactor *r, enum fiber_size size, char *stack, unsigned valgrind_id) {
    /* Frames that were left by a switch, not by returning, are still poisoned. */
    asan_unpoison(stack, stack_bytes[size]);
    if (r->stacks_kept[size] >= r->limits.stacks_kept_max) {
        stack_unmap(size, stack, valgrind_id);
        return;
    }
    /* All but the top 16 KiB, which the next fiber touches anyway; and a few stay as they are: one statement after the other
     * would pay for giving back and faulting in the same pages. */
    if (size == FIBER_LARGE && r->stacks_kept[size] >= STACKS_WARM)
        madvise(stack, stack_bytes[size] - (16 << 10), MADV_DONTNEED);
    struct free_stack *s = (struct free_stack *)(void *)(stack + stack_bytes[size] - sizeof(struct fiber));
    *s = (struct free_stack){r->stacks[size], stack, valgrind_id};
    r->stacks[size] = s;
    r->stacks_kept[size]++;
}

/* ---- switching --------------------------------------------------------------------------------------------------- */

static void switch_to_fiber(struct reactor *r, struct fiber *f) {
    r->current = f;
    f->state = FIBER_RUNNING;
    counter_inc(&r->stats.switches);
#if ASAN_ENABLED
    __sanitizer_start_switch_fiber(&r->loop_fake_stack, f->stack, stack_bytes[f->size]);
#endif
#if TSAN_ENABLED
    r->loop_tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan, 0);
#endif
    fiber_switch(&r->loop_sp, f->sp);
#if ASAN_ENABLED
    __sanitizer_finish_switch_fiber(r->loop_fake_stack, NULL, NULL);
#endif
    r->current = NULL;
    if (r->dead) {
        struct fiber *d = r->dead;
        r->dead = NULL;
#if TSAN_ENABLED
        __tsan_destroy_fiber(d->tsan);
#endif
        stack_give(r, d->size, d->stack, d->valgrind_id);
    }
}

static void switch_to_loop(struct reactor *r, struct fiber *f, bool last) {
    (void)last;
#if ASAN_ENABLED
    __sanitizer_start_switch_fiber(last ? NULL : &f->fake_stack, r->loop_stack, r->loop_stack_bytes);
#endif
#if TSAN_ENABLED
    __tsan_switch_to_fiber(r->loop_tsan, 0);
#endif
    fiber_switch(&f->sp, r->loop_sp);
#if ASAN_ENABLED
    __sanitizer_finish_switch_fiber(f->fake_stack, &r->loop_stack, &r->loop_stack_bytes);
#endif
}

static void fiber_main(void *arg) {
    struct fiber *f = arg;
    struct reactor *r = f->reactor;
#if ASAN_ENABLED
    __sanitizer_finish_switch_fiber(NULL, &r->loop_stack, &r->loop_stack_bytes);
#endif
    f->fn(f->arg);
    CHECK(f->shield == 0);
    CHECK(r->no_wait == 0);
    CHECK(!timer_is_set(&f->timer));
    ilist_del(&f->all_link);
    r->count--;
    gauge_set(&r->stats.fibers, (int64_t)r->count);
    if (f->group) {
        struct fiber_group *g = f->group;
        ilist_del(&f->group_link);
        if (--g->count == 0)
            waitq_wake_all((struct waitq *)(void *)&g->joiners, RC_OK);
    }
    r->dead = f;
    switch_to_loop(r, f, true);
    check_failed(__FILE__, __LINE__, __func__, "a dead fiber was resumed", NULL);
}

static void make_ready(struct fiber *f) {
    f->state = FIBER_READY;
    ilist_push_back(&f->reactor->ready, &f->run_link);
}

static void on_park_timeout(void *ctx) {
    fiber_unpark(ctx, RC_TIMEOUT);
}

enum rc fiber_spawn(struct reactor *r, struct fiber_group *group, enum fiber_size size, const char *name, fiber_fn *fn,
                    void *arg) {
    unsigned valgrind_id;
    if (r->stopping)
        return RC_SHUTDOWN;
    if (r->count >= r->limits.fibers_max)
        return RC_OVERLOAD;
    char *stack = stack_take(r, size, &valgrind_id);
    if (!stack)
        return RC_NOMEM;
    char *top = stack + stack_bytes[size] - ((sizeof(struct fiber) + 63) & ~(size_t)63);
    struct fiber *f = (struct fiber *)(void *)top;
    *f = (struct fiber){
        .reactor = r,
        .group = group,
        .name = name,
        .fn = fn,
        .arg = arg,
        .size = size,
        .deadline = DEADLINE_NONE,
        .stack = stack,
        .valgrind_id = valgrind_id,
        .cancelled = group && group->cancelled,
    };
    f->sp = fiber_switch_prepare(top, stack, fiber_main, f);
#if TSAN_ENABLED
    f->tsan = __tsan_create_fiber(0);
#endif
    timer_init(&f->timer, on_park_timeout, f);
    ilist_init(&f->run_link);
    ilist_init(&f->all_link);
    ilist_init(&f->group_link);
    ilist_push_back(&r->all, &f->all_link);
    if (group) {
        ilist_push_back(&group->fibers, &f->group_link);
        group->count++;
    }
    r->count++;
    counter_inc(&r->stats.spawned);
    gauge_set(&r->stats.fibers, (int64_t)r->count);
    make_ready(f);
    return RC_OK;
}

/* In the simulator any ready fiber may go first: nothing may depend on the order. */
static struct fiber *next_ready(struct reactor *r) {
    struct ilist *n = r->ready.next;
    if (n->next != &r->ready && env_chance(r->env, "reactor: run another fiber first"))
        n = n->next;
    ilist_del(n);
    return ilist_entry(n, struct fiber, run_link);
}

static bool reactor_turn(void *ctx) {
    struct reactor *r = ctx;
    size_t n = 0;
    if (ilist_empty(&r->ready) && ilist_empty(&r->flush))
        return false;
    r->turn_began_ns = reactor_now(r);
    ilist_for_each(it, &r->ready)
        n++;
    /* Those made ready meanwhile wait for the next turn, so that input and timers have their share. */
    for (; n > 0 && !ilist_empty(&r->ready); n--)
        switch_to_fiber(r, next_ready(r));
    for (struct ilist *f; (f = ilist_pop_front(&r->flush));) {
        struct reactor_flush *flush = ilist_entry(f, struct reactor_flush, link);
        flush->fn(flush);
    }
    counter_inc(&r->stats.turns);
    hist_add(&r->stats.turn_ns, reactor_now(r) - r->turn_began_ns);
    return !ilist_empty(&r->ready);
}

struct fiber *fiber_self(const struct reactor *r) {
    return r->current;
}

const char *fiber_name(const struct fiber *f) {
    return f->name;
}

enum fiber_size fiber_size(const struct fiber *f) {
    return f->size;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

enum rc fiber_park(struct reactor *r, int64_t deadline) {
    struct fiber *f = r->current;
    CHECK(f); /* callbacks may not wait */
    CHECKF(r->no_wait == 0, "fiber %s", f->name);
    if (!f->shield) {
        if (f->cancelled)
            return RC_CANCELLED;
        if (f->deadline < deadline)
            deadline = f->deadline;
    }
    if (deadline != DEADLINE_NONE) {
        if (deadline <= reactor_now(r))
            return RC_TIMEOUT;
        env_timer_set(r->env, &f->timer, deadline);
    }
    f->state = FIBER_PARKED;
    switch_to_loop(r, f, false);
    return f->wake_rc;
}

bool fiber_unpark(struct fiber *f, enum rc rc) {
    if (f->state != FIBER_PARKED)
        return false;
    env_timer_cancel(f->reactor->env, &f->timer);
    f->wake_rc = rc;
    make_ready(f);
    return true;
}

void fiber_cancel(struct fiber *f) {
    f->cancelled = true;
    if (!f->shield)
        fiber_unpark(f, RC_CANCELLED);
}

bool fiber_cancelled(const struct reactor *r) {
    return r->current && r->current->cancelled;
}

int64_t fiber_set_deadline(struct reactor *r, int64_t deadline) {
    CHECK(r->current);
    int64_t old = r->current->deadline;
    r->current->deadline = deadline;
    return old;
}

int64_t fiber_deadline(const struct reactor *r) {
    return r->current ? r->current->deadline : DEADLINE_NONE;
}

void fiber_shield_begin(struct reactor *r) {
    CHECK(r->current);
    r->current->shield++;
}

void fiber_shield_end(struct reactor *r) {
    CHECK(r->current && r->current->shield > 0);
    r->current->shield--;
}

void no_wait_begin(struct reactor *r) {
    r->no_wait++;
}

void no_wait_end(struct reactor *r) {
    CHECK(r->no_wait > 0);
    r->no_wait--;
}

enum rc fiber_sleep_until(struct reactor *r, int64_t due_ns) {
    enum rc rc = fiber_park(r, due_ns);
    if (rc == RC_TIMEOUT && reactor_now(r) >= due_ns)
        return RC_OK;
    return rc; /* cancelled, or the fiber's own deadline came first */
}

enum rc fiber_sleep(struct reactor *r, int64_t ns) {
    return fiber_sleep_until(r, reactor_deadline(r, ns));
}

enum rc fiber_yield(struct reactor *r) {
    struct fiber *f = r->current;
    CHECK(f);
    CHECKF(r->no_wait == 0, "fiber %s", f->name);
    make_ready(f);
    switch_to_loop(r, f, false);
    return f->cancelled && !f->shield ? RC_CANCELLED : RC_OK;
}

bool fiber_slice_over(struct reactor *r) {
    if (r->env->chaos) /* virtual time stands still during a turn */
        return env_chance(r->env, "fiber: slice over");
    return reactor_now(r) - r->turn_began_ns > SLICE_NS;
}

struct waiter {
    struct ilist link;
    struct fiber *fiber;
};

enum rc waitq_wait(struct reactor *r, struct waitq *q, int64_t deadline) {
    struct waiter w = {.fiber = r->current};
    ilist_init(&w.link);
    ilist_push_back(&q->waiters, &w.link);
    enum rc rc = fiber_park(r, deadline);
    ilist_del(&w.link);
    return rc;
}

size_t waitq_wake_one(struct waitq *q, enum rc rc) {
    /* A waiter whose deadline passed in this very turn is ready already: the wake-up is for the next. */
    for (struct ilist *n; (n = ilist_pop_front(&q->waiters));)
        if (fiber_unpark(ilist_entry(n, struct waiter, link)->fiber, rc))
            return 1;
    return 0;
}

size_t waitq_wake_all(struct waitq *q, enum rc rc) {
    size_t n = 0;
    while (waitq_wake_one(q, rc))
        n++;
    return n;
}

void event_set(struct event *e, enum rc rc) {
    CHECK(!e->set);
    e->set = true;
    e->rc = rc;
    waitq_wake_all(&e->waiters, rc);
}

enum rc event_wait(struct reactor *r, struct event *e, int64_t deadline) {
    return e->set ? e->rc : waitq_wait(r, &e->waiters, deadline);
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

void fiber_group_init(struct fiber_group *g) {
    *g = (struct fiber_group){0};
    ilist_init(&g->fibers);
    ilist_init(&g->joiners);
}

void fiber_group_cancel(struct fiber_group *g) {
    g->cancelled = true;
    ilist_for_each(it, &g->fibers)
        fiber_cancel(ilist_entry(it, struct fiber, group_link));
}

static_assert(sizeof(struct waitq) == sizeof(struct ilist), "a group's joiners are a waitq");

enum rc fiber_group_join(struct reactor *r, struct fiber_group *g, int64_t deadline) {
    return g->count == 0 ? RC_OK : waitq_wait(r, (struct waitq *)(void *)&g->joiners, deadline);
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void worker_main(void *arg) {
    struct reactor *r = arg;
    struct fiber *self = r->current;
    for (;;) {
        struct ilist *n = ilist_pop_front(&r->work_queue);
        if (!n) {
            if (r->stopping || r->workers_idle >= WORKERS_IDLE_MAX)
                break;
            r->workers_idle++;
            enum rc rc = waitq_wait(r, &r->work_idle, DEADLINE_NONE);
            r->workers_idle--;
            if (rc != RC_OK && ilist_empty(&r->work_queue))
                break;
            continue;
        }
        struct work *w = ilist_entry(n, struct work, link);
        w->worker = self;
        self->deadline = w->deadline;
        w->fn(w->arg);
        self->deadline = DEADLINE_NONE;
        w->worker = NULL;
        /* A cancelled job must not leave the worker cancelled for the next. */
        self->cancelled = r->stopping;
        event_set(&w->done, RC_OK);
    }
    r->workers--;
}

enum rc work_run(struct reactor *r, fiber_fn *fn, void *arg) {
    struct fiber *f = r->current;
    CHECK(f);
    if (f->size == FIBER_LARGE) {
        fn(arg);
        return RC_OK;
    }
    struct work w = {.fn = fn, .arg = arg, .deadline = f->deadline};
    event_init_unset(&w.done);
    ilist_init(&w.link);
    if (r->workers_idle == 0 && r->workers < r->limits.workers_max) {
        enum rc rc = fiber_spawn(r, NULL, FIBER_LARGE, "worker", worker_main, r);
        if (rc && r->workers == 0)
            return rc;
        if (!rc)
            r->workers++;
    }
    ilist_push_back(&r->work_queue, &w.link);
    waitq_wake_one(&r->work_idle, RC_OK);
    enum rc rc = event_wait(r, &w.done, DEADLINE_NONE);
    if (w.done.set)
        return RC_OK;
    /* Cancelled or out of time: take the job back, or have it unwind; its memory may be ours. */
    if (!w.worker && ilist_linked(&w.link)) {
        ilist_del(&w.link);
        return rc;
    }
    if (w.worker)
        fiber_cancel(w.worker);
    fiber_shield_begin(r);
    enum rc ran = event_wait(r, &w.done, DEADLINE_NONE);
    fiber_shield_end(r);
    return ran;
}

void reactor_dump(const struct reactor *r, struct buf *out) {
    static const char *const names[] = {"ready", "running", "parked"};
    for (struct ilist *it = r->all.next; it != &r->all; it = it->next) {
        const struct fiber *f = ilist_entry(it, const struct fiber, all_link);
        buf_printf(out, "%s %s%s%s\n", f->name, names[f->state], f->cancelled ? " cancelled" : "",
                   timer_is_set(&f->timer) ? " with a deadline" : "");
    }
}
