/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated world keeps its own rules: time, clocks, streams, frames, crashes, and that a seed replays. */
#include "geo-sim/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"

enum { MS = 1000000 };
static const int64_t SECOND = 1000000000;

/* ---- a program that writes records durably and notes which it was told are durable ---- */

struct journal {
    struct simkit_node kit;
    uint64_t acked; /* records known durable, over all incarnations */
    uint64_t attempted;
    bool lost;
    struct sim_node *node;
};

static void journal_body(struct simkit_store *s) {
    struct journal *j = s->node->arg;
    struct env_file *f = NULL;
    uint64_t next = 0, back = 0;
    size_t n = 0;
    if (env_file_open(s->env, "journal", ENV_OPEN_CREATE, &f, NULL) != RC_OK)
        return;
    if (dir_sync(s->r, "", NULL) != RC_OK)
        goto out;
    /* What was acknowledged must be there. */
    while (env_file_read(f, &back, sizeof back, (int64_t)(next * sizeof back), &n, NULL) == RC_OK && n == sizeof back &&
           back == next + 1)
        next++;
    if (!sim_node_running(j->node))
        goto out; /* died while booting: a ghost reads what it likes */
    j->lost |= next < j->acked;
    for (;;) {
        uint64_t record = next + 1;
        struct iovec iov = {&record, sizeof record};
        j->attempted++;
        if (file_write_sync(s->r, ENV_LANE_LOG, f, &iov, 1, (int64_t)(next * sizeof record), NULL) != RC_OK)
            goto out;
        next++;
        j->acked = next;
        if (fiber_yield(s->r) != RC_OK)
            goto out;
    }
out:
    env_file_close(f);
}

/* Power is lost at a random I/O, again and again: no acknowledged record is ever missing. */
static void journal_seed(uint64_t seed) {
    struct sim_conf conf = simkit_conf(seed);
    struct sim *s = sim_new(&conf);
    struct journal j = {.kit = {.body = journal_body}};
    j.kit.arg = &j;
    struct sim_node *n = sim_node_new(s, "n1", 1, &simkit_program, &j.kit);
    j.node = n;
    for (int crash = 0; crash < 10; crash++) {
        uint64_t acked = j.acked;
        OK(sim_node_start(n, NULL) == RC_OK);
        sim_node_crash_at_io(n, rng_chance(sim_rng(s), 0.7) ? SIM_POWER : SIM_KILL, 1 + rng_below(sim_rng(s), 60));
        sim_run(s, sim_now(s) + SECOND);
        OK(!sim_node_running(n));
        OK(j.acked >= acked);
        /* Look at the disk itself. */
        uint64_t *all = calloc(j.acked + 1, sizeof *all);
        int64_t size = sim_disk_copy(n, "journal", all, j.acked * sizeof *all);
        if (j.acked > 0)
            OKF(size >= (int64_t)(j.acked * sizeof *all), "size %lld for %llu records", (long long)size,
                (unsigned long long)j.acked);
        for (uint64_t i = 0; i < j.acked; i++)
            if (!OKF(all[i] == i + 1, "record %llu is lost", (unsigned long long)i))
                break;
        free(all);
    }
    OK(j.attempted > 10);
    OK(!j.lost);
    sim_free(s);
}

static void acknowledged_is_durable(void) {
    simkit_seeds("sim_test", 100, journal_seed);
}

/* ---- two nodes that talk ---- */

struct talker {
    struct simkit_node kit;
    const char *listen, *peer;
    struct env_stream *accepted;
    struct waitq arrival;
    struct reactor *r;
    uint64_t sent, received;
    bool corrupt;
    enum rc last;
};

static void on_accept(void *ctx, struct env_stream *st) {
    struct talker *t = ctx;
    env_stream_close(t->accepted); /* one at a time */
    t->accepted = st;
    waitq_wake_one(&t->arrival, RC_OK);
}

