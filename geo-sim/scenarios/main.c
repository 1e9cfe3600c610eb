/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: the program `meridian-sim` (`meridian sim`): plays scenarios. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "geo-sim/report/report.h"
#include "geo-sim/scenarios/play.h"
#include "geo-sim/scenarios/scenario.h"
#include "geo-sim/scenarios/show_results.h"
#include "geo-sim/topology/worlds.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, FILE_BYTES_MAX = 64 << 20 };

static const struct {
    const char *name, *help;
    scenario_fn *run;
} scenarios[] = {
    {"wan", "three regions: round trips, commit wait, clocks; a cut, a kill, a power loss", scenario_wan},
    {"register", "three continents: a replicated register, its leader killed, a planned hand-over", scenario_register},
};

static void print_help(FILE *to) {
    fprintf(to, "meridian sim: a simulated cluster in virtual time\n\n"
                "usage: meridian sim [SCENARIO] [--seed N] [--diag] [--color auto|always|never]\n"
                "                    [--topology NAME|FILE] [--out FILE] [--html FILE]      (of those with clients)\n\n"
                "  --seed N        another world (default 1); the same seed is the same world, event by event\n"
                "  --diag          the nodes' diagnostics on standard error, with their virtual time\n"
                "  --topology T    other regions than the scenario's own\n"
                "  --out FILE      the results as JSON; --html FILE: as a page (also: meridian geo report)\n\n"
                "scenarios (without one: the first; or a FILE.scenario):\n");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        fprintf(to, "  %-20s %s\n", scenarios[i].name, scenarios[i].help);
    fprintf(to, "with clients that read and write rows, and a verdict on all that they saw:\n");
    for (size_t i = 0; story_at(i); i++) {
        struct script script;
        struct err err = {0};
        const struct story *story = story_at(i);
        if (script_parse(story->name, (const char *)story->text, story->bytes, &script, &err) == RC_OK)
            fprintf(to, "  %-20s %s\n", story->name, script.title);
    }
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

/* ---- scenarios with clients ---------------------------------------------------------------------------------------------- */

struct files {
    const char *topology, *out, *html;
};

static enum rc read_file(const char *path, struct buf *to, struct err *err) {
    char some[65536];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(err, errno, "open %s", path);
    while ((n = fread(some, 1, sizeof some, f)) > 0)
        buf_put(to, some, n);
    bool failed = ferror(f) != 0;
    fclose(f);
    return failed       ? err_set(err, RC_IO, "read %s", path)
           : buf_rc(to) ? err_set(err, buf_rc(to), "%s is too large", path)
                        : RC_OK;
}

static enum rc write_file(const char *path, const struct buf *b, struct err *err) {
    FILE *f = fopen(path, "we");
    if (!f)
        return err_errno(err, errno, "open %s", path);
    bool good = fwrite(b->data, 1, b->len, f) == b->len;
    good = fclose(f) == 0 && good;
    return good ? RC_OK : err_set(err, RC_IO, "write %s", path);
}

static enum rc load_script(const char *name, struct script *ret, struct err *err) {
    const struct story *story = story_named(name);
    struct buf text;
    if (story)
        return script_parse(name, (const char *)story->text, story->bytes, ret, err);
    buf_init(&text, 1 << 20);
    enum rc rc = read_file(name, &text, err);
    if (!rc)
        rc = script_parse(name, (const char *)text.data, text.len, ret, err);
    buf_done(&text);
    return rc;
}

static enum rc load_topology(const char *name, struct topo **ret, struct err *err) {
    const struct topo_world *world = topo_world_named(name);
    struct buf text;
    if (world)
        return topo_parse(name, (const char *)world->text, world->bytes, ret, err);
    buf_init(&text, TOPO_TEXT_BYTES_MAX);
    enum rc rc = read_file(name, &text, err);
    if (!rc)
        rc = topo_parse(name, (const char *)text.data, text.len, ret, err);
    buf_done(&text);
    return rc;
}

static enum rc write_results(struct results *r, const struct files *files, struct err *err) {
    struct buf json, page;
    struct arena a;
    const struct json *root;
    buf_init(&json, FILE_BYTES_MAX);
    buf_init(&page, FILE_BYTES_MAX);
    arena_init(&a, 0);
    results_json(r, &json);
    enum rc rc = buf_rc(&json) ? err_set(err, buf_rc(&json), "the results are too large") : RC_OK;
    if (!rc && files->out)
        rc = write_file(files->out, &json, err);
    if (!rc && files->html) {
        rc = json_parse((const char *)json.data, json.len, &a, &root, err);
        if (!rc)
            rc = report_html(root, &page, err);
        if (!rc)
            rc = write_file(files->html, &page, err);
    }
    arena_done(&a);
    buf_done(&page);
    buf_done(&json);
    return rc;
}

static int play_story(const char *name, const struct scenario_conf *conf, const struct files *files, bool color) {
    struct script script;
    struct topo *topo = NULL;
    struct results *r = NULL;
    struct play_stats stats = {0};
    struct err err = {0};
    struct show show;
    enum rc rc = load_script(name, &script, &err);
    const char *world = files->topology ? files->topology : script.topology;
    if (!rc)
        rc = load_topology(world, &topo, &err);
    if (rc) {
        fprintf(stderr, "meridian sim: %s\n", err_message(&err));
        return EXIT_USAGE;
    }
    struct play_conf play = {.script = &script,
                             .topo = topo,
                             .seed = conf->seed,
                             .print = conf->print,
                             .topology_name = world,
                             .mutant = getenv("SIM_MUTANT")};
    double began = now_s();
    rc = play_script(&play, &r, &stats, &err);
    int code = EXIT_FAILED;
    if (!rc) {
        r->wall_s = now_s() - began;
        struct scenario_result result = {stats.virtual_ns, stats.events, stats.trace};
        show_init(&show, color);
        show_results(&show, r);
        report_run(&show, &result, name, conf->seed, r->wall_s);
        fwrite(show.out.data, 1, show.out.len, stdout);
        code = show.failed || fflush(stdout) ? EXIT_FAILED : 0;
        show_done(&show);
        rc = write_results(r, files, &err);
    }
    if (rc)
        fprintf(stderr, "meridian sim: %s: %s\n", name, err_message(&err));
    results_free(r);
    topo_free(topo);
    return rc ? EXIT_FAILED : code;
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
    struct files files = {NULL, NULL, NULL};
    const char *color = "auto", *story = NULL;
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
        } else if (value[0] && (strcmp(argv[i], "--topology") == 0 || strcmp(argv[i], "--out") == 0 ||
                                strcmp(argv[i], "--html") == 0)) {
            *(argv[i][2] == 't' ? &files.topology : argv[i][2] == 'o' ? &files.out : &files.html) = value;
            i++;
        } else if (argv[i][0] == '-') {
            return complain("there is no option", argv[i]);
        } else {
            for (which = 0; which < ARRAY_LEN(scenarios) && strcmp(scenarios[which].name, argv[i]) != 0;)
                which++;
            if (which < ARRAY_LEN(scenarios))
                continue;
            if (!story_named(argv[i]) && !strstr(argv[i], ".scenario"))
                return complain("there is no scenario", argv[i]);
            story = argv[i];
        }
    }
    bool terminal = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    bool colored = strcmp(color, "always") == 0 || (strcmp(color, "auto") == 0 && terminal);
    return story ? play_story(story, &conf, &files, colored) : play(which, &conf, colored);
}
