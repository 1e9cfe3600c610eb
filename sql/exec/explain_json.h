/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain_json.h: the lines of an EXPLAIN as one JSON document.
 *
 *     explain_tree_init(&t);
 *     explain_tree_add(&t, indent, NULL, "Scan on accounts");           a node
 *     explain_tree_add(&t, indent + 2, "Spans", "1, on one tablet");    a property of it
 *     rc = explain_tree_print(&t, &buf);
 *     explain_tree_done(&t);
 *
 * Promise     Every line is in the document, under the node that it is indented under; the document is valid JSON.
 * Relies on   keys outlive the tree; titles and texts are copied and are UTF-8.
 * Threads     one.
 */
#ifndef MERIDIAN_SQL_EXEC_EXPLAIN_JSON_H
#define MERIDIAN_SQL_EXEC_EXPLAIN_JSON_H

#include "truetime/base/arena.h"
#include "truetime/base/buf.h"

struct explain_node;

struct explain_tree {
    struct arena arena;
    struct explain_node *root, *at;
    enum rc rc;
};

void explain_tree_init(struct explain_tree *t);
void explain_tree_done(struct explain_tree *t);
/* key NULL: a node. */
void explain_tree_add(struct explain_tree *t, int indent, const char *key, const char *text);
enum rc explain_tree_print(struct explain_tree *t, struct buf *to) MUST_CHECK;

#endif
