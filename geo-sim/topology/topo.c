/* SPDX-License-Identifier: Apache-2.0 */
/* topo.c: looking things up in a topology, and writing it down. */
#include "geo-sim/topology/topo.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZONE_ADDRS = 32 };
static_assert(TOPO_ZONES_MAX * ZONE_ADDRS == 256, "the zones of a region share its /24");
static_assert(TOPO_NODES_MAX <= ZONE_ADDRS - 2, "neither the first nor the last address of a zone is a node");

void topo_free(struct topo *t) {
    free(t);
}

int topo_find(const struct topo *t, const char *place) {
    for (unsigned i = 0; i < t->places; i++)
        if (strcmp(t->place[i].name, place) == 0)
            return (int)i;
    return -1;
}

/* The places that one word of a set names. */
static topo_set match_word(const struct topo *t, const char *word) {
    topo_set set = 0;
    for (unsigned i = 0; i < t->places; i++) {
        const struct topo_region *r = &t->region[t->place[i].region];
        char full[TOPO_PLACE_BYTES + 1];
        snprintf(full, sizeof full, "%s.%s", r->name, r->zone[t->place[i].zone]);
        if (strcmp(word, "*") == 0 || strcmp(word, r->name) == 0 || strcmp(word, full) == 0)
            set |= (topo_set)1 << i;
    }
    return set;
}

enum rc topo_match(const struct topo *t, const char *set, topo_set *ret, struct err *err) {
    topo_set all = 0;
    for (const char *at = set;; at++) {
        char word[TOPO_PLACE_BYTES + 2];
        size_t n = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : 0, at);
        topo_set some = match_word(t, word);
        if (!some)
            return err_set(err, RC_NOTFOUND, "there is no region or zone \"%.*s\"", n < 40 ? (int)n : 40, at);
        all |= some;
        at += n;
        if (!*at)
            break;
    }
    *ret = all;
    return RC_OK;
}

uint32_t topo_place_base(const struct topo *t, unsigned place) {
    const struct topo_place *p = &t->place[place];
    CHECK(place < t->places);
    return t->subnet | t->region[p->region].number << 8 | p->zone * ZONE_ADDRS;
}

int topo_place_of(const struct topo *t, uint32_t addr) {
    if ((addr & 0xffff0000u) != t->subnet)
        return -1;
    for (unsigned i = 0; i < t->places; i++)
        if ((addr & ~(uint32_t)(ZONE_ADDRS - 1)) == topo_place_base(t, i))
            return (int)i;
    return -1;
}

const char *topo_addr_format(uint32_t addr, char to[TOPO_ADDR_BYTES]) {
    snprintf(to, TOPO_ADDR_BYTES, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255);
    return to;
}

bool topo_link_equal(const struct topo_link *a, const struct topo_link *b) {
    return a->delay_ns == b->delay_ns && a->jitter_ns == b->jitter_ns && a->rate_bps == b->rate_bps &&
           a->loss_ppm == b->loss_ppm && a->reorder_ppm == b->reorder_ppm && a->cut == b->cut;
}

static bool region_equal(const struct topo_region *a, const struct topo_region *b) {
    bool same = strcmp(a->name, b->name) == 0 && a->number == b->number && a->zones == b->zones &&
                a->nodes == b->nodes && a->first_place == b->first_place && a->on_map == b->on_map &&
                fabs(a->latitude - b->latitude) < 1e-6 && fabs(a->longitude - b->longitude) < 1e-6 &&
                a->chronyd == b->chronyd && a->clock_offset_ns == b->clock_offset_ns &&
                a->clock_drift_ppb == b->clock_drift_ppb && a->masters == b->masters &&
                a->master_period_ns == b->master_period_ns && a->master_jitter_ns == b->master_jitter_ns &&
                a->master_err_ns == b->master_err_ns;
    for (unsigned z = 0; z < a->zones && same; z++)
        same = strcmp(a->zone[z], b->zone[z]) == 0;
    return same;
}

