/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show_results.h: results on a terminal: latencies, who led when, checks. (report.h makes the page.)
 *
 * Threads     as show.h.
 */
#ifndef MERIDIAN_GEO_SHOW_RESULTS_H
#define MERIDIAN_GEO_SHOW_RESULTS_H

#include "geo-sim/report/results.h"
#include "geo-sim/scenarios/show.h"

void show_results(struct show *s, struct results *r);

#endif
