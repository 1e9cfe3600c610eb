/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network code in a simulated network: three nodes of two stores call, notify and stream to each other while
 * links lose, double, reorder, damage and cut, streams are reset, and nodes are killed and come back. Then everything
 * heals.
 *
 * Safety      an answer is the answer to its question; a call ends by its deadline; a stream's bytes are right or it
 *             says that it broke; a message on a connection comes at most once. A call that says it never left was
 *             never executed, then or later; one that says it worked was; over connections none is executed twice.
 * Liveness    once healed, every store reaches every other, and no call fails any more.
 * Both kinds of transport, connections and datagrams, run the same workload.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/sim/sim.h"
#include "shard/net/rpc.h"
#include "shard/net/stream.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/unit/net/testnode.h"

enum { NODES = 3, STORES = 2, PORT = 7433, MARKS_MAX = 100000, TYPE_MARK = 200 };
enum phase { PHASE_FAULTS, PHASE_HEALED, PHASE_OVER };

struct simnode {
    struct world *world;
    struct sim_node *sim;
    struct testnode t; /* what the services count; not started */
    struct reactor *reactor[STORES];
    struct rpc *rpc[STORES];
    uint64_t incarnation;
};

struct world {
    struct sim *sim;
    bool datagrams;
    void (*script)(struct rpc *rpc, struct world *w); /* instead of the workload: on node 1 store 0 */
    bool script_done, greet;                          /* greet: the others say hello to it when they start */
    enum phase phase;
    struct simnode node[NODES];
    uint64_t good, failed, late, wrong, notes_sent, uploads, uploads_good;
    uint64_t healed_failures, healed_good;
    bool reached[NODES][STORES][NODES][STORES];
    uint64_t marks;
    struct mark {
        uint8_t executed; /* how often */
        uint8_t rc;       /* how its call ended */
        bool ended;
    } mark[MARKS_MAX];
};

struct body {
    struct simnode *n;
    uint16_t store;
};

/* ---- the workload ------------------------------------------------------------------------------------------------ */

static void judge(struct world *w, enum rc rc, const struct err *err, int64_t late_ns) {
    bool allowed = rc == RC_OK || rc == RC_UNREACHABLE || rc == RC_CLOSED || rc == RC_TIMEOUT || rc == RC_OVERLOAD ||
                   rc == RC_CANCELLED || rc == RC_SHUTDOWN;
    if (!OKF(allowed, "%s: %s", rc_name(rc), err->message))
        w->wrong++;
    /* The fiber may be run a little after its deadline when its node was stalled; nothing here stalls nodes. */
    if (!OKF(late_ns <= MS, "%lld ns late: %s", (long long)late_ns, err->message))
        w->late++;
    w->good += rc == RC_OK;
    w->failed += rc != RC_OK;
}

static enum rc call_once(struct rpc *rpc, struct world *w, struct store_addr to, int64_t patience_ns) {
    struct reactor *r = rpc_reactor(rpc);
    char text[60];
    struct err err = {0};
    int64_t end = reactor_deadline(r, patience_ns);
    snprintf(text, sizeof text, "%u/%u asks %u/%u %llu", rpc_self(rpc).node, rpc_self(rpc).store, to.node, to.store,
             (unsigned long long)env_random(reactor_env(r)));
    enum rc rc = echo(rpc, to, text, patience_ns, &err);
    judge(w, rc, &err, reactor_now(r) - end);
    return rc;
}

/* A request whose execution is counted. */
static enum rc serve_mark(void *ctx, struct rpc_request *q, ProtobufCMessage **ret_response, struct err *err) {
    struct simnode *n = ctx;
    int64_t id = ((const Netcheck__Ask *)q->message)->sleep_ns;
    (void)err, (void)ret_response;
    n->world->mark[id].executed++;
    return RC_OK;
}

