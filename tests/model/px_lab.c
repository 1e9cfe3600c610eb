/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/px_lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/base/map.h"

void lab_break(struct lab *l, const char *fmt, ...) {
    if (l->broken[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->broken, sizeof l->broken, fmt, ap);
    va_end(ap);
}

static void *must(void *p) {
    CHECK(p);
    return p;
}

/* ---- chaos ------------------------------------------------------------------------------------------------------- */

static bool no_chance(struct chaos *c, const char *place) {
    (void)c, (void)place;
    return false;
}

static bool is_mutant(struct chaos *c, const char *rule) {
    struct lab *l = container_of(c, struct lab, chaos);
    return l->conf.mutant && strcmp(l->conf.mutant, rule) == 0;
}

static void probe(struct chaos *c, const char *what) {
    struct lab *l = container_of(c, struct lab, chaos);
    size_t i = 0;
    while (i < l->probes && strcmp(l->probe[i], what) != 0)
        i++;
    CHECK(i < LAB_PROBES_MAX);
    if (i == l->probes)
        l->probe[l->probes++] = what;
    l->probe_hits[i]++;
}

uint64_t lab_probe(const struct lab *l, const char *what) {
    for (size_t i = 0; i < l->probes; i++)
        if (strcmp(l->probe[i], what) == 0)
            return l->probe_hits[i];
    return 0;
}

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

struct px_now lab_now(struct lab_node *n) {
    struct lab *l = n->lab;
    struct px_now now = {.mono_ns = l->now, .tt = TT_UNKNOWN};
    if (n->unsynced)
        return now;
    now.tt.earliest = LAB_EPOCH + l->now - n->err_lo + n->lie;
    now.tt.latest = LAB_EPOCH + l->now + n->err_hi + n->lie;
    if (now.tt.earliest < n->seen_lo)
        now.tt.earliest = n->seen_lo;
    if (now.tt.latest < n->seen_hi)
        now.tt.latest = n->seen_hi;
    n->seen_lo = now.tt.earliest;
    n->seen_hi = now.tt.latest;
    return now;
}

/* ---- disks ------------------------------------------------------------------------------------------------------- */

static struct lab_at *disk_at(struct lab_disk *d, px_slot slot) {
    if (slot >= d->at_cap) {
        size_t cap = d->at_cap ? d->at_cap : 64;
        while (cap <= slot)
            cap *= 2;
        d->at = must(realloc(d->at, cap * sizeof *d->at));
        memset(d->at + d->at_cap, 0, (cap - d->at_cap) * sizeof *d->at);
        d->at_cap = cap;
    }
    return &d->at[slot];
}

static void disk_append(struct lab_disk *d, const struct px_record *r) {
    if (d->count == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 64;
        d->rec = must(realloc(d->rec, d->cap * sizeof *d->rec));
    }
    d->rec[d->count++] = *r;
    if (r->entry.value)
        px_value_ref(r->entry.value);
    if (r->type == PX_REC_ENTRY)
        disk_at(d, r->entry.slot)->record = d->count;
    if (r->type == PX_REC_VOID)
        for (size_t s = r->entry.slot; s < d->at_cap; s++)
            d->at[s].record = 0;
}

static struct lab_slot *slot_at(struct lab *l, px_slot slot);

/* Records up to `count` are durable. */
static void disk_durable(struct lab_node *n, size_t count) {
    struct lab_disk *d = &n->disk;
    for (; d->durable < count; d->durable++) {
        const struct px_record *r = &d->rec[d->durable];
        if (r->type == PX_REC_VOID) {
            for (size_t s = r->entry.slot; s < d->at_cap; s++)
                d->at[s].durable = (struct px_ballot){0};
            continue;
        }
        if (px_ballot_cmp(&r->ballot, &d->promised) < 0)
            lab_break(n->lab, "INV-P2: store %llu wrote ballot %llu below a durable promise of %llu",
                      (unsigned long long)n->id, (unsigned long long)r->ballot.round,
                      (unsigned long long)d->promised.round);
        d->promised = r->ballot;
        if (r->type != PX_REC_ENTRY)
            continue;
        disk_at(d, r->entry.slot)->durable = r->ballot;
        if (n->replica > LAB_REPLICAS_MAX)
            continue;
        struct lab_slot *s = slot_at(n->lab, r->entry.slot);
        struct lab_accept *a = s->accepts;
        while (a && px_ballot_cmp(&a->ballot, &r->ballot) != 0)
            a = a->next;
        if (!a) {
            a = must(calloc(1, sizeof *a));
            a->ballot = r->ballot;
            a->next = s->accepts;
            s->accepts = a;
        }
        a->replicas |= UINT64_C(1) << n->replica;
    }
}

/* What was written beyond `count` is gone. */
static void disk_cut(struct lab_disk *d, size_t count) {
    while (d->count > count)
        px_value_unref(d->rec[--d->count].entry.value);
    memset(d->at, 0, d->at_cap * sizeof *d->at);
    for (size_t i = 0; i < d->count; i++) {
        const struct px_record *r = &d->rec[i];
        if (r->type == PX_REC_ENTRY)
            *disk_at(d, r->entry.slot) = (struct lab_at){i + 1, r->ballot};
        if (r->type == PX_REC_VOID)
            for (size_t s = r->entry.slot; s < d->at_cap; s++)
                d->at[s] = (struct lab_at){0};
    }
    if (d->durable > d->count)
        d->durable = d->count;
}

void lab_checkpoint(struct lab_node *n) {
    n->disk.applied = n->applied;
    n->disk.origin = n->origin;
    n->disk.floor = n->floor;
    n->disk.hash = n->hash;
    n->disk.config = n->config;
}

void lab_truncate(struct lab_node *n, px_slot slot) {
    px_slot may = px_may_truncate(n->g, n->disk.applied);
    slot = slot < may ? slot : may;
    if (slot <= n->disk.truncated)
        return;
    n->disk.truncated = slot;
    px_truncate(n->g, slot);
}

/* ---- the global observer ----------------------------------------------------------------------------------------- */

static struct lab_slot *slot_at(struct lab *l, px_slot slot) {
    if (slot > l->slots_cap) {
        size_t cap = l->slots_cap ? l->slots_cap * 2 : 256;
        while (cap < slot)
            cap *= 2;
        l->slot = must(realloc(l->slot, cap * sizeof *l->slot));
        memset(l->slot + l->slots_cap, 0, (cap - l->slots_cap) * sizeof *l->slot);
        l->slots_cap = cap;
    }
    return &l->slot[slot - 1];
}

static bool same_value(const struct px_value *a, const struct px_value *b) {
    return a->kind == b->kind && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0 && a->ts == b->ts;
}

static bool quorum_of(const struct px_config *c, uint64_t replicas) {
    uint32_t set = 0;
    for (uint32_t i = 0; i < c->count; i++)
        set |= (uint32_t)(replicas >> c->member[i].replica & 1) << i;
    return px_config_quorum(c, set);
}

static const struct px_config *last_config(const struct lab *l) {
    return l->configs ? &l->config[l->configs - 1].c : &l->first;
}

/* Whether v, which nobody has applied yet, is durable at one and the same ballot on a quorum (P-2, P-4, P-7). */
static bool is_chosen(struct lab *l, px_slot slot, const struct px_value *v, const struct px_config *before,
                      struct px_config *ret_config) {
    *ret_config = *before;
    if (v->kind == PX_CONFIG)
        IGNORE(px_config_decode(v->data, v->bytes, ret_config));
    for (const struct lab_accept *a = slot_at(l, slot)->accepts; a; a = a->next)
        if (quorum_of(before, a->replicas) && quorum_of(ret_config, a->replicas))
            return true;
    return false;
}

static void check_chosen(struct lab *l, px_slot slot, const struct px_value *v) {
    struct px_config next;
    if (l->next_replica > LAB_REPLICAS_MAX)
        return;
    if (!is_chosen(l, slot, v, last_config(l), &next))
        lab_break(l, "INV-P3: slot %llu counts as chosen and no quorum has it durably at one ballot",
                  (unsigned long long)slot);
    if (v->kind == PX_CONFIG) {
        if (l->configs == l->configs_cap) {
            l->configs_cap = l->configs_cap ? l->configs_cap * 2 : 8;
            l->config = must(realloc(l->config, l->configs_cap * sizeof *l->config));
        }
        l->config[l->configs].slot = slot;
        l->config[l->configs++].c = next;
    }
}

/* n says that v is chosen for slot. */
static void observe(struct lab_node *n, px_slot slot, struct px_value *v) {
    struct lab *l = n->lab;
    struct lab_slot *s = slot_at(l, slot);
    if (!s->chosen) {
        s->chosen = px_value_ref(v);
        if (slot != l->chosen_last + 1)
            lab_break(l, "INV-P3: slot %llu is applied, %llu was nowhere", (unsigned long long)slot,
                      (unsigned long long)l->chosen_last + 1);
        l->chosen_last = slot > l->chosen_last ? slot : l->chosen_last;
        check_chosen(l, slot, v);
    } else if (!same_value(s->chosen, v)) {
        lab_break(l, "INV-P1: slot %llu has two values, the second says store %llu", (unsigned long long)slot,
                  (unsigned long long)n->id);
    }
    if (!s->hash)
        s->hash = n->hash;
    else if (s->hash != n->hash)
        lab_break(l, "INV-P4: states differ after slot %llu", (unsigned long long)slot);
}

void lab_check_timestamps(struct lab *l) {
    int64_t last = 0;
    for (px_slot s = 1; s <= l->chosen_last; s++) {
        struct px_value *v = l->slot[s - 1].chosen;
        if (!v || !v->ts)
            continue;
        if (v->ts <= last)
            lab_break(l, "INV-S1: slot %llu has timestamp %lld, after %lld", (unsigned long long)s, (long long)v->ts,
                      (long long)last);
        last = v->ts;
    }
}

void lab_check_leases(struct lab *l) {
    int leaders = 0;
    if (l->conf.clocks_lie)
        return;
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        struct lab_node *n = &l->node[i];
        if (!n->up || n->frozen) /* a stopped process serves nobody; when it goes on it looks at the clock first */
            continue;
        struct px_now now = lab_now(n);
        leaders += px_leads(n->g, &now);
    }
    if (leaders > 1)
        lab_break(l, "INV-L1: %d stores hold the lease at once", leaders);
}

