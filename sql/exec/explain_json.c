/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain_json.c: EXPLAIN (FORMAT JSON): the lines of the text as one document. A line is the title of a node, or a property of the
 * node above it that is indented less; both come in the order of the text, so a node's properties may stand behind its children.
 *
 *     [{"Plan": {"Node Type": "Update on accounts", "Plans": [{"Node Type": "Scan on ...", "Spans": "..."}]}, "Time in ...": "..."}]
 *
 * A property that a node has more than once is an array.
 */
#include <string.h>

#include "sql/exec/explain_json.h"
#include "sql/types/jsondoc.h"

struct explain_prop {
    struct explain_prop *next;
    const char *key, *text;
    bool said;
};

struct explain_node {
    struct explain_node *up, *next, *first, *last;
    int indent;
    const char *title;
    struct explain_prop *props, *last_prop;
};

void explain_tree_init(struct explain_tree *t) {
    *t = (struct explain_tree){.rc = RC_OK};
    arena_init(&t->arena, 0);
}

void explain_tree_done(struct explain_tree *t) {
    arena_done(&t->arena);
}

static void add_prop(struct explain_tree *t, struct explain_node *n, const char *key, const char *text) {
    struct explain_prop *p = arena_new(&t->arena, struct explain_prop);
    if (p)
        *p = (struct explain_prop){.key = key, .text = arena_strdup(&t->arena, text)};
    if (!p || !p->text) {
        t->rc = RC_NOMEM;
        return;
    }
    if (n->last_prop)
        n->last_prop->next = p;
    else
        n->props = p;
    n->last_prop = p;
}

void explain_tree_add(struct explain_tree *t, int indent, const char *key, const char *text) {
    if (t->rc)
        return;
    if (!t->root) {
        t->root = t->at = arena_new(&t->arena, struct explain_node);
        if (!t->root) {
            t->rc = RC_NOMEM;
            return;
        }
        *t->root = (struct explain_node){.indent = -1};
    }
    while (t->at->indent >= indent)
        t->at = t->at->up;
    if (key) {
        add_prop(t, t->at, key, text);
        return;
    }
    struct explain_node *n = arena_new(&t->arena, struct explain_node);
    if (n)
        *n = (struct explain_node){.up = t->at, .indent = indent};
    if (!n || !(n->title = arena_strdup(&t->arena, strncmp(text, "->  ", 4) == 0 ? text + 4 : text))) {
        t->rc = RC_NOMEM;
        return;
    }
    if (t->at->last)
        t->at->last->next = n;
    else
        t->at->first = n;
    t->at->last = n;
    t->at = n;
}

static void line(struct buf *to, int depth, const char *before) {
    buf_printf(to, "%s\n%*s", before, 2 * depth, "");
}

static void quoted(struct buf *to, const char *text) {
    js_print_string(text, strlen(text), to);
}

static void print_props(struct buf *to, struct explain_node *n, int depth, const char *before) {
    for (struct explain_prop *p = n->props; p; p = p->next) {
        bool more = false;
        if (p->said)
            continue;
        for (const struct explain_prop *q = p->next; q; q = q->next)
            more = more || strcmp(q->key, p->key) == 0;
        line(to, depth, before);
        before = ",";
        quoted(to, p->key);
        buf_puts(to, more ? ": [" : ": ");
        quoted(to, p->text);
        for (struct explain_prop *q = p->next; q; q = q->next)
            if (strcmp(q->key, p->key) == 0) {
                buf_puts(to, ", ");
                quoted(to, q->text);
                q->said = true;
            }
        buf_puts(to, more ? "]" : "");
    }
}

/* As deep as the text is indented: a few levels. */
static void print_node(struct buf *to, struct explain_node *n, int depth) {
    buf_putc(to, '{');
    line(to, depth + 1, "");
    buf_puts(to, "\"Node Type\": ");
    quoted(to, n->title);
    print_props(to, n, depth + 1, ",");
    if (n->first) {
        line(to, depth + 1, ",");
        buf_puts(to, "\"Plans\": [");
        for (struct explain_node *c = n->first; c; c = c->next) {
            line(to, depth + 2, c == n->first ? "" : ",");
            print_node(to, c, depth + 2);
        }
        line(to, depth + 1, "");
        buf_putc(to, ']');
    }
    line(to, depth, "");
    buf_putc(to, '}');
}

enum rc explain_tree_print(struct explain_tree *t, struct buf *to) {
    if (t->rc)
        return t->rc;
    buf_puts(to, "[\n  {");
    if (t->root && t->root->first) { /* there is one: the whole */
        line(to, 2, "");
        buf_puts(to, "\"Plan\": ");
        print_node(to, t->root->first, 2);
    }
    if (t->root)
        print_props(to, t->root, 2, t->root->first ? "," : "");
    buf_puts(to, "\n  }\n]");
    return buf_rc(to);
}
