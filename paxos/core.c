/* SPDX-License-Identifier: Apache-2.0 */
/* core.c: the life of a group, its log in memory, and what px_ready hands out. */
#include <stdlib.h>
#include <string.h>

#include "paxos/core_internal.h"

enum { LOG_CAP_MIN = 8, RECORDS_MIN = 4 };

/* Far beyond any round that campaigns reach; beyond it a peer talks nonsense, and adding one must not overflow. */
#define ROUND_MAX (UINT64_C(1) << 62)

static const struct px_limits limits_default = {
    .inflight_bytes = 16 << 20,
    .message_bytes = 256 << 10,
    .peer_bytes = 4 << 20,
    .peer_entries = 4096,
    .window_bytes = 8 << 20,
    .retry_ns = 300000000,
    .election_ns = 1000000000,
    .commit_delay_ns = 1000000,
};

/* ---- small things ------------------------------------------------------------------------------------------------ */

int px_ballot_cmp(const struct px_ballot *a, const struct px_ballot *b) {
    if (a->round != b->round)
        return a->round < b->round ? -1 : 1;
    if (a->store != b->store)
        return a->store < b->store ? -1 : 1;
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    return 0;
}

const char *px_role_name(enum px_role role) {
    static const char *const names[PX_ROLES] = {"follower", "candidate", "opening", "open", "releasing"};
    return (unsigned)role < PX_ROLES ? names[role] : "?";
}

struct px_value *px_value_new(enum px_kind kind, const void *data, size_t bytes) {
    struct px_value *v = malloc(sizeof *v + bytes);
    if (!v)
        return NULL;
    *v = (struct px_value){.refs = 1, .kind = kind, .bytes = bytes};
    if (bytes && data)
        memcpy(v->data, data, bytes);
    return v;
}

void px_value_unref(struct px_value *v) {
    if (v && --v->refs == 0)
        free(v);
}

/* The timestamp that the floor must not be below once v is in the log. */
int64_t value_floor(const struct px_group *g, const struct px_value *v) {
    int64_t floor = v->ts, x;
    if (chaos_mutant(g->chaos, "S-3: what a release promised is forgotten"))
        return floor;
    if ((v->kind == PX_START || v->kind == PX_RELEASE) && v->bytes == sizeof x) {
        memcpy(&x, v->data, sizeof x);
        floor = x > floor ? x : floor;
    }
    return floor;
}

/* The one door to a role. */
void become(struct px_group *g, enum px_role role) {
    static const uint32_t moves[PX_ROLES] = {
        [PX_FOLLOWER] = 1u << PX_CANDIDATE,
        [PX_CANDIDATE] = 1u << PX_FOLLOWER | 1u << PX_OPENING | 1u << PX_CANDIDATE,
        [PX_OPENING] = 1u << PX_FOLLOWER | 1u << PX_OPEN,
        [PX_OPEN] = 1u << PX_FOLLOWER | 1u << PX_RELEASING,
        [PX_RELEASING] = 1u << PX_FOLLOWER,
    };
    CHECKF(moves[g->role] & 1u << role, "group %llu: %s to %s", (unsigned long long)g->id, px_role_name(g->role),
           px_role_name(role));
    g->role = role;
}

/* ---- the log in memory ------------------------------------------------------------------------------------------- */

const struct log_slot *log_get(const struct px_group *g, px_slot slot) {
    const struct px_log *l = &g->log;
    if (slot < l->first || slot >= l->first + l->count)
        return NULL;
    return &l->ring[(l->head + (slot - l->first)) & (l->cap - 1)];
}

struct log_slot *log_at(struct px_group *g, px_slot slot) {
    return (struct log_slot *)(uintptr_t)log_get(g, slot);
}

static enum rc log_reserve(struct px_log *l, size_t count) {
    size_t cap = l->cap ? l->cap : LOG_CAP_MIN;
    while (cap < count)
        cap *= 2;
    if (cap == l->cap)
        return RC_OK;
    struct log_slot *ring = calloc(cap, sizeof *ring);
    if (!ring)
        return RC_NOMEM;
    for (size_t i = 0; i < l->count; i++)
        ring[i] = l->ring[(l->head + i) & (l->cap - 1)];
    free(l->ring);
    l->ring = ring;
    l->cap = cap;
    l->head = 0;
    return RC_OK;
}

