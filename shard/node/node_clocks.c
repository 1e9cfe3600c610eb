/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_clocks.c: clocks check each other (rule C-4, truetime/peer.h): what each frame of another node says of the time is
 * compared with this store's clock. Support by a store whose clock is ahead of all that ours holds possible does not count: the
 * lease would end for the supporter first. (The other way round it ends first for its holder, and a T too far ahead is refused,
 * N-12.) And a store that most of the others contradict asks for no support while they do, and does not campaign; others lead
 * what it led.
 *
 * The same frames tell how far their sender is: sent at the middle of its interval, here at the middle of ours. That is good to the
 * clocks' errors, a few milliseconds, which is enough to tell one region from another; the shortest counts, for a busy machine looks
 * late. Nodes that say nothing by themselves are asked for their status once, one a second.
 */
#include <stdlib.h>

#include "shard/node/node_internal.h"

enum { WAY_EVERY = 16, WAY_WEIGHT = 32 };
static const int64_t WAY_ASK_NS = 60000000000;

struct node_peer {
    struct map_node map;
    uint32_t node, frames;
    int64_t way_ns;   /* from there to here; 0: not known */
    int64_t asked_ns; /* monotonic */
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

static void note_way(struct store_run *s, struct node_peer *p, int64_t sent) {
    tt_interval now = tt_now(&s->pub.clock);
    if (!tt_is_known(now))
        return;
    int64_t way = now.earliest + (now.latest - now.earliest) / 2 - sent;
    if (way < 1)
        way = 1; /* the clocks' errors are larger than the way */
    if (!p->way_ns || way < p->way_ns)
        p->way_ns = way;
    else
        p->way_ns += (way - p->way_ns) / WAY_WEIGHT; /* a line that has become longer */
}

int64_t node_way_ns(struct node_store *ns, uint32_t node) {
    struct store_run *s = container_of(ns, struct store_run, pub);
    for (struct map_node *n = map_first(&s->clock_peers, hash_u64(node)); n; n = map_next(n))
        if (container_of(n, struct node_peer, map)->node == node)
            return container_of(n, struct node_peer, map)->way_ns;
    return 0;
}

struct way_ask {
    struct store_run *s;
    uint32_t node;
};

static void way_main(void *arg) {
    struct way_ask *w = arg;
    IGNORE(node_answers(w->s, (struct store_addr){w->node, 0})); /* what its frame says has been noted */
    free(w);
}

void node_ways_learn(struct store_run *s) {
    struct directory *d = s->pub.directory;
    int64_t now = reactor_now(s->pub.reactor);
    for (size_t i = 0; i < directory_nodes(d); i++) {
        const Node__Node *n = directory_node_at(d, i);
        struct node_peer *p = n && n->node != s->pub.node->id.node && n->state == 0 ? peer_of(s, n->node) : NULL;
        if (!p || p->way_ns || (p->asked_ns && now - p->asked_ns < WAY_ASK_NS))
            continue;
        struct way_ask *w = malloc(sizeof *w);
        if (!w)
            return;
        *w = (struct way_ask){s, n->node};
        p->asked_ns = now;
        if (fiber_spawn(s->pub.reactor, &s->fibers, FIBER_LARGE, "way", way_main, w) != RC_OK)
            free(w); /* asked again in a minute */
        return;
    }
}

void node_clocks_heard(void *ctx, uint32_t node, int64_t earliest, int64_t latest) {
    struct store_run *s = ctx;
    if (node == s->pub.node->id.node)
        return;
    struct node_peer *p = peer_of(s, node);
    if (p && p->frames++ % WAY_EVERY == 0)
        note_way(s, p, earliest + (latest - earliest) / 2);
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
