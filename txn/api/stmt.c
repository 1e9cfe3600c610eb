/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stmt.c: statements of the C API: prepare, bind, step, columns, COPY.
 *
 *     READY --step--> RUNNING --(DONE)--> READY            a prepared statement
 *     READY --step--> RUNNING --(DONE)--> RESULT --next--> RUNNING ... --next--> ENDED --reset--> READY     a query
 *
 * An error ends the execution from anywhere. After the connection was lost inside of a transaction block nothing but the
 * block's end is taken: a statement that was meant for the block must not run outside of it.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "txn/api/api.h"
#include "txn/api/lex.h"

enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_OID = 26 };
enum { OID_FLOAT4 = 700, OID_FLOAT8 = 701, OID_NUMERIC = 1700, PARAM_BYTES_MAX = 1 << 30 };

/* ---- life --------------------------------------------------------------------------------------------------------------- */

/* What a text may do to the block that it runs in. */
static void look_at(meridian_stmt *st, const char *sql, size_t bytes) {
    char first[16];
    lex_first_word(sql, bytes, first, sizeof first);
    st->undoes = strcmp(first, "rollback") == 0 || strcmp(first, "abort") == 0;
    st->ends_block = lex_has_word(sql, bytes, "commit") || lex_has_word(sql, bytes, "end");
}

int api_prepare(meridian *db, const char *sql, size_t bytes, bool script, meridian_stmt **ret) {
    if (!db->engine)
        return api_misuse(db, "the connection was never opened");
    meridian_stmt *st = calloc(1, sizeof *st);
    if (!st)
        return MERIDIAN_NOMEM;
    look_at(st, sql, bytes);
    st->script = script;
    int code = MERIDIAN_OK;
    if (db->block_lost && !script)
        code = api_error_set(&db->error, MERIDIAN_ERROR, "25P02",
                             "the connection was lost with the transaction: roll it back");
    if (!code)
        code = (script ? db->ops->query : db->ops->prepare)(db->engine, sql, bytes, &st->engine, &db->error);
    if (!code && st->engine->params && !(st->param = calloc(st->engine->params, sizeof *st->param))) {
        db->ops->stmt_free(st->engine);
        code = MERIDIAN_NOMEM;
    }
    if (code) {
        db->block_lost |= db->error.code == code && db->error.lost && code == MERIDIAN_ABORTED;
        free(st);
        return code;
    }
    st->db = db;
    st->next = db->stmts;
    st->link = &db->stmts;
    if (st->next)
        st->next->link = &st->next;
    db->stmts = st;
    atomic_store(&st->magic, API_MAGIC_STMT);
    *ret = st;
    return MERIDIAN_OK;
}

static int prepare(meridian *db, const char *sql, ptrdiff_t bytes, bool script, meridian_stmt **ret) {
    if (ret)
        *ret = NULL;
    int code = api_enter(db);
    if (code)
        return code;
    if (!sql || !ret)
        return api_leave(db, api_misuse(db, "no statement, or no place for it"));
    size_t n = bytes < 0 ? strlen(sql) : (size_t)bytes;
    if (memchr(sql, 0, n))
        return api_leave(db, api_error_set(&db->error, MERIDIAN_MISMATCH, "22021", "a zero byte in the statement"));
    return api_leave(db, api_prepare(db, sql, n, script, ret));
}

int meridian_prepare(meridian *db, const char *sql, ptrdiff_t bytes, meridian_stmt **ret) {
    return prepare(db, sql, bytes, false, ret);
}

int meridian_query(meridian *db, const char *sql, ptrdiff_t bytes, meridian_stmt **ret) {
    return prepare(db, sql, bytes, true, ret);
}

void api_end(meridian_stmt *st) {
    if (st->engine && st->phase != API_READY)
        st->db->ops->end(st->engine);
    st->phase = API_READY;
    st->at = MERIDIAN_OK;
}

void api_drop_params(meridian_stmt *st) {
    for (size_t i = 0; st->param && st->engine && i < st->engine->params; i++) {
        free(st->param[i].data);
        st->param[i] = (struct engine_param){0};
    }
}

