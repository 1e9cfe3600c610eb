/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.c: COPY FROM STDIN and TO STDOUT.
 *
 * Rows that come are written by the plan of an INSERT with as many rows of parameters as fit, so that defaults, checks and indexes
 * are an INSERT's. All of it is one transaction, and bounded by what a transaction may write. With FREEZE, into a table that this
 * transaction has made or truncated, every batch commits for itself: nobody knows the table before the block's commit names it, and
 * its rows go with it if that fails. Then a few batches are on their way at once.
 *
 * COPY TO is a SELECT whose rows are printed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/parse/utf8.h"
#include "sql/run/copybin.h"
#include "sql/run/foreign.h"
#include "sql/run/lanes.h"

enum {
    BATCH_ROWS = 1000,
    BATCH_PARAMS = 8000,
    BATCH_BYTES = 1 << 20,
    OUT_BYTES = 32 << 10,
    FREEZE_TRIES = 20,
    STALE_TRIES = 30,
    OWN_LANES = 3, /* batches that commit for themselves, at once */
};

struct batch {
    struct copy *c;
    struct arena a;
    struct value *value; /* rows * columns */
    size_t rows;
    struct stmt *st; /* of another number of rows than others have; NULL: the whole batch's */
};

struct copy {
    struct utility *u;
    struct sess *s;
    struct copytext format;
    bool binary, freeze;
    struct cat_table *table;
    uint16_t *column; /* places in the table */
    size_t columns;
    struct arena a;
    struct batch batch[OWN_LANES], *now; /* now: it is being filled */
    struct lanes lanes;
    size_t batch_rows;
    uint64_t total;
    struct stmt *full; /* the INSERT of a whole batch */
    bool own;          /* each batch commits for itself */
    uint64_t line;
};

/* ---- options ---------------------------------------------------------------------------------------------------------- */

static enum rc one_char(const PgQuery__DefElem *o, char *ret, struct err *err) {
    const char *text = sess_def_text(o);
    if (strlen(text) != 1)
        return err_sql(err, "0A000", "COPY %s must be a single one-byte character", o->defname);
    *ret = text[0];
    return RC_OK;
}

static enum rc take_format(struct copy *c, const PgQuery__CopyStmt *x, bool *ret_csv, struct err *err) {
    *ret_csv = false;
    for (size_t i = 0; i < x->n_options; i++) {
        const PgQuery__DefElem *o = x->options[i]->def_elem;
        if (strcmp(o->defname, "format") != 0)
            continue;
        const char *f = sess_def_text(o);
        if (strcasecmp(f, "csv") == 0)
            *ret_csv = true;
        else if (strcasecmp(f, "binary") == 0)
            c->binary = true;
        else if (strcasecmp(f, "text") != 0)
            return err_sql(err, "22023", "COPY format \"%.40s\" not recognized", f);
    }
    return RC_OK;
}

static enum rc take(struct copy *c, const PgQuery__DefElem *o, struct err *err) {
    struct copytext *f = &c->format;
    const char *n = o->defname, *text = sess_def_text(o);
    if (strcmp(n, "format") == 0)
        return RC_OK;
    if (c->binary && (strcmp(n, "delimiter") == 0 || strcmp(n, "null") == 0 || strcmp(n, "header") == 0))
        return err_sql(err, strcmp(n, "header") == 0 ? "0A000" : "42601", "cannot specify %s in BINARY mode",
                       strcmp(n, "header") == 0 ? "HEADER"
                       : strcmp(n, "null") == 0 ? "NULL"
                                                : "DELIMITER");
    if (strcmp(n, "delimiter") == 0)
        return one_char(o, &f->delimiter, err);
    if (strcmp(n, "freeze") == 0) {
        c->freeze = !sess_def_is_false(o);
        return RC_OK;
    }
    if (strcmp(n, "null") == 0) {
        if (strlen(text) > COPYTEXT_NULL_BYTES_MAX)
            return err_set(err, RC_LIMIT, "COPY null representation can have %d bytes", COPYTEXT_NULL_BYTES_MAX);
        snprintf(f->null_text, sizeof f->null_text, "%s", text);
        return RC_OK;
    }
    if (strcmp(n, "header") == 0) {
        f->header = !sess_def_is_false(o);
        return RC_OK;
    }
    if (strcmp(n, "encoding") == 0) {
        if (strcasecmp(text, "utf8") != 0 && strcasecmp(text, "utf-8") != 0)
            return err_set(err, RC_UNSUPPORTED, "COPY in another encoding than UTF8 is not supported");
        return RC_OK;
    }
    if (!f->csv)
        return err_sql(err, "0A000", "COPY %s available only in CSV mode", n);
    if (strcmp(n, "quote") == 0) {
        bool same = f->escape == f->quote;
        enum rc rc = one_char(o, &f->quote, err);
        if (same)
            f->escape = f->quote;
        return rc;
    }
    if (strcmp(n, "escape") == 0)
        return one_char(o, &f->escape, err);
    if (strcmp(n, "force_quote") == 0 && o->arg && o->arg->node_case == PG_QUERY__NODE__NODE_A_STAR) {
        f->force_quote_all = true;
        return RC_OK;
    }
    return sess_unsupported(c->u->script, o->location, err, "the COPY option \"%.40s\" is not supported", n);
}

