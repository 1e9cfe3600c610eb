/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h: the 4 KiB that a poller publishes and any number of threads and processes read without a lock or a system call.
 *
 * Layout, little-endian, every field a 64-bit word that is loaded and stored whole (version 1):
 *
 *     offset  bytes  field
 *          0      8  magic       0x3130454741505454 ("TTPAGE01": format 1)
 *          8      8  seq         odd: a writer is inside; (seq >> 1) & 1: the slot in force
 *         16      8  info_seq    the same for the part that is for people
 *         24      8  epoch       how many pollers have taken the page over
 *         32     32  spare       zero
 *         64    128  slot 0      base_raw, earliest, latest, void_after, floor_earliest, floor_latest, drift_ppb,
 *                                eps_max, state, real_off, real_off_tolerance, boot, fix_raw, epoch, 2 spare
 *        192    128  slot 1      the same
 *        320   3776  info        struct tt_info: who said what, for status displays
 *
 * A writer that dies leaves one slot whole, whatever it was doing: it writes the slot that is not in force, between two steps
 * of seq. A reader that finds seq odd tries again a bounded number of times and then has no time to tell.
 *
 * Promise     P1  a read that validates saw one publication whole.
 *             P2  what validated reads return never goes backwards, neither end, across publications and pollers, for as
 *                 long as the machine runs: each publication carries floors, see tt_page_publish (rule C-3).
 *             P3  a page of another boot, or of another time namespace, is refused: its raw clock means nothing here.
 * Relies on   one writer at a time (env_page_map holds the lock); env for RAW and REAL_COARSE.
 * Threads     one writer; readers anywhere.
 */
#ifndef MERIDIAN_TRUETIME_PAGE_H
#define MERIDIAN_TRUETIME_PAGE_H

#include <stdatomic.h>

#include "truetime/base/env.h"
#include "truetime/combine.h"

enum tt_state {
    TT_UNSYNCED, /* no interval: never had one, or it grew past eps_max, or the sources contradict each other */
    TT_SYNC,     /* the last round made a fix */
    TT_HOLDOVER, /* it did not; the last fix is grown by the drift bound */
    TT_ASSUMED,  /* as SYNC, but a bound is the operator's word (`fixed`) */
    TT_FAULT,    /* two things that cannot both be true were measured: no interval until they agree again */
    TT_STATES,
};

/* Why a read gave no interval. */
enum tt_refusal {
    TT_READ_OK,
    TT_READ_STATE,   /* the poller says so: UNSYNCED or FAULT */
    TT_READ_VOID,    /* the poller has not spoken for too long */
    TT_READ_WIDE,    /* wider than eps_max by now */
    TT_READ_STEPPED, /* CLOCK_REALTIME jumped since the poller looked: a step, or the machine slept */
    TT_READ_BOOT,    /* the page is of another boot */
    TT_READ_TORN,    /* no writer finished within the reader's patience: it died, or is stopped, inside */
    TT_READ_DAMAGED, /* numbers that no poller publishes: something else wrote to the page */
    TT_READS,
};

enum tt_verdict {
    TT_WAITING,     /* has not spoken yet */
    TT_AGREES,      /* meets the fix */
    TT_FALSETICKER, /* misses it */
    TT_DISAGREES,   /* has spoken, but there is no fix that n - f share */
    TT_STALE,       /* spoke too long ago */
    TT_ERROR,       /* says that it cannot tell the time, or says nonsense, or cannot be reached */
    TT_VERDICTS,
};

enum { TT_NAME_BYTES = 64, TT_DETAIL_BYTES = 88, TT_REASON_BYTES = 192, TT_PAGE_BYTES = 4096, TT_READ_TRIES = 1000 };

/* One source as its poller sees it. */
struct tt_source_report {
    char name[TT_NAME_BYTES];     /* as in the SPEC: "shm:2" */
    char detail[TT_DETAIL_BYTES]; /* what is wrong, or what else it says */
    uint32_t verdict;             /* enum tt_verdict */
    uint32_t spare;
    uint64_t samples;
    int64_t offset_ns;     /* true time - CLOCK_REALTIME at the sample, by this source */
    int64_t bound_ns;      /* half the width of its interval at the sample */
    int64_t sampled_raw;   /* when, on the raw clock; 0 = never */
    int64_t delay_ns;      /* of the bound: half of the round trip to the reference (chrony) */
    int64_t dispersion_ns; /* of the bound: dispersion (chrony), declared error (shm), maxerror (kernel) */
};

