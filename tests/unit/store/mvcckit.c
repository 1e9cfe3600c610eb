/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/mvcckit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/pgnum.h"
#include "shard/store/rowbatch.h"

/* ---- the model ---- */

void kit_model_init(struct kit_model *m) {
    *m = (struct kit_model){.n_tables = 0};
    arena_init(&m->arena, 0);
}

void kit_model_done(struct kit_model *m) {
    for (int i = 0; i < m->n_tables; i++)
        table_unref(m->tables[i].desc);
    arena_done(&m->arena);
}

static const struct col *random_col(struct rng *rng, bool key) {
    static struct col cols[10];
    cols[0] = col_of(COL_INT4);
    cols[1] = col_of(COL_INT8);
    cols[2] = col_of(COL_TEXT);
    cols[3] = col_of(COL_BYTEA);
    cols[4] = col_of(COL_FLOAT8);
    cols[5] = col_of(COL_NUMERIC);
    cols[6] = col_numeric(10, 2);
    cols[7] = col_of(COL_BOOL);
    cols[8] = col_of(COL_TIMESTAMPTZ);
    cols[9] = col_of(COL_VARCHAR);
    return &cols[rng_below(rng, key ? 7 : 10)];
}

struct table *kit_random_table(struct kit_model *m, struct rng *rng, uint64_t id) {
    struct table_col cols[KIT_COLS_MAX] = {{0}};
    struct table_part key[3], parts[2][2];
    struct table_index indexes[2];
    struct table t = {.id = id, .group = id, .version = 1, .cols = cols, .key = key, .indexes = indexes};
    t.n_cols = (uint16_t)rng_range(rng, 2, 6);
    t.n_key = (uint16_t)rng_range(rng, 1, t.n_cols - 1 < 3 ? t.n_cols - 1 : 3);
    bool heap = rng_chance(rng, 0.25);
    uint16_t first = (uint16_t)rng_range(rng, 0, t.n_cols - t.n_key); /* the key is somewhere */
    for (uint16_t i = 0; i < t.n_cols; i++) {
        bool in_key = i >= first && i < first + t.n_key;
        cols[i] =
            (struct table_col){.id = (uint32_t)(i + 1), .col = *random_col(rng, in_key), .not_null = in_key && !heap};
        if (in_key)
            key[t.n_key - 1 - (i - first)] = (struct table_part){i, rng_chance(rng, 0.3)}; /* in another order */
    }
    if (rng_chance(rng, 0.4)) /* one integer: a rowid table */
        cols[key[0].col].col = col_of(COL_INT8);
    t.n_indexes = (uint16_t)rng_below(rng, 3);
    for (uint16_t i = 0; i < t.n_indexes; i++) {
        indexes[i] = (struct table_index){.id = i + 1u, .n_parts = (uint16_t)rng_range(rng, 1, 2), .parts = parts[i]};
        parts[i][0] = (struct table_part){(uint16_t)rng_below(rng, t.n_cols), rng_chance(rng, 0.3)};
        parts[i][1] = (struct table_part){(uint16_t)((parts[i][0].col + 1) % t.n_cols), rng_chance(rng, 0.3)};
    }
    struct kit_table *kt = &m->tables[m->n_tables++];
    CHECK(m->n_tables <= KIT_TABLES_MAX);
    struct err err = {0};
    CHECKF(table_new(&t, &kt->desc, &err) == RC_OK, "%s", err.message);
    return kt->desc;
}

struct value kit_random_value(struct kit_model *m, struct rng *rng, const struct col *c, bool null_too) {
    static const char *const numbers[] = {"0",  "1",    "1.0", "1.00",     "-2.5",
                                          "10", "9.99", "NaN", "Infinity", "123456789012345678901"};
    if (null_too && rng_chance(rng, 0.15))
        return value_null();
    switch (col_kind(c)) {
    case VALUE_INT:
        if (c->type == COL_BOOL)
            return value_int((int64_t)rng_below(rng, 2));
        return value_int(rng_range(rng, -3, 9));
    case VALUE_REAL:
        return value_float(rng_chance(rng, 0.1) ? NAN : (double)rng_range(rng, -4, 8) / 2.0);
    default:
        break;
    }
    if (c->type == COL_NUMERIC) {
        const char *number = numbers[rng_below(rng, ARRAY_LEN(numbers))];
        return value_text(number, strlen(number));
    }
    size_t n = rng_below(rng, 3);
    char *p = arena_alloc(&m->arena, n + 1);
    CHECK(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + rng_below(rng, 3));
    return col_kind(c) == VALUE_TEXT ? value_text(p, n) : value_blob(p, n);
}

