/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split_point.c: where a tablet can be cut: between two root rows, or two table groups; a row is never parted from those that
 * are interleaved in it.
 *
 * The middle is found by counting rows and weighing a few of each table. It need not be exact: a half that is too large is
 * split again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/key.h"
#include "shard/tablet/tablet_internal.h"

enum { TABLES_MAX = 4096, SAMPLE_ROWS = 64 };

/* How many of a table's key columns are those of its root row. */
static uint16_t root_parts(const struct table *t) {
    return t->n_ancestors ? t->ancestors[0].n_key : t->n_key;
}

/* ---- a key from outside -------------------------------------------------------------------------------------------------- */

static const struct table *any_of_group(const struct mvcc *m, uint32_t group) {
    uint64_t ids[TABLES_MAX];
    size_t n = mvcc_tables(m, ids, TABLES_MAX);
    for (size_t i = 0; i < n && i < TABLES_MAX; i++) {
        const struct table *t = mvcc_table(m, ids[i]);
        if (t && t->group == group)
            return t;
    }
    return NULL;
}

static enum rc check_inside(const struct tablet *t, struct key k, struct err *err) {
    const struct mvcc_state *s = mvcc_state(t->m);
    if (key_compare(k, key_of(s->start.p, s->start.n)) > 0 &&
        (s->end.n == 0 || key_compare(k, key_of(s->end.p, s->end.n)) < 0))
        return RC_OK;
    return err_set(err, RC_INVAL, "the key does not lie inside of tablet %llu, which is to be split there",
                   (unsigned long long)t->id);
}

enum rc tablet_split_key(struct tablet *t, struct buf *key, struct err *err) {
    struct arena a;
    struct rd r;
    uint32_t group;
    rd_init(&r, key->data, key->len);
    enum rc rc = key_get_table(&r, &group, err);
    if (rc)
        return err_set(err, RC_INVAL, "the key to split at does not begin with the number of a table group");
    const struct table *table = any_of_group(t->m, group);
    if (!table && rd_left(&r))
        return err_set(err, RC_INVAL,
                       "tablet %llu has no table of group %u, so it can be split there only where the "
                       "group begins",
                       (unsigned long long)t->id, group);
    arena_init(&a, KEY_BYTES_MAX);
    for (uint16_t i = 0; table && i < root_parts(table) && rd_left(&r) && !rc; i++) {
        struct key_part part = {table->cols[table->key[i].col].col, table->key[i].desc};
        struct value v;
        rc = key_get(&r, &part, &a, &v, err);
    }
    arena_done(&a);
    if (rc)
        return err_set(err, RC_INVAL, "the key to split at is no key of table group %u", group);
    key->len -= rd_left(&r);
    return check_inside(t, key_of_buf(key), err);
}

/* ---- the middle ------------------------------------------------------------------------------------------------------------ */

struct weighed {
    const struct table *t; /* referenced */
    int64_t rows;
    double bytes;
};

struct tables {
    struct weighed *v;
    size_t n;
    double bytes;
};

struct answer {
    struct arena *a;
    struct value *row; /* the last one */
    uint16_t cols;
    uint64_t rows, bytes;
};

static enum rc on_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct answer *x = ctx;
    struct rowbatch_reader r;
    (void)last;
    enum rc rc = rowbatch_open(&r, batch.p, batch.n, err);
    x->bytes += batch.n;
    while (!rc && r.at < r.n_rows) {
        if (!x->row && !(x->row = arena_array(x->a, r.n_cols + 1u, sizeof *x->row)))
            return err_set(err, RC_NOMEM, "out of memory");
        x->cols = r.n_cols;
        rc = rowbatch_next(&r, x->row, err);
        for (uint16_t i = 0; i < r.n_cols && !rc; i++)
            rc = value_copy(x->a, &x->row[i]) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
        x->rows += !rc;
    }
    return rc;
}

