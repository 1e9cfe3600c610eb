/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.c: the cache: tablets in an array ordered by their first key, nodes by number.
 *
 * Ranges of cached tablets never overlap: what a newer word covers goes. Of two words about one tablet the one with the higher
 * (generation, configuration epoch) counts; of equal ones the leader of the later.
 */
#include "shard/node/directory.h"

#include <stdlib.h>
#include <string.h>

#include "shard/node/system.h"
#include "shard/replica/replica.h"

static const int64_t ASK_NS = 2000000000, RETRY_NS = 50000000, LOOKUP_TRIES = 200;
enum { ARENA_BYTES_MAX = 64 << 20 };

struct entry {
    uint64_t id, generation;
    uint8_t *key; /* start, then end */
    size_t start_bytes, end_bytes;
    struct px_config config;
    px_store leader;
};

struct named {
    uint32_t node;
    struct arena arena;
    Node__Node *desc;
};

struct directory {
    struct rpc *rpc;
    struct entry *tablet; /* by start */
    size_t tablets, tablets_cap;
    struct named **node; /* by number */
    size_t nodes, nodes_cap;
    uint64_t root[DIRECTORY_ROOT_MAX];
    size_t roots;
    Node__Answer placements; /* what is in it lies in: */
    struct arena placement_arena;
};

enum rc directory_new(struct rpc *rpc, struct directory **ret) {
    struct directory *d = calloc(1, sizeof *d);
    if (!d)
        return RC_NOMEM;
    d->rpc = rpc;
    node__answer__init(&d->placements);
    arena_init(&d->placement_arena, ARENA_BYTES_MAX);
    *ret = d;
    return RC_OK;
}

void directory_free(struct directory *d) {
    if (!d)
        return;
    for (size_t i = 0; i < d->tablets; i++)
        free(d->tablet[i].key);
    for (size_t i = 0; i < d->nodes; i++) {
        arena_done(&d->node[i]->arena);
        free(d->node[i]);
    }
    arena_done(&d->placement_arena);
    free(d->tablet);
    free(d->node);
    free(d);
}

/* ---- asking ---------------------------------------------------------------------------------------------------------- */

void directory_set_root(struct directory *d, const uint64_t *stores, size_t n) {
    d->roots = n < DIRECTORY_ROOT_MAX ? n : DIRECTORY_ROOT_MAX;
    if (d->roots)
        memcpy(d->root, stores, d->roots * sizeof *stores);
}

size_t directory_root(const struct directory *d, uint64_t *ret, size_t cap) {
    size_t n = d->roots < cap ? d->roots : cap;
    if (n)
        memcpy(ret, d->root, n * sizeof *ret);
    return n;
}

/* Those of a list are all there are. */
static void learn_placements(struct directory *d, const Node__Answer *a) {
    Node__Answer some = NODE__ANSWER__INIT;
    struct arena mine;
    ProtobufCMessage *m = NULL;
    struct buf b;
    some.placements = a->placements;
    some.n_placements = a->n_placements;
    some.placed = a->placed;
    some.n_placed = a->n_placed;
    arena_init(&mine, ARENA_BYTES_MAX);
    buf_init(&b, 0);
    pb_pack(&some.base, &b);
    if (buf_rc(&b) == RC_OK && pb_unpack(&node__answer__descriptor, &mine, b.data, b.len, &m) == RC_OK) {
        arena_done(&d->placement_arena);
        d->placement_arena = mine;
        d->placements = *(Node__Answer *)m;
    } else {
        arena_done(&mine); /* what was known stays */
    }
    buf_done(&b);
}

const Node__Answer *directory_placements(const struct directory *d) {
    return &d->placements;
}

