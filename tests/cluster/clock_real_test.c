/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock on this machine's own clocks: masters of ours write real segments, a real chronyd reads one, and the test knows
 * true time, because it invents it: a line over CLOCK_MONOTONIC_RAW that is 37 ms ahead of the system clock and 80 ppm faster.
 * Whatever the machine's load, every reading must contain it; how long things take decides nothing.
 *
 * Most of the time is spent on waiting, so the worlds run at the same time, each on a fiber and with masters of its own.
 * CLOCK_SECONDS=n makes the stretches longer (normally 1 s each).
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "shard/runtime/ttwait.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/unit/truetime/clockkit.h"
#include "truetime/master.h"
#include "truetime/poller.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum { UNITS = CLOCKKIT_UNITS, PATIENCE_S = CLOCKKIT_PATIENCE_S, EPS_MAX_NS = 1800000 };

struct world {
    const char *name;
    struct reactor *r;
    struct env *env;
    int unit[UNITS];
    int64_t raw0, real0;
    struct tt_master *masters[UNITS];
    struct tt_poller *poller;
    struct tt_clock clock;
    uint64_t readings, known, misses;
    int64_t width_sum;
};

/* ---- the invented truth ------------------------------------------------------------------------------------------ */

static int64_t truth_at(const struct world *w, int64_t raw) {
    int64_t since = raw - w->raw0;
    return w->real0 + since + since / 12500 + 37 * MS;
}

static int64_t truth(void *ctx, int64_t real_ns, int64_t raw_ns) {
    (void)real_ns;
    return truth_at(ctx, raw_ns);
}

static void start_world(struct world *w, struct reactor *r, const char *name) {
    *w = (struct world){.name = name, .r = r, .env = reactor_env(r)};
    clockkit_take_units(w->unit);
    struct tt_moment now;
    tt_moment_now(w->env, &now);
    w->raw0 = now.raw;
    w->real0 = now.real;
}

static void start_master(struct world *w, int i, int64_t jitter_ns) {
    struct tt_master_conf conf = {.unit = w->unit[i],
                                  .create_mode = 0600,
                                  .period_ns = 250 * MS,
                                  .truth = truth,
                                  .truth_ctx = w,
                                  .jitter_ns = jitter_ns};
    struct err err = {0};
    OKF(tt_master_new(w->env, &conf, &w->masters[i], &err) == RC_OK, "%s", err.message);
}

