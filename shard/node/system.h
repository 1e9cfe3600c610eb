/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system.h: the tables in which a cluster remembers itself. They are tables like any other, in the system tablet.
 *
 *     system.nodes     1  node, rpc, sql, http, region, zone, stores, boot_id, clock_scale, version, starts, state
 *     system.tablets   2  start, tablet, generation, end, config, leader
 *     system.counters  3  name, value: the last number given
 *     system.placements 4 name, regions, zones, leaders (lists with commas), voters, read replicas' regions (a list;
 *                          "": each, "-": none)
 *     system.placed    5  group, placement
 *     system.objects  10  the SQL catalog's objects, and
 *     system.sequences 11 numbers of sequences: made here, kept by sql/catalog/store.h through transactions
 *
 * The system tablet (number 1) holds the keys before SYSTEM_GROUP_END; tablet 2 begins with all the rest.
 *
 * Promise     Rows are made and read in one place each. What is read is checked: a row that no version of ours wrote is
 *             RC_CORRUPT.
 * Threads     any.
 */
#ifndef MERIDIAN_NODE_SYSTEM_H
#define MERIDIAN_NODE_SYSTEM_H

#include "shard/node/node.pb-c.h"
#include "shard/store/fragment.h"
#include "shard/store/key.h"

enum {
    SYSTEM_NODES = 1,
    SYSTEM_TABLETS = 2,
    SYSTEM_COUNTERS = 3,
    SYSTEM_PLACEMENTS = 4,
    SYSTEM_PLACED = 5,
    SYSTEM_OBJECTS = 10,
    SYSTEM_SEQUENCES = 11,
    SYSTEM_TABLES_END = 12,  /* numbers between are free */
    SYSTEM_GROUP_END = 1000, /* table groups below are the system's (the catalog's too) */
    SYSTEM_TABLET = 1,
    SYSTEM_USER_TABLET = 2, /* the first one for everything else */
    SYSTEM_FIRST_TABLET = 16,
    SYSTEM_FIRST_ID = 16384,
    SYSTEM_ROW_VALUES_MAX = 12,
};

bool system_table_known(uint64_t id);
/* Descriptor of one of the tables above. */
enum rc system_table(uint64_t id, struct table **ret, struct err *err) MUST_CHECK;

/* system.placements as it was before its sixth column; such a table gets this one, with the old rows as they are ("": read replicas in
 * each region), before a row with six values is written. */
static inline bool system_placements_old(const struct table *t) {
    return t && t->n_cols == 5;
}
enum rc system_placements_table(uint32_t version, struct table **ret, struct err *err) MUST_CHECK;

/* Rows, borrowing from what they are made of. v: SYSTEM_ROW_VALUES_MAX values. */
uint16_t system_node_row(const Node__Node *n, struct value *v);
uint16_t system_tablet_row(const Node__Tablet *t, struct value *v);
uint16_t system_counter_row(const char *name, int64_t value, struct value *v);
/* The lists lie in the arena. 0: out of memory. */
uint16_t system_placement_row(const Node__Placement *p, struct arena *a, struct value *v);
uint16_t system_placed_row(const Node__Placed *p, struct value *v);

/* Back; everything lies in the arena. */
enum rc system_node_read(const struct value *v, size_t n, struct arena *a, Node__Node **ret,
                         struct err *err) MUST_CHECK;
enum rc system_tablet_read(const struct value *v, size_t n, struct arena *a, Node__Tablet **ret,
                           struct err *err) MUST_CHECK;

enum rc system_placement_read(const struct value *v, size_t n, struct arena *a, Node__Placement **ret,
                              struct err *err) MUST_CHECK;
enum rc system_placed_read(const struct value *v, size_t n, struct arena *a, Node__Placed **ret,
                           struct err *err) MUST_CHECK;

/* Where the system's keys end: the beginning of SYSTEM_GROUP_END. */
enum rc system_end(struct buf *to, struct err *err) MUST_CHECK;

#endif
