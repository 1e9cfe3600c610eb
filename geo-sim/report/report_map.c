/* SPDX-License-Identifier: Apache-2.0 */
/* report_map.c: the map: land as dots, regions, and the lines between them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "geo-sim/report/report_internal.h"

enum { HEIGHT = 430, RING_X = 500, RING_Y = 215, RING_R = 150 };
static const double NORTH = 80, SOUTH = -56;

static double map_x(double lon) {
    return (lon + 180) / 360 * PAGE_WIDTH;
}

static double map_y(double lat) {
    return (NORTH - lat) / (NORTH - SOUTH) * HEIGHT;
}

static void put_dot(void *ctx, double lon, double lat) {
    buf_printf(ctx, "M%.0f %.0fh0", map_x(lon), map_y(lat));
}

/* Without coordinates: on a circle. */
static void place_regions(struct page *p) {
    for (unsigned i = 0; i < p->regions; i++) {
        struct page_region *r = &p->region[i];
        double turn = 2 * M_PI * i / p->regions - M_PI / 2;
        r->x = r->on_map ? map_x(r->longitude) : RING_X + RING_R * cos(turn);
        r->y = r->on_map ? map_y(r->latitude) : RING_Y + RING_R * sin(turn);
    }
}

/* A line that bends upwards: a quadratic curve. */
struct arc {
    double x1, y1, cx, cy, x2, y2;
};

static struct arc arc_of(double x1, double y1, double x2, double y2) {
    double dx = x2 - x1, dy = y2 - y1, bend = 0.16 * sqrt(dx * dx + dy * dy);
    return (struct arc){x1, y1, (x1 + x2) / 2, (y1 + y2) / 2 - bend - 8, x2, y2};
}

static void put_arc(struct buf *out, const struct arc *a) {
    buf_printf(out,
               "<path d=\"M%.1f %.1fQ%.1f %.1f %.1f %.1f\" fill=\"none\" stroke=\"var(--faint)\" stroke-width=\"1.4\" "
               "stroke-linecap=\"round\" />\n",
               a->x1, a->y1, a->cx, a->cy, a->x2, a->y2);
}

struct label {
    struct arc arc[2]; /* the second one where the line leaves the map and comes in again */
    unsigned arcs;
    double x, y;
    char text[32];
};

/* The line between two regions; over the edge of the map where that is the shorter way. */
static void put_link(struct page *p, unsigned a, unsigned b, double ms, struct label *ret) {
    const struct page_region *from = &p->region[a], *to = &p->region[b];
    if (from->x > to->x) {
        const struct page_region *swap = from;
        from = to;
        to = swap;
    }
    if (from->on_map && to->on_map && to->x - from->x > PAGE_WIDTH / 2.0) {
        ret->arc[0] = arc_of(to->x - PAGE_WIDTH, to->y, from->x, from->y);
        ret->arc[1] = arc_of(to->x, to->y, from->x + PAGE_WIDTH, from->y);
        ret->arcs = 2;
    } else {
        ret->arc[0] = arc_of(from->x, from->y, to->x, to->y);
        ret->arcs = 1;
    }
    for (unsigned i = 0; i < ret->arcs; i++)
        put_arc(p->out, &ret->arc[i]);
    snprintf(ret->text, sizeof ret->text, ms < 10 ? "%.1f ms" : "%.0f ms", ms);
}

/* ---- where labels go ------------------------------------------------------------------------------------------------ */

struct box {
    double x1, y1, x2, y2;
};

static bool boxes_meet(struct box a, struct box b) {
    return a.x1 < b.x2 && b.x1 < a.x2 && a.y1 < b.y2 && b.y1 < a.y2;
}

static struct box label_box(const struct label *l) {
    return (struct box){l->x - 25, l->y - 7, l->x + 25, l->y + 7};
}

static bool names_left(const struct page_region *r) {
    return r->x > PAGE_WIDTH - 170;
}

/* The dot, the name and the figures below it. */
static struct box region_box(const struct page_region *r) {
    double width = 24 + 8.5 * (double)(strlen(r->name) > 12 ? strlen(r->name) : 12);
    return names_left(r) ? (struct box){r->x - width, r->y - 12, r->x + 12, r->y + 36}
                         : (struct box){r->x - 12, r->y - 12, r->x + width, r->y + 36};
}

static bool is_free(const struct page *p, const struct label *all, unsigned before) {
    struct box own = label_box(&all[before]);
    if (own.x1 < 2 || own.x2 > PAGE_WIDTH - 2 || own.y1 < 2 || own.y2 > HEIGHT - 2)
        return false;
    for (unsigned i = 0; i < p->regions; i++)
        if (boxes_meet(own, region_box(&p->region[i])))
            return false;
    for (unsigned i = 0; i < before; i++)
        if (boxes_meet(own, label_box(&all[i])))
            return false;
    return true;
}

