/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtab.c: a source of the final stage as a virtual table of SQLite's.
 *
 * SQLite has no hash join. So a table accepts equality on any columns: at the first such look its rows are read into memory and
 * hashed by those columns. Keys are normalised, so that 1 = 1.0 and numeric 1.0 = 1.00; SQLite compares once more itself.
 *
 * Looks by the beginning of the table's key need not the whole table: they read and lock what they ask for, and no more. A join
 * that asks for as many rows as the table has gets the hash (lookahead.c).
 *
 * idxNum 1: by equality, idxStr names the columns, in the order of the arguments; 0: all rows.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/exec/stage.h"

struct vtab {
    sqlite3_vtab base;
    struct vsource *source;
};

struct hashed_row {
    struct map_node node;
    const struct kept_row *row;
    size_t n;
    uint8_t key[];
};

static int fail(struct vsource *s, enum rc rc) {
    struct stage *g = s->stage;
    g->rc = rc;
    if (g->err.rc != rc)
        err_set(&g->err, rc, "%s", rc_text(rc));
    return rc == RC_NOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
}

/* ---- rows in memory ---------------------------------------------------------------------------------------------- */

static enum rc keep_row(struct vsource *s, const struct value *v, size_t n, struct err *err) {
    struct kept_row *k = arena_new(&s->arena, struct kept_row);
    struct value *copy = arena_array(&s->arena, n + 1, sizeof *copy);
    size_t bytes = sizeof *k + n * sizeof *copy;
    if (!k || !copy)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (size_t i = 0; i < n; i++) {
        copy[i] = v[i];
        bytes += v[i].bytes;
        if (value_copy(&s->arena, &copy[i]))
            return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    }
    k->v = copy;
    k->number = s->rows;
    *s->last = k;
    s->last = &k->next;
    s->rows++;
    s->bytes += bytes;
    return exec_charge(s->stage->e, bytes, err);
}

static void drop_rows(struct vsource *s) {
    s->stage->e->memory -= s->bytes;
    s->bytes = 0;
    s->first = NULL;
    s->last = &s->first;
    s->rows = 0;
    arena_reset(&s->arena);
}

static enum rc on_virtual(void *to, const struct value *v, struct err *err) {
    struct vsource *s = to;
    return keep_row(s, v, s->source->table->columns, err);
}

/* rows_max: of each tablet; 0 = all. */
static enum rc open_feed(struct vsource *s, struct feed *f, uint64_t rows_max, struct err *err) {
    struct exec *e = s->stage->e;
    const struct source *src = s->source;
    struct span_set spans;
    struct txn_table table = {src->table->store->id, src->table->store->version};
    struct txn_scan_conf how = {.fragment = &src->text.fragment,
                                .tables = &table,
                                .n_tables = 1,
                                .lock = src->lock,
                                .wait = src->wait,
                                .locked = src->locked};
    enum rc rc = spans_of(e, &src->keys, &spans, err);
    if (rc || spans.n == 0)
        return rc;
    if (src->via)
        return feed_open_via(f, e, src, src->by_keys, err);
    how.spans = spans.v;
    how.n_spans = spans.n;
    how.rows_max = rows_max;
    rc = exec_slots(e, &src->text, &how.params, err);
    return rc ? rc : feed_open(f, e, &how, &src->text, err);
}

/* rows_max: with more rows than that nothing is loaded, and *ret_more is set; 0: all of them. */
static enum rc load_rows(struct vsource *s, uint64_t rows_max, bool *ret_more, struct err *err) {
    struct exec *e = s->stage->e;
    struct feed feed = {0};
    enum rc rc = open_feed(s, &feed, rows_max ? rows_max + 1 : 0, err);
    for (const struct value *row; !rc && !(rc = feed_next(&feed, e, &row, err)) && row;) {
        *ret_more = rows_max && s->rows == rows_max;
        if (*ret_more)
            break;
        rc = keep_row(s, row, s->source->fetches, err);
    }
    feed_close(&feed);
    return rc;
}

