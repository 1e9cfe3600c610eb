/* SPDX-License-Identifier: Apache-2.0 */
/* The poller on a simulated machine: what it believes, what it refuses, and that time is always inside. */
#include "truetime/poller.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/unit/truetime/ttsim.h"
#include "truetime/probe.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static void holds(struct ttsim *t) {
    OKF(t->violations == 0, "%llu of %llu readings miss true time, by up to %lld ns", (unsigned long long)t->violations,
        (unsigned long long)t->known, (long long)t->worst_ns);
    OKF(t->backwards == 0, "time went back %llu times", (unsigned long long)t->backwards);
}

static struct tt_status status(struct ttsim *t) {
    struct tt_status st;
    tt_status(&t->clock, &st);
    return st;
}

/* ---- ordinary life ----------------------------------------------------------------------------------------------- */

static void three_masters(void) {
    struct ttsim t;
    ttsim_init(&t, 1, "shm:0;shm:1;shm:2", NULL);
    for (int i = 0; i < 3; i++)
        ttsim_master(&t, i, 250 * MS, 100 * US);
    sim_clock_drift(t.node, 150000);
    ttsim_check(&t);
    EQ_INT(t.known, 0); /* nothing is known before somebody has spoken */
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    ttsim_run(&t, 600 * SEC);
    struct tt_status st = status(&t);
    EQ_INT(st.state, TT_SYNC);
    OKF(st.half_width_ns < 600 * US, "half-width %lld", (long long)st.half_width_ns);
    for (unsigned i = 0; i < 3; i++)
        EQ_INT(ttsim_verdict(&t, i), TT_AGREES);
    OK(t.known > 10000);
    holds(&t);
    ttsim_done(&t);
}

/* The liar is named; the other two go on. */
static void one_of_three_lies(void) {
    struct ttsim t;
    ttsim_init(&t, 2, "shm:0;shm:1;shm:2", NULL);
    struct ttsim_master *liar = NULL;
    for (int i = 0; i < 3; i++)
        liar = ttsim_master(&t, i, 250 * MS, 100 * US);
    ttsim_run(&t, 10 * SEC);
    for (int64_t lie = 100 * US; lie < 100 * SEC; lie *= 3) {
        liar->lie_ns = lie % 2 ? lie : -lie;
        ttsim_run(&t, 10 * SEC);
        EQ_INT(ttsim_state(&t), TT_SYNC);
        if (lie > 2 * MS)
            EQ_INT(ttsim_verdict(&t, 2), TT_FALSETICKER);
        EQ_INT(ttsim_verdict(&t, 0), TT_AGREES);
    }
    holds(&t);
    ttsim_done(&t);
}

/* Two that differ by more than their bounds: one lies, nobody knows which, so there is no time. */
static void two_disagree(void) {
    struct ttsim t;
    ttsim_init(&t, 3, "shm:0;shm:1", NULL);
    ttsim_master(&t, 0, 250 * MS, 100 * US);
    struct ttsim_master *b = ttsim_master(&t, 1, 250 * MS, 100 * US);
    b->lie_ns = 50 * MS;
    ttsim_run(&t, 10 * SEC);
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    EQ_INT(ttsim_verdict(&t, 0), TT_DISAGREES);
    OK(strstr(status(&t).reason, "disagree"));
    EQ_INT(t.known, 0);
    b->lie_ns = 0;
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    /* And when it begins later, what is held is not believed any more. */
    b->lie_ns = 1200 * US;
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    OK(!tt_is_known(tt_now(&t.clock)));
    OK(counter_get(&tt_poller_stats(t.poller)->disagreements) > 0);
    holds(&t);
    ttsim_done(&t);
}

/* ---- holding over ------------------------------------------------------------------------------------------------ */

