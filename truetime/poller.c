/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poller.c: the rounds.
 *
 * A tick (25 ms where a source wants to be looked at, else the poll interval) looks at the clocks and the sources; each poll
 * interval the sources are asked. Whatever brings news makes a round: the readings are aged to one instant, combined, checked
 * and published. A round without news moves void_after on, so that readers know that somebody is still watching.
 */
#include "truetime/poller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

#define TICK_NS (25 * MS)
#define ANCHOR_NS (20 * SEC)
#define LEAP_MARGIN_NS (2 * SEC)
#define REAL_OFF_TOLERANCE_NS                                                                                          \
    (100 * MS) /* slewing at 100000 ppm from one tick to the next, and the coarse clock's grain */

enum { METRICS = 9 };

/* A fix: at raw, true time was in iv. */
struct fix {
    bool have;
    int64_t raw;
    tt_interval iv;
};

struct tt_poller {
    struct env *env;
    struct tt_spec spec;
    struct tt_page *page;
    struct env_page *mapped; /* the page's file, if any */
    struct tt_source *sources[TT_SOURCES_MAX];
    struct tt_watch watch;
    struct timer tick;
    int64_t tick_ns, next_poll_ns; /* MONO */
    bool in_tick, news;
    enum tt_state state;
    char reason[TT_REASON_BYTES];
    struct fix last, anchor;
    struct fix trial, trial_anchor; /* the same in quarantine, while the state is FAULT */
    int64_t real_off;
    struct tt_poller_stats stats;
    struct metric metrics[METRICS];
    void (*on_round)(void *ctx);
    void *on_round_ctx;
};

/* ---- states ------------------------------------------------------------------------------------------------------ */

#define TO(s) (1u << TT_##s)

static const uint32_t may_move_to[TT_STATES] = {
    [TT_UNSYNCED] = TO(SYNC) | TO(ASSUMED) | TO(FAULT),
    [TT_SYNC] = TO(HOLDOVER) | TO(UNSYNCED) | TO(FAULT),
    [TT_ASSUMED] = TO(HOLDOVER) | TO(UNSYNCED) | TO(FAULT),
    [TT_HOLDOVER] = TO(SYNC) | TO(ASSUMED) | TO(UNSYNCED) | TO(FAULT),
    [TT_FAULT] = TO(SYNC) | TO(ASSUMED),
};

/* "shm:0 agrees off=+12 us bound=501 us age=80 ms; shm:1 stale ..." */
static void describe_sources(const struct tt_poller *p, int64_t raw, char *to, size_t bytes) {
    size_t at = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < p->spec.n && at < bytes; i++) {
        const struct tt_source_report *r = &p->sources[i]->report;
        char off[32], bound[32], age[32];
        at += (size_t)snprintf(to + at, bytes - at, "%s%s %s", i ? "; " : "", r->name, tt_verdict_name(r->verdict));
        if (r->sampled_raw && at < bytes)
            at += (size_t)snprintf(to + at, bytes - at, " off=%s bound=%s age=%s",
                                   tt_duration_format(r->offset_ns, off, sizeof off),
                                   tt_duration_format(r->bound_ns, bound, sizeof bound),
                                   tt_duration_format(raw - r->sampled_raw, age, sizeof age));
        if (r->verdict == TT_ERROR && at < bytes)
            at += (size_t)snprintf(to + at, bytes - at, " (%s)", r->detail);
    }
}

/* The one door to a state. */
static void move(struct tt_poller *p, enum tt_state to, int64_t raw) {
    char sources[512];
    enum tt_state from = p->state;
    if (from == to)
        return;
    CHECKF(may_move_to[from] & (1u << to), "clock: %s to %s", tt_state_name(from), tt_state_name(to));
    p->state = to;
    counter_inc(&p->stats.state_changes);
    gauge_set(&p->stats.state, to);
    describe_sources(p, raw, sources, sizeof sources);
    struct diag *d = &p->env->diag;
    if (to == TT_FAULT)
        diag_error(d, "clock: state", "from=%s to=%s reason=\"%s\" sources=\"%s\"", tt_state_name(from),
                   tt_state_name(to), p->reason, sources);
    else if (to == TT_SYNC || to == TT_ASSUMED)
        diag_info(d, "clock: state", "from=%s to=%s reason=\"%s\" sources=\"%s\"", tt_state_name(from),
                  tt_state_name(to), p->reason, sources);
    else
        diag_warn(d, "clock: state", "from=%s to=%s reason=\"%s\" sources=\"%s\"", tt_state_name(from),
                  tt_state_name(to), p->reason, sources);
}

