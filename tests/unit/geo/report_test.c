/* SPDX-License-Identifier: Apache-2.0 */
/* What a run is told in, and told by: JSON read back, scenarios with the line of each error, quantiles, pages of odd results. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/report/report.h"
#include "geo-sim/scenarios/work.h"
#include "tests/lib/tap.h"

static const struct json *parse(struct arena *a, const char *text) {
    const struct json *j = NULL;
    struct err err = {0};
    return json_parse(text, strlen(text), a, &j, &err) == RC_OK ? j : NULL;
}

/* RFC 8259: what is JSON, what it holds, and what is none. */
static void json(void) {
    static const char *const bad[] = {"",       "{",           "[1,]",      "{\"a\":}", "{a:1}",      "01",    "1.",
                                      "+1",     "nul",         "\"a",       "\"\\x\"",  "\"\\u12\"",  "[1] 2", "\"\n\"",
                                      "\"\\\"", "\"\\ud800\"", "{\"a\" 1}", "-",        "\"\\u0000\""};
    struct arena a;
    char deep[200];
    arena_init(&a, 0);
    const struct json *j = parse(
        &a, " {\"n\": -12.5e1, \"t\": \"a\\\"b\\u00e9\\ud83d\\ude00\\n\", \"l\": [1, true, null, {}], \"e\": []} ");
    if (OK(j != NULL)) {
        OK(json_number(json_get(j, "n"), 0) == -125);
        EQ_STR(json_text(json_get(j, "t"), ""), "a\"b\303\251\360\237\230\200\n");
        EQ_INT(json_count(json_get(j, "l")), 4);
        OK(json_bool(json_first(json_get(j, "l"))->next, false));
        EQ_INT(json_int(json_get(j, "nothing"), 7), 7);
        EQ_STR(json_text(json_get(j, "n"), "no text"), "no text");
        OK(json_first(json_get(j, "e")) == NULL && json_get(json_get(j, "l"), "x") == NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        OKF(parse(&a, bad[i]) == NULL, "not JSON: %s", bad[i]);
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    OK(parse(&a, deep) == NULL);
    arena_done(&a);
}

static const char good_script[] =
    "format 1\ntitle T\nabout one\nabout two\ntopology three-regions\nhome us-east\nduration 20s\n"
    "clients 3\nkeys 5\nmix write 50 read 50\nat 3s kill leader\nat 5s cut us-east rest oneway\n"
    "at 6s masters us-east lie 5ms 1\nexpect gap 5s\nexpect progress\n"
    "at 7s clock us-east off -5s\nat 8s clock us-east drift -0.5ppm\n";

static void scripts(void) {
    struct script s;
    struct err err = {0};
    OK(script_parse("a/b.scenario", good_script, strlen(good_script), &s, &err) == RC_OK);
    EQ_STR(s.name, "b");
    EQ_STR(s.about, "one two");
    EQ_INT(s.steps, 5);
    EQ_INT(s.step[3].verb, SCRIPT_CLOCK_OFF);
    EQ_INT(s.step[3].lie_ns, INT64_C(-5000000000));
    EQ_INT(s.step[4].verb, SCRIPT_CLOCK_DRIFT);
    EQ_INT(s.step[4].lie_ns, -500);
    EQ_INT(s.step[1].verb, SCRIPT_LINK);
    EQ_INT(s.step[2].lie_ns, 5000000);
    EQ_INT(s.gap_ns, INT64_C(5000000000));
    static const struct {
        const char *from, *to, *says;
    } wrong[] = {
        {"format 1", "format 2", "x:1: only format 1"},
        {"clients 3", "clients many", "x:8: a number"},
        {"write 50 read 50", "write 50 read 40", "x:10: the mix is to make 100"},
        {"write 50 read 50", "write 50 scribble 50", "x:10: mix knows"},
        {"at 5s", "at 2s", "x:12: steps are to be in the order of time"},
        {"at 8s", "at 60s", "x: a step lies behind the end"},
        {"kill leader", "tickle leader", "x:11: there is no such step"},
        {"kill leader", "kill", "x:11: one SET is wanted"},
        {"lie 5ms 1", "lie 5ms", "x:13: masters REGION"},
        {"off -5s", "off", "x:16: clock REGION"},
        {"drift -0.5ppm", "drift 1", "x:17: clock REGION"},
        {"expect progress", "expect miracles", "x:15: expect gap"},
        {"title T", "tittle T", "x:2: there is no such statement"},
        {"duration 20s", "duration 2", "x:7: a duration"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[1024];
        const char *at = strstr(good_script, wrong[i].from);
        int before = at ? (int)(at - good_script) : -1;
        CHECK(before >= 0);
        snprintf(text, sizeof text, "%.*s%s%s", before, good_script, wrong[i].to,
                 good_script + (size_t)before + strlen(wrong[i].from));
        EQ_INT(script_parse("x", text, strlen(text), &s, &err), RC_INVAL);
        OKF(strncmp(err_message(&err), wrong[i].says, strlen(wrong[i].says)) == 0, "%s: %s", wrong[i].to,
            err_message(&err));
    }
    for (size_t i = 0; story_at(i); i++)
        OKF(script_parse(story_at(i)->name, (const char *)story_at(i)->text, story_at(i)->bytes, &s, &err) == RC_OK,
            "shipped: %s", story_at(i)->name);
}

static struct topo *three(void) {
    static const char text[] =
        "format 1\nregion a 1\nregion b 2\nregion c 3\nlink a b rtt 10ms\nlink a c rtt 20ms\nlink b c rtt 30ms\n";
    struct topo *t;
    CHECK(topo_parse("t", text, strlen(text), &t, NULL) == RC_OK);
    return t;
}

/* "leader" and "rest" in a step become places. */
static void statements(void) {
    struct topo *t = three();
    struct script_step s = {.arg = "cut leader rest"};
    char text[100];
    struct err err = {0};
    OK(script_statement(&s, t, 1, text, sizeof text, &err) == RC_OK);
    EQ_STR(text, "cut b a,c");
    EQ_INT(script_statement(&s, t, -1, text, sizeof text, &err), RC_NOTFOUND);
    EQ_INT(script_statement(&s, t, 1, text, 6, &err), RC_LIMIT);
    topo_free(t);
}

/* A run by hand: counted, judged, written as JSON, and made a page of. */
static void results(void) {
    struct topo *t = three();
    struct script s;
    struct results *r;
    struct work *w;
    struct err err = {0};
    struct work_plan p = {.op = WORK_WRITE, .keys = 1, .key = {1}, .writes = true, .value = {11}};
    struct work_outcome done = {.end = WORK_DONE, .ts = 100}, failed = {.end = WORK_NOT_DONE, .code = "08006"};
    const int64_t ms = 1000000, sec = 1000 * ms;
    CHECK(script_parse("x", good_script, strlen(good_script), &s, &err) == RC_OK);
    CHECK(results_new(t, s.duration_ns, &r) == RC_OK && work_new(&s, r, 0, &w) == RC_OK);
    for (int i = 1; i <= 100; i++) {
        p.value[0] = i;
        done.ts = i * 150 * ms;
        uint32_t n = work_begin(w, 1, i * 150 * ms - 50 * ms);
        work_end(w, n, 0, &p, &done, i * 150 * ms - 50 * ms, i * 150 * ms - 50 * ms + i * ms / 2);
    }
    p.value[0] = 1000;
    work_end(w, work_begin(w, 2, 16 * sec), 1, &p, &failed, 16 * sec, 17 * sec);
    EQ_INT(results_quantile(&r->region[0].latency[WORK_WRITE], 0.5), 25 * ms + ms / 2);
    EQ_INT(results_quantile(&r->region[0].latency[WORK_WRITE], 1), 50 * ms);
    EQ_INT(results_quantile(&r->region[1].latency[WORK_WRITE], 0.5), 0);
    int64_t there[6] = {5, 100, 0, 0, 0, 0};
    work_final(w, 0, there, 18 * sec, 18 * sec, 19 * sec);
    OK(r->check[0].ok); /* nothing is lost */
    there[1] = 99;
    work_final(w, 1, there, 18 * sec, 18 * sec, 19 * sec);
    OKF(!r->check[1].ok && strstr(r->check[1].text, "100 was written later"), "a lost write is found: %s",
        r->check[1].text);
    work_judge(w, 20 * sec);
    OKF(!r->check[3].ok, "and the replay sees it too: %s", r->check[3].text);
    OK(r->failed >= 2);
    results_event(r, 3 * sec, "fault", "kill \"%s\"", "x<y");
    results_clock(r, 0, sec, ms);
    results_clock(r, 0, 2 * sec, -1);
    struct buf text, page;
    struct arena a;
    buf_init(&text, 0);
    buf_init(&page, 0);
    arena_init(&a, 0);
    results_json(r, &text);
    const struct json *j = NULL;
    OKF(json_parse((const char *)text.data, text.len, &a, &j, &err) == RC_OK, "%s", err_message(&err));
    OK(!json_bool(json_get(j, "passed"), true));
    OK(report_html(j, &page, &err) == RC_OK && buf_cstr(&page) && strstr((char *)page.data, "x&lt;y"));
    OK(page.data && !strstr((char *)page.data, "nan") && !strstr((char *)page.data, "inf"));
    arena_done(&a);
    buf_done(&page);
    buf_done(&text);
    work_free(w);
    results_free(r);
    topo_free(t);
}

int main(void) {
    RUN(json);
    RUN(scripts);
    RUN(statements);
    RUN(results);
    return tap_done();
}
