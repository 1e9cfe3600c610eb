/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign.c: foreign keys are kept.
 *
 * While a statement writes rows, what they say about foreign keys is noted: a key that must be in the table referred to, and a key
 * that is gone there. When all is written, in the same transaction:
 *
 *     1. keys that are gone: RESTRICT looks for rows that refer to them; CASCADE, SET NULL and SET DEFAULT write the rows that do.
 *        Those statements note keys as every other does, until there is nothing left to do;
 *     2. then what must hold now: a key that was written is there, a key that is gone is not referred to (NO ACTION). What is
 *        deferred is kept for the commit.
 *
 * All of it is SQL of our own, which reads under the transaction's locks: the row referred to, or the place where it is not, is
 * locked until the commit, and so are the rows that refer, or the place where there are none. So no one else can slip in between,
 * with an index or without one.
 *
 * A check asks for many keys at once where a key is one column; only if that does not come out are they asked one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/run/foreign.h"

enum { BATCH = 64, SIZES = 3, BYTES_MIN = 16 << 20 };
static const uint16_t sizes[SIZES] = {1, 8, BATCH};

enum fact {
    FACT_WRITTEN, /* a row refers to the key */
    FACT_GONE,    /* the key's row was deleted */
    FACT_MOVED    /* it got another key */
};

struct link {
    struct link *next;
    const struct cat_table *child, *parent; /* references */
    const struct cat_foreign_key *key;      /* the child's */
};

struct note {
    struct note *next;
    struct map_node node;
    struct link *link;
    enum fact fact;
    struct value *key, *to; /* to: MOVED */
    size_t bytes;
    uint8_t *image; /* the key as bytes, to find it by */
};

struct notes {
    struct note *first, **last;
};

struct foreign_queue {
    struct arena a;
    struct map seen; /* notes of this statement */
    struct notes acts, checks;
    struct link *links;
    bool busy;    /* statements of our own are run: they only note */
    bool waiting; /* whoever began it runs it later */
    /* what waits for the commit */
    struct arena deferred_arena;
    struct notes deferred;
    struct map deferred_seen;
    /* SET CONSTRAINTS, the latest first; name NULL: all of them */
    struct set_mode {
        struct set_mode *next;
        const char *name;
        bool deferred;
    } * modes;
};

/* ---- which keys a statement may touch -------------------------------------------------------------------------------- */

static bool sets_any(const struct plan *p, size_t part, const uint16_t *col, uint16_t n) {
    for (uint16_t i = 0; i < n; i++)
        if (plan_may_set(p, part, col[i]))
            return true;
    return false;
}

static enum rc add_link(struct foreign_links *f, const struct cat_table *child, const struct cat_table *parent,
                        uint16_t key, bool out, struct err *err) {
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 4;
        struct foreign_link *grown = realloc(f->link, cap * sizeof *grown);
        if (!grown)
            return err_set(err, RC_NOMEM, "out of memory for foreign keys");
        f->link = grown;
        f->cap = cap;
    }
    f->link[f->n++] = (struct foreign_link){cat_table_ref(child), cat_table_ref(parent), key, out};
    return RC_OK;
}

/* May some part of the plan write a row that says something of the key, on the one side or the other? */
static bool concerns(const struct plan *p, const struct cat_table *child, const struct cat_foreign_key *key, bool out) {
    for (size_t i = 0; i < plan_writes(p); i++) {
        enum query_kind kind = plan_write_kind(p, i);
        uint32_t id = plan_write_table(p, i)->id;
        if (out && id == child->id && (kind == QUERY_INSERT || sets_any(p, i, key->col, key->cols)))
            return true;
        if (!out && id == key->table && (kind == QUERY_DELETE || sets_any(p, i, key->ref, key->cols)))
            return true;
    }
    return false;
}

