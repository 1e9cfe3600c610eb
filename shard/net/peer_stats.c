/* SPDX-License-Identifier: Apache-2.0 */
/* peer_stats.c: the counters of peer.h under their names. */
#include <stdlib.h>

#include "shard/net/peer_internal.h"

enum rc peers_metrics_init(struct peers *ps) {
    const struct peers_stats *s = &ps->stats;
    const struct metric list[] = {
        {"meridian_net_frames_total", "Frames by direction.", "dir=\"in\"", METRIC_COUNTER, 1, &s->frames_in, NULL},
        {"meridian_net_frames_total", "Frames by direction.", "dir=\"out\"", METRIC_COUNTER, 1, &s->frames_out, NULL},
        {"meridian_net_bytes_total", "Bytes by direction.", "dir=\"in\"", METRIC_COUNTER, 1, &s->bytes_in, NULL},
        {"meridian_net_bytes_total", "Bytes by direction.", "dir=\"out\"", METRIC_COUNTER, 1, &s->bytes_out, NULL},
        {"meridian_net_calls_total", "Reads and writes of streams.", "op=\"read\"", METRIC_COUNTER, 1, &s->reads, NULL},
        {"meridian_net_calls_total", "Reads and writes of streams.", "op=\"write\"", METRIC_COUNTER, 1, &s->writes,
         NULL},
        {"meridian_net_connections", "Connections open or opening.", "", METRIC_GAUGE, 1, &s->conns, NULL},
        {"meridian_net_queue_bytes", "Bytes that wait to be sent.", "", METRIC_GAUGE, 1, &s->queue_bytes, NULL},
        {"meridian_net_dials_total", "Attempts to connect.", "", METRIC_COUNTER, 1, &s->dials, NULL},
        {"meridian_net_dial_failures_total", "Attempts that failed.", "", METRIC_COUNTER, 1, &s->dial_failures, NULL},
        {"meridian_net_accepts_total", "Connections accepted.", "", METRIC_COUNTER, 1, &s->accepts, NULL},
        {"meridian_net_lost_total", "Good connections that broke.", "", METRIC_COUNTER, 1, &s->lost, NULL},
        {"meridian_net_silent_total", "Connections given up for silence.", "", METRIC_COUNTER, 1, &s->silent, NULL},
        {"meridian_net_retired_total", "Second connections closed in good order.", "", METRIC_COUNTER, 1, &s->retired,
         NULL},
        {"meridian_net_overloads_total", "Frames refused because a queue was full.", "", METRIC_COUNTER, 1,
         &s->overloads, NULL},
        {"meridian_net_dropped_total", "One-way frames dropped for want of a connection.", "", METRIC_COUNTER, 1,
         &s->dropped, NULL},
#define REFUSED(reason, i)                                                                                             \
    {"meridian_net_refused_total",                                                                                     \
     "Connections and datagrams refused by reason.",                                                                   \
     "reason=\"" reason "\"",                                                                                          \
     METRIC_COUNTER,                                                                                                   \
     1,                                                                                                                \
     &s->refused[i],                                                                                                   \
     NULL}
        REFUSED("malformed", REFUSED_MALFORMED),
        REFUSED("oversize", REFUSED_OVERSIZE),
        REFUSED("checksum", REFUSED_CRC),
        REFUSED("preamble", REFUSED_PREAMBLE),
        REFUSED("hello", REFUSED_HELLO),
        REFUSED("cluster", REFUSED_CLUSTER),
        REFUSED("limit", REFUSED_LIMIT),
#undef REFUSED
    };
    ps->metrics = calloc(ARRAY_LEN(list), sizeof *ps->metrics);
    if (!ps->metrics)
        return RC_NOMEM;
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        ps->metrics[i] = list[i];
        metrics_add(&ps->env->metrics, &ps->metrics[i]);
    }
    return RC_OK;
}
