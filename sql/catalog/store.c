/* SPDX-License-Identifier: Apache-2.0 */
/* store.c: see store.h. Objects are found by id and by a hash of where they are and what they are called. */
#include "sql/catalog/store.h"

#include <stdlib.h>
#include <string.h>

#include "shard/node/system.h"
#include "shard/store/rowbatch.h"
#include "shard/store/span.h"
#include "sql/catalog/store_internal.h"

enum { ROW_VALUES = 7, REFRESH_TRIES = 8, IDS_AT_ONCE = 64 };

#define REFRESH_NS INT64_C(10000000000)

static const char objects_sql[] = "SELECT c1, c2, c3, c4, c5, c6, c7 FROM {10} WHERE c6 > ?1 OR c1 = 0";

/* ---- entries ---------------------------------------------------------------------------------------------------------- */

static uint64_t id_hash(uint32_t id) {
    return hash_u64(id);
}

/* Tables and sequences share their names. */
static uint64_t name_hash(uint8_t kind, uint32_t database, uint32_t schema, const char *name) {
    uint64_t space = kind == CAT_OBJECT_SEQUENCE ? CAT_OBJECT_TABLE : kind;
    return hash_str(name, hash_u64(space << 56 ^ (uint64_t)database << 28 ^ schema));
}

static void entry_unlink(struct cat_cache *c, struct entry *e) {
    map_del(&c->by_id, &e->by_id);
    if (!e->o->dropped)
        map_del(&c->by_name, &e->by_name);
}

static void entry_link(struct cat_cache *c, struct entry *e) {
    map_put(&c->by_id, &e->by_id, id_hash(e->o->id));
    if (!e->o->dropped)
        map_put(&c->by_name, &e->by_name, name_hash(e->o->kind, e->o->database, e->o->schema, e->o->name));
}

static struct entry *entry_find(const struct cat_cache *c, uint32_t id) {
    for (struct map_node *n = map_first(&c->by_id, id_hash(id)); n; n = map_next(n)) {
        struct entry *e = container_of(n, struct entry, by_id);
        if (e->o->id == id)
            return e;
    }
    return NULL;
}

/* Takes o. */
static enum rc cache_put(struct cat_cache *c, struct cat_object *o) {
    struct entry *e = entry_find(c, o->id);
    if (e) {
        entry_unlink(c, e);
        cat_object_unref(e->o);
    } else {
        e = malloc(sizeof *e);
        if (!e) {
            cat_object_unref(o);
            return RC_NOMEM;
        }
    }
    e->o = o;
    entry_link(c, e);
    return RC_OK;
}

/* ---- the copy ----------------------------------------------------------------------------------------------------------- */

enum rc cat_cache_new(struct node_store *s, struct txn_client *txns, struct cat_cache **ret, struct err *err) {
    struct cat_cache *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory for the catalog");
    c->store = s;
    c->txns = txns;
    map_init(&c->by_id);
    map_init(&c->by_name);
    map_init(&c->blocks);
    enum rc rc = system_table(SYSTEM_OBJECTS, &c->objects, err);
    if (!rc)
        rc = system_table(SYSTEM_SEQUENCES, &c->sequences, err);
    if (rc) {
        cat_cache_free(c);
        return rc;
    }
    *ret = c;
    return RC_OK;
}

void cat_cache_free(struct cat_cache *c) {
    if (!c)
        return;
    map_for_each(it, &c->by_id) {
        struct entry *e = container_of(it, struct entry, by_id);
        entry_unlink(c, e);
        cat_object_unref(e->o);
        free(e);
    }
    map_for_each(it, &c->blocks) {
        map_del(&c->blocks, it);
        free(container_of(it, struct block, node));
    }
    map_done(&c->by_id);
    map_done(&c->by_name);
    map_done(&c->blocks);
    table_unref(c->objects);
    table_unref(c->sequences);
    free(c);
}

uint64_t cat_cache_version(const struct cat_cache *c) {
    return c->version;
}

/* ---- reading system tables ------------------------------------------------------------------------------------------------ */

