/* SPDX-License-Identifier: Apache-2.0 */
/* mvcc_internal.h: what the files of the tablet store share. Nobody else includes it. */
#ifndef MERIDIAN_STORE_MVCC_INTERNAL_H
#define MERIDIAN_STORE_MVCC_INTERNAL_H

#include <inttypes.h>
#include <stdio.h>

#include "shard/store/mvcc.h"
#include "shard/store/readview.h"
#include "truetime/base/map.h"

enum { MVCC_FORMAT = 1, MVCC_METRICS = 15, MVCC_STATEMENTS_KEPT = 1024 };

struct mvcc_store {
    struct reactor *r;
    struct env *env;
    struct vfs *v;
    struct ext ext[EXT_MAX];
    size_t n_ext;
    size_t handles_max, readers_max;
    int64_t cache_bytes;
    struct ilist handles;      /* struct mvcc with an open main connection, the least recently used first */
    struct ilist idle_readers; /* struct mvcc_reader, the longest idle first */
    size_t n_handles, n_readers, n_tablets;
    struct mvcc_stats stats;
    struct metric metric[MVCC_METRICS];
};

/* A table in a snapshot. */
struct tabview {
    struct table *desc; /* counted */
    int64_t last;       /* V5 */
};

/* Statements of the apply path. */
enum apply_stmt {
    APPLY_SELECT,      /* key -> _ts, columns */
    APPLY_THERE,       /* key -> a row, or none */
    APPLY_INSERT,      /* columns, _ts */
    APPLY_ADD,         /* the same; changes nothing if the key is there */
    APPLY_UPDATE,      /* the same parameters; the key's columns stay */
    APPLY_DELETE,      /* key */
    APPLY_HIST_INSERT, /* columns, _ts, _end, _hi */
    APPLY_HIST_AFTER,  /* key, T -> the first version with _end > T: _id, _ts, _end, columns */
    APPLY_HIST_CUT,    /* _id, _end */
    APPLY_STATEMENTS,
};

struct tab {
    struct tabview v;
    uint64_t sum;       /* its part of the checksum */
    struct ilist dirty; /* in mvcc.dirty: sum is not written yet */
    bool grows;         /* the last put found no row: try to insert first */
    sqlite3_stmt *stmt[APPLY_STATEMENTS];
};

/* What is pinned with a snapshot. */
struct snapshot {
    int64_t slot, floor, gc_threshold;
    bool untrimmed;         /* rows outside of the range may be there */
    struct buf start, end;  /* the range, if untrimmed */
    struct tabview *tables; /* by id; a reader's own */
    size_t n_tables;
};

struct fragment_cache;

/* A connection: the tablet's main one or a reader's. */
struct conn {
    struct mvcc *m;
    sqlite3 *db;
    struct snapshot *pinned; /* NULL: the main connection, which sees m's tables */
    struct map modules;      /* the read-view modules that it has: readview.c */
    struct fragment_cache *cache;
    struct view_run *run; /* what v<ID> reads at present */
};

struct mvcc_reader {
    struct conn conn;
    struct snapshot snap;
    struct ilist idle; /* in s->idle_readers: kept for the next one of this tablet */
};

struct mvcc {
    struct mvcc_store *s;
    char path[VFS_PATH_BYTES_MAX];

    /* the main connection */
    struct ilist link; /* in s->handles while conn.db is there */
    struct conn conn;
    bool opening;
    struct waitq opened;
    unsigned users;   /* who is using conn, across waits */
    unsigned readers; /* pinned ones */
    struct mvcc_reader *idle;
    sqlite3_stmt *begin, *commit, *put_meta, *put_sum;
    size_t n_stmts;

    /* the state as applied */
    struct mvcc_state state;
    uint8_t ballot[MVCC_BALLOT_BYTES_MAX];
    struct buf start, end, config;
    bool untrimmed;
    struct tab **tabs;  /* by id */
    struct ilist dirty; /* tabs whose sum changed in this batch */
    size_t n_tabs, cap_tabs;

    /* the batch */
    bool batch, in_slot, broken, failing;
    int64_t slot_began_ns;
    uint64_t batch_slots, batch_bytes;
    int64_t committed_slot, durable_slot;
    int64_t next_slot;
    uint8_t next_ballot[MVCC_BALLOT_BYTES_MAX];
    size_t next_ballot_bytes;

    struct buf scratch;     /* of one row */
    struct buf keybuf;      /* of its key */
    struct rangecopy *copy; /* follows our changes: rangecopy.c */
    struct value *old;      /* columns of the row that is there; max_cols of them */
    struct value *row;      /* the row that comes */
    size_t max_cols;
};

/* mvcc.c: handles */
enum rc mvcc_use(struct mvcc *m, struct err *err) WAITS MUST_CHECK; /* the main connection is open until mvcc_unuse */
void mvcc_unuse(struct mvcc *m);
enum rc conn_open(struct mvcc *m, unsigned flags, struct conn *ret, struct err *err) WAITS MUST_CHECK;
void conn_close(struct conn *c);
const struct tabview *conn_table(const struct conn *c, uint64_t id);
struct tab *mvcc_find_tab(const struct mvcc *m, uint64_t id);
/* An error of a change: the batch is rolled back and the tablet broken. Returns rc. */
enum rc mvcc_break(struct mvcc *m, enum rc rc);
/* After a read on the main connection: has SQLite rolled the batch back behind our back (N-9)? */
enum rc mvcc_after_read(struct mvcc *m, struct err *err) MUST_CHECK;
enum rc mvcc_check_whole(const struct mvcc *m, struct err *err) MUST_CHECK;
enum rc mvcc_load(struct mvcc *m, struct err *err) MUST_CHECK;