void directory_learn(struct directory *d, const Node__Answer *a) {
    if (a->n_root)
        directory_set_root(d, a->root, a->n_root);
    for (size_t i = 0; i < a->n_tablets; i++)
        directory_put(d, a->tablets[i]);
    for (size_t i = 0; i < a->n_nodes; i++) {
        const Node__Node *n = a->nodes[i];
        size_t at = 0;
        while (at < d->nodes && d->node[at]->node < n->node)
            at++;
        struct named *old = at < d->nodes && d->node[at]->node == n->node ? d->node[at] : NULL;
        if (old && old->desc->starts > n->starts)
            continue;
        if (n->node == 0 || (!old && d->nodes == DIRECTORY_NODES_MAX))
            continue;
        struct named *fresh = calloc(1, sizeof *fresh);
        struct value row[SYSTEM_ROW_VALUES_MAX];
        if (!fresh)
            return; /* hints: it learns them another time */
        fresh->node = n->node;
        arena_init(&fresh->arena, 0);
        uint16_t values = system_node_row(n, row);
        if (system_node_read(row, values, &fresh->arena, &fresh->desc, NULL) != RC_OK) {
            arena_done(&fresh->arena);
            free(fresh);
            continue;
        }
        if (old) {
            arena_done(&old->arena);
            free(old);
            d->node[at] = fresh;
            continue;
        }
        if (d->nodes == d->nodes_cap) {
            size_t cap = d->nodes_cap ? 2 * d->nodes_cap : 8;
            struct named **v = realloc(d->node, cap * sizeof *v);
            if (!v) {
                arena_done(&fresh->arena);
                free(fresh);
                return;
            }
            d->node = v;
            d->nodes_cap = cap;
        }
        memmove(&d->node[at + 1], &d->node[at], (d->nodes - at) * sizeof *d->node);
        d->node[at] = fresh;
        d->nodes++;
    }
}

static void root_first(struct directory *d, uint64_t store) {
    size_t i = 0;
    while (i < d->roots && d->root[i] != store)
        i++;
    if (i == d->roots)
        return;
    memmove(&d->root[1], &d->root[0], i * sizeof *d->root);
    d->root[0] = store;
}

static bool try_again(enum rc rc) {
    return rc == RC_NOT_LEADER || rc == RC_UNREACHABLE || rc == RC_CLOSED || rc == RC_TIMEOUT || rc == RC_MOVED ||
           rc == RC_OVERLOAD || rc == RC_UNSYNCED || rc == RC_SHUTDOWN ||
           rc == RC_PROTOCOL; /* somebody else is at that address now */
}

/* A request must lie wholly in the arena that travels with it to a sibling store: ours is the caller's. */
static enum rc ask_one(struct directory *d, struct store_addr to, Node__Ask *ask, struct arena *a, int64_t deadline,
                       Node__Answer **ret, struct err *err) {
    struct arena mine;
    struct buf b;
    ProtobufCMessage *moved = NULL, *answer = NULL;
    int64_t until = reactor_deadline(rpc_reactor(d->rpc), ASK_NS);
    arena_init(&mine, ARENA_BYTES_MAX);
    buf_init(&b, 0);
    pb_pack(&ask->base, &b);
    enum rc rc = buf_rc(&b) ? buf_rc(&b) : pb_unpack(&node__ask__descriptor, &mine, b.data, b.len, &moved);
    buf_done(&b);
    if (rc)
        err_set(err, rc, "a question to the system tablet could not be made: %s", rc_text(rc));
    else
        rc = rpc_call(d->rpc, to, NODE_TYPE_ASK, moved, &mine, until < deadline ? until : deadline, &answer, err);
    if (rc) {
        arena_done(&mine);
        return rc;
    }
    arena_done(a);
    *a = mine; /* the answer lies in it */
    *ret = (Node__Answer *)answer;
    return RC_OK;
}

/* One round over the root, then over all nodes, who may know better where it is. */
static enum rc ask_round(struct directory *d, Node__Ask *ask, struct arena *a, int64_t deadline, Node__Answer **ret,
                         struct err *err) {
    enum rc rc = err_set(err, RC_UNREACHABLE, "it is not known where the system tablet lies");
    uint64_t root[DIRECTORY_ROOT_MAX];
    size_t roots = directory_root(d, root, DIRECTORY_ROOT_MAX);
    bool forwarded = ask->forwarded;
    struct store_addr self = rpc_self(d->rpc);
    size_t others = forwarded ? 0 : d->nodes + 1;
    for (size_t i = 0; i < roots + others && try_again(rc); i++) {
        bool node = i >= roots;
        if (node && i - roots > d->nodes)
            break;
        /* Last, the store 0 beside this one, which the node's own business goes through. */
        uint32_t number = node && i - roots < d->nodes ? d->node[i - roots]->node : self.node;
        struct store_addr to = node ? (struct store_addr){number, 0} : px_store_addr(root[i]);
        if (node && to.node == self.node && (self.store == 0 || i - roots < d->nodes))
            continue; /* we know no better */
        ask->forwarded = !node;
        rc = ask_one(d, to, ask, a, deadline, ret, err);
        if (!rc && !node)
            root_first(d, root[i]);
        if (reactor_now(rpc_reactor(d->rpc)) >= deadline)
            break;
    }
    struct store_addr first = {rpc_self(d->rpc).node, 0};
    if (!forwarded && rpc_self(d->rpc).store != 0 &&
        try_again(rc)) { /* this node's first store hears more than the others */
        ask->forwarded = false;
        rc = ask_one(d, first, ask, a, deadline, ret, err);
    }
    ask->forwarded = forwarded;
    if (!rc)
        directory_learn(d, *ret);
    if (!rc && ask->list)
        learn_placements(d, *ret);
    return rc;
}

