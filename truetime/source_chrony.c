/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_chrony.c: asks chronyd how far the system clock is off, and how far it can be wrong about that.
 *
 * Assumes       chronyd's root distance bounds its error: its own sources' declared errors are bounds, and `maxclockerror 50`
 *               is set (its default of 1 ppm is an estimate). One chronyd is one opinion: a master that lies to it by little
 *               takes it along, bound and all, and nothing here can see that. Only a jump shows (poller.h).
 * The bound     chronyd answers, at some instant q between our request and the receipt, with the correction c of CLOCK_REALTIME
 *               and with root dispersion and root delay as of q. So true time at q was in REAL(q) + c -+ (dispersion +
 *               delay / 2): around the corrected time, not the displayed one (with `-x` nothing is steered and c is the whole
 *               error). REAL - RAW was looked at before the request and after the answer, and q's is in the range of both; from
 *               q to the receipt drift adds its share of the round trip. To this comes what the protocol's numbers lose: chronyd
 *               cuts them to 24 bits with up to two shifts, less than 2^-22 of c and of the bound; and a microsecond.
 * Refused       leap 3; reference id 0; chronyd's own clock (`local`) and typed time (`settime`), whose dispersion it calls 0;
 *               a bound of zero; no update for 8 of its update intervals, because chronyd says "Normal" long after its sources
 *               have died (its time of last update is up to a second too early on purpose, which is allowed for).
 * Source        reference.c (REF_GetTrackingReport, get_root_dispersion) of chrony; chrony.conf(5), maxclockerror;
 *               aws/clock-bound, which centres its interval on the steered clock.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/chronyproto.h"
#include "truetime/source.h"

enum { UNIT_NS = 1000, STALE_INTERVALS = 8, LIST_POLLS = 8, MISSES_MAX = 4, LIST_MAX = TT_CHRONY_SOURCES_MAX };
static const int64_t SECOND = 1000000000;
static const int64_t FIRST_INTERVAL_NS =
    64000000000; /* what the interval may turn out to be when there was one update */
static const int64_t RTT_MAX_NS = 1000000000;
static const int64_t MOVED_NS =
    2000000;                        /* REAL - RAW within one round trip, beyond a tenth of it: somebody set the clock */
static const double LOST = 0x1p-22; /* of a number, on the wire */
static const char udp_addr[] = "udp:127.0.0.1:323";

struct source_chrony {
    struct tt_source source; /* first */
    struct env_dgram *dgram;
    uint32_t sequence;
    unsigned asked;   /* the command that waits for its reply; 0 = none */
    uint32_t index;   /* CHRONY_SOURCE: of which source */
    unsigned misses;  /* tracking requests in a row without an answer */
    unsigned to_list; /* polls until the sources are listed again */
    bool answered;    /* chronyd has spoken at all */
    struct tt_moment before;
    struct tt_chrony_sources list, next_list;
    char at_fault[TT_DETAIL_BYTES]; /* why the Unix socket could not be used */
};

static struct source_chrony *self_of(struct tt_source *source) {
    return container_of(source, struct source_chrony, source);
}

/* ---- the conversation -------------------------------------------------------------------------------------------- */

static void on_readable(void *ctx);

static void hang_up(struct source_chrony *s) {
    env_dgram_close(s->dgram);
    s->dgram = NULL;
    s->asked = 0;
}

static bool connected(struct source_chrony *s) {
    struct env *env = s->source.env;
    struct err err = {0};
    if (s->dgram)
        return true;
    enum rc rc = env_dgram_open(env, s->source.spec.addr, on_readable, s, &s->dgram, &err);
    s->at_fault[0] = '\0';
    if (rc &&
        strcmp(s->source.spec.addr, TT_CHRONY_ADDR) == 0) { /* not allowed to, or not there: any user may ask so */
        snprintf(s->at_fault, sizeof s->at_fault, "%s", err_message(&err));
        rc = env_dgram_open(env, udp_addr, on_readable, s, &s->dgram, &err);
    }
    if (rc)
        tt_source_fail(&s->source, false, "%s", s->at_fault[0] ? s->at_fault : err_message(&err));
    return !rc;
}

