/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rangecopy.c: copying a range, following its changes, and letting go of it.
 *
 * What is remembered of a change is the key alone; a catch-up replaces all versions of that key in the copy by those of a new
 * snapshot. So it does not matter what happened to the key, or whether a batch with it was lost. Versions keep their _id and
 * _hi, so garbage collection is repeated on the copy as it was on the tablet.
 */
#include "shard/store/rangecopy.h"

#include <stdlib.h>
#include <string.h>

#include "shard/store/mvcc_internal.h"
#include "shard/store/rowbatch.h"

enum { FLUSH_ROWS = 2000, CHECKPOINT_WAL_BYTES = 4 << 20, GC_NOTES_MAX = 1024 };

/* A key that changed. */
struct changed {
    struct map_node node;
    struct changed *next;
    uint64_t table;
    uint32_t n_key, n_values; /* bytes: the encoded key, then its values (value_put) */
    uint8_t bytes[];
};

struct gc_note {
    uint64_t table;
    int64_t below_hi;
};

struct change_set {
    struct map by_key;
    struct changed *first;
    size_t count, bytes;
};

/* What left to the copy, by table: kept when its file is closed. */
struct table_sum {
    uint64_t table, sum;
};

struct rangecopy {
    struct mvcc *from, *to; /* to: NULL once it is sealed */
    struct table_sum *sums;
    size_t n_sums;
    struct change_set set;
    struct gc_note gc[GC_NOTES_MAX];
    size_t n_gc;
    bool stale;           /* too much, or a schema change */
    int64_t current_slot; /* of from, when all was copied and durable; INT64_MIN: it is not */
    uint64_t rows;
    int64_t pause_ns;
    struct value *row;
    size_t row_cap;
};

/* ---- remembering ------------------------------------------------------------------------------------------------- */

static void set_clear(struct change_set *s) {
    map_done(&s->by_key);
    while (s->first) {
        struct changed *x = s->first;
        s->first = x->next;
        free(x);
    }
    *s = (struct change_set){.count = 0};
    map_init(&s->by_key);
}

static bool set_has(const struct change_set *s, uint64_t hash, const void *key, size_t n) {
    for (struct map_node *m = map_first(&s->by_key, hash); m; m = map_next(m)) {
        const struct changed *x = container_of(m, struct changed, node);
        if (x->n_key == n && memcmp(x->bytes, key, n) == 0)
            return true;
    }
    return false;
}

static enum rc note_key(struct rangecopy *c, const struct table *t, const struct value *key) {
    struct buf *k = &c->from->keybuf, *v = &c->from->scratch;
    bool ours = false;
    buf_reset(k, 0);
    enum rc rc = rowkey_within(k, t, key, c->to->state.start, c->to->state.end, &ours);
    if (rc || !ours)
        return rc;
    if (k->len == 0 && table_key_put(k, t, key, t->n_key, NULL)) /* a range without bounds encodes nothing */
        return RC_NOMEM;
    uint64_t hash = hash_bytes(k->data, k->len, 0);
    if (set_has(&c->set, hash, k->data, k->len))
        return RC_OK;
    buf_reset(v, 0);
    for (uint16_t i = 0; i < t->n_key; i++)
        value_put(v, &key[i]);
    struct changed *x = buf_rc(v) ? NULL : malloc(sizeof *x + k->len + v->len);
    if (!x)
        return RC_NOMEM;
    *x =
        (struct changed){.next = c->set.first, .table = t->id, .n_key = (uint32_t)k->len, .n_values = (uint32_t)v->len};
    memcpy(x->bytes, k->data, k->len);
    memcpy(x->bytes + k->len, v->data, v->len);
    c->set.first = x;
    map_put(&c->set.by_key, &x->node, hash);
    c->set.count++;
    c->set.bytes += sizeof *x + k->len + v->len;
    return RC_OK;
}

/* A copy that cannot follow is no reason to fail the tablet's slot: it is stale. */
void changes_note(struct mvcc *m, const struct table *t, const struct value *key) {
    struct rangecopy *c = m->copy;
    if (c->stale)
        return;
    enum rc rc = note_key(c, t, key);
    if (rc || c->set.count > RANGECOPY_KEYS_MAX || c->set.bytes > RANGECOPY_BYTES_MAX) {
        c->stale = true;
        set_clear(&c->set);
    }
}

