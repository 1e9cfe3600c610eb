/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.h: diagnostics for people, one line an event ("log" is Paxos's word).
 *
 *     2026-11-21T08:00:00.123456Z warn n1/0 tablet=12 net: frame refused peer=127.0.0.1:7433 reason="bad checksum"
 *
 * Promise     One event, one line, whatever bytes the values hold (control characters are shown as '?'). Below the level a
 *             call costs one comparison. diag_warn and diag_error of one name are limited to DIAG_BURST lines a second; the
 *             next line that passes says how many were left out. In the simulator the same seed gives the same lines.
 * Relies on   a sink and a clock, given by the env.
 * Threads     that of the env it belongs to.
 */
#ifndef MERIDIAN_BASE_DIAG_H
#define MERIDIAN_BASE_DIAG_H

#include "truetime/base/check.h"

enum diag_level { DIAG_DEBUG, DIAG_INFO, DIAG_WARN, DIAG_ERROR, DIAG_OFF };
enum { DIAG_LINE_BYTES = 1024, DIAG_BURST = 20, DIAG_SITES = 64, DIAG_WHO_BYTES = 32 };

struct diag {
    enum diag_level level;
    char who[DIAG_WHO_BYTES]; /* "n1/0": node and store */
    /* Gets a whole line with its newline; wall_ns is what the clock said. */
    void (*sink)(void *ctx, enum diag_level level, const char *line, size_t len);
    int64_t (*wall_ns)(void *ctx);
    void *ctx;
    struct diag_site {
        const char *name; /* by address: names are literals */
        int64_t since_ns;
        uint32_t lines, left_out;
    } sites[DIAG_SITES];
};

/* "debug", "info", "warn", "error", "off"; false for anything else. */
bool diag_level_parse(const char *text, enum diag_level *ret_level);

/* name: a literal "area: what happened". tablet: 0 = none. fmt: key=value pairs, or "". */
void diag_write(struct diag *d, enum diag_level level, uint64_t tablet, const char *name, const char *fmt, ...)
    PRINTF_LIKE(5, 6);

#define DIAG_(d, level_, tablet, name, ...)                                                                            \
    do {                                                                                                               \
        struct diag *d_ = (d);                                                                                         \
        if ((level_) >= d_->level)                                                                                     \
            diag_write(d_, (level_), (tablet), (name), __VA_ARGS__);                                                   \
    } while (0)
#define diag_debug(d, name, ...) DIAG_(d, DIAG_DEBUG, 0, name, __VA_ARGS__)
#define diag_info(d, name, ...) DIAG_(d, DIAG_INFO, 0, name, __VA_ARGS__)
#define diag_warn(d, name, ...) DIAG_(d, DIAG_WARN, 0, name, __VA_ARGS__)
#define diag_error(d, name, ...) DIAG_(d, DIAG_ERROR, 0, name, __VA_ARGS__)
/* The same for an event of one tablet. */
#define diag_tablet(d, level, tablet, name, ...) DIAG_(d, level, tablet, name, __VA_ARGS__)

#endif