enum rc foreign_links_of(struct sess *s, const struct plan *p, struct foreign_links **ret, struct err *err) {
    struct cat_view v = sess_view(s);
    struct cat_list l;
    *ret = NULL;
    if (plan_writes(p) == 0)
        return RC_OK;
    struct foreign_links *f = calloc(1, sizeof *f);
    enum rc rc = f ? cat_view_list(&v, CAT_OBJECT_TABLE, s->database, &l, err)
                   : err_set(err, RC_NOMEM, "out of memory for foreign keys");
    if (rc) {
        free(f);
        return rc;
    }
    for (size_t i = 0; i < l.n && !rc; i++) {
        const struct cat_table *c = l.v[i]->table;
        for (uint16_t k = 0; k < c->foreign_keys && !rc; k++) {
            const struct cat_object *parent = cat_view_get(&v, c->foreign_key[k].table);
            if (!parent || parent->kind != CAT_OBJECT_TABLE)
                continue;
            if (concerns(p, c, &c->foreign_key[k], true))
                rc = add_link(f, c, parent->table, k, true, err);
            if (!rc && concerns(p, c, &c->foreign_key[k], false))
                rc = add_link(f, c, parent->table, k, false, err);
        }
    }
    cat_list_done(&l);
    if (rc || f->n == 0) {
        foreign_links_free(f);
        return rc;
    }
    *ret = f;
    return RC_OK;
}

void foreign_links_free(struct foreign_links *f) {
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++) {
        cat_table_unref(f->link[i].child);
        cat_table_unref(f->link[i].parent);
    }
    free(f->link);
    free(f);
}

/* ---- notes ----------------------------------------------------------------------------------------------------------- */

static void notes_clear(struct notes *n) {
    n->first = NULL;
    n->last = &n->first;
}

static enum rc queue_of(struct sess *s, struct foreign_queue **ret, struct err *err) {
    struct foreign_queue *q = s->foreign;
    if (!q) {
        s->foreign = q = calloc(1, sizeof *q);
        if (!q)
            return err_set(err, RC_NOMEM, "out of memory for foreign keys");
        arena_init(&q->a, s->work_bytes > BYTES_MIN ? s->work_bytes : BYTES_MIN);
        arena_init(&q->deferred_arena, s->work_bytes > BYTES_MIN ? s->work_bytes : BYTES_MIN);
        map_init(&q->seen);
        map_init(&q->deferred_seen);
        notes_clear(&q->acts);
        notes_clear(&q->checks);
        notes_clear(&q->deferred);
    }
    *ret = q;
    return RC_OK;
}

static void forget_links(struct foreign_queue *q) {
    for (struct link *l = q->links; l;) {
        struct link *next = l->next;
        cat_table_unref(l->child);
        cat_table_unref(l->parent);
        free(l);
        l = next;
    }
    q->links = NULL;
}

static void forget_statement(struct foreign_queue *q) {
    map_done(&q->seen);
    map_init(&q->seen);
    notes_clear(&q->acts);
    notes_clear(&q->checks);
    arena_reset(&q->a);
    q->busy = q->waiting = false;
    if (!q->deferred.first)
        forget_links(q);
}

void foreign_begin(struct sess *s) {
    if (s->foreign && !s->foreign->busy && !s->foreign->waiting)
        forget_statement(s->foreign);
}

enum rc foreign_wait(struct sess *s, bool wait, struct err *err) {
    struct foreign_queue *q;
    if (!wait && !s->foreign)
        return RC_OK;
    enum rc rc = queue_of(s, &q, err);
    if (!rc && wait)
        forget_statement(q);
    if (!rc)
        q->waiting = wait;
    return rc;
}

void foreign_end(struct sess *s) {
    struct foreign_queue *q = s->foreign;
    if (!q)
        return;
    s->foreign = NULL;
    map_done(&q->seen);
    map_done(&q->deferred_seen);
    arena_done(&q->a);
    arena_done(&q->deferred_arena);
    forget_links(q);
    free(q);
}

static struct link *link_of(struct foreign_queue *q, const struct foreign_link *f, struct err *err) {
    const struct cat_foreign_key *key = &f->child->foreign_key[f->key];
    for (struct link *l = q->links; l; l = l->next)
        if (l->key == key)
            return l;
    struct link *l = calloc(1, sizeof *l);
    if (!l) {
        (void)err_set(err, RC_NOMEM, "out of memory for foreign keys");
        return NULL;
    }
    *l = (struct link){q->links, cat_table_ref(f->child), cat_table_ref(f->parent), key};
    return q->links = l;
}

