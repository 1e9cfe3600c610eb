/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/replica_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/simkit.h"

enum { MS = 1000000, CLIENTS = 3, COMMANDS_MAX = 1 << 20 };
static const int64_t SECOND = 1000000000;

struct world;

enum fate { FATE_UNKNOWN, FATE_ACKED, FATE_NEVER };

struct chosen {
    uint64_t hash, checksum, id;
    int64_t ts;
};

/* The global observer of one group. */
struct wgroup {
    struct chosen *slot; /* by slot - 1 */
    size_t cap;
    px_slot last, acked;
    uint64_t leading; /* nodes, by bit */
    int64_t served;
};

struct wnode {
    struct world *w;
    uint32_t number;
    struct sim_node *sim;
    struct pxhost host;
    bool running, doomed, stopping, stopped;
    uint64_t boots;
    struct regs_watch watch;
};

struct world {
    struct rworld_conf conf;
    struct sim *sim;
    struct rng *rng;
    struct wnode node[PXHOST_NODES_MAX];
    struct wgroup *group;
    uint8_t fate[COMMANDS_MAX];
    uint64_t next_id, next_replica;
    bool healed, lied, over;
    uint64_t two_leading; /* groups with more than one store that thinks it leads */
    struct rworld_result *res;
};

static void broke(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void broke(struct world *w, const char *fmt, ...) {
    if (w->res->broken[0])
        return;
    int n = snprintf(w->res->broken, sizeof w->res->broken, "%.3f s: ", (double)sim_now(w->sim) / 1e9);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->res->broken + n, sizeof w->res->broken - (size_t)n, fmt, ap);
    va_end(ap);
}

/* ---- the observer ------------------------------------------------------------------------------------------------ */

static struct chosen *chosen_at(struct wgroup *g, px_slot slot) {
    if (slot > g->cap) {
        size_t cap = g->cap ? g->cap : 256;
        while (cap < slot)
            cap *= 2;
        g->slot = realloc(g->slot, cap * sizeof *g->slot);
        CHECK(g->slot);
        memset(g->slot + g->cap, 0, (cap - g->cap) * sizeof *g->slot);
        g->cap = cap;
    }
    return &g->slot[slot - 1];
}

static void on_apply(void *ctx, struct regs *r, px_slot slot, const struct px_value *v, uint64_t checksum) {
    struct wnode *n = ctx;
    struct world *w = n->w;
    struct wgroup *g = &w->group[r->conf.group];
    struct chosen *c = chosen_at(g, slot);
    uint64_t head[2] = {(uint64_t)v->kind, (uint64_t)v->ts};
    uint64_t hash = hash_bytes(v->data, v->bytes, hash_bytes(head, sizeof head, 1)) | 1;
    sim_trace_mix(w->sim, hash ^ slot);
    if (!c->hash) {
        *c = (struct chosen){hash, checksum, regs_command_id(v), v->ts};
        if (slot > g->last)
            g->last = slot;
        w->res->chosen++;
        if (c->id && w->fate[c->id] == FATE_NEVER)
            broke(w, "command %llu was refused for good, and stands in slot %llu of group %llu",
                  (unsigned long long)c->id, (unsigned long long)slot, (unsigned long long)r->conf.group);
        return;
    }
    if (c->hash != hash)
        broke(w, "INV-P1: slot %llu of group %llu has two values, the second says n%u", (unsigned long long)slot,
              (unsigned long long)r->conf.group, n->number);
    else if (c->checksum != checksum)
        broke(w, "INV-P4: states of group %llu differ after slot %llu, says n%u", (unsigned long long)r->conf.group,
              (unsigned long long)slot, n->number);
}

static void set_leading(struct wnode *n, uint64_t group, bool on) {
    struct wgroup *g = &n->w->group[group];
    bool before = (g->leading & (g->leading - 1)) != 0;
    g->leading = on ? g->leading | (uint64_t)1 << n->number : g->leading & ~((uint64_t)1 << n->number);
    bool after = (g->leading & (g->leading - 1)) != 0;
    n->w->two_leading += (uint64_t)after - (uint64_t)before;
    n->w->res->elections += on;
}