/* ---- the network ------------------------------------------------------------------------------------------------- */

static void msg_free(struct lab_msg *m) {
    for (size_t i = 0; i < m->m.entries; i++)
        px_value_unref(m->entry[i].value);
    free(m->entry);
    free(m);
}

static void post(struct lab *l, struct lab_msg *m) {
    if (l->pooled == LAB_POOL_MAX || (l->ops.lose && l->ops.lose(l, m))) {
        msg_free(m);
        return;
    }
    m->id = ++l->next_id;
    l->pool[l->pooled++] = m;
}

/* INV-P2, INV-P3: what a message promises was durable before it left. */
static void check_answer(struct lab_node *n, const struct px_msg *m) {
    struct lab_disk *d = &n->disk;
    if (m->type != PX_MSG_PROMISE && m->type != PX_MSG_ACK)
        return;
    if (px_ballot_cmp(&m->ballot, &d->promised) > 0)
        lab_break(n->lab, "INV-P3: store %llu answers for ballot %llu.%llu, which it has not durably promised",
                  (unsigned long long)n->id, (unsigned long long)m->ballot.round, (unsigned long long)m->ballot.store);
    for (px_slot s = d->applied + 1; m->type == PX_MSG_ACK && s <= m->slot; s++) {
        struct lab_slot *seen = slot_at(n->lab, s);
        if (s <= n->applied && seen->chosen)
            continue; /* a snapshot's */
        struct lab_at *at = disk_at(d, s);
        if (px_ballot_is_zero(&at->durable) || (px_ballot_cmp(&at->durable, &m->ballot) != 0 && s > m->commit))
            lab_break(n->lab, "INV-P3: store %llu acknowledges slot %llu, which is not durable there at that ballot",
                      (unsigned long long)n->id, (unsigned long long)s);
    }
}

