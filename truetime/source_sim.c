/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_sim.c: a simulation's own knowledge of true time, with the faults that a test sets (env_true_time).
 *
 * Assumes       the simulator keeps the bound that it returns, unless the test made this master lie.
 */
#include <stdlib.h>

#include "truetime/source.h"

static void sim_poll(struct tt_source *s, const struct tt_look *look) {
    struct err err = {0};
    int64_t true_ns, bound_ns;
    /* Simulated code takes no time: both readings are of one instant. */
    enum rc rc = env_true_time(s->env, (unsigned)s->spec.unit, &true_ns, &bound_ns, &err);
    if (rc) {
        tt_source_fail(s, false, "%s", err_message(&err));
        return;
    }
    tt_interval iv = {true_ns - bound_ns, true_ns + bound_ns};
    tt_source_reading(s, look->now.raw, iv, true_ns - look->now.real);
}

struct tt_source *tt_source_sim(void) {
    static const struct tt_source_ops ops = {.poll = sim_poll};
    struct tt_source *s = calloc(1, sizeof *s);
    if (s)
        s->ops = &ops;
    return s;
}