static void on_lead(void *ctx, struct regs *r, bool begin) {
    set_leading(ctx, r->conf.group, begin);
}

static void on_removed(void *ctx, struct regs *r) {
    struct wnode *n = ctx;
    (void)r;
    n->w->res->removed++;
}

static void on_event(void *ctx) {
    struct world *w = ctx;
    if (!w->two_leading || w->conf.lies)
        return;
    for (uint64_t id = 1; id <= w->conf.groups; id++) {
        int holders = 0;
        if (!(w->group[id].leading & (w->group[id].leading - 1)))
            continue;
        for (uint32_t i = 0; i < w->conf.nodes; i++) {
            struct replica *r = w->node[i].running ? pxhost_replica(&w->node[i].host, id) : NULL;
            holders += r && replica_leads(r);
        }
        if (holders > 1)
            broke(w, "INV-L1: %d stores hold the lease of group %llu", holders, (unsigned long long)id);
    }
}

static void check_timestamps(struct world *w) {
    for (uint64_t id = 1; id <= w->conf.groups; id++) {
        int64_t last = 0;
        for (px_slot s = 1; s <= w->group[id].last; s++) {
            const struct chosen *c = &w->group[id].slot[s - 1];
            if (c->hash && c->ts && c->ts <= last)
                broke(w, "INV-S1: slot %llu of group %llu has timestamp %lld, after %lld", (unsigned long long)s,
                      (unsigned long long)id, (long long)c->ts, (long long)last);
            last = c->ts > last ? c->ts : last;
        }
    }
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static void propose(struct wnode *n, struct replica *r, uint64_t group) {
    struct world *w = n->w;
    struct wgroup *g = &w->group[group];
    struct env *env = n->host.env;
    struct err err = {0};
    px_slot slot = 0;
    int64_t ts = 0, served = g->served;
    uint64_t sum = 0, id = ++w->next_id;
    if (id >= COMMANDS_MAX)
        return;
    size_t bytes = REGS_COMMAND_BYTES + (env_random(env) % 16 ? 0 : env_random(env) % 20000);
    struct px_value *v = regs_command(id, (uint32_t)env_random(env), env_random(env) & 1, env_random(env), bytes);
    tt_interval now = tt_now(&n->host.clock);
    int64_t min_ts = tt_is_known(now) && env_random(env) % 4 ? now.latest : 0;
    int64_t deadline = reactor_deadline(n->host.reactor, 2 * SECOND);
    enum rc rc = replica_propose(r, v, min_ts, deadline, &sum, &slot, &ts, &err);
    px_value_unref(v);
    if (rc == RC_OK) {
        const struct chosen *c = chosen_at(g, slot);
        w->fate[id] = FATE_ACKED;
        w->res->acked++;
        if (slot > g->acked)
            g->acked = slot;
        if (c->id != id)
            broke(w, "INV-P3: command %llu was acknowledged and is not in slot %llu of group %llu",
                  (unsigned long long)id, (unsigned long long)slot, (unsigned long long)group);
        if (min_ts && ts <= served && !w->conf.lies)
            broke(w, "INV-S2: group %llu assigned %lld, at or below %lld, which was served", (unsigned long long)group,
                  (long long)ts, (long long)served);
        if (w->conf.gated && ts && !w->conf.lies && ts >= sim_true_ns(w->sim))
            broke(w, "T-4: group %llu applied %lld before it had passed", (unsigned long long)group, (long long)ts);
    } else if (rc_retry(rc) != RETRY_ASK) {
        w->fate[id] = FATE_NEVER;
        for (px_slot s = 1; s <= g->last; s++)
            if (g->slot[s - 1].id == id)
                broke(w, "command %llu was refused (%s) and stands in slot %llu of group %llu", (unsigned long long)id,
                      rc_name(rc), (unsigned long long)s, (unsigned long long)group);
    }
}

static void serve(struct wnode *n, struct replica *r, uint64_t group) {
    struct wgroup *g = &n->w->group[group];
    tt_interval now = tt_now(&n->host.clock);
    if (!tt_is_known(now))
        return;
    int64_t ts =
        now.latest + (int64_t)(env_random(n->host.env) % (uint64_t)SECOND) * (env_random(n->host.env) % 3 == 0);
    if (replica_serve(r, ts, NULL) == RC_OK && ts > g->served)
        g->served = ts;
}

static void print_group(struct world *w, uint64_t id);

/* Another member, or one less, or other voters. */
static void change(struct wnode *n, struct replica *r) {
    struct world *w = n->w;
    struct env *env = n->host.env;
    struct px_status st;
    struct err err = {0};
    replica_status(r, &st);
    struct px_config c = st.config;
    uint32_t i = (uint32_t)(env_random(env) % w->conf.nodes);
    px_store store = px_store_of((struct store_addr){i + 1, 0});
    const struct px_member *m = px_config_find(&c, store);
    if (c.joint || store == replicas_self(n->host.replicas))
        return;
    if (!m) {
        uint32_t at = c.count++;
        for (; at > 0 && c.member[at - 1].store > store; at--)
            c.member[at] = c.member[at - 1];
        c.member[at] = (struct px_member){store, 100 + ++w->next_replica, env_random(env) % 3 ? PX_OLD : 0};
        for (uint32_t k = 0; k < c.count && c.member[at].flags; k++)
            if (k != at && c.member[k].store != replicas_self(n->host.replicas) && px_is_voter(&c.member[k]) &&
                !(c.member[k].flags & PX_WITNESS)) { /* in its place */
                memmove(&c.member[k], &c.member[k + 1], (c.count - k - 1) * sizeof c.member[0]);
                c.count--;
                break;
            }
    } else if (!px_is_voter(m) && env_random(env) % 2) {
        c.member[m - c.member].flags |= PX_OLD;
    } else if (!px_is_voter(m)) {
        memmove(&c.member[m - c.member], m + 1, (c.count - (size_t)(m - c.member) - 1) * sizeof c.member[0]);
        c.count--;
    } else {
        return;
    }
    if (replica_change(r, &c, reactor_deadline(n->host.reactor, 10 * SECOND), &err) == RC_OK)
        w->res->changes_done++;
    else
        diag_info(&env->diag, "world: a change of members failed", "reason=\"%s\"", err.message);
    if (getenv("SIM_PRINT") && strstr(err.message, "catch up"))
        print_group(w, replica_group(r));
}

static void administer(struct wnode *n, struct replica *r, uint64_t group) {
    struct world *w = n->w;
    struct env *env = n->host.env;
    struct pxhost_group *g = pxhost_group(&n->host, group);
    uint32_t to = 1 + (uint32_t)(env_random(env) % w->conf.nodes);
    switch (env_random(env) % 8) {
    case 0:
        IGNORE(replica_transfer(r, px_store_of((struct store_addr){to, 0}), reactor_deadline(n->host.reactor, SECOND),
                                NULL));
        break;
    case 1:
    case 3:
        if (w->conf.changes && replica_leads(r))
            change(n, r);
        break;
    case 2:
        if (env_random(env) % 8 == 0)
            replica_resign(r, "as you wish");
        break;
    case 4:
        if (env_random(env) % 4 == 0)
            IGNORE(replica_campaign(r, NULL));
        break;
    default:
        if (g && g->regs)
            regs_checkpoint(g->regs);
    }
}

static void client(void *arg) {
    struct wnode *n = arg;
    struct world *w = n->w;
    struct env *env = n->host.env;
    while (!w->over && n->host.ready && !n->stopping) {
        int64_t pause = (int64_t)(env_random(env) % (w->conf.groups > 20 ? 20 * MS : 80 * MS));
        if (fiber_sleep(n->host.reactor, 1 + pause))
            return;
        uint64_t group = 1 + env_random(env) % w->conf.groups;
        struct replica *r = pxhost_replica(&n->host, group);
        if (!r)
            continue;
        uint64_t what = env_random(env) % 100;
        if (what < 70 && replica_leader(r) == replicas_self(n->host.replicas))
            propose(n, r, group);
        else if (what < 85)
            serve(n, r, group);
        else if (!w->healed || what < (w->conf.changes ? 95 : 88))
            administer(n, r, group);
    }
}

static void body(void *ctx, struct pxhost *h) {
    struct wnode *n = ctx;
    for (int i = 0; i < CLIENTS; i++)
        IGNORE(fiber_spawn(h->reactor, NULL, FIBER_LARGE, "client", client, n));
    while (!n->stopping)
        if (fiber_sleep(h->reactor, 50 * MS))
            return;
    replicas_stop(h->replicas, reactor_deadline(h->reactor, 5 * SECOND));
    n->stopped = true;
}

static void on_failed(void *ctx, struct pxhost *h, enum rc rc, const char *why) {
    struct wnode *n = ctx;
    (void)h;
    if (rc == RC_CORRUPT)
        broke(n->w, "n%u: %s", n->number, why);
    n->doomed = true;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct wnode *n = arg;
    struct world *w = n->w;
    struct pxhost_conf conf = {.node = n->number,
                               .nodes = w->conf.nodes,
                               .dir = "data",
                               .clock = "sim;max_eps=200ms",
                               .groups = w->conf.groups,
                               .voters = w->conf.voters,
                               .witnesses = w->conf.witnesses,
                               .learners = w->conf.learners,
                               .datagrams = w->conf.datagrams,
                               .simulated = true,
                               .incarnation = ++n->boots,
                               .wal = {.segment_bytes = 128 << 10, .segments_soft = 3},
                               .checkpoint_every = 200,
                               .pad_bytes = 300000,
                               .gated = w->conf.gated,
                               .watch = &n->watch,
                               .body = body,
                               .on_failed = on_failed,
                               .ctx = n};
    (void)count;
    for (uint32_t i = 0; i < w->conf.nodes; i++)
        snprintf(conf.addr[i], sizeof conf.addr[i], "n%u:7433", i + 1);
    n->doomed = n->stopping = n->stopped = false;
    *ret_state = n;
    enum rc rc = pxhost_boot(&n->host, &conf, stores[0], err);
    n->running = rc == RC_OK;
    return rc;
}

static void stop(void *state, uint16_t store) {
    struct wnode *n = state;
    (void)store;
    n->running = false;
    for (uint64_t id = 1; id <= n->w->conf.groups; id++)
        if (n->w->group[id].leading >> n->number & 1)
            set_leading(n, id, false);
    pxhost_stop(&n->host);
}

static bool stopped(void *state, uint16_t store) {
    (void)store;
    return pxhost_stopped(&((struct wnode *)state)->host);
}

static void done(void *state) {
    pxhost_done(&((struct wnode *)state)->host);
}

static const struct program program = {boot, stop, stopped, done};

static void start(struct world *w, struct wnode *n) {
    struct err err = {0};
    if (!sim_node_running(n->sim) && sim_node_start(n->sim, &err))
        broke(w, "n%u does not start: %s", n->number, err.message);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void crash(struct world *w, struct wnode *n) {
    if (!sim_node_running(n->sim))
        return;
    w->res->crashes++;
    enum sim_crash how = rng_chance(w->rng, 0.5) ? SIM_KILL : SIM_POWER;
    if (rng_chance(w->rng, 0.5))
        sim_node_crash_at_io(n->sim, how, 1 + rng_below(w->rng, 40));
    else
        sim_node_crash(n->sim, how);
}

static void shake_disk(struct world *w, struct wnode *n) {
    struct sim_disk_faults *d = sim_disk_faults(n->sim);
    switch (rng_below(w->rng, 5)) {
    case 0:
        d->sync_ns = rng_range(w->rng, 50000, 20 * MS);
        d->sync_jitter_ns = d->sync_ns;
        break;
    case 1:
        d->hang_until_ns = sim_now(w->sim) + rng_range(w->rng, 0, 6 * SECOND);
        break;
    case 2:
        d->sync_eio = w->conf.disks && rng_chance(w->rng, 0.3) ? 0.01 : 0;
        break;
    default:
        *d = (struct sim_disk_faults){.sync_ns = 100000, .sync_jitter_ns = 100000};
    }
}

static void shake_clock(struct world *w, struct wnode *n) {
    struct sim_truth *t = sim_truth(n->sim, 0);
    switch (rng_below(w->rng, 4)) {
    case 0:
        t->bound_ns = rng_range(w->rng, 100000, 50 * MS);
        t->jitter_ns = t->bound_ns * 8 / 10;
        break;
    case 1:
        t->lost = rng_chance(w->rng, 0.3);
        break;
    case 2:
        sim_clock_drift(n->sim, rng_range(w->rng, -40000, 40000));
        break;
    default:
        t->lost = false;
        t->lie_ns = w->conf.lies && rng_chance(w->rng, 0.5) ? rng_range(w->rng, -4 * SECOND, 4 * SECOND) : 0;
    }
}

static void disturb(struct world *w) {
    struct wnode *n = &w->node[rng_below(w->rng, w->conf.nodes)], *m = &w->node[rng_below(w->rng, w->conf.nodes)];
    switch (rng_below(w->rng, 12)) {
    case 0:
        if (n != m)
            sim_link(n->sim, m->sim)->cut = true;
        break;
    case 1:
        sim_partition(w->sim, rng_below(w->rng, (uint64_t)1 << w->conf.nodes), true);
        break;
    case 2:
    case 3:
    case 4:
        sim_heal(w->sim);
        break;
    case 5:
    case 6:
        crash(w, n);
        break;
    case 7:
        if (sim_node_running(n->sim))
            sim_node_pause(n->sim, SIM_STALL, rng_range(w->rng, 10 * MS, 5 * SECOND));
        break;
    case 8:
        shake_disk(w, n);
        break;
    case 9:
        shake_clock(w, n);
        break;
    case 10:
        if (n->running && n->host.ready)
            n->stopping = true; /* a clean stop */
        break;
    default:
        start(w, n);
    }
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        struct wnode *x = &w->node[i];
        if (sim_node_running(x->sim) && (x->stopped || (x->doomed && rng_chance(w->rng, 0.5))))
            sim_node_crash(x->sim, SIM_KILL); /* it has said all it had to say */
        else if (!sim_node_running(x->sim) && rng_chance(w->rng, 0.4))
            start(w, x);
    }
}

static void bad_times(struct world *w) {
    struct rng *rng = w->rng;
    struct sim_link link = {.latency_ns = rng_range(rng, 50000, 30 * MS),
                            .jitter_ns = rng_range(rng, 0, 5 * MS),
                            .loss = rng_chance(rng, 0.5) ? 0.15 * rng_double(rng) : 0,
                            .duplicate = rng_chance(rng, 0.5) ? 0.2 * rng_double(rng) : 0,
                            .reorder = rng_chance(rng, 0.5) ? 0.2 * rng_double(rng) : 0,
                            .corrupt = rng_chance(rng, 0.2) ? 0.01 * rng_double(rng) : 0};
    sim_links_all(w->sim, &link);
    int64_t end = sim_now(w->sim) + w->conf.faults_ns;
    while (sim_now(w->sim) < end && !w->res->broken[0]) {
        sim_run(w->sim, sim_now(w->sim) + rng_range(rng, 0, 800 * MS));
        disturb(w);
    }
}

/* Somebody starts a store again that has said that it cannot go on. */
static void start_dead(struct world *w) {
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        struct wnode *n = &w->node[i];
        if (n->doomed || n->stopping)
            sim_node_crash(n->sim, SIM_KILL);
        start(w, n);
    }
}