static void post_px(struct lab_node *n, const struct px_msg *m) {
    struct lab_msg *p = must(calloc(1, sizeof *p));
    check_answer(n, m);
    p->m = *m;
    if (m->config) {
        p->config = *m->config;
        p->m.config = &p->config;
    }
    p->entry = must(calloc(m->entries + 1, sizeof *p->entry));
    for (size_t i = 0; i < m->entries; i++) {
        p->entry[i] = m->entry[i];
        px_value_ref(p->entry[i].value);
    }
    p->m.entry = p->entry;
    post(n->lab, p);
}

static void support_send(void *ctx, const struct support_msg *m) {
    struct lab_node *n = ctx;
    struct lab_msg *p = must(calloc(1, sizeof *p));
    p->support = true;
    p->s = *m;
    post(n->lab, p);
}

static void support_changed(void *ctx, px_store peer, bool lost) {
    struct lab_node *n = ctx;
    struct px_now now = lab_now(n);
    (void)lost;
    px_support_changed(n->g, &now, peer);
}

static struct support_out support_out_of(struct lab_node *n) {
    return (struct support_out){support_send, support_changed, n};
}

static struct lab_node *node_of(const struct lab *l, px_store id) {
    return (struct lab_node *)(uintptr_t)&l->node[id - 1];
}

