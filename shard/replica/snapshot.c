/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.c: a state machine's data, for a replica that the log cannot help any more.
 *
 *     sender                                             receiver
 *     image_open: a consistent copy, at slot s
 *     stream(group, state at s, image number)    ->      load_begin; are we behind s?
 *                                                <-      u64: so many bytes of this image are here already
 *     u64 offset, u32 CRC32C, data ...           ->      load_write, in order
 *     end                                        ->      waits until nothing is being applied;
 *                                                        load_end(commit); px_install; the log is cut at s
 *                                                <-      end
 *
 * A stream that breaks is tried again with the same image, and goes on where the receiver stands. All chunks that a store
 * sends share one rate, on the bulk connection, so consensus does not feel them. A witness gets the state without the data.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/net/stream.h"
#include "shard/replica/replica_internal.h"
#include "truetime/base/buf.h"
#include "truetime/base/crc32c.h"

enum { CHUNK_HEAD_BYTES = 12, HAVE_BYTES = 8, TRIES_MAX = 5 };
static const int64_t TRY_AGAIN_NS = 500000000, PATIENCE_NS = 10000000000, WANT_NS = 20000000000, MS = 1000000,
                     CREDIT_NS = 25000000;

struct sending {
    struct replica *r; /* referenced */
    px_store to;
    bool leader; /* the core asked for it, and is to hear what became of it */
    bool bare;   /* to a witness */
    struct replica_state state;
    void *image;
    uint64_t number;
};

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* When the next chunk may leave. What a sleep that lasted too long, or a slow read, has cost may be made up for shortly: else the
 * rate on a busy machine is a good part below what is allowed. */
static enum rc wait_turn(struct replicas *rs, size_t bytes) {
    int64_t now = reactor_now(rs->reactor), at = now - CREDIT_NS;
    if (rs->bulk_free_ns > at)
        at = rs->bulk_free_ns;
    rs->bulk_free_ns = at + (int64_t)((double)bytes * 1e9 / (double)rs->conf.snapshot_bytes_per_s);
    return at > now ? fiber_sleep(rs->reactor, at - now) : RC_OK;
}

static enum rc send_chunks(struct sending *s, struct rpc_stream *st, uint64_t off, uint8_t *chunk, struct err *err) {
    struct replica *r = s->r;
    struct replicas *rs = r->rs;
    while (!s->bare) {
        size_t n = 0;
        enum rc rc = r->ops->image_read(r->sm, s->image, off, chunk + CHUNK_HEAD_BYTES,
                                        REPLICA_CHUNK_BYTES - CHUNK_HEAD_BYTES, &n, err);
        if (rc || n == 0)
            return rc;
        if (r->gone || rs->killed)
            return RC_SHUTDOWN;
        set_u64le(chunk, off);
        set_u32le(chunk + 8, crc32c(crc32c(0, chunk, 8), chunk + CHUNK_HEAD_BYTES, n));
        rc = wait_turn(rs, n);
        if (!rc)
            rc = rpc_stream_write(st, chunk, CHUNK_HEAD_BYTES + n, reactor_deadline(rs->reactor, PATIENCE_NS), err);
        if (rc)
            return rc;
        counter_add(&rs->stats.snapshot_bytes, n);
        off += n;
    }
    return RC_OK;
}

static const struct px_member *member_at(const struct replica *r, px_store store) {
    return px_config_find(px_config_now(r->g), store);
}