void changes_note_gc(struct mvcc *m, uint64_t table, int64_t below_hi) {
    struct rangecopy *c = m->copy;
    if (c->n_gc == GC_NOTES_MAX)
        c->stale = true;
    else
        c->gc[c->n_gc++] = (struct gc_note){table, below_hi};
}

void changes_note_schema(struct mvcc *m) {
    m->copy->stale = true;
}

/* ---- writing into the copy --------------------------------------------------------------------------------------- */

static enum rc nomem(struct err *err) {
    return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
}

/* Between rows: the copy's batch does not grow without end, nor does its WAL. */
static enum rc breathe(struct rangecopy *c, struct err *err) WAITS {
    int64_t durable = 0;
    enum rc rc = RC_OK;
    if (++c->rows % RANGECOPY_PACE)
        return RC_OK;
    if (c->pause_ns)
        rc = fiber_sleep(c->from->s->r, c->pause_ns);
    if (rc)
        return err_set(err, rc, "%s", rc_text(rc));
    if (c->rows % FLUSH_ROWS)
        return RC_OK;
    if (mvcc_wal_bytes(c->to) > CHECKPOINT_WAL_BYTES)
        rc = mvcc_checkpoint(c->to, true, &durable, err);
    else
        rc = mvcc_flush(c->to, err);
    return rc ? rc : mvcc_import_begin(c->to, err);
}

/* A version: history if id >= 0. */
static enum rc put_version(struct rangecopy *c, struct tab *tab, sqlite3_stmt *s, const struct value *row, int64_t id,
                           int64_t ts, int64_t end, int64_t hi, struct err *err) {
    const struct table *t = tab->v.desc;
    int n = t->n_cols, code = SQLITE_OK;
    for (uint16_t i = 0; i < t->n_cols && code == SQLITE_OK; i++)
        code = value_bind(s, i + 1, &row[i], VALUE_BORROWED) ? SQLITE_NOMEM : SQLITE_OK;
    sqlite3_bind_int64(s, n + 1, ts);
    if (id >= 0) {
        sqlite3_bind_int64(s, n + 2, end);
        sqlite3_bind_int64(s, n + 3, hi);
        sqlite3_bind_int64(s, n + 4, id);
    }
    if (code == SQLITE_OK) {
        IGNORE(sqlite3_step(s)); /* the reset tells */
        code = sqlite3_reset(s);
    }
    if (code != SQLITE_OK)
        return err_sqlite(err, c->to->conn.db, "write a copied version");
    tab_sum_add(c->to, tab, version_hash(&c->to->scratch, t, row, ts, end));
    return RC_OK;
}

static void put_names(struct buf *to, const struct table *t) {
    for (uint16_t i = 0; i < t->n_cols; i++)
        buf_printf(to, "c%u,", t->cols[i].id);
}

static enum rc prepare_buf(sqlite3 *db, struct buf *sql, sqlite3_stmt **ret, struct err *err) {
    enum rc rc = buf_rc(sql) ? nomem(err) : prepare(db, (const char *)sql->data, sql->len, ret, err);
    buf_done(sql);
    return rc;
}

/* "SELECT c1,c2,_ts[,_end,_hi,_id] FROM t17[_h] ..." */
static enum rc prepare_select(sqlite3 *db, const struct table *t, bool history, const char *tail, bool by_key,
                              sqlite3_stmt **ret, struct err *err) {
    struct buf sql;
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT ");
    put_names(&sql, t);
    buf_printf(&sql, "_ts%s FROM t%" PRIu64 "%s%s", history ? ",_end,_hi,_id" : "", t->id, history ? "_h" : "", tail);
    if (by_key)
        put_key_condition(&sql, t, 1);
    return prepare_buf(db, &sql, ret, err);
}

static enum rc prepare_insert(sqlite3 *db, const struct table *t, bool history, sqlite3_stmt **ret, struct err *err) {
    struct buf sql;
    buf_init(&sql, 0);
    buf_printf(&sql, "INSERT INTO t%" PRIu64 "%s(", t->id, history ? "_h" : "");
    put_names(&sql, t);
    buf_puts(&sql, history ? "_ts,_end,_hi,_id)VALUES(" : "_ts)VALUES(");
    int n = t->n_cols + (history ? 4 : 1);
    for (int i = 1; i <= n; i++)
        buf_printf(&sql, "%s?%d", i > 1 ? "," : "", i);
    buf_puts(&sql, ")");
    return prepare_buf(db, &sql, ret, err);
}

