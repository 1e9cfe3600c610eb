/* SPDX-License-Identifier: Apache-2.0 */
/* gc.c: planning and removing the oldest part of the history. */
#include "shard/store/gc.h"

#include <string.h>

#include "shard/store/mvcc_internal.h"

/* ---- planning ---- */

/* The _hi at this offset from the start of a table's history, or INT64_MAX. */
static enum rc hi_at(struct mvcc *m, uint64_t table, int64_t offset, int64_t *ret, struct err *err) {
    char sql[120];
    sqlite3_stmt *s = NULL;
    int n =
        snprintf(sql, sizeof sql, "SELECT _hi FROM t%" PRIu64 "_h NOT INDEXED ORDER BY _id LIMIT 1 OFFSET ?1", table);
    enum rc rc = prepare(m->conn.db, sql, (size_t)n, &s, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(s, 1, offset);
    int code = sqlite3_step(s);
    *ret = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : INT64_MAX;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        rc = err_sqlite(err, m->conn.db, "plan garbage collection");
    sqlite3_finalize(s);
    return rc;
}

static enum rc plan_table(struct mvcc *m, uint64_t table, int64_t rows_max, struct gc_step *ret, bool *ret_any,
                          struct err *err) {
    int64_t first = 0, limit = 0, threshold = m->state.gc_threshold;
    enum rc rc = hi_at(m, table, 0, &first, err);
    if (rc || first >= threshold)
        return rc;
    rc = hi_at(m, table, rows_max, &limit, err);
    if (limit <= first)
        limit = first + 1; /* one entry brought them all: they go together */
    *ret = (struct gc_step){table, limit < threshold ? limit : threshold};
    *ret_any = true;
    return rc;
}

enum rc gc_plan(struct mvcc *m, int64_t rows_max, struct gc_step *ret, bool *ret_any, struct err *err) {
    struct gc_step step = {0};
    bool any = false;
    enum rc rc = rows_max < 1 ? err_set(err, RC_INVAL, "%" PRId64 " rows", rows_max) : mvcc_use(m, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < m->n_tabs && !any && !rc; i++)
        rc = plan_table(m, m->tabs[i]->v.desc->id, rows_max, &step, &any, err);
    if (rc)
        IGNORE(mvcc_after_read(m, NULL)); /* the next call says it */
    mvcc_unuse(m);
    if (rc)
        return rc;
    *ret = step;
    *ret_any = any;
    return RC_OK;
}

enum rc gc_lowest(struct mvcc *m, int64_t *ret_hi, struct err *err) {
    int64_t hi;
    enum rc rc = mvcc_use(m, err);
    *ret_hi = INT64_MAX;
    if (rc)
        return rc;
    for (size_t i = 0; i < m->n_tabs && !rc; i++) {
        rc = hi_at(m, m->tabs[i]->v.desc->id, 0, &hi, err);
        if (!rc && hi < *ret_hi)
            *ret_hi = hi;
    }
    if (rc)
        IGNORE(mvcc_after_read(m, NULL)); /* the next call says it */
    mvcc_unuse(m);
    return rc;
}

/* ---- applying ---- */

enum rc gc_raise(struct mvcc *m, int64_t threshold, struct err *err) {
    enum rc rc = mvcc_check_whole(m, err);
    if (rc)
        return rc;
    CHECK(m->in_slot);
    if (threshold > m->state.floor)
        return mvcc_break(m, err_set(err, RC_INVAL, "a threshold of %" PRId64 " above the floor %" PRId64, threshold,
                                     m->state.floor));
    if (threshold > m->state.gc_threshold)
        m->state.gc_threshold = threshold;
    return RC_OK;
}

struct removal {
    struct mvcc *m;
    struct tab *tab;
    int64_t below_id; /* the first one here that stays */
    uint64_t sum;     /* of what goes */
};

static enum rc count_version(struct removal *x, sqlite3_stmt *s) {
    struct mvcc *m = x->m;
    const struct table *t = x->tab->v.desc;
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (value_column(s, 2 + i, &m->old[i]))
            return RC_NOMEM;
    counter_inc(&m->s->stats.gc_rows);
    if (m->untrimmed) { /* what left the range is in the sum no more */
        struct value key[TABLE_KEY_MAX];
        bool ours = false;
        rowkey_values(t, m->old, key);
        enum rc rc = rowkey_clip(&m->conn, &m->keybuf, t, key, &ours);
        if (rc || !ours)
            return rc;
    }
    x->sum += version_hash(&m->scratch, t, m->old, sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1));
    return RC_OK;
}

static enum rc add_up(struct removal *x, struct buf *sql, struct err *err) {
    const struct table *t = x->tab->v.desc;
    sqlite3_stmt *s = NULL;
    int code = SQLITE_DONE;
    buf_puts(sql, "SELECT _ts,_end");
    for (uint16_t i = 0; i < t->n_cols; i++)
        buf_printf(sql, ",c%u", t->cols[i].id);
    buf_printf(sql, " FROM t%" PRIu64 "_h NOT INDEXED WHERE _id<?1", t->id);
    if (buf_rc(sql))
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    enum rc rc = prepare(x->m->conn.db, (const char *)sql->data, sql->len, &s, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(s, 1, x->below_id);
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW)
        rc = count_version(x, s);
    if (rc)
        err_set(err, rc, "%s", rc_text(rc));
    else if (code != SQLITE_DONE)
        rc = err_sqlite(err, x->m->conn.db, "read old versions");
    sqlite3_finalize(s);
    return rc;
}

static enum rc delete_all(struct removal *x, struct err *err) {
    char sql[120];
    sqlite3_stmt *s = NULL;
    int n = snprintf(sql, sizeof sql, "DELETE FROM t%" PRIu64 "_h WHERE _id<?1", x->tab->v.desc->id);
    enum rc rc = prepare(x->m->conn.db, sql, (size_t)n, &s, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(s, 1, x->below_id);
    if (sqlite3_step(s) != SQLITE_DONE)
        rc = err_sqlite(err, x->m->conn.db, "remove old versions");
    sqlite3_finalize(s);
    return rc;
}

enum rc gc_remove(struct mvcc *m, struct tab *tab, int64_t below_hi, struct err *err) {
    struct removal x = {.m = m, .tab = tab};
    struct buf sql;
    int64_t last = 0;
    /* V2: they are the first ones by _id. */
    enum rc rc = readview_history(&m->conn, tab->v.desc->id, below_hi - 1, &x.below_id, &last, err);
    if (rc)
        return rc;
    if (x.below_id > last)
        x.below_id = INT64_MAX; /* all of them */
    buf_init(&sql, 0);
    rc = add_up(&x, &sql, err);
    buf_done(&sql);
    if (!rc)
        rc = delete_all(&x, err);
    if (!rc)
        tab_sum_add(m, tab, -x.sum);
    return rc;
}

enum rc gc_delete(struct mvcc *m, const struct gc_step *step, struct err *err) {
    enum rc rc = mvcc_check_whole(m, err);
    if (rc)
        return rc;
    CHECK(m->in_slot);
    struct tab *tab = mvcc_find_tab(m, step->table);
    if (!tab) /* dropped since it was planned */
        return RC_OK;
    int64_t below = step->below_hi < m->state.gc_threshold ? step->below_hi : m->state.gc_threshold;
    if (m->copy)
        changes_note_gc(m, step->table, below);
    rc = gc_remove(m, tab, below, err);
    m->batch_bytes += VFS_PAGE_BYTES;
    return rc ? mvcc_break(m, rc) : RC_OK;
}
