/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/pxhost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/ttwait.h"
#include "shard/runtime/wait.h"
#include "truetime/base/crc32c.h"

enum { MEMBER_BYTES = 20 };

/* ---- groups ------------------------------------------------------------------------------------------------------ */

void pxhost_first_config(const struct pxhost_conf *conf, uint64_t group, struct px_config *ret) {
    *ret = (struct px_config){.epoch = 1};
    uint32_t members = conf->voters + conf->learners;
    for (uint32_t node = 1; node <= conf->nodes; node++) {
        uint32_t at = (uint32_t)((node - 1 + group) % conf->nodes); /* its place in this group */
        if (at >= members)
            continue;
        uint32_t flags = at >= conf->voters ? 0 : PX_OLD | (at + conf->witnesses >= conf->voters ? PX_WITNESS : 0);
        ret->member[ret->count++] = (struct px_member){px_store_of((struct store_addr){node, 0}), at + 1, flags};
    }
}

struct pxhost_group *pxhost_group(struct pxhost *h, uint64_t group) {
    for (struct map_node *n = map_first(&h->groups, hash_u64(group)); n; n = map_next(n))
        if (container_of(n, struct pxhost_group, node)->group == group)
            return container_of(n, struct pxhost_group, node);
    return NULL;
}

struct replica *pxhost_replica(struct pxhost *h, uint64_t group) {
    return h->replicas && h->ready ? replicas_find(h->replicas, group) : NULL;
}

/* ---- which replicas this store has ------------------------------------------------------------------------------- */

static enum rc save_member(struct pxhost *h, uint64_t group, uint64_t replica, bool witness, struct err *err) {
    uint8_t b[MEMBER_BYTES];
    char name[48];
    snprintf(name, sizeof name, "member-%llu", (unsigned long long)group);
    set_u64le(b + 4, replica);
    set_u64le(b + 12, witness);
    set_u32le(b, crc32c(0, b + 4, sizeof b - 4));
    return file_replace(h->reactor, h->conf.dir, name, b, sizeof b, err);
}

static enum rc load_member(struct pxhost *h, uint64_t group, uint64_t *ret_replica, bool *ret_witness,
                           struct err *err) {
    uint8_t b[MEMBER_BYTES];
    char path[ENV_PATH_BYTES];
    struct env_file *f;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/member-%llu", h->conf.dir, (unsigned long long)group);
    enum rc rc = env_file_open(h->env, path, ENV_OPEN_READONLY, &f, err);
    if (rc)
        return rc;
    rc = env_file_read(f, b, sizeof b, 0, &n, err);
    env_file_close(f);
    if (!rc && (n != sizeof b || crc32c(0, b + 4, sizeof b - 4) != get_u32le(b)))
        rc = err_set(err, RC_CORRUPT, "%s is damaged", path);
    *ret_replica = get_u64le(b + 4);
    *ret_witness = get_u64le(b + 12) != 0;
    return rc;
}

