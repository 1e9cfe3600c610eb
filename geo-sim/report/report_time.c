/* SPDX-License-Identifier: Apache-2.0 */
/* report_time.c: the charts whose horizontal axis is the time of the run: what happened, and the clocks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "geo-sim/report/report_internal.h"

static const double LOOKS_APART_S = 1.5;

enum { LEFT = 54, RIGHT = 14, LABEL_ROWS = 5, ROW_PX = 15 };

static double at_x(const struct page *p, double seconds) {
    return LEFT + seconds / p->duration_s * (PAGE_WIDTH - LEFT - RIGHT);
}

/* 1, 2 or 5 times a power of ten, so that about `count` steps make `range`. */
static double nice_step(double range, int count) {
    double raw = range / count, unit = pow(10, floor(log10(raw > 0 ? raw : 1)));
    double f = raw / unit;
    return unit * (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10);
}

static void time_axis(struct page *p, double y) {
    double step = nice_step(p->duration_s, 10);
    int ticks = (int)(p->duration_s / step + 0.001);
    for (int i = 0; i <= ticks; i++)
        buf_printf(p->out, "<text class=\"small soft mid num\" x=\"%.1f\" y=\"%.1f\">%.0f%s</text>\n",
                   at_x(p, i * step), y, i * step, i == ticks ? " s" : "");
}

static void value_axis(struct page *p, double top, double bottom, double max, const char *unit, int decimals) {
    double step = nice_step(max, 4);
    int ticks = (int)(max / step + 0.001);
    for (int i = 0; i <= ticks; i++) {
        double y = bottom - i * step / max * (bottom - top);
        buf_printf(p->out,
                   "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" />\n<text class=\"small soft end "
                   "num\" x=\"%d\" y=\"%.1f\">%.*f%s</text>\n",
                   LEFT, PAGE_WIDTH - RIGHT, y, y, LEFT - 8, y + 4, step < 1 ? decimals : 0, i * step,
                   i == ticks ? unit : "");
    }
}

static void legend(struct page *p, double y) {
    double x = LEFT;
    for (unsigned i = 0; i < p->regions; i++) {
        buf_printf(p->out,
                   "<rect x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\" rx=\"2\" fill=\"var(--r%u)\"/>\n<text "
                   "class=\"small\" x=\"%.1f\" y=\"%.1f\">",
                   x, y - 9, i % REGION_COLORS, x + 15, y);
        page_text(p->out, p->region[i].name);
        buf_puts(p->out, "</text>\n");
        x += 34 + 7.2 * (double)strlen(p->region[i].name);
    }
}

/* ---- what happened ---------------------------------------------------------------------------------------------------- */

/* Numbers of an array, into to[slots]. */
static void numbers(const struct json *array, double *to, unsigned slots) {
    unsigned i = 0;
    for (const struct json *j = json_first(array); j && i < slots; j = j->next)
        to[i++] = json_number(j, 0);
    while (i < slots)
        to[i++] = 0;
}

enum { SLOTS_DRAWN_MAX = 2400 };

/* The band between two curves of steps. */
static void band(struct page *p, unsigned slots, const double *low, const double *high, double zero, double scale,
                 const char *fill) {
    buf_printf(p->out, "<path fill=\"%s\" d=\"M%.1f %.1f", fill, at_x(p, 0), zero - low[0] * scale);
    for (unsigned i = 0; i < slots; i++)
        buf_printf(p->out, "V%.1fH%.1f", zero - high[i] * scale, at_x(p, fmin((i + 1) * p->slot_s, p->duration_s)));
    for (unsigned i = slots; i > 0; i--)
        buf_printf(p->out, "V%.1fH%.1f", zero - low[i - 1] * scale, at_x(p, (i - 1) * p->slot_s));
    buf_puts(p->out, "Z\"/>\n");
}

static void events(struct page *p, double top, double bottom, double first_row) {
    double busy_until[LABEL_ROWS] = {0};
    for (const struct json *e = json_first(json_get(json_get(p->results, "timeline"), "events")); e; e = e->next) {
        const char *kind = json_text(json_get(e, "kind"), ""), *text = json_text(json_get(e, "text"), "");
        bool fault = strcmp(kind, "fault") == 0;
        if (!fault && strcmp(kind, "repair") != 0)
            continue;
        double x = at_x(p, json_number(json_get(e, "at_s"), 0)), width = 6.6 * (double)strlen(text) + 10;
        bool left = x + width > PAGE_WIDTH - RIGHT;
        double from = left ? x - width : x;
        int row = 0;
        while (row + 1 < LABEL_ROWS && busy_until[row] > from)
            row++;
        busy_until[row] = from + width;
        double y = first_row + row * ROW_PX;
        buf_printf(
            p->out,
            "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--%s)\" stroke-width=\"1.2\" "
            "stroke-dasharray=\"3 3\"/>\n<text class=\"small halo%s\" style=\"fill:var(--%s)\" x=\"%.1f\" y=\"%.1f\">",
            x, x, y - 9, bottom, fault ? "bad" : "good", left ? " end" : "", fault ? "bad" : "good",
            left ? x - 4 : x + 4, y);
        page_text(p->out, text);
        buf_puts(p->out, "</text>\n");
        (void)top;
    }
}