enum rc vsource_load(struct vsource *s) {
    struct err *err = &s->stage->err;
    bool more;
    enum rc rc;
    if (s->loaded)
        return RC_OK;
    drop_rows(s);
    if (s->source->virtual_rows && with_rows(s->stage->e, s->source->table, on_virtual, s, &rc, err)) {
        ; /* kept */
    } else if (s->source->virtual_rows) {
        const struct exec_virtual *v = &s->stage->e->env->virtuals;
        rc = v->rows ? v->rows(v->ctx, s->source->table, on_virtual, s, err)
                     : err_set(err, RC_UNSUPPORTED, "relation \"%s\" has no rows here", s->source->table->name);
    } else {
        rc = load_rows(s, 0, &more, err);
    }
    s->loaded = !rc;
    return rc;
}

/* If they are not more than that, and fit into memory. */
static enum rc load_few(struct vsource *s, uint64_t rows_max, struct err *err) {
    bool more = false;
    drop_rows(s);
    enum rc rc = load_rows(s, rows_max, &more, err);
    s->loaded = !rc && !more;
    if (!s->loaded)
        drop_rows(s);
    if (rc == RC_LIMIT) {
        err_clear(err);
        s->ahead.next_try = UINT64_MAX;
        return RC_OK;
    }
    return rc;
}

/* ---- hashes ------------------------------------------------------------------------------------------------------ */

static bool is_numeric_text(const struct source *s, uint32_t col) {
    const struct col *c = col < s->rel->cols ? &s->rel->col[col].type : &s->table->column[col].type;
    return plan_class(c) == COL_NUMERIC;
}

/* Equal values give equal bytes. False: NULL, which equals nothing. */
static bool put_key(const struct source *s, uint32_t col, const struct value *v, struct buf *to) {
    static const struct key_part numeric = {.col = {.type = COL_NUMERIC, .typmod = COL_TYPMOD_NONE}};
    if (v->kind == VALUE_NULL)
        return false;
    if (v->kind == VALUE_TEXT && is_numeric_text(s, col) && key_put(to, &numeric, v, NULL) == RC_OK)
        return true;
    if (v->kind == VALUE_REAL && v->r >= -9e15 && v->r <= 9e15 && v->r == (double)(int64_t)v->r) {
        struct value i = value_int((int64_t)v->r);
        value_put(to, &i);
        return true;
    }
    value_put(to, v);
    return true;
}

const struct value *vsource_value(const struct source *s, const struct value *row, uint32_t col) {
    static const struct value null = {.kind = VALUE_NULL};
    if (s->virtual_rows)
        return col < s->table->columns ? &row[col] : &null;
    return col < s->cols && s->place[col] >= 0 ? &row[s->place[col]] : &null;
}

static enum rc add_hashed(struct vsource *s, struct hash_index *x, const struct kept_row *k, struct buf *key) {
    bool there = true;
    buf_reset(key, 4096);
    for (const char *at = x->columns; *at && there;) {
        char *end;
        uint32_t col = (uint32_t)strtoul(at, &end, 10);
        there = put_key(s->source, col, vsource_value(s->source, k->v, col), key);
        at = *end ? end + 1 : end;
    }
    if (!there)
        return RC_OK;
    struct exec *e = s->stage->e;
    struct hashed_row *h = buf_rc(key) ? NULL : arena_alloc(&e->arena, sizeof *h + key->len);
    if (!h)
        return RC_NOMEM;
    e->memory += sizeof *h + key->len;
    h->row = k;
    h->n = key->len;
    memcpy(h->key, key->data, key->len);
    map_put(&x->map, &h->node, hash_bytes(key->data, key->len, 0));
    return RC_OK;
}

static enum rc find_index(struct vsource *s, const char *columns, struct hash_index **ret) {
    struct buf key;
    enum rc rc = RC_OK;
    for (struct hash_index *x = s->indexes; x; x = x->next)
        if (strcmp(x->columns, columns) == 0) {
            *ret = x;
            return RC_OK;
        }
    struct hash_index *x = arena_new(&s->stage->e->arena, struct hash_index);
    char *copy = arena_strdup(&s->stage->e->arena, columns);
    if (!x || !copy)
        return RC_NOMEM;
    x->columns = copy;
    map_init(&x->map);
    x->next = s->indexes;
    s->indexes = x;
    buf_init(&key, 0);
    for (const struct kept_row *k = s->first; k && !rc; k = k->next)
        rc = add_hashed(s, x, k, &key);
    buf_done(&key);
    *ret = x;
    return rc;
}

