/* SPDX-License-Identifier: Apache-2.0 */
#include "geo-sim/scenarios/show_results.h"

#include <stdio.h>
#include <string.h>

#include "truetime/spec.h"

enum { WIDTH = 72, TEXT_BYTES = 32 };

static void show_latency(struct show *s, struct results *r) {
    show_head(s, "Latency, by region of the client");
    show_line(s, "  %-16s %-18s %7s %7s %10s %10s %10s", "REGION", "OPERATION", "COUNT", "FAILED", "MEDIAN", "95TH",
              "99TH");
    for (unsigned i = 0; i < r->topo->regions; i++)
        for (int op = 0; op < WORK_OPS; op++) {
            struct results_samples *x = &r->region[i].latency[op];
            char a[TEXT_BYTES], b[TEXT_BYTES], c[TEXT_BYTES];
            if (x->count + r->region[i].failed[op] == 0)
                continue;
            show_line(s, "  %-16s %-18s %7zu %7llu %10s %10s %10s", r->topo->region[i].name,
                      work_op_name((enum work_op)op), x->count, (unsigned long long)r->region[i].failed[op],
                      tt_duration_format(results_quantile(x, 0.5), a, sizeof a),
                      tt_duration_format(results_quantile(x, 0.95), b, sizeof b),
                      tt_duration_format(results_quantile(x, 0.99), c, sizeof c));
        }
}

/* A character for each share of the run: how many transactions succeeded then. */
static void show_timeline(struct show *s, const struct results *r) {
    static const char levels[] = " .:-=+*#";
    double sum[WIDTH] = {0}, max = 1;
    char line[WIDTH + 1];
    int64_t slots = (r->duration_ns + r->slot_ns - 1) / r->slot_ns;
    for (int64_t k = 0; k < slots && k < RESULTS_SLOTS_MAX; k++)
        for (unsigned i = 0; i < r->topo->regions; i++)
            sum[k * WIDTH / slots] += r->region[i].ok[k];
    for (int i = 0; i < WIDTH; i++)
        max = sum[i] > max ? sum[i] : max;
    for (int i = 0; i < WIDTH; i++)
        line[i] = levels[sum[i] <= 0 ? 0 : 1 + (int)(sum[i] / max * (sizeof levels - 3) + 0.5)];
    line[WIDTH] = '\0';
    show_head(s, "What happened");
    show_line(s, "  succeeded  |%s|", line);
    for (unsigned e = 0; e < r->events; e++) {
        const struct results_event *ev = &r->event[e];
        bool leads = strcmp(ev->kind, "leader") == 0;
        show_line(s, "  %7.2f s  %s%s", (double)ev->at_ns / 1e9, leads ? "leader: " : "", ev->text);
    }
    for (unsigned e = 0; e < r->errors; e++)
        show_line(s, "  clients were told %s %llu times", r->error[e].code, (unsigned long long)r->error[e].count);
}

void show_results(struct show *s, struct results *r) {
    show_title(s, r->title, "%s\ntopology %s, %u nodes, %u clients, %.0f s, back end %s", r->about, r->topology,
               r->nodes, r->clients, (double)r->duration_ns / 1e9, r->backend);
    show_latency(s, r);
    show_timeline(s, r);
    show_head(s, "What had to hold");
    for (unsigned i = 0; i < r->checks; i++)
        show_check(s, r->check[i].ok, "%s", r->check[i].text);
}
