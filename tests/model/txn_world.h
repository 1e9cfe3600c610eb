/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn_world.h: sites (txn/site.h) in a world that does everything to them: messages lost, doubled, late; leaders that
 * die with their memory or hand over; gateways that die; tablets that split in the middle; clocks that wander within
 * their bounds.
 *
 * A tablet is a replicated log that does not lose what it has chosen, with one leader at a time; replicas are not
 * modelled, but each new leader is built anew from the last snapshot and the log. Clients run random transactions; what
 * they saw goes through the two checkers of geo-sim/check/history.h. A world is a pure function of its seed; the first
 * broken invariant is kept.
 *
 * Threads     one.
 */
#ifndef MERIDIAN_TESTS_TXN_WORLD_H
#define MERIDIAN_TESTS_TXN_WORLD_H

#include "geo-sim/check/history.h"
#include "truetime/base/rng.h"
#include "txn/site.h"

struct tw_conf {
    uint64_t seed;
    uint32_t tablets; /* at first */
    uint32_t gateways;
    int64_t clock_error_ns;
    double loss, duplicate, late;                         /* of messages; late: by seconds */
    double crash, transfer, split, gateway_crash, refuse; /* a step */
    bool one_key;                                         /* everybody wants the same few keys */
    bool short_leases;                                    /* so that times often do not fit */
    uint64_t at_step; /* 0, or the one step at which `what` happens to every tablet, or to a gateway */
    enum { TW_CRASH, TW_TRANSFER, TW_SPLIT, TW_GATEWAY, TW_KINDS } what;
    uint64_t clients_stop; /* 0, or the step after which no transaction begins */
    const char *mutant;
};

struct tw;

struct tw *tw_new(const struct tw_conf *conf);
void tw_free(struct tw *w);
/* Steps with faults; false once an invariant is broken. */
bool tw_run(struct tw *w, uint64_t steps);
/* No more faults, no new transactions: everything must end, no lock and no prepared record may be left, and the history
 * must be strictly serializable. */
bool tw_settle(struct tw *w);
const char *tw_broken(const struct tw *w); /* NULL: nothing */

struct tw_stats {
    uint64_t committed, aborted, unknown, resolved, read_only, two_phase, one_phase, splits, reigns, wounds, retries;
};
void tw_stats(const struct tw *w, struct tw_stats *ret);
void tw_probes(const struct tw *w, void (*fn)(void *ctx, const char *what, uint64_t hits), void *ctx);

#endif