bool lab_arrives(const struct lab *l, size_t i) {
    const struct lab_msg *m = l->pool[i];
    struct lab_node *to = node_of(l, m->support ? m->s.to : m->m.to);
    return !to->frozen && !to->hoards;
}

static struct lab_msg *pool_take(struct lab *l, size_t i) {
    struct lab_msg *m = l->pool[i];
    memmove(l->pool + i, l->pool + i + 1, (l->pooled - i - 1) * sizeof(*l->pool));
    l->pooled--;
    return m;
}

void lab_drop(struct lab *l, size_t i) {
    msg_free(pool_take(l, i));
}

void lab_deliver(struct lab *l, size_t i, bool again) {
    struct lab_msg *m = l->pool[i];
    struct lab_node *to = node_of(l, m->support ? m->s.to : m->m.to);
    struct lab_node *from = node_of(l, m->support ? m->s.from : m->m.from);
    if (!again)
        pool_take(l, i);
    if (to->up && !to->cut && !from->cut) {
        struct px_now now = lab_now(to);
        if (m->support) {
            struct support_out out = support_out_of(to);
            support_message(to->sup, &now, &m->s, &out);
        } else {
            px_message(to->g, &now, &m->m);
        }
        lab_pump(to);
    }
    if (!again)
        msg_free(m);
}

/* ---- a store's life ---------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const struct px_value *v) {
    h = (h ^ (uint64_t)v->kind) * 0x9e3779b97f4a7c15u;
    h = hash_bytes(v->data, v->bytes, h);
    return h ? h : 1;
}

/* N-15: nothing is proposed above a configuration that is not chosen. */
static void check_above(struct lab_node *n, const struct px_record *r) {
    struct lab *l = n->lab;
    struct px_config before = *last_config(l), next;
    if (r->type != PX_REC_ENTRY || r->entry.slot < 2 || r->entry.slot - 1 <= l->chosen_last ||
        l->next_replica > LAB_REPLICAS_MAX)
        return;
    size_t at = disk_at(&n->disk, r->entry.slot - 1)->record;
    const struct px_record *below = at ? &n->disk.rec[at - 1] : NULL;
    if (!below || below->entry.value->kind != PX_CONFIG || px_ballot_cmp(&below->ballot, &r->ballot) != 0)
        return;
    for (px_slot s = l->chosen_last + 1; s < r->entry.slot - 1; s++) { /* others may be chosen, and not applied yet */
        size_t i = disk_at(&n->disk, s)->record;
        const struct px_value *v = i ? n->disk.rec[i - 1].entry.value : NULL;
        if (v && v->kind == PX_CONFIG)
            IGNORE(px_config_decode(v->data, v->bytes, &before));
    }
    if (is_chosen(l, r->entry.slot - 1, below->entry.value, &before, &next))
        return;
    lab_break(l, "N-15: slot %llu is proposed above a configuration that is not chosen",
              (unsigned long long)r->entry.slot);
}