static enum rc try_send(struct sending *s, uint8_t *chunk, struct err *err) {
    struct replica *r = s->r;
    struct replicas *rs = r->rs;
    uint8_t state[REPLICA_STATE_BYTES_MAX];
    Replica__Snapshot req = REPLICA__SNAPSHOT__INIT;
    const struct px_member *m = member_at(r, s->to);
    if (!m)
        return err_set(err, RC_NOTFOUND, "no member any more");
    req.group = r->group;
    req.from_replica = r->id;
    req.to_replica = m->replica;
    req.image = s->number;
    req.state = (ProtobufCBinaryData){replica_state_encode(&s->state, state), state};
    struct rpc_stream *st = NULL;
    const void *data;
    size_t bytes = 0;
    int64_t deadline = reactor_deadline(rs->reactor, PATIENCE_NS);
    enum rc rc = rpc_stream_open(rs->rpc, px_store_addr(s->to), REPLICA_TYPE_SNAPSHOT, &req.base, deadline, &st, err);
    if (!rc)
        rc = rpc_stream_read(st, &data, &bytes, deadline, err);
    if (!rc && bytes != HAVE_BYTES)
        rc = err_set(err, RC_PROTOCOL, "a snapshot's receiver answers with %zu bytes", bytes);
    if (!rc)
        rc = send_chunks(s, st, get_u64le(data), chunk, err);
    if (!rc)
        rc = rpc_stream_end(st, err);
    if (!rc)
        rc = rpc_stream_read(st, &data, &bytes, reactor_deadline(rs->reactor, PATIENCE_NS), err);
    rpc_stream_close(st);
    return rc;
}

static bool worth_another_try(const struct sending *s, enum rc rc) {
    return !s->r->gone && !s->r->rs->killed && rc != RC_EXISTS && rc != RC_NOTFOUND && rc != RC_SHUTDOWN &&
           rc != RC_CANCELLED && rc != RC_UNSUPPORTED && rc != RC_NOMEM;
}

static enum rc send_image(struct sending *s, struct err *err) {
    uint8_t *chunk = malloc(REPLICA_CHUNK_BYTES);
    enum rc rc = chunk ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    for (int i = 0; chunk && i < TRIES_MAX; i++) {
        rc = try_send(s, chunk, err);
        if (!rc || !worth_another_try(s, rc))
            break;
        env_probe(s->r->rs->env, "replica: a snapshot is sent again");
        if (fiber_sleep(s->r->rs->reactor, TRY_AGAIN_NS))
            break;
    }
    free(chunk);
    return rc == RC_EXISTS ? RC_OK : rc; /* it has come further by itself */
}

static void sender(void *arg) {
    struct sending *s = arg;
    struct replica *r = s->r;
    struct replicas *rs = r->rs;
    struct err err = {0};
    const struct px_member *m = member_at(r, s->to);
    s->bare = m && (m->flags & PX_WITNESS);
    s->number = rng_u64(&rs->rng) | 1;
    enum rc rc = r->ops->image_open ? r->ops->image_open(r->sm, &s->state, &s->image, &err) : RC_UNSUPPORTED;
    if (!rc) {
        rc = send_image(s, &err);
        r->ops->image_close(r->sm, s->image);
    }
    rs->sending--;
    r->sending = false;
    gauge_add(&rs->stats.snapshots, -1);
    if (!rs->killed)
        map_for_each(n, &rs->groups) { /* there is room for another one */
            struct replica *other = container_of(n, struct replica, node);
            if (px_leader(other->g) == rs->self)
                replica_touch(other);
        }
    if (!rc)
        counter_inc(&rs->stats.snapshots_sent);
    else if (!rs->killed)
        diag_warn(&rs->env->diag, "replica: a snapshot was not sent", "group=%llu to=%u.%u reason=\"%s\"",
                  (unsigned long long)r->group, px_store_addr(s->to).node, px_store_addr(s->to).store, err.message);
    if (s->leader && !r->gone && !rs->killed) {
        struct px_now now = replicas_now(rs);
        px_snapshot_sent(r->g, &now, s->to, rc == RC_OK);
        replica_after_event(r);
    }
    replica_unref(r);
    free(s);
}