enum rc directory_ask(struct directory *d, Node__Ask *ask, struct arena *a, int64_t deadline, Node__Answer **ret,
                      struct err *err) {
    struct reactor *r = rpc_reactor(d->rpc);
    for (;;) {
        enum rc rc = ask_round(d, ask, a, deadline, ret, err);
        if (!try_again(rc))
            return rc;
        if (reactor_now(r) + RETRY_NS >= deadline) {
            err_wrap(err, "the system tablet does not answer");
            return rc;
        }
        enum rc slept = fiber_sleep(r, RETRY_NS);
        if (slept)
            return err_set(err, slept, "%s", rc_text(slept));
    }
}

enum rc directory_next(struct directory *d, const char *counter, uint32_t n, int64_t deadline, uint64_t *ret_first,
                       struct err *err) {
    Node__Ask ask = NODE__ASK__INIT;
    Node__Answer *answer;
    struct arena a;
    ask.next = (char *)(uintptr_t)counter;
    ask.next_count = n;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc = directory_ask(d, &ask, &a, deadline, &answer, err);
    if (!rc)
        *ret_first = answer->first;
    arena_done(&a);
    return rc;
}

/* ---- tablets ------------------------------------------------------------------------------------------------------------ */

static struct mvcc_bytes start_of(const struct entry *e) {
    return (struct mvcc_bytes){e->key, e->start_bytes};
}

static struct mvcc_bytes end_of(const struct entry *e) {
    return (struct mvcc_bytes){e->key + e->start_bytes, e->end_bytes};
}

static int compare(struct mvcc_bytes a, struct mvcc_bytes b) {
    return key_compare(key_of(a.p, a.n), key_of(b.p, b.n));
}

