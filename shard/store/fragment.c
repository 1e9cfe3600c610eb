/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment.c: from a fragment's text to rows.
 *
 * A text is cut at its placeholders once a connection (a template). A run chooses a form for each table, and so one of the
 * template's prepared variants, which is made when it is first needed. On the main connection the run is one stretch without
 * a wait, under a budget of steps; its rows wait in memory until it is done. If the budget or one batch is not enough, what it
 * did is forgotten and it begins anew on a reader. A template that was too long before goes there at once, and is tried again
 * on the main connection now and then.
 */
#include "shard/store/fragment.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/store/mvcc_internal.h"
#include "shard/store/rowbatch.h"

enum { VARIANTS_MAX = 6, TRY_MAIN_EVERY = 16 };

/* Text up to a placeholder, and the place of its table in the template; -1: the end. */
struct piece {
    const char *text;
    size_t n;
    int table;
};

struct variant {
    uint8_t forms[FRAGMENT_TABLES_MAX];
    sqlite3_stmt *stmt;
};

struct template {
    struct map_node node; /* in cache.by_id */
    struct ilist link;    /* in cache.lru */
    uint64_t id;
    char *sql;
    uint16_t n_params;
    struct piece *pieces;
    size_t n_pieces;
    uint64_t tables[FRAGMENT_TABLES_MAX];
    uint32_t versions[FRAGMENT_TABLES_MAX]; /* of the tables, when the variants were made */
    size_t n_tables, n_mentions;
    struct variant *variants[VARIANTS_MAX];
    size_t n_variants;
    unsigned skip_main; /* so many runs go to a reader at once */
};

struct fragment_cache {
    struct map by_id;
    struct ilist lru; /* the least recently used first */
    size_t n_statements;
};

/* A run under way. */
struct running {
    struct mvcc *m;
    const struct fragment_run *run;
    struct conn *c;
    struct template *t;
    uint8_t forms[FRAGMENT_TABLES_MAX];
    struct rowbatch batch;
    uint32_t batch_bytes, batch_rows;
    int steps_left; /* main connection */
    uint64_t rows;
    bool too_long, more;
    enum form slowest; /* of the tables */
    struct view_run view;
};

/* ---- templates --------------------------------------------------------------------------------------------------- */

static void variant_free(struct variant *v) {
    sqlite3_finalize(v->stmt);
    free(v);
}

static void template_free(struct template *t) {
    if (!t)
        return;
    for (size_t i = 0; i < t->n_variants; i++)
        variant_free(t->variants[i]);
    free(t->pieces);
    free(t->sql);
    free(t);
}

static void cache_drop(struct fragment_cache *cache, struct template *t) {
    cache->n_statements -= t->n_variants;
    map_del(&cache->by_id, &t->node);
    ilist_del(&t->link);
    template_free(t);
}

void fragment_cache_free(struct conn *c) {
    struct template *t;
    if (!c->cache)
        return;
    while ((t = ilist_first(&c->cache->lru, struct template, link)))
        cache_drop(c->cache, t);
    map_done(&c->cache->by_id);
    free(c->cache);
    c->cache = NULL;
}

static void drop_variants(struct conn *c, struct template *t) {
    if (t->id && c->cache)
        c->cache->n_statements -= t->n_variants;
    while (t->n_variants > 0)
        variant_free(t->variants[--t->n_variants]);
}

void fragment_cache_forget(struct conn *c, uint64_t table) {
    if (!c->cache)
        return;
    ilist_for_each(it, &c->cache->lru) {
        struct template *t = ilist_entry(it, struct template, link);
        for (size_t i = 0; i < t->n_tables; i++)
            if (t->tables[i] == table) {
                drop_variants(c, t);
                break;
            }
    }
}

/* The end of what begins at p and is no place for a placeholder: a string, a quoted name, a comment. */
static const char *skip_quoted(const char *p) {
    if (*p == '\'' || *p == '"' || *p == '`') {
        const char *end = strchr(p + 1, *p);
        return end ? end + 1 : p + strlen(p);
    }
    if (p[0] == '-' && p[1] == '-') {
        const char *end = strchr(p, '\n');
        return end ? end : p + strlen(p);
    }
    if (p[0] == '/' && p[1] == '*') {
        const char *end = strstr(p + 2, "*/");
        return end ? end + 2 : p + strlen(p);
    }
    return p;
}