/* All masters die: each side grows by 200 us a second of the raw clock, to the nanosecond, until 10 ms. */
static void growth_is_as_stated(void) {
    struct ttsim t;
    ttsim_init(&t, 4, "shm:0", NULL);
    struct ttsim_master *m = ttsim_master(&t, 0, 250 * MS, 100 * US);
    sim_clock_drift(t.node, -199000);
    ttsim_run(&t, 30 * SEC);
    m->on = false;
    ttsim_run(&t, 5 * SEC); /* past the freshness of its last sample */
    EQ_INT(ttsim_state(&t), TT_HOLDOVER);
    EQ_INT(ttsim_verdict(&t, 0), TT_STALE);
    int64_t raw0 = sim_clock_read(t.node, ENV_CLOCK_RAW);
    tt_interval then = tt_now(&t.clock);
    for (int i = 0; i < 40; i++) {
        ttsim_run(&t, 997 * MS);
        tt_interval now = tt_now(&t.clock);
        int64_t dt = sim_clock_read(t.node, ENV_CLOCK_RAW) - raw0;
        int64_t wide = tt_width(then) + 2 * (dt / 5000); /* 200 ppm */
        OKF(tt_width(now) >= wide - 2 && tt_width(now) <= wide + 2, "after %lld ns: %lld, wanted %lld", (long long)dt,
            (long long)tt_width(now), (long long)wide);
    }
    /* It ends where it is said to. */
    while (tt_is_known(tt_now(&t.clock)))
        ttsim_run(&t, MS);
    int64_t at = sim_clock_read(t.node, ENV_CLOCK_RAW) - raw0, wanted = (20 * MS - tt_width(then)) / 2 * 5000;
    OKF(at >= wanted - MS && at <= wanted + 2 * MS, "refused after %lld ns, wanted %lld", (long long)at,
        (long long)wanted);
    ttsim_run(&t, 300 * MS);
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    OK(strstr(status(&t).reason, "wider than"));
    m->on = true;
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    holds(&t);
    ttsim_done(&t);
}

