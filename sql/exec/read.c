/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.c: a select under way. Which of the plan's ways is taken is decided here, when the spans are known.
 */
#include <string.h>

#include "sql/exec/exec_internal.h"

/* ---- a scan's rows ----------------------------------------------------------------------------------------------- */

enum rc feed_open(struct feed *f, struct exec *e, const struct txn_scan_conf *how, const struct text *text,
                  struct err *err) {
    f->batch = f->last = false;
    f->note = exec_note(e, text, NULL, how->n_spans);
    return txn_scan_open(e->env->txn, how, &f->scan, err);
}

static enum rc open_batch(struct feed *f, struct exec *e, struct err *err) {
    struct txn_batch b;
    enum rc rc = txn_scan_next(f->scan, &b, err);
    if (rc)
        return rc;
    f->last = b.end;
    f->batch = false;
    if (b.end && b.rows.n == 0)
        return RC_OK;
    rc = rowbatch_open(&f->reader, b.rows.p, b.rows.n, err);
    if (rc)
        return rc;
    f->columns = f->reader.n_cols;
    if (f->columns > f->columns_max) {
        f->row = arena_array(&e->arena, f->columns, sizeof *f->row);
        if (!f->row)
            return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
        f->columns_max = f->columns;
    }
    f->batch = true;
    return RC_OK;
}

/* The index's rows: all of them are read before the first row of the table. */
static enum rc read_keys(struct feed *f, struct exec *e, const struct source *s, struct err *err) {
    const struct lookup *x = s->via;
    const struct table *t = s->table->store;
    struct txn_table table = {x->index->store->id, x->index->store->version};
    struct span_set spans;
    struct feed in = {0};
    struct value *keys = NULL;
    size_t n = 0, max = 0;
    struct txn_scan_conf how = {.fragment = &x->text.fragment,
                                .tables = &table,
                                .n_tables = 1,
                                .lock = s->lock,
                                .wait = s->wait,
                                .locked = s->locked};
    enum rc rc = spans_of(e, &x->keys, &spans, err);
    if (rc || spans.n == 0)
        return rc;
    how.spans = spans.v;
    how.n_spans = spans.n;
    rc = exec_slots(e, &x->text, &how.params, err);
    if (!rc)
        rc = feed_open(&in, e, &how, &x->text, err);
    for (const struct value *row; !rc;) {
        rc = feed_next(&in, e, &row, err);
        if (rc || !row)
            break;
        if (n == max) {
            size_t more = max ? max * 2 : 16;
            struct value *to = arena_array(&e->arena, more * t->n_key, sizeof *to);
            if (!to) {
                rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
                break;
            }
            if (n)
                memcpy(to, keys, n * t->n_key * sizeof *to);
            keys = to;
            max = more;
        }
        struct value *kept = NULL;
        rc = exec_keep(e, row, t->n_key, &kept, err);
        if (!rc)
            memcpy(keys + n++ * t->n_key, kept, t->n_key * sizeof *kept);
    }
    feed_close(&in);
    f->keys = keys;
    f->n_keys = n;
    return rc;
}

/* The next rows by their keys. The last key fills what the form has more. */
static enum rc next_keys(struct feed *f, struct exec *e, struct err *err) {
    const struct table *t = f->table;
    size_t left = f->n_keys - f->at_key;
    int form = 0;
    while (form + 1 < BY_KEYS_FORMS && by_keys_rows[form] < left)
        form++;
    const struct text *text = &f->by_keys[form];
    size_t room = by_keys_rows[form], n = left < room ? left : room;
    struct value *params = arena_array(&e->arena, text->slots + room * t->n_key, sizeof *params);
    struct span *spans = arena_array(&e->arena, n, sizeof *spans);
    struct span_set set;
    if (!params || !spans)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (uint32_t i = 0; i < text->slots; i++)
        params[i] = e->calc[text->slot[i]];
    enum rc rc = RC_OK;
    for (size_t i = 0; i < room && !rc; i++) {
        const struct value *key = f->keys + (f->at_key + (i < n ? i : n - 1)) * t->n_key;
        memcpy(params + text->slots + i * t->n_key, key, t->n_key * sizeof *key);
        if (i < n)
            rc = span_of_row(&e->arena, t, key, t->n_key, &spans[i], err);
    }
    if (!rc)
        rc = span_set_of(&e->arena, spans, n, &set, err);
    if (rc)
        return rc;
    f->how.fragment = &text->fragment;
    f->how.params = params;
    f->how.spans = set.v;
    f->how.n_spans = set.n;
    f->at_key += n;
    feed_close(f);
    return feed_open(f, e, &f->how, f->by_keys, err);
}

