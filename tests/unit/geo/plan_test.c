/* SPDX-License-Identifier: Apache-2.0 */
/* From a topology to commands: the whole text for a small world, word for word, and what must hold for any. */
#include "geo-sim/netns/plan.h"

#include <stdio.h>

#include "tests/lib/tap.h"

static const char text[] = "format 1\n"
                           "region us 1 nodes 2\n"
                           "region eu 2\n"
                           "link us eu rtt 73ms jitter 1% loss 0.25% rate 200mbit\n"
                           "oneway eu us delay 40ms jitter 0 loss 0 reorder 1% rate unlimited\n";

static struct topo *world(const char *from) {
    struct topo *t = NULL;
    struct err err = {0};
    OKF(topo_parse("w", from, strlen(from), &t, &err) == RC_OK, "%s", err.message);
    CHECK(t);
    return t;
}

static void tun(void) {
    struct topo *t = world(text);
    struct buf b;
    buf_init(&b, 0);
    geo_plan_begin(GEO_TUN, "main", t, &b);
    EQ_STR(buf_cstr(&b), "ip netns add geo-main-us\n"
                         "ip -n geo-main-us link set lo up\n"
                         "ip netns add geo-main-eu\n"
                         "ip -n geo-main-eu link set lo up\n");
    buf_reset(&b, 0);
    geo_plan_finish(GEO_TUN, "main", t, &b);
    EQ_STR(buf_cstr(&b), "ip -n geo-main-us addr add 10.77.1.1/32 dev wan0\n"
                         "ip -n geo-main-us addr add 10.77.1.2/32 dev wan0\n"
                         "ip -n geo-main-us link set wan0 txqueuelen 4000 up\n"
                         "ip -n geo-main-us route add 10.77.0.0/16 dev wan0 src 10.77.1.1\n"
                         "ip -n geo-main-eu addr add 10.77.2.1/32 dev wan0\n"
                         "ip -n geo-main-eu link set wan0 txqueuelen 4000 up\n"
                         "ip -n geo-main-eu route add 10.77.0.0/16 dev wan0 src 10.77.2.1\n");
    buf_done(&b);
    topo_free(t);
}

static void netem(void) {
    struct topo *t = world(text);
    struct buf b;
    struct err err = {0};
    buf_init(&b, 0);
    geo_plan_begin(GEO_NETEM, "w2", t, &b);
    EQ_STR(
        buf_cstr(&b),
        "ip netns add geo-w2-0wan\n"
        "ip -n geo-w2-0wan link add br0 type bridge\n"
        "ip -n geo-w2-0wan link set br0 up\n"
        "ip netns add geo-w2-us\n"
        "ip -n geo-w2-us link set lo up\n"
        "ip link add eth0 netns geo-w2-us type veth peer name w0 netns geo-w2-0wan\n"
        "ip -n geo-w2-us addr add 10.77.1.1/16 dev eth0\n"
        "ip -n geo-w2-us addr add 10.77.1.2/16 dev eth0\n"
        "ip -n geo-w2-us link set eth0 gso_max_segs 1 up\n"
        "ip -n geo-w2-0wan link set w0 master br0 up\n"
        "tc -n geo-w2-us qdisc add dev eth0 root handle 1: htb default 1 r2q 1000\n"
        "tc -n geo-w2-us class add dev eth0 parent 1: classid 1:1 htb rate 10000000000bit quantum 60000\n"
        "tc -n geo-w2-us class add dev eth0 parent 1: classid 1:11 htb rate 200000000bit quantum 60000\n"
        "tc -n geo-w2-us qdisc add dev eth0 parent 1:11 handle 11: netem limit 100000 delay 36500us 365us "
        "distribution normal loss 0.2500% rate 200000000bit\n"
        "tc -n geo-w2-us filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 10.77.2.0/27 flowid 1:11\n"
        "ip netns add geo-w2-eu\n"
        "ip -n geo-w2-eu link set lo up\n"
        "ip link add eth0 netns geo-w2-eu type veth peer name w1 netns geo-w2-0wan\n"
        "ip -n geo-w2-eu addr add 10.77.2.1/16 dev eth0\n"
        "ip -n geo-w2-eu link set eth0 gso_max_segs 1 up\n"
        "ip -n geo-w2-0wan link set w1 master br0 up\n"
        "tc -n geo-w2-eu qdisc add dev eth0 root handle 1: htb default 1 r2q 1000\n"
        "tc -n geo-w2-eu class add dev eth0 parent 1: classid 1:1 htb rate 10000000000bit quantum 60000\n"
        "tc -n geo-w2-eu class add dev eth0 parent 1: classid 1:10 htb rate 10000000000bit quantum 60000\n"
        "tc -n geo-w2-eu qdisc add dev eth0 parent 1:10 handle 10: netem limit 100000 delay 40000us loss 0.0000% "
        "reorder 1.0000% rate 10000000000bit\n"
        "tc -n geo-w2-eu filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 10.77.1.0/27 flowid 1:10\n");
    buf_reset(&b, 0);
    geo_plan_finish(GEO_NETEM, "w2", t, &b);
    EQ_INT(b.len, 0);
    /* A change says everything again; a cut is a loss of all, and heals into what it was. */
    OK(topo_apply(t, "cut us eu oneway", &err) == RC_OK);
    geo_plan_link("w2", t, 0, 1, &b);
    EQ_STR(buf_cstr(&b),
           "tc -n geo-w2-us class change dev eth0 parent 1: classid 1:11 htb rate 200000000bit quantum 60000\n"
           "tc -n geo-w2-us qdisc change dev eth0 parent 1:11 handle 11: netem limit 100000 delay 36500us 365us "
           "distribution normal loss 100.0000% rate 200000000bit\n");
    buf_reset(&b, 0);
    OK(topo_apply(t, "heal us eu", &err) == RC_OK);
    geo_plan_link("w2", t, 0, 1, &b);
    OK(strstr(buf_cstr(&b), "loss 0.2500% rate"));
    buf_done(&b);
    topo_free(t);
}

