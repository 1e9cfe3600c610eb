/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet_split.c: a tablet becomes two.
 *
 *     the leader     asks every member to build the right half's file (SplitAsk), again and again
 *     each member    copies the range beside its work and follows the changes (rangecopy.h)
 *     the leader     once it and a quorum are ready: logs COMMAND_SPLIT
 *     each member    applying it: copies what changed last, makes the file durable under its name; then in one slot lets go
 *                    of the right half, and has a replica of the right group that follows whom it followed (N-6)
 *
 * What is asked for is not replicated: a replica that has forgotten it, or never heard of it, builds the half when it applies
 * the split, alone and slowly. A file that is still called ...half is nobody's: the next start deletes it. One that has its
 * name is whole; the replay of the split finds it there and only lets go.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/key.h"
#include "shard/store/rangecopy.h"
#include "shard/tablet/tablet.pb-c.h"
#include "shard/tablet/tablet_internal.h"

static const int64_t FOLLOW_NS = 100000000, RETRY_NS = 500000000, FORGET_NS = 30000000000, ASK_NS = 2000000000,
                     ASK_AGAIN_NS = 20000000, PAUSE_NS = 1500000, DECIDE_NS = 60000000000;
enum { NEAR_KEYS = 2000, BUILD_TRIES = 4, ARENA_BYTES_MAX = 1 << 20 };

/* ---- the half that is being built ----------------------------------------------------------------------------------- */

struct half {
    struct tablet *t;
    struct buf key, end, config; /* config: the parent's, until the split says the right one */
    uint64_t right, replica, generation;
    char path[VFS_PATH_BYTES_MAX];
    struct rangecopy *copy; /* NULL: to be begun */
    struct fiber *fiber;    /* its builder, while it runs */
    bool taken, ready;
    int64_t asked_at;
    struct waitq wake, ended;
};

static struct half *half_new(struct tablet *t, struct mvcc_bytes key, uint64_t right, uint64_t replica) {
    const struct mvcc_state *s = mvcc_state(t->m);
    struct half *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    *h = (struct half){.t = t, .right = right, .replica = replica, .generation = s->generation + 1};
    buf_init(&h->key, 0);
    buf_init(&h->end, 0);
    buf_init(&h->config, 0);
    buf_put(&h->key, key.p, key.n);
    buf_put(&h->end, s->end.p, s->end.n);
    buf_put(&h->config, s->config.p, s->config.n);
    waitq_init(&h->wake);
    waitq_init(&h->ended);
    int n = snprintf(h->path, sizeof h->path, "%s/T%llx.%llx.db" TABLET_HALF_SUFFIX, t->ts->dir,
                     (unsigned long long)right, (unsigned long long)replica);
    CHECK(n > 0 && (size_t)n < sizeof h->path); /* tablets_open left room for it */
    if (!buf_rc(&h->key) && !buf_rc(&h->end) && !buf_rc(&h->config))
        return h;
    buf_done(&h->key);
    buf_done(&h->end);
    buf_done(&h->config);
    free(h);
    return NULL;
}

static void half_free(struct half *h) {
    if (!h)
        return;
    CHECK(!h->fiber);
    rangecopy_end(h->copy);
    buf_done(&h->key);
    buf_done(&h->end);
    buf_done(&h->config);
    free(h);
}

static void half_remove_file(struct half *h) {
    struct err err = {0};
    rangecopy_end(h->copy);
    h->copy = NULL;
    if (mvcc_remove(h->t->ts->conf.store, h->path, &err) != RC_OK)
        diag_tablet(&h->t->ts->env->diag, DIAG_WARN, h->t->id, "tablet: the file of a half stays",
                    "path=%s reason=\"%s\"", h->path, err_message(&err));
}

static bool half_is(const struct half *h, struct mvcc_bytes key, uint64_t right, uint64_t replica) {
    return h->right == right && h->replica == replica && h->key.len == key.n &&
           memcmp(h->key.data, key.p, key.n) == 0 && h->generation == mvcc_state(h->t->m)->generation + 1;
}

