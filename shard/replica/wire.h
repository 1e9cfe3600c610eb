/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h: what the core says, as protobuf, and back. Pure.
 *
 * Promise     Out: entries are not copied before the one copy into the connection's queue; values are referenced until
 *             replica_out_clear. In: every count, length and number of a message is checked before the core sees it; what
 *             the core takes for granted of a log (slots one after the other, kinds, ballots) holds.
 * Relies on   protobuf-c, an arena.
 * Threads     one at a time.
 */
#ifndef MERIDIAN_REPLICA_WIRE_H
#define MERIDIAN_REPLICA_WIRE_H

#include "paxos/support.h"
#include "shard/replica/replica.h"
#include "shard/replica/replica.pb-c.h"

enum { REPLICA_ENTRIES_MAX = 8192, REPLICA_BATCH_MESSAGES_MAX = 16384 };

/* A batch in the making. */
struct replica_out {
    struct arena arena;
    Replica__Batch batch;
    size_t messages_cap, supports_cap, wants_cap, values, values_cap;
    struct px_value **value; /* referenced */
    size_t bytes;            /* of data, about */
};

void replica_out_init(struct replica_out *o);
void replica_out_done(struct replica_out *o);
/* Empty again. */
void replica_out_clear(struct replica_out *o);
bool replica_out_empty(const struct replica_out *o);
/* Each may find no memory: RC_NOMEM, and nothing is added, as if the network had lost it. */
enum rc replica_out_message(struct replica_out *o, const struct px_msg *m) MUST_CHECK;
enum rc replica_out_support(struct replica_out *o, const struct support_msg *m) MUST_CHECK;
enum rc replica_out_want(struct replica_out *o, uint64_t group) MUST_CHECK;

/* A message as the core takes it. What it points to lies in the arena; its values are new. */
struct replica_in {
    struct px_msg m;
    struct px_config config;
    struct px_entry *entry;
};

/* RC_PROTOCOL: no such message. RC_NOMEM. */
enum rc replica_in_message(const Replica__Message *from, px_store sender, px_store self, uint64_t incarnation,
                           struct arena *a, struct replica_in *ret) MUST_CHECK;
/* Lets go of the values. */
void replica_in_clear(struct replica_in *in);
bool replica_in_support(const Replica__Support *from, px_store sender, px_store self, uint64_t incarnation,
                        struct support_msg *ret) MUST_CHECK;

#endif
