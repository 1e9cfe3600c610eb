/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvcc_file.c: what a tablet's file holds besides rows. Three tables, for people with a sqlite3 shell too:
 *
 *     meta      one row: the format, whose file it is, the applied slot and what goes with it
 *     tables    a descriptor (table.h) for each table
 *     section   named bytes of the layers above
 *
 * docs/formats.md describes them column by column.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/store/mvcc_internal.h"

static const char schema[] =
    "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one=1),format INTEGER NOT NULL,tablet INTEGER NOT NULL,"
    "generation INTEGER NOT NULL,slot INTEGER NOT NULL,floor INTEGER NOT NULL,gc_threshold INTEGER NOT NULL,"
    "checksum INTEGER NOT NULL,untrimmed INTEGER NOT NULL,ballot BLOB NOT NULL,range_start BLOB NOT NULL,"
    "range_end BLOB NOT NULL,config BLOB NOT NULL)STRICT;"
    "CREATE TABLE tables(id INTEGER PRIMARY KEY,version INTEGER NOT NULL,checksum INTEGER NOT NULL,"
    "descriptor BLOB NOT NULL)STRICT;"
    "CREATE TABLE section(name TEXT PRIMARY KEY,value BLOB NOT NULL)STRICT;";

enum rc file_fill(sqlite3 *db, const struct mvcc_state *state, bool untrimmed, struct err *err) {
    static const char insert[] = "INSERT INTO meta VALUES(1,?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)";
    const struct mvcc_bytes blobs[] = {state->ballot, state->start, state->end, state->config};
    sqlite3_stmt *s = NULL;
    if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return err_sqlite(err, db, "make a tablet's tables");
    enum rc rc = prepare(db, insert, sizeof insert - 1, &s, err);
    if (rc)
        return rc;
    const int64_t numbers[] = {MVCC_FORMAT,  (int64_t)state->tablet, (int64_t)state->generation, state->slot,
                               state->floor, state->gc_threshold,    (int64_t)state->checksum,   untrimmed};
    int at = 1, code = SQLITE_OK;
    for (size_t i = 0; i < ARRAY_LEN(numbers) && code == SQLITE_OK; i++)
        code = sqlite3_bind_int64(s, at++, numbers[i]);
    for (size_t i = 0; i < ARRAY_LEN(blobs) && code == SQLITE_OK; i++)
        code = sqlite3_bind_blob64(s, at++, blobs[i].n ? blobs[i].p : "", blobs[i].n, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(s) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR;
    rc = code == SQLITE_OK ? RC_OK : err_sqlite(err, db, "write a tablet's state");
    sqlite3_finalize(s);
    return rc;
}

/* ---- reading ---- */

enum rc file_slot(sqlite3 *db, int64_t *ret_slot, struct err *err) {
    static const char sql[] = "SELECT slot FROM meta";
    sqlite3_stmt *s = NULL;
    enum rc rc = prepare(db, sql, sizeof sql - 1, &s, err);
    if (rc)
        return rc;
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *ret_slot = sqlite3_column_int64(s, 0);
    else
        rc = code == SQLITE_DONE ? err_set(err, RC_CORRUPT, "not a tablet's file: it has no slot")
                                 : err_sqlite(err, db, "read the applied slot");
    sqlite3_finalize(s);
    return rc;
}

static enum rc get_blob(sqlite3_stmt *s, int i, struct buf *to) {
    const void *p = sqlite3_column_blob(s, i);
    int n = sqlite3_column_bytes(s, i);
    buf_reset(to, 0);
    if (n > 0 && !p)
        return RC_NOMEM;
    if (n > 0)
        buf_put(to, p, (size_t)n);
    return buf_rc(to);
}

static enum rc take_meta(struct mvcc *m, sqlite3_stmt *s, struct err *err) {
    struct mvcc_state *st = &m->state;
    if (sqlite3_column_int64(s, 0) != MVCC_FORMAT) {
        err_set(err, RC_CORRUPT, "a tablet file of format %" PRId64, (int64_t)sqlite3_column_int64(s, 0));
        err_hint(err, "This build reads format %d.", MVCC_FORMAT);
        return RC_CORRUPT;
    }
    st->tablet = (uint64_t)sqlite3_column_int64(s, 1);
    st->generation = (uint64_t)sqlite3_column_int64(s, 2);
    st->slot = sqlite3_column_int64(s, 3);
    st->floor = sqlite3_column_int64(s, 4);
    st->gc_threshold = sqlite3_column_int64(s, 5);
    st->checksum = (uint64_t)sqlite3_column_int64(s, 6);
    m->untrimmed = sqlite3_column_int64(s, 7) != 0;
    struct buf ballot;
    buf_init(&ballot, MVCC_BALLOT_BYTES_MAX);
    enum rc rc = get_blob(s, 8, &ballot);
    if (!rc && ballot.len)
        memcpy(m->ballot, ballot.data, ballot.len);
    st->ballot = (struct mvcc_bytes){m->ballot, rc ? 0 : ballot.len};
    buf_done(&ballot);
    if (!rc)
        rc = get_blob(s, 9, &m->start);
    if (!rc)
        rc = get_blob(s, 10, &m->end);
    if (!rc)
        rc = get_blob(s, 11, &m->config);
    st->start = (struct mvcc_bytes){m->start.data, m->start.len};
    st->end = (struct mvcc_bytes){m->end.data, m->end.len};
    st->config = (struct mvcc_bytes){m->config.data, m->config.len};
    return rc ? err_set(err, rc, "a tablet's state: %s", rc_text(rc)) : RC_OK;
}

static enum rc load_meta(sqlite3 *db, struct mvcc *m, struct err *err) {
    static const char sql[] = "SELECT format,tablet,generation,slot,floor,gc_threshold,checksum,untrimmed,ballot,"
                              "range_start,range_end,config FROM meta";
    sqlite3_stmt *s = NULL;
    enum rc rc = prepare(db, sql, sizeof sql - 1, &s, err);
    if (rc)
        return rc == RC_INTERNAL ? err_set(err, RC_CORRUPT, "not a tablet's file") : rc; /* no such table */
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        rc = take_meta(m, s, err);
    else
        rc = code == SQLITE_DONE ? err_set(err, RC_CORRUPT, "not a tablet's file: it has no state")
                                 : err_sqlite(err, db, "read a tablet's state");
    sqlite3_finalize(s);
    return rc;
}

static enum rc grow_rows(struct mvcc *m, size_t n_cols) {
    if (n_cols <= m->max_cols)
        return RC_OK;
    struct value *old = realloc(m->old, n_cols * sizeof *old);
    if (old)
        m->old = old;
    struct value *row = realloc(m->row, n_cols * sizeof *row);
    if (row)
        m->row = row;
    if (!old || !row)
        return RC_NOMEM;
    m->max_cols = n_cols;
    return RC_OK;
}

/* Takes the caller's reference to desc, also when it fails. */
static enum rc insert_tab(struct mvcc *m, size_t at, struct table *desc) {
    struct tab *t = NULL;
    if (grow_rows(m, desc->n_cols))
        goto nomem;
    if (m->n_tabs == m->cap_tabs) {
        size_t cap = m->cap_tabs ? m->cap_tabs * 2 : 16;
        struct tab **tabs = realloc(m->tabs, cap * sizeof(struct tab *));
        if (!tabs)
            goto nomem;
        m->tabs = tabs;
        m->cap_tabs = cap;
    }
    t = calloc(1, sizeof *t);
    if (!t)
        goto nomem;
    t->v.desc = desc;
    ilist_init(&t->dirty);
    memmove(m->tabs + at + 1, m->tabs + at, (m->n_tabs - at) * sizeof(struct tab *));
    m->tabs[at] = t;
    m->n_tabs++;
    return RC_OK;
nomem:
    table_unref(desc);
    return RC_NOMEM;
}

static enum rc load_tables(sqlite3 *db, struct mvcc *m, struct err *err) {
    static const char sql[] = "SELECT id,checksum,descriptor FROM tables ORDER BY id";
    sqlite3_stmt *s = NULL;
    int code = SQLITE_OK;
    enum rc rc = prepare(db, sql, sizeof sql - 1, &s, err);
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct table *desc = NULL;
        const void *p = sqlite3_column_blob(s, 2);
        rc = table_decode(p ? p : "", (size_t)sqlite3_column_bytes(s, 2), &desc, err);
        if (!rc && (int64_t)desc->id != sqlite3_column_int64(s, 0)) {
            rc = err_set(err, RC_CORRUPT, "the descriptor of table %" PRIu64 " in another's place", desc->id);
            table_unref(desc);
        } else if (!rc && insert_tab(m, m->n_tabs, desc)) {
            rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
        } else if (!rc) {
            m->tabs[m->n_tabs - 1]->sum = (uint64_t)sqlite3_column_int64(s, 1);
        }
    }
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, db, "read a tablet's tables");
    sqlite3_finalize(s);
    return rc;
}