static void put_image(struct buf *b, const struct value *v) {
    buf_putc(b, (uint8_t)v->kind);
    if (v->kind == VALUE_INT) {
        buf_put_u64le(b, (uint64_t)v->i);
    } else if (v->kind == VALUE_REAL) {
        buf_put(b, &v->r, sizeof v->r);
    } else if (v->kind != VALUE_NULL) {
        buf_put_u32le(b, (uint32_t)v->bytes);
        buf_put(b, v->p, v->bytes);
    }
}

static struct value *copy_key(struct arena *a, const struct value *row, const uint16_t *col, uint16_t n) {
    struct value *v = arena_array(a, n + 1u, sizeof *v);
    for (uint16_t i = 0; v && i < n; i++) {
        v[i] = row[col[i]];
        if (value_copy(a, &v[i]))
            return NULL;
    }
    return v;
}

/* Into a list, unless it is there. */
static enum rc note_add(struct arena *a, struct map *seen, struct notes *to, const struct note *n, struct err *err) {
    uint64_t hash = hash_bytes(n->image, n->bytes, (uint64_t)n->fact ^ (uintptr_t)n->link);
    for (struct map_node *m = map_first(seen, hash); m; m = map_next(m)) {
        const struct note *x = container_of(m, struct note, node);
        if (x->link == n->link && x->fact == n->fact && x->bytes == n->bytes &&
            memcmp(x->image, n->image, n->bytes) == 0)
            return RC_OK;
    }
    struct note *made = arena_new(a, struct note);
    uint8_t *image = arena_alloc(a, n->bytes + 1);
    uint16_t cols = n->link->key->cols;
    uint16_t all[TABLE_KEY_MAX];
    for (uint16_t i = 0; i < cols; i++)
        all[i] = i;
    if (!made || !image)
        return err_set(err, RC_LIMIT, "too many rows with foreign keys in one statement");
    *made = *n;
    memcpy(image, n->image, n->bytes);
    made->image = image;
    made->next = NULL;
    made->key = copy_key(a, n->key, all, cols);
    made->to = n->to ? copy_key(a, n->to, all, cols) : NULL;
    if (!made->key || (n->to && !made->to))
        return err_set(err, RC_LIMIT, "too many rows with foreign keys in one statement");
    map_put(seen, &made->node, hash);
    *to->last = made;
    to->last = &made->next;
    return RC_OK;
}

static bool any_null(const struct value *row, const uint16_t *col, uint16_t n) {
    for (uint16_t i = 0; i < n; i++)
        if (row[col[i]].kind == VALUE_NULL)
            return true;
    return false;
}

static bool same_cols(const struct value *a, const struct value *b, const uint16_t *col, uint16_t n) {
    for (uint16_t i = 0; i < n; i++)
        if (!value_same(&a[col[i]], &b[col[i]]))
            return false;
    return true;
}

static enum rc note_row(struct foreign_queue *q, const struct foreign_link *f, const struct value *old,
                        const struct value *new, struct err *err) {
    const struct cat_foreign_key *k = &f->child->foreign_key[f->key];
    const uint16_t *col = f->out ? k->col : k->ref;
    const struct value *row = f->out ? new : old;
    struct value key[TABLE_KEY_MAX], to[TABLE_KEY_MAX];
    struct note n = {.fact = f->out ? FACT_WRITTEN : new ? FACT_MOVED : FACT_GONE};
    struct buf b;
    if (!row || any_null(row, col, k->cols) || (old && new &&same_cols(old, new, col, k->cols)))
        return RC_OK;
    if (!(n.link = link_of(q, f, err)))
        return RC_NOMEM;
    buf_init(&b, 0);
    for (uint16_t i = 0; i < k->cols; i++) {
        key[i] = row[col[i]];
        put_image(&b, &key[i]);
        if (n.fact == FACT_MOVED)
            to[i] = new[col[i]];
    }
    n.key = key;
    n.to = n.fact == FACT_MOVED ? to : NULL;
    n.image = b.data;
    n.bytes = b.len;
    char action = n.fact == FACT_GONE ? k->on_delete : k->on_update;
    bool check = n.fact == FACT_WRITTEN || action == 'a';
    enum rc rc = buf_rc(&b) ? err_set(err, RC_NOMEM, "out of memory for foreign keys")
                            : note_add(&q->a, &q->seen, check ? &q->checks : &q->acts, &n, err);
    buf_done(&b);
    return rc;
}

