/* SPDX-License-Identifier: Apache-2.0 */
/*
 * from.c: FROM: which relations there are, and what names of columns mean.
 *
 * Columns of a join are those of its sides; USING and NATURAL merge two into one. References go through to the base: an EXPR_COL
 * never names a join, and the merged column of a FULL JOIN is a COALESCE of both wherever it stands.
 */
#include <string.h>

#include "sql/analyse/internal.h"

/* ---- relations ----------------------------------------------------------------------------------------------------- */

struct rel *rel_new(struct scope *s, enum rel_kind kind, const char *alias, uint32_t cols) {
    struct an *an = s->an;
    struct query *q = s->q;
    if (q->rels >= AN_FROM_MAX) {
        fail(an, -1, "54000", "more than %d relations in one query", AN_FROM_MAX);
        return NULL;
    }
    struct rel *r = an_new(an, 1, sizeof *r);
    if (!r || !an_grow(an, (void **)&q->rel, q->rels, &s->rels_cap, sizeof *q->rel))
        return NULL;
    r->kind = kind;
    r->number = q->rels;
    r->alias = alias;
    r->cols = cols;
    r->col = an_new(an, (size_t)cols + 1, sizeof *r->col);
    if (!r->col)
        return NULL;
    q->rel[q->rels++] = r;
    return r;
}

bool ns_add(struct scope *s, struct rel *r, const char *schema, bool columns, bool name) {
    if (!an_grow(s->an, (void **)&s->ns.item, s->ns.n, &s->ns.cap, sizeof *s->ns.item))
        return false;
    s->ns.item[s->ns.n++] = (struct ns_item){.rel = r,
                                             .name = r->alias,
                                             .schema = schema,
                                             .columns_visible = columns,
                                             .name_visible = name,
                                             .lateral_ok = true};
    return true;
}

static bool ns_append(struct scope *s, const struct ns_item *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (!an_grow(s->an, (void **)&s->ns.item, s->ns.n, &s->ns.cap, sizeof *s->ns.item))
            return false;
        s->ns.item[s->ns.n++] = from[i];
    }
    return true;
}

/* Column names of an alias: FROM t AS a (x, y). */
static bool alias_columns(struct scope *s, struct rel *r, const PQ(Alias) * a, const char *what) {
    uint32_t at = 0, have = 0;
    if (!a || !a->n_colnames)
        return true;
    for (uint32_t i = 0; i < r->cols; i++)
        have += !r->col[i].hidden;
    if (a->n_colnames > have)
        return fail(s->an, -1, "42P10", "%s \"%s\" has %u columns available but %zu columns specified", what, r->alias,
                    have, a->n_colnames);
    for (size_t i = 0; i < a->n_colnames; i++, at++) {
        while (r->col[at].hidden)
            at++;
        r->col[at].name = node_string(a->colnames[i]);
    }
    return true;
}

static bool index_conditions(struct scope *s, struct rel *r) {
    const struct cat_table *t = r->table;
    for (uint16_t i = 0; i < t->indexes && r->kind == REL_TABLE; i++) {
        const struct cat_index *x = &t->index[i];
        if (!x->where_sql || x->kind != CAT_INDEX_GLOBAL || x->state != CAT_PUBLIC)
            continue;
        if (!r->index_where && !(r->index_where = an_new(s->an, t->indexes, sizeof *r->index_where)))
            return false;
        if (!(r->index_where[i] = catalog_expression(s, r, x->where_sql, PLACE_INDEX_WHERE, true)))
            return false;
    }
    return true;
}

struct rel *table_rel(struct scope *s, const PQ(RangeVar) * v, const struct cat_table *t) {
    const char *alias = v && v->alias ? v->alias->aliasname : t->name;
    struct rel *r = rel_new(s, t->kind == CAT_SYSTEM ? REL_CATALOG : REL_TABLE, alias, t->columns);
    if (!r)
        return NULL;
    r->table = t;
    for (uint16_t i = 0; i < t->columns; i++) {
        const struct cat_column *c = &t->column[i];
        r->col[i] =
            (struct rel_col){.name = c->dropped ? "" : c->name, .type = c->type, .hidden = c->hidden || c->dropped};
    }
    return index_conditions(s, r) && alias_columns(s, r, v ? v->alias : NULL, "table") ? r : NULL;
}

struct rel *query_rel(struct scope *s, enum rel_kind kind, const char *alias, struct query *q) {
    uint32_t n = 0, at = 0;
    bool dml = q->kind != QUERY_SELECT;
    const struct target *t = dml ? q->returning : q->target;
    uint32_t targets = dml ? q->returnings : q->targets;
    for (uint32_t i = 0; i < targets; i++)
        n += !t[i].junk;
    struct rel *r = rel_new(s, kind, alias, n);
    if (!r)
        return NULL;
    r->query = q;
    for (uint32_t i = 0; i < targets; i++)
        if (!t[i].junk)
            r->col[at++] = (struct rel_col){.name = t[i].name, .type = t[i].expr->type};
    return r;
}

/* ---- tables of the catalog ------------------------------------------------------------------------------------------- */

bool table_keep(struct an *an, const struct cat_table *t) {
    for (size_t i = 0; i < an->tables; i++)
        if (an->table[i] == t) {
            cat_table_unref(t);
            return true;
        }
    bool ok =
        an->tables < AN_TABLES_MAX || fail(an, -1, "54000", "a statement over more than %d tables", AN_TABLES_MAX);
    if (!ok || !an_grow(an, (void **)&an->table, an->tables, &an->tables_cap, sizeof(const struct cat_table *))) {
        cat_table_unref(t);
        return false;
    }
    an->table[an->tables++] = t;
    return true;
}