static void because(struct tt_poller *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void because(struct tt_poller *p, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->reason, sizeof p->reason, fmt, ap);
    va_end(ap);
}

/* ---- a round ----------------------------------------------------------------------------------------------------- */

static int64_t drift_of(const struct tt_poller *p) {
    return env_mutant(p->env, "C-2") ? 0 : p->spec.drift_ppb;
}

static tt_interval fix_at(const struct tt_poller *p, const struct fix *fix, int64_t raw) {
    return tt_aged(fix->iv, raw - fix->raw, drift_of(p));
}

/* Whether a source's reading counts in this round. */
static bool is_fresh(const struct tt_poller *p, const struct tt_source *s, int64_t raw, tt_interval *ret_iv) {
    if (!s->have || raw < s->iv_raw || (!s->ageless && raw - s->iv_raw > s->fresh_ns))
        return false;
    *ret_iv = tt_aged(s->iv, raw - s->iv_raw, drift_of(p));
    if (s->leaps && (tt_near_leap(ret_iv->earliest, LEAP_MARGIN_NS) || tt_near_leap(ret_iv->latest, LEAP_MARGIN_NS)))
        return false;
    return true;
}

struct round {
    int64_t raw;
    tt_interval iv[TT_SOURCES_MAX];
    struct tt_source *source[TT_SOURCES_MAX];
    bool outside[TT_SOURCES_MAX];
    unsigned fresh;
    enum tt_combined combined;
    tt_interval fix;
};

static void judge(struct tt_poller *p, struct round *r) {
    r->fresh = 0;
    for (unsigned i = 0; i < p->spec.n; i++) {
        struct tt_source *s = p->sources[i];
        if (is_fresh(p, s, r->raw, &r->iv[r->fresh]))
            r->source[r->fresh++] = s;
        else
            s->report.verdict = s->failed ? TT_ERROR : s->report.samples ? TT_STALE : TT_WAITING;
    }
    r->combined = tt_combine(r->iv, r->fresh, p->spec.n, p->spec.f, p->env->chaos, &r->fix, r->outside);
    for (unsigned i = 0; i < r->fresh; i++)
        r->source[i]->report.verdict = r->combined == TT_DISAGREE                    ? TT_DISAGREES
                                       : r->combined == TT_COMBINED && r->outside[i] ? TT_FALSETICKER
                                                                                     : TT_AGREES;
}

/* Floors that the page carries now: what readers may already have been told. */
static tt_interval told_so_far(const struct tt_poller *p) {
    struct tt_view v;
    tt_page_view(p->page, &v);
    return v.floor;
}

/* Whether two statements about true time cannot both hold; says so in reason. */
static bool conflict(struct tt_poller *p, const struct round *r, const struct fix *old, const char *name) {
    char apart[32], age[32], half[32];
    if (!old->have)
        return false;
    tt_interval was = fix_at(p, old, r->raw);
    if (!tt_disjoint(r->fix, was))
        return false;
    because(p,
            "the new fix (+-%s) lies %s %s the %s of %s ago grown by the drift bound: a source lies, or the oscillator "
            "drifts more than %lld ppm",
            tt_duration_format(tt_half_width(r->fix), half, sizeof half),
            tt_duration_format(tt_distance(r->fix, was), apart, sizeof apart),
            r->fix.earliest > was.latest ? "above" : "below", name,
            tt_duration_format(r->raw - old->raw, age, sizeof age), (long long)(p->spec.drift_ppb / 1000));
    return true;
}

