/* SPDX-License-Identifier: Apache-2.0 */
/* master.c: a timer that stamps and writes. */
#include "truetime/master.h"

#include <stdlib.h>

#include "truetime/watch.h"

enum { BLUR_NS = 50000, MODE = 0644 };
static const int64_t PERIOD_NS = 250000000;

struct tt_master {
    struct env *env;
    struct tt_master_conf conf;
    struct env_shm *shm;
    struct timer timer;
    struct rng rng;
    int64_t began_raw, next_ns;
    uint64_t samples;
};

int64_t tt_master_reference(const struct tt_master_conf *conf, struct rng *rng, int64_t since_ns, int64_t truth_ns) {
    int64_t t = truth_ns + conf->offset_ns + (int64_t)((__int128)since_ns * conf->drift_ppb / 1000000000);
    if (conf->jitter_ns)
        t += (int64_t)rng_normal(rng, 0, (double)conf->jitter_ns);
    if (conf->lie_ns && since_ns >= conf->lie_after_ns)
        t += conf->lie_ns;
    return t;
}

static void stamp(struct tt_master *m) {
    struct tt_moment now;
    tt_moment_now(m->env, &now);
    int64_t blur = now.raw - now.raw_before;
    if (blur > BLUR_NS)
        return; /* interrupted in between: a wrong sample is worse than none */
    int64_t raw = now.raw - blur / 2;
    int64_t truth = m->conf.truth ? m->conf.truth(m->conf.truth_ctx, now.real, raw) : now.real;
    int64_t reference = tt_master_reference(&m->conf, &m->rng, raw - m->began_raw, truth);
    if (reference < 0 || now.real < 0)
        return;
    tt_shm_write(m->shm->memory, reference, now.real, m->conf.leap, m->conf.precision);
    m->samples++;
}

static void on_timer(void *ctx) {
    struct tt_master *m = ctx;
    int64_t now = env_now_ns(m->env), since = env_clock_ns(m->env, ENV_CLOCK_RAW) - m->began_raw;
    if (!m->conf.stop_after_ns || since < m->conf.stop_after_ns)
        stamp(m);
    m->next_ns += m->conf.period_ns;
    if (m->next_ns <= now)
        m->next_ns = now + m->conf.period_ns;
    env_timer_set(m->env, &m->timer, m->next_ns);
}

enum rc tt_master_new(struct env *env, const struct tt_master_conf *conf, struct tt_master **ret, struct err *err) {
    if (conf->unit < 0 || conf->unit >= TT_SHM_UNITS)
        return err_set(err, RC_INVAL, "unit %d: there are units 0 to %d", conf->unit, TT_SHM_UNITS - 1);
    struct tt_master *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, RC_NOMEM, "out of memory");
    m->env = env;
    m->conf = *conf;
    if (!m->conf.period_ns)
        m->conf.period_ns = PERIOD_NS;
    enum rc rc = env_shm_attach(env, TT_SHM_KEY + conf->unit, TT_SHM_BYTES,
                                conf->create_mode ? conf->create_mode : MODE, &m->shm, err);
    if (rc) {
        free(m);
        return rc;
    }
    rng_init(&m->rng, conf->seed ? conf->seed : env_random(env));
    timer_init(&m->timer, on_timer, m);
    m->began_raw = env_clock_ns(env, ENV_CLOCK_RAW);
    m->next_ns = env_now_ns(env);
    env_timer_set(env, &m->timer, m->next_ns);
    *ret = m;
    return RC_OK;
}

void tt_master_free(struct tt_master *m) {
    if (!m)
        return;
    env_timer_cancel(m->env, &m->timer);
    env_shm_detach(m->shm);
    free(m);
}

struct tt_master_conf *tt_master_conf(struct tt_master *m) {
    return &m->conf;
}

uint64_t tt_master_samples(const struct tt_master *m) {
    return m->samples;
}
