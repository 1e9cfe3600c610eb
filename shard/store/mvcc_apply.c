/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvcc_apply.c: row images become versions.
 *
 * A row that comes at ts, in the common case that nothing of its key is newer:
 *
 *     there is a current version [a, now)    it goes to the history as [a, ts), the new row takes its place
 *     there is none                          the new row is inserted
 *
 * and a deletion moves the current version, or leaves the empty interval [ts, ts). If something of the key is newer (mvcc.h
 * says when), the new version is put behind: it ends where the next version or deletion of the key begins, and if it falls
 * into a version [a, e), that is cut to [a, ts). Only a table's last commit says whether the history must be asked at all: a
 * commit above it cannot meet anything newer.
 *
 * The same version written twice (a backfill that goes on after a crash) changes nothing; a different one at the same
 * timestamp is an error, since a key has one version at a time.
 */
#include <string.h>

#include "shard/store/mvcc_internal.h"
#include "shard/store/rowbatch.h"

/* ---- statements -------------------------------------------------------------------------------------------------- */

/* Of a key column: "=" finds no NULL. */
static const char *equals(const struct table *t, uint16_t place) {
    return t->cols[t->key[place].col].not_null ? "=" : " IS ";
}

void put_key_condition(struct buf *to, const struct table *t, int first) {
    for (uint16_t i = 0; i < t->n_key; i++)
        buf_printf(to, "%sc%u%s?%d", i ? " AND " : "", t->cols[t->key[i].col].id, equals(t, i), first + i);
}

static void put_columns(struct buf *to, const struct table *t) {
    for (uint16_t i = 0; i < t->n_cols; i++)
        buf_printf(to, "%sc%u", i ? "," : "", t->cols[i].id);
}

static void put_params(struct buf *to, int n) {
    for (int i = 1; i <= n; i++)
        buf_printf(to, "%s?%d", i > 1 ? "," : "", i);
}

static void put_update(struct buf *to, const struct table *t) {
    buf_printf(to, "UPDATE t%" PRIu64 " SET ", t->id);
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (table_key_place(t, i) < 0)
            buf_printf(to, "c%u=?%d,", t->cols[i].id, i + 1);
    buf_printf(to, "_ts=?%d WHERE ", t->n_cols + 1);
    for (uint16_t i = 0; i < t->n_key; i++)
        buf_printf(to, "%sc%u%s?%d", i ? " AND " : "", t->cols[t->key[i].col].id, equals(t, i), t->key[i].col + 1);
}

static void put_apply_sql(struct buf *to, const struct table *t, enum apply_stmt which) {
    switch (which) {
    case APPLY_SELECT:
        buf_puts(to, "SELECT _ts,");
        put_columns(to, t);
        buf_printf(to, " FROM t%" PRIu64 " WHERE ", t->id);
        put_key_condition(to, t, 1);
        break;
    case APPLY_THERE:
        buf_printf(to, "SELECT 1 FROM t%" PRIu64 " WHERE ", t->id);
        put_key_condition(to, t, 1);
        break;
    case APPLY_INSERT:
    case APPLY_ADD:
        buf_printf(to, "INSERT INTO t%" PRIu64 "(", t->id);
        put_columns(to, t);
        buf_puts(to, ",_ts)VALUES(");
        put_params(to, t->n_cols + 1);
        buf_puts(to, which == APPLY_ADD ? ")ON CONFLICT DO NOTHING" : ")");
        break;
    case APPLY_UPDATE:
        put_update(to, t);
        break;
    case APPLY_DELETE:
        buf_printf(to, "DELETE FROM t%" PRIu64 " WHERE ", t->id);
        put_key_condition(to, t, 1);
        break;
    case APPLY_HIST_INSERT:
        buf_printf(to, "INSERT INTO t%" PRIu64 "_h(", t->id);
        put_columns(to, t);
        buf_puts(to, ",_ts,_end,_hi)VALUES(");
        put_params(to, t->n_cols + 3);
        buf_puts(to, ")");
        break;
    case APPLY_HIST_AFTER:
        buf_puts(to, "SELECT _id,_ts,_end,");
        put_columns(to, t);
        buf_printf(to, " FROM t%" PRIu64 "_h INDEXED BY t%" PRIu64 "_hk WHERE ", t->id, t->id);
        put_key_condition(to, t, 1);
        buf_printf(to, " AND _end>?%d ORDER BY _end,_ts LIMIT 1", t->n_key + 1);
        break;
    case APPLY_HIST_CUT:
        buf_printf(to, "UPDATE t%" PRIu64 "_h SET _end=?2 WHERE _id=?1", t->id);
        break;
    case APPLY_STATEMENTS:
        break;
    }
}