static void heal(struct world *w) {
    struct sim_link good = {.latency_ns = MS};
    sim_links_all(w->sim, &good);
    sim_heal(w->sim);
    static const char *const places[] = {"regs: a run is not applied", "regs: slow to apply",
                                         "net: connection breaks before a write", "rpc: answer lost"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        sim_chance(w->sim, places[i], 0);
    w->lied = w->conf.lies;
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        struct wnode *n = &w->node[i];
        *sim_disk_faults(n->sim) = (struct sim_disk_faults){.sync_ns = 100000};
        *sim_truth(n->sim, 0) = (struct sim_truth){.bound_ns = 100000, .jitter_ns = 80000};
        sim_clock_drift(n->sim, 0);
        sim_node_crash_at_io(n->sim, SIM_KILL, UINT64_C(1) << 40);
    }
    start_dead(w);
    w->healed = true;
}

/* ---- settling ---------------------------------------------------------------------------------------------------- */

/* A leader that serves, and all members where it is. *ret_why says what is missing. */
static bool group_agrees(struct world *w, uint64_t id, char *why, size_t bytes) {
    struct replica *leader = NULL;
    struct px_status st;
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        struct replica *r = pxhost_replica(&w->node[i].host, id);
        if (w->node[i].running && r && replica_leads(r))
            leader = r;
    }
    if (!leader) {
        snprintf(why, bytes, "no leader");
        return false;
    }
    replica_status(leader, &st);
    if (st.config.joint || st.config_pending || replica_applied(leader) < w->group[id].acked) {
        snprintf(why, bytes, "a change is not over");
        return false;
    }
    for (uint32_t i = 0; i < st.config.count; i++) {
        const struct px_member *m = &st.config.member[i];
        struct wnode *n = &w->node[px_store_addr(m->store).node - 1];
        struct replica *r = pxhost_replica(&n->host, id);
        if (!r) { /* a learner whose store was never asked, or one that left and has not been asked back */
            if (!px_is_voter(m))
                continue;
            snprintf(why, bytes, "n%u has no replica", n->number);
            return false;
        }
        if (replica_id(r) == m->replica && replica_applied(r) != replica_applied(leader)) {
            snprintf(why, bytes, "n%u is at %llu, the leader at %llu", n->number,
                     (unsigned long long)replica_applied(r), (unsigned long long)replica_applied(leader));
            return false;
        }
    }
    return true;
}

