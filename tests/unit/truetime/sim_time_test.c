/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated machine keeps the rules of a real one: what outlives a process, what outlives a boot, who answers. */
#include <string.h>

#include "geo-sim/sim/sim.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

struct app {
    struct env *env;
    struct env_page *page;
    struct env_shm *shm;
    struct env_dgram *dgram;
    enum rc page_rc, shm_rc, dgram_rc;
    char found[16], last_words[16];
    int answers;
    bool up;
};

static void on_readable(void *ctx) {
    struct app *a = ctx;
    char text[16];
    size_t n;
    while (env_dgram_recv(a->dgram, text, sizeof text, &n, NULL) == RC_OK && n > 0)
        a->answers += n == 4 && memcmp(text, "pong", 4) == 0;
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct app *a = arg;
    (void)count, (void)err;
    *ret_state = a;
    a->env = stores[0];
    a->up = true;
    a->page_rc = env_page_map(a->env, "p", 4096, true, &a->page, NULL);
    a->shm_rc = env_shm_attach(a->env, 7, 96, 0, &a->shm, NULL);
    a->dgram_rc = env_dgram_open(a->env, "unix:/d", on_readable, a, &a->dgram, NULL);
    if (!a->page_rc)
        memcpy(a->found, a->page->memory, sizeof a->found);
    if (!a->dgram_rc)
        env_dgram_send(a->dgram, "ping", 4, NULL) == RC_OK ? (void)0 : (void)OK(false);
    return RC_OK;
}

static void stop(void *state, uint16_t store) {
    struct app *a = state;
    (void)store;
    if (!a->page_rc)
        strcpy(a->page->memory, a->last_words); /* a dying process may still write */
    env_page_unmap(a->page_rc ? NULL : a->page);
    env_shm_detach(a->shm_rc ? NULL : a->shm);
    env_dgram_close(a->dgram_rc ? NULL : a->dgram);
    a->up = false;
}

static bool stopped(void *state, uint16_t store) {
    (void)store;
    return !((struct app *)state)->up;
}

static void done(void *state) {
    (void)state;
}

static const struct program program = {boot, stop, stopped, done};

static size_t serve(void *ctx, const void *request, size_t bytes, void *reply, size_t cap) {
    int *asked = ctx;
    ++*asked;
    OK(bytes == 4 && cap >= 4 && memcmp(request, "ping", 4) == 0);
    memcpy(reply, "pong", 4);
    return 4;
}

static void memory_and_boots(void) {
    bool kept = false, lost = false;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_conf conf = simkit_conf(seed);
        struct sim *s = sim_new(&conf);
        struct app a = {.last_words = "ghost"};
        struct sim_node *n = sim_node_new(s, "n1", 1, &program, &a);
        char id[ENV_BOOT_ID_BYTES], id2[ENV_BOOT_ID_BYTES];
        int asked = 0;
        OK(sim_node_start(n, NULL) == RC_OK);
        OK(a.page_rc == RC_OK && a.shm_rc == RC_NOTFOUND && a.dgram_rc == RC_UNREACHABLE);
        EQ_STR(a.found, "");
        strcpy(a.page->memory, "one");
        struct env_page *again;
        OK(env_page_map(a.env, "p", 4096, true, &again, NULL) == RC_BUSY);
        OK(env_page_map(a.env, "q", 4096, false, &again, NULL) == RC_NOTFOUND);
        strcpy(sim_shm(n, 7, 96), "seg");
        sim_serve(n, "unix:/d", MS, serve, &asked);
        OK(env_boot_id(a.env, id, sizeof id, NULL) == RC_OK);
        /* A kill: the page is as it was then, whatever the dying process still did to it. */
        sim_node_crash(n, SIM_KILL);
        OK(sim_node_start(n, NULL) == RC_OK);
        EQ_STR(a.found, "one");
        OK(a.shm_rc == RC_OK && strcmp(a.shm->memory, "seg") == 0);
        sim_run(s, sim_now(s) + SEC);
        EQ_INT(asked, 1);
        EQ_INT(a.answers, 1);
        OK(env_boot_id(a.env, id2, sizeof id2, NULL) == RC_OK);
        EQ_STR(id2, id);
        /* An orderly end. */
        strcpy(a.last_words, "bye");
        sim_node_stop(n);
        sim_run(s, sim_now(s) + SEC);
        OK(sim_node_start(n, NULL) == RC_OK);
        EQ_STR(a.found, "bye");
        /* Power: segments are gone, the page may be, the counters begin again, REAL goes on. */
        int64_t real = sim_clock_read(n, ENV_CLOCK_REAL);
        sim_run(s, sim_now(s) + 2000 * SEC);
        sim_node_crash(n, SIM_POWER);
        OK(sim_node_start(n, NULL) == RC_OK);
        OK(a.shm_rc == RC_NOTFOUND);
        kept |= strcmp(a.found, "bye") == 0;
        lost |= strcmp(a.found, "") == 0;
        OK(env_boot_id(a.env, id2, sizeof id2, NULL) == RC_OK);
        OK(strcmp(id, id2) != 0);
        OK(sim_clock_read(n, ENV_CLOCK_RAW) <= 60 * SEC);
        OK(sim_clock_read(n, ENV_CLOCK_REAL) >= real + 1999 * SEC);
        EQ_INT(sim_clock_read(n, ENV_CLOCK_REAL_COARSE) % (4 * MS), 0);
        sim_free(s);
    }
    OK(kept && lost);
}

static void masters_of_truth(void) {
    struct sim_conf conf = simkit_conf(1);
    struct sim *s = sim_new(&conf);
    struct app a = {.last_words = ""};
    struct sim_node *n = sim_node_new(s, "n1", 1, &program, &a);
    int64_t t, bound;
    struct err err = {0};
    OK(sim_node_start(n, NULL) == RC_OK);
    for (int i = 0; i < 1000; i++) {
        sim_run(s, sim_now(s) + MS);
        OK(env_true_time(a.env, 1, &t, &bound, NULL) == RC_OK);
        OK(t - bound <= sim_true_ns(s) && sim_true_ns(s) <= t + bound);
    }
    sim_truth(n, 1)->lie_ns = SEC;
    OK(env_true_time(a.env, 1, &t, &bound, NULL) == RC_OK);
    OK(t > sim_true_ns(s) + SEC / 2);
    OK(env_true_time(a.env, 0, &t, &bound, NULL) == RC_OK);
    OK(t < sim_true_ns(s) + SEC / 2);
    sim_truth(n, 1)->lost = true;
    OK(env_true_time(a.env, 1, &t, &bound, &err) == RC_UNREACHABLE);
    OK(env_true_time(a.env, 99, &t, &bound, &err) == RC_INVAL);
    struct env_adjtime adj;
    env_adjtime(a.env, &adj);
    EQ_INT(adj.state, 5); /* nobody steers it, until a test says so */
    sim_adjtime(n)->state = 0;
    env_adjtime(a.env, &adj);
    EQ_INT(adj.state, 0);
    sim_free(s);
}

int main(void) {
    RUN(memory_and_boots);
    RUN(masters_of_truth);
    return tap_done();
}
