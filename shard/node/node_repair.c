/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_repair.c: what a store does for the tablets it leads: tells the directory how they are, gives them voters while they have
 * fewer than they should, others for those that are dead (node_dead.c), then read replicas (node_reads.c), and splits those that
 * have grown too large.
 *
 * Growth: all voters that are missing in one change, where no voter is yet: by region, then zone, then node. A node counts only
 * if it answers now; one that is known and does not is waited for, one round. Tablets grow side by side, a few at a time: over long
 * distances a change is a dozen round trips. A tablet is never shrunk by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/node_internal.h"
#include "shard/store/key.h"

static const int64_t ROUND_NS = 500000000, PUT_NS = 3000000000, PING_NS = 1000000000, CHANGE_NS = 60000000000,
                     READS_NS = 10000000000, HEIR_NS = 120000000000, LIST_NS = 1000000000, MEASURE_NS = 5000000000,
                     MOURN_NS = 5000000000;
enum { ARENA_BYTES_MAX = 64 << 20, GROWTHS_MAX = 4, HEIRS_MAX = 2 };

/* What the directory was told last, by tablet. */
struct told {
    uint64_t id, generation, epoch, round;
    uint64_t measured; /* the slot at which its size was looked at */
    bool held;         /* its growth has waited for a node that does not answer */
};

/* A change of members on a fiber of its own. */
struct growth {
    struct repair *r;
    uint64_t id;
    struct px_config want;
    int64_t ns;
    struct node_dead dead; /* whom it replaces, if any */
};

struct repair {
    struct store_run *s;
    struct buf range;           /* of the tablet that is looked at */
    struct fiber_group splits;  /* at most one */
    struct fiber_group growths; /* at most GROWTHS_MAX */
    uint64_t split_id;
    int64_t measure_at, mourn_at;
    struct told *told;
    size_t count, cap;
    int64_t list_at;
    struct reads reads, voters;
    size_t heirs;  /* growths that replace a dead voter; at most HEIRS_MAX */
    uint64_t *ids; /* of this round */
    size_t n_ids, ids_cap;
};

void node_tablet_changed(void *ctx, uint64_t tablet) {
    struct store_run *s = ctx;
    (void)tablet;
    waitq_wake_all(&s->wake, RC_OK);
}

/* ---- the directory ---------------------------------------------------------------------------------------------------- */

static struct told *told_of(struct repair *r, uint64_t id) {
    for (size_t i = 0; i < r->count; i++)
        if (r->told[i].id == id)
            return &r->told[i];
    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 16;
        struct told *v = realloc(r->told, cap * sizeof *v);
        if (!v)
            return NULL;
        r->told = v;
        r->cap = cap;
    }
    r->told[r->count] = (struct told){.id = id};
    return &r->told[r->count++];
}

static enum rc tell(struct repair *r, const struct tablet_info *info, struct err *err) {
    struct store_run *s = r->s;
    Node__Ask ask = NODE__ASK__INIT;
    Node__Tablet t = NODE__TABLET__INIT;
    Node__Answer *answer;
    uint8_t config[REPLICA_STATE_BYTES_MAX];
    struct arena a;
    struct told now = {
        .id = info->id, .generation = info->generation, .epoch = info->config.epoch, .round = info->round};
    arena_init(&a, ARENA_BYTES_MAX);
    t.tablet = info->id;
    t.generation = info->generation;
    t.config = (ProtobufCBinaryData){px_config_encode(&info->config, config, sizeof config), config};
    t.leader = px_store_of(rpc_self(s->pub.rpc));
    t.start.data = info->start.n ? arena_copy(&a, info->start.p, info->start.n) : NULL;
    t.start.len = info->start.n;
    t.end.data = info->end.n ? arena_copy(&a, info->end.p, info->end.n) : NULL;
    t.end.len = info->end.n;
    struct arena answers;
    arena_init(&answers, ARENA_BYTES_MAX);
    ask.put = &t;
    enum rc rc =
        (info->start.n && !t.start.data) || (info->end.n && !t.end.data)
            ? err_set(err, RC_NOMEM, "out of memory")
            : directory_ask(s->pub.directory, &ask, &answers, reactor_deadline(s->pub.reactor, PUT_NS), &answer, err);
    arena_done(&answers);
    arena_done(&a);
    struct told *told = rc ? NULL : told_of(r, now.id);
    if (told) {
        now.measured = told->measured;
        *told = now;
    }
    return rc;
}