static enum rc take_row(struct rangecopy *c, sqlite3_stmt *s, const struct table *t) {
    if (c->row_cap < t->n_cols) {
        struct value *row = realloc(c->row, t->n_cols * sizeof *row);
        if (!row)
            return RC_NOMEM;
        c->row = row;
        c->row_cap = t->n_cols;
    }
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (value_column(s, i, &c->row[i]))
            return RC_NOMEM;
    return RC_OK;
}

/* Copies what `from` gives, as far as it lies in the copy's range. */
static enum rc copy_rows(struct rangecopy *c, struct tab *tab, sqlite3 *db, sqlite3_stmt *from, sqlite3_stmt *to,
                         bool history, bool whole_range, struct err *err) WAITS {
    const struct table *t = tab->v.desc;
    struct value key[TABLE_KEY_MAX];
    int code = SQLITE_DONE, n = t->n_cols;
    enum rc rc = RC_OK;
    while (!rc && (code = sqlite3_step(from)) == SQLITE_ROW) {
        bool ours = true;
        if (take_row(c, from, t))
            return nomem(err);
        rowkey_values(t, c->row, key);
        if (!whole_range && rowkey_within(&c->to->keybuf, t, key, c->to->state.start, c->to->state.end, &ours))
            return nomem(err);
        if (!ours)
            continue;
        rc = put_version(c, tab, to, c->row, history ? sqlite3_column_int64(from, n + 3) : -1,
                         sqlite3_column_int64(from, n), history ? sqlite3_column_int64(from, n + 1) : INT64_MAX,
                         history ? sqlite3_column_int64(from, n + 2) : 0, err);
        if (!rc && !whole_range)
            rc = breathe(c, err);
    }
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, db, "read what is to be copied");
    return rc;
}

static enum rc copy_table(struct rangecopy *c, struct mvcc_reader *rd, struct tab *tab, struct err *err) WAITS {
    enum rc rc = RC_OK;
    for (int history = 0; history < 2 && !rc; history++) {
        sqlite3_stmt *from = NULL, *to = NULL;
        rc = prepare_select(rd->conn.db, tab->v.desc, history, history ? " NOT INDEXED ORDER BY _id" : "", false, &from,
                            err);
        if (!rc)
            rc = prepare_insert(c->to->conn.db, tab->v.desc, history, &to, err);
        if (!rc)
            rc = copy_rows(c, tab, rd->conn.db, from, to, history, false, err);
        sqlite3_finalize(from);
        sqlite3_finalize(to);
    }
    return rc;
}

static void take_bounds(struct rangecopy *c, const struct mvcc_reader *rd) {
    if (rd->snap.floor > c->to->state.floor)
        c->to->state.floor = rd->snap.floor;
    if (rd->snap.gc_threshold > c->to->state.gc_threshold)
        c->to->state.gc_threshold = rd->snap.gc_threshold;
}

static enum rc copy_all(struct rangecopy *c, struct err *err) WAITS {
    struct mvcc_reader *rd = NULL;
    enum rc rc = mvcc_reader_open(c->from, &rd, err);
    if (rc)
        return rc;
    c->from->copy = c; /* in the instant of the pin: what comes from here on is remembered */
    rc = mvcc_use(c->to, err);
    if (rc) {
        mvcc_reader_close(rd);
        return rc;
    }
    rc = mvcc_import_begin(c->to, err);
    for (size_t i = 0; i < rd->snap.n_tables && !rc; i++) {
        rc = mvcc_import_table(c->to, rd->snap.tables[i].desc, err);
        struct tab *tab = rc ? NULL : mvcc_find_tab(c->to, rd->snap.tables[i].desc->id);
        if (!rc)
            rc = copy_table(c, rd, tab, err);
    }
    if (!rc) {
        take_bounds(c, rd);
        rc = mvcc_flush(c->to, err);
    }
    mvcc_unuse(c->to);
    mvcc_reader_close(rd);
    return rc;
}