static enum rc add_table(struct template *t, uint64_t id, int *ret, struct err *err) {
    for (size_t i = 0; i < t->n_tables; i++)
        if (t->tables[i] == id) {
            *ret = (int)i;
            return RC_OK;
        }
    if (t->n_tables == FRAGMENT_TABLES_MAX)
        return err_set(err, RC_LIMIT, "a fragment over more than %d tables", FRAGMENT_TABLES_MAX);
    *ret = (int)t->n_tables;
    t->tables[t->n_tables++] = id;
    return RC_OK;
}

static enum rc add_piece(struct template *t, const char *text, const char *end, int table) {
    struct piece *pieces = realloc(t->pieces, (t->n_pieces + 1) * sizeof *pieces);
    if (!pieces)
        return RC_NOMEM;
    t->pieces = pieces;
    pieces[t->n_pieces++] = (struct piece){text, (size_t)(end - text), table};
    return RC_OK;
}

static enum rc cut(struct template *t, struct err *err) {
    const char *from = t->sql, *p = t->sql;
    enum rc rc = RC_OK;
    while (!rc && *p) {
        const char *after = skip_quoted(p);
        if (after != p || *p != '{') {
            p = after != p ? after : p + 1;
            continue;
        }
        char *end = NULL;
        uint64_t id = isdigit((unsigned char)p[1]) ? strtoull(p + 1, &end, 10) : 0;
        int table = -1;
        if (id == 0 || id > INT64_MAX || *end != '}')
            return err_set(err, RC_INVAL, "a placeholder is no table: %.20s", p);
        rc = add_table(t, id, &table, err);
        if (!rc && add_piece(t, from, p, table))
            rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
        t->n_mentions++;
        from = p = end + 1;
    }
    if (!rc && add_piece(t, from, p, -1))
        rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    return rc;
}

static enum rc template_new(const struct fragment *f, struct template **ret, struct err *err) {
    const char *p = f->sql;
    while (isspace((unsigned char)*p))
        p++;
    if (strncasecmp(p, "SELECT", 6) != 0 && strncasecmp(p, "WITH", 4) != 0 && strncasecmp(p, "VALUES", 6) != 0)
        return err_set(err, RC_INVAL, "a fragment is a SELECT: %.30s", f->sql);
    if (strlen(f->sql) > FRAGMENT_SQL_BYTES_MAX || f->n_params > FRAGMENT_PARAMS_MAX)
        return err_set(err, RC_LIMIT, "a fragment of %zu bytes and %u parameters", strlen(f->sql), f->n_params);
    struct template *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    ilist_init(&t->link);
    t->id = f->id;
    t->n_params = f->n_params;
    t->sql = strdup(f->sql);
    enum rc rc = t->sql ? cut(t, err) : err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    if (rc)
        template_free(t);
    else
        *ret = t;
    return rc;
}