/* Whose region led from when to when: a bar of their colours. */
static void leaders(struct page *p, double y) {
    double from = -1;
    int who = -1;
    buf_printf(p->out,
               "<text class=\"small soft end\" x=\"%d\" y=\"%.1f\">leader</text>\n<rect x=\"%d\" y=\"%.1f\" "
               "width=\"%d\" height=\"10\" rx=\"3\" fill=\"var(--shade)\"/>\n",
               LEFT - 8, y + 9, LEFT, y, PAGE_WIDTH - LEFT - RIGHT);
    const struct json *e = json_first(json_get(json_get(p->results, "timeline"), "events"));
    for (bool more = true; more; e = e ? e->next : NULL) {
        const char *kind = e ? json_text(json_get(e, "kind"), "") : "lost";
        double at = e ? json_number(json_get(e, "at_s"), 0) : p->duration_s;
        more = e != NULL;
        bool begins = strcmp(kind, "leader") == 0;
        if (!begins && strcmp(kind, "lost") != 0)
            continue;
        if (who >= 0 && at > from)
            buf_printf(p->out,
                       "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"10\" rx=\"3\" fill=\"var(--r%u)\"/>\n",
                       at_x(p, from), y, at_x(p, at) - at_x(p, from), (unsigned)who % REGION_COLORS);
        who = begins ? page_region_of(p, json_text(json_get(e, "text"), "")) : -1;
        from = at;
    }
}

/* Sums per slot over all regions. */
static void sum_up(struct page *p, const char *name, unsigned slots, double *to) {
    double one[SLOTS_DRAWN_MAX];
    memset(to, 0, slots * sizeof *to);
    for (const struct json *r = json_first(json_get(json_get(p->results, "timeline"), "regions")); r; r = r->next) {
        numbers(json_get(r, name), one, slots);
        for (unsigned i = 0; i < slots; i++)
            to[i] += one[i];
    }
}

static double largest(const double *v, unsigned n) {
    double max = 0;
    for (unsigned i = 0; i < n; i++)
        max = fmax(max, v[i]);
    return max;
}

void chart_timeline(struct page *p) {
    const struct json *timeline = json_get(p->results, "timeline");
    enum { TOP = 92, ZERO = 262, FAIL_PX = 40, HEIGHT = 366 };
    unsigned slots = p->slots < SLOTS_DRAWN_MAX ? p->slots : SLOTS_DRAWN_MAX;
    double low[SLOTS_DRAWN_MAX], high[SLOTS_DRAWN_MAX], bad[SLOTS_DRAWN_MAX], none[SLOTS_DRAWN_MAX] = {0};
    sum_up(p, "ok", slots, high);
    sum_up(p, "failed", slots, bad);
    double max = fmax(largest(high, slots) / p->slot_s, 1), scale = (ZERO - TOP) / max / p->slot_s;
    buf_printf(p->out,
               "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"what happened when\">\n<g id=\"timeline\">\n",
               PAGE_WIDTH, HEIGHT);
    double gap = json_number(json_get(timeline, "longest_write_gap_ms"), 0) / 1000;
    double gap_from = json_number(json_get(timeline, "gap_from_s"), 0);
    bool near_end = gap_from + gap / 2 > 0.85 * p->duration_s;
    if (gap > 1)
        buf_printf(p->out,
                   "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"var(--shade)\" opacity=\".7\" "
                   "/>\n<text class=\"small soft halo%s\" x=\"%.1f\" y=\"%d\">%.2f s without a write</text>\n",
                   at_x(p, gap_from), TOP - 18, at_x(p, gap_from + gap) - at_x(p, gap_from), ZERO + FAIL_PX - TOP + 18,
                   near_end ? " end" : "", at_x(p, near_end ? gap_from : gap_from + gap) + (near_end ? -5 : 5), TOP - 6,
                   gap);
    value_axis(p, TOP, ZERO, max, " /s", 1);
    memset(low, 0, sizeof low);
    memset(high, 0, sizeof high);
    for (const struct json *r = json_first(json_get(timeline, "regions")); r; r = r->next) {
        double one[SLOTS_DRAWN_MAX];
        char fill[24];
        int i = page_region_of(p, json_text(json_get(r, "region"), ""));
        numbers(json_get(r, "ok"), one, slots);
        for (unsigned k = 0; k < slots; k++)
            high[k] = low[k] + one[k];
        snprintf(fill, sizeof fill, "var(--r%u)", i < 0 ? 0 : (unsigned)i % REGION_COLORS);
        band(p, slots, low, high, ZERO, scale, fill);
        memcpy(low, high, sizeof low);
    }
    double bad_max = fmax(largest(bad, slots), 1);
    for (unsigned k = 0; k < slots; k++)
        bad[k] = -bad[k];
    band(p, slots, none, bad, ZERO + 2, (FAIL_PX - 4) / bad_max, "var(--bad)");
    buf_printf(p->out,
               "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" />\n<text class=\"small soft end\" "
               "x=\"%d\" y=\"%d\">failed</text>\n",
               LEFT, PAGE_WIDTH - RIGHT, ZERO, ZERO, LEFT - 8, ZERO + 20);
    events(p, TOP, ZERO + FAIL_PX, 14);
    leaders(p, ZERO + FAIL_PX + 6);
    time_axis(p, ZERO + FAIL_PX + 34);
    legend(p, HEIGHT - 6);
    buf_puts(p->out, "</g>\n</svg>\n");
}

