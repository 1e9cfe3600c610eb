/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sess_internal.h: what the files of the session engine share; nobody else includes it. In reading order: engine.c (opening),
 * statement.c (texts to statements), plans.c (the cache of plans), portal.c (running), block.c (transactions), utility.c and its
 * neighbours (what is no query), ddl*.c (the catalog), copy.c, sysfn.c (functions of a session).
 *
 * Life of a statement:   script --prepare--> stmt --bind--> portal --execute--> rows, tag
 *
 *     SESS_IDLE --BEGIN--> SESS_BLOCK --error--> SESS_FAILED
 *         ^                    | COMMIT, ROLLBACK    | ROLLBACK, COMMIT;  ROLLBACK TO: back to SESS_BLOCK
 *         '--------------------'---------------------'
 *
 * s->txn is made when a statement first needs one, and is there beyond a statement only in a block, explicit or implicit.
 * s->epoch counts transactions: a portal is good in the one that it was bound in.
 */
#ifndef MERIDIAN_SQL_SESS_INTERNAL_H
#define MERIDIAN_SQL_SESS_INTERNAL_H

#include "shard/store/span.h"
#include "sql/catalog/store.h"
#include "sql/exec/exec.h"
#include "sql/functions/pgx.h"
#include "sql/parse/parse.h"
#include "sql/run/counts.h"
#include "sql/run/guc.h"
#include "sql/run/sess_engine.h"
#include "sql/types/zonecache.h"
#include "truetime/base/map.h"

enum {
    SESS_SCRIPT_BYTES_MAX = 64 << 20,
    SESS_ARENA_BYTES_MAX = 256 << 20,
    SESS_RETRIES_MAX = 100,
    SESS_SAVEPOINTS_MAX = 10000,
    SESS_PATHS_MAX = 64,
    SESS_CURSORS_MAX = 1000,
    PLANS_MAX = 1024,
    PLANS_TEXT_BYTES_MAX = 16 << 10, /* of a text that is cached */
};

/* The server encodes microseconds since 2000-01-01; the system's clock nanoseconds since 1970. */
#define PG_EPOCH_US INT64_C(946684800000000)

/* ---- plans ---------------------------------------------------------------------------------------------------------- */

/* A statement that was planned: shared by all sessions of the store. */
struct planned {
    uint32_t refs;
    struct plan *plan;
    struct map_node node;
    struct ilist lru;
    bool cached;
    uint64_t hash, catalog;
    struct sess_column *column;    /* as sess_stmt has it */
    struct foreign_links *foreign; /* keys that its rows may touch; NULL: none */
    size_t key_bytes;
    char key[];
};

struct plans {
    struct map map;
    struct ilist lru; /* the oldest first */
    size_t count;
};

struct planned *planned_ref(struct planned *p);
void planned_unref(struct planned *p); /* NULL is fine */

/* ---- the engine ------------------------------------------------------------------------------------------------------ */

struct sess_engine {
    struct sess_engine_conf conf;
    struct env *env;
    struct reactor *reactor;
    struct cat_cache *catalog;
    struct zone_cache *zones;
    struct scratch *scratch;
    struct counts *counts;
    struct fn_regexes *regexes; /* NULL: patterns are compiled each time */
    struct plans plans;
    struct cat_table **virtuals; /* descriptors of relations that are no tables, made when they are first asked for */
    struct ilist sessions;
    struct sess_engine_stats stats;
    int64_t started_us;
};

/* ---- a session ------------------------------------------------------------------------------------------------------- */

struct savepoint {
    char *name; /* NULL: the engine's own, around a statement */
    size_t mark;
    size_t changes; /* of the catalog */
    size_t gucs;
};

/* Session-level PREPARE. */
struct named_stmt {
    struct map_node node;
    struct sess_stmt *stmt;
    int64_t made_us;
    char name[];
};

struct named_portal {
    struct map_node node;
    struct sess_portal *portal;
    const char *text;
    char name[];
};

struct sess_catalog {
    struct cat_source source;
    struct sess *s;
};

struct sess {
    struct sess_engine *e;
    struct ilist link;
    uint32_t pid, secret;
    const struct sess_client *client;
    void *ctx;
    char user[CAT_NAME_BYTES_MAX + 1], database_name[CAT_NAME_BYTES_MAX + 1], peer[ENV_ADDR_BYTES];
    uint32_t database, role;
    struct guc_vars *gucs;
    struct type_session types;
    uint64_t settings_seen; /* guc_changes when what follows was computed */
    int64_t statement_timeout_ns, lock_timeout_ns;
    size_t work_bytes;
    int64_t temp_bytes; /* of files for one statement; 0: no limit */
    bool default_read_only;
    struct arena zone_arena; /* of a TimeZone that is an offset */
    struct sess_catalog catalog;
    uint32_t path[SESS_PATHS_MAX]; /* search_path as ids */
    size_t paths;
    uint64_t path_version; /* the catalog's for which path holds; 0: compute it anew */
    bool refreshed;        /* the catalog, in the statement under way */

