/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvcc_reader.c: reader connections, and what only they can do at leisure: checking a tablet's contents.
 *
 * A reader's snapshot is SQLite's own: a read transaction that is open from the pin to the close. What the tablet knows of
 * that instant is copied beside it. One connection a tablet is kept when its reader closes, with its prepared statements.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/store/mvcc_internal.h"

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void snapshot_done(struct snapshot *s) {
    for (size_t i = 0; i < s->n_tables; i++)
        table_unref(s->tables[i].desc);
    free(s->tables);
    buf_done(&s->start);
    buf_done(&s->end);
    *s = (struct snapshot){.slot = 0};
}

static void reader_free(struct mvcc_reader *rd) {
    struct mvcc_store *s = rd->conn.m->s;
    conn_close(&rd->conn);
    snapshot_done(&rd->snap);
    free(rd);
    s->n_readers--;
}

void reader_drop_idle(struct mvcc *m) {
    struct mvcc_reader *rd = m->idle;
    if (!rd)
        return;
    m->idle = NULL;
    ilist_del(&rd->idle);
    reader_free(rd);
}

static enum rc make_room(struct mvcc_store *s, struct err *err) {
    if (s->n_readers < s->readers_max)
        return RC_OK;
    struct mvcc_reader *rd = ilist_first(&s->idle_readers, struct mvcc_reader, idle);
    if (!rd)
        return err_set(err, RC_OVERLOAD, "all %zu reader connections are in use", s->readers_max);
    reader_drop_idle(rd->conn.m);
    return RC_OK;
}

static enum rc reader_get(struct mvcc *m, struct mvcc_reader **ret, struct err *err) WAITS {
    struct mvcc_store *s = m->s;
    if (m->idle) {
        *ret = m->idle;
        ilist_del(&m->idle->idle);
        m->idle = NULL;
        return RC_OK;
    }
    enum rc rc = make_room(s, err);
    if (rc)
        return rc;
    struct mvcc_reader *rd = calloc(1, sizeof *rd);
    if (!rd)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    ilist_init(&rd->idle);
    s->n_readers++; /* taken while we wait */
    rc = conn_open(m, VFS_READER, &rd->conn, err);
    if (rc) {
        free(rd);
        s->n_readers--;
        return rc;
    }
    counter_inc(&s->stats.readers_opened);
    *ret = rd;
    return RC_OK;
}

/* ---- the pin ----------------------------------------------------------------------------------------------------- */

static enum rc copy_state(struct mvcc *m, struct snapshot *to) {
    to->slot = m->state.slot;
    to->floor = m->state.floor;
    to->gc_threshold = m->state.gc_threshold;
    to->untrimmed = m->untrimmed;
    buf_init(&to->start, 0);
    buf_init(&to->end, 0);
    buf_put(&to->start, m->state.start.p ? m->state.start.p : "", m->state.start.n);
    buf_put(&to->end, m->state.end.p ? m->state.end.p : "", m->state.end.n);
    to->tables = malloc((m->n_tabs ? m->n_tabs : 1) * sizeof *to->tables);
    if (!to->tables || buf_rc(&to->start) || buf_rc(&to->end))
        return RC_NOMEM;
    for (to->n_tables = 0; to->n_tables < m->n_tabs; to->n_tables++) {
        const struct tabview *v = &m->tabs[to->n_tables]->v;
        to->tables[to->n_tables] = (struct tabview){table_ref(v->desc), v->last};
    }
    return RC_OK;
}

