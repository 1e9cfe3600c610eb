/* SPDX-License-Identifier: Apache-2.0 */
/* A topology over the simulator: what a message between two nodes takes is what the topology asks for. */
#include "geo-sim/sim/sim_topo.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum { NODES = 4, FRAMES = 2000 };

static const char text[] = "format 1\n"
                           "region us 1 nodes 2\n"
                           "region eu 2\n"
                           "region ap 3\n"
                           "default jitter 1% rate unlimited\n"
                           "link us eu rtt 90ms\n"
                           "link us ap rtt 160ms loss 10%\n"
                           "link eu ap rtt 240ms jitter 5ms\n"
                           "oneway eu us delay 60ms\n"
                           "clock eu offset 37ms drift 80ppm\n"
                           "master eu 2 jitter 50us err 400us\n";

struct world {
    struct sim *s;
    struct topo *t;
    struct sim_node *node[NODES];
    struct simkit_node kit[NODES];
    unsigned place[NODES];
    /* of frames from i to j: how many came, and the sum of their delays */
    int64_t came[NODES][NODES], delays[NODES][NODES];
};

struct probe {
    struct world *w;
    unsigned node;
};

struct stamp {
    int64_t sent_ns;
    uint32_t from;
};

static void on_frame(void *ctx, const char *from, uint16_t to_store, const void *data, size_t len) {
    struct probe *p = ctx;
    struct stamp st;
    (void)from, (void)to_store;
    if (len != sizeof st)
        return;
    memcpy(&st, data, sizeof st);
    if (st.from >= NODES)
        return;
    p->w->came[st.from][p->node]++;
    p->w->delays[st.from][p->node] += sim_now(p->w->s) - st.sent_ns;
}

static void body(struct simkit_store *s) {
    struct probe *p = s->node->arg;
    char addr[32];
    snprintf(addr, sizeof addr, "n%u:1", p->node);
    OK(s->env->ops->frame_listen(s->env, addr, on_frame, p, NULL) == RC_OK);
    for (int i = 0; i < FRAMES && fiber_sleep(s->r, 10 * MS) == RC_OK; i++)
        for (unsigned to = 0; to < NODES; to++) {
            struct stamp st = {sim_now(p->w->s), p->node};
            struct iovec iov = {&st, sizeof st};
            snprintf(addr, sizeof addr, "n%u:1", to);
            if (to != p->node)
                s->env->ops->frame_send(s->env, addr, 0, &iov, 1);
        }
}

static void start(struct world *w, struct probe *probes) {
    struct sim_conf conf = simkit_conf(5);
    struct err err = {0};
    *w = (struct world){.s = sim_new(&conf), .place = {0, 0, 1, 2}};
    OKF(topo_parse("test", text, strlen(text), &w->t, &err) == RC_OK, "%s", err.message);
    for (unsigned i = 0; i < NODES; i++) {
        char name[SIM_NAME_BYTES];
        snprintf(name, sizeof name, "n%u", i);
        probes[i] = (struct probe){w, i};
        w->kit[i] = (struct simkit_node){.body = body, .arg = &probes[i]};
        w->node[i] = sim_node_new(w->s, name, 1, &simkit_program, &w->kit[i]);
    }
    sim_topo_apply(w->s, w->t, w->place);
    sim_topo_clocks(w->s, w->t, w->place);
}

/* The mean one-way delay of each pair is the topology's within 2 % (1 ms where that is more), and so is its loss. */
static void delays_are_those_asked_for(void) {
    struct world w;
    struct probe probes[NODES];
    start(&w, probes);
    int64_t eu_ahead = sim_clock_read(w.node[2], ENV_CLOCK_REAL) - sim_clock_read(w.node[0], ENV_CLOCK_REAL);
    EQ_INT(eu_ahead / MS, 37);
    EQ_INT(sim_truth(w.node[2], 1)->bound_ns, 400000);
    EQ_INT(sim_truth(w.node[2], 1)->jitter_ns, 300000);
    for (unsigned i = 0; i < NODES; i++)
        OK(sim_node_start(w.node[i], NULL) == RC_OK);
    sim_run(w.s, 30 * SEC);
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned j = 0; j < NODES; j++) {
            if (i == j)
                continue;
            const struct topo_link *l = &w.t->link[w.place[i]][w.place[j]];
            int64_t want = w.place[i] == w.place[j] ? 55000 : l->delay_ns, allowed = want / 50 > MS ? want / 50 : MS;
            if (!OK(w.came[i][j] > 0))
                continue;
            int64_t got = w.delays[i][j] / w.came[i][j];
            double kept = (double)w.came[i][j] / FRAMES;
            OKF(got > want - allowed && got < want + allowed, "n%u to n%u: %lld ns, asked for %lld", i, j,
                (long long)got, (long long)want);
            if (w.place[i] != w.place[j])
                OKF(kept > 0.97 - l->loss_ppm / 1e6 && kept < 1.03 - l->loss_ppm / 1e6, "n%u to n%u: %.3f came", i, j,
                    kept);
        }
    topo_free(w.t);
    sim_free(w.s);
}

/* A change while it runs: one direction is cut, and nothing comes that way until it heals. */
static void changes_while_it_runs(void) {
    struct world w;
    struct probe probes[NODES];
    struct err err = {0};
    start(&w, probes);
    for (unsigned i = 0; i < NODES; i++)
        OK(sim_node_start(w.node[i], NULL) == RC_OK);
    OK(topo_apply(w.t, "cut us eu oneway", &err) == RC_OK);
    sim_topo_apply(w.s, w.t, w.place);
    sim_run(w.s, 2 * SEC);
    EQ_INT(w.came[0][2], 0);
    EQ_INT(w.came[1][2], 0);
    OK(w.came[2][0] > 100 && w.came[0][3] > 100 && w.came[0][1] > 100);
    OK(topo_apply(w.t, "heal * *", &err) == RC_OK);
    OK(topo_apply(w.t, "link us eu rtt 20ms jitter 0", &err) == RC_OK);
    sim_topo_apply(w.s, w.t, w.place);
    sim_run(w.s, 3 * SEC);
    OK(w.came[0][2] > 50);
    EQ_INT(w.delays[0][2] / w.came[0][2], 10 * MS);
    topo_free(w.t);
    sim_free(w.s);
}

int main(void) {
    RUN(delays_are_those_asked_for);
    RUN(changes_while_it_runs);
    return tap_done();
}
