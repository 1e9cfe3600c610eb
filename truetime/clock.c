/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c: a reader of a page. */
#include "truetime/clock.h"

#include <stdio.h>
#include <string.h>

enum rc tt_clock_init(struct tt_clock *c, struct env *env, const struct tt_page *page, struct err *err) {
    uint64_t boot;
    enum rc rc = tt_page_boot(env, &boot, err);
    if (rc)
        return rc;
    *c = (struct tt_clock){.env = env, .page = page, .boot = boot};
    return RC_OK;
}

enum rc tt_clock_map(struct tt_clock *c, struct env *env, const char *path, struct err *err) {
    struct env_page *page;
    enum rc rc = env_page_map(env, path, TT_PAGE_BYTES, false, &page, err);
    if (rc)
        return rc;
    if (!tt_page_is_valid(page->memory))
        rc = err_set(err, RC_CORRUPT, "%s is not a clock page of this version", path);
    if (!rc)
        rc = tt_clock_init(c, env, page->memory, err);
    if (rc)
        env_page_unmap(page);
    else
        c->mapped = page;
    return rc;
}

void tt_clock_done(struct tt_clock *c) {
    env_page_unmap(c->mapped);
    c->mapped = NULL;
    c->page = NULL;
}

void tt_clock_metrics(struct tt_clock *c) {
    c->refusals_metric = (struct metric){.name = "meridian_clock_refusals_total",
                                         .help = "Questions for the time that got no interval.",
                                         .labels = "",
                                         .kind = METRIC_COUNTER,
                                         .scale = 1,
                                         .value = &c->refusals};
    metrics_add(&c->env->metrics, &c->refusals_metric);
}

tt_interval tt_now(struct tt_clock *c) {
    tt_interval iv;
    if (LIKELY(tt_page_read(c->page, c->env, c->boot, &iv, NULL) == TT_READ_OK))
        return iv;
    counter_inc(&c->refusals);
    return TT_UNKNOWN;
}

void tt_status(struct tt_clock *c, struct tt_status *ret) {
    struct tt_view v = {.fix_raw = 0};
    bool told = tt_page_read_info(c->page, &ret->info);
    if (!told)
        ret->info = (struct tt_info){.reason = ""};
    ret->now = TT_UNKNOWN;
    ret->refusal = tt_page_read(c->page, c->env, c->boot, &ret->now, &v);
    ret->raw = env_clock_ns(c->env, ENV_CLOCK_RAW);
    if (ret->refusal == TT_READ_DAMAGED)
        v = (struct tt_view){.fix_raw = 0};
    ret->state = (uint64_t)v.state < TT_STATES ? (enum tt_state)v.state : TT_UNSYNCED;
    ret->epoch = v.epoch;
    ret->half_width_ns = tt_half_width(ret->now);
    ret->fix_half_ns = ret->growth_ns = 0;
    ret->fix_age_ns = v.fix_raw && v.boot == c->boot ? ret->raw - v.fix_raw : -1;
    snprintf(ret->reason, sizeof ret->reason, "%s", ret->info.reason);
    if (ret->refusal == TT_READ_OK) {
        ret->fix_half_ns = tt_half_width(v.iv);
        ret->growth_ns = tt_growth(ret->fix_age_ns > 0 ? ret->fix_age_ns : 0, v.drift_ppb);
    } else if (ret->refusal != TT_READ_STATE) {
        ret->state = TT_UNSYNCED;
        snprintf(ret->reason, sizeof ret->reason, "%s", tt_refusal_text(ret->refusal));
        if (ret->refusal == TT_READ_VOID && told && v.boot == c->boot && ret->raw > ret->info.written_raw) {
            int64_t ms = (ret->raw - ret->info.written_raw) / 1000000;
            snprintf(ret->reason, sizeof ret->reason, "the clock's poller last spoke %lld.%03lld s ago",
                     (long long)(ms / 1000), (long long)(ms % 1000));
        }
    }
}
