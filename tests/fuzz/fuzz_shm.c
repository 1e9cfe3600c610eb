/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What anybody may have put into a segment of ntpd's shared memory, 96 bytes at a time, as a poller on a simulated machine sees
 * it: never a crash, and an interval only from a sample that says it, never narrower than the declared error.
 */
#include <string.h>

#include "tests/unit/truetime/ttsim.h"
#include "truetime/shmseg.h"

#define MS INT64_C(1000000)

enum { STEPS_MAX = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fields near enough to the truth to be taken, where the input asks for it. */
static void make_plausible(struct ttsim *t, struct tt_shm *seg, uint8_t how) {
    int64_t real = sim_clock_read(t->node, ENV_CLOCK_REAL), truth = sim_true_ns(t->s);
    if (how & 1)
        seg->mode = 1;
    if (how & 2)
        seg->count &= ~1;
    if (how & 4) {
        seg->receive_sec = real / 1000000000;
        seg->receive_usec = (int32_t)(real % 1000000000 / 1000);
    }
    if (how & 8)
        seg->clock_sec = truth / 1000000000;
    if (how & 16)
        seg->clock_usec = (int32_t)((uint32_t)seg->clock_usec % 1000000);
    if (how & 32)
        seg->leap &= 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ttsim t;
    struct tt_shm copy;
    struct tt_shm_sample s;
    bool said = false;
    ttsim_init(&t, 1, "shm:0,err=500us;max_eps=1h", NULL);
    struct tt_shm *seg = sim_shm(t.node, TT_SHM_KEY, TT_SHM_BYTES);
    for (int step = 0; step < STEPS_MAX && size > TT_SHM_BYTES; step++) {
        uint8_t how = data[0];
        memcpy(seg, data + 1, TT_SHM_BYTES);
        data += 1 + TT_SHM_BYTES;
        size -= 1 + TT_SHM_BYTES;
        make_plausible(&t, seg, how);
        copy = *seg;
        const char *bad = tt_shm_check(&copy, &s);
        CHECK(bad || (s.clock_ns >= TT_TIME_MIN_NS && s.clock_ns < TT_TIME_MAX_NS && s.receive_ns >= TT_TIME_MIN_NS));
        said |= !bad && !(copy.count & 1);
        ttsim_run(&t, how & 64 ? 10 * MS : 110 * MS);
        tt_interval iv = tt_now(&t.clock);
        if (tt_is_known(iv)) {
            CHECK(said);
            CHECK(tt_half_width(iv) >= 500000);
        }
    }
    ttsim_done(&t);
    return 0;
}