/* On its line, as near to the middle as nothing else is written; above it where there is no such place. */
static void place_label(const struct page *p, struct label *all, unsigned i) {
    static const double tries[] = {0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82};
    struct label *l = &all[i];
    for (int lift = 0; lift <= 32; lift += 16)
        for (unsigned k = 0; k < l->arcs; k++)
            for (size_t n = 0; n < ARRAY_LEN(tries); n++) {
                const struct arc *a = &l->arc[k];
                double t = tries[n], u = 1 - t;
                l->x = u * u * a->x1 + 2 * u * t * a->cx + t * t * a->x2;
                l->y = u * u * a->y1 + 2 * u * t * a->cy + t * t * a->y2 - lift;
                if (is_free(p, all, i))
                    return;
            }
    l->x = (l->arc[0].x1 + 2 * l->arc[0].cx + l->arc[0].x2) / 4;
    l->y = (l->arc[0].y1 + 2 * l->arc[0].cy + l->arc[0].y2) / 4;
}

/* Whose region led last. */
static int last_leader(const struct page *p) {
    int leader = -1;
    for (const struct json *e = json_first(json_get(json_get(p->results, "timeline"), "events")); e; e = e->next)
        if (strcmp(json_text(json_get(e, "kind"), ""), "leader") == 0)
            leader = page_region_of(p, json_text(json_get(e, "text"), ""));
    return leader;
}

static double median_of(const struct page *p, const char *region, const char *op) {
    for (const struct json *l = json_first(json_get(p->results, "latency")); l; l = l->next)
        if (strcmp(json_text(json_get(l, "region"), ""), region) == 0 &&
            strcmp(json_text(json_get(l, "operation"), ""), op) == 0)
            return json_number(json_get(l, "p50_ms"), -1);
    return -1;
}

static void put_region(struct page *p, unsigned i, bool leads) {
    const struct page_region *r = &p->region[i];
    struct buf *out = p->out;
    double write = median_of(p, r->name, "write"), stale = median_of(p, r->name, "stale read");
    bool left = names_left(r);
    double tx = left ? r->x - 14 : r->x + 14;
    char text[32];
    if (leads)
        buf_printf(
            out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"12\" fill=\"none\" stroke=\"var(--r%u)\" stroke-width=\"2\" />\n",
            r->x, r->y, i % REGION_COLORS);
    buf_printf(
        out,
        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"7\" fill=\"var(--r%u)\" stroke=\"var(--card)\" stroke-width=\"2\" />\n",
        r->x, r->y, i % REGION_COLORS);
    buf_printf(out, "<text class=\"bold halo%s\" x=\"%.1f\" y=\"%.1f\">", left ? " end" : "", tx, r->y + 4);
    page_text(out, r->name);
    buf_puts(out, "</text>\n");
    if (write > 0)
        buf_printf(out, "<text class=\"small soft num halo%s\" x=\"%.1f\" y=\"%.1f\">write %s</text>\n",
                   left ? " end" : "", tx, r->y + 18, page_ms(write, text));
    if (stale >= 0)
        buf_printf(out, "<text class=\"small soft num halo%s\" x=\"%.1f\" y=\"%.1f\">past %s</text>\n",
                   left ? " end" : "", tx, r->y + (write > 0 ? 31 : 18), page_ms(stale, text));
}

void chart_map(struct page *p) {
    struct label label[PAGE_REGIONS_MAX * 4];
    unsigned labels = 0;
    bool done[PAGE_REGIONS_MAX][PAGE_REGIONS_MAX] = {{false}};
    int leader = last_leader(p);
    place_regions(p);
    buf_printf(p->out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"map of the "
               "regions\">\n<clipPath id=\"edge\"><rect x=\"0\" y=\"0\" width=\"%d\" height=\"%d\" /></clipPath>\n<g "
               "id=\"map\" clip-path=\"url(#edge)\">\n",
               PAGE_WIDTH, HEIGHT, PAGE_WIDTH, HEIGHT);
    if (p->region[0].on_map) {
        buf_puts(p->out, "<path stroke=\"var(--land)\" stroke-width=\"4.4\" stroke-linecap=\"round\" d=\"");
        map_dots(put_dot, p->out);
        buf_puts(p->out, "\"/>\n");
    }
    for (const struct json *j = json_first(json_get(p->results, "rtt")); j; j = j->next) {
        int a = page_region_of(p, json_text(json_get(j, "from"), "")),
            b = page_region_of(p, json_text(json_get(j, "to"), ""));
        if (a < 0 || b < 0 || a == b || done[a][b] || done[b][a] || labels == ARRAY_LEN(label))
            continue;
        done[a][b] = true;
        double asked = json_number(json_get(j, "asked_ms"), 0);
        put_link(p, (unsigned)a, (unsigned)b, json_number(json_get(j, "measured_ms"), asked), &label[labels++]);
    }
    for (unsigned i = 0; i < labels; i++) {
        place_label(p, label, i);
        buf_printf(p->out, "<text class=\"small soft mid num halo\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", label[i].x,
                   label[i].y + 4, label[i].text);
    }
    for (unsigned i = 0; i < p->regions; i++)
        put_region(p, i, (int)i == leader);
    buf_puts(p->out, "</g>\n</svg>\n");
}