static bool ask(struct source_chrony *s, unsigned command, uint32_t index) {
    uint8_t request[CHRONY_PACKET_BYTES];
    struct err err = {0};
    s->sequence++;
    size_t bytes = chrony_request(request, command, s->sequence, index);
    enum rc rc = env_dgram_send(s->dgram, request, bytes, &err);
    if (rc) {
        hang_up(s);
        tt_source_fail(&s->source, false, "%s", s->at_fault[0] ? s->at_fault : err_message(&err));
        return false;
    }
    s->asked = command;
    s->index = index;
    return true;
}

static void chrony_poll(struct tt_source *source, const struct tt_look *look) {
    struct source_chrony *s = self_of(source);
    (void)look;
    if (s->asked == CHRONY_TRACKING && ++s->misses >= MISSES_MAX) {
        tt_source_fail(source, false, "%s", s->at_fault[0] ? s->at_fault : "chronyd does not answer");
        s->misses = 0;
        hang_up(s); /* a successor may listen at the same path */
    }
    if (!connected(s))
        return;
    if (s->to_list > 0)
        s->to_list--;
    if (s->sequence == 0)
        s->sequence = (uint32_t)env_random(source->env);
    tt_moment_now(source->env, &s->before);
    ask(s, CHRONY_TRACKING, 0);
}

/* ---- tracking ---------------------------------------------------------------------------------------------------- */

/* Why this report is no ground to stand on, or NULL. */
static const char *refuse(const struct chrony_tracking *t, int64_t real_ns, char *text, size_t bytes) {
    if (t->leap == CHRONY_LEAP_UNSYNCED)
        return "chronyd is not synchronised (leap 3)";
    if (t->leap > CHRONY_LEAP_UNSYNCED)
        return "chronyd's leap status is none of 0 to 3";
    if (t->ref_id == 0)
        return "chronyd is not synchronised (reference id 0)";
    if (t->ref_id == CHRONY_REFID_LOCAL)
        return "chronyd follows its own clock (`local`), for which it knows no bound";
    if (t->ref_id == CHRONY_REFID_MANUAL)
        return "chronyd follows a time that somebody typed, for which it knows no bound";
    if (!(fabs(t->correction_s) < 1e9))
        return "chronyd's correction is no correction";
    if (!(t->root_delay_s >= 0 && t->root_dispersion_s >= 0 && t->root_dispersion_s + t->root_delay_s / 2 > 0))
        return "chronyd's root distance is not positive";
    if (!(t->root_dispersion_s + t->root_delay_s / 2 < 3600))
        return "chronyd's root distance is over an hour";
    if (!(t->update_interval_s >= 0 && t->update_interval_s < 1e6))
        return "chronyd's update interval is no interval";
    int64_t interval = t->update_interval_s > 0 ? (int64_t)(t->update_interval_s * 1e9) : FIRST_INTERVAL_NS;
    int64_t since = real_ns + (int64_t)(t->correction_s * 1e9) - t->ref_time_ns;
    if (interval < SECOND)
        interval = SECOND;
    if (since > STALE_INTERVALS * interval + SECOND) {
        snprintf(text, bytes, "chronyd has had no update for %lld s, its interval is %lld s",
                 (long long)(since / SECOND), (long long)(interval / SECOND));
        return text;
    }
    return since < -2 * SECOND ? "chronyd's last update lies in the future" : NULL;
}

/* Up, however a double rounds. */
static int64_t ns_up(double seconds) {
    return (int64_t)ceil(seconds * 1e9 * (1 + LOST)) + 1;
}

static void weigh(struct source_chrony *s, const struct chrony_tracking *t) {
    struct tt_moment now;
    char text[TT_DETAIL_BYTES];
    tt_moment_now(s->source.env, &now);
    const char *why = refuse(t, now.real, text, sizeof text);
    if (why) {
        tt_source_fail(&s->source, true, "%s", why);
        return;
    }
    int64_t off_min = now.off_min < s->before.off_min ? now.off_min : s->before.off_min;
    int64_t off_max = now.off_max > s->before.off_max ? now.off_max : s->before.off_max;
    int64_t rtt = now.raw - s->before.raw_before;
    if (!now.sharp || !s->before.sharp || rtt > RTT_MAX_NS)
        return; /* interrupted: the next one will do */
    if (off_max - off_min > MOVED_NS + rtt / 10) {
        tt_source_fail(&s->source, false, "the system clock was set during the question");
        return;
    }
    int64_t correction = (int64_t)llround(t->correction_s * 1e9);
    int64_t half = ns_up(t->root_dispersion_s + t->root_delay_s / 2) + ns_up(fabs(t->correction_s) * LOST) + UNIT_NS +
                   tt_growth(rtt, s->source.drift_ppb);
    tt_interval iv = {now.raw + off_min + correction - half, now.raw + off_max + correction + half};
    tt_source_reading(&s->source, now.raw, iv, correction);
    s->source.report.delay_ns = ns_up(t->root_delay_s / 2);
    s->source.report.dispersion_ns = ns_up(t->root_dispersion_s);
}

