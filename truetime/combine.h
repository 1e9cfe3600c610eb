/* SPDX-License-Identifier: Apache-2.0 */
/*
 * combine.h: one interval out of n time masters, of which up to f lie.
 *
 * Promise     Let m of the n configured masters have spoken. If at most f of them are wrong, true time is in the result: it is
 *             in the intervals of the honest ones, at least m - f, so it lies between the first and the last point that m - f
 *             intervals cover; the result is the hull of those points. With fewer than n - f speakers there is no result. When
 *             all speak this is the n - f hull; when some are silent the hull is wider, never wrong. (To go on asking for
 *             n - f would be narrower, and count a silent master among the f: one dead and one that lies a little, of three,
 *             would then be a wrong answer without a sign of it.)
 * Relies on   nothing: a pure function; chaos only switches the rule off in tests ("combine-max-overlap").
 * Threads     any.
 * Source      Marzullo and Owicki, "Maintaining the time in a distributed system", 1983. The popular form that takes the
 *             points of *largest* overlap is narrower and wrong: with three masters it misses true time in up to 46 % of
 *             trials when one of them lies by no more than its own bound. combine_test measures both.
 */
#ifndef MERIDIAN_TRUETIME_COMBINE_H
#define MERIDIAN_TRUETIME_COMBINE_H

#include "truetime/base/chaos.h"
#include "truetime/interval.h"

enum { TT_SOURCES_MAX = 16 };

enum tt_combined {
    TT_COMBINED,  /* *ret_fix holds true time */
    TT_NO_QUORUM, /* fewer than n - f have spoken */
    TT_DISAGREE,  /* no point is in all but f of their intervals: more than f lie, though we cannot tell which */
};

/* iv: the intervals of the `count` that have spoken, all of one instant; n >= count: masters configured; f < n.
 * ret_outside, where not NULL, gets for each interval whether it misses the result: a falseticker. */
enum tt_combined tt_combine(const tt_interval *iv, unsigned count, unsigned n, unsigned f, struct chaos *chaos,
                            tt_interval *ret_fix, bool *ret_outside) MUST_CHECK;

#endif
