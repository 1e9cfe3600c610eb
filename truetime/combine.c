/* SPDX-License-Identifier: Apache-2.0 */
/*
 * combine.c: sorts the 2 n edges and walks over them, counting how many intervals are open.
 *
 *     a      |-----------|                    n = 3, f = 1: the hull of what two cover
 *     b           |-----------|
 *     c                    |-----------|
 *     two         |------| |--|               between the two stretches only one covers: true time may still be
 *     result      |-----------|               there if f masters lie, so the hull includes it
 */
#include "truetime/combine.h"

struct edge {
    int64_t at;
    int step; /* +1 where an interval begins, -1 where it ends */
};

/* At the same point beginnings come first: the ends are part of their intervals. */
static bool edge_before(struct edge a, struct edge b) {
    return a.at < b.at || (a.at == b.at && a.step > b.step);
}

/* Insertion: at most 32 edges. */
static void edge_insert(struct edge *edges, unsigned count, struct edge e) {
    unsigned i = count;
    for (; i > 0 && edge_before(e, edges[i - 1]); i--)
        edges[i] = edges[i - 1];
    edges[i] = e;
}

static unsigned most_covered(const struct edge *edges, unsigned count) {
    int open = 0, most = 0;
    for (unsigned i = 0; i < count; i++) {
        open += edges[i].step;
        most = open > most ? open : most;
    }
    return (unsigned)most;
}

enum tt_combined tt_combine(const tt_interval *iv, unsigned count, unsigned n, unsigned f, struct chaos *chaos,
                            tt_interval *ret_fix, bool *ret_outside) {
    struct edge edges[2 * TT_SOURCES_MAX];
    unsigned edge_count = 0, need = count - f, most;
    int open = 0;
    bool found = false;
    tt_interval fix = {0, 0};
    CHECK(count <= n && n <= TT_SOURCES_MAX && f < n);
    if (count < n - f || count <= f)
        return TT_NO_QUORUM;
    if (chaos_mutant(chaos, "combine-silent"))
        need = n - f;
    for (unsigned i = 0; i < count; i++) {
        CHECK(iv[i].earliest <= iv[i].latest);
        edge_insert(edges, edge_count++, (struct edge){iv[i].earliest, 1});
        edge_insert(edges, edge_count++, (struct edge){iv[i].latest, -1});
    }
    most = most_covered(edges, edge_count);
    if (most < need)
        return TT_DISAGREE;
    if (chaos_mutant(chaos, "combine-max-overlap"))
        need = most;
    for (unsigned i = 0; i < edge_count; i++) {
        CHECK(i == 0 || edges[i - 1].at <= edges[i].at);
        open += edges[i].step;
        if (edges[i].step > 0 && open == (int)need && !found) {
            fix.earliest = edges[i].at;
            found = true;
        } else if (edges[i].step < 0 && open == (int)need - 1) {
            fix.latest = edges[i].at;
        }
    }
    CHECK(open == 0 && found);
    CHECK(fix.earliest <= fix.latest);
    for (unsigned i = 0; i < count && ret_outside; i++)
        ret_outside[i] = tt_disjoint(iv[i], fix);
    *ret_fix = fix;
    return TT_COMBINED;
}
