/* SPDX-License-Identifier: Apache-2.0 */
/* verbs_cluster.c: the verbs of `meridian geo` that have to do with nodes and time masters. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "geo-sim/netns/runner.h"
#include "geo-sim/netns/verbs.h"
#include "truetime/spec.h"

enum { END_WAIT_MS = 20000, SQL_WAIT_MS = 30000 };

/* ---- looking ------------------------------------------------------------------------------------------------------- */

static const char *state_of(const struct geo_node *n) {
    return !geo_node_alive(n) ? "DEAD" : n->paused ? "paused" : "runs";
}

static void print_masters(const struct geo_cluster *c) {
    const struct topo *t = c->world->topo;
    for (unsigned r = 0; r < t->regions; r++) {
        unsigned alive = 0, all = 0;
        int64_t worst = 0;
        for (unsigned i = 0; i < c->masters; i++) {
            const struct geo_master *m = &c->master[i];
            if (m->region != r)
                continue;
            all++;
            alive += geo_process_alive(m->pid, m->born);
            worst = llabs(m->offset_ns) > llabs(worst) ? m->offset_ns : worst;
        }
        char text[TEXT_BYTES];
        if (all)
            printf("%-24s %u of %u time masters run%s%s\n", t->region[r].name, alive, all,
                   worst ? ", off by up to " : "", worst ? tt_duration_format(worst, text, sizeof text) : "");
    }
}

void geo_print_nodes(const struct geo_world *w) {
    struct geo_cluster *c;
    struct err err = {0};
    struct geo_seen seen;
    if (geo_cluster_open(w, &c, &err)) {
        printf("\nno nodes: %s\n", err_message(&err));
        return;
    }
    geo_cluster_look(c, &seen);
    printf("\n%-24s %-16s %-7s %-8s %-8s %-6s %-7s %s\n", "NODE", "REGION", "PID", "STATE", "CLOCK", "LEADS",
           "SQL PORT", "HTTP PORT");
    for (unsigned i = 0; i < c->nodes; i++) {
        const struct geo_node *n = &c->node[i];
        char leads[16] = "-";
        if (seen.known && seen.number[i])
            snprintf(leads, sizeof leads, "%u", seen.leads[i]);
        printf("%-24s %-16s %-7d %-8s %-8s %-6s %-8u %u\n", n->name,
               w->topo->region[w->topo->place[n->place].region].name, (int)n->pid, state_of(n),
               seen.clock[i][0] ? seen.clock[i] : "-", leads, n->sql_port, n->http_port);
    }
    if (!seen.known)
        printf("(no node answers: who leads is not known)\n");
    if (c->masters)
        printf("\n");
    print_masters(c);
    for (unsigned i = 0; i < c->chronyds; i++) {
        const struct geo_chronyd *d = &c->chronyd[i];
        printf("%-24s a chronyd, pid %d, %s\n", w->topo->region[d->region].name, (int)d->pid,
               geo_process_alive(d->pid, d->born) ? "runs" : "DEAD");
    }
    printf("\npsql -h 127.0.0.1 -p PORT -U meridian meridian      data: %s\n", c->data);
    geo_cluster_free(c);
}

