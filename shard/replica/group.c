/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.c: a group's replica in the turns of its store.
 *
 *     a message, a sync that ended, a timer, a proposal     one call into the core, then replica_after_event
 *     end of the turn                                       px_ready of each group that was touched: records into the log,
 *                                                           messages into the outboxes; then one write, one frame a store
 *
 * Records that the log has no room for stay with their group, which is not asked for more until they are in: the core counts
 * on each of them. Messages of the same px_ready wait for no record of it, so they leave.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/replica/replica_internal.h"

enum { OUT_BYTES_FULL = 1 << 20, OUT_MESSAGES_FULL = 8192, READ_ENTRIES_MAX = 1024 };
static const int64_t ASK_NS = 10000000000, LEAVING_ASK_NS = 1000000000, ELECT_AGAIN_NS = 2000000000,
                     PREFERRED_NS = 1000000000, ELECT_SPREAD_NS = 250000000;

/* ---- where a proposal's time goes ---------------------------------------------------------------------------------- */

static void note_logged(struct replica *r, px_slot slot) {
    ilist_for_each(it, &r->proposals) {
        struct replica_proposal *p = ilist_entry(it, struct replica_proposal, link);
        if (p->slot > slot)
            return;
        if (p->slot == slot && !p->seq) {
            p->seq = r->record_seq;
            p->logged_ns = reactor_now(r->rs->reactor);
        }
    }
}

static void note_durable(struct replica *r, uint64_t seq) {
    ilist_for_each(it, &r->proposals) {
        struct replica_proposal *p = ilist_entry(it, struct replica_proposal, link);
        if (p->seq && p->seq <= seq && !p->durable_ns)
            p->durable_ns = reactor_now(r->rs->reactor);
    }
}

static void note_chosen(struct replica *r) {
    px_slot commit = px_commit(r->g);
    ilist_for_each(it, &r->proposals) {
        struct replica_proposal *p = ilist_entry(it, struct replica_proposal, link);
        if (p->slot > commit)
            return;
        if (!p->chosen_ns)
            p->chosen_ns = reactor_now(r->rs->reactor);
    }
}

static void wal_ticket_done(struct wal_ticket *t, enum rc rc);

/* ---- references -------------------------------------------------------------------------------------------------- */

void replica_ref(struct replica *r) {
    r->refs++;
}

void replica_unref(struct replica *r) {
    CHECK(r->refs > 0);
    if (--r->refs > 0)
        return;
    CHECK(r->gone && ilist_empty(&r->proposals));
    ilist_del(&r->dirty_link);
    ilist_del(&r->stuck_link);
    ilist_del(&r->apply_link);
    px_free(r->g);
    free(r);
}

struct persist *persist_new(struct replica *r, uint64_t seq) {
    struct replicas *rs = r->rs;
    struct persist *p = rs->free_persists;
    if (p)
        rs->free_persists = p->next_free;
    else if (!(p = malloc(sizeof *p)))
        return NULL;
    *p = (struct persist){.ticket = {.on_done = wal_ticket_done}, .rs = rs, .replica = r, .seq = seq};
    replica_ref(r);
    rs->persists++;
    return p;
}

static void persist_free(struct persist *p) {
    struct replicas *rs = p->rs;
    replica_unref(p->replica);
    rs->persists--;
    p->next_free = rs->free_persists;
    rs->free_persists = p;
}

