/* SPDX-License-Identifier: Apache-2.0 */
/*
 * register.c: the scenario `register`: one replicated register on three continents, through the death of its leader.
 *
 *     0 s       2 s                     6 s            12 s                16 s                  19 s
 *     | a       | commands at us        | us is killed | us is back,       | the leadership is    |
 *     | leader  |                       |              | and catches up    | handed back to us    |
 *
 * The voters are us, eu and asia: the real Paxos core, log, leases and network code. A client on each node adds one to
 * the register whenever its node leads. The state machine keeps nothing on disk: what a restarted node knows, its log and its
 * peers told it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/scenarios/scenario.h"
#include "geo-sim/scenarios/world.h"
#include "shard/replica/replica.h"
#include "shard/runtime/ttwait.h"
#include "shard/runtime/wait.h"
#include "truetime/base/map.h"

enum { REGIONS = 3, SLOTS = 76, LATENCIES_MAX = 4000, GROUP = 1 };

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static const int64_t slot_ns = 250 * MS, end_ns = SLOTS * 250 * MS, kill_ns = 6 * SEC, back_ns = 12 * SEC,
                     hand_over_ns = 16 * SEC, lease_ns = 3 * SEC, pause_ns = 20 * MS;

static const char topology[] = "format 1\n"
                               "region us 1 zones a at 37.37 -79.82\n"
                               "region eu 2 zones a at 52.37 4.90\n"
                               "region asia 3 zones a at 35.68 139.77\n"
                               "default jitter 0.5% loss 0 rate 1gbit\n"
                               "link us eu rtt 90ms\n"
                               "link us asia rtt 165ms\n"
                               "link eu asia rtt 242ms\n"
                               "master us 3 period 250ms jitter 20us err 100us\n"
                               "master eu 3 period 250ms jitter 20us err 100us\n"
                               "master asia 3 period 250ms jitter 20us err 100us\n";

struct story;

/* The register on one node. */
struct reg {
    struct story *story;
    struct world_node *node;
    struct replicas *replicas;
    struct replica_state state;
    uint64_t value, checksum;
    bool leads, ready;
    bool acked[SLOTS];
    int64_t latency[LATENCIES_MAX];
    size_t latencies;
};

struct story {
    struct world *world;
    struct reg reg[REGIONS];
    uint64_t acked, unknown, refused;
    int64_t last_ack_ns;          /* of anybody */
    int64_t kill_gap_ns;          /* from the kill to the first acknowledgement of the new leader */
    unsigned killed_led, new_led; /* who led before and after */
    int64_t hand_over_gap_ns;
    unsigned last_acker;
    bool handed_over;
    enum rc hand_over_rc;
};

/* ---- the state machine ------------------------------------------------------------------------------------------- */

static enum rc on_apply(void *sm, const struct replica_entry *run, size_t count, const struct replica_state *after,
                        struct err *err) {
    struct reg *g = sm;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        g->value += run[i].value->kind == PX_COMMAND;
        g->checksum = hash_u64(g->checksum ^ run[i].slot ^ (uint64_t)run[i].value->ts);
    }
    g->state = *after;
    return RC_OK;
}

static enum rc on_reload(void *sm, struct replica_state *ret, struct err *err) {
    (void)err;
    *ret = ((struct reg *)sm)->state;
    return RC_OK;
}

static void on_lead_begin(void *sm, const struct px_ballot *ballot, int64_t floor) {
    (void)ballot, (void)floor;
    ((struct reg *)sm)->leads = true;
}

static void on_lead_end(void *sm, const struct px_ballot *ballot) {
    (void)ballot;
    ((struct reg *)sm)->leads = false;
}

static void on_removed(void *sm) {
    (void)sm; /* members do not change here */
}

static const struct replica_sm_ops register_ops = {.apply = on_apply,
                                                   .reload = on_reload,
                                                   .on_lead_begin = on_lead_begin,
                                                   .on_lead_end = on_lead_end,
                                                   .on_removed = on_removed};

/* ---- a node ------------------------------------------------------------------------------------------------------ */

static enum rc open_replica(struct reg *g, struct replica **ret, struct err *err) {
    struct reactor *r = g->node->reactor;
    struct replicas_conf conf = {.rpc = g->node->rpc, .clock = &g->node->clock, .dir = "data", .lease_ns = lease_ns};
    struct replica_conf rc_conf = {.group = GROUP,
                                   .replica = g->node->id,
                                   .ops = &register_ops,
                                   .sm = g,
                                   .preferred = px_store_of(world_addr(&g->story->world->node[0])),
                                   .lead_now = g->node->id == 1 && g->node->boots == 1};
    struct wal_damage damage;
    rc_conf.state.config = (struct px_config){.epoch = 1, .count = REGIONS};
    for (uint32_t i = 0; i < REGIONS; i++)
        rc_conf.state.config.member[i] =
            (struct px_member){px_store_of(world_addr(&g->story->world->node[i])), i + 1, PX_OLD};
    g->state = rc_conf.state;
    g->value = g->checksum = 0;
    enum rc rc = env_mkdir(reactor_env(r), "data", err);
    if (rc == RC_OK || rc == RC_EXISTS)
        rc = dir_sync(r, "", err);
    if (!rc)
        rc = tt_wait_synced(r, &g->node->clock, DEADLINE_NONE);
    if (!rc)
        rc = replicas_open(&conf, &g->replicas, &damage, err);
    if (!rc)
        rc = replicas_add(g->replicas, &rc_conf, ret, err);
    return rc ? rc : replicas_start(g->replicas, err);
}