static bool table_look(struct an *an, uint32_t schema, const char *name, const struct cat_table **ret) {
    struct cat_source *c = an->in->catalog;
    struct err err;
    enum rc rc = c->ops->table(c, schema, name, ret, &err);
    if (!rc)
        return true;
    an->rc = rc;
    *an->err = err;
    return false;
}

bool schema_id(struct an *an, const char *name, uint32_t *ret) {
    struct cat_source *c = an->in->catalog;
    struct cat_schema found;
    struct err err;
    enum rc rc = c->ops->schema(c, name, &found, &err);
    if (rc) {
        an->rc = rc;
        *an->err = err;
        return false;
    }
    *ret = found.id;
    return true;
}

/* pg_catalog is looked through first, unless the path names it. */
bool search_path(struct an *an, uint32_t **ret, size_t *ret_n) {
    const struct analyse_in *in = an->in;
    uint32_t system;
    if (!schema_id(an, "pg_catalog", &system))
        return false;
    uint32_t *path = an_new(an, in->search_paths + 1, sizeof *path);
    if (!path)
        return false;
    bool there = system == 0;
    for (size_t i = 0; i < in->search_paths; i++)
        there = there || in->search_path[i] == system;
    size_t n = 0;
    if (!there)
        path[n++] = system;
    for (size_t i = 0; i < in->search_paths; i++)
        path[n++] = in->search_path[i];
    *ret = path;
    *ret_n = n;
    return true;
}

static bool table_find(struct an *an, const PQ(RangeVar) * v, const struct cat_table **ret) {
    *ret = NULL;
    if (v->catalogname && *v->catalogname)
        return unsupported(an, v->location, "cross-database references are not implemented: \"%s.%s.%s\"",
                           v->catalogname, v->schemaname, v->relname);
    if (v->schemaname && *v->schemaname) {
        uint32_t schema;
        if (!schema_id(an, v->schemaname, &schema))
            return false;
        return schema == 0 || table_look(an, schema, v->relname, ret);
    }
    uint32_t *path;
    size_t n;
    if (!search_path(an, &path, &n))
        return false;
    for (size_t i = 0; i < n && !*ret; i++)
        if (!table_look(an, path[i], v->relname, ret))
            return false;
    return true;
}

static bool names_later_cte(const struct scope *s, const char *name) {
    for (; s; s = s->outer)
        for (size_t i = 0; s->with && i < s->with->n_ctes; i++)
            if (strcmp(s->with->ctes[i]->common_table_expr->ctename, name) == 0)
                return true;
    return false;
}

const struct cat_table *table_open(struct scope *s, const PQ(RangeVar) * v, bool dml) {
    struct an *an = s->an;
    const struct cat_table *t;
    bool schema = v->schemaname && *v->schemaname;
    if (!table_find(an, v, &t))
        return NULL;
    if (!t) {
        fail(an, v->location, "42P01", "relation \"%s%s%s\" does not exist", schema ? v->schemaname : "",
             schema ? "." : "", v->relname);
        if (!schema && names_later_cte(s, v->relname)) {
            fail_detail(an,
                        "There is a WITH item named \"%s\", but it cannot be referenced from this part of the query.",
                        v->relname);
            fail_hint(an, "Use WITH RECURSIVE, or re-order the WITH items to remove forward references.");
        }
        return NULL;
    }
    if (!table_keep(an, t))
        return NULL;
    if (an->in->names && an->text && !schema)
        ((PQ(RangeVar) *)(uintptr_t)v)->schemaname = (char *)(uintptr_t)t->schema_name;
    if (dml && t->kind == CAT_VIEW) {
        unsupported(an, v->location, "changing the view \"%s\" is not supported", t->name);
        return NULL;
    }
    if (dml && t->kind == CAT_SYSTEM) {
        fail(an, v->location, "42501", "permission denied: \"%s\" is a system catalog", t->name);
        return NULL;
    }
    return t;
}

/* ---- names of columns ------------------------------------------------------------------------------------------------- */

struct expr *expr_raise(struct an *an, const struct expr *e, uint32_t levels) {
    struct expr *c = expr_new(an, e->kind, e->type, e->args, e->location);
    if (!c)
        return NULL;
    struct expr **arg = c->arg;
    *c = *e;
    c->arg = arg;
    if (c->kind == EXPR_COL)
        c->col.levels += levels;
    for (uint32_t i = 0; i < e->args; i++)
        if (!(c->arg[i] = expr_raise(an, e->arg[i], levels)))
            return NULL;
    return c;
}

struct expr *col_expr(struct scope *s, struct rel *r, uint32_t col, uint32_t levels, int32_t location) {
    struct an *an = s->an;
    if (r->kind == REL_JOIN) {
        struct expr *e = expr_raise(an, r->col[col].source, levels);
        if (e)
            e->location = location;
        return e;
    }
    struct expr *e = expr_new(an, EXPR_COL, r->col[col].type, 0, location);
    if (!e)
        return NULL;
    e->col.rel = r;
    e->col.col = col;
    e->col.levels = levels;
    return e;
}

/* >= 0: its place; -1: none; -2: two of that name. */
static int find_in_rel(const struct rel *r, const char *name) {
    int found = -1;
    for (uint32_t i = 0; i < r->cols; i++)
        if (!r->col[i].hidden && strcmp(r->col[i].name, name) == 0) {
            if (found >= 0)
                return -2;
            found = (int)i;
        }
    return found;
}

