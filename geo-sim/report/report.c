/* SPDX-License-Identifier: Apache-2.0 */
/* report.c: the page around the charts. */
#include "geo-sim/report/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "geo-sim/report/report_internal.h"

enum { PAGE_BYTES_MAX = 32 << 20 };

static const char style[] =
    ":root{--bg:#fbfaf8;--ink:#22252a;--soft:#6c727b;--faint:#a9aeb5;--line:#e4e2dd;--grid:#ecebe7;--card:#fff;--land:#"
    "d9d6cf;"
    "--good:#2a7f62;--bad:#c2453a;--goodbg:#e7f3ee;--badbg:#fbeae8;--shade:#f4dcd8;"
    "--r0:#3c6fb4;--r1:#d98032;--r2:#2f9a7a;--r3:#a8549b;--r4:#c7a128;--r5:#5d7f9e;--r6:#b85c5c;--r7:#6f8f3c;"
    "--c0:#4f7cba;--c1:#c9584d;--c2:#7fa650;--c3:#b7b2a6;--c4:#8a6d4e;--c5:#e0a33e;--c6:#8e63a6;--c7:#d48ab0;--c8:#"
    "9aa3ae;"
    "--c9:#57a3a0}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#16181c;--ink:#e7e6e3;--soft:#9aa0a8;--faint:#6a7079;--line:#2e3238;"
    "--grid:#262a2f;--card:#1d2025;--land:#3a3f46;--good:#6cc7a3;--bad:#ec8378;--goodbg:#1d332b;--badbg:#3a2321;--"
    "shade:#41282a;"
    "--r0:#7aa5e0;--r1:#eba461;--r2:#62c2a2;--r3:#cf86c4;--r4:#dfc25c;--r5:#90b0cc;--r6:#dd8f8f;--r7:#a3c26d}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.55 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\n"
    "main{max-width:1040px;margin:0 auto;padding:44px 20px 72px}h1{font-size:30px;line-height:1.2;font-weight:650;"
    "letter-spacing:-.01em;margin:2px 0 10px}h2{font-size:17px;font-weight:650;margin:0 0 2px}\n"
    ".kicker{color:var(--soft);font-size:13px;letter-spacing:.02em}.about{max-width:68ch;margin:0 0 14px}\n"
    ".meta{color:var(--soft);font-size:13px;margin:0}.meta b{color:var(--ink);font-weight:600}\n"
    ".pill{display:inline-block;border-radius:999px;padding:3px 12px;font-size:13px;font-weight:600;margin:0 0 14px}\n"
    ".pill.ok{background:var(--goodbg);color:var(--good)}.pill.no{background:var(--badbg);color:var(--bad)}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));gap:12px;margin:22px 0 0}\n"
    ".card,section{background:var(--card);border:1px solid var(--line);border-radius:10px}.card{padding:11px 12px}\n"
    ".card "
    "b{display:block;font-size:16.5px;letter-spacing:-.015em;line-height:1.45;white-space:nowrap;font-weight:620;font-"
    "variant-numeric:tabular-"
    "nums}\n"
    ".card span{color:var(--soft);font-size:12.5px}section{padding:18px 20px 14px;margin:16px 0 0}\n"
    "section p{color:var(--soft);font-size:13px;margin:0 0 "
    "10px;max-width:90ch}.note{color:var(--soft);font-style:italic}\n"
    "svg{display:block;width:100%;height:auto;overflow:visible}svg text{font:12px system-ui,'DejaVu Sans',sans-serif;"
    "fill:var(--ink)}svg .soft{fill:var(--soft)}svg .faint{fill:var(--faint)}svg .small{font-size:11px}"
    "svg .bold{font-weight:620}svg .end{text-anchor:end}svg .mid{text-anchor:middle}svg "
    ".num{font-variant-numeric:tabular-nums}"
    "svg .grid{stroke:var(--grid);stroke-width:1}svg .axis{stroke:var(--line);stroke-width:1}"
    "svg .halo{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}\n"
    "ul.checks{list-style:none;margin:6px 0 4px;padding:0}ul.checks li{padding:5px 0 5px 26px;position:relative;"
    "border-top:1px solid var(--grid);font-size:14px}ul.checks li:first-child{border-top:0}"
    "ul.checks li:before{position:absolute;left:2px;font-weight:700}li.ok:before{content:'\\2713';color:var(--good)}"
    "li.no:before{content:'\\2717';color:var(--bad)}li.no{color:var(--bad)}\n"
    "footer{color:var(--faint);font-size:12.5px;margin:22px 2px 0}\n"
    "@media print{body{background:#fff}section{break-inside:avoid}}\n";