/* Below what readers were told there is no way back but to wait. */
static bool goes_backwards(struct tt_poller *p, int64_t lowest) {
    tt_interval floor = told_so_far(p);
    char by[32];
    if (lowest >= floor.earliest)
        return false;
    because(p, "time would go back by %s: readers were already told a later one",
            tt_duration_format(floor.earliest - lowest, by, sizeof by));
    return true;
}

static void adopt_fix(struct tt_poller *p, const struct round *r) {
    tt_interval iv = r->fix;
    if (p->last.have && env_mutant(p->env, "intersect-old")) {
        tt_interval was = fix_at(p, &p->last, r->raw);
        iv.earliest = was.earliest > iv.earliest ? was.earliest : iv.earliest;
        iv.latest = was.latest < iv.latest ? was.latest : iv.latest;
    }
    p->last = (struct fix){true, r->raw, iv};
    if (!p->anchor.have || r->raw - p->anchor.raw >= ANCHOR_NS)
        p->anchor = p->last;
}

/* In FAULT: fixes on trial. True when they have stood it. */
static bool stands_trial(struct tt_poller *p, const struct round *r) {
    char why[TT_REASON_BYTES];
    snprintf(why, sizeof why, "%s", p->reason); /* of the fault: keeps being shown */
    if (!p->trial.have || conflict(p, r, &p->trial, "fix") || conflict(p, r, &p->trial_anchor, "anchor")) {
        p->trial_anchor = (struct fix){true, r->raw, r->fix};
        if (p->trial.have) {
            counter_inc(&p->stats.conflicts);
            diag_warn(&p->env->diag, "clock: still at fault", "reason=\"%s\"", p->reason);
        }
    }
    p->trial = (struct fix){true, r->raw, r->fix};
    bool long_enough = r->raw - p->trial_anchor.raw >= ANCHOR_NS || env_mutant(p->env, "tt-quarantine");
    bool stands = long_enough && (!goes_backwards(p, r->fix.earliest) || env_mutant(p->env, "tt-quarantine"));
    if (!stands && !long_enough)
        snprintf(p->reason, sizeof p->reason, "%s", why);
    return stands;
}

static void to_fault(struct tt_poller *p, const struct round *r) {
    counter_inc(&p->stats.conflicts);
    p->trial = p->trial_anchor = (struct fix){true, r->raw, r->fix};
    p->last.have = p->anchor.have = false;
    move(p, TT_FAULT, r->raw);
}

static bool too_wide(struct tt_poller *p, const struct round *r) {
    char half[32], max[32];
    if (tt_half_width(r->fix) <= p->spec.eps_max_ns)
        return false;
    because(p, "the fix is too wide: +-%s, and at most +-%s is told",
            tt_duration_format(tt_half_width(r->fix), half, sizeof half),
            tt_duration_format(p->spec.eps_max_ns, max, sizeof max));
    return true;
}

/* No fix that could be told: what was believed goes on, until it is too wide itself. The reason is set. */
static void hold_over(struct tt_poller *p, const struct round *r) {
    if (p->last.have && tt_half_width(fix_at(p, &p->last, r->raw)) > p->spec.eps_max_ns) {
        char max[32], age[32], why[TT_REASON_BYTES];
        snprintf(why, sizeof why, "%s", p->reason);
        because(p, "%.100s; %s after the last fix the interval is wider than +-%s", why,
                tt_duration_format(r->raw - p->last.raw, age, sizeof age),
                tt_duration_format(p->spec.eps_max_ns, max, sizeof max));
        move(p, TT_UNSYNCED, r->raw);
    } else if (p->state != TT_UNSYNCED) {
        move(p, TT_HOLDOVER, r->raw);
    }
}