/* ---- catching up ------------------------------------------------------------------------------------------------- */

static enum rc bind_changed(sqlite3_stmt *s, const struct changed *x, uint16_t n) {
    struct rd r;
    struct value v;
    rd_init(&r, x->bytes + x->n_key, x->n_values);
    for (uint16_t i = 0; i < n; i++)
        if (value_get(&r, &v) || value_bind(s, i + 1, &v, VALUE_BORROWED))
            return RC_NOMEM;
    return RC_OK;
}

/* Takes all versions of a key out of the copy. */
static enum rc forget_key(struct rangecopy *c, struct tab *tab, const struct changed *x, bool history,
                          struct err *err) {
    const struct table *t = tab->v.desc;
    sqlite3_stmt *get = NULL, *del = NULL;
    struct buf sql;
    int code = SQLITE_DONE, n = t->n_cols;
    enum rc rc = prepare_select(c->to->conn.db, t, history, " WHERE ", true, &get, err);
    if (!rc && bind_changed(get, x, t->n_key))
        rc = nomem(err);
    while (!rc && (code = sqlite3_step(get)) == SQLITE_ROW) {
        if (take_row(c, get, t))
            rc = nomem(err);
        else
            tab_sum_add(c->to, tab,
                        -version_hash(&c->to->scratch, t, c->row, sqlite3_column_int64(get, n),
                                      history ? sqlite3_column_int64(get, n + 1) : INT64_MAX));
    }
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, c->to->conn.db, "read a key's versions");
    sqlite3_finalize(get);
    if (rc)
        return rc;
    buf_init(&sql, 0);
    buf_printf(&sql, "DELETE FROM t%" PRIu64 "%s WHERE ", t->id, history ? "_h" : "");
    put_key_condition(&sql, t, 1);
    rc = prepare_buf(c->to->conn.db, &sql, &del, err);
    if (!rc && (bind_changed(del, x, t->n_key) || sqlite3_step(del) != SQLITE_DONE))
        rc = err_sqlite(err, c->to->conn.db, "remove a key's versions");
    sqlite3_finalize(del);
    return rc;
}

static enum rc renew_key(struct rangecopy *c, struct mvcc_reader *rd, const struct changed *x, struct err *err) WAITS {
    struct tab *tab = mvcc_find_tab(c->to, x->table);
    enum rc rc = RC_OK;
    CHECK(tab); /* a new table made the copy stale */
    for (int history = 0; history < 2 && !rc; history++) {
        sqlite3_stmt *from = NULL, *to = NULL;
        rc = forget_key(c, tab, x, history, err);
        if (!rc)
            rc = prepare_select(rd->conn.db, tab->v.desc, history, " WHERE ", true, &from, err);
        if (!rc && bind_changed(from, x, tab->v.desc->n_key))
            rc = nomem(err);
        if (!rc)
            rc = prepare_insert(c->to->conn.db, tab->v.desc, history, &to, err);
        if (!rc)
            rc = copy_rows(c, tab, rd->conn.db, from, to, history, true, err);
        sqlite3_finalize(from);
        sqlite3_finalize(to);
    }
    return rc ? rc : breathe(c, err);
}

static enum rc repeat_gc(struct rangecopy *c, const struct gc_note *notes, size_t n, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        struct tab *tab = mvcc_find_tab(c->to, notes[i].table);
        if (tab)
            rc = gc_remove(c->to, tab, notes[i].below_hi, err);
    }
    return rc;
}

static enum rc check_fresh(const struct rangecopy *c, struct err *err) {
    if (!c->stale)
        return RC_OK;
    return err_set(err, RC_OVERLOAD, "the copy of a range of tablet %" PRIu64 " cannot follow its changes",
                   c->from->state.tablet);
}