enum rc feed_open_via(struct feed *f, struct exec *e, const struct source *s, const struct text *by_keys,
                      struct err *err) {
    struct txn_table *table = arena_new(&e->arena, struct txn_table);
    if (!table)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    f->table = s->table->store;
    *table = (struct txn_table){f->table->id, f->table->version};
    f->how =
        (struct txn_scan_conf){.tables = table, .n_tables = 1, .lock = s->lock, .wait = s->wait, .locked = s->locked};
    f->by_keys = by_keys;
    f->at_key = f->n_keys = 0;
    f->last = true;
    return read_keys(f, e, s, err);
}

enum rc feed_next(struct feed *f, struct exec *e, const struct value **ret, struct err *err) {
    enum rc rc = RC_OK;
    *ret = NULL;
    for (;;) {
        if (f->batch) {
            rc = rowbatch_next(&f->reader, f->row, err);
            if (rc == RC_OK)
                *ret = f->row;
            if (rc != RC_NOTFOUND)
                return rc;
            f->batch = false;
        }
        if (!f->scan || f->last) {
            if (f->at_key == f->n_keys)
                return RC_OK;
            rc = next_keys(f, e, err);
        } else {
            rc = open_batch(f, e, err);
        }
        if (rc)
            return rc;
    }
}

void feed_close(struct feed *f) {
    if (!f->scan)
        return;
    if (f->note) {
        const struct txn_scan_stats *s = txn_scan_stats(f->scan);
        f->note->runs++;
        f->note->stats.tablets = s->tablets > f->note->stats.tablets ? s->tablets : f->note->stats.tablets;
        f->note->stats.remote = s->remote > f->note->stats.remote ? s->remote : f->note->stats.remote;
        f->note->stats.followers += s->followers;
        f->note->stats.rows += s->rows;
        f->note->stats.bytes += s->bytes;
        f->note->stats.batches += s->batches;
        f->note->stats.total_ns += s->total_ns;
    }
    txn_scan_close(f->scan);
    f->scan = NULL;
    f->batch = false;
}

/* ---- which way --------------------------------------------------------------------------------------------------- */

static bool is_point(const struct span_set *s) {
    return s->n == 1 && s->v[0].end.bytes == s->v[0].start.bytes + 1 && s->v[0].end.p[s->v[0].start.bytes] == 0;
}

static enum rc tables_of(struct exec *e, const struct select *s, struct txn_table **ret, size_t *ret_n,
                         struct err *err) {
    struct txn_table *t = arena_array(&e->arena, s->sources + 1, sizeof *t);
    size_t n = 0;
    if (!t)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (uint32_t i = 0; i < s->sources; i++) {
        const struct table *store = s->source[i].table->store;
        size_t k = 0;
        while (k < n && t[k].id != store->id)
            k++;
        if (k == n)
            t[n++] = (struct txn_table){store->id, store->version};
    }
    *ret = t;
    *ret_n = n;
    return RC_OK;
}

static uint64_t count_of(const struct exec *e, uint32_t calc, uint64_t otherwise) {
    if (calc == CALC_NONE)
        return otherwise;
    const struct value *v = &e->calc[calc];
    return v->kind == VALUE_INT && v->i >= 0 ? (uint64_t)v->i : otherwise;
}

