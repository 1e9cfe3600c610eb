/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sqlorphans.h"

#include <stdlib.h>

#include "shard/node/system.h"
#include "shard/store/span.h"
#include "tests/lib/tap.h"

static const int64_t SECOND = 1000000000;

enum { PATIENCE_S = 240, TABLES_MAX = 4000 };

void sqlorphans_known(struct sqlorphans *o, struct sqlclient *c) {
    o->n_named = 0;
    if (!sqlclient_must(c, "SELECT rows_id FROM meridian.tables UNION ALL SELECT rows_id FROM meridian.indexes"))
        return;
    CHECK(sqlclient_rows(c) <= SQLORPHANS_MAX);
    for (size_t i = 0; i < sqlclient_rows(c); i++)
        o->named[o->n_named++] = (uint64_t)sqlclient_int(c, i, 0);
}

/* A half of a tablet that was split keeps descriptors of tables whose keys are in the other half: nobody asks it for them. */
static bool has_keys(const struct mvcc *m, const struct table *t) {
    const struct mvcc_state *st = mvcc_state(m);
    struct span span;
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 0);
    CHECK(table_key_put(&b, t, NULL, 0, NULL) == RC_OK && span_prefix(&a, key_of_buf(&b), &span) == RC_OK);
    struct key start = {st->start.p, st->start.n}, end = {st->end.p, st->end.n};
    bool has = key_compare(start, span.end) < 0 && (end.bytes == 0 || key_compare(span.start, end) < 0);
    buf_done(&b);
    arena_done(&a);
    return has;
}

static bool is_named(const struct sqlorphans *o, uint64_t id) {
    for (size_t i = 0; i < o->n_named; i++)
        if (o->named[i] == id)
            return true;
    return false;
}

static void look_at(void *ctx, struct tablet *t) {
    struct sqlorphans *o = ctx;
    const struct mvcc *m = tablet_mvcc(t);
    uint64_t *ids = calloc(TABLES_MAX, sizeof *ids);
    CHECK(ids);
    size_t n = m ? mvcc_tables(m, ids, TABLES_MAX) : 0;
    for (size_t i = 0; i < n && i < TABLES_MAX; i++) {
        if (ids[i] < SYSTEM_FIRST_ID || is_named(o, ids[i]) || !has_keys(m, mvcc_table(m, ids[i])))
            continue;
        o->found = ids[i];
        o->count++;
        if (o->print)
            tap_diag("tablet %llu: table %llu of %u columns, since %.6f s", (unsigned long long)mvcc_state(m)->tablet,
                     (unsigned long long)ids[i], mvcc_table(m, ids[i])->n_cols,
                     (double)(mvcc_table(m, ids[i])->since - SIM_EPOCH_NS) / 1e9);
    }
    free(ids);
}

static size_t look(struct sqlorphans *o, struct sqlworld *w, bool print) {
    o->count = 0;
    o->print = print;
    for (int i = 1; i <= w->conf.nodes; i++)
        for (uint16_t s = 0; w->n[i].node && s < w->n[i].conf.stores; s++)
            tablets_each(node_store(w->n[i].node, s)->tablets, look_at, o);
    return o->count;
}

void sqlorphans_check(struct sqlorphans *o, struct sqlworld *w) {
    if (w->broken[0])
        return;
    for (int i = 0; i < PATIENCE_S && look(o, w, false) > 0; i++)
        sim_run(w->sim, sim_now(w->sim) + SECOND);
    size_t n = look(o, w, true);
    if (n > 0)
        sqlworld_broke(w, "%zu tables on tablets that the catalog does not name; one is %llu", n,
                       (unsigned long long)o->found);
}