static enum rc query(struct tablet *t, struct buf *sql, struct arena *a, struct answer *ret, struct err *err) {
    const char *text = buf_cstr(sql);
    struct fragment_result result;
    *ret = (struct answer){.a = a};
    if (!text)
        return err_set(err, RC_NOMEM, "out of memory");
    struct fragment f = {.sql = text};
    struct fragment_run run = {
        .fragment = &f, .ts = FRAGMENT_LATEST, .where = FRAGMENT_READER, .on_batch = on_batch, .ctx = ret};
    return fragment_run(t->m, &run, &result, err);
}

static enum rc weigh(struct tablet *t, struct weighed *w, struct err *err) {
    struct answer x;
    struct arena a;
    struct buf sql;
    arena_init(&a, 64 << 20);
    buf_init(&sql, 0);
    buf_printf(&sql, "SELECT count(*) FROM {%" PRIu64 "}", w->t->id);
    enum rc rc = query(t, &sql, &a, &x, err);
    if (!rc && x.rows == 1 && x.cols == 1)
        w->rows = x.row[0].i;
    if (!rc && w->rows > 0) {
        buf_reset(&sql, 0);
        buf_printf(&sql, "SELECT * FROM {%" PRIu64 "} LIMIT %d", w->t->id, SAMPLE_ROWS);
        rc = query(t, &sql, &a, &x, err);
        if (!rc && x.rows)
            w->bytes = (double)x.bytes / (double)x.rows * (double)w->rows;
    }
    buf_done(&sql);
    arena_done(&a);
    return rc;
}

static void put_key_columns(struct buf *sql, const struct table *t, const char *desc) {
    for (uint16_t i = 0; i < t->n_key; i++)
        buf_printf(sql, "%sc%" PRIu32 "%s", i ? "," : "", t->cols[t->key[i].col].id, t->key[i].desc ? desc : "");
}

/* The root key of the table's row at this place. */
static enum rc root_at(struct tablet *t, const struct table *table, int64_t place, struct buf *ret, struct err *err) {
    struct answer x;
    struct arena a;
    struct buf sql;
    arena_init(&a, 64 << 20);
    buf_init(&sql, 0);
    buf_reset(ret, KEY_BYTES_MAX);
    buf_puts(&sql, "SELECT ");
    put_key_columns(&sql, table, "");
    buf_printf(&sql, " FROM {%" PRIu64 "} ORDER BY ", table->id);
    put_key_columns(&sql, table, " DESC");
    buf_printf(&sql, " LIMIT 1 OFFSET %" PRId64, place);
    enum rc rc = query(t, &sql, &a, &x, err);
    if (!rc && x.rows != 1)
        rc = err_set(err, RC_INVAL, "a row is gone");
    if (!rc)
        rc = key_put_table(ret, (uint32_t)table->group, err);
    for (uint16_t i = 0; i < root_parts(table) && !rc; i++) {
        struct key_part part = {table->cols[table->key[i].col].col, table->key[i].desc};
        rc = key_put(ret, &part, &x.row[i], err);
    }
    buf_done(&sql);
    arena_done(&a);
    return rc;
}

/* Inside of a group, near this part of its largest table; another root row than the first, unless something is before it. */
static enum rc inside_group(struct tablet *t, const struct weighed *w, double part, bool first_too, struct buf *ret,
                            struct err *err) {
    static const double shift[] = {0, 0.1, -0.1, 0.25, -0.25, 0.4, -0.4};
    struct buf first;
    buf_init(&first, KEY_BYTES_MAX);
    enum rc rc = root_at(t, w->t, 0, &first, err);
    for (size_t i = 0; i < ARRAY_LEN(shift) && !rc; i++) {
        double p = part + shift[i];
        if (p < 0 || p >= 1)
            continue;
        rc = root_at(t, w->t, (int64_t)(p * (double)w->rows), ret, err);
        if (rc || ((first_too || key_compare(key_of_buf(ret), key_of_buf(&first)) > 0) &&
                   check_inside(t, key_of_buf(ret), NULL) == RC_OK)) {
            buf_done(&first);
            return rc;
        }
    }
    buf_done(&first);
    return rc ? rc
              : err_set(err, RC_INVAL, "tablet %llu has no place to be split at: most of it belongs to one row",
                        (unsigned long long)t->id);
}