void vsource_init(struct vsource *s, struct stage *g, const struct source *source) {
    *s = (struct vsource){.stage = g, .source = source, .last = &s->first};
    arena_init(&s->arena, 0);
    lookahead_init(s);
}

void vsource_done(struct vsource *s) {
    for (struct hash_index *x = s->indexes; x; x = x->next)
        map_done(&x->map);
    lookahead_done(s);
    arena_done(&s->arena);
}

/* ---- the module -------------------------------------------------------------------------------------------------- */

static int on_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **ret, char **message) {
    struct vsource *s = aux;
    (void)argc, (void)argv, (void)message;
    int code = sqlite3_declare_vtab(db, s->source->shape);
    if (code != SQLITE_OK)
        return code;
    struct vtab *t = calloc(1, sizeof *t);
    if (!t)
        return SQLITE_NOMEM;
    t->source = s;
    *ret = &t->base;
    return SQLITE_OK;
}

static int on_disconnect(sqlite3_vtab *vt) {
    free(vt);
    return SQLITE_OK;
}

/* Is the comparison the one that the hash makes? */
static bool right_collation(const struct source *s, sqlite3_index_info *info, int i) {
    const char *want = is_numeric_text(s, (uint32_t)info->aConstraint[i].iColumn) ? "pgnum" : "BINARY";
    const char *got = sqlite3_vtab_collation(info, i);
    return got && strcmp(got, want) == 0;
}

/* The place of a key's column among those looked up by, or -1. */
static int place_among(const struct source *src, uint16_t part, const char *columns) {
    const struct table *t = src->table->store;
    int place = 0;
    for (const char *at = columns; *at; place++) {
        char *end;
        unsigned long col = strtoul(at, &end, 10);
        if (col < src->table->columns && src->table->column[col].id == t->cols[t->key[part].col].id)
            return place;
        at = *end ? end + 1 : end;
    }
    return -1;
}

/* What SQLite knows nothing of: the conditions that the tablets check. */
static double rows_guess(const struct vsource *s) {
    const struct source *src = s->source;
    const struct exec_env *env = s->stage->e->env;
    double known = env->rows && !src->virtual_rows ? env->rows(env->rows_ctx, src->table->store) : -1;
    double rows = known < 0 ? 100000 : known < 10 ? 10 : known;
    for (uint32_t i = 0; i < src->equalities && rows > 100; i++)
        rows /= 20;
    for (uint32_t i = 0; i < src->filters && rows > 100; i++)
        rows /= 3;
    return rows;
}

/* A look by key costs one request for many; any other one that all rows are read and kept first. That is paid once, and SQLite counts
 * it for each look: it grows faster than the rows, so that of two tables the smaller one is kept. */
static void guess_look(const struct vsource *s, const char *columns, sqlite3_index_info *info) {
    const struct source *src = s->source;
    uint16_t parts = 0;
    if (!src->virtual_rows && src->point[0].sql)
        while (parts < src->table->store->n_key && place_among(src, parts, columns) >= 0)
            parts++;
    double rows = rows_guess(s), hashed = 1 + rows * sqrt(rows) / 1000, most = 1 + rows / 10;
    info->estimatedRows = parts > 0 && parts == src->table->store->n_key ? 1 : 10;
    info->estimatedCost = parts > 0 ? 5 : hashed < most ? hashed : most;
}

