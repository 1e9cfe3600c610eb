/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poller.h: asks the sources, combines what they say, checks it against what was believed before, and publishes it.
 *
 *     sources --readings--> combine (n - f) --fix--> check --> page --> tt_now in any thread or process
 *
 *                          a fix, checked                     a fix that cannot be true together with
 *        .----------> SYNC (ASSUMED with `fixed`) ------.     the last one or the anchor
 *        |                |  ^                          |
 *        |   no fix this  |  | a fix                    v
 *     UNSYNCED    round   v  |                        FAULT <--- from any state
 *        ^ ^           HOLDOVER ----------------------> |
 *        | |              |  grown past eps_max,        |  fixes that agree with each other for 20 s
 *        | '--------------'  or the sources disagree    |  and do not make time go backwards
 *        '----- the machine slept (any but FAULT)       '---> SYNC
 *
 * Promise     B1  a fresh fix replaces the one before, it is never intersected with it: that would turn a broken assumption
 *                 into a narrow wrong interval. The old one, grown by the drift bound, and an anchor of up to 20 s only check
 *                 the new: disjoint means that something is false, and the state is FAULT.
 *             B2  FAULT ends by itself only after fixes have agreed with each other for 20 s, and only when the new interval
 *                 lies above everything that readers were ever told.
 *             B3  no fix (fewer than n - f fresh sources): the old one goes on, growing, until eps_max. Sources that are there
 *                 and contradict each other (no point in n - f of them): UNSYNCED at once, because more than f lie now and
 *                 may have lied in the fix that we hold.
 *             B4  a step of CLOCK_REALTIME drops the samples of that round; a sleep of the machine drops everything.
 *             B5  within 2 s of the end of June and December (UTC), where a leap second may be, samples of sources that
 *                 follow UTC are not used.
 * Relies on   env: timers and callbacks only; it lies below the fibers.
 * Threads     its env's. Readers of its page: any.
 * Metrics     meridian_clock_*: half-width histogram (at each round), rounds, state and its changes, rounds without quorum,
 *             disagreements, conflicts, steps, sleeps. Each change of state is one diagnostic line with the reason and the
 *             sources' own figures.
 */
#ifndef MERIDIAN_TRUETIME_POLLER_H
#define MERIDIAN_TRUETIME_POLLER_H

#include "truetime/clock.h"
#include "truetime/source.h"

struct tt_poller;

struct tt_poller_conf {
    struct tt_spec spec;
    const char *page_path;         /* the page lies in this file, for other processes; NULL: in memory */
    struct tt_source_conf sources; /* for host */
};

struct tt_poller_stats {
    struct hist half_width_ns; /* of what a reader gets right after each round; unknown ones are not counted */
    struct counter polls, rounds, no_quorum, disagreements, conflicts, steps, suspends, state_changes;
    struct gauge state;
};

/* Begins to poll. RC_BUSY: another poller writes page_path. Sources that cannot be reached are no error: they may come. */
enum rc tt_poller_new(struct env *env, const struct tt_poller_conf *conf, struct tt_poller **ret,
                      struct err *err) MUST_CHECK;
/* The page stays as it is, and readers give up void_after the last poll. With a page in memory no reader may be left. */
void tt_poller_free(struct tt_poller *p);

const struct tt_page *tt_poller_page(const struct tt_poller *p);
const struct tt_poller_stats *tt_poller_stats(const struct tt_poller *p);
/* A source's object, for what only its kind can tell (tt_chrony_list, tt_source_host_scale); index as in the SPEC. */
const struct tt_source *tt_poller_source(const struct tt_poller *p, unsigned index);
/* The scale's name, see TT_SCALE_BYTES. */
void tt_poller_scale(const struct tt_poller *p, char ret[TT_SCALE_BYTES]);
/* fn is called after each round; it must not free the poller. */
void tt_poller_on_round(struct tt_poller *p, void (*fn)(void *ctx), void *ctx);
/* Puts the poller's figures among its env's metrics; the poller must outlive their last dump. */
void tt_poller_metrics(struct tt_poller *p);

#endif
