/* SPDX-License-Identifier: Apache-2.0 */
/* ddl_sequence.c: CREATE and ALTER SEQUENCE, and the sequences of serial and identity columns. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sql/run/ddl.h"

/* As many numbers as a store takes at once, unless the sequence says: one transaction for all of them. */
enum { CACHE_DEFAULT = 32 };

static void limits_of(uint8_t type, int64_t *min, int64_t *max) {
    *min = type == COL_INT2 ? INT16_MIN : type == COL_INT4 ? INT32_MIN : INT64_MIN;
    *max = type == COL_INT2 ? INT16_MAX : type == COL_INT4 ? INT32_MAX : INT64_MAX;
}

struct wish {
    bool min, max, start, restart, owned;
    int64_t restart_with;
    bool restart_given;
    const PgQuery__DefElem *owner;
};

static enum rc option_int(struct ddl *d, const PgQuery__DefElem *o, int64_t *ret, struct err *err) {
    return sess_def_int(o, ret) ? RC_OK
                                : ddl_error(d, o->location, err, "42601", "%s requires a numeric value", o->defname);
}

static enum rc take_type(struct ddl *d, const PgQuery__DefElem *o, struct cat_sequence *s, struct err *err) {
    struct analyse_in in;
    struct col c;
    enum rc rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = analyse_type(&in, o->arg->type_name, &c, err);
    if (!rc && c.type != COL_INT2 && c.type != COL_INT4 && c.type != COL_INT8)
        rc = ddl_error(d, o->location, err, "22023", "sequence type must be smallint, integer, or bigint");
    if (!rc)
        s->type = c.type;
    return rc;
}

static enum rc take(struct ddl *d, const PgQuery__DefElem *o, struct cat_sequence *s, struct wish *w, struct err *err) {
    const char *name = o->defname;
    if (strcmp(name, "as") == 0)
        return take_type(d, o, s, err);
    if (strcmp(name, "increment") == 0)
        return option_int(d, o, &s->increment, err);
    if (strcmp(name, "minvalue") == 0) {
        w->min = o->arg != NULL;
        return o->arg ? option_int(d, o, &s->min, err) : RC_OK;
    }
    if (strcmp(name, "maxvalue") == 0) {
        w->max = o->arg != NULL;
        return o->arg ? option_int(d, o, &s->max, err) : RC_OK;
    }
    if (strcmp(name, "start") == 0) {
        w->start = true;
        return option_int(d, o, &s->start, err);
    }
    if (strcmp(name, "restart") == 0) {
        w->restart = true;
        w->restart_given = o->arg != NULL;
        return o->arg ? option_int(d, o, &w->restart_with, err) : RC_OK;
    }
    if (strcmp(name, "cache") == 0)
        return option_int(d, o, &s->cache, err);
    if (strcmp(name, "cycle") == 0) {
        s->cycle = !sess_def_is_false(o);
        return RC_OK;
    }
    if (strcmp(name, "owned_by") == 0) {
        w->owner = o;
        return RC_OK;
    }
    return sess_unsupported(d->u->script, o->location, err, "the sequence option \"%.40s\" is not supported", name);
}

static enum rc sequence_options(struct ddl *d, PgQuery__Node *const *option, size_t n, bool fresh,
                                struct cat_sequence *s, struct wish *w, struct err *err) {
    int64_t least, most;
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n && !rc; i++)
        rc = take(d, option[i]->def_elem, s, w, err);
    if (rc)
        return rc;
    limits_of(s->type, &least, &most);
    if (s->increment == 0)
        return err_sql(err, "22023", "INCREMENT must not be zero");
    if (fresh && !w->max)
        s->max = s->increment > 0 ? most : -1;
    if (fresh && !w->min)
        s->min = s->increment > 0 ? 1 : least;
    if (fresh && !w->start)
        s->start = s->increment > 0 ? s->min : s->max;
    if (s->max > most || s->max < least)
        return err_sql(err, "22023", "MAXVALUE (%" PRId64 ") is out of range for sequence data type", s->max);
    if (s->min > most || s->min < least)
        return err_sql(err, "22023", "MINVALUE (%" PRId64 ") is out of range for sequence data type", s->min);
    if (s->min >= s->max)
        return err_sql(err, "22023", "MINVALUE (%" PRId64 ") must be less than MAXVALUE (%" PRId64 ")", s->min, s->max);
    if (s->start < s->min)
        return err_sql(err, "22023", "START value (%" PRId64 ") cannot be less than MINVALUE (%" PRId64 ")", s->start,
                       s->min);
    if (s->start > s->max)
        return err_sql(err, "22023", "START value (%" PRId64 ") cannot be greater than MAXVALUE (%" PRId64 ")",
                       s->start, s->max);
    if (s->cache < 1)
        return err_sql(err, "22023", "CACHE (%" PRId64 ") must be greater than zero", s->cache);
    return RC_OK;
}

