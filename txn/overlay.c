/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay.c: a skip list of rows by (table, key), each with a stack of revisions; and all revisions in the order of
 * writing. A rollback pops from the end of that order: each time the newest revision of its row.
 */
#include "txn/overlay.h"

#include <stdlib.h>

#include "truetime/base/rng.h"

enum { LEVELS = 16, BYTES_MAX = 64 << 20 };

struct row;

struct revision {
    struct revision *older;   /* of the same row */
    struct revision *written; /* before it, whatever row */
    struct row *row;
    size_t bytes;
    bool deleted;
    uint16_t n_values;
    struct value values[]; /* then their bytes */
};

struct row {
    struct table *table;
    struct revision *top;
    size_t key_bytes;
    uint8_t levels;
    uint8_t *key;
    struct row *next[]; /* levels of them, then the key's bytes */
};

/* How many rows of a table are in the list: "has it written there?" is asked for each table of each statement. */
struct touched {
    uint64_t table;
    size_t rows;
};

struct txn_overlay {
    struct overlay base;
    struct row *head[LEVELS];
    /* Where a row behind the last new one goes in: rows often come in the order of their keys. */
    struct row *newest, **behind[LEVELS];
    struct revision *last;
    size_t writes, rows, bytes, bytes_max;
    struct touched *touched;
    size_t touched_count, touched_cap;
    struct rng rng;
    struct buf key;
};

struct overlay_cursor {
    struct txn_overlay *o;
    struct row *at;
    uint64_t table;
    size_t prefix_bytes;
    uint8_t prefix[];
};

static struct txn_overlay *of_base(struct overlay *base) {
    return container_of(base, struct txn_overlay, base);
}

/* < 0: row lies before (table, key). */
static int row_cmp(const struct row *r, uint64_t table, const uint8_t *key, size_t n) {
    if (r->table->id != table)
        return r->table->id < table ? -1 : 1;
    return txn_key_cmp((struct txn_key){r->key, r->key_bytes}, (struct txn_key){key, n});
}

/* The first row at or behind (table, key), or NULL; ret_link: on each level, the pointer to the first row that is. */
static struct row *find(struct txn_overlay *o, uint64_t table, const uint8_t *key, size_t n,
                        struct row **ret_link[LEVELS]) {
    struct row **next = o->head, *r = NULL;
    for (int level = LEVELS - 1; level >= 0; level--) {
        while ((r = next[level]) && row_cmp(r, table, key, n) < 0)
            next = r->next;
        if (ret_link)
            ret_link[level] = &next[level];
    }
    return r;
}

/* The same, faster where rows are looked up and written in the order of their keys. */
static struct row *find_place(struct txn_overlay *o, uint64_t table, const uint8_t *key, size_t n,
                              struct row **ret_link[LEVELS]) {
    struct row *r = o->newest, *next = r ? r->next[0] : NULL;
    if (!r || row_cmp(r, table, key, n) >= 0 || (next && row_cmp(next, table, key, n) < 0))
        return find(o, table, key, n, ret_link);
    memcpy(ret_link, o->behind, sizeof o->behind); /* nothing lies between the newest row and the key, on any level */
    return next;
}

