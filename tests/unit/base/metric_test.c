/* SPDX-License-Identifier: Apache-2.0 */
#include "truetime/base/metric.h"

#include <stdlib.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

/* A quantile is within a bucket's width (25 %) of the true one. */
static void quantiles_are_close(void) {
    struct hist *h = calloc(1, sizeof *h);
    struct rng rng;
    rng_init(&rng, 3);
    for (int i = 0; i < 100000; i++)
        hist_add(h, rng_range(&rng, 0, 1000000));
    const double qs[] = {0.1, 0.5, 0.9, 0.99};
    for (size_t i = 0; i < ARRAY_LEN(qs); i++) {
        double want = qs[i] * 1e6, got = (double)hist_quantile(h, qs[i]);
        OKF(got > want * 0.8 && got < want * 1.25, "q%.2f is %.0f, wanted about %.0f", qs[i], got, want);
    }
    free(h);
}

static void extremes_are_counted(void) {
    struct hist *h = calloc(1, sizeof *h);
    EQ_INT(hist_quantile(h, 0.5), 0);
    hist_add(h, -5);
    EQ_INT(hist_quantile(h, 0.5), 0);
    hist_add(h, INT64_MAX);
    hist_add(h, INT64_MAX);
    OK(hist_quantile(h, 0.9) > INT64_MAX / 4 * 3 || hist_quantile(h, 0.9) < 0);
    EQ_INT(atomic_load(&h->count), 3);
    free(h);
}

/* Two stores with the same metric: one HELP, two samples. */
static void dump_is_prometheus_text(void) {
    struct metrics a, b;
    struct counter ca = {0}, cb = {0};
    struct gauge g = {0};
    struct hist *h = calloc(1, sizeof *h);
    struct metric ma = {"m_total", "Things.", "", METRIC_COUNTER, 1, &ca, NULL};
    struct metric mb = {"m_total", "Things.", "kind=\"x\"", METRIC_COUNTER, 1, &cb, NULL};
    struct metric mg = {"m_now", "Now.", "", METRIC_GAUGE, 1000, &g, NULL};
    struct metric mh = {"m_seconds", "Time.", "", METRIC_HIST, 1e9, h, NULL};
    struct buf out;
    metrics_init(&a, "store=\"0\"");
    metrics_init(&b, "store=\"1\"");
    metrics_add(&a, &ma);
    metrics_add(&a, &mg);
    metrics_add(&b, &mb);
    metrics_add(&b, &mh);
    counter_add(&ca, 2);
    counter_inc(&cb);
    gauge_set(&g, -1500);
    hist_add(h, 1000000000);
    buf_init(&out, 0);
    const struct metrics *all[] = {&a, &b};
    metrics_dump(all, 2, &out);
    EQ_STR(buf_cstr(&out), "# HELP m_total Things.\n# TYPE m_total counter\n"
                           "m_total{store=\"0\"} 2\nm_total{store=\"1\",kind=\"x\"} 1\n"
                           "# HELP m_now Now.\n# TYPE m_now gauge\nm_now{store=\"0\"} -1.5\n"
                           "# HELP m_seconds Time.\n# TYPE m_seconds histogram\n"
                           "m_seconds_bucket{store=\"1\",le=\"1.07374182\"} 1\n"
                           "m_seconds_bucket{store=\"1\",le=\"+Inf\"} 1\n"
                           "m_seconds_sum{store=\"1\"} 1\nm_seconds_count{store=\"1\"} 1\n");
    buf_done(&out);
    free(h);
}

int main(void) {
    RUN(quantiles_are_close);
    RUN(extremes_are_counted);
    RUN(dump_is_prometheus_text);
    return tap_done();
}