static void unlink_of(struct pxhost *h, const char *what, uint64_t group) {
    char path[ENV_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s-%llu", h->conf.dir, what, (unsigned long long)group);
    IGNORE(env_unlink(h->env, path, NULL)); /* not there: so much the better */
}

static void drop_group(struct pxhost *h, struct pxhost_group *g) {
    map_del(&h->groups, &g->node);
    if (g->regs) {
        g->regs->replica = NULL;
        struct pxhost_regs_list *l = malloc(sizeof *l);
        CHECK(l);
        *l = (struct pxhost_regs_list){g->regs, h->retired};
        h->retired = l; /* a checkpoint of it may still run */
    }
    replica_witness_close(g->witness_sm);
    free(g);
}

static enum rc open_data(struct pxhost *h, struct pxhost_group *g, const struct replica_state *fresh,
                         struct replica_conf *rc_conf, struct err *err) {
    if (g->witness)
        return replica_witness_open(h->replicas, h->conf.dir, g->group, fresh, &rc_conf->ops, &g->witness_sm,
                                    &rc_conf->state, err);
    struct regs_conf conf = {h->reactor,        h->conf.dir,   g->group,        &h->watch, h->conf.checkpoint_every,
                             h->conf.pad_bytes, h->conf.gated, h->conf.no_files};
    enum rc rc = regs_open(&conf, fresh, &g->regs, err);
    if (!rc) {
        rc_conf->ops = &regs_ops;
        rc_conf->sm = g->regs;
        rc_conf->state = g->regs->state;
    }
    return rc;
}

/* Its data exist, or are made. */
static enum rc add_group(struct pxhost *h, uint64_t group, uint64_t replica, bool witness,
                         const struct replica_state *fresh, struct err *err) {
    struct replica_conf conf = {.group = group,
                                .replica = replica,
                                .sm_never_waits = witness || h->conf.sm_never_waits,
                                .preferred = h->conf.leader ? px_store_of((struct store_addr){h->conf.leader, 0}) : 0,
                                .lead_now = h->conf.leader == h->conf.node};
    struct pxhost_group *g = calloc(1, sizeof *g);
    struct replica *r;
    CHECK(g);
    g->group = group;
    g->replica_id = replica;
    g->witness = witness;
    map_put(&h->groups, &g->node, hash_u64(group));
    enum rc rc = open_data(h, g, fresh, &conf, err);
    if (!rc && witness)
        conf.sm = g->witness_sm;
    if (!rc)
        rc = replicas_add(h->replicas, &conf, &r, err);
    if (rc) {
        drop_group(h, g);
        return rc;
    }
    if (g->regs)
        g->regs->replica = r;
    return RC_OK;
}

/* A removed replica whose data were still there when the process died. */
static void clean_up(struct pxhost *h, uint64_t group) {
    unlink_of(h, "regs", group);
    unlink_of(h, "witness", group);
    unlink_of(h, "member", group);
}

static enum rc add_all(struct pxhost *h, struct err *err) {
    char formatted[ENV_PATH_BYTES];
    struct env_file *f = NULL;
    snprintf(formatted, sizeof formatted, "%s/formatted", h->conf.dir);
    bool fresh = env_file_open(h->env, formatted, ENV_OPEN_READONLY, &f, NULL) != RC_OK;
    env_file_close(f);
    enum rc rc = RC_OK;
    for (uint64_t group = 1; group <= h->conf.groups && !rc; group++) {
        struct replica_state first = {0};
        uint64_t replica = 0;
        bool witness = false;
        pxhost_first_config(&h->conf, group, &first.config);
        const struct px_member *m = px_config_find(&first.config, px_store_of((struct store_addr){h->conf.node, 0}));
        if (h->conf.no_files && m) {
            rc = add_group(h, group, m->replica, (m->flags & PX_WITNESS) != 0, &first, err);
            continue;
        }
        if (fresh && m)
            rc = save_member(h, group, m->replica, (m->flags & PX_WITNESS) != 0, err);
        if (!rc)
            rc = load_member(h, group, &replica, &witness, err);
        if (rc == RC_NOTFOUND) {
            rc = RC_OK; /* not on this store */
            continue;
        }
        if (!rc)
            rc = add_group(h, group, replica, witness, &first, err);
        if (rc == RC_INVAL) {
            clean_up(h, group);
            rc = RC_OK;
        }
    }
    return rc || !fresh || h->conf.no_files ? rc : file_replace(h->reactor, h->conf.dir, "formatted", "1", 1, err);
}

/* ---- members that come and go ------------------------------------------------------------------------------------ */

static enum rc on_create(void *ctx, uint64_t group, uint64_t replica, const struct px_config *config, struct err *err) {
    struct pxhost *h = ctx;
    struct replica_state fresh = {.config = *config};
    const struct px_member *m = px_config_find(config, replicas_self(h->replicas));
    bool witness = m && (m->flags & PX_WITNESS);
    if (pxhost_group(h, group))
        return err_set(err, RC_OVERLOAD, "it is being made, or removed, just now");
    enum rc rc = save_member(h, group, replica, witness, err);
    if (rc || pxhost_group(h, group))
        return rc ? rc : err_set(err, RC_OVERLOAD, "it is being made just now");
    return add_group(h, group, replica, witness, &fresh, err);
}

struct removal {
    struct pxhost *h;
    uint64_t group;
};

static void remove_main(void *arg) {
    struct removal *m = arg;
    struct pxhost *h = m->h;
    struct err err = {0};
    if (h->replicas && replica_remove(h->replicas, m->group, &err) == RC_OK) {
        struct pxhost_group *g = pxhost_group(h, m->group);
        clean_up(h, m->group);
        if (g)
            drop_group(h, g);
    }
    free(m);
}

static void watch_removed(void *ctx, struct regs *r) {
    struct pxhost *h = ctx;
    const struct regs_watch *w = h->conf.watch;
    struct removal *m = malloc(sizeof *m);
    CHECK(m);
    *m = (struct removal){h, r->conf.group};
    if (w && w->on_removed)
        w->on_removed(w->ctx, r);
    if (fiber_spawn(h->reactor, NULL, FIBER_LARGE, "remove", remove_main, m))
        free(m);
}

static void watch_apply(void *ctx, struct regs *g, px_slot slot, const struct px_value *v, uint64_t checksum) {
    const struct regs_watch *w = ((struct pxhost *)ctx)->conf.watch;
    if (w && w->on_apply)
        w->on_apply(w->ctx, g, slot, v, checksum);
}

static void watch_load(void *ctx, struct regs *g, px_slot slot, uint64_t checksum) {
    const struct regs_watch *w = ((struct pxhost *)ctx)->conf.watch;
    if (w && w->on_load)
        w->on_load(w->ctx, g, slot, checksum);
}

static void watch_lead(void *ctx, struct regs *g, bool begin) {
    const struct regs_watch *w = ((struct pxhost *)ctx)->conf.watch;
    if (w && w->on_lead)
        w->on_lead(w->ctx, g, begin);
}

/* ---- the store --------------------------------------------------------------------------------------------------- */

static void failed(struct pxhost *h, enum rc rc, const char *why) {
    if (rc != RC_SHUTDOWN && rc != RC_CANCELLED)
        diag_warn(&h->env->diag, "pxhost: cannot go on", "rc=%s reason=\"%s\"", rc_name(rc), why);
    if (h->conf.on_failed)
        h->conf.on_failed(h->conf.ctx, h, rc, why);
}

static void on_dead(void *ctx, enum rc rc, const char *why) {
    failed(ctx, rc, why);
}

static enum rc start(struct pxhost *h, struct err *err) {
    struct wal_damage damage = {0};
    struct replicas_conf conf = {.rpc = h->rpc,
                                 .clock = &h->clock,
                                 .dir = h->conf.dir,
                                 .lease_ns = h->conf.lease_ns,
                                 .renew_ns = h->conf.renew_ns,
                                 .limits = h->conf.limits,
                                 .wal = h->conf.wal,
                                 .create = on_create,
                                 .on_dead = on_dead,
                                 .ctx = h};
    enum rc rc = env_mkdir(h->env, h->conf.dir, err);
    if (rc == RC_EXISTS)
        rc = RC_OK;
    else if (!rc && h->conf.simulated)
        rc = dir_sync(h->reactor, "", err); /* the root of a simulated disk; a real test's directory need not last */
    if (!rc)
        rc = tt_wait_synced(h->reactor, &h->clock, DEADLINE_NONE);
    if (!rc)
        rc = replicas_open(&conf, &h->replicas, &damage, err);
    if (rc == RC_CORRUPT)
        err_detail(err, "segment %s offset %u: %s", damage.segment, damage.offset, damage.what);
    if (!rc)
        rc = add_all(h, err);
    return rc ? rc : replicas_start(h->replicas, err);
}

static void main_fiber(void *arg) {
    struct pxhost *h = arg;
    struct err err = {0};
    enum rc rc = start(h, &err);
    if (rc) {
        failed(h, rc, err.message);
        return;
    }
    h->ready = true;
    if (h->conf.body)
        h->conf.body(h->conf.ctx, h);
}

static bool resolve(void *ctx, uint32_t node, char *ret_addr, size_t bytes) {
    const struct pxhost *h = ctx;
    if (node < 1 || node > h->conf.nodes || !h->conf.addr[node - 1][0])
        return false;
    snprintf(ret_addr, bytes, "%s", h->conf.addr[node - 1]);
    return true;
}

static void clock_now(void *ctx, int64_t *ret_earliest, int64_t *ret_latest) {
    struct pxhost *h = ctx;
    tt_interval iv = tt_now(&h->clock);
    if (!tt_is_known(iv))
        return;
    *ret_earliest = iv.earliest;
    *ret_latest = iv.latest;
}

static enum rc boot_net(struct pxhost *h, struct err *err) {
    struct rpc_conf conf = {.peers = {.cluster = "px",
                                      .cluster_bytes = 2,
                                      .node = h->conf.node,
                                      .incarnation = h->conf.incarnation,
                                      .clock_scale = "tai",
                                      .datagrams = h->conf.datagrams,
                                      .clock = clock_now,
                                      .resolve = resolve,
                                      .ctx = h}};
    enum rc rc = rpc_new(h->reactor, &conf, &h->rpc, err);
    if (!rc)
        rc = rpc_link(&h->rpc, 1);
    return rc ? rc : rpc_listen(h->rpc, h->conf.addr[h->conf.node - 1], err);
}

enum rc pxhost_boot(struct pxhost *h, const struct pxhost_conf *conf, struct env *env, struct err *err) {
    struct tt_poller_conf clock = {.sources = {.host_dir = "host"}};
    *h = (struct pxhost){.conf = *conf, .env = env, .watch = {watch_apply, watch_load, watch_lead, watch_removed, h}};
    snprintf(h->dir, sizeof h->dir, "%s", conf->dir);
    h->conf.dir = h->dir;
    map_init(&h->groups);
    enum rc rc = reactor_new(env, NULL, &h->reactor);
    if (!rc)
        rc = tt_spec_parse(conf->clock, &clock.spec, err);
    if (!rc)
        rc = tt_poller_new(env, &clock, &h->poller, err);
    if (!rc)
        rc = tt_clock_init(&h->clock, env, tt_poller_page(h->poller), err);
    h->clock_ready = !rc;
    if (!rc)
        rc = boot_net(h, err);
    if (!rc)
        rc = fiber_spawn(h->reactor, NULL, FIBER_LARGE, "main", main_fiber, h);
    return rc;
}

void pxhost_stop(struct pxhost *h) {
    h->ready = false;
    rpc_stop(h->rpc);
    if (h->replicas)
        replicas_kill(h->replicas);
    reactor_stop(h->reactor);
}

bool pxhost_stopped(const struct pxhost *h) {
    return reactor_idle(h->reactor) && rpc_idle(h->rpc) && (!h->replicas || replicas_idle(h->replicas));
}

void pxhost_done(struct pxhost *h) {
    replicas_free(h->replicas);
    rpc_free(h->rpc);
    if (h->clock_ready)
        tt_clock_done(&h->clock);
    tt_poller_free(h->poller);
    map_for_each(n, &h->groups)
        drop_group(h, container_of(n, struct pxhost_group, node));
    map_done(&h->groups);
    for (struct pxhost_regs_list *l; (l = h->retired);) {
        h->retired = l->next;
        regs_close(l->regs);
        free(l);
    }
    reactor_free(h->reactor);
}
