/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c: bucket arithmetic and the text dump. */
#include "truetime/base/metric.h"

#include <stdio.h>

static unsigned bucket_of(uint64_t v) {
    if (v < HIST_SUB)
        return (unsigned)v;
    unsigned octave = 63 - (unsigned)__builtin_clzll(v);
    unsigned i = (octave - 1) * HIST_SUB + (unsigned)(v >> (octave - 2)) % HIST_SUB;
    return i < HIST_BUCKETS ? i : HIST_BUCKETS - 1;
}

/* The smallest value of bucket i. */
static uint64_t bucket_floor(unsigned i) {
    if (i < HIST_SUB)
        return i;
    if (i >= HIST_BUCKETS)
        return UINT64_MAX;
    unsigned octave = i / HIST_SUB + 1;
    return ((uint64_t)HIST_SUB + i % HIST_SUB) << (octave - 2);
}

void hist_add(struct hist *h, int64_t v) {
    uint64_t u = v > 0 ? (uint64_t)v : 0;
    _Atomic uint64_t *b = &h->bucket[bucket_of(u)];
    atomic_store_explicit(b, atomic_load_explicit(b, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&h->sum, atomic_load_explicit(&h->sum, memory_order_relaxed) + u, memory_order_relaxed);
    atomic_store_explicit(&h->count, atomic_load_explicit(&h->count, memory_order_relaxed) + 1, memory_order_relaxed);
}

static uint64_t bucket_get(const struct hist *h, unsigned i) {
    return atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
}

int64_t hist_quantile(const struct hist *h, double q) {
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        total += bucket_get(h, i);
    double rank = q * (double)total;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        uint64_t n = bucket_get(h, i);
        if (n && (double)(seen + n) >= rank) {
            double lo = (double)bucket_floor(i), hi = (double)bucket_floor(i + 1);
            double part = (rank - (double)seen) / (double)n;
            return (int64_t)(lo + (hi - lo) * (part < 0 ? 0 : part));
        }
        seen += n;
    }
    return 0;
}

void metrics_init(struct metrics *m, const char *labels) {
    m->first = NULL;
    m->last = &m->first;
    size_t n = strlen(labels);
    CHECK(n < sizeof m->labels);
    memcpy(m->labels, labels, n + 1);
}

void metrics_add(struct metrics *m, struct metric *entry) {
    entry->next = NULL;
    *m->last = entry;
    m->last = &entry->next;
}

static void dump_labels(struct buf *out, const char *a, const char *b, const char *le) {
    const char *sep = "";
    const char *all[] = {a, b, le};
    if (!a[0] && !b[0] && !le[0])
        return;
    buf_putc(out, '{');
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i][0]) {
            buf_printf(out, "%s%s", sep, all[i]);
            sep = ",";
        }
    buf_putc(out, '}');
}

static void dump_hist(struct buf *out, const struct metrics *m, const struct metric *e) {
    const struct hist *h = e->value;
    uint64_t total = 0, printed = UINT64_MAX;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        total += bucket_get(h, i);
        /* One line an octave, and only where the count changed: an empty histogram is one line. */
        if (i % HIST_SUB == HIST_SUB - 1 && total != printed && total > 0) {
            char le[48];
            snprintf(le, sizeof le, "le=\"%.9g\"", (double)bucket_floor(i + 1) / e->scale);
            buf_printf(out, "%s_bucket", e->name);
            dump_labels(out, m->labels, e->labels, le);
            buf_printf(out, " %llu\n", (unsigned long long)total);
            printed = total;
        }
    }
    buf_printf(out, "%s_bucket", e->name);
    dump_labels(out, m->labels, e->labels, "le=\"+Inf\"");
    buf_printf(out, " %llu\n%s_sum", (unsigned long long)total, e->name);
    dump_labels(out, m->labels, e->labels, "");
    buf_printf(out, " %.9g\n%s_count", (double)atomic_load_explicit(&h->sum, memory_order_relaxed) / e->scale, e->name);
    dump_labels(out, m->labels, e->labels, "");
    buf_printf(out, " %llu\n", (unsigned long long)total);
}

static void dump_one(struct buf *out, const struct metrics *m, const struct metric *e) {
    if (e->kind == METRIC_HIST) {
        dump_hist(out, m, e);
        return;
    }
    buf_puts(out, e->name);
    dump_labels(out, m->labels, e->labels, "");
    if (e->kind == METRIC_COUNTER && e->scale == 1)
        buf_printf(out, " %llu\n", (unsigned long long)counter_get(e->value));
    else if (e->kind == METRIC_COUNTER)
        buf_printf(out, " %.9g\n", (double)counter_get(e->value) / e->scale);
    else
        buf_printf(out, " %.15g\n", (double)gauge_get(e->value) / e->scale);
}

/* Whether a metric of this name stands before e: then it was printed with that one. */
static bool seen_before(const struct metrics *const *all, size_t count, const struct metric *e) {
    for (size_t i = 0; i < count; i++)
        for (const struct metric *o = all[i]->first; o; o = o->next) {
            if (o == e)
                return false;
            if (strcmp(o->name, e->name) == 0)
                return true;
        }
    return false;
}

void metrics_dump(const struct metrics *const *all, size_t count, struct buf *out) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    for (size_t i = 0; i < count; i++)
        for (const struct metric *e = all[i]->first; e; e = e->next) {
            if (seen_before(all, count, e))
                continue;
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", e->name, e->help, e->name, kinds[e->kind]);
            for (size_t j = 0; j < count; j++)
                for (const struct metric *o = all[j]->first; o; o = o->next)
                    if (strcmp(o->name, e->name) == 0)
                        dump_one(out, all[j], o);
        }
}
