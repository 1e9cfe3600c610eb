/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h: intrusive hash map. The nodes live in the caller's objects, so putting one in cannot fail.
 *
 * Promise     Expected O(1). Growth is an optimisation: when there is no memory for a larger table the map goes on with the
 *             old one. Iteration order is a function of the keys' hashes and the history of calls, never of addresses, so
 *             simulation replays.
 * Relies on   the caller comparing keys: map_first / map_next give the nodes with an equal hash.
 * Threads     one at a time.
 */
#ifndef MERIDIAN_BASE_MAP_H
#define MERIDIAN_BASE_MAP_H

#include "truetime/base/check.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **slots; /* NULL until the first put that found memory */
    struct map_node *one;    /* the only slot until then */
    size_t mask, count;
};

void map_init(struct map *m);
void map_done(struct map *m); /* frees the table, not the nodes */
void map_put(struct map *m, struct map_node *n, uint64_t hash);
/* n must be in m. */
void map_del(struct map *m, struct map_node *n);
struct map_node *map_first(const struct map *m, uint64_t hash);
struct map_node *map_next(const struct map_node *n); /* the next with the same hash */

/* Every node once, in slot order; the body may delete the node it is given, nothing else. */
#define map_for_each(it, m)                                                                                            \
    for (size_t it##_slot = 0; it##_slot <= (m)->mask; it##_slot++)                                                    \
        for (struct map_node *it = map_slot(m, it##_slot), *it##_next = it ? it->next : NULL; it;                      \
             it = it##_next, it##_next = it ? it->next : NULL)

static inline struct map_node *map_slot(const struct map *m, size_t slot) {
    return m->slots ? m->slots[slot] : m->one;
}

/* Mixes an integer key. */
static inline uint64_t hash_u64(uint64_t x) {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

/* XXH3 of bytes; seed it where an outsider chooses the keys. */
uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);
uint64_t hash_str(const char *s, uint64_t seed);

#endif
