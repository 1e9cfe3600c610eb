/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.h: the clock's configuration as a user writes it: --clock SPEC.
 *
 *     SPEC   = part { ";" part }
 *     part   = source | option
 *     source = "shm:" UNIT [",err=" DUR]     a unit of ntpd's shared memory, right within DUR (default 500us)
 *            | "chrony" [":" WHERE]          WHERE = a socket's PATH (default /run/chrony/chronyd.sock) or "udp:HOST:PORT"
 *            | "kernel"                      chronyd or ntpd with rtcsync steers the system clock
 *            | "host"                        every node of the cluster runs on this machine; alone
 *            | "fixed:" DUR                  the operator vouches that the system clock is right within DUR
 *            | "sim" [":" UNIT]              a simulation's own time masters
 *     option = "f=" N                        how many of the n sources may lie (default (n - 1) / 2)
 *            | "drift=" N "ppm"              what the oscillator may be off by (default 200ppm)
 *            | "max_eps=" DUR                half-width past which there is no time to tell
 *            | "poll=" DUR | "void=" DUR     how often the sources are asked (250ms); how long readers trust a silent poller (2s)
 *     DUR    = number and unit: ns, us, ms, s, m, h
 *
 * Promise     A SPEC that parses is complete and consistent; one that does not says what is wrong with which part. max_eps is
 *             10 ms by default, at least four times the largest declared error, and 250 ms where chrony or the kernel, whose
 *             bound the network makes, is a source.
 * Threads     any; pure.
 */
#ifndef MERIDIAN_TRUETIME_SPEC_H
#define MERIDIAN_TRUETIME_SPEC_H

#include "truetime/page.h"

enum tt_kind { TT_KIND_SHM, TT_KIND_CHRONY, TT_KIND_KERNEL, TT_KIND_HOST, TT_KIND_FIXED, TT_KIND_SIM, TT_KINDS };

#define TT_CHRONY_ADDR "unix:/run/chrony/chronyd.sock"

struct tt_source_spec {
    enum tt_kind kind;
    int unit;                  /* shm, sim */
    int64_t err_ns;            /* shm, fixed: declared bound */
    char addr[ENV_ADDR_BYTES]; /* chrony: as env_dgram_open takes it */
    char name[TT_NAME_BYTES];  /* as written, without its options */
};

struct tt_spec {
    struct tt_source_spec sources[TT_SOURCES_MAX];
    unsigned n, f;
    int64_t drift_ppb; /* 0 with host: it is its own oscillator */
    int64_t poll_ns, void_ns, eps_max_ns;
};

enum rc tt_spec_parse(const char *text, struct tt_spec *ret, struct err *err) MUST_CHECK;

/* Without --clock: chrony where it answers, else host where nobody but this machine can join, else there is no answer that
 * would be safe. *ret_text is a literal. */
enum rc tt_spec_default(bool chrony_answers, bool all_loopback, const char **ret_text, struct err *err) MUST_CHECK;

bool tt_has_kind(const struct tt_spec *spec, enum tt_kind kind);

/* "500us", "1.5ms", "-3s": false if it is no duration or does not fit. */
bool tt_duration_parse(const char *text, int64_t *ret_ns);
/* "512 us", "1.250 ms", "3.0 s": four digits at most; INT64_MAX is "unknown". Returns to. */
const char *tt_duration_format(int64_t ns, char *to, size_t bytes);

#endif
