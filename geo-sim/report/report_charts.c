/* SPDX-License-Identifier: Apache-2.0 */
/* report_charts.c: latencies, causes, round trips. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "geo-sim/report/report_internal.h"

enum { LEFT = 210, RIGHT = 84, ROW = 21, GROUP_GAP = 12 };

static const char *text_of(const struct json *j, const char *name) {
    return json_text(json_get(j, name), "");
}

/* ---- rows of (region, operation) ---------------------------------------------------------------------------------------- */

struct rows {
    const struct json *row[PAGE_REGIONS_MAX * 8];
    double y[PAGE_REGIONS_MAX * 8];
    unsigned count;
    double end;
};

/* Those that `want` has a number in (or that have an object of that name), grouped by region. */
static void lay_out(const struct page *p, const char *want, double top, struct rows *ret) {
    const char *last = NULL;
    double y = top;
    *ret = (struct rows){.count = 0};
    for (const struct json *l = json_first(json_get(p->results, "latency")); l; l = l->next) {
        if (!json_get(l, want) || ret->count == ARRAY_LEN(ret->row))
            continue;
        if (last && strcmp(last, text_of(l, "region")) != 0)
            y += GROUP_GAP;
        last = text_of(l, "region");
        ret->row[ret->count] = l;
        ret->y[ret->count++] = y;
        y += ROW;
    }
    ret->end = y;
}

static void row_labels(struct page *p, const struct rows *rows) {
    const char *last = "";
    for (unsigned i = 0; i < rows->count; i++) {
        const char *region = text_of(rows->row[i], "region");
        int r = page_region_of(p, region);
        if (strcmp(last, region) != 0) {
            buf_printf(p->out,
                       "<circle cx=\"8\" cy=\"%.1f\" r=\"4.5\" fill=\"var(--r%u)\"/>\n<text class=\"bold\" x=\"19\" "
                       "y=\"%.1f\">",
                       rows->y[i] - 4, r < 0 ? 0 : (unsigned)r % REGION_COLORS, rows->y[i]);
            page_text(p->out, region);
            buf_puts(p->out, "</text>\n");
        }
        last = region;
        buf_printf(p->out, "<text class=\"soft end\" x=\"%d\" y=\"%.1f\">", LEFT - 12, rows->y[i]);
        page_text(p->out, text_of(rows->row[i], "operation"));
        buf_puts(p->out, "</text>\n");
    }
}

static void nothing(struct page *p, const char *id, const char *label) {
    buf_printf(p->out,
               "<svg viewBox=\"0 0 %d 40\" role=\"img\" aria-label=\"%s\">\n<g id=\"%s\">\n<text class=\"soft\" "
               "x=\"8\" y=\"24\">not measured in this run</text>\n</g>\n</svg>\n",
               PAGE_WIDTH, label, id);
}

/* ---- latency ------------------------------------------------------------------------------------------------------------ */

struct log_scale {
    double low, high; /* decades */
};

static double log_x(const struct log_scale *s, double ms) {
    double at = (log10(ms > 1e-3 ? ms : 1e-3) - s->low) / (s->high - s->low);
    return LEFT + (at < 0 ? 0 : at > 1 ? 1 : at) * (PAGE_WIDTH - LEFT - RIGHT);
}

static struct log_scale scale_of(const struct rows *rows) {
    double min = 1e9, max = 0;
    for (unsigned i = 0; i < rows->count; i++) {
        double p50 = json_number(json_get(rows->row[i], "p50_ms"), 1e9);
        min = fmin(min, p50 > 0 ? p50 : 0.5); /* 0: in virtual time, at the left edge */
        max = fmax(max, json_number(json_get(rows->row[i], "p99_ms"), 0));
    }
    struct log_scale s = {floor(log10(fmax(min, 1e-3))), ceil(log10(fmax(max, 1e-2)))};
    if (s.high <= s.low)
        s.high = s.low + 1;
    return s;
}

