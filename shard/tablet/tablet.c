/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tablet.c: the tablets of a store: opening, making, finding, ending.
 *
 * A file's name says whose it is: T<tablet>.<replica>.db. What lies in DIR/tablets without a group that lets it in (a removed
 * replica's leftovers, P-22) is deleted at the start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "shard/tablet/tablet_internal.h"

static const int64_t CHECKPOINT_BYTES = 8 << 20, CHECKPOINT_NS = INT64_C(60000000000), GC_NS = INT64_C(3600000000000);

/* ---- small things ------------------------------------------------------------------------------------------------ */

struct mvcc_bytes tablet_ballot_bytes(const struct px_ballot *b, uint8_t to[24]) {
    set_u64le(to, b->round);
    set_u64le(to + 8, b->store);
    set_u64le(to + 16, b->incarnation);
    return (struct mvcc_bytes){to, 24};
}

int64_t tablet_entry_floor(const struct px_value *v) {
    int64_t floor = v->ts, x;
    if ((v->kind == PX_START || v->kind == PX_RELEASE) && v->bytes == sizeof x) {
        memcpy(&x, v->data, sizeof x);
        floor = x > floor ? x : floor;
    }
    return floor;
}

enum rc tablet_state_from(const struct mvcc_state *s, const char *what, struct replica_state *ret, struct err *err) {
    struct replica_state out = {.applied = (px_slot)s->slot, .floor = s->floor};
    if (s->ballot.n == 24) {
        out.origin.round = get_u64le(s->ballot.p);
        out.origin.store = get_u64le((const uint8_t *)s->ballot.p + 8);
        out.origin.incarnation = get_u64le((const uint8_t *)s->ballot.p + 16);
    } else if (s->ballot.n != 0) {
        return err_set(err, RC_CORRUPT, "%s: its ballot has %zu bytes", what, s->ballot.n);
    }
    if (px_config_decode(s->config.p, s->config.n, &out.config) != RC_OK)
        return err_set(err, RC_CORRUPT, "%s: its configuration cannot be read", what);
    *ret = out;
    return RC_OK;
}

enum rc tablet_state_read(const struct mvcc *m, struct replica_state *ret, struct err *err) {
    return tablet_state_from(mvcc_state(m), mvcc_path(m), ret, err);
}

void tablet_use(struct tablet *t) {
    t->users++;
}

void tablet_release(struct tablet *t) {
    CHECK(t->users > 0);
    if (--t->users == 0)
        waitq_wake_all(&t->idle, RC_OK);
}

void tablet_drain(struct tablet *t) {
    struct reactor *r = t->ts->reactor;
    t->draining = true; /* nobody new */
    waitq_wake_all(&t->progress, RC_MOVED);
    waitq_wake_all(&t->lock, RC_MOVED);
    fiber_shield_begin(r);
    while (t->users > 0)
        IGNORE(waitq_wait(r, &t->idle, DEADLINE_NONE)); /* shielded: it can only be woken */
    fiber_shield_end(r);
}

void tablet_dirty(struct tablet *t) {
    if (ilist_linked(&t->dirty_link))
        return;
    bool first = ilist_empty(&t->ts->dirty);
    t->dirty_since = reactor_now(t->ts->reactor);
    ilist_push_back(&t->ts->dirty, &t->dirty_link);
    if (first)
        waitq_wake_all(&t->ts->housekeeper, RC_OK);
}

/* ---- by range ------------------------------------------------------------------------------------------------------ */