static int on_best_index(sqlite3_vtab *vt, sqlite3_index_info *info) {
    struct vsource *s = ((struct vtab *)vt)->source;
    char columns[256];
    size_t at = 0;
    int n = 0;
    for (int i = 0; i < info->nConstraint && at < sizeof columns - 16; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        if (!c->usable || c->op != SQLITE_INDEX_CONSTRAINT_EQ || c->iColumn < 0 || !right_collation(s->source, info, i))
            continue;
        at += (size_t)snprintf(columns + at, sizeof columns - at, "%s%d", n ? "," : "", c->iColumn);
        info->aConstraintUsage[i].argvIndex = ++n;
    }
    info->idxNum = n > 0;
    if (n == 0) {
        info->estimatedRows = s->few ? 10 : (sqlite3_int64)rows_guess(s);
        info->estimatedCost = s->few ? 20 : rows_guess(s);
        return SQLITE_OK;
    }
    guess_look(s, columns, info);
    info->idxStr = sqlite3_mprintf("%s", columns);
    info->needToFreeIdxStr = 1;
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

static int on_open(sqlite3_vtab *vt, sqlite3_vtab_cursor **ret) {
    struct vcursor *c = calloc(1, sizeof *c);
    if (!c)
        return SQLITE_NOMEM;
    c->source = ((struct vtab *)vt)->source;
    c->source->cursor = c;
    buf_init(&c->key, 0);
    arena_init(&c->ahead[0], 0);
    arena_init(&c->ahead[1], 0);
    *ret = &c->base;
    return SQLITE_OK;
}

static int on_close(sqlite3_vtab_cursor *vc) {
    struct vcursor *c = (struct vcursor *)vc;
    lookahead_leave(c);
    if (c->source->cursor == c)
        c->source->cursor = NULL;
    feed_close(&c->feed);
    buf_done(&c->key);
    arena_done(&c->ahead[0]);
    arena_done(&c->ahead[1]);
    free(c);
    return SQLITE_OK;
}

/* The first node from n on with the cursor's key. */
static void next_hit(struct vcursor *c, struct map_node *n) {
    c->row = NULL;
    for (; n; n = map_next(n)) {
        const struct hashed_row *h = container_of(n, struct hashed_row, node);
        if (h->n == c->key.len && memcmp(h->key, c->key.data, h->n) == 0) {
            c->row = h->row->v;
            c->rowid = (sqlite3_int64)h->row->number;
            break;
        }
    }
    c->hit = n;
}

static enum rc copy_row(struct vcursor *c, const struct value *v, const struct value **ret, struct err *err) {
    size_t n = c->feed.columns;
    struct arena *a = &c->ahead[c->ahead_at];
    struct value *copy = arena_array(a, n + 1, sizeof *copy);
    bool fine = copy != NULL;
    for (size_t i = 0; fine && i < n; i++) {
        copy[i] = v[i];
        fine = value_copy(a, &copy[i]) == RC_OK;
    }
    *ret = copy;
    return fine ? RC_OK : err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
}

enum rc vcursor_peek(struct vcursor *c, size_t n, const struct peeked **ret, struct err *err) {
    struct exec *e = c->source->stage->e;
    struct peeked **last = &c->peeked;
    enum rc rc = RC_OK;
    if (!c->peeked) { /* the present row may be one of the last that were peeked, or the feed's own */
        c->ahead_at = !c->ahead_at;
        arena_reset(&c->ahead[c->ahead_at]);
        rc = copy_row(c, c->row, &c->row, err);
        for (size_t i = 0; !rc && i < n; i++) {
            const struct value *row;
            rc = feed_next(&c->feed, e, &row, err);
            if (rc || !row)
                break;
            struct peeked *p = arena_new(&c->ahead[c->ahead_at], struct peeked);
            rc = p ? copy_row(c, row, &p->v, err) : err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
            if (rc)
                break;
            *last = p;
            last = &p->next;
        }
    }
    *ret = c->peeked;
    return rc;
}

static int stream_next(struct vcursor *c) {
    struct vsource *s = c->source;
    if (c->peeked) {
        c->row = c->peeked->v;
        c->peeked = c->peeked->next;
        return SQLITE_OK;
    }
    enum rc rc = feed_next(&c->feed, s->stage->e, &c->row, &s->stage->err);
    return rc ? fail(s, rc) : SQLITE_OK;
}

/* How many of the key's first columns are known, with values that they can have. -1: a value that no row has. */
static int known_parts(const struct source *src, const char *columns, sqlite3_value **argv, struct value *key) {
    const struct table *t = src->table->store;
    int n = 0;
    while (n < t->n_key && n < POINT_PARTS_MAX) {
        int at = place_among(src, (uint16_t)n, columns);
        if (at < 0 || value_from_sqlite(argv[at], &key[n]))
            break;
        if (key[n].kind == VALUE_NULL || col_check(&t->cols[t->key[n].col].col, &key[n], NULL))
            return -1;
        n++;
    }
    return n;
}

static enum rc open_point(struct vsource *s, struct feed *f, const struct value *key, uint16_t n, struct err *err) {
    struct exec *e = s->stage->e;
    const struct source *src = s->source;
    const struct text *text = &src->point[n - 1];
    struct txn_table *table = arena_new(&e->arena, struct txn_table);
    struct span *span = arena_new(&e->arena, struct span);
    struct value *params = arena_array(&e->arena, text->slots + n, sizeof *params);
    if (!table || !span || !params)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    *table = (struct txn_table){src->table->store->id, src->table->store->version};
    struct txn_scan_conf how = {.fragment = &text->fragment,
                                .params = params,
                                .tables = table,
                                .n_tables = 1,
                                .spans = span,
                                .n_spans = 1,
                                .lock = src->lock,
                                .wait = src->wait,
                                .locked = src->locked};
    for (uint32_t i = 0; i < text->slots; i++)
        params[i] = e->calc[text->slot[i]];
    for (uint16_t i = 0; i < n; i++) {
        params[text->slots + i] = key[i];
        if (value_copy(&e->arena, &params[text->slots + i]))
            return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    }
    enum rc rc = span_of_row(&e->arena, src->table->store, key, n, span, err);
    return rc ? rc : feed_open(f, e, &how, text, err);
}

/* Reads only what is asked for. *ret_done false: it is not that kind of a look. */
static int look_at_point(struct vcursor *c, const char *columns, sqlite3_value **argv, bool *ret_done) {
    struct vsource *s = c->source;
    struct err *err = &s->stage->err;
    struct value key[POINT_PARTS_MAX];
    uint64_t rows;
    *ret_done = false;
    if (s->loaded || s->source->virtual_rows || !s->source->point[0].sql)
        return SQLITE_OK;
    int n = known_parts(s->source, columns, argv, key);
    if (n == 0)
        return SQLITE_OK;
    *ret_done = true;
    if (n < 0)
        return SQLITE_OK;
    enum rc rc = lookahead_try_all(s, &rows) ? load_few(s, rows, err) : RC_OK;
    if (rc || s->loaded) {
        *ret_done = rc != RC_OK;
        return rc ? fail(s, rc) : SQLITE_OK;
    }
    bool found = false;
    rc = lookahead_find(c, key, (uint16_t)n, &found, err);
    if (rc || found)
        return rc ? fail(s, rc) : SQLITE_OK;
    s->looks_by_key++;
    c->streams = true;
    rc = open_point(s, &c->feed, key, (uint16_t)n, err);
    return rc ? fail(s, rc) : stream_next(c);
}

static int look_up(struct vcursor *c, const char *columns, int argc, sqlite3_value **argv) {
    struct vsource *s = c->source;
    struct hash_index *x = NULL;
    const char *at = columns;
    bool done;
    int code = look_at_point(c, columns, argv, &done);
    if (done || code != SQLITE_OK)
        return code;
    enum rc rc = vsource_load(s);
    if (!rc)
        rc = find_index(s, columns, &x);
    if (rc)
        return fail(s, rc);
    buf_reset(&c->key, 4096);
    c->row = NULL;
    for (int i = 0; i < argc; i++) {
        struct value v;
        char *end;
        uint32_t col = (uint32_t)strtoul(at, &end, 10);
        if (value_from_sqlite(argv[i], &v))
            return SQLITE_NOMEM;
        if (!put_key(s->source, col, &v, &c->key))
            return SQLITE_OK;
        at = *end ? end + 1 : end;
    }
    if (buf_rc(&c->key))
        return SQLITE_NOMEM;
    next_hit(c, map_first(&x->map, hash_bytes(c->key.data, c->key.len, 0)));
    return SQLITE_OK;
}

static int on_filter(sqlite3_vtab_cursor *vc, int by_equality, const char *columns, int argc, sqlite3_value **argv) {
    struct vcursor *c = (struct vcursor *)vc;
    struct vsource *s = c->source;
    feed_close(&c->feed);
    lookahead_leave(c);
    s->cursor = c;
    c->peeked = NULL;
    c->streams = false;
    c->hit = NULL;
    c->at = NULL;
    c->row = NULL;
    c->rowid = 0;
    if (by_equality)
        return look_up(c, columns, argc, argv);
    if (s->looks++ == 0 && !s->loaded && !s->source->virtual_rows && !s->stage->select->keeps_rows) {
        c->streams = true;
        enum rc rc = open_feed(s, &c->feed, 0, &s->stage->err);
        return rc ? fail(s, rc) : stream_next(c);
    }
    enum rc rc = vsource_load(s);
    if (rc)
        return fail(s, rc);
    c->at = s->first;
    c->row = c->at ? c->at->v : NULL;
    return SQLITE_OK;
}

static int on_next(sqlite3_vtab_cursor *vc) {
    struct vcursor *c = (struct vcursor *)vc;
    if (c->hit) {
        if (c->in_batch)
            lookahead_next(c);
        else
            next_hit(c, map_next(c->hit));
        return SQLITE_OK;
    }
    c->rowid++;
    if (c->streams)
        return stream_next(c);
    c->at = c->at->next;
    c->row = c->at ? c->at->v : NULL;
    return SQLITE_OK;
}

static int on_eof(sqlite3_vtab_cursor *vc) {
    return ((struct vcursor *)vc)->row == NULL;
}

static int on_column(sqlite3_vtab_cursor *vc, sqlite3_context *ctx, int col) {
    struct vcursor *c = (struct vcursor *)vc;
    if (c->row && col >= 0)
        value_result(ctx, vsource_value(c->source->source, c->row, (uint32_t)col));
    return SQLITE_OK;
}

/* SQLite tells rows apart by it where it looks several times (OR): the same row has the same number, however it was found. */
static int on_rowid(sqlite3_vtab_cursor *vc, sqlite3_int64 *ret) {
    struct vcursor *c = (struct vcursor *)vc;
    const struct source *src = c->source->source;
    struct buf b;
    if (!src->point[0].sql) {
        *ret = c->rowid;
        return SQLITE_OK;
    }
    buf_init(&b, 0);
    for (uint16_t i = 0; i < src->table->store->n_key; i++)
        value_put(&b, vsource_value(src, c->row, src->key_col[i]));
    *ret = (sqlite3_int64)(hash_bytes(b.data, b.len, 0) >> 1);
    int code = buf_rc(&b) ? SQLITE_NOMEM : SQLITE_OK;
    buf_done(&b);
    return code;
}

enum rc vsource_register(struct vsource *s, struct err *err) {
    static const sqlite3_module module = {
        .iVersion = 2,
        .xConnect = on_connect,
        .xBestIndex = on_best_index,
        .xDisconnect = on_disconnect,
        .xOpen = on_open,
        .xClose = on_close,
        .xFilter = on_filter,
        .xNext = on_next,
        .xEof = on_eof,
        .xColumn = on_column,
        .xRowid = on_rowid,
    };
    char name[16];
    const struct keys *k = &s->source->keys;
    snprintf(name, sizeof name, "s%u", s->source->number);
    s->few = !s->source->virtual_rows && k->parts > 0 && k->parts == k->table->n_key && k->part[k->parts - 1].eqs > 0;
    int code = sqlite3_create_module_v2(s->stage->db, name, &module, s, NULL);
    return code == SQLITE_OK ? RC_OK : stage_error(s->stage->db, "register a source", err);
}
