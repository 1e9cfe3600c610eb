/* SPDX-License-Identifier: Apache-2.0 */
/* pgconn.c: a connection's bytes, its main loop and its end. */
#include "sql/pgwire/pgconn.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LAST_WORDS_NS = 500000000,
    LARGE_FREE_BYTES = 64 << 10, /* a piece up to this size is had even by a store that is full */
    LARGE_BYTES = 16 << 20,      /* a session that held more leaves holes in the heap, which go back to the system */
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

enum rc pgconn_hold(struct pgconn *c, size_t bytes, struct err *err) {
    struct gauge *all = &c->w->stats.held_bytes;
    if (bytes > PGWIRE_HELD_BYTES_MAX - c->held)
        return err_set(err, RC_LIMIT, "a session's statements, portals and messages may hold %d MiB",
                       PGWIRE_HELD_BYTES_MAX >> 20);
    if (bytes > LARGE_FREE_BYTES && (size_t)gauge_get(all) + bytes > c->w->conf.held_max) {
        err_set(err, RC_NOMEM, "out of memory for statements and messages");
        err_detail(err, "The sessions of this store hold %lld MiB.", (long long)gauge_get(all) >> 20);
        return RC_NOMEM;
    }
    gauge_add(all, (int64_t)bytes);
    c->held += bytes;
    c->held_most = c->held > c->held_most ? c->held : c->held_most;
    return RC_OK;
}

void pgconn_let_go(struct pgconn *c, size_t bytes) {
    CHECK(bytes <= c->held);
    gauge_add(&c->w->stats.held_bytes, -(int64_t)bytes);
    c->held -= bytes;
}

