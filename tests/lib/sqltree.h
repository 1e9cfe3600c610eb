/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqltree.h: statements analysed over a schema that tests share.
 *
 *     struct sqltree t;
 *     sqltree_init(&t);
 *     rc = sqltree_analyse(&t, "SELECT 1", &ret, &err);      ret is good until the next call
 *     sqltree_done(&t);
 *
 * The tables are those that tests/unit/sql/analyse_expected.pl creates in PostgreSQL, and pgbench's.
 * Threads     one; short statements need no reactor.
 */
#ifndef MERIDIAN_TESTS_SQLTREE_H
#define MERIDIAN_TESTS_SQLTREE_H

#include "sql/analyse/analyse.h"
#include "tests/lib/memcat.h"

struct sqltree {
    struct memcat *catalog;
    struct arena arena;
    struct arena scratch; /* of folding */
    struct type_session types;
    struct fn_env env;
    struct reactor *reactor; /* for long texts; NULL: short ones only */
    struct analysed last;
};

void sqltree_init(struct sqltree *t);
void sqltree_done(struct sqltree *t);
/* One statement. */
enum rc sqltree_analyse(struct sqltree *t, const char *text, struct analysed *ret, struct err *err);
/* Does the tree keep what tree.h promises: types, references, arguments, outer queries? Stops the process if not. */
void sqltree_check(const struct analysed *a);

#endif