void api_finalize(meridian_stmt *st) {
    api_drop_params(st);
    api_end(st);
    st->db->ops->stmt_free(st->engine);
    *st->link = st->next;
    if (st->next)
        st->next->link = st->link;
    atomic_store(&st->magic, API_MAGIC_DEAD);
    free(st->param);
    free(st->scratch);
    free(st);
}

int meridian_finalize(meridian_stmt *st) {
    if (!st)
        return MERIDIAN_OK;
    if (atomic_load(&st->magic) != API_MAGIC_STMT)
        return MERIDIAN_MISUSE;
    meridian *db = st->db;
    if (!db) { /* its connection is closed: close dropped the values and the engine's part */
        atomic_store(&st->magic, API_MAGIC_DEAD);
        free(st->param);
        free(st->scratch);
        free(st);
        return MERIDIAN_OK;
    }
    int code = api_enter(db);
    if (code)
        return code;
    api_finalize(st);
    api_leave_quietly(db);
    return MERIDIAN_OK;
}

/* ---- parameters --------------------------------------------------------------------------------------------------------- */

int meridian_param_count(meridian_stmt *st) {
    if (api_enter_stmt(st))
        return -1;
    int n = (int)st->engine->params;
    api_leave_quietly(st->db);
    return n;
}

uint32_t meridian_param_oid(meridian_stmt *st, int index) {
    if (api_enter_stmt(st))
        return 0;
    bool in = index >= 1 && (size_t)index <= st->engine->params;
    uint32_t oid = in ? st->engine->param[index - 1] : 0;
    if (!in)
        (void)api_error_set(&st->db->error, MERIDIAN_RANGE, "22023", "there is no parameter %d", index);
    api_leave_quietly(st->db);
    return oid;
}

int api_bind(meridian_stmt *st, int index, const void *data, size_t bytes, bool binary) {
    meridian *db = st->db;
    char *copy = NULL;
    if (st->phase == API_RUNNING)
        return api_misuse(db, "the statement runs: reset it before its parameters change");
    if (index < 1 || (size_t)index > st->engine->params)
        return api_error_set(&db->error, MERIDIAN_RANGE, "22023", "there is no parameter %d", index);
    if (bytes > PARAM_BYTES_MAX)
        return api_error_set(&db->error, MERIDIAN_LIMIT, "54000", "parameter %d is larger than 1 GiB", index);
    if (data && !(copy = malloc(bytes + 1)))
        return MERIDIAN_NOMEM;
    if (copy) {
        memcpy(copy, data, bytes);
        copy[bytes] = '\0';
    }
    free(st->param[index - 1].data);
    st->param[index - 1].data = copy;
    st->param[index - 1].bytes = bytes;
    st->param[index - 1].binary = binary;
    return MERIDIAN_OK;
}

static int bind_param(meridian_stmt *st, int index, const void *data, size_t bytes, bool binary) {
    int code = api_enter_stmt(st);
    return code ? code : api_leave(st->db, api_bind(st, index, data, bytes, binary));
}

int meridian_bind_null(meridian_stmt *st, int index) {
    return bind_param(st, index, NULL, 0, false);
}

int meridian_bind_bool(meridian_stmt *st, int index, int value) {
    return bind_param(st, index, value ? "true" : "false", value ? 4 : 5, false);
}

int meridian_bind_int64(meridian_stmt *st, int index, int64_t value) {
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    return bind_param(st, index, text, (size_t)n, false);
}

int meridian_bind_double(meridian_stmt *st, int index, double value) {
    char text[40];
    int n;
    if (isnan(value))
        n = snprintf(text, sizeof text, "NaN");
    else if (isinf(value))
        n = snprintf(text, sizeof text, value < 0 ? "-Infinity" : "Infinity");
    else {
        n = snprintf(text, sizeof text, "%.17g", value);
        for (char *p = text; *p; p++) /* the process may have another decimal point */
            if (*p == ',')
                *p = '.';
    }
    return bind_param(st, index, text, (size_t)n, false);
}

