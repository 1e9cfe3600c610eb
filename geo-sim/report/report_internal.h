/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_internal.h: what the files of report.h share: the page's regions with their colours, and small helpers for SVG.
 *
 * Threads     as report.h.
 */
#ifndef MERIDIAN_GEO_REPORT_INTERNAL_H
#define MERIDIAN_GEO_REPORT_INTERNAL_H

#include "geo-sim/report/report.h"

enum { PAGE_REGIONS_MAX = 32, PAGE_WIDTH = 1000, REGION_COLORS = 8, CAUSE_COLORS = 10 };

struct page_region {
    const char *name;
    double latitude, longitude, x, y; /* x, y: on the map */
    bool on_map;
    unsigned nodes;
};

struct page {
    const struct json *results;
    struct buf *out;
    unsigned regions;
    struct page_region region[PAGE_REGIONS_MAX];
    double duration_s, slot_s;
    unsigned slots;
};

void page_init(struct page *p, const struct json *results, struct buf *out);
int page_region_of(const struct page *p, const char *name); /* a region's or a place's name; -1: none */
void page_text(struct buf *out, const char *text);          /* escaped */
/* "45 ms", "1.2 s", "340 us" */
const char *page_ms(double ms, char to[32]);

/* Each draws one <svg> of PAGE_WIDTH, with one named group. */
void chart_map(struct page *p);
void chart_timeline(struct page *p);
void chart_latency(struct page *p);
void chart_causes(struct page *p);
void chart_clock(struct page *p);
void chart_rtt(struct page *p);

/* The land of the earth as a grid of dots: fn for each. */
void map_dots(void (*fn)(void *ctx, double longitude, double latitude), void *ctx);

#endif