bool lab_apply(struct lab_node *n, bool all) {
    struct lab *l = n->lab;
    const struct px_entry *e;
    bool some = false;
    struct px_now now = lab_now(n);
    while ((e = px_next(n->g, n->applied))) {
        some = true;
        n->applied = e->slot;
        n->origin = e->value->origin;
        n->hash = mix(n->hash, e->value);
        if (e->value->ts > n->floor)
            n->floor = e->value->ts;
        if (e->value->kind == PX_CONFIG)
            IGNORE(px_config_decode(e->value->data, e->value->bytes, &n->config));
        observe(n, e->slot, e->value);
        if (l->ops.applied)
            l->ops.applied(l, n, e->slot, e->value);
        if (!all)
            break;
    }
    if (!some)
        return false;
    px_applied(n->g, &now, n->applied);
    lab_pump(n);
    return true;
}

/* A witness has no data to give. */
static bool is_witness(const struct lab_node *n) {
    const struct px_member *m = px_config_find(px_config_now(n->g), n->id);
    return m && (m->flags & PX_WITNESS);
}

bool lab_install(struct lab_node *from, struct lab_node *to) {
    if (!to->up || to->cut || !from->up || from->cut || from->applied <= to->applied || is_witness(from))
        return false;
    if (px_install_reserve(to->g, &from->config))
        return false;
    struct px_now now = lab_now(to);
    px_install(to->g, &now, from->applied, &from->origin, &from->config, from->floor);
    to->applied = from->applied;
    to->origin = from->origin;
    to->hash = from->hash;
    to->floor = from->floor > to->floor ? from->floor : to->floor;
    to->config = from->config;
    lab_checkpoint(to); /* an install is durable before it counts */
    to->disk.truncated = to->applied;
    lab_pump(to);
    return true;
}

/* Entries of the log on disk, for a follower that lags behind memory. */
static void read_for(struct lab_node *n, px_store to, px_slot first) {
    enum { READ_MAX = 8 };
    struct px_entry e[READ_MAX];
    struct px_now now = lab_now(n);
    size_t count = 0;
    for (px_slot s = first; count < READ_MAX && s > n->disk.truncated && s <= n->applied; s++) {
        size_t at = disk_at(&n->disk, s)->record;
        if (!at)
            break;
        e[count++] = n->disk.rec[at - 1].entry;
    }
    px_read_done(n->g, &now, to, e, count);
}

void lab_pump(struct lab_node *n) {
    struct lab *l = n->lab;
    struct px_ready ready;
    px_store to;
    px_slot first;
    for (bool again = true; again && n->up;) {
        struct px_now now = lab_now(n);
        px_ready(n->g, &now, &ready);
        for (size_t i = 0; i < ready.n_persist; i++) {
            disk_append(&n->disk, &ready.persist[i]);
            check_above(n, &ready.persist[i]);
            if (l->ops.persisted)
                l->ops.persisted(l, n, &ready.persist[i]);
        }
        if (ready.n_persist) {
            if (n->writes == n->writes_cap) {
                n->writes_cap = n->writes_cap ? n->writes_cap * 2 : 8;
                n->write = must(realloc(n->write, n->writes_cap * sizeof *n->write));
            }
            n->write[n->writes++] = (struct lab_write){n->disk.count, ready.persist_seq};
        }
        for (size_t i = 0; i < ready.n_send; i++)
            post_px(n, &ready.send[i]);
        n->wake_at = ready.wake_ns;
        again = px_want_read(n->g, &to, &first);
        if (again)
            read_for(n, to, first);
    }
    if (px_want_snapshot(n->g, &to))
        n->snapshot_to |= 1u << to;
    if (!px_need_snapshot(n->g, &n->snapshot_from))
        n->snapshot_from = 0;
    if (l->ops.pumped)
        l->ops.pumped(l, n);
}