static void ambiguous_column(struct an *an, const char *name, int32_t location) {
    fail(an, location, "42702", "column reference \"%s\" is ambiguous", name);
}

static bool lateral_check(struct scope *s, const struct ns_item *i, int32_t location) {
    if (!i->lateral_only || i->lateral_ok)
        return true;
    fail(s->an, location, "42P10", "invalid reference to FROM-clause entry for table \"%s\"", i->name ? i->name : "");
    return fail_detail(s->an, "The combining JOIN type must be INNER or LEFT for a LATERAL reference.");
}

/* A bare name, here or in the queries around. *ret NULL without an error: there is none. */
static bool bare_column(struct scope *s, const char *name, int32_t location, struct expr **ret) {
    uint32_t levels = 0;
    *ret = NULL;
    for (struct scope *at = s; at; at = at->outer, levels++) {
        const struct ns_item *in = NULL;
        int place = -1;
        for (uint32_t i = 0; i < at->ns.n; i++) {
            const struct ns_item *item = &at->ns.item[i];
            if (!item->columns_visible || (item->lateral_only && !at->lateral))
                continue;
            int p = find_in_rel(item->rel, name);
            if (p == -1)
                continue;
            if (p == -2 || in) {
                ambiguous_column(s->an, name, location);
                return false;
            }
            in = item;
            place = p;
        }
        if (!in)
            continue;
        if (!lateral_check(s, in, location))
            return false;
        *ret = col_expr(s, in->rel, (uint32_t)place, levels, location);
        return *ret != NULL;
    }
    return true;
}

/* The relation of a name; NULL without an error: there is none. */
static bool find_named(struct scope *s, const char *schema, const char *name, int32_t location,
                       const struct ns_item **ret, uint32_t *ret_levels) {
    uint32_t levels = 0;
    *ret = NULL;
    for (struct scope *at = s; at; at = at->outer, levels++) {
        for (uint32_t i = 0; i < at->ns.n; i++) {
            const struct ns_item *item = &at->ns.item[i];
            if (!item->name_visible || !item->name || strcmp(item->name, name) != 0 ||
                (item->lateral_only && !at->lateral))
                continue;
            if (schema && (!item->schema || strcmp(item->schema, schema) != 0))
                continue;
            if (*ret) {
                fail(s->an, location, "42P09", "table reference \"%s\" is ambiguous", name);
                return false;
            }
            *ret = item;
        }
        if (*ret) {
            *ret_levels = levels;
            return lateral_check(s, *ret, location);
        }
    }
    return true;
}

static void missing_table(struct scope *s, const char *name, int32_t location) {
    struct an *an = s->an;
    /* Is it there under another name, or not yet? */
    for (const struct scope *at = s; at; at = at->outer)
        for (uint32_t i = 0; i < at->q->rels; i++) {
            const struct rel *r = at->q->rel[i];
            bool alias = r->alias && strcmp(r->alias, name) == 0;
            bool table = r->table && strcmp(r->table->name, name) == 0;
            if (!alias && !table)
                continue;
            fail(an, location, "42P01", "invalid reference to FROM-clause entry for table \"%s\"", name);
            if (alias)
                fail_hint(
                    an, "There is an entry for table \"%s\", but it cannot be referenced from this part of the query.",
                    name);
            else
                fail_hint(an, "Perhaps you meant to reference the table alias \"%s\".", r->alias);
            return;
        }
    fail(an, location, "42P01", "missing FROM-clause entry for table \"%s\"", name);
}

static bool holds(const struct rel *r, const struct rel *what) {
    return r == what || (r->kind == REL_JOIN && (holds(r->left, what) || holds(r->right, what)));
}

/* Can an outer join make NULLs of it? */
static bool nullable(const struct query *q, const struct rel *r) {
    for (uint32_t i = 0; i < q->rels; i++) {
        const struct rel *j = q->rel[i];
        if (j->kind == REL_JOIN &&
            ((j->join != JOIN_RIGHT && j->join != JOIN_INNER && j->join != JOIN_CROSS && holds(j->right, r)) ||
             ((j->join == JOIN_RIGHT || j->join == JOIN_FULL) && holds(j->left, r))))
            return true;
    }
    return false;
}

/* A relation of the system has a hidden column of that name, a table its number where that cannot be NULL. NULL: it is not that. */
static struct expr *tableoid(struct scope *s, struct rel *r, const char *name, uint32_t levels, int32_t location) {
    if (strcmp(name, "tableoid") != 0 || !r->table)
        return NULL;
    if (r->kind == REL_CATALOG && r->cols > 0 && r->col[r->cols - 1].hidden)
        return col_expr(s, r, r->cols - 1, levels, location);
    return levels == 0 && !nullable(s->q, r) ? const_int(s->an, col_of(COL_OID), r->table->id) : NULL;
}