static enum rc options(struct copy *c, const PgQuery__CopyStmt *x, struct err *err) {
    bool csv;
    enum rc rc = take_format(c, x, &csv, err);
    if (rc)
        return rc;
    c->format = copytext_defaults(csv);
    for (size_t i = 0; i < x->n_options && !rc; i++)
        rc = take(c, x->options[i]->def_elem, err);
    return rc ? rc : copytext_check(&c->format, err);
}

/* ---- the table ------------------------------------------------------------------------------------------------------------- */

static enum rc columns_of(struct copy *c, const PgQuery__CopyStmt *x, struct err *err) {
    c->column = arena_array(&c->s->scratch, c->table->columns + x->n_attlist + 1u, sizeof *c->column);
    if (!c->column)
        return err_set(err, RC_NOMEM, "out of memory for COPY");
    for (size_t i = 0; i < x->n_attlist; i++) {
        const char *name = x->attlist[i]->string->sval;
        int place = cat_column_find(c->table, name);
        if (place < 0)
            return err_sql(err, "42703", "column \"%.63s\" of relation \"%.63s\" does not exist", name, c->table->name);
        if (c->table->column[place].generated_sql) {
            enum rc rc = err_sql(err, "42P10", "column \"%.63s\" is a generated column", name);
            if (err)
                err_detail(err, "Generated columns cannot be used in COPY.");
            return rc;
        }
        for (size_t k = 0; k < c->columns; k++)
            if (c->column[k] == place)
                return err_sql(err, "42701", "column \"%.63s\" specified more than once", name);
        c->column[c->columns++] = (uint16_t)place;
    }
    for (uint16_t i = 0; i < c->table->columns && !x->n_attlist; i++)
        if (!c->table->column[i].dropped && !c->table->column[i].hidden && !c->table->column[i].generated_sql)
            c->column[c->columns++] = i;
    return RC_OK;
}

static enum rc table_of(struct copy *c, const PgQuery__CopyStmt *x, struct err *err) {
    const PgQuery__RangeVar *r = x->relation;
    const struct cat_object *o;
    enum rc rc = sess_relation(c->s, r->catalogname, r->schemaname, r->relname, &o, err);
    if (rc)
        return rc;
    if (!o) {
        rc = err_sql(err, "42P01", "relation \"%.63s\" does not exist", r->relname);
        return rc;
    }
    if (o->kind == CAT_OBJECT_TABLE && o->table->kind == CAT_VIEW) {
        rc = err_sql(err, "42809", "cannot copy %s view \"%.63s\"", x->is_from ? "to" : "from", r->relname);
        if (err && !x->is_from)
            err_hint(err, "Try the COPY (SELECT ...) TO variant.");
        return rc;
    }
    if (o->kind != CAT_OBJECT_TABLE)
        return err_sql(err, "42809", "cannot copy %s \"%.63s\"", x->is_from ? "to" : "from", r->relname);
    c->table = cat_table_ref(o->table);
    return columns_of(c, x, err);
}

static void put_ident(struct buf *b, const char *name) {
    buf_putc(b, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_putc(b, '"');
        buf_putc(b, (uint8_t)*name);
    }
    buf_putc(b, '"');
}

static void put_table(struct buf *b, const struct cat_table *t) {
    put_ident(b, t->schema_name);
    buf_putc(b, '.');
    put_ident(b, t->name);
}

static void put_columns(struct buf *b, const struct copy *c) {
    for (size_t i = 0; i < c->columns; i++) {
        if (i)
            buf_puts(b, ", ");
        put_ident(b, c->table->column[c->column[i]].name);
    }
}

