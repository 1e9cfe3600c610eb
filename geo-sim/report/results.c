/* SPDX-License-Identifier: Apache-2.0 */
/* results.c: counting, sorting, and the JSON text. */
#include "geo-sim/report/results.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/report/json.h"

enum { SLOTS_WANTED = 200, SAMPLES_MAX = 1 << 20 };
static const int64_t SLOT_NS_MIN = 100000000;

const char *work_op_name(enum work_op op) {
    static const char *const names[WORK_OPS] = {"write", "read", "stale read", "read-modify-write", "transfer"};
    return op < WORK_OPS ? names[op] : "?";
}

enum rc results_new(const struct topo *topo, int64_t duration_ns, struct results **ret) {
    struct results *r = calloc(1, sizeof *r);
    if (!r)
        return RC_NOMEM;
    r->topo = topo;
    r->duration_ns = duration_ns;
    r->slot_ns = duration_ns / SLOTS_WANTED / SLOT_NS_MIN * SLOT_NS_MIN;
    if (r->slot_ns < SLOT_NS_MIN)
        r->slot_ns = SLOT_NS_MIN;
    for (unsigned i = 0; i < topo->places; i++)
        r->nodes += topo_nodes(topo, i);
    snprintf(r->version, sizeof r->version, "%s", MERIDIAN_VERSION);
    *ret = r;
    return RC_OK;
}

void results_free(struct results *r) {
    if (!r)
        return;
    for (unsigned i = 0; i < TOPO_REGIONS_MAX; i++) {
        for (int op = 0; op < WORK_OPS; op++)
            free(r->region[i].latency[op].ns);
        free(r->region[i].clock_half.ns);
    }
    free(r);
}

static void add_sample(struct results *r, struct results_samples *s, int64_t ns) {
    if (s->count == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 256;
        int64_t *more = cap <= SAMPLES_MAX ? realloc(s->ns, cap * sizeof *more) : NULL;
        if (!more) {
            r->dropped++;
            return;
        }
        s->ns = more;
        s->cap = cap;
    }
    s->ns[s->count++] = ns;
}

static unsigned slot_of(const struct results *r, int64_t at_ns) {
    int64_t slot = at_ns < 0 ? 0 : at_ns / r->slot_ns;
    return slot < RESULTS_SLOTS_MAX ? (unsigned)slot : RESULTS_SLOTS_MAX - 1;
}

void results_ok(struct results *r, unsigned region, enum work_op op, int64_t end_ns, int64_t took_ns,
                const int64_t *cause_ns) {
    struct results_region *g = &r->region[region];
    add_sample(r, &g->latency[op], took_ns);
    g->ok[slot_of(r, end_ns)]++;
    r->transactions++;
    if (!cause_ns)
        return;
    g->caused[op]++;
    for (unsigned i = 0; i < r->causes; i++)
        g->cause_ns[op][i] += cause_ns[i];
}

void results_bad(struct results *r, unsigned region, enum work_op op, int64_t end_ns, const char *code) {
    struct results_region *g = &r->region[region];
    unsigned e = 0;
    g->failed[op]++;
    g->bad[slot_of(r, end_ns)]++;
    r->transactions++;
    while (e < r->errors && strcmp(r->error[e].code, code) != 0)
        e++;
    if (e == RESULTS_ERRORS_MAX)
        return;
    if (e == r->errors)
        snprintf(r->error[r->errors++].code, sizeof r->error[0].code, "%s", code);
    r->error[e].count++;
}

void results_clock(struct results *r, unsigned region, int64_t at_ns, int64_t half_ns) {
    struct results_region *g = &r->region[region];
    unsigned slot = slot_of(r, at_ns);
    if (half_ns < 0) {
        g->clock_unknown[slot]++;
        return;
    }
    add_sample(r, &g->clock_half, half_ns);
    if (half_ns > g->clock_worst[slot])
        g->clock_worst[slot] = half_ns;
}

void results_event(struct results *r, int64_t at_ns, const char *kind, const char *fmt, ...) {
    va_list ap;
    if (r->events == RESULTS_EVENTS_MAX) {
        r->dropped++;
        return;
    }
    struct results_event *e = &r->event[r->events++];
    e->at_ns = at_ns;
    snprintf(e->kind, sizeof e->kind, "%s", kind);
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
}