static enum rc at_group(struct tablet *t, uint64_t group, struct buf *ret, struct err *err) {
    buf_reset(ret, KEY_BYTES_MAX);
    enum rc rc = key_put_table(ret, (uint32_t)group, err);
    return rc ? rc : check_inside(t, key_of_buf(ret), err);
}

static int by_group(const void *a, const void *b) {
    const struct weighed *x = a, *y = b;
    return x->t->group < y->t->group ? -1 : x->t->group > y->t->group;
}

/* The group in which half of the bytes are reached; cut there, or at the nearer end if that is about as good. */
static enum rc choose(struct tablet *t, const struct tables *ts, struct buf *ret, struct err *err) {
    double before = 0;
    for (size_t i = 0; i < ts->n;) {
        uint64_t group = ts->v[i].t->group;
        const struct weighed *largest = &ts->v[i];
        double bytes = 0;
        size_t end = i;
        for (; end < ts->n && ts->v[end].t->group == group; end++) {
            bytes += ts->v[end].bytes;
            if (ts->v[end].bytes > largest->bytes)
                largest = &ts->v[end];
        }
        i = end;
        if (before + bytes < ts->bytes / 2) {
            before += bytes;
            continue;
        }
        double part = (ts->bytes / 2 - before) / bytes;
        if (before > 0.4 * ts->bytes && at_group(t, group, ret, err) == RC_OK)
            return RC_OK;
        if (end < ts->n && before + bytes < 0.6 * ts->bytes && at_group(t, ts->v[end].t->group, ret, err) == RC_OK)
            return RC_OK;
        enum rc rc = inside_group(t, largest, part, before > 0, ret, err);
        if (rc == RC_INVAL && before > 0 && at_group(t, group, ret, err) == RC_OK)
            return RC_OK;
        if (rc == RC_INVAL && end < ts->n && at_group(t, ts->v[end].t->group, ret, err) == RC_OK)
            return RC_OK;
        return rc;
    }
    return err_set(err, RC_INVAL, "tablet %llu is empty", (unsigned long long)t->id);
}

enum rc tablet_split_point(struct tablet *t, struct buf *ret, struct err *err) {
    uint64_t ids[TABLES_MAX];
    size_t n = mvcc_tables(t->m, ids, TABLES_MAX);
    struct tables ts = {.n = 0};
    if (n > TABLES_MAX)
        n = TABLES_MAX; /* of those the middle is still a place */
    ts.v = calloc(n ? n : 1, sizeof *ts.v);
    enum rc rc = ts.v ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < n && !rc; i++) {
        struct table *desc = (struct table *)(uintptr_t)mvcc_table(t->m, ids[i]);
        if (!desc)
            continue;
        struct weighed *w = &ts.v[ts.n];
        *w = (struct weighed){.t = table_ref(desc)};
        ts.n++;
        rc = weigh(t, w, err);
        ts.bytes += w->bytes;
    }
    if (!rc) {
        size_t kept = 0; /* those that hold something */
        for (size_t i = 0; i < ts.n; i++)
            if (ts.v[i].bytes > 0)
                ts.v[kept++] = ts.v[i];
            else
                table_unref((struct table *)(uintptr_t)ts.v[i].t);
        ts.n = kept;
        qsort(ts.v, ts.n, sizeof *ts.v, by_group);
        rc = choose(t, &ts, ret, err);
    }
    for (size_t i = 0; i < ts.n; i++)
        table_unref((struct table *)(uintptr_t)ts.v[i].t);
    free(ts.v);
    return rc;
}
