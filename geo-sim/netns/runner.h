/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runner.h: plays a scenario's text on a world that is up: real processes, real sockets, clients over SQL (libpq), each with a
 * connection of its own to a node of its region.
 *
 * Promise     The same script, workload, checks and results as on the virtual back end (geo-sim/scenarios/play.h). Nothing of
 *             the world stays changed but what the script changed and did not repair; the table geo_rows is dropped again.
 * Relies on   world.h, cluster.h, script.h, work.h; nodes that speak SQL.
 * Threads     one for each client, one that looks at nodes, and the caller's, which does the steps; work.h behind a mutex.
 */
#ifndef MERIDIAN_GEO_RUNNER_H
#define MERIDIAN_GEO_RUNNER_H

#include "geo-sim/netns/cluster.h"
#include "geo-sim/scenarios/work.h"

/* An error: it could not be played. What was not as expected lies in ret's checks. seed: of what clients do. */
enum rc runner_play(const char *world, const struct script *script, uint64_t seed, struct results **ret,
                    struct topo **ret_topo, struct err *err) MUST_CHECK;

/* Until a SELECT 1 is answered in each region. RC_TIMEOUT. */
enum rc runner_await_sql(const struct geo_cluster *c, int wait_ms, struct err *err) MUST_CHECK;

#endif
