/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/truetime/ttsim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "truetime/base/buf.h"
#include "truetime/shmseg.h"

enum { MS = 1000000 };
#define PAGE_PATH "clock.page"

/* ---- the program on the node ------------------------------------------------------------------------------------- */

static enum rc start_poller(struct ttsim *t, struct env *env, struct err *err) {
    enum rc rc = tt_poller_new(env, &t->conf, &t->poller, err);
    if (!rc && !t->mapped) {
        rc = tt_clock_map(&t->clock, env, PAGE_PATH, err);
        t->mapped = !rc;
    }
    return rc;
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    (void)count;
    *ret_state = arg;
    return start_poller(arg, stores[0], err);
}

static void stop(void *state, uint16_t store) {
    struct ttsim *t = state;
    (void)store;
    tt_poller_free(t->poller);
    t->poller = NULL;
    if (t->mapped)
        tt_clock_done(&t->clock);
    t->mapped = false;
}

static bool stopped(void *state, uint16_t store) {
    return !((struct ttsim *)state)->poller && store == 0;
}

static void done(void *state) {
    (void)state;
}

static const struct program program = {boot, stop, stopped, done};

void ttsim_kill(struct ttsim *t) {
    tt_poller_free(t->poller);
    t->poller = NULL;
}

void ttsim_restart(struct ttsim *t) {
    OK(start_poller(t, sim_node_env(t->node, 0), NULL) == RC_OK);
}