enum rc file_load(sqlite3 *db, struct mvcc *m, struct err *err) {
    enum rc rc = load_meta(db, m, err);
    return rc ? rc : load_tables(db, m, err);
}

/* ---- changes, each within a slot --------------------------------------------------------------------------------- */

/* Runs a statement that changes something; its parameters are bound. Takes s. */
static enum rc run_stmt(struct mvcc *m, sqlite3_stmt *s, int code, const char *what, struct err *err) {
    enum rc rc = RC_OK;
    if (code != SQLITE_OK || sqlite3_step(s) != SQLITE_DONE)
        rc = err_sqlite(err, m->conn.db, what);
    sqlite3_finalize(s);
    return rc;
}

static enum rc begin_change(struct mvcc *m, struct err *err) {
    enum rc rc = mvcc_check_whole(m, err);
    CHECK(rc || m->in_slot);
    return rc;
}

static enum rc write_descriptor(struct mvcc *m, const struct table *t, struct err *err) {
    static const char sql[] = "INSERT INTO tables VALUES(?1,?2,0,?3)"
                              "ON CONFLICT(id)DO UPDATE SET version=excluded.version,descriptor=excluded.descriptor";
    sqlite3_stmt *s = NULL;
    struct buf b;
    buf_init(&b, TABLE_BYTES_MAX);
    table_encode(t, &b);
    enum rc rc = buf_rc(&b);
    if (rc)
        err_set(err, rc, "the descriptor of table %" PRIu64 ": %s", t->id, rc_text(rc));
    else
        rc = prepare(m->conn.db, sql, sizeof sql - 1, &s, err);
    if (!rc) {
        int code = sqlite3_bind_int64(s, 1, (int64_t)t->id);
        sqlite3_bind_int64(s, 2, t->version);
        if (code == SQLITE_OK)
            code = sqlite3_bind_blob64(s, 3, b.data, b.len, SQLITE_STATIC);
        rc = run_stmt(m, s, code, "write a table's descriptor", err);
    }
    buf_done(&b);
    return rc;
}