static int bytes_cmp(struct mvcc_bytes a, struct mvcc_bytes b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

void tablet_unindex(struct tablet *t) {
    struct tablets *ts = t->ts;
    if (!t->indexed)
        return;
    size_t i = 0;
    while (ts->by_start[i] != t)
        i++;
    memmove(&ts->by_start[i], &ts->by_start[i + 1], (--ts->ranges - i) * sizeof *ts->by_start);
    t->indexed = false;
}

void tablet_index(struct tablet *t) {
    struct tablets *ts = t->ts;
    tablet_unindex(t);
    if (!t->m || mvcc_state(t->m)->generation == 0)
        return;
    if (ts->ranges == ts->ranges_cap) {
        size_t cap = ts->ranges_cap ? 2 * ts->ranges_cap : 16;
        struct tablet **v = realloc(ts->by_start, cap * sizeof *v);
        if (!v) {
            diag_tablet(&ts->env->diag, DIAG_WARN, t->id, "tablet: not found by key", "reason=\"out of memory\"");
            return; /* requests that name it by id still find it */
        }
        ts->by_start = v;
        ts->ranges_cap = cap;
    }
    size_t i = ts->ranges++;
    for (; i > 0 && bytes_cmp(mvcc_state(ts->by_start[i - 1]->m)->start, mvcc_state(t->m)->start) > 0; i--)
        ts->by_start[i] = ts->by_start[i - 1];
    ts->by_start[i] = t;
    t->indexed = true;
}

struct tablet *tablets_find_any(struct tablets *ts, uint64_t id) {
    for (struct map_node *n = map_first(&ts->map, hash_u64(id)); n; n = map_next(n)) {
        struct tablet *t = container_of(n, struct tablet, node);
        if (t->id == id)
            return t;
    }
    return NULL;
}

struct tablet *tablets_find(struct tablets *ts, uint64_t id) {
    struct tablet *t = tablets_find_any(ts, id);
    return t && t->rep && !t->removed ? t : NULL;
}

struct tablet *tablets_find_key(struct tablets *ts, struct mvcc_bytes key) {
    size_t lo = 0, hi = ts->ranges; /* the last one whose start is at or below key */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (bytes_cmp(mvcc_state(ts->by_start[mid]->m)->start, key) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return NULL;
    struct tablet *t = ts->by_start[lo - 1];
    struct mvcc_bytes end = mvcc_state(t->m)->end;
    return !t->removed && (end.n == 0 || bytes_cmp(key, end) < 0) ? t : NULL;
}

void tablets_each(struct tablets *ts, void (*fn)(void *ctx, struct tablet *t), void *ctx) {
    uint64_t last = 0;
    for (;;) { /* in the order of ids, without a list of them: there are few */
        struct tablet *next = NULL;
        map_for_each(it, &ts->map) {
            struct tablet *t = container_of(it, struct tablet, node);
            if (t->id > last && t->rep && !t->removed && (!next || t->id < next->id))
                next = t;
        }
        if (!next)
            return;
        last = next->id;
        fn(ctx, next);
    }
}

void tablets_each_any(struct tablets *ts, void (*fn)(void *ctx, struct tablet *t), void *ctx) {
    map_for_each(it, &ts->map) {
        struct tablet *t = container_of(it, struct tablet, node);
        if (t->rep && !t->removed)
            fn(ctx, t);
    }
}

void tablets_wake_readers(struct tablets *ts) {
    ilist_for_each(it, &ts->reading)
        waitq_wake_all(&ilist_entry(it, struct tablet, reading_link)->progress, RC_OK);
}

/* ---- a tablet ------------------------------------------------------------------------------------------------------- */

enum rc tablet_upper_open(struct tablet *t, struct err *err) {
    const struct tablet_ops *ops = t->ts->conf.ops;
    CHECK(!t->upper);
    return ops ? ops->open(t->ts->conf.ops_ctx, t, &t->upper, err) : RC_OK;
}

void tablet_upper_close(struct tablet *t) {
    if (t->upper)
        t->ts->conf.ops->close(t->upper);
    t->upper = NULL;
}

struct tablet *tablet_new(struct tablets *ts, uint64_t id, uint64_t replica_id, struct err *err) {
    struct tablet *t = calloc(1, sizeof *t);
    if (!t) {
        err_set(err, RC_NOMEM, "out of memory for a tablet");
        return NULL;
    }
    t->ts = ts;
    t->id = id;
    t->replica_id = replica_id;
    ilist_init(&t->dirty_link);
    ilist_init(&t->reading_link);
    waitq_init(&t->idle);
    waitq_init(&t->lock);
    waitq_init(&t->progress);
    arena_init(&t->scratch, 0);
    int n = snprintf(t->path, sizeof t->path, "%s/T%llx.%llx.db", ts->dir, (unsigned long long)id,
                     (unsigned long long)replica_id);
    CHECK(n > 0 && (size_t)n < sizeof t->path); /* tablets_open left room for it */
    map_put(&ts->map, &t->node, hash_u64(id));
    gauge_add(&ts->stats.tablets, 1);
    return t;
}

void tablet_free(struct tablet *t) {
    if (!t)
        return;
    CHECK(t->users == 0);
    tablet_unindex(t);
    tablet_load_drop(t);
    tablet_half_free(t);
    tablet_upper_close(t);
    if (t->m)
        mvcc_close(t->m);
    ilist_del(&t->dirty_link);
    ilist_del(&t->reading_link);
    map_del(&t->ts->map, &t->node);
    gauge_add(&t->ts->stats.tablets, -1);
    arena_done(&t->scratch);
    free(t);
}

/* Back to what the file holds. */
enum rc tablet_reopen(struct tablet *t, struct err *err) {
    tablet_upper_close(t);
    enum rc rc = t->m ? mvcc_reload(t->m, err) : mvcc_open(t->ts->conf.store, t->path, &t->m, err);
    if (!rc && mvcc_state(t->m)->tablet != t->id)
        rc = err_set(err, RC_CORRUPT, "%s holds tablet %llu", t->path, (unsigned long long)mvcc_state(t->m)->tablet);
    if (!rc)
        rc = tablet_upper_open(t, err);
    if (!rc)
        tablet_index(t);
    t->draining &= rc != RC_OK;
    return rc;
}

enum rc tablet_open_file(struct tablet *t, struct err *err) {
    enum rc rc = mvcc_open(t->ts->conf.store, t->path, &t->m, err);
    if (!rc && mvcc_state(t->m)->tablet != t->id)
        rc = err_set(err, RC_CORRUPT, "%s holds tablet %llu", t->path, (unsigned long long)mvcc_state(t->m)->tablet);
    return rc;
}

enum rc tablet_join(struct tablet *t, struct replica_conf *conf, struct err *err) {
    conf->group = t->id;
    conf->replica = t->replica_id;
    conf->ops = &tablet_sm_ops;
    conf->sm = t;
    enum rc rc = tablet_state_read(t->m, &conf->state, err);
    if (!rc && !t->upper)
        rc = tablet_upper_open(t, err);
    if (!rc)
        rc = replicas_add(t->ts->rs, conf, &t->rep, err);
    if (!rc)
        tablet_index(t);
    return rc;
}

/* Its file is there: into the store's groups with it. */
enum rc tablet_open(struct tablet *t, struct replica_conf *conf, struct err *err) {
    int64_t slot;
    enum rc rc = tablet_open_file(t, err);
    /* After the crash of the process alone the last commits may lie in the page cache: nothing is told before it is durable. */
    if (!rc)
        rc = mvcc_checkpoint(t->m, false, &slot, err);
    if (!rc)
        rc = tablet_join(t, conf, err);
    if (!rc)
        replica_checkpointed(t->rep, (px_slot)slot);
    return rc;
}

uint64_t tablet_id(const struct tablet *t) {
    return t->id;
}

struct tablets *tablet_tablets(const struct tablet *t) {
    return t->ts;
}

struct mvcc *tablet_mvcc(const struct tablet *t) {
    return t->m;
}

struct replica *tablet_replica(const struct tablet *t) {
    return t->rep;
}

void *tablet_upper(const struct tablet *t) {
    return t->upper;
}

void tablet_info(const struct tablet *t, struct tablet_info *ret) {
    static const struct mvcc_state nothing;
    struct px_status px;
    const struct mvcc_state *s = t->m ? mvcc_state(t->m) : &nothing;
    replica_status(t->rep, &px);
    *ret = (struct tablet_info){
        .id = t->id,
        .generation = s->generation,
        .start = s->start,
        .end = s->end,
        .config = px.config,
        .leader = replica_leader(t->rep),
        .round = px.promised.round,
        .leads = t->leading,
        .empty = s->generation == 0,
        .slot = (uint64_t)s->slot,
        .floor = (uint64_t)s->floor,
        .checksum = s->checksum,
        .wal_bytes = t->m ? mvcc_wal_bytes(t->m) : 0,
    };
}

enum rc tablet_check(const struct tablet *t, uint64_t generation, struct err *err) {
    uint64_t is = t->m && !t->draining ? mvcc_state(t->m)->generation : 0;
    if (is == 0)
        return err_set(err, RC_NOT_LEADER, "tablet %llu waits for its data here", (unsigned long long)t->id);
    if (generation != 0 && generation != is)
        return err_set(err, RC_MOVED, "tablet %llu has generation %llu now, not %llu", (unsigned long long)t->id,
                       (unsigned long long)is, (unsigned long long)generation);
    return RC_OK;
}

/* ---- making one ------------------------------------------------------------------------------------------------------- */

static enum rc make(struct tablets *ts, uint64_t id, uint64_t replica, const struct px_config *config,
                    const struct mvcc_state *state, struct replica_conf *conf, struct err *err) {
    uint8_t bytes[REPLICA_STATE_BYTES_MAX];
    struct mvcc_state s = *state;
    if (tablets_find_any(ts, id))
        return err_set(err, RC_OVERLOAD, "tablet %llu is here already, or is being made", (unsigned long long)id);
    s.tablet = id;
    s.config = (struct mvcc_bytes){bytes, px_config_encode(config, bytes, sizeof bytes)};
    if (s.config.n == 0)
        return err_set(err, RC_INVAL, "the configuration of tablet %llu is too large", (unsigned long long)id);
    struct tablet *t = tablet_new(ts, id, replica, err);
    if (!t)
        return RC_NOMEM;
    tablet_use(t);
    enum rc rc = mvcc_remove(ts->conf.store, t->path, err); /* what an earlier try may have left */
    if (!rc)
        rc = mvcc_create(ts->conf.store, t->path, &s, err);
    if (!rc)
        rc = tablet_open(t, conf, err);
    tablet_release(t);
    if (rc) {
        tablet_free(t);
        return rc;
    }
    diag_tablet(&ts->env->diag, DIAG_INFO, id, state->generation ? "tablet: made" : "tablet: learner made",
                "replica=%llu", (unsigned long long)replica);
    return RC_OK;
}

enum rc tablets_create(struct tablets *ts, uint64_t id, uint64_t replica, const struct px_config *config,
                       struct mvcc_bytes start, struct mvcc_bytes end, uint64_t generation, bool lead,
                       struct err *err) {
    CHECK(generation > 0);
    /* Slot 1 is the making: it is in no log, so a replica that begins with nothing gets a snapshot, which has the range. */
    struct mvcc_state s = {.slot = 1, .generation = generation, .start = start, .end = end};
    struct replica_conf conf = {.lead_now = lead};
    return make(ts, id, replica, config, &s, &conf, err);
}

static const char *unfit(void *ctx) {
    struct tablets *ts = ctx;
    return ts->conf.unfit ? ts->conf.unfit(ts->conf.ctx) : NULL;
}

static bool contradicts(void *ctx, px_store store) {
    struct tablets *ts = ctx;
    return ts->conf.contradicts && ts->conf.contradicts(ts->conf.ctx, store);
}

static void dead(void *ctx, enum rc rc, const char *why) {
    struct tablets *ts = ctx;
    if (ts->conf.on_dead)
        ts->conf.on_dead(ts->conf.ctx, rc, why);
}

/* A replica that a leader asked for: empty, until its snapshot comes. */
static enum rc learner(void *ctx, uint64_t group, uint64_t replica, const struct px_config *config, struct err *err) {
    struct tablets *ts = ctx;
    struct mvcc_state s = {.generation = 0};
    if (ts->stopping)
        return err_set(err, RC_SHUTDOWN, "the store stops");
    /* A voter of a group's first configuration missed the split that made the group. */
    struct replica_conf conf = {.late = px_is_voter(px_config_find(config, replicas_self(ts->rs)))};
    return make(ts, group, replica, config, &s, &conf, err);
}

/* ---- the store ---------------------------------------------------------------------------------------------------------- */

struct names {
    struct tablets *ts;
    uint64_t (*id)[2];
    size_t count, cap;
    struct buf left_over; /* names, each with its zero: halves, images, loads that nobody goes on with */
    bool nomem;
};

static void on_name(void *ctx, const char *name) {
    struct names *n = ctx;
    unsigned long long id, replica;
    int end = 0;
    if (sscanf(name, "T%llx.%llx.db%n", &id, &replica, &end) != 2 || end == 0 || id == 0)
        return;
    if (strcmp(name + end, TABLET_DAMAGED_SUFFIX) == 0)
        n->nomem |= tablets_lost_add(n->ts, id, replica, NULL) != RC_OK;
    else if (name[end] == '.')
        buf_put(&n->left_over, name, strlen(name) + 1);
    if (name[end] != '\0')
        return;
    if (n->count == n->cap) {
        size_t cap = n->cap ? 2 * n->cap : 64;
        uint64_t(*v)[2] = realloc(n->id, cap * sizeof *v);
        if (!v) {
            n->nomem = true;
            return;
        }
        n->id = v;
        n->cap = cap;
    }
    n->id[n->count][0] = id;
    n->id[n->count++][1] = replica;
}

/* Its votes went with the log. */
static enum rc lose_found(struct tablets *ts, uint64_t id, uint64_t replica, struct err *err) {
    char path[ENV_PATH_BYTES];
    snprintf(path, sizeof path, "%s/T%llx.%llx.db", ts->dir, (unsigned long long)id, (unsigned long long)replica);
    enum rc rc = replicas_bury(ts->rs, id, replica, err);
    return rc ? rc : tablets_lose(ts, id, replica, path, "the store's log was lost", err);
}

static enum rc open_found(struct tablets *ts, uint64_t id, uint64_t replica, struct err *err) {
    if (tablets_find_any(ts, id))
        return err_set(err, RC_CORRUPT, "two files of tablet %llu lie in %s", (unsigned long long)id, ts->dir);
    struct tablet *t = tablet_new(ts, id, replica, err);
    if (!t)
        return RC_NOMEM;
    struct err why = {0};
    struct replica_conf conf = {0};
    tablet_use(t);
    enum rc rc = tablet_open(t, &conf, &why);
    tablet_release(t);
    if (!rc)
        return RC_OK;
    char path[VFS_PATH_BYTES_MAX];
    snprintf(path, sizeof path, "%s", t->path);
    tablet_free(t);
    if (rc == RC_INVAL) { /* a removed replica's: P-22 */
        diag_tablet(&ts->env->diag, DIAG_INFO, id, "tablet: a removed replica's file goes", "path=%s", path);
        return mvcc_remove(ts->conf.store, path, err);
    }
    if (rc == RC_CORRUPT) {
        rc = replicas_bury(ts->rs, id, replica, err);
        return rc ? rc : tablets_lose(ts, id, replica, path, err_message(&why), err);
    }
    if (err)
        *err = why;
    return rc;
}

static enum rc open_all(struct tablets *ts, struct err *err) {
    struct names names = {.ts = ts};
    char path[ENV_PATH_BYTES];
    buf_init(&names.left_over, 0);
    enum rc rc = env_dir_list(ts->env, ts->dir, on_name, &names, err);
    if (!rc && (names.nomem || buf_rc(&names.left_over)))
        rc = err_set(err, RC_NOMEM, "out of memory for the names of tablets");
    for (size_t at = 0; at < names.left_over.len && !rc;) {
        const char *name = (const char *)names.left_over.data + at;
        snprintf(path, sizeof path, "%s/%s", ts->dir, name);
        IGNORE(env_unlink(ts->env, path, NULL)); /* garbage stays garbage until the next start */
        at += strlen(name) + 1;
    }
    buf_done(&names.left_over);
    for (size_t i = 0; i < names.count && !rc; i++)
        rc = ts->conf.replicas.log_lost ? lose_found(ts, names.id[i][0], names.id[i][1], err)
                                        : open_found(ts, names.id[i][0], names.id[i][1], err);
    free(names.id);
    if (!rc && ts->conf.replicas.log_lost)
        rc = tablets_log_buried(ts, err);
    return rc;
}

enum rc tablets_open(struct reactor *r, const struct tablets_conf *conf, struct tablets **ret,
                     struct wal_damage *ret_damage, struct err *err) {
    struct tablets *ts = calloc(1, sizeof *ts);
    if (!ts)
        return err_set(err, RC_NOMEM, "out of memory");
    ts->reactor = r;
    ts->env = reactor_env(r);
    ts->conf = *conf;
    if (!ts->conf.checkpoint_bytes)
        ts->conf.checkpoint_bytes = CHECKPOINT_BYTES;
    if (!ts->conf.checkpoint_ns)
        ts->conf.checkpoint_ns = CHECKPOINT_NS;
    if (!ts->conf.gc_ns)
        ts->conf.gc_ns = GC_NS;
    map_init(&ts->map);
    ilist_init(&ts->dirty);
    fiber_group_init(&ts->fibers);
    waitq_init(&ts->housekeeper);
    ilist_init(&ts->reading);
    struct replicas_conf *rc_conf = &ts->conf.replicas;
    rc_conf->rpc = conf->rpc;
    rc_conf->clock = conf->clock;
    rc_conf->dir = conf->dir;
    rc_conf->create = learner;
    rc_conf->on_dead = dead;
    rc_conf->unfit = unfit;
    rc_conf->contradicts = contradicts;
    rc_conf->ctx = ts;
    int n = snprintf(ts->dir, sizeof ts->dir, "%s/tablets", conf->dir);
    enum rc rc =
        n > 0 && (size_t)n < sizeof ts->dir - 64 ? RC_OK : err_set(err, RC_LIMIT, "%s: too long a path", conf->dir);
    if (!rc) {
        rc = env_mkdir(ts->env, ts->dir, err);
        rc = rc == RC_EXISTS ? RC_OK : rc;
    }
    if (!rc)
        rc = dir_sync(r, conf->dir, err);
    if (!rc) /* a file that took its name when only the process died: what it holds will be acknowledged */
        rc = dir_sync(r, ts->dir, err);
    if (!rc)
        rc = tablets_log_was_lost(ts, &rc_conf->log_lost, err);
    if (!rc)
        rc = replicas_open(rc_conf, &ts->rs, ret_damage, err);
    if (rc == RC_CORRUPT && ret_damage->segment[0] && !rc_conf->log_lost) {
        char why[200];
        snprintf(why, sizeof why, "%s", err_message(err));
        rc = tablets_give_up_log(ts, why, err);
        rc_conf->log_lost = true;
        if (!rc)
            rc = replicas_open(rc_conf, &ts->rs, ret_damage, err);
    }
    if (!rc)
        rc = rpc_register(conf->rpc, &tablets_split_service, ts);
    if (!rc)
        rc = closed_new(ts, &ts->closed, err);
    if (!rc)
        rc = closed_register(ts->closed, err);
    if (!rc)
        rc = open_all(ts, err);
    if (rc) {
        if (ts->rs)
            replicas_end(ts->rs);
        map_for_each(it, &ts->map)
            tablet_free(container_of(it, struct tablet, node));
        replicas_free(ts->rs);
        map_done(&ts->map);
        closed_free(ts->closed);
        free(ts->lost);
        free(ts->by_start);
        free(ts);
        return rc;
    }
    *ret = ts;
    return RC_OK;
}

static void closed_main(void *arg) {
    struct tablets *ts = arg;
    while (fiber_sleep(ts->reactor, CLOSED_TICK_NS) == RC_OK)
        if (!ts->stopping)
            closed_tick(ts->closed);
}

enum rc tablets_start(struct tablets *ts, struct err *err) {
    enum rc rc = fiber_spawn(ts->reactor, &ts->fibers, FIBER_LARGE, "tablet housekeeper", tablets_housekeeper, ts);
    if (!rc)
        rc = fiber_spawn(ts->reactor, &ts->fibers, FIBER_SMALL, "closed times", closed_main, ts);
    if (rc)
        return err_set(err, rc, "no fiber for the tablets' housekeeper");
    ts->started = true;
    return replicas_start(ts->rs, err);
}

void tablets_stop(struct tablets *ts, int64_t deadline) {
    ts->stopping = true;
    replicas_stop(ts->rs, deadline);
    fiber_group_cancel(&ts->fibers);
    IGNORE(fiber_group_join(ts->reactor, &ts->fibers, deadline)); /* what goes on ends with the reactor */
    map_for_each(it, &ts->map) {
        struct tablet *t = container_of(it, struct tablet, node);
        struct err err = {0};
        if (t->m && !t->removed && tablet_checkpoint(t, true, &err) != RC_OK)
            diag_tablet(&ts->env->diag, DIAG_WARN, t->id, "tablet: no last checkpoint", "reason=\"%s\"",
                        err_message(&err));
    }
}

void tablets_kill(struct tablets *ts) {
    ts->stopping = true;
    replicas_kill(ts->rs);
    fiber_group_cancel(&ts->fibers);
}

int64_t tablets_high_water(struct tablets *ts) {
    int64_t high = 0;
    map_for_each(it, &ts->map) {
        const struct tablet *t = container_of(it, struct tablet, node);
        if (t->rep && replica_floor(t->rep) > high)
            high = replica_floor(t->rep);
        if (t->m && mvcc_state(t->m)->floor > high)
            high = mvcc_state(t->m)->floor;
    }
    return high;
}

bool tablets_idle(const struct tablets *ts) {
    return ts->fibers.count == 0 && replicas_idle(ts->rs);
}

void tablets_free(struct tablets *ts) {
    if (!ts)
        return;
    CHECK(tablets_idle(ts));
    replicas_free(ts->rs);
    map_for_each(it, &ts->map)
        tablet_free(container_of(it, struct tablet, node));
    map_done(&ts->map);
    closed_free(ts->closed);
    free(ts->lost);
    free(ts->by_start);
    free(ts);
}

struct replicas *tablets_replicas(struct tablets *ts) {
    return ts->rs;
}

struct reactor *tablets_reactor(const struct tablets *ts) {
    return ts->reactor;
}

const struct tablets_stats *tablets_stats(const struct tablets *ts) {
    return &ts->stats;
}
