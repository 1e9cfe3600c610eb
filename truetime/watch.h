/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h: what CLOCK_REALTIME did, seen from CLOCK_MONOTONIC_RAW.
 *
 * Most sources tell the time by a stamp of CLOCK_REALTIME ("when your clock said R, true time was C"), but that clock is slewed
 * by a time daemon, set by `date -s`, and jumps when the machine wakes. The watch looks at (REAL - RAW) again and again and
 * remembers; a stamp is then carried over to the raw clock with the whole range that the offset had since.
 *
 * Promise     tt_watch_span gives a range that holds REAL - RAW at every look since the stamp, or says that it cannot: the
 *             stamp is older than the watch, or from before a step, or from the future. A step is a change larger than any
 *             slewing makes; a smaller one only widens the range.
 * Relies on   env. BOOT - MONO grows only while the machine sleeps (both are slewed alike).
 * Threads     one.
 */
#ifndef MERIDIAN_TRUETIME_WATCH_H
#define MERIDIAN_TRUETIME_WATCH_H

#include "truetime/base/env.h"

enum { TT_LOOKS = 128 };

/* One look: REAL - RAW was in [off_min, off_max] somewhere between raw_before and raw. */
struct tt_moment {
    int64_t raw_before, raw; /* RAW right before and right after */
    int64_t real;            /* REAL in between */
    int64_t off_min, off_max;
    int64_t slept_min, slept_max; /* BOOT - MONO is between these */
    bool sharp;                   /* raw - raw_before is short enough to be used */
};

enum tt_watched {
    TT_WATCHED,   /* nothing special */
    TT_BLURRED,   /* the look was interrupted for too long: nothing learnt */
    TT_STEPPED,   /* REAL jumped: what was stamped before is worthless */
    TT_SUSPENDED, /* the machine slept: RAW stood still meanwhile, everything measured before is worthless */
};

struct tt_watch {
    struct tt_moment looks[TT_LOOKS]; /* a ring */
    unsigned next, count;
    int64_t stamps_from; /* stamps of REAL before this are refused */
    bool begun;
};

/* Two reads of RAW around one of REAL; tries again, a few times, until nothing got between them. */
void tt_moment_now(struct env *env, struct tt_moment *ret);

void tt_watch_init(struct tt_watch *w);
/* ret_now: the moment of this look. ret_by_ns: how far the step or the sleep went. */
enum tt_watched tt_watch_look(struct tt_watch *w, struct env *env, struct tt_moment *ret_now, int64_t *ret_by_ns);
/* The range of REAL - RAW from stamp real_ns until the last look; now_real: that look's. False with a reason. */
bool tt_watch_span(const struct tt_watch *w, int64_t real_ns, int64_t *ret_off_min, int64_t *ret_off_max,
                   const char **ret_why);

#endif
