/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replicas.c: the life of a store's replicas: the log's replay, incarnations, what leaves for other stores, the end.
 *
 * The incarnation is made durable before anything is said (P-1): a store that crashes between is just one number further.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/replica/replica_internal.h"

enum { PROPOSALS_MAX = 65536, WORKERS_MAX = 32, SNAPSHOTS_MAX = 4, STALL_PER_LEASE = 3 };
static const int64_t SNAPSHOT_BYTES_PER_S = 64 << 20, LEASE_NS = 3000000000, SOLE_LEASE_NS = 100000000;

static const struct rpc_service batch_service = {.type = REPLICA_TYPE_BATCH,
                                                 .name = "replica.batch",
                                                 .request = &replica__batch__descriptor,
                                                 .message = replicas_on_batch,
                                                 .direct = true};

/* ---- what other stores are told ---------------------------------------------------------------------------------- */

struct outbox *outbox_for(struct replicas *rs, px_store to) {
    struct outbox *o = NULL;
    for (struct map_node *n = map_first(&rs->outboxes, hash_u64(to)); n && !o; n = map_next(n))
        if (container_of(n, struct outbox, node)->to == to)
            o = container_of(n, struct outbox, node);
    if (!o) {
        o = malloc(sizeof *o);
        if (!o)
            return NULL;
        o->to = to;
        ilist_init(&o->link);
        replica_out_init(&o->out);
        map_put(&rs->outboxes, &o->node, hash_u64(to));
    }
    if (!ilist_linked(&o->link))
        ilist_push_back(&rs->active_outboxes, &o->link);
    reactor_flush_later(rs->reactor, &rs->flush);
    return o;
}

