/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: a chrony source that is asked every 50 ms and looked at for whether it has heard anything. */
#include "truetime/probe.h"

#include <stdlib.h>

#include "truetime/source.h"

enum { ASKS_MAX = 10 };
static const int64_t ASK_NS = 50000000;

struct tt_probe {
    struct env *env;
    struct tt_source *source;
    struct timer timer;
    unsigned asks;
    void (*on_answer)(void *ctx, bool answers);
    void *ctx;
};

static void on_timer(void *ctx) {
    struct tt_probe *p = ctx;
    bool answers = tt_chrony_answered(p->source);
    if (answers || p->asks++ == ASKS_MAX) {
        p->on_answer(p->ctx, answers);
        return;
    }
    struct tt_look look = {.usable = true};
    p->source->ops->poll(p->source, &look);
    env_timer_set(p->env, &p->timer, env_now_ns(p->env) + ASK_NS);
}

/* An answer has come: tell it from the loop, not from within the source. */
static void on_news(void *ctx) {
    struct tt_probe *p = ctx;
    env_timer_set(p->env, &p->timer, env_now_ns(p->env));
}

enum rc tt_probe_new(struct env *env, void (*on_answer)(void *ctx, bool answers), void *ctx, struct tt_probe **ret,
                     struct err *err) {
    struct tt_source_conf conf = {.host_dir = NULL};
    struct tt_spec spec;
    struct tt_probe *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, RC_NOMEM, "out of memory");
    enum rc rc = tt_spec_parse("chrony", &spec, err);
    if (!rc)
        rc = tt_source_new(env, &spec.sources[0], &conf, &p->source, err);
    if (rc) {
        free(p);
        return rc;
    }
    p->env = env;
    p->on_answer = on_answer;
    p->ctx = ctx;
    p->source->on_news = on_news;
    p->source->news_ctx = p;
    p->source->drift_ppb = spec.drift_ppb;
    timer_init(&p->timer, on_timer, p);
    env_timer_set(env, &p->timer, env_now_ns(env));
    *ret = p;
    return RC_OK;
}

void tt_probe_free(struct tt_probe *p) {
    if (!p)
        return;
    env_timer_cancel(p->env, &p->timer);
    tt_source_free(p->source);
    free(p);
}
