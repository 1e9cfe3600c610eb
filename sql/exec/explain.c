/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain.c: a plan for people: which way it is carried out, what each fragment reads and, after a run, what came of it.
 *
 *     Update on accounts
 *       ->  Scan on accounts by key, row by row
 *             Spans: 1 key, on one tablet
 *             Fragment: SELECT r0.c1 AS c0, ... FROM accounts AS r0 WHERE (r0.c1 = ?2)
 *             Actual: rows=1 batches=1 tablets=1 bytes=61 time=0.212 ms
 *     Time: network 0.000 ms, locks 0.001 ms, sqlite 0.034 ms, ... in 2 round trips
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sql/exec/exec_internal.h"
#include "sql/exec/explain_json.h"

struct explain {
    const struct plan *plan;
    const struct exec *ran; /* NULL: it has not */
    struct exec *values;    /* to compute spans with */
    struct txn *txn;
    bool verbose;
    struct explain_tree *tree; /* of JSON; NULL: text */
    enum rc (*on_line)(void *ctx, const char *line, struct err *err);
    void *ctx;
    struct err *err;
    enum rc rc;
};

/* A line of the text: the title of a node (key NULL), or one of its properties. */
static void say_line(struct explain *x, int indent, const char *key, const char *fmt, va_list ap) PRINTF_LIKE(4, 0);
static void say_line(struct explain *x, int indent, const char *key, const char *fmt, va_list ap) {
    struct buf b;
    if (x->rc)
        return;
    buf_init(&b, 0);
    if (!x->tree)
        buf_printf(&b, "%*s%s%s", indent, "", key ? key : "", key ? ": " : "");
    buf_vprintf(&b, fmt, ap);
    const char *line = buf_cstr(&b);
    if (!line)
        x->rc = err_set(x->err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    else if (x->tree)
        explain_tree_add(x->tree, indent, key, line);
    else
        x->rc = x->on_line(x->ctx, line, x->err);
    buf_done(&b);
}

static void say(struct explain *x, int indent, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(struct explain *x, int indent, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say_line(x, indent, NULL, fmt, ap);
    va_end(ap);
}

static void say_of(struct explain *x, int indent, const char *key, const char *fmt, ...) PRINTF_LIKE(4, 5);
static void say_of(struct explain *x, int indent, const char *key, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say_line(x, indent, key, fmt, ap);
    va_end(ap);
}

static const char *table_name(const struct select *s, uint64_t id) {
    for (uint32_t i = 0; i < s->sources; i++)
        if (s->source[i].table->store && s->source[i].table->store->id == id)
            return s->source[i].table->name;
    for (uint32_t i = 0; i < s->sources; i++)
        for (uint16_t k = 0; k < s->source[i].table->indexes; k++)
            if (s->source[i].table->index[k].id == id)
                return s->source[i].table->index[k].name;
    return "?";
}

/* The text with tables by name and without the bytes of programs. */
static void readable(const struct select *s, const char *sql, struct buf *to) {
    while (*sql) {
        if (*sql == '{') {
            char *end;
            buf_puts(to, table_name(s, strtoull(sql + 1, &end, 10)));
            sql = *end ? end + 1 : end;
        } else if (sql[0] == 'x' && sql[1] == '\'') {
            const char *end = strchr(sql + 2, '\'');
            size_t n = end ? (size_t)(end - sql) + 1 : strlen(sql);
            if (n > 20)
                buf_puts(to, "x'...'");
            else
                buf_put(to, sql, n);
            sql += n;
        } else if (*sql == '\'') {
            const char *end = strchr(sql + 1, '\'');
            size_t n = end ? (size_t)(end - sql) + 1 : strlen(sql);
            buf_put(to, sql, n);
            sql += n;
        } else {
            buf_putc(to, (uint8_t)*sql++);
        }
    }
}

static void say_text(struct explain *x, int indent, const char *what, const struct select *s, const char *sql) {
    struct buf b;
    buf_init(&b, 0);
    readable(s, sql, &b);
    const char *text = buf_cstr(&b);
    size_t n = text ? strlen(text) : 0;
    if (!x->verbose && n > 400)
        for (n = 400; ((uint8_t)text[n] & 0xC0) == 0x80;) /* between characters */
            n--;
    if (text)
        say_of(x, indent, what, "%.*s%s", (int)n, text, text[n] ? " ..." : "");
    buf_done(&b);
}

static void say_actual(struct explain *x, int indent, const struct text *t) {
    for (const struct scan_note *n = x->ran ? x->ran->notes : NULL; n; n = n->next) {
        if (n->text != t)
            continue;
        say_of(x, indent, "Actual",
               "rows=%" PRIu64 " batches=%" PRIu64 " tablets=%u remote=%u bytes=%" PRIu64 " time=%.3f ms%s",
               n->stats.rows, n->stats.batches, n->stats.tablets, n->stats.remote, n->stats.bytes,
               (double)n->stats.total_ns / 1e6, n->runs > 1 ? ", read again" : "");
    }
}

static bool by_whole_key(const struct keys *k) {
    return k->parts > 0 && k->parts == k->table->n_key && k->part[k->parts - 1].eqs > 0;
}

static const char *how_found(const struct keys *k) {
    if (k->never)
        return "no row can match";
    if (by_whole_key(k))
        return "by key";
    return k->parts > 0 ? "by a part of the key" : "all rows";
}

static void say_spans(struct explain *x, int indent, const struct keys *k) {
    struct span_set spans;
    struct buf b;
    bool one = false;
    if (x->rc)
        return;
    if (!x->values) {
        say_of(x, indent, "Spans", "%s", k->parts ? "from the parameters" : "the whole table");
        return;
    }
    x->rc = spans_of(x->values, k, &spans, x->err);
    if (!x->rc && spans.n > 0)
        x->rc = txn_on_one_tablet(x->txn, spans.v, spans.n, &one, x->err);
    buf_init(&b, 0);
    for (size_t i = 0; !x->rc && i < spans.n && i < 3; i++) {
        buf_puts(&b, i ? ", " : "");
        span_print(spans.v[i], &b);
    }
    const char *text = buf_cstr(&b);
    if (!x->rc && spans.n == 0)
        say_of(x, indent, "Spans", "none");
    else if (!x->rc)
        say_of(x, indent, "Spans", "%zu, on %s: %s%s", spans.n, one ? "one tablet" : "several tablets",
               text ? text : "", spans.n > 3 ? ", ..." : "");
    buf_done(&b);
}

static void say_via(struct explain *x, int indent, const struct select *sel, const struct source *s) {
    if (!s->via)
        return;
    say(x, indent, "Index: %s, %s", s->via->index->name, how_found(&s->via->keys));
    say_spans(x, indent + 2, &s->via->keys);
    say_text(x, indent + 2, "Fragment", sel, s->via->text.sql);
    say_actual(x, indent + 2, &s->via->text);
}

static void say_source(struct explain *x, int indent, const struct select *sel, const struct source *s) {
    if (s->virtual_rows) {
        say(x, indent, "->  Rows of %s.%s", s->table->schema_name, s->table->name);
        return;
    }
    say(x, indent, "->  Scan on %s, %s%s%s%s", s->table->name, s->via ? "through an index" : how_found(&s->keys),
        s->partial ? ", by tablet: " : "", s->partial ? s->partial : "",
        s->lock > LOCK_SHARED ? ", locked for update" : "");
    say_via(x, indent + 6, sel, s);
    if (!s->via)
        say_spans(x, indent + 6, &s->keys);
    if (s->text.sql) {
        say_actual(x, indent + 6, s->by_keys);
        say_text(x, indent + 6, "Fragment", sel, s->text.sql);
        say_actual(x, indent + 6, &s->text);
        for (int i = 0; i < POINT_PARTS_MAX; i++)
            say_actual(x, indent + 6, &s->point[i]);
    }
}

static void say_final(struct explain *x, int indent, const struct select *s) {
    say(x, indent, "Final stage on the gateway%s%s%s", s->only_final && s->why_final ? " (for " : "",
        s->only_final && s->why_final ? s->why_final : "", s->only_final && s->why_final ? ")" : "");
    say_text(x, indent + 2, "Query", s, s->final.sql);
    for (uint32_t i = 0; i < s->sources; i++)
        say_source(x, indent + 2, s, &s->source[i]);
}

static bool on_one_tablet(struct explain *x, const struct select *s) {
    struct span_set all = {NULL, 0}, one;
    bool yes = true;
    for (uint32_t i = 0; x->values && i < s->sources && !x->rc; i++) {
        x->rc = spans_of(x->values, &s->source[i].keys, &one, x->err);
        if (!x->rc)
            x->rc = span_set_union(&x->values->arena, all, one, &all, x->err);
    }
    if (!x->rc && all.n == 0)
        return false;
    if (!x->rc && x->values)
        x->rc = txn_on_one_tablet(x->txn, all.v, all.n, &yes, x->err);
    return yes;
}

static void say_select(struct explain *x, int indent, const struct select *s) {
    if (s->is_rows) {
        say(x, indent, "Result: %u row%s, computed on the gateway", s->rows, s->rows == 1 ? "" : "s");
        return;
    }
    if (s->found) {
        say(x, indent, "Rows of %s that nobody else has locked, each by its key", s->source[0].table->name);
        if (s->spread.limit != CALC_NONE || s->spread.offset != CALC_NONE)
            say_of(x, indent + 2, "Limit", "counted on the gateway");
        say_text(x, indent + 2, "Fragment", s, s->again.sql);
        say_actual(x, indent + 2, &s->again);
        say(x, indent + 2, "->  Found without locks");
        say_select(x, indent + 6, s->found);
        return;
    }
    if (s->spread.text.sql) {
        const struct source *src = &s->source[0];
        say(x, indent, "Scan on %s, %s, row by row%s%s", src->table->name,
            src->via ? "through an index" : how_found(&src->keys), s->spread.ordered ? ", in the order of the key" : "",
            s->spread.reverse ? ", backwards" : "");
        if (s->spread.limit != CALC_NONE || s->spread.offset != CALC_NONE)
            say_of(x, indent + 2, "Limit", "counted on the gateway, tablets stop early");
        say_via(x, indent + 2, s, src);
        if (!src->via)
            say_spans(x, indent + 2, &src->keys);
        say_actual(x, indent + 2, s->spread.by_keys);
        say_text(x, indent + 2, "Fragment", s, s->spread.text.sql);
        say_actual(x, indent + 2, &s->spread.text);
        return;
    }
    bool whole = s->whole.sql && s->sources > 0;
    if (x->ran && whole)
        whole = x->ran->read.found ? x->ran->read.found->whole : x->ran->read.whole;
    else if (whole)
        whole = on_one_tablet(x, s);
    if (!whole) {
        say_final(x, indent, s);
        return;
    }
    say(x, indent, "Whole statement on one tablet");
    say_text(x, indent + 2, "Fragment", s, s->whole.sql);
    say_actual(x, indent + 2, &s->whole);
    for (uint32_t i = 0; i < s->sources; i++) {
        say(x, indent + 2, "->  %s, %s", s->source[i].table->name, how_found(&s->source[i].keys));
        say_spans(x, indent + 6, &s->source[i].keys);
    }
}

static void say_dml(struct explain *x, const struct dml *d) {
    static const char *const words[] = {
        [QUERY_INSERT] = "Insert", [QUERY_UPDATE] = "Update", [QUERY_DELETE] = "Delete"};
    say(x, 0, "%s on %s", words[d->kind], d->table->name);
    if (d->conflict)
        say_of(x, 2, "On conflict", "%s", d->conflict->update ? "update" : "nothing");
    for (uint16_t i = 0; i < d->table->indexes; i++)
        if (d->table->index[i].kind == CAT_INDEX_GLOBAL)
            say_of(x, 2, "Index", "%s%s", d->table->index[i].name, d->table->index[i].unique ? ", unique" : "");
    say_select(x, 2, &d->read);
}

static void say_times(struct explain *x) {
    const struct txn_times *t = x->txn ? txn_times(x->txn) : NULL;
    struct buf b;
    if (!x->ran || !t)
        return;
    buf_init(&b, 0);
    for (int i = 0; i < TXN_CAUSES; i++)
        if (t->ns[i] > 0)
            buf_printf(&b, "%s%s %.3f ms", b.len ? ", " : "", txn_cause_name((enum txn_cause)i),
                       (double)t->ns[i] / 1e6);
    const char *text = buf_cstr(&b);
    say_of(x, 0, "Time in the transaction", "%.3f ms%s%s%s, %u round trips", (double)t->total_ns / 1e6,
           b.len ? " (" : "", text ? text : "", b.len ? ")" : "", t->round_trips);
    buf_done(&b);
}

static enum rc say_tree(struct explain *x) {
    struct buf b;
    buf_init(&b, 0);
    enum rc rc = explain_tree_print(x->tree, &b);
    const char *text = rc ? NULL : buf_cstr(&b);
    rc = text ? x->on_line(x->ctx, text, x->err) : err_set(x->err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    buf_done(&b);
    return rc;
}

enum rc exec_explain(const struct plan *p, const struct exec *e, const struct exec_env *env, const struct value *params,
                     bool verbose, bool json, enum rc (*on_line)(void *ctx, const char *line, struct err *err),
                     void *ctx, struct err *err) {
    struct explain x = {.plan = p, .ran = e, .verbose = verbose, .on_line = on_line, .ctx = ctx, .err = err};
    struct explain_tree tree;
    explain_tree_init(&tree);
    x.tree = json ? &tree : NULL;
    x.txn = env ? env->txn : NULL;
    if (x.txn && (params || plan_params(p) == 0))
        x.rc = exec_values(p, env, params, &x.values, err);
    if (!x.rc && p->dml)
        say_dml(&x, p->dml);
    else if (!x.rc)
        say_select(&x, 0, &p->select);
    say_times(&x);
    exec_close(x.values);
    if (!x.rc && json)
        x.rc = say_tree(&x);
    explain_tree_done(&tree);
    return x.rc;
}
