/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c: the commands.
 *
 * What netem needs, learnt the hard way:
 *   - `limit` counts packets, 1000 unless told, which 1 Gbit/s fills in 12 ms;
 *   - jitter without `rate` reorders, so there always is a rate;
 *   - `change` sets everything anew: every parameter is said each time;
 *   - packets that no class takes leave without delay and without an error: set-up ends with a ping matrix (ping.h);
 *   - a GSO super-packet counts as one packet for loss: eth0 makes none;
 *   - a blackhole route is no partition (senders are told at once); loss 100% is.
 */
#include "geo-sim/netns/plan.h"

#include <inttypes.h>
#include <stdio.h>

enum { CLASS_FIRST = 0x10, LIMIT_PACKETS = 100000, QUANTUM = 60000 };
#define RATE_UNLIMITED_BPS INT64_C(10000000000)

const char *geo_backend_name(enum geo_backend b) {
    static const char *const names[GEO_BACKENDS] = {"tun", "netem", "loopback"};
    return b < GEO_BACKENDS ? names[b] : "?";
}

bool geo_world_valid(const char *world) {
    size_t n = strlen(world);
    return n > 0 && n < GEO_WORLD_BYTES && strspn(world, "abcdefghijklmnopqrstuvwxyz0123456789") == n;
}

void geo_netns_prefix(const char *world, char to[GEO_NETNS_BYTES]) {
    snprintf(to, GEO_NETNS_BYTES, "geo-%s-", world);
}

void geo_netns_name(const char *world, const struct topo *t, unsigned place, char to[GEO_NETNS_BYTES]) {
    CHECK(place < t->places);
    snprintf(to, GEO_NETNS_BYTES, "geo-%s-%s", world, t->place[place].name);
}

static void put_addrs(struct buf *out, const char *ns, const char *dev, const struct topo *t, unsigned place,
                      unsigned bits) {
    char addr[TOPO_ADDR_BYTES];
    for (unsigned k = 0; k < topo_nodes(t, place); k++)
        buf_printf(out, "ip -n %s addr add %s/%u dev %s\n", ns, topo_addr_format(topo_addr(t, place, k), addr), bits,
                   dev);
}

/* ---- netem ------------------------------------------------------------------------------------------------------- */

static int64_t rate_of(const struct topo_link *l) {
    return l->rate_bps ? l->rate_bps : RATE_UNLIMITED_BPS;
}

static int64_t us_of(int64_t ns) {
    return (ns + 500) / 1000;
}

static void put_share(struct buf *out, const char *word, int32_t ppm) {
    buf_printf(out, " %s %d.%04d%%", word, ppm / 10000, ppm % 10000);
}

static void put_netem(struct buf *out, const char *verb, const char *ns, unsigned to, const struct topo_link *l) {
    unsigned class = CLASS_FIRST + to;
    int32_t loss = l->cut ? 1000000 : l->loss_ppm;
    buf_printf(out, "tc -n %s qdisc %s dev eth0 parent 1:%x handle %x: netem limit %d delay %" PRId64 "us", ns, verb,
               class, class, LIMIT_PACKETS, us_of(l->delay_ns));
    if (us_of(l->jitter_ns) > 0)
        buf_printf(out, " %" PRId64 "us distribution normal", us_of(l->jitter_ns));
    put_share(out, "loss", loss);
    if (l->reorder_ppm && us_of(l->delay_ns) > 0) /* netem wants a delay to reorder against */
        put_share(out, "reorder", l->reorder_ppm);
    buf_printf(out, " rate %" PRId64 "bit\n", rate_of(l));
}

static void put_class(struct buf *out, const char *verb, const char *ns, unsigned to, const struct topo_link *l) {
    buf_printf(out, "tc -n %s class %s dev eth0 parent 1: classid 1:%x htb rate %" PRId64 "bit quantum %d\n", ns, verb,
               CLASS_FIRST + to, rate_of(l), QUANTUM);
}