enum rc rangecopy_catch_up(struct rangecopy *c, struct err *err) {
    struct mvcc_reader *rd = NULL;
    c->current_slot = INT64_MIN;
    enum rc rc = check_fresh(c, err);
    if (!rc)
        rc = mvcc_reader_open(c->from, &rd, err);
    if (rc)
        return rc;
    /* In the instant of the pin: what comes later belongs to the next time. */
    struct change_set set = c->set;
    struct gc_note *notes = malloc((c->n_gc ? c->n_gc : 1) * sizeof *notes);
    size_t n_gc = c->n_gc;
    if (notes)
        memcpy(notes, c->gc, n_gc * sizeof *notes);
    c->set = (struct change_set){.count = 0};
    map_init(&c->set.by_key);
    c->n_gc = 0;
    rc = notes ? mvcc_use(c->to, err) : nomem(err);
    if (!rc) {
        rc = mvcc_import_begin(c->to, err);
        for (const struct changed *x = set.first; x && !rc; x = x->next)
            rc = renew_key(c, rd, x, err);
        if (!rc)
            rc = repeat_gc(c, notes, n_gc, err);
        if (!rc) {
            take_bounds(c, rd);
            rc = mvcc_flush(c->to, err);
        }
        mvcc_unuse(c->to);
    }
    mvcc_reader_close(rd);
    set_clear(&set);
    free(notes);
    if (rc)
        c->stale = true; /* what was remembered is gone */
    return rc;
}

static enum rc check_still(const struct rangecopy *c, int64_t slot, struct err *err) {
    if (c->from->state.slot == slot && c->set.count == 0 && c->n_gc == 0 && !c->stale)
        return RC_OK;
    return err_set(err, RC_BUSY, "slots were applied while a copy was finished");
}

enum rc rangecopy_settle(struct rangecopy *c, struct err *err) {
    int64_t slot = c->from->state.slot;
    c->pause_ns = 0;
    enum rc rc = rangecopy_catch_up(c, err);
    if (!rc)
        rc = check_still(c, slot, err);
    if (!rc)
        c->current_slot = slot;
    return rc;
}

enum rc rangecopy_finish(struct rangecopy *c, struct err *err) {
    int64_t slot = c->from->state.slot, durable = 0;
    enum rc rc = rangecopy_catch_up(c, err);
    if (!rc)
        rc = mvcc_checkpoint(c->to, true, &durable, err);
    if (!rc)
        rc = check_still(c, slot, err);
    if (!rc)
        c->current_slot = slot;
    return rc;
}

struct mvcc *rangecopy_file(struct rangecopy *c) {
    return c->to;
}

