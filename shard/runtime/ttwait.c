/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttwait.c: sleeps to the estimated moment.
 *
 * Earliest advances by (1 - drift) of the raw clock until the next fix, which mostly moves it on; so the estimate is the
 * difference and a little more, and rarely is a second sleep needed. While the clock knows nothing there is nothing to
 * estimate: its page can change once a tick, so it is looked at as often.
 */
#include "shard/runtime/ttwait.h"

#include "shard/runtime/wait.h"

static const int64_t RECHECK_NS = 25000000;     /* a poller's tick */
static const int64_t SLEEP_MAX_NS = 1000000000; /* a fix in between may have moved earliest on */

/* How long until earliest passes ts, at the slowest drift that is bounded (TT_DRIFT_PPB_MAX = 0.1 %). */
static int64_t estimate(tt_interval now, int64_t ts) {
    int64_t left = ts - now.earliest + 1;
    return left < SLEEP_MAX_NS ? left + left / 4096 + 1000 : SLEEP_MAX_NS;
}

/* Sleeps, not beyond the deadline. RC_TIMEOUT: it is there. */
static enum rc sleep_for(struct reactor *r, int64_t ns, int64_t deadline) {
    int64_t now = reactor_now(r);
    if (now >= deadline)
        return RC_TIMEOUT;
    return fiber_sleep_until(r, deadline - now < ns ? deadline : now + ns);
}

enum rc tt_wait_until_after(struct reactor *r, struct tt_clock *clock, int64_t ts, int64_t deadline) {
    for (;;) {
        tt_interval now = tt_now(clock);
        bool known = tt_is_known(now);
        if (known && ts < now.earliest)
            return RC_OK;
        enum rc rc = sleep_for(r, known ? estimate(now, ts) : RECHECK_NS, deadline);
        if (rc)
            return rc == RC_TIMEOUT && !known ? RC_UNSYNCED : rc;
    }
}

enum rc tt_wait_synced(struct reactor *r, struct tt_clock *clock, int64_t deadline) {
    while (!tt_is_known(tt_now(clock))) {
        enum rc rc = sleep_for(r, RECHECK_NS, deadline);
        if (rc)
            return rc == RC_TIMEOUT ? RC_UNSYNCED : rc;
    }
    return RC_OK;
}
