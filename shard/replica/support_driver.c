/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_driver.c: asks for support on time, and stops asking when this store is not fit to lead (P-13).
 *
 * Watched at each tick, twice a second: a log whose disk does not answer, a turn that came late, a clock that is lost (the
 * core asks for nothing then), and groups whose state machine does not get on, which are given up one by one (N-14).
 */
#include "shard/replica/replica_internal.h"

enum { STILL_LOOKS = 6 };

static void on_send(void *ctx, const struct support_msg *m) {
    struct replicas *rs = ctx;
    struct outbox *o = outbox_for(rs, m->to);
    if (o)
        IGNORE(replica_out_support(&o->out, m)); /* lost: it is asked again */
}

static bool concerns(const struct replica *r, px_store peer) {
    return px_leader(r->g) == peer || px_config_find(px_config_now(r->g), peer) != NULL || px_changing(r->g);
}

static void on_changed(void *ctx, px_store peer, bool lost) {
    struct replicas *rs = ctx;
    (void)lost;
    map_for_each(n, &rs->groups) {
        struct replica *r = container_of(n, struct replica, node);
        if (!concerns(r, peer))
            continue;
        struct px_now now = replicas_now(rs);
        px_support_changed(r->g, &now, peer);
        replica_after_event(r);
    }
}

struct support_out support_driver_out(struct replicas *rs) {
    return (struct support_out){on_send, on_changed, rs};
}

/* A store that is alone: what is proposed does not get applied, look after look, though neither the log's disk nor a timestamp is
 * waited for. Nobody could take over: whoever waits is to hear of it. Looks are counted instead of time: a process that was stopped
 * has not failed. */
static bool stands_still(struct replica *r) {
    struct replicas *rs = r->rs;
    struct px_status st;
    px_status(r->g, &st);
    bool behind = st.last > r->state.applied && r->gate_ns == INT64_MAX && wal_stalled_ns(rs->wal) == 0;
    r->still = behind && r->seen_applied == r->state.applied ? r->still + 1 : 0;
    r->seen_applied = r->state.applied;
    return r->still > STILL_LOOKS;
}

/* N-14: led from here, and what is chosen does not get applied. */
static void resign_stuck_groups(struct replicas *rs, int64_t now) {
    map_for_each(n, &rs->groups) {
        struct replica *r = container_of(n, struct replica, node);
        if (rs->conf.alone && rs->wal && !rs->dead && stands_still(r)) {
            replicas_die(rs, RC_IO, "what is committed cannot be applied: no memory, or the disk is full or fails");
            return;
        }
        if (r->leading && r->apply_since_ns && now - r->apply_since_ns > rs->conf.lease_ns) {
            env_probe(rs->env, "replica: resigned a group whose state machine hangs");
            replica_resign(r, "its state machine does not get on");
        }
    }
}

static void watch(struct replicas *rs, int64_t now) {
    /* Whoever runs this store is to know at once, not when the next record is refused. */
    if (rs->wal && wal_health(rs->wal) == RC_IO)
        replicas_die(rs, RC_IO, "the log's disk failed");
    int64_t late = now - rs->support_due_ns;
    int64_t stalled = rs->wal ? wal_stalled_ns(rs->wal) : 0;
    const char *why = rs->dead                      ? "the log is broken"
                      : stalled > rs->conf.stall_ns ? "the log's disk does not answer"
                      : late > rs->conf.stall_ns    ? "this store's loop is late"
                      : rs->conf.unfit              ? rs->conf.unfit(rs->conf.ctx)
                                                    : NULL;
    if (why && env_mutant(rs->env, "P-13: ask for support with a hung disk"))
        why = NULL;
    if (why && !rs->paused) {
        counter_inc(&rs->stats.support_paused);
        env_probe(rs->env, "replica: stopped asking for support");
        diag_warn(&rs->env->diag, "replica: stops asking for support", "reason=\"%s\" stalled_ms=%lld late_ms=%lld",
                  why, (long long)(stalled / 1000000), (long long)(late / 1000000));
    }
    if (!why && rs->paused)
        diag_info(&rs->env->diag, "replica: asks for support again", "stalled_ms=%lld", (long long)(stalled / 1000000));
    rs->paused = why != NULL;
    support_pause(rs->support, rs->paused);
    resign_stuck_groups(rs, now);
}

static void tick(struct replicas *rs) {
    struct support_out out = support_driver_out(rs);
    struct px_now now = replicas_now(rs);
    rs->support_due_ns = support_tick(rs->support, &now, &out);
    if (rs->paused && rs->support_due_ns <= now.mono_ns)
        rs->support_due_ns = now.mono_ns + rs->conf.stall_ns / 4;
    env_timer_set(rs->env, &rs->support_timer, rs->support_due_ns);
}

void support_driver_fired(void *ctx) {
    struct replicas *rs = ctx;
    if (rs->killed || rs->phase == REPLICAS_STOPPED)
        return;
    watch(rs, reactor_now(rs->reactor));
    tick(rs);
}

/* Asked again at once: until an epoch is granted, whoever follows us under it is free to vote for others, and each such vote
 * ends that epoch. With many groups, stores that ask only at the next tick keep ending each other's epochs for ever. The ASK
 * leaves in the same frame as what asks to be followed, and is looked at before it. */
void support_driver_refused(struct replicas *rs) {
    if (!rs->killed && rs->phase != REPLICAS_STOPPED && !env_mutant(rs->env, "N-1: ask again only at the next tick"))
        tick(rs);
}

void support_driver_start(struct replicas *rs) {
    rs->support_due_ns = reactor_now(rs->reactor);
    tick(rs);
}