static const char *of(const struct json *j, const char *name, const char *otherwise) {
    return json_text(json_get(j, name), otherwise);
}

void page_text(struct buf *out, const char *text) {
    for (; *text; text++) {
        const char *as = *text == '<'   ? "&lt;"
                         : *text == '>' ? "&gt;"
                         : *text == '&' ? "&amp;"
                         : *text == '"' ? "&quot;"
                                        : NULL;
        if (as)
            buf_puts(out, as);
        else
            buf_putc(out, *text);
    }
}

const char *page_ms(double ms, char to[32]) {
    if (ms >= 10000)
        snprintf(to, 32, "%.1f s", ms / 1000);
    else if (ms >= 1000)
        snprintf(to, 32, "%.2f s", ms / 1000);
    else if (ms >= 100)
        snprintf(to, 32, "%.0f ms", ms);
    else if (ms >= 10)
        snprintf(to, 32, "%.1f ms", ms);
    else if (ms >= 1)
        snprintf(to, 32, "%.2f ms", ms);
    else
        snprintf(to, 32, "%.0f \302\265s", ms * 1000);
    return to;
}

void page_init(struct page *p, const struct json *results, struct buf *out) {
    const struct json *timeline = json_get(results, "timeline");
    *p = (struct page){.results = results, .out = out};
    for (const struct json *r = json_first(json_get(results, "regions")); r && p->regions < PAGE_REGIONS_MAX;
         r = r->next) {
        struct page_region *g = &p->region[p->regions++];
        g->name = of(r, "name", "?");
        g->on_map = json_get(r, "latitude") != NULL;
        g->latitude = json_number(json_get(r, "latitude"), 0);
        g->longitude = json_number(json_get(r, "longitude"), 0);
        g->nodes = (unsigned)json_int(json_get(r, "nodes"), 1);
    }
    p->duration_s = json_number(json_get(results, "duration_s"), 1);
    p->slot_s = json_number(json_get(timeline, "slot_ms"), 1000) / 1000;
    p->duration_s = p->duration_s > 0.001 ? p->duration_s : 1;
    p->slot_s = p->slot_s > 0.001 ? p->slot_s : 1;
    double slots = ceil(p->duration_s / p->slot_s);
    p->slots = slots < 1 ? 1 : slots > 100000 ? 100000 : (unsigned)slots;
}

int page_region_of(const struct page *p, const char *name) {
    for (unsigned i = 0; i < p->regions; i++) {
        size_t n = strlen(p->region[i].name);
        if (strncmp(p->region[i].name, name, n) == 0 && (name[n] == '\0' || name[n] == '.'))
            return (int)i;
    }
    return -1;
}

/* ---- the top ---------------------------------------------------------------------------------------------------------- */

static void card(struct buf *out, const char *value, const char *what) {
    buf_printf(out, "<div class=card><b>%s</b><span>%s</span></div>\n", value, what);
}

static void put_count(double n, char to[32]) {
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%.0f", n), at = 0;
    for (int i = 0; i < len && at < 28; i++) {
        if (i && (len - i) % 3 == 0)
            to[at++] = ',';
        to[at++] = digits[i];
    }
    to[at] = '\0';
}

/* The smallest and largest median of an operation over the regions. */
static bool medians(const struct json *results, const char *op, double *ret_min, double *ret_max) {
    bool any = false;
    for (const struct json *l = json_first(json_get(results, "latency")); l; l = l->next) {
        double v = json_number(json_get(l, "p50_ms"), -1);
        if (v < 0 || strcmp(of(l, "operation", ""), op) != 0)
            continue;
        *ret_min = !any || v < *ret_min ? v : *ret_min;
        *ret_max = !any || v > *ret_max ? v : *ret_max;
        any = true;
    }
    return any;
}

