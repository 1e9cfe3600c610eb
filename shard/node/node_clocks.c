/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_clocks.c: clocks check each other (rule C-4, truetime/peer.h): what each frame of another node says of the time is
 * compared with this store's clock. Support by a store whose clock is ahead of all that ours holds possible does not count: the
 * lease would end for the supporter first. (The other way round it ends first for its holder, and a T too far ahead is refused,
 * N-12.) And a store that most of the others contradict asks for no support while they do, and does not campaign; others lead
 * what it led.
 */
#include <stdlib.h>

#include "shard/node/node_internal.h"

struct node_peer {
    struct map_node map;
    uint32_t node;
    struct tt_peer peer;
};

void node_clocks_init(struct store_run *s) {
    tt_peers_init(&s->clocks, &s->pub.clock);
    map_init(&s->clock_peers);
    if (s->pub.number == 0)
        tt_peers_metrics(&s->clocks);
}

void node_clocks_done(struct store_run *s) {
    map_for_each(it, &s->clock_peers) {
        struct node_peer *p = container_of(it, struct node_peer, map);
        tt_peer_leave(&p->peer);
        free(p);
    }
    map_done(&s->clock_peers);
}

static struct node_peer *find(const struct store_run *s, uint32_t node) {
    for (struct map_node *n = map_first(&s->clock_peers, hash_u64(node)); n; n = map_next(n))
        if (container_of(n, struct node_peer, map)->node == node)
            return container_of(n, struct node_peer, map);
    return NULL;
}

static struct node_peer *peer_of(struct store_run *s, uint32_t node) {
    struct node_peer *p = find(s, node);
    if (p)
        return p;
    p = s->clock_peers.count < DIRECTORY_NODES_MAX ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return NULL; /* not compared: the others are enough to judge by */
    p->node = node;
    tt_peer_join(&s->clocks, &p->peer);
    map_put(&s->clock_peers, &p->map, hash_u64(node));
    return p;
}

void node_clocks_heard(void *ctx, uint32_t node, int64_t earliest, int64_t latest) {
    struct store_run *s = ctx;
    if (node == s->pub.node->id.node)
        return;
    struct node_peer *p = peer_of(s, node);
    if (p)
        IGNORE(tt_check_peer(&s->clocks, &p->peer, (tt_interval){earliest, latest}, INT64_MIN));
}

const char *node_clocks_unfit(void *ctx) {
    const struct store_run *s = ctx;
    return tt_peers_step_back(&s->clocks) ? "most other nodes' clocks contradict this one's" : NULL;
}

bool node_clocks_contradicts(void *ctx, px_store store) {
    const struct node_peer *p = find(ctx, px_store_addr(store).node);
    return p && p->peer.contradicts;
}