/* The fragment's template on this connection. *ret_cached: it stays there; else the caller frees it. */
static enum rc find_template(struct conn *c, const struct fragment *f, struct template **ret, bool *ret_cached,
                             struct err *err) {
    *ret_cached = f->id != 0;
    if (f->id == 0)
        return template_new(f, ret, err);
    if (!c->cache) {
        c->cache = calloc(1, sizeof *c->cache);
        if (!c->cache)
            return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
        map_init(&c->cache->by_id);
        ilist_init(&c->cache->lru);
    }
    for (struct map_node *n = map_first(&c->cache->by_id, hash_u64(f->id)); n; n = map_next(n)) {
        struct template *t = container_of(n, struct template, node);
        if (t->id != f->id)
            continue;
        if (t->n_params != f->n_params || strcmp(t->sql, f->sql) != 0)
            return err_set(err, RC_INVAL, "two fragments with the id %" PRIu64, f->id);
        ilist_del(&t->link);
        ilist_push_back(&c->cache->lru, &t->link);
        *ret = t;
        return RC_OK;
    }
    enum rc rc = template_new(f, ret, err);
    if (rc)
        return rc;
    map_put(&c->cache->by_id, &(*ret)->node, hash_u64(f->id));
    ilist_push_back(&c->cache->lru, &(*ret)->link);
    return RC_OK;
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

/* Of the two forms for the past UNION ALL is the faster one for long scans, and the view for everything short: it walks no more
 * of a key's history than it needs. What is long ends up on a reader. */
static enum form choose_form(const struct running *x, const struct tabview *tv) {
    const struct conn *c = x->c;
    struct overlay *o = x->run->overlay;
    bool untrimmed = c->pinned ? c->pinned->untrimmed : c->m->untrimmed;
    bool own = o && o->ops->touches(o, tv->desc->id);
    bool latest = !own && !untrimmed && x->run->ts >= tv->last; /* V5 */
    bool simple = !own && !untrimmed && x->t->n_mentions == 1 && x->run->fragment->simple;
    int want = x->run->form - 1;
    if (env_mutant(c->m->s->env, "V5"))
        return FORM_LATEST;
    if (latest && (want < 0 || want == FORM_LATEST))
        return FORM_LATEST;
    if (simple && ((want < 0 && c->pinned) || want == FORM_SIMPLE))
        return FORM_SIMPLE;
    return FORM_VIEW;
}

/* A plan is for one definition of a table, and a definition for the time from its change on. */
static enum rc check_version(const struct running *x, const struct table *is, struct err *err) {
    const struct fragment_run *run = x->run;
    size_t i = 0;
    while (i < run->n_tables && run->tables[i].id != is->id)
        i++;
    if (i == run->n_tables)
        return RC_OK;
    struct env *env = x->m->s->env;
    if (is->version != run->tables[i].version && !env_mutant(env, "H-4: versions are not looked at in the snapshot"))
        return err_set(err, RC_STALE, "table %" PRIu64 " has version %u on tablet %" PRIu64 ", not %u", is->id,
                       is->version, x->m->state.tablet, run->tables[i].version);
    if (run->ts >= is->since || env_mutant(env, "INV-H1: the past is read as it never was"))
        return RC_OK;
    err_set(err, RC_TOO_OLD, "a table was changed after the time that is to be read");
    err_detail(err, "timestamp %" PRId64 ", table %" PRIu64 " is as it is since %" PRId64, run->ts, is->id, is->since);
    err_hint(err, "Read at a later time.");
    return RC_TOO_OLD;
}

static enum rc choose_forms(struct running *x, struct err *err) {
    for (size_t i = 0; i < x->t->n_tables; i++) {
        const struct tabview *tv = conn_table(x->c, x->t->tables[i]);
        if (!tv && x->run->n_tables > 0) /* it was there when the request came */
            return err_set(err, RC_STALE, "table %" PRIu64 " is gone from tablet %" PRIu64, x->t->tables[i],
                           x->m->state.tablet);
        if (!tv)
            return err_set(err, RC_INVAL, "no table %" PRIu64 " in tablet %" PRIu64, x->t->tables[i],
                           x->m->state.tablet);
        enum rc rc = check_version(x, tv->desc, err);
        if (rc)
            return rc;
        if (x->t->versions[i] != tv->desc->version) {
            drop_variants(x->c, x->t);
            x->t->versions[i] = tv->desc->version;
        }
        x->forms[i] = (uint8_t)choose_form(x, tv);
    }
    return RC_OK;
}

static void put_sql(struct buf *to, const struct template *t, const uint8_t *forms, const struct conn *c) {
    for (size_t i = 0; i < t->n_pieces; i++) {
        const struct piece *p = &t->pieces[i];
        buf_put(to, p->text, p->n);
        if (p->table < 0)
            continue;
        uint64_t id = t->tables[p->table];
        if (forms[p->table] == FORM_SIMPLE)
            readview_simple_sql(conn_table(c, id)->desc, t->n_params + 1, t->n_params + 2, to);
        else
            buf_printf(to, "%c%" PRIu64, forms[p->table] == FORM_VIEW ? 'v' : 't', id);
    }
}

static enum rc check_statement(sqlite3_stmt *s, const char *tail, struct err *err) {
    while (isspace((unsigned char)*tail) || *tail == ';')
        tail++;
    if (!s || *tail)
        return err_set(err, RC_INVAL, "a fragment is one statement");
    if (!sqlite3_stmt_readonly(s) || sqlite3_stmt_isexplain(s) || sqlite3_column_count(s) == 0) /* N-9 */
        return err_set(err, RC_INVAL, "a fragment only reads");
    return RC_OK;
}

/* SQL that does not fit the tables is the planner's error or a race with a schema change: say so. */
static enum rc prepare_fragment(struct conn *c, struct buf *sql, sqlite3_stmt **ret, struct err *err) {
    const char *text = buf_cstr(sql), *tail = "";
    sqlite3_stmt *s = NULL;
    if (!text)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    enum rc rc = RC_OK;
    int code = sqlite3_prepare_v3(c->db, text, -1, SQLITE_PREPARE_PERSISTENT, &s, &tail);
    if (code != SQLITE_OK)
        rc = err_sqlite(err, c->db, "prepare a fragment");
    if ((code & 0xff) == SQLITE_ERROR) {
        rc = RC_INVAL;
        err_set(err, rc, "not a fragment: %s", sqlite3_errmsg(c->db));
    }
    if (!rc)
        rc = check_statement(s, tail, err);
    if (rc) {
        err_detail(err, "%.300s", text);
        sqlite3_finalize(s);
        return rc;
    }
    *ret = s;
    return RC_OK;
}

static void make_room(struct conn *c, struct template *keep) {
    while (c->cache && c->cache->n_statements >= FRAGMENT_CACHE_STATEMENTS) {
        struct template *t = ilist_first(&c->cache->lru, struct template, link);
        if (t == keep)
            return;
        cache_drop(c->cache, t);
    }
}

static enum rc find_variant(struct running *x, sqlite3_stmt **ret, struct err *err) {
    struct template *t = x->t;
    struct buf sql;
    for (size_t i = 0; i < t->n_variants; i++)
        if (memcmp(t->variants[i]->forms, x->forms, t->n_tables) == 0) {
            *ret = t->variants[i]->stmt;
            return RC_OK;
        }
    make_room(x->c, t);
    for (size_t i = 0; i < t->n_tables; i++) {
        enum rc rc =
            x->forms[i] == FORM_VIEW ? readview_register(x->c, conn_table(x->c, t->tables[i])->desc, err) : RC_OK;
        if (rc)
            return rc;
    }
    struct variant *v = calloc(1, sizeof *v);
    if (!v)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    memcpy(v->forms, x->forms, t->n_tables);
    buf_init(&sql, 0);
    put_sql(&sql, t, x->forms, x->c);
    enum rc rc = prepare_fragment(x->c, &sql, &v->stmt, err);
    buf_done(&sql);
    if (rc) {
        free(v);
        return rc;
    }
    if (t->n_variants == VARIANTS_MAX) { /* many tables, changing forms: the oldest goes */
        variant_free(t->variants[0]);
        memmove(t->variants, t->variants + 1, (--t->n_variants) * sizeof *t->variants);
    } else if (t->id) {
        x->c->cache->n_statements++;
    }
    t->variants[t->n_variants++] = v;
    *ret = v->stmt;
    return RC_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* The error of a step. Functions of the layers above say "22012:division by zero". */
static enum rc step_failed(struct running *x, struct err *err) {
    sqlite3 *db = x->c->db;
    struct err of_function = {0};
    if ((sqlite3_errcode(db) & 0xff) == SQLITE_ERROR && ext_error_parse(sqlite3_errmsg(db), &of_function)) {
        if (err)
            *err = of_function;
        return of_function.rc;
    }
    if ((sqlite3_errcode(db) & 0xff) == SQLITE_INTERRUPT && fiber_deadline(x->m->s->r) <= reactor_now(x->m->s->r))
        return err_set(err, RC_TIMEOUT, "%s", rc_text(RC_TIMEOUT));
    return err_sqlite(err, db, "fragment");
}

static enum rc bind_all(struct running *x, sqlite3_stmt *s, struct err *err) {
    uint16_t n = x->t->n_params;
    int count = sqlite3_bind_parameter_count(s);
    for (uint16_t i = 0; i < n && i < count; i++) {
        enum rc rc = value_bind(s, i + 1, &x->run->params[i], VALUE_BORROWED);
        if (rc)
            return err_set(err, rc, "parameter %u: %s", i + 1, rc_text(rc));
    }
    for (size_t i = 0; i < x->t->n_tables; i++) {
        int64_t first = 1, last = 0;
        if (x->forms[i] != FORM_SIMPLE)
            continue;
        enum rc rc = readview_history(x->c, x->t->tables[i], x->run->ts, &first, &last, err);
        if (rc)
            return rc;
        sqlite3_bind_int64(s, n + 1, x->run->ts);
        sqlite3_bind_int64(s, n + 2, first <= last ? first : INT64_MAX);
    }
    if (count > n + 2)
        return err_set(err, RC_INVAL, "a fragment with a parameter ?%d of %u", count, n);
    return RC_OK;
}

static enum rc put_row(struct running *x, sqlite3_stmt *s, struct err *err) {
    int n = x->batch.n_cols;
    for (int i = 0; i < n; i++) {
        struct value v;
        if (value_column(s, i, &v))
            return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
        rowbatch_put(&x->batch, &v);
    }
    rowbatch_row_end(&x->batch);
    x->rows++;
    enum rc rc = buf_rc(&x->batch.buf);
    return rc ? err_set(err, rc, "a row: %s", rc_text(rc)) : RC_OK;
}

static enum rc deliver(struct running *x, bool last, struct err *err) WAITS {
    enum rc rc = rowbatch_end(&x->batch);
    if (rc)
        return err_set(err, rc, "a batch of rows: %s", rc_text(rc));
    rc = x->run->on_batch((struct mvcc_bytes){x->batch.buf.data, x->batch.buf.len}, last, x->run->ctx, err);
    if (!rc && !last)
        rowbatch_begin(&x->batch, x->batch.n_cols);
    return rc;
}

static bool batch_full(const struct running *x) {
    return x->batch.n_rows >= x->batch_rows || x->batch.buf.len >= x->batch_bytes;
}

/* All rows of the statement; on a reader batch by batch. On the main connection a full batch makes it too long. */
static enum rc step_all(struct running *x, sqlite3_stmt *s, struct err *err) WAITS {
    bool reader = x->c->pinned != NULL;
    enum rc rc = RC_OK;
    while (!rc) {
        if (x->run->rows_max && x->rows == x->run->rows_max) {
            x->more = true; /* as far as anybody knows */
            return RC_OK;
        }
        int code = sqlite3_step(s);
        if (code == SQLITE_DONE)
            return RC_OK;
        if (code != SQLITE_ROW) {
            if (!reader && (code & 0xff) == SQLITE_INTERRUPT)
                x->too_long = true;
            return step_failed(x, err);
        }
        rc = put_row(x, s, err);
        if (!rc && batch_full(x) && !reader) {
            x->too_long = true;
            return RC_CANCELLED;
        }
        if (!rc && batch_full(x))
            rc = deliver(x, false, err);
    }
    return rc;
}

static enum rc check_threshold(const struct running *x, struct err *err) {
    int64_t threshold = x->c->pinned ? x->c->pinned->gc_threshold : x->m->state.gc_threshold;
    if (x->run->ts >= threshold || env_mutant(x->m->s->env, "R-8"))
        return RC_OK;
    err_set(err, RC_TOO_OLD, "the versions at this timestamp may be gone");
    err_detail(err, "timestamp %" PRId64 ", versions are kept from %" PRId64 " on", x->run->ts, threshold);
    err_hint(err, "Read at a later time, or raise the database's retention.");
    return RC_TOO_OLD;
}

/* Everything on one connection, but for the last batch. */
static enum rc run_on(struct running *x, struct err *err) WAITS {
    bool cached = false;
    sqlite3_stmt *s = NULL;
    enum rc rc = check_threshold(x, err); /* after the pin */
    if (!rc && x->run->on_pin)
        rc = x->run->on_pin(x->c->pinned ? x->c->pinned->slot : x->m->state.slot, x->run->ctx, err);
    if (!rc)
        rc = find_template(x->c, x->run->fragment, &x->t, &cached, err);
    if (rc)
        return rc;
    x->view = (struct view_run){.ts = x->run->ts, .overlay = x->run->overlay};
    buf_init(&x->view.scratch, 0);
    x->c->run = &x->view;
    x->rows = 0;
    x->slowest = FORM_LATEST;
    rc = choose_forms(x, err);
    if (!rc)
        rc = find_variant(x, &s, err);
    for (size_t i = 0; i < x->t->n_tables && !rc; i++)
        x->slowest = x->forms[i] > x->slowest ? x->forms[i] : x->slowest;
    if (!rc)
        rc = bind_all(x, s, err);
    if (!rc) {
        rowbatch_begin(&x->batch, (uint16_t)sqlite3_column_count(s));
        rc = step_all(x, s, err);
    }
    if (s)
        sqlite3_reset(s);
    x->c->run = NULL;
    buf_done(&x->view.scratch);
    if (!cached) {
        template_free(x->t);
        x->t = NULL;
    }
    return rc;
}

static void finish(struct running *x, struct fragment_result *ret) {
    struct mvcc_stats *stats = &x->m->s->stats;
    *ret = (struct fragment_result){
        .rows = x->rows, .more = x->more, .on_reader = x->c->pinned != NULL, .form = x->slowest};
    counter_inc(ret->form == FORM_LATEST   ? &stats->reads_latest
                : ret->form == FORM_SIMPLE ? &stats->reads_simple
                                           : &stats->reads_view);
}

/* ---- the main connection ---- */

static int on_progress(void *ctx) {
    struct running *x = ctx;
    return --x->steps_left < 0;
}

/* Tells a template that is known to be long. */
static bool skips_main(struct running *x) {
    struct fragment_cache *cache = x->m->conn.cache;
    uint64_t id = x->run->fragment->id;
    if (x->run->where == FRAGMENT_READER)
        return true;
    if (id == 0 || !cache)
        return false;
    for (struct map_node *n = map_first(&cache->by_id, hash_u64(id)); n; n = map_next(n)) {
        struct template *t = container_of(n, struct template, node);
        if (t->id == id && t->skip_main > 0) {
            t->skip_main--;
            return true;
        }
    }
    return false;
}

static enum rc run_main(struct running *x, struct fragment_result *ret, struct err *err) WAITS {
    enum rc rc = mvcc_use(x->m, err);
    if (rc)
        return rc;
    x->c = &x->m->conn;
    x->steps_left = FRAGMENT_MAIN_STEPS;
    no_wait_begin(x->m->s->r); /* N-9 */
    sqlite3_progress_handler(x->c->db, VFS_STEP_OPS, on_progress, x);
    rc = run_on(x, err);
    sqlite3_progress_handler(x->c->db, 0, NULL, NULL);
    no_wait_end(x->m->s->r);
    if (!rc)
        finish(x, ret);
    else if (x->too_long && x->t)
        x->t->skip_main = TRY_MAIN_EVERY;
    if (rc && mvcc_after_read(x->m, NULL)) {
        x->too_long = false;
        rc = mvcc_check_whole(x->m, err);
    }
    mvcc_unuse(x->m);
    return rc ? rc : deliver(x, true, err);
}

static enum rc run_reader(struct running *x, struct fragment_result *ret, struct err *err) WAITS {
    struct mvcc_reader *rd = NULL;
    enum rc rc = mvcc_reader_open(x->m, &rd, err);
    if (rc)
        return rc;
    x->c = &rd->conn;
    rc = run_on(x, err);
    if (!rc)
        finish(x, ret);
    mvcc_reader_close(rd); /* the last batch may wait: not at the snapshot's expense */
    return rc ? rc : deliver(x, true, err);
}

enum rc fragment_run(struct mvcc *m, const struct fragment_run *run, struct fragment_result *ret, struct err *err) {
    struct running x = {.m = m, .run = run};
    struct fragment_result result = {.rows = 0};
    x.batch_bytes = run->batch_bytes ? run->batch_bytes : FRAGMENT_BATCH_BYTES;
    x.batch_rows = run->batch_rows ? run->batch_rows : FRAGMENT_BATCH_ROWS;
    rowbatch_init(&x.batch, FRAGMENT_ROW_BYTES_MAX);
    bool main = !skips_main(&x);
    enum rc rc = main ? run_main(&x, &result, err) : RC_OK;
    if (!main || x.too_long) {
        if (x.too_long) {
            err_clear(err);
            counter_inc(&m->s->stats.restarts);
        }
        x.too_long = x.more = false;
        rc = run_reader(&x, &result, err);
    }
    rowbatch_done(&x.batch);
    if (!rc)
        *ret = result;
    return rc;
}

/* ---- explaining -------------------------------------------------------------------------------------------------- */

static enum rc explain_sql(struct conn *c, const char *sql, const char *indent, const struct table *t, struct buf *to,
                           struct err *err);

/* "SCAN a VIRTUAL TABLE INDEX 0:K=--..:3": what is behind it. */
static enum rc explain_inner(struct conn *c, const char *detail, const struct table *t, struct buf *to,
                             struct err *err) {
    static const char mark[] = "VIRTUAL TABLE INDEX 0:";
    const char *at = strstr(detail, mark);
    struct buf sql;
    enum rc rc = RC_OK;
    if (!at || !t)
        return RC_OK;
    buf_init(&sql, 0);
    for (const char *arm = "cki"; *arm && !rc; arm++) {
        buf_reset(&sql, 0);
        if (!readview_inner_sql(t, at + sizeof mark - 1, *arm, &sql))
            continue;
        const char *text = buf_cstr(&sql);
        buf_printf(to, "    arm %c: %s\n", *arm, text ? text : "");
        rc = text ? explain_sql(c, text, "    ", NULL, to, err) : RC_NOMEM;
    }
    buf_done(&sql);
    return rc;
}

static enum rc explain_sql(struct conn *c, const char *sql, const char *indent, const struct table *t, struct buf *to,
                           struct err *err) {
    struct buf text;
    sqlite3_stmt *s = NULL;
    int code = SQLITE_DONE;
    buf_init(&text, 0);
    buf_printf(&text, "EXPLAIN QUERY PLAN %s", sql);
    enum rc rc = prepare(c->db, (const char *)text.data, text.len, &s, err);
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(s, 3);
        buf_printf(to, "%s%s\n", indent, detail ? detail : "");
        rc = explain_inner(c, detail ? detail : "", t, to, err);
    }
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, c->db, "explain a fragment");
    sqlite3_finalize(s);
    buf_done(&text);
    return rc;
}