static void with_fix(struct tt_poller *p, const struct round *r) {
    char half[32];
    if (p->state == TT_FAULT) {
        if (!stands_trial(p, r) || too_wide(p, r))
            return;
        p->anchor = p->trial_anchor;
        p->trial.have = p->trial_anchor.have = false;
    } else if (conflict(p, r, &p->last, "fix") || conflict(p, r, &p->anchor, "anchor") ||
               goes_backwards(p, r->fix.latest)) {
        to_fault(p, r);
        return;
    } else if (too_wide(p, r)) {
        hold_over(p, r);
        return;
    }
    adopt_fix(p, r);
    because(p, "%u of %u sources make a fix of +-%s", r->fresh, p->spec.n,
            tt_duration_format(tt_half_width(r->fix), half, sizeof half));
    move(p, tt_has_kind(&p->spec, TT_KIND_FIXED) ? TT_ASSUMED : TT_SYNC, r->raw);
}

static void without_fix(struct tt_poller *p, const struct round *r) {
    counter_inc(r->combined == TT_DISAGREE ? &p->stats.disagreements : &p->stats.no_quorum);
    if (p->state == TT_FAULT)
        return;
    if (r->combined == TT_DISAGREE) {
        because(p, "the sources disagree: no time is in %u of the %u that are fresh, so more than %u lie",
                r->fresh - p->spec.f, r->fresh, p->spec.f);
        move(p, TT_UNSYNCED, r->raw);
        return;
    }
    because(p, "%u of %u sources are fresh, %u are needed", r->fresh, p->spec.n,
            p->spec.n - p->spec.f > p->spec.f ? p->spec.n - p->spec.f : p->spec.f + 1);
    hold_over(p, r);
}

static void publish(struct tt_poller *p, const struct round *r) {
    struct tt_view v = {
        .base_raw = p->last.have ? p->last.raw : r->raw,
        .iv = p->last.have ? p->last.iv : (tt_interval){0, 0},
        .void_after = r->raw + p->spec.void_ns,
        .drift_ppb = drift_of(p),
        .eps_max = p->spec.eps_max_ns,
        .state = p->state,
        .real_off = p->real_off,
        .real_off_tol = tt_has_kind(&p->spec, TT_KIND_HOST) ? INT64_MAX : REAL_OFF_TOLERANCE_NS,
        .fix_raw = p->last.have ? p->last.raw : 0,
    };
    if (env_mutant(p->env, "tt-suspend"))
        v.real_off_tol = INT64_MAX;
    tt_page_publish(p->page, p->env, &v);
    tt_interval iv;
    if (tt_view_at(&v, r->raw, &iv) == TT_READ_OK)
        hist_add(&p->stats.half_width_ns, tt_half_width(iv));
    struct tt_info info = {
        .written_raw = r->raw,
        .n = p->spec.n,
        .f = p->spec.f,
        .fresh = r->fresh,
        .polls = counter_get(&p->stats.polls),
        .no_quorum = counter_get(&p->stats.no_quorum),
        .disagreements = counter_get(&p->stats.disagreements),
        .conflicts = counter_get(&p->stats.conflicts),
        .steps = counter_get(&p->stats.steps),
        .suspends = counter_get(&p->stats.suspends),
        .source_count = p->spec.n,
    };
    memcpy(info.reason, p->reason, sizeof info.reason);
    for (unsigned i = 0; i < p->spec.n; i++)
        info.sources[i] = p->sources[i]->report;
    tt_page_publish_info(p->page, &info);
}

static void round_now(struct tt_poller *p, int64_t raw) {
    struct round r = {.raw = raw};
    counter_inc(&p->stats.rounds);
    p->news = false;
    judge(p, &r);
    if (r.combined == TT_COMBINED)
        with_fix(p, &r);
    else
        without_fix(p, &r);
    publish(p, &r);
    if (p->on_round)
        p->on_round(p->on_round_ctx);
}

/* ---- ticks ------------------------------------------------------------------------------------------------------- */