/* mvcc_apply.c */
void tab_sum_add(struct mvcc *m, struct tab *t, uint64_t x);
void tab_finalize(struct mvcc *m, struct tab *t);
/* Hash of a version (V6): end INT64_MAX for a current one. */
uint64_t version_hash(struct buf *scratch, const struct table *t, const struct value *row, int64_t ts, int64_t end);
/* "c1=?1 AND c2=?2", parameters from `first` on. */
void put_key_condition(struct buf *to, const struct table *t, int first);

/* mvcc_file.c: tables meta, tables, section */
enum rc file_fill(sqlite3 *db, const struct mvcc_state *state, bool untrimmed, struct err *err) MUST_CHECK;
enum rc file_load(sqlite3 *db, struct mvcc *m, struct err *err) MUST_CHECK;
enum rc file_slot(sqlite3 *db, int64_t *ret_slot, struct err *err) MUST_CHECK;
uint64_t section_hash(const char *name, const void *p, size_t n);

/* SQL in a buf, executed; what: for the error. */
enum rc exec_buf(sqlite3 *db, struct buf *sql, const char *what, struct err *err) MUST_CHECK;
enum rc prepare(sqlite3 *db, const char *sql, size_t n, sqlite3_stmt **ret, struct err *err) MUST_CHECK;

/* rowkey.c. scratch: any buf. */
/* Is a row with this key in [start, end)? */
enum rc rowkey_within(struct buf *scratch, const struct table *t, const struct value *key, struct mvcc_bytes start,
                      struct mvcc_bytes end, bool *ret) MUST_CHECK;
/* In the range of the connection's snapshot? */
enum rc rowkey_clip(struct conn *c, struct buf *scratch, const struct table *t, const struct value *key,
                    bool *ret) MUST_CHECK;
/* M-3, INV-M1: RC_INVAL outside of the tablet's range. */
enum rc rowkey_in_range(struct mvcc *m, const struct table *t, const struct value *key, struct err *err) MUST_CHECK;
/* Values of the key's columns out of a row. */
void rowkey_values(const struct table *t, const struct value *row, struct value *ret_key);

/* mvcc_reader.c */
void reader_drop_idle(struct mvcc *m);

/* Changes outside of slots, which are not replicated: a batch is open from begin to mvcc_flush. */
enum rc mvcc_import_begin(struct mvcc *m, struct err *err) WAITS MUST_CHECK;
enum rc mvcc_import_table(struct mvcc *m, const struct table *t, struct err *err) MUST_CHECK;
/* Writes range, generation, configuration and whether it is trimmed. */
enum rc mvcc_write_meta(struct mvcc *m, struct err *err) MUST_CHECK;

/* gc.c: removes the versions with _hi < below_hi, also from the checksum. */
enum rc gc_remove(struct mvcc *m, struct tab *tab, int64_t below_hi, struct err *err) MUST_CHECK;

/* rangecopy.c: what m->copy wants to know */
void changes_note(struct mvcc *m, const struct table *t, const struct value *key);
void changes_note_gc(struct mvcc *m, uint64_t table, int64_t below_hi);
void changes_note_schema(struct mvcc *m);

/* readview.c */
struct view_run {
    int64_t ts; /* as FRAGMENT_LATEST too */
    struct overlay *overlay;
    struct buf scratch;
    /* Where the history after ts begins, of tables that were asked about: room for the few of a fragment. */
    struct view_history {
        uint64_t table;
        int64_t first, last; /* _ids; first > last: none */
    } history[8];
    size_t n_history;
};
/* Makes sure that v<ID> exists on the connection and is of this version of the table. */
enum rc readview_register(struct conn *c, const struct table *t, struct err *err) MUST_CHECK;
void conn_forget_modules(struct conn *c);
/* The first _id whose _hi is above ts, and the last _id (N-4). */
enum rc readview_history(struct conn *c, uint64_t table, int64_t ts, int64_t *ret_first, int64_t *ret_last,
                         struct err *err) MUST_CHECK;
/* The SQL of the statements behind a plan of v<ID> (what EXPLAIN QUERY PLAN shows after "VIRTUAL TABLE INDEX 0:"), for
 * tests and people: arm 'c' current, 'k' history by key, 'i' history by _id. False: not a plan. */
bool readview_inner_sql(const struct table *t, const char *plan, char arm, struct buf *to);
/* "SELECT ... FROM t UNION ALL SELECT ... FROM t_h ...", in parentheses; ts and first: parameter numbers. */
void readview_simple_sql(const struct table *t, int ts, int first, struct buf *to);
/* fragment.c */
void fragment_cache_free(struct conn *c);
/* Drops the statements over this table. */
void fragment_cache_forget(struct conn *c, uint64_t table);

#endif
