/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/px_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/base/map.h"

enum { POOL_MAX = 4096, PROBES_MAX = 64, MS = 1000000 };
static const int64_t SECOND = 1000000000, EPOCH = INT64_C(1767225600000000000);

/* What a store has on disk: records in order, durable up to a point. */
struct w_disk {
    struct px_record *rec;
    size_t count, cap, durable; /* records */
    uint64_t incarnation;
    int64_t clean_until;
    /* the state machine's last durable checkpoint */
    px_slot applied, truncated;
    struct px_ballot origin;
    int64_t floor;
    uint64_t hash;
    struct px_config config;
    bool exists;
};

struct w_write {
    size_t upto; /* records of the disk */
    uint64_t seq;
};

struct w_node {
    struct world *w;
    px_store id;
    uint64_t replica; /* a new one each time that it is added again (P-23) */
    bool up, cut;
    struct w_disk disk;
    struct px_support *sup;
    struct px_group *g;
    int64_t support_at, wake_at;
    int64_t err_lo, err_hi; /* present errors of its clock */
    int64_t lie;
    bool unsynced;
    int64_t tt_floor_lo, tt_floor_hi; /* a clock does not go back */
    struct w_write write[64];
    size_t writes;
    px_slot applied;
    struct px_ballot origin;
    int64_t floor;
    uint64_t hash;
    struct px_config config; /* as of applied */
    uint32_t snapshot_to;    /* stores, by bit */
    uint64_t paused_until;
};

struct w_msg {
    bool support;
    struct px_msg m;
    struct support_msg s;
    struct px_config config;
    struct px_entry *entry;
};

struct world {
    struct w_conf conf;
    struct chaos chaos;
    struct rng rng;
    int64_t now; /* true time since the start, monotonic for all */
    struct w_node node[W_NODES_MAX];
    struct w_msg pool[POOL_MAX];
    size_t pooled;
    /* the global observer */
    struct px_value **chosen; /* by slot - 1 */
    int64_t *chosen_ts;
    size_t chosen_cap;
    px_slot chosen_last;
    uint64_t *hash_at;  /* state hash after slot */
    int64_t max_served; /* largest timestamp served or acknowledged by any leader so far */
    uint64_t next_command, acked, leads;
    char broken[512];
    const char *probe[PROBES_MAX];
    uint64_t probe_hits[PROBES_MAX];
    size_t probes;
    uint64_t replica_next;
};

