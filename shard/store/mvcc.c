/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvcc.c: the tablets of a store and their handles; batches.
 *
 * Handles. A tablet's main connection is opened when it is needed and closed when another tablet needs the place: at most
 * handles_max are open, the least recently used goes. One in use (mvcc_use) or with an open batch stays. The tablet's state
 * in memory does not depend on the handle; when it comes back, the slot in the file must be the one that was committed.
 */
#include "shard/store/mvcc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/fragment.h"
#include "shard/store/mvcc_internal.h"
#include "shard/store/pgnum.h"

/* ---- the store --------------------------------------------------------------------------------------------------- */

enum rc mvcc_store_new(struct reactor *r, struct vfs *v, const struct mvcc_store_conf *conf, struct mvcc_store **ret) {
    struct mvcc_store *s = calloc(1, sizeof *s);
    if (!s)
        return RC_NOMEM;
    s->r = r;
    s->env = reactor_env(r);
    s->v = v;
    s->handles_max = conf && conf->handles_max ? conf->handles_max : MVCC_HANDLES_MAX;
    s->readers_max = conf && conf->readers_max ? conf->readers_max : MVCC_READERS_MAX;
    s->cache_bytes = conf ? conf->cache_bytes : 0;
    ilist_init(&s->handles);
    ilist_init(&s->idle_readers);
    *ret = s;
    return RC_OK;
}

void mvcc_store_free(struct mvcc_store *s) {
    if (!s)
        return;
    CHECK(s->n_tablets == 0 && s->n_handles == 0 && s->n_readers == 0);
    free(s);
}

enum rc mvcc_store_add_ext(struct mvcc_store *s, ext_fn *on_open, void *ctx) {
    if (s->n_ext == EXT_MAX)
        return RC_LIMIT;
    s->ext[s->n_ext++] = (struct ext){on_open, ctx};
    return RC_OK;
}

const struct mvcc_stats *mvcc_store_stats(const struct mvcc_store *s) {
    return &s->stats;
}

