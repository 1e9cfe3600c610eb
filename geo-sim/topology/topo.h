/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topo.h: a world to run in: regions, zones, nodes, and what lies between them.
 *
 *     format 1
 *     subnet 10.77.0.0/16                            region I owns 10.77.I.0/24
 *     region us-east 1 zones a b nodes 2 at 37.4 -79.4    number 1; two zones with two nodes each; where it is on a map
 *     region eu-west 2                               one zone, "a", with one node
 *     zone-rtt 0.9ms jitter 0.1ms                    between zones of one region
 *     default jitter 1% loss 0 rate 1gbit            where a line below says nothing
 *     link us-east eu-west rtt 90ms loss 0.01%       both directions, half of the rtt each
 *     oneway us-east eu-west delay 60ms              afterwards: one direction is different
 *     cut us-east.a eu-west oneway                   nothing passes from zone a of us-east to eu-west
 *     clock eu-west offset 37ms drift 80ppm          its machines' clocks are off (real time + 37 ms, 80 ppm too fast)
 *     master eu-west 3 period 250ms jitter 100us err 500us     simulated time masters
 *
 * One statement a line, `#` begins a comment, `=` is as good as a blank. A *place* is a zone: what one network namespace or one
 * simulated machine room holds. A SET names places: REGION, REGION.ZONE, several with commas, or * for all.
 *
 *     link SET SET ATTRIBUTE...       ATTRIBUTE: rtt DUR | delay DUR (one way) | jitter DUR or N% of the delay (one sigma, a
 *     oneway SET SET ATTRIBUTE...     direction) | loss N% | reorder N% | rate N{kbit,mbit,gbit} or unlimited
 *     cut SET SET [oneway]            heal SET SET [oneway]
 *
 * Promise     What parses is complete: every place can be reached from every other, or is cut off on purpose. What does not parse
 *             says so as NAME:LINE:COLUMN: what is wrong. topo_print's text parses into an equal topology.
 * Relies on   nothing: no files, no clock.
 * Threads     any; a struct topo by one at a time.
 * Limits      below. Delays up to a minute.
 */
#ifndef MERIDIAN_TOPO_H
#define MERIDIAN_TOPO_H

#include "truetime/base/buf.h"

enum {
    TOPO_REGIONS_MAX = 32,
    TOPO_ZONES_MAX = 8, /* of a region: each has 32 addresses of its region's 256 */
    TOPO_PLACES_MAX = 64,
    TOPO_NODES_MAX = 30, /* of a place */
    TOPO_MASTERS_MAX = 8,
    TOPO_NAME_BYTES = 16,
    TOPO_ZONE_BYTES = 8,
    TOPO_PLACE_BYTES = TOPO_NAME_BYTES + TOPO_ZONE_BYTES,
    TOPO_ADDR_BYTES = 16,
    TOPO_TEXT_BYTES_MAX = 256 << 10,
    TOPO_WORDS_MAX = 40 /* of a line */
};

/* One direction. Loss, reorder: parts per million of the packets. */
struct topo_link {
    int64_t delay_ns, jitter_ns; /* jitter: one sigma of a normal distribution, around the delay */
    int64_t rate_bps;            /* bits a second; 0 = unlimited */
    int32_t loss_ppm, reorder_ppm;
    bool cut;
};

struct topo_region {
    char name[TOPO_NAME_BYTES];
    unsigned number;                    /* 1 ... 254: the third byte of its addresses */
    unsigned zones, nodes, first_place; /* nodes: of each zone */
    char zone[TOPO_ZONES_MAX][TOPO_ZONE_BYTES];
    bool on_map;
    double latitude, longitude;
    int64_t clock_offset_ns, clock_drift_ppb;
    bool chronyd; /* its machines ask a chronyd that listens to the masters, instead of reading their memory */
    unsigned masters;
    int64_t master_period_ns, master_jitter_ns, master_err_ns;
};

struct topo_place {
    char name[TOPO_PLACE_BYTES]; /* "us-east", or "us-east.b" where the region has several zones */
    unsigned region, zone;
};

struct topo {
    uint32_t subnet; /* host byte order */
    unsigned regions, places;
    struct topo_region region[TOPO_REGIONS_MAX];
    struct topo_place place[TOPO_PLACES_MAX];
    struct topo_link link[TOPO_PLACES_MAX][TOPO_PLACES_MAX]; /* [from][to]; the diagonal is not used */
};

static_assert(TOPO_REGIONS_MAX * TOPO_MASTERS_MAX <= 256, "a unit for each master");

typedef uint64_t topo_set; /* bit i: place i */
static_assert(TOPO_PLACES_MAX <= 64, "a bit each");

/* name: of the file, for messages. RC_INVAL with NAME:LINE:COLUMN; RC_LIMIT; RC_NOMEM. */
enum rc topo_parse(const char *name, const char *text, size_t bytes, struct topo **ret, struct err *err) MUST_CHECK;
void topo_free(struct topo *t);

/* Applies one more statement, link, oneway, cut or heal, with only what it names; on failure nothing has changed. */
enum rc topo_apply(struct topo *t, const char *statement, struct err *err) MUST_CHECK;
/* The text of t as it is now. */
void topo_print(const struct topo *t, struct buf *out);

/* The places of a SET. RC_NOTFOUND. */
enum rc topo_match(const struct topo *t, const char *set, topo_set *ret, struct err *err) MUST_CHECK;
/* The index of a place by its exact name, or of a region with a single zone; -1 = none. */
int topo_find(const struct topo *t, const char *place);
bool topo_equal(const struct topo *a, const struct topo *b);
bool topo_link_equal(const struct topo_link *a, const struct topo_link *b);

static inline unsigned topo_nodes(const struct topo *t, unsigned place) {
    return t->region[t->place[place].region].nodes;
}
static inline int64_t topo_rtt_ns(const struct topo *t, unsigned a, unsigned b) {
    return t->link[a][b].delay_ns + t->link[b][a].delay_ns;
}
static inline bool topo_is_cut(const struct topo *t, unsigned a, unsigned b) {
    return t->link[a][b].cut || t->link[b][a].cut;
}
/* The address of node k (from 0) of a place, host byte order; a place owns the 32 addresses from topo_place_base on. */
uint32_t topo_place_base(const struct topo *t, unsigned place);
static inline uint32_t topo_addr(const struct topo *t, unsigned place, unsigned node) {
    return topo_place_base(t, place) + 1 + node;
}
/* The place that an address belongs to; -1 = none. */
int topo_place_of(const struct topo *t, uint32_t addr);
const char *topo_addr_format(uint32_t addr, char to[TOPO_ADDR_BYTES]); /* returns to */
/* The unit of ntpd's shared memory that time master k of a region writes: from the top, since real receivers use the first. */
static inline unsigned topo_master_unit(unsigned region, unsigned k) {
    return (TOPO_REGIONS_MAX - 1 - region) * TOPO_MASTERS_MAX + k;
}

#endif
