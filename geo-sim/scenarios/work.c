/* SPDX-License-Identifier: Apache-2.0 */
/* work.c: transactions of clients, and the verdict on them. */
#include "geo-sim/scenarios/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FINAL_SESSION = 1 << 20 };

enum rc work_new(const struct script *s, struct results *r, int64_t from_ns, struct work **ret) {
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return RC_NOMEM;
    *w = (struct work){
        .script = s, .results = r, .history = hist_new(), .all_ts = true, .from_ns = from_ns, .last_write_ns = from_ns};
    *ret = w;
    return RC_OK;
}

void work_free(struct work *w) {
    if (!w)
        return;
    hist_free(w->history);
    free(w->write);
    free(w->unknown);
    free(w);
}

/* ---- planning -------------------------------------------------------------------------------------------------------- */

static enum work_op draw(const struct script *s, struct rng *rng) {
    uint64_t at = rng_below(rng, 100);
    for (int op = 0; op < WORK_OPS; op++) {
        if (at < s->mix[op])
            return (enum work_op)op;
        at -= s->mix[op];
    }
    return WORK_READ;
}

void work_plan(struct work *w, struct rng *rng, struct work_plan *ret) {
    uint64_t keys = w->script->keys;
    struct work_plan p = {.op = draw(w->script, rng), .keys = 1};
    p.key[0] = 1 + rng_below(rng, keys);
    p.reads = p.op != WORK_WRITE;
    p.writes = p.op == WORK_WRITE || p.op == WORK_RMW || p.op == WORK_TRANSFER;
    if (keys > 1 && (p.op == WORK_TRANSFER || (p.op == WORK_READ && rng_chance(rng, 0.5)))) {
        p.keys = 2;
        p.key[1] = 1 + (p.key[0] - 1 + 1 + rng_below(rng, keys - 1)) % keys;
        if (p.key[1] < p.key[0]) {
            uint64_t k = p.key[0];
            p.key[0] = p.key[1];
            p.key[1] = k;
        }
    }
    for (unsigned i = 0; i < p.keys && p.writes; i++)
        p.value[i] = ++w->next_value;
    p.staleness_ns = p.op == WORK_STALE ? w->script->staleness_ns : 0;
    *ret = p;
}

/* ---- noting ---------------------------------------------------------------------------------------------------------- */

uint32_t work_begin(struct work *w, uint32_t client, int64_t now_ns) {
    return hist_begin(w->history, client, now_ns);
}

static void note_write(struct work *w, const struct work_write *one) {
    if (w->writes == w->write_cap) {
        w->write_cap = w->write_cap ? 2 * w->write_cap : 1024;
        w->write = realloc(w->write, w->write_cap * sizeof *w->write);
        CHECK(w->write);
    }
    w->write[w->writes++] = *one;
}

static void note_unknown(struct work *w, uint32_t t) {
    if (w->unknowns == w->unknown_cap) {
        w->unknown_cap = w->unknown_cap ? 2 * w->unknown_cap : 64;
        w->unknown = realloc(w->unknown, w->unknown_cap * sizeof *w->unknown);
        CHECK(w->unknown);
    }
    w->unknown[w->unknowns++] = t;
}

void work_resolve(struct work *w, uint32_t t, int64_t ts, int64_t now_ns) {
    for (size_t i = 0; i < w->unknowns; i++)
        if (w->unknown[i] == t) {
            w->unknown[i] = w->unknown[--w->unknowns];
            if (ts)
                hist_commit(w->history, t, ts, now_ns);
            else
                hist_abort(w->history, t, now_ns);
            return;
        }
}

static void note_gap(struct work *w, int64_t until_ns) {
    struct results *r = w->results;
    int64_t gap = until_ns - w->last_write_ns;
    if (gap > r->gap_ns) {
        r->gap_ns = gap;
        r->gap_from_ns = w->last_write_ns - w->from_ns;
    }
    if (until_ns > w->last_write_ns)
        w->last_write_ns = until_ns;
}

static int64_t last_step_ns(const struct work *w) {
    return w->from_ns + (w->script->steps ? w->script->step[w->script->steps - 1].at_ns : 0);
}

