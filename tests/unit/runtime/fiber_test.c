/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/runtime/fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "truetime/base/asan.h"

/* Under TSan each fiber costs a few memory mappings of its own, of which a process may have 65,530. */
enum { MS = 1000000, PARKED = TSAN_ENABLED ? 1000 : 10000 };

struct shared {
    struct reactor *r;
    struct waitq q;
    struct event e;
    struct fiber_group group;
    int running, ended, order[64], n;
    enum rc rc[8];
    int64_t deadline;
    struct fiber *self;
};

static void init(struct shared *s, struct reactor *r) {
    memset(s, 0, sizeof *s);
    s->r = r;
    waitq_init(&s->q);
    event_init_unset(&s->e);
    fiber_group_init(&s->group);
}

static void wait_on_q(void *arg) {
    struct shared *s = arg;
    s->running++;
    s->rc[s->n++ & 7] = waitq_wait(s->r, &s->q, DEADLINE_NONE);
    s->ended++;
}

/* Ten thousand fibers parked at once, then all of them woken. */
static void ten_thousand_body(struct reactor *r) {
    struct shared s;
    init(&s, r);
    for (int i = 0; i < PARKED; i++)
        if (!EQ_INT(fiber_spawn(r, &s.group, FIBER_SMALL, "parked", wait_on_q, &s), RC_OK))
            break;
    OK(fiber_yield(r) == RC_OK);
    EQ_INT(s.running, PARKED);
    EQ_INT(waitq_wake_all(&s.q, RC_OK), PARKED);
    EQ_INT(fiber_group_join(r, &s.group, DEADLINE_NONE), RC_OK);
    EQ_INT(s.ended, PARKED);
}

static void ten_thousand(void) {
    on_fiber(DIAG_WARN, ten_thousand_body);
}

static void deadlines_body(struct reactor *r) {
    struct waitq q;
    waitq_init(&q);
    int64_t before = reactor_now(r);
    EQ_INT(waitq_wait(r, &q, reactor_deadline(r, 5 * MS)), RC_TIMEOUT);
    OK(reactor_now(r) - before >= 5 * MS);
    OK(waitq_empty(&q));
    EQ_INT(waitq_wait(r, &q, before), RC_TIMEOUT); /* already past */
    before = reactor_now(r);
    EQ_INT(fiber_sleep(r, 3 * MS), RC_OK);
    OK(reactor_now(r) - before >= 3 * MS);
    /* The fiber's own deadline bounds every wait, and can be put back. */
    int64_t old = fiber_set_deadline(r, reactor_deadline(r, 2 * MS));
    EQ_INT(old, DEADLINE_NONE);
    EQ_INT(fiber_sleep(r, 10000LL * MS), RC_TIMEOUT);
    EQ_INT(waitq_wait(r, &q, DEADLINE_NONE), RC_TIMEOUT);
    fiber_set_deadline(r, old);
    EQ_INT(fiber_sleep(r, 1), RC_OK);
    EQ_INT(reactor_deadline(r, DEADLINE_NONE), DEADLINE_NONE);
}

static void deadlines(void) {
    on_fiber(DIAG_WARN, deadlines_body);
}

static void shielded(void *arg) {
    struct shared *s = arg;
    fiber_shield_begin(s->r);
    s->rc[0] = event_wait(s->r, &s->e, DEADLINE_NONE); /* cancelled meanwhile: waits on */
    fiber_shield_end(s->r);
    s->rc[1] = fiber_sleep(s->r, 1000LL * MS);
    s->rc[2] = fiber_yield(s->r);
    s->ended++;
}

static void cancellation_body(struct reactor *r) {
    struct shared s;
    init(&s, r);
    for (int i = 0; i < 3; i++)
        EQ_INT(fiber_spawn(r, &s.group, FIBER_SMALL, "cancelled", wait_on_q, &s), RC_OK);
    OK(fiber_yield(r) == RC_OK);
    fiber_group_cancel(&s.group);
    EQ_INT(fiber_group_join(r, &s.group, DEADLINE_NONE), RC_OK);
    for (int i = 0; i < 3; i++)
        EQ_INT(s.rc[i], RC_CANCELLED);
    OK(waitq_empty(&s.q));

    init(&s, r);
    EQ_INT(fiber_spawn(r, &s.group, FIBER_SMALL, "shielded", shielded, &s), RC_OK);
    OK(fiber_yield(r) == RC_OK);
    fiber_group_cancel(&s.group);
    EQ_INT(fiber_sleep(r, 2 * MS), RC_OK);
    EQ_INT(s.ended, 0);
    event_set(&s.e, RC_BUSY);
    EQ_INT(fiber_group_join(r, &s.group, DEADLINE_NONE), RC_OK);
    EQ_INT(s.rc[0], RC_BUSY);
    EQ_INT(s.rc[1], RC_CANCELLED);
    EQ_INT(s.rc[2], RC_CANCELLED);
    /* A member of a cancelled group is born cancelled. */
    s.ended = 0;
    EQ_INT(fiber_spawn(r, &s.group, FIBER_SMALL, "late", wait_on_q, &s), RC_OK);
    EQ_INT(fiber_group_join(r, &s.group, DEADLINE_NONE), RC_OK);
    EQ_INT(s.ended, 1);
}