/* Counts the bytes of a known pattern. */
static void server_body(struct simkit_store *s) {
    struct talker *t = s->node->arg;
    struct env_listener *l = NULL;
    struct fiber_stream fs;
    uint8_t block[5000];
    size_t n;
    t->r = s->r;
    waitq_init(&t->arrival);
    if (env_listen(s->env, t->listen, on_accept, t, &l, NULL) != RC_OK)
        return;
    for (;;) {
        if (!t->accepted && waitq_wait(s->r, &t->arrival, DEADLINE_NONE) != RC_OK)
            break;
        fiber_stream_init(&fs, s->r, t->accepted);
        t->accepted = NULL;
        uint8_t next = 0;
        while ((t->last = fiber_stream_read(&fs, block, sizeof block, DEADLINE_NONE, &n)) == RC_OK)
            for (size_t i = 0; i < n; i++)
                t->corrupt |= block[i] != next++, t->received++;
        fiber_stream_close(&fs);
        if (t->last == RC_CANCELLED)
            break;
    }
    env_stream_close(t->accepted);
    t->accepted = NULL;
    env_listener_close(l);
}

static void client_body(struct simkit_store *s) {
    struct talker *t = s->node->arg;
    struct env_stream *st = NULL;
    struct fiber_stream fs;
    uint8_t block[3000];
    if (env_connect(s->env, t->peer, &st, NULL) != RC_OK)
        return;
    fiber_stream_init(&fs, s->r, st);
    t->last = fiber_stream_wait_open(&fs, DEADLINE_NONE, NULL);
    uint8_t next = 0;
    while (t->last == RC_OK && t->sent < 3000000) {
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = next++;
        t->last = fiber_stream_write(&fs, block, sizeof block, DEADLINE_NONE);
        t->sent += sizeof block;
    }
    fiber_stream_close(&fs);
}

struct pair {
    struct sim *s;
    struct talker server, client;
    struct sim_node *a, *b;
};

static void pair_init(struct pair *p, uint64_t seed) {
    struct sim_conf conf = simkit_conf(seed);
    memset(p, 0, sizeof *p);
    p->s = sim_new(&conf);
    p->server = (struct talker){.kit = {.body = server_body}, .listen = "srv:7433"};
    p->client = (struct talker){.kit = {.body = client_body}, .peer = "srv:7433"};
    p->server.kit.arg = &p->server;
    p->client.kit.arg = &p->client;
    p->a = sim_node_new(p->s, "srv", 1, &simkit_program, &p->server.kit);
    p->b = sim_node_new(p->s, "cli", 1, &simkit_program, &p->client.kit);
}

/* Everything arrives, in order, in the time that latency and bandwidth ask for. */
static void stream_seed(uint64_t seed) {
    struct pair p;
    pair_init(&p, seed);
    struct sim_link link = {.latency_ns = 30 * MS, .jitter_ns = MS, .loss = 0.01, .bytes_per_s = 10000000};
    sim_link_both(p.a, p.b, &link);
    OK(sim_node_start(p.a, NULL) == RC_OK);
    OK(sim_node_start(p.b, NULL) == RC_OK);
    sim_run(p.s, 60 * SECOND);
    EQ_INT(p.client.sent, 3000000);
    EQ_INT(p.server.received, 3000000);
    OK(!p.server.corrupt);
    EQ_INT(p.server.last, RC_CLOSED);
    sim_free(p.s);
}

static void streams_keep_order(void) {
    simkit_seeds("sim_test", 20, stream_seed);
}

/* A cut holds a stream up and loses nothing; a kill resets it; a power loss leaves it half-open. */
static void stream_fault_seed(uint64_t seed) {
    struct pair p;
    pair_init(&p, seed);
    struct sim_link link = {.latency_ns = 5 * MS, .bytes_per_s = 50000};
    sim_link_both(p.a, p.b, &link);
    OK(sim_node_start(p.a, NULL) == RC_OK);
    OK(sim_node_start(p.b, NULL) == RC_OK);
    sim_run(p.s, SECOND);
    uint64_t before = p.server.received;
    OK(before > 0);
    sim_partition(p.s, 1, true);
    sim_run(p.s, 2 * SECOND);
    before = p.server.received;
    sim_run(p.s, 11 * SECOND);
    EQ_INT(p.server.received, before);
    sim_heal(p.s);
    sim_run(p.s, 12 * SECOND);
    sim_run(p.s, 40 * SECOND);
    OK(p.server.received > before);
    OK(!p.server.corrupt);
    enum sim_crash how = seed % 2 ? SIM_KILL : SIM_POWER;
    sim_node_crash(p.a, how);
    sim_run(p.s, 43 * SECOND);
    EQ_INT(p.client.last, how == SIM_KILL ? RC_CLOSED : RC_OK);
    sim_free(p.s);
}

