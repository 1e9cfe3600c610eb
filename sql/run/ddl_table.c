/* SPDX-License-Identifier: Apache-2.0 */
/* ddl_table.c: CREATE TABLE: columns, keys, checks; TRUNCATE. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shard/store/key.h"
#include "sql/run/ddl.h"

/* ---- columns --------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint8_t type;
} serials[] = {{"smallserial", COL_INT2}, {"serial2", COL_INT2},   {"serial", COL_INT4},
               {"serial4", COL_INT4},     {"bigserial", COL_INT8}, {"serial8", COL_INT8}};

static enum col_type serial_of(const PgQuery__TypeName *t) {
    if (t->n_names != 1 || t->n_array_bounds)
        return COL_NONE;
    for (size_t i = 0; i < ARRAY_LEN(serials); i++)
        if (strcmp(t->names[0]->string->sval, serials[i].name) == 0)
            return serials[i].type;
    return COL_NONE;
}

char *ddl_quote(struct ddl *d, const char *name) {
    struct buf b;
    char *s = NULL;
    buf_init(&b, 0);
    buf_putc(&b, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_putc(&b, '"');
        buf_putc(&b, (uint8_t)*name);
    }
    buf_putc(&b, '"');
    if (buf_cstr(&b))
        s = arena_strdup(d->a, buf_cstr(&b));
    buf_done(&b);
    return s;
}

/* SEQUENCE NAME: in the table's schema. */
static enum rc given_name(const PgQuery__DefElem *o, const struct cat_schema *schema,
                          char name[static CAT_NAME_BYTES_MAX + 1], struct err *err) {
    size_t n = o->arg && o->arg->node_case == PG_QUERY__NODE__NODE_LIST ? o->arg->list->n_items : 0;
    const char *last = n ? o->arg->list->items[n - 1]->string->sval : "";
    if (n > 1 && strcmp(o->arg->list->items[n - 2]->string->sval, schema->name) != 0)
        return err_set(err, RC_UNSUPPORTED, "an identity column's sequence is in its table's schema");
    if (!*last || strlen(last) > CAT_NAME_BYTES_MAX)
        return err_sql(err, "42622", "identifier \"%.63s...\" is too long", last);
    snprintf(name, CAT_NAME_BYTES_MAX + 1, "%s", last);
    return RC_OK;
}

/* A sequence of the column's own, and the default that asks it. */
static enum rc own_sequence(struct ddl *d, struct draft *f, struct cat_column *c, PgQuery__Node *const *option,
                            size_t options, const struct cat_schema *schema, struct err *err) {
    char name[CAT_NAME_BYTES_MAX + 1] = "";
    PgQuery__Node **other = arena_array(d->a, options + 1, sizeof *other);
    size_t others = 0;
    enum rc rc = other ? RC_OK : ddl_nomem(err);
    for (size_t i = 0; i < options && !rc; i++) {
        if (strcmp(option[i]->def_elem->defname, "sequence_name") == 0)
            rc = given_name(option[i]->def_elem, schema, name, err);
        else
            other[others++] = option[i];
    }
    if (!rc && !name[0])
        rc = ddl_free_name(d, f, f->t.name, c->name, "seq", name, err);
    if (!rc)
        rc = ddl_new_sequence(d, schema, name, c->type.type, other, others, f->t.id, c->id, &c->sequence, err);
    if (rc)
        return rc;
    char *text = ddl_qualified(d, schema->name, name);
    if (!text)
        return ddl_nomem(err);
    c->default_sql = ddl_sequence_default(d, text);
    return c->default_sql ? RC_OK : ddl_nomem(err);
}

/* schema.name, each with quotes where it wants them. */
char *ddl_qualified(struct ddl *d, const char *schema, const char *name) {
    struct buf b;
    char *s = NULL;
    buf_init(&b, 0);
    sess_quote_ident(&b, schema);
    buf_putc(&b, '.');
    sess_quote_ident(&b, name);
    if (buf_cstr(&b))
        s = arena_strdup(d->a, buf_cstr(&b));
    buf_done(&b);
    return s;
}

