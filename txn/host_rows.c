/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_rows.c: what a transaction has written on a tablet, from its requests to the rows.
 */
#include <stdlib.h>

#include "txn/host_internal.h"

enum { CHANGE_PUT = 1, CHANGE_DROP = 2, CHANGES_MAX = 1 << 16 };

/* ---- guests -------------------------------------------------------------------------------------------------------- */

struct guest *guest_find(struct txn_host *h, const struct txn_id *id) {
    for (struct map_node *n = map_first(&h->guests, txn_id_hash(id)); n; n = map_next(n))
        if (txn_id_eq(&container_of(n, struct guest, node)->id, id))
            return container_of(n, struct guest, node);
    return NULL;
}

struct guest *guest_get(struct txn_host *h, const struct txn_id *id) {
    struct guest *g = guest_find(h, id);
    if (g || !(g = calloc(1, sizeof *g)))
        return g;
    g->id = *id;
    map_put(&h->guests, &g->node, txn_id_hash(id));
    return g;
}

struct guest_rows *guest_pin(struct guest *g) {
    if (g->rows)
        g->rows->refs++;
    return g->rows;
}

void guest_rows_unref(struct guest_rows *r) {
    if (!r || --r->refs > 0)
        return;
    txn_overlay_free(r->overlay);
    free(r);
}

void guest_free(struct txn_host *h, struct guest *g) {
    map_del(&h->guests, &g->node);
    guest_rows_unref(g->rows);
    for (size_t i = 0; i < g->n_tables; i++)
        table_unref(g->tables[i].table);
    free(g->tables);
    free(g->seq);
    free(g);
}

/* from NULL: an empty one. */
static struct guest_rows *rows_new(struct txn_host *h, const struct guest_rows *from) {
    struct guest_rows *r = calloc(1, sizeof *r);
    enum rc rc = !r     ? RC_NOMEM
                 : from ? txn_overlay_copy(from->overlay, &r->overlay)
                        : txn_overlay_new(0, env_random(h->all->env), &r->overlay);
    if (rc) {
        free(r);
        return NULL;
    }
    r->refs = 1;
    return r;
}

/* Rows that nobody else reads. */
static bool rows_of_own(struct txn_host *h, struct guest *g) {
    if (g->rows && g->rows->refs == 1)
        return true;
    struct guest_rows *r = rows_new(h, g->rows);
    if (!r)
        return false;
    guest_rows_unref(g->rows);
    g->rows = r;
    return true;
}

static bool grow(void **v, size_t *cap, size_t count, size_t size) {
    if (count < *cap)
        return true;
    size_t to = *cap ? 2 * *cap : 16;
    void *p = realloc(*v, to * size);
    if (!p)
        return false;
    *v = p;
    *cap = to;
    return true;
}

enum rc guest_write(struct txn_host *h, struct guest *g, uint64_t seq, struct table *t, bool deletes,
                    const struct value *values, uint16_t n, struct err *err) {
    void *seqs = g->seq;
    bool room = grow(&seqs, &g->seqs_cap, g->seqs, sizeof *g->seq);
    g->seq = seqs;
    if (!room || !rows_of_own(h, g))
        return err_set(err, RC_NOMEM, "out of memory for a transaction's writes");
    enum rc rc = deletes ? txn_overlay_delete(g->rows->overlay, t, values, err)
                         : txn_overlay_put(g->rows->overlay, t, values, n, err);
    if (!rc)
        g->seq[g->seqs++] = seq;
    return rc;
}

enum rc guest_change_table(struct guest *g, uint64_t seq, uint64_t id, struct table *t) {
    void *tables = g->tables;
    bool room = grow(&tables, &g->tables_cap, g->n_tables, sizeof *g->tables);
    g->tables = tables;
    if (!room)
        return RC_NOMEM;
    g->tables[g->n_tables++] = (struct guest_table){seq, id, t ? table_ref(t) : NULL};
    return RC_OK;
}

enum rc guest_copy(struct txn_host *to, const struct guest *g) {
    struct guest *c = guest_get(to, &g->id);
    if (!c)
        return RC_NOMEM;
    c->broken = g->broken;
    c->pieces = g->pieces;
    if (g->rows && !(c->rows = rows_new(to, g->rows)))
        return RC_NOMEM;
    c->seq = malloc((g->seqs + 1) * sizeof *c->seq);
    if (!c->seq)
        return RC_NOMEM;
    c->seqs = g->seqs;
    c->seqs_cap = g->seqs + 1;
    if (g->seqs)
        memcpy(c->seq, g->seq, g->seqs * sizeof *c->seq);
    for (size_t i = 0; i < g->n_tables; i++)
        if (guest_change_table(c, g->tables[i].seq, g->tables[i].id, g->tables[i].table))
            return RC_NOMEM;
    return RC_OK;
}

void guest_undo(struct txn_host *h, struct guest *g, uint64_t seq) {
    size_t n = g->seqs;
    while (n > 0 && g->seq[n - 1] > seq)
        n--;
    if (n < g->seqs) {
        if (rows_of_own(h, g)) {
            txn_overlay_rollback(g->rows->overlay, n);
            g->seqs = n;
        } else {
            g->broken = true; /* it may not commit: guest_encode says so */
        }
    }
    while (g->n_tables > 0 && g->tables[g->n_tables - 1].seq > seq)
        table_unref(g->tables[--g->n_tables].table);
}

/* ---- as bytes of a record ------------------------------------------------------------------------------------------ */

