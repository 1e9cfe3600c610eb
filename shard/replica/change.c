/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.c: members come and go.
 *
 *     replica_change (leader):  add the new ones as learners -> CREATE to their stores -> they catch up (log or snapshot)
 *                               -> joint configuration -> the wanted one
 *     who is left out:          REMOVED from the core -> on_removed -> replica_remove: tombstone, then the log forgets
 *
 * Tombstones (P-22, P-23) say which replica ids of a group are over on this store, so that a late CREATE does not bring one
 * back without what it had promised. They lie in DIR/tombstones:
 *
 *     0   8  "MRDNGONE"
 *     8   4  count
 *     12  4  CRC32C of what follows
 *     16     count times: u64 group, u64 highest replica id that is over; little-endian
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/replica/replica_internal.h"
#include "truetime/base/crc32c.h"

enum { TOMB_HEAD_BYTES = 16, TOMB_BYTES = 16, TOMBSTONES_MAX = 65536, STATE_HEAD_BYTES = 8 + 24 + 8 };
static const char tomb_name[] = "tombstones", tomb_magic[] = "MRDNGONE";
static const int64_t POLL_NS = 20000000, CREATE_NS = 5000000000, SILENT_NS = 5000000000;

/* ---- states ------------------------------------------------------------------------------------------------------ */

size_t replica_state_encode(const struct replica_state *s, uint8_t to[REPLICA_STATE_BYTES_MAX]) {
    set_u64le(to, s->applied);
    set_u64le(to + 8, s->origin.round);
    set_u64le(to + 16, s->origin.store);
    set_u64le(to + 24, s->origin.incarnation);
    set_u64le(to + 32, (uint64_t)s->floor);
    size_t n = px_config_encode(&s->config, to + STATE_HEAD_BYTES, REPLICA_STATE_BYTES_MAX - STATE_HEAD_BYTES);
    CHECK(n > 0);
    return STATE_HEAD_BYTES + n;
}

enum rc replica_state_decode(const void *from, size_t bytes, struct replica_state *ret) {
    struct replica_state s = {0};
    struct rd r;
    rd_init(&r, from, bytes);
    s.applied = rd_u64le(&r);
    s.origin = (struct px_ballot){rd_u64le(&r), rd_u64le(&r), rd_u64le(&r)};
    s.floor = (int64_t)rd_u64le(&r);
    if (rd_rc(&r) || px_config_decode(r.at, rd_left(&r), &s.config))
        return RC_PROTOCOL;
    *ret = s;
    return RC_OK;
}

/* ---- tombstones -------------------------------------------------------------------------------------------------- */

static struct tombstone *tombstone_find(const struct replicas *rs, uint64_t group) {
    for (struct map_node *n = map_first(&rs->tombstones, hash_u64(group)); n; n = map_next(n))
        if (container_of(n, struct tombstone, node)->group == group)
            return container_of(n, struct tombstone, node);
    return NULL;
}

bool tombstone_covers(const struct replicas *rs, uint64_t group, uint64_t replica) {
    const struct tombstone *t = tombstone_find(rs, group);
    return t && replica <= t->replica_max;
}

bool replicas_removed(const struct replicas *rs, uint64_t group, uint64_t replica) {
    return tombstone_covers(rs, group, replica);
}

static enum rc tombstone_add(struct replicas *rs, uint64_t group, uint64_t replica, struct err *err) {
    struct tombstone *t = tombstone_find(rs, group);
    if (!t && rs->tombstones.count >= TOMBSTONES_MAX)
        return err_set(err, RC_LIMIT, "more than %d groups were removed from this store", TOMBSTONES_MAX);
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t)
            return err_set(err, RC_NOMEM, "out of memory");
        t->group = group;
        map_put(&rs->tombstones, &t->node, hash_u64(group));
    }
    if (replica > t->replica_max)
        t->replica_max = replica;
    return RC_OK;
}

void tombstones_free(struct replicas *rs) {
    map_for_each(n, &rs->tombstones) {
        map_del(&rs->tombstones, n);
        free(container_of(n, struct tombstone, node));
    }
}