int meridian_bind_text(meridian_stmt *st, int index, const char *text, ptrdiff_t bytes) {
    size_t n = !text ? 0 : bytes < 0 ? strlen(text) : (size_t)bytes;
    if (text && memchr(text, 0, n)) {
        int code = api_enter_stmt(st);
        return code ? code
                    : api_leave(st->db, api_error_set(&st->db->error, MERIDIAN_MISMATCH, "22021",
                                                      "a zero byte in parameter %d", index));
    }
    return bind_param(st, index, text, n, false);
}

int meridian_bind_blob(meridian_stmt *st, int index, const void *data, size_t bytes) {
    return bind_param(st, index, data || bytes ? data : "", bytes, true);
}

int meridian_clear_bindings(meridian_stmt *st) {
    int code = api_enter_stmt(st);
    if (code)
        return code;
    if (st->phase == API_RUNNING)
        return api_leave(st->db, api_misuse(st->db, "the statement runs: reset it first"));
    api_drop_params(st);
    return api_leave(st->db, MERIDIAN_OK);
}

/* ---- execution ------------------------------------------------------------------------------------------------------------ */

/* After an error of the engine: what it means for the statement and its block. */
static int failed(meridian_stmt *st, int code) {
    meridian *db = st->db;
    st->db->ops->end(st->engine);
    st->phase = st->script ? API_ENDED : API_READY;
    st->at = code;
    if (db->error.code != code || !db->error.lost)
        return code;
    db->server = API_SERVER_UNKNOWN;
    if (code != MERIDIAN_ABORTED)
        return code;
    /* it was lost inside of a block */
    if (st->ends_block && !db->error.unsent) {
        db->error.code = MERIDIAN_UNKNOWN;
        db->error.retry = MERIDIAN_RETRY_ASK;
        return MERIDIAN_UNKNOWN;
    }
    db->block_lost = !st->undoes && !st->ends_block;
    return code;
}

/* The block's connection is gone: nothing but the block's end is done, and that without a server. */
static int step_lost(meridian_stmt *st) {
    meridian *db = st->db;
    if (st->undoes || st->ends_block) {
        db->block_lost = false;
        st->phase = st->script ? API_RESULT : API_READY;
        if (st->undoes)
            return MERIDIAN_DONE;
        return api_error_set(&db->error, MERIDIAN_ABORTED, "40001",
                             "the connection was lost with the transaction, which was rolled back");
    }
    return api_error_set(&db->error, MERIDIAN_ERROR, "25P02",
                         "the connection was lost with the transaction: roll it back");
}

static int after(meridian_stmt *st, int code) {
    if (code >= MERIDIAN_ERROR)
        return failed(st, code);
    st->at = code;
    st->phase = code != MERIDIAN_DONE ? API_RUNNING : st->script ? API_RESULT : API_READY;
    return code;
}

int api_step(meridian_stmt *st) {
    meridian *db = st->db;
    if (st->script && (st->phase == API_RESULT || st->phase == API_ENDED))
        return api_misuse(db, "the result is at its end: go to the next one, or reset the statement");
    if (st->phase == API_RUNNING && st->at == MERIDIAN_COPY_OUT)
        return api_misuse(db, "COPY has data: read it to its end");
    if (st->phase == API_RUNNING && st->at == MERIDIAN_COPY_IN)
        return api_misuse(db, "COPY wants data: write it, and end it");
    if (st->phase == API_READY) {
        if (db->block_lost)
            return step_lost(st);
        db->ops->end(st->engine); /* what a former execution left */
        int code = db->ops->start(st->engine, st->param, &db->error);
        if (code == MERIDIAN_BUSY) /* nothing was begun */
            return code;
        if (code)
            return failed(st, code);
    }
    return after(st, db->ops->step(st->engine, &db->error));
}

int meridian_step(meridian_stmt *st) {
    int code = api_enter_stmt(st);
    return code ? code : api_leave(st->db, api_step(st));
}