/* ---- growth ------------------------------------------------------------------------------------------------------------ */

bool node_answers(struct store_run *s, struct store_addr to) {
    Node__StatusAsk ask = NODE__STATUS_ASK__INIT;
    ProtobufCMessage *m;
    struct arena a;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc =
        rpc_call(s->pub.rpc, to, NODE_TYPE_STATUS, &ask.base, &a, reactor_deadline(s->pub.reactor, PING_NS), &m, NULL);
    arena_done(&a);
    return rc == RC_OK;
}

const struct px_member *node_member(const struct px_config *c, uint32_t node) {
    for (uint32_t i = 0; i < c->count; i++)
        if (px_node_of(c->member[i].store) == node)
            return &c->member[i];
    return NULL;
}

/* How much a node would add: a new region, a new zone. */
static int worth(const struct directory *d, const struct px_config *c, const Node__Node *n) {
    bool region = false, zone = false;
    for (uint32_t i = 0; i < c->count; i++) {
        const Node__Node *m = px_is_voter(&c->member[i]) ? directory_node(d, px_node_of(c->member[i].store)) : NULL;
        if (!m)
            continue;
        region |= strcmp(m->region, n->region) == 0;
        zone |= strcmp(m->region, n->region) == 0 && strcmp(m->zone, n->zone) == 0;
    }
    return (region ? 0 : 2) + (zone ? 0 : 1);
}

const Node__Placement *node_placement(const struct store_run *s, const struct tablet_info *info) {
    return info->id == SYSTEM_TABLET ? NULL
                                     : placement_of(directory_placements(s->pub.directory), info->start, info->end);
}

/* How many voters it should have: as many as are asked for, as far as there are nodes for them. */
static size_t voters_wanted(const Node__Placement *p, const struct directory *d) {
    size_t nodes = 0, want = placement_voters(p);
    for (size_t i = 0; i < directory_nodes(d); i++)
        nodes += placement_allows(p, directory_node_at(d, i));
    return nodes < want ? nodes : want;
}

/* Ties are spread by the tablet's number. */
bool node_choose(struct store_run *s, const struct tablet_info *info, const struct px_config *beside,
                 const char *region, struct reads *memory, px_store *ret) {
    struct directory *d = s->pub.directory;
    for (int want = region ? 7 : 3; want >= 0; want--) {
        size_t n = directory_nodes(d);
        for (size_t i = 0; i < n; i++) {
            const Node__Node *node = directory_node_at(d, (i + info->id) % n);
            const struct px_member *m = node ? node_member(&info->config, node->node) : NULL;
            if (!node || node->state != 0 || node->stores == 0 || px_is_voter(m) || (m && m->flags & PX_WITNESS) ||
                worth(d, beside, node) + (region && strcmp(node->region, region) == 0 ? 4 : 0) != want ||
                !placement_allows(node_placement(s, info), node))
                continue;
            struct store_addr to = {node->node, (uint16_t)(hash_u64(info->id) % node->stores)};
            if (m) /* a read replica, or a learner that a change left behind */
                to = px_store_addr(m->store);
            if (memory ? reads_answers(s, memory, to) : node_answers(s, to)) {
                *ret = px_store_of(to);
                return true;
            }
            if (directory_nodes(d) != n)
                break; /* it changed while we waited: the next round */
        }
    }
    return false;
}

static uint32_t voters_of(const struct px_config *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++)
        n += px_is_voter(&c->member[i]);
    return n;
}

enum rc node_config_add(struct px_config *c, px_store store, uint64_t replica, uint32_t flags, struct err *err) {
    for (uint32_t k = 0; k < c->count; k++)
        if (c->member[k].store == store) {
            c->member[k].flags |= flags;
            return RC_OK;
        }
    if (c->count >= PX_MEMBERS_MAX)
        return err_set(err, RC_LIMIT, "more than %d members", PX_MEMBERS_MAX);
    uint32_t i = c->count++;
    for (; i > 0 && c->member[i - 1].store > store; i--)
        c->member[i] = c->member[i - 1];
    c->member[i] = (struct px_member){store, replica, flags};
    return RC_OK;
}

