/* SPDX-License-Identifier: Apache-2.0 */
/* verbs_run.c: the verbs of `meridian geo` that have to do with scenarios and their results. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "geo-sim/netns/runner.h"
#include "geo-sim/netns/verbs.h"
#include "geo-sim/report/report.h"
#include "geo-sim/scenarios/show_results.h"

enum { RESULTS_BYTES_MAX = 64 << 20 };

enum rc geo_write_report(const char *json, size_t bytes, const char *path, struct err *err) {
    const struct json *root;
    struct arena a;
    struct buf page;
    size_t n = strlen(path);
    bool map = n > 4 && strcmp(path + n - 4, ".svg") == 0;
    arena_init(&a, 0);
    buf_init(&page, RESULTS_BYTES_MAX);
    enum rc rc = json_parse(json, bytes, &a, &root, err);
    if (!rc)
        rc = map ? report_map_svg(root, &page, err) : report_html(root, &page, err);
    if (!rc)
        rc = sys_write_file(path, page.data, page.len, err);
    buf_done(&page);
    arena_done(&a);
    return rc;
}

/* RESULTS.json -> RESULTS.html, if nothing else is said. */
int geo_run_report(const struct options *o) {
    char path[SYS_PATH_BYTES];
    struct buf text;
    struct err err = {0};
    if (o->words != 1)
        return geo_misused("report wants one results file", NULL);
    size_t n = strlen(o->word[0]);
    if (n > 5 && strcmp(o->word[0] + n - 5, ".json") == 0)
        n -= 5;
    snprintf(path, sizeof path, "%.*s.html", (int)n, o->word[0]);
    const char *out = o->out ? o->out : path;
    buf_init(&text, RESULTS_BYTES_MAX);
    enum rc rc = sys_read_file(o->word[0], &text, &err);
    if (!rc)
        rc = geo_write_report((const char *)text.data, text.len, out, &err);
    buf_done(&text);
    if (rc)
        return geo_complain(&err);
    printf("%s\n", out);
    return 0;
}

static enum rc load_script(const char *name, struct script *ret, struct err *err) {
    const struct story *story = story_named(name);
    struct buf text;
    if (story)
        return script_parse(name, (const char *)story->text, story->bytes, ret, err);
    buf_init(&text, 1 << 20);
    enum rc rc = sys_read_file(name, &text, err);
    if (rc == RC_NOTFOUND)
        err_hint(err, "a file, or one of those that meridian sim --help lists");
    if (!rc)
        rc = script_parse(name, (const char *)text.data, text.len, ret, err);
    buf_done(&text);
    return rc;
}

static enum rc write_results(struct results *r, const char *path, struct err *err) {
    char page[SYS_PATH_BYTES];
    struct buf json;
    size_t n = strlen(path);
    if (n > 5 && strcmp(path + n - 5, ".json") == 0)
        n -= 5;
    snprintf(page, sizeof page, "%.*s.html", (int)n, path);
    buf_init(&json, RESULTS_BYTES_MAX);
    results_json(r, &json);
    enum rc rc = buf_rc(&json) ? err_set(err, buf_rc(&json), "the results are too large")
                               : sys_write_file(path, json.data, json.len, err);
    if (!rc)
        rc = geo_write_report((const char *)json.data, json.len, page, err);
    if (!rc)
        printf("results: %s, page: %s\n", path, page);
    buf_done(&json);
    return rc;
}

int geo_run_scenario(const struct options *o) {
    struct script script;
    struct results *r = NULL;
    struct topo *topo = NULL;
    struct show show;
    struct err err = {0};
    char *end = NULL;
    uint64_t seed = o->seed ? strtoull(o->seed, &end, 10) : 1;
    if (o->words != 1)
        return geo_misused("run wants one scenario", NULL);
    if (o->seed && (*end || end == o->seed))
        return geo_misused("--seed wants a number, not", o->seed);
    if (load_script(o->word[0], &script, &err))
        return geo_complain(&err);
    int64_t began = sys_now_ns();
    if (runner_play(o->world, &script, seed, &r, &topo, &err))
        return geo_complain(&err);
    r->wall_s = (double)(sys_now_ns() - began) / 1e9;
    show_init(&show, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
    show_results(&show, r);
    fwrite(show.out.data, 1, show.out.len, stdout);
    int code = show.failed ? EXIT_FAILED : 0;
    show_done(&show);
    if (o->out && write_results(r, o->out, &err))
        code = geo_complain(&err);
    results_free(r);
    topo_free(topo);
    return code;
}