static bool system_column(const char *name) {
    static const char *const names[] = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

struct expr *column_ref(struct scope *s, const PQ(ColumnRef) * c) {
    struct an *an = s->an;
    const char *part[4];
    struct expr *e = NULL;
    size_t n = c->n_fields;
    if (n == 0 || n > 4) {
        const char *name = "";
        for (size_t i = 0; i < n && name; i++)
            name = arena_printf(an->arena, "%s%s%s", name, i ? "." : "", node_string(c->fields[i]));
        fail(an, c->location, "42601", "improper qualified name (too many dotted names): %s", name ? name : "?");
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (PQ_NODE(c->fields[i], A_STAR)) {
            unsupported(an, c->location, "whole-row references are not supported");
            return NULL;
        }
        part[i] = node_string(c->fields[i]);
    }
    if (s->place == PLACE_DEFAULT) {
        fail(an, c->location, "0A000", "cannot use column reference in DEFAULT expression");
        return NULL;
    }
    const struct ns_item *item = NULL;
    uint32_t levels = 0;
    if (n == 1) {
        if (!bare_column(s, part[0], c->location, &e) || e)
            return e;
        if (!find_named(s, NULL, part[0], c->location, &item, &levels))
            return NULL;
        if (item && item->rel->kind == REL_FUNCTION && item->rel->rows == 1 && !item->rel->ordinality &&
            item->rel->cols == 1)
            return col_expr(s, item->rel, 0, levels,
                            c->location); /* a row of one column by the function is that value */
        if (item)
            unsupported(an, c->location, "whole-row references are not supported (\"%s\")", part[0]);
        else if (s->ns.n == 1 && (e = tableoid(s, s->ns.item[0].rel, part[0], 0, c->location)))
            return e;
        else if (system_column(part[0]) && s->ns.n)
            unsupported(an, c->location, "system columns are not supported (\"%s\")", part[0]);
        else
            fail(an, c->location, "42703", "column \"%s\" does not exist", part[0]);
        return NULL;
    }
    const char *schema = n >= 3 ? part[n - 3] : NULL, *table = part[n - 2], *column = part[n - 1];
    if (!find_named(s, schema, table, c->location, &item, &levels))
        return NULL;
    if (!item) {
        missing_table(s, table, c->location);
        return NULL;
    }
    int place = find_in_rel(item->rel, column);
    if (place >= 0)
        return col_expr(s, item->rel, (uint32_t)place, levels, c->location);
    if (place == -2)
        ambiguous_column(an, column, c->location);
    else if ((e = tableoid(s, item->rel, column, levels, c->location)))
        return e;
    else if (system_column(column) && item->rel->table)
        unsupported(an, c->location, "system columns are not supported (\"%s\")", column);
    else
        fail(an, c->location, "42703", "column %s.%s does not exist", table, column);
    return NULL;
}

static bool expand_rel(struct scope *s, struct rel *r, uint32_t levels, int32_t location, struct target **to,
                       uint32_t *n, uint32_t *cap) {
    for (uint32_t i = 0; i < r->cols; i++)
        if (!r->col[i].hidden && !target_add(s, to, n, cap, r->col[i].name, col_expr(s, r, i, levels, location)))
            return false;
    return true;
}

static PQ(Node) * string_node(struct an *an, const char *name) {
    PQ(Node) *n = an_new(an, 1, sizeof *n);
    PQ(String) *text = an_new(an, 1, sizeof *text);
    if (!n || !text)
        return NULL;
    pg_query__node__init(n);
    pg_query__string__init(text);
    text->sval = (char *)(uintptr_t)name;
    n->node_case = PG_QUERY__NODE__NODE_STRING;
    n->string = text;
    return n;
}

/* A column as a target that names it. */
static PQ(Node) * column_node(struct an *an, const char *table, const char *column) {
    PQ(Node) *n = an_new(an, 2, sizeof *n), *val = n ? n + 1 : NULL;
    PQ(ResTarget) *t = an_new(an, 1, sizeof *t);
    PQ(ColumnRef) *c = an_new(an, 1, sizeof *c);
    PQ(Node) **field = an_new(an, 2, sizeof *field);
    if (!n || !t || !c || !field)
        return NULL;
    pg_query__node__init(n);
    pg_query__node__init(val);
    pg_query__res_target__init(t);
    pg_query__column_ref__init(c);
    if (table && !(field[c->n_fields++] = string_node(an, table)))
        return NULL;
    if (!(field[c->n_fields++] = string_node(an, column)))
        return NULL;
    c->fields = field;
    val->node_case = PG_QUERY__NODE__NODE_COLUMN_REF;
    val->column_ref = c;
    t->val = val;
    n->node_case = PG_QUERY__NODE__NODE_RES_TARGET;
    n->res_target = t;
    return n;
}

/* The relation that a column of r can be named by; NULL: its bare name must do. *ret_name: its name there. */
static const char *names_column(const struct scope *s, const struct ns_item *item, uint32_t col,
                                const char **ret_name) {
    const struct rel *r = item->rel;
    *ret_name = r->col[col].name;
    if (item->name && item->name_visible)
        return item->name;
    const struct expr *e = r->kind == REL_JOIN ? r->col[col].source : NULL;
    for (uint32_t i = 0; e && e->kind == EXPR_COL && i < s->ns.n; i++)
        if (s->ns.item[i].rel == e->col.rel && s->ns.item[i].name && s->ns.item[i].name_visible) {
            *ret_name = e->col.rel->col[e->col.col].name;
            return s->ns.item[i].name;
        }
    return NULL;
}

static bool list_star(struct scope *s, const PQ(Node) * target) {
    struct an *an = s->an;
    struct analyse_names *names = an->in->names;
    const PQ(ColumnRef) *c = target->res_target->val->column_ref;
    const struct ns_item *only = NULL;
    uint32_t levels;
    size_t most = 0;
    if (!an_grow(an, (void **)&names->star, names->stars, &names->cap, sizeof *names->star))
        return false;
    if (c->n_fields > 1 && !find_named(s, c->n_fields == 3 ? node_string(c->fields[0]) : NULL,
                                       node_string(c->fields[c->n_fields - 2]), c->location, &only, &levels))
        return false;
    for (uint32_t i = 0; i < s->ns.n; i++)
        most += s->ns.item[i].rel->cols;
    struct analyse_star *star = &names->star[names->stars++];
    *star = (struct analyse_star){.target = target,
                                  .into = an_new(an, most + (only ? only->rel->cols : 0) + 1, sizeof(PQ(Node) *))};
    for (uint32_t i = 0; star->into && i < (only ? 1 : s->ns.n); i++) {
        const struct ns_item *item = only ? only : &s->ns.item[i];
        if (!only && !item->columns_visible)
            continue;
        for (uint32_t k = 0; k < item->rel->cols; k++) {
            const char *name, *table = names_column(s, item, k, &name);
            if (item->rel->col[k].hidden)
                continue;
            PQ(Node) *n = column_node(an, table, name);
            if (!n)
                return false;
            star->into[star->n++] = n;
            n->res_target->name = (char *)(uintptr_t)item->rel->col[k].name;
        }
    }
    return star->into != NULL;
}

bool expand_star(struct scope *s, const PQ(Node) * target, struct target **to, uint32_t *n, uint32_t *cap) {
    const PQ(ColumnRef) *c = target->res_target->val->column_ref;
    struct an *an = s->an;
    if (an->in->names && an->text && !list_star(s, target))
        return false;
    if (c->n_fields == 1) {
        bool any = false;
        for (uint32_t i = 0; i < s->ns.n; i++) {
            if (!s->ns.item[i].columns_visible)
                continue;
            any = true;
            if (!expand_rel(s, s->ns.item[i].rel, 0, c->location, to, n, cap))
                return false;
        }
        return any || fail(an, c->location, "42601", "SELECT * with no tables specified is not valid");
    }
    if (c->n_fields > 3)
        return fail(an, c->location, "42601", "improper qualified name (too many dotted names)");
    const char *schema = c->n_fields == 3 ? node_string(c->fields[0]) : NULL;
    const char *table = node_string(c->fields[c->n_fields - 2]);
    const struct ns_item *item;
    uint32_t levels = 0;
    if (!find_named(s, schema, table, c->location, &item, &levels))
        return false;
    if (!item) {
        missing_table(s, table, c->location);
        return false;
    }
    return expand_rel(s, item->rel, levels, c->location, to, n, cap);
}

bool whole_row(struct scope *s, const PQ(Node) * n, struct expr ***ret, uint32_t *ret_n) {
    struct an *an = s->an;
    const PQ(ColumnRef) *c = PQ_NODE(n, COLUMN_REF) ? n->column_ref : NULL;
    const struct ns_item *item = NULL;
    struct expr *bare = NULL;
    uint32_t levels = 0;
    bool star = c && c->n_fields == 2 && PQ_NODE(c->fields[1], A_STAR);
    *ret = NULL;
    if (!c || (c->n_fields != 1 && !star) || !PQ_NODE(c->fields[0], STRING))
        return true;
    const char *name = node_string(c->fields[0]);
    if (!star && (!bare_column(s, name, c->location, &bare) || bare))
        return !an->rc;
    if (!find_named(s, NULL, name, c->location, &item, &levels))
        return false;
    if (!item || (item->rel->kind == REL_FUNCTION && item->rel->cols == 1))
        return true;
    const struct rel *r = item->rel;
    if (r->kind == REL_JOIN || (levels == 0 && nullable(s->q, r)))
        return unsupported(an, c->location, "whole rows of an outer join are not supported (\"%s\")", name);
    if (2 * r->cols > FN_ARGS_MAX)
        return unsupported(an, c->location, "a row of more than %d columns is not supported here", FN_ARGS_MAX / 2);
    struct expr **arg = an_new(an, 2 * r->cols + 1, sizeof *arg);
    uint32_t k = 0;
    for (uint32_t i = 0; arg && i < r->cols; i++) {
        if (r->col[i].hidden)
            continue;
        struct expr *key = expr_new(an, EXPR_CONST, col_of(COL_TEXT), 0, c->location);
        if (!key || !(arg[k + 1] = col_expr(s, item->rel, i, levels, c->location)))
            return false;
        key->value = value_text(r->col[i].name, strlen(r->col[i].name));
        arg[k] = key;
        k += 2;
    }
    *ret = arg;
    *ret_n = k;
    return arg != NULL;
}

/* ---- FROM's items --------------------------------------------------------------------------------------------------------- */

static const struct an_cte *find_cte(struct scope *s, const char *name) {
    for (struct scope *at = s; at; at = at->outer)
        for (uint32_t i = at->ctes; i-- > 0;)
            if (strcmp(at->cte[i].cte->name, name) == 0)
                return &at->cte[i];
    return NULL;
}

static struct rel *cte_rel(struct scope *s, const PQ(RangeVar) * v, const struct an_cte *c) {
    struct an *an = s->an;
    if (!c->known) {
        fail(an, v->location, "42P19",
             "recursive reference to query \"%s\" must not appear within its non-recursive term", c->cte->name);
        return NULL;
    }
    if (c->cte->table && c->cols == 0) {
        fail(an, v->location, "0A000", "WITH query \"%s\" does not have a RETURNING clause", c->cte->name);
        return NULL;
    }
    struct rel *r =
        rel_new(s, c->cte->table ? REL_CATALOG : REL_CTE, v->alias ? v->alias->aliasname : c->cte->name, c->cols);
    if (!r)
        return NULL;
    memcpy(r->col, c->col, c->cols * sizeof *r->col);
    if (c->cte->table)
        r->table = c->cte->table;
    else
        r->query = c->cte->query;
    c->cte->uses++;
    return alias_columns(s, r, v->alias, "table") ? r : NULL;
}

/* A view is its query, which sees nothing of what is around it. */
static struct rel *view_rel(struct scope *s, const PQ(RangeVar) * v, const struct cat_table *t) {
    struct an *an = s->an;
    struct scope barrier;
    const PQ(Node) *n = parse_catalog_query(an, t->view_sql);
    if (!n)
        return NULL;
    scope_init(&barrier, an, NULL, s->q);
    const char *text = an->text;
    an->text = NULL;
    struct query *q = any_query(an, &barrier, n, true);
    an->text = text;
    struct rel *r = q ? query_rel(s, REL_QUERY, v->alias ? v->alias->aliasname : t->name, q) : NULL;
    if (!r)
        return NULL;
    if (r->cols != t->columns) {
        fail(an, v->location, "XX001", "view \"%s\" has other columns than its query", t->name);
        return NULL;
    }
    for (uint16_t i = 0; i < t->columns; i++)
        r->col[i].name = t->column[i].name;
    return alias_columns(s, r, v->alias, "table") ? r : NULL;
}

static struct rel *range_var(struct scope *s, const PQ(RangeVar) * v) {
    bool schema = v->schemaname && *v->schemaname;
    const struct an_cte *c = schema ? NULL : find_cte(s, v->relname);
    if (c)
        return cte_rel(s, v, c);
    const struct cat_table *t = table_open(s, v, false);
    if (t && t->kind == CAT_VIEW)
        return view_rel(s, v, t);
    return t ? table_rel(s, v, t) : NULL;
}

static struct rel *range_subselect(struct scope *s, const PQ(RangeSubselect) * r) {
    bool was = s->lateral;
    if (!r->alias) {
        fail(s->an, r->subquery ? select_location(r->subquery) : -1, "42601", "%s in FROM must have an alias",
             PQ_NODE(r->subquery, SELECT_STMT) && r->subquery->select_stmt->n_values_lists ? "VALUES" : "subquery");
        fail_hint(s->an, "For example, FROM (%s ...) [AS] foo.",
                  PQ_NODE(r->subquery, SELECT_STMT) && r->subquery->select_stmt->n_values_lists ? "VALUES" : "SELECT");
        return NULL;
    }
    s->lateral = r->lateral;
    struct query *q = any_query(s->an, s, r->subquery, true);
    s->lateral = was;
    struct rel *rel = q ? query_rel(s, REL_QUERY, r->alias->aliasname, q) : NULL;
    if (!rel)
        return NULL;
    rel->lateral = r->lateral;
    return alias_columns(s, rel, r->alias, "table") ? rel : NULL;
}

/* unnest(a, b) is ROWS FROM (unnest(a), unnest(b)): how many there are, 0 if it is nothing of the kind. */
static uint32_t several_unnest(const PQ(RangeFunction) * f) {
    const PQ(Node) *item = f->n_functions == 1 ? f->functions[0] : NULL;
    const PQ(Node) *n = PQ_NODE(item, LIST) ? item->list->items[0] : item;
    if (!PQ_NODE(n, FUNC_CALL) || n->func_call->n_args < 2)
        return 0;
    const PQ(FuncCall) *c = n->func_call;
    return strcmp(node_string(c->funcname[c->n_funcname - 1]), "unnest") == 0 ? (uint32_t)c->n_args : 0;
}

static struct expr *one_unnest(struct scope *s, const PQ(FuncCall) * c, uint32_t i) {
    struct expr *arg = expression_at(s, c->args[i], PLACE_FROM_FUNCTION);
    return arg ? call_named(s, "unnest", &arg, 1, c->location) : NULL;
}

static struct rel *range_function(struct scope *s, const PQ(RangeFunction) * f) {
    bool pairs = false; /* rows of two columns */
    struct an *an = s->an;
    if (f->n_coldeflist) {
        unsupported(an, -1, "column definition lists are not supported");
        return NULL;
    }
    uint32_t calls = (uint32_t)f->n_functions, several = several_unnest(f);
    if (several)
        calls = several;
    struct expr **call = an_new(an, calls, sizeof *call);
    const char **name = call ? an_new(an, calls, sizeof *name) : NULL;
    if (!name)
        return NULL;
    bool was = s->lateral;
    s->lateral = true;
    for (uint32_t i = 0; i < calls; i++) {
        const PQ(Node) *item = f->functions[several ? 0 : i];
        const PQ(List) *pair = PQ_NODE(item, LIST) ? item->list : NULL;
        const PQ(Node) *n = pair ? pair->items[0] : item;
        if (pair && pair->n_items > 1 && PQ_NODE(pair->items[1], LIST) && pair->items[1]->list->n_items) {
            unsupported(an, -1, "column definition lists are not supported");
            return NULL;
        }
        call[i] = several ? one_unnest(s, n->func_call, i) : expression_at(s, n, PLACE_FROM_FUNCTION);
        if (!call[i])
            return NULL;
        name[i] = target_name(n);
        pairs |= call[i]->kind == EXPR_SET && call[i]->call.fn->second;
        if (call[i]->type.type == FN_RECORD || call[i]->type.type == FN_VOID || (pairs && calls > 1)) {
            unsupported(an, node_location(n), "function %s is not supported in FROM", name[i]);
            return NULL;
        }
    }
    s->lateral = was;
    uint32_t cols = calls + pairs;
    struct rel *r = rel_new(s, REL_FUNCTION, f->alias ? f->alias->aliasname : name[0], cols + (f->ordinality ? 1 : 0));
    if (!r)
        return NULL;
    r->row = call;
    r->rows = calls;
    r->ordinality = f->ordinality;
    r->lateral = true;
    for (uint32_t i = 0; i < calls; i++)
        r->col[i] =
            (struct rel_col){.name = calls == 1 && f->alias ? f->alias->aliasname : name[i], .type = call[i]->type};
    const struct fn *only = calls == 1 && call[0]->kind == EXPR_SET ? call[0]->call.fn : NULL;
    if (only && fn_set_column(only, 0))
        r->col[0].name = fn_set_column(only, 0);
    if (pairs)
        r->col[1] = (struct rel_col){.name = fn_set_column(only, 1), .type = col_of((enum col_type)only->second)};
    if (f->ordinality)
        r->col[cols] = (struct rel_col){.name = "ordinality", .type = col_of(COL_INT8)};
    return alias_columns(s, r, f->alias, "table") ? r : NULL;
}

/* ---- joins ------------------------------------------------------------------------------------------------------------------ */

static struct expr *side_column(struct scope *s, struct rel *r, uint32_t col) {
    return col_expr(s, r, col, 0, -1);
}

struct merged {
    int left, right;
    struct expr *source;
};

/* The columns that USING or NATURAL name, with the condition that they make. */
static bool join_using(struct scope *s, struct rel *r, const char *const *name, uint32_t n, struct merged *m) {
    struct an *an = s->an;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(name[k], name[i]) == 0)
                return fail(an, -1, "42701", "column name \"%s\" appears more than once in USING clause", name[i]);
        m[i].left = find_in_rel(r->left, name[i]);
        m[i].right = find_in_rel(r->right, name[i]);
        if (m[i].left == -2 || m[i].right == -2)
            return fail(an, -1, "42702", "common column name \"%s\" appears more than once in %s table", name[i],
                        m[i].left == -2 ? "left" : "right");
        if (m[i].left < 0 || m[i].right < 0)
            return fail(an, -1, "42703", "column \"%s\" specified in USING clause does not exist in %s table", name[i],
                        m[i].left < 0 ? "left" : "right");
        struct expr *l = side_column(s, r->left, (uint32_t)m[i].left),
                    *rr = side_column(s, r->right, (uint32_t)m[i].right);
        struct expr *on = l && rr ? make_op(s, "=", NULL, l, rr, -1) : NULL;
        if (!on)
            return false;
        if (r->on) {
            struct expr *both = expr_new(an, EXPR_AND, col_of(COL_BOOL), 2, -1);
            if (!both)
                return false;
            both->arg[0] = r->on;
            both->arg[1] = on;
            r->on = both;
        } else {
            r->on = on;
        }
        struct expr *pair[2] = {l, rr};
        struct col type = common_type(an, pair, 2, "JOIN/USING", NULL);
        if (type.type == COL_NONE || !(pair[0] = coerce_to_common(an, l, type, "JOIN/USING")) ||
            !(pair[1] = coerce_to_common(an, rr, type, "JOIN/USING")))
            return false;
        m[i].source = r->join == JOIN_RIGHT ? pair[1] : pair[0];
        if (r->join == JOIN_FULL) {
            struct expr *c = expr_new(an, EXPR_COALESCE, type, 2, -1);
            if (!c)
                return false;
            c->type.typmod = common_typmod(pair, 2, type);
            c->arg[0] = retype(an, pair[0], c->type.typmod);
            c->arg[1] = retype(an, pair[1], c->type.typmod);
            if (!c->arg[0] || !c->arg[1])
                return false;
            m[i].source = c;
        }
    }
    return true;
}

