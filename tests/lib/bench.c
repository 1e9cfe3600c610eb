/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t bench_now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t bench_cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t bench_rss_bytes(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_median(const struct bench_figure *f) {
    double v[BENCH_RUNS];
    memcpy(v, f->run, sizeof v);
    qsort(v, BENCH_RUNS, sizeof *v, by_value);
    return v[BENCH_RUNS / 2];
}

static void print_value(double v, const char *unit) {
    printf(v >= 1000 ? "%10.0f %s" : v >= 10 ? "%10.1f %s" : "%10.3f %s", v, unit);
}

static void print_want(double v, enum bench_want want, double limit) {
    if (want == BENCH_SHOW)
        printf("\n");
    else
        printf("   wanted %s %g   %s\n", want == BENCH_AT_MOST ? "<=" : ">=", limit,
               (want == BENCH_AT_MOST ? v <= limit : v >= limit) ? "met" : "MISSED");
    fflush(stdout);
}

void bench_report(const char *name, const struct bench_figure *f, const char *unit, enum bench_want want,
                  double limit) {
    printf("%-44s", name);
    print_value(bench_median(f), unit);
    print_want(bench_median(f), want, limit);
}

void bench_compare(const char *name, const struct bench_figure *f, const char *unit, const char *ref_name,
                   const struct bench_figure *ref, enum bench_want want, double limit) {
    double ratio = bench_median(ref) != 0 ? bench_median(f) / bench_median(ref) : 0;
    printf("%-44s", name);
    print_value(bench_median(f), unit);
    printf("   %s ", ref_name);
    print_value(bench_median(ref), unit);
    printf("   ratio %.2f", ratio);
    print_want(ratio, want, limit);
}

void bench_note(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    printf("# ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}