static enum rc key_of_row(struct txn_overlay *o, const struct table *t, const struct value *key, uint16_t n,
                          struct err *err) {
    buf_reset(&o->key, KEY_BYTES_MAX);
    return table_key_put(&o->key, t, key, n, err);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static struct touched *touched_find(const struct txn_overlay *o, uint64_t table) {
    for (size_t i = 0; i < o->touched_count; i++)
        if (o->touched[i].table == table)
            return &o->touched[i];
    return NULL;
}

static bool on_touches(struct overlay *base, uint64_t table) {
    const struct touched *t = touched_find(of_base(base), table);
    return t && t->rows > 0;
}

static void row_out(const struct row *r, struct overlay_row *ret) {
    *ret = (struct overlay_row){r->top->deleted, r->top->n_values, r->top->values};
}

static bool on_get(struct overlay *base, const struct table *t, const struct value *key, struct overlay_row *ret) {
    struct txn_overlay *o = of_base(base);
    if (!on_touches(base, t->id) || key_of_row(o, t, key, t->n_key, NULL))
        return false; /* what is no key of the table was not written to it either */
    struct row **link[LEVELS], *r = find_place(o, t->id, o->key.data, o->key.len, link);
    if (!r || row_cmp(r, t->id, o->key.data, o->key.len) != 0)
        return false;
    row_out(r, ret);
    return true;
}

static enum rc on_open(struct overlay *base, const struct table *t, const struct value *prefix, uint16_t n,
                       struct overlay_cursor **ret) {
    struct txn_overlay *o = of_base(base);
    enum rc rc = key_of_row(o, t, prefix, n, NULL);
    struct overlay_cursor *c = rc == RC_NOMEM ? NULL : malloc(sizeof *c + o->key.len);
    if (!c)
        return RC_NOMEM;
    *c = (struct overlay_cursor){.o = o, .table = t->id, .prefix_bytes = o->key.len};
    if (o->key.len)
        memcpy(c->prefix, o->key.data, o->key.len);
    if (!rc) /* else nothing can lie there */
        c->at = find(o, t->id, o->key.data, o->key.len, NULL);
    *ret = c;
    return RC_OK;
}

static bool on_next(struct overlay_cursor *c, struct overlay_row *ret) {
    struct row *r = c->at;
    if (!r || r->table->id != c->table || r->key_bytes < c->prefix_bytes ||
        memcmp(r->key, c->prefix, c->prefix_bytes) != 0)
        return false;
    c->at = r->next[0];
    row_out(r, ret);
    return true;
}

static void on_close(struct overlay_cursor *c) {
    free(c);
}

static const struct overlay_ops ops = {on_touches, on_get, on_open, on_next, on_close};

/* ---- life -------------------------------------------------------------------------------------------------------- */

enum rc txn_overlay_new(size_t bytes_max, uint64_t seed, struct txn_overlay **ret) {
    struct txn_overlay *o = calloc(1, sizeof *o);
    if (!o)
        return RC_NOMEM;
    o->base.ops = &ops;
    o->bytes_max = bytes_max ? bytes_max : BYTES_MAX;
    rng_init(&o->rng, seed);
    buf_init(&o->key, KEY_BYTES_MAX);
    *ret = o;
    return RC_OK;
}

void txn_overlay_free(struct txn_overlay *o) {
    if (!o)
        return;
    while (o->last) {
        struct revision *rev = o->last;
        o->last = rev->written;
        free(rev);
    }
    while (o->head[0]) {
        struct row *r = o->head[0];
        o->head[0] = r->next[0];
        table_unref(r->table);
        free(r);
    }
    buf_done(&o->key);
    free(o->touched);
    free(o);
}

struct overlay *txn_overlay_base(struct txn_overlay *o) {
    return &o->base;
}

size_t txn_overlay_mark(const struct txn_overlay *o) {
    return o->writes;
}

size_t txn_overlay_rows(const struct txn_overlay *o) {
    return o->rows;
}

size_t txn_overlay_bytes(const struct txn_overlay *o) {
    return o->bytes;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static size_t row_bytes(const struct row *r) {
    return sizeof *r + r->levels * sizeof(r->next[0]) + r->key_bytes;
}

/* The bytes of a revision with these values; 0: more than there can be. */
static size_t revision_bytes(const struct value *v, uint16_t n) {
    size_t bytes = sizeof(struct revision) + n * sizeof *v;
    for (uint16_t i = 0; i < n; i++)
        bytes += v[i].bytes;
    return bytes;
}

static struct revision *revision_new(const struct value *v, uint16_t n, bool deleted, size_t bytes) {
    struct revision *rev = malloc(bytes);
    if (!rev)
        return NULL;
    *rev = (struct revision){.bytes = bytes, .deleted = deleted, .n_values = n};
    uint8_t *at = (uint8_t *)(rev->values + n);
    for (uint16_t i = 0; i < n; i++) {
        rev->values[i] = v[i];
        if (v[i].kind != VALUE_TEXT && v[i].kind != VALUE_BLOB)
            continue;
        rev->values[i].p = v[i].bytes ? at : (const void *)"";
        if (v[i].bytes)
            memcpy(at, v[i].p, v[i].bytes);
        at += v[i].bytes;
    }
    return rev;
}

static enum rc touch(struct txn_overlay *o, uint64_t table) {
    struct touched *t = touched_find(o, table);
    if (!t && o->touched_count == o->touched_cap) {
        size_t cap = o->touched_cap ? o->touched_cap * 2 : 4;
        struct touched *grown = realloc(o->touched, cap * sizeof *grown);
        if (!grown)
            return RC_NOMEM;
        o->touched = grown;
        o->touched_cap = cap;
    }
    if (!t) {
        t = &o->touched[o->touched_count++];
        *t = (struct touched){.table = table};
    }
    t->rows++;
    return RC_OK;
}

/* o->key is the key. */
static struct row *row_new(struct txn_overlay *o, struct table *t) {
    uint8_t levels = 1;
    while (levels < LEVELS && (rng_u64(&o->rng) & 3) == 0)
        levels++;
    struct row *r = malloc(sizeof *r + levels * sizeof(r->next[0]) + o->key.len);
    if (!r)
        return NULL;
    *r = (struct row){.key_bytes = o->key.len, .levels = levels};
    r->key = (uint8_t *)(r->next + levels);
    memcpy(r->key, o->key.data, o->key.len);
    if (touch(o, t->id)) {
        free(r);
        return NULL;
    }
    r->table = table_ref(t);
    return r;
}

static void row_drop(struct txn_overlay *o, struct row *r) {
    struct row **link[LEVELS];
    o->newest = NULL;
    CHECK(find(o, r->table->id, r->key, r->key_bytes, link) == r);
    for (int level = 0; level < r->levels; level++) {
        CHECK(*link[level] == r);
        *link[level] = r->next[level];
    }
    touched_find(o, r->table->id)->rows--;
    o->rows--;
    o->bytes -= row_bytes(r);
    table_unref(r->table);
    free(r);
}

static enum rc write_row(struct txn_overlay *o, struct table *t, const struct value *v, uint16_t n, bool deleted,
                         struct err *err) {
    struct row **link[LEVELS], *r = find_place(o, t->id, o->key.data, o->key.len, link);
    bool is_new = !r || row_cmp(r, t->id, o->key.data, o->key.len) != 0;
    size_t bytes = revision_bytes(v, n);
    if (bytes > o->bytes_max || o->bytes + o->key.len + sizeof(struct row) > o->bytes_max - bytes) {
        err_set(err, RC_LIMIT, "the transaction has written too much in one tablet");
        err_detail(err, "%zu bytes in %zu rows, at most %zu bytes", o->bytes, o->rows, o->bytes_max);
        return RC_LIMIT;
    }
    struct revision *rev = revision_new(v, n, deleted, bytes);
    if (rev && is_new)
        r = row_new(o, t);
    if (!rev || !r) {
        free(rev);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    if (is_new) {
        for (int level = 0; level < LEVELS; level++) {
            o->behind[level] = link[level];
            if (level >= r->levels)
                continue;
            r->next[level] = *link[level];
            *link[level] = r;
            o->behind[level] = &r->next[level];
        }
        o->newest = r;
        o->rows++;
        o->bytes += row_bytes(r);
    }
    rev->row = r;
    rev->older = r->top;
    rev->written = o->last;
    r->top = o->last = rev;
    o->writes++;
    o->bytes += bytes;
    return RC_OK;
}

enum rc txn_overlay_put(struct txn_overlay *o, struct table *t, const struct value *row, uint16_t n, struct err *err) {
    struct value key[TABLE_KEY_MAX];
    if (n != t->n_cols)
        return err_set(err, RC_INVAL, "a row of %u values for a table of %u columns", n, t->n_cols);
    for (uint16_t i = 0; i < t->n_key; i++)
        key[i] = row[t->key[i].col];
    enum rc rc = key_of_row(o, t, key, t->n_key, err);
    return rc ? rc : write_row(o, t, row, n, false, err);
}

enum rc txn_overlay_delete(struct txn_overlay *o, struct table *t, const struct value *key, struct err *err) {
    enum rc rc = key_of_row(o, t, key, t->n_key, err);
    return rc ? rc : write_row(o, t, key, t->n_key, true, err);
}

void txn_overlay_rollback(struct txn_overlay *o, size_t mark) {
    CHECK(mark <= o->writes);
    while (o->writes > mark) {
        struct revision *rev = o->last;
        struct row *r = rev->row;
        CHECK(r->top == rev); /* W1: the newest of all is the newest of its row */
        o->last = rev->written;
        o->writes--;
        o->bytes -= rev->bytes;
        r->top = rev->older;
        free(rev);
        if (!r->top)
            row_drop(o, r);
    }
}

/* ---- to the log, to the other half ------------------------------------------------------------------------------- */

enum rc txn_overlay_encode(struct txn_overlay *o, const struct txn_span *range, struct buf *to) {
    struct mvcc_mutation *m = malloc((o->rows + 1) * sizeof *m);
    size_t n = 0;
    if (!m)
        return RC_NOMEM;
    for (const struct row *r = o->head[0]; r; r = r->next[0]) {
        struct txn_key key = {r->key, r->key_bytes};
        if (txn_key_cmp(key, range->start) < 0 || !txn_key_before_end(key, range->end))
            continue;
        m[n++] = (struct mvcc_mutation){r->table->id, r->top->deleted, r->top->n_values, r->top->values};
    }
    if (n)
        mvcc_mutations_encode(m, n, to);
    free(m);
    return buf_rc(to);
}

/* Revision by revision, in the order of writing, so that savepoints go along: the list runs from the newest, so the
 * oldest is found by turning a list of pointers round. */
enum rc txn_overlay_copy(const struct txn_overlay *o, struct txn_overlay **ret) {
    struct txn_overlay *copy;
    struct revision **all = malloc((o->writes + 1) * sizeof(*all));
    enum rc rc = all ? txn_overlay_new(o->bytes_max, 1, &copy) : RC_NOMEM;
    size_t n = o->writes;
    if (rc) {
        free(all);
        return rc;
    }
    copy->rng = o->rng;
    for (struct revision *rev = o->last; rev; rev = rev->written)
        all[--n] = rev;
    CHECK(n == 0);
    for (size_t i = 0; i < o->writes && !rc; i++)
        rc = all[i]->deleted ? txn_overlay_delete(copy, all[i]->row->table, all[i]->values, NULL)
                             : txn_overlay_put(copy, all[i]->row->table, all[i]->values, all[i]->n_values, NULL);
    free(all);
    if (rc)
        txn_overlay_free(copy);
    else
        *ret = copy;
    return rc;
}
