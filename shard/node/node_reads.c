/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_reads.c: read replicas: who leads a tablet sees to it that each region which its placement wants one in, and which has no
 * voter with data, has one member that holds log and rows and does not vote.
 *
 *     voters complete, no change under way     only then is anything done here
 *     a region lacks one                       the first of its nodes that answers becomes a learner, and stays one
 *     a region has a voter, or two of them     what is too much leaves
 *     one has been silent for READ_DEAD_NS     another node of its region takes its place; if none answers, it keeps it
 *
 * A read replica is a learner to the core: it counts in no quorum, is waited for by nobody, and while it does not answer nothing
 * is kept or sent for it. So whatever is wrong with one costs readers a longer way, and writers nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/node/node_internal.h"

static const int64_t READ_DEAD_NS = 30000000000, ASK_AGAIN_NS = 5000000000, NEXT_NS = 3000000000, GAP_NS = 10000000000;

/* A store, as far as it was looked at. */
struct heard {
    px_store store;
    int64_t silent_since; /* 0: it answers */
    int64_t looked_at;
    int64_t ask_at; /* not again before */
};

struct reads_plan {
    struct store_run *s;
    struct reads *memory;
    const Node__Placement *p;
    struct px_config want;
    uint32_t dead; /* one bit for each member of want */
};

static bool votes_with_data(const struct px_member *m) {
    return px_is_voter(m) && !(m->flags & PX_WITNESS);
}

static bool only_reads(const struct px_member *m) {
    return !px_is_voter(m) && !(m->flags & PX_WITNESS);
}

void reads_done(struct reads *r) {
    free(r->heard);
}

/* ---- who is silent --------------------------------------------------------------------------------------------------------- */

static struct heard *heard_of(struct reads *r, px_store store) {
    for (size_t i = 0; i < r->count; i++)
        if (r->heard[i].store == store)
            return &r->heard[i];
    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 8;
        struct heard *v = realloc(r->heard, cap * sizeof *v);
        if (!v)
            return NULL;
        r->heard = v;
        r->cap = cap;
    }
    r->heard[r->count] = (struct heard){.store = store};
    return &r->heard[r->count++];
}

int64_t reads_silent_ns(struct reads *r, px_store store, bool answers, int64_t now) {
    struct heard *x = heard_of(r, store);
    if (!x)
        return 0; /* no memory: noticed later */
    if (answers)
        x->silent_since = 0;
    else if (!x->silent_since || now - x->looked_at > GAP_NS)
        x->silent_since = now;
    x->looked_at = now;
    return x->silent_since ? now - x->silent_since : 0;
}

static bool is_silent(const struct reads *r, size_t i, int64_t now) {
    return r->heard[i].silent_since && now - r->heard[i].looked_at <= GAP_NS;
}

bool reads_most_silent(const struct reads *r, uint32_t self, int64_t now) {
    size_t nodes = 1, silent = 0;
    for (size_t i = 0; i < r->count; i++) {
        uint32_t node = px_node_of(r->heard[i].store);
        bool first = node != self && now - r->heard[i].looked_at <= GAP_NS, all = true;
        for (size_t k = 0; k < r->count && first; k++)
            if (px_node_of(r->heard[k].store) == node && now - r->heard[k].looked_at <= GAP_NS) {
                first = k >= i; /* each node once */
                all &= is_silent(r, k, now);
            }
        nodes += first;
        silent += first && all;
    }
    return 2 * silent >= nodes;
}

bool reads_answers(struct store_run *s, struct reads *memory, struct store_addr to) {
    struct reactor *r = s->pub.reactor;
    px_store store = px_store_of(to);
    const struct heard *known = heard_of(memory, store);
    if (known && reactor_now(r) < known->ask_at)
        return !known->silent_since;
    bool ok = node_answers(s, to);
    reads_silent_ns(memory, store, ok, reactor_now(r));
    struct heard *now = heard_of(memory, store);
    if (now)
        now->ask_at = reactor_now(r) + ASK_AGAIN_NS;
    return ok;
}

