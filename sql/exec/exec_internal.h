/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_internal.h: a plan under way.
 *
 *     exec.c     opening, rows out, the end
 *     spans.c    which keys: from the plan's conditions and the run's values
 *     read.c     a select under way: rows of programs, a scan, or the final stage
 *     stage.c    the final stage: SQLite over virtual tables (vtab.c) that read scans
 *     write.c    row images, indexes, and the errors of rows that may not be
 *     dml.c      INSERT, UPDATE, DELETE
 *
 * Memory: e->arena lives as long as the run, e->row_arena until the next row, e->images until what is written is sent.
 * Relies on   plan_internal.h.
 * Threads     the reactor's own, one fiber.
 */
#ifndef MERIDIAN_SQL_EXEC_INTERNAL_H
#define MERIDIAN_SQL_EXEC_INTERNAL_H

#include "shard/store/rowbatch.h"
#include "shard/store/span.h"
#include "sql/exec/exec.h"
#include "sql/plan/plan_internal.h"
#include "sql/types/types.h"

enum {
    EXEC_MEMORY_BYTES = 64 << 20,
    EXEC_WRITE_ROWS = 512,  /* of an INSERT that streams, at once */
    EXEC_CHUNK_ROWS = 4096, /* of an UPDATE or DELETE: then what is to be written is sent */
    EXEC_WRITE_BYTES = 4 << 20,
};

struct stage;
struct dml_run;

/* What EXPLAIN (ANALYZE) says of a scan. */
struct scan_note {
    struct scan_note *next;
    const struct text *text;
    const struct table *table;
    struct txn_scan_stats stats;
    uint32_t runs;
    size_t spans;
};

/* A scan and the rows that it gives. */
struct feed {
    struct txn_scan *scan; /* NULL: nothing to read */
    struct rowbatch_reader reader;
    struct value *row;
    uint16_t columns, columns_max;
    bool batch, last;
    struct scan_note *note;
    /* Through an index: keys that are still to be read, in batches. */
    const struct value *keys;
    size_t n_keys, at_key;
    const struct text *by_keys;
    struct txn_scan_conf how;
    const struct table *table;
};

enum read_how { READ_ROWS, READ_SCAN, READ_STAGE, READ_SKIP };

struct read {
    struct exec *e;
    const struct select *select;
    enum read_how how;
    uint32_t at; /* ROWS */
    struct feed feed;
    uint64_t skip, left; /* OFFSET and LIMIT that the gateway counts */
    struct stage *stage;
    struct value *out;
    bool whole, spread;
    uint64_t rows;
    /* A statement that writes reads so many rows, writes them, and goes on behind the last one's key. */
    uint64_t chunk, chunk_rows;
    struct value *last_key;
    struct span_set spans;
    /* SKIP: rows before they are locked, and what the look at one of them needs. */
    struct read *found;
    struct arena one;
};

struct exec {
    struct plan *plan;
    const struct dml *write; /* what it writes: the plan's, or one of its WITH queries'; NULL: it selects */
    struct exec *part_of;    /* of a WITH query: the whole; else NULL */
    struct with_run *with;   /* runs of WITH queries that write */
    const struct exec_env *env;
    const struct value *params;
    struct arena arena, row_arena;
    struct arena batch;   /* images of rows that are written, until they are sent */
    struct arena *images; /* where images lie: batch of an INSERT that streams, else arena */
    struct fn_env fn;     /* with row_arena */
    struct value *calc;
    size_t memory_max, memory;
    struct read read;
    struct dml_run *dml;
    struct value *out; /* RETURNING */
    uint64_t affected;
    bool committed, done;
    int64_t commit_ts;
    struct scan_note *notes;
};

/* ---- exec.c ------------------------------------------------------------------------------------------------------ */

/* A run that only has its values. */
enum rc exec_values(const struct plan *p, const struct exec_env *env, const struct value *params, struct exec **ret,
                    struct err *err) WAITS MUST_CHECK;
/* The columns that a program may ask for; NULL: there are none of that kind. */
struct row_values {
    const struct value *new, *read, *excluded;
};
/* *ret lies in the row arena. */
enum rc exec_run_prog(struct exec *e, const struct prog *p, const struct row_values *row, struct value *ret,
                      struct err *err) WAITS MUST_CHECK;
/* So many bytes more are held; RC_LIMIT past the memory (they count all the same). */
enum rc exec_charge(struct exec *e, size_t bytes, struct err *err) MUST_CHECK;
/* A copy in the run's arena, counted. RC_LIMIT past the memory. */
enum rc exec_keep(struct exec *e, const struct value *from, size_t n, struct value **ret, struct err *err) MUST_CHECK;
/* The same in images; what is dropped with the batch is not counted. */
enum rc exec_keep_image(struct exec *e, const struct value *from, size_t n, struct value **ret,
                        struct err *err) MUST_CHECK;
