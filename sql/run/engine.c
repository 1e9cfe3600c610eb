/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c: the engine of a store, roles, and how sessions begin and end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/run/gather.h"
#include "sql/run/sess_internal.h"

#define OPEN_NS INT64_C(30000000000)

static enum rc make_scratch(struct sess_engine *e, struct err *err) {
    char path[ENV_PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/scratch", e->conf.store->dir) >= (int)sizeof path)
        return err_set(err, RC_LIMIT, "the path of the store's directory is too long");
    return scratch_new(e->env, path, &e->scratch, err);
}

enum rc sess_engine_new(const struct sess_engine_conf *conf, struct sess_engine **ret, struct err *err) {
    struct sess_engine *e = calloc(1, sizeof *e);
    if (!e)
        return err_set(err, RC_NOMEM, "out of memory for the SQL engine");
    e->conf = *conf;
    e->env = conf->store->env;
    e->reactor = conf->store->reactor;
    e->started_us = env_clock_ns(e->env, ENV_CLOCK_REAL) / 1000 - PG_EPOCH_US;
    ilist_init(&e->sessions);
    plans_init(&e->plans);
    e->regexes = fn_regexes_new();
    enum rc rc = zone_cache_new(e->env, ZONE_DIR, &e->zones);
    if (rc)
        err_set(err, rc, "the time zones could not be opened");
    else
        rc = cat_cache_new(conf->store, conf->txns, &e->catalog, err);
    if (!rc)
        rc = gather_register(e, err);
    if (!rc)
        rc = make_scratch(e, err);
    if (!rc && counts_new(conf->store, conf->txns, &e->counts))
        rc = err_set(err, RC_NOMEM, "out of memory for the SQL engine");
    if (rc) {
        sess_engine_free(e);
        return rc;
    }
    *ret = e;
    return RC_OK;
}

enum rc sess_engine_start(struct sess_engine *e, struct err *err) {
    enum rc rc = janitor_start(e);
    return rc ? err_set(err, rc, "the SQL engine's janitor could not be started: %s", rc_text(rc)) : RC_OK;
}

void sess_engine_stop(struct sess_engine *e) {
    if (e)
        counts_stop(e->counts);
}

bool sess_engine_idle(const struct sess_engine *e) {
    return !e || counts_idle(e->counts);
}

void sess_engine_free(struct sess_engine *e) {
    if (!e)
        return;
    CHECK(ilist_empty(&e->sessions));
    plans_done(&e->plans);
    virtual_done(e);
    fn_regexes_free(e->regexes);
    cat_cache_free(e->catalog);
    zone_cache_free(e->zones);
    scratch_free(e->scratch);
    counts_free(e->counts);
    free(e);
}

const struct sess_engine_stats *sess_engine_stats(const struct sess_engine *e) {
    return &e->stats;
}

/* ---- roles ---------------------------------------------------------------------------------------------------------- */

static enum rc engine_role(void *engine, const char *user, struct sess_role *ret, struct err *err) {
    struct sess_engine *e = engine;
    *ret = (struct sess_role){0};
    enum rc rc = cat_cache_refresh(e->catalog, reactor_deadline(e->reactor, OPEN_NS), err);
    if (rc)
        return rc;
    struct cat_view view = {e->catalog, NULL};
    const struct cat_object *o = cat_view_role(&view, user);
    if (o) {
        ret->exists = true;
        ret->login = o->role.login;
        ret->superuser = o->role.superuser;
        memcpy(ret->verifier, o->role.verifier, sizeof ret->verifier);
    }
    return RC_OK;
}

/* ---- sessions ---------------------------------------------------------------------------------------------------------- */

static const struct type_session *engine_types(const struct sess *s) {
    return &s->types;
}

static enum sess_state engine_state(const struct sess *s) {
    return s->state;
}

/* "-c name=value" and "--name=value", as libpq's options has them. */
static enum rc take_options(struct sess *s, const char *text, struct err *err) {
    char *copy = strdup(text), *save = NULL;
    enum rc rc = copy ? RC_OK : err_set(err, RC_NOMEM, "out of memory for the options");
    for (char *at = copy ? strtok_r(copy, " \t", &save) : NULL; at && !rc; at = strtok_r(NULL, " \t", &save)) {
        char *setting = strncmp(at, "--", 2) == 0 ? at + 2 : strncmp(at, "-c", 2) == 0 ? at + 2 : NULL;
        if (setting && !*setting)
            setting = strtok_r(NULL, " \t", &save);
        char *equals = setting ? strchr(setting, '=') : NULL;
        if (!equals) {
            rc = err_sql(err, "42601", "invalid command-line argument for server process: %.60s", at);
            break;
        }
        *equals = '\0';
        for (char *c = setting; *c && !strchr(setting, '.'); c++)
            *c = *c == '-' ? '_' : *c;
        rc = sess_setting(s, setting, equals + 1, SETTING_START, err);
    }
    free(copy);
    return rc;
}

static enum rc take_settings(struct sess *s, const struct sess_open *how, struct err *err) {
    enum rc rc = guc_start(s->gucs, "session_authorization", s->user, err);
    for (size_t i = 0; i < how->settings && !rc; i++) {
        const char *name = how->setting[2 * i], *value = how->setting[2 * i + 1];
        rc = strcmp(name, "options") == 0 ? take_options(s, value, err)
                                          : sess_setting(s, name, value, SETTING_START, err);
    }
    return rc;
}

static enum rc who_and_where(struct sess *s, const struct sess_open *how, struct err *err) {
    enum rc rc = cat_cache_refresh(s->e->catalog, s->deadline, err);
    if (rc)
        return rc;
    struct cat_view view = {s->e->catalog, NULL};
    const char *name = how->database && how->database[0] ? how->database : "meridian";
    const struct cat_object *role = cat_view_role(&view, how->user), *database = cat_view_database(&view, name);
    if (!role && s->e->conf.trust)
        role = cat_view_get(&view, CAT_ID_ROLE_MERIDIAN);
    if (!role)
        return err_sql(err, "28000", "role \"%.63s\" does not exist", how->user);
    if (!role->role.login)
        return err_sql(err, "28000", "role \"%.63s\" is not permitted to log in", how->user);
    if (!database)
        return err_sql(err, "3D000", "database \"%.63s\" does not exist", name);
    s->role = role->id;
    s->database = database->id;
    memcpy(s->user, role->name, sizeof s->user);
    memcpy(s->database_name, database->name, sizeof s->database_name);
    return guc_start(s->gucs, "is_superuser", role->role.superuser ? "on" : "off", err);
}

static uint64_t random_of(void *ctx) {
    return env_random(((struct sess *)ctx)->e->env);
}

static int64_t clock_of(void *ctx) {
    return sess_now_us(ctx);
}

static enum rc engine_open(void *engine, const struct sess_open *how, struct sess **ret, struct err *err) {
    struct sess_engine *e = engine;
    struct sess *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, RC_NOMEM, "out of memory for a session");
    s->e = e;
    s->pid = how->pid;
    s->secret = how->secret;
    s->state = SESS_IDLE;
    s->client = how->client;
    s->ctx = how->ctx;
    s->epoch = 1;
    s->opened_us = sess_now_us(s);
    s->deadline = reactor_deadline(e->reactor, OPEN_NS);
    snprintf(s->peer, sizeof s->peer, "%s", how->peer ? how->peer : "");
    map_init(&s->prepared);
    map_init(&s->cursors);
    map_init(&s->currval);
    ilist_init(&s->portals);
    arena_init(&s->scratch, SESS_ARENA_BYTES_MAX);
    arena_init(&s->zone_arena, 0);
    s->catalog = (struct sess_catalog){{&sess_catalog_ops, 0}, s};
    s->types = (struct type_session){.zone = zone_cache_utc(e->zones), .find_zone = zone_cache_find, .ctx = e->zones};
    s->env = (struct fn_env){.arena = &s->scratch,
                             .types = &s->types,
                             .regexes = e->regexes,
                             .random = random_of,
                             .clock_us = clock_of,
                             .session = sysfn_call,
                             .ctx = s};
    ilist_init(&s->link);
    ilist_push_back(&e->sessions, &s->link);
    gauge_add(&e->stats.sessions, 1);
    s->gucs = guc_new();
    enum rc rc = s->gucs ? who_and_where(s, how, err) : err_set(err, RC_NOMEM, "out of memory for a session");
    if (!rc)
        rc = take_settings(s, how, err);
    if (!rc)
        rc = sess_settings(s, err);
    if (rc) {
        sess_engine_ops.close(s);
        return rc;
    }
    sess_reports(s);
    *ret = s;
    return RC_OK;
}

