/* SPDX-License-Identifier: Apache-2.0 */
/* verbs_run.c: the verbs of `meridian geo` that have to do with scenarios and their results. */
#include <stdio.h>
#include <stdlib.h>

#include "geo-sim/netns/verbs.h"
#include "geo-sim/report/report.h"

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
