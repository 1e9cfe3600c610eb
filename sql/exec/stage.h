/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.h: the virtual tables of the final stage, for stage.c and vtab.c.
 *
 * Promise     A table s<N> gives the rows of source N, each time the same ones. The first look reads them as they come; when
 *             they are looked at again, or by equality, they are kept in memory, with a hash for each set of columns.
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

struct vsource {
    struct stage *stage;
    const struct source *source;
    uint32_t looks;
    bool loaded;
    struct kept_row *first, **last;
    uint64_t rows;
    struct hash_index *indexes;
    unsigned points; /* looks that were answered by reading only what they asked for */
    bool few;        /* by its keys */
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
void vsource_done(struct vsource *s);

#endif
