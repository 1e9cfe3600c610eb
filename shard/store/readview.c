/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readview.c: the virtual tables v<ID>.
 *
 * Each table has an eponymous module of its own on a connection, made when a fragment first needs it (so reading changes no
 * schema). What a statement reads, timestamp and own writes, hangs on the connection while a fragment runs (struct view_run):
 * a connection runs one at a time.
 *
 * A plan says which key or index is entered, how many of its first columns are fixed, the bounds of the next, the order, and
 * which columns are wanted. As text, which also names the cached statements, and shows in EXPLAIN QUERY PLAN:
 *
 *     K==g<or:3f     the key; two columns fixed, the third >= and <, in order, backwards; columns of mask 3f
 *     I7=--..:..     local index 7; one column fixed; no bounds; in no order
 *
 *     '=' equal, 'N' IS (also NULL); lower bound '>' 'g'(>=) '-'; upper bound '<' 'l'(<=) '-'; 'o' ordered or '.'; 'r' or '.'
 *
 * Constraints are pushed down but left to SQLite to check again (omit = 0), so an arm may give more than was asked for, never
 * less. That is what own writes do: they are only narrowed by the fixed first columns of the key.
 */
#include "shard/store/readview.h"

#include <stdlib.h>
#include <string.h>

#include "shard/store/mvcc_internal.h"

enum {
    PLAN_BYTES = 96,
    INNER_MAX = 64,        /* cached statements of a table on a connection */
    HISTORY_NEAR = 4096,   /* so many old versions are rather sorted than looked up by key */
    ROWS_GUESS = 1 << 20,  /* SQLite's own guess for a table */
    COLUMN_MASK_BITS = 63, /* colUsed: the last bit stands for all columns from there on */
};

enum arm { ARM_NONE, ARM_CURRENT, ARM_HISTORY, ARM_OWN };

struct plan {
    bool index;        /* a local index, not the key */
    uint32_t index_id; /* its id */
    uint16_t n_eq;
    char eq[TABLE_KEY_MAX + 1];
    char lower, upper;
    bool ordered, reverse;
    uint64_t used;
    /* of the key or the index */
    const struct table_part *parts;
    uint16_t n_parts;
};

struct module {
    struct map_node node;
    struct conn *conn;
    struct table *desc;
};

/* A prepared statement behind a plan. */
struct inner {
    struct ilist link; /* in vtab.idle unless in use */
    char arm;
    char plan[PLAN_BYTES];
    sqlite3_stmt *stmt;
};

struct vtab {
    sqlite3_vtab base; /* first */
    struct module *mod;
    struct ilist idle; /* the longest unused first */
    size_t n_idle;
};

struct cursor {
    sqlite3_vtab_cursor base; /* first */
    struct vtab *v;
    struct plan plan;
    struct inner *current, *history; /* NULL: that arm is at its end */
    bool own;                        /* the transaction wrote to this table */
    struct overlay_row *rows;        /* own writes that are rows, in the plan's order */
    size_t n_rows, at_row;
    enum arm arm; /* where the cursor stands; ARM_NONE: at the end */
};

static struct vtab *vtab_of(sqlite3_vtab *base) {
    return (struct vtab *)base;
}

static struct cursor *cursor_of(sqlite3_vtab_cursor *base) {
    return (struct cursor *)base;
}

/* ---- modules ----------------------------------------------------------------------------------------------------- */

static const sqlite3_module methods;

static void module_free(void *ctx) {
    struct module *mod = ctx;
    table_unref(mod->desc);
    free(mod);
}

static struct module *find_module(struct conn *c, uint64_t table) {
    for (struct map_node *n = map_first(&c->modules, hash_u64(table)); n; n = map_next(n)) {
        struct module *mod = container_of(n, struct module, node);
        if (mod->desc->id == table)
            return mod;
    }
    return NULL;
}

enum rc readview_register(struct conn *c, const struct table *t, struct err *err) {
    char name[32];
    struct module *mod = find_module(c, t->id);
    if (mod && mod->desc == t)
        return RC_OK;
    if (mod) {
        fragment_cache_forget(c, t->id); /* no statement may still hold the old one */
        map_del(&c->modules, &mod->node);
    }
    mod = calloc(1, sizeof *mod);
    if (!mod)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    mod->conn = c;
    mod->desc = table_ref((struct table *)t);
    snprintf(name, sizeof name, "v%" PRIu64, t->id);
    /* It frees mod, also if it fails. */
    if (sqlite3_create_module_v2(c->db, name, &methods, mod, module_free) != SQLITE_OK)
        return err_sqlite(err, c->db, "make a read view");
    map_put(&c->modules, &mod->node, hash_u64(t->id));
    return RC_OK;
}

void conn_forget_modules(struct conn *c) {
    map_done(&c->modules); /* the connection frees what was in it */
    map_init(&c->modules);
}

static void put_column(struct buf *to, const struct table_col *col) {
    const char *decl = col_decl(&col->col);
    if (strncmp(decl, "ANY", 3) == 0) /* outside of STRICT tables ANY is a number */
        decl += 3;
    buf_printf(to, "c%u %s,", col->id, decl);
}