/* n counts the masters configured: two dead of three are too many, however well the third feels. */
static void quorum_counts_the_configured(void) {
    struct ttsim t;
    ttsim_init(&t, 5, "shm:0;shm:1;shm:2", NULL);
    struct ttsim_master *m[3];
    for (int i = 0; i < 3; i++)
        m[i] = ttsim_master(&t, i, 250 * MS, 100 * US);
    ttsim_run(&t, 5 * SEC);
    m[0]->on = false;
    ttsim_run(&t, 10 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    m[1]->on = false;
    ttsim_run(&t, 10 * SEC);
    EQ_INT(ttsim_state(&t), TT_HOLDOVER);
    OK(strstr(status(&t).reason, "1 of 3 sources are fresh, 2 are needed"));
    /* One that is back and differs does not make a majority against nobody: hold over, do not give up. */
    m[1]->on = true;
    m[1]->lie_ns = 30 * MS;
    ttsim_run(&t, 5 * SEC);
    EQ_INT(ttsim_state(&t), TT_HOLDOVER);
    ttsim_run(&t, 60 * SEC);
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    holds(&t);
    ttsim_done(&t);
}

/* A poller that does not run is noticed by its readers. */
static void silent_poller(void) {
    struct ttsim t;
    ttsim_init(&t, 6, "shm:0", NULL);
    ttsim_master(&t, 0, 250 * MS, 100 * US);
    ttsim_run(&t, 5 * SEC);
    ttsim_pause(&t, SIM_STALL, 10 * SEC);
    ttsim_run(&t, 1500 * MS);
    OK(tt_is_known(tt_now(&t.clock)));
    ttsim_run(&t, 600 * MS);
    OK(!tt_is_known(tt_now(&t.clock)));
    OK(strstr(status(&t).reason, "last spoke"));
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    ttsim_run(&t, 9 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    /* The same when it is killed, and a successor takes the page over in place. */
    uint64_t epoch = status(&t).epoch;
    ttsim_kill(&t);
    ttsim_run(&t, 1500 * MS);
    OK(tt_is_known(tt_now(&t.clock)));
    ttsim_run(&t, 1000 * MS);
    OK(!tt_is_known(tt_now(&t.clock)));
    ttsim_restart(&t);
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    EQ_INT(status(&t).epoch, epoch + 1);
    holds(&t);
    ttsim_done(&t);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* One master that jumps: the jump is a contradiction; after a quarantine it is believed again, in whatever it says. */
static void a_jump_is_a_fault(void) {
    struct ttsim t;
    ttsim_init(&t, 7, "shm:0", NULL);
    struct ttsim_master *m = ttsim_master(&t, 0, 250 * MS, 100 * US);
    ttsim_run(&t, 10 * SEC);
    m->lie_ns = 5 * MS;
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_FAULT);
    OK(strstr(status(&t).reason, "above the fix"));
    OK(!tt_is_known(tt_now(&t.clock)));
    m->lie_ns = 0; /* back before anybody believed it */
    ttsim_run(&t, 15 * SEC);
    EQ_INT(ttsim_state(&t), TT_FAULT);
    ttsim_run(&t, 10 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    holds(&t);
    ttsim_done(&t);
}

/* Believed far ahead, then corrected: time stands still (FAULT) until truth has caught up with what was told. */
static void no_way_back(void) {
    struct ttsim t;
    ttsim_init(&t, 8, "shm:0", NULL);
    struct ttsim_master *m = ttsim_master(&t, 0, 250 * MS, 100 * US);
    m->lie_ns = 60 * SEC;
    t.excused_until = INT64_MAX; /* a single master that lies is believed: here only the direction of time matters */
    ttsim_run(&t, 30 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    m->lie_ns = 0;
    ttsim_run(&t, 25 * SEC); /* the quarantine is over, but the time that was told is still to come */
    EQ_INT(ttsim_state(&t), TT_FAULT);
    OK(strstr(status(&t).reason, "time would go back"));
    t.excused_until = 0;
    ttsim_run(&t, 30 * SEC);
    EQ_INT(ttsim_state(&t), TT_FAULT);
    ttsim_run(&t, 8 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    holds(&t);
    ttsim_done(&t);
}

/* An oscillator beyond its bound is found within seconds, stays FAULT while it lasts, and no reading was wrong. */
static void bad_oscillator(void) {
    struct ttsim t;
    ttsim_init(&t, 9, "shm:0;shm:1;shm:2", NULL);
    for (int i = 0; i < 3; i++)
        ttsim_master(&t, i, 250 * MS, 100 * US);
    ttsim_run(&t, 5 * SEC);
    sim_clock_drift(t.node, -600000);
    ttsim_run(&t, 20 * SEC);
    EQ_INT(ttsim_state(&t), TT_FAULT);
    ttsim_run(&t, 100 * SEC);
    EQ_INT(ttsim_state(&t), TT_FAULT);
    sim_clock_drift(t.node, 100000);
    ttsim_run(&t, 45 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    holds(&t);
    ttsim_done(&t);
}

/* ---- steps, sleep, leap seconds ---------------------------------------------------------------------------------- */

static void steps_of_the_system_clock(void) {
    static const int64_t steps[] = {SEC, -SEC, 3600 * SEC, -3600 * SEC, 20 * MS, -20 * MS, 300 * US, -1500 * US};
    struct ttsim t;
    ttsim_init(&t, 10, "shm:0;shm:1;shm:2", NULL);
    for (int i = 0; i < 3; i++)
        ttsim_master(&t, i, 250 * MS, 100 * US)->late_ns = 30 * MS;
    ttsim_run(&t, 5 * SEC);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        sim_clock_step(t.node, steps[i]);
        ttsim_check(&t);
        OK(steps[i] * (steps[i] < 0 ? -1 : 1) < 100 * MS ||
           !tt_is_known(tt_now(&t.clock))); /* readers see it at once */
        ttsim_run(&t, 30 * MS);
        OK(tt_is_known(tt_now(&t.clock))); /* the raw clock did not step: time goes on */
        ttsim_run(&t, 20 * SEC);
        EQ_INT(ttsim_state(&t), TT_SYNC);
    }
    OK(counter_get(&tt_poller_stats(t.poller)->steps) >= 6);
    holds(&t);
    ttsim_done(&t);
}

static void sleep_invalidates(void) {
    struct ttsim t;
    ttsim_init(&t, 11, "shm:0;shm:1;shm:2", NULL);
    for (int i = 0; i < 3; i++)
        ttsim_master(&t, i, 250 * MS, 100 * US);
    for (int i = 0; i < 20; i++) {
        ttsim_run(&t, 5 * SEC);
        EQ_INT(ttsim_state(&t), TT_SYNC);
        ttsim_pause(&t, SIM_SUSPEND, rng_range(sim_rng(t.s), 200 * MS, 3600 * SEC));
        sim_run(t.s, t.frozen_until);
        ttsim_check(&t);
        OK(!tt_is_known(tt_now(&t.clock))); /* no reader is told the time of before the sleep, not even at first */
    }
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    EQ_INT(counter_get(&tt_poller_stats(t.poller)->suspends), 20);
    holds(&t);
    ttsim_done(&t);
}

/* A stopped virtual machine cannot tell: intervals are wrong until masters have spoken, then it is a fault. */
static void vm_stop_is_found_late(void) {
    struct ttsim t;
    ttsim_init(&t, 12, "shm:0;shm:1;shm:2", NULL);
    for (int i = 0; i < 3; i++)
        ttsim_master(&t, i, 250 * MS, 100 * US);
    ttsim_run(&t, 5 * SEC);
    ttsim_pause(&t, SIM_VM, 5 * SEC);
    t.excused_until = t.frozen_until + 350 * MS; /* a master's period and two ticks */
    ttsim_run(&t, 5 * SEC);
    ttsim_check(&t);
    tt_interval now = tt_now(&t.clock);
    OK(tt_is_known(now) && now.latest < sim_true_ns(t.s)); /* the limit that docs/truetime.md states */
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_FAULT);
    ttsim_run(&t, 25 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    holds(&t);
    ttsim_done(&t);
}

/* Around a possible leap second samples are not used; the interval holds over, and the masters' step is a fault that ends. */
static void leap_second(void) {
    struct ttsim t;
    ttsim_init(&t, 13, "shm:0;shm:1;shm:2", NULL);
    struct ttsim_master *m[3];
    for (int i = 0; i < 3; i++)
        m[i] = ttsim_master(&t, i, 250 * MS, 100 * US);
    const int64_t july = INT64_C(181) * 86400 * SEC; /* 2026-07-01 00:00:00 */
    ttsim_run(&t, 5 * SEC);
    ttsim_kill(&t); /* half a year of ticks is long */
    ttsim_run(&t, SEC);
    for (int i = 0; i < 3; i++)
        m[i]->on = false, m[i]->period_ns = 86400 * SEC;
    t.sample_ns = 86400 * SEC;
    sim_run(t.s, july - 86460 * SEC);
    for (int i = 0; i < 3; i++)
        m[i]->period_ns = 250 * MS, m[i]->leap = TT_LEAP_INSERT;
    sim_run(t.s, july - 30 * SEC);
    t.sample_ns = 20 * MS;
    ttsim_restart(&t);
    for (int i = 0; i < 3; i++) {
        sim_call_cancel(&m[i]->call);
        m[i]->t = NULL;
        m[i] = ttsim_master(&t, i, 250 * MS, 100 * US);
    }
    sim_run(t.s, july - 3 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    sim_run(t.s, july - SEC);
    EQ_INT(ttsim_state(&t), TT_HOLDOVER);
    /* No second is inserted: all goes on. */
    sim_run(t.s, july + 3 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    OK(tt_half_width(tt_now(&t.clock)) < MS);
    holds(&t);
    /* The same as if one had been inserted: UTC, which the masters and the system clock tell, is a second behind from now on. */
    t.excused_until = INT64_MAX;
    for (int i = 0; i < 3; i++)
        m[i]->lie_ns = -SEC;
    sim_clock_step(t.node, -SEC);
    ttsim_run(&t, 4 * SEC);
    EQ_INT(ttsim_state(&t), TT_FAULT);
    ttsim_run(&t, 22 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    EQ_INT(t.backwards, 0);
    ttsim_done(&t);
    OK(tt_near_leap(SIM_EPOCH_NS, 0) && tt_near_leap(SIM_EPOCH_NS - 2 * SEC, 2 * SEC));
    OK(!tt_near_leap(SIM_EPOCH_NS + 2 * SEC + 1, 2 * SEC));
    OK(tt_near_leap(SIM_EPOCH_NS + july, 0) && !tt_near_leap(SIM_EPOCH_NS + july + 86400 * SEC, 2 * SEC));
    OK(tt_near_leap(INT64_C(1719792000) * SEC, 0));   /* July 2024, a leap year */
    OK(tt_near_leap(INT64_C(1483228800) * SEC, SEC)); /* the last one, end of 2016 */
}

/* ---- other sources ----------------------------------------------------------------------------------------------- */

static void chrony_source(void) {
    struct ttsim t;
    ttsim_init(&t, 14, "chrony", NULL);
    ttsim_serve_chrony(&t, 700 * US);
    sim_clock_step(t.node, 37 * MS); /* far off, and never steered: the interval is around the corrected time */
    sim_clock_drift(t.node, 80000);
    ttsim_run(&t, 60 * SEC);
    struct tt_status st = status(&t);
    EQ_INT(st.state, TT_SYNC);
    OKF(st.half_width_ns < 840 * US, "%lld", (long long)st.half_width_ns); /* 1.2 times the root distance */
    OK(st.info.sources[0].offset_ns < -30 * MS);
    OK(st.info.sources[0].delay_ns > 170 * US && st.info.sources[0].dispersion_ns > 500 * US);
    t.chrony.unsynced = true;
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_HOLDOVER);
    EQ_INT(ttsim_verdict(&t, 0), TT_ERROR);
    t.chrony.unsynced = false;
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    t.chrony.stuck = true; /* says Normal for ever, as chronyd does when its sources have died */
    ttsim_run(&t, 6 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    ttsim_run(&t, 4 * SEC);
    EQ_INT(ttsim_state(&t), TT_HOLDOVER);
    OK(strstr(status(&t).info.sources[0].detail, "no update"));
    t.chrony.stuck = false;
    ttsim_run(&t, SEC);
    t.chrony.silent = true;
    ttsim_run(&t, 10 * SEC);
    EQ_INT(ttsim_state(&t), TT_HOLDOVER);
    OK(strstr(status(&t).info.sources[0].detail, "does not answer"));
    holds(&t);
    ttsim_done(&t);
}

static void leap_3(uint8_t *reply) {
    set_u16be(reply + 54, 3);
}

static void leap_9(uint8_t *reply) {
    set_u16be(reply + 54, 9);
}

static void no_reference(uint8_t *reply) {
    set_u32be(reply + 28, 0);
}

static void own_clock(uint8_t *reply) {
    set_u32be(reply + 28, CHRONY_REFID_LOCAL);
}

static void typed_time(uint8_t *reply) {
    set_u32be(reply + 28, CHRONY_REFID_MANUAL);
}

static void no_distance(uint8_t *reply) {
    memset(reply + 92, 0, 8);
}

static void negative_dispersion(uint8_t *reply) {
    set_u32be(reply + 96, 1u << 24); /* the most negative coefficient */
}

static void wild_dispersion(uint8_t *reply) {
    set_u32be(reply + 96, 0x7effffffu); /* 2^62 */
}

static void wild_correction(uint8_t *reply) {
    set_u32be(reply + 68, 0x7effffffu);
}

static void updated_tomorrow(uint8_t *reply) {
    set_u32be(reply + 60, get_u32be(reply + 60) + 86400);
}

/* Each thing alone that makes a report no ground to stand on: chronyd sets several of them together, others may not. */
static void chrony_refusals(void) {
    static const struct {
        void (*edit)(uint8_t *reply);
        const char *says;
    } cases[] = {{leap_3, "leap 3"},
                 {leap_9, "none of 0 to 3"},
                 {no_reference, "reference id 0"},
                 {own_clock, "its own clock"},
                 {typed_time, "somebody typed"},
                 {no_distance, "not positive"},
                 {negative_dispersion, "not positive"},
                 {wild_dispersion, "over an hour"},
                 {wild_correction, "no correction"},
                 {updated_tomorrow, "in the future"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ttsim t;
        ttsim_init(&t, 30 + i, "chrony", NULL);
        t.chrony.edit = cases[i].edit;
        ttsim_serve_chrony(&t, 700 * US);
        ttsim_run(&t, 3 * SEC);
        EQ_INT(ttsim_state(&t), TT_UNSYNCED);
        EQ_INT(ttsim_verdict(&t, 0), TT_ERROR);
        OKF(strstr(status(&t).info.sources[0].detail, cases[i].says), "wanted \"%s\": %s", cases[i].says,
            status(&t).info.sources[0].detail);
        t.chrony.edit = NULL;
        ttsim_run(&t, 3 * SEC);
        EQ_INT(ttsim_state(&t), TT_SYNC);
        holds(&t);
        ttsim_done(&t);
    }
}

/* A report speaks of the moment when chronyd wrote it. The oscillator drifts on until it is read. */
static void slow_chronyd(void) {
    struct ttsim t;
    ttsim_init(&t, 41, "chrony", NULL);
    sim_clock_drift(t.node, 199900);
    t.chrony.delay_ns = 110 * MS;
    ttsim_serve_chrony(&t, 5 * US);
    ttsim_run(&t, 60 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    holds(&t);
    ttsim_done(&t);
}

/* One chronyd with a small lie: nothing can see it. This test states the limit. */
static void one_chronyd_can_lie(void) {
    struct ttsim t;
    ttsim_init(&t, 15, "chrony", NULL);
    ttsim_serve_chrony(&t, 500 * US);
    ttsim_run(&t, 10 * SEC);
    holds(&t);
    t.chrony.lie_ns = 900 * US;
    ttsim_run(&t, 10 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    OK(t.violations > 0);
    ttsim_done(&t);
}

static void kernel_source(void) {
    struct ttsim t;
    ttsim_init(&t, 16, "kernel", NULL);
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    OK(strstr(status(&t).info.sources[0].detail, "nobody steers"));
    sim_clock_step(t.node, sim_true_ns(t.s) - sim_clock_read(t.node, ENV_CLOCK_REAL) + 90 * US);
    *sim_adjtime(t.node) = (struct env_adjtime){.state = 0, .status = 0, .maxerror_us = 106, .esterror_us = 5};
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    OK(status(&t).half_width_ns < 400 * US);
    sim_adjtime(t.node)->maxerror_us = 0; /* what systemd-timesyncd writes */
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_HOLDOVER);
    sim_adjtime(t.node)->maxerror_us = 100;
    sim_adjtime(t.node)->status = 0x40;
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_verdict(&t, 0), TT_ERROR);
    holds(&t);
    ttsim_done(&t);
}

static void fixed_source(void) {
    struct ttsim t;
    ttsim_init(&t, 17, "fixed:5ms", NULL);
    sim_clock_step(t.node, 4 * MS);
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_ASSUMED);
    int64_t half = status(&t).half_width_ns;
    OKF(half >= 5 * MS && half < 5100 * US, "%lld", (long long)half);
    sim_clock_step(t.node, 30 * MS); /* what the operator vouched for is not so */
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_FAULT);
    ttsim_done(&t);
}

/* One scale for a machine: no drift, no wait, whoever comes first chooses. */
static void host_source(void) {
    struct ttsim t;
    char scale[TT_SCALE_BYTES], scale2[TT_SCALE_BYTES];
    ttsim_init(&t, 18, "host", NULL);
    t.excused_until = INT64_MAX; /* its true time is its own */
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    OK(status(&t).half_width_ns <= US);
    tt_poller_scale(t.poller, scale);
    OK(strncmp(scale, "host:", 5) == 0);
    tt_interval then = tt_now(&t.clock);
    int64_t raw = sim_clock_read(t.node, ENV_CLOCK_RAW);
    sim_clock_step(t.node, -3600 * SEC);
    ttsim_run(&t, 100 * SEC);
    ttsim_pause(&t, SIM_SUSPEND, 100 * SEC);
    ttsim_run(&t, 150 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    tt_interval now = tt_now(&t.clock);
    EQ_INT(now.latest - then.latest, sim_clock_read(t.node, ENV_CLOCK_RAW) - raw);
    /* Another process of this boot finds the same scale; one with data from the future waits. */
    ttsim_kill(&t);
    t.conf.sources.high_water_ns = now.latest + 10 * SEC;
    ttsim_restart(&t);
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_UNSYNCED);
    OK(strstr(status(&t).info.sources[0].detail, "behind"));
    ttsim_run(&t, 10 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    tt_poller_scale(t.poller, scale2);
    EQ_STR(scale2, scale);
    /* A new boot chooses anew, beyond what the data has seen although the system clock is behind it. */
    int64_t seen = tt_now(&t.clock).latest;
    t.conf.sources.high_water_ns = seen;
    ttsim_power_cycle(&t);
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    OK(tt_now(&t.clock).earliest > seen);
    tt_poller_scale(t.poller, scale2);
    OK(strcmp(scale, scale2) != 0);
    EQ_INT(t.backwards, 0);
    ttsim_done(&t);
}

/* A page that lies on a disk survives a power loss, and means nothing afterwards. */
static void page_of_another_boot(void) {
    int kept = 0;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct ttsim t;
        ttsim_init(&t, seed, "sim", NULL);
        ttsim_run(&t, 2 * SEC);
        OK(tt_is_known(tt_now(&t.clock)));
        sim_node_crash(t.node, SIM_POWER);
        ttsim_run(&t, SEC);
        t.last = (tt_interval){INT64_MIN, INT64_MIN};
        OK(sim_node_start(t.node, NULL) == RC_OK);
        kept += status(&t).epoch > 1;
        ttsim_check(&t);
        EQ_INT(ttsim_state(&t), TT_UNSYNCED);
        ttsim_run(&t, 2 * SEC);
        EQ_INT(ttsim_state(&t), TT_SYNC);
        holds(&t);
        ttsim_done(&t);
    }
    OK(kept > 0);
}

/* ---- SHM on the raw side ----------------------------------------------------------------------------------------- */

static void segment_errors(void) {
    struct ttsim t;
    ttsim_init(&t, 20, "shm:5", NULL);
    ttsim_run(&t, SEC);
    OK(strstr(status(&t).info.sources[0].detail, "no such segment"));
    struct tt_shm *seg = sim_shm(t.node, TT_SHM_KEY + 5, TT_SHM_BYTES);
    ttsim_run(&t, SEC);
    OK(strstr(status(&t).info.sources[0].detail, "nobody has written"));
    struct ttsim_master *m = ttsim_master(&t, 5, 250 * MS, 100 * US);
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    m->leap = TT_LEAP_UNSYNCED;
    ttsim_run(&t, SEC);
    EQ_INT(ttsim_verdict(&t, 0), TT_ERROR);
    OK(strstr(status(&t).info.sources[0].detail, "leap 3"));
    m->leap = 0;
    m->on = false;
    ttsim_run(&t, SEC);
    seg->mode = 0;
    seg->count += 2;
    ttsim_run(&t, SEC);
    OK(strstr(status(&t).info.sources[0].detail, "mode 0"));
    seg->mode = 1;
    seg->count += 1; /* a writer that died inside */
    ttsim_run(&t, SEC);
    OK(strstr(status(&t).info.sources[0].detail, "stays odd"));
    m->on = true; /* its successor puts the counter right */
    ttsim_run(&t, 2 * SEC);
    EQ_INT(ttsim_state(&t), TT_SYNC);
    holds(&t);
    ttsim_done(&t);
}

/* A writer that only adds one and one leaves the counter standing odd after it once died inside: what it then writes looks
 * whole exactly while it is not. Nothing of that is believed. */
static void counter_the_wrong_way_round(void) {
    struct ttsim t;
    ttsim_init(&t, 21, "shm:0", NULL);
    struct tt_shm *seg = sim_shm(t.node, TT_SHM_KEY, TT_SHM_BYTES);
    seg->mode = 1;
    seg->count = 1;
    for (int i = 0; i < 400; i++) {
        seg->count++; /* "begins": even */
        seg->clock_sec = sim_true_ns(t.s) / SEC + 7;
        seg->receive_sec = sim_clock_read(t.node, ENV_CLOCK_REAL) / SEC;
        ttsim_run(&t, i % 3 ? 10 * MS : 30 * MS); /* so slowly that looks fall into it */
        seg->count++;
        ttsim_run(&t, 220 * MS);
    }
    EQ_INT(t.known, 0);
    ttsim_done(&t);
}

/* ---- what is shown ----------------------------------------------------------------------------------------------- */

static void metrics(void) {
    struct ttsim t;
    struct buf out;
    ttsim_init(&t, 40, "sim;sim;sim", NULL);
    struct env *env = sim_node_env(t.node, 0);
    tt_poller_metrics(t.poller);
    tt_clock_metrics(&t.clock);
    tt_now(&t.clock);
    ttsim_run(&t, 60 * SEC);
    sim_clock_step(t.node, 3 * SEC);
    ttsim_run(&t, SEC);
    buf_init(&out, 0);
    const struct metrics *all[] = {&env->metrics};
    metrics_dump(all, 1, &out);
    const char *text = buf_cstr(&out);
    OK(text && strstr(text, "meridian_clock_state{store=\"0\"} 1"));
    OK(text && strstr(text, "meridian_clock_steps_total{store=\"0\"} 1"));
    OK(text && strstr(text, "meridian_clock_state_changes_total{store=\"0\"} 1"));
    OK(text && strstr(text, "meridian_clock_half_width_seconds_count"));
    OK(text && strstr(text, "meridian_clock_refusals_total"));
    const struct tt_poller_stats *s = tt_poller_stats(t.poller);
    int64_t half = hist_quantile(&s->half_width_ns, 0.5);
    OKF(half > 30 * US && half < 200 * US, "%lld", (long long)half);
    EQ_INT(counter_get(&s->polls), 245);
    buf_done(&out);
    ttsim_done(&t);
}

static void on_answer(void *ctx, bool answers) {
    int *said = ctx;
    *said = answers ? 1 : 0;
}

/* Whether there is a chronyd, synchronised or not, is known within half a second. */
static void probing(void) {
    struct ttsim t;
    struct tt_probe *p;
    int said = -1;
    ttsim_init(&t, 41, "sim", NULL);
    struct env *env = sim_node_env(t.node, 0);
    OK(tt_probe_new(env, on_answer, &said, &p, NULL) == RC_OK);
    ttsim_run(&t, 400 * MS);
    EQ_INT(said, -1);
    ttsim_run(&t, 200 * MS);
    EQ_INT(said, 0);
    tt_probe_free(p);
    said = -1;
    ttsim_serve_chrony(&t, MS);
    t.chrony.unsynced = true;
    OK(tt_probe_new(env, on_answer, &said, &p, NULL) == RC_OK);
    ttsim_run(&t, 100 * MS);
    EQ_INT(said, 1);
    tt_probe_free(p);
    tt_probe_free(NULL);
    ttsim_done(&t);
}

/* ---- rules switched off ------------------------------------------------------------------------------------------ */

static void drifting(struct ttsim *t) {
    for (int i = 0; i < 3; i++)
        ttsim_master(t, i, 250 * MS, 400 * US);
    ttsim_run(t, 5 * SEC);
    sim_clock_drift(t->node, -600000);
    ttsim_run(t, 20 * SEC);
}

static void jumping(struct ttsim *t) {
    struct ttsim_master *m = ttsim_master(t, 0, 250 * MS, 100 * US);
    ttsim_run(t, 10 * SEC);
    m->lie_ns = 5 * MS;
    ttsim_run(t, 5 * SEC);
}

static void wrong_way_round(struct ttsim *t) {
    struct tt_shm *seg = sim_shm(t->node, TT_SHM_KEY, TT_SHM_BYTES);
    seg->mode = 1;
    seg->count = 1;
    for (int i = 0; i < 40; i++) {
        seg->count++;
        seg->clock_sec = sim_true_ns(t->s) / SEC + 7;
        seg->receive_sec = sim_clock_read(t->node, ENV_CLOCK_REAL) / SEC;
        ttsim_run(t, 40 * MS);
        seg->count++;
        ttsim_run(t, 220 * MS);
    }
}

/* Each of these rules holds something: without it the same trouble gives wrong answers. */
static void mutants(void) {
    static const struct {
        const char *rule, *spec;
        void (*trouble)(struct ttsim *t);
    } all[] = {
        {"intersect-old", "shm:0;shm:1;shm:2", drifting},
        {"tt-quarantine", "shm:0", jumping},
        {"tt-confirm", "shm:0", wrong_way_round},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct ttsim t;
        ttsim_init(&t, 30, all[i].spec, NULL);
        all[i].trouble(&t);
        OKF(t.violations == 0, "with %s: %llu wrong", all[i].rule, (unsigned long long)t.violations);
        ttsim_done(&t);
        ttsim_init(&t, 30, all[i].spec, all[i].rule);
        all[i].trouble(&t);
        OKF(t.violations > 0, "nothing notices that %s is gone", all[i].rule);
        tap_note("without %s: %llu of %llu readings are wrong", all[i].rule, (unsigned long long)t.violations,
                 (unsigned long long)t.known);
        ttsim_done(&t);
    }
}

int main(void) {
    RUN(three_masters);
    RUN(one_of_three_lies);
    RUN(two_disagree);
    RUN(growth_is_as_stated);
    RUN(quorum_counts_the_configured);
    RUN(silent_poller);
    RUN(a_jump_is_a_fault);
    RUN(no_way_back);
    RUN(bad_oscillator);
    RUN(steps_of_the_system_clock);
    RUN(sleep_invalidates);
    RUN(vm_stop_is_found_late);
    RUN(leap_second);
    RUN(chrony_source);
    RUN(chrony_refusals);
    RUN(slow_chronyd);
    RUN(one_chronyd_can_lie);
    RUN(kernel_source);
    RUN(fixed_source);
    RUN(host_source);
    RUN(page_of_another_boot);
    RUN(segment_errors);
    RUN(counter_the_wrong_way_round);
    RUN(metrics);
    RUN(probing);
    RUN(mutants);
    return tap_done();
}