struct tt_info {
    int64_t written_raw;
    uint64_t n, f, fresh; /* masters configured, liars tolerated, masters with a fresh sample */
    uint64_t polls, no_quorum, disagreements, conflicts, steps, suspends;
    uint64_t source_count;
    char reason[TT_REASON_BYTES]; /* why the state is what it is */
    struct tt_source_report sources[TT_SOURCES_MAX];
};

struct tt_slot {
    _Atomic int64_t base_raw, earliest, latest, void_after, floor_earliest, floor_latest, drift_ppb, eps_max;
    _Atomic int64_t state, real_off, real_off_tolerance;
    _Atomic uint64_t boot;
    _Atomic int64_t fix_raw;
    _Atomic uint64_t epoch, spare[2];
};

enum { TT_PAGE_INFO_OFFSET = 320, TT_PAGE_INFO_WORDS = (TT_PAGE_BYTES - TT_PAGE_INFO_OFFSET) / 8 };

struct tt_page {
    _Atomic uint64_t magic, seq, info_seq, epoch, spare[4];
    struct tt_slot slot[2];
    _Atomic uint64_t info[TT_PAGE_INFO_WORDS];
};

static_assert(sizeof(struct tt_slot) == 128, "two cache lines");
static_assert(offsetof(struct tt_page, slot) == 64, "byte table");
static_assert(offsetof(struct tt_page, info) == TT_PAGE_INFO_OFFSET, "byte table");
static_assert(sizeof(struct tt_page) == TT_PAGE_BYTES, "byte table");
static_assert(sizeof(struct tt_info) <= TT_PAGE_INFO_WORDS * 8, "info fits");
static_assert(sizeof(struct tt_info) % 8 == 0, "info is whole words");

/* A slot, copied. */
struct tt_view {
    int64_t base_raw;     /* when iv holds */
    tt_interval iv;       /* the fix */
    int64_t void_after;   /* on the raw clock: no interval beyond it */
    tt_interval floor;    /* neither end below these (P2) */
    int64_t drift_ppb;    /* by which each side grows */
    int64_t eps_max;      /* largest half-width that is told */
    int64_t state;        /* enum tt_state */
    int64_t real_off;     /* REAL - RAW when the poller looked */
    int64_t real_off_tol; /* by how much it may differ */
    uint64_t boot;
    int64_t fix_raw; /* when the fix was made; 0: there is none */
    uint64_t epoch;
};

const char *tt_state_name(enum tt_state state);       /* "SYNC" */
const char *tt_verdict_name(enum tt_verdict verdict); /* "agrees" */
const char *tt_refusal_text(enum tt_refusal why);     /* a clause: "the poller has not spoken for too long" */

/* The number under which this boot is known in pages; never 0. */
enum rc tt_page_boot(struct env *env, uint64_t *ret_boot, struct err *err) MUST_CHECK;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Whether memory holds a page that we can read. */
bool tt_page_is_valid(const struct tt_page *p);
/* The interval now. ret_view may be NULL; it is set unless TORN. */
enum tt_refusal tt_page_read(const struct tt_page *p, struct env *env, uint64_t boot, tt_interval *ret_iv,
                             struct tt_view *ret_view);
/* The interval that a view gives at a time of the raw clock. */
enum tt_refusal tt_view_at(const struct tt_view *v, int64_t raw, tt_interval *ret_iv);
/* False: a writer died inside, or there was never one, or what is there makes no sense. */
bool tt_page_read_info(const struct tt_page *p, struct tt_info *ret_info);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* A new poller takes the page over: whatever memory holds, afterwards it is a page in state UNSYNCED, whose floors cover
 * what readers of this boot were told before. */
void tt_page_adopt(struct tt_page *p, struct env *env, uint64_t boot);
/* Puts v in force; its floors, boot and epoch are set here. */
void tt_page_publish(struct tt_page *p, struct env *env, const struct tt_view *v);
void tt_page_publish_info(struct tt_page *p, const struct tt_info *info);
/* The view in force, for the writer. */
void tt_page_view(const struct tt_page *p, struct tt_view *ret_view);

#endif
