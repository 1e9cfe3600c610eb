/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronyproto.h: the part of chronyd's command protocol that we speak: tracking and sources. Version 6, big-endian, the same
 * from chrony 2.2 to 4.8.
 *
 *     request   0  1  version 6        reply   0  1  version 6
 *               1  1  type 1                   1  1  type 2
 *               2  2  reserved                 2  2  reserved
 *               4  2  command                  4  2  command
 *               6  2  attempt                  6  2  reply: what follows
 *               8  4  sequence                 8  2  status: 0 = success
 *              12  8  padding                 10  6  padding
 *              20     arguments               16  4  sequence, as asked
 *              and zeros up to the            20  8  padding
 *              reply's length                 28     body
 *
 *     tracking (33 -> 5)                      source (15 -> 3, argument: index)     count (14 -> 2)
 *     28  4  reference id                     28 20  address                        28  4  sources
 *     32 20  its address                      48  2  log2 of the poll interval
 *     52  2  stratum                          50  2  stratum
 *     54  2  leap                             52  2  state
 *     56 12  last update: sec high, low, ns   54  2  mode: client, peer, reference clock
 *     68  4  current correction, s            56  2  flags
 *     72  4  last offset                      58  2  reachability
 *     76  4  rms offset                       60  4  seconds since the last sample
 *     80  4  frequency, ppm                   64  4  original offset, s
 *     84  4  residual frequency, ppm          68  4  offset of the last sample, s
 *     88  4  skew, ppm                        72  4  its error, s
 *     92  4  root delay, s                    76
 *     96  4  root dispersion, s
 *    100  4  last update interval, s
 *    104
 *
 * Real numbers are 32 bits: a signed exponent of 7 and a signed coefficient of 25: coefficient x 2^(exponent - 25).
 *
 * Promise     A reply that parses has the length, version, type, command, sequence and status that it should; anything else
 *             is a reason, never a number.
 * Threads     any; pure.
 * Source      candm.h, pktlength.c, util.c (UTI_FloatNetworkToHost) and reference.c (REF_GetTrackingReport) of chrony.
 */
#ifndef MERIDIAN_TRUETIME_CHRONYPROTO_H
#define MERIDIAN_TRUETIME_CHRONYPROTO_H

#include "truetime/base/err.h"

enum {
    CHRONY_VERSION = 6,
    CHRONY_COUNT = 14,
    CHRONY_SOURCE = 15,
    CHRONY_TRACKING = 33,
    CHRONY_PACKET_BYTES = 104,
    CHRONY_LEAP_UNSYNCED = 3
};
#define CHRONY_REFID_LOCAL 0x7f7f0101u  /* `local`: chronyd follows its own clock, and calls its dispersion 0 */
#define CHRONY_REFID_MANUAL 0x4d414e55u /* "MANU": somebody typed the time */

struct chrony_tracking {
    uint32_t ref_id;
    uint16_t stratum, leap;
    int64_t ref_time_ns; /* of the last update, up to 1 s too early on purpose */
    double correction_s; /* true time - CLOCK_REALTIME */
    double root_delay_s, root_dispersion_s, update_interval_s, skew_ppm;
};

enum chrony_source_state {
    CHRONY_SELECTED,
    CHRONY_NONSELECTABLE,
    CHRONY_FALSETICKER,
    CHRONY_JITTERY,
    CHRONY_UNSELECTED,
    CHRONY_SELECTABLE,
    CHRONY_STATES,
};

struct chrony_source {
    uint8_t address[20]; /* 16 bytes, then the family: 1 IPv4 (or a reference clock's id), 2 IPv6 */
    uint16_t stratum, state, mode, reachability;
    uint32_t since_sample_s;
    double offset_s, error_s;
};

/* Returns the request's length, which is that of the reply, as chronyd wants it. index: of a source. */
size_t chrony_request(uint8_t ret[CHRONY_PACKET_BYTES], unsigned command, uint32_t sequence, uint32_t index);

/* Whether a datagram answers request `sequence` at all; others are late or alien and are dropped. */
bool chrony_is_reply(const uint8_t *data, size_t bytes, uint32_t sequence);
enum rc chrony_parse_tracking(const uint8_t *data, size_t bytes, uint32_t sequence, struct chrony_tracking *ret,
                              struct err *err) MUST_CHECK;
enum rc chrony_parse_count(const uint8_t *data, size_t bytes, uint32_t sequence, uint32_t *ret,
                           struct err *err) MUST_CHECK;
enum rc chrony_parse_source(const uint8_t *data, size_t bytes, uint32_t sequence, struct chrony_source *ret,
                            struct err *err) MUST_CHECK;

double chrony_float(uint32_t bits);
/* "GPS", "192.0.2.1", "2001:db8::1", or hexadecimal; returns to. */
const char *chrony_refid_format(uint32_t ref_id, char *to, size_t bytes);
const char *chrony_source_name(const struct chrony_source *s, char *to, size_t bytes);
const char *chrony_source_state_name(unsigned state);

#endif