/* nextval('...'::regclass), with quotes doubled. */
char *ddl_sequence_default(struct ddl *d, const char *name) {
    struct buf b;
    char *s = NULL;
    buf_init(&b, 0);
    buf_puts(&b, "nextval('");
    for (; *name; name++) {
        if (*name == '\'')
            buf_putc(&b, '\'');
        buf_putc(&b, (uint8_t)*name);
    }
    buf_puts(&b, "'::regclass)");
    if (buf_cstr(&b))
        s = arena_strdup(d->a, buf_cstr(&b));
    buf_done(&b);
    return s;
}

/* A default that is nextval of a sequence and nothing else names it with its schema, so that it means the same under any search_path. */
static enum rc whole_name(struct ddl *d, const char **sql, struct err *err) {
    char name[2 * CAT_NAME_BYTES_MAX + 8];
    const struct cat_object *o = NULL;
    size_t end = sess_nextval_name(*sql, name, sizeof name);
    const char *rest = *sql + end;
    if (end == 0 || (strcmp(rest, ")") != 0 && strcmp(rest, "::regclass)") != 0 && strcmp(rest, "::text)") != 0))
        return RC_OK;
    enum rc rc = sess_relation_text(d->s, name, &o, err);
    if (rc || !o || o->kind != CAT_OBJECT_SEQUENCE)
        return rc;
    const char *schema = sess_schema_name(d->s, o->schema);
    char *whole = schema ? ddl_qualified(d, schema, o->name) : NULL;
    *sql = whole ? ddl_sequence_default(d, whole) : NULL;
    return *sql ? RC_OK : ddl_nomem(err);
}

enum rc ddl_default(struct ddl *d, const struct cat_column *c, const PgQuery__Node *node, const char **ret,
                    struct expr **ret_expr, struct err *err) {
    struct analyse_in in;
    struct expr *e;
    enum rc rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = analyse_expression(&in, node, NULL, c->type, &e, err);
    if (!rc)
        rc = ddl_deparse(d, node, ret, err);
    if (!rc)
        rc = whole_name(d, ret, err);
    if (!rc && ret_expr)
        *ret_expr = e;
    return rc;
}

enum rc draft_identity(struct ddl *d, struct draft *f, struct cat_column *c, const PgQuery__Constraint *k,
                       const struct cat_schema *schema, struct err *err) {
    if (c->type.type != COL_INT2 && c->type.type != COL_INT4 && c->type.type != COL_INT8)
        return ddl_error(d, k->location, err, "22023", "identity column type must be smallint, integer, or bigint");
    c->not_null = true;
    c->identity = k->generated_when && k->generated_when[0] == 'a' ? 'a' : 'd';
    return own_sequence(d, f, c, k->options, k->n_options, schema, err);
}

static enum rc column_constraint(struct ddl *d, struct draft *f, struct cat_column *c, const PgQuery__Constraint *k,
                                 const struct cat_schema *schema, bool *null, struct err *err) {
    switch (k->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
        if (c->not_null)
            return ddl_error(d, k->location, err, "42601",
                             "conflicting NULL/NOT NULL declarations for column \"%s\" of table \"%s\"", c->name,
                             f->t.name);
        *null = true;
        return RC_OK;
    case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
        if (*null)
            return ddl_error(d, k->location, err, "42601",
                             "conflicting NULL/NOT NULL declarations for column \"%s\" of table \"%s\"", c->name,
                             f->t.name);
        c->not_null = true;
        return RC_OK;
    case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
        if (c->default_sql)
            return ddl_error(d, k->location, err, "42601",
                             "multiple default values specified for column \"%s\" of table \"%s\"", c->name, f->t.name);
        return ddl_default(d, c, k->raw_expr, &c->default_sql, NULL, err);
    case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY:
        return draft_identity(d, f, c, k, schema, err);
    default:
        return RC_OK; /* keys and checks come when all columns are known */
    }
}

static void take_attributes(const PgQuery__ColumnDef *c);

