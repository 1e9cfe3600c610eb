/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ddl_foreign.c: FOREIGN KEY: made, checked against the rows that are there, taken away.
 *
 * A key belongs to the table whose rows refer. Both tables get a new version with it: a gateway that deletes rows of the table
 * referred to must know who refers to them (foreign.c).
 */
#include <stdio.h>
#include <string.h>

#include "sql/run/ddl.h"

/* ---- the other side -------------------------------------------------------------------------------------------------- */

static bool same_set(const uint16_t *a, uint16_t n, const struct cat_part *part, uint16_t parts) {
    if (n != parts)
        return false;
    for (uint16_t i = 0; i < parts; i++) {
        bool there = false;
        for (uint16_t k = 0; k < n; k++)
            there = there || a[k] == part[i].col;
        if (!there)
            return false;
    }
    return true;
}

bool ddl_key_rests_on(const struct cat_foreign_key *k, const struct cat_table *parent, const struct cat_index *x) {
    if (x)
        return x->unique && !x->where_sql && same_set(k->ref, k->cols, x->part, x->parts);
    return parent->key_name && same_set(k->ref, k->cols, parent->key, parent->keys);
}

static bool is_unique(const struct cat_table *t, const struct cat_foreign_key *k) {
    if (ddl_key_rests_on(k, t, NULL))
        return true;
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].state == CAT_PUBLIC && ddl_key_rests_on(k, t, &t->index[i]))
            return true;
    return false;
}

/* A type's family of types that are equal without more ado. */
static int family(const struct col *c) {
    switch (c->type) {
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
        return COL_INT8;
    case COL_TEXT:
    case COL_VARCHAR:
        return COL_TEXT;
    default:
        return c->type;
    }
}

/* Types that PostgreSQL compares by way of a cast, which keys cannot be looked up by; 0: of no such kind. */
static int kin(const struct col *c) {
    switch (c->type) {
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
    case COL_NUMERIC:
    case COL_FLOAT4:
    case COL_FLOAT8:
        return 1;
    case COL_TEXT:
    case COL_VARCHAR:
    case COL_CHAR:
        return 2;
    case COL_DATE:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        return 3;
    default:
        return 0;
    }
}

/* ---- making ---------------------------------------------------------------------------------------------------------- */

static enum rc columns_of(struct ddl *d, const struct cat_table *t, PgQuery__Node *const *name, size_t n,
                          const PgQuery__Constraint *k, uint16_t *ret, struct err *err) {
    for (size_t i = 0; i < n; i++) {
        int place = cat_column_find(t, name[i]->string->sval);
        if (place < 0 || t->column[place].hidden)
            return ddl_error(d, -1, err, "42703",
                             "column \"%.63s\" referenced in foreign key constraint does not exist",
                             name[i]->string->sval);
        for (size_t j = 0; j < i; j++)
            if (ret[j] == place)
                return ddl_error(d, k->location, err, "42701",
                                 "column \"%.63s\" appears twice in foreign key constraint", name[i]->string->sval);
        ret[i] = (uint16_t)place;
    }
    return RC_OK;
}

static enum rc not_ours(struct ddl *d, const PgQuery__Constraint *k, size_t cols, struct err *err) {
    const struct sess_script *sc = d->u->script;
    if (k->fk_matchtype && k->fk_matchtype[0] == 'f' && cols > 1)
        return sess_unsupported(sc, k->location, err, "MATCH FULL of several columns is not supported");
    if (k->fk_matchtype && k->fk_matchtype[0] == 'p')
        return sess_unsupported(sc, k->location, err, "MATCH PARTIAL not yet implemented");
    if (k->n_fk_del_set_cols)
        return sess_unsupported(sc, k->location, err, "ON DELETE SET of some of the columns is not supported");
    if (k->skip_validation)
        return sess_unsupported(sc, k->location, err, "NOT VALID is not supported");
    return RC_OK;
}

static char action_of(const char *text) {
    return text && text[0] ? text[0] : 'a';
}

static enum rc types_match(struct ddl *d, const struct cat_table *from, const struct cat_table *to,
                           const struct cat_foreign_key *f, int32_t location, struct err *err) {
    for (uint16_t i = 0; i < f->cols; i++) {
        const struct cat_column *a = &from->column[f->col[i]], *b = &to->column[f->ref[i]];
        char x[COL_NAME_BYTES], y[COL_NAME_BYTES];
        if (family(&a->type) == family(&b->type) && (a->type.type != COL_ARRAY || a->type.elem == b->type.elem))
            continue;
        if (kin(&a->type) && kin(&a->type) == kin(&b->type))
            return sess_unsupported(d->u->script, location, err,
                                    "a foreign key between types %s and %s is not supported", col_name(&a->type, x),
                                    col_name(&b->type, y));
        enum rc rc =
            ddl_error(d, location, err, "42804", "foreign key constraint \"%.63s\" cannot be implemented", f->name);
        if (err)
            err_detail(err, "Key columns \"%s\" and \"%s\" are of incompatible types: %s and %s.", a->name, b->name,
                       col_name(&a->type, x), col_name(&b->type, y));
        return rc;
    }
    return RC_OK;
}