/* Makes slot, at most one beyond the last, part of the range. */
static enum rc log_extend(struct px_group *g, px_slot slot) {
    struct px_log *l = &g->log;
    CHECK(slot >= l->first && slot <= l->first + l->count); /* P5 */
    size_t count = (size_t)(slot - l->first + 1);
    if (count <= l->count)
        return RC_OK;
    enum rc rc = log_reserve(l, count);
    if (rc)
        return rc;
    for (size_t i = l->count; i < count; i++)
        l->ring[(l->head + i) & (l->cap - 1)] = (struct log_slot){.e.slot = l->first + i};
    l->count = count;
    return RC_OK;
}

static void drop_from(struct px_group *g, px_slot slot) {
    struct px_log *l = &g->log;
    while (l->count > 0 && log_last(g) >= slot) {
        struct log_slot *s = &l->ring[(l->head + l->count - 1) & (l->cap - 1)];
        CHECKF(s->e.slot > g->commit, "group %llu slot %llu is chosen", (unsigned long long)g->id,
               (unsigned long long)s->e.slot);
        l->bytes -= s->e.value ? entry_cost(s->e.value) : 0;
        px_value_unref(s->e.value);
        *s = (struct log_slot){0};
        l->count--;
    }
}

static bool contradicts(const struct log_slot *s, const struct px_value *v) {
    return s && px_ballot_cmp(&s->e.value->origin, &v->origin) != 0;
}

static void slot_set(struct px_group *g, struct log_slot *s, const struct px_ballot *ballot, struct px_value *v,
                     uint64_t seq) {
    g->log.bytes += entry_cost(v);
    if (s->e.value)
        g->log.bytes -= entry_cost(s->e.value);
    px_value_ref(v);
    px_value_unref(s->e.value);
    s->e.value = v;
    s->e.ballot = *ballot;
    s->seq = seq;
}

enum rc record_reserve(struct px_group *g, size_t more) {
    size_t cap = g->records_cap ? g->records_cap : RECORDS_MIN;
    while (cap < g->records + more)
        cap *= 2;
    if (cap == g->records_cap)
        return RC_OK;
    struct px_record *v = realloc(g->record, cap * sizeof *v);
    if (!v)
        return RC_NOMEM;
    g->record = v;
    g->records_cap = cap;
    return RC_OK;
}

static void record_add(struct px_group *g, const struct px_record *r) {
    CHECK(g->records < g->records_cap);
    g->record[g->records++] = *r;
    if (r->entry.value)
        px_value_ref(r->entry.value);
}

void promise_ballot(struct px_group *g, const struct px_ballot *ballot) {
    struct px_record r = {.type = PX_REC_PROMISE, .ballot = *ballot};
    CHECK(px_ballot_cmp(ballot, &g->promised) > 0); /* INV-P2 */
    record_add(g, &r);
    g->promised = *ballot;
    g->promised_seq = g->next_seq;
}

/* What was dropped must stay dropped when the log is replayed, even if the entry that contradicted it is gone by then: so it
 * is written down. */
static enum rc record_void(struct px_group *g, px_slot slot) {
    struct px_record r = {.type = PX_REC_VOID, .entry = {.slot = slot}};
    enum rc rc = record_reserve(g, 1);
    g->void_due = rc ? slot : 0;
    if (!rc)
        record_add(g, &r);
    return rc;
}

enum rc log_void_from(struct px_group *g, px_slot slot) {
    if (!g->log.count || log_last(g) < slot)
        return RC_OK;
    enum rc rc = record_void(g, slot);
    if (!rc)
        drop_from(g, slot);
    return rc;
}

enum rc log_put(struct px_group *g, px_slot slot, const struct px_ballot *ballot, struct px_value *v) {
    struct px_record r = {.type = PX_REC_ENTRY, .ballot = *ballot, .entry = {slot, *ballot, v}};
    CHECK(slot > g->applied || slot > g->commit); /* what is applied is never written again */
    enum rc rc = g->void_due ? record_void(g, g->void_due) : RC_OK;
    if (!rc && slot < log_last(g) && contradicts(log_at(g, slot), v)) {
        chaos_probe(g->chaos, "paxos: dropped what a later ballot contradicts");
        if (!chaos_mutant(g->chaos, "P5: keep what a later ballot contradicts"))
            rc = log_void_from(g, slot);
    }
    if (!rc)
        rc = record_reserve(g, 1);
    if (!rc)
        rc = log_extend(g, slot); /* last: a slot without a value must not stay behind */
    if (rc)
        return rc;
    record_add(g, &r);
    slot_set(g, log_at(g, slot), ballot, v, g->next_seq);
    return RC_OK;
}