static enum rc open_scan(struct read *r, const struct text *text, const struct span_set *spans,
                         struct txn_scan_conf *how, struct err *err) {
    struct exec *e = r->e;
    struct txn_table *tables = NULL;
    enum rc rc = tables_of(e, r->select, &tables, &how->n_tables, err);
    how->fragment = &text->fragment;
    how->tables = tables;
    how->spans = spans->v;
    how->n_spans = spans->n;
    how->lock = r->select->lock;
    how->wait = r->select->wait;
    how->locked = r->select->lock > LOCK_SHARED;
    if (!rc && !how->params)
        rc = exec_slots(e, text, &how->params, err);
    if (!rc)
        rc = feed_open(&r->feed, e, how, text, err);
    r->how = READ_SCAN;
    return rc;
}

static enum rc open_spread(struct read *r, struct err *err) {
    const struct spread *s = &r->select->spread;
    struct span_set spans;
    struct txn_scan_conf how = {.ordered = s->ordered, .reverse = s->reverse};
    const struct source *src = &r->select->source[0];
    enum rc rc = spans_of(r->e, &src->keys, &spans, err);
    r->left = count_of(r->e, s->limit, UINT64_MAX);
    r->skip = count_of(r->e, s->offset, 0);
    r->spread = true;
    r->how = READ_SCAN;
    if (rc || spans.n == 0 || r->left == 0)
        return rc;
    if (src->via)
        return feed_open_via(&r->feed, r->e, src, s->by_keys, err);
    r->spans = spans;
    how.rows_max = r->chunk;
    if (r->left < UINT64_MAX - r->skip && r->left + r->skip < UINT64_MAX) {
        how.rows_max = r->left + r->skip;
        how.ordered = how.ordered || !is_point(&spans);
        if (how.rows_max < FRAGMENT_BATCH_ROWS)
            how.batch_rows = (uint32_t)how.rows_max;
    }
    return open_scan(r, &s->text, &spans, &how, err);
}

/* Notes where to go on. The row begins with all columns of the table. */
static enum rc note_key(struct read *r, const struct value *row, struct err *err) {
    const struct table *t = r->select->source[0].table->store;
    struct value key[TABLE_KEY_MAX];
    for (uint16_t i = 0; i < t->n_key; i++)
        key[i] = row[t->key[i].col];
    return exec_keep(r->e, key, t->n_key, &r->last_key, err);
}

enum rc read_next_chunk(struct read *r, bool *ret_more, struct err *err) {
    const struct text *text = &r->select->spread.after;
    struct txn_scan_conf how = {.ordered = true, .rows_max = r->chunk};
    struct exec *e = r->e;
    struct span_set before;
    struct span last;
    *ret_more = r->chunk > 0 && r->chunk_rows == r->chunk;
    if (!*ret_more)
        return RC_OK;
    const struct table *t = r->select->source[0].table->store;
    feed_close(&r->feed);
    r->chunk_rows = 0;
    enum rc rc = span_of_row(&e->arena, t, r->last_key, t->n_key, &last, err);
    if (!rc)
        rc = span_set_split(&e->arena, r->spans, last.end, &before, &r->spans, err);
    if (rc || r->spans.n == 0)
        return rc;
    struct value *params = arena_array(&e->arena, text->slots + t->n_key, sizeof *params);
    if (!params)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (uint32_t i = 0; i < text->slots; i++)
        params[i] = e->calc[text->slot[i]];
    memcpy(params + text->slots, r->last_key, t->n_key * sizeof *params);
    how.params = params;
    return open_scan(r, text, &r->spans, &how, err);
}