static void engine_close(struct sess *s) {
    s->closing = true;
    sess_rollback(s);
    sess_forget_named(s, true);
    sess_forget_sequences(s);
    CHECK(ilist_empty(&s->portals));
    ilist_del(&s->link);
    gauge_add(&s->e->stats.sessions, -1);
    guc_free(s->gucs);
    free(s->savepoint);
    free(s->orphan);
    free(s->last_stage);
    map_done(&s->prepared);
    map_done(&s->cursors);
    map_done(&s->currval);
    arena_done(&s->scratch);
    arena_done(&s->zone_arena);
    free(s);
}

int64_t sess_now_us(const struct sess *s) {
    return env_clock_ns(s->e->env, ENV_CLOCK_REAL) / 1000 - PG_EPOCH_US;
}

void sess_notice(struct sess *s, const char *severity, const char *state, const char *fmt, ...) {
    struct err what;
    va_list ap;
    if (strcmp(severity, "WARNING") != 0) {
        static const char *const quiet[] = {"warning", "error"};
        for (size_t i = 0; i < ARRAY_LEN(quiet); i++)
            if (strcmp(guc_get(s->gucs, "client_min_messages"), quiet[i]) == 0)
                return;
    } else if (strcmp(guc_get(s->gucs, "client_min_messages"), "error") == 0) {
        return;
    }
    va_start(ap, fmt);
    err_setv(&what, RC_OK, fmt, ap);
    va_end(ap);
    err_state(&what, state);
    s->client->notice(s->ctx, &what, severity);
}