void log_drop_to(struct px_group *g, px_slot slot) {
    struct px_log *l = &g->log;
    while (l->count > 0 && l->first <= slot) {
        struct log_slot *s = &l->ring[l->head];
        if (s->e.value)
            l->bytes -= entry_cost(s->e.value);
        px_value_unref(s->e.value);
        *s = (struct log_slot){0};
        l->head = (l->head + 1) & (l->cap - 1);
        l->first++;
        l->count--;
    }
    if (l->first <= slot)
        l->first = slot + 1;
    if (!l->count) {
        free(l->ring);
        l->ring = NULL;
        l->cap = l->head = 0;
    }
}

/* Past the window, what is applied leaves memory; followers that lag further are served from disk. */
static void log_trim(struct px_group *g) {
    while (g->log.count > 0 && g->log.bytes > g->limits.window_bytes && g->log.first <= g->applied &&
           g->log.first <= g->durable)
        log_drop_to(g, g->log.first);
}

/* ---- how far the log is accepted and durable --------------------------------------------------------------------- */

void extend_accepted(struct px_group *g) {
    const struct log_slot *s;
    if (g->accepted < g->commit)
        g->accepted = g->commit;
    while ((s = log_get(g, g->accepted + 1)) && s->e.value && px_ballot_cmp(&s->e.ballot, &g->promised) == 0)
        g->accepted++;
    if (g->durable < g->applied)
        g->durable = g->applied; /* the state machine holds it */
    while (g->durable < g->accepted) {
        s = log_get(g, g->durable + 1);
        if (s && s->e.value && s->seq > g->durable_seq)
            break;
        if (!s && g->durable + 1 >= g->log.first)
            break;
        g->durable++;
    }
}

