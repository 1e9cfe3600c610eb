/* SPDX-License-Identifier: Apache-2.0 */
/*
 * px_node: one store of replicated registers with static peers, as a program.
 *
 *     px_node NODE DIR GROUPS CLIENTS ADDR...      node NODE (1 ..) of as many nodes as there are addresses
 *
 * CLIENTS fibers propose commands to the groups that this node leads. What happens is written to DIR/events, a line each, and
 * outlives a kill of the process:
 *
 *     start                            it speaks
 *     app GROUP SLOT CHECKSUM          applied; the checksum covers everything up to it
 *     ack GROUP SLOT CHECKSUM          a proposal of this node was acknowledged
 *     lead GROUP / end GROUP           it leads from now on; not any more
 *     stop                             it stopped cleanly (SIGTERM)
 *
 * SIGUSR1: no more proposals. SIGTERM: a clean stop.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shard/runtime/env_real.h"
#include "tests/lib/pxhost.h"

enum { MS = 1000000 };
static const int64_t SECOND = 1000000000;

struct node {
    struct process *process;
    struct pxhost_conf conf;
    struct pxhost host;
    struct regs_watch watch;
    FILE *events;
    uint32_t clients;
    uint64_t next;
};

static volatile sig_atomic_t told_to_stop, told_to_rest;

static void on_signal(int sig) {
    if (sig == SIGTERM)
        told_to_stop = 1;
    else
        told_to_rest = 1;
}

/* ---- what is written down ---------------------------------------------------------------------------------------- */

static void on_apply(void *ctx, struct regs *g, px_slot slot, const struct px_value *v, uint64_t checksum) {
    struct node *n = ctx;
    (void)v;
    fprintf(n->events, "app %llu %llu %016llx\n", (unsigned long long)g->conf.group, (unsigned long long)slot,
            (unsigned long long)checksum);
}

/* Who catches up by a snapshot may apply nothing more. */
static void on_load(void *ctx, struct regs *g, px_slot slot, uint64_t checksum) {
    on_apply(ctx, g, slot, NULL, checksum);
}

static void on_lead(void *ctx, struct regs *g, bool begin) {
    struct node *n = ctx;
    fprintf(n->events, "%s %llu\n", begin ? "lead" : "end", (unsigned long long)g->conf.group);
}

/* ---- proposing --------------------------------------------------------------------------------------------------- */

static void client(void *arg) {
    struct node *n = arg;
    struct pxhost *h = &n->host;
    struct env *env = h->env;
    while (!told_to_stop && !told_to_rest) {
        uint64_t group = 1 + env_random(env) % n->conf.groups, sum = 0, id = ++n->next << 8 | n->conf.node;
        struct replica *r = pxhost_replica(h, group);
        px_slot slot = 0;
        if (!r || !replica_leads(r)) {
            if (fiber_sleep(h->reactor, 2 * MS))
                return;
            continue;
        }
        struct px_value *v = regs_command(id, (uint32_t)id, true, id, REGS_COMMAND_BYTES + env_random(env) % 200);
        enum rc rc = replica_propose(r, v, tt_now(&h->clock).latest, reactor_deadline(h->reactor, 3 * SECOND), &sum,
                                     &slot, NULL, NULL);
        px_value_unref(v);
        if (rc == RC_OK)
            fprintf(n->events, "ack %llu %llu %016llx\n", (unsigned long long)group, (unsigned long long)slot,
                    (unsigned long long)sum);
        if (fiber_sleep(h->reactor, MS)) /* load, not saturation */
            return;
    }
}

static void body(void *ctx, struct pxhost *h) {
    struct node *n = ctx;
    fprintf(n->events, "start\n");
    for (uint32_t i = 0; i < n->clients; i++)
        if (fiber_spawn(h->reactor, NULL, FIBER_SMALL, "client", client, n))
            break;
    while (!told_to_stop) {
        fflush(n->events); /* into the page cache, where a kill leaves it */
        if (fiber_sleep(h->reactor, 5 * MS))
            return;
    }
    replicas_stop(h->replicas, reactor_deadline(h->reactor, 5 * SECOND));
    fprintf(n->events, "stop\n");
    process_stop(n->process);
}

static void on_failed(void *ctx, struct pxhost *h, enum rc rc, const char *why) {
    (void)ctx, (void)h;
    fprintf(stderr, "px_node: %s: %s\n", rc_name(rc), why);
    _exit(2);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct node *n = arg;
    (void)count;
    *ret_state = n;
    return pxhost_boot(&n->host, &n->conf, stores[0], err);
}

static void stop(void *state, uint16_t store) {
    (void)store;
    pxhost_stop(&((struct node *)state)->host);
}

static bool stopped(void *state, uint16_t store) {
    (void)store;
    return pxhost_stopped(&((struct node *)state)->host);
}

static void done(void *state) {
    pxhost_done(&((struct node *)state)->host);
}

int main(int argc, char **argv) {
    static const struct program program = {boot, stop, stopped, done};
    struct process_conf pc = {.stores = 1, .level = DIAG_WARN};
    struct node n = {0};
    struct err err = {0};
    char events[ENV_PATH_BYTES];
    if (argc < 6 || argc - 5 > PXHOST_NODES_MAX) {
        fprintf(stderr, "usage: px_node NODE DIR GROUPS CLIENTS ADDR...\n");
        return 1;
    }
    n.watch = (struct regs_watch){.on_apply = on_apply, .on_load = on_load, .on_lead = on_lead, .ctx = &n};
    n.clients = (uint32_t)atoi(argv[4]);
    n.conf = (struct pxhost_conf){.node = (uint32_t)atoi(argv[1]),
                                  .nodes = (uint32_t)(argc - 5),
                                  .dir = argv[2],
                                  .clock = "fixed:1ms",
                                  .groups = (uint32_t)atoi(argv[3]),
                                  .voters = (uint32_t)(argc - 5),
                                  .wal = {.segment_bytes = 1 << 20, .segments_soft = 4},
                                  .checkpoint_every = 500,
                                  .pad_bytes = 600000,
                                  .watch = &n.watch,
                                  .body = body,
                                  .on_failed = on_failed,
                                  .ctx = &n};
    for (int i = 5; i < argc; i++)
        snprintf(n.conf.addr[i - 5], sizeof n.conf.addr[0], "%s", argv[i]);
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    n.conf.incarnation = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    mkdir(n.conf.dir, 0700);
    snprintf(events, sizeof events, "%s/events", n.conf.dir);
    n.events = fopen(events, "a");
    if (!n.events) {
        perror(events);
        return 1;
    }
    fputc('\n', n.events); /* ends what a kill tore */
    signal(SIGTERM, on_signal);
    signal(SIGUSR1, on_signal);
    signal(SIGPIPE, SIG_IGN);
    if (process_new(&pc, &n.process, &err) || process_run(n.process, &program, &n, &err)) {
        fprintf(stderr, "px_node: %s\n", err.message);
        return 1;
    }
    process_free(n.process);
    fclose(n.events);
    return 0;
}
