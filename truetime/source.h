/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h: something that tells the time with a bound: one file each, source_NAME.c.
 *
 * Promise     S1  a reading is an interval that held true time at its RAW instant, if the source's own assumption holds (its
 *                 file names it). Everything that we add (reading two clocks, slewing, waiting for an answer, rounding) is
 *                 already in it.
 *             S2  whatever bytes the outside hands over, a source answers with a reading that they justify or with an error
 *                 that says what is wrong, never with less than its declared bound.
 * Relies on   env; the watch's moment, handed in by the poller.
 * Threads     the poller's env.
 */
#ifndef MERIDIAN_TRUETIME_SOURCE_H
#define MERIDIAN_TRUETIME_SOURCE_H

#include "truetime/chronyproto.h"
#include "truetime/spec.h"
#include "truetime/watch.h"

struct tt_source;

/* What one look at the clocks gives to all sources of a round. */
struct tt_look {
    struct tt_moment now;
    const struct tt_watch *watch;
    bool usable; /* `now` may be used: sharp, and REAL did not step since the look before */
};

struct tt_source_ops {
    /* Each tick (25 ms) where it is given, and each poll (250 ms). look and poll may set a reading, or start something that
     * calls tt_source_news later. NULL: nothing to do. */
    void (*look)(struct tt_source *s, const struct tt_look *look);
    void (*poll)(struct tt_source *s, const struct tt_look *look);
    void (*free)(struct tt_source *s);
};

/* First in each source's own structure. */
struct tt_source {
    const struct tt_source_ops *ops;
    struct env *env;
    struct tt_source_spec spec;
    int64_t drift_ppb, poll_ns;
    int64_t fresh_ns; /* a reading older than this is stale */
    /* The last reading: at iv_raw true time was in iv. */
    bool have;
    int64_t iv_raw;
    tt_interval iv;
    struct tt_source_report report; /* verdict: TT_ERROR here, else the poller's */
    bool failed;                    /* its last word was an error */
    bool ageless;                   /* readings do not grow old (host) */
    bool leaps;                     /* its scale may have leap seconds */
    void (*on_news)(void *ctx);
    void *news_ctx;
};

/* What only some sources want to know. */
struct tt_source_conf {
    const char *host_dir;  /* host: where the file with the offset lies */
    int64_t high_water_ns; /* host: the largest timestamp that this node's data directory persists; 0 = none */
};

/* Never fails but for memory: what cannot be reached is an error of the source, tried again at each poll. */
enum rc tt_source_new(struct env *env, const struct tt_source_spec *spec, const struct tt_source_conf *conf,
                      struct tt_source **ret, struct err *err) MUST_CHECK;
void tt_source_free(struct tt_source *s);

/* ---- for sources ------------------------------------------------------------------------------------------------- */

/* iv held true time at raw. offset_ns: true - REAL. */
void tt_source_reading(struct tt_source *s, int64_t raw, tt_interval iv, int64_t offset_ns);
/* The source has answered outside of look and poll. */
void tt_source_news(struct tt_source *s);
/* Says what is wrong. drop: also forget the last reading (the source itself says that it does not know the time). */
void tt_source_fail(struct tt_source *s, bool drop, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A remark beside a good reading. */
void tt_source_remark(struct tt_source *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct tt_source *tt_source_shm(void);
struct tt_source *tt_source_chrony(void);
struct tt_source *tt_source_kernel(void);
struct tt_source *tt_source_host(const struct tt_source_conf *conf);
struct tt_source *tt_source_fixed(void);
struct tt_source *tt_source_sim(void);

/* chrony: whether chronyd has answered anything yet, and what it listens to (the first 16). */
enum { TT_CHRONY_SOURCES_MAX = 16 };
struct tt_chrony_sources {
    uint32_t total, count;
    struct chrony_source source[TT_CHRONY_SOURCES_MAX];
};
bool tt_chrony_answered(const struct tt_source *s);
const struct tt_chrony_sources *tt_chrony_list(const struct tt_source *s);

/* The name under which cluster members agree that they read one scale: "utc", or for host this boot and its offset. Nodes
 * whose scales differ must not join. Empty while the source does not know. */
enum { TT_SCALE_BYTES = 128 };
void tt_source_host_scale(const struct tt_source *s, char ret[TT_SCALE_BYTES]);

/* A leap second may be inserted or taken at the end of June and December (UTC). Whether t is within margin_ns of one. */
bool tt_near_leap(int64_t t_ns, int64_t margin_ns);

#endif
