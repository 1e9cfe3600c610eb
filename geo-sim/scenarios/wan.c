/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wan.c: the scenario `wan`: nodes of three regions talk over a simulated wide-area network, each with its own clocks.
 *
 *     0 s        1 s                    6 s                                       20 s
 *     | clocks   | calm: round trips,   | trouble: a region cut off, a process     |
 *     | find     | tokens handed from   | killed, a power loss, time masters gone  |
 *     | the time | node to node         |                                          |
 *
 * Meanwhile every node calls every other ten times a second, and each clock is held against the true time after each event.
 * The tokens show what an interval clock is for: whoever holds one takes a timestamp, waits until it has surely passed
 * (commit wait) and hands it on; the next holder's timestamp must be larger, whatever the system clocks say.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/scenarios/scenario.h"
#include "geo-sim/scenarios/wan.pb-c.h"
#include "geo-sim/scenarios/world.h"
#include "shard/runtime/ttwait.h"

enum { TYPE_PING = 1, TYPE_TOKEN = 2 };
enum { US_EAST, EU_WEST, ASIA, REGIONS, ZONES = 2, NODES = REGIONS * ZONES, ROUTES = 1 + REGIONS };
enum { SAMPLES_MAX = 4000, SLOTS = 56 };

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static const int64_t calm_from = 1 * SEC, calm_until = 6 * SEC, slot_ns = 250 * MS;
static const int64_t end_ns = 6 * SEC + SLOTS * 250 * MS;
static const int64_t ping_ns = 100 * MS, ping_patience_ns = 400 * MS, token_patience_ns = 100 * MS;

/* Round trips between regions: Azure's public table, 95th percentile, 30 days to 2026-07-30 (East US, West Europe, Japan East);
 * between zones what clouds state. */
static const char topology[] = "format 1\n"
                               "region us 1 zones a b at 37.37 -79.82\n"
                               "region eu 2 zones a b at 52.37 4.90\n"
                               "region asia 3 zones a b at 35.68 139.77\n"
                               "zone-rtt 0.9ms jitter 0.005ms\n"
                               "default jitter 0.5% loss 0 rate 1gbit\n"
                               "link us eu rtt 90ms\n"
                               "link us asia rtt 165ms\n"
                               "link eu asia rtt 242ms\n"
                               "master us 3 period 250ms jitter 20us err 100us\n"
                               "master eu 3 period 250ms jitter 20us err 100us\n"
                               "master asia 3 period 250ms jitter 20us err 100us\n";

struct samples {
    int64_t ns[SAMPLES_MAX];
    size_t count;
};

struct slot {
    uint32_t asked, missed; /* sets of nodes: bit id - 1 */
    bool down;              /* the node did not run at some time of it */
};

struct wan {
    struct world *world;
    struct samples rtt[REGIONS][REGIONS], wait, both; /* of calls in the calm; of commit waits; for the report */
    struct slot slot[NODES][SLOTS];
    uint64_t hops, ts_back, system_back; /* tokens handed on; to a holder whose clock said that it was earlier */
    uint64_t wrong;                      /* answers to another question */
    struct sim_call tick;
};

/* One fiber's: who calls whom, for the how manieth time. */
struct pair {
    struct wan *wan;
    struct world_node *from, *to;
    uint64_t number;
};