static enum rc on_row(void *ctx, const struct cat_table *t, const struct value *old, const struct value *new,
                      struct err *err) {
    struct sess_foreign *w = ctx;
    struct foreign_queue *q;
    enum rc rc = queue_of(w->s, &q, err);
    for (size_t i = 0; i < w->links->n && !rc; i++) {
        const struct foreign_link *f = &w->links->link[i];
        if ((f->out ? f->child : f->parent)->id == t->id)
            rc = note_row(q, f, old, new, err);
    }
    return rc;
}

/* ---- statements of our own ------------------------------------------------------------------------------------------- */

static void put_relation(struct buf *b, const struct cat_table *t) {
    sess_quote_ident(b, t->schema_name);
    buf_putc(b, '.');
    sess_quote_ident(b, t->name);
}

/* "a = $1 AND b = $2", or "a IN ($1, $2, ...)" */
static void put_where(struct buf *b, const struct cat_table *t, const uint16_t *col, uint16_t n, uint16_t keys,
                      unsigned first) {
    buf_puts(b, " WHERE ");
    for (uint16_t i = 0; keys == 1 && i < n; i++) {
        buf_puts(b, i ? " AND " : "");
        sess_quote_ident(b, t->column[col[i]].name);
        buf_printf(b, " = $%u", first + i);
    }
    if (keys == 1)
        return;
    sess_quote_ident(b, t->column[col[0]].name);
    for (uint16_t i = 0; i < keys; i++)
        buf_printf(b, "%s$%u", i ? ", " : " IN (", first + i);
    buf_putc(b, ')');
}

/* A value of a column as a parameter of the column's type without its limits. */
static enum rc param_of(struct sess *s, struct arena *a, const struct col *c, const struct value *v, struct value *ret,
                        struct err *err) {
    struct buf b;
    *ret = *v;
    if (!col_numeric_is_int(c, NULL) || v->kind == VALUE_NULL)
        return RC_OK;
    buf_init(&b, 0);
    enum rc rc = type_print(&s->types, c, v, &b, err);
    if (!rc) {
        *ret = value_text(b.data, b.len);
        rc = value_copy(a, ret) ? err_set(err, RC_NOMEM, "out of memory for foreign keys") : RC_OK;
    }
    buf_done(&b);
    return rc;
}

struct ask {
    struct sess *s;
    struct buf sql;
    uint32_t oid[BATCH + 2 * TABLE_KEY_MAX];
    struct value param[BATCH + 2 * TABLE_KEY_MAX];
    size_t params;
    struct arena a;
    int64_t number; /* the answer's first column */
    uint64_t rows;
};

static void ask_begin(struct ask *q, struct sess *s) {
    q->s = s;
    q->params = 0;
    q->rows = 0;
    q->number = 0;
    buf_init(&q->sql, 0);
    arena_init(&q->a, 0);
}

static enum rc ask_key(struct ask *q, const struct cat_table *t, const uint16_t *col, uint16_t n,
                       const struct value *key, struct err *err) {
    enum rc rc = RC_OK;
    for (uint16_t i = 0; i < n && !rc; i++) {
        CHECK(q->params < ARRAY_LEN(q->param));
        q->oid[q->params] = type_oid(&t->column[col[i]].type);
        rc = param_of(q->s, &q->a, &t->column[col[i]].type, &key[i], &q->param[q->params], err);
        q->params++;
    }
    return rc;
}

static enum rc ask_row(void *ctx, const struct value *v, struct err *err) {
    struct ask *q = ctx;
    (void)err;
    q->rows++;
    if (v[0].kind == VALUE_INT)
        q->number = v[0].i;
    return RC_OK;
}