static enum rc build(struct half *h, int64_t pause_ns, struct err *err) {
    struct tablet *t = h->t;
    struct mvcc_state s = {.tablet = h->right,
                           .generation = h->generation,
                           .start = {h->key.data, h->key.len},
                           .end = {h->end.data, h->end.len},
                           .config = {h->config.data, h->config.len}};
    enum rc rc = mvcc_remove(t->ts->conf.store, h->path, err);
    return rc ? rc : rangecopy_begin(t->m, h->path, &s, pause_ns, &h->copy, err);
}

/* One step nearer. */
static enum rc advance(struct half *h, struct err *err) {
    enum rc rc = h->copy ? RC_OK : build(h, PAUSE_NS, err);
    if (!rc && (!h->ready || rangecopy_behind(h->copy) > 0))
        rc = rangecopy_finish(h->copy, err);
    return rc == RC_BUSY && h->copy ? RC_OK : rc; /* slots were applied meanwhile: there is always a rest */
}

static void half_main(void *arg) {
    struct half *h = arg;
    struct tablet *t = h->t;
    struct reactor *r = t->ts->reactor;
    bool forgotten = false;
    h->fiber = fiber_self(r);
    while (!h->taken && !forgotten && !fiber_cancelled(r)) {
        struct err err = {0};
        enum rc rc = advance(h, &err);
        if (rc && rc != RC_CANCELLED)
            diag_tablet(&t->ts->env->diag, DIAG_INFO, t->id, "tablet: the right half is not built yet", "reason=\"%s\"",
                        err_message(&err));
        if (rc) { /* it cannot follow any more: from the beginning */
            rangecopy_end(h->copy);
            h->copy = NULL;
        }
        h->ready = !rc && rangecopy_behind(h->copy) <= NEAR_KEYS;
        forgotten = reactor_now(r) - h->asked_at > FORGET_NS;
        if (!h->taken && !forgotten)
            IGNORE(waitq_wait(r, &h->wake, reactor_deadline(r, rc ? RETRY_NS : FOLLOW_NS))); /* the loop looks why */
    }
    if (forgotten && !h->taken)
        half_remove_file(h);
    h->fiber = NULL;
    waitq_wake_all(&h->ended, RC_OK);
    if (forgotten && !h->taken) {
        t->half = NULL;
        half_free(h);
    }
}

/* It belongs to the caller, and nobody works on it any more. */
static struct half *half_take(struct tablet *t, bool cancel) {
    struct half *h = t->half;
    struct reactor *r = t->ts->reactor;
    if (!h)
        return NULL;
    t->half = NULL;
    h->taken = true;
    waitq_wake_all(&h->wake, RC_OK);
    if (cancel && h->fiber)
        fiber_cancel(h->fiber);
    fiber_shield_begin(r);
    while (h->fiber)
        IGNORE(waitq_wait(r, &h->ended, DEADLINE_NONE)); /* shielded: it can only be woken */
    fiber_shield_end(r);
    return h;
}

void tablet_half_drop(struct tablet *t) {
    struct half *h = half_take(t, true);
    if (!h)
        return;
    half_remove_file(h);
    half_free(h);
}

void tablet_half_free(struct tablet *t) {
    half_free(t->half);
    t->half = NULL;
}

static enum rc half_begin(struct tablet *t, struct mvcc_bytes key, uint64_t right, uint64_t replica, struct err *err) {
    struct half *h = half_new(t, key, right, replica);
    if (!h)
        return err_set(err, RC_NOMEM, "out of memory for half a tablet");
    h->asked_at = reactor_now(t->ts->reactor);
    enum rc rc = fiber_spawn(t->ts->reactor, &t->ts->fibers, FIBER_LARGE, "tablet half", half_main, h);
    if (rc) {
        half_free(h);
        return err_set(err, rc, "no fiber to build half a tablet");
    }
    t->half = h;
    return RC_OK;
}