static int declare(sqlite3 *db, const struct table *t) {
    struct buf sql;
    buf_init(&sql, 0);
    buf_puts(&sql, "CREATE TABLE x(");
    for (uint16_t i = 0; i < t->n_cols; i++)
        put_column(&sql, &t->cols[i]);
    buf_puts(&sql, "_ts INTEGER HIDDEN");
    for (uint16_t i = 0; i < t->n_key && t->layout != TABLE_HEAP; i++)
        buf_printf(&sql, "%sc%u", i ? "," : ",PRIMARY KEY(", t->cols[t->key[i].col].id);
    buf_puts(&sql, t->layout == TABLE_HEAP ? ")" : "))WITHOUT ROWID");
    const char *text = buf_cstr(&sql);
    int code = text ? sqlite3_declare_vtab(db, text) : SQLITE_NOMEM;
    buf_done(&sql);
    return code;
}

static int on_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **ret, char **ret_err) {
    struct module *mod = aux;
    (void)argc, (void)argv, (void)ret_err;
    struct vtab *v = sqlite3_malloc(sizeof *v);
    if (!v)
        return SQLITE_NOMEM;
    *v = (struct vtab){.mod = mod};
    ilist_init(&v->idle);
    int code = declare(db, mod->desc);
    if (code != SQLITE_OK) {
        sqlite3_free(v);
        return code;
    }
    *ret = &v->base;
    return SQLITE_OK;
}

static void inner_free(struct inner *x) {
    sqlite3_finalize(x->stmt);
    free(x);
}

