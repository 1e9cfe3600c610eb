/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_toy.c: the PostgreSQL protocol over a toy engine, for pgwire.t. Prints its address, serves until standard input ends.
 *
 *     rows N          N rows of (n int4, text)               echo            its parameters, int4 and text, as one row
 *     fail            an error with every field               begin, commit, rollback
 *     sleep           until it is cancelled                   copy in         counts the bytes that come
 *     copy out N      N lines                                 notice          says something besides
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/runtime/env_real.h"
#include "sql/pgwire/pgwire.h"
#include "sql/pgwire/scram.h"

struct toy {
    struct env *env;
    struct reactor *r;
    struct pgwire *w;
    struct process *process;
    bool scram;
    struct arena arena;
    const struct zone *utc;
};

struct sess {
    struct toy *toy;
    const struct sess_client *client;
    void *ctx;
    enum sess_state state;
    bool implicit;
    struct type_session types;
};

struct sess_script {
    size_t n;
    char *text[16];
    char copy[];
};

struct toy_stmt {
    struct sess_stmt pub;
    char text[64];
};

struct sess_portal {
    struct toy_stmt *stmt;
    struct value param[2];
    char text[64];
    uint64_t at;
};

static const struct col params[2] = {{.type = COL_INT4, .typmod = -1}, {.type = COL_TEXT, .typmod = -1}};
static const struct sess_column columns[2] = {{.name = "n", .type = {.type = COL_INT4, .typmod = -1}},
                                              {.name = "text", .type = {.type = COL_TEXT, .typmod = -1}}};

static enum rc role(void *engine, const char *user, struct sess_role *ret, struct err *err) {
    static const uint8_t salt[SCRAM_SALT_BYTES] = "sixteen bytes of";
    (void)engine;
    *ret = (struct sess_role){.exists = true, .login = strcmp(user, "locked") != 0};
    return strcmp(user, "nobody") == 0 ? RC_OK
                                       : scram_verifier("secret", salt, ret->verifier, sizeof ret->verifier, err);
}

static enum rc sess_open(void *engine, const struct sess_open *how, struct sess **ret, struct err *err) {
    if (strcmp(how->database, "nowhere") == 0)
        return err_sql(err, "3D000", "database \"%s\" does not exist", how->database);
    struct sess *s = calloc(1, sizeof *s);
    CHECK(s);
    *s = (struct sess){.toy = engine,
                       .client = how->client,
                       .ctx = how->ctx,
                       .state = SESS_IDLE,
                       .types = {.zone = ((struct toy *)engine)->utc}};
    how->client->parameter(how->ctx, "server_version", "15.0");
    how->client->parameter(how->ctx, "client_encoding", "UTF8");
    for (size_t i = 0; i < how->settings; i++)
        how->client->parameter(how->ctx, how->setting[2 * i], how->setting[2 * i + 1]);
    *ret = s;
    return RC_OK;
}

static void sess_close(struct sess *s) {
    free(s);
}

static enum sess_state state(const struct sess *s) {
    return s->state;
}

static const struct type_session *types(const struct sess *s) {
    return &s->types;
}

static enum rc parse(struct sess *s, const char *text, size_t bytes, struct sess_script **ret, struct err *err) {
    struct sess_script *sc = calloc(1, sizeof *sc + bytes + 1);
    char *save = NULL;
    (void)s;
    CHECK(sc);
    memcpy(sc->copy, text, bytes);
    for (char *at = strtok_r(sc->copy, ";", &save); at; at = strtok_r(NULL, ";", &save)) {
        at += strspn(at, " \n");
        if (*at && sc->n < ARRAY_LEN(sc->text))
            sc->text[sc->n++] = at;
    }
    if (sc->n && strncmp(sc->text[0], "syntax", 6) == 0) {
        free(sc);
        err_sql(err, "42601", "syntax error at or near \"syntax\"");
        err_position(err, 1);
        return RC_SQL;
    }
    *ret = sc;
    return RC_OK;
}

static size_t count(const struct sess_script *sc) {
    return sc->n;
}

static void script_free(struct sess_script *sc) {
    free(sc);
}

