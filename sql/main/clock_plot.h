/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock_plot.h: the width of the clock's interval over time, drawn.
 *
 * Promise     clock_plot_write makes one SVG file that stands alone (no script, no font, no link), readable on light and on
 *             dark: the half-width as a line over a time axis in seconds, a band below for the state, gaps where there was no
 *             interval, the median and the largest value named.
 * Threads     one at a time.
 */
#ifndef MERIDIAN_SQL_CLOCK_PLOT_H
#define MERIDIAN_SQL_CLOCK_PLOT_H

#include "truetime/clock.h"
#include "truetime/spec.h"

struct clock_point {
    int64_t at_ns;   /* since the first point */
    int64_t half_ns; /* INT64_MAX: no interval */
    enum tt_state state;
};

struct clock_plot {
    struct clock_point *points;
    size_t count, max;
    char title[160], subtitle[192];
};

enum rc clock_plot_init(struct clock_plot *p, size_t max) MUST_CHECK;
void clock_plot_done(struct clock_plot *p);
void clock_plot_add(struct clock_plot *p, struct clock_point point); /* beyond max: every second one is dropped */
enum rc clock_plot_write(const struct clock_plot *p, const char *path, struct err *err) MUST_CHECK;

#endif
