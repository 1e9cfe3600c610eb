/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn.c: transactions of the C API, all said in SQL, so that every engine does them alike.
 *
 * What only Meridian has (tokens, timestamps, reads of the past, traces) is asked for through its schema `meridian`. Whether a
 * server has that is found out once per connection and outside of a block, because a failed question would end the block.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "txn/api/api.h"

enum { NAME_BYTES_MAX = 4096 };

/* The SQLSTATEs of a schema, function or relation that is not there. */
static bool is_missing(const char *state) {
    static const char *const missing[] = {"3F000", "42883", "42P01", "0A000"};
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++)
        if (strcmp(state, missing[i]) == 0)
            return true;
    return false;
}

/* One value of the schema meridian. A server without it is remembered. */
static int meridian_value(meridian *db, const char *sql, const char *param, char *ret, size_t bytes) {
    if (db->server != API_SERVER_OTHER) {
        int code = api_value(db, sql, param, ret, bytes);
        bool other = code >= MERIDIAN_ERROR && db->error.code == code && is_missing(db->error.state);
        if (code < MERIDIAN_ERROR)
            db->server = API_SERVER_MERIDIAN;
        if (!other)
            return code;
        db->server = API_SERVER_OTHER;
    }
    return api_error_set(&db->error, MERIDIAN_UNSUPPORTED, "0A000",
                         "this server is not Meridian: it has no commit tokens, timestamps or traces");
}

int api_need_meridian(meridian *db) {
    char text[64];
    if (db->server == API_SERVER_MERIDIAN)
        return MERIDIAN_OK;
    int code = meridian_value(db, "SELECT meridian.commit_timestamp()", NULL, text, sizeof text);
    return code >= MERIDIAN_ERROR ? code : MERIDIAN_OK;
}

static int block_misuse(meridian *db) {
    return api_misuse(db, api_state(db) == 'I' ? "no transaction block is open" : "a transaction block is open");
}

/* ---- begin ---------------------------------------------------------------------------------------------------------------- */

/* The setting meridian.read_staleness, "" for a strong read. */
static int staleness_text(meridian *db, int staleness, int64_t ns, char *ret, size_t bytes) {
    static const char *const words[] = {"strong", "exact", "max", "since", "at"};
    if (staleness < MERIDIAN_STRONG || staleness > MERIDIAN_AT || ns < 0)
        return api_misuse(db, "no such staleness, or a negative one");
    if (staleness == MERIDIAN_STRONG)
        snprintf(ret, bytes, "strong");
    else if (staleness == MERIDIAN_EXACT || staleness == MERIDIAN_MAX)
        snprintf(ret, bytes, "%s %lldns", words[staleness], (long long)ns);
    else
        snprintf(ret, bytes, "%s %lld", words[staleness], (long long)ns);
    return MERIDIAN_OK;
}

int api_begin(meridian *db, bool read_only, int staleness, int64_t value_ns) {
    char how[64], sql[160];
    if (!db->engine)
        return api_misuse(db, "the connection was never opened");
    if (api_state(db) != 'I')
        return block_misuse(db);
    if (!read_only)
        return api_exec(db, "BEGIN");
    int code = staleness_text(db, staleness, value_ns, how, sizeof how);
    if (code)
        return code;
    if (staleness == MERIDIAN_STRONG)
        return api_exec(db, "BEGIN READ ONLY");
    code = api_need_meridian(db);
    if (code)
        return code;
    snprintf(sql, sizeof sql, "BEGIN READ ONLY; SET LOCAL meridian.read_staleness = '%s'", how);
    code = api_exec(db, sql);
    if (code && api_state(db) == 'E') { /* it began, and could not be what was asked for */
        struct api_error why = db->error;
        db->error = (struct api_error){0};
        (void)api_exec(db, "ROLLBACK"); /* the first error is the one to tell */
        api_error_clear(&db->error);
        db->error = why;
    }
    return code;
}

int meridian_begin(meridian *db) {
    int code = api_enter(db);
    return code ? code : api_leave(db, api_begin(db, false, MERIDIAN_STRONG, 0));
}

int meridian_begin_read(meridian *db, int staleness, int64_t value_ns) {
    int code = api_enter(db);
    return code ? code : api_leave(db, api_begin(db, true, staleness, value_ns));
}

/* ---- end ------------------------------------------------------------------------------------------------------------------- */

int api_commit(meridian *db) {
    if (!db->engine)
        return api_misuse(db, "the connection was never opened");
    if (api_state(db) == 'I')
        return block_misuse(db);
    bool failed = api_state(db) == 'E';
    int code = api_exec(db, "COMMIT");
    if (!code && failed) /* the server answers ROLLBACK */
        return api_error_set(&db->error, MERIDIAN_ABORTED, "40001",
                             "the transaction had failed, so it was rolled back");
    return code;
}

int api_rollback(meridian *db) {
    if (!db->engine || api_state(db) == 'I')
        return MERIDIAN_OK;
    int code = api_exec(db, "ROLLBACK");
    if (code == MERIDIAN_ABORTED && db->error.lost) /* with the connection it is rolled back, too */
        code = MERIDIAN_OK;
    return code;
}

int meridian_commit(meridian *db) {
    int code = api_enter(db);
    return code ? code : api_leave(db, api_commit(db));
}

int meridian_rollback(meridian *db) {
    int code = api_enter(db);
    return code ? code : api_leave(db, api_rollback(db));
}

/* ---- savepoints -------------------------------------------------------------------------------------------------------------- */

