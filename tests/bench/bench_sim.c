/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator: events a second, with nodes that send each other frames and write logs. */
#include <stdlib.h>

#include "geo-sim/sim/sim.h"
#include "shard/runtime/wait.h"
#include "tests/lib/bench.h"
#include "tests/lib/simkit.h"

enum { NODES = 5, MS = 1000000 };

static void on_frame(void *ctx, const char *from, uint16_t to_store, const void *frame, size_t bytes) {
    uint64_t *got = ctx;
    (void)from, (void)to_store, (void)frame, (void)bytes;
    ++*got;
}

static void body(struct simkit_store *s) {
    static const char *const names[NODES] = {"n0:1", "n1:1", "n2:1", "n3:1", "n4:1"};
    uint64_t got = 0, payload[16] = {0};
    struct iovec iov = {payload, sizeof payload};
    char self = s->env->diag.who[1];
    for (int i = 0; i < NODES; i++)
        if (names[i][1] == self)
            CHECK(s->env->ops->frame_listen(s->env, names[i], on_frame, &got, NULL) == RC_OK);
    for (;;) {
        for (int i = 0; i < NODES; i++)
            s->env->ops->frame_send(s->env, names[i], 0, &iov, 1);
        if (fiber_sleep(s->r, MS) != RC_OK)
            return;
    }
}

int main(void) {
    struct bench_figure rate, speed;
    for (int run = 0; run < BENCH_RUNS; run++) {
        struct sim_conf conf = {.seed = 1, .level = DIAG_WARN};
        struct sim *s = sim_new(&conf);
        struct simkit_node kit = {.body = body}, kits[NODES];
        for (int i = 0; i < NODES; i++) {
            char name[] = {'n', (char)('0' + i), '\0'};
            kits[i] = kit;
            CHECK(sim_node_start(sim_node_new(s, name, 1, &simkit_program, &kits[i]), NULL) == RC_OK);
        }
        int64_t began = bench_now_ns();
        sim_run(s, (int64_t)20000 * MS);
        double seconds = (double)(bench_now_ns() - began) / 1e9;
        rate.run[run] = (double)sim_events(s) / seconds;
        speed.run[run] = 20 / seconds;
        sim_free(s);
    }
    bench_report("sim: events a second", &rate, "/s", BENCH_AT_LEAST, 300000);
    bench_report("sim: simulated seconds a second", &speed, "x", BENCH_SHOW, 0);
    return 0;
}