static bool all_agree(struct world *w, char *why, size_t bytes) {
    for (uint64_t id = 1; id <= w->conf.groups; id++) {
        char text[128] = "";
        if (!group_agrees(w, id, text, sizeof text)) {
            snprintf(why, bytes, "group %llu: %s", (unsigned long long)id, text);
            return false;
        }
    }
    return true;
}

static void print_group(struct world *w, uint64_t id) {
    for (uint32_t i = 0; i < w->conf.nodes; i++) {
        struct pxhost *h = &w->node[i].host;
        struct replica *r = w->node[i].running ? pxhost_replica(h, id) : NULL;
        struct buf b;
        buf_init(&b, 0);
        if (r)
            replica_describe(r, &b);
        if (r)
            buf_printf(&b, " incarnation=%llu boots=%llu paused=%llu lease_ms=%lld half_ms=%lld off_ms=%lld",
                       (unsigned long long)replicas_incarnation(h->replicas), (unsigned long long)w->node[i].boots,
                       (unsigned long long)counter_get(&replicas_stats(h->replicas)->support_paused),
                       (long long)(replica_lease_end(r) - sim_true_ns(w->sim)) / MS,
                       (long long)tt_half_width(tt_now(&h->clock)) / MS,
                       (long long)(tt_now(&h->clock).earliest - sim_true_ns(w->sim)) / MS);
        fprintf(stderr, "# n%u: %s leads=%d persists=%d log=%s stalled_ms=%lld\n", i + 1,
                r ? buf_cstr(&b) : "no replica", r && replica_leads(r),
                r ? (int)gauge_get(&replicas_stats(h->replicas)->proposals) : 0,
                r ? rc_name(wal_health(replicas_wal(h->replicas))) : "-",
                r ? (long long)wal_stalled_ns(replicas_wal(h->replicas)) / MS : 0);
        buf_done(&b);
    }
}