void work_end(struct work *w, uint32_t t, unsigned region, const struct work_plan *p, const struct work_outcome *o,
              int64_t begin_ns, int64_t now_ns) {
    struct history *h = w->history;
    struct results *r = w->results;
    bool done = o->end == WORK_DONE, unknown = o->end == WORK_UNKNOWN && p->writes;
    for (unsigned i = 0; i < p->keys; i++) {
        if (p->reads && done)
            hist_read(h, t, p->key[i], o->read[i]);
        if (!p->writes || (!done && !unknown))
            continue;
        hist_write(h, t, p->key[i], p->value[i]);
        struct work_write one = {p->key[i], p->value[i], begin_ns, done ? now_ns : INT64_MAX, done};
        note_write(w, &one);
    }
    if (done && p->writes)
        hist_commit(h, t, o->ts, now_ns);
    else if (done)
        hist_commit_read_only(h, t, o->ts, p->op == WORK_STALE, now_ns);
    else if (unknown)
        note_unknown(w, t);
    else
        hist_abort(h, t, now_ns);
    w->all_ts = w->all_ts && (!done || o->ts != 0);
    if (!done) {
        results_bad(r, region, p->op, now_ns - w->from_ns, o->code ? o->code : "?");
        return;
    }
    results_ok(r, region, p->op, now_ns - w->from_ns, now_ns - begin_ns, o->cause_ns);
    if (p->writes)
        note_gap(w, now_ns);
    if (begin_ns > last_step_ns(w))
        w->after_last_step[region]++;
}

void work_final(struct work *w, uint32_t client, const int64_t *value_of_key, int64_t ts, int64_t begin_ns,
                int64_t now_ns) {
    uint32_t t = hist_begin(w->history, FINAL_SESSION + client, begin_ns);
    unsigned lost = 0;
    char what[120] = "";
    for (uint64_t k = 1; k <= w->script->keys; k++) {
        int64_t there = value_of_key[k], written_end = INT64_MIN;
        hist_read(w->history, t, k, there);
        for (size_t i = 0; i < w->writes; i++)
            if (w->write[i].key == k && w->write[i].value == there)
                written_end = w->write[i].end_ns;
        for (size_t i = 0; i < w->writes; i++) {
            const struct work_write *x = &w->write[i];
            if (x->key != k || !x->known || x->value == there || x->begin_ns <= written_end)
                continue;
            if (lost++ == 0)
                snprintf(what, sizeof what, ": key %" PRIu64 " is %" PRId64 ", and %" PRId64 " was written later", k,
                         there, x->value);
        }
    }
    hist_commit_read_only(w->history, t, ts, false, now_ns);
    w->all_ts = w->all_ts && ts != 0;
    size_t known = 0;
    for (size_t i = 0; i < w->writes; i++)
        known += w->write[i].known;
    results_check(w->results, lost == 0,
                  "no acknowledged write is lost: %zu of them, held against all rows at the end%s", known, what);
}

/* The shortest round trip out of a region, as it is asked for. */
static int64_t way_out_ns(const struct topo *t, unsigned region) {
    int64_t least = INT64_MAX;
    for (unsigned a = 0; a < t->places; a++)
        for (unsigned b = 0; b < t->places; b++)
            if (t->place[a].region == region && t->place[b].region != region && topo_rtt_ns(t, a, b) < least)
                least = topo_rtt_ns(t, a, b);
    return least;
}

/* No read that leaves the region is faster than the way out and back: by the ratio, whatever the machine takes for one. */
static void judge_near(struct results *r, unsigned region) {
    struct results_samples *took = &r->region[region].latency[WORK_STALE];
    int64_t half = results_quantile(took, 0.5), out = way_out_ns(r->topo, region);
    results_check(r, took->count > 0 && half < out / 2,
                  "the past is read inside of %s: half of %zu reads took at most %.2f ms; the nearest other region is "
                  "%.0f ms away",
                  r->topo->region[region].name, took->count, (double)half / 1e6, (double)out / 1e6);
}

void work_judge(struct work *w, int64_t now_ns) {
    struct results *r = w->results;
    const struct script *s = w->script;
    struct hist_verdict v = {.anomaly = ""};
    for (size_t i = 0; i < w->unknowns; i++)
        hist_unknown(w->history, w->unknown[i]);
    bool good = hist_check_cycles(w->history, &v);
    if (good)
        results_check(r, true, "the history is strictly serializable: %zu transactions, no cycle of dependencies",
                      hist_count(w->history));
    else
        results_check(r, false, "the history is NOT strictly serializable: %s: %s", v.anomaly, v.text);
    if (w->all_ts && w->unknowns == 0) {
        good = hist_check_replay(w->history, &v);
        results_check(r, good, "replayed in the order of their timestamps, every read sees what it saw%s%s",
                      good ? "" : ": NO: ", good ? "" : v.text);
    }
    note_gap(w, now_ns);
    if (s->gap_ns)
        results_check(r, r->gap_ns <= s->gap_ns,
                      "the longest time without a write that succeeded is %.2f s (from %.1f s on); at most %.1f s",
                      (double)r->gap_ns / 1e9, (double)r->gap_from_ns / 1e9, (double)s->gap_ns / 1e9);
    for (unsigned i = 0; i < r->topo->regions && s->near_stale; i++)
        judge_near(r, i);
    for (unsigned i = 0; i < r->topo->regions && s->progress; i++)
        results_check(r, w->after_last_step[i] > 0, "clients of %s go on after the last step: %" PRIu64 " transactions",
                      r->topo->region[i].name, w->after_last_step[i]);
}