static int on_disconnect(sqlite3_vtab *base) {
    struct vtab *v = vtab_of(base);
    struct inner *x;
    while ((x = ilist_first(&v->idle, struct inner, link))) {
        ilist_del(&x->link);
        inner_free(x);
    }
    sqlite3_free(v);
    return SQLITE_OK;
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

static bool set_parts(struct plan *p, const struct table *t) {
    p->parts = t->key;
    p->n_parts = t->n_key;
    if (!p->index)
        return true;
    const struct table_index *x = table_find_index(t, p->index_id);
    if (!x)
        return false;
    p->parts = x->parts;
    p->n_parts = x->n_parts;
    return true;
}

static void plan_print(const struct plan *p, char to[PLAN_BYTES]) {
    char source[12] = "K";
    if (p->index)
        snprintf(source, sizeof source, "I%u", p->index_id);
    snprintf(to, PLAN_BYTES, "%s%.*s%c%c%c%c:%" PRIx64, source, p->n_eq, p->eq, p->lower, p->upper,
             p->ordered ? 'o' : '.', p->reverse ? 'r' : '.', p->used);
}

static bool plan_parse(const char *s, const struct table *t, struct plan *ret) {
    *ret = (struct plan){.index = *s == 'I'};
    if (*s != 'I' && *s != 'K')
        return false;
    for (s++; ret->index && *s >= '0' && *s <= '9'; s++)
        ret->index_id = ret->index_id * 10 + (uint32_t)(*s - '0');
    for (; (*s == '=' || *s == 'N') && ret->n_eq < TABLE_KEY_MAX; s++)
        ret->eq[ret->n_eq++] = *s;
    if (strlen(s) < 6 || s[4] != ':' || !strchr(">g-", s[0]) || !strchr("<l-", s[1]))
        return false;
    ret->lower = s[0];
    ret->upper = s[1];
    ret->ordered = s[2] == 'o';
    ret->reverse = s[3] == 'r';
    ret->used = strtoull(s + 5, NULL, 16);
    return set_parts(ret, t) && ret->n_eq <= ret->n_parts;
}

struct search {
    sqlite3_index_info *info;
    const struct table *t;
};

static bool same_collation(const struct search *s, int i) {
    const char *c = sqlite3_vtab_collation(s->info, i);
    return c && strcmp(c, col_collation(&s->t->cols[s->info->aConstraint[i].iColumn].col)) == 0;
}

/* A usable constraint on the column with one of these operators, or -1. */
static int find_constraint(const struct search *s, uint16_t col, const uint8_t *ops, size_t n_ops) {
    for (int i = 0; i < s->info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &s->info->aConstraint[i];
        if (!c->usable || c->iColumn != col)
            continue;
        for (size_t j = 0; j < n_ops; j++)
            if (c->op == ops[j] && (c->op == SQLITE_INDEX_CONSTRAINT_ISNULL || same_collation(s, i)))
                return i;
    }
    return -1;
}

/* A plan with the constraints that feed it. */
struct candidate {
    struct plan plan;
    int constraint[TABLE_KEY_MAX + 2], n_constraints;
    double rows, cost;
    bool unique;
};

static void find_order(const struct search *s, struct plan *p) {
    int at = p->n_eq;
    if (s->info->nOrderBy == 0)
        return;
    for (int i = 0; i < s->info->nOrderBy; i++) {
        const struct sqlite3_index_orderby *o = &s->info->aOrderBy[i];
        bool fixed = false;
        for (uint16_t j = 0; j < p->n_eq; j++)
            fixed = fixed || p->parts[j].col == o->iColumn;
        if (fixed)
            continue;
        if (at == p->n_parts && !p->index) /* the key is unique: what follows does not matter */
            break;
        if (at == p->n_parts || p->parts[at].col != o->iColumn)
            return;
        bool reverse = (o->desc != 0) != p->parts[at].desc;
        if (at > p->n_eq && reverse != p->reverse)
            return;
        p->reverse = reverse;
        at++;
    }
    p->ordered = true;
}

/* SQLite's own guesses where it has no statistics. */
static void estimate(struct candidate *c, const struct table *t) {
    const struct plan *p = &c->plan;
    c->unique = !p->index && p->n_eq == t->n_key;
    c->rows = ROWS_GUESS;
    if (c->unique)
        c->rows = 1;
    else if (p->n_eq > 0)
        c->rows = p->n_eq > 5 ? 5 : 11 - p->n_eq;
    if (p->lower != '-')
        c->rows /= 4;
    if (p->upper != '-')
        c->rows /= p->lower != '-' ? 16 : 4;
    if (c->rows < 1)
        c->rows = 1;
    c->cost = 10 + c->rows * (p->index ? 4 : 2);
}

static void try_parts(const struct search *s, const struct table_index *x, struct candidate *best) {
    static const uint8_t eq_ops[] = {SQLITE_INDEX_CONSTRAINT_EQ, SQLITE_INDEX_CONSTRAINT_IS,
                                     SQLITE_INDEX_CONSTRAINT_ISNULL};
    static const uint8_t lower_ops[] = {SQLITE_INDEX_CONSTRAINT_GT, SQLITE_INDEX_CONSTRAINT_GE};
    static const uint8_t upper_ops[] = {SQLITE_INDEX_CONSTRAINT_LT, SQLITE_INDEX_CONSTRAINT_LE};
    struct candidate c = {.plan = {.index = x != NULL, .index_id = x ? x->id : 0, .lower = '-', .upper = '-'}};
    struct plan *p = &c.plan;
    set_parts(p, s->t);
    int i;
    while (p->n_eq < p->n_parts && (i = find_constraint(s, p->parts[p->n_eq].col, eq_ops, ARRAY_LEN(eq_ops))) >= 0) {
        p->eq[p->n_eq++] = s->info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ ? '=' : 'N';
        c.constraint[c.n_constraints++] = i;
    }
    if (p->n_eq < p->n_parts) {
        uint16_t col = p->parts[p->n_eq].col;
        if ((i = find_constraint(s, col, lower_ops, ARRAY_LEN(lower_ops))) >= 0) {
            p->lower = s->info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_GT ? '>' : 'g';
            c.constraint[c.n_constraints++] = i;
        }
        if ((i = find_constraint(s, col, upper_ops, ARRAY_LEN(upper_ops))) >= 0) {
            p->upper = s->info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_LT ? '<' : 'l';
            c.constraint[c.n_constraints++] = i;
        }
    }
    find_order(s, p);
    estimate(&c, s->t);
    if (x && c.n_constraints == 0 && !p->ordered)
        return; /* the key is as good for a scan */
    if (s->info->nOrderBy > 0 && !p->ordered)
        c.cost += c.rows * 3; /* SQLite sorts */
    if (c.cost < best->cost)
        *best = c;
}

static int on_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
    struct search s = {info, vtab_of(base)->mod->desc};
    struct candidate best = {.cost = 1e99};
    try_parts(&s, NULL, &best);
    for (uint16_t i = 0; i < s.t->n_indexes; i++)
        try_parts(&s, &s.t->indexes[i], &best);
    best.plan.used = info->colUsed;
    for (int i = 0; i < best.n_constraints; i++)
        info->aConstraintUsage[best.constraint[i]].argvIndex = i + 1;
    char text[PLAN_BYTES];
    plan_print(&best.plan, text);
    info->idxStr = sqlite3_mprintf("%s", text);
    if (!info->idxStr)
        return SQLITE_NOMEM;
    info->needToFreeIdxStr = 1;
    info->orderByConsumed = best.plan.ordered;
    info->estimatedCost = best.cost;
    info->estimatedRows = (sqlite3_int64)best.rows;
    if (best.unique)
        info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
    return SQLITE_OK;
}

/* ---- the statements behind a plan -------------------------------------------------------------------------------- */

static bool wanted(const struct plan *p, const struct table *t, uint16_t col) {
    if (p->used & (UINT64_C(1) << (col < COLUMN_MASK_BITS ? col : COLUMN_MASK_BITS)))
        return true;
    if (table_key_place(t, col) >= 0) /* own writes are found by it */
        return true;
    for (uint16_t i = 0; i < p->n_parts; i++)
        if (p->parts[i].col == col)
            return true;
    return false;
}

