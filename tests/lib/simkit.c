/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/simkit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/tap.h"

struct boot_arg {
    struct simkit_store *store;
};

static void body_main(void *arg) {
    struct simkit_store *s = arg;
    s->node->body(s);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct simkit_node *n = arg;
    (void)err;
    n->stores = calloc(count, sizeof *n->stores);
    n->store_count = count;
    n->boots++;
    CHECK(n->stores);
    for (uint16_t i = 0; i < count; i++) {
        n->stores[i] = (struct simkit_store){.env = stores[i], .node = n};
        CHECK(reactor_new(stores[i], NULL, &n->stores[i].r) == RC_OK);
        CHECK(fiber_spawn(n->stores[i].r, NULL, FIBER_LARGE, "body", body_main, &n->stores[i]) == RC_OK);
    }
    *ret_state = n;
    return RC_OK;
}

static void stop(void *state, uint16_t store) {
    struct simkit_node *n = state;
    if (n->stop)
        n->stop(n, store);
    reactor_stop(n->stores[store].r);
}

static bool stopped(void *state, uint16_t store) {
    return reactor_idle(((struct simkit_node *)state)->stores[store].r);
}

static void done(void *state) {
    struct simkit_node *n = state;
    for (uint16_t i = 0; i < n->store_count; i++)
        reactor_free(n->stores[i].r);
    free(n->stores);
    n->stores = NULL;
}

const struct program simkit_program = {boot, stop, stopped, done};

/* What the handler of an abort prints: there is one test program in a process. */
static char replay[256];

static void on_abort(int sig) {
    (void)!write(STDERR_FILENO, replay, strlen(replay));
    signal(sig, SIG_DFL);
    raise(sig);
}

static void remember(const char *name, uint64_t seed) {
    snprintf(replay, sizeof replay, "# replay: SIM_SEED=%llu SIM_PRINT=1 tests/run %s\n", (unsigned long long)seed,
             name);
}

void simkit_seeds(const char *name, uint64_t count, void (*one_seed)(uint64_t seed)) {
    uint64_t only = tap_env("SIM_SEED", 0), n = tap_env("SIM_SEEDS", count), first = tap_env("SIM_FIRST", 1);
    signal(SIGABRT, on_abort);
    if (only) {
        remember(name, only);
        one_seed(only);
        return;
    }
    for (uint64_t seed = first; seed < first + n; seed++) {
        remember(name, seed);
        one_seed(seed);
        if (tap_failing()) {
            tap_diag("seed %llu failed; %s", (unsigned long long)seed, replay + 2);
            return;
        }
    }
}

struct sim_conf simkit_conf(uint64_t seed) {
    bool print = tap_env("SIM_PRINT", 0) != 0;
    return (struct sim_conf){.seed = seed, .level = DIAG_INFO, .print = print, .mutant = getenv("SIM_MUTANT")};
}