enum rc fragment_explain(struct mvcc *m, const struct fragment *f, enum form form, struct buf *to, struct err *err) {
    struct template *t = NULL;
    struct buf sql;
    uint8_t forms[FRAGMENT_TABLES_MAX];
    const struct tabview *tv = NULL;
    enum rc rc = template_new(f, &t, err);
    if (!rc)
        rc = mvcc_use(m, err);
    if (rc) {
        template_free(t);
        return rc;
    }
    memset(forms, (int)form, sizeof forms);
    buf_init(&sql, 0);
    for (size_t i = 0; i < t->n_tables && !rc; i++) {
        tv = conn_table(&m->conn, t->tables[i]);
        rc = tv ? readview_register(&m->conn, tv->desc, err)
                : err_set(err, RC_INVAL, "no table %" PRIu64 " in the tablet", t->tables[i]);
    }
    if (!rc)
        put_sql(&sql, t, forms, &m->conn);
    const char *text = rc ? NULL : buf_cstr(&sql);
    if (text) {
        buf_printf(to, "%s\n", text);
        rc = explain_sql(&m->conn, text, "", t->n_tables == 1 ? tv->desc : NULL, to, err);
    }
    mvcc_unuse(m);
    template_free(t);
    buf_done(&sql);
    return rc ? rc : buf_rc(to);
}