/* ---- in -------------------------------------------------------------------------------------------------------------------------- */

static enum rc insert_of(struct copy *c, size_t rows, struct stmt **ret, struct err *err) {
    struct buf b;
    size_t n = 0;
    uint32_t *oid = arena_array(&c->a, rows * c->columns + 1, sizeof *oid);
    struct sess_script *script = NULL;
    if (!oid)
        return err_set(err, RC_NOMEM, "out of memory for COPY");
    buf_init(&b, 0);
    buf_puts(&b, "INSERT INTO ");
    put_table(&b, c->table);
    buf_puts(&b, " (");
    put_columns(&b, c);
    buf_puts(&b, ") OVERRIDING SYSTEM VALUE VALUES "); /* also into a column that is GENERATED ALWAYS */
    for (size_t i = 0; i < rows; i++) {
        buf_puts(&b, i ? ", (" : "(");
        for (size_t k = 0; k < c->columns; k++) {
            oid[n++] = type_oid(&c->table->column[c->column[k]].type);
            buf_printf(&b, "%s$%zu", k ? ", " : "", n);
        }
        buf_putc(&b, ')');
    }
    enum rc rc = buf_cstr(&b) ? script_new(c->s, buf_cstr(&b), b.len, &script, err)
                              : err_set(err, RC_NOMEM, "out of memory for COPY");
    if (!rc)
        rc = stmt_new(c->s, script, 0, oid, n, ret, err);
    script_unref(script);
    buf_done(&b);
    return rc;
}

/* One batch in txn. */
static enum rc run_in(struct batch *b, struct txn *txn, bool last, int64_t *ret_ts, bool *ret_committed,
                      struct err *err) {
    struct sess *s = b->c->s;
    const struct stmt *st = b->st ? b->st : b->c->full;
    struct sess_foreign foreign;
    struct exec_env env = {.store = s->e->conf.store,
                           .txn = txn,
                           .watch = foreign_watch(&foreign, s, st->planned),
                           .fn = &s->env,
                           .virtuals = {virtual_rows, s},
                           .memory_max = s->work_bytes,
                           .scratch = s->e->scratch,
                           .temp_max = s->temp_bytes,
                           .last = last && !st->planned->foreign};
    struct exec *x;
    const struct value *v;
    enum rc rc = exec_open(st->planned->plan, &env, b->value, &x, err);
    if (rc)
        return rc;
    do
        rc = exec_next(x, &v, err);
    while (!rc && v);
    *ret_committed = !rc && exec_committed(x, ret_ts);
    exec_close(x);
    return rc;
}

/* In the statement's transaction. A tablet that has not heard of the table's latest version yet has done nothing: again. */
static enum rc run_here(struct batch *b, struct err *err) {
    struct sess *s = b->c->s;
    for (int tries = 0;; tries++) {
        int64_t ts;
        bool committed;
        size_t mark = txn_savepoint(s->txn);
        enum rc rc = run_in(b, s->txn, false, &ts, &committed, err);
        if (rc != RC_STALE || tries == STALE_TRIES || txn_phase(s->txn) != TXN_OPEN)
            return rc;
        rc = txn_rollback_to(s->txn, mark, err);
        if (!rc)
            rc = sess_pause(s, tries);
        if (!rc)
            rc = stmt_replan(b->st ? b->st : b->c->full, true, err);
        if (rc)
            return rc;
    }
}

static enum rc run_alone(struct batch *b, struct err *err) {
    struct sess *s = b->c->s;
    struct txn_options o = {
        .mode = TXN_READ_WRITE, .deadline = s->deadline, .lock_wait_ns = s->lock_timeout_ns, .label = "copy freeze"};
    struct txn *t = NULL;
    enum rc rc = txn_begin(s->e->conf.txns, &o, &t, err);
    for (int tries = 0; !rc; tries++) {
        int64_t ts;
        bool committed = false;
        rc = run_in(b, t, true, &ts, &committed, err);
        if (!rc && !committed)
            rc = txn_commit(t, NULL, err);
        if (!rc || rc_retry(rc) != RETRY_YES || tries == FREEZE_TRIES || sess_pause(s, tries))
            break;
        rc = txn_restart(t, err);
    }
    txn_free(t);
    return rc;
}

static enum rc run_batch(void *ctx, struct err *err) {
    struct batch *b = ctx;
    return b->c->own ? run_alone(b, err) : run_here(b, err);
}

