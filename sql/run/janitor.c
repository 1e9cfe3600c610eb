/* SPDX-License-Identifier: Apache-2.0 */
/*
 * janitor.c: tables of keys on tablets that the catalog does not name: a gateway made one early (ddl.h) and died, or could not drop it
 * again.
 *
 * Whoever changes the catalog holds its lock from its first look to the end of its transaction. So under that lock nobody is making
 * anything, and what is not named then never will be: the id is not given again. A store looks at the tablets that it leads, and
 * asks for the lock only if it finds the same table unnamed in two rounds.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "shard/node/system.h"
#include "sql/run/sess_internal.h"

#define ROUND_NS INT64_C(60000000000)
#define DROP_NS INT64_C(30000000000)
#define LOCK_WAIT_NS INT64_C(5000000000)

enum { SUSPECTS_MAX = 256 };

struct suspects {
    struct table *table[SUSPECTS_MAX];
    size_t n;
};

struct round {
    struct sess_engine *e;
    uint64_t *named; /* ascending */
    size_t n_named;
    uint64_t *id; /* of the tables of one tablet */
    struct suspects *found;
    bool any; /* there are tables that are not the system's */
};

static void forget(struct suspects *s) {
    for (size_t i = 0; i < s->n; i++)
        table_unref(s->table[i]);
    s->n = 0;
}

/* ---- what is named ------------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static enum rc list_named(struct round *r, struct err *err) {
    struct cat_view v = {r->e->catalog, NULL};
    struct cat_list l;
    size_t room = 0;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, 0, &l, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < l.n; i++)
        room += 1u + l.v[i]->table->indexes;
    free(r->named);
    r->n_named = 0;
    r->named = malloc((room + 1) * sizeof *r->named);
    if (!r->named)
        rc = err_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < l.n && !rc; i++) {
        const struct cat_table *t = l.v[i]->table;
        if (t->store)
            r->named[r->n_named++] = t->store->id;
        for (uint16_t k = 0; k < t->indexes; k++)
            if (t->index[k].kind == CAT_INDEX_GLOBAL)
                r->named[r->n_named++] = t->index[k].store->id;
    }
    if (!rc)
        qsort(r->named, r->n_named, sizeof *r->named, by_id);
    cat_list_done(&l);
    return rc;
}

static bool is_named(const struct round *r, uint64_t id) {
    return bsearch(&id, r->named, r->n_named, sizeof id, by_id) != NULL;
}

/* ---- what is there --------------------------------------------------------------------------------------------------------- */

/* Half of a tablet that was split keeps descriptors of tables whose keys are all in the other one. */
static bool has_keys(const struct mvcc *m, const struct table *t) {
    const struct mvcc_state *st = mvcc_state(m);
    struct key start = {st->start.p, st->start.n}, end = {st->end.p, st->end.n};
    struct span span;
    struct arena a;
    bool has = false;
    arena_init(&a, 0);
    if (ddl_table_span(&a, t, &span, NULL) == RC_OK)
        has = key_compare(start, span.end) < 0 && (end.bytes == 0 || key_compare(span.start, end) < 0);
    arena_done(&a);
    return has;
}

static bool has_suspect(const struct suspects *s, uint64_t id) {
    for (size_t i = 0; i < s->n; i++)
        if (s->table[i]->id == id)
            return true;
    return false;
}

static void look(void *ctx, struct tablet *t) {
    struct round *r = ctx;
    struct mvcc *m = tablet_mvcc(t);
    if (!m || !replica_leads(tablet_replica(t)))
        return;
    size_t n = mvcc_tables(m, r->id, MVCC_TABLES_MAX);
    for (size_t i = 0; i < n && r->found->n < SUSPECTS_MAX; i++) {
        if (r->id[i] < SYSTEM_FIRST_ID)
            continue;
        r->any = true;
        const struct table *x = mvcc_table(m, r->id[i]);
        if (!is_named(r, r->id[i]) && !has_suspect(r->found, r->id[i]) && has_keys(m, x))
            r->found->table[r->found->n++] = table_ref((struct table *)(uintptr_t)x);
    }
}

/* ---- dropping ---------------------------------------------------------------------------------------------------------------- */

/* Those that nobody names under the catalog's lock. */
static enum rc drop_unnamed(struct round *r, const struct suspects *s, struct err *err) {
    struct sess_engine *e = r->e;
    struct txn_options o = {.mode = TXN_READ_WRITE,
                            .deadline = reactor_deadline(e->reactor, DROP_NS),
                            .lock_wait_ns = LOCK_WAIT_NS,
                            .label = "tables without a name"};
    struct cat_change *change = NULL;
    struct txn *t = NULL;
    size_t dropped = 0;
    enum rc rc = txn_begin(e->conf.txns, &o, &t, err);
    if (!rc)
        rc = cat_change_begin(e->catalog, t, &change, err);
    if (!rc)
        rc = list_named(r, err);
    for (size_t i = 0; i < s->n && !rc; i++) {
        if (is_named(r, s->table[i]->id))
            continue;
        rc = txn_schema(t, s->table[i], true, err);
        dropped++;
    }
    if (!rc && dropped > 0)
        rc = txn_commit(t, NULL, err);
    cat_change_end(change, false); /* it has changed nothing */
    txn_free(t);
    if (!rc && dropped > 0)
        diag_info(&e->env->diag, "sql", "dropped=%zu tables that the catalog does not name, one is %" PRIu64, dropped,
                  s->table[0]->id);
    return rc;
}

/* Suspects of this round; those that were some in the last one too are dropped. */
static void one_round(struct round *r, struct suspects *last) {
    struct suspects found = {.n = 0}, both = {.n = 0};
    struct err err;
    r->found = &found;
    r->any = false;
    enum rc rc = list_named(r, &err);
    if (!rc)
        tablets_each(r->e->conf.store->tablets, look, r);
    if (found.n > 0) { /* the copy may be old */
        forget(&found);
        rc = cat_cache_refresh(r->e->catalog, reactor_deadline(r->e->reactor, DROP_NS), &err);
        if (!rc)
            rc = list_named(r, &err);
        if (!rc)
            tablets_each(r->e->conf.store->tablets, look, r);
    }
    for (size_t i = 0; i < found.n; i++)
        if (has_suspect(last, found.table[i]->id))
            both.table[both.n++] = found.table[i];
    if (!rc && both.n > 0)
        rc = drop_unnamed(r, &both, &err);
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN)
        diag_info(&r->e->env->diag, "sql", "tables that the catalog does not name could not be dropped: %s",
                  err_message(&err));
    forget(last);
    *last = found;
}

static void janitor_main(void *arg) {
    struct sess_engine *e = arg;
    struct suspects last = {.n = 0};
    struct round r = {.e = e, .id = calloc(MVCC_TABLES_MAX, sizeof *r.id)};
    while (r.id && fiber_sleep(e->reactor, ROUND_NS + (int64_t)(env_random(e->env) % (ROUND_NS / 8))) == RC_OK)
        if (e->conf.store->tablets && !env_mutant(e->env, "SQL-6: nobody looks for tables without a name"))
            one_round(&r, &last);
    forget(&last);
    free(r.named);
    free(r.id);
}

enum rc janitor_start(struct sess_engine *e) {
    return fiber_spawn(e->reactor, NULL, FIBER_LARGE, "sql janitor", janitor_main, e);
}
