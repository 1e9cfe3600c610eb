/* SPDX-License-Identifier: Apache-2.0 */
/* The ntpd segment: fields, refusals, and a copy that is whole or none while a writer is at work. */
#include "truetime/shmseg.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/lib/tap.h"

#define T0 INT64_C(1790000000123456789)

static struct tt_shm written(void) {
    struct tt_shm seg = {0};
    tt_shm_write(&seg, T0, T0 - 37000000, TT_LEAP_INSERT, -20);
    return seg;
}

static void round_trip(void) {
    struct tt_shm seg = {0}, copy;
    struct tt_shm_sample s;
    EQ_INT(tt_shm_copy(&seg, &copy), TT_SHM_EMPTY);
    seg = written();
    EQ_INT(seg.count, 2);
    EQ_INT(seg.valid, 1);
    EQ_INT(seg.clock_usec, 123456);
    EQ_INT(tt_shm_copy(&seg, &copy), TT_SHM_COPIED);
    OK(tt_shm_check(&copy, &s) == NULL);
    EQ_INT(s.clock_ns, T0);
    EQ_INT(s.receive_ns, T0 - 37000000);
    EQ_INT(s.leap, TT_LEAP_INSERT);
    EQ_INT(s.precision, -20);
    OK(!s.coarse);
    seg.count++; /* inside */
    EQ_INT(tt_shm_copy(&seg, &copy), TT_SHM_TORN);
    tt_shm_write(&seg, T0, T0, 0, 0); /* a successor puts it right */
    EQ_INT(seg.count, 6);
    EQ_INT(tt_shm_copy(&seg, &copy), TT_SHM_COPIED);
    seg.count = INT32_MAX; /* and it wraps */
    tt_shm_write(&seg, T0, T0, 0, 0);
    OK((seg.count & 1) == 0);
}

/* Nanoseconds count only where both agree with their microseconds: some writers leave them alone. */
static void old_writers_have_microseconds(void) {
    struct tt_shm seg = written();
    struct tt_shm_sample s;
    seg.receive_nsec = 0;
    OK(tt_shm_check(&seg, &s) == NULL);
    OK(s.coarse);
    EQ_INT(s.clock_ns, T0 - T0 % 1000);
}

static void refusals(void) {
    struct tt_shm seg;
    struct tt_shm_sample s = {.clock_ns = -77};
    const char *why;
#define REFUSED(change, text)                                                                                          \
    seg = written();                                                                                                   \
    change;                                                                                                            \
    why = tt_shm_check(&seg, &s);                                                                                      \
    OKF(why &&strstr(why, text), "%s: \"%s\", wanted \"%s\"", #change, why ? why : "accepted", text);                  \
    EQ_INT(s.clock_ns, -77)
    REFUSED(seg.mode = 0, "mode 0");
    REFUSED(seg.mode = 2, "mode is neither");
    REFUSED(seg.mode = -1, "mode is neither");
    REFUSED(seg.leap = 3, "leap 3");
    REFUSED(seg.leap = 4, "leap field");
    REFUSED(seg.leap = -1, "leap field");
    REFUSED(seg.clock_sec = 0, "reference time");
    REFUSED(seg.clock_sec = INT64_MAX, "reference time");
    REFUSED(seg.clock_sec = -1, "reference time");
    REFUSED(seg.clock_usec = 1000000, "reference time");
    REFUSED(seg.clock_usec = -1, "reference time");
    REFUSED(seg.receive_sec = INT64_MIN, "receive time");
    REFUSED(seg.receive_usec = 2000000000, "receive time");
#undef REFUSED
}

struct race {
    struct tt_shm seg;
    _Atomic bool stop;
};

/* All fields of an update follow from one number. */
static void *writer(void *arg) {
    struct race *r = arg;
    for (int64_t i = 0; !atomic_load(&r->stop); i++)
        tt_shm_write(&r->seg, T0 + i * 1000000007, T0 - i * 1000003, 0, (int)(i & 0xffff));
    return NULL;
}

static void copies_are_whole(void) {
    struct race r = {.stop = false};
    pthread_t thread;
    uint64_t copied = 0, torn = 0;
    CHECK(pthread_create(&thread, NULL, writer, &r) == 0);
    for (uint64_t i = 0; i < tap_env("ROUNDS", 200000); i++) {
        struct tt_shm copy;
        struct tt_shm_sample s;
        if (tt_shm_copy(&r.seg, &copy) != TT_SHM_COPIED) {
            torn++;
            continue;
        }
        copied++;
        OK(tt_shm_check(&copy, &s) == NULL);
        int64_t n = (s.clock_ns - T0) / 1000000007;
        OK((s.clock_ns - T0) % 1000000007 == 0 && s.receive_ns == T0 - n * 1000003 && s.precision == (n & 0xffff));
        if (tap_failing())
            break;
    }
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    tap_note("%llu copies, %llu times a writer was inside", (unsigned long long)copied, (unsigned long long)torn);
}

int main(void) {
    RUN(round_trip);
    RUN(old_writers_have_microseconds);
    RUN(refusals);
    RUN(copies_are_whole);
    return tap_done();
}