enum rc draft_add_column(struct ddl *d, struct draft *f, const PgQuery__ColumnDef *def, const struct cat_schema *schema,
                         struct err *err) {
    struct analyse_in in;
    bool null = false;
    take_attributes(def);
    struct cat_column *c = &f->column[f->t.columns];
    CHECK(f->t.columns < f->columns_cap);
    if (strlen(def->colname) > CAT_NAME_BYTES_MAX)
        return ddl_error(d, def->location, err, "42622", "identifier \"%.63s...\" is too long", def->colname);
    enum col_type serial = serial_of(def->type_name);
    enum rc rc = ddl_analyse_in(d, &in, err);
    *c = (struct cat_column){.name = def->colname, .id = f->next_column, .not_null = def->is_not_null || serial};
    if (!rc && serial)
        c->type = col_of(serial);
    else if (!rc)
        rc = analyse_type(&in, def->type_name, &c->type, err);
    if (!rc && def->coll_clause) {
        const PgQuery__CollateClause *k = def->coll_clause;
        const char *name = k->collname[k->n_collname - 1]->string->sval;
        if (strcmp(name, "C") != 0 && strcmp(name, "POSIX") != 0 && strcmp(name, "default") != 0)
            rc = sess_unsupported(d->u->script, k->location, err,
                                  "collation \"%.40s\" is not supported: all text has collation C", name);
    }
    if (!rc && serial)
        rc = own_sequence(d, f, c, NULL, 0, schema, err);
    for (size_t i = 0; i < def->n_constraints && !rc; i++)
        rc = column_constraint(d, f, c, def->constraints[i]->constraint, schema, &null, err);
    if (!rc) {
        f->next_column++;
        f->t.columns++;
    }
    return rc;
}

/* ---- keys ----------------------------------------------------------------------------------------------------------------- */

enum rc ddl_key_of(struct ddl *d, struct draft *f, PgQuery__Node *const *column, size_t n, const char *name,
                   int32_t location, struct err *err) {
    char made[CAT_NAME_BYTES_MAX + 1];
    if (n > TABLE_KEY_MAX)
        return ddl_error(d, location, err, "54011", "cannot use more than %d columns in an index", TABLE_KEY_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *c = column[i]->string->sval;
        int place = draft_column(f, c);
        if (place < 0)
            return ddl_error(d, location, err, "42703", "column \"%.63s\" named in key does not exist", c);
        for (size_t k = 0; k < i; k++)
            if (f->key[k].col == place)
                return ddl_error(d, location, err, "42701", "column \"%.63s\" appears twice in primary key constraint",
                                 c);
        enum rc rc = key_supports(&f->column[place].type, c, err);
        if (rc)
            return rc;
        f->key[i] = (struct cat_part){.col = (uint16_t)place};
        f->column[place].not_null = true;
    }
    f->t.keys = (uint16_t)n;
    if (name && name[0]) {
        enum rc rc = ddl_name_free(d, f->t.schema, name, err);
        if (rc)
            return rc;
    } else {
        enum rc rc = ddl_free_name(d, f, f->t.name, NULL, "pkey", made, err);
        if (rc)
            return rc;
        name = made;
    }
    f->t.key_name = arena_strdup(d->a, name);
    return f->t.key_name ? RC_OK : ddl_nomem(err);
}

/* A key that nobody declared: random, so that rows spread over the tablets. */
enum rc draft_hidden_key(struct ddl *d, struct draft *f, struct err *err) {
    const char *name = "_rowid";
    for (int i = 1; draft_column(f, name) >= 0; i++)
        if (!(name = ddl_printf(d, "_rowid%d", i)))
            return ddl_nomem(err);
    f->key[0] = (struct cat_part){.col = f->t.columns};
    f->t.keys = 1;
    f->t.key_name = NULL;
    f->column[f->t.columns++] = (struct cat_column){.name = name,
                                                    .id = f->next_column++,
                                                    .type = col_of(COL_UUID),
                                                    .not_null = true,
                                                    .hidden = true,
                                                    .default_sql = "gen_random_uuid()"};
    return RC_OK;
}

/* The only column that an expression mentions, or -1; -2: it mentions several. */
static int only_column(const struct expr *e, int seen) {
    if (e->kind == EXPR_COL)
        return seen == -1 || seen == (int)e->col.col ? (int)e->col.col : -2;
    for (uint32_t i = 0; i < e->args; i++)
        if (e->arg[i])
            seen = only_column(e->arg[i], seen);
    return seen;
}