bool lab_sync(struct lab_node *n) {
    if (!n->writes)
        return false;
    struct px_now now = lab_now(n);
    struct lab_write wr = n->write[0];
    memmove(n->write, n->write + 1, --n->writes * sizeof wr);
    disk_durable(n, wr.upto);
    px_durable(n->g, &now, wr.seq);
    lab_pump(n);
    return true;
}

void lab_tick(struct lab_node *n) {
    struct lab *l = n->lab;
    struct px_now now = lab_now(n);
    struct support_out out = support_out_of(n);
    if (l->now >= n->support_at)
        n->support_at = support_tick(n->sup, &now, &out);
    if (l->now >= n->wake_at)
        px_tick(n->g, &now);
    lab_pump(n);
}

/* What counts of the records, as the log's index does it: by slot, the last one; a void drops its slot and all above. */
static void replay(struct lab_node *n) {
    struct lab_disk *d = &n->disk;
    for (size_t i = 0; i < d->count; i++)
        if (d->rec[i].type == PX_REC_PROMISE)
            CHECK(px_restore_promise(n->g, &d->rec[i].ballot) == RC_OK);
    for (px_slot s = d->truncated > d->applied ? d->truncated : d->applied; s < d->at_cap; s++)
        if (d->at[s].record)
            CHECK(px_restore_entry(n->g, &d->rec[d->at[s].record - 1].entry) == RC_OK);
}

void lab_start(struct lab_node *n) {
    struct lab *l = n->lab;
    struct lab_disk *d = &n->disk;
    d->incarnation++;
    struct support_init si = {.self = n->id,
                              .incarnation = d->incarnation,
                              .chaos = &l->chaos,
                              .lease_ns = l->conf.lease_ns,
                              .clean_until = d->incarnation == 1 ? 1 : d->clean_until};
    d->clean_until = 0;
    while (support_new(&si, &n->sup)) {
    } /* where memory runs out, a start that fails is tried again */
    n->up = true;
    n->frozen = false;
    n->writes = 0;
    n->seen_lo = n->seen_hi = INT64_MIN;
    n->support_at = l->now;
    n->wake_at = INT64_MAX;
    n->snapshot_to = 0;
    n->snapshot_from = 0;
    n->applied = d->applied;
    n->origin = d->origin;
    n->floor = d->floor;
    n->hash = d->hash;
    n->config = d->config;
    struct px_init init = {.group = 1,
                           .replica = n->replica,
                           .self = n->id,
                           .support = n->sup,
                           .chaos = &l->chaos,
                           .seed = rng_u64(&l->rng),
                           .limits = l->conf.limits,
                           .config = d->config,
                           .applied = d->applied,
                           .applied_origin = d->origin,
                           .floor = d->floor};
    while (px_new(&init, &n->g)) {
    }
    replay(n);
    px_restore_done(n->g, d->truncated);
    lab_pump(n);
}

static void down(struct lab_node *n) {
    px_free(n->g);
    support_free(n->sup);
    n->g = NULL;
    n->sup = NULL;
    n->up = n->frozen = false;
    if (n->lab->ops.pumped)
        n->lab->ops.pumped(n->lab, n);
}

void lab_crash(struct lab_node *n, size_t kept) {
    size_t pending = n->disk.count - n->disk.durable;
    size_t upto = n->disk.durable + (kept < pending ? kept : pending);
    disk_durable(n, upto);
    disk_cut(&n->disk, upto);
    down(n);
}

void lab_wipe(struct lab_node *n) {
    if (n->up)
        down(n);
    struct lab_disk *d = &n->disk;
    disk_cut(d, 0);
    d->durable = 0;
    d->promised = d->origin = (struct px_ballot){0};
    d->applied = d->truncated = 0;
    d->floor = 0;
    d->hash = 0;
    d->config = (struct px_config){0};
    n->replica = ++n->lab->next_replica;
    lab_start(n);
}