static enum rc stmt_of(struct mvcc *m, struct tab *t, enum apply_stmt which, sqlite3_stmt **ret, struct err *err) {
    if (LIKELY(t->stmt[which] != NULL)) {
        *ret = t->stmt[which];
        return RC_OK;
    }
    struct buf sql;
    buf_init(&sql, 0);
    put_apply_sql(&sql, t->v.desc, which);
    enum rc rc = buf_rc(&sql);
    if (rc)
        err_set(err, rc, "%s", rc_text(rc));
    else
        rc = prepare(m->conn.db, (const char *)sql.data, sql.len, &t->stmt[which], err);
    buf_done(&sql);
    if (rc)
        return rc;
    m->n_stmts++;
    *ret = t->stmt[which];
    return RC_OK;
}

void tab_finalize(struct mvcc *m, struct tab *t) {
    for (int i = 0; i < APPLY_STATEMENTS; i++)
        if (t->stmt[i]) {
            sqlite3_finalize(t->stmt[i]);
            t->stmt[i] = NULL;
            m->n_stmts--;
        }
}

/* ---- hashes (V6) ------------------------------------------------------------------------------------------------- */

void tab_sum_add(struct mvcc *m, struct tab *t, uint64_t x) {
    t->sum += x;
    m->state.checksum += x;
    if (!ilist_linked(&t->dirty))
        ilist_push_back(&m->dirty, &t->dirty);
}

/* A value that a column has when nobody wrote one does not count: rows from before the column was added read the same. */
static uint64_t row_hash(struct buf *scratch, const struct table *t, const struct value *row) {
    buf_reset(scratch, 64 << 10);
    for (uint16_t i = 0; i < t->n_cols; i++) {
        if (value_same(&row[i], &t->cols[i].missing))
            continue;
        varint_put(scratch, t->cols[i].id);
        value_put(scratch, &row[i]);
    }
    return hash_bytes(scratch->data, scratch->len, t->id);
}

static uint64_t interval_hash(uint64_t row, int64_t ts, int64_t end) {
    return hash_u64(row + hash_u64((uint64_t)ts ^ 0x9e3779b97f4a7c15u) + hash_u64(hash_u64((uint64_t)end)));
}

uint64_t version_hash(struct buf *scratch, const struct table *t, const struct value *row, int64_t ts, int64_t end) {
    return interval_hash(row_hash(scratch, t, row), ts, end);
}

/* ---- one row ----------------------------------------------------------------------------------------------------- */

/* A mutation under way. */
struct change {
    struct mvcc *m;
    struct tab *tab;
    const struct table *t;
    bool deletes;
    int64_t ts;
    struct value key[TABLE_KEY_MAX];
    const struct value *row; /* a put's */
    uint64_t row_hash;       /* of row */
    /* the current version, while its statement stands on it */
    sqlite3_stmt *current;
    bool found;
    int64_t found_ts;
    uint64_t found_hash;
    const struct value *found_row;
};

