/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/simpg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION_3 = 3 << 16, READ_BYTES = 4096 };

/* ---- bytes --------------------------------------------------------------------------------------------------------------- */

static enum rc fill(struct simpg *c, size_t need, int64_t deadline) {
    while (c->in.len - c->in_at < need) {
        size_t n = 0;
        uint8_t *to = buf_reserve(&c->in, READ_BYTES);
        if (!to)
            return RC_NOMEM;
        enum rc rc = fiber_stream_read(&c->fs, to, READ_BYTES, deadline, &n);
        if (rc)
            return rc;
        buf_commit(&c->in, n);
    }
    return RC_OK;
}

static enum rc next(struct simpg *c, int64_t deadline, char *ret_type, struct rd *ret) {
    if (c->in_at > 0) {
        buf_consume(&c->in, c->in_at);
        c->in_at = 0;
    }
    enum rc rc = fill(c, 5, deadline);
    if (rc)
        return rc;
    uint32_t length = get_u32be(c->in.data + 1);
    CHECK(length >= 4 && length < 1 << 24);
    rc = fill(c, 1 + (size_t)length, deadline);
    if (rc)
        return rc;
    *ret_type = (char)c->in.data[0];
    rd_init(ret, c->in.data + 5, length - 4);
    c->in_at = 1 + (size_t)length;
    return RC_OK;
}

static size_t message_begin(struct simpg *c, char type) {
    if (type)
        buf_putc(&c->out, (uint8_t)type);
    buf_put_u32be(&c->out, 0);
    return c->out.len - 4;
}

static void message_end(struct simpg *c, size_t at) {
    CHECK(buf_rc(&c->out) == RC_OK);
    uint32_t length = htobe32((uint32_t)(c->out.len - at));
    memcpy(c->out.data + at, &length, sizeof length);
}

static void put_cstr(struct simpg *c, const char *s) {
    buf_put(&c->out, s, strlen(s) + 1);
}

static const char *cstr(struct rd *m) {
    size_t bytes = strnlen((const char *)m->at, rd_left(m));
    CHECK(bytes < rd_left(m));
    return (const char *)rd_bytes(m, bytes + 1);
}

static enum rc flush(struct simpg *c, int64_t deadline) {
    enum rc rc = fiber_stream_write(&c->fs, c->out.data, c->out.len, deadline);
    buf_reset(&c->out, SIZE_MAX);
    return rc;
}

/* ---- answers ------------------------------------------------------------------------------------------------------------- */

static void take_error(struct simpg *c, struct rd *m) {
    while (rd_left(m) > 1) {
        char field = (char)*rd_bytes(m, 1);
        const char *text = cstr(m);
        if (field == 'C')
            snprintf(c->answer.state, sizeof c->answer.state, "%s", text);
        else if (field == 'M')
            snprintf(c->answer.message, sizeof c->answer.message, "%s", text);
        else if (field == 'D')
            snprintf(c->answer.detail, sizeof c->answer.detail, "%s", text);
    }
}

static void take_row(struct simpg *c, struct rd *m) {
    struct simpg_answer *a = &c->answer;
    size_t n = get_u16be(rd_bytes(m, 2));
    CHECK(a->columns == n);
    if ((a->rows + 1) * n > a->cells_max) {
        a->cells_max = 2 * a->cells_max + n;
        a->cell = realloc(a->cell, a->cells_max * sizeof *a->cell);
        CHECK(a->cell);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bytes = get_u32be(rd_bytes(m, 4));
        const char **cell = &a->cell[a->rows * n + i];
        *cell = NULL;
        if (bytes != UINT32_MAX) {
            char *copy = arena_alloc(&c->arena, bytes + 1);
            CHECK(copy);
            memcpy(copy, rd_bytes(m, bytes), bytes);
            copy[bytes] = '\0';
            *cell = copy;
        }
    }
    a->rows++;
}

static void answer_begin(struct simpg *c) {
    struct simpg_answer *a = &c->answer;
    a->state[0] = a->message[0] = a->detail[0] = a->tag[0] = '\0';
    a->rows = a->columns = 0;
    arena_reset(&c->arena);
}

/* Up to ReadyForQuery. */
static enum rc take(struct simpg *c, int64_t deadline) {
    struct rd m;
    char type;
    for (;;) {
        enum rc rc = next(c, deadline, &type, &m);
        if (rc)
            return rc;
        switch (type) {
        case 'T':
            c->answer.columns = get_u16be(rd_bytes(&m, 2));
            c->answer.rows = 0;
            break;
        case 'D':
            take_row(c, &m);
            break;
        case 'C':
            snprintf(c->answer.tag, sizeof c->answer.tag, "%s", cstr(&m));
            break;
        case 'E':
            take_error(c, &m);
            break;
        case 'K':
            c->pid = get_u32be(rd_bytes(&m, 4));
            c->secret = get_u32be(rd_bytes(&m, 4));
            break;
        case 'Z':
            c->answer.txn = (char)*rd_bytes(&m, 1);
            return c->answer.state[0] ? RC_SQL : RC_OK;
        default: /* parameters, notices, and what the extended protocol confirms */
            break;
        }
    }
}

/* ---- for users ------------------------------------------------------------------------------------------------------------- */