/* Runs a fragment over one system table; on_row gets each row. key NULL: all of the table. */
enum rc cat_system_scan(struct cat_cache *c, struct txn *t, struct table *table, const char *sql,
                        const struct value *params, uint16_t n_params, const struct value *key, enum lock_mode lock,
                        enum rc (*on_row)(void *ctx, const struct value *v, uint16_t n, struct err *err), void *ctx,
                        struct err *err) {
    struct fragment f = {.id = hash_str(sql, 10), .sql = sql, .n_params = n_params, .simple = true};
    struct txn_table version = {table->id, table->version};
    struct txn_scan *scan = NULL;
    struct span span;
    struct arena a;
    struct buf b;
    (void)c;
    arena_init(&a, 0);
    buf_init(&b, 0);
    enum rc rc = table_key_put(&b, table, key, key ? 1 : 0, err);
    if (!rc)
        rc = key ? span_point(&a, key_of_buf(&b), &span) : span_prefix(&a, key_of_buf(&b), &span);
    if (!rc) {
        struct txn_scan_conf how = {.fragment = &f,
                                    .params = params,
                                    .tables = &version,
                                    .n_tables = 1,
                                    .spans = &span,
                                    .n_spans = 1,
                                    .lock = lock};
        rc = txn_scan_open(t, &how, &scan, err);
    }
    while (!rc) {
        struct txn_batch batch;
        struct rowbatch_reader r;
        struct value v[ROW_VALUES];
        rc = txn_scan_next(scan, &batch, err);
        if (rc || batch.end)
            break;
        rc = rowbatch_open(&r, batch.rows.p, batch.rows.n, err);
        if (!rc && r.n_cols > ROW_VALUES)
            rc = err_set(err, RC_CORRUPT, "a system table's row of %u values", r.n_cols);
        while (!rc && !(rc = rowbatch_next(&r, v, err)))
            rc = on_row(ctx, v, r.n_cols, err);
        if (rc == RC_NOTFOUND)
            rc = RC_OK;
    }
    txn_scan_close(scan);
    buf_done(&b);
    arena_done(&a);
    return rc;
}

struct load {
    struct cat_object **v;
    size_t n, cap;
    uint64_t version;
};

static void load_done(struct load *l) {
    for (size_t i = 0; i < l->n; i++)
        cat_object_unref(l->v[i]);
    free(l->v);
}

static enum rc load_row(void *ctx, const struct value *v, uint16_t n, struct err *err) {
    static const enum value_kind kinds[ROW_VALUES] = {VALUE_INT,  VALUE_INT, VALUE_INT, VALUE_INT,
                                                      VALUE_TEXT, VALUE_INT, VALUE_BLOB};
    struct load *l = ctx;
    struct cat_object head = {0};
    if (n != ROW_VALUES)
        return err_set(err, RC_CORRUPT, "a row of system.objects has %u values", n);
    for (uint16_t i = 0; i < n; i++)
        if (v[i].kind != kinds[i])
            return err_set(err, RC_CORRUPT, "value %u of a row of system.objects is not what it should be", i);
    if (v[0].i < 0 || v[0].i > UINT32_MAX || v[1].i < 0 || v[1].i >= CAT_OBJECT_KINDS || v[2].i < 0 ||
        v[2].i > UINT32_MAX || v[3].i < 0 || v[3].i > UINT32_MAX || v[4].bytes > CAT_NAME_BYTES_MAX || v[5].i < 0)
        return err_set(err, RC_CORRUPT, "a row of system.objects is out of range");
    if (v[0].i == 0) {
        l->version = (uint64_t)v[5].i;
        return RC_OK;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct cat_object **grown = cap <= CAT_OBJECTS_MAX ? realloc(l->v, cap * sizeof(struct cat_object *)) : NULL;
        if (!grown)
            return err_set(err, RC_NOMEM, "out of memory for the catalog");
        l->v = grown;
        l->cap = cap;
    }
    head.id = (uint32_t)v[0].i;
    head.kind = (uint8_t)v[1].i;
    head.database = (uint32_t)v[2].i;
    head.schema = (uint32_t)v[3].i;
    memcpy(head.name, v[4].p, v[4].bytes);
    head.changed = (uint64_t)v[5].i;
    enum rc rc = cat_object_decode(&head, v[6].p, v[6].bytes, &l->v[l->n], err);
    if (!rc)
        l->n++;
    return rc;
}