/* ---- what chronyd listens to, for people ------------------------------------------------------------------------- */

static void remark(struct source_chrony *s, const struct chrony_tracking *t) {
    char ref[16];
    unsigned falsetickers = 0;
    for (unsigned i = 0; i < s->list.count; i++)
        falsetickers += s->list.source[i].state == CHRONY_FALSETICKER;
    if (s->source.failed)
        return;
    if (s->list.count == 0)
        tt_source_remark(&s->source, "follows %s, stratum %u", chrony_refid_format(t->ref_id, ref, sizeof ref),
                         t->stratum);
    else
        tt_source_remark(&s->source, "follows %s, stratum %u, of %u sources, %u of them falsetickers",
                         chrony_refid_format(t->ref_id, ref, sizeof ref), t->stratum, s->list.total, falsetickers);
}

static void list_next(struct source_chrony *s) {
    if (s->next_list.count < s->next_list.total && s->next_list.count < LIST_MAX) {
        ask(s, CHRONY_SOURCE, s->next_list.count);
        return;
    }
    s->list = s->next_list;
    s->to_list = LIST_POLLS;
}

static void take(struct source_chrony *s, const uint8_t *data, size_t bytes) {
    struct chrony_tracking t;
    struct err err = {0};
    unsigned command = s->asked;
    enum rc rc;
    s->asked = 0;
    s->answered = true;
    switch (command) {
    case CHRONY_TRACKING:
        s->misses = 0;
        rc = chrony_parse_tracking(data, bytes, s->sequence, &t, &err);
        if (rc) {
            tt_source_fail(&s->source, false, "%s", err_message(&err));
        } else {
            weigh(s, &t);
            remark(s, &t);
            if (s->to_list == 0)
                ask(s, CHRONY_COUNT, 0);
        }
        tt_source_news(&s->source);
        break;
    case CHRONY_COUNT:
        s->next_list.count = 0;
        if (chrony_parse_count(data, bytes, s->sequence, &s->next_list.total, NULL) == RC_OK)
            list_next(s);
        else
            s->to_list = LIST_POLLS;
        break;
    case CHRONY_SOURCE:
        if (chrony_parse_source(data, bytes, s->sequence, &s->next_list.source[s->next_list.count], NULL) == RC_OK) {
            s->next_list.count++;
            list_next(s);
        } else {
            s->to_list = LIST_POLLS; /* the list changed under us */
        }
        break;
    default:
        break;
    }
}

static void on_readable(void *ctx) {
    struct source_chrony *s = ctx;
    uint8_t data[CHRONY_PACKET_BYTES * 2]; /* what is longer than it should be must show */
    struct err err = {0};
    while (s->dgram) {
        size_t bytes;
        enum rc rc = env_dgram_recv(s->dgram, data, sizeof data, &bytes, &err);
        if (rc) {
            hang_up(s);
            tt_source_fail(&s->source, false, "%s", s->at_fault[0] ? s->at_fault : err_message(&err));
            return;
        }
        if (bytes == 0)
            return;
        if (s->asked && chrony_is_reply(data, bytes, s->sequence))
            take(s, data, bytes);
    }
}

bool tt_chrony_answered(const struct tt_source *source) {
    return container_of(source, struct source_chrony, source)->answered;
}

const struct tt_chrony_sources *tt_chrony_list(const struct tt_source *source) {
    return &container_of(source, struct source_chrony, source)->list;
}

static void chrony_free(struct tt_source *source) {
    hang_up(self_of(source));
}

struct tt_source *tt_source_chrony(void) {
    static const struct tt_source_ops ops = {.poll = chrony_poll, .free = chrony_free};
    struct source_chrony *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->source.ops = &ops;
    s->source.leaps = true;
    return &s->source;
}