enum rc simpg_open(struct reactor *r, const char *addr, const char *options, int64_t deadline, struct simpg **ret,
                   struct err *err) {
    struct env_stream *stream;
    enum rc rc = env_connect(reactor_env(r), addr, &stream, err);
    if (rc)
        return rc;
    struct simpg *c = calloc(1, sizeof *c);
    CHECK(c);
    c->r = r;
    buf_init(&c->in, 0);
    buf_init(&c->out, 0);
    arena_init(&c->arena, 0);
    fiber_stream_init(&c->fs, r, stream);
    rc = fiber_stream_wait_open(&c->fs, deadline, err);
    if (!rc) {
        size_t at = message_begin(c, '\0');
        buf_put_u32be(&c->out, VERSION_3);
        put_cstr(c, "user");
        put_cstr(c, "meridian");
        if (options) {
            put_cstr(c, "options");
            put_cstr(c, options);
        }
        put_cstr(c, "");
        message_end(c, at);
        rc = flush(c, deadline);
    }
    if (!rc)
        rc = take(c, deadline);
    if (rc) {
        err_set(err, rc, "%s", c->answer.message[0] ? c->answer.message : rc_text(rc));
        simpg_close(c);
        return rc;
    }
    *ret = c;
    return RC_OK;
}

enum rc simpg_query(struct simpg *c, int64_t deadline, const char *fmt, ...) {
    va_list ap;
    size_t at = message_begin(c, 'Q');
    va_start(ap, fmt);
    buf_vprintf(&c->out, fmt, ap);
    va_end(ap);
    buf_putc(&c->out, 0);
    message_end(c, at);
    answer_begin(c); /* not before: what was printed may be cells of the last one */
    enum rc rc = flush(c, deadline);
    return rc ? rc : take(c, deadline);
}

static bool name_of(struct simpg *c, const char *literal, char ret[static 16]) {
    size_t i = 0;
    while (i < c->prepareds && c->prepared[i] != literal)
        i++;
    snprintf(ret, 16, "s%zu", i);
    return i < c->prepareds;
}

static void parse(struct simpg *c, const char *name, const char *text) {
    size_t at = message_begin(c, 'P');
    put_cstr(c, name);
    put_cstr(c, text);
    buf_put_u16be(&c->out, 0);
    message_end(c, at);
}

static void bind(struct simpg *c, const char *name, const char *const *param, size_t params) {
    size_t at = message_begin(c, 'B');
    put_cstr(c, "");
    put_cstr(c, name);
    buf_put_u16be(&c->out, 0);
    buf_put_u16be(&c->out, (uint16_t)params);
    for (size_t i = 0; i < params; i++) {
        buf_put_u32be(&c->out, param[i] ? (uint32_t)strlen(param[i]) : UINT32_MAX);
        if (param[i])
            buf_puts(&c->out, param[i]);
    }
    buf_put_u16be(&c->out, 0);
    message_end(c, at);
}

enum rc simpg_call(struct simpg *c, int64_t deadline, const char *literal, const char *const *param, size_t params) {
    char name[16];
    bool known = name_of(c, literal, name);
    if (!known) {
        CHECK(c->prepareds < SIMPG_PREPARED_MAX);
        parse(c, name, literal);
    }
    bind(c, name, param, params);
    size_t at = message_begin(c, 'D');
    buf_putc(&c->out, 'P');
    put_cstr(c, "");
    message_end(c, at);
    at = message_begin(c, 'E');
    put_cstr(c, "");
    buf_put_u32be(&c->out, 0);
    message_end(c, at);
    at = message_begin(c, 'S');
    message_end(c, at);
    answer_begin(c);
    enum rc rc = flush(c, deadline);
    if (!rc)
        rc = take(c, deadline);
    if (!rc && !known)
        c->prepared[c->prepareds++] = literal; /* after an error it may not be there: its name is used again */
    if (rc == RC_SQL && !known) {
        char state[6], message[sizeof c->answer.message];
        memcpy(state, c->answer.state, sizeof state);
        memcpy(message, c->answer.message, sizeof message);
        at = message_begin(c, 'C');
        buf_putc(&c->out, 'S');
        put_cstr(c, name);
        message_end(c, at);
        at = message_begin(c, 'S');
        message_end(c, at);
        answer_begin(c);
        enum rc closed = flush(c, deadline);
        if (!closed)
            closed = take(c, deadline);
        if (closed)
            return closed;
        memcpy(c->answer.state, state, sizeof state);
        memcpy(c->answer.message, message, sizeof message);
    }
    return rc;
}

const char *simpg_cell(const struct simpg *c, size_t row, size_t column) {
    const struct simpg_answer *a = &c->answer;
    if (row >= a->rows || column >= a->columns || !a->cell[row * a->columns + column])
        return "";
    return a->cell[row * a->columns + column];
}

int64_t simpg_int(const struct simpg *c, size_t row, size_t column) {
    return strtoll(simpg_cell(c, row, column), NULL, 10);
}

void simpg_close(struct simpg *c) {
    if (!c)
        return;
    fiber_stream_close(&c->fs);
    buf_done(&c->in);
    buf_done(&c->out);
    arena_done(&c->arena);
    free(c->answer.cell);
    free(c);
}