static int savepoint(meridian *db, const char *verb, const char *name) {
    int code = api_enter(db);
    if (code)
        return code;
    if (!name || !*name || strlen(name) > NAME_BYTES_MAX)
        return api_leave(db, api_misuse(db, "a savepoint wants a name"));
    if (!db->engine || api_state(db) == 'I')
        return api_leave(db, api_misuse(db, "no transaction block is open"));
    char *sql = malloc(strlen(verb) + 2 * strlen(name) + 4);
    if (!sql)
        return api_leave(db, MERIDIAN_NOMEM);
    char *to = stpcpy(sql, verb);
    *to++ = '"';
    for (; *name; name++) {
        if (*name == '"')
            *to++ = '"';
        *to++ = *name;
    }
    memcpy(to, "\"", 2);
    code = api_exec(db, sql);
    free(sql);
    return api_leave(db, code);
}

int meridian_savepoint(meridian *db, const char *name) {
    return savepoint(db, "SAVEPOINT ", name);
}

int meridian_release(meridian *db, const char *name) {
    return savepoint(db, "RELEASE SAVEPOINT ", name);
}

int meridian_rollback_to(meridian *db, const char *name) {
    return savepoint(db, "ROLLBACK TO SAVEPOINT ", name);
}

/* ---- what only Meridian has ------------------------------------------------------------------------------------------------- */

int meridian_commit_token(meridian *db, char *ret_token, size_t bytes) {
    int code = api_enter(db);
    if (code)
        return code;
    if (!ret_token || bytes == 0)
        return api_leave(db, api_misuse(db, "no place for the token"));
    if (!db->engine || api_state(db) != 'T')
        return api_leave(db, api_misuse(db, "a token belongs to an open transaction block"));
    code = meridian_value(db, "SELECT meridian.commit_token()", NULL, ret_token, bytes);
    if (code == MERIDIAN_DONE)
        code = api_error_set(&db->error, MERIDIAN_ERROR, "55000", "the transaction has no token");
    return api_leave(db, code);
}

static int txn_status(meridian *db, const char *token, int *ret) {
    static const struct {
        const char *word;
        int outcome;
    } words[] = {{"undecided", MERIDIAN_UNDECIDED},
                 {"in progress", MERIDIAN_UNDECIDED},
                 {"committed", MERIDIAN_COMMITTED},
                 {"aborted", MERIDIAN_NOT_COMMITTED},
                 {"expired", MERIDIAN_EXPIRED}};
    char text[64];
    if (!db->engine || api_state(db) != 'I')
        return api_misuse(db, "a transaction block is open");
    int code = meridian_value(db, "SELECT meridian.txn_status($1)", token, text, sizeof text);
    if (code)
        return code == MERIDIAN_DONE ? api_error_set(&db->error, MERIDIAN_ERROR, "22023", "no such token") : code;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(text, words[i].word) == 0) {
            *ret = words[i].outcome;
            return MERIDIAN_OK;
        }
    return api_error_set(&db->error, MERIDIAN_UNSUPPORTED, "0A000", "the server tells an outcome \"%s\"", text);
}

int meridian_txn_status(meridian *db, const char *token, int *ret_outcome) {
    int code = api_enter(db);
    if (code)
        return code;
    if (!token || !ret_outcome)
        return api_leave(db, api_misuse(db, "no token, or no place for its outcome"));
    return api_leave(db, txn_status(db, token, ret_outcome));
}

int meridian_commit_timestamp(meridian *db, int64_t *ret_ns) {
    int code = api_enter(db);
    char text[64];
    if (code)
        return code;
    if (!ret_ns)
        return api_leave(db, api_misuse(db, "no place for the timestamp"));
    if (!db->engine || api_state(db) != 'I')
        return api_leave(db, api_misuse(db, "a transaction block is open"));
    /* asked for at once: any other statement would be the last transaction */
    code = meridian_value(db, "SELECT meridian.commit_timestamp()", NULL, text, sizeof text);
    if (!code) {
        char *end;
        long long ns = strtoll(text, &end, 10);
        if (end == text || *end)
            code =
                api_error_set(&db->error, MERIDIAN_UNSUPPORTED, "0A000", "the server tells a timestamp \"%s\"", text);
        else
            *ret_ns = ns;
    } else if (code == MERIDIAN_DONE) {
        code = api_error_set(&db->error, MERIDIAN_ERROR, "55000", "there was no transaction on this connection yet");
    }
    return api_leave(db, code);
}

int meridian_trace(meridian *db, meridian_stmt **ret) {
    static const char sql[] = "SELECT seq, parent, cause, region, peer, start_ns, duration_ns, count, detail"
                              " FROM meridian.trace ORDER BY seq";
    if (ret)
        *ret = NULL;
    int code = api_enter(db);
    if (code)
        return code;
    if (!ret)
        return api_leave(db, api_misuse(db, "no place for the statement"));
    if (!db->engine || api_state(db) != 'I')
        return api_leave(db, api_misuse(db, "a transaction block is open"));
    /* no other question before it: that would be the last transaction */
    code = api_prepare(db, sql, sizeof sql - 1, false, ret);
    if (code >= MERIDIAN_ERROR && db->error.code == code && is_missing(db->error.state))
        code = api_error_set(&db->error, MERIDIAN_UNSUPPORTED, "0A000",
                             "this server has no meridian.trace: it is not Meridian, or an older one");
    return api_leave(db, code);
}
