/* SPDX-License-Identifier: Apache-2.0 */
/* peer.c: one comparison for each message, and a majority. */
#include "truetime/peer.h"

static const int64_t LATELY_NS = 10000000000;

void tt_peers_init(struct tt_peers *ps, struct tt_clock *clock) {
    *ps = (struct tt_peers){.clock = clock};
    ilist_init(&ps->peers);
}

void tt_peers_metrics(struct tt_peers *ps) {
    const struct metric all[] = {
        {.name = "meridian_clock_peer_checks_total",
         .help = "Messages whose clock interval was checked.",
         .value = &ps->checks},
        {.name = "meridian_clock_peer_contradictions_total",
         .help = "Messages whose sender's clock interval cannot be true together with ours.",
         .value = &ps->contradictions},
        {.name = "meridian_clock_peer_worst_seconds",
         .help = "The largest such contradiction.",
         .kind = METRIC_GAUGE,
         .scale = 1e9,
         .value = &ps->worst_ns},
    };
    static_assert(ARRAY_LEN(all) == ARRAY_LEN(ps->metrics), "one entry each");
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        ps->metrics[i] = all[i];
        ps->metrics[i].labels = "";
        if (ps->metrics[i].kind == METRIC_COUNTER)
            ps->metrics[i].scale = 1;
        metrics_add(&ps->clock->env->metrics, &ps->metrics[i]);
    }
}

void tt_peer_join(struct tt_peers *ps, struct tt_peer *peer) {
    *peer = (struct tt_peer){.heard_raw = 0};
    ilist_init(&peer->link);
    ilist_push_back(&ps->peers, &peer->link);
}

void tt_peer_leave(struct tt_peer *peer) {
    ilist_del(&peer->link);
}

int64_t tt_check_peer(struct tt_peers *ps, struct tt_peer *peer, tt_interval theirs, int64_t asked_earliest) {
    tt_interval mine = tt_now(ps->clock); /* after the message was read (C-1) */
    int64_t by = 0;
    if (!tt_is_known(mine) || !tt_is_known(theirs))
        return 0;
    if (theirs.earliest > mine.latest)
        by = theirs.earliest - mine.latest;
    else if (asked_earliest != INT64_MIN && theirs.latest < asked_earliest)
        by = asked_earliest - theirs.latest;
    peer->heard_raw = env_clock_ns(ps->clock->env, ENV_CLOCK_RAW);
    peer->checks++;
    peer->contradicts = by > 0;
    counter_inc(&ps->checks);
    if (by > 0) {
        peer->contradictions++;
        counter_inc(&ps->contradictions);
    }
    if (by > peer->worst_ns)
        peer->worst_ns = by;
    if (by > gauge_get(&ps->worst_ns))
        gauge_set(&ps->worst_ns, by);
    return by;
}

bool tt_peers_step_back(const struct tt_peers *ps) {
    int64_t now = env_clock_ns(ps->clock->env, ENV_CLOCK_RAW);
    unsigned heard = 0, against = 0;
    ilist_for_each(it, &ps->peers) {
        const struct tt_peer *p = ilist_entry(it, struct tt_peer, link);
        if (p->heard_raw == 0 || now - p->heard_raw > LATELY_NS)
            continue;
        heard++;
        against += p->contradicts;
    }
    return against >= 2 && 2 * against > heard;
}
