/* SPDX-License-Identifier: Apache-2.0 */
/*
 * results.h: what a run of a scenario measured, on either back end: filled while it runs, written as one JSON text, of which
 * report.h makes a page.
 *
 * Promise     results_json writes the same members whatever the back end (docs/geo-sim.md lists them); what was not measured is
 *             absent there, never a made-up zero.
 * Relies on   the topology.
 * Threads     one at a time.
 * Limits      below; what goes beyond is counted in `dropped`.
 */
#ifndef MERIDIAN_GEO_RESULTS_H
#define MERIDIAN_GEO_RESULTS_H

#include "geo-sim/topology/topo.h"

enum {
    RESULTS_TEXT_BYTES = 512,
    RESULTS_SLOTS_MAX = 2400,
    RESULTS_EVENTS_MAX = 256,
    RESULTS_CHECKS_MAX = 32,
    RESULTS_ERRORS_MAX = 32,
    RESULTS_CAUSES_MAX = 12
};

enum work_op {
    WORK_WRITE,    /* one row, blindly */
    WORK_READ,     /* one row, strongly */
    WORK_STALE,    /* one row, as it was some time ago: from the nearest replica */
    WORK_RMW,      /* one row read, and written */
    WORK_TRANSFER, /* two rows read, and written */
    WORK_OPS
};
const char *work_op_name(enum work_op op); /* "write" */

struct results_samples {
    int64_t *ns;
    size_t count, cap;
};

struct results_event {
    int64_t at_ns;
    char kind[12]; /* "fault", "repair", "lost", "leader" */
    char text[100];
};

struct results_check {
    bool ok;
    char text[RESULTS_TEXT_BYTES];
};

struct results_region {
    struct results_samples latency[WORK_OPS]; /* of those that succeeded */
    uint64_t failed[WORK_OPS];
    int64_t cause_ns[WORK_OPS][RESULTS_CAUSES_MAX];
    uint64_t caused[WORK_OPS]; /* how many of them are in it */
    uint32_t ok[RESULTS_SLOTS_MAX], bad[RESULTS_SLOTS_MAX];
    struct results_samples clock_half;         /* half-widths of intervals */
    int64_t clock_worst[RESULTS_SLOTS_MAX];    /* of the slot; 0 = not known */
    uint32_t clock_unknown[RESULTS_SLOTS_MAX]; /* looks at which a clock could not tell */
};

struct results {
    char scenario[32], title[100], about[RESULTS_TEXT_BYTES], backend[40], note[RESULTS_TEXT_BYTES], topology[32],
        version[32];
    uint64_t seed;
    bool has_seed, aborted;
    int64_t duration_ns, slot_ns;
    double wall_s;
    unsigned nodes, clients;
    const struct topo *topo;            /* borrowed */
    char cause[RESULTS_CAUSES_MAX][24]; /* names */
    unsigned causes;
    struct results_region region[TOPO_REGIONS_MAX];
    int64_t rtt_ns[TOPO_PLACES_MAX][TOPO_PLACES_MAX]; /* measured medians; 0 = not known */
    struct results_event event[RESULTS_EVENTS_MAX];
    unsigned events;
    struct results_check check[RESULTS_CHECKS_MAX];
    unsigned checks, failed;
    struct {
        char code[40];
        uint64_t count;
    } error[RESULTS_ERRORS_MAX];
    unsigned errors;
    int64_t gap_ns, gap_from_ns; /* the longest time without a write that succeeded */
    uint64_t transactions, dropped;
};

enum rc results_new(const struct topo *topo, int64_t duration_ns, struct results **ret) MUST_CHECK;
void results_free(struct results *r); /* NULL is fine */

/* An operation of a client that ended; cause_ns may be NULL. */
void results_ok(struct results *r, unsigned region, enum work_op op, int64_t end_ns, int64_t took_ns,
                const int64_t *cause_ns);
void results_bad(struct results *r, unsigned region, enum work_op op, int64_t end_ns, const char *code);
/* half_ns < 0: the clock could not tell. */
void results_clock(struct results *r, unsigned region, int64_t at_ns, int64_t half_ns);
void results_event(struct results *r, int64_t at_ns, const char *kind, const char *fmt, ...) PRINTF_LIKE(4, 5);
void results_check(struct results *r, bool ok, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The q-th quantile (0 to 1) of samples, which are sorted here; 0 if there are none. */
int64_t results_quantile(struct results_samples *s, double q);
void results_json(struct results *r, struct buf *out);

#endif
