/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.h: what the clients of a scenario do, and what is made of what they saw: the same for both back ends.
 *
 *     work_plan(w, rng, client, &plan)                        what to do next: which rows, which values
 *     t = work_begin(w, client, region, now_ns)               ... the back end does it ...
 *     work_end(w, t, &plan, &outcome, now_ns)
 *     work_judge(w)                                           the checks of results.h
 *
 * The rows are registers: a key and a value, every written value unlike all others. So whoever reads a value knows who wrote it,
 * and what a run showed can be held against what a strictly serializable database could have shown (geo-sim/check/history.h).
 *
 * Promise     A write whose outcome its client does not know counts as done once somebody sees it, never as a failure or a
 *             success before. Times are of one clock for all clients.
 * Relies on   history.h, results.h.
 * Threads     one at a time: a back end with threads holds a lock around each call.
 */
#ifndef MERIDIAN_GEO_WORK_H
#define MERIDIAN_GEO_WORK_H

#include "geo-sim/check/history.h"
#include "geo-sim/scenarios/script.h"
#include "truetime/base/rng.h"

enum { WORK_KEYS_PER_TXN = 2 };

struct work_plan {
    enum work_op op;
    unsigned keys; /* 1 or 2: all that it touches, in ascending order */
    uint64_t key[WORK_KEYS_PER_TXN];
    bool reads, writes;
    int64_t value[WORK_KEYS_PER_TXN]; /* to be written */
    int64_t staleness_ns;             /* STALE */
};

enum work_end {
    WORK_DONE,
    WORK_NOT_DONE, /* it surely did nothing */
    WORK_UNKNOWN,  /* the client was not told */
};

struct work_outcome {
    enum work_end end;
    int64_t read[WORK_KEYS_PER_TXN]; /* 0 = no row */
    int64_t ts;                      /* of the commit or the read; 0 = not told */
    const int64_t *cause_ns;         /* results->causes of them, or NULL */
    const char *code;                /* why not: SQLSTATE or name */
};

struct work_write {
    uint64_t key;
    int64_t value, begin_ns, end_ns; /* end: INT64_MAX if unknown */
    bool known;
};

struct work {
    const struct script *script;
    struct results *results;
    struct history *history;
    int64_t next_value;
    bool all_ts;       /* every committed one told its timestamp */
    uint32_t *unknown; /* transactions whose clients were not told, until somebody finds out */
    size_t unknowns, unknown_cap;
    struct work_write *write;
    size_t writes, write_cap;
    int64_t last_write_ns; /* the newest write that succeeded */
    int64_t from_ns;       /* the origin of times in results */
    uint64_t after_last_step[TOPO_REGIONS_MAX];
};

enum rc work_new(const struct script *s, struct results *r, int64_t from_ns, struct work **ret) MUST_CHECK;
void work_free(struct work *w); /* NULL is fine */
void work_plan(struct work *w, struct rng *rng, struct work_plan *ret);
uint32_t work_begin(struct work *w, uint32_t client, int64_t now_ns);
void work_end(struct work *w, uint32_t t, unsigned region, const struct work_plan *p, const struct work_outcome *o,
              int64_t begin_ns, int64_t now_ns);
/* What became of one that ended with WORK_UNKNOWN: committed at ts, or not at all (ts 0). */
void work_resolve(struct work *w, uint32_t t, int64_t ts, int64_t now_ns);
/* What is there at the end, read after everything else: the last look at every key. */
void work_final(struct work *w, uint32_t client, const int64_t *value_of_key, int64_t ts, int64_t begin_ns,
                int64_t now_ns);
void work_judge(struct work *w, int64_t now_ns);

#endif
