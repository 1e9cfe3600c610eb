/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env_real_skew.h: system clocks that are off, for nodes of a simulated world on one machine: env_real adds what a small shared file
 * says to CLOCK_REALTIME (an offset, and what an oscillator has drifted) and to CLOCK_MONOTONIC_RAW (the drift alone). All
 * processes of a region map the same file, so they agree as those of one machine do; whoever started them changes it while they run.
 *
 *     RAW  = the kernel's + drift          REALTIME = the kernel's + drift + offset          MONOTONIC, BOOTTIME: the kernel's
 *
 * Promise     A reader sees the values of one change, never a mixture. A change of the rate bends the clocks, it does not move them.
 * Threads     readers: any. Writers: one at a time.
 */
#ifndef MERIDIAN_RUNTIME_ENV_REAL_SKEW_H
#define MERIDIAN_RUNTIME_ENV_REAL_SKEW_H

#include "truetime/base/err.h"

struct skew_page;

/* An existing file, for reading. */
enum rc skew_open(const char *path, const struct skew_page **ret, struct err *err) MUST_CHECK;
void skew_close(const struct skew_page *p); /* NULL is fine */
/* How far the clocks are off at this moment. */
void skew_now(const struct skew_page *p, int64_t *ret_drift_ns, int64_t *ret_offset_ns);

/* Makes the file where it is missing, and changes what is not NULL: how far REALTIME is off from now on, drift included; how fast
 * the oscillator goes. */
enum rc skew_set(const char *path, const int64_t *real_off_ns, const int64_t *rate_ppb, struct err *err) MUST_CHECK;

#endif
