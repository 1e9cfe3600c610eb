/* SPDX-License-Identifier: Apache-2.0 */
/* source.c: what all sources share. */
#include "truetime/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t FRESH_NS = 4000000000; /* masters speak once a second or more often */

static struct tt_source *make(const struct tt_source_spec *spec, const struct tt_source_conf *conf) {
    switch (spec->kind) {
    case TT_KIND_SHM:
        return tt_source_shm();
    case TT_KIND_CHRONY:
        return tt_source_chrony();
    case TT_KIND_KERNEL:
        return tt_source_kernel();
    case TT_KIND_HOST:
        return tt_source_host(conf);
    case TT_KIND_FIXED:
        return tt_source_fixed();
    case TT_KIND_SIM:
        return tt_source_sim();
    case TT_KINDS:
        break;
    }
    return NULL;
}

enum rc tt_source_new(struct env *env, const struct tt_source_spec *spec, const struct tt_source_conf *conf,
                      struct tt_source **ret, struct err *err) {
    CHECK((unsigned)spec->kind < TT_KINDS);
    struct tt_source *s = make(spec, conf);
    if (!s)
        return err_set(err, RC_NOMEM, "out of memory");
    s->env = env;
    s->spec = *spec;
    s->fresh_ns = FRESH_NS;
    snprintf(s->report.name, sizeof s->report.name, "%s", spec->name);
    snprintf(s->report.detail, sizeof s->report.detail, "has not spoken yet");
    *ret = s;
    return RC_OK;
}

void tt_source_free(struct tt_source *s) {
    if (!s)
        return;
    if (s->ops->free)
        s->ops->free(s);
    free(s);
}

void tt_source_reading(struct tt_source *s, int64_t raw, tt_interval iv, int64_t offset_ns) {
    CHECK(iv.earliest <= iv.latest);
    if (iv.earliest < TT_TIME_MIN_NS || iv.latest > TT_TIME_MAX_NS) {
        tt_source_fail(s, true, "tells a time outside of 2001 to 2223");
        return;
    }
    s->have = true;
    s->failed = false;
    s->iv_raw = raw;
    s->iv = iv;
    s->report.samples++;
    s->report.offset_ns = offset_ns;
    s->report.bound_ns = tt_half_width(iv);
    s->report.sampled_raw = raw;
    s->report.detail[0] = '\0';
}

void tt_source_news(struct tt_source *s) {
    if (s->on_news)
        s->on_news(s->news_ctx);
}

void tt_source_fail(struct tt_source *s, bool drop, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->report.detail, sizeof s->report.detail, fmt, ap);
    va_end(ap);
    s->failed = true;
    if (drop)
        s->have = false;
}

void tt_source_remark(struct tt_source *s, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->report.detail, sizeof s->report.detail, fmt, ap);
    va_end(ap);
}

/* ---- leap seconds ------------------------------------------------------------------------------------------------ */

/* Days since the epoch of 1 January and 1 July of the year that holds `day`, by Gregorian rules. */
static int64_t days_of_year(int64_t year) {
    int64_t y = year - 1;
    return 365 * (year - 1970) + (y / 4 - 1969 / 4) - (y / 100 - 1969 / 100) + (y / 400 - 1969 / 400);
}

static bool is_leap_year(int64_t y) {
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

bool tt_near_leap(int64_t t_ns, int64_t margin_ns) {
    static const int64_t day_ns = INT64_C(86400000000000);
    int64_t year = 1970 + t_ns / day_ns / 366; /* at or before the right year */
    while (days_of_year(year + 1) * day_ns <= t_ns)
        year++;
    int64_t ends[] = {days_of_year(year), days_of_year(year) + 181 + is_leap_year(year), days_of_year(year + 1)};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        int64_t away = t_ns - ends[i] * day_ns;
        if (away >= -margin_ns && away <= margin_ns)
            return true;
    }
    return false;
}