void node_config_del(struct px_config *c, uint32_t i) {
    memmove(&c->member[i], &c->member[i + 1], (--c->count - i) * sizeof *c->member);
}

enum rc node_change(struct store_run *s, uint64_t id, const struct px_config *want, int64_t ns, struct err *err) {
    struct tablet *t = tablets_find(s->pub.tablets, id);
    if (!t || !replica_leads(tablet_replica(t)))
        return err_set(err, RC_NOT_LEADER, "this store does not lead tablet %llu", (unsigned long long)id);
    struct px_status px;
    replica_status(tablet_replica(t), &px);
    if (replica_changing(tablet_replica(t)) || px.config_pending || px.config.joint || px.config.epoch != want->epoch)
        return err_set(err, RC_OVERLOAD, "the members of tablet %llu are changing; try again", (unsigned long long)id);
    return replica_change(tablet_replica(t), want, reactor_deadline(s->pub.reactor, ns), err);
}

static void growth_main(void *arg) {
    struct growth *g = arg;
    struct store_run *s = g->r->s;
    struct err err = {0};
    enum rc rc = node_change(s, g->id, &g->want, g->ns, &err);
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN)
        diag_tablet(&s->pub.env->diag, DIAG_INFO, g->id,
                    g->dead.store ? "tablet: a dead node's voter is not replaced yet" : "tablet: has not grown yet",
                    "reason=\"%s\"", err_message(&err));
    if (!rc && g->dead.store) {
        counter_inc(&s->repairs);
        diag_tablet(&s->pub.env->diag, DIAG_INFO, g->id, "tablet: a dead node's voter was replaced", "dead=%u node=%u",
                    px_node_of(g->dead.store), px_node_of(g->dead.heir));
    }
    g->r->heirs -= g->dead.store != 0;
    free(g);
}

static enum rc grow_beside(struct repair *r, uint64_t id, const struct px_config *want, int64_t ns,
                           const struct node_dead *dead, struct err *err) {
    struct growth *g = malloc(sizeof *g);
    if (!g)
        return err_set(err, RC_NOMEM, "out of memory");
    *g = (struct growth){.r = r, .id = id, .want = *want, .ns = ns};
    if (dead)
        g->dead = *dead;
    r->heirs += g->dead.store != 0;
    enum rc rc = fiber_spawn(r->s->pub.reactor, &r->growths, FIBER_LARGE, "tablet growth", growth_main, g);
    if (rc) {
        r->heirs -= g->dead.store != 0;
        free(g);
    }
    return rc ? err_set(err, rc, "no fiber for a tablet's growth") : RC_OK;
}

/* Those that are missing and answer. Returns how many were added to want; their replicas have no numbers yet. */
static uint32_t choose_all(struct store_run *s, const struct tablet_info *info, size_t missing, struct px_config *want,
                           px_store added[PX_MEMBERS_MAX]) {
    struct tablet_info next = *info;
    uint32_t n = 0;
    while (n < missing && n < PX_MEMBERS_MAX && node_choose(s, &next, &next.config, NULL, NULL, &added[n])) {
        struct err full;
        if (node_config_add(want, added[n], 0, PX_OLD, &full))
            break;
        next.config = *want;
        n++;
    }
    return n;
}

static enum rc grow(struct repair *r, const struct tablet_info *info, struct err *err) {
    struct store_run *s = r->s;
    struct px_config want = info->config;
    px_store added[PX_MEMBERS_MAX];
    uint64_t first = 0;
    struct tablet *t = tablets_find(s->pub.tablets, info->id);
    if (!t || replica_changing(tablet_replica(t)) || r->growths.count >= GROWTHS_MAX)
        return RC_OK;
    size_t missing = voters_wanted(node_placement(s, info), s->pub.directory) - voters_of(&info->config);
    uint32_t n = choose_all(s, info, missing, &want, added);
    struct told *told = told_of(r, info->id);
    if (n < missing && told && !told->held) {
        told->held = true;
        return RC_OK; /* it may be about to serve */
    }
    if (n == 0)
        return RC_OK; /* nobody answers now */
    if (told)
        told->held = false;
    enum rc rc = directory_next(s->pub.directory, "replica", n, reactor_deadline(s->pub.reactor, PUT_NS), &first, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < want.count; i++)
        for (uint32_t k = 0; k < n; k++)
            if (want.member[i].store == added[k] && !px_config_find(&info->config, added[k]))
                want.member[i].replica = first + k;
    for (uint32_t k = 0; k < n; k++)
        diag_tablet(&s->pub.env->diag, DIAG_INFO, info->id, "tablet: gains a voter", "node=%u replica=%llu",
                    px_node_of(added[k]), (unsigned long long)px_config_find(&want, added[k])->replica);
    return grow_beside(r, info->id, &want, CHANGE_NS, NULL, err);
}