static enum rc put_new_table(struct mvcc *m, struct table *desc, struct buf *sql, struct err *err) {
    size_t at = 0;
    while (at < m->n_tabs && m->tabs[at]->v.desc->id < desc->id)
        at++;
    if (m->n_tabs == MVCC_TABLES_MAX)
        return err_set(err, RC_LIMIT, "a tablet of %d tables", MVCC_TABLES_MAX);
    table_sql_create(desc, sql);
    enum rc rc = exec_buf(m->conn.db, sql, "make a table", err);
    if (rc)
        return rc;
    if (insert_tab(m, at, table_ref(desc)))
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    m->tabs[at]->v.last = INT64_MIN; /* nothing was ever in it */
    return RC_OK;
}

static enum rc alter_table(struct mvcc *m, struct tab *tab, struct table *desc, struct buf *sql, struct err *err) {
    if (table_same(tab->v.desc, desc)) { /* confirmed, as of another time */
        tab_finalize(m, tab);
        fragment_cache_forget(&m->conn, desc->id);
        table_unref(tab->v.desc);
        tab->v.desc = table_ref(desc);
        return RC_OK;
    }
    enum rc rc = table_follows(tab->v.desc, desc, err);
    if (rc)
        return rc;
    tab_finalize(m, tab);
    fragment_cache_forget(&m->conn, desc->id);
    table_sql_alter(tab->v.desc, desc, sql);
    if (sql->len)
        rc = exec_buf(m->conn.db, sql, "change a table", err);
    if (rc)
        return rc;
    if (grow_rows(m, desc->n_cols))
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    table_unref(tab->v.desc);
    tab->v.desc = table_ref(desc);
    return RC_OK;
}

enum rc mvcc_put_table(struct mvcc *m, const struct table *t, struct err *err) {
    struct table *desc = NULL;
    struct buf sql;
    enum rc rc = begin_change(m, err);
    if (rc)
        return rc;
    buf_init(&sql, 0);
    rc = table_new(t, &desc, err);
    if (m->copy)
        changes_note_schema(m);
    struct tab *tab = mvcc_find_tab(m, t->id);
    if (!rc)
        rc = tab ? alter_table(m, tab, desc, &sql, err) : put_new_table(m, desc, &sql, err);
    if (!rc)
        rc = write_descriptor(m, desc, err);
    table_unref(desc);
    buf_done(&sql);
    m->batch_bytes += TABLE_BYTES_MAX / 64;
    return rc ? mvcc_break(m, rc) : RC_OK;
}