static bool join_columns(struct scope *s, struct rel *r, const char *const *name, uint32_t n, const struct merged *m) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++)
        r->col[at++] = (struct rel_col){.name = name[i], .type = m[i].source->type, .source = m[i].source};
    for (int side = 0; side < 2; side++) {
        struct rel *from = side ? r->right : r->left;
        for (uint32_t i = 0; i < from->cols; i++) {
            bool used = from->col[i].hidden;
            for (uint32_t k = 0; k < n && !used; k++)
                used = (side ? m[k].right : m[k].left) == (int)i;
            if (used)
                continue;
            struct expr *source = side_column(s, from, i);
            if (!source)
                return false;
            r->col[at++] = (struct rel_col){.name = from->col[i].name, .type = from->col[i].type, .source = source};
        }
    }
    r->cols = at;
    return true;
}

static struct rel *from_item(struct scope *s, const PQ(Node) * n, struct ns *ret);

static bool check_names(struct scope *s, const struct ns *a, const struct ns *b) {
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t k = 0; k < b->n; k++) {
            const struct ns_item *x = &a->item[i], *y = &b->item[k];
            if (x->name_visible && y->name_visible && x->name && y->name && strcmp(x->name, y->name) == 0 &&
                !(x->rel->table && y->rel->table && x->schema && y->schema && strcmp(x->schema, y->schema) != 0))
                return fail(s->an, -1, "42712", "table name \"%s\" specified more than once", x->name);
        }
    return true;
}

