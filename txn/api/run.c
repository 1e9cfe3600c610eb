/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c: meridian_run: a transaction as a function that may be called more than once.
 *
 *     begin -> fn -> token, commit -+-> done
 *       ^                           +-> aborted, nothing happened: pause, again
 *       |                           +-> the connection was lost: ask another node for the outcome by the token
 *       +---------------------------------- not committed: again;  committed: done;  nobody knows: MERIDIAN_UNKNOWN
 *
 * Pauses double from 4 ms to about a second; half of each depends on the handle and the attempt, so that two programs that
 * collided do not collide again.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "txn/api/api.h"

enum {
    ATTEMPTS_DEFAULT = 20,
    PAUSE_MS_MIN = 4,
    PAUSE_MS_MAX = 1024,
    TOKEN_S = 10, /* a commit that was not logged after that never is */
    PATIENCE_MS = 30000,
    ASK_DOUBLINGS = 6, /* pauses between questions: up to a quarter of a second */
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits; false: the caller gave up meanwhile. */
static bool pause_for(meridian *db, int attempt) {
    int ms = attempt >= 8 ? PAUSE_MS_MAX : PAUSE_MS_MIN << attempt;
    uint64_t mix = ((uint64_t)(uintptr_t)db ^ (uint64_t)attempt * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    int left = ms / 2 + (int)((mix >> 33) % (uint64_t)(ms / 2 + 1));
    while (left > 0 && !atomic_load(&db->cancelled)) {
        int slice = db->host.on_progress && db->host.progress_ms < left ? db->host.progress_ms : left < 50 ? left : 50;
        (void)poll(NULL, 0, slice);
        left -= slice;
        if (db->host.on_progress && db->host.on_progress(db->host.progress_ctx))
            return false;
    }
    return !atomic_load(&db->cancelled);
}

static int given_up(meridian *db) {
    return api_error_set(&db->error, MERIDIAN_CANCELLED, "57014", "given up between two attempts of a transaction");
}

/* What became of a commit whose answer was lost: MERIDIAN_OK, MERIDIAN_ABORTED, or MERIDIAN_UNKNOWN. Until the token's deadline
 * nobody can say "aborted" of a commit that never arrived; a while longer, nodes may be busy with taking over. */
static int find_out(meridian *db, const char *token) {
    int64_t end = now_ms() + TOKEN_S * 1000 + PATIENCE_MS;
    for (int i = 0; *token && now_ms() < end; i++) {
        char text[64];
        int code = api_need_meridian(db);
        if (!code)
            code = api_value(db, "SELECT meridian.txn_status($1)", token, text, sizeof text);
        if (code == MERIDIAN_OK && strcmp(text, "committed") == 0)
            return MERIDIAN_OK;
        if (code == MERIDIAN_OK && strcmp(text, "aborted") == 0)
            return api_error_set(&db->error, MERIDIAN_ABORTED, "40001", "the commit did not happen");
        if (code == MERIDIAN_OK && strcmp(text, "expired") == 0)
            break;
        if (code == MERIDIAN_UNSUPPORTED || code == MERIDIAN_CANCELLED ||
            (code == MERIDIAN_UNAVAILABLE &&
             db->error.retry == MERIDIAN_RETRY_NO) || /* a database here that has stopped */
            !pause_for(db, i < ASK_DOUBLINGS ? i : ASK_DOUBLINGS))
            break;
    }
    return api_error_set(&db->error, MERIDIAN_UNKNOWN, "08007",
                         "the connection was lost during COMMIT, and nobody could be asked for the outcome");
}

/* An error of COMMIT after which it may be committed all the same: the connection was lost, or its node gave up waiting. */
static bool is_unsure(const meridian *db, int code) {
    return code == MERIDIAN_UNKNOWN || code == MERIDIAN_CANCELLED || code == MERIDIAN_UNAVAILABLE ||
           (code == MERIDIAN_ERROR &&
            (strncmp(db->error.state, "57", 2) == 0 || strncmp(db->error.state, "58", 2) == 0 ||
             strncmp(db->error.state, "53", 2) == 0 || strncmp(db->error.state, "XX", 2) == 0));
}

/* The connection was lost in something that changes nothing: to begin, or to end what only read. */
static int harmless(meridian *db, int code) {
    if (code != MERIDIAN_UNKNOWN)
        return code;
    db->error.code = MERIDIAN_ABORTED;
    db->error.retry = MERIDIAN_RETRY_YES;
    return MERIDIAN_ABORTED;
}

/* The token last, so that its deadline counts from here and not from a long transaction's beginning. */
static int commit_surely(meridian *db, bool with_token, bool read_only) {
    char token[MERIDIAN_TOKEN_BYTES] = "", sql[64];
    int code = MERIDIAN_OK;
    if (with_token) {
        snprintf(sql, sizeof sql, "SELECT meridian.commit_token(%d)", TOKEN_S);
        code = api_value(db, sql, NULL, token, sizeof token);
    }
    if (code >= MERIDIAN_ERROR)
        return code;
    code = api_commit(db);
    if (read_only)
        return harmless(db, code);
    if (!code || db->error.unsent || !is_unsure(db, code) || (!db->error.lost && !*token))
        return code;
    if (db->error.lost || api_state(db) == 'I') {
        int outcome = find_out(db, token);
        if (outcome == MERIDIAN_ABORTED && code == MERIDIAN_CANCELLED)
            return given_up(db);
        return outcome;
    }
    return code;
}

/* One attempt. */
static int attempt_once(meridian *db, const struct meridian_run_options *o, int (*fn)(meridian *db, void *ctx),
                        void *ctx) {
    int code = db->server == API_SERVER_UNKNOWN && !o->read_only ? api_need_meridian(db) : MERIDIAN_OK;
    if (code == MERIDIAN_UNSUPPORTED)
        code = MERIDIAN_OK;
    if (!code)
        code = api_begin(db, o->read_only != 0, o->staleness, o->staleness_ns);
    if (code)
        return harmless(db, code);
    api_error_clear(&db->error);
    api_leave_quietly(db); /* fn calls as anybody does */
    code = fn(db, ctx);
    if (api_enter(db))
        return MERIDIAN_MISUSE; /* fn gave the connection to another thread */
    if (code == MERIDIAN_OK && api_state(db) == 'I')
        return api_misuse(db, "the function of meridian_run ended the transaction by itself");
    if (code == MERIDIAN_OK && api_state(db) == 'E')
        code = api_error_set(&db->error, MERIDIAN_ERROR, "25P02",
                             "a statement failed, but the function of meridian_run wants to commit");
    else if (code == MERIDIAN_OK)
        code = commit_surely(db, db->server == API_SERVER_MERIDIAN && !o->read_only, o->read_only != 0);
    else if (db->error.retry == MERIDIAN_RETRY_YES)
        code = db->error.code;
    if (code) {
        struct api_error why = db->error; /* the rollback must not hide why */
        db->error = (struct api_error){0};
        (void)api_rollback(db);
        api_error_clear(&db->error);
        db->error = why;
    }
    return code;
}

int meridian_run(meridian *db, const struct meridian_run_options *options, int (*fn)(meridian *db, void *ctx),
                 void *ctx) {
    struct meridian_run_options o = {0};
    int code = api_enter(db);
    if (code)
        return code;
    if (!fn || !db->engine || (options && options->size < offsetof(struct meridian_run_options, attempts_max)) ||
        (options && options->attempts_max < 0))
        return api_leave(db, api_misuse(db, "no function to run, no connection, or options without their size"));
    if (options)
        memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    if (api_state(db) != 'I')
        return api_leave(db, api_misuse(db, "a transaction block is open"));
    atomic_store(&db->cancelled, false);
    int attempts = o.attempts_max ? o.attempts_max : ATTEMPTS_DEFAULT;
    for (int i = 0;; i++) {
        code = attempt_once(db, &o, fn, ctx);
        bool again = code == MERIDIAN_ABORTED ||
                     (code >= MERIDIAN_ERROR && db->error.code == code && db->error.retry == MERIDIAN_RETRY_YES);
        if (!again || i + 1 == attempts)
            break;
        if (!pause_for(db, i)) {
            code = given_up(db);
            break;
        }
    }
    return api_leave(db, code);
}
