/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcat.h: a catalog in memory, for tests of what reads catalogs.
 *
 *     struct memcat *m = memcat_new();
 *     memcat_table(m, "accounts", "aid int4 not null, bid int4, abalance int4 default 0, filler char(84)", "aid");
 *     memcat_index(m, "accounts", "accounts_bid", "bid, abalance desc", NULL, 0);
 *     ... memcat_source(m) ...
 *     memcat_free(m);
 *
 * Promise     Descriptors are made by cat_table_new, with stores that table_new accepts, so what a test sees is what a user's
 *             tables look like. A description that is wrong stops the test. Ids are given in order from CAT_ID_USER; schemas
 *             are pg_catalog (11), public (2200) and information_schema (13000).
 * Threads     one.
 */
#ifndef MERIDIAN_TESTS_MEMCAT_H
#define MERIDIAN_TESTS_MEMCAT_H

#include "sql/catalog/catalog.h"

enum { MEMCAT_PG_CATALOG = 11, MEMCAT_PUBLIC = 2200, MEMCAT_INFORMATION_SCHEMA = 13000 };
enum memcat_index_flag { MEMCAT_UNIQUE = 1, MEMCAT_GLOBAL = 2, MEMCAT_CONSTRAINT = 4 };

struct memcat;

struct memcat *memcat_new(void);
void memcat_free(struct memcat *m);
struct cat_source *memcat_source(struct memcat *m);

/* name: "t" is public's, "pg_catalog.t" a system table (whose rows come from elsewhere: no key, no store).
 * columns: "NAME TYPE [not null] [identity always | identity by default] [default EXPRESSION]", with commas between; a comma
 * inside of parentheses or quotes is the expression's. TYPE is one word of PostgreSQL's (int4, text, varchar(20),
 * numeric(10,2), timestamptz, int4[], ...), or serial.
 * key: "a, b desc"; NULL: a hidden column "_key" of type uuid is added. Good as long as the catalog is. */
const struct cat_table *memcat_table(struct memcat *m, const char *name, const char *columns, const char *key);
/* columns: "a, b desc"; where: a partial index's rule, or NULL. Gives the table's new version. */
const struct cat_table *memcat_index(struct memcat *m, const char *table, const char *name, const char *columns,
                                     const char *where, unsigned flags);
const struct cat_table *memcat_check(struct memcat *m, const char *table, const char *name, const char *sql);
const struct cat_table *memcat_view(struct memcat *m, const char *name, const char *columns, const char *sql);
const struct cat_table *memcat_find(struct memcat *m, const char *name); /* NULL: there is none */

#endif