static enum rc ask_end(struct ask *q, struct err *err) {
    struct sess *s = q->s;
    struct sess_script *script = NULL;
    struct stmt *st = NULL;
    struct sess_portal *p = NULL;
    uint64_t rows;
    bool more;
    enum rc rc = buf_cstr(&q->sql) ? script_new(s, buf_cstr(&q->sql), q->sql.len, &script, err)
                                   : err_set(err, RC_NOMEM, "out of memory for foreign keys");
    if (!rc)
        rc = stmt_new(s, script, 0, q->oid, q->params, &st, err);
    script_unref(script);
    if (!rc)
        rc = portal_new(s, st, q->param, &p, err);
    if (!rc)
        rc = portal_open(p, false, err);
    if (!rc)
        rc = portal_pull(p, 0, ask_row, q, &rows, &more, err);
    portal_close(p);
    stmt_unref(st);
    buf_done(&q->sql);
    arena_done(&q->a);
    return rc;
}

/* How many notes from n on can be asked for at once, and by a statement of which size. */
static size_t batch_of(const struct note *n, uint16_t *ret_size) {
    size_t k = 0;
    for (const struct note *x = n; x && x->link == n->link && x->fact == n->fact && k < BATCH; x = x->next)
        k++;
    if (n->link->key->cols > 1)
        k = 1;
    for (size_t i = SIZES; i-- > 0;)
        if (k <= sizes[i])
            *ret_size = sizes[i];
    return k;
}

/* Keys of k notes, the last one again up to size. The values are those of the side that noted them. */
static enum rc ask_keys(struct ask *q, const struct note *n, size_t k, uint16_t size, struct err *err) {
    const struct link *l = n->link;
    const struct cat_table *t = n->fact == FACT_WRITTEN ? l->child : l->parent;
    const uint16_t *col = n->fact == FACT_WRITTEN ? l->key->col : l->key->ref;
    enum rc rc = RC_OK;
    for (uint16_t i = 0; i < size && !rc; i++) {
        rc = ask_key(q, t, col, l->key->cols, n->key, err);
        if (i + 1u < k)
            n = n->next;
    }
    return rc;
}

/* How many of the keys are in the table referred to. */
static enum rc count_parents(struct sess *s, const struct note *n, size_t k, uint16_t size, uint64_t *ret,
                             struct err *err) {
    struct ask q;
    ask_begin(&q, s);
    buf_puts(&q.sql, "SELECT count(*) FROM ");
    put_relation(&q.sql, n->link->parent);
    put_where(&q.sql, n->link->parent, n->link->key->ref, n->link->key->cols, size, 1);
    enum rc rc = ask_keys(&q, n, k, size, err), end = ask_end(&q, rc ? NULL : err);
    *ret = (uint64_t)q.number;
    return rc ? rc : end;
}

/* Does any row refer to one of the keys? */
static enum rc any_child(struct sess *s, const struct note *n, size_t k, uint16_t size, bool *ret, struct err *err) {
    struct ask q;
    ask_begin(&q, s);
    buf_puts(&q.sql, "SELECT 1 FROM ");
    put_relation(&q.sql, n->link->child);
    put_where(&q.sql, n->link->child, n->link->key->col, n->link->key->cols, size, 1);
    buf_puts(&q.sql, " LIMIT 1");
    enum rc rc = ask_keys(&q, n, k, size, err), end = ask_end(&q, rc ? NULL : err);
    *ret = q.rows > 0;
    return rc ? rc : end;
}

/* ---- errors ---------------------------------------------------------------------------------------------------------- */

static void put_key(struct sess *s, struct buf *b, const struct cat_table *t, const uint16_t *col, uint16_t n,
                    const struct cat_table *typed, const uint16_t *typed_col, const struct value *key) {
    buf_puts(b, "Key (");
    for (uint16_t i = 0; i < n; i++)
        buf_printf(b, "%s%s", i ? ", " : "", t->column[col[i]].name);
    buf_puts(b, ")=(");
    for (uint16_t i = 0; i < n; i++) {
        buf_puts(b, i ? ", " : "");
        if (type_print(&s->types, &typed->column[typed_col[i]].type, &key[i], b, NULL))
            buf_putc(b, '?');
    }
    buf_putc(b, ')');
}