static void sample(struct samples *s, int64_t ns) {
    if (s->count < SAMPLES_MAX)
        s->ns[s->count++] = ns;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t quantile(struct samples *s, double q) {
    if (s->count == 0)
        return 0;
    qsort(s->ns, s->count, sizeof *s->ns, by_value);
    return s->ns[(size_t)(q * (double)(s->count - 1))];
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static enum rc serve_ping(void *ctx, struct rpc_request *q, ProtobufCMessage **ret_response, struct err *err) {
    struct world_node *n = ctx;
    Wan__Pong *out = arena_new(q->arena, Wan__Pong);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    wan__pong__init(out);
    out->number = ((const Wan__Ping *)q->message)->number;
    out->node = n->id;
    *ret_response = &out->base;
    return RC_OK;
}

/* True: answered in time. */
static bool ping(const struct pair *p) {
    struct reactor *r = p->from->reactor;
    struct arena a;
    struct err err = {0};
    ProtobufCMessage *answer = NULL;
    arena_init(&a, 1 << 16);
    Wan__Ping *in = arena_new(&a, Wan__Ping);
    CHECK(in);
    wan__ping__init(in);
    in->number = p->number;
    enum rc rc = rpc_call(p->from->rpc, world_addr(p->to), TYPE_PING, &in->base, &a,
                          reactor_deadline(r, ping_patience_ns), &answer, &err);
    const Wan__Pong *pong = (const Wan__Pong *)answer;
    if (!rc && (pong->number != p->number || pong->node != p->to->id))
        p->wan->wrong++;
    arena_done(&a);
    return rc == RC_OK;
}

static void ping_once(void *arg) {
    struct pair *p = arg;
    struct wan *w = p->wan;
    int64_t began = sim_now(w->world->sim);
    bool ok = ping(p), over = fiber_cancelled(p->from->reactor);
    if (!over && ok && began >= calm_from && began < calm_until)
        sample(&w->rtt[p->from->region][p->to->region], sim_now(w->world->sim) - began);
    if (!over && began >= calm_until && began < end_ns) {
        struct slot *s = &w->slot[p->from->id - 1][(began - calm_until) / slot_ns];
        uint32_t bit = 1u << (p->to->id - 1);
        s->asked |= bit;
        s->missed |= ok ? 0 : bit;
    }
    free(p);
}

/* The next call does not wait for the answer to the one before. */
static void ping_for_ever(void *arg) {
    struct pair *p = arg;
    struct reactor *r = p->from->reactor;
    while (fiber_sleep(r, ping_ns) == RC_OK) {
        struct pair *one = malloc(sizeof *one);
        CHECK(one);
        p->number++;
        *one = *p;
        if (fiber_spawn(r, NULL, FIBER_SMALL, "ping", ping_once, one) != RC_OK)
            free(one);
    }
    free(p);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static struct world_node *next_on(struct world_node *n, uint32_t route) {
    struct world *w = n->world;
    if (route == 0)
        return &w->node[n->id % w->count];
    return &w->node[(n->id - 1) ^ 1]; /* the other zone of its region */
}

/* Takes a timestamp, waits until it has surely passed, hands the token on. */
static void hand_on(struct wan *w, struct world_node *n, uint32_t route, uint64_t hop) {
    struct err err = {0};
    struct arena a;
    tt_interval now = tt_now(&n->clock);
    int64_t began = sim_now(w->world->sim);
    if (!tt_is_known(now))
        return;
    int64_t system_ns = env_clock_ns(reactor_env(n->reactor), ENV_CLOCK_REAL);
    if (tt_wait_until_after(n->reactor, &n->clock, now.latest, reactor_deadline(n->reactor, token_patience_ns)))
        return;
    sample(&w->wait, sim_now(w->world->sim) - began);
    arena_init(&a, 1 << 12);
    Wan__Token *t = arena_new(&a, Wan__Token);
    CHECK(t);
    wan__token__init(t);
    t->route = route;
    t->hop = hop;
    t->ts_ns = now.latest;
    t->system_ns = system_ns;
    IGNORE(rpc_send(n->rpc, world_addr(next_on(n, route)), TYPE_TOKEN, &t->base, &a, &err)); /* lost: it ends here */
    arena_done(&a);
}

static void serve_token(void *ctx, struct rpc_request *q) {
    struct world_node *n = ctx;
    struct wan *w = n->world->conf.ctx;
    const Wan__Token *t = (const Wan__Token *)q->message;
    if (sim_now(w->world->sim) >= calm_until)
        return;
    w->hops++;
    w->ts_back += tt_now(&n->clock).latest <= t->ts_ns;
    w->system_back += env_clock_ns(reactor_env(n->reactor), ENV_CLOCK_REAL) <= t->system_ns;
    hand_on(w, n, t->route, t->hop + 1);
}

static void begin_tokens(void *arg) {
    struct world_node *n = arg;
    struct wan *w = n->world->conf.ctx;
    if (fiber_sleep(n->reactor, calm_from - sim_now(w->world->sim)))
        return;
    if (n->id == 1)
        hand_on(w, n, 0, 0);
    hand_on(w, n, n->region + 1, 0);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static enum rc on_boot(struct world_node *n, void *ctx, struct err *err) {
    static const struct rpc_service services[] = {
        {.type = TYPE_PING,
         .name = "wan.ping",
         .request = &wan__ping__descriptor,
         .response = &wan__pong__descriptor,
         .call = serve_ping},
        {.type = TYPE_TOKEN, .name = "wan.token", .request = &wan__token__descriptor, .message = serve_token},
    };
    struct wan *w = ctx;
    enum rc rc = RC_OK;
    for (size_t i = 0; i < ARRAY_LEN(services) && !rc; i++)
        rc = rpc_register(n->rpc, &services[i], n);
    for (unsigned i = 0; i < n->world->count && !rc; i++) {
        struct pair *p = i + 1 == n->id ? NULL : malloc(sizeof *p);
        if (!p)
            continue;
        *p = (struct pair){.wan = w, .from = n, .to = &n->world->node[i]};
        rc = fiber_spawn(n->reactor, NULL, FIBER_SMALL, "pings", ping_for_ever, p);
    }
    if (!rc && n->boots == 1 && (n->id - 1) % ZONES == 0)
        rc = fiber_spawn(n->reactor, NULL, FIBER_SMALL, "tokens", begin_tokens, n);
    return rc ? err_set(err, rc, "%s", rc_text(rc)) : RC_OK;
}

static struct world_node *node_of(struct wan *w, const char *name) {
    struct world_node *n = world_find(w->world, name);
    CHECK(n); /* the topology is our own */
    return n;
}

static void on_tick(void *ctx) {
    struct wan *w = ctx;
    int64_t now = sim_now(w->world->sim);
    for (unsigned i = 0; i < NODES && now >= calm_until && now < end_ns; i++)
        w->slot[i][(now - calm_until) / slot_ns].down |= !sim_node_running(w->world->node[i].sim);
    sim_call_at(w->world->sim, &w->tick, now + 50 * MS, on_tick, w);
}

/* ---- the story --------------------------------------------------------------------------------------------------- */

enum verb { SAY, KILL, POWER, START };

/* at_slot: of the time line. object: a statement of the topology, or a node. */
static const struct act {
    unsigned at_slot;
    char mark;
    enum verb verb;
    const char *object, *what;
} acts[] = {
    {4, 'A', SAY, "cut asia us,eu", "asia is cut off from the others, and its time masters fall silent for good"},
    {16, 'B', SAY, "heal asia us,eu", "the cut is healed"},
    {26, 'C', KILL, "eu.a", "eu.a is killed (kill -9)"},
    {32, 'D', START, "eu.a", "eu.a is started again"},
    {38, 'E', POWER, "us.b", "us.b loses its power"},
    {44, 'F', START, "us.b", "us.b boots again"},
};

static void silence_masters(struct wan *w, unsigned region) {
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned m = 0; w->world->node[i].region == region && m < WORLD_MASTERS_MAX; m++)
            sim_truth(w->world->node[i].sim, m)->lost = true;
}

static enum rc play_act(struct wan *w, const struct act *act, struct err *err) {
    switch (act->verb) {
    case SAY:
        silence_masters(w, ASIA);
        return world_say(w->world, act->object, err);
    case KILL:
    case POWER:
        sim_node_crash(node_of(w, act->object)->sim, act->verb == KILL ? SIM_KILL : SIM_POWER);
        return RC_OK;
    default:
        return world_start(node_of(w, act->object), err);
    }
}

static enum rc play(struct wan *w, struct err *err) {
    struct world *world = w->world;
    enum rc rc = RC_OK;
    CHECK(world->count == NODES && world->topo->regions == REGIONS);
    sim_clock_step(node_of(w, "asia.b")->sim, -250 * MS);
    sim_truth(node_of(w, "eu.a")->sim, 1)->lie_ns = 40 * MS;
    on_tick(w);
    world_run(world, calm_until);
    for (size_t i = 0; i < ARRAY_LEN(acts) && !rc; i++) {
        world_run(world, calm_until + acts[i].at_slot * slot_ns);
        rc = play_act(w, &acts[i], err);
    }
    if (!rc)
        world_run(world, end_ns + ping_patience_ns); /* what was asked until the end is answered */
    return rc;
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

static double ms(int64_t ns) {
    return (double)ns / 1e6;
}

static void report_rtt(struct wan *w, struct show *s) {
    struct samples *both = &w->both;
    const struct topo *t = w->world->topo;
    double worst = 0;
    bool all = true;
    show_head(s, "The network: round trips of calls over shard/net, asked for and measured");
    show_line(s, "  %-22s %14s %14s %14s %9s", "", "asked for", "median", "99th of 100", "calls");
    for (unsigned i = 0; i < REGIONS; i++)
        for (unsigned j = i; j < REGIONS; j++) {
            char name[40];
            *both = w->rtt[i][j];
            for (size_t k = 0; i != j && k < w->rtt[j][i].count; k++)
                sample(both, w->rtt[j][i].ns[k]);
            double asked = ms(topo_rtt_ns(t, i * ZONES, j * ZONES + (ZONES - 1))), median = ms(quantile(both, 0.5));
            double off = 100 * (median - asked) / asked;
            snprintf(name, sizeof name, i == j ? "%s - %s, zones" : "%s - %s", t->region[i].name, t->region[j].name);
            show_line(s, "  %-22s %11.2f ms %11.2f ms %11.2f ms %9zu", name, asked, median, ms(quantile(both, 0.99)),
                      both->count);
            worst = off > worst ? off : off < -worst ? -off : worst;
            all &= both->count >= 100;
        }
    show_check(s, all && worst <= 3, "medians are within %.1f %% of what was asked for (3 %% wanted)", worst);
    show_check(s, w->wrong == 0, "each answer was the answer to its question");
}

static void report_tokens(struct wan *w, struct show *s) {
    char hops[SHOW_COUNT_BYTES], back[SHOW_COUNT_BYTES];
    show_head(s, "Order: tokens handed from node to node, each stamped by its holder");
    show_line(s, "  %s times a holder took a timestamp, waited until it had surely passed, and handed the token on.",
              show_count(w->hops, hops, sizeof hops));
    show_line(s, "  Stamped with the system clocks, the next holder would have found %s stamps in its future.",
              show_count(w->system_back, back, sizeof back));
    show_line(s, "  The price is the commit wait: %.2f ms in the median, %.2f ms in 99 of 100 cases.",
              ms(quantile(&w->wait, 0.5)), ms(quantile(&w->wait, 0.99)));
    show_check(s, w->hops > 1000 && w->ts_back == 0, "by the interval clocks, none of them");
    show_check(s, w->system_back > 0, "and the system clocks were indeed wrong enough to matter");
}

/* How many of the others answer: # all of them; blank: the node itself did not run. */
static char slot_char(const struct slot *x) {
    int answer = __builtin_popcount(x->asked & ~x->missed);
    if (x->down)
        return ' ';
    return answer == NODES - 1 ? '#' : (char)('0' + answer);
}

/* True: everybody was answered by `want` of the others. */
static bool all_answered(const struct wan *w, unsigned slot, const char *want) {
    bool all = true;
    for (unsigned i = 0; i < NODES; i++)
        all &= slot_char(&w->slot[i][slot]) == want[i];
    return all;
}

static void report_trouble(struct wan *w, struct show *s) {
    char marks[SLOTS + 1];
    memset(marks, ' ', SLOTS);
    marks[SLOTS] = '\0';
    show_head(s, "Trouble: by how many of the others each node is answered (a column is %.2f s)",
              (double)slot_ns / 1e9);
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        marks[acts[i].at_slot] = acts[i].mark;
    show_line(s, "          %s", marks);
    for (unsigned i = 0; i < NODES; i++) {
        show_piece(s, SHOW_PLAIN, "  %-7s ", w->world->node[i].name);
        for (unsigned k = 0; k < SLOTS; k++) {
            char c = slot_char(&w->slot[i][k]);
            show_piece(s, c == '#' ? SHOW_GOOD : c == '0' ? SHOW_BAD : SHOW_WARN, "%c", c);
        }
        show_line(s, "%s", "");
    }
    show_line(s, "          #: by all five   blank: it is down itself");
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        show_line(s, "       %c  %4.1f s  %s", acts[i].mark, (double)(acts[i].at_slot * slot_ns) / 1e9, acts[i].what);
    show_check(s, all_answered(w, 0, "######"), "before, everybody is answered by everybody");
    show_check(s, all_answered(w, acts[0].at_slot + 4, "333311"),
               "the cut separates asia's two from the other four, no more");
    bool again = true;
    for (unsigned slot = SLOTS - 4; slot < SLOTS; slot++)
        again &= all_answered(w, slot, "######");
    show_check(s, again, "and in the last second everybody is answered by everybody again");
}

enum { BAR = 49 };
static const int64_t bar_ns = 3 * MS; /* the bar's half */

/* The interval as a bar around the true time, in the middle. */
static void draw_interval(char bar[BAR + 1], tt_interval now, int64_t truth) {
    const int64_t cell = bar_ns / (BAR / 2);
    for (int i = 0; i < BAR; i++) {
        int64_t at = truth + (i - BAR / 2) * cell;
        bar[i] = at + cell / 2 >= now.earliest && at - cell / 2 <= now.latest ? '=' : ' ';
    }
    bar[BAR / 2] = '|';
    bar[BAR] = '\0';
}

static void masters_text(const struct tt_status *st, char *to, size_t bytes) {
    unsigned agree = 0, lie = 0;
    for (uint64_t i = 0; i < st->info.source_count; i++) {
        agree += st->info.sources[i].verdict == TT_AGREES;
        lie += st->info.sources[i].verdict == TT_FALSETICKER;
    }
    if (agree > 0)
        snprintf(to, bytes, lie ? "%u agree, %u lies" : "%u agree", agree, lie);
    else
        snprintf(to, bytes, "silent for %.1f s", (double)st->fix_age_ns / 1e9);
}

static void report_clocks(struct wan *w, struct show *s) {
    struct world *world = w->world;
    char checks[SHOW_COUNT_BYTES], frames[SHOW_COUNT_BYTES];
    bool liar = false, holdover = true, known = true;
    show_head(s, "Clocks: what each node knows of the time at the end (|: the true time; the bar is %.0f ms wide)",
              ms(2 * bar_ns));
    show_line(s, "  %-7s %10s %9s  %-*s %9s  %s", "", "system", "drift", BAR, "  interval clock", "+-", "time masters");
    for (unsigned i = 0; i < NODES; i++) {
        struct world_node *n = &world->node[i];
        struct tt_status st;
        char bar[BAR + 1], text[40];
        tt_status(&n->clock, &st);
        draw_interval(bar, st.now, sim_true_ns(world->sim));
        masters_text(&st, text, sizeof text);
        show_line(s, "  %-7s %+7.1f ms %+5.0f ppm  %s %6.2f ms  %s", n->name,
                  ms(sim_clock_read(n->sim, ENV_CLOCK_REAL) - sim_true_ns(world->sim)), (double)n->drift_ppb / 1000,
                  bar, ms(st.half_width_ns), text);
        known &= tt_is_known(st.now);
        liar |= n->region == EU_WEST && st.info.sources[1].verdict == TT_FALSETICKER;
        holdover &= n->region != ASIA || st.state == TT_HOLDOVER;
    }
    show_check(s, known && world->clock_checks > 0 && world->clock_outside == 0,
               "true time was inside the interval, all %s times that it was looked at",
               show_count(world->clock_checks, checks, sizeof checks));
    show_check(s, world->peer_checks > 0 && world->peer_contradict == 0,
               "nor did any of %s intervals that came in frames contradict its reader's",
               show_count(world->peer_checks, frames, sizeof frames));
    show_check(s, liar, "eu.a found out which of its masters lies, by 40 ms");
    show_check(s, holdover, "asia, without masters, still knows the time: its intervals grow by 0.2 ms a second");
}

enum rc scenario_wan(const struct scenario_conf *conf, struct show *show, struct scenario_result *ret,
                     struct err *err) {
    struct wan *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, RC_NOMEM, "out of memory");
    struct world_conf wc = {
        .seed = conf->seed, .print = conf->print, .topology = topology, .on_boot = on_boot, .ctx = w};
    enum rc rc = world_new(&wc, &w->world, err);
    if (!rc)
        rc = play(w, err);
    if (!rc) {
        show_title(
            show, "Three regions on a simulated wide-area network",
            "Six nodes in one thread and virtual time run the real code: fibers, RPC, interval clocks. Seed %" PRIu64
            ".",
            conf->seed);
        report_rtt(w, show);
        report_tokens(w, show);
        report_trouble(w, show);
        report_clocks(w, show);
        *ret = (struct scenario_result){sim_now(w->world->sim), sim_events(w->world->sim), sim_trace(w->world->sim)};
    }
    sim_call_cancel(&w->tick);
    world_free(w->world);
    free(w);
    return rc;
}