/* What t sees that is newer than the copy. */
static enum rc load(struct cat_cache *c, struct txn *t, enum lock_mode lock, struct load *l, struct err *err) {
    struct value known = value_int((int64_t)c->version);
    *l = (struct load){0};
    enum rc rc = cat_system_scan(c, t, c->objects, objects_sql, &known, 1, NULL, lock, load_row, l, err);
    if (rc) {
        load_done(l);
        *l = (struct load){0};
    }
    return rc;
}

/* Takes what was loaded; the copy may have gone on meanwhile, and then only newer objects count. */
static enum rc learn(struct cat_cache *c, struct load *l, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < l->n && !rc; i++) {
        struct entry *e = entry_find(c, l->v[i]->id);
        if (e && e->o->changed >= l->v[i]->changed)
            continue;
        rc = cache_put(c, l->v[i]);
        l->v[i] = NULL;
    }
    if (!rc && l->version > c->version)
        c->version = l->version;
    load_done(l);
    return rc ? err_set(err, rc, "out of memory for the catalog") : RC_OK;
}

enum rc cat_cache_refresh(struct cat_cache *c, int64_t deadline, struct err *err) {
    for (int tries = 0;; tries++) {
        struct txn_options o = {.mode = TXN_READ_STRONG, .deadline = deadline, .single = true, .label = "catalog"};
        struct txn *t = NULL;
        struct load l = {0};
        enum rc rc = txn_begin(c->txns, &o, &t, err);
        if (!rc)
            rc = load(c, t, LOCK_NONE, &l, err);
        txn_free(t);
        if (!rc)
            rc = learn(c, &l, err);
        if (!rc && c->version == 0)
            rc = cat_bootstrap(c, deadline, err);
        else if (!rc)
            return RC_OK;
        if (rc && (rc_retry(rc) != RETRY_YES || tries == REFRESH_TRIES))
            return err ? err_wrap(err, "reading the catalog"), rc : rc;
    }
}

/* ---- changes ---------------------------------------------------------------------------------------------------------------- */

enum rc cat_change_begin(struct cat_cache *c, struct txn *t, struct cat_change **ret, struct err *err) {
    struct cat_change *ch = calloc(1, sizeof *ch);
    struct load l;
    if (!ch)
        return err_set(err, RC_NOMEM, "out of memory for a change of the catalog");
    ch->cache = c;
    ch->txn = t;
    enum rc rc = load(c, t, LOCK_UPDATE, &l, err);
    if (!rc) {
        ch->base = l.version;
        rc = learn(c, &l, err);
    }
    if (rc) {
        free(ch);
        return rc;
    }
    *ret = ch;
    return RC_OK;
}

static enum rc write_row(struct cat_change *ch, const struct cat_object *o, struct err *err) {
    struct buf body;
    buf_init(&body, CAT_OBJECT_BYTES_MAX);
    cat_object_encode(o, &body);
    if (buf_rc(&body)) {
        enum rc rc = err_set(err, buf_rc(&body) == RC_LIMIT ? RC_LIMIT : RC_NOMEM,
                             "\"%s\" is too large for the catalog", o->name);
        buf_done(&body);
        return rc;
    }
    struct value v[ROW_VALUES] = {value_int(o->id),
                                  value_int(o->kind),
                                  value_int(o->database),
                                  value_int(o->schema),
                                  value_text(o->name, strlen(o->name)),
                                  value_int((int64_t)o->changed),
                                  value_blob(body.data, body.len)};
    struct txn_write w = {.kind = TXN_PUT, .table = ch->cache->objects, .values = v, .n = ROW_VALUES};
    enum rc rc = txn_write(ch->txn, &w, 1, NULL, err);
    buf_done(&body);
    return rc;
}