/* ---- clocks ------------------------------------------------------------------------------------------------------------ */

static double clock_max(const struct json *clocks) {
    double max = 0;
    for (const struct json *c = json_first(clocks); c; c = c->next)
        for (const struct json *v = json_first(json_get(c, "half_ms")); v; v = v->next)
            max = fmax(max, json_number(v, 0));
    return max;
}

static void unknown_shades(struct page *p, const struct json *clocks, double top, double bottom) {
    for (const struct json *c = json_first(clocks); c; c = c->next) {
        unsigned i = 0, from = 0;
        bool in = false;
        for (const struct json *v = json_first(json_get(c, "unknown")); v || in; v = v ? v->next : NULL, i++) {
            bool now = v && json_number(v, 0) > 0;
            if (now && !in)
                from = i;
            if (in && !now)
                buf_printf(p->out,
                           "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--shade)\" "
                           "opacity=\".8\" />\n",
                           at_x(p, from * p->slot_s), top, (double)(i - from) * (at_x(p, p->slot_s) - at_x(p, 0)),
                           bottom - top);
            in = now;
        }
    }
}

void chart_clock(struct page *p) {
    const struct json *clocks = json_get(p->results, "clock");
    enum { TOP = 14, BOTTOM = 176, HEIGHT = 226 };
    buf_printf(p->out,
               "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"uncertainty of the clocks\">\n<g id=\"clock\">\n",
               PAGE_WIDTH, HEIGHT);
    double max = clock_max(clocks) * 1.05;
    if (max <= 0) {
        buf_printf(p->out, "<text class=\"soft\" x=\"%d\" y=\"40\">not measured in this run</text>\n", LEFT);
        buf_puts(p->out, "</g>\n</svg>\n");
        return;
    }
    unknown_shades(p, clocks, TOP, BOTTOM);
    value_axis(p, TOP, BOTTOM, max, " ms", max < 0.5 ? 2 : 1);
    for (const struct json *c = json_first(clocks); c; c = c->next) {
        int region = page_region_of(p, json_text(json_get(c, "region"), ""));
        unsigned i = 0, last = 0;
        bool pen = false;
        buf_printf(p->out,
                   "<path fill=\"none\" stroke=\"var(--r%u)\" stroke-width=\"1.6\" stroke-linejoin=\"round\" d=\"",
                   region < 0 ? 0 : (unsigned)region % REGION_COLORS);
        for (const struct json *v = json_first(json_get(c, "half_ms")); v && i < p->slots; v = v->next, i++) {
            double half = json_number(v, -1);
            if (half < 0)
                continue;
            bool near = pen && (i - last) * p->slot_s <= LOOKS_APART_S; /* not every slot has a look in it */
            buf_printf(p->out, "%c%.1f %.1f", near ? 'L' : 'M', at_x(p, (i + 0.5) * p->slot_s),
                       BOTTOM - half / max * (BOTTOM - TOP));
            pen = true;
            last = i;
        }
        buf_puts(p->out, "\"/>\n");
    }
    time_axis(p, BOTTOM + 18);
    legend(p, HEIGHT - 6);
    buf_puts(p->out, "</g>\n</svg>\n");
}
