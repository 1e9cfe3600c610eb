/* SPDX-License-Identifier: Apache-2.0 */
/* play_step.c: what a scenario does to the simulated world. */
#include <stdio.h>
#include <string.h>

#include "geo-sim/scenarios/play_internal.h"

static const int64_t PAUSE_NS = 10000000000;

int play_leader(struct play *p) {
    int leader = -1;
    uint64_t round = 0;
    for (unsigned i = 0; i < p->nodes; i++) {
        struct play_node *n = &p->node[i];
        struct tablet_info info;
        if (!n->node || !sim_node_running(n->sim))
            continue;
        struct node_store *s = node_store(n->node, 0);
        struct tablet *t = s->tablets ? tablets_find(s->tablets, SYSTEM_USER_TABLET) : NULL;
        if (!t || !replica_leads(tablet_replica(t)))
            continue;
        tablet_info(t, &info);
        if (leader < 0 || info.round > round) {
            leader = (int)i;
            round = info.round;
        }
    }
    return leader;
}

/* The nodes that a step names: bit i = node i. */
static uint64_t nodes_of(struct play *p, const char *set) {
    uint64_t nodes = 0;
    topo_set places;
    struct err err = {0};
    int leader = p->leader;
    if (strcmp(set, "leader") == 0 && leader < 0) {
        play_broke(p, "nobody leads at that moment");
    } else if (strcmp(set, "leader") == 0) {
        for (unsigned i = 0; i < p->nodes; i++)
            nodes |= (uint64_t)(p->node[i].place == p->node[leader].place) << i;
    } else if (strcmp(set, "dead") == 0) {
        for (unsigned i = 0; i < p->nodes; i++)
            nodes |= (uint64_t)!sim_node_running(p->node[i].sim) << i;
    } else if (topo_match(p->topo, set, &places, &err) == RC_OK) {
        for (unsigned i = 0; i < p->nodes; i++)
            nodes |= (uint64_t)(places >> p->node[i].place & 1) << i;
    } else {
        play_broke(p, "%s", err_message(&err));
    }
    return nodes;
}

static void kill_node(struct play *p, struct play_node *n) {
    if (!sim_node_running(n->sim))
        return;
    n->node = NULL;
    n->restarting = false;
    play_clients_cut(p, n);
    sim_node_crash(n->sim, SIM_POWER);
}

static void on_stopped(void *ctx) {
    ((struct play_node *)ctx)->stopped = true;
}

static void restart_node(struct play *p, struct play_node *n) {
    struct err err = {0};
    n->restarting = true;
    n->stopped = false;
    if (!sim_node_running(n->sim)) {
        n->restarting = false;
        if (sim_node_start(n->sim, &err))
            play_broke(p, "%s does not start: %s", n->name, err_message(&err));
    } else if (n->node) {
        node_stop(n->node, on_stopped, n);
    }
}

/* Until the step that resumes the same set. */
static int64_t pause_ns(const struct play *p, const struct script_step *s) {
    for (const struct script_step *r = s + 1; r < p->script->step + p->script->steps; r++)
        if (r->verb == SCRIPT_RESUME && strcmp(r->arg, s->arg) == 0)
            return r->at_ns - s->at_ns;
    return PAUSE_NS;
}

static void masters(struct play *p, const struct script_step *s) {
    for (unsigned i = 0; i < p->nodes; i++) {
        const struct topo_region *r = &p->topo->region[p->node[i].region];
        if (strcmp(r->name, s->arg) != 0)
            continue;
        for (unsigned m = 0; m < r->masters && m < SIM_TRUTHS; m++) {
            struct sim_truth *truth = sim_truth(p->node[i].sim, m);
            if (s->verb == SCRIPT_MASTERS_STOP) {
                truth->lost = true;
            } else if (s->verb == SCRIPT_MASTERS_START) {
                truth->lost = false;
                truth->lie_ns = 0;
            } else if (m < s->count) {
                truth->lie_ns = s->lie_ns;
            }
        }
    }
}

static void clocks(struct play *p, const struct script_step *s) {
    for (unsigned i = 0; i < p->nodes; i++) {
        struct sim_node *n = p->node[i].sim;
        if (strcmp(p->topo->region[p->node[i].region].name, s->arg) != 0)
            continue;
        if (s->verb == SCRIPT_CLOCK_DRIFT)
            sim_clock_drift(n, s->lie_ns);
        else
            sim_clock_step(n, sim_true_ns(p->sim) + s->lie_ns - sim_clock_read(n, ENV_CLOCK_REAL));
    }
}

static void change_links(struct play *p, const struct script_step *s) {
    char statement[1024];
    struct err err = {0};
    int place = p->leader < 0 ? -1 : (int)p->node[p->leader].place;
    enum rc rc = script_statement(s, p->topo, place, statement, sizeof statement, &err);
    if (!rc)
        rc = topo_apply(p->topo, statement, &err);
    if (rc)
        play_broke(p, "%s: %s", s->text, err_message(&err));
    else
        sim_topo_apply(p->sim, p->topo, p->place_of);
}

static bool repairs(const struct script_step *s) {
    return s->verb == SCRIPT_RESUME || s->verb == SCRIPT_MASTERS_START || strncmp(s->arg, "heal", 4) == 0 ||
           ((s->verb == SCRIPT_CLOCK_OFF || s->verb == SCRIPT_CLOCK_DRIFT) && s->lie_ns == 0) ||
           (s->verb == SCRIPT_RESTART && strcmp(s->arg, "dead") == 0);
}

void play_step(struct play *p, const struct script_step *s) {
    p->leader = play_leader(p);
    results_event(p->results, sim_now(p->sim) - p->from_ns, repairs(s) ? "repair" : "fault", "%s", s->text);
    if (s->verb == SCRIPT_LINK) {
        change_links(p, s);
        return;
    }
    if (s->verb == SCRIPT_CLOCK_OFF || s->verb == SCRIPT_CLOCK_DRIFT) {
        clocks(p, s);
        return;
    }
    if (s->verb >= SCRIPT_MASTERS_STOP) {
        masters(p, s);
        return;
    }
    uint64_t nodes = nodes_of(p, s->arg);
    for (unsigned i = 0; i < p->nodes; i++) {
        struct play_node *n = &p->node[i];
        if (!(nodes >> i & 1))
            continue;
        if (s->verb == SCRIPT_KILL)
            kill_node(p, n);
        else if (s->verb == SCRIPT_RESTART)
            restart_node(p, n);
        else if (s->verb == SCRIPT_PAUSE && sim_node_running(n->sim))
            sim_node_pause(n->sim, SIM_STALL, pause_ns(p, s));
    }
}
