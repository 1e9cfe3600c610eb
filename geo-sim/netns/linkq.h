/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linkq.h: what a line does to a packet: the model of the user-space link emulator, without sockets and without a clock.
 *
 *     push at now ---> lost? cut? full?  ---> the sender's line, at its rate ---> due = end of sending + delay +- jitter ---> pop
 *
 * Promise     A packet that is taken comes out once, unchanged, at its due time or at the first pop after it. The packets of one
 *             direction keep their order, whatever the jitter, but for the share that `reorder` picks: these skip the delay, as
 *             with netem. A cut direction takes nothing new; what is under way still arrives. A change of a direction counts
 *             from the next packet on.
 * Relies on   the caller's clock, in nanoseconds, never going back.
 * Threads     one.
 * Limits      each direction holds what its line carries in delay + 4 jitter + 200 ms (64 MiB if it is unlimited), all together
 *             256 MiB: beyond that packets are dropped and counted, as a router's full queue does.
 */
#ifndef MERIDIAN_GEO_LINKQ_H
#define MERIDIAN_GEO_LINKQ_H

#include "geo-sim/topology/topo.h"

enum { LINKQ_PACKET_BYTES_MAX = 65536 };
#define LINKQ_NEVER INT64_MAX

struct linkq;

struct linkq_packet {
    int64_t due_ns;
    uint64_t number; /* in order of arrival: among packets that are due together, the first comes first */
    uint16_t from, to;
    uint32_t bytes;
    uint8_t data[];
};

enum linkq_verdict { LINKQ_TAKEN, LINKQ_LOST, LINKQ_CUT, LINKQ_FULL, LINKQ_NOMEM, LINKQ_VERDICTS };

struct linkq_counts {
    uint64_t of[LINKQ_VERDICTS];
    uint64_t delivered, reordered;
    int64_t queued_bytes;
};

/* seed: of the dice for loss, jitter and reordering. */
enum rc linkq_new(unsigned places, uint64_t seed, struct linkq **ret) MUST_CHECK;
void linkq_free(struct linkq *q); /* drops what is under way */
void linkq_set(struct linkq *q, unsigned from, unsigned to, const struct topo_link *link);
/* Copies data. */
enum linkq_verdict linkq_push(struct linkq *q, unsigned from, unsigned to, int64_t now_ns, const void *data,
                              size_t bytes);
/* When the next packet is due; LINKQ_NEVER: there is none. */
int64_t linkq_due(const struct linkq *q);
/* The next packet that is due at now_ns, or NULL; the caller frees it (free). */
struct linkq_packet *linkq_pop(struct linkq *q, int64_t now_ns);
const struct linkq_counts *linkq_counts(const struct linkq *q, unsigned from, unsigned to);
int64_t linkq_queued_bytes(const struct linkq *q);

#endif
