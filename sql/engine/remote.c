/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.c: the connection of the remote engine: URLs, connecting and connecting again, waiting, cancelling, errors.
 *
 * A lost connection is met in one of three places:
 *     before a statement, outside of a block   nothing is lost: connect again, to the first node that answers, and go on
 *     inside of a block                        the block is gone: MERIDIAN_ABORTED, and the API refuses all but its end
 *     while a statement runs outside of one    perhaps it happened: MERIDIAN_UNKNOWN
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/engine/remote_internal.h"

/* ---- the URL --------------------------------------------------------------------------------------------------------------- */

static int set_option(struct remote *r, const char *keyword, const char *value, bool only_if_missing,
                      struct api_error *err) {
    size_t i = 0;
    while (i < r->options && strcmp(r->keyword[i], keyword) != 0)
        i++;
    if (i < r->options && only_if_missing)
        return MERIDIAN_OK;
    if (i == REMOTE_OPTIONS_MAX)
        return api_error_set(err, MERIDIAN_LIMIT, "54000", "too many options in the URL");
    char *copy = strdup(value), *name = i == r->options ? strdup(keyword) : NULL;
    if (!copy || (i == r->options && !name)) {
        free(copy);
        free(name);
        return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
    }
    if (i == r->options) {
        r->keyword[i] = name;
        r->options++;
    }
    free(r->value[i]);
    r->value[i] = copy;
    return MERIDIAN_OK;
}

static const char *option(const struct remote *r, const char *keyword) {
    for (size_t i = 0; i < r->options; i++)
        if (strcmp(r->keyword[i], keyword) == 0)
            return r->value[i];
    return NULL;
}

/* Every host without a port of its own gets 7432. */
static int default_ports(struct remote *r, struct api_error *err) {
    const char *host = option(r, "host"), *port = option(r, "port");
    char ports[1024];
    size_t n = 0;
    if (!host)
        host = "127.0.0.1";
    if (!port)
        port = "";
    for (;;) {
        size_t len = strcspn(port, ",");
        int wrote =
            snprintf(ports + n, sizeof ports - n, "%s%.*s", n ? "," : "", len ? (int)len : 4, len ? port : "7432");
        if (wrote < 0 || (size_t)wrote >= sizeof ports - n)
            return api_error_set(err, MERIDIAN_LIMIT, "54000", "too many hosts in the URL");
        n += (size_t)wrote;
        port += len + (port[len] == ',');
        host = strchr(host, ',');
        if (!host)
            break;
        host++;
    }
    return set_option(r, "port", ports, false, err);
}

static int parse_url(struct remote *r, const char *url, struct api_error *err) {
    static const struct {
        const char *keyword, *value;
    } defaults[] = {{"connect_timeout", "5"},
                    {"keepalives_idle", "10"},
                    {"keepalives_interval", "5"},
                    {"keepalives_count", "3"},
                    {"tcp_user_timeout", "15000"},
                    {"client_encoding", "UTF8"},
                    {"fallback_application_name", "meridian"}};
    static const char ours[] = "meridian://";
    bool is_ours = strncmp(url, ours, sizeof ours - 1) == 0;
    char *as_pg = NULL, *why = NULL;
    if (asprintf(&as_pg, "postgresql://%s", strstr(url, "://") + 3) < 0)
        return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
    PQconninfoOption *all = PQconninfoParse(as_pg, &why);
    free(as_pg);
    if (!all) {
        if (why && why[0])
            why[strcspn(why, "\n")] = '\0';
        api_error_set(err, MERIDIAN_MISUSE, "08001", "this is no URL: %s", why ? why : "out of memory");
        PQfreemem(why);
        return MERIDIAN_MISUSE;
    }
    int code = MERIDIAN_OK;
    for (PQconninfoOption *o = all; o->keyword && !code; o++)
        if (o->val)
            code = set_option(r, o->keyword, o->val, false, err);
    PQconninfoFree(all);
    if (!code && is_ours)
        code = set_option(r, "host", "127.0.0.1", true, err);
    if (!code && is_ours)
        code = default_ports(r, err);
    if (!code && is_ours)
        code = set_option(r, "user", "meridian", true, err);
    if (!code && is_ours)
        code = set_option(r, "dbname", "meridian", true, err);
    for (size_t i = 0; i < ARRAY_LEN(defaults) && !code; i++)
        code = set_option(r, defaults[i].keyword, defaults[i].value, true, err);
    return code;
}