/* A batch to be filled, when there is one. */
static enum rc next_batch(struct copy *c, struct err *err) {
    size_t i;
    c->now = NULL;
    enum rc rc = lanes_take(&c->lanes, &i, err);
    if (rc)
        return rc;
    struct batch *b = &c->batch[i];
    if (!b->value && !(b->value = calloc(c->batch_rows * c->columns + 1, sizeof *b->value)))
        return err_set(err, RC_NOMEM, "out of memory for COPY");
    stmt_unref(b->st);
    b->st = NULL;
    b->rows = 0;
    arena_reset(&b->a);
    c->now = b;
    return RC_OK;
}

static enum rc flush(struct copy *c, struct err *err) {
    struct batch *b = c->now;
    enum rc rc = RC_OK;
    if (b->rows == 0)
        return RC_OK;
    if (b->rows < c->batch_rows)
        rc = insert_of(c, b->rows, &b->st, err);
    else if (!c->full)
        rc = insert_of(c, c->batch_rows, &c->full, err);
    if (rc)
        return rc;
    c->total += b->rows;
    lanes_start(&c->lanes, (size_t)(b - c->batch), run_batch, b);
    return next_batch(c, err);
}

/* Values that come from the session's own state come one after the other. */
static bool one_lane(const struct copy *c) {
    bool given[TABLE_COLUMNS_MAX] = {false};
    for (size_t i = 0; i < c->columns; i++)
        given[c->column[i]] = true;
    for (uint16_t i = 0; i < c->table->columns; i++) {
        const struct cat_column *k = &c->table->column[i];
        if (!given[i] && !k->dropped && !k->hidden && (k->default_sql || k->identity))
            return true;
    }
    return !c->own;
}

static enum rc in_line(struct copy *c, size_t column, enum rc rc, struct err *err) {
    if (err && !err->detail[0])
        err_detail(err, "COPY %.63s, line %" PRIu64 ", column %.63s", c->table->name, c->line,
                   column < c->columns ? c->table->column[c->column[column]].name : "?");
    return rc;
}

static enum rc on_row(void *ctx, const struct copytext_field *f, size_t n, struct err *err) {
    struct copy *c = ctx;
    struct batch *b = c->now;
    struct value *v = &b->value[b->rows * c->columns];
    c->line++;
    if (n == 1 && c->columns == 0 && f[0].bytes == 0)
        n = 0;
    if (n > c->columns)
        return in_line(c, c->columns, err_sql(err, "22P04", "extra data after last expected column"), err);
    if (n < c->columns)
        return in_line(
            c, n, err_sql(err, "22P04", "missing data for column \"%.63s\"", c->table->column[c->column[n]].name), err);
    for (size_t i = 0; i < n; i++) {
        struct col type = c->table->column[c->column[i]].type;
        size_t bad;
        if (type.type == COL_NUMERIC) /* a parameter has no digits; the INSERT gives it the column's */
            type.typmod = COL_TYPMOD_NONE;
        if (f[i].null) {
            v[i] = value_null();
            continue;
        }
        bool text = !c->binary || (col_kind(&type) == VALUE_TEXT && type.type != COL_NUMERIC);
        if (text && (!utf8_valid(f[i].p, f[i].bytes, &bad) || memchr(f[i].p, 0, f[i].bytes)))
            return in_line(c, i, err_sql(err, "22021", "invalid byte sequence for encoding \"UTF8\""), err);
        enum rc rc = c->binary ? type_recv(&type, f[i].p, f[i].bytes, &b->a, &v[i], err)
                               : type_parse(&c->s->types, &type, f[i].p, f[i].bytes, &b->a, &v[i], err);
        if (!rc)
            rc = type_limit(&type, &b->a, &v[i], err);
        if (!rc)
            rc = value_copy(&b->a, &v[i]);
        if (rc)
            return in_line(c, i, rc, err);
    }
    b->rows++;
    return b->rows == c->batch_rows || b->a.bytes > BATCH_BYTES ? flush(c, err) : RC_OK;
}

