/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h: what time is it, at the earliest and at the latest?
 *
 *     tt_interval now = tt_now(&clock);       true time was inside at some instant during the call
 *     tt_after(&clock, ts)                    ts has surely passed       (ts < earliest)
 *     tt_before(&clock, ts)                   ts has surely not come yet (ts > latest)
 *
 * A clock that cannot vouch for a bound returns TT_UNKNOWN, {INT64_MIN, INT64_MAX}: it knows nothing, which is true, and after
 * and before are then both false. Ask tt_is_known before calculating with the ends. tt_status tells why, for people.
 *
 * Promise     K1  containment: while the clock's assumptions hold (docs/truetime.md names them for each source), every known
 *                 interval contains true time.
 *             K2  neither end of known intervals ever goes backwards on this machine, from whatever process and poller
 *                 they come (C-3).
 *             K3  a clock fault degrades: the interval widens, then becomes unknown; it is never guessed.
 *             Cost: a vDSO clock read and some loads; no lock, no system call, no shared write.
 * Relies on   a page (page.h) that a poller (poller.h) of this or another process publishes.
 * Threads     one struct tt_clock a thread; any number of them on one page.
 * Stale       (C-1) An interval is about the moment of the call. A kept earliest is only too small: safe wherever a lower
 *             bound is wanted (lease requests, commit wait). A kept latest is unsafe as a start timestamp, as the end of a
 *             vote or to see whether a lease still runs: call tt_now again, after what you answer has been read.
 * Source      Corbett et al., "Spanner: Google's globally distributed database", OSDI 2012, section 3.
 */
#ifndef MERIDIAN_TRUETIME_CLOCK_H
#define MERIDIAN_TRUETIME_CLOCK_H

#include "truetime/page.h"

struct tt_clock {
    struct env *env;
    const struct tt_page *page;
    struct env_page *mapped; /* where we mapped it ourselves */
    uint64_t boot;
    struct counter refusals; /* reads that gave TT_UNKNOWN */
    struct metric refusals_metric;
};

/* A poller's page in this process; page outlives the clock. RC_IO: no boot id. */
enum rc tt_clock_init(struct tt_clock *c, struct env *env, const struct tt_page *page, struct err *err) MUST_CHECK;
/* The page that `meridian clock daemon` writes at path. RC_NOTFOUND: no daemon ever ran; RC_CORRUPT: no clock page. */
enum rc tt_clock_map(struct tt_clock *c, struct env *env, const char *path, struct err *err) MUST_CHECK;
void tt_clock_done(struct tt_clock *c);
/* Shows the clock's counters in its env's metrics; the clock must outlive their last dump. */
void tt_clock_metrics(struct tt_clock *c);

tt_interval tt_now(struct tt_clock *c);

static inline bool tt_after(struct tt_clock *c, int64_t ts) {
    return ts < tt_now(c).earliest;
}

static inline bool tt_before(struct tt_clock *c, int64_t ts) {
    return ts > tt_now(c).latest;
}

struct tt_status {
    enum tt_state state; /* as a reader must see it: UNSYNCED too where the poller is dead or stopped */
    enum tt_refusal refusal;
    tt_interval now;
    int64_t half_width_ns; /* INT64_MAX when unknown */
    int64_t fix_half_ns;   /* of it: what the sources and their combination gave */
    int64_t growth_ns;     /* of it: drift bound x age of the fix */
    int64_t fix_age_ns;    /* since the fix; -1: there was none */
    uint64_t epoch;        /* how many pollers the page has had */
    char reason[TT_REASON_BYTES];
    int64_t raw; /* now on the raw clock: age of a source's sample = raw - sampled_raw */
    struct tt_info info;
};

/* Costs a few microseconds: for displays. */
void tt_status(struct tt_clock *c, struct tt_status *ret);
/* The age of a source's sample, ns; -1 = none yet. */
static inline int64_t tt_status_age(const struct tt_status *s, const struct tt_source_report *source) {
    return source->sampled_raw ? s->raw - source->sampled_raw : -1;
}

#endif