/* The spans of all sources together. */
static enum rc all_spans(struct exec *e, const struct select *s, struct span_set *ret, struct err *err) {
    enum rc rc = RC_OK;
    *ret = (struct span_set){NULL, 0};
    for (uint32_t i = 0; i < s->sources && !rc; i++) {
        struct span_set one;
        rc = spans_of(e, &s->source[i].keys, &one, err);
        if (!rc)
            rc = i ? span_set_union(&e->arena, *ret, one, ret, err) : (*ret = one, RC_OK);
    }
    return rc;
}

static enum rc open_stage(struct read *r, struct err *err) {
    r->how = READ_STAGE;
    r->whole = false;
    return stage_open(r->e, r->select, &r->stage, err);
}

static enum rc open_whole(struct read *r, struct err *err) {
    struct span_set spans;
    struct txn_scan_conf how = {.whole = true};
    bool one = false;
    enum rc rc = all_spans(r->e, r->select, &spans, err);
    if (!rc && spans.n > 0 && !(one = is_point(&spans)))
        rc = txn_on_one_tablet(r->e->env->txn, spans.v, spans.n, &one, err);
    if (rc)
        return rc;
    if (!one)
        return open_stage(r, err);
    r->whole = true;
    rc = open_scan(r, &r->select->whole, &spans, &how, err);
    if (rc != RC_MOVED)
        return rc;
    err_clear(err);
    feed_close(&r->feed);
    return open_stage(r, err);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static enum rc next_of_rows(struct read *r, const struct value **ret) {
    const struct select *s = r->select;
    *ret = NULL;
    if (r->at == s->rows)
        return RC_OK;
    for (uint32_t i = 0; i < s->columns; i++)
        r->out[i] = r->e->calc[s->row[r->at * s->columns + i]];
    r->at++;
    *ret = r->out;
    return RC_OK;
}

/* ---- SKIP LOCKED ------------------------------------------------------------------------------------------------- */

static enum rc open_skip(struct read *r, struct err *err) {
    const struct spread *s = &r->select->spread;
    r->how = READ_SKIP;
    r->left = count_of(r->e, s->limit, UINT64_MAX);
    r->skip = count_of(r->e, s->offset, 0);
    arena_init(&r->one, 0);
    struct read *found = arena_new(&r->e->arena, struct read);
    if (!found)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    if (r->left == 0)
        return RC_OK;
    r->found = found;
    return read_open(found, r->e, r->select->found, 0, err);
}

/* The row as it is under its lock; none if somebody else has it, or it is no longer what was looked for. */
static enum rc look_again(struct read *r, const struct value *key, const struct value **ret, struct err *err) {
    const struct select *s = r->select;
    const struct text *text = &s->again;
    const struct table *t = s->source[0].table->store;
    feed_close(&r->feed);
    arena_reset(&r->one);
    struct value *params = arena_array(&r->one, text->slots + t->n_key, sizeof *params);
    struct txn_table *table = arena_new(&r->one, struct txn_table);
    struct span span;
    if (!params || !table)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (uint32_t i = 0; i < text->slots; i++)
        params[i] = r->e->calc[text->slot[i]];
    for (uint16_t k = 0; k < t->n_key; k++)
        params[text->slots + k] = key[k];
    *table = (struct txn_table){t->id, t->version};
    enum rc rc = span_of_row(&r->one, t, key, t->n_key, &span, err);
    struct txn_scan_conf how = {.fragment = &text->fragment,
                                .params = params,
                                .tables = table,
                                .n_tables = 1,
                                .spans = &span,
                                .n_spans = 1,
                                .lock = s->lock,
                                .wait = s->wait,
                                .locked = s->lock > LOCK_SHARED};
    if (!rc)
        rc = feed_open(&r->feed, r->e, &how, text, err);
    return rc ? rc : feed_next(&r->feed, r->e, ret, err);
}

static enum rc next_not_locked(struct read *r, const struct value **ret, struct err *err) {
    enum rc rc = RC_OK;
    *ret = NULL;
    while (!rc && !*ret && r->left > 0) {
        const struct value *row;
        rc = read_next(r->found, &row, err);
        if (!rc && !row)
            break;
        if (!rc)
            rc = look_again(r, row + r->select->columns, ret, err);
        if (!rc && *ret && r->skip > 0) { /* OFFSET counts rows that it could have */
            r->skip--;
            *ret = NULL;
        }
    }
    r->left -= !rc && *ret;
    if (!rc && !*ret) { /* tablets stop; what they did is noted */
        feed_close(&r->feed);
        if (r->found)
            feed_close(&r->found->feed);
    }
    return rc;
}

/* In PostgreSQL's words. */
static enum rc not_waited(const struct select *s, enum rc rc, struct err *err) {
    char detail[ERR_DETAIL_BYTES];
    if (rc != RC_TIMEOUT || s->wait != TXN_NO_WAIT || strcmp(err_sqlstate(err), "55P03") != 0)
        return rc;
    memcpy(detail, err->detail, sizeof detail);
    if (s->sources == 1)
        err_set(err, rc, "could not obtain lock on row in relation \"%s\"", s->source[0].table->name);
    else
        err_set(err, rc, "could not obtain lock on row");
    err_state(err, "55P03");
    err_detail(err, "%s", detail);
    return rc;
}

static enum rc open_read(struct read *r, struct exec *e, const struct select *s, uint64_t chunk, struct err *err) {
    *r = (struct read){.e = e, .select = s, .left = UINT64_MAX, .chunk = chunk};
    if (s->is_rows) {
        r->how = READ_ROWS;
        r->out = arena_array(&e->arena, s->columns + 1, sizeof *r->out);
        return r->out ? RC_OK : err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    }
    if (s->found)
        return open_skip(r, err);
    if (s->spread.text.sql)
        return open_spread(r, err);
    if (s->whole.sql && s->sources > 0)
        return open_whole(r, err);
    return open_stage(r, err);
}

enum rc read_open(struct read *r, struct exec *e, const struct select *s, uint64_t chunk, struct err *err) {
    return not_waited(s, open_read(r, e, s, chunk, err), err);
}

static enum rc next_row(struct read *r, const struct value **ret, struct err *err) {
    enum rc rc = RC_OK;
    switch (r->how) {
    case READ_ROWS:
        rc = next_of_rows(r, ret);
        break;
    case READ_STAGE:
        rc = stage_next(r->stage, ret, err);
        break;
    case READ_SKIP:
        rc = next_not_locked(r, ret, err);
        break;
    case READ_SCAN:
        do {
            *ret = NULL;
            if (r->left == 0) {
                feed_close(&r->feed); /* tablets stop; what they did is noted */
                return RC_OK;
            }
            rc = feed_next(&r->feed, r->e, ret, err);
        } while (!rc && *ret && r->skip > 0 && r->skip--);
        if (rc == RC_MOVED && r->whole && r->rows == 0) { /* it was one tablet when we asked */
            err_clear(err);
            feed_close(&r->feed);
            rc = open_stage(r, err);
            return rc ? rc : read_next(r, ret, err);
        }
        r->left -= !rc && *ret;
        if (!rc && !*ret)
            feed_close(&r->feed);
        break;
    }
    r->rows += !rc && *ret;
    if (!rc && *ret && r->chunk > 0 && ++r->chunk_rows == r->chunk)
        rc = note_key(r, *ret, err);
    return rc;
}

enum rc read_next(struct read *r, const struct value **ret, struct err *err) {
    return not_waited(r->select, next_row(r, ret, err), err);
}

void read_close(struct read *r) {
    feed_close(&r->feed);
    stage_close(r->stage);
    r->stage = NULL;
    if (r->found)
        read_close(r->found);
    r->found = NULL;
    if (r->how == READ_SKIP)
        arena_done(&r->one);
    r->how = READ_ROWS;
}