/* ---- placements ---------------------------------------------------------------------------------------------------------- */

static const Node__Node *node_at(const struct store_run *s, px_store store) {
    return directory_node(s->pub.directory, px_node_of(store));
}

/* Leads from where the placement wants it, if a voter there answers and has everything. */
static enum rc prefer(struct store_run *s, const struct tablet_info *info, const Node__Placement *p, bool must_go,
                      struct err *err) {
    px_store self = px_store_of(rpc_self(s->pub.rpc)), best = 0;
    const Node__Node *me = node_at(s, self);
    size_t rank = me && !must_go ? placement_rank(p, me) : SIZE_MAX;
    for (uint32_t i = 0; i < info->config.count; i++) {
        const struct px_member *m = &info->config.member[i];
        const Node__Node *n = node_at(s, m->store);
        struct tablet *t = tablets_find(s->pub.tablets, info->id);
        if (!n || m->store == self || !px_is_voter(m) || m->flags & PX_WITNESS || !placement_allows(p, n) || !t ||
            !replica_caught_up(tablet_replica(t), m->store) || placement_rank(p, n) >= rank)
            continue;
        rank = placement_rank(p, n);
        best = m->store;
    }
    struct tablet *t = best ? tablets_find(s->pub.tablets, info->id) : NULL;
    if (!t)
        return RC_OK;
    diag_tablet(&s->pub.env->diag, DIAG_INFO, info->id, "tablet: led from where its placement wants it", "node=%u",
                px_node_of(best));
    return replica_transfer(tablet_replica(t), best, reactor_deadline(s->pub.reactor, PUT_NS), err);
}

static bool misplaced(const Node__Placement *p, const struct px_member *m, const Node__Node *n) {
    return px_is_voter(m) && !placement_allows(p, n);
}

/* A voter that stands where it should not gives its place to one that may; the leader itself hands over first. */
static enum rc bring_over(struct repair *r, const struct tablet_info *info, const Node__Placement *p, struct err *err) {
    struct store_run *s = r->s;
    px_store self = px_store_of(rpc_self(s->pub.rpc)), store;
    uint32_t wrong = info->config.count;
    for (uint32_t i = 0; i < info->config.count; i++) {
        const Node__Node *n = node_at(s, info->config.member[i].store);
        if (n && misplaced(p, &info->config.member[i], n) &&
            (wrong == info->config.count || info->config.member[i].store != self))
            wrong = i;
    }
    if (wrong == info->config.count)
        return RC_OK;
    if (info->config.member[wrong].store == self)
        return prefer(s, info, p, true, err);
    struct px_config want = info->config;
    uint64_t replica;
    if (voters_of(&want) <= voters_wanted(p, s->pub.directory)) {
        if (!node_choose(s, info, &info->config, NULL, NULL, &store))
            return RC_OK; /* nobody who may have it answers now */
        enum rc rc =
            directory_next(s->pub.directory, "replica", 1, reactor_deadline(s->pub.reactor, PUT_NS), &replica, err);
        if (!rc)
            rc = node_config_add(&want, store, replica, PX_OLD, err);
        if (rc)
            return rc;
    } /* else it has more than it should */
    node_reads_demote(s, info->id, node_placement(s, info), &want, info->config.member[wrong].store);
    return node_change(s, info->id, &want, CHANGE_NS, err);
}