/* ---- errors ---------------------------------------------------------------------------------------------------------------- */

void remote_fields(const PGresult *res, struct api_error *err) {
    static const struct {
        int field, code;
    } map[] = {{MERIDIAN_FIELD_MESSAGE, PG_DIAG_MESSAGE_PRIMARY}, {MERIDIAN_FIELD_DETAIL, PG_DIAG_MESSAGE_DETAIL},
               {MERIDIAN_FIELD_HINT, PG_DIAG_MESSAGE_HINT},       {MERIDIAN_FIELD_SEVERITY, PG_DIAG_SEVERITY},
               {MERIDIAN_FIELD_CONTEXT, PG_DIAG_CONTEXT},         {MERIDIAN_FIELD_SCHEMA, PG_DIAG_SCHEMA_NAME},
               {MERIDIAN_FIELD_TABLE, PG_DIAG_TABLE_NAME},        {MERIDIAN_FIELD_COLUMN, PG_DIAG_COLUMN_NAME},
               {MERIDIAN_FIELD_TYPE, PG_DIAG_DATATYPE_NAME},      {MERIDIAN_FIELD_CONSTRAINT, PG_DIAG_CONSTRAINT_NAME}};
    const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        api_error_field(err, map[i].field, PQresultErrorField(res, map[i].code));
    err->position = position ? (int)strtol(position, NULL, 10) : 0;
}

bool remote_broken(const struct remote *r) {
    return !r->conn || PQstatus(r->conn) == CONNECTION_BAD;
}

bool remote_in_block(const struct remote *r) {
    return r->state == PQTRANS_INTRANS || r->state == PQTRANS_INERROR;
}

/* The first line of what libpq says. */
static void first_line(const char *text, char *ret, size_t bytes) {
    size_t n = strcspn(text, "\n");
    snprintf(ret, bytes, "%.*s", (int)(n < bytes ? n : bytes - 1), text);
}

int remote_error(struct remote *r, const PGresult *res, struct api_error *err) {
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    bool broken = remote_broken(r);
    api_error_clear(err);
    if (state) {
        api_error_by_state(err, state);
        remote_fields(res, err);
        if (!broken)
            return err->code;
    } else {
        char line[512];
        const char *text = res && PQresultErrorMessage(res)[0] ? PQresultErrorMessage(res) : PQerrorMessage(r->conn);
        first_line(text, line, sizeof line);
        api_error_set(err, MERIDIAN_ERROR, broken ? "08006" : "XX000", "%s", line);
        if (!broken)
            return err->code;
    }
    err->lost = true;
    r->lost = true;
    err->code = remote_in_block(r) ? MERIDIAN_ABORTED : MERIDIAN_UNKNOWN;
    err->retry = remote_in_block(r) ? MERIDIAN_RETRY_YES : MERIDIAN_RETRY_ASK;
    return err->code;
}

static void on_notice(void *arg, const PGresult *res) {
    struct remote *r = arg;
    struct api_error what = {0};
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    api_error_by_state(&what, state ? state : "00000");
    remote_fields(res, &what);
    r->host->on_notice(r->host->notice_ctx, &what);
    api_error_clear(&what);
}

/* ---- connecting --------------------------------------------------------------------------------------------------------------- */

static void disconnect(struct remote *r) {
    pthread_mutex_lock(&r->lock);
    PQfreeCancel(r->cancel);
    r->cancel = NULL;
    pthread_mutex_unlock(&r->lock);
    PQfinish(r->conn);
    r->conn = NULL;
    r->active = NULL;
    r->dead_count = 0;
    r->state = PQTRANS_IDLE;
    r->lost = false;
}