static void break_(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void break_(struct world *w, const char *fmt, ...) {
    if (w->broken[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->broken, sizeof w->broken, fmt, ap);
    va_end(ap);
}

/* ---- chaos ------------------------------------------------------------------------------------------------------- */

static bool no_chance(struct chaos *c, const char *place) {
    (void)c, (void)place;
    return false;
}

static bool is_mutant(struct chaos *c, const char *rule) {
    struct world *w = container_of(c, struct world, chaos);
    return w->conf.mutant && strcmp(w->conf.mutant, rule) == 0;
}

static void probe(struct chaos *c, const char *what) {
    struct world *w = container_of(c, struct world, chaos);
    size_t i = 0;
    while (i < w->probes && strcmp(w->probe[i], what) != 0)
        i++;
    if (i == w->probes && i < PROBES_MAX)
        w->probe[w->probes++] = what;
    if (i < PROBES_MAX)
        w->probe_hits[i]++;
}

uint64_t world_probe(const struct world *w, const char *what) {
    for (size_t i = 0; i < w->probes; i++)
        if (strcmp(w->probe[i], what) == 0)
            return w->probe_hits[i];
    return 0;
}

void world_probes(const struct world *w, void (*fn)(void *ctx, const char *what, uint64_t hits), void *ctx) {
    for (size_t i = 0; i < w->probes; i++)
        fn(ctx, w->probe[i], w->probe_hits[i]);
}

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

static struct px_now now_of(struct w_node *n) {
    struct world *w = n->w;
    struct px_now now = {.mono_ns = w->now, .tt = TT_UNKNOWN};
    if (n->unsynced)
        return now;
    now.tt.earliest = EPOCH + w->now - n->err_lo + n->lie;
    now.tt.latest = EPOCH + w->now + n->err_hi + n->lie;
    if (now.tt.earliest < n->tt_floor_lo)
        now.tt.earliest = n->tt_floor_lo;
    if (now.tt.latest < n->tt_floor_hi)
        now.tt.latest = n->tt_floor_hi;
    n->tt_floor_lo = now.tt.earliest;
    n->tt_floor_hi = now.tt.latest;
    return now;
}

static void wander(struct w_node *n) {
    struct world *w = n->w;
    int64_t e = w->conf.clock_error_ns;
    n->err_lo = rng_range(&w->rng, 0, e);
    n->err_hi = rng_range(&w->rng, 0, e);
    n->unsynced = rng_chance(&w->rng, 0.02);
    n->lie = w->conf.clock_lies && rng_chance(&w->rng, 0.1) ? rng_range(&w->rng, -5 * SECOND, 5 * SECOND) : 0;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void msg_free(struct w_msg *m) {
    for (size_t i = 0; i < m->m.entries; i++)
        px_value_unref(m->entry[i].value);
    free(m->entry);
    m->entry = NULL;
    m->m.entries = 0;
}

static void msg_post(struct world *w, const struct px_msg *m) {
    if (w->pooled == POOL_MAX || rng_chance(&w->rng, w->conf.loss))
        return;
    struct w_msg *p = &w->pool[w->pooled++];
    *p = (struct w_msg){.m = *m};
    if (m->config)
        p->config = *m->config;
    p->entry = calloc(m->entries + 1, sizeof *p->entry);
    for (size_t i = 0; i < m->entries; i++) {
        p->entry[i] = m->entry[i];
        px_value_ref(p->entry[i].value);
    }
}

static void support_send(void *ctx, const struct support_msg *m) {
    struct w_node *n = ctx;
    if (n->w->pooled < POOL_MAX && !rng_chance(&n->w->rng, n->w->conf.loss))
        n->w->pool[n->w->pooled++] = (struct w_msg){.support = true, .s = *m};
}

static void pump(struct w_node *n);

static void support_changed(void *ctx, px_store peer, bool lost) {
    struct w_node *n = ctx;
    struct px_now now = now_of(n);
    (void)lost;
    if (n->g)
        px_support_changed(n->g, &now, peer);
}

static struct support_out support_out_of(struct w_node *n) {
    return (struct support_out){support_send, support_changed, n};
}

/* ---- disk -------------------------------------------------------------------------------------------------------- */

static void disk_append(struct w_disk *d, const struct px_record *r) {
    if (d->count == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 64;
        d->rec = realloc(d->rec, d->cap * sizeof *d->rec);
    }
    d->rec[d->count++] = *r;
    if (r->entry.value)
        px_value_ref(r->entry.value);
}

static void disk_cut(struct w_disk *d, size_t count) {
    while (d->count > count)
        px_value_unref(d->rec[--d->count].entry.value);
    if (d->durable > d->count)
        d->durable = d->count;
}

static void checkpoint(struct w_node *n) {
    n->disk.applied = n->applied;
    n->disk.origin = n->origin;
    n->disk.floor = n->floor;
    n->disk.hash = n->hash;
    n->disk.config = n->config;
}

/* ---- the global observer ----------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const struct px_value *v) {
    h = (h ^ (uint64_t)v->kind) * 0x9e3779b97f4a7c15u;
    return hash_bytes(v->data, v->bytes, h);
}

/* Some node says that v is chosen for slot. */
static void observe(struct w_node *n, px_slot slot, struct px_value *v) {
    struct world *w = n->w;
    if (slot > w->chosen_cap) {
        size_t cap = w->chosen_cap ? w->chosen_cap * 2 : 1024;
        while (cap < slot)
            cap *= 2;
        w->chosen = realloc(w->chosen, cap * sizeof(*w->chosen));
        w->hash_at = realloc(w->hash_at, cap * sizeof *w->hash_at);
        memset(w->hash_at + w->chosen_cap, 0, (cap - w->chosen_cap) * sizeof *w->hash_at);
        memset(w->chosen + w->chosen_cap, 0, (cap - w->chosen_cap) * sizeof(*w->chosen));
        w->chosen_cap = cap;
    }
    struct px_value **c = &w->chosen[slot - 1];
    if (!*c) {
        *c = px_value_ref(v);
        if (slot > w->chosen_last)
            w->chosen_last = slot;
        return;
    }
    bool same = (*c)->kind == v->kind && (*c)->bytes == v->bytes && memcmp((*c)->data, v->data, v->bytes) == 0 &&
                (*c)->ts == v->ts;
    if (!same)
        break_(w, "INV-P1: slot %llu has two values, the second says store %llu", (unsigned long long)slot,
               (unsigned long long)n->id);
}

static void check_timestamps(struct world *w) {
    int64_t last = 0;
    for (px_slot s = 1; s <= w->chosen_last; s++) {
        struct px_value *v = w->chosen[s - 1];
        if (!v || !v->ts)
            continue;
        if (v->ts <= last)
            break_(w, "INV-S1: slot %llu has timestamp %lld, after %lld", (unsigned long long)s, (long long)v->ts,
                   (long long)last);
        last = v->ts;
    }
}

static void check_leases(struct world *w) {
    int leaders = 0;
    if (w->conf.clock_lies)
        return;
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        struct w_node *n = &w->node[i];
        if (!n->up || !n->g)
            continue;
        struct px_now now = now_of(n);
        leaders += px_leads(n->g, &now);
    }
    if (leaders > 1)
        break_(w, "INV-L1: %d stores hold the lease at once", leaders);
}

/* ---- a node's life ----------------------------------------------------------------------------------------------- */

static void apply_some(struct w_node *n, bool all) {
    struct world *w = n->w;
    const struct px_entry *e;
    struct px_now now = now_of(n);
    while ((e = px_next(n->g, n->applied))) {
        observe(n, e->slot, e->value);
        n->applied = e->slot;
        n->origin = e->value->origin;
        n->hash = mix(n->hash, e->value);
        if (e->value->ts > n->floor)
            n->floor = e->value->ts;
        if (e->value->kind == PX_CONFIG)
            IGNORE(px_config_decode(e->value->data, e->value->bytes, &n->config));
        if (!w->hash_at[e->slot - 1])
            w->hash_at[e->slot - 1] = n->hash;
        else if (w->hash_at[e->slot - 1] != n->hash)
            break_(w, "INV-P4: states differ after slot %llu", (unsigned long long)e->slot);
        if (!all && rng_chance(&w->rng, 0.3))
            break;
    }
    px_applied(n->g, &now, n->applied);
}

static void snapshot(struct w_node *from, struct w_node *to) {
    struct px_now now = now_of(to);
    if (!to->up || !to->g || to->cut || from->cut)
        return;
    if (from->applied <= to->applied)
        return;
    px_install(to->g, &now, from->applied, &from->origin, &from->config, from->floor);
    to->applied = from->applied;
    to->origin = from->origin;
    to->hash = from->hash;
    to->floor = from->floor > to->floor ? from->floor : to->floor;
    to->config = from->config;
    checkpoint(to); /* an install is durable before it counts */
    to->disk.truncated = to->applied;
}

static void pump(struct w_node *n) {
    struct px_ready ready;
    struct px_now now = now_of(n);
    px_store to;
    px_slot first;
    if (!n->up || !n->g)
        return;
    px_ready(n->g, &now, &ready);
    for (size_t i = 0; i < ready.n_persist; i++)
        disk_append(&n->disk, &ready.persist[i]);
    if (ready.n_persist && n->writes < ARRAY_LEN(n->write))
        n->write[n->writes++] = (struct w_write){n->disk.count, ready.persist_seq};
    else if (ready.n_persist)
        n->write[n->writes - 1] = (struct w_write){n->disk.count, ready.persist_seq};
    for (size_t i = 0; i < ready.n_send; i++)
        msg_post(n->w, &ready.send[i]);
    n->wake_at = ready.wake_ns;
    if (px_want_read(n->g, &to, &first))
        px_read_done(n->g, &now, to, NULL, 0); /* this world keeps no entries to read: a snapshot */
    if (px_want_snapshot(n->g, &to))
        n->snapshot_to |= 1u << to;
    if (px_need_snapshot(n->g, &to) && rng_chance(&n->w->rng, 0.2)) {
        if (rng_chance(&n->w->rng, 0.5))
            snapshot(&n->w->node[to - 1], n);
        else
            px_snapshot_failed(n->g);
    }
}

/* What counts of the records, as the log's index does it: by slot, the last one; a void drops its slot and all above. */
static void replay(struct w_node *n) {
    px_slot top = 0;
    for (size_t i = 0; i < n->disk.count; i++)
        top = n->disk.rec[i].entry.slot > top ? n->disk.rec[i].entry.slot : top;
    const struct px_entry **by_slot = calloc(top + 2, sizeof(*by_slot));
    for (size_t i = 0; i < n->disk.count; i++) {
        const struct px_record *r = &n->disk.rec[i];
        if (r->type == PX_REC_PROMISE)
            CHECK(px_restore_promise(n->g, &r->ballot) == RC_OK);
        else if (r->type == PX_REC_VOID)
            memset(by_slot + r->entry.slot, 0, (top + 1 - r->entry.slot) * sizeof(*by_slot));
        else
            by_slot[r->entry.slot] = &r->entry;
    }
    for (px_slot s = n->disk.applied; s <= top; s++)
        if (by_slot[s])
            CHECK(px_restore_entry(n->g, by_slot[s]) == RC_OK);
    free(by_slot);
}

static void node_start(struct w_node *n) {
    struct world *w = n->w;
    n->disk.incarnation++;
    struct support_init si = {.self = n->id,
                              .incarnation = n->disk.incarnation,
                              .chaos = &w->chaos,
                              .clean_until = n->disk.incarnation == 1 ? 1 : n->disk.clean_until};
    n->disk.clean_until = 0;
    CHECK(support_new(&si, &n->sup) == RC_OK);
    n->up = true;
    n->writes = 0;
    n->tt_floor_lo = n->tt_floor_hi = INT64_MIN;
    n->support_at = w->now;
    n->wake_at = INT64_MAX;
    n->snapshot_to = 0;
    n->applied = n->disk.applied;
    n->origin = n->disk.origin;
    n->floor = n->disk.floor;
    n->hash = n->disk.hash;
    n->config = n->disk.config;
    struct px_init init = {.group = 1,
                           .replica = n->replica,
                           .self = n->id,
                           .support = n->sup,
                           .chaos = &w->chaos,
                           .seed = rng_u64(&w->rng),
                           .config = n->disk.config,
                           .applied = n->disk.applied,
                           .applied_origin = n->disk.origin,
                           .floor = n->disk.floor};
    CHECK(px_new(&init, &n->g) == RC_OK);
    replay(n);
    px_restore_done(n->g, n->disk.truncated);
    n->disk.exists = true;
}

static void node_stop(struct w_node *n) {
    px_free(n->g);
    support_free(n->sup);
    n->g = NULL;
    n->sup = NULL;
    n->up = false;
}

static void node_crash(struct w_node *n) {
    struct world *w = n->w;
    /* Of what was not durable any prefix may be there. */
    disk_cut(&n->disk, n->disk.durable + rng_below(&w->rng, n->disk.count - n->disk.durable + 1));
    n->disk.durable = n->disk.count;
    node_stop(n);
}

/* A removed replica deletes its data; should its store be added again, that is another replica. */
static void node_wipe(struct w_node *n) {
    node_stop(n);
    disk_cut(&n->disk, 0);
    n->disk.durable = 0;
    n->disk.applied = n->disk.truncated = 0;
    n->disk.origin = (struct px_ballot){0};
    n->disk.floor = 0;
    n->disk.hash = 0;
    n->disk.config = (struct px_config){0};
    n->replica = 100 + ++n->w->replica_next;
    node_start(n);
}

/* A clean stop writes down the largest T granted (N-2). */
static void node_end(struct w_node *n) {
    n->disk.clean_until = support_stop_mark(n->sup);
    n->disk.durable = n->disk.count;
    node_stop(n);
}

static void sync_done(struct w_node *n) {
    struct px_now now = now_of(n);
    struct w_write wr = n->write[0];
    memmove(n->write, n->write + 1, (n->writes - 1) * sizeof wr);
    n->writes--;
    n->disk.durable = wr.upto > n->disk.durable ? wr.upto : n->disk.durable;
    px_durable(n->g, &now, wr.seq);
    pump(n);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void deliver(struct world *w) {
    if (!w->pooled)
        return;
    /* Mostly in order, sometimes not. */
    size_t i = rng_chance(&w->rng, 0.7) ? 0 : rng_below(&w->rng, w->pooled);
    struct w_msg m = w->pool[i];
    bool again = rng_chance(&w->rng, w->conf.duplicate);
    struct w_node *to = &w->node[(m.support ? m.s.to : m.m.to) - 1];
    struct w_node *from = &w->node[(m.support ? m.s.from : m.m.from) - 1];
    if (!again) {
        memmove(w->pool + i, w->pool + i + 1, (w->pooled - i - 1) * sizeof m);
        w->pooled--;
    }
    if (to->up && !to->cut && !from->cut) {
        struct px_now now = now_of(to);
        if (m.support) {
            struct support_out out = support_out_of(to);
            support_message(to->sup, &now, &m.s, &out);
        } else {
            struct px_msg msg = m.m;
            msg.entry = m.entry;
            msg.config = m.m.config ? &m.config : NULL;
            px_message(to->g, &now, &msg);
        }
        pump(to);
    }
    if (!again)
        msg_free(&m);
}

static struct w_node *some_node(struct world *w) {
    return &w->node[rng_below(&w->rng, w->conf.nodes)];
}

static void propose(struct world *w, struct w_node *n) {
    struct px_now now = now_of(n);
    uint64_t id = ++w->next_command;
    struct px_value *v = px_value_new(PX_COMMAND, &id, sizeof id);
    px_slot slot;
    bool timed = tt_is_known(now.tt) && rng_chance(&w->rng, 0.8);
    if (px_propose(n->g, &now, v, timed ? now.tt.latest : 0, &slot) == RC_OK && v->ts && v->ts <= w->max_served &&
        !w->conf.clock_lies)
        break_(w, "INV-S2: timestamp %lld assigned at or below %lld, which was served", (long long)v->ts,
               (long long)w->max_served);
    px_value_unref(v);
    pump(n);
}

static void serve(struct world *w, struct w_node *n) {
    struct px_now now = now_of(n);
    int64_t ts = now.tt.latest + (rng_chance(&w->rng, 0.3) ? rng_range(&w->rng, 0, 2 * SECOND) : 0);
    if (!tt_is_known(now.tt) || px_serve(n->g, &now, ts) != RC_OK)
        return;
    if (ts > w->max_served)
        w->max_served = ts;
    w->acked++;
    pump(n);
}

static void reconfigure(struct world *w, struct w_node *n) {
    struct px_now now = now_of(n);
    struct px_config c = *px_config_now(n->g);
    uint32_t i = (uint32_t)rng_below(&w->rng, w->conf.nodes);
    px_store store = w->node[i].id;
    const struct px_member *m = px_config_find(&c, store);
    if (!m && c.count < PX_MEMBERS_MAX) { /* as a learner first */
        uint32_t at = c.count++;
        for (; at > 0 && c.member[at - 1].store > store; at--)
            c.member[at] = c.member[at - 1];
        c.member[at] = (struct px_member){store, w->node[i].replica, 0};
    } else if (m) {
        uint32_t at = (uint32_t)(m - c.member);
        switch (rng_below(&w->rng, 3)) {
        case 0:
            c.member[at].flags ^= PX_OLD; /* promote or demote */
            break;
        case 1: /* swap: one in, one out, in one step */
            c.member[at].flags = PX_OLD;
            for (uint32_t k = 0; k < c.count; k++)
                if (k != at && c.member[k].store != n->id && px_is_voter(&c.member[k])) {
                    c.member[k].flags = 0;
                    break;
                }
            break;
        default:
            if (px_is_voter(m) && store != n->id)
                break;
            if (store == n->id)
                break;
            memmove(&c.member[at], &c.member[at + 1], (c.count - at - 1) * sizeof c.member[0]);
            c.count--;
        }
    }
    IGNORE(px_reconfigure(n->g, &now, &c, NULL));
    pump(n);
}

static void tick(struct w_node *n) {
    struct world *w = n->w;
    struct px_now now = now_of(n);
    struct support_out out = support_out_of(n);
    if (w->now >= n->support_at)
        n->support_at = support_tick(n->sup, &now, &out);
    if (w->now >= n->wake_at)
        px_tick(n->g, &now);
    pump(n);
}

static void node_step(struct world *w, struct w_node *n) {
    struct px_status st;
    struct px_now now;
    if (!n->up) {
        if (rng_chance(&w->rng, 0.2))
            node_start(n);
        return;
    }
    px_status(n->g, &st);
    if (st.removed && n->disk.config.count && rng_chance(&w->rng, 0.1)) {
        node_wipe(n);
        return;
    }
    switch (rng_below(&w->rng, 16)) {
    case 0:
    case 1:
    case 2:
        if (n->writes)
            sync_done(n);
        break;
    case 3:
    case 4:
        apply_some(n, false);
        pump(n);
        break;
    case 5:
        propose(w, n);
        break;
    case 6:
        serve(w, n);
        break;
    case 7:
        wander(n);
        break;
    case 8:
        now = now_of(n);
        px_status(n->g, &st);
        if (!st.leader || rng_chance(&w->rng, 0.05))
            px_campaign(n->g, &now);
        pump(n);
        break;
    case 9:
        if (rng_chance(&w->rng, 0.3)) {
            checkpoint(n);
            px_slot keep = rng_below(&w->rng, 20);
            if (n->applied > keep) {
                n->disk.truncated = n->applied - keep;
                px_truncate(n->g, n->disk.truncated);
            }
        }
        break;
    case 10:
        if (n->snapshot_to) {
            px_store to = (px_store)__builtin_ctz(n->snapshot_to);
            n->snapshot_to &= n->snapshot_to - 1;
            now = now_of(n);
            if (rng_chance(&w->rng, 0.8))
                snapshot(n, &w->node[to - 1]);
            px_snapshot_sent(n->g, &now, to, true);
            pump(n);
        }
        break;
    case 11:
        if (rng_chance(&w->rng, w->conf.crash))
            node_crash(n);
        else if (rng_chance(&w->rng, w->conf.crash / 2))
            node_end(n);
        break;
    case 12:
        if (rng_chance(&w->rng, w->conf.cut))
            n->cut = !n->cut;
        break;
    case 13:
        if (w->conf.changes && rng_chance(&w->rng, 0.3))
            reconfigure(w, n);
        else if (rng_chance(&w->rng, 0.1))
            px_ask(n->g);
        break;
    case 14:
        now = now_of(n);
        if (w->conf.changes && rng_chance(&w->rng, 0.2))
            IGNORE(px_transfer(n->g, &now, some_node(w)->id));
        else if (rng_chance(&w->rng, 0.01))
            px_resign(n->g, &now);
        pump(n);
        break;
    default:
        tick(n);
    }
}

static void one_step(struct world *w) {
    w->now += rng_chance(&w->rng, 0.002) ? rng_range(&w->rng, 0, 4 * SECOND) : rng_range(&w->rng, 0, 2 * MS);
    if (rng_chance(&w->rng, 0.6))
        deliver(w);
    else
        node_step(w, some_node(w));
    check_leases(w);
}

bool world_run(struct world *w, uint64_t steps) {
    for (uint64_t i = 0; i < steps && !w->broken[0]; i++)
        one_step(w);
    check_timestamps(w);
    return !w->broken[0];
}

/* ---- settling ---------------------------------------------------------------------------------------------------- */

static bool agreed(struct world *w) {
    px_slot last = 0;
    bool leader = false;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < w->conf.nodes; i++) {
            struct w_node *n = &w->node[i];
            struct px_status st;
            px_status(n->g, &st);
            struct px_now now = now_of(n);
            if (pass == 0) {
                leader |= px_leads(n->g, &now);
                if (n->applied > last)
                    last = n->applied;
            } else if (px_config_find(&st.config, n->id) && px_config_find(&st.config, n->id)->replica == n->replica &&
                       !st.removed && !st.leaving && n->applied != last) {
                return false;
            }
        }
    return leader;
}

static void dump(struct world *w) {
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        struct w_node *n = &w->node[i];
        struct px_status st;
        struct px_now now = now_of(n);
        px_status(n->g, &st);
        fprintf(stderr,
                "store %u: %s promised %llu.%llu leader %llu truncated %llu commit %llu applied %llu last %llu epoch "
                "%llu%s%s wake in %lld ms, lease for %lld ms\n",
                i + 1, px_role_name(st.role), (unsigned long long)st.promised.round,
                (unsigned long long)st.promised.store, (unsigned long long)st.leader, (unsigned long long)st.truncated,
                (unsigned long long)st.commit, (unsigned long long)st.applied, (unsigned long long)st.last,
                (unsigned long long)st.config.epoch, st.config.joint ? " joint" : "", st.removed ? " removed" : "",
                (long long)(n->wake_at == INT64_MAX ? -1 : (n->wake_at - w->now) / MS),
                (long long)((px_lease_end(n->g, &now) - now.tt.latest) / MS));
    }
}

bool world_settle(struct world *w) {
    w->conf.loss = w->conf.duplicate = w->conf.crash = w->conf.cut = 0;
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        struct w_node *n = &w->node[i];
        if (!n->up)
            node_start(n);
        n->cut = n->unsynced = false;
        n->lie = 0;
    }
    w->conf.clock_lies = false;
    int64_t until = w->now + 60 * SECOND;
    while (w->now < until && !w->broken[0]) {
        w->now += rng_range(&w->rng, 0, 2 * MS);
        for (int k = 0; k < 8; k++)
            deliver(w);
        for (uint32_t i = 0; i < w->conf.nodes; i++) {
            struct w_node *n = &w->node[i];
            struct px_status st;
            struct px_now now = now_of(n);
            while (n->writes)
                sync_done(n);
            apply_some(n, true);
            px_status(n->g, &st);
            if (!st.leader && !st.removed && rng_chance(&w->rng, 0.002))
                px_campaign(n->g, &now);
            if (rng_chance(&w->rng, 0.001))
                px_ask(n->g);
            if (until - w->now > 30 * SECOND && rng_chance(&w->rng, 0.0005))
                propose(w, n);
            if (n->snapshot_to) {
                px_store to = (px_store)__builtin_ctz(n->snapshot_to);
                n->snapshot_to &= n->snapshot_to - 1;
                snapshot(n, &w->node[to - 1]);
                px_snapshot_sent(n->g, &now, to, true);
            }
            tick(n);
        }
        if (until - w->now < 30 * SECOND && agreed(w))
            break;
    }
    check_timestamps(w);
    if (!w->broken[0] && !agreed(w) && getenv("SIM_PRINT"))
        dump(w);
    if (!w->broken[0] && !agreed(w))
        break_(w, "LIVE-1: no leader, or replicas that differ, 60 s after the last fault");
    return !w->broken[0];
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

struct world *world_new(const struct w_conf *conf) {
    static const struct chaos_ops ops = {no_chance, is_mutant, probe};
    struct world *w = calloc(1, sizeof *w);
    CHECK(w && conf->nodes <= W_NODES_MAX);
    w->conf = *conf;
    w->chaos.ops = &ops;
    rng_init(&w->rng, conf->seed);
    struct px_config c = {.epoch = 1};
    for (uint32_t i = 0; i < conf->voters; i++)
        c.member[c.count++] =
            (struct px_member){i + 1, i + 1, PX_OLD | (i + conf->witnesses >= conf->voters ? PX_WITNESS : 0)};
    for (uint32_t i = 0; i < conf->nodes; i++) {
        struct w_node *n = &w->node[i];
        n->w = w;
        n->id = i + 1;
        n->replica = i + 1;
        n->disk.config = c;
        wander(n);
        node_start(n);
    }
    return w;
}

void world_free(struct world *w) {
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        if (w->node[i].up)
            node_stop(&w->node[i]);
        disk_cut(&w->node[i].disk, 0);
        free(w->node[i].disk.rec);
    }
    for (size_t i = 0; i < w->pooled; i++)
        msg_free(&w->pool[i]);
    for (size_t i = 0; i < w->chosen_cap; i++)
        px_value_unref(w->chosen[i]);
    free(w->chosen);
    free(w->hash_at);
    free(w);
}

const char *world_broken(const struct world *w) {
    return w->broken[0] ? w->broken : NULL;
}

uint64_t world_chosen(const struct world *w) {
    return w->chosen_last;
}

uint64_t world_acked(const struct world *w) {
    return w->acked;
}

uint64_t world_leads(const struct world *w) {
    return world_probe(w, "paxos: a reign began on a release");
}