int meridian_next(meridian_stmt *st) {
    int code = api_enter_stmt(st);
    if (code)
        return code;
    meridian *db = st->db;
    if (!st->script || st->phase == API_READY)
        return api_leave(db, api_misuse(db, "there is no result to go on from"));
    if (st->phase == API_ENDED)
        return api_leave(db, MERIDIAN_DONE);
    code = db->ops->next(st->engine, &db->error);
    if (code >= MERIDIAN_ERROR)
        return api_leave(db, failed(st, code));
    st->phase = code == MERIDIAN_OK ? API_RUNNING : API_ENDED;
    st->at = code;
    return api_leave(db, code);
}

int meridian_reset_stmt(meridian_stmt *st) {
    int code = api_enter_stmt(st);
    if (code)
        return code;
    api_end(st);
    return api_leave(st->db, MERIDIAN_OK);
}

int api_exec(meridian *db, const char *sql) {
    meridian_stmt *st;
    int code = api_prepare(db, sql, strlen(sql), true, &st);
    if (code)
        return code;
    while (st->phase != API_ENDED && code < MERIDIAN_ERROR) {
        code = api_step(st);
        if (code == MERIDIAN_COPY_IN || code == MERIDIAN_COPY_OUT) {
            code = api_error_set(&db->error, MERIDIAN_MISUSE, "0A000", "COPY needs meridian_query");
        } else if (code == MERIDIAN_DONE) {
            code = db->ops->next(st->engine, &db->error);
            if (code >= MERIDIAN_ERROR)
                code = failed(st, code);
            else
                st->phase = code == MERIDIAN_OK ? API_RUNNING : API_ENDED;
        }
    }
    api_finalize(st);
    return code >= MERIDIAN_ERROR ? code : MERIDIAN_OK;
}

int meridian_exec(meridian *db, const char *sql) {
    int code = api_enter(db);
    if (code)
        return code;
    if (!sql)
        return api_leave(db, api_misuse(db, "no statement"));
    return api_leave(db, api_exec(db, sql));
}

int api_value(meridian *db, const char *sql, const char *param, char *ret, size_t bytes) {
    meridian_stmt *st;
    int code = api_prepare(db, sql, strlen(sql), false, &st);
    if (code)
        return code;
    if (param)
        code = api_bind(st, 1, param, strlen(param), false);
    if (!code)
        code = api_step(st);
    if (code == MERIDIAN_ROW) {
        const struct engine_cell *cell = st->engine->columns ? st->engine->cell : NULL;
        code = MERIDIAN_OK;
        if (!cell || !cell->data)
            code = MERIDIAN_DONE;
        else if (cell->bytes >= bytes)
            code = api_error_set(&db->error, MERIDIAN_LIMIT, "54000", "the answer is longer than %zu bytes", bytes);
        else
            memcpy(ret, cell->data, cell->bytes + 1);
    }
    api_finalize(st);
    return code;
}

const char *meridian_tag(meridian_stmt *st) {
    if (api_enter_stmt(st))
        return NULL;
    const char *tag = st->at == MERIDIAN_DONE ? st->engine->tag : "";
    api_leave_quietly(st->db);
    return tag;
}

int64_t meridian_changes(meridian_stmt *st) {
    const char *tag = meridian_tag(st), *last = tag ? strrchr(tag, ' ') : NULL;
    if (!last || last[1] < '0' || last[1] > '9')
        return -1;
    return strtoll(last + 1, NULL, 10);
}

/* ---- columns -------------------------------------------------------------------------------------------------------------- */

int meridian_column_count(meridian_stmt *st) {
    if (api_enter_stmt(st))
        return -1;
    int n = (int)st->engine->columns;
    api_leave_quietly(st->db);
    return n;
}

/* Whether there is such a column; else the last error says so. */
static bool column_in(meridian_stmt *st, int column) {
    if (column >= 0 && (size_t)column < st->engine->columns)
        return true;
    (void)api_error_set(&st->db->error, MERIDIAN_RANGE, "22023", "there is no column %d", column);
    return false;
}

const char *meridian_column_name(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return NULL;
    const char *name = column_in(st, column) ? st->engine->column[column].name : NULL;
    api_leave_quietly(st->db);
    return name;
}

uint32_t meridian_column_oid(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return 0;
    uint32_t oid = column_in(st, column) ? st->engine->column[column].oid : 0;
    api_leave_quietly(st->db);
    return oid;
}