/* The columns' names with '_' between them, for the constraint's own. */
static char *joined(struct ddl *d, const struct cat_table *t, const uint16_t *col, uint16_t n) {
    char *all = ddl_printf(d, "%s", t->column[col[0]].name);
    for (uint16_t i = 1; all && i < n; i++)
        all = ddl_printf(d, "%s_%s", all, t->column[col[i]].name);
    return all;
}

static enum rc name_it(struct ddl *d, const struct draft *f, const PgQuery__Constraint *k, struct cat_foreign_key *to,
                       struct err *err) {
    char name[CAT_NAME_BYTES_MAX + 1];
    enum rc rc = RC_OK;
    if (k->conname && k->conname[0]) {
        if (strlen(k->conname) > CAT_NAME_BYTES_MAX)
            return err_sql(err, "42622", "identifier \"%.63s...\" is too long", k->conname);
        bool taken = f->t.key_name && strcmp(f->t.key_name, k->conname) == 0;
        for (uint16_t i = 0; i < f->t.foreign_keys; i++)
            taken = taken || strcmp(f->t.foreign_key[i].name, k->conname) == 0;
        for (uint16_t i = 0; i < f->t.checks; i++)
            taken = taken || strcmp(f->check[i].name, k->conname) == 0;
        if (taken)
            return ddl_error(d, -1, err, "42710", "constraint \"%.63s\" for relation \"%.63s\" already exists",
                             k->conname, f->t.name);
        snprintf(name, sizeof name, "%s", k->conname);
    } else {
        char *columns = joined(d, &f->t, to->col, to->cols);
        rc = columns ? ddl_free_name(d, f, f->t.name, columns, "fkey", name, err) : ddl_nomem(err);
    }
    if (!rc && !(to->name = arena_strdup(d->a, name)))
        rc = ddl_nomem(err);
    return rc;
}

/* The table referred to: maybe the one that is being made. */
static enum rc find_parent(struct ddl *d, struct draft *f, const PgQuery__RangeVar *v, const struct cat_table **ret,
                           struct err *err) {
    const struct cat_object *o;
    enum rc rc = sess_relation(d->s, v->catalogname, v->schemaname, v->relname, &o, err);
    bool named = strcmp(v->relname, f->t.name) == 0 &&
                 (!v->schemaname || !v->schemaname[0] || strcmp(v->schemaname, f->t.schema_name) == 0);
    if (!rc && (o ? o->id == f->t.id : named))
        *ret = &f->t;
    else if (!rc && !o)
        rc = ddl_error(d, -1, err, "42P01", "relation \"%.63s\" does not exist", v->relname);
    else if (!rc && (o->kind != CAT_OBJECT_TABLE || o->table->kind != CAT_TABLE))
        rc = ddl_error(d, -1, err, "42809", "referenced relation \"%.63s\" is not a table", v->relname);
    else if (!rc)
        *ret = o->table;
    return rc;
}

enum rc draft_add_foreign(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, PgQuery__Node *const *column,
                          size_t columns, struct err *err) {
    struct cat_foreign_key *all = arena_array(d->a, f->t.foreign_keys + 1u, sizeof *all);
    uint16_t *place = arena_array(d->a, 2 * TABLE_KEY_MAX, sizeof *place), *ref = place ? place + TABLE_KEY_MAX : NULL;
    const struct cat_table *parent;
    size_t refs = k->n_pk_attrs;
    if (!all || !place)
        return ddl_nomem(err);
    if (f->t.foreign_keys >= DDL_FOREIGN_MAX)
        return err_sql(err, "54000", "tables can have at most %d foreign keys", DDL_FOREIGN_MAX);
    if (columns > TABLE_KEY_MAX || refs > TABLE_KEY_MAX)
        return ddl_error(d, k->location, err, "54011", "cannot have more than %d keys in a foreign key", TABLE_KEY_MAX);
    enum rc rc = not_ours(d, k, columns, err);
    if (!rc)
        rc = find_parent(d, f, k->pktable, &parent, err);
    if (!rc)
        rc = columns_of(d, &f->t, column, columns, k, place, err);
    if (!rc && refs)
        rc = columns_of(d, parent, k->pk_attrs, refs, k, ref, err);
    if (!rc && !refs && !parent->key_name)
        rc = ddl_error(d, -1, err, "42704", "there is no primary key for referenced table \"%.63s\"", parent->name);
    if (rc)
        return rc;
    for (; !k->n_pk_attrs && refs < parent->keys; refs++)
        ref[refs] = parent->key[refs].col;
    if (refs != columns)
        return ddl_error(d, -1, err, "42830", "number of referencing and referenced columns for foreign key disagree");
    struct cat_foreign_key *to = &all[f->t.foreign_keys];
    *to = (struct cat_foreign_key){.table = parent->id,
                                   .cols = (uint16_t)columns,
                                   .col = place,
                                   .ref = ref,
                                   .on_update = action_of(k->fk_upd_action),
                                   .on_delete = action_of(k->fk_del_action),
                                   .deferrable = k->deferrable || k->initdeferred,
                                   .deferred = k->initdeferred};
    if (f->t.foreign_keys)
        memcpy(all, f->t.foreign_key, f->t.foreign_keys * sizeof *all);
    rc = name_it(d, f, k, to, err);
    if (!rc && !is_unique(parent, to))
        rc =
            ddl_error(d, -1, err, "42830",
                      "there is no unique constraint matching given keys for referenced table \"%.63s\"", parent->name);
    if (!rc)
        rc = types_match(d, &f->t, parent, to, k->location, err);
    if (!rc) {
        f->t.foreign_key = all;
        f->t.foreign_keys++;
    }
    return rc;
}