void recount_accepted(struct px_group *g) {
    g->accepted = g->commit;
    g->durable = g->applied;
    extend_accepted(g);
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

struct out_msg *out_new(struct px_group *g, enum px_msg_type type, px_store to, size_t entries) {
    struct out_msg *o = malloc(sizeof *o + entries * sizeof o->entry[0]);
    if (!o)
        return NULL; /* as if the network had lost it */
    memset(o, 0, sizeof *o);
    ilist_init(&o->link);
    o->m.type = type;
    o->m.group = g->id;
    o->m.from = g->self;
    o->m.to = to;
    o->m.from_replica = g->replica;
    o->m.incarnation = g->incarnation;
    o->m.config_epoch = g->config.epoch;
    o->m.ballot = g->promised;
    o->m.entry = o->entry;
    return o;
}

void out_send(struct px_group *g, struct out_msg *o) {
    ilist_push_back(&g->out, &o->link);
}

static void out_free(struct ilist *list) {
    for (struct ilist *n; (n = ilist_pop_front(list));) {
        struct out_msg *o = ilist_entry(n, struct out_msg, link);
        for (size_t i = 0; i < o->m.entries; i++)
            px_value_unref(o->entry[i].value);
        free(o);
    }
}

static void handed_free(struct px_group *g) {
    out_free(&g->sent);
    for (size_t i = 0; i < g->handed_records; i++)
        px_value_unref(g->handed_record[i].entry.value);
    free(g->handed_record);
    free(g->handed);
    g->handed = NULL;
    g->handed_record = NULL;
    g->handed_records = 0;
}

static int64_t wake_at(const struct px_group *g) {
    int64_t a = elect_wake(g), b = leader_wake(g);
    return a < b ? a : b;
}

void px_ready(struct px_group *g, const struct px_now *now, struct px_ready *ret) {
    size_t n = 0;
    handed_free(g);
    leader_flush(g, now);
    acceptor_ready(g);
    for (struct ilist *it = g->out.next; it != &g->out; it = it->next)
        n++;
    *ret = (struct px_ready){.wake_ns = wake_at(g)};
    if (n && (g->handed = malloc(n * sizeof *g->handed))) {
        ilist_for_each(it, &g->out) {
            struct out_msg *o = ilist_entry(it, struct out_msg, link);
            if (o->m.config)
                o->m.config = &o->config;
            g->handed[ret->n_send++] = o->m;
        }
        ret->send = g->handed;
    }
    ilist_splice_back(&g->sent, &g->out);
    if (g->records) {
        ret->persist = g->handed_record = g->record;
        ret->n_persist = g->handed_records = g->records;
        ret->persist_seq = g->next_seq++;
        g->record = NULL;
        g->records = g->records_cap = 0;
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

enum rc px_new(const struct px_init *init, struct px_group **ret) {
    struct px_group *g = calloc(1, sizeof *g);
    if (!g)
        return RC_NOMEM;
    g->id = init->group;
    g->replica = init->replica;
    g->self = init->self;
    g->support = init->support;
    g->incarnation = support_incarnation(init->support);
    g->chaos = init->chaos;
    rng_init(&g->rng, init->seed ^ hash_u64(init->group));
#define LIMIT(name) g->limits.name = init->limits.name ? init->limits.name : limits_default.name
    LIMIT(inflight_bytes);
    LIMIT(message_bytes);
    LIMIT(peer_bytes);
    LIMIT(peer_entries);
    LIMIT(window_bytes);
    LIMIT(retry_ns);
    LIMIT(election_ns);
    LIMIT(commit_delay_ns);
#undef LIMIT
    g->config = g->config_chosen = init->config;
    g->config_chosen_slot = init->applied;
    g->applied = g->commit = g->accepted = g->durable = g->truncated = init->applied;
    g->commit_origin = g->applied_origin = init->applied_origin;
    g->log.first = init->applied + 1;
    g->floor = init->floor;
    g->pledged = INT64_MIN;
    g->next_seq = 1;
    ilist_init(&g->out);
    ilist_init(&g->sent);
    ilist_init(&g->early);
    enum rc rc = config_ref(g, &g->config);
    if (!rc && (rc = config_ref(g, &g->config_chosen)))
        config_unref(g, &g->config);
    if (rc) {
        free(g);
        return rc;
    }
    g->removed = !self_in(g, &g->config);
    if (init->late)
        g->fresh_until = INT64_MAX;
    *ret = g;
    return RC_OK;
}

void px_free(struct px_group *g) {
    if (!g)
        return;
    config_unref(g, &g->config);
    config_unref(g, &g->config_chosen);
    election_free(g);
    early_free(g);
    log_drop_to(g, log_last(g));
    for (size_t i = 0; i < g->records; i++)
        px_value_unref(g->record[i].entry.value);
    free(g->record);
    out_free(&g->out);
    handed_free(g);
    free(g->peer);
    free(g->newer);
    free(g);
}

enum rc px_restore_promise(struct px_group *g, const struct px_ballot *ballot) {
    if (chaos_mutant(g->chaos, "P-1: the promise is forgotten at a restart"))
        return RC_OK;
    if (px_ballot_cmp(ballot, &g->promised) > 0)
        g->promised = *ballot;
    if (ballot->round > g->round_seen)
        g->round_seen = ballot->round;
    return RC_OK;
}

enum rc px_restore_entry(struct px_group *g, const struct px_entry *e) {
    if (e->slot == g->applied)
        g->applied_contradicted = px_ballot_cmp(&e->value->origin, &g->applied_origin) != 0;
    if (e->slot <= g->applied)
        return px_restore_promise(g, &e->ballot);
    if (e->slot > log_last(g) + 1)
        return RC_CORRUPT; /* a gap: no acceptor writes one */
    enum rc rc = log_extend(g, e->slot);
    if (rc)
        return rc;
    if (e->value->kind == PX_CONFIG && (rc = config_reserve_entry(g, e)))
        return rc;
    struct log_slot *s = log_at(g, e->slot);
    CHECK(!s->e.value); /* each slot once */
    slot_set(g, s, &e->ballot, e->value, 0);
    return px_restore_promise(g, &e->ballot);
}

void px_restore_done(struct px_group *g, px_slot truncated) {
    g->truncated = truncated;
    CHECK(truncated <= g->applied);
    if (g->applied_contradicted) { /* a snapshot came, and the crash before its PX_REC_VOID was durable */
        drop_from(g, g->applied + 1);
        g->void_due = g->applied;
    }
    config_recompute(g);
    recount_accepted(g);
}

enum rc px_inherit(struct px_group *g, const struct px_group *parent, const struct px_ballot *ballot) {
    bool proposed_it = ballot->store == g->self && ballot->incarnation == g->incarnation;
    CHECK(px_ballot_is_zero(&g->promised) && !g->log.count);
    if (record_reserve(g, 1))
        return RC_NOMEM;
    promise_ballot(g, ballot);
    g->round_seen = ballot->round;
    g->t_max = parent->t_max;
    g->lease_used = parent->lease_used;
    g->fresh_until = parent->fresh_until;
    g->fresh_ballot = parent->fresh_ballot;
    if (proposed_it) { /* all that this incarnation served of the parent is at or below its floor */
        g->reign = *ballot;
        if (parent->floor > g->floor && !chaos_mutant(g->chaos, "N-6: the right half forgets what was served"))
            g->floor = parent->floor;
        return RC_OK;
    }
    /* Who has promised somebody else since then has seen the end of that support: t_max says how far it reached. */
    const struct px_member *leader = px_config_find(&g->config, ballot->store);
    if (px_ballot_cmp(&parent->promised, ballot) != 0 || parent->following != ballot->store || !leader ||
        chaos_mutant(g->chaos, "N-6: the right half follows nobody"))
        return RC_OK;
    g->following = ballot->store;
    g->follow_replica = leader->replica;
    g->follow_epoch = parent->follow_epoch;
    g->frozen = parent->frozen;
    g->frozen_until = parent->frozen_until;
    ack_soon(g); /* it is here: who waits for its promise asks now */
    return RC_OK;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* Entries come from logs, which have no holes. */
static bool entries_ok(const struct px_msg *m) {
    for (size_t i = 0; i < m->entries; i++) {
        const struct px_entry *e = &m->entry[i];
        if (!e->value || e->slot == 0 || e->slot != m->entry[0].slot + i || e->ballot.round >= ROUND_MAX)
            return false;
    }
    return true;
}

/* Whether m can be from a replica like ours. What only an owner of a ballot says must come from it. */
static bool msg_ok(const struct px_group *g, const struct px_msg *m) {
    bool owner = m->type == PX_MSG_PREPARE || m->type == PX_MSG_FETCH || m->type == PX_MSG_ACCEPT ||
                 m->type == PX_MSG_RESIGN || m->type == PX_MSG_TAKE_OVER;
    bool replica = !m->to_replica || m->to_replica == g->replica ||
                   chaos_mutant(g->chaos, "P-23: a wiped disk comes back as who it was");
    return m->group == g->id && m->to == g->self && m->from != g->self && replica && m->ballot.round < ROUND_MAX &&
           (!owner || m->ballot.store == m->from) && entries_ok(m);
}

void px_message(struct px_group *g, const struct px_now *now, const struct px_msg *m) {
    if (!msg_ok(g, m))
        return;
    switch (m->type) {
    case PX_MSG_PREPARE:
        on_prepare(g, now, m);
        break;
    case PX_MSG_PROMISE:
        on_promise(g, now, m);
        break;
    case PX_MSG_REFUSE:
        on_refuse(g, now, m);
        break;
    case PX_MSG_FETCH:
        on_fetch(g, m);
        break;
    case PX_MSG_ACCEPT:
        on_accept(g, now, m);
        break;
    case PX_MSG_ACK:
        on_ack(g, now, m);
        break;
    case PX_MSG_REJECT:
        on_reject(g, now, m);
        break;
    case PX_MSG_RESIGN:
        on_resign(g, now, m);
        break;
    case PX_MSG_TAKE_OVER:
        on_take_over(g, now, m);
        break;
    case PX_MSG_ASK:
        on_ask(g, m);
        break;
    case PX_MSG_REMOVED:
        on_removed(g, m);
        break;
    case PX_MSG_TYPES:
        break;
    }
}

void px_tick(struct px_group *g, const struct px_now *now) {
    elect_tick(g, now);
    leader_tick(g, now);
}

void px_durable(struct px_group *g, const struct px_now *now, uint64_t seq) {
    CHECK(seq >= g->durable_seq && seq < g->next_seq);
    g->durable_seq = seq;
    extend_accepted(g);
    elect_durable(g, now);
    if (leading(g))
        leader_commit(g, now);
}

void px_applied(struct px_group *g, const struct px_now *now, px_slot slot) {
    CHECK(slot >= g->applied && slot <= g->commit); /* P3 */
    while (g->applied < slot) {                     /* S-6: whoever leads later is above all of it */
        const struct log_slot *s = log_get(g, ++g->applied);
        if (s && s->e.value)
            px_raise_floor(g, value_floor(g, s->e.value));
    }
    extend_accepted(g);
    log_trim(g);
    leader_applied(g, now);
}

const struct px_entry *px_next(const struct px_group *g, px_slot after) {
    if (after >= g->commit)
        return NULL;
    const struct log_slot *s = log_get(g, after + 1);
    CHECKF(s && s->e.value, "group %llu: slot %llu is chosen and not there", (unsigned long long)g->id,
           (unsigned long long)after + 1);
    return &s->e;
}

void set_commit(struct px_group *g, px_slot commit) {
    if (commit <= g->commit)
        return;
    const struct log_slot *s = log_get(g, commit);
    if (s && s->e.value)
        g->commit_origin = s->e.value->origin;
    g->commit = commit;
}

void px_raise_floor(struct px_group *g, int64_t ts) {
    if (ts > g->floor)
        g->floor = ts;
}

void px_pledge(struct px_group *g, int64_t ts) {
    g->pledged = ts;
}

int64_t px_floor(const struct px_group *g) {
    return g->floor;
}

px_slot px_may_truncate(const struct px_group *g, px_slot slot) {
    const struct px_member *m = self_in(g, &g->config);
    slot = slot < g->applied ? slot : g->applied;
    if (!m || !(m->flags & PX_WITNESS) || chaos_mutant(g->chaos, "N-13: a witness truncates like any other"))
        return slot;
    return slot < g->settled ? slot : g->settled;
}

void px_truncate(struct px_group *g, px_slot slot) {
    if (slot <= g->truncated)
        return;
    CHECKF(slot <= g->applied, "group %llu: truncated to %llu, applied %llu", (unsigned long long)g->id,
           (unsigned long long)slot, (unsigned long long)g->applied); /* P-11 */
    g->truncated = slot;
    log_drop_to(g, slot);
}

enum rc px_install_reserve(struct px_group *g, const struct px_config *config) {
    return config_reserve(g, config);
}

void px_install(struct px_group *g, const struct px_now *now, px_slot slot, const struct px_ballot *origin,
                const struct px_config *config, int64_t floor) {
    if (slot <= g->applied)
        return;   /* not newer (P-10) */
    step_down(g); /* what a candidate gathered begins below */
    struct px_config before = g->config;
    const struct log_slot *at = log_get(g, slot);
    if (at && slot > g->commit && px_ballot_cmp(&at->e.value->origin, origin) != 0) {
        chaos_probe(g->chaos, "paxos: a snapshot contradicted the log above it");
        drop_from(g, slot);
        IGNORE(record_void(g, slot)); /* if not now, before anything else is accepted */
    }
    log_drop_to(g, slot);
    g->truncated = g->applied = slot;
    g->need_snapshot = 0;
    if (slot > g->commit) {
        g->commit = slot;
        g->commit_origin = *origin;
    }
    if (config->epoch > g->config_chosen.epoch)
        config_chosen_set(g, config, slot);
    px_raise_floor(g, floor);
    config_recompute(g);
    note_voter(g, now, &before);
    recount_accepted(g);
    ack_soon(g);
}

void px_snapshot_failed(struct px_group *g) {
    g->need_snapshot = 0;
}

bool px_need_snapshot(const struct px_group *g, px_store *ret_from) {
    *ret_from = g->need_snapshot;
    return g->need_snapshot != 0;
}

/* ---- looking in -------------------------------------------------------------------------------------------------- */

void px_status(const struct px_group *g, struct px_status *ret) {
    *ret = (struct px_status){
        .role = g->role,
        .promised = g->promised,
        .leader = px_leader(g),
        .truncated = g->truncated,
        .commit = g->commit,
        .applied = g->applied,
        .last = log_last(g),
        .config = g->config,
        .config_pending = config_pending(g),
        .removed = g->removed,
        .leaving = g->leaving,
        .log_bytes = g->log.bytes,
    };
}

enum px_role px_role_now(const struct px_group *g) {
    return g->role;
}

px_store px_leader(const struct px_group *g) {
    return leading(g) ? g->self : g->role == PX_CANDIDATE ? 0 : g->following;
}

const struct px_ballot *px_promised(const struct px_group *g) {
    return &g->promised;
}

px_slot px_commit(const struct px_group *g) {
    return g->commit;
}

bool px_gone(const struct px_group *g, bool *ret_leaving) {
    *ret_leaving = g->leaving;
    return g->removed;
}

bool px_may_lead(const struct px_group *g) {
    const struct px_member *m = self_in(g, &g->config);
    return px_is_voter(m) && !(m->flags & PX_WITNESS) && !g->removed && !g->leaving;
}

bool px_sole_voter(const struct px_group *g) {
    return sole_voter(g);
}

bool px_born_sole(const struct px_group *g) {
    return born_sole(g);
}

bool px_changing(const struct px_group *g) {
    return config_pending(g) || g->config.joint;
}

bool px_config_undecided(const struct px_group *g) {
    return config_pending(g);
}

uint64_t px_group_id(const struct px_group *g) {
    return g->id;
}

const struct px_config *px_config_now(const struct px_group *g) {
    return &g->config;
}

/* ---- for model checks and accounts ------------------------------------------------------------------------------- */

static uint64_t add(uint64_t h, uint64_t x) {
    return hash_u64(h * 31 + x);
}

static uint64_t add_ballot(uint64_t h, const struct px_ballot *b) {
    return add(add(add(h, b->round), b->store), b->incarnation);
}

static uint64_t add_peer(uint64_t h, const struct px_peer *p) {
    h = add(add(add(add(h, p->store), p->match), p->next), p->commit);
    h = add(add(add(add(h, p->told), p->truncated), (uint64_t)p->sent_ns), p->fetch);
    h = add(add(add(h, p->follow_epoch), p->follow_incarnation), p->acked_incarnation);
    return add(h, (uint64_t)p->probing | (uint64_t)p->must_send << 1 | (uint64_t)p->promised << 2 |
                      (uint64_t)p->complete << 3 | (uint64_t)p->reading << 4 | (uint64_t)p->snapshot_sending << 5 |
                      (uint64_t)p->nudged << 6);
}

static uint64_t add_entry(uint64_t h, const struct px_entry *e) {
    h = add_ballot(add_ballot(add(h, e->slot), &e->ballot), &e->value->origin);
    return add(add(h, (uint64_t)e->value->ts), e->value->kind);
}

static uint64_t add_election(uint64_t h, const struct election *el) {
    h = add_ballot(add_ballot(add(h, el->from), &el->former), &el->ticket);
    h = add(add(add(add(h, (uint64_t)el->until), el->chosen), el->seen.epoch), (uint64_t)el->began_ns);
    for (size_t i = 0; i < el->count; i++)
        h = add_entry(h, &el->best[i]);
    return h;
}

uint64_t px_fingerprint(const struct px_group *g) {
    uint64_t h = add(add(g->role, g->round_seen), g->incarnation);
    h = add_ballot(add_ballot(add_ballot(h, &g->promised), &g->reign), &g->commit_origin);
    h = add(add(add(add(h, g->following), g->follow_epoch), (uint64_t)g->frozen_until), (uint64_t)g->t_max);
    h = add(add(h, (uint64_t)g->frozen | (uint64_t)g->heard << 1 | (uint64_t)g->promise_due << 2 |
                       (uint64_t)g->ack_due << 3 | (uint64_t)g->removed << 4 | (uint64_t)g->leaving << 5 |
                       (uint64_t)(g->promised_seq <= g->durable_seq) << 6 | (uint64_t)g->held << 7),
            (uint64_t)g->fresh_until);
    h = add(add(add(add(h, g->commit), g->accepted), g->durable), g->applied);
    h = add(add(add(add(h, g->truncated), g->config.epoch), g->config_chosen.epoch), (uint64_t)g->floor);
    h = add(add(add(add(h, (uint64_t)g->lease_used), g->opened_at), g->proposed), g->transfer_to);
    h = add(add(add(h, (uint64_t)g->campaign_ns), g->failures), (uint64_t)g->quorum_ns);
    for (size_t i = 0; i < g->log.count; i++)
        h = add(add_entry(h, &log_get(g, g->log.first + i)->e), log_get(g, g->log.first + i)->seq <= g->durable_seq);
    for (uint32_t i = 0; i < g->peers; i++)
        h = add_peer(h, &g->peer[i]);
    return g->el ? add_election(h, g->el) : h;
}

size_t px_memory(const struct px_group *g) {
    return sizeof *g + g->log.cap * sizeof *g->log.ring + g->peers * sizeof *g->peer +
           g->records_cap * sizeof *g->record + g->early_count * sizeof(struct early) +
           (g->el ? sizeof *g->el + g->el->cap * sizeof *g->el->best : 0) + (g->newer ? sizeof *g->newer : 0);
}