/* Nothing in here waits or yields. */
static enum rc pin(struct mvcc *m, struct mvcc_reader *rd, struct err *err) {
    int64_t slot = 0;
    sqlite3_progress_handler(rd->conn.db, 0, NULL, NULL);
    no_wait_begin(m->s->r);
    enum rc rc = mvcc_flush(m, err);
    if (!rc && sqlite3_exec(rd->conn.db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        rc = err_sqlite(err, rd->conn.db, "pin a snapshot");
    if (!rc)
        rc = file_slot(rd->conn.db, &slot, err); /* the first read opens the snapshot */
    if (!rc && slot != m->state.slot)
        rc = err_set(err, RC_CORRUPT, "slot %" PRId64 " in a snapshot of slot %" PRId64, slot, m->state.slot);
    if (!rc && copy_state(m, &rd->snap))
        rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    no_wait_end(m->s->r);
    vfs_set_yield(rd->conn.db, m->s->r);
    rd->conn.pinned = &rd->snap;
    return rc;
}

enum rc mvcc_reader_open(struct mvcc *m, struct mvcc_reader **ret, struct err *err) {
    struct mvcc_reader *rd = NULL;
    enum rc rc = mvcc_use(m, err); /* the tablet's state is that of its file */
    if (rc)
        return rc;
    m->readers++;
    rc = reader_get(m, &rd, err);
    if (!rc)
        rc = pin(m, rd, err);
    if (rc && rd)
        reader_free(rd);
    if (rc)
        m->readers--;
    else
        *ret = rd;
    mvcc_unuse(m);
    return rc;
}

void mvcc_reader_close(struct mvcc_reader *rd) {
    if (!rd)
        return;
    struct mvcc *m = rd->conn.m;
    m->readers--;
    snapshot_done(&rd->snap);
    bool fine = sqlite3_exec(rd->conn.db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    if (!fine || m->idle || !m->conn.db || m->broken) { /* a failed commit leaves the transaction to the close */
        reader_free(rd);
        return;
    }
    m->idle = rd;
    ilist_push_back(&m->s->idle_readers, &rd->idle);
}

int64_t mvcc_reader_slot(const struct mvcc_reader *rd) {
    return rd->snap.slot;
}

int64_t mvcc_reader_floor(const struct mvcc_reader *rd) {
    return rd->snap.floor;
}

int64_t mvcc_reader_gc_threshold(const struct mvcc_reader *rd) {
    return rd->snap.gc_threshold;
}

/* ---- verification ------------------------------------------------------------------------------------------------ */

struct verify {
    struct mvcc_reader *rd;
    const struct table *t;
    struct buf scratch, key;
    struct value *row;
    uint64_t sum; /* of this table */
    int64_t hi;   /* the last one seen */
};

static enum rc wrong(struct verify *v, const char *what, struct err *err) {
    err_set(err, RC_CORRUPT, "table %" PRIu64 " of tablet %" PRIu64 ": %s", v->t->id, v->rd->conn.m->state.tablet,
            what);
    err_detail(err, "%.200s, slot %" PRId64, v->rd->conn.m->path, v->rd->snap.slot);
    return RC_CORRUPT;
}

static enum rc take_row(struct verify *v, sqlite3_stmt *s, int first) {
    for (uint16_t i = 0; i < v->t->n_cols; i++)
        if (value_column(s, first + i, &v->row[i]))
            return RC_NOMEM;
    return RC_OK;
}

static enum rc verify_version(struct verify *v, sqlite3_stmt *s, bool history, struct err *err) {
    const struct snapshot *snap = &v->rd->snap;
    int64_t ts = sqlite3_column_int64(s, 0), end = history ? sqlite3_column_int64(s, 1) : INT64_MAX;
    if (take_row(v, s, history ? 3 : 1))
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    if (snap->untrimmed) {
        struct value key[TABLE_KEY_MAX];
        bool ours = false;
        rowkey_values(v->t, v->row, key);
        enum rc rc = rowkey_clip(&v->rd->conn, &v->key, v->t, key, &ours);
        if (rc || !ours)
            return rc ? err_set(err, rc, "%s", rc_text(rc)) : RC_OK;
    }
    if (ts > snap->floor)
        return wrong(v, "a version above the floor (V3)", err);
    if (history) {
        int64_t hi = sqlite3_column_int64(s, 2);
        if (ts > end || end > hi || hi < v->hi || hi > snap->floor)
            return wrong(v, "an old version out of order (V2)", err);
        v->hi = hi;
    }
    v->sum += version_hash(&v->scratch, v->t, v->row, ts, end);
    return RC_OK;
}

static enum rc verify_rows(struct verify *v, bool history, struct err *err) WAITS {
    struct buf sql;
    sqlite3_stmt *s = NULL;
    int code = SQLITE_DONE;
    buf_init(&sql, 0);
    buf_puts(&sql, history ? "SELECT _ts,_end,_hi" : "SELECT _ts");
    for (uint16_t i = 0; i < v->t->n_cols; i++)
        buf_printf(&sql, ",c%u", v->t->cols[i].id);
    buf_printf(&sql, " FROM t%" PRIu64 "%s NOT INDEXED%s", v->t->id, history ? "_h" : "",
               history ? " ORDER BY _id" : "");
    enum rc rc = buf_rc(&sql) ? err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM))
                              : prepare(v->rd->conn.db, (const char *)sql.data, sql.len, &s, err);
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW)
        rc = verify_version(v, s, history, err);
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, v->rd->conn.db, "verify");
    sqlite3_finalize(s);
    buf_done(&sql);
    return rc;
}