static void put_change(struct buf *to, const struct guest_table *c) {
    struct buf b;
    buf_putc(to, c->table ? CHANGE_PUT : CHANGE_DROP);
    if (!c->table) {
        varint_put(to, c->id);
        return;
    }
    buf_init(&b, 0);
    table_encode(c->table, &b);
    if (buf_rc(&b))
        to->rc = buf_rc(&b);
    command_put_bytes(to, (struct mvcc_bytes){b.data, b.len});
    buf_done(&b);
}

/* A later change of the same table stands for both. */
static bool is_last(const struct guest *g, size_t i) {
    for (size_t k = i + 1; k < g->n_tables; k++)
        if (g->tables[k].id == g->tables[i].id)
            return false;
    return true;
}

enum rc guest_encode(struct guest *g, const struct txn_span *range, struct buf *to) {
    size_t before = to->len, changes = 0;
    if (g->broken)
        return RC_NOMEM;
    for (size_t i = 0; i < g->n_tables; i++)
        changes += is_last(g, i);
    varint_put(to, changes);
    for (size_t i = 0; i < g->n_tables; i++)
        if (is_last(g, i))
            put_change(to, &g->tables[i]);
    size_t rows = to->len;
    enum rc rc = g->rows ? txn_overlay_encode(g->rows->overlay, range, to) : RC_OK;
    if (!rc && to->len == rows && changes == 0)
        to->len = before; /* it only read */
    return rc ? rc : buf_rc(to);
}

/* ---- taking effect --------------------------------------------------------------------------------------------------- */

static enum rc put_table(struct mvcc *m, int64_t ts, struct rd *r, struct err *err) {
    struct mvcc_bytes bytes;
    struct table *t;
    enum rc rc = command_bytes(r, TABLE_BYTES_MAX, &bytes, err);
    if (!rc)
        rc = table_decode(bytes.p, bytes.n, &t, err);
    if (rc)
        return rc;
    t->since = ts; /* not shared yet */
    rc = mvcc_put_table(m, t, err);
    table_unref(t);
    return rc;
}

/* The key of a row image; false: it has none in its table as that is here. */
static bool image_key(const struct mvcc *m, const struct mvcc_mutation *i, struct buf *to) {
    const struct table *t = mvcc_table(m, i->table);
    struct value key[TABLE_KEY_MAX];
    if (!t)
        return false;
    for (uint16_t k = 0; k < t->n_key; k++) {
        uint16_t at = i->deletes ? k : t->key[k].col;
        if (at >= i->n_values)
            return false;
        key[k] = i->values[at];
    }
    buf_reset(to, 1 << 12);
    return table_key_put(to, t, key, t->n_key, NULL) == RC_OK;
}

/* Images are not cut at a split: each half takes what lies in its range. What makes no sense is left in: mvcc_write says so. */
static size_t in_range(struct txn_host *h, struct mvcc_mutation *m, size_t n) {
    struct txn_span range = site_range(h->site);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct txn_key key;
        bool has = image_key(tablet_mvcc(h->tablet), &m[i], &h->buf);
        key = (struct txn_key){h->buf.data, h->buf.len};
        if (!has || (txn_key_cmp(range.start, key) <= 0 && txn_key_before_end(key, range.end)))
            m[kept++] = m[i];
    }
    return kept;
}

static enum rc take_images(struct txn_host *h, int64_t ts, struct txn_bytes images, struct err *err) {
    struct mvcc *m = tablet_mvcc(h->tablet);
    struct mvcc_mutation *rows;
    struct rd r, drops;
    size_t n_rows;
    enum rc rc = RC_OK;
    rd_init(&r, images.p, images.n);
    uint64_t changes = varint_get(&r);
    if (r.bad || changes > CHANGES_MAX)
        return err_set(err, RC_CORRUPT, "a transaction's changes of tables cannot be read");
    drops = r;
    for (uint64_t i = 0; i < changes && !rc; i++) {
        if (rd_u8(&r) == CHANGE_PUT)
            rc = put_table(m, ts, &r, err);
        else
            (void)varint_get(&r);
        if (!rc && r.bad)
            rc = err_set(err, RC_CORRUPT, "a transaction's changes of tables are cut off");
    }
    if (!rc && rd_left(&r)) {
        rc = mvcc_mutations_decode(r.at, rd_left(&r), &h->scratch, &rows, &n_rows, err);
        if (!rc && (n_rows = in_range(h, rows, n_rows)) > 0)
            rc = mvcc_write(m, ts, rows, n_rows, err);
    }
    for (uint64_t i = 0; i < changes && !rc; i++) { /* with all their rows, those just written too */
        struct mvcc_bytes skipped;
        if (rd_u8(&drops) == CHANGE_PUT)
            rc = command_bytes(&drops, TABLE_BYTES_MAX, &skipped, err);
        else
            rc = mvcc_drop_table(m, varint_get(&drops), err);
    }
    return rc;
}

enum rc host_take_effect(struct txn_host *h, const struct txn_id *id, const struct site_effect *effect,
                         struct err *err) {
    uint32_t pieces = pieces_marked(effect->images);
    struct buf all;
    if (effect->images.n == 0)
        return RC_OK; /* it coordinated, and only read here */
    if (!pieces)
        return take_images(h, effect->ts, effect->images, err);
    buf_init(&all, HOST_WRITES_TOTAL_MAX);
    enum rc rc = pieces_gather(h, id, pieces, &all, err);
    if (!rc)
        rc = take_images(h, effect->ts, (struct txn_bytes){all.data, all.len}, err);
    if (!rc)
        rc = pieces_drop(h, id, pieces, err);
    buf_done(&all);
    return rc;
}