void ttsim_power_cycle(struct ttsim *t) {
    sim_node_crash(t->node, SIM_POWER);
    t->last = (tt_interval){INT64_MIN, INT64_MIN};
    OK(sim_node_start(t->node, NULL) == RC_OK);
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static void on_event(void *ctx) {
    ttsim_check(ctx);
}

void ttsim_check(struct ttsim *t) {
    int64_t now = sim_now(t->s), truth = sim_true_ns(t->s);
    if (!t->mapped || !sim_node_running(t->node) || now < t->frozen_until)
        return; /* nobody on the machine can ask */
    tt_interval iv = tt_now(&t->clock);
    t->checks++;
    if (!tt_is_known(iv))
        return;
    t->known++;
    struct tt_view v;
    tt_page_view(t->clock.page, &v);
    if ((truth < iv.earliest || truth > iv.latest) && now >= t->excused_until && v.fix_raw >= t->excused_raw) {
        int64_t by = truth < iv.earliest ? iv.earliest - truth : truth - iv.latest;
        if (t->violations == 0)
            t->first_ns = now;
        t->violations++;
        t->worst_ns = by > t->worst_ns ? by : t->worst_ns;
    }
    t->backwards += iv.earliest < t->last.earliest || iv.latest < t->last.latest;
    t->last = iv;
}

static void on_sample(void *ctx) {
    struct ttsim *t = ctx;
    sim_call_at(t->s, &t->sample, sim_now(t->s) + rng_exponential(sim_rng(t->s), t->sample_ns) + 1, on_sample, t);
}

void ttsim_init(struct ttsim *t, uint64_t seed, const char *spec, const char *mutant) {
    struct sim_conf conf = simkit_conf(seed);
    struct err err = {0};
    *t = (struct ttsim){.last = {INT64_MIN, INT64_MIN}, .sample_ns = 20 * MS};
    if (mutant)
        conf.mutant = mutant;
    t->s = sim_new(&conf);
    t->node = sim_node_new(t->s, "n1", 1, &program, t);
    sim_on_event(t->s, on_event, t);
    t->conf.page_path = PAGE_PATH;
    t->conf.sources.host_dir = "host";
    OKF(tt_spec_parse(spec, &t->conf.spec, &err) == RC_OK, "%s", err.message);
    sim_run(t->s, INT64_C(5000000000)); /* away from 1 January, where there may be a leap second */
    OK(sim_node_start(t->node, NULL) == RC_OK);
    on_sample(t);
}

void ttsim_done(struct ttsim *t) {
    sim_call_cancel(&t->sample);
    for (int i = 0; i < TTSIM_MASTERS; i++) {
        sim_call_cancel(&t->masters[i].call);
        sim_call_cancel(&t->masters[i].write);
    }
    sim_free(t->s);
}

void ttsim_run(struct ttsim *t, int64_t ns) {
    sim_run(t->s, sim_now(t->s) + ns);
}

void ttsim_pause(struct ttsim *t, enum sim_pause how, int64_t ns) {
    sim_node_pause(t->node, how, ns);
    if (how != SIM_STALL && sim_now(t->s) >= t->frozen_until)
        t->frozen_until = sim_now(t->s) + ns;
}

enum tt_state ttsim_state(struct ttsim *t) {
    struct tt_status st;
    tt_status(&t->clock, &st);
    return st.state;
}

enum tt_verdict ttsim_verdict(struct ttsim *t, unsigned i) {
    struct tt_status st;
    tt_status(&t->clock, &st);
    return st.info.sources[i].verdict;
}

/* ---- masters ----------------------------------------------------------------------------------------------------- */

static void on_write(void *ctx) {
    struct ttsim_master *m = ctx;
    struct ttsim *t = m->t;
    if (sim_now(t->s) < t->frozen_until) {
        sim_call_at(t->s, &m->write, t->frozen_until, on_write, m);
        return;
    }
    tt_shm_write(sim_shm(t->node, TT_SHM_KEY + m->unit, TT_SHM_BYTES), m->clock_ns, m->receive_ns, m->leap, -20);
    m->samples++;
    m->stamped = false;
}

static void on_stamp(void *ctx) {
    struct ttsim_master *m = ctx;
    struct ttsim *t = m->t;
    struct rng *rng = sim_rng(t->s);
    int64_t now = sim_now(t->s), wake = t->frozen_until;
    if (now < wake) {
        sim_call_at(t->s, &m->call, wake + rng_range(rng, 0, 20 * MS), on_stamp, m);
        return;
    }
    if (m->on && !m->stamped) {
        m->clock_ns = sim_true_ns(t->s) + rng_range(rng, -m->err_ns, m->err_ns) + m->lie_ns;
        m->receive_ns = sim_clock_read(t->node, ENV_CLOCK_REAL);
        m->stamped = true;
        sim_call_at(t->s, &m->write, now + (m->late_ns ? rng_range(rng, 0, m->late_ns) : 0), on_write, m);
    }
    sim_call_at(t->s, &m->call, now + m->period_ns + rng_range(rng, -MS, MS), on_stamp, m);
}

struct ttsim_master *ttsim_master(struct ttsim *t, int unit, int64_t period_ns, int64_t err_ns) {
    struct ttsim_master *m = t->masters;
    while (m->t)
        m++;
    CHECK(m < t->masters + TTSIM_MASTERS);
    *m = (struct ttsim_master){.t = t, .on = true, .unit = unit, .period_ns = period_ns, .err_ns = err_ns};
    sim_call_at(t->s, &m->call, sim_now(t->s) + rng_range(sim_rng(t->s), 0, period_ns), on_stamp, m);
    return m;
}

/* ---- chronyd ----------------------------------------------------------------------------------------------------- */

/* 7 bits of exponent, 25 of coefficient; rounded away from zero. */
static uint32_t to_float(double x) {
    int e = 0;
    if (x == 0)
        return 0;
    double m = frexp(x, &e); /* 0.5 <= |m| < 1: coefficient of 24 bits */
    int32_t c = (int32_t)(m < 0 ? floor(m * 0x1p24) : ceil(m * 0x1p24));
    if (c == 0x1000000) {
        c >>= 1;
        e++;
    }
    return (uint32_t)(e + 1) << 25 | ((uint32_t)c & 0x1ffffff);
}

static size_t answer(void *ctx, const void *request, size_t bytes, void *reply, size_t cap) {
    struct ttsim *t = ctx;
    const uint8_t *q = request;
    uint8_t *a = reply;
    struct rng *rng = sim_rng(t->s);
    if (t->chrony.silent || bytes != 104 || cap < 104 || get_u16be(q + 4) != 33)
        return 0;
    memset(a, 0, 104);
    a[0] = 6;
    a[1] = 2;
    memcpy(a + 4, q + 4, 2);
    set_u16be(a + 6, 5);
    memcpy(a + 16, q + 8, 4);
    if (!t->chrony.stuck)
        t->chrony.last_update_ns = sim_now(t->s) - rng_range(rng, 0, 1000 * MS);
    int64_t error = rng_range(rng, -t->chrony.bound_ns * 99 / 100, t->chrony.bound_ns * 99 / 100) + t->chrony.lie_ns;
    int64_t correction = sim_true_ns(t->s) - sim_clock_read(t->node, ENV_CLOCK_REAL) + error;
    int64_t update = SIM_EPOCH_NS + t->chrony.last_update_ns - rng_range(rng, 0, 1000 * MS);
    set_u32be(a + 28, t->chrony.unsynced ? 0 : 0x47505300);
    set_u16be(a + 52, t->chrony.unsynced ? 0 : 1);
    set_u16be(a + 54, t->chrony.unsynced ? 3 : 0);
    set_u32be(a + 60, (uint32_t)(update / 1000000000));
    set_u32be(a + 64, (uint32_t)(update % 1000000000));
    set_u32be(a + 68, to_float((double)correction / 1e9));
    set_u32be(a + 92, to_float((double)t->chrony.bound_ns / 2e9));        /* a quarter by delay / 2, */
    set_u32be(a + 96, to_float((double)t->chrony.bound_ns * 0.75 / 1e9)); /* the rest by dispersion */
    set_u32be(a + 100, to_float(1.0));
    if (t->chrony.edit)
        t->chrony.edit(a);
    return 104;
}

void ttsim_serve_chrony(struct ttsim *t, int64_t bound_ns) {
    t->chrony.bound_ns = bound_ns;
    sim_serve(t->node, "unix:/run/chrony/chronyd.sock", t->chrony.delay_ns ? t->chrony.delay_ns : 300000, answer, t);
}