static void note_dead(struct reads_plan *x, struct tablet *t) {
    int64_t now = reactor_now(x->s->pub.reactor);
    for (uint32_t i = 0; i < x->want.count; i++) {
        const struct px_member *m = &x->want.member[i];
        if (only_reads(m) &&
            reads_silent_ns(x->memory, m->store, replica_answers(tablet_replica(t), m->store), now) > READ_DEAD_NS)
            x->dead |= 1u << i;
    }
}

static void leave(struct reads_plan *x, uint32_t i) {
    uint32_t below = (1u << i) - 1;
    node_config_del(&x->want, i);
    x->dead = (x->dead & below) | (x->dead >> 1 & ~below);
}

/* ---- what each region has --------------------------------------------------------------------------------------------------- */

static const Node__Node *node_of(const struct reads_plan *x, const struct px_member *m) {
    return directory_node(x->s->pub.directory, px_node_of(m->store));
}

static bool in_region(const struct reads_plan *x, uint32_t i, const char *region) {
    const Node__Node *n = node_of(x, &x->want.member[i]);
    return n && strcmp(n->region, region) == 0;
}

static bool has_voter(const struct reads_plan *x, const char *region) {
    for (uint32_t i = 0; i < x->want.count; i++)
        if (votes_with_data(&x->want.member[i]) && in_region(x, i, region))
            return true;
    return false;
}

/* One that is alive, and another than `not_this`. */
static bool has_reader(const struct reads_plan *x, const char *region, uint32_t not_this) {
    for (uint32_t i = 0; i < x->want.count; i++)
        if (i != not_this && only_reads(&x->want.member[i]) && !(x->dead >> i & 1) && in_region(x, i, region))
            return true;
    return false;
}

static void leave_what_is_too_much(struct reads_plan *x) {
    for (uint32_t i = x->want.count; i-- > 0;) {
        const Node__Node *n = only_reads(&x->want.member[i]) ? node_of(x, &x->want.member[i]) : NULL;
        if (n && (n->state != 0 || !placement_reads(x->p, n) || has_voter(x, n->region) || has_reader(x, n->region, i)))
            leave(x, i);
    }
}

static uint32_t count_readers(const struct px_config *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++)
        n += only_reads(&c->member[i]);
    return n;
}

/* That node becomes one, in the place of who is dead in its region. */
static enum rc join(struct reads_plan *x, px_store store, const char *region, struct err *err) {
    uint64_t replica;
    for (uint32_t i = x->want.count; i-- > 0;)
        if (x->dead >> i & 1 && in_region(x, i, region))
            leave(x, i);
    if (count_readers(&x->want) >= PLACEMENT_READS_MAX || x->want.count >= PX_MEMBERS_MAX)
        return RC_OK;
    enum rc rc =
        directory_next(x->s->pub.directory, "replica", 1, reactor_deadline(x->s->pub.reactor, NEXT_NS), &replica, err);
    if (!rc)
        rc = node_config_add(&x->want, store, replica, 0, err);
    for (uint32_t i = 0; i < x->want.count && !rc; i++) {
        uint32_t below = (1u << i) - 1;
        if (x->want.member[i].store == store)
            x->dead = (x->dead & below) | (x->dead & ~below) << 1;
    }
    return rc;
}

static enum rc join_what_lacks(struct reads_plan *x, uint64_t id, struct err *err) {
    struct directory *d = x->s->pub.directory;
    size_t n = directory_nodes(d);
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        const Node__Node *node = directory_node_at(d, (i + id) % n); /* ties are spread by the tablet's number */
        char region[NODE_NAME_BYTES];
        if (!node || node->state != 0 || node->stores == 0 || strlen(node->region) >= sizeof region ||
            node_member(&x->want, node->node) || !placement_reads(x->p, node) || has_voter(x, node->region) ||
            has_reader(x, node->region, UINT32_MAX))
            continue;
        memcpy(region, node->region, strlen(node->region) + 1); /* the directory may change while we ask */
        struct store_addr to = {node->node, (uint16_t)(hash_u64(id) % node->stores)};
        if (reads_answers(x->s, x->memory, to))
            rc = join(x, px_store_of(to), region, err);
        if (directory_nodes(d) != n)
            break; /* the next round */
    }
    return rc;
}