void outbox_send(struct replicas *rs, struct outbox *o) {
    if (!replica_out_empty(&o->out) && rs->phase != REPLICAS_OPENING) {
        o->out.batch.incarnation = rs->incarnation;
        hist_add(&rs->stats.batch_messages, (int64_t)o->out.batch.n_message);
        counter_inc(&rs->stats.batches_out);
        /* Lost, as any message may be: the core sends again what matters. */
        IGNORE(rpc_send(rs->rpc, px_store_addr(o->to), REPLICA_TYPE_BATCH, &o->out.batch.base, NULL, NULL));
    }
    replica_out_clear(&o->out);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void set_defaults(struct replicas_conf *c) {
    if (!c->lease_ns)
        c->lease_ns = LEASE_NS;
    if (!c->sole_lease_ns)
        c->sole_lease_ns = SOLE_LEASE_NS;
    if (!c->stall_ns)
        c->stall_ns = c->lease_ns / STALL_PER_LEASE;
    if (!c->proposals_max)
        c->proposals_max = PROPOSALS_MAX;
    if (!c->workers_max)
        c->workers_max = WORKERS_MAX;
    if (!c->snapshots_max)
        c->snapshots_max = SNAPSHOTS_MAX;
    if (!c->snapshot_bytes_per_s)
        c->snapshot_bytes_per_s = SNAPSHOT_BYTES_PER_S;
}

static void add_metric(struct replicas *rs, size_t *n, const char *name, const char *help, enum metric_kind kind,
                       double scale, const void *value) {
    CHECK(*n < ARRAY_LEN(rs->metric));
    rs->metric[*n] =
        (struct metric){.name = name, .help = help, .labels = "", .kind = kind, .scale = scale, .value = value};
    metrics_add(&rs->env->metrics, &rs->metric[(*n)++]);
}

static void add_metrics(struct replicas *rs) {
    struct replicas_stats *s = &rs->stats;
    size_t n = 0;
#define COUNT(field, help) add_metric(rs, &n, "meridian_replica_" #field "_total", help, METRIC_COUNTER, 1, &s->field)
    add_metric(rs, &n, "meridian_replica_groups", "Groups with a replica here.", METRIC_GAUGE, 1, &s->groups);
    add_metric(rs, &n, "meridian_replica_leading", "Groups that are led from here.", METRIC_GAUGE, 1, &s->leading);
    add_metric(rs, &n, "meridian_replica_proposals", "Proposals not applied yet.", METRIC_GAUGE, 1, &s->proposals);
    COUNT(messages_in, "Paxos messages received.");
    COUNT(messages_out, "Paxos messages sent.");
    COUNT(batches_out, "Frames in which they were sent.");
    COUNT(records, "Records given to the log.");
    COUNT(commands, "Proposals made here.");
    COUNT(applied, "Entries applied.");
    COUNT(apply_failures, "Runs of entries that a state machine could not apply.");
    COUNT(elections, "Reigns begun here.");
    COUNT(hand_overs, "Leaderships handed over from here.");
    COUNT(resigned, "Leaderships given up from here.");
    COUNT(support_paused, "Times that this store stopped asking for support.");
    COUNT(rejected_messages, "Messages that no peer of ours should send.");
    COUNT(snapshots_sent, "Snapshots sent.");
    COUNT(snapshots_loaded, "Snapshots installed.");
    COUNT(snapshot_bytes, "Bytes of snapshots sent.");
    add_metric(rs, &n, "meridian_replica_commit_seconds", "From a proposal to its application here.", METRIC_HIST, 1e9,
               &s->commit_ns);
#undef COUNT
}

static struct replicas *replicas_new(const struct replicas_conf *conf) {
    struct replicas *rs = calloc(1, sizeof *rs);
    if (!rs)
        return NULL;
    rs->conf = *conf;
    set_defaults(&rs->conf);
    rs->rpc = conf->rpc;
    rs->reactor = rpc_reactor(conf->rpc);
    rs->env = reactor_env(rs->reactor);
    rs->self = px_store_of(rpc_self(conf->rpc));
    map_init(&rs->groups);
    map_init(&rs->outboxes);
    map_init(&rs->tombstones);
    ilist_init(&rs->dirty);
    ilist_init(&rs->stuck);
    ilist_init(&rs->active_outboxes);
    ilist_init(&rs->apply_queue);
    reactor_flush_init(&rs->flush, replicas_flush);
    timerq_init(&rs->timers);
    timer_init(&rs->timer, replicas_timer_fired, rs);
    timer_init(&rs->support_timer, support_driver_fired, rs);
    rs->timer_due_ns = INT64_MAX;
    fiber_group_init(&rs->fibers);
    waitq_init(&rs->idle_workers);
    waitq_init(&rs->tomb_waiters);
    rng_init(&rs->rng, env_random(rs->env));
    arena_init(&rs->in_arena, 0);
    snprintf(rs->dir, sizeof rs->dir, "%s", conf->dir);
    snprintf(rs->log_dir, sizeof rs->log_dir, "%s/log", conf->dir);
    rs->conf.dir = rs->dir;
    return rs;
}

struct append {
    struct wal_ticket ticket;
    struct event done;
};

static void append_done(struct wal_ticket *t, enum rc rc) {
    event_set(&container_of(t, struct append, ticket)->done, rc);
}

/* One record of the store's own, durably. The ticket is on this fiber's stack, so the wait is shielded. */
enum rc replicas_append(struct replicas *rs, enum rc (*put)(struct replicas *rs, void *arg, struct wal_ticket *t),
                        void *arg, struct err *err) {
    struct append a = {.ticket = {.on_done = append_done}};
    event_init_unset(&a.done);
    enum rc rc;
    while ((rc = rs->killed || !rs->wal ? RC_SHUTDOWN : put(rs, arg, &a.ticket)) == RC_OVERLOAD) {
        rc = fiber_sleep(rs->reactor, 1000000);
        if (rc)
            break;
    }
    if (!rc) {
        wal_flush(rs->wal);
        fiber_shield_begin(rs->reactor);
        rc = event_wait(rs->reactor, &a.done, DEADLINE_NONE);
        fiber_shield_end(rs->reactor);
    }
    return rc ? err_set(err, rc, "the store's log: %s", rc_text(rc)) : RC_OK;
}

static enum rc put_store(struct replicas *rs, void *arg, struct wal_ticket *t) {
    return wal_put_store(rs->wal, arg, t);
}

static void on_room(void *ctx) {
    struct replicas *rs = ctx;
    if (!ilist_empty(&rs->stuck) && !rs->killed)
        reactor_flush_later(rs->reactor, &rs->flush);
}

static enum rc open_log(struct replicas *rs, struct wal_damage *ret_damage, struct err *err) {
    struct wal_conf conf = rs->conf.wal;
    conf.store = rs->self;
    conf.on_room = on_room;
    conf.ctx = rs;
    enum rc rc = env_dir_lock(rs->env, rs->conf.dir, &rs->lock, err);
    if (rc)
        return rc;
    rc = env_mkdir(rs->env, rs->log_dir, err);
    if (rc == RC_OK)
        rc = dir_sync(rs->reactor, rs->conf.dir, err);
    else if (rc == RC_EXISTS)
        rc = RC_OK;
    return rc ? rc : wal_open(rs->env, rs->log_dir, &conf, NULL, &rs->wal, ret_damage, err);
}

static enum rc begin_incarnation(struct replicas *rs, struct err *err) {
    const struct replicas_conf *c = &rs->conf;
    struct wal_store last = {0};
    bool any = wal_get_store(rs->wal, &last);
    struct support_init si = {.self = rs->self,
                              .lease_ns = c->lease_ns,
                              .renew_ns = c->renew_ns,
                              .sole_lease_ns = c->sole_lease_ns,
                              .clean_until = any           ? last.clean_until
                                             : c->log_lost ? 0
                                                           : 1,
                              .lease_ns_max = last.lease_ns_max,
                              .sole_lease_ns_max = last.sole_lease_ns_max,
                              .chaos = rs->env->chaos};
    if (any && last.store != rs->self)
        return err_set(err, RC_INVAL, "the log is store %llu's", (unsigned long long)last.store);
    rs->incarnation = si.incarnation =
        last.incarnation + !(any && env_mutant(rs->env, "P-1: speak as before the restart"));
    if (!any && c->log_lost && rs->incarnation < c->starts)
        rs->incarnation = si.incarnation = c->starts;
    rs->store_record = (struct wal_store){
        .store = rs->self,
        .incarnation = rs->incarnation,
        .lease_ns_max = c->lease_ns > last.lease_ns_max ? c->lease_ns : last.lease_ns_max,
        .sole_lease_ns_max = c->sole_lease_ns > last.sole_lease_ns_max ? c->sole_lease_ns : last.sole_lease_ns_max};
    enum rc rc = replicas_append(rs, put_store, &rs->store_record, err);
    if (!rc && support_new(&si, &rs->support))
        rc = err_set(err, RC_NOMEM, "out of memory");
    return rc;
}

enum rc replicas_open(const struct replicas_conf *conf, struct replicas **ret, struct wal_damage *ret_damage,
                      struct err *err) {
    struct replicas *rs = replicas_new(conf);
    if (!rs)
        return err_set(err, RC_NOMEM, "out of memory");
    enum rc rc = open_log(rs, ret_damage, err);
    if (!rc)
        rc = tombstones_load(rs, err);
    if (!rc)
        rc = begin_incarnation(rs, err);
    if (!rc)
        rc = rpc_register(rs->rpc, &batch_service, rs);
    if (!rc)
        rc = rpc_register(rs->rpc, &replicas_create_service, rs);
    if (!rc)
        rc = rpc_register(rs->rpc, &replicas_snapshot_service, rs);
    if (rc) {
        replicas_end(rs);
        replicas_free(rs);
        return rc;
    }
    *ret = rs;
    return RC_OK;
}

static enum rc put_forget(struct replicas *rs, void *arg, struct wal_ticket *t) {
    const uint64_t *group = arg;
    return wal_put_forget(rs->wal, *group, t);
}

struct orphan {
    struct replicas *rs;
    uint64_t group;
};

static void find_orphan(void *ctx, const struct wal_group *g) {
    struct orphan *o = ctx;
    if (!o->group && !replicas_find(o->rs, g->group))
        o->group = g->group;
}

/* What is in the log and has no data here was being removed, or made, when we stopped. */
static enum rc forget_orphans(struct replicas *rs, struct err *err) {
    for (;;) {
        struct orphan o = {rs, 0};
        wal_each(rs->wal, find_orphan, &o);
        if (!o.group)
            return RC_OK;
        diag_warn(&rs->env->diag, "replica: the log holds a group that has no data here", "group=%llu",
                  (unsigned long long)o.group);
        enum rc rc = replicas_append(rs, put_forget, &o.group, err);
        if (rc)
            return rc;
    }
}

enum rc replicas_start(struct replicas *rs, struct err *err) {
    enum rc rc = forget_orphans(rs, err);
    if (rc)
        return rc;
    CHECK(rs->phase == REPLICAS_OPENING);
    rs->phase = REPLICAS_RUNNING;
    rs->started = true;
    add_metrics(rs);
    support_driver_start(rs);
    map_for_each(n, &rs->groups)
        replica_after_event(container_of(n, struct replica, node));
    return RC_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* P-30: the log is broken. Nothing can be promised any more; leases end by themselves, others take over. */
void replicas_die(struct replicas *rs, enum rc rc, const char *why) {
    if (rs->dead)
        return;
    rs->dead = rc ? rc : RC_IO;
    diag_error(&rs->env->diag, "replica: the store cannot promise anything any more", "reason=\"%s\"", why);
    support_pause(rs->support, true);
    if (rs->conf.on_dead)
        rs->conf.on_dead(rs->conf.ctx, rs->dead, why);
}

static bool hand_over_all(struct replicas *rs) {
    bool leading = false;
    map_for_each(n, &rs->groups) {
        struct replica *r = container_of(n, struct replica, node);
        struct px_now now = replicas_now(rs);
        if (px_role_now(r->g) == PX_OPEN) {
            px_store to = px_successor(r->g);
            if (to && px_transfer(r->g, &now, to) == RC_OK)
                counter_inc(&rs->stats.hand_overs);
            else
                px_resign(r->g, &now);
            replica_after_event(r);
        }
        enum px_role role = px_role_now(r->g);
        leading |= role != PX_FOLLOWER && role != PX_CANDIDATE;
    }
    return leading;
}

static bool anything_to_apply(struct replicas *rs) {
    map_for_each(n, &rs->groups) {
        struct replica *r = container_of(n, struct replica, node);
        if (!r->failed && (r->applying || px_commit(r->g) > r->state.applied))
            return true;
    }
    return false;
}

void replicas_stop(struct replicas *rs, int64_t deadline) {
    static const int64_t POLL_NS = 5000000;
    if (rs->phase != REPLICAS_RUNNING)
        return;
    rs->phase = REPLICAS_STOPPING;
    int64_t most = reactor_deadline(rs->reactor, rs->conf.lease_ns);
    deadline = deadline < most ? deadline : most;
    while (!rs->dead && hand_over_all(rs) && reactor_now(rs->reactor) < deadline)
        if (fiber_sleep(rs->reactor, POLL_NS))
            break;
    while (!rs->dead && anything_to_apply(rs) && reactor_now(rs->reactor) < deadline)
        if (fiber_sleep(rs->reactor, POLL_NS))
            break;
    if (rs->killed)
        return;
    /* From here on nothing is granted, accepted or sent: the mark covers all. */
    bool born_sole = true;
    map_for_each(n, &rs->groups) {
        struct replica *r = container_of(n, struct replica, node);
        struct px_now now = replicas_now(rs);
        born_sole &= px_born_sole(r->g);
        px_resign(r->g, &now);
        replica_after_event(r);
    }
    replicas_flush(&rs->flush);
    rs->phase = REPLICAS_STOPPED;
    rs->store_record.clean_until = support_stop_mark(rs->support, born_sole);
    if (!rs->dead && rs->store_record.clean_until) {
        struct err err = {0};
        if (replicas_append(rs, put_store, &rs->store_record, &err))
            diag_warn(&rs->env->diag, "replica: the clean stop could not be written down", "reason=\"%s\"",
                      err.message);
    }
    replicas_kill(rs);
}

static void on_wal_closed(void *ctx) {
    struct replicas *rs = ctx;
    rs->wal_closed = true;
    rs->wal = NULL;
}

void replicas_kill(struct replicas *rs) {
    if (rs->killed)
        return;
    rs->killed = true;
    rs->phase = REPLICAS_STOPPED;
    env_timer_cancel(rs->env, &rs->timer);
    env_timer_cancel(rs->env, &rs->support_timer);
    reactor_flush_cancel(&rs->flush);
    map_for_each(n, &rs->groups) {
        struct replica *r = container_of(n, struct replica, node);
        proposals_end(r, UINT64_MAX, RC_CLOSED);
        waitq_wake_all(&r->waiters, RC_CLOSED);
    }
    apply_stop(rs);
    fiber_group_cancel(&rs->fibers);
    if (rs->wal)
        wal_close(rs->wal, on_wal_closed, rs);
    else
        rs->wal_closed = true;
}

void replicas_end(struct replicas *rs) {
    replicas_kill(rs);
    fiber_shield_begin(rs->reactor);
    while (!replicas_idle(rs)) /* writes of the log are under way */
        IGNORE(fiber_yield(rs->reactor));
    fiber_shield_end(rs->reactor);
}

bool replicas_idle(const struct replicas *rs) {
    return rs->killed && rs->fibers.count == 0 && rs->persists == 0 && rs->wal_closed;
}

static void free_group(struct replicas *rs, struct replica *r) {
    timerq_cancel(&rs->timers, &r->timer);
    map_del(&rs->groups, &r->node);
    r->gone = true;
    replica_unref(r);
}

void replicas_free(struct replicas *rs) {
    if (!rs)
        return;
    CHECK(replicas_idle(rs));
    reactor_flush_cancel(&rs->flush);
    map_for_each(n, &rs->groups)
        free_group(rs, container_of(n, struct replica, node));
    map_for_each(n, &rs->outboxes) {
        struct outbox *o = container_of(n, struct outbox, node);
        map_del(&rs->outboxes, n);
        replica_out_done(&o->out);
        free(o);
    }
    tombstones_free(rs);
    map_done(&rs->groups);
    map_done(&rs->outboxes);
    map_done(&rs->tombstones);
    for (struct persist *p; (p = rs->free_persists);) {
        rs->free_persists = p->next_free;
        free(p);
    }
    env_dir_unlock(rs->lock);
    support_free(rs->support);
    arena_done(&rs->in_arena);
    free(rs);
}

/* ---- looking in -------------------------------------------------------------------------------------------------- */

const struct replicas_stats *replicas_stats(const struct replicas *rs) {
    return &rs->stats;
}

px_store replicas_self(const struct replicas *rs) {
    return rs->self;
}

uint64_t replicas_incarnation(const struct replicas *rs) {
    return rs->incarnation;
}

struct wal *replicas_wal(struct replicas *rs) {
    return rs->wal;
}

struct px_now replicas_now(struct replicas *rs) {
    static const int64_t STALE_NS = 3000000000;
    struct px_now now = {env_now_ns(rs->env), tt_now(rs->conf.clock)};
    if (!env_mutant(rs->env, "C-1: a cached clock"))
        return now;
    if (!rs->cached.mono_ns || now.mono_ns - rs->cached.mono_ns > STALE_NS || !tt_is_known(rs->cached.tt))
        rs->cached = now;
    now.tt = rs->cached.tt;
    return now;
}

void replicas_each(struct replicas *rs, void (*fn)(void *ctx, struct replica *r), void *ctx) {
    map_for_each(n, &rs->groups)
        fn(ctx, container_of(n, struct replica, node));
}