/* What the message under way takes. */
static enum rc in_hold(struct pgconn *c, struct err *err) {
    if (c->in.cap < c->in_held) {
        pgconn_let_go(c, c->in_held - c->in.cap);
        c->in_held = c->in.cap;
        return RC_OK;
    }
    enum rc rc = pgconn_hold(c, c->in.cap - c->in_held, err);
    if (!rc)
        c->in_held = c->in.cap;
    return rc;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/*
 * Reads until `need` bytes of the message under way are there. The buffer grows with what has come: a length is only a promise.
 */
static enum rc fill(struct pgconn *c, size_t need, struct err *err) {
    while (c->in.len - c->in_at < need) {
        size_t have = c->in.len - c->in_at, want = need - have, n = 0;
        size_t trust = have > PGCONN_OUT_BYTES ? have : PGCONN_OUT_BYTES;
        want = want < PGCONN_KEEP_BYTES ? PGCONN_KEEP_BYTES : want > trust ? trust : want;
        uint8_t *to = buf_reserve(&c->in, want);
        if (!to)
            return err_set(err, RC_NOMEM, "no memory for a message of %zu bytes", need);
        enum rc rc = in_hold(c, err);
        if (rc)
            return rc;
        rc = fiber_stream_read(&c->fs, to, want, DEADLINE_NONE, &n);
        if (rc)
            return rc;
        buf_commit(&c->in, n);
        counter_add(&c->w->stats.bytes_in, n);
    }
    return RC_OK;
}

/* What is done with is dropped; an idle session keeps little. */
static void in_drop(struct pgconn *c) {
    c->in_at = c->in_message;
    if (c->in_at == c->in.len) {
        buf_reset(&c->in, PGCONN_KEEP_BYTES);
        c->in_at = c->in_message = 0;
        IGNORE(in_hold(c, NULL)); /* less than before */
    } else if (c->in_at > PGCONN_OUT_BYTES) {
        buf_consume(&c->in, c->in_at);
        c->in_at = c->in_message = 0;
    }
}

static size_t length_max(char type) {
    switch (type) {
    case 'Q':
    case 'P':
    case 'B':
    case 'd':
    case 'F':
        return PG_MESSAGE_BYTES_MAX;
    default:
        return PG_SMALL_BYTES_MAX;
    }
}

enum rc pgconn_read(struct pgconn *c, char *ret_type, struct rd *ret, struct err *err) {
    in_drop(c);
    enum rc rc = fill(c, 5, err);
    if (rc)
        return rc;
    char type = (char)c->in.data[c->in_at];
    uint32_t length = get_u32be(c->in.data + c->in_at + 1);
    if (!strchr("BCDEFHPQSXcdfp", type) || type == '\0')
        return err_set(err, RC_PROTOCOL, "invalid frontend message type %u", (unsigned char)type);
    if (length < 4 || length - 4 > length_max(type)) {
        err_set(err, RC_PROTOCOL, "invalid message length %u", length);
        err_detail(err, "A message of type '%c' may have %zu bytes.", type, length_max(type));
        return RC_PROTOCOL;
    }
    rc = fill(c, 1 + (size_t)length, err);
    if (rc)
        return rc;
    counter_inc(&c->w->stats.messages);
    c->in_message = c->in_at + 1 + length;
    *ret_type = type;
    rd_init(ret, c->in.data + c->in_at + 5, length - 4);
    return RC_OK;
}

bool pgconn_next_is(const struct pgconn *c, char type) {
    return c->in_message < c->in.len && (char)c->in.data[c->in_message] == type;
}

enum rc pgconn_flush(struct pgconn *c) {
    enum rc rc = buf_rc(&c->out);
    if (!rc && c->out.len > 0) {
        int64_t deadline = c->w->stopping || c->killed ? reactor_deadline(c->w->reactor, LAST_WORDS_NS) : DEADLINE_NONE;
        fiber_shield_begin(c->w->reactor);
        rc = fiber_stream_write(&c->fs, c->out.data, c->out.len, deadline);
        fiber_shield_end(c->w->reactor);
        counter_add(&c->w->stats.bytes_out, c->out.len);
    }
    buf_reset(&c->out, PGCONN_KEEP_BYTES);
    if (rc)
        c->ended = true;
    return rc;
}

enum rc pgconn_flush_some(struct pgconn *c, struct err *err) {
    if (buf_rc(&c->out))
        return err_set(err, buf_rc(&c->out), "no memory for the answer");
    if (c->out.len < PGCONN_OUT_BYTES)
        return RC_OK;
    enum rc rc = pgconn_flush(c);
    return rc ? err_set(err, rc, "the client is gone") : RC_OK;
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

enum rc pgconn_work(struct pgconn *c, fiber_fn *fn, void *arg) {
    CHECK(!c->on_work);
    c->cancel = false;
    c->work.cancelled = false;
    enum rc rc = fiber_spawn(c->w->reactor, &c->work, FIBER_LARGE, "sql statement", fn, arg);
    if (rc)
        return rc;
    c->on_work = true;
    fiber_shield_begin(c->w->reactor);
    rc = fiber_group_join(c->w->reactor, &c->work, DEADLINE_NONE);
    fiber_shield_end(c->w->reactor);
    c->on_work = false;
    return rc;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void dispatch(struct pgconn *c, char type, struct rd *m) {
    if (c->skip_to_sync && type != 'S' && type != 'X')
        return;
    switch (type) {
    case 'Q':
        pgconn_simple(c, m);
        break;
    case 'P':
        pgconn_parse(c, m);
        break;
    case 'B':
        pgconn_bind(c, m);
        break;
    case 'D':
        pgconn_describe(c, m);
        break;
    case 'E':
        pgconn_execute(c, m);
        break;
    case 'C':
        pgconn_close_named(c, m);
        break;
    case 'S':
        pgconn_sync(c);
        break;
    case 'H':
        IGNORE(pgconn_flush(c)); /* a client that is gone is noticed at the next read */
        break;
    case 'X':
        c->ended = true;
        break;
    case 'F': {
        struct err err;
        err_set(&err, RC_UNSUPPORTED, "the function call protocol is not supported");
        err_hint(&err, "Use SELECT function(...).");
        pg_error(&c->out, 'E', "ERROR", &err);
        pg_ready(&c->out, (char)c->w->conf.ops->state(c->sess));
        break;
    }
    case 'p': {
        struct err err;
        err_set(&err, RC_PROTOCOL, "a password came unasked");
        pg_error(&c->out, 'E', "FATAL", &err);
        c->closing = true;
        break;
    }
    default: /* c, d, f: the rest of a COPY that failed */
        break;
    }
}

/* False, as the session ends. */
static bool say_killed(struct pgconn *c) {
    struct err err;
    err_sql(&err, "57P01", "terminating connection due to administrator command");
    pg_error(&c->out, 'E', "FATAL", &err);
    return false;
}

void pgconn_stop(void *ctx, bool terminate) {
    struct pgconn *c = ctx;
    c->killed |= terminate;
    if (c->on_work) {
        c->cancel = true;
        fiber_group_cancel(&c->work);
        counter_inc(&c->w->stats.cancels);
        if (terminate && !waitq_empty(&c->fs.writers)) /* it reads too slowly to be told */
            fiber_stream_break(&c->fs, RC_SHUTDOWN, "the session was ended");
    } else if (terminate && c->fiber) {
        fiber_cancel(c->fiber);
    }
}

/* Messages that are there already are answered together. */
static bool serve_one(struct pgconn *c) {
    struct err err = {0};
    struct rd m;
    char type;
    if (c->in_message == c->in.len && pgconn_flush(c) != RC_OK)
        return false;
    enum rc rc = pgconn_read(c, &type, &m, &err);
    if (rc == RC_PROTOCOL || rc == RC_NOMEM || rc == RC_LIMIT) {
        counter_inc(&c->w->stats.protocol_errors);
        diag_warn(&c->w->env->diag, "sql: broken message", "client=\"%s\" reason=\"%s\"", c->who, err_message(&err));
        pg_error(&c->out, 'E', "FATAL", &err);
        return false;
    }
    if (rc && c->killed)
        return say_killed(c);
    if (rc) {
        if (c->w->stopping) {
            err_set(&err, RC_SHUTDOWN, "terminating connection because the node stops");
            pg_error(&c->out, 'E', "FATAL", &err);
        }
        return false;
    }
    dispatch(c, type, &m);
    return c->killed ? say_killed(c) : !c->closing && !c->ended;
}

static void close_work(void *arg) {
    struct pgconn *c = arg;
    pgconn_drop_all(c);
    if (c->sess)
        c->w->conf.ops->close(c->sess);
}

void pgconn_main(void *arg) {
    struct pgconn *c = arg;
    struct pgwire *w = c->w;
    snprintf(c->who, sizeof c->who, "%s", env_stream_peer(c->fs.stream));
    c->fiber = fiber_self(w->reactor);
    bool started = pgconn_start(c);
    if (started) {
        gauge_add(&w->stats.sessions, 1);
        while (serve_one(c)) {
        }
        gauge_add(&w->stats.sessions, -1);
    }
    IGNORE(pgconn_flush(c)); /* the last words; nobody may be there to hear them */
    /* What the session holds must go whatever happens: without a fiber to spare, on this one's small stack. */
    if (pgconn_work(c, close_work, c) != RC_OK)
        close_work(c);
    fiber_stream_close(&c->fs);
    ilist_del(&c->link);
    map_done(&c->statements);
    map_done(&c->portals);
    buf_done(&c->in);
    buf_done(&c->out);
    pgconn_let_go(c, c->in_held);
    CHECK(c->held == 0);
    bool large = c->held_most > LARGE_BYTES;
    free(c);
    if (large)
        malloc_trim(0);
}