enum rc cat_change_put(struct cat_change *ch, const struct cat_object *from, struct err *err) {
    struct cat_object *o;
    if (ch->n == CAT_CHANGES_MAX)
        return err_set(err, RC_LIMIT, "a transaction can make at most %d changes of the catalog", CAT_CHANGES_MAX);
    if (ch->n == ch->cap) {
        size_t cap = ch->cap ? ch->cap * 2 : 8;
        struct cat_object **grown = realloc(ch->v, cap * sizeof(struct cat_object *));
        if (!grown)
            return err_set(err, RC_NOMEM, "out of memory for a change of the catalog");
        ch->v = grown;
        ch->cap = cap;
    }
    enum rc rc = cat_object_new(from, &o, err);
    if (rc)
        return rc;
    o->changed = ch->base + 1;
    rc = write_row(ch, o, err);
    if (!rc) {
        struct cat_object version = {.changed = ch->base + 1};
        rc = write_row(ch, &version, err);
    }
    if (rc) {
        cat_object_unref(o);
        return rc;
    }
    ch->v[ch->n++] = o;
    return RC_OK;
}

enum rc cat_change_id(struct cat_change *ch, uint32_t *ret, struct err *err) {
    struct cat_cache *c = ch->cache;
    if (c->ids == 0) {
        uint64_t first;
        enum rc rc = directory_next(c->store->directory, "object", IDS_AT_ONCE,
                                    reactor_deadline(c->store->reactor, REFRESH_NS), &first, err);
        if (rc)
            return rc;
        if (first < CAT_ID_USER || first > UINT32_MAX - IDS_AT_ONCE)
            return err_set(err, RC_LIMIT, "no more numbers for objects");
        c->next_id = (uint32_t)first;
        c->ids = IDS_AT_ONCE;
    }
    c->ids--;
    *ret = c->next_id++;
    return RC_OK;
}

size_t cat_change_size(const struct cat_change *ch) {
    return ch ? ch->n : 0;
}

const struct cat_object *cat_change_at(const struct cat_change *ch, size_t i) {
    CHECK(i < ch->n);
    return ch->v[i];
}

void cat_change_cut(struct cat_change *ch, size_t size) {
    while (ch && ch->n > size)
        cat_object_unref(ch->v[--ch->n]);
}

void cat_change_end(struct cat_change *ch, bool committed) {
    if (!ch)
        return;
    struct cat_cache *c = ch->cache;
    /* Nobody else can have written version base + 1. A copy that is behind reads it as everybody does. */
    bool whole = committed && ch->n > 0 && c->version == ch->base;
    for (size_t i = 0; i < ch->n; i++) {
        if (whole && cache_put(c, ch->v[i]) == RC_OK)
            continue;
        if (!whole)
            cat_object_unref(ch->v[i]);
        whole = false;
    }
    if (whole)
        c->version = ch->base + 1;
    free(ch->v);
    free(ch);
}

/* ---- looking up --------------------------------------------------------------------------------------------------------------- */

/* The newest change of an object, or NULL. */
static const struct cat_object *changed(const struct cat_view *v, uint32_t id) {
    for (size_t i = v->change ? v->change->n : 0; i > 0; i--)
        if (v->change->v[i - 1]->id == id)
            return v->change->v[i - 1];
    return NULL;
}

const struct cat_object *cat_view_get(const struct cat_view *v, uint32_t id) {
    const struct cat_object *o = changed(v, id);
    if (!o) {
        const struct entry *e = entry_find(v->cache, id);
        o = e ? e->o : NULL;
    }
    return o && !o->dropped ? o : NULL;
}

static bool is_named(const struct cat_object *o, uint8_t kind, uint32_t database, uint32_t schema, const char *name) {
    uint8_t space = o->kind == CAT_OBJECT_SEQUENCE ? CAT_OBJECT_TABLE : o->kind;
    return space == kind && o->database == database && o->schema == schema && strcmp(o->name, name) == 0;
}

static const struct cat_object *find(const struct cat_view *v, uint8_t kind, uint32_t database, uint32_t schema,
                                     const char *name) {
    for (size_t i = v->change ? v->change->n : 0; i > 0; i--) {
        const struct cat_object *o = v->change->v[i - 1];
        if (!o->dropped && is_named(o, kind, database, schema, name) && changed(v, o->id) == o)
            return o;
    }
    for (struct map_node *n = map_first(&v->cache->by_name, name_hash(kind, database, schema, name)); n;
         n = map_next(n)) {
        const struct cat_object *o = container_of(n, struct entry, by_name)->o;
        if (is_named(o, kind, database, schema, name) && !changed(v, o->id))
            return o;
    }
    return NULL;
}