static enum rc failed(struct change *c, const char *what, struct err *err) {
    enum rc rc = err_sqlite(err, c->m->conn.db, what);
    return rc ? rc : err_set(err, RC_INTERNAL, "%s: SQLite knows no reason", what);
}

static int bind_row(sqlite3_stmt *s, const struct table *t, const struct value *row) {
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (value_bind(s, i + 1, &row[i], VALUE_BORROWED))
            return SQLITE_NOMEM;
    return SQLITE_OK;
}

static int bind_key(sqlite3_stmt *s, const struct table *t, const struct value *key) {
    for (uint16_t i = 0; i < t->n_key; i++)
        if (value_bind(s, i + 1, &key[i], VALUE_BORROWED))
            return SQLITE_NOMEM;
    return SQLITE_OK;
}

static enum rc run(struct change *c, sqlite3_stmt *s, int code, const char *what, struct err *err) {
    if (code == SQLITE_OK) {
        IGNORE(sqlite3_step(s)); /* the reset tells */
        code = sqlite3_reset(s);
    } else {
        sqlite3_reset(s);
    }
    return code == SQLITE_OK ? RC_OK : failed(c, what, err);
}

static enum rc history_add(struct change *c, const struct value *row, uint64_t hash, int64_t ts, int64_t end,
                           struct err *err) {
    sqlite3_stmt *s;
    enum rc rc = stmt_of(c->m, c->tab, APPLY_HIST_INSERT, &s, err);
    if (rc)
        return rc;
    int n = c->t->n_cols, code = bind_row(s, c->t, row);
    sqlite3_bind_int64(s, n + 1, ts);
    sqlite3_bind_int64(s, n + 2, end);
    sqlite3_bind_int64(s, n + 3, env_mutant(c->m->s->env, "N-4") ? end : c->m->state.floor);
    rc = run(c, s, code, "write an old version", err);
    if (!rc)
        tab_sum_add(c->m, c->tab, interval_hash(hash, ts, end));
    return rc;
}

static enum rc current_insert(struct change *c, struct err *err) {
    sqlite3_stmt *s;
    enum rc rc = stmt_of(c->m, c->tab, APPLY_INSERT, &s, err);
    if (rc)
        return rc;
    int code = bind_row(s, c->t, c->row);
    sqlite3_bind_int64(s, c->t->n_cols + 1, c->ts);
    rc = run(c, s, code, "insert a row", err);
    if (!rc)
        tab_sum_add(c->m, c->tab, interval_hash(c->row_hash, c->ts, INT64_MAX));
    return rc;
}

/* *ret false: a row with that key is there, and nothing was done. */
static enum rc current_add(struct change *c, bool *ret, struct err *err) {
    sqlite3_stmt *s;
    sqlite3 *db = c->m->conn.db;
    enum rc rc = stmt_of(c->m, c->tab, APPLY_ADD, &s, err);
    if (rc)
        return rc;
    int code = bind_row(s, c->t, c->row);
    sqlite3_bind_int64(s, c->t->n_cols + 1, c->ts);
    int64_t before = sqlite3_total_changes64(db);
    rc = run(c, s, code, "insert a row", err);
    *ret = !rc && sqlite3_total_changes64(db) > before;
    if (*ret)
        tab_sum_add(c->m, c->tab, interval_hash(c->row_hash, c->ts, INT64_MAX));
    return rc;
}

static enum rc current_delete(struct change *c, struct err *err) {
    sqlite3_stmt *s;
    enum rc rc = stmt_of(c->m, c->tab, APPLY_DELETE, &s, err);
    if (!rc)
        rc = run(c, s, bind_key(s, c->t, c->key), "delete a row", err);
    if (!rc)
        tab_sum_add(c->m, c->tab, -interval_hash(c->found_hash, c->found_ts, INT64_MAX));
    return rc;
}

