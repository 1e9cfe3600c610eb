/* SPDX-License-Identifier: Apache-2.0 */
/* print.c: see print.h. */
#include "sql/analyse/print.h"

#include <inttypes.h>
#include <string.h>

static void print_query(const struct query *q, int indent, struct buf *out);

static void print_type(struct col c, struct buf *out) {
    char name[COL_NAME_BYTES];
    if (c.type < COL_TYPE_END)
        buf_printf(out, ":%s", col_name(&c, name));
    else
        buf_printf(out, ":pseudo%u", c.type);
}

static void print_value(const struct value *v, struct buf *out) {
    switch (v->kind) {
    case VALUE_NULL:
        buf_puts(out, "NULL");
        return;
    case VALUE_INT:
        buf_printf(out, "%" PRId64, v->i);
        return;
    case VALUE_REAL:
        buf_printf(out, "%.17g", v->r);
        return;
    case VALUE_TEXT:
        buf_printf(out, "'%.*s'", (int)v->bytes, (const char *)v->p);
        return;
    case VALUE_BLOB:
        buf_puts(out, "x'");
        for (uint32_t i = 0; i < v->bytes; i++)
            buf_printf(out, "%02x", ((const uint8_t *)v->p)[i]);
        buf_putc(out, '\'');
    }
}

static void print_list(struct expr *const *e, uint32_t n, struct buf *out) {
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            buf_putc(out, ' ');
        tree_print_expr(e[i], out);
    }
}

static void print_sorts(const struct sort *s, uint32_t n, struct buf *out) {
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            buf_puts(out, ", ");
        tree_print_expr(s[i].expr, out);
        buf_puts(out, s[i].desc ? " desc" : "");
        if (s[i].nulls_first != s[i].desc)
            buf_puts(out, s[i].nulls_first ? " nulls first" : " nulls last");
    }
}

static const char *kind_name(const struct expr *e) {
    switch (e->kind) {
    case EXPR_CALL:
    case EXPR_AGG:
    case EXPR_WINDOW:
    case EXPR_SET:
        return e->call.fn->name;
    case EXPR_RELABEL:
        return "relabel";
    case EXPR_AND:
        return "and";
    case EXPR_OR:
        return "or";
    case EXPR_NOT:
        return "not";
    case EXPR_IS_NULL:
        return e->flag ? "is-not-null" : "is-null";
    case EXPR_IS_BOOL:
        return e->op == 't'   ? (e->flag ? "is-not-true" : "is-true")
               : e->op == 'f' ? (e->flag ? "is-not-false" : "is-false")
                              : (e->flag ? "is-not-unknown" : "is-unknown");
    case EXPR_DISTINCT:
        return e->flag ? "not-distinct" : "distinct";
    case EXPR_CASE:
        return "case";
    case EXPR_COALESCE:
        return "coalesce";
    case EXPR_NULLIF:
        return "nullif";
    case EXPR_MINMAX:
        return e->op == '>' ? "greatest" : "least";
    case EXPR_IN:
        return e->flag ? "not-in" : "in";
    case EXPR_ANY_ARRAY:
        return e->flag ? "all" : "any";
    case EXPR_ARRAY:
        return "array";
    case EXPR_SUBSCRIPT:
        return e->flag ? "slice" : "subscript";
    case EXPR_ROW:
        return "row";
    case EXPR_SUBLINK:
        return e->op == SUBLINK_EXISTS   ? "exists"
               : e->op == SUBLINK_SCALAR ? "scalar"
               : e->op == SUBLINK_ANY    ? "any-query"
               : e->op == SUBLINK_ALL    ? "all-query"
                                         : "array-query";
    case EXPR_GROUPING:
        return "grouping";
    case EXPR_TYPE_IO:
        return "io";
    case EXPR_LIMIT:
        return e->flag ? "cut" : "limit";
    default:
        return "?";
    }
}

static bool has_equality(const struct expr *e) {
    return e->kind == EXPR_DISTINCT || e->kind == EXPR_NULLIF || e->kind == EXPR_IN || e->kind == EXPR_ANY_ARRAY;
}

static void print_window(const struct window *w, struct buf *out) {
    buf_puts(out, " over(");
    print_list(w->partition, w->partitions, out);
    if (w->orders) {
        buf_puts(out, " order ");
        print_sorts(w->order, w->orders, out);
    }
    buf_printf(out, " frame %x", w->frame);
    if (w->start) {
        buf_putc(out, ' ');
        tree_print_expr(w->start, out);
    }
    if (w->end) {
        buf_putc(out, ' ');
        tree_print_expr(w->end, out);
    }
    buf_putc(out, ')');
}

