/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simkit.h: what simulation tests share: a program whose stores each run one body on a fiber, and seeds.
 *
 *     static void one_seed(uint64_t seed) { ... }
 *     simkit_seeds("wal", 200, one_seed);      runs seeds 1..200 (SIM_SEEDS=n changes the number, SIM_SEED=k replays one)
 *
 * A broken invariant in the middle of a seed prints the command that replays it.
 */
#ifndef MERIDIAN_TESTS_SIMKIT_H
#define MERIDIAN_TESTS_SIMKIT_H

#include "geo-sim/sim/sim.h"
#include "shard/runtime/fiber.h"

/* One store of a simulated node. */
struct simkit_store {
    struct reactor *r;
    struct env *env;
    struct simkit_node *node;
};

struct simkit_node {
    void (*body)(struct simkit_store *store);               /* on a large fiber; the node goes on after it returns */
    void (*stop)(struct simkit_node *node, uint16_t store); /* besides stopping the reactor; may be NULL */
    void *arg;
    struct simkit_store *stores; /* while it runs */
    uint16_t store_count;
    uint64_t boots;
};

/* The program for sim_node_new; arg is a struct simkit_node. */
extern const struct program simkit_program;

/* Runs seeds 1..count and reports the first that fails as an assertion; name is this test program's. */
void simkit_seeds(const char *name, uint64_t count, void (*one_seed)(uint64_t seed));
/* The seed under way is traced with diagnostics: SIM_PRINT=1. */
struct sim_conf simkit_conf(uint64_t seed);

#endif