struct value *kit_random_row(struct kit_model *m, struct rng *rng, const struct table *t) {
    struct value *row = arena_array(&m->arena, t->n_cols, sizeof *row);
    CHECK(row);
    for (uint16_t i = 0; i < t->n_cols; i++)
        row[i] = kit_random_value(m, rng, &t->cols[i].col, !t->cols[i].not_null);
    return row;
}

struct kit_table *kit_find(struct kit_model *m, uint64_t table) {
    for (int i = 0; i < m->n_tables; i++)
        if (m->tables[i].desc->id == table)
            return &m->tables[i];
    return NULL;
}

int kit_compare_keys(const struct table *t, const struct value *a, const struct value *b) {
    for (uint16_t i = 0; i < t->n_key; i++) {
        int c = col_compare(&t->cols[t->key[i].col].col, &a[i], &b[i]);
        if (c)
            return t->key[i].desc ? -c : c;
    }
    return 0;
}

struct kit_key *kit_key(struct kit_model *m, struct kit_table *t, const struct value *key, bool make) {
    for (int i = 0; i < t->n_keys; i++)
        if (kit_compare_keys(t->desc, t->keys[i]->key, key) == 0)
            return t->keys[i];
    if (!make || t->n_keys == KIT_KEYS_MAX)
        return NULL;
    struct kit_key *k = arena_zalloc(&m->arena, sizeof *k);
    CHECK(k);
    memcpy(k->key, key, t->desc->n_key * sizeof *key);
    return t->keys[t->n_keys++] = k;
}

bool kit_has_event(const struct kit_key *k, int64_t ts) {
    for (int i = 0; i < k->n_events; i++)
        if (k->events[i].ts == ts)
            return true;
    return false;
}

int64_t kit_newest(const struct kit_key *k) {
    return k->n_events ? k->events[k->n_events - 1].ts : INT64_MIN;
}

bool kit_add(struct kit_model *m, const struct mvcc_mutation *x, int64_t ts) {
    struct kit_table *t = kit_find(m, x->table);
    struct value key[TABLE_KEY_MAX];
    for (uint16_t i = 0; i < t->desc->n_key; i++)
        key[i] = x->deletes ? x->values[i] : x->values[t->desc->key[i].col];
    struct kit_key *k = kit_key(m, t, key, true);
    if (!k || k->n_events == KIT_EVENTS_MAX || kit_has_event(k, ts))
        return false;
    int at = k->n_events++;
    for (; at > 0 && k->events[at - 1].ts > ts; at--)
        k->events[at] = k->events[at - 1];
    k->events[at] = (struct kit_event){ts, x->deletes, x->deletes ? NULL : (struct value *)x->values};
    return true;
}

const struct value *kit_at(const struct kit_key *k, int64_t ts) {
    const struct value *row = NULL;
    for (int i = 0; i < k->n_events && k->events[i].ts <= ts; i++)
        row = k->events[i].deleted ? NULL : k->events[i].row;
    return row;
}

/* ---- an overlay ---- */

struct overlay_cursor {
    struct kit_overlay *o;
    const struct table *t;
    struct value prefix[TABLE_KEY_MAX];
    uint16_t n;
    int at;
};

static struct kit_overlay *overlay_of(struct overlay *base) {
    return (struct kit_overlay *)base;
}

static bool own_touches(struct overlay *base, uint64_t table) {
    struct kit_overlay *o = overlay_of(base);
    for (int i = 0; i < o->n; i++)
        if (o->own[i].table == table)
            return true;
    return false;
}