static enum rc remove_wal(struct env *env, const char *path, struct err *err) {
    char wal[ENV_PATH_BYTES];
    snprintf(wal, sizeof wal, "%s-wal", path);
    enum rc rc = env_unlink(env, wal, err);
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

enum rc rangecopy_seal(struct rangecopy *c, struct err *err) {
    struct mvcc *to = c->to;
    int64_t durable = 0;
    char path[VFS_PATH_BYTES_MAX];
    enum rc rc = mvcc_checkpoint(to, true, &durable, err);
    if (!rc && mvcc_wal_bytes(to) > 0)
        rc = err_set(err, RC_BUSY, "%.200s: its WAL could not be emptied", to->path);
    c->sums = rc ? NULL : malloc((to->n_tabs ? to->n_tabs : 1) * sizeof *c->sums);
    if (!rc && !c->sums)
        rc = nomem(err);
    if (rc)
        return rc;
    for (size_t i = 0; i < to->n_tabs; i++)
        c->sums[c->n_sums++] = (struct table_sum){to->tabs[i]->v.desc->id, to->tabs[i]->sum};
    snprintf(path, sizeof path, "%s", to->path);
    if (c->from->copy == c)
        c->from->copy = NULL; /* current_slot tells whether anything came later */
    mvcc_close(to);
    c->to = NULL;
    return remove_wal(c->from->s->env, path, err);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

enum rc rangecopy_begin(struct mvcc *from, const char *path, const struct mvcc_state *state, int64_t pause_ns,
                        struct rangecopy **ret, struct err *err) {
    if (from->copy)
        return err_set(err, RC_BUSY, "a range of tablet %" PRIu64 " is being copied already", from->state.tablet);
    struct rangecopy *c = calloc(1, sizeof *c);
    if (!c)
        return nomem(err);
    struct mvcc_state first = *state;
    first.checksum = 0;
    first.gc_threshold = from->state.gc_threshold;
    first.floor = from->state.floor > state->floor ? from->state.floor : state->floor;
    c->from = from;
    c->pause_ns = pause_ns;
    c->current_slot = INT64_MIN;
    map_init(&c->set.by_key);
    enum rc rc = mvcc_create(from->s, path, &first, err);
    if (!rc)
        rc = mvcc_open(from->s, path, &c->to, err);
    if (!rc)
        rc = copy_all(c, err);
    if (rc) {
        err_wrap(err, "copy of a range of tablet %" PRIu64, from->state.tablet);
        rangecopy_end(c);
        return rc;
    }
    *ret = c;
    return RC_OK;
}

size_t rangecopy_behind(const struct rangecopy *c) {
    return c->set.count;
}

bool rangecopy_current(const struct rangecopy *c) {
    return !c->stale && c->current_slot == c->from->state.slot && c->set.count == 0 && c->n_gc == 0;
}

const struct mvcc_state *rangecopy_state(const struct rangecopy *c) {
    return &c->to->state;
}

void rangecopy_end(struct rangecopy *c) {
    if (!c)
        return;
    if (c->from->copy == c)
        c->from->copy = NULL;
    mvcc_close(c->to);
    set_clear(&c->set);
    map_done(&c->set.by_key);
    free(c->sums);
    free(c->row);
    free(c);
}

/* ---- letting go -------------------------------------------------------------------------------------------------- */

struct leaving {
    struct mvcc *m;
    struct mvcc_bytes start, end; /* what stays */
};

/* Adds up what lies in the old range and not in the new one. */
static enum rc add_up(const struct leaving *l, const struct table *t, bool history, uint64_t *sum, struct err *err) {
    struct mvcc *m = l->m;
    sqlite3_stmt *s = NULL;
    struct value key[TABLE_KEY_MAX];
    int code = SQLITE_DONE, n = t->n_cols;
    enum rc rc = prepare_select(m->conn.db, t, history, "", false, &s, err);
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW) {
        bool was = false, stays = false;
        for (uint16_t i = 0; i < t->n_cols && !rc; i++)
            rc = value_column(s, i, &m->old[i]);
        rowkey_values(t, m->old, key);
        if (!rc)
            rc = rowkey_within(&m->keybuf, t, key, m->state.start, m->state.end, &was);
        if (!rc)
            rc = rowkey_within(&m->keybuf, t, key, l->start, l->end, &stays);
        if (!rc && was && !stays)
            *sum += version_hash(&m->scratch, t, m->old, sqlite3_column_int64(s, n),
                                 history ? sqlite3_column_int64(s, n + 1) : INT64_MAX);
        if (rc)
            err_set(err, rc, "%s", rc_text(rc));
    }
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, m->conn.db, "add up what leaves");
    sqlite3_finalize(s);
    return rc;
}

static uint64_t sum_of(const struct rangecopy *c, uint64_t table) {
    const struct tab *tab = c->to ? mvcc_find_tab(c->to, table) : NULL;
    size_t i = 0;
    while (!tab && i < c->n_sums && c->sums[i].table != table)
        i++;
    CHECK(tab || i < c->n_sums); /* a new table made the copy stale */
    return tab ? tab->sum : c->sums[i].sum;
}

static enum rc take_out(const struct leaving *l, struct tab *tab, const struct rangecopy *c, struct err *err) {
    uint64_t sum = 0;
    enum rc rc = RC_OK;
    if (c) {
        sum = sum_of(c, tab->v.desc->id);
    } else {
        rc = add_up(l, tab->v.desc, false, &sum, err);
        if (!rc)
            rc = add_up(l, tab->v.desc, true, &sum, err);
    }
    if (!rc)
        tab_sum_add(l->m, tab, -sum);
    return rc;
}

enum rc rangecopy_split_off(struct mvcc *from, struct mvcc_bytes start, struct mvcc_bytes end, uint64_t generation,
                            const struct rangecopy *c, struct err *err) {
    struct leaving l = {from, start, end};
    enum rc rc = mvcc_check_whole(from, err);
    if (rc)
        return rc;
    CHECK(from->in_slot);
    if (c)
        CHECK(c->from == from && rangecopy_current(c));
    for (size_t i = 0; i < from->n_tabs && !rc; i++)
        rc = take_out(&l, from->tabs[i], c, err);
    if (rc)
        return mvcc_break(from, rc);
    from->untrimmed = true;
    return mvcc_set_range(from, start, end, generation, err);
}