/* Keys that are equal may still differ: 1.0 and 1.00, or 0.0 and -0.0. */
static bool same_key(const struct change *c) {
    for (uint16_t i = 0; i < c->t->n_key; i++)
        if (!value_same(&c->found_row[c->t->key[i].col], &c->key[i]))
            return false;
    return true;
}

static enum rc current_update(struct change *c, struct err *err) {
    sqlite3_stmt *s;
    enum rc rc = stmt_of(c->m, c->tab, APPLY_UPDATE, &s, err);
    if (rc)
        return rc;
    int code = bind_row(s, c->t, c->row);
    sqlite3_bind_int64(s, c->t->n_cols + 1, c->ts);
    rc = run(c, s, code, "update a row", err);
    if (!rc)
        tab_sum_add(c->m, c->tab,
                    interval_hash(c->row_hash, c->ts, INT64_MAX) -
                        interval_hash(c->found_hash, c->found_ts, INT64_MAX));
    return rc;
}

/* The empty interval of a deletion that found nothing. */
static enum rc tombstone(struct change *c, struct err *err) {
    struct value *row = c->m->row;
    for (uint16_t i = 0; i < c->t->n_cols; i++) {
        int place = table_key_place(c->t, i);
        row[i] = place >= 0 ? c->key[place] : c->t->cols[i].missing;
    }
    return history_add(c, row, row_hash(&c->m->scratch, c->t, row), c->ts, c->ts, err);
}

/* ---- in order ---- */

static enum rc replace_current(struct change *c, struct err *err) {
    bool same = c->deletes || same_key(c);
    enum rc rc = history_add(c, c->found_row, c->found_hash, c->found_ts, c->ts, err);
    sqlite3_reset(c->current); /* SQLite need not save its place when the row changes */
    if (!rc && c->deletes)
        return current_delete(c, err);
    if (!rc && same)
        return current_update(c, err);
    if (!rc)
        rc = current_delete(c, err);
    return rc ? rc : current_insert(c, err);
}

/* ---- behind ---- */

static enum rc columns_into(sqlite3_stmt *s, int first, const struct table *t, struct value *row) {
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (value_column(s, first + i, &row[i]))
            return RC_NOMEM;
    return RC_OK;
}

/* The first version or deletion in the history that ends after ts: of those that end at once the version, which began. */
struct after {
    bool found;
    int64_t id, ts, end;
    uint64_t hash;
};

static enum rc history_after(struct change *c, struct after *ret, struct err *err) {
    sqlite3_stmt *s;
    *ret = (struct after){.found = false};
    enum rc rc = stmt_of(c->m, c->tab, APPLY_HIST_AFTER, &s, err);
    if (rc)
        return rc;
    int code = bind_key(s, c->t, c->key);
    sqlite3_bind_int64(s, c->t->n_key + 1, c->ts);
    code = code == SQLITE_OK ? sqlite3_step(s) : code;
    if (code == SQLITE_ROW) {
        *ret =
            (struct after){true, sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1), sqlite3_column_int64(s, 2), 0};
        rc = columns_into(s, 3, c->t, c->m->old);
        if (!rc)
            ret->hash = row_hash(&c->m->scratch, c->t, c->m->old);
    } else if (code != SQLITE_DONE) {
        rc = failed(c, "read the history of a key", err);
    }
    sqlite3_reset(s);
    return rc;
}

static enum rc history_cut(struct change *c, const struct after *v, struct err *err) {
    sqlite3_stmt *s;
    enum rc rc = stmt_of(c->m, c->tab, APPLY_HIST_CUT, &s, err);
    if (rc)
        return rc;
    int code = sqlite3_bind_int64(s, 1, v->id);
    sqlite3_bind_int64(s, 2, c->ts);
    rc = run(c, s, code, "cut an old version", err);
    if (!rc)
        tab_sum_add(c->m, c->tab, interval_hash(v->hash, v->ts, c->ts) - interval_hash(v->hash, v->ts, v->end));
    return rc;
}

