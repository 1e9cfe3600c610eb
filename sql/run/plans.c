/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plans.c: the cache of plans of a store: by text, database, search path, time zone and styles (constants are computed when a
 * statement is analysed) and parameter types; for one version of the catalog. The least recently used one goes first.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/run/foreign.h"

static struct planned *entry_of(struct ilist *l) {
    return container_of(l, struct planned, lru);
}

void plans_init(struct plans *p) {
    map_init(&p->map);
    ilist_init(&p->lru);
    p->count = 0;
}

static void drop(struct plans *ps, struct planned *p) {
    map_del(&ps->map, &p->node);
    ilist_del(&p->lru);
    p->cached = false;
    ps->count--;
    planned_unref(p);
}

void plans_done(struct plans *p) {
    while (!ilist_empty(&p->lru))
        drop(p, entry_of(p->lru.next));
    map_done(&p->map);
}

struct planned *planned_ref(struct planned *p) {
    p->refs++;
    return p;
}

void planned_unref(struct planned *p) {
    if (!p || --p->refs > 0)
        return;
    plan_unref(p->plan);
    foreign_links_free(p->foreign);
    free(p->column);
    free(p);
}

/* ---- keys --------------------------------------------------------------------------------------------------------- */

static enum rc key_make(struct sess *s, const char *text, size_t bytes, const uint32_t *oid, size_t oids,
                        struct buf *to, struct err *err) {
    enum rc rc = sess_paths(s, err);
    if (rc)
        return rc;
    buf_put_u32le(to, s->database);
    buf_put_u32le(to, s->role);
    buf_put_u32le(to, (uint32_t)s->paths);
    for (size_t i = 0; i < s->paths; i++)
        buf_put_u32le(to, s->path[i]);
    buf_put_u32le(to, (uint32_t)oids);
    for (size_t i = 0; i < oids; i++)
        buf_put_u32le(to, oid[i]);
    buf_puts(to, zone_name(s->types.zone));
    buf_putc(to, 0);
    buf_putc(to, (uint8_t)(s->types.interval_style << 1 | s->types.bytea_escape));
    buf_put(to, text, bytes);
    return buf_rc(to) ? err_set(err, RC_NOMEM, "out of memory for a statement") : RC_OK;
}

static struct planned *find(struct sess_engine *e, const struct buf *key) {
    uint64_t hash = hash_bytes(key->data, key->len, 0);
    for (struct map_node *n = map_first(&e->plans.map, hash); n; n = map_next(n)) {
        struct planned *p = container_of(n, struct planned, node);
        if (p->key_bytes == key->len && memcmp(p->key, key->data, key->len) == 0)
            return p;
    }
    return NULL;
}

/* One that is good as of now, moved to the young end. */
static struct planned *find_good(struct sess *s, const struct buf *key) {
    struct planned *p = s->change ? NULL : find(s->e, key);
    if (!p || (p->catalog != cat_cache_version(s->e->catalog) &&
               !env_mutant(s->e->env, "SQL-3: plans outlive the catalog that they were made for")))
        return NULL;
    ilist_del(&p->lru);
    ilist_push_back(&s->e->plans.lru, &p->lru);
    return p;
}

bool plans_know(struct sess *s, const char *text, size_t bytes) {
    struct buf key;
    if (bytes > PLANS_TEXT_BYTES_MAX)
        return false;
    buf_init(&key, 0);
    bool known = key_make(s, text, bytes, NULL, 0, &key, NULL) == RC_OK && find_good(s, &key);
    buf_done(&key);
    return known;
}

/* ---- making ------------------------------------------------------------------------------------------------------------ */

static enum rc columns_of(struct planned *p, struct err *err) {
    size_t n = plan_columns(p->plan);
    const struct plan_column *from = plan_column(p->plan);
    p->column = calloc(n + 1, sizeof *p->column);
    if (!p->column)
        return err_set(err, RC_NOMEM, "out of memory for a plan");
    for (size_t i = 0; i < n; i++)
        p->column[i] = (struct sess_column){from[i].name, from[i].type, from[i].table_oid, from[i].attnum};
    return RC_OK;
}