static enum rc serve_split(void *ctx, struct rpc_request *q, ProtobufCMessage **ret, struct err *err) {
    struct tablets *ts = ctx;
    const Tablet__SplitAsk *ask = (const Tablet__SplitAsk *)q->message;
    Tablet__SplitAnswer *out = arena_new(q->arena, Tablet__SplitAnswer);
    struct mvcc_bytes key = {ask->key.data, ask->key.len};
    struct tablet *t = tablets_find(ts, ask->tablet);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    if (!q->member)
        return err_set(err, RC_PERMISSION, "only members of the cluster may ask that");
    if (ts->stopping || !ts->started)
        return err_set(err, RC_SHUTDOWN, "not now");
    if (!t)
        return err_set(err, RC_MOVED, "tablet %llu is not on this store", (unsigned long long)ask->tablet);
    if (ask->generation == 0 || ask->right == 0 || ask->replica == 0 || key.n == 0 || key.n > MVCC_KEY_BYTES_MAX)
        return err_set(err, RC_PROTOCOL, "a split that makes no sense");
    if (tablets_find_any(ts, ask->right))
        return err_set(err, RC_EXISTS, "tablet %llu is here already", (unsigned long long)ask->right);
    enum rc rc = tablet_check(t, ask->generation, err);
    if (!rc && t->half && !t->half->taken && !half_is(t->half, key, ask->right, ask->replica)) {
        tablet_half_drop(t);
        t = tablets_find(ts, ask->tablet);
        rc = t ? tablet_check(t, ask->generation, err) : err_set(err, RC_MOVED, "the tablet has left");
    }
    if (!rc && !t->half)
        rc = half_begin(t, key, ask->right, ask->replica, err);
    if (rc)
        return rc;
    tablet__split_answer__init(out);
    t->half->asked_at = reactor_now(ts->reactor);
    out->ready = t->half->ready;
    out->behind = t->half->copy ? rangecopy_behind(t->half->copy) : 0;
    *ret = &out->base;
    return RC_OK;
}

const struct rpc_service tablets_split_service = {.type = TABLET_TYPE_SPLIT,
                                                  .name = "tablet.split",
                                                  .request = &tablet__split_ask__descriptor,
                                                  .response = &tablet__split_answer__descriptor,
                                                  .call = serve_split,
                                                  .size = FIBER_LARGE,
                                                  .handlers_max = 64};

/* ---- applying ---------------------------------------------------------------------------------------------------------- */

struct split {
    struct mvcc_bytes key;
    uint64_t generation, right;
    int64_t s_max;
    struct px_config config;
};

static enum rc parse(const struct command *c, struct split *ret, struct err *err) {
    struct mvcc_bytes config = {NULL, 0};
    struct rd r;
    rd_init(&r, c->body.p, c->body.n);
    enum rc rc = command_bytes(&r, MVCC_KEY_BYTES_MAX, &ret->key, err);
    if (rc)
        return rc;
    ret->generation = rd_u64le(&r);
    ret->right = rd_u64le(&r);
    ret->s_max = (int64_t)rd_u64le(&r);
    rc = command_bytes(&r, REPLICA_STATE_BYTES_MAX, &config, err);
    if (!rc && (r.bad || ret->right == 0 || ret->right >> 56 || px_config_decode(config.p, config.n, &ret->config)))
        rc = err_set(err, RC_CORRUPT, "a split in the log is damaged");
    return rc;
}

static bool same_members(const struct px_config *a, const struct px_config *b) {
    if (a->epoch != b->epoch || a->joint || b->joint || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->member[i].store != b->member[i].store || a->member[i].flags != b->member[i].flags)
            return false;
    return true;
}

static bool inside(const struct mvcc_state *s, struct mvcc_bytes key) {
    struct key k = key_of(key.p, key.n);
    return key_compare(k, key_of(s->start.p, s->start.n)) > 0 &&
           (s->end.n == 0 || key_compare(k, key_of(s->end.p, s->end.n)) < 0);
}

/* By what the log says alone: equal on all replicas. */
static bool fits(struct tablet *t, const struct split *s) {
    struct replica_state st;
    const struct mvcc_state *now = mvcc_state(t->m);
    return s->generation == now->generation + 1 && inside(now, s->key) && tablet_state_read(t->m, &st, NULL) == RC_OK &&
           same_members(&st.config, &s->config);
}