static void put_constraints(struct buf *to, const struct plan *p, const struct table *t) {
    int param = 1;
    for (uint16_t i = 0; i < p->n_eq; i++)
        buf_printf(to, "c%u%s?%d AND ", t->cols[p->parts[i].col].id, p->eq[i] == 'N' ? " IS " : "=", param++);
    if (p->lower != '-')
        buf_printf(to, "c%u%s?%d AND ", t->cols[p->parts[p->n_eq].col].id, p->lower == 'g' ? ">=" : ">", param++);
    if (p->upper != '-')
        buf_printf(to, "c%u%s?%d AND ", t->cols[p->parts[p->n_eq].col].id, p->upper == 'l' ? "<=" : "<", param++);
}

static int plan_params(const struct plan *p) {
    return p->n_eq + (p->lower != '-') + (p->upper != '-');
}

static void put_order(struct buf *to, const struct plan *p, const struct table *t) {
    for (uint16_t i = p->n_eq; i < p->n_parts; i++)
        buf_printf(to, "%sc%u%s", i > p->n_eq ? "," : " ORDER BY ", t->cols[p->parts[i].col].id,
                   p->parts[i].desc != p->reverse ? " DESC" : "");
}

static void put_source(struct buf *to, const struct plan *p, const struct table *t, char arm) {
    bool scan = p->n_eq == 0 && p->lower == '-' && p->upper == '-' && !p->ordered;
    buf_printf(to, " FROM t%" PRIu64, t->id);
    if (arm == 'k')
        buf_printf(to, "_h INDEXED BY t%" PRIu64 "_hk", t->id);
    else if (arm == 'i')
        buf_puts(to, "_h NOT INDEXED");
    else if (p->index)
        buf_printf(to, " INDEXED BY t%" PRIu64 "_i%u", t->id, p->index_id);
    else if (t->layout == TABLE_HEAP && !scan)
        buf_printf(to, " INDEXED BY t%" PRIu64 "_k", t->id);
    else if (t->layout == TABLE_CLUSTERED)
        buf_printf(to, " INDEXED BY sqlite_autoindex_t%" PRIu64 "_1", t->id);
    else
        buf_puts(to, " NOT INDEXED");
}

/* Columns: _ts, those of the table (NULL where nobody asks), for a heap what tells rows apart. Parameters: the plan's, then
 * T, then for 'i' the first _id. A whole key's history needs one look: its intervals do not overlap (V1). */
static void put_inner(struct buf *to, const struct plan *p, const struct table *t, char arm) {
    int ts = plan_params(p) + 1;
    bool point = !p->index && p->n_eq == t->n_key;
    buf_puts(to, "SELECT _ts");
    for (uint16_t i = 0; i < t->n_cols; i++)
        if (wanted(p, t, i))
            buf_printf(to, ",c%u", t->cols[i].id);
        else
            buf_puts(to, ",NULL");
    if (t->layout == TABLE_HEAP)
        buf_puts(to, arm == 'c' ? ",rowid" : ",_id");
    put_source(to, p, t, arm);
    buf_puts(to, " WHERE ");
    put_constraints(to, p, t);
    if (arm == 'c')
        buf_printf(to, "_ts<=?%d", ts);
    else if (arm == 'i')
        buf_printf(to, "_id>=?%d AND _end>?%d AND _ts<=?%d", ts + 1, ts, ts);
    else if (point)
        buf_printf(to, "_end>?%d AND _ts<_end ORDER BY _end LIMIT 1", ts); /* a deletion may end where it ends */
    else
        buf_printf(to, "_end>?%d AND _ts<=?%d", ts, ts);
    if (p->ordered && !(point && arm == 'k'))
        put_order(to, p, t);
}

bool readview_inner_sql(const struct table *t, const char *plan, char arm, struct buf *to) {
    struct plan p;
    if (!plan_parse(plan, t, &p) || (arm == 'k' && p.index))
        return false;
    put_inner(to, &p, t, arm);
    return true;
}

void readview_simple_sql(const struct table *t, int ts, int first, struct buf *to) {
    struct buf cols;
    buf_init(&cols, 0);
    for (uint16_t i = 0; i < t->n_cols; i++)
        buf_printf(&cols, "c%u,", t->cols[i].id);
    const char *names = buf_cstr(&cols);
    if (!names)
        to->rc = RC_NOMEM;
    else
        buf_printf(to,
                   "(SELECT %s_ts FROM t%" PRIu64 " WHERE _ts<=?%d UNION ALL SELECT %s_ts FROM t%" PRIu64
                   "_h WHERE _id>=?%d AND _ts<=?%d AND _end>?%d)",
                   names, t->id, ts, names, t->id, first, ts, ts);
    buf_done(&cols);
}

