/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c: looks at REAL - RAW, and the ring of them. */
#include "truetime/watch.h"

enum {
    BLUR_NS = 200000, /* a look that took longer is thrown away */
    SHARP_NS = 5000,  /* one that took less is not repeated */
    LOOK_TRIES = 4,
    STEP_NS = 1000000,  /* chronyd slews by at most 83333 ppm unless told otherwise; we allow 100000 and this much */
    STEP_PER = 10,      /* of the time between the looks */
    SLEEP_NS = 1000000, /* BOOT - MONO is constant but for sleep */
};
/* A writer that read the clock before it was set back may deliver the stamp afterwards: so long we wait for it. */
static const int64_t STEP_BACK_WAIT_NS = 2000000000;

void tt_moment_now(struct env *env, struct tt_moment *ret) {
    struct tt_moment best = {0};
    for (int i = 0; i < LOOK_TRIES; i++) {
        struct tt_moment m = {0};
        m.raw_before = env_clock_ns(env, ENV_CLOCK_RAW);
        m.real = env_clock_ns(env, ENV_CLOCK_REAL);
        m.raw = env_clock_ns(env, ENV_CLOCK_RAW);
        if (i == 0 || m.raw - m.raw_before < best.raw - best.raw_before)
            best = m;
        if (best.raw - best.raw_before <= SHARP_NS)
            break;
    }
    /* The best look may not be the last: what happened since does not matter, the caller ages from `raw`. */
    best.off_min = best.real - best.raw;
    best.off_max = best.real - best.raw_before;
    int64_t mono_before = env_clock_ns(env, ENV_CLOCK_MONO), boot = env_clock_ns(env, ENV_CLOCK_BOOT);
    best.slept_max = boot - mono_before;
    best.slept_min = boot - env_clock_ns(env, ENV_CLOCK_MONO);
    best.sharp = best.raw - best.raw_before <= BLUR_NS;
    *ret = best;
}

void tt_watch_init(struct tt_watch *w) {
    *w = (struct tt_watch){.stamps_from = INT64_MIN};
}

static const struct tt_moment *look_at(const struct tt_watch *w, unsigned back) {
    return &w->looks[(w->next + TT_LOOKS - 1 - back) % TT_LOOKS];
}

static void forget(struct tt_watch *w, int64_t stamps_from) {
    w->count = 0;
    w->stamps_from = stamps_from;
}

/* How far REAL jumped between two looks, or 0 where slewing explains it. */
static int64_t step_between(const struct tt_moment *a, const struct tt_moment *b) {
    int64_t may = STEP_NS + (b->raw - a->raw_before) / STEP_PER;
    if (b->off_min > a->off_max + may)
        return b->off_min - a->off_max;
    if (b->off_max < a->off_min - may)
        return b->off_max - a->off_min;
    return 0;
}

enum tt_watched tt_watch_look(struct tt_watch *w, struct env *env, struct tt_moment *ret_now, int64_t *ret_by_ns) {
    struct tt_moment now;
    enum tt_watched what = TT_WATCHED;
    tt_moment_now(env, &now);
    *ret_by_ns = 0;
    if (w->begun) {
        const struct tt_moment *last = look_at(w, 0);
        int64_t slept = now.slept_min - last->slept_max, step = step_between(last, &now);
        if (slept > SLEEP_NS && !env_mutant(env, "tt-suspend")) {
            what = TT_SUSPENDED;
            *ret_by_ns = slept;
            forget(w, now.real);
        } else if (!now.sharp) {
            *ret_now = now;
            return TT_BLURRED;
        } else if (step && !env_mutant(env, "tt-step")) {
            what = TT_STEPPED;
            *ret_by_ns = step;
            int64_t back = step < 0 ? -step : 0;
            forget(w, now.real + (back < STEP_BACK_WAIT_NS ? back : STEP_BACK_WAIT_NS) + 1);
        }
    } else if (now.sharp) {
        w->stamps_from = now.real;
    }
    *ret_now = now;
    if (!now.sharp && !w->begun)
        return TT_BLURRED;
    w->begun = true;
    w->looks[w->next] = now;
    w->next = (w->next + 1) % TT_LOOKS;
    w->count = w->count < TT_LOOKS ? w->count + 1 : TT_LOOKS;
    return what;
}

bool tt_watch_span(const struct tt_watch *w, int64_t real_ns, int64_t *ret_off_min, int64_t *ret_off_max,
                   const char **ret_why) {
    if (w->count == 0 || real_ns < w->stamps_from) {
        *ret_why = "stamped before we watched the system clock";
        return false;
    }
    const struct tt_moment *m = look_at(w, 0);
    int64_t off_min = m->off_min, off_max = m->off_max;
    if (real_ns > m->real) {
        *ret_why = "stamped in the future";
        return false;
    }
    for (unsigned back = 0; back < w->count; back++) {
        m = look_at(w, back);
        off_min = m->off_min < off_min ? m->off_min : off_min;
        off_max = m->off_max > off_max ? m->off_max : off_max;
        if (m->real <= real_ns) { /* this look came before the stamp */
            *ret_off_min = off_min;
            *ret_off_max = off_max;
            return true;
        }
    }
    *ret_why = "stamped before we watched the system clock";
    return false;
}