static void ns_lateral(struct ns *ns, bool only, bool ok) {
    for (uint32_t i = 0; i < ns->n; i++) {
        ns->item[i].lateral_only = only;
        ns->item[i].lateral_ok = ok;
    }
}

static bool join_condition(struct scope *s, const PQ(JoinExpr) * j, struct rel *r, struct ns *l, struct ns *rr) {
    if (j->quals) {
        /* Only what it joins is seen. */
        struct ns was = s->ns;
        s->ns = (struct ns){0};
        ns_lateral(l, false, true);
        ns_lateral(rr, false, true);
        bool ok = ns_append(s, l->item, l->n) && ns_append(s, rr->item, rr->n) &&
                  (r->on = boolean_at(s, j->quals, PLACE_JOIN_ON, "JOIN/ON")) != NULL;
        s->ns = was;
        return ok && join_columns(s, r, NULL, 0, NULL);
    }
    uint32_t n = 0;
    const char **name = an_new(s->an, (size_t)r->left->cols + j->n_using_clause + 1, sizeof *name);
    if (!name)
        return false;
    if (j->is_natural) {
        for (uint32_t i = 0; i < r->left->cols; i++)
            if (!r->left->col[i].hidden && find_in_rel(r->right, r->left->col[i].name) != -1)
                name[n++] = r->left->col[i].name;
    } else {
        for (size_t i = 0; i < j->n_using_clause; i++)
            name[n++] = node_string(j->using_clause[i]);
    }
    struct merged *m = an_new(s->an, (size_t)n + 1, sizeof *m);
    return m && join_using(s, r, name, n, m) && join_columns(s, r, name, n, m);
}

