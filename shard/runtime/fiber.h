/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber.h: fibers (stackful coroutines) and the reactor that runs them.
 *
 * A store's work is written as straight-line code on fibers: a fiber that waits (for an RPC, a lock, a log write, a timer)
 * parks, and the reactor runs others. One reactor, one thread, one env: fibers of a reactor never run at the same time, so
 * between two waits a fiber has the store to itself.
 *
 * Promise     Every wait takes a deadline and can be cancelled; it returns RC_OK, RC_TIMEOUT or RC_CANCELLED. Running off a
 *             stack hits a guard page. Fibers that are ready run in the order in which they became ready.
 * Relies on   an env; mmap.
 * Threads     the reactor's own thread only.
 * Rule        A fiber may not hold a pointer into something that another fiber can free across a wait (functions that may
 *             wait are marked WAITS): look it up again, or count references.
 *
 * Life of a fiber:   ready -> running -> parked -> ready ... -> gone. A cancelled fiber's waits return RC_CANCELLED from
 * then on, so it unwinds through its own error paths; a shielded stretch (somebody else still uses its memory) waits on.
 */
#ifndef MERIDIAN_RUNTIME_FIBER_H
#define MERIDIAN_RUNTIME_FIBER_H

#include "truetime/base/env.h"
#include "truetime/base/ilist.h"

#define DEADLINE_NONE INT64_MAX

struct reactor;
struct fiber;

enum fiber_size {
    FIBER_SMALL, /* 64 KiB: sessions, handlers, timers */
    FIBER_LARGE, /* 1 MiB: SQLite, parsing, analysis; given back to the system when the fiber ends */
    FIBER_SIZES,
};

struct reactor_limits {
    size_t fibers_max;      /* RC_OVERLOAD past it; 0 = 65,536 */
    size_t workers_max;     /* large fibers of work_run; 0 = 64 */
    size_t stacks_kept_max; /* parked free stacks of each size; 0 = 256 */
};

struct reactor_stats {
    struct counter turns, switches, spawned;
    struct gauge fibers;
    struct hist turn_ns; /* how long a turn ran */
};

/* limits may be NULL. Sets env's on_turn. */
enum rc reactor_new(struct env *env, const struct reactor_limits *limits, struct reactor **ret) MUST_CHECK;
/* Cancels every fiber and refuses new ones (RC_SHUTDOWN). The fibers unwind in the turns that follow. */
void reactor_stop(struct reactor *r);
/* No fiber is left. */
bool reactor_idle(const struct reactor *r);
/* Needs reactor_idle. NULL is fine. */
void reactor_free(struct reactor *r);
struct env *reactor_env(const struct reactor *r);
const struct reactor_stats *reactor_stats(const struct reactor *r);
static inline int64_t reactor_now(const struct reactor *r) {
    return env_now_ns(reactor_env(r));
}
/* now + ns, without overflow; ns = DEADLINE_NONE stays that. */
int64_t reactor_deadline(const struct reactor *r, int64_t ns);

/* At the end of the turn f->fn(f) is called once: peers write out there what gathered. */
struct reactor_flush {
    void (*fn)(struct reactor_flush *f);
    struct ilist link;
};
static inline void reactor_flush_init(struct reactor_flush *f, void (*fn)(struct reactor_flush *f)) {
    f->fn = fn;
    ilist_init(&f->link);
}
void reactor_flush_later(struct reactor *r, struct reactor_flush *f); /* harmless twice */
static inline void reactor_flush_cancel(struct reactor_flush *f) {
    ilist_del(&f->link);
}

/* Fibers that belong together: whoever owns the group ends them. */
struct fiber_group {
    struct ilist fibers;
    struct ilist joiners;
    size_t count;
    bool cancelled; /* new members are born cancelled */
};

void fiber_group_init(struct fiber_group *g);
void fiber_group_cancel(struct fiber_group *g);
/* Waits until the group is empty. */
enum rc fiber_group_join(struct reactor *r, struct fiber_group *g, int64_t deadline) WAITS MUST_CHECK;

