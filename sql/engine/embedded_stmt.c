/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embedded_stmt.c: statements of the embedded engine.
 *
 * Rows come in batches: the portal is executed for EMBEDDED_BATCH_ROWS at a time, their text is kept, and the next batch is
 * asked for when they are used up. Another statement that begins meanwhile makes the rest of them come at once (as the remote
 * engine does it).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/engine/embedded_internal.h"
#include "sql/parse/utf8.h"
#include "sql/types/types.h"

struct place {
    size_t at, bytes;
    bool null;
};

struct embedded_stmt {
    struct engine_stmt pub;
    struct embedded *e;
    char *sql;
    size_t sql_bytes;
    bool script;
    const struct engine_param *param; /* while it begins */
    struct sess_script *parsed;       /* a script's */
    size_t index, count;              /* of its statements */
    struct sess_stmt *stmt;           /* prepared, or a script's present one */
    struct sess_portal *portal;       /* open: there may be more rows */
    uint64_t max;                     /* rows of the next batch */
    struct buf text;                  /* of the batch */
    struct place *place;
    size_t places, place_cap; /* cells of the batch */
    size_t rows, row_at;      /* rows of the batch, and how many were given out */
    bool failed;              /* after the batch comes the error */
    struct err err;
    bool ended; /* no result is left */
    struct engine_column *column;
    struct engine_cell *cell;
    uint32_t *oid;
    size_t cap;
    char tag[64];
};

static const struct sess_ops *const ops = &sess_engine_ops;

static struct embedded_stmt *of(struct engine_stmt *st) {
    return container_of(st, struct embedded_stmt, pub);
}

