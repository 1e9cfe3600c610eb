/* SPDX-License-Identifier: Apache-2.0 */
/* propose.c: proposals, reads and leadership, as those above see them. */
#include <string.h>

#include "shard/replica/replica_internal.h"

static const int64_t POLL_NS = 2000000;

static enum rc not_leader(const struct replica *r, struct err *err) {
    px_store leader = px_leader(r->g);
    err_set(err, RC_NOT_LEADER, "this replica does not lead group %llu", (unsigned long long)r->group);
    if (leader)
        err_detail(err, "leader=%u.%u", px_store_addr(leader).node, px_store_addr(leader).store);
    return RC_NOT_LEADER;
}

/* The core's word for it. */
static enum rc refused(const struct replica *r, enum rc rc, struct err *err) {
    switch (rc) {
    case RC_UNREACHABLE:
        return not_leader(r, err);
    case RC_UNSYNCED:
        return err_set(err, rc, "the lease on group %llu does not reach so far", (unsigned long long)r->group);
    case RC_OVERLOAD:
        return err_set(err, rc, "group %llu: too much is being decided, retry", (unsigned long long)r->group);
    default:
        return err_set(err, rc, "group %llu: %s", (unsigned long long)r->group, rc_text(rc));
    }
}

/* ---- proposing --------------------------------------------------------------------------------------------------- */

static enum rc admit(struct replica *r, const struct px_value *v, struct err *err) {
    struct replicas *rs = r->rs;
    if (r->gone || rs->killed || rs->phase != REPLICAS_RUNNING)
        return err_set(err, RC_SHUTDOWN, "shutting down");
    if (!r->leading) /* also while on_lead_begin has not been called yet */
        return not_leader(r, err);
    if (v->bytes > REPLICA_COMMAND_BYTES_MAX)
        return err_set(err, RC_LIMIT, "a command of %zu bytes, at most %d are possible", v->bytes,
                       REPLICA_COMMAND_BYTES_MAX);
    if (rs->proposals >= rs->conf.proposals_max)
        return err_set(err, RC_OVERLOAD, "%zu proposals wait already, retry", rs->proposals);
    enum rc rc = rs->dead ? RC_IO : wal_health(rs->wal);
    if (rc == RC_IO || rc == RC_SHUTDOWN)
        return err_set(err, RC_SHUTDOWN, "the store's log is broken"); /* nothing was done; another replica may */
    return rc ? err_set(err, rc, "the store's log: %s", rc_text(rc)) : RC_OK;
}

enum rc replica_submit(struct replica *r, struct px_value *v, int64_t min_ts, struct replica_proposal *p,
                       struct err *err) {
    struct replicas *rs = r->rs;
    enum rc rc = admit(r, v, err);
    if (rc)
        return rc;
    struct px_now now = replicas_now(rs);
    rc = px_propose(r->g, &now, v, min_ts, &p->slot);
    if (rc)
        return refused(r, rc, err);
    p->ts = v->ts;
    p->origin = v->origin;
    p->replica = r;
    p->since_ns = now.mono_ns;
    p->applying = false;
    p->seq = 0;
    p->logged_ns = p->durable_ns = p->chosen_ns = p->apply_ns = 0;
    ilist_init(&p->link);
    const struct replica_proposal *last =
        ilist_empty(&r->proposals) ? NULL : ilist_entry(r->proposals.prev, struct replica_proposal, link);
    CHECK(!last || last->slot < p->slot); /* slots of a replica's proposals only grow, over all its ballots */
    ilist_push_back(&r->proposals, &p->link);
    rs->proposals++;
    gauge_set(&rs->stats.proposals, (int64_t)rs->proposals);
    counter_inc(&rs->stats.commands);
    replica_touch(r);
    return RC_OK;
}

bool replica_abandon(struct replica_proposal *p) {
    if (p->applying)
        return false;
    if (p->replica && ilist_linked(&p->link)) {
        struct replicas *rs = p->replica->rs;
        ilist_del(&p->link);
        rs->proposals--;
        gauge_set(&rs->stats.proposals, (int64_t)rs->proposals);
    }
    return true;
}

struct waiting {
    struct replica_proposal p;
    struct event done;
};

static void waiting_done(struct replica_proposal *p, enum rc rc) {
    event_set(&container_of(p, struct waiting, p)->done, rc);
}

/* Only these pass by themselves soon. */
static bool passes_soon(const struct replica *r, enum rc rc) {
    return rc == RC_UNSYNCED || (rc == RC_OVERLOAD && px_config_undecided(r->g));
}