static void stream_faults(void) {
    simkit_seeds("sim_test", 10, stream_fault_seed);
}

static void refused(void) {
    struct pair p;
    pair_init(&p, 1);
    OK(sim_node_start(p.b, NULL) == RC_OK);
    sim_run(p.s, SECOND);
    EQ_INT(p.client.last, RC_UNREACHABLE);
    sim_node_crash(p.b, SIM_KILL);
    OK(sim_node_start(p.a, NULL) == RC_OK);
    sim_run(p.s, 2 * SECOND);
    sim_node_crash(p.a, SIM_POWER); /* silent from now on: a connect runs into its timeout */
    OK(sim_node_start(p.b, NULL) == RC_OK);
    p.client.last = RC_OK;
    sim_run(p.s, 10 * SECOND);
    EQ_INT(p.client.last, RC_OK);
    sim_run(p.s, 200 * SECOND);
    EQ_INT(p.client.last, RC_TIMEOUT);
    sim_free(p.s);
}

/* ---- frames ---- */

struct frames {
    struct simkit_node kit;
    uint32_t got[2000];
    uint64_t damaged;
};

static void on_frame(void *ctx, const char *from, uint16_t to_store, const void *frame, size_t bytes) {
    struct frames *f = ctx;
    uint32_t number[2];
    (void)from;
    EQ_INT(to_store, 0);
    EQ_INT(bytes, sizeof number);
    memcpy(number, frame, sizeof number);
    if (number[0] == ~number[1] && number[0] < 2000)
        f->got[number[0]]++;
    else
        f->damaged++;
}

static void frames_receiver(struct simkit_store *s) {
    OK(s->env->ops->frame_listen(s->env, "srv:1", on_frame, s->node->arg, NULL) == RC_OK);
}

static void frames_sender(struct simkit_store *s) {
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t number[2] = {i, ~i};
        struct iovec iov = {number, sizeof number};
        s->env->ops->frame_send(s->env, "srv:1", 0, &iov, 1);
        if (fiber_sleep(s->r, MS) != RC_OK)
            return;
    }
}

static void frames_suffer(void) {
    struct sim_conf conf = simkit_conf(4);
    struct sim *s = sim_new(&conf);
    struct frames a = {.kit = {.body = frames_receiver}}, b = {.kit = {.body = frames_sender}};
    a.kit.arg = &a;
    b.kit.arg = &b;
    struct sim_node *na = sim_node_new(s, "srv", 1, &simkit_program, &a.kit);
    struct sim_node *nb = sim_node_new(s, "cli", 1, &simkit_program, &b.kit);
    struct sim_link link = {.latency_ns = MS, .loss = 0.1, .duplicate = 0.1, .reorder = 0.1, .corrupt = 0.05};
    sim_link_both(na, nb, &link);
    OK(sim_node_start(na, NULL) == RC_OK);
    OK(sim_node_start(nb, NULL) == RC_OK);
    sim_run(s, 10 * SECOND);
    int lost = 0, doubled = 0;
    for (int i = 0; i < 2000; i++) {
        lost += a.got[i] == 0;
        doubled += a.got[i] == 2;
    }
    OKF(lost > 200 && lost < 420, "lost %d", lost);
    OKF(doubled > 100 && doubled < 250, "doubled %d", doubled);
    OKF(a.damaged > 50 && a.damaged < 160, "damaged %llu", (unsigned long long)a.damaged);
    sim_free(s);
}

/* ---- clocks ---- */

static void sleeper_body(struct simkit_store *s) {
    int64_t *woke = s->node->arg;
    while (fiber_sleep(s->r, SECOND) == RC_OK)
        ++*woke;
}

