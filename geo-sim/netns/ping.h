/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ping.h: what the network really does: round trips between all places at once, and the verdict on them.
 *
 * The kernel of each namespace answers ICMP echo requests by itself, so the prober needs no partner: one raw socket in each
 * namespace, all in one process. Arrivals are stamped by the kernel, so that a busy machine spoils them less. And the prober looks
 * at its own clock each millisecond: a probe at one of whose ends it did not run (a virtual machine that stood still, an
 * overloaded one) says nothing about the network. Where a verdict is not good, such probes are void, and others are sent
 * for up to ten times as long.
 *
 * Promise     The verdict is strict where it can be: the median is off by no more than 1 ms or 2 % of the asked-for round trip,
 *             whichever is more, plus three standard errors of a median where the topology asks for jitter; pairs that are cut
 *             answer nothing; all others answer.
 * Relies on   CAP_NET_RAW in the namespaces.
 * Threads     the main one (it enters namespaces, and comes back).
 */
#ifndef MERIDIAN_GEO_PING_H
#define MERIDIAN_GEO_PING_H

#include "geo-sim/netns/plan.h"

enum { PING_ROUNDS_MAX = 101, PING_ROUNDS = 21 };

struct ping_pair {
    unsigned sent, came, voided;     /* voided: came, while the prober stood still; in neither of the others */
    int64_t rtt_ns[PING_ROUNDS_MAX]; /* of those that came, sorted */
};

struct ping_matrix {
    unsigned rounds;
    struct ping_pair pair[TOPO_PLACES_MAX][TOPO_PLACES_MAX]; /* [a][b], a < b */
};

/* Sends `rounds` echo requests between each pair and waits for the answers. */
enum rc ping_measure(const char *world, const struct topo *t, unsigned rounds, struct ping_matrix *ret,
                     struct err *err) MUST_CHECK;

enum ping_verdict { PING_OK, PING_OFF, PING_SILENT, PING_NOT_CUT };
/* ret_off_ns: median - asked for; ret_allowed_ns: how much it may be. */
enum ping_verdict ping_judge(const struct topo *t, unsigned a, unsigned b, const struct ping_pair *p,
                             int64_t *ret_off_ns, int64_t *ret_allowed_ns);
static inline int64_t ping_median_ns(const struct ping_pair *p) {
    return p->came ? p->rtt_ns[p->came / 2] : 0;
}

#endif