static void good_times(struct world *w) {
    char why[200] = "";
    /* A clock that was found to lie is believed again after 20 s (truetime/poller.h, B2). */
    int64_t again = w->lied ? 25 * SECOND : 0;
    int64_t busy = sim_now(w->sim) + again + 20 * SECOND, end = busy + 70 * SECOND;
    uint64_t acked = w->res->acked;
    int64_t calm_ns = busy - sim_now(w->sim);
    while (sim_now(w->sim) < busy) {
        sim_run(w->sim, sim_now(w->sim) + SECOND);
        start_dead(w);
        if (busy - sim_now(w->sim) < calm_ns - 10 * SECOND)
            w->conf.lies = false; /* what was granted and promised by false clocks is over */
    }
    if (w->res->acked == acked)
        broke(w, "LIVE-1: nothing was acknowledged in %lld s without faults", (long long)(calm_ns / SECOND));
    w->over = true; /* clients end */
    while (sim_now(w->sim) < end && !w->res->broken[0]) {
        sim_run(w->sim, sim_now(w->sim) + SECOND);
        start_dead(w);
        if (all_agree(w, why, sizeof why))
            return;
    }
    broke(w, "LIVE-1: 70 s after the last command %s", why);
    if (getenv("SIM_PRINT"))
        for (uint64_t id = 1; id <= w->conf.groups; id++)
            if (!group_agrees(w, id, why, sizeof why))
                print_group(w, id);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void rworld_mix(uint64_t seed, int64_t faults_ns, struct rworld_conf *ret) {
    struct rng rng;
    rng_init(&rng, seed * 77 + 5);
    static const uint32_t groups[] = {1, 1, 2, 3, 5, 10, 40};
    *ret = (struct rworld_conf){.seed = seed, .faults_ns = faults_ns};
    ret->nodes = rng_chance(&rng, 0.6) ? 3 : 5;
    ret->voters = ret->nodes == 5 && rng_chance(&rng, 0.5) ? 5 : 3;
    ret->witnesses = rng_chance(&rng, 0.3) ? (uint32_t)rng_below(&rng, ret->voters / 2 + 1) : 0;
    ret->learners = ret->nodes > ret->voters ? (uint32_t)rng_below(&rng, ret->nodes - ret->voters + 1) : 0;
    ret->groups = seed % 50 == 49 ? 200 : groups[rng_below(&rng, ARRAY_LEN(groups))];
    ret->datagrams = rng_chance(&rng, 0.5);
    ret->changes = rng_chance(&rng, 0.5);
    ret->lies = rng_chance(&rng, 0.15);
    ret->gated = rng_chance(&rng, 0.5);
    ret->disks = rng_chance(&rng, 0.5);
}

void rworld_run(const struct rworld_conf *conf, struct rworld_result *ret,
                void (*probe)(void *ctx, const char *what, uint64_t hits), void *ctx) {
    struct sim_conf sc = simkit_conf(conf->seed);
    struct world *w = calloc(1, sizeof *w);
    CHECK(w);
    *ret = (struct rworld_result){0};
    if (conf->mutant)
        sc.mutant = conf->mutant;
    w->conf = *conf;
    w->res = ret;
    w->sim = sim_new(&sc);
    w->rng = sim_rng(w->sim);
    w->group = calloc(conf->groups + 1, sizeof *w->group);
    CHECK(w->sim && w->group);
    if (conf->calm)
        sim_chance_off(w->sim);
    for (uint32_t i = 0; i < conf->nodes; i++) {
        char name[8];
        struct wnode *n = &w->node[i];
        *n = (struct wnode){.w = w,
                            .number = i + 1,
                            .watch = {.on_apply = on_apply, .on_lead = on_lead, .on_removed = on_removed, .ctx = n}};
        snprintf(name, sizeof name, "n%u", i + 1);
        n->sim = sim_node_new(w->sim, name, 1, &program, n);
        *sim_disk_faults(n->sim) = (struct sim_disk_faults){.sync_ns = 100000, .sync_jitter_ns = 100000};
        start(w, n);
    }
    sim_on_event(w->sim, on_event, w);
    if (conf->calm)
        sim_run(w->sim, conf->faults_ns);
    else
        bad_times(w);
    heal(w);
    if (!ret->broken[0])
        good_times(w);
    check_timestamps(w);
    for (uint32_t i = 0; i < conf->nodes; i++)
        if (w->node[i].running && w->node[i].host.replicas)
            ret->snapshots += counter_get(&replicas_stats(w->node[i].host.replicas)->snapshots_loaded);
    if (probe)
        sim_probes_each(w->sim, probe, ctx);
    ret->trace = sim_trace(w->sim);
    ret->events = sim_events(w->sim);
    w->over = true;
    sim_free(w->sim);
    for (uint64_t id = 1; id <= conf->groups; id++)
        free(w->group[id].slot);
    free(w->group);
    free(w);
}