static enum rc copy_from(struct copy *c, struct err *err) {
    struct sess *s = c->s;
    struct copytext_reader r;
    struct copybin_reader bin;
    enum rc rc = sess_may_write(s, "COPY FROM", err);
    if (!rc)
        rc = sess_txn(s, NULL, err);
    if (rc)
        return rc;
    c->own = c->freeze && ddl_is_new_store(s, c->table->store->id);
    if (c->freeze && !c->own)
        return err_sql(err, "55000",
                       "cannot perform COPY FREEZE because the table was not created or truncated in the current "
                       "subtransaction");
    c->batch_rows = c->columns ? BATCH_PARAMS / c->columns : BATCH_ROWS;
    c->batch_rows = c->batch_rows < 1 ? 1 : c->batch_rows > BATCH_ROWS ? BATCH_ROWS : c->batch_rows;
    if (copytext_reader_init(&r, &c->format) != RC_OK)
        return err_set(err, RC_NOMEM, "out of memory for COPY");
    if (copybin_reader_init(&bin, c->columns) != RC_OK) {
        copytext_reader_done(&r);
        return err_set(err, RC_NOMEM, "out of memory for COPY");
    }
    lanes_init(&c->lanes, s->e->reactor, one_lane(c) ? 1 : OWN_LANES);
    rc = next_batch(c, err);
    if (!rc)
        rc = foreign_wait(s, true, err);
    s->sent = true;
    s->block_statements++;
    if (!rc)
        rc = s->client->copy_in(s->ctx, c->binary, c->columns, err);
    for (bool end = false; !rc && !end;) {
        const void *data = NULL;
        size_t bytes = 0;
        rc = s->client->copy_read(s->ctx, &data, &bytes, err);
        end = bytes == 0;
        if (!rc)
            rc = c->binary ? copybin_feed(&bin, data, bytes, end, on_row, c, err)
                           : copytext_feed(&r, data, bytes, end, on_row, c, err);
    }
    if (!rc)
        rc = flush(c, err);
    rc = lanes_end(&c->lanes, rc, err);
    copytext_reader_done(&r);
    copybin_reader_done(&bin);
    enum rc awake = foreign_wait(s, false, rc ? NULL : err);
    if (!rc)
        rc = awake;
    return rc ? rc : foreign_run(s, err);
}

/* ---- out --------------------------------------------------------------------------------------------------------------------------- */

struct out {
    struct copy *c;
    const struct sess_stmt *st;
    struct buf b, text;
    struct copytext_field *field;
    size_t *at;
};

static enum rc out_flush(struct out *o, struct err *err) {
    struct sess *s = o->c->s;
    enum rc rc = buf_rc(&o->b) ? err_set(err, buf_rc(&o->b), "a row is too long") : RC_OK;
    if (!rc && o->b.len > 0)
        rc = s->client->copy_write(s->ctx, o->b.data, o->b.len, err);
    buf_reset(&o->b, 1 << 20);
    return rc;
}

static enum rc out_binary(struct out *o, const struct value *v, struct err *err) {
    enum rc rc = RC_OK;
    buf_put_u16be(&o->b, (uint16_t)o->st->columns);
    for (size_t i = 0; i < o->st->columns && !rc; i++) {
        size_t at = o->b.len;
        buf_put_u32be(&o->b, UINT32_MAX);
        if (v[i].kind == VALUE_NULL)
            continue;
        rc = type_send(&o->st->column[i].type, &v[i], &o->b, err);
        if (!rc && !buf_rc(&o->b))
            set_u32be(o->b.data + at, (uint32_t)(o->b.len - at - 4));
    }
    return rc ? rc : out_flush(o, err);
}

static enum rc out_row(void *ctx, const struct value *v, struct err *err) {
    struct out *o = ctx;
    enum rc rc = RC_OK;
    if (o->c->binary)
        return out_binary(o, v, err);
    buf_reset(&o->text, 1 << 20);
    for (size_t i = 0; i < o->st->columns && !rc; i++) {
        o->at[i] = o->text.len;
        o->field[i].null = v[i].kind == VALUE_NULL;
        if (!o->field[i].null)
            rc = type_print(&o->c->s->types, &o->st->column[i].type, &v[i], &o->text, err);
    }
    if (!rc && !buf_cstr(&o->text))
        rc = err_set(err, buf_rc(&o->text), "a row is too long");
    if (rc)
        return rc;
    o->at[o->st->columns] = o->text.len;
    for (size_t i = 0; i < o->st->columns; i++) {
        o->field[i].p = (const char *)o->text.data + o->at[i];
        o->field[i].bytes = o->at[i + 1] - o->at[i];
    }
    copytext_write(&o->c->format, o->field, o->st->columns, &o->b);
    return out_flush(o, err); /* clients count on one message a row; the protocol gathers them */
}

