/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgconn_start.c: from the first byte to the first ReadyForQuery: TLS or not, cancel requests, who is there, the session.
 *
 * Until TLS is decided not one byte beyond the request is read: what a man in the middle puts behind it in the clear must not
 * pass for something that came encrypted (CVE-2021-23214).
 */
#include <stdio.h>
#include <stdlib.h>

#include "sql/pgwire/pgconn.h"
#include "sql/pgwire/pid.h"
#include "sql/pgwire/scram.h"

enum { SETTINGS_MAX = 64 };

struct start {
    struct pgconn *c;
    char *body; /* the startup packet's pairs */
    const char *user, *database;
    const char *setting[2 * SETTINGS_MAX];
    size_t settings;
    struct sess_role role;
    bool tls;
    enum rc rc;
    struct err err;
};

static enum rc read_exactly(struct pgconn *c, void *to, size_t bytes) {
    char *at = to;
    while (bytes > 0) {
        size_t n = 0;
        enum rc rc = fiber_stream_read(&c->fs, at, bytes, DEADLINE_NONE, &n);
        if (rc)
            return rc;
        at += n;
        bytes -= n;
        counter_add(&c->w->stats.bytes_in, n);
    }
    return RC_OK;
}

static bool fatal(struct pgconn *c, struct err *err) {
    pg_error(&c->out, 'E', "FATAL", err);
    return false;
}

/* ---- cancel requests ---------------------------------------------------------------------------------------------- */

struct cancel {
    struct env_post post;
    struct pgwire *w;
    uint32_t pid, secret;
};

static void on_cancel(struct env_post *p) {
    struct cancel *k = container_of(p, struct cancel, post);
    ilist_for_each(it, &k->w->conns) {
        struct pgconn *c = container_of(it, struct pgconn, link);
        if (c->pid != k->pid || c->secret != k->secret || c->pid == 0 || !c->on_work)
            continue;
        c->cancel = true;
        fiber_group_cancel(&c->work);
        counter_inc(&k->w->stats.cancels);
    }
    free(k);
}

static void cancel_elsewhere_work(void *arg) {
    const struct cancel *k = arg;
    k->w->conf.ops->cancel(k->w->conf.engine, k->pid, k->secret);
}

/* A balancer or a pooler may bring it to any node. */
static void cancel_request(struct pgconn *c, const uint8_t *body) {
    struct cancel *k = calloc(1, sizeof *k);
    if (!k)
        return; /* as if the request had been lost */
    k->w = c->w;
    k->pid = get_u32be(body);
    k->secret = get_u32be(body + 4);
    k->post.fn = on_cancel;
    uint16_t store = pid_store(k->pid);
    bool here = pid_node(k->pid) == pid_node(pid_make(c->w->conf.node, 0, 0));
    if (!here && c->w->conf.ops->cancel)
        IGNORE(pgconn_work(c, cancel_elsewhere_work, k)); /* lost, if there is no fiber for it */
    if (!here || store >= c->w->store_count) {
        free(k);
        return;
    }
    k->w = c->w->stores[store];
    env_post(k->w->env, &k->post);
}

/* ---- the packet ---------------------------------------------------------------------------------------------------- */

/* "-c name=value -c name=value", backslash before a blank: PostgreSQL's "options". Cuts text in place. */
static bool options_parse(struct start *st, char *text) {
    for (char *at = text;;) {
        at += strspn(at, " \t");
        if (!*at)
            return true;
        if (strncmp(at, "--", 2) == 0)
            at += 2;
        else if (strncmp(at, "-c", 2) == 0)
            at += 2, at += strspn(at, " \t");
        else
            return false;
        char *name = at, *to = at, *value = NULL;
        for (; *at && *at != ' ' && *at != '\t'; at++) {
            if (*at == '\\' && at[1])
                at++;
            else if (*at == '=' && !value) {
                *to++ = '\0';
                value = to;
                continue;
            }
            *to++ = *at;
        }
        bool more = *at != '\0';
        *to = '\0';
        if (!value || st->settings >= SETTINGS_MAX)
            return false;
        st->setting[2 * st->settings] = name;
        st->setting[2 * st->settings + 1] = value;
        st->settings++;
        if (!more)
            return true;
        at++;
    }
}

static bool pair(struct start *st, const char *name, char *value, uint32_t *unknown, struct err *err) {
    if (strcmp(name, "user") == 0) {
        st->user = value;
    } else if (strcmp(name, "database") == 0) {
        st->database = value;
    } else if (strcmp(name, "replication") == 0) {
        if (strcmp(value, "false") != 0 && strcmp(value, "off") != 0 && strcmp(value, "0") != 0)
            return err_set(err, RC_UNSUPPORTED, "replication connections are not supported") == RC_OK;
    } else if (strcmp(name, "options") == 0) {
        if (!options_parse(st, value))
            return err_set(err, RC_PROTOCOL, "invalid command-line arguments in the startup packet") == RC_OK;
    } else if (strncmp(name, "_pq_.", 5) == 0) {
        (*unknown)++;
    } else if (st->settings < SETTINGS_MAX) {
        st->setting[2 * st->settings] = name;
        st->setting[2 * st->settings + 1] = value;
        st->settings++;
    } else {
        return err_set(err, RC_PROTOCOL, "too many settings in the startup packet") == RC_OK;
    }
    return true;
}