static enum rc violated(struct sess *s, const struct note *n, struct err *err) {
    const struct link *l = n->link;
    const struct cat_foreign_key *k = l->key;
    struct buf b;
    enum rc rc;
    buf_init(&b, 0);
    if (n->fact == FACT_WRITTEN) {
        rc = err_sql(err, "23503", "insert or update on table \"%s\" violates foreign key constraint \"%s\"",
                     l->child->name, k->name);
        put_key(s, &b, l->child, k->col, k->cols, l->child, k->col, n->key);
        buf_printf(&b, " is not present in table \"%s\".", l->parent->name);
    } else {
        rc = err_sql(err, "23503",
                     "update or delete on table \"%s\" violates foreign key constraint \"%s\" on table \"%s\"",
                     l->parent->name, k->name, l->child->name);
        put_key(s, &b, l->parent, k->ref, k->cols, l->parent, k->ref, n->key);
        buf_printf(&b, " is still referenced from table \"%s\".", l->child->name);
    }
    if (err && buf_cstr(&b))
        err_detail(err, "%s", buf_cstr(&b));
    buf_done(&b);
    err_about(err, ERR_SCHEMA, l->child->schema_name);
    err_about(err, ERR_TABLE, l->child->name);
    err_about(err, ERR_CONSTRAINT, k->name);
    return rc;
}

/* ---- checks ---------------------------------------------------------------------------------------------------------- */

/* Rows that refer to a key that is not there? late: what was noted may be no more. */
static enum rc check_one(struct sess *s, const struct note *n, struct err *err) {
    uint64_t parents = 0;
    bool children = false;
    enum rc rc = count_parents(s, n, 1, 1, &parents, err);
    if (!rc && parents == 0)
        rc = any_child(s, n, 1, 1, &children, err);
    return rc || !children ? rc : violated(s, n, err);
}

static enum rc check_batch(struct sess *s, const struct note *n, size_t k, uint16_t size, struct err *err) {
    enum rc rc;
    if (n->fact == FACT_WRITTEN) {
        uint64_t parents = 0;
        rc = count_parents(s, n, k, size, &parents, err);
        if (rc || parents == k)
            return rc;
    } else {
        bool children = false;
        rc = any_child(s, n, k, size, &children, err);
        if (rc || !children)
            return rc;
    }
    for (; k > 0 && !rc; k--, n = n->next)
        rc = check_one(s, n, err);
    return rc;
}

static enum rc check_all(struct sess *s, const struct note *n, struct err *err) {
    enum rc rc = RC_OK;
    while (n && !rc) {
        uint16_t size;
        size_t k = batch_of(n, &size);
        rc = check_batch(s, n, k, size, err);
        for (; k > 0; k--)
            n = n->next;
    }
    return rc;
}

static bool is_deferred(const struct foreign_queue *q, const struct cat_foreign_key *k) {
    for (const struct set_mode *m = q->modes; k->deferrable && m; m = m->next)
        if (!m->name || strcmp(m->name, k->name) == 0)
            return m->deferred;
    return k->deferred;
}

/* ---- actions --------------------------------------------------------------------------------------------------------- */

static enum rc act(struct sess *s, const struct note *n, size_t k, uint16_t size, char action, struct err *err) {
    const struct link *l = n->link;
    const struct cat_foreign_key *f = l->key;
    struct ask q;
    unsigned first = 1;
    enum rc rc = RC_OK;
    ask_begin(&q, s);
    if (action == 'c' && n->fact == FACT_GONE) {
        buf_puts(&q.sql, "DELETE FROM ");
        put_relation(&q.sql, l->child);
    } else {
        buf_puts(&q.sql, "UPDATE ");
        put_relation(&q.sql, l->child);
        for (uint16_t i = 0; i < f->cols; i++) {
            buf_puts(&q.sql, i ? ", " : " SET ");
            sess_quote_ident(&q.sql, l->child->column[f->col[i]].name);
            if (action == 'c')
                buf_printf(&q.sql, " = $%u", first++);
            else
                buf_puts(&q.sql, action == 'n' ? " = NULL" : " = DEFAULT");
        }
        if (action == 'c')
            rc = ask_key(&q, l->parent, f->ref, f->cols, n->to, err);
    }
    put_where(&q.sql, l->child, f->col, f->cols, size, first);
    if (!rc)
        rc = ask_keys(&q, n, k, size, err);
    enum rc end = ask_end(&q, rc ? NULL : err);
    return rc ? rc : end;
}

