/* SPDX-License-Identifier: Apache-2.0 */
/* sysfn.c: functions that need a session: who and where, settings, sequences, and what psql and drivers ask of the catalog. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/net/rpc.h"
#include "shard/node/placement.h"
#include "shard/runtime/wait.h"
#include "sql/run/gather.h"
#include "sql/run/sess_internal.h"

#define ADMIN_NS INT64_C(70000000000)
#define SPLIT_PAUSE_NS INT64_C(100000000)

enum { SPLIT_TRIES = 30 };

struct currval {
    struct map_node node;
    uint32_t id;
    int64_t value;
};

void sess_forget_sequences(struct sess *s) {
    map_for_each(it, &s->currval) {
        map_del(&s->currval, it);
        free(container_of(it, struct currval, node));
    }
    s->lastval_seq = 0;
}

struct call {
    struct sess *s;
    const struct value *arg;
    size_t args;
    struct arena a; /* the call's own: the result is copied out of it */
    struct value *ret;
};

static enum rc text(struct call *c, const char *p, struct err *err) {
    char *copy = arena_strdup(&c->a, p);
    if (!copy)
        return err_set(err, RC_NOMEM, "out of memory");
    *c->ret = value_text(copy, strlen(copy));
    return RC_OK;
}

static enum rc text_buf(struct call *c, struct buf *b, struct err *err) {
    enum rc rc = buf_cstr(b) ? text(c, buf_cstr(b), err) : err_set(err, RC_NOMEM, "out of memory");
    buf_done(b);
    return rc;
}

/* An argument as a terminated string; "" for NULL. */
static const char *str(struct call *c, size_t i) {
    if (i >= c->args || c->arg[i].kind != VALUE_TEXT)
        return "";
    char *copy = arena_alloc(&c->a, c->arg[i].bytes + 1u);
    if (!copy)
        return "";
    memcpy(copy, c->arg[i].p, c->arg[i].bytes);
    copy[c->arg[i].bytes] = '\0';
    return copy;
}

