/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttwait.h: commit wait for fibers.
 *
 * Promise     tt_wait_until_after returns RC_OK only when ts has surely passed on this node's clock (ts < earliest), so a
 *             commit that is told to anybody afterwards has a timestamp in everybody's past. It sleeps until about that
 *             moment, looks again, and sleeps on if it must; a clock that knows no time is waited for, within the deadline.
 * Relies on   truetime/clock.h; the reactor's timers, which follow another clock than the interval does: hence the second
 *             look.
 * Threads     the reactor's own; only on fibers.
 */
#ifndef MERIDIAN_RUNTIME_TTWAIT_H
#define MERIDIAN_RUNTIME_TTWAIT_H

#include "shard/runtime/fiber.h"
#include "truetime/clock.h"

/* RC_TIMEOUT: the deadline came first (with the clock unsynchronised: RC_UNSYNCED); RC_CANCELLED. */
enum rc tt_wait_until_after(struct reactor *r, struct tt_clock *clock, int64_t ts, int64_t deadline) WAITS MUST_CHECK;
/* Until the clock knows an interval, whatever it is: at start, and after a fault. RC_UNSYNCED: not by the deadline. */
enum rc tt_wait_synced(struct reactor *r, struct tt_clock *clock, int64_t deadline) WAITS MUST_CHECK;

#endif
