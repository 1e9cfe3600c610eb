/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h: clocks that check each other (rule C-4).
 *
 * Every message between nodes carries the sender's interval at the moment of sending. Two intervals that cannot both be right
 * prove that a bound is false somewhere, even where each node's own sources see nothing: a paused virtual machine, one lying
 * chronyd. Two things can be seen, since a message arrives after it was sent:
 *
 *     sender.earliest > my latest now                      the sender is ahead of me, or I am behind
 *     sender.latest   < my earliest when I asked           the sender is behind me, or I am ahead (an answer only)
 *
 * Promise     Contradictions are counted for each peer and the worst is kept. A node that most of the peers it has heard of
 *             lately contradict is the one that is probably wrong: tt_peers_step_back then says that it should stop serving
 *             and give its leases up. One peer proves nothing about who is wrong, so with a single peer it never does.
 * Relies on   tt_now of this node's clock.
 * Threads     one env's.
 * Source      the failure that it is for: yugabyte-db issue 32077 (live migration: small error bound, displaced clock).
 */
#ifndef MERIDIAN_TRUETIME_PEER_H
#define MERIDIAN_TRUETIME_PEER_H

#include "truetime/base/ilist.h"
#include "truetime/clock.h"

struct tt_peer {
    struct ilist link;
    int64_t heard_raw; /* when it was checked last; 0 = never */
    bool contradicts;  /* at the last check */
    int64_t worst_ns;  /* by how much, at most */
    uint64_t checks, contradictions;
};

struct tt_peers {
    struct tt_clock *clock;
    struct ilist peers;
    struct counter checks, contradictions;
    struct gauge worst_ns;
    struct metric metrics[3];
};

void tt_peers_init(struct tt_peers *ps, struct tt_clock *clock);
/* Shows the counters in the clock's env; ps must outlive their last dump. */
void tt_peers_metrics(struct tt_peers *ps);
/* A peer lives in its connection. */
void tt_peer_join(struct tt_peers *ps, struct tt_peer *peer);
void tt_peer_leave(struct tt_peer *peer); /* harmless twice */

/* A message from peer that carries `theirs` has just been read. asked_earliest: our own earliest at a moment that was before
 * the peer stamped it (when we sent the request that it answers); INT64_MIN where there is none. Unknown intervals say
 * nothing. Returns by how many nanoseconds the two cannot both be right; 0 = they can. */
int64_t tt_check_peer(struct tt_peers *ps, struct tt_peer *peer, tt_interval theirs, int64_t asked_earliest);

/* More than half of the peers heard of in the last 10 s contradict us, and at least two do. */
bool tt_peers_step_back(const struct tt_peers *ps);

#endif