void geo_json_nodes(const struct geo_world *w) {
    struct geo_cluster *c;
    struct err err = {0};
    struct geo_seen seen;
    if (geo_cluster_open(w, &c, &err))
        return;
    geo_cluster_look(c, &seen);
    printf(",\"data\":\"%s\",\"nodes\":[", c->data);
    for (unsigned i = 0; i < c->nodes; i++) {
        const struct geo_node *n = &c->node[i];
        const struct topo_place *p = &w->topo->place[n->place];
        printf(
            "%s{\"name\":\"%s\",\"node\":%u,\"place\":\"%s\",\"region\":\"%s\",\"zone\":\"%s\",\"pid\":%d,\"alive\":%s,"
            "\"paused\":%s,\"rpc\":\"%s\",\"sql_port\":%u,\"http_port\":%u,\"leads\":%u,\"clock\":\"%s\"}",
            i ? "," : "", n->name, seen.number[i], p->name, w->topo->region[p->region].name,
            w->topo->region[p->region].zone[p->zone], (int)n->pid, geo_node_alive(n) ? "true" : "false",
            n->paused ? "true" : "false", n->rpc, n->sql_port, n->http_port, seen.leads[i], seen.clock[i]);
    }
    printf("],\"masters\":[");
    for (unsigned i = 0; i < c->masters; i++) {
        const struct geo_master *m = &c->master[i];
        printf("%s{\"region\":\"%s\",\"unit\":%d,\"pid\":%d,\"alive\":%s,\"offset_ns\":%" PRId64 "}", i ? "," : "",
               w->topo->region[m->region].name, m->unit, (int)m->pid,
               geo_process_alive(m->pid, m->born) ? "true" : "false", m->offset_ns);
    }
    printf("],\"chronyds\":[");
    for (unsigned i = 0; i < c->chronyds; i++) {
        const struct geo_chronyd *d = &c->chronyd[i];
        printf("%s{\"region\":\"%s\",\"pid\":%d,\"alive\":%s}", i ? "," : "", w->topo->region[d->region].name,
               (int)d->pid, geo_process_alive(d->pid, d->born) ? "true" : "false");
    }
    printf("]");
    geo_cluster_free(c);
}

int geo_up_nodes(const struct geo_world *w, const struct options *o) {
    struct geo_cluster *c;
    struct err err = {0};
    int64_t began = sys_now_ns();
    if (geo_cluster_up(w, o->data, o->stores, &c, &err))
        return geo_complain(&err);
    if (runner_await_sql(c, SQL_WAIT_MS, &err)) {
        geo_cluster_free(c);
        return geo_complain(&err);
    }
    printf("%u nodes serve, every tablet has its voters, SELECT 1 is answered everywhere (%.1f s)\n\n", c->nodes,
           (double)(sys_now_ns() - began) / 1e9);
    for (unsigned i = 0; i < c->nodes; i++)
        printf("  %-22s psql -h 127.0.0.1 -p %u -U meridian meridian\n", c->node[i].name, c->node[i].sql_port);
    geo_cluster_free(c);
    return 0;
}

/* ---- changing ------------------------------------------------------------------------------------------------------ */

struct opened {
    struct geo_world world;
    struct geo_cluster *cluster;
};

static int open_both(const struct options *o, struct opened *ret) {
    struct err err = {0};
    if (geo_world_open(o->world, true, &ret->world, &err))
        return geo_complain(&err);
    if (geo_cluster_open(&ret->world, &ret->cluster, &err)) {
        geo_world_close(&ret->world);
        return geo_complain(&err);
    }
    return 0;
}

static int close_both(struct opened *both, const struct err *err) {
    geo_cluster_free(both->cluster);
    geo_world_close(&both->world);
    return err->rc ? geo_complain(err) : 0;
}

static int on_nodes(const struct options *o, enum rc (*act)(struct geo_cluster *c, uint64_t nodes, struct err *err)) {
    struct opened both;
    struct err err = {0};
    uint64_t nodes = 0;
    if (o->words != 1)
        return geo_misused("one node or set of places is wanted", NULL);
    int code = open_both(o, &both);
    if (code)
        return code;
    if (geo_cluster_match(both.cluster, o->word[0], &nodes, &err) == RC_OK)
        IGNORE(act(both.cluster, nodes, &err)); /* err has it */
    return close_both(&both, &err);
}

static enum rc do_kill(struct geo_cluster *c, uint64_t nodes, struct err *err) {
    enum rc rc = geo_cluster_signal(c, nodes, SIGKILL, err);
    return rc ? rc : geo_cluster_await_end(c, nodes, END_WAIT_MS, err);
}

/* Who runs ends as an operator would end it: it hands its leaderships over. */
static enum rc do_restart(struct geo_cluster *c, uint64_t nodes, struct err *err) {
    enum rc rc = geo_cluster_signal(c, nodes, SIGCONT, err);
    if (!rc)
        rc = geo_cluster_signal(c, nodes, SIGTERM, err);
    if (!rc)
        rc = geo_cluster_await_end(c, nodes, END_WAIT_MS, err);
    return rc ? rc : geo_cluster_start(c, nodes, true, err);
}