static enum rc inner_take(struct cursor *cur, char arm, struct inner **ret) {
    struct vtab *v = cur->v;
    char plan[PLAN_BYTES];
    plan_print(&cur->plan, plan);
    ilist_for_each(it, &v->idle) {
        struct inner *x = ilist_entry(it, struct inner, link);
        if (x->arm == arm && strcmp(x->plan, plan) == 0) {
            ilist_del(&x->link);
            v->n_idle--;
            *ret = x;
            return RC_OK;
        }
    }
    struct buf sql;
    struct inner *x = calloc(1, sizeof *x);
    if (!x)
        return RC_NOMEM;
    ilist_init(&x->link);
    x->arm = arm;
    snprintf(x->plan, sizeof x->plan, "%s", plan);
    buf_init(&sql, 0);
    put_inner(&sql, &cur->plan, v->mod->desc, arm);
    enum rc rc = buf_rc(&sql);
    if (!rc)
        rc = prepare(v->mod->conn->db, (const char *)sql.data, sql.len, &x->stmt, NULL);
    buf_done(&sql);
    if (rc) {
        free(x);
        return rc;
    }
    *ret = x;
    return RC_OK;
}

static void inner_give(struct cursor *cur, struct inner **x) {
    struct vtab *v = cur->v;
    if (!*x)
        return;
    sqlite3_reset((*x)->stmt);
    if (v->n_idle == INNER_MAX) {
        struct inner *old = ilist_first(&v->idle, struct inner, link);
        ilist_del(&old->link);
        inner_free(old);
        v->n_idle--;
    }
    ilist_push_front(&v->idle, &(*x)->link); /* the next search finds it at once */
    v->n_idle++;
    *x = NULL;
}

/* ---- where the history after T begins ---------------------------------------------------------------------------- */

static enum rc probe(sqlite3_stmt *s, int64_t from, int64_t *ret_id, int64_t *ret_hi, bool *ret_any) {
    sqlite3_bind_int64(s, 1, from);
    int code = sqlite3_step(s);
    *ret_any = code == SQLITE_ROW;
    if (*ret_any) {
        *ret_id = sqlite3_column_int64(s, 0);
        *ret_hi = sqlite3_column_int64(s, 1);
    }
    int reset = sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? RC_OK : reset == SQLITE_NOMEM ? RC_NOMEM : RC_IO;
}

/* Binary search: _hi does not decrease with _id (V2). _ids may have gaps. */
static enum rc search_history(sqlite3_stmt *up, sqlite3_stmt *down, int64_t ts, int64_t *ret_first, int64_t *ret_last) {
    int64_t lo = 0, hi = 0, id = 0, at_hi = 0;
    bool any = false;
    enum rc rc = probe(down, INT64_MAX, &hi, &at_hi, &any);
    *ret_first = 1;
    *ret_last = 0;
    if (rc || !any || at_hi <= ts)
        return rc;
    *ret_last = hi; /* its _hi is above ts */
    rc = probe(up, 0, &lo, &at_hi, &any);
    while (!rc && lo < hi) { /* the answer is in [lo, hi] */
        int64_t mid = lo + (hi - lo) / 2;
        rc = probe(up, mid, &id, &at_hi, &any);
        if (!rc && at_hi > ts)
            hi = mid; /* no row between mid and id: the answer, an _id or a gap before it, is at or before mid */
        else
            lo = id + 1;
    }
    *ret_first = lo;
    return rc;
}

enum rc readview_history(struct conn *c, uint64_t table, int64_t ts, int64_t *ret_first, int64_t *ret_last,
                         struct err *err) {
    char sql[160];
    sqlite3_stmt *up = NULL, *down = NULL;
    int n = snprintf(sql, sizeof sql,
                     "SELECT _id,_hi FROM t%" PRIu64 "_h NOT INDEXED WHERE _id>=?1 ORDER BY _id LIMIT 1", table);
    enum rc rc = prepare(c->db, sql, (size_t)n, &up, err);
    n = snprintf(sql, sizeof sql,
                 "SELECT _id,_hi FROM t%" PRIu64 "_h NOT INDEXED WHERE _id<=?1 ORDER BY _id DESC LIMIT 1", table);
    if (!rc)
        rc = prepare(c->db, sql, (size_t)n, &down, err);
    if (!rc) {
        rc = search_history(up, down, ts, ret_first, ret_last);
        if (rc)
            err_set(err, rc, "search the history of table %" PRIu64 ": %s", table, rc_text(rc));
    }
    sqlite3_finalize(up);
    sqlite3_finalize(down);
    return rc;
}

static enum rc history_of(struct conn *c, uint64_t table, int64_t *ret_first, int64_t *ret_last) {
    struct view_run *run = c->run;
    for (size_t i = 0; i < run->n_history; i++)
        if (run->history[i].table == table) {
            *ret_first = run->history[i].first;
            *ret_last = run->history[i].last;
            return RC_OK;
        }
    enum rc rc = readview_history(c, table, run->ts, ret_first, ret_last, NULL);
    if (!rc && run->n_history < ARRAY_LEN(run->history))
        run->history[run->n_history++] = (struct view_history){table, *ret_first, *ret_last};
    return rc;
}

/* ---- arms -------------------------------------------------------------------------------------------------------- */

static int sqlite_code(enum rc rc, sqlite3 *db) {
    int code = sqlite3_errcode(db) & 0xff;
    if (rc == RC_NOMEM)
        return SQLITE_NOMEM;
    return code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_IOERR : sqlite3_extended_errcode(db);
}