static struct rel *join_expr(struct scope *s, const PQ(JoinExpr) * j, struct ns *ret) {
    struct an *an = s->an;
    struct ns left = {0}, right = {0};
    bool outer = j->jointype == PG_QUERY__JOIN_TYPE__JOIN_FULL || j->jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT;
    if (j->join_using_alias) {
        unsupported(an, -1, "an alias of JOIN USING is not supported");
        return NULL;
    }
    struct rel *l = from_item(s, j->larg, &left);
    if (!l)
        return NULL;
    /* The right side may be LATERAL to the left one. */
    uint32_t seen = s->ns.n;
    ns_lateral(&left, true, !outer);
    if (!ns_append(s, left.item, left.n))
        return NULL;
    struct rel *rr = from_item(s, j->rarg, &right);
    s->ns.n = seen;
    if (!rr || !check_names(s, &left, &right))
        return NULL;
    struct rel *r = rel_new(s, REL_JOIN, j->alias ? j->alias->aliasname : NULL, l->cols + rr->cols);
    if (!r)
        return NULL;
    r->left = l;
    r->right = rr;
    r->join = j->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT    ? JOIN_LEFT
              : j->jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT ? JOIN_RIGHT
              : j->jointype == PG_QUERY__JOIN_TYPE__JOIN_FULL  ? JOIN_FULL
                                                               : JOIN_INNER;
    if (r->join == JOIN_INNER && !j->quals && !j->n_using_clause && !j->is_natural)
        r->join = JOIN_CROSS;
    if (!join_condition(s, j, r, &left, &right))
        return NULL;
    if (!r->on && r->join == JOIN_INNER)
        r->join = JOIN_CROSS; /* NATURAL without a common column */
    if (!r->on && r->join != JOIN_CROSS && !(r->on = const_bool(an, true)))
        return NULL;
    if (j->alias && !alias_columns(s, r, j->alias, "join expression"))
        return NULL;
    /* Its columns are seen through it; the names of its sides too, unless it has one of its own. */
    struct ns was = s->ns;
    s->ns = (struct ns){0};
    for (uint32_t i = 0; i < left.n; i++)
        left.item[i].columns_visible = false;
    for (uint32_t i = 0; i < right.n; i++)
        right.item[i].columns_visible = false;
    bool ok = (j->alias || (ns_append(s, left.item, left.n) && ns_append(s, right.item, right.n))) &&
              ns_add(s, r, NULL, true, j->alias != NULL);
    *ret = s->ns;
    s->ns = was;
    return ok ? r : NULL;
}