static enum rc drop_table(struct mvcc *m, size_t at, struct err *err) {
    static const char del[] = "DELETE FROM tables WHERE id=?1";
    struct tab *tab = m->tabs[at];
    sqlite3_stmt *s = NULL;
    struct buf sql;
    buf_init(&sql, 0);
    if (m->copy)
        changes_note_schema(m);
    tab_finalize(m, tab);
    fragment_cache_forget(&m->conn, tab->v.desc->id);
    table_sql_drop(tab->v.desc, &sql);
    enum rc rc = exec_buf(m->conn.db, &sql, "remove a table", err);
    buf_done(&sql);
    if (!rc)
        rc = prepare(m->conn.db, del, sizeof del - 1, &s, err);
    if (!rc)
        rc = run_stmt(m, s, sqlite3_bind_int64(s, 1, (int64_t)tab->v.desc->id), "remove a descriptor", err);
    if (rc)
        return rc;
    m->state.checksum -= tab->sum;
    ilist_del(&tab->dirty);
    table_unref(tab->v.desc);
    free(tab);
    memmove(m->tabs + at, m->tabs + at + 1, (--m->n_tabs - at) * sizeof(struct tab *));
    return RC_OK;
}

enum rc mvcc_drop_table(struct mvcc *m, uint64_t id, struct err *err) {
    enum rc rc = begin_change(m, err);
    for (size_t i = 0; i < m->n_tabs && !rc; i++)
        if (m->tabs[i]->v.desc->id == id) {
            rc = drop_table(m, i, err);
            return rc ? mvcc_break(m, rc) : RC_OK;
        }
    return rc;
}

