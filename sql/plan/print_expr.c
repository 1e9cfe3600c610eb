/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_expr.c: expressions as SQLite's: natively where SQLite means the same as PostgreSQL, else as one call of pgx().
 *
 * Native are columns, literals, parameters, AND, OR, NOT, IS NULL, and comparisons of a column with something of the same class
 * (plan_class): these are what an index can use. A literal integer, text or blob stands in the text; what depends on the run
 * is a slot. A part without columns that is not immutable, now() for one, is a slot too: tablets know no session.
 */
#include "sql/plan/maker.h"

#include <string.h>

enum {
    CALL_ARGS_MAX = 126,      /* of SQLite's functions, without the program */
    NUMBERED_SLOTS_MAX = 200, /* SQLite looks a numbered parameter up in a list of all that went before */
    NATIVE_LIST_MAX = 200,    /* SQLite's expressions are at most 1000 deep, and a chain is as deep as it is long */
};

/* ---- the text ---------------------------------------------------------------------------------------------------- */

void out_init(struct out *o, struct maker *m, enum out_mode mode, struct select *sel) {
    *o = (struct out){.m = m, .mode = mode, .sel = sel};
    buf_init(&o->sql, FRAGMENT_SQL_BYTES_MAX);
}

void out_done(struct out *o, struct text *ret, bool simple) {
    struct maker *m = o->m;
    enum rc rc = buf_rc(&o->sql);
    if (!m->rc && rc == RC_LIMIT)
        maker_fail(m, err_set(m->err, RC_LIMIT, "the statement is too long for one fragment (%d bytes)",
                              FRAGMENT_SQL_BYTES_MAX));
    else if (!m->rc && rc)
        maker_fail(m, rc);
    if (!m->rc && o->slots > FRAGMENT_PARAMS_MAX)
        maker_fail(m, err_set(m->err, RC_LIMIT, "the statement has too many values for one fragment"));
    const char *text = m->rc ? NULL : buf_cstr(&o->sql);
    const char *copy = text ? arena_strdup(m->arena, text) : NULL;
    if (!copy) {
        maker_fail(m, RC_NOMEM);
    } else {
        uint64_t id = hash_bytes(copy, o->sql.len, o->slots * 2 + simple);
        *ret = (struct text){.sql = copy, .slot = o->slot, .slots = o->slots};
        ret->fragment =
            (struct fragment){.id = id ? id : 1, .sql = copy, .n_params = (uint16_t)o->slots, .simple = simple};
    }
    buf_done(&o->sql);
}

void out_puts(struct out *o, const char *s) {
    buf_puts(&o->sql, s);
}

void out_printf(struct out *o, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&o->sql, fmt, ap);
    va_end(ap);
}

void out_slot(struct out *o, uint32_t calc) {
    if (!maker_reach(o->m, &o->of_calc, calc, &o->of_calcs_max))
        return;
    if (!o->of_calc[calc]) {
        if (!maker_room(o->m, &o->slot, o->slots, &o->slots_max, sizeof *o->slot))
            return;
        o->slot[o->slots++] = calc;
        o->of_calc[calc] = o->slots;
        if (o->slots > NUMBERED_SLOTS_MAX) { /* the text only grows, so the next nameless one is this one */
            out_puts(o, "?");
            return;
        }
    }
    out_printf(o, "?%u", o->of_calc[calc]);
}

void out_blob(struct out *o, const void *p, size_t n) {
    const uint8_t *b = p;
    out_puts(o, "x'");
    uint8_t *to = buf_reserve(&o->sql, n * 2);
    for (size_t i = 0; i < n && to; i++) {
        to[2 * i] = (uint8_t) "0123456789abcdef"[b[i] >> 4];
        to[2 * i + 1] = (uint8_t) "0123456789abcdef"[b[i] & 15];
    }
    if (to)
        buf_commit(&o->sql, n * 2);
    out_puts(o, "'");
}

