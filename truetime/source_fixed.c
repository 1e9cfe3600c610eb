/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_fixed.c: CLOCK_REALTIME within a bound that somebody asserts.
 *
 * Assumes       what it says. Nothing is measured, so the clock's state is ASSUMED, never SYNC. Only a step of the system clock
 *               by more than the bound is noticed, and it is a fault.
 */
#include <stdlib.h>

#include "truetime/source.h"

enum { GRAIN_NS = 1000 };

static void fixed_poll(struct tt_source *s, const struct tt_look *look) {
    if (!look->usable)
        return;
    int64_t bound = s->spec.err_ns + GRAIN_NS, read_ns = look->now.raw - look->now.raw_before;
    tt_interval iv = {look->now.real - bound, look->now.real + read_ns + bound};
    tt_source_reading(s, look->now.raw, iv, 0);
    s->report.dispersion_ns = s->spec.err_ns;
    tt_source_remark(s, "assumed, not measured");
}

struct tt_source *tt_source_fixed(void) {
    static const struct tt_source_ops ops = {.poll = fixed_poll};
    struct tt_source *s = calloc(1, sizeof *s);
    if (s) {
        s->ops = &ops;
        s->leaps = true;
    }
    return s;
}