const struct cat_object *cat_view_database(const struct cat_view *v, const char *name) {
    return find(v, CAT_OBJECT_DATABASE, 0, 0, name);
}

const struct cat_object *cat_view_role(const struct cat_view *v, const char *name) {
    return find(v, CAT_OBJECT_ROLE, 0, 0, name);
}

const struct cat_object *cat_view_schema(const struct cat_view *v, uint32_t database, const char *name) {
    return find(v, CAT_OBJECT_SCHEMA, database, 0, name);
}

const struct cat_object *cat_view_relation(const struct cat_view *v, uint32_t schema, const char *name) {
    const struct cat_object *s = cat_view_get(v, schema);
    return s ? find(v, CAT_OBJECT_TABLE, s->database, schema, name) : NULL;
}

static bool has_index(const struct cat_object *o, uint32_t schema, const char *name, uint32_t id, uint16_t *ret) {
    if (o->kind != CAT_OBJECT_TABLE || o->dropped || (name && o->schema != schema))
        return false;
    for (uint16_t i = 0; i < o->table->indexes; i++)
        if (name ? strcmp(o->table->index[i].name, name) == 0 : o->table->index[i].id == id) {
            *ret = i;
            return true;
        }
    return false;
}

static const struct cat_object *find_index(const struct cat_view *v, uint32_t schema, const char *name, uint32_t id,
                                           uint16_t *ret) {
    for (size_t i = v->change ? v->change->n : 0; i > 0; i--) {
        const struct cat_object *o = v->change->v[i - 1];
        if (has_index(o, schema, name, id, ret) && changed(v, o->id) == o)
            return o;
    }
    map_for_each(it, &v->cache->by_id) {
        const struct cat_object *o = container_of(it, struct entry, by_id)->o;
        if (has_index(o, schema, name, id, ret) && !changed(v, o->id))
            return o;
    }
    return NULL;
}

const struct cat_object *cat_view_index(const struct cat_view *v, uint32_t schema, const char *name, uint16_t *ret) {
    return find_index(v, schema, name, 0, ret);
}

const struct cat_object *cat_view_index_by_id(const struct cat_view *v, uint32_t id, uint16_t *ret) {
    return find_index(v, 0, NULL, id, ret);
}

static int by_id(const void *a, const void *b) {
    const struct cat_object *x = *(struct cat_object *const *)a, *y = *(struct cat_object *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool wanted(const struct cat_object *o, enum cat_kind kind, uint32_t database) {
    return !o->dropped && o->kind == kind && (!database || o->database == database);
}

enum rc cat_view_list(const struct cat_view *v, enum cat_kind kind, uint32_t database, struct cat_list *ret,
                      struct err *err) {
    size_t changes = v->change ? v->change->n : 0;
    struct cat_list l = {.v = malloc((v->cache->by_id.count + changes + 1) * sizeof(struct cat_object *))};
    if (!l.v)
        return err_set(err, RC_NOMEM, "out of memory for a list of the catalog");
    map_for_each(it, &v->cache->by_id) {
        struct cat_object *o = container_of(it, struct entry, by_id)->o;
        if (wanted(o, kind, database) && !changed(v, o->id))
            l.v[l.n++] = cat_object_ref(o);
    }
    for (size_t i = 0; i < changes; i++) {
        struct cat_object *o = v->change->v[i];
        if (wanted(o, kind, database) && changed(v, o->id) == o)
            l.v[l.n++] = cat_object_ref(o);
    }
    qsort(l.v, l.n, sizeof(struct cat_object *), by_id);
    *ret = l;
    return RC_OK;
}

void cat_list_done(struct cat_list *l) {
    for (size_t i = 0; i < l->n; i++)
        cat_object_unref(l->v[i]);
    free(l->v);
    *l = (struct cat_list){0};
}
