/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h: one HTML page of a results file: a map, round trips, latencies, where the time went, clocks, and what happened when.
 *
 * Promise     The page is one file that needs nothing else: inline SVG and CSS, no script, no font, no network. Each chart is a
 *             group with a name: map, timeline, latency, causes, clock, rtt. What was not measured says so instead of a chart.
 *             Texts of the results are escaped.
 * Relies on   json.h; the members that results.h writes.
 * Threads     any, one at a time.
 */
#ifndef MERIDIAN_GEO_REPORT_H
#define MERIDIAN_GEO_REPORT_H

#include "geo-sim/report/json.h"

/* RC_INVAL: it is no results file. */
enum rc report_html(const struct json *results, struct buf *out, struct err *err) MUST_CHECK;
/* The map alone, as an SVG file. */
enum rc report_map_svg(const struct json *results, struct buf *out, struct err *err) MUST_CHECK;

#endif