static void median_card(struct page *p, const char *op, const char *what) {
    char value[80], a[32], b[32];
    double min = 0, max = 0;
    if (!medians(p->results, op, &min, &max))
        return;
    page_ms(min, a);
    page_ms(max, b);
    char *unit = strchr(a, ' ');
    if (strcmp(a, b) == 0)
        snprintf(value, sizeof value, "%s", a);
    else if (unit && strchr(b, ' ') && strcmp(unit, strchr(b, ' ')) == 0)
        snprintf(value, sizeof value, "%.*s &ndash; %s", (int)(unit - a), a, b);
    else
        snprintf(value, sizeof value, "%s &ndash; %s", a, b);
    card(p->out, value, what);
}

static void put_cards(struct page *p) {
    const struct json *j = p->results, *timeline = json_get(j, "timeline");
    char text[32];
    double ok = 0, bad = 0, half = 0;
    for (const struct json *l = json_first(json_get(j, "latency")); l; l = l->next) {
        ok += json_number(json_get(l, "count"), 0);
        bad += json_number(json_get(l, "failed"), 0);
    }
    for (const struct json *c = json_first(json_get(j, "clock")); c; c = c->next)
        half = fmax(half, json_number(json_get(c, "p50_ms"), 0));
    buf_puts(p->out, "<div class=cards>\n");
    put_count(ok + bad, text);
    card(p->out, text, "transactions");
    snprintf(text, sizeof text, "%.2f %%", ok + bad > 0 ? 100 * ok / (ok + bad) : 0);
    card(p->out, text, "of them succeeded");
    if (json_get(timeline, "longest_write_gap_ms"))
        card(p->out, page_ms(json_number(json_get(timeline, "longest_write_gap_ms"), 0), text),
             "longest time without a write");
    median_card(p, "write", "median write, by region");
    median_card(p, "stale read", "median read of the past");
    if (half > 0)
        card(p->out, page_ms(half, text), "median clock uncertainty, &plusmn;");
    buf_puts(p->out, "</div>\n");
}

static void put_top(struct page *p) {
    const struct json *j = p->results;
    struct buf *out = p->out;
    unsigned checks = 0, good = 0;
    for (const struct json *c = json_first(json_get(j, "checks")); c; c = c->next, checks++)
        good += json_bool(json_get(c, "ok"), false);
    bool passed = json_bool(json_get(j, "passed"), false);
    buf_puts(out, "<header>\n<div class=kicker>Meridian &middot; scenario ");
    page_text(out, of(j, "scenario", "?"));
    buf_puts(out, "</div>\n<h1>");
    page_text(out, of(j, "title", "A run"));
    buf_printf(out, "</h1>\n<div class=\"pill %s\">%s: %u of %u checks hold</div>\n", passed ? "ok" : "no",
               passed ? "passed" : "FAILED", good, checks);
    if (of(j, "about", "")[0]) {
        buf_puts(out, "<p class=about>");
        page_text(out, of(j, "about", ""));
        buf_puts(out, "</p>\n");
    }
    buf_puts(out, "<p class=meta>topology <b>");
    page_text(out, of(j, "topology", "?"));
    buf_puts(out, "</b> &middot; back end <b>");
    page_text(out, of(j, "backend", "?"));
    buf_printf(out, "</b> &middot; %.0f nodes, %.0f clients &middot; %.0f s", json_number(json_get(j, "nodes"), 0),
               json_number(json_get(j, "clients"), 0), p->duration_s);
    if (json_get(j, "seed"))
        buf_printf(out, " &middot; seed %.0f", json_number(json_get(j, "seed"), 0));
    double wall = json_number(json_get(j, "wall_s"), 0);
    if (wall > 0 && p->duration_s / wall > 1.5)
        buf_printf(out, " &middot; played in %.1f s, %.0f times as fast", wall, p->duration_s / wall);
    buf_puts(out, "</p>\n");
    if (of(j, "note", "")[0]) {
        buf_puts(out, "<p class=\"meta note\">");
        page_text(out, of(j, "note", ""));
        buf_puts(out, "</p>\n");
    }
    put_cards(p);
    buf_puts(out, "</header>\n");
}