static void out_text(struct out *o, const char *s, size_t n) {
    buf_putc(&o->sql, '\'');
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\'')
            buf_putc(&o->sql, '\'');
        buf_putc(&o->sql, (uint8_t)s[i]);
    }
    buf_putc(&o->sql, '\'');
}

/* Reals are not written: SQLite 3.40 does not read all of them back exactly. */
static bool has_literal(const struct value *v) {
    return v->kind != VALUE_REAL && (v->kind != VALUE_TEXT || !memchr(v->p, 0, v->bytes));
}

void out_literal(struct out *o, const struct value *v) {
    switch (v->kind) {
    case VALUE_NULL:
        out_puts(o, "NULL");
        break;
    case VALUE_INT:
        out_printf(o, v->i < 0 ? "(%" PRId64 ")" : "%" PRId64, v->i);
        break;
    case VALUE_TEXT:
        out_text(o, v->p, v->bytes);
        break;
    case VALUE_BLOB:
        out_blob(o, v->p, v->bytes);
        break;
    default:
        maker_fail(o->m, RC_INTERNAL);
    }
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static struct source *find_source(const struct select *sel, const struct rel *r) {
    for (uint32_t i = 0; sel && i < sel->sources; i++)
        if (sel->source[i].rel == r)
            return &sel->source[i];
    return NULL;
}

void out_column(struct out *o, const struct expr *e) {
    const struct rel *r = e->col.rel;
    uint32_t c = e->col.col, n = maker_rel(o->m, r);
    if (out_is_outer(o, r)) {
        out_outer(o, e);
        return;
    }
    if (r->kind == REL_TABLE && o->mode == OUT_FRAGMENT) {
        out_printf(o, "r%u.c%u", n, r->table->column[c].id);
        return;
    }
    struct source *s = r->kind == REL_TABLE || r->kind == REL_CATALOG ? find_source(o->sel, r) : NULL;
    if (r->kind == REL_FUNCTION && r->rows == 1 && r->row[0]->kind == EXPR_SET && r->row[0]->call.fn->second && c > 0)
        c = 3 - c; /* pgset has its number before the second value */
    if (s && s->place && s->place[c] < 0) {
        s->place[c] = (int32_t)s->fetches;
        s->fetch[s->fetches++] = c;
    }
    out_printf(o, "r%u.c%u", n, c);
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

static const struct expr *stand_in(struct maker *m, const struct rel *rel, const struct expr *e, uint32_t col) {
    struct expr *copy = maker_alloc(m, 1, sizeof *copy);
    if (!copy)
        return e;
    *copy = (struct expr){.kind = EXPR_COL, .type = e->type, .location = e->location};
    copy->col.rel = (struct rel *)rel;
    copy->col.col = col;
    return copy;
}

static const struct expr *leaf(struct maker *m, const struct expr *e) {
    if (!maker_room(m, &m->leaf, m->leaves, &m->leaves_max, sizeof *m->leaf))
        return e;
    m->leaf[m->leaves] = e;
    return stand_in(m, &m->leaf_rel, e, m->leaves++);
}

/* What a program cannot see becomes a stand-in, whose value is an argument. */
static const struct expr *for_sql(struct maker *m, const struct expr *e) {
    if (m->rc || !e)
        return e;
    if (partial_has(m, e))
        return leaf(m, e);
    switch (e->kind) {
    case EXPR_PARAM:
        return stand_in(m, &m->params_rel, e, e->param - 1);
    case EXPR_COL: {
        const struct expr *base = expr_base(e);
        return base->kind == EXPR_COL ? base : for_sql(m, base);
    }
    case EXPR_SUBLINK:
    case EXPR_AGG:
    case EXPR_WINDOW:
    case EXPR_GROUPING:
    case EXPR_SET:
        return leaf(m, e);
    default:
        break;
    }
    if (e->args == 0 && e->kind != EXPR_CALL)
        return e;
    if (tree_volatility(e) == FN_STABLE && expr_fixed(e))
        return leaf(m, e);
    struct expr *copy = maker_alloc(m, 1, sizeof *copy);
    struct expr **arg = maker_alloc(m, e->args ? e->args : 1, sizeof *arg);
    if (!copy || !arg)
        return e;
    *copy = *e;
    copy->arg = arg;
    for (uint32_t i = 0; i < e->args; i++)
        arg[i] = (struct expr *)for_sql(m, e->arg[i]);
    return copy;
}

void print_scalar(struct out *o, const struct expr *e) {
    struct maker *m = o->m;
    struct expr_program p = {0};
    if (m->rc)
        return;
    const struct expr *in = for_sql(m, e);
    enum rc rc = m->rc ? m->rc : expr_compile(m->arena, in, &p, m->err);
    if (rc) {
        maker_fail(m, rc);
        return;
    }
    if (p.cols > CALL_ARGS_MAX) {
        maker_unsupported(m, e->location, "an expression over more than %d columns is not supported", CALL_ARGS_MAX);
        return;
    }
    out_puts(o, tree_volatility(in) == FN_VOLATILE ? "pgxv(" : "pgx(");
    out_blob(o, p.bytes, p.n);
    for (uint32_t i = 0; i < p.cols && !m->rc; i++) {
        const struct expr *c = p.col[i];
        out_puts(o, ", ");
        if (c->kind == EXPR_COL && c->col.rel == &m->leaf_rel)
            print_expr(o, m->leaf[c->col.col]);
        else if (c->kind == EXPR_COL && c->col.rel == &m->params_rel) {
            struct expr param = {.kind = EXPR_PARAM, .type = c->type, .location = c->location};
            param.param = c->col.col + 1;
            out_slot(o, maker_calc(m, &param, &param.type, CALC_VALUE));
        } else
            out_column(o, c);
    }
    out_puts(o, ")");
}

/* ---- native ------------------------------------------------------------------------------------------------------ */

static bool reaches_rows(const struct expr *e) {
    const struct expr *in = expr_base(expr_strip(e));
    return in->kind == EXPR_COL || in->kind == EXPR_SUBLINK || in->kind == EXPR_AGG;
}

static void open_paren(struct out *o) {
    out_puts(o, "(");
    o->depth++;
}

static void close_paren(struct out *o) {
    out_puts(o, ")");
    o->depth--;
}

static void operand(struct out *o, const struct expr *e, bool collate) {
    print_expr(o, expr_strip(e));
    if (collate && plan_class(&e->type) == COL_NUMERIC)
        out_puts(o, " COLLATE pgnum");
}

static const char *operator_text(char c) {
    switch (c) {
    case 'l':
        return " <= ";
    case 'g':
        return " >= ";
    case 'n':
        return " <> ";
    case '<':
        return " < ";
    case '>':
        return " > ";
    default:
        return " = ";
    }
}

static bool native_comparison(const struct expr *e) {
    return expr_comparison(e) && (reaches_rows(e->arg[0]) || reaches_rows(e->arg[1]));
}

static bool native_in(const struct expr *e) {
    int class = plan_class(&expr_strip(e->arg[0])->type);
    if (class == 0 || !reaches_rows(e->arg[0]) || fn_comparison(e->call.fn) != '=')
        return false;
    for (uint32_t i = 1; i < e->args; i++)
        if (plan_class(&expr_strip(e->arg[i])->type) != class)
            return false;
    return true;
}

/* As keys.c takes it for spans; the array has one value in a run. */
static bool native_any(const struct expr *e) {
    const struct col *array = &e->arg[1]->type;
    struct col elem = {.type = array->elem, .typmod = COL_TYPMOD_NONE, .type_id = array->type_id};
    int class = plan_class(&expr_strip(e->arg[0])->type);
    return !e->flag && class != 0 && fn_comparison(e->call.fn) == '=' && reaches_rows(e->arg[0]) &&
           array->type == COL_ARRAY && elem.type != COL_NUMERIC && class == plan_class(&elem) && expr_fixed(e->arg[1]);
}

static bool native_distinct(const struct expr *e) {
    int class = plan_class(&expr_strip(e->arg[0])->type);
    return class != 0 && class == plan_class(&expr_strip(e->arg[1])->type) && fn_comparison(e->call.fn) == '=' &&
           (reaches_rows(e->arg[0]) || reaches_rows(e->arg[1]));
}

static void print_list(struct out *o, const struct expr *e, const char *between) {
    open_paren(o);
    for (uint32_t i = 0; i < e->args; i++) {
        if (i > 0)
            out_puts(o, between);
        print_expr(o, e->arg[i]);
    }
    close_paren(o);
}

static void print_in(struct out *o, const struct expr *e) {
    open_paren(o);
    operand(o, e->arg[0], true);
    out_puts(o, e->flag ? " NOT IN (" : " IN (");
    for (uint32_t i = 1; i < e->args; i++) {
        if (i > 1)
            out_puts(o, ", ");
        print_expr(o, expr_strip(e->arg[i]));
    }
    out_puts(o, ")");
    close_paren(o);
}

static void print_any(struct out *o, const struct expr *e) {
    const struct col *array = &e->arg[1]->type;
    open_paren(o);
    operand(o, e->arg[0], true);
    out_puts(o, " IN (SELECT v FROM pgany(");
    print_expr(o, e->arg[1]);
    out_printf(o, ", %u, %u))", array->elem, array->type_id);
    close_paren(o);
}

static void print_case(struct out *o, const struct expr *e) {
    out_puts(o, "CASE");
    for (uint32_t i = 0; i + 1 < e->args; i += 2) {
        out_puts(o, " WHEN ");
        print_expr(o, e->arg[i]);
        out_puts(o, " THEN ");
        print_as(o, e->arg[i + 1], &e->type);
    }
    if (e->args % 2 && e->arg[e->args - 1]) {
        out_puts(o, " ELSE ");
        print_as(o, e->arg[e->args - 1], &e->type);
    }
    out_puts(o, " END");
}

static void print_coalesce(struct out *o, const struct expr *e) {
    out_puts(o, "coalesce(");
    for (uint32_t i = 0; i < e->args; i++) {
        if (i > 0)
            out_puts(o, ", ");
        print_as(o, e->arg[i], &e->type);
    }
    out_puts(o, e->args == 1 ? ", NULL)" : ")");
}

static void print_binary(struct out *o, const struct expr *e, const char *op) {
    open_paren(o);
    operand(o, e->arg[0], true);
    out_puts(o, op);
    operand(o, e->arg[1], false);
    close_paren(o);
}

/* False: it is no business of SQLite's. */
static bool print_native(struct out *o, const struct expr *e) {
    switch (e->kind) {
    case EXPR_AND:
    case EXPR_OR:
        if (e->args > NATIVE_LIST_MAX)
            return false;
        print_list(o, e, e->kind == EXPR_AND ? " AND " : " OR ");
        return true;
    case EXPR_NOT:
        out_puts(o, "(NOT ");
        print_expr(o, e->arg[0]);
        out_puts(o, ")");
        return true;
    case EXPR_IS_NULL:
        if (e->arg[0]->kind == EXPR_ROW || !reaches_rows(e->arg[0]))
            return false;
        open_paren(o);
        print_expr(o, e->arg[0]);
        out_puts(o, e->flag ? " IS NOT NULL" : " IS NULL");
        close_paren(o);
        return true;
    case EXPR_CALL:
        if (!native_comparison(e))
            return false;
        print_binary(o, e, operator_text(expr_comparison(e)));
        return true;
    case EXPR_DISTINCT:
        if (!native_distinct(e))
            return false;
        print_binary(o, e, e->flag ? " IS " : " IS NOT ");
        return true;
    case EXPR_IN:
        if (!native_in(e))
            return false;
        print_in(o, e);
        return true;
    case EXPR_ANY_ARRAY:
        if (!native_any(e))
            return false;
        print_any(o, e);
        return true;
    case EXPR_CASE:
        if (!expr_has_sublink(e))
            return false;
        print_case(o, e);
        return true;
    case EXPR_COALESCE:
        if (!expr_has_sublink(e))
            return false;
        print_coalesce(o, e);
        return true;
    default:
        return false;
    }
}

static void print_fixed(struct out *o, const struct expr *e) {
    const struct expr *in = expr_strip(e);
    if (in->kind == EXPR_CONST && has_literal(&in->value))
        out_literal(o, &in->value);
    else if (tree_volatility(e) == FN_VOLATILE)
        print_scalar(o, e);
    else
        out_slot(o, maker_calc(o->m, e, &e->type, CALC_VALUE));
}

void print_expr(struct out *o, const struct expr *e) {
    if (o->m->rc)
        return;
    e = expr_base(e);
    if (partial_print(o, e))
        return;
    if (e->kind != EXPR_COL && expr_fixed(e)) {
        print_fixed(o, e);
        return;
    }
    switch (e->kind) {
    case EXPR_COL:
        out_column(o, e);
        return;
    case EXPR_SUBLINK:
        print_sublink(o, e);
        return;
    case EXPR_AGG:
        print_aggregate(o, e);
        return;
    case EXPR_WINDOW:
        print_window(o, e);
        return;
    case EXPR_SET:
        print_set_target(o, e);
        return;
    case EXPR_RELABEL:
        if (plan_same_form(&e->type, &e->arg[0]->type)) {
            print_expr(o, e->arg[0]);
            return;
        }
        break;
    case EXPR_GROUPING:
        maker_unsupported(o->m, e->location, "GROUPING is not supported");
        return;
    default:
        break;
    }
    if (o->depth < NATIVE_DEPTH_MAX && print_native(o, e))
        return;
    print_scalar(o, e);
}

void print_as(struct out *o, const struct expr *e, const struct col *type) {
    if (!plan_same_form(&e->type, type)) {
        e = expr_relabel(o->m->arena, e, type);
        if (!e) {
            maker_fail(o->m, RC_NOMEM);
            return;
        }
    }
    print_expr(o, e);
}

void no_order(struct out *o, const struct expr *e) {
    char name[COL_NAME_BYTES];
    maker_unsupported(o->m, e->location, "ordering or grouping by values of type %s is not supported here",
                      col_name(&e->type, name));
}

void print_ordered(struct out *o, const struct expr *e) {
    int class = plan_class(&e->type);
    if (e->type.type == COL_INTERVAL || e->type.type == COL_JSONB ||
        (e->type.type == COL_ARRAY && e->type.elem != COL_ENUM)) {
        out_printf(o, "pgkey(%u, %u, ", e->type.type, e->type.elem);
        print_expr(o, e);
        out_puts(o, ")");
        return;
    }
    if (class == 0) {
        no_order(o, e);
        return;
    }
    print_expr(o, e);
    if (class == COL_NUMERIC)
        out_puts(o, " COLLATE pgnum");
}

void conjuncts_of(struct maker *m, const struct expr *e, const struct expr ***ret, uint32_t *n, uint32_t *max) {
    if (!e)
        return;
    if (e->kind == EXPR_AND) {
        for (uint32_t i = 0; i < e->args; i++)
            conjuncts_of(m, e->arg[i], ret, n, max);
        return;
    }
    if (maker_room(m, ret, *n, max, sizeof **ret))
        (*ret)[(*n)++] = e;
}

static bool is_pushed(const struct out *o, const struct expr *e) {
    for (uint32_t i = 0; o->mode == OUT_FINAL && i < o->m->pushes; i++)
        if (o->m->pushed[i] == e)
            return true;
    return false;
}

void print_conjuncts(struct out *o, const char *before, const struct expr *where, const struct expr *const *more,
                     uint32_t mores) {
    const struct expr **list = NULL;
    uint32_t n = 0, max = 0;
    conjuncts_of(o->m, where, &list, &n, &max);
    for (uint32_t i = 0; i < mores; i++)
        conjuncts_of(o->m, more[i], &list, &n, &max);
    for (uint32_t i = 0; i < n && !o->m->rc; i++) {
        if (is_pushed(o, list[i]))
            continue;
        out_puts(o, before);
        print_expr(o, list[i]);
        before = " AND ";
    }
}