void lab_stop(struct lab_node *n) {
    struct px_now now = lab_now(n);
    px_resign(n->g, &now);
    n->disk.clean_until = support_stop_mark(n->sup, px_born_sole(n->g));
    disk_durable(n, n->disk.count);
    down(n);
}

enum rc lab_propose(struct lab_node *n, const void *data, size_t bytes, int64_t min_ts, px_slot *ret_slot,
                    int64_t *ret_ts) {
    struct lab *l = n->lab;
    struct px_now now = lab_now(n);
    struct px_value *v = px_value_new(PX_COMMAND, data, bytes);
    if (!v)
        return RC_NOMEM;
    enum rc rc = px_propose(n->g, &now, v, min_ts, ret_slot);
    if (!rc && v->ts && v->ts <= l->max_served && !l->conf.clocks_lie)
        lab_break(l, "INV-S2: store %llu assigns %lld, at or below %lld, which was served", (unsigned long long)n->id,
                  (long long)v->ts, (long long)l->max_served);
    if (!rc)
        *ret_ts = v->ts;
    px_value_unref(v);
    lab_pump(n);
    return rc;
}

enum rc lab_serve(struct lab_node *n, int64_t ts) {
    struct px_now now = lab_now(n);
    enum rc rc = px_serve(n->g, &now, ts);
    if (rc)
        return rc;
    struct px_status st;
    px_status(n->g, &st);
    /* P-5. What it has proposed itself, and not applied, is its caller's to wait for. */
    for (px_slot s = n->applied + 1; s <= n->lab->chosen_last; s++) {
        const struct px_value *v = n->lab->slot[s - 1].chosen;
        if (v->ts && v->ts <= ts && px_ballot_cmp(&v->origin, &st.promised) != 0 && !n->lab->conf.clocks_lie)
            lab_break(n->lab, "P-5: store %llu reads at %lld without slot %llu, written at %lld",
                      (unsigned long long)n->id, (long long)ts, (unsigned long long)s, (long long)v->ts);
    }
    if (ts > n->lab->max_served)
        n->lab->max_served = ts;
    n->lab->served++;
    lab_pump(n);
    return RC_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool is_member(struct lab_node *n, const struct px_status *st) {
    const struct px_member *m = px_config_find(&st->config, n->id);
    return m && m->replica == n->replica && !st->removed && !st->leaving;
}

bool lab_agreed(struct lab *l) {
    px_slot last = 0;
    bool leader = false;
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        struct lab_node *n = &l->node[i];
        if (!n->up)
            continue;
        struct px_now now = lab_now(n);
        leader |= px_leads(n->g, &now);
        last = n->applied > last ? n->applied : last;
    }
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        struct lab_node *n = &l->node[i];
        struct px_status st;
        if (!n->up)
            continue;
        px_status(n->g, &st);
        if (is_member(n, &st) && n->applied != last)
            return false;
    }
    return leader;
}

static uint64_t msg_hash(const struct lab_msg *m) {
    uint64_t h = hash_u64(m->support);
    if (m->support)
        return hash_bytes(
            &(uint64_t[]){m->s.type, m->s.from, m->s.to, m->s.incarnation, m->s.epoch, (uint64_t)m->s.until},
            6 * sizeof(uint64_t), h);
    const struct px_msg *x = &m->m;
    h = hash_bytes(&(uint64_t[]){x->type, x->from, x->to, x->incarnation, x->config_epoch, x->slot, x->commit,
                                 x->truncated, x->support_epoch, (uint64_t)x->until, x->more},
                   11 * sizeof(uint64_t), h);
    h = hash_bytes(&x->ballot, sizeof x->ballot, h);
    h = hash_bytes(&x->asked, sizeof x->asked, h);
    h = hash_bytes(&x->former, sizeof x->former, h);
    for (size_t i = 0; i < x->entries; i++) {
        h = hash_bytes(&x->entry[i].slot, sizeof x->entry[i].slot, h);
        h = hash_bytes(&x->entry[i].ballot, sizeof x->entry[i].ballot, h);
        h = hash_bytes(&x->entry[i].value->origin, sizeof x->entry[i].value->origin, h);
    }
    return h;
}