static enum rc twice(struct change *c, bool same, struct err *err) {
    if (same)
        return RC_OK;
    return err_set(err, RC_INVAL, "a second version of a key of table %" PRIu64 " at %" PRId64, c->t->id, c->ts);
}

static enum rc put_behind(struct change *c, const struct after *v, struct err *err) {
    int64_t end = c->found_ts; /* of the new version */
    enum rc rc = RC_OK;
    counter_inc(&c->m->s->stats.behind);
    if (v->found && v->ts < c->ts) { /* it falls into that one */
        rc = history_cut(c, v, err);
        if (rc || c->deletes)
            return rc;
        end = v->end;
    } else if (v->found && v->ts == c->ts && v->end > v->ts) {
        return twice(c, !c->deletes && v->hash == c->row_hash, err);
    } else if (v->found) {
        end = v->ts;
    }
    return c->deletes ? tombstone(c, err) : history_add(c, c->row, c->row_hash, c->ts, end, err);
}

/* ---- a mutation ---- */

static enum rc apply_change(struct change *c, struct err *err) {
    struct after v = {.found = false};
    enum rc rc = RC_OK;
    if (c->found && c->found_ts < c->ts)
        return replace_current(c, err);
    if (c->found && c->found_ts == c->ts)
        return twice(c, !c->deletes && c->found_hash == c->row_hash, err);
    if (c->found || c->ts <= c->tab->v.last)
        rc = history_after(c, &v, err);
    if (rc)
        return rc;
    if (c->found || v.found)
        return put_behind(c, &v, err);
    return c->deletes ? tombstone(c, err) : current_insert(c, err);
}

static enum rc find_current(struct change *c, struct err *err) {
    enum rc rc = stmt_of(c->m, c->tab, APPLY_SELECT, &c->current, err);
    if (rc)
        return rc;
    int code = bind_key(c->current, c->t, c->key);
    code = code == SQLITE_OK ? sqlite3_step(c->current) : code;
    if (code == SQLITE_DONE)
        return RC_OK;
    if (code != SQLITE_ROW)
        return failed(c, "read a row", err);
    c->found = true;
    c->found_ts = sqlite3_column_int64(c->current, 0);
    rc = columns_into(c->current, 1, c->t, c->m->old);
    if (rc)
        return err_set(err, rc, "%s", rc_text(rc));
    c->found_row = c->m->old;
    c->found_hash = row_hash(&c->m->scratch, c->t, c->found_row);
    return RC_OK;
}

static enum rc probe(struct mvcc *m, struct mvcc_probe *p, struct err *err) {
    struct change c = {.m = m, .tab = mvcc_find_tab(m, p->table)};
    sqlite3_stmt *s;
    if (!c.tab || c.tab->v.desc->version != p->version)
        return err_set(err, RC_STALE, "table %" PRIu64 " is another one by now", p->table);
    c.t = c.tab->v.desc;
    enum rc rc = stmt_of(m, c.tab, APPLY_THERE, &s, err);
    if (rc)
        return rc;
    int code = bind_key(s, c.t, p->key);
    code = code == SQLITE_OK ? sqlite3_step(s) : code;
    p->there = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        rc = failed(&c, "look for a row", err);
    sqlite3_reset(s);
    return rc;
}

enum rc mvcc_rows_there(struct mvcc *m, struct mvcc_probe *probes, size_t n, struct err *err) {
    enum rc rc = mvcc_use(m, err);
    if (rc)
        return rc;
    no_wait_begin(m->s->r); /* N-9 */
    for (size_t i = 0; i < n && !rc; i++)
        rc = probe(m, &probes[i], err);
    no_wait_end(m->s->r);
    if (rc && mvcc_after_read(m, NULL))
        rc = mvcc_check_whole(m, err);
    mvcc_unuse(m);
    return rc;
}