/* Rows that refer to a key which itself is another one's new key must go first, or they would go on with those that come. */
static bool must_wait(const struct note *n) {
    for (const struct note *x = n->next; x; x = x->next) {
        bool same = x->link == n->link && x->fact == FACT_MOVED;
        for (uint16_t i = 0; same && i < n->link->key->cols; i++)
            same = value_same(&x->key[i], &n->to[i]);
        if (same)
            return true;
    }
    return false;
}

static enum rc restricted(struct sess *s, const struct note *n, size_t k, uint16_t size, struct err *err) {
    bool children = false;
    enum rc rc = any_child(s, n, k, size, &children, err);
    if (rc || !children)
        return rc;
    for (; k > 0 && !rc; k--, n = n->next) {
        rc = any_child(s, n, 1, 1, &children, err);
        if (!rc && children)
            rc = violated(s, n, err);
    }
    return rc;
}

/* The first note's action, or that of as many as go with it; *ret: how many. 0: it stands behind others now. */
static enum rc act_first(struct sess *s, struct foreign_queue *q, size_t waited, size_t *ret, struct err *err) {
    struct note *n = q->acts.first;
    const struct cat_foreign_key *f = n->link->key;
    char action = n->fact == FACT_GONE ? f->on_delete : f->on_update;
    uint16_t size = 1;
    *ret = 1;
    if (n->fact == FACT_MOVED && action == 'c') {
        if (!must_wait(n))
            return act(s, n, 1, 1, action, err);
        if (waited > 10000)
            return err_set(err, RC_UNSUPPORTED,
                           "ON UPDATE CASCADE of keys that change places in one statement is not supported");
        q->acts.first = n->next;
        n->next = NULL;
        *q->acts.last = n;
        q->acts.last = &n->next;
        *ret = 0;
        return RC_OK;
    }
    *ret = batch_of(n, &size);
    if (action == 'r')
        return restricted(s, n, *ret, size, err);
    enum rc rc = act(s, n, *ret, size, action, err);
    /* Rows whose default is the key that is gone stayed as they were. */
    for (size_t i = 0; i < *ret && !rc && action == 'd'; i++, n = n->next) {
        struct note *again = arena_new(&q->a, struct note);
        if (!again)
            return err_set(err, RC_NOMEM, "out of memory for foreign keys");
        *again = *n;
        again->next = NULL;
        *q->checks.last = again;
        q->checks.last = &again->next;
    }
    return rc;
}

static enum rc run(struct sess *s, struct foreign_queue *q, struct err *err) {
    enum rc rc = RC_OK;
    size_t waited = 0;
    while (q->acts.first && !rc) {
        size_t n = 0;
        rc = act_first(s, q, waited, &n, err);
        waited = n ? 0 : waited + 1;
        for (; n > 0 && !rc; n--) {
            map_del(&q->seen, &q->acts.first->node); /* it may come again */
            if (!(q->acts.first = q->acts.first->next))
                q->acts.last = &q->acts.first;
        }
    }
    struct notes now;
    notes_clear(&now);
    for (struct note *x = rc ? NULL : q->checks.first, *next; x && !rc; x = next) {
        next = x->next;
        if (is_deferred(q, x->link->key)) {
            rc = note_add(&q->deferred_arena, &q->deferred_seen, &q->deferred, x, err);
            continue;
        }
        x->next = NULL;
        *now.last = x;
        now.last = &x->next;
    }
    return rc ? rc : check_all(s, now.first, err);
}

enum rc foreign_run(struct sess *s, struct err *err) {
    struct foreign_queue *q = s->foreign;
    if (!q || q->busy || q->waiting || (!q->acts.first && !q->checks.first))
        return RC_OK;
    q->busy = true;
    enum rc rc = run(s, q, err);
    forget_statement(q);
    return rc;
}

static enum rc on_end(void *ctx, struct err *err) {
    return foreign_run(((struct sess_foreign *)ctx)->s, err);
}

struct exec_watch foreign_watch(struct sess_foreign *w, struct sess *s, const struct planned *p) {
    *w = (struct sess_foreign){s, p->foreign};
    return p->foreign ? (struct exec_watch){on_row, on_end, w} : (struct exec_watch){0};
}