enum rc draft_add_check(struct ddl *d, struct draft *f, const PgQuery__Constraint *c, struct err *err) {
    struct analyse_in in;
    struct cat_table *t;
    struct expr *e;
    char name[CAT_NAME_BYTES_MAX + 1];
    CHECK(f->t.checks < f->checks_cap);
    struct cat_check *k = &f->check[f->t.checks];
    enum rc rc = ddl_analyse_in(d, &in, err);
    if (!rc)
        rc = draft_table(d, f, &t, err);
    if (rc)
        return rc;
    rc = analyse_expression(&in, c->raw_expr, t, col_of(COL_BOOL), &e, err);
    if (!rc && c->conname && c->conname[0]) {
        for (uint16_t i = 0; i < f->t.checks && !rc; i++)
            if (strcmp(f->check[i].name, c->conname) == 0)
                rc = ddl_error(d, c->location, err, "42710",
                               "constraint \"%.63s\" for relation \"%.63s\" already exists", c->conname, f->t.name);
        snprintf(name, sizeof name, "%s", c->conname);
    } else if (!rc) {
        int only = only_column(e, -1);
        rc = ddl_free_name(d, f, f->t.name, only >= 0 ? f->column[only].name : NULL, "check", name, err);
    }
    if (!rc)
        rc = ddl_deparse(d, c->raw_expr, &k->sql, err);
    if (!rc) {
        k->name = arena_strdup(d->a, name);
        k->validated = true;
        rc = k->name ? RC_OK : ddl_nomem(err);
    }
    if (!rc)
        f->t.checks++;
    cat_table_unref(t);
    return rc;
}

/* ---- CREATE TABLE ------------------------------------------------------------------------------------------------------------ */

static enum rc find_parent(struct ddl *d, struct draft *f, const char *name, struct err *err) {
    const struct cat_object *o;
    const char *dot = strchr(name, '.');
    char *schema = dot ? ddl_printf(d, "%.*s", (int)(dot - name), name) : NULL;
    enum rc rc = sess_relation(d->s, NULL, schema, dot ? dot + 1 : name, &o, err);
    if (rc)
        return rc;
    if (!o || o->kind != CAT_OBJECT_TABLE || o->table->kind != CAT_TABLE)
        return err_sql(err, "42P01", "table \"%.63s\" does not exist", name);
    f->parent = table_ref((struct table *)(uintptr_t)o->table->store);
    f->t.parent = o->id;
    return RC_OK;
}

/* The key of an interleaved table begins with its parent's. */
static enum rc check_parent(const struct draft *f, struct err *err) {
    const struct table *p = f->parent;
    bool ok = f->t.keys > p->n_key;
    for (uint16_t i = 0; i < p->n_key && ok; i++)
        ok = f->column[f->key[i].col].type.type == p->cols[p->key[i].col].col.type && f->key[i].desc == p->key[i].desc;
    return ok ? RC_OK
              : err_sql(err, "42P16",
                        "the primary key of an interleaved table must begin with the whole key of its parent");
}

static enum rc with_options(struct ddl *d, struct draft *f, PgQuery__Node *const *option, size_t n, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        const PgQuery__DefElem *o = option[i]->def_elem;
        if (strcmp(o->defname, "interleave_in") == 0)
            rc = find_parent(d, f, sess_def_text(o), err);
        else if (strcmp(o->defname, "placement") == 0)
            f->t.placement = sess_def_text(o);
        else if (strcmp(o->defname, "fillfactor") != 0 && strncmp(o->defname, "autovacuum_", 11) != 0 &&
                 strncmp(o->defname, "toast", 5) != 0 && strcmp(o->defname, "oids") != 0)
            rc = ddl_error(d, o->location, err, "22023", "unrecognized parameter \"%.63s\"", o->defname);
    }
    return rc;
}

static enum rc like(struct ddl *d, struct draft *f, const PgQuery__TableLikeClause *l, struct err *err) {
    enum { LIKE_COMMENTS = 1, LIKE_DEFAULTS = 8, LIKE_STATISTICS = 128, LIKE_STORAGE = 256, LIKE_COMPRESSION = 2 };
    const struct cat_object *o;
    enum rc rc = sess_relation(d->s, l->relation->catalogname, l->relation->schemaname, l->relation->relname, &o, err);
    if (rc)
        return rc;
    if (!o || o->kind != CAT_OBJECT_TABLE)
        return ddl_error(d, l->relation->location, err, "42P01", "relation \"%.63s\" does not exist",
                         l->relation->relname);
    if (l->options & ~(uint32_t)(LIKE_COMMENTS | LIKE_DEFAULTS | LIKE_STATISTICS | LIKE_STORAGE | LIKE_COMPRESSION))
        return sess_unsupported(d->u->script, l->relation->location, err,
                                "LIKE copies columns, NOT NULL, defaults and comments only");
    for (uint16_t i = 0; i < o->table->columns; i++) {
        const struct cat_column *c = &o->table->column[i];
        if (c->dropped || c->hidden)
            continue;
        if (f->t.columns == f->columns_cap)
            return err_sql(err, "54011", "too many columns");
        struct cat_column *to = &f->column[f->t.columns++];
        *to = (struct cat_column){
            .name = arena_strdup(d->a, c->name), .id = f->next_column++, .type = c->type, .not_null = c->not_null};
        if (l->options & LIKE_DEFAULTS && c->default_sql)
            to->default_sql = arena_strdup(d->a, c->default_sql);
        if (!to->name)
            return ddl_nomem(err);
    }
    return RC_OK;
}