typedef void fiber_fn(void *arg);

/* A new fiber, ready to run. group may be NULL (ends by itself or with the reactor). name: a literal. RC_OVERLOAD: too many
 * fibers; RC_NOMEM: no stack; RC_SHUTDOWN. */
enum rc fiber_spawn(struct reactor *r, struct fiber_group *group, enum fiber_size size, const char *name, fiber_fn *fn,
                    void *arg) MUST_CHECK;
/* The running fiber, or NULL in a callback. */
struct fiber *fiber_self(const struct reactor *r);
const char *fiber_name(const struct fiber *f);
enum fiber_size fiber_size(const struct fiber *f);
/* The fiber must not have ended: use it for fibers that you know to be parked or in your group. */
void fiber_cancel(struct fiber *f);
bool fiber_cancelled(const struct reactor *r); /* the running one */
/* All waits of the running fiber end at `deadline` at the latest. Returns the former one, to be put back. */
int64_t fiber_set_deadline(struct reactor *r, int64_t deadline);
int64_t fiber_deadline(const struct reactor *r);

/* Between these, waits of the running fiber ignore cancellation and the fiber's own deadline (nestable). */
void fiber_shield_begin(struct reactor *r);
void fiber_shield_end(struct reactor *r);
/* Between these, waiting is a broken invariant (nestable). */
void no_wait_begin(struct reactor *r);
void no_wait_end(struct reactor *r);

/* Parks until fiber_unpark, the deadline or cancellation. */
enum rc fiber_park(struct reactor *r, int64_t deadline) WAITS MUST_CHECK;
/* Makes a parked fiber ready; its fiber_park returns rc. False, and nothing done, if it is not parked. */
bool fiber_unpark(struct fiber *f, enum rc rc);
enum rc fiber_sleep(struct reactor *r, int64_t ns) WAITS MUST_CHECK; /* RC_OK when the time is over */
enum rc fiber_sleep_until(struct reactor *r, int64_t due_ns) WAITS MUST_CHECK;
/* Lets everything else that is ready run first. RC_CANCELLED or RC_OK. */
enum rc fiber_yield(struct reactor *r) WAITS MUST_CHECK;
/* The running fiber has had its share of this turn (about a millisecond): loops ask, then fiber_yield. */
bool fiber_slice_over(struct reactor *r);

/* A queue of waiting fibers, woken in order. */
struct waitq {
    struct ilist waiters;
};

static inline void waitq_init(struct waitq *q) {
    ilist_init(&q->waiters);
}
static inline bool waitq_empty(const struct waitq *q) {
    return ilist_empty(&q->waiters);
}
enum rc waitq_wait(struct reactor *r, struct waitq *q, int64_t deadline) WAITS MUST_CHECK;
/* Wakes the first fiber that still waits, or all; their waits return rc. Returns how many. */
size_t waitq_wake_one(struct waitq *q, enum rc rc);
size_t waitq_wake_all(struct waitq *q, enum rc rc);

/* Something that happens once, with a result. */
struct event {
    struct waitq waiters;
    bool set;
    enum rc rc;
};

static inline void event_init_unset(struct event *e) {
    waitq_init(&e->waiters);
    e->set = false;
    e->rc = RC_OK;
}
void event_set(struct event *e, enum rc rc);
/* The event's rc, or why the wait ended without it. */
enum rc event_wait(struct reactor *r, struct event *e, int64_t deadline) WAITS MUST_CHECK;

/* Runs fn(arg) on a pooled large fiber and waits for its end; on a large fiber it runs at once. If the caller is cancelled,
 * so is the worker, and the caller waits until fn has unwound. RC_OK: fn ran. */
enum rc work_run(struct reactor *r, fiber_fn *fn, void *arg) WAITS MUST_CHECK;

/* One line per fiber: name, state, what it waits for. For people. */
void reactor_dump(const struct reactor *r, struct buf *out);

#endif
