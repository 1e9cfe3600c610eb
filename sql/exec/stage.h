/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.h: the virtual tables of the final stage, for stage.c and vtab.c.
 *
 * Promise     A table s<N> gives the rows of source N, each time the same ones. The first look reads them as they come; when
 *             they are looked at again, or by equality, they are kept in memory, with a hash for each set of columns. Looks
 *             by key read only what they ask for, many at a time (lookahead.c), unless the table is small.
 * Relies on   read.c for scans.
 * Threads     the reactor's own, one fiber.
 */
#ifndef MERIDIAN_SQL_STAGE_H
#define MERIDIAN_SQL_STAGE_H

#include "sql/exec/exec_internal.h"

/* Rows by the values of some columns. */
struct hash_index {
    struct hash_index *next;
    char *columns; /* as in idxStr: "0,3" */
    struct map map;
};

struct kept_row {
    struct kept_row *next;
    const struct value *v;
    uint64_t number;
};

/* The last keys that were asked for together, and their rows. */
struct lookahead {
    struct arena arena;
    struct map asked, rows;
    struct kept_row *first, **last; /* the rows, for those whose keys they give */
    size_t bytes;                   /* of the run's memory */
    uint16_t parts;                 /* of the key; 0: there is no batch */
    uint16_t size;                  /* of the next one */
    unsigned standing;              /* cursors on it: it stays */
    bool off;                       /* a batch was too large for the memory */
    uint64_t next_try;              /* looks by key, until the whole table is tried again */
};

struct vsource {
    struct stage *stage;
    const struct source *source;
    uint32_t looks;
    bool loaded;
    struct arena arena; /* of the rows, if they are loaded */
    size_t bytes;
    struct kept_row *first, **last;
    uint64_t rows;
    struct hash_index *indexes;
    uint64_t looks_by_key; /* keys that were asked for, not the whole table */
    struct lookahead ahead;
    struct vcursor *cursor; /* the last one that was opened */
    bool few;               /* by its keys */
};

/* A row that was read before its turn. */
struct peeked {
    struct peeked *next;
    const struct value *v;
};

struct vcursor {
    sqlite3_vtab_cursor base;
    struct vsource *source;
    struct feed feed; /* while it streams */
    bool streams;
    bool in_batch;           /* row and hit are of the source's batch */
    const struct value *row; /* NULL: the end */
    const struct kept_row *at;
    struct map_node *hit;
    struct buf key;
    uint64_t hash;
    sqlite3_int64 rowid;
    struct arena ahead[2]; /* of peeked rows, by turns: the present row may lie in the other one */
    int ahead_at;
    struct peeked *peeked;
};

struct stage {
    struct exec *e;
    const struct select *select;
    sqlite3 *db;
    struct scratch_vfs *scratch;
    sqlite3_stmt *stmt;
    struct vsource *source;
    struct value *row;
    struct fn_env fn;
    struct arena fn_arena;
    /* What a source said, while SQLite only knows that something failed. */
    enum rc rc;
    struct err err;
};

/* What SQLite says of a connection in memory, which is none of the store's. */
enum rc stage_error(sqlite3 *db, const char *doing, struct err *err);
/* Makes s<N> known to the stage's SQLite. */
enum rc vsource_register(struct vsource *s, struct err *err) MUST_CHECK;
/* pgkey: what intervals and arrays are sorted by. For tablets too. */
enum rc sortkey_register(sqlite3 *db, struct err *err) MUST_CHECK;
/* pgany: the elements of an array. For tablets too. */
enum rc anyfn_register(sqlite3 *db, struct err *err) MUST_CHECK;
/* pgset, functions that give rows. */
enum rc setfn_register(struct stage *g, struct err *err) MUST_CHECK;
/* pglat<number>. */
enum rc lateral_register(struct stage *g, uint32_t number, struct err *err) MUST_CHECK;
/* Why SQLite failed. */
enum rc stage_failed(struct stage *g, const char *doing, struct err *err);
void vsource_init(struct vsource *s, struct stage *g, const struct source *source);
/* All of its rows are kept; g->err says why not. */
enum rc vsource_load(struct vsource *s) MUST_CHECK;
void vsource_done(struct vsource *s);
/* A column of the source's relation in one of its rows; NULL where it was not fetched. */
const struct value *vsource_value(const struct source *s, const struct value *row, uint32_t col);
/* The rows behind the present one, at least n if there are so many; *ret NULL: none. */
enum rc vcursor_peek(struct vcursor *c, size_t n, const struct peeked **ret, struct err *err) WAITS MUST_CHECK;

/* ---- lookahead.c ------------------------------------------------------------------------------------------------- */

void lookahead_init(struct vsource *s);
void lookahead_done(struct vsource *s);
/* The rows with these first n values of the key, together with what will be asked for next. *ret_done false: nobody knows that. */
enum rc lookahead_find(struct vcursor *c, const struct value *key, uint16_t n, bool *ret_done,
                       struct err *err) WAITS MUST_CHECK;
void lookahead_next(struct vcursor *c);
void lookahead_leave(struct vcursor *c);
/* Is it time to try the whole table, up to *ret_rows rows? */
bool lookahead_try_all(struct vsource *s, uint64_t *ret_rows);

#endif
