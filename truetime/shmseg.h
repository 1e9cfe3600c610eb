/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shmseg.h: the shared memory segment of ntpd's reference clock driver 28, as gpsd, linuxptp and others write it.
 *
 * System V segment, key 0x4e545030 ("NTP0") + unit, 96 bytes where time_t has 64 bits; native byte order:
 *
 *     offset  bytes  field
 *          0      4  mode                  1: the counter protocol below; 0: none, which we refuse
 *          4      4  count                 + 1 before and + 1 after each update: odd while a writer is inside
 *          8      8  clock_sec             reference time of the sample, seconds since the epoch, UTC
 *         16      4  clock_usec
 *         24      8  receive_sec           CLOCK_REALTIME of this machine at the same instant
 *         32      4  receive_usec
 *         36      4  leap                  0 nothing, 1 / 2 a second will be inserted / taken, 3 not synchronised
 *         40      4  precision             log2 of the jitter in seconds; consumers ignore it
 *         44      4  nsamples              unused
 *         48      4  valid                 1: not consumed yet; belongs to the one consumer, so we neither need nor touch it
 *         52      4  clock_nsec            used only if nsec / 1000 == usec, here and below
 *         56      4  receive_nsec
 *         60     32  dummy
 *
 * Promise     tt_shm_write orders its stores as the protocol wants, tt_shm_copy its loads: a copy that succeeds is of one
 *             update, if the writer counts. tt_shm_check accepts only fields that make sense.
 * Relies on   writers that keep the protocol. All access is by whole, aligned words.
 * Threads     one writer and any number of readers, in any processes.
 * Source      ntpd/refclock_shm.c and html/drivers/driver28.html of ntp.org; refclock_shm.c of chrony; ntpshm.h of gpsd.
 */
#ifndef MERIDIAN_TRUETIME_SHMSEG_H
#define MERIDIAN_TRUETIME_SHMSEG_H

#include "truetime/interval.h"

enum { TT_SHM_KEY = 0x4e545030, TT_SHM_BYTES = 96, TT_SHM_MODE = 1, TT_SHM_UNITS = 256 };
enum { TT_LEAP_NONE, TT_LEAP_INSERT, TT_LEAP_DELETE, TT_LEAP_UNSYNCED };

struct tt_shm {
    int32_t mode, count;
    int64_t clock_sec;
    int32_t clock_usec, spare_20;
    int64_t receive_sec;
    int32_t receive_usec, leap, precision, nsamples, valid;
    uint32_t clock_nsec, receive_nsec;
    int32_t dummy[8];
    int32_t spare_92;
};
static_assert(sizeof(struct tt_shm) == TT_SHM_BYTES, "byte table");
static_assert(offsetof(struct tt_shm, receive_sec) == 24 && offsetof(struct tt_shm, dummy) == 60, "byte table");

struct tt_shm_sample {
    int64_t clock_ns;   /* reference time */
    int64_t receive_ns; /* CLOCK_REALTIME at the same instant */
    int leap, precision;
    bool coarse; /* microseconds only */
};

/* One look at a segment. */
enum tt_shm_look {
    TT_SHM_EMPTY, /* nobody has written yet */
    TT_SHM_TORN,  /* a writer is inside, or got in */
    TT_SHM_COPIED,
};
enum tt_shm_look tt_shm_copy(const struct tt_shm *seg, struct tt_shm *ret_copy);
/* NULL, or what is wrong with the copy: a sentence for the operator, a literal. */
const char *tt_shm_check(const struct tt_shm *copy, struct tt_shm_sample *ret);
/* One update. leap: enum above; precision: log2 seconds. */
void tt_shm_write(struct tt_shm *seg, int64_t clock_ns, int64_t receive_ns, int leap, int precision);

#endif
