/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ground that the database stands on (ground.h) as a real process: a thousand fibers read through a yielding virtual table
 * while commits become durable through the log thread, and the process is killed (kill -9) at random moments, again and again.
 * It tells of each acknowledged transaction through a pipe; the next one must find all that was told. The last one is asked to
 * end in order.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shard/runtime/env_real.h"
#include "tests/lib/tap.h"
#include "tests/unit/store/ground.h"
#include "truetime/base/rng.h"

enum { KILLS = 5, READERS = 1000, COMMITTERS = 64, LIVES_MS = 1000, PATIENCE_MS = 60000, MS = 1000000 };

/* What a life tells the one who kills: the last acknowledged transaction, and at its end all that it did. */
struct word {
    int64_t acked;
    bool last;
    uint64_t commits, scans, yields, checkpoints, resets, replayed;
    int64_t readers_most;
    char why[400];
};

struct life {
    struct ground ground;
    struct reactor *r;
    struct process *process;
    int pipe;
    _Atomic bool over; /* ended by itself: something was wrong */
};

/* ---- the process that is killed ---------------------------------------------------------------------------------- */

static void tell(struct life *l, bool last) {
    const struct ground *g = &l->ground;
    struct word w = {g->acked,       last,      g->commits,  g->scans,        g->yields,
                     g->checkpoints, g->resets, g->replayed, g->readers_most, ""};
    memcpy(w.why, g->why, sizeof w.why);
    if (write(l->pipe, &w, sizeof w) != (ssize_t)sizeof w) /* whole: it is less than PIPE_BUF */
        _exit(3);
}

static void on_ack(void *ctx, int64_t k) {
    (void)k;
    tell(ctx, false);
}

static void body(void *arg) {
    struct life *l = arg;
    ground_run(&l->ground, l->r);
    atomic_store(&l->over, true);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct life *l = arg;
    (void)count, (void)err;
    *ret_state = l;
    enum rc rc = reactor_new(stores[0], NULL, &l->r);
    return rc ? rc : fiber_spawn(l->r, NULL, FIBER_LARGE, "ground", body, l);
}

static void stop(void *state, uint16_t store) {
    (void)store;
    reactor_stop(((struct life *)state)->r);
}

static bool stopped(void *state, uint16_t store) {
    (void)store;
    return reactor_idle(((struct life *)state)->r);
}

static void done(void *state) {
    reactor_free(((struct life *)state)->r);
}

/* The whole life of a process; returns its exit status. */
static int live(const char *dir, int64_t acked, int fd) {
    static const struct program program = {boot, stop, stopped, done};
    struct process_conf conf = {.stores = 1, .level = DIAG_ERROR};
    struct life l = {.pipe = fd,
                     .ground = {.dir = dir,
                                .acked = acked,
                                .readers = READERS,
                                .committers = COMMITTERS,
                                .rest_ns = 100 * MS,
                                .on_ack = on_ack}};
    struct err err = {0};
    l.ground.ctx = &l;
    if (process_new(&conf, &l.process, &err)) {
        fprintf(stderr, "# %s\n", err_message(&err));
        return 2;
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    enum rc rc = process_start(l.process, &program, &l, &err);
    struct timespec tick = {.tv_nsec = 20 * MS};
    while (!rc && !atomic_load(&l.over) && sigtimedwait(&ends, NULL, &tick) < 0)
        ;
    process_stop(l.process);
    if (!rc)
        process_join(l.process);
    process_free(l.process);
    tell(&l, true);
    return rc || l.ground.why[0] ? 1 : 0;
}

/* ---- who kills it ------------------------------------------------------------------------------------------------ */

static pid_t begin(const char *dir, int64_t acked, int *ret_fd) {
    int fds[2];
    CHECK(pipe(fds) == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        exit(live(dir, acked, fds[1])); /* exit, not _exit: the leak checker looks */
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / MS;
}

/* Listens until the moment has come, something was acknowledged and so many scans are done; sends the signal; reads what was
 * still told. */
static int end(pid_t pid, int fd, int sig, int64_t life_ms, uint64_t scans, struct word *last) {
    int status = 0;
    struct word w;
    bool sent = false;
    int64_t began = now_ms(), first = last->acked, until = began + life_ms;
    while (read(fd, &w, sizeof w) == (ssize_t)sizeof w) {
        *last = w;
        bool due = now_ms() >= until && w.acked > first && w.scans >= scans;
        if (!sent && (due || now_ms() >= began + PATIENCE_MS)) {
            CHECK(kill(pid, sig) == 0);
            sent = true;
        }
    }
    close(fd);
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void killed_again_and_again(void) {
    struct word w = {0};
    struct rng rng;
    int fd, status;
    rng_init(&rng, tap_env("SIM_SEED", (uint64_t)now_ms()));
    for (int i = 0; i < KILLS; i++) {
        pid_t pid = begin(tap_dir(), w.acked, &fd);
        status = end(pid, fd, SIGKILL, rng_range(&rng, 0, LIVES_MS), 0, &w);
        OKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it ended by itself: status %x: %s", (unsigned)status,
            w.why);
    }
    pid_t pid = begin(tap_dir(), w.acked, &fd);
    status = end(pid, fd, SIGTERM, LIVES_MS, 2 * READERS, &w);
    OKF(WIFEXITED(status) && WEXITSTATUS(status) == 0 && w.last, "status %x: %s", (unsigned)status, w.why);
    OK(w.commits > 0 && w.scans >= 2 * READERS && w.checkpoints > 0);
    OKF(w.readers_most > READERS / 2, "%lld readers at once", (long long)w.readers_most);
    tap_note("%lld transactions over %d kills; in the last life %llu commits, %lld readers at once, %llu scans, %llu "
             "yields in "
             "SQLite, %llu checkpoints, %llu resets, %llu replayed",
             (long long)w.acked, KILLS, (unsigned long long)w.commits, (long long)w.readers_most,
             (unsigned long long)w.scans, (unsigned long long)w.yields, (unsigned long long)w.checkpoints,
             (unsigned long long)w.resets, (unsigned long long)w.replayed);
}

int main(void) {
    RUN(killed_again_and_again);
    return tap_done();
}