static bool own_get(struct overlay *base, const struct table *t, const struct value *key, struct overlay_row *ret) {
    struct kit_overlay *o = overlay_of(base);
    for (int i = 0; i < o->n; i++)
        if (o->own[i].table == t->id && kit_compare_keys(t, o->own[i].key, key) == 0) {
            *ret = o->own[i].row;
            return true;
        }
    return false;
}

static enum rc own_open(struct overlay *base, const struct table *t, const struct value *prefix, uint16_t n,
                        struct overlay_cursor **ret) {
    struct overlay_cursor *c = calloc(1, sizeof *c);
    CHECK(c);
    *c = (struct overlay_cursor){.o = overlay_of(base), .t = t, .n = n};
    memcpy(c->prefix, prefix, n * sizeof *prefix);
    *ret = c;
    return RC_OK;
}

static bool own_next(struct overlay_cursor *c, struct overlay_row *ret) {
    for (; c->at < c->o->n; c->at++) {
        const struct kit_own *x = &c->o->own[c->at];
        bool fits = x->table == c->t->id;
        for (uint16_t i = 0; i < c->n && fits; i++)
            fits = col_compare(&c->t->cols[c->t->key[i].col].col, &c->prefix[i], &x->key[i]) == 0;
        if (fits) {
            *ret = x->row;
            c->at++;
            return true;
        }
    }
    return false;
}

static void own_close(struct overlay_cursor *c) {
    free(c);
}

static const struct overlay_ops own_ops = {own_touches, own_get, own_open, own_next, own_close};

void kit_overlay_init(struct kit_overlay *o) {
    *o = (struct kit_overlay){.base = {&own_ops}};
}

void kit_overlay_put(struct kit_overlay *o, const struct table *t, const struct mvcc_mutation *x) {
    struct kit_own own = {.table = t->id, .row = {x->deletes, x->n_values, x->values}};
    for (uint16_t i = 0; i < t->n_key; i++)
        own.key[i] = x->deletes ? x->values[i] : x->values[t->key[i].col];
    int at = 0;
    while (at < o->n && (o->own[at].table < t->id ||
                         (o->own[at].table == t->id && kit_compare_keys(t, o->own[at].key, own.key) < 0)))
        at++;
    if (at < o->n && o->own[at].table == t->id && kit_compare_keys(t, o->own[at].key, own.key) == 0) {
        o->own[at] = own;
        return;
    }
    if (o->n == (int)ARRAY_LEN(o->own))
        return;
    memmove(o->own + at + 1, o->own + at, (size_t)(o->n - at) * sizeof *o->own);
    o->own[at] = own;
    o->n++;
}

/* ---- questions ---- */

static int compare_rows(const void *a, const void *b) {
    const uint8_t *const *x = a, *const *y = b;
    uint32_t n = get_u32le(*x), k = get_u32le(*y);
    int c = memcmp(*x + 4, *y + 4, n < k ? n : k);
    return c ? c : (n > k) - (n < k);
}

static void sort_rows(struct buf *rows) {
    size_t n = 0;
    for (size_t at = 0; at < rows->len; at += 4 + get_u32le(rows->data + at))
        n++;
    const uint8_t **p = calloc(n + 1, sizeof(const uint8_t *));
    CHECK(p);
    n = 0;
    for (size_t at = 0; at < rows->len; at += 4 + get_u32le(rows->data + at))
        p[n++] = rows->data + at;
    qsort(p, n, sizeof(const uint8_t *), compare_rows);
    struct buf out;
    buf_init(&out, 0);
    for (size_t i = 0; i < n; i++)
        buf_put(&out, p[i], 4 + get_u32le(p[i]));
    free(p);
    buf_done(rows);
    *rows = out;
}

static void put_row(struct buf *to, const struct value *v, size_t n) {
    size_t at = to->len;
    buf_put_u32le(to, 0);
    for (size_t i = 0; i < n; i++)
        value_put(to, &v[i]);
    CHECK(!buf_rc(to));
    set_u32le(to->data + at, (uint32_t)(to->len - at - 4));
}