/* To the statement's next row; at its end the arm is NULL. */
static int inner_step(struct cursor *cur, struct inner **arm) {
    int code = sqlite3_step((*arm)->stmt);
    if (code == SQLITE_ROW)
        return SQLITE_OK;
    if (code == SQLITE_DONE) {
        inner_give(cur, arm);
        return SQLITE_OK;
    }
    return code;
}

/* Is the row that a statement stands on to be seen? Own writes hide it; what left the range at a split is not ours. */
static enum rc visible(struct cursor *cur, struct inner *x, bool *ret) {
    const struct table *t = cur->v->mod->desc;
    struct conn *c = cur->v->mod->conn;
    bool untrimmed = c->pinned ? c->pinned->untrimmed : c->m->untrimmed;
    *ret = true;
    if (LIKELY(!cur->own && !untrimmed))
        return RC_OK;
    struct value key[TABLE_KEY_MAX];
    struct overlay_row own;
    for (uint16_t i = 0; i < t->n_key; i++)
        if (value_column(x->stmt, 1 + t->key[i].col, &key[i]))
            return RC_NOMEM;
    if (untrimmed && rowkey_clip(c, &c->run->scratch, t, key, ret))
        return RC_NOMEM;
    if (cur->own && *ret && c->run->overlay->ops->get(c->run->overlay, t, key, &own))
        *ret = false;
    return RC_OK;
}

static int arm_next(struct cursor *cur, struct inner **arm, bool step) {
    bool seen = false;
    while (*arm && !seen) {
        int code = step ? inner_step(cur, arm) : SQLITE_OK;
        step = true;
        if (code != SQLITE_OK)
            return code;
        if (*arm && visible(cur, *arm, &seen))
            return SQLITE_NOMEM;
    }
    return SQLITE_OK;
}

static int arm_open(struct cursor *cur, char which, sqlite3_value **argv, int64_t first, struct inner **arm) {
    struct vtab *v = cur->v;
    int n = plan_params(&cur->plan), code = SQLITE_OK;
    enum rc rc = inner_take(cur, which, arm);
    if (rc)
        return sqlite_code(rc, v->mod->conn->db);
    sqlite3_stmt *s = (*arm)->stmt;
    for (int i = 0; i < n && code == SQLITE_OK; i++)
        code = sqlite3_bind_value(s, i + 1, argv[i]);
    sqlite3_bind_int64(s, n + 1, v->mod->conn->run->ts);
    if (which == 'i')
        sqlite3_bind_int64(s, n + 2, first);
    return code == SQLITE_OK ? arm_next(cur, arm, true) : code;
}

/* Which way into the history; '\0': it has nothing for us. */
static enum rc choose_history(struct cursor *cur, char *ret_arm, int64_t *ret_first) {
    const struct plan *p = &cur->plan;
    struct conn *c = cur->v->mod->conn;
    const struct tabview *tv = conn_table(c, cur->v->mod->desc->id);
    int64_t last = 0;
    *ret_arm = '\0';
    if (!tv || c->run->ts >= tv->last) /* V5 */
        return RC_OK;
    if (!p->index && p->n_eq > 0) {
        *ret_arm = 'k';
        return RC_OK;
    }
    enum rc rc = history_of(c, cur->v->mod->desc->id, ret_first, &last);
    if (rc || *ret_first > last)
        return rc;
    bool near = last - *ret_first < HISTORY_NEAR;
    bool narrow = !p->index && (p->ordered || p->lower != '-' || p->upper != '-');
    *ret_arm = near || !narrow ? 'i' : 'k';
    return RC_OK;
}

/* The history of a whole key is one row, which may have begun after T. */
static int point_history(struct cursor *cur, sqlite3_value **argv) {
    int code = arm_open(cur, 'k', argv, 0, &cur->history);
    if (code == SQLITE_OK && cur->history && sqlite3_column_int64(cur->history->stmt, 0) > cur->v->mod->conn->run->ts)
        inner_give(cur, &cur->history);
    return code;
}

/* ---- own writes -------------------------------------------------------------------------------------------------- */

/* Makes *v what the column would store of it. False: unclear, or nothing equals it. */
static bool as_stored(const struct col *c, struct value *v) {
    enum value_kind want = col_kind(c);
    if (v->kind == VALUE_NULL || v->kind == want)
        return true;
    if (want == VALUE_INT && v->kind == VALUE_REAL && v->r >= -9e15 && v->r <= 9e15 && v->r == (double)(int64_t)v->r) {
        *v = value_int((int64_t)v->r);
        return true;
    }
    if (want == VALUE_REAL && v->kind == VALUE_INT && v->i >= -(INT64_C(1) << 53) && v->i <= INT64_C(1) << 53) {
        *v = (struct value){.kind = VALUE_REAL, .r = (double)v->i};
        return true;
    }
    return want == VALUE_REAL && v->kind == VALUE_BLOB; /* NaN */
}