static void log_axis(struct page *p, const struct log_scale *s, double top, double bottom) {
    for (int d = (int)s->low; d <= (int)s->high; d++) {
        double v = pow(10, d);
        char text[32];
        snprintf(text, sizeof text,
                 v >= 1000 ? "%.0f s"
                 : v >= 1  ? "%.0f ms"
                           : "%.0f \302\265s",
                 v >= 1000 ? v / 1000
                 : v >= 1  ? v
                           : v * 1000);
        buf_printf(p->out,
                   "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" />\n<text class=\"small soft "
                   "mid num\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                   log_x(s, v), log_x(s, v), top, bottom, log_x(s, v), bottom + 16, text);
        for (int k = 2; k < 10 && d < (int)s->high; k++)
            buf_printf(p->out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" />\n",
                       log_x(s, k * v), log_x(s, k * v), top, bottom);
    }
}

void chart_latency(struct page *p) {
    struct rows rows;
    enum { TOP = 34 };
    lay_out(p, "p50_ms", TOP + 16, &rows);
    if (rows.count == 0) {
        nothing(p, "latency", "latency");
        return;
    }
    struct log_scale s = scale_of(&rows);
    double bottom = rows.end - ROW + 10;
    buf_printf(p->out,
               "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"latency by region and operation\">\n<g "
               "id=\"latency\">\n",
               PAGE_WIDTH, bottom + 26);
    log_axis(p, &s, TOP, bottom);
    buf_printf(
        p->out,
        "<g class=\"small soft\"><circle cx=\"%d\" cy=\"12\" r=\"5\" fill=\"var(--soft)\"/><text class=\"small soft\" "
        "x=\"%d\" y=\"16\">median</text><circle cx=\"%d\" cy=\"12\" r=\"3.5\" fill=\"var(--card)\" "
        "stroke=\"var(--soft)\" stroke-width=\"1.5\" /><text class=\"small soft\" x=\"%d\" y=\"16\">95th</text><line "
        "x1=\"%d\" x2=\"%d\" y1=\"7\" y2=\"17\" stroke=\"var(--soft)\" stroke-width=\"2\" /><text class=\"small soft\" "
        "x=\"%d\" y=\"16\">99th percentile</text><text class=\"small soft end\" x=\"%d\" y=\"16\">median</text></g>\n",
        LEFT + 5, LEFT + 15, LEFT + 75, LEFT + 84, LEFT + 125, LEFT + 125, LEFT + 131, PAGE_WIDTH - 4);
    for (unsigned i = 0; i < rows.count; i++) {
        const struct json *l = rows.row[i];
        double p50 = json_number(json_get(l, "p50_ms"), 0), p95 = json_number(json_get(l, "p95_ms"), 0);
        double p99 = json_number(json_get(l, "p99_ms"), 0), y = rows.y[i] - 4;
        int r = page_region_of(p, text_of(l, "region"));
        unsigned color = r < 0 ? 0 : (unsigned)r % REGION_COLORS;
        char text[32];
        buf_printf(p->out,
                   "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--r%u)\" stroke-width=\"2.5\" "
                   "opacity=\".45\" />\n<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--r%u)\" "
                   "stroke-width=\"2\" />\n<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"var(--card)\" "
                   "stroke=\"var(--r%u)\" stroke-width=\"1.5\" />\n<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" "
                   "fill=\"var(--r%u)\"/>\n",
                   log_x(&s, p50), log_x(&s, p99), y, y, color, log_x(&s, p99), log_x(&s, p99), y - 5, y + 5, color,
                   log_x(&s, p95), y, color, log_x(&s, p50), y, color);
        buf_printf(p->out, "<text class=\"end num\" x=\"%d\" y=\"%.1f\">%s</text>\n", PAGE_WIDTH - 4, rows.y[i],
                   page_ms(p50, text));
    }
    row_labels(p, &rows);
    buf_puts(p->out, "</g>\n</svg>\n");
}

/* ---- causes -------------------------------------------------------------------------------------------------------------- */

static double sum_of(const struct json *causes) {
    double sum = 0;
    for (const struct json *c = json_first(causes); c; c = c->next)
        sum += fmax(json_number(c, 0), 0);
    return sum;
}

static void cause_legend(struct page *p, const struct json *causes, const bool *used) {
    double x = LEFT;
    unsigned i = 0;
    for (const struct json *c = json_first(causes); c; c = c->next, i++) {
        if (!used[i % CAUSE_COLORS])
            continue;
        buf_printf(p->out,
                   "<rect x=\"%.1f\" y=\"3\" width=\"11\" height=\"11\" rx=\"2\" fill=\"var(--c%u)\"/>\n<text "
                   "class=\"small\" x=\"%.1f\" y=\"13\">",
                   x, i % CAUSE_COLORS, x + 16);
        page_text(p->out, c->name);
        buf_puts(p->out, "</text>\n");
        x += 36 + 6.6 * (double)strlen(c->name);
    }
}

void chart_causes(struct page *p) {
    struct rows rows;
    enum { TOP = 30 };
    bool used[CAUSE_COLORS] = {false};
    double max = 0;
    lay_out(p, "causes_ms", TOP + 14, &rows);
    for (unsigned i = 0; i < rows.count; i++) {
        unsigned k = 0;
        double sum = sum_of(json_get(rows.row[i], "causes_ms"));
        max = fmax(max, sum);
        for (const struct json *c = json_first(json_get(rows.row[i], "causes_ms")); c; c = c->next, k++)
            used[k % CAUSE_COLORS] |= json_number(c, 0) > 0.005 * sum;
    }
    if (max <= 0) {
        nothing(p, "causes", "where the time went");
        return;
    }
    buf_printf(p->out,
               "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"where the time went\">\n<g id=\"causes\">\n",
               PAGE_WIDTH, rows.end + 4);
    cause_legend(p, json_get(rows.row[0], "causes_ms"), used);
    for (unsigned i = 0; i < rows.count; i++) {
        const struct json *causes = json_get(rows.row[i], "causes_ms");
        double x = LEFT, scale = (PAGE_WIDTH - LEFT - RIGHT) / max;
        unsigned k = 0;
        char text[32];
        for (const struct json *c = json_first(causes); c; c = c->next, k++) {
            double w = fmax(json_number(c, 0), 0) * scale;
            if (w > 0.3)
                buf_printf(p->out,
                           "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"13\" fill=\"var(--c%u)\"><title>%s "
                           "%s</title></rect>\n",
                           x, rows.y[i] - 11, w, k % CAUSE_COLORS, c->name, page_ms(json_number(c, 0), text));
            x += w;
        }
        buf_printf(p->out, "<text class=\"num\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + 8, rows.y[i],
                   page_ms(sum_of(causes), text));
    }
    row_labels(p, &rows);
    buf_puts(p->out, "</g>\n</svg>\n");
}

/* ---- round trips ---------------------------------------------------------------------------------------------------------- */

enum { PLACES_DRAWN_MAX = 16, CELL_H = 44 };

struct matrix {
    const char *place[PLACES_DRAWN_MAX];
    unsigned places;
    double asked[PLACES_DRAWN_MAX][PLACES_DRAWN_MAX], measured[PLACES_DRAWN_MAX][PLACES_DRAWN_MAX];
};

static int place_in(struct matrix *m, const char *name) {
    for (unsigned i = 0; i < m->places; i++)
        if (strcmp(m->place[i], name) == 0)
            return (int)i;
    if (m->places == PLACES_DRAWN_MAX)
        return -1;
    m->place[m->places] = name;
    return (int)m->places++;
}

static void cell(struct page *p, double x, double y, double width, double asked, double measured) {
    double off = measured - asked, allowed = fmax(1, 0.02 * asked);
    bool good = measured > 0 && fabs(off) <= allowed;
    const char *fill = measured <= 0 ? "grid" : good ? "goodbg" : "badbg";
    buf_printf(p->out,
               "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"6\" fill=\"var(--%s)\"/>\n<text "
               "class=\"small soft mid num\" x=\"%.1f\" y=\"%.1f\">%.1f ms asked for</text>\n",
               x + 2, y + 2, width - 4, CELL_H - 4, fill, x + width / 2, y + 18, asked);
    if (measured > 0)
        buf_printf(p->out,
                   "<text class=\"mid num bold\" x=\"%.1f\" y=\"%.1f\">%.1f ms <tspan class=\"small "
                   "soft\">%+.2f</tspan></text>\n",
                   x + width / 2, y + 34, measured, off);
    else
        buf_printf(p->out, "<text class=\"small faint mid\" x=\"%.1f\" y=\"%.1f\">not measured</text>\n", x + width / 2,
                   y + 34);
}

void chart_rtt(struct page *p) {
    struct matrix m = {.places = 0};
    for (const struct json *j = json_first(json_get(p->results, "rtt")); j; j = j->next) {
        int a = place_in(&m, text_of(j, "from")), b = place_in(&m, text_of(j, "to"));
        if (a < 0 || b < 0 || a == b)
            continue;
        m.asked[a][b] = json_number(json_get(j, "asked_ms"), 0);
        m.measured[a][b] = json_number(json_get(j, "measured_ms"), 0);
    }
    if (m.places < 2) {
        nothing(p, "rtt", "round trips");
        return;
    }
    double left = 110, width = fmin(180, (PAGE_WIDTH - left) / (m.places - 1));
    buf_printf(p->out, "<svg viewBox=\"0 0 %d %u\" role=\"img\" aria-label=\"round trips\">\n<g id=\"rtt\">\n",
               PAGE_WIDTH, 24 + CELL_H * (m.places - 1));
    for (unsigned j = 1; j < m.places; j++) {
        buf_printf(p->out, "<text class=\"small bold mid\" x=\"%.1f\" y=\"14\">", left + (j - 0.5) * width);
        page_text(p->out, m.place[j]);
        buf_puts(p->out, "</text>\n");
    }
    for (unsigned i = 0; i + 1 < m.places; i++) {
        double y = 22 + CELL_H * i;
        buf_printf(p->out, "<text class=\"small bold\" x=\"2\" y=\"%.1f\">", y + 26);
        page_text(p->out, m.place[i]);
        buf_puts(p->out, "</text>\n");
        for (unsigned j = i + 1; j < m.places; j++)
            cell(p, left + (j - 1) * width, y, width, m.asked[i][j], m.measured[i][j]);
    }
    buf_puts(p->out, "</g>\n</svg>\n");
}