static void mark_once(struct rpc *rpc, struct world *w, struct store_addr to, int64_t patience_ns) {
    struct reactor *r = rpc_reactor(rpc);
    struct arena a;
    struct err err = {0};
    if (w->marks >= MARKS_MAX)
        return;
    uint64_t id = w->marks++;
    int64_t end = reactor_deadline(r, patience_ns);
    arena_init(&a, 0);
    Netcheck__Ask *in = arena_new(&a, Netcheck__Ask);
    netcheck__ask__init(in);
    in->sleep_ns = (int64_t)id;
    enum rc rc = ask(rpc, to, TYPE_MARK, in, &a, patience_ns, NULL, &err);
    judge(w, rc, &err, reactor_now(r) - end);
    w->mark[id].rc = (uint8_t)rc;
    w->mark[id].ended = true;
    arena_done(&a);
}

static void check_marks(const struct world *w) {
    uint64_t worked = 0, never = 0, unknown = 0;
    for (uint64_t i = 0; i < w->marks; i++) {
        const struct mark *m = &w->mark[i];
        if (!m->ended)
            continue; /* its caller died */
        if (m->rc == RC_OK)
            OKF(m->executed >= 1, "mark %llu worked, and was not executed", (unsigned long long)i);
        if (m->rc == RC_UNREACHABLE || m->rc == RC_OVERLOAD)
            OKF(m->executed == 0, "mark %llu never left, and was executed", (unsigned long long)i);
        OKF(w->datagrams || m->executed <= 1, "mark %llu was executed %d times", (unsigned long long)i, m->executed);
        worked += m->rc == RC_OK;
        never += m->rc == RC_UNREACHABLE;
        unknown += m->rc == RC_CLOSED || m->rc == RC_TIMEOUT;
    }
    OK(worked > 0);
    sim_trace_mix(w->sim, worked * 1000003 + never * 1009 + unknown);
}

static void upload_once(struct rpc *rpc, struct world *w, struct store_addr to) {
    struct reactor *r = rpc_reactor(rpc);
    struct rpc_stream *s = NULL;
    struct err err = {0};
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    uint8_t block[3000];
    const void *data;
    size_t n = 0;
    int64_t old = fiber_set_deadline(r, reactor_deadline(r, 3LL * SECOND));
    enum rc rc = rpc_stream_open(rpc, to, TYPE_UPLOAD, &in.base, DEADLINE_NONE, &s, &err);
    for (uint64_t sent = 0; sent < 60000 && !rc; sent += sizeof block) {
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (uint8_t)(sent + i);
        rc = rpc_stream_write(s, block, sizeof block, DEADLINE_NONE, &err);
    }
    if (!rc)
        rc = rpc_stream_end(s, &err);
    if (!rc)
        rc = rpc_stream_read(s, &data, &n, DEADLINE_NONE, &err);
    if (!rc)
        OK(n == 8 && get_u64le(data) == 60000);
    rpc_stream_close(s);
    judge(w, rc, &err, reactor_now(r) - fiber_deadline(r));
    w->uploads++;
    w->uploads_good += rc == RC_OK;
    fiber_set_deadline(r, old);
}

/* What went wrong after healing, for people: the first few. */
static void healed_failure(struct world *w, struct rpc *rpc, uint32_t node, uint16_t store, enum rc rc) {
    if (w->healed_failures++ < 3)
        tap_note("t=%lld ms: n%u/%u -> n%u/%u %s", (long long)(sim_now(w->sim) / MS), rpc_self(rpc).node,
                 rpc_self(rpc).store, node, store, rc_name(rc));
}

static void healed_round(struct rpc *rpc, struct world *w) {
    struct store_addr me = rpc_self(rpc);
    for (uint32_t i = 0; i < NODES; i++)
        for (unsigned s = 0; s < STORES; s++) {
            bool *reached = &w->reached[me.node - 1][me.store][i][s];
            enum rc rc = call_once(rpc, w, (struct store_addr){i + 1, (uint16_t)s}, 2LL * SECOND);
            if (*reached && rc != RC_OK && w->phase == PHASE_HEALED)
                healed_failure(w, rpc, i + 1, (uint16_t)s, rc);
            *reached |= rc == RC_OK;
            w->healed_good += rc == RC_OK;
        }
}