void results_check(struct results *r, bool ok, const char *fmt, ...) {
    va_list ap;
    CHECK(r->checks < RESULTS_CHECKS_MAX);
    struct results_check *c = &r->check[r->checks++];
    c->ok = ok;
    r->failed += !ok;
    va_start(ap, fmt);
    vsnprintf(c->text, sizeof c->text, fmt, ap);
    va_end(ap);
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t results_quantile(struct results_samples *s, double q) {
    if (s->count == 0)
        return 0;
    qsort(s->ns, s->count, sizeof *s->ns, compare);
    size_t at = (size_t)(q * (double)(s->count - 1) + 0.5);
    return s->ns[at < s->count ? at : s->count - 1];
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

static double ms(int64_t ns) {
    return (double)ns / 1e6;
}

static void put_string(struct buf *out, const char *name, const char *value) {
    buf_printf(out, "\"%s\":", name);
    json_put_text(out, value);
    buf_puts(out, ",\n");
}

static void put_regions(struct results *r, struct buf *out) {
    const struct topo *t = r->topo;
    buf_puts(out, "\"regions\":[");
    for (unsigned i = 0; i < t->regions; i++) {
        const struct topo_region *g = &t->region[i];
        buf_printf(out, "%s\n {\"name\":\"%s\",\"zones\":%u,\"nodes\":%u", i ? "," : "", g->name, g->zones,
                   g->zones * g->nodes);
        if (g->on_map)
            buf_printf(out, ",\"latitude\":%.4f,\"longitude\":%.4f", g->latitude, g->longitude);
        buf_putc(out, '}');
    }
    buf_puts(out, "],\n\"rtt\":[");
    bool first = true;
    for (unsigned i = 0; i < t->places; i++)
        for (unsigned j = i + 1; j < t->places; j++) {
            buf_printf(out, "%s\n {\"from\":\"%s\",\"to\":\"%s\",\"asked_ms\":%.3f", first ? "" : ",", t->place[i].name,
                       t->place[j].name, ms(topo_rtt_ns(t, i, j)));
            if (r->rtt_ns[i][j])
                buf_printf(out, ",\"measured_ms\":%.3f", ms(r->rtt_ns[i][j]));
            buf_putc(out, '}');
            first = false;
        }
    buf_puts(out, "],\n");
}

static void put_latency(struct results *r, struct buf *out) {
    bool first = true;
    buf_puts(out, "\"latency\":[");
    for (unsigned i = 0; i < r->topo->regions; i++)
        for (int op = 0; op < WORK_OPS; op++) {
            struct results_region *g = &r->region[i];
            struct results_samples *s = &g->latency[op];
            if (s->count + g->failed[op] == 0)
                continue;
            buf_printf(out, "%s\n {\"region\":\"%s\",\"operation\":\"%s\",\"count\":%zu,\"failed\":%" PRIu64,
                       first ? "" : ",", r->topo->region[i].name, work_op_name((enum work_op)op), s->count,
                       g->failed[op]);
            if (s->count)
                buf_printf(out, ",\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f",
                           ms(results_quantile(s, 0.5)), ms(results_quantile(s, 0.95)), ms(results_quantile(s, 0.99)),
                           ms(results_quantile(s, 1)));
            if (g->caused[op]) {
                buf_puts(out, ",\"causes_ms\":{");
                for (unsigned c = 0; c < r->causes; c++)
                    buf_printf(out, "%s\"%s\":%.3f", c ? "," : "", r->cause[c],
                               ms(g->cause_ns[op][c]) / (double)g->caused[op]);
                buf_putc(out, '}');
            }
            buf_putc(out, '}');
            first = false;
        }
    buf_puts(out, "],\n");
}

static unsigned slots_of(const struct results *r) {
    int64_t n = (r->duration_ns + r->slot_ns - 1) / r->slot_ns;
    return n < 1 ? 1 : n > RESULTS_SLOTS_MAX ? RESULTS_SLOTS_MAX : (unsigned)n;
}

static void put_clock(struct results *r, struct buf *out) {
    unsigned slots = slots_of(r);
    bool first = true;
    buf_puts(out, "\"clock\":[");
    for (unsigned i = 0; i < r->topo->regions; i++) {
        struct results_region *g = &r->region[i];
        if (g->clock_half.count == 0)
            continue;
        buf_printf(out, "%s\n {\"region\":\"%s\",\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f,\"half_ms\":[",
                   first ? "" : ",", r->topo->region[i].name, ms(results_quantile(&g->clock_half, 0.5)),
                   ms(results_quantile(&g->clock_half, 0.99)), ms(results_quantile(&g->clock_half, 1)));
        for (unsigned s = 0; s < slots; s++) {
            if (g->clock_worst[s])
                buf_printf(out, "%s%.4f", s ? "," : "", ms(g->clock_worst[s]));
            else
                buf_puts(out, s ? ",null" : "null");
        }
        buf_puts(out, "],\"unknown\":[");
        for (unsigned s = 0; s < slots; s++)
            buf_printf(out, "%s%u", s ? "," : "", g->clock_unknown[s]);
        buf_puts(out, "]}");
        first = false;
    }
    buf_puts(out, "],\n");
}

static void put_timeline(struct results *r, struct buf *out) {
    unsigned slots = slots_of(r);
    buf_printf(out, "\"timeline\":{\"slot_ms\":%.0f,\"regions\":[", ms(r->slot_ns));
    for (unsigned i = 0; i < r->topo->regions; i++) {
        buf_printf(out, "%s\n {\"region\":\"%s\",\"ok\":[", i ? "," : "", r->topo->region[i].name);
        for (unsigned s = 0; s < slots; s++)
            buf_printf(out, "%s%u", s ? "," : "", r->region[i].ok[s]);
        buf_puts(out, "],\"failed\":[");
        for (unsigned s = 0; s < slots; s++)
            buf_printf(out, "%s%u", s ? "," : "", r->region[i].bad[s]);
        buf_puts(out, "]}");
    }
    buf_puts(out, "],\n \"events\":[");
    for (unsigned e = 0; e < r->events; e++) {
        buf_printf(out, "%s\n  {\"at_s\":%.3f,\"kind\":\"%s\",\"text\":", e ? "," : "", (double)r->event[e].at_ns / 1e9,
                   r->event[e].kind);
        json_put_text(out, r->event[e].text);
        buf_putc(out, '}');
    }
    buf_printf(out, "],\n \"longest_write_gap_ms\":%.1f,\"gap_from_s\":%.3f,\"errors\":{", ms(r->gap_ns),
               (double)r->gap_from_ns / 1e9);
    for (unsigned e = 0; e < r->errors; e++) {
        buf_puts(out, e ? "," : "");
        json_put_text(out, r->error[e].code);
        buf_printf(out, ":%" PRIu64, r->error[e].count);
    }
    buf_puts(out, "}},\n");
}

void results_json(struct results *r, struct buf *out) {
    buf_puts(out, "{\n\"format\":1,\n");
    put_string(out, "scenario", r->scenario);
    put_string(out, "title", r->title);
    put_string(out, "about", r->about);
    put_string(out, "backend", r->backend);
    put_string(out, "note", r->note);
    put_string(out, "topology", r->topology);
    put_string(out, "version", r->version);
    if (r->has_seed)
        buf_printf(out, "\"seed\":%" PRIu64 ",\n", r->seed);
    buf_printf(out,
               "\"duration_s\":%.3f,\n\"wall_s\":%.3f,\n\"nodes\":%u,\n\"clients\":%u,\n\"transactions\":%" PRIu64
               ",\n\"dropped\":%" PRIu64 ",\n",
               (double)r->duration_ns / 1e9, r->wall_s, r->nodes, r->clients, r->transactions, r->dropped);
    put_regions(r, out);
    put_latency(r, out);
    put_clock(r, out);
    put_timeline(r, out);
    buf_puts(out, "\"checks\":[");
    for (unsigned i = 0; i < r->checks; i++) {
        buf_printf(out, "%s\n {\"ok\":%s,\"text\":", i ? "," : "", r->check[i].ok ? "true" : "false");
        json_put_text(out, r->check[i].text);
        buf_putc(out, '}');
    }
    buf_printf(out, "],\n\"passed\":%s\n}\n", r->failed || r->aborted ? "false" : "true");
}