static enum rc tombstones_parse(struct replicas *rs, const uint8_t *p, size_t bytes, struct err *err) {
    if (bytes < TOMB_HEAD_BYTES || memcmp(p, tomb_magic, 8) != 0)
        return err_set(err, RC_CORRUPT, "%s/%s is damaged", rs->conf.dir, tomb_name);
    size_t count = get_u32le(p + 8), body = bytes - TOMB_HEAD_BYTES;
    if (count > TOMBSTONES_MAX || body != count * TOMB_BYTES ||
        crc32c(0, p + TOMB_HEAD_BYTES, body) != get_u32le(p + 12))
        return err_set(err, RC_CORRUPT, "%s/%s is damaged", rs->conf.dir, tomb_name);
    enum rc rc = RC_OK;
    for (size_t i = 0; i < count && !rc; i++) {
        const uint8_t *t = p + TOMB_HEAD_BYTES + i * TOMB_BYTES;
        rc = tombstone_add(rs, get_u64le(t), get_u64le(t + 8), err);
    }
    return rc;
}

enum rc tombstones_load(struct replicas *rs, struct err *err) {
    char path[ENV_PATH_BYTES];
    struct env_file *f;
    int64_t size = 0;
    size_t got = 0;
    snprintf(path, sizeof path, "%s/%s", rs->conf.dir, tomb_name);
    enum rc rc = env_file_open(rs->env, path, ENV_OPEN_READONLY, &f, err);
    if (rc == RC_NOTFOUND) {
        err_clear(err);
        return RC_OK;
    }
    if (rc)
        return rc;
    rc = env_file_size(f, &size, err);
    uint8_t *p = NULL;
    if (!rc && (size < 0 || size > TOMB_HEAD_BYTES + TOMBSTONES_MAX * TOMB_BYTES))
        rc = err_set(err, RC_CORRUPT, "%s is damaged", path);
    if (!rc && !(p = malloc((size_t)size + 1)))
        rc = err_set(err, RC_NOMEM, "out of memory");
    if (!rc)
        rc = env_file_read(f, p, (size_t)size, 0, &got, err);
    if (!rc)
        rc = tombstones_parse(rs, p, got, err);
    free(p);
    env_file_close(f);
    return rc;
}