static enum rc prepare(struct sess *s, struct sess_script *sc, size_t index, const uint32_t *oid, size_t oids,
                       struct sess_stmt **ret, struct err *err) {
    struct toy_stmt *t = calloc(1, sizeof *t);
    (void)s, (void)oid, (void)oids, (void)err;
    CHECK(t);
    t->pub.empty = index >= sc->n;
    snprintf(t->text, sizeof t->text, "%s", t->pub.empty ? "" : sc->text[index]);
    bool echo = strcmp(t->text, "echo") == 0;
    t->pub.rows = echo || strncmp(t->text, "rows", 4) == 0;
    t->pub.params = echo ? 2 : 0;
    t->pub.param = params;
    t->pub.columns = t->pub.rows ? 2 : 0;
    t->pub.column = columns;
    *ret = &t->pub;
    return RC_OK;
}

static void stmt_free(struct sess_stmt *stmt) {
    free(container_of(stmt, struct toy_stmt, pub));
}

static enum rc bind(struct sess *s, struct sess_stmt *stmt, const struct value *param, struct sess_portal **ret,
                    struct err *err) {
    struct sess_portal *p = calloc(1, sizeof *p);
    (void)s, (void)err;
    CHECK(p);
    p->stmt = container_of(stmt, struct toy_stmt, pub);
    for (size_t i = 0; i < stmt->params; i++)
        p->param[i] = param[i];
    if (stmt->params && param[1].kind == VALUE_TEXT) {
        CHECK(param[1].bytes <= sizeof p->text);
        memcpy(p->text, param[1].p, param[1].bytes);
        p->param[1].p = p->text;
    }
    *ret = p;
    return RC_OK;
}

static void portal_free(struct sess_portal *p) {
    free(p);
}

static enum rc rows(struct sess *s, struct sess_portal *p, uint64_t max, struct sess_done *ret, struct err *err) {
    uint64_t n = strtoull(p->stmt->text + 4, NULL, 10), sent = 0;
    for (; p->at < n; p->at++, sent++) {
        char text[32];
        if (max && sent == max) {
            ret->suspended = true;
            return RC_OK;
        }
        int len = snprintf(text, sizeof text, "row %llu", (unsigned long long)p->at);
        struct value v[2] = {value_int((int64_t)p->at), value_text(text, (size_t)len)};
        if (p->at == 3)
            v[1] = value_null();
        enum rc rc = s->client->row(s->ctx, v, err);
        if (rc)
            return rc;
    }
    snprintf(ret->tag, sizeof ret->tag, "SELECT %llu", (unsigned long long)n);
    return RC_OK;
}

static enum rc copy_in(struct sess *s, struct sess_done *ret, struct err *err) {
    const void *data;
    size_t n, total = 0;
    enum rc rc = s->client->copy_in(s->ctx, false, 2, err);
    while (!rc && !(rc = s->client->copy_read(s->ctx, &data, &n, err)) && n > 0) {
        total += n;
        if (memmem(data, n, "bad", 3))
            return err_sql(err, "22P04", "bad copy data");
    }
    snprintf(ret->tag, sizeof ret->tag, "COPY %zu", total);
    return rc;
}

static enum rc copy_out(struct sess *s, const char *text, struct sess_done *ret, struct err *err) {
    int n = atoi(text + 8);
    enum rc rc = s->client->copy_out(s->ctx, false, 1, err);
    for (int i = 0; i < n && !rc; i++)
        rc = s->client->copy_write(s->ctx, "a line\n", 7, err);
    snprintf(ret->tag, sizeof ret->tag, "COPY %d", n);
    return rc ? rc : s->client->copy_done(s->ctx, err);
}

static enum rc fail(struct err *err) {
    err_sql(err, "23505", "duplicate key value violates unique constraint \"t_pkey\"");
    err_detail(err, "Key (a)=(1) already exists.");
    err_hint(err, "Take another one.");
    err_position(err, 7);
    err_about(err, ERR_SCHEMA, "public");
    err_about(err, ERR_TABLE, "t");
    err_about(err, ERR_COLUMN, "a");
    err_about(err, ERR_CONSTRAINT, "t_pkey");
    return RC_SQL;
}

