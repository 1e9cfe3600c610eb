/* SPDX-License-Identifier: Apache-2.0 */
/* shmseg.c: both sides of the counter protocol. The loads and stores of the fields are acquire and release operations, which
 * order them against the counter as fences would, and which ThreadSanitizer understands. */
#include "truetime/shmseg.h"

#include <string.h>

#define LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

enum tt_shm_look tt_shm_copy(const struct tt_shm *seg, struct tt_shm *ret_copy) {
    int32_t count = LOAD(&seg->count);
    if (count & 1)
        return TT_SHM_TORN;
    *ret_copy = (struct tt_shm){
        .mode = LOAD(&seg->mode),
        .count = count,
        .clock_sec = LOAD(&seg->clock_sec),
        .clock_usec = LOAD(&seg->clock_usec),
        .receive_sec = LOAD(&seg->receive_sec),
        .receive_usec = LOAD(&seg->receive_usec),
        .leap = LOAD(&seg->leap),
        .precision = LOAD(&seg->precision),
        .clock_nsec = LOAD(&seg->clock_nsec),
        .receive_nsec = LOAD(&seg->receive_nsec),
    };
    if (LOAD(&seg->count) != count)
        return TT_SHM_TORN;
    bool written = count != 0 || ret_copy->clock_sec != 0 || ret_copy->receive_sec != 0;
    return written ? TT_SHM_COPIED : TT_SHM_EMPTY;
}

static bool stamp_ns(int64_t sec, int32_t usec, uint32_t nsec, bool fine, int64_t *ret) {
    if (sec < TT_TIME_MIN_NS / 1000000000 || sec >= TT_TIME_MAX_NS / 1000000000 || usec < 0 || usec > 999999)
        return false;
    *ret = sec * 1000000000 + (fine ? (int64_t)nsec : (int64_t)usec * 1000);
    return true;
}

const char *tt_shm_check(const struct tt_shm *copy, struct tt_shm_sample *ret) {
    struct tt_shm_sample s = {.leap = copy->leap, .precision = copy->precision};
    if (copy->mode == 0)
        return "mode 0, which has no protection against torn reads: refused";
    if (copy->mode != TT_SHM_MODE)
        return "mode is neither 0 nor 1: no such segment format";
    bool fine = copy->clock_nsec / 1000 == (uint32_t)copy->clock_usec &&
                copy->receive_nsec / 1000 == (uint32_t)copy->receive_usec;
    s.coarse = !fine;
    if (!stamp_ns(copy->clock_sec, copy->clock_usec, copy->clock_nsec, fine, &s.clock_ns))
        return "the reference time is no time";
    if (!stamp_ns(copy->receive_sec, copy->receive_usec, copy->receive_nsec, fine, &s.receive_ns))
        return "the receive time is no time";
    if (copy->leap == TT_LEAP_UNSYNCED)
        return "the master says that it is not synchronised (leap 3)";
    if (copy->leap < 0 || copy->leap > TT_LEAP_UNSYNCED)
        return "the leap field is none of 0 to 3";
    *ret = s;
    return NULL;
}

void tt_shm_write(struct tt_shm *seg, int64_t clock_ns, int64_t receive_ns, int leap, int precision) {
    int64_t clock_sub = clock_ns % 1000000000, receive_sub = receive_ns % 1000000000;
    CHECK(clock_ns >= 0 && receive_ns >= 0);
    STORE(&seg->mode, TT_SHM_MODE);
    STORE(&seg->valid, 0);
    /* A predecessor that died inside left the counter odd: one more makes this update look as it should. */
    int32_t count = LOAD(&seg->count);
    count = (int32_t)((uint32_t)count + 1 + (count & 1));
    __atomic_exchange_n(&seg->count, count, __ATOMIC_SEQ_CST);
    STORE(&seg->clock_sec, clock_ns / 1000000000);
    STORE(&seg->clock_usec, (int32_t)(clock_sub / 1000));
    STORE(&seg->clock_nsec, (uint32_t)clock_sub);
    STORE(&seg->receive_sec, receive_ns / 1000000000);
    STORE(&seg->receive_usec, (int32_t)(receive_sub / 1000));
    STORE(&seg->receive_nsec, (uint32_t)receive_sub);
    STORE(&seg->leap, leap);
    STORE(&seg->precision, precision);
    STORE(&seg->count, (int32_t)((uint32_t)count + 1));
    STORE(&seg->valid, 1);
}