/* libpq gives no SQLSTATE of a connection that failed; the server's words do. */
static int refused(struct remote *r, struct api_error *err) {
    static const struct {
        const char *words, *state;
    } known[] = {{"password authentication failed", "28P01"},
                 {"no password supplied", "28P01"},
                 {"no pg_hba.conf entry", "28000"},
                 {"\" does not exist", "3D000"},
                 {"too many c", "53300"},
                 {"is not permitted to log in", "28000"}};
    char line[512];
    const char *text = PQerrorMessage(r->conn);
    const char *last = NULL; /* with several hosts, what the last one that answered says */
    for (const char *at = text; (at = strstr(at, "FATAL:")); at++)
        last = at;
    first_line(text, line, sizeof line);
    if (!last) {
        api_error_set(err, MERIDIAN_UNAVAILABLE, "08001", "%s", line);
        if (strchr(text, '\n') && strchr(text, '\n')[1]) {
            char rest[1024];
            snprintf(rest, sizeof rest, "%s", strchr(text, '\n') + 1);
            for (size_t n = strlen(rest); n && rest[n - 1] == '\n'; n--)
                rest[n - 1] = '\0';
            api_error_field(err, MERIDIAN_FIELD_DETAIL, rest);
        }
        return MERIDIAN_UNAVAILABLE;
    }
    const char *state = "08004";
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strstr(last, known[i].words))
            state = known[i].state;
    if (strcmp(state, "3D000") == 0 && strstr(last, "role \""))
        state = "28000";
    api_error_set(err, MERIDIAN_ERROR, state, "%s", line);
    api_error_field(err, MERIDIAN_FIELD_SEVERITY, "FATAL");
    if (strcmp(state, "53300") == 0) {
        err->code = MERIDIAN_UNAVAILABLE;
        err->retry = MERIDIAN_RETRY_YES;
    }
    return err->code;
}

static int connect_now(struct remote *r, struct api_error *err) {
    disconnect(r);
    r->conn = PQconnectdbParams(r->keyword, (const char *const *)r->value, 0);
    if (!r->conn)
        return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
    r->generation++;
    if (PQstatus(r->conn) != CONNECTION_OK)
        return refused(r, err);
    if (PQsetnonblocking(r->conn, 1) != 0)
        return remote_error(r, NULL, err);
    PQsetNoticeReceiver(r->conn, on_notice, r);
    PGcancel *cancel = PQgetCancel(r->conn);
    pthread_mutex_lock(&r->lock);
    r->cancel = cancel;
    pthread_mutex_unlock(&r->lock);
    r->state = PQtransactionStatus(r->conn);
    return MERIDIAN_OK;
}

