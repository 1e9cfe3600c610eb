/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.h: how a benchmark measures and says so.
 *
 * Promise     Figures are medians of BENCH_RUNS runs; what a figure is compared with is measured in the same process, its
 *             runs interleaved with ours, so that a noisy machine spoils both alike. A line reads:
 *
 *                 rpc: round trip                 28.1 us   epoll ping-pong 21.3 us   ratio 1.32   wanted <= 1.50   met
 *
 * Nothing here passes or fails.
 */
#ifndef MERIDIAN_TESTS_BENCH_H
#define MERIDIAN_TESTS_BENCH_H

#include "truetime/base/check.h"

enum { BENCH_RUNS = 5 };

struct bench_figure {
    double run[BENCH_RUNS];
};

int64_t bench_now_ns(void);    /* CLOCK_MONOTONIC */
int64_t bench_cpu_ns(void);    /* of this process */
int64_t bench_rss_bytes(void); /* touched memory of this process */
double bench_median(const struct bench_figure *f);

enum bench_want { BENCH_SHOW, BENCH_AT_MOST, BENCH_AT_LEAST };

/* A figure alone; limit is in its own unit. */
void bench_report(const char *name, const struct bench_figure *f, const char *unit, enum bench_want want, double limit);
/* A figure and what it is compared with; limit is of the ratio f / ref. */
void bench_compare(const char *name, const struct bench_figure *f, const char *unit, const char *ref_name,
                   const struct bench_figure *ref, enum bench_want want, double limit);
void bench_note(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
