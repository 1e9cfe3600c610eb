/* SPDX-License-Identifier: Apache-2.0 */
/* sim_topo.c: from a topology's words to the simulator's. */
#include "geo-sim/sim/sim_topo.h"

/* Within a place: a switch between two machines. */
static const struct sim_link near = {.latency_ns = 50000, .jitter_ns = 5000};

struct sim_link sim_topo_link(const struct topo_link *l) {
    int64_t jitter = l->jitter_ns < l->delay_ns ? l->jitter_ns : l->delay_ns;
    return (struct sim_link){
        .latency_ns = l->delay_ns - jitter,
        .jitter_ns = jitter,
        .loss = l->loss_ppm / 1e6,
        .reorder = l->reorder_ppm / 1e6,
        .bytes_per_s = l->rate_bps / 8,
        .cut = l->cut,
    };
}

void sim_topo_apply(struct sim *s, const struct topo *t, const unsigned *place_of) {
    for (uint16_t i = 0; i < sim_nodes(s); i++)
        for (uint16_t j = 0; j < sim_nodes(s); j++) {
            CHECK(place_of[i] < t->places && place_of[j] < t->places);
            if (i == j)
                continue;
            struct sim_link *link = sim_link(sim_node_at(s, i), sim_node_at(s, j));
            *link = place_of[i] == place_of[j] ? near : sim_topo_link(&t->link[place_of[i]][place_of[j]]);
        }
}

void sim_topo_clocks(struct sim *s, const struct topo *t, const unsigned *place_of) {
    for (uint16_t i = 0; i < sim_nodes(s); i++) {
        CHECK(place_of[i] < t->places);
        const struct topo_region *r = &t->region[t->place[place_of[i]].region];
        struct sim_node *n = sim_node_at(s, i);
        sim_clock_drift(n, r->clock_drift_ppb);
        if (r->clock_offset_ns)
            sim_clock_step(n, r->clock_offset_ns);
        for (unsigned m = 0; m < r->masters && m < SIM_TRUTHS; m++) {
            struct sim_truth *truth = sim_truth(n, m);
            truth->bound_ns = r->master_err_ns;
            truth->jitter_ns = 6 * r->master_jitter_ns < r->master_err_ns ? 6 * r->master_jitter_ns : r->master_err_ns;
        }
    }
}