/* A group with a placement of its own gets tablets of its own. */
static enum rc cut_off(struct store_run *s, const struct tablet_info *info, bool *ret_done, struct err *err) {
    struct buf key;
    uint64_t right;
    buf_init(&key, KEY_BYTES_MAX);
    enum rc rc = info->id == SYSTEM_TABLET
                     ? RC_OK
                     : placement_border(directory_placements(s->pub.directory), info->start, info->end, &key, err);
    if (!rc && key.len)
        rc = node_split(s, info->id, (struct mvcc_bytes){key.data, key.len},
                        reactor_deadline(s->pub.reactor, CHANGE_NS), &right, NULL, err);
    *ret_done = key.len > 0;
    buf_done(&key);
    return rc;
}

/* A voter that is dead gives its place to another; one at a time while it may well be this node that hears nobody. */
static enum rc bury(struct repair *r, const struct tablet_info *info, bool *ret_done, struct err *err) {
    struct store_run *s = r->s;
    struct tablet *t = tablets_find(s->pub.tablets, info->id);
    struct px_config want;
    struct node_dead dead;
    if (!t || replica_changing(tablet_replica(t)) || r->growths.count >= GROWTHS_MAX || r->heirs >= HEIRS_MAX ||
        (r->heirs && reads_most_silent(&r->voters, s->pub.node->id.node, reactor_now(s->pub.reactor))))
        return RC_OK;
    enum rc rc = node_dead(s, &r->voters, &r->reads, info, &want, &dead, err);
    *ret_done = !rc && dead.store;
    return *ret_done ? grow_beside(r, info->id, &want, HEIR_NS, &dead, err) : rc;
}

static enum rc place(struct repair *r, const struct tablet_info *info, struct err *err) {
    struct store_run *s = r->s;
    const Node__Placement *p = node_placement(s, info);
    if (info->config.joint)
        return RC_OK;
    if (voters_of(&info->config) < voters_wanted(p, s->pub.directory))
        return grow(r, info, err);
    for (uint32_t i = 0; p && i < info->config.count; i++) {
        const Node__Node *n = node_at(s, info->config.member[i].store);
        if (n && misplaced(p, &info->config.member[i], n))
            return bring_over(r, info, p, err);
    }
    struct px_config want;
    bool changes = false, buried = false;
    enum rc rc = bury(r, info, &buried, err);
    if (rc || buried)
        return rc;
    p = node_placement(s, info); /* after the wait */
    rc = r->growths.count < GROWTHS_MAX ? node_reads(s, &r->reads, info, p, &want, &changes, err) : RC_OK;
    if (rc || changes)
        return rc ? rc : grow_beside(r, info->id, &want, READS_NS, NULL, err);
    p = node_placement(s, info); /* after the wait */
    return p && p->n_leader ? prefer(s, info, p, false, err) : RC_OK;
}

/* ---- damage ----------------------------------------------------------------------------------------------------------------- */