void snapshot_send_later(struct replica *r, px_store to, bool leader) {
    struct replicas *rs = r->rs;
    struct sending *s = NULL;
    if (r->sending && !leader)
        return; /* who asked asks again */
    if (rs->sending < rs->conf.snapshots_max && !r->sending && (s = calloc(1, sizeof *s))) {
        s->r = r;
        s->to = to;
        s->leader = leader;
        replica_ref(r);
        if (fiber_spawn(rs->reactor, &rs->fibers, FIBER_LARGE, "snapshot", sender, s) == RC_OK) {
            rs->sending++;
            r->sending = true;
            gauge_add(&rs->stats.snapshots, 1);
            return;
        }
        replica_unref(r);
        free(s);
    }
    if (leader) { /* not now: the core names it again */
        struct px_now now = replicas_now(rs);
        px_snapshot_sent(r->g, &now, to, false);
    }
}

/* A voter that holds what we lack; where it is a witness, any other one. */
static void want_from(struct replica *r, px_store from) {
    struct replicas *rs = r->rs;
    const struct px_config *c = px_config_now(r->g);
    const struct px_member *m = px_config_find(c, from);
    bool ask_all = !m || (m->flags & PX_WITNESS);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct px_member *v = &c->member[i];
        if (v->store == rs->self || (v->flags & PX_WITNESS) || !(ask_all ? px_is_voter(v) : v->store == from))
            continue;
        struct outbox *o = outbox_for(rs, v->store);
        if (o)
            IGNORE(replica_out_want(&o->out, r->group)); /* asked again after WANT_NS */
    }
    r->want_ns = reactor_now(rs->reactor) + WANT_NS;
}