uint64_t lab_fingerprint(const struct lab *l) {
    uint64_t h = hash_u64((uint64_t)l->now) ^ (uint64_t)l->max_served;
    for (size_t i = 0; i < l->pooled; i++) /* links keep their order; between links there is none */
        h += hash_u64(msg_hash(l->pool[i]));
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        const struct lab_node *n = &l->node[i];
        h = hash_u64(h ^ n->up);
        h = hash_bytes(&n->disk.promised, sizeof n->disk.promised, h);
        h = hash_bytes(&(uint64_t[]){n->disk.count, n->disk.durable, n->disk.incarnation, n->applied, n->writes,
                                     (uint64_t)n->support_at},
                       6 * sizeof(uint64_t), h);
        if (n->up)
            h = hash_u64(h ^ px_fingerprint(n->g)) ^ support_fingerprint(n->sup);
    }
    return h;
}

void lab_dump(struct lab *l) {
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        struct lab_node *n = &l->node[i];
        struct px_status st;
        if (!n->up)
            continue;
        struct px_now now = lab_now(n);
        px_status(n->g, &st);
        fprintf(stderr,
                "store %u: %s promised %llu.%llu leader %llu truncated %llu commit %llu applied %llu last %llu epoch "
                "%llu%s%s wake in %lld ms, lease for %lld ms\n",
                i + 1, px_role_name(st.role), (unsigned long long)st.promised.round,
                (unsigned long long)st.promised.store, (unsigned long long)st.leader, (unsigned long long)st.truncated,
                (unsigned long long)st.commit, (unsigned long long)st.applied, (unsigned long long)st.last,
                (unsigned long long)st.config.epoch, st.config.joint ? " joint" : "", st.removed ? " removed" : "",
                (long long)(n->wake_at == INT64_MAX ? -1 : (n->wake_at - l->now) / LAB_MS),
                (long long)((px_lease_end(n->g, &now) - now.tt.latest) / LAB_MS));
    }
}

struct lab *lab_new(const struct lab_conf *conf, const struct lab_ops *ops, void *ctx) {
    static const struct chaos_ops chaos = {no_chance, is_mutant, probe};
    struct lab *l = must(calloc(1, sizeof *l));
    CHECK(conf->nodes <= LAB_NODES_MAX && conf->voters <= conf->nodes);
    l->conf = *conf;
    if (ops)
        l->ops = *ops;
    l->ctx = ctx;
    l->chaos.ops = &chaos;
    l->now = LAB_MS;
    l->pool = must(calloc(LAB_POOL_MAX, sizeof(*l->pool)));
    l->next_replica = conf->nodes;
    rng_init(&l->rng, conf->seed);
    l->first.epoch = 1;
    for (uint32_t i = 0; i < conf->voters; i++)
        l->first.member[l->first.count++] =
            (struct px_member){i + 1, i + 1, PX_OLD | (i + conf->witnesses >= conf->voters ? PX_WITNESS : 0)};
    for (uint32_t i = 0; i < conf->nodes; i++) {
        struct lab_node *n = &l->node[i];
        n->lab = l;
        n->id = i + 1;
        n->replica = i + 1;
        n->disk.config = l->first;
        disk_at(&n->disk, 1);
        lab_start(n);
    }
    return l;
}

void lab_free(struct lab *l) {
    l->ops = (struct lab_ops){0};
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        struct lab_node *n = &l->node[i];
        if (n->up)
            down(n);
        disk_cut(&n->disk, 0);
        free(n->disk.rec);
        free(n->disk.at);
        free(n->write);
    }
    while (l->pooled)
        lab_drop(l, l->pooled - 1);
    for (size_t i = 0; i < l->slots_cap; i++) {
        px_value_unref(l->slot[i].chosen);
        for (struct lab_accept *a; (a = l->slot[i].accepts);) {
            l->slot[i].accepts = a->next;
            free(a);
        }
    }
    free(l->slot);
    free(l->config);
    free(l->pool);
    free(l);
}