static void clocks(void) {
    struct sim_conf conf = simkit_conf(5);
    struct sim *s = sim_new(&conf);
    int64_t woke = 0;
    struct simkit_node kit = {.body = sleeper_body, .arg = &woke};
    struct sim_node *n = sim_node_new(s, "n1", 1, &simkit_program, &kit);
    sim_clock_drift(n, 100000000); /* ten percent fast */
    OK(sim_node_start(n, NULL) == RC_OK);
    int64_t raw = sim_clock_read(n, ENV_CLOCK_RAW), boot;
    int64_t real = sim_clock_read(n, ENV_CLOCK_REAL);
    OK(real == sim_true_ns(s));
    sim_run(s, 100 * SECOND);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_RAW) - raw, 110 * SECOND);
    OKF(woke == 109 || woke == 110, "woke %lld times", (long long)woke);
    sim_clock_drift(n, 0);
    sim_clock_step(n, -3 * SECOND);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_REAL), sim_true_ns(s) + 7 * SECOND);
    /* A suspend: RAW stands still, BOOT does not. */
    int64_t before = woke;
    raw = sim_clock_read(n, ENV_CLOCK_RAW);
    boot = sim_clock_read(n, ENV_CLOCK_BOOT);
    sim_node_pause(n, SIM_SUSPEND, 50 * SECOND);
    sim_run(s, 120 * SECOND);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_RAW), raw);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_BOOT) - boot, 20 * SECOND);
    sim_run(s, 160 * SECOND);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_RAW) - raw, 10 * SECOND);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_BOOT) - boot, 60 * SECOND);
    OKF(woke - before >= 9 && woke - before <= 11, "woke %lld times", (long long)(woke - before));
    /* A VM's stop: nothing inside can tell. */
    raw = sim_clock_read(n, ENV_CLOCK_RAW);
    boot = sim_clock_read(n, ENV_CLOCK_BOOT);
    real = sim_clock_read(n, ENV_CLOCK_REAL);
    sim_node_pause(n, SIM_VM, 5 * SECOND);
    sim_run(s, 170 * SECOND);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_RAW) - raw, 5 * SECOND);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_BOOT) - boot, 5 * SECOND);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_REAL) - real, 5 * SECOND);
    /* A stall: clocks go on, the process does not. */
    before = woke;
    raw = sim_clock_read(n, ENV_CLOCK_RAW);
    sim_node_pause(n, SIM_STALL, 10 * SECOND);
    sim_run(s, 179 * SECOND);
    EQ_INT(woke, before);
    EQ_INT(sim_clock_read(n, ENV_CLOCK_RAW) - raw, 9 * SECOND);
    sim_run(s, 182 * SECOND);
    OK(woke > before);
    sim_node_stop(n);
    sim_run(s, 183 * SECOND);
    OK(!sim_node_running(n));
    sim_free(s);
}

/* ---- replay ---- */

static uint64_t messy_run(uint64_t seed, uint64_t *ret_events) {
    struct pair p;
    pair_init(&p, seed);
    struct rng *rng = sim_rng(p.s);
    struct sim_link link = {.latency_ns = 3 * MS, .jitter_ns = MS, .loss = 0.02, .bytes_per_s = 3000000};
    sim_link_both(p.a, p.b, &link);
    for (int i = 0; i < 40; i++) {
        struct sim_node *n = rng_chance(rng, 0.5) ? p.a : p.b;
        if (!sim_node_running(n))
            OK(sim_node_start(n, NULL) == RC_OK);
        switch (rng_below(rng, 6)) {
        case 0:
            sim_node_crash(n, SIM_POWER);
            break;
        case 1:
            sim_node_crash_at_io(n, SIM_KILL, 1 + rng_below(rng, 50));
            break;
        case 2:
            sim_node_pause(n, SIM_STALL, rng_range(rng, 0, 500 * MS));
            break;
        case 3:
            sim_partition(p.s, 1, rng_chance(rng, 0.5));
            break;
        case 4:
            sim_clock_drift(n, rng_range(rng, -200000, 200000));
            break;
        default:
            sim_reset_streams(p.a, p.b);
        }
        sim_run(p.s, sim_now(p.s) + rng_range(rng, 0, 300 * MS));
    }
    uint64_t trace = sim_trace(p.s);
    *ret_events = sim_events(p.s);
    sim_free(p.s);
    return trace;
}

/* The same seed gives the same trace, another seed another. */
static void seeds_replay(void) {
    uint64_t last = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t e1, e2, t1 = messy_run(seed, &e1), t2 = messy_run(seed, &e2);
        EQ_INT(e1, e2);
        if (!OKF(t1 == t2, "seed %llu does not replay", (unsigned long long)seed))
            break;
        OK(t1 != last);
        last = t1;
    }
}

int main(void) {
    RUN(acknowledged_is_durable);
    RUN(streams_keep_order);
    RUN(stream_faults);
    RUN(refused);
    RUN(frames_suffer);
    RUN(clocks);
    RUN(seeds_replay);
    return tap_done();
}