static bool null_arg(const struct call *c) {
    for (size_t i = 0; i < c->args; i++)
        if (c->arg[i].kind == VALUE_NULL)
            return true;
    return false;
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

/* One identifier of a qualified name; *at is moved behind it and its dot. */
static bool one_ident(const char **at, char name[static CAT_NAME_BYTES_MAX + 1]) {
    size_t n = 0;
    const char *p = *at;
    if (!*p)
        return false;
    if (*p == '"') {
        for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
            p += *p == '"';
            if (n < CAT_NAME_BYTES_MAX)
                name[n++] = *p;
        }
        p += *p == '"';
    } else {
        for (; *p && *p != '.'; p++)
            if (n < CAT_NAME_BYTES_MAX)
                name[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    name[n] = '\0';
    p += *p == '.';
    *at = p;
    return n > 0;
}

/* A relation by its name as text, or by its number; *ret NULL: there is none. */
enum rc sess_relation_text(struct sess *s, const char *name, const struct cat_object **ret, struct err *err) {
    char part[3][CAT_NAME_BYTES_MAX + 1];
    size_t n = 0;
    char *end;
    unsigned long id = strtoul(name, &end, 10);
    struct cat_view view = sess_view(s);
    *ret = NULL;
    if (end != name && !*end) {
        *ret = id <= UINT32_MAX ? cat_view_get(&view, (uint32_t)id) : NULL;
        return RC_OK;
    }
    for (const char *at = name; n < 3 && one_ident(&at, part[n]); n++) {
    }
    if (n == 0)
        return RC_OK;
    return sess_relation(s, n > 2 ? part[n - 3] : NULL, n > 1 ? part[n - 2] : NULL, part[n - 1], ret, err);
}

size_t sess_nextval_name(const char *sql, char *name, size_t size) {
    static const char call[] = "nextval('";
    size_t n = 0;
    if (strncmp(sql, call, sizeof call - 1) != 0)
        return 0;
    const char *p = sql + sizeof call - 1;
    for (; *p && !(*p == '\'' && p[1] != '\''); p++) {
        p += *p == '\'';
        if (n + 1 == size)
            return 0;
        name[n++] = *p;
    }
    name[n] = '\0';
    return *p ? (size_t)(p + 1 - sql) : 0;
}

/* ---- who and where --------------------------------------------------------------------------------------------------- */

static enum rc f_current_user(struct call *c, struct err *err) {
    return text(c, c->s->user, err);
}

static enum rc f_current_database(struct call *c, struct err *err) {
    return text(c, c->s->database_name, err);
}

const char *sess_schema_name(struct sess *s, uint32_t id) {
    struct cat_view v = sess_view(s);
    const struct cat_object *o = cat_view_get(&v, id);
    return id == CAT_ID_PG_CATALOG             ? "pg_catalog"
           : id == CAT_ID_INFORMATION_SCHEMA   ? "information_schema"
           : id == CAT_ID_MERIDIAN_SCHEMA      ? "meridian"
           : o && o->kind == CAT_OBJECT_SCHEMA ? o->name
                                               : NULL;
}

static enum rc f_current_schema(struct call *c, struct err *err) {
    enum rc rc = sess_paths(c->s, err);
    *c->ret = value_null();
    if (rc || c->s->paths == 0)
        return rc;
    const char *name = sess_schema_name(c->s, c->s->path[0]);
    return name ? text(c, name, err) : RC_OK;
}

/* An array of text in PostgreSQL's binary form. */
static enum rc text_array(struct call *c, const char *const *v, size_t n, struct err *err) {
    enum { OID_TEXT = 25 };
    struct buf b;
    buf_init(&b, 0);
    buf_put_u32be(&b, n ? 1 : 0);
    buf_put_u32be(&b, 0);
    buf_put_u32be(&b, OID_TEXT);
    if (n) {
        buf_put_u32be(&b, (uint32_t)n);
        buf_put_u32be(&b, 1);
    }
    for (size_t i = 0; i < n; i++) {
        buf_put_u32be(&b, (uint32_t)strlen(v[i]));
        buf_puts(&b, v[i]);
    }
    void *p = buf_rc(&b) ? NULL : arena_copy(&c->a, b.data, b.len);
    if (p)
        *c->ret = value_blob(p, b.len);
    buf_done(&b);
    return p ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
}

static enum rc f_current_schemas(struct call *c, struct err *err) {
    const char *names[SESS_PATHS_MAX + 1];
    size_t n = 0;
    enum rc rc = sess_paths(c->s, err);
    if (c->args > 0 && c->arg[0].kind == VALUE_INT && c->arg[0].i)
        names[n++] = "pg_catalog";
    for (size_t i = 0; i < c->s->paths; i++) {
        const char *name = sess_schema_name(c->s, c->s->path[i]);
        if (name && !(n && strcmp(name, "pg_catalog") == 0))
            names[n++] = name;
    }
    return rc ? rc : text_array(c, names, n, err);
}

static enum rc f_version(struct call *c, struct err *err) {
    struct buf b;
    buf_init(&b, 0);
    buf_printf(&b, "PostgreSQL 15.0 (Meridian %s)", c->s->e->conf.version ? c->s->e->conf.version : "");
    return text_buf(c, &b, err);
}

static enum rc f_backend_pid(struct call *c, struct err *err) {
    (void)err;
    *c->ret = value_int(c->s->pid);
    return RC_OK;
}

/* Ends the statement of a session anywhere in the cluster, or the session. */
static enum rc stop_backend(struct call *c, bool terminate, struct err *err) {
    Gather__Ask ask = GATHER__ASK__INIT;
    struct cat_view view = sess_view(c->s);
    const struct cat_object *me = cat_view_get(&view, c->s->role);
    bool found = false;
    ask.pid = (uint32_t)c->arg[0].i;
    ask.terminate = terminate;
    ask.role = me && me->role.superuser ? (char *)(uintptr_t) "" : c->s->user;
    enum rc rc = c->arg[0].i > 0 ? gather_stop(c->s->e, &ask, &found, err) : RC_OK;
    if (!rc && !found)
        sess_notice(c->s, "WARNING", "01000", "PID %d is not a session of this cluster", (int)c->arg[0].i);
    *c->ret = value_int(found);
    return rc;
}

static enum rc f_cancel_backend(struct call *c, struct err *err) {
    return stop_backend(c, false, err);
}

static enum rc f_terminate_backend(struct call *c, struct err *err) {
    return stop_backend(c, true, err);
}

static enum rc f_null(struct call *c, struct err *err) {
    (void)err;
    *c->ret = value_null();
    return RC_OK;
}

static enum rc f_false(struct call *c, struct err *err) {
    (void)err;
    *c->ret = value_int(0);
    return RC_OK;
}

static enum rc f_true(struct call *c, struct err *err) {
    (void)err;
    *c->ret = value_int(1);
    return RC_OK;
}

/* ---- settings -------------------------------------------------------------------------------------------------------------- */

static enum rc f_current_setting(struct call *c, struct err *err) {
    char *shown = arena_alloc(&c->a, GUC_VALUE_BYTES_MAX);
    const char *name = str(c, 0);
    *c->ret = value_null();
    if (c->args == 0 || c->arg[0].kind == VALUE_NULL)
        return RC_OK;
    if (!guc_get(c->s->gucs, name)) {
        if (c->args > 1 && c->arg[1].kind == VALUE_INT && c->arg[1].i)
            return RC_OK;
        return err_sql(err, "42704", "unrecognized configuration parameter \"%.64s\"", name);
    }
    if (!shown)
        return err_set(err, RC_NOMEM, "out of memory");
    guc_show(c->s->gucs, name, shown, GUC_VALUE_BYTES_MAX);
    return text(c, shown, err);
}

static enum rc f_set_config(struct call *c, struct err *err) {
    const char *name = str(c, 0), *value = str(c, 1);
    if (c->args < 3 || c->arg[0].kind == VALUE_NULL)
        return err_sql(err, "22004", "SET requires parameter name");
    bool local = c->arg[2].kind == VALUE_INT && c->arg[2].i;
    enum rc rc = sess_setting(c->s, name, c->arg[1].kind == VALUE_NULL ? NULL : value,
                              local ? SETTING_LOCAL : SETTING_SESSION, err);
    return rc ? rc : text(c, guc_get(c->s->gucs, name), err);
}

/* ---- sequences ---------------------------------------------------------------------------------------------------------------- */

static enum rc sequence(struct call *c, struct cat_object **ret, struct err *err) {
    char number[16];
    const struct cat_object *o;
    const char *name = str(c, 0);
    if (c->args > 0 && c->arg[0].kind == VALUE_INT) {
        snprintf(number, sizeof number, "%" PRId64, c->arg[0].i);
        name = number;
    }
    enum rc rc = sess_relation_text(c->s, name, &o, err);
    if (rc)
        return rc;
    if (!o)
        return err_sql(err, "42P01", "relation \"%.100s\" does not exist", name);
    if (o->kind != CAT_OBJECT_SEQUENCE)
        return err_sql(err, "42809", "\"%.63s\" is not a sequence", o->name);
    *ret = cat_object_ref((struct cat_object *)(uintptr_t)o);
    return RC_OK;
}

static struct currval *currval_find(struct sess *s, uint32_t id) {
    for (struct map_node *n = map_first(&s->currval, hash_u64(id)); n; n = map_next(n))
        if (container_of(n, struct currval, node)->id == id)
            return container_of(n, struct currval, node);
    return NULL;
}

static enum rc remember(struct sess *s, uint32_t id, int64_t value, struct err *err) {
    struct currval *v = currval_find(s, id);
    if (!v) {
        v = calloc(1, sizeof *v);
        if (!v)
            return err_set(err, RC_NOMEM, "out of memory for a sequence's value");
        v->id = id;
        map_put(&s->currval, &v->node, hash_u64(id));
    }
    v->value = value;
    s->lastval = value;
    s->lastval_seq = id;
    return RC_OK;
}

static enum rc f_nextval(struct call *c, struct err *err) {
    struct cat_object *o;
    int64_t v;
    if (null_arg(c))
        return f_null(c, err);
    enum rc rc = sess_may_write(c->s, "nextval()", err);
    if (!rc)
        rc = sequence(c, &o, err);
    if (rc)
        return rc;
    rc = cat_sequence_next(c->s->e->catalog, o, c->s->deadline, &v, err);
    if (!rc)
        rc = remember(c->s, o->id, v, err);
    cat_object_unref(o);
    *c->ret = value_int(v);
    return rc;
}

static enum rc f_currval(struct call *c, struct err *err) {
    struct cat_object *o;
    if (null_arg(c))
        return f_null(c, err);
    enum rc rc = sequence(c, &o, err);
    if (rc)
        return rc;
    const struct currval *v = currval_find(c->s, o->id);
    if (!v)
        rc = err_sql(err, "55000", "currval of sequence \"%.63s\" is not yet defined in this session", o->name);
    else
        *c->ret = value_int(v->value);
    cat_object_unref(o);
    return rc;
}

static enum rc f_lastval(struct call *c, struct err *err) {
    if (!c->s->lastval_seq)
        return err_sql(err, "55000", "lastval is not yet defined in this session");
    *c->ret = value_int(c->s->lastval);
    return RC_OK;
}

static enum rc f_setval(struct call *c, struct err *err) {
    struct cat_object *o;
    if (null_arg(c))
        return f_null(c, err);
    bool called = c->args < 3 || c->arg[2].i != 0;
    enum rc rc = sess_may_write(c->s, "setval()", err);
    if (!rc)
        rc = sequence(c, &o, err);
    if (rc)
        return rc;
    rc = cat_sequence_set(c->s->e->catalog, o, c->arg[1].i, called, c->s->deadline, err);
    if (!rc && called)
        rc = remember(c->s, o->id, c->arg[1].i, err);
    cat_object_unref(o);
    *c->ret = c->arg[1];
    return rc;
}

/* pg_get_serial_sequence(table, column) */
static enum rc f_serial_sequence(struct call *c, struct err *err) {
    const struct cat_object *o, *seq;
    const char *table = str(c, 0), *column = str(c, 1);
    struct buf b;
    *c->ret = value_null();
    if (null_arg(c))
        return RC_OK;
    enum rc rc = sess_relation_text(c->s, table, &o, err);
    if (rc)
        return rc;
    if (!o || o->kind != CAT_OBJECT_TABLE)
        return err_sql(err, "42P01", "relation \"%.100s\" does not exist", table);
    int place = cat_column_find(o->table, column);
    if (place < 0)
        return err_sql(err, "42703", "column \"%.63s\" of relation \"%.63s\" does not exist", column, o->name);
    struct cat_view v = sess_view(c->s);
    seq = o->table->column[place].sequence ? cat_view_get(&v, o->table->column[place].sequence) : NULL;
    if (!seq)
        return RC_OK;
    buf_init(&b, 0);
    buf_printf(&b, "%s.%s", o->table->schema_name, seq->name);
    return text_buf(c, &b, err);
}

/* ---- the catalog ---------------------------------------------------------------------------------------------------------------- */

static const struct cat_object *by_number(struct call *c, int64_t oid) {
    struct cat_view v = sess_view(c->s);
    return oid > 0 && oid <= UINT32_MAX ? cat_view_get(&v, (uint32_t)oid) : NULL;
}

static const struct cat_object *by_oid(struct call *c) {
    return c->args > 0 && c->arg[0].kind == VALUE_INT ? by_number(c, c->arg[0].i) : NULL;
}

static enum rc f_table_is_visible(struct call *c, struct err *err) {
    if (null_arg(c))
        return f_null(c, err);
    struct cat_view v = sess_view(c->s);
    uint32_t id =
        c->arg[0].kind == VALUE_INT && c->arg[0].i > 0 && c->arg[0].i <= UINT32_MAX ? (uint32_t)c->arg[0].i : 0;
    const struct cat_object *o = by_oid(c);
    uint16_t index = 0;
    const char *name = o ? o->name : NULL;
    if (!o && (o = cat_view_index_by_id(&v, id, &index)))
        name = o->table->index[index].name;
    if (!o && (o = virtual_pkey_table(&v, id)))
        name = o->table->key_name;
    enum rc rc = sess_paths(c->s, err);
    *c->ret = value_int(0);
    for (size_t i = 0; !o && i < virtual_count(); i++) {
        const struct cat_table *t = virtual_at(c->s->e, i);
        if (t && t->id == id && t->schema == CAT_ID_PG_CATALOG)
            *c->ret = value_int(1);
    }
    for (size_t i = 0; o && i < c->s->paths; i++) {
        uint16_t at;
        if (c->s->path[i] == o->schema) {
            *c->ret = value_int(1);
            break;
        }
        if (cat_view_relation(&v, c->s->path[i], name) || cat_view_index(&v, c->s->path[i], name, &at))
            break; /* something of that name stands in front of it */
    }
    return rc;
}

static enum rc f_userbyid(struct call *c, struct err *err) {
    const struct cat_object *o = by_oid(c);
    struct buf b;
    if (null_arg(c))
        return f_null(c, err);
    if (o && o->kind == CAT_OBJECT_ROLE)
        return text(c, o->name, err);
    buf_init(&b, 0);
    buf_printf(&b, "unknown (OID=%" PRId64 ")", c->arg[0].i);
    return text_buf(c, &b, err);
}

/* obj_description(oid[, catalog]) */
static enum rc f_obj_description(struct call *c, struct err *err) {
    const struct cat_object *o = by_oid(c);
    *c->ret = value_null();
    return o && o->comment ? text(c, o->comment, err) : RC_OK;
}

static enum rc f_col_description(struct call *c, struct err *err) {
    const struct cat_object *o = by_oid(c);
    *c->ret = value_null();
    if (!o || o->kind != CAT_OBJECT_TABLE || c->args < 2 || c->arg[1].kind != VALUE_INT || c->arg[1].i < 1 ||
        c->arg[1].i > o->table->columns)
        return RC_OK;
    const char *comment = o->table->column[c->arg[1].i - 1].comment;
    return comment ? text(c, comment, err) : RC_OK;
}

/* pg_get_expr(text, oid[, pretty]): what we show as a tree is its text already. */
static enum rc f_get_expr(struct call *c, struct err *err) {
    (void)err;
    *c->ret = c->args ? c->arg[0] : value_null();
    return RC_OK;
}

void sess_quote_ident(struct buf *b, const char *name) {
    bool plain = *name && !(*name >= '0' && *name <= '9');
    for (const char *p = name; *p; p++)
        plain = plain && ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
    if (plain) {
        buf_puts(b, name);
        return;
    }
    buf_putc(b, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"')
            buf_putc(b, '"');
        buf_putc(b, (uint8_t)*p);
    }
    buf_putc(b, '"');
}

/* An expression that is more than a call stands in parentheses. */
static void put_part(struct buf *b, const struct cat_column *c) {
    if (!c->hidden || !c->generated_sql) {
        sess_quote_ident(b, c->name);
        return;
    }
    size_t n = strspn(c->generated_sql, "abcdefghijklmnopqrstuvwxyz0123456789_"), depth = 0,
           end = strlen(c->generated_sql);
    bool call = n > 0 && c->generated_sql[n] == '(';
    for (size_t i = n; call && i < end; i++) {
        depth += c->generated_sql[i] == '(';
        depth -= c->generated_sql[i] == ')';
        call = depth > 0 || i + 1 == end;
    }
    buf_printf(b, call ? "%s" : "(%s)", c->generated_sql);
}

static void put_parts(struct buf *b, const struct cat_table *t, const struct cat_part *part, uint16_t n) {
    for (uint16_t i = 0; i < n; i++) {
        if (i)
            buf_puts(b, ", ");
        put_part(b, &t->column[part[i].col]);
        if (part[i].desc)
            buf_puts(b, " DESC");
    }
}

void sess_index_def(struct buf *b, const struct cat_table *t, const struct cat_index *x) {
    buf_printf(b, "CREATE %sINDEX ", x->unique ? "UNIQUE " : "");
    sess_quote_ident(b, x->name);
    buf_puts(b, " ON ");
    sess_quote_ident(b, t->schema_name);
    buf_putc(b, '.');
    sess_quote_ident(b, t->name);
    buf_puts(b, " USING btree (");
    put_parts(b, t, x->part, x->parts);
    buf_putc(b, ')');
    for (uint16_t i = 0; i < x->includes; i++) {
        buf_puts(b, i ? ", " : " INCLUDE (");
        sess_quote_ident(b, t->column[x->include[i]].name);
        if (i + 1 == x->includes)
            buf_putc(b, ')');
    }
    if (x->kind == CAT_INDEX_LOCAL)
        buf_puts(b, " WITH (scope='local')");
    if (x->where_sql)
        buf_printf(b, " WHERE (%s)", x->where_sql);
}

/* pg_get_indexdef(oid[, column, pretty]) */
static enum rc f_indexdef(struct call *c, struct err *err) {
    struct cat_view v = sess_view(c->s);
    uint16_t index = 0;
    struct buf b;
    *c->ret = value_null();
    if (null_arg(c) || c->arg[0].i <= 0 || c->arg[0].i > UINT32_MAX)
        return RC_OK;
    uint32_t id = (uint32_t)c->arg[0].i;
    const struct cat_object *o = cat_view_index_by_id(&v, id, &index);
    const struct cat_index *x = o ? &o->table->index[index] : NULL;
    struct cat_index primary;
    if (!o && (o = virtual_pkey_table(&v, id))) {
        primary = (struct cat_index){.name = o->table->key_name,
                                     .unique = true,
                                     .kind = CAT_INDEX_GLOBAL,
                                     .parts = o->table->keys,
                                     .part = o->table->key};
        x = &primary;
    }
    if (!x)
        return RC_OK;
    buf_init(&b, 0);
    int64_t column = c->args > 1 ? c->arg[1].i : 0;
    if (column > 0 && column <= x->parts)
        put_part(&b, &o->table->column[x->part[column - 1].col]);
    else if (column == 0)
        sess_index_def(&b, o->table, x);
    return text_buf(c, &b, err);
}

/* pg_get_viewdef(oid or name[, pretty or columns]): our text is in one line. */
static enum rc f_viewdef(struct call *c, struct err *err) {
    const struct cat_object *o = NULL;
    struct buf b;
    *c->ret = value_null();
    if (null_arg(c))
        return RC_OK;
    enum rc rc = RC_OK;
    if (c->arg[0].kind == VALUE_TEXT)
        rc = sess_relation_text(c->s, str(c, 0), &o, err);
    else
        o = by_oid(c);
    if (rc || !o || o->kind != CAT_OBJECT_TABLE || o->table->kind != CAT_VIEW)
        return rc;
    buf_init(&b, 0);
    buf_printf(&b, " %s;", o->table->view_sql);
    return text_buf(c, &b, err);
}

/* pg_get_constraintdef(oid[, pretty]) */
static enum rc f_constraintdef(struct call *c, struct err *err) {
    struct cat_view v = sess_view(c->s);
    struct buf b;
    *c->ret = value_null();
    if (null_arg(c) || c->arg[0].i <= 0 || c->arg[0].i > UINT32_MAX)
        return RC_OK;
    buf_init(&b, 0);
    if (!virtual_constraint_def(c->s, &v, (uint32_t)c->arg[0].i, c->args > 1 && c->arg[1].i, &b)) {
        buf_done(&b);
        return RC_OK;
    }
    return text_buf(c, &b, err);
}

static enum rc proc_text(struct call *c, bool (*fn)(uint32_t oid, struct buf *to), struct err *err) {
    struct buf b;
    *c->ret = value_null();
    if (null_arg(c))
        return RC_OK;
    buf_init(&b, 0);
    if (fn((uint32_t)c->arg[0].i, &b))
        return text_buf(c, &b, err);
    buf_done(&b);
    return RC_OK;
}

static enum rc f_function_arguments(struct call *c, struct err *err) {
    return proc_text(c, proc_arguments, err);
}

static enum rc f_function_result(struct call *c, struct err *err) {
    return proc_text(c, proc_result, err);
}

static enum rc f_functiondef(struct call *c, struct err *err) {
    struct buf b;
    struct err why = {0};
    *c->ret = value_null();
    if (null_arg(c))
        return RC_OK;
    buf_init(&b, 0);
    if (proc_definition((uint32_t)c->arg[0].i, &b, &why))
        return text_buf(c, &b, err);
    buf_done(&b);
    if (why.rc)
        *err = why;
    return why.rc;
}

/* pg_describe_object(catalog, oid, column): of what belongs to the extension meridian, and of relations. */
static enum rc f_describe_object(struct call *c, struct err *err) {
    enum { CLASS = 1259, PROC = 1255, NAMESPACE = 2615 };
    struct buf b;
    *c->ret = value_null();
    if (null_arg(c) || c->arg[1].i <= 0 || c->arg[1].i > UINT32_MAX)
        return RC_OK;
    uint32_t id = (uint32_t)c->arg[1].i;
    buf_init(&b, 0);
    if (c->arg[0].i == NAMESPACE && sess_schema_name(c->s, id))
        buf_printf(&b, "schema %s", sess_schema_name(c->s, id));
    for (size_t i = 0; c->arg[0].i == PROC && i < fn_count(); i++)
        if (fn_at(i)->oid == id && fn_at(i)->name[0] != '$') {
            buf_printf(&b, "function %s(", fn_at(i)->name);
            (void)proc_arguments(id, &b);
            buf_putc(&b, ')');
            break;
        }
    for (size_t i = 0; c->arg[0].i == CLASS && i < virtual_count(); i++) {
        const struct cat_table *t = virtual_at(c->s->e, i);
        if (t && t->id == id)
            buf_printf(&b, "%s %s.%s", t->schema == CAT_ID_PG_CATALOG ? "table" : "view", t->schema_name, t->name);
    }
    const struct cat_object *o = c->arg[0].i == CLASS ? by_number(c, id) : NULL;
    if (o && (o->kind == CAT_OBJECT_SEQUENCE || o->kind == CAT_OBJECT_TABLE)) {
        buf_puts(&b, o->kind == CAT_OBJECT_SEQUENCE ? "sequence " : o->table->kind == CAT_VIEW ? "view " : "table ");
        sess_quote_ident(&b, o->name);
    }
    if (b.len > 0)
        return text_buf(c, &b, err);
    buf_done(&b);
    return RC_OK;
}

/* acldefault(kind of object, owner): the privileges of what nobody granted or revoked. */
static enum rc f_acldefault(struct call *c, struct err *err) {
    static const struct {
        const char *kind, *owner, *everybody;
    } known[] = {{"c", NULL, NULL}, {"r", "arwdDxt", NULL}, {"s", "rwU", NULL}, {"d", "CTc", "Tc"}, {"f", "X", "X"},
                 {"l", "U", "U"},   {"L", "rw", NULL},      {"n", "UC", NULL},  {"p", "sA", NULL},  {"t", "C", NULL},
                 {"F", "U", NULL},  {"S", "U", NULL},       {"T", "U", "U"}};
    const char *kind = str(c, 0), *item[2];
    size_t i = 0, n = 0;
    if (null_arg(c))
        return f_null(c, err);
    while (i < ARRAY_LEN(known) && strcmp(known[i].kind, kind) != 0)
        i++;
    if (i == ARRAY_LEN(known))
        return err_sql(err, "XX000", "unrecognized object type abbreviation: %.8s", kind);
    const struct cat_object *o = c->arg[1].kind == VALUE_INT ? by_number(c, c->arg[1].i) : NULL;
    struct buf who;
    buf_init(&who, 0);
    if (o && o->kind == CAT_OBJECT_ROLE)
        sess_quote_ident(&who, o->name);
    else
        buf_printf(&who, "%" PRId64, c->arg[1].i);
    const char *owner = buf_cstr(&who) ? arena_strdup(&c->a, buf_cstr(&who)) : NULL;
    buf_done(&who);
    if (owner && known[i].everybody)
        item[n++] = arena_printf(&c->a, "=%s/%s", known[i].everybody, owner);
    if (owner && known[i].owner)
        item[n++] = arena_printf(&c->a, "%s=%s/%s", owner, known[i].owner, owner);
    if (!owner || (n > 0 && !item[0]) || (n > 1 && !item[1]))
        return err_set(err, RC_NOMEM, "out of memory");
    return text_array(c, item, n, err);
}

static enum rc f_encoding_to_char(struct call *c, struct err *err) {
    return null_arg(c) ? f_null(c, err) : text(c, c->arg[0].i == 6 ? "UTF8" : "", err);
}

static enum rc f_to_regclass(struct call *c, struct err *err) {
    const struct cat_object *o;
    *c->ret = value_null();
    if (null_arg(c))
        return RC_OK;
    enum rc rc = sess_relation_text(c->s, str(c, 0), &o, err);
    if (!rc && o)
        *c->ret = value_int(o->id);
    return rc;
}

static enum rc f_zero(struct call *c, struct err *err) {
    (void)err;
    *c->ret = value_int(0);
    return RC_OK;
}

/* ---- numbers that print as names ------------------------------------------------------------------------------------ */

/* What has no name prints as its number. */
static enum rc number(struct call *c, struct err *err) {
    struct buf b;
    buf_init(&b, 0);
    buf_printf(&b, "%" PRId64, c->arg[0].i);
    return text_buf(c, &b, err);
}

/* With its schema where the search path would not find it. */
static enum rc qualified(struct call *c, uint32_t schema, const char *name, struct err *err) {
    struct sess *s = c->s;
    struct buf b;
    bool seen = schema == CAT_ID_PG_CATALOG;
    enum rc rc = sess_paths(s, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < s->paths; i++)
        seen = seen || s->path[i] == schema;
    const char *in = sess_schema_name(s, schema);
    buf_init(&b, 0);
    if (!seen && in) {
        sess_quote_ident(&b, in);
        buf_putc(&b, '.');
    }
    sess_quote_ident(&b, name);
    return text_buf(c, &b, err);
}

static enum rc f_regclassout(struct call *c, struct err *err) {
    struct cat_view v = sess_view(c->s);
    const struct cat_object *o = by_oid(c);
    uint16_t index;
    if (null_arg(c))
        return f_null(c, err);
    if (o && (o->kind == CAT_OBJECT_TABLE || o->kind == CAT_OBJECT_SEQUENCE))
        return qualified(c, o->schema, o->name, err);
    uint32_t id = c->arg[0].i > 0 && c->arg[0].i <= UINT32_MAX ? (uint32_t)c->arg[0].i : 0;
    o = id ? cat_view_index_by_id(&v, id, &index) : NULL;
    if (o)
        return qualified(c, o->schema, o->table->index[index].name, err);
    o = virtual_pkey_table(&v, id);
    if (o)
        return qualified(c, o->schema, o->table->key_name, err);
    for (size_t i = 0; id && i < virtual_count(); i++) {
        const struct cat_table *t = virtual_at(c->s->e, i);
        if (t && t->id == id)
            return qualified(c, t->schema, t->name, err);
    }
    return id ? number(c, err) : text(c, "-", err);
}

static enum rc f_regtypeout(struct call *c, struct err *err) {
    struct col type;
    char name[COL_NAME_BYTES];
    if (null_arg(c))
        return f_null(c, err);
    if (c->arg[0].i == 0)
        return text(c, "-", err);
    if (c->arg[0].i > 0 && c->arg[0].i <= UINT32_MAX &&
        type_from_oid((uint32_t)c->arg[0].i, COL_TYPMOD_NONE, &type, NULL) == RC_OK)
        return text(c, col_name(&type, name), err);
    return number(c, err);
}

static enum rc f_regnamespaceout(struct call *c, struct err *err) {
    if (null_arg(c))
        return f_null(c, err);
    const char *name =
        c->arg[0].i > 0 && c->arg[0].i <= UINT32_MAX ? sess_schema_name(c->s, (uint32_t)c->arg[0].i) : NULL;
    return name ? text(c, name, err) : number(c, err);
}

static enum rc f_regroleout(struct call *c, struct err *err) {
    const struct cat_object *o = by_oid(c);
    if (null_arg(c))
        return f_null(c, err);
    return o && o->kind == CAT_OBJECT_ROLE ? text(c, o->name, err) : number(c, err);
}

/* Functions that are no rows of ours but whose names pg_catalog tells. */
static const struct {
    uint32_t oid;
    const char *name;
} handlers[] = {{3, "heap_tableam_handler"}, {330, "bthandler"}};

static enum rc f_regprocin(struct call *c, struct err *err) {
    const char *name = str(c, 0);
    int64_t oid = -1;
    if (null_arg(c))
        return f_null(c, err);
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
        if (strcmp(handlers[i].name, name) == 0)
            oid = handlers[i].oid;
    for (size_t i = 0; i < fn_count() && oid < 0; i++)
        if (strcmp(fn_at(i)->name, name) == 0)
            oid = fn_at(i)->oid;
    if (oid < 0 && strcmp(name, "-") != 0)
        return err_sql(err, "42883", "function \"%.63s\" does not exist", name);
    *c->ret = value_int(oid < 0 ? 0 : oid);
    return RC_OK;
}

static enum rc f_regprocout(struct call *c, struct err *err) {
    if (null_arg(c))
        return f_null(c, err);
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
        if (handlers[i].oid == c->arg[0].i)
            return text(c, handlers[i].name, err);
    for (size_t i = 0; i < fn_count(); i++)
        if (fn_at(i)->oid == c->arg[0].i)
            return text(c, fn_at(i)->name, err);
    return c->arg[0].i ? number(c, err) : text(c, "-", err);
}

/* ---- locks and time ----------------------------------------------------------------------------------------------------- */

static enum rc f_sleep(struct call *c, struct err *err) {
    *c->ret = value_text("", 0);
    if (null_arg(c))
        return f_null(c, err);
    double s = value_float_get(&c->arg[0]);
    if (!(s > 0))
        return RC_OK;
    enum rc rc = fiber_sleep(c->s->e->reactor, s > 1e9 ? INT64_MAX / 4 : (int64_t)(s * 1e9));
    return rc ? err_set(err, rc,
                        rc == RC_TIMEOUT ? "canceling statement due to statement timeout"
                                         : "canceling statement due to user request")
              : RC_OK;
}

static enum rc f_txid(struct call *c, struct err *err) {
    enum rc rc = sess_txn(c->s, NULL, err);
    if (!rc)
        *c->ret = value_int((int64_t)(txn_ref(c->s->txn)->id.counter & INT64_MAX));
    return rc;
}

static enum rc f_start_time(struct call *c, struct err *err) {
    (void)err;
    *c->ret = value_int(c->s->e->started_us);
    return RC_OK;
}

static enum rc f_current_query(struct call *c, struct err *err) {
    char *copy = c->s->query ? arena_printf(&c->a, "%.*s", (int)c->s->query_bytes, c->s->query) : NULL;
    return copy ? text(c, copy, err) : f_null(c, err);
}

/* ---- Meridian's own ---------------------------------------------------------------------------------------------------------------- */

static enum rc f_commit_timestamp(struct call *c, struct err *err) {
    (void)err;
    *c->ret = c->s->last_commit_ts ? value_int(c->s->last_commit_ts) : value_null();
    return RC_OK;
}

static enum rc f_commit_token(struct call *c, struct err *err) {
    enum { WITHIN_S = 60, WITHIN_S_MAX = 3600 };
    int64_t within = c->args && c->arg[0].kind == VALUE_INT ? c->arg[0].i : WITHIN_S;
    struct buf b;
    if (within < 1 || within > WITHIN_S_MAX)
        return err_sql(err, "22023", "a commit token holds for 1 to %d seconds", WITHIN_S_MAX);
    buf_init(&b, 0);
    txn_token_print(c->s->txn ? txn_token_give(c->s->txn, within * 1000000000) : &c->s->last_token, &b);
    return text_buf(c, &b, err);
}

/* What became of the transaction of a token. */
static enum rc status_of(struct call *c, enum txn_verdict *ret, int64_t *ret_ts, struct err *err) {
    struct txn_token token;
    const char *t = str(c, 0);
    enum rc rc = txn_token_parse(t, strlen(t), &token, err);
    return rc ? rc : txn_status(c->s->e->conf.txns, &token, c->s->deadline, ret, ret_ts, err);
}

static enum rc f_txn_status(struct call *c, struct err *err) {
    enum txn_verdict verdict;
    int64_t ts;
    if (null_arg(c))
        return f_null(c, err);
    enum rc rc = status_of(c, &verdict, &ts, err);
    return rc ? rc : text(c, txn_verdict_name(verdict), err);
}

static enum rc f_txn_timestamp(struct call *c, struct err *err) {
    enum txn_verdict verdict = TXN_UNDECIDED;
    int64_t ts = 0;
    if (null_arg(c))
        return f_null(c, err);
    enum rc rc = status_of(c, &verdict, &ts, err);
    *c->ret = !rc && verdict == TXN_COMMITTED ? value_int(ts) : value_null();
    return rc;
}

/* Operators' verbs, as `meridian tablet` has them: any node takes them and finds who can do it. */
static enum rc admin(struct call *c, const Node__AdminAsk *ask, struct err *err) {
    struct node_store *s = c->s->e->conf.store;
    struct store_addr here = {node_number(s->node), 0};
    struct cat_view v = sess_view(c->s);
    const struct cat_object *me = cat_view_get(&v, c->s->role);
    ProtobufCMessage *m = NULL;
    if (!me || !me->role.superuser)
        return err_sql(err, "42501", "permission denied: only superusers move tablets");
    int64_t deadline = c->s->deadline == DEADLINE_NONE ? reactor_deadline(s->reactor, ADMIN_NS) : c->s->deadline;
    enum rc rc = rpc_call(s->rpc, here, NODE_TYPE_ADMIN, &ask->base, &c->a, deadline, &m, err);
    return rc ? rc : text(c, ((const Node__AdminAnswer *)m)->text, err);
}

static enum rc f_split(struct call *c, struct err *err) {
    Node__AdminAsk ask = NODE__ADMIN_ASK__INIT;
    const struct cat_object *o = by_oid(c);
    struct buf key;
    if (null_arg(c))
        return f_null(c, err);
    if (!o || o->kind != CAT_OBJECT_TABLE || !o->table->store)
        return err_sql(err, "42809", "only tables are split");
    const struct table *t = o->table->store;
    const struct col *first = &t->cols[t->key[0].col].col;
    struct value v = c->args > 1 ? c->arg[1] : value_null();
    enum rc rc = RC_OK;
    if (c->args > 1 && v.kind == VALUE_TEXT)
        rc = type_parse(&c->s->types, first, v.p, v.bytes, &c->a, &v, err);
    buf_init(&key, 0);
    if (!rc)
        rc = table_key_put(&key, t, &v, c->args > 1 ? 1 : 0, err);
    ask.verb = (char *)(uintptr_t) "split";
    ask.key = (ProtobufCBinaryData){key.len, key.data};
    /* After another split it takes a moment until everybody knows whose key it is. */
    struct node_store *store = c->s->e->conf.store;
    for (int tries = 0; !rc; tries++) {
        struct directory_tablet at;
        int64_t soon = reactor_deadline(store->reactor, ADMIN_NS);
        rc = directory_find(store->directory, (struct mvcc_bytes){key.data, key.len}, soon, &at, err);
        if (rc)
            break;
        ask.tablet = at.id;
        rc = admin(c, &ask, err);
        if (rc != RC_INVAL || tries == SPLIT_TRIES)
            break;
        directory_forget(store->directory, ask.tablet);
        rc = fiber_sleep(store->reactor, SPLIT_PAUSE_NS);
    }
    buf_done(&key);
    return rc;
}

static enum rc tablet_verb(struct call *c, const char *verb, uint32_t from, uint32_t to, struct err *err) {
    Node__AdminAsk ask = NODE__ADMIN_ASK__INIT;
    if (null_arg(c))
        return f_null(c, err);
    ask.verb = (char *)(uintptr_t)verb;
    ask.tablet = (uint64_t)c->arg[0].i;
    ask.from_node = from;
    ask.to_node = to;
    return admin(c, &ask, err);
}

static enum rc f_split_tablet(struct call *c, struct err *err) {
    return tablet_verb(c, "split", 0, 0, err);
}

static enum rc f_transfer(struct call *c, struct err *err) {
    return tablet_verb(c, "transfer-leader", 0, (uint32_t)c->arg[1].i, err);
}

static enum rc f_move(struct call *c, struct err *err) {
    return tablet_verb(c, "move", (uint32_t)c->arg[1].i, (uint32_t)c->arg[2].i, err);
}

/* "us, eu" as a list; *ret_n: -1: too long, or no memory. */
static char **names(struct call *c, size_t i, int *ret_n) {
    char *text = (char *)(uintptr_t)str(c, i), **list = arena_array(&c->a, PLACEMENT_LIST_MAX, sizeof *list),
         *rest = NULL;
    *ret_n = list ? 0 : -1;
    for (char *one = strtok_r(text, ", ", &rest); one && *ret_n >= 0; one = strtok_r(NULL, ", ", &rest)) {
        if (*ret_n == PLACEMENT_LIST_MAX)
            *ret_n = -1;
        else
            list[(*ret_n)++] = one;
    }
    return list;
}

static enum rc may_place(struct call *c, int64_t *ret_deadline, struct err *err) {
    struct node_store *s = c->s->e->conf.store;
    struct cat_view v = sess_view(c->s);
    const struct cat_object *me = cat_view_get(&v, c->s->role);
    *ret_deadline = c->s->deadline == DEADLINE_NONE ? reactor_deadline(s->reactor, ADMIN_NS) : c->s->deadline;
    return me && me->role.superuser ? RC_OK : err_sql(err, "42501", "permission denied: only superusers place tables");
}

/* set_placement(name, regions, leaders' regions, voters [, regions with read replicas: '' each where voters may be; none]) */
static enum rc f_set_placement(struct call *c, struct err *err) {
    Node__Placement p = NODE__PLACEMENT__INIT;
    int64_t deadline;
    int regions, leaders, reads = 0;
    if (null_arg(c))
        return f_null(c, err);
    p.name = (char *)(uintptr_t)str(c, 0);
    p.region = names(c, 1, &regions);
    p.leader = names(c, 2, &leaders);
    if (c->args > 4 && strcmp(str(c, 4), "none") == 0)
        p.no_read = true;
    else if (c->args > 4)
        p.read = names(c, 4, &reads);
    if (regions < 0 || leaders < 0 || reads < 0 || c->arg[3].i < 0 || c->arg[3].i > PLACEMENT_VOTERS_MAX)
        return err_sql(err, "22023", "a placement has at most %d regions and %d voters", PLACEMENT_LIST_MAX,
                       PLACEMENT_VOTERS_MAX);
    p.n_region = (size_t)regions;
    p.n_leader = (size_t)leaders;
    p.n_read = (size_t)reads;
    p.voters = (uint32_t)c->arg[3].i;
    enum rc rc = may_place(c, &deadline, err);
    if (!rc)
        rc = node_placement_set(c->s->e->conf.store, &p, deadline, err);
    return rc ? rc : text(c, p.name, err);
}

/* place(table, placement): the table with its indexes; '' is the default one. */
static enum rc f_place(struct call *c, struct err *err) {
    int64_t deadline;
    if (null_arg(c))
        return f_null(c, err);
    const struct cat_object *o = by_oid(c);
    const char *placement = str(c, 1);
    enum rc rc = may_place(c, &deadline, err);
    if (rc)
        return rc;
    if (!o || o->kind != CAT_OBJECT_TABLE || !o->table->store)
        return err_sql(err, "42809", "only tables are placed");
    if (o->table->store->group != o->table->store->id)
        return err_sql(err, "0A000", "an interleaved table lies where its parent does");
    rc = node_place_group(c->s->e->conf.store, o->table->store->group, placement, deadline, err);
    for (uint16_t i = 0; i < o->table->indexes && !rc; i++)
        if (o->table->index[i].kind == CAT_INDEX_GLOBAL)
            rc = node_place_group(c->s->e->conf.store, o->table->index[i].store->group, placement, deadline, err);
    if (rc == RC_NOTFOUND)
        rc = err_sql(err, "42704", "placement \"%.63s\" does not exist", placement);
    return rc ? rc : text(c, placement, err);
}

/* ---- the simulated world ------------------------------------------------------------------------------------------------------------- */

struct world_change {
    const struct sql_world *world;
    const char *word[SQL_WORLD_WORDS_MAX + 1];
    size_t words;
    enum rc rc;
    struct err err;
};

static void change_world(void *arg) {
    struct world_change *x = arg;
    x->rc = x->world->change(x->world->ctx, x->word, &x->err);
}

/* Words of a topology, parted by blanks: nothing that a command could take for an option of its own. */
static bool put_words(struct world_change *x, char *text) {
    char *rest = NULL;
    for (char *one = strtok_r(text, " ", &rest); one; one = strtok_r(NULL, " ", &rest)) {
        if (x->words == SQL_WORLD_WORDS_MAX - 1 || one[0] == '-' ||
            strspn(one, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,*%=-") != strlen(one))
            return false;
        x->word[x->words++] = one;
    }
    return true;
}

/* verb(words..., one way?) of `meridian geo`, on the world that this node stands in. */
static enum rc on_world(struct call *c, const char *verb, struct err *err) {
    struct sess *s = c->s;
    struct world_change x = {.world = s->e->conf.world, .word = {verb}, .words = 1};
    struct cat_view v = sess_view(s);
    const struct cat_object *me = cat_view_get(&v, s->role);
    bool good = true, one_way = false;
    struct buf said;
    if (null_arg(c))
        return f_null(c, err);
    if (!me || !me->role.superuser)
        return err_sql(err, "42501", "permission denied: only superusers change the lines between regions");
    if (!x.world) {
        enum rc rc = err_sql(err, "55000", "this node stands in no simulated world: its lines are real");
        err_hint(err, "meridian geo up makes one.");
        return rc;
    }
    for (size_t i = 0; i < c->args && good; i++)
        if (c->arg[i].kind == VALUE_TEXT)
            good = put_words(&x, (char *)(uintptr_t)str(c, i));
        else
            one_way = c->arg[i].i != 0;
    if (!good)
        return err_sql(err, "22023", "names of regions, and attributes such as rtt=120ms loss=1%%, are wanted");
    if (one_way)
        x.word[x.words++] = "--one-way";
    x.word[x.words] = NULL;
    enum rc rc = big_stack_run(s->e->reactor, change_world, &x);
    if (!rc && x.rc) {
        rc = err_sql(err, x.rc == RC_INVAL ? "22023" : "58000", "%s", err_message(&x.err));
        if (x.err.hint[0])
            err_hint(err, "%s", x.err.hint);
    }
    if (rc)
        return rc;
    buf_init(&said, 0);
    for (size_t i = 0; i < x.words; i++)
        buf_printf(&said, "%s%s", i ? " " : "", x.word[i]);
    return text_buf(c, &said, err);
}

static enum rc f_set_link(struct call *c, struct err *err) {
    return on_world(c, "set", err);
}

static enum rc f_partition(struct call *c, struct err *err) {
    return on_world(c, "partition", err);
}

static enum rc f_heal(struct call *c, struct err *err) {
    return on_world(c, "heal", err);
}

/* ---- all of them --------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum rc (*call)(struct call *c, struct err *err);
} functions[] = {
    {"current_user", f_current_user},
    {"session_user", f_current_user},
    {"user", f_current_user},
    {"current_role", f_current_user},
    {"current_catalog", f_current_database},
    {"current_database", f_current_database},
    {"current_schema", f_current_schema},
    {"current_schemas", f_current_schemas},
    {"version", f_version},
    {"pg_backend_pid", f_backend_pid},
    {"pg_cancel_backend", f_cancel_backend},
    {"pg_terminate_backend", f_terminate_backend},
    {"inet_client_addr", f_null},
    {"inet_server_addr", f_null},
    {"inet_client_port", f_null},
    {"inet_server_port", f_null},
    {"pg_is_in_recovery", f_false},
    {"current_setting", f_current_setting},
    {"set_config", f_set_config},
    {"nextval", f_nextval},
    {"currval", f_currval},
    {"lastval", f_lastval},
    {"setval", f_setval},
    {"pg_get_serial_sequence", f_serial_sequence},
    {"pg_table_is_visible", f_table_is_visible},
    {"pg_get_userbyid", f_userbyid},
    {"obj_description", f_obj_description},
    {"shobj_description", f_obj_description},
    {"col_description", f_col_description},
    {"pg_get_expr", f_get_expr},
    {"pg_get_indexdef", f_indexdef},
    {"pg_get_constraintdef", f_constraintdef},
    {"pg_get_viewdef", f_viewdef},
    {"pg_get_partkeydef", f_null},
    {"pg_get_statisticsobjdef_columns", f_null},
    {"acldefault", f_acldefault},
    {"pg_encoding_to_char", f_encoding_to_char},
    {"to_regclass", f_to_regclass},
    {"pg_has_role", f_true},
    {"pg_relation_size", f_zero},
    {"pg_table_size", f_zero},
    {"pg_total_relation_size", f_zero},
    {"pg_indexes_size", f_zero},
    {"pg_database_size", f_zero},
    {"pg_relation_is_publishable", f_false},
    {"pg_is_other_temp_schema", f_false},
    {"pg_my_temp_schema", f_zero},
    {"getpgusername", f_current_user},
    {"current_query", f_current_query},
    {"pg_conf_load_time", f_start_time},
    {"pg_postmaster_start_time", f_start_time},
    {"pg_sleep", f_sleep},
    {"txid_current", f_txid},
    {"txid_current_if_assigned", f_null},
    {"pg_current_xact_id", f_txid},
    {"pg_advisory_unlock_all", f_null},
    {"regclassout", f_regclassout},
    {"regtypeout", f_regtypeout},
    {"regnamespaceout", f_regnamespaceout},
    {"regroleout", f_regroleout},
    {"regprocin", f_regprocin},
    {"regprocout", f_regprocout},
    {"regclassin", f_to_regclass},
    {"pg_get_ruledef", f_null},
    {"pg_get_triggerdef", f_null},
    {"pg_get_function_arguments", f_function_arguments},
    {"pg_get_function_identity_arguments", f_function_arguments},
    {"pg_get_function_result", f_function_result},
    {"pg_get_functiondef", f_functiondef},
    {"pg_get_function_sqlbody", f_null},
    {"pg_get_function_arg_default", f_null},
    {"pg_get_statisticsobjdef", f_null},
    {"pg_get_partition_constraintdef", f_null},
    {"pg_get_replica_identity_index", f_null},
    {"pg_tablespace_location", f_null},
    {"pg_tablespace_size", f_zero},
    {"pg_stat_get_numscans", f_zero},
    {"pg_relation_filenode", f_zero},
    {"pg_describe_object", f_describe_object},
    {"row_security_active", f_false},
    {"pg_column_is_updatable", f_true},
    {"meridian.commit_timestamp", f_commit_timestamp},
    {"meridian.commit_token", f_commit_token},
    {"meridian.txn_status", f_txn_status},
    {"meridian.txn_timestamp", f_txn_timestamp},
    {"meridian.split", f_split},
    {"meridian.split_tablet", f_split_tablet},
    {"meridian.transfer_leader", f_transfer},
    {"meridian.move", f_move},
    {"meridian.set_placement", f_set_placement},
    {"meridian.place", f_place},
    {"meridian.kill", f_terminate_backend},
    {"meridian.set_link", f_set_link},
    {"meridian.partition", f_partition},
    {"meridian.heal", f_heal},
};

enum rc sysfn_call(void *ctx, uint32_t fn, const struct value *arg, size_t args, struct value *ret, struct err *err) {
    struct sess *s = ctx;
    const struct fn *f = fn_by_id(fn);
    struct value v = value_null();
    struct call c = {.s = s, .arg = arg, .args = args, .ret = &v};
    size_t i = 0;
    while (f && i < ARRAY_LEN(functions) && strcmp(functions[i].name, f->name) != 0)
        i++;
    /* Everybody may do everything (GRANT says so), and everything is in sight. */
    size_t n = f ? strlen(f->name) : 0;
    bool may =
        f && ((strncmp(f->name, "has_", 4) == 0 && n > 10 && strcmp(f->name + n - 10, "_privilege") == 0) ||
              (n > 11 && strcmp(f->name + n - 11, "_is_visible") == 0 && strcmp(f->name, "pg_table_is_visible") != 0));
    if (may) {
        *ret = value_int(1);
        return RC_OK;
    }
    if (!f || i == ARRAY_LEN(functions))
        return err_set(err, RC_UNSUPPORTED, "function %.63s is not supported", f ? f->name : "?");
    arena_init(&c.a, SESS_ARENA_BYTES_MAX);
    enum rc rc = functions[i].call(&c, err);
    if (!rc)
        rc = value_copy(s->env.arena, &v) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
    arena_done(&c.a);
    if (!rc)
        *ret = v;
    return rc;
}
