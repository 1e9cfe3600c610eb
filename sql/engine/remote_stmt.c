/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_stmt.c: statements of the remote engine.
 *
 * Rows come in libpq's single-row mode, one result each, so any number of them passes through constant memory. The protocol
 * knows one statement at a time: when another one begins, what is left of this one is read into its queue (`aside`), and comes
 * from there.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/engine/remote_internal.h"

struct remote_stmt {
    struct engine_stmt pub;
    struct remote *r;
    char *sql;
    bool script;
    uint64_t name, generation; /* of a prepared one; generation 0: the server does not know it */
    PGresult *described;       /* of a prepared one: its columns' names */
    PGresult *res;             /* the row, or the end of a result */
    char *copy;                /* PQgetCopyData's */
    PGresult **aside;
    size_t aside_at, aside_count, aside_cap, aside_bytes;
    bool ended;      /* a query: step has seen the end of the last result */
    PGresult *ahead; /* a query: the first of the next result */
    struct engine_column *column;
    struct engine_cell *cell;
    size_t cap;
    uint32_t *param;
    char tag[64];
};

static struct remote_stmt *of(struct engine_stmt *st) {
    return container_of(st, struct remote_stmt, pub);
}

static void name_of(const struct remote_stmt *st, char ret[REMOTE_NAME_BYTES]) {
    snprintf(ret, REMOTE_NAME_BYTES, "mdn_%llu", (unsigned long long)st->name);
}

static int describe(struct remote_stmt *st, const PGresult *res, struct api_error *err);

/* ---- results on their way ------------------------------------------------------------------------------------------------ */

/* The next result, from the queue or from the server; NULL: there is none. */
static PGresult *take(struct remote_stmt *st) {
    if (st->ahead) {
        PGresult *res = st->ahead;
        st->ahead = NULL;
        return res;
    }
    if (st->aside_at < st->aside_count)
        return st->aside[st->aside_at++];
    if (st->r->active != st)
        return NULL;
    PGresult *res = remote_result(st->r);
    if (!res)
        st->r->active = NULL;
    return res;
}

int remote_set_aside(struct remote_stmt *st, struct api_error *err) {
    while (st->r->active == st) {
        if (st->aside_bytes > REMOTE_ASIDE_BYTES_MAX)
            return api_error_set(err, MERIDIAN_BUSY, "55006",
                                 "another statement has more than 64 MiB of rows left: end it first");
        if (st->aside_count == st->aside_cap) {
            size_t cap = st->aside_cap ? 2 * st->aside_cap : 64;
            PGresult **more = realloc(st->aside, cap * sizeof *more);
            if (!more)
                return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
            st->aside = more;
            st->aside_cap = cap;
        }
        PGresult *res = remote_result(st->r);
        if (!res) {
            st->r->active = NULL;
            break;
        }
        ExecStatusType kind = PQresultStatus(res);
        if (kind == PGRES_COPY_IN || kind == PGRES_COPY_OUT) {
            PQclear(res); /* libpq gives it again and again */
            return api_error_set(err, MERIDIAN_BUSY, "55006", "a COPY is under way: end it first");
        }
        st->aside_bytes += PQresultMemorySize(res);
        st->aside[st->aside_count++] = res;
    }
    return MERIDIAN_OK;
}

static void drop(struct remote_stmt *st) {
    for (; st->aside_at < st->aside_count; st->aside_at++)
        PQclear(st->aside[st->aside_at]);
    st->aside_at = st->aside_count = st->aside_bytes = 0;
    PQclear(st->res);
    PQclear(st->ahead);
    st->res = st->ahead = NULL;
    PQfreemem(st->copy);
    st->copy = NULL;
}

/* Leaves a COPY whose other end still talks. */
static void leave_copy(struct remote *r, ExecStatusType kind) {
    char *data;
    if (kind == PGRES_COPY_IN) {
        (void)PQputCopyEnd(r->conn, "given up"); /* a broken connection is met by whoever reads its answer */
        (void)remote_flush(r);
        return;
    }
    while (PQgetCopyData(r->conn, &data, 0) > 0)
        PQfreemem(data);
}