static enum rc duplicate_column(struct ddl *d, const struct draft *f, struct err *err) {
    for (uint16_t i = 0; i < f->t.columns; i++)
        for (uint16_t k = 0; k < i; k++)
            if (strcmp(f->column[i].name, f->column[k].name) == 0)
                return ddl_error(d, -1, err, "42701", "column \"%.63s\" specified more than once", f->column[i].name);
    return RC_OK;
}

static enum rc add_columns(struct ddl *d, struct draft *f, const PgQuery__CreateStmt *c,
                           const struct cat_schema *schema, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < c->n_table_elts && !rc; i++) {
        const PgQuery__Node *n = c->table_elts[i];
        if (n->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF)
            rc = draft_add_column(d, f, n->column_def, schema, err);
        else if (n->node_case == PG_QUERY__NODE__NODE_TABLE_LIKE_CLAUSE)
            rc = like(d, f, n->table_like_clause, err);
    }
    return rc ? rc : duplicate_column(d, f, err);
}

/* All constraints, those of columns too, of one kind. */
typedef enum rc on_constraint(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, const char *column,
                              struct err *err);

static enum rc each_constraint(struct ddl *d, struct draft *f, const PgQuery__CreateStmt *c, on_constraint *on,
                               struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < c->n_table_elts && !rc; i++) {
        const PgQuery__Node *n = c->table_elts[i];
        if (n->node_case == PG_QUERY__NODE__NODE_CONSTRAINT)
            rc = on(d, f, n->constraint, NULL, err);
        for (size_t k = 0; n->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF && k < n->column_def->n_constraints && !rc;
             k++)
            rc = on(d, f, n->column_def->constraints[k]->constraint, n->column_def->colname, err);
    }
    return rc;
}

/* A column's own constraint names that column. */
static PgQuery__Node *const *columns_of(struct ddl *d, const PgQuery__Constraint *k, const char *column,
                                        size_t *ret_n) {
    if (!column) {
        *ret_n = k->n_keys;
        return k->keys;
    }
    PgQuery__Node **list = arena_alloc(d->a, sizeof *list), *n = arena_alloc(d->a, sizeof *n);
    PgQuery__String *s = arena_alloc(d->a, sizeof *s);
    if (!list || !n || !s)
        return NULL;
    pg_query__node__init(n);
    pg_query__string__init(s);
    s->sval = (char *)(uintptr_t)column;
    n->node_case = PG_QUERY__NODE__NODE_STRING;
    n->string = s;
    list[0] = n;
    *ret_n = 1;
    return list;
}

static enum rc on_primary(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, const char *column,
                          struct err *err) {
    size_t n;
    if (k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION)
        return sess_unsupported(d->u->script, k->location, err, "EXCLUDE constraints are not supported");
    if (k->contype != PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY)
        return RC_OK;
    if (f->t.keys)
        return ddl_error(d, k->location, err, "42P16", "multiple primary keys for table \"%.63s\" are not allowed",
                         f->t.name);
    PgQuery__Node *const *list = columns_of(d, k, column, &n);
    return list ? ddl_key_of(d, f, list, n, k->conname, k->location, err) : ddl_nomem(err);
}

static enum rc on_unique(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, const char *column,
                         struct err *err) {
    struct index_spec spec = {.name = k->conname && k->conname[0] ? k->conname : NULL,
                              .unique = true,
                              .constraint = true,
                              .nulls_not_distinct = k->nulls_not_distinct,
                              .include = k->including,
                              .includes = k->n_including,
                              .location = k->location};
    struct cat_index *x;
    if (k->contype != PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE)
        return RC_OK;
    spec.column = columns_of(d, k, column, &spec.columns);
    return spec.column ? draft_add_index(d, f, &spec, &x, err) : ddl_nomem(err);
}

