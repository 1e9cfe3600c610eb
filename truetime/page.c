/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.c: the seqlock, and the floors that keep time from going backwards.
 *
 * Why the floors cover every reader. A new fix may lie below the old one, so a publication carries floors: the most that any
 * reader can have been told before. The writer makes seq odd, then reads RAW (r), then computes the floors as the old slot's
 * values at r. A reader that validates the old slot loaded seq after it read RAW and still found it even; so its RAW reading
 * came before the writer's step to odd was visible, and the writer's r came after: the reader's raw <= r. What a slot tells
 * only grows with raw, hence its value <= the floor. (An RDTSC behind its barrier is ordered as a load is, which is what the
 * kernel's own vDSO relies on; the writer's step is an atomic exchange with a full fence, so that r cannot be read while the
 * step still waits in a store buffer.) The floors themselves are true: earliest at r was a lower bound of true time at r and
 * every later reader is later; raising latest only widens.
 *
 * All fields are atomics: acquire loads in the reader, release stores in the writer. That is what orders them before and after
 * the two looks at seq without fences (which ThreadSanitizer does not understand); the explicit fence on top is for machines
 * where reading the counter is not ordered as a load.
 */
#include "truetime/page.h"

#include <string.h>

#include "truetime/base/map.h"

#define TT_PAGE_MAGIC UINT64_C(0x3130454741505454)

#if defined(__SANITIZE_THREAD__)
#define FENCE(order) ((void)0)
#else
#define FENCE(order) atomic_thread_fence(order)
#endif

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void view_load(const struct tt_slot *s, struct tt_view *ret) {
#define LOAD(field) atomic_load_explicit(&s->field, memory_order_acquire)
    *ret = (struct tt_view){
        .base_raw = LOAD(base_raw),
        .iv = {LOAD(earliest), LOAD(latest)},
        .void_after = LOAD(void_after),
        .floor = {LOAD(floor_earliest), LOAD(floor_latest)},
        .drift_ppb = LOAD(drift_ppb),
        .eps_max = LOAD(eps_max),
        .state = LOAD(state),
        .real_off = LOAD(real_off),
        .real_off_tol = LOAD(real_off_tolerance),
        .boot = LOAD(boot),
        .fix_raw = LOAD(fix_raw),
        .epoch = LOAD(epoch),
    };
#undef LOAD
}

