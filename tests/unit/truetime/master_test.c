/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated time master says what it was told to say, when it was told to; and the watch over the system clock. */
#include "truetime/master.h"

#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/truetime/ttsim.h"
#include "truetime/watch.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static int64_t ahead(void *ctx, int64_t real_ns, int64_t raw_ns) {
    (void)raw_ns;
    return real_ns + *(int64_t *)ctx;
}

/* Reference minus receive of the sample that lies in the unit. */
static int64_t said(struct ttsim *t, int unit) {
    struct tt_shm copy;
    struct tt_shm_sample s = {.clock_ns = 0};
    OK(tt_shm_copy(sim_shm(t->node, TT_SHM_KEY + unit, TT_SHM_BYTES), &copy) == TT_SHM_COPIED);
    OK(tt_shm_check(&copy, &s) == NULL);
    return s.clock_ns - s.receive_ns;
}

static void it_says_what_it_is_told(void) {
    struct ttsim t;
    struct tt_master *m;
    struct err err = {0};
    int64_t truth = 3 * SEC;
    ttsim_init(&t, 1, "sim", NULL);
    struct env *env = sim_node_env(t.node, 0);
    struct tt_master_conf conf = {.unit = 256};
    OK(tt_master_new(env, &conf, &m, &err) == RC_INVAL);
    conf = (struct tt_master_conf){.unit = 9,
                                   .period_ns = 100 * MS,
                                   .truth = ahead,
                                   .truth_ctx = &truth,
                                   .offset_ns = 5 * MS,
                                   .drift_ppb = 1000000,
                                   .lie_ns = 20 * MS,
                                   .lie_after_ns = 2 * SEC,
                                   .stop_after_ns = 4 * SEC,
                                   .leap = TT_LEAP_DELETE};
    OK(tt_master_new(env, &conf, &m, &err) == RC_OK);
    ttsim_run(&t, 1050 * MS);
    EQ_INT(tt_master_samples(m), 11);
    EQ_INT(said(&t, 9), 3 * SEC + 5 * MS + MS); /* 1000 ppm for a second */
    ttsim_run(&t, 2 * SEC);
    EQ_INT(said(&t, 9), 3 * SEC + 5 * MS + 3 * MS + 20 * MS);
    ttsim_run(&t, 3 * SEC);
    EQ_INT(tt_master_samples(m), 40);
    tt_master_conf(m)->stop_after_ns = 0;
    tt_master_conf(m)->lie_ns = 0;
    tt_master_conf(m)->drift_ppb = 0;
    tt_master_conf(m)->leap = TT_LEAP_UNSYNCED;
    ttsim_run(&t, SEC);
    struct tt_shm *seg = sim_shm(t.node, TT_SHM_KEY + 9, TT_SHM_BYTES);
    EQ_INT(seg->leap, 3);
    EQ_INT(seg->count, 100);
    tt_master_free(m);
    tt_master_free(NULL);
    ttsim_done(&t);
}

/* Noise of one sigma, never beyond six. */
static void jitter_is_bounded(void) {
    struct tt_master_conf conf = {.jitter_ns = 100 * US};
    struct rng rng;
    int64_t worst = 0;
    double square = 0;
    rng_init(&rng, 1);
    for (int i = 0; i < 100000; i++) {
        int64_t e = tt_master_reference(&conf, &rng, 0, SEC) - SEC;
        worst = e > worst ? e : -e > worst ? -e : worst;
        square += (double)e * (double)e;
    }
    OKF(worst <= 600 * US && worst > 300 * US, "%lld", (long long)worst);
    OK(square / 100000 > 0.9 * 1e10 && square / 100000 < 1.1 * 1e10);
}

static void the_watch(void) {
    struct ttsim t;
    struct tt_watch w;
    struct tt_moment now;
    const char *why = NULL;
    int64_t by, off_min, off_max;
    ttsim_init(&t, 2, "sim", NULL);
    struct env *env = sim_node_env(t.node, 0);
    tt_watch_init(&w);
    OK(!tt_watch_span(&w, 0, &off_min, &off_max, &why));
    EQ_INT(tt_watch_look(&w, env, &now, &by), TT_WATCHED);
    int64_t begun = now.real;
    for (int i = 0; i < 10; i++) { /* slewing: 20 us in each 25 ms */
        ttsim_run(&t, 25 * MS);
        sim_clock_step(t.node, 20 * US);
        EQ_INT(tt_watch_look(&w, env, &now, &by), TT_WATCHED);
    }
    OK(tt_watch_span(&w, now.real, &off_min, &off_max, &why));
    EQ_INT(off_max - off_min, 0);
    OK(tt_watch_span(&w, now.real - 100 * MS, &off_min, &off_max, &why));
    EQ_INT(off_max - off_min, 80 * US);
    OK(tt_watch_span(&w, begun, &off_min, &off_max, &why));
    EQ_INT(off_max - off_min, 200 * US);
    OK(!tt_watch_span(&w, begun - 1, &off_min, &off_max, &why) && strstr(why, "before we watched"));
    OK(!tt_watch_span(&w, now.real + 1, &off_min, &off_max, &why) && strstr(why, "future"));
    /* A step: only what is stamped afterwards counts; after one back, what was stamped before it lies ahead. */
    sim_clock_step(t.node, -300 * MS);
    ttsim_run(&t, 25 * MS);
    EQ_INT(tt_watch_look(&w, env, &now, &by), TT_STEPPED);
    EQ_INT(by, -300 * MS);
    OK(!tt_watch_span(&w, now.real, &off_min, &off_max, &why));
    for (int i = 0; i < 13; i++) {
        ttsim_run(&t, 25 * MS);
        EQ_INT(tt_watch_look(&w, env, &now, &by), TT_WATCHED);
    }
    OK(tt_watch_span(&w, now.real, &off_min, &off_max, &why));
    sim_clock_step(t.node, 5 * MS);
    ttsim_run(&t, 25 * MS);
    EQ_INT(tt_watch_look(&w, env, &now, &by), TT_STEPPED);
    EQ_INT(by, 5 * MS);
    /* A long pause explains more. */
    sim_clock_step(t.node, 5 * MS);
    ttsim_run(&t, SEC);
    EQ_INT(tt_watch_look(&w, env, &now, &by), TT_WATCHED);
    ttsim_pause(&t, SIM_SUSPEND, 7 * SEC);
    ttsim_run(&t, 8 * SEC);
    EQ_INT(tt_watch_look(&w, env, &now, &by), TT_SUSPENDED);
    EQ_INT(by, 7 * SEC);
    EQ_INT(tt_watch_look(&w, env, &now, &by), TT_WATCHED);
    ttsim_done(&t);
}

int main(void) {
    RUN(it_says_what_it_is_told);
    RUN(jitter_is_bounded);
    RUN(the_watch);
    return tap_done();
}