static enum rc do_pause(struct geo_cluster *c, uint64_t nodes, struct err *err) {
    return geo_cluster_signal(c, nodes, SIGSTOP, err);
}

static enum rc do_resume(struct geo_cluster *c, uint64_t nodes, struct err *err) {
    return geo_cluster_signal(c, nodes, SIGCONT, err);
}

int geo_run_kill(const struct options *o) {
    return on_nodes(o, do_kill);
}

int geo_run_restart(const struct options *o) {
    return on_nodes(o, do_restart);
}

int geo_run_pause(const struct options *o, bool pause) {
    return on_nodes(o, pause ? do_pause : do_resume);
}

static int find_region(const struct topo *t, const char *name) {
    for (unsigned r = 0; r < t->regions; r++)
        if (strcmp(t->region[r].name, name) == 0)
            return (int)r;
    return -1;
}

struct skew {
    int64_t offset_ns, clock_ns, drift_ppb;
    unsigned masters; /* 0: all */
    bool offset, stop, clock, drift;
};

/* A duration with a sign, also a bare 0. */
static bool take_duration(const char *text, int64_t *ret) {
    *ret = 0;
    return strcmp(text, "0") == 0 || strcmp(text, "+0") == 0 || tt_duration_parse(text + (*text == '+'), ret);
}

static bool take_skew(const char *word, struct skew *s) {
    char *end;
    if (strcmp(word, "stop") == 0)
        return s->stop = true;
    if (strncmp(word, "masters=", 8) == 0)
        return (s->masters = (unsigned)strtoul(word + 8, &end, 10)) > 0 && *end == '\0';
    if (strncmp(word, "offset=", 7) == 0)
        return (s->offset = take_duration(word + 7, &s->offset_ns));
    if (strncmp(word, "clock=", 6) == 0)
        return (s->clock = take_duration(word + 6, &s->clock_ns));
    if (strncmp(word, "drift=", 6) != 0)
        return false;
    double ppm = strtod(word + 6, &end);
    s->drift_ppb = (int64_t)(ppm * 1000);
    return (s->drift = end != word + 6 && (strcmp(end, "ppm") == 0 || (*end == '\0' && ppm == 0)) && ppm >= -100000 &&
                       ppm <= 100000);
}

/* skew REGION [offset=DUR | stop] [masters=N] [clock=DUR] [drift=PPM] */
int geo_run_skew(const struct options *o) {
    struct opened both;
    struct err err = {0};
    struct skew s = {.masters = 0};
    if (o->words < 2)
        return geo_misused("skew wants a region and offset=DURATION, stop, clock=DURATION or drift=NUMBERppm", NULL);
    for (unsigned i = 1; i < o->words; i++)
        if (!take_skew(o->word[i], &s))
            return geo_misused("offset=DURATION, masters=N, stop, clock=DURATION or drift=NUMBERppm is wanted, not",
                               o->word[i]);
    if (!s.offset && !s.stop && !s.clock && !s.drift)
        return geo_misused("masters=N says which; offset=DURATION or stop is wanted too", NULL);
    int code = open_both(o, &both);
    if (code)
        return code;
    int region = find_region(both.world.topo, o->word[0]);
    enum rc rc = RC_OK;
    if (region < 0)
        rc = err_set(&err, RC_NOTFOUND, "world %s has no region \"%.40s\"", o->world, o->word[0]);
    else if (both.world.topo->region[region].masters == 0)
        rc =
            err_set(&err, RC_NOTFOUND, "region %s has no time masters (a line \"master\" in its topology)", o->word[0]);
    if (!rc && (s.clock || s.drift))
        rc = geo_clocks_set(both.cluster, (unsigned)region, s.clock ? &s.clock_ns : NULL, s.drift ? &s.drift_ppb : NULL,
                            &err);
    if (!rc && s.stop)
        rc = geo_masters_stop(both.cluster, (unsigned)region, s.masters, &err);
    else if (!rc && s.offset)
        rc = geo_masters_set(both.cluster, (unsigned)region, s.masters, s.offset_ns, &err);
    CHECK(rc == RC_OK || err.rc != RC_OK);
    return close_both(&both, &err);
}
