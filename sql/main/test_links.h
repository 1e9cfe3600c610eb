/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_links.h: `meridian start --test-links FILE`: the send delays of a topology, for nodes on one machine without distances.
 *
 * FILE is a topology (docs/geo-sim.md); of it only what delays and cuts is used: region, zone-rtt, link, oneway, cut, heal. No
 * jitter, loss or rate: those need a network (`meridian geo`).
 *
 * Promise     The file may be replaced while nodes run: test_links_refresh takes over its delays and cuts, or keeps the old ones
 *             and says why. Regions and zones are those of the first reading.
 * Relies on   nothing but the file.
 * Threads     test_links_delay: any; the rest by one.
 * Limits      64 places.
 */
#ifndef MERIDIAN_SQL_TEST_LINKS_H
#define MERIDIAN_SQL_TEST_LINKS_H

#include "truetime/base/err.h"

struct test_links;

/* RC_INVAL with FILE:LINE. */
enum rc test_links_open(const char *path, struct test_links **ret, struct err *err) MUST_CHECK;
void test_links_free(struct test_links *l); /* NULL is fine */
/* Looks whether the file was replaced. */
enum rc test_links_refresh(struct test_links *l, struct err *err) MUST_CHECK;
/* One way, in ns; PEER_DELAY_CUT: nothing passes; 0: a place that the file does not know. */
int64_t test_links_delay(const struct test_links *l, const char *from_region, const char *from_zone,
                         const char *to_region, const char *to_zone);

#endif
