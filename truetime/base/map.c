/* SPDX-License-Identifier: Apache-2.0 */
/* map.c: chained buckets, doubled when there is on average more than one node in each. */
#include "truetime/base/map.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void map_init(struct map *m) {
    *m = (struct map){0};
}

void map_done(struct map *m) {
    free(m->slots);
    map_init(m);
}

static struct map_node **slot_of(struct map *m, uint64_t hash) {
    return m->slots ? &m->slots[hash & m->mask] : &m->one;
}

static void map_grow(struct map *m) {
    size_t slots = m->slots ? (m->mask + 1) * 2 : 8;
    struct map_node **table = calloc(slots, sizeof *table);
    if (!table)
        return; /* slower, still right */
    struct map old = *m;
    m->slots = table;
    m->mask = slots - 1;
    m->one = NULL;
    for (size_t i = 0; i <= old.mask; i++)
        for (struct map_node *n = map_slot(&old, i), *next; n; n = next) {
            struct map_node **to = slot_of(m, n->hash);
            next = n->next;
            n->next = *to;
            *to = n;
        }
    free(old.slots);
}

void map_put(struct map *m, struct map_node *n, uint64_t hash) {
    if (m->count >= m->mask + 1)
        map_grow(m);
    struct map_node **to = slot_of(m, hash);
    n->hash = hash;
    n->next = *to;
    *to = n;
    m->count++;
}

void map_del(struct map *m, struct map_node *n) {
    struct map_node **at = slot_of(m, n->hash);
    while (*at && *at != n)
        at = &(*at)->next;
    CHECK(*at == n);
    *at = n->next;
    n->next = NULL;
    m->count--;
}

struct map_node *map_first(const struct map *m, uint64_t hash) {
    struct map_node *n = m->slots ? m->slots[hash & m->mask] : m->one;
    while (n && n->hash != hash)
        n = n->next;
    return n;
}

struct map_node *map_next(const struct map_node *n) {
    struct map_node *next = n->next;
    while (next && next->hash != n->hash)
        next = next->next;
    return next;
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed) {
    return XXH3_64bits_withSeed(p, n, seed);
}

uint64_t hash_str(const char *s, uint64_t seed) {
    return hash_bytes(s, strlen(s), seed);
}