/* The fixed first columns of the key, as far as they are clear. */
static uint16_t own_prefix(const struct cursor *cur, sqlite3_value **argv, struct value *key) {
    const struct table *t = cur->v->mod->desc;
    uint16_t n = 0;
    while (!cur->plan.index && n < cur->plan.n_eq) {
        if (value_from_sqlite(argv[n], &key[n]) || !as_stored(&t->cols[t->key[n].col].col, &key[n]))
            break;
        n++;
    }
    return n;
}

static enum rc add_row(struct cursor *cur, size_t *cap, const struct overlay_row *row) {
    if (cur->n_rows == *cap) {
        size_t n = *cap ? *cap * 2 : 16;
        struct overlay_row *rows = realloc(cur->rows, n * sizeof *rows);
        if (!rows)
            return RC_NOMEM;
        cur->rows = rows;
        *cap = n;
    }
    cur->rows[cur->n_rows++] = *row;
    return RC_OK;
}

static int compare_part(const struct cursor *cur, uint16_t i, const struct value *a, const struct value *b) {
    const struct plan *p = &cur->plan;
    int c = col_compare(&cur->v->mod->desc->cols[p->parts[i].col].col, a, b);
    return p->parts[i].desc != p->reverse ? -c : c;
}

static int compare_own(const void *x, const void *y, void *ctx) {
    const struct overlay_row *a = x, *b = y;
    const struct cursor *cur = ctx;
    const struct plan *p = &cur->plan;
    for (uint16_t i = p->n_eq; i < p->n_parts; i++) {
        int c = compare_part(cur, i, &a->values[p->parts[i].col], &b->values[p->parts[i].col]);
        if (c)
            return c;
    }
    return 0;
}

/* *ret_all: there is a write to the whole key that was asked for, so nothing else can be an answer. */
static enum rc load_own(struct cursor *cur, sqlite3_value **argv, bool *ret_all) {
    const struct table *t = cur->v->mod->desc;
    struct overlay *o = cur->v->mod->conn->run->overlay;
    struct overlay_cursor *oc = NULL;
    struct overlay_row row;
    struct value key[TABLE_KEY_MAX];
    size_t cap = 0;
    uint16_t n = own_prefix(cur, argv, key);
    enum rc rc = RC_OK;
    if (n == t->n_key) {
        *ret_all = o->ops->get(o, t, key, &row);
        return *ret_all && !row.deleted ? add_row(cur, &cap, &row) : RC_OK;
    }
    rc = o->ops->open(o, t, key, n, &oc);
    if (rc)
        return rc;
    while (!rc && o->ops->next(oc, &row))
        if (!row.deleted)
            rc = add_row(cur, &cap, &row);
    o->ops->close(oc);
    if (!rc && cur->plan.ordered && cur->n_rows > 1)
        qsort_r(cur->rows, cur->n_rows, sizeof *cur->rows, compare_own, cur);
    return rc;
}

/* ---- the merge --------------------------------------------------------------------------------------------------- */

static enum rc order_value(const struct cursor *cur, enum arm arm, uint16_t col, struct value *ret) {
    if (arm == ARM_OWN) {
        *ret = cur->rows[cur->at_row].values[col];
        return RC_OK;
    }
    return value_column((arm == ARM_CURRENT ? cur->current : cur->history)->stmt, 1 + col, ret);
}

/* Does arm b come before arm a? */
static enum rc comes_before(const struct cursor *cur, enum arm a, enum arm b, bool *ret) {
    const struct plan *p = &cur->plan;
    *ret = false;
    for (uint16_t i = p->n_eq; i < p->n_parts; i++) {
        struct value x, y;
        if (order_value(cur, a, p->parts[i].col, &x) || order_value(cur, b, p->parts[i].col, &y))
            return RC_NOMEM;
        int c = compare_part(cur, i, &x, &y);
        if (c) {
            *ret = c > 0;
            return RC_OK;
        }
    }
    return RC_OK;
}

/* Sets cur->arm to the arm whose row is next. */
static int choose(struct cursor *cur) {
    const struct {
        enum arm arm;
        bool there;
    } arms[] = {
        {ARM_CURRENT, cur->current != NULL}, {ARM_HISTORY, cur->history != NULL}, {ARM_OWN, cur->at_row < cur->n_rows}};
    cur->arm = ARM_NONE;
    for (size_t i = 0; i < ARRAY_LEN(arms); i++) {
        bool before = false;
        if (!arms[i].there)
            continue;
        if (cur->arm != ARM_NONE && !cur->plan.ordered)
            break; /* one arm after the other */
        if (cur->arm != ARM_NONE && comes_before(cur, cur->arm, arms[i].arm, &before))
            return SQLITE_NOMEM;
        if (cur->arm == ARM_NONE || before)
            cur->arm = arms[i].arm;
    }
    return SQLITE_OK;
}

/* ---- cursors ----------------------------------------------------------------------------------------------------- */

