/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_exactly.c: does meridian_run do a thing exactly once while nodes die? Played by api_exactly.t, which kills them.
 *
 *     api_exactly load HOSTS THREADS SECONDS    each thread counts, for as long as that, through all the hosts, beginning with another
 *     api_exactly one HOSTS                     counts once
 *
 * To count is one transaction: a counter that all share and another table's row that must not be there yet. Prints, as one line,
 * "acknowledged N unknown N failed N attempts N slowest_ms N"; each failure with its text before it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "truetime/base/check.h"
#include "txn/api/meridian.h"

enum { THREADS_MAX = 16, HOSTS_MAX = 8 };

struct counter_thread {
    pthread_t thread;
    char url[1024];
    int number;
    double until;
    long seq, acknowledged, unknown, failed, attempts;
    double slowest;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(meridian *db, const char *sql, int64_t a, int64_t b, int params) {
    meridian_stmt *st;
    int code = meridian_prepare(db, sql, -1, &st);
    if (!code)
        code = meridian_bind_int64(st, 1, a);
    if (!code && params > 1)
        code = meridian_bind_int64(st, 2, b);
    if (!code)
        code = meridian_step(st);
    if (code < MERIDIAN_ERROR) {
        code = code == MERIDIAN_DONE && meridian_changes(st) == 1 ? MERIDIAN_OK : MERIDIAN_ERROR;
        meridian_finalize(st);
        return code;
    }
    meridian_finalize(st);
    return code;
}

static int count(meridian *db, void *ctx) {
    struct counter_thread *t = ctx;
    t->attempts++;
    int code = run(db, "UPDATE counter SET n = n + 1 WHERE id = $1", 1, 0, 1);
    return code ? code : run(db, "INSERT INTO marks (who, seq) VALUES ($1, $2)", t->number, t->seq, 2);
}

static void once(meridian *db, struct counter_thread *t) {
    struct meridian_run_options o = {.size = sizeof o, .attempts_max = 1000};
    double began = now();
    t->seq++;
    int code = meridian_run(db, &o, count, t);
    double spent = now() - began;
    t->slowest = spent > t->slowest ? spent : t->slowest;
    if (code == MERIDIAN_OK) {
        t->acknowledged++;
        return;
    }
    if (code == MERIDIAN_UNKNOWN)
        t->unknown++;
    else
        t->failed++;
    const char *state = meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE);
    const char *detail = meridian_error_field(db, MERIDIAN_FIELD_DETAIL);
    printf("%d.%ld: %s %s %s (%s)\n", t->number, t->seq, meridian_code_name(code), state ? state : "",
           meridian_errmsg(db), detail ? detail : "");
}

static void *work(void *arg) {
    struct counter_thread *t = arg;
    meridian *db = NULL;
    int code = MERIDIAN_UNAVAILABLE;
    while (code == MERIDIAN_UNAVAILABLE && (t->until == 0 || now() < t->until)) {
        meridian_close(db);
        code = meridian_open(t->url, &db);
        if (code == MERIDIAN_UNAVAILABLE)
            (void)usleep(100000);
    }
    if (code) {
        printf("%d: %s\n", t->number, meridian_errmsg(db));
        t->failed++;
    }
    while (!code && (t->until == 0 ? t->seq == 0 : now() < t->until))
        once(db, t);
    meridian_close(db);
    return NULL;
}

/* The hosts, beginning with another one for each thread. */
static void rotate(const char *hosts, int by, char *ret, size_t bytes) {
    char copy[1024], *host[HOSTS_MAX], *save = NULL;
    int n = 0;
    snprintf(copy, sizeof copy, "%s", hosts);
    for (char *p = strtok_r(copy, ",", &save); p && n < HOSTS_MAX; p = strtok_r(NULL, ",", &save))
        host[n++] = p;
    int at = snprintf(ret, bytes, "meridian://");
    for (int i = 0; i < n; i++)
        at += snprintf(ret + at, bytes - (size_t)at, "%s%s", i ? "," : "", host[(i + by) % n]);
    snprintf(ret + at, bytes - (size_t)at, "/meridian?connect_timeout=2");
}

int main(int argc, char **argv) {
    static struct counter_thread t[THREADS_MAX];
    bool load = argc == 5 && strcmp(argv[1], "load") == 0;
    if (!load && !(argc == 3 && strcmp(argv[1], "one") == 0))
        return 2;
    int threads = load ? (int)strtol(argv[3], NULL, 10) : 1;
    double seconds = load ? strtod(argv[4], NULL) : 0;
    threads = threads > THREADS_MAX ? THREADS_MAX : threads;
    for (int i = 0; i < threads; i++) {
        t[i].number = load ? i : (int)getpid(); /* a name of its own */
        t[i].until = load ? now() + seconds : 0;
        rotate(argv[2], i, t[i].url, sizeof t[i].url);
        CHECK(pthread_create(&t[i].thread, NULL, work, &t[i]) == 0);
    }
    long sum[4] = {0};
    double slowest = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(t[i].thread, NULL);
        sum[0] += t[i].acknowledged;
        sum[1] += t[i].unknown;
        sum[2] += t[i].failed;
        sum[3] += t[i].attempts;
        slowest = t[i].slowest > slowest ? t[i].slowest : slowest;
    }
    printf("acknowledged %ld unknown %ld failed %ld attempts %ld slowest_ms %.0f\n", sum[0], sum[1], sum[2], sum[3],
           slowest * 1000);
    return 0;
}
