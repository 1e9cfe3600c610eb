/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h: what runs on the stores of one process, told so that a real process (env_real.h) and a simulated one
 * (geo-sim/sim/sim.h) can start, stop and kill it in the same way.
 *
 * Promise     boot runs before any store's loop does, stop and stopped on the store's own thread, done after all loops
 *             have ended. After a crash in the simulator the same stop and done give the memory back, with an env whose
 *             disk and network no longer listen.
 */
#ifndef MERIDIAN_RUNTIME_PROGRAM_H
#define MERIDIAN_RUNTIME_PROGRAM_H

#include "truetime/base/env.h"

struct program {
    /* Makes the state of all stores (reactors, first fibers). On error nothing is left behind. */
    enum rc (*boot)(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err);
    /* Begins to end store `store` (reactor_stop and what belongs to it). */
    void (*stop)(void *state, uint16_t store);
    /* Nothing of the store is left running. Asked after each turn. */
    bool (*stopped)(void *state, uint16_t store);
    /* Frees the state. */
    void (*done)(void *state);
};

#endif