void remote_end(struct engine_stmt *pub) {
    struct remote_stmt *st = of(pub);
    drop(st);
    while (st->r->active == st) {
        PGresult *res = remote_result(st->r);
        if (!res) {
            st->r->active = NULL;
            break;
        }
        ExecStatusType kind = PQresultStatus(res);
        PQclear(res);
        if (kind == PGRES_COPY_IN || kind == PGRES_COPY_OUT)
            leave_copy(st->r, kind);
        if (remote_broken(st->r)) {
            st->r->active = NULL;
            st->r->lost |= !remote_in_block(st->r);
        }
    }
    st->ended = false;
    if (st->described)
        (void)describe(st, st->described, NULL); /* there is room: it had it before */
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

/* Room for columns and cells. */
static bool reserve(struct remote_stmt *st, size_t columns) {
    if (columns <= st->cap)
        return true;
    struct engine_column *column = realloc(st->column, columns * sizeof *column);
    if (column)
        st->column = column;
    struct engine_cell *cell = realloc(st->cell, columns * sizeof *cell);
    if (cell)
        st->cell = cell;
    if (!column || !cell)
        return false;
    st->cap = columns;
    return true;
}

/* Names are res's: good while st holds it. */
static int describe(struct remote_stmt *st, const PGresult *res, struct api_error *err) {
    int n = PQnfields(res);
    if (!reserve(st, (size_t)n))
        return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
    for (int i = 0; i < n; i++)
        st->column[i] = (struct engine_column){PQfname(res, i), PQftype(res, i), PQfmod(res, i)};
    st->pub.columns = (size_t)n;
    st->pub.column = st->column;
    st->pub.cell = st->cell;
    return MERIDIAN_OK;
}

static int nomem(struct api_error *err) {
    return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
}

static struct remote_stmt *stmt_new(struct remote *r, const char *sql, size_t bytes, bool script) {
    struct remote_stmt *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    st->r = r;
    st->script = script;
    st->pub.tag = st->tag;
    st->sql = strndup(sql, bytes);
    if (!st->sql) {
        free(st);
        return NULL;
    }
    return st;
}

void remote_stmt_free(struct engine_stmt *pub) {
    struct remote_stmt *st = of(pub);
    remote_end(pub);
    PQclear(st->described);
    if (st->generation && st->generation == st->r->generation)
        remote_forget(st->r, st->name);
    free(st->aside);
    free(st->column);
    free(st->cell);
    free(st->param);
    free(st->sql);
    free(st);
}

int remote_query(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err) {
    struct remote_stmt *st = stmt_new(remote_of(e), sql, bytes, true);
    if (!st)
        return nomem(err);
    *ret = &st->pub;
    return MERIDIAN_OK;
}

/* Everything up to the end of the pipeline; the last failure is kept in err. */
static int pipeline_end(struct remote *r, PGresult *failed, struct api_error *err) {
    int code = failed ? remote_error(r, failed, err) : MERIDIAN_OK;
    PQclear(failed);
    for (int nothing = 0; nothing < 2 && !remote_broken(r);) {
        PGresult *res = remote_result(r);
        nothing = res ? 0 : nothing + 1;
        ExecStatusType kind = res ? PQresultStatus(res) : PGRES_COMMAND_OK;
        PQclear(res);
        if (kind == PGRES_PIPELINE_SYNC)
            break;
    }
    if (remote_broken(r))
        return code ? code : remote_error(r, NULL, err);
    if (!PQexitPipelineMode(r->conn) && !code)
        code = remote_error(r, NULL, err);
    r->state = PQtransactionStatus(r->conn);
    return code;
}

static int learn(struct remote_stmt *st, PGresult *res, struct api_error *err) {
    int n = PQnparams(res);
    uint32_t *param = n ? realloc(st->param, (size_t)n * sizeof *param) : st->param;
    if (n && !param)
        return nomem(err);
    for (int i = 0; i < n; i++)
        param[i] = PQparamtype(res, i);
    st->param = param;
    st->pub.param = param;
    st->pub.params = (size_t)n;
    PQclear(st->described);
    st->described = res;
    return describe(st, res, err);
}

/* Parse and Describe in one round trip. */
static int prepare(struct remote_stmt *st, struct api_error *err) {
    struct remote *r = st->r;
    char name[REMOTE_NAME_BYTES];
    PGresult *failed = NULL, *described = NULL;
    st->name = ++r->names;
    name_of(st, name);
    if (!PQenterPipelineMode(r->conn))
        return remote_error(r, NULL, err);
    bool sent = PQsendPrepare(r->conn, name, st->sql, 0, NULL) == 1 && PQsendDescribePrepared(r->conn, name) == 1 &&
                PQpipelineSync(r->conn) == 1;
    for (int i = 0; sent && i < 2 && !failed; i++) {
        PGresult *res = remote_result(r);
        if (!res)
            break;
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            failed = res;
        else if (i == 1)
            described = res;
        else
            PQclear(res);
        if (!failed) { /* the NULL that ends each answer */
            res = remote_result(r);
            PQclear(res);
        }
    }
    int code = pipeline_end(r, failed, err);
    if (!code && !described)
        code = remote_error(r, NULL, err);
    if (!code)
        st->generation = r->generation;
    if (!code && st->pub.param && st->pub.params != (size_t)PQnparams(described))
        code = api_error_set(err, MERIDIAN_ERROR, "0A000", "the parameters of the statement have changed");
    if (code)
        PQclear(described);
    else
        code = learn(st, described, err);
    return code;
}

int remote_prepare(struct engine *e, const char *sql, size_t bytes, struct engine_stmt **ret, struct api_error *err) {
    struct remote *r = remote_of(e);
    int code = remote_ready(r, err);
    if (code)
        return code;
    struct remote_stmt *st = stmt_new(r, sql, bytes, false);
    if (!st)
        return nomem(err);
    code = prepare(st, err);
    if (code)
        remote_stmt_free(&st->pub);
    else
        *ret = &st->pub;
    return code;
}

/* ---- execution ---------------------------------------------------------------------------------------------------------------- */

static bool send_prepared(struct remote_stmt *st, const struct engine_param *param) {
    const char *few[16];
    int few_bytes[16], few_binary[16];
    char name[REMOTE_NAME_BYTES];
    size_t n = st->pub.params;
    const char **value = few;
    int *bytes = few_bytes, *binary = few_binary;
    if (n > ARRAY_LEN(few)) {
        value = calloc(n, sizeof *value);
        bytes = calloc(n, sizeof *bytes);
        binary = calloc(n, sizeof *binary);
    }
    bool ok = value && bytes && binary;
    for (size_t i = 0; ok && i < n; i++) {
        value[i] = param[i].data;
        bytes[i] = (int)param[i].bytes;
        binary[i] = param[i].binary;
    }
    name_of(st, name);
    ok = ok && PQsendQueryPrepared(st->r->conn, name, (int)n, value, bytes, binary, 0) == 1;
    if (value != few) {
        free(value);
        free(bytes);
        free(binary);
    }
    return ok;
}

int remote_start(struct engine_stmt *pub, const struct engine_param *param, struct api_error *err) {
    struct remote_stmt *st = of(pub);
    struct remote *r = st->r;
    int code = remote_ready(r, err);
    if (code)
        return code;
    st->tag[0] = '\0';
    if (!st->script && st->generation != r->generation) {
        size_t had = st->pub.params;
        code = prepare(st, err);
        if (!code && st->pub.params != had)
            code = api_error_set(err, MERIDIAN_ERROR, "0A000", "the parameters of the statement have changed");
        if (code)
            return code;
    }
    bool sent = st->script ? PQsendQuery(r->conn, st->sql) == 1 : send_prepared(st, param);
    if (!sent)
        return remote_error(r, NULL, err);
    if (!PQsetSingleRowMode(r->conn))
        return remote_error(r, NULL, err);
    r->active = st;
    if (st->script)
        st->pub.columns = 0;
    return MERIDIAN_OK;
}

static int row(struct remote_stmt *st, struct api_error *err) {
    int code = describe(st, st->res, err);
    for (size_t i = 0; i < st->pub.columns && !code; i++) {
        bool null = PQgetisnull(st->res, 0, (int)i);
        st->cell[i] =
            (struct engine_cell){null ? NULL : PQgetvalue(st->res, 0, (int)i), (size_t)PQgetlength(st->res, 0, (int)i)};
    }
    return code ? code : MERIDIAN_ROW;
}

/* The last result of a statement has been seen: the server says what state it is in, and maybe one error more. */
static int finish(struct remote_stmt *st, struct api_error *err) {
    if (st->script)
        return MERIDIAN_DONE;
    int code = MERIDIAN_DONE;
    for (PGresult *res; (res = take(st));) {
        if (PQresultStatus(res) == PGRES_FATAL_ERROR)
            code = remote_error(st->r, res, err);
        PQclear(res);
        if (remote_broken(st->r))
            break;
    }
    return code;
}

/* What a result means. It becomes st->res. */
static int result(struct remote_stmt *st, PGresult *res, struct api_error *err) {
    int code;
    PQclear(st->res);
    st->res = res;
    switch (PQresultStatus(res)) {
    case PGRES_SINGLE_TUPLE:
        return row(st, err);
    case PGRES_TUPLES_OK:
        code = describe(st, res, err);
        snprintf(st->tag, sizeof st->tag, "%s", PQcmdStatus(res));
        return code ? code : finish(st, err);
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        st->pub.columns = 0;
        snprintf(st->tag, sizeof st->tag, "%s", PQcmdStatus(res));
        return finish(st, err);
    case PGRES_COPY_IN:
        st->pub.columns = 0;
        return MERIDIAN_COPY_IN;
    case PGRES_COPY_OUT:
        st->pub.columns = 0;
        return MERIDIAN_COPY_OUT;
    case PGRES_FATAL_ERROR:
        return remote_error(st->r, res, err);
    default:
        return api_error_set(err, MERIDIAN_UNSUPPORTED, "0A000", "the server answers with \"%s\"",
                             PQresStatus(PQresultStatus(res)));
    }
}

int remote_step(struct engine_stmt *pub, struct api_error *err) {
    struct remote_stmt *st = of(pub);
    PGresult *res = take(st);
    if (!res) { /* a text of nothing */
        st->ended = true;
        return MERIDIAN_DONE;
    }
    return result(st, res, err);
}

int remote_next(struct engine_stmt *pub, struct api_error *err) {
    struct remote_stmt *st = of(pub);
    /* what is left of this result */
    while (st->res && !st->ended && PQresultStatus(st->res) == PGRES_SINGLE_TUPLE) {
        PGresult *res = take(st);
        if (!res)
            break;
        int code = result(st, res, err);
        if (code >= MERIDIAN_ERROR)
            return code;
    }
    if (st->res && (PQresultStatus(st->res) == PGRES_COPY_IN || PQresultStatus(st->res) == PGRES_COPY_OUT))
        leave_copy(st->r, PQresultStatus(st->res));
    PGresult *res = st->ended ? NULL : take(st);
    if (!res) {
        st->ended = true;
        return MERIDIAN_DONE;
    }
    if (PQresultStatus(res) == PGRES_FATAL_ERROR)
        return result(st, res, err);
    st->tag[0] = '\0';
    st->ahead = res;
    return describe(st, res, err);
}

/* ---- COPY -------------------------------------------------------------------------------------------------------------------- */

static int put_wait(struct remote *r, int rc, struct api_error *err) {
    if (rc == 1)
        return MERIDIAN_OK;
    return remote_error(r, NULL, err);
}

int remote_copy_write(struct engine_stmt *pub, const void *data, size_t bytes, struct api_error *err) {
    struct remote *r = of(pub)->r;
    const char *at = data;
    while (bytes) {
        size_t piece = bytes < (1 << 20) ? bytes : 1 << 20;
        int rc = PQputCopyData(r->conn, at, (int)piece);
        if (rc == 1 && remote_flush(r)) {
            at += piece;
            bytes -= piece;
        } else if (rc != 0 || !remote_flush(r)) {
            return put_wait(r, -1, err);
        }
    }
    return MERIDIAN_OK;
}

int remote_copy_end(struct engine_stmt *pub, const char *error, struct api_error *err) {
    struct remote *r = of(pub)->r;
    int rc = PQputCopyEnd(r->conn, error);
    while (rc == 0 && remote_flush(r))
        rc = PQputCopyEnd(r->conn, error);
    return put_wait(r, rc == 1 && remote_flush(r) ? 1 : -1, err);
}

int remote_copy_read(struct engine_stmt *pub, const void **ret, size_t *ret_bytes, struct api_error *err) {
    struct remote_stmt *st = of(pub);
    struct remote *r = st->r;
    PQfreemem(st->copy);
    st->copy = NULL;
    for (;;) {
        int n = PQgetCopyData(r->conn, &st->copy, 1);
        if (n > 0) {
            *ret = st->copy;
            *ret_bytes = (size_t)n;
            return MERIDIAN_OK;
        }
        if (n == -1) {
            *ret = "";
            *ret_bytes = 0;
            return MERIDIAN_OK;
        }
        if (n == -2)
            return remote_error(r, NULL, err);
        struct pollfd fd = {.fd = PQsocket(r->conn), .events = POLLIN};
        if (poll(&fd, 1, r->host->on_progress ? r->host->progress_ms : -1) == 0 &&
            r->host->on_progress(r->host->progress_ctx))
            (void)remote_ops.cancel((struct engine *)(void *)r);
        if (PQconsumeInput(r->conn) == 0)
            return remote_error(r, NULL, err);
    }
}
