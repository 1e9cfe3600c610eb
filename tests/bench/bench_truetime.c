/* SPDX-License-Identifier: Apache-2.0 */
/* The interval clock: what asking costs, how it scales, and how wide the answer is with each kind of source. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shard/runtime/env_real.h"
#include "tests/lib/bench.h"
#include "tests/lib/onfiber.h"
#include "tests/unit/truetime/clockkit.h"
#include "truetime/master.h"
#include "truetime/poller.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum { CALLS = 2000000, THREADS = 2 };

/* ---- cost -------------------------------------------------------------------------------------------------------- */

struct asked {
    struct process *process;
    struct tt_page *page;
    struct tt_clock clock[THREADS];
};

static void asked_init(struct asked *a) {
    struct process_conf conf = {.stores = 1, .level = DIAG_OFF};
    uint64_t boot;
    CHECK(process_new(&conf, &a->process, NULL) == RC_OK);
    struct env *env = process_env(a->process, 0);
    a->page = aligned_alloc(TT_PAGE_BYTES, TT_PAGE_BYTES);
    CHECK(a->page);
    memset(a->page, 0, TT_PAGE_BYTES);
    CHECK(tt_page_boot(env, &boot, NULL) == RC_OK);
    tt_page_adopt(a->page, env, boot);
    int64_t raw = env_clock_ns(env, ENV_CLOCK_RAW), real = env_clock_ns(env, ENV_CLOCK_REAL);
    struct tt_view v = {.base_raw = raw,
                        .iv = {real - 500 * US, real + 500 * US},
                        .void_after = raw + 3600 * SEC,
                        .drift_ppb = 200000,
                        .eps_max = 3600 * SEC,
                        .state = TT_SYNC,
                        .real_off = real - raw,
                        .real_off_tol = 3600 * SEC};
    tt_page_publish(a->page, env, &v);
    for (int i = 0; i < THREADS; i++)
        CHECK(tt_clock_init(&a->clock[i], env, a->page, NULL) == RC_OK);
}

static double ask_ns(struct tt_clock *c) {
    int64_t sum = 0, began = bench_now_ns();
    for (int i = 0; i < CALLS; i++)
        sum += tt_now(c).earliest & 1;
    double ns = (double)(bench_now_ns() - began) / CALLS;
    CHECK(sum >= 0 && counter_get(&c->refusals) == 0);
    return ns;
}

static double raw_ns(void) {
    struct timespec ts;
    int64_t sum = 0, began = bench_now_ns();
    for (int i = 0; i < CALLS; i++) {
        clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
        sum += ts.tv_nsec & 1;
    }
    CHECK(sum >= 0);
    return (double)(bench_now_ns() - began) / CALLS;
}

struct worker {
    struct tt_clock *clock; /* NULL: only reads RAW */
    pthread_t thread;
};

static void *work(void *arg) {
    struct worker *w = arg;
    if (w->clock)
        ask_ns(w->clock);
    else
        raw_ns();
    return NULL;
}

/* Calls a second of all threads together; a = NULL: of reading RAW. */
static double threads_rate(struct asked *a, int count) {
    struct worker w[THREADS];
    int64_t began = bench_now_ns();
    for (int i = 0; i < count; i++) {
        w[i] = (struct worker){.clock = a ? &a->clock[i] : NULL};
        CHECK(pthread_create(&w[i].thread, NULL, work, &w[i]) == 0);
    }
    for (int i = 0; i < count; i++)
        pthread_join(w[i].thread, NULL);
    return (double)count * CALLS / ((double)(bench_now_ns() - began) / 1e9);
}