static void say(struct reads_plan *x, uint64_t id, const struct px_config *had) {
    struct diag *diag = &x->s->pub.env->diag;
    for (uint32_t i = 0; i < x->want.count; i++)
        if (!px_config_find(had, x->want.member[i].store))
            diag_tablet(diag, DIAG_INFO, id, "tablet: gains a read replica", "node=%u replica=%llu",
                        px_node_of(x->want.member[i].store), (unsigned long long)x->want.member[i].replica);
    for (uint32_t i = 0; i < had->count; i++)
        if (!px_config_find(&x->want, had->member[i].store))
            diag_tablet(diag, DIAG_INFO, id, "tablet: a replica without a vote leaves", "node=%u replica=%llu",
                        px_node_of(had->member[i].store), (unsigned long long)had->member[i].replica);
}

enum rc node_reads(struct store_run *s, struct reads *memory, const struct tablet_info *info, const Node__Placement *p,
                   struct px_config *ret, bool *ret_changes, struct err *err) {
    struct reads_plan x = {.s = s, .memory = memory, .p = p, .want = info->config};
    struct tablet *t = tablets_find(s->pub.tablets, info->id);
    *ret_changes = false;
    if (!t || replica_changing(tablet_replica(t)))
        return RC_OK; /* a learner may be about to become a voter */
    note_dead(&x, t);
    leave_what_is_too_much(&x);
    enum rc rc = info->id == SYSTEM_TABLET ? RC_OK : join_what_lacks(&x, info->id, err);
    bool same = x.want.count == info->config.count;
    for (uint32_t i = 0; i < x.want.count && same; i++)
        same = x.want.member[i].store == info->config.member[i].store;
    if (rc || same)
        return rc;
    *ret_changes = true;
    *ret = x.want;
    say(&x, info->id, &info->config);
    return RC_OK;
}

void node_reads_demote(struct store_run *s, uint64_t tablet, const Node__Placement *p, struct px_config *want,
                       px_store store) {
    struct reads_plan x = {.s = s, .p = p, .want = *want};
    uint32_t i = 0;
    while (i < x.want.count && x.want.member[i].store != store)
        i++;
    if (i == x.want.count)
        return;
    struct px_member *m = &x.want.member[i];
    const Node__Node *n = tablet == SYSTEM_TABLET || m->flags & PX_WITNESS ? NULL : node_of(&x, m);
    m->flags &= ~(uint32_t)PX_OLD;
    if (!n || n->state != 0 || !placement_reads(p, n) || has_voter(&x, n->region) || has_reader(&x, n->region, i) ||
        count_readers(&x.want) > PLACEMENT_READS_MAX)
        node_config_del(&x.want, i);
    *want = x.want;
}

/* ---- looking in --------------------------------------------------------------------------------------------------------------- */

static const Node__Node *listed_node(const Node__Answer *list, uint32_t node) {
    for (size_t i = 0; i < list->n_nodes; i++)
        if (list->nodes[i]->node == node)
            return list->nodes[i];
    return NULL;
}

/* Somebody in the region of n can read the past there. */
static bool served(const Node__Answer *list, const struct px_config *c, const Node__Node *n) {
    for (uint32_t i = 0; i < c->count; i++) {
        const Node__Node *m = listed_node(list, px_node_of(c->member[i].store));
        if (m && !(c->member[i].flags & PX_WITNESS) && strcmp(m->region, n->region) == 0)
            return true;
    }
    return false;
}

bool node_reads_complete(const Node__Answer *list) {
    for (size_t i = 0; i < list->n_tablets; i++) {
        const Node__Tablet *t = list->tablets[i];
        struct px_config c;
        struct mvcc_bytes start = {t->start.data, t->start.len}, end = {t->end.data, t->end.len};
        const Node__Placement *p = placement_of(list, start, end);
        if (t->tablet == SYSTEM_TABLET)
            continue;
        if (px_config_decode(t->config.data, t->config.len, &c) != RC_OK || c.joint)
            return false;
        for (size_t k = 0; k < list->n_nodes && count_readers(&c) < PLACEMENT_READS_MAX; k++) {
            const Node__Node *n = list->nodes[k];
            if (n->state == 0 && n->stores && placement_reads(p, n) && !served(list, &c, n))
                return false;
        }
    }
    return list->n_tablets > 0;
}
