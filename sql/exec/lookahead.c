/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookahead.c: look-ups of a join by key, many in one request.
 *
 * SQLite asks for one key at a time. Where the plan says whose columns the keys come from (struct driver), the rows that come next
 * there are known: they are read a little ahead, and all of their keys are asked for at once, 1, then 16, then 256. What is asked
 * for, and found nothing, is known as well. The next batch takes the place of the last one, so memory is bounded by a batch.
 *
 * Whether the whole table would be cheaper nobody knows beforehand. So after some looks its rows are read up to a few times as many
 * as there were looks; if there are more, the looks go on, and the next attempt comes when there were four times as many. All
 * attempts together cost about as much as the looks did.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/exec/stage.h"

enum { AHEAD_FIRST_TRY = 24, AHEAD_TRY_ROWS = 8, AHEAD_TRY_AGAIN = 4, AHEAD_PEEK = 4 };

struct asked_key {
    struct map_node node;
    size_t n;
    uint8_t key[];
};

struct ahead_row {
    struct map_node node;
    const struct value *v;
    size_t n;
    uint8_t key[];
};

static enum rc nomem(struct err *err) {
    return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
}

/* ---- what has been asked for ----------------------------------------------------------------------------------------- */

static void drop_batch(struct vsource *s) {
    struct lookahead *a = &s->ahead;
    map_done(&a->asked);
    map_done(&a->rows);
    map_init(&a->asked);
    map_init(&a->rows);
    s->stage->e->memory -= a->bytes;
    a->bytes = 0;
    a->first = NULL;
    a->last = &a->first;
    arena_reset(&a->arena);
}

void lookahead_init(struct vsource *s) {
    struct lookahead *a = &s->ahead;
    arena_init(&a->arena, 0);
    map_init(&a->asked);
    map_init(&a->rows);
    a->last = &a->first;
    a->size = 1;
    a->next_try = AHEAD_FIRST_TRY;
}

void lookahead_done(struct vsource *s) {
    map_done(&s->ahead.asked);
    map_done(&s->ahead.rows);
    arena_done(&s->ahead.arena);
}

static bool was_asked(const struct lookahead *a, const struct buf *key) {
    for (struct map_node *n = map_first(&a->asked, hash_bytes(key->data, key->len, 0)); n; n = map_next(n)) {
        const struct asked_key *k = container_of(n, struct asked_key, node);
        if (k->n == key->len && memcmp(k->key, key->data, k->n) == 0)
            return true;
    }
    return false;
}

static enum rc charge(struct vsource *s, size_t bytes, struct err *err) {
    enum rc rc = exec_charge(s->stage->e, bytes, err);
    s->ahead.bytes += bytes;
    return rc;
}

static enum rc note_asked(struct vsource *s, const struct buf *key, struct err *err) {
    struct lookahead *a = &s->ahead;
    struct asked_key *k = arena_alloc(&a->arena, sizeof *k + key->len);
    if (!k)
        return nomem(err);
    k->n = key->len;
    memcpy(k->key, key->data, key->len);
    map_put(&a->asked, &k->node, hash_bytes(key->data, key->len, 0));
    return charge(s, sizeof *k + key->len, err);
}

static void next_hit(struct vcursor *c, struct map_node *n) {
    c->row = NULL;
    for (; n; n = map_next(n)) {
        const struct ahead_row *r = container_of(n, struct ahead_row, node);
        if (r->n == c->key.len && memcmp(r->key, c->key.data, r->n) == 0) {
            c->row = r->v;
            break;
        }
    }
    c->hit = n;
}

void lookahead_next(struct vcursor *c) {
    next_hit(c, map_next(c->hit));
}

/* ---- the keys that come next ------------------------------------------------------------------------------------------ */

struct keys_ahead {
    struct vsource *s;
    const struct driver *d;
    struct value *key; /* size * parts */
    size_t n, size;
    struct buf *scratch;
};

static enum rc add_key(struct keys_ahead *k, const struct value *v, struct err *err) {
    const struct table *t = k->s->source->table->store;
    for (uint16_t i = 0; i < k->d->parts; i++)
        if (v[i].kind == VALUE_NULL || col_check(&t->cols[t->key[i].col].col, &v[i], NULL))
            return RC_OK; /* no row has it */
    buf_reset(k->scratch, 4096);
    enum rc rc = table_key_put(k->scratch, t, v, k->d->parts, err);
    if (rc || was_asked(&k->s->ahead, k->scratch))
        return rc;
    struct value *to = &k->key[k->n * k->d->parts];
    for (uint16_t i = 0; i < k->d->parts; i++) {
        to[i] = v[i];
        if (value_copy(&k->s->ahead.arena, &to[i]))
            return nomem(err);
    }
    k->n++;
    return note_asked(k->s, k->scratch, err);
}

