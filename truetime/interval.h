/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interval.h: an interval of true time, and how it grows with age.
 *
 * Promise     True time is inside: earliest <= true time <= latest, both ends included. An interval that was right at one
 *             reading of the raw clock is right at every later one after tt_aged, as long as the oscillator keeps its
 *             drift bound. The interval that says nothing is TT_UNKNOWN: it is true too.
 * Relies on   drift bound: |d(true time) / d(raw clock) - 1| <= drift_ppb / 1e9.
 * Threads     any; values only.
 * Invariants  I1  the two ends are kept, never a middle and a half-width: a fix is not symmetric about anything.
 *             I2  every division is rounded so that the interval gets wider.
 */
#ifndef MERIDIAN_TRUETIME_INTERVAL_H
#define MERIDIAN_TRUETIME_INTERVAL_H

#include "truetime/base/check.h"

/* Nanoseconds since the Unix epoch. */
typedef struct {
    int64_t earliest, latest;
} tt_interval;

#define TT_UNKNOWN ((tt_interval){INT64_MIN, INT64_MAX})

/* Times that a source may tell: 2001 to 2223. Sums with any age or bound stay far from the ends of int64_t. */
#define TT_TIME_MIN_NS INT64_C(1000000000000000000)
#define TT_TIME_MAX_NS INT64_C(8000000000000000000)

enum { TT_DRIFT_PPB_MAX = 1000000, TT_ROUNDING_NS = 2 };

/* False for TT_UNKNOWN, whose ends must not be calculated with. */
static inline bool tt_is_known(tt_interval iv) {
    return iv.earliest != INT64_MIN;
}

static inline int64_t tt_width(tt_interval iv) {
    return tt_is_known(iv) ? iv.latest - iv.earliest : INT64_MAX;
}

static inline int64_t tt_half_width(tt_interval iv) {
    return tt_is_known(iv) ? (iv.latest - iv.earliest + 1) / 2 : INT64_MAX;
}

/* By how much each side grows in raw_ns >= 0; it never grows faster than raw_ns does, so an aged earliest never goes back.
 * Up to 2^42 ns (73 minutes) 64 bits hold the product with the largest drift, and dividing them costs a fraction. */
static inline int64_t tt_growth(int64_t raw_ns, int64_t drift_ppb) {
    uint64_t ns = (uint64_t)raw_ns, ppb = (uint64_t)drift_ppb;
    if (UNLIKELY(ns >> 42))
        return (int64_t)((unsigned __int128)ns * ppb / 1000000000) + TT_ROUNDING_NS;
    return (int64_t)(ns * ppb / 1000000000) + TT_ROUNDING_NS;
}

/* What was inside iv is inside the result raw_ns >= 0 later. */
static inline tt_interval tt_aged(tt_interval iv, int64_t raw_ns, int64_t drift_ppb) {
    int64_t g = tt_growth(raw_ns, drift_ppb);
    return (tt_interval){iv.earliest + raw_ns - g, iv.latest + raw_ns + g};
}

static inline bool tt_disjoint(tt_interval a, tt_interval b) {
    return a.earliest > b.latest || b.earliest > a.latest;
}

/* How far apart two disjoint intervals are; 0 where they meet. */
static inline int64_t tt_distance(tt_interval a, tt_interval b) {
    return a.earliest > b.latest ? a.earliest - b.latest : b.earliest > a.latest ? b.earliest - a.latest : 0;
}

#endif