static enum rc on_check(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, const char *column,
                        struct err *err) {
    (void)column;
    return k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK ? draft_add_check(d, f, k, err) : RC_OK;
}

static enum rc on_generated(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, const char *column,
                            struct err *err) {
    if (k->contype != PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED || !column)
        return RC_OK;
    return draft_generate(d, f, draft_column(f, column), k->raw_expr, k->location, err);
}

enum rc draft_column_generated(struct ddl *d, struct draft *f, const PgQuery__ColumnDef *c, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < c->n_constraints && !rc; i++)
        rc = on_generated(d, f, c->constraints[i]->constraint, c->colname, err);
    return rc;
}

static enum rc on_foreign(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, const char *column,
                          struct err *err) {
    size_t n;
    if (k->contype != PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN)
        return RC_OK;
    PgQuery__Node *const *list = k->fk_attrs;
    n = k->n_fk_attrs;
    if (column)
        list = columns_of(d, k, column, &n);
    return list ? draft_add_foreign(d, f, k, list, n, err) : ddl_nomem(err);
}

enum rc draft_column_foreign(struct ddl *d, struct draft *f, const PgQuery__ColumnDef *c, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < c->n_constraints && !rc; i++)
        rc = on_foreign(d, f, c->constraints[i]->constraint, c->colname, err);
    return rc;
}

/* DEFERRABLE and its like stand behind a column's constraint as constraints of their own. */
static void take_attributes(const PgQuery__ColumnDef *c) {
    PgQuery__Constraint *last = NULL;
    for (size_t i = 0; i < c->n_constraints; i++) {
        PgQuery__Constraint *k = c->constraints[i]->constraint;
        switch (k->contype) {
        case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE:
        case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_NOT_DEFERRABLE:
            if (last)
                last->deferrable = k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE;
            break;
        case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRED:
        case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_IMMEDIATE:
            if (last)
                last->initdeferred = k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRED;
            break;
        default:
            last = k;
        }
    }
}

static enum rc count_one(struct ddl *d, struct draft *f, const PgQuery__Constraint *k, const char *column,
                         struct err *err) {
    (void)d, (void)column, (void)err;
    f->indexes_cap = (uint16_t)(f->indexes_cap + (k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE));
    f->checks_cap = (uint16_t)(f->checks_cap + (k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK));
    return RC_OK;
}

static enum rc build(struct ddl *d, struct draft *f, const PgQuery__CreateStmt *c, const struct cat_schema *schema,
                     struct cat_table **ret, struct err *err) {
    enum rc rc = with_options(d, f, c->options, c->n_options, err);
    if (!rc)
        rc = add_columns(d, f, c, schema, err);
    if (!rc)
        rc = each_constraint(d, f, c, on_primary, err);
    if (!rc && f->t.keys == 0)
        rc = draft_hidden_key(d, f, err);
    if (!rc && f->parent)
        rc = check_parent(f, err);
    if (!rc)
        rc = each_constraint(d, f, c, on_generated, err);
    if (!rc)
        rc = each_constraint(d, f, c, on_unique, err);
    if (!rc)
        rc = each_constraint(d, f, c, on_check, err);
    if (!rc)
        rc = each_constraint(d, f, c, on_foreign, err);
    return rc ? rc : draft_table(d, f, ret, err);
}

static enum rc make_stores(struct ddl *d, const struct cat_table *t, struct err *err) {
    enum rc rc = ddl_make_store(d, t->store, false, err);
    if (!rc)
        rc = ddl_place(d, t->placement, t->store, err);
    for (uint16_t i = 0; i < t->indexes && !rc; i++) {
        if (t->index[i].kind != CAT_INDEX_GLOBAL)
            continue;
        rc = ddl_make_store(d, t->index[i].store, false, err);
        if (!rc)
            rc = ddl_place(d, t->placement, t->index[i].store, err);
    }
    return rc;
}