void tree_print_expr(const struct expr *e, struct buf *out) {
    if (!e) {
        buf_putc(out, '-');
        return;
    }
    if (e->kind == EXPR_CONST) {
        print_value(&e->value, out);
    } else if (e->kind == EXPR_PARAM) {
        buf_printf(out, "$%u", e->param);
    } else if (e->kind == EXPR_COL) {
        for (uint32_t i = 0; i < e->col.levels; i++)
            buf_putc(out, '^');
        buf_printf(out, "t%u.%s", e->col.rel->number, e->col.rel->col[e->col.col].name);
    } else {
        buf_printf(out, "(%s", kind_name(e));
        if (has_equality(e))
            buf_printf(out, "[%s]", e->call.fn->name);
        if (e->distinct)
            buf_puts(out, " distinct");
        if (e->star)
            buf_puts(out, " *");
        for (uint32_t i = 0; i < e->args; i++) {
            buf_putc(out, ' ');
            if (e->kind == EXPR_SUBLINK && e->cmp)
                buf_printf(out, "[%s]", e->cmp[i]->name);
            tree_print_expr(e->arg[i], out);
        }
        if (e->orders) {
            buf_puts(out, " order ");
            print_sorts(e->order, e->orders, out);
        }
        if (e->filter) {
            buf_puts(out, " filter ");
            tree_print_expr(e->filter, out);
        }
        if (e->window)
            print_window(e->window, out);
        if (e->kind == EXPR_SUBLINK) {
            buf_puts(out, " {");
            print_query(e->query, -1, out);
            buf_putc(out, '}');
        }
        buf_putc(out, ')');
    }
    print_type(e->type, out);
}

/* ---- queries ----------------------------------------------------------------------------------------------------------- */

static void line(int indent, struct buf *out) {
    if (indent < 0) { /* all in one line */
        if (out->len && out->data[out->len - 1] != '{')
            buf_puts(out, "; ");
        return;
    }
    if (out->len)
        buf_putc(out, '\n');
    for (int i = 0; i < indent; i++)
        buf_puts(out, "  ");
}

static int deeper(int indent) {
    return indent < 0 ? indent : indent + 1;
}

static void print_targets(const char *what, const struct target *t, uint32_t n, int indent, struct buf *out) {
    if (!n)
        return;
    line(indent, out);
    buf_printf(out, "%s ", what);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%s%s%s=", i ? ", " : "", t[i].junk ? "junk " : "", t[i].name);
        tree_print_expr(t[i].expr, out);
    }
}

static void print_columns(const struct rel *r, struct buf *out) {
    buf_putc(out, '(');
    for (uint32_t i = 0; i < r->cols; i++) {
        buf_printf(out, "%s%s", i ? ", " : "", r->col[i].name);
        print_type(r->col[i].type, out);
    }
    buf_putc(out, ')');
}

static void print_rel(const struct rel *r, int indent, struct buf *out) {
    static const char *const joins[] = {[JOIN_INNER] = "inner",
                                        [JOIN_LEFT] = "left",
                                        [JOIN_RIGHT] = "right",
                                        [JOIN_FULL] = "full",
                                        [JOIN_CROSS] = "cross"};
    buf_printf(out, "t%u %s%s ", r->number, r->lateral ? "lateral " : "", r->alias ? r->alias : "");
    switch (r->kind) {
    case REL_TABLE:
    case REL_CATALOG:
        buf_printf(out, "= %s.%s", r->table->schema_name, r->table->name);
        return;
    case REL_JOIN:
        buf_printf(out, "= %s join(", joins[r->join]);
        print_rel(r->left, indent, out);
        buf_puts(out, ", ");
        print_rel(r->right, indent, out);
        buf_puts(out, ")");
        if (r->on) {
            buf_puts(out, " on ");
            tree_print_expr(r->on, out);
        }
        return;
    case REL_QUERY:
        print_columns(r, out);
        buf_puts(out, " = {");
        print_query(r->query, -1, out);
        buf_putc(out, '}');
        return;
    case REL_VALUES:
        print_columns(r, out);
        buf_puts(out, " = values");
        for (uint32_t i = 0; i < r->rows; i++) {
            buf_puts(out, " (");
            print_list(r->row + (size_t)i * r->cols, r->cols, out);
            buf_putc(out, ')');
        }
        return;
    case REL_FUNCTION:
        print_columns(r, out);
        buf_puts(out, " = ");
        print_list(r->row, r->rows, out);
        buf_puts(out, r->ordinality ? " with ordinality" : "");
        return;
    case REL_CTE:
        print_columns(r, out);
        buf_puts(out, " = cte");
        return;
    case REL_SET:
        print_columns(r, out);
        buf_puts(out, " = set");
    }
}