    /* the transaction */
    enum sess_state state;
    bool implicit;                  /* several statements of one request share a transaction */
    bool implicit_began;            /* one of them has run */
    bool read_now;                  /* not the past: tables have changed since */
    bool read_only, reads_only_now; /* BEGIN READ ONLY; the transaction was begun as a read-only one */
    struct txn *txn;
    struct foreign_queue *foreign; /* NULL: no statement has touched a foreign key */
    uint64_t epoch;
    uint64_t block_statements; /* that used s->txn in this block */
    int64_t begin_us, opened_us;
    struct savepoint *savepoint;
    size_t savepoints, savepoint_cap;
    struct cat_change *change;
    struct table **orphan; /* tables that were made in tablets for this transaction, to be dropped if it fails */
    size_t orphans, orphan_cap;
    int64_t last_commit_ts;
    struct txn_token last_token;
    struct txn_stage *last_stage; /* where the time of the last one that used a tablet went; NULL: there was none */
    size_t last_stages, last_room, last_lost;
    int64_t parsing_ns;            /* of the statement that is to come */
    int64_t plan_ns, last_plan_ns; /* that, and up to the beginning of the transaction */

    /* the statement */
    int64_t statement_us, deadline;
    bool sent; /* the client has seen something of it: it cannot be repeated */
    bool final;
    struct fn_env env;
    struct arena scratch; /* of the statement */
    const char *query;    /* its text, for pg_stat_activity */
    size_t query_bytes;

    struct map prepared, cursors;
    struct ilist portals;
    bool closing;

    /* sequences */
    struct map currval;
    int64_t lastval;
    uint32_t lastval_seq;
};

/* ---- statements ------------------------------------------------------------------------------------------------------ */

struct sess_script {
    uint32_t refs;
    struct sess_engine *e;
    struct arena arena;
    char *text;
    size_t bytes;
    PgQuery__ParseResult *tree; /* NULL: not parsed, its one statement has a plan in the cache */
};

struct stmt {
    struct sess_stmt pub;
    uint32_t refs;
    struct sess *s;
    struct sess_script *script;
    size_t index;
    struct arena arena;
    uint32_t *oid; /* as the client gave them */
    size_t oids;
    struct planned *planned;   /* NULL: a utility statement, or empty */
    const PgQuery__Node *node; /* utility */
};

struct stmt *stmt_of(struct sess_stmt *pub);
enum rc script_new(struct sess *s, const char *text, size_t bytes, struct sess_script **ret, struct err *err) WAITS;
void script_unref(struct sess_script *script);
enum rc script_parse(struct sess *s, struct sess_script *script, struct err *err) WAITS;
/* The text of one statement of a script, trimmed. */
const char *script_slice(const struct sess_script *script, size_t index, size_t *ret_bytes);
enum rc stmt_new(struct sess *s, struct sess_script *script, size_t index, const uint32_t *oid, size_t oids,
                 struct stmt **ret, struct err *err) WAITS;
/* A query that stands inside of a utility statement (EXPLAIN, COPY, PREPARE, DECLARE): node lies in script. */
enum rc stmt_new_inner(struct sess *s, struct sess_script *script, const PgQuery__Node *node, const uint32_t *oid,
                       size_t oids, struct stmt **ret, struct err *err) WAITS;
/* From a text of our own. */
enum rc stmt_from_text(struct sess *s, const char *text, struct stmt **ret, struct err *err) WAITS;
void stmt_unref(struct stmt *st);
/* Planned anew if the catalog has moved on, or if it must (stale). 0A000: its columns have changed. */
enum rc stmt_replan(struct stmt *st, bool stale, struct err *err) WAITS;

/* Finds the plan or makes it. node NULL: parsed only if it must be. */
enum rc plans_get(struct sess *s, struct sess_script *script, size_t index, const PgQuery__Node *node,
                  const uint32_t *oid, size_t oids, struct planned **ret, struct err *err) WAITS;
bool plans_know(struct sess *s, const char *text, size_t bytes);
void plans_init(struct plans *p);
void plans_done(struct plans *p);

/* Deadlines and times of what begins now. end: says what a timeout or a cancellation was. */
/* Between one try and the next. RC_CANCELLED, RC_TIMEOUT. */
enum rc sess_pause(struct sess *s, int tries) WAITS;
enum rc sess_statement_begin(struct sess *s, struct err *err);
void sess_statement_end(struct sess *s, enum rc rc, struct err *err);

/* ---- portals ------------------------------------------------------------------------------------------------------------ */

struct foreign_links;
struct sess_foreign {
    struct sess *s;
    const struct foreign_links *links;
};

