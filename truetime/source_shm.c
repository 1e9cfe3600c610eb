/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_shm.c: peeks at a unit of ntpd's shared memory (shmseg.h).
 *
 * Assumes       the master's reference time was right within err when CLOCK_REALTIME said the receive time. err is a bound,
 *               five sigma and the known bias, not a sigma: the operator's word.
 * Peeking       The protocol is made for one consumer, which clears `valid`. We attach read-only, ignore `valid` and watch
 *               `count`, so that chronyd can use the same unit. A copy counts once the segment is seen at rest (count even)
 *               again at the next look, and after an odd stretch or at first only at the third: if a writer once died inside,
 *               `count` is even exactly while its successor writes, and a copy taken then could mix two updates without
 *               `count` telling.
 * The bound     At receive time R the system clock had run (REAL - RAW) = o for some o that the watch knows within
 *               [off_min, off_max] from R to now. So the sample was taken at raw instant R - o, and with age = now - (R - o)
 *               true time now is in clock + age -+ (err + drift x age), over all o. To this comes a microsecond where the
 *               writer gives microseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/shmseg.h"
#include "truetime/source.h"

enum {
    COPY_TRIES = 3,
    COARSE_NS = 1000,
    AGE_POLLS = 5,       /* a sample that is older when we first see it is not used */
    ODD_LOOKS_MAX = 4,   /* so many looks in a row at an odd count: nobody writes that long */
    QUIET_LOOKS_MAX = 80 /* without news: attach anew, the segment may have been made anew */
};

struct source_shm {
    struct tt_source source; /* first */
    struct env_shm *shm;
    bool seen; /* seen_count is of a sample that we have looked at */
    int32_t seen_count;
    unsigned odd_looks, quiet_looks;
    bool waiting; /* a reading that waits to be confirmed */
    int64_t raw, offset_ns;
    tt_interval iv;
    int leap;
};

static void detach(struct source_shm *s) {
    env_shm_detach(s->shm);
    s->shm = NULL;
    s->seen = s->waiting = false;
    s->odd_looks = ODD_LOOKS_MAX; /* how the counter stands at rest is not known yet */
    s->quiet_looks = 0;
}

static bool attach(struct source_shm *s) {
    struct err err = {0};
    enum rc rc;
    if (s->shm)
        return true;
    rc = env_shm_attach(s->source.env, TT_SHM_KEY + s->source.spec.unit, TT_SHM_BYTES, 0, &s->shm, &err);
    if (rc == RC_NOTFOUND)
        tt_source_fail(&s->source, false, "no such segment (0x%x): is its writer running?",
                       (unsigned)(TT_SHM_KEY + s->source.spec.unit));
    else if (rc)
        tt_source_fail(&s->source, false, "%s", err_message(&err));
    return !rc;
}

/* A sample as an interval at look->now.raw. */
static const char *weigh(struct source_shm *s, const struct tt_shm_sample *sample, const struct tt_look *look) {
    int64_t off_min, off_max;
    const char *why = NULL;
    if (env_mutant(s->source.env, "tt-stamp")) {
        off_min = look->now.off_min;
        off_max = look->now.off_max;
    } else if (!tt_watch_span(look->watch, sample->receive_ns, &off_min, &off_max, &why)) {
        return why;
    }
    int64_t age_min = look->now.raw - (sample->receive_ns - off_min);
    int64_t age_max = look->now.raw - (sample->receive_ns - off_max);
    if (age_max > AGE_POLLS * s->source.poll_ns)
        return "the sample is too old";
    if (age_max < 0)
        return "stamped in the future";
    int64_t err = s->source.spec.err_ns + (sample->coarse ? COARSE_NS : 0);
    err += tt_growth(age_max, s->source.drift_ppb);
    s->iv = (tt_interval){sample->clock_ns + (age_min > 0 ? age_min : 0) - err, sample->clock_ns + age_max + err};
    s->raw = look->now.raw;
    s->offset_ns = sample->clock_ns - sample->receive_ns;
    s->leap = sample->leap;
    return NULL;
}

static void take(struct source_shm *s, const struct tt_shm *copy, const struct tt_look *look) {
    struct tt_shm_sample sample;
    const char *bad = tt_shm_check(copy, &sample);
    s->seen = true;
    s->seen_count = copy->count;
    s->quiet_looks = 0;
    if (bad) {
        tt_source_fail(&s->source, copy->leap == TT_LEAP_UNSYNCED, "%s", bad);
        return;
    }
    bad = weigh(s, &sample, look);
    if (bad)
        tt_source_fail(&s->source, false, "%s", bad);
    s->waiting = !bad;
}

static void confirm(struct source_shm *s) {
    s->waiting = false;
    tt_source_reading(&s->source, s->raw, s->iv, s->offset_ns);
    s->source.report.dispersion_ns = s->source.spec.err_ns;
    if (s->leap == TT_LEAP_INSERT || s->leap == TT_LEAP_DELETE)
        tt_source_remark(&s->source, "announces a leap second");
    tt_source_news(&s->source);
}

static void odd(struct source_shm *s) {
    s->waiting = false;
    if (++s->odd_looks == 2 * ODD_LOOKS_MAX)
        s->odd_looks = ODD_LOOKS_MAX;
    if (s->odd_looks >= ODD_LOOKS_MAX)
        tt_source_fail(&s->source, false, "its counter stays odd: the writer died while writing; remove the segment");
}

static void shm_look(struct tt_source *source, const struct tt_look *look) {
    struct source_shm *s = container_of(source, struct source_shm, source);
    enum tt_shm_look what = TT_SHM_TORN;
    struct tt_shm copy = {0};
    if (!look->usable) { /* what waits may be from before a sleep; what lies there is judged by its stamp, next time */
        s->waiting = false;
        return;
    }
    if (!attach(s))
        return;
    for (int i = 0; i < COPY_TRIES && what == TT_SHM_TORN; i++)
        what = tt_shm_copy(s->shm->memory, &copy);
    if (what == TT_SHM_TORN) {
        odd(s);
        return;
    }
    if (what == TT_SHM_EMPTY)
        tt_source_fail(source, false, "nobody has written to the segment yet");
    bool rested = s->odd_looks < ODD_LOOKS_MAX; /* else the counter may stand the wrong way round: once more */
    s->odd_looks = 0;
    if (s->waiting && !env_mutant(source->env, "tt-confirm"))
        confirm(s);
    if (what == TT_SHM_COPIED && rested && (!s->seen || copy.count != s->seen_count)) {
        take(s, &copy, look);
        if (s->waiting && env_mutant(source->env, "tt-confirm"))
            confirm(s);
    } else if (++s->quiet_looks > QUIET_LOOKS_MAX) {
        detach(s);
        s->seen = what == TT_SHM_COPIED; /* the same sample again is no news */
        s->seen_count = copy.count;
    }
}

static void shm_free(struct tt_source *source) {
    detach(container_of(source, struct source_shm, source));
}

struct tt_source *tt_source_shm(void) {
    static const struct tt_source_ops ops = {.look = shm_look, .free = shm_free};
    struct source_shm *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->source.ops = &ops;
    s->source.leaps = true;
    detach(s); /* as if it had been attached before */
    return &s->source;
}
