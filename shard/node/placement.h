/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement.h: where tablets belong, as data: system.placements says what a placement asks for, system.placed which table group
 * has which.
 *
 * Promise     A tablet's placement is that of the table group that it lies in; "default" (which a row of that name may define) for
 *             what lies in several groups or in one without. The leaders of tablets obey it when replicas are made, and bring
 *             what stands elsewhere over, one replica at a time and never below a quorum; a group that has a placement is
 *             split off from its neighbours.
 *             Read replicas: one in each region that asks for one and has no voter with data, PLACEMENT_READS_MAX at most (by
 *             region's name). They hold log and rows, never vote and never lead; all voters are made first. One that has not
 *             answered for READ_DEAD_NS gives its place to another node of its region, if one answers.
 *             A placement that cannot be obeyed (no node of its regions answers) waits; nothing is taken down for it.
 * Relies on   nodes' regions and zones as they say them; the directory, which learns both tables with each list.
 * Threads     any; the set is the directory's.
 */
#ifndef MERIDIAN_PLACEMENT_H
#define MERIDIAN_PLACEMENT_H

#include "shard/node/node.pb-c.h"
#include "shard/store/mvcc.h"

enum {
    PLACEMENT_VOTERS = 3,
    PLACEMENT_VOTERS_MAX = 7,
    PLACEMENT_READS_MAX = 8, /* with the voters and one that is to come: PX_MEMBERS_MAX */
    PLACEMENT_NAME_BYTES = 64,
    PLACEMENT_LIST_MAX = 32
};

/* RC_INVAL: names and numbers that make no sense. */
enum rc placement_check(const Node__Placement *p, struct err *err) MUST_CHECK;

/* May one of its voters be on this node? */
bool placement_allows(const Node__Placement *p, const Node__Node *n);
/* May this node have a read replica, should its region have no voter? */
bool placement_reads(const Node__Placement *p, const Node__Node *n);
/* How far down the list of leaders' regions this node stands; those that are not in it come last. */
size_t placement_rank(const Node__Placement *p, const Node__Node *n);
static inline uint32_t placement_voters(const Node__Placement *p) {
    return p && p->voters ? p->voters : PLACEMENT_VOTERS;
}

/* Of the group that [start, end) lies in. answer: with placements and placed. NULL: nothing is asked for. */
const Node__Placement *placement_of(const Node__Answer *all, struct mvcc_bytes start, struct mvcc_bytes end);
/* A border of a placed group strictly inside of [start, end), into ret (empty: there is none). */
enum rc placement_border(const Node__Answer *all, struct mvcc_bytes start, struct mvcc_bytes end, struct buf *ret,
                         struct err *err) MUST_CHECK;

#endif
