/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgconn_query.c: the simple and the extended query protocol: messages to engine calls, rows and errors to messages.
 *
 * What a message asks of the engine runs as one piece of work on a large fiber (struct job). The message's bytes stay where
 * they are until the next one is read, which only COPY FROM STDIN does meanwhile; the engine has copied what it needs by then.
 */
#include <stdlib.h>

#include "sql/parse/utf8.h"
#include "sql/pgwire/pgconn.h"
#include "sql/types/types.h"

enum { REQUEST_ARENA_BYTES_MAX = 256 << 20 };

struct job {
    struct pgconn *c;
    const char *text; /* simple, parse */
    size_t bytes;
    const uint32_t *oid; /* parse */
    size_t oids;
    struct pgstmt *stmt;
    struct pgportal *portal; /* execute */
    const struct value *param;
    uint64_t max_rows;
    enum rc rc;
    struct err err;
};

static const struct sess_ops *ops_of(const struct pgconn *c) {
    return c->w->conf.ops;
}

/* ---- errors ---------------------------------------------------------------------------------------------------------- */

static void error_send(struct pgconn *c, const struct err *err) {
    struct err e = *err;
    if (c->killed)
        return; /* the session's last words follow */
    if (e.rc == RC_CANCELLED && c->cancel) {
        err_set(&e, RC_CANCELLED, "canceling statement due to user request");
        err_state(&e, "57014");
    }
    /* What could not be built leaves a failed buffer behind; the error itself must reach the client. */
    if (buf_rc(&c->out))
        buf_reset(&c->out, 0);
    pg_error(&c->out, 'E', "ERROR", &e);
}

void pgconn_failed(struct pgconn *c, const struct err *err) {
    error_send(c, err);
    c->skip_to_sync = true;
}

static void broken(struct pgconn *c, const char *what) {
    struct err err;
    counter_inc(&c->w->stats.protocol_errors);
    err_set(&err, RC_PROTOCOL, "invalid message format");
    err_detail(&err, "%s", what);
    pgconn_failed(c, &err);
}

/* The job's outcome, also where it could not even begin. */
static enum rc job_run(struct job *j, fiber_fn *fn) {
    enum rc rc = pgconn_work(j->c, fn, j);
    if (rc) {
        err_set(&j->err, rc, "no fiber for the statement: %s", rc_text(rc));
        j->rc = rc;
    } else if (j->rc && j->err.rc != j->rc) {
        err_set(&j->err, j->rc, "%s", rc_text(j->rc));
    }
    return j->rc;
}

/* ---- named things ------------------------------------------------------------------------------------------------------ */