enum rc exec_slots(struct exec *e, const struct text *t, const struct value **ret, struct err *err) MUST_CHECK;
/* May be NULL: no memory for notes. */
struct scan_note *exec_note(struct exec *e, const struct text *text, const struct table *table, size_t spans);

/* ---- anyfn.c ----------------------------------------------------------------------------------------------------- */

/* Elements of an array of a simple type, in PostgreSQL's binary form: dimensions, NULLs?, type, then for each dimension its
 * length and first index; then for each element its length (-1: NULL) and its binary form. */
struct array_elements {
    struct value *v; /* those that are not NULL */
    size_t n;
    bool nulls; /* there are others */
};
enum rc array_elements(struct arena *a, const struct col *elem, const struct value *array, struct array_elements *ret,
                       struct err *err) MUST_CHECK;

/* ---- spans.c ----------------------------------------------------------------------------------------------------- */

/* The spans of a source's rows, sorted; ret->n 0: no row can match. */
enum rc spans_of(struct exec *e, const struct keys *k, struct span_set *ret, struct err *err) MUST_CHECK;
/* The key of one row. */
enum rc span_of_row(struct arena *a, const struct table *t, const struct value *key, uint16_t n, struct span *ret,
                    struct err *err) MUST_CHECK;

/* ---- read.c ------------------------------------------------------------------------------------------------------ */

/* chunk: rows at a time, of a plan with spread.after; 0 = all. */
enum rc read_open(struct read *r, struct exec *e, const struct select *s, uint64_t chunk,
                  struct err *err) WAITS MUST_CHECK;
/* After the last row of a chunk: may there be more? Then they are opened. */
enum rc read_next_chunk(struct read *r, bool *ret_more, struct err *err) WAITS MUST_CHECK;
/* *ret NULL: no more. Good until the next call. */
enum rc read_next(struct read *r, const struct value **ret, struct err *err) WAITS MUST_CHECK;
void read_close(struct read *r) WAITS;

enum rc feed_open(struct feed *f, struct exec *e, const struct txn_scan_conf *how, const struct text *text,
                  struct err *err) WAITS MUST_CHECK;
/* Rows of s through its index: text's form by_keys. lock and locked of how count. */
enum rc feed_open_via(struct feed *f, struct exec *e, const struct source *s, const struct text *by_keys,
                      struct err *err) WAITS MUST_CHECK;
enum rc feed_next(struct feed *f, struct exec *e, const struct value **ret, struct err *err) WAITS MUST_CHECK;
void feed_close(struct feed *f) WAITS;

/* ---- stage.c ----------------------------------------------------------------------------------------------------- */

enum rc stage_open(struct exec *e, const struct select *s, struct stage **ret, struct err *err) WAITS MUST_CHECK;
enum rc stage_next(struct stage *g, const struct value **ret, struct err *err) WAITS MUST_CHECK;
/* Sources that are about to be written: all of their rows are kept now. */
enum rc stage_read_early(struct stage *g, struct err *err) WAITS MUST_CHECK;
void stage_close(struct stage *g) WAITS; /* NULL is fine */

/* ---- write.c ----------------------------------------------------------------------------------------------------- */

/* Writes of a statement, gathered. */
struct writes {
    struct exec *e;
    const struct dml *dml;
    struct txn_write *w;
    struct write_origin *origin; /* beside w */
    size_t n, max;
};

/* Errors: 23502, 23514. old: the row before, or NULL; new: after, or NULL. All in the table's columns. */
enum rc write_check(struct exec *e, const struct dml *d, const struct value *new, struct err *err) WAITS MUST_CHECK;
enum rc writes_add(struct writes *w, const struct value *old, const struct value *new,
                   struct err *err) WAITS MUST_CHECK;
/* Sends them; commit: and commits. 23505. */
enum rc writes_send(struct writes *w, bool commit, struct err *err) WAITS MUST_CHECK;
/* The row's image in an index. *ret_there: it has one. */
enum rc write_index_row(struct exec *e, const struct dml *d, const struct cat_index *x, const struct value *row,
                        struct value **ret, bool *ret_there, struct err *err) WAITS MUST_CHECK;

/* ---- with.c ---- */

enum rc with_run(struct exec *e, struct err *err) WAITS MUST_CHECK;
/* Is t what a WITH query has returned? Its rows then; *ret: what on_row said. */
bool with_rows(struct exec *e, const struct cat_table *t,
               enum rc (*on_row)(void *to, const struct value *v, struct err *err), void *to, enum rc *ret,
               struct err *err) WAITS;
void with_done(struct exec *e) WAITS;

/* ---- dml.c ------------------------------------------------------------------------------------------------------- */

enum rc dml_run(struct exec *e, struct err *err) WAITS MUST_CHECK;
/* RETURNING, row by row. */
enum rc dml_next(struct exec *e, const struct value **ret, struct err *err) WAITS MUST_CHECK;

#endif