void snapshots_wanted(struct replica *r) {
    px_store peer;
    while (r->rs->sending < r->rs->conf.snapshots_max && !r->sending && px_want_snapshot(r->g, &peer))
        snapshot_send_later(r, peer, true);
    bool need = px_need_snapshot(r->g, &peer);
    if (need && r->want_ns == INT64_MAX && !r->loading)
        want_from(r, peer);
    else if (!need)
        r->want_ns = INT64_MAX;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

static enum rc still_there(const struct replica *r, struct err *err) {
    return r->gone || r->rs->killed ? err_set(err, RC_SHUTDOWN, "the replica is gone") : RC_OK;
}

static enum rc receive_chunks(struct replica *r, struct rpc_stream *s, uint64_t have, struct err *err) {
    struct replicas *rs = r->rs;
    for (;;) {
        const void *data;
        size_t bytes;
        enum rc rc = rpc_stream_read(s, &data, &bytes, reactor_deadline(rs->reactor, PATIENCE_NS), err);
        if (!rc)
            rc = still_there(r, err);
        if (rc || bytes == 0)
            return rc;
        const uint8_t *p = data;
        if (bytes <= CHUNK_HEAD_BYTES || get_u64le(p) != have)
            return err_set(err, RC_PROTOCOL, "a snapshot's chunk is not the one that follows");
        size_t n = bytes - CHUNK_HEAD_BYTES;
        if (crc32c(crc32c(0, p, 8), p + CHUNK_HEAD_BYTES, n) != get_u32le(p + 8))
            return err_set(err, RC_CORRUPT, "a snapshot's chunk at %llu is damaged", (unsigned long long)have);
        rc = r->ops->load_write(r->sm, have, p + CHUNK_HEAD_BYTES, n, err);
        if (!rc)
            rc = still_there(r, err);
        if (rc)
            return rc;
        have += n;
    }
}

/* Nothing is applied meanwhile. */
static enum rc install(struct replica *r, const struct replica_state *state, struct err *err) {
    struct replicas *rs = r->rs;
    enum rc rc = RC_OK;
    r->installing = true;
    while (!rc && r->applying) {
        rc = waitq_wait(rs->reactor, &r->waiters, reactor_deadline(rs->reactor, PATIENCE_NS));
        if (!rc)
            rc = still_there(r, err);
    }
    if (!rc && state->applied <= r->state.applied)
        rc = err_set(err, RC_EXISTS, "this replica has come further"); /* P-10 */
    /* Before the state machine lets its users go: who waits for a proposal uses it, and would be waited for in turn. What
     * became of each only the log knows that is not here any more. */
    if (!rc)
        proposals_end(r, UINT64_MAX, RC_CLOSED);
    enum rc end = r->ops->load_end(r->sm, rc == RC_OK, err);
    if (!rc)
        rc = end;
    if (!rc)
        rc = still_there(r, err);
    if (!rc) {
        uint64_t epoch = r->state.config.epoch;
        struct px_now now = replicas_now(rs);
        r->state = *state;
        px_install(r->g, &now, state->applied, &state->origin, &state->config, state->floor);
        if (state->applied > r->told)
            r->told = state->applied;
        r->failed = false;
        if (state->applied > r->checkpointed)
            r->checkpointed = state->applied; /* the log follows at the end of the turn */
        if (state->config.epoch != epoch && r->ops->on_config)
            r->ops->on_config(r->sm, &r->state.config);
        counter_inc(&rs->stats.snapshots_loaded);
        env_probe(rs->env, "replica: installed a snapshot");
    }
    r->installing = false;
    return rc;
}

static enum rc receive(struct replica *r, const Replica__Snapshot *q, struct rpc_stream *s, struct err *err) {
    struct replica_state state;
    uint64_t have = 0;
    uint8_t head[HAVE_BYTES];
    if (replica_state_decode(q->state.data, q->state.len, &state) || !state.applied)
        return err_set(err, RC_PROTOCOL, "a snapshot without a state");
    if (state.applied <= r->state.applied)
        return err_set(err, RC_EXISTS, "this replica has come further");
    if (!r->ops->load_begin)
        return err_set(err, RC_UNSUPPORTED, "this state machine takes no snapshots");
    enum rc rc = r->ops->load_begin(r->sm, q->image, &state, &have, err);
    if (rc)
        return rc;
    rc = still_there(r, err);
    set_u64le(head, have);
    if (!rc)
        rc = rpc_stream_write(s, head, sizeof head, reactor_deadline(r->rs->reactor, PATIENCE_NS), err);
    if (!rc)
        rc = receive_chunks(r, s, have, err);
    if (!rc)
        return install(r, &state, err);
    if (!r->gone)
        IGNORE(r->ops->load_end(r->sm, false, NULL)); /* why it ends is known already */
    return rc;
}

static enum rc on_snapshot(void *ctx, struct rpc_request *q, struct rpc_stream *s, struct err *err) {
    struct replicas *rs = ctx;
    const Replica__Snapshot *m = (const Replica__Snapshot *)(const void *)q->message;
    struct replica *r = replicas_find(rs, m->group);
    if (!rs->started || rs->phase >= REPLICAS_STOPPING || rs->dead)
        return err_set(err, RC_SHUTDOWN, "not now");
    if (!r || r->id != m->to_replica)
        return err_set(err, RC_NOTFOUND, "group %llu has no such replica here", (unsigned long long)m->group);
    if (r->loading || r->installing || rs->loading >= rs->conf.snapshots_max)
        return err_set(err, RC_OVERLOAD, "another snapshot is coming in, retry");
    replica_ref(r);
    r->loading = true;
    rs->loading++;
    enum rc rc = receive(r, m, s, err);
    rs->loading--;
    r->loading = false;
    replica_wake(r);
    if (!r->gone && !rs->killed) {
        if (rc && rc != RC_EXISTS)
            diag_warn(&rs->env->diag, "replica: a snapshot was not taken", "group=%llu reason=\"%s\"",
                      (unsigned long long)r->group, err->message);
        r->want_ns = r->want_ns == INT64_MAX ? INT64_MAX : reactor_now(rs->reactor) + MS;
        replica_after_event(r);
    }
    replica_unref(r);
    return rc;
}

const struct rpc_service replicas_snapshot_service = {.type = REPLICA_TYPE_SNAPSHOT,
                                                      .name = "replica.snapshot",
                                                      .request = &replica__snapshot__descriptor,
                                                      .stream = on_snapshot,
                                                      .size = FIBER_LARGE,
                                                      .handlers_max = 64};