/* The machine slept: the raw clock stood still, so nothing that was measured before says anything now. */
static void on_suspend(struct tt_poller *p, int64_t raw, int64_t slept_ns) {
    char slept[32];
    counter_inc(&p->stats.suspends);
    env_probe(p->env, "clock: the machine slept");
    if (tt_has_kind(&p->spec, TT_KIND_HOST))
        return; /* its scale slept too, with everything that uses it */
    for (unsigned i = 0; i < p->spec.n; i++)
        p->sources[i]->have = false;
    p->last.have = p->anchor.have = p->trial.have = p->trial_anchor.have = false;
    if (p->state == TT_FAULT || p->state == TT_UNSYNCED)
        return;
    because(p, "the machine slept for %s", tt_duration_format(slept_ns, slept, sizeof slept));
    move(p, TT_UNSYNCED, raw);
}

static void on_step(struct tt_poller *p, int64_t by_ns) {
    char by[32];
    counter_inc(&p->stats.steps);
    env_probe(p->env, "clock: CLOCK_REALTIME stepped");
    diag_warn(&p->env->diag, "clock: the system clock jumped", "by=%s", tt_duration_format(by_ns, by, sizeof by));
}

static void look_around(struct tt_poller *p, bool ask) {
    struct tt_look look = {.watch = &p->watch};
    int64_t by_ns;
    enum tt_watched what = tt_watch_look(&p->watch, p->env, &look.now, &by_ns);
    look.usable = what == TT_WATCHED;
    if (what != TT_BLURRED)
        p->real_off = look.now.off_max;
    if (what == TT_SUSPENDED)
        on_suspend(p, look.now.raw, by_ns);
    else if (what == TT_STEPPED)
        on_step(p, by_ns);
    p->in_tick = true;
    for (unsigned i = 0; i < p->spec.n; i++) {
        struct tt_source *s = p->sources[i];
        if (s->ops->look)
            s->ops->look(s, &look);
        if (ask && s->ops->poll)
            s->ops->poll(s, &look);
    }
    p->in_tick = false;
    if (ask)
        counter_inc(&p->stats.polls);
    if (ask || p->news || what == TT_SUSPENDED || what == TT_STEPPED)
        round_now(p, look.now.raw);
}

static void on_tick(void *ctx) {
    struct tt_poller *p = ctx;
    int64_t now = env_now_ns(p->env);
    bool ask = now >= p->next_poll_ns;
    if (ask) { /* a late tick does not make the next ones hurry */
        p->next_poll_ns += p->spec.poll_ns;
        if (p->next_poll_ns <= now)
            p->next_poll_ns = now + p->spec.poll_ns;
    }
    look_around(p, ask);
    int64_t due = now + p->tick_ns;
    env_timer_set(p->env, &p->tick, due < p->next_poll_ns ? due : p->next_poll_ns);
}