static enum rc check_value(const struct change *c, uint16_t col, const struct value *v, struct err *err) {
    const struct table_col *tc = &c->t->cols[col];
    enum rc rc = col_check(&tc->col, v, err);
    if (!rc && v->kind == VALUE_NULL && tc->not_null && table_key_place(c->t, col) >= 0)
        rc = err_set(err, RC_INVAL, "NULL in the key");
    if (rc)
        err_wrap(err, "column %u of table %" PRIu64, tc->id, c->t->id);
    return rc;
}

/* Fills c->key, and the row: what the sender's version of the table did not have is missing. */
static enum rc take_values(struct change *c, const struct mvcc_mutation *x, struct value *row, struct err *err) {
    const struct table *t = c->t;
    uint16_t want = x->deletes ? t->n_key : t->n_cols;
    if (x->n_values > want || (x->deletes && x->n_values < want))
        return err_set(err, RC_INVAL, "%u values for %u columns of table %" PRIu64, x->n_values, want, t->id);
    for (uint16_t i = 0; i < x->n_values; i++) {
        enum rc rc = check_value(c, x->deletes ? t->key[i].col : i, &x->values[i], err);
        if (rc)
            return rc;
    }
    if (x->deletes) {
        memcpy(c->key, x->values, t->n_key * sizeof *c->key);
        return RC_OK;
    }
    for (uint16_t i = 0; i < t->n_cols; i++)
        row[i] = i >= x->n_values ? t->cols[i].missing : t->cols[i].dropped ? value_null() : x->values[i];
    for (uint16_t i = 0; i < t->n_key; i++) {
        if (t->key[i].col >= x->n_values)
            return err_set(err, RC_INVAL, "a row of table %" PRIu64 " without its key", t->id);
        c->key[i] = row[t->key[i].col];
    }
    c->row = row;
    c->row_hash = row_hash(&c->m->scratch, t, row);
    return RC_OK;
}

static enum rc apply_one(struct mvcc *m, int64_t ts, const struct mvcc_mutation *x, struct err *err) {
    struct change c = {.m = m, .ts = ts, .deletes = x->deletes};
    c.tab = mvcc_find_tab(m, x->table);
    if (!c.tab)
        return err_set(err, RC_INVAL, "no table %" PRIu64 " in tablet %" PRIu64, x->table, m->state.tablet);
    c.t = c.tab->v.desc;
    bool done = false;
    enum rc rc = take_values(&c, x, m->row, err);
    if (!rc)
        rc = rowkey_in_range(m, c.t, c.key, err);
    /* Where rows come new one after the other, one look less: nothing of the table is newer, so only the current row counts.
     * A heap's index is not unique (NULL is a key there). */
    if (!rc && !c.deletes && c.tab->grows && ts > c.tab->v.last && c.t->layout != TABLE_HEAP)
        rc = current_add(&c, &done, err);
    if (!rc && !done)
        rc = find_current(&c, err);
    if (!rc && !done)
        rc = apply_change(&c, err);
    if (c.current)
        sqlite3_reset(c.current);
    c.tab->grows = !c.deletes && !c.found;
    if (!rc && UNLIKELY(m->copy != NULL))
        changes_note(m, c.t, c.key);
    counter_inc(x->deletes ? &m->s->stats.deletes : &m->s->stats.puts);
    m->batch_bytes += m->scratch.len + 64;
    return rc;
}

enum rc mvcc_write(struct mvcc *m, int64_t ts, const struct mvcc_mutation *mutations, size_t n, struct err *err) {
    enum rc rc = mvcc_check_whole(m, err);
    if (rc)
        return rc;
    CHECK(m->in_slot);
    if (ts > m->state.floor) /* V3 */
        return mvcc_break(
            m, err_set(err, RC_INVAL, "a commit at %" PRId64 " above the floor %" PRId64, ts, m->state.floor));
    for (size_t i = 0; i < n && !rc; i++)
        rc = apply_one(m, ts, &mutations[i], err);
    for (size_t i = 0; i < n && !rc; i++) { /* behind the last row: within one commit nothing is newer */
        struct tab *t = mvcc_find_tab(m, mutations[i].table);
        if (t->v.last < ts)
            t->v.last = ts;
    }
    return rc ? mvcc_break(m, rc) : RC_OK;
}