static enum rc not_ours(struct ddl *d, const PgQuery__CreateStmt *c, struct err *err) {
    if (c->relation->relpersistence && c->relation->relpersistence[0] == 't')
        return sess_unsupported(d->u->script, c->relation->location, err, "temporary tables are not supported");
    if (c->n_inh_relations || c->partbound || c->partspec)
        return sess_unsupported(d->u->script, c->relation->location, err,
                                "inheritance and declarative partitions are not supported");
    if (c->of_typename)
        return sess_unsupported(d->u->script, c->relation->location, err, "typed tables are not supported");
    return RC_OK;
}

enum rc ddl_create_table(struct ddl *d, const PgQuery__CreateStmt *c, struct err *err) {
    struct cat_schema schema;
    struct draft f, counts = {0};
    struct cat_table *t = NULL;
    uint16_t index;
    enum rc rc = not_ours(d, c, err);
    if (!rc)
        rc = sess_create_schema(d->s, c->relation, &schema, err);
    if (rc)
        return rc;
    const char *name = c->relation->relname;
    struct cat_view v = ddl_view(d);
    if (c->if_not_exists && (cat_view_relation(&v, schema.id, name) || cat_view_index(&v, schema.id, name, &index))) {
        sess_notice(d->s, "NOTICE", "42P07", "relation \"%.63s\" already exists, skipping", name);
        return RC_OK;
    }
    rc = ddl_name_free(d, schema.id, name, err);
    if (!rc)
        rc = each_constraint(d, &counts, c, count_one, err);
    if (!rc)
        rc = draft_begin(d, &f, NULL, c->n_table_elts + 64, counts.indexes_cap, counts.checks_cap, err);
    if (rc)
        return rc;
    f.t.name = name;
    f.t.schema = schema.id;
    f.t.schema_name = schema.name;
    f.t.kind = CAT_TABLE;
    f.t.owner = d->s->role;
    f.t.version = 1;
    rc = cat_change_id(d->s->change, &f.t.id, err);
    f.store_id = f.t.id;
    if (!rc)
        rc = build(d, &f, c, &schema, &t, err);
    if (!rc)
        rc = make_stores(d, t, err);
    if (!rc)
        rc = ddl_put_table(d, NULL, t, schema.id, err);
    if (!rc)
        rc = ddl_renew_parents(d, t, 0, err);
    cat_table_unref(t);
    table_unref((struct table *)(uintptr_t)f.parent);
    return rc;
}

/* ---- TRUNCATE ------------------------------------------------------------------------------------------------------------------- */

/* New, empty tables of keys in place of the old ones. */
static enum rc truncate_one(struct ddl *d, const struct cat_table *t, uint32_t schema, struct err *err) {
    struct draft f;
    struct cat_table *made = NULL;
    enum rc rc = draft_begin(d, &f, t, 0, 0, 0, err);
    uint32_t id;
    if (!rc)
        rc = cat_change_id(d->s->change, &id, err);
    if (rc)
        return rc;
    struct table *stores[TABLE_INDEXES_MAX] = {NULL};
    f.store_id = id;
    f.store_version = 1;
    for (uint16_t i = 0; i < f.t.indexes && !rc; i++) {
        if (f.index[i].kind != CAT_INDEX_GLOBAL)
            continue;
        rc = cat_change_id(d->s->change, &id, err);
        if (!rc)
            rc = draft_index_store(d, &f, &f.index[i], id, 1, &stores[i], err);
        f.index[i].store = stores[i];
    }
    if (!rc)
        rc = draft_table(d, &f, &made, err);
    if (!rc)
        rc = make_stores(d, made, err);
    if (!rc && t->store)
        rc = ddl_change_store(d, t->store, true, err);
    for (uint16_t i = 0; i < t->indexes && !rc; i++)
        if (t->index[i].kind == CAT_INDEX_GLOBAL)
            rc = ddl_change_store(d, t->index[i].store, true, err);
    if (!rc)
        rc = ddl_put_table(d, NULL, made, schema, err);
    cat_table_unref(made);
    for (int i = 0; i < TABLE_INDEXES_MAX; i++)
        table_unref(stores[i]);
    return rc;
}

static enum rc has_children(struct ddl *d, uint32_t id, bool *ret, struct err *err) {
    struct cat_view v = ddl_view(d);
    struct cat_list l;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, d->s->database, &l, err);
    if (rc)
        return rc;
    *ret = false;
    for (size_t i = 0; i < l.n; i++)
        *ret = *ret || l.v[i]->table->parent == id;
    cat_list_done(&l);
    return RC_OK;
}