static enum rc params_of(struct arena *a, const uint32_t *oid, size_t oids, struct col **ret, struct err *err) {
    enum { OID_UNKNOWN = 705 };
    struct col *c = arena_array(a, oids + 1, sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory for parameters");
    memset(c, 0, (oids + 1) * sizeof *c);
    for (size_t i = 0; i < oids; i++) {
        c[i].typmod = COL_TYPMOD_NONE;
        if (oid[i] == 0 || oid[i] == OID_UNKNOWN)
            continue;
        enum rc rc = type_from_oid(oid[i], COL_TYPMOD_NONE, &c[i], err);
        if (rc)
            return rc;
    }
    *ret = c;
    return RC_OK;
}

static enum rc make(struct sess *s, struct sess_script *script, const PgQuery__Node *node, const uint32_t *oid,
                    size_t oids, struct plan **ret, bool *ret_passing, struct err *err) {
    struct arena a;
    struct analysed analysed = {0};
    struct col *param = NULL;
    arena_init(&a, SESS_ARENA_BYTES_MAX);
    enum rc rc = params_of(&a, oid, oids, &param, err);
    if (!rc)
        rc = sess_paths(s, err);
    struct fn_env env = s->env;
    env.arena = &a;
    struct analyse_in in = {.arena = &a,
                            .catalog = &s->catalog.source,
                            .text = script->text,
                            .bytes = script->bytes,
                            .search_path = s->path,
                            .search_paths = s->paths,
                            .param = param,
                            .params = oids,
                            .env = &env,
                            .reactor = s->e->reactor};
    if (!rc) {
        rc = analyse_statement(&in, node, &analysed, err);
        *ret_passing = analysed.passing;
        if (!rc && (rc = plan_make(&a, &analysed, ret, err)) != RC_OK && err && err->position > 0)
            err_position(err, sess_position(script, err->position - 1)); /* the planner counts bytes */
    }
    arena_done(&a);
    return rc;
}

enum rc plans_get(struct sess *s, struct sess_script *script, size_t index, const PgQuery__Node *node,
                  const uint32_t *oid, size_t oids, struct planned **ret, struct err *err) {
    struct sess_engine *e = s->e;
    struct buf key;
    struct planned *p = NULL;
    /* Positions and inner statements depend on the whole text, so only a text of one statement is shared. */
    bool whole = !node && (!script->tree || script->tree->n_stmts == 1) && script->bytes <= PLANS_TEXT_BYTES_MAX;
    buf_init(&key, 0);
    enum rc rc = whole ? key_make(s, script->text, script->bytes, oid, oids, &key, err) : RC_OK;
    if (!rc && whole && (p = find_good(s, &key))) {
        counter_inc(&e->stats.plan_hits);
        *ret = planned_ref(p);
        buf_done(&key);
        return RC_OK;
    }
    if (!rc)
        rc = script_parse(s, script, err);
    if (!rc && !node)
        node = script->tree->stmts[index]->stmt;
    counter_inc(&e->stats.plan_misses);
    uint64_t version = cat_cache_version(e->catalog);
    if (!rc) {
        p = calloc(1, sizeof *p + key.len + 1);
        rc = p ? RC_OK : err_set(err, RC_NOMEM, "out of memory for a plan");
    }
    if (rc) {
        buf_done(&key);
        return rc;
    }
    p->refs = 1;
    p->catalog = version;
    p->key_bytes = key.len;
    if (key.len)
        memcpy(p->key, key.data, key.len);
    p->hash = hash_bytes(p->key, p->key_bytes, 0);
    bool passing = false;
    rc = make(s, script, node, oid, oids, &p->plan, &passing, err);
    if (!rc)
        rc = columns_of(p, err);
    if (!rc)
        rc = foreign_links_of(s, p->plan, &p->foreign, err);
    if (!rc && whole && !s->change && !passing) {
        struct planned *old = find(e, &key);
        if (old)
            drop(&e->plans, old);
        map_put(&e->plans.map, &p->node, p->hash);
        ilist_init(&p->lru);
        ilist_push_back(&e->plans.lru, &p->lru);
        p->cached = true;
        planned_ref(p);
        if (++e->plans.count > PLANS_MAX)
            drop(&e->plans, entry_of(e->plans.lru.next));
        gauge_set(&e->stats.plans, (int64_t)e->plans.count);
    }
    buf_done(&key);
    if (rc) {
        planned_unref(p);
        return rc;
    }
    *ret = p;
    return RC_OK;
}