static void body_main(void *arg) {
    struct body *b = arg;
    struct world *w = b->n->world;
    struct rpc *rpc = b->n->rpc[b->store];
    struct env *env = reactor_env(rpc_reactor(rpc));
    bool first = b->n == &w->node[0] && b->store == 0;
    free(b);
    if (w->script) {
        if (first)
            w->script(rpc, w);
        else if (w->greet)
            (void)!echo(rpc, (struct store_addr){1, 0}, "here I am", SECOND, NULL);
        w->script_done |= first;
        return;
    }
    while (w->phase != PHASE_OVER) {
        struct store_addr to = {1 + (uint32_t)(env_random(env) % NODES), (uint16_t)(env_random(env) % STORES)};
        uint64_t what = env_random(env) % 10;
        if (w->phase == PHASE_HEALED)
            healed_round(rpc, w);
        else if (what < 4)
            mark_once(rpc, w, to, (int64_t)(1 + env_random(env) % 500) * MS);
        else if (what < 6)
            (void)!call_once(rpc, w, to, (int64_t)(1 + env_random(env) % 500) * MS);
        else if (what < 9)
            w->notes_sent += note(rpc, to, what < 8 ? TYPE_NOTE_NOW : TYPE_NOTE, 1) == RC_OK;
        else
            upload_once(rpc, w, to);
        if (fiber_sleep(rpc_reactor(rpc), (int64_t)(1 + env_random(env) % 20) * MS) != RC_OK)
            return;
    }
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static bool resolve(void *ctx, uint32_t node, char *ret_addr, size_t bytes) {
    (void)ctx;
    snprintf(ret_addr, bytes, "n%u:%d", node, PORT);
    return node >= 1 && node <= NODES;
}

static const struct rpc_service mark_service = {.type = TYPE_MARK,
                                                .name = "test.mark",
                                                .request = &netcheck__ask__descriptor,
                                                .response = &netcheck__answer__descriptor,
                                                .call = serve_mark};

static enum rc boot_store(struct simnode *n, struct env *env, uint16_t i, const char *addr, struct err *err) {
    struct rpc_conf conf = {.peers = {.cluster = "c1",
                                      .cluster_bytes = 2,
                                      .node = n->t.conf.node,
                                      .incarnation = n->incarnation,
                                      .clock_scale = "tai",
                                      .datagrams = n->world->datagrams,
                                      .resolve = resolve}};
    struct body *b = malloc(sizeof *b);
    *b = (struct body){n, i};
    enum rc rc = reactor_new(env, NULL, &n->reactor[i]);
    if (!rc)
        rc = rpc_new(n->reactor[i], &conf, &n->rpc[i], err);
    if (!rc)
        testnode_services(n->rpc[i], &n->t);
    if (!rc)
        rc = rpc_register(n->rpc[i], &mark_service, n);
    if (!rc && (i == 0 || n->world->datagrams))
        rc = rpc_listen(n->rpc[i], addr, err);
    if (!rc)
        rc = fiber_spawn(n->reactor[i], NULL, FIBER_LARGE, "body", body_main, b);
    return rc;
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct simnode *n = arg;
    enum rc rc = RC_OK;
    char addr[40];
    snprintf(addr, sizeof addr, "n%u:%d", n->t.conf.node, PORT);
    n->incarnation++;
    for (uint16_t i = 0; i < count && !rc; i++)
        rc = boot_store(n, stores[i], i, addr, err);
    if (!rc)
        rc = rpc_link(n->rpc, count);
    *ret_state = n;
    return rc;
}

static void stop(void *state, uint16_t store) {
    struct simnode *n = state;
    rpc_stop(n->rpc[store]);
    reactor_stop(n->reactor[store]);
}

static bool stopped(void *state, uint16_t store) {
    struct simnode *n = state;
    return reactor_idle(n->reactor[store]) && rpc_idle(n->rpc[store]);
}

static void done(void *state) {
    struct simnode *n = state;
    for (int i = 0; i < STORES; i++) {
        rpc_free(n->rpc[i]);
        reactor_free(n->reactor[i]);
    }
}

static const struct program program = {boot, stop, stopped, done};

/* ---- the world --------------------------------------------------------------------------------------------------- */

static void start(struct world *w, int i) {
    struct err err = {0};
    OKF(sim_node_start(w->node[i].sim, &err) == RC_OK, "%s", err.message);
}

/* One fault, or one repair, or nothing. */
static void disturb(struct world *w, struct rng *rng) {
    int i = (int)rng_below(rng, NODES), j = (int)((unsigned)i + 1 + rng_below(rng, NODES - 1)) % NODES;
    switch (rng_below(rng, 8)) {
    case 0:
        sim_link(w->node[i].sim, w->node[j].sim)->cut = true;
        break;
    case 1:
    case 2:
        sim_heal(w->sim);
        break;
    case 3:
        sim_reset_streams(w->node[i].sim, w->node[j].sim);
        break;
    case 4:
        if (sim_node_running(w->node[i].sim))
            sim_node_crash(w->node[i].sim, rng_below(rng, 2) ? SIM_KILL : SIM_POWER);
        break;
    default:
        if (!sim_node_running(w->node[i].sim))
            start(w, i);
    }
}

static struct world *world_new(uint64_t seed, bool datagrams) {
    struct sim_conf conf = simkit_conf(seed);
    struct world *w = calloc(1, sizeof *w);
    w->sim = sim_new(&conf);
    w->datagrams = datagrams;
    for (int i = 0; i < NODES; i++) {
        char name[8];
        struct simnode *n = &w->node[i];
        n->world = w;
        n->t.conf.node = (uint32_t)i + 1;
        snprintf(name, sizeof name, "n%d", i + 1);
        n->sim = sim_node_new(w->sim, name, STORES, &program, n);
    }
    return w;
}

static bool all_over(void *ctx) {
    struct world *w = ctx;
    for (int i = 0; i < NODES; i++)
        if (sim_node_running(w->node[i].sim))
            return false;
    return true;
}

static void faults(struct world *w, struct rng *rng) {
    struct sim_link link = {.latency_ns = 1 + (int64_t)rng_below(rng, 40) * MS,
                            .jitter_ns = (int64_t)rng_below(rng, 5) * MS,
                            .loss = rng_chance(rng, 0.5) ? 0.1 * rng_double(rng) : 0,
                            .duplicate = rng_chance(rng, 0.5) ? 0.2 * rng_double(rng) : 0,
                            .reorder = rng_chance(rng, 0.5) ? 0.2 * rng_double(rng) : 0,
                            .corrupt = rng_chance(rng, 0.3) ? 0.02 * rng_double(rng) : 0};
    sim_links_all(w->sim, &link);
    for (int step = 0; step < 60; step++) {
        sim_run(w->sim, sim_now(w->sim) + (int64_t)rng_below(rng, 600) * MS);
        disturb(w, rng);
    }
    link.loss = link.duplicate = link.reorder = link.corrupt = 0;
    sim_links_all(w->sim, &link);
    sim_heal(w->sim);
    sim_chance(w->sim, "net: connection breaks before a write", 0);
    sim_chance(w->sim, "rpc: answer lost", 0);
    for (int i = 0; i < NODES; i++)
        if (!sim_node_running(w->node[i].sim))
            start(w, i);
}

static void check_reached(const struct world *w) {
    for (int i = 0; i < NODES; i++)
        for (int s = 0; s < STORES; s++)
            for (int j = 0; j < NODES; j++)
                for (int t = 0; t < STORES; t++)
                    OKF(w->reached[i][s][j][t], "n%d/%d never reached n%d/%d", i + 1, s, j + 1, t);
}

/* Returns the trace. */
static uint64_t run_world(uint64_t seed, bool datagrams, bool quiet) {
    struct world *w = world_new(seed, datagrams);
    uint64_t received = 0;
    for (int i = 0; i < NODES; i++)
        start(w, i);
    faults(w, sim_rng(w->sim));
    /* What the last cut held up comes after the back-off of TCP; and what fails once may be told once more. */
    sim_run(w->sim, sim_now(w->sim) + 45LL * SECOND);
    w->phase = PHASE_HEALED;
    sim_run(w->sim, sim_now(w->sim) + 20LL * SECOND);
    check_reached(w);
    OKF(w->healed_failures == 0, "%llu calls failed after the network was whole",
        (unsigned long long)w->healed_failures);
    OK(w->healed_good > 100);
    w->phase = PHASE_OVER;
    sim_run(w->sim, sim_now(w->sim) + 10LL * SECOND);
    for (int i = 0; i < NODES; i++) {
        received += atomic_load(&w->node[i].t.notes) + atomic_load(&w->node[i].t.notes_now);
        sim_node_stop(w->node[i].sim);
    }
    OK(sim_run_until(w->sim, all_over, w, sim_now(w->sim) + 60LL * SECOND));
    OKF(datagrams || received <= w->notes_sent, "received=%llu sent=%llu", (unsigned long long)received,
        (unsigned long long)w->notes_sent);
    OK(w->good > 0 && received > 0);
    check_marks(w);
    if (!quiet)
        tap_note("seed %llu: good=%llu failed=%llu notes=%llu/%llu uploads=%llu/%llu", (unsigned long long)seed,
                 (unsigned long long)w->good, (unsigned long long)w->failed, (unsigned long long)received,
                 (unsigned long long)w->notes_sent, (unsigned long long)w->uploads_good,
                 (unsigned long long)w->uploads);
    uint64_t trace = sim_trace(w->sim);
    sim_free(w->sim);
    free(w);
    return trace;
}

static void one_connected(uint64_t seed) {
    run_world(seed, false, true);
}

static void one_datagram(uint64_t seed) {
    run_world(seed, true, true);
}

static void connections(void) {
    run_world(1000, false, false);
    simkit_seeds("net_sim", 8, one_connected);
}

static void datagrams(void) {
    run_world(1000, true, false);
    simkit_seeds("net_sim", 8, one_datagram);
}

/* ---- scripts ----------------------------------------------------------------------------------------------------- */

static bool script_over(void *ctx) {
    return ((struct world *)ctx)->script_done;
}

static void run_script_on(bool datagrams, void (*script)(struct rpc *rpc, struct world *w), uint64_t probes_wanted,
                          const char *probe) {
    struct world *w = world_new(1, datagrams);
    struct sim_link link = {.latency_ns = 10 * MS};
    w->script = script;
    sim_chance_off(w->sim);
    for (int i = 0; i < NODES; i++)
        start(w, i);
    sim_links_all(w->sim, &link);
    OK(sim_run_until(w->sim, script_over, w, 1000LL * SECOND));
    if (probe)
        EQ_INT(sim_probe(w->sim, probe), probes_wanted);
    sim_free(w->sim);
    free(w);
}

static void run_script(void (*script)(struct rpc *rpc, struct world *w), uint64_t probes_wanted, const char *probe) {
    run_script_on(false, script, probes_wanted, probe);
}

static enum rc ask_n2(struct rpc *rpc, int64_t patience_ns, struct err *err) {
    return echo(rpc, (struct store_addr){2, 0}, "are you there", patience_ns, err);
}

/* Hours of silence above, signs of life below: the connection stays. A round trip takes just two latencies. */
static void idle_script(struct rpc *rpc, struct world *w) {
    struct reactor *r = rpc_reactor(rpc);
    const struct peers_stats *s = peers_stats(rpc_peers(rpc));
    (void)w;
    EQ_INT(ask_n2(rpc, SECOND, NULL), RC_OK);
    EQ_INT(fiber_sleep(r, 600LL * SECOND), RC_OK);
    EQ_INT(counter_get(&s->lost), 0);
    EQ_INT(counter_get(&s->dials), 1);
    OK(counter_get(&s->frames_in) > 900 && counter_get(&s->frames_in) < 2600);
    int64_t began = reactor_now(r);
    EQ_INT(ask_n2(rpc, SECOND, NULL), RC_OK);
    EQ_INT(reactor_now(r) - began, 20 * MS);
}

static void idle(void) {
    run_script(idle_script, 0, "net: silent peer given up");
}

/* A machine that loses power says nothing: the calls to it end when it was silent for dead_ns. */
static void half_open_script(struct rpc *rpc, struct world *w) {
    struct reactor *r = rpc_reactor(rpc);
    struct err err = {0};
    EQ_INT(ask_n2(rpc, SECOND, NULL), RC_OK);
    EQ_INT(fiber_sleep(r, SECOND), RC_OK);
    sim_node_crash(w->node[1].sim, SIM_POWER);
    int64_t began = reactor_now(r);
    EQ_INT(ask_n2(rpc, 100LL * SECOND, &err), RC_CLOSED);
    OKF(strstr(err.message, "silent") != NULL, "%s", err.message);
    int64_t took = reactor_now(r) - began;
    OKF(took > 1400LL * MS && took < 2300LL * MS, "%lld ms", (long long)(took / MS));
    /* Dialling goes nowhere either: given up by handshake_ns, and that request surely never left. */
    began = reactor_now(r);
    EQ_INT(ask_n2(rpc, 100LL * SECOND, &err), RC_UNREACHABLE);
    took = reactor_now(r) - began;
    OKF(took > 4900LL * MS && took < 5300LL * MS, "%lld ms", (long long)(took / MS));
    start(w, 1);
    EQ_INT(fiber_sleep(r, 2LL * SECOND), RC_OK);
    EQ_INT(ask_n2(rpc, 10LL * SECOND, &err), RC_OK);
}

static void half_open(void) {
    run_script(half_open_script, 1, "net: silent peer given up");
}

/* Cut for less than dead_ns, nothing is lost; a store that slept does not blame its peers. */
static void pause_script(struct rpc *rpc, struct world *w) {
    struct reactor *r = rpc_reactor(rpc);
    EQ_INT(ask_n2(rpc, SECOND, NULL), RC_OK);
    sim_node_pause(w->node[0].sim, SIM_STALL, 60LL * SECOND);
    EQ_INT(fiber_sleep(r, 1), RC_OK);
    EQ_INT(fiber_sleep(r, SECOND), RC_OK);
    EQ_INT(counter_get(&peers_stats(rpc_peers(rpc))->silent), 0);
}

static void paused(void) {
    run_script(pause_script, 1, "net: this store slept, which its peers are not blamed for");
}

/* Fourteen megabytes on a line that takes 9 s for them, and steadily: the other end hears us all the time and has
 * nothing to say, and our pings are stuck behind the queue. It still shows that it lives. */
static void slow_line_script(struct rpc *rpc, struct world *w) {
    struct reactor *r = rpc_reactor(rpc);
    struct arena a;
    struct err err = {0};
    EQ_INT(ask_n2(rpc, SECOND, NULL), RC_OK);
    sim_link(w->node[0].sim, w->node[1].sim)->bytes_per_s = 1500000;
    Netcheck__Ask m = NETCHECK__ASK__INIT;
    arena_init(&a, 0);
    m.data.len = 100000;
    m.data.data = arena_zalloc(&a, m.data.len);
    for (int i = 0; i < 140; i++)
        EQ_INT(rpc_send(rpc, (struct store_addr){2, 0}, TYPE_NOTE_NOW, &m.base, NULL, &err), RC_OK);
    int64_t began = reactor_now(r);
    EQ_INT(ask_n2(rpc, 60LL * SECOND, &err), RC_OK);
    int64_t took = reactor_now(r) - began;
    OKF(took > 9LL * SECOND && took < 12LL * SECOND, "%lld ms", (long long)(took / MS));
    EQ_INT(atomic_load(&w->node[1].t.notes_now), 140);
    EQ_INT(counter_get(&peers_stats(rpc_peers(rpc))->lost), 0);
    arena_done(&a);
}

static void slow_line(void) {
    run_script(slow_line_script, 0, "net: silent peer given up");
}

struct long_call {
    struct rpc *rpc;
    struct err err;
    enum rc rc;
    int64_t ended_ns;
};

static void long_call(void *arg) {
    struct long_call *c = arg;
    struct arena a;
    Netcheck__Ask in = NETCHECK__ASK__INIT;
    arena_init(&a, 0);
    in.sleep_ns = 1000LL * SECOND;
    c->rc = ask(c->rpc, (struct store_addr){2, 0}, TYPE_ECHO, &in, &a, DEADLINE_NONE, NULL, &c->err);
    c->ended_ns = reactor_now(rpc_reactor(c->rpc));
    arena_done(&a);
}

/* A machine loses power and is back at once: its first word in the new life ends what waits for the old one, long
 * before silence would. */
static void reborn_script(struct rpc *rpc, struct world *w) {
    struct reactor *r = rpc_reactor(rpc);
    struct long_call c = {.rpc = rpc};
    struct fiber_group g;
    fiber_group_init(&g);
    EQ_INT(ask_n2(rpc, SECOND, NULL), RC_OK);
    EQ_INT(fiber_spawn(r, &g, FIBER_SMALL, "long call", long_call, &c), RC_OK);
    EQ_INT(fiber_sleep(r, SECOND), RC_OK);
    EQ_INT(atomic_load(&w->node[1].t.started), 2);
    sim_node_crash(w->node[1].sim, SIM_POWER);
    w->greet = true;
    start(w, 1);
    int64_t began = reactor_now(r);
    EQ_INT(fiber_group_join(r, &g, DEADLINE_NONE), RC_OK);
    EQ_INT(c.rc, RC_CLOSED);
    OKF(strstr(c.err.message, "restarted") != NULL, "%s", c.err.message);
    OKF(c.ended_ns - began < 200LL * MS, "%lld ms", (long long)((c.ended_ns - began) / MS));
    EQ_INT(ask_n2(rpc, SECOND, NULL), RC_OK);
}

static void reborn(void) {
    run_script_on(false, reborn_script, 0, NULL);
    run_script_on(true, reborn_script, 0, NULL);
}

/* Every datagram comes twice: the request under way is not begun again, the answer counts once. */
static void doubled_script(struct rpc *rpc, struct world *w) {
    struct arena a;
    struct err err = {0};
    struct sim_link link = {.latency_ns = 10 * MS, .duplicate = 1};
    sim_links_all(w->sim, &link);
    for (int i = 0; i < 20; i++) {
        Netcheck__Ask in = NETCHECK__ASK__INIT;
        arena_init(&a, 0);
        in.sleep_ns = 100LL * MS;
        EQ_INT(ask(rpc, (struct store_addr){2, 0}, TYPE_ECHO, &in, &a, SECOND, NULL, &err), RC_OK);
        arena_done(&a);
    }
    EQ_INT(atomic_load(&w->node[1].t.started), 20);
    EQ_INT(fiber_sleep(rpc_reactor(rpc), SECOND), RC_OK);
    EQ_INT(counter_get(&rpc_stats(rpc)->late_answers), 20);
}

static void doubled(void) {
    run_script_on(true, doubled_script, 20, "rpc: doubled request dropped");
}

/* The same seed is the same run. */
static void replays(void) {
    for (uint64_t seed = 1; seed <= 2; seed++) {
        OK(run_world(seed, false, true) == run_world(seed, false, true));
        OK(run_world(seed, true, true) == run_world(seed, true, true));
    }
}

int main(void) {
    RUN(connections);
    RUN(datagrams);
    RUN(replays);
    RUN(idle);
    RUN(half_open);
    RUN(paused);
    RUN(slow_line);
    RUN(reborn);
    RUN(doubled);
    return tap_done();
}