/* Zones: each is a namespace; nearly every name and class differs; all fits into the limits of the tools. */
static void many_zones(void) {
    struct topo *t;
    struct buf b, in;
    char ns[GEO_NETNS_BYTES];
    buf_init(&b, 0);
    buf_init(&in, 0);
    buf_puts(&in, "format 1\nzone-rtt 1ms\n");
    for (int i = 1; i <= 8; i++)
        buf_printf(&in, "region region-%d-abcdef %d zones a b c d e f g h\n", i, i);
    buf_puts(&in, "link * * rtt 50ms rate 1gbit\n");
    t = world(buf_cstr(&in));
    geo_netns_name("abcdefghijklmno", t, 63, ns);
    EQ_STR(ns, "geo-abcdefghijklmno-region-8-abcdef.h");
    geo_plan_begin(GEO_NETEM, "main", t, &b);
    unsigned netems = 0, lines = 0;
    for (const char *at = buf_cstr(&b); *at; at = strchr(at, '\n') + 1) {
        unsigned words = 1;
        for (const char *c = at; *c != '\n'; c++)
            words += *c == ' ';
        OK(words < 32);
        lines++;
        netems += strncmp(at, "tc ", 3) == 0 && strstr(at, " netem ") && strstr(at, " netem ") < strchr(at, '\n');
    }
    EQ_INT(netems, 64 * 63);
    OK(lines > 3 * netems);
    OK(strstr(buf_cstr(&b), "match ip dst 10.77.8.224/27 flowid 1:4f\n"));
    buf_done(&in);
    buf_done(&b);
    topo_free(t);
}

static void worlds_have_names(void) {
    char prefix[GEO_NETNS_BYTES];
    OK(geo_world_valid("main") && geo_world_valid("w2") && geo_world_valid("abcdefghijklmno"));
    OK(!geo_world_valid("") && !geo_world_valid("abcdefghijklmnop") && !geo_world_valid("a-b") &&
       !geo_world_valid("A") && !geo_world_valid("../x") && !geo_world_valid("a b"));
    geo_netns_prefix("main", prefix);
    EQ_STR(prefix, "geo-main-");
    EQ_STR(geo_backend_name(GEO_NETEM), "netem");
}

int main(void) {
    RUN(tun);
    RUN(netem);
    RUN(many_zones);
    RUN(worlds_have_names);
    return tap_done();
}