/* From here on any system call but exit kills the process. (Strict seccomp would also forbid RDTSC.) */
static bool only_exit(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void no_system_call(struct asked *a) {
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        bool known = true;
        if (!only_exit())
            syscall(SYS_exit, 2);
        for (int i = 0; i < 1000; i++)
            known &= tt_is_known(tt_now(&a->clock[0]));
        syscall(SYS_exit, known ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    bench_note("system calls of tt_now: %s", WIFSIGNALED(status) ? "SOME: killed by the filter"
                                             : WEXITSTATUS(status) == 0
                                                 ? "none in 1000 calls (a seccomp filter would kill)"
                                                 : "not checked: no seccomp here");
}

static void cost(void) {
    struct asked a;
    struct bench_figure ask, raw, scales, raw_scales;
    asked_init(&a);
    ask_ns(&a.clock[0]);
    for (int run = 0; run < BENCH_RUNS; run++) {
        raw.run[run] = raw_ns();
        ask.run[run] = ask_ns(&a.clock[0]);
        /* How much more two threads do: of the machine's spare cores, the bare clock read gets as much as it can. */
        scales.run[run] = threads_rate(&a, THREADS) / threads_rate(&a, 1);
        raw_scales.run[run] = threads_rate(NULL, THREADS) / threads_rate(NULL, 1);
    }
    bench_report("truetime: tt_now", &ask, "ns", BENCH_AT_MOST, 60);
    bench_compare("truetime: tt_now", &ask, "ns", "clock_gettime(RAW)", &raw, BENCH_SHOW, 0);
    bench_compare("truetime: two threads to one", &scales, "x", "clock_gettime(RAW)", &raw_scales, BENCH_AT_LEAST, 0.9);
    no_system_call(&a);
    free(a.page);
    process_free(a.process);
}

/* ---- width ------------------------------------------------------------------------------------------------------- */

static struct tt_poller *poller_of(struct env *env, const char *spec, const char *host_dir, struct tt_clock *clock) {
    struct tt_poller_conf conf = {.page_path = NULL};
    struct tt_poller *p;
    conf.sources.host_dir = host_dir;
    CHECK(tt_spec_parse(spec, &conf.spec, NULL) == RC_OK);
    CHECK(tt_poller_new(env, &conf, &p, NULL) == RC_OK);
    CHECK(tt_clock_init(clock, env, tt_poller_page(p), NULL) == RC_OK);
    return p;
}

static bool wait_sync(struct reactor *r, struct tt_clock *clock) {
    for (int i = 0; i < CLOCKKIT_PATIENCE_S * 100; i++) {
        if (tt_is_known(tt_now(clock)))
            return true;
        if (fiber_sleep(r, 10 * MS) != RC_OK)
            break;
    }
    return false;
}

/* Average half-width over a while, us; and of the root distance that chronyd tells meanwhile, where it is the source. */
static double average_half(struct reactor *r, struct tt_clock *clock, int64_t ns, double *ret_distance) {
    double sum = 0, distance = 0;
    int64_t count = 0, until = reactor_deadline(r, ns);
    struct tt_status st;
    while (reactor_now(r) < until && fiber_sleep(r, MS) == RC_OK) {
        tt_interval iv = tt_now(clock);
        if (!tt_is_known(iv))
            continue;
        sum += (double)tt_half_width(iv);
        count++;
        if (ret_distance) {
            tt_status(clock, &st);
            distance += (double)(st.info.sources[0].delay_ns + st.info.sources[0].dispersion_ns);
        }
    }
    CHECK(count > 0);
    if (ret_distance)
        *ret_distance = distance / (double)count / 1000;
    return sum / (double)count / 1000;
}

static void start_masters(struct env *env, const int *units, int count, struct tt_master **ret) {
    for (int i = 0; i < count; i++) {
        struct tt_master_conf conf = {
            .unit = units[i], .create_mode = 0600, .jitter_ns = 100 * US, .period_ns = 250 * MS};
        CHECK(tt_master_new(env, &conf, &ret[i], NULL) == RC_OK);
    }
}

static void host_width(struct reactor *r, const char *dir) {
    struct tt_clock clock;
    struct bench_figure half;
    struct tt_poller *p = poller_of(reactor_env(r), "host", dir, &clock);
    if (wait_sync(r, &clock)) {
        for (int run = 0; run < BENCH_RUNS; run++)
            half.run[run] = average_half(r, &clock, 300 * MS, NULL);
        bench_report("truetime: half-width, host", &half, "us", BENCH_AT_MOST, 1);
    }
    tt_poller_free(p);
}

static void masters_width(struct reactor *r, const int *units) {
    struct tt_clock clock;
    struct tt_master *masters[3];
    struct bench_figure half;
    char spec[128];
    start_masters(reactor_env(r), units, 3, masters);
    snprintf(spec, sizeof spec, "shm:%d,err=500us;shm:%d,err=500us;shm:%d,err=500us", units[0], units[1], units[2]);
    struct tt_poller *p = poller_of(reactor_env(r), spec, NULL, &clock);
    if (wait_sync(r, &clock)) {
        for (int run = 0; run < BENCH_RUNS; run++)
            half.run[run] = average_half(r, &clock, 2 * SEC, NULL);
        bench_report("truetime: half-width, 3 shm, err 500 us", &half, "us", BENCH_AT_MOST, 600);
    }
    tt_poller_free(p);
    for (int i = 0; i < 3; i++)
        tt_master_free(masters[i]);
}

static void chronyd_width(struct reactor *r, const int *units, const char *dir) {
    struct tt_clock clock;
    struct tt_master *master;
    struct bench_figure half, distance;
    char socket_path[256], spec[300];
    pid_t pid;
    start_masters(reactor_env(r), units, 1, &master);
    const char *why = clockkit_chronyd(r, dir, units[0], &pid, socket_path);
    if (why) {
        bench_note("truetime: half-width with chronyd: %s", why);
        tt_master_free(master);
        return;
    }
    snprintf(spec, sizeof spec, "chrony:%s", socket_path);
    struct tt_poller *p = poller_of(reactor_env(r), spec, NULL, &clock);
    if (wait_sync(r, &clock) && fiber_sleep(r, 12 * SEC) == RC_OK) { /* chronyd's estimates settle */
        for (int run = 0; run < BENCH_RUNS; run++)
            half.run[run] = average_half(r, &clock, 3 * SEC, &distance.run[run]);
        bench_compare("truetime: half-width, chronyd", &half, "us", "its root distance", &distance, BENCH_AT_MOST, 1.2);
    }
    tt_poller_free(p);
    tt_master_free(master);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

static void widths(struct reactor *r) {
    char dir[] = "/tmp/bench-truetime-XXXXXX";
    int units[CLOCKKIT_UNITS];
    char command[64];
    CHECK(mkdtemp(dir));
    clockkit_take_units(units);
    host_width(r, dir);
    masters_width(r, units);
    clockkit_remove_units(units);
    chronyd_width(r, units, dir);
    clockkit_remove_units(units);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command))
        bench_note("could not remove %s", dir);
}

int main(void) {
    cost();
    on_fiber(DIAG_OFF, widths);
    return 0;
}