static void wal_ticket_done(struct wal_ticket *t, enum rc rc) {
    struct persist *p = container_of(t, struct persist, ticket);
    struct replica *r = p->replica;
    struct replicas *rs = p->rs;
    if (rc && rc != RC_SHUTDOWN)
        replicas_die(rs, rc, "a write or sync of the log failed");
    if (!rc && !r->gone && !rs->killed && !env_mutant(rs->env, "P-2: count on what is not durable")) {
        struct px_now now = replicas_now(rs);
        note_durable(r, p->seq);
        px_durable(r->g, &now, p->seq);
        replica_after_event(r);
    }
    persist_free(p);
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

struct replica *replicas_find(struct replicas *rs, uint64_t group) {
    for (struct map_node *n = map_first(&rs->groups, hash_u64(group)); n; n = map_next(n))
        if (container_of(n, struct replica, node)->group == group)
            return container_of(n, struct replica, node);
    return NULL;
}

uint64_t replica_group(const struct replica *r) {
    return r->group;
}

uint64_t replica_id(const struct replica *r) {
    return r->id;
}

void *replica_sm(const struct replica *r) {
    return r->sm;
}

px_slot replica_applied(const struct replica *r) {
    return r->state.applied;
}

void replica_status(const struct replica *r, struct px_status *ret) {
    px_status(r->g, ret);
}

static int64_t in_ms(const struct replica *r, int64_t at) {
    return at == INT64_MAX ? -1 : (at - reactor_now(r->rs->reactor)) / 1000000;
}

void replica_describe(const struct replica *r, struct buf *out) {
    struct px_status st;
    px_status(r->g, &st);
    buf_printf(out,
               "group=%llu replica=%llu role=%s promised=%llu.%llx leader=%llx truncated=%llu commit=%llu applied=%llu "
               "last=%llu epoch=%llu",
               (unsigned long long)r->group, (unsigned long long)r->id, px_role_name(st.role),
               (unsigned long long)st.promised.round, (unsigned long long)st.promised.store,
               (unsigned long long)st.leader, (unsigned long long)st.truncated, (unsigned long long)st.commit,
               (unsigned long long)r->state.applied, (unsigned long long)st.last, (unsigned long long)st.config.epoch);
    buf_printf(out, "%s%s%s%s%s%s", st.config.joint ? " joint" : "", st.removed ? " removed" : "",
               st.leaving ? " leaving" : "", r->applying ? " applying" : "", r->loading ? " loading" : "",
               r->failed ? " failed" : "");
    buf_printf(
        out, " records_waiting=%zu wake_ms=%lld elect_ms=%lld ask_ms=%lld gate_ms=%lld retry_ms=%lld want_ms=%lld",
        r->records, (long long)in_ms(r, r->wake_ns), (long long)in_ms(r, r->elect_ns), (long long)in_ms(r, r->ask_ns),
        (long long)in_ms(r, r->gate_ns), (long long)in_ms(r, r->retry_ns), (long long)in_ms(r, r->want_ns));
}

px_store replica_leader(const struct replica *r) {
    return px_leader(r->g);
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

/* What the log holds above the state, into the core. */
static enum rc restore(struct replica *r, struct err *err) {
    struct replicas *rs = r->rs;
    struct wal_group w;
    px_slot applied = r->state.applied;
    if (!wal_find(rs->wal, r->group, &w)) {
        px_restore_done(r->g, applied);
        return RC_OK;
    }
    enum rc rc = w.promised.round ? px_restore_promise(r->g, &w.promised) : RC_OK;
    if (!rc && w.entries && w.first > applied + 1)
        return err_set(err, RC_CORRUPT, "group %llu: the log begins at slot %llu, the data end at %llu",
                       (unsigned long long)r->group, (unsigned long long)w.first, (unsigned long long)applied);
    if (!rc && w.truncated > applied)
        return err_set(err, RC_CORRUPT, "group %llu: the log was cut at slot %llu, the data end at %llu",
                       (unsigned long long)r->group, (unsigned long long)w.truncated, (unsigned long long)applied);
    /* The entry at `applied` too, if it is there: it tells whether what follows belongs to this state (P5). It need not be: a
     * leader applies what a quorum has, which need not include its own log; then the log goes on after what the data hold. */
    px_slot at = w.first > applied ? w.first : applied;
    while (!rc && w.entries && at <= w.last) {
        struct px_entry e[64];
        size_t n = 0, i = 0;
        rc = wal_read(rs->wal, r->group, at, 1 << 20, e, ARRAY_LEN(e), &n, err);
        if (rc == RC_NOTFOUND && at == applied) {
            rc = RC_OK;
            at++;
            continue;
        }
        for (; i < n; i++) {
            if (!rc)
                rc = px_restore_entry(r->g, &e[i]);
            px_value_unref(e[i].value);
        }
        at += n;
    }
    if (!rc)
        px_restore_done(r->g, w.truncated);
    r->truncated = w.truncated;
    return rc;
}

static struct replica *replica_new(struct replicas *rs, const struct replica_conf *conf) {
    struct replica *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->rs = rs;
    r->group = conf->group;
    r->id = conf->replica;
    r->ops = conf->ops;
    r->sm = conf->sm;
    r->never_waits = conf->sm_never_waits;
    r->preferred = conf->preferred;
    r->state = conf->state;
    r->told = conf->state.applied;
    r->refs = 1;
    ilist_init(&r->dirty_link);
    ilist_init(&r->stuck_link);
    ilist_init(&r->apply_link);
    ilist_init(&r->proposals);
    waitq_init(&r->waiters);
    timer_init(&r->timer, replica_timer_fired, r);
    r->wake_ns = r->elect_ns = r->ask_ns = r->gate_ns = r->retry_ns = r->want_ns = INT64_MAX;
    struct px_init init = {.group = r->group,
                           .replica = r->id,
                           .self = rs->self,
                           .support = rs->support,
                           .chaos = rs->env->chaos,
                           .seed = rng_u64(&rs->rng),
                           .limits = rs->conf.limits,
                           .config = r->state.config,
                           .applied = r->state.applied,
                           .applied_origin = r->state.origin,
                           .floor = r->state.floor,
                           .late = conf->late};
    if (px_new(&init, &r->g)) {
        free(r);
        return NULL;
    }
    return r;
}

enum rc replicas_add(struct replicas *rs, const struct replica_conf *conf, struct replica **ret, struct err *err) {
    if (!conf->group || conf->group >> 56)
        return err_set(err, RC_INVAL, "%llu is no group", (unsigned long long)conf->group);
    if (rs->killed || rs->phase > REPLICAS_RUNNING)
        return err_set(err, RC_SHUTDOWN, "shutting down");
    if (replicas_find(rs, conf->group))
        return err_set(err, RC_EXISTS, "group %llu has a replica here already", (unsigned long long)conf->group);
    if (tombstone_covers(rs, conf->group, conf->replica))
        return err_set(err, RC_INVAL, "replica %llu of group %llu was removed from here", /* P-22, P-23 */
                       (unsigned long long)conf->replica, (unsigned long long)conf->group);
    struct replica *r = replica_new(rs, conf);
    if (!r)
        return err_set(err, RC_NOMEM, "out of memory");
    enum rc rc = restore(r, err);
    const struct replica *parent = conf->parent ? replicas_find(rs, conf->parent) : NULL;
    if (!rc && parent && px_ballot_is_zero(px_promised(r->g)))
        rc = px_inherit(r->g, parent->g, &conf->split) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
    if (rc) {
        r->gone = true;
        replica_unref(r);
        return rc;
    }
    map_put(&rs->groups, &r->node, hash_u64(r->group));
    gauge_add(&rs->stats.groups, 1);
    if (conf->lead_now)
        r->elect_ns = reactor_now(rs->reactor);
    replica_after_event(r);
    *ret = r;
    return RC_OK;
}

/* ---- after an event ---------------------------------------------------------------------------------------------- */

void replica_touch(struct replica *r) {
    struct replicas *rs = r->rs;
    if (r->gone || ilist_linked(&r->dirty_link) || r->records)
        return;
    ilist_push_back(&rs->dirty, &r->dirty_link);
    reactor_flush_later(rs->reactor, &rs->flush);
}

void replica_wake(struct replica *r) {
    if (!waitq_empty(&r->waiters))
        waitq_wake_all(&r->waiters, RC_OK);
}

static void note_role(struct replica *r) {
    struct replicas *rs = r->rs;
    bool open = px_role_now(r->g) == PX_OPEN;
    const struct px_ballot *ballot = px_promised(r->g);
    if (r->leading && (!open || px_ballot_cmp(&r->lead_ballot, ballot) != 0)) {
        struct px_ballot ended = r->lead_ballot;
        r->leading = false;
        gauge_add(&rs->stats.leading, -1);
        if (r->ops->on_lead_end)
            r->ops->on_lead_end(r->sm, &ended);
        replica_wake(r); /* who waits as its leader waits in vain */
    }
    if (open && !r->leading) {
        r->leading = true;
        r->lead_since_ns = reactor_now(rs->reactor);
        r->lead_ballot = *ballot;
        gauge_add(&rs->stats.leading, 1);
        counter_inc(&rs->stats.elections);
        if (r->ops->on_lead_begin)
            r->ops->on_lead_begin(r->sm, &r->lead_ballot, px_floor(r->g));
    }
}

/* A group that has no leader, or one whose store does not answer: somebody should try. The core knows when it may. */
static void note_leader(struct replica *r) {
    struct replicas *rs = r->rs;
    px_store leader = px_leader(r->g);
    int64_t now = reactor_now(rs->reactor);
    if (leader != r->leader_seen) {
        r->leader_seen = leader;
        replica_wake(r);
    }
    if (leader == rs->self || (leader && support_alive(rs->support, leader))) {
        r->elect_ns = r->ask_ns = INT64_MAX;
        return;
    }
    if (r->ask_ns == INT64_MAX)
        r->ask_ns = now + ASK_NS + (int64_t)rng_below(&rs->rng, (uint64_t)ASK_NS / 4);
    if (r->elect_ns != INT64_MAX || r->wake_ns != INT64_MAX || px_role_now(r->g) != PX_FOLLOWER || !px_may_lead(r->g))
        return; /* or the core has a campaign of its own in mind */
    /* A sole voter competes with nobody: it need not give others the time to be first. */
    int64_t spread = px_sole_voter(r->g) ? 0 : (int64_t)rng_below(&rs->rng, (uint64_t)ELECT_SPREAD_NS);
    bool other = r->preferred && r->preferred != rs->self;
    r->elect_ns = now + spread + (leader ? 2 * rs->conf.lease_ns : other ? PREFERRED_NS : 0);
}

static void note_members(struct replica *r) {
    bool leaving, removed = px_gone(r->g, &leaving);
    if (!r->was_member)
        r->was_member = px_config_find(px_config_now(r->g), r->rs->self) != NULL && !removed;
    if (leaving && !removed && r->ask_ns > reactor_now(r->rs->reactor) + LEAVING_ASK_NS)
        r->ask_ns = reactor_now(r->rs->reactor) + LEAVING_ASK_NS;
    if (removed && r->was_member && !r->removed_told) {
        r->removed_told = true;
        env_probe(r->rs->env, "replica: removed from its group");
        r->ops->on_removed(r->sm);
    }
}

void replica_after_event(struct replica *r) {
    if (r->rs->phase == REPLICAS_OPENING || r->rs->killed)
        return;
    note_role(r);
    note_chosen(r);
    apply_later(r);
    replica_touch(r);
}

/* ---- the end of a turn ------------------------------------------------------------------------------------------- */

static enum rc put_record(struct replica *r, const struct px_record *rec, struct wal_ticket *t) {
    struct wal *w = r->rs->wal;
    counter_inc(&r->rs->stats.records);
    switch (rec->type) {
    case PX_REC_PROMISE:
        return wal_put_promise(w, r->group, &rec->ballot, t);
    case PX_REC_ENTRY:
        return wal_put_entry(w, r->group, &rec->entry, t);
    case PX_REC_VOID:
        return wal_put_void(w, r->group, rec->entry.slot, t);
    }
    return RC_INTERNAL;
}

/* Gives the log what it has room for; the rest stays for later. */
static void put_records(struct replica *r) {
    struct replicas *rs = r->rs;
    while (r->records > 0) {
        struct persist *p = r->records == 1 ? persist_new(r, r->record_seq) : NULL;
        enum rc rc = r->records == 1 && !p ? RC_NOMEM : put_record(r, r->record, p ? &p->ticket : NULL);
        if (rc) {
            if (p)
                persist_free(p);
            if (rc != RC_OVERLOAD && rc != RC_NOSPACE && rc != RC_NOMEM)
                replicas_die(rs, rc, "the log refused a record");
            env_probe(rs->env, "replica: the log had no room");
            if (!ilist_linked(&r->stuck_link))
                ilist_push_back(&rs->stuck, &r->stuck_link);
            return;
        }
        if (r->record->type == PX_REC_ENTRY)
            note_logged(r, r->record->entry.slot);
        r->record++;
        r->records--;
    }
    ilist_del(&r->stuck_link);
    if (env_mutant(rs->env, "P-2: count on what is not durable")) {
        struct px_now now = replicas_now(rs);
        px_durable(r->g, &now, r->record_seq);
        replica_after_event(r);
    }
}

static void send_all(struct replica *r, const struct px_ready *ready) {
    struct replicas *rs = r->rs;
    for (size_t i = 0; i < ready->n_send; i++) {
        struct outbox *o = outbox_for(rs, ready->send[i].to);
        if (!o || replica_out_message(&o->out, &ready->send[i]))
            continue; /* lost */
        counter_inc(&rs->stats.messages_out);
        if (o->out.bytes >= OUT_BYTES_FULL || o->out.batch.n_message >= OUT_MESSAGES_FULL)
            outbox_send(rs, o);
    }
}

/* Entries that a follower lacks and memory does not hold any more. */
static void read_back(struct replica *r) {
    struct replicas *rs = r->rs;
    px_store to;
    px_slot first;
    for (int i = 0; i < PX_MEMBERS_MAX && px_want_read(r->g, &to, &first); i++) {
        struct px_entry e[READ_ENTRIES_MAX];
        size_t n = 0;
        size_t bytes = rs->conf.limits.message_bytes ? rs->conf.limits.message_bytes : 256 << 10;
        struct err err = {0};
        enum rc rc = wal_read(rs->wal, r->group, first, bytes, e, ARRAY_LEN(e), &n, &err);
        if (rc && rc != RC_NOTFOUND)
            diag_warn(&rs->env->diag, "replica: entries could not be read back", "group=%llu slot=%llu reason=\"%s\"",
                      (unsigned long long)r->group, (unsigned long long)first, err.message);
        struct px_now now = replicas_now(rs);
        px_read_done(r->g, &now, to, e, rc ? 0 : n);
        for (size_t k = 0; k < n; k++)
            px_value_unref(e[k].value);
        replica_touch(r);
    }
}

/* P-11: only here, where nothing that the core accepted is still on its way into the log. */
static void truncate_log(struct replica *r) {
    struct replicas *rs = r->rs;
    static const size_t KEEP_BYTES = 4 << 20;
    struct px_status st;
    px_slot durable = r->checkpointed < r->told ? r->checkpointed : r->told;
    if (env_mutant(rs->env, "P-11: cut the log at what is applied"))
        durable = r->told;
    px_slot cut = px_may_truncate(r->g, durable);
    if (cut <= r->truncated || r->records || rs->dead)
        return;
    px_status(r->g, &st);
    px_slot needed = px_needed(r->g);
    if (needed < cut && st.log_bytes < KEEP_BYTES)
        cut = needed; /* a follower that answers gets it from here rather than by a snapshot */
    if (cut <= r->truncated || wal_put_truncate(rs->wal, r->group, cut, NULL))
        return; /* the next turn tries again */
    px_truncate(r->g, cut);
    r->truncated = cut;
}

void replica_checkpointed(struct replica *r, px_slot slot) {
    if (slot > r->state.applied)
        slot = r->state.applied;
    if (slot <= r->checkpointed)
        return;
    r->checkpointed = slot;
    replica_touch(r);
}

static void step(struct replica *r) {
    struct replicas *rs = r->rs;
    struct px_ready ready;
    struct px_now now = replicas_now(rs);
    if (r->gone || r->records)
        return;
    px_ready(r->g, &now, &ready);
    r->wake_ns = ready.wake_ns;
    if (ready.n_persist && !rs->dead) {
        r->record = ready.persist;
        r->records = ready.n_persist;
        r->record_seq = ready.persist_seq;
        put_records(r);
    }
    send_all(r, &ready);
    truncate_log(r);
    read_back(r); /* these also while it is opening: a quorum may need it */
    witness_checkpoint(r);
    snapshots_wanted(r);
    note_role(r);
    note_leader(r);
    note_members(r);
    replica_set_timer(r);
}

void replicas_flush(struct reactor_flush *f) {
    struct replicas *rs = container_of(f, struct replicas, flush);
    struct ilist *n;
    if (rs->phase == REPLICAS_OPENING || rs->killed)
        return;
    struct ilist stuck;
    ilist_init(&stuck);
    ilist_splice_back(&stuck, &rs->stuck);
    while ((n = ilist_pop_front(&stuck))) {
        struct replica *r = ilist_entry(n, struct replica, stuck_link);
        put_records(r);
        if (!r->records)
            replica_touch(r);
    }
    while ((n = ilist_pop_front(&rs->dirty)))
        step(ilist_entry(n, struct replica, dirty_link));
    wal_flush(rs->wal);
    while ((n = ilist_pop_front(&rs->active_outboxes)))
        outbox_send(rs, ilist_entry(n, struct outbox, link));
    replicas_set_timer(rs);
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

void replica_set_timer(struct replica *r) {
    int64_t due = earlier(earlier(r->wake_ns, r->elect_ns), earlier(r->ask_ns, r->gate_ns));
    due = earlier(due, earlier(r->retry_ns, r->want_ns));
    if (r->gone || due == INT64_MAX)
        timerq_cancel(&r->rs->timers, &r->timer);
    else if (!timer_is_set(&r->timer) || r->timer.due_ns != due)
        timerq_set(&r->rs->timers, &r->timer, due);
}

void replicas_set_timer(struct replicas *rs) {
    int64_t due = timerq_due(&rs->timers);
    if (rs->killed || due == rs->timer_due_ns)
        return;
    rs->timer_due_ns = due;
    if (due == INT64_MAX)
        env_timer_cancel(rs->env, &rs->timer);
    else
        env_timer_set(rs->env, &rs->timer, due);
}

void replicas_timer_fired(void *ctx) {
    struct replicas *rs = ctx;
    struct timer *t;
    int64_t now = reactor_now(rs->reactor);
    rs->timer_due_ns = INT64_MAX;
    if (rs->killed)
        return;
    while ((t = timerq_pop(&rs->timers, now)))
        t->on_fire(t->ctx);
    replicas_set_timer(rs);
}

static void try_to_lead(struct replica *r) {
    struct replicas *rs = r->rs;
    struct px_now now = replicas_now(rs);
    r->elect_ns = INT64_MAX;
    if (px_role_now(r->g) != PX_FOLLOWER || !px_may_lead(r->g) || rs->phase != REPLICAS_RUNNING || rs->dead)
        return;
    /* Not now: the core tries again when a lease has ended, and we when it does not. */
    if (px_campaign(r->g, &now) != RC_OK)
        r->elect_ns = now.mono_ns + ELECT_AGAIN_NS + (int64_t)rng_below(&rs->rng, (uint64_t)ELECT_SPREAD_NS);
}

void replica_timer_fired(void *ctx) {
    struct replica *r = ctx;
    struct replicas *rs = r->rs;
    struct px_now now = replicas_now(rs);
    if (now.mono_ns >= r->wake_ns)
        px_tick(r->g, &now);
    if (now.mono_ns >= r->elect_ns)
        try_to_lead(r);
    if (now.mono_ns >= r->ask_ns) {
        r->ask_ns = INT64_MAX;
        px_ask(r->g);
    }
    if (now.mono_ns >= r->gate_ns)
        r->gate_ns = INT64_MAX;
    if (now.mono_ns >= r->retry_ns)
        r->retry_ns = INT64_MAX;
    if (now.mono_ns >= r->want_ns) { /* the snapshot that we asked for did not come */
        r->want_ns = INT64_MAX;
        px_snapshot_failed(r->g);
        r->elect_ns = now.mono_ns;
    }
    replica_after_event(r);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void on_message(struct replicas *rs, const Replica__Message *pb, px_store from, uint64_t incarnation) {
    struct replica_in in;
    struct replica *r = replicas_find(rs, pb->group);
    counter_inc(&rs->stats.messages_in);
    if (!r) { /* a stray message never creates a replica (P-22) */
        counter_inc(&rs->stats.unknown_groups);
        return;
    }
    enum rc rc = replica_in_message(pb, from, rs->self, incarnation, &rs->in_arena, &in);
    if (rc) {
        if (rc == RC_PROTOCOL)
            counter_inc(&rs->stats.rejected_messages);
        return;
    }
    struct px_now now = replicas_now(rs);
    struct px_msg m = in.m;
    if (m.type == PX_MSG_ACCEPT && m.entries && (rs->dead || wal_health(rs->wal) != RC_OK)) {
        env_probe(rs->env, "replica: took no entries, the log has no room");
        m.entries = 0; /* it comes again */
    }
    if (m.type == PX_MSG_TAKE_OVER && rs->phase != REPLICAS_RUNNING)
        goto out;
    px_message(r->g, &now, &m);
    replica_after_event(r);
out:
    replica_in_clear(&in);
}

void replicas_on_batch(void *ctx, struct rpc_request *q) {
    struct replicas *rs = ctx;
    const Replica__Batch *b = (const Replica__Batch *)(const void *)q->message;
    px_store from = px_store_of(q->from);
    if (!rs->started || rs->phase == REPLICAS_STOPPED || !q->member || !from || from == rs->self)
        return;
    arena_reset(&rs->in_arena);
    struct support_out out = support_driver_out(rs);
    bool refused = false;
    bool doubted = rs->conf.contradicts && rs->conf.contradicts(rs->conf.ctx, from) &&
                   !env_mutant(rs->env, "C-4: a contradicting clock's support counts");
    for (size_t i = 0; i < b->n_support; i++) {
        struct support_msg m;
        struct px_now now = replicas_now(rs);
        if (doubted && b->support[i]->type == SUPPORT_GRANT) {
            env_probe(rs->env, "replica: support by a clock that contradicts ours was not taken");
            continue;
        }
        if (replica_in_support(b->support[i], from, rs->self, b->incarnation, &m))
            support_message(rs->support, &now, &m, &out);
        else
            counter_inc(&rs->stats.rejected_messages);
        refused |= b->support[i]->type == SUPPORT_REFUSE;
    }
    if (refused)
        support_driver_refused(rs);
    if (b->n_message > REPLICA_BATCH_MESSAGES_MAX) {
        counter_inc(&rs->stats.rejected_messages);
        return;
    }
    for (size_t i = 0; i < b->n_message; i++)
        on_message(rs, b->message[i], from, b->incarnation);
    for (size_t i = 0; i < b->n_want_snapshot; i++) {
        struct replica *r = replicas_find(rs, b->want_snapshot[i]);
        if (r)
            snapshot_send_later(r, from, false);
    }
    if (rs->in_arena.bytes > ARENA_CHUNK_BYTES_MAX)
        arena_done(&rs->in_arena);
}