void sess_reports(struct sess *s) {
    struct guc_info info;
    for (size_t at = 0; guc_next_report(s->gucs, &at, &info);)
        s->client->parameter(s->ctx, info.name, info.value);
}

/* ---- the table ------------------------------------------------------------------------------------------------------------ */

static enum rc engine_parse(struct sess *s, const char *text, size_t bytes, struct sess_script **ret, struct err *err) {
    return script_new(s, text, bytes, ret, err);
}

static size_t engine_count(const struct sess_script *script) {
    return script->tree ? script->tree->n_stmts : 1;
}

static enum rc engine_prepare(struct sess *s, struct sess_script *script, size_t index, const uint32_t *oid,
                              size_t oids, struct sess_stmt **ret, struct err *err) {
    struct stmt *st;
    enum rc rc = sess_statement_begin(s, err);
    if (!rc)
        rc = stmt_new(s, script, index, oid, oids, &st, err);
    sess_statement_end(s, rc, err);
    if (rc) {
        sess_failed(s);
        return rc;
    }
    *ret = &st->pub;
    return RC_OK;
}

static void engine_stmt_free(struct sess_stmt *stmt) {
    stmt_unref(stmt_of(stmt));
}

static enum rc engine_bind(struct sess *s, struct sess_stmt *stmt, const struct value *param, struct sess_portal **ret,
                           struct err *err) {
    enum rc rc = portal_new(s, stmt_of(stmt), param, ret, err);
    if (rc)
        sess_failed(s);
    return rc;
}

static void engine_implicit_block(struct sess *s) {
    if (s->state == SESS_IDLE)
        s->implicit = true;
}

static enum rc engine_sync(struct sess *s, bool failed, struct err *err) {
    enum rc rc = RC_OK;
    s->implicit = false;
    if (s->state == SESS_IDLE) {
        if (failed)
            sess_rollback(s);
        else
            rc = sess_commit(s, err);
        if (rc)
            sess_rollback(s);
    }
    sess_reports(s);
    return rc;
}

static void engine_cancel(void *engine, uint32_t pid, uint32_t secret) {
    Gather__Ask ask = GATHER__ASK__INIT;
    bool found;
    ask.pid = pid;
    ask.by_secret = true;
    ask.secret = secret;
    IGNORE(gather_stop(engine, &ask, &found, NULL)); /* a cancel request has no answer */
}

const struct sess_ops sess_engine_ops = {
    .role = engine_role,
    .open = engine_open,
    .close = engine_close,
    .state = engine_state,
    .types = engine_types,
    .parse = engine_parse,
    .count = engine_count,
    .script_free = script_unref,
    .prepare = engine_prepare,
    .stmt_free = engine_stmt_free,
    .bind = engine_bind,
    .portal_free = portal_close,
    .execute = portal_execute,
    .implicit_block = engine_implicit_block,
    .sync = engine_sync,
    .cursor = sess_cursor,
    .cancel = engine_cancel,
};
