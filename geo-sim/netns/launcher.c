/* SPDX-License-Identifier: Apache-2.0 */
/* launcher.c: walks over the seats. */
#include "geo-sim/netns/launcher.h"

#include <stdio.h>

void geo_seat_of(const char *world, const struct topo *t, unsigned place, unsigned node, struct geo_seat *ret) {
    CHECK(place < t->places && node < topo_nodes(t, place));
    const struct topo_region *r = &t->region[t->place[place].region];
    *ret = (struct geo_seat){
        .topo = t, .place = place, .node = node, .region = r->name, .zone = r->zone[t->place[place].zone]};
    snprintf(ret->name, sizeof ret->name, "%s-%u", t->place[place].name, node + 1);
    geo_netns_name(world, t, place, ret->netns);
    topo_addr_format(topo_addr(t, place, node), ret->addr);
}

/* Stops the first `count` seats, the last of them first. */
static void stop_seats(const char *world, const struct topo *t, const struct geo_launcher *l, unsigned count) {
    struct geo_seat seat;
    unsigned index = 0;
    for (unsigned left = count; left > 0; left--) {
        index = left - 1;
        unsigned place = 0;
        while (index >= topo_nodes(t, place))
            index -= topo_nodes(t, place++);
        geo_seat_of(world, t, place, index, &seat);
        l->stop(l->ctx, &seat);
    }
}

enum rc geo_launch(const char *world, const struct topo *t, const struct geo_launcher *l, struct err *err) {
    struct geo_seat seat;
    unsigned started = 0;
    for (unsigned place = 0; place < t->places; place++)
        for (unsigned node = 0; node < topo_nodes(t, place); node++) {
            geo_seat_of(world, t, place, node, &seat);
            enum rc rc = l->start(l->ctx, &seat, err);
            if (rc) {
                stop_seats(world, t, l, started);
                return err_wrap(err, "%s: start %s", l->name, seat.name);
            }
            started++;
        }
    return RC_OK;
}

void geo_recall(const char *world, const struct topo *t, const struct geo_launcher *l) {
    unsigned count = 0;
    for (unsigned place = 0; place < t->places; place++)
        count += topo_nodes(t, place);
    stop_seats(world, t, l, count);
}