static void note_ack(struct reg *g, int64_t began) {
    struct story *st = g->story;
    int64_t now = sim_now(st->world->sim);
    unsigned who = g->node->id;
    st->acked++;
    if (now < end_ns)
        g->acked[now / slot_ns] = true;
    bool all_live = began < kill_ns || began >= back_ns + SEC; /* else the nearest other voter may be the dead one */
    if (all_live && g->latencies < LATENCIES_MAX)
        g->latency[g->latencies++] = now - began;
    if (st->last_acker != who && now > kill_ns && !st->new_led) {
        st->kill_gap_ns = now - kill_ns;
        st->new_led = who;
    } else if (st->last_acker != who && now > hand_over_ns && !st->handed_over) {
        st->hand_over_gap_ns = now - st->last_ack_ns;
        st->handed_over = true;
    }
    st->last_acker = who;
    st->last_ack_ns = now;
}

/* Adds one to the register, again and again, while its node leads. */
static void client(struct reg *g, struct replica *r) {
    struct story *st = g->story;
    struct reactor *re = g->node->reactor;
    while (sim_now(st->world->sim) < end_ns) {
        if (fiber_sleep(re, pause_ns))
            return;
        tt_interval now = tt_now(&g->node->clock);
        if (!g->leads || !tt_is_known(now) || sim_now(st->world->sim) < 2 * SEC)
            continue;
        struct px_value *v = px_value_new(PX_COMMAND, "+1", 2);
        if (!v)
            continue;
        int64_t began = sim_now(st->world->sim);
        enum rc rc = replica_propose(r, v, now.latest, reactor_deadline(re, 2 * SEC), NULL, NULL, NULL, NULL);
        px_value_unref(v);
        if (rc == RC_OK)
            note_ack(g, began);
        else if (rc_retry(rc) == RETRY_ASK)
            st->unknown++;
        else
            st->refused++;
    }
}

static void node_main(void *arg) {
    struct reg *g = arg;
    struct err err = {0};
    struct replica *r = NULL;
    enum rc rc = open_replica(g, &r, &err);
    if (rc) {
        diag_warn(&reactor_env(g->node->reactor)->diag, "register: cannot begin", "reason=\"%s\"", err.message);
        return;
    }
    g->ready = true;
    client(g, r);
}

static enum rc on_boot(struct world_node *n, void *ctx, struct err *err) {
    struct story *st = ctx;
    struct reg *g = &st->reg[n->id - 1];
    g->story = st;
    g->node = n;
    g->ready = g->leads = false;
    g->replicas = NULL;
    (void)err;
    return fiber_spawn(n->reactor, NULL, FIBER_LARGE, "register", node_main, g);
}

static void on_stop(struct world_node *n, void *ctx) {
    struct reg *g = &((struct story *)ctx)->reg[n->id - 1];
    g->leads = false;
    if (g->replicas)
        replicas_kill(g->replicas);
}

static bool is_stopped(const struct world_node *n, void *ctx) {
    const struct reg *g = &((struct story *)ctx)->reg[n->id - 1];
    return !g->replicas || replicas_idle(g->replicas);
}

static void on_done(struct world_node *n, void *ctx) {
    struct reg *g = &((struct story *)ctx)->reg[n->id - 1];
    replicas_free(g->replicas);
    g->replicas = NULL;
}

/* ---- the story --------------------------------------------------------------------------------------------------- */

struct hand_over {
    struct story *story;
    struct reg *from;
};

static void hand_over_main(void *arg) {
    struct hand_over *h = arg;
    struct reg *g = h->from;
    struct replica *r = replicas_find(g->replicas, GROUP);
    px_store to = px_store_of(world_addr(&h->story->world->node[0]));
    h->story->hand_over_rc =
        r ? replica_transfer(r, to, reactor_deadline(g->node->reactor, 2 * SEC), NULL) : RC_NOTFOUND;
    free(h);
}

static void hand_back(struct story *st) {
    for (unsigned i = 0; i < REGIONS; i++) {
        struct reg *g = &st->reg[i];
        struct hand_over *h = g->leads ? malloc(sizeof *h) : NULL;
        if (!h)
            continue;
        *h = (struct hand_over){st, g};
        if (fiber_spawn(g->node->reactor, NULL, FIBER_SMALL, "hand over", hand_over_main, h))
            free(h);
    }
}

