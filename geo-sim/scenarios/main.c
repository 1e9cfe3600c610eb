/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: the program `meridian-sim` (`meridian sim`): plays scenarios. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "geo-sim/scenarios/scenario.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const struct {
    const char *name, *help;
    scenario_fn *run;
} scenarios[] = {
    {"wan", "three regions: round trips, commit wait, clocks; a cut, a kill, a power loss", scenario_wan},
    {"register", "three continents: a replicated register, its leader killed, a planned hand-over", scenario_register},
};

static void print_help(FILE *to) {
    fprintf(to, "meridian sim: a simulated cluster in virtual time\n\n"
                "usage: meridian sim [SCENARIO] [--seed N] [--diag] [--color auto|always|never]\n\n"
                "  --seed N    another world (default 1); the same seed is the same world, event by event\n"
                "  --diag      the nodes' diagnostics on standard error, with their virtual time\n\n"
                "scenarios (without one: the first):\n");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        fprintf(to, "  %-10s %s\n", scenarios[i].name, scenarios[i].help);
    fprintf(to, "\nexit status: 0 everything came as expected; 1 something did not; 2 the command was wrong\n");
}

static double now_s(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void report_run(struct show *s, const struct scenario_result *r, const char *name, uint64_t seed, double took) {
    char events[SHOW_COUNT_BYTES];
    double virtual = (double)r->virtual_ns / 1e9;
    show_head(s, "The run");
    show_line(s, "  %.0f virtual seconds in %.2f s (%.0f times as fast), %s events, trace %016llx", virtual, took,
              virtual / (took > 0 ? took : 1), show_count(r->events, events, sizeof events),
              (unsigned long long)r->trace);
    show_line(s, "  Again, event by event: meridian sim %s --seed %llu", name, (unsigned long long)seed);
    if (s->failed)
        show_piece(s, SHOW_BAD, "\n%u of %u checks FAILED\n", s->failed, s->checks);
    else
        show_piece(s, SHOW_GOOD, "\nall %u checks ok\n", s->checks);
}

static int play(size_t which, const struct scenario_conf *conf, bool color) {
    struct show show;
    struct scenario_result result = {0};
    struct err err = {0};
    show_init(&show, color);
    double began = now_s();
    enum rc rc = scenarios[which].run(conf, &show, &result, &err);
    if (!rc)
        report_run(&show, &result, scenarios[which].name, conf->seed, now_s() - began);
    if (!rc)
        rc = buf_rc(&show.out);
    if (show.out.len)
        fwrite(show.out.data, 1, show.out.len, stdout);
    if (rc)
        fprintf(stderr, "meridian sim: %s: %s\n", scenarios[which].name,
                err_message(&err)[0] ? err_message(&err) : rc_text(rc));
    int code = rc || show.failed ? EXIT_FAILED : 0;
    show_done(&show);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "meridian sim: cannot write: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return code;
}

static int complain(const char *what, const char *text) {
    fprintf(stderr, "meridian sim: %s \"%s\"; see meridian sim --help\n", what, text);
    return EXIT_USAGE;
}

static bool parse_seed(const char *text, uint64_t *ret) {
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno)
        return false;
    *ret = v;
    return true;
}

int main(int argc, char **argv) {
    struct scenario_conf conf = {.seed = 1};
    const char *color = "auto";
    size_t which = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--diag") == 0) {
            conf.print = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            if (!parse_seed(value, &conf.seed))
                return complain("--seed wants a number, not", value);
            i++;
        } else if (strcmp(argv[i], "--color") == 0) {
            if (strcmp(value, "auto") != 0 && strcmp(value, "always") != 0 && strcmp(value, "never") != 0)
                return complain("--color wants auto, always or never, not", value);
            color = argv[++i];
        } else if (argv[i][0] == '-') {
            return complain("there is no option", argv[i]);
        } else {
            for (which = 0; which < ARRAY_LEN(scenarios) && strcmp(scenarios[which].name, argv[i]) != 0;)
                which++;
            if (which == ARRAY_LEN(scenarios))
                return complain("there is no scenario", argv[i]);
        }
    }
    bool terminal = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    return play(which, &conf, strcmp(color, "always") == 0 || (strcmp(color, "auto") == 0 && terminal));
}