static void cancellation(void) {
    on_fiber(DIAG_WARN, cancellation_body);
}

static void wait_until(void *arg) {
    struct shared *s = arg;
    s->rc[s->running++] = waitq_wait(s->r, &s->q, s->deadline);
    s->ended++;
}

/* A wake-up meant for one goes to the next when that one has timed out in the same turn. */
static void wake_one_is_not_lost_body(struct reactor *r) {
    struct shared s;
    init(&s, r);
    s.deadline = reactor_deadline(r, 2 * MS);
    EQ_INT(fiber_spawn(r, &s.group, FIBER_SMALL, "short", wait_until, &s), RC_OK);
    OK(fiber_yield(r) == RC_OK);
    s.deadline = DEADLINE_NONE;
    EQ_INT(fiber_spawn(r, &s.group, FIBER_SMALL, "long", wait_until, &s), RC_OK);
    OK(fiber_yield(r) == RC_OK);
    EQ_INT(fiber_sleep_until(r, reactor_deadline(r, 2 * MS)), RC_OK);
    waitq_wake_one(&s.q, RC_OK);
    EQ_INT(fiber_group_join(r, &s.group, reactor_deadline(r, 1000LL * MS)), RC_OK);
    EQ_INT(s.ended, 2);
}

static void wake_one_is_not_lost(void) {
    on_fiber(DIAG_WARN, wake_one_is_not_lost_body);
}

static void deep(void *arg) {
    volatile char block[200 << 10];
    memset((char *)block, 1, sizeof block);
    *(int *)arg = block[100] + block[sizeof block - 1];
}

static void spin_until_cancelled(void *arg) {
    struct shared *s = arg;
    s->running++;
    while (fiber_yield(s->r) == RC_OK)
        ;
    s->ended++;
}

static void call_work(void *arg) {
    struct shared *s = arg;
    s->rc[0] = work_run(s->r, spin_until_cancelled, s);
}

/* Work runs on a large stack; a cancelled caller's work unwinds before the caller goes on. */
static void work_body(struct reactor *r) {
    struct shared s;
    int out = 0;
    init(&s, r);
    EQ_INT(work_run(r, deep, &out), RC_OK);
    EQ_INT(out, 2);
    EQ_INT(fiber_spawn(r, &s.group, FIBER_SMALL, "caller", call_work, &s), RC_OK);
    while (s.running == 0)
        OK(fiber_yield(r) == RC_OK);
    fiber_group_cancel(&s.group);
    EQ_INT(fiber_group_join(r, &s.group, DEADLINE_NONE), RC_OK);
    EQ_INT(s.ended, 1);
    EQ_INT(s.rc[0], RC_OK); /* the work ran, to an early end */
    /* The worker is not left cancelled for the next job. */
    init(&s, r);
    EQ_INT(fiber_spawn(r, &s.group, FIBER_SMALL, "caller", call_work, &s), RC_OK);
    for (int i = 0; i < 10; i++)
        OK(fiber_yield(r) == RC_OK);
    EQ_INT(s.running, 1);
    EQ_INT(s.ended, 0);
    fiber_group_cancel(&s.group);
    EQ_INT(fiber_group_join(r, &s.group, DEADLINE_NONE), RC_OK);
}

static void work(void) {
    on_fiber(DIAG_WARN, work_body);
}

static int overflow(int n) {
    volatile char block[1024];
    block[0] = (char)n;
    return n > 1000000 ? block[0] : overflow(n + 1) + block[0];
}

static void overflow_main(void *arg) {
    *(int *)arg = overflow(0);
}

static void overflow_body(struct reactor *r) {
    static int out;
    struct fiber_group g;
    fiber_group_init(&g);
    OK(fiber_spawn(r, &g, FIBER_SMALL, "overflow", overflow_main, &out) == RC_OK);
    OK(fiber_group_join(r, &g, DEADLINE_NONE) == RC_OK);
}

/* Running off a stack ends the process; it does not run into a neighbour. */
static void guard_page(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        on_fiber(DIAG_OFF, overflow_body);
        _exit(0);
    }
    int status = 0;
    OK(waitpid(pid, &status, 0) == pid);
    OK(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void limit_body(struct reactor *r) {
    struct shared s;
    init(&s, r);
    int n = 0;
    enum rc rc;
    while ((rc = fiber_spawn(r, &s.group, FIBER_SMALL, "one of many", wait_on_q, &s)) == RC_OK)
        n++;
    OK(rc == RC_OVERLOAD || rc == RC_NOMEM); /* the system's limit of mappings may come first */
    OK(n > 20000);
    fiber_group_cancel(&s.group);
    EQ_INT(fiber_group_join(r, &s.group, DEADLINE_NONE), RC_OK);
}

static void limit(void) {
    on_fiber(DIAG_WARN, limit_body);
}

int main(void) {
    RUN(ten_thousand);
    RUN(deadlines);
    RUN(cancellation);
    RUN(wake_one_is_not_lost);
    RUN(work);
    RUN(guard_page);
    if (!TSAN_ENABLED)
        RUN(limit);
    return tap_done();
}