static enum rc run(struct sess *s, struct sess_portal *p, uint64_t max, struct sess_done *ret, struct err *err) {
    const char *t = p->stmt->text;
    bool block_end = strcmp(t, "rollback") == 0 || strcmp(t, "commit") == 0;
    if (s->state == SESS_FAILED && !block_end)
        return err_sql(err, "25P02", "current transaction is aborted, commands ignored until end of transaction block");
    snprintf(ret->tag, sizeof ret->tag, "OK");
    if (strcmp(t, "begin") == 0)
        s->state = SESS_BLOCK;
    else if (block_end)
        s->state = SESS_IDLE;
    else if (strcmp(t, "fail") == 0)
        return fail(err);
    else if (strcmp(t, "sleep") == 0)
        return err_set(err, fiber_sleep(s->toy->r, INT64_C(60000000000)), "slept");
    else if (strcmp(t, "copy in") == 0)
        return copy_in(s, ret, err);
    else if (strncmp(t, "copy out", 8) == 0)
        return copy_out(s, t, ret, err);
    else if (strncmp(t, "rows", 4) == 0)
        return rows(s, p, max, ret, err);
    else if (strcmp(t, "echo") == 0) {
        snprintf(ret->tag, sizeof ret->tag, "SELECT 1");
        return s->client->row(s->ctx, p->param, err);
    } else if (strcmp(t, "notice") == 0) {
        struct err what;
        err_set(&what, RC_OK, "by the way");
        s->client->notice(s->ctx, &what, "NOTICE");
    } else if (!p->stmt->pub.empty) {
        return err_sql(err, "42601", "what is \"%s\"?", t);
    }
    return RC_OK;
}

static enum rc execute(struct sess *s, struct sess_portal *p, uint64_t max, bool final, struct sess_done *ret,
                       struct err *err) {
    (void) final;
    enum rc rc = run(s, p, max, ret, err);
    if (rc && s->state == SESS_BLOCK)
        s->state = SESS_FAILED;
    return rc;
}

static void implicit_block(struct sess *s) {
    s->implicit = true;
}

static enum rc sync_(struct sess *s, bool failed, struct err *err) {
    (void)failed, (void)err;
    s->implicit = false;
    return RC_OK;
}

static const struct sess_ops ops = {role,    sess_open,      sess_close, state,     types, parse,
                                    count,   script_free,    prepare,    stmt_free, bind,  portal_free,
                                    execute, implicit_block, sync_,      NULL,      NULL};

/* ---- the process -------------------------------------------------------------------------------------------------------- */

static void serve(void *arg) {
    struct toy *t = arg;
    struct err err = {0};
    if (pgwire_listen(t->w, "127.0.0.1:0", &err) != RC_OK) {
        fprintf(stderr, "pg_toy: %s\n", err.message);
        process_stop(t->process);
        return;
    }
    printf("%s\n", pgwire_addr(t->w));
    fflush(stdout);
}

static enum rc boot(struct env *const *stores, uint16_t n, void *arg, void **ret_state, struct err *err) {
    struct toy *t = arg;
    (void)n;
    t->env = stores[0];
    struct pgwire_conf conf = {.ops = &ops, .engine = t, .trust = !t->scram, .sessions_max = 1200};
    enum rc rc = reactor_new(t->env, NULL, &t->r);
    if (!rc)
        rc = pgwire_new(t->r, &conf, &t->w, err);
    if (rc)
        return rc;
    pgwire_link(&t->w, 1);
    *ret_state = t;
    return fiber_spawn(t->r, NULL, FIBER_LARGE, "serve", serve, t);
}

static void stop(void *state_, uint16_t store) {
    struct toy *t = state_;
    (void)store;
    pgwire_stop(t->w);
    reactor_stop(t->r);
}

static bool stopped(void *state_, uint16_t store) {
    struct toy *t = state_;
    (void)store;
    return pgwire_idle(t->w) && reactor_idle(t->r);
}

static void done(void *state_) {
    struct toy *t = state_;
    pgwire_free(t->w);
    reactor_free(t->r);
}

int main(int argc, char **argv) {
    static const struct program program = {boot, stop, stopped, done};
    struct process_conf conf = {.stores = 1, .level = DIAG_ERROR};
    struct toy t = {.scram = argc > 1 && strcmp(argv[1], "--scram") == 0};
    struct err err = {0};
    char c;
    arena_init(&t.arena, 0);
    t.utc = zone_fixed(&t.arena, "UTC", 0);
    CHECK(t.utc);
    if (process_new(&conf, &t.process, &err) != RC_OK || process_start(t.process, &program, &t, &err) != RC_OK) {
        fprintf(stderr, "pg_toy: %s\n", err.message);
        return 1;
    }
    while (read(STDIN_FILENO, &c, 1) > 0) {
    }
    process_stop(t.process);
    process_join(t.process);
    process_free(t.process);
    arena_done(&t.arena);
    return 0;
}
