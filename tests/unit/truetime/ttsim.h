/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttsim.h: a simulated machine with a clock poller on it, and everything that may tell it the time: masters in shared memory,
 * a chronyd, a kernel, the simulator itself. The test knows true time, so each reading of the clock is checked:
 *
 *     earliest <= true time <= latest, and neither end ever below what was told before
 *
 * at every event and at random instants, by a reader that is not the poller's: it maps the page and lives on when the poller
 * is killed.
 */
#ifndef MERIDIAN_TESTS_TTSIM_H
#define MERIDIAN_TESTS_TTSIM_H

#include "geo-sim/sim/sim.h"
#include "truetime/master.h"
#include "truetime/poller.h"

enum { TTSIM_MASTERS = 6 };

struct ttsim;

/* Another process of the machine, which stamps and writes now and then. */
struct ttsim_master {
    struct ttsim *t;
    struct sim_call call, write;
    bool on;
    int unit;
    int64_t period_ns, err_ns; /* its error is uniform in +-err, its bound */
    int64_t lie_ns;
    int64_t late_ns; /* writes up to so long after it stamped */
    int leap;
    int64_t clock_ns, receive_ns; /* stamped, not written yet */
    bool stamped;
    uint64_t samples;
};

/* chronyd, as far as its command socket shows. */
struct ttsim_chrony {
    bool unsynced, silent;
    int64_t bound_ns, lie_ns; /* its error is uniform in +-bound */
    int64_t last_update_ns;   /* virtual time; moves on by itself unless stuck */
    bool stuck;
    void (*edit)(uint8_t reply[104]); /* has the last word on a tracking report */
    int64_t delay_ns;                 /* until it answers; 0 = 300 us */
};

struct ttsim {
    struct sim *s;
    struct sim_node *node;
    struct tt_poller_conf conf;
    struct tt_poller *poller;
    struct tt_clock clock; /* the reader's */
    bool mapped;
    struct ttsim_master masters[TTSIM_MASTERS];
    struct ttsim_chrony chrony;
    struct sim_call sample;
    int64_t sample_ns;    /* mean time between random instants */
    int64_t frozen_until; /* virtual time: the machine sleeps */
    /* A VM stop cannot be seen from inside until the masters make a fix: until this virtual time, and until there is a fix
     * made after this reading of the raw clock, containment is not claimed. */
    int64_t excused_until, excused_raw;
    uint64_t checks, known, violations, backwards;
    int64_t worst_ns, first_ns; /* violation: by how much, and when the first was */
    tt_interval last;
};

/* Makes the machine; the poller starts with it. mutant may be NULL. */
void ttsim_init(struct ttsim *t, uint64_t seed, const char *spec, const char *mutant);
void ttsim_done(struct ttsim *t);
/* Kills the poller's process without a word; its page stays. */
void ttsim_kill(struct ttsim *t);
void ttsim_restart(struct ttsim *t);
/* The machine loses its power and boots; what readers were told is forgotten with them. */
void ttsim_power_cycle(struct ttsim *t);
/* A master in unit, every period. */
struct ttsim_master *ttsim_master(struct ttsim *t, int unit, int64_t period_ns, int64_t err_ns);
/* Stops or freezes the machine. */
void ttsim_pause(struct ttsim *t, enum sim_pause how, int64_t ns);
/* chronyd answers at its usual place. */
void ttsim_serve_chrony(struct ttsim *t, int64_t bound_ns);
void ttsim_check(struct ttsim *t);
void ttsim_run(struct ttsim *t, int64_t ns);
enum tt_state ttsim_state(struct ttsim *t);
/* The verdict on source i. */
enum tt_verdict ttsim_verdict(struct ttsim *t, unsigned i);

#endif