int32_t meridian_column_modifier(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return -1;
    int32_t typmod = column_in(st, column) ? st->engine->column[column].typmod : -1;
    api_leave_quietly(st->db);
    return typmod;
}

/* The cell, inside of a call; NULL: the last error says why. */
static const struct engine_cell *cell_of(meridian_stmt *st, int column) {
    if (st->phase != API_RUNNING || st->at != MERIDIAN_ROW) {
        (void)api_misuse(st->db, "there is no row");
        return NULL;
    }
    return column_in(st, column) ? &st->engine->cell[column] : NULL;
}

int meridian_column_type(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return -1;
    int type = -1;
    const struct engine_cell *cell = cell_of(st, column);
    if (cell)
        switch (cell->data ? st->engine->column[column].oid : 0) {
        case 0:
            type = MERIDIAN_TYPE_NULL;
            break;
        case OID_BOOL:
            type = MERIDIAN_TYPE_BOOL;
            break;
        case OID_INT2:
        case OID_INT4:
        case OID_INT8:
        case OID_OID:
            type = MERIDIAN_TYPE_INT;
            break;
        case OID_FLOAT4:
        case OID_FLOAT8:
            type = MERIDIAN_TYPE_FLOAT;
            break;
        case OID_BYTEA:
            type = MERIDIAN_TYPE_BLOB;
            break;
        default:
            type = MERIDIAN_TYPE_TEXT;
            break;
        }
    api_leave_quietly(st->db);
    return type;
}

int meridian_column_is_null(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return 1;
    const struct engine_cell *cell = cell_of(st, column);
    bool null = !cell || !cell->data;
    api_leave_quietly(st->db);
    return null;
}

static void mismatch(meridian_stmt *st, int column, const char *what) {
    (void)api_error_set(&st->db->error, MERIDIAN_MISMATCH, "22018", "column %d is no %s, or does not fit into it",
                        column, what);
}

static bool is_bool(meridian_stmt *st, int column) {
    return st->engine->column[column].oid == OID_BOOL;
}

int64_t meridian_column_int64(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return 0;
    long long v = 0;
    const struct engine_cell *cell = cell_of(st, column);
    if (cell && cell->data && is_bool(st, column)) {
        v = cell->data[0] == 't';
    } else if (cell && cell->data) {
        char *end;
        errno = 0;
        v = strtoll(cell->data, &end, 10);
        if (errno || end == cell->data || *end) {
            mismatch(st, column, "64-bit integer");
            v = 0;
        }
    }
    api_leave_quietly(st->db);
    return v;
}

/* strtod reads the decimal point of the process's locale; a number in a text has a dot. */
static double number(const char *text, char **end) {
    char copy[512];
    double v = strtod(text, end);
    if (**end != '.')
        return v;
    size_t n = strlen(text), dot = (size_t)(*end - text);
    if (n >= sizeof copy)
        return v;
    memcpy(copy, text, n + 1);
    copy[dot] = ',';
    char *at;
    v = strtod(copy, &at);
    *end += at - (copy + dot);
    return v;
}

double meridian_column_double(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return 0;
    double v = 0;
    const struct engine_cell *cell = cell_of(st, column);
    if (cell && cell->data && is_bool(st, column)) {
        v = cell->data[0] == 't';
    } else if (cell && cell->data) {
        char *end;
        v = number(cell->data, &end);
        if (end == cell->data || *end) {
            mismatch(st, column, "number");
            v = 0;
        }
    }
    api_leave_quietly(st->db);
    return v;
}

int meridian_column_bool(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return 0;
    const struct engine_cell *cell = cell_of(st, column);
    int v = 0;
    if (cell && cell->data && is_bool(st, column))
        v = cell->data[0] == 't';
    else if (cell && cell->data)
        mismatch(st, column, "bool");
    api_leave_quietly(st->db);
    return v;
}

const char *meridian_column_text(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return NULL;
    const struct engine_cell *cell = cell_of(st, column);
    api_leave_quietly(st->db);
    return cell ? cell->data : NULL;
}