struct sess_portal {
    struct ilist link;
    struct sess *s;
    struct stmt *stmt;
    struct arena arena;
    struct value *param;
    uint64_t epoch;
    struct exec *exec;
    struct exec_env env;
    struct planned *planned; /* that exec runs */
    struct sess_foreign foreign;
    uint64_t rows;
    bool started, finished;
    char tag[64];
};

enum rc portal_new(struct sess *s, struct stmt *st, const struct value *param, struct sess_portal **ret,
                   struct err *err);
void portal_close(struct sess_portal *p) WAITS;
void portal_stop(struct sess_portal *p) WAITS; /* it gives no more rows */
/* Takes rows out of an open portal: at most max (0 = all); *ret_more: there may be more. on_row NULL: the client. */
typedef enum rc portal_row(void *ctx, const struct value *v, struct err *err);
enum rc portal_pull(struct sess_portal *p, uint64_t max, portal_row *on_row, void *ctx, uint64_t *ret_rows,
                    bool *ret_more, struct err *err) WAITS;
/* A planned statement as it stands: with retries, and its commit if nothing follows. */
enum rc portal_query(struct sess_portal *p, uint64_t max, bool final, struct sess_done *ret, struct err *err) WAITS;
enum rc portal_execute(struct sess *s, struct sess_portal *p, uint64_t max_rows, bool final, struct sess_done *ret,
                       struct err *err) WAITS;
/* Opens it in s->txn. */
enum rc portal_open(struct sess_portal *p, bool last, struct err *err) WAITS;
/* Runs a planned statement of our own inside of the transaction under way. */
enum rc sess_run_text(struct sess *s, const char *text, portal_row *on_row, void *ctx, uint64_t *ret_rows,
                      struct err *err) WAITS;

/* ---- transactions -------------------------------------------------------------------------------------------------------- */

/* The transaction, begun if there is none. alone: the plan of the only statement in it; NULL: others may follow. */
enum rc sess_txn(struct sess *s, const struct plan *alone, struct err *err) WAITS;
/* Ends it: the catalog, settings, portals and cursors with it. */
enum rc sess_commit(struct sess *s, struct err *err) WAITS;
void sess_rollback(struct sess *s) WAITS;
/* exec has committed s->txn by itself. */
void sess_committed(struct sess *s, int64_t ts);
/* After a statement's error. */
void sess_failed(struct sess *s) WAITS;
/* 25006 */
enum rc sess_may_write(struct sess *s, const char *what, struct err *err);
/* 25001: not in a block. */
enum rc sess_no_block(struct sess *s, const char *what, struct err *err);
bool sess_in_block(const struct sess *s);
/* BEGIN's and SET TRANSACTION's options. */
enum rc block_modes(struct sess *s, PgQuery__Node *const *option, size_t n, struct err *err) WAITS;
enum rc block_statement(struct sess *s, const PgQuery__TransactionStmt *t, char tag[static 64], struct err *err) WAITS;
void sess_notice(struct sess *s, const char *severity, const char *state, const char *fmt, ...) PRINTF_LIKE(4, 5);
void sess_reports(struct sess *s);
int64_t sess_now_us(const struct sess *s);

/* ---- settings ------------------------------------------------------------------------------------------------------------- */

enum setting_scope { SETTING_SESSION, SETTING_LOCAL, SETTING_START };

/* value NULL: RESET. Checks what a table of settings cannot: zones, roles, staleness. */
enum rc sess_setting(struct sess *s, const char *name, const char *value, enum setting_scope scope, struct err *err);
/* Takes over what follows from settings: after any change of them. */
enum rc sess_settings(struct sess *s, struct err *err);
/* meridian.read_staleness as a mode. */
enum rc sess_staleness(struct sess *s, const char *text, struct txn_options *ret, struct err *err);
/* Drops prepared statements; and cursors. */
void sess_forget_named(struct sess *s, bool cursors) WAITS;
void sess_forget_cursors(struct sess *s) WAITS;
void sess_forget_sequences(struct sess *s);

/* ---- names ---------------------------------------------------------------------------------------------------------------- */

struct cat_view sess_view(struct sess *s);
enum rc sess_refresh(struct sess *s, struct err *err) WAITS;
/* search_path as ids. */
enum rc sess_paths(struct sess *s, struct err *err) WAITS;
extern const struct cat_source_ops sess_catalog_ops;
/* 0: there is none, as far as the copy knows. */
uint32_t sess_schema_id(struct sess *s, const char *name);
/* The schema that new objects of this RangeVar go to. 3F000. */
enum rc sess_create_schema(struct sess *s, const PgQuery__RangeVar *v, struct cat_schema *ret, struct err *err) WAITS;
/* A table, sequence or view, as the path finds it; NULL: there is none. Borrowed until the next wait. */
enum rc sess_relation(struct sess *s, const char *database, const char *schema, const char *name,
                      const struct cat_object **ret, struct err *err) WAITS;