bool topo_equal(const struct topo *a, const struct topo *b) {
    bool same = a->subnet == b->subnet && a->regions == b->regions && a->places == b->places;
    for (unsigned i = 0; i < a->regions && same; i++)
        same = region_equal(&a->region[i], &b->region[i]);
    for (unsigned i = 0; i < a->places && same; i++)
        for (unsigned j = 0; j < a->places && same; j++)
            same = i == j || topo_link_equal(&a->link[i][j], &b->link[i][j]);
    return same;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

/* In the largest unit that loses nothing. */
static void put_duration(struct buf *out, const char *name, int64_t ns) {
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};
    size_t u = 0;
    while (u + 1 < ARRAY_LEN(units) && (ns % units[u].ns != 0 || ns == 0))
        u++;
    buf_printf(out, " %s %" PRId64 "%s", name, ns / units[u].ns, units[u].unit);
}

static void put_share(struct buf *out, const char *name, int32_t ppm) {
    if (ppm)
        buf_printf(out, " %s %d.%04d%%", name, ppm / 10000, ppm % 10000);
}

static void put_link(struct buf *out, const struct topo_link *l) {
    put_duration(out, "jitter", l->jitter_ns);
    put_share(out, "loss", l->loss_ppm);
    put_share(out, "reorder", l->reorder_ppm);
    if (l->rate_bps == 0)
        buf_puts(out, " rate unlimited");
    else if (l->rate_bps % 1000000 == 0)
        buf_printf(out, " rate %" PRId64 "mbit", l->rate_bps / 1000000);
    else
        buf_printf(out, " rate %" PRId64 "bit", l->rate_bps);
    buf_putc(out, '\n');
}

static void put_region(struct buf *out, const struct topo_region *r) {
    buf_printf(out, "region %s %u zones", r->name, r->number);
    for (unsigned z = 0; z < r->zones; z++)
        buf_printf(out, " %s", r->zone[z]);
    buf_printf(out, " nodes %u", r->nodes);
    if (r->on_map)
        buf_printf(out, " at %.6f %.6f", r->latitude, r->longitude);
    buf_putc(out, '\n');
}

static void put_clock(struct buf *out, const struct topo_region *r) {
    if (r->clock_offset_ns || r->clock_drift_ppb) {
        buf_printf(out, "clock %s", r->name);
        put_duration(out, "offset", r->clock_offset_ns);
        buf_printf(out, " drift %" PRId64 "ppb\n", r->clock_drift_ppb);
    }
    if (r->chronyd)
        buf_printf(out, "clock %s by chronyd\n", r->name);
    if (r->masters) {
        buf_printf(out, "master %s %u", r->name, r->masters);
        put_duration(out, "period", r->master_period_ns);
        put_duration(out, "jitter", r->master_jitter_ns);
        put_duration(out, "err", r->master_err_ns);
        buf_putc(out, '\n');
    }
}

static void put_pair(struct buf *out, const struct topo *t, unsigned i, unsigned j) {
    struct topo_link there = t->link[i][j], back = t->link[j][i];
    bool cut_there = there.cut, cut_back = back.cut;
    const char *a = t->place[i].name, *b = t->place[j].name;
    there.cut = back.cut = false;
    if (topo_link_equal(&there, &back)) {
        buf_printf(out, "link %s %s", a, b);
        put_duration(out, "rtt", there.delay_ns + back.delay_ns);
        put_link(out, &there);
    } else {
        buf_printf(out, "oneway %s %s", a, b);
        put_duration(out, "delay", there.delay_ns);
        put_link(out, &there);
        buf_printf(out, "oneway %s %s", b, a);
        put_duration(out, "delay", back.delay_ns);
        put_link(out, &back);
    }
    if (cut_there)
        buf_printf(out, "cut %s %s oneway\n", a, b);
    if (cut_back)
        buf_printf(out, "cut %s %s oneway\n", b, a);
}

void topo_print(const struct topo *t, struct buf *out) {
    char addr[TOPO_ADDR_BYTES];
    buf_printf(out, "format 1\nsubnet %s/16\n", topo_addr_format(t->subnet, addr));
    for (unsigned i = 0; i < t->regions; i++)
        put_region(out, &t->region[i]);
    for (unsigned i = 0; i < t->regions; i++)
        put_clock(out, &t->region[i]);
    for (unsigned i = 0; i < t->places; i++)
        for (unsigned j = i + 1; j < t->places; j++)
            put_pair(out, t, i, j);
}