static bool packet_parse(struct start *st, struct rd *r, uint32_t minor, struct err *err) {
    struct pgconn *c = st->c;
    uint32_t unknown = 0;
    for (;;) {
        char *name = (char *)(uintptr_t)pg_text(r);
        if (!name)
            return err_set(err, RC_PROTOCOL, "invalid startup packet layout: expected terminator as last byte") ==
                   RC_OK;
        if (!name[0])
            break;
        char *value = (char *)(uintptr_t)pg_text(r);
        if (!value)
            return err_set(err, RC_PROTOCOL, "invalid startup packet layout: \"%s\" has no value", name) == RC_OK;
        if (!pair(st, name, value, &unknown, err))
            return false;
    }
    if (!st->user || !st->user[0]) {
        err_set(err, RC_PROTOCOL, "no PostgreSQL user name specified in startup packet");
        err_state(err, "28000");
        return false;
    }
    if (minor > 0 || unknown > 0) {
        size_t at = pg_begin(&c->out, 'v');
        buf_put_u32be(&c->out, PG_VERSION_3);
        buf_put_u32be(&c->out, 0); /* their names: we know none, and list none */
        pg_end(&c->out, at);
    }
    return true;
}

/* Reads packets until one is a startup. False: the connection ends here. */
static bool packet_read(struct start *st) {
    struct pgconn *c = st->c;
    bool tls = false, asked = false;
    struct err err = {0};
    for (int turn = 0; turn < 4; turn++) {
        uint8_t head[8];
        if (read_exactly(c, head, sizeof head) != RC_OK)
            return false;
        uint32_t length = get_u32be(head), code = get_u32be(head + 4);
        if (length < 8 || length > PG_STARTUP_BYTES_MAX) {
            err_set(&err, RC_PROTOCOL, "invalid length of startup packet");
            return fatal(c, &err);
        }
        free(st->body);
        st->body = calloc(1, length - 8 + 1);
        if (!st->body || read_exactly(c, st->body, length - 8) != RC_OK)
            return false;
        if (code == PG_CANCEL) {
            if (length == 16)
                cancel_request(c, (uint8_t *)st->body);
            return false;
        }
        if ((code == PG_SSL || code == PG_GSS) && length == 8 && !tls) {
            bool yes = code == PG_SSL && c->w->conf.tls && !asked;
            asked |= code == PG_SSL;
            if (fiber_stream_write(&c->fs, yes ? "S" : "N", 1, DEADLINE_NONE) != RC_OK)
                return false;
            if (yes && fiber_stream_tls(&c->fs, c->w->conf.tls, true, DEADLINE_NONE, &err) != RC_OK)
                return false;
            tls |= yes;
            st->tls = tls;
            continue;
        }
        if (code >> 16 != 3) {
            err_set(&err, RC_UNSUPPORTED, "unsupported frontend protocol %u.%u: server supports 3.0", code >> 16,
                    code & 0xffff);
            return fatal(c, &err);
        }
        struct rd r;
        rd_init(&r, st->body, length - 8);
        if (!packet_parse(st, &r, code & 0xffff, &err))
            return fatal(c, &err);
        if (c->w->conf.require_tls && !tls) {
            err_set(&err, RC_PERMISSION, "this server takes only encrypted connections");
            err_state(&err, "28000");
            return fatal(c, &err);
        }
        return true;
    }
    return false;
}

/* ---- who is there --------------------------------------------------------------------------------------------------- */

static void role_work(void *arg) {
    struct start *st = arg;
    st->rc = st->c->w->conf.ops->role(st->c->w->conf.engine, st->user, &st->role, &st->err);
}

static void sasl(struct pgconn *c, uint32_t step, bool plus, const char *text) {
    size_t at = pg_begin(&c->out, 'R');
    buf_put_u32be(&c->out, step);
    if (step == 10) {
        if (plus)
            pg_puts(&c->out, "SCRAM-SHA-256-PLUS");
        pg_puts(&c->out, "SCRAM-SHA-256");
        buf_putc(&c->out, 0);
    } else {
        buf_puts(&c->out, text);
    }
    pg_end(&c->out, at);
}

static enum rc password_read(struct pgconn *c, struct rd *ret, struct err *err) {
    char type;
    if (pgconn_flush(c) != RC_OK)
        return RC_CLOSED;
    enum rc rc = pgconn_read(c, &type, ret, err);
    if (!rc && type != 'p')
        rc = err_set(err, RC_PROTOCOL, "expected SASL response, got message type %u", (unsigned char)type);
    return rc;
}

