/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_dead.c: a voter on a node that has been dead for a while gives its place to another node, without anybody's help.
 *
 *     silent for repair_after_ns        its store has answered the leader nothing, at any look, for all that time
 *     a node may have its place         one that answers, has no voter of the tablet, and is where the placement allows one:
 *                                       in the dead one's region first, then as for voters that are missing
 *     learner, snapshot, caught up      then one joint change gives it the vote and takes the dead one's: never before
 *     nobody may have it                it keeps its place; a cluster of three waits for its third
 *
 * Who is cut off from most of the voters leads no more after a lease, and decides nothing: so a leader that counts silence hears a
 * quorum. What is counted lies in memory: a new leader counts anew. The dead one, should it come back, is told by those that it asks
 * that it is none any more (P-22).
 */
#include <string.h>

#include "shard/node/node_internal.h"

static const int64_t NEXT_NS = 3000000000, SECOND_NS = 1000000000;

void node_dead_metrics(struct store_run *s) {
    s->repairs_metric = (struct metric){.name = "meridian_node_voters_replaced_total",
                                        .help = "Voters of dead nodes that were replaced on other nodes.",
                                        .labels = "",
                                        .kind = METRIC_COUNTER,
                                        .scale = 1,
                                        .value = &s->repairs};
    metrics_add(&s->pub.env->metrics, &s->repairs_metric);
}

static bool may_die(const struct store_run *s, const struct px_member *m) {
    return px_is_voter(m) && !(m->flags & PX_WITNESS) && m->store != px_store_of(rpc_self(s->pub.rpc));
}

static int64_t silent_ns(struct store_run *s, struct reads *voters, struct tablet *t, px_store store) {
    return reads_silent_ns(voters, store, replica_answers(tablet_replica(t), store), reactor_now(s->pub.reactor));
}

void node_dead_listen(struct store_run *s, struct reads *voters, struct tablet *t) {
    struct tablet_info info;
    if (!replica_leads(tablet_replica(t)))
        return; /* it knows nothing of who answers */
    tablet_info(t, &info);
    for (uint32_t i = 0; i < info.config.count; i++)
        if (may_die(s, &info.config.member[i]))
            silent_ns(s, voters, t, info.config.member[i].store);
}

static int64_t patience(const struct store_run *s) {
    int64_t ns = s->pub.node->conf->repair_after_ns;
    return ns ? ns : NODE_REPAIR_AFTER_S * SECOND_NS;
}

/* The one that has been silent longest, and for long enough; info->config.count: none. */
static uint32_t find_dead(struct store_run *s, struct reads *voters, const struct tablet_info *info, int64_t *ret_ns) {
    struct tablet *t = tablets_find(s->pub.tablets, info->id);
    uint32_t dead = info->config.count;
    *ret_ns = patience(s) - 1;
    for (uint32_t i = 0; t && replica_leads(tablet_replica(t)) && i < info->config.count; i++) {
        const struct px_member *m = &info->config.member[i];
        int64_t ns = may_die(s, m) ? silent_ns(s, voters, t, m->store) : 0;
        if (ns > *ret_ns) {
            *ret_ns = ns;
            dead = i;
        }
    }
    return dead;
}

enum rc node_dead(struct store_run *s, struct reads *voters, struct reads *answers, const struct tablet_info *info,
                  struct px_config *ret, struct node_dead *ret_dead, struct err *err) {
    struct px_config rest = info->config, want;
    char region[NODE_NAME_BYTES] = "";
    uint64_t replica;
    int64_t ns;
    *ret_dead = (struct node_dead){0};
    if (patience(s) < 0)
        return RC_OK;
    uint32_t i = find_dead(s, voters, info, &ns);
    if (i == info->config.count)
        return RC_OK;
    struct node_dead dead = {.store = info->config.member[i].store, .silent_ns = ns};
    const Node__Node *node = directory_node(s->pub.directory, px_node_of(dead.store));
    if (node && strlen(node->region) < sizeof region)
        memcpy(region, node->region, strlen(node->region) + 1); /* the directory may change while we ask */
    node_config_del(&rest, i);
    if (!node_choose(s, info, &rest, region, answers, &dead.heir))
        return RC_OK; /* nobody who may have its place answers now */
    enum rc rc =
        directory_next(s->pub.directory, "replica", 1, reactor_deadline(s->pub.reactor, NEXT_NS), &replica, err);
    want = rest;
    if (!rc && !env_mutant(s->pub.env, "P-21: the dead voter leaves before there is another"))
        rc = node_config_add(&want, dead.heir, replica, PX_OLD, err);
    uint32_t again = rc ? info->config.count : find_dead(s, voters, info, &ns); /* after the wait */
    if (again != i)
        return rc;
    diag_tablet(&s->pub.env->diag, DIAG_INFO, info->id, "tablet: a dead node's voter is being replaced",
                "dead=%u silent_s=%lld node=%u", px_node_of(dead.store), (long long)(ns / SECOND_NS),
                px_node_of(dead.heir));
    *ret = want;
    *ret_dead = dead;
    return RC_OK;
}