static int nomem(struct api_error *err) {
    return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

static bool reserve_places(struct embedded_stmt *st, size_t more) {
    if (st->places + more <= st->place_cap)
        return true;
    size_t cap = st->place_cap ? 2 * st->place_cap : 256;
    if (cap < st->places + more)
        cap = st->places + more;
    struct place *p = realloc(st->place, cap * sizeof *p);
    if (!p)
        return false;
    st->place = p;
    st->place_cap = cap;
    return true;
}

/* On the fiber: one row's cells as text. */
enum rc embedded_row(struct embedded_stmt *st, const struct value *v, struct err *err) {
    const struct type_session *types = ops->types(st->e->sess);
    size_t n = st->stmt->columns;
    if (!reserve_places(st, n))
        return err_set(err, RC_NOMEM, "out of memory for rows");
    for (size_t i = 0; i < n; i++) {
        struct place *p = &st->place[st->places + i];
        *p = (struct place){.at = st->text.len, .null = v[i].kind == VALUE_NULL};
        if (p->null)
            continue;
        enum rc rc = type_print(types, &st->stmt->column[i].type, &v[i], &st->text, err);
        if (rc)
            return rc;
        p->bytes = st->text.len - p->at;
        buf_putc(&st->text, 0);
    }
    if (buf_rc(&st->text))
        return err_set(err, RC_NOMEM, "out of memory for rows");
    st->places += n;
    st->rows++;
    return RC_OK;
}

static void drop_batch(struct embedded_stmt *st) {
    st->places = st->rows = st->row_at = 0;
    buf_reset(&st->text, 1 << 20);
}

static bool rows_left(const struct embedded_stmt *st) {
    return st->row_at < st->rows;
}

/* ---- on the fiber -------------------------------------------------------------------------------------------------------------- */

static void portal_end(struct embedded_stmt *st) {
    if (st->portal)
        ops->portal_free(st->portal);
    st->portal = NULL;
}

static void script_end(struct embedded_stmt *st) {
    if (st->script && st->stmt) {
        ops->stmt_free(st->stmt);
        st->stmt = NULL;
    }
    if (st->parsed)
        ops->script_free(st->parsed);
    st->parsed = NULL;
}

/* The end of a request, as the protocol's Sync: commits what is implicit, or rolls it back. */
static enum rc sync_now(struct embedded_stmt *st, enum rc rc) {
    struct err err = {0};
    enum rc more = ops->sync(st->e->sess, rc != RC_OK, &err);
    if (!rc && more) {
        st->err = err;
        rc = more;
    }
    return rc;
}

/* A batch of rows; at the end of the portal its tag, and of the last one the transaction's end. */
static void work_pull(struct embedded *e) {
    struct embedded_stmt *st = e->running;
    struct sess_done done = {0};
    bool last = !st->script || st->index + 1 == st->count;
    e->rc = ops->execute(e->sess, st->portal, st->stmt->rows ? st->max : 0, last, &done, &st->err);
    if (!e->rc && done.suspended)
        return;
    portal_end(st);
    if (!e->rc)
        snprintf(st->tag, sizeof st->tag, "%s", done.tag);
    if (e->rc || last)
        e->rc = sync_now(st, e->rc);
    if (e->rc) {
        script_end(st);
    } else if (last && st->parsed) { /* its statement stays: the columns' names are there */
        ops->script_free(st->parsed);
        st->parsed = NULL;
    }
}

static enum rc read_param(struct embedded_stmt *st, size_t i, struct arena *a, struct value *ret) {
    const struct engine_param *p = &st->param[i];
    const struct col *type = &st->stmt->param[i];
    size_t bad;
    if (!p->data) {
        *ret = value_null();
        return RC_OK;
    }
    if (!p->binary && !utf8_valid(p->data, p->bytes, &bad))
        return err_sql(&st->err, "22021", "invalid byte sequence for encoding \"UTF8\"");
    return p->binary ? type_recv(type, p->data, p->bytes, a, ret, &st->err)
                     : type_parse(ops->types(st->e->sess), type, p->data, p->bytes, a, ret, &st->err);
}

static void work_begin(struct embedded *e) {
    struct embedded_stmt *st = e->running;
    struct arena a;
    arena_init(&a, 0);
    struct value *v = arena_array(&a, st->pub.params + 1, sizeof *v);
    e->rc = v ? RC_OK : err_set(&st->err, RC_NOMEM, "out of memory for parameters");
    for (size_t i = 0; i < st->pub.params && !e->rc; i++)
        e->rc = read_param(st, i, &a, &v[i]);
    if (!e->rc)
        e->rc = ops->bind(e->sess, st->stmt, v, &st->portal, &st->err);
    arena_done(&a);
    if (e->rc)
        e->rc = sync_now(st, e->rc);
    else
        work_pull(e);
}

/* The present statement of a script, from its text to its first rows. */
static void work_one(struct embedded *e) {
    struct embedded_stmt *st = e->running;
    if (st->stmt)
        ops->stmt_free(st->stmt);
    st->stmt = NULL;
    e->rc = ops->prepare(e->sess, st->parsed, st->index, NULL, 0, &st->stmt, &st->err);
    if (!e->rc && st->stmt->params > 0)
        e->rc = err_sql(&st->err, "42P02", "there is no parameter $1");
    if (!e->rc)
        e->rc = ops->bind(e->sess, st->stmt, NULL, &st->portal, &st->err);
    if (!e->rc) {
        work_pull(e);
        return;
    }
    e->rc = sync_now(st, e->rc);
    script_end(st);
}

static void work_script(struct embedded *e) {
    struct embedded_stmt *st = e->running;
    script_end(st);
    st->index = 0;
    st->count = 0;
    e->rc = ops->parse(e->sess, st->sql, st->sql_bytes, &st->parsed, &st->err);
    if (e->rc) {
        e->rc = sync_now(st, e->rc);
        return;
    }
    st->count = ops->count(st->parsed);
    if (st->count > 1)
        ops->implicit_block(e->sess);
    if (st->count > 0) {
        work_one(e);
        return;
    }
    e->rc = sync_now(st, RC_OK);
    script_end(st);
}

static void work_prepare(struct embedded *e) {
    struct embedded_stmt *st = e->running;
    struct sess_script *script = NULL;
    e->rc = ops->parse(e->sess, st->sql, st->sql_bytes, &script, &st->err);
    if (!e->rc && ops->count(script) > 1)
        e->rc = err_sql(&st->err, "42601", "cannot insert multiple commands into a prepared statement");
    if (!e->rc)
        e->rc = ops->prepare(e->sess, script, 0, NULL, 0, &st->stmt, &st->err);
    if (script)
        ops->script_free(script);
    e->rc = sync_now(st, e->rc);
}

/* Drops what a statement has open; the transaction ends as if it had been read to its end. */
static void work_drop(struct embedded *e) {
    struct embedded_stmt *st = e->running;
    bool open = st->portal || st->parsed;
    portal_end(st);
    script_end(st);
    if (open)
        e->rc = sync_now(st, RC_OK);
}

static void work_free(struct embedded *e) {
    struct embedded_stmt *st = e->running;
    work_drop(e);
    if (st->stmt)
        ops->stmt_free(st->stmt);
    st->stmt = NULL;
}

/* ---- calls ----------------------------------------------------------------------------------------------------------------------- */

static bool unfinished(const struct embedded_stmt *st) {
    return st->portal || st->parsed || (st->e->running == st && embedded_paused(st->e));
}

/* Runs work for st; what went wrong waits behind the rows that came before it. */
static void call(struct embedded_stmt *st, void (*work)(struct embedded *e)) {
    struct embedded *e = st->e;
    e->running = st;
    err_clear(&st->err);
    bool ends = work == work_drop || work == work_free;
    enum rc rc = ends ? embedded_call_end(e, work) : embedded_call(e, work);
    if (rc && (e->lost || st->err.rc != rc))
        st->err = e->err;
    st->failed = rc != RC_OK;
    e->active = unfinished(st) ? st : e->active == st ? NULL : e->active;
}

static int told(struct embedded_stmt *st, struct api_error *err) {
    st->failed = false;
    if (st->script)
        st->pub.columns = 0; /* the statement that named them is gone */
    return embedded_error(st->e, &st->err, err);
}

/* Whoever has rows to come gets them now: the session does one thing at a time. */
static int set_aside(struct embedded *e, struct embedded_stmt *but, struct api_error *err) {
    struct embedded_stmt *st = e->active;
    if (!st || st == but)
        return MERIDIAN_OK;
    if (embedded_paused(e))
        return api_error_set(err, MERIDIAN_BUSY, "55006", "a COPY is under way: end it first");
    if (st->parsed)
        return api_error_set(err, MERIDIAN_BUSY, "55006", "a text of several statements is under way: end it first");
    while (st->portal && !st->failed) {
        if (st->text.len > EMBEDDED_ASIDE_BYTES_MAX)
            return api_error_set(err, MERIDIAN_BUSY, "55006",
                                 "another statement has more than 64 MiB of rows left: end it first");
        call(st, work_pull);
    }
    return MERIDIAN_OK;
}

static bool describe(struct embedded_stmt *st) {
    size_t n = st->stmt ? st->stmt->columns : 0;
    if (n > st->cap) {
        struct engine_column *column = realloc(st->column, n * sizeof *column);
        if (column)
            st->column = column;
        struct engine_cell *cell = realloc(st->cell, n * sizeof *cell);
        if (cell)
            st->cell = cell;
        if (!column || !cell)
            return false;
        st->cap = n;
    }
    for (size_t i = 0; i < n; i++)
        st->column[i] =
            (struct engine_column){st->stmt->column[i].name, type_oid(&st->stmt->column[i].type),
                                   st->stmt->column[i].type.typmod < 0 ? -1 : st->stmt->column[i].type.typmod};
    st->pub.columns = n;
    st->pub.column = st->column;
    st->pub.cell = st->cell;
    return true;
}

/* ---- life --------------------------------------------------------------------------------------------------------------------------- */

static struct embedded_stmt *stmt_new(struct embedded *e, const char *sql, size_t bytes, bool script) {
    struct embedded_stmt *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    st->e = e;
    st->script = script;
    st->pub.tag = st->tag;
    st->max = EMBEDDED_BATCH_ROWS;
    buf_init(&st->text, 0);
    st->sql_bytes = bytes;
    st->sql = strndup(sql, bytes);
    if (!st->sql) {
        free(st);
        return NULL;
    }
    return st;
}

void embedded_stmt_free(struct engine_stmt *pub) {
    struct embedded_stmt *st = of(pub);
    embedded_end(pub);
    if (st->stmt)
        call(st, work_free);
    if (st->e->running == st)
        st->e->running = NULL;
    buf_done(&st->text);
    free(st->place);
    free(st->column);
    free(st->cell);
    free(st->oid);
    free(st->sql);
    free(st);
}

int embedded_query(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err) {
    struct embedded_stmt *st = stmt_new(embedded_of(e), sql, bytes, true);
    if (!st)
        return nomem(err);
    *ret = &st->pub;
    return MERIDIAN_OK;
}

static int learn(struct embedded_stmt *st, struct api_error *err) {
    size_t n = st->stmt->params;
    st->oid = calloc(n + 1, sizeof *st->oid);
    if (!st->oid || !describe(st))
        return nomem(err);
    for (size_t i = 0; i < n; i++)
        st->oid[i] = type_oid(&st->stmt->param[i]);
    st->pub.params = n;
    st->pub.param = st->oid;
    return MERIDIAN_OK;
}

int embedded_prepare(struct engine *engine, const char *sql, size_t bytes, struct engine_stmt **ret,
                     struct api_error *err) {
    struct embedded *e = embedded_of(engine);
    int code = set_aside(e, NULL, err);
    if (code)
        return code;
    struct embedded_stmt *st = stmt_new(e, sql, bytes, false);
    if (!st)
        return nomem(err);
    call(st, work_prepare);
    code = st->failed ? told(st, err) : learn(st, err);
    if (code)
        embedded_stmt_free(&st->pub);
    else
        *ret = &st->pub;
    return code;
}

/* ---- execution ----------------------------------------------------------------------------------------------------------------------- */

int embedded_start(struct engine_stmt *pub, const struct engine_param *param, struct api_error *err) {
    struct embedded_stmt *st = of(pub);
    int code = set_aside(st->e, st, err);
    if (code)
        return code;
    drop_batch(st);
    st->tag[0] = '\0';
    st->ended = false;
    st->param = param;
    call(st, st->script ? work_script : work_begin);
    st->param = NULL;
    if (!describe(st))
        return nomem(err);
    return MERIDIAN_OK;
}

static int row(struct embedded_stmt *st) {
    for (size_t i = 0; i < st->pub.columns; i++) {
        const struct place *p = &st->place[st->row_at * st->pub.columns + i];
        st->cell[i] = (struct engine_cell){p->null ? NULL : (const char *)st->text.data + p->at, p->bytes};
    }
    st->row_at++;
    return MERIDIAN_ROW;
}

int embedded_step(struct engine_stmt *pub, struct api_error *err) {
    struct embedded_stmt *st = of(pub);
    for (;;) {
        if (rows_left(st))
            return row(st);
        if (st->failed)
            return told(st, err);
        if (st->e->running == st && embedded_paused(st->e))
            return st->e->copy == COPY_WANTS ? MERIDIAN_COPY_IN : MERIDIAN_COPY_OUT;
        if (!st->portal)
            return MERIDIAN_DONE;
        drop_batch(st);
        call(st, work_pull);
    }
}

/* Takes what a paused COPY still has, or has it do without. */
static void leave_copy(struct embedded_stmt *st) {
    struct embedded *e = st->e;
    while (e->running == st && embedded_paused(e)) {
        e->copy_error = e->copy == COPY_WANTS ? "given up" : NULL;
        enum rc rc = embedded_resume(e);
        if (rc && !st->failed) {
            st->failed = true;
            if (e->lost || st->err.rc != rc)
                st->err = e->err;
        }
    }
    e->copy_error = NULL;
}

int embedded_next(struct engine_stmt *pub, struct api_error *err) {
    struct embedded_stmt *st = of(pub);
    leave_copy(st);
    while (st->portal && !st->failed) {
        drop_batch(st);
        call(st, work_pull);
    }
    drop_batch(st);
    if (st->failed)
        return told(st, err);
    if (st->ended || !st->parsed || st->index + 1 >= st->count) {
        st->ended = true;
        if (st->parsed)
            call(st, work_drop);
        return st->failed ? told(st, err) : MERIDIAN_DONE;
    }
    st->index++;
    st->tag[0] = '\0';
    call(st, work_one);
    if (st->failed && !rows_left(st))
        return told(st, err);
    return describe(st) ? MERIDIAN_OK : nomem(err);
}

void embedded_end(struct engine_stmt *pub) {
    struct embedded_stmt *st = of(pub);
    leave_copy(st);
    drop_batch(st);
    /* what has begun is done to its end, as far away: a portal is read, a text goes on */
    while ((st->portal || st->parsed) && !st->failed) {
        if (st->portal) {
            call(st, work_pull);
            drop_batch(st);
        } else if (st->index + 1 < st->count) {
            st->index++;
            call(st, work_one);
            leave_copy(st);
            drop_batch(st);
        } else {
            call(st, work_drop);
        }
    }
    if (st->portal || st->parsed)
        call(st, work_drop);
    st->failed = false;
    if (st->e->active == st)
        st->e->active = NULL;
}

/* ---- COPY ------------------------------------------------------------------------------------------------------------------------------ */

/* Lets the paused COPY go on; its failure is the step's. */
static void go_on(struct embedded_stmt *st) {
    struct embedded *e = st->e;
    enum rc rc = embedded_resume(e);
    if (rc) {
        st->failed = true;
        if (e->lost || st->err.rc != rc)
            st->err = e->err;
    }
    e->active = unfinished(st) ? st : NULL;
}

int embedded_copy_write(struct engine_stmt *pub, const void *data, size_t bytes, struct api_error *err) {
    struct embedded_stmt *st = of(pub);
    (void)err;
    if (bytes == 0 || !embedded_paused(st->e))
        return MERIDIAN_OK; /* after a failure the data is dropped, and copy_end or the step tells */
    st->e->copy_data = data;
    st->e->copy_bytes = bytes;
    go_on(st);
    return MERIDIAN_OK;
}

int embedded_copy_end(struct engine_stmt *pub, const char *error, struct api_error *err) {
    struct embedded_stmt *st = of(pub);
    (void)err;
    if (!embedded_paused(st->e))
        return MERIDIAN_OK;
    st->e->copy_data = "";
    st->e->copy_bytes = 0;
    st->e->copy_error = error;
    go_on(st);
    st->e->copy_error = NULL;
    return MERIDIAN_OK;
}

int embedded_copy_read(struct engine_stmt *pub, const void **ret, size_t *ret_bytes, struct api_error *err) {
    struct embedded_stmt *st = of(pub);
    if (embedded_paused(st->e))
        go_on(st);
    bool more = embedded_paused(st->e);
    *ret = more ? st->e->copy_data : "";
    *ret_bytes = more ? st->e->copy_bytes : 0;
    return !more && st->failed ? told(st, err) : MERIDIAN_OK;
}