/* ---- rows that are there --------------------------------------------------------------------------------------------- */

struct orphan {
    struct ddl *d;
    const struct cat_table *child;
    const struct cat_foreign_key *key;
    struct buf text;
    bool found;
};

static enum rc note_orphan(void *ctx, const struct value *v, struct err *err) {
    struct orphan *o = ctx;
    (void)err;
    o->found = true;
    buf_puts(&o->text, "Key (");
    for (uint16_t i = 0; i < o->key->cols; i++)
        buf_printf(&o->text, "%s%s", i ? ", " : "", o->child->column[o->key->col[i]].name);
    buf_puts(&o->text, ")=(");
    for (uint16_t i = 0; i < o->key->cols; i++) {
        buf_puts(&o->text, i ? ", " : "");
        if (type_print(&o->d->s->types, &o->child->column[o->key->col[i]].type, &v[i], &o->text, NULL))
            buf_putc(&o->text, '?');
    }
    buf_putc(&o->text, ')');
    return RC_OK;
}

static void put_name(struct buf *b, const struct cat_table *t) {
    sess_quote_ident(b, t->schema_name);
    buf_putc(b, '.');
    sess_quote_ident(b, t->name);
}

enum rc ddl_check_foreign(struct ddl *d, const struct cat_table *child, const struct cat_foreign_key *k,
                          struct err *err) {
    struct cat_view v = ddl_view(d);
    const struct cat_object *o = cat_view_get(&v, k->table);
    struct orphan orphan = {.d = d, .child = child, .key = k};
    struct buf b;
    if (!o || o->kind != CAT_OBJECT_TABLE)
        return err_set(err, RC_INTERNAL, "the table that \"%s\" refers to is gone", k->name);
    const struct cat_table *parent = cat_table_ref(o->table);
    buf_init(&b, 0);
    buf_init(&orphan.text, 0);
    for (uint16_t i = 0; i < k->cols; i++) {
        buf_puts(&b, i ? ", c." : "SELECT c.");
        sess_quote_ident(&b, child->column[k->col[i]].name);
    }
    buf_puts(&b, " FROM ");
    put_name(&b, child);
    buf_puts(&b, " c LEFT JOIN ");
    put_name(&b, parent);
    for (uint16_t i = 0; i < k->cols; i++) {
        buf_puts(&b, i ? " AND c." : " p ON c.");
        sess_quote_ident(&b, child->column[k->col[i]].name);
        buf_puts(&b, " = p.");
        sess_quote_ident(&b, parent->column[k->ref[i]].name);
    }
    buf_puts(&b, " WHERE p.");
    sess_quote_ident(&b, parent->column[k->ref[0]].name);
    buf_puts(&b, " IS NULL");
    for (uint16_t i = 0; i < k->cols; i++) {
        buf_puts(&b, " AND c.");
        sess_quote_ident(&b, child->column[k->col[i]].name);
        buf_puts(&b, " IS NOT NULL");
    }
    buf_puts(&b, " LIMIT 1");
    enum rc rc = buf_cstr(&b) ? ddl_lock_table(d, child->store, err) : ddl_nomem(err);
    if (!rc && parent->id != child->id)
        rc = ddl_lock_table(d, parent->store, err);
    if (!rc)
        rc = sess_run_text(d->s, buf_cstr(&b), note_orphan, &orphan, NULL, err);
    if (!rc && orphan.found) {
        rc = err_sql(err, "23503", "insert or update on table \"%s\" violates foreign key constraint \"%s\"",
                     child->name, k->name);
        if (err && buf_cstr(&orphan.text))
            err_detail(err, "%s is not present in table \"%s\".", buf_cstr(&orphan.text), parent->name);
        err_about(err, ERR_SCHEMA, child->schema_name);
        err_about(err, ERR_TABLE, child->name);
        err_about(err, ERR_CONSTRAINT, k->name);
    }
    buf_done(&b);
    buf_done(&orphan.text);
    cat_table_unref(parent);
    return rc;
}