enum rc mvcc_put_section(struct mvcc *m, const char *name, struct mvcc_bytes bytes, struct err *err) {
    static const char put[] = "INSERT OR REPLACE INTO section VALUES(?1,?2)";
    static const char del[] = "DELETE FROM section WHERE name=?1";
    static const char get[] = "SELECT value FROM section WHERE name=?1";
    sqlite3_stmt *s = NULL;
    size_t n = strlen(name);
    enum rc rc = begin_change(m, err);
    if (rc)
        return rc;
    if (n == 0 || n > MVCC_SECTION_NAME_BYTES_MAX || bytes.n > MVCC_SECTION_BYTES_MAX) {
        err_set(err, RC_LIMIT, "section \"%.50s\" of %zu bytes", name, bytes.n);
        return mvcc_break(m, RC_LIMIT);
    }
    rc = prepare(m->conn.db, get, sizeof get - 1, &s, err);
    if (!rc) {
        int code = sqlite3_bind_text(s, 1, name, (int)n, SQLITE_STATIC);
        code = code == SQLITE_OK ? sqlite3_step(s) : code;
        if (code == SQLITE_ROW)
            m->state.checksum -= section_hash(name, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
        else if (code != SQLITE_DONE)
            rc = err_sqlite(err, m->conn.db, "read a section");
        sqlite3_finalize(s);
    }
    if (!rc)
        rc = bytes.p ? prepare(m->conn.db, put, sizeof put - 1, &s, err)
                     : prepare(m->conn.db, del, sizeof del - 1, &s, err);
    if (!rc) {
        int code = sqlite3_bind_text(s, 1, name, (int)n, SQLITE_STATIC);
        if (code == SQLITE_OK && bytes.p)
            code = sqlite3_bind_blob64(s, 2, bytes.n ? bytes.p : "", bytes.n, SQLITE_STATIC);
        rc = run_stmt(m, s, code, "write a section", err);
    }
    if (!rc && bytes.p)
        m->state.checksum += section_hash(name, bytes.p, bytes.n);
    m->batch_bytes += n + bytes.n;
    return rc ? mvcc_break(m, rc) : RC_OK;
}

uint64_t section_hash(const char *name, const void *p, size_t n) {
    return hash_bytes(p ? p : "", n, hash_str(name, MVCC_FORMAT));
}

static enum rc set_bytes(struct buf *to, struct mvcc_bytes from, struct mvcc_bytes *ret) {
    buf_reset(to, 0);
    buf_put(to, from.p ? from.p : "", from.n);
    *ret = (struct mvcc_bytes){to->data, to->len};
    return buf_rc(to);
}

enum rc mvcc_write_meta(struct mvcc *m, struct err *err) {
    static const char sql[] = "UPDATE meta SET generation=?1,range_start=?2,range_end=?3,config=?4,untrimmed=?5";
    const struct mvcc_bytes blobs[] = {m->state.start, m->state.end, m->state.config};
    sqlite3_stmt *s = NULL;
    enum rc rc = prepare(m->conn.db, sql, sizeof sql - 1, &s, err);
    if (rc)
        return rc;
    int code = sqlite3_bind_int64(s, 1, (int64_t)m->state.generation);
    for (int i = 0; i < 3 && code == SQLITE_OK; i++)
        code = sqlite3_bind_blob64(s, i + 2, blobs[i].n ? blobs[i].p : "", blobs[i].n, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int(s, 5, m->untrimmed);
    return run_stmt(m, s, code, "write a tablet's range and configuration", err);
}

static enum rc set_range(struct mvcc *m, struct mvcc_bytes start, struct mvcc_bytes end, uint64_t generation,
                         struct err *err) {
    if (start.n > MVCC_KEY_BYTES_MAX || end.n > MVCC_KEY_BYTES_MAX)
        return err_set(err, RC_LIMIT, "a range with bounds of %zu and %zu bytes", start.n, end.n);
    if (generation < m->state.generation)
        return err_set(err, RC_INVAL, "generation %" PRIu64 " after %" PRIu64, generation, m->state.generation);
    if (set_bytes(&m->start, start, &m->state.start) || set_bytes(&m->end, end, &m->state.end))
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    m->state.generation = generation;
    return mvcc_write_meta(m, err);
}

enum rc mvcc_set_range(struct mvcc *m, struct mvcc_bytes start, struct mvcc_bytes end, uint64_t generation,
                       struct err *err) {
    enum rc rc = begin_change(m, err);
    if (rc)
        return rc;
    rc = set_range(m, start, end, generation, err);
    return rc ? mvcc_break(m, rc) : RC_OK;
}

enum rc mvcc_set_config(struct mvcc *m, struct mvcc_bytes config, struct err *err) {
    enum rc rc = begin_change(m, err);
    if (rc)
        return rc;
    if (config.n > MVCC_CONFIG_BYTES_MAX)
        rc = err_set(err, RC_LIMIT, "a configuration of %zu bytes", config.n);
    else if (set_bytes(&m->config, config, &m->state.config))
        rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    else
        rc = mvcc_write_meta(m, err);
    return rc ? mvcc_break(m, rc) : RC_OK;
}

/* ---- sections, read ---------------------------------------------------------------------------------------------- */

static enum rc read_sections(struct mvcc *m, const char *prefix, bool exact, mvcc_on_section *on_section, void *ctx,
                             struct err *err) WAITS {
    static const char sql[] = "SELECT name,value FROM section WHERE name>=?1 ORDER BY name";
    sqlite3_stmt *s = NULL;
    int code = SQLITE_DONE;
    size_t n = strlen(prefix);
    enum rc rc = mvcc_use(m, err);
    if (rc)
        return rc;
    rc = prepare(m->conn.db, sql, sizeof sql - 1, &s, err);
    if (!rc && sqlite3_bind_text(s, 1, prefix, (int)n, SQLITE_STATIC) != SQLITE_OK)
        rc = err_sqlite(err, m->conn.db, "sections");
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        const void *p = sqlite3_column_blob(s, 1);
        size_t bytes = (size_t)sqlite3_column_bytes(s, 1);
        if (!name || (bytes && !p))
            rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
        else if (exact ? strcmp(name, prefix) != 0 : strncmp(name, prefix, n) != 0)
            code = SQLITE_DONE;
        else
            rc = on_section(name, (struct mvcc_bytes){p ? p : "", bytes}, ctx, err);
        if (code == SQLITE_DONE)
            break;
    }
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, m->conn.db, "read sections");
    sqlite3_finalize(s);
    if (rc)
        IGNORE(mvcc_after_read(m, NULL)); /* broken then, as the next call will say */
    mvcc_unuse(m);
    return rc;
}

enum rc mvcc_sections(struct mvcc *m, const char *prefix, mvcc_on_section *on_section, void *ctx, struct err *err) {
    return read_sections(m, prefix, false, on_section, ctx, err);
}

static enum rc take_section(const char *name, struct mvcc_bytes bytes, void *ctx, struct err *err) {
    struct buf *to = ctx;
    (void)name;
    buf_put(to, bytes.p, bytes.n);
    if (buf_rc(to))
        return err_set(err, buf_rc(to), "%s", rc_text(buf_rc(to)));
    return RC_EXISTS; /* found: that is all */
}

enum rc mvcc_section(struct mvcc *m, const char *name, struct buf *to, struct err *err) {
    enum rc rc = read_sections(m, name, true, take_section, to, err);
    if (rc == RC_EXISTS)
        return RC_OK;
    return rc ? rc : err_set(err, RC_NOTFOUND, "no section \"%.100s\"", name);
}
