/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_kernel.c: CLOCK_REALTIME within the kernel's own maximum error.
 *
 * Assumes       chronyd or ntpd steers the clock and keeps maxerror (chronyd: `rtcsync`). The operator says so by naming this
 *               source, because it cannot be seen: systemd-timesyncd writes 0 into maxerror, and after any daemon's death the
 *               kernel says "synchronised" for nine more hours (while maxerror grows by 500 ppm, which still bounds it).
 * The bound     maxerror is moved on at each full second only, so it may lack what a second adds: drift x 1 s more. Plus what
 *               reading REAL between two reads of RAW took, and a microsecond, its unit.
 * Source        adjtimex(2); kernel/time/ntp.c (second_overflow); RFC 1589, where maxerror is "maximum error".
 */
#include <stdlib.h>
#include <sys/timex.h>

#include "truetime/source.h"

enum { UNIT_NS = 1000 };

static void kernel_poll(struct tt_source *s, const struct tt_look *look) {
    static const int64_t second = 1000000000;
    struct env_adjtime t;
    env_adjtime(s->env, &t);
    if (t.state < 0) {
        tt_source_fail(s, true, "adjtimex failed");
        return;
    }
    if (t.state == TIME_ERROR || (t.status & STA_UNSYNC)) {
        tt_source_fail(s, true, "the kernel says that nobody steers its clock (status 0x%x)", (unsigned)t.status);
        return;
    }
    if (t.state == TIME_OOP || t.state == TIME_WAIT) {
        tt_source_fail(s, true, "a leap second is in progress");
        return;
    }
    if (t.maxerror_us <= 0) {
        tt_source_fail(s, true, "maxerror is %lld: set by somebody who does not keep it (systemd-timesyncd?)",
                       (long long)t.maxerror_us);
        return;
    }
    if (t.maxerror_us >= 16000000) {
        tt_source_fail(s, true, "maxerror has reached its end, 16 s");
        return;
    }
    if (!look->usable)
        return;
    int64_t bound = t.maxerror_us * UNIT_NS + UNIT_NS + tt_growth(second, s->drift_ppb);
    int64_t read_ns = look->now.raw - look->now.raw_before;
    tt_interval iv = {look->now.real - bound, look->now.real + read_ns + bound};
    tt_source_reading(s, look->now.raw, iv, 0);
    s->report.dispersion_ns = t.maxerror_us * UNIT_NS;
}

struct tt_source *tt_source_kernel(void) {
    static const struct tt_source_ops ops = {.poll = kernel_poll};
    struct tt_source *s = calloc(1, sizeof *s);
    if (s) {
        s->ops = &ops;
        s->leaps = true;
    }
    return s;
}