/* A replica here whose file is damaged: its group is asked to replace it. */
static void mourn(struct repair *r) {
    struct store_run *s = r->s;
    struct tablet_lost lost;
    int64_t now = reactor_now(s->pub.reactor);
    if (!tablets_lost(s->pub.tablets, &lost) || now < r->mourn_at)
        return;
    Node__AdminAsk ask = NODE__ADMIN_ASK__INIT;
    Node__AdminAnswer out = NODE__ADMIN_ANSWER__INIT;
    struct arena a;
    struct err err = {0};
    ask.verb = (char *)(uintptr_t) "replace";
    ask.tablet = lost.id;
    ask.from_node = s->pub.node->id.node;
    ask.replica = lost.replica;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc = node_admin(s, &ask, &a, reactor_deadline(s->pub.reactor, MOURN_NS), &out, &err);
    arena_done(&a);
    if (!rc || rc == RC_NOTFOUND) {
        tablets_replaced(s->pub.tablets, &lost);
        return; /* the next one in the next round */
    }
    tablets_lost_later(s->pub.tablets);
    if (rc != RC_CANCELLED && rc != RC_SHUTDOWN)
        diag_tablet(&s->pub.env->diag, DIAG_INFO, lost.id, "tablet: a damaged replica is not replaced yet",
                    "reason=\"%s\"", err_message(&err));
    r->mourn_at = reactor_now(s->pub.reactor) + LIST_NS;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------------- */

static void note_id(void *ctx, struct tablet *t) {
    struct repair *r = ctx;
    struct tablet_info info;
    tablet_info(t, &info);
    if (!info.leads)
        return;
    node_dead_listen(r->s, &r->voters, t);
    if (r->n_ids == r->ids_cap) {
        size_t cap = r->ids_cap ? 2 * r->ids_cap : 64;
        uint64_t *v = realloc(r->ids, cap * sizeof *v);
        if (!v)
            return; /* the next round */
        r->ids = v;
        r->ids_cap = cap;
    }
    r->ids[r->n_ids++] = info.id;
}

/* Learns of new nodes: whom tablets may grow onto. */
static void refresh(struct repair *r) {
    struct store_run *s = r->s;
    Node__Ask ask = NODE__ASK__INIT;
    Node__Answer *answer;
    struct arena a;
    int64_t now = reactor_now(s->pub.reactor);
    if (now < r->list_at)
        return;
    r->list_at = now + LIST_NS;
    ask.list = true;
    arena_init(&a, ARENA_BYTES_MAX);
    enum rc rc = directory_ask(s->pub.directory, &ask, &a, reactor_deadline(s->pub.reactor, PUT_NS), &answer, NULL);
    arena_done(&a);
    node_ways_learn(s);
    if (!rc && s->pub.number == 0)
        peers_write(s->pub.reactor, s->pub.node->conf->dir, s->pub.directory, &s->pub.node->peers_written);
}

/* ---- splits -------------------------------------------------------------------------------------------------------------- */

static void split_main(void *arg) {
    struct repair *r = arg;
    struct store_run *s = r->s;
    struct err err = {0};
    uint64_t right;
    enum rc rc = node_split(s, r->split_id, (struct mvcc_bytes){NULL, 0}, reactor_deadline(s->pub.reactor, CHANGE_NS),
                            &right, NULL, &err);
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN && rc != RC_NOT_LEADER)
        diag_tablet(&s->pub.env->diag, DIAG_INFO, r->split_id, "tablet: too large, and not split yet", "reason=\"%s\"",
                    err_message(&err));
}

/* The first one that is too large; the others later. */
static void split_large(struct repair *r) {
    struct store_run *s = r->s;
    int64_t limit = s->pub.node->conf->tablet_bytes ? s->pub.node->conf->tablet_bytes : NODE_TABLET_BYTES;
    int64_t now = reactor_now(s->pub.reactor);
    if (limit < 0 || now < r->measure_at || r->splits.count > 0)
        return;
    r->measure_at = now + MEASURE_NS;
    for (size_t i = 0; i < r->n_ids && !s->stopping; i++) {
        struct tablet *t = tablets_find(s->pub.tablets, r->ids[i]);
        struct told *told = told_of(r, r->ids[i]);
        int64_t bytes = 0;
        if (!t || !told || r->ids[i] == SYSTEM_TABLET || r->ids[i] == r->split_id || !replica_leads(tablet_replica(t)))
            continue;
        uint64_t slot = replica_applied(tablet_replica(t));
        if (told->measured == slot) /* nothing has happened to it: its file need not even be open */
            continue;
        if (mvcc_data_bytes(tablet_mvcc(t), &bytes, NULL) != RC_OK)
            continue;
        if (bytes <= limit) {
            if ((told = told_of(r, r->ids[i])))
                told->measured = slot;
            continue;
        }
        r->split_id = r->ids[i];
        if (fiber_spawn(s->pub.reactor, &r->splits, FIBER_LARGE, "tablet split", split_main, r) == RC_OK)
            return;
    }
    r->split_id = 0; /* one that could not be split is tried again in the next round but one */
}

/* What follows waits: the range must not change under it. */
static enum rc keep_range(struct repair *r, struct tablet_info *info) {
    buf_reset(&r->range, 0);
    buf_put(&r->range, info->start.p, info->start.n);
    buf_put(&r->range, info->end.p, info->end.n);
    enum rc rc = buf_rc(&r->range);
    if (!rc) {
        info->start.p = r->range.data;
        info->end.p = r->range.data + info->start.n;
    }
    return rc;
}