void mvcc_store_add_metrics(struct mvcc_store *s) {
    struct mvcc_stats *x = &s->stats;
    const struct metric metric[] = {
        {"meridian_store_slots_total", "Log slots applied.", "", METRIC_COUNTER, 1, &x->slots, NULL},
        {"meridian_store_puts_total", "Row versions written.", "", METRIC_COUNTER, 1, &x->puts, NULL},
        {"meridian_store_deletes_total", "Row deletions.", "", METRIC_COUNTER, 1, &x->deletes, NULL},
        {"meridian_store_behind_total", "Versions older than what was there.", "", METRIC_COUNTER, 1, &x->behind, NULL},
        {"meridian_store_batches_total", "SQLite transactions committed.", "", METRIC_COUNTER, 1, &x->batches, NULL},
        {"meridian_store_rollbacks_total", "SQLite transactions lost.", "", METRIC_COUNTER, 1, &x->rollbacks, NULL},
        {"meridian_store_handles_opened_total", "Tablet files opened.", "", METRIC_COUNTER, 1, &x->opened, NULL},
        {"meridian_store_handles_evicted_total", "Handles closed for others.", "", METRIC_COUNTER, 1, &x->evicted,
         NULL},
        {"meridian_store_readers_opened_total", "Reader connections.", "", METRIC_COUNTER, 1, &x->readers_opened, NULL},
        {"meridian_store_reads_total", "Fragments by form.", "form=\"latest\"", METRIC_COUNTER, 1, &x->reads_latest,
         NULL},
        {"meridian_store_reads_total", "Fragments by form.", "form=\"simple\"", METRIC_COUNTER, 1, &x->reads_simple,
         NULL},
        {"meridian_store_reads_total", "Fragments by form.", "form=\"view\"", METRIC_COUNTER, 1, &x->reads_view, NULL},
        {"meridian_store_gc_rows_total", "Old versions removed.", "", METRIC_COUNTER, 1, &x->gc_rows, NULL},
        {"meridian_store_commit_seconds", "Commits of batches.", "", METRIC_HIST, 1e9, &x->commit_ns, NULL},
        {"meridian_store_apply_seconds", "Applying one slot.", "", METRIC_HIST, 1e9, &x->apply_ns, NULL},
    };
    static_assert(ARRAY_LEN(metric) == MVCC_METRICS, "all of them");
    for (size_t i = 0; i < ARRAY_LEN(metric); i++) {
        s->metric[i] = metric[i];
        metrics_add(&s->env->metrics, &s->metric[i]);
    }
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

enum rc prepare(sqlite3 *db, const char *sql, size_t n, sqlite3_stmt **ret, struct err *err) {
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v3(db, sql, (int)n, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
        return err_sqlite(err, db, "prepare");
    *ret = s;
    return RC_OK;
}

enum rc exec_buf(sqlite3 *db, struct buf *sql, const char *what, struct err *err) {
    const char *text = buf_cstr(sql);
    if (!text || buf_rc(sql))
        return err_set(err, RC_NOMEM, "%s: %s", what, rc_text(RC_NOMEM));
    return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ? RC_OK : err_sqlite(err, db, what);
}

static int64_t cache_bytes(const struct mvcc_store *s) {
    int64_t share = (int64_t)MVCC_CACHE_BYTES / (int64_t)(s->n_handles + s->n_readers + 1);
    if (s->cache_bytes)
        return s->cache_bytes;
    return share < MVCC_CACHE_BYTES_MIN   ? MVCC_CACHE_BYTES_MIN
           : share > MVCC_CACHE_BYTES_MAX ? MVCC_CACHE_BYTES_MAX
                                          : share;
}

enum rc conn_open(struct mvcc *m, unsigned flags, struct conn *ret, struct err *err) {
    struct mvcc_store *s = m->s;
    sqlite3 *db = NULL;
    enum rc rc = vfs_open(s->r, s->v, m->path, flags, cache_bytes(s), &db, err);
    if (rc)
        return rc;
    rc = pgnum_register(db, err);
    for (size_t i = 0; i < s->n_ext && !rc; i++)
        rc = s->ext[i].on_open(db, s->ext[i].ctx, err);
    if (rc) {
        vfs_close(db);
        return rc;
    }
    *ret = (struct conn){.m = m, .db = db};
    map_init(&ret->modules);
    return RC_OK;
}

void conn_close(struct conn *c) {
    if (!c->db)
        return;
    CHECK(!c->run);
    fragment_cache_free(c);
    conn_forget_modules(c);
    map_done(&c->modules);
    vfs_close(c->db);
    c->db = NULL;
}

static struct tab **find_tab(const struct mvcc *m, uint64_t id, bool *ret_found) {
    size_t lo = 0, hi = m->n_tabs;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (m->tabs[mid]->v.desc->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_found = lo < m->n_tabs && m->tabs[lo]->v.desc->id == id;
    return m->tabs ? &m->tabs[lo] : NULL;
}

struct tab *mvcc_find_tab(const struct mvcc *m, uint64_t id) {
    bool found = false;
    struct tab **at = find_tab(m, id, &found);
    return found ? *at : NULL;
}

const struct tabview *conn_table(const struct conn *c, uint64_t id) {
    if (!c->pinned) {
        struct tab *t = mvcc_find_tab(c->m, id);
        return t ? &t->v : NULL;
    }
    size_t lo = 0, hi = c->pinned->n_tables;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c->pinned->tables[mid].desc->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool found = lo < c->pinned->n_tables && c->pinned->tables[lo].desc->id == id;
    return found ? &c->pinned->tables[lo] : NULL;
}

/* ---- the main connection ----------------------------------------------------------------------------------------- */

static void finalize_all(struct mvcc *m) {
    for (size_t i = 0; i < m->n_tabs; i++)
        tab_finalize(m, m->tabs[i]);
    sqlite3_finalize(m->begin);
    sqlite3_finalize(m->commit);
    sqlite3_finalize(m->put_meta);
    sqlite3_finalize(m->put_sum);
    m->begin = m->commit = m->put_meta = m->put_sum = NULL;
}

static void close_main(struct mvcc *m) {
    if (!m->conn.db)
        return;
    CHECK(m->users == 0 && !m->in_slot);
    reader_drop_idle(m);
    finalize_all(m);
    conn_close(&m->conn);
    ilist_del(&m->link);
    m->s->n_handles--;
}

/* Room for one more handle. */
static enum rc make_room(struct mvcc_store *s, struct err *err) {
    if (s->n_handles < s->handles_max)
        return RC_OK;
    ilist_for_each(it, &s->handles) {
        struct mvcc *m = ilist_entry(it, struct mvcc, link);
        if (m->users > 0 || m->batch)
            continue;
        close_main(m);
        counter_inc(&s->stats.evicted);
        return RC_OK;
    }
    return err_set(err, RC_OVERLOAD, "all %zu handles of tablet files are in use", s->handles_max);
}

static enum rc prepare_main(struct mvcc *m, struct err *err) {
    static const char put_meta[] = "UPDATE meta SET slot=?1,floor=?2,gc_threshold=?3,checksum=?4,ballot=?5";
    static const char put_sum[] = "UPDATE tables SET checksum=?1 WHERE id=?2";
    enum rc rc = prepare(m->conn.db, "BEGIN IMMEDIATE", 15, &m->begin, err);
    if (!rc)
        rc = prepare(m->conn.db, "COMMIT", 6, &m->commit, err);
    if (!rc)
        rc = prepare(m->conn.db, put_sum, sizeof put_sum - 1, &m->put_sum, err);
    return rc ? rc : prepare(m->conn.db, put_meta, sizeof put_meta - 1, &m->put_meta, err);
}

/* Opens the main connection; the caller has set m->opening. */
static enum rc open_main(struct mvcc *m, struct err *err) WAITS {
    struct mvcc_store *s = m->s;
    enum rc rc = make_room(s, err);
    if (rc)
        return rc;
    s->n_handles++; /* taken while we wait */
    rc = conn_open(m, 0, &m->conn, err);
    if (rc) {
        s->n_handles--;
        m->conn.db = NULL;
        return rc;
    }
    ilist_push_back(&s->handles, &m->link);
    counter_inc(&s->stats.opened);
    rc = prepare_main(m, err);
    int64_t slot = 0;
    if (!rc && m->committed_slot != INT64_MIN)
        rc = file_slot(m->conn.db, &slot, err);
    if (!rc && m->committed_slot != INT64_MIN && slot != m->committed_slot)
        rc = err_set(err, RC_CORRUPT, "%.200s is at slot %" PRId64 ", but %" PRId64 " was committed", m->path, slot,
                     m->committed_slot);
    if (rc)
        close_main(m);
    return rc;
}

enum rc mvcc_check_whole(const struct mvcc *m, struct err *err) {
    if (!m->broken)
        return RC_OK;
    err_set(err, RC_IO, "tablet %" PRIu64 " lost a batch and must be reloaded", m->state.tablet);
    err_detail(err, "%.200s, committed slot %" PRId64, m->path, m->committed_slot);
    return RC_IO;
}

static enum rc use(struct mvcc *m, struct err *err) WAITS {
    while (m->opening) {
        enum rc rc = waitq_wait(m->s->r, &m->opened, DEADLINE_NONE);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    if (!m->conn.db) {
        m->opening = true;
        enum rc rc = open_main(m, err);
        m->opening = false;
        waitq_wake_all(&m->opened, RC_OK);
        if (rc)
            return rc;
    }
    m->users++;
    return RC_OK;
}

enum rc mvcc_use(struct mvcc *m, struct err *err) {
    enum rc rc = mvcc_check_whole(m, err);
    if (!rc)
        rc = use(m, err);
    if (!rc && m->broken) { /* while we waited */
        mvcc_unuse(m);
        rc = mvcc_check_whole(m, err);
    }
    return rc;
}

void mvcc_unuse(struct mvcc *m) {
    CHECK(m->users > 0);
    m->users--;
    ilist_del(&m->link);
    ilist_push_back(&m->s->handles, &m->link);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct filling {
    const struct mvcc_state *state;
};

static enum rc fill(sqlite3 *db, void *ctx, struct err *err) {
    const struct filling *f = ctx;
    return file_fill(db, f->state, false, err);
}

enum rc mvcc_create(struct mvcc_store *s, const char *path, const struct mvcc_state *state, struct err *err) {
    struct filling f = {state};
    return vfs_create(s->r, s->v, path, fill, &f, err);
}

enum rc mvcc_remove(struct mvcc_store *s, const char *path, struct err *err) {
    return vfs_remove(s->r, s->v, path, err);
}

static void forget_state(struct mvcc *m) {
    for (size_t i = 0; i < m->n_tabs; i++) {
        tab_finalize(m, m->tabs[i]);
        ilist_del(&m->tabs[i]->dirty);
        table_unref(m->tabs[i]->v.desc);
        free(m->tabs[i]);
    }
    m->n_tabs = 0;
}

enum rc mvcc_load(struct mvcc *m, struct err *err) {
    forget_state(m);
    enum rc rc = file_load(m->conn.db, m, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < m->n_tabs; i++)
        m->tabs[i]->v.last = m->state.floor; /* N-4: the stored floor is at least every commit */
    m->committed_slot = m->state.slot;
    return RC_OK;
}

enum rc mvcc_open(struct mvcc_store *s, const char *path, struct mvcc **ret, struct err *err) {
    if (strlen(path) >= VFS_PATH_BYTES_MAX)
        return err_set(err, RC_LIMIT, "path too long: %.100s...", path);
    struct mvcc *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    m->s = s;
    snprintf(m->path, sizeof m->path, "%s", path);
    ilist_init(&m->link);
    ilist_init(&m->dirty);
    waitq_init(&m->opened);
    buf_init(&m->start, 0);
    buf_init(&m->end, 0);
    buf_init(&m->config, 0);
    buf_init(&m->scratch, 0);
    buf_init(&m->keybuf, 0);
    m->committed_slot = m->durable_slot = INT64_MIN;
    s->n_tablets++;
    enum rc rc = use(m, err);
    if (!rc) {
        rc = mvcc_load(m, err);
        mvcc_unuse(m);
    }
    if (rc) {
        err_wrap(err, "tablet file %.200s", path);
        mvcc_close(m);
        return rc;
    }
    *ret = m;
    return RC_OK;
}

void mvcc_close(struct mvcc *m) {
    if (!m)
        return;
    CHECK(m->readers == 0 && !m->opening && !m->copy);
    if (m->batch && !m->broken)
        IGNORE(mvcc_flush(m, NULL)); /* what is lost comes again from the log */
    close_main(m);
    forget_state(m);
    free(m->tabs);
    free(m->old);
    free(m->row);
    buf_done(&m->start);
    buf_done(&m->end);
    buf_done(&m->config);
    buf_done(&m->scratch);
    buf_done(&m->keybuf);
    m->s->n_tablets--;
    free(m);
}

enum rc mvcc_reload(struct mvcc *m, struct err *err) {
    enum { POLL_NS = 1000000 };
    if (m->batch || m->in_slot)
        IGNORE(mvcc_break(m, RC_CANCELLED));
    while (m->users > 0) {
        enum rc slept = fiber_sleep(m->s->r, POLL_NS);
        if (slept)
            return err_set(err, slept, "%s", rc_text(slept));
    }
    CHECK(!m->in_slot);
    close_main(m);
    m->committed_slot = INT64_MIN; /* the file says it */
    enum rc rc = use(m, err);
    if (rc)
        return rc;
    rc = mvcc_load(m, err);
    mvcc_unuse(m);
    m->broken = rc != RC_OK;
    if (rc)
        err_wrap(err, "tablet file %.200s", m->path);
    return rc;
}

const struct mvcc_state *mvcc_state(const struct mvcc *m) {
    return &m->state;
}

int64_t mvcc_committed_slot(const struct mvcc *m) {
    return m->committed_slot;
}

const char *mvcc_path(const struct mvcc *m) {
    return m->path;
}

bool mvcc_broken(const struct mvcc *m) {
    return m->broken;
}

const struct table *mvcc_table(const struct mvcc *m, uint64_t id) {
    struct tab *t = mvcc_find_tab(m, id);
    return t ? t->v.desc : NULL;
}

size_t mvcc_tables(const struct mvcc *m, uint64_t *ids, size_t max) {
    for (size_t i = 0; i < m->n_tabs && i < max; i++)
        ids[i] = m->tabs[i]->v.desc->id;
    return m->n_tabs;
}

int64_t mvcc_last_commit(const struct mvcc *m, uint64_t table) {
    struct tab *t = mvcc_find_tab(m, table);
    return t ? t->v.last : INT64_MIN;
}

uint64_t mvcc_state_hash(const struct mvcc *m) {
    const struct mvcc_state *s = &m->state;
    int64_t n[] = {s->slot, s->floor, s->gc_threshold, (int64_t)s->generation, (int64_t)s->checksum};
    uint64_t h = hash_bytes(n, sizeof n, s->tablet);
    h = hash_bytes(s->start.p, s->start.n, h);
    h = hash_bytes(s->end.p, s->end.n, h);
    h = hash_bytes(s->config.p, s->config.n, h);
    for (size_t i = 0; i < m->n_tabs; i++) {
        uint64_t t[] = {m->tabs[i]->v.desc->id, m->tabs[i]->v.desc->version};
        h = hash_bytes(t, sizeof t, h);
    }
    return h;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static int run_once(sqlite3_stmt *s) {
    IGNORE(sqlite3_step(s)); /* the reset tells */
    return sqlite3_reset(s);
}

enum rc mvcc_break(struct mvcc *m, enum rc rc) {
    if (m->broken)
        return rc;
    if (!sqlite3_get_autocommit(m->conn.db))
        IGNORE(sqlite3_exec(m->conn.db, "ROLLBACK", NULL, NULL, NULL)); /* closing does it too */
    if (m->in_slot)
        no_wait_end(m->s->r);
    m->broken = true;
    m->batch = m->in_slot = false;
    counter_inc(&m->s->stats.rollbacks);
    env_probe(m->s->env, "store: batch rolled back");
    diag_tablet(&m->s->env->diag, DIAG_WARN, m->state.tablet, "store: batch lost, back to the committed slot",
                "slot=%" PRId64 " committed=%" PRId64 " reason=\"%s\"", m->state.slot, m->committed_slot, rc_text(rc));
    return rc;
}

enum rc mvcc_after_read(struct mvcc *m, struct err *err) {
    if (!m->batch || !sqlite3_get_autocommit(m->conn.db))
        return RC_OK;
    err_set(err, RC_IO, "a failed read took back the batch of tablet %" PRIu64, m->state.tablet);
    return mvcc_break(m, RC_IO);
}

static enum rc batch_begin(struct mvcc *m, struct err *err) WAITS {
    enum rc rc = mvcc_use(m, err);
    if (rc)
        return rc;
    rc = vfs_write_wait(m->s->r, m->conn.db, DEADLINE_NONE);
    if (rc)
        err_set(err, rc, "%s", rc_text(rc));
    if (!rc && run_once(m->begin) != SQLITE_OK)
        rc = err_sqlite(err, m->conn.db, "begin a batch");
    if (!rc)
        m->batch = true;
    mvcc_unuse(m); /* the batch keeps the handle */
    m->batch_slots = m->batch_bytes = 0;
    return rc;
}

static enum rc put_sums(struct mvcc *m, struct err *err) {
    struct tab *t;
    while ((t = ilist_first(&m->dirty, struct tab, dirty))) {
        sqlite3_bind_int64(m->put_sum, 1, (int64_t)t->sum);
        sqlite3_bind_int64(m->put_sum, 2, (int64_t)t->v.desc->id);
        if (run_once(m->put_sum) != SQLITE_OK)
            return err_sqlite(err, m->conn.db, "write a table's checksum");
        ilist_del(&t->dirty);
    }
    return RC_OK;
}

static enum rc put_meta(struct mvcc *m, struct err *err) {
    sqlite3_stmt *s = m->put_meta;
    sqlite3_bind_int64(s, 1, m->state.slot);
    sqlite3_bind_int64(s, 2, m->state.floor);
    sqlite3_bind_int64(s, 3, m->state.gc_threshold);
    sqlite3_bind_int64(s, 4, (int64_t)m->state.checksum);
    int code = sqlite3_bind_blob(s, 5, m->ballot, (int)m->state.ballot.n, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = run_once(s);
    return code == SQLITE_OK ? RC_OK : err_sqlite(err, m->conn.db, "write the applied slot");
}

enum rc mvcc_flush(struct mvcc *m, struct err *err) {
    CHECK(!m->in_slot);
    enum rc rc = mvcc_check_whole(m, err);
    if (rc || !m->batch)
        return rc;
    int64_t began = env_now_ns(m->s->env);
    if (!env_mutant(m->s->env, "P-8"))
        rc = put_meta(m, err);
    if (!rc)
        rc = put_sums(m, err);
    if (!rc && run_once(m->commit) != SQLITE_OK)
        rc = err_sqlite(err, m->conn.db, "commit a batch");
    if (rc)
        return mvcc_break(m, rc);
    m->batch = false;
    m->committed_slot = m->state.slot;
    counter_inc(&m->s->stats.batches);
    hist_add(&m->s->stats.commit_ns, env_now_ns(m->s->env) - began);
    if (m->n_stmts > MVCC_STATEMENTS_KEPT)
        for (size_t i = 0; i < m->n_tabs; i++)
            tab_finalize(m, m->tabs[i]);
    return RC_OK;
}

enum rc mvcc_import_begin(struct mvcc *m, struct err *err) {
    enum rc rc = mvcc_check_whole(m, err);
    CHECK(!m->in_slot);
    return rc || m->batch ? rc : batch_begin(m, err);
}

enum rc mvcc_import_table(struct mvcc *m, const struct table *t, struct err *err) {
    CHECK(m->batch && !m->in_slot);
    m->in_slot = true;
    no_wait_begin(m->s->r);
    enum rc rc = mvcc_put_table(m, t, err);
    if (rc) /* broken, and out of the slot */
        return rc;
    m->in_slot = false;
    no_wait_end(m->s->r);
    return RC_OK;
}

static enum rc check_slot(struct mvcc *m, int64_t slot, struct mvcc_bytes ballot, struct err *err) {
    CHECK(!m->in_slot);
    if (slot <= m->state.slot)
        return err_set(err, RC_INVAL, "slot %" PRId64 " is applied already (at %" PRId64 ")", slot, m->state.slot);
    if (ballot.n > MVCC_BALLOT_BYTES_MAX)
        return err_set(err, RC_INVAL, "a ballot of %zu bytes", ballot.n);
    return RC_OK;
}

enum rc mvcc_slot_begin(struct mvcc *m, int64_t slot, struct mvcc_bytes ballot, int64_t floor, struct err *err) {
    enum rc rc = check_slot(m, slot, ballot, err);
    if (!rc && m->batch && (m->batch_slots >= MVCC_BATCH_SLOTS_MAX || m->batch_bytes >= MVCC_BATCH_BYTES_MAX))
        rc = mvcc_flush(m, err);
    if (!rc)
        rc = mvcc_check_whole(m, err);
    if (!rc && !m->batch)
        rc = batch_begin(m, err);
    if (rc)
        return rc;
    m->slot_began_ns = env_now_ns(m->s->env);
    m->in_slot = true;
    no_wait_begin(m->s->r);
    m->next_slot = slot;
    m->next_ballot_bytes = ballot.n;
    if (ballot.n)
        memcpy(m->next_ballot, ballot.p, ballot.n);
    if (floor > m->state.floor) /* S-6; V2 and V3 need it before the rows */
        m->state.floor = floor;
    return RC_OK;
}

enum rc mvcc_slot_end(struct mvcc *m, struct err *err) {
    enum rc rc = mvcc_check_whole(m, err);
    if (rc)
        return rc;
    CHECK(m->in_slot);
    m->in_slot = false;
    no_wait_end(m->s->r);
    m->state.slot = m->next_slot;
    if (m->next_ballot_bytes)
        memcpy(m->ballot, m->next_ballot, m->next_ballot_bytes);
    m->state.ballot = (struct mvcc_bytes){m->ballot, m->next_ballot_bytes};
    m->batch_slots++;
    counter_inc(&m->s->stats.slots);
    hist_add(&m->s->stats.apply_ns, env_now_ns(m->s->env) - m->slot_began_ns);
    return RC_OK;
}

/* ---- durability -------------------------------------------------------------------------------------------------- */

static enum rc on_pin(sqlite3 *pin, void *ctx, int64_t *ret_marker, struct err *err) {
    (void)ctx;
    return file_slot(pin, ret_marker, err);
}

static void on_durable(int64_t marker, void *ctx) {
    struct mvcc *m = ctx;
    CHECK(marker >= m->durable_slot);
    m->durable_slot = marker;
}

enum rc mvcc_checkpoint(struct mvcc *m, bool reset, int64_t *ret_slot, struct err *err) {
    enum { RESET_WAIT_NS = 5000000 };
    struct vfs_checkpoint how = {
        .on_pin = on_pin, .on_durable = on_durable, .ctx = m, .reset_wait_ns = reset ? RESET_WAIT_NS : 0};
    struct vfs_checkpoint_result result;
    enum rc rc = mvcc_flush(m, err);
    if (!rc)
        rc = mvcc_use(m, err); /* the file stays open: its WAL's index need not be made anew */
    if (rc)
        return rc;
    rc = vfs_checkpoint(m->s->r, m->s->v, m->path, &how, &result, err);
    mvcc_unuse(m);
    if (!rc)
        *ret_slot = result.marker;
    return rc;
}

int64_t mvcc_durable_slot(const struct mvcc *m) {
    return m->durable_slot;
}

int64_t mvcc_wal_bytes(const struct mvcc *m) {
    return m->conn.db ? (int64_t)vfs_wal_frames(m->conn.db) * VFS_PAGE_BYTES : 0;
}

static enum rc pragma_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *err) {
    sqlite3_stmt *s = NULL;
    enum rc rc = prepare(db, sql, strlen(sql), &s, err);
    if (!rc && sqlite3_step(s) != SQLITE_ROW)
        rc = err_sqlite(err, db, "measure a tablet");
    if (!rc)
        *ret = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc;
}

enum rc mvcc_data_bytes(struct mvcc *m, int64_t *ret, struct err *err) {
    int64_t pages = 0, unused = 0;
    enum rc rc = mvcc_use(m, err);
    if (rc)
        return rc;
    rc = pragma_int(m->conn.db, "PRAGMA page_count", &pages, err);
    if (!rc)
        rc = pragma_int(m->conn.db, "PRAGMA freelist_count", &unused, err);
    mvcc_unuse(m);
    *ret = (pages - unused) * VFS_PAGE_BYTES;
    return rc;
}