static enum rc scram_exchange(struct start *st, struct err *err) {
    struct pgconn *c = st->c;
    struct scram s;
    struct rd m;
    uint8_t nonce[SCRAM_NONCE_BYTES], seed[SCRAM_SALT_BYTES];
    char answer[SCRAM_MESSAGE_BYTES_MAX];
    struct scram_channel channel = {0};
    channel.bytes = st->tls ? env_tls_binding(c->w->env, c->w->conf.tls, channel.hash) : 0;
    sasl(c, 10, channel.bytes > 0, NULL);
    enum rc rc = password_read(c, &m, err);
    if (rc)
        return rc;
    const char *mechanism = pg_text(&m);
    int32_t bytes = (int32_t)rd_u32be(&m);
    channel.plus = mechanism && channel.bytes > 0 && strcmp(mechanism, "SCRAM-SHA-256-PLUS") == 0;
    if (!mechanism || (!channel.plus && strcmp(mechanism, "SCRAM-SHA-256") != 0))
        return err_set(err, RC_PROTOCOL, "client selected an invalid SASL authentication mechanism");
    if (m.bad || bytes < 0 || (size_t)bytes != rd_left(&m))
        return err_set(err, RC_PROTOCOL, "malformed SASL initial response");
    env_secret(c->w->env, nonce, sizeof nonce);
    uint64_t h = hash_str(st->user, 1), h2 = hash_str(st->user, 2);
    memcpy(seed, &h, 8);
    memcpy(seed + 8, &h2, 8);
    rc = scram_first(&s, st->role.login ? st->role.verifier : "", seed, &channel, m.at, rd_left(&m), nonce, answer,
                     sizeof answer, err);
    if (rc)
        return rc;
    sasl(c, 11, false, answer);
    rc = password_read(c, &m, err);
    if (rc)
        return rc;
    rc = scram_final(&s, m.at, rd_left(&m), answer, sizeof answer, err);
    if (rc == RC_PERMISSION) {
        counter_inc(&c->w->stats.failed_logins);
        err_set(err, rc, "password authentication failed for user \"%.64s\"", st->user);
        err_state(err, "28P01");
    }
    if (!rc)
        sasl(c, 12, false, answer);
    return rc;
}

static bool authenticate(struct start *st) {
    struct pgconn *c = st->c;
    struct err err = {0};
    enum rc rc = pgconn_work(c, role_work, st);
    if (rc || st->rc) {
        if (rc)
            err_set(&st->err, rc, "no fiber for the session");
        return fatal(c, &st->err);
    }
    if (!c->w->conf.trust) {
        rc = scram_exchange(st, &err);
        if (rc)
            return err.message[0] ? fatal(c, &err) : false;
        if (!st->role.exists || !st->role.login) {
            err_set(&err, RC_PERMISSION, "role \"%.64s\" is not permitted to log in", st->user);
            err_state(&err, "28000");
            return fatal(c, &err);
        }
    }
    size_t at = pg_begin(&c->out, 'R');
    buf_put_u32be(&c->out, 0);
    pg_end(&c->out, at);
    return true;
}

/* ---- the session ------------------------------------------------------------------------------------------------------ */

static void open_work(void *arg) {
    struct start *st = arg;
    struct pgconn *c = st->c;
    c->w->next_slot = c->w->next_slot % (PID_SLOTS - 1) + 1;
    c->pid = pid_make(c->w->conf.node, c->w->env->store, c->w->next_slot);
    env_secret(c->w->env, &c->secret, sizeof c->secret);
    struct sess_open how = {.user = st->user,
                            .database = st->database ? st->database : "",
                            .peer = c->who,
                            .pid = c->pid,
                            .secret = c->secret,
                            .client = &pgconn_client,
                            .ctx = c,
                            .setting = st->setting,
                            .settings = st->settings};
    st->rc = c->w->conf.ops->open(c->w->conf.engine, &how, &c->sess, &st->err);
}

static void backend_key(struct pgconn *c) {
    size_t at = pg_begin(&c->out, 'K');
    buf_put_u32be(&c->out, c->pid);
    buf_put_u32be(&c->out, c->secret);
    pg_end(&c->out, at);
}

static bool start(struct start *st) {
    struct pgconn *c = st->c;
    struct err err;
    if (!packet_read(st))
        return false;
    if ((size_t)gauge_get(&c->w->stats.sessions) >= c->w->conf.sessions_max) {
        counter_inc(&c->w->stats.refused);
        err_set(&err, RC_OVERLOAD, "sorry, too many clients already");
        err_state(&err, "53300");
        err_detail(&err, "This store serves %zu sessions.", c->w->conf.sessions_max);
        return fatal(c, &err);
    }
    if (!authenticate(st))
        return false;
    enum rc rc = pgconn_work(c, open_work, st);
    if (rc || st->rc) {
        if (rc)
            err_set(&st->err, rc, "no fiber for the session");
        return fatal(c, &st->err);
    }
    backend_key(c);
    pg_ready(&c->out, (char)c->w->conf.ops->state(c->sess));
    return true;
}

bool pgconn_start(struct pgconn *c) {
    struct start *st = calloc(1, sizeof *st);
    if (!st)
        return false;
    st->c = c;
    struct reactor *r = c->w->reactor;
    int64_t was = fiber_set_deadline(r, reactor_deadline(r, PGWIRE_STARTUP_SECONDS * INT64_C(1000000000)));
    bool ok = start(st);
    fiber_set_deadline(r, was);
    free(st->body);
    free(st);
    return ok;
}