/* What the right half begins with: its range and rows are copied; the rest is its slot 1, the making. */
static enum rc first_slot(struct tablet *t, const struct split *s, struct tablet *right, struct rangecopy *c,
                          struct err *err) {
    const struct tablet_ops *ops = t->ts->conf.ops;
    struct mvcc *m = rangecopy_file(c);
    uint8_t bytes[REPLICA_STATE_BYTES_MAX];
    struct mvcc_bytes config = {bytes, px_config_encode(&s->config, bytes, sizeof bytes)};
    int64_t floor = mvcc_state(t->m)->floor > s->s_max ? mvcc_state(t->m)->floor : s->s_max; /* M-2 */
    CHECK(config.n > 0);
    enum rc rc = mvcc_slot_begin(m, 1, (struct mvcc_bytes){NULL, 0}, floor, err);
    if (!rc)
        rc = mvcc_set_config(m, config, err);
    if (!rc && ops && ops->split_right) {
        right->m = m;
        rc = ops->split_right(t->upper, s->key, s->generation, right, &right->upper, err);
        right->m = NULL;
    }
    return rc ? rc : mvcc_slot_end(m, err);
}

static enum rc settle(struct half *h, struct err *err) {
    enum rc rc = RC_OK;
    for (int i = 0; i < BUILD_TRIES; i++) {
        rc = h->copy ? RC_OK : build(h, 0, err);
        if (!rc)
            rc = rangecopy_settle(h->copy, err);
        if (!rc || !h->copy || rc == RC_CANCELLED)
            return rc;
        rangecopy_end(h->copy); /* it was stale already */
        h->copy = NULL;
    }
    return rc;
}

/* The right half's file, whole and durable under its name, and open. Nothing is applied to t meanwhile: its applier is here. */
static enum rc make_right(struct tablet *t, const struct split *s, uint64_t replica, struct tablet **ret,
                          struct half **ret_half, struct err *err) {
    struct tablets *ts = t->ts;
    struct half *h = half_take(t, false);
    if (h && !half_is(h, s->key, s->right, replica)) {
        half_remove_file(h);
        half_free(h);
        h = NULL;
    }
    if (!h)
        h = half_new(t, s->key, s->right, replica);
    struct tablet *right = h ? tablet_new(ts, s->right, replica, err) : NULL;
    if (!right) {
        half_free(h);
        return err_set(err, RC_NOMEM, "out of memory for half a tablet");
    }
    enum rc rc = tablet_open_file(right, err); /* an earlier try got so far */
    bool there = rc == RC_OK;
    if (rc == RC_NOTFOUND) {
        rc = settle(h, err);
        if (!rc)
            rc = first_slot(t, s, right, h->copy, err);
        if (!rc)
            rc = rangecopy_seal(h->copy, err);
        if (!rc)
            rc = vfs_adopt(ts->reactor, ts->conf.vfs, h->path, right->path, err);
        if (!rc)
            rc = tablet_open_file(right, err);
    }
    if (rc || there) {
        half_remove_file(h);
        half_free(h);
        h = NULL;
    }
    if (rc) {
        tablet_free(right);
        return rc;
    }
    *ret = right;
    *ret_half = h;
    return RC_OK;
}

static enum rc join_right(struct tablet *t, const struct replica_entry *e, struct tablet *right, struct err *err) {
    struct px_status px;
    replica_status(t->rep, &px);
    const struct px_ballot *split = &e->value->origin;
    struct replica_conf conf = {
        .parent = t->id, .split = *split, .lead_now = t->leading && px_ballot_cmp(&px.promised, split) == 0};
    enum rc rc = tablet_join(right, &conf, err);
    if (!rc)
        replica_checkpointed(right->rep, 1);
    return rc;
}