static struct rel *from_item(struct scope *s, const PQ(Node) * n, struct ns *ret) {
    struct an *an = s->an;
    struct rel *r = NULL;
    if (!stack_ok(an))
        return NULL;
    switch (n ? n->node_case : PG_QUERY__NODE__NODE__NOT_SET) {
    case PG_QUERY__NODE__NODE_JOIN_EXPR:
        return join_expr(s, n->join_expr, ret);
    case PG_QUERY__NODE__NODE_RANGE_VAR:
        r = range_var(s, n->range_var);
        break;
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
        r = range_subselect(s, n->range_subselect);
        break;
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION:
        r = range_function(s, n->range_function);
        break;
    case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE:
        unsupported(an, n->range_table_sample->location, "TABLESAMPLE is not supported");
        break;
    default:
        unsupported(an, -1, "this FROM item is not supported");
    }
    if (!r)
        return NULL;
    struct ns was = s->ns;
    s->ns = (struct ns){0};
    const PQ(RangeVar) *v = PQ_NODE(n, RANGE_VAR) ? n->range_var : NULL;
    bool ok = ns_add(s, r, r->table && !(v && v->alias) ? r->table->schema_name : NULL, true, true);
    *ret = s->ns;
    s->ns = was;
    return ok ? r : NULL;
}

bool from_clause(struct scope *s, PQ(Node) *const *list, size_t n) {
    struct an *an = s->an;
    uint32_t cap = s->q->froms;
    for (size_t i = 0; i < n; i++) {
        struct ns ns = {0};
        struct rel *r = from_item(s, list[i], &ns);
        if (!r || !check_names(s, &s->ns, &ns))
            return false;
        ns_lateral(&ns, true, true);
        if (!ns_append(s, ns.item, ns.n) || !an_grow(an, (void **)&s->q->from, s->q->froms, &cap, sizeof *s->q->from))
            return false;
        s->q->from[s->q->froms++] = r;
    }
    ns_lateral(&s->ns, false, true);
    return true;
}
