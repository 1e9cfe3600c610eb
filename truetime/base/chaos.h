/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos.h: the hooks by which the simulator disturbs the code, breaks its rules on purpose, and learns what it reached.
 *
 * Promise     With a NULL chaos (production) chaos_chance and chaos_mutant are false and chaos_probe does nothing: one
 *             pointer test each.
 *             chaos_chance(c, "wal: short write")   a place that may go wrong: a seeded coin in the simulator
 *             chaos_mutant(c, "T-7")                true where the rule of that id is switched off: tests/run mutants
 *             chaos_probe(c, "commit: lease lost")  rare code ran here; tests demand theirs, long runs list those never hit
 * Relies on   nothing. Pure cores take a struct chaos * (it is not an outside effect: production has none).
 * Threads     that of the env it comes from.
 */
#ifndef MERIDIAN_BASE_CHAOS_H
#define MERIDIAN_BASE_CHAOS_H

#include "truetime/base/check.h"

struct chaos_ops;

struct chaos {
    const struct chaos_ops *ops;
};

struct chaos_ops {
    bool (*chance)(struct chaos *c, const char *place);
    bool (*mutant)(struct chaos *c, const char *rule);
    void (*probe)(struct chaos *c, const char *what);
};

static inline bool chaos_chance(struct chaos *c, const char *place) {
    return UNLIKELY(c != NULL) && c->ops->chance(c, place);
}

static inline bool chaos_mutant(struct chaos *c, const char *rule) {
    return UNLIKELY(c != NULL) && c->ops->mutant(c, rule);
}

static inline void chaos_probe(struct chaos *c, const char *what) {
    if (UNLIKELY(c != NULL))
        c->ops->probe(c, what);
}

#endif
