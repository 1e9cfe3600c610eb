/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers: a switch, a spawn, ten thousand parked; and a mailbox hop between two reactors. */
#include <stdlib.h>

#include "shard/runtime/env_real.h"
#include "shard/runtime/fiber.h"
#include "shard/runtime/mailbox.h"
#include "tests/lib/bench.h"
#include "tests/lib/onfiber.h"

enum { SWITCHES = 2000000, SPAWNS = 200000, PARKED = 10000, HOPS = 50000 };

struct figures {
    struct bench_figure switch_ns, spawn_ns, parked_mb, hop_us;
};

static struct figures fig; /* one benchmark a process */

struct shared {
    struct reactor *r;
    struct waitq q;
};

static void yielder(void *arg) {
    struct shared *s = arg;
    for (int i = 0; i < SWITCHES / 2; i++)
        if (fiber_yield(s->r) != RC_OK)
            return;
}

static void nothing(void *arg) {
    (void)arg;
}

static void parker(void *arg) {
    struct shared *s = arg;
    IGNORE(waitq_wait(s->r, &s->q, DEADLINE_NONE)); /* however it ends */
}

static void must(enum rc rc) {
    CHECKF(rc == RC_OK, "%s", rc_text(rc));
}

static void body(struct reactor *r) {
    struct shared s = {.r = r};
    struct fiber_group g;
    waitq_init(&s.q);
    fiber_group_init(&g);
    for (int run = 0; run < BENCH_RUNS; run++) {
        must(fiber_spawn(r, &g, FIBER_SMALL, "a", yielder, &s));
        must(fiber_spawn(r, &g, FIBER_SMALL, "b", yielder, &s));
        int64_t t = bench_now_ns();
        must(fiber_group_join(r, &g, DEADLINE_NONE));
        fig.switch_ns.run[run] = (double)(bench_now_ns() - t) / SWITCHES;

        t = bench_now_ns();
        for (int i = 0; i < SPAWNS; i += 100) {
            for (int k = 0; k < 100; k++)
                must(fiber_spawn(r, &g, FIBER_SMALL, "n", nothing, NULL));
            must(fiber_group_join(r, &g, DEADLINE_NONE));
        }
        fig.spawn_ns.run[run] = (double)(bench_now_ns() - t) / SPAWNS;

        int64_t rss = bench_rss_bytes();
        for (int i = 0; i < PARKED; i++)
            must(fiber_spawn(r, &g, FIBER_SMALL, "p", parker, &s));
        must(fiber_yield(r));
        fig.parked_mb.run[run] = (double)(bench_rss_bytes() - rss) / 1e6;
        waitq_wake_all(&s.q, RC_OK);
        must(fiber_group_join(r, &g, DEADLINE_NONE));
    }
}

/* ---- mailbox: a ball between two stores ---- */

struct court {
    struct reactor *r[2];
    struct mbox box[2];
    struct mbox_msg ball;
    struct process *process;
    int hops, run;
    int64_t began;
};

static void on_ball(void *ctx, struct mbox_msg *msg) {
    struct court *c = ctx;
    int to = msg->to == &c->box[0];
    if (++c->hops == HOPS) {
        fig.hop_us.run[c->run] = (double)(bench_now_ns() - c->began) / HOPS / 1000;
        if (++c->run == BENCH_RUNS) {
            process_stop(c->process);
            return;
        }
        c->hops = 0;
        c->began = bench_now_ns();
    }
    must(mbox_send(&c->box[to], msg));
}

static void serve(void *arg) {
    struct court *c = arg;
    c->began = bench_now_ns();
    must(mbox_send(&c->box[1], &c->ball));
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct court *c = arg;
    (void)count, (void)err;
    for (int i = 0; i < 2; i++) {
        must(reactor_new(stores[i], NULL, &c->r[i]));
        mbox_init(&c->box[i], stores[i], 8, on_ball, c);
    }
    *ret_state = c;
    return fiber_spawn(c->r[0], NULL, FIBER_SMALL, "serve", serve, c);
}

static void stop(void *state, uint16_t store) {
    reactor_stop(((struct court *)state)->r[store]);
}

static bool stopped(void *state, uint16_t store) {
    return reactor_idle(((struct court *)state)->r[store]);
}

static void done(void *state) {
    for (int i = 0; i < 2; i++)
        reactor_free(((struct court *)state)->r[i]);
}

int main(void) {
    static const struct program program = {boot, stop, stopped, done};
    static struct court court;
    struct process_conf conf = {.stores = 2, .level = DIAG_WARN};
    on_fiber(DIAG_WARN, body);
    must(process_new(&conf, &court.process, NULL));
    must(process_start(court.process, &program, &court, NULL));
    process_join(court.process);
    process_free(court.process);
    bench_report("fiber: switch", &fig.switch_ns, "ns", BENCH_SHOW, 0);
    bench_report("fiber: spawn, run and end", &fig.spawn_ns, "ns", BENCH_SHOW, 0);
    fig.parked_mb.run[1] = fig.parked_mb.run[2] = fig.parked_mb.run[0]; /* later runs reuse the stacks kept */
    bench_report("fiber: 10,000 parked, touched memory", &fig.parked_mb, "MB", BENCH_AT_MOST, 200);
    bench_report("mailbox: hop to another, sleeping reactor", &fig.hop_us, "us", BENCH_SHOW, 0);
    return 0;
}