static struct pgstmt *statement_find(struct pgconn *c, const char *name) {
    for (struct map_node *n = map_first(&c->statements, hash_str(name, 0)); n; n = map_next(n)) {
        struct pgstmt *s = container_of(n, struct pgstmt, node);
        if (strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

static struct pgportal *portal_find(struct pgconn *c, const char *name) {
    for (struct map_node *n = map_first(&c->portals, hash_str(name, 0)); n; n = map_next(n)) {
        struct pgportal *p = container_of(n, struct pgportal, node);
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

static void statement_unref(struct pgconn *c, struct pgstmt *s) {
    if (--s->uses > 0)
        return;
    pgconn_let_go(c, s->stmt->bytes);
    ops_of(c)->stmt_free(s->stmt);
    free(s);
}

static void statement_drop(struct pgconn *c, struct pgstmt *s) {
    if (s) {
        map_del(&c->statements, &s->node);
        statement_unref(c, s);
    }
}

static void portal_drop(struct pgconn *c, struct pgportal *p) {
    if (!p)
        return;
    map_del(&c->portals, &p->node);
    pgconn_let_go(c, p->bytes);
    ops_of(c)->portal_free(p->portal);
    statement_unref(c, p->stmt);
    free(p->format);
    free(p);
}

static void portals_drop(struct pgconn *c) {
    map_for_each(it, &c->portals)
        portal_drop(c, container_of(it, struct pgportal, node));
}

void pgconn_drop_all(struct pgconn *c) {
    portals_drop(c);
    map_for_each(it, &c->statements)
        statement_drop(c, container_of(it, struct pgstmt, node));
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

static int16_t format_of(const struct pgportal *p, size_t column) {
    return p->formats == 0 ? 0 : p->formats == 1 ? p->format[0] : p->format[column];
}

static void row_description(struct pgconn *c, const struct sess_stmt *stmt, const struct pgportal *p) {
    if (!stmt->rows) {
        pg_bare(&c->out, 'n');
        return;
    }
    size_t at = pg_begin(&c->out, 'T');
    buf_put_u16be(&c->out, (uint16_t)stmt->columns);
    for (size_t i = 0; i < stmt->columns; i++) {
        const struct sess_column *col = &stmt->column[i];
        pg_puts(&c->out, col->name);
        buf_put_u32be(&c->out, col->table_oid);
        buf_put_u16be(&c->out, (uint16_t)col->attnum);
        buf_put_u32be(&c->out, type_oid(&col->type));
        buf_put_u16be(&c->out, (uint16_t)type_length(&col->type));
        buf_put_u32be(&c->out, (uint32_t)(col->type.typmod < 0 ? -1 : col->type.typmod));
        buf_put_u16be(&c->out, (uint16_t)(p ? format_of(p, i) : 0));
    }
    pg_end(&c->out, at);
}

static enum rc client_row(void *ctx, const struct value *v, struct err *err) {
    struct pgconn *c = ctx;
    const struct pgportal *p = c->running;
    const struct sess_stmt *stmt = p->stmt->stmt;
    const struct type_session *ts = ops_of(c)->types(c->sess);
    size_t at = pg_begin(&c->out, 'D');
    buf_put_u16be(&c->out, (uint16_t)stmt->columns);
    for (size_t i = 0; i < stmt->columns; i++) {
        size_t len_at = c->out.len;
        buf_put_u32be(&c->out, UINT32_MAX);
        if (v[i].kind == VALUE_NULL)
            continue;
        enum rc rc = format_of(p, i) ? type_send(&stmt->column[i].type, &v[i], &c->out, err)
                                     : type_print(ts, &stmt->column[i].type, &v[i], &c->out, err);
        if (rc) {
            c->out.len = at; /* no half row */
            return rc;
        }
        if (buf_rc(&c->out) == RC_OK)
            set_u32be(c->out.data + len_at, (uint32_t)(c->out.len - len_at - 4));
    }
    pg_end(&c->out, at);
    return pgconn_flush_some(c, err);
}

static void client_notice(void *ctx, const struct err *what, const char *severity) {
    struct pgconn *c = ctx;
    pg_error(&c->out, 'N', severity, what);
}

static void client_parameter(void *ctx, const char *name, const char *value) {
    struct pgconn *c = ctx;
    pg_parameter(&c->out, name, value);
}

/* The unnamed statement is nobody's to free, and one whose portal runs lives as long as that. */
static bool client_deallocate(void *ctx, const char *name) {
    struct pgconn *c = ctx;
    if (name) {
        struct pgstmt *s = name[0] ? statement_find(c, name) : NULL;
        statement_drop(c, s);
        return s != NULL;
    }
    map_for_each(it, &c->statements) {
        struct pgstmt *s = container_of(it, struct pgstmt, node);
        if (s->name[0])
            statement_drop(c, s);
    }
    return true;
}

/* ---- COPY ------------------------------------------------------------------------------------------------------------------ */

static void copy_response(struct pgconn *c, char type, bool binary, size_t columns) {
    size_t at = pg_begin(&c->out, type);
    buf_putc(&c->out, binary);
    buf_put_u16be(&c->out, (uint16_t)columns);
    for (size_t i = 0; i < columns; i++)
        buf_put_u16be(&c->out, binary);
    pg_end(&c->out, at);
}

static enum rc client_copy_in(void *ctx, bool binary, size_t columns, struct err *err) {
    struct pgconn *c = ctx;
    copy_response(c, 'G', binary, columns);
    c->copying = true;
    enum rc rc = pgconn_flush(c);
    return rc ? err_set(err, rc, "the client is gone") : RC_OK;
}

static enum rc client_copy_read(void *ctx, const void **ret, size_t *ret_bytes, struct err *err) {
    struct pgconn *c = ctx;
    struct rd m;
    char type;
    for (;;) {
        enum rc rc = pgconn_read(c, &type, &m, err);
        if (rc) {
            c->ended |= rc != RC_CANCELLED;
            return err->message[0] ? rc : err_set(err, rc, "unexpected end of COPY data: the client is gone");
        }
        switch (type) {
        case 'd':
            if (rd_left(&m) == 0)
                continue;
            *ret = m.at;
            *ret_bytes = rd_left(&m);
            return RC_OK;
        case 'c':
            c->copying = false;
            *ret_bytes = 0;
            return RC_OK;
        case 'f': {
            const char *why = pg_text(&m);
            c->copying = false;
            return err_sql(err, "57014", "COPY from stdin failed: %.200s", why ? why : "no reason given");
        }
        case 'H':
        case 'S':
            continue; /* the protocol says: ignore them here */
        default:
            c->copying = false;
            c->ended |= type == 'X';
            return err_set(err, RC_PROTOCOL, "unexpected message type 0x%02X during COPY from stdin", (unsigned)type);
        }
    }
}

static enum rc client_copy_out(void *ctx, bool binary, size_t columns, struct err *err) {
    copy_response(ctx, 'H', binary, columns);
    return pgconn_flush_some(ctx, err);
}

static enum rc client_copy_write(void *ctx, const void *data, size_t bytes, struct err *err) {
    struct pgconn *c = ctx;
    size_t at = pg_begin(&c->out, 'd');
    buf_put(&c->out, data, bytes);
    pg_end(&c->out, at);
    return pgconn_flush_some(c, err);
}

static enum rc client_copy_done(void *ctx, struct err *err) {
    struct pgconn *c = ctx;
    pg_bare(&c->out, 'c');
    return pgconn_flush_some(c, err);
}

const struct sess_client pgconn_client = {
    .row = client_row,
    .notice = client_notice,
    .parameter = client_parameter,
    .copy_in = client_copy_in,
    .copy_read = client_copy_read,
    .copy_out = client_copy_out,
    .copy_write = client_copy_write,
    .copy_done = client_copy_done,
    .deallocate = client_deallocate,
    .stop = pgconn_stop,
};

/* ---- simple query ------------------------------------------------------------------------------------------------------------ */

/* One statement of a script. */
static enum rc simple_one(struct job *j, struct sess_script *script, size_t i, bool final) {
    struct pgconn *c = j->c;
    const struct sess_ops *ops = ops_of(c);
    struct pgstmt stmt = {.uses = 1};
    struct pgportal portal = {.stmt = &stmt};
    struct sess_done done = {0};
    enum rc rc = ops->prepare(c->sess, script, i, NULL, 0, &stmt.stmt, &j->err);
    if (rc)
        return rc;
    if (stmt.stmt->params > 0)
        rc = err_sql(&j->err, "42P02", "there is no parameter $1");
    if (!rc)
        rc = ops->bind(c->sess, stmt.stmt, NULL, &portal.portal, &j->err);
    if (!rc) {
        if (stmt.stmt->rows)
            row_description(c, stmt.stmt, NULL);
        counter_inc(&c->w->stats.queries);
        c->running = &portal;
        rc = ops->execute(c->sess, portal.portal, 0, final, &done, &j->err);
        c->running = NULL;
        if (!rc)
            pg_complete(&c->out, done.tag);
        ops->portal_free(portal.portal);
    }
    ops->stmt_free(stmt.stmt);
    return rc;
}

static void simple_work(void *arg) {
    struct job *j = arg;
    struct pgconn *c = j->c;
    const struct sess_ops *ops = ops_of(c);
    struct sess_script *script = NULL;
    portal_drop(c, portal_find(c, ""));
    statement_drop(c, statement_find(c, ""));
    j->rc = ops->parse(c->sess, j->text, j->bytes, &script, &j->err);
    if (!j->rc) {
        size_t n = ops->count(script);
        if (n == 0)
            pg_bare(&c->out, 'I');
        if (n > 1)
            ops->implicit_block(c->sess);
        for (size_t i = 0; i < n && !j->rc; i++) {
            j->rc = simple_one(j, script, i, i + 1 == n);
            if (!j->rc)
                j->rc = pgconn_flush_some(c, &j->err);
        }
        ops->script_free(script);
    }
    struct err err = {0};
    enum rc rc = ops->sync(c->sess, j->rc != RC_OK, &err);
    if (rc && !j->rc) {
        j->rc = rc;
        j->err = err;
    }
    if (ops->state(c->sess) == SESS_IDLE)
        portals_drop(c);
}

/* After an error in COPY FROM STDIN the client may not know of it yet: what it still sends is dropped by dispatch. */
void pgconn_simple(struct pgconn *c, struct rd *m) {
    struct job j = {.c = c, .text = pg_text(m)};
    if (!j.text || rd_left(m) > 0) {
        broken(c, "A query is one string.");
        c->skip_to_sync = false;
    } else {
        j.bytes = strlen(j.text);
        if (job_run(&j, simple_work))
            error_send(c, &j.err);
    }
    c->copying = false;
    if (!c->killed)
        pg_ready(&c->out, (char)ops_of(c)->state(c->sess));
}

/* ---- extended query ------------------------------------------------------------------------------------------------------------ */

static void parse_work(void *arg) {
    struct job *j = arg;
    struct pgconn *c = j->c;
    const struct sess_ops *ops = ops_of(c);
    struct sess_script *script;
    if (j->stmt->name[0] == '\0')
        statement_drop(c, statement_find(c, ""));
    j->rc = ops->parse(c->sess, j->text, j->bytes, &script, &j->err);
    if (j->rc)
        return;
    if (ops->count(script) > 1)
        j->rc = err_sql(&j->err, "42601", "cannot insert multiple commands into a prepared statement");
    else
        j->rc = ops->prepare(c->sess, script, 0, j->oid, j->oids, &j->stmt->stmt, &j->err);
    ops->script_free(script);
    if (j->rc)
        return;
    j->rc = pgconn_hold(c, j->stmt->stmt->bytes, &j->err);
    if (j->rc)
        ops->stmt_free(j->stmt->stmt);
}

void pgconn_parse(struct pgconn *c, struct rd *m) {
    struct job j = {.c = c};
    uint32_t *oid = NULL;
    const char *name = pg_text(m);
    j.text = pg_text(m);
    j.oids = rd_u16be(m);
    if (!j.text || rd_left(m) != j.oids * 4) {
        broken(c, "Parse is a name, a query, and types.");
        return;
    }
    j.bytes = strlen(j.text);
    size_t n = strlen(name);
    j.stmt = n < PG_SMALL_BYTES_MAX ? calloc(1, sizeof *j.stmt + n + 1) : NULL;
    oid = calloc(j.oids + 1, sizeof *oid);
    if (n >= PG_SMALL_BYTES_MAX) {
        j.rc = err_set(&j.err, RC_LIMIT, "the name of a prepared statement may have %d bytes", PG_SMALL_BYTES_MAX - 1);
    } else if (!j.stmt || !oid) {
        j.rc = err_set(&j.err, RC_NOMEM, "out of memory for a prepared statement");
    } else if (n > 0 && statement_find(c, name)) {
        j.rc = err_sql(&j.err, "42P05", "prepared statement \"%.64s\" already exists", name);
    } else if (n > 0 && c->statements.count >= PGWIRE_STATEMENTS_MAX) {
        j.rc = err_set(&j.err, RC_LIMIT, "a session may have %d prepared statements", PGWIRE_STATEMENTS_MAX);
    } else {
        memcpy(j.stmt->name, name, n + 1);
        for (size_t i = 0; i < j.oids; i++)
            oid[i] = rd_u32be(m);
        j.oid = oid;
        job_run(&j, parse_work);
    }
    free(oid);
    if (j.rc) {
        free(j.stmt);
        pgconn_failed(c, &j.err);
        return;
    }
    j.stmt->uses = 1;
    map_put(&c->statements, &j.stmt->node, hash_str(j.stmt->name, 0));
    pg_bare(&c->out, '1');
}

/* Format codes: none, one for all, or one each. */
static bool formats_read(struct rd *m, size_t wanted, size_t *ret_count, int16_t **ret, struct err *err) {
    *ret_count = rd_u16be(m);
    *ret = NULL;
    if (rd_left(m) < *ret_count * 2)
        return err_set(err, RC_PROTOCOL, "invalid message format: format codes are missing") == RC_OK;
    if (*ret_count > 1 && *ret_count != wanted)
        return err_set(err, RC_PROTOCOL, "bind message has %zu formats but %zu are wanted", *ret_count, wanted) ==
               RC_OK;
    int16_t *f = calloc(*ret_count + 1, sizeof *f);
    if (!f)
        return err_set(err, RC_NOMEM, "out of memory for format codes") == RC_OK;
    for (size_t i = 0; i < *ret_count; i++) {
        f[i] = (int16_t)rd_u16be(m);
        if (f[i] != 0 && f[i] != 1) {
            err_set(err, RC_INVAL, "unsupported format code: %d", f[i]);
            free(f);
            return false;
        }
    }
    *ret = f;
    return true;
}

static enum rc param_read(const struct type_session *ts, struct rd *m, const struct col *type, int16_t format,
                          struct arena *a, struct value *ret, struct err *err) {
    int32_t bytes = (int32_t)rd_u32be(m);
    if (bytes == -1 && !m->bad) {
        *ret = (struct value){.kind = VALUE_NULL};
        return RC_OK;
    }
    const void *p = bytes < 0 ? NULL : rd_bytes(m, (size_t)bytes);
    if (!p)
        return err_set(err, RC_PROTOCOL, "invalid message format: a parameter is missing");
    size_t bad;
    /* Text is text in either form; what else is binary has rules of its own. */
    if ((!format || col_kind(type) == VALUE_TEXT) && type->type != COL_NUMERIC && !utf8_valid(p, (size_t)bytes, &bad))
        return err_sql(err, "22021", "invalid byte sequence for encoding \"UTF8\"");
    if (format)
        return type_recv(type, p, (size_t)bytes, a, ret, err);
    return type_parse(ts, type, p, (size_t)bytes, a, ret, err);
}

static enum rc params_read(const struct type_session *ts, struct rd *m, const struct sess_stmt *stmt, struct arena *a,
                           const struct value **ret, struct err *err) {
    size_t formats;
    int16_t *format;
    if (!formats_read(m, stmt->params, &formats, &format, err))
        return err->rc;
    size_t n = rd_u16be(m);
    enum rc rc = RC_OK;
    struct value *v = arena_array(a, n + 1, sizeof *v);
    if (n != stmt->params) {
        rc = err_set(err, RC_PROTOCOL, "bind message supplies %zu parameters, but the statement requires %zu", n,
                     stmt->params);
    } else if (!v) {
        rc = err_set(err, RC_NOMEM, "out of memory for parameters");
    }
    for (size_t i = 0; i < n && !rc; i++) {
        int16_t f = formats == 0 ? 0 : formats == 1 ? format[0] : format[i];
        rc = param_read(ts, m, &stmt->param[i], f, a, &v[i], err);
        if (rc && err->message[0] && err->rc == RC_SQL)
            err_wrap(err, "parameter $%zu", i + 1);
    }
    free(format);
    *ret = v;
    return rc;
}

static void bind_work(void *arg) {
    struct job *j = arg;
    struct pgconn *c = j->c;
    portal_drop(c, portal_find(c, j->portal->name));
    j->rc = ops_of(c)->bind(c->sess, j->stmt->stmt, j->param, &j->portal->portal, &j->err);
}

static enum rc bind_read(struct pgconn *c, struct rd *m, struct arena *a, struct job *j) {
    const char *portal = pg_text(m), *name = pg_text(m);
    if (!name)
        return err_set(&j->err, RC_PROTOCOL, "invalid message format: Bind begins with two names");
    j->stmt = statement_find(c, name);
    if (!j->stmt && !name[0])
        return err_sql(&j->err, "26000", "unnamed prepared statement does not exist");
    if (!j->stmt)
        return err_sql(&j->err, "26000", "prepared statement \"%.64s\" does not exist", name);
    size_t n = strlen(portal);
    if (n > 0 && portal_find(c, portal))
        return err_sql(&j->err, "42P03", "portal \"%.64s\" already exists", portal);
    if (n > PGCONN_NAME_BYTES_MAX || (n > 0 && c->portals.count >= PGWIRE_PORTALS_MAX))
        return err_set(&j->err, RC_LIMIT, "a session may have %d portals, with names of %d bytes", PGWIRE_PORTALS_MAX,
                       PGCONN_NAME_BYTES_MAX);
    enum rc rc = params_read(ops_of(c)->types(c->sess), m, j->stmt->stmt, a, &j->param, &j->err);
    if (rc)
        return rc;
    j->portal = calloc(1, sizeof *j->portal + n + 1);
    if (!j->portal)
        return err_set(&j->err, RC_NOMEM, "out of memory for a portal");
    memcpy(j->portal->name, portal, n + 1);
    if (!formats_read(m, j->stmt->stmt->columns, &j->portal->formats, &j->portal->format, &j->err))
        return j->err.rc;
    if (m->bad || rd_left(m) > 0)
        return err_set(&j->err, RC_PROTOCOL, "invalid message format: Bind is too short or too long");
    j->portal->bytes = sizeof *j->portal + a->bytes;
    rc = pgconn_hold(c, j->portal->bytes, &j->err);
    if (!rc && (rc = job_run(j, bind_work)) != RC_OK)
        pgconn_let_go(c, j->portal->bytes);
    return rc;
}

void pgconn_bind(struct pgconn *c, struct rd *m) {
    struct job j = {.c = c};
    struct arena a;
    arena_init(&a, REQUEST_ARENA_BYTES_MAX);
    enum rc rc = bind_read(c, m, &a, &j);
    arena_done(&a);
    if (rc) {
        if (j.portal)
            free(j.portal->format);
        free(j.portal);
        if (rc == RC_PROTOCOL)
            counter_inc(&c->w->stats.protocol_errors);
        pgconn_failed(c, &j.err);
        return;
    }
    j.portal->stmt = j.stmt;
    j.stmt->uses++;
    map_put(&c->portals, &j.portal->node, hash_str(j.portal->name, 0));
    pg_bare(&c->out, '2');
}

void pgconn_describe(struct pgconn *c, struct rd *m) {
    struct err err = {0};
    uint8_t what = rd_u8(m);
    const char *name = pg_text(m);
    if (!name || rd_left(m) > 0 || (what != 'S' && what != 'P')) {
        broken(c, "Describe is 'S' or 'P' and a name.");
        return;
    }
    if (what == 'P') {
        const struct pgportal *p = portal_find(c, name);
        const struct sess_stmt *cursor = !p && ops_of(c)->cursor ? ops_of(c)->cursor(c->sess, name) : NULL;
        if (p || cursor)
            row_description(c, p ? p->stmt->stmt : cursor, p);
        else
            err_sql(&err, "34000", "portal \"%.64s\" does not exist", name);
    } else {
        const struct pgstmt *s = statement_find(c, name);
        if (s) {
            size_t at = pg_begin(&c->out, 't');
            buf_put_u16be(&c->out, (uint16_t)s->stmt->params);
            for (size_t i = 0; i < s->stmt->params; i++)
                buf_put_u32be(&c->out, type_oid(&s->stmt->param[i]));
            pg_end(&c->out, at);
            row_description(c, s->stmt, NULL);
        } else {
            err_sql(&err, "26000", "prepared statement \"%.64s\" does not exist", name);
        }
    }
    if (err.rc)
        pgconn_failed(c, &err);
}

static void execute_work(void *arg) {
    struct job *j = arg;
    struct pgconn *c = j->c;
    struct sess_done done = {0};
    /* A Sync that is there already says that nothing follows: execution and commit are one. */
    bool final = pgconn_next_is(c, 'S');
    counter_inc(&c->w->stats.queries);
    c->running = j->portal;
    j->rc = ops_of(c)->execute(c->sess, j->portal->portal, j->max_rows, final, &done, &j->err);
    c->running = NULL;
    if (j->rc)
        return;
    if (j->portal->stmt->stmt->empty)
        pg_bare(&c->out, 'I');
    else if (done.suspended)
        pg_bare(&c->out, 's');
    else
        pg_complete(&c->out, done.tag);
    j->rc = pgconn_flush_some(c, &j->err);
}

void pgconn_execute(struct pgconn *c, struct rd *m) {
    struct job j = {.c = c};
    const char *name = pg_text(m);
    int32_t max = (int32_t)rd_u32be(m);
    if (m->bad || rd_left(m) > 0) {
        broken(c, "Execute is a name and a number of rows.");
        return;
    }
    j.max_rows = max > 0 ? (uint64_t)max : 0;
    j.portal = portal_find(c, name);
    if (!j.portal)
        err_sql(&j.err, "34000", "portal \"%.64s\" does not exist", name);
    if (!j.portal || job_run(&j, execute_work))
        pgconn_failed(c, &j.err);
    c->copying = false;
}

static void close_statement_work(void *arg) {
    struct job *j = arg;
    statement_drop(j->c, j->stmt);
    portal_drop(j->c, j->portal);
}

void pgconn_close_named(struct pgconn *c, struct rd *m) {
    struct job j = {.c = c};
    uint8_t what = rd_u8(m);
    const char *name = pg_text(m);
    if (!name || rd_left(m) > 0 || (what != 'S' && what != 'P')) {
        broken(c, "Close is 'S' or 'P' and a name.");
        return;
    }
    if (what == 'S')
        j.stmt = statement_find(c, name);
    else
        j.portal = portal_find(c, name);
    if ((j.stmt || j.portal) && job_run(&j, close_statement_work)) {
        pgconn_failed(c, &j.err);
        return;
    }
    pg_bare(&c->out, '3');
}

static void sync_work(void *arg) {
    struct job *j = arg;
    j->rc = ops_of(j->c)->sync(j->c->sess, j->c->skip_to_sync, &j->err);
    if (ops_of(j->c)->state(j->c->sess) == SESS_IDLE)
        portals_drop(j->c);
}

void pgconn_sync(struct pgconn *c) {
    struct job j = {.c = c};
    if (job_run(&j, sync_work))
        error_send(c, &j.err);
    c->skip_to_sync = false;
    if (!c->killed)
        pg_ready(&c->out, (char)ops_of(c)->state(c->sess));
}