/* From the slot's beginning to its end nothing waits: in one step the left half ends at the key and the right half is there. */
static enum rc let_go(struct tablet *t, const struct replica_entry *e, const struct split *s, struct tablet *right,
                      const struct rangecopy *c, struct err *err) {
    const struct tablet_ops *ops = t->ts->conf.ops;
    uint8_t ballot[24];
    struct buf start;
    buf_init(&start, 0);
    buf_put(&start, mvcc_state(t->m)->start.p, mvcc_state(t->m)->start.n);
    enum rc rc = buf_rc(&start) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
    if (!rc)
        rc = mvcc_slot_begin(t->m, (int64_t)e->slot, tablet_ballot_bytes(&e->value->origin, ballot),
                             tablet_entry_floor(e->value), err);
    if (!rc && ops && ops->split_left)
        rc = ops->split_left(t->upper, e->slot, s->key, s->generation, err);
    if (!rc)
        rc = rangecopy_split_off(t->m, (struct mvcc_bytes){start.data, start.len}, s->key, s->generation, c, err);
    if (!rc && right)
        rc = join_right(t, e, right, err);
    if (!rc)
        rc = mvcc_slot_end(t->m, err);
    buf_done(&start);
    return rc;
}

static enum rc not_done(struct tablet *t, const struct replica_entry *e, struct err *err) {
    struct tablet_own *own = e->own;
    uint8_t ballot[24];
    tablet_split_cancel(t);
    if (own)
        own->rc =
            err_set(&own->err, RC_INVAL, "tablet %llu was changed while it was to be split", (unsigned long long)t->id);
    enum rc rc = mvcc_slot_begin(t->m, (int64_t)e->slot, tablet_ballot_bytes(&e->value->origin, ballot),
                                 tablet_entry_floor(e->value), err);
    return rc ? rc : mvcc_slot_end(t->m, err);
}

enum rc tablet_apply_split(struct tablet *t, const struct replica_entry *e, const struct command *c, struct err *err) {
    struct tablets *ts = t->ts;
    struct split s;
    struct half *h = NULL;
    int64_t began = reactor_now(ts->reactor);
    enum rc rc = parse(c, &s, err);
    if (rc)
        return rc;
    if (!fits(t, &s))
        return not_done(t, e, err);
    struct tablet *there = tablets_find_any(ts, s.right), *right = NULL;
    const struct px_member *self = px_config_find(&s.config, replicas_self(ts->rs));
    /* Applied again after a restart, its right half may be gone from here for good (P-22). */
    if (!there && self && self->replica && !replicas_removed(ts->rs, s.right, self->replica))
        rc = make_right(t, &s, self->replica, &right, &h, err);
    if (!rc)
        rc = let_go(t, e, &s, right, h ? h->copy : NULL, err);
    half_free(h);
    if (rc) {
        if (right && !right->rep)
            tablet_free(right);
        return rc;
    }
    t->split_begun = false;
    if (right)
        tablet_dirty(right);
    counter_inc(&ts->stats.splits);
    hist_add(&ts->stats.split_ns, reactor_now(ts->reactor) - began);
    diag_tablet(&ts->env->diag, DIAG_INFO, t->id, "tablet: split", "right=%llu generation=%llu ms=%.1f",
                (unsigned long long)s.right, (unsigned long long)s.generation,
                (double)(reactor_now(ts->reactor) - began) / 1e6);
    return RC_OK;
}

/* ---- the leader ------------------------------------------------------------------------------------------------------------ */

struct run {
    struct tablets *ts;
    uint64_t id, generation, right;
    struct buf key;
    struct px_config config; /* of the right group: its members' replicas */
    uint32_t ready;          /* by place in config */
    struct waitq changed;
    struct fiber_group fibers;
    struct asked {
        struct run *run;
        uint32_t i;
    } asked[PX_MEMBERS_MAX];
};

void tablet_split_cancel(struct tablet *t) {
    const struct tablet_ops *ops = t->ts->conf.ops;
    if (t->split_begun && t->leading && ops && ops->split_cancel)
        ops->split_cancel(t->upper);
    t->split_begun = false;
}