/* SELECT of one integer. */
static enum rc ask(sqlite3 *db, const char *sql, int64_t id, uint64_t *ret, struct err *err) {
    sqlite3_stmt *s = NULL;
    enum rc rc = prepare(db, sql, strlen(sql), &s, err);
    if (rc)
        return rc;
    if (sqlite3_bind_parameter_count(s) > 0)
        sqlite3_bind_int64(s, 1, id);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *ret = (uint64_t)sqlite3_column_int64(s, 0);
    else
        rc = code == SQLITE_DONE ? err_set(err, RC_CORRUPT, "a tablet's file lacks a row")
                                 : err_sqlite(err, db, "verify");
    sqlite3_finalize(s);
    return rc;
}

static enum rc verify_table(struct verify *v, struct err *err) WAITS {
    uint64_t stored = 0;
    v->sum = 0;
    v->hi = INT64_MIN;
    v->row = malloc(v->t->n_cols * sizeof *v->row);
    enum rc rc = v->row ? verify_rows(v, false, err) : err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    if (!rc)
        rc = verify_rows(v, true, err);
    if (!rc)
        rc = ask(v->rd->conn.db, "SELECT checksum FROM tables WHERE id=?1", (int64_t)v->t->id, &stored, err);
    if (!rc && stored != v->sum)
        rc = wrong(v, "the rows do not add up to the checksum (V6)", err);
    free(v->row);
    v->row = NULL;
    return rc;
}

static enum rc verify_sections(struct mvcc_reader *rd, uint64_t *sum, struct err *err) WAITS {
    static const char sql[] = "SELECT name,value FROM section";
    sqlite3_stmt *s = NULL;
    int code = SQLITE_DONE;
    enum rc rc = prepare(rd->conn.db, sql, sizeof sql - 1, &s, err);
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        if (!name)
            rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
        else
            *sum += section_hash(name, sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1));
    }
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, rd->conn.db, "verify sections");
    sqlite3_finalize(s);
    return rc;
}

/* It also calls it damage when a page could not be read: "unable to get the page. error code=266". */
static bool read_failed(const char *text) {
    static const char mark[] = "error code=";
    const char *at = strstr(text, mark);
    long code = at ? strtol(at + sizeof mark - 1, NULL, 10) & 0xff : 0;
    return code == SQLITE_IOERR || code == SQLITE_NOMEM;
}

/* SQLite's own check: its first complaint. */
static enum rc verify_file(struct mvcc_reader *rd, struct err *err) WAITS {
    sqlite3_stmt *s = NULL;
    enum rc rc = prepare(rd->conn.db, "PRAGMA integrity_check(1)", 25, &s, err);
    if (rc)
        return rc;
    int code = sqlite3_step(s);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    if (code != SQLITE_ROW)
        rc = err_sqlite(err, rd->conn.db, "verify the file");
    else if (text && strcmp(text, "ok") != 0 && read_failed(text))
        rc = err_set(err, RC_IO, "%.200s: %.100s", rd->conn.m->path, text);
    else if (!text || strcmp(text, "ok") != 0)
        rc = err_set(err, RC_CORRUPT, "%.200s: %.100s", rd->conn.m->path, text ? text : "no verdict");
    sqlite3_finalize(s);
    return rc;
}

enum rc mvcc_verify(struct mvcc_reader *rd, bool deep, struct err *err) {
    struct verify v = {.rd = rd};
    uint64_t sum = 0, stored = 0;
    enum rc rc = RC_OK;
    buf_init(&v.scratch, 0);
    buf_init(&v.key, 0);
    for (size_t i = 0; i < rd->snap.n_tables && !rc; i++) {
        v.t = rd->snap.tables[i].desc;
        rc = verify_table(&v, err);
        sum += v.sum;
    }
    if (!rc)
        rc = verify_sections(rd, &sum, err);
    if (!rc)
        rc = ask(rd->conn.db, "SELECT checksum FROM meta", 0, &stored, err);
    if (!rc && sum != stored)
        rc = err_set(err, RC_CORRUPT, "tablet %" PRIu64 ": the sections do not add up to the checksum (V6)",
                     rd->conn.m->state.tablet);
    if (!rc && deep)
        rc = verify_file(rd, err);
    buf_done(&v.scratch);
    buf_done(&v.key);
    return rc;
}