static void view_store(struct tt_slot *s, const struct tt_view *v) {
#define STORE(field, value) atomic_store_explicit(&s->field, value, memory_order_release)
    STORE(base_raw, v->base_raw);
    STORE(earliest, v->iv.earliest);
    STORE(latest, v->iv.latest);
    STORE(void_after, v->void_after);
    STORE(floor_earliest, v->floor.earliest);
    STORE(floor_latest, v->floor.latest);
    STORE(drift_ppb, v->drift_ppb);
    STORE(eps_max, v->eps_max);
    STORE(state, v->state);
    STORE(real_off, v->real_off);
    STORE(real_off_tolerance, v->real_off_tol);
    STORE(boot, v->boot);
    STORE(fix_raw, v->fix_raw);
    STORE(epoch, v->epoch);
#undef STORE
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

const char *tt_state_name(enum tt_state state) {
    static const char *const names[] = {"UNSYNCED", "SYNC", "HOLDOVER", "ASSUMED", "FAULT"};
    static_assert(ARRAY_LEN(names) == TT_STATES, "a name each");
    return (unsigned)state < TT_STATES ? names[state] : "?";
}

const char *tt_verdict_name(enum tt_verdict verdict) {
    static const char *const names[] = {"waiting", "agrees", "falseticker", "disagrees", "stale", "error"};
    static_assert(ARRAY_LEN(names) == TT_VERDICTS, "a name each");
    return (unsigned)verdict < TT_VERDICTS ? names[verdict] : "?";
}

const char *tt_refusal_text(enum tt_refusal why) {
    static const char *const texts[] = {
        "",
        "the clock is not synchronised",
        "the clock's poller has not spoken for too long",
        "the interval has grown too wide",
        "the system clock jumped and the poller has not looked since",
        "the page was written before this boot, or in another time namespace",
        "the clock's poller stopped in the middle of a publication",
        "the page is damaged: it holds what no poller publishes",
    };
    static_assert(ARRAY_LEN(texts) == TT_READS, "a text each");
    return (unsigned)why < TT_READS ? texts[why] : "?";
}

enum rc tt_page_boot(struct env *env, uint64_t *ret_boot, struct err *err) {
    char id[ENV_BOOT_ID_BYTES];
    enum rc rc = env->ops->boot_id(env, id, sizeof id, err);
    if (!rc)
        *ret_boot = hash_str(id, 0) | 1;
    return rc;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bool tt_page_is_valid(const struct tt_page *p) {
    return atomic_load_explicit(&p->magic, memory_order_acquire) == TT_PAGE_MAGIC;
}

static inline bool is_usable(int64_t state) {
    return state == TT_SYNC || state == TT_HOLDOVER || state == TT_ASSUMED;
}

static inline enum tt_refusal view_at(const struct tt_view *v, int64_t raw, tt_interval *ret_iv) {
    if (UNLIKELY(!is_usable(v->state)))
        return TT_READ_STATE;
    if (UNLIKELY(raw < v->base_raw || raw > v->void_after))
        return TT_READ_VOID;
    tt_interval iv = tt_aged(v->iv, raw - v->base_raw, v->drift_ppb);
    if (UNLIKELY(iv.latest < v->floor.earliest))
        return TT_READ_WIDE; /* the poller publishes no such fix; a page that says so is not to be believed */
    if (iv.earliest < v->floor.earliest)
        iv.earliest = v->floor.earliest;
    if (iv.latest < v->floor.latest)
        iv.latest = v->floor.latest;
    if (UNLIKELY(iv.latest - iv.earliest > 2 * v->eps_max))
        return TT_READ_WIDE;
    *ret_iv = iv;
    return TT_READ_OK;
}

enum tt_refusal tt_view_at(const struct tt_view *v, int64_t raw, tt_interval *ret_iv) {
    return view_at(v, raw, ret_iv);
}

/* Whether nothing that is calculated with v can overflow: the page lies in a file, and a file can hold anything. */
static inline bool is_sane(const struct tt_view *v) {
    static const int64_t latest_max = TT_TIME_MAX_NS + TT_TIME_MAX_NS / 16; /* and 20 years of uptime fit on top */
    int64_t signs = v->base_raw | v->iv.earliest | v->drift_ppb | v->eps_max | v->real_off_tol | v->fix_raw;
    return signs >= 0 && v->iv.earliest <= v->iv.latest && v->iv.latest <= latest_max &&
           v->drift_ppb <= TT_DRIFT_PPB_MAX && v->eps_max <= INT64_MAX / 4;
}

/* Whether REAL is not where it was when the poller looked. */
static inline bool has_moved(const struct tt_view *v, int64_t raw, int64_t real) {
    int64_t by = (int64_t)((uint64_t)real - (uint64_t)raw - (uint64_t)v->real_off);
    return by > v->real_off_tol || by < -v->real_off_tol;
}

enum tt_refusal tt_page_read(const struct tt_page *p, struct env *env, uint64_t boot, tt_interval *ret_iv,
                             struct tt_view *ret_view) {
    struct tt_view v;
    for (int i = 0; i < TT_READ_TRIES; i++) {
        uint64_t seq = atomic_load_explicit(&p->seq, memory_order_acquire);
        if (UNLIKELY(seq & 1)) {
            relax();
            continue;
        }
        view_load(&p->slot[(seq >> 1) & 1], &v);
        /* Inside: see above. REAL shows at once what RAW cannot, that the machine slept (C-2) or its clock was set. */
        int64_t raw = env_clock_ns(env, ENV_CLOCK_RAW);
        int64_t real = env_clock_ns(env, ENV_CLOCK_REAL_COARSE);
        FENCE(memory_order_acquire);
        if (UNLIKELY(atomic_load_explicit(&p->seq, memory_order_relaxed) != seq))
            continue;
        if (ret_view)
            *ret_view = v;
        if (UNLIKELY(v.boot != boot))
            return TT_READ_BOOT;
        if (UNLIKELY(!is_sane(&v)))
            return TT_READ_DAMAGED;
        if (UNLIKELY(has_moved(&v, raw, real)) && is_usable(v.state) &&
            has_moved(&v, env_clock_ns(env, ENV_CLOCK_RAW), env_clock_ns(env, ENV_CLOCK_REAL)))
            return TT_READ_STEPPED; /* the exact clock says so too: the coarse one lags where its tick was kept waiting */
        return view_at(&v, raw, ret_iv);
    }
    return TT_READ_TORN;
}

bool tt_page_read_info(const struct tt_page *p, struct tt_info *ret_info) {
    uint64_t words[sizeof(struct tt_info) / 8];
    for (int i = 0; i < TT_READ_TRIES; i++) {
        uint64_t seq = atomic_load_explicit(&p->info_seq, memory_order_acquire);
        if ((seq & 1) || seq == 0) {
            relax();
            continue;
        }
        for (size_t w = 0; w < ARRAY_LEN(words); w++)
            words[w] = atomic_load_explicit(&p->info[w], memory_order_acquire);
        FENCE(memory_order_acquire);
        if (atomic_load_explicit(&p->info_seq, memory_order_relaxed) != seq)
            continue;
        memcpy(ret_info, words, sizeof *ret_info);
        if (ret_info->source_count > TT_SOURCES_MAX)
            return false;
        ret_info->reason[TT_REASON_BYTES - 1] = '\0';
        for (uint64_t s = 0; s < ret_info->source_count; s++) {
            ret_info->sources[s].name[TT_NAME_BYTES - 1] = '\0';
            ret_info->sources[s].detail[TT_DETAIL_BYTES - 1] = '\0';
            if (ret_info->sources[s].sampled_raw < 0)
                return false;
        }
        return ret_info->written_raw >= 0;
    }
    return false;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

void tt_page_view(const struct tt_page *p, struct tt_view *ret_view) {
    uint64_t seq = atomic_load_explicit(&p->seq, memory_order_relaxed);
    view_load(&p->slot[(seq >> 1) & 1], ret_view);
}

/* The most that readers of `old` can have been told until raw. */
static tt_interval floor_of(const struct tt_view *old, int64_t raw) {
    tt_interval iv = old->floor;
    if (!is_usable(old->state) || !is_sane(old) || raw < old->base_raw || old->void_after < old->base_raw)
        return iv;
    int64_t spare = 2 * old->eps_max - tt_width(old->iv); /* by which it may have grown before readers were refused */
    if (spare < 0)
        return iv;
    struct tt_view v = *old;
    v.eps_max = INT64_MAX / 4;
    if (raw > v.void_after)
        raw = v.void_after;
    if (v.drift_ppb > 0 && spare < INT64_MAX / 1000000000) {
        int64_t told_ns = spare * 1000000000 / v.drift_ppb; /* twice as long as need be: nothing is lost by it */
        raw = raw - v.base_raw > told_ns ? v.base_raw + told_ns : raw;
    }
    IGNORE(tt_view_at(&v, raw, &iv)); /* refused: the floor stays */
    return iv;
}

/* Makes seq odd; returns it. */
static uint64_t enter(struct tt_page *p) {
    uint64_t seq = atomic_load_explicit(&p->seq, memory_order_relaxed) | 1;
    atomic_exchange_explicit(&p->seq, seq, memory_order_seq_cst);
    FENCE(memory_order_seq_cst);
    return seq;
}

static void put_in_force(struct tt_page *p, uint64_t odd, const struct tt_view *v) {
    view_store(&p->slot[((odd + 1) >> 1) & 1], v);
    atomic_store_explicit(&p->seq, odd + 1, memory_order_release);
}

void tt_page_publish(struct tt_page *p, struct env *env, const struct tt_view *v) {
    struct tt_view old, next = *v;
    CHECK((atomic_load_explicit(&p->seq, memory_order_relaxed) & 1) == 0);
    tt_page_view(p, &old);
    uint64_t odd = enter(p);
    next.floor = floor_of(&old, env_clock_ns(env, ENV_CLOCK_RAW));
    if (env_mutant(env, "C-3"))
        next.floor = (tt_interval){INT64_MIN, INT64_MIN};
    next.boot = old.boot;
    next.epoch = old.epoch;
    put_in_force(p, odd, &next);
}

void tt_page_adopt(struct tt_page *p, struct env *env, uint64_t boot) {
    struct tt_view old = {.floor = {INT64_MIN, INT64_MIN}}, next = {.state = TT_UNSYNCED, .boot = boot};
    bool ours = tt_page_is_valid(p);
    uint64_t epoch = ours ? atomic_load_explicit(&p->epoch, memory_order_relaxed) + 1 : 1;
    if (ours) /* a writer that died inside left seq odd and this slot whole */
        tt_page_view(p, &old);
    uint64_t odd = enter(p);
    next.floor = (tt_interval){INT64_MIN, INT64_MIN};
    if (ours && old.boot == boot && is_sane(&old))
        next.floor = floor_of(&old, env_clock_ns(env, ENV_CLOCK_RAW));
    next.epoch = epoch;
    atomic_store_explicit(&p->epoch, epoch, memory_order_relaxed);
    put_in_force(p, odd, &next);
    tt_page_publish_info(p, &(struct tt_info){.reason = "the poller has just started"});
    atomic_store_explicit(&p->magic, TT_PAGE_MAGIC, memory_order_release);
}

void tt_page_publish_info(struct tt_page *p, const struct tt_info *info) {
    uint64_t words[sizeof(struct tt_info) / 8];
    uint64_t odd = atomic_load_explicit(&p->info_seq, memory_order_relaxed) | 1;
    memcpy(words, info, sizeof *info);
    atomic_exchange_explicit(&p->info_seq, odd, memory_order_seq_cst);
    FENCE(memory_order_seq_cst);
    for (size_t w = 0; w < ARRAY_LEN(words); w++)
        atomic_store_explicit(&p->info[w], words[w], memory_order_release);
    atomic_store_explicit(&p->info_seq, odd + 1, memory_order_release);
}