static bool ask(struct run *run, uint32_t i) {
    struct arena a;
    ProtobufCMessage *m = NULL;
    arena_init(&a, ARENA_BYTES_MAX);
    Tablet__SplitAsk *q = arena_new(&a, Tablet__SplitAsk);
    uint8_t *key = arena_copy(&a, run->key.data, run->key.len);
    bool ready = false;
    if (q && key) {
        tablet__split_ask__init(q);
        q->tablet = run->id;
        q->generation = run->generation;
        q->key = (ProtobufCBinaryData){run->key.len, key};
        q->right = run->right;
        q->replica = run->config.member[i].replica;
        enum rc rc = rpc_call(run->ts->conf.rpc, px_store_addr(run->config.member[i].store), TABLET_TYPE_SPLIT,
                              &q->base, &a, reactor_deadline(run->ts->reactor, ASK_NS), &m, NULL);
        ready = rc == RC_OK && ((Tablet__SplitAnswer *)m)->ready;
    }
    arena_done(&a);
    return ready;
}

static void ask_main(void *arg) {
    const struct asked *x = arg;
    struct run *run = x->run;
    struct reactor *r = run->ts->reactor;
    while (!fiber_cancelled(r)) {
        uint32_t bit = 1u << x->i;
        run->ready = ask(run, x->i) ? run->ready | bit : run->ready & ~bit;
        waitq_wake_all(&run->changed, RC_OK);
        if (fiber_sleep(r, run->ready & bit ? FOLLOW_NS : ASK_AGAIN_NS) != RC_OK)
            return;
    }
}

static struct tablet *still_leads(const struct run *run, struct err *err) {
    struct tablet *t = tablets_find(run->ts, run->id);
    if (!t || !replica_leads(t->rep)) {
        err_set(err, RC_NOT_LEADER, "this store does not lead tablet %llu", (unsigned long long)run->id);
        return NULL;
    }
    return tablet_check(t, run->generation, err) ? NULL : t;
}

static enum rc wait_ready(struct run *run, int64_t deadline, struct err *err) {
    struct reactor *r = run->ts->reactor;
    px_store self = replicas_self(run->ts->rs);
    enum rc rc = RC_OK;
    for (uint32_t i = 0; i < run->config.count && !rc; i++) {
        run->asked[i] = (struct asked){run, i};
        rc = fiber_spawn(r, &run->fibers, FIBER_LARGE, "tablet split ask", ask_main, &run->asked[i]);
    }
    if (rc)
        return err_set(err, rc, "no fibers to split a tablet");
    for (;;) {
        bool here = false;
        for (uint32_t i = 0; i < run->config.count; i++)
            here |= run->config.member[i].store == self && run->ready & (1u << i);
        if (!still_leads(run, err))
            return err->rc;
        if (here && px_config_quorum(&run->config, run->ready))
            return RC_OK;
        rc = waitq_wait(r, &run->changed, deadline);
        if (rc)
            return err_set(err, rc, "tablet %llu: its right half was not built on a quorum: %s",
                           (unsigned long long)run->id, rc_text(rc));
    }
}

/* The right group: the tablet's members, under new names. */
static enum rc members(struct tablet *t, const struct tablet_split *how, struct px_config *ret, struct err *err) {
    struct px_status px;
    replica_status(t->rep, &px);
    *ret = px.config;
    if (px.config.joint || px.config_pending)
        return err_set(err, RC_OVERLOAD, "the members of tablet %llu are changing; try again",
                       (unsigned long long)t->id);
    if (px.config.count > how->replicas)
        return err_set(err, RC_OVERLOAD, "tablet %llu has gained a member; try again", (unsigned long long)t->id);
    for (uint32_t i = 0; i < ret->count; i++) {
        if (ret->member[i].flags & PX_WITNESS)
            return err_set(err, RC_UNSUPPORTED, "a tablet with a witness cannot be split yet");
        ret->member[i].replica = how->first_replica + i;
    }
    return RC_OK;
}

static bool decided_against(enum rc rc) {
    return rc == RC_NOT_LEADER || rc == RC_OVERLOAD || rc == RC_NOSPACE || rc == RC_UNSYNCED || rc == RC_SHUTDOWN ||
           rc == RC_LIMIT || rc == RC_MOVED || rc == RC_INVAL || rc == RC_NOMEM;
}