static void out_header(struct out *o) {
    for (size_t i = 0; i < o->st->columns; i++)
        o->field[i] = (struct copytext_field){.p = o->st->column[i].name, .bytes = strlen(o->st->column[i].name)};
    copytext_write(&o->c->format, o->field, o->st->columns, &o->b);
}

static enum rc query_of(struct copy *c, const PgQuery__CopyStmt *x, struct stmt **ret, struct err *err) {
    struct buf b;
    if (x->query)
        return stmt_new_inner(c->s, c->u->script, x->query, NULL, 0, ret, err);
    buf_init(&b, 0);
    buf_puts(&b, "SELECT ");
    put_columns(&b, c);
    buf_puts(&b, " FROM ");
    put_table(&b, c->table);
    enum rc rc =
        buf_cstr(&b) ? stmt_from_text(c->s, buf_cstr(&b), ret, err) : err_set(err, RC_NOMEM, "out of memory for COPY");
    buf_done(&b);
    return rc;
}

static enum rc copy_to(struct copy *c, const PgQuery__CopyStmt *x, struct err *err) {
    struct sess *s = c->s;
    struct out o = {.c = c};
    struct stmt *st;
    struct sess_portal *p = NULL;
    bool more;
    enum rc rc = query_of(c, x, &st, err);
    if (rc)
        return rc;
    o.st = &st->pub;
    buf_init(&o.b, 0);
    buf_init(&o.text, 0);
    o.field = arena_array(&c->a, st->pub.columns + 1, sizeof *o.field);
    o.at = arena_array(&c->a, st->pub.columns + 2, sizeof *o.at);
    rc = o.field && o.at ? portal_new(s, st, NULL, &p, err) : err_set(err, RC_NOMEM, "out of memory for COPY");
    if (!rc && !st->pub.rows)
        rc = err_sql(err, "0A000", "COPY query must have a RETURNING clause");
    if (!rc && !plan_read_only(st->planned->plan))
        rc = sess_may_write(s, "COPY", err);
    if (!rc)
        rc = sess_txn(s, !sess_in_block(s) && s->final ? st->planned->plan : NULL, err);
    if (!rc)
        rc = portal_open(p, false, err);
    if (!rc) {
        s->sent = true;
        rc = s->client->copy_out(s->ctx, c->binary, st->pub.columns, err);
    }
    if (!rc && c->binary)
        copybin_put_header(&o.b);
    if (!rc && c->format.header) {
        out_header(&o);
        rc = out_flush(&o, err);
    }
    if (!rc)
        rc = portal_pull(p, 0, out_row, &o, &c->total, &more, err);
    if (!rc && c->binary)
        copybin_put_end(&o.b);
    if (!rc)
        rc = out_flush(&o, err);
    if (!rc)
        rc = s->client->copy_done(s->ctx, err);
    portal_close(p);
    stmt_unref(st);
    buf_done(&o.b);
    buf_done(&o.text);
    return rc;
}

enum rc copy_run(struct utility *u, const PgQuery__CopyStmt *x, struct err *err) {
    struct copy c = {.u = u, .s = u->s};
    if (x->is_program || (x->filename && x->filename[0])) {
        enum rc rc = err_sql(err, "42501", "COPY to or from a file or a program of the server is not allowed");
        if (err)
            err_hint(err, "psql's \\copy works with files of the client.");
        return rc;
    }
    if (x->where_clause)
        return sess_unsupported(u->script, -1, err, "COPY FROM with WHERE is not supported");
    arena_init(&c.a, SESS_ARENA_BYTES_MAX);
    for (size_t i = 0; i < OWN_LANES; i++) {
        c.batch[i].c = &c;
        arena_init(&c.batch[i].a, SESS_ARENA_BYTES_MAX);
    }
    enum rc rc = options(&c, x, err);
    if (!rc && x->relation)
        rc = table_of(&c, x, err);
    if (!rc)
        rc = x->is_from ? copy_from(&c, err) : copy_to(&c, x, err);
    if (!rc)
        snprintf(u->done->tag, sizeof u->done->tag, "COPY %" PRIu64, c.total);
    counter_add(&u->s->e->stats.copied_rows, c.total);
    stmt_unref(c.full);
    for (size_t i = 0; i < OWN_LANES; i++) {
        stmt_unref(c.batch[i].st);
        free(c.batch[i].value);
        arena_done(&c.batch[i].a);
    }
    cat_table_unref(c.table);
    arena_done(&c.a);
    return rc;
}