size_t meridian_column_bytes(meridian_stmt *st, int column) {
    if (api_enter_stmt(st))
        return 0;
    const struct engine_cell *cell = cell_of(st, column);
    api_leave_quietly(st->db);
    return cell && cell->data ? cell->bytes : 0;
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A bytea's text form: \x and hexadecimal digits, or (bytea_output = escape) bytes with \\ and \ooo. */
static bool unescape(const char *text, size_t n, char *to, size_t *ret) {
    size_t out = 0;
    if (n >= 2 && text[0] == '\\' && text[1] == 'x') {
        for (size_t i = 2; i < n; i += 2) {
            int a = hex(text[i]), b = i + 1 < n ? hex(text[i + 1]) : -1;
            if (a < 0 || b < 0)
                return false;
            to[out++] = (char)(a << 4 | b);
        }
        *ret = out;
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\\') {
            to[out++] = text[i];
        } else if (i + 1 < n && text[i + 1] == '\\') {
            to[out++] = '\\';
            i++;
        } else if (i + 3 < n) {
            to[out++] = (char)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
            i += 3;
        } else {
            return false;
        }
    }
    *ret = out;
    return true;
}

const void *meridian_column_blob(meridian_stmt *st, int column, size_t *ret_bytes) {
    if (ret_bytes)
        *ret_bytes = 0;
    if (api_enter_stmt(st))
        return NULL;
    const struct engine_cell *cell = cell_of(st, column);
    const char *data = cell ? cell->data : NULL;
    size_t bytes = data ? cell->bytes : 0;
    if (data && st->engine->column[column].oid == OID_BYTEA) {
        if (st->scratch_bytes < bytes + 1) {
            char *more = realloc(st->scratch, bytes + 1);
            if (more) {
                st->scratch = more;
                st->scratch_bytes = bytes + 1;
            }
        }
        if (st->scratch_bytes < bytes + 1) {
            (void)api_error_set(&st->db->error, MERIDIAN_NOMEM, "53200", "out of memory");
            data = NULL;
            bytes = 0;
        } else if (unescape(data, bytes, st->scratch, &bytes)) {
            data = st->scratch;
        } else {
            mismatch(st, column, "bytea");
            data = NULL;
            bytes = 0;
        }
    }
    if (ret_bytes)
        *ret_bytes = bytes;
    api_leave_quietly(st->db);
    return data;
}

/* ---- COPY --------------------------------------------------------------------------------------------------------------------- */

int meridian_copy_write(meridian_stmt *st, const void *data, size_t bytes) {
    int code = api_enter_stmt(st);
    if (code)
        return code;
    meridian *db = st->db;
    if (st->phase != API_RUNNING || st->at != MERIDIAN_COPY_IN || (!data && bytes))
        return api_leave(db, api_misuse(db, "no COPY ... FROM STDIN is under way"));
    code = db->ops->copy_write(st->engine, data, bytes, &db->error);
    return api_leave(db, code ? failed(st, code) : code);
}

int meridian_copy_end(meridian_stmt *st, const char *error) {
    int code = api_enter_stmt(st);
    if (code)
        return code;
    meridian *db = st->db;
    if (st->phase != API_RUNNING || st->at != MERIDIAN_COPY_IN)
        return api_leave(db, api_misuse(db, "no COPY ... FROM STDIN is under way"));
    code = db->ops->copy_end(st->engine, error, &db->error);
    st->at = MERIDIAN_OK;
    return api_leave(db, code ? failed(st, code) : code);
}

int meridian_copy_read(meridian_stmt *st, const void **ret_data, size_t *ret_bytes) {
    int code = api_enter_stmt(st);
    if (code)
        return code;
    meridian *db = st->db;
    if (st->phase != API_RUNNING || st->at != MERIDIAN_COPY_OUT || !ret_data || !ret_bytes)
        return api_leave(db, api_misuse(db, "no COPY ... TO STDOUT is under way"));
    code = db->ops->copy_read(st->engine, ret_data, ret_bytes, &db->error);
    if (!code && *ret_bytes == 0)
        st->at = MERIDIAN_OK;
    return api_leave(db, code ? failed(st, code) : code);
}
