/* SPDX-License-Identifier: Apache-2.0 */
#include "truetime/base/map.h"

#include <stdlib.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

struct item {
    struct map_node node;
    uint64_t key;
    bool in;
};

static struct item *find(struct map *m, uint64_t key, uint64_t (*hash)(uint64_t)) {
    for (struct map_node *n = map_first(m, hash(key)); n; n = map_next(n))
        if (container_of(n, struct item, node)->key == key)
            return container_of(n, struct item, node);
    return NULL;
}

static uint64_t poor_hash(uint64_t key) {
    return key % 3;
}

/* Random puts and deletes against an array that knows; also with a hash that makes nearly everything collide. */
static void agree_with_model(uint64_t (*hash)(uint64_t)) {
    enum { ITEMS = 500 };
    struct item *items = calloc(ITEMS, sizeof *items);
    struct map m;
    struct rng rng;
    size_t count = 0;
    map_init(&m);
    rng_init(&rng, 7);
    for (int step = 0; step < 20000; step++) {
        size_t i = rng_below(&rng, ITEMS);
        items[i].key = i;
        if (items[i].in)
            map_del(&m, &items[i].node);
        else
            map_put(&m, &items[i].node, hash(i));
        items[i].in = !items[i].in;
        count += items[i].in ? 1 : (size_t)-1;
        size_t j = rng_below(&rng, ITEMS);
        if ((find(&m, j, hash) == &items[j]) != items[j].in) {
            OKF(false, "step %d: key %zu", step, j);
            break;
        }
    }
    EQ_INT(m.count, count);
    size_t walked = 0;
    map_for_each(n, &m) {
        walked++;
        map_del(&m, n); /* allowed for the node itself */
    }
    EQ_INT(walked, count);
    EQ_INT(m.count, 0);
    map_done(&m);
    free(items);
}

static void good_hash(void) {
    agree_with_model(hash_u64);
}

static void colliding_hash(void) {
    agree_with_model(poor_hash);
}

static void byte_hashes_depend_on_seed(void) {
    OK(hash_str("abc", 1) != hash_str("abc", 2));
    OK(hash_str("abc", 1) == hash_bytes("abc", 3, 1));
}

int main(void) {
    RUN(good_hash);
    RUN(colliding_hash);
    RUN(byte_hashes_depend_on_seed);
    return tap_done();
}