static void on_news(void *ctx) {
    struct tt_poller *p = ctx;
    p->news = true;
    if (!p->in_tick) { /* an answer came from outside: not to be kept waiting until the next tick */
        struct tt_moment now;
        tt_moment_now(p->env, &now);
        round_now(p, now.raw);
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static enum rc open_page(struct tt_poller *p, const char *path, struct err *err) {
    uint64_t boot;
    enum rc rc = tt_page_boot(p->env, &boot, err);
    if (rc)
        return rc;
    if (path) {
        rc = env_page_map(p->env, path, TT_PAGE_BYTES, true, &p->mapped, err);
        if (rc)
            return rc;
        p->page = p->mapped->memory;
    } else {
        p->page = aligned_alloc(TT_PAGE_BYTES, TT_PAGE_BYTES);
        if (!p->page)
            return err_set(err, RC_NOMEM, "out of memory");
        memset(p->page, 0, TT_PAGE_BYTES);
    }
    tt_page_adopt(p->page, p->env, boot);
    return RC_OK;
}

enum rc tt_poller_new(struct env *env, const struct tt_poller_conf *conf, struct tt_poller **ret, struct err *err) {
    struct tt_poller *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, RC_NOMEM, "out of memory");
    p->env = env;
    p->spec = conf->spec;
    p->tick_ns = p->spec.poll_ns;
    because(p, "the poller has just started");
    timer_init(&p->tick, on_tick, p);
    tt_watch_init(&p->watch);
    enum rc rc = open_page(p, conf->page_path, err);
    for (unsigned i = 0; i < p->spec.n && !rc; i++) {
        rc = tt_source_new(env, &p->spec.sources[i], &conf->sources, &p->sources[i], err);
        if (rc)
            break;
        struct tt_source *s = p->sources[i];
        s->drift_ppb = drift_of(p);
        s->poll_ns = p->spec.poll_ns;
        s->on_news = on_news;
        s->news_ctx = p;
        if (s->fresh_ns < 2 * s->poll_ns)
            s->fresh_ns = 2 * s->poll_ns;
        if (s->ops->look && p->tick_ns > TICK_NS)
            p->tick_ns = TICK_NS;
    }
    if (rc) {
        tt_poller_free(p);
        return rc;
    }
    p->next_poll_ns = env_now_ns(env);
    env_timer_set(env, &p->tick, p->next_poll_ns);
    *ret = p;
    return RC_OK;
}

void tt_poller_free(struct tt_poller *p) {
    if (!p)
        return;
    env_timer_cancel(p->env, &p->tick);
    for (unsigned i = 0; i < p->spec.n; i++)
        tt_source_free(p->sources[i]);
    if (p->mapped)
        env_page_unmap(p->mapped);
    else
        free(p->page);
    free(p);
}

const struct tt_page *tt_poller_page(const struct tt_poller *p) {
    return p->page;
}

const struct tt_poller_stats *tt_poller_stats(const struct tt_poller *p) {
    return &p->stats;
}

const struct tt_source *tt_poller_source(const struct tt_poller *p, unsigned index) {
    CHECK(index < p->spec.n);
    return p->sources[index];
}

void tt_poller_scale(const struct tt_poller *p, char ret[TT_SCALE_BYTES]) {
    if (p->spec.sources[0].kind == TT_KIND_HOST)
        tt_source_host_scale(p->sources[0], ret);
    else
        snprintf(ret, TT_SCALE_BYTES, "utc");
}

void tt_poller_on_round(struct tt_poller *p, void (*fn)(void *ctx), void *ctx) {
    p->on_round = fn;
    p->on_round_ctx = ctx;
}

void tt_poller_metrics(struct tt_poller *p) {
    const struct tt_poller_stats *s = &p->stats;
    const struct metric all[METRICS] = {
        {.name = "meridian_clock_half_width_seconds",
         .help = "Half the width of the time interval at each round of the clock.",
         .kind = METRIC_HIST,
         .scale = 1e9,
         .value = &s->half_width_ns},
        {.name = "meridian_clock_polls_total",
         .help = "Times that the clock's sources were asked.",
         .value = &s->polls},
        {.name = "meridian_clock_no_quorum_total",
         .help = "Rounds with fewer fresh sources than are needed.",
         .value = &s->no_quorum},
        {.name = "meridian_clock_disagreements_total",
         .help = "Rounds in which more sources contradicted each other than may lie.",
         .value = &s->disagreements},
        {.name = "meridian_clock_conflicts_total",
         .help = "Fixes that could not be true together with an earlier one.",
         .value = &s->conflicts},
        {.name = "meridian_clock_steps_total", .help = "Jumps of the system clock.", .value = &s->steps},
        {.name = "meridian_clock_suspends_total", .help = "Times that the machine slept.", .value = &s->suspends},
        {.name = "meridian_clock_state_changes_total",
         .help = "Changes of the clock's state.",
         .value = &s->state_changes},
        {.name = "meridian_clock_state",
         .help = "0 unsynced, 1 sync, 2 holdover, 3 assumed, 4 fault.",
         .kind = METRIC_GAUGE,
         .value = &s->state},
    };
    for (size_t i = 0; i < METRICS; i++) {
        p->metrics[i] = all[i];
        p->metrics[i].labels = "";
        if (p->metrics[i].kind != METRIC_HIST)
            p->metrics[i].scale = 1;
        metrics_add(&p->env->metrics, &p->metrics[i]);
    }
}