static void must(sqlite3 *db, const char *sql) {
    CHECKF(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

static void insert(sqlite3 *db, const struct table *t, const struct value *row) {
    struct buf sql;
    sqlite3_stmt *s = NULL;
    buf_init(&sql, 0);
    buf_printf(&sql, "INSERT INTO m%" PRIu64 " VALUES(", t->id);
    for (uint16_t i = 0; i < t->n_cols; i++)
        buf_printf(&sql, "%s?", i ? "," : "");
    buf_puts(&sql, ")");
    CHECK(sqlite3_prepare_v2(db, buf_cstr(&sql), -1, &s, NULL) == SQLITE_OK);
    for (uint16_t i = 0; i < t->n_cols; i++)
        CHECK(value_bind(s, i + 1, &row[i], VALUE_BORROWED) == RC_OK);
    CHECKF(sqlite3_step(s) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(s);
    buf_done(&sql);
}

static bool hidden_by(const struct kit_overlay *own, const struct table *t, const struct value *key) {
    for (int i = 0; own && i < own->n; i++)
        if (own->own[i].table == t->id && kit_compare_keys(t, own->own[i].key, key) == 0)
            return true;
    return false;
}

static void materialise(sqlite3 *db, const struct kit_table *kt, int64_t ts, const struct kit_overlay *own) {
    struct buf sql;
    buf_init(&sql, 0);
    buf_printf(&sql, "CREATE TABLE m%" PRIu64 "(", kt->desc->id);
    for (uint16_t i = 0; i < kt->desc->n_cols; i++)
        buf_printf(&sql, "%sc%u %s", i ? "," : "", kt->desc->cols[i].id, col_decl(&kt->desc->cols[i].col));
    buf_puts(&sql, ") STRICT");
    must(db, buf_cstr(&sql));
    buf_done(&sql);
    for (int i = 0; i < kt->n_keys; i++) {
        const struct value *row = kit_at(kt->keys[i], ts);
        if (row && !hidden_by(own, kt->desc, kt->keys[i]->key))
            insert(db, kt->desc, row);
    }
    for (int i = 0; own && i < own->n; i++)
        if (own->own[i].table == kt->desc->id && !own->own[i].row.deleted)
            insert(db, kt->desc, own->own[i].row.values);
}

/* {17} -> m17 */
static void model_sql(const char *from, char *to, size_t bytes) {
    size_t n = 0;
    for (; *from && n + 1 < bytes; from++)
        if (*from != '}')
            to[n++] = *from == '{' ? 'm' : *from;
    to[n] = '\0';
}

void kit_ask_model(struct kit_model *m, const struct fragment *f, const struct value *params, int64_t ts,
                   const struct kit_overlay *own, bool sorted, struct buf *ret) {
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    char sql[2100];
    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK && pgnum_register(db, NULL) == RC_OK);
    must(db, "BEGIN");
    for (int i = 0; i < m->n_tables; i++)
        materialise(db, &m->tables[i], ts, own);
    model_sql(f->sql, sql, sizeof sql);
    CHECKF(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    for (uint16_t i = 0; i < f->n_params && i < sqlite3_bind_parameter_count(s); i++)
        CHECK(value_bind(s, i + 1, &params[i], VALUE_BORROWED) == RC_OK);
    int code, n = sqlite3_column_count(s);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        struct value row[40];
        CHECK(n <= (int)ARRAY_LEN(row));
        for (int i = 0; i < n; i++)
            CHECK(value_column(s, i, &row[i]) == RC_OK);
        put_row(ret, row, (size_t)n);
    }
    CHECKF(code == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(s);
    sqlite3_close(db);
    if (sorted)
        sort_rows(ret);
}

struct asking {
    struct buf *rows;
    bool ended;
};

static enum rc on_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct asking *a = ctx;
    struct rowbatch_reader r;
    struct value row[40];
    CHECK(!a->ended);
    a->ended = last;
    enum rc rc = rowbatch_open(&r, batch.p, batch.n, err);
    CHECK(rc || r.n_cols <= ARRAY_LEN(row));
    while (!rc) {
        rc = rowbatch_next(&r, row, err);
        if (!rc)
            put_row(a->rows, row, r.n_cols);
    }
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

enum rc kit_ask(struct mvcc *m, const struct fragment_run *run, bool sorted, struct buf *ret,
                struct fragment_result *result, struct err *err) {
    struct asking a = {.rows = ret};
    struct fragment_run copy = *run;
    copy.on_batch = on_batch;
    copy.ctx = &a;
    enum rc rc = fragment_run(m, &copy, result, err);
    CHECK(rc || a.ended);
    if (!rc && sorted)
        sort_rows(ret);
    return rc;
}

/* ---- random queries ---- */

struct writer {
    struct kit_query *q;
    struct kit_model *m;
    struct rng *rng;
    size_t at;
};

static void put(struct writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put(struct writer *w, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    w->at += (size_t)vsnprintf(w->q->sql + w->at, sizeof w->q->sql - w->at, fmt, ap);
    va_end(ap);
    CHECK(w->at < sizeof w->q->sql);
}

static void put_param(struct writer *w, const struct col *c) {
    struct kit_query *q = w->q;
    if (q->f.n_params == ARRAY_LEN(q->params)) {
        put(w, "NULL");
        return;
    }
    q->params[q->f.n_params++] = kit_random_value(w->m, w->rng, c, true);
    put(w, "?%u", q->f.n_params);
}

/* A condition on a column, or nothing. */
static void put_condition(struct writer *w, const char *alias, const struct table *t, uint16_t col,
                          const char *joiner) {
    static const char *const ops[] = {"=",  "=",    "=",   "<",        "<=",      ">",
                                      ">=", " IS ", " IN", " NOTNULL", " ISNULL", "between"};
    const char *op = ops[rng_below(w->rng, ARRAY_LEN(ops))];
    const struct col *c = &t->cols[col].col;
    put(w, "%s", joiner);
    if (strcmp(op, "between") == 0) {
        put(w, "%s.c%u>=", alias, t->cols[col].id);
        put_param(w, c);
        put(w, " AND %s.c%u<", alias, t->cols[col].id);
        put_param(w, c);
        return;
    }
    put(w, "%s.c%u%s", alias, t->cols[col].id, op);
    if (strcmp(op, " IN") == 0) {
        put(w, "(");
        put_param(w, c);
        put(w, ",");
        put_param(w, c);
        put(w, ")");
    } else if (op[1] != 'N' && strcmp(op, " ISNULL") != 0) {
        put_param(w, c);
    }
}

static void put_where(struct writer *w, const char *alias, const struct table *t) {
    const char *joiner = " WHERE ";
    bool either = rng_chance(w->rng, 0.15);
    for (uint16_t i = 0; i < t->n_key; i++)
        if (rng_chance(w->rng, 0.5)) {
            put_condition(w, alias, t, t->key[i].col, joiner);
            joiner = either ? " OR " : " AND ";
        }
    if (rng_chance(w->rng, 0.4))
        put_condition(w, alias, t, (uint16_t)rng_below(w->rng, t->n_cols), joiner);
}

static void put_order(struct writer *w, const char *alias, const struct table *t) {
    bool reverse = rng_chance(w->rng, 0.4), straight = rng_chance(w->rng, 0.8);
    const char *joiner = " ORDER BY ";
    if (rng_chance(w->rng, 0.3) && t->n_indexes) {
        const struct table_index *x = &t->indexes[rng_below(w->rng, t->n_indexes)];
        for (uint16_t i = 0; i < x->n_parts; i++, joiner = ",")
            put(w, "%s%s.c%u%s", joiner, alias, t->cols[x->parts[i].col].id,
                x->parts[i].desc != reverse ? " DESC" : "");
    }
    for (uint16_t i = 0; i < t->n_key; i++, joiner = ",")
        put(w, "%s%s.c%u%s", joiner, alias, t->cols[t->key[i].col].id,
            t->key[i].desc != (straight ? reverse : rng_chance(w->rng, 0.5)) ? " DESC" : "");
    w->q->ordered = true;
}

static void put_columns(struct writer *w, const char *alias, const struct table *t) {
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (rng_chance(w->rng, 0.7) || table_key_place(t, i) >= 0)
            put(w, "%s%s.c%u", w->q->sql[w->at - 1] == ' ' ? "" : ",", alias, t->cols[i].id);
}

static void query_one(struct writer *w, const struct table *t) {
    put(w, "SELECT ");
    put_columns(w, "a", t);
    put(w, " FROM {%" PRIu64 "} AS a", t->id);
    put_where(w, "a", t);
    w->q->f.simple = rng_chance(w->rng, 0.5);
    if (rng_chance(w->rng, 0.6)) {
        put_order(w, "a", t);
        if (rng_chance(w->rng, 0.4)) {
            put(w, " LIMIT %d", (int)rng_range(w->rng, 1, 8));
            w->q->f.simple = false;
        }
    }
}

static void query_sum(struct writer *w, const struct table *t) {
    const struct table_col *c = &t->cols[t->key[0].col];
    put(w, "SELECT count(*),count(a.c%u)", t->cols[0].id);
    if (strcmp(col_collation(&c->col), "BINARY") == 0) /* of 1.0 and 1.00 either is the least */
        put(w, ",min(a.c%u),max(a.c%u)", c->id, c->id);
    put(w, " FROM {%" PRIu64 "} AS a", t->id);
    put_where(w, "a", t);
}

/* A column of t that may be compared with u's first key column, as the analyser would allow; or -1. */
static int joinable(const struct table *t, const struct table *u) {
    const struct col *k = &u->cols[u->key[0].col].col;
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (strcmp(col_decl(&t->cols[i].col), col_decl(k)) == 0)
            return t->cols[i].id;
    return -1;
}

static void query_join(struct writer *w, const struct table *t, const struct table *u) {
    static const char *const joins[] = {"JOIN", "LEFT JOIN", "FULL JOIN"};
    put(w, "SELECT ");
    put_columns(w, "a", t);
    put_columns(w, "b", u);
    put(w, " FROM {%" PRIu64 "} AS a %s {%" PRIu64 "} AS b ON a.c%d=b.c%u", t->id, joins[rng_below(w->rng, 3)], u->id,
        joinable(t, u), u->cols[u->key[0].col].id);
    put_where(w, "a", t);
}

static void query_exists(struct writer *w, const struct table *t, const struct table *u) {
    put(w, "SELECT ");
    put_columns(w, "a", t);
    put(w,
        ",(SELECT count(*) FROM {%" PRIu64 "} AS c WHERE c.c%u=a.c%d) FROM {%" PRIu64
        "} AS a WHERE %sEXISTS(SELECT 1 FROM {%" PRIu64 "} AS b WHERE b.c%u=a.c%d)",
        u->id, u->cols[u->key[0].col].id, joinable(t, u), t->id, rng_chance(w->rng, 0.5) ? "NOT " : "", u->id,
        u->cols[u->key[0].col].id, joinable(t, u));
}

void kit_random_query(struct kit_model *m, struct rng *rng, struct kit_query *q) {
    *q = (struct kit_query){.ordered = false};
    q->f.sql = q->sql;
    struct writer w = {q, m, rng, 0};
    const struct table *t = m->tables[rng_below(rng, (uint64_t)m->n_tables)].desc;
    const struct table *u = m->tables[rng_below(rng, (uint64_t)m->n_tables)].desc;
    uint64_t kind = rng_below(rng, 10);
    switch ((kind == 1 || kind == 2) && joinable(t, u) < 0 ? 9 : kind) {
    case 0:
        query_sum(&w, t);
        break;
    case 1:
        query_join(&w, t, u);
        break;
    case 2:
        query_exists(&w, t, u);
        break;
    default:
        query_one(&w, t);
        break;
    }
    q->f.id = rng_chance(rng, 0.7) ? 1 + (rng_u64(rng) >> 1) : 0;
}