/* The first entry whose start is above key. */
static size_t above(const struct directory *d, struct mvcc_bytes key) {
    size_t lo = 0, hi = d->tablets;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare(start_of(&d->tablet[mid]), key) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void fill(const struct entry *e, struct directory_tablet *ret) {
    *ret = (struct directory_tablet){.id = e->id,
                                     .generation = e->generation,
                                     .start = start_of(e),
                                     .end = end_of(e),
                                     .config = e->config,
                                     .leader = e->leader};
}

static void drop(struct directory *d, size_t i) {
    free(d->tablet[i].key);
    memmove(&d->tablet[i], &d->tablet[i + 1], (--d->tablets - i) * sizeof *d->tablet);
}

static struct entry *by_id(struct directory *d, uint64_t id) {
    for (size_t i = 0; i < d->tablets; i++)
        if (d->tablet[i].id == id)
            return &d->tablet[i];
    return NULL;
}

bool directory_known(struct directory *d, struct mvcc_bytes key, struct directory_tablet *ret) {
    size_t i = above(d, key);
    if (i == 0)
        return false;
    const struct entry *e = &d->tablet[i - 1];
    if (e->end_bytes && compare(key, end_of(e)) >= 0)
        return false;
    fill(e, ret);
    return true;
}

bool directory_known_id(struct directory *d, uint64_t id, struct directory_tablet *ret) {
    const struct entry *e = by_id(d, id);
    if (e)
        fill(e, ret);
    return e != NULL;
}

void directory_put(struct directory *d, const Node__Tablet *t) {
    struct px_config config;
    if (t->tablet == 0 || t->start.len > KEY_BYTES_MAX || t->end.len > KEY_BYTES_MAX ||
        px_config_decode(t->config.data, t->config.len, &config) != RC_OK)
        return;
    struct mvcc_bytes start = {t->start.data, t->start.len}, end = {t->end.data, t->end.len};
    if (end.n && compare(start, end) >= 0)
        return;
    struct entry *old = by_id(d, t->tablet);
    if (old &&
        (old->generation > t->generation || (old->generation == t->generation && old->config.epoch > config.epoch)))
        return;
    if (old && old->generation == t->generation) { /* the same range */
        old->config = config;
        old->leader = t->leader ? t->leader : old->leader;
        return;
    }
    if (old)
        drop(d, (size_t)(old - d->tablet));
    size_t i = above(d, start);
    /* What it covers, or what covers it, and is older knows less. Generations of different tablets grew from one another. */
    if (i > 0 && (!d->tablet[i - 1].end_bytes || compare(end_of(&d->tablet[i - 1]), start) > 0)) {
        if (d->tablet[i - 1].generation > t->generation)
            return;
        drop(d, --i);
    }
    while (i < d->tablets && (!end.n || compare(start_of(&d->tablet[i]), end) < 0)) {
        if (d->tablet[i].generation > t->generation)
            return;
        drop(d, i);
    }
    if (d->tablets == DIRECTORY_TABLETS_MAX)
        return;
    if (d->tablets == d->tablets_cap) {
        size_t cap = d->tablets_cap ? 2 * d->tablets_cap : 16;
        struct entry *v = realloc(d->tablet, cap * sizeof *v);
        if (!v)
            return;
        d->tablet = v;
        d->tablets_cap = cap;
    }
    struct entry e = {.id = t->tablet,
                      .generation = t->generation,
                      .key = malloc(start.n + end.n + 1),
                      .start_bytes = start.n,
                      .end_bytes = end.n,
                      .config = config,
                      .leader = t->leader};
    if (!e.key)
        return;
    if (start.n)
        memcpy(e.key, start.p, start.n);
    if (end.n)
        memcpy(e.key + start.n, end.p, end.n);
    memmove(&d->tablet[i + 1], &d->tablet[i], (d->tablets - i) * sizeof *d->tablet);
    d->tablet[i] = e;
    d->tablets++;
}

void directory_forget(struct directory *d, uint64_t id) {
    struct entry *e = by_id(d, id);
    if (e)
        drop(d, (size_t)(e - d->tablet));
}

void directory_leader(struct directory *d, uint64_t id, px_store leader) {
    struct entry *e = by_id(d, id);
    if (e)
        e->leader = leader;
}

enum rc directory_find(struct directory *d, struct mvcc_bytes key, int64_t deadline, struct directory_tablet *ret,
                       struct err *err) {
    for (int i = 0; i < LOOKUP_TRIES; i++) {
        Node__Ask ask = NODE__ASK__INIT;
        Node__Answer *answer;
        struct arena a;
        if (directory_known(d, key, ret))
            return RC_OK;
        ask.has_lookup = true;
        ask.lookup = (ProtobufCBinaryData){key.n, (uint8_t *)(uintptr_t)key.p};
        arena_init(&a, ARENA_BYTES_MAX);
        enum rc rc = directory_ask(d, &ask, &a, deadline, &answer, err);
        arena_done(&a);
        if (rc)
            return rc;
        if (directory_known(d, key, ret))
            return RC_OK;
        /* Between a split and its entry here: the right half is told by its leader's next round, which may be busy growing. */
        if (reactor_now(rpc_reactor(d->rpc)) + RETRY_NS >= deadline)
            break;
        rc = fiber_sleep(rpc_reactor(d->rpc), RETRY_NS);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    return err_set(err, RC_NOTFOUND, "the directory knows no tablet for a key");
}

/* ---- nodes ---------------------------------------------------------------------------------------------------------------- */

size_t directory_nodes(const struct directory *d) {
    return d->nodes;
}

const Node__Node *directory_node_at(const struct directory *d, size_t i) {
    return i < d->nodes ? d->node[i]->desc : NULL;
}

const Node__Node *directory_node(const struct directory *d, uint32_t node) {
    for (size_t i = 0; i < d->nodes; i++)
        if (d->node[i]->node == node)
            return d->node[i]->desc;
    return NULL;
}