static enum rc add_key_of(struct keys_ahead *k, const struct source *driver, const struct value *row, struct err *err) {
    struct value v[POINT_PARTS_MAX];
    for (uint16_t i = 0; i < k->d->parts; i++)
        v[i] = *vsource_value(driver, row, k->d->col[i]);
    return add_key(k, v, err);
}

static enum rc gather(struct keys_ahead *k, struct vcursor *from, struct err *err) {
    const struct source *driver = from->source->source;
    size_t looked = 0, most = k->size * AHEAD_PEEK;
    enum rc rc = RC_OK;
    if (from->streams) {
        const struct peeked *p;
        rc = vcursor_peek(from, k->size, &p, err);
        for (; !rc && p && k->n < k->size && looked++ < most; p = p->next)
            rc = add_key_of(k, driver, p->v, err);
    } else if (from->at) {
        for (const struct kept_row *r = from->at->next; !rc && r && k->n < k->size && looked++ < most; r = r->next)
            rc = add_key_of(k, driver, r->v, err);
    } else if (from->in_batch) {
        for (const struct kept_row *r = from->source->ahead.first; !rc && r && k->n < k->size; r = r->next)
            rc = add_key_of(k, driver, r->v, err);
    }
    return rc;
}

/* ---- a batch ------------------------------------------------------------------------------------------------------------ */

static enum rc keep(struct vsource *s, uint16_t parts, const struct value *v, struct buf *scratch, struct err *err) {
    struct lookahead *a = &s->ahead;
    const struct source *src = s->source;
    const struct table *t = src->table->store;
    struct value key[POINT_PARTS_MAX], *copy = arena_array(&a->arena, src->fetches + 1, sizeof *copy);
    size_t bytes = src->fetches * sizeof *copy;
    for (uint16_t i = 0; i < parts; i++)
        key[i] = *vsource_value(src, v, src->key_col[i]);
    buf_reset(scratch, 4096);
    enum rc rc = copy ? table_key_put(scratch, t, key, parts, err) : nomem(err);
    struct ahead_row *r = rc ? NULL : arena_alloc(&a->arena, sizeof *r + scratch->len);
    struct kept_row *k = rc ? NULL : arena_new(&a->arena, struct kept_row);
    if (rc || !r || !k)
        return rc ? rc : nomem(err);
    for (uint32_t i = 0; i < src->fetches; i++) {
        copy[i] = v[i];
        bytes += v[i].bytes;
        if (value_copy(&a->arena, &copy[i]))
            return nomem(err);
    }
    r->v = k->v = copy;
    *a->last = k;
    a->last = &k->next;
    r->n = scratch->len;
    memcpy(r->key, scratch->data, r->n);
    map_put(&a->rows, &r->node, hash_bytes(r->key, r->n, 0));
    return charge(s, bytes + sizeof *r + r->n + sizeof *k, err);
}

static enum rc ask(struct keys_ahead *k, struct err *err) {
    struct vsource *s = k->s;
    struct exec *e = s->stage->e;
    const struct source *src = s->source;
    const struct table *t = src->table->store;
    struct arena *a = &s->ahead.arena;
    int form = 0;
    while (form + 1 < BY_KEYS_FORMS && by_keys_rows[form] < k->n)
        form++;
    const struct text *text = &k->d->keys[form];
    uint16_t parts = k->d->parts;
    size_t room = by_keys_rows[form];
    struct value *params = arena_array(a, text->slots + room * parts, sizeof *params);
    struct span *spans = arena_array(a, k->n, sizeof *spans);
    struct txn_table table = {t->id, t->version};
    struct span_set set;
    struct feed f = {0};
    if (!params || !spans)
        return nomem(err);
    for (uint32_t i = 0; i < text->slots; i++)
        params[i] = e->calc[text->slot[i]];
    enum rc rc = RC_OK;
    for (size_t i = 0; i < room; i++) /* the last key fills what the form has more */
        memcpy(params + text->slots + i * parts, k->key + (i < k->n ? i : k->n - 1) * parts, parts * sizeof *params);
    for (size_t i = 0; i < k->n && !rc; i++)
        rc = span_of_row(a, t, k->key + i * parts, parts, &spans[i], err);
    if (!rc)
        rc = span_set_of(a, spans, k->n, &set, err);
    if (rc)
        return rc;
    struct txn_scan_conf how = {.fragment = &text->fragment,
                                .params = params,
                                .tables = &table,
                                .n_tables = 1,
                                .spans = set.v,
                                .n_spans = set.n,
                                .lock = src->lock,
                                .wait = src->wait,
                                .locked = src->locked};
    rc = feed_open(&f, e, &how, k->d->keys, err);
    for (const struct value *row; !rc && !(rc = feed_next(&f, e, &row, err)) && row;)
        rc = keep(s, parts, row, k->scratch, err);
    feed_close(&f);
    return rc;
}

