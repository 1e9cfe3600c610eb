/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h: a table as a tablet knows it: columns by id, the primary key, local indexes. The catalog names them; a tablet does
 * not need names, so renaming is none of its business.
 *
 * Promise     A descriptor says all that the store needs to keep the table's rows, and nothing that differs between replicas.
 *             Its bytes (table_encode) are versioned; table_decode takes bytes from anywhere, checks every count and relation,
 *             and ignores what a later version has put behind what it knows.
 * Relies on   value.h for what a column holds.
 * Threads     one at a time; a descriptor does not change once it is made and is shared by counting references.
 *
 * In SQLite a table is
 *
 *     t<ID>      the current version of each row: a column c<ID> for each column, and _ts, its commit timestamp
 *     t<ID>_h    the versions before: _id (rowid, append-only), the columns, _ts, _end, _hi (mvcc.h)
 *     t<ID>_hk   the index on (key, _end) of that
 *     t<ID>_i<INDEX>   a local index of t<ID>
 *
 * Layout of t<ID>, by its key:
 *
 *     TABLE_ROWID       one int2, int4 or int8: INTEGER PRIMARY KEY, the fastest that SQLite has
 *     TABLE_CLUSTERED   any other key without NULLs: WITHOUT ROWID, PRIMARY KEY (key)
 *     TABLE_HEAP        a key with a column that may be NULL (of an index that is a table of its own): a rowid nobody sees, and
 *                       an index t<ID>_k on the key, since SQLite allows no NULL in the key of WITHOUT ROWID
 *
 * Columns are only ever added at the end or marked as dropped; the place of a column in the list never changes, so a row
 * image written under an older version is the beginning of one of today's.
 */
#ifndef MERIDIAN_STORE_TABLE_H
#define MERIDIAN_STORE_TABLE_H

#include "shard/store/value.h"
#include "truetime/base/buf.h"

enum {
    TABLE_COLUMNS_MAX = 1600,
    TABLE_KEY_MAX = 32,
    TABLE_INDEXES_MAX = 64,
    TABLE_INDEX_COLUMNS_MAX = 32,
    TABLE_ANCESTORS_MAX = 8,
    TABLE_BYTES_MAX = 256 << 10, /* of an encoded descriptor */
};

enum table_layout { TABLE_ROWID = 1, TABLE_CLUSTERED = 2, TABLE_HEAP = 3 };

struct table_col {
    uint32_t id; /* > 0, unique in the table for ever */
    struct col col;
    bool not_null; /* of a key column it decides the layout; else a matter of the layers above */
    bool hidden;   /* no part of SELECT *: a key that the user did not declare */
    bool dropped;  /* nobody reads it any more; new rows have NULL there */
    /* What rows have in it that were written before the column was added: ADD COLUMN ... DEFAULT. NULL else. */
    struct value missing;
};

/* A column of a key or an index. */
struct table_part {
    uint16_t col; /* place in cols */
    bool desc;
};

struct table_index {
    uint32_t id; /* > 0, unique among the table's indexes for ever */
    uint16_t n_parts;
    const struct table_part *parts;
};

/* An interleaved table's rows lie behind those of its parent: their keys begin with the parent's key columns. */
struct table_ancestor {
    uint64_t table;
    uint16_t n_key; /* how many of our key columns belong to it and those above it */
};

struct table {
    uint64_t id;              /* > 0, at most UINT32_MAX */
    uint64_t group;           /* the table group that its keys begin with; at most UINT32_MAX */
    uint32_t version;         /* > 0, rises with each change */
    enum table_layout layout; /* follows from the rest */
    uint16_t n_cols, n_key, n_indexes, n_ancestors;
    const struct table_col *cols;
    const struct table_part *key;
    const struct table_index *indexes;
    const struct table_ancestor *ancestors; /* from the root down, the table itself not among them */
    int64_t since;                          /* on a tablet: when it became so, by a transaction; 0 = not known */
};

/* A counted copy of *from (its layout is computed). RC_INVAL: it does not hold together; RC_NOMEM. */
enum rc table_new(const struct table *from, struct table **ret, struct err *err) MUST_CHECK;
struct table *table_ref(struct table *t);
void table_unref(struct table *t); /* NULL is fine */

/* Appends the descriptor's bytes; buf_rc tells. docs/formats.md has the format. */
void table_encode(const struct table *t, struct buf *to);
/* RC_CORRUPT with the reason. */
enum rc table_decode(const void *bytes, size_t n, struct table **ret, struct err *err) MUST_CHECK;

/* May `to` follow `from` (the same table, a higher version, columns kept in place, the same key)? RC_INVAL. */
enum rc table_follows(const struct table *from, const struct table *to, struct err *err) MUST_CHECK;
/* Are they the same but for `since`? */
bool table_same(const struct table *a, const struct table *b);

/* The place of a column, or -1. */
int table_find_col(const struct table *t, uint32_t id);
const struct table_index *table_find_index(const struct table *t, uint32_t id);
/* Is the column at this place part of the key? Its place in the key, or -1. */
int table_key_place(const struct table *t, uint16_t col);

/* Appends the key of a row (key.h): the group, the first n values of its key, and the numbers of interleaved tables between
 * them. n < n_key: the beginning that all such rows share. */
enum rc table_key_put(struct buf *to, const struct table *t, const struct value *key, uint16_t n,
                      struct err *err) MUST_CHECK;

/* ---- SQL -------------------------------------------------------------------------------------------------------- */

/* The statements that make a table, one after the other, and those that take `from` to `to`. buf_rc tells. */
void table_sql_create(const struct table *t, struct buf *to);
void table_sql_alter(const struct table *from, const struct table *to, struct buf *out);
void table_sql_drop(const struct table *t, struct buf *to);

#endif