static enum rc tombstones_save(struct replicas *rs, struct err *err) {
    struct buf b;
    enum rc rc = RC_OK;
    while (rs->tombs_busy && !rc) /* one at a time writes the file */
        rc = waitq_wait(rs->reactor, &rs->tomb_waiters, DEADLINE_NONE);
    if (rc)
        return err_set(err, rc, "cancelled");
    rs->tombs_busy = true;
    buf_init(&b, 0);
    buf_put(&b, tomb_magic, 8);
    buf_put_u32le(&b, (uint32_t)rs->tombstones.count);
    buf_put_u32le(&b, 0);
    map_for_each(n, &rs->tombstones) {
        const struct tombstone *t = container_of(n, struct tombstone, node);
        buf_put_u64le(&b, t->group);
        buf_put_u64le(&b, t->replica_max);
    }
    rc = buf_rc(&b);
    if (!rc) {
        set_u32le(b.data + 12, crc32c(0, b.data + TOMB_HEAD_BYTES, b.len - TOMB_HEAD_BYTES));
        rc = file_replace(rs->reactor, rs->conf.dir, tomb_name, b.data, b.len, err);
    } else {
        err_set(err, rc, "out of memory");
    }
    buf_done(&b);
    rs->tombs_busy = false;
    waitq_wake_one(&rs->tomb_waiters, RC_OK);
    return rc;
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

static enum rc put_forget(struct replicas *rs, void *arg, struct wal_ticket *t) {
    const uint64_t *group = arg;
    return wal_put_forget(rs->wal, *group, t);
}

/* Takes it out of everything; waits until its state machine is not used any more. */
static enum rc take_out(struct replica *r, struct err *err) {
    struct replicas *rs = r->rs;
    struct px_now now = replicas_now(rs);
    px_resign(r->g, &now);
    if (r->leading) {
        r->leading = false;
        gauge_add(&rs->stats.leading, -1);
        if (r->ops->on_lead_end)
            r->ops->on_lead_end(r->sm, &r->lead_ballot);
    }
    r->gone = true;
    timerq_cancel(&rs->timers, &r->timer);
    map_del(&rs->groups, &r->node);
    gauge_add(&rs->stats.groups, -1);
    ilist_del(&r->dirty_link);
    ilist_del(&r->stuck_link);
    ilist_del(&r->apply_link);
    r->records = 0;
    if (!r->applying)
        proposals_end(r, UINT64_MAX, RC_CLOSED);
    waitq_wake_all(&r->waiters, RC_OK);
    enum rc rc = RC_OK;
    while (!rc && (r->applying || r->loading || r->installing))
        rc = waitq_wait(rs->reactor, &r->waiters, DEADLINE_NONE);
    proposals_end(r, UINT64_MAX, RC_CLOSED);
    return rc ? err_set(err, rc, "cancelled while the replica was taken out") : RC_OK;
}

enum rc replica_remove(struct replicas *rs, uint64_t group, struct err *err) {
    struct replica *r = replicas_find(rs, group);
    if (!r)
        return err_set(err, RC_NOTFOUND, "group %llu has no replica here", (unsigned long long)group);
    enum rc rc = tombstone_add(rs, group, r->id, err);
    if (!rc)
        rc = tombstones_save(rs, err);
    if (rc || r != replicas_find(rs, group))
        return rc;
    rc = take_out(r, err);
    replica_unref(r); /* the map's reference */
    return rc ? rc : replicas_append(rs, put_forget, &group, err);
}

enum rc replicas_bury(struct replicas *rs, uint64_t group, uint64_t replica, struct err *err) {
    CHECK(!replicas_find(rs, group));
    enum rc rc = tombstone_add(rs, group, replica, err);
    return rc ? rc : tombstones_save(rs, err);
}

/* ---- making learners --------------------------------------------------------------------------------------------- */

static enum rc on_create(void *ctx, struct rpc_request *q, ProtobufCMessage **ret_response, struct err *err) {
    struct replicas *rs = ctx;
    const Replica__Create *m = (const Replica__Create *)(const void *)q->message;
    struct px_config c;
    (void)ret_response;
    if (rs->phase != REPLICAS_RUNNING || rs->dead)
        return err_set(err, RC_SHUTDOWN, "not now");
    if (!m->group || m->group >> 56 || px_config_decode(m->config.data, m->config.len, &c))
        return err_set(err, RC_PROTOCOL, "no such group or configuration");
    const struct px_member *self = px_config_find(&c, rs->self);
    struct replica *r = replicas_find(rs, m->group);
    if (!self || self->replica != m->replica)
        return err_set(err, RC_INVAL, "the configuration has no such replica on this store");
    if (r && r->id == m->replica)
        return RC_OK;
    if (r) { /* it left, and has not been told yet that it may go: it asks, and we are asked again */
        r->ask_ns = reactor_now(rs->reactor);
        replica_after_event(r);
        return err_set(err, RC_OVERLOAD, "group %llu has another replica here still", (unsigned long long)m->group);
    }
    if (tombstone_covers(rs, m->group, m->replica))
        return err_set(err, RC_INVAL, "that replica was removed from here"); /* P-22 */
    if (!rs->conf.create)
        return err_set(err, RC_UNSUPPORTED, "this store makes no replicas");
    return rs->conf.create(rs->conf.ctx, m->group, m->replica, &c, err);
}

const struct rpc_service replicas_create_service = {.type = REPLICA_TYPE_CREATE,
                                                    .name = "replica.create",
                                                    .request = &replica__create__descriptor,
                                                    .response = &replica__created__descriptor,
                                                    .call = on_create,
                                                    .size = FIBER_LARGE,
                                                    .handlers_max = 64};

static enum rc create_at(struct replica *r, const struct px_member *m, int64_t deadline, struct err *err) {
    struct replicas *rs = r->rs;
    struct arena a;
    ProtobufCMessage *answer;
    arena_init(&a, 1 << 20);
    Replica__Create *q = arena_new(&a, Replica__Create);
    uint8_t *config = arena_alloc(&a, REPLICA_STATE_BYTES_MAX);
    enum rc rc = q && config ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    if (!rc) {
        replica__create__init(q);
        q->group = r->group;
        q->replica = m->replica;
        q->config = (ProtobufCBinaryData){px_config_encode(&r->state.config, config, REPLICA_STATE_BYTES_MAX), config};
        int64_t patience = reactor_deadline(rs->reactor, CREATE_NS);
        rc = rpc_call(rs->rpc, px_store_addr(m->store), REPLICA_TYPE_CREATE, &q->base, &a,
                      deadline < patience ? deadline : patience, &answer, err);
    }
    arena_done(&a);
    return rc;
}

bool replica_answers(const struct replica *r, px_store store) {
    return r->leading && support_alive(r->rs->support, store);
}

bool replica_caught_up(const struct replica *r, px_store store) {
    return r->leading && px_caught_up(r->g, store);
}

bool replica_lacks_member(const struct replica *r) {
    return r->leading && reactor_now(r->rs->reactor) - r->lead_since_ns > SILENT_NS && px_silent(r->g) != 0;
}

enum rc replica_make_missing(struct replica *r, int64_t deadline, struct err *err) {
    px_store store = r->leading ? px_silent(r->g) : 0;
    const struct px_member *m = store ? px_config_find(px_config_now(r->g), store) : NULL;
    if (!m || px_changing(r->g))
        return RC_OK;
    struct px_member who = *m; /* the configuration may change meanwhile: then the store refuses it */
    replica_ref(r);
    enum rc rc = create_at(r, &who, deadline, err);
    replica_unref(r);
    return rc;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* The members of `now`, and those of `want` that it lacks, as learners. */
static bool with_learners(const struct px_config *now, const struct px_config *want, struct px_config *ret) {
    *ret = *now;
    for (uint32_t i = 0; i < want->count; i++) {
        const struct px_member *m = &want->member[i];
        if (px_config_find(now, m->store))
            continue;
        if (ret->count == PX_MEMBERS_MAX)
            return false;
        uint32_t at = ret->count++;
        for (; at > 0 && ret->member[at - 1].store > m->store; at--)
            ret->member[at] = ret->member[at - 1];
        ret->member[at] = (struct px_member){m->store, m->replica, m->flags & PX_WITNESS};
    }
    return true;
}

static bool same_members(const struct px_config *a, const struct px_config *b) {
    if (a->joint || b->joint || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct px_member *x = &a->member[i], *y = px_config_find(b, x->store);
        if (!y || x->replica != y->replica || px_is_voter(x) != px_is_voter(y) ||
            (x->flags & PX_WITNESS) != (y->flags & PX_WITNESS))
            return false;
    }
    return true;
}

static enum rc pause_until(struct replica *r, int64_t deadline, const char *what, struct err *err) {
    struct replicas *rs = r->rs;
    if (reactor_now(rs->reactor) >= deadline)
        return err_set(err, RC_TIMEOUT, "group %llu: %s", (unsigned long long)r->group, what);
    enum rc rc = fiber_sleep(rs->reactor, POLL_NS);
    if (!rc && (r->gone || rs->killed || rs->phase != REPLICAS_RUNNING))
        rc = RC_SHUTDOWN;
    if (!rc && !r->leading)
        rc = RC_NOT_LEADER;
    return rc ? err_set(err, rc, "group %llu: %s", (unsigned long long)r->group, rc_text(rc)) : RC_OK;
}

/* Until what is proposed is decided and applied here. */
static enum rc settle(struct replica *r, int64_t deadline, struct err *err) {
    enum rc rc = RC_OK;
    while (!rc && (px_changing(r->g) || r->state.config.epoch < px_config_now(r->g)->epoch))
        rc = pause_until(r, deadline, "the change of members is not decided yet", err);
    return rc;
}

static enum rc reconfigure(struct replica *r, const struct px_config *c, struct err *err) {
    struct px_now now = replicas_now(r->rs);
    enum rc rc = px_reconfigure(r->g, &now, c, err);
    replica_after_event(r);
    return rc == RC_UNREACHABLE
               ? err_set(err, RC_NOT_LEADER, "this replica does not lead group %llu", (unsigned long long)r->group)
               : rc;
}

struct making {
    struct replica *r;
    struct px_member m;
    int64_t deadline;
    enum rc rc;
    struct err err;
};

static void making_main(void *arg) {
    struct making *x = arg;
    while ((x->rc = create_at(x->r, &x->m, x->deadline, &x->err)) && rc_retry(x->rc) != RETRY_NO) {
        enum rc over = pause_until(x->r, x->deadline, "a new member's store does not answer", &x->err);
        if (over) {
            x->rc = over;
            return;
        }
    }
}

/* All at once: each is a round trip, or several where there is no connection yet. */
static enum rc make_learners(struct replica *r, const struct px_config *before, const struct px_config *want,
                             int64_t deadline, struct err *err) {
    struct reactor *re = r->rs->reactor;
    struct making making[PX_MEMBERS_MAX];
    struct fiber_group fibers;
    uint32_t n = 0;
    enum rc rc = RC_OK;
    fiber_group_init(&fibers);
    for (uint32_t i = 0; i < want->count && !rc; i++) {
        const struct px_member *m = &want->member[i];
        /* Also those that an earlier try left behind as learners: it may have ended before it made them. */
        if (px_is_voter(px_config_find(before, m->store)))
            continue;
        making[n] = (struct making){.r = r, .m = *m, .deadline = deadline};
        rc = fiber_spawn(re, &fibers, FIBER_LARGE, "make learner", making_main, &making[n]);
        n += !rc;
    }
    if (rc)
        fiber_group_cancel(&fibers);
    if (fiber_group_join(re, &fibers, DEADLINE_NONE) != RC_OK) { /* cancelled: so are they */
        fiber_group_cancel(&fibers);
        fiber_shield_begin(re);
        IGNORE(fiber_group_join(re, &fibers, DEADLINE_NONE));
        fiber_shield_end(re);
        rc = rc ? rc : RC_CANCELLED;
    }
    if (rc)
        return err_set(err, rc, "group %llu: %s", (unsigned long long)r->group, rc_text(rc));
    for (uint32_t i = 0; i < n; i++)
        if (making[i].rc) {
            *err = making[i].err;
            return making[i].rc;
        }
    return RC_OK;
}

static enum rc wait_caught_up(struct replica *r, const struct px_config *want, int64_t deadline, struct err *err) {
    for (uint32_t i = 0; i < want->count; i++) {
        const struct px_member *m = &want->member[i];
        enum rc rc = RC_OK;
        while (!rc && px_is_voter(m) && m->store != r->rs->self &&
               !px_is_voter(px_config_find(px_config_now(r->g), m->store)) && !px_caught_up(r->g, m->store))
            rc = pause_until(r, deadline, "a new member does not catch up", err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static enum rc change(struct replica *r, const struct px_config *want, int64_t deadline, struct err *err) {
    struct px_config step;
    enum rc rc = settle(r, deadline, err);
    if (rc || same_members(px_config_now(r->g), want))
        return rc;
    struct px_config before = *px_config_now(r->g);
    if (!with_learners(&before, want, &step))
        return err_set(err, RC_INVAL, "more than %d members during the change", PX_MEMBERS_MAX);
    if (step.count > before.count)
        rc = reconfigure(r, &step, err);
    if (!rc)
        rc = settle(r, deadline, err);
    if (!rc)
        rc = make_learners(r, &before, want, deadline, err);
    if (!rc)
        rc = wait_caught_up(r, want, deadline, err);
    if (rc || same_members(px_config_now(r->g), want))
        return rc;
    /* A store may fall behind again between the look and the step: then the core says so, and we wait on. */
    while ((rc = reconfigure(r, want, err)) == RC_INVAL || rc == RC_OVERLOAD) {
        enum rc over = pause_until(r, deadline, err->message, err);
        if (over)
            return over;
    }
    return rc ? rc : settle(r, deadline, err);
}

void replica_ask(struct replica *r) {
    if (r->rs->phase != REPLICAS_RUNNING || r->gone)
        return;
    px_ask(r->g);
    replica_after_event(r);
}

bool replica_changing(const struct replica *r) {
    return r->changes > 0;
}

enum rc replica_change(struct replica *r, const struct px_config *want, int64_t deadline, struct err *err) {
    struct px_config c = *want;
    struct err local = {0};
    c.joint = false;
    for (uint32_t i = 0; i < c.count && i < PX_MEMBERS_MAX; i++)
        c.member[i].flags = (c.member[i].flags & PX_WITNESS) | (px_is_voter(&want->member[i]) ? PX_OLD : 0);
    enum rc rc = px_config_check(&c, err);
    if (rc)
        return rc;
    if (!r->leading)
        return err_set(err, RC_NOT_LEADER, "this replica does not lead group %llu", (unsigned long long)r->group);
    replica_ref(r);
    r->changes++;
    rc = change(r, &c, deadline, err ? err : &local);
    r->changes--;
    replica_unref(r);
    return rc;
}