enum rc replica_propose(struct replica *r, struct px_value *v, int64_t min_ts, int64_t deadline, void *own,
                        px_slot *ret_slot, int64_t *ret_ts, struct err *err) {
    struct reactor *re = r->rs->reactor;
    struct waiting w = {.p = {.on_done = waiting_done, .own = own}};
    enum rc rc;
    replica_ref(r);
    while ((rc = replica_submit(r, v, min_ts, &w.p, err)) && passes_soon(r, rc)) {
        if (reactor_now(re) + POLL_NS > deadline || fiber_sleep(re, POLL_NS))
            break; /* with the reason */
    }
    if (!rc) {
        event_init_unset(&w.done);
        rc = event_wait(re, &w.done, deadline);
        if (!w.done.set && !replica_abandon(&w.p)) { /* it is being applied at this moment, with what own points to */
            fiber_shield_begin(re);
            rc = event_wait(re, &w.done, DEADLINE_NONE);
            fiber_shield_end(re);
        }
        if (rc)
            err_set(err, rc, "group %llu, slot %llu: %s", (unsigned long long)r->group, (unsigned long long)w.p.slot,
                    rc_text(rc));
    }
    replica_unref(r);
    if (!rc && ret_slot)
        *ret_slot = w.p.slot;
    if (!rc && ret_ts)
        *ret_ts = w.p.ts;
    return rc;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bool replica_leads(struct replica *r) {
    struct px_now now = replicas_now(r->rs);
    return r->leading && px_leads(r->g, &now);
}

bool replica_sole_voter(const struct replica *r) {
    return px_sole_voter(r->g);
}

enum rc replica_serve(struct replica *r, int64_t ts, struct err *err) {
    if (!r->leading)
        return not_leader(r, err);
    struct px_now now = replicas_now(r->rs);
    enum rc rc = px_serve(r->g, &now, ts);
    return rc ? refused(r, rc, err) : RC_OK;
}

int64_t replica_lease_end(struct replica *r) {
    struct px_now now = replicas_now(r->rs);
    return r->leading ? px_lease_end(r->g, &now) : 0;
}

int64_t replica_floor(const struct replica *r) {
    return px_floor(r->g);
}

void replica_raise_floor(struct replica *r, int64_t ts) {
    px_raise_floor(r->g, ts);
}

void replica_pledge(struct replica *r, int64_t ts) {
    px_pledge(r->g, ts);
}

enum rc replica_wait_applied(struct replica *r, px_slot slot, int64_t deadline) {
    enum rc rc = RC_OK;
    replica_ref(r);
    while (!rc && r->state.applied < slot)
        rc = r->gone || r->rs->killed ? RC_SHUTDOWN
             : !r->leading            ? RC_NOT_LEADER
                                      : waitq_wait(r->rs->reactor, &r->waiters, deadline);
    replica_unref(r);
    return rc;
}

/* ---- leading ----------------------------------------------------------------------------------------------------- */

enum rc replica_campaign(struct replica *r, struct err *err) {
    struct px_now now = replicas_now(r->rs);
    if (r->rs->phase != REPLICAS_RUNNING)
        return err_set(err, RC_SHUTDOWN, "shutting down");
    enum rc rc = px_campaign(r->g, &now);
    replica_after_event(r);
    if (rc == RC_BUSY)
        return RC_OK; /* as soon as the lease that runs has ended */
    return rc ? refused(r, rc, err) : RC_OK;
}

enum rc replica_transfer(struct replica *r, px_store to, int64_t deadline, struct err *err) {
    struct replicas *rs = r->rs;
    struct px_now now = replicas_now(rs);
    if (!r->leading)
        return not_leader(r, err);
    if (to == rs->self)
        return RC_OK;
    enum rc rc = px_transfer(r->g, &now, to);
    replica_after_event(r);
    if (rc)
        return rc == RC_INVAL ? err_set(err, rc, "store %u.%u is no full voter of group %llu", px_store_addr(to).node,
                                        px_store_addr(to).store, (unsigned long long)r->group)
                              : refused(r, rc, err);
    counter_inc(&rs->stats.hand_overs);
    replica_ref(r);
    while (!rc && !r->gone && (px_leader(r->g) == rs->self || px_leader(r->g) == 0))
        rc = waitq_wait(rs->reactor, &r->waiters, deadline);
    px_store leader = r->gone ? 0 : px_leader(r->g);
    replica_unref(r);
    if (!rc && leader != to)
        return err_set(err, RC_UNREACHABLE, "store %u.%u leads the group now", px_store_addr(leader).node,
                       px_store_addr(leader).store);
    return rc ? err_set(err, rc, "the hand-over: %s", rc_text(rc)) : RC_OK;
}

void replica_resign(struct replica *r, const char *why) {
    struct px_now now = replicas_now(r->rs);
    enum px_role role = px_role_now(r->g);
    if (role == PX_FOLLOWER || role == PX_CANDIDATE)
        return;
    counter_inc(&r->rs->stats.resigned);
    diag_tablet(&r->rs->env->diag, DIAG_WARN, r->group, "replica: resigns", "reason=\"%s\"", why);
    px_resign(r->g, &now);
    replica_after_event(r);
}
