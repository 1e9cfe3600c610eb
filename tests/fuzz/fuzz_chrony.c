/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever answers at chronyd's socket: never a crash, and an interval only from a report that gives the right to it, never
 * narrower than the root distance in it.
 */
#include <math.h>
#include <string.h>

#include "tests/unit/truetime/ttsim.h"
#include "truetime/base/buf.h"
#include "truetime/chronyproto.h"

#define MS INT64_C(1000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct ttsim *t;
    const uint8_t *data;
    size_t size;
    double distance_s; /* the least root distance of the reports that were good */
    bool good;
};

/* The next chunk as an answer: a byte says what is put right in it, another how long it is. */
static size_t answer(void *ctx, const void *request, size_t bytes, void *reply, size_t cap) {
    struct input *in = ctx;
    uint8_t *a = reply;
    const uint8_t *q = request;
    struct chrony_tracking t;
    CHECK(bytes >= 32 && cap >= 256);
    if (in->size < 2)
        return 0;
    uint8_t how = in->data[0];
    size_t n = in->data[1];
    in->data += 2;
    in->size -= 2;
    if (how & 1)
        n = bytes;
    size_t there = n < in->size ? n : in->size;
    memset(a, 0, n);
    memcpy(a, in->data, there);
    in->data += there;
    in->size -= there;
    if (n >= 28 && (how & 2)) {
        memcpy(a + 16, q + 8, 4);
        a[0] = 6;
        a[1] = 2;
        a[2] = a[3] = 0;
        memcpy(a + 4, q + 4, 2);
        set_u16be(a + 8, 0);
    }
    if (n >= 28 && (how & 4))
        set_u16be(a + 6, q[5] == 33 ? 5 : q[5] == 15 ? 3 : 2);
    if (n >= 104 && (how & 8)) {
        set_u16be(a + 54, 0);
        set_u32be(a + 56, 0x7fffffff);
        set_u32be(a + 60, (uint32_t)(sim_clock_read(in->t->node, ENV_CLOCK_REAL) / 1000000000));
        set_u32be(a + 64, 0);
    }
    uint32_t sequence = get_u32be(q + 8), count;
    struct chrony_source source;
    if (q[5] == 33 && chrony_parse_tracking(a, n, sequence, &t, NULL) == RC_OK && t.leap < 3 && t.ref_id != 0) {
        double d = t.root_dispersion_s + t.root_delay_s / 2;
        CHECK(isfinite(d) && isfinite(t.correction_s));
        in->distance_s = in->good && in->distance_s < d ? in->distance_s : d;
        in->good = true;
    }
    IGNORE(chrony_parse_count(a, n, sequence, &count, NULL)); /* only that they survive it */
    IGNORE(chrony_parse_source(a, n, sequence, &source, NULL));
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ttsim t;
    struct input in = {.t = &t, .data = data, .size = size};
    ttsim_init(&t, 1, "chrony;max_eps=1h", NULL);
    sim_serve(t.node, "unix:/run/chrony/chronyd.sock", 100000, answer, &in);
    for (int i = 0; i < 12 && in.size >= 2; i++) {
        ttsim_run(&t, 250 * MS);
        tt_interval iv = tt_now(&t.clock);
        if (tt_is_known(iv)) {
            CHECK(in.good);
            CHECK((double)tt_half_width(iv) >= in.distance_s * 1e9);
            CHECK(tt_half_width(iv) > 1000);
        }
    }
    ttsim_done(&t);
    return 0;
}