/* ---- sections ----------------------------------------------------------------------------------------------------------- */

static void section(struct page *p, const char *title, const char *text, void (*chart)(struct page *p)) {
    buf_printf(p->out, "<section>\n<h2>%s</h2>\n<p>%s</p>\n", title, text);
    chart(p);
    buf_puts(p->out, "</section>\n");
}

static void put_checks(struct page *p) {
    struct buf *out = p->out;
    const struct json *errors = json_get(json_get(p->results, "timeline"), "errors");
    buf_puts(out, "<section>\n<h2>What had to hold</h2>\n<ul class=checks>\n");
    for (const struct json *c = json_first(json_get(p->results, "checks")); c; c = c->next) {
        buf_printf(out, "<li class=%s>", json_bool(json_get(c, "ok"), false) ? "ok" : "no");
        page_text(out, of(c, "text", ""));
        buf_puts(out, "</li>\n");
    }
    buf_puts(out, "</ul>\n");
    if (json_count(errors)) {
        buf_puts(out, "<p>What clients were told when something did not work: ");
        for (const struct json *e = json_first(errors); e; e = e->next) {
            page_text(out, e->name);
            buf_printf(out, " &times; %.0f%s", json_number(e, 0), e->next ? ", " : "");
        }
        buf_puts(out, "</p>\n");
    }
    buf_puts(out, "</section>\n");
}

enum rc report_html(const struct json *results, struct buf *out, struct err *err) {
    struct page p;
    page_init(&p, results, out);
    if (json_int(json_get(results, "format"), 0) != 1 || p.regions == 0)
        return err_set(err, RC_INVAL, "this is no results file of format 1");
    buf_puts(out, "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
                  "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>");
    page_text(out, of(results, "title", "A run"));
    buf_printf(out, " &middot; Meridian</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", style);
    put_top(&p);
    section(&p, "Where",
            "Regions, the round trips between them, the median write of their clients and the median read of the past; "
            "who leads at the end has a ring.",
            chart_map);
    section(&p, "What happened",
            "Transactions that succeeded, a second, stacked by the region of their client; below the line those that "
            "failed. "
            "Vertical lines are the scenario's steps; the bar underneath tells whose region led.",
            chart_timeline);
    section(&p, "How long it took",
            "By region of the client and operation: from the median over the 95th to the 99th percentile; the scale is "
            "logarithmic.",
            chart_latency);
    section(&p, "Where the time went",
            "The mean of the same operations by cause, over the critical path: what ran beside something slower is not "
            "counted.",
            chart_causes);
    section(&p, "How well the clocks knew the time",
            "Half the width of the interval clock of each region, worst of each moment. Commit wait is about twice "
            "that, and "
            "mostly hides behind the quorum. Shaded: the clock could not vouch for anything.",
            chart_clock);
    section(&p, "Round trips, asked for and measured",
            "Between places: the topology's above, the measured median below, and by how much it is off.", chart_rtt);
    put_checks(&p);
    buf_puts(out, "<footer>Made by <b>meridian geo report</b> ");
    page_text(out, of(results, "version", ""));
    buf_puts(out, " from one results file; the page needs nothing else.</footer>\n</main>\n</body>\n</html>\n");
    return buf_rc(out) ? err_set(err, buf_rc(out), "the page is too large") : RC_OK;
}

enum rc report_map_svg(const struct json *results, struct buf *out, struct err *err) {
    struct page p;
    struct buf map;
    buf_init(&map, PAGE_BYTES_MAX);
    page_init(&p, results, &map);
    if (json_int(json_get(results, "format"), 0) != 1 || p.regions == 0)
        return err_set(err, RC_INVAL, "this is no results file of format 1");
    chart_map(&p);
    const char *text = buf_cstr(&map), *body = text ? strchr(text, '\n') : NULL;
    if (body) { /* the first line is the element's own */
        buf_put(out, text, (size_t)(body - text));
        buf_printf(out, "\n<style>\n%ssvg{background:var(--card)}</style>", style);
        buf_puts(out, body);
    }
    buf_done(&map);
    return !body || buf_rc(out) ? err_set(err, RC_NOMEM, "the picture is too large") : RC_OK;
}
