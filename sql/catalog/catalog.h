/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.h: what a database consists of, as the analyser and the planner see it: names, columns, keys, indexes, rules.
 *
 * Promise     Descriptors are immutable and counted: a plan keeps those it was made from, whatever DDL does meanwhile. Each
 *             carries its version; a request to a tablet names (table id, version), so a stale gateway is told and never gives
 *             a wrong answer. A name that is not found has been looked for at a strong timestamp (no "does not exist" from a
 *             cache).
 * Relies on   the store below for keeping them: cat_source, which the tablets' system tables implement, and a map in memory in
 *             tests.
 * Threads     the reactor's own.
 *
 * Ids: one sequence for tables, indexes, sequences, types, schemas, databases, roles; below CAT_ID_USER they are the system's.
 * An id is an oid of PostgreSQL's tables of the catalog, and (for tables and global indexes) the table group or table of keys.
 */
#ifndef MERIDIAN_SQL_CATALOG_H
#define MERIDIAN_SQL_CATALOG_H

#include "shard/store/table.h"

enum {
    CAT_ID_USER = 16384, /* PostgreSQL's FirstNormalObjectId */
    CAT_NAME_BYTES_MAX = 63,
};

struct cat_column {
    const char *name;
    uint32_t id; /* table_col's */
    struct col type;
    bool not_null, hidden, dropped;
    const char *default_sql; /* as PostgreSQL prints it; NULL = none */
    uint32_t sequence;       /* serial, identity: the sequence's id; else 0 */
    char identity;           /* 'a' always, 'd' by default, 0 */
    const char *generated_sql;
    const char *comment;
};

struct cat_part {
    uint16_t col; /* place in columns */
    bool desc;
};

enum cat_index_kind { CAT_INDEX_LOCAL, CAT_INDEX_GLOBAL };
enum cat_state { CAT_ABSENT, CAT_DELETE_ONLY, CAT_WRITE_ONLY, CAT_PUBLIC };

struct cat_index {
    const char *name;
    uint32_t id; /* global: the id of the table that it is; local: of table_index */
    uint8_t kind, state;
    bool unique, nulls_not_distinct, constraint;
    uint16_t parts, includes;
    const struct cat_part *part;
    const uint16_t *include; /* places in columns */
    const char *where_sql;   /* a partial index; NULL = all rows */
    /* global: its rows: the parts, then the key, then the includes; a column by the id that it has in the table, each once. Its
     * key: unique: the parts alone, so that a second row is RC_EXISTS; rows with a NULL among them (unless nulls_not_distinct)
     * are not in it. Else the parts, then the key. */
    const struct table *store;
};

struct cat_check {
    const char *name;
    const char *sql;
    bool validated;
};

struct cat_foreign_key {
    const char *name;
    uint32_t table; /* referenced */
    uint16_t cols;
    const uint16_t *col, *ref; /* places here and there */
    char on_update, on_delete; /* 'a' no action, 'r' restrict, 'c' cascade, 'n' set null, 'd' set default */
    bool deferrable, deferred;
};

enum cat_relkind { CAT_TABLE = 'r', CAT_VIEW = 'v', CAT_SYSTEM = 's' };

struct cat_table {
    uint32_t refs;
    uint32_t id, schema, owner;
    uint32_t version;
    const char *name, *schema_name;
    uint8_t kind; /* cat_relkind; SYSTEM: rows come from the gateway (pg_catalog, meridian.*) */
    uint16_t columns, keys, indexes, checks, foreign_keys;
    const struct cat_column *column;
    const struct cat_part *key; /* the primary key; a hidden column's where none was declared */
    const char *key_name;       /* of the constraint; NULL where none was declared */
    const struct cat_index *index;
    const struct cat_check *check;
    const struct cat_foreign_key *foreign_key;
    uint32_t parent; /* interleaved in */
    const char *placement;
    const char *view_sql;
    const char *comment;
    const struct table *store; /* as tablets know it; NULL for views and system tables */
};

/* A counted deep copy of *from; store is referenced. RC_NOMEM, RC_INVAL: it does not hold together. */
enum rc cat_table_new(const struct cat_table *from, struct cat_table **ret, struct err *err) MUST_CHECK;
struct cat_table *cat_table_ref(const struct cat_table *t);
void cat_table_unref(const struct cat_table *t); /* NULL is fine */
/* The place of a column by name, or -1. Dropped ones have no name. */
int cat_column_find(const struct cat_table *t, const char *name);

/* ---- looking up ------------------------------------------------------------------------------------------------- */

struct cat_schema {
    uint32_t id, owner;
    char name[CAT_NAME_BYTES_MAX + 1];
};

/* The catalog of one database, at one moment. */
struct cat_source;

struct cat_source_ops {
    /* RC_OK with *ret NULL: there is none. A reference for the caller. */
    enum rc (*table)(struct cat_source *s, uint32_t schema, const char *name, const struct cat_table **ret,
                     struct err *err) WAITS;
    enum rc (*table_by_id)(struct cat_source *s, uint32_t id, const struct cat_table **ret, struct err *err) WAITS;
    /* id 0: there is none. */
    enum rc (*schema)(struct cat_source *s, const char *name, struct cat_schema *ret, struct err *err) WAITS;
    /* The id of a table, view, index or sequence, for 'name'::regclass; 0: there is none. NULL: only tables are known. */
    enum rc (*relation)(struct cat_source *s, uint32_t schema, const char *name, uint32_t *ret, struct err *err) WAITS;
};

struct cat_source {
    const struct cat_source_ops *ops;
    uint64_t version; /* rises with each change that this source has seen: part of a plan's key */
};

#endif
