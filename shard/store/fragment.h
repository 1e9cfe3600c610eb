/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment.h: runs the part of a query that a tablet answers: SQLite SQL over the tablet's tables at one timestamp.
 *
 * Promise     The rows are those of the fragment's SQL over the tables as they were at ts, with the transaction's own writes,
 *             whichever form each table was read in (readview.h). A fragment never changes anything. It never keeps the
 *             reactor longer than a slice: short ones run in one go on the tablet's main connection and see all that is
 *             applied; one that takes more steps or gives more rows than that begins anew on a reader connection, pinned, and
 *             yields in between.
 * Relies on   the caller for safe time, and for checking its lease and generation in the same turn as the pin (on_pin). An
 *             open batch is not taken back by a fragment, unless SQLite fails for lack of memory or by a disk error: then
 *             the tablet is broken, as mvcc.h says.
 * Threads     the reactor's own, on large fibers.
 *
 * The text. {17} stands for table 17 wherever SQL wants a table's name: "SELECT a.c1 FROM {17} AS a JOIN {18} AS b ON ...".
 * Columns are c<ID>. Parameters are ?1 .. ?n. Only SELECT (also WITH and VALUES) is taken: a statement that could write is
 * RC_INVAL.
 *
 * Rows come in batches (rowbatch.h), each at most batch_bytes (a single row may be larger) and batch_rows.
 */
#ifndef MERIDIAN_STORE_FRAGMENT_H
#define MERIDIAN_STORE_FRAGMENT_H

#include "shard/store/readview.h"

enum {
    FRAGMENT_SQL_BYTES_MAX = 1 << 20,
    FRAGMENT_TABLES_MAX = 64,
    FRAGMENT_PARAMS_MAX = 65000,
    FRAGMENT_BATCH_BYTES = 64 << 10,
    FRAGMENT_BATCH_ROWS = 4096,
    FRAGMENT_ROW_BYTES_MAX = 256 << 20,
    FRAGMENT_MAIN_STEPS = 50, /* of VFS_STEP_OPS virtual machine instructions on the main connection: about 1 ms */
    FRAGMENT_CACHE_STATEMENTS = 128, /* of a connection */
};

/* The newest that is applied: for reads under locks, and of tables whose every row is visible (N-8). */
#define FRAGMENT_LATEST INT64_MAX

struct fragment {
    /* Names the text (and the flags) in the cache of prepared statements: equal ids, equal texts. 0: not cached. */
    uint64_t id;
    const char *sql;
    uint16_t n_params;
    /* One table, mentioned once, no ORDER BY with LIMIT, no min or max: the planner's word that FORM_SIMPLE is fine. */
    bool simple;
};

/* A table as it was when the fragment was planned. */
struct fragment_table {
    uint64_t id;
    uint32_t version;
};

enum fragment_where { FRAGMENT_ANY, FRAGMENT_READER }; /* FRAGMENT_READER: known to be long */

struct fragment_run {
    const struct fragment *fragment;
    const struct value *params; /* n_params of them */
    int64_t ts;                 /* or FRAGMENT_LATEST */
    struct overlay *overlay;    /* may be NULL; lives until fragment_run returns */
    enum fragment_where where;
    uint32_t batch_bytes, batch_rows; /* 0 = the defaults */
    uint64_t rows_max;                /* then it ends; 0 = no limit */
    /* What it was planned for. In the snapshot: RC_STALE for another version, RC_TOO_OLD where ts is before the table became so. A
     * table that is not named may be as it likes. */
    const struct fragment_table *tables;
    size_t n_tables;
    int32_t form; /* tests: enum form + 1 for every table where it is correct; 0 = as it is best */
    /* The snapshot is pinned (slot: its applied slot): a last check, without a wait. May be NULL. */
    enum rc (*on_pin)(int64_t slot, void *ctx, struct err *err);
    /* A batch; it may wait (the reader's snapshot stays pinned meanwhile, so not for long). bytes live until it returns. The
     * first one comes also when it holds no row. An error ends the fragment. */
    enum rc (*on_batch)(struct mvcc_bytes batch, bool last, void *ctx, struct err *err);
    void *ctx;
};

struct fragment_result {
    uint64_t rows;
    bool more;      /* rows_max was reached */
    bool on_reader; /* for figures */
    enum form form; /* the slowest that a table was read in */
};

/* RC_INVAL: the SQL is not a fragment, or a table is not here; RC_TOO_OLD: ts is below the threshold (versions that it
 * needs may be gone); RC_SQL with a SQLSTATE: a function of the layers above said "22012:division by zero"; RC_CANCELLED, RC_TIMEOUT; what the callbacks return. */
enum rc fragment_run(struct mvcc *m, const struct fragment_run *run, struct fragment_result *ret,
                     struct err *err) WAITS MUST_CHECK;

/* The SQL that a fragment becomes with every table in this form, and SQLite's plan for it, one line a step: for EXPLAIN and
 * tests. */
enum rc fragment_explain(struct mvcc *m, const struct fragment *f, enum form form, struct buf *to,
                         struct err *err) WAITS MUST_CHECK;

#endif