static void close_(struct engine *e) {
    struct remote *r = remote_of(e);
    disconnect(r);
    for (size_t i = 0; i < r->options; i++) {
        free((char *)(uintptr_t)r->keyword[i]);
        free(r->value[i]);
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int remote_open(const char *url, const struct engine_host *host, struct engine **ret, struct api_error *err) {
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
    r->host = host;
    pthread_mutex_init(&r->lock, NULL);
    int code = parse_url(r, url, err);
    if (!code)
        code = connect_now(r, err);
    if (code)
        close_((struct engine *)(void *)r);
    else
        *ret = (struct engine *)(void *)r;
    return code;
}

static int clone_(struct engine *e, const struct engine_host *host, struct engine **ret, struct api_error *err) {
    const struct remote *from = remote_of(e);
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
    r->host = host;
    pthread_mutex_init(&r->lock, NULL);
    int code = MERIDIAN_OK;
    for (size_t i = 0; i < from->options && !code; i++)
        code = set_option(r, from->keyword[i], from->value[i], false, err);
    if (!code)
        code = connect_now(r, err);
    if (code)
        close_((struct engine *)(void *)r);
    else
        *ret = (struct engine *)(void *)r;
    return code;
}

static int reset(struct engine *e, struct api_error *err) {
    return connect_now(remote_of(e), err);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------------ */

static int cancel(struct engine *e) {
    struct remote *r = remote_of(e);
    char why[256];
    pthread_mutex_lock(&r->lock);
    int ok = r->cancel && PQcancel(r->cancel, why, sizeof why);
    pthread_mutex_unlock(&r->lock);
    return ok ? MERIDIAN_OK : MERIDIAN_UNAVAILABLE;
}

/* Until the socket is ready or it is time to ask the caller. */
static void wait_socket(struct remote *r, bool write) {
    struct pollfd fd = {.fd = PQsocket(r->conn), .events = (short)(POLLIN | (write ? POLLOUT : 0))};
    if (fd.fd < 0)
        return;
    int n = poll(&fd, 1, r->host->on_progress ? r->host->progress_ms : -1);
    if (n == 0 && r->host->on_progress && r->host->on_progress(r->host->progress_ctx))
        (void)cancel((struct engine *)(void *)r); /* not sent: the statement goes on, and is asked about again */
}

PGresult *remote_result(struct remote *r) {
    bool readable = true;
    while (readable && PQisBusy(r->conn)) {
        int unsent = PQflush(r->conn);
        wait_socket(r, unsent == 1);
        readable = PQconsumeInput(r->conn) == 1 && PQsocket(r->conn) >= 0;
    }
    PGresult *res = PQgetResult(r->conn);
    PGTransactionStatusType now = PQtransactionStatus(r->conn);
    if (!res && (now == PQTRANS_IDLE || now == PQTRANS_INTRANS || now == PQTRANS_INERROR))
        r->state = now;
    return res;
}

bool remote_flush(struct remote *r) {
    int unsent;
    while ((unsent = PQflush(r->conn)) == 1) {
        wait_socket(r, true);
        if (PQconsumeInput(r->conn) == 0)
            return false;
    }
    return unsent == 0;
}

/* Whether the other side has hung up while nothing was under way. */
static bool hung_up(struct remote *r) {
    struct pollfd fd = {.fd = PQsocket(r->conn), .events = POLLIN};
    return poll(&fd, 1, 0) > 0 && (PQconsumeInput(r->conn) == 0 || remote_broken(r));
}

/* Statements that were freed are forgotten by the server, many at a time, where an error can hurt nobody. */
static void forget_dead(struct remote *r) {
    char sql[REMOTE_DEAD_MIN * 32];
    size_t n = 0;
    if (r->state != PQTRANS_IDLE)
        return;
    while (r->dead_count && n < sizeof sql - 32)
        n += (size_t)snprintf(sql + n, sizeof sql - n, "DEALLOCATE mdn_%llu;",
                              (unsigned long long)r->dead[--r->dead_count]);
    if (PQsendQuery(r->conn, sql))
        for (PGresult *res; (res = remote_result(r));)
            PQclear(res);
}

void remote_forget(struct remote *r, uint64_t name) {
    if (r->dead_count < REMOTE_DEAD_MAX) /* else the server keeps it until the connection ends */
        r->dead[r->dead_count++] = name;
}

int remote_ready(struct remote *r, struct api_error *err) {
    if (r->active) {
        int code = remote_set_aside(r->active, err);
        if (code)
            return code;
    }
    if (!r->lost && !remote_broken(r) && !hung_up(r)) {
        if (r->dead_count >= REMOTE_DEAD_MIN)
            forget_dead(r);
        return MERIDIAN_OK;
    }
    if (!r->lost && remote_in_block(r)) {
        int code = remote_error(r, NULL, err);
        err->unsent = true;
        return code;
    }
    return connect_now(r, err);
}

/* ---- what it is ----------------------------------------------------------------------------------------------------------------- */

static int state(struct engine *e) {
    struct remote *r = remote_of(e);
    return r->lost || !remote_in_block(r) ? 'I' : r->state == PQTRANS_INTRANS ? 'T' : 'E';
}

static const char *info(struct engine *e, int what) {
    struct remote *r = remote_of(e);
    if (!r->conn)
        return NULL;
    switch (what) {
    case MERIDIAN_INFO_HOST:
        return PQhost(r->conn);
    case MERIDIAN_INFO_PORT:
        return PQport(r->conn);
    case MERIDIAN_INFO_USER:
        return PQuser(r->conn);
    case MERIDIAN_INFO_DATABASE:
        return PQdb(r->conn);
    case MERIDIAN_INFO_TLS:
        if (!PQsslInUse(r->conn))
            return NULL;
        snprintf(r->tls, sizeof r->tls, "%s, %s", PQsslAttribute(r->conn, "protocol"),
                 PQsslAttribute(r->conn, "cipher"));
        return r->tls;
    default:
        return NULL;
    }
}

static const char *parameter(struct engine *e, const char *name) {
    struct remote *r = remote_of(e);
    return r->conn ? PQparameterStatus(r->conn, name) : NULL;
}

const struct engine_ops remote_ops = {
    .kind = "remote",
    .clone = clone_,
    .close = close_,
    .reset = reset,
    .cancel = cancel,
    .state = state,
    .info = info,
    .parameter = parameter,
    .prepare = remote_prepare,
    .query = remote_query,
    .stmt_free = remote_stmt_free,
    .start = remote_start,
    .step = remote_step,
    .next = remote_next,
    .end = remote_end,
    .copy_write = remote_copy_write,
    .copy_end = remote_copy_end,
    .copy_read = remote_copy_read,
};