static void look_at(struct repair *r, uint64_t id) {
    struct store_run *s = r->s;
    struct tablet *t = tablets_find(s->pub.tablets, id);
    struct tablet_info info;
    struct err err = {0};
    enum rc rc = RC_OK;
    if (!t || !replica_leads(tablet_replica(t)))
        return;
    tablet_info(t, &info);
    node_dead_listen(s, &r->voters, t); /* a round may be long */
    const struct told *told = told_of(r, id);
    if (!told || told->generation != info.generation || told->epoch != info.config.epoch || told->round != info.round)
        rc = tell(r, &info, &err);
    if (!rc) {
        t = tablets_find(s->pub.tablets, id);
        if (!t || !replica_leads(tablet_replica(t)))
            return;
        tablet_info(t, &info); /* after the wait */
        bool cut = false;
        rc = keep_range(r, &info);
        if (!rc)
            rc = cut_off(s, &info, &cut, &err);
        if (!rc && !cut)
            rc = place(r, &info, &err);
    }
    t = rc ? NULL : tablets_find(s->pub.tablets, id);
    if (t && replica_lacks_member(tablet_replica(t)))
        rc = replica_make_missing(tablet_replica(t), reactor_deadline(s->pub.reactor, PUT_NS), &err);
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN)
        diag_tablet(&s->pub.env->diag, DIAG_INFO, id, "tablet: not repaired yet", "reason=\"%s\"", err_message(&err));
}

void node_repair(void *arg) {
    struct store_run *s = arg;
    struct repair r = {.s = s};
    fiber_group_init(&r.splits);
    fiber_group_init(&r.growths);
    buf_init(&r.range, 0);
    while (!fiber_cancelled(s->pub.reactor) && !s->stopping) {
        enum rc rc = waitq_wait(s->pub.reactor, &s->wake, reactor_deadline(s->pub.reactor, ROUND_NS));
        if (rc != RC_OK && rc != RC_TIMEOUT)
            break;
        if (s->pub.node->state != NODE_SERVING)
            continue;
        refresh(&r);
        r.n_ids = 0;
        tablets_each(s->pub.tablets, note_id, &r); /* in the order of ids: the system's first */
        for (size_t i = 0; i < r.n_ids && !s->stopping; i++)
            look_at(&r, r.ids[i]);
        split_large(&r);
        mourn(&r);
    }
    fiber_group_cancel(&r.splits);
    fiber_group_cancel(&r.growths);
    fiber_shield_begin(s->pub.reactor);
    IGNORE(fiber_group_join(s->pub.reactor, &r.splits, DEADLINE_NONE)); /* shielded: they end */
    IGNORE(fiber_group_join(s->pub.reactor, &r.growths, DEADLINE_NONE));
    fiber_shield_end(s->pub.reactor);
    buf_done(&r.range);
    reads_done(&r.reads);
    reads_done(&r.voters);
    free(r.told);
    free(r.ids);
}

/* Enough voters, where they may be. */
static bool obeyed(const Node__Answer *list, const Node__Tablet *t, const struct px_config *c) {
    struct mvcc_bytes start = {t->start.data, t->start.len}, end = {t->end.data, t->end.len};
    const Node__Placement *p = t->tablet == SYSTEM_TABLET ? NULL : placement_of(list, start, end);
    size_t nodes = 0, voters = 0, want = placement_voters(p);
    for (size_t i = 0; i < list->n_nodes; i++) {
        const Node__Node *n = list->nodes[i];
        bool may = placement_allows(p, n);
        nodes += may;
        for (uint32_t k = 0; k < c->count; k++) {
            if (px_node_of(c->member[k].store) != n->node || !px_is_voter(&c->member[k]))
                continue;
            if (!may)
                return false;
            voters++;
        }
    }
    return voters >= (nodes < want ? nodes : want);
}

bool node_fully_replicated(const Node__Answer *list) {
    for (size_t i = 0; i < list->n_tablets; i++) {
        struct px_config c;
        const Node__Tablet *t = list->tablets[i];
        if (px_config_decode(t->config.data, t->config.len, &c) != RC_OK || c.joint || !obeyed(list, t, &c))
            return false;
    }
    return list->n_tablets > 0;
}