static int on_open(sqlite3_vtab *base, sqlite3_vtab_cursor **ret) {
    struct cursor *cur = sqlite3_malloc(sizeof *cur);
    if (!cur)
        return SQLITE_NOMEM;
    *cur = (struct cursor){.v = vtab_of(base)};
    *ret = &cur->base;
    return SQLITE_OK;
}

static void cursor_clear(struct cursor *cur) {
    inner_give(cur, &cur->current);
    inner_give(cur, &cur->history);
    free(cur->rows);
    cur->rows = NULL;
    cur->n_rows = cur->at_row = 0;
    cur->arm = ARM_NONE;
    cur->own = false;
}

static int on_close(sqlite3_vtab_cursor *base) {
    struct cursor *cur = cursor_of(base);
    cursor_clear(cur);
    sqlite3_free(cur);
    return SQLITE_OK;
}

static bool asks_for_null(const struct plan *p, sqlite3_value **argv) {
    for (int i = 0; i < plan_params(p); i++)
        if ((i >= p->n_eq || p->eq[i] == '=') && sqlite3_value_type(argv[i]) == SQLITE_NULL)
            return true; /* no row compares with it */
    return false;
}

static int on_filter(sqlite3_vtab_cursor *base, int num, const char *text, int argc, sqlite3_value **argv) {
    struct cursor *cur = cursor_of(base);
    struct conn *c = cur->v->mod->conn;
    const struct table *t = cur->v->mod->desc;
    int64_t first = 0;
    char arm = '\0';
    (void)num, (void)argc;
    cursor_clear(cur);
    CHECK(c->run); /* a fragment is under way */
    CHECK(plan_parse(text, t, &cur->plan));
    if (asks_for_null(&cur->plan, argv))
        return SQLITE_OK;
    struct overlay *o = c->run->overlay;
    cur->own = o && o->ops->touches(o, t->id);
    bool point = !cur->plan.index && cur->plan.n_eq == t->n_key, all = false;
    if (cur->own && load_own(cur, argv, &all))
        return SQLITE_NOMEM;
    if (all)
        return choose(cur);
    int code = arm_open(cur, 'c', argv, 0, &cur->current);
    if (code == SQLITE_OK && !(point && cur->current)) {
        enum rc rc = choose_history(cur, &arm, &first);
        if (rc)
            code = sqlite_code(rc, c->db);
        else if (arm && point)
            code = point_history(cur, argv);
        else if (arm)
            code = arm_open(cur, arm, argv, first, &cur->history);
    }
    return code == SQLITE_OK ? choose(cur) : code;
}

static int on_next(sqlite3_vtab_cursor *base) {
    struct cursor *cur = cursor_of(base);
    int code = SQLITE_OK;
    switch (cur->arm) {
    case ARM_CURRENT:
        code = arm_next(cur, &cur->current, true);
        break;
    case ARM_HISTORY:
        code = arm_next(cur, &cur->history, true);
        break;
    case ARM_OWN:
        cur->at_row++;
        break;
    case ARM_NONE:
        break;
    }
    bool goes_on = (cur->arm == ARM_CURRENT && cur->current) || (cur->arm == ARM_HISTORY && cur->history);
    if (goes_on && !cur->plan.ordered)
        return code;
    return code == SQLITE_OK ? choose(cur) : code;
}

static int on_eof(sqlite3_vtab_cursor *base) {
    return cursor_of(base)->arm == ARM_NONE;
}

static int on_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int col) {
    struct cursor *cur = cursor_of(base);
    int n_cols = cur->v->mod->desc->n_cols;
    if (cur->arm == ARM_OWN) {
        if (col < n_cols && col < cur->rows[cur->at_row].n_values)
            value_result(ctx, &cur->rows[cur->at_row].values[col]);
        return SQLITE_OK; /* _ts of what is not committed: NULL */
    }
    sqlite3_stmt *s = (cur->arm == ARM_CURRENT ? cur->current : cur->history)->stmt;
    sqlite3_result_value(ctx, sqlite3_column_value(s, col == n_cols ? 0 : col + 1));
    return SQLITE_OK;
}

/* Only of heaps: stable and different for each row of a run. Own rows go by their address, below zero. */
static int on_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret) {
    struct cursor *cur = cursor_of(base);
    int at = cur->v->mod->desc->n_cols + 1;
    if (cur->arm == ARM_OWN)
        *ret = -(sqlite3_int64)(intptr_t)cur->rows[cur->at_row].values;
    else if (cur->arm == ARM_CURRENT)
        *ret = sqlite3_column_int64(cur->current->stmt, at) * 2;
    else
        *ret = sqlite3_column_int64(cur->history->stmt, at) * 2 + 1;
    return SQLITE_OK;
}

static const sqlite3_module methods = {
    .iVersion = 2,
    .xConnect = on_connect,
    .xBestIndex = on_best_index,
    .xDisconnect = on_disconnect,
    .xOpen = on_open,
    .xClose = on_close,
    .xFilter = on_filter,
    .xNext = on_next,
    .xEof = on_eof,
    .xColumn = on_column,
    .xRowid = on_rowid,
};