enum rc ddl_renew_parents(struct ddl *d, const struct cat_table *t, uint16_t first, struct err *err) {
    enum rc rc = RC_OK;
    for (uint16_t i = first; i < t->foreign_keys && !rc; i++) {
        bool before = t->foreign_key[i].table == t->id;
        for (uint16_t k = first; k < i; k++)
            before = before || t->foreign_key[k].table == t->foreign_key[i].table;
        if (!before)
            rc = ddl_renew_table(d, t->foreign_key[i].table, err);
    }
    return rc;
}

/* ---- who refers ------------------------------------------------------------------------------------------------------ */

enum rc ddl_referring(struct ddl *d, const struct cat_table *t, int column, const struct cat_index *index, bool primary,
                      struct cat_object **ret, const struct cat_foreign_key **ret_key, struct err *err) {
    struct cat_view v = ddl_view(d);
    struct cat_list l;
    *ret = NULL;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, d->s->database, &l, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < l.n && !*ret; i++) {
        const struct cat_table *c = l.v[i]->table;
        for (uint16_t k = 0; k < c->foreign_keys && !*ret; k++) {
            const struct cat_foreign_key *f = &c->foreign_key[k];
            bool hit = f->table == t->id && c->id != t->id && column < 0 && !index && !primary;
            for (uint16_t j = 0; f->table == t->id && column >= 0 && j < f->cols; j++)
                hit = hit || f->ref[j] == column;
            if (f->table == t->id && (index || primary))
                hit = ddl_key_rests_on(f, t, index);
            if (!hit)
                continue;
            *ret = cat_object_ref(l.v[i]);
            *ret_key = f;
        }
    }
    cat_list_done(&l);
    return RC_OK;
}

enum rc ddl_drop_foreign(struct ddl *d, const struct cat_object *o, const char *name, struct err *err) {
    const struct cat_table *from = cat_table_ref(o->table);
    uint32_t schema = o->schema;
    struct cat_table *t = NULL;
    struct draft f;
    bool tell = !ddl_is_new_store(d->s, from->store->id);
    enum rc rc = draft_begin(d, &f, from, 0, 0, 0, err);
    struct cat_foreign_key *left = arena_array(d->a, from->foreign_keys + 1u, sizeof *left);
    if (!rc && !left)
        rc = ddl_nomem(err);
    if (!rc) {
        f.t.foreign_keys = 0;
        for (uint16_t i = 0; i < from->foreign_keys; i++)
            if (strcmp(from->foreign_key[i].name, name) != 0)
                left[f.t.foreign_keys++] = from->foreign_key[i];
        f.t.foreign_key = left;
        f.store_version += tell;
        rc = draft_table(d, &f, &t, err);
    }
    if (!rc && tell)
        rc = ddl_change_store(d, t->store, false, err);
    if (!rc)
        rc = ddl_put_table(d, NULL, t, schema, err);
    cat_table_unref(t);
    cat_table_unref(from);
    return rc;
}

enum rc ddl_unrefer(struct ddl *d, const struct cat_table *t, int column, const struct cat_index *index,
                    const char *what, const char *name, bool cascade, struct err *err) {
    for (;;) {
        struct cat_object *child;
        const struct cat_foreign_key *k;
        enum rc rc = ddl_referring(d, t, column, index, false, &child, &k, err);
        if (rc || !child)
            return rc;
        if (!cascade) {
            rc = err_sql(err, "2BP01", "cannot drop %s %.63s%s%.63s because other objects depend on it", what, name,
                         column >= 0 ? " of table "
                         : index     ? " on table "
                                     : "",
                         column >= 0 || index ? t->name : "");
            if (err) {
                err_detail(err, "constraint %.63s on table %.63s depends on %s %.63s", k->name, child->name, what,
                           name);
                err_hint(err, "Use DROP ... CASCADE to drop the dependent objects too.");
            }
        } else if (child->id == t->id) {
            rc = sess_unsupported(d->u->script, -1, err,
                                  "dropping what the table's own foreign key refers to is not supported");
        } else {
            sess_notice(d->s, "NOTICE", "00000", "drop cascades to constraint %.63s on table %.63s", k->name,
                        child->name);
            rc = ddl_drop_foreign(d, child, k->name, err);
        }
        cat_object_unref(child);
        if (rc)
            return rc;
    }
}
