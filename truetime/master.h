/* SPDX-License-Identifier: Apache-2.0 */
/*
 * master.h: a simulated time master: writes samples into a unit of ntpd's shared memory, as a GPS receiver's daemon does.
 *
 * Promise     An honest one (no lie) keeps the bound that its jitter implies: clock - truth is within offset +- 6 sigma. A
 *             sample whose two clocks could not be read close together is not written. It can jitter, drift, lie, announce a
 *             leap second and stop, each when told.
 * Relies on   env: timers, REAL, RAW, the segment.
 * Threads     its env's.
 */
#ifndef MERIDIAN_TRUETIME_MASTER_H
#define MERIDIAN_TRUETIME_MASTER_H

#include "truetime/base/env.h"
#include "truetime/base/rng.h"
#include "truetime/shmseg.h"

struct tt_master;

struct tt_master_conf {
    int unit;
    unsigned create_mode; /* permissions of the segment; 0 = 0644 */
    int64_t period_ns;    /* 0 = 250 ms */
    /* What time it is when REAL says real_ns and RAW raw_ns. NULL: what REAL says, plus offset, plus drift since the start. */
    int64_t (*truth)(void *ctx, int64_t real_ns, int64_t raw_ns);
    void *truth_ctx;
    int64_t offset_ns;     /* added to the truth: a known bias */
    int64_t drift_ppb;     /* of the master's own oscillator, from its start on */
    int64_t jitter_ns;     /* one sigma, bounded at six */
    int64_t lie_ns;        /* added on top... */
    int64_t lie_after_ns;  /* ...from so long after the start on */
    int64_t stop_after_ns; /* writes nothing from then on; 0 = never */
    int leap, precision;
    uint64_t seed; /* 0 = from env */
};

/* What a sample says: for tests that write by themselves. */
int64_t tt_master_reference(const struct tt_master_conf *conf, struct rng *rng, int64_t since_ns, int64_t truth_ns);

enum rc tt_master_new(struct env *env, const struct tt_master_conf *conf, struct tt_master **ret,
                      struct err *err) MUST_CHECK;
void tt_master_free(struct tt_master *m);
/* Changes what it does from the next sample on. */
struct tt_master_conf *tt_master_conf(struct tt_master *m);
uint64_t tt_master_samples(const struct tt_master *m);

#endif