/* The driver that stands where the key says, or NULL. */
static const struct driver *driver_of(const struct vsource *s, const struct value *key, uint16_t n,
                                      struct vcursor **ret) {
    for (uint32_t i = 0; i < s->source->drivers; i++) {
        const struct driver *d = &s->source->driver[i];
        struct vsource *o = &s->stage->source[d->source];
        struct vcursor *c = o->cursor;
        bool same = d->parts <= n && c && c->row;
        for (uint16_t p = 0; same && p < d->parts; p++) {
            const struct value *v = vsource_value(o->source, c->row, d->col[p]);
            same = v->kind != VALUE_NULL && value_same(v, &key[p]);
        }
        if (!same)
            continue;
        *ret = c;
        return d;
    }
    return NULL;
}

static enum rc fill(struct vsource *s, const struct driver *d, struct vcursor *from, const struct value *key,
                    struct buf *scratch, struct err *err) {
    struct lookahead *a = &s->ahead;
    drop_batch(s);
    a->parts = d->parts;
    struct keys_ahead k = {.s = s, .d = d, .size = a->size, .scratch = scratch};
    k.key = arena_array(&a->arena, a->size * d->parts + 1, sizeof *k.key);
    enum rc rc = k.key ? add_key(&k, key, err) : nomem(err);
    if (!rc && a->size > 1)
        rc = gather(&k, from, err);
    s->looks_by_key += k.n;
    a->size = by_keys_rows[a->size < by_keys_rows[1] ? 1 : 2];
    return rc || k.n == 0 ? rc : ask(&k, err);
}

enum rc lookahead_find(struct vcursor *c, const struct value *key, uint16_t n, bool *ret_done, struct err *err) {
    struct vsource *s = c->source;
    struct lookahead *a = &s->ahead;
    const struct table *t = s->source->table->store;
    struct vcursor *from = NULL;
    struct buf scratch;
    *ret_done = false;
    if (a->parts > 0 && a->parts <= n) {
        buf_reset(&c->key, 4096);
        enum rc rc = table_key_put(&c->key, t, key, a->parts, err);
        if (rc)
            return rc;
        *ret_done = was_asked(a, &c->key);
    }
    if (!*ret_done) {
        const struct driver *d = s->source->locked || a->off || a->standing ? NULL : driver_of(s, key, n, &from);
        if (!d)
            return RC_OK;
        buf_init(&scratch, 0);
        enum rc rc = fill(s, d, from, key, &scratch, err);
        buf_done(&scratch);
        if (rc == RC_LIMIT) { /* too much for memory: one at a time, then */
            err_clear(err);
            drop_batch(s);
            a->parts = 0;
            a->off = true;
            return RC_OK;
        }
        buf_reset(&c->key, 4096);
        if (!rc)
            rc = table_key_put(&c->key, t, key, a->parts, err);
        if (rc)
            return rc;
        *ret_done = true;
    }
    c->in_batch = true;
    a->standing++;
    next_hit(c, map_first(&a->rows, hash_bytes(c->key.data, c->key.len, 0)));
    return RC_OK;
}

void lookahead_leave(struct vcursor *c) {
    c->source->ahead.standing -= c->in_batch;
    c->in_batch = false;
}

bool lookahead_try_all(struct vsource *s, uint64_t *ret_rows) {
    struct lookahead *a = &s->ahead;
    if (s->looks_by_key < a->next_try)
        return false;
    *ret_rows = s->looks_by_key * AHEAD_TRY_ROWS;
    a->next_try = s->looks_by_key * AHEAD_TRY_AGAIN;
    return true;
}
