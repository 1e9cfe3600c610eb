/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric.h: counters, gauges and histograms of one store, dumped as Prometheus text.
 *
 * Promise     Counting is a relaxed load and store, no lock and no allocation. A dump may run on another thread meanwhile:
 *             each value is whole, a histogram's parts may be a few events apart.
 * Relies on   each metric being written by one thread (the store's own).
 * Threads     write: the owner; metrics_dump: any, while the registry lives.
 * Source      Prometheus text exposition format 0.0.4.
 *
 * Histograms are log-linear: 4 buckets an octave from 1 to 2^62, so a bucket is at most 25 % wide; metrics_dump prints the
 * octaves, hist_quantile interpolates in the quarter.
 */
#ifndef MERIDIAN_BASE_METRIC_H
#define MERIDIAN_BASE_METRIC_H

#include <stdatomic.h>

#include "truetime/base/buf.h"

enum { HIST_SUB = 4, HIST_OCTAVES = 63, HIST_BUCKETS = HIST_OCTAVES * HIST_SUB };

struct counter {
    _Atomic uint64_t v;
};

struct gauge {
    _Atomic int64_t v;
};

struct hist {
    _Atomic uint64_t count, sum;
    _Atomic uint64_t bucket[HIST_BUCKETS];
};

static inline void counter_add(struct counter *c, uint64_t n) {
    atomic_store_explicit(&c->v, atomic_load_explicit(&c->v, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void counter_inc(struct counter *c) {
    counter_add(c, 1);
}

static inline uint64_t counter_get(const struct counter *c) {
    return atomic_load_explicit(&c->v, memory_order_relaxed);
}

static inline void gauge_set(struct gauge *g, int64_t v) {
    atomic_store_explicit(&g->v, v, memory_order_relaxed);
}

static inline void gauge_add(struct gauge *g, int64_t n) {
    gauge_set(g, atomic_load_explicit(&g->v, memory_order_relaxed) + n);
}

static inline int64_t gauge_get(const struct gauge *g) {
    return atomic_load_explicit(&g->v, memory_order_relaxed);
}

/* Negative values count as 0. */
void hist_add(struct hist *h, int64_t v);
/* The value below which the fraction q of all lies, by linear interpolation in its bucket; 0 for an empty histogram. */
int64_t hist_quantile(const struct hist *h, double q);

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HIST };

/* One entry: where the value lives and how to show it. scale: what the stored number is divided by (1e9: ns as seconds). */
struct metric {
    const char *name;   /* "meridian_rpc_requests_total" */
    const char *help;   /* one sentence */
    const char *labels; /* "kind=\"append\"" or "" */
    enum metric_kind kind;
    double scale;
    const void *value; /* struct counter, gauge or hist */
    struct metric *next;
};

struct metrics {
    struct metric *first, **last;
    char labels[64]; /* of all of them: store="0" */
};

void metrics_init(struct metrics *m, const char *labels);
/* Links an entry; it and the value must outlive the registry's last dump. Before other threads dump. */
void metrics_add(struct metrics *m, struct metric *entry);
/* Prometheus text of several registries (the stores of a node), the entries of one name together under one HELP. */
void metrics_dump(const struct metrics *const *all, size_t count, struct buf *out);

#endif
