/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closed.h: up to which time nothing is assigned any more, for groups in which nothing happens.
 *
 * A follower of a busy group knows it from what it applies: each entry's timestamp is above those before it. In an idle
 * group time stands still for it, and reads of the recent past would have to go to the leader. So each store tells each other
 * store, ten times a second, one time C and which of the groups that it leads this holds for: only changes of that set travel
 * (N-5), so a pair of stores costs the same however many idle groups they share.
 *
 *     leader     a group in which nothing was assigned since the last tick: its floor rises to C within its lease (so C is
 *                covered by every hand-over and every successor's floor, S-1), n = the last slot assigned
 *     message    number k of the stream: C, groups that join (group, generation, round, n), groups that leave
 *     follower   once it has applied through n: everything at or below C is here
 *
 * Promise     closed_ts is a time T such that no entry behind those applied here has a timestamp at or below T. A message
 *             that is lost, late or doubled makes it lower, never wrong: a gap in the numbers empties the receiver's set.
 * Relies on   replica_serve for floor and lease; rpc.h for the order of messages in one connection (and checks it).
 * Threads     the store's own.
 * Limits      CLOSED_BATCH changes in one message, the rest in the next.
 */
#ifndef MERIDIAN_TABLET_CLOSED_H
#define MERIDIAN_TABLET_CLOSED_H

#include "shard/net/rpc.h"
#include "truetime/base/err.h"

enum { CLOSED_BATCH = 4096, CLOSED_STORES_MAX = 65536 };

struct tablets;
struct tablet;
struct closed;

enum rc closed_new(struct tablets *ts, struct closed **ret, struct err *err) MUST_CHECK;
void closed_free(struct closed *c); /* NULL is fine */
/* Registers what it receives. */
enum rc closed_register(struct closed *c, struct err *err) MUST_CHECK;
/* One round of telling: every CLOSED_TICK_NS. */
void closed_tick(struct closed *c);
/* What t's leader has closed, as far as it holds for what is applied here; 0: nothing. */
int64_t closed_ts(const struct closed *c, const struct tablet *t);

static const int64_t CLOSED_TICK_NS = 100000000, CLOSED_BEHIND_NS = 100000000;

#endif