/* ---- what is deferred ------------------------------------------------------------------------------------------------ */

enum rc foreign_commit(struct sess *s, struct err *err) {
    struct foreign_queue *q = s->foreign;
    if (!q || !q->deferred.first || q->busy)
        return RC_OK;
    q->busy = true;
    enum rc rc = check_all(s, q->deferred.first, err);
    notes_clear(&q->deferred);
    map_done(&q->deferred_seen);
    map_init(&q->deferred_seen);
    arena_reset(&q->deferred_arena);
    q->modes = NULL;
    forget_statement(q);
    return rc;
}

/* A deferrable key of that name; *ret_known: there is one of that name at all. */
static enum rc find_key(struct sess *s, const char *name, bool *ret_known, bool *ret_deferrable, struct err *err) {
    struct cat_view v = sess_view(s);
    struct cat_list l;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, s->database, &l, err);
    *ret_known = *ret_deferrable = false;
    for (size_t i = 0; !rc && i < l.n; i++) {
        const struct cat_table *t = l.v[i]->table;
        for (uint16_t k = 0; k < t->foreign_keys; k++)
            if (strcmp(t->foreign_key[k].name, name) == 0) {
                *ret_known = true;
                *ret_deferrable = *ret_deferrable || t->foreign_key[k].deferrable;
            }
        for (uint16_t k = 0; k < t->checks; k++)
            *ret_known = *ret_known || strcmp(t->check[k].name, name) == 0;
        for (uint16_t k = 0; k < t->indexes; k++)
            *ret_known = *ret_known || (t->index[k].constraint && strcmp(t->index[k].name, name) == 0);
        *ret_known = *ret_known || (t->key_name && strcmp(t->key_name, name) == 0);
    }
    if (!rc)
        cat_list_done(&l);
    return rc;
}

static enum rc set_mode(struct foreign_queue *q, const char *name, bool deferred, struct err *err) {
    struct set_mode *m = arena_new(&q->deferred_arena, struct set_mode);
    char *copy = name ? arena_strdup(&q->deferred_arena, name) : NULL;
    if (!m || (name && !copy))
        return err_set(err, RC_NOMEM, "out of memory for SET CONSTRAINTS");
    *m = (struct set_mode){name ? q->modes : NULL, copy, deferred};
    q->modes = m;
    return RC_OK;
}

enum rc foreign_set_constraints(struct sess *s, const PgQuery__ConstraintsSetStmt *x, struct err *err) {
    struct foreign_queue *q;
    if (!sess_in_block(s)) {
        sess_notice(s, "WARNING", "25P01", "SET CONSTRAINTS can only be used in transaction blocks");
        return RC_OK;
    }
    enum rc rc = queue_of(s, &q, err);
    if (!rc && x->n_constraints == 0)
        rc = set_mode(q, NULL, x->deferred, err);
    for (size_t i = 0; i < x->n_constraints && !rc; i++) {
        const char *name = x->constraints[i]->range_var->relname;
        bool known, deferrable;
        rc = find_key(s, name, &known, &deferrable, err);
        if (!rc && !known)
            rc = err_sql(err, "42704", "constraint \"%.63s\" does not exist", name);
        else if (!rc && !deferrable)
            rc = err_sql(err, "42809", "constraint \"%.63s\" is not deferrable", name);
        if (!rc)
            rc = set_mode(q, name, x->deferred, err);
    }
    if (rc || x->deferred || !q->deferred.first)
        return rc;
    /* What was deferred and is so no more is checked now. */
    struct notes now, later;
    notes_clear(&now);
    notes_clear(&later);
    for (struct note *n = q->deferred.first, *next; n; n = next) {
        struct notes *to = is_deferred(q, n->link->key) ? &later : &now;
        next = n->next;
        n->next = NULL;
        *to->last = n;
        to->last = &n->next;
    }
    rc = sess_txn(s, NULL, err);
    q->busy = true;
    if (!rc)
        rc = check_all(s, now.first, err);
    q->busy = false;
    q->deferred = later;
    if (!later.first)
        q->deferred.last = &q->deferred.first;
    return rc;
}