static void put_filter(struct buf *out, const char *ns, const struct topo *t, unsigned to) {
    char addr[TOPO_ADDR_BYTES];
    buf_printf(out, "tc -n %s filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst %s/27 flowid 1:%x\n",
               ns, topo_addr_format(topo_place_base(t, to), addr), CLASS_FIRST + to);
}

static void plan_netem(const char *world, const struct topo *t, struct buf *out) {
    char wan[GEO_NETNS_BYTES], ns[GEO_NETNS_BYTES];
    snprintf(wan, sizeof wan, "geo-%s-0wan", world);
    buf_printf(out, "ip netns add %s\nip -n %s link add br0 type bridge\nip -n %s link set br0 up\n", wan, wan, wan);
    for (unsigned i = 0; i < t->places; i++) {
        geo_netns_name(world, t, i, ns);
        buf_printf(out, "ip netns add %s\nip -n %s link set lo up\n", ns, ns);
        buf_printf(out, "ip link add eth0 netns %s type veth peer name w%u netns %s\n", ns, i, wan);
        put_addrs(out, ns, "eth0", t, i, 16);
        buf_printf(out, "ip -n %s link set eth0 gso_max_segs 1 up\nip -n %s link set w%u master br0 up\n", ns, wan, i);
        buf_printf(out, "tc -n %s qdisc add dev eth0 root handle 1: htb default 1 r2q 1000\n", ns);
        buf_printf(out, "tc -n %s class add dev eth0 parent 1: classid 1:1 htb rate %" PRId64 "bit quantum %d\n", ns,
                   RATE_UNLIMITED_BPS, QUANTUM);
        for (unsigned j = 0; j < t->places; j++)
            if (i != j) {
                put_class(out, "add", ns, j, &t->link[i][j]);
                put_netem(out, "add", ns, j, &t->link[i][j]);
                put_filter(out, ns, t, j);
            }
    }
}

void geo_plan_link(const char *world, const struct topo *t, unsigned from, unsigned to, struct buf *out) {
    char ns[GEO_NETNS_BYTES];
    geo_netns_name(world, t, from, ns);
    put_class(out, "change", ns, to, &t->link[from][to]);
    put_netem(out, "change", ns, to, &t->link[from][to]);
}

void geo_plan_probe(const char *world, struct buf *out) {
    char ns[GEO_NETNS_BYTES];
    snprintf(ns, sizeof ns, "geo-%s-0probe", world);
    buf_printf(out, "ip netns add %s\n", ns);
    buf_printf(out, "tc -n %s qdisc add dev lo root netem delay 1ms 1us distribution normal rate 1gbit\n", ns);
    buf_printf(out, "ip netns del %s\n", ns);
}

/* ---- tun --------------------------------------------------------------------------------------------------------- */

static void plan_tun(const char *world, const struct topo *t, struct buf *out) {
    char ns[GEO_NETNS_BYTES];
    for (unsigned i = 0; i < t->places; i++) {
        geo_netns_name(world, t, i, ns);
        buf_printf(out, "ip netns add %s\nip -n %s link set lo up\n", ns, ns);
    }
}

void geo_plan_begin(enum geo_backend b, const char *world, const struct topo *t, struct buf *out) {
    CHECK(geo_world_valid(world));
    if (b == GEO_NETEM)
        plan_netem(world, t, out);
    else
        plan_tun(world, t, out);
}

void geo_plan_finish(enum geo_backend b, const char *world, const struct topo *t, struct buf *out) {
    char ns[GEO_NETNS_BYTES], net[TOPO_ADDR_BYTES], addr[TOPO_ADDR_BYTES];
    if (b == GEO_NETEM)
        return;
    for (unsigned i = 0; i < t->places; i++) {
        geo_netns_name(world, t, i, ns);
        put_addrs(out, ns, "wan0", t, i, 32);
        buf_printf(out, "ip -n %s link set wan0 txqueuelen 4000 up\n", ns);
        buf_printf(out, "ip -n %s route add %s/16 dev wan0 src %s\n", ns, topo_addr_format(t->subnet, net),
                   topo_addr_format(topo_addr(t, i, 0), addr));
    }
}