/* OWNED BY table.column, or NONE. */
static enum rc owned_by(struct ddl *d, const PgQuery__DefElem *o, struct cat_sequence *s, struct err *err) {
    const struct cat_object *t;
    const PgQuery__Node *n = o->arg;
    size_t k = n->list->n_items;
    s->owner_table = s->owner_column = 0;
    if (k < 2)
        return RC_OK;
    const char *table = n->list->items[k - 2]->string->sval, *column = n->list->items[k - 1]->string->sval;
    enum rc rc = sess_relation(d->s, NULL, k > 2 ? n->list->items[k - 3]->string->sval : NULL, table, &t, err);
    if (rc)
        return rc;
    if (!t || t->kind != CAT_OBJECT_TABLE)
        return err_sql(err, "42P01", "relation \"%.63s\" does not exist", table);
    int place = cat_column_find(t->table, column);
    if (place < 0)
        return err_sql(err, "42703", "column \"%.63s\" of relation \"%.63s\" does not exist", column, table);
    s->owner_table = t->id;
    s->owner_column = t->table->column[place].id;
    return RC_OK;
}

enum rc ddl_new_sequence(struct ddl *d, const struct cat_schema *schema, const char *name, enum col_type type,
                         PgQuery__Node *const *option, size_t options, uint32_t owner_table, uint32_t owner_column,
                         uint32_t *ret_id, struct err *err) {
    struct cat_object o = {
        .kind = CAT_OBJECT_SEQUENCE, .database = d->s->database, .schema = schema->id, .owner = d->s->role};
    struct wish w = {0};
    o.sequence = (struct cat_sequence){.increment = 1, .cache = CACHE_DEFAULT, .type = (uint8_t)type};
    enum rc rc = ddl_name_free(d, schema->id, name, err);
    if (!rc)
        rc = sequence_options(d, option, options, true, &o.sequence, &w, err);
    o.sequence.owner_table = owner_table;
    o.sequence.owner_column = owner_column;
    if (!rc && w.owner)
        rc = owned_by(d, w.owner, &o.sequence, err);
    if (!rc)
        rc = cat_change_id(d->s->change, &o.id, err);
    if (rc)
        return rc;
    memcpy(o.name, name, strlen(name) + 1);
    *ret_id = o.id;
    return ddl_put(d, &o, err);
}

enum rc ddl_create_sequence(struct ddl *d, const PgQuery__CreateSeqStmt *c, struct err *err) {
    struct cat_schema schema;
    const struct cat_object *o;
    uint32_t id;
    enum rc rc = sess_create_schema(d->s, c->sequence, &schema, err);
    if (rc)
        return rc;
    struct cat_view v = ddl_view(d);
    o = cat_view_relation(&v, schema.id, c->sequence->relname);
    if (o && c->if_not_exists) {
        sess_notice(d->s, "NOTICE", "42P07", "relation \"%.63s\" already exists, skipping", c->sequence->relname);
        return RC_OK;
    }
    return ddl_new_sequence(d, &schema, c->sequence->relname, COL_INT8, c->options, c->n_options, 0, 0, &id, err);
}

enum rc ddl_alter_sequence(struct ddl *d, const PgQuery__AlterSeqStmt *c, struct err *err) {
    const struct cat_object *was;
    struct wish w = {0};
    enum rc rc =
        sess_relation(d->s, c->sequence->catalogname, c->sequence->schemaname, c->sequence->relname, &was, err);
    if (rc)
        return rc;
    if (!was && c->missing_ok) {
        sess_notice(d->s, "NOTICE", "00000", "relation \"%.63s\" does not exist, skipping", c->sequence->relname);
        return RC_OK;
    }
    if (!was)
        return err_sql(err, "42P01", "relation \"%.63s\" does not exist", c->sequence->relname);
    if (was->kind != CAT_OBJECT_SEQUENCE)
        return err_sql(err, "42809", "\"%.63s\" is not a sequence", c->sequence->relname);
    struct cat_object o = *was;
    rc = sequence_options(d, c->options, c->n_options, false, &o.sequence, &w, err);
    if (!rc && w.owner)
        rc = owned_by(d, w.owner, &o.sequence, err);
    if (!rc)
        rc = ddl_put(d, &o, err);
    if (!rc && w.restart)
        rc = cat_sequence_set(d->s->e->catalog, &o, w.restart_given ? w.restart_with : o.sequence.start, false,
                              d->s->deadline, err);
    return rc;
}