int32_t sess_position(const struct sess_script *script, int32_t location);

/* ---- utility -------------------------------------------------------------------------------------------------------------- */

struct utility {
    struct sess *s;
    struct sess_portal *portal; /* may be NULL */
    struct sess_script *script;
    const PgQuery__Node *node;
    uint64_t max_rows;
    struct sess_done *done;
};

const struct sess_stmt *sess_cursor(struct sess *s, const char *name);
/* Columns that a utility statement returns; false: none. */
enum rc utility_columns(struct sess *s, struct stmt *st, struct err *err) WAITS;
enum rc utility_run(struct utility *u, struct err *err) WAITS;
/* Does it need no transaction, and may it run in a failed block? */
bool utility_ends_block(const PgQuery__Node *node);
bool utility_retries(const PgQuery__Node *node);

/* A constant expression as a value of a type; it lies in a. */
enum rc sess_eval(struct sess *s, const struct sess_script *script, const PgQuery__Node *node, struct col want,
                  struct arena *a, struct value *ret, struct err *err) WAITS;
/* Options of statements, name = value. */
const char *sess_def_text(const PgQuery__DefElem *d); /* "" = none; numbers and names too */
bool sess_def_is_false(const PgQuery__DefElem *d);
bool sess_def_int(const PgQuery__DefElem *d, int64_t *ret);
/* All keys of a table. */
enum rc ddl_table_span(struct arena *a, const struct table *t, struct span *ret, struct err *err);
void ddl_drop_orphan(struct sess *s, const struct table *t) WAITS;
/* Before the commit: what was made on the tablets early counts as made with it. */
enum rc ddl_confirm(struct sess *s, struct err *err) WAITS;
/* Looks for tables on tablets that no catalog names, for as long as the store serves. */
enum rc janitor_start(struct sess_engine *e);
/* Was it made by the transaction under way, so that nobody else knows it? */
bool ddl_is_new_store(const struct sess *s, uint64_t id);
enum rc ddl_run(struct utility *u, bool *ret_known, struct err *err) WAITS;
enum rc copy_run(struct utility *u, const PgQuery__CopyStmt *c, struct err *err) WAITS;
enum rc explain_run(struct utility *u, const PgQuery__ExplainStmt *x, struct err *err) WAITS;
enum rc set_run(struct sess *s, const PgQuery__VariableSetStmt *v, char tag[static 64], struct err *err);
enum rc sess_unsupported(const struct sess_script *script, int32_t location, struct err *err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Functions of a session (fn_env.session) and the rows of relations that are no tables. */
enum rc sysfn_call(void *ctx, uint32_t fn, const struct value *arg, size_t args, struct value *ret,
                   struct err *err) WAITS;
enum rc virtual_rows(void *ctx, const struct cat_table *t, portal_row *on_row, void *to, struct err *err) WAITS;
/* A relation by a name as regclass takes it, or a number; *ret NULL: there is none. Borrowed until the next wait. */
enum rc sess_relation_text(struct sess *s, const char *name, const struct cat_object **ret, struct err *err) WAITS;
void sess_quote_ident(struct buf *b, const char *name);
const char *sess_schema_name(struct sess *s, uint32_t id); /* NULL: there is none */
/* The name that a default's text asks for a number: how much of "nextval('...'" was read; 0: it does not begin so. */
size_t sess_nextval_name(const char *sql, char *name, size_t size);
void sess_index_def(struct buf *b, const struct cat_table *t, const struct cat_index *x);
/* Primary keys and constraints have no number of their own in the catalog: pg_class and pg_constraint show made-up ones. */
uint32_t virtual_pkey_named(const struct cat_view *v, uint32_t schema, const char *name); /* 0: there is none */
const struct cat_object *virtual_pkey_table(const struct cat_view *v, uint32_t oid);
bool virtual_constraint_def(const struct sess *s, const struct cat_view *v, uint32_t oid, bool pretty, struct buf *to);

/* procs.c; false: there is no such function (or, with err set, it has no definition) */
bool proc_arguments(uint32_t oid, struct buf *to);
bool proc_result(uint32_t oid, struct buf *to);
bool proc_definition(uint32_t oid, struct buf *to, struct err *err);
/* Name of a system relation's descriptor; NULL: there is none. */
/* A sequence as a relation of one row. */
enum rc virtual_sequence(const struct cat_object *o, const struct cat_table **ret, struct err *err);
size_t virtual_count(void);
const struct cat_table *virtual_at(struct sess_engine *e, size_t i); /* NULL: no memory */
void virtual_done(struct sess_engine *e);
const struct cat_table *virtual_find(struct sess_engine *e, uint32_t schema, const char *name);

#endif