static void print_clause(const char *what, const struct expr *e, int indent, struct buf *out) {
    if (!e)
        return;
    line(indent, out);
    buf_printf(out, "%s ", what);
    tree_print_expr(e, out);
}

static void print_set(const char *what, const struct rel *into, const struct assignment *a, uint32_t n, int indent,
                      struct buf *out) {
    line(indent, out);
    buf_printf(out, "%s ", what);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%s%s", i ? ", " : "", into->col[a[i].col].name);
        if (a[i].expr) {
            buf_putc(out, '=');
            tree_print_expr(a[i].expr, out);
        }
    }
}

static void print_conflict(const struct query *q, int indent, struct buf *out) {
    const struct on_conflict *c = q->conflict;
    line(indent, out);
    buf_printf(out, "on conflict %s do %s",
               c->primary ? "(primary key)"
               : c->index ? c->index->name
                          : "(any)",
               c->update ? "update" : "nothing");
    if (c->update)
        print_set("set", q->into, c->set, c->sets, indent, out);
    print_clause("where", c->where, indent, out);
}

static void print_group(const struct query *q, int indent, struct buf *out) {
    if (!q->groups && !q->grouping_sets)
        return;
    line(indent, out);
    buf_puts(out, "group ");
    print_list(q->group, q->groups, out);
    for (uint32_t i = 0; i < q->grouping_sets; i++) {
        buf_puts(out, " (");
        print_list(q->grouping_set[i], q->grouping_set_exprs[i], out);
        buf_putc(out, ')');
    }
}

static void print_query(const struct query *q, int indent, struct buf *out) {
    static const char *const kinds[] = {[QUERY_SELECT] = "select",
                                        [QUERY_INSERT] = "insert",
                                        [QUERY_UPDATE] = "update",
                                        [QUERY_DELETE] = "delete",
                                        [QUERY_UTILITY] = "utility"};
    static const char *const sets[] = {
        [SET_NONE] = "", [SET_UNION] = "union", [SET_INTERSECT] = "intersect", [SET_EXCEPT] = "except"};
    line(indent, out);
    buf_printf(out, "%s%s", kinds[q->kind], q->distinct ? " distinct" : "");
    if (q->into) {
        buf_puts(out, " into ");
        print_rel(q->into, indent, out);
    }
    for (uint32_t i = 0; i < q->ctes; i++) {
        line(deeper(indent), out);
        buf_printf(out, "with %s%s = {", q->cte[i]->recursive ? "recursive " : "", q->cte[i]->name);
        print_query(q->cte[i]->query, -1, out);
        buf_putc(out, '}');
    }
    print_targets("targets", q->target, q->targets, deeper(indent), out);
    if (q->set_lists)
        print_set("set", q->into, q->set_list, q->set_lists, deeper(indent), out);
    for (uint32_t i = 0; i < q->froms; i++) {
        line(deeper(indent), out);
        buf_puts(out, "from ");
        print_rel(q->from[i], indent, out);
    }
    if (q->set) {
        line(deeper(indent), out);
        buf_printf(out, "%s%s {", sets[q->set], q->set_all ? " all" : "");
        print_query(q->left, -1, out);
        buf_puts(out, "} {");
        print_query(q->right, -1, out);
        buf_putc(out, '}');
    }
    if (q->source) {
        line(deeper(indent), out);
        buf_puts(out, "source {");
        print_query(q->source, -1, out);
        buf_putc(out, '}');
    }
    print_clause("where", q->where, deeper(indent), out);
    print_group(q, deeper(indent), out);
    print_clause("having", q->having, deeper(indent), out);
    if (q->distincts) {
        line(deeper(indent), out);
        buf_puts(out, "distinct on ");
        print_list(q->distinct_on, q->distincts, out);
    }
    if (q->sorts) {
        line(deeper(indent), out);
        buf_puts(out, "order ");
        print_sorts(q->sort, q->sorts, out);
    }
    print_clause("limit", q->limit, deeper(indent), out);
    print_clause("offset", q->offset, deeper(indent), out);
    if (q->conflict)
        print_conflict(q, deeper(indent), out);
    for (uint32_t i = 0; i < q->rules; i++) {
        line(deeper(indent), out);
        buf_printf(out, "%s %s ", q->rule[i].index ? "index" : "check", q->rule[i].name);
        tree_print_expr(q->rule[i].expr, out);
    }
    if (q->lock) {
        line(deeper(indent), out);
        buf_printf(out, "for %s%s%s", q->lock == ROWLOCK_UPDATE ? "update" : "share", q->lock_nowait ? " nowait" : "",
                   q->lock_skip ? " skip locked" : "");
    }
    print_targets("returning", q->returning, q->returnings, deeper(indent), out);
}

void tree_print(const struct query *q, struct buf *out) {
    print_query(q, 0, out);
}