/* ---- trimming ---------------------------------------------------------------------------------------------------- */

static enum rc prepare_delete(struct mvcc *m, const struct table *t, bool history, sqlite3_stmt **ret,
                              struct err *err) {
    struct buf sql;
    buf_init(&sql, 0);
    buf_printf(&sql, "DELETE FROM t%" PRIu64 "%s WHERE ", t->id, history ? "_h" : "");
    if (history)
        buf_puts(&sql, "_id=?1");
    else
        put_key_condition(&sql, t, 1);
    return prepare_buf(m->conn.db, &sql, ret, err);
}

static enum rc delete_row(struct mvcc *m, sqlite3_stmt *s, const struct table *t, bool history, int64_t id,
                          const struct value *key, struct err *err) {
    int code = SQLITE_OK;
    if (history)
        sqlite3_bind_int64(s, 1, id);
    for (uint16_t i = 0; !history && i < t->n_key && code == SQLITE_OK; i++)
        code = value_bind(s, i + 1, &key[i], VALUE_BORROWED) ? SQLITE_NOMEM : SQLITE_OK;
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    enum rc rc = code == SQLITE_DONE ? RC_OK : err_sqlite(err, m->conn.db, "trim a tablet");
    sqlite3_reset(s);
    return rc;
}

/* In key order what left is at the ends: from one end until the first row that stays. */
static enum rc trim_end(struct mvcc *m, const struct table *t, bool history, bool backwards, int *rows_left,
                        struct err *err) {
    struct buf sql;
    sqlite3_stmt *s = NULL, *gone = NULL;
    int code = SQLITE_DONE;
    bool ours = false;
    buf_init(&sql, 0);
    buf_puts(&sql, history ? "SELECT _id" : "SELECT 0");
    for (uint16_t i = 0; i < t->n_key; i++)
        buf_printf(&sql, ",c%u", t->cols[t->key[i].col].id);
    buf_printf(&sql, " FROM t%" PRIu64 "%s", t->id, history ? "_h" : "");
    for (uint16_t i = 0; i < t->n_key; i++)
        buf_printf(&sql, "%sc%u%s", i ? "," : " ORDER BY ", t->cols[t->key[i].col].id,
                   t->key[i].desc != backwards ? " DESC" : "");
    enum rc rc = prepare_buf(m->conn.db, &sql, &s, err);
    if (!rc)
        rc = prepare_delete(m, t, history, &gone, err);
    while (!rc && !ours && *rows_left > 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct value key[TABLE_KEY_MAX];
        for (uint16_t i = 0; i < t->n_key && !rc; i++)
            rc = value_column(s, i + 1, &key[i]);
        if (!rc)
            rc = rowkey_clip(&m->conn, &m->keybuf, t, key, &ours);
        if (rc)
            err_set(err, rc, "%s", rc_text(rc));
        else if (!ours)
            rc = delete_row(m, gone, t, history, sqlite3_column_int64(s, 0), key, err);
        *rows_left -= !ours;
    }
    if (!rc && code != SQLITE_DONE && code != SQLITE_ROW)
        rc = err_sqlite(err, m->conn.db, "read what is to be trimmed");
    sqlite3_finalize(gone);
    sqlite3_finalize(s);
    return rc;
}

static enum rc trim_all(struct mvcc *m, int *rows_left, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < m->n_tabs && !rc && *rows_left > 0; i++)
        for (int end = 0; end < 4 && !rc && *rows_left > 0; end++)
            rc = trim_end(m, m->tabs[i]->v.desc, end & 1, end & 2, rows_left, err);
    return rc;
}

enum rc rangecopy_trim(struct mvcc *m, int rows_max, bool *ret_more, struct err *err) {
    int left = rows_max;
    *ret_more = false;
    enum rc rc = mvcc_check_whole(m, err);
    if (rc || !m->untrimmed)
        return rc;
    rc = mvcc_import_begin(m, err);
    if (rc)
        return rc;
    rc = trim_all(m, &left, err);
    bool done = left > 0;
    if (!rc && done) {
        m->untrimmed = false;
        rc = mvcc_write_meta(m, err);
    }
    if (rc)
        return mvcc_break(m, rc);
    *ret_more = !done;
    return mvcc_flush(m, err);
}