enum rc mvcc_check_write(struct mvcc *m, const struct mvcc_mutation *mutations, size_t n, struct err *err) {
    enum rc rc = mvcc_check_whole(m, err);
    for (size_t i = 0; i < n && !rc; i++) {
        struct change c = {.m = m, .deletes = mutations[i].deletes};
        c.tab = mvcc_find_tab(m, mutations[i].table);
        if (!c.tab)
            return err_set(err, RC_INVAL, "no table %" PRIu64 " in tablet %" PRIu64, mutations[i].table,
                           m->state.tablet);
        c.t = c.tab->v.desc;
        rc = take_values(&c, &mutations[i], m->row, err);
        if (!rc)
            rc = rowkey_in_range(m, c.t, c.key, err);
    }
    return rc;
}

/* ---- as bytes ---------------------------------------------------------------------------------------------------- */

enum { MUTATIONS_FORMAT = 1, OP_PUT = 0, OP_DELETE = 1 };

void mvcc_mutations_encode(const struct mvcc_mutation *mutations, size_t n, struct buf *to) {
    CHECK(n <= MVCC_MUTATIONS_MAX);
    buf_putc(to, MUTATIONS_FORMAT);
    varint_put(to, n);
    for (size_t i = 0; i < n; i++) {
        buf_putc(to, mutations[i].deletes ? OP_DELETE : OP_PUT);
        varint_put(to, mutations[i].table);
        varint_put(to, mutations[i].n_values);
        for (uint16_t j = 0; j < mutations[i].n_values; j++)
            value_put(to, &mutations[i].values[j]);
    }
}

static enum rc decode_one(struct rd *r, struct arena *a, struct mvcc_mutation *ret) {
    uint8_t op = rd_u8(r);
    uint64_t table = varint_get(r), n = varint_get(r);
    if (r->bad || op > OP_DELETE || n > TABLE_COLUMNS_MAX || n > rd_left(r))
        return RC_CORRUPT;
    struct value *values = arena_array(a, n ? n : 1, sizeof *values);
    if (!values)
        return RC_NOMEM;
    for (uint64_t i = 0; i < n; i++)
        if (value_get(r, &values[i]))
            return RC_CORRUPT;
    *ret =
        (struct mvcc_mutation){.table = table, .deletes = op == OP_DELETE, .n_values = (uint16_t)n, .values = values};
    return RC_OK;
}

enum rc mvcc_mutations_decode(const void *bytes, size_t n_bytes, struct arena *a, struct mvcc_mutation **ret,
                              size_t *ret_n, struct err *err) {
    enum { BYTES_MIN = 3 }; /* of a mutation */
    struct rd r;
    rd_init(&r, bytes, n_bytes);
    uint8_t format = rd_u8(&r);
    uint64_t n = varint_get(&r);
    if (r.bad || format != MUTATIONS_FORMAT || n > MVCC_MUTATIONS_MAX || n > rd_left(&r) / BYTES_MIN)
        return err_set(err, RC_CORRUPT, "not a list of row images");
    struct mvcc_mutation *out = arena_array(a, n ? n : 1, sizeof *out);
    if (!out)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (uint64_t i = 0; i < n; i++) {
        enum rc rc = decode_one(&r, a, &out[i]);
        if (rc)
            return err_set(err, rc, "row image %" PRIu64 ": %s", i, rc_text(rc));
    }
    if (rd_left(&r) > 0)
        return err_set(err, RC_CORRUPT, "bytes behind the last row image");
    *ret = out;
    *ret_n = n;
    return RC_OK;
}