static enum rc decide(struct run *run, struct err *err) {
    struct tablets *ts = run->ts;
    const struct tablet_ops *ops = ts->conf.ops;
    struct tablet *t = still_leads(run, err);
    struct mvcc_bytes key = {run->key.data, run->key.len};
    uint8_t config[REPLICA_STATE_BYTES_MAX];
    struct px_status px;
    struct buf b;
    int64_t at;
    if (!t)
        return err->rc;
    replica_status(t->rep, &px);
    if (px.config_pending || !same_members(&px.config, &run->config))
        return err_set(err, RC_OVERLOAD, "the members of tablet %llu have changed; try again",
                       (unsigned long long)run->id);
    enum rc rc = ops && ops->split_begin ? ops->split_begin(t->upper, key, err) : RC_OK;
    if (rc)
        return rc;
    t->split_begun = true;
    buf_init(&b, REPLICA_COMMAND_BYTES_MAX);
    command_begin(&b, COMMAND_SPLIT, run->generation);
    command_put_bytes(&b, key);
    buf_put_u64le(&b, run->generation + 1);
    buf_put_u64le(&b, run->right);
    buf_put_u64le(&b, (uint64_t)replica_floor(t->rep));
    command_put_bytes(&b, (struct mvcc_bytes){config, px_config_encode(&run->config, config, sizeof config)});
    rc = buf_rc(&b) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
    if (!rc) /* once it is proposed, what becomes of it is worth waiting for */
        rc = tablet_propose(ts, run->id, b.data, b.len, 0, NULL, reactor_deadline(ts->reactor, DECIDE_NS), &at, err);
    buf_done(&b);
    t = tablets_find(ts, run->id);
    if (t && decided_against(rc))
        tablet_split_cancel(t);
    return rc;
}

static enum rc split(struct run *run, const struct tablet_split *how, int64_t deadline, struct err *err) {
    struct reactor *r = run->ts->reactor;
    struct tablet *t = still_leads(run, err);
    if (!t)
        return err->rc;
    enum rc rc = RC_OK;
    if (how->key.n) {
        buf_put(&run->key, how->key.p, how->key.n);
        rc = buf_rc(&run->key) ? err_set(err, RC_NOMEM, "out of memory") : tablet_split_key(t, &run->key, err);
    } else {
        rc = tablet_split_point(t, &run->key, err);
        t = rc ? NULL : still_leads(run, err);
        if (!t)
            return rc ? rc : err->rc;
    }
    if (!rc)
        rc = members(t, how, &run->config, err);
    if (!rc)
        rc = wait_ready(run, deadline, err);
    fiber_group_cancel(&run->fibers);
    fiber_shield_begin(r);
    IGNORE(fiber_group_join(r, &run->fibers, DEADLINE_NONE)); /* shielded, without a deadline: they end */
    fiber_shield_end(r);
    return rc ? rc : decide(run, err);
}

enum rc tablets_split(struct tablets *ts, uint64_t id, const struct tablet_split *how, int64_t deadline,
                      struct buf *ret_key, struct err *err) {
    struct tablet *t = tablets_find(ts, id);
    struct err local = {0};
    CHECK(how->right && how->first_replica);
    if (!t || !replica_leads(t->rep))
        return err_set(err, RC_NOT_LEADER, "this store does not lead tablet %llu", (unsigned long long)id);
    enum rc rc = tablet_check(t, how->generation, err);
    if (rc)
        return rc;
    if (t->splitting)
        return err_set(err, RC_BUSY, "tablet %llu is being split already", (unsigned long long)id);
    struct run run = {.ts = ts, .id = id, .generation = mvcc_state(t->m)->generation, .right = how->right};
    buf_init(&run.key, MVCC_KEY_BYTES_MAX);
    waitq_init(&run.changed);
    fiber_group_init(&run.fibers);
    t->splitting = true;
    tablet_use(t);
    rc = split(&run, how, deadline, err ? err : &local);
    t->splitting = false;
    tablet_release(t);
    if (!rc && ret_key)
        buf_put(ret_key, run.key.data, run.key.len);
    buf_done(&run.key);
    return rc;
}