static enum rc play(struct story *st, struct err *err) {
    struct world *w = st->world;
    st->hand_over_rc = RC_NOTFOUND;
    world_run(w, kill_ns);
    st->killed_led = st->last_acker;
    sim_node_crash(w->node[0].sim, SIM_KILL);
    world_run(w, back_ns);
    enum rc rc = world_start(&w->node[0], err);
    if (rc)
        return rc;
    world_run(w, hand_over_ns);
    hand_back(st);
    world_run(w, end_ns + 2 * SEC); /* the last ones come to rest */
    return RC_OK;
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

static double ms(int64_t ns) {
    return (double)ns / (double)MS;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t median(struct reg *g) {
    if (!g->latencies)
        return 0;
    qsort(g->latency, g->latencies, sizeof *g->latency, by_value);
    return g->latency[g->latencies / 2];
}

static void report_writes(struct story *st, struct show *s) {
    static const int64_t bound_ns[REGIONS] = {90 * MS, 90 * MS, 165 * MS}; /* to the nearest other voter and back */
    bool near_bound = true;
    show_head(s, "Commands: each is durable on two continents, and applied here, when it is acknowledged");
    show_line(s, "  %-7s %8s %12s   %s", "led by", "commands", "median",
              "at least: the round trip to the nearest other voter, while all live");
    for (unsigned i = 0; i < REGIONS; i++) {
        struct reg *g = &st->reg[i];
        if (!g->latencies)
            continue;
        show_line(s, "  %-7s %8zu %9.1f ms   %.0f ms", st->world->node[i].name, g->latencies, ms(median(g)),
                  ms(bound_ns[i]));
        near_bound &= median(g) >= bound_ns[i] - MS && median(g) < bound_ns[i] + 10 * MS;
    }
    show_check(s, st->acked > 50 && near_bound, "a command costs one round trip to the nearest quorum, and no more");
}

static void report_time(struct story *st, struct show *s) {
    show_head(s, "Who acknowledged commands when (a column is %.0f ms)", ms(slot_ns));
    for (unsigned i = 0; i < REGIONS; i++) {
        show_piece(s, SHOW_PLAIN, "  %-7s ", st->world->node[i].name);
        for (unsigned k = 0; k < SLOTS; k++) {
            int64_t at = k * slot_ns;
            bool down = i == 0 && at >= kill_ns && at < back_ns;
            show_piece(s, st->reg[i].acked[k] ? SHOW_GOOD : SHOW_DIM, "%c",
                       st->reg[i].acked[k] ? '#'
                       : down              ? ' '
                                           : '.');
        }
        show_line(s, "%s", "");
    }
    show_line(s, "    6.0 s  us, which leads, is killed");
    show_line(s, "   12.0 s  us is started again");
    show_line(s, "   16.0 s  the leadership is handed back to us");
    show_check(s, st->killed_led == 1, "us led, as it is preferred");
    show_check(s, st->new_led > 1 && st->kill_gap_ns <= lease_ns + SEC + 330 * MS,
               "after the kill another continent led within %.2f s: the lease of %.0f s and an election",
               (double)st->kill_gap_ns / 1e9, (double)lease_ns / 1e9);
    show_check(s, st->hand_over_rc == RC_OK && st->handed_over && st->hand_over_gap_ns < SEC,
               "the planned hand-over interrupted commands for %.0f ms", ms(st->hand_over_gap_ns));
}

static void report_end(struct story *st, struct show *s) {
    bool equal = true;
    char acked[SHOW_COUNT_BYTES];
    show_head(s, "The register at the end");
    for (unsigned i = 0; i < REGIONS; i++) {
        struct reg *g = &st->reg[i];
        show_line(s, "  %-7s value %" PRIu64 "  slot %" PRIu64 "  checksum %016" PRIx64, st->world->node[i].name,
                  g->value, g->state.applied, g->checksum);
        equal &= g->checksum == st->reg[0].checksum && g->state.applied == st->reg[0].state.applied;
    }
    show_check(s, equal, "all three replicas have applied the same commands in the same order");
    show_check(s, st->reg[0].value >= st->acked && st->reg[0].value <= st->acked + st->unknown,
               "no acknowledged command is lost, none counts twice: %s acknowledged, %" PRIu64 " left open by the kill",
               show_count(st->acked, acked, sizeof acked), st->unknown);
}

enum rc scenario_register(const struct scenario_conf *conf, struct show *show, struct scenario_result *ret,
                          struct err *err) {
    struct story *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(err, RC_NOMEM, "out of memory");
    struct world_conf wc = {.seed = conf->seed,
                            .print = conf->print,
                            .topology = topology,
                            .on_boot = on_boot,
                            .on_stop = on_stop,
                            .is_stopped = is_stopped,
                            .on_done = on_done,
                            .ctx = st};
    enum rc rc = world_new(&wc, &st->world, err);
    if (!rc)
        rc = play(st, err);
    if (!rc) {
        show_title(show, "A replicated register on three continents",
                   "Paxos, leases on TrueTime and write-ahead logs, in one thread and virtual time. Seed %" PRIu64 ".",
                   conf->seed);
        report_writes(st, show);
        report_time(st, show);
        report_end(st, show);
        *ret = (struct scenario_result){sim_now(st->world->sim), sim_events(st->world->sim), sim_trace(st->world->sim)};
    }
    world_free(st->world);
    free(st);
    return rc;
}