static void start_poller(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void start_poller(struct world *w, const char *fmt, ...) {
    struct tt_poller_conf conf = {.page_path = NULL};
    struct err err = {0};
    char spec[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(spec, sizeof spec, fmt, ap);
    va_end(ap);
    w->readings = w->known = w->misses = 0;
    w->width_sum = 0;
    OKF(tt_spec_parse(spec, &conf.spec, &err) == RC_OK, "%s", err.message);
    OKF(tt_poller_new(w->env, &conf, &w->poller, &err) == RC_OK, "%s", err.message);
    OK(tt_clock_init(&w->clock, w->env, tt_poller_page(w->poller), &err) == RC_OK);
}

static void end_poller(struct world *w) {
    tt_clock_done(&w->clock);
    tt_poller_free(w->poller);
    w->poller = NULL;
}

static void end_world(struct world *w) {
    for (int i = 0; i < UNITS; i++)
        tt_master_free(w->masters[i]);
    clockkit_remove_units(w->unit);
}

/* One reading, between two looks at the truth. */
static void read_once(struct world *w) {
    int64_t before = truth_at(w, env_clock_ns(w->env, ENV_CLOCK_RAW));
    tt_interval iv = tt_now(&w->clock);
    int64_t after = truth_at(w, env_clock_ns(w->env, ENV_CLOCK_RAW));
    w->readings++;
    if (!tt_is_known(iv))
        return;
    w->known++;
    w->width_sum += tt_half_width(iv);
    w->misses += iv.earliest > after || iv.latest < before;
}

static void read_for(struct world *w, int64_t ns) {
    int64_t until = reactor_deadline(w->r, ns);
    while (reactor_now(w->r) < until) {
        read_once(w);
        if (fiber_sleep(w->r, 300 * US) != RC_OK)
            return;
    }
}

static int64_t stretch(void) {
    return (int64_t)tap_env("CLOCK_SECONDS", 1) * SEC;
}

static bool wait_state(struct world *w, enum tt_state want) {
    struct tt_status st;
    for (int i = 0; i < PATIENCE_S * 50; i++) {
        read_once(w);
        tt_status(&w->clock, &st);
        if (st.state == want)
            return true;
        if (fiber_sleep(w->r, 20 * MS) != RC_OK)
            return false;
    }
    return OKF(false, "never %s, but %s: %s; %s: %s", tt_state_name(want), tt_state_name(st.state), st.reason,
               st.info.sources[0].name, st.info.sources[0].detail);
}

static bool wait_verdict(struct world *w, unsigned source, enum tt_verdict want) {
    struct tt_status st;
    for (int i = 0; i < PATIENCE_S * 50; i++) {
        read_once(w);
        tt_status(&w->clock, &st);
        if (st.info.sources[source].verdict == want)
            return true;
        if (fiber_sleep(w->r, 20 * MS) != RC_OK)
            return false;
    }
    return OKF(false, "%s is never called %s", st.info.sources[source].name, tt_verdict_name(want));
}

static void contained(struct world *w) {
    OK(w->known > 0);
    OKF(w->misses == 0, "%llu of %llu readings miss true time", (unsigned long long)w->misses,
        (unsigned long long)w->known);
    tap_note("%llu readings, %llu of them known, half-width %.1f us on average: %s", (unsigned long long)w->readings,
             (unsigned long long)w->known, w->known ? (double)w->width_sum / (double)w->known / 1000 : 0, w->name);
}

/* ---- masters read directly --------------------------------------------------------------------------------------- */

static void three_masters_body(struct reactor *r) {
    struct world w;
    start_world(&w, r, "three masters, one lies");
    for (int i = 0; i < 3; i++)
        start_master(&w, i, 60 * US);
    start_poller(&w, "shm:%d;shm:%d;shm:%d", w.unit[0], w.unit[1], w.unit[2]);
    wait_state(&w, TT_SYNC);
    read_for(&w, stretch());
    /* One lies: first by so little that nobody can tell, then by more. */
    struct tt_master_conf *liar = tt_master_conf(w.masters[1]);
    liar->lie_ns = 400 * US;
    read_for(&w, stretch());
    liar->lie_ns = -20 * MS;
    wait_verdict(&w, 1, TT_FALSETICKER);
    read_for(&w, stretch());
    EQ_INT(w.misses, 0);
    contained(&w);
    end_poller(&w);
    end_world(&w);
}

static void two_masters_body(struct reactor *r) {
    struct world w;
    start_world(&w, r, "two masters disagree");
    start_master(&w, 0, 20 * US);
    start_master(&w, 1, 20 * US);
    start_poller(&w, "shm:%d;shm:%d", w.unit[0], w.unit[1]);
    wait_state(&w, TT_SYNC);
    read_for(&w, SEC);
    tt_master_conf(w.masters[1])->lie_ns = 50 * MS;
    wait_verdict(&w, 0, TT_DISAGREES);
    wait_state(&w, TT_UNSYNCED);
    OK(!tt_is_known(tt_now(&w.clock)));
    contained(&w);
    end_poller(&w);
    end_world(&w);
}

/* The masters die: the width grows at exactly the stated rate, and ends where it is said to. */
static void masters_die_body(struct reactor *r) {
    struct world w;
    start_world(&w, r, "masters die");
    start_master(&w, 0, 20 * US);
    start_poller(&w, "shm:%d;max_eps=1800us", w.unit[0]);
    wait_state(&w, TT_SYNC);
    tt_master_conf(w.masters[0])->stop_after_ns = 1;
    wait_state(&w, TT_HOLDOVER);
    struct tt_view v, v2;
    tt_page_view(tt_poller_page(w.poller), &v);
    uint64_t checked = 0;
    enum tt_refusal why = TT_READ_OK;
    int64_t refused_raw = 0;
    while (why != TT_READ_WIDE && why != TT_READ_STATE) { /* VOID and STEPPED are this machine's own troubles */
        tt_interval iv = TT_UNKNOWN;
        int64_t before = env_clock_ns(w.env, ENV_CLOCK_RAW);
        why = tt_page_read(tt_poller_page(w.poller), w.env, w.clock.boot, &iv, &v2);
        refused_raw = env_clock_ns(w.env, ENV_CLOCK_RAW);
        if (why == TT_READ_OK) {
            EQ_INT(v2.base_raw, v.base_raw);
            int64_t lo = tt_width(v.iv) + 2 * tt_growth(before - v.base_raw, 200000);
            int64_t hi = tt_width(v.iv) + 2 * tt_growth(refused_raw - v.base_raw, 200000);
            OKF(tt_width(iv) >= lo && tt_width(iv) <= hi, "width %lld, wanted %lld to %lld", (long long)tt_width(iv),
                (long long)lo, (long long)hi);
            OK(tt_width(iv) <= 2 * EPS_MAX_NS);
            checked++;
        }
        read_once(&w);
        if (tap_failing() || fiber_sleep(r, 2 * MS) != RC_OK)
            break;
    }
    OK(checked > 0);
    int64_t grown = v.base_raw + (2 * EPS_MAX_NS - tt_width(v.iv)) / 2 * 5000;
    OK(refused_raw >= grown - MS); /* not before its time */
    wait_state(&w, TT_UNSYNCED);
    OK(!tt_is_known(tt_now(&w.clock)));
    contained(&w);
    end_poller(&w);
    end_world(&w);
}

/* ---- a real chronyd ---------------------------------------------------------------------------------------------- */

static void chronyd_body(struct reactor *r) {
    struct world w;
    struct tt_status st;
    char socket_path[256];
    pid_t pid;
    start_world(&w, r, "a real chronyd");
    start_master(&w, 0, 60 * US);
    const char *why = clockkit_chronyd(r, tap_dir(), w.unit[0], &pid, socket_path);
    if (why) {
        tap_note("a real chronyd: not run, %s", why);
        end_world(&w);
        return;
    }
    start_poller(&w, "chrony:%s", socket_path);
    wait_state(&w, TT_SYNC);
    tt_status(&w.clock, &st);
    EQ_INT(st.info.source_count, 1);
    read_for(&w, 3 * stretch());
    tt_status(&w.clock, &st);
    OKF(strstr(st.info.sources[0].detail, "follows GPS"), "%s", st.info.sources[0].detail);
    tap_note("chronyd: %s; offset %.3f ms, root distance %.1f us", st.info.sources[0].detail,
             (double)st.info.sources[0].offset_ns / 1e6,
             (double)(st.info.sources[0].delay_ns + st.info.sources[0].dispersion_ns) / 1e3);
    OK(st.info.sources[0].offset_ns > 30 * MS && st.info.sources[0].offset_ns < 3600 * SEC);
    const struct tt_chrony_sources *list = tt_chrony_list(tt_poller_source(w.poller, 0));
    EQ_INT(list->total, 1);
    char name[64];
    if (list->count == 1)
        EQ_STR(chrony_source_name(&list->source[0], name, sizeof name), "GPS");
    contained(&w);
    /* It dies: no socket, no guess. */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    wait_state(&w, TT_HOLDOVER);
    wait_verdict(&w, 0, TT_ERROR);
    OK(w.misses == 0);
    end_poller(&w);
    end_world(&w);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

struct running {
    void (*body)(struct reactor *r);
    struct reactor *r;
};

static void run_body(void *arg) {
    struct running *x = arg;
    x->body(x->r);
}

static void worlds_body(struct reactor *r) {
    struct running all[] = {{three_masters_body, r}, {two_masters_body, r}, {masters_die_body, r}, {chronyd_body, r}};
    struct fiber_group group;
    fiber_group_init(&group);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        OK(fiber_spawn(r, &group, FIBER_LARGE, "world", run_body, &all[i]) == RC_OK);
    OK(fiber_group_join(r, &group, DEADLINE_NONE) == RC_OK);
}

static void worlds_at_once(void) {
    on_fiber(DIAG_ERROR, worlds_body);
}

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static void host_body(struct reactor *r) {
    struct env *env = reactor_env(r);
    struct tt_poller *a, *b;
    struct tt_clock ca, cb;
    struct tt_poller_conf conf = {.page_path = NULL};
    struct err err = {0};
    char dir[256], scale_a[TT_SCALE_BYTES], scale_b[TT_SCALE_BYTES];
    snprintf(dir, sizeof dir, "%s/host", tap_dir());
    conf.sources.host_dir = dir;
    OK(tt_spec_parse("host", &conf.spec, &err) == RC_OK);
    OK(tt_poller_new(env, &conf, &a, &err) == RC_OK);
    OK(tt_poller_new(env, &conf, &b, &err) == RC_OK);
    OK(tt_clock_init(&ca, env, tt_poller_page(a), &err) == RC_OK);
    OK(tt_clock_init(&cb, env, tt_poller_page(b), &err) == RC_OK);
    OK(tt_wait_synced(r, &ca, reactor_deadline(r, PATIENCE_S * SEC)) == RC_OK);
    OK(tt_wait_synced(r, &cb, reactor_deadline(r, PATIENCE_S * SEC)) == RC_OK);
    tt_poller_scale(a, scale_a);
    tt_poller_scale(b, scale_b);
    EQ_STR(scale_a, scale_b);
    for (int i = 0; i < 1000; i++) { /* two nodes: what one calls past the other never calls future */
        tt_interval x = tt_now(&ca), y = tt_now(&cb);
        OK(tt_half_width(x) <= US);
        OK(x.earliest <= y.latest);
        if (i % 100 == 0)
            OK(tt_wait_until_after(r, &ca, x.latest, reactor_deadline(r, PATIENCE_S * SEC)) == RC_OK &&
               tt_after(&cb, x.earliest));
    }
    tt_clock_done(&ca);
    tt_clock_done(&cb);
    tt_poller_free(a);
    tt_poller_free(b);
}

static void two_nodes_of_a_host(void) {
    on_fiber(DIAG_ERROR, host_body);
}

int main(void) {
    RUN(worlds_at_once);
    RUN(two_nodes_of_a_host);
    return tap_done();
}