static enum rc restart_sequences(struct ddl *d, uint32_t table, struct err *err) {
    struct cat_view v = ddl_view(d);
    struct cat_list l;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_SEQUENCE, d->s->database, &l, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < l.n && !rc; i++)
        if (l.v[i]->sequence.owner_table == table)
            rc = cat_sequence_set(d->s->e->catalog, l.v[i], l.v[i]->sequence.start, false, d->s->deadline, err);
    cat_list_done(&l);
    return rc;
}

/* Tables to be emptied, by id, with references. */
struct emptied {
    struct cat_object **v;
    size_t n, cap;
};

static enum rc emptied_add(struct ddl *d, struct emptied *e, const struct cat_object *o, struct err *err) {
    for (size_t i = 0; i < e->n; i++)
        if (e->v[i]->id == o->id)
            return RC_OK;
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 8;
        struct cat_object **v = arena_array(d->a, cap, sizeof *v);
        if (!v)
            return ddl_nomem(err);
        if (e->n)
            memcpy(v, e->v, e->n * sizeof *v);
        e->v = v;
        e->cap = cap;
    }
    e->v[e->n++] = cat_object_ref((struct cat_object *)(uintptr_t)o);
    return RC_OK;
}

/* Whoever refers to one of them must be among them. */
static enum rc emptied_whole(struct ddl *d, struct emptied *e, bool cascade, struct err *err) {
    struct cat_view v = ddl_view(d);
    struct cat_list l;
    enum rc rc = cat_view_list(&v, CAT_OBJECT_TABLE, d->s->database, &l, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < e->n && !rc; i++)
        for (size_t k = 0; k < l.n && !rc; k++) {
            bool refers = false, there = false;
            for (uint16_t j = 0; j < l.v[k]->table->foreign_keys; j++)
                refers = refers || l.v[k]->table->foreign_key[j].table == e->v[i]->id;
            for (size_t j = 0; j < e->n; j++)
                there = there || e->v[j]->id == l.v[k]->id;
            if (!refers || there)
                continue;
            if (cascade) {
                sess_notice(d->s, "NOTICE", "00000", "truncate cascades to table \"%.63s\"", l.v[k]->name);
                rc = emptied_add(d, e, l.v[k], err);
                continue;
            }
            rc = err_sql(err, "0A000", "cannot truncate a table referenced in a foreign key constraint");
            if (err) {
                err_detail(err, "Table \"%.63s\" references \"%.63s\".", l.v[k]->name, e->v[i]->name);
                err_hint(err, "Truncate table \"%.63s\" at the same time, or use TRUNCATE ... CASCADE.", l.v[k]->name);
            }
        }
    cat_list_done(&l);
    return rc;
}

enum rc ddl_truncate(struct ddl *d, const PgQuery__TruncateStmt *x, struct err *err) {
    struct emptied e = {0};
    enum rc rc = RC_OK;
    for (size_t i = 0; i < x->n_relations && !rc; i++) {
        const PgQuery__RangeVar *r = x->relations[i]->range_var;
        const struct cat_object *o;
        rc = sess_relation(d->s, r->catalogname, r->schemaname, r->relname, &o, err);
        if (!rc && !o)
            rc = ddl_error(d, -1, err, "42P01", "relation \"%.63s\" does not exist", r->relname);
        else if (!rc && (o->kind != CAT_OBJECT_TABLE || o->table->kind != CAT_TABLE))
            rc = err_sql(err, "42809", "\"%.63s\" is not a table", r->relname);
        if (!rc)
            rc = emptied_add(d, &e, o, err);
    }
    if (!rc)
        rc = emptied_whole(d, &e, x->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE, err);
    for (size_t i = 0; i < e.n && !rc; i++) {
        const struct cat_table *t = e.v[i]->table;
        bool children;
        rc = has_children(d, t->id, &children, err);
        if (!rc && (children || t->parent))
            rc = sess_unsupported(d->u->script, x->relations[i < x->n_relations ? i : 0]->range_var->location, err,
                                  "TRUNCATE of interleaved tables is not supported: use DELETE");
        if (!rc)
            rc = truncate_one(d, t, e.v[i]->schema, err);
        if (!rc && x->restart_seqs)
            rc = restart_sequences(d, t->id, err);
    }
    for (size_t i = 0; i < e.n; i++)
        cat_object_unref(e.v[i]);
    return rc;
}
